/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Owns the order of transports, the points behind the hysteresis and the table of how many lost probes mean
 * death. It refuses to know time beyond spans it is given, and to weigh by anything that a test cannot write
 * down. Read next: score.h.
 */
#include "score.h"

#define PPM 1000000u

enum {
    LOSS_POINTS = 80,
    RTT_POINTS = 20,
    RTT_US_PER_POINT = 50000 /* an RTT of a second gets none: people no longer talk over it */
};

static uint32_t loss_of(const struct jump_score_input *in)
{
    return in->loss_ppm < PPM ? in->loss_ppm : PPM;
}

int jump_score_compare(const struct jump_score_input *a, const struct jump_score_input *b)
{
    if (a->known != b->known)
        return a->known ? -1 : 1;
    if (a->known) {
        if (loss_of(a) != loss_of(b))
            return loss_of(a) < loss_of(b) ? -1 : 1;
        if (a->rtt_us != b->rtt_us)
            return a->rtt_us < b->rtt_us ? -1 : 1;
        if (a->stable_since != b->stable_since) /* JUMP_NEVER, "not stable", is the latest of all */
            return a->stable_since < b->stable_since ? -1 : 1;
    }
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return (int)a->id - (int)b->id;
}

uint32_t jump_score_points(const struct jump_score_input *in)
{
    if (!in->known || loss_of(in) == PPM)
        return 0;
    uint32_t loss = (PPM - loss_of(in)) / (PPM / LOSS_POINTS);
    uint32_t late = in->rtt_us / RTT_US_PER_POINT;
    return loss + (late < RTT_POINTS ? RTT_POINTS - late : 0);
}

bool jump_score_better_by(const struct jump_score_input *candidate, const struct jump_score_input *current,
                          uint32_t margin_points)
{
    /* Both: points alone could let a short RTT outvote loss, the order alone knows no margin. */
    if (!candidate->known || jump_score_compare(candidate, current) >= 0)
        return false;
    uint32_t have = jump_score_points(current), offered = jump_score_points(candidate);
    return offered >= have && offered - have >= margin_points;
}

uint32_t jump_score_margin(uint32_t policy_margin, jump_time bad_for, jump_time volatile_to_degraded)
{
    if (policy_margin <= 1)
        return policy_margin;
    jump_time halvings = volatile_to_degraded > 0 ? bad_for / volatile_to_degraded : 32;
    uint32_t margin = halvings < 32 ? policy_margin >> halvings : 0;
    return margin > 1 ? margin : 1;
}

/* For each bucket of loss p (its upper edge): the smallest n with p^n < 1e-4. test_score.c computes it again. */
static const struct {
    uint32_t most_ppm;
    uint32_t drops;
} drops_table[] = {
    {10000, 3},   {20000, 3},   {50000, 4},   {100000, 5},  {150000, 5},  {200000, 6},  {250000, 7},
    {300000, 8},  {350000, 9},  {400000, 11}, {450000, 12}, {500000, 14}, {550000, 16}, {600000, 19},
    {650000, 22}, {700000, 26}, {750000, 33}, {800000, 42}, {850000, 57},
};

uint32_t jump_score_drops(uint32_t max_consecutive_drops, uint32_t loss_ppm)
{
    uint32_t drops = JUMP_SCORE_MOST_DROPS;
    for (size_t i = 0; i < sizeof drops_table / sizeof drops_table[0]; i++) {
        if (loss_ppm <= drops_table[i].most_ppm) {
            drops = drops_table[i].drops;
            break;
        }
    }
    if (loss_ppm == 0 || drops < max_consecutive_drops)
        drops = max_consecutive_drops;
    return drops < JUMP_SCORE_MOST_DROPS ? drops : JUMP_SCORE_MOST_DROPS;
}
