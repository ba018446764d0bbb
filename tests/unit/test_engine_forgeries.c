/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A20 to A28 of the list of attacks and faults, where the core is concerned: what is forged, damaged, reflected or
 * downgraded, and tables at their limits. Before A20: test_engine_attacks.c; from A30 on: test_engine_withheld.c.
 */
#include <stdlib.h>

#include "story.h"

static struct peek_message message;

static const struct jump_path *address(unsigned client)
{
    return &w.clients[client].uplinks[0];
}

static uint64_t refused_so_far(struct jump_engine *engine)
{
    struct jump_stats s;
    jump_engine_stats(engine, &s);
    return s.malformed + s.rate_limited + s.unknown_session + s.bad_proof + s.replayed + s.denied;
}

/* A20 */

static void test_A20_a_peer_cannot_speak_for_an_id_that_it_did_not_derive(void)
{
    static const uint8_t types[] = { JUMP_MSG_PROBE, JUMP_MSG_REATTACH_REQUEST, JUMP_MSG_REATTACH_PROOF, JUMP_MSG_BIRTH,
                                     JUMP_MSG_TERMINATE };
    story_begin(2);
    const struct jump_session *mine = peek_client(&w, 1), *other = peek_client(&w, 0);
    for (unsigned i = 0; i < sizeof types; i++) {
        struct jump_body body = { .attempt = 9, .generation = 1, .seq = 5000 + i, .claims_binding = 1,
                                  .version_least = 1, .version_most = 1, .keys = { mine->epochs.keys[0].fingerprint } };
        for (unsigned epoch = 0; epoch < 2; epoch++) { /* his own epoch field, and the other's */
            struct jump_header header = { .type = types[i], .session_id = other->id, .counter = 1000000 + i,
                                          .epoch = (epoch ? other : mine)->epochs.keys[0].fingerprint };
            message.len = jump_wire_length(types[i]);
            jump_seal_message(message.bytes, message.len, &header, &body, mine->epochs.keys[0].c2s);
            UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(1), message.bytes, message.len), 0));
            UNCHANGED(true, 1, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0));
        }
    }
    struct jump_id invented = { .bytes = { 1, 2, 3 } }; /* an id that nobody derived makes no session */
    struct jump_header header = { .type = JUMP_MSG_BIRTH, .session_id = invented, .counter = 1,
                                  .epoch = mine->epochs.keys[0].fingerprint };
    struct jump_body body = { .version_least = 1, .version_most = 1 };
    jump_seal_message(message.bytes, JUMP_BIRTH_BYTES, &header, &body, mine->epochs.keys[0].c2s);
    CU_ASSERT_NOT_EQUAL(world_inject(&w, address(1), message.bytes, JUMP_BIRTH_BYTES), 0);
    CU_ASSERT_PTR_NULL(jump_table_by_id(&w.server->table, &invented));
    story_end();
}

/* A21 */

static void forge_everything_for_the_client(void)
{
    static const uint8_t types[] = { JUMP_MSG_BIRTH_OFFER, JUMP_MSG_BIRTH_ACK, JUMP_MSG_PROBE_ACK, JUMP_MSG_PATH_UNBOUND,
                                     JUMP_MSG_REATTACH_CHALLENGE, JUMP_MSG_REATTACH_ACCEPT, JUMP_MSG_REATTACH_DENY,
                                     JUMP_MSG_TERMINATE, JUMP_MSG_TERMINATE_ACK, JUMP_MSG_COOKIE, JUMP_MSG_RESET,
                                     JUMP_MSG_REDIRECT };
    const struct jump_session *s = peek_client(&w, 0);
    uint64_t random = 21;
    for (unsigned i = 0; i < sizeof types; i++) {
        for (uint64_t counter = 0; counter < 40; counter++) {
            struct jump_header header = { .type = types[i], .session_id = s->id, .counter = 1000 + counter,
                                          .epoch = s->epochs.keys[0].fingerprint };
            size_t len = jump_wire_length(types[i]) > 0 ? jump_wire_length(types[i]) : 200;
            for (size_t at = 0; at < len; at++)
                message.bytes[at] = (uint8_t)runner_random(&random);
            jump_wire_put_header(message.bytes, &header);
            uint64_t refused = refused_so_far(w.clients[0].engine);
            UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, len), 0));
            CU_ASSERT_EQUAL(refused_so_far(w.clients[0].engine), refused + 1); /* ignored, and counted */
        }
    }
}

