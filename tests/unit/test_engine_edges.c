/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What no story reaches: a caller's mistakes, what is there twice, an engine at its limits, and records that are damaged on
 * purpose, which is the only way to see an invariant's check find something. Read next: test_engine_invariants.c.
 */
#include <stdlib.h>

#include "story.h"

static struct peek_message message;
static const uint8_t second[JUMP_SECRET_BYTES] = { 2 };

/* The caller */

static int try_config(const struct jump_config *config, size_t less)
{
    struct jump_engine *engine = (struct jump_engine *)&w; /* must become NULL where it fails */
    struct jump_config fitting = w.server_config;
    size_t bytes = jump_engine_bytes(&fitting);
    void *memory = malloc(bytes);
    int result = jump_engine_init(&engine, memory, bytes - less, config, 1);
    CU_ASSERT_EQUAL(engine == NULL, result != 0);
    free(memory);
    return result;
}

static void test_edges_a_configuration_out_of_range_makes_no_engine(void)
{
    struct jump_engine *engine;
    story_prepare(1);
    struct jump_config c = w.server_config;
    CU_ASSERT_EQUAL(try_config(&c, 0), 0);
    CU_ASSERT_EQUAL(try_config(&c, 1), JUMP_ERR_NO_SPACE);
    CU_ASSERT_EQUAL(jump_engine_init(&engine, NULL, 1u << 30, &c, 1), JUMP_ERR_NO_SPACE);
#define REFUSED(field, value, verdict)                    \
    do {                                                  \
        c = w.server_config;                              \
        c.field = value;                                  \
        CU_ASSERT_EQUAL(try_config(&c, 0), verdict);      \
        CU_ASSERT_EQUAL(jump_engine_bytes(&c), 0);        \
    } while (0)
    REFUSED(role, (enum jump_role)7, JUMP_ERR_ARGUMENT);
    REFUSED(max_sessions, 0, JUMP_ERR_ARGUMENT);
    REFUSED(max_sessions, 1000001, JUMP_ERR_ARGUMENT);
    REFUSED(boot, UINT64_C(1) << 32, JUMP_ERR_ARGUMENT);
    REFUSED(owner_epoch, UINT32_C(1) << 24, JUMP_ERR_ARGUMENT);
    REFUSED(policy.max_lifetime_ms, 1, JUMP_ERR_POLICY);
#undef REFUSED
    world_start(&w);
    world_free(&w);
}

static void test_edges_actions_that_were_not_taken_refuse_the_next_input(void)
{
    struct jump_input in = { .kind = JUMP_IN_OPEN, .host = 1, .secret = second, .path = world_path(9, 9) };
    struct jump_session_view view;
    story_prepare(1);
    world_start(&w);
    CU_ASSERT_EQUAL(jump_engine_feed(w.server, &in, w.now), 0); /* an offer waits in the queue */
    in.host = 2;
    in.secret = (const uint8_t[JUMP_SECRET_BYTES]){ 3 };
    CU_ASSERT_EQUAL(jump_engine_feed(w.server, &in, w.now), JUMP_ERR_BUSY);
    CU_ASSERT_FALSE(jump_engine_find(w.server, 2, &view));
    while (jump_engine_next(w.server))
        continue;
    CU_ASSERT_EQUAL(jump_engine_feed(w.server, &in, w.now), 0);
    CU_ASSERT_TRUE(jump_engine_find(w.server, 2, &view));
    while (jump_engine_next(w.server))
        continue;
    world_free(&w);
}

static void test_edges_inputs_of_the_other_role_or_without_their_parts_change_nothing(void)
{
    struct jump_input in;
    story_begin(1);
    in = story_input(JUMP_IN_CANDIDATES);
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_ARGUMENT));
    in.candidates_len = JUMP_MAX_CANDIDATES + 1;
    UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), JUMP_ERR_ARGUMENT));
    in = story_input(JUMP_IN_STORE);
    UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), JUMP_ERR_ARGUMENT));
    in = story_input(JUMP_IN_ANNOUNCED);
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0));
    in = story_input(JUMP_IN_ADVICE);
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0));
    in = story_input((enum jump_input_kind)99);
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_ARGUMENT));
    UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), JUMP_ERR_ARGUMENT));
    in = story_input(JUMP_IN_OPEN); /* no secret */
    in.host = 5;
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), JUMP_ERR_ARGUMENT);
    in.host = 0;
    in.secret = second;
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_ARGUMENT);
    in = story_input(JUMP_IN_POLICY);
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_POLICY));
    in = story_input(JUMP_IN_TERMINATE);
    in.session_id = S().id;
    in.reason = JUMP_REASON_LOSS_RECOVERY; /* no reason to end for */
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_ARGUMENT));
    story_end();
}

