/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client's own networks. Each interface with a route to the server is a transport of the core; OpenVPN's socket is
 * the one that the kernel's routing takes, every other has a socket of its own, bound to its interface, through which
 * candidates are probed and recoveries tried. When the core binds such a one, it is put in the place of OpenVPN's
 * socket (dup3): a fresh socket, since an interface may be chosen without privilege on a fresh one only, and the
 * binding to the interface makes stale bypass routes irrelevant. One thread: nobody waits on the old socket meanwhile.
 * It knows addresses and interfaces; whether a path is alive is the core's business. Read next: system/netlink.h.
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
    o->link_device = 0;
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

/* OpenVPN's socket is bound to one local address (`local`): it cannot carry another. */
static bool link_fits(const struct jump_ovpn *o, const struct jump_path *source)
{
    struct sockaddr_storage address;
    socklen_t address_len = sizeof address;
    struct jump_path bound;
    static const uint8_t any[16], any4[16] = {[10] = 0xff, [11] = 0xff};

    if (o->link_fd < 0 || getsockname(o->link_fd, (struct sockaddr *)&address, &address_len) != 0
        || !jump_sockaddr_to_path(&bound, (struct sockaddr *)&address, address_len))
        return true;
    return memcmp(bound.ip, any, 16) == 0 || memcmp(bound.ip, any4, 16) == 0 || memcmp(bound.ip, source->ip, 16) == 0;
}

/* All ways to the server, the one through OpenVPN's socket marked. */
static size_t look(struct jump_ovpn *o, struct jump_uplink found[JUMP_MAX_CANDIDATES])
{
    struct jump_netlink_uplink seen[JUMP_MAX_CANDIDATES];
    struct jump_path source;
    unsigned ifindex = 0;
    size_t seen_len, len = 0;
    bool have_link = false;

    memset(found, 0, sizeof(struct jump_uplink) * JUMP_MAX_CANDIDATES);
    seen_len = jump_netlink_uplinks(o->netlink, seen, JUMP_MAX_CANDIDATES, &o->server);
    if (o->link_device == 0 && jump_netlink_source(o->netlink, &source, &ifindex, &o->server, 0) == 0
        && ifindex != o->own_tun && link_fits(o, &source)) {
        found[len].via_link = have_link = true;
        found[len].ifindex = ifindex;
        found[len].source = source;
        len++;
    }
    for (size_t i = 0; i < seen_len && len < JUMP_MAX_CANDIDATES; i++) {
        if (seen[i].ifindex == o->own_tun || (have_link && seen[i].ifindex == found[0].ifindex))
            continue;
        found[len].via_link = o->link_device != 0 && seen[i].ifindex == o->link_device;
        found[len].ifindex = seen[i].ifindex;
        found[len].source = seen[i].source;
        memcpy(found[len].name, seen[i].name, sizeof found[len].name);
        found[len].priority = (uint32_t)len;
        len++;
    }
    for (size_t i = 0; i < len; i++) {
        found[i].fd = -1;
        found[i].source.port = 0;
        found[i].source.proto = found[i].source.transport = 0;
    }
    return len;
}

static bool same(const struct jump_uplink *a, const struct jump_uplink *b)
{
    return a->via_link == b->via_link && a->ifindex == b->ifindex
           && memcmp(a->source.ip, b->source.ip, sizeof a->source.ip) == 0;
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
        while (f < found_len && !(found[f].id == 0 && same(mine, &found[f])))
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
        candidates[f].path = o->server;
        candidates[f].path.transport = found[f].id;
        candidates[f].priority = found[f].priority;
    }
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++) {
        if (i < found_len)
            o->uplinks[i] = found[i];
        else
            memset(&o->uplinks[i], 0, sizeof o->uplinks[i]);
    }
    if (!changed || o->top == NULL || o->top->host == 0)
        return;
    in.host = 0; /* this process's networks are every session's */
    in.candidates = candidates;
    in.candidates_len = found_len;
    (void)jump_ovpn_feed(o, &in);
}

ino_t jump_uplinks_socket(const struct jump_ovpn *o)
{
    struct stat about;

    return o->link_fd >= 0 && fstat(o->link_fd, &about) == 0 ? about.st_ino : 0;
}

void jump_uplinks_begin(struct jump_ovpn *o)
{
    jump_uplinks_end(o);
    jump_uplinks_update(o, false);
}

static void copy_option(int to, int from, int level, int option, bool halve)
{
    int value;
    socklen_t len = sizeof value;

    if (getsockopt(from, level, option, &value, &len) == 0) {
        if (halve) /* the kernel doubles what it is given */
            value /= 2;
        (void)setsockopt(to, level, option, &value, sizeof value); /* a mark needs privilege; without it none */
    }
}

/* A socket like OpenVPN's, on one interface. */
static int open_socket(const struct jump_ovpn *o, const struct jump_uplink *uplink)
{
    int family = o->link_inet6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (o->link_fd >= 0) {
        copy_option(fd, o->link_fd, SOL_SOCKET, SO_SNDBUF, true);
        copy_option(fd, o->link_fd, SOL_SOCKET, SO_RCVBUF, true);
        copy_option(fd, o->link_fd, SOL_SOCKET, SO_MARK, false);
        if (family == AF_INET) {
            copy_option(fd, o->link_fd, IPPROTO_IP, IP_TOS, false);
            copy_option(fd, o->link_fd, IPPROTO_IP, IP_MTU_DISCOVER, false);
        } else {
            copy_option(fd, o->link_fd, IPPROTO_IPV6, IPV6_TCLASS, false);
            copy_option(fd, o->link_fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, false);
        }
    }
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, uplink->name, (socklen_t)strlen(uplink->name)) != 0) {
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
    address_len = jump_sockaddr_from_path(&address, to, o->link_inet6);
    if (uplink->fd < 0 || address_len == 0)
        return -1;
    return o->real.sendto(uplink->fd, bytes, bytes_len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address,
                          address_len);
}

void jump_uplinks_bind(struct jump_ovpn *o, uint8_t transport)
{
    struct jump_uplink *uplink = by_id(o, transport), *former = by_id(o, jump_uplinks_current(o));

    if (uplink == NULL || uplink->via_link || o->link_fd < 0)
        return;
    if (o->session_socket == 0 || jump_uplinks_socket(o) != o->session_socket)
        return; /* OpenVPN has closed it: the number may be anything's by now */
    if (uplink->fd < 0)
        uplink->fd = open_socket(o, uplink);
    if (uplink->fd < 0 || dup3(uplink->fd, o->link_fd, O_CLOEXEC) < 0) {
        jump_ovpn_log(o, JUMP_LOG_ERROR, "cannot move OpenVPN's socket to %s: %s", uplink->name, strerror(errno));
        return;
    }
    close(uplink->fd);
    uplink->fd = -1;
    uplink->via_link = true;
    o->link_device = uplink->ifindex;
    o->session_socket = jump_uplinks_socket(o);
    if (former != NULL) { /* still a way out, by a socket of its own from now on */
        former->via_link = false;
        if (former->name[0] == '\0')
            (void)if_indextoname(former->ifindex, former->name);
    }
    jump_ovpn_log(o, JUMP_LOG_INFO, "traffic now leaves through %s", uplink->name);
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
        from.transport = id;
        jump_ovpn_datagram(o, bytes + 1, (size_t)n - 1, &from);
    }
}
