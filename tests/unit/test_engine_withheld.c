/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A30 to A42 of the list of attacks and faults, where the core is concerned: what is captured, withheld, relayed or
 * fished for, clocks that jump, and ends that must be heard. Before A30: test_engine_forgeries.c.
 */
#include "story.h"

#define MOVED(server, row, reason) world_took(&w, server, row, REASON(reason))

static struct peek_message message;

static const struct jump_path *address(unsigned client)
{
    return &w.clients[client].uplinks[0];
}

/* A30 */

static bool stealing;
static struct jump_path thief;

static void captured_and_suppressed(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (stealing && flight->to_server)
        flight->source = thief; /* the original never comes, its copy does, from elsewhere; replies are swallowed */
}

static void test_A30_captured_messages_whose_originals_are_suppressed_do_not_move_the_binding(void)
{
    story_begin(1);
    thief = world_path(250, 31337);
    stealing = true;
    w.on_flight = captured_and_suppressed;
    struct jump_path real = *address(0);
    for (unsigned i = 0; i < 60; i++) {
        world_busy(&w, 0, JUMP_MS(1000));
        CU_ASSERT_EQUAL(S().generation, 1);
        CU_ASSERT_TRUE(!S().bound || memcmp(&S().binding, &real, sizeof real) == 0);
    }
    stealing = false;
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(memcmp(&S().binding, &real, sizeof real), 0);
    story_end();
}

/* He sees what the client sends and holds the port that its NAT had given it: each copy comes first, from the very address
 * that is bound; what the server answers there is his. */
static void copy_from_the_old_port(struct world *world, struct world_flight *flight)
{
    if (!flight->to_server)
        return;
    struct world_flight copy = *flight;
    copy.source = thief;
    copy.at = world->now + JUMP_MS(1);
    world_fly(world, &copy);
}

static void test_A30_who_has_taken_over_the_mapped_port_cannot_keep_the_binding_there(void)
{
    for (unsigned phase = 0; phase < 5; phase++) {
        story_begin(1);
        world_busy(&w, 0, JUMP_MS(100 * phase));
        thief = *address(0);
        world_rebind(&w, 0, 0);
        w.on_flight = copy_from_the_old_port;
        WAIT(S().generation == 2, 3000);
        CU_ASSERT_EQUAL(memcmp(&S().binding, address(0), sizeof thief), 0);
        WAIT(C().state == JUMP_ATTACHED, 500);
        world_busy(&w, 0, JUMP_MS(30000));
        CU_ASSERT_EQUAL(S().generation, 2);
        CU_ASSERT_EQUAL(memcmp(&S().binding, address(0), sizeof thief), 0);
        CU_ASSERT_TRUE(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED);
        story_end();
    }
}

/* A35 */

static void test_A35_time_that_goes_backwards_is_refused_and_changes_nothing(void)
{
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    struct jump_input close = story_input(JUMP_IN_CLOSE);
    story_begin(1);
    close.reason = REASON(HOST_TERMINATED);
    world_feed_server(&w, &tick);
    world_feed_client(&w, 0, &tick);
    w.now -= 1;
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &close), JUMP_ERR_TIME));
    UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &close), JUMP_ERR_TIME));
    w.now = 0;
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &close), JUMP_ERR_TIME));
    w.now = w.server->now;
    world_busy(&w, 0, JUMP_MS(2000));
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

static void test_A35_a_suspended_client_comes_back_inside_its_windows_and_ends_beyond_them(void)
{
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    story_begin(1);
    struct jump_id id = S().id;
    w.clients[0].up[0] = false;
    for (unsigned i = 0; i < 200; i++) { /* only the server's clock is looked at; the client's machine sleeps */
        w.now += JUMP_MS(1000);
        world_feed_server(&w, &tick);
    }
    CU_ASSERT_EQUAL(S().state, JUMP_RECOVERING);
    w.clients[0].up[0] = true;
    WAIT(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(memcmp(&id, &C().id, sizeof id), 0);
    w.now += JUMP_MS(25 * 3600 * 1000ull); /* longer than a life */
    world_feed_client(&w, 0, &tick);
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(SESSION_LIFETIME_EXCEEDED));
    world_feed_server(&w, &tick);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(SESSION_LIFETIME_EXCEEDED));
    story_end();
}

/* A37 */

static void test_A37_suspected_key_compromise_ends_the_session_at_once(void)
{
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(SECURITY_FAILURE) };
    story_begin(2);
    in.session_id = S().id;
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(SECURITY_FAILURE));
    CU_ASSERT_EQUAL(MOVED(true, "T20", SECURITY_FAILURE), 1);
    WAIT_IDLE(C().state == JUMP_TERMINATED, 100);
    CU_ASSERT_EQUAL(world_state_server(&w, 1), JUMP_ATTACHED);
    in.session_id.bytes[0] ^= 1;
    UNCHANGED(true, 1, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_UNKNOWN));
    story_end();
}

