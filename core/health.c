/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loss and round trip of one path, in integers. The same inputs give the same numbers on every machine (I15).
 * Read next: client.c and server.c, which enter probes and act on the judgement.
 */
#include "health.h"

#include <string.h>

#define SMOOTHING 64u         /* probes that the smoothed loss remembers, about */
#define LEAST_SAMPLES 3u      /* fewer say nothing about a ratio */
#define LEAST_RTO JUMP_MS(100)
#define MOST_RTO JUMP_MS(3000)
#define UNKNOWN_RTO JUMP_MS(500)

static uint32_t slot_of(uint64_t seq)
{
    return (uint32_t)(seq % JUMP_HEALTH_PROBES);
}

static uint32_t bit_of(uint64_t seq)
{
    return UINT32_C(1) << slot_of(seq);
}

static uint32_t clock_ms(const struct jump_health *h, jump_time now)
{
    return (uint32_t)((now - h->since) / JUMP_MS(1));
}

static void smooth(struct jump_health *h, bool lost)
{
    if (lost)
        h->loss_ppm += (JUMP_PPM - h->loss_ppm) / SMOOTHING;
    else
        h->loss_ppm -= h->loss_ppm / SMOOTHING;
}

static void enter(struct jump_health *h, uint64_t seq, bool answered, jump_time now)
{
    h->at_ms[slot_of(seq)] = clock_ms(h, now);
    h->used |= bit_of(seq);
    if (answered)
        h->answered |= bit_of(seq);
    else
        h->answered &= ~bit_of(seq);
}

void jump_health_init(struct jump_health *h, jump_time now)
{
    memset(h, 0, sizeof *h);
    h->next_seq = 1;
    h->since = now;
    h->bad_since = JUMP_NEVER;
    h->good_since = JUMP_NEVER;
}

uint64_t jump_health_send(struct jump_health *h, jump_time now)
{
    uint64_t seq = h->next_seq++;
    enter(h, seq, false, now);
    return seq;
}

bool jump_health_waiting(const struct jump_health *h, uint64_t seq)
{
    return seq != 0 && seq < h->next_seq && h->next_seq - seq <= JUMP_HEALTH_PROBES && (h->used & bit_of(seq)) &&
           !(h->answered & bit_of(seq));
}

bool jump_health_passed(const struct jump_health *h, uint64_t seq)
{
    for (uint64_t later = h->next_seq - 1; later > seq && h->next_seq - later <= JUMP_HEALTH_PROBES; later--)
        if (h->used & h->answered & bit_of(later))
            return true;
    return false;
}

uint32_t jump_health_count(const struct jump_health *h)
{
    return (uint32_t)__builtin_popcount(h->used);
}

/* By age, so that the 32 bits of milliseconds may wrap (49 days). */
jump_time jump_health_sent_at(const struct jump_health *h, uint64_t seq, jump_time now)
{
    uint32_t age = clock_ms(h, now) - h->at_ms[slot_of(seq)];
    jump_time whole = h->since + (now - h->since) / JUMP_MS(1) * JUMP_MS(1);
    return whole - JUMP_MS(age);
}

bool jump_health_answer(struct jump_health *h, jump_time *sent_at, uint64_t seq, jump_time now)
{
    if (!jump_health_waiting(h, seq))
        return false;
    *sent_at = jump_health_sent_at(h, seq, now);
    h->answered |= bit_of(seq);
    smooth(h, false);
    if (now - *sent_at <= MOST_RTO) /* a withheld probe measures the one who withheld it */
        jump_health_rtt(h, now > *sent_at ? now - *sent_at : 1);
    return true;
}

bool jump_health_first_since(const struct jump_health *h, jump_time *sent_at, bool *answered, jump_time since,
                             jump_time settle, jump_time now)
{
    bool found = false;
    for (uint64_t seq = h->next_seq - 1; seq > 0 && h->next_seq - seq <= JUMP_HEALTH_PROBES; seq--) {
        jump_time at = jump_health_sent_at(h, seq, now);
        if (!(h->used & bit_of(seq)) || at < since)
            break;
        if (now - at < settle)
            continue;
        found = true;
        *sent_at = at;
        *answered = (h->answered & bit_of(seq)) != 0;
    }
    return found;
}

