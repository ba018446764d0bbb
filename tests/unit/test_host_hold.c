/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hold queues (adapters/host/hold.c): order, bounds, who pays when the pool is full.
 */
#include <string.h>

#include "host/hold.h"
#include "runner.h"

#define MIB (1024u * 1024u)

static uint8_t buffer[JUMP_HOLD_PACKET_BYTES];

/* Packet number `n` of this length: the number stands behind the first byte. */
static void put(struct jump_hold *hold, uint32_t peer, enum jump_hold_kind kind, uint32_t n, size_t len)
{
    static uint8_t bytes[JUMP_HOLD_PACKET_BYTES];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + n);
    memcpy(bytes + 1, &n, sizeof n);
    jump_hold_put(hold, peer, kind, bytes, len);
}

static void data(struct jump_hold *hold, uint32_t peer, uint32_t n)
{
    put(hold, peer, JUMP_HOLD_DATA, n, 1400);
}

/* Take the next packet. @return its number; UINT32_MAX: none, or its bytes are not what was put in */
static uint32_t take(struct jump_hold *hold, uint32_t peer, size_t *len)
{
    uint32_t n;

    *len = jump_hold_next(hold, peer, buffer);
    if (*len == 0)
        return UINT32_MAX;
    memcpy(&n, buffer + 1, sizeof n);
    for (size_t i = 5; i < *len; i++)
        if (buffer[i] != (uint8_t)(i * 7 + n))
            return UINT32_MAX;
    jump_hold_sent(hold, peer);
    return n;
}

static void test_host_hold_packets_leave_in_the_order_they_came(void)
{
    struct jump_hold *hold = jump_hold_open(2, 1024, 64 * MIB);
    size_t len;

    for (uint32_t n = 0; n < 1000; n++)
        put(hold, n % 2, JUMP_HOLD_DATA, n, 5 + n * 13 % 1500);
    for (uint32_t n = 0; n < 1000; n++) {
        CU_ASSERT_EQUAL_FATAL(take(hold, n % 2, &len), n);
        CU_ASSERT_EQUAL(len, 5 + n * 13 % 1500);
    }
    CU_ASSERT_FALSE(jump_hold_any(hold));
    jump_hold_close(hold);
}

static void test_host_hold_any_length_comes_out_as_it_went_in(void)
{
    struct jump_hold *hold = jump_hold_open(1, 1024, 64 * MIB);
    static const size_t lengths[] = {5, 487, 488, 489, 976, 977, 1500, 9000, JUMP_HOLD_PACKET_BYTES};
    size_t len;

    for (uint32_t n = 0; n < sizeof lengths / sizeof lengths[0]; n++)
        put(hold, 0, JUMP_HOLD_DATA, n, lengths[n]);
    for (uint32_t n = 0; n < sizeof lengths / sizeof lengths[0]; n++) {
        CU_ASSERT_EQUAL(take(hold, 0, &len), n);
        CU_ASSERT_EQUAL(len, lengths[n]);
    }
    jump_hold_close(hold);
}

static void test_host_hold_full_session_loses_its_oldest_data(void)
{
    struct jump_hold *hold = jump_hold_open(2, 16, 64 * MIB);
    size_t len;

    data(hold, 1, 77);
    for (uint32_t n = 0; n < 20; n++)
        data(hold, 0, n);
    CU_ASSERT_EQUAL(jump_hold_counters(hold)->dropped, 4);
    for (uint32_t n = 4; n < 20; n++)
        CU_ASSERT_EQUAL(take(hold, 0, &len), n);
    CU_ASSERT_EQUAL(take(hold, 0, &len), UINT32_MAX);
    CU_ASSERT_EQUAL(take(hold, 1, &len), 77); /* another session is not touched */
    jump_hold_close(hold);
}

static void test_host_hold_full_pool_loses_the_oldest_data_of_all(void)
{
    struct jump_hold *hold = jump_hold_open(3, 100000, MIB); /* 2048 cells, 3 for each packet: 682 packets */
    size_t len;

    for (uint32_t n = 0; n < 100; n++)
        data(hold, 0, n);
    for (uint32_t n = 0; n < 630; n++)
        data(hold, 1, n);
    CU_ASSERT_EQUAL(jump_hold_counters(hold)->packets, 682);
    CU_ASSERT_EQUAL(jump_hold_counters(hold)->chunks, 1);
    CU_ASSERT_EQUAL(take(hold, 0, &len), 48);
    CU_ASSERT_EQUAL(take(hold, 1, &len), 0);
    jump_hold_close(hold);
}

static void test_host_hold_newest_control_packet_leaves_after_the_data(void)
{
    struct jump_hold *hold = jump_hold_open(1, 16, 64 * MIB);
    size_t len;

    put(hold, 0, JUMP_HOLD_CONTROL, 1, 50);
    data(hold, 0, 2);
    put(hold, 0, JUMP_HOLD_CONTROL, 3, 60);
    put(hold, 0, JUMP_HOLD_CONTROL, 4, 70); /* the newest wins */
    data(hold, 0, 5);
    CU_ASSERT_EQUAL(take(hold, 0, &len), 2);
    CU_ASSERT_EQUAL(take(hold, 0, &len), 5);
    CU_ASSERT_EQUAL(take(hold, 0, &len), 4);
    CU_ASSERT_EQUAL(len, 70);
    CU_ASSERT_FALSE(jump_hold_waits(hold, 0));
    jump_hold_close(hold);
}

