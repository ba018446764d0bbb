/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Epochs (docs/protocol.md, Keys): the two hosts finish a rekey at different moments, messages are lost meanwhile,
 * and a handshake may have been a new session instead. What both hold is used, what only one holds never is.
 */
#include "story.h"

static struct peek_message message;
static const uint8_t second[JUMP_SECRET_BYTES] = { 2 }, third[JUMP_SECRET_BYTES] = { 3 };

static uint16_t fingerprint_of(const uint8_t *secret)
{
    struct jump_keys keys;
    jump_keys_epoch(&keys, &peek_server(&w, 0)->id, secret);
    return keys.fingerprint;
}

static void both_on(const uint8_t *secret)
{
    const struct jump_session *s = peek_server(&w, 0), *c = peek_client(&w, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    uint16_t newest = fingerprint_of(secret);
    CU_ASSERT_EQUAL(s->epochs.held, 1);
    CU_ASSERT_EQUAL(c->epochs.held, 1);
    CU_ASSERT_EQUAL(s->epochs.keys[0].fingerprint, newest);
    CU_ASSERT_EQUAL(c->epochs.keys[0].fingerprint, newest);
}

static void wiped(const struct jump_session *s)
{
    static const struct jump_keys nothing;
    CU_ASSERT_EQUAL(memcmp(&s->epochs.keys[1], &nothing, sizeof nothing), 0);
}

static void test_keys_a_rekey_that_the_server_knows_first_changes_nothing_until_both_hold_it(void)
{
    story_begin(1);
    uint16_t first = peek_server(&w, 0)->epochs.keys[0].fingerprint;
    world_rekey_server(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(10000));
    CU_ASSERT_EQUAL(peek_server(&w, 0)->epochs.held, 2);
    CU_ASSERT_EQUAL(peek_server(&w, 0)->epochs.keys[0].fingerprint, first);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    world_rekey_client(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(3000));
    both_on(second);
    wiped(peek_server(&w, 0));
    wiped(peek_client(&w, 0));
    CU_ASSERT_EQUAL(S().state_version, 1);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_KEY_ROTATED, REASON(KEY_ROTATED)), 1);
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_KEY_ROTATED, REASON(KEY_ROTATED)), 1);
    story_end();
}

static void test_keys_a_rekey_that_the_client_knows_first_changes_nothing_until_both_hold_it(void)
{
    story_begin(1);
    world_rekey_client(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(10000));
    CU_ASSERT_EQUAL(peek_client(&w, 0)->epochs.held, 2);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    world_rekey_server(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(3000));
    both_on(second);
    CU_ASSERT_EQUAL(S().generation, 1);
    story_end();
}

static void test_keys_a_rekey_that_only_one_side_finished_is_replaced_by_the_next(void)
{
    story_begin(1);
    world_rekey_server(&w, 0, second, false); /* the client's host failed */
    world_busy(&w, 0, JUMP_MS(5000));
    world_rekey_server(&w, 0, third, false);
    world_rekey_client(&w, 0, third, false);
    world_busy(&w, 0, JUMP_MS(3000));
    both_on(third);
    story_end();
}

static void test_keys_two_different_unconfirmed_epochs_never_mix_and_the_session_lives_on(void)
{
    story_begin(1);
    uint16_t first = peek_server(&w, 0)->epochs.keys[0].fingerprint;
    world_rekey_server(&w, 0, second, false);
    world_rekey_client(&w, 0, third, false);
    world_busy(&w, 0, JUMP_MS(20000));
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(peek_server(&w, 0)->epochs.keys[0].fingerprint, first);
    CU_ASSERT_EQUAL(peek_client(&w, 0)->epochs.keys[0].fingerprint, first);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_VALIDATION_FAILED, REASON(BAD_PROOF)), 0);
    story_end();
}

static uint64_t coin;

static void lose_half(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (runner_random(&coin) % 2)
        flight->used = false;
}

static void test_keys_a_rekey_survives_the_loss_of_any_messages(void)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        story_begin(1);
        coin = seed;
        w.on_flight = lose_half;
        if (seed % 2) {
            world_rekey_server(&w, 0, second, false);
            world_busy(&w, 0, JUMP_MS(runner_random(&coin) % 3000));
            world_rekey_client(&w, 0, second, false);
        } else {
            world_rekey_client(&w, 0, second, false);
            world_busy(&w, 0, JUMP_MS(runner_random(&coin) % 3000));
            world_rekey_server(&w, 0, second, false);
        }
        world_busy(&w, 0, JUMP_MS(5000));
        w.on_flight = NULL;
        world_busy(&w, 0, JUMP_MS(10000));
        both_on(second);
        CU_ASSERT_TRUE(C().bound && S().bound);
        story_end();
    }
}

