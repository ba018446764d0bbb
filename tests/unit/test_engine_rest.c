/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requirements of docs/protocol.md that no attack and no transition has by its name, by their numbers: nonces, keys,
 * the age of a challenge, tighter bounds, the pace of everything that is sent, tombstones. Cookies and RESET are
 * test_engine_cookies.c's; docs/requirements.md says which other tests show the rest. Read next: sent.h.
 */
#include "sent.h"

static struct peek_message message;
static const uint8_t second[JUMP_SECRET_BYTES] = { 2 };

static const struct jump_path *address(unsigned client)
{
    return &w.clients[client].uplinks[0];
}

/* */

static void counters_only_rise(bool server, uint64_t first)
{
    uint64_t last = 0;
    CU_ASSERT_TRUE_FATAL(sent_count[server] > 0);
    CU_ASSERT_EQUAL(sent[server][0].header.counter, first);
    for (unsigned i = 0; i < sent_count[server]; i++) {
        const struct jump_header *h = &sent[server][i].header;
        CU_ASSERT_TRUE(h->counter > last);
        CU_ASSERT_EQUAL(memcmp(h->process, sent[server][0].header.process, sizeof h->process), 0);
        last = h->counter;
    }
    CU_ASSERT_TRUE(sent_count[server] < SENT);
}

static void test_R10_R11_a_counter_is_never_used_twice_through_rebindings_rekeys_holes_and_the_end(void)
{
    struct jump_input end = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
    story_prepare(1);
    w.server_config.owner_epoch = 3;
    begin_to_watch();
    story_attach();
    for (unsigned i = 0; i < 3; i++) {
        uint8_t secret[JUMP_SECRET_BYTES] = { (uint8_t)(40 + i) };
        world_rebind(&w, 0, 0);
        WAIT(S().generation == 2 + i && C().state == JUMP_ATTACHED, 3000);
        world_rekey_server(&w, 0, secret, false);
        world_rekey_client(&w, 0, secret, false);
        world_busy(&w, 0, JUMP_MS(3000));
    }
    w.clients[0].up[0] = false;
    world_run(&w, JUMP_MS(20000));
    w.clients[0].up[0] = true;
    WAIT(C().state == JUMP_ATTACHED, 3000);
    end.session_id = S().id;
    w.drop_down = TYPE(TERMINATE);
    world_feed_server(&w, &end);
    world_run(&w, JUMP_MS(800)); /* the tombstone answers probes, and counts on */
    CU_ASSERT_TRUE(sent_of(true, JUMP_MSG_TERMINATE) >= 2);
    CU_ASSERT_FALSE(sent_unreadable);
    counters_only_rise(true, (UINT64_C(3) << 40) + 1);
    counters_only_rise(false, 1);
    w.drop_down = 0;
    story_end();
}

/* */

static void test_R16_R17_R21_each_body_lists_the_epochs_held_and_a_rekey_is_told_at_once(void)
{
    story_begin(1);
    begin_to_watch();
    uint16_t first = peek_server(&w, 0)->epochs.keys[0].fingerprint;
    world_rekey_server(&w, 0, second, false); /* the client's host is not yet so far */
    uint16_t newer = peek_server(&w, 0)->epochs.keys[1].fingerprint;
    world_busy(&w, 0, JUMP_MS(2000));
    CU_ASSERT_TRUE(sent_of(true, JUMP_MSG_PROBE_ACK) > 2);
    for (unsigned i = 0; i < sent_count[1]; i++) {
        CU_ASSERT_EQUAL(sent[1][i].body.keys[0], first);
        CU_ASSERT_EQUAL(sent[1][i].body.keys[1], newer);
        CU_ASSERT_EQUAL(sent[1][i].header.epoch, first);
    }
    for (unsigned i = 0; i < sent_count[0]; i++) {
        CU_ASSERT_EQUAL(sent[0][i].body.keys[0], first);
        CU_ASSERT_EQUAL(sent[0][i].body.keys[1], 0);
    }
    jump_time now = w.now;
    unsigned before = sent_of(false, JUMP_MSG_PROBE);
    world_rekey_client(&w, 0, second, false);
    CU_ASSERT_EQUAL(w.now, now);
    CU_ASSERT_EQUAL(sent_of(false, JUMP_MSG_PROBE), before + 1);
    const struct sent *told = nth(false, JUMP_MSG_PROBE, before);
    CU_ASSERT_PTR_NOT_NULL_FATAL(told);
    CU_ASSERT_EQUAL(told->body.keys[0], first);
    CU_ASSERT_EQUAL(told->body.keys[1], newer);
    CU_ASSERT_EQUAL(told->header.epoch, first);
    world_run(&w, JUMP_MS(700)); /* the answer lists it */
    CU_ASSERT_EQUAL(nth(false, JUMP_MSG_PROBE, before + 1)->header.epoch, newer);
    story_end();
}

/* */

static void test_R19_two_epochs_with_one_fingerprint_are_both_tried(void)
{
    struct jump_keys keys;
    uint8_t secret[JUMP_SECRET_BYTES] = { 0 };
    story_begin(1);
    const struct jump_session *s = peek_server(&w, 0);
    uint32_t n = 0;
    do { /* one in 65 536 */
        n++;
        memcpy(secret, &n, sizeof n);
        jump_keys_epoch(&keys, &s->id, secret);
    } while (keys.fingerprint != s->epochs.keys[0].fingerprint && n < 4000000);
    CU_ASSERT_EQUAL_FATAL(keys.fingerprint, s->epochs.keys[0].fingerprint);
    world_rekey_server(&w, 0, secret, false);
    world_rekey_client(&w, 0, secret, false);
    world_busy(&w, 0, JUMP_MS(5000));
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_VALIDATION_FAILED, REASON(NONE)), 0);
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_VALIDATION_FAILED, REASON(NONE)), 0);
    story_end();
}

