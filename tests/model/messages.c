/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One session from its birth to its end: a client with two uplinks, a server with its store, and between them an attacker
 * who has everything. Whatever was ever sealed is kept and may come at any time, any number of times, in any order, from any
 * address and on any uplink: that is loss, duplication, reordering, NAT rebinding, recording, replaying and re-sourcing in
 * one. Without a key nothing can be sealed, but it may be tried. Timers fire whenever they like: that bounds hold in time
 * is timing.c's. The checks stand in the order of core/server.c and core/client.c, under their names.
 *
 * FAULT_x leaves one check out; the search must find it. Read next: messages.pml (the choice), docs/proof.md (the limits).
 */
#include "messages.h"

#include <string.h>

#ifdef VERSIONS
#define VERSION(m) ((m)->s.version)
#define MAY_FLIP(m) ((m)->s.version < FLIPS)
#else
#define VERSION(m) 0 /* no message tells a version and none is kept, so that measurements may go on for ever */
#define MAY_FLIP(m) true
#endif

#ifdef UPLINKS
#define ALL_UPLINKS 6
#else
#define ALL_UPLINKS 2
#endif

static bool bound(byte mode)
{
    return jump_mode_bound((enum jump_mode)mode);
}

static bool recovering(const struct model *m)
{
    return m->c.mode == JUMP_MODE_RECOVERING_BOUND || m->c.mode == JUMP_MODE_RECOVERING_UNBOUND;
}

static bool client_lives(const struct model *m)
{
    return m->c.announced && m->c.mode != JUMP_MODE_TERMINATED;
}

static bool server_lives(const struct model *m)
{
    return m->s.known && m->s.mode != JUMP_MODE_TERMINATED;
}

/* engine.c, step() */

static void client_moves(struct model *m, enum jump_fsm_event event, enum jump_reason reason)
{
    m->c.version = (byte)(m->c.version + model_row(&m->c.mode, JUMP_CLIENT, event, reason));
    if (!bound(m->c.mode))
        m->c.bound_to = 0;
}

static void server_moves(struct model *m, enum jump_fsm_event event, enum jump_reason reason)
{
    m->s.version = (byte)(m->s.version + model_row(&m->s.mode, JUMP_SERVER, event, reason));
    if (!bound(m->s.mode))
        m->s.binding = NO_PATH;
    if (m->s.mode == JUMP_MODE_TERMINATED)
        m->s.fenced = false;
}

/* A copy that the client has not taken yet stands for a further one. */
static void answer(struct model *m, byte type, byte attempt, byte path, byte why)
{
    if (m->c.mode == JUMP_MODE_TERMINATED)
        return;
    for (int i = 1; i <= m->answers; i++)
        if (!(m->c.seen >> i & 1) && m->answer[i].type == type && m->answer[i].attempt == attempt &&
            m->answer[i].version == VERSION(m) && m->answer[i].generation == m->s.generation &&
            m->answer[i].path == path && !m->answer[i].old && m->answer[i].why == why)
            return;
    if (m->answers == ANSWERS)
        return; /* it is lost */
    m->answers++;
    m->answer[m->answers].type = type;
    m->answer[m->answers].attempt = attempt;
    m->answer[m->answers].version = VERSION(m);
    m->answer[m->answers].generation = m->s.generation;
    m->answer[m->answers].path = path;
    m->answer[m->answers].why = why;
    model_say("    server: sends %s %d, attempt %d", type == CHALLENGE ? "CHALLENGE" : type == ACCEPT ? "ACCEPT" : "DENY",
              m->answers, attempt);
}

/* --- birth -------------------------------------------------------------------------------------------------- */

bool host_opens(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->s.was_known)
        return false;
    model_say("host: opens the server's session");
    m->s.known = m->s.was_known = true;
    return true;
}

bool client_announces(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!m->s.was_known || m->c.announced)
        return false;
    model_say("client: BIRTH");
    m->c.announced = true;
    return true;
}

