/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two NETLINK_ROUTE sockets: one listens to changes, one asks. It owns them and a small table of links' last states,
 * so that a chatty driver is not taken for a change. It refuses to judge what a change means.
 * Read next: netlink.h, route(7) and rtnetlink(7).
 */
#include "system/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 32768 /* the kernel never packs more into one datagram */
#define DATAGRAMS_A_CALL 64
#define KNOWN_LINKS 64
#define USABLE_LINKS 1024
#define LINK_DATAGRAMS 4096 /* of one list of all links; a datagram has ten links or more */
#define RULES6 (1u << (RTNLGRP_IPV6_RULE - 1)) /* has no name of the old kind */
#define GROUPS                                                                                                       \
    (RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | \
     RULES6)

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

struct link_state {
    unsigned ifindex;
    bool up;
};

struct link_found {
    unsigned ifindex;
    char name[IF_NAMESIZE];
};

struct jump_netlink {
    struct mnl_socket *monitor, *asker;
    unsigned sequence;
    unsigned ignored[JUMP_NETLINK_IGNORED];
    size_t ignored_len;
    struct link_state links[KNOWN_LINKS];
    size_t links_len;
    struct link_found usable[USABLE_LINKS]; /* of the look in hand */
    size_t usable_len;
    char buffer[BUFFER_BYTES];
};

static struct mnl_socket *socket_open(unsigned groups)
{
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (nl != NULL && mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) == 0)
        return nl;
    if (nl != NULL)
        (void)mnl_socket_close(nl);
    return NULL;
}

static void netlink_free(struct jump_netlink *netlink)
{
    if (netlink->monitor != NULL)
        (void)mnl_socket_close(netlink->monitor);
    if (netlink->asker != NULL)
        (void)mnl_socket_close(netlink->asker);
    free(netlink);
}

struct jump_netlink *jump_netlink_open(struct jump_problem *problem)
{
    struct jump_netlink *netlink = calloc(1, sizeof *netlink);

    if (netlink != NULL && (netlink->monitor = socket_open(GROUPS)) != NULL && (netlink->asker = socket_open(0)) != NULL)
        return netlink;
    jump_problem_set(problem, "cannot watch the networks of this machine (NETLINK_ROUTE): %s", strerror(errno));
    if (netlink != NULL)
        netlink_free(netlink);
    return NULL;
}

void jump_netlink_close(struct jump_netlink *netlink)
{
    if (netlink != NULL)
        netlink_free(netlink);
}

int jump_netlink_fd(const struct jump_netlink *netlink)
{
    return mnl_socket_get_fd(netlink->monitor);
}

bool jump_netlink_ignore(struct jump_netlink *netlink, unsigned ifindex)
{
    for (size_t i = 0; i < netlink->ignored_len; i++)
        if (netlink->ignored[i] == ifindex)
            return true;
    if (netlink->ignored_len == JUMP_NETLINK_IGNORED)
        return false;
    netlink->ignored[netlink->ignored_len++] = ifindex;
    return true;
}

static bool is_ignored(const struct jump_netlink *netlink, unsigned ifindex)
{
    for (size_t i = 0; i < netlink->ignored_len; i++)
        if (netlink->ignored[i] == ifindex)
            return true;
    return false;
}

static void ip_from(uint8_t ip[16], int family, const void *bytes)
{
    memset(ip, 0, 16);
    if (family == AF_INET) {
        memcpy(ip, mapped, sizeof mapped);
        memcpy(ip + 12, bytes, 4);
    } else
        memcpy(ip, bytes, 16);
}

/* Receive one datagram of the kernel's. @return bytes; 0: from somebody else, skip it; -1: errno. */
static ssize_t receive(struct jump_netlink *netlink, const struct mnl_socket *nl)
{
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof from;
    ssize_t got;

    do
        got = recvfrom(mnl_socket_get_fd(nl), netlink->buffer, sizeof netlink->buffer, MSG_DONTWAIT,
                       (struct sockaddr *)&from, &from_len);
    while (got < 0 && errno == EINTR);
    return got > 0 && from.nl_pid != 0 ? 0 : got;
}

