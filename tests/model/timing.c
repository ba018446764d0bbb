/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bounds in time of one side's session: I4, I5, I6, I7. Time passes in ticks whether or not the host calls the core; whatever
 * the host then brings, what is due is taken first, in the order of model.md 3. The other side, the network and the store do
 * what they like when they like. The count of switches in a minute is core/session.c's own.
 *
 * What the core remembers and what an onlooker sees are kept apart: a bound that the core forgets is seen by the other.
 * Read next: messages.c (what the messages may do), timing.pml.
 */
#include "timing.h"

#include <string.h>

#include "session.h"

#define OLD (60000 / TICK_MS + 1) /* more than a minute ago: how much more is all the same */
#define LATE 250                  /* a rest that has passed */

static bool bound(byte mode)
{
    return jump_mode_bound((enum jump_mode)mode);
}

#ifdef CLIENT
#define ROLE JUMP_CLIENT
#else
#define ROLE JUMP_SERVER
#endif

static bool live(const struct model *m)
{
    return m->mode != JUMP_MODE_TERMINATED;
}

static bool due(byte left)
{
    return left == 0 || left == LATE;
}

static byte lesser(byte a, byte b)
{
    return a < b ? a : b;
}

static bool without_path(byte mode)
{
    return mode == JUMP_MODE_DEGRADED_UNBOUND || mode == JUMP_MODE_RECOVERING_UNBOUND;
}

/* The onlooker: when the session has a path, or does not recover, nothing runs. */
static void settle(struct model *m)
{
    if (!without_path(m->mode) && !m->fenced)
        m->seen_unbound = 0;
    if (m->mode != JUMP_MODE_RECOVERING_BOUND && m->mode != JUMP_MODE_RECOVERING_UNBOUND)
        m->seen_recovering = 0;
}

/* engine.c, step(), and client.c, jump_client_moved() */
static void move(struct model *m, enum jump_fsm_event event, enum jump_reason reason)
{
    byte from = m->mode;
    if (!model_row(&m->mode, ROLE, event, reason))
        return;
    if (bound(from) && !bound(m->mode))
        m->unbound = m->fenced ? m->fenced_for : 0;
#ifdef FAULT_TTL
    if (without_path(m->mode))
        m->unbound = 0; /* the transport TTL begins anew with every attempt */
#endif
    if (bound(m->mode) || !live(m))
        m->unbound = 0;
#ifdef CLIENT
    switch ((enum jump_mode)m->mode) {
    case JUMP_MODE_RECOVERING_UNBOUND:
        m->recovery_left = WINDOW;
#ifndef FAULT_T23
        if (from == JUMP_MODE_RECOVERING_BOUND) /* T23: from the same beginning */
            m->recovery_left = m->switching < WINDOW ? (byte)(WINDOW - m->switching) : 0;
#endif
        break;
    case JUMP_MODE_RECOVERING_BOUND:
        m->switching = 0;
        m->switch_left = SWITCH_FOR;
#ifndef FAULT_PATIENCE
        m->switch_left = lesser(SWITCH_FOR, WINDOW); /* RECOVERING ends at its deadline, bound or not */
#endif
        break;
    default:
        break;
    }
    if (m->mode != JUMP_MODE_RECOVERING_BOUND)
        m->switching = m->switch_left = 0;
    if (m->mode != JUMP_MODE_RECOVERING_UNBOUND)
        m->recovery_left = 0;
    if (m->mode != JUMP_MODE_DEGRADED_UNBOUND)
        m->retry_left = 0;
#endif
    settle(m);
}

/* --- engine.c, session_due(): one thing that is due, the first in the order -------------------------------------- */

static bool path_dies(struct model *m)
{
    move(m, JUMP_EV_TRANSPORT_DEAD, m->mode == JUMP_MODE_ATTACHED || m->mode == JUMP_MODE_RECOVERING_BOUND
                                            ? JUMP_REASON_TRANSPORT_DEAD
                                            : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
    return true;
}

static bool one_is_due(struct model *m)
{
    if (!live(m))
        return false;
#ifndef FAULT_LIFETIME
    if (m->life >= LIFETIME) {
        move(m, JUMP_EV_SESSION_TTL, JUMP_REASON_SESSION_LIFETIME_EXCEEDED);
        return true;
    }
#endif
#ifdef CLIENT
#ifndef FAULT_WINDOW
    if (m->mode == JUMP_MODE_RECOVERING_UNBOUND && due(m->recovery_left)) {
        move(m, JUMP_EV_RECOVERY_TIMEOUT, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED);
        return true;
    }
#endif
#endif
    if (without_path(m->mode) && m->unbound >= TTL) {
        move(m, JUMP_EV_TRANSPORT_TTL, JUMP_REASON_TRANSPORT_TTL_EXCEEDED);
        return true;
    }
#ifdef CLIENT
    if (m->mode == JUMP_MODE_RECOVERING_BOUND && due(m->switch_left)) {
        move(m, JUMP_EV_SWITCH_TIMEOUT, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED);
        return true;
    }
    if (m->mode == JUMP_MODE_DEGRADED_UNBOUND && due(m->retry_left)) {
        move(m, JUMP_EV_RETRY_DUE, JUMP_REASON_RECOVERY_RETRY);
        return true;
    }
#else
#ifndef FAULT_FENCE
    if (m->fenced && m->fenced_for >= TTL) { /* the bound does not wait for the store */
        path_dies(m);
        move(m, JUMP_EV_TRANSPORT_TTL, JUMP_REASON_TRANSPORT_TTL_EXCEEDED);
        return true;
    }
#endif
#endif
    return false;
}

static void run_due(struct model *m)
{
#ifndef FAULT_TIMERS
    int turns = 0;
    while (turns < 8 && one_is_due(m))
        turns++;
    HOLDS("ROW", turns < 8); /* something is due and stays due */
#endif
}

bool timers_run(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!live(m))
        return false;
    model_say("host: calls");
    run_due(m);
#ifdef FAULT_TIMERS
    for (int turns = 0; turns < 8 && one_is_due(m); turns++)
        ;
#endif
    return true;
}