bool birth_comes(struct model *m, int path, int b)
{
    (void)b;
    if (!m->c.announced || !server_lives(m) || m->s.mode != JUMP_MODE_BIRTH || path != HOME)
        return false;
    model_say("network: BIRTH from %d", path);
    m->s.acked = true;
    m->birth_acked = m->s.boot;
    return true;
}

bool birth_ack_comes(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->c.mode != JUMP_MODE_BIRTH || !m->c.announced || !m->birth_acked)
        return false;
    model_say("network: BIRTH_ACK");
    m->c.boot = m->birth_acked;
    m->c.bound_to = 1;
    m->c.generation = 1;
#ifdef VERSIONS
    m->c.knows = 1;
#endif
    m->probed = true;
    client_moves(m, JUMP_EV_ATTACH_OK, JUMP_REASON_ATTACHED_TO_TRANSPORT);
    return true;
}

/* Step 11: ask the store. */
static void commit(struct model *m, byte kind, byte path, byte ask)
{
    m->s.pending = kind;
    m->s.path = path;
    m->s.ask = ask;
    m->s.steps = kind == SAME ? 0 : kind == ATTACH || m->s.mode == JUMP_MODE_RECOVERING_UNBOUND ? 1 : 2;
    model_say("    server: asks the store for path %d", path);
}

bool probe_comes(struct model *m, int path, int b)
{
    (void)b;
    if (!m->probed || !server_lives(m) || m->s.mode != JUMP_MODE_BIRTH || m->s.pending != NOTHING || !m->s.acked)
        return false;
#ifndef FAULT_FROZEN
    if (path != HOME)
        return false; /* frozen at the address of the host's own instance */
#endif
    model_say("network: first PROBE from %d", path);
    commit(m, ATTACH, (byte)path, 0);
    return true;
}

/* --- the client's measurements and timers ------------------------------------------------------------------- */

bool client_measures(struct model *m, int a, int b)
{
    (void)b;
    if (a == 0 && m->c.mode == JUMP_MODE_ATTACHED)
        client_moves(m, JUMP_EV_INSTABILITY, JUMP_REASON_LOSS_THRESHOLD_EXCEEDED);
    else if (a == 1 && (m->c.mode == JUMP_MODE_VOLATILE || m->c.mode == JUMP_MODE_DEGRADED_BOUND))
        client_moves(m, JUMP_EV_STABLE, JUMP_REASON_HEALTH_RECOVERED);
    else if (a == 2 && m->c.mode == JUMP_MODE_VOLATILE)
        client_moves(m, JUMP_EV_VOLATILE_TIMEOUT, JUMP_REASON_VOLATILE_PERSISTED);
    else
        return false;
    return true;
}

static void request(struct model *m)
{
    m->c.sent++;
    m->ask[m->c.sent].attempt = m->c.attempt;
    m->ask[m->c.sent].knows = m->c.knows;
    m->ask[m->c.sent].generation = m->c.generation;
    model_say("client: REQUEST %d, attempt %d", m->c.sent, m->c.attempt);
}

static void begin_attempt(struct model *m)
{
    m->c.attempt++;
    m->c.refused = m->c.proved = 0;
    request(m);
}

bool client_dies_path(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!bound(m->c.mode) || m->c.sent == ASKS)
        return false;
    bool first = m->c.mode != JUMP_MODE_RECOVERING_BOUND; /* T23 keeps the attempt */
    client_moves(m, JUMP_EV_TRANSPORT_DEAD, m->c.mode == JUMP_MODE_ATTACHED || !first ? JUMP_REASON_TRANSPORT_DEAD
                                                                                     : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
    HOLDS("I1", m->c.bound_to == 0);
    if (first)
        begin_attempt(m);
    return true;
}

