/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * T1 to T13 of model.md 3, each reached with real inputs: two engines, real messages, a network that misbehaves.
 * The siblings are what must not take the row. Read next: test_engine_endings.c (T14 to T25),
 * test_engine_invariants.c, tests/lib/story.h.
 */
#include "story.h"

#define MOVED(server, row, reason) world_took(&w, server, row, REASON(reason))

static struct peek_message message;

static void switching_uplinks(void)
{
    world_candidates(&w, 0, 2, NULL);
    world_busy(&w, 0, JUMP_MS(1000));
}

/* T1 */

static void test_T1_client_attaches_on_birth_ack_and_server_on_the_first_probe_that_claims_generation_1(void)
{
    story_prepare(1);
    world_start(&w);
    world_open(&w, 0);
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    CU_ASSERT_EQUAL(C().state, JUMP_BIRTH);
    w.drop_up = TYPE(PROBE);
    WAIT(C().state == JUMP_ATTACHED, 1000);
    world_run(&w, JUMP_MS(50));
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH); /* it enforces nothing before it saw the claim */
    CU_ASSERT_EQUAL(S().state_version, 0);
    w.drop_up = 0;
    WAIT(S().state == JUMP_ATTACHED, 2000);
    CU_ASSERT_EQUAL(MOVED(true, "T1", ATTACHED_TO_TRANSPORT), 1);
    CU_ASSERT_EQUAL(MOVED(false, "T1", ATTACHED_TO_TRANSPORT), 1);
    CU_ASSERT_EQUAL(S().state_version, 1);
    CU_ASSERT_EQUAL(C().state_version, 1);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_EQUAL(C().generation, 1);
    CU_ASSERT_EQUAL(w.clients[0].binds, 1);
    story_end();
}

static void test_T1_a_probe_from_another_address_or_of_another_generation_or_without_a_claim_attaches_nobody(void)
{
    struct jump_path elsewhere = world_path(77, 7777);
    struct jump_body body = { .seq = 1, .claims_binding = 1, .generation = 1, .transport = 1, .next_within_ms = 1000 };
    story_prepare(1);
    world_start(&w);
    world_open(&w, 0);
    w.drop_up = TYPE(PROBE);
    WAIT(C().state == JUMP_ATTACHED, 1000);
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &body);
    world_inject(&w, &elsewhere, message.bytes, message.len);
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    body.generation = 2;
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &body);
    world_inject(&w, &w.clients[0].uplinks[0], message.bytes, message.len);
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    body.generation = 1;
    body.claims_binding = 0;
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &body);
    world_inject(&w, &w.clients[0].uplinks[0], message.bytes, message.len);
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    CU_ASSERT_EQUAL(S().state_version, 0);
    body.claims_binding = 1; /* and with all three right it does */
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &body);
    world_inject(&w, &w.clients[0].uplinks[0], message.bytes, message.len);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

static void test_T1_a_birth_ack_with_a_flipped_bit_leaves_the_client_in_birth_unchanged(void)
{
    story_prepare(1);
    world_start(&w);
    w.drop_down = TYPE(BIRTH_ACK);
    world_open(&w, 0);
    world_run(&w, JUMP_MS(500));
    struct world_flight ack = w.last_from_server[JUMP_MSG_BIRTH_ACK];
    CU_ASSERT_TRUE_FATAL(ack.len > JUMP_HEADER_BYTES);
    for (size_t at = 0; at < ack.len; at++) {
        ack.bytes[at] ^= 1;
        UNCHANGED(false, 0, world_inject_client(&w, 0, 1, ack.bytes, ack.len));
        ack.bytes[at] ^= 1;
    }
    CU_ASSERT_EQUAL(C().state, JUMP_BIRTH);
    CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, ack.bytes, ack.len), 0);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    story_end();
}

static void test_T1_lost_first_probes_do_not_keep_the_server_in_birth(void)
{
    story_prepare(1);
    world_start(&w);
    world_open(&w, 0);
    w.drop_up = TYPE(PROBE);
    WAIT(C().state == JUMP_ATTACHED, 1000);
    world_run(&w, JUMP_MS(500));
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    w.drop_up = 0;
    WAIT(S().state == JUMP_ATTACHED && C().bound, 2000);
    WAIT(C().state == JUMP_ATTACHED, 10000);
    CU_ASSERT_EQUAL(C().generation, S().generation);
    story_end();
}

/* T2 */

