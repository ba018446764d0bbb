/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who is told again that there was no path (adapters/strongswan/kick.c): the firewall's log comes from a socket pair here, and
 * what would leave by the raw sockets is kept.
 */
#include "fake_charon.h"
#include "strongswan/kick.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

/* --- sockets ------------------------------------------------------------------------------------------------------ */

#define RAW4 1000 /* no descriptors: close(2) refuses them, and nobody minds */
#define RAW6 1001
static bool refused_raw, refused_log;
static int log_ends[2] = {-1, -1};
static watcher_cb_t log_callback;
static uint16_t asked_group;

struct told {
    int fd;
    struct sockaddr_storage to;
    uint8_t bytes[128];
    size_t len;
};
static struct told told[3000];
static unsigned told_len;

int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
    (void)protocol;
    CU_ASSERT_EQUAL(type & SOCK_RAW, SOCK_RAW);
    return refused_raw ? -1 : family == AF_INET ? RAW4 : RAW6;
}

static unsigned deaf; /* raw sockets on which nothing arrives */
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    const struct sock_fprog *program = value;

    CU_ASSERT_TRUE(fd == RAW4 || fd == RAW6);
    deaf += level == SOL_SOCKET && name == SO_ATTACH_FILTER && len == sizeof *program && program->len == 1
            && program->filter->code == (BPF_RET | BPF_K) && program->filter->k == 0;
    return 0;
}

static bool address_here;
static unsigned address_asked;
static bool get_interface(kernel_interface_t *this, host_t *host, char **name)
{
    host_t *sender = host_create_from_string(host->get_family(host) == AF_INET ? "10.9.0.1" : "2001:db8::1", 0);

    (void)this;
    CU_ASSERT_PTR_NULL(name);
    CU_ASSERT_TRUE(host->ip_equals(host, sender));
    sender->destroy(sender);
    address_asked++;
    return address_here;
}

ssize_t __wrap_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
ssize_t __wrap_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
    CU_ASSERT_EQUAL(flags, MSG_DONTWAIT);
    CU_ASSERT_TRUE_FATAL(told_len < sizeof told / sizeof told[0] && len <= sizeof told[0].bytes);
    told[told_len].fd = fd;
    told[told_len].len = len;
    memcpy(told[told_len].bytes, bytes, len);
    memcpy(&told[told_len++].to, to, to_len);
    return (ssize_t)len;
}

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags);
struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags)
{
    (void)flags;
    CU_ASSERT_EQUAL(bus, NETLINK_NETFILTER);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, log_ends), 0);
    return (struct mnl_socket *)log_ends;
}
int __wrap_mnl_socket_get_fd(const struct mnl_socket *nl);
int __wrap_mnl_socket_get_fd(const struct mnl_socket *nl) { return ((const int *)nl)[0]; }
unsigned __wrap_mnl_socket_get_portid(const struct mnl_socket *nl);
unsigned __wrap_mnl_socket_get_portid(const struct mnl_socket *nl)
{
    (void)nl;
    return 0;
}
int __wrap_mnl_socket_bind(struct mnl_socket *nl, unsigned groups, pid_t pid);
int __wrap_mnl_socket_bind(struct mnl_socket *nl, unsigned groups, pid_t pid)
{
    (void)nl, (void)groups, (void)pid;
    return 0;
}
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *bytes, size_t len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *bytes, size_t len)
{
    const struct nfgenmsg *gen = mnl_nlmsg_get_payload(bytes);

    (void)nl;
    asked_group = ntohs(gen->res_id);
    return (ssize_t)len;
}
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *bytes, size_t len);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *bytes, size_t len)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
    struct nlmsgerr *error = mnl_nlmsg_put_extra_header(header, sizeof *error);

    (void)nl, (void)len;
    header->nlmsg_type = NLMSG_ERROR;
    error->error = refused_log ? -EBUSY : 0;
    return header->nlmsg_len;
}
int __wrap_mnl_socket_close(struct mnl_socket *nl);
int __wrap_mnl_socket_close(struct mnl_socket *nl)
{
    (void)nl;
    close(log_ends[0]);
    close(log_ends[1]);
    log_ends[0] = log_ends[1] = -1;
    return 0;
}

