/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The session's block of memory and its invariants. No message, no I/O, no decision.
 * Read next: engine.c, where every mutation ends in jump_session_broken.
 */
#include "session.h"

#include <string.h>

#define ALIGN(n) (((n) + 7u) & ~(size_t)7u)
#define MINUTE JUMP_MS(60000)

/* Due timers run before anything else, so a bound may be passed only by what one input takes: nothing. The slack is
 * for an instant that is both "now" and "due". */
static bool passed(jump_time due, jump_time now)
{
    return due != JUMP_NEVER && now > due;
}

/* A server's session does not pay for what only a client remembers. */
static size_t part_bytes(const struct jump_session_shape *shape)
{
    size_t part = shape->role == JUMP_SERVER ? sizeof(struct jump_server_part) : sizeof(struct jump_client_part);
    return ALIGN(offsetof(struct jump_session, u) + part);
}

static uint8_t *behind(struct jump_session *s, const struct jump_session_shape *shape)
{
    return (uint8_t *)s + part_bytes(shape);
}

void jump_session_shape(struct jump_session_shape *shape, enum jump_role role, const struct jump_policy *policy)
{
    shape->role = role;
    shape->replay_words = (uint32_t)jump_replay_words(policy->replay_window);
    shape->switches = role == JUMP_SERVER ? policy->max_switches_per_min : 0;
}

size_t jump_session_bytes(const struct jump_session_shape *shape)
{
    return part_bytes(shape) + shape->replay_words * sizeof(uint64_t) + shape->switches * sizeof(jump_time);
}

jump_time *jump_session_switch_times(struct jump_session *s, const struct jump_session_shape *shape)
{
    return (jump_time *)(void *)(behind(s, shape) + shape->replay_words * sizeof(uint64_t));
}

void jump_session_init(struct jump_session *s, const struct jump_session_shape *shape, uint32_t slot, jump_time now)
{
    memset(s, 0, jump_session_bytes(shape));
    s->slot = slot;
    s->used = true;
    s->twin = JUMP_NO_SLOT;
    s->mode = JUMP_MODE_BIRTH;
    s->born_at = now;
    s->moved_at = now;
    s->last_activity_at = now;
    s->birth_due = JUMP_NEVER;
    s->unbound_at = JUMP_NEVER;
    s->volatile_at = JUMP_NEVER;
    jump_replay_init(&s->replay, (uint64_t *)(void *)behind(s, shape), shape->replay_words * 64);
    jump_health_init(&s->health, now);
}

bool jump_session_bound(const struct jump_session *s)
{
    return jump_mode_bound((enum jump_mode)s->mode);
}

bool jump_session_live(const struct jump_session *s)
{
    return s->used && s->mode != JUMP_MODE_TERMINATED;
}

bool jump_session_silent(const struct jump_session *s, enum jump_role role)
{
    return role == JUMP_CLIENT && s->mode == JUMP_MODE_BIRTH && !s->u.client.announced;
}

uint32_t jump_session_recent_switches(struct jump_session *s, const struct jump_session_shape *shape,
                                      jump_time *free_at, jump_time now)
{
    const jump_time *times = jump_session_switch_times(s, shape);
    uint32_t recent = 0;
    *free_at = now;
    jump_time oldest = JUMP_NEVER;
    for (uint32_t i = 0; i < shape->switches; i++) {
        if (times[i] == 0 || now - times[i] >= MINUTE)
            continue;
        recent++;
        if (times[i] < oldest)
            oldest = times[i];
    }
    if (oldest != JUMP_NEVER)
        *free_at = oldest + MINUTE;
    return recent;
}

jump_time jump_session_key_expires_at(const struct jump_session *s)
{
    uint8_t newest = s->epochs.held == 2 && s->epochs.peer_has_new ? 1 : 0; /* a key that nobody shares prolongs nothing */
    jump_time at = s->epochs.made_at[newest] + JUMP_MS(s->policy.key_max_age_ms);
    if (s->unbound_at != JUMP_NEVER && s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms) > at)
        at = s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms);
    return at;
}

jump_time jump_session_expires_at(const struct jump_session *s)
{
    jump_time at = s->born_at + JUMP_MS(s->policy.max_lifetime_ms), key = jump_session_key_expires_at(s);
    if (key < at)
        at = key;
    if (s->unbound_at != JUMP_NEVER && s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms) < at)
        at = s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms);
    return at;
}

static bool path_set(const struct jump_path *path)
{
    static const struct jump_path none;
    return memcmp(path, &none, sizeof none) != 0;
}

const char *jump_session_broken(struct jump_session *s, const struct jump_session_shape *shape, jump_time now)
{
    jump_time unused;
    if (jump_session_bound(s) != path_set(&s->binding))
        return "I1";
    if ((s->mode == JUMP_MODE_DEGRADED_UNBOUND || s->mode == JUMP_MODE_RECOVERING_UNBOUND) !=
        (s->unbound_at != JUMP_NEVER))
        return "I7";
    if (s->unbound_at != JUMP_NEVER && s->mode != JUMP_MODE_TERMINATED &&
        passed(s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms), now))
        return "I7";
    if (s->version - s->checked_version > 1)
        return "I8";
    if (s->mode != JUMP_MODE_TERMINATED && !jump_session_silent(s, shape->role) &&
        passed(s->born_at + JUMP_MS(s->policy.max_lifetime_ms), now))
        return "I6";
    if (shape->role == JUMP_SERVER && s->mode != JUMP_MODE_TERMINATED &&
        jump_session_recent_switches(s, shape, &unused, now) > s->policy.max_switches_per_min)
        return "I4";
    if (shape->role == JUMP_CLIENT && s->mode == JUMP_MODE_RECOVERING_UNBOUND && passed(s->u.client.recovery_due, now))
        return "I5";
    s->checked_version = s->version;
    return NULL;
}
