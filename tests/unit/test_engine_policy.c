/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A new policy while sessions live (model.md 6): taken as a whole or not at all, recorded, for new sessions; the bounds that
 * end an older session become the earlier of old and new and nothing else of it changes.
 */
#include "story.h"

static struct jump_policy newer;

static int set_server(void)
{
    struct jump_input in = story_input(JUMP_IN_POLICY);
    in.policy = &newer;
    return world_feed_server(&w, &in);
}

static int set_client(void)
{
    struct jump_input in = story_input(JUMP_IN_POLICY);
    in.policy = &newer;
    return world_feed_client(&w, 0, &in);
}

static void begin(unsigned clients)
{
    story_begin(clients);
    newer = w.server_config.policy;
}

/* A policy whose bounds allow this transport TTL. */
static void newer_ttl(uint32_t ms)
{
    newer.transport_lost_ttl_ms = ms;
    if (newer.recovery_window_ms > ms)
        newer.recovery_window_ms = ms;
}

static void test_policy_change_is_recorded_and_for_new_sessions_but_for_the_bounds(void)
{
    story_prepare(2);
    world_start(&w);
    CU_ASSERT_TRUE_FATAL(world_attach(&w, 0));
    struct jump_policy old = w.server_config.policy;
    newer = old;
    newer_ttl(20000);
    newer.max_lifetime_ms = old.max_lifetime_ms / 2;
    newer.key_max_age_ms = old.key_max_age_ms / 2;
    newer.heartbeat_interval_ms = 400;
    newer.switch_cooldown_ms = 7000;
    newer.max_switches_per_min = 3;
    newer.allowed_protocols = JUMP_PROTO_BIT(JUMP_PROTO_TCP);
    CU_ASSERT_EQUAL(set_server(), 0);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_POLICY, REASON(NONE)), 1);
    CU_ASSERT_FALSE(story_last(true, JUMP_EVENT_POLICY)->fields & JUMP_FIELD_SESSION); /* it is the node's */
    CU_ASSERT_TRUE(world_attach(&w, 1));
    struct jump_policy want = old;
    want.max_lifetime_ms = newer.max_lifetime_ms;
    want.transport_lost_ttl_ms = newer.transport_lost_ttl_ms;
    want.recovery_window_ms = newer.recovery_window_ms;
    want.key_max_age_ms = newer.key_max_age_ms;
    CU_ASSERT_EQUAL(memcmp(&peek_server(&w, 0)->policy, &want, sizeof want), 0);
    CU_ASSERT_EQUAL(jump_policy_valid(&want), 0);
    CU_ASSERT_EQUAL(memcmp(&peek_server(&w, 1)->policy, &newer, sizeof newer), 0);
    CU_ASSERT_EQUAL(memcmp(&peek_client(&w, 1)->policy, &newer, sizeof newer), 0);
    world_rebind(&w, 0, 0); /* an older session goes on as it was born: its protocol is still allowed */
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    story_end();
}

static void test_policy_change_never_puts_a_bound_off(void)
{
    begin(1);
    jump_time expires = S().expires_at;
    struct jump_policy old = peek_server(&w, 0)->policy;
    newer.max_lifetime_ms *= 2;
    newer.key_max_age_ms *= 2;
    newer_ttl(2 * newer.transport_lost_ttl_ms);
    newer.recovery_window_ms = newer.transport_lost_ttl_ms;
    CU_ASSERT_EQUAL(set_server(), 0);
    CU_ASSERT_EQUAL(S().expires_at, expires);
    CU_ASSERT_EQUAL(memcmp(&peek_server(&w, 0)->policy, &old, sizeof old), 0);
    story_end();
}

static void test_policy_change_shortens_bounds_that_run_from_where_they_began(void)
{
    begin(1);
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_RECOVERING && C().state == JUMP_RECOVERING, 8000);
    jump_time server_lost = peek_server(&w, 0)->unbound_at, client_lost = peek_client(&w, 0)->unbound_at;
    world_run(&w, JUMP_MS(9000));
    newer_ttl(20000);
    newer.recovery_window_ms = 15000;
    CU_ASSERT_EQUAL(set_server(), 0);
    CU_ASSERT_EQUAL(set_client(), 0);
    CU_ASSERT_TRUE(S().state == JUMP_RECOVERING && C().state == JUMP_RECOVERING);
    WAIT_IDLE(C().state == JUMP_TERMINATED, 20000);
    CU_ASSERT_TRUE(w.now >= client_lost + JUMP_MS(15000) && w.now <= client_lost + JUMP_MS(15002));
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(RECOVERY_WINDOW_EXCEEDED));
    WAIT_IDLE(S().state == JUMP_TERMINATED, 20000);
    CU_ASSERT_TRUE(w.now >= server_lost + JUMP_MS(20000) && w.now <= server_lost + JUMP_MS(20002));
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    story_end();
}

