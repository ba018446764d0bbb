/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Token buckets and the table of prefixes: what a flood may have, and what it must not take from others.
 */
#include "ratelimit.h"

#include <string.h>

#include "runner.h"

static struct jump_ratelimit table;
#define NOW JUMP_MS(1000000)

static struct jump_path v4(uint8_t last)
{
    struct jump_path path = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = last}};
    return path;
}

static struct jump_path v6(uint8_t network, uint8_t host)
{
    struct jump_path path = {.ip = {0x20, 0x01, 0x0d, 0xb8, [7] = network, [15] = host}};
    return path;
}

/* How many tokens this source gets at one instant, at most `most`. The hash is chosen: a real one is keyed. */
static unsigned drain(uint64_t hash, struct jump_path path, unsigned most, jump_time now)
{
    uint8_t prefix[JUMP_RATELIMIT_PREFIX_BYTES];
    unsigned taken = 0;
    jump_ratelimit_prefix(prefix, &path);
    while (taken < most && jump_ratelimit_take(&table, hash, prefix, now))
        taken++;
    return taken;
}

static void test_ratelimit_burst_is_given_and_not_one_more(void)
{
    struct jump_bucket bucket = {0};
    for (int i = 0; i < 10; i++)
        CU_ASSERT_TRUE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW));
    CU_ASSERT_FALSE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW));
}

static void test_ratelimit_one_token_comes_back_after_its_time_not_before(void)
{
    struct jump_bucket bucket = {0};
    for (int i = 0; i < 10; i++)
        CU_ASSERT_TRUE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW));
    CU_ASSERT_FALSE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW + JUMP_MS(20) - 1));
    CU_ASSERT_TRUE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW + JUMP_MS(20)));
    CU_ASSERT_FALSE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW + JUMP_MS(20)));
}

static void test_ratelimit_a_long_pause_fills_up_to_the_burst_only(void)
{
    struct jump_bucket bucket = {0};
    unsigned taken = 0;
    CU_ASSERT_TRUE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW));
    while (jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW + JUMP_MS(3600000)))
        taken++;
    CU_ASSERT_EQUAL(taken, 10);
}

static void test_ratelimit_refusals_do_not_prolong_themselves(void)
{
    struct jump_bucket bucket = {0};
    while (jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW))
        ;
    struct jump_bucket kept = bucket;
    for (int i = 0; i < 100000; i++)
        CU_ASSERT_FALSE_FATAL(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW));
    CU_ASSERT_EQUAL(bucket.full_at, kept.full_at);
    CU_ASSERT_TRUE(jump_bucket_take(&bucket, JUMP_MS(20), 10, NOW + JUMP_MS(20)));
}

static void test_ratelimit_burst_zero_gives_nothing(void)
{
    struct jump_bucket bucket = {0};
    CU_ASSERT_FALSE(jump_bucket_take(&bucket, JUMP_MS(20), 0, NOW));
}

static void test_ratelimit_long_run_rate_is_exact(void)
{
    struct jump_bucket bucket = {0};
    unsigned taken = 0;
    for (unsigned ms = 0; ms < 60000; ms++)
        for (int i = 0; i < 3; i++)
            taken += jump_bucket_take(&bucket, JUMP_RATELIMIT_PREFIX_PER_TOKEN, JUMP_RATELIMIT_PREFIX_BURST,
                                      NOW + JUMP_MS(ms));
    CU_ASSERT_EQUAL(taken, 100 + 59999 / 20);
}

static void test_ratelimit_prefix_is_the_whole_ipv4_address(void)
{
    uint8_t a[16], b[16];
    struct jump_path one = v4(1), two = v4(2), other_port = v4(1);
    other_port.port = 9;
    jump_ratelimit_prefix(a, &one);
    jump_ratelimit_prefix(b, &two);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, 16), 0);
    jump_ratelimit_prefix(b, &other_port);
    CU_ASSERT_EQUAL(memcmp(a, b, 16), 0);
}

static void test_ratelimit_prefix_is_the_64_bits_of_an_ipv6_network(void)
{
    uint8_t a[16], b[16];
    struct jump_path one = v6(1, 1), same = v6(1, 2), other = v6(2, 1);
    same.ip[8] = 0x80; /* the first bit behind the network */
    jump_ratelimit_prefix(a, &one);
    jump_ratelimit_prefix(b, &same);
    CU_ASSERT_EQUAL(memcmp(a, b, 16), 0);
    jump_ratelimit_prefix(b, &other);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, 16), 0);
}

