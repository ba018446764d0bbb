/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two sessions, a and b, in one client engine, as charon has them: they share the candidates, and what an attempt of one
 * has learned of a candidate says nothing to the other. Both are client 0's of the world; b is host 2.
 * Read next: docs/decisions/0002-candidates-of-the-engine.md.
 */
#include "story.h"

enum { A, B };

static const struct jump_session_view *view_of(unsigned session)
{
    static struct jump_session_view view;
    memset(&view, 0, sizeof view);
    view.state = JUMP_TERMINATED;
    jump_engine_find(w.clients[0].engine, session + 1, &view);
    return &view;
}

static bool is_of(unsigned session, const uint8_t *bytes, size_t len)
{
    struct jump_header header;
    return jump_wire_get_header(&header, bytes, len) == 0 &&
           memcmp(&header.session_id, &view_of(session)->id, sizeof header.session_id) == 0;
}

static void open_b(void)
{
    static const uint8_t secret[JUMP_SECRET_BYTES] = { 0xb };
    struct jump_input in = { .kind = JUMP_IN_OPEN, .host = B + 1, .secret = secret, .path = w.clients[0].uplinks[0] };
    struct jump_input mine = in;
    mine.path = w.server_path;
    mine.path.transport = 1;
    w.clients[1].engine = w.clients[0].engine; /* peek's functions find b here; the world itself has one client */
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), 0);
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    WAIT_IDLE(view_of(B)->state == JUMP_ATTACHED, 3000);
}

/* Both attached, and a's next attempt has another number than b's. */
static void begin_with_two(void)
{
    story_prepare(1);
    w.server_config.unique_path = false; /* charon's clients have one socket for all their sessions */
    POLICY(max_switches_per_min, 60);
    story_attach();
    for (unsigned i = 0; i < 2; i++) {
        unsigned binds = w.clients[0].binds;
        world_rebind(&w, 0, 0);
        WAIT(w.clients[0].binds > binds, 5000);
        world_busy(&w, 0, JUMP_MS(2000));
    }
    open_b();
    CU_ASSERT_NOT_EQUAL(peek_client(&w, A)->attempt, peek_client(&w, B)->attempt);
}

/* a's CHALLENGE is lost until b has sent its PROOF; b's ACCEPT is kept. */
static struct world_flight kept_accept;
static unsigned a_proofs, b_proofs;

static void b_proves_first(struct world *world, struct world_flight *f)
{
    uint8_t type = peek_type(f);
    bool of_b = is_of(B, f->bytes, f->len);
    (void)world;
    if (f->to_server && type == JUMP_MSG_REATTACH_PROOF)
        (*(of_b ? &b_proofs : &a_proofs))++;
    if (!f->to_server && type == JUMP_MSG_REATTACH_CHALLENGE && !of_b && b_proofs == 0)
        f->used = false;
    if (!f->to_server && type == JUMP_MSG_REATTACH_ACCEPT && of_b) {
        kept_accept = *f;
        f->used = false;
    }
}

static void rebind_and_hold_b(void)
{
    memset(&kept_accept, 0, sizeof kept_accept);
    a_proofs = b_proofs = 0;
    w.on_flight = b_proves_first;
    world_rebind(&w, 0, 0);
    WAIT(view_of(A)->state == JUMP_ATTACHED && a_proofs > 0 && kept_accept.len > 0, 10000);
    w.on_flight = NULL;
    CU_ASSERT_EQUAL_FATAL(view_of(B)->state, JUMP_RECOVERING);
    CU_ASSERT_TRUE(b_proofs > 0);
}

static int take_accept(uint8_t transport)
{
    return world_inject_client(&w, 0, transport, kept_accept.bytes, kept_accept.len);
}

static void test_engine_sessions_an_accept_is_taken_after_a_later_proof_of_the_other_session(void)
{
    begin_with_two();
    rebind_and_hold_b();
    CU_ASSERT_EQUAL(take_accept(1), 0);
    CU_ASSERT_EQUAL(view_of(B)->state, JUMP_ATTACHED);
    story_end();
}

/* A candidate on which only a has sent its PROOF is none of b's. Candidate 2 leads nowhere. */
static void test_engine_sessions_an_accept_is_refused_where_only_the_other_session_sent_a_proof(void)
{
    begin_with_two();
    w.clients[0].up[1] = false;
    world_candidates(&w, 0, 2, NULL);
    rebind_and_hold_b();
    peek_client(&w, A)->u.client.proved = 3;
    CU_ASSERT_EQUAL(peek_client(&w, B)->u.client.proved, 1);
    CU_ASSERT_EQUAL(take_accept(2), JUMP_ERR_REFUSED);
    CU_ASSERT_EQUAL(view_of(B)->state, JUMP_RECOVERING);
    CU_ASSERT_EQUAL(take_accept(1), 0);
    CU_ASSERT_EQUAL(view_of(B)->binding.transport, 1);
    story_end();
}

/* Requests by session and transport. */
static unsigned asked[2][WORLD_UPLINKS + 1];

static void count_requests(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)world, (void)client;
    if (server || action->kind != JUMP_DO_SEND || (action->bytes[0] & 15) != JUMP_MSG_REATTACH_REQUEST)
        return;
    for (unsigned s = A; s <= B; s++)
        if (is_of(s, action->bytes, action->bytes_len) && action->path.transport <= WORLD_UPLINKS)
            asked[s][action->path.transport]++;
}