static void test_keys_a_rekey_during_a_hole_is_used_by_the_reattach_that_ends_it(void)
{
    story_begin(1);
    w.clients[0].up[0] = false;
    WAIT(C().state == JUMP_RECOVERING, 5000);
    world_rekey_server(&w, 0, second, false);
    world_rekey_client(&w, 0, second, false);
    world_run(&w, JUMP_MS(20000));
    w.clients[0].up[0] = true;
    WAIT(C().state == JUMP_ATTACHED, 3000);
    world_busy(&w, 0, JUMP_MS(2000));
    both_on(second);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

static void test_keys_a_reattach_works_while_only_one_side_holds_the_new_epoch(void)
{
    for (unsigned who = 0; who < 2; who++) {
        story_begin(1);
        if (who)
            world_rekey_server(&w, 0, second, false);
        else
            world_rekey_client(&w, 0, second, false);
        world_rebind(&w, 0, 0);
        WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
        world_rekey_server(&w, 0, second, false);
        world_rekey_client(&w, 0, second, false);
        world_busy(&w, 0, JUMP_MS(3000));
        both_on(second);
        story_end();
    }
}

static void test_keys_a_candidate_that_the_peer_has_replaced_does_not_make_the_session_deaf(void)
{
    for (unsigned who = 0; who < 2; who++) {
        story_begin(1);
        if (who == 0) {
            world_rekey_server(&w, 0, second, false);
            world_rekey_client(&w, 0, second, false); /* its probe tells the server; the answer tells it */
            WAIT(peek_client(&w, 0)->epochs.peer_has_new, 1000);
            world_rekey_server(&w, 0, third, false); /* before anything under the second one came in */
        } else {
            world_rekey_client(&w, 0, second, false);
            world_rekey_server(&w, 0, second, false);
            WAIT(peek_server(&w, 0)->epochs.peer_has_new, 1000);
            world_rekey_client(&w, 0, third, false);
        }
        world_busy(&w, 0, JUMP_MS(10000));
        CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        world_rekey_server(&w, 0, third, false);
        world_rekey_client(&w, 0, third, false);
        world_busy(&w, 0, JUMP_MS(5000));
        CU_ASSERT_EQUAL(peek_server(&w, 0)->epochs.held, 1);
        CU_ASSERT_EQUAL(peek_client(&w, 0)->epochs.held, 1);
        CU_ASSERT_EQUAL(S().generation, C().generation);
        story_end();
    }
}

/* Is there a key that both hold? Without one the session would wait for its bounds. */
static bool one_in_common(void)
{
    const struct jump_epochs *a = &peek_server(&w, 0)->epochs, *b = &peek_client(&w, 0)->epochs;
    for (unsigned i = 0; i < a->held; i++)
        for (unsigned j = 0; j < b->held; j++)
            if (memcmp(a->keys[i].c2s, b->keys[j].c2s, sizeof a->keys[i].c2s) == 0)
                return true;
    return false;
}

static void test_keys_a_rekey_while_the_one_before_is_half_confirmed_is_denied_on_that_side(void)
{
    for (unsigned who = 0; who < 2; who++) {
        story_begin(1);
        world_rekey_server(&w, 0, second, false);
        world_rekey_client(&w, 0, second, false);
        WAIT(peek_client(&w, 0)->epochs.peer_has_new, 1000);
        w.drop_down = ~0u; /* the server takes the second epoch and wipes the first; the client does not hear of it */
        WAIT(peek_server(&w, 0)->epochs.held == 1, 3000);
        CU_ASSERT_EQUAL(peek_client(&w, 0)->epochs.held, 2);
        world_rekey_client(&w, 0, third, false); /* and its host rekeys again, alone or with the server's */
        if (who)
            world_rekey_server(&w, 0, third, false);
        CU_ASSERT_TRUE(one_in_common());
        const struct jump_event *denied = story_last(false, JUMP_EVENT_REKEY_DENIED);
        CU_ASSERT_PTR_NOT_NULL_FATAL(denied);
        CU_ASSERT_EQUAL(denied->reason, REASON(RATE_LIMITED));
        CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_REKEY_DENIED, REASON(NONE)), 0);
        world_run(&w, JUMP_MS(2000));
        w.drop_down = 0;
        WAIT(C().state == JUMP_ATTACHED && S().bound && peek_client(&w, 0)->epochs.held == 1, 10000);
        static const uint8_t fourth[JUMP_SECRET_BYTES] = { 4 };
        world_rekey_client(&w, 0, fourth, false);
        world_rekey_server(&w, 0, fourth, false);
        world_busy(&w, 0, JUMP_MS(3000));
        both_on(fourth);
        story_end();
    }
}