static void watch(watcher_t *this, int fd, watcher_event_t events, watcher_cb_t callback, void *data)
{
    (void)this, (void)data;
    CU_ASSERT_EQUAL(fd, log_ends[0]);
    CU_ASSERT_EQUAL(events, WATCHER_READ);
    log_callback = callback;
}

static void unwatch(watcher_t *this, int fd)
{
    (void)this;
    CU_ASSERT_EQUAL(fd, log_ends[0]);
    log_callback = NULL;
}

static int hook; /* where the firewall has seen what it shows; -1: it does not say */

static void kick_begin(void)
{
    begin();
    lib->watcher->add = watch;
    lib->watcher->remove = unwatch;
    fake_kernel.get_interface = get_interface;
    address_here = true;
    address_asked = deaf = told_len = 0;
    hook = NF_INET_FORWARD;
    asked_group = 0;
    refused_raw = refused_log = false;
    jump_swan_kick_begin();
}

static void kick_end(void)
{
    jump_swan_kick_end();
    CU_ASSERT_PTR_NULL(log_callback);
    CU_ASSERT_EQUAL(log_ends[0], -1);
    end();
}

/* --- packets ------------------------------------------------------------------------------------------------------ */

struct packet {
    uint8_t bytes[160];
    size_t len, tcp; /* tcp: where its header is */
};

/* TCP from port `from` to 443, with so much data. */
static struct packet packet_of(bool v6, uint16_t from, uint32_t seq, size_t data, uint8_t flags)
{
    struct packet p = {.tcp = v6 ? 40 : 20};
    size_t whole = p.tcp + 20 + data;

    p.len = whole < 128 ? whole : 128; /* as the log cuts it */
    if (v6) {
        p.bytes[0] = 0x60;
        p.bytes[4] = (uint8_t)((whole - 40) >> 8);
        p.bytes[5] = (uint8_t)(whole - 40);
        p.bytes[6] = IPPROTO_TCP;
        (void)inet_pton(AF_INET6, "2001:db8::1", p.bytes + 8);
        (void)inet_pton(AF_INET6, "2001:db8::2", p.bytes + 24);
    } else {
        p.bytes[0] = 0x45;
        p.bytes[2] = (uint8_t)(whole >> 8);
        p.bytes[3] = (uint8_t)whole;
        p.bytes[9] = IPPROTO_TCP;
        (void)inet_pton(AF_INET, "10.9.0.1", p.bytes + 12);
        (void)inet_pton(AF_INET, "10.8.0.1", p.bytes + 16);
    }
    p.bytes[p.tcp] = (uint8_t)(from >> 8);
    p.bytes[p.tcp + 1] = (uint8_t)from;
    p.bytes[p.tcp + 2] = 443 >> 8;
    p.bytes[p.tcp + 3] = 443 & 0xff;
    seq = htonl(seq);
    memcpy(p.bytes + p.tcp + 4, &seq, sizeof seq);
    p.bytes[p.tcp + 12] = 5 << 4;
    p.bytes[p.tcp + 13] = flags;
    return p;
}

/* The firewall shows it. */
static void shown(struct packet p)
{
    uint8_t buffer[512];
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    struct nfulnl_msg_packet_hdr where = {.hook = (uint8_t)hook};

    header->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
    (void)mnl_nlmsg_put_extra_header(header, sizeof(struct nfgenmsg));
    if (hook >= 0)
        mnl_attr_put(header, NFULA_PACKET_HDR, sizeof where, &where);
    mnl_attr_put_u32(header, NFULA_MARK, 7);
    mnl_attr_put(header, NFULA_PAYLOAD, p.len, p.bytes);
    CU_ASSERT_EQUAL(send(log_ends[1], buffer, header->nlmsg_len, 0), (ssize_t)header->nlmsg_len);
    CU_ASSERT_TRUE(log_callback(NULL, log_ends[0], WATCHER_READ));
}

