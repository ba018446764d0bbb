/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the host's secret to a session's keys (docs/protocol.md 3). Knows no message and no session.
 * H is BLAKE2b-256 over length-prefixed parts; KDF is keyed BLAKE2b over a label.
 */
#ifndef JUMP_KEYS_H
#define JUMP_KEYS_H

#include <jumping/types.h>

#include "wire.h"

#define JUMP_KEY_BYTES 32

/** One epoch's keys: one for each direction, so that a message cannot be reflected. */
struct jump_keys {
    uint8_t c2s[JUMP_KEY_BYTES];
    uint8_t s2c[JUMP_KEY_BYTES];
    uint16_t fingerprint; /* the wire's epoch field; never 0 */
};

/** session_id from the first secret of the host's handshake. */
void jump_keys_session_id(struct jump_id *id, enum jump_host_kind kind, const uint8_t secret[JUMP_SECRET_BYTES]);

/** The keys of one epoch of a session. Epochs are not chained. */
void jump_keys_epoch(struct jump_keys *keys, const struct jump_id *id, const uint8_t secret[JUMP_SECRET_BYTES]);

/** A session's RESET key from the key on this instance's disk. */
void jump_keys_reset(uint8_t reset_key[JUMP_RESET_KEY_BYTES], const uint8_t instance_key[JUMP_SECRET_BYTES],
                     const struct jump_id *id);

/** A subkey of the engine's seed for one purpose (nonce, challenge, cookie, hashing). `out_len` 16 .. 64. */
void jump_keys_derive(uint8_t *out, size_t out_len, const uint8_t root[JUMP_SECRET_BYTES], const char *label);

/** sodium_memzero, so that session.c needs no libsodium. */
void jump_keys_wipe(void *memory, size_t len);

/** Constant-time comparison of secrets. */
bool jump_keys_equal(const void *a, const void *b, size_t len);

/** libsodium's start; 0 or JUMP_ERR_SODIUM. */
int jump_keys_start(void);

#endif
