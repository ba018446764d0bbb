/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * T14 to T25 of model.md 3, each reached with real inputs: what is refused, what ends a session and what does not,
 * with the instants on both sides of every bound. Before T14: test_engine_model.c.
 */
#include "story.h"

#define MOVED(server, row, reason) world_took(&w, server, row, REASON(reason))

static struct peek_message message;

static const struct jump_path *address(void)
{
    return &w.clients[0].uplinks[0];
}

/* T14 */

static void refuse_three_kinds(void)
{
    struct jump_body body = { .seq = 77777, .generation = 1 };
    struct world_flight old = w.last_from_client[JUMP_MSG_PROBE];
    if (!peek_client(&w, 0) || !peek_server(&w, 0))
        return;
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(), old.bytes, old.len - 1), 0));
    world_inject(&w, address(), old.bytes, old.len); /* it may have been lost on its way: the next copy is a replay */
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(), old.bytes, old.len), 0));
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &body);
    message.bytes[message.len - 1] ^= 1;
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(), message.bytes, message.len), 0));
    peek_seal(&message, &w, true, 0, JUMP_MSG_PROBE_ACK, &body);
    message.bytes[message.len - 1] ^= 1;
    UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0));
    UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len - 1), 0));
}

static void test_T14_bad_proof_replay_and_malformed_change_nothing_in_any_state(void)
{
    unsigned seen = 0;
    story_begin(1);
    refuse_three_kinds();
    w.clients[0].loss_ppm[0] = 300000;
    for (unsigned i = 0; i < 600 && C().state != JUMP_TERMINATED; i++) {
        if (i == 400)
            w.clients[0].up[0] = false;
        world_busy(&w, 0, JUMP_MS(100));
        world_run(&w, JUMP_MS(25)); /* nothing is in the air */
        seen |= 1u << C().state | 1u << (8 + S().state);
        refuse_three_kinds();
    }
    CU_ASSERT_EQUAL(seen & 0x1f, 1u << JUMP_ATTACHED | 1u << JUMP_VOLATILE | 1u << JUMP_DEGRADED | 1u << JUMP_RECOVERING);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_VALIDATION_FAILED, REASON(BAD_PROOF)) > 0);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_REPLAY_DETECTED, REASON(REPLAY_DETECTED)) > 0);
    story_end();
}

/* T15 */

static void test_T15_the_recovery_window_ends_a_client_that_has_no_path_and_not_a_moment_before(void)
{
    story_prepare(1);
    POLICY(recovery_window_ms, 8000);
    POLICY(transport_lost_ttl_ms, 15000);
    story_attach();
    w.clients[0].up[0] = false;
    WAIT(C().state == JUMP_RECOVERING, 5000);
    jump_time since = w.now;
    world_run(&w, JUMP_MS(7998));
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    WAIT(C().state == JUMP_TERMINATED, 10);
    CU_ASSERT_TRUE(w.now - since <= JUMP_MS(8001));
    CU_ASSERT_EQUAL(MOVED(false, "T15", RECOVERY_WINDOW_EXCEEDED), 1);
    CU_ASSERT_TRUE(w.clients[0].end_host);
    story_end();
}

static void test_T15_a_path_that_is_back_before_the_window_is_over_saves_the_session(void)
{
    story_prepare(1);
    POLICY(recovery_window_ms, 8000);
    POLICY(transport_lost_ttl_ms, 15000);
    story_attach();
    w.clients[0].up[0] = false;
    WAIT(C().state == JUMP_RECOVERING, 5000);
    world_run(&w, JUMP_MS(7000));
    w.clients[0].up[0] = true;
    WAIT(C().state == JUMP_ATTACHED, 900);
    world_busy(&w, 0, JUMP_MS(20000));
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    story_end();
}

/* T16, T23 */

static void begin_a_switch_that_does_not_succeed(void)
{
    world_candidates(&w, 0, 2, NULL);
    world_busy(&w, 0, JUMP_MS(1000));
    w.drop_up = TYPE(REATTACH_REQUEST);
    w.clients[0].loss_ppm[0] = 250000;
    WAIT(world_took(&w, false, "T8", REASON(NONE)) == 1, 120000);
    CU_ASSERT_TRUE(C().bound);
}

