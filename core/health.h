/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What one path's probes tell: loss, round trip, and since when it has been good or bad (model.md 5). A ring of
 * the last probes by sequence number; the client enters what it sends, the server what it sees and what it
 * misses. Knows no message and no session. Read next: score.h (what the numbers mean for a decision).
 */
#ifndef JUMP_HEALTH_H
#define JUMP_HEALTH_H

#include <jumping/policy.h>
#include <jumping/types.h>

#define JUMP_HEALTH_PROBES 32u

struct jump_health {
    uint64_t next_seq;   /* the next probe's number; the first is 1 */
    jump_time since;     /* what at_ms counts from */
    uint32_t at_ms[JUMP_HEALTH_PROBES]; /* when probe n (slot n % 32) was sent, or missed */
    uint32_t used, answered;            /* a bit for each slot */
    uint32_t loss_ppm;   /* smoothed over about 64 probes: the loss "measured before" */
    uint32_t srtt_us;    /* smoothed round trip; 0: not measured */
    jump_time bad_since, good_since; /* JUMP_NEVER: it is not */
};

void jump_health_init(struct jump_health *h, jump_time now);

/** Client: a probe goes out. @return its sequence number */
uint64_t jump_health_send(struct jump_health *h, jump_time now);

/**
 * Client: an answer came.
 *
 * @param[out] sent_at when that probe was sent
 * @return false: no such probe is waiting; nothing changed
 */
bool jump_health_answer(struct jump_health *h, jump_time *sent_at, uint64_t seq, jump_time now);

/** How many probes the ring holds, answered or not. */
uint32_t jump_health_count(const struct jump_health *h);

/** When this probe was sent; only for one that is waiting. */
jump_time jump_health_sent_at(const struct jump_health *h, uint64_t seq, jump_time now);

/** True if this probe was sent and has not been answered. */
bool jump_health_waiting(const struct jump_health *h, uint64_t seq);

/** True if a probe after this one, of the same binding, has been answered: what is said of this one is out of date. */
bool jump_health_passed(const struct jump_health *h, uint64_t seq);

/**
 * The first probe that was sent at `since` or later and has had `settle` to be answered. Chosen by its time alone: whoever
 * looks at the newest of a train of probes finds the answered one that ended it.
 *
 * @return false: there is none
 */
bool jump_health_first_since(const struct jump_health *h, jump_time *sent_at, bool *answered, jump_time since,
                             jump_time settle, jump_time now);

/** Client: a probe is overdue; it counts as lost in the smoothed loss (an answer that comes later is no harm). */
void jump_health_overdue(struct jump_health *h);

/** Server: a probe came in; the numbers between the last one and this one count as lost. */
void jump_health_see(struct jump_health *h, uint64_t seq, jump_time now);

/** A round trip was measured by other means (BIRTH, CHALLENGE): begin with it. */
void jump_health_rtt(struct jump_health *h, jump_time rtt);

/** RTO = max(3 x smoothed RTT, 100 ms), at most 3 s; 500 ms while nothing is measured. */
jump_time jump_health_rto(const struct jump_health *h);

/**
 * Loss over the window, in ppm, among probes older than `settle`; 0 while fewer than three are.
 */
uint32_t jump_health_loss(const struct jump_health *h, uint32_t window_ms, jump_time settle, jump_time now);

/** Loss over the whole ring or smoothed, whichever is more: what raises the count that means death. */
uint32_t jump_health_loss_before(const struct jump_health *h, jump_time settle, jump_time now);

/**
 * Judge the path now and remember since when. One spike is no instability: a threshold must be exceeded for a
 * whole loss window.
 *
 * @return the reason for which the path is volatile now, or JUMP_REASON_NONE
 */
enum jump_reason jump_health_judge(struct jump_health *h, const struct jump_policy *policy, jump_time settle,
                                   jump_time now);

#endif
