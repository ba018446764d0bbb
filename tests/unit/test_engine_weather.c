/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Networks as people have them, as stories under virtual time: a NAT that forgets while nobody speaks, holes shorter and
 * longer than the bounds. What is asserted is when things happen, to the millisecond: nothing here waits for a real
 * clock.
 */
#include "profile.h"
#include "story.h"

static void begin_with(const char *profile)
{
    story_prepare(1);
    CU_ASSERT_TRUE_FATAL(profile_load(&w.server_config.policy, profile));
    w.client_config.policy = w.server_config.policy;
    story_attach();
}

static jump_time of_last(bool server, const char *row)
{
    for (unsigned i = w.event_count; i-- > 0;)
        if (w.events[i].server == server && w.events[i].event.kind == JUMP_EVENT_STATE_CHANGE &&
            strcmp(w.events[i].event.row, row) == 0)
            return w.events[i].event.at;
    return 0;
}

/* --- the server's host stands still ------------------------------------------------------------------------------- */

static void test_weather_R62_a_server_that_stood_still_reads_before_it_takes_a_path_for_dead(void)
{
    static const unsigned stills[] = { 400, 1000, 2000, 5000, 60000 };
    for (unsigned i = 0; i < sizeof stills / sizeof stills[0]; i++) {
        begin_with("mobile");
        uint64_t generation = S().generation;
        w.server_still_until = w.now + JUMP_MS(stills[i]);
        world_busy(&w, 0, JUMP_MS(stills[i]) + JUMP_MS(3000));
        CU_ASSERT_EQUAL(world_took(&w, true, "T4", REASON(NONE)), 0);
        CU_ASSERT_EQUAL(world_took(&w, true, "T7", REASON(NONE)), 0);
        CU_ASSERT_EQUAL(S().generation, generation); /* no switch, and none of its rate is spent */
        CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        story_end();
    }
}

static void test_weather_R62_a_path_that_died_while_the_server_stood_still_is_dead_soon_after(void)
{
    begin_with("mobile");
    w.server_still_until = w.now + JUMP_MS(5000);
    w.clients[0].up[0] = false;
    world_run(&w, JUMP_MS(5050));
    CU_ASSERT_TRUE(S().bound);
    world_run(&w, JUMP_MS(100));
    CU_ASSERT_FALSE(S().bound);
    story_end();
}

static void test_weather_R62_a_host_that_is_always_late_still_notices_a_death(void)
{
    begin_with("mobile");
    w.clients[0].up[0] = false;
    jump_time from = w.now;
    while (S().bound && w.now - from < JUMP_MS(20000)) { /* every call comes 400 ms after it was asked for */
        w.server_still_until = jump_engine_deadline(w.server) + JUMP_MS(400);
        world_run(&w, w.server_still_until - w.now);
    }
    CU_ASSERT_FALSE(S().bound);
    CU_ASSERT_TRUE(w.now - from < JUMP_MS(4000));
    story_end();
}

static void test_weather_R62_the_bounds_of_a_session_are_not_put_off(void)
{
    begin_with("strict");
    w.clients[0].up[0] = false;
    WAIT(!S().bound, 10000);
    jump_time over = w.now + JUMP_MS(w.server_config.policy.transport_lost_ttl_ms) + JUMP_MS(2000);
    w.server_still_until = over;
    world_run(&w, over - w.now + JUMP_MS(1));
    CU_ASSERT_EQUAL(world_state_server(&w, 0), JUMP_TERMINATED);
    story_end();
}

/* --- a silence, and the NAT forgets ------------------------------------------------------------------------------ */

static jump_time newest_probe_at;

static void note_probes(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)client;
    if (!server && action->kind == JUMP_DO_SEND && (action->bytes[0] & 15) == JUMP_MSG_PROBE)
        newest_probe_at = world->now;
}

/* Idle long enough for the probes to have stretched; the newest one has just been answered. */
static void fall_asleep(void)
{
    w.on_action = note_probes;
    world_run(&w, JUMP_MS(90000));
    newest_probe_at = 0;
    WAIT_IDLE(newest_probe_at != 0, 20000);
    world_run(&w, JUMP_MS(50));
}