/* --- Changes --------------------------------------------------------------------------------------------- */

/* True if this is news. Links beyond the table's size are always news. */
static bool link_news(struct jump_netlink *netlink, unsigned ifindex, bool up, bool gone)
{
    size_t i = 0;

    while (i < netlink->links_len && netlink->links[i].ifindex != ifindex)
        i++;
    if (i < netlink->links_len) {
        bool news = netlink->links[i].up != up || gone;

        netlink->links[i].up = up;
        if (gone)
            netlink->links[i] = netlink->links[--netlink->links_len];
        return news;
    }
    if (!gone && netlink->links_len < KNOWN_LINKS)
        netlink->links[netlink->links_len++] = (struct link_state){.ifindex = ifindex, .up = up};
    return true;
}

static bool read_link(struct jump_netlink *netlink, struct jump_netlink_change *change, const struct nlmsghdr *message)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    bool gone = message->nlmsg_type == RTM_DELLINK, up;

    if (mnl_nlmsg_get_payload_len(message) < sizeof *info || (info->ifi_flags & IFF_LOOPBACK) != 0 ||
        info->ifi_family == AF_BRIDGE)
        return false;
    up = !gone && (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_RUNNING) != 0;
    change->ifindex = (unsigned)info->ifi_index;
    change->kind = up ? JUMP_NETLINK_LINK_UP : JUMP_NETLINK_LINK_DOWN;
    return link_news(netlink, change->ifindex, up, gone);
}

