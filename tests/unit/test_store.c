/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The contract of the store port (adapters/store/store.h), written against the port alone: a store that passes may
 * stand behind an engine. A new store gets its own opening in begin() (a program each, by a -D) and
 * runs the same sentences.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "store/memory.h"
#include "store/store.h"

#define ROOM 64 /* records that the store under test has room for */

static struct jump_store *store;

static struct jump_id id_of(uint64_t number)
{
    struct jump_id id;
    uint64_t state = number;

    for (size_t i = 0; i < sizeof id.bytes; i += 8) {
        uint64_t word = runner_random(&state);

        memcpy(id.bytes + i, &word, 8);
    }
    return id;
}

/* One write and its answer, however long the store takes (at most 5 s). */
static struct jump_store_answer put(struct jump_id id, uint64_t ticket, uint64_t expected, const void *bytes, size_t len)
{
    struct jump_store_answer answer;

    jump_store_put_if(store, &id, ticket, expected, bytes, len);
    while (!jump_store_next(store, &answer)) {
        struct pollfd wait = {.fd = jump_store_fd(store), .events = POLLIN};

        if (wait.fd < 0 || poll(&wait, 1, 5000) <= 0) {
            CU_FAIL("no answer");
            memset(&answer, 0, sizeof answer);
            answer.result = JUMP_STORE_FAILED;
            break;
        }
    }
    return answer;
}

static bool holds(struct jump_id id, uint64_t revision, const void *bytes, size_t len)
{
    struct jump_store_record record;

    return jump_store_get(store, &record, &id) && record.revision == revision && record.bytes_len == len &&
           memcmp(record.bytes, bytes, len) == 0;
}

static void begin(void)
{
    store = jump_store_memory_open(ROOM);
    if (store == NULL)
        CU_FAIL_FATAL("the store does not open");
}

static void end(void)
{
    jump_store_close(store);
    store = NULL;
}

static void test_store_a_first_write_expects_nothing(void)
{
    struct jump_id id = id_of(1);
    struct jump_store_record record;
    struct jump_store_answer answer;

    begin();
    CU_ASSERT_FALSE(jump_store_get(store, &record, &id));
    answer = put(id, 7, 0, "one", 3);
    CU_ASSERT_EQUAL(answer.result, JUMP_STORE_DONE);
    CU_ASSERT_EQUAL(answer.ticket, 7);
    CU_ASSERT_EQUAL(memcmp(&answer.session_id, &id, sizeof id), 0);
    CU_ASSERT_NOT_EQUAL(answer.revision, 0);
    CU_ASSERT_TRUE(holds(id, answer.revision, "one", 3));
    end();
}

static void test_store_a_second_first_write_conflicts_and_changes_nothing(void)
{
    struct jump_id id = id_of(1);
    struct jump_store_answer first, second;

    begin();
    first = put(id, 1, 0, "one", 3);
    second = put(id, 2, 0, "two", 3);
    CU_ASSERT_EQUAL(second.result, JUMP_STORE_CONFLICT);
    CU_ASSERT_EQUAL(second.ticket, 2);
    CU_ASSERT_EQUAL(second.revision, first.revision);
    CU_ASSERT_TRUE(holds(id, first.revision, "one", 3));
    end();
}

static void test_store_a_stale_revision_conflicts_and_changes_nothing(void)
{
    struct jump_id id = id_of(1);
    struct jump_store_answer first, second, third;

    begin();
    first = put(id, 1, 0, "one", 3);
    second = put(id, 2, first.revision, "second", 6);
    CU_ASSERT_EQUAL(second.result, JUMP_STORE_DONE);
    CU_ASSERT_NOT_EQUAL(second.revision, first.revision);
    third = put(id, 3, first.revision, "x", 1);
    CU_ASSERT_EQUAL(third.result, JUMP_STORE_CONFLICT);
    CU_ASSERT_EQUAL(third.revision, second.revision);
    CU_ASSERT_TRUE(holds(id, second.revision, "second", 6));
    end();
}

static void test_store_an_expected_record_that_is_not_there_conflicts(void)
{
    struct jump_store_answer answer;

    begin();
    answer = put(id_of(1), 1, 5, "one", 3);
    CU_ASSERT_EQUAL(answer.result, JUMP_STORE_CONFLICT);
    CU_ASSERT_EQUAL(answer.revision, 0);
    end();
}