static void test_ratelimit_one_source_is_bounded_and_others_are_not_touched(void)
{
    jump_ratelimit_init(&table);
    CU_ASSERT_EQUAL(drain(1, v4(1), 1000, NOW), JUMP_RATELIMIT_PREFIX_BURST);
    CU_ASSERT_EQUAL(drain(2, v4(2), 10, NOW), 10);
    CU_ASSERT_EQUAL(drain(1, v4(3), 10, NOW), 10); /* same set, another place */
    CU_ASSERT_EQUAL(drain(1, v4(1), 1000, NOW), 0);
}

static void test_ratelimit_a_refused_source_eats_nothing_of_the_global_bucket(void)
{
    jump_ratelimit_init(&table);
    (void)drain(1, v4(1), 1000, NOW);
    struct jump_ratelimit kept = table;
    CU_ASSERT_EQUAL(drain(1, v4(1), 1000, NOW), 0);
    CU_ASSERT_EQUAL(memcmp(&kept, &table, sizeof table), 0);
}

static void test_ratelimit_all_sources_together_are_bounded_too(void)
{
    unsigned taken = 0;
    jump_ratelimit_init(&table);
    for (unsigned network = 0; network < 200; network++)
        taken += drain(network, v6((uint8_t)network, 1), 1000, NOW);
    CU_ASSERT_EQUAL(taken, JUMP_RATELIMIT_GLOBAL_BURST);
    struct jump_ratelimit kept = table;
    CU_ASSERT_EQUAL(drain(900, v4(1), 1, NOW), 0); /* global empty: the prefix keeps its token too */
    CU_ASSERT_EQUAL(memcmp(&kept, &table, sizeof table), 0);
}

static void test_ratelimit_a_full_place_is_given_up_before_a_loaded_one(void)
{
    jump_ratelimit_init(&table);
    (void)drain(7, v4(1), 1000, NOW); /* loaded until NOW + 2 s */
    for (uint8_t host = 2; host <= 4; host++)
        (void)drain(7, v4(host), 1, NOW);
    /* the three others are full again: newcomers take their places with whole buckets */
    for (uint8_t host = 10; host < 13; host++)
        CU_ASSERT_EQUAL(drain(7, v4(host), 1000, NOW + JUMP_MS(100)), JUMP_RATELIMIT_PREFIX_BURST);
    CU_ASSERT_EQUAL(drain(7, v4(1), 1000, NOW + JUMP_MS(100)), 5); /* 100 ms gave it 5 tokens, no eviction gave more */
}

/* A15, A27: rotating through sources in one set must not make the set forget. */
static void test_ratelimit_a_flood_of_many_sources_cannot_wash_a_loaded_one_out(void)
{
    unsigned taken = 0;
    jump_ratelimit_init(&table);
    CU_ASSERT_EQUAL(drain(7, v4(1), 1000, NOW), JUMP_RATELIMIT_PREFIX_BURST);
    for (unsigned round = 0; round < 250; round++)
        taken += drain(7, v6((uint8_t)round, 1), 1000, NOW);
    CU_ASSERT_EQUAL(taken, (JUMP_RATELIMIT_WAYS - 1) * JUMP_RATELIMIT_PREFIX_BURST);
    CU_ASSERT_EQUAL(drain(7, v4(1), 1000, NOW), 0);
    /* a second later the set as a whole has earned its rate and not one token more */
    taken = 0;
    for (unsigned round = 0; round < 250; round++)
        taken += drain(7, v6((uint8_t)round, 2), 1000, NOW + JUMP_MS(1000));
    CU_ASSERT_TRUE(taken <= JUMP_RATELIMIT_WAYS * 50);
}

#define TESTS(X)                                                               \
    X(test_ratelimit_burst_is_given_and_not_one_more)                          \
    X(test_ratelimit_one_token_comes_back_after_its_time_not_before)           \
    X(test_ratelimit_a_long_pause_fills_up_to_the_burst_only)                  \
    X(test_ratelimit_refusals_do_not_prolong_themselves)                       \
    X(test_ratelimit_burst_zero_gives_nothing)                                 \
    X(test_ratelimit_long_run_rate_is_exact)                                   \
    X(test_ratelimit_prefix_is_the_whole_ipv4_address)                         \
    X(test_ratelimit_prefix_is_the_64_bits_of_an_ipv6_network)                 \
    X(test_ratelimit_one_source_is_bounded_and_others_are_not_touched)         \
    X(test_ratelimit_a_refused_source_eats_nothing_of_the_global_bucket)       \
    X(test_ratelimit_all_sources_together_are_bounded_too)                     \
    X(test_ratelimit_a_full_place_is_given_up_before_a_loaded_one)             \
    X(test_ratelimit_a_flood_of_many_sources_cannot_wash_a_loaded_one_out)

RUN_TESTS("ratelimit", TESTS)