static void test_T2_a_failed_handshake_ends_birth_and_an_unknown_host_ends_nothing(void)
{
    struct jump_input in = story_input(JUMP_IN_CLOSE);
    in.reason = REASON(HANDSHAKE_FAIL);
    story_prepare(1);
    world_start(&w);
    w.drop_up = ~0u;
    world_open(&w, 0);
    world_run(&w, JUMP_MS(500)); /* the offer tells the client that its server speaks */
    in.host = 99;
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_UNKNOWN));
    UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), JUMP_ERR_UNKNOWN));
    in.host = 1;
    world_feed_server(&w, &in);
    world_feed_client(&w, 0, &in);
    CU_ASSERT_EQUAL(MOVED(true, "T2", HANDSHAKE_FAIL), 1);
    CU_ASSERT_EQUAL(MOVED(false, "T2", HANDSHAKE_FAIL), 1);
    CU_ASSERT_FALSE(S().bound || C().bound);
    story_end();
}

static void test_T2_birth_times_out_after_its_window_and_not_a_moment_before(void)
{
    story_prepare(1);
    world_start(&w);
    w.drop_up = TYPE(PROBE) | TYPE(BIRTH);
    world_open(&w, 0);
    jump_time born = w.now;
    struct jump_input announced = story_input(JUMP_IN_ANNOUNCED);
    world_feed_client(&w, 0, &announced);
    world_run(&w, JUMP_MS(9999));
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    CU_ASSERT_EQUAL(C().state, JUMP_BIRTH);
    world_run(&w, JUMP_MS(2));
    CU_ASSERT_TRUE(w.now - born < JUMP_MS(10010));
    CU_ASSERT_EQUAL(MOVED(true, "T2", HANDSHAKE_FAIL), 1);
    CU_ASSERT_EQUAL(MOVED(false, "T2", HANDSHAKE_FAIL), 1);
    CU_ASSERT_TRUE(w.clients[0].ended && w.clients[0].end_host);
    CU_ASSERT_EQUAL(w.server_ends, 1);
    CU_ASSERT_TRUE(w.server_end_host); /* a birth_timeout ends the host's instance */
    story_end();
}

static void test_T2_an_attached_session_outlives_the_birth_window(void)
{
    story_begin(1);
    world_busy(&w, 0, JUMP_MS(20000));
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().state_version, 1);
    story_end();
}

/* T3 */

static void lose_every_third_probe(struct world *world, struct world_flight *flight)
{
    static unsigned count;
    (void)world;
    if (flight->to_server && peek_type(flight) == JUMP_MSG_PROBE && count++ % 3 == 0)
        flight->used = false;
}

static void test_T3_a_third_of_the_probes_lost_over_the_window_is_loss_on_both_sides(void)
{
    story_begin(1);
    w.on_flight = lose_every_third_probe;
    jump_time since = w.now;
    WAIT(MOVED(false, "T3", LOSS_THRESHOLD_EXCEEDED) == 1, 15000);
    CU_ASSERT_TRUE(w.now - since >= JUMP_MS(2000)); /* the threshold must hold over the window */
    WAIT(MOVED(true, "T3", LOSS_THRESHOLD_EXCEEDED) == 1, 15000);
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_TRANSPORT_DEAD, REASON(NONE)), 0);
    CU_ASSERT_EQUAL(S().generation, 1);
    story_end();
}

static void test_T3_T9_T6_loss_makes_volatile_then_degraded_then_attached_again_and_never_a_switch(void)
{
    story_begin(1);
    struct jump_id id = S().id;
    w.clients[0].loss_ppm[0] = 250000; /* about 44 % there and back */
    WAIT(world_took(&w, false, "T3", REASON(NONE)) > 0, 120000);
    WAIT(MOVED(false, "T9", VOLATILE_PERSISTED) > 0, 300000);
    WAIT(MOVED(true, "T3", LOSS_THRESHOLD_EXCEEDED) > 0, 300000);
    WAIT(MOVED(true, "T9", VOLATILE_PERSISTED) > 0, 300000);
    w.clients[0].loss_ppm[0] = 0;
    WAIT(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED, 30000);
    CU_ASSERT_TRUE(MOVED(false, "T6", HEALTH_RECOVERED) > 0);
    CU_ASSERT_TRUE(MOVED(true, "T6", HEALTH_RECOVERED) > 0);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_EQUAL(C().generation, 1);
    CU_ASSERT_EQUAL(w.clients[0].unbinds, 0);
    CU_ASSERT_EQUAL(memcmp(&id, &S().id, sizeof id), 0);
    story_end();
}

static unsigned lose;

static void lose_some_probes(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (lose > 0 && flight->to_server && peek_type(flight) == JUMP_MSG_PROBE) {
        lose--;
        flight->used = false;
    }
}