static void test_A21_forged_messages_of_every_type_change_nothing_on_an_attached_client(void)
{
    story_begin(1);
    forge_everything_for_the_client();
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_TRUE(world_count(&w, false, JUMP_EVENT_VALIDATION_FAILED, REASON(BAD_PROOF)) > 0);
    story_end();
}

static void test_A21_forged_messages_of_every_type_change_nothing_on_a_recovering_client_and_one_in_birth(void)
{
    story_begin(1);
    w.clients[0].up[0] = false;
    WAIT(C().state == JUMP_RECOVERING, 5000);
    forge_everything_for_the_client();
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    story_end();
    story_prepare(1);
    world_start(&w);
    w.drop_up = ~0u;
    world_open(&w, 0);
    world_run(&w, JUMP_MS(100));
    forge_everything_for_the_client();
    CU_ASSERT_EQUAL(C().state, JUMP_BIRTH);
    story_end();
}

static void test_A21_genuine_but_unasked_answers_change_nothing(void)
{
    story_begin(1);
    struct jump_body challenge = { .attempt = 1, .generation = 1, .state_version = 1 };
    struct jump_body accept = { .attempt = 1, .generation = 9, .state_version = 99 };
    struct jump_body deny = { .attempt = 1, .reason = REASON(POLICY_DENIED), .retry_after_ms = 100000 };
    struct jump_body unbound = { .seq = 1, .generation = 1 }, ack = { .seq = 987654 }, ended = { 0 };
    struct { uint8_t type; struct jump_body *body; } unasked[] = {
        { JUMP_MSG_REATTACH_CHALLENGE, &challenge }, { JUMP_MSG_REATTACH_ACCEPT, &accept },
        { JUMP_MSG_REATTACH_DENY, &deny }, { JUMP_MSG_PATH_UNBOUND, &unbound }, { JUMP_MSG_PROBE_ACK, &ack },
        { JUMP_MSG_TERMINATE_ACK, &ended }, { JUMP_MSG_BIRTH_OFFER, &ended },
    };
    for (unsigned i = 0; i < sizeof unasked / sizeof unasked[0]; i++) {
        struct peek_record before, after;
        peek_seal(&message, &w, true, 0, unasked[i].type, unasked[i].body);
        peek_note(&before, &w, false, 0);
        world_inject_client(&w, 0, 1, message.bytes, message.len);
        peek_note(&after, &w, false, 0);
        CU_ASSERT_TRUE(peek_same_record(&before, &after));
    }
    w.clients[0].up[0] = false; /* and those of another attempt nothing on a client that recovers */
    WAIT(C().state == JUMP_RECOVERING, 5000);
    challenge.attempt = accept.attempt = deny.attempt = peek_client(&w, 0)->attempt + 1;
    for (unsigned i = 0; i < 3; i++) {
        struct peek_record before, after;
        peek_seal(&message, &w, true, 0, unasked[i].type, unasked[i].body);
        peek_note(&before, &w, false, 0);
        CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0);
        peek_note(&after, &w, false, 0);
        CU_ASSERT_TRUE(peek_same_record(&before, &after));
    }
    story_end();
}

static void test_A21_an_answer_for_another_attempt_is_refused_while_a_proof_is_out(void)
{
    story_begin(1);
    w.drop_down = TYPE(REATTACH_ACCEPT);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
    uint64_t attempt = peek_client(&w, 0)->attempt;
    for (unsigned i = 0; i < 3; i++) {
        struct jump_body body = { .attempt = i == 0 ? attempt + 1 : i == 1 ? attempt - 1 : UINT64_MAX, .generation = 2,
                                  .state_version = 3, .reason = REASON(POLICY_DENIED), .retry_after_ms = 60000 };
        peek_seal(&message, &w, true, 0, JUMP_MSG_REATTACH_ACCEPT, &body);
        UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0));
        peek_seal(&message, &w, true, 0, JUMP_MSG_REATTACH_DENY, &body);
        UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0));
    }
    struct jump_body body = { .attempt = attempt, .generation = 2, .state_version = 3 };
    peek_seal(&message, &w, true, 0, JUMP_MSG_REATTACH_ACCEPT, &body); /* and the right one is taken */
    CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    story_end();
}

