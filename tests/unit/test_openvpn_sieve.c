/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the system drops in a flood (adapters/openvpn/sieve.c): real filters on real sockets of the loopback, over IPv4,
 * IPv6 and both on one socket; and when there is a filter at all. Read next: adapters/openvpn/sieve.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "openvpn/map.h"
#include "openvpn/sieve.h"
#include "runner.h"

#define SESSIONS 300u
#define MESSAGE_BYTES 145

static struct jump_sieve sieve;
static struct jump_engine *engine;
static void *engine_memory;
static struct jump_id ids[SESSIONS];
static jump_time now;
static uint64_t chance;
static int receiver = -1, sender = -1;
static const struct jump_path somewhere = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 198, [13] = 18 }, .port = 1 };

static ino_t socket_of(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 ? about.st_ino : 0;
}

static void open_engine(void)
{
    struct jump_policy_draft draft;
    struct jump_config config = { .role = JUMP_SERVER, .host_kind = JUMP_HOST_OPENVPN, .max_sessions = SESSIONS, .boot = 1 };
    size_t len;
    jump_policy_begin(&draft);
    config.policy = draft.policy;
    len = jump_engine_bytes(&config);
    engine_memory = malloc(len);
    CU_ASSERT_EQUAL_FATAL(jump_engine_init(&engine, engine_memory, len, &config, now), 0);
}

static void open_session(uint32_t n)
{
    uint8_t secret[JUMP_SECRET_BYTES] = { (uint8_t)n, (uint8_t)(n >> 8), 1 };
    struct jump_input in = { .kind = JUMP_IN_OPEN, .host = n + 1, .secret = secret,
                             .path = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 10 }, .port = (uint16_t)(n + 1) } };
    struct jump_session_view view;
    CU_ASSERT_EQUAL_FATAL(jump_engine_feed(engine, &in, now), 0);
    while (jump_engine_next(engine) != NULL)
        ;
    CU_ASSERT_TRUE_FATAL(jump_engine_find(engine, n + 1, &view));
    ids[n] = view.id;
}

/* A receiver of this family, as OpenVPN has one, and somebody who sends to it. */
static void open_sockets(int family, int sender_family)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct sockaddr_in four = { .sin_family = AF_INET };
    socklen_t len = sizeof six;
    int no = 0;
    receiver = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sender = socket(sender_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_TRUE_FATAL(receiver >= 0 && sender >= 0);
    if (family == AF_INET6) {
        CU_ASSERT_EQUAL(setsockopt(receiver, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no), 0);
        CU_ASSERT_EQUAL_FATAL(bind(receiver, (struct sockaddr *)&six, sizeof six), 0);
    } else {
        CU_ASSERT_EQUAL_FATAL(bind(receiver, (struct sockaddr *)&four, sizeof four), 0);
    }
    CU_ASSERT_EQUAL_FATAL(getsockname(receiver, (struct sockaddr *)&six, &len), 0); /* the port is at the same place */
    four.sin_port = six.sin6_port;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    six.sin6_addr = in6addr_loopback;
    CU_ASSERT_EQUAL_FATAL(sender_family == AF_INET6 ? connect(sender, (struct sockaddr *)&six, sizeof six)
                                                    : connect(sender, (struct sockaddr *)&four, sizeof four), 0);
}

static void close_sockets(void)
{
    close(receiver);
    close(sender);
}

static void begin(void)
{
    now = JUMP_MS(1000000);
    chance = 7;
    memset(&sieve, 0, sizeof sieve);
    open_engine();
}

static void end(void)
{
    jump_engine_wipe(engine);
    free(engine_memory);
}

/* `id` NULL: a random one. */
static void put_message(uint8_t *bytes, uint8_t type, const struct jump_id *id)
{
    for (size_t i = 0; i < MESSAGE_BYTES; i++)
        bytes[i] = (uint8_t)runner_random(&chance);
    bytes[0] = JUMP_MAP_ENVELOPE_BYTE;
    bytes[1] = (uint8_t)(0x10 | type);
    bytes[2] = 0;
    if (id != NULL)
        memcpy(bytes + 5, id->bytes, sizeof id->bytes);
}