static void test_T3_one_lost_probe_is_no_instability_on_either_side(void)
{
    struct peek_record server, client, after;
    story_begin(1);
    w.on_flight = lose_some_probes;
    peek_note(&server, &w, true, 0);
    peek_note(&client, &w, false, 0);
    lose = 1;
    world_busy(&w, 0, JUMP_MS(10000));
    CU_ASSERT_EQUAL(lose, 0);
    peek_note(&after, &w, true, 0);
    CU_ASSERT_TRUE(peek_same_record(&server, &after));
    peek_note(&after, &w, false, 0);
    CU_ASSERT_TRUE(peek_same_record(&client, &after));
    story_end();
}

static void test_T3_drops_in_a_row_make_a_lossy_path_volatile_before_it_counts_as_dead(void)
{
    story_begin(1);
    w.clients[0].loss_ppm[0] = 60000; /* enough to raise the count of death, too little for the threshold */
    world_busy(&w, 0, JUMP_MS(60000));
    WAIT(C().state == JUMP_ATTACHED, 60000);
    unsigned events = w.event_count;
    w.clients[0].up[0] = false;
    WAIT(C().state == JUMP_RECOVERING, 20000);
    unsigned drops = 0, dead = 0;
    for (unsigned i = events; i < w.event_count; i++) {
        const struct jump_event *e = &w.events[i].event;
        if (w.events[i].server || e->kind != JUMP_EVENT_STATE_CHANGE)
            continue;
        if (e->new_mode == JUMP_MODE_VOLATILE)
            drops = e->reason == REASON(CONSECUTIVE_DROP_EXCEEDED) ? i : 0;
        if (e->new_mode == JUMP_MODE_RECOVERING_UNBOUND)
            dead = i;
    }
    CU_ASSERT_TRUE(drops > 0 && dead > drops);
    story_end();
}

static void test_T3_a_missing_answer_for_heartbeat_volatile_is_the_clients_heartbeat_timeout(void)
{
    story_prepare(1);
    w.clients[0].delay[0] = JUMP_MS(450); /* RTO 2.7 s: the heartbeat's bound of 1.5 s comes first */
    story_attach();
    world_busy(&w, 0, JUMP_MS(20000));
    CU_ASSERT_EQUAL(MOVED(false, "T3", HEARTBEAT_TIMEOUT), 0);
    w.clients[0].up[0] = false;
    jump_time lost_at = w.now;
    WAIT(MOVED(false, "T3", HEARTBEAT_TIMEOUT) == 1, 3000);
    CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(1500 + 900));
    CU_ASSERT_EQUAL(C().state, JUMP_VOLATILE);
    CU_ASSERT_TRUE(C().bound);
    story_end();
}

static void test_T3_silence_beyond_next_within_is_the_servers_heartbeat_timeout(void)
{
    story_begin(1);
    w.drop_up = TYPE(PROBE) | TYPE(REATTACH_REQUEST);
    WAIT(MOVED(true, "T3", HEARTBEAT_TIMEOUT) == 1, 5000);
    CU_ASSERT_EQUAL(S().state, JUMP_VOLATILE);
    CU_ASSERT_TRUE(S().bound);
    story_end();
}

static void test_T3_latency_makes_volatile_when_it_holds_over_the_window_and_a_spike_does_not(void)
{
    story_prepare(1);
    POLICY(latency_volatile_threshold_ms, 200);
    story_attach();
    for (unsigned spikes = 0; spikes < 5; spikes++) {
        w.clients[0].delay[0] = JUMP_MS(120); /* 240 ms for one probe or two: overdue, and no death */
        world_busy(&w, 0, JUMP_MS(400));
        w.clients[0].delay[0] = JUMP_MS(10);
        world_busy(&w, 0, JUMP_MS(6000));
        CU_ASSERT_EQUAL(S().generation, 1);
    }
    CU_ASSERT_EQUAL(world_took(&w, false, "T3", REASON(NONE)), 0);
    w.clients[0].delay[0] = JUMP_MS(120);
    WAIT(MOVED(false, "T3", LATENCY_THRESHOLD_EXCEEDED) == 1, 15000);
    CU_ASSERT_TRUE(C().bound);
    w.clients[0].delay[0] = JUMP_MS(10);
    WAIT(MOVED(false, "T6", HEALTH_RECOVERED) == 1, 15000);
    story_end();
}

/* T4 */