/* */

#define BUCKET JUMP_MS(5000) /* mobile's reattach_proof_max_age_ms */

static jump_time asked_before_rotation; /* 0: at the beginning of some bucket */

static bool proof_binds(jump_time age, const struct jump_path *from, uint64_t attempt)
{
    struct jump_body body = { .attempt = 9, .generation = 1, .state_version = 1, .transport = 1 }, answer;
    struct jump_header header;
    struct jump_path asked = world_path(88, 8800);
    bool bound;
    story_begin(1);
    if (asked_before_rotation != 0)
        world_busy(&w, 0, JUMP_CHALLENGE_ROTATION - w.now % JUMP_CHALLENGE_ROTATION - asked_before_rotation);
    else
        world_busy(&w, 0, BUCKET - w.now % BUCKET); /* a bucket begins */
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    world_inject(&w, &asked, message.bytes, message.len);
    CU_ASSERT_EQUAL_FATAL(peek_open(&header, &answer, &w, true, 0, &w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE]), 0);
    memcpy(body.challenge, answer.challenge, sizeof body.challenge);
    world_busy(&w, 0, age);
    body.attempt = attempt;
    peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &body);
    w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len = 0;
    int verdict = world_inject(&w, from ? from : &asked, message.bytes, message.len);
    bound = S().generation == 2;
    CU_ASSERT_EQUAL(bound, verdict == 0);
    CU_ASSERT_EQUAL(bound, w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE].len == 0); /* else a fresh one */
    story_end();
    return bound;
}

static void test_R23_a_challenge_is_valid_for_one_to_two_times_its_age_for_its_path_and_its_attempt(void)
{
    struct jump_path other_port = world_path(88, 8801), other_address = world_path(89, 8800);
    CU_ASSERT_TRUE(proof_binds(JUMP_MS(20), NULL, 9));
    CU_ASSERT_TRUE(proof_binds(2 * BUCKET - 1, NULL, 9));
    CU_ASSERT_FALSE(proof_binds(2 * BUCKET, NULL, 9));
    CU_ASSERT_FALSE(proof_binds(5 * BUCKET, NULL, 9));
    CU_ASSERT_FALSE(proof_binds(JUMP_MS(20), &other_port, 9));
    CU_ASSERT_FALSE(proof_binds(JUMP_MS(20), &other_address, 9));
    CU_ASSERT_FALSE(proof_binds(JUMP_MS(20), NULL, 10));
}

static void test_R23_R24_a_challenge_outlives_a_rotation_of_the_key_and_no_third_bucket(void)
{
    _Static_assert(JUMP_CHALLENGE_ROTATION >= 2 * JUMP_MS(60000), "the longest age that a policy allows");
    for (jump_time before = 1; before <= BUCKET; before += BUCKET / 4 - 1) {
        asked_before_rotation = before;
        CU_ASSERT_TRUE(proof_binds(before + 1, NULL, 9));
        CU_ASSERT_TRUE(proof_binds(before + BUCKET - 1, NULL, 9));
        CU_ASSERT_FALSE(proof_binds(before + BUCKET, NULL, 9));
        CU_ASSERT_FALSE(proof_binds(before + JUMP_CHALLENGE_ROTATION, NULL, 9));
    }
    asked_before_rotation = BUCKET + 1; /* two buckets old when the rotation comes */
    CU_ASSERT_FALSE(proof_binds(2 * BUCKET + 1, NULL, 9));
    asked_before_rotation = 0;
}

/* Whatever the policy's age: it need not divide the rotation's. */
static void test_R23_R24_at_no_age_does_a_rotation_refuse_a_challenge_in_time(void)
{
    static const uint32_t ages[] = { 500, 7777, 59999, 60000 };
    for (unsigned i = 0; i < 4; i++) {
        story_prepare(1);
        POLICY(reattach_proof_max_age_ms, ages[i]);
        story_attach();
        for (unsigned round = 0; round < 12; round++) {
            struct jump_body body = { .attempt = 20 + round, .generation = S().generation, .transport = 1 }, answer;
            struct jump_header header;
            struct jump_path from = world_path(88, (uint16_t)(8800 + round));
            jump_time to_rotation = JUMP_CHALLENGE_ROTATION - w.now % JUMP_CHALLENGE_ROTATION;
            world_run(&w, to_rotation - JUMP_MS(ages[i]) * round / 12);
            w.drop_up = TYPE(REATTACH_REQUEST); /* the client itself keeps away */
            peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
            CU_ASSERT_EQUAL(world_inject(&w, &from, message.bytes, message.len), 0);
            CU_ASSERT_EQUAL_FATAL(peek_open(&header, &answer, &w, true, 0, &w.last_from_server[JUMP_MSG_REATTACH_CHALLENGE]), 0);
            memcpy(body.challenge, answer.challenge, sizeof body.challenge);
            world_run(&w, JUMP_MS(ages[i]) - 1);
            peek_seal(&message, &w, false, 0, JUMP_MSG_REATTACH_PROOF, &body);
            CU_ASSERT_EQUAL(world_inject(&w, &from, message.bytes, message.len), 0);
            w.drop_up = 0;
            WAIT(C().state == JUMP_ATTACHED && S().bound, 5000);
        }
        w.event_count = 0;
        story_end();
    }
}

