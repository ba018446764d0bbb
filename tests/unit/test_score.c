/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The order of transports, the hysteresis, and the table of lost probes computed a second time from its formula.
 */
#include "score.h"

#include "runner.h"

static const struct jump_score_input good = {
    .loss_ppm = 10000, .rtt_us = 20000, .stable_since = JUMP_MS(1000), .priority = 10, .id = 5, .known = true};

/* a is better than b, and b is worse than a */
static bool first(struct jump_score_input a, struct jump_score_input b)
{
    return jump_score_compare(&a, &b) < 0 && jump_score_compare(&b, &a) > 0;
}

static void test_score_lower_loss_wins_over_everything_else(void)
{
    struct jump_score_input other = {.loss_ppm = 10001, .rtt_us = 1, .stable_since = 1, .id = 1, .known = true};
    CU_ASSERT_TRUE(first(good, other));
}

static void test_score_each_key_decides_only_when_those_before_it_are_equal(void)
{
    struct jump_score_input other = good;
    other.id = 6;
    CU_ASSERT_TRUE(first(good, other));
    other.priority = 9;
    CU_ASSERT_TRUE(first(other, good));
    other.stable_since = JUMP_MS(1001);
    CU_ASSERT_TRUE(first(good, other));
    other.rtt_us = 19999;
    CU_ASSERT_TRUE(first(other, good));
    other.loss_ppm = 10001;
    CU_ASSERT_TRUE(first(good, other));
}

static void test_score_the_same_transport_is_equal_to_itself(void)
{
    CU_ASSERT_EQUAL(jump_score_compare(&good, &good), 0);
}

static void test_score_never_stable_comes_after_stable(void)
{
    struct jump_score_input other = good;
    other.stable_since = JUMP_NEVER;
    CU_ASSERT_TRUE(first(good, other));
}

static void test_score_unmeasured_comes_last_and_its_numbers_are_not_looked_at(void)
{
    struct jump_score_input bad = {.loss_ppm = 999999, .rtt_us = UINT32_MAX, .id = 9, .known = true};
    struct jump_score_input unknown = {.priority = 1, .id = 1}, other = {.loss_ppm = 7, .priority = 2, .id = 0};
    CU_ASSERT_TRUE(first(bad, unknown));
    CU_ASSERT_TRUE(first(unknown, other));
    CU_ASSERT_EQUAL(jump_score_points(&unknown), 0);
    CU_ASSERT_FALSE(jump_score_better_by(&unknown, &bad, 0));
}

static void test_score_points_run_from_0_to_100_and_never_rise_with_loss_or_delay(void)
{
    struct jump_score_input in = {.known = true};
    CU_ASSERT_EQUAL(jump_score_points(&in), 100);
    uint32_t before = 100;
    for (in.loss_ppm = 0; in.loss_ppm <= 1100000; in.loss_ppm += 997) {
        CU_ASSERT_TRUE_FATAL(jump_score_points(&in) <= before);
        before = jump_score_points(&in);
    }
    CU_ASSERT_EQUAL(before, 0);
    in.loss_ppm = 0;
    before = 100;
    for (in.rtt_us = 0; in.rtt_us <= 3000000; in.rtt_us += 997) {
        CU_ASSERT_TRUE_FATAL(jump_score_points(&in) <= before);
        before = jump_score_points(&in);
    }
    CU_ASSERT_EQUAL(before, 80);
}

static void test_score_a_margin_must_be_reached_not_almost(void)
{
    struct jump_score_input current = good, candidate = good;
    current.rtt_us = candidate.rtt_us = 0;
    current.loss_ppm = 200000; /* 64 + 20 */
    candidate.loss_ppm = 137501; /* 68 + 20: four points better */
    candidate.id = 6;
    CU_ASSERT_EQUAL(jump_score_points(&candidate), jump_score_points(&current) + 4);
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 5));
    candidate.loss_ppm = 137500;
    CU_ASSERT_TRUE(jump_score_better_by(&candidate, &current, 5));
    CU_ASSERT_FALSE(jump_score_better_by(&current, &candidate, 0));
}

