/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store answers later, refuses, fails or says nothing (docs/protocol.md, step 11): nothing is bound and no
 * ACCEPT leaves before the write succeeded, a path that dies meanwhile is fenced at once, and no bound waits.
 */
#include "story.h"

#define MOVED(server, row, reason) world_took(&w, server, row, REASON(reason))

static struct peek_message message;
static unsigned unbinds, binds, writes, last_writes;
static uint8_t written[JUMP_STORE_RECORD_BYTES];

static void watch(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)world;
    (void)client;
    if (!server)
        return;
    unbinds += action->kind == JUMP_DO_UNBIND;
    binds += action->kind == JUMP_DO_BIND;
    if (action->kind == JUMP_DO_STORE) {
        writes++;
        last_writes += action->last;
        memcpy(written, action->bytes, action->bytes_len < sizeof written ? action->bytes_len : sizeof written);
    }
}

static uint64_t number(size_t at)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++)
        value = value << 8 | written[at + i];
    return value;
}
#define WRITTEN_VERSION number(2)
#define WRITTEN_GENERATION number(10)
#define WRITTEN_ATTEMPT number(41)
#define WRITTEN_COUNTER number(49)

static void begin(void)
{
    story_begin(1);
    w.on_action = watch;
    unbinds = binds = writes = last_writes = 0;
}

/* The client has a new address and its PROOF is with the server, whose store says nothing yet. */
static void hold_a_commit(void)
{
    w.store = WORLD_STORE_HELD;
    world_rebind(&w, 0, 0);
    WAIT(w.held_count == 1, 3000);
}

static void test_store_A09_accept_leaves_only_after_the_write(void)
{
    begin();
    hold_a_commit();
    w.last_from_server[JUMP_MSG_REATTACH_ACCEPT].len = 0;
    world_run(&w, JUMP_MS(300));
    CU_ASSERT_EQUAL(w.last_from_server[JUMP_MSG_REATTACH_ACCEPT].len, 0);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_EQUAL(S().state_version, 1);
    CU_ASSERT_EQUAL(binds, 0);
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    CU_ASSERT_TRUE(world_answer_held(&w, JUMP_STORE_DONE));
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_EQUAL(S().state_version, 3);
    CU_ASSERT_EQUAL(binds, 1);
    CU_ASSERT_TRUE(w.last_from_server[JUMP_MSG_REATTACH_ACCEPT].len > 0);
    w.store = WORLD_STORE_NOW;
    WAIT(C().state == JUMP_ATTACHED, 100);
    CU_ASSERT_EQUAL(WRITTEN_VERSION, S().state_version);
    CU_ASSERT_EQUAL(WRITTEN_GENERATION, 2);
    story_end();
}

static void test_store_A09_the_first_attach_waits_for_its_write_too(void)
{
    story_prepare(1);
    w.store = WORLD_STORE_HELD;
    world_start(&w);
    world_open(&w, 0);
    WAIT(w.held_count == 1, 3000);
    world_run(&w, JUMP_MS(200));
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    CU_ASSERT_EQUAL(S().state_version, 0);
    w.store = WORLD_STORE_NOW;
    world_answer_held(&w, JUMP_STORE_DONE);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().state_version, 1);
    story_end();
}

static void test_store_a_birth_whose_write_fails_attaches_at_the_next_probe_or_ends_at_its_window(void)
{
    for (unsigned silent = 0; silent < 2; silent++) {
        story_prepare(1);
        w.store = WORLD_STORE_FAIL;
        world_start(&w);
        world_open(&w, 0);
        world_busy(&w, 0, JUMP_MS(2000));
        CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
        if (!silent) {
            w.store = WORLD_STORE_NOW;
            WAIT(S().state == JUMP_ATTACHED && C().bound, 3000);
        } else {
            WAIT(S().state == JUMP_TERMINATED, 9000);
            CU_ASSERT_EQUAL(w.server_ended_for, REASON(HANDSHAKE_FAIL));
        }
        story_end();
    }
}

