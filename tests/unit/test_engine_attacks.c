/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A01 to A18 of the list of attacks and faults (docs/threat-model.md): bad paths, replays, floods and races. Two
 * real engines, and an attacker who copies, delays and sends what he likes. What he sends must leave the session
 * byte for byte as it was. Read next: test_engine_forgeries.c (A20 to A28),
 * test_engine_withheld.c (A30 to A42), tests/lib/peek.h.
 */
#include "story.h"

#define MOVED(server, row, reason) world_took(&w, server, row, REASON(reason))

static struct peek_message message;
static const struct jump_path racer_template = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 203, [14] = 113, [15] = 9 },
                                                 .port = 666 };

/* A01 */

static void test_A01_loss_of_20_to_60_percent_keeps_identity_and_binding_and_is_no_death(void)
{
    static const uint32_t one_way[] = { 106000, 225000, 368000 }; /* 20, 40, 60 % there and back */
    for (unsigned i = 0; i < 3; i++) {
        story_begin(1);
        struct jump_id id = S().id;
        for (unsigned step = 1; step <= 10; step++) { /* it sets in; from one moment to the next it would be a dead path */
            w.clients[0].loss_ppm[0] = one_way[i] / 10 * step;
            world_busy(&w, 0, JUMP_MS(6000));
        }
        for (unsigned minute = 0; minute < 10; minute++) {
            world_busy(&w, 0, JUMP_MS(60000));
            CU_ASSERT_TRUE(C().bound);
            CU_ASSERT_TRUE(S().bound);
        }
        CU_ASSERT_EQUAL(memcmp(&id, &S().id, sizeof id), 0);
        CU_ASSERT_EQUAL(memcmp(&id, &C().id, sizeof id), 0);
        CU_ASSERT_EQUAL(S().generation, 1);
        CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_TRANSPORT_DEAD, REASON(NONE)), 0);
        CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_TRANSPORT_DEAD, REASON(NONE)), 0);
        if (i > 0) {
            CU_ASSERT_TRUE(world_took(&w, false, "T3", REASON(NONE)) > 0);
            CU_ASSERT_TRUE(world_took(&w, false, "T9", REASON(NONE)) > 0);
        }
        story_end();
    }
}

static void test_A01_loss_below_the_threshold_switches_nothing(void)
{
    static const uint32_t one_way[] = { 10000, 30000, 50000 }; /* 2, 6, 10 % there and back; the other uplink loses nothing */
    for (unsigned i = 0; i < 3; i++) {
        story_begin(1);
        world_candidates(&w, 0, 2, NULL);
        for (unsigned step = 1; step <= 10; step++) {
            w.clients[0].loss_ppm[0] = one_way[i] / 10 * step;
            world_busy(&w, 0, JUMP_MS(6000));
        }
        world_busy(&w, 0, JUMP_MS(600000));
        CU_ASSERT_EQUAL(world_took(&w, false, "T8", REASON(NONE)), 0);
        CU_ASSERT_EQUAL(S().generation, 1);
        story_end();
    }
}

/* A02 */

static void test_A02_a_killed_path_is_left_for_another_one_in_little_more_than_a_second(void)
{
    for (unsigned phase = 0; phase < 5; phase++) { /* wherever between two probes */
        story_begin(1);
        world_candidates(&w, 0, 2, NULL);
        world_busy(&w, 0, JUMP_MS(1000 + 100 * phase));
        w.clients[0].up[0] = false;
        jump_time lost_at = w.now;
        WAIT(S().generation == 2, 5000);
        /* the next probe, three of them unanswered, a REQUEST into the dead path, then one elsewhere */
        CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(500 + 3 * 100 + 350 + 2 * 20));
        WAIT(C().state == JUMP_ATTACHED, 100);
        CU_ASSERT_EQUAL(C().binding.transport, 2);
        CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_TRANSPORT_SWITCH, REASON(NONE)), 1);
        story_end();
    }
}

static void test_A02_without_another_path_both_sides_end_at_their_bounds(void)
{
    story_begin(1);
    jump_time lost_at = w.now;
    w.clients[0].up[0] = false;
    WAIT_IDLE(C().state == JUMP_TERMINATED, 320000);
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(RECOVERY_WINDOW_EXCEEDED));
    CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(302000));
    CU_ASSERT_TRUE(w.now - lost_at >= JUMP_MS(300000));
    WAIT_IDLE(S().state == JUMP_TERMINATED, 20000);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    CU_ASSERT_EQUAL(w.server_ends, 1);
    story_end();
}

/* A03 */

static struct world_flight recorded[512];
static unsigned recorded_count;

