/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The functions that stand in OpenVPN's import slots: what comes in is judged by map.c before OpenVPN sees it, what
 * goes out before the network does, and poll's wait is split at the core's deadlines. Only UDP sockets are touched:
 * recvmsg and sendmsg carry OpenVPN's netlink too, and descriptors are reused, so each call is known by the family of
 * its own address and never by a number alone. Errors and errno stay as OpenVPN expects them.
 * Read next: map.c (the verdicts), loop.c (what runs inside poll).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "adapter.h"
#include "sockaddr.h"
#include "system/receive_buffer.h"
#include "system/clock.h"

/* Seconds of held packets come at once when a path is back: with the kernel's default (208 KiB, some 270 small packets) a busy
 * machine lost up to a third of them, and with them an inner TCP's only retransmission. */
#define RECEIVE_BYTES (1 << 20)
#define MAX_FDS 64
#define LOOK_EVERY JUMP_MS(2)    /* how long a busy OpenVPN may leave our own descriptors alone */
#define NO_WAIT (JUMP_MS(1) / 20) /* a poll that took less found something waiting */
#define SWALLOW_MAX 64 /* datagrams that one recvfrom takes for itself before OpenVPN has its turn again */

enum fate { DELIVER, SWALLOW };

static bool is_udp_address(const struct sockaddr *address)
{
    return address != NULL && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

static void know_link(struct jump_ovpn *o, int fd, const struct sockaddr *address)
{
    o->link_fd = fd;
    if (!o->translated)
        o->link_inet6 = address->sa_family == AF_INET6;
}

/* In */

static enum fate client_inbound(struct jump_ovpn *o, const uint8_t *bytes, size_t n, struct jump_path *from)
{
    struct jump_map_peer *peer;

    if (n > 0 && jump_map_opcode(bytes) == JUMP_OVPN_ENVELOPE) {
        from->transport = jump_uplinks_current(o);
        if (bytes[0] == JUMP_MAP_ENVELOPE_BYTE)
            jump_ovpn_datagram(o, bytes + 1, n - 1, from);
        return SWALLOW;
    }
    /* What arrives is never held back here: OpenVPN checks it, and it moves nothing. */
    peer = n > 0 && o->top != NULL ? jump_map_find(o->map, o->top->host) : NULL;
    if (peer != NULL && peer->bound && jump_map_is_user_data(bytes, n))
        jump_ovpn_activity(o, peer, false);
    return DELIVER;
}

static enum fate server_inbound(struct jump_ovpn *o, const uint8_t *bytes, size_t n, const struct jump_path *from,
                                struct sockaddr *address, socklen_t *address_len)
{
    struct jump_path shown;
    struct jump_map_peer *peer;
    struct sockaddr_storage storage;
    socklen_t storage_len;
    uint32_t number;
    enum jump_map_in verdict = jump_map_inbound(o->map, &shown, &number, bytes, n, from, o->instance.now);

    switch (verdict) {
    case JUMP_MAP_CONTROL:
        if (jump_sieve_came(&o->sieve, bytes, n, from, o->instance.now))
            jump_ovpn_sieve(o);
        if (bytes[0] == JUMP_MAP_ENVELOPE_BYTE)
            jump_ovpn_datagram(o, bytes + 1, n - 1, from);
        return SWALLOW;
    case JUMP_MAP_DROP:
        return SWALLOW;
    case JUMP_MAP_DELIVER_AS:
        storage_len = jump_sockaddr_from_path(&storage, &shown, address->sa_family == AF_INET6);
        if (storage_len == 0 || storage_len > *address_len)
            return SWALLOW;
        memcpy(address, &storage, storage_len);
        break;
    case JUMP_MAP_DELIVER:
        break;
    }
    if (number != JUMP_MAP_NO_PEER) {
        peer = jump_map_peer(o->map, number);
        if (o->peer_pktinfo != NULL)
            o->peer_pktinfo[number] = o->reply_from;
        if (jump_map_is_user_data(bytes, n))
            jump_ovpn_activity(o, peer, false);
    }
    return DELIVER;
}

/* `room`: bytes that there are for an address. */
static enum fate inbound(struct jump_ovpn *o, int fd, const uint8_t *bytes, size_t n, struct sockaddr *address,
                         socklen_t *address_len, socklen_t room)
{
    struct jump_path from;

    know_link(o, fd, address);
    if (!jump_sockaddr_to_path(&from, address, *address_len))
        return DELIVER;
    /* OpenVPN's socket is one of ours, of another family or to another address of its server. An address of the wrong
     * family would end OpenVPN (bad_address_length), so nothing passes but what comes from there. */
    if (o->translated
        && !jump_sockaddr_show_as(address, address_len, room, &from, &o->link_server, &o->server, o->host_inet6))
        return SWALLOW;
    if (o->arguments.role == JUMP_CLIENT)
        return client_inbound(o, bytes, n, &from);
    return server_inbound(o, bytes, n, &from, address, address_len);
}

static ssize_t our_recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *address,
                            socklen_t *address_len)
{
    struct jump_ovpn *o = jump_ovpn_instance;
    socklen_t room = address_len != NULL ? *address_len : 0;

    for (int i = 0; i < SWALLOW_MAX; i++) {
        ssize_t n = o->real.recvfrom(fd, bytes, len, i == 0 ? flags : flags | MSG_DONTWAIT, address, address_len);

        if (jump_ovpn_came_of(o, fd, n) < 0 || address_len == NULL || *address_len == 0 || !is_udp_address(address)
            || inbound(o, fd, bytes, (size_t)n, address, address_len, room) == DELIVER)
            return n;
        *address_len = room;
    }
    errno = EAGAIN; /* as if nothing had come; poll finds the rest */
    return -1;
}