static bool read_address(struct jump_netlink_change *change, const struct nlmsghdr *message)
{
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;
    const void *address = NULL, *local = NULL;
    size_t bytes;
    uint32_t flags;

    if (mnl_nlmsg_get_payload_len(message) < sizeof *info ||
        (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) || info->ifa_scope == RT_SCOPE_HOST)
        return false;
    bytes = info->ifa_family == AF_INET ? 4 : 16;
    flags = info->ifa_flags;
    mnl_attr_for_each(attribute, message, sizeof *info) {
        size_t len = mnl_attr_get_payload_len(attribute);

        if (mnl_attr_get_type(attribute) == IFA_ADDRESS && len == bytes)
            address = mnl_attr_get_payload(attribute);
        else if (mnl_attr_get_type(attribute) == IFA_LOCAL && len == bytes)
            local = mnl_attr_get_payload(attribute);
        else if (mnl_attr_get_type(attribute) == IFA_FLAGS && len == sizeof flags)
            flags = mnl_attr_get_u32(attribute);
    }
    if (local == NULL)
        local = address; /* on a point-to-point link IFA_ADDRESS is the other end */
    if (local == NULL)
        return false;
    change->ifindex = info->ifa_index;
    change->kind = message->nlmsg_type == RTM_DELADDR ? JUMP_NETLINK_ADDRESS_REMOVED : JUMP_NETLINK_ADDRESS_ADDED;
    ip_from(change->ip, info->ifa_family, local);
    /* The kernel tells again when duplicate address detection is through. */
    return change->kind == JUMP_NETLINK_ADDRESS_REMOVED || (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0;
}

static bool read_route(struct jump_netlink_change *change, const struct nlmsghdr *message)
{
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;

    if (mnl_nlmsg_get_payload_len(message) < sizeof *info || (info->rtm_flags & RTM_F_CLONED) != 0 ||
        info->rtm_table == RT_TABLE_LOCAL || info->rtm_type == RTN_LOCAL || info->rtm_type == RTN_MULTICAST ||
        (info->rtm_family != AF_INET && info->rtm_family != AF_INET6))
        return false;
    mnl_attr_for_each(attribute, message, sizeof *info)
        if (mnl_attr_get_type(attribute) == RTA_OIF && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
            change->ifindex = mnl_attr_get_u32(attribute);
    change->kind = message->nlmsg_type == RTM_DELROUTE ? JUMP_NETLINK_ROUTE_REMOVED : JUMP_NETLINK_ROUTE_ADDED;
    return true;
}

static bool read_change(struct jump_netlink *netlink, struct jump_netlink_change *change, const struct nlmsghdr *message)
{
    bool news = false;

    memset(change, 0, sizeof *change);
    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        news = read_link(netlink, change, message);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        news = read_address(change, message);
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        news = read_route(change, message);
        break;
    case RTM_NEWRULE:
    case RTM_DELRULE:
        change->kind = message->nlmsg_type == RTM_NEWRULE ? JUMP_NETLINK_ROUTE_ADDED : JUMP_NETLINK_ROUTE_REMOVED;
        news = true;
        break;
    default:
        break;
    }
    return news && change->ifindex != 1 && !is_ignored(netlink, change->ifindex);
}

bool jump_netlink_drain(struct jump_netlink *netlink, struct jump_netlink_change *out, size_t out_cap, size_t *out_len,
                        bool *overrun)
{
    *out_len = 0;
    *overrun = false;
    /* Bounded: a flood of changes must not hold the host; the rest waits for the next poll. */
    for (int i = 0; i < DATAGRAMS_A_CALL; i++) {
        ssize_t got = receive(netlink, netlink->monitor);
        const struct nlmsghdr *message;
        int left = (int)got;

        if (got < 0 && errno == ENOBUFS) {
            *overrun = true;
            netlink->links_len = 0;
            continue;
        }
        if (got < 0)
            break;
        for (message = (const struct nlmsghdr *)netlink->buffer; mnl_nlmsg_ok(message, left);
             message = mnl_nlmsg_next(message, &left)) {
            struct jump_netlink_change change;

            if (!read_change(netlink, &change, message))
                continue;
            if (*out_len < out_cap)
                out[(*out_len)++] = change;
            else
                *overrun = true;
        }
    }
    return *overrun || *out_len > 0;
}

/* --- Questions ------------------------------------------------------------------------------------------- */

struct route {
    unsigned ifindex; /* 0: several next hops (of FIB_MATCH's answer) */
    uint8_t source[16];
    bool has_source, unicast, local;
    uint8_t dst_len;
    uint32_t metric;
};

static void route_read(struct route *route, const struct nlmsghdr *message)
{
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);
    size_t bytes = info->rtm_family == AF_INET ? 4 : 16;
    const struct nlattr *attribute;

    route->local = info->rtm_type == RTN_LOCAL;
    route->unicast = info->rtm_type == RTN_UNICAST || route->local;
    route->dst_len = info->rtm_dst_len;
    mnl_attr_for_each(attribute, message, sizeof *info) {
        size_t len = mnl_attr_get_payload_len(attribute);

        if (mnl_attr_get_type(attribute) == RTA_OIF && len == sizeof(uint32_t))
            route->ifindex = mnl_attr_get_u32(attribute);
        else if (mnl_attr_get_type(attribute) == RTA_PRIORITY && len == sizeof(uint32_t))
            route->metric = mnl_attr_get_u32(attribute);
        else if (mnl_attr_get_type(attribute) == RTA_PREFSRC && len == bytes) {
            ip_from(route->source, info->rtm_family, mnl_attr_get_payload(attribute));
            route->has_source = true;
        }
    }
}

/* Ask; the kernel answers within the call that asks, so the answer is there at once. It stands in the buffer until the
 * next question. @return NULL: none (errno) */
static const struct nlmsghdr *question_put(struct jump_netlink *netlink, struct nlmsghdr *request)
{
    request->nlmsg_seq = ++netlink->sequence;
    if (mnl_socket_sendto(netlink->asker, request, request->nlmsg_len) < 0)
        return NULL;
    for (int i = 0; i < 16; i++) {
        ssize_t got = receive(netlink, netlink->asker);
        const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->buffer;
        int left = (int)got;

        if (got < 0)
            return NULL;
        for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
            if (message->nlmsg_seq == request->nlmsg_seq) /* else the answer to a question that was given up */
                return message;
    }
    errno = EPROTO;
    return NULL;
}

