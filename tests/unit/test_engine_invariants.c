/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The invariants I1 to I16 of model.md 4 that concern one node, by their ids. I9 is test_fsm.c's, I11 needs a
 * cluster. What an attacker tries against them: test_engine_attacks.c, test_engine_forgeries.c.
 */
#include <stdlib.h>

#include "profile.h"
#include "story.h"

static struct peek_message message;

/* I1 */

static void test_I1_two_sessions_never_hold_one_path_where_addresses_alone_tell_peers_apart(void)
{
    story_begin(3);
    for (unsigned i = 0; i < 30; i++) { /* three clients take each other's addresses in turn */
        struct jump_path first = w.clients[0].uplinks[0];
        w.clients[0].uplinks[0] = w.clients[1].uplinks[0];
        w.clients[1].uplinks[0] = w.clients[2].uplinks[0];
        w.clients[2].uplinks[0] = first;
        for (unsigned step = 0; step < 60; step++) {
            for (unsigned n = 0; n < 3; n++)
                world_activity(&w, n);
            world_run(&w, JUMP_MS(100));
            CU_ASSERT_PTR_NULL(peek_broken(&w));
        }
    }
    world_run(&w, JUMP_MS(61000));
    for (unsigned n = 0; n < 3; n++)
        CU_ASSERT_EQUAL(world_state_server(&w, n), JUMP_ATTACHED);
    story_end();
}

static void test_I1_sessions_may_share_an_address_where_the_host_tells_them_apart_itself(void)
{
    struct jump_session_view other;
    story_prepare(2);
    w.server_config.unique_path = false;
    w.server_config.host_kind = w.client_config.host_kind = JUMP_HOST_STRONGSWAN;
    story_attach();
    w.clients[0].uplinks[1] = w.clients[1].uplinks[0];
    const uint8_t lost[] = { 1, 0 };
    world_candidates(&w, 0, 2, lost);
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_TRUE(world_view_server(&w, 1, &other));
    CU_ASSERT_EQUAL(other.state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(other.state_version, 1);
    CU_ASSERT_EQUAL(memcmp(&other.binding, &S().binding, sizeof other.binding), 0);
    story_end();
}

/* I2 */

static void test_I2_a_reattach_never_creates_a_session_nor_changes_its_id(void)
{
    struct jump_stats stats;
    story_begin(1);
    struct jump_id id = S().id;
    for (unsigned i = 0; i < 10; i++) {
        world_rebind(&w, 0, 0);
        WAIT(S().generation == 2 + i && C().state == JUMP_ATTACHED, 3000);
        CU_ASSERT_EQUAL(memcmp(&id, &S().id, sizeof id), 0);
        CU_ASSERT_EQUAL(memcmp(&id, &C().id, sizeof id), 0);
        world_busy(&w, 0, JUMP_MS(7000));
    }
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.births, 1);
    CU_ASSERT_EQUAL(stats.sessions, 1);
    CU_ASSERT_EQUAL(stats.switches, 10);
    story_end();
}

/* I3 */

static void test_I3_a_hole_inside_the_windows_never_ends_a_session(void)
{
    static const uint32_t holes_s[] = { 1, 2, 3, 5, 10, 30, 60, 120, 240, 299 };
    for (unsigned i = 0; i < sizeof holes_s / sizeof holes_s[0]; i++) {
        story_begin(1);
        struct jump_id id = S().id;
        w.clients[0].up[0] = false;
        world_run(&w, JUMP_MS(holes_s[i] * 1000));
        w.clients[0].up[0] = true;
        WAIT(C().state == JUMP_ATTACHED, 2500);
        WAIT(S().state == JUMP_ATTACHED, 8000); /* VOLATILE for its stable window, if the hole was short */
        CU_ASSERT_EQUAL(memcmp(&id, &S().id, sizeof id), 0);
        CU_ASSERT_FALSE(w.clients[0].ended);
        story_end();
    }
}

/* I4 */

static void no_more_than(unsigned rate)
{
    for (unsigned i = 0; i < w.event_count; i++) {
        unsigned in_window = 0;
        for (unsigned j = i; j < w.event_count; j++)
            in_window += w.events[j].server && w.events[j].event.kind == JUMP_EVENT_TRANSPORT_SWITCH &&
                         w.events[j].event.at - w.events[i].event.at < JUMP_MS(60000);
        CU_ASSERT_TRUE(in_window <= rate);
        if (in_window > rate)
            return;
    }
}

