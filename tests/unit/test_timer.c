/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The heap of deadlines against a plain scan over all slots, and the order of equal instants.
 */
#include "timer.h"

#include <string.h>

#include "runner.h"

enum { SLOTS = 37 };
static jump_time memory[SLOTS * 2 + 1]; /* 16 bytes a slot; the last word shows writes behind the end */
static struct jump_timer timer;

static void begin(void)
{
    CU_ASSERT_EQUAL_FATAL(jump_timer_bytes(SLOTS), sizeof memory - sizeof memory[0]);
    memset(memory, 0x5a, sizeof memory);
    jump_timer_init(&timer, memory, SLOTS);
}

static void expect_first(jump_time at, uint32_t slot)
{
    uint32_t got = UINT32_MAX;
    CU_ASSERT_EQUAL(jump_timer_first(&timer, &got), at);
    CU_ASSERT_EQUAL(got, slot);
}

static void test_timer_empty_says_never_and_leaves_the_slot_alone(void)
{
    begin();
    expect_first(JUMP_NEVER, UINT32_MAX);
}

static void test_timer_earliest_comes_first_whatever_was_armed_first(void)
{
    begin();
    jump_timer_set(&timer, 3, JUMP_MS(30));
    jump_timer_set(&timer, 1, JUMP_MS(10));
    jump_timer_set(&timer, 2, JUMP_MS(20));
    expect_first(JUMP_MS(10), 1);
    jump_timer_set(&timer, 1, JUMP_MS(40));
    expect_first(JUMP_MS(20), 2);
    jump_timer_set(&timer, 3, JUMP_MS(5));
    expect_first(JUMP_MS(5), 3);
}

static void test_timer_equal_instants_come_in_the_order_of_slots(void)
{
    for (int upward = 0; upward < 2; upward++) {
        begin();
        for (uint32_t i = 0; i < SLOTS; i++)
            jump_timer_set(&timer, upward ? i : SLOTS - 1 - i, JUMP_MS(1));
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            expect_first(JUMP_MS(1), slot);
            jump_timer_set(&timer, slot, JUMP_NEVER);
        }
        expect_first(JUMP_NEVER, UINT32_MAX);
    }
}

static void test_timer_never_disarms_and_twice_is_harmless(void)
{
    begin();
    jump_timer_set(&timer, 0, JUMP_NEVER);
    jump_timer_set(&timer, 0, 1);
    jump_timer_set(&timer, 4, 2);
    jump_timer_set(&timer, 0, JUMP_NEVER);
    jump_timer_set(&timer, 0, JUMP_NEVER);
    expect_first(2, 4);
    CU_ASSERT_EQUAL(timer.count, 1);
}

static void test_timer_instant_zero_is_an_instant(void)
{
    begin();
    jump_timer_set(&timer, 5, 1);
    jump_timer_set(&timer, 6, 0);
    expect_first(0, 6);
}

static void test_timer_slot_outside_the_capacity_changes_nothing(void)
{
    begin();
    jump_timer_set(&timer, SLOTS, 1);
    jump_timer_set(&timer, UINT32_MAX, 1);
    expect_first(JUMP_NEVER, UINT32_MAX);
}

static void test_timer_agrees_with_a_scan_over_all_slots(void)
{
    jump_time at[SLOTS];
    uint64_t random = 2;
    unsigned wrong = 0;
    begin();
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        at[slot] = JUMP_NEVER;
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t slot = (uint32_t)(runner_random(&random) % SLOTS), least = UINT32_MAX, got = UINT32_MAX, armed = 0;
        /* few different instants, so that ties are common */
        at[slot] = runner_random(&random) % 3 == 0 ? JUMP_NEVER : runner_random(&random) % 50;
        jump_timer_set(&timer, slot, at[slot]);
        jump_time earliest = JUMP_NEVER;
        for (uint32_t i = 0; i < SLOTS; i++) {
            armed += at[i] != JUMP_NEVER;
            if (at[i] < earliest) {
                earliest = at[i];
                least = i;
            }
        }
        wrong += jump_timer_first(&timer, &got) != earliest || got != least || timer.count != armed;
        /* a wrong order deep in the heap shows itself at the top only much later, if ever */
        for (uint32_t i = 1; i < timer.count; i++) {
            uint32_t child = timer.heap[i], parent = timer.heap[(i - 1) / 2];
            wrong += at[child] < at[parent] || (at[child] == at[parent] && child < parent);
            wrong += timer.position[child] != i + 1;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(memory[SLOTS * 2], UINT64_C(0x5a5a5a5a5a5a5a5a));
}

#define TESTS(X)                                                       \
    X(test_timer_empty_says_never_and_leaves_the_slot_alone)           \
    X(test_timer_earliest_comes_first_whatever_was_armed_first)        \
    X(test_timer_equal_instants_come_in_the_order_of_slots)            \
    X(test_timer_never_disarms_and_twice_is_harmless)                  \
    X(test_timer_instant_zero_is_an_instant)                           \
    X(test_timer_slot_outside_the_capacity_changes_nothing)            \
    X(test_timer_agrees_with_a_scan_over_all_slots)

RUN_TESTS("timer", TESTS)