static bool is_v4(const struct jump_path *path)
{
    return memcmp(path->ip, mapped, sizeof mapped) == 0;
}

static bool has_source(const struct jump_netlink_flow *flow, const struct jump_path *dst)
{
    return flow != NULL && flow->source_known && is_v4(&flow->source) == is_v4(dst);
}

static void put_flow(struct nlmsghdr *header, const struct jump_netlink_flow *flow, const struct jump_path *dst)
{
    struct rtmsg *info = mnl_nlmsg_get_payload(header);
    bool v4 = is_v4(dst);

    if (has_source(flow, dst)) {
        info->rtm_src_len = v4 ? 32 : 128;
        mnl_attr_put(header, RTA_SRC, v4 ? 4 : 16, v4 ? flow->source.ip + 12 : flow->source.ip);
    }
    if (flow->mark != 0)
        mnl_attr_put_u32(header, RTA_MARK, flow->mark);
    if (flow->uid_known)
        mnl_attr_put_u32(header, RTA_UID, flow->uid);
    mnl_attr_put_u8(header, RTA_IP_PROTO, IPPROTO_UDP);
    if (flow->port != 0)
        mnl_attr_put_u16(header, RTA_SPORT, htons(flow->port));
    if (dst->port != 0)
        mnl_attr_put_u16(header, RTA_DPORT, htons(dst->port));
}

static int route_ask(struct jump_netlink *netlink, struct route *route, const struct jump_path *dst, unsigned through,
                     unsigned flags, const struct jump_netlink_flow *flow)
{
    char request[256] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    const struct nlmsghdr *message;
    struct rtmsg *info;
    bool v4 = is_v4(dst);

    memset(route, 0, sizeof *route);
    header->nlmsg_type = RTM_GETROUTE;
    header->nlmsg_flags = NLM_F_REQUEST;
    info = mnl_nlmsg_put_extra_header(header, sizeof *info);
    info->rtm_family = v4 ? AF_INET : AF_INET6;
    info->rtm_dst_len = v4 ? 32 : 128;
    info->rtm_flags = flags;
    mnl_attr_put(header, RTA_DST, v4 ? 4 : 16, v4 ? dst->ip + 12 : dst->ip);
    if (through == 0)
        through = dst->scope;
    if (through != 0)
        mnl_attr_put_u32(header, RTA_OIF, through);
    if (flow != NULL)
        put_flow(header, flow, dst);
    message = question_put(netlink, header);
    if (message == NULL)
        return -errno;
    if (message->nlmsg_type == NLMSG_ERROR && mnl_nlmsg_get_payload_len(message) >= sizeof(struct nlmsgerr)) {
        const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

        return error->error < 0 ? error->error : -EPROTO;
    }
    if (message->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(message) < sizeof *info)
        return -EPROTO;
    route_read(route, message);
    return route->unicast ? 0 : -EHOSTUNREACH;
}

bool jump_netlink_no_way(int result)
{
    static const int said[] = {ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENODEV, ENETDOWN,
                               EACCES /* prohibit */, EINVAL /* blackhole */};

    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (result == -said[i])
            return true;
    return false;
}