static void test_A21_what_is_forged_for_the_server_changes_nothing_and_is_not_answered(void)
{
    uint64_t random = 22;
    story_begin(1);
    const struct jump_session *s = peek_server(&w, 0);
    for (uint8_t type = 0; type < 16; type++) {
        for (unsigned i = 0; i < 20; i++) {
            struct jump_header header = { .type = type, .session_id = s->id, .counter = 100000 + i,
                                          .epoch = s->epochs.keys[0].fingerprint };
            size_t len = jump_wire_length(type) > 0 ? jump_wire_length(type) : 200;
            for (size_t at = 0; at < len; at++)
                message.bytes[at] = (uint8_t)runner_random(&random);
            jump_wire_put_header(message.bytes, &header);
            unsigned sent = w.server_sent;
            UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), message.bytes, len), 0));
            CU_ASSERT_EQUAL(w.server_sent, sent); /* silence: nothing is sealed for who only sniffed an id */
        }
        world_run(&w, JUMP_MS(1000));
    }
    story_end();
}

/* A22 */

static void test_A22_a_request_with_a_future_state_version_is_denied_with_the_current_one(void)
{
    static const uint64_t futures[] = { 2, 1000, UINT64_MAX };
    story_begin(1);
    for (unsigned i = 0; i < 3; i++) {
        struct jump_body body = { .attempt = 9 + i, .generation = 1, .state_version = futures[i], .transport = 1 }, answer;
        struct jump_header header;
        peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
        struct jump_path elsewhere = world_path(88, (uint16_t)(8000 + i));
        w.last_from_server[JUMP_MSG_REATTACH_DENY].len = 0;
        w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len = 0;
        UNCHANGED(true, 0, world_inject(&w, &elsewhere, message.bytes, message.len));
        struct world_flight *deny = &w.last_from_server[JUMP_MSG_REATTACH_DENY];
        CU_ASSERT_TRUE_FATAL(deny->len > 0);
        CU_ASSERT_EQUAL(w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len, 0);
        CU_ASSERT_EQUAL(peek_open(&header, &answer, &w, true, 0, deny), 0);
        CU_ASSERT_EQUAL(answer.reason, REASON(STALE_STATE_VERSION));
        CU_ASSERT_EQUAL(answer.state_version, 1);
        CU_ASSERT_EQUAL(answer.generation, 1);
    }
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_VALIDATION_FAILED, REASON(STALE_STATE_VERSION)) +
                           world_count(&w, true, JUMP_EVENT_SWITCH_DENIED, REASON(STALE_STATE_VERSION)) > 0);
    story_end();
}

static void test_A22_a_lower_state_version_is_normal(void)
{
    story_begin(1);
    for (unsigned i = 0; i < 3; i++) {
        w.drop_down = TYPE(PROBE_ACK); /* the client does not learn of the server's transitions */
        w.clients[0].up[0] = false;
        WAIT(S().state == JUMP_RECOVERING, 10000);
        w.clients[0].up[0] = true;
        w.drop_down = 0;
        WAIT(C().state == JUMP_ATTACHED && S().state == JUMP_ATTACHED, 5000);
        world_busy(&w, 0, JUMP_MS(1000));
    }
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_REATTACH_RESULT, REASON(STALE_STATE_VERSION)), 0);
    story_end();
}

static void test_A22_stale_state_version_makes_the_client_try_again_at_once_and_not_degrade(void)
{
    story_begin(1);
    peek_client(&w, 0)->u.client.server_version = 77; /* as if the server had been rolled back */
    world_rebind(&w, 0, 0);
    WAIT(C().state == JUMP_RECOVERING, 3000);
    jump_time began = w.now;
    WAIT(S().generation == 2, 3000);
    CU_ASSERT_TRUE(w.now - began <= JUMP_MS(350 + 100));
    CU_ASSERT_EQUAL(world_took(&w, false, "T13", REASON(NONE)), 0);
    story_end();
}

static void test_A22_future_generations_and_unknown_epochs_are_refused(void)
{
    story_begin(1);
    struct jump_body probe = { .seq = 5000, .claims_binding = 1, .generation = 2, .transport = 1, .next_within_ms = 1000 };
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0));
    probe.generation = UINT64_MAX;
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0));
    probe.generation = 1;
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
    for (unsigned bit = 0; bit < 16; bit++) {
        message.bytes[JUMP_AT_EPOCH + bit / 8] ^= (uint8_t)(1u << bit % 8);
        unsigned sent = w.server_sent;
        UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0));
        CU_ASSERT_EQUAL(w.server_sent, sent);
        message.bytes[JUMP_AT_EPOCH + bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    CU_ASSERT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0);
    story_end();
}

