/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything that turns bytes into sealed bytes or into a keyed hash (docs/protocol.md 2 and 4). No session, no
 * policy: keys come in as arguments.
 */
#ifndef JUMP_SEAL_H
#define JUMP_SEAL_H

#include <jumping/types.h>

#include "keys.h"
#include "wire.h"

/**
 * Write a whole message: header in the clear, body sealed.
 *
 * @param bytes room for `len` bytes
 * @param len   whole length, jump_wire_length(type) or JUMP_PROBE_FULL_BYTES
 */
void jump_seal_message(uint8_t *bytes, size_t len, const struct jump_header *header, const struct jump_body *body,
                       const uint8_t key[JUMP_KEY_BYTES]);

/**
 * Open a message whose header was read. Constant time in the key.
 *
 * @return 0; JUMP_ERR_REFUSED: the tag does not fit; JUMP_ERR_MALFORMED: it fits and the body is not one; *body is
 *         zero then
 */
int jump_seal_open(struct jump_body *body, const struct jump_header *header, const uint8_t *bytes, size_t len,
                   const uint8_t key[JUMP_KEY_BYTES]);

/** A challenge: keyed hash over session, attempt, address and time bucket; no state is kept for it. */
void jump_seal_challenge(uint8_t challenge[JUMP_CHALLENGE_BYTES], const uint8_t key[JUMP_SECRET_BYTES],
                         const struct jump_id *id, uint64_t attempt, const struct jump_path *path, uint64_t bucket);

/** A cookie: keyed hash over address and time bucket. */
void jump_seal_cookie(uint8_t cookie[JUMP_COOKIE_BYTES], const uint8_t key[JUMP_SECRET_BYTES],
                      const struct jump_path *path, uint64_t bucket);

/** RESET's proof: MAC over boot and the nonce it answers. */
void jump_seal_reset(uint8_t mac[JUMP_RESET_MAC_BYTES], const uint8_t reset_key[JUMP_RESET_KEY_BYTES], uint64_t boot,
                     const uint8_t nonce[JUMP_NONCE_BYTES]);

/** SipHash-2-4 for tables: an attacker who chooses keys must not choose collisions. */
uint64_t jump_seal_hash(const uint8_t key[16], const void *bytes, size_t len);

#endif