/* Sixteen births time out in one instant: their events fill the queue before the input is looked at. */
static void test_edges_an_input_waits_while_due_timers_fill_the_queue_and_is_not_lost(void)
{
    struct jump_input in = { .kind = JUMP_IN_OPEN };
    uint8_t secret[JUMP_SECRET_BYTES] = { 16 };
    struct jump_session_view view;
    unsigned drained = 0, busy = 0;
    size_t cursor = 0;
    story_prepare(1);
    world_start(&w);
    in.secret = secret;
    for (unsigned host = 1; host <= w.server_config.max_sessions; host++) {
        in.host = secret[1] = (uint8_t)host;
        in.path = world_path((uint8_t)host, 1);
        CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    }
    for (unsigned host = 1; host <= w.server_config.max_sessions; host++) {
        CU_ASSERT_TRUE(jump_engine_walk(w.server, &cursor, &view));
        CU_ASSERT_EQUAL(view.host, host);
        CU_ASSERT_EQUAL(view.state, JUMP_BIRTH);
    }
    CU_ASSERT_FALSE(jump_engine_walk(w.server, &cursor, &view));
    w.now += JUMP_MS(w.server_config.policy.birth_window_ms);
    in.host = 100;
    secret[1] = 100;
    while (jump_engine_feed(w.server, &in, w.now) == JUMP_ERR_BUSY) {
        const struct jump_action *action;
        CU_ASSERT_FALSE_FATAL(jump_engine_find(w.server, 100, &view));
        CU_ASSERT_TRUE_FATAL(++busy < 10);
        while ((action = jump_engine_next(w.server)) != NULL)
            drained += action->kind == JUMP_DO_END;
    }
    CU_ASSERT_TRUE(busy > 0);
    for (const struct jump_action *action; (action = jump_engine_next(w.server)) != NULL;)
        drained += action->kind == JUMP_DO_END;
    CU_ASSERT_EQUAL(drained, w.server_config.max_sessions);
    cursor = 0;
    CU_ASSERT_TRUE(jump_engine_walk(w.server, &cursor, &view)); /* the newcomer alone */
    CU_ASSERT_EQUAL(view.host, 100);
    CU_ASSERT_FALSE(jump_engine_walk(w.server, &cursor, &view));
    world_free(&w);
}

/* A key lives to the transport TTL's deadline: both are over in one instant, and the TTL is what is said. */
static void test_edges_a_key_that_grew_old_without_a_path_is_not_the_reason_of_the_end(void)
{
    story_prepare(1);
    POLICY(transport_lost_ttl_ms, 20000);
    POLICY(recovery_window_ms, 20000);
    POLICY(key_max_age_ms, 41000);
    story_attach();
    jump_time born_at = S().born_at;
    world_busy(&w, 0, born_at + JUMP_MS(30000) - w.now);
    w.clients[0].up[0] = false;
    WAIT_IDLE(S().state == JUMP_TERMINATED, 40000);
    CU_ASSERT_TRUE(w.now > born_at + JUMP_MS(41000));
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(TRANSPORT_TTL_EXCEEDED));
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(RECOVERY_WINDOW_EXCEEDED));
    story_end();
}

static void test_edges_numbers_without_a_name_are_shown_as_such(void)
{
    CU_ASSERT_STRING_EQUAL(jump_event_kind_name((enum jump_event_kind)999), "?");
    CU_ASSERT_EQUAL(jump_event_kind_by_name("NoSuchEvent"), -1);
    for (int kind = 0; kind < JUMP_EVENT_KIND_COUNT; kind++)
        CU_ASSERT_EQUAL(jump_event_kind_by_name(jump_event_kind_name((enum jump_event_kind)kind)), kind);
    CU_ASSERT_STRING_EQUAL(jump_reason_name((enum jump_reason)999), "?");
}

/* Twice, and one too many */

static void test_edges_a_session_that_is_there_is_not_opened_again_on_either_side(void)
{
    struct jump_stats stats;
    story_prepare(1);
    world_start(&w);
    struct jump_input in = { .kind = JUMP_IN_OPEN, .host = 1, .secret = second, .path = w.clients[0].uplinks[0] };
    struct jump_input mine = in;
    mine.path = w.server_path;
    mine.path.transport = 1;
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), 0);
    for (unsigned host = 1; host <= 2; host++) { /* the same secret under this name, and under another */
        in.host = mine.host = host;
        UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_EXISTS));
        UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), JUMP_ERR_EXISTS));
    }
    in.host = mine.host = 1; /* and another secret under this name */
    in.secret = mine.secret = (const uint8_t[JUMP_SECRET_BYTES]){ 3 };
    UNCHANGED(true, 0, CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_EXISTS));
    UNCHANGED(false, 0, CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), JUMP_ERR_EXISTS));
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 1);
    jump_engine_stats(w.clients[0].engine, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 1);
    story_end();
}