/* A23 */

static unsigned accepts_to_lose;
static struct world_flight accept_kept;

static void lose_accepts(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (peek_type(flight) != JUMP_MSG_REATTACH_ACCEPT)
        return;
    accept_kept = *flight;
    if (accepts_to_lose > 0) {
        accepts_to_lose--;
        flight->used = false;
    }
}

static void test_A23_lost_accepts_heal_without_a_second_switch(void)
{
    for (unsigned losses = 1; losses <= 5; losses++) {
        story_begin(1);
        accepts_to_lose = losses;
        w.on_flight = lose_accepts;
        world_rebind(&w, 0, 0);
        WAIT(C().state == JUMP_ATTACHED && C().generation == 2, 10000);
        CU_ASSERT_EQUAL(accepts_to_lose, 0);
        CU_ASSERT_EQUAL(S().generation, 2);
        CU_ASSERT_EQUAL(S().switches, 1);
        story_end();
    }
}

static void test_A23_a_duplicated_or_late_accept_changes_nothing(void)
{
    story_begin(1);
    accepts_to_lose = 0;
    w.on_flight = lose_accepts;
    world_rebind(&w, 0, 0);
    WAIT(C().state == JUMP_ATTACHED && C().generation == 2, 3000);
    UNCHANGED(false, 0, world_inject_client(&w, 0, 1, accept_kept.bytes, accept_kept.len));
    struct world_flight first = accept_kept;
    world_busy(&w, 0, JUMP_MS(2000));
    accepts_to_lose = 1; /* the next one comes late, after its repetition */
    world_rebind(&w, 0, 0);
    WAIT(C().state == JUMP_RECOVERING, 3000);
    UNCHANGED(false, 0, world_inject_client(&w, 0, 1, first.bytes, first.len));
    WAIT(accepts_to_lose == 0, 3000);
    struct world_flight late = accept_kept;
    WAIT(C().state == JUMP_ATTACHED, 3000);
    UNCHANGED(false, 0, world_inject_client(&w, 0, 1, late.bytes, late.len));
    CU_ASSERT_EQUAL(S().generation, 3);
    CU_ASSERT_EQUAL(C().generation, 3);
    story_end();
}

static void test_A23_a_second_copy_of_a_challenge_is_a_replay_and_asks_for_no_second_proof(void)
{
    story_begin(1);
    w.drop_up = TYPE(REATTACH_PROOF);
    world_rebind(&w, 0, 0);
    WAIT(w.last_from_client[JUMP_MSG_REATTACH_PROOF].len > 0, 3000);
    struct world_flight challenge = w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE];
    CU_ASSERT_TRUE_FATAL(challenge.len > 0);
    uint64_t sent = peek_client(&w, 0)->send_counter, replayed = world_count(&w, false, JUMP_EVENT_REPLAY_DETECTED, REASON(NONE));
    for (unsigned i = 0; i < 5; i++)
        UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, challenge.bytes, challenge.len), 0));
    CU_ASSERT_EQUAL(peek_client(&w, 0)->send_counter, sent);
    CU_ASSERT_TRUE(world_count(&w, false, JUMP_EVENT_REPLAY_DETECTED, REASON(NONE)) > replayed);
    w.drop_up = 0;
    WAIT(C().state == JUMP_ATTACHED, 3000);
    story_end();
}

/* A24 */

static struct world_flight kinds[2][16];

static void keep_one_of_each(struct world *world, struct world_flight *flight)
{
    (void)world;
    kinds[flight->to_server][peek_type(flight)] = *flight;
}

static void damage(bool to_server, const struct world_flight *flight)
{
    static uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES + 600];
#define HIT(bytes_, len_)                                                                                            \
    do {                                                                                                             \
        uint8_t *exact = malloc(len_); /* so that the sanitizer sees a read behind it */                             \
        memcpy(exact, bytes_, len_);                                                                                 \
        if (to_server)                                                                                               \
            UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, &flight->source, exact, len_), 0));               \
        else                                                                                                         \
            UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, exact, len_), 0));                  \
        free(exact);                                                                                                 \
    } while (0)
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, flight->bytes, flight->len);
    for (size_t len = 1; len < flight->len; len++)
        HIT(bytes, len);
    for (size_t len = flight->len + 1; len < flight->len + 20; len++)
        HIT(bytes, len);
    HIT(bytes, (size_t)JUMP_MAX_DATAGRAM_BYTES);
    HIT(bytes, sizeof bytes);
    for (size_t bit = 0; bit < flight->len * 8; bit += flight->len > 400 ? 7 : 1) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        HIT(bytes, flight->len);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