bool client_switches(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if ((m->c.mode != JUMP_MODE_VOLATILE && m->c.mode != JUMP_MODE_DEGRADED_BOUND) || m->c.sent == ASKS)
        return false;
    client_moves(m, JUMP_EV_SWITCH_START, JUMP_REASON_LOSS_RECOVERY);
    begin_attempt(m);
    return true;
}

bool client_switch_denied(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->c.mode != JUMP_MODE_VOLATILE && m->c.mode != JUMP_MODE_DEGRADED_BOUND)
        return false;
    client_moves(m, JUMP_EV_SWITCH_DENIED, JUMP_REASON_COOLDOWN_ACTIVE);
    return true;
}

bool client_switch_timeout(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->c.mode != JUMP_MODE_RECOVERING_BOUND)
        return false;
    client_moves(m, JUMP_EV_SWITCH_TIMEOUT, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED);
    return true;
}

bool client_has_no_candidate(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!recovering(m))
        return false;
    client_moves(m, JUMP_EV_REATTACH_DENIED, JUMP_REASON_NO_CANDIDATE_TRANSPORTS);
    return true;
}

bool client_retries(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->c.mode != JUMP_MODE_DEGRADED_UNBOUND || m->c.sent == ASKS)
        return false;
    client_moves(m, JUMP_EV_RETRY_DUE, JUMP_REASON_RECOVERY_RETRY);
    begin_attempt(m);
    return true;
}

bool client_asks(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!recovering(m) || m->c.sent == ASKS)
        return false;
    request(m);
    return true;
}

/* --- ends ---------------------------------------------------------------------------------------------------- */

static const struct {
    enum jump_fsm_event event;
    enum jump_reason reason;
} any_end[] = {
    { JUMP_EV_SESSION_TTL, JUMP_REASON_SESSION_LIFETIME_EXCEEDED },
    { JUMP_EV_KEY_EXPIRED, JUMP_REASON_KEY_EXPIRED },
    { JUMP_EV_INTEGRITY, JUMP_REASON_SECURITY_FAILURE },
    { JUMP_EV_TERMINATE, JUMP_REASON_OPERATOR_TERMINATED },
};

/* 0..3: at any time; 4, 5: the bounds of a session without a path. */
bool client_ends(struct model *m, int a, int b)
{
    (void)b;
    if (!client_lives(m))
        return false;
    if (a == 4 && m->c.mode == JUMP_MODE_RECOVERING_UNBOUND)
        client_moves(m, JUMP_EV_RECOVERY_TIMEOUT, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED);
    else if (a == 5 && (m->c.mode == JUMP_MODE_RECOVERING_UNBOUND || m->c.mode == JUMP_MODE_DEGRADED_UNBOUND))
        client_moves(m, JUMP_EV_TRANSPORT_TTL, JUMP_REASON_TRANSPORT_TTL_EXCEEDED);
    else if (a < 4)
        client_moves(m, any_end[a].event, any_end[a].reason);
    else
        return false;
    m->client_said_end = true;
    return true;
}

bool client_birth_fails(struct model *m, int a, int b)
{
    (void)b;
    if (m->c.mode != JUMP_MODE_BIRTH || !m->c.announced)
        return false;
    client_moves(m, a ? JUMP_EV_BIRTH_TIMEOUT : JUMP_EV_HANDSHAKE_FAILED, JUMP_REASON_HANDSHAKE_FAIL);
    return true;
}

bool client_hears_end(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!client_lives(m) || !m->server_said_end)
        return false;
    model_say("network: TERMINATE for the client");
    client_moves(m, JUMP_EV_TERMINATE, JUMP_REASON_PEER_TERMINATED);
    return true;
}

/* --- the server's measurements and timers ------------------------------------------------------------------- */