/* The loopback delivers before send returns. */
static bool passes(const uint8_t *bytes, size_t len)
{
    uint8_t back[2048];
    ssize_t n;
    CU_ASSERT_EQUAL_FATAL(send(sender, bytes, len, 0), (ssize_t)len);
    n = recv(receiver, back, sizeof back, MSG_DONTWAIT);
    CU_ASSERT_TRUE(n < 0 || ((size_t)n == len && memcmp(back, bytes, len) == 0)); /* whole, or not at all */
    return n >= 0;
}

static enum jump_sieve_turn turn(void)
{
    return jump_sieve_turn(&sieve, engine, receiver, socket_of(receiver), now);
}

/* Forged ones that name session 0, as far as they are read. @return what the last turn that changed said */
static enum jump_sieve_turn hear_forged(uint32_t each_second, uint8_t type)
{
    enum jump_sieve_turn said = JUMP_SIEVE_AS_IT_WAS;
    uint8_t bytes[MESSAGE_BYTES];
    for (uint32_t i = 0; i < each_second; i++) {
        now += JUMP_MS(1000) / each_second;
        bool read = sieve.socket == 0 || (uint32_t)runner_random(&chance) <= sieve.forged.passes;
        put_message(bytes, i % 2 == 0 && type == 6 ? 8 : type, &ids[0]);
        if (read && jump_sieve_came(&sieve, bytes, sizeof bytes, &somewhere, now)) {
            enum jump_sieve_turn this = turn();
            said = this == JUMP_SIEVE_AS_IT_WAS ? said : this;
        }
        if (jump_sieve_deadline(&sieve) <= now)
            (void)turn();
    }
    return said;
}

/* So many strange ones within the next second, as far as they are read. @return what the last turn that changed said */
static enum jump_sieve_turn hear(uint32_t each_second)
{
    enum jump_sieve_turn said = JUMP_SIEVE_AS_IT_WAS;
    uint8_t bytes[MESSAGE_BYTES];
    for (uint32_t i = 0; i < each_second; i++) {
        now += JUMP_MS(1000) / each_second;
        bool read = sieve.socket == 0 || (uint32_t)runner_random(&chance) <= sieve.strange.passes;
        put_message(bytes, 6, NULL);
        if (read && jump_sieve_came(&sieve, bytes, sizeof bytes, &somewhere, now)) {
            enum jump_sieve_turn this = turn();
            said = this == JUMP_SIEVE_AS_IT_WAS ? said : this;
        }
        if (jump_sieve_deadline(&sieve) <= now)
            (void)turn();
    }
    return said;
}