#undef HIT
}

static void test_A24_truncated_oversized_and_bit_flipped_messages_of_every_type_change_nothing(void)
{
    story_prepare(1);
    memset(kinds, 0, sizeof kinds);
    w.on_flight = keep_one_of_each;
    story_attach();
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    world_busy(&w, 0, JUMP_MS(2000));
    w.on_flight = NULL;
    unsigned types = 0;
    for (unsigned up = 0; up < 2; up++) {
        for (unsigned type = 0; type < 16; type++) {
            if (kinds[up][type].len == 0)
                continue;
            types++;
            world_run(&w, JUMP_MS(400)); /* fresh tokens, so that each copy is really looked at */
            damage(up, &kinds[up][type]);
        }
    }
    CU_ASSERT_TRUE(types >= 9);
    world_busy(&w, 0, JUMP_MS(3000));
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
}

static void test_A24_fields_at_their_limits_in_sealed_messages_break_no_invariant_and_no_other_session(void)
{
    static const uint8_t types[] = { JUMP_MSG_PROBE, JUMP_MSG_REATTACH_REQUEST, JUMP_MSG_REATTACH_PROOF, JUMP_MSG_BIRTH };
    static const uint64_t limits[] = { 0, 1, 127, 128, 255, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX };
    struct peek_record before, after;
    uint64_t random = 24;
    story_begin(2);
    peek_note(&before, &w, true, 1);
    for (unsigned i = 0; i < 4000; i++) {
        struct jump_body body;
        memset(&body, 0, sizeof body);
#define LIMIT(field) body.field = (__typeof__(body.field))limits[runner_random(&random) % 10]
        LIMIT(version_least); LIMIT(version_most); LIMIT(capabilities); LIMIT(want_lifetime_ms); LIMIT(want_ttl_ms);
        LIMIT(want_window_ms); LIMIT(seq); LIMIT(sent_at); LIMIT(transport); LIMIT(claims_binding); LIMIT(received);
        LIMIT(next_within_ms); LIMIT(state_version); LIMIT(generation); LIMIT(attempt); LIMIT(why); LIMIT(voluntary);
        LIMIT(protocol); LIMIT(nat_seen);
#undef LIMIT
        peek_seal(&message, &w, false, 0, types[i % 4], &body);
        world_inject(&w, address(0), message.bytes, message.len);
        if (i % 40 == 0) {
            world_busy(&w, 1, JUMP_MS(1000));
            CU_ASSERT_PTR_NULL(peek_broken(&w));
        }
        if (!peek_client(&w, 0) || !peek_server(&w, 0)) {
            CU_ASSERT_TRUE_FATAL(world_attach(&w, 0));
        }
    }
    peek_note(&after, &w, true, 1);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    story_end();
}

static void test_A24_fields_at_their_limits_from_the_server_break_no_invariant_of_the_client(void)
{
    static const uint8_t types[] = { JUMP_MSG_PROBE_ACK, JUMP_MSG_PATH_UNBOUND, JUMP_MSG_REATTACH_CHALLENGE,
                                     JUMP_MSG_REATTACH_ACCEPT, JUMP_MSG_REATTACH_DENY, JUMP_MSG_BIRTH_OFFER };
    static const uint64_t limits[] = { 0, 1, 127, 255, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX };
    uint64_t random = 25;
    story_begin(1);
    for (unsigned i = 0; i < 2000; i++) {
        struct jump_body body;
        memset(&body, 0, sizeof body);
#define LIMIT(field) body.field = (__typeof__(body.field))limits[runner_random(&random) % 8]
        LIMIT(version_least); LIMIT(version_most); LIMIT(seq); LIMIT(sent_at); LIMIT(received); LIMIT(bound); LIMIT(state);
        LIMIT(state_version); LIMIT(generation); LIMIT(reason); LIMIT(retry_after_ms); LIMIT(observed_port);
#undef LIMIT
        const struct jump_session *s = peek_client(&w, 0);
        body.attempt = i % 2 ? s->attempt : limits[i % 8];
        body.seq = i % 3 ? s->health.next_seq - 1 : body.seq;
        peek_seal(&message, &w, true, 0, types[i % 6], &body);
        world_inject_client(&w, 0, 1, message.bytes, message.len);
        if (i % 50 == 49) {
            w.clients[0].up[0] = i % 100 == 99;
            world_busy(&w, 0, JUMP_MS(1000));
            CU_ASSERT_PTR_NULL(peek_broken(&w));
        }
        if (!peek_client(&w, 0) || !peek_server(&w, 0)) {
            w.clients[0].up[0] = true;
            while (peek_client(&w, 0) || peek_server(&w, 0))
                world_run(&w, JUMP_MS(10000));
            CU_ASSERT_TRUE_FATAL(world_attach(&w, 0));
        }
    }
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_SESSION_TERMINATED, REASON(INVARIANT_VIOLATION)), 0);
    story_end();
}