static void test_T4_unanswered_probes_mean_a_dead_transport_long_before_any_timer(void)
{
    story_begin(1);
    w.clients[0].up[0] = false;
    jump_time lost_at = w.now;
    WAIT(C().state == JUMP_RECOVERING, 5000);
    CU_ASSERT_TRUE(w.now - lost_at < JUMP_MS(1500));
    CU_ASSERT_EQUAL(MOVED(false, "T4", TRANSPORT_DEAD), 1);
    CU_ASSERT_FALSE(C().bound);
    CU_ASSERT_EQUAL(w.clients[0].unbinds, 1);
    CU_ASSERT_EQUAL(C().state_version, 2);
    story_end();
}

static void test_T4_a_local_sign_is_death_at_once_and_a_sign_about_another_transport_is_nothing(void)
{
    struct peek_record before, after;
    const uint8_t other[] = { 2, 0 }, mine[] = { 1, 0 };
    story_begin(1);
    switching_uplinks();
    peek_note(&before, &w, false, 0);
    world_candidates(&w, 0, 2, other);
    peek_note(&after, &w, false, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    jump_time at = w.now;
    world_candidates(&w, 0, 2, mine);
    CU_ASSERT_EQUAL(w.now, at);
    CU_ASSERT_EQUAL(MOVED(false, "T4", TRANSPORT_DEAD), 1);
    CU_ASSERT_FALSE(C().bound);
    story_end();
}

static void test_T4_advice_from_icmp_is_no_death(void)
{
    struct peek_record before, after;
    struct jump_input advice = story_input(JUMP_IN_ADVICE);
    story_begin(1);
    peek_note(&before, &w, false, 0);
    for (unsigned i = 0; i < 50; i++) {
        world_feed_client(&w, 0, &advice);
        world_busy(&w, 0, JUMP_MS(100));
    }
    peek_note(&after, &w, false, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    w.clients[0].up[0] = false; /* and with it death is found no later */
    world_feed_client(&w, 0, &advice);
    jump_time lost_at = w.now;
    WAIT(C().state == JUMP_RECOVERING, 1000);
    CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(600));
    story_end();
}

static void test_T4_path_unbound_after_a_rebinding_is_death_within_a_few_round_trips(void)
{
    story_begin(1);
    world_rebind(&w, 0, 0);
    jump_time moved_at = w.now;
    WAIT(MOVED(false, "T4", TRANSPORT_DEAD) == 1, 2000);
    CU_ASSERT_TRUE(w.now - moved_at <= JUMP_MS(500 + 200));
    WAIT(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED, 1000);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

static void test_T4_path_unbound_for_a_probe_that_the_real_path_answers_too_is_nothing(void)
{
    struct peek_record before, after;
    struct jump_path racer = world_path(66, 6666);
    story_begin(1);
    peek_note(&before, &w, false, 0);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t sent = peek_client(&w, 0)->send_counter;
        WAIT(peek_client(&w, 0)->send_counter != sent, 1000);
        struct world_flight probe = w.last_from_client[JUMP_MSG_PROBE];
        world_inject(&w, &racer, probe.bytes, probe.len); /* the racer is faster than the real path */
        struct world_flight *unbound = &w.last_from_server[JUMP_MSG_PATH_UNBOUND];
        if (unbound->len > 0)
            world_inject_client(&w, 0, 1, unbound->bytes, unbound->len);
        world_busy(&w, 0, JUMP_MS(300));
    }
    CU_ASSERT_TRUE(w.last_from_server[JUMP_MSG_PATH_UNBOUND].len > 0);
    peek_note(&after, &w, false, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    story_end();
}

static void test_T4_on_the_server_another_session_that_moves_onto_the_path_ends_the_old_binding(void)
{
    story_begin(2);
    struct jump_session_view other;
    w.clients[1].up[0] = false;
    struct jump_path taken = w.clients[1].uplinks[0];
    w.clients[1].uplinks[0] = world_path(99, 999);
    w.clients[0].uplinks[0] = taken; /* client 0 floats onto the address that client 1 holds */
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_TRUE(world_view_server(&w, 1, &other));
    CU_ASSERT_FALSE(other.bound);
    CU_ASSERT_EQUAL(other.state, JUMP_RECOVERING);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &taken, sizeof taken), 0);
    CU_ASSERT_EQUAL(world_took(&w, true, "T4", REASON(TRANSPORT_DEAD)) + MOVED(true, "T7", DEAD_TRANSPORT_RECOVERY), 1);
    w.clients[1].up[0] = true;
    WAIT(world_state_server(&w, 1) == JUMP_ATTACHED, 5000);
    story_end();
}