static void record_all(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (flight->to_server && recorded_count < sizeof recorded / sizeof recorded[0])
        recorded[recorded_count++] = *flight;
}

static void record_a_recovery(void)
{
    recorded_count = 0;
    w.on_flight = record_all;
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    world_busy(&w, 0, JUMP_MS(1500));
    w.on_flight = NULL;
    world_run(&w, JUMP_MS(50)); /* what was recorded has arrived: from now on every copy is a second one */
    unsigned requests = 0, proofs = 0;
    for (unsigned i = 0; i < recorded_count; i++) {
        requests += peek_type(&recorded[i]) == JUMP_MSG_REATTACH_REQUEST;
        proofs += peek_type(&recorded[i]) == JUMP_MSG_REATTACH_PROOF;
    }
    CU_ASSERT_TRUE_FATAL(requests > 0 && proofs > 0);
}

/* A PROBE that got PATH_UNBOUND has not entered the replay window; as what it is, an old claim, it moves nothing. */
static void replay_probes_once(void)
{
    struct peek_record before, after;
    for (unsigned i = 0; i < recorded_count; i++) {
        if (peek_type(&recorded[i]) != JUMP_MSG_PROBE)
            continue;
        peek_note(&before, &w, true, 0);
        world_inject(&w, &recorded[i].source, recorded[i].bytes, recorded[i].len);
        peek_note(&after, &w, true, 0);
        CU_ASSERT_TRUE(peek_same_record(&before, &after));
    }
}

static void replay_all_from(const struct jump_path *source)
{
    replay_probes_once();
    for (unsigned i = 0; i < recorded_count; i++) {
        UNCHANGED(true, 0, world_inject(&w, source ? source : &recorded[i].source, recorded[i].bytes, recorded[i].len));
        UNCHANGED(false, 0, world_run(&w, 0));
    }
}

static void test_A03_every_recorded_message_replayed_from_the_same_address_changes_nothing(void)
{
    story_begin(1);
    record_a_recovery();
    struct jump_stats before, after;
    jump_engine_stats(w.server, &before);
    replay_all_from(NULL);
    jump_engine_stats(w.server, &after);
    CU_ASSERT_TRUE(after.replayed - before.replayed + after.denied - before.denied > 0);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_REPLAY_DETECTED, REASON(REPLAY_DETECTED)) > 0);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

static void test_A03_every_recorded_message_replayed_from_another_address_changes_nothing(void)
{
    story_begin(1);
    record_a_recovery();
    replay_all_from(&racer_template);
    struct jump_path sibling = w.clients[0].uplinks[0]; /* the same address, another port */
    sibling.port++;
    replay_all_from(&sibling);
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[0], sizeof sibling), 0);
    story_end();
}

static void test_A03_a_replay_after_further_generations_changes_nothing(void)
{
    story_begin(1);
    record_a_recovery();
    for (unsigned i = 0; i < 3; i++) {
        world_rebind(&w, 0, 0);
        WAIT(S().generation == 3 + i && C().state == JUMP_ATTACHED, 3000);
        world_busy(&w, 0, JUMP_MS(3000));
    }
    replay_all_from(NULL);
    replay_all_from(&racer_template);
    CU_ASSERT_EQUAL(S().generation, 5);
    story_end();
}

static void test_A03_a_replay_while_the_session_has_no_path_binds_nothing(void)
{
    story_begin(1);
    record_a_recovery();
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_RECOVERING, 10000);
    replay_all_from(NULL);
    replay_all_from(&racer_template);
    CU_ASSERT_FALSE(S().bound);
    story_end();
}

static void test_A03_a_replay_after_a_long_jump_of_the_clock_binds_nothing(void)
{
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    story_begin(1);
    record_a_recovery();
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_RECOVERING, 10000);
    w.now += JUMP_MS(200000); /* nothing ran meanwhile: a suspended machine */
    world_feed_server(&w, &tick);
    replay_all_from(NULL);
    replay_all_from(&racer_template);
    CU_ASSERT_FALSE(S().bound);
    story_end();
}

static void test_A03_a_replay_after_a_restart_or_on_another_node_creates_no_session(void)
{
    story_begin(1);
    record_a_recovery();
    world_restart_server(&w); /* to these messages another node is the same: it holds no key of them */
    for (unsigned i = 0; i < recorded_count; i++) {
        CU_ASSERT_NOT_EQUAL(world_inject(&w, &recorded[i].source, recorded[i].bytes, recorded[i].len), 0);
        CU_ASSERT_NOT_EQUAL(world_inject(&w, &racer_template, recorded[i].bytes, recorded[i].len), 0);
    }
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    WAIT(w.clients[0].ended, 30000);
    CU_ASSERT_TRUE(world_attach(&w, 0)); /* a new session of the same host name is not touched by the old one's messages */
    replay_all_from(NULL);
    replay_all_from(&racer_template);
    CU_ASSERT_EQUAL(S().generation, 1);
    story_end();
}