/* A25 */

static void test_A25_a_birth_without_our_version_is_not_taken_up(void)
{
    static const uint8_t ranges[][2] = { { 0, 0 }, { 2, 9 }, { 255, 255 }, { 9, 0 } };
    story_prepare(1);
    world_start(&w);
    w.drop_up = ~0u;
    world_open(&w, 0);
    world_run(&w, JUMP_MS(100));
    for (unsigned i = 0; i < 4; i++) {
        struct jump_body body = { .version_least = ranges[i][0], .version_most = ranges[i][1] };
        peek_seal(&message, &w, false, 0, JUMP_MSG_BIRTH, &body);
        UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0));
    }
    w.drop_up = 0;
    WAIT(S().state == JUMP_ATTACHED, 5000);
    story_end();
}

static void test_A25_a_birth_ack_of_another_version_or_with_an_impossible_policy_is_not_taken(void)
{
    story_prepare(1);
    world_start(&w);
    w.drop_down = TYPE(BIRTH_ACK);
    world_open(&w, 0);
    world_run(&w, JUMP_MS(300));
    for (unsigned i = 0; i < 5; i++) {
        struct jump_body body = { .version_chosen = 1, .state_version = 1, .generation = 1, .policy = w.server_config.policy };
        if (i == 0)
            body.version_chosen = 0;
        else if (i == 1)
            body.version_chosen = 2;
        else if (i == 2)
            body.policy.max_lifetime_ms = 0;
        else if (i == 3)
            body.policy.recovery_window_ms = body.policy.transport_lost_ttl_ms + 1;
        else
            body.policy.loss_volatile_threshold = 0;
        peek_seal(&message, &w, true, 0, JUMP_MSG_BIRTH_ACK, &body);
        UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0));
        CU_ASSERT_EQUAL(C().state, JUMP_BIRTH);
    }
    w.drop_down = 0;
    WAIT(C().state == JUMP_ATTACHED, 5000);
    story_end();
}

static void test_A25_a_second_birth_does_not_change_a_session_that_lives(void)
{
    struct jump_body body = { .version_least = 1, .version_most = 1, .want_lifetime_ms = 60000, .want_ttl_ms = 1000 };
    struct peek_record before, after;
    story_begin(1);
    peek_note(&before, &w, true, 0);
    peek_seal(&message, &w, false, 0, JUMP_MSG_BIRTH, &body);
    world_inject(&w, address(0), message.bytes, message.len);
    peek_note(&after, &w, true, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    story_end();
}

/* A26 */

static void test_A26_a_message_sent_back_to_its_sender_changes_nothing(void)
{
    story_prepare(1);
    memset(kinds, 0, sizeof kinds);
    w.on_flight = keep_one_of_each;
    story_attach();
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    w.on_flight = NULL;
    world_run(&w, JUMP_MS(50));
    unsigned types = 0;
    for (unsigned type = 0; type < 16; type++) {
        const struct world_flight *down = &kinds[0][type], *up = &kinds[1][type];
        types += (down->len > 0) + (up->len > 0);
        if (down->len > 0)
            UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), down->bytes, down->len), 0));
        if (up->len > 0)
            UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, up->bytes, up->len), 0));
    }
    CU_ASSERT_TRUE(types >= 9);
    struct jump_body body = { .reason = REASON(OPERATOR_TERMINATED) }; /* the one type that travels both ways */
    peek_seal(&message, &w, true, 0, JUMP_MSG_TERMINATE, &body);
    UNCHANGED(true, 0, CU_ASSERT_NOT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0));
    peek_seal(&message, &w, false, 0, JUMP_MSG_TERMINATE, &body);
    UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0));
    story_end();
}

