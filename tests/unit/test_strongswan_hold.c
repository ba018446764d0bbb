/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is held while a session has no path (adapters/strongswan/hold.c): who is held, what leaves in which order, and
 * that an end forgets. With Debian's libstrongswan, of which only locks and tables are used.
 */
#include <pthread.h>
#include <string.h>

#include <library.h>

#include "runner.h"
#include "strongswan/hold.h"
#include "without_memory.h"

#define A 1 /* sessions */
#define B 2

static uint32_t left[4096]; /* the numbers of what was sent on, in order */
static size_t left_len;
static struct jump_swan_hold *hold;
static jump_time now = JUMP_MS(1000);

static void send_on(uint8_t *bytes, size_t bytes_len)
{
    CU_ASSERT_EQUAL(bytes_len, 100);
    memcpy(&left[left_len++ % 4096], bytes, sizeof left[0]);
    free(bytes);
}

static void begin(uint32_t sessions)
{
    hold = jump_swan_hold_open(sessions);
    left_len = 0;
    for (jump_host host = A; host <= B; host++) {
        jump_swan_hold_begin(hold, host);
        jump_swan_hold_add(hold, host, (uint32_t)(10 * host));
    }
}

/* True if packet number n by this reqid was kept. */
static bool keeps(uint32_t reqid, uint32_t n)
{
    uint8_t bytes[100] = {0};
    jump_host woken;

    memcpy(bytes, &n, sizeof n);
    return jump_swan_hold_packet(hold, reqid, bytes, sizeof bytes, &woken);
}

/* A look each millisecond, as long as there is one to come. @return how many there were */
static unsigned flush_all(void)
{
    unsigned looks = 0;

    for (; jump_swan_hold_deadline(hold) != JUMP_NEVER && looks < 10000; looks++) {
        if (jump_swan_hold_deadline(hold) > now)
            now = jump_swan_hold_deadline(hold);
        jump_swan_hold_flush(hold, now, send_on);
    }
    return looks;
}

static bool left_in_order(uint32_t first, size_t len)
{
    bool in_order = left_len == len;

    for (size_t i = 0; i < len && in_order; i++)
        in_order = left[i] == first + i;
    return in_order;
}