/* A39 */

static void test_A39_without_birth_or_birth_ack_the_session_waits_and_fails_and_nothing_moves_it(void)
{
    for (unsigned i = 0; i < 2; i++) {
        story_prepare(1);
        world_start(&w);
        w.drop_up = i == 0 ? TYPE(BIRTH) : 0;
        w.drop_down = i == 0 ? 0 : TYPE(BIRTH_ACK);
        world_open(&w, 0);
        world_busy(&w, 0, JUMP_MS(5000));
        CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
        CU_ASSERT_EQUAL(C().state, JUMP_BIRTH);
        struct peek_record before, after;
        struct jump_body body = { .attempt = 1, .generation = 1, .transport = 1 };
        peek_note(&before, &w, true, 0);
        peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
        world_inject(&w, &(struct jump_path){ .port = 9 }, message.bytes, message.len);
        peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &body);
        world_inject(&w, &(struct jump_path){ .port = 9 }, message.bytes, message.len);
        peek_note(&after, &w, true, 0);
        CU_ASSERT_TRUE(peek_same_record(&before, &after));
        world_busy(&w, 0, JUMP_MS(5500));
        CU_ASSERT_EQUAL(w.server_ended_for, REASON(HANDSHAKE_FAIL));
        CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(HANDSHAKE_FAIL));
        CU_ASSERT_TRUE(w.clients[0].end_host && w.server_end_host); /* the protection is never stripped */
        CU_ASSERT_EQUAL(w.clients[0].binds, 0);
        story_end();
    }
}

/* A40 */

static void test_A40_a_reset_from_another_instance_or_an_older_boot_is_no_effect_and_a_real_one_ends_at_once(void)
{
    story_prepare(1);
    w.server_config.boot = 5;
    story_attach();
    struct jump_config genuine = w.server_config;
    w.server_config.instance_key[0] ^= 1; /* another instance, with a higher boot number */
    world_restart_server(&w);
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_TRUE(w.last_from_server[JUMP_MSG_RESET].len > 0);
    CU_ASSERT_TRUE(C().state != JUMP_TERMINATED);
    memcpy(w.server_config.instance_key, genuine.instance_key, sizeof genuine.instance_key);
    w.server_config.boot = 3; /* becomes 4: an older boot of the same instance */
    w.last_from_server[JUMP_MSG_RESET].len = 0;
    world_restart_server(&w);
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_TRUE(w.last_from_server[JUMP_MSG_RESET].len > 0);
    CU_ASSERT_TRUE(C().state != JUMP_TERMINATED);
    w.server_config.boot = 4; /* becomes 5: the very boot that BIRTH_ACK named */
    w.last_from_server[JUMP_MSG_RESET].len = 0;
    world_restart_server(&w);
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_TRUE(w.last_from_server[JUMP_MSG_RESET].len > 0);
    CU_ASSERT_TRUE(C().state != JUMP_TERMINATED);
    w.server_config.boot = 5;
    world_restart_server(&w);
    WAIT(w.clients[0].ended, 5000);
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(UNKNOWN_SESSION));
    story_end();
}

static void test_A40_a_reset_fished_for_before_birth_or_for_another_nonce_is_no_effect(void)
{
    story_prepare(1);
    world_start(&w);
    w.drop_up = TYPE(BIRTH);
    world_open(&w, 0);
    world_run(&w, JUMP_MS(500));
    struct world_flight birth = w.last_from_client[JUMP_MSG_BIRTH];
    CU_ASSERT_TRUE(birth.len > 0);
    world_restart_server(&w); /* who does not know the session never answers a BIRTH by RESET */
    CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), birth.bytes, birth.len), 0);
    CU_ASSERT_EQUAL(w.last_from_server[JUMP_MSG_RESET].len, 0);
    w.drop_up = 0;
    WAIT_IDLE(C().state == JUMP_TERMINATED, 15000);
    CU_ASSERT_TRUE_FATAL(world_attach(&w, 0));
    world_busy(&w, 0, JUMP_MS(3000));
    struct world_flight old = w.last_from_client[JUMP_MSG_PROBE];
    world_run(&w, JUMP_MS(100)); /* it has been answered: its nonce is not outstanding any more */
    world_restart_server(&w);
    world_inject(&w, &old.source, old.bytes, old.len);
    struct world_flight *reset = &w.last_from_server[JUMP_MSG_RESET];
    CU_ASSERT_TRUE(reset->len > 0);
    UNCHANGED(false, 0, world_inject_client(&w, 0, 1, reset->bytes, reset->len));
    CU_ASSERT_TRUE(C().state != JUMP_TERMINATED);
    story_end();
}