/* A04, A15, A16's state side */

static size_t lengths_of_clients[] = { JUMP_PROBE_BYTES, JUMP_REQUEST_BYTES, JUMP_PROOF_BYTES, JUMP_BIRTH_BYTES };

static void test_A04_a_million_unknown_sessions_leave_no_trace(void)
{
    static const uint8_t types[] = { JUMP_MSG_PROBE, JUMP_MSG_REATTACH_REQUEST, JUMP_MSG_REATTACH_PROOF, JUMP_MSG_BIRTH };
    struct jump_stats before, after;
    struct peek_shot shot, again;
    uint64_t random = 4;
    uint8_t bytes[JUMP_BIRTH_BYTES] = { 0 };
    story_begin(2);
    peek_settle(&w);
    jump_engine_stats(w.server, &before);
    peek_shoot(&shot, &w, true, 0);
    unsigned sent = w.server_sent;
    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t a = runner_random(&random), b = runner_random(&random);
        struct jump_path source = world_path((uint8_t)a, (uint16_t)(a >> 8));
        memcpy(source.ip + 12, &b, 3); /* from everywhere */
        bytes[0] = (uint8_t)(JUMP_WIRE_VERSION << 4 | types[i % 4]);
        memcpy(bytes + JUMP_AT_SESSION, &a, 8);
        memcpy(bytes + JUMP_AT_SESSION + 8, &b, 8);
        memcpy(bytes + JUMP_AT_NONCE, &b, 8);
        struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .path = source, .bytes = bytes,
                                 .bytes_len = lengths_of_clients[i % 4] };
        CU_ASSERT_TRUE(jump_engine_feed(w.server, &in, w.now) < 0);
        const struct jump_action *action;
        while ((action = jump_engine_next(w.server)) != NULL)
            sent += action->kind == JUMP_DO_SEND;
    }
    jump_engine_stats(w.server, &after);
    peek_shoot(&again, &w, true, 0);
    CU_ASSERT_TRUE(peek_same_shot(&shot, &again));
    CU_ASSERT_EQUAL(after.sessions, before.sessions);
    CU_ASSERT_TRUE(sent - w.server_sent < 25000); /* RESET and COOKIE are rate-limited: their bursts */
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().state_version, 1);
    world_rebind(&w, 0, 0); /* and a real client still gets in, if need be with a cookie */
    WAIT(S().generation == 2, 5000);
    story_end();
}

static unsigned to_strangers;

static void count_to_strangers(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)world;
    (void)client;
    if (server && action->kind == JUMP_DO_SEND && action->path.ip[12] == 198)
        to_strangers++;
}

static void test_A15_valid_requests_without_proof_cost_no_state_and_nothing_is_sent_twice(void)
{
    struct jump_body body = { .attempt = 99, .generation = 1, .transport = 1, .protocol = JUMP_PROTO_UDP };
    struct jump_path source = world_path(1, 1);
    story_begin(1);
    memcpy(source.ip + 12, "\306\063\144", 3); /* 198.51.100.x */
    w.on_action = count_to_strangers;
    to_strangers = 0;
    for (unsigned i = 0; i < 5000; i++) {
        source.ip[15] = (uint8_t)i;
        source.port = (uint16_t)(1000 + i);
        body.attempt = 99 + i;
        peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
        UNCHANGED(true, 0, world_inject(&w, &source, message.bytes, message.len));
    }
    CU_ASSERT_TRUE(to_strangers > 0 && to_strangers <= 5000);
    unsigned answered = to_strangers;
    world_busy(&w, 0, JUMP_MS(20000));
    CU_ASSERT_EQUAL(to_strangers, answered);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

static unsigned proofs, challenges;

static void count_challenges(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)world;
    (void)client;
    if (action->kind != JUMP_DO_SEND)
        return;
    challenges += server && (action->bytes[0] & 15) == JUMP_MSG_REATTACH_CHALLENGE;
    proofs += !server && (action->bytes[0] & 15) == JUMP_MSG_REATTACH_PROOF;
}