static void test_strongswan_hold_only_sessions_without_a_path_are_held(void)
{
    begin(4);
    CU_ASSERT_FALSE(keeps(10, 1));
    jump_swan_hold_stop(hold, A, 1);
    CU_ASSERT_TRUE(keeps(10, 1));
    CU_ASSERT_FALSE(keeps(20, 1)); /* another session's */
    CU_ASSERT_FALSE(keeps(30, 1)); /* nobody's */
    CU_ASSERT_EQUAL(jump_swan_hold_deadline(hold), JUMP_NEVER);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).held, 1);
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_nothing_leaves_before_the_ike_sa_has_followed(void)
{
    begin(4);
    jump_swan_hold_stop(hold, A, 7);
    CU_ASSERT_TRUE(keeps(10, 1));
    CU_ASSERT_FALSE(jump_swan_hold_go(hold, A, 7)); /* a job that came late, with the binding that died */
    jump_swan_hold_flush(hold, now, send_on);
    CU_ASSERT_EQUAL(left_len, 0);
    CU_ASSERT_TRUE(keeps(10, 2));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 8));
    CU_ASSERT_FALSE(jump_swan_hold_go(hold, A, 8)); /* a second one is of no account */
    (void)flush_all();
    CU_ASSERT_TRUE(left_in_order(1, 2));
    CU_ASSERT_FALSE(keeps(10, 3));
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_new_packets_wait_behind_the_held_ones(void)
{
    begin(4);
    jump_swan_hold_stop(hold, A, 1);
    for (uint32_t n = 0; n < 100; n++)
        CU_ASSERT_TRUE(keeps(10, n));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 2));
    jump_swan_hold_flush(hold, now, send_on);
    CU_ASSERT_TRUE(left_len > 0 && left_len <= 64); /* never all at once */
    for (uint32_t n = 100; n < 200; n++)
        CU_ASSERT_TRUE(keeps(10, n));
    CU_ASSERT_TRUE(flush_all() >= 3);
    CU_ASSERT_TRUE(left_in_order(0, 200));
    CU_ASSERT_FALSE(keeps(10, 200));
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).sent, 200);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).chunks, 0);
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_a_path_that_dies_again_stops_what_leaves(void)
{
    begin(4);
    jump_swan_hold_stop(hold, A, 1);
    for (uint32_t n = 0; n < 100; n++)
        (void)keeps(10, n);
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 2));
    jump_swan_hold_flush(hold, now, send_on);
    size_t before = left_len;
    jump_swan_hold_stop(hold, A, 2);
    CU_ASSERT_EQUAL(flush_all(), 0);
    CU_ASSERT_EQUAL(left_len, before);
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 3));
    (void)flush_all();
    CU_ASSERT_TRUE(left_in_order(0, 100));
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_sessions_take_turns_and_an_empty_one_goes_at_once(void)
{
    begin(4);
    jump_swan_hold_stop(hold, A, 1);
    jump_swan_hold_stop(hold, B, 1);
    CU_ASSERT_FALSE(jump_swan_hold_go(hold, B, 2)); /* nothing waits */
    CU_ASSERT_FALSE(keeps(20, 1));
    jump_swan_hold_stop(hold, B, 2);
    for (uint32_t n = 0; n < 500; n++)
        (void)keeps(10, n);
    CU_ASSERT_TRUE(keeps(20, 1000));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 2));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, B, 3));
    jump_swan_hold_flush(hold, now, send_on);
    CU_ASSERT_EQUAL(left[left_len - 1], 1000);
    (void)flush_all();
    CU_ASSERT_EQUAL(left_len, 501);
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_an_end_forgets(void)
{
    begin(1); /* and its place is free for another session */
    jump_swan_hold_stop(hold, A, 1);
    jump_swan_hold_stop(hold, B, 1);
    CU_ASSERT_TRUE(keeps(10, 1));
    CU_ASSERT_FALSE(keeps(20, 1)); /* no place: it goes where it would without us */
    jump_swan_hold_end(hold, A);
    CU_ASSERT_FALSE(keeps(10, 2));
    CU_ASSERT_TRUE(keeps(20, 2));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, B, 2));
    jump_swan_hold_end(hold, B); /* on its way */
    CU_ASSERT_EQUAL(jump_swan_hold_deadline(hold), JUMP_NEVER);
    CU_ASSERT_EQUAL(flush_all(), 0);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).packets, 0);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).dropped, 2);
    jump_swan_hold_stop(hold, B, 3); /* late words */
    jump_swan_hold_add(hold, B, 20);
    CU_ASSERT_FALSE(jump_swan_hold_go(hold, B, 4));
    CU_ASSERT_FALSE(keeps(20, 3));
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_what_is_held_at_the_end_is_freed(void)
{
    begin(4); /* the sanitizer looks */
    jump_swan_hold_stop(hold, A, 1);
    jump_swan_hold_stop(hold, B, 1);
    for (uint32_t n = 0; n < 5000; n++)
        CU_ASSERT_TRUE(keeps(n % 2 ? 10 : 20, n));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 2));
    jump_swan_hold_close(hold);
    jump_swan_hold_close(NULL);
}