/* The same connection from one of many hosts. */
static struct packet packet_from(uint16_t host, uint16_t port)
{
    struct packet p = packet_of(false, port, 1000, 100, TH_ACK);

    p.bytes[14] = (uint8_t)(host >> 8);
    p.bytes[15] = (uint8_t)host;
    return p;
}

/* It is shown, and the answer to it is left out of what is looked at. */
static void answered(struct packet p)
{
    shown(p);
    told_len = 0;
}

/* How many times the sender of this one is told. */
static unsigned times(struct packet p)
{
    unsigned count = 0;

    for (unsigned i = 0; i < told_len; i++)
        count += told[i].len == 8 + p.tcp + 8 && memcmp(told[i].bytes + 8, p.bytes, p.tcp + 8) == 0;
    return count;
}

static bool sums_to_zero(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

static void test_strongswan_kick_the_sender_is_answered_and_told_nine_times_at_the_end(void)
{
    struct packet p = packet_of(false, 40000, 1000, 100, TH_ACK | TH_PUSH);
    struct in_addr sender;

    kick_begin();
    CU_ASSERT_EQUAL(asked_group, JUMP_SWAN_LOG_GROUP);
    CU_ASSERT_EQUAL(deaf, 2);
    shown(p);
    CU_ASSERT_EQUAL(told_len, 1); /* at once */
    CU_ASSERT_EQUAL(times(p), 1);
    told_len = 0;
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 9);
    CU_ASSERT_EQUAL(times(p), 9);
    CU_ASSERT_EQUAL(told[0].fd, RAW4);
    CU_ASSERT_EQUAL(told[0].bytes[0], 3);
    CU_ASSERT_EQUAL(told[0].bytes[1], 1);
    CU_ASSERT_TRUE(sums_to_zero(told[0].bytes, told[0].len));
    (void)inet_pton(AF_INET, "10.9.0.1", &sender);
    CU_ASSERT_EQUAL(((struct sockaddr_in *)&told[0].to)->sin_addr.s_addr, sender.s_addr);
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 9);
    kick_end();
}

static void test_strongswan_kick_ipv6_is_told_so_in_its_own_words(void)
{
    struct packet p = packet_of(true, 40000, 1000, 100, TH_ACK | TH_PUSH);
    struct in6_addr sender;

    kick_begin();
    answered(p);
    jump_swan_kick();
    CU_ASSERT_EQUAL(times(p), 9);
    CU_ASSERT_EQUAL(told[0].fd, RAW6);
    CU_ASSERT_EQUAL(told[0].bytes[0], 1);
    CU_ASSERT_EQUAL(told[0].bytes[1], 3);
    (void)inet_pton(AF_INET6, "2001:db8::1", &sender);
    CU_ASSERT_EQUAL(memcmp(&((struct sockaddr_in6 *)&told[0].to)->sin6_addr, &sender, sizeof sender), 0);
    kick_end();
}

static void test_strongswan_kick_of_a_connection_the_newest_header_counts(void)
{
    struct packet first = packet_of(false, 40000, 1000, 100, TH_ACK | TH_PUSH),
                  newest = packet_of(false, 40000, 900, 100, TH_ACK | TH_PUSH), /* tried again from its beginning */
                  neighbour = packet_of(false, 40001, 5, 100, TH_ACK | TH_PUSH);

    kick_begin();
    answered(first);
    answered(neighbour);
    answered(newest);
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 18);
    CU_ASSERT_EQUAL(times(first), 0);
    CU_ASSERT_EQUAL(times(newest), 9);
    CU_ASSERT_EQUAL(times(neighbour), 9);
    kick_end();
}

