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
    RTT_US_PER_POINT = 50000, /* an RTT of a second gets none: people no longer talk over it */
    LEAST_PROBES = 12,
    MICRO = 1000000
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

/* In millionths of a point: rounding would make a whole one of a millisecond. */
static int64_t rtt_points(const struct jump_score_input *in)
{
    int64_t late = (int64_t)in->rtt_us * (MICRO / RTT_US_PER_POINT), most = (int64_t)RTT_POINTS * MICRO;
    return late < most ? most - late : 0;
}

static int64_t points(const struct jump_score_input *in)
{
    if (!in->known || loss_of(in) == PPM)
        return 0;
    return (int64_t)(PPM - loss_of(in)) * LOSS_POINTS + rtt_points(in);
}

uint32_t jump_score_points(const struct jump_score_input *in)
{
    return (uint32_t)(points(in) / MICRO);
}

/* What chance alone may do to a loss of so few probes: its variance, after one more that was answered and one that was not. */
static uint64_t spread(const struct jump_score_input *in, uint64_t *loss)
{
    uint64_t n = in->probes;
    *loss = (loss_of(in) * n + PPM) / (n + 2);
    return *loss * (PPM - *loss) / (n + 2);
}

/* Is the lower loss more than chance? Three deviations of the difference; a handful of probes says nothing. */
static bool told_apart(const struct jump_score_input *candidate, const struct jump_score_input *current)
{
    uint64_t better, worse;
    if (candidate->probes == 0 && current->probes == 0)
        return true;
    if (candidate->probes < LEAST_PROBES || current->probes < LEAST_PROBES)
        return false;
    uint64_t variance = spread(candidate, &better) + spread(current, &worse);
    return worse > better && (worse - better) * (worse - better) > 9 * variance;
}

bool jump_score_better_by(const struct jump_score_input *candidate, const struct jump_score_input *current,
                          uint32_t margin_points)
{
    /* Both: points alone could let a short RTT outvote loss, the order alone knows no margin. */
    if (!candidate->known || jump_score_compare(candidate, current) >= 0)
        return false;
    if (loss_of(candidate) != loss_of(current) && !told_apart(candidate, current)) /* the same loss, as far as one can tell */
        return rtt_points(candidate) - rtt_points(current) >= (int64_t)(margin_points > 0 ? margin_points : 1) * MICRO;
    return points(candidate) - points(current) >= (int64_t)margin_points * MICRO;
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