static void test_T16_a_switch_that_does_not_succeed_leaves_the_session_degraded_and_bound(void)
{
    story_begin(1);
    begin_a_switch_that_does_not_succeed();
    jump_time began = w.now;
    uint64_t generation = C().generation;
    unsigned unbinds = w.clients[0].unbinds;
    w.clients[0].loss_ppm[0] = 0; /* it works again, so that nothing else happens */
    WAIT(MOVED(false, "T16", RECOVERY_WINDOW_EXCEEDED) == 1, 5000);
    CU_ASSERT_TRUE(w.now - began >= JUMP_MS(1999) && w.now - began <= JUMP_MS(2001)); /* max(8 RTO, 2 s) */
    CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
    CU_ASSERT_TRUE(C().bound);
    CU_ASSERT_EQUAL(C().generation, generation);
    CU_ASSERT_EQUAL(w.clients[0].unbinds, unbinds);
    CU_ASSERT_EQUAL(S().generation, generation);
    story_end();
}

static void test_T16_comes_before_the_recovery_window_is_over_however_slow_the_path_is(void)
{
    story_prepare(1);
    POLICY(recovery_window_ms, 1000);
    POLICY(transport_lost_ttl_ms, 30000);
    story_attach();
    begin_a_switch_that_does_not_succeed();
    jump_time began = w.now;
    w.clients[0].loss_ppm[0] = 0;
    WAIT(MOVED(false, "T16", RECOVERY_WINDOW_EXCEEDED) == 1, 5000);
    CU_ASSERT_TRUE(w.now - began >= JUMP_MS(999) && w.now - began <= JUMP_MS(1001)); /* else a death now would end it at once */
    CU_ASSERT_TRUE(C().bound);
    story_end();
}

static void test_T23_a_path_that_dies_during_a_switch_unbinds_keeps_the_deadline_and_cancels_the_switch_timeout(void)
{
    const uint8_t lost[] = { 1, 0 };
    story_prepare(1);
    POLICY(recovery_window_ms, 5000);
    POLICY(transport_lost_ttl_ms, 30000);
    story_attach();
    begin_a_switch_that_does_not_succeed();
    jump_time began = w.now;
    uint64_t attempt = peek_client(&w, 0)->attempt;
    world_run(&w, JUMP_MS(1200));
    if (C().bound) /* or its loss has done it already */
        world_candidates(&w, 0, 2, lost);
    CU_ASSERT_EQUAL(MOVED(false, "T23", TRANSPORT_DEAD), 1);
    CU_ASSERT_FALSE(C().bound);
    CU_ASSERT_EQUAL(peek_client(&w, 0)->attempt, attempt); /* one attempt for each entry */
    CU_ASSERT_FALSE(peek_client(&w, 0)->u.client.voluntary);
    world_run(&w, JUMP_MS(2000));
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    CU_ASSERT_EQUAL(world_took(&w, false, "T16", REASON(NONE)), 0);
    WAIT_IDLE(C().state == JUMP_TERMINATED, 4000);
    CU_ASSERT_EQUAL(MOVED(false, "T15", RECOVERY_WINDOW_EXCEEDED), 1);
    CU_ASSERT_TRUE(w.now - began >= JUMP_MS(4999) && w.now - began <= JUMP_MS(5002));
    story_end();
}

static void test_T23_and_then_the_other_path_is_bound_without_a_choice(void)
{
    const uint8_t lost[] = { 1, 0 };
    story_begin(1);
    begin_a_switch_that_does_not_succeed();
    world_run(&w, JUMP_MS(500));
    if (C().bound)
        world_candidates(&w, 0, 2, lost);
    w.drop_up = 0;
    WAIT_IDLE(C().state == JUMP_ATTACHED, 2000);
    CU_ASSERT_EQUAL(C().binding.transport, 2);
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_FALSE(story_last(true, JUMP_EVENT_TRANSPORT_SWITCH)->voluntary);
    story_end();
}

/* T17 */

