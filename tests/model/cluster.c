/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * I11: two nodes, one session, one store that compares and sets. This is the rule for the step that brings the store (ownership
 * key, lease, epoch); of it the core has so far the compare-and-set of a session's record, T19 and the owner epoch on top of the
 * counters. The transitions of a node's session are rows of the core's table.
 *
 *   - The store hands ownership to whoever asks first once the lease of the former owner is over there, under the next epoch
 *     (which only the client looks at: here it is not counted).
 *   - A node counts its lease from when it asked, never from the answer, and stops MARGIN before the end.
 *   - No packet passes outside the lease: the data path is fenced by it.
 *   - Every write expects a revision, and any write, an acquisition too, makes a new one.
 *   - What a write became is said once it is known, however late; until then the node writes nothing else.
 *
 * Nodes may stand still at any moment and for any time: they simply do nothing, while their clocks go on.
 */
#include "cluster.h"

#include <string.h>

enum { NOTHING, ACQUIRE, RENEW, BIND };

static void move(struct model *m, int n, enum jump_fsm_event event, enum jump_reason reason)
{
    model_row(&m->node[n].mode, JUMP_SERVER, event, reason);
    if (!jump_mode_bound((enum jump_mode)m->node[n].mode))
        m->node[n].path = 0;
}

/* Packets pass here. */
static bool holds_binding(const struct model *m, int n)
{
#ifdef FAULT_FENCE
    return m->node[n].owns && m->node[n].path != 0;
#else
    return m->node[n].owns && m->node[n].lease > 0 && m->node[n].path != 0;
#endif
}

static void forgets_session(struct model *m, int n)
{
    m->node[n].owns = m->node[n].lease = m->node[n].behind = m->node[n].path = 0;
    m->node[n].mode = JUMP_MODE_TERMINATED;
}

/* --- what a node asks of the store ------------------------------------------------------------------------------ */

static void ask(struct model *m, int n, byte what, byte path)
{
    m->node[n].asks = what;
    m->node[n].asked_for = path;
    m->node[n].applied = m->node[n].refused = m->node[n].late = m->node[n].behind_since_ask = 0;
    m->node[n].write_current = m->node[n].current;
}

bool acquires(struct model *m, int n, int b)
{
    (void)b;
    if (m->node[n].owns || m->node[n].asks)
        return false;
    model_say("node %d: wants to own the session", n + 1);
    m->node[n].current = true; /* it has read the record */
    ask(m, n, ACQUIRE, 0);
    return true;
}

bool renews(struct model *m, int n, int b)
{
    (void)b;
    if (!m->node[n].owns || m->node[n].lease == 0 || m->node[n].asks)
        return false;
    model_say("node %d: renews its lease", n + 1);
    ask(m, n, RENEW, 0);
    return true;
}

/* Steps 9 to 11. */
bool hears_proof(struct model *m, int n, int path)
{
    if (!m->node[n].owns || m->node[n].lease == 0 || m->node[n].asks || m->node[n].path == path)
        return false;
    model_say("network: PROOF from %d at node %d", path, n + 1);
    ask(m, n, BIND, (byte)path);
    return true;
}

/* --- the store -------------------------------------------------------------------------------------------------- */

/* Whenever it likes: the write may have been on its way for long. */
bool applies(struct model *m, int n, int b)
{
    (void)b;
    byte what = m->node[n].asks;
    if (!what || m->node[n].applied || m->node[n].refused)
        return false;
    bool fits = m->node[n].write_current;
#ifdef FAULT_COMPARE
    fits = true;
#endif
    bool free_now = m->store.lease == 0 || m->store.owner == n + 1;
#ifdef FAULT_TAKEOVER
    free_now = true;
#endif
    if (what == ACQUIRE)
        fits = fits && free_now;
    model_say("store: the write of node %d is %s", n + 1, fits ? "taken" : "refused");
    if (!fits) {
        m->node[n].refused = true;
        return true;
    }
    m->node[n].applied = true;
    m->node[!n].current = m->node[!n].write_current = false; /* a new revision */
    if (what == ACQUIRE) {
        m->store.path = 0;
        m->store.owner = (byte)(n + 1);
    }
    if (what == BIND) {
        m->store.path = m->node[n].asked_for;
    } else {
        m->store.owner = (byte)(n + 1);
        m->store.lease = LEASE;
    }
    return true;
}

static byte lease_left(const struct model *m, int n)
{
#ifdef FAULT_FROM_ANSWER
    (void)m, (void)n;
    return LEASE - MARGIN;
#else
    return m->node[n].late < LEASE - MARGIN ? (byte)(LEASE - MARGIN - m->node[n].late) : 0;
#endif
}