/* A27 */

static void test_A27_a_full_table_refuses_with_a_reason_and_harms_nobody(void)
{
    struct peek_shot shot, again;
    uint8_t secret[JUMP_SECRET_BYTES] = { 0 };
    story_prepare(3);
    w.server_config.max_sessions = 3;
    story_attach();
    peek_shoot(&shot, &w, true, 1);
    for (unsigned i = 0; i < 1000; i++) {
        struct jump_input in = { .kind = JUMP_IN_OPEN, .host = 100 + i, .secret = secret, .path = world_path(222, (uint16_t)i) };
        memcpy(secret, &i, sizeof i);
        CU_ASSERT_EQUAL(world_feed_server(&w, &in), JUMP_ERR_FULL);
    }
    peek_shoot(&again, &w, true, 1);
    CU_ASSERT_TRUE(peek_same_shot(&shot, &again));
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_SESSION_TERMINATED, REASON(SESSION_TABLE_FULL)) > 0);
    struct jump_input close = story_input(JUMP_IN_CLOSE);
    close.host = 3;
    close.reason = REASON(HOST_TERMINATED);
    world_feed_server(&w, &close); /* and a place that is free again is used */
    world_feed_client(&w, 2, &close);
    CU_ASSERT_TRUE(world_attach(&w, 2));
    world_busy(&w, 0, JUMP_MS(2000));
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

/* A28 */

static void test_A28_a_flood_of_refusals_is_recorded_within_a_rate_and_the_rest_is_counted(void)
{
    story_begin(1);
    struct jump_body body = { .seq = 1 };
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &body);
    message.bytes[100] ^= 1;
    unsigned before = w.event_count;
    struct jump_stats stats;
    for (unsigned i = 0; i < 3000; i++) {
        world_inject(&w, address(0), message.bytes, message.len);
        if (i % 100 == 0)
            world_busy(&w, 0, JUMP_MS(1000));
    }
    world_busy(&w, 0, JUMP_MS(2000));
    CU_ASSERT_TRUE(w.event_count - before < 31 * 25);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_VALIDATION_FAILED, REASON(BAD_PROOF)) > 0);
    jump_engine_stats(w.server, &stats);
    CU_ASSERT_TRUE(stats.events_suppressed > 0);
    CU_ASSERT_TRUE(world_count(&w, true, JUMP_EVENT_EVENTS_DROPPED, REASON(NONE)) > 0);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().state_version, 1);
    story_end();
}

static void test_A28_dropped_events_are_told_with_their_session_and_its_versions(void)
{
    story_begin(2);
    struct jump_body body = { .seq = 1 };
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &body);
    message.bytes[100] ^= 1;
    for (unsigned i = 0; i < 90; i++) /* the session's own bucket lets 100 through, 50 events are recorded at once */
        world_inject(&w, address(0), message.bytes, message.len);
    CU_ASSERT_NOT_EQUAL(w.server->dropped.count, 0);
    uint64_t missing = w.server->dropped.count;
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2, 5000); /* the next event of any kind tells of them first */
    const struct jump_event *gap = NULL;
    for (unsigned i = 0; i < w.event_count && !gap; i++)
        if (w.events[i].server && w.events[i].event.kind == JUMP_EVENT_EVENTS_DROPPED)
            gap = &w.events[i].event;
    CU_ASSERT_PTR_NOT_NULL_FATAL(gap);
    CU_ASSERT_EQUAL(gap->dropped, missing);
    CU_ASSERT_TRUE(gap->fields & JUMP_FIELD_SESSION);
    CU_ASSERT_EQUAL(memcmp(&gap->session_id, &S().id, sizeof gap->session_id), 0);
    CU_ASSERT_EQUAL(gap->first_version, 1);
    CU_ASSERT_EQUAL(gap->last_version, 1);
    story_end();
}