static void test_T17_the_lifetime_ends_both_sides_on_the_millisecond(void)
{
    story_prepare(1);
    POLICY(max_lifetime_ms, 60000);
    POLICY(transport_lost_ttl_ms, 20000);
    POLICY(recovery_window_ms, 20000);
    story_attach();
    jump_time server_born = S().born_at, client_born = C().born_at;
    world_busy(&w, 0, server_born + JUMP_MS(60000) - w.now - 1);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    w.drop_down = TYPE(TERMINATE); /* each side ends by itself, whether or not it hears the other */
    w.drop_up = ~0u;
    world_run(&w, 2);
    CU_ASSERT_EQUAL(MOVED(true, "T17", SESSION_LIFETIME_EXCEEDED), 1);
    world_run(&w, client_born + JUMP_MS(60000) - w.now);
    CU_ASSERT_EQUAL(MOVED(false, "T17", SESSION_LIFETIME_EXCEEDED), 1);
    CU_ASSERT_TRUE(w.server_end_host && w.clients[0].end_host);
    story_end();
}

static void test_T17_no_reattach_makes_a_life_longer(void)
{
    story_prepare(1);
    POLICY(max_lifetime_ms, 60000);
    POLICY(transport_lost_ttl_ms, 20000);
    POLICY(recovery_window_ms, 20000);
    story_attach();
    jump_time born = S().born_at;
    while (S().state != JUMP_TERMINATED && w.now - born < JUMP_MS(70000)) {
        world_rebind(&w, 0, 0);
        world_busy(&w, 0, JUMP_MS(6000));
    }
    CU_ASSERT_TRUE(w.now - born <= JUMP_MS(66000));
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(SESSION_LIFETIME_EXCEEDED));
    story_end();
}

/* T18 */

static void test_T18_the_server_waits_for_the_transport_ttl_and_not_a_moment_longer(void)
{
    story_begin(1);
    w.drop_up = ~0u;
    WAIT(S().state == JUMP_RECOVERING, 20000);
    jump_time unbound = peek_server(&w, 0)->unbound_at;
    world_run(&w, unbound + JUMP_MS(300000) - 1 - w.now);
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
    world_run(&w, 2);
    CU_ASSERT_EQUAL(MOVED(true, "T18", TRANSPORT_TTL_EXCEEDED), 1);
    CU_ASSERT_TRUE(w.server_end_host);
    story_end();
}

static void test_T18_a_denied_client_ends_at_the_transport_ttl_which_its_retries_do_not_restart(void)
{
    story_prepare(1);
    POLICY(max_switches_per_min, 1);
    POLICY(transport_lost_ttl_ms, 20000);
    POLICY(recovery_window_ms, 20000);
    story_attach();
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    world_busy(&w, 0, JUMP_MS(2000));
    world_rebind(&w, 0, 0); /* the next one is over the rate for most of a minute */
    WAIT(C().state == JUMP_DEGRADED && !C().bound, 3000);
    jump_time unbound = peek_client(&w, 0)->unbound_at;
    for (unsigned i = 0; i < 25 && C().state != JUMP_TERMINATED; i++) {
        world_candidates(&w, 0, 1, NULL); /* each local change tries at once (T24) and is denied again */
        world_run(&w, JUMP_MS(1000));
    }
    CU_ASSERT_TRUE(MOVED(false, "T24", RECOVERY_RETRY) > 3);
    CU_ASSERT_EQUAL(C().state, JUMP_TERMINATED);
    CU_ASSERT_TRUE(w.now - unbound <= JUMP_MS(21001));
    CU_ASSERT_EQUAL(MOVED(false, "T18", TRANSPORT_TTL_EXCEEDED) + MOVED(false, "T15", RECOVERY_WINDOW_EXCEEDED), 1);
    story_end();
}

/* T19 */