static void test_T4_death_is_noticed_on_slow_paths_too(void)
{
    static const uint32_t one_way_ms[] = { 50, 80, 100, 200, 400 };
    for (unsigned i = 0; i < 5; i++) {
        story_prepare(1);
        w.clients[0].delay[0] = JUMP_MS(one_way_ms[i]);
        story_attach();
        world_busy(&w, 0, JUMP_MS(10000));
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        w.clients[0].up[0] = false;
        jump_time lost_at = w.now;
        WAIT(C().state == JUMP_RECOVERING, 20000);
        /* three probes at RTO spacing after the first one is due, RTO = 3 RTT */
        CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(500 + 4 * 6 * one_way_ms[i]));
        story_end();
    }
}

/* T5 */

static void reattach_is_one_commit(enum jump_mode from, enum jump_reason reason)
{
    const struct jump_event *first = NULL, *second = NULL;
    for (unsigned i = 0; i + 1 < w.event_count; i++) {
        if (w.events[i].server && w.events[i].event.kind == JUMP_EVENT_STATE_CHANGE &&
            strcmp(w.events[i].event.row, "T5") == 0) {
            first = &w.events[i].event;
            second = &w.events[i + 1].event;
        }
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT_EQUAL(first->previous_mode, from);
    CU_ASSERT_EQUAL(first->reason, reason);
    CU_ASSERT_STRING_EQUAL(second->row, "T12");
    CU_ASSERT_EQUAL(second->reason, REASON(REATTACH_SUCCESS));
    CU_ASSERT_EQUAL(second->state_version, first->state_version + 1);
    CU_ASSERT_EQUAL(second->at, first->at);
}

static bool told_where_it_is_seen(void)
{
    const struct world_client *c = &w.clients[0];
    return memcmp(c->observed.ip, c->uplinks[0].ip, sizeof c->observed.ip) == 0 && c->observed.port == c->uplinks[0].port;
}

static void test_T5_from_attached_takes_two_versions_and_one_generation(void)
{
    story_begin(1);
    CU_ASSERT_TRUE(told_where_it_is_seen());
    world_rebind(&w, 0, 0);
    CU_ASSERT_FALSE(told_where_it_is_seen());
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_EQUAL(S().state_version, 3);
    reattach_is_one_commit(JUMP_MODE_ATTACHED, REASON(TRANSPORT_DEAD));
    WAIT(C().state == JUMP_ATTACHED, 100);
    CU_ASSERT_EQUAL(C().generation, 2);
    CU_ASSERT_TRUE(told_where_it_is_seen());
    story_end();
}

static void test_T5_from_volatile_says_dead_transport_recovery(void)
{
    story_begin(1);
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_VOLATILE, 5000);
    uint64_t version = S().state_version;
    w.clients[0].up[0] = true;
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_EQUAL(S().state_version, version + 2);
    reattach_is_one_commit(JUMP_MODE_VOLATILE, REASON(DEAD_TRANSPORT_RECOVERY));
    story_end();
}

static void test_T5_from_degraded_says_dead_transport_recovery(void)
{
    story_begin(1);
    w.clients[0].loss_ppm[0] = 300000;
    WAIT(S().state == JUMP_DEGRADED, 300000);
    CU_ASSERT_TRUE(S().bound);
    uint64_t version = S().state_version, generation = S().generation;
    w.clients[0].loss_ppm[0] = 0;
    world_rebind(&w, 0, 0);
    WAIT(S().generation == generation + 1, 3000);
    CU_ASSERT_EQUAL(S().state_version, version + 2);
    reattach_is_one_commit(JUMP_MODE_DEGRADED_BOUND, REASON(DEAD_TRANSPORT_RECOVERY));
    story_end();
}

static void test_T5_T8_T12_a_voluntary_switch_says_loss_recovery_and_never_loses_the_binding(void)
{
    story_begin(1);
    switching_uplinks();
    unsigned unbinds = w.clients[0].unbinds;
    w.clients[0].loss_ppm[0] = 300000;
    WAIT(MOVED(false, "T8", LOSS_RECOVERY) == 1, 120000);
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    CU_ASSERT_TRUE(C().bound);
    WAIT(C().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(C().binding.transport, 2);
    CU_ASSERT_EQUAL(w.clients[0].unbinds, unbinds);
    CU_ASSERT_TRUE(MOVED(true, "T5", LOSS_RECOVERY) == 1);
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[1], sizeof(struct jump_path)), 0);
    story_end();
}

/* T7 */

static void test_T7_death_of_a_volatile_path_is_dead_transport_recovery_on_both_sides(void)
{
    story_begin(1);
    w.clients[0].loss_ppm[0] = 300000;
    WAIT(C().state == JUMP_VOLATILE, 120000);
    w.clients[0].up[0] = false;
    WAIT(MOVED(false, "T7", DEAD_TRANSPORT_RECOVERY) > 0, 60000);
    CU_ASSERT_FALSE(C().bound);
    WAIT(MOVED(true, "T7", DEAD_TRANSPORT_RECOVERY) > 0, 60000);
    CU_ASSERT_FALSE(S().bound);
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
    story_end();
}