int jump_netlink_source(struct jump_netlink *netlink, struct jump_path *source, unsigned *ifindex,
                        const struct jump_path *dst, unsigned through, const struct jump_netlink_flow *flow)
{
    bool given = has_source(flow, dst);
    struct route route, own;
    int result;

    memset(source, 0, sizeof *source);
    source->proto = dst->proto;
    source->transport = dst->transport;
    *ifindex = 0;
    memset(&own, 0, sizeof own);
    if (given) { /* IPv6 answers for any source, be it ours or not */
        result = route_ask(netlink, &own, &flow->source, 0, RTM_F_FIB_MATCH, NULL);
        if (result != 0 || !own.local)
            return result == 0 || jump_netlink_no_way(result) ? -EADDRNOTAVAIL : result;
    }
    /* Asked through one interface, IPv4 takes any address for on-link there if no route says otherwise. Which
     * routes there really are, FIB_MATCH tells. */
    if (through != 0) {
        result = route_ask(netlink, &route, dst, through, RTM_F_FIB_MATCH, flow);
        if (result != 0)
            return result;
        if (route.ifindex != 0 && route.ifindex != through)
            return -ENETUNREACH;
        /* An address of another interface is this one's only where its route says so. The loopback's are everyone's. */
        if (given && own.ifindex != through && own.ifindex != 1 &&
            !(route.has_source && memcmp(route.source, flow->source.ip, sizeof route.source) == 0))
            return -ENETUNREACH;
    }
    result = route_ask(netlink, &route, dst, through, 0, flow);
    if (result != 0)
        return result;
    if (given) { /* the kernel does not repeat what it was told */
        memcpy(route.source, flow->source.ip, sizeof route.source);
        route.has_source = true;
    }
    if (!route.has_source || route.ifindex == 0 || (through != 0 && route.ifindex != through))
        return -ENETUNREACH;
    memcpy(source->ip, route.source, sizeof source->ip);
    if (source->ip[0] == 0xfe && (source->ip[1] & 0xc0) == 0x80)
        source->scope = route.ifindex;
    *ifindex = route.ifindex;
    return 0;
}

/* Asked by netlink, on the socket that is there: /sys may be another namespace's, or gone, and if_nametoindex and its like
 * need a descriptor, which a process may have none left of. By number, or by name where that is 0. The answer stands in
 * the buffer. NULL: none; *gone: the kernel says that there is no such link. */
static const struct nlmsghdr *link_ask(struct jump_netlink *netlink, unsigned ifindex, const char *name, bool *gone)
{
    char request[64] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    const struct nlmsghdr *message;
    struct ifinfomsg *asked;

    header->nlmsg_type = RTM_GETLINK;
    header->nlmsg_flags = NLM_F_REQUEST;
    asked = mnl_nlmsg_put_extra_header(header, sizeof *asked);
    asked->ifi_index = (int)ifindex;
    if (ifindex == 0)
        mnl_attr_put_strz(header, IFLA_IFNAME, name);
    message = question_put(netlink, header);
    *gone = message != NULL && message->nlmsg_type == NLMSG_ERROR &&
            mnl_nlmsg_get_payload_len(message) >= sizeof(struct nlmsgerr) &&
            ((const struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error == -ENODEV;
    if (message == NULL || message->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(message) < sizeof *asked)
        return NULL;
    return message;
}

static bool link_is_up(const struct nlmsghdr *message)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);

    return (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_RUNNING) != 0;
}

static bool link_name(char name[IF_NAMESIZE], const struct nlmsghdr *message)
{
    const struct nlattr *attribute;

    memset(name, 0, IF_NAMESIZE);
    mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg))
        if (mnl_attr_get_type(attribute) == IFLA_IFNAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 &&
            mnl_attr_get_payload_len(attribute) <= IF_NAMESIZE)
            memcpy(name, mnl_attr_get_str(attribute), mnl_attr_get_payload_len(attribute));
    return name[0] != '\0';
}

bool jump_netlink_link_down(struct jump_netlink *netlink, unsigned ifindex)
{
    bool gone;
    const struct nlmsghdr *message = link_ask(netlink, ifindex, NULL, &gone);

    return message != NULL ? !link_is_up(message) : gone;
}

bool jump_netlink_name(struct jump_netlink *netlink, char name[IF_NAMESIZE], unsigned ifindex)
{
    bool gone;
    const struct nlmsghdr *message = ifindex == 0 ? NULL : link_ask(netlink, ifindex, NULL, &gone);

    return message != NULL && link_name(name, message);
}

unsigned jump_netlink_index(struct jump_netlink *netlink, const char *name)
{
    bool gone, is_name = name[0] != '\0' && strlen(name) < IF_NAMESIZE;
    const struct nlmsghdr *message = is_name ? link_ask(netlink, 0, name, &gone) : NULL;

    return message == NULL ? 0 : (unsigned)((const struct ifinfomsg *)mnl_nlmsg_get_payload(message))->ifi_index;
}