static void test_store_a_shorter_record_leaves_nothing_of_the_longer_one(void)
{
    struct jump_id id = id_of(1);
    struct jump_store_record record;
    struct jump_store_answer answer;
    uint8_t longest[JUMP_STORE_RECORD_BYTES];

    begin();
    memset(longest, 0xa5, sizeof longest);
    answer = put(id, 1, 0, longest, sizeof longest);
    CU_ASSERT_EQUAL(answer.result, JUMP_STORE_DONE);
    answer = put(id, 2, answer.revision, "s", 1);
    CU_ASSERT_EQUAL(answer.result, JUMP_STORE_DONE);
    CU_ASSERT_TRUE(jump_store_get(store, &record, &id));
    CU_ASSERT_EQUAL(record.bytes_len, 1);
    for (size_t i = 1; i < sizeof record.bytes; i++)
        if (record.bytes[i] == 0xa5) {
            CU_FAIL("a byte of the former record is still there");
            break;
        }
    end();
}

static void test_store_empty_and_too_long_records_are_refused(void)
{
    static uint8_t bytes[JUMP_STORE_RECORD_BYTES + 1];
    struct jump_id id = id_of(1);
    struct jump_store_record record;

    begin();
    CU_ASSERT_EQUAL(put(id, 1, 0, bytes, 0).result, JUMP_STORE_FAILED);
    CU_ASSERT_EQUAL(put(id, 2, 0, bytes, sizeof bytes).result, JUMP_STORE_FAILED);
    CU_ASSERT_FALSE(jump_store_get(store, &record, &id));
    CU_ASSERT_EQUAL(put(id, 3, 0, bytes, JUMP_STORE_RECORD_BYTES).result, JUMP_STORE_DONE);
    end();
}

static void test_store_a_full_store_refuses_newcomers_and_serves_the_others(void)
{
    struct jump_store_answer answers[ROOM], answer;
    struct jump_store_record record;
    struct jump_id newcomer = id_of(1000);

    begin();
    for (uint64_t i = 0; i < ROOM; i++) {
        answers[i] = put(id_of(i), i, 0, "r", 1);
        CU_ASSERT_EQUAL(answers[i].result, JUMP_STORE_DONE);
    }
    CU_ASSERT_EQUAL(put(newcomer, 99, 0, "n", 1).result, JUMP_STORE_FAILED);
    CU_ASSERT_FALSE(jump_store_get(store, &record, &newcomer));
    answer = put(id_of(3), 100, answers[3].revision, "again", 5);
    CU_ASSERT_EQUAL(answer.result, JUMP_STORE_DONE);
    CU_ASSERT_TRUE(holds(id_of(3), answer.revision, "again", 5));
    for (uint64_t i = 4; i < ROOM; i++)
        CU_ASSERT_TRUE(holds(id_of(i), answers[i].revision, "r", 1));
    jump_store_drop(store, &(struct jump_id){.bytes = {0}}); /* one that is not there */
    struct jump_id gone = id_of(5);
    jump_store_drop(store, &gone);
    CU_ASSERT_EQUAL(put(newcomer, 101, 0, "n", 1).result, JUMP_STORE_DONE);
    end();
}

static void test_store_a_dropped_session_is_gone_and_its_revision_never_comes_back(void)
{
    struct jump_id id = id_of(1);
    struct jump_store_record record;
    struct jump_store_answer first, anew;

    begin();
    first = put(id, 1, 0, "one", 3);
    jump_store_drop(store, &id);
    memset(&record, 0xff, sizeof record);
    CU_ASSERT_FALSE(jump_store_get(store, &record, &id));
    CU_ASSERT_EQUAL(record.bytes_len, 0);
    anew = put(id, 2, 0, "new", 3);
    CU_ASSERT_EQUAL(anew.result, JUMP_STORE_DONE);
    CU_ASSERT_NOT_EQUAL(anew.revision, first.revision);
    CU_ASSERT_EQUAL(put(id, 3, first.revision, "old", 3).result, JUMP_STORE_CONFLICT);
    end();
}