static void test_T19_a_record_that_somebody_else_wrote_ends_the_session_and_a_store_that_fails_does_not(void)
{
    story_begin(1);
    w.store = WORLD_STORE_FAIL;
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_VOLATILE, 10000);
    world_run(&w, JUMP_MS(100));
    CU_ASSERT_EQUAL(S().state, JUMP_VOLATILE);
    w.clients[0].up[0] = true;
    w.store = WORLD_STORE_NOW;
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 10000);
    world_busy(&w, 0, JUMP_MS(3000));
    w.store = WORLD_STORE_CONFLICT;
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_TERMINATED, 10000);
    CU_ASSERT_EQUAL(MOVED(true, "T19", OWNERSHIP_CONFLICT), 1);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(OWNERSHIP_CONFLICT));
    story_end();
}

/* T20 */

static void break_it(struct jump_session *s, unsigned how)
{
    switch (how) {
    case 0:
        s->version += 5;
        break;
    case 1:
        s->born_at -= JUMP_MS(s->policy.max_lifetime_ms); /* older than it may be: T17 sees it first */
        break;
    default:
        memset(&s->binding, 0, sizeof s->binding);
    }
}

static void test_T20_a_session_that_is_damaged_in_memory_ends_and_nothing_else_does(void)
{
    for (unsigned how = 0; how < 3; how++) {
        for (unsigned server = 0; server < 2; server++) {
            story_begin(2);
            if (!server && how == 2) { /* a client without a path hears nothing, takes T4, and is whole again */
                world_free(&w);
                continue;
            }
            break_it(server ? peek_server(&w, 0) : peek_client(&w, 0), how);
            w.clients[0].loss_ppm[0] = 300000; /* a transition comes that keeps the binding, and with it the check */
            world_busy(&w, 0, JUMP_MS(30000));
            CU_ASSERT_EQUAL(server ? S().state : C().state, JUMP_TERMINATED);
            if (how != 1)
                CU_ASSERT_EQUAL(MOVED(server, "T20", INVARIANT_VIOLATION), 1);
            world_busy(&w, 1, JUMP_MS(2000));
            CU_ASSERT_EQUAL(world_state_server(&w, 1), JUMP_ATTACHED);
            CU_ASSERT_EQUAL(world_state_client(&w, 1), JUMP_ATTACHED);
            CU_ASSERT_PTR_NULL(peek_broken(&w));
            world_free(&w);
        }
    }
}

/* T21 */

static void test_T21_an_operator_ends_one_session_and_its_peer_knows_in_half_a_round_trip(void)
{
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
    story_begin(2);
    in.session_id = S().id;
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    CU_ASSERT_EQUAL(MOVED(true, "T21", OPERATOR_TERMINATED), 1);
    world_run(&w, JUMP_MS(11));
    CU_ASSERT_EQUAL(MOVED(false, "T21", PEER_TERMINATED), 1);
    CU_ASSERT_EQUAL(world_state_server(&w, 1), JUMP_ATTACHED);
    UNCHANGED(true, 1, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_UNKNOWN));
    story_end();
}

static void test_T21_a_clients_operator_ends_it_and_the_server_hears_it(void)
{
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
    story_begin(1);
    in.session_id = C().id;
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), 0);
    CU_ASSERT_EQUAL(MOVED(false, "T21", OPERATOR_TERMINATED), 1);
    world_run(&w, JUMP_MS(11));
    CU_ASSERT_EQUAL(MOVED(true, "T21", PEER_TERMINATED), 1);
    CU_ASSERT_EQUAL(w.server_ends, 1);
    story_end();
}

static void test_T21_the_host_that_closes_its_instance_is_not_asked_to_end_it_again(void)
{
    struct jump_input in = story_input(JUMP_IN_CLOSE);
    in.reason = REASON(HOST_TERMINATED);
    story_begin(1);
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    CU_ASSERT_EQUAL(MOVED(true, "T21", HOST_TERMINATED), 1);
    CU_ASSERT_EQUAL(w.server_ends, 1);
    CU_ASSERT_FALSE(w.server_end_host);
    world_run(&w, JUMP_MS(11));
    CU_ASSERT_EQUAL(MOVED(false, "T21", PEER_TERMINATED), 1);
    CU_ASSERT_TRUE(w.clients[0].end_host);
    story_end();
}