bool server_measures(struct model *m, int a, int b)
{
    (void)b;
    if (!server_lives(m) || !MAY_FLIP(m) || m->s.pending == BIND) /* one change at a time: the commit decides first */
        return false;
    if (a == 0 && m->s.mode == JUMP_MODE_ATTACHED)
        server_moves(m, JUMP_EV_INSTABILITY, JUMP_REASON_HEARTBEAT_TIMEOUT);
    else if (a == 1 && (m->s.mode == JUMP_MODE_VOLATILE || m->s.mode == JUMP_MODE_DEGRADED_BOUND))
        server_moves(m, JUMP_EV_STABLE, JUMP_REASON_HEALTH_RECOVERED);
    else if (a == 2 && m->s.mode == JUMP_MODE_VOLATILE)
        server_moves(m, JUMP_EV_VOLATILE_TIMEOUT, JUMP_REASON_VOLATILE_PERSISTED);
    else
        return false;
    return true;
}

static void path_is_dead(struct model *m)
{
    server_moves(m, JUMP_EV_TRANSPORT_DEAD, m->s.mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                                           : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
    HOLDS("I1", m->s.binding == NO_PATH);
}

bool server_dies_path(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!server_lives(m) || !bound(m->s.mode) || !MAY_FLIP(m) || m->s.fenced)
        return false;
    if (m->s.pending == BIND) {
        model_say("server: fences its path, the store is silent");
        m->s.fenced = true;
    } else {
        path_is_dead(m);
    }
    return true;
}

bool server_transport_ttl(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!server_lives(m) || !(m->s.fenced || m->s.mode == JUMP_MODE_RECOVERING_UNBOUND))
        return false;
    if (m->s.fenced) /* the bound does not wait for the store */
        path_is_dead(m);
    server_moves(m, JUMP_EV_TRANSPORT_TTL, JUMP_REASON_TRANSPORT_TTL_EXCEEDED);
    m->server_said_end = true;
    return true;
}

bool server_ends(struct model *m, int a, int b)
{
    (void)b;
    if (!server_lives(m))
        return false;
    m->server_said_end = true;
    server_moves(m, any_end[a].event, any_end[a].reason);
    return true;
}

bool server_birth_fails(struct model *m, int a, int b)
{
    (void)b;
    if (!server_lives(m) || m->s.mode != JUMP_MODE_BIRTH)
        return false;
    m->server_said_end = true;
    server_moves(m, a ? JUMP_EV_BIRTH_TIMEOUT : JUMP_EV_HANDSHAKE_FAILED, JUMP_REASON_HANDSHAKE_FAIL);
    return true;
}

/* A write that follows meets the other's. */
bool server_meets_thief(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!server_lives(m) || !m->s.stolen || m->s.pending != NOTHING || m->s.mode == JUMP_MODE_BIRTH)
        return false;
    m->server_said_end = true;
    server_moves(m, JUMP_EV_OWNERSHIP_AMBIGUOUS, JUMP_REASON_OWNERSHIP_CONFLICT);
    return true;
}

bool server_hears_end(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!server_lives(m) || !m->client_said_end)
        return false;
    model_say("network: TERMINATE for the server");
    server_moves(m, JUMP_EV_TERMINATE, JUMP_REASON_PEER_TERMINATED);
    return true;
}

/* Whatever the table is asked when all is over. */
bool after_the_end(struct model *m, int event, int role)
{
    bool client = role == JUMP_CLIENT;
    if (client ? m->c.mode != JUMP_MODE_TERMINATED : !m->s.known || m->s.mode != JUMP_MODE_TERMINATED)
        return false;
    HOLDS("ROW", event < JUMP_EV_COUNT && JUMP_EV_COUNT == 21); /* messages.pml asks for each of them */
    if (client)
        client_moves(m, (enum jump_fsm_event)event, JUMP_REASON_REATTACH_SUCCESS);
    else
        server_moves(m, (enum jump_fsm_event)event, JUMP_REASON_REATTACH_SUCCESS);
    return true;
}

/* --- the server's order of checks: steps 2 to 11 ------------------------------------------------------------- */

static void deny(struct model *m, int n, byte why)
{
    answer(m, DENY, m->ask[n].attempt, NO_PATH, why);
}