/* --- time, whether or not the host calls -------------------------------------------------------------------------- */

static void older(byte *age, byte most)
{
    if (*age < most)
        ++*age;
}

static void nearer(byte *left)
{
    *left = *left == 0 || *left == LATE ? LATE : (byte)(*left - 1);
}

bool time_passes(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!live(m))
        return false;
    model_say("time: a tick");
    older(&m->life, LIFETIME + 1);
    older(&m->seen_life, LIFETIME + 2);
    if (without_path(m->mode))
        older(&m->unbound, TTL + 1);
    if (without_path(m->mode) || m->fenced)
        older(&m->seen_unbound, TTL + 2);
    if (m->mode == JUMP_MODE_RECOVERING_BOUND || m->mode == JUMP_MODE_RECOVERING_UNBOUND)
        older(&m->seen_recovering, TTL + WINDOW + SWITCH_FOR + 2);
    if (m->mode == JUMP_MODE_RECOVERING_UNBOUND)
        nearer(&m->recovery_left);
    if (m->mode == JUMP_MODE_RECOVERING_BOUND) {
        nearer(&m->switch_left);
        older(&m->switching, WINDOW);
    }
    if (m->mode == JUMP_MODE_DEGRADED_UNBOUND)
        nearer(&m->retry_left);
    if (m->fenced)
        older(&m->fenced_for, TTL + 1);
    for (int i = 0; i < SWITCHES; i++)
        older(&m->ring[i], OLD);
    for (int i = 0; i <= SWITCHES; i++)
        older(&m->seen_switch[i], OLD);
    return true;
}

/* Time may pass while nobody calls. What is promised holds when the core has been called: once what is due was taken, before
 * the input is acted on, and after it. */
static void look(struct model *m)
{
    if (!live(m))
        return;
    HOLDS("I7", m->seen_unbound < TTL);
    HOLDS("I6", m->seen_life < LIFETIME);
#ifdef CLIENT
    HOLDS("I5", m->seen_recovering < WINDOW);
#else
    HOLDS("I5", m->mode != JUMP_MODE_RECOVERING_UNBOUND || m->seen_recovering < TTL);
    HOLDS("I4", m->seen_switch[SWITCHES] >= 60000 / TICK_MS);
#endif
}

/* What is due is taken before anything that the host brings. */
static bool hears(struct model *m, const char *what)
{
    if (!live(m))
        return false;
    model_say("%s", what);
    run_due(m);
    look(m);
    return true;
}

/* --- the client ----------------------------------------------------------------------------------------------------- */

bool client_measures(struct model *m, int a, int b)
{
    (void)b;
    static const char *const what[] = { "client: instability", "client: stable", "client: volatile_timeout" };
    if (!hears(m, what[a]))
        return false;
    bool bad = m->mode == JUMP_MODE_VOLATILE || m->mode == JUMP_MODE_DEGRADED_BOUND;
    if (a == 0 && m->mode == JUMP_MODE_ATTACHED)
        move(m, JUMP_EV_INSTABILITY, JUMP_REASON_HEARTBEAT_TIMEOUT);
    else if (a == 1 && bad)
        move(m, JUMP_EV_STABLE, JUMP_REASON_HEALTH_RECOVERED);
    else if (a == 2 && m->mode == JUMP_MODE_VOLATILE)
        move(m, JUMP_EV_VOLATILE_TIMEOUT, JUMP_REASON_VOLATILE_PERSISTED);
    return true;
}

bool client_path_dies(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!hears(m, "client: its path is dead"))
        return false;
    if (bound(m->mode))
        path_dies(m);
    return true;
}

bool client_switches(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!hears(m, "client: another path is better"))
        return false;
    if (m->mode == JUMP_MODE_VOLATILE || m->mode == JUMP_MODE_DEGRADED_BOUND)
        move(m, JUMP_EV_SWITCH_START, JUMP_REASON_LOSS_RECOVERY);
    return true;
}

