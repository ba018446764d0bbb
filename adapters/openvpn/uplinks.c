/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client's own networks. Each interface with a route to an address of the server is a transport of the core (ways.h);
 * OpenVPN's socket is the one that the kernel's routing takes; it stays a way as long as the kernel does not say that it
 * is none, and where the way is certain it is bound to it when the session begins. Every other has a socket of its own,
 * bound to its interface, through which candidates are probed and recoveries tried. When the core binds such a one, it
 * is put in the place of OpenVPN's socket (dup3): a fresh socket, since an interface may be chosen without privilege on
 * a fresh one only, and the binding to the interface makes stale bypass routes irrelevant. Its family and the server's
 * address may be others than OpenVPN's; io.c then translates. One thread: nobody waits on the old socket meanwhile. It
 * knows addresses and interfaces; whether a path is alive is the core's business. Read next: system/netlink.h.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>

#include "adapter.h"
#include "sockaddr.h"
#include "system/clock.h"

static struct jump_uplink *by_id(struct jump_ovpn *o, uint8_t id)
{
    for (size_t i = 0; id != 0 && i < JUMP_MAX_CANDIDATES; i++)
        if (o->uplinks[i].id == id)
            return &o->uplinks[i];
    return NULL;
}

static void forget(struct jump_uplink *uplink)
{
    if (uplink->id != 0 && uplink->fd >= 0)
        close(uplink->fd);
    memset(uplink, 0, sizeof *uplink);
    uplink->fd = -1;
}

void jump_uplinks_end(struct jump_ovpn *o)
{
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++)
        forget(&o->uplinks[i]);
}

/* A number that no transport has now, and that was not given lately: the core may still speak of an old one. */
static uint8_t new_id(struct jump_ovpn *o)
{
    do
        o->last_transport = (uint8_t)(o->last_transport % (JUMP_UPLINK_UNKNOWN - 1) + 1);
    while (by_id(o, o->last_transport) != NULL);
    return o->last_transport;
}

uint8_t jump_uplinks_current(const struct jump_ovpn *o)
{
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++)
        if (o->uplinks[i].id != 0 && o->uplinks[i].via_link)
            return o->uplinks[i].id;
    return JUMP_UPLINK_UNKNOWN;
}

/* What OpenVPN bound its own socket to: `local` pins the address, `lport` the port. Zeros: nothing. */
static void look_at_local(struct jump_ovpn *o)
{
    struct sockaddr_storage address;
    socklen_t address_len = sizeof address;

    if (o->link_fd < 0 || getsockname(o->link_fd, (struct sockaddr *)&address, &address_len) != 0
        || !jump_sockaddr_to_path(&o->link_local, (struct sockaddr *)&address, address_len))
        memset(&o->link_local, 0, sizeof o->link_local);
}

static bool is_any(const struct jump_path *path)
{
    static const uint8_t any[16], any4[16] = {[10] = 0xff, [11] = 0xff};

    return memcmp(path->ip, any, 16) == 0 || memcmp(path->ip, any4, 16) == 0;
}

/* And the interface, by `bind-dev` or by what started OpenVPN. 0: none. */
static void look_at_device(struct jump_ovpn *o)
{
    char name[IF_NAMESIZE] = "";
    socklen_t name_len = sizeof name; /* the kernel takes no less, and ends it with a zero */

    if (o->link_fd < 0 || getsockopt(o->link_fd, SOL_SOCKET, SO_BINDTODEVICE, name, &name_len) != 0)
        name[0] = '\0';
    o->host_device = name[0] == '\0' || o->netlink == NULL ? 0 : jump_netlink_index(o->netlink, name);
}

/* What the kernel's rules may look at besides the destination: a question that leaves it out is answered for another. */
static struct jump_netlink_flow flow_of(const struct jump_ovpn *o)
{
    struct jump_netlink_flow flow = {.source_known = !is_any(&o->link_local), .source = o->link_local};
    struct sockaddr_storage address;
    socklen_t address_len = sizeof address, mark_len = sizeof flow.mark;
    struct jump_path local;
    struct stat about;

