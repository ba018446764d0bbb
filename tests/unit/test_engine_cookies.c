/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Strangers, cookies and RESET (docs/protocol.md ): who is over a rate must show that the
 * address is his, and who is within one is not harmed by the others. Read next: sent.h, test_engine_rest.c.
 */
#include "sent.h"

static struct peek_message message;

static const struct jump_path *address(unsigned client)
{
    return &w.clients[client].uplinks[0];
}

/* */

static uint64_t stranger_serial;

/* One PROBE of a session that nobody knows. @return the type of the server's answer; 0xff: silence */
static uint8_t stranger(const struct jump_path *from, const uint8_t *cookie)
{
    struct jump_header header = { .type = JUMP_MSG_PROBE, .epoch = 7, .counter = ++stranger_serial };
    memset(header.session_id.bytes, 0x5a, sizeof header.session_id.bytes);
    if (cookie)
        memcpy(header.cookie, cookie, sizeof header.cookie);
    memset(message.bytes, 0, JUMP_PROBE_BYTES);
    jump_wire_put_header(message.bytes, &header);
    w.last_from_server[JUMP_MSG_COOKIE].len = w.last_from_server[JUMP_MSG_RESET].len = 0;
    unsigned sent_before = w.server_sent;
    world_inject(&w, from, message.bytes, JUMP_PROBE_BYTES);
    CU_ASSERT_TRUE(w.server_sent - sent_before <= 1);
    return w.last_from_server[JUMP_MSG_COOKIE].len > 0  ? JUMP_MSG_COOKIE
           : w.last_from_server[JUMP_MSG_RESET].len > 0 ? JUMP_MSG_RESET
                                                        : 0xff;
}

/* Until the prefix's tokens are gone. */
static void flood(const struct jump_path *from)
{
    unsigned i = 0;
    while (stranger(from, NULL) != JUMP_MSG_COOKIE && i < 200)
        i++;
    CU_ASSERT_TRUE(i >= 1 && i <= 110);
}

static void test_R25_over_its_rate_a_prefix_must_show_a_cookie_of_its_own_path_and_time(void)
{
    struct jump_path path = world_path(66, 6600), other_port = world_path(66, 6601), other = world_path(67, 6600);
    uint8_t cookie[JUMP_COOKIE_BYTES];
    struct jump_header header;
    story_begin(1);
    world_run(&w, JUMP_MS(60000) - w.now % JUMP_MS(60000)); /* a bucket of cookies begins */
    flood(&path);
    const struct world_flight *answer = &w.last_from_server[JUMP_MSG_COOKIE];
    CU_ASSERT_EQUAL_FATAL(answer->len, JUMP_HEADER_BYTES);
    CU_ASSERT_EQUAL(memcmp(answer->bytes + JUMP_AT_NONCE, message.bytes + JUMP_AT_NONCE, JUMP_NONCE_BYTES), 0);
    CU_ASSERT_EQUAL_FATAL(jump_wire_get_header(&header, answer->bytes, answer->len), 0);
    memcpy(cookie, header.cookie, sizeof cookie);
    CU_ASSERT_EQUAL(stranger(&path, NULL), JUMP_MSG_COOKIE);
    CU_ASSERT_EQUAL(stranger(&path, cookie), JUMP_MSG_RESET); /* it is looked at */
    CU_ASSERT_EQUAL(stranger(&other_port, cookie), JUMP_MSG_COOKIE);
    CU_ASSERT_EQUAL(stranger(&other, NULL), JUMP_MSG_RESET); /* another prefix has its own tokens */
    cookie[0] ^= 1;
    CU_ASSERT_EQUAL(stranger(&path, cookie), JUMP_MSG_COOKIE);
    cookie[0] ^= 1;
    world_run(&w, JUMP_MS(119000));
    flood(&path);
    CU_ASSERT_EQUAL(stranger(&path, cookie), JUMP_MSG_RESET);
    world_run(&w, JUMP_MS(2000));
    flood(&path);
    CU_ASSERT_EQUAL(stranger(&path, cookie), JUMP_MSG_COOKIE);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

static bool carries_a_cookie(const struct world_flight *flight)
{
    static const uint8_t none[JUMP_COOKIE_BYTES];
    return flight->len > 0 && memcmp(flight->bytes + JUMP_AT_COOKIE, none, sizeof none) != 0;
}

static void test_R25_R26_R28_a_client_in_a_flooded_prefix_keeps_its_path_and_reattaches_with_a_cookie(void)
{
    story_prepare(1);
    w.clients[0].delay[0] += 300000; /* between two messages of the flood, which takes each token as it comes */
    story_attach();
    struct jump_path flooder = *address(0); /* the same address, another port: the same prefix */
    flooder.port = 5;
    for (unsigned ms = 0; ms < 5000; ms++) {
        stranger(&flooder, NULL);
        world_run(&w, JUMP_MS(1));
    }
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED); /* the bound path has tokens of its own */
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    CU_ASSERT_EQUAL(S().generation, 1);
    CU_ASSERT_FALSE(carries_a_cookie(&w.last_from_client[JUMP_MSG_PROBE]));
    world_rebind(&w, 0, 0);
    jump_time moved_at = w.now;
    while (S().generation == 1 && w.now - moved_at < JUMP_MS(5000)) {
        stranger(&flooder, NULL);
        world_run(&w, JUMP_MS(1));
    }
    CU_ASSERT_EQUAL(S().generation, 2);
    CU_ASSERT_TRUE(carries_a_cookie(&w.last_from_client[JUMP_MSG_REATTACH_PROOF]));
    WAIT(C().state == JUMP_ATTACHED, 1000);
    world_run(&w, JUMP_MS(600));
    CU_ASSERT_FALSE(carries_a_cookie(&w.last_from_client[JUMP_MSG_PROBE])); /* ACCEPT ends it */
    story_end();
}

