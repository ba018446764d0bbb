/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The import slots when the kernel takes nothing (adapters/openvpn/io.c): no memory for a packet, a full queue, a
 * filter that refuses. This program's own calls stand for OpenVPN's, through its own slots; behind them is no network.
 * Read next: adapters/openvpn/io.c, test_openvpn_loop.c (the same for what is held and for the core's own datagrams).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "openvpn/adapter.h"
#include "openvpn/sockaddr.h"
#include "runner.h"
#include "system/clock.h"

#define PEERS 4u

static const int reasons[] = { ENOBUFS, EAGAIN, EPERM, ENOMEM };
#define REASONS (sizeof reasons / sizeof reasons[0])

static jump_time now;
static struct jump_ovpn o;
static jump_host moved, silent;
static int refusal;
static unsigned sends, polls, polls_without_wait;
static volatile sig_atomic_t signals;
static int signal_at_send; /* it comes while our own code sends; 0: none */
static struct jump_path last_to;

/* In place of adapters/system/clock.c: the linker takes these first. */
jump_time jump_clock_now(void)
{
    return now;
}

uint64_t jump_clock_wall_ms(void)
{
    return now / JUMP_MS(1);
}

static ssize_t send_it(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address, socklen_t n)
{
    (void)fd, (void)bytes, (void)flags;
    sends++;
    if (signal_at_send != 0)
        (void)raise(signal_at_send);
    (void)jump_sockaddr_to_path(&last_to, address, n);
    if (refusal == 0)
        return (ssize_t)len;
    errno = refusal;
    return -1;
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags)
{
    return send_it(fd, NULL, message->msg_iov->iov_len, flags, message->msg_name, message->msg_namelen);
}

/* Time is ours: it waits for no packet and no time, and is interrupted by what was held back for it. */
static int wait_for_nothing(struct pollfd *fds, nfds_t fds_len, const struct timespec *span, const sigset_t *let_in)
{
    const struct timespec none = { 0 };
    jump_time wait_for = span == NULL ? 0 : (jump_time)span->tv_sec * JUMP_MS(1000) + (jump_time)span->tv_nsec;
    (void)fds, (void)fds_len;
    polls++;
    polls_without_wait += wait_for == 0;
    if (ppoll(NULL, 0, &none, let_in) < 0)
        return -1;
    now += wait_for;
    return 0;
}

static void note_signal(int number)
{
    (void)number;
    signals++;
}

static struct jump_path path_of(unsigned n)
{
    return (struct jump_path){ .ip = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = (uint8_t)n }, .port = 5000 };
}

static jump_host session_at(unsigned n)
{
    jump_host host;
    struct jump_path path = path_of(n);
    const struct jump_id id = { { (uint8_t)n } };
    CU_ASSERT_EQUAL_FATAL(jump_map_open(o.map, &host, &path), 0);
    jump_map_bind(o.map, host, &id, &path, false, now);
    return host;
}

static uint32_t number_of(jump_host host)
{
    return (uint32_t)(host & 0xffffff);
}

/* Session 1 is where it was born, 2 has moved to 20, 3 has no path; 4 is nobody's address. */
static void begin(void)
{
    /* The other slots that have to be there. */
    ssize_t (*volatile receive)(int, void *, size_t, int, struct sockaddr *, socklen_t *) = recvfrom;
    ssize_t (*volatile receive_message)(int, struct msghdr *, int) = recvmsg;
    static const uint8_t key[JUMP_MAP_KEY_BYTES] = { 1 };
    struct jump_config config = { .role = JUMP_SERVER, .host_kind = JUMP_HOST_OPENVPN, .max_sessions = PEERS,
                                  .unique_path = true, .boot = 1 };
    struct jump_policy_draft draft;
    struct jump_problem problem;
    CU_ASSERT_TRUE(receive != NULL && receive_message != NULL);
    now = JUMP_MS(1000000);
    refusal = signal_at_send = 0;
    signals = 0;
    sends = polls = polls_without_wait = 0;
    memset(&o, 0, sizeof o);
    jump_policy_begin(&draft);
    config.policy = draft.policy;
    o.instance.engine_memory_len = jump_engine_bytes(&config);
    o.instance.engine_memory = malloc(o.instance.engine_memory_len);
    CU_ASSERT_EQUAL_FATAL(jump_engine_init(&o.instance.engine, o.instance.engine_memory, o.instance.engine_memory_len, &config, now), 0);
    o.map_memory_len = jump_map_bytes(PEERS);
    o.map_memory = malloc(o.map_memory_len);
    o.map = jump_map_init(o.map_memory, o.map_memory_len, PEERS, key);
    o.hold = jump_hold_open(2 * PEERS, JUMP_HOLD_PACKETS, JUMP_HOLD_POOL_BYTES);
    CU_ASSERT_TRUE_FATAL(jump_ovpn_rounds_begin(&o, 2 * PEERS));
    o.arguments.role = JUMP_SERVER;
    jump_ovpn_be_host(&o.instance.host, &o);
    o.restart_at = JUMP_NEVER;
    o.instance.now = now;
    o.link_fd = socket(AF_INET, SOCK_DGRAM, 0);
    o.facts.multihome = true;
    jump_ovpn_instance = &o;
    CU_ASSERT_TRUE_FATAL(jump_ovpn_io_begin(&o, &problem));
    o.real.sendto = send_it;
    o.real.sendmsg = send_message;
    o.real.ppoll = wait_for_nothing;
    (void)session_at(1);
    moved = session_at(2);
    silent = session_at(3);
    struct jump_id id = { { 2 } }, other = { { 3 } };
    struct jump_path path = path_of(20);
    jump_map_bind(o.map, moved, &id, &path, false, now);
    jump_map_unbind(o.map, silent, &other);
}