static void test_A15_a_flood_of_valid_challenges_moves_once_and_leaves_nothing_that_goes_on(void)
{
    story_begin(1);
    w.on_action = count_challenges;
    challenges = proofs = 0;
    w.drop_up = TYPE(REATTACH_PROOF); /* he holds the proofs back, so that the flood lasts */
    world_rebind(&w, 0, 0);
    WAIT(C().state == JUMP_RECOVERING && challenges > 0, 3000);
    struct world_flight request = w.last_from_client[JUMP_MSG_REATTACH_REQUEST];
    for (unsigned i = 0; i < 3000; i++) { /* until a PROOF is committed each copy of a REQUEST is as good as the first */
        world_inject(&w, &w.clients[0].uplinks[0], request.bytes, request.len);
        world_run(&w, JUMP_MS(1));
    }
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_TRUE(challenges <= 100 + 3 * 50 + 20); /* the source's own rate, and not what was sent */
    CU_ASSERT_TRUE(proofs <= challenges);
    w.drop_up = 0;
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 5000);
    world_busy(&w, 0, JUMP_MS(1000));
    challenges = proofs = 0;
    for (unsigned i = 0; i < 100; i++)
        world_inject(&w, &w.clients[0].uplinks[0], request.bytes, request.len);
    world_busy(&w, 0, JUMP_MS(10000));
    CU_ASSERT_EQUAL(challenges + proofs, 0);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

/* A06 */

static unsigned most_switches_in_a_minute(bool server)
{
    unsigned most = 0;
    for (unsigned i = 0; i < w.event_count; i++) {
        unsigned in_window = 0;
        if (w.events[i].server != server || w.events[i].event.kind != JUMP_EVENT_TRANSPORT_SWITCH)
            continue;
        for (unsigned j = i; j < w.event_count && w.events[j].event.at - w.events[i].event.at < JUMP_MS(60000); j++)
            in_window += w.events[j].server == server && w.events[j].event.kind == JUMP_EVENT_TRANSPORT_SWITCH;
        most = in_window > most ? in_window : most;
    }
    return most;
}

static void test_A06_a_flapping_path_is_bounded_by_the_rate_and_never_ends_the_session(void)
{
    story_begin(1);
    for (unsigned i = 0; i < 200; i++) {
        world_rebind(&w, 0, 0);
        world_busy(&w, 0, JUMP_MS(1500));
        CU_ASSERT_TRUE(C().state != JUMP_TERMINATED && S().state != JUMP_TERMINATED);
    }
    CU_ASSERT_EQUAL(most_switches_in_a_minute(true), 12);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_SWITCH_DENIED, REASON(SWITCH_RATE_LIMITED)) > 0);
    WAIT(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED, 65000);
    story_end();
}

static void test_A06_two_bad_uplinks_are_bounded_by_the_cooldown(void)
{
    story_prepare(1);
    POLICY(switch_cooldown_ms, 50000);
    story_attach();
    world_candidates(&w, 0, 2, NULL);
    for (unsigned i = 0; i < 20; i++) {
        w.clients[0].loss_ppm[i % 2] = 250000;
        w.clients[0].loss_ppm[1 - i % 2] = 0;
        world_busy(&w, 0, JUMP_MS(35000));
        CU_ASSERT_TRUE(C().state != JUMP_TERMINATED && S().state != JUMP_TERMINATED);
    }
    jump_time last = 0;
    unsigned voluntary = 0;
    for (unsigned i = 0; i < w.event_count; i++) {
        const struct jump_event *e = &w.events[i].event;
        if (!w.events[i].server || e->kind != JUMP_EVENT_TRANSPORT_SWITCH)
            continue;
        if (e->voluntary) {
            voluntary++;
            CU_ASSERT_TRUE(e->at - last >= JUMP_MS(50000));
        }
        last = e->at;
    }
    CU_ASSERT_TRUE(voluntary > 1);
    story_end();
}

static void test_A06_a_client_that_ignores_its_cooldown_is_denied_by_the_server(void)
{
    struct jump_body body = { .attempt = 100, .generation = 2, .transport = 1, .voluntary = 1 }, answer;
    struct jump_header header;
    story_prepare(1);
    POLICY(switch_cooldown_ms, 30000);
    story_attach();
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    world_busy(&w, 0, JUMP_MS(5000));
    struct jump_path elsewhere = world_path(94, 9494);
    w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len = 0;
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    UNCHANGED(true, 0, world_inject(&w, &elsewhere, message.bytes, message.len));
    CU_ASSERT_EQUAL(w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len, 0);
    CU_ASSERT_EQUAL(peek_open(&header, &answer, &w, true, 0, &w.last_from_server[JUMP_MSG_REATTACH_DENY]), 0);
    CU_ASSERT_EQUAL(answer.reason, REASON(COOLDOWN_ACTIVE));
    CU_ASSERT_TRUE(answer.retry_after_ms > 20000 && answer.retry_after_ms <= 30000);
    body.voluntary = 0; /* the recovery of a dead path is not gated by it */
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    UNCHANGED(true, 0, world_inject(&w, &elsewhere, message.bytes, message.len));
    CU_ASSERT_TRUE(w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len > 0);
    story_end();
}