static void test_store_the_record_is_a_copy(void)
{
    struct jump_id id = id_of(1);
    char bytes[] = "mine";
    struct jump_store_answer answer;

    begin();
    answer = put(id, 1, 0, bytes, 4);
    memset(bytes, 'x', 4);
    CU_ASSERT_TRUE(holds(id, answer.revision, "mine", 4));
    end();
}

static void test_store_answers_of_one_session_come_in_the_order_of_its_writes(void)
{
    struct jump_id id = id_of(1);
    struct jump_store_answer answer;
    uint64_t expected = 0;
    unsigned count = 0;

    begin();
    jump_store_put_if(store, &id, 1, 0, (const uint8_t *)"a", 1);
    jump_store_put_if(store, &id, 2, 0, (const uint8_t *)"b", 1);
    jump_store_put_if(store, &id, 3, 12345678, (const uint8_t *)"c", 1);
    for (int i = 0; i < 500 && count < 3; i++) {
        struct pollfd wait = {.fd = jump_store_fd(store), .events = POLLIN};

        while (jump_store_next(store, &answer)) {
            CU_ASSERT_EQUAL(answer.ticket, ++expected);
            count++;
        }
        if (count < 3)
            (void)poll(&wait, 1, 10);
    }
    CU_ASSERT_EQUAL(count, 3);
    CU_ASSERT_FALSE(jump_store_next(store, &answer));
    end();
}

static void test_store_ten_thousand_random_steps_agree_with_a_plain_array(void)
{
    struct { uint64_t revision; uint8_t byte; size_t len; } model[ROOM] = {{0, 0, 0}};
    uint64_t random = 42;
    uint8_t bytes[JUMP_STORE_RECORD_BYTES];

    begin();
    for (uint64_t step = 0; step < 10000; step++) {
        uint64_t dice = runner_random(&random);
        size_t at = dice % ROOM;
        struct jump_id id = id_of(at);

        if ((dice >> 8) % 10 == 0) {
            jump_store_drop(store, &id);
            model[at].revision = 0;
        } else {
            bool stale = (dice >> 16) % 4 == 0;
            size_t len = 1 + (dice >> 24) % JUMP_STORE_RECORD_BYTES;
            struct jump_store_answer answer;

            memset(bytes, (int)(step & 0xff), len);
            answer = put(id, step, stale ? model[at].revision + 1 : model[at].revision, bytes, len);
            CU_ASSERT_EQUAL(answer.result, stale ? JUMP_STORE_CONFLICT : JUMP_STORE_DONE);
            if (!stale) {
                model[at].revision = answer.revision;
                model[at].byte = (uint8_t)step;
                model[at].len = len;
            }
        }
        memset(bytes, model[at].byte, model[at].len);
        CU_ASSERT_EQUAL(holds(id, model[at].revision, bytes, model[at].len), model[at].revision != 0);
    }
    end();
}

static void test_store_memory_refuses_sizes_out_of_range(void)
{
    CU_ASSERT_PTR_NULL(jump_store_memory_open(0));
    CU_ASSERT_PTR_NULL(jump_store_memory_open(1000001));
    jump_store_close(NULL);
}

#define TESTS(X)                                                                    \
    X(test_store_a_first_write_expects_nothing)                                     \
    X(test_store_a_second_first_write_conflicts_and_changes_nothing)                \
    X(test_store_a_stale_revision_conflicts_and_changes_nothing)                    \
    X(test_store_an_expected_record_that_is_not_there_conflicts)                    \
    X(test_store_a_shorter_record_leaves_nothing_of_the_longer_one)                 \
    X(test_store_empty_and_too_long_records_are_refused)                            \
    X(test_store_a_full_store_refuses_newcomers_and_serves_the_others)              \
    X(test_store_a_dropped_session_is_gone_and_its_revision_never_comes_back)       \
    X(test_store_the_record_is_a_copy)                                              \
    X(test_store_answers_of_one_session_come_in_the_order_of_its_writes)            \
    X(test_store_ten_thousand_random_steps_agree_with_a_plain_array)                \
    X(test_store_memory_refuses_sizes_out_of_range)
RUN_TESTS("store", TESTS)