static void test_score_a_short_delay_does_not_outvote_loss(void)
{
    struct jump_score_input current = good, candidate = good;
    current.loss_ppm = 0;
    current.rtt_us = 900000;
    candidate.rtt_us = 1000;
    candidate.loss_ppm = 12500; /* one point worse there, 18 better here */
    CU_ASSERT_TRUE(jump_score_points(&candidate) > jump_score_points(&current));
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 5));
}

static void test_score_an_equal_candidate_is_never_worth_a_switch_at_margin_1(void)
{
    struct jump_score_input candidate = good;
    candidate.priority = 1;
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &good, 1));
}

/* How often two paths of one and the same loss look different enough, with so many probes of each. */
static unsigned switches_by_chance(uint32_t loss_ppm, unsigned probes, unsigned of)
{
    uint64_t random = loss_ppm + probes;
    unsigned found = 0;
    for (unsigned run = 0; run < of; run++) {
        struct jump_score_input a = good, b = good;
        a.loss_ppm = b.loss_ppm = 0;
        for (unsigned i = 0; i < probes; i++) {
            a.loss_ppm += runner_random(&random) % 1000000 < loss_ppm ? 1 : 0;
            b.loss_ppm += runner_random(&random) % 1000000 < loss_ppm ? 1 : 0;
        }
        a.probes = b.probes = probes;
        a.loss_ppm = (uint32_t)(a.loss_ppm * 1000000ull / probes);
        b.loss_ppm = (uint32_t)(b.loss_ppm * 1000000ull / probes);
        found += jump_score_better_by(&a, &b, 1);
    }
    return found;
}

static void test_score_a_difference_that_chance_explains_is_worth_no_switch(void)
{
    for (uint32_t loss = 20000; loss <= 900000; loss += 40000)
        for (unsigned probes = 4; probes <= 256; probes *= 2)
            CU_ASSERT_TRUE(switches_by_chance(loss, probes, 2000) <= 12);
    struct jump_score_input current = good, candidate = good;
    current.loss_ppm = 440000; /* 25 % each way */
    candidate.loss_ppm = 0;
    current.probes = candidate.probes = 11;
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 1));
    current.probes = candidate.probes = 24; /* twelve seconds at the default pace */
    CU_ASSERT_TRUE(jump_score_better_by(&candidate, &current, 5));
    candidate.loss_ppm = 360000; /* 20 % each way */
    current.probes = candidate.probes = 256;
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 1));
    candidate.loss_ppm = 278000; /* 15 % each way */
    CU_ASSERT_TRUE(jump_score_better_by(&candidate, &current, 5));
    candidate.probes = 0; /* nothing to compare with */
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 1));
}

static void test_score_where_the_loss_cannot_be_told_apart_the_delay_decides_by_a_whole_point(void)
{
    struct jump_score_input current = good, candidate = good;
    current.probes = candidate.probes = 64;
    current.loss_ppm = 300000;
    candidate.loss_ppm = 290000;
    current.rtt_us = 101000; /* on the two sides of a point's edge, two milliseconds apart */
    candidate.rtt_us = 99000;
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 1));
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 0));
    candidate.rtt_us = 51001;
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 1));
    candidate.rtt_us = 51000;
    CU_ASSERT_TRUE(jump_score_better_by(&candidate, &current, 1));
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 2));
    candidate.loss_ppm = 310000; /* never against the loss */
    CU_ASSERT_FALSE(jump_score_better_by(&candidate, &current, 1));
}

static void test_score_margin_decays_to_1_and_no_further(void)
{
    jump_time span = JUMP_MS(4000);
    CU_ASSERT_EQUAL(jump_score_margin(5, 0, span), 5);
    CU_ASSERT_EQUAL(jump_score_margin(5, span - 1, span), 5);
    CU_ASSERT_EQUAL(jump_score_margin(5, span, span), 2);
    CU_ASSERT_EQUAL(jump_score_margin(5, 2 * span, span), 1);
    CU_ASSERT_EQUAL(jump_score_margin(5, 1000000 * span, span), 1);
    CU_ASSERT_EQUAL(jump_score_margin(100, 7 * span, span), 1);
    CU_ASSERT_EQUAL(jump_score_margin(5, 0, 0), 1);
    CU_ASSERT_EQUAL(jump_score_margin(1, 0, span), 1);
    CU_ASSERT_EQUAL(jump_score_margin(0, 0, span), 0);
    CU_ASSERT_EQUAL(jump_score_margin(5, JUMP_NEVER, 1), 1);
}