bool answer_comes(struct model *m, int n, int b)
{
    (void)b;
    byte what = m->node[n].asks, path = m->node[n].asked_for;
    bool applied = m->node[n].applied;
    if (!what || (!applied && !m->node[n].refused))
        return false;
    model_say("store: answers node %d", n + 1);
    m->node[n].asks = m->node[n].asked_for = m->node[n].applied = m->node[n].refused = 0;
    if (!applied && m->node[n].owns) { /* somebody else wrote the record of a session that is ours */
        move(m, n, JUMP_EV_OWNERSHIP_AMBIGUOUS, JUMP_REASON_OWNERSHIP_CONFLICT);
        forgets_session(m, n);
    }
    if (applied && what == ACQUIRE) {
        m->node[n].owns = true;
        m->node[n].lease = lease_left(m, n);
        m->node[n].behind = m->node[n].behind_since_ask;
        m->node[n].mode = JUMP_MODE_RECOVERING_UNBOUND; /* the record, without its path */
        m->node[n].path = 0;
    }
    if (applied && what == RENEW && m->node[n].owns && m->node[n].lease > 0) {
        if (lease_left(m, n) > m->node[n].lease)
            m->node[n].lease = lease_left(m, n);
        m->node[n].behind = m->node[n].behind_since_ask;
    }
    if (applied && what == BIND && m->node[n].owns && m->node[n].lease > 0) {
        if (m->node[n].mode != JUMP_MODE_RECOVERING_UNBOUND)
            move(m, n, JUMP_EV_REATTACH_VALID, JUMP_REASON_TRANSPORT_DEAD);
        m->node[n].path = path;
        move(m, n, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
    }
    m->node[n].late = m->node[n].behind_since_ask = 0;
    return true;
}

/* --- a node's own ----------------------------------------------------------------------------------------------- */

/* It notices at some time; its packets stopped when the lease did. */
bool lease_is_over(struct model *m, int n, int b)
{
    (void)b;
    if (!m->node[n].owns || m->node[n].lease > 0)
        return false;
    model_say("node %d: has lost its lease", n + 1);
    move(m, n, JUMP_EV_TERMINATE, JUMP_REASON_OWNER_LOST);
    forgets_session(m, n);
    return true;
}

bool path_dies(struct model *m, int n, int b)
{
    (void)b;
    if (m->node[n].path == 0 || m->node[n].asks == BIND)
        return false;
    model_say("node %d: its path is dead", n + 1);
    move(m, n, JUMP_EV_TRANSPORT_DEAD, JUMP_REASON_TRANSPORT_DEAD);
    return true;
}

/* @param slow  bits: nodes whose clock does not go on this time */
bool time_passes(struct model *m, int slow, int b)
{
    (void)b;
    for (int n = 0; n < 2; n++)
        if ((slow >> n & 1) && (m->node[n].behind >= DRIFT || m->node[n].behind_since_ask >= DRIFT))
            return false;
    model_say("time: a tick%s", slow ? ", one clock is slow" : "");
    if (m->store.lease > 0)
        m->store.lease--;
    for (int n = 0; n < 2; n++) {
        if (slow >> n & 1) {
            m->node[n].behind++;
            m->node[n].behind_since_ask += m->node[n].asks != NOTHING;
            continue;
        }
        if (m->node[n].lease > 0)
            m->node[n].lease--;
        if (m->node[n].asks && m->node[n].late < LEASE)
            m->node[n].late++;
    }
    return true;
}

/* --- promises --------------------------------------------------------------------------------------------------- */

void model_check(struct model *m, bool called)
{
    (void)called;
    HOLDS("I11", !(holds_binding(m, 0) && holds_binding(m, 1)));
    for (int n = 0; n < 2; n++) {
        HOLDS("I1", jump_mode_bound((enum jump_mode)m->node[n].mode) == (m->node[n].path != 0));
        /* Who holds the binding is the one that the store names, and its path is the record's or was just asked for. */
        HOLDS("I11", !holds_binding(m, n) || m->store.owner == n + 1);
        HOLDS("I8", !holds_binding(m, n) || m->node[n].path == m->store.path || m->node[n].applied);
    }
    for (int n = 0; n < 2; n++) { /* states that differ only in what nobody looks at any more are one */
        if (m->node[n].asks == BIND || !m->node[n].asks)
            m->node[n].late = m->node[n].behind_since_ask = 0;
        if (m->node[n].applied || m->node[n].refused || !m->node[n].asks)
            m->node[n].write_current = 0;
        if (m->node[n].lease == 0)
            m->node[n].behind = 0;
        if (!m->node[n].asks && !m->node[n].owns)
            m->node[n].current = 0;
    }
}

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    forgets_session(m, 0);
    forgets_session(m, 1);
}