static void test_A40_a_lost_terminate_is_answered_by_the_tombstone(void)
{
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
    story_begin(1);
    in.session_id = S().id;
    w.drop_down = TYPE(TERMINATE);
    world_feed_server(&w, &in);
    world_run(&w, JUMP_MS(200));
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    w.drop_down = 0;
    jump_time at = w.now;
    WAIT(w.clients[0].ended, 2000);
    CU_ASSERT_TRUE(w.now - at <= JUMP_MS(600)); /* the next probe's round trip */
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(PEER_TERMINATED));
    CU_ASSERT_EQUAL(w.server_ends, 1);
    story_end();
}

/* Sends a copy of all that the client says from elsewhere, and is faster. */
static void race(struct world *world, struct world_flight *flight)
{
    struct world_flight copy = *flight;
    if (!flight->to_server)
        return;
    copy.source = world_path(77, 7777);
    copy.at = world->now + 1;
    world_fly(world, &copy);
}

static void test_A40_A41_a_racer_does_not_keep_the_tombstones_answer_from_the_client(void)
{
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
    story_begin(1);
    in.session_id = S().id;
    w.drop_down = TYPE(TERMINATE);
    world_feed_server(&w, &in);
    world_run(&w, JUMP_MS(100));
    w.drop_down = 0;
    w.on_flight = race;
    WAIT(w.clients[0].ended, 2000);
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(PEER_TERMINATED));
    w.on_flight = NULL;
    story_end();
}

static void test_A40_a_birth_that_failed_on_the_server_is_told_to_a_client_that_believes_in_it(void)
{
    story_prepare(1);
    w.store = WORLD_STORE_FAIL;
    world_start(&w);
    world_open(&w, 0);
    w.drop_down = TYPE(TERMINATE);
    WAIT(w.server_ends == 1, 11000);
    CU_ASSERT_TRUE(C().state != JUMP_TERMINATED && C().state != JUMP_BIRTH);
    w.store = WORLD_STORE_NOW;
    w.drop_down = 0;
    WAIT(w.clients[0].ended, 3000);
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(PEER_TERMINATED));
    story_end();
}

/* A41 */

static void racer_relays_path_unbound(struct world *world, struct world_flight *flight)
{
    if (flight->to_server && peek_type(flight) == JUMP_MSG_PROBE) {
        struct world_flight copy = *flight;
        copy.source = thief;
        copy.at = world->now + JUMP_MS(1);
        world_fly(world, &copy);
    }
}

static void relay_to_the_client(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)client;
    if (!server || action->kind != JUMP_DO_SEND || memcmp(&action->path, &thief, sizeof thief) != 0)
        return;
    struct world_flight flight = { .at = world->now + JUMP_MS(2), .source = world->server_path,
                                   .target = world->clients[0].uplinks[0], .len = action->bytes_len };
    flight.source.transport = 1;
    memcpy(flight.bytes, action->bytes, action->bytes_len);
    world_fly(world, &flight);
}

static void test_A41_a_racer_who_relays_path_unbound_spends_neither_the_binding_nor_the_switch_rate(void)
{
    struct peek_record before, after;
    story_begin(1);
    thief = world_path(251, 4141);
    w.on_flight = racer_relays_path_unbound;
    w.on_action = relay_to_the_client;
    peek_note(&before, &w, true, 0);
    world_busy(&w, 0, JUMP_MS(60000));
    peek_note(&after, &w, true, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    CU_ASSERT_TRUE(w.last_from_server[JUMP_MSG_PATH_UNBOUND].len > 0);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state_version, 1);
    story_end();
}

/* The original of one PROBE is suppressed; its copy comes from elsewhere when others have long been answered. */
static struct world_flight kept_probe;

static void keeps_a_probe(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (flight->to_server && peek_type(flight) == JUMP_MSG_PROBE && kept_probe.len == 0) {
        kept_probe = *flight;
        flight->used = false;
    }
}

static void test_A41_a_probe_that_was_kept_back_and_comes_from_elsewhere_later_ends_no_binding(void)
{
    struct peek_record before, after;
    story_begin(1);
    thief = world_path(251, 4141);
    memset(&kept_probe, 0, sizeof kept_probe);
    w.on_flight = keeps_a_probe;
    w.on_action = relay_to_the_client;
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_TRUE_FATAL(kept_probe.len > 0);
    CU_ASSERT_EQUAL_FATAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(w.last_from_server[JUMP_MSG_PATH_UNBOUND].len, 0);
    peek_note(&before, &w, true, 0);
    uint64_t version = C().state_version;
    world_inject(&w, &thief, kept_probe.bytes, kept_probe.len);
    CU_ASSERT_TRUE_FATAL(w.last_from_server[JUMP_MSG_PATH_UNBOUND].len > 0);
    world_busy(&w, 0, JUMP_MS(5000));
    peek_note(&after, &w, true, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state_version, version);
    story_end();
}