static void test_R24_the_challenge_key_rotates_and_what_made_it_is_wiped(void)
{
    static const uint8_t nothing[JUMP_SECRET_BYTES];
    uint8_t seen[6][JUMP_SECRET_BYTES];
    story_begin(1);
    CU_ASSERT_EQUAL(memcmp(w.server->config.seed, nothing, sizeof nothing), 0);
    for (unsigned i = 0; i < 6; i++) {
        world_rebind(&w, 0, 0);
        WAIT(C().state == JUMP_RECOVERING, 3000);
        WAIT(C().state == JUMP_ATTACHED, 3000);
        memcpy(seen[i], w.server->challenge_keys[0], sizeof seen[i]);
        for (unsigned j = 0; j < i; j++) {
            CU_ASSERT_NOT_EQUAL(memcmp(seen[j], seen[i], sizeof seen[i]), 0);
            CU_ASSERT_EQUAL(memcmp(seen[j], w.server->challenge_keys[1], sizeof seen[i]) == 0, i < 4 && j + 1 == i);
        }
        world_run(&w, i < 3 ? JUMP_CHALLENGE_ROTATION : 8 * JUMP_CHALLENGE_ROTATION); /* a long pause skips no wiping */
    }
    story_end();
}

static void test_R24_keys_of_challenges_and_cookies_are_new_at_each_start(void)
{
    static const uint8_t nothing[JUMP_SECRET_BYTES];
    uint8_t challenge[JUMP_SECRET_BYTES], cookie[JUMP_SECRET_BYTES];
    story_begin(1);
    memcpy(challenge, w.server->challenge_keys[0], sizeof challenge);
    memcpy(cookie, w.server->cookie_key, sizeof cookie);
    CU_ASSERT_NOT_EQUAL(memcmp(challenge, nothing, sizeof nothing), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(challenge, cookie, sizeof cookie), 0);
    world_restart_server(&w);
    CU_ASSERT_NOT_EQUAL(memcmp(challenge, w.server->challenge_keys[0], sizeof challenge), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(cookie, w.server->cookie_key, sizeof cookie), 0);
    story_end();
}

/* */

static void test_R38_the_client_remembers_the_highest_version_that_the_server_showed(void)
{
    struct jump_body ack = { .bound = 1, .state = JUMP_ATTACHED, .state_version = 50, .generation = 1 };
    story_begin(1);
    const struct jump_session *s = peek_client(&w, 0);
    w.drop_down = TYPE(PROBE_ACK);
    world_busy(&w, 0, JUMP_MS(600));
    ack.seq = s->health.next_seq - 1;
    peek_seal(&message, &w, true, 0, JUMP_MSG_PROBE_ACK, &ack);
    CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0);
    CU_ASSERT_EQUAL(s->u.client.server_version, 50);
    world_busy(&w, 0, JUMP_MS(600));
    ack.seq = s->health.next_seq - 1;
    ack.state_version = 40;
    peek_seal(&message, &w, true, 0, JUMP_MSG_PROBE_ACK, &ack);
    CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0);
    CU_ASSERT_EQUAL(s->u.client.server_version, 50);
    w.drop_down = 0;
    begin_to_watch();
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(nth(false, JUMP_MSG_REATTACH_REQUEST, 0)->body.state_version, 50);
    CU_ASSERT_EQUAL(s->u.client.server_version, S().state_version); /* ACCEPT sets it to what it says */
    story_end();
}

/* */

static void test_R39_offer_and_birth_are_repeated_after_200_ms_doubling_to_2_s(void)
{
    static const uint32_t gaps[] = { 200, 400, 800, 1600, 2000, 2000 };
    story_prepare(1);
    begin_to_watch();
    world_start(&w);
    w.drop_up = TYPE(BIRTH);
    jump_time opened = w.now;
    world_open(&w, 0);
    world_run(&w, JUMP_MS(9900));
    CU_ASSERT_EQUAL(nth(true, JUMP_MSG_BIRTH_OFFER, 0)->at, opened);
    CU_ASSERT_EQUAL(nth(false, JUMP_MSG_BIRTH, 0)->at, opened + JUMP_MS(10)); /* with the first offer */
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(gap_ms(true, JUMP_MSG_BIRTH_OFFER, i), gaps[i]);
        CU_ASSERT_EQUAL(gap_ms(false, JUMP_MSG_BIRTH, i), gaps[i]);
    }
    w.drop_up = 0;
    world_run(&w, JUMP_MS(5000));
    CU_ASSERT_EQUAL(w.server_ended_for, REASON(HANDSHAKE_FAIL)); /* the window runs from the authorisation */
    story_end();
}

/* */

static const struct jump_policy *born_wanting(uint32_t lifetime, uint32_t ttl, uint32_t window)
{
    struct jump_body body = { .version_least = 1, .version_most = 1, .want_lifetime_ms = lifetime, .want_ttl_ms = ttl,
                              .want_window_ms = window };
    static struct jump_policy policy;
    story_prepare(1);
    world_start(&w);
    w.drop_up = ~0u;
    world_open(&w, 0);
    peek_seal(&message, &w, false, 0, JUMP_MSG_BIRTH, &body);
    CU_ASSERT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0);
    policy = peek_server(&w, 0)->policy;
    CU_ASSERT_EQUAL(jump_policy_valid(&policy), 0);
    body.want_lifetime_ms = body.want_ttl_ms = body.want_window_ms = 60000; /* only the first BIRTH is asked */
    peek_seal(&message, &w, false, 0, JUMP_MSG_BIRTH, &body);
    CU_ASSERT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0);
    CU_ASSERT_EQUAL(memcmp(&policy, &peek_server(&w, 0)->policy, sizeof policy), 0);
    w.drop_up = 0;
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(memcmp(&policy, &peek_client(&w, 0)->policy, sizeof policy), 0); /* the client takes it over */
    story_end();
    return &policy;
}