static void unknown(struct model *m, int n)
{
    if (m->reset_for[n] < m->s.boot)
        m->reset_for[n] = m->s.boot;
}

/* @param limited  step 8 says no: how often it may is timing.c's */
static void on_reattach(struct model *m, int n, byte path, bool limited)
{
    bool proof = m->ask[n].proof, bound_here = path == m->s.binding;
    /* 4: a lost ACCEPT heals */
    if (proof && bound_here && m->s.attempt == m->ask[n].attempt && m->s.attempt != 0 && m->s.pending == NOTHING) {
        answer(m, ACCEPT, m->s.attempt, NO_PATH, 0);
        return;
    }
    /* 5 */
#ifndef FAULT_COUNTER
    if (n <= m->s.reattach_high)
        return;
#endif
    /* 6 */
    if (m->s.pending != NOTHING)
        return;
    if (m->s.mode == JUMP_MODE_BIRTH) {
        deny(m, n, OTHER);
        return;
    }
    /* 7 */
#ifndef FAULT_VERSION
    if ((!proof && m->ask[n].knows > VERSION(m)) || m->ask[n].generation > m->s.generation) {
        deny(m, n, STALE);
        return;
    }
#endif
    /* 8 */
    if (!bound_here && limited) {
        deny(m, n, WAY);
        return;
    }
    /* 9 */
#ifdef FAULT_CHALLENGE
    bool fits = proof;
#else
    bool fits = proof && m->ask[n].path == path && !m->ask[n].old;
#endif
    if (!fits) {
        HOLDS("I8", proof || m->ask[n].knows <= VERSION(m));
        answer(m, CHALLENGE, m->ask[n].attempt, path, 0);
        return;
    }
    HOLDS("I8", m->ask[n].generation <= m->s.generation);
    commit(m, bound_here ? SAME : BIND, path, (byte)n);
}

/* n = 0: not sealed by anybody who has the key. */
bool ask_comes(struct model *m, int n, int path_and_limit)
{
    byte path = (byte)(path_and_limit & 3);
    if (!m->s.was_known || n > m->c.sent)
        return false;
    model_say("network: message %d from %d", n, path);
    if (!m->s.known) { /* 2: nobody. A header can be made up */
#ifdef FAULT_CREATES
        if (n > 0 && m->ask[n].proof) {
            m->s.known = true;
            m->s.id = 2;
            m->s.mode = JUMP_MODE_RECOVERING_UNBOUND;
        }
#endif
        unknown(m, n);
        return true;
    }
    if (n == 0) { /* 3: the AEAD does not open */
#ifdef FAULT_SEAL
        if (server_lives(m) && m->s.mode != JUMP_MODE_BIRTH && m->s.pending == NOTHING)
            commit(m, BIND, path, 0);
#endif
        return true;
    }
    if (m->s.mode == JUMP_MODE_TERMINATED)
        m->server_said_end = true; /* its tombstone */
    else
        on_reattach(m, n, path, path_and_limit >> 2);
    return true;
}

/* --- the store ------------------------------------------------------------------------------------------------ */

static void written(struct model *m)
{
    m->s.pending = m->s.path = m->s.ask = m->s.steps = 0;
}