static void test_T21_a_restarted_server_says_unknown_session_and_the_client_does_not_wait_its_window_out(void)
{
    story_begin(1);
    world_restart_server(&w);
    jump_time at = w.now;
    WAIT(w.clients[0].ended, 3000);
    CU_ASSERT_EQUAL(MOVED(false, "T21", UNKNOWN_SESSION), 1);
    CU_ASSERT_TRUE(w.now - at <= JUMP_MS(1000));
    CU_ASSERT_TRUE(w.clients[0].end_host); /* it begins anew */
    CU_ASSERT_TRUE(world_attach(&w, 0));
    story_end();
}

static void test_T21_a_terminate_with_a_flipped_bit_or_under_another_key_ends_nobody(void)
{
    struct jump_body body = { .reason = REASON(OPERATOR_TERMINATED) };
    story_begin(2);
    peek_seal(&message, &w, true, 0, JUMP_MSG_TERMINATE, &body);
    for (size_t at = 0; at < message.len; at++) {
        message.bytes[at] ^= 0x40;
        UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0));
        message.bytes[at] ^= 0x40;
    }
    UNCHANGED(false, 1, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 1, 1, message.bytes, message.len), 0));
    CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0);
    CU_ASSERT_EQUAL(C().state, JUMP_TERMINATED);
    story_end();
}

static void test_T21_a_reason_that_ends_nothing_is_refused_and_the_peer_is_not_told(void)
{
    static const enum jump_reason reasons[] = { REASON(NONE), REASON(TRANSPORT_DEAD), REASON(KEY_ROTATED), REASON(COUNT) };
    story_begin(1);
    for (unsigned i = 0; i < 4; i++) {
        struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = reasons[i], .session_id = S().id };
        UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_ARGUMENT));
        UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), JUMP_ERR_ARGUMENT));
        world_busy(&w, 0, JUMP_MS(1000));
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    }
    story_end();
}

/* T22 */

static void test_T22_nothing_is_left_of_a_terminated_session_for_any_input(void)
{
    static const enum jump_input_kind kinds[] = { JUMP_IN_ANNOUNCED, JUMP_IN_EPOCH, JUMP_IN_CLOSE, JUMP_IN_TERMINATE,
                                                  JUMP_IN_ACTIVITY, JUMP_IN_ADVICE };
    uint8_t secret[JUMP_SECRET_BYTES] = { 9 };
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
    struct jump_body body = { .attempt = 9, .generation = 1, .transport = 1, .seq = 999 };
    struct peek_message probe;
    story_begin(1);
    in.session_id = S().id;
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    peek_seal(&probe, &w, false, 0, JUMP_MSG_PROBE, &body);
    world_feed_server(&w, &in);
    world_run(&w, JUMP_MS(100));
    CU_ASSERT_TRUE(w.clients[0].ended);
    unsigned changes = world_count(&w, true, JUMP_EVENT_STATE_CHANGE, REASON(NONE)) +
                       world_count(&w, false, JUMP_EVENT_STATE_CHANGE, REASON(NONE));
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct jump_input late = { .kind = kinds[i], .host = 1, .session_id = in.session_id, .secret = secret,
                                   .reason = REASON(HOST_TERMINATED), .path = *address() };
        CU_ASSERT_EQUAL(world_feed_server(&w, &late), JUMP_ERR_UNKNOWN);
        CU_ASSERT_EQUAL(world_feed_client(&w, 0, &late), JUMP_ERR_UNKNOWN);
    }
    world_inject(&w, address(), message.bytes, message.len); /* the tombstone answers, and that is all */
    world_inject(&w, address(), probe.bytes, probe.len);
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    CU_ASSERT_EQUAL(C().state, JUMP_TERMINATED);
    CU_ASSERT_EQUAL(changes, world_count(&w, true, JUMP_EVENT_STATE_CHANGE, REASON(NONE)) +
                                     world_count(&w, false, JUMP_EVENT_STATE_CHANGE, REASON(NONE)));
    CU_ASSERT_EQUAL(jump_engine_deadline(w.server), JUMP_NEVER);
    story_end();
}

/* T25 */

static void short_lived_keys(void)
{
    story_prepare(1);
    POLICY(transport_lost_ttl_ms, 5000);
    POLICY(recovery_window_ms, 5000);
    POLICY(key_max_age_ms, 20000);
    story_attach();
}