static void test_I4_switch_rate_is_never_exceeded_by_the_servers_clock(void)
{
    static const uint32_t rates[] = { 1, 3, 8, 12 };
    for (unsigned i = 0; i < 4; i++) {
        story_prepare(1);
        POLICY(max_switches_per_min, rates[i]);
        story_attach();
        for (unsigned round = 0; round < 120; round++) {
            world_rebind(&w, 0, 0);
            world_busy(&w, 0, JUMP_MS(700 + 531 * round % 1700));
        }
        CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_TRANSPORT_SWITCH, REASON(NONE)) >= rates[i]);
        no_more_than(rates[i]);
        story_end();
    }
}

static void test_I4_a_denied_switch_changes_nothing_of_the_session_and_says_when_to_come_back(void)
{
    struct jump_body body = { .attempt = 1000, .generation = 2, .transport = 1 }, answer;
    struct jump_header header;
    story_prepare(1);
    POLICY(max_switches_per_min, 1);
    story_attach();
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    jump_time switched_at = peek_server(&w, 0)->u.server.last_switch_at;
    world_busy(&w, 0, JUMP_MS(10000));
    struct jump_path elsewhere = world_path(90, 9090);
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    UNCHANGED(true, 0, world_inject(&w, &elsewhere, message.bytes, message.len));
    CU_ASSERT_EQUAL(peek_open(&header, &answer, &w, true, 0, &w.last_from_server[JUMP_MSG_REATTACH_DENY]), 0);
    CU_ASSERT_EQUAL(answer.reason, REASON(SWITCH_RATE_LIMITED));
    jump_time back = w.now + JUMP_MS(answer.retry_after_ms);
    CU_ASSERT_TRUE(back >= switched_at + JUMP_MS(60000) - JUMP_MS(1) && back <= switched_at + JUMP_MS(60010));
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &body); /* a client that does not ask first */
    UNCHANGED(true, 0, world_inject(&w, &elsewhere, message.bytes, message.len));
    story_end();
}

/* I5, I6, I7 */

static void test_I5_recovering_ends_at_its_deadline_on_both_sides_whatever_the_other_does(void)
{
    for (unsigned who = 0; who < 2; who++) {
        story_prepare(1);
        POLICY(recovery_window_ms, 8000);
        POLICY(transport_lost_ttl_ms, 15000);
        story_attach();
        w.drop_up = ~0u & ~(who ? TYPE(PROBE) : 0);
        w.drop_down = who ? ~0u : 0;
        WAIT(C().state == JUMP_RECOVERING, 20000);
        jump_time since = w.now;
        WAIT(C().state == JUMP_TERMINATED, 9000);
        CU_ASSERT_TRUE(w.now - since <= JUMP_MS(8001));
        WAIT(S().state == JUMP_TERMINATED, 20000);
        CU_ASSERT_TRUE(w.now - since <= JUMP_MS(25000));
        story_end();
    }
}

static void test_I6_I7_view_says_when_the_session_ends_and_it_does(void)
{
    story_begin(1);
    CU_ASSERT_TRUE(S().expires_at <= S().born_at + JUMP_MS(24 * 3600 * 1000ull));
    w.clients[0].up[0] = false;
    WAIT_IDLE(S().state == JUMP_RECOVERING, 10000);
    jump_time server_ends = S().expires_at, client_ends = C().expires_at;
    CU_ASSERT_TRUE(server_ends <= w.now + JUMP_MS(300000));
    WAIT_IDLE(C().state == JUMP_TERMINATED, 310000);
    CU_ASSERT_TRUE(w.now >= client_ends - JUMP_MS(1) && w.now <= client_ends + JUMP_MS(1));
    WAIT_IDLE(S().state == JUMP_TERMINATED, 10000);
    CU_ASSERT_TRUE(w.now >= server_ends - JUMP_MS(1) && w.now <= server_ends + JUMP_MS(1));
    story_end();
}