    if (o->link_fd < 0)
        return flow;
    if (getsockopt(o->link_fd, SOL_SOCKET, SO_MARK, &flow.mark, &mark_len) != 0)
        flow.mark = 0;
    if (getsockname(o->link_fd, (struct sockaddr *)&address, &address_len) == 0
        && jump_sockaddr_to_path(&local, (struct sockaddr *)&address, address_len))
        flow.port = local.port;
    flow.uid_known = fstat(o->link_fd, &about) == 0;
    flow.uid = flow.uid_known ? about.st_uid : 0;
    return flow;
}

int jump_uplinks_route(struct jump_ovpn *o, struct jump_path *source, unsigned *ifindex, const struct jump_path *dst)
{
    struct jump_netlink_flow flow = flow_of(o);

    return jump_netlink_source(o->netlink, source, ifindex, dst, o->host_device, &flow);
}

/* OpenVPN's socket is a way until the kernel says that it is none: what only cannot be answered is tried. What the user
 * bound it to (a VRF, another tunnel) need have no route that we could find. */
static struct jump_ways_link link_of(struct jump_ovpn *o)
{
    struct jump_ways_link link = {.server = o->link_server};
    struct jump_netlink_flow flow = flow_of(o);
    unsigned device = o->link_device != 0 ? o->link_device : o->host_device;
    int result = jump_netlink_source(o->netlink, &link.source, &link.ifindex, &o->link_server, device, &flow);
    bool users = o->link_device == 0 && o->host_device != 0, gone = jump_netlink_no_way(result);

    if (device != 0) {
        link.on_device = true;
        link.ifindex = device;
        gone = jump_netlink_link_down(o->netlink, device) || (users ? result == -EADDRNOTAVAIL : gone);
    } else if (result == 0 && link.ifindex == o->own_tun) {
        link.ifindex = 0;
        gone = true;
    }
    link.unknown = !gone && (result != 0 || users);
    return link;
}

/* All ways to the server, the one through OpenVPN's socket marked. */
static size_t look(struct jump_ovpn *o, struct jump_uplink found[JUMP_MAX_CANDIDATES])
{
    static struct jump_ways_target targets[JUMP_WAYS_TARGETS]; /* too large for the stack of a host's deep call */
    struct jump_path servers[JUMP_WAYS_TARGETS];
    struct jump_ways_link link = link_of(o);
    struct jump_netlink_flow flow = flow_of(o);
    size_t servers_len = jump_ways_targets(&o->ways, servers, &o->server), cap = o->instance.policy.max_candidates;

    flow.port = 0; /* each socket has its own */
    for (size_t t = 0; t < servers_len; t++) {
        struct jump_netlink_uplink seen[JUMP_MAX_CANDIDATES];
        size_t seen_len = jump_netlink_uplinks(o->netlink, seen, JUMP_MAX_CANDIDATES, &servers[t], &flow);
        struct jump_ways_target *target = &targets[t];

        target->server = servers[t];
        target->out_len = 0;
        for (size_t i = 0; i < seen_len; i++) {
            struct jump_ways_out *out = &target->out[target->out_len];

            if (seen[i].ifindex == o->own_tun)
                continue;
            out->ifindex = seen[i].ifindex;
            memcpy(out->name, seen[i].name, sizeof out->name);
            out->source = seen[i].source;
            target->out_len++;
        }
    }
    return jump_ways_list(found, cap < JUMP_MAX_CANDIDATES ? cap : JUMP_MAX_CANDIDATES, targets, servers_len, &link,
                          is_any(&o->link_local) ? NULL : &o->link_local);
}

static int open_socket(const struct jump_ovpn *o, const struct jump_uplink *uplink);

/* Ahead of the need: when the path dies there may be no descriptor left. Not with `lport`: a socket that only waits would
 * have the port that OpenVPN's next one wants. */
