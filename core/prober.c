/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How a client knows its path (model.md 5 and 8): probes at a steady pace, faster when an answer is overdue; is the
 * path bad, stable again or dead; is another one better by enough. Turns what it measures into events and sends
 * probes, nothing else. Read next: client.c (what is done about it), health.h, score.h.
 */
#include <string.h>

#include "internal.h"

#define FULL_TRIES 3
#define LEAST_FULL_TIMEOUT JUMP_MS(1000)
#define MOST_SAMPLES 256u /* about two minutes of heartbeats are remembered, one at least */
#define FORGET_AFTER JUMP_MS(30000) /* a path that was good for so long: what was measured before says nothing now */

struct jump_candidate_part *jump_prober_candidate(struct jump_engine *e, uint8_t transport)
{
    for (uint8_t i = 0; i < e->candidate_count; i++)
        if (e->candidates[i].candidate.path.transport == transport)
            return &e->candidates[i];
    return NULL;
}

/* One outcome for each heartbeat, whatever the pace of the probes: a train of losses on the binding must not weigh more than
 * the same silence of a candidate. Two paths are compared by these alone. */
static void sample(struct jump_engine *e, const struct jump_session *s, uint8_t transport, const struct jump_health *h)
{
    struct jump_candidate_part *p = jump_prober_candidate(e, transport);
    jump_time pace = JUMP_MS(s->policy.heartbeat_interval_ms), sent_at;
    bool answered;
    if (!p)
        return;
    jump_time since = jump_later(p->sampled_at + pace - JUMP_MS(2), e->now - jump_earlier(e->now, 4 * pace));
    if (!jump_health_first_since(h, &sent_at, &answered, since, jump_health_rto(h), e->now))
        return;
    p->sampled_at = sent_at;
    p->tried++;
    p->lost += !answered;
    if (p->tried >= MOST_SAMPLES) {
        p->tried /= 2;
        p->lost /= 2;
    }
}

/* --- probing the binding ------------------------------------------------------------------------------------ */

static bool idle(const struct jump_engine *e, const struct jump_session *s)
{
    return s->mode == JUMP_MODE_ATTACHED && e->now - s->last_activity_at >= JUMP_IDLE;
}

/* How long until the next probe when all is well: idle sessions stretch it, so that a phone may sleep. */
static jump_time next_interval(const struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    jump_time heartbeat = JUMP_MS(s->policy.heartbeat_interval_ms);
    if (!idle(e, s))
        c->interval_for = heartbeat;
    else
        c->interval_for = jump_earlier(2 * jump_later(c->interval_for, heartbeat), JUMP_MS(s->policy.idle_interval_ms));
    return c->interval_for;
}

static void send_probe(struct jump_engine *e, struct jump_session *s, uint64_t seq, const struct jump_path *to,
                       bool claims, jump_time interval, size_t len)
{
    jump_time slack = jump_later(jump_health_rto(&s->health), interval / 2);
    struct jump_body body = {
        .seq = seq,
        .sent_at = e->now,
        .transport = to->transport,
        .claims_binding = claims,
        .generation = s->generation,
        .received = s->u.client.received,
        .next_within_ms = (uint32_t)((interval + slack) / JUMP_MS(1)),
    };
    jump_engine_send(e, s, JUMP_MSG_PROBE, &body, len, to, jump_engine_newest_key(s));
}

void jump_prober_probe(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    jump_time interval = next_interval(e, s);
    sample(e, s, s->binding.transport, &s->health);
    c->newest_seq = jump_health_send(&s->health, e->now);
    send_probe(e, s, c->newest_seq, &s->binding, true, interval, JUMP_PROBE_BYTES);
    if (c->overdue_at == JUMP_NEVER || e->now >= c->overdue_at) /* the oldest that waits: a later probe puts nothing off */
        c->overdue_at = e->now + jump_health_rto(&s->health);
    c->probe_at = e->now + interval;
    if (c->unanswered_since == JUMP_NEVER)
        c->unanswered_since = e->now;
}

/* Small probes can pass where full packets vanish: one of full size after each bind (model.md 5). It may meet the burst of
 * what was held, so it is tried three times before its loss means anything. */
static void probe_full_size(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    c->full_seq = JUMP_FULL_SEQ | s->generation;
    c->full_due = e->now + jump_later(4 * jump_health_rto(&s->health), LEAST_FULL_TIMEOUT);
    send_probe(e, s, c->full_seq, &s->binding, true, JUMP_MS(s->policy.heartbeat_interval_ms), JUMP_PROBE_FULL_BYTES);
}

