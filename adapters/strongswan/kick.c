/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Kernel ESP: what the firewall shows (NFLOG, reject.c) is answered with a host-unreachable, so that its sender goes on trying
 * at the pace that it had before. And wakes it when its session has a path again: of each connection the newest header is
 * kept, and its sender gets that back in a few host-unreachables at once. Each takes one doubling off its back-off (RFC
 * 6069), until its next try is now.
 *
 * Nothing is sent but ICMP, to the sender of what is quoted; of a packet no more than its headers is ever here. But those
 * were to leave encrypted: nobody is answered who is not on this host or came in plain (reject.c), and a sender on this host
 * is woken only if its address is still here. A connection of a session that is still unbound tries once more than it would
 * have, and is answered and kept again.
 */
#include "strongswan/adapter.h" /* first: strongSwan's headers use names that the system's make macros of */
#include "strongswan/kick.h"
#include "system/clock.h"

#include <processing/watcher.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#define FLOWS 256u
#define PAIR_FLOWS 16u         /* of two hosts; the rest of the table is others' */
#define QUOTE_BYTES (60u + 8u) /* the longest IPv4 header, and the ports and the sequence number; IPv6 without extensions */
#define TIMES 9u               /* from two minutes, where a back-off ends, down to a fifth of a second */
#define FRESH JUMP_MS(130000)
#define PER_S 1000u            /* answers and wakes; what is left out tries more rarely */
#define ANSWERS_AT_ONCE 1000u  /* the rest of the burst is there to wake */
#define AT_ONCE (FLOWS * TIMES)
#define ANSWER_EACH JUMP_MS(100) /* a window's packets need one answer; the shortest back-off is twice that */

struct flow {
    jump_time seen_at, answered_at; /* 0: none, never */
    uint8_t quote[QUOTE_BYTES];
    size_t quote_len, key_from; /* the key is what lies there: addresses and ports */
    bool v6, local; /* local: sent by this very host */
};

static mutex_t *lock; /* of what follows; NULL: there is nothing */
static struct flow flows[FLOWS];
static struct mnl_socket *log_socket;
static int raw4 = -1, raw6 = -1;
static jump_time full_at; /* the bucket's: when it is full again */

static bool same_pair(const struct flow *a, const struct flow *b)
{
    return a->seen_at != 0 && a->v6 == b->v6 && memcmp(a->quote + a->key_from, b->quote + b->key_from, a->v6 ? 32 : 8) == 0;
}

static bool same_flow(const struct flow *a, const struct flow *b)
{
    return same_pair(a, b) && memcmp(a->quote + a->quote_len - 8, b->quote + b->quote_len - 8, 4) == 0;
}

/* What carries data or an end is what will be tried again. */
static bool read_packet(struct flow *flow, const uint8_t *bytes, size_t len)
{
    size_t header, whole;
    const uint8_t *tcp;

    if (len < sizeof(struct ip))
        return false;
    flow->v6 = bytes[0] >> 4 == 6;
    header = flow->v6 ? sizeof(struct ip6_hdr) : (bytes[0] & 15u) * 4u;
    if (header < sizeof(struct ip) || len < header + sizeof(struct tcphdr) || bytes[flow->v6 ? 6 : 9] != IPPROTO_TCP)
        return false;
    whole = flow->v6 ? header + (size_t)(bytes[4] << 8 | bytes[5]) : (size_t)(bytes[2] << 8 | bytes[3]);
    tcp = bytes + header;
    if (whole != 0 && whole <= header + (tcp[12] >> 4) * 4u && !(tcp[13] & TH_FIN))
        return false;
    flow->key_from = flow->v6 ? 8 : 12;
    flow->quote_len = header + 8;
    memcpy(flow->quote, bytes, flow->quote_len);
    flow->seen_at = jump_clock_now();
    return true;
}

/* Under the lock. @return where it is kept */
static struct flow *remember(const struct flow *fresh)
{
    struct flow *place = &flows[0], *of_pair = NULL;
    jump_time answered_at = 0;
    size_t of_pair_len = 0;

