/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What recovery.c keeps, bytes without padding. Attempts are "the client's current one" or "older", counters "above the last
 * accepted" or not: so the client may try for ever and the states are finite.
 */
#ifndef MODEL_RECOVERY_H
#define MODEL_RECOVERY_H

#include "step.h"

#ifndef LOSSES
#define LOSSES 1 /* once it is calm: of one kind, in a row */
#endif
#ifndef DENIALS_LEFT
#define DENIALS_LEFT 1 /* once it is calm */
#endif

enum { REQUEST, CHALLENGE, PROOF, ACCEPT, DENY, KINDS };

typedef unsigned char byte;

struct model {
    byte c_mode, proved, asked; /* asked: in this attempt */
    byte s_mode, here;          /* here: bound to the path that works, and not to another one */
    byte of_attempt;            /* the last accepted PROOF was of the client's current attempt */
    byte pending, for_attempt, from_here; /* the commit that is out */
    byte current[KINDS];        /* a message of the current attempt is under way, its counter not yet used up */
    byte older_proof;           /* of another attempt, or with a counter that is used up */
    byte lost[KINDS];           /* of those, in a row */
    byte calm, denials;
};

typedef bool model_event(struct model *m, int a, int b);

model_event client_asks, client_retries, arrives, is_lost, older_proof_arrives, store_answers, path_dies, server_hears_nothing,
        it_becomes_calm;

void model_init(struct model *m);
void model_check(struct model *m, bool called);

#endif