static void test_strongswan_kick_what_will_not_be_tried_again_is_not_answered_nor_kept(void)
{
    struct packet odd;

    kick_begin();
    for (int v6 = 0; v6 < 2; v6++) {
        shown(packet_of(v6, 40000, 1000, 0, TH_ACK)); /* nothing in it */
        odd = packet_of(v6, 40001, 1000, 100, TH_ACK);
        odd.bytes[v6 ? 6 : 9] = IPPROTO_UDP;
        shown(odd);
        odd = packet_of(v6, 40002, 1000, 100, TH_ACK);
        odd.len = odd.tcp + 19; /* no whole header */
        shown(odd);
        odd.len = 3;
        shown(odd);
    }
    odd = packet_of(false, 40003, 1000, 100, TH_ACK);
    odd.bytes[0] = 0x44; /* a header that is none */
    shown(odd);
    odd.bytes[0] = 0x4f; /* ... longer than what is here */
    odd.len = 60;
    shown(odd);
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 0);
    shown(packet_of(false, 40004, 1000, 0, TH_ACK | TH_FIN)); /* an end is tried again */
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 1 + 9);
    kick_end();
}

static void test_strongswan_kick_what_was_answered_long_ago_has_given_up_or_come_back(void)
{
    struct packet old = packet_of(false, 40000, 1000, 100, TH_ACK), young = packet_of(false, 40001, 1000, 100, TH_ACK);

    kick_begin();
    answered(old);
    now += JUMP_MS(2000);
    answered(young);
    now += JUMP_MS(129000);
    jump_swan_kick();
    CU_ASSERT_EQUAL(times(old), 0);
    CU_ASSERT_EQUAL(times(young), 9);
    kick_end();
}

static void test_strongswan_kick_of_too_many_the_oldest_is_forgotten(void)
{
    kick_begin();
    for (uint16_t i = 0; i < 300; i++) {
        now += JUMP_MS(10);
        answered(packet_from(i, 40000));
    }
    now += JUMP_MS(5000);
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 256 * 9);
    CU_ASSERT_EQUAL(times(packet_from(43, 40000)), 0);
    CU_ASSERT_EQUAL(times(packet_from(44, 40000)), 9);
    CU_ASSERT_EQUAL(times(packet_from(299, 40000)), 9);
    kick_end();
}

static void test_strongswan_kick_two_hosts_have_sixteen_places(void)
{
    kick_begin();
    answered(packet_from(1, 40000));
    for (uint16_t i = 0; i < 300; i++) {
        now += JUMP_MS(10);
        answered(packet_from(2, 40000 + i));
    }
    answered(packet_from(2, 40290)); /* takes nobody's place */
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 17 * 9);
    CU_ASSERT_EQUAL(times(packet_from(1, 40000)), 9);
    CU_ASSERT_EQUAL(times(packet_from(2, 40283)), 0);
    CU_ASSERT_EQUAL(times(packet_from(2, 40284)), 9);
    CU_ASSERT_EQUAL(times(packet_from(2, 40290)), 9);
    kick_end();
}

static void test_strongswan_kick_a_windows_packets_need_one_answer(void)
{
    kick_begin();
    for (uint32_t i = 0; i < 50; i++)
        shown(packet_of(false, 40000, 1000 + 100 * i, 100, TH_ACK));
    shown(packet_of(false, 40001, 1000, 100, TH_ACK)); /* another's */
    CU_ASSERT_EQUAL(told_len, 2);
    now += JUMP_MS(99);
    shown(packet_of(false, 40000, 1000, 100, TH_ACK));
    CU_ASSERT_EQUAL(told_len, 2);
    now += JUMP_MS(1);
    shown(packet_of(false, 40000, 1000, 100, TH_ACK));
    CU_ASSERT_EQUAL(told_len, 3);
    kick_end();
}

static void test_strongswan_kick_nothing_is_quoted_to_an_address_that_is_this_hosts_no_more(void)
{
    static const int hooks[] = {NF_INET_LOCAL_OUT, -1}; /* what is not said may be */

    for (int v6 = 0; v6 < 2; v6++)
        for (size_t i = 0; i < 2; i++) {
            struct packet p = packet_of(v6, 40000, 1000, 100, TH_ACK);

            kick_begin();
            hook = hooks[i];
            shown(p);
            CU_ASSERT_EQUAL(told_len, 1);
            CU_ASSERT_EQUAL(address_asked, 0); /* it has just sent that */
            jump_swan_kick();
            CU_ASSERT_EQUAL(address_asked, 1);
            CU_ASSERT_EQUAL(times(p), 1 + 9);
            answered(p);
            address_here = false;
            jump_swan_kick();
            CU_ASSERT_EQUAL(told_len, 0);
            hook = NF_INET_FORWARD; /* of a host behind this one */
            answered(p);
            jump_swan_kick();
            CU_ASSERT_EQUAL(times(p), 9);
            kick_end();
        }
}