static void test_edges_a_clients_full_table_refuses_and_says_so(void)
{
    uint8_t secret[JUMP_SECRET_BYTES] = { 9 };
    story_begin(1);
    struct jump_input in = { .kind = JUMP_IN_OPEN, .secret = secret, .path = w.server_path };
    in.path.transport = 1;
    for (unsigned host = 2; host <= w.client_config.max_sessions + 1; host++) {
        in.host = host;
        secret[1] = (uint8_t)host;
        CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), host <= w.client_config.max_sessions ? 0 : JUMP_ERR_FULL);
    }
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_SESSION_TERMINATED, REASON(SESSION_TABLE_FULL)), 1);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    story_end();
}

/* The peer ended the older of two undecided sessions, as OpenVPN's client does that starts anew: the newer one lives. */
static void test_edges_the_peers_end_of_the_older_session_leaves_the_newer_handshake(void)
{
    struct jump_input close = story_input(JUMP_IN_CLOSE), open = story_input(JUMP_IN_OPEN);
    struct jump_id derived;
    struct jump_stats stats;
    story_begin(1);
    world_rekey_server(&w, 0, second, true);
    close.reason = REASON(HOST_TERMINATED);
    world_feed_client(&w, 0, &close); /* its TERMINATE arrives */
    WAIT(w.server_ends == 1, 1000);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(PEER_TERMINATED));
    CU_ASSERT_FALSE(w.server_end_host); /* the instance is the newer handshake's */
    jump_keys_session_id(&derived, JUMP_HOST_OPENVPN, second);
    CU_ASSERT_EQUAL(memcmp(&S().id, &derived, sizeof derived), 0); /* and the host's name is now its */
    CU_ASSERT_EQUAL(S().state, JUMP_BIRTH);
    open.secret = second;
    open.path = w.server_path;
    open.path.transport = 1;
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &open), 0);
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(S().state_version, 1);
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 1);
    CU_ASSERT_EQUAL(w.server_ends, 1);
    story_end();
}

/* What the host has authenticated */

static void test_edges_authenticated_data_from_the_binding_is_a_sign_of_life_at_the_server(void)
{
    for (unsigned alive = 0; alive < 2; alive++) {
        struct jump_input in = story_input(JUMP_IN_ACTIVITY);
        story_prepare(1);
        w.server_config.unique_path = false;
        w.server_config.host_kind = w.client_config.host_kind = JUMP_HOST_STRONGSWAN;
        story_attach();
        w.drop_up = TYPE(PROBE);
        in.received = true;
        in.proof_of_life = alive;
        for (unsigned i = 0; i < 20; i++) {
            world_feed_server(&w, &in);
            world_run(&w, JUMP_MS(100));
        }
        CU_ASSERT_EQUAL(world_took(&w, true, "T3", REASON(HEARTBEAT_TIMEOUT)), alive ? 0 : 1);
        story_end();
    }
}

/* What an authenticated server must not say */

static void test_edges_a_birth_ack_that_says_what_it_cannot_is_refused(void)
{
    struct jump_body good = { .version_chosen = JUMP_WIRE_VERSION, .state_version = 1, .generation = 1 };
    for (unsigned fault = 0; fault < 5; fault++) {
        story_prepare(1);
        world_start(&w);
        w.drop_down = TYPE(BIRTH_ACK);
        world_open(&w, 0);
        WAIT_IDLE(w.last_from_client[JUMP_MSG_BIRTH].len > 0, 1000);
        struct jump_body body = good;
        body.policy = w.server_config.policy;
        body.version_chosen += fault == 0;
        body.state_version += fault == 1;
        body.generation += fault == 2;
        body.policy.max_lifetime_ms = fault == 3 ? 1 : body.policy.max_lifetime_ms;
        peek_seal_as(&message, &w, true, 0, JUMP_MSG_BIRTH_ACK, &body, 1000);
        CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), fault < 4 ? JUMP_ERR_REFUSED : 0);
        CU_ASSERT_EQUAL(C().state, fault < 4 ? JUMP_BIRTH : JUMP_ATTACHED);
        story_end();
    }
}