static void open_all(struct jump_ovpn *o)
{
    for (size_t i = 0; o->link_local.port == 0 && i < JUMP_MAX_CANDIDATES; i++)
        if (o->uplinks[i].id != 0 && !o->uplinks[i].via_link && o->uplinks[i].fd < 0)
            o->uplinks[i].fd = open_socket(o, &o->uplinks[i]);
}

void jump_uplinks_update(struct jump_ovpn *o, bool tell_always)
{
    struct jump_uplink found[JUMP_MAX_CANDIDATES];
    struct jump_candidate candidates[JUMP_MAX_CANDIDATES];
    struct jump_input in = {.kind = JUMP_IN_CANDIDATES};
    size_t found_len, lost_len = 0;
    bool changed = tell_always;

    if (o->netlink == NULL || !o->server_known)
        return;
    found_len = look(o, found);
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++) {
        struct jump_uplink *mine = &o->uplinks[i];
        size_t f = 0;

        if (mine->id == 0)
            continue;
        while (f < found_len && !(found[f].id == 0 && jump_ways_same(mine, &found[f])))
            f++;
        if (f < found_len) {
            found[f].id = mine->id;
            found[f].fd = mine->fd;
            continue;
        }
        in.lost[lost_len++] = mine->id;
        changed = true;
        if (mine->fd >= 0)
            close(mine->fd);
        mine->fd = -1;
    }
    for (size_t f = 0; f < found_len; f++) {
        if (found[f].id == 0) {
            found[f].id = new_id(o);
            changed = true;
        }
        candidates[f].path = found[f].server;
        candidates[f].path.transport = found[f].id;
        candidates[f].priority = found[f].priority;
    }
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++) {
        if (i < found_len)
            o->uplinks[i] = found[i];
        else
            memset(&o->uplinks[i], 0, sizeof o->uplinks[i]);
    }
    if (o->top == NULL || o->top->host == 0)
        return;
    open_all(o);
    if (!changed)
        return;
    in.host = 0; /* this process's networks are every session's */
    in.candidates = candidates;
    in.candidates_len = found_len;
    (void)jump_instance_feed(&o->instance, &in);
}

ino_t jump_uplinks_socket(const struct jump_ovpn *o)
{
    struct stat about;

    return o->link_fd >= 0 && fstat(o->link_fd, &about) == 0 ? about.st_ino : 0;
}

bool jump_uplinks_settle(struct jump_ovpn *o)
{
    struct jump_uplink *former = by_id(o, jump_uplinks_current(o));

    if (o->link_socket == 0 || jump_uplinks_socket(o) == o->link_socket)
        return false;
    if (o->translated && former != NULL)
        former->via_link = false; /* a farewell there needs a socket of that family */
    o->link_socket = 0;
    o->link_device = 0;
    o->translated = false;
    o->link_inet6 = o->host_inet6;
    return true;
}

void jump_uplinks_begin(struct jump_ovpn *o)
{
    jump_uplinks_end(o);
    if (o->link_socket == 0) { /* else it is the one that we put there, on its device still */
        o->link_server = o->server;
        look_at_local(o);
        look_at_device(o);
    }
    jump_uplinks_update(o, false);
}

/* An option as one socket has it, by its name in each one's family. */
static void copy_option(int to, int to_level, int to_option, int from, int level, int option, bool halve)
{
    int value;
    socklen_t len = sizeof value;

    if (getsockopt(from, level, option, &value, &len) == 0) {
        if (halve) /* the kernel doubles what it is given */
            value /= 2;
        (void)setsockopt(to, to_level, to_option, &value, sizeof value); /* a mark needs privilege; without it none */
    }
}

static void copy_ip_option(const struct jump_ovpn *o, int to, bool to_inet6, int option4, int option6)
{
    copy_option(to, to_inet6 ? IPPROTO_IPV6 : IPPROTO_IP, to_inet6 ? option6 : option4, o->link_fd,
                o->link_inet6 ? IPPROTO_IPV6 : IPPROTO_IP, o->link_inet6 ? option6 : option4, false);
}