static void test_weather_after_a_rebinding_in_a_silence_the_downlink_is_back_within_one_idle_interval(void)
{
    static const char *const profiles[] = { "mobile", "strict", "laptop" };
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned after = 0; after < 5; after++) { /* wherever between two probes */
            begin_with(profiles[i]);
            jump_time interval = JUMP_MS(w.server_config.policy.idle_interval_ms);
            fall_asleep();
            world_run(&w, interval / 5 * after);
            world_rebind(&w, 0, 0);
            jump_time from = w.now;
            WAIT_IDLE(S().generation == 2, 60000); /* the server's own data went to the old mapping: it learns nothing */
            CU_ASSERT_TRUE(w.now - from <= interval + JUMP_MS(200)); /* the next probe, one RTO, and 1.5 round trips */
            CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[0], sizeof S().binding), 0);
            WAIT_IDLE(C().state == JUMP_ATTACHED, 100);
            CU_ASSERT_EQUAL(world_took(&w, true, "T4", REASON(NONE)), 0); /* no timer of the server ran out */
            story_end();
        }
    }
}

static void test_weather_the_clients_first_packet_after_a_silence_moves_the_session_in_a_few_round_trips(void)
{
    static const jump_time delays[] = { JUMP_MS(5), JUMP_MS(20), JUMP_MS(100) };
    for (unsigned i = 0; i < 3; i++) {
        story_prepare(1);
        w.clients[0].delay[0] = delays[i];
        story_attach();
        fall_asleep();
        world_rebind(&w, 0, 0);
        CU_ASSERT_TRUE(jump_engine_is_idle(w.clients[0].engine, 1)); /* the adapter reports the next packet at once */
        jump_time from = w.now, rtt = 2 * delays[i], rto = 3 * rtt > JUMP_MS(100) ? 3 * rtt : JUMP_MS(100);
        world_activity(&w, 0);
        CU_ASSERT_EQUAL(newest_probe_at, from);
        WAIT_IDLE(S().generation == 2, 5000);
        CU_ASSERT_TRUE(w.now - from <= rto + 2 * rtt + JUMP_MS(20));
        if (i < 2)
            CU_ASSERT_TRUE(w.now - from <= JUMP_MS(800));
        WAIT_IDLE(C().state == JUMP_ATTACHED, 1000);
        CU_ASSERT_TRUE(w.now - from <= rto + 3 * rtt + JUMP_MS(20));
        story_end();
    }
}

static void test_weather_a_hole_that_begins_and_ends_between_two_idle_probes_costs_nothing(void)
{
    struct peek_record before, after;
    begin_with("mobile");
    fall_asleep();
    for (unsigned i = 0; i < 8; i++) {
        peek_note(&before, &w, true, 0);
        world_run(&w, JUMP_MS(100));
        w.clients[0].up[0] = false;
        world_run(&w, JUMP_MS(14000));
        w.clients[0].up[0] = true;
        newest_probe_at = 0;
        WAIT_IDLE(newest_probe_at != 0, 1000);
        world_run(&w, JUMP_MS(50));
        peek_note(&after, &w, true, 0);
        CU_ASSERT_TRUE(peek_same_record(&before, &after));
    }
    CU_ASSERT_EQUAL(C().state_version, 1);
    CU_ASSERT_EQUAL(w.clients[0].unbinds, 0);
    story_end();
}

static void test_weather_an_idle_client_that_only_hears_probes_again_within_a_heartbeat(void)
{
    struct jump_input heard = story_input(JUMP_IN_ACTIVITY);
    heard.received = true;
    begin_with("mobile");
    fall_asleep();
    newest_probe_at = 0;
    jump_time from = w.now;
    world_feed_client(&w, 0, &heard); /* the server spoke first, and the mapping still held */
    WAIT_IDLE(newest_probe_at != 0, 2000);
    CU_ASSERT_TRUE(newest_probe_at - from <= JUMP_MS(w.server_config.policy.heartbeat_interval_ms));
    story_end();
}

/* --- a hole that is longer than the bounds ----------------------------------------------------------------------- */