void jump_health_overdue(struct jump_health *h)
{
    smooth(h, true);
}

void jump_health_see(struct jump_health *h, uint64_t seq, jump_time now)
{
    if (seq < h->next_seq) { /* late: it was counted as lost, and was not */
        if (jump_health_waiting(h, seq))
            h->answered |= bit_of(seq);
        return;
    }
    uint64_t missed = h->next_seq == 1 ? 0 : seq - h->next_seq;
    if (missed > JUMP_HEALTH_PROBES)
        missed = JUMP_HEALTH_PROBES;
    for (uint64_t lost = seq - missed; lost < seq; lost++) {
        enter(h, lost, false, now);
        smooth(h, true);
    }
    enter(h, seq, true, now);
    smooth(h, false);
    h->next_seq = seq + 1;
}

void jump_health_rtt(struct jump_health *h, jump_time rtt)
{
    uint32_t us = rtt > JUMP_MS(60000) ? 60000000u : (uint32_t)(rtt / 1000);
    if (us == 0)
        us = 1;
    h->srtt_us = h->srtt_us == 0 ? us : (uint32_t)(((uint64_t)h->srtt_us * 7 + us) / 8);
}

jump_time jump_health_rto(const struct jump_health *h)
{
    jump_time rto = (jump_time)h->srtt_us * 3000;
    if (h->srtt_us == 0)
        return UNKNOWN_RTO;
    return rto < LEAST_RTO ? LEAST_RTO : rto > MOST_RTO ? MOST_RTO : rto;
}

static uint32_t loss_among(const struct jump_health *h, uint32_t window_ms, jump_time settle, jump_time now)
{
    uint32_t clock = clock_ms(h, now), settle_ms = (uint32_t)(settle / JUMP_MS(1)), settled = 0, lost = 0;
    for (uint32_t slot = 0; slot < JUMP_HEALTH_PROBES; slot++) {
        uint32_t bit = UINT32_C(1) << slot, age = clock - h->at_ms[slot];
        if (!(h->used & bit) || age > window_ms)
            continue;
        if (h->answered & bit)
            settled++;
        else if (age >= settle_ms) {
            settled++;
            lost++;
        }
    }
    return settled < LEAST_SAMPLES ? 0 : (uint32_t)((uint64_t)lost * JUMP_PPM / settled);
}

uint32_t jump_health_loss(const struct jump_health *h, uint32_t window_ms, jump_time settle, jump_time now)
{
    return loss_among(h, window_ms, settle, now);
}

uint32_t jump_health_loss_before(const struct jump_health *h, jump_time settle, jump_time now)
{
    uint32_t ring = loss_among(h, UINT32_MAX, settle, now);
    return ring > h->loss_ppm ? ring : h->loss_ppm;
}

enum jump_reason jump_health_judge(struct jump_health *h, const struct jump_policy *policy, jump_time settle,
                                   jump_time now)
{
    enum jump_reason reason = JUMP_REASON_NONE;
    if (jump_health_loss(h, policy->loss_window_ms, settle, now) > policy->loss_volatile_threshold)
        reason = JUMP_REASON_LOSS_THRESHOLD_EXCEEDED;
    else if (policy->latency_volatile_threshold_ms != 0 &&
             h->srtt_us / 1000 > policy->latency_volatile_threshold_ms)
        reason = JUMP_REASON_LATENCY_THRESHOLD_EXCEEDED;
    if (reason == JUMP_REASON_NONE) {
        h->bad_since = JUMP_NEVER;
        if (h->good_since == JUMP_NEVER)
            h->good_since = now;
        return JUMP_REASON_NONE;
    }
    h->good_since = JUMP_NEVER;
    if (h->bad_since == JUMP_NEVER)
        h->bad_since = now;
    return now - h->bad_since >= JUMP_MS(policy->loss_window_ms) ? reason : JUMP_REASON_NONE;
}