static void test_openvpn_sieve_sessions_and_openvpns_packets_pass_and_forged_ids_do_not(void)
{
    static const int families[][2] = { { AF_INET, AF_INET }, { AF_INET6, AF_INET6 }, { AF_INET6, AF_INET } };
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        uint8_t bytes[1500];
        unsigned forged = 0;
        begin();
        open_sockets(families[f][0], families[f][1]);
        for (uint32_t n = 0; n < SESSIONS; n++)
            open_session(n);
        CU_ASSERT_EQUAL(hear(20000), JUMP_SIEVE_SET);
        sieve.strange.passes = 0; /* without the chance that a strange one has */
        sieve.stale = true;
        now = jump_sieve_deadline(&sieve);
        sieve.strange.estimate = UINT32_MAX;
        CU_ASSERT_EQUAL(turn(), JUMP_SIEVE_AS_IT_WAS);
        for (uint32_t n = 0; n < SESSIONS; n++)
            for (uint8_t type = 0; type < 16; type++) {
                put_message(bytes, type, &ids[n]);
                CU_ASSERT_TRUE(passes(bytes, MESSAGE_BYTES)); /* whatever the address, with and without a cookie */
            }
        for (unsigned first = 0; first < JUMP_MAP_ENVELOPE_BYTE; first++) {
            put_message(bytes, 6, NULL);
            bytes[0] = (uint8_t)first;
            CU_ASSERT_TRUE(passes(bytes, 1) && passes(bytes, 14) && passes(bytes, sizeof bytes));
        }
        CU_ASSERT_TRUE(passes(bytes, 0));
        for (unsigned i = 0; i < 2000; i++) {
            put_message(bytes, 6, NULL);
            forged += passes(bytes, MESSAGE_BYTES);
        }
        CU_ASSERT_TRUE(forged <= 2000 / 10); /* 300 of 8 192 bits, and one of 4 096 by chance */
        forged = 0;
        for (unsigned i = 0; i < 700; i++) { /* reserved, and too short to name anybody */
            put_message(bytes, 6, &ids[0]);
            if (i % 2 == 0)
                forged += passes(bytes, 1 + i % 8);
            bytes[0] = (uint8_t)(0xf9 + i % 7);
            forged += passes(bytes, MESSAGE_BYTES);
        }
        CU_ASSERT_TRUE(forged <= 7);
        jump_sieve_end(&sieve, receiver, socket_of(receiver));
        put_message(bytes, 6, NULL);
        CU_ASSERT_TRUE(passes(bytes, MESSAGE_BYTES));
        close_sockets();
        end();
    }
}

static void test_openvpn_sieve_a_share_of_the_strange_ones_passes(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    unsigned passed = 0;
    begin();
    open_sockets(AF_INET, AF_INET);
    CU_ASSERT_EQUAL(hear(20000), JUMP_SIEVE_SET);
    (void)hear(20000);
    for (unsigned i = 0; i < 20000; i++) {
        put_message(bytes, 3, NULL);
        passed += passes(bytes, sizeof bytes);
    }
    CU_ASSERT_TRUE(passed > JUMP_SIEVE_PASS / 2 && passed < 2 * JUMP_SIEVE_PASS);
    CU_ASSERT_TRUE(sieve.strange.estimate > 15000 && sieve.strange.estimate < 25000);
    close_sockets();
    end();
}

static void test_openvpn_sieve_it_follows_the_flood_and_goes_when_it_is_over(void)
{
    uint32_t few;
    begin();
    open_sockets(AF_INET, AF_INET);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(hear(JUMP_SIEVE_FLOOD / 2), JUMP_SIEVE_AS_IT_WAS); /* a crowd that the server has forgotten */
    CU_ASSERT_TRUE(sieve.socket == 0 && sieve.floods == 0);
    CU_ASSERT_EQUAL(hear(20000), JUMP_SIEVE_SET);
    (void)hear(20000);
    few = sieve.strange.passes;
    (void)hear(400000);
    (void)hear(400000);
    CU_ASSERT_TRUE(sieve.strange.passes < few / 10);
    CU_ASSERT_TRUE(sieve.strange.estimate > 300000);
    for (int i = 0; i < 25; i++)
        CU_ASSERT_EQUAL(hear(1), JUMP_SIEVE_AS_IT_WAS); /* a pause of 25 s */
    CU_ASSERT_EQUAL(sieve.strange.passes, UINT32_MAX);
    (void)hear(20000);
    (void)hear(20000);
    CU_ASSERT_TRUE(sieve.strange.passes < UINT32_MAX / 10 && sieve.floods == 1);
    for (int i = 0; i < 40; i++) {
        now += JUMP_MS(1000); /* nothing comes at all */
        if (jump_sieve_deadline(&sieve) <= now)
            (void)turn();
    }
    CU_ASSERT_EQUAL(sieve.socket, 0);
    CU_ASSERT_EQUAL(sieve.strange.estimate, 0);
    CU_ASSERT_EQUAL(jump_sieve_deadline(&sieve), JUMP_NEVER);
    close_sockets();
    end();
}