static void test_strongswan_kick_other_messages_of_the_log_are_passed_over(void)
{
    uint8_t noise[64] = {0};

    kick_begin();
    CU_ASSERT_EQUAL(send(log_ends[1], noise, sizeof noise, 0), (ssize_t)sizeof noise);
    CU_ASSERT_EQUAL(send(log_ends[1], noise, 3, 0), 3);
    CU_ASSERT_TRUE(log_callback(NULL, log_ends[0], WATCHER_READ));
    answered(packet_of(false, 40000, 1000, 100, TH_ACK));
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 9);
    kick_end();
}

static void test_strongswan_kick_without_a_log_or_sockets_says_so_and_does_nothing(void)
{
    kick_begin();
    jump_swan_kick_end();
    refused_log = true; /* somebody else has the group */
    lines = 0;
    jump_swan_kick_begin();
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_EQUAL(log_ends[0], -1);
    jump_swan_kick();
    jump_swan_kick_end();
    refused_log = false;
    refused_raw = true;
    jump_swan_kick_begin();
    CU_ASSERT_EQUAL(lines, 2);
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 0);
    kick_end();
}

static void test_strongswan_kick_a_thousand_a_second_and_what_is_left_out_is_woken(void)
{
    struct packet last = packet_of(false, 40009, 7, 100, TH_ACK);

    kick_begin();
    for (uint16_t i = 0; i < 1500; i++)
        shown(packet_from(i, 40000));
    CU_ASSERT_EQUAL(told_len, 1000);
    told_len = 0;
    shown(last);
    CU_ASSERT_EQUAL(told_len, 0);
    now += JUMP_MS(500);
    for (uint16_t i = 0; i < 1000; i++)
        shown(packet_from(i, 40001));
    CU_ASSERT_EQUAL(told_len, 500);
    told_len = 0;
    shown(last);
    jump_swan_kick(); /* out of what is left of the burst */
    CU_ASSERT_EQUAL(told_len, 256 * 9 - 1000);
    CU_ASSERT_EQUAL(times(last), 9);
    told_len = 0;
    for (uint16_t i = 0; i < 256; i++)
        shown(packet_from(i, 40000));
    jump_swan_kick(); /* and of another hole, at once: nothing is left */
    CU_ASSERT_EQUAL(told_len, 0);
    now += JUMP_MS(90);
    for (uint16_t i = 0; i < 256; i++)
        shown(packet_from(i, 40000));
    jump_swan_kick();
    CU_ASSERT_EQUAL(told_len, 90);
    kick_end();
}

#define TESTS(X)                                                                     \
    X(test_strongswan_kick_the_sender_is_answered_and_told_nine_times_at_the_end)    \
    X(test_strongswan_kick_ipv6_is_told_so_in_its_own_words)                         \
    X(test_strongswan_kick_of_a_connection_the_newest_header_counts)                 \
    X(test_strongswan_kick_what_will_not_be_tried_again_is_not_answered_nor_kept)    \
    X(test_strongswan_kick_a_thousand_a_second_and_what_is_left_out_is_woken)        \
    X(test_strongswan_kick_a_windows_packets_need_one_answer)                        \
    X(test_strongswan_kick_two_hosts_have_sixteen_places)                            \
    X(test_strongswan_kick_nothing_is_quoted_to_an_address_that_is_this_hosts_no_more) \
    X(test_strongswan_kick_what_was_answered_long_ago_has_given_up_or_come_back)     \
    X(test_strongswan_kick_of_too_many_the_oldest_is_forgotten)                      \
    X(test_strongswan_kick_other_messages_of_the_log_are_passed_over)                \
    X(test_strongswan_kick_without_a_log_or_sockets_says_so_and_does_nothing)
RUN_TESTS("strongswan_kick", TESTS)