/* Of a message's control data: the address that it came to. */
static void keep_pktinfo(struct jump_ovpn *o, const struct msghdr *message)
{
    o->reply_from.len = 0;
    (void)jump_sockaddr_to_path(&o->reply_to, message->msg_name, message->msg_namelen);
    if (message->msg_controllen <= sizeof o->reply_from.bytes) {
        memcpy(o->reply_from.bytes, message->msg_control, message->msg_controllen);
        o->reply_from.len = message->msg_controllen;
    }
}

void jump_ovpn_link_moved(struct jump_ovpn *o, uint32_t peer, const struct jump_path *path)
{
    if (o->peer_pktinfo == NULL)
        return;
    if (jump_sockaddr_same_place(&o->reply_to, path))
        o->peer_pktinfo[peer] = o->reply_from;
    else
        o->peer_pktinfo[peer].len = 0; /* until it is heard there */
}

static ssize_t our_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct jump_ovpn *o = jump_ovpn_instance;
    struct msghdr before = *message;

    for (int i = 0; i < SWALLOW_MAX; i++) {
        ssize_t n = o->real.recvmsg(fd, message, i == 0 ? flags : flags | MSG_DONTWAIT);

        if (jump_ovpn_came_of(o, fd, n) < 0 || message->msg_namelen == 0 || !is_udp_address(message->msg_name)
            || message->msg_iovlen != 1)
            return n;
        keep_pktinfo(o, message);
        if (inbound(o, fd, message->msg_iov[0].iov_base, (size_t)n, message->msg_name, &message->msg_namelen,
                    before.msg_namelen)
            == DELIVER)
            return n;
        *message = before;
    }
    errno = EAGAIN;
    return -1;
}

/* Out */

/* Between the end of one socket of OpenVPN's and the start of the next its number may be something else's. */
static bool is_udp_socket(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof domain;

    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0
           && (domain == AF_INET || domain == AF_INET6) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0
           && type == SOCK_DGRAM;
}

/* ICMP told of an earlier datagram, and the kernel says so at the next call, whatever that is for (socket error, IP_RECVERR). */
static bool is_of_an_earlier_one(int error)
{
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN || error == EPROTO;
}

static ssize_t send_once(struct jump_ovpn *o, const struct msghdr *message)
{
    ssize_t n = o->peer_pktinfo != NULL
                    ? o->real.sendmsg(o->link_fd, message, MSG_DONTWAIT | MSG_NOSIGNAL)
                    : o->real.sendto(o->link_fd, message->msg_iov->iov_base, message->msg_iov->iov_len,
                                     MSG_DONTWAIT | MSG_NOSIGNAL, message->msg_name, message->msg_namelen);

    return jump_ovpn_came_of(o, o->link_fd, n);
}

void jump_ovpn_widen(const struct jump_ovpn *o)
{
    if (!o->facts.receive_buffer && o->link_fd >= 0 && is_udp_socket(o->link_fd))
        jump_receive_buffer_widen(o->link_fd, RECEIVE_BYTES);
}