static void end(void)
{
    jump_ovpn_io_end(&o);
    jump_ovpn_instance = NULL;
    jump_engine_wipe(o.instance.engine);
    free(o.instance.engine_memory);
    free(o.map_memory);
    jump_hold_close(o.hold);
    jump_ovpn_rounds_end(&o);
    close(o.link_fd);
}

/* As OpenVPN does: by the address that it knows. */
static ssize_t openvpn_sends(unsigned to, bool as_message)
{
    ssize_t (*volatile send_to)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = sendto;
    ssize_t (*volatile send_msg)(int, const struct msghdr *, int) = sendmsg;
    uint8_t packet[60] = { JUMP_OVPN_DATA_V2 << 3 };
    struct sockaddr_storage address;
    struct jump_path path = path_of(to);
    socklen_t len = jump_sockaddr_from_path(&address, &path, false);
    struct iovec part = { .iov_base = packet, .iov_len = sizeof packet };
    struct msghdr message = { .msg_name = &address, .msg_namelen = len, .msg_iov = &part, .msg_iovlen = 1 };
    errno = 0;
    return as_message ? send_msg(o.link_fd, &message, 0)
                      : send_to(o.link_fd, packet, sizeof packet, 0, (const struct sockaddr *)&address, len);
}

static int openvpn_waits(int timeout)
{
    int (*volatile wait_for)(struct pollfd *, nfds_t, int) = poll; /* what its slot holds by now */
    return wait_for(NULL, 0, timeout);
}

static bool is_at(const struct jump_path *path, unsigned n)
{
    struct jump_path wanted = path_of(n);
    return jump_sockaddr_same_place(path, &wanted);
}

static void test_openvpn_io_a_refused_send_is_openvpns_to_see_and_changes_nothing(void)
{
    begin();
    for (size_t i = 0; i < REASONS; i++)
        for (unsigned to = 1; to <= 4; to++)
            for (int as_message = 0; as_message < 2; as_message++) {
                if (to == 3)
                    continue;
                refusal = reasons[i];
                sends = 0;
                CU_ASSERT_EQUAL(openvpn_sends(to, as_message), -1);
                CU_ASSERT_EQUAL(errno, reasons[i]);
                CU_ASSERT_EQUAL(sends, 1); /* nobody but OpenVPN tries it again */
                CU_ASSERT_FALSE(jump_hold_any(o.hold) || o.advice_waits);
                refusal = 0;
                CU_ASSERT_EQUAL(openvpn_sends(to, as_message), 60);
                CU_ASSERT_TRUE(is_at(&last_to, to == 2 ? 20 : to));
            }
    CU_ASSERT_TRUE(jump_map_find(o.map, moved)->bound);
    end();
}

static void test_openvpn_io_our_own_refused_send_keeps_its_error(void)
{
    static struct jump_ovpn_pktinfo from[2 * PEERS];
    const uint8_t bytes[40] = { JUMP_MAP_ENVELOPE_BYTE };
    struct jump_path to = path_of(20);
    begin();
    for (size_t i = 0; i < REASONS; i++)
        for (int multihome = 0; multihome < 2; multihome++) {
            o.peer_pktinfo = multihome ? from : NULL;
            refusal = reasons[i];
            sends = 0;
            errno = 0;
            CU_ASSERT_EQUAL(jump_ovpn_link_send(&o, &to, number_of(moved), bytes, sizeof bytes), -1);
            CU_ASSERT_EQUAL(errno, reasons[i]);
            CU_ASSERT_EQUAL(sends, 1);
        }
    end();
}