static int a_cookie_for(const struct world_flight *asked, uint64_t more)
{
    struct jump_header header;
    CU_ASSERT_EQUAL(jump_wire_get_header(&header, asked->bytes, asked->len), 0);
    header.type = JUMP_MSG_COOKIE;
    header.counter += more;
    memset(header.cookie, 0xc0, sizeof header.cookie);
    jump_wire_put_header(message.bytes, &header);
    return world_inject_client(&w, 0, 1, message.bytes, JUMP_HEADER_BYTES);
}

static void test_R26_R36_a_cookie_is_taken_once_for_an_outstanding_nonce_and_kept_for_ten_seconds(void)
{
    story_begin(1);
    w.drop_down = TYPE(PROBE_ACK);
    w.drop_up = TYPE(REATTACH_REQUEST);
    uint64_t counter = peek_client(&w, 0)->send_counter;
    WAIT(peek_client(&w, 0)->send_counter > counter, 1000);
    struct world_flight asked = w.last_from_client[JUMP_MSG_PROBE];
    UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(a_cookie_for(&asked, 100), 0));
    CU_ASSERT_EQUAL(a_cookie_for(&asked, 0), 0);
    jump_time taken_at = w.now;
    UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(a_cookie_for(&asked, 0), 0)); /* one for a nonce */
    WAIT(carries_a_cookie(&w.last_from_client[JUMP_MSG_PROBE]), 1000);
    WAIT(C().state == JUMP_RECOVERING, 5000);
    while (w.now < taken_at + JUMP_MS(9900)) {
        world_run(&w, JUMP_MS(100));
        if (w.last_from_client[JUMP_MSG_REATTACH_REQUEST].len > 0)
            CU_ASSERT_TRUE(carries_a_cookie(&w.last_from_client[JUMP_MSG_REATTACH_REQUEST]));
    }
    world_run(&w, JUMP_MS(600));
    CU_ASSERT_FALSE(carries_a_cookie(&w.last_from_client[JUMP_MSG_REATTACH_REQUEST]));
    w.drop_up = w.drop_down = 0;
    WAIT(C().state == JUMP_ATTACHED, 3000);
    asked = w.last_from_client[JUMP_MSG_PROBE];
    world_run(&w, JUMP_MS(200)); /* answered: not outstanding any more */
    UNCHANGED(false, 0, CU_ASSERT_NOT_EQUAL(a_cookie_for(&asked, 0), 0));
    story_end();
}

static void test_R26_a_cookie_goes_out_on_its_own_candidate_only_and_does_not_set_the_pace(void)
{
    story_begin(1);
    world_candidates(&w, 0, 2, NULL);
    w.clients[0].up[0] = w.clients[0].up[1] = false;
    WAIT(C().state == JUMP_RECOVERING, 5000);
    world_run(&w, JUMP_MS(100));
    begin_to_watch();
    struct world_flight asked = w.last_from_client[JUMP_MSG_REATTACH_REQUEST];
    CU_ASSERT_EQUAL(a_cookie_for(&asked, 0), 0);
    CU_ASSERT_EQUAL(sent_of(false, JUMP_MSG_REATTACH_REQUEST), 1); /* at once, where it came from */
    CU_ASSERT_EQUAL(sent[0][0].transport, 1);
    asked = w.last_from_client[JUMP_MSG_REATTACH_REQUEST];
    CU_ASSERT_EQUAL(a_cookie_for(&asked, 0), 0); /* taken, and not faster than we would repeat anyway */
    CU_ASSERT_EQUAL(sent_of(false, JUMP_MSG_REATTACH_REQUEST), 1);
    world_run(&w, JUMP_MS(5000));
    unsigned with[3] = { 0 }, without[3] = { 0 };
    for (unsigned i = 0; i < sent_count[0]; i++) {
        static const uint8_t none[JUMP_COOKIE_BYTES];
        CU_ASSERT_TRUE_FATAL(sent[0][i].transport < 3);
        if (memcmp(sent[0][i].header.cookie, none, sizeof none) != 0)
            with[sent[0][i].transport]++;
        else
            without[sent[0][i].transport]++;
    }
    CU_ASSERT_TRUE(with[1] >= 5 && without[1] == 0);
    CU_ASSERT_TRUE(with[2] == 0 && without[2] >= 5);
    story_end();
}