static void test_keys_the_same_secret_once_more_is_no_rekey(void)
{
    story_begin(1);
    world_rekey_server(&w, 0, second, false);
    world_rekey_server(&w, 0, second, false);
    world_rekey_client(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(3000));
    both_on(second);
    world_rekey_client(&w, 0, second, false);
    world_rekey_server(&w, 0, second, false);
    both_on(second);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_REKEY_DENIED, REASON(NONE)), 0);
    story_end();
}

/* Rekeys every few hundred milliseconds that finish on both sides, on one, or on each with its own secret, while messages
 * are lost, late and doubled and the path comes and goes. */
static void trouble(struct world *world, struct world_flight *flight)
{
    struct world_flight copy = *flight;
    if (runner_random(&coin) % 4 == 0)
        flight->used = false;
    if (runner_random(&coin) % 3 == 0)
        flight->at += JUMP_MS(runner_random(&coin) % 1500);
    if (runner_random(&coin) % 8 == 0) {
        copy.at += JUMP_MS(runner_random(&coin) % 3000);
        world_fly(world, &copy);
    }
}

static void rekey_somehow(uint64_t number)
{
    uint8_t secret[JUMP_SECRET_BYTES] = { 9, (uint8_t)(number >> 8), (uint8_t)number };
    uint64_t how = runner_random(&coin) % 6;
    if (how != 0)
        world_rekey_client(&w, 0, secret, false);
    world_run(&w, JUMP_MS(runner_random(&coin) % 300));
    secret[3] = how == 5;
    if (how != 1)
        world_rekey_server(&w, 0, secret, runner_random(&coin) % 2);
}

static void test_keys_both_sides_always_hold_one_epoch_in_common(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        unsigned without = 0;
        story_prepare(1);
        POLICY(max_switches_per_min, 120);
        w.server_config.policy.max_switches_per_min = 120;
        story_attach();
        coin = seed;
        w.on_flight = trouble;
        for (uint64_t number = 1; number <= 150; number++) {
            rekey_somehow(number);
            world_busy(&w, 0, JUMP_MS(runner_random(&coin) % 700));
            if (runner_random(&coin) % 8 == 0)
                w.clients[0].up[0] = !w.clients[0].up[0];
            if (runner_random(&coin) % 8 == 0)
                world_rebind(&w, 0, 0);
            if (!peek_client(&w, 0) || !peek_server(&w, 0)) {
                without = 1000;
                break;
            }
            without += !one_in_common();
        }
        CU_ASSERT_EQUAL(without, 0);
        w.on_flight = NULL;
        w.clients[0].up[0] = true;
        if (without == 0) {
            world_busy(&w, 0, JUMP_MS(70000)); /* the rate's minute */
            world_rekey_client(&w, 0, second, false);
            world_rekey_server(&w, 0, second, false);
            world_busy(&w, 0, JUMP_MS(3000));
            both_on(second);
            CU_ASSERT_TRUE(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED);
        }
        w.event_count = 0;
        world_free(&w);
    }
}

static struct world_flight old_messages[400];
static unsigned old_count;

static void keep_all(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (old_count < sizeof old_messages / sizeof old_messages[0])
        old_messages[old_count++] = *flight;
}

static void test_keys_messages_of_a_wiped_epoch_are_refused_and_windows_survive_the_rekey(void)
{
    story_begin(1);
    old_count = 0;
    w.on_flight = keep_all;
    world_busy(&w, 0, JUMP_MS(2000));
    world_rekey_server(&w, 0, second, false);
    world_rekey_client(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(3000));
    w.on_flight = NULL;
    world_run(&w, JUMP_MS(50));
    both_on(second);
    for (unsigned i = 0; i < old_count; i++) {
        const struct world_flight *f = &old_messages[i];
        if (f->to_server)
            UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &f->source, f->bytes, f->len), 0));
        else
            UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, f->bytes, f->len), 0));
    }
    story_end();
}