static void test_I7_flapping_while_denied_does_not_lengthen_the_time_without_a_path(void)
{
    story_prepare(1);
    POLICY(max_switches_per_min, 0);
    POLICY(transport_lost_ttl_ms, 20000);
    POLICY(recovery_window_ms, 20000);
    story_attach();
    world_rebind(&w, 0, 0); /* no switch is ever allowed: the path is lost for good */
    WAIT(!C().bound, 3000);
    jump_time lost_at = w.now;
    while (C().state != JUMP_TERMINATED && w.now - lost_at < JUMP_MS(60000)) {
        w.clients[0].up[0] = !w.clients[0].up[0];
        world_candidates(&w, 0, 1, NULL);
        world_run(&w, JUMP_MS(777));
    }
    CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(20000 + 777));
    WAIT_IDLE(S().state == JUMP_TERMINATED, 30000);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_TRANSPORT_SWITCH, REASON(NONE)), 0);
    story_end();
}

/* I8, I13 */

static void a_mixed_life(unsigned seed)
{
    uint64_t random = seed;
    for (unsigned i = 0; i < 40; i++) {
        switch (runner_random(&random) % 6) {
        case 0:
            world_rebind(&w, 0, 0);
            break;
        case 1:
            w.clients[0].up[0] = !w.clients[0].up[0];
            break;
        case 2:
            w.clients[0].loss_ppm[0] = (uint32_t)(runner_random(&random) % 300000);
            break;
        default:
            break;
        }
        world_busy(&w, 0, JUMP_MS(runner_random(&random) % 8000));
    }
}

static void test_I8_I13_each_transition_adds_one_to_the_version_and_emits_one_event_with_one_reason(void)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        uint64_t version[2] = { 0, 0 };
        story_begin(1);
        a_mixed_life(seed);
        for (unsigned i = 0; i < w.event_count; i++) {
            const struct jump_event *e = &w.events[i].event;
            if (e->kind != JUMP_EVENT_STATE_CHANGE)
                continue;
            CU_ASSERT_EQUAL(e->state_version, ++version[w.events[i].server]);
            CU_ASSERT_TRUE((e->fields & JUMP_FIELD_REASON) && e->reason != REASON(NONE));
        }
        if (S().state != JUMP_TERMINATED)
            CU_ASSERT_EQUAL(S().state_version, version[1]);
        if (C().state != JUMP_TERMINATED)
            CU_ASSERT_EQUAL(C().state_version, version[0]);
        story_end();
    }
}

static void test_I8_the_version_never_wraps_but_ends_the_session(void)
{
    story_begin(1);
    struct jump_session *s = peek_server(&w, 0);
    s->version = s->checked_version = UINT64_MAX - 2;
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_TERMINATED, 10000);
    for (unsigned i = 0; i < w.event_count; i++)
        if (w.events[i].server && w.events[i].event.kind == JUMP_EVENT_STATE_CHANGE && w.events[i].event.at > JUMP_MS(1001000))
            CU_ASSERT_TRUE(w.events[i].event.state_version >= UINT64_MAX - 2);
    world_free(&w);
}

/* I10 */

static void test_I10_while_a_candidate_works_recovering_reaches_attached(void)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        world_init(&w, 1, seed);
        story_attach();
        w.clients[0].loss_ppm[0] = 20000 * (seed % 16); /* up to 30 % each way */
        for (unsigned i = 0; i < 6; i++) {
            uint64_t generation = S().generation;
            world_rebind(&w, 0, 0);
            WAIT(S().generation > generation && C().generation == S().generation, 60000);
            world_busy(&w, 0, JUMP_MS(10000));
        }
        story_end();
    }
}

static void test_I10_the_working_one_of_four_uplinks_is_found(void)
{
    for (unsigned good = 0; good < WORLD_UPLINKS; good++) {
        story_begin(1);
        world_candidates(&w, 0, WORLD_UPLINKS, NULL);
        world_busy(&w, 0, JUMP_MS(1000));
        for (unsigned u = 0; u < WORLD_UPLINKS; u++)
            w.clients[0].up[u] = u == good;
        world_busy(&w, 0, JUMP_MS(5000));
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        CU_ASSERT_EQUAL(C().binding.transport, good + 1);
        story_end();
    }
}

/* I12 */

