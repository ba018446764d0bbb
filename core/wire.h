/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The wire format: encode and decode, no keys, no state (docs/protocol.md 2). A message is a header in the
 * clear, a body that seal.c encrypts, and a tag:
 *
 *    0        1       2       4                20          44           60
 *    +--------+-------+-------+----------------+-----------+------------+----------------+---------+
 *    |ver|type| flags | epoch | session id (16)| nonce (24)| cookie (16)| sealed body    | tag (16)|
 *    +--------+-------+-------+----------------+-----------+------------+----------------+---------+
 *    |<------------------- authenticated as associated data ------------>|<- encrypted ->|
 *
 *    nonce = counter (8, big-endian) | process (16, drawn once at each start)
 *
 * COOKIE and RESET carry no tag: COOKIE is a bare header, RESET a header and JUMP_RESET_BYTES in the clear; the
 * nonce of both is the nonce they answer. Integers are big-endian. Each type has exactly one length, but PROBE,
 * which has two (JUMP_PROBE_FULL_BYTES asks whether full packets pass). A client's messages are padded with zeros,
 * so that no reply is ever larger than what asked for it.
 */
#ifndef JUMP_WIRE_H
#define JUMP_WIRE_H

#include <jumping/policy.h>
#include <jumping/types.h>

#define JUMP_WIRE_VERSION 1
#define JUMP_NONCE_BYTES 24
#define JUMP_PROCESS_BYTES 16
#define JUMP_COOKIE_BYTES 16
#define JUMP_TAG_BYTES 16
#define JUMP_CHALLENGE_BYTES 16
#define JUMP_RESET_KEY_BYTES 32
#define JUMP_RESET_MAC_BYTES 16

#define JUMP_AT_VERSION_TYPE 0
#define JUMP_AT_FLAGS 1
#define JUMP_AT_EPOCH 2
#define JUMP_AT_SESSION (JUMP_AT_EPOCH + 2)
#define JUMP_AT_NONCE (JUMP_AT_SESSION + JUMP_ID_BYTES)
#define JUMP_AT_COOKIE (JUMP_AT_NONCE + JUMP_NONCE_BYTES)
#define JUMP_HEADER_BYTES (JUMP_AT_COOKIE + JUMP_COOKIE_BYTES)
_Static_assert(JUMP_HEADER_BYTES == 60, "the header on the page above");

#define JUMP_RESET_BYTES (8 + JUMP_RESET_MAC_BYTES) /* boot, mac */

/* Types: four bits. Who may send which is wire.c's table. */
enum jump_type {
    JUMP_MSG_BIRTH_OFFER = 0,
    JUMP_MSG_BIRTH = 1,
    JUMP_MSG_BIRTH_ACK = 2,
    JUMP_MSG_PROBE = 3,
    JUMP_MSG_PROBE_ACK = 4,
    JUMP_MSG_PATH_UNBOUND = 5,
    JUMP_MSG_REATTACH_REQUEST = 6,
    JUMP_MSG_REATTACH_CHALLENGE = 7,
    JUMP_MSG_REATTACH_PROOF = 8,
    JUMP_MSG_REATTACH_ACCEPT = 9,
    JUMP_MSG_REATTACH_DENY = 10,
    JUMP_MSG_TERMINATE = 11,
    JUMP_MSG_TERMINATE_ACK = 12,
    JUMP_MSG_REDIRECT = 13, /* reserved for a cluster: dropped and counted */
    JUMP_MSG_COOKIE = 14,
    JUMP_MSG_RESET = 15
};

/* Whole lengths. A request is as long as the longest reply to it. */
#define JUMP_PROBE_BYTES 144
#define JUMP_PROBE_FULL_BYTES 1300
#define JUMP_REQUEST_BYTES 144
#define JUMP_PROOF_BYTES 144
#define JUMP_BIRTH_BYTES 320
#define JUMP_MAX_MESSAGE_BYTES JUMP_PROBE_FULL_BYTES
_Static_assert(JUMP_MAX_MESSAGE_BYTES <= JUMP_MAX_DATAGRAM_BYTES, "an action holds every message");

/** The clear part of a message. */
struct jump_header {
    uint8_t type;
    uint8_t flags; /* sent as 0, ignored by nobody: another value is refused in version 1 */
    uint16_t epoch;
    struct jump_id session_id;
    uint64_t counter;
    uint8_t process[JUMP_PROCESS_BYTES];
    uint8_t cookie[JUMP_COOKIE_BYTES];
};

/** Every field that a body may have; which ones a type has, and in what order, is wire.c's table. */
struct jump_body {
    uint16_t keys[2]; /* every body: fingerprints held, the confirmed one first; 0: none */
    uint8_t version_least, version_most, version_chosen;
    uint32_t capabilities;
    uint32_t want_lifetime_ms, want_ttl_ms, want_window_ms; /* 0: as the policy says */
    struct jump_policy policy;
    uint8_t reset_key[JUMP_RESET_KEY_BYTES];
    uint64_t boot;
    uint8_t observed_ip[16];
    uint16_t observed_port;
    uint64_t seq, sent_at;
    uint8_t transport, claims_binding;
    uint32_t received, next_within_ms;
    uint8_t bound, state;
    uint64_t state_version, generation, attempt;
    uint8_t why, voluntary, protocol, nat_seen;
    uint8_t challenge[JUMP_CHALLENGE_BYTES];
    uint8_t reason;
    uint32_t retry_after_ms;
};

/** True if `type` travels from the client to the server; TERMINATE and TERMINATE_ACK travel both ways. */
bool jump_wire_from_client(uint8_t type);
bool jump_wire_from_server(uint8_t type);

/** Whole length of a message of this type as its sender makes it; TERMINATE is as long both ways. */
size_t jump_wire_length(uint8_t type);

/**
 * Read the clear part.
 *
 * @param len length of the datagram; must be exactly right for its type
 * @return 0 or JUMP_ERR_MALFORMED: wrong version, flags, type or length
 */
int jump_wire_get_header(struct jump_header *header, const uint8_t *bytes, size_t len);

/** Write the clear part into JUMP_HEADER_BYTES bytes. */
void jump_wire_put_header(uint8_t *bytes, const struct jump_header *header);

/**
 * Read a body that has been opened. `len` is its length without the tag; padding must be zero.
 *
 * @return 0 or JUMP_ERR_MALFORMED
 */
int jump_wire_get_body(struct jump_body *body, uint8_t type, const uint8_t *bytes, size_t len);

/** Write a body of exactly `len` bytes, padded with zeros. */
void jump_wire_put_body(uint8_t *bytes, size_t len, uint8_t type, const struct jump_body *body);

#endif