static void test_score_a_clean_path_keeps_the_count_of_the_policy(void)
{
    CU_ASSERT_EQUAL(jump_score_drops(2, 0), 2);
    CU_ASSERT_EQUAL(jump_score_drops(3, 0), 3);
    CU_ASSERT_EQUAL(jump_score_drops(20, 0), 20);
    CU_ASSERT_EQUAL(jump_score_drops(20, 300000), 20); /* never below the policy's */
}

/* A01: smallest n with p^n < 1e-4, by multiplication with p in ppm; the margins to 1e-4 are far above the rounding. */
static uint32_t smallest(double p)
{
    uint32_t n = 1;
    for (double power = p; power >= 1e-4 * (1 - 1e-9); power *= p)
        n++;
    return n;
}

static void test_score_A01_a_false_death_is_rarer_than_1_in_10000_trains(void)
{
    for (uint32_t loss = 1; loss <= 850000; loss += 499) {
        double power = 1;
        for (uint32_t n = jump_score_drops(2, loss); n > 0; n--)
            power *= loss / 1e6;
        CU_ASSERT_TRUE_FATAL(power < 1e-4);
    }
}

static void test_score_the_table_holds_the_smallest_counts_at_its_upper_edges(void)
{
    static const uint32_t edges[] = {10000,  20000,  50000,  100000, 150000, 200000, 250000, 300000, 350000, 400000,
                                     450000, 500000, 550000, 600000, 650000, 700000, 750000, 800000, 850000};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        CU_ASSERT_EQUAL(jump_score_drops(2, edges[i]), smallest(edges[i] / 1e6));
        if (i > 0) /* the bucket begins right after the edge before */
            CU_ASSERT_EQUAL(jump_score_drops(2, edges[i - 1] + 1), smallest(edges[i] / 1e6));
    }
}

static void test_score_the_count_never_exceeds_64_nor_falls_with_more_loss(void)
{
    uint32_t before = 0;
    for (uint32_t loss = 0; loss <= 1000000; loss += 500) {
        uint32_t drops = jump_score_drops(3, loss);
        CU_ASSERT_TRUE_FATAL(drops >= before && drops <= 64);
        before = drops;
    }
    CU_ASSERT_EQUAL(before, 64);
    CU_ASSERT_EQUAL(jump_score_drops(3, UINT32_MAX), 64);
    CU_ASSERT_EQUAL(jump_score_drops(1000, 0), 64);
}

#define TESTS(X)                                                                 \
    X(test_score_lower_loss_wins_over_everything_else)                           \
    X(test_score_each_key_decides_only_when_those_before_it_are_equal)           \
    X(test_score_the_same_transport_is_equal_to_itself)                          \
    X(test_score_never_stable_comes_after_stable)                                \
    X(test_score_unmeasured_comes_last_and_its_numbers_are_not_looked_at)        \
    X(test_score_points_run_from_0_to_100_and_never_rise_with_loss_or_delay)     \
    X(test_score_a_margin_must_be_reached_not_almost)                            \
    X(test_score_a_short_delay_does_not_outvote_loss)                            \
    X(test_score_an_equal_candidate_is_never_worth_a_switch_at_margin_1)         \
    X(test_score_a_difference_that_chance_explains_is_worth_no_switch)           \
    X(test_score_where_the_loss_cannot_be_told_apart_the_delay_decides_by_a_whole_point) \
    X(test_score_margin_decays_to_1_and_no_further)                              \
    X(test_score_a_clean_path_keeps_the_count_of_the_policy)                     \
    X(test_score_A01_a_false_death_is_rarer_than_1_in_10000_trains)              \
    X(test_score_the_table_holds_the_smallest_counts_at_its_upper_edges)         \
    X(test_score_the_count_never_exceeds_64_nor_falls_with_more_loss)

RUN_TESTS("score", TESTS)