    for (size_t i = 0; i < FLOWS; i++) {
        if (same_flow(&flows[i], fresh)) {
            place = &flows[i];
            answered_at = place->answered_at;
            break; /* at most 15 of its pair came before it */
        }
        if (same_pair(&flows[i], fresh) && (of_pair_len++ == 0 || flows[i].seen_at < of_pair->seen_at))
            of_pair = &flows[i];
        if (flows[i].seen_at < place->seen_at)
            place = &flows[i];
    }
    if (of_pair_len >= PAIR_FLOWS)
        place = of_pair;
    *place = *fresh;
    place->answered_at = answered_at;
    return place;
}

/* Under the lock. @return how many of those wanted may leave now, where up to at_once may have */
static unsigned take(jump_time now, unsigned wanted, unsigned at_once)
{
    const jump_time each = JUMP_MS(1000) / PER_S;
    unsigned taken = 0;

    if (full_at < now)
        full_at = now;
    for (; taken < wanted && full_at - now + each <= at_once * each; taken++)
        full_at += each;
    return taken;
}

static uint16_t checksum(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void tell(const struct flow *flow, unsigned times)
{
    uint8_t bytes[8 + QUOTE_BYTES] = {flow->v6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH,
                                      flow->v6 ? ICMP6_DST_UNREACH_ADDR : ICMP_HOST_UNREACH};
    struct sockaddr_in to4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    size_t len = 8 + flow->quote_len;
    uint16_t sum;

    memcpy(bytes + 8, flow->quote, flow->quote_len);
    memcpy(&to4.sin_addr, flow->quote + 12, sizeof to4.sin_addr);
    memcpy(&to6.sin6_addr, flow->quote + 8, sizeof to6.sin6_addr);
    sum = checksum(bytes, len);
    if (!flow->v6) /* the kernel does it for ICMPv6 */
        memcpy(bytes + 2, &sum, sizeof sum);
    for (unsigned i = 0; i < times; i++)
        (void)sendto(flow->v6 ? raw6 : raw4, bytes, len, MSG_DONTWAIT, flow->v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
                     flow->v6 ? sizeof to6 : sizeof to4);
}

/* The quoted headers were to leave encrypted. A host behind this one has them already; to an address that was this host's when
 * it sent them, and is no more, they would leave in the clear. */
static bool may_wake(const struct flow *flow)
{
    chunk_t address = chunk_create((uint8_t *)flow->quote + flow->key_from, flow->v6 ? 16 : 4);
    host_t *sender;
    bool here;

    if (!flow->local)
        return true;
    sender = host_create_from_chunk(flow->v6 ? AF_INET6 : AF_INET, address, 0);
    here = sender != NULL && charon->kernel->get_interface(charon->kernel, sender, NULL);
    DESTROY_IF(sender);
    return here;
}

void jump_swan_kick(void)
{
    struct flow taken[FLOWS];
    jump_time now = jump_clock_now();

    if (lock == NULL)
        return;
    lock->lock(lock);
    memcpy(taken, flows, sizeof taken);
    memset(flows, 0, sizeof flows);
    lock->unlock(lock);
    for (size_t i = 0; i < FLOWS; i++) {
        unsigned times;

        if (taken[i].seen_at == 0 || now - taken[i].seen_at >= FRESH || !may_wake(&taken[i]))
            continue;
        lock->lock(lock);
        times = take(now, TIMES, AT_ONCE);
        lock->unlock(lock);
        tell(&taken[i], times);
    }
}

/* The firewall's log */

static void on_packet(const uint8_t *bytes, size_t len, bool local)
{
    struct flow fresh = {.local = local}, *kept;
    bool answer;

    if (!read_packet(&fresh, bytes, len))
        return;
    lock->lock(lock);
    kept = remember(&fresh);
    answer = (kept->answered_at == 0 || fresh.seen_at - kept->answered_at >= ANSWER_EACH)
             && take(fresh.seen_at, 1, ANSWERS_AT_ONCE) > 0;
    if (answer)
        kept->answered_at = fresh.seen_at;
    lock->unlock(lock);
    if (answer)
        tell(&fresh, 1);
}

struct shown {
    const struct nlattr *hook, *payload; /* NULL: none */
};

static int on_attribute(const struct nlattr *attribute, void *data)
{
    struct shown *shown = data;

    if (mnl_attr_get_type(attribute) == NFULA_PAYLOAD)
        shown->payload = attribute;
    else if (mnl_attr_get_type(attribute) == NFULA_PACKET_HDR
             && mnl_attr_get_payload_len(attribute) >= sizeof(struct nfulnl_msg_packet_hdr))
        shown->hook = attribute;
    return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *header, void *data)
{
    struct shown shown = {.hook = NULL};
    struct nfulnl_msg_packet_hdr packet = {.hook = NF_INET_LOCAL_OUT};

    if (header->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)
        || mnl_attr_parse(header, sizeof(struct nfgenmsg), on_attribute, &shown) < 0 || shown.payload == NULL)
        return MNL_CB_OK;
    if (shown.hook != NULL)
        memcpy(&packet, mnl_attr_get_payload(shown.hook), sizeof packet);
    on_packet(mnl_attr_get_payload(shown.payload), mnl_attr_get_payload_len(shown.payload), packet.hook == NF_INET_LOCAL_OUT);
    return MNL_CB_OK;
}