static void test_T25_a_key_that_is_not_replaced_in_time_ends_both_sides_with_its_own_reason(void)
{
    short_lived_keys();
    jump_time born = S().born_at;
    w.drop_up = w.drop_down = TYPE(TERMINATE);
    world_busy(&w, 0, born + JUMP_MS(20000) - w.now - 1);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    WAIT(S().state == JUMP_TERMINATED && C().state == JUMP_TERMINATED, 500);
    CU_ASSERT_EQUAL(MOVED(true, "T25", KEY_EXPIRED), 1);
    CU_ASSERT_EQUAL(MOVED(false, "T25", KEY_EXPIRED), 1);
    story_end();
}

static void test_T25_a_rekey_in_time_keeps_the_session_and_a_hole_does_not_end_it_for_its_keys_age(void)
{
    uint8_t secret[JUMP_SECRET_BYTES] = { 25 };
    short_lived_keys();
    jump_time born = S().born_at;
    world_busy(&w, 0, born + JUMP_MS(15000) - w.now);
    world_rekey_server(&w, 0, secret, false);
    world_rekey_client(&w, 0, secret, false);
    world_busy(&w, 0, JUMP_MS(17000)); /* 32 s: the first key is long over */
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    w.clients[0].up[0] = false; /* the second one's age falls into this hole */
    world_run(&w, JUMP_MS(4500));
    CU_ASSERT_EQUAL(MOVED(true, "T25", KEY_EXPIRED) + MOVED(false, "T25", KEY_EXPIRED), 0);
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    story_end();
}

#define TESTS(X)                                                                                               \
    X(test_T14_bad_proof_replay_and_malformed_change_nothing_in_any_state)                                     \
    X(test_T15_the_recovery_window_ends_a_client_that_has_no_path_and_not_a_moment_before)                     \
    X(test_T15_a_path_that_is_back_before_the_window_is_over_saves_the_session)                                \
    X(test_T16_a_switch_that_does_not_succeed_leaves_the_session_degraded_and_bound)                           \
    X(test_T16_comes_before_the_recovery_window_is_over_however_slow_the_path_is)                              \
    X(test_T17_the_lifetime_ends_both_sides_on_the_millisecond)                                                \
    X(test_T17_no_reattach_makes_a_life_longer)                                                                \
    X(test_T18_the_server_waits_for_the_transport_ttl_and_not_a_moment_longer)                                 \
    X(test_T18_a_denied_client_ends_at_the_transport_ttl_which_its_retries_do_not_restart)                     \
    X(test_T19_a_record_that_somebody_else_wrote_ends_the_session_and_a_store_that_fails_does_not)             \
    X(test_T20_a_session_that_is_damaged_in_memory_ends_and_nothing_else_does)                                 \
    X(test_T21_an_operator_ends_one_session_and_its_peer_knows_in_half_a_round_trip)                           \
    X(test_T21_a_clients_operator_ends_it_and_the_server_hears_it)                                             \
    X(test_T21_the_host_that_closes_its_instance_is_not_asked_to_end_it_again)                                 \
    X(test_T21_a_restarted_server_says_unknown_session_and_the_client_does_not_wait_its_window_out)            \
    X(test_T21_a_terminate_with_a_flipped_bit_or_under_another_key_ends_nobody)                                \
    X(test_T21_a_reason_that_ends_nothing_is_refused_and_the_peer_is_not_told)                                 \
    X(test_T22_nothing_is_left_of_a_terminated_session_for_any_input)                                          \
    X(test_T23_a_path_that_dies_during_a_switch_unbinds_keeps_the_deadline_and_cancels_the_switch_timeout)     \
    X(test_T23_and_then_the_other_path_is_bound_without_a_choice)                                              \
    X(test_T25_a_key_that_is_not_replaced_in_time_ends_both_sides_with_its_own_reason)                         \
    X(test_T25_a_rekey_in_time_keeps_the_session_and_a_hole_does_not_end_it_for_its_keys_age)

RUN_TESTS("engine_endings", TESTS)