static void test_host_hold_data_never_pushes_the_control_packet_out(void)
{
    struct jump_hold *hold = jump_hold_open(1, 4, MIB);
    size_t len;

    put(hold, 0, JUMP_HOLD_CONTROL, 9, 60);
    for (uint32_t n = 0; n < 5000; n++)
        data(hold, 0, n);
    for (uint32_t n = 4996; n < 5000; n++)
        CU_ASSERT_EQUAL(take(hold, 0, &len), n);
    CU_ASSERT_EQUAL(take(hold, 0, &len), 9);
    jump_hold_close(hold);
}

static void test_host_hold_a_session_is_bounded_by_bytes_too(void)
{
    struct jump_hold *hold = jump_hold_open(2, JUMP_HOLD_PACKETS, 64 * MIB);
    uint32_t kept = JUMP_HOLD_BYTES / 1400;
    size_t len;

    data(hold, 1, 7); /* another session's, untouched by what follows */
    for (uint32_t n = 0; n < kept + 100; n++)
        data(hold, 0, n);
    CU_ASSERT_EQUAL(jump_hold_counters(hold)->packets, kept + 1);
    CU_ASSERT_EQUAL(take(hold, 0, &len), 100); /* the oldest went first */
    CU_ASSERT_EQUAL(take(hold, 1, &len), 7);
    jump_hold_close(hold);
}

static void test_host_hold_impossible_packets_are_refused(void)
{
    struct jump_hold *hold = jump_hold_open(1, 4, MIB);
    static uint8_t bytes[JUMP_HOLD_PACKET_BYTES + 1];

    jump_hold_put(hold, 0, JUMP_HOLD_DATA, bytes, 0);
    jump_hold_put(hold, 0, JUMP_HOLD_DATA, bytes, sizeof bytes);
    jump_hold_put(hold, 1, JUMP_HOLD_DATA, bytes, 100);
    CU_ASSERT_FALSE(jump_hold_any(hold));
    CU_ASSERT_EQUAL(jump_hold_next(hold, 1, buffer), 0);
    jump_hold_close(hold);
}

static void test_host_hold_looking_does_not_take(void)
{
    struct jump_hold *hold = jump_hold_open(1, 4, MIB);
    size_t len;

    data(hold, 0, 1);
    CU_ASSERT_EQUAL(jump_hold_next(hold, 0, buffer), 1400); /* the socket was full: it stays */
    CU_ASSERT_EQUAL(jump_hold_next(hold, 0, buffer), 1400);
    CU_ASSERT_EQUAL(take(hold, 0, &len), 1);
    jump_hold_close(hold);
}

static void test_host_hold_memory_is_taken_late_and_given_back(void)
{
    struct jump_hold *hold = jump_hold_open(2, 4096, 64 * MIB);

    CU_ASSERT_EQUAL(jump_hold_counters(hold)->chunks, 0);
    for (uint32_t n = 0; n < 2000; n++)
        data(hold, 0, n);
    data(hold, 1, 1);
    CU_ASSERT_EQUAL(jump_hold_counters(hold)->chunks, 3);
    jump_hold_forget(hold, 0);
    CU_ASSERT_TRUE(jump_hold_waits(hold, 1));
    CU_ASSERT_FALSE(jump_hold_waits(hold, 0));
    jump_hold_sent(hold, 1);
    CU_ASSERT_EQUAL(jump_hold_counters(hold)->chunks, 0);
    jump_hold_close(hold);
    jump_hold_close(NULL);
}

static void test_host_hold_what_is_due_makes_up_for_a_late_millisecond_but_in_no_burst(void)
{
    CU_ASSERT_EQUAL(jump_hold_due(JUMP_MS(5), JUMP_MS(6)), 32);
    CU_ASSERT_EQUAL(jump_hold_due(JUMP_MS(5), JUMP_MS(5)), 32);
    CU_ASSERT_EQUAL(jump_hold_due(JUMP_MS(6), JUMP_MS(5)), 64);
    CU_ASSERT_EQUAL(jump_hold_due(JUMP_MS(60000), JUMP_MS(5)), 64);
}

#define TESTS(X)                                                      \
    X(test_host_hold_packets_leave_in_the_order_they_came)         \
    X(test_host_hold_any_length_comes_out_as_it_went_in)           \
    X(test_host_hold_full_session_loses_its_oldest_data)           \
    X(test_host_hold_full_pool_loses_the_oldest_data_of_all)       \
    X(test_host_hold_newest_control_packet_leaves_after_the_data)  \
    X(test_host_hold_data_never_pushes_the_control_packet_out)     \
    X(test_host_hold_a_session_is_bounded_by_bytes_too)                                  \
    X(test_host_hold_what_is_due_makes_up_for_a_late_millisecond_but_in_no_burst) \
    X(test_host_hold_impossible_packets_are_refused)               \
    X(test_host_hold_looking_does_not_take)                        \
    X(test_host_hold_memory_is_taken_late_and_given_back)

RUN_TESTS("host_hold", TESTS)