/* Where OpenVPN's socket was bound so is this one. The address was asked for by `local`: no other will do. The port,
 * by `lport`, is wished for only: it is not free while OpenVPN's socket holds it on every interface. */
static bool bind_local(const struct jump_ovpn *o, int fd, bool inet6)
{
    struct sockaddr_storage address;
    struct jump_path local = o->link_local;
    bool any = is_any(&local);
    socklen_t len;

    if (any && local.port == 0)
        return true;
    if (any && inet6)
        memset(local.ip, 0, sizeof local.ip);
    else if (any)
        memcpy(local.ip, (const uint8_t[16]){[10] = 0xff, [11] = 0xff}, sizeof local.ip);
    len = jump_sockaddr_from_path(&address, &local, inet6);
    if (len > 0 && bind(fd, (struct sockaddr *)&address, len) == 0)
        return true;
    local.port = 0;
    len = jump_sockaddr_from_path(&address, &local, inet6);
    return any || (len > 0 && bind(fd, (struct sockaddr *)&address, len) == 0);
}

/* A socket like OpenVPN's, on one interface, of the family of the server's address there. */
static int open_socket(const struct jump_ovpn *o, const struct jump_uplink *uplink)
{
    bool inet6 = !jump_sockaddr_is_ipv4(&uplink->server);
    int fd = socket(inet6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0)
        return -1;
    if (inet6) /* or it would want an IPv4 port too */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (o->link_fd >= 0) {
        copy_option(fd, SOL_SOCKET, SO_SNDBUF, o->link_fd, SOL_SOCKET, SO_SNDBUF, true);
        copy_option(fd, SOL_SOCKET, SO_RCVBUF, o->link_fd, SOL_SOCKET, SO_RCVBUF, true);
        copy_option(fd, SOL_SOCKET, SO_MARK, o->link_fd, SOL_SOCKET, SO_MARK, false);
        copy_ip_option(o, fd, inet6, IP_TOS, IPV6_TCLASS);
        copy_ip_option(o, fd, inet6, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, uplink->name, (socklen_t)strlen(uplink->name)) != 0
        || !bind_local(o, fd, inet6)) {
        close(fd);
        return -1;
    }
    return fd;
}

ssize_t jump_uplinks_send(struct jump_ovpn *o, const struct jump_path *to, const uint8_t *bytes, size_t bytes_len)
{
    struct jump_uplink *uplink = by_id(o, to->transport);
    struct sockaddr_storage address;
    socklen_t address_len;

    if (uplink == NULL || uplink->via_link)
        return uplink == NULL && jump_uplinks_current(o) != JUMP_UPLINK_UNKNOWN
                   ? -1 /* a transport that is gone */
                   : jump_ovpn_link_send(o, to, JUMP_MAP_NO_PEER, bytes, bytes_len);
    if (uplink->fd < 0)
        uplink->fd = open_socket(o, uplink);
    address_len = jump_sockaddr_from_path(&address, to, !jump_sockaddr_is_ipv4(to));
    if (uplink->fd < 0 || address_len == 0)
        return -1;
    /* Once is enough: without IP_RECVERR no ICMP of an earlier datagram is told here. */
    return o->real.sendto(uplink->fd, bytes, bytes_len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address,
                          address_len);
}

/* OpenVPN's own socket stays where routing took it: an interface with a better metric that comes, or one that comes and
 * goes, would move a path that works, lose what is on its way, and spend the policy's switches. Only where nothing but
 * the destination chooses the way: a socket bound to another interface than its packets took is cut off, and without
 * privilege it cannot be unbound. There, and where the kernel does not let an unprivileged process do it (before 5.7),
 * routing goes on moving it. */