ssize_t jump_ovpn_link_send(struct jump_ovpn *o, const struct jump_path *to, uint32_t peer, const uint8_t *bytes,
                            size_t bytes_len)
{
    struct sockaddr_storage address;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = bytes_len};
    struct msghdr message = {.msg_name = &address, .msg_iov = &part, .msg_iovlen = 1};
    socklen_t address_len;
    ssize_t n;

    if (o->link_fd < 0
        || ((peer == JUMP_MAP_NO_PEER || o->arguments.role == JUMP_CLIENT) && !is_udp_socket(o->link_fd))) {
        errno = EBADF;
        return -1;
    }
    address_len = jump_sockaddr_from_path(&address, to, o->link_inet6);
    if (address_len == 0) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    message.msg_namelen = address_len;
    if (o->peer_pktinfo != NULL) {
        struct jump_ovpn_pktinfo *from = peer == JUMP_MAP_NO_PEER ? &o->reply_from : &o->peer_pktinfo[peer];

        /* An address that is not the datagram's in hand may be of the other family: then it is the kernel's to choose. */
        if (from->len > 0 && (peer != JUMP_MAP_NO_PEER || jump_sockaddr_same_place(&o->reply_to, to))) {
            message.msg_control = from->bytes;
            message.msg_controllen = from->len;
        }
    }
    n = send_once(o, &message);
    return n < 0 && is_of_an_earlier_one(errno) ? send_once(o, &message) : n;
}

/* What OpenVPN sends. SWALLOW: it is held or dropped. `address` is replaced where it goes elsewhere. `peer`: whose. */
static enum fate outbound(struct jump_ovpn *o, int fd, const uint8_t *bytes, size_t n,
                          struct sockaddr_storage *elsewhere, const struct sockaddr **address, socklen_t *address_len,
                          uint32_t *peer)
{
    struct jump_path shown, to;
    uint32_t number = JUMP_MAP_NO_PEER;
    enum jump_map_out verdict;

    *peer = JUMP_MAP_NO_PEER;
    o->host_inet6 = (*address)->sa_family == AF_INET6;
    know_link(o, fd, *address);
    if (n == 0 || !jump_sockaddr_to_path(&shown, *address, *address_len))
        return DELIVER;
    if (o->arguments.role == JUMP_CLIENT) {
        uint8_t opcode = jump_map_opcode(bytes);

        if (opcode == JUMP_OVPN_HARD_RESET_CLIENT_V2 || opcode == JUMP_OVPN_HARD_RESET_CLIENT_V3)
            jump_ovpn_client_reset(o, &shown);
        verdict = jump_map_client_outbound(o->map, &number, bytes, n, &shown);
    } else {
        verdict = jump_map_outbound(o->map, &to, &number, bytes, n, &shown, o->instance.now);
    }
    if (verdict == JUMP_MAP_DISCARD)
        return SWALLOW;
    *peer = number;
    if (number != JUMP_MAP_NO_PEER) {
        if (jump_map_is_user_data(bytes, n))
            jump_ovpn_activity(o, jump_map_peer(o->map, number), true);
        /* Behind what is held already, or OpenVPN's replay window would refuse the older packets. */
        if (verdict == JUMP_MAP_HOLD || jump_hold_waits(o->hold, number)) {
            jump_ovpn_queue_behind(o, number, bytes, n);
            return SWALLOW;
        }
    }
    if (verdict == JUMP_MAP_SEND_TO) {
        *address_len = jump_sockaddr_from_path(elsewhere, &to, o->link_inet6);
        if (*address_len == 0)
            return SWALLOW;
        *address = (const struct sockaddr *)elsewhere;
    }
    if (o->translated) { /* whatever it is, a hard reset too: this socket leads to one place only */
        *address_len = jump_sockaddr_from_path(elsewhere, &o->link_server, o->link_inet6);
        *address = (const struct sockaddr *)elsewhere;
    }
    return DELIVER;
}

static ssize_t our_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address,
                          socklen_t address_len)
{
    struct jump_ovpn *o = jump_ovpn_instance;
    struct sockaddr_storage elsewhere;
    uint32_t peer;

    if (is_udp_address(address) && outbound(o, fd, bytes, len, &elsewhere, &address, &address_len, &peer) == SWALLOW)
        return (ssize_t)len;
    return jump_ovpn_came_of(o, fd, o->real.sendto(fd, bytes, len, flags, address, address_len));
}

