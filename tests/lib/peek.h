/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looking into an engine from a test, and speaking as if one were its peer: snapshots of a session for comparison
 * byte for byte, and messages sealed with a session's real keys whatever they say. Read next: world.h.
 */
#ifndef PEEK_H
#define PEEK_H

#include "internal.h"
#include "world.h"

#define PEEK_BYTES 4096

/** Everything of one session but what a refused message may touch: send counter, own bucket, notes of races. */
struct peek_shot {
    bool there;
    size_t len;
    uint8_t bytes[PEEK_BYTES];
};

/** What moves only with a transition, a bind or a rekey: for comparisons over a time in which probes flow. */
struct peek_record {
    bool there;
    struct jump_id id;
    uint8_t mode;
    uint64_t version, generation, attempt, high;
    struct jump_path binding, birth_path;
    struct jump_policy policy;
    jump_time born_at;
    uint16_t keys[2];
};

/** The session itself; NULL: none. For tests that damage it on purpose. */
struct jump_session *peek_server(struct world *w, unsigned client);
struct jump_session *peek_client(struct world *w, unsigned client);

void peek_shoot(struct peek_shot *shot, struct world *w, bool server, unsigned client);
void peek_note(struct peek_record *record, struct world *w, bool server, unsigned client);
bool peek_same_shot(const struct peek_shot *a, const struct peek_shot *b);
bool peek_same_record(const struct peek_record *a, const struct peek_record *b);

/** Run what is due now, so that a comparison before and after an input sees that input alone. */
void peek_settle(struct world *w);

/** The invariants of every session of every engine. @return NULL, or what is broken */
const char *peek_broken(struct world *w);

/** A message as it could be sealed by who holds the session's keys. */
struct peek_message {
    size_t len;
    uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES];
};

/** Seal `body` with the client's (or the server's) newest key and its next counter. */
void peek_seal(struct peek_message *m, struct world *w, bool server, unsigned client, uint8_t type,
               struct jump_body *body);

/** The same with a counter of one's own. */
void peek_seal_as(struct peek_message *m, struct world *w, bool server, unsigned client, uint8_t type,
                  struct jump_body *body, uint64_t counter);

/** Open a datagram that flew by, with the session's newest key. @return 0 or an error */
int peek_open(struct jump_header *header, struct jump_body *body, struct world *w, bool server_side, unsigned client,
              const struct world_flight *flight);

/** The type of a datagram (enum jump_type). */
uint8_t peek_type(const struct world_flight *flight);

#endif