static void test_openvpn_sieve_messages_of_sessions_are_no_flood(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    begin();
    open_sockets(AF_INET, AF_INET);
    open_session(0);
    for (unsigned i = 0; i < 50000; i++) {
        put_message(bytes, 3, &ids[0]);
        now += JUMP_MS(1) / 20;
        if (jump_sieve_came(&sieve, bytes, sizeof bytes, &somewhere, now))
            CU_ASSERT_EQUAL(turn(), JUMP_SIEVE_AS_IT_WAS);
    }
    CU_ASSERT_TRUE(sieve.watching && sieve.socket == 0);
    close_sockets();
    end();
}

static unsigned passing(uint8_t type, unsigned of)
{
    uint8_t bytes[MESSAGE_BYTES];
    unsigned passed = 0;
    for (unsigned i = 0; i < of; i++) {
        put_message(bytes, type, &ids[0]);
        passed += passes(bytes, sizeof bytes);
    }
    return passed;
}

/* Where the sender of this test sends from, as the server sees it. */
static struct jump_path own_path(int family)
{
    struct sockaddr_in6 six;
    struct jump_path path = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };
    socklen_t len = sizeof six;
    CU_ASSERT_EQUAL_FATAL(getsockname(sender, (struct sockaddr *)&six, &len), 0);
    path.port = ntohs(six.sin6_port); /* at the same place in both */
    if (family == AF_INET6)
        memcpy(path.ip, &in6addr_loopback, sizeof path.ip);
    return path;
}

static void test_openvpn_sieve_of_forged_requests_and_proofs_of_a_session_a_share_passes(void)
{
    begin();
    open_sockets(AF_INET, AF_INET);
    open_session(0);
    CU_ASSERT_EQUAL(hear_forged(20000, 6), JUMP_SIEVE_SET);
    (void)hear_forged(20000, 6);
    CU_ASSERT_TRUE(sieve.forged.estimate > 15000 && sieve.forged.estimate < 25000);
    CU_ASSERT_EQUAL(sieve.strange.estimate, 0);
    for (uint8_t type = 0; type < 16; type++) {
        unsigned passed = passing(type, 2000);
        if (type == 6 || type == 8)
            CU_ASSERT_TRUE(passed > 100 && passed < 400)
        else
            CU_ASSERT_EQUAL(passed, 2000);
    }
    for (int i = 0; i < 2; i++)
        (void)hear_forged(400000, 6);
    CU_ASSERT_TRUE(sieve.forged.passes < UINT32_MAX / 150 && sieve.forged.passes > UINT32_MAX / 300);
    for (int i = 0; i < 40; i++) {
        now += JUMP_MS(1000);
        if (jump_sieve_deadline(&sieve) <= now)
            (void)turn();
    }
    CU_ASSERT_TRUE(sieve.socket == 0 && jump_sieve_estimate(&sieve) == 0);
    CU_ASSERT_EQUAL(passing(6, 1000), 1000);
    close_sockets();
    end();
}