static void test_strongswan_hold_a_session_is_bounded(void)
{
    begin(4);
    jump_swan_hold_stop(hold, A, 1);
    for (uint32_t n = 0; n < JUMP_HOLD_PACKETS + 100; n++)
        CU_ASSERT_TRUE(keeps(10, n));
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).packets, JUMP_HOLD_PACKETS);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).dropped, 100);
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 2));
    jump_swan_hold_flush(hold, now, send_on);
    CU_ASSERT_EQUAL(left[0], 100); /* the oldest went */
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_a_reqid_belongs_to_who_had_it_last(void)
{
    begin(4);
    jump_swan_hold_stop(hold, A, 1);
    jump_swan_hold_add(hold, B, 10); /* as after a new birth of the same client */
    CU_ASSERT_FALSE(keeps(10, 1));
    jump_swan_hold_end(hold, A);
    jump_swan_hold_stop(hold, B, 1);
    CU_ASSERT_TRUE(keeps(10, 1));
    jump_swan_hold_foreign(hold, 10);
    CU_ASSERT_FALSE(keeps(10, 2));
    CU_ASSERT_TRUE(keeps(20, 2));
    jump_swan_hold_remove(hold, B, 20);
    CU_ASSERT_FALSE(keeps(20, 3));
    jump_swan_hold_add(hold, B, 0); /* none */
    CU_ASSERT_FALSE(keeps(0, 4));
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_more_reqids_than_a_session_may_have_are_not_held(void)
{
    begin(4);
    for (uint32_t i = 0; i < 2 * JUMP_SWAN_HOLD_REQIDS; i++)
        jump_swan_hold_add(hold, A, 1000 + i);
    jump_swan_hold_stop(hold, A, 1);
    CU_ASSERT_TRUE(keeps(1000 + JUMP_SWAN_HOLD_REQIDS - 2, 1));
    CU_ASSERT_FALSE(keeps(1000 + JUMP_SWAN_HOLD_REQIDS - 1, 2)); /* with the one it had */
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_the_first_packet_after_a_silence_is_told_once(void)
{
    uint8_t bytes[100] = {0};
    jump_host woken;

    begin(4);
    CU_ASSERT_FALSE(jump_swan_hold_packet(hold, 10, bytes, sizeof bytes, &woken));
    CU_ASSERT_EQUAL(woken, 0);
    jump_swan_hold_quiet(hold, A);
    jump_swan_hold_quiet(hold, A);
    CU_ASSERT_FALSE(jump_swan_hold_packet(hold, 20, bytes, sizeof bytes, &woken));
    CU_ASSERT_EQUAL(woken, 0);
    CU_ASSERT_FALSE(jump_swan_hold_packet(hold, 10, bytes, sizeof bytes, &woken));
    CU_ASSERT_EQUAL(woken, A);
    CU_ASSERT_FALSE(jump_swan_hold_packet(hold, 10, bytes, sizeof bytes, &woken));
    CU_ASSERT_EQUAL(woken, 0);
    jump_swan_hold_quiet(hold, A);
    jump_swan_hold_stop(hold, A, 1);
    CU_ASSERT_TRUE(jump_swan_hold_packet(hold, 10, bytes, sizeof bytes, &woken)); /* a held one too */
    CU_ASSERT_EQUAL(woken, A);
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_without_userspace_esp_nothing_is_held(void)
{
    uint8_t bytes[100] = {0};
    jump_host woken;

    jump_swan_hold_begin(NULL, A);
    jump_swan_hold_add(NULL, A, 10);
    jump_swan_hold_foreign(NULL, 10);
    jump_swan_hold_remove(NULL, A, 10);
    jump_swan_hold_stop(NULL, A, 1);
    jump_swan_hold_quiet(NULL, A);
    CU_ASSERT_FALSE(jump_swan_hold_packet(NULL, 10, bytes, sizeof bytes, &woken));
    CU_ASSERT_FALSE(jump_swan_hold_go(NULL, A, 2));
    CU_ASSERT_EQUAL(jump_swan_hold_deadline(NULL), JUMP_NEVER);
    jump_swan_hold_flush(NULL, now, send_on);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(NULL).held, 0);
    jump_swan_hold_end(NULL, A);
}

/* What charon's threads do at the same time: packets, bindings, looks. Nothing may be lost that is not counted. */
static void test_strongswan_hold_A36_what_is_held_waits_while_there_is_no_memory_to_send_it(void)
{
    begin(4);
    jump_swan_hold_stop(hold, A, 1);
    for (uint32_t n = 0; n < 10; n++)
        CU_ASSERT_TRUE(keeps(10, n));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 2));
    allocations_left = 3;
    for (unsigned i = 0; i < 50; i++)
        jump_swan_hold_flush(hold, now += JUMP_MS(1), send_on);
    CU_ASSERT_TRUE(left_in_order(0, 3));
    CU_ASSERT_TRUE(keeps(10, 10)); /* behind the others */
    allocations_left = -1;
    (void)flush_all();
    CU_ASSERT_TRUE(left_in_order(0, 11));
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).sent, 11);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).dropped, 0);
    CU_ASSERT_FALSE(keeps(10, 11));
    jump_swan_hold_close(hold);
}

