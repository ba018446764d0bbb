/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The carrier (adapters/strongswan/carrier.c) with Debian's libcharon and a charon of which only the socket, the sender,
 * the kernel interface and the bus exist, all of them this file's. Time is a variable.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <daemon.h>
#include <threading/thread.h>

#include "runner.h"
#include "strongswan/carrier.h"
#include "strongswan/envelope.h"
#include "system/clock.h"
#include "without_memory.h"

#define PEER "203.0.113.7"
#define OWN "198.51.100.1"

/* --- a charon of this file's own -------------------------------------------------------------------------------- */

static jump_time now = JUMP_MS(5000);
jump_time __wrap_jump_clock_now(void);
jump_time __wrap_jump_clock_now(void)
{
    return now;
}

/* What the original receive gives, in order; then FAILED. */
static struct {
    packet_t *packets[64];
    status_t status[64];
    unsigned count, at;
    int wait_for; /* a pipe: it waits there as charon's socket does, and may be cancelled there */
} script;

static packet_t *ours(const char *from, uint16_t from_port, uint16_t to_port, bool from_client);

static status_t original_receive(socket_manager_t *this, packet_t **packet)
{
    (void)this;
    if (script.wait_for > 0) {
        struct pollfd pfd = {.fd = script.wait_for, .events = POLLIN};
        bool before = thread_cancelability(TRUE);
        char byte;

        poll(&pfd, 1, -1);
        thread_cancelability(before);
        if (read(script.wait_for, &byte, 1) != 1)
            return FAILED;
        *packet = ours(PEER, 4500, 4500, true);
        return SUCCESS;
    }
    if (script.at == script.count)
        return FAILED;
    if (script.status[script.at] == SUCCESS)
        *packet = script.packets[script.at];
    return script.status[script.at++];
}

static void expect_status(status_t status)
{
    script.status[script.count] = status;
    script.packets[script.count++] = NULL;
}

static packet_t *expect(packet_t *packet)
{
    script.status[script.count] = SUCCESS;
    script.packets[script.count++] = packet;
    return packet;
}

static uint16_t get_port(socket_manager_t *this, bool nat_t)
{
    (void)this;
    return nat_t ? 4500 : 500;
}

static bool all_usable, to_is_usable;
static unsigned asked;
static bool all_interfaces_usable(kernel_interface_t *this)
{
    (void)this;
    return all_usable;
}
static bool get_interface(kernel_interface_t *this, host_t *host, char **name)
{
    (void)this;
    asked += name == NULL && host->get_port(host) == 4500;
    return to_is_usable;
}

static packet_t *sent;
static unsigned loud_sends;
static void send_loud(sender_t *this, packet_t *packet)
{
    (void)this;
    loud_sends++;
    packet->destroy(packet);
}
static void send_no_marker(sender_t *this, packet_t *packet)
{
    (void)this;
    if (sent != NULL)
        sent->destroy(sent);
    sent = packet;
}

static unsigned lines;
static char newest_line[256];
static void bus_log(bus_t *this, debug_t group, level_t level, char *format, ...)
{
    va_list arguments;

    (void)this, (void)group, (void)level;
    va_start(arguments, format);
    vsnprintf(newest_line, sizeof newest_line, format, arguments);
    va_end(arguments);
    lines++;
}

static socket_manager_t fake_socket = {.get_port = get_port};
static sender_t fake_sender = {.send = send_loud, .send_no_marker = send_no_marker};
static kernel_interface_t fake_kernel = {
    .all_interfaces_usable = all_interfaces_usable, .get_interface = get_interface};
static bus_t fake_bus = {.log = bus_log};
static daemon_t fake_charon = {
    .socket = &fake_socket, .sender = &fake_sender, .kernel = &fake_kernel, .bus = &fake_bus};

static void start(uint32_t sessions)
{
    struct jump_problem problem;

    charon = &fake_charon;
    memset(&script, 0, sizeof script);
    fake_socket.receive = original_receive;
    all_usable = to_is_usable = true;
    lines = loud_sends = asked = 0;
    CU_ASSERT_TRUE_FATAL(jump_swan_carrier_begin(&problem, sessions));
}