/* T8, T10, T11 */

static void test_T8_a_session_with_one_uplink_never_starts_a_switch(void)
{
    story_begin(1);
    w.clients[0].loss_ppm[0] = 300000;
    world_busy(&w, 0, JUMP_MS(120000));
    CU_ASSERT_EQUAL(world_took(&w, false, "T8", REASON(NONE)), 0);
    story_end();
}

static void test_T8_a_candidate_that_is_no_better_is_not_switched_to(void)
{
    story_begin(1);
    world_candidates(&w, 0, 2, NULL);
    w.clients[0].loss_ppm[0] = 200000;
    w.clients[0].loss_ppm[1] = 500000;
    world_busy(&w, 0, JUMP_MS(60000));
    CU_ASSERT_TRUE(world_took(&w, false, "T3", REASON(NONE)) > 0);
    CU_ASSERT_EQUAL(MOVED(false, "T8", LOSS_RECOVERY), 0);
    story_end();
}

static void test_T10_a_policy_that_allows_no_switch_makes_a_volatile_session_degraded(void)
{
    story_prepare(1);
    POLICY(max_switches_per_min, 0);
    POLICY(volatile_to_degraded_ms, 60000); /* volatile for long enough to tell the two paths apart */
    POLICY(stable_window_ms, 60000);
    story_attach();
    switching_uplinks();
    w.clients[0].loss_ppm[0] = 250000;
    WAIT(C().state == JUMP_DEGRADED, 120000);
    CU_ASSERT_TRUE(MOVED(false, "T10", POLICY_DENIED) + MOVED(false, "T10", SWITCH_RATE_LIMITED) > 0);
    CU_ASSERT_EQUAL(world_took(&w, false, "T8", REASON(NONE)), 0);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_TRUE(C().bound);
    story_end();
}