void jump_prober_begin(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    c->drops = 0;
    c->unanswered_since = JUMP_NEVER;
    c->unbound_seq = 0;
    c->last_accept_at = e->now;
    c->last_answer_at = e->now;
    c->interval_for = 0;
    c->overdue_at = JUMP_NEVER;
    s->health.used = 0; /* what was measured there says nothing about here */
    s->health.bad_since = s->health.good_since = JUMP_NEVER;
    jump_prober_probe(e, s);
    c->full_tries = 0;
    probe_full_size(e, s);
}

void jump_prober_dead(struct jump_engine *e, struct jump_session *s)
{
    enum jump_reason reason = s->mode == JUMP_MODE_VOLATILE || s->mode == JUMP_MODE_DEGRADED_BOUND
                                      ? JUMP_REASON_DEAD_TRANSPORT_RECOVERY
                                      : JUMP_REASON_TRANSPORT_DEAD;
    jump_engine_move(e, s, JUMP_EV_TRANSPORT_DEAD, reason);
}

/* The newest probe is overdue: the train goes on at RTO spacing, or the path is dead. */
void jump_prober_overdue(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    if (c->drops == 0)
        c->drops_allowed = jump_score_drops(s->policy.max_consecutive_drops,
                                            jump_health_loss_before(&s->health, jump_health_rto(&s->health) * 2, e->now));
    c->drops++;
    jump_health_overdue(&s->health);
    /* The server attaches on our first PROBE: giving up before it has one would end a session at its birth. */
    bool unconfirmed = !c->confirmed && e->now < s->born_at + JUMP_MS(s->policy.birth_window_ms);
    if (c->drops >= c->drops_allowed && !unconfirmed)
        jump_prober_dead(e, s);
    else
        jump_prober_probe(e, s);
}

/* Is the path volatile, or stable again? */
void jump_prober_judge(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    enum jump_reason reason = jump_health_judge(&s->health, &s->policy, jump_health_rto(&s->health), e->now);
    bool troubled = c->drops > 0;
    if (reason == JUMP_REASON_NONE && c->drops >= s->policy.max_consecutive_drops)
        reason = JUMP_REASON_CONSECUTIVE_DROP_EXCEEDED;
    if (reason == JUMP_REASON_NONE && c->unanswered_since != JUMP_NEVER &&
        e->now >= jump_silence_over(e, c->unanswered_since + JUMP_MS(s->policy.heartbeat_volatile_ms)))
        reason = JUMP_REASON_HEARTBEAT_TIMEOUT;
    if (s->mode == JUMP_MODE_ATTACHED && reason != JUMP_REASON_NONE)
        jump_engine_move(e, s, JUMP_EV_INSTABILITY, reason);
    else if ((s->mode == JUMP_MODE_VOLATILE || s->mode == JUMP_MODE_DEGRADED_BOUND) && reason == JUMP_REASON_NONE &&
             !troubled && s->health.good_since != JUMP_NEVER &&
             e->now - jump_later(s->health.good_since, s->moved_at) >= JUMP_MS(s->policy.stable_window_ms))
        jump_engine_move(e, s, JUMP_EV_STABLE, JUMP_REASON_HEALTH_RECOVERED);
}

/* --- candidates and voluntary switches ---------------------------------------------------------------------- */

bool jump_prober_has_choice(const struct jump_engine *e, const struct jump_session *s)
{
    return (s->mode == JUMP_MODE_VOLATILE || s->mode == JUMP_MODE_DEGRADED_BOUND) && e->candidate_count > 1;
}

void jump_prober_forget_candidates(struct jump_engine *e, const struct jump_session *s)
{
    jump_time newest = 0;
    for (uint8_t i = 0; i < e->candidate_count; i++)
        if (e->candidates[i].candidate.path.transport != s->binding.transport)
            newest = jump_later(newest, e->candidates[i].sampled_at);
    for (uint8_t i = 0; i < e->candidate_count; i++) {
        struct jump_candidate_part *p = &e->candidates[i];
        p->known = false;
        p->stable_since = JUMP_NEVER;
        p->health.used = 0;
        p->health.loss_ppm = p->health.srtt_us = 0;
        if (e->now - newest >= FORGET_AFTER)
            p->tried = p->lost = 0;
    }
}

void jump_prober_candidates(struct jump_engine *e, struct jump_session *s)
{
    for (uint8_t i = 0; i < e->candidate_count; i++) {
        struct jump_candidate_part *p = &e->candidates[i];
        const struct jump_path *path = &p->candidate.path;
        if (path->transport == s->binding.transport || (s->u.client.refused >> i & 1))
            continue;
        sample(e, s, path->transport, &p->health);
        if (jump_health_waiting(&p->health, p->health.next_seq - 1)) {
            jump_health_overdue(&p->health);
            p->stable_since = JUMP_NEVER;
        }
        uint64_t seq = JUMP_CANDIDATE_SEQ | (uint64_t)path->transport << 48 | jump_health_send(&p->health, e->now);
        send_probe(e, s, seq, path, false, JUMP_MS(s->policy.heartbeat_interval_ms), JUMP_PROBE_BYTES);
    }
    s->u.client.candidate_probe_at = e->now + JUMP_MS(s->policy.heartbeat_interval_ms);
}