/* The new handshake of a client whose session is over: another instance of the server's host, from `path`. */
static void open_as_host_2(const struct jump_path *path)
{
    static const uint8_t secret[JUMP_SECRET_BYTES] = { 0x52 };
    struct jump_input mine = story_input(JUMP_IN_OPEN), theirs;
    mine.secret = secret;
    mine.host = 2;
    theirs = mine;
    theirs.path = *path;
    mine.path = w.server_path;
    mine.path.transport = 1;
    w.clients[0].ended = false;
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), 0);
    CU_ASSERT_EQUAL(world_feed_server(&w, &theirs), 0);
}

static enum jump_state state_of(struct jump_engine *engine, jump_host host)
{
    struct jump_session_view view;
    return jump_engine_find(engine, host, &view) ? view.state : JUMP_TERMINATED;
}

static void test_weather_window_8_s_ttl_15_s_hole_25_s_each_side_ends_at_its_own_bound_and_a_new_birth_follows(void)
{
    begin_with("strict");
    CU_ASSERT_EQUAL(w.server_config.policy.recovery_window_ms, 8000);
    CU_ASSERT_EQUAL(w.server_config.policy.transport_lost_ttl_ms, 15000);
    struct jump_id id = C().id;
    w.clients[0].up[0] = false;
    jump_time hole = w.now;
    WAIT(C().state == JUMP_RECOVERING, 3000);
    WAIT(S().state == JUMP_RECOVERING, 5000);
    jump_time client_lost = of_last(false, "T4"), server_lost = of_last(true, world_took(&w, true, "T7", REASON(NONE)) ? "T7" : "T4");
    WAIT(C().state == JUMP_TERMINATED, 9000);
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(RECOVERY_WINDOW_EXCEEDED));
    CU_ASSERT_TRUE(w.clients[0].end_host); /* the host begins anew */
    CU_ASSERT_TRUE(w.now >= client_lost + JUMP_MS(8000) && w.now <= client_lost + JUMP_MS(8010));
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING); /* it cannot know, and has its own bound */
    WAIT(S().state == JUMP_TERMINATED, 16000);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    CU_ASSERT_TRUE(w.now >= server_lost + JUMP_MS(15000) && w.now <= server_lost + JUMP_MS(15010));
    CU_ASSERT_TRUE(w.now < hole + JUMP_MS(25000));
    world_run(&w, hole + JUMP_MS(25000) - w.now);
    w.clients[0].up[0] = true;
    CU_ASSERT_TRUE(world_attach(&w, 0));
    CU_ASSERT_NOT_EQUAL(memcmp(&C().id, &id, sizeof id), 0);
    CU_ASSERT_EQUAL(C().state_version, 1);
    CU_ASSERT_EQUAL(S().generation, 1);
    story_end();
}

static void test_weather_a_new_birth_works_while_the_server_still_holds_the_old_session_unbound(void)
{
    for (unsigned moved = 0; moved < 2; moved++) {
        begin_with("strict");
        w.clients[0].up[0] = false;
        WAIT(C().state == JUMP_TERMINATED, 12000);
        CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
        w.clients[0].up[0] = true;
        if (moved)
            world_rebind(&w, 0, 0);
        struct peek_record before, after;
        peek_note(&before, &w, true, 0);
        open_as_host_2(&w.clients[0].uplinks[0]); /* from the address that the old session had, or another */
        world_run(&w, JUMP_MS(1000));
        CU_ASSERT_EQUAL(state_of(w.server, 2), JUMP_ATTACHED);
        CU_ASSERT_EQUAL(state_of(w.clients[0].engine, 2), JUMP_ATTACHED);
        peek_note(&after, &w, true, 0);
        CU_ASSERT_TRUE(peek_same_record(&before, &after)); /* the old one is left to its own bound */
        WAIT_IDLE(S().state == JUMP_TERMINATED, 15000);
        CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
        CU_ASSERT_EQUAL(state_of(w.server, 2), JUMP_ATTACHED);
        world_run(&w, JUMP_MS(20000));
        CU_ASSERT_EQUAL(state_of(w.server, 2), JUMP_ATTACHED);
        CU_ASSERT_EQUAL(state_of(w.clients[0].engine, 2), JUMP_ATTACHED);
        story_end();
    }
}

