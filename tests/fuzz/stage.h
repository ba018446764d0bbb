/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Situations to begin an input from: a world that has lived for a while is kept once and put back before each input, so that
 * an input costs no handshake. An engine is one block of memory whose pointers stay inside it: copying it back at its own
 * address is all. Read next: tests/lib/world.h, situations in stage.c.
 */
#ifndef JUMP_FUZZ_STAGE_H
#define JUMP_FUZZ_STAGE_H

#include "peek.h"

#define STAGE_CLIENTS 2u

/* What client 0 and the server are in the middle of; client 1 is attached and well in all of them. */
#define STAGE_SITUATIONS(X)                                                              \
    X(ATTACHED) X(LOST_REQUEST) X(CHALLENGED) X(PROVED) X(BIRTH) X(BIRTH_ACKED) X(REKEYING) \
    X(ENDED_AT_SERVER) X(SERVER_RESTARTED) X(COMMITTING) X(UNBOUND) X(SWITCHING) X(OFFERED) X(FLOODED)

enum stage_situation {
#define X(name) STAGE_##name,
    STAGE_SITUATIONS(X)
#undef X
    STAGE_COUNT
};

/** The world of this situation as it was kept, made at the first call. Borrowed; the next call for it undoes all. */
struct world *stage_set(enum stage_situation situation);

/** The plaintext of client 0's message of this type as its sender would make it now. @return its length; 0: none */
size_t stage_template(enum stage_situation situation, bool from_server, uint8_t type, uint8_t *out, size_t cap);

/** The keys of client 0's session, [0] confirmed and [1] the candidate; they outlive the session. @return how many */
unsigned stage_keys(enum stage_situation situation, const struct jump_keys **keys);

/** Client 0's session id, and where the nonces of each side begin. */
const struct jump_id *stage_id(enum stage_situation situation);
const uint8_t *stage_process(enum stage_situation situation, bool server);
uint64_t stage_counter(enum stage_situation situation, bool server);

#endif