/* Step 12: the store has taken it. */
static void committed(struct model *m)
{
    byte before = m->s.version, by = m->s.ask;
    if (m->s.pending == ATTACH) {
        HOLDS("FROZEN", m->s.path == HOME);
        m->s.binding = m->s.path;
        m->s.generation = 1;
        server_moves(m, JUMP_EV_ATTACH_OK, JUMP_REASON_ATTACHED_TO_TRANSPORT);
        HOLDS("I8", m->s.version == before + m->s.steps);
        written(m);
        return;
    }
    HOLDS("PROOF", by != 0 && m->ask[by].proof && m->ask[by].path == m->s.path);
    HOLDS("PROOF", m->ask[by].attempt >= m->s.attempt);
    m->s.attempt = m->ask[by].attempt;
    m->s.reattach_high = by;
    if (m->s.pending == BIND) {
        HOLDS("PROOF", !(m->moved_by >> by & 1));
        m->moved_by |= (byte)(1 << by);
        if (m->s.mode != JUMP_MODE_RECOVERING_UNBOUND) /* T5: two rows, one commit */
            server_moves(m, JUMP_EV_REATTACH_VALID, m->s.mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                                                   : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
        m->s.binding = m->s.path;
        m->s.generation++;
        m->s.fenced = false;
        server_moves(m, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
        HOLDS("I8", m->s.version == before + m->s.steps);
        model_say("    server: bound to path %d, generation %d", m->s.binding, m->s.generation);
    } else if (m->s.binding != m->s.path) {
        written(m);
        return; /* it died meanwhile */
    }
    m->s.fenced = false;
    written(m);
    answer(m, ACCEPT, m->s.attempt, NO_PATH, 0);
}

static void not_committed(struct model *m)
{
    byte kind = m->s.pending, attempt = m->ask[m->s.ask].attempt;
    written(m);
    if (kind == ATTACH)
        return;
    answer(m, DENY, attempt, NO_PATH, OTHER);
    if (m->s.fenced) { /* the old path died meanwhile */
        path_is_dead(m);
        m->s.fenced = false;
    }
}

bool store_answers(struct model *m, int done, int b)
{
    (void)b;
    if (!m->s.known || m->s.pending == NOTHING)
        return false;
    bool conflict = m->s.stolen;
#ifdef FAULT_REVISION
    conflict = false;
#endif
    if (done && conflict)
        return false;
    model_say("store: %s", done ? "written" : conflict ? "conflict" : "not written");
    if (m->s.mode == JUMP_MODE_TERMINATED) { /* a zombie: nothing but its last write follows */
#ifdef FAULT_ZOMBIE
        if (done)
            m->s.binding = m->s.path;
#endif
        written(m);
        return true;
    }
    HOLDS("I8", !done || !m->s.stolen);
    if (done)
        committed(m);
    else
        not_committed(m);
    return true;
}

bool somebody_writes(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->s.stolen || !server_lives(m) || m->s.mode == JUMP_MODE_BIRTH)
        return false;
    model_say("store: somebody else writes the record");
    m->s.stolen = true;
    return true;
}

/* --- what the client checks ----------------------------------------------------------------------------------- */

static void take(struct model *m, int n)
{
    m->c.seen |= (byte)(1 << n);
#ifdef RESTARTS
    m->c.outstanding_from = (byte)(m->c.sent + 1);
#endif
}

static void on_challenge(struct model *m, int n, int uplink)
{
    if (!recovering(m) || m->answer[n].attempt != m->c.attempt || (m->c.refused >> uplink & 1) || m->c.sent == ASKS)
        return;
    if (m->answer[n].version > m->c.knows)
        m->c.knows = m->answer[n].version;
    take(m, n);
    byte k = ++m->c.sent;
    m->ask[k].proof = true;
    m->ask[k].attempt = m->c.attempt;
    m->ask[k].generation = m->c.generation;
    m->ask[k].path = m->answer[n].path;
    m->ask[k].old = m->answer[n].old;
    m->c.proved |= (byte)(1 << uplink);
    model_say("    client: PROOF %d, attempt %d, for the challenge to %d", k, m->c.attempt, m->ask[k].path);
}

static void on_accept(struct model *m, int n, int uplink)
{
    if (!recovering(m) || !(m->c.proved >> uplink & 1) || m->answer[n].generation < m->c.generation)
        return;
#ifndef FAULT_ATTEMPT
    if (m->answer[n].attempt != m->c.attempt)
        return;
#endif
    HOLDS("PROOF", m->answer[n].attempt == m->c.attempt);
    m->c.knows = m->answer[n].version;
    m->c.generation = m->answer[n].generation;
    m->c.bound_to = (byte)uplink;
    take(m, n);
    client_moves(m, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
}

static void on_deny(struct model *m, int n, int uplink)
{
    if (!recovering(m) || m->answer[n].attempt != m->c.attempt)
        return;
    m->c.knows = m->answer[n].version;
    take(m, n);
    if (m->answer[n].why == STALE)
        return; /* not a denial: it asks again */
    if (m->answer[n].why == WAY && m->c.mode == JUMP_MODE_RECOVERING_UNBOUND) {
        m->c.refused |= (byte)(1 << uplink);
        if (m->c.refused != ALL_UPLINKS)
            return; /* the other uplink is left */
    }
    client_moves(m, JUMP_EV_REATTACH_DENIED,
                 m->answer[n].why == WAY ? JUMP_REASON_SWITCH_RATE_LIMITED : JUMP_REASON_ATOMICITY_FAILED);
}

bool answer_comes(struct model *m, int n, int uplink)
{
    if (n > m->answers || m->c.mode == JUMP_MODE_TERMINATED || (m->c.seen >> n & 1))
        return false;
    model_say("network: answer %d on uplink %d", n, uplink);
    if (m->answer[n].type == CHALLENGE)
        on_challenge(m, n, uplink);
    else if (m->answer[n].type == ACCEPT)
        on_accept(m, n, uplink);
    else
        on_deny(m, n, uplink);
    return true;
}

bool challenges_grow_old(struct model *m, int a, int b)
{
    (void)a, (void)b;
    bool any = false;
    for (int n = 1; n <= ASKS; n++) {
        any = any || (m->ask[n].proof && !m->ask[n].old);
        m->ask[n].old = m->ask[n].proof;
    }
    for (int n = 1; n <= ANSWERS; n++) {
        any = any || (m->answer[n].type == CHALLENGE && !m->answer[n].old);
        m->answer[n].old = m->answer[n].type == CHALLENGE;
    }
    if (any)
        model_say("time: every challenge is over");
    return any;
}

/* --- restarts -------------------------------------------------------------------------------------------------- */

/* No session, no tombstone, no challenge key; a newer boot number. */
bool server_restarts(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!m->s.was_known || m->s.boot != 1)
        return false;
    model_say("server: restarts");
    memset(&m->s, 0, sizeof m->s);
    m->s.boot = 2;
    m->s.was_known = m->s.id = 1;
    m->moved_by = 0;
    challenges_grow_old(m, 0, 0);
    return true;
}

/* A RESET for a counter that was sent, or is yet to be: whoever knows the id can fish for it. */
bool server_resets(struct model *m, int n, int b)
{
    (void)b;
    if (m->s.known || m->reset_for[n] >= m->s.boot)
        return false;
    model_say("server: RESET for %d, boot %d", n, m->s.boot);
    unknown(m, n);
    return true;
}

bool reset_comes(struct model *m, int n, int b)
{
    (void)b;
    if (!client_lives(m) || m->c.mode == JUMP_MODE_BIRTH || n > m->c.sent || n < m->c.outstanding_from || m->reset_for[n] == 0)
        return false;
#ifndef FAULT_BOOT
    if (m->reset_for[n] <= m->c.boot)
        return false;
#endif
    model_say("network: RESET for %d, boot %d", n, m->reset_for[n]);
    HOLDS("RESET", !m->s.known);
    client_moves(m, JUMP_EV_TERMINATE, JUMP_REASON_UNKNOWN_SESSION);
    return true;
}

/* A restart that finds an older copy of the record. */
bool server_rolls_back(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!server_lives(m) || m->s.boot != 1 || m->s.generation < 2 || m->s.pending != NOTHING)
        return false;
    model_say("server: restarts with an older record");
    m->s.boot = 2;
    m->rolled_back = true;
    m->s.version = (byte)(m->s.version - 2);
    m->s.generation--;
    m->s.attempt = m->s.reattach_high = 0;
    m->s.mode = JUMP_MODE_RECOVERING_UNBOUND;
    m->s.binding = NO_PATH;
    m->s.fenced = false;
    m->moved_by = 0;
    challenges_grow_old(m, 0, 0);
    return true;
}