static void test_T10_T11_the_cooldown_denies_a_second_voluntary_switch_and_says_so_once_more_in_degraded(void)
{
    story_prepare(1);
    POLICY(switch_cooldown_ms, 60000);
    POLICY(volatile_to_degraded_ms, 60000);
    POLICY(stable_window_ms, 10000);
    POLICY(max_consecutive_drops, 20);
    story_attach();
    switching_uplinks();
    w.clients[0].loss_ppm[0] = 300000;
    WAIT(C().binding.transport == 2, 120000);
    jump_time switched_at = w.now;
    unsigned denied_before = MOVED(false, "T10", COOLDOWN_ACTIVE);
    w.clients[0].loss_ppm[0] = 0;
    world_busy(&w, 0, JUMP_MS(31000)); /* good for so long that what was measured before is forgotten */
    w.clients[0].loss_ppm[1] = 400000;
    WAIT(MOVED(false, "T10", COOLDOWN_ACTIVE) > denied_before, 28000);
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_EQUAL(C().binding.transport, 2);
    struct peek_record before, after;
    WAIT(C().state == JUMP_DEGRADED, 1000);
    unsigned denied = world_count(&w, false, JUMP_EVENT_SWITCH_DENIED, REASON(NONE));
    CU_ASSERT_TRUE(denied > 0);
    peek_note(&before, &w, false, 0);
    world_run(&w, JUMP_MS(200));
    peek_note(&after, &w, false, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    WAIT(S().generation == 3, 120000); /* T8 once the cooldown is over */
    CU_ASSERT_TRUE(w.now - switched_at >= JUMP_MS(59900));
    WAIT(C().state == JUMP_ATTACHED, 1000);
    CU_ASSERT_EQUAL(C().binding.transport, 1);
    story_end();
}

/* T9: its bound */

static void test_T9_volatile_lasts_no_longer_than_its_bound(void)
{
    story_begin(1);
    w.clients[0].loss_ppm[0] = 300000;
    WAIT(MOVED(false, "T9", VOLATILE_PERSISTED) > 0, 300000);
    jump_time since = 0;
    for (unsigned i = 0; i < w.event_count; i++) {
        const struct jump_event *e = &w.events[i].event;
        if (w.events[i].server || e->kind != JUMP_EVENT_STATE_CHANGE)
            continue;
        if (e->new_mode == JUMP_MODE_VOLATILE)
            since = e->at;
        if (strcmp(e->row, "T9") == 0)
            CU_ASSERT_EQUAL(e->at - since, JUMP_MS(4000));
    }
    CU_ASSERT_TRUE(since > 0);
    story_end();
}

/* T12, T13, T24 */

static void test_T12_a_hole_ends_in_the_same_session_with_the_next_generation(void)
{
    story_begin(1);
    struct jump_id id = S().id;
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_RECOVERING, 10000);
    uint64_t server_version = S().state_version, client_version = C().state_version;
    w.clients[0].up[0] = true;
    WAIT(C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(MOVED(true, "T12", REATTACH_SUCCESS), 1);
    CU_ASSERT_EQUAL(MOVED(false, "T12", REATTACH_SUCCESS), 1);
    CU_ASSERT_EQUAL(S().state_version, server_version + 1);
    CU_ASSERT_EQUAL(C().state_version, client_version + 1);
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_EQUAL(C().generation, 2);
    CU_ASSERT_EQUAL(memcmp(&id, &S().id, sizeof id), 0);
    CU_ASSERT_EQUAL(memcmp(&id, &C().id, sizeof id), 0);
    story_end();
}

static void test_T13_T24_a_denial_for_the_switch_rate_degrades_the_client_which_comes_back_when_it_is_over(void)
{
    story_prepare(1);
    POLICY(max_switches_per_min, 2);
    story_attach();
    jump_time first_at = 0;
    for (unsigned i = 0; i < 2; i++) {
        world_rebind(&w, 0, 0);
        WAIT(C().generation == 2 + i && C().state == JUMP_ATTACHED, 3000);
        if (i == 0)
            first_at = w.now;
        world_busy(&w, 0, JUMP_MS(1500));
    }
    struct peek_record before, after;
    peek_note(&before, &w, true, 0);
    world_rebind(&w, 0, 0);
    WAIT(MOVED(false, "T13", SWITCH_RATE_LIMITED) == 1, 3000);
    peek_note(&after, &w, true, 0);
    CU_ASSERT_EQUAL(before.generation, after.generation);
    CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
    CU_ASSERT_FALSE(C().bound);
    const struct jump_event *denied = story_last(false, JUMP_EVENT_REATTACH_RESULT);
    CU_ASSERT_PTR_NOT_NULL(denied);
    WAIT(S().generation == 4, 70000);
    CU_ASSERT_TRUE(w.now - first_at >= JUMP_MS(59900));
    CU_ASSERT_TRUE(MOVED(false, "T24", RECOVERY_RETRY) >= 1);
    WAIT(C().state == JUMP_ATTACHED, 1000);
    story_end();
}

static void test_T13_after_a_denied_switch_by_choice_the_next_waits_as_long_as_the_denial_says(void)
{
    story_prepare(1);
    POLICY(volatile_to_degraded_ms, 60000);
    POLICY(stable_window_ms, 60000);
    POLICY(max_consecutive_drops, 20);
    story_attach();
    switching_uplinks();
    w.drop_up = TYPE(REATTACH_REQUEST);
    w.clients[0].loss_ppm[0] = 300000;
    WAIT(MOVED(false, "T8", LOSS_RECOVERY) == 1, 120000);
    struct jump_body deny = { .attempt = peek_client(&w, 0)->attempt, .reason = REASON(SWITCH_RATE_LIMITED),
                              .retry_after_ms = 20000, .state_version = 1, .generation = 1 };
    peek_seal(&message, &w, true, 0, JUMP_MSG_REATTACH_DENY, &deny);
    CU_ASSERT_EQUAL(world_inject_client(&w, 0, 2, message.bytes, message.len), 0);
    jump_time denied_at = w.now;
    CU_ASSERT_EQUAL(MOVED(false, "T13", SWITCH_RATE_LIMITED), 1);
    CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
    CU_ASSERT_TRUE(C().bound);
    w.drop_up = 0;
    WAIT(MOVED(false, "T8", LOSS_RECOVERY) == 2, 60000);
    CU_ASSERT_TRUE(w.now - denied_at >= JUMP_MS(20000));
    WAIT(C().state == JUMP_ATTACHED && C().binding.transport == 2, 5000);
    story_end();
}

static void test_T13_without_any_candidate_the_client_is_degraded(void)
{
    const uint8_t lost[] = { 1, 0 };
    story_begin(1);
    world_candidates(&w, 0, 0, lost);
    WAIT_IDLE(MOVED(false, "T13", NO_CANDIDATE_TRANSPORTS) == 1, 5000);
    CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
    CU_ASSERT_FALSE(C().bound);
    world_run(&w, JUMP_MS(30000));
    jump_time at = w.now;
    world_candidates(&w, 0, 1, NULL);
    CU_ASSERT_TRUE(MOVED(false, "T24", RECOVERY_RETRY) >= 1);
    WAIT_IDLE(C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_TRUE(w.now - at <= JUMP_MS(2 * 20 + 5));
    story_end();
}

static void test_T12_without_a_candidate_nothing_is_sent_and_a_new_candidate_is_tried_at_once(void)
{
    const uint8_t lost[] = { 1, 0 };
    story_begin(1);
    world_candidates(&w, 0, 0, lost);
    CU_ASSERT_FALSE(C().bound);
    uint64_t sent = peek_client(&w, 0)->send_counter;
    world_run(&w, JUMP_MS(30000));
    CU_ASSERT_EQUAL(peek_client(&w, 0)->send_counter, sent);
    jump_time at = w.now;
    world_candidates(&w, 0, 1, NULL);
    WAIT_IDLE(C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_TRUE(w.now - at <= JUMP_MS(2 * 20 + 5)); /* two round trips */
    story_end();
}

#define TESTS(X)                                                                                            \
    X(test_T1_client_attaches_on_birth_ack_and_server_on_the_first_probe_that_claims_generation_1)          \
    X(test_T1_a_probe_from_another_address_or_of_another_generation_or_without_a_claim_attaches_nobody)     \
    X(test_T1_a_birth_ack_with_a_flipped_bit_leaves_the_client_in_birth_unchanged)                          \
    X(test_T1_lost_first_probes_do_not_keep_the_server_in_birth)                                            \
    X(test_T2_a_failed_handshake_ends_birth_and_an_unknown_host_ends_nothing)                               \
    X(test_T2_birth_times_out_after_its_window_and_not_a_moment_before)                                     \
    X(test_T2_an_attached_session_outlives_the_birth_window)                                                \
    X(test_T3_a_third_of_the_probes_lost_over_the_window_is_loss_on_both_sides)                             \
    X(test_T3_T9_T6_loss_makes_volatile_then_degraded_then_attached_again_and_never_a_switch)               \
    X(test_T3_one_lost_probe_is_no_instability_on_either_side)                                              \
    X(test_T3_drops_in_a_row_make_a_lossy_path_volatile_before_it_counts_as_dead)                           \
    X(test_T3_a_missing_answer_for_heartbeat_volatile_is_the_clients_heartbeat_timeout)                     \
    X(test_T3_silence_beyond_next_within_is_the_servers_heartbeat_timeout)                                  \
    X(test_T3_latency_makes_volatile_when_it_holds_over_the_window_and_a_spike_does_not)                    \
    X(test_T4_unanswered_probes_mean_a_dead_transport_long_before_any_timer)                                \
    X(test_T4_a_local_sign_is_death_at_once_and_a_sign_about_another_transport_is_nothing)                  \
    X(test_T4_advice_from_icmp_is_no_death)                                                                 \
    X(test_T4_path_unbound_after_a_rebinding_is_death_within_a_few_round_trips)                             \
    X(test_T4_path_unbound_for_a_probe_that_the_real_path_answers_too_is_nothing)                           \
    X(test_T4_on_the_server_another_session_that_moves_onto_the_path_ends_the_old_binding)                  \
    X(test_T4_death_is_noticed_on_slow_paths_too)                                                           \
    X(test_T5_from_attached_takes_two_versions_and_one_generation)                                          \
    X(test_T5_from_volatile_says_dead_transport_recovery)                                                   \
    X(test_T5_from_degraded_says_dead_transport_recovery)                                                   \
    X(test_T5_T8_T12_a_voluntary_switch_says_loss_recovery_and_never_loses_the_binding)                     \
    X(test_T7_death_of_a_volatile_path_is_dead_transport_recovery_on_both_sides)                            \
    X(test_T8_a_session_with_one_uplink_never_starts_a_switch)                                              \
    X(test_T8_a_candidate_that_is_no_better_is_not_switched_to)                                             \
    X(test_T9_volatile_lasts_no_longer_than_its_bound)                                                      \
    X(test_T10_a_policy_that_allows_no_switch_makes_a_volatile_session_degraded)                            \
    X(test_T10_T11_the_cooldown_denies_a_second_voluntary_switch_and_says_so_once_more_in_degraded)         \
    X(test_T12_a_hole_ends_in_the_same_session_with_the_next_generation)                                    \
    X(test_T13_T24_a_denial_for_the_switch_rate_degrades_the_client_which_comes_back_when_it_is_over)       \
    X(test_T13_after_a_denied_switch_by_choice_the_next_waits_as_long_as_the_denial_says)                   \
    X(test_T13_without_any_candidate_the_client_is_degraded)                                                \
    X(test_T12_without_a_candidate_nothing_is_sent_and_a_new_candidate_is_tried_at_once)

RUN_TESTS("engine_model", TESTS)