static void test_R41_a_client_may_tighten_three_bounds_down_to_a_floor_and_widen_none(void)
{
    const struct jump_policy *p = born_wanting(UINT32_MAX, UINT32_MAX, UINT32_MAX);
    CU_ASSERT_EQUAL(memcmp(p, &w.server_config.policy, sizeof *p), 0);
    p = born_wanting(0, 0, 0);
    CU_ASSERT_EQUAL(memcmp(p, &w.server_config.policy, sizeof *p), 0);
    p = born_wanting(1, 1, 1);
    CU_ASSERT_EQUAL(p->max_lifetime_ms, 60000);
    CU_ASSERT_EQUAL(p->transport_lost_ttl_ms, 1000);
    CU_ASSERT_EQUAL(p->recovery_window_ms, 500);
    p = born_wanting(100000, 0, 0);
    CU_ASSERT_EQUAL(p->max_lifetime_ms, 100000);
    CU_ASSERT_EQUAL(p->transport_lost_ttl_ms, 100000);
    CU_ASSERT_EQUAL(p->recovery_window_ms, 100000);
    p = born_wanting(0, 20000, 0);
    CU_ASSERT_EQUAL(p->max_lifetime_ms, w.server_config.policy.max_lifetime_ms);
    CU_ASSERT_EQUAL(p->recovery_window_ms, 20000);
}

/* */

static void test_R42_R47_the_bindings_probes_count_by_one_and_those_of_candidates_claim_nothing(void)
{
    story_prepare(1);
    begin_to_watch();
    story_attach();
    world_candidates(&w, 0, 2, NULL);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    world_busy(&w, 0, JUMP_MS(2000));
    CU_ASSERT_TRUE(nth(false, JUMP_MSG_PROBE, 0)->body.seq == 1);
    w.clients[0].loss_ppm[1] = 400000; /* no better: it is measured and not switched to */
    w.clients[0].loss_ppm[0] = 250000;
    WAIT(C().state == JUMP_VOLATILE || C().state == JUMP_RECOVERING, 60000);
    world_busy(&w, 0, JUMP_MS(8000));
    uint64_t own = 0, others[8] = { 0 };
    unsigned candidates = 0, full = 0;
    for (unsigned i = 0; i < sent_count[0]; i++) {
        const struct sent *s = &sent[0][i];
        if (s->header.type != JUMP_MSG_PROBE)
            continue;
        if (s->len == JUMP_PROBE_FULL_BYTES) {
            CU_ASSERT_EQUAL(s->body.seq, (UINT64_C(1) << 63) + s->body.generation);
            CU_ASSERT_EQUAL(s->body.claims_binding, 1);
            full++;
        } else if (s->body.claims_binding) {
            CU_ASSERT_EQUAL(s->body.seq, ++own);
        } else {
            CU_ASSERT_EQUAL(s->body.seq >> 48, (UINT64_C(1) << 14) + s->transport);
            CU_ASSERT_TRUE_FATAL(s->transport < 8);
            CU_ASSERT_TRUE((s->body.seq & 0xffffffffffffu) > others[s->transport]);
            others[s->transport] = s->body.seq & 0xffffffffffffu;
            candidates++;
        }
    }
    CU_ASSERT_TRUE(own > 10 && candidates > 3 && full >= 2);
    story_end();
}

static void test_R47_a_probe_that_claims_nothing_is_answered_from_any_path_and_binds_nothing(void)
{
    struct jump_body probe = { .seq = (UINT64_C(1) << 62) + (UINT64_C(2) << 48) + 1, .transport = 2, .generation = 1,
                               .next_within_ms = 1000 }, answer;
    struct jump_header header;
    struct jump_path elsewhere = world_path(77, 7700);
    struct peek_record before, after;
    story_begin(1);
    peek_note(&before, &w, true, 0);
    peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
    CU_ASSERT_EQUAL(world_inject(&w, &elsewhere, message.bytes, message.len), 0);
    peek_note(&after, &w, true, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    const struct world_flight *ack = &w.last_from_server[JUMP_MSG_PROBE_ACK];
    CU_ASSERT_EQUAL(memcmp(&ack->target, &elsewhere, sizeof elsewhere), 0);
    CU_ASSERT_EQUAL(peek_open(&header, &answer, &w, true, 0, ack), 0);
    CU_ASSERT_EQUAL(answer.seq, probe.seq);
    CU_ASSERT_EQUAL(answer.bound, 0);
    story_end();
}

/* While the binding is dead the client's other candidates may live, and one of them may even come from its address. */
static void test_R47_R48_a_candidates_probe_is_no_sign_of_life_of_the_binding(void)
{
    for (unsigned from_binding = 0; from_binding < 2; from_binding++) {
        struct jump_body probe = { .seq = JUMP_CANDIDATE_SEQ | UINT64_C(2) << 48, .transport = 2, .generation = 1,
                                   .next_within_ms = 30000 };
        story_begin(1);
        struct jump_path from = from_binding ? *address(0) : world_path(78, 7800);
        w.clients[0].up[0] = false;
        jump_time lost_at = w.now;
        while (S().state != JUMP_RECOVERING && w.now - lost_at < JUMP_MS(20000)) {
            probe.seq++;
            peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
            CU_ASSERT_EQUAL(world_inject(&w, &from, message.bytes, message.len), 0);
            world_activity(&w, 0);
            world_run(&w, JUMP_MS(100));
        }
        CU_ASSERT_TRUE(w.now - lost_at <= JUMP_MS(4000)); /* three times the silence that was announced */
        CU_ASSERT_FALSE(S().bound);
        story_end();
    }
}

/* */

static void test_R43_probes_come_at_the_heartbeat_and_after_ten_idle_seconds_ever_more_rarely(void)
{
    static const uint32_t gaps[] = { 1000, 2000, 4000, 8000, 15000, 15000 };
    story_begin(1);
    jump_time last_data = peek_client(&w, 0)->last_activity_at;
    begin_to_watch();
    world_run(&w, JUMP_MS(9000));
    unsigned ordinary = sent_of(false, JUMP_MSG_PROBE);
    CU_ASSERT_TRUE(ordinary >= 17);
    for (unsigned i = 0; i + 1 < ordinary; i++)
        CU_ASSERT_EQUAL(gap_ms(false, JUMP_MSG_PROBE, i), 500);
    world_run(&w, JUMP_MS(60000));
    unsigned first = 0;
    while (nth(false, JUMP_MSG_PROBE, first) && nth(false, JUMP_MSG_PROBE, first)->at < last_data + JUMP_MS(10000))
        first++;
    for (unsigned i = 0; i < 6; i++) {
        const struct sent *s = nth(false, JUMP_MSG_PROBE, first + i);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        if (i < 5)
            CU_ASSERT_EQUAL(gap_ms(false, JUMP_MSG_PROBE, first + i), gaps[i]);
        CU_ASSERT_EQUAL(s->body.next_within_ms, gaps[i] + gaps[i] / 2); /* the interval and its half: RTO is smaller */
    }
    CU_ASSERT_TRUE(jump_engine_is_idle(w.clients[0].engine, 1));
    unsigned before = sent_of(false, JUMP_MSG_PROBE);
    world_activity(&w, 0);
    CU_ASSERT_EQUAL(sent_of(false, JUMP_MSG_PROBE), before + 1);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

/* */

static void lose_full_packets(struct world *world, struct world_flight *flight)
{
    (void)world;
    if (flight->len == JUMP_PROBE_FULL_BYTES)
        flight->used = false;
}

static void test_R45_lost_full_size_probes_are_reported_and_change_nothing(void)
{
    for (unsigned vanish = 0; vanish < 2; vanish++) {
        story_prepare(1);
        w.on_flight = vanish ? lose_full_packets : NULL;
        begin_to_watch();
        story_attach();
        world_busy(&w, 0, JUMP_MS(6000));
        CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_PATH_MTU_SUSPECT, REASON(NONE)), vanish);
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        CU_ASSERT_EQUAL(C().state_version, 1);
        world_rebind(&w, 0, 0); /* after each bind */
        WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
        world_busy(&w, 0, JUMP_MS(6000));
        CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_PATH_MTU_SUSPECT, REASON(NONE)), 2 * vanish);
        CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
        story_end();
    }
}

