/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Kernel ESP: what the firewall shows (NFLOG, reject.c) is answered with a host-unreachable, so that its sender goes on trying
 * at the pace that it had before. And wakes it when its session has a path again: of each connection the newest header is
 * kept, and its sender gets that back in a few host-unreachables at once. Each takes one doubling off its back-off (RFC
 * 6069), until its next try is now.
 *
 * Nothing is sent but ICMP, to the sender of what is quoted; of a packet no more than its headers is ever here. A
 * connection of a session that is still unbound tries once more than it would have, and is answered and kept again.
 */
#include "strongswan/adapter.h" /* first: strongSwan's headers use names that the system's make macros of */
#include "strongswan/kick.h"
#include "system/clock.h"

#include <processing/watcher.h>

#include <arpa/inet.h>
#include <errno.h>
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
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#ifndef ICMP_FILTER
#define ICMP_FILTER 1 /* of <linux/icmp.h>, which does not go with <netinet/ip_icmp.h>: a bit for each type that is not wanted */
#endif
#define FLOWS 256u
#define QUOTE_BYTES (60u + 8u) /* the longest IPv4 header, and the ports and the sequence number; IPv6 without extensions */
#define TIMES 9u               /* from two minutes, where a back-off ends, down to a fifth of a second */
#define FRESH JUMP_MS(130000)
#define ANSWERS_PER_S 1000u    /* and as many at once; what is left out tries more rarely, until it is woken */

struct flow {
    jump_time seen_at; /* 0: none */
    uint8_t quote[QUOTE_BYTES];
    size_t quote_len, key_from; /* the key is what lies there: addresses and ports */
    bool v6;
};

static mutex_t *lock; /* of what follows; NULL: there is nothing */
static struct flow flows[FLOWS];
static struct mnl_socket *log_socket;
static int raw4 = -1, raw6 = -1;
static jump_time answers_full_at; /* the bucket of the answers */

static bool same_flow(const struct flow *a, const struct flow *b)
{
    size_t addresses = a->v6 ? 32 : 8, ports = a->quote_len - 8;

    return a->seen_at != 0 && a->v6 == b->v6 && a->quote_len == b->quote_len
           && memcmp(a->quote + a->key_from, b->quote + b->key_from, addresses) == 0
           && memcmp(a->quote + ports, b->quote + ports, 4) == 0;
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

static void remember(const struct flow *fresh)
{
    struct flow *place = &flows[0];

    lock->lock(lock);
    for (size_t i = 0; i < FLOWS; i++) {
        if (same_flow(&flows[i], fresh)) {
            place = &flows[i];
            break;
        }
        if (flows[i].seen_at < place->seen_at)
            place = &flows[i];
    }
    *place = *fresh;
    lock->unlock(lock);
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

void jump_swan_kick(void)
{
    struct flow taken[FLOWS];

    if (lock == NULL)
        return;
    lock->lock(lock);
    memcpy(taken, flows, sizeof taken);
    memset(flows, 0, sizeof flows);
    lock->unlock(lock);
    for (size_t i = 0; i < FLOWS; i++)
        if (taken[i].seen_at != 0 && jump_clock_now() - taken[i].seen_at < FRESH)
            tell(&taken[i], TIMES);
}

/* The firewall's log */

/* Only charon's watcher calls it, one at a time. */
static bool may_answer(jump_time now)
{
    if (answers_full_at < now)
        answers_full_at = now;
    if (answers_full_at - now > JUMP_MS(1000))
        return false;
    answers_full_at += JUMP_MS(1000) / ANSWERS_PER_S;
    return true;
}

static int on_attribute(const struct nlattr *attribute, void *data)
{
    struct flow fresh = {.seen_at = 0};

    if (mnl_attr_get_type(attribute) == NFULA_PAYLOAD
        && read_packet(&fresh, mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute))) {
        remember(&fresh);
        if (may_answer(fresh.seen_at))
            tell(&fresh, 1);
    }
    return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *header, void *data)
{
    if (header->nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
        (void)mnl_attr_parse(header, sizeof(struct nfgenmsg), on_attribute, NULL);
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

void jump_swan_kick_begin(void)
{
    const uint32_t none4 = UINT32_MAX;
    struct icmp6_filter none6;

    raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
    ICMP6_FILTER_SETBLOCKALL(&none6);
    if (raw4 >= 0) /* neither is ever read */
        (void)setsockopt(raw4, SOL_RAW, ICMP_FILTER, &none4, sizeof none4);
    if (raw6 >= 0)
        (void)setsockopt(raw6, IPPROTO_ICMPV6, ICMP6_FILTER, &none6, sizeof none6);
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
    memset(flows, 0, sizeof flows);
}