/* A07 */

static void corrupt_every_fifth(struct world *world, struct world_flight *flight)
{
    static unsigned count;
    static uint64_t random = 7;
    (void)world;
    if (count++ % 5 == 0) {
        uint64_t r = runner_random(&random);
        flight->bytes[r % flight->len] ^= (uint8_t)(1u << (r >> 32) % 8);
    }
}

static void test_A07_selective_corruption_is_seen_and_never_bound(void)
{
    story_begin(1);
    w.on_flight = corrupt_every_fifth;
    for (unsigned i = 0; i < 10; i++) {
        world_rebind(&w, 0, 0);
        WAIT(S().generation == 2 + i, 20000);
        CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[0], sizeof(struct jump_path)), 0);
        world_busy(&w, 0, JUMP_MS(8000));
    }
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_VALIDATION_FAILED, REASON(BAD_PROOF)) > 0);
    CU_ASSERT_TRUE(world_count(&w, false, JUMP_EVENT_VALIDATION_FAILED, REASON(BAD_PROOF)) > 0);
    w.on_flight = NULL;
    WAIT(C().state == JUMP_ATTACHED, 10000);
    story_end();
}

/* A08 */

static void test_A08_single_spikes_of_latency_switch_nothing(void)
{
    story_begin(1);
    world_candidates(&w, 0, 2, NULL);
    for (unsigned i = 0; i < 30; i++) {
        w.clients[0].delay[0] = JUMP_MS(130);
        world_busy(&w, 0, JUMP_MS(300));
        w.clients[0].delay[0] = JUMP_MS(10);
        world_busy(&w, 0, JUMP_MS(5700));
    }
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_EQUAL(C().binding.transport, 1);
    CU_ASSERT_EQUAL(world_took(&w, false, "T8", REASON(NONE)), 0);
    story_end();
}

/* A10 */

static void test_A10_a_session_whose_time_is_over_is_not_revived_by_a_genuine_request(void)
{
    struct jump_body body = { .attempt = 50, .generation = 1, .state_version = 1, .transport = 1 };
    struct peek_message proof;
    story_begin(1);
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    peek_seal(&proof, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &body);
    w.drop_up = w.drop_down = ~0u;
    WAIT_IDLE(S().state == JUMP_TERMINATED, 330000);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    unsigned sent = w.server_sent;
    world_inject(&w, &w.clients[0].uplinks[0], message.bytes, message.len);
    world_inject(&w, &w.clients[0].uplinks[0], proof.bytes, proof.len);
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    CU_ASSERT_TRUE(w.server_sent > sent); /* the tombstone answers */
    CU_ASSERT_EQUAL(peek_type(&w.last_from_server[JUMP_MSG_TERMINATE]), JUMP_MSG_TERMINATE);
    struct jump_session_view view;
    size_t cursor = 0;
    CU_ASSERT_FALSE(jump_engine_walk(w.server, &cursor, &view));
    story_end();
}

static void test_A10_the_lifetime_ends_a_healthy_session_on_both_sides_and_for_good(void)
{
    struct jump_body body = { .attempt = 50, .generation = 1, .state_version = 1, .transport = 1 };
    story_prepare(1);
    POLICY(max_lifetime_ms, 60000);
    POLICY(transport_lost_ttl_ms, 30000);
    POLICY(recovery_window_ms, 30000);
    story_attach();
    jump_time born = S().born_at;
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    WAIT(S().state == JUMP_TERMINATED, 60000);
    CU_ASSERT_TRUE(w.now - born <= JUMP_MS(60001));
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(SESSION_LIFETIME_EXCEEDED));
    world_inject(&w, &w.clients[0].uplinks[0], message.bytes, message.len);
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    WAIT(C().state == JUMP_TERMINATED, 200);
    story_end();
}

/* A11 */

static void racer_is_first(struct world *world, struct world_flight *flight)
{
    if (flight->to_server && peek_type(flight) == JUMP_MSG_REATTACH_REQUEST) {
        struct world_flight copy = *flight;
        copy.source = racer_template;
        copy.at = world->now + JUMP_MS(1);
        world_fly(world, &copy);
    }
}

