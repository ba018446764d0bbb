/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What messages.c keeps of one session, all of it: bytes without padding, because spin compares states byte by byte.
 */
#ifndef MODEL_MESSAGES_H
#define MODEL_MESSAGES_H

#include "step.h"

#ifndef ASKS
#define ASKS 4 /* REQUEST and PROOF that the client may send */
#endif
#ifndef ANSWERS
#define ANSWERS 4 /* CHALLENGE, ACCEPT and DENY that the server may send */
#endif
#ifndef FLIPS
#define FLIPS 4 /* with VERSIONS: the server's version up to which its own measurements may move it */
#endif

enum { NO_PATH, HOME, MOVED, ATTACKER };    /* addresses: of the birth, where a NAT puts it next, the attacker's own */
enum { NO_ANSWER, CHALLENGE, ACCEPT, DENY };
enum { STALE = 1, WAY, OTHER };             /* DENY: stale version; this path not now; something else */
enum { NOTHING, ATTACH, BIND, SAME };       /* the store write that is out */

typedef unsigned char byte;

struct model {
    struct {
        byte mode, version, bound_to /* uplink 1 or 2 */, generation, attempt;
        byte knows;           /* the server's version as last learned */
        byte boot, sent;      /* REQUEST and PROOF: their counter */
        byte outstanding_from;
        byte refused, proved; /* uplinks, by bit */
        byte seen;            /* answers that were taken, by bit */
        byte announced, ended;
    } c;
    struct {
        byte mode, version, generation, binding, attempt, reattach_high, boot;
        byte known, was_known, acked, fenced, ended, id;
        byte pending, path, ask, steps; /* the write: where to, by which PROOF, how many versions the record is ahead */
        byte stolen;                    /* somebody else wrote the record: our revision is stale */
    } s;
    struct {
        byte proof, attempt, knows, generation;
        byte path, old; /* of the challenge: for which address, and whether its time is over */
    } ask[ASKS + 1];    /* by counter; 0 is a message that nobody sealed */
    struct {
        byte type, attempt, version, generation, path, old, why;
    } answer[ANSWERS + 1];
    byte answers;
    byte birth_acked, probed, client_said_end, server_said_end; /* sent at least once: may come at any time, any number of times */
    byte reset_for[ASKS + 1]; /* the highest boot number that a RESET for this counter tells; [0]: for a PROBE */
    byte moved_by;            /* PROOFs that have moved the binding, by bit */
    byte rolled_back;
};

/** An event, possible or not, with up to two numbers of its own. @return false: not possible now, nothing changed */
typedef bool model_event(struct model *m, int a, int b);

model_event host_opens, client_announces, birth_comes, birth_ack_comes, probe_comes;
model_event client_measures, client_dies_path, client_switches, client_switch_denied, client_switch_timeout, client_has_no_candidate,
        client_retries, client_asks, client_ends, client_birth_fails, client_hears_end;
model_event server_measures, server_dies_path, server_ends, server_birth_fails, server_transport_ttl, server_meets_thief,
        server_hears_end;
model_event after_the_end;
model_event ask_comes, answer_comes, store_answers, somebody_writes, challenges_grow_old;
model_event server_restarts, server_resets, reset_comes, server_rolls_back;

void model_init(struct model *m);
/** After each event: the promises, then everything is forgotten that can no longer matter. */
void model_check(struct model *m, bool called);

#endif