static void test_openvpn_sieve_whoever_has_shown_its_keys_moves_undisturbed(void)
{
    static const int families[][2] = { { AF_INET, AF_INET }, { AF_INET6, AF_INET6 }, { AF_INET6, AF_INET } };
    static const uint8_t answers[] = { JUMP_SIEVE_CHALLENGE, JUMP_SIEVE_PATH_UNBOUND, JUMP_SIEVE_PROBE_ACK };
    for (size_t f = 0; f < 9; f++) {
        struct jump_path path, other;
        uint8_t bytes[MESSAGE_BYTES];
        begin();
        open_sockets(families[f % 3][0], families[f % 3][1]);
        open_session(0);
        path = other = own_path(families[f % 3][1]);
        (void)hear_forged(20000, 6);
        (void)hear_forged(20000, 6);
        CU_ASSERT_TRUE(passing(6, 500) < 100);
        now += JUMP_MS(200);
        CU_ASSERT_FALSE(jump_sieve_answers(&sieve, JUMP_SIEVE_PROBE_ACK, &path, true, now)); /* nothing new */
        other.port++;
        CU_ASSERT_TRUE(jump_sieve_answers(&sieve, answers[f / 3], &other, false, now));
        (void)turn();
        CU_ASSERT_TRUE(passing(8, 500) < 100); /* somebody else behind the same address */
        CU_ASSERT_FALSE(jump_sieve_answers(&sieve, JUMP_SIEVE_ACCEPT, &path, false, now));
        CU_ASSERT_FALSE(jump_sieve_answers(&sieve, 0, &path, false, now)); /* an offer asks for no keys */
        now += JUMP_MS(200);
        CU_ASSERT_TRUE(jump_sieve_answers(&sieve, answers[f / 3], &path, answers[f / 3] == JUMP_SIEVE_CHALLENGE, now));
        (void)turn();
        for (unsigned i = 1; i < JUMP_SIEVE_EXPECTED - 1; i++) { /* among so many others */
            other.port++;
            (void)jump_sieve_answers(&sieve, answers[f / 3], &other, false, now);
        }
        now += JUMP_MS(100);
        (void)turn();
        CU_ASSERT_EQUAL(passing(8, 500), 500);
        CU_ASSERT_EQUAL(passing(6, 500), 500);
        /* Somebody sends from there what has no keys: it is one more of the flood. */
        put_message(bytes, 6, &ids[0]);
        for (unsigned i = 0; i < 1000; i++)
            if (jump_sieve_came(&sieve, bytes, sizeof bytes, &path, now += JUMP_MS(1) / 10))
                (void)turn();
        CU_ASSERT_TRUE(passing(6, 500) < 200); /* 75 on average, by lot: 100 is but three standard deviations away */
        /* And after a while nobody is expected any more. */
        now += JUMP_MS(1000);
        (void)turn();
        (void)jump_sieve_answers(&sieve, answers[f / 3], &path, false, now);
        now += JUMP_MS(100);
        (void)turn();
        CU_ASSERT_EQUAL(passing(6, 500), 500);
        for (int i = 0; i < 11; i++)
            (void)hear_forged(20000, 6);
        CU_ASSERT_TRUE(passing(6, 500) < 100);
        jump_sieve_end(&sieve, receiver, socket_of(receiver));
        close_sockets();
        end();
    }
}

static void test_openvpn_sieve_a_crowd_that_moves_is_no_flood(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    struct jump_path path = somewhere;
    begin();
    open_sockets(AF_INET, AF_INET);
    open_session(0);
    for (unsigned i = 0; i < 50000; i++) { /* 10 000 a second, each answered: its client has the keys */
        uint8_t type = i % 2 == 0 ? JUMP_SIEVE_REQUEST : JUMP_SIEVE_PROOF;
        put_message(bytes, type, &ids[0]);
        now += JUMP_MS(1) / 10;
        path.port = (uint16_t)((i / 2 * 7919) % 60000 + (type == JUMP_SIEVE_PROOF)); /* the list does not hold all */
        if (jump_sieve_came(&sieve, bytes, sizeof bytes, &path, now))
            CU_ASSERT_EQUAL(turn(), JUMP_SIEVE_AS_IT_WAS);
        if (jump_sieve_answers(&sieve, type == JUMP_SIEVE_REQUEST ? JUMP_SIEVE_CHALLENGE : JUMP_SIEVE_ACCEPT, &path,
                               type == JUMP_SIEVE_PROOF, now))
            (void)turn();
    }
    CU_ASSERT_TRUE(sieve.watching && sieve.socket == 0);
    close_sockets();
    end();
}

static void test_openvpn_sieve_a_session_that_begins_in_a_flood_is_known(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    begin();
    open_sockets(AF_INET, AF_INET);
    CU_ASSERT_EQUAL(hear(20000), JUMP_SIEVE_SET);
    open_session(0);
    jump_sieve_know(&sieve, &ids[0]); /* its offer was sent */
    CU_ASSERT_TRUE(jump_sieve_deadline(&sieve) <= now + JUMP_MS(100));
    now += JUMP_MS(100);
    CU_ASSERT_EQUAL(turn(), JUMP_SIEVE_AS_IT_WAS);
    for (unsigned i = 0; i < 1000; i++) {
        put_message(bytes, 1, &ids[0]);
        CU_ASSERT_TRUE(passes(bytes, sizeof bytes));
    }
    close_sockets();
    end();
}