static void test_A11_a_racer_with_a_copied_request_is_challenged_and_the_real_client_wins(void)
{
    story_begin(1);
    w.on_flight = racer_is_first;
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[0], sizeof(struct jump_path)), 0);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_PATH_RACE, REASON(NONE)) > 0);
    WAIT(C().state == JUMP_ATTACHED, 1000);
    w.on_flight = NULL;
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

static void racer_copies_the_proof_too(struct world *world, struct world_flight *flight)
{
    uint8_t type = peek_type(flight);
    if (flight->to_server && (type == JUMP_MSG_REATTACH_REQUEST || type == JUMP_MSG_REATTACH_PROOF)) {
        struct world_flight copy = *flight;
        copy.source = racer_template;
        copy.at = world->now + JUMP_MS(1);
        world_fly(world, &copy);
    }
}

static void test_A11_a_racer_who_copies_the_proof_too_has_the_wrong_address_in_it(void)
{
    story_begin(1);
    w.on_flight = racer_copies_the_proof_too;
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[0], sizeof(struct jump_path)), 0);
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[0], sizeof(struct jump_path)), 0);
    story_end();
}

/* A12 */

static struct world_flight kept[8];
static unsigned kept_count;

static void keep_requests_back(struct world *world, struct world_flight *flight)
{
    (void)world;
    uint8_t type = peek_type(flight);
    if (flight->to_server && kept_count < 8 && (type == JUMP_MSG_REATTACH_REQUEST || type == JUMP_MSG_REATTACH_PROOF)) {
        kept[kept_count++] = *flight;
        flight->used = false;
    }
}

static void test_A12_an_older_message_that_never_arrived_does_not_move_the_binding_later(void)
{
    story_begin(1);
    kept_count = 0;
    w.on_flight = keep_requests_back;
    world_rebind(&w, 0, 0);
    world_busy(&w, 0, JUMP_MS(1500));
    CU_ASSERT_TRUE(kept_count > 0);
    w.on_flight = NULL;
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    for (unsigned i = 0; i < kept_count; i++) {
        UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &racer_template, kept[i].bytes, kept[i].len), 0));
        UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &kept[i].source, kept[i].bytes, kept[i].len), 0));
    }
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

/* A13 */

static void test_A13_when_a_man_in_the_middle_leaves_the_binding_is_back_within_one_probe_time(void)
{
    story_begin(1);
    struct jump_path real = w.clients[0].uplinks[0];
    w.clients[0].uplinks[0] = world_path(200, 4444); /* he rewrites the source both ways */
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    world_busy(&w, 0, JUMP_MS(5000));
    w.clients[0].uplinks[0] = real; /* and leaves */
    jump_time left_at = w.now;
    WAIT(S().generation == 3, 3000);
    CU_ASSERT_TRUE(w.now - left_at <= JUMP_MS(500 + 100 + 4 * 20)); /* heartbeat, RTO, two round trips */
    CU_ASSERT_EQUAL(memcmp(&S().binding, &real, sizeof real), 0);
    story_end();
}

/* A14 */

static size_t bytes_to_victim;
static struct jump_path victim;

static void weigh_victim(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)world;
    (void)client;
    if (server && action->kind == JUMP_DO_SEND && memcmp(&action->path, &victim, sizeof victim) == 0)
        bytes_to_victim += action->bytes_len;
}

static void never_more_than(const uint8_t *bytes, size_t len, const char *what)
{
    bytes_to_victim = 0;
    world_inject(&w, &victim, bytes, len);
    if (bytes_to_victim > len)
        printf("    %s of %zu bytes is answered with %zu\n", what, len, bytes_to_victim);
    CU_ASSERT_TRUE(bytes_to_victim <= len);
}