static void test_keys_a_message_under_a_key_that_was_never_announced_is_refused(void)
{
    struct jump_body body = { .seq = 50000, .claims_binding = 1, .generation = 1, .transport = 1, .next_within_ms = 750 };
    struct jump_keys keys;
    story_begin(1);
    const struct jump_session *s = peek_server(&w, 0);
    jump_keys_epoch(&keys, &s->id, second);
    struct jump_header header = { .type = JUMP_MSG_PROBE, .epoch = keys.fingerprint, .session_id = s->id,
                                  .counter = s->replay.highest + 10 };
    jump_seal_message(message.bytes, JUMP_PROBE_BYTES, &header, &body, keys.c2s);
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &w.clients[0].uplinks[0], message.bytes, JUMP_PROBE_BYTES), 0));
    header.epoch = s->epochs.keys[0].fingerprint; /* nor under a known epoch's name */
    jump_seal_message(message.bytes, JUMP_PROBE_BYTES, &header, &body, keys.c2s);
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &w.clients[0].uplinks[0], message.bytes, JUMP_PROBE_BYTES), 0));
    story_end();
}

static void test_keys_a_server_that_was_not_told_of_a_new_epoch_expires_and_says_so(void)
{
    story_prepare(1);
    POLICY(transport_lost_ttl_ms, 5000);
    POLICY(recovery_window_ms, 5000);
    POLICY(key_max_age_ms, 20000);
    story_attach();
    world_rekey_client(&w, 0, second, false); /* never used: the server does not hold it */
    WAIT(S().state == JUMP_TERMINATED, 25000);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(KEY_EXPIRED));
    WAIT(C().state == JUMP_TERMINATED, 1000);
    story_end();
}

/* The last counters of our own messages */

#define OWNER_EPOCH 5u

static uint64_t highest_sent[2], sent_after_the_last;

static uint64_t counter_of(const uint8_t *bytes)
{
    uint64_t counter = 0;
    for (int i = 0; i < 8; i++)
        counter = counter << 8 | bytes[JUMP_AT_NONCE + i];
    return counter;
}

static void follow_counters(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)world;
    (void)client;
    if (action->kind != JUMP_DO_SEND)
        return;
    uint64_t counter = counter_of(action->bytes);
    if (counter <= highest_sent[server])
        sent_after_the_last++;
    highest_sent[server] = counter;
}

static void begin_near_the_end(bool server, uint64_t left)
{
    highest_sent[0] = highest_sent[1] = sent_after_the_last = 0;
    story_prepare(1);
    w.server_config.owner_epoch = OWNER_EPOCH;
    story_attach();
    w.on_action = follow_counters;
    if (server)
        peek_server(&w, 0)->send_counter = ((uint64_t)(OWNER_EPOCH + 1) << 40) - 1 - left;
    else
        peek_client(&w, 0)->send_counter = UINT64_MAX - left;
}

static void test_keys_a_session_ends_before_a_counter_could_come_again(void)
{
    for (unsigned server = 0; server < 2; server++) {
        begin_near_the_end(server, JUMP_COUNTER_RESERVE + 8);
        world_busy(&w, 0, JUMP_MS(1200)); /* it goes on as before */
        CU_ASSERT_TRUE(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED);
        WAIT(S().state == JUMP_TERMINATED && C().state == JUMP_TERMINATED, 8000);
        CU_ASSERT_EQUAL(server ? w.server_ended_for : w.clients[0].ended_for, REASON(KEY_EXPIRED));
        CU_ASSERT_EQUAL(server ? w.clients[0].ended_for : w.server_ended_for, REASON(PEER_TERMINATED));
        CU_ASSERT_EQUAL(world_took(&w, server, "T25", REASON(KEY_EXPIRED)), 1);
        CU_ASSERT_EQUAL(sent_after_the_last, 0); /* nothing has wrapped, into the next owner's epoch either */
        CU_ASSERT_EQUAL(highest_sent[1] >> 40, OWNER_EPOCH);
        story_end();
    }
}