/* @param retry_after  in ticks */
bool client_is_denied(struct model *m, int retry_after, int b)
{
    (void)b;
    if (!hears(m, "network: DENY"))
        return false;
    if (m->mode != JUMP_MODE_RECOVERING_BOUND && m->mode != JUMP_MODE_RECOVERING_UNBOUND)
        return true;
    move(m, JUMP_EV_REATTACH_DENIED, JUMP_REASON_SWITCH_RATE_LIMITED);
    if (m->mode == JUMP_MODE_DEGRADED_UNBOUND)
        m->retry_left = (byte)retry_after;
    return true;
}

bool client_is_accepted(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!hears(m, "network: ACCEPT"))
        return false;
    if (m->mode == JUMP_MODE_RECOVERING_BOUND || m->mode == JUMP_MODE_RECOVERING_UNBOUND)
        move(m, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
    return true;
}

/* --- the server ------------------------------------------------------------------------------------------------------ */

bool server_measures(struct model *m, int a, int b)
{
    static const char *const what[] = { "server: silence", "server: stable", "server: volatile_timeout" };
    if (!hears(m, what[a]))
        return false;
    if (m->pending && !m->same)
        return true; /* the commit decides first */
    if (a == 0 && m->mode == JUMP_MODE_ATTACHED)
        move(m, JUMP_EV_INSTABILITY, JUMP_REASON_HEARTBEAT_TIMEOUT);
    else if (a == 1 && (m->mode == JUMP_MODE_VOLATILE || m->mode == JUMP_MODE_DEGRADED_BOUND))
        move(m, JUMP_EV_STABLE, JUMP_REASON_HEALTH_RECOVERED);
    else if (a == 2 && m->mode == JUMP_MODE_VOLATILE)
        move(m, JUMP_EV_VOLATILE_TIMEOUT, JUMP_REASON_VOLATILE_PERSISTED);
    (void)b;
    return true;
}

bool server_path_dies(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!hears(m, "server: its path is dead"))
        return false;
    if (!bound(m->mode) || m->fenced)
        return true;
    if (m->pending && !m->same) {
        m->fenced = true;
        m->fenced_for = 0;
    } else {
        path_dies(m);
    }
    return true;
}

/* core/session.c counts: the ring as instants, some time after the clock began. */
static bool rate_allows(const struct model *m)
{
#ifdef FAULT_RATE
    (void)m;
    return true;
#else
    static union {
        struct jump_session s;
        uint8_t bytes[sizeof(struct jump_session) + (SWITCHES + 16) * sizeof(uint64_t)];
    } block;
    const struct jump_session_shape shape = { .role = JUMP_SERVER, .replay_words = 1, .switches = SWITCHES };
    jump_time now = JUMP_MS(100 * TICK_MS), free_at;
    jump_time *times = jump_session_switch_times(&block.s, &shape);
    for (int i = 0; i < SWITCHES; i++)
        times[i] = m->ring[i] >= OLD ? 0 : now - JUMP_MS(m->ring[i] * TICK_MS);
    return jump_session_recent_switches(&block.s, &shape, &free_at, now) < SWITCHES;
#endif
}

/* A PROOF that is valid: for the path that is bound, or for another one. */
bool server_hears_proof(struct model *m, int same, int b)
{
    (void)b;
    if (!hears(m, same ? "network: PROOF for the same path" : "network: PROOF for another path"))
        return false;
    if (m->pending || m->mode == JUMP_MODE_BIRTH || !live(m) || (same && !bound(m->mode)) || (!same && !rate_allows(m)))
        return true;
    m->pending = true;
    m->same = (byte)same;
    return true;
}

/* server.c, committed() and not_committed() */
bool server_store_answers(struct model *m, int done, int b)
{
    (void)b;
    if (!m->pending || !hears(m, done ? "store: written" : "store: not written") || !live(m))
        return false;
    bool same = m->same;
    m->pending = m->same = 0;
    if (!done) {
        if (m->fenced)
            path_dies(m);
        m->fenced = m->fenced_for = 0;
        return true;
    }
    if (same) {
        if (bound(m->mode))
            m->fenced = m->fenced_for = 0;
        return true;
    }
    if (m->mode != JUMP_MODE_RECOVERING_UNBOUND)
        move(m, JUMP_EV_REATTACH_VALID, m->mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                                     : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
    m->ring[m->at] = 0;
    m->at = (byte)((m->at + 1) % SWITCHES);
    m->fenced = m->fenced_for = 0;
    memmove(m->seen_switch + 1, m->seen_switch, SWITCHES);
    m->seen_switch[0] = 0;
    move(m, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
    return true;
}

/* --- the search's own --------------------------------------------------------------------------------------------------- */

void model_check(struct model *m, bool called)
{
    settle(m);
    if (called)
        look(m);
    HOLDS("I12", !m->ended || !live(m));
    m->ended = !live(m);
    if (!live(m)) { /* what was before is all the same */
        memset(m, 0, sizeof *m);
        m->mode = JUMP_MODE_TERMINATED;
        m->ended = true;
    }
}

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->mode = JUMP_MODE_ATTACHED;
    memset(m->ring, OLD, sizeof m->ring);
    memset(m->seen_switch, OLD, sizeof m->seen_switch);
}
