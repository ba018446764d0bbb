/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sealing, opening, and keyed hashes by libsodium; one of the two files that include it. No state but locals,
 * which are wiped on every way out. Read next: engine.c (in which order these are called, and what is believed).
 */
#include "seal.h"

#include <jumping/audit.h>
#include <sodium.h>
#include <string.h>

_Static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == JUMP_TAG_BYTES, "tag");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == JUMP_NONCE_BYTES, "nonce");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == JUMP_KEY_BYTES, "key");

void jump_seal_message(uint8_t *bytes, size_t len, const struct jump_header *header, const struct jump_body *body,
                       const uint8_t key[JUMP_KEY_BYTES])
{
    uint8_t *sealed = bytes + JUMP_HEADER_BYTES;
    size_t body_len = len - JUMP_HEADER_BYTES - JUMP_TAG_BYTES;
    jump_wire_put_header(bytes, header);
    jump_wire_put_body(sealed, body_len, header->type, body);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, sealed, body_len, bytes, JUMP_HEADER_BYTES, NULL,
                                               bytes + JUMP_AT_NONCE, key);
}

int jump_seal_open(struct jump_body *body, const struct jump_header *header, const uint8_t *bytes, size_t len,
                   const uint8_t key[JUMP_KEY_BYTES])
{
    uint8_t plain[JUMP_MAX_MESSAGE_BYTES];
    int result = JUMP_ERR_REFUSED;
    memset(body, 0, sizeof *body);
    if (len < JUMP_HEADER_BYTES + JUMP_TAG_BYTES || len > JUMP_MAX_MESSAGE_BYTES)
        return JUMP_ERR_MALFORMED;
    size_t body_len = len - JUMP_HEADER_BYTES - JUMP_TAG_BYTES;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, bytes + JUMP_HEADER_BYTES,
                                                   body_len + JUMP_TAG_BYTES, bytes, JUMP_HEADER_BYTES,
                                                   bytes + JUMP_AT_NONCE, key) == 0) {
        result = jump_wire_get_body(body, header->type, plain, body_len);
        if (result != 0)
            sodium_memzero(body, sizeof *body);
        sodium_memzero(plain, body_len);
    }
    return result;
}

static void add_path(crypto_generichash_state *state, const struct jump_path *path)
{
    uint8_t port[2] = { (uint8_t)(path->port >> 8), (uint8_t)path->port };
    uint8_t scope[4] = { (uint8_t)(path->scope >> 24), (uint8_t)(path->scope >> 16), (uint8_t)(path->scope >> 8),
                         (uint8_t)path->scope };
    crypto_generichash_update(state, path->ip, sizeof path->ip);
    crypto_generichash_update(state, scope, sizeof scope);
    crypto_generichash_update(state, port, sizeof port);
    crypto_generichash_update(state, &path->proto, 1);
}

static void put_u64(uint8_t out[8], uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

static void add_u64(crypto_generichash_state *state, uint64_t value)
{
    uint8_t bytes[8];
    put_u64(bytes, value);
    crypto_generichash_update(state, bytes, sizeof bytes);
}

void jump_seal_challenge(uint8_t challenge[JUMP_CHALLENGE_BYTES], const uint8_t key[JUMP_SECRET_BYTES],
                         const struct jump_id *id, uint64_t attempt, const struct jump_path *path, uint64_t bucket)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, JUMP_SECRET_BYTES, JUMP_CHALLENGE_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)"challenge", 9);
    crypto_generichash_update(&state, id->bytes, JUMP_ID_BYTES);
    add_u64(&state, attempt);
    add_path(&state, path);
    add_u64(&state, bucket);
    crypto_generichash_final(&state, challenge, JUMP_CHALLENGE_BYTES);
    sodium_memzero(&state, sizeof state);
}

void jump_seal_cookie(uint8_t cookie[JUMP_COOKIE_BYTES], const uint8_t key[JUMP_SECRET_BYTES],
                      const struct jump_path *path, uint64_t bucket)
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, JUMP_SECRET_BYTES, JUMP_COOKIE_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)"cookie", 6);
    add_path(&state, path);
    add_u64(&state, bucket);
    crypto_generichash_final(&state, cookie, JUMP_COOKIE_BYTES);
    sodium_memzero(&state, sizeof state);
}

void jump_seal_reset(uint8_t mac[JUMP_RESET_MAC_BYTES], const uint8_t reset_key[JUMP_RESET_KEY_BYTES], uint64_t boot,
                     const uint8_t nonce[JUMP_NONCE_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, reset_key, JUMP_RESET_KEY_BYTES, JUMP_RESET_MAC_BYTES);
    add_u64(&state, boot);
    crypto_generichash_update(&state, nonce, JUMP_NONCE_BYTES);
    crypto_generichash_final(&state, mac, JUMP_RESET_MAC_BYTES);
    sodium_memzero(&state, sizeof state);
}

uint64_t jump_seal_hash(const uint8_t key[16], const void *bytes, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t hash;
    crypto_shorthash(out, bytes, len, key);
    memcpy(&hash, out, sizeof hash);
    return hash;
}

void jump_audit_link(uint8_t out[JUMP_CHAIN_BYTES], const uint8_t key[JUMP_CHAIN_KEY_BYTES], const char *line,
                     size_t line_len)
{
    crypto_generichash(out, JUMP_CHAIN_BYTES, (const uint8_t *)line, line_len, key, JUMP_CHAIN_KEY_BYTES);
}
