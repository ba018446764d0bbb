/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The counter window: what was seen or is too old is refused, a check changes nothing, and the ring agrees with a
 * model that simply remembers every counter.
 */
#include "replay.h"

#include <string.h>

#include "runner.h"

static uint64_t words[JUMP_REPLAY_MOST_BITS / 64 + 2]; /* the last ones show writes behind the end */
static struct jump_replay window;

static void begin(uint32_t bits)
{
    memset(words, 0xa5, sizeof words);
    jump_replay_init(&window, words, bits);
}

static bool take(uint64_t counter)
{
    if (!jump_replay_fresh(&window, counter))
        return false;
    jump_replay_commit(&window, counter);
    return true;
}

static void test_replay_only_powers_of_two_in_range_are_sizes(void)
{
    CU_ASSERT_EQUAL(jump_replay_words(64), 1);
    CU_ASSERT_EQUAL(jump_replay_words(128), 2);
    CU_ASSERT_EQUAL(jump_replay_words(4096), 64);
    CU_ASSERT_EQUAL(jump_replay_words(0), 0);
    CU_ASSERT_EQUAL(jump_replay_words(32), 0);
    CU_ASSERT_EQUAL(jump_replay_words(65), 0);
    CU_ASSERT_EQUAL(jump_replay_words(96), 0);
    CU_ASSERT_EQUAL(jump_replay_words(8192), 0);
    CU_ASSERT_EQUAL(jump_replay_words(UINT32_MAX), 0);
}

static void test_replay_first_copy_is_accepted(void)
{
    begin(64);
    CU_ASSERT_TRUE(take(1));
    CU_ASSERT_TRUE(take(2));
}

static void test_replay_second_copy_is_refused(void)
{
    begin(64);
    CU_ASSERT_TRUE(take(7));
    CU_ASSERT_FALSE(take(7));
    CU_ASSERT_TRUE(take(70)); /* the window has moved by almost its width */
    CU_ASSERT_FALSE(take(7));
    CU_ASSERT_TRUE(take(8)); /* its neighbour was never seen */
    CU_ASSERT_FALSE(take(8));
}

static void test_replay_counter_zero_is_never_fresh(void)
{
    begin(64);
    CU_ASSERT_FALSE(take(0));
    jump_replay_commit(&window, 0);
    CU_ASSERT_TRUE(take(64)); /* shares its place with 0 in the ring */
    CU_ASSERT_FALSE(take(0));
}

static void test_replay_window_is_exactly_as_wide_as_asked(void)
{
    static const uint32_t sizes[] = {64, 128, 1024, 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t highest = 100000;
        begin(sizes[i]);
        CU_ASSERT_TRUE(take(highest));
        CU_ASSERT_TRUE(jump_replay_fresh(&window, highest - sizes[i] + 1));
        CU_ASSERT_FALSE(jump_replay_fresh(&window, highest - sizes[i]));
        CU_ASSERT_FALSE(jump_replay_fresh(&window, 1));
    }
}

static void test_replay_a_check_changes_nothing(void)
{
    begin(128);
    CU_ASSERT_TRUE(take(500));
    uint64_t kept[2];
    struct jump_replay before = window;
    memcpy(kept, words, sizeof kept);
    for (uint64_t counter = 0; counter < 2000; counter++)
        (void)jump_replay_fresh(&window, counter);
    (void)jump_replay_fresh(&window, UINT64_MAX);
    CU_ASSERT_EQUAL(memcmp(&before, &window, sizeof before), 0);
    CU_ASSERT_EQUAL(memcmp(kept, words, sizeof kept), 0);
}

static void test_replay_committing_what_is_too_old_changes_nothing(void)
{
    begin(64);
    CU_ASSERT_TRUE(take(1000));
    uint64_t kept = words[0];
    jump_replay_commit(&window, 936); /* one below the window: the place of 1000 */
    jump_replay_commit(&window, 1);
    CU_ASSERT_EQUAL(words[0], kept);
    CU_ASSERT_EQUAL(window.highest, 1000);
}

static void test_replay_a_jump_forgets_only_what_left_the_window(void)
{
    begin(128);
    for (uint64_t counter = 1; counter <= 128; counter++)
        CU_ASSERT_TRUE(take(counter));
    CU_ASSERT_TRUE(take(192));
    for (uint64_t counter = 65; counter <= 128; counter++)
        CU_ASSERT_FALSE(jump_replay_fresh(&window, counter));
    for (uint64_t counter = 129; counter < 192; counter++)
        CU_ASSERT_TRUE(jump_replay_fresh(&window, counter));
    CU_ASSERT_TRUE(take(192 + 1000000));
    CU_ASSERT_TRUE(take(192 + 1000000 - 127));
    CU_ASSERT_FALSE(take(192));
}

static void test_replay_the_last_counter_does_not_wrap(void)
{
    begin(64);
    CU_ASSERT_TRUE(take(UINT64_MAX - 1));
    CU_ASSERT_TRUE(take(UINT64_MAX));
    CU_ASSERT_FALSE(take(UINT64_MAX));
    CU_ASSERT_FALSE(take(UINT64_MAX - 1));
    CU_ASSERT_FALSE(take(1));
    CU_ASSERT_TRUE(take(UINT64_MAX - 63));
    CU_ASSERT_FALSE(take(UINT64_MAX - 64));
}

static void test_replay_nothing_is_written_behind_the_storage(void)
{
    begin(64);
    for (uint64_t counter = 1; counter < 1000; counter += 3)
        CU_ASSERT_TRUE(take(counter));
    CU_ASSERT_EQUAL(words[1], UINT64_C(0xa5a5a5a5a5a5a5a5));
}

/* A model without a ring: every counter has its own flag. */
static void test_replay_agrees_with_a_model_that_remembers_all(void)
{
    enum { RANGE = 40000 };
    static bool seen[RANGE];
    static const uint32_t sizes[] = {64, 128, 256, 4096};
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t highest = 0;
        unsigned wrong = 0;
        memset(seen, 0, sizeof seen);
        begin(sizes[i]);
        while (highest < RANGE - 2 * JUMP_REPLAY_MOST_BITS) {
            uint64_t dice = runner_random(&random), span = dice % 50 == 0 ? 2 * sizes[i] : 20;
            uint64_t counter = highest + runner_random(&random) % span;
            uint64_t back = runner_random(&random) % (2 * sizes[i]);
            if (dice % 3 != 0)
                counter = counter > back ? counter - back : 0;
            bool expected = counter > 0 && !seen[counter] && counter + sizes[i] > highest;
            wrong += take(counter) != expected;
            if (expected)
                seen[counter] = true;
            if (expected && counter > highest)
                highest = counter;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_EQUAL(window.highest, highest);
    }
}

#define TESTS(X)                                                  \
    X(test_replay_only_powers_of_two_in_range_are_sizes)          \
    X(test_replay_first_copy_is_accepted)                         \
    X(test_replay_second_copy_is_refused)                         \
    X(test_replay_counter_zero_is_never_fresh)                    \
    X(test_replay_window_is_exactly_as_wide_as_asked)             \
    X(test_replay_a_check_changes_nothing)                        \
    X(test_replay_committing_what_is_too_old_changes_nothing)     \
    X(test_replay_a_jump_forgets_only_what_left_the_window)       \
    X(test_replay_the_last_counter_does_not_wrap)                 \
    X(test_replay_nothing_is_written_behind_the_storage)          \
    X(test_replay_agrees_with_a_model_that_remembers_all)

RUN_TESTS("replay", TESTS)