/* */

static void test_R48_what_a_client_says_of_its_silence_is_held_between_two_bounds(void)
{
    static const uint32_t said[] = { 0, 1, 499, 700, 60000, 60001, UINT32_MAX }, taken[] = { 500, 500, 500, 700, 60000, 60000, 60000 };
    struct jump_body probe = { .claims_binding = 1, .generation = 1, .transport = 1 };
    story_begin(1);
    CU_ASSERT_EQUAL(w.server_config.policy.idle_interval_ms, 15000);
    probe.seq = peek_client(&w, 0)->health.next_seq;
    for (unsigned i = 0; i < sizeof said / sizeof said[0]; i++) {
        probe.next_within_ms = said[i];
        probe.seq++;
        peek_seal(&message, &w, false, 0, JUMP_MSG_PROBE, &probe);
        CU_ASSERT_EQUAL(world_inject(&w, address(0), message.bytes, message.len), 0);
        CU_ASSERT_EQUAL(peek_server(&w, 0)->u.server.next_within_for, JUMP_MS(taken[i]));
    }
    story_end();
}

/* */

static void test_R50_requests_come_every_350_ms_for_five_minutes_then_every_2_s_and_at_once_on_news(void)
{
    story_prepare(1);
    POLICY(transport_lost_ttl_ms, 1200000);
    POLICY(recovery_window_ms, 1200000);
    story_attach();
    begin_to_watch();
    w.clients[0].up[0] = false;
    WAIT_IDLE(C().state == JUMP_RECOVERING, 5000);
    jump_time lost_at = peek_client(&w, 0)->unbound_at;
    world_run(&w, JUMP_MS(400000));
    unsigned count = sent_of(false, JUMP_MSG_REATTACH_REQUEST);
    CU_ASSERT_TRUE(count > 800 && count < 1000);
    for (unsigned i = 0; i + 1 < count; i++) {
        const struct sent *s = nth(false, JUMP_MSG_REATTACH_REQUEST, i);
        CU_ASSERT_EQUAL(gap_ms(false, JUMP_MSG_REATTACH_REQUEST, i), s->at < lost_at + JUMP_MS(300000) ? 350 : 2000);
        CU_ASSERT_EQUAL(s->body.attempt, 1); /* one attempt for each entry */
        CU_ASSERT_EQUAL(s->body.voluntary, 0);
    }
    world_run(&w, JUMP_MS(777));
    count = sent_of(false, JUMP_MSG_REATTACH_REQUEST);
    world_candidates(&w, 0, 1, NULL);
    CU_ASSERT_EQUAL(sent_of(false, JUMP_MSG_REATTACH_REQUEST), count + 1);
    w.clients[0].up[0] = true;
    WAIT_IDLE(C().state == JUMP_ATTACHED, 3000);
    story_end();
}

static void test_R50_unbound_the_candidates_take_turns(void)
{
    story_begin(1);
    world_candidates(&w, 0, 3, NULL);
    begin_to_watch();
    for (unsigned u = 0; u < WORLD_UPLINKS; u++)
        w.clients[0].up[u] = false;
    WAIT(sent_of(false, JUMP_MSG_REATTACH_REQUEST) >= 9, 10000);
    for (unsigned i = 0; i < 9; i++) {
        const struct sent *s = nth(false, JUMP_MSG_REATTACH_REQUEST, i);
        CU_ASSERT_EQUAL(s->transport, i % 3 + 1);
        CU_ASSERT_EQUAL(s->body.transport, s->transport);
    }
    story_end();
}

