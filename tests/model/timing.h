/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What timing.c keeps of one side's session, all of it: bytes without padding. Instants are ages and rests in ticks, so that a
 * session may run for ever and its states are finite all the same.
 */
#ifndef MODEL_TIMING_H
#define MODEL_TIMING_H

#include "step.h"

#ifndef TICK_MS
#define TICK_MS 20000u /* the core's minute is three of them */
#endif
#ifndef TTL
#define TTL 3 /* ticks without a path */
#endif
#ifndef WINDOW
#define WINDOW 2 /* the client's recovery window */
#endif
#ifndef SWITCH_FOR
#define SWITCH_FOR 2 /* T16: how long a voluntary switch may take, within the window */
#endif
#ifndef LIFETIME
#define LIFETIME 7
#endif
#ifndef SWITCHES
#define SWITCHES 2 /* in a minute */
#endif

typedef unsigned char byte;

struct model {
    byte mode;
    byte life;                       /* ticks since birth */
    byte unbound;                    /* ticks since unbound_at */
    /* client */
    byte recovery_left, switch_left, retry_left; /* until due */
    byte switching;                  /* ticks since T8 */
    /* server */
    byte fenced, fenced_for;         /* whether, and ticks since */
    byte pending, same;              /* a commit is out; for the path that is bound */
    byte ring[SWITCHES], at;         /* ticks since each switch; OLD: none that counts */
    /* what somebody sees who knows nothing of the above */
    byte seen_unbound, seen_recovering, seen_life;
    byte seen_switch[SWITCHES + 1];  /* ages of the last ones, newest first */
    byte ended;
};

typedef bool model_event(struct model *m, int a, int b);

model_event time_passes, timers_run;
model_event client_measures, client_path_dies, client_switches, client_is_denied, client_has_no_candidate, client_is_accepted;
model_event server_measures, server_path_dies, server_hears_proof, server_store_answers;

void model_init(struct model *m);
/** @param called  the host called the core; false: only time passed */
void model_check(struct model *m, bool called);

#endif
