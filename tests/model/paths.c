/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two sessions of one server where the host tells its peers apart by address alone (OpenVPN): no path is bound to both, I1, in
 * whatever order their commits, deaths and ends come. Both may ask for any path at any time: their clients share a NAT, or one
 * follows the other on an address. Read next: core/server.c, free_path(), committed(), not_committed().
 */
#include "paths.h"

#include <string.h>

enum { NOTHING, ATTACH, BIND, SAME };

static bool bound(byte mode)
{
    return jump_mode_bound((enum jump_mode)mode);
}

static bool live(const struct model *m, int s)
{
    return m->s[s].mode != JUMP_MODE_TERMINATED;
}

static void move(struct model *m, int s, enum jump_fsm_event event, enum jump_reason reason)
{
    model_row(&m->s[s].mode, JUMP_SERVER, event, reason);
    if (!bound(m->s[s].mode))
        m->s[s].binding = 0;
    if (!live(m, s))
        m->s[s].fenced = false;
}

static void is_dead(struct model *m, int s)
{
    move(m, s, JUMP_EV_TRANSPORT_DEAD, m->s[s].mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                                         : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
}

/* The path that is about to be bound held the other session. */
static void free_path(struct model *m, int s, byte path)
{
#ifndef FAULT_FREE
    if (m->s[!s].binding == path)
        is_dead(m, !s);
#else
    (void)m, (void)s, (void)path;
#endif
}

bool first_probe(struct model *m, int s, int path)
{
    if (m->s[s].mode != JUMP_MODE_BIRTH || m->s[s].pending)
        return false;
    model_say("network: first PROBE of session %d from %d", s, path);
    m->s[s].pending = ATTACH;
    m->s[s].path = (byte)path;
    return true;
}

bool proof(struct model *m, int s, int path)
{
    if (!live(m, s) || m->s[s].mode == JUMP_MODE_BIRTH || m->s[s].pending)
        return false;
    model_say("network: PROOF of session %d from %d", s, path);
    m->s[s].pending = m->s[s].binding == path ? SAME : BIND;
    m->s[s].path = (byte)path;
    return true;
}

bool store_answers(struct model *m, int s, int done)
{
    byte kind = m->s[s].pending, path = m->s[s].path;
    if (kind == NOTHING)
        return false;
    model_say("store: session %d %s", s, done ? "is written" : "is not written");
    m->s[s].pending = m->s[s].path = 0;
    if (!live(m, s))
        return true;
    if (!done) {
        if (m->s[s].fenced
#ifndef FAULT_FENCED
            && bound(m->s[s].mode) /* else the path has gone to the other session meanwhile */
#endif
        )
            is_dead(m, s);
        m->s[s].fenced = false;
        return true;
    }
    if (kind == SAME) {
        if (m->s[s].binding == path)
            m->s[s].fenced = false;
        return true;
    }
    free_path(m, s, path);
    if (kind == BIND && m->s[s].mode != JUMP_MODE_RECOVERING_UNBOUND)
        move(m, s, JUMP_EV_REATTACH_VALID, m->s[s].mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                                             : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
    m->s[s].binding = path;
    m->s[s].fenced = false;
    if (kind == ATTACH)
        move(m, s, JUMP_EV_ATTACH_OK, JUMP_REASON_ATTACHED_TO_TRANSPORT);
    else
        move(m, s, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS);
    return true;
}

bool path_dies(struct model *m, int s, int b)
{
    (void)b;
    if (!bound(m->s[s].mode) || m->s[s].fenced)
        return false;
    model_say("server: the path of session %d is dead", s);
    if (m->s[s].pending == BIND)
        m->s[s].fenced = true;
    else
        is_dead(m, s);
    return true;
}

bool measures(struct model *m, int s, int what)
{
    if (m->s[s].pending == BIND)
        return false;
    if (what == 0 && m->s[s].mode == JUMP_MODE_ATTACHED)
        move(m, s, JUMP_EV_INSTABILITY, JUMP_REASON_HEARTBEAT_TIMEOUT);
    else if (what == 1 && m->s[s].mode == JUMP_MODE_VOLATILE)
        move(m, s, JUMP_EV_VOLATILE_TIMEOUT, JUMP_REASON_VOLATILE_PERSISTED);
    else if (what == 2 && m->s[s].mode == JUMP_MODE_DEGRADED_BOUND)
        move(m, s, JUMP_EV_STABLE, JUMP_REASON_HEALTH_RECOVERED);
    else
        return false;
    return true;
}

bool ends(struct model *m, int s, int b)
{
    (void)b;
    if (!live(m, s))
        return false;
    model_say("server: session %d ends", s);
    move(m, s, JUMP_EV_TERMINATE, JUMP_REASON_OPERATOR_TERMINATED);
    return true;
}

bool transport_ttl(struct model *m, int s, int b)
{
    (void)b;
    if (!live(m, s) || !(m->s[s].fenced || m->s[s].mode == JUMP_MODE_RECOVERING_UNBOUND))
        return false;
    if (bound(m->s[s].mode))
        is_dead(m, s);
    move(m, s, JUMP_EV_TRANSPORT_TTL, JUMP_REASON_TRANSPORT_TTL_EXCEEDED);
    return true;
}

void model_check(struct model *m, bool called)
{
    (void)called;
    HOLDS("I1", m->s[0].binding == 0 || m->s[0].binding != m->s[1].binding);
    for (int s = 0; s < 2; s++) {
        HOLDS("I1", bound(m->s[s].mode) == (m->s[s].binding != 0));
        HOLDS("I12", !m->s[s].ended || !live(m, s));
        m->s[s].ended = !live(m, s);
    }
}

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
}