static void test_A14_no_message_from_a_spoofed_address_is_answered_with_more_bytes(void)
{
    struct jump_body request = { .attempt = 9, .generation = 1, .state_version = 1, .transport = 1 };
    struct jump_body probe = { .seq = 99999, .claims_binding = 1, .generation = 1, .next_within_ms = 1000 };
    struct jump_body birth = { .version_least = 1, .version_most = 1 }, end = { .reason = REASON(HOST_TERMINATED) };
    uint8_t stranger[JUMP_MAX_DATAGRAM_BYTES] = { 0 };
    story_begin(1);
    victim = world_path(123, 53);
    w.on_action = weigh_victim;
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &request);
    never_more_than(message.bytes, message.len, "REQUEST");
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &request);
    never_more_than(message.bytes, message.len, "PROOF");
    request.state_version = 1000; /* one that is denied */
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &request);
    never_more_than(message.bytes, message.len, "a REQUEST to be denied");
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
    never_more_than(message.bytes, message.len, "PROBE with a claim");
    probe.claims_binding = 0;
    probe.seq++;
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
    never_more_than(message.bytes, message.len, "PROBE");
    peek_seal(&message, &w, false, 0, JUMP_MSG_BIRTH, &birth);
    never_more_than(message.bytes, message.len, "BIRTH");
    for (uint8_t type = 0; type < 16; type++) {
        stranger[0] = (uint8_t)(JUMP_WIRE_VERSION << 4 | type);
        stranger[JUMP_AT_SESSION] = type;
        if (jump_wire_length(type) > 0)
            never_more_than(stranger, jump_wire_length(type), "an unknown session's message");
    }
    peek_seal(&message, &w, false, 0, JUMP_MSG_TERMINATE, &end);
    never_more_than(message.bytes, message.len, "TERMINATE");
    for (unsigned i = 0; i < 20; i++)
        never_more_than(message.bytes, message.len, "TERMINATE for a tombstone");
    story_end();
}

static void test_A14_a_flood_of_valid_requests_from_a_victims_address_stays_below_its_own_size(void)
{
    struct jump_body request = { .attempt = 9, .generation = 1, .state_version = 1, .transport = 1 };
    size_t came = 0;
    story_begin(1);
    victim = world_path(123, 53);
    w.on_action = weigh_victim;
    bytes_to_victim = 0;
    for (unsigned i = 0; i < 2000; i++) {
        request.attempt++;
        peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &request);
        came += message.len;
        world_inject(&w, &victim, message.bytes, message.len);
        CU_ASSERT_TRUE(bytes_to_victim <= came);
    }
    world_busy(&w, 0, JUMP_MS(10000));
    CU_ASSERT_TRUE(bytes_to_victim < came / 2); /* the prefix's bucket is empty long before */
    story_end();
}

/* A17 */

static uint8_t rebind_on;
static unsigned rebinds_left;

static void rebind_in_flight(struct world *world, struct world_flight *flight)
{
    if (peek_type(flight) == rebind_on && rebinds_left > 0) {
        rebinds_left--;
        world_rebind(world, 0, 0);
    }
}

static void test_A17_a_rebinding_in_every_phase_of_a_reattach_ends_with_one_binding_at_the_last_address(void)
{
    static const uint8_t phases[] = { JUMP_MSG_REATTACH_REQUEST, JUMP_MSG_REATTACH_CHALLENGE, JUMP_MSG_REATTACH_PROOF,
                                      JUMP_MSG_REATTACH_ACCEPT };
    for (unsigned i = 0; i < sizeof phases; i++) {
        for (unsigned times = 1; times <= 4; times++) {
            story_begin(1);
            rebind_on = phases[i];
            rebinds_left = times;
            w.on_flight = rebind_in_flight;
            world_rebind(&w, 0, 0);
            WAIT(rebinds_left == 0, 20000);
            w.on_flight = NULL;
            world_busy(&w, 0, JUMP_MS(6000));
            CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
            CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
            CU_ASSERT_EQUAL(C().generation, S().generation);
            CU_ASSERT_EQUAL(memcmp(&S().binding, &w.clients[0].uplinks[0], sizeof(struct jump_path)), 0);
            story_end();
        }
    }
}

static void test_A17_a_second_uplink_that_comes_and_goes_during_a_reattach_never_makes_two_bindings(void)
{
    story_begin(1);
    for (unsigned i = 0; i < 40; i++) {
        const uint8_t lost[] = { (uint8_t)(1 + i % 2), 0 };
        world_candidates(&w, 0, 2, lost);
        world_run(&w, JUMP_MS(7 * i % 45));
        world_candidates(&w, 0, 2, NULL);
        world_run(&w, JUMP_MS(11 * i % 60));
        CU_ASSERT_PTR_NULL(peek_broken(&w));
        if (i % 10 == 9)
            world_busy(&w, 0, JUMP_MS(61000));
    }
    WAIT(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED, 61000);
    CU_ASSERT_EQUAL(C().generation, S().generation);
    story_end();
}

/* A18 */