/* --- promises --------------------------------------------------------------------------------------------------- */

/* States that differ only in what nobody can ever see again are one. */
static void forget(struct model *m)
{
    if (!recovering(m))
        m->c.refused = m->c.proved = 0;
    m->c.version = 0; /* no message carries it */
    if (m->c.mode == JUMP_MODE_TERMINATED) {
        byte sent = m->c.sent, announced = m->c.announced;
        memset(&m->c, 0, sizeof m->c);
        m->c.mode = JUMP_MODE_TERMINATED;
        m->c.sent = sent;
        m->c.announced = announced;
        m->c.ended = true;
        memset(m->answer, 0, sizeof m->answer);
        m->answers = 0;
    }
    if (m->c.mode != JUMP_MODE_BIRTH)
        m->birth_acked = 0;
    if (m->s.mode != JUMP_MODE_BIRTH)
        m->s.acked = false;
    if (m->s.known && m->s.mode == JUMP_MODE_TERMINATED) {
        byte boot = m->s.boot, pending = m->s.pending, path = m->s.path;
        memset(&m->s, 0, sizeof m->s);
        m->s.mode = JUMP_MODE_TERMINATED;
        m->s.known = m->s.was_known = m->s.ended = m->s.id = 1;
        m->s.boot = boot;
        m->s.pending = pending;
        m->s.path = path;
    }
#ifndef VERSIONS
    m->s.version = m->c.knows = 0;
#endif
#ifndef RESTARTS
    memset(m->reset_for, 0, sizeof m->reset_for);
    if (m->s.mode != JUMP_MODE_BIRTH)
        m->probed = false;
    if (m->s.mode == JUMP_MODE_TERMINATED) {
        memset(m->ask, 0, sizeof m->ask);
        m->moved_by = 0;
    }
#endif
}