static void test_weather_a_new_birth_of_the_same_instance_ends_the_old_unbound_session(void)
{
    static const uint8_t secret[JUMP_SECRET_BYTES] = { 0x53 };
    begin_with("strict");
    w.clients[0].up[0] = false;
    WAIT(C().state == JUMP_TERMINATED, 12000);
    w.clients[0].up[0] = true;
    struct jump_input mine = story_input(JUMP_IN_OPEN);
    mine.secret = secret;
    mine.path = w.server_path;
    mine.path.transport = 1;
    w.clients[0].ended = false;
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), 0);
    world_rekey_server(&w, 0, secret, true); /* the host cannot tell it from a rekey: same instance, same address */
    WAIT_IDLE(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(world_took(&w, true, "T21", REASON(HOST_TERMINATED)), 1);
    CU_ASSERT_FALSE(w.server_end_host);
    CU_ASSERT_EQUAL(memcmp(&S().id, &C().id, sizeof S().id), 0);
    story_end();
}

/* --- two uplinks ------------------------------------------------------------------------------------------------- */

static unsigned switched, by_choice;

static void count_switches(void)
{
    for (unsigned i = 0; i < w.event_count; i++)
        if (w.events[i].server && w.events[i].event.kind == JUMP_EVENT_TRANSPORT_SWITCH) {
            switched++;
            by_choice += w.events[i].event.voluntary;
        }
    w.event_count = 0; /* five minutes of trouble are more events than a world holds */
}

static void begin_with_two_uplinks(uint64_t seed)
{
    switched = by_choice = 0;
    world_init(&w, 1, seed);
    story_attach();
    world_candidates(&w, 0, 2, NULL);
    world_busy(&w, 0, JUMP_MS(2000));
}

static void pass_minutes(unsigned minutes)
{
    for (unsigned i = 0; i < minutes * 60; i++) {
        world_busy(&w, 0, JUMP_MS(1000));
        count_switches();
    }
}

static void test_weather_two_equally_bad_uplinks_are_no_reason_to_switch(void)
{
    static const uint32_t losses[] = { 100000, 150000, 200000 };
    for (unsigned i = 0; i < 3; i++) {
        unsigned all = 0;
        for (uint64_t seed = 1; seed <= 12; seed++) {
            begin_with_two_uplinks(seed);
            w.clients[0].loss_ppm[0] = w.clients[0].loss_ppm[1] = losses[i];
            w.clients[0].delay[1] = JUMP_MS(20); /* less than a point */
            pass_minutes(5);
            CU_ASSERT_TRUE(by_choice <= 1);
            CU_ASSERT_TRUE(C().bound && S().bound);
            all += by_choice;
            world_free(&w);
        }
        CU_ASSERT_TRUE(all <= 3); /* in an hour; about 300 before the decision 0013 */
    }
}

static void test_weather_the_better_one_of_two_bad_uplinks_is_found_and_kept(void)
{
    static const struct {
        uint32_t bad, better;
        unsigned within_s;
    } pairs[] = { { 250000, 0, 30 }, { 400000, 100000, 30 }, { 150000, 0, 60 }, { 150000, 30000, 120 } };
    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        for (uint64_t seed = 1; seed <= 6; seed++) {
            begin_with_two_uplinks(seed);
            w.clients[0].loss_ppm[0] = pairs[i].bad;
            w.clients[0].loss_ppm[1] = pairs[i].better;
            for (unsigned s = 0; s < pairs[i].within_s && C().binding.transport != 2; s++) {
                world_busy(&w, 0, JUMP_MS(1000));
                count_switches();
            }
            CU_ASSERT_EQUAL(C().binding.transport, 2);
            pass_minutes(4);
            CU_ASSERT_EQUAL(C().binding.transport, 2);
            CU_ASSERT_TRUE(switched <= 1 + by_choice && by_choice <= 1);
            world_free(&w);
        }
}