/* The CHALLENGE on candidate 2 takes `one_way_ms` and comes while a PROOF is out on candidate 3. */
static unsigned proofs_on_both(uint32_t one_way_ms)
{
    story_prepare(1);
    w.clients[0].delay[1] = JUMP_MS(one_way_ms);
    story_attach();
    world_candidates(&w, 0, 3, NULL);
    begin_to_watch();
    w.drop_up = TYPE(REATTACH_PROOF);
    w.clients[0].up[0] = false;
    WAIT(sent_of(false, JUMP_MSG_REATTACH_PROOF) >= 6, 20000);
    unsigned others = 0, count = sent_of(false, JUMP_MSG_REATTACH_PROOF);
    for (unsigned i = 0; i + 1 < count; i++) {
        const struct sent *a = nth(false, JUMP_MSG_REATTACH_PROOF, i), *b = nth(false, JUMP_MSG_REATTACH_PROOF, i + 1);
        CU_ASSERT_EQUAL(a->body.transport, a->transport);
        if (a->transport == b->transport)
            continue;
        others++;
        CU_ASSERT_TRUE(b->at - a->at >= JUMP_MS(100)); /* the least RTO */
    }
    CU_ASSERT_TRUE(sent_of(true, JUMP_MSG_REATTACH_CHALLENGE) > count || others > 0);
    w.drop_up = 0;
    WAIT(C().state == JUMP_ATTACHED, 5000);
    CU_ASSERT_EQUAL(S().generation, 2);
    story_end();
    return others;
}

static void test_R52_a_second_proof_on_another_candidate_waits_for_one_rto(void)
{
    CU_ASSERT_EQUAL(proofs_on_both(190), 0); /* 10 ms after the PROOF */
    CU_ASSERT_TRUE(proofs_on_both(300) > 0); /* 230 ms after it */
}

static void candidates_of(uint8_t first, uint8_t first_proto, uint8_t other)
{
    static const uint8_t gone[] = { 1, 0 };
    struct jump_candidate list[2] = { { .path = w.server_path }, { .path = w.server_path, .priority = 1 } };
    struct jump_input in = { .kind = JUMP_IN_CANDIDATES, .candidates = list, .candidates_len = other ? 2 : 1 };
    list[0].path.transport = first;
    list[0].path.proto = first_proto;
    list[1].path.transport = other;
    if (other != gone[0])
        memcpy(in.lost, gone, sizeof gone);
    world_feed_client(&w, 0, &in);
}

static void test_R53_a_candidate_that_is_denied_is_left_out_of_its_attempt_and_the_others_go_on(void)
{
    struct peek_record before, after;
    story_begin(1);
    begin_to_watch();
    peek_note(&before, &w, true, 0);
    candidates_of(2, JUMP_PROTO_TCP, 0); /* names a protocol that the server does not see: denied */
    WAIT_IDLE(C().state == JUMP_DEGRADED, 1000);
    CU_ASSERT_EQUAL(world_took(&w, false, "T13", REASON(INVALID_TRANSPORT_CANDIDATE)), 1);
    peek_note(&after, &w, true, 0);
    CU_ASSERT_EQUAL(before.generation, after.generation);
    candidates_of(2, JUMP_PROTO_TCP, 3);
    WAIT_IDLE(C().state == JUMP_ATTACHED, 1000);
    CU_ASSERT_EQUAL(C().binding.transport, 3);
    CU_ASSERT_EQUAL(world_took(&w, false, "T13", REASON(NONE)), 1); /* the second denial ended no attempt */
    CU_ASSERT_TRUE(sent_of(true, JUMP_MSG_REATTACH_DENY) >= 2);
    story_end();
}

static void test_R54_the_back_off_after_a_denial_begins_at_100_ms_and_doubles_to_2_s(void)
{
    static const uint32_t waits[] = { 100, 200, 400, 800, 1600, 2000, 2000 };
    story_begin(1);
    w.clients[0].up[0] = false;
    WAIT_IDLE(C().state == JUMP_RECOVERING, 5000);
    for (unsigned i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        struct jump_body deny = { .attempt = peek_client(&w, 0)->attempt, .reason = REASON(ATOMICITY_FAILED),
                                  .state_version = 1, .generation = 1 };
        peek_seal(&message, &w, true, 0, JUMP_MSG_REATTACH_DENY, &deny);
        CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0);
        CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
        world_run(&w, JUMP_MS(waits[i]) - 1);
        CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
        world_run(&w, 1);
        CU_ASSERT_EQUAL(C().state, JUMP_RECOVERING);
        CU_ASSERT_EQUAL(peek_client(&w, 0)->attempt, deny.attempt + 1);
    }
    w.clients[0].up[0] = true;
    WAIT_IDLE(C().state == JUMP_ATTACHED, 3000);
    story_end();
}

static void test_R54_a_denied_client_waits_as_long_as_the_denial_says(void)
{
    static const uint32_t waits[] = { 5000, 20000, 3000 };
    story_begin(1);
    begin_to_watch();
    w.clients[0].up[0] = false;
    WAIT_IDLE(C().state == JUMP_RECOVERING, 5000);
    for (unsigned i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        struct jump_body deny = { .attempt = peek_client(&w, 0)->attempt, .reason = REASON(SWITCH_RATE_LIMITED),
                                  .retry_after_ms = waits[i], .state_version = 1, .generation = 1 };
        unsigned asked = sent_of(false, JUMP_MSG_REATTACH_REQUEST);
        peek_seal(&message, &w, true, 0, JUMP_MSG_REATTACH_DENY, &deny);
        CU_ASSERT_EQUAL(world_inject_client(&w, 0, 1, message.bytes, message.len), 0);
        CU_ASSERT_EQUAL(story_last(false, JUMP_EVENT_REATTACH_RESULT)->retry_after_ms, waits[i]);
        world_run(&w, JUMP_MS(waits[i]) - 1);
        CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
        CU_ASSERT_EQUAL(sent_of(false, JUMP_MSG_REATTACH_REQUEST), asked);
        WAIT_IDLE(C().state == JUMP_RECOVERING, 500); /* and the back-off */
        CU_ASSERT_EQUAL(peek_client(&w, 0)->attempt, deny.attempt + 1);
        CU_ASSERT_EQUAL(sent_of(false, JUMP_MSG_REATTACH_REQUEST), asked + 1);
    }
    w.clients[0].up[0] = true;
    WAIT_IDLE(C().state == JUMP_ATTACHED, 3000);
    story_end();
}