static void test_store_while_a_commit_is_out_requests_and_proofs_are_dropped_silently(void)
{
    struct jump_body body = { .attempt = 500, .generation = 1, .transport = 1 };
    struct jump_path elsewhere = world_path(92, 9292);
    begin();
    hold_a_commit();
    uint64_t counter = peek_client(&w, 0)->send_counter;
    for (unsigned i = 0; i < 20; i++) {
        unsigned sent = w.server_sent;
        body.attempt++;
        peek_seal_as(&message, &w, false, 0, i % 2 ? JUMP_MSG_REATTACH_PROOF : JUMP_MSG_REATTACH_REQUEST, &body, counter + 100 + i);
        UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &elsewhere, message.bytes, message.len), 0));
        UNCHANGED(true, 0, world_inject(&w, &w.clients[0].uplinks[0], message.bytes, message.len));
        CU_ASSERT_EQUAL(w.server_sent, sent);
    }
    CU_ASSERT_EQUAL(w.held_count, 1); /* and no second write */
    w.store = WORLD_STORE_NOW;
    world_answer_held(&w, JUMP_STORE_DONE);
    WAIT(C().state == JUMP_ATTACHED && S().generation == 2, 5000);
    story_end();
}

static void test_store_A09_a_conflict_binds_nothing_and_says_atomicity_failed(void)
{
    struct peek_record before, after;
    begin();
    hold_a_commit();
    peek_note(&before, &w, true, 0);
    world_answer_held(&w, JUMP_STORE_CONFLICT);
    peek_note(&after, &w, true, 0);
    CU_ASSERT_EQUAL(before.generation, after.generation);
    CU_ASSERT_EQUAL(memcmp(&before.binding, &after.binding, sizeof before.binding), 0);
    CU_ASSERT_EQUAL(before.high, after.high);
    CU_ASSERT_EQUAL(before.attempt, after.attempt);
    CU_ASSERT_EQUAL(binds, 0);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_REATTACH_RESULT, REASON(ATOMICITY_FAILED)), 1);
    WAIT(MOVED(false, "T13", ATOMICITY_FAILED) == 1, 100);
    story_end();
}

static void test_store_A09_a_failure_binds_nothing_and_the_next_attempt_may_succeed(void)
{
    begin();
    hold_a_commit();
    UNCHANGED(false, 0, (void)0);
    struct jump_session_view before = S();
    world_answer_held(&w, JUMP_STORE_FAILED);
    CU_ASSERT_EQUAL(S().generation, before.generation);
    CU_ASSERT_EQUAL(S().state_version, before.state_version);
    w.store = WORLD_STORE_NOW;
    while (world_answer_held(&w, JUMP_STORE_DONE))
        ;
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 10000);
    story_end();
}

static void test_store_an_answer_to_another_ticket_or_for_another_session_is_refused(void)
{
    begin();
    hold_a_commit();
    struct jump_input answer = w.held[0];
    answer.ticket ^= UINT64_C(1) << 40;
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &answer), JUMP_ERR_UNKNOWN));
    answer.ticket = 0;
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &answer), JUMP_ERR_UNKNOWN));
    answer.ticket = UINT64_MAX;
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &answer), JUMP_ERR_UNKNOWN));
    answer = w.held[0];
    w.store = WORLD_STORE_NOW;
    CU_ASSERT_TRUE(world_answer_held(&w, JUMP_STORE_DONE));
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &answer), JUMP_ERR_UNKNOWN)); /* the same twice */
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