static void test_openvpn_sieve_another_socket_of_openvpn_gets_it_too(void)
{
    int former;
    begin();
    open_sockets(AF_INET, AF_INET);
    CU_ASSERT_EQUAL(hear(20000), JUMP_SIEVE_SET);
    former = receiver;
    close(sender);
    open_sockets(AF_INET, AF_INET);
    (void)hear(20000);
    CU_ASSERT_EQUAL(sieve.socket, socket_of(receiver));
    close(former);
    close_sockets();
    end();
}

static void test_openvpn_sieve_what_others_put_there_stays(void)
{
    struct sock_filter all[] = { { .code = BPF_RET | BPF_K, .k = UINT32_MAX } };
    struct sock_fprog program = { .len = 1, .filter = all };
    socklen_t len = 0;
    begin();
    open_sockets(AF_INET, AF_INET);
    CU_ASSERT_EQUAL_FATAL(setsockopt(receiver, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    CU_ASSERT_EQUAL(hear(20000), JUMP_SIEVE_REFUSED);
    CU_ASSERT_EQUAL(hear(20000), JUMP_SIEVE_AS_IT_WAS); /* said once */
    jump_sieve_end(&sieve, receiver, socket_of(receiver));
    CU_ASSERT_TRUE(getsockopt(receiver, SOL_SOCKET, SO_GET_FILTER, NULL, &len) == 0 && len == 1);
    close_sockets();
    end();
}

static void test_openvpn_sieve_no_table_makes_it_too_long(void)
{
    static struct sock_filter out[JUMP_SIEVE_INSTRUCTIONS];
    struct sock_fprog program = { .filter = out };
    begin();
    open_sockets(AF_INET, AF_INET);
    memset(sieve.known, 0xff, sizeof sieve.known);
    sieve.forged.passes = 1;
    for (uint32_t i = 0; i < JUMP_SIEVE_EXPECTED; i++)
        sieve.expected[i].key = i + 1;
    program.len = (unsigned short)jump_sieve_write(&sieve, out);
    CU_ASSERT_TRUE(program.len <= JUMP_SIEVE_INSTRUCTIONS && program.len * sizeof out[0] * 2 <= 20480); /* optmem_max, once */
    CU_ASSERT_EQUAL(setsockopt(receiver, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    for (uint32_t i = 0; i < JUMP_SIEVE_WORDS; i += 2)
        sieve.known[i] = 0;
    CU_ASSERT_TRUE(jump_sieve_write(&sieve, out) <= JUMP_SIEVE_INSTRUCTIONS);
    close_sockets();
    end();
}

#define TESTS(X)                                                                   \
    X(test_openvpn_sieve_sessions_and_openvpns_packets_pass_and_forged_ids_do_not) \
    X(test_openvpn_sieve_a_share_of_the_strange_ones_passes)                       \
    X(test_openvpn_sieve_it_follows_the_flood_and_goes_when_it_is_over)            \
    X(test_openvpn_sieve_messages_of_sessions_are_no_flood)                        \
    X(test_openvpn_sieve_of_forged_requests_and_proofs_of_a_session_a_share_passes) \
    X(test_openvpn_sieve_whoever_has_shown_its_keys_moves_undisturbed)             \
    X(test_openvpn_sieve_a_crowd_that_moves_is_no_flood)                           \
    X(test_openvpn_sieve_a_session_that_begins_in_a_flood_is_known)                \
    X(test_openvpn_sieve_another_socket_of_openvpn_gets_it_too)                    \
    X(test_openvpn_sieve_what_others_put_there_stays)                              \
    X(test_openvpn_sieve_no_table_makes_it_too_long)

RUN_TESTS("openvpn_sieve", TESTS)