/* The queue has room for every input, so that this cannot be reached from outside. */
static void test_A28_changes_that_found_no_room_change_the_session_all_the_same_and_are_told_by_range(void)
{
    for (unsigned others = 0; others < 2; others++) {
        const struct jump_action *action;
        story_begin(2);
        struct jump_engine *e = w.server;
        struct jump_session *s = peek_server(&w, 0);
        while (jump_engine_push(e, JUMP_DO_EMIT, NULL))
            ;
        CU_ASSERT_TRUE(jump_engine_move(e, s, JUMP_EV_INSTABILITY, REASON(HEARTBEAT_TIMEOUT)));
        CU_ASSERT_TRUE(jump_engine_move(e, s, JUMP_EV_VOLATILE_TIMEOUT, REASON(VOLATILE_PERSISTED)));
        if (others)
            CU_ASSERT_TRUE(jump_engine_move(e, peek_server(&w, 1), JUMP_EV_INSTABILITY, REASON(HEARTBEAT_TIMEOUT)));
        CU_ASSERT_EQUAL(s->version, 3);
        while ((action = jump_engine_next(e)) != NULL)
            ;
        CU_ASSERT_TRUE(jump_engine_move(e, s, JUMP_EV_STABLE, REASON(HEALTH_RECOVERED)));
        action = jump_engine_next(e);
        CU_ASSERT_PTR_NOT_NULL_FATAL(action);
        CU_ASSERT_EQUAL_FATAL(action->kind, JUMP_DO_EMIT);
        CU_ASSERT_EQUAL(action->event.kind, JUMP_EVENT_EVENTS_DROPPED);
        CU_ASSERT_EQUAL(action->event.dropped, 2 + others);
        CU_ASSERT_EQUAL((action->event.fields & JUMP_FIELD_SESSION) != 0, !others);
        CU_ASSERT_EQUAL(action->event.first_version, others ? 0 : 2);
        CU_ASSERT_EQUAL(action->event.last_version, others ? 0 : 3);
        action = jump_engine_next(e);
        CU_ASSERT_EQUAL(action->event.kind, JUMP_EVENT_STATE_CHANGE);
        CU_ASSERT_EQUAL(action->event.state_version, 4);
        while (jump_engine_next(e))
            ;
        CU_ASSERT_PTR_NULL(peek_broken(&w));
        world_free(&w);
    }
}

#define TESTS(X)                                                                                         \
    X(test_A20_a_peer_cannot_speak_for_an_id_that_it_did_not_derive)                                     \
    X(test_A21_forged_messages_of_every_type_change_nothing_on_an_attached_client)                       \
    X(test_A21_forged_messages_of_every_type_change_nothing_on_a_recovering_client_and_one_in_birth)     \
    X(test_A21_genuine_but_unasked_answers_change_nothing)                                               \
    X(test_A21_an_answer_for_another_attempt_is_refused_while_a_proof_is_out)                            \
    X(test_A21_what_is_forged_for_the_server_changes_nothing_and_is_not_answered)                        \
    X(test_A22_a_request_with_a_future_state_version_is_denied_with_the_current_one)                     \
    X(test_A22_a_lower_state_version_is_normal)                                                          \
    X(test_A22_stale_state_version_makes_the_client_try_again_at_once_and_not_degrade)                   \
    X(test_A22_future_generations_and_unknown_epochs_are_refused)                                        \
    X(test_A23_lost_accepts_heal_without_a_second_switch)                                                \
    X(test_A23_a_duplicated_or_late_accept_changes_nothing)                                              \
    X(test_A23_a_second_copy_of_a_challenge_is_a_replay_and_asks_for_no_second_proof)                    \
    X(test_A24_truncated_oversized_and_bit_flipped_messages_of_every_type_change_nothing)                \
    X(test_A24_fields_at_their_limits_in_sealed_messages_break_no_invariant_and_no_other_session)        \
    X(test_A24_fields_at_their_limits_from_the_server_break_no_invariant_of_the_client)                  \
    X(test_A25_a_birth_without_our_version_is_not_taken_up)                                              \
    X(test_A25_a_birth_ack_of_another_version_or_with_an_impossible_policy_is_not_taken)                 \
    X(test_A25_a_second_birth_does_not_change_a_session_that_lives)                                      \
    X(test_A26_a_message_sent_back_to_its_sender_changes_nothing)                                        \
    X(test_A27_a_full_table_refuses_with_a_reason_and_harms_nobody)                                      \
    X(test_A28_a_flood_of_refusals_is_recorded_within_a_rate_and_the_rest_is_counted)                    \
    X(test_A28_dropped_events_are_told_with_their_session_and_its_versions)                              \
    X(test_A28_changes_that_found_no_room_change_the_session_all_the_same_and_are_told_by_range)

RUN_TESTS("engine_forgeries", TESTS)