static void test_store_A09_a_path_that_dies_while_the_commit_is_out_is_fenced_at_once(void)
{
    begin();
    hold_a_commit();
    w.drop_up = ~0u; /* the old path is silent since the rebinding, the new one from now on */
    world_run(&w, JUMP_MS(10000));
    CU_ASSERT_EQUAL(unbinds, 1); /* the data path is closed; the record follows with the store's answer */
    CU_ASSERT_EQUAL(S().state_version <= 2, 1);
    CU_ASSERT_EQUAL(world_took(&w, true, "T4", REASON(NONE)) + world_took(&w, true, "T7", REASON(NONE)), 0);
    w.drop_up = 0;
    w.store = WORLD_STORE_NOW;
    world_answer_held(&w, JUMP_STORE_DONE);
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(binds, 1);
    WAIT(C().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(WRITTEN_VERSION, S().state_version);
    story_end();
}

static void test_store_a_path_that_died_meanwhile_is_unbound_when_the_write_fails(void)
{
    begin();
    hold_a_commit();
    w.drop_up = ~0u;
    world_run(&w, JUMP_MS(10000));
    CU_ASSERT_EQUAL(unbinds, 1);
    w.store = WORLD_STORE_NOW;
    world_answer_held(&w, JUMP_STORE_FAILED);
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
    CU_ASSERT_FALSE(S().bound);
    CU_ASSERT_EQUAL(S().generation, 1);
    w.drop_up = 0;
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

static void test_store_a_probe_on_a_fenced_path_does_not_open_it_again(void)
{
    begin();
    hold_a_commit();
    struct jump_body probe = { .seq = 100000, .claims_binding = 1, .generation = 1, .transport = 1, .next_within_ms = 750 };
    struct jump_path old = S().binding;
    w.drop_up = ~0u;
    world_run(&w, JUMP_MS(10000));
    CU_ASSERT_EQUAL(unbinds, 1);
    peek_seal_as(&message, &w, false, 0, JUMP_MSG_PROBE, &probe, peek_client(&w, 0)->send_counter + 10);
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &old, message.bytes, message.len), 0));
    CU_ASSERT_EQUAL(binds, 0);
    w.store = WORLD_STORE_NOW;
    world_answer_held(&w, JUMP_STORE_DONE);
    story_end();
}

static void test_store_A09_the_transport_ttl_does_not_wait_for_a_silent_store(void)
{
    story_prepare(1);
    POLICY(transport_lost_ttl_ms, 15000);
    POLICY(recovery_window_ms, 8000);
    story_attach();
    w.on_action = watch;
    unbinds = binds = writes = last_writes = 0;
    hold_a_commit();
    w.drop_up = ~0u;
    WAIT_IDLE(unbinds == 1, 10000);
    jump_time fenced = w.now;
    WAIT_IDLE(S().state == JUMP_TERMINATED, 20000);
    CU_ASSERT_TRUE(w.now - fenced <= JUMP_MS(15001));
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    CU_ASSERT_EQUAL(w.server_ends, 1);
    world_answer_held(&w, JUMP_STORE_DONE); /* the answer comes to a grave: it binds nothing, the record ends */
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    CU_ASSERT_EQUAL(binds, 0);
    CU_ASSERT_EQUAL(last_writes, 1);
    story_end();
}

static void test_store_the_transport_ttl_of_a_volatile_session_does_not_wait_for_a_silent_store(void)
{
    story_prepare(1);
    POLICY(transport_lost_ttl_ms, 15000);
    POLICY(recovery_window_ms, 15000);
    story_attach();
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_VOLATILE, 5000);
    w.clients[0].up[0] = true;
    w.store = WORLD_STORE_HELD;
    world_rebind(&w, 0, 0);
    WAIT(w.held_count == 1, 3000);
    w.drop_up = ~0u;
    WAIT_IDLE(S().state == JUMP_TERMINATED, 40000);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    CU_ASSERT_EQUAL(MOVED(true, "T7", DEAD_TRANSPORT_RECOVERY), 1);
    CU_ASSERT_EQUAL(MOVED(true, "T18", TRANSPORT_TTL_EXCEEDED), 1);
    story_end();
}

