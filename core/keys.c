/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Key derivation, wiping and comparison by libsodium; one of the two files that include it. Known answers from
 * an independent implementation: tests/vectors. Read next: seal.c.
 */
#include "keys.h"

#include <sodium.h>
#include <string.h>

/* Each part goes in behind its length, so that two different lists of parts are never one string. */
static void add_part(crypto_generichash_state *state, const void *part, size_t len)
{
    uint8_t prefix[2] = { (uint8_t)(len >> 8), (uint8_t)len };
    crypto_generichash_update(state, prefix, sizeof prefix);
    crypto_generichash_update(state, part, len);
}

/* libsodium wipes its hash's state, but not the place on its stack where it puts the hash together (1.0.18, blake2b_final).
 * So what is made behind a key, by the same calls and at the same depth, is nobody's secret. */
void jump_keys_derive(uint8_t *out, size_t out_len, const uint8_t root[JUMP_SECRET_BYTES], const char *label)
{
    uint8_t over[32];
    crypto_generichash(out, out_len, (const uint8_t *)label, strlen(label), root, JUMP_SECRET_BYTES);
    crypto_generichash(over, sizeof over, (const uint8_t *)label, strlen(label), NULL, 0);
}

void jump_keys_session_id(struct jump_id *id, enum jump_host_kind kind, const uint8_t secret[JUMP_SECRET_BYTES])
{
    static const char label[] = "jumping v1 session";
    crypto_generichash_state state;
    uint8_t root[32], host = (uint8_t)kind;
    crypto_generichash_init(&state, NULL, 0, sizeof root);
    add_part(&state, label, sizeof label - 1);
    add_part(&state, &host, 1);
    add_part(&state, secret, JUMP_SECRET_BYTES);
    crypto_generichash_final(&state, root, sizeof root);
    jump_keys_derive(id->bytes, JUMP_ID_BYTES, root, "id");
    sodium_memzero(root, sizeof root);
    sodium_memzero(&state, sizeof state);
}

void jump_keys_epoch(struct jump_keys *keys, const struct jump_id *id, const uint8_t secret[JUMP_SECRET_BYTES])
{
    static const char label[] = "jumping v1 epoch";
    crypto_generichash_state state;
    uint8_t root[32], fingerprint[16];
    crypto_generichash_init(&state, NULL, 0, sizeof root);
    add_part(&state, label, sizeof label - 1);
    add_part(&state, id->bytes, JUMP_ID_BYTES);
    add_part(&state, secret, JUMP_SECRET_BYTES);
    crypto_generichash_final(&state, root, sizeof root);
    jump_keys_derive(keys->c2s, sizeof keys->c2s, root, "c2s");
    jump_keys_derive(keys->s2c, sizeof keys->s2c, root, "s2c");
    jump_keys_derive(fingerprint, sizeof fingerprint, root, "fingerprint");
    keys->fingerprint = (uint16_t)(fingerprint[0] << 8 | fingerprint[1]);
    if (keys->fingerprint == 0)
        keys->fingerprint = 1; /* 0 means "none" on the wire */
    sodium_memzero(root, sizeof root);
    sodium_memzero(fingerprint, sizeof fingerprint);
    sodium_memzero(&state, sizeof state);
}

void jump_keys_reset(uint8_t reset_key[JUMP_RESET_KEY_BYTES], const uint8_t instance_key[JUMP_SECRET_BYTES],
                     const struct jump_id *id)
{
    static const char label[] = "jumping v1 reset";
    crypto_generichash_state state;
    uint8_t over[32];
    crypto_generichash_init(&state, instance_key, JUMP_SECRET_BYTES, JUMP_RESET_KEY_BYTES);
    add_part(&state, label, sizeof label - 1);
    add_part(&state, id->bytes, JUMP_ID_BYTES);
    crypto_generichash_final(&state, reset_key, JUMP_RESET_KEY_BYTES);
    crypto_generichash_init(&state, NULL, 0, sizeof over); /* as in jump_keys_derive */
    crypto_generichash_final(&state, over, sizeof over);
    sodium_memzero(&state, sizeof state);
}

void jump_keys_wipe(void *memory, size_t len)
{
    sodium_memzero(memory, len);
}

bool jump_keys_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

int jump_keys_start(void)
{
    return sodium_init() < 0 ? JUMP_ERR_SODIUM : 0;
}