/* Is this link up, with carrier, and no tun device? */
static bool link_is_usable(const struct nlmsghdr *message)
{
    const struct nlattr *attribute, *inner;

    if (!link_is_up(message))
        return false;
    mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg))
        if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
            mnl_attr_for_each_nested(inner, attribute)
                if (mnl_attr_get_type(inner) == IFLA_INFO_KIND && mnl_attr_validate(inner, MNL_TYPE_STRING) >= 0 &&
                    strncmp(mnl_attr_get_str(inner), "tun", mnl_attr_get_payload_len(inner)) == 0)
                    return false;
    return true;
}

/* All usable links but the loopback and the ignored ones. What does not fit, or cannot be read, is left out. */
static void links_read(struct jump_netlink *netlink)
{
    char request[64] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    struct ifinfomsg *asked;

    netlink->usable_len = 0;
    header->nlmsg_type = RTM_GETLINK;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = ++netlink->sequence;
    asked = mnl_nlmsg_put_extra_header(header, sizeof *asked);
    asked->ifi_family = AF_UNSPEC;
    mnl_attr_put_u32(header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    if (mnl_socket_sendto(netlink->asker, header, header->nlmsg_len) < 0)
        return;
    for (int i = 0; i < LINK_DATAGRAMS; i++) { /* to its end, or it stands before the next question's answer */
        ssize_t got = receive(netlink, netlink->asker);
        const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->buffer;
        int left = (int)got;

        if (got < 0)
            return;
        for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
            struct link_found *found = &netlink->usable[netlink->usable_len];

            if (message->nlmsg_seq != header->nlmsg_seq)
                continue;
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
                return;
            if (netlink->usable_len == USABLE_LINKS || message->nlmsg_type != RTM_NEWLINK ||
                mnl_nlmsg_get_payload_len(message) < sizeof *info || info->ifi_index <= 1 ||
                is_ignored(netlink, (unsigned)info->ifi_index) || !link_is_usable(message) || !link_name(found->name, message))
                continue;
            found->ifindex = (unsigned)info->ifi_index;
            netlink->usable_len++;
        }
    }
}

static bool uplink_known(const struct jump_netlink_uplink *list, size_t len, unsigned ifindex)
{
    for (size_t i = 0; i < len; i++)
        if (list[i].ifindex == ifindex)
            return true;
    return false;
}

/* An IPv6 interface that has lost its address keeps its routes, and the kernel lends it the address of another: what
 * answers would come in there, and the other is a way of its own. A router's address may stand on another interface that
 * is no way out. IPv4 takes the routes along. */
static bool source_is_lent(struct jump_netlink *netlink, const struct jump_netlink_uplink *list, size_t len,
                           const struct jump_netlink_uplink *uplink)
{
    struct jump_path own = uplink->source;
    struct route route;

    if (is_v4(&own) || own.scope != 0 || route_ask(netlink, &route, &own, 0, RTM_F_FIB_MATCH, NULL) != 0 || route.ifindex == uplink->ifindex)
        return false;
    return is_ignored(netlink, route.ifindex) || uplink_known(list, len, route.ifindex);
}