static void score_of(struct jump_score_input *in, const struct jump_candidate_part *p, uint32_t rtt_us,
                     jump_time stable_since)
{
    in->loss_ppm = p->tried == 0 ? 0 : (uint32_t)((uint64_t)p->lost * JUMP_PPM / p->tried);
    in->probes = p->tried;
    in->rtt_us = rtt_us;
    in->stable_since = stable_since;
    in->priority = p->candidate.priority;
    in->id = p->candidate.path.transport;
    in->known = rtt_us != 0 && p->tried > 0;
}

static struct jump_candidate_part *best_candidate(struct jump_engine *e, struct jump_session *s)
{
    struct jump_score_input current, best, in;
    struct jump_candidate_part *found = NULL, *own = jump_prober_candidate(e, s->binding.transport);
    if (!own || own->tried == 0) /* gone from the list, and dead in a moment; or there is nothing to compare with */
        return NULL;
    score_of(&current, own, s->health.srtt_us, s->health.good_since);
    uint32_t margin = jump_score_margin(s->policy.hysteresis_margin,
                                        s->volatile_at == JUMP_NEVER ? 0 : e->now - s->volatile_at,
                                        JUMP_MS(s->policy.volatile_to_degraded_ms));
    for (uint8_t i = 0; i < e->candidate_count; i++) {
        struct jump_candidate_part *p = &e->candidates[i];
        if (p->candidate.path.transport == s->binding.transport || (s->u.client.refused >> i & 1) || !p->known)
            continue;
        score_of(&in, p, p->health.srtt_us, p->stable_since);
        if (jump_score_better_by(&in, &current, margin) && (!found || jump_score_compare(&in, &best) < 0)) {
            found = p;
            best = in;
        }
    }
    return found;
}

static void switch_denied(struct jump_engine *e, struct jump_session *s, enum jump_reason reason, jump_time retry_at)
{
    struct jump_client_part *c = &s->u.client;
    bool said = c->denied_said && s->mode != JUMP_MODE_VOLATILE;
    c->switch_retry_at = retry_at;
    if (said)
        return; /* T11 is an event, not a stream of them */
    struct jump_event *event = jump_audit_reason(e, s, JUMP_EVENT_SWITCH_DENIED, reason);
    event->fields |= JUMP_FIELD_RETRY | JUMP_FIELD_CANDIDATES;
    event->retry_after_ms = retry_at == JUMP_NEVER ? 0 : (uint32_t)((retry_at - e->now) / JUMP_MS(1));
    event->candidate_count = e->candidate_count;
    c->denied_said = true;
    jump_engine_move(e, s, JUMP_EV_SWITCH_DENIED, reason);
}

/* A candidate is better: T8 if the policy lets us. The rate is the server's to count (I4). */
void jump_prober_consider_switch(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    if (!jump_prober_has_choice(e, s) || e->now < c->switch_retry_at)
        return;
    struct jump_candidate_part *p = best_candidate(e, s);
    if (!p)
        return;
    jump_time cool = c->last_accept_at + JUMP_MS(s->policy.switch_cooldown_ms);
    if (s->policy.max_switches_per_min == 0 ||
        !(s->policy.allowed_protocols & JUMP_PROTO_BIT(p->candidate.path.proto))) {
        switch_denied(e, s, JUMP_REASON_POLICY_DENIED, JUMP_NEVER);
    } else if (e->now < cool) {
        switch_denied(e, s, JUMP_REASON_COOLDOWN_ACTIVE, cool);
    } else {
        c->next_candidate = (uint8_t)(p - e->candidates);
        jump_engine_move(e, s, JUMP_EV_SWITCH_START, JUMP_REASON_LOSS_RECOVERY);
    }
}

void jump_prober_full_size_lost(struct jump_engine *e, struct jump_session *s)
{
    if (++s->u.client.full_tries < FULL_TRIES) {
        probe_full_size(e, s);
        return;
    }
    s->u.client.full_seq = 0;
    struct jump_event *event = jump_audit_emit(e, s, JUMP_EVENT_PATH_MTU_SUSPECT);
    event->fields |= JUMP_FIELD_NEW_TRANSPORT | JUMP_FIELD_LOSS;
    event->new_transport = s->binding;
    event->loss_ppm = s->health.loss_ppm;
}