static void test_I12_an_ended_session_does_not_come_back_by_its_old_secret(void)
{
    uint8_t secret[JUMP_SECRET_BYTES] = { 12 };
    struct jump_input in = { .kind = JUMP_IN_OPEN, .host = 1, .secret = secret };
    struct jump_input close = story_input(JUMP_IN_CLOSE);
    close.reason = REASON(HOST_TERMINATED);
    story_prepare(1);
    world_start(&w);
    in.path = w.clients[0].uplinks[0];
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    struct jump_input mine = in;
    mine.path = w.server_path;
    mine.path.transport = 1;
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), 0);
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 3000);
    struct jump_body body = { .attempt = 5, .generation = 1, .transport = 1 };
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    world_feed_server(&w, &close);
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    world_inject(&w, &w.clients[0].uplinks[0], message.bytes, message.len);
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    CU_ASSERT_EQUAL(w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len, 0);
    story_end();
}

/* I14 */

static void test_I14_refusals_leave_the_session_as_it_was_while_a_reattach_is_half_done(void)
{
    story_begin(1);
    w.drop_down = TYPE(REATTACH_ACCEPT);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2, 3000);
    struct world_flight request = w.last_from_client[JUMP_MSG_REATTACH_REQUEST];
    struct world_flight proof = w.last_from_client[JUMP_MSG_REATTACH_PROOF];
    struct jump_path elsewhere = world_path(91, 9191);
    UNCHANGED(true, 0, world_inject(&w, &request.source, request.bytes, request.len));
    UNCHANGED(true, 0, world_inject(&w, &elsewhere, request.bytes, request.len));
    UNCHANGED(true, 0, world_inject(&w, &proof.source, proof.bytes, proof.len)); /* heals a lost ACCEPT */
    UNCHANGED(true, 0, world_inject(&w, &elsewhere, proof.bytes, proof.len));
    proof.bytes[proof.len - 1] ^= 1;
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &proof.source, proof.bytes, proof.len), 0));
    w.drop_down = 0;
    WAIT(C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

/* I15 */

static uint8_t *transcript;
static size_t transcript_len, transcript_room;

static void note(const void *bytes, size_t len)
{
    if (transcript_len + len > transcript_room) {
        transcript_room = 2 * (transcript_len + len);
        transcript = realloc(transcript, transcript_room);
    }
    memcpy(transcript + transcript_len, bytes, len);
    transcript_len += len;
}

static void write_down(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    const struct jump_event *e = &action->event;
    uint64_t head[] = { world->now, server, client, action->kind, action->host, action->generation, action->first,
                        action->voluntary, action->end_host, action->last, action->reason, action->ticket,
                        action->revision, action->bytes_len };
    note(head, sizeof head);
    note(&action->session_id, sizeof action->session_id);
    note(&action->path, sizeof action->path);
    note(action->bytes, action->bytes_len);
    if (action->kind != JUMP_DO_EMIT)
        return;
    uint64_t event[] = { e->at, e->kind, e->fields, e->state_version, e->previous_mode, e->new_mode, e->cause, e->reason,
                         e->generation, e->attempt, e->voluntary, e->candidate_count, e->loss_ppm, e->rtt_us,
                         e->switch_latency_ms, e->retry_after_ms, e->session_age_ms, e->dropped };
    note(event, sizeof event);
    note(&e->previous_transport, sizeof e->previous_transport);
    note(&e->new_transport, sizeof e->new_transport);
}

static void live_and_write_down(unsigned seed)
{
    transcript = NULL;
    transcript_len = transcript_room = 0;
    world_init(&w, 2, seed);
    w.on_action = write_down;
    story_attach();
    world_candidates(&w, 0, 3, NULL);
    a_mixed_life(seed);
    world_restart_server(&w);
    world_run(&w, JUMP_MS(20000));
    world_free(&w);
}

static void test_I15_the_same_seed_gives_the_same_actions_byte_for_byte(void)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        live_and_write_down(seed);
        uint8_t *first = transcript;
        size_t first_len = transcript_len;
        live_and_write_down(seed);
        CU_ASSERT_TRUE(first_len > 100000);
        CU_ASSERT_EQUAL(first_len, transcript_len);
        CU_ASSERT_EQUAL(memcmp(first, transcript, first_len < transcript_len ? first_len : transcript_len), 0);
        free(transcript);
        live_and_write_down(seed + 100);
        CU_ASSERT_TRUE(transcript_len != first_len || memcmp(first, transcript, first_len) != 0);
        free(first);
        free(transcript);
    }
}