static void test_keys_a_spent_counter_ends_an_unbound_session_at_once_and_the_last_one_is_never_passed(void)
{
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    begin_near_the_end(true, 100000);
    w.clients[0].up[0] = false;
    WAIT(S().state == JUMP_RECOVERING, 5000);
    struct jump_session *s = peek_server(&w, 0);
    s->send_counter = ((uint64_t)(OWNER_EPOCH + 1) << 40) - 1; /* not even what is kept for the end is left */
    jump_engine_arm(w.server, s);
    unsigned sent = w.server_sent;
    world_feed_server(&w, &tick);
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(KEY_EXPIRED));
    CU_ASSERT_EQUAL(w.server_sent, sent);
    w.clients[0].up[0] = true; /* its tombstone has no counter left either */
    world_run(&w, JUMP_MS(3000));
    CU_ASSERT_EQUAL(w.server_sent, sent);
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING); /* it ends at its own bound */
    story_end();
}

/* A handshake of a living host instance: a rekey, or a new session (OpenVPN's hard reset)? */

static void test_keys_maybe_new_is_a_rekey_when_the_client_uses_the_new_secret_for_the_old_session(void)
{
    struct jump_stats stats;
    story_begin(1);
    struct jump_id id = S().id;
    world_rekey_server(&w, 0, second, true);
    CU_ASSERT_EQUAL(memcmp(&S().id, &id, sizeof id), 0); /* both are held, the old one lives */
    world_rekey_client(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_EQUAL(memcmp(&S().id, &id, sizeof id), 0);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().state_version, 1);
    both_on(second);
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 1); /* the twin went without a trace */
    CU_ASSERT_EQUAL(w.server_ends, 0);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_SESSION_TERMINATED, REASON(NONE)), 0);
    story_end();
}

static void open_client_anew(const uint8_t *secret)
{
    struct jump_input close = story_input(JUMP_IN_CLOSE), open = story_input(JUMP_IN_OPEN);
    close.reason = REASON(HOST_TERMINATED);
    world_feed_client(&w, 0, &close);
    open.secret = secret;
    open.path = w.server_path;
    open.path.transport = 1;
    w.clients[0].ended = false;
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &open), 0);
}

static void test_keys_maybe_new_is_a_new_session_when_the_client_was_born_with_the_new_secret(void)
{
    struct jump_stats stats;
    struct jump_id derived;
    story_begin(1);
    struct jump_id id = S().id;
    w.drop_up = TYPE(TERMINATE); /* the old client process died without a word */
    world_rekey_server(&w, 0, second, true);
    open_client_anew(second);
    world_busy(&w, 0, JUMP_MS(5000));
    jump_keys_session_id(&derived, JUMP_HOST_OPENVPN, second);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(memcmp(&S().id, &derived, sizeof derived), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(&S().id, &id, sizeof id), 0);
    CU_ASSERT_EQUAL(S().state_version, 1);
    CU_ASSERT_EQUAL(world_took(&w, true, "T21", REASON(HOST_TERMINATED)), 1);
    CU_ASSERT_EQUAL(w.server_ends, 1);
    CU_ASSERT_FALSE(w.server_end_host); /* the instance lives on with the newer session */
    CU_ASSERT_PTR_NULL(jump_table_by_id(&w.server->table, &id));
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 1);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    story_end();
}

static void test_keys_an_undecided_twin_goes_at_its_birth_window_and_the_old_session_stays(void)
{
    struct jump_stats stats;
    story_begin(1);
    struct jump_id id = S().id;
    world_rekey_server(&w, 0, second, true); /* nobody ever shows which it was */
    world_busy(&w, 0, JUMP_MS(12000));
    CU_ASSERT_EQUAL(memcmp(&S().id, &id, sizeof id), 0);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(w.server_ends, 0);
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 1);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2, 3000);
    story_end();
}