static bool on_log(void *data, int fd, watcher_event_t event)
{
    uint8_t buffer[16384];
    ssize_t len;

    for (int i = 0; i < 64 && (len = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0; i++)
        (void)mnl_cb_run(buffer, (size_t)len, 0, 0, on_message, NULL);
    return TRUE;
}

static bool ask_for_log(struct mnl_socket *nl)
{
    struct nfulnl_msg_config_cmd bind = {.command = NFULNL_CFG_CMD_BIND};
    struct nfulnl_msg_config_mode mode = {.copy_range = htonl(128), .copy_mode = NFULNL_COPY_PACKET};
    uint8_t buffer[512];
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *gen = mnl_nlmsg_put_extra_header(header, sizeof *gen);
    ssize_t len;

    header->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    gen->nfgen_family = AF_UNSPEC;
    gen->version = NFNETLINK_V0;
    gen->res_id = htons(JUMP_SWAN_LOG_GROUP);
    mnl_attr_put(header, NFULA_CFG_CMD, sizeof bind, &bind);
    mnl_attr_put(header, NFULA_CFG_MODE, sizeof mode, &mode);
    mnl_attr_put_u32(header, NFULA_CFG_QTHRESH, htonl(1));
    if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(nl, header, header->nlmsg_len) < 0)
        return false;
    len = mnl_socket_recvfrom(nl, buffer, sizeof buffer);
    return len > 0 && mnl_cb_run(buffer, (size_t)len, 0, mnl_socket_get_portid(nl), NULL, NULL) >= 0;
}

/* Neither raw socket is ever read: nothing is to wait there. The kernel's own filters of ICMP leave some types in. */
static void deafen(int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};

    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void jump_swan_kick_begin(void)
{
    raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
    deafen(raw4);
    deafen(raw6);
    log_socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (raw4 < 0 || log_socket == NULL || !ask_for_log(log_socket)) {
        DBG1(DBG_CFG, "jumping: no log of what has no path (%s): after a hole TCP connections inside may wait for seconds",
             strerror(errno));
        jump_swan_kick_end();
        return;
    }
    lock = mutex_create(MUTEX_TYPE_DEFAULT);
    lib->watcher->add(lib->watcher, mnl_socket_get_fd(log_socket), WATCHER_READ, on_log, NULL);
}

void jump_swan_kick_end(void)
{
    if (lock != NULL)
        lib->watcher->remove(lib->watcher, mnl_socket_get_fd(log_socket));
    if (log_socket != NULL)
        mnl_socket_close(log_socket);
    if (raw4 >= 0)
        close(raw4);
    if (raw6 >= 0)
        close(raw6);
    DESTROY_IF(lock);
    lock = NULL;
    log_socket = NULL;
    raw4 = raw6 = -1;
    full_at = 0;
    memset(flows, 0, sizeof flows);
}