/* A42 */

static void test_A42_junk_from_the_bound_address_is_no_proof_of_life(void)
{
    struct jump_input data = story_input(JUMP_IN_ACTIVITY);
    uint64_t random = 42;
    data.received = true;
    story_begin(1);
    w.clients[0].up[0] = false;
    jump_time lost_at = w.now;
    while (S().state != JUMP_RECOVERING && w.now - lost_at < JUMP_MS(20000)) {
        world_feed_server(&w, &data); /* OpenVPN is yet to check it: proof_of_life is not set */
        struct jump_header header = { .type = JUMP_MSG_PROBE, .session_id = S().id,
                                      .epoch = peek_server(&w, 0)->epochs.keys[0].fingerprint, .counter = runner_random(&random) };
        memset(message.bytes, 0xaa, JUMP_PROBE_BYTES);
        jump_wire_put_header(message.bytes, &header);
        world_inject(&w, address(0), message.bytes, JUMP_PROBE_BYTES);
        world_feed_client(&w, 0, &data);
        world_run(&w, JUMP_MS(100));
    }
    CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(4000)); /* three times the silence that was announced */
    CU_ASSERT_FALSE(S().bound);
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    story_end();
}

static void test_A42_an_older_probe_neither_proves_life_nor_changes_how_long_silence_is_normal(void)
{
    static struct peek_message late, newer;
    struct jump_body body = { .claims_binding = 1, .generation = 1, .transport = 1, .next_within_ms = 30000 };
    story_begin(1);
    body.seq = peek_client(&w, 0)->health.next_seq + 1000;
    peek_seal(&late, &w, false, 0, JUMP_MSG_PROBE, &body);
    body.next_within_ms = 750;
    body.seq++;
    peek_seal(&newer, &w, false, 0, JUMP_MSG_PROBE, &body);
    CU_ASSERT_EQUAL(world_inject(&w, &w.clients[0].uplinks[0], newer.bytes, newer.len), 0);
    jump_time normal = peek_server(&w, 0)->u.server.next_within_for;
    world_inject(&w, &w.clients[0].uplinks[0], late.bytes, late.len);
    CU_ASSERT_EQUAL(peek_server(&w, 0)->u.server.next_within_for, normal);
    world_rebind(&w, 0, 0);
    body.seq++;
    peek_seal(&late, &w, false, 0, JUMP_MSG_PROBE, &body);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    world_run(&w, JUMP_MS(300));
    UNCHANGED(true, 0, world_inject(&w, &w.clients[0].uplinks[0], late.bytes, late.len)); /* generation 1 */
    story_end();
}

#define TESTS(X)                                                                                            \
    X(test_A30_captured_messages_whose_originals_are_suppressed_do_not_move_the_binding)                    \
    X(test_A30_who_has_taken_over_the_mapped_port_cannot_keep_the_binding_there)                            \
    X(test_A35_time_that_goes_backwards_is_refused_and_changes_nothing)                                     \
    X(test_A35_a_suspended_client_comes_back_inside_its_windows_and_ends_beyond_them)                       \
    X(test_A37_suspected_key_compromise_ends_the_session_at_once)                                           \
    X(test_A39_without_birth_or_birth_ack_the_session_waits_and_fails_and_nothing_moves_it)                 \
    X(test_A40_a_reset_from_another_instance_or_an_older_boot_is_no_effect_and_a_real_one_ends_at_once)     \
    X(test_A40_a_reset_fished_for_before_birth_or_for_another_nonce_is_no_effect)                           \
    X(test_A40_a_lost_terminate_is_answered_by_the_tombstone)                                               \
    X(test_A40_A41_a_racer_does_not_keep_the_tombstones_answer_from_the_client)                             \
    X(test_A40_a_birth_that_failed_on_the_server_is_told_to_a_client_that_believes_in_it)                   \
    X(test_A41_a_racer_who_relays_path_unbound_spends_neither_the_binding_nor_the_switch_rate)              \
    X(test_A41_a_probe_that_was_kept_back_and_comes_from_elsewhere_later_ends_no_binding)                   \
    X(test_A42_junk_from_the_bound_address_is_no_proof_of_life)                                             \
    X(test_A42_an_older_probe_neither_proves_life_nor_changes_how_long_silence_is_normal)

RUN_TESTS("engine_withheld", TESTS)
