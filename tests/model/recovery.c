/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * I10: a client that is RECOVERING becomes ATTACHED while a candidate works and the policy allows. At first anything goes: paths
 * die, messages are lost without end, the store fails, the server denies, an attacker binds the session elsewhere with what he
 * relays. At some moment it becomes calm: one path works, of one kind at most LOSSES messages in a row are lost, the store writes,
 * DENIALS_LEFT denials are still to come, and what the attacker has of former times is too old: that a message of another attempt,
 * or with a counter that was used, does nothing is messages.c's; here such messages are left out but for a PROOF before the calm.
 *
 * Every step that stays possible is taken at some time (spin's weak fairness; one process for each in recovery.pml). No window
 * ends: that they do is timing.c's. Read next: core/client.c, request() and on_accept().
 */
#include "recovery.h"

#include <string.h>

static const char *const kind_names[KINDS] = { "REQUEST", "CHALLENGE", "PROOF", "ACCEPT", "DENY" };

static void client_moves(struct model *m, enum jump_fsm_event event, enum jump_reason reason)
{
    model_row(&m->c_mode, JUMP_CLIENT, event, reason);
}

static void server_moves(struct model *m, enum jump_fsm_event event, enum jump_reason reason)
{
    model_row(&m->s_mode, JUMP_SERVER, event, reason);
    if (!jump_mode_bound((enum jump_mode)m->s_mode))
        m->here = false;
}

/* What was of the current attempt is older now. */
static void begin_attempt(struct model *m)
{
    m->older_proof |= m->current[PROOF];
    memset(m->current, 0, sizeof m->current);
    m->proved = m->asked = m->of_attempt = m->for_attempt = false;
}

/* --- the client --------------------------------------------------------------------------------------------------- */

bool client_asks(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->c_mode != JUMP_MODE_RECOVERING_UNBOUND)
        return false;
#ifdef FAULT_ONCE
    if (m->asked)
        return false;
#endif
    model_say("client: REQUEST");
    m->asked = true;
    m->current[REQUEST] = true;
    return true;
}

bool client_retries(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->c_mode != JUMP_MODE_DEGRADED_UNBOUND)
        return false;
    client_moves(m, JUMP_EV_RETRY_DUE, JUMP_REASON_RECOVERY_RETRY);
    begin_attempt(m);
    return true;
}

static void client_hears(struct model *m, int kind)
{
    if (m->c_mode != JUMP_MODE_RECOVERING_UNBOUND)
        return;
    if (kind == CHALLENGE) {
        m->proved = true;
        m->current[PROOF] = true;
    } else if (kind == ACCEPT && m->proved) {
        client_moves(m, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
    } else if (kind == DENY) {
        client_moves(m, JUMP_EV_REATTACH_DENIED, JUMP_REASON_SWITCH_RATE_LIMITED);
    }
}

/* --- the server --------------------------------------------------------------------------------------------------- */

/* @param deny     if it may
 * @param relayed  it comes from another address, and the client proved that one too */
static void server_hears(struct model *m, int kind, bool deny, bool relayed)
{
    if (kind == PROOF && !relayed && m->here && m->of_attempt && !m->pending) { /* 4: a lost ACCEPT heals */
        m->current[ACCEPT] = true;
        return;
    }
    if (m->pending) /* 6 */
        return;
    if (!m->here && deny) { /* 8 */
        m->denials = m->calm ? (byte)(m->denials - 1) : m->denials;
        m->current[DENY] = true;
        return;
    }
    if (kind == REQUEST) { /* 9 */
        m->current[CHALLENGE] = true;
        return;
    }
    m->pending = m->for_attempt = true; /* 11 */
    m->from_here = !relayed;
}

bool store_answers(struct model *m, int done, int b)
{
    (void)b;
    if (!m->pending || (m->calm && !done))
        return false;
    model_say("store: %s", done ? "written" : "not written");
    bool same = m->here && m->from_here;
    m->pending = false;
    if (!done) {
        m->current[DENY] |= m->for_attempt;
        m->for_attempt = m->from_here = false;
        return true;
    }
    m->of_attempt = m->for_attempt;
    /* 5: what was sent before the PROOF that was just accepted is not looked at again. */
    m->current[REQUEST] = m->current[PROOF] = false;
    if (!same) {
        if (m->s_mode != JUMP_MODE_RECOVERING_UNBOUND)
            server_moves(m, JUMP_EV_REATTACH_VALID, JUMP_REASON_TRANSPORT_DEAD);
        server_moves(m, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
        m->here = m->from_here;
    }
    if (m->for_attempt && m->from_here)
        m->current[ACCEPT] = true;
    m->for_attempt = m->from_here = false;
    return true;
}

/* A server hears no probes while its client recovers. */
bool server_hears_nothing(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->s_mode != JUMP_MODE_ATTACHED || m->c_mode == JUMP_MODE_ATTACHED || m->pending)
        return false;
    server_moves(m, JUMP_EV_TRANSPORT_DEAD, JUMP_REASON_TRANSPORT_DEAD);
    return true;
}

/* --- the network --------------------------------------------------------------------------------------------------- */

/* @param how  0: as it was sent; 1: and the server says no; 2: relayed */
bool arrives(struct model *m, int kind, int how)
{
    bool to_server = kind == REQUEST || kind == PROOF, deny = how == 1, relayed = how == 2;
    if (!m->current[kind] || (deny && (!to_server || (m->calm && m->denials == 0))) || (relayed && (kind != PROOF || m->calm)))
        return false;
    model_say("network: %s arrives", kind_names[kind]);
    m->current[kind] = false;
    m->older_proof |= kind == PROOF; /* whoever sees it may keep a copy */
    m->lost[kind] = 0;
    if (to_server)
        server_hears(m, kind, deny, relayed);
    else
        client_hears(m, kind);
    return true;
}

bool is_lost(struct model *m, int kind, int b)
{
    (void)b;
    if (!m->current[kind] || (m->calm && m->lost[kind] == LOSSES))
        return false;
    model_say("network: %s is lost", kind_names[kind]);
    m->current[kind] = false;
    m->older_proof |= kind == PROOF;
    if (m->calm)
        m->lost[kind]++;
    return true;
}

/* Before it is calm it may still be good, from anywhere. */
bool older_proof_arrives(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (!m->older_proof || m->calm || m->pending)
        return false;
    model_say("network: an older PROOF, from somewhere else");
    m->pending = true;
    return true;
}

bool path_dies(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->calm || m->c_mode != JUMP_MODE_ATTACHED)
        return false;
    client_moves(m, JUMP_EV_TRANSPORT_DEAD, JUMP_REASON_TRANSPORT_DEAD);
    begin_attempt(m);
    return true;
}

bool it_becomes_calm(struct model *m, int a, int b)
{
    (void)a, (void)b;
    if (m->calm)
        return false;
    model_say("time: it becomes calm");
    m->calm = true;
    m->older_proof = false;
    return true;
}

void model_check(struct model *m, bool called)
{
    (void)called;
    if (m->calm)
        m->older_proof = false;
    if (m->c_mode != JUMP_MODE_RECOVERING_UNBOUND) { /* nobody listens */
        m->current[CHALLENGE] = m->current[ACCEPT] = m->current[DENY] = false;
        m->asked = m->proved = false;
    }
}

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->c_mode = m->s_mode = JUMP_MODE_ATTACHED;
    m->here = true;
    m->denials = DENIALS_LEFT;
}