static void test_store_the_time_without_a_path_counts_from_the_fence_and_not_from_the_failed_write(void)
{
    begin();
    w.store = WORLD_STORE_HELD;
    world_rebind(&w, 0, 0);
    WAIT(w.held_count == 1, 3000);
    w.drop_up = ~0u;
    WAIT_IDLE(unbinds == 1, 10000);
    jump_time fenced = w.now;
    world_run(&w, JUMP_MS(100000));
    w.store = WORLD_STORE_NOW;
    world_answer_held(&w, JUMP_STORE_FAILED);
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
    CU_ASSERT_EQUAL(unbinds, 1); /* it has been said */
    WAIT_IDLE(S().state == JUMP_TERMINATED, 310000);
    CU_ASSERT_TRUE(w.now - fenced <= JUMP_MS(300002));
    story_end();
}

/* Found by the model check (tests/model/paths.c). */
static void test_store_a_fenced_path_that_another_session_took_is_not_said_dead_twice(void)
{
    struct jump_session_view other;
    struct jump_stats stats;
    story_begin(2);
    w.on_action = watch;
    unbinds = 0;
    struct jump_path before = S().binding;
    hold_a_commit();
    w.clients[0].up[0] = false;
    WAIT(unbinds == 1, 10000); /* fenced */
    w.store = WORLD_STORE_NOW;
    w.clients[1].uplinks[0] = before; /* the other client's NAT gives it the address that has become free */
    WAIT(world_view_server(&w, 1, &other) && memcmp(&other.binding, &before, sizeof before) == 0, 5000);
    CU_ASSERT_FALSE(S().bound);
    CU_ASSERT_TRUE(world_answer_held(&w, JUMP_STORE_FAILED));
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.invalid_transitions, 0);
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
    w.clients[0].up[0] = true;
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 5000);
    story_end();
}

static void test_store_a_session_that_ends_while_a_write_is_out_writes_its_end_after_the_answer(void)
{
    for (unsigned result = JUMP_STORE_DONE; result <= JUMP_STORE_FAILED; result++) {
        struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
        begin();
        in.session_id = S().id;
        hold_a_commit();
        CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
        CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
        CU_ASSERT_EQUAL(w.server_ends, 1);
        CU_ASSERT_EQUAL(last_writes, 0); /* at most one write is out */
        uint64_t asked = WRITTEN_VERSION, generation = WRITTEN_GENERATION, attempt = WRITTEN_ATTEMPT, counter = WRITTEN_COUNTER;
        CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_UNKNOWN);
        world_answer_held(&w, (enum jump_store_result)result);
        CU_ASSERT_EQUAL(last_writes, 1);
        CU_ASSERT_EQUAL(written[1], JUMP_MODE_TERMINATED);
        CU_ASSERT_TRUE(WRITTEN_VERSION > asked || result != JUMP_STORE_DONE); /* I8: what was taken is not written over by less */
        CU_ASSERT_TRUE(attempt > 0 && counter > 0);
        if (result == JUMP_STORE_DONE)
            CU_ASSERT_TRUE(WRITTEN_GENERATION == generation && WRITTEN_ATTEMPT == attempt && WRITTEN_COUNTER == counter);
        CU_ASSERT_EQUAL(binds, 0);
        CU_ASSERT_EQUAL(w.last_from_server[JUMP_MSG_REATTACH_ACCEPT].len, 0);
        w.store = WORLD_STORE_NOW;
        while (world_answer_held(&w, JUMP_STORE_DONE))
            ;
        WAIT_IDLE(w.clients[0].ended, 5000);
        CU_ASSERT_EQUAL(w.server_ends, 1);
        CU_ASSERT_TRUE(world_attach(&w, 0)); /* the place is free again */
        story_end();
    }
}

static void test_store_at_most_one_write_of_a_session_is_out_and_each_transition_reaches_it(void)
{
    begin();
    w.store = WORLD_STORE_HELD;
    w.clients[0].up[0] = false;
    for (unsigned i = 0; i < 100; i++) {
        world_run(&w, JUMP_MS(100));
        CU_ASSERT_TRUE(w.held_count <= 1);
        if (i % 10 == 9)
            world_answer_held(&w, JUMP_STORE_DONE);
    }
    w.store = WORLD_STORE_NOW;
    while (world_answer_held(&w, JUMP_STORE_DONE))
        ;
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
    CU_ASSERT_EQUAL(WRITTEN_VERSION, S().state_version);
    CU_ASSERT_EQUAL(written[1], JUMP_MODE_RECOVERING_UNBOUND);
    story_end();
}