void model_check(struct model *m, bool called)
{
    (void)called;
    /* I1: exactly one in ATTACHED and VOLATILE, none in BIRTH and TERMINATED */
    HOLDS("I1", (m->c.mode != JUMP_MODE_ATTACHED && m->c.mode != JUMP_MODE_VOLATILE) || m->c.bound_to != 0);
    HOLDS("I1", (m->s.mode != JUMP_MODE_ATTACHED && m->s.mode != JUMP_MODE_VOLATILE) || m->s.binding != NO_PATH);
    HOLDS("I1", (m->c.mode != JUMP_MODE_BIRTH && m->c.mode != JUMP_MODE_TERMINATED) || m->c.bound_to == 0);
    HOLDS("I1", (m->s.mode != JUMP_MODE_BIRTH && m->s.mode != JUMP_MODE_TERMINATED) || m->s.binding == NO_PATH);
    /* I2: one id, and no session that the host did not open */
    HOLDS("I2", m->s.id == 1);
    /* I8: the client never knows of a version or a generation that the server did not have */
    if (server_lives(m) && m->s.mode != JUMP_MODE_BIRTH && !m->rolled_back && m->s.boot == 1 && client_lives(m)) {
        HOLDS("I8", m->c.generation <= m->s.generation);
#ifdef VERSIONS
        HOLDS("I8", m->c.knows <= m->s.version);
#endif
    }
    HOLDS("I8", m->c.version <= 1); /* one event, one move */
    /* I12 */
    HOLDS("I12", !m->c.ended || m->c.mode == JUMP_MODE_TERMINATED);
    HOLDS("I12", !m->s.ended || m->s.mode == JUMP_MODE_TERMINATED);
    m->c.ended = m->c.mode == JUMP_MODE_TERMINATED;
    m->s.ended = m->s.known && m->s.mode == JUMP_MODE_TERMINATED;
    forget(m);
}

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->s.id = m->s.boot = 1;
}