static void test_policy_change_ends_at_once_what_is_over_by_the_new_bounds(void)
{
    struct jump_input tick = story_input(JUMP_IN_TICK);
    begin(1);
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_RECOVERING && C().state == JUMP_RECOVERING, 8000);
    world_run(&w, JUMP_MS(30000));
    newer_ttl(10000);
    CU_ASSERT_EQUAL(set_server(), 0);
    CU_ASSERT_EQUAL(set_client(), 0);
    CU_ASSERT_TRUE(jump_engine_deadline(w.server) <= w.now && jump_engine_deadline(w.clients[0].engine) <= w.now);
    world_feed_server(&w, &tick);
    world_feed_client(&w, 0, &tick);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(RECOVERY_WINDOW_EXCEEDED));
    story_end();

    begin(1);
    world_busy(&w, 0, JUMP_MS(70000));
    newer_ttl(10000);
    newer.max_lifetime_ms = 60000;
    CU_ASSERT_EQUAL(set_server(), 0);
    world_feed_server(&w, &tick);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(SESSION_LIFETIME_EXCEEDED));
    story_end();

    begin(1);
    world_busy(&w, 0, JUMP_MS(70000));
    newer_ttl(10000);
    newer.key_max_age_ms = 60000;
    CU_ASSERT_EQUAL(set_server(), 0);
    world_feed_server(&w, &tick);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(KEY_EXPIRED));
    story_end();
}

static void test_policy_change_shortens_a_birth_window_that_runs(void)
{
    story_prepare(1);
    world_start(&w);
    newer = w.server_config.policy;
    w.drop_up = ~0u;
    jump_time opened = w.now;
    world_open(&w, 0);
    world_run(&w, JUMP_MS(1000));
    newer.birth_window_ms = 3000;
    CU_ASSERT_EQUAL(set_server(), 0);
    WAIT_IDLE(S().state == JUMP_TERMINATED, 12000);
    CU_ASSERT_TRUE(w.now >= opened + JUMP_MS(3000) && w.now <= opened + JUMP_MS(3002));
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(HANDSHAKE_FAIL));
    w.drop_up = 0;
    story_end();
}

static void refused_as_a_whole(void)
{
    struct jump_policy before = w.server->config.policy;
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(set_server(), JUMP_ERR_POLICY));
    CU_ASSERT_EQUAL(memcmp(&before, &w.server->config.policy, sizeof before), 0);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_POLICY, REASON(NONE)), 0);
    newer = w.server_config.policy;
}

static void test_policy_change_that_is_not_valid_or_needs_more_memory_changes_nothing(void)
{
    struct jump_input none = story_input(JUMP_IN_POLICY);
    begin(1);
    newer.max_lifetime_ms = 60000; /* shorter than the transport TTL, though a bound of its own is fine */
    refused_as_a_whole();
    newer.heartbeat_interval_ms = 1;
    newer.transport_lost_ttl_ms = 5000;
    refused_as_a_whole();
    newer.version_major = 9;
    refused_as_a_whole();
    newer_ttl(5000);
    newer.max_switches_per_min++;
    refused_as_a_whole();
    newer_ttl(5000);
    newer.replay_window *= 2;
    refused_as_a_whole();
    CU_ASSERT_EQUAL(world_feed_server(&w, &none), JUMP_ERR_POLICY);
    newer.max_switches_per_min = 0; /* less is possible */
    newer.replay_window = 64;
    CU_ASSERT_EQUAL(set_server(), 0);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_POLICY, REASON(NONE)), 1);
    story_end();
}

static void test_policy_change_to_fewer_switches_and_a_narrower_window_holds_for_the_next_session(void)
{
    story_prepare(1);
    world_start(&w);
    newer = w.server_config.policy;
    newer.max_switches_per_min = 2;
    newer.replay_window = 64;
    CU_ASSERT_EQUAL(set_server(), 0);
    CU_ASSERT_TRUE_FATAL(world_attach(&w, 0));
    world_busy(&w, 0, JUMP_MS(2000));
    for (unsigned i = 0; i < 2; i++) {
        world_rebind(&w, 0, 0);
        WAIT(S().generation == 2 + i && C().state == JUMP_ATTACHED, 3000);
        world_busy(&w, 0, JUMP_MS(1000));
    }
    world_rebind(&w, 0, 0);
    world_busy(&w, 0, JUMP_MS(20000));
    CU_ASSERT_EQUAL(S().generation, 3);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_SWITCH_DENIED, REASON(SWITCH_RATE_LIMITED)) > 0);
    WAIT(S().generation == 4, 62000);
    story_end();
}

#define TESTS(X)                                                                                        \
    X(test_policy_change_is_recorded_and_for_new_sessions_but_for_the_bounds)                           \
    X(test_policy_change_never_puts_a_bound_off)                                                        \
    X(test_policy_change_shortens_bounds_that_run_from_where_they_began)                                \
    X(test_policy_change_ends_at_once_what_is_over_by_the_new_bounds)                                   \
    X(test_policy_change_shortens_a_birth_window_that_runs)                                             \
    X(test_policy_change_that_is_not_valid_or_needs_more_memory_changes_nothing)                        \
    X(test_policy_change_to_fewer_switches_and_a_narrower_window_holds_for_the_next_session)

RUN_TESTS("engine_policy", TESTS)