static void stay_on_device(struct jump_ovpn *o, struct jump_uplink *uplink)
{
    struct jump_netlink_flow flow = flow_of(o);
    char name[IF_NAMESIZE];

    if (o->link_device != 0 || o->host_device != 0 || flow.mark != 0 || flow.source_known || uplink->ifindex == 0
        || !jump_netlink_name(o->netlink, name, uplink->ifindex)
        || !jump_netlink_sole_choice(o->netlink, &o->link_server, uplink->ifindex)
        || setsockopt(o->link_fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) != 0)
        return;
    memcpy(uplink->name, name, sizeof uplink->name);
    o->link_device = uplink->ifindex;
    o->link_socket = jump_uplinks_socket(o);
}

void jump_uplinks_bind(struct jump_ovpn *o, uint8_t transport)
{
    struct jump_uplink *uplink = by_id(o, transport), *former = by_id(o, jump_uplinks_current(o));

    if (uplink == NULL || o->link_fd < 0)
        return;
    if (o->session_socket == 0 || jump_uplinks_socket(o) != o->session_socket)
        return; /* OpenVPN has closed it: the number may be anything's by now */
    if (uplink->via_link) {
        stay_on_device(o, uplink);
        return;
    }
    if (uplink->fd < 0)
        uplink->fd = open_socket(o, uplink);
    if (uplink->fd >= 0) /* not before: nobody but OpenVPN empties a queue of errors, and poll would find it for ever */
        copy_ip_option(o, uplink->fd, !jump_sockaddr_is_ipv4(&uplink->server), IP_RECVERR, IPV6_RECVERR);
    if (uplink->fd < 0 || dup3(uplink->fd, o->link_fd, O_CLOEXEC) < 0) {
        jump_ovpn_log(o, JUMP_LOG_ERROR, "cannot move OpenVPN's socket to %s: %s", uplink->name, strerror(errno));
        return;
    }
    close(uplink->fd);
    uplink->fd = -1;
    uplink->via_link = true;
    o->link_device = uplink->ifindex;
    o->link_server = uplink->server;
    o->link_inet6 = !jump_sockaddr_is_ipv4(&uplink->server);
    o->translated = o->link_inet6 != o->host_inet6 || !jump_sockaddr_same_place(&o->link_server, &o->server);
    o->session_socket = o->link_socket = jump_uplinks_socket(o);
    if (former != NULL) { /* still a way out, by a socket of its own from now on */
        former->via_link = false;
        if (former->name[0] == '\0')
            (void)jump_netlink_name(o->netlink, former->name, former->ifindex);
        open_all(o); /* in the place of the descriptor that was just closed */
    }
    jump_ovpn_log(o, JUMP_LOG_INFO, "traffic now leaves through %s (%s)", uplink->name, o->link_inet6 ? "IPv6" : "IPv4");
}

void jump_uplinks_receive(struct jump_ovpn *o, int fd)
{
    uint8_t bytes[2048];
    uint8_t id = 0;

    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++)
        if (o->uplinks[i].id != 0 && o->uplinks[i].fd == fd)
            id = o->uplinks[i].id;
    for (int i = 0; id != 0 && i < 64; i++) {
        struct sockaddr_storage address;
        socklen_t address_len = sizeof address;
        struct jump_path from;
        struct jump_uplink *uplink = by_id(o, id);
        ssize_t n;

        if (uplink == NULL || uplink->fd != fd) /* it became OpenVPN's socket: OpenVPN reads the rest */
            return;
        n = o->real.recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&address, &address_len);
        if (n < 0)
            return;
        if (n < 1 || bytes[0] != JUMP_MAP_ENVELOPE_BYTE
            || !jump_sockaddr_to_path(&from, (struct sockaddr *)&address, address_len))
            continue;
        /* Of OpenVPN's own server another address may answer (`float`). To reach it by another address helps only if
         * the answers come from there: OpenVPN would be shown nothing else. */
        if (!jump_sockaddr_same_place(&uplink->server, &o->server) && !jump_sockaddr_same_place(&uplink->server, &from))
            continue;
        from.transport = id;
        jump_ovpn_datagram(o, bytes + 1, (size_t)n - 1, &from);
    }
}