/* T11 of the model, which no message asks for */

static void test_T11_a_denied_switch_while_degraded_is_an_event_and_nothing_else(void)
{
    struct peek_record before, after;
    story_prepare(1);
    POLICY(switch_cooldown_ms, 60000);
    POLICY(stable_window_ms, 60000);
    story_attach();
    w.clients[0].loss_ppm[0] = 250000;
    WAIT(C().state == JUMP_DEGRADED && C().bound, 30000);
    CU_ASSERT_TRUE(world_took(&w, false, "T9", REASON(NONE)) > 0);
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_SWITCH_DENIED, REASON(NONE)), 0);
    world_candidates(&w, 0, 2, NULL); /* a better one appears, and the cooldown since the birth still runs */
    peek_note(&before, &w, false, 0);
    WAIT(world_count(&w, false, JUMP_EVENT_SWITCH_DENIED, REASON(COOLDOWN_ACTIVE)) == 1, 30000);
    peek_note(&after, &w, false, 0);
    CU_ASSERT_TRUE(peek_same_record(&before, &after));
    CU_ASSERT_EQUAL(C().state, JUMP_DEGRADED);
    CU_ASSERT_EQUAL(world_took(&w, false, "T10", REASON(NONE)), 0);
    story_end();
}

/* */

static void test_R57_an_ending_client_says_so_three_times_and_a_server_once_and_nobody_who_was_told(void)
{
    for (unsigned server = 0; server < 2; server++) {
        struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
        story_begin(1);
        begin_to_watch();
        in.session_id = S().id;
        CU_ASSERT_EQUAL(server ? world_feed_server(&w, &in) : world_feed_client(&w, 0, &in), 0);
        world_run(&w, JUMP_MS(3000));
        CU_ASSERT_EQUAL(sent_of(server, JUMP_MSG_TERMINATE), server ? 1 : 3);
        CU_ASSERT_EQUAL(sent_of(!server, JUMP_MSG_TERMINATE), 0);
        CU_ASSERT_EQUAL(sent_of(!server, JUMP_MSG_TERMINATE_ACK), 1); /* for the first; the tombstone is silent */
        CU_ASSERT_EQUAL(server ? w.clients[0].ended_for : w.server_ended_for, REASON(PEER_TERMINATED));
        story_end();
    }
}

/* */

/* Of what the dead session had not seen, only what is newer than all that it had. */
static void test_R58_a_tombstone_does_not_answer_what_was_kept_back(void)
{
    struct peek_message kept, fresh;
    struct jump_body body = { .attempt = 50, .generation = 1, .state_version = 1, .transport = 1 };
    story_begin(1);
    peek_seal(&kept, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    world_run(&w, JUMP_MS(3000));
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED), .session_id = S().id };
    w.drop_down = ~0u;
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    peek_seal(&fresh, &w, false, 0, JUMP_MSG_REATTACH_REQUEST, &body);
    unsigned before = w.server_sent;
    world_inject(&w, &w.clients[0].uplinks[0], kept.bytes, kept.len);
    CU_ASSERT_EQUAL(w.server_sent, before);
    world_inject(&w, &w.clients[0].uplinks[0], fresh.bytes, fresh.len);
    CU_ASSERT_EQUAL(w.server_sent, before + 1);
    story_end();
}

/* A rekey that is half done: the client speaks under the first key, or already under the second. */
static void test_R58_a_tombstone_answers_under_both_keys_that_the_session_held(void)
{
    for (unsigned newer = 0; newer < 2; newer++) {
        struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
        story_begin(1);
        world_rekey_server(&w, 0, second, false);
        if (newer) {
            world_rekey_client(&w, 0, second, false);
            WAIT(jump_engine_newest_key(peek_client(&w, 0)) == 1, 1500); /* it has the answer, and has not spoken since */
        }
        CU_ASSERT_EQUAL_FATAL(peek_server(&w, 0)->epochs.held, 2);
        uint16_t spoken = peek_server(&w, 0)->epochs.keys[newer].fingerprint;
        in.session_id = S().id;
        w.drop_down = TYPE(TERMINATE);
        world_feed_server(&w, &in);
        begin_to_watch();
        w.drop_down = 0;
        WAIT(w.clients[0].ended, 2000);
        CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(PEER_TERMINATED));
        CU_ASSERT_TRUE_FATAL(sent_of(true, JUMP_MSG_TERMINATE) >= 1);
        CU_ASSERT_EQUAL(nth(true, JUMP_MSG_TERMINATE, 0)->header.epoch, spoken);
        story_end();
    }
}