static void test_weather_a_late_path_is_left_for_a_quick_one_and_not_for_one_as_late(void)
{
    for (unsigned late = 0; late < 2; late++) {
        switched = by_choice = 0;
        story_prepare(1);
        POLICY(latency_volatile_threshold_ms, 300);
        story_attach();
        world_candidates(&w, 0, 2, NULL);
        world_busy(&w, 0, JUMP_MS(40000));
        w.clients[0].delay[1] = late ? JUMP_MS(190) : JUMP_MS(15);
        for (w.clients[0].delay[0] = JUMP_MS(10); w.clients[0].delay[0] < JUMP_MS(200); w.clients[0].delay[0] += JUMP_MS(10))
            world_busy(&w, 0, JUMP_MS(2000)); /* from one moment to the next it would be a dead path */
        pass_minutes(3);
        CU_ASSERT_EQUAL(by_choice, late ? 0 : 1);
        CU_ASSERT_EQUAL(switched, by_choice);
        CU_ASSERT_TRUE(C().bound && S().bound);
        world_free(&w);
    }
}

static void test_weather_an_uplink_that_falls_silent_for_20_s_and_comes_back_costs_one_switch(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        begin_with_two_uplinks(seed);
        world_run(&w, JUMP_MS(37 * seed));
        w.clients[0].up[0] = false;
        WAIT(C().state == JUMP_ATTACHED && C().binding.transport == 2 && S().generation == 2, 3000);
        world_busy(&w, 0, JUMP_MS(18000));
        count_switches();
        w.clients[0].up[0] = true;
        pass_minutes(5);
        CU_ASSERT_EQUAL(switched, 1); /* the other one is as good: no reason to go back */
        CU_ASSERT_EQUAL(by_choice, 0);
        CU_ASSERT_EQUAL(C().binding.transport, 2);
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        world_free(&w);
    }
}

static void test_weather_back_from_a_bad_second_uplink_to_the_first_it_goes_once(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        begin_with_two_uplinks(seed);
        w.clients[0].loss_ppm[1] = 150000;
        w.clients[0].up[0] = false;
        WAIT(C().state == JUMP_ATTACHED && C().binding.transport == 2, 8000);
        world_busy(&w, 0, JUMP_MS(20000));
        count_switches();
        w.clients[0].up[0] = true;
        pass_minutes(5);
        CU_ASSERT_EQUAL(C().binding.transport, 1);
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        CU_ASSERT_TRUE(switched <= 3 && by_choice <= 1); /* one away, one back, and a death by loss on the bad one */
        world_free(&w);
    }
}

#define TESTS(X)                                                                                              \
    X(test_weather_R62_a_server_that_stood_still_reads_before_it_takes_a_path_for_dead)            \
    X(test_weather_R62_a_path_that_died_while_the_server_stood_still_is_dead_soon_after)            \
    X(test_weather_R62_a_host_that_is_always_late_still_notices_a_death)                            \
    X(test_weather_R62_the_bounds_of_a_session_are_not_put_off)                                     \
    X(test_weather_after_a_rebinding_in_a_silence_the_downlink_is_back_within_one_idle_interval)              \
    X(test_weather_the_clients_first_packet_after_a_silence_moves_the_session_in_a_few_round_trips)           \
    X(test_weather_a_hole_that_begins_and_ends_between_two_idle_probes_costs_nothing)                         \
    X(test_weather_an_idle_client_that_only_hears_probes_again_within_a_heartbeat)                            \
    X(test_weather_window_8_s_ttl_15_s_hole_25_s_each_side_ends_at_its_own_bound_and_a_new_birth_follows)     \
    X(test_weather_a_new_birth_works_while_the_server_still_holds_the_old_session_unbound)                    \
    X(test_weather_a_new_birth_of_the_same_instance_ends_the_old_unbound_session)                             \
    X(test_weather_two_equally_bad_uplinks_are_no_reason_to_switch)                                           \
    X(test_weather_the_better_one_of_two_bad_uplinks_is_found_and_kept)                                       \
    X(test_weather_a_late_path_is_left_for_a_quick_one_and_not_for_one_as_late)                               \
    X(test_weather_an_uplink_that_falls_silent_for_20_s_and_comes_back_costs_one_switch)                      \
    X(test_weather_back_from_a_bad_second_uplink_to_the_first_it_goes_once)

RUN_TESTS("engine_weather", TESTS)