/* I16 */

static void test_I16_a_session_costs_at_most_1_kib_under_the_shipped_profiles_in_both_roles(void)
{
    static const char *const profiles[] = { "strict", "mobile", "laptop" };
    story_prepare(1);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_TRUE_FATAL(profile_load(&w.server_config.policy, profiles[i]));
        w.client_config.policy = w.server_config.policy;
        size_t server = jump_engine_session_bytes(&w.server_config), client = jump_engine_session_bytes(&w.client_config);
        CU_ASSERT_TRUE(server > 0 && server <= 1024);
        CU_ASSERT_TRUE(client > 0 && client <= 1024);
        w.server_config.max_sessions = 1000;
        size_t thousand = jump_engine_bytes(&w.server_config);
        w.server_config.max_sessions = 2000; /* what one more session costs in all: its tombstone and indexes too */
        CU_ASSERT_TRUE((jump_engine_bytes(&w.server_config) - thousand) / 1000 <= 1536);
        w.server_config.max_sessions = 16;
    }
    world_start(&w);
    story_end();
}

static void test_I16_a_configuration_out_of_range_costs_nothing_and_starts_nothing(void)
{
    struct jump_engine *engine;
    uint64_t memory[16];
    story_prepare(1);
    struct jump_config config = w.server_config;
    config.max_sessions = 0;
    CU_ASSERT_EQUAL(jump_engine_bytes(&config), 0);
    config.max_sessions = 1000001;
    CU_ASSERT_EQUAL(jump_engine_bytes(&config), 0);
    config = w.server_config;
    CU_ASSERT_EQUAL(jump_engine_init(&engine, memory, sizeof memory, &config, 1), JUMP_ERR_NO_SPACE);
    CU_ASSERT_PTR_NULL(engine);
    config.policy.max_lifetime_ms = 0;
    CU_ASSERT_NOT_EQUAL(jump_engine_init(&engine, memory, sizeof memory, &config, 1), 0);
    CU_ASSERT_PTR_NULL(engine);
    world_start(&w);
    story_end();
}

#define TESTS(X)                                                                                            \
    X(test_I1_two_sessions_never_hold_one_path_where_addresses_alone_tell_peers_apart)                      \
    X(test_I1_sessions_may_share_an_address_where_the_host_tells_them_apart_itself)                         \
    X(test_I2_a_reattach_never_creates_a_session_nor_changes_its_id)                                        \
    X(test_I3_a_hole_inside_the_windows_never_ends_a_session)                                               \
    X(test_I4_switch_rate_is_never_exceeded_by_the_servers_clock)                                           \
    X(test_I4_a_denied_switch_changes_nothing_of_the_session_and_says_when_to_come_back)                    \
    X(test_I5_recovering_ends_at_its_deadline_on_both_sides_whatever_the_other_does)                        \
    X(test_I6_I7_view_says_when_the_session_ends_and_it_does)                                               \
    X(test_I7_flapping_while_denied_does_not_lengthen_the_time_without_a_path)                              \
    X(test_I8_I13_each_transition_adds_one_to_the_version_and_emits_one_event_with_one_reason)              \
    X(test_I8_the_version_never_wraps_but_ends_the_session)                                                 \
    X(test_I10_while_a_candidate_works_recovering_reaches_attached)                                         \
    X(test_I10_the_working_one_of_four_uplinks_is_found)                                                    \
    X(test_I12_an_ended_session_does_not_come_back_by_its_old_secret)                                       \
    X(test_I14_refusals_leave_the_session_as_it_was_while_a_reattach_is_half_done)                          \
    X(test_I15_the_same_seed_gives_the_same_actions_byte_for_byte)                                          \
    X(test_I16_a_session_costs_at_most_1_kib_under_the_shipped_profiles_in_both_roles)                      \
    X(test_I16_a_configuration_out_of_range_costs_nothing_and_starts_nothing)

RUN_TESTS("engine_invariants", TESTS)