static ssize_t our_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct jump_ovpn *o = jump_ovpn_instance;
    struct sockaddr_storage elsewhere;
    struct msghdr changed = *message;
    const struct sockaddr *address = message->msg_name;
    uint32_t peer;

    if (is_udp_address(address) && message->msg_iovlen == 1) {
        if (outbound(o, fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, &elsewhere, &address,
                     &changed.msg_namelen, &peer)
            == SWALLOW)
            return (ssize_t)message->msg_iov[0].iov_len;
        /* OpenVPN's local address is the one of its own socket, or of where it knows the peer to be: a peer that is
         * elsewhere is answered from where it was heard. */
        if (o->translated || address != message->msg_name) {
            changed.msg_control = NULL;
            changed.msg_controllen = 0;
        }
        if (o->peer_pktinfo != NULL && peer != JUMP_MAP_NO_PEER && o->peer_pktinfo[peer].len > 0) {
            changed.msg_control = o->peer_pktinfo[peer].bytes;
            changed.msg_controllen = o->peer_pktinfo[peer].len;
        }
        changed.msg_name = (void *)(uintptr_t)address;
    }
    return jump_ovpn_came_of(o, fd, o->real.sendmsg(fd, &changed, flags));
}

/* Names */

/* The tunnel is kept while a new connection is made, and the resolver may be behind it. A name that cannot be asked for
 * is then what it was last; TLS says whether it is still that server. */
static int known_address(struct jump_ovpn *o, const char *node, const char *service, const struct addrinfo *hints,
                         struct addrinfo **out)
{
    struct jump_path known[JUMP_WAYS_LIST_ADDRESSES];
    size_t len = jump_ways_known(&o->ways, node, known);
    const struct jump_path *best = NULL;
    struct addrinfo numeric = *hints;
    char text[INET6_ADDRSTRLEN];
    bool ipv4;

    for (size_t i = 0; i < len; i++) { /* the one that worked last, if it is among them */
        if (hints->ai_family != AF_UNSPEC && (hints->ai_family == AF_INET) != jump_sockaddr_is_ipv4(&known[i]))
            continue;
        if (best == NULL || jump_sockaddr_same_place(&known[i], &o->server))
            best = &known[i];
    }
    if (best == NULL)
        return EAI_AGAIN;
    ipv4 = jump_sockaddr_is_ipv4(best);
    if (inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? best->ip + 12 : best->ip, text, sizeof text) == NULL)
        return EAI_AGAIN;
    numeric.ai_flags |= AI_NUMERICHOST;
    if (o->real.getaddrinfo(text, service, &numeric, out) != 0)
        return EAI_AGAIN;
    jump_ovpn_log(o, JUMP_LOG_WARNING, "%s cannot be resolved now: going on with %s, as it was last", node, text);
    return 0;
}

static int our_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    struct jump_ovpn *o = jump_ovpn_instance;
    int result = o->real.getaddrinfo(node, service, hints, out);
    struct jump_path found[JUMP_WAYS_LIST_ADDRESSES];
    size_t len = 0;

    if (node == NULL || hints == NULL || hints->ai_socktype != SOCK_DGRAM || (hints->ai_flags & AI_PASSIVE) != 0)
        return result; /* of no remote over UDP */
    if (result == EAI_AGAIN && o->own_tun != 0)
        return known_address(o, node, service, hints, out);
    if (result != 0)
        return result;
    for (const struct addrinfo *at = *out; at != NULL && len < JUMP_WAYS_LIST_ADDRESSES; at = at->ai_next)
        if (at->ai_addr != NULL && jump_sockaddr_to_path(&found[len], at->ai_addr, at->ai_addrlen))
            len++;
    jump_ways_note(&o->ways, node, found, len); /* the other addresses of its server's name are candidates (ways.h) */
    return result;
}

/* Wait */

static int wait_ms(jump_time now, jump_time until)
{
    jump_time span;

    if (until == JUMP_NEVER)
        return -1;
    if (until <= now)
        return 0;
    span = (until - now + JUMP_MS(1) - 1) / JUMP_MS(1);
    return span > 3600000 ? 3600000 : (int)span;
}