/* Three candidates, none of which leads anywhere: both sessions ask on each of them in turn. */
static void begin_in_a_hole(void)
{
    begin_with_two();
    for (unsigned u = 0; u < WORLD_UPLINKS; u++)
        w.clients[0].up[u] = false;
    world_candidates(&w, 0, 3, NULL);
    WAIT(view_of(A)->state == JUMP_RECOVERING && view_of(B)->state == JUMP_RECOVERING, 60000);
    w.on_action = count_requests;
}

static void deny(unsigned session, uint8_t transport)
{
    struct peek_message message;
    struct jump_body body = { .attempt = peek_client(&w, session)->attempt,
                              .reason = JUMP_REASON_INVALID_TRANSPORT_CANDIDATE,
                              .state_version = peek_server(&w, session)->version, .retry_after_ms = 100 };
    peek_seal(&message, &w, true, session, JUMP_MSG_REATTACH_DENY, &body);
    CU_ASSERT_EQUAL(world_inject_client(&w, 0, transport, message.bytes, message.len), 0);
    CU_ASSERT_EQUAL(view_of(session)->state, JUMP_RECOVERING);
}

static void look_for_ten_seconds(void)
{
    memset(asked, 0, sizeof asked);
    world_run(&w, JUMP_MS(10000));
}

static void test_engine_sessions_a_denial_of_one_leaves_the_candidate_to_the_other(void)
{
    begin_in_a_hole();
    deny(A, 2);
    look_for_ten_seconds();
    CU_ASSERT_TRUE(asked[A][1] > 0 && asked[A][3] > 0);
    CU_ASSERT_EQUAL(asked[A][2], 0);
    CU_ASSERT_TRUE(asked[B][1] > 0 && asked[B][2] > 0 && asked[B][3] > 0);
    deny(B, 3);
    look_for_ten_seconds();
    CU_ASSERT_TRUE(asked[A][1] > 0 && asked[A][3] > 0);
    CU_ASSERT_EQUAL(asked[A][2], 0);
    CU_ASSERT_TRUE(asked[B][1] > 0 && asked[B][2] > 0);
    CU_ASSERT_EQUAL(asked[B][3], 0);
    story_end();
}

static void candidates(unsigned count, const uint8_t *ids, uint8_t of_another_port)
{
    struct jump_candidate list[JUMP_MAX_CANDIDATES];
    struct jump_input in = { .kind = JUMP_IN_CANDIDATES, .candidates = list, .candidates_len = count };
    memset(list, 0, sizeof list);
    for (unsigned i = 0; i < count; i++) {
        list[i].path = w.server_path;
        list[i].path.transport = ids[i];
        list[i].path.port = (uint16_t)(list[i].path.port + (ids[i] == of_another_port));
        list[i].priority = ids[i] - 1u;
    }
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), 0);
}

static void test_engine_sessions_a_replaced_list_keeps_what_each_session_was_denied(void)
{
    static const uint8_t turned[] = { 3, 4, 1, 2 }, fewer[] = { 2, 3 };
    begin_in_a_hole();
    deny(A, 2);
    deny(B, 3);
    candidates(4, turned, 0);
    look_for_ten_seconds();
    CU_ASSERT_TRUE(asked[A][1] > 0 && asked[A][3] > 0 && asked[A][4] > 0);
    CU_ASSERT_EQUAL(asked[A][2], 0);
    CU_ASSERT_TRUE(asked[B][1] > 0 && asked[B][2] > 0 && asked[B][4] > 0);
    CU_ASSERT_EQUAL(asked[B][3], 0);
    candidates(2, fewer, 0);
    look_for_ten_seconds();
    CU_ASSERT_TRUE(asked[A][3] > 0 && asked[B][2] > 0);
    CU_ASSERT_EQUAL(asked[A][2] + asked[B][3], 0);
    candidates(2, fewer, 2); /* the same id for another address is another candidate */
    look_for_ten_seconds();
    CU_ASSERT_TRUE(asked[A][2] > 0 && asked[A][3] > 0);
    CU_ASSERT_TRUE(asked[B][2] > 0);
    CU_ASSERT_EQUAL(asked[B][3], 0);
    story_end();
}

static void test_engine_sessions_a_replaced_list_keeps_where_each_session_sent_its_proof(void)
{
    static const uint8_t before[] = { 1, 2 }, turned[] = { 3, 2, 1 };
    begin_with_two();
    w.clients[0].up[1] = false;
    candidates(2, before, 0);
    rebind_and_hold_b();
    CU_ASSERT_EQUAL(peek_client(&w, B)->u.client.proved, 1);
    candidates(3, turned, 0);
    CU_ASSERT_EQUAL(peek_client(&w, B)->u.client.proved, 4);
    CU_ASSERT_EQUAL(take_accept(3), JUMP_ERR_REFUSED);
    CU_ASSERT_EQUAL(take_accept(2), JUMP_ERR_REFUSED);
    CU_ASSERT_EQUAL(take_accept(1), 0);
    CU_ASSERT_EQUAL(view_of(B)->state, JUMP_ATTACHED);
    story_end();
}

#define TESTS(X)                                                                         \
    X(test_engine_sessions_an_accept_is_taken_after_a_later_proof_of_the_other_session)  \
    X(test_engine_sessions_an_accept_is_refused_where_only_the_other_session_sent_a_proof) \
    X(test_engine_sessions_a_denial_of_one_leaves_the_candidate_to_the_other)            \
    X(test_engine_sessions_a_replaced_list_keeps_what_each_session_was_denied)           \
    X(test_engine_sessions_a_replaced_list_keeps_where_each_session_sent_its_proof)
RUN_TESTS("engine_sessions", TESTS)