size_t jump_netlink_uplinks(struct jump_netlink *netlink, struct jump_netlink_uplink *out, size_t out_cap,
                            const struct jump_path *dst, const struct jump_netlink_flow *flow)
{
    struct jump_netlink_uplink uplink;
    const struct nlmsghdr *message;
    size_t len = 0, first;
    bool gone;

    memset(&uplink, 0, sizeof uplink);
    if (out_cap > 0 && jump_netlink_source(netlink, &uplink.source, &uplink.ifindex, dst, 0, flow) == 0 &&
        !is_ignored(netlink, uplink.ifindex) && (message = link_ask(netlink, uplink.ifindex, NULL, &gone)) != NULL &&
        link_is_usable(message) && link_name(uplink.name, message)) {
        uplink.preferred = true;
        out[len++] = uplink;
    }
    first = len;
    links_read(netlink);
    for (size_t i = 0; i < netlink->usable_len && len < out_cap; i++) {
        const struct link_found *found = &netlink->usable[i];

        memset(&uplink, 0, sizeof uplink);
        if (uplink_known(out, len, found->ifindex) ||
            jump_netlink_source(netlink, &uplink.source, &uplink.ifindex, dst, found->ifindex, flow) != 0)
            continue;
        memcpy(uplink.name, found->name, sizeof uplink.name);
        out[len++] = uplink;
    }
    for (size_t i = first + 1; i < len; i++)
        for (size_t k = i; k > first && out[k - 1].ifindex > out[k].ifindex; k--) {
            uplink = out[k];
            out[k] = out[k - 1];
            out[k - 1] = uplink;
        }
    for (size_t i = 0; i < len;) {
        if (source_is_lent(netlink, out, len, &out[i]))
            memmove(&out[i], &out[i + 1], (--len - i) * sizeof *out);
        else
            i++;
    }
    return len;
}

/* A rule that every packet meets alike: a list of what such a rule may have, since what is new in a kernel is a selector
 * more likely than not. */
static bool rule_is_plain(const struct nlmsghdr *message)
{
    const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;

    if (message->nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(message) < sizeof *rule ||
        rule->action != FR_ACT_TO_TBL || rule->src_len != 0 || rule->dst_len != 0 || rule->tos != 0 ||
        (rule->flags & FIB_RULE_INVERT) != 0)
        return false;
    mnl_attr_for_each(attribute, message, sizeof *rule) {
        uint16_t type = mnl_attr_get_type(attribute);
        bool none = mnl_attr_get_payload_len(attribute) == sizeof(uint32_t) && mnl_attr_get_u32(attribute) == UINT32_MAX;

        if (type != FRA_TABLE && type != FRA_PRIORITY && type != FRA_PROTOCOL && type != FRA_PAD &&
            !(type == FRA_SUPPRESS_PREFIXLEN && none))
            return false;
    }
    return true;
}

static bool rules_are_plain(struct jump_netlink *netlink, bool v4)
{
    char request[64] = {0};
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    struct fib_rule_hdr *asked;
    bool plain = true;

    header->nlmsg_type = RTM_GETRULE;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = ++netlink->sequence;
    asked = mnl_nlmsg_put_extra_header(header, sizeof *asked);
    asked->family = v4 ? AF_INET : AF_INET6;
    if (mnl_socket_sendto(netlink->asker, header, header->nlmsg_len) < 0)
        return false;
    for (int i = 0; i < DATAGRAMS_A_CALL; i++) { /* to its end, or it stands before the next question's answer */
        ssize_t got = receive(netlink, netlink->asker);
        const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->buffer;
        int left = (int)got;

        if (got < 0)
            return false;
        for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            if (message->nlmsg_seq != header->nlmsg_seq)
                continue;
            if (message->nlmsg_type == NLMSG_DONE)
                return plain;
            if (message->nlmsg_type == NLMSG_ERROR)
                return false;
            plain = plain && rule_is_plain(message);
        }
    }
    return false;
}

bool jump_netlink_sole_choice(struct jump_netlink *netlink, const struct jump_path *dst, unsigned ifindex)
{
    struct jump_netlink_uplink others[JUMP_MAX_CANDIDATES];
    size_t others_len = jump_netlink_uplinks(netlink, others, JUMP_MAX_CANDIDATES, dst, NULL);
    struct route best, other;

    if (!rules_are_plain(netlink, is_v4(dst)) || route_ask(netlink, &best, dst, 0, RTM_F_FIB_MATCH, NULL) != 0 ||
        best.ifindex != ifindex || others_len == 0 || !others[0].preferred || others[0].ifindex != ifindex)
        return false;
    for (size_t i = 1; i < others_len; i++)
        if (route_ask(netlink, &other, dst, others[i].ifindex, RTM_F_FIB_MATCH, NULL) != 0 ||
            (other.dst_len == best.dst_len && other.metric == best.metric))
            return false;
    return true;
}