static void test_edges_a_denial_for_what_is_no_reason_of_a_denial_is_refused(void)
{
    story_begin(1);
    w.drop_up = TYPE(REATTACH_REQUEST);
    world_rebind(&w, 0, 0);
    WAIT(C().state == JUMP_RECOVERING, 3000);
    struct jump_body body = { .attempt = peek_client(&w, 0)->attempt, .reason = REASON(OPERATOR_TERMINATED),
                              .state_version = 1, .generation = 1 };
    peek_seal_as(&message, &w, true, 0, JUMP_MSG_REATTACH_DENY, &body, 100000);
    UNCHANGED(false, 0,
              CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), JUMP_ERR_REFUSED));
    w.drop_up = 0;
    WAIT(C().state == JUMP_ATTACHED, 5000);
    story_end();
}

/* The answer to a probe of the binding before says nothing about this one. */
static struct world_flight kept_unbound;

static void keep_unbound(struct world *world, struct world_flight *f)
{
    (void)world;
    if (!f->to_server && peek_type(f) == JUMP_MSG_PATH_UNBOUND) {
        if (kept_unbound.len == 0)
            kept_unbound = *f;
    }
}

static void test_edges_a_path_unbound_for_a_probe_of_an_earlier_binding_is_refused(void)
{
    story_begin(1);
    memset(&kept_unbound, 0, sizeof kept_unbound);
    w.on_flight = keep_unbound;
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_TRUE_FATAL(kept_unbound.len > 0);
    struct jump_header header;
    struct jump_body body;
    CU_ASSERT_EQUAL_FATAL(peek_open(&header, &body, &w, false, 0, &kept_unbound), 0);
    CU_ASSERT_FALSE(jump_health_waiting(&peek_client(&w, 0)->health, body.seq)); /* forgotten with its binding */
    peek_seal_as(&message, &w, true, 0, JUMP_MSG_PATH_UNBOUND, &body, 100000);
    UNCHANGED(false, 0,
              CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), JUMP_ERR_REFUSED));
    world_busy(&w, 0, JUMP_MS(3000));
    CU_ASSERT_EQUAL(C().generation, 2);
    story_end();
}

/* Damaged records: each check must find its own, at the next transition, and end that session alone. */

static void damaged(bool server, const char *name, void (*damage)(struct jump_session *s))
{
    story_begin(2);
    struct jump_engine *e = server ? w.server : w.clients[0].engine;
    struct jump_session *s = server ? peek_server(&w, 0) : peek_client(&w, 0);
    CU_ASSERT_PTR_NULL(jump_session_broken(s, &e->table.shape, w.now));
    damage(s);
    CU_ASSERT_STRING_EQUAL(jump_session_broken(s, &e->table.shape, w.now), name);
    jump_engine_move(e, s, JUMP_EV_INSTABILITY, REASON(HEARTBEAT_TIMEOUT));
    while (jump_engine_next(e))
        continue;
    CU_ASSERT_EQUAL(server ? S().state : C().state, JUMP_TERMINATED);
    CU_ASSERT_EQUAL(world_state_server(&w, 1), JUMP_ATTACHED);
    world_free(&w);
}

static void lose_address(struct jump_session *s)
{
    memset(&s->binding, 0, sizeof s->binding);
}

static void switch_often(struct jump_session *s)
{
    s->policy.max_switches_per_min = 1;
    jump_session_switch_times(s, &w.server->table.shape)[0] = w.now;
    jump_session_switch_times(s, &w.server->table.shape)[1] = w.now;
}

static void grow_old(struct jump_session *s)
{
    s->born_at = w.now - JUMP_MS(s->policy.max_lifetime_ms) - JUMP_MS(1000);
}

static void jump_ahead(struct jump_session *s)
{
    s->version += 5;
}

static void test_edges_I1_a_binding_without_an_address_is_found(void)
{
    damaged(true, "I1", lose_address);
    damaged(false, "I1", lose_address);
}

static void test_edges_I4_more_switches_than_the_policy_allows_are_found(void)
{
    damaged(true, "I4", switch_often);
}

static void test_edges_I6_a_session_past_its_lifetime_is_found(void)
{
    damaged(true, "I6", grow_old);
    damaged(false, "I6", grow_old);
}

static void test_edges_I7_a_bound_session_that_says_it_is_unbound_is_found(void)
{
    story_begin(1);
    struct jump_session *s = peek_server(&w, 0);
    s->unbound_at = w.now;
    CU_ASSERT_STRING_EQUAL(jump_session_broken(s, &w.server->table.shape, w.now), "I7");
    s->unbound_at = JUMP_NEVER;
    story_end();
}

static void test_edges_I8_a_version_that_jumped_is_found(void)
{
    damaged(true, "I8", jump_ahead);
    damaged(false, "I8", jump_ahead);
}