static void test_strongswan_hold_A36_a_packet_that_no_memory_is_for_is_counted_and_leaves_nothing(void)
{
    begin(4);
    allocations_left = 0;
    CU_ASSERT_FALSE(jump_swan_hold_begin(hold, 3));
    jump_swan_hold_add(hold, A, 11);
    CU_ASSERT_FALSE(keeps(11, 1));
    jump_swan_hold_stop(hold, A, 1);
    CU_ASSERT_TRUE(keeps(10, 1)); /* it must not be sent where there is no path, nor in the clear */
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).dropped, 1);
    CU_ASSERT_EQUAL(jump_swan_hold_counters(hold).packets, 0);
    allocations_left = -1;
    CU_ASSERT_TRUE(keeps(10, 2));
    CU_ASSERT_TRUE(jump_swan_hold_go(hold, A, 2));
    (void)flush_all();
    CU_ASSERT_TRUE(left_in_order(2, 1));
    allocations_left = 0;
    CU_ASSERT_PTR_NULL(jump_swan_hold_open(4));
    allocations_left = 1;
    CU_ASSERT_PTR_NULL(jump_swan_hold_open(4));
    allocations_left = -1;
    jump_swan_hold_close(hold);
}

static void *packets_come(void *unused)
{
    for (uint32_t n = 0; n < 20000; n++)
        (void)keeps(10, n);
    return unused;
}

static void *bindings_come(void *unused)
{
    for (uint32_t n = 1; n < 2000; n++) {
        jump_swan_hold_stop(hold, A, n);
        (void)jump_swan_hold_go(hold, A, n + 1);
    }
    return unused;
}

static void test_strongswan_hold_threads(void)
{
    pthread_t threads[2];

    begin(4);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[0], NULL, packets_come, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[1], NULL, bindings_come, NULL), 0);
    for (unsigned i = 0; i < 1000; i++)
        jump_swan_hold_flush(hold, now += JUMP_MS(1), send_on);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    (void)flush_all();
    struct jump_hold_counters counters = jump_swan_hold_counters(hold);
    CU_ASSERT_EQUAL(counters.packets, 0);
    CU_ASSERT_EQUAL(counters.held, counters.sent + counters.dropped);
    CU_ASSERT_EQUAL(counters.sent, left_len);
    CU_ASSERT_FALSE(keeps(10, 1));
    jump_swan_hold_close(hold);
}

#define TESTS(X)                                                                  \
    X(test_strongswan_hold_only_sessions_without_a_path_are_held)                 \
    X(test_strongswan_hold_nothing_leaves_before_the_ike_sa_has_followed)         \
    X(test_strongswan_hold_new_packets_wait_behind_the_held_ones)                 \
    X(test_strongswan_hold_a_path_that_dies_again_stops_what_leaves)              \
    X(test_strongswan_hold_sessions_take_turns_and_an_empty_one_goes_at_once)     \
    X(test_strongswan_hold_an_end_forgets)                                        \
    X(test_strongswan_hold_what_is_held_at_the_end_is_freed)                      \
    X(test_strongswan_hold_a_session_is_bounded)                                  \
    X(test_strongswan_hold_a_reqid_belongs_to_who_had_it_last)                    \
    X(test_strongswan_hold_more_reqids_than_a_session_may_have_are_not_held)      \
    X(test_strongswan_hold_the_first_packet_after_a_silence_is_told_once)         \
    X(test_strongswan_hold_without_userspace_esp_nothing_is_held)                 \
    X(test_strongswan_hold_A36_what_is_held_waits_while_there_is_no_memory_to_send_it) \
    X(test_strongswan_hold_A36_a_packet_that_no_memory_is_for_is_counted_and_leaves_nothing) \
    X(test_strongswan_hold_threads)

static const struct runner_test tests[] = {TESTS(RUNNER_ENTRY)};

int main(void)
{
    int result;

    library_init("", "test"); /* locks want it */
    result = runner_main("strongswan_hold", tests, sizeof tests / sizeof tests[0]);
    library_deinit();
    return result;
}
