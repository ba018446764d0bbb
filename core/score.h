/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which of two transports is better, by how much, and how many lost probes mean death (model.md 5 and 8).
 * Integers only, nothing learned: the same measurements give the same choice on every machine. Knows neither
 * probes nor sessions; the engine measures. Read next: score.c.
 */
#ifndef JUMP_SCORE_H
#define JUMP_SCORE_H

#include <jumping/types.h>

#define JUMP_SCORE_MOST_DROPS 64u

/** What is known of one transport. */
struct jump_score_input {
    uint32_t loss_ppm;      /* over the loss window, parts per million; more than 1 000 000 counts as that */
    uint32_t probes;        /* that the loss was taken from; 0: it is exact */
    uint32_t rtt_us;        /* smoothed */
    jump_time stable_since; /* when it last became stable; JUMP_NEVER: it is not */
    uint32_t priority;      /* configured; lower is preferred */
    uint8_t id;             /* unique among those compared */
    bool known;             /* false: never measured; loss, rtt and stable_since are not looked at */
};

/**
 * Lower loss, then lower RTT, then longest stable, then lower priority, then lower id; one that was never
 * measured comes after every one that was.
 *
 * @return < 0: a is better; > 0: b is better; 0 only for the same id
 */
int jump_score_compare(const struct jump_score_input *a, const struct jump_score_input *b);

/** 0 (unusable or never measured) .. 100 (no loss, no delay): up to 80 for delivery, up to 20 for an RTT below 1 s. */
uint32_t jump_score_points(const struct jump_score_input *in);

/**
 * True if the candidate deserves a voluntary switch: it comes first in jump_score_compare and is better by at
 * least this many points. Never for a candidate that was not measured. A lower loss counts only where it is more than
 * chance: among few probes two equal paths never show the same (docs/decisions/0013).
 */
bool jump_score_better_by(const struct jump_score_input *candidate, const struct jump_score_input *current,
                          uint32_t margin_points);

/**
 * The margin to demand now: the policy's, halved for each whole `volatile_to_degraded` for which the path has been
 * bad, down to 1, so that no session is pinned to a bad path. A policy of 0 stays 0.
 *
 * @param bad_for              ns since the path left ATTACHED
 * @param volatile_to_degraded ns, the policy's; 0 is taken as "long over"
 */
uint32_t jump_score_margin(uint32_t policy_margin, jump_time bad_for, jump_time volatile_to_degraded);

/**
 * How many unanswered probes in a row mean that the path is dead: the policy's count on a clean path, more where
 * probes were lost before, so that a train of losses on a living path is taken for death less than once in 10 000
 * trains. At most 64: above 85 % loss 64 probes are a little less than that, and no path one could use.
 *
 * @param loss_ppm share of probes that stayed **unanswered** (both directions together) before the train began
 */
uint32_t jump_score_drops(uint32_t max_consecutive_drops, uint32_t loss_ppm);

#endif