/* */

static void test_R60_reset_is_limited_and_never_answers_birth_or_terminate(void)
{
    static const uint8_t types[] = { JUMP_MSG_BIRTH, JUMP_MSG_TERMINATE, JUMP_MSG_TERMINATE_ACK };
    struct jump_path from = world_path(0, 4000);
    unsigned resets = 0;
    story_begin(1);
    for (unsigned i = 0; i < 3; i++) {
        struct jump_header header = { .type = types[i], .counter = 9, .session_id = { { 9 } } };
        memset(message.bytes, 0, sizeof message.bytes);
        jump_wire_put_header(message.bytes, &header);
        unsigned before = w.server_sent;
        CU_ASSERT_NOT_EQUAL(world_inject(&w, &from, message.bytes, jump_wire_length(types[i])), 0);
        CU_ASSERT_EQUAL(w.server_sent, before);
    }
    for (unsigned i = 0; i < 3000; i++) { /* each from a prefix of its own */
        from.ip[13] = (uint8_t)(i >> 8);
        from.ip[15] = (uint8_t)i;
        resets += stranger(&from, NULL) == JUMP_MSG_RESET;
    }
    CU_ASSERT_EQUAL(resets, 500);
    world_run(&w, JUMP_MS(100));
    for (unsigned i = 0; i < 200; i++) {
        from.ip[13] = (uint8_t)(100 + (i >> 8));
        from.ip[15] = (uint8_t)i;
        resets += stranger(&from, NULL) == JUMP_MSG_RESET;
    }
    CU_ASSERT_TRUE(resets >= 545 && resets <= 555);
    CU_ASSERT_EQUAL(S().state, JUMP_ATTACHED);
    story_end();
}

/* what a cookie opens has limits of its own. Everything at one instant, unless time is let pass. */

static void cookie_of(uint8_t cookie[JUMP_COOKIE_BYTES], const struct jump_path *path)
{
    jump_seal_cookie(cookie, w.server->cookie_key, path, w.now / JUMP_MS(60000));
}

static uint64_t looked_at(void)
{
    struct jump_stats stats;
    jump_engine_stats(w.server, &stats);
    return stats.unknown_session;
}

/* How many of `count` messages with the cookie of this path get as far as being looked up. */
static uint64_t let_in(const struct jump_path *path, unsigned count)
{
    uint8_t cookie[JUMP_COOKIE_BYTES];
    uint64_t before = looked_at();
    cookie_of(cookie, path);
    for (unsigned i = 0; i < count; i++)
        stranger(path, cookie);
    return looked_at() - before;
}

static void test_R28_behind_a_cookie_a_prefix_has_3000_at_once_and_1000_a_second(void)
{
    struct jump_path path = world_path(66, 6600), other_port = world_path(66, 6601), other = world_path(67, 6700);
    story_begin(1);
    flood(&path);
    CU_ASSERT_EQUAL(let_in(&path, 4000), 3000);
    CU_ASSERT_EQUAL(let_in(&other_port, 100), 0); /* it is the prefix that is limited, not the port */
    CU_ASSERT_EQUAL(stranger(&path, NULL), JUMP_MSG_COOKIE);
    flood(&other);
    CU_ASSERT_EQUAL(let_in(&other, 100), 100); /* and nobody else */
    world_run(&w, JUMP_MS(1000));
    uint64_t again = let_in(&path, 4000);
    CU_ASSERT_TRUE(again >= 1000 && again <= 1060); /* and what the prefix's own 50/s gave back */
    world_run(&w, JUMP_MS(10000)); /* never more than a full bucket: 3 000 and the prefix's own 100 */
    CU_ASSERT_EQUAL(let_in(&path, 6000), 3100);
    world_busy(&w, 0, JUMP_MS(3000));
    CU_ASSERT_TRUE(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED);
    story_end();
}