static void test_store_what_is_written_is_what_the_session_is_after_any_delay(void)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t random = seed;
        begin();
        w.store = WORLD_STORE_HELD;
        w.clients[0].loss_ppm[0] = seed % 3 ? 250000 : 0; /* transitions of their own while a commit is out */
        for (unsigned i = 0; i < 60; i++) {
            if (runner_random(&random) % 5 == 0)
                world_rebind(&w, 0, 0);
            world_busy(&w, 0, JUMP_MS(runner_random(&random) % 1500));
            enum jump_store_result result = runner_random(&random) % 8 ? JUMP_STORE_DONE : JUMP_STORE_FAILED;
            if (runner_random(&random) % 3)
                world_answer_held(&w, result);
            CU_ASSERT_TRUE(w.held_count <= 1);
            CU_ASSERT_PTR_NULL(peek_broken(&w));
        }
        w.store = WORLD_STORE_NOW;
        w.clients[0].loss_ppm[0] = 0;
        while (world_answer_held(&w, JUMP_STORE_DONE))
            ;
        world_busy(&w, 0, JUMP_MS(61000));
        CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        CU_ASSERT_EQUAL(WRITTEN_VERSION, S().state_version);
        CU_ASSERT_EQUAL(WRITTEN_GENERATION, S().generation);
        story_end();
    }
}

static void test_store_a_proof_for_the_path_that_is_bound_writes_no_new_version(void)
{
    begin();
    w.clients[0].up[0] = false;
    WAIT(C().state == JUMP_RECOVERING, 3000);
    w.clients[0].up[0] = true; /* too soon for the server to have noticed */
    WAIT(C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_EQUAL(S().switches, 0);
    CU_ASSERT_EQUAL(binds, 0);
    CU_ASSERT_EQUAL(WRITTEN_GENERATION, 1);
    CU_ASSERT_EQUAL(WRITTEN_VERSION, S().state_version);
    story_end();
}

#define TESTS(X)                                                                                  \
    X(test_store_A09_accept_leaves_only_after_the_write)                                              \
    X(test_store_A09_the_first_attach_waits_for_its_write_too)                                        \
    X(test_store_a_birth_whose_write_fails_attaches_at_the_next_probe_or_ends_at_its_window)      \
    X(test_store_while_a_commit_is_out_requests_and_proofs_are_dropped_silently)                  \
    X(test_store_A09_a_conflict_binds_nothing_and_says_atomicity_failed)                              \
    X(test_store_A09_a_failure_binds_nothing_and_the_next_attempt_may_succeed)                        \
    X(test_store_an_answer_to_another_ticket_or_for_another_session_is_refused)                   \
    X(test_store_A09_a_path_that_dies_while_the_commit_is_out_is_fenced_at_once)                      \
    X(test_store_a_path_that_died_meanwhile_is_unbound_when_the_write_fails)                      \
    X(test_store_a_probe_on_a_fenced_path_does_not_open_it_again)                                 \
    X(test_store_A09_the_transport_ttl_does_not_wait_for_a_silent_store)                              \
    X(test_store_the_time_without_a_path_counts_from_the_fence_and_not_from_the_failed_write)     \
    X(test_store_a_fenced_path_that_another_session_took_is_not_said_dead_twice)                  \
    X(test_store_the_transport_ttl_of_a_volatile_session_does_not_wait_for_a_silent_store)        \
    X(test_store_a_session_that_ends_while_a_write_is_out_writes_its_end_after_the_answer)        \
    X(test_store_at_most_one_write_of_a_session_is_out_and_each_transition_reaches_it)            \
    X(test_store_what_is_written_is_what_the_session_is_after_any_delay)                          \
    X(test_store_a_proof_for_the_path_that_is_bound_writes_no_new_version)

RUN_TESTS("engine_store", TESTS)