static void test_A18_a_client_that_floats_onto_anothers_address_does_not_end_the_others_session(void)
{
    struct jump_session_view other;
    story_begin(2);
    CU_ASSERT_TRUE(world_view_server(&w, 1, &other));
    struct jump_id id = other.id;
    struct jump_path address = w.clients[1].uplinks[0];
    w.clients[1].uplinks[0] = world_path(99, 999); /* the NAT has given its mapping to client 0 */
    w.clients[0].uplinks[0] = address;
    WAIT(S().generation == 2, 5000);
    for (unsigned i = 0; i < 50; i++) {
        world_activity(&w, 1);
        world_busy(&w, 0, JUMP_MS(100));
    }
    CU_ASSERT_TRUE(world_view_server(&w, 1, &other));
    CU_ASSERT_EQUAL(other.state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(memcmp(&id, &other.id, sizeof id), 0);
    CU_ASSERT_EQUAL(memcmp(&other.binding, &w.clients[1].uplinks[0], sizeof address), 0);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &address, sizeof address), 0);
    story_end();
}

static void test_A18_a_forged_float_onto_anothers_address_harms_nobody(void)
{
    story_begin(2);
    struct jump_path address = w.clients[1].uplinks[0];
    struct world_flight probe = w.last_from_client[JUMP_MSG_PROBE]; /* client 1's or 0's, in any case heard before */
    UNCHANGED(true, 1, world_inject(&w, &w.clients[0].uplinks[0], probe.bytes, probe.len));
    UNCHANGED(true, 0, world_inject(&w, &address, probe.bytes, probe.len));
    struct jump_body body = { .attempt = 9, .generation = 1, .state_version = 1, .transport = 1 };
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &body); /* no challenge of ours in it */
    UNCHANGED(true, 1, world_inject(&w, &address, message.bytes, message.len));
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &body);
    UNCHANGED(true, 0, world_inject(&w, &address, message.bytes, message.len));
    story_end();
}

#define TESTS(X)                                                                                       \
    X(test_A01_loss_of_20_to_60_percent_keeps_identity_and_binding_and_is_no_death)                    \
    X(test_A01_loss_below_the_threshold_switches_nothing)                                              \
    X(test_A02_a_killed_path_is_left_for_another_one_in_little_more_than_a_second)                     \
    X(test_A02_without_another_path_both_sides_end_at_their_bounds)                                    \
    X(test_A03_every_recorded_message_replayed_from_the_same_address_changes_nothing)                  \
    X(test_A03_every_recorded_message_replayed_from_another_address_changes_nothing)                   \
    X(test_A03_a_replay_after_further_generations_changes_nothing)                                     \
    X(test_A03_a_replay_while_the_session_has_no_path_binds_nothing)                                   \
    X(test_A03_a_replay_after_a_long_jump_of_the_clock_binds_nothing)                                  \
    X(test_A03_a_replay_after_a_restart_or_on_another_node_creates_no_session)                         \
    X(test_A04_a_million_unknown_sessions_leave_no_trace)                                              \
    X(test_A06_a_flapping_path_is_bounded_by_the_rate_and_never_ends_the_session)                      \
    X(test_A06_two_bad_uplinks_are_bounded_by_the_cooldown)                                            \
    X(test_A06_a_client_that_ignores_its_cooldown_is_denied_by_the_server)                             \
    X(test_A07_selective_corruption_is_seen_and_never_bound)                                           \
    X(test_A08_single_spikes_of_latency_switch_nothing)                                                \
    X(test_A10_a_session_whose_time_is_over_is_not_revived_by_a_genuine_request)                       \
    X(test_A10_the_lifetime_ends_a_healthy_session_on_both_sides_and_for_good)                         \
    X(test_A11_a_racer_with_a_copied_request_is_challenged_and_the_real_client_wins)                   \
    X(test_A11_a_racer_who_copies_the_proof_too_has_the_wrong_address_in_it)                           \
    X(test_A12_an_older_message_that_never_arrived_does_not_move_the_binding_later)                    \
    X(test_A13_when_a_man_in_the_middle_leaves_the_binding_is_back_within_one_probe_time)              \
    X(test_A14_no_message_from_a_spoofed_address_is_answered_with_more_bytes)                          \
    X(test_A14_a_flood_of_valid_requests_from_a_victims_address_stays_below_its_own_size)              \
    X(test_A15_valid_requests_without_proof_cost_no_state_and_nothing_is_sent_twice)                   \
    X(test_A15_a_flood_of_valid_challenges_moves_once_and_leaves_nothing_that_goes_on)                 \
    X(test_A17_a_rebinding_in_every_phase_of_a_reattach_ends_with_one_binding_at_the_last_address)     \
    X(test_A17_a_second_uplink_that_comes_and_goes_during_a_reattach_never_makes_two_bindings)         \
    X(test_A18_a_client_that_floats_onto_anothers_address_does_not_end_the_others_session)             \
    X(test_A18_a_forged_float_onto_anothers_address_harms_nobody)

RUN_TESTS("engine_attacks", TESTS)