static void test_R28_at_most_5000_cookies_a_second_leave_and_who_has_one_still_gets_in(void)
{
    struct jump_path path = world_path(66, 6600), other = world_path(67, 6700);
    struct jump_stats before, after;
    story_begin(1);
    flood(&path);
    flood(&other);
    world_run(&w, JUMP_MS(1000)); /* the bucket of cookies is full again */
    flood(&path);
    jump_engine_stats(w.server, &before);
    for (unsigned i = 0; i < 25000; i++)
        stranger(&path, NULL);
    jump_engine_stats(w.server, &after);
    CU_ASSERT_EQUAL(after.cookies - before.cookies, 4999); /* flood() ended with one */
    CU_ASSERT_EQUAL(stranger(&path, NULL), 0xff);
    CU_ASSERT_EQUAL(let_in(&path, 10), 10);
    world_run(&w, JUMP_MS(500));
    flood(&path);
    jump_engine_stats(w.server, &before);
    for (unsigned i = 0; i < 15000; i++)
        stranger(&path, NULL);
    jump_engine_stats(w.server, &after);
    CU_ASSERT_EQUAL(after.cookies - before.cookies, 2499);
    world_busy(&w, 0, JUMP_MS(3000));
    CU_ASSERT_TRUE(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED);
    story_end();
}

/* Whoever sniffed the id forges the address too, and is never let in by it; the client behind it is not shut out. */
static void test_R28_A16_forged_messages_from_the_bound_address_do_not_shut_its_client_out(void)
{
    static const unsigned rates[] = { 100, 300, 3000, 20000 };
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        story_prepare(1);
        POLICY(heartbeat_interval_ms, 497); /* no multiple of a token's time, or each probe would find its own */
        story_attach();
        uint64_t generation = S().generation;
        struct world_flight forged = w.last_from_client[JUMP_MSG_PROBE];
        struct jump_path from = S().binding;
        forged.bytes[forged.len - 1] ^= 1;
        for (unsigned ms = 0; ms < 8000; ms++) { /* evenly: a token is taken as soon as it is there */
            if (ms % 100 == 0)
                world_activity(&w, 0);
            world_run(&w, JUMP_MS(1));
            for (unsigned n = ms * rates[i] / 1000; n < (ms + 1) * rates[i] / 1000; n++)
                CU_ASSERT_NOT_EQUAL(world_inject(&w, &from, forged.bytes, forged.len), 0);
        }
        CU_ASSERT_EQUAL(S().generation, generation);
        CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_TRANSPORT_DEAD, REASON(NONE)), 0);
        CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_TRANSPORT_DEAD, REASON(NONE)), 0);
        CU_ASSERT_TRUE(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED);
        story_end();
    }
}

static void test_R28_all_strangers_share_5000_and_a_cookie_passes_that_too(void)
{
    struct jump_path path = world_path(1, 9000), newcomer = world_path(66, 6600);
    story_begin(1);
    uint64_t before = looked_at();
    for (unsigned i = 0; i < 120; i++) { /* each prefix within its own rate */
        path.ip[12] = 198;
        path.ip[14] = (uint8_t)i;
        for (unsigned j = 0; j < 60; j++)
            stranger(&path, NULL);
    }
    CU_ASSERT_EQUAL(looked_at() - before, 5000);
    CU_ASSERT_EQUAL(stranger(&newcomer, NULL), JUMP_MSG_COOKIE);
    CU_ASSERT_EQUAL(let_in(&newcomer, 50), 50);
    world_rebind(&w, 0, 0); /* nor does it keep a client out */
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    story_end();
}

#define TESTS(X)                                                                                  \
    X(test_R28_behind_a_cookie_a_prefix_has_3000_at_once_and_1000_a_second)                       \
    X(test_R28_A16_forged_messages_from_the_bound_address_do_not_shut_its_client_out)            \
    X(test_R28_at_most_5000_cookies_a_second_leave_and_who_has_one_still_gets_in)                \
    X(test_R28_all_strangers_share_5000_and_a_cookie_passes_that_too)                             \
    X(test_R25_over_its_rate_a_prefix_must_show_a_cookie_of_its_own_path_and_time)                \
    X(test_R25_R26_R28_a_client_in_a_flooded_prefix_keeps_its_path_and_reattaches_with_a_cookie)  \
    X(test_R26_R36_a_cookie_is_taken_once_for_an_outstanding_nonce_and_kept_for_ten_seconds)      \
    X(test_R26_a_cookie_goes_out_on_its_own_candidate_only_and_does_not_set_the_pace)             \
    X(test_R60_reset_is_limited_and_never_answers_birth_or_terminate)

RUN_TESTS("engine_cookies", TESTS)