/* Signals wait while our own work is done, but for `let_in` inside the real wait: then it ends at once, with EINTR. */
static int wait_between(struct jump_ovpn *o, struct pollfd *fds, nfds_t fds_len, jump_time until, const sigset_t *let_in)
{
    struct pollfd all[MAX_FDS];

    for (;;) {
        size_t own;
        jump_time deadline;
        struct timespec span;
        int ms, ready, host_ready = 0;

        jump_ovpn_run(o);
        o->looked_at = o->instance.now;
        deadline = jump_ovpn_deadline(o);
        if (fds_len > 0)
            memcpy(all, fds, fds_len * sizeof *fds);
        own = jump_ovpn_fds(o, all + fds_len);
        ms = wait_ms(o->instance.now, deadline < until ? deadline : until);
        span = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
        ready = o->real.ppoll(all, fds_len + own, ms < 0 ? NULL : &span, let_in);
        if (ready < 0)
            return ready; /* EINTR: OpenVPN looks at its signals */
        o->instance.now = jump_clock_now();
        o->busy = o->instance.now - o->looked_at < NO_WAIT;
        for (nfds_t i = 0; i < fds_len; i++) {
            fds[i].revents = all[i].revents;
            host_ready += all[i].revents != 0;
        }
        if (ready > host_ready) {
            jump_ovpn_serve(o, all + fds_len, own);
            o->instance.now = jump_clock_now();
        }
        if (host_ready > 0)
            return host_ready;
        if (until <= o->instance.now)
            return 0;
    }
}

/*
 * OpenVPN looks at its signals before a wait and after it. A handler that ran in between, while we answer an operator, write
 * the audit or are about to send ourselves a signal, would be noticed when the wait is over: up to 10 s later.
 */
static int our_poll(struct pollfd *fds, nfds_t fds_len, int timeout)
{
    struct jump_ovpn *o = jump_ovpn_instance;
    sigset_t all_signals, before;
    jump_time until;
    int ready, error;

    if (fds_len > MAX_FDS - JUMP_OVPN_OWN_FDS) /* never on a UDP link, which has four */
        return o->real.poll(fds, fds_len, timeout);
    o->instance.now = jump_clock_now();
    until = timeout < 0 ? JUMP_NEVER : o->instance.now + JUMP_MS(timeout);
    /* Packets are waiting and nothing of ours is due: nothing else is asked for, and the signals' two calls are saved. */
    if (o->busy && o->instance.now - o->looked_at < LOOK_EVERY && jump_ovpn_deadline(o) > o->instance.now) {
        jump_ovpn_run(o);
        ready = o->real.poll(fds, fds_len, 0);
        if (ready != 0)
            return ready;
    }
    o->busy = false;
    (void)sigfillset(&all_signals);
    (void)pthread_sigmask(SIG_BLOCK, &all_signals, &before);
    ready = wait_between(o, fds, fds_len, until, &before);
    error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return ready;
}

bool jump_ovpn_io_begin(struct jump_ovpn *o, struct jump_problem *problem)
{
    static const struct {
        const char *symbol;
        void *ours;
    } wanted[] = {{"recvfrom", (void *)our_recvfrom},
                  {"sendto", (void *)our_sendto},
                  {"poll", (void *)our_poll},
                  {"recvmsg", (void *)our_recvmsg},
                  {"sendmsg", (void *)our_sendmsg}};
    size_t len = o->facts.multihome ? 5 : 3;
    struct jump_interpose_call *names = &o->slots[len];

    for (size_t i = 0; i < len; i++) {
        o->slots[i].symbol = wanted[i].symbol;
        o->slots[i].ours = wanted[i].ours;
    }
    if (o->arguments.role == JUMP_CLIENT) {
        names->symbol = "getaddrinfo";
        names->ours = (void *)our_getaddrinfo;
        names->optional = true; /* without it the server has one address */
        len++;
    }
    if (!jump_interpose_begin(o->slots, len, problem))
        return false;
    o->slots_len = len;
    /* No slot is called before open_v3 returns: there is one thread, and it is here. */
    memcpy(&o->real.recvfrom, &o->slots[0].original, sizeof o->real.recvfrom);
    memcpy(&o->real.sendto, &o->slots[1].original, sizeof o->real.sendto);
    memcpy(&o->real.poll, &o->slots[2].original, sizeof o->real.poll);
    o->real.ppoll = ppoll; /* nobody's slot: what a wait of ours is */
    if (o->facts.multihome) {
        memcpy(&o->real.recvmsg, &o->slots[3].original, sizeof o->real.recvmsg);
        memcpy(&o->real.sendmsg, &o->slots[4].original, sizeof o->real.sendmsg);
    }
    memcpy(&o->real.getaddrinfo, &names->original, sizeof o->real.getaddrinfo);
    return true;
}

void jump_ovpn_io_end(struct jump_ovpn *o)
{
    if (o->slots_len > 0)
        jump_interpose_end(o->slots, o->slots_len);
    jump_sieve_end(&o->sieve, o->link_fd, jump_uplinks_socket(o));
    o->slots_len = 0;
}