static void test_edges_I5_I7_a_bound_that_was_passed_while_unbound_is_found(void)
{
    story_begin(1);
    w.clients[0].up[0] = false;
    WAIT_IDLE(C().state == JUMP_RECOVERING, 5000);
    struct jump_session *c = peek_client(&w, 0);
    const struct jump_session_shape *shape = &w.clients[0].engine->table.shape;
    CU_ASSERT_PTR_NULL(jump_session_broken(c, shape, w.now));
    jump_time kept = c->u.client.recovery_due;
    c->u.client.recovery_due = w.now - 1;
    CU_ASSERT_STRING_EQUAL(jump_session_broken(c, shape, w.now), "I5");
    c->u.client.recovery_due = kept;
    kept = c->unbound_at;
    c->unbound_at = w.now - JUMP_MS(c->policy.transport_lost_ttl_ms) - 1;
    CU_ASSERT_STRING_EQUAL(jump_session_broken(c, shape, w.now), "I7");
    c->unbound_at = kept;
    story_end();
}

static void test_edges_I1_two_sessions_on_one_path_are_found_and_the_one_that_moved_ends(void)
{
    story_begin(2);
    struct jump_session *first = peek_server(&w, 0), *other = peek_server(&w, 1);
    jump_table_bind(&w.server->table, first, &other->binding);
    jump_engine_move(w.server, first, JUMP_EV_INSTABILITY, REASON(HEARTBEAT_TIMEOUT));
    while (jump_engine_next(w.server))
        continue;
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    CU_ASSERT_EQUAL(world_state_server(&w, 1), JUMP_ATTACHED);
    world_free(&w);
}

static void test_edges_a_move_that_no_row_allows_changes_nothing_and_is_recorded(void)
{
    struct jump_stats stats;
    story_begin(1);
    struct jump_session *s = peek_server(&w, 0);
    UNCHANGED(true, 0, CU_ASSERT_FALSE(jump_engine_move(w.server, s, JUMP_EV_SWITCH_START, REASON(LOSS_RECOVERY))));
    UNCHANGED(true, 0, CU_ASSERT_FALSE(jump_engine_move(w.server, s, JUMP_EV_INSTABILITY, REASON(LOSS_RECOVERY))));
    UNCHANGED(true, 0, jump_engine_end(w.server, s, JUMP_EV_TERMINATE, REASON(LOSS_RECOVERY)));
    peek_settle(&w);
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.invalid_transitions, 3);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_VALIDATION_FAILED, REASON(INVALID_TRANSITION)), 3);
    story_end();
}

#define TESTS(X)                                                                            \
    X(test_edges_a_configuration_out_of_range_makes_no_engine)                              \
    X(test_edges_actions_that_were_not_taken_refuse_the_next_input)                         \
    X(test_edges_inputs_of_the_other_role_or_without_their_parts_change_nothing)            \
    X(test_edges_an_input_waits_while_due_timers_fill_the_queue_and_is_not_lost)            \
    X(test_edges_a_key_that_grew_old_without_a_path_is_not_the_reason_of_the_end)           \
    X(test_edges_numbers_without_a_name_are_shown_as_such)                                  \
    X(test_edges_a_session_that_is_there_is_not_opened_again_on_either_side)                \
    X(test_edges_a_clients_full_table_refuses_and_says_so)                                  \
    X(test_edges_the_peers_end_of_the_older_session_leaves_the_newer_handshake)             \
    X(test_edges_authenticated_data_from_the_binding_is_a_sign_of_life_at_the_server)       \
    X(test_edges_a_birth_ack_that_says_what_it_cannot_is_refused)                           \
    X(test_edges_a_denial_for_what_is_no_reason_of_a_denial_is_refused)                     \
    X(test_edges_a_path_unbound_for_a_probe_of_an_earlier_binding_is_refused)               \
    X(test_edges_I1_a_binding_without_an_address_is_found)                                  \
    X(test_edges_I4_more_switches_than_the_policy_allows_are_found)                         \
    X(test_edges_I6_a_session_past_its_lifetime_is_found)                                   \
    X(test_edges_I7_a_bound_session_that_says_it_is_unbound_is_found)                       \
    X(test_edges_I8_a_version_that_jumped_is_found)                                         \
    X(test_edges_I5_I7_a_bound_that_was_passed_while_unbound_is_found)                      \
    X(test_edges_I1_two_sessions_on_one_path_are_found_and_the_one_that_moved_ends)         \
    X(test_edges_a_move_that_no_row_allows_changes_nothing_and_is_recorded)

RUN_TESTS("engine_edges", TESTS)