static void test_keys_a_birth_of_the_twin_alone_does_not_end_the_old_session(void)
{
    story_begin(1);
    struct jump_id id = S().id;
    world_rekey_server(&w, 0, second, true);
    /* A BIRTH without the first PROBE is no confirmed birth. */
    struct jump_id twin;
    struct jump_keys keys;
    jump_keys_session_id(&twin, JUMP_HOST_OPENVPN, second);
    jump_keys_epoch(&keys, &twin, second);
    struct jump_header header = { .type = JUMP_MSG_BIRTH, .session_id = twin, .counter = 1, .epoch = keys.fingerprint };
    struct jump_body body = { .version_least = 1, .version_most = 1, .keys = { keys.fingerprint } };
    jump_seal_message(message.bytes, JUMP_BIRTH_BYTES, &header, &body, keys.c2s);
    struct peek_record before, after;
    peek_note(&before, &w, true, 0);
    CU_ASSERT_EQUAL(world_inject(&w, &w.clients[0].uplinks[0], message.bytes, JUMP_BIRTH_BYTES), 0);
    peek_note(&after, &w, true, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    CU_ASSERT_EQUAL(memcmp(&S().id, &id, sizeof id), 0);
    struct jump_path elsewhere = world_path(93, 9393); /* nor one from another address */
    header.counter = 2;
    jump_seal_message(message.bytes, JUMP_BIRTH_BYTES, &header, &body, keys.c2s);
    CU_ASSERT_NOT_EQUAL(world_inject(&w, &elsewhere, message.bytes, JUMP_BIRTH_BYTES), 0);
    world_busy(&w, 0, JUMP_MS(15000));
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(memcmp(&S().id, &id, sizeof id), 0);
    story_end();
}

static void test_keys_the_end_of_the_old_session_does_not_leave_a_twin_behind(void)
{
    struct jump_input close = story_input(JUMP_IN_CLOSE);
    struct jump_stats stats;
    close.reason = REASON(HOST_TERMINATED);
    story_begin(1);
    world_rekey_server(&w, 0, second, true);
    world_feed_server(&w, &close);
    CU_ASSERT_EQUAL(S().state, JUMP_TERMINATED);
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 0);
    world_run(&w, JUMP_MS(30000));
    CU_ASSERT_EQUAL(w.server_ends, 1);
    story_end();
}

static void test_keys_a_twin_that_finds_the_table_full_leaves_the_old_session_with_its_rekey(void)
{
    story_prepare(1);
    w.server_config.max_sessions = 1;
    story_attach();
    world_rekey_server(&w, 0, second, true);
    world_rekey_client(&w, 0, second, false);
    world_busy(&w, 0, JUMP_MS(3000));
    both_on(second);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

#define TESTS(X)                                                                                    \
    X(test_keys_a_rekey_that_the_server_knows_first_changes_nothing_until_both_hold_it)             \
    X(test_keys_a_rekey_that_the_client_knows_first_changes_nothing_until_both_hold_it)             \
    X(test_keys_a_rekey_that_only_one_side_finished_is_replaced_by_the_next)                        \
    X(test_keys_two_different_unconfirmed_epochs_never_mix_and_the_session_lives_on)                \
    X(test_keys_a_rekey_survives_the_loss_of_any_messages)                                          \
    X(test_keys_a_rekey_during_a_hole_is_used_by_the_reattach_that_ends_it)                         \
    X(test_keys_a_reattach_works_while_only_one_side_holds_the_new_epoch)                           \
    X(test_keys_a_rekey_while_the_one_before_is_half_confirmed_is_denied_on_that_side)              \
    X(test_keys_the_same_secret_once_more_is_no_rekey)                                              \
    X(test_keys_both_sides_always_hold_one_epoch_in_common)                                         \
    X(test_keys_a_candidate_that_the_peer_has_replaced_does_not_make_the_session_deaf)              \
    X(test_keys_messages_of_a_wiped_epoch_are_refused_and_windows_survive_the_rekey)                \
    X(test_keys_a_message_under_a_key_that_was_never_announced_is_refused)                          \
    X(test_keys_a_server_that_was_not_told_of_a_new_epoch_expires_and_says_so)                      \
    X(test_keys_a_session_ends_before_a_counter_could_come_again)                                   \
    X(test_keys_a_spent_counter_ends_an_unbound_session_at_once_and_the_last_one_is_never_passed)   \
    X(test_keys_maybe_new_is_a_rekey_when_the_client_uses_the_new_secret_for_the_old_session)       \
    X(test_keys_maybe_new_is_a_new_session_when_the_client_was_born_with_the_new_secret)            \
    X(test_keys_an_undecided_twin_goes_at_its_birth_window_and_the_old_session_stays)               \
    X(test_keys_a_birth_of_the_twin_alone_does_not_end_the_old_session)                             \
    X(test_keys_the_end_of_the_old_session_does_not_leave_a_twin_behind)                            \
    X(test_keys_a_twin_that_finds_the_table_full_leaves_the_old_session_with_its_rekey)

RUN_TESTS("engine_keys", TESTS)