static void test_R58_R59_a_tombstone_answers_until_it_is_overwritten_and_then_reset_counts(void)
{
    struct jump_input end = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED) };
    story_begin(2);
    uint64_t boot = w.server->boot;
    end.session_id = S().id;
    w.drop_down = TYPE(TERMINATE);
    world_feed_server(&w, &end);
    w.drop_down = 0;
    w.clients[0].up[0] = false; /* it does not hear of it */
    CU_ASSERT_EQUAL(w.server->tombstone_count, 16); /* one for each session of the table, at least 16 */
    for (unsigned i = 0; i < 15; i++) {
        struct jump_session_view view;
        CU_ASSERT_TRUE_FATAL(world_view_server(&w, 1, &view));
        end.session_id = view.id;
        world_feed_server(&w, &end);
        world_run(&w, JUMP_MS(50));
        CU_ASSERT_TRUE_FATAL(world_attach(&w, 1));
    }
    CU_ASSERT_EQUAL(w.server->boot, boot);
    struct jump_session_view view;
    CU_ASSERT_TRUE_FATAL(world_view_server(&w, 1, &view));
    end.session_id = view.id;
    world_feed_server(&w, &end); /* the seventeenth end takes the first one's place */
    CU_ASSERT_EQUAL(w.server->boot, boot + 1);
    w.clients[0].up[0] = true;
    WAIT(w.clients[0].ended, 10000);
    CU_ASSERT_EQUAL(w.clients[0].ended_for, REASON(UNKNOWN_SESSION));
    story_end();
}

static void test_R53_after_a_denial_for_the_rate_the_way_that_the_server_still_has_is_tried(void)
{
    const uint8_t gone[] = { 2, 0 };
    story_prepare(1);
    w.server_config.policy.transport_lost_ttl_ms = 15000;
    w.server_config.policy.recovery_window_ms = 8000;
    w.server_config.policy.max_switches_per_min = 1;
    story_attach();
    world_candidates(&w, 0, 2, NULL);
    world_run(&w, JUMP_MS(60000));
    world_busy(&w, 0, JUMP_MS(5000));
    w.clients[0].up[0] = false; /* the one switch of this minute: to the second way */
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 5000);
    w.clients[0].up[0] = true;
    world_busy(&w, 0, JUMP_MS(5000));
    world_candidates(&w, 0, 2, gone); /* its interface blinks; the first way is asked first, and denied */
    world_run(&w, JUMP_MS(30));
    world_candidates(&w, 0, 2, NULL);
    WAIT(C().state == JUMP_ATTACHED, 3000);
    CU_ASSERT_EQUAL(S().generation, 2); /* the server never lost the second way: no switch was needed */
    CU_ASSERT_TRUE(world_count(&w, false, JUMP_EVENT_REATTACH_RESULT, REASON(SWITCH_RATE_LIMITED)) >= 1);
    CU_ASSERT_TRUE(world_events_follow_table(&w));
    story_end();
}

#define TESTS(X)                                                                                         \
    X(test_R53_after_a_denial_for_the_rate_the_way_that_the_server_still_has_is_tried) \
    X(test_R10_R11_a_counter_is_never_used_twice_through_rebindings_rekeys_holes_and_the_end)            \
    X(test_R16_R17_R21_each_body_lists_the_epochs_held_and_a_rekey_is_told_at_once)                      \
    X(test_R19_two_epochs_with_one_fingerprint_are_both_tried)                                           \
    X(test_R23_a_challenge_is_valid_for_one_to_two_times_its_age_for_its_path_and_its_attempt)           \
    X(test_R23_R24_a_challenge_outlives_a_rotation_of_the_key_and_no_third_bucket)                       \
    X(test_R23_R24_at_no_age_does_a_rotation_refuse_a_challenge_in_time)                                 \
    X(test_R24_the_challenge_key_rotates_and_what_made_it_is_wiped)                                      \
    X(test_R24_keys_of_challenges_and_cookies_are_new_at_each_start)                                     \
    X(test_R38_the_client_remembers_the_highest_version_that_the_server_showed)                          \
    X(test_R39_offer_and_birth_are_repeated_after_200_ms_doubling_to_2_s)                                \
    X(test_R41_a_client_may_tighten_three_bounds_down_to_a_floor_and_widen_none)                         \
    X(test_R42_R47_the_bindings_probes_count_by_one_and_those_of_candidates_claim_nothing)               \
    X(test_R43_probes_come_at_the_heartbeat_and_after_ten_idle_seconds_ever_more_rarely)                 \
    X(test_R45_lost_full_size_probes_are_reported_and_change_nothing)                                    \
    X(test_R47_a_probe_that_claims_nothing_is_answered_from_any_path_and_binds_nothing)                  \
    X(test_R47_R48_a_candidates_probe_is_no_sign_of_life_of_the_binding)                                 \
    X(test_R48_what_a_client_says_of_its_silence_is_held_between_two_bounds)                             \
    X(test_R50_requests_come_every_350_ms_for_five_minutes_then_every_2_s_and_at_once_on_news)           \
    X(test_R50_unbound_the_candidates_take_turns)                                                        \
    X(test_R52_a_second_proof_on_another_candidate_waits_for_one_rto)                                    \
    X(test_R53_a_candidate_that_is_denied_is_left_out_of_its_attempt_and_the_others_go_on)               \
    X(test_R54_the_back_off_after_a_denial_begins_at_100_ms_and_doubles_to_2_s)                          \
    X(test_R54_a_denied_client_waits_as_long_as_the_denial_says)                                         \
    X(test_T11_a_denied_switch_while_degraded_is_an_event_and_nothing_else)                              \
    X(test_R57_an_ending_client_says_so_three_times_and_a_server_once_and_nobody_who_was_told)           \
    X(test_R58_a_tombstone_does_not_answer_what_was_kept_back) \
    X(test_R58_a_tombstone_answers_under_both_keys_that_the_session_held)                                \
    X(test_R58_R59_a_tombstone_answers_until_it_is_overwritten_and_then_reset_counts)

RUN_TESTS("engine_rest", TESTS)