static void stop(void)
{
    jump_swan_carrier_end();
    CU_ASSERT_PTR_EQUAL(fake_socket.receive, original_receive);
    CU_ASSERT_EQUAL(loud_sends, 0);
    if (sent != NULL)
        sent->destroy(sent);
    sent = NULL;
}

static status_t receive(packet_t **packet)
{
    return charon->socket->receive(charon->socket, packet);
}

/* Give one packet to the hook. @return true: it came through, and nothing was done to it */
static bool passes(packet_t *packet)
{
    chunk_t before = chunk_clone(packet->get_data(packet));
    packet_t *out = NULL;
    bool same = false;

    script.at = script.count = 0;
    expect(packet);
    if (receive(&out) == SUCCESS) {
        chunk_t after = out->get_data(out);

        same = out == packet && after.len == before.len && (after.len == 0 || memcmp(after.ptr, before.ptr, after.len) == 0);
        CU_ASSERT_TRUE(same);
        out->destroy(out);
    } else {
        CU_ASSERT_PTR_NULL(out);
    }
    free(before.ptr);
    return same;
}

static struct jump_swan_carrier_counters counters(void)
{
    struct jump_swan_carrier_counters out;

    jump_swan_carrier_counters(&out);
    return out;
}

static bool readable(void)
{
    struct pollfd pfd = {.fd = jump_swan_carrier_fd(), .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

/* --- packets ---------------------------------------------------------------------------------------------------- */

static packet_t *raw(const char *from, uint16_t from_port, const char *to, uint16_t to_port, const void *bytes, size_t len)
{
    return packet_create_from_data(host_create_from_string((char *)from, from_port),
                                   host_create_from_string((char *)to, to_port),
                                   chunk_clone(chunk_create((u_char *)bytes, len)));
}

static uint8_t message[144];
static packet_t *ours_as(const char *from, uint16_t from_port, uint16_t to_port, bool from_client, bool marker)
{
    uint8_t bytes[4 + JUMP_SWAN_ENVELOPE_BYTES + sizeof message] = {0};
    size_t skip = marker ? 4 : 0;

    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)(i * 5 + 1);
    jump_swan_envelope_put(bytes + skip, from_client, message, sizeof message);
    memcpy(bytes + skip + JUMP_SWAN_ENVELOPE_BYTES, message, sizeof message);
    return raw(from, from_port, strchr(from, ':') ? "2001:db8::1" : OWN, to_port, bytes,
               skip + JUMP_SWAN_ENVELOPE_BYTES + sizeof message);
}

static packet_t *ours(const char *from, uint16_t from_port, uint16_t to_port, bool from_client)
{
    return ours_as(from, from_port, to_port, from_client, from_port != 500 && to_port != 500);
}

/* Of an exchange that charon knows (34 is IKE_SA_INIT), or not. */
static packet_t *ike(uint8_t version, uint8_t exchange)
{
    uint8_t bytes[4 + 28] = {[4] = 1, [4 + 17] = version, [4 + 18] = exchange, [4 + 19] = 8, [4 + 27] = 28};

    return raw(PEER, 4500, OWN, 4500, bytes, sizeof bytes);
}

static packet_t *numbered(uint32_t n)
{
    packet_t *packet = ours(PEER, 4500, 4500, true);

    memcpy(packet->get_data(packet).ptr + 4 + JUMP_SWAN_ENVELOPE_BYTES + 100, &n, sizeof n);
    return packet;
}

/* --- in ---------------------------------------------------------------------------------------------------------- */

static void test_strongswan_carrier_ours_never_pass_foreign_ones_do_in_order(void)
{
    struct jump_swan_datagram in;
    packet_t *first, *second, *third, *out;

    start(10);
    expect(ours(PEER, 4500, 4500, true));
    first = expect(ike(0x20, 34));
    expect(ours(PEER, 4500, 4500, false));
    expect(ours(PEER, 4500, 4500, false));
    second = expect(raw(PEER, 4500, OWN, 4500, "\xc0\xff\xee\x01 an ESP packet, longer than an IKE header", 45));
    third = expect(raw(PEER, 4500, OWN, 4500, "\xff", 1)); /* keepalive */
    expect(ours(PEER, 4500, 4500, true));
    CU_ASSERT_TRUE_FATAL(receive(&out) == SUCCESS && out == first);
    CU_ASSERT_TRUE_FATAL(receive(&out) == SUCCESS && out == second);
    CU_ASSERT_TRUE_FATAL(receive(&out) == SUCCESS && out == third);
    CU_ASSERT_EQUAL(receive(&out), FAILED);
    CU_ASSERT_PTR_NULL(out);
    first->destroy(first);
    second->destroy(second);
    third->destroy(third);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_TRUE_FATAL(jump_swan_carrier_next(&in));
        CU_ASSERT_EQUAL(in.from_client, i == 0 || i == 3);
        CU_ASSERT_EQUAL_FATAL(in.bytes_len, sizeof message);
        CU_ASSERT_EQUAL(memcmp(in.bytes, message, sizeof message), 0);
        CU_ASSERT_EQUAL(in.from.port, 4500);
        CU_ASSERT_EQUAL(memcmp(in.from.ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\0\x71\x07", 16), 0);
        CU_ASSERT_EQUAL(memcmp(in.to.ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x01", 16), 0);
    }
    CU_ASSERT_FALSE(jump_swan_carrier_next(&in));
    CU_ASSERT_EQUAL(counters().received, 4);
    CU_ASSERT_EQUAL(lines, 0);
    stop();
}

static void test_strongswan_carrier_what_charon_knows_passes_untouched(void)
{
    static const char zeros[64];

    start(10);
    for (unsigned exchange = 0; exchange < 256; exchange++)
        CU_ASSERT_EQUAL(passes(ike(0x20, (uint8_t)exchange)), exchange < 241 || exchange == 255);
    CU_ASSERT_EQUAL(counters().malformed, 14); /* an envelope with nothing in it */
    CU_ASSERT_TRUE(passes(ike(0x10, 241)));
    CU_ASSERT_TRUE(passes(ike(0x30, 241)));
    for (size_t len = 0; len <= sizeof zeros; len++) {
        CU_ASSERT_TRUE(passes(raw(PEER, 4500, OWN, 4500, zeros, len)));
        CU_ASSERT_TRUE(passes(raw(PEER, 500, OWN, 500, zeros, len)));
    }
    CU_ASSERT_TRUE(passes(raw(PEER, 4500, OWN, 4500, "\xff", 1)));
    CU_ASSERT_TRUE(passes(raw(PEER, 4500, OWN, 4500, "\0\0\0", 3)));
    CU_ASSERT_EQUAL(counters().received, 0);
    stop();
}

static void test_strongswan_carrier_marker_stands_where_no_port_is_500(void)
{
    static const uint16_t ports[][2] = {{500, 500}, {500, 4500}, {61000, 500}, {4500, 4500}, {61000, 4500}, {61000, 5500}};

    start(10);
    for (unsigned i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        bool marker = i >= 3;
        struct jump_swan_datagram in;

        CU_ASSERT_TRUE(passes(ours_as(PEER, ports[i][0], ports[i][1], true, !marker)));
        CU_ASSERT_FALSE(jump_swan_carrier_next(&in));
        CU_ASSERT_FALSE(passes(ours_as(PEER, ports[i][0], ports[i][1], true, marker)));
        CU_ASSERT_TRUE_FATAL(jump_swan_carrier_next(&in));
        CU_ASSERT_EQUAL(in.from.port, ports[i][0]);
        CU_ASSERT_EQUAL(in.to.port, ports[i][1]);
        CU_ASSERT_EQUAL(memcmp(in.bytes, message, sizeof message), 0);
    }
    stop();
}

static void test_strongswan_carrier_malformed_ones_are_neither_charons_nor_the_cores(void)
{
    struct jump_swan_datagram in;
    unsigned claimed = 0;

    start(10);
    for (size_t len = 0; len < 4 + JUMP_SWAN_ENVELOPE_BYTES + sizeof message; len++) {
        packet_t *whole = ours(PEER, 4500, 4500, true);
        packet_t *cut = raw(PEER, 4500, OWN, 4500, whole->get_data(whole).ptr, len);

        whole->destroy(whole);
        CU_ASSERT_EQUAL(passes(cut), len < 4 + 19);
        claimed += len >= 4 + 19;
    }
    CU_ASSERT_EQUAL(counters().malformed, claimed);
    CU_ASSERT_FALSE(jump_swan_carrier_next(&in));
    CU_ASSERT_FALSE(readable());
    CU_ASSERT_EQUAL(lines, 1);
    stop();
}

static void test_strongswan_carrier_error_status_passes_through(void)
{
    static const status_t errors[] = {FAILED, NOT_SUPPORTED, OUT_OF_RES};
    packet_t *out;

    start(10);
    for (unsigned i = 0; i < 3; i++) {
        expect(ours(PEER, 4500, 4500, true));
        expect_status(errors[i]);
        CU_ASSERT_EQUAL(receive(&out), errors[i]);
    }
    CU_ASSERT_EQUAL(counters().received, 3);
    stop();
}

static void test_strongswan_carrier_ignored_interface_is_ignored(void)
{
    struct jump_swan_datagram in;

    start(10);
    all_usable = to_is_usable = false;
    for (unsigned i = 0; i < 2 * JUMP_SWAN_RING_SLOTS; i++)
        CU_ASSERT_FALSE(passes(ours(PEER, 4500, 4500, true)));
    CU_ASSERT_EQUAL(asked, 2 * JUMP_SWAN_RING_SLOTS);
    CU_ASSERT_EQUAL(counters().ignored_interface, 2 * JUMP_SWAN_RING_SLOTS);
    CU_ASSERT_TRUE(passes(ike(0x20, 34))); /* charon's own check follows */
    CU_ASSERT_FALSE(jump_swan_carrier_next(&in));
    to_is_usable = true; /* another of the interfaces; and no token was spent */
    CU_ASSERT_FALSE(passes(ours(PEER, 4500, 4500, true)));
    CU_ASSERT_TRUE(jump_swan_carrier_next(&in));
    CU_ASSERT_EQUAL(lines, 0);
    stop();
}

static void test_strongswan_carrier_fd_is_readable_while_something_waits(void)
{
    struct jump_swan_datagram in;

    start(10);
    CU_ASSERT_FALSE(readable());
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5; i++)
            passes(ours(PEER, 4500, 4500, true));
        for (unsigned i = 0; i < 5; i++) {
            CU_ASSERT_TRUE(readable());
            CU_ASSERT_TRUE(jump_swan_carrier_next(&in));
        }
        CU_ASSERT_FALSE(jump_swan_carrier_next(&in));
        CU_ASSERT_FALSE(readable());
    }
    stop();
    CU_ASSERT_EQUAL(jump_swan_carrier_fd(), -1);
    CU_ASSERT_FALSE(jump_swan_carrier_next(&in));
}

/* --- bounds ------------------------------------------------------------------------------------------------------ */

static void test_strongswan_carrier_full_ring_drops_the_newest_and_wraps(void)
{
    struct jump_swan_datagram in;
    uint32_t put = 0, want = 0, n;

    start(10);
    for (unsigned round = 0; round < 4; round++) {
        while (counters().ring_full == round) {
            now += JUMP_MS(1); /* the rate is not what stops them */
            CU_ASSERT_FALSE_FATAL(passes(numbered(put++)));
        }
        for (unsigned taken = 0; taken < (round == 3 ? JUMP_SWAN_RING_SLOTS : 300); taken++, want++) {
            CU_ASSERT_TRUE_FATAL(jump_swan_carrier_next(&in));
            memcpy(&n, in.bytes + 100, sizeof n);
            if (want == JUMP_SWAN_RING_SLOTS || want == JUMP_SWAN_RING_SLOTS + 301 || want == JUMP_SWAN_RING_SLOTS + 602)
                want++; /* that one found no room */
            CU_ASSERT_EQUAL_FATAL(n, want);
        }
    }
    CU_ASSERT_FALSE(jump_swan_carrier_next(&in));
    CU_ASSERT_EQUAL(counters().over_rate, 0);
    stop();
}

static void test_strongswan_carrier_flood_is_bounded_and_says_so_once(void)
{
    struct jump_swan_carrier_counters after;
    struct jump_swan_datagram in;
    char expected[64];
    unsigned kept = 0;

    start(10);
    for (unsigned i = 0; i < 100000; i++) { /* ten seconds */
        char from[32];

        now += JUMP_MS(1) / 10;
        snprintf(from, sizeof from, "192.0.%u.%u", i % 200, i % 251);
        CU_ASSERT_FALSE_FATAL(passes(ours(from, (uint16_t)(1024 + i % 60000), 4500, true)));
    }
    after = counters();
    CU_ASSERT_EQUAL(after.received + after.over_rate + after.ring_full, 100000);
    while (jump_swan_carrier_next(&in))
        kept++;
    CU_ASSERT_EQUAL(kept, JUMP_SWAN_RING_SLOTS);
    CU_ASSERT_EQUAL(after.received, JUMP_SWAN_RING_SLOTS);
    CU_ASSERT_EQUAL(lines, 1);
    now += JUMP_MS(JUMP_SWAN_DROPS_SAID_EVERY_MS);
    passes(ike(0x20, 250)); /* one more: what has gathered since the first line is said */
    CU_ASSERT_EQUAL(lines, 2);
    snprintf(expected, sizeof expected, " 1 malformed, 0 over the rate, %u with no room", (unsigned)(after.ring_full - 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(newest_line, expected));
    stop();
}

/* Offer this many datagrams in one second, from as many sources, to an empty ring. @return how many came in */
static unsigned come_in(unsigned offered, unsigned sources)
{
    struct jump_swan_datagram in;
    unsigned kept = 0;

    for (unsigned i = 0; i < offered; i++) {
        char from[32];

        now += UINT64_C(1000000000) / offered;
        snprintf(from, sizeof from, "192.0.2.%u", i % sources);
        passes(ours(from, 4500, 4500, true));
        kept += jump_swan_carrier_next(&in);
    }
    return kept;
}

static void test_strongswan_carrier_rate_grows_with_the_sessions(void)
{
    for (uint32_t sessions = 0; sessions <= 4000; sessions += 4000) {
        unsigned rate = JUMP_SWAN_RATE_BASE + JUMP_SWAN_RATE_PER_SESSION * sessions, kept;

        start(sessions);
        now += JUMP_MS(10000);
        kept = come_in(60000, 100);
        CU_ASSERT_TRUE(kept >= rate && kept <= rate + JUMP_SWAN_RING_SLOTS);
        CU_ASSERT_EQUAL(counters().over_rate, 60000 - kept);
        stop();
    }
    start(UINT32_MAX);
    CU_ASSERT_EQUAL(come_in(30000, 100), 30000);
    stop();
}

static void test_strongswan_carrier_one_source_does_not_take_the_whole_rate(void)
{
    struct jump_swan_datagram in;
    unsigned kept, others = 0;

    start(0);
    now += JUMP_MS(10000);
    kept = come_in(60000, 1);
    CU_ASSERT_TRUE(kept <= (JUMP_SWAN_RATE_BASE + JUMP_SWAN_RING_SLOTS) / JUMP_SWAN_SOURCE_SHARE);
    CU_ASSERT_TRUE(kept >= JUMP_SWAN_RATE_BASE / JUMP_SWAN_SOURCE_SHARE);
    for (unsigned i = 0; i < 8; i++) { /* all eight in the flooder's bucket: one in 2^64 */
        char from[32];

        snprintf(from, sizeof from, "2001:db8:%x::7", i);
        passes(ours(from, 4500, 4500, true));
        others += jump_swan_carrier_next(&in);
    }
    CU_ASSERT_TRUE(others > 0);
    stop();
    start(0);
    now += JUMP_MS(10000);
    for (unsigned i = 0; i < 2 * JUMP_SWAN_RING_SLOTS; i++) { /* a /64 is one source */
        char from[48];

        snprintf(from, sizeof from, "2001:db8::%x:%x", i % 7, i);
        passes(ours(from, 4500, 4500, true));
    }
    CU_ASSERT_EQUAL(counters().received, JUMP_SWAN_RING_SLOTS / JUMP_SWAN_SOURCE_SHARE);
    stop();
}

/* --- cancelled threads -------------------------------------------------------------------------------------------- */

static void *receives_for_ever(void *unused)
{
    packet_t *out;

    thread_cancelability(FALSE); /* as charon's processor does */
    while (receive(&out) != NEED_MORE)
        ;
    return unused;
}

static void test_strongswan_carrier_cancelled_receiver_leaves_no_lock_and_no_packet(void)
{
    struct jump_swan_datagram in;
    thread_t *thread;
    int ends[2];

    start(10);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    script.wait_for = ends[0];
    thread = thread_create(receives_for_ever, NULL);
    for (unsigned i = 0; i < 20; i++) {
        struct pollfd pfd = {.fd = jump_swan_carrier_fd(), .events = POLLIN};

        CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
        while (!jump_swan_carrier_next(&in))
            CU_ASSERT_EQUAL_FATAL(poll(&pfd, 1, 60000), 1);
    }
    thread->cancel(thread);
    thread->join(thread);
    close(ends[0]);
    close(ends[1]);
    script.wait_for = 0;
    CU_ASSERT_FALSE(passes(ours(PEER, 4500, 4500, true)));
    CU_ASSERT_TRUE(jump_swan_carrier_next(&in));
    stop();
}

static bool came_back;
static void *is_cancelled_on_the_way(void *unused)
{
    packet_t *out;

    thread_cancelability(TRUE);
    pthread_cancel(pthread_self()); /* waits for the next place where a thread may be cancelled */
    came_back = receive(&out) == FAILED;
    return unused;
}

static void test_strongswan_carrier_is_not_cancelled_with_a_packet_in_hand(void)
{
    struct jump_swan_datagram in;
    thread_t *thread;

    start(10);
    expect(ours(PEER, 4500, 4500, true)); /* the first of an empty ring: the eventfd is written */
    expect(ours(PEER, 4500, 4500, true));
    came_back = false;
    thread = thread_create(is_cancelled_on_the_way, NULL);
    thread->join(thread);
    CU_ASSERT_TRUE(came_back);
    CU_ASSERT_EQUAL(script.at, 2);
    CU_ASSERT_TRUE(jump_swan_carrier_next(&in));
    CU_ASSERT_TRUE(jump_swan_carrier_next(&in));
    stop();
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static struct jump_path path(const char *address, uint16_t port)
{
    host_t *host = host_create_from_string((char *)address, port);
    struct jump_path out;

    jump_swan_path_from_host(&out, host);
    host->destroy(host);
    return out;
}

static void test_strongswan_carrier_what_is_sent_is_what_a_peer_takes(void)
{
    static const struct {
        const char *from, *to;
        uint16_t from_port, to_port, expected_port;
        bool marker;
    } cases[] = {
        {OWN, PEER, 4500, 4500, 4500, true},        {OWN, PEER, 500, 500, 500, false},
        {OWN, PEER, 500, 61000, 500, false},        {OWN, PEER, 4500, 61000, 4500, true},
        {OWN, PEER, 4500, 500, 4500, false},        {OWN, PEER, 0, 4500, 4500, true},
        {OWN, PEER, 0, 500, 500, false},            {"::", PEER, 0, 61000, 4500, true},
        {"::", "2001:db8::7", 0, 4500, 4500, true}, {"2001:db8::1", "2001:db8::7", 4500, 4500, 4500, true},
        {OWN, "2001:db8::7", 0, 4500, 4500, true}, /* of another family: the system chooses */
    };

    start(10);
    for (unsigned i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        bool client = i & 1;
        struct jump_path local = path(cases[i / 2].from, cases[i / 2].from_port);
        struct jump_path to = path(cases[i / 2].to, cases[i / 2].to_port), seen;
        struct jump_swan_datagram in;
        host_t *src;

        for (size_t at = 0; at < sizeof message; at++)
            message[at] = (uint8_t)(at * 3 + i);
        jump_swan_carrier_send(&local, &to, client, message, sizeof message);
        CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
        src = sent->get_source(sent);
        CU_ASSERT_EQUAL(src->get_port(src), cases[i / 2].expected_port);
        CU_ASSERT_EQUAL(src->is_anyaddr(src), cases[i / 2].from[0] == ':' || i / 2 == 10);
        CU_ASSERT_EQUAL(src->get_family(src), strchr(cases[i / 2].to, ':') ? AF_INET6 : AF_INET);
        jump_swan_path_from_host(&seen, sent->get_destination(sent));
        CU_ASSERT_EQUAL(memcmp(&seen, &to, sizeof to), 0);
        CU_ASSERT_EQUAL(sent->get_data(sent).len,
                        (cases[i / 2].marker ? 4 : 0) + JUMP_SWAN_ENVELOPE_BYTES + sizeof message);
        CU_ASSERT_FALSE_FATAL(passes(sent));
        sent = NULL;
        CU_ASSERT_TRUE_FATAL(jump_swan_carrier_next(&in));
        CU_ASSERT_EQUAL(in.from_client, client);
        CU_ASSERT_EQUAL(memcmp(in.bytes, message, sizeof message), 0);
    }
    CU_ASSERT_EQUAL(counters().sent, 2 * sizeof cases / sizeof cases[0]);
    CU_ASSERT_EQUAL(lines, 0);
    stop();
}

static void test_strongswan_carrier_no_message_is_not_sent(void)
{
    static const uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES + 1];
    struct jump_path local = path(OWN, 4500), to = path(PEER, 4500);

    start(10);
    jump_swan_carrier_send(&local, &to, true, bytes, 0);
    jump_swan_carrier_send(&local, &to, true, bytes, 59);
    jump_swan_carrier_send(&local, &to, true, bytes, sizeof bytes);
    CU_ASSERT_PTR_NULL(sent);
    CU_ASSERT_EQUAL(counters().sent, 0);
    stop();
}

/* shortage.c knows libstrongswan alone, not charon's bus. */
static void said_by_library(debug_t group, level_t level, char *format, ...)
{
    (void)group, (void)level, (void)format;
    lines++;
}

static void test_strongswan_carrier_A36_without_memory_a_message_is_not_sent_and_said_once_in_a_while(void)
{
    static const uint8_t bytes[100];
    struct jump_path local = path(OWN, 4500), to = path(PEER, 4500);
    void (*before)(debug_t, level_t, char *, ...) = dbg;

    start(10);
    dbg = said_by_library;
    allocations_left = 0;
    for (unsigned i = 0; i < 100; i++)
        jump_swan_carrier_send(&local, &to, true, bytes, sizeof bytes);
    allocations_left = -1;
    CU_ASSERT_PTR_NULL(sent);
    CU_ASSERT_EQUAL(counters().sent, 0);
    dbg = before;
    CU_ASSERT_EQUAL(lines, 1);
    jump_swan_carrier_send(&local, &to, true, bytes, sizeof bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
    sent->destroy(sent);
    sent = NULL;
    stop();
}

static void test_strongswan_carrier_paths_and_hosts_are_the_same_thing(void)
{
    static const char *const addresses[] = {"203.0.113.7", "0.0.0.0", "2001:db8::1", "fe80::1", "::"};

    for (unsigned i = 0; i < 5; i++) {
        struct jump_path there, back;
        host_t *host;

        memset(&back, 0xa5, sizeof back);
        there = path(addresses[i], 61000);
        there.scope = i == 3 ? 7 : 0;
        host = jump_swan_host_from_path(&there);
        jump_swan_path_from_host(&back, host);
        host->destroy(host);
        CU_ASSERT_EQUAL(memcmp(&there, &back, sizeof there), 0);
        CU_ASSERT_EQUAL(there.port, 61000);
    }
}

/* --- begin and end ------------------------------------------------------------------------------------------------ */

static status_t (*before_the_wrapper)(socket_manager_t *, packet_t **);
static status_t wrapper(socket_manager_t *this, packet_t **packet)
{
    return before_the_wrapper(this, packet);
}

static void test_strongswan_carrier_end_leaves_who_came_later(void)
{
    struct jump_problem problem;
    packet_t *packet, *out;

    jump_swan_carrier_end(); /* without begin */
    start(10);
    CU_ASSERT_FALSE(jump_swan_carrier_begin(&problem, 10)); /* once is enough */
    passes(ours(PEER, 4500, 4500, true));                  /* and left in the ring */
    stop();
    start(10);
    CU_ASSERT_EQUAL(counters().received, 0);
    before_the_wrapper = fake_socket.receive;
    fake_socket.receive = wrapper;
    jump_swan_carrier_end();
    CU_ASSERT_PTR_EQUAL(fake_socket.receive, wrapper);
    packet = expect(ours(PEER, 4500, 4500, true));
    CU_ASSERT_TRUE(receive(&out) == SUCCESS && out == packet); /* only handed on */
    packet->destroy(packet);
    /* Behind the wrapper we stand already: once more would be a circle. Last of the tests, for that reason. */
    CU_ASSERT_FALSE(jump_swan_carrier_begin(&problem, 10));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "restart charon"));
}

#define TESTS(X)                                                                 \
    X(test_strongswan_carrier_ours_never_pass_foreign_ones_do_in_order)          \
    X(test_strongswan_carrier_what_charon_knows_passes_untouched)                \
    X(test_strongswan_carrier_marker_stands_where_no_port_is_500)                \
    X(test_strongswan_carrier_malformed_ones_are_neither_charons_nor_the_cores)  \
    X(test_strongswan_carrier_error_status_passes_through)                       \
    X(test_strongswan_carrier_ignored_interface_is_ignored)                      \
    X(test_strongswan_carrier_fd_is_readable_while_something_waits)              \
    X(test_strongswan_carrier_full_ring_drops_the_newest_and_wraps)              \
    X(test_strongswan_carrier_flood_is_bounded_and_says_so_once)              \
    X(test_strongswan_carrier_rate_grows_with_the_sessions)                      \
    X(test_strongswan_carrier_one_source_does_not_take_the_whole_rate)           \
    X(test_strongswan_carrier_cancelled_receiver_leaves_no_lock_and_no_packet)   \
    X(test_strongswan_carrier_is_not_cancelled_with_a_packet_in_hand)            \
    X(test_strongswan_carrier_what_is_sent_is_what_a_peer_takes)                 \
    X(test_strongswan_carrier_no_message_is_not_sent)                            \
    X(test_strongswan_carrier_A36_without_memory_a_message_is_not_sent_and_said_once_in_a_while) \
    X(test_strongswan_carrier_paths_and_hosts_are_the_same_thing)                \
    X(test_strongswan_carrier_end_leaves_who_came_later)

static const struct runner_test tests[] = {TESTS(RUNNER_ENTRY)};

int main(void)
{
    int result;

    library_init("", "test"); /* threads, and the key of chunk_hash */
    result = runner_main("strongswan_carrier", tests, sizeof tests / sizeof tests[0]);
    library_deinit();
    return result;
}