/* ICMP is advice. A full queue says nothing of the path. */
static void test_openvpn_io_a_refused_send_is_no_advice_to_a_client(void)
{
    begin();
    o.arguments.role = JUMP_CLIENT;
    for (size_t i = 0; i < REASONS; i++) {
        errno = reasons[i];
        CU_ASSERT_EQUAL(jump_ovpn_came_of(&o, o.link_fd, -1), -1);
        CU_ASSERT_TRUE(errno == reasons[i] && !o.advice_waits);
    }
    end();
}

static void test_openvpn_io_the_wait_for_a_full_queue_is_a_wait(void)
{
    struct jump_id id = { { 3 } };
    struct jump_path path = path_of(30);
    begin();
    CU_ASSERT_EQUAL(openvpn_sends(3, false), 60); /* it has no path: held */
    jump_map_bind(o.map, silent, &id, &path, false, now);
    jump_ovpn_numbers_add(&o.behind, number_of(silent));
    o.flush_at = now;
    refusal = ENOBUFS;
    CU_ASSERT_EQUAL(openvpn_sends(3, true), 60); /* behind the other one: OpenVPN has sent it */
    CU_ASSERT_EQUAL(jump_hold_counters(o.hold)->packets, 2);
    sends = 0;
    CU_ASSERT_EQUAL(openvpn_waits(50), 0);
    CU_ASSERT_TRUE(polls > 0 && sends > 0);
    CU_ASSERT_EQUAL(polls_without_wait, 0);
    CU_ASSERT_TRUE(polls <= 51 && sends <= 51); /* once in a millisecond */
    CU_ASSERT_EQUAL(jump_hold_counters(o.hold)->packets, 2);
    refusal = 0;
    CU_ASSERT_EQUAL(openvpn_waits(50), 0);
    CU_ASSERT_FALSE(jump_hold_any(o.hold));
    CU_ASSERT_EQUAL(jump_hold_counters(o.hold)->dropped, 0);
    CU_ASSERT_TRUE(is_at(&last_to, 30));
    CU_ASSERT_TRUE(polls <= 51 + 3); /* and nothing is left to wake for */
    end();
}

/* OpenVPN looked before it waited, and looks again after it: for up to 10 s it would not know. */
static void test_openvpn_io_a_signal_that_comes_in_our_own_work_ends_the_wait(void)
{
    struct sigaction noted = { .sa_handler = note_signal }, before;
    sigset_t mask;
    jump_time began;
    begin();
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGTERM, &noted, &before), 0);
    CU_ASSERT_EQUAL(openvpn_sends(3, false), 60); /* held */
    jump_ovpn_numbers_add(&o.behind, number_of(silent));
    struct jump_id id = { { 3 } };
    struct jump_path path = path_of(30);
    jump_map_bind(o.map, silent, &id, &path, false, now);
    o.flush_at = now;
    signal_at_send = SIGTERM;
    began = now;
    errno = 0;
    CU_ASSERT_EQUAL(openvpn_waits(10000), -1);
    CU_ASSERT_EQUAL(errno, EINTR);
    CU_ASSERT_EQUAL(sends, 1);
    CU_ASSERT_EQUAL(signals, 1);
    CU_ASSERT_EQUAL(polls, 1);
    CU_ASSERT_EQUAL(now, began);
    CU_ASSERT_EQUAL(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    CU_ASSERT_FALSE(sigismember(&mask, SIGTERM)); /* and nothing stays blocked */
    signal_at_send = 0;
    CU_ASSERT_EQUAL(openvpn_waits(50), 0);
    CU_ASSERT_EQUAL(sigaction(SIGTERM, &before, NULL), 0);
    end();
}

#define TESTS(X)                                                               \
    X(test_openvpn_io_a_refused_send_is_openvpns_to_see_and_changes_nothing)   \
    X(test_openvpn_io_our_own_refused_send_keeps_its_error)                    \
    X(test_openvpn_io_a_refused_send_is_no_advice_to_a_client)                 \
    X(test_openvpn_io_the_wait_for_a_full_queue_is_a_wait)                     \
    X(test_openvpn_io_a_signal_that_comes_in_our_own_work_ends_the_wait)

RUN_TESTS("openvpn_io", TESTS)
