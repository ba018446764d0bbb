/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Builds audit records and hands them out as actions. Losing one changes nothing else (I13): where the queue has no
 * room, the record goes to a spare place and is counted. Writing and chaining lines is an adapter's work.
 */
#include <string.h>

#include "internal.h"

#define SECURITY_PER_EVENT JUMP_MS(50)
#define SECURITY_BURST 50

const char *jump_event_kind_name(enum jump_event_kind kind)
{
    static const char *const names[] = {
#define X(name, text) [JUMP_EVENT_##name] = text,
        JUMP_EVENT_KINDS(X)
#undef X
    };
    return (unsigned)kind < JUMP_EVENT_KIND_COUNT ? names[kind] : "?";
}

int jump_event_kind_by_name(const char *name)
{
    for (int kind = 0; kind < JUMP_EVENT_KIND_COUNT; kind++)
        if (strcmp(jump_event_kind_name((enum jump_event_kind)kind), name) == 0)
            return kind;
    return -1;
}

static void drop(struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind)
{
    struct jump_dropped *d = &e->dropped;
    e->stats.events_suppressed++;
    d->count++;
    d->change = d->change || kind == JUMP_EVENT_STATE_CHANGE;
    if (!s)
        return;
    if (!d->named || memcmp(&d->id, &s->id, sizeof d->id) != 0) {
        d->several = d->named;
        d->named = true;
        d->id = s->id;
        d->first = s->version;
    }
    d->last = s->version;
}

/* What is missing stands before what comes next, with the session and its versions. Of several sessions the newest is named,
 * since refusals alone leave no hole in anybody's versions; only where a change is missing as well is nobody named, and a
 * replay then knows that any session may have a hole. */
/* NOLINTNEXTLINE(misc-no-recursion): once, since what was dropped is cleared before jump_audit_emit is called */
static void tell_dropped(struct jump_engine *e)
{
    struct jump_dropped d = e->dropped;
    memset(&e->dropped, 0, sizeof e->dropped);
    struct jump_event *gap = jump_audit_emit(e, NULL, JUMP_EVENT_EVENTS_DROPPED);
    gap->fields |= JUMP_FIELD_DROPPED;
    gap->dropped = d.count;
    if (d.named && !(d.several && d.change)) {
        gap->fields |= JUMP_FIELD_SESSION;
        gap->session_id = d.id;
        gap->state_version = gap->last_version = d.last;
        gap->first_version = d.first;
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): as above */
struct jump_event *jump_audit_emit(struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind)
{
    if (e->dropped.count > 0 && jump_engine_has_room(e))
        tell_dropped(e);
    struct jump_action *action = jump_engine_push(e, JUMP_DO_EMIT, s);
    struct jump_event *event = action ? &action->event : &e->spare_event;
    const struct jump_policy *policy = s ? &s->policy : &e->config.policy;
    if (!action)
        drop(e, s, kind);
    memset(event, 0, sizeof *event);
    event->at = e->now;
    event->kind = kind;
    event->role = e->config.role;
    event->policy_major = policy->version_major;
    event->policy_minor = policy->version_minor;
    if (s) {
        event->fields = JUMP_FIELD_SESSION | JUMP_FIELD_GENERATION | JUMP_FIELD_AGE;
        event->session_id = s->id;
        event->state_version = s->version;
        event->generation = s->generation;
        event->session_age_ms = (e->now - s->born_at) / JUMP_MS(1);
    }
    return event;
}

struct jump_event *jump_audit_reason(struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind,
                                     enum jump_reason reason)
{
    struct jump_event *event = jump_audit_emit(e, s, kind);
    event->fields |= JUMP_FIELD_REASON;
    event->reason = reason;
    return event;
}

struct jump_event *jump_audit_security(struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind,
                                       enum jump_reason reason, const struct jump_path *from)
{
    if (!jump_engine_has_room(e) || !jump_bucket_take(&e->security, SECURITY_PER_EVENT, SECURITY_BURST, e->now)) {
        drop(e, s, kind);
        return NULL;
    }
    struct jump_event *event = jump_audit_reason(e, s, kind, reason);
    if (from) {
        event->fields |= JUMP_FIELD_NEW_TRANSPORT;
        event->new_transport = *from;
    }
    return event;
}
