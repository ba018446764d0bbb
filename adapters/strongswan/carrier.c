/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way of a message through charon's socket (carrier.h). What runs in charon's receiver job, for every packet of
 * IKE and on libipsec for every packet of ESP: a look at 23 bytes. For a datagram of ours, in this order: its form,
 * its interface, its rate, one copy into memory that is there already. No crypto and no allocation, so that a flood
 * costs what it costs to read it. Read next: envelope.c, the session thread (adapter).
 */
#include "carrier.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <daemon.h>
#include <threading/mutex.h>
#include <threading/thread.h>

#include "envelope.h"
#include "shortage.h"
#include "system/clock.h"
#include "system/receive_buffer.h"

#define SECOND_NS UINT64_C(1000000000)
#define RECEIVE_BYTES (4 * 1024 * 1024) /* 0.3 s of 10 000 small datagrams a second */
#define MARKER_BYTES 4u /* zeros: an IKE message and no ESP packet (RFC 7296, 2.23) */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* A bucket as the instant at which it is full again. All zero is a full one. */
struct rate {
    jump_time per_token;
    jump_time most; /* what may be missing before a token is taken */
};

typedef status_t (*receive_t)(socket_manager_t *, packet_t **);

/* `original` outlives end where somebody stands before us, who may still call ours. Counters are written in the receiver job and
 * by senders, and read by anybody; the buckets and what was said belong to the receiver job alone, of which there is
 * one. `ring` to `count` are under the lock. */
static struct {
    receive_t original;
    mutex_t *lock;
    struct jump_swan_datagram *ring;
    uint32_t first, count;
    int fd;
    bool widened;

    struct rate all, source;
    jump_time all_full_at, source_full_at[JUMP_SWAN_SOURCES];
    uint64_t said_malformed, said_over_rate, said_ring_full;
    jump_time say_at;

    atomic_uint_fast64_t received, malformed, ignored_interface, over_rate, ring_full, sent;
} carrier = {.fd = -1};

/* --- addresses ------------------------------------------------------------------------------------------------ */

void jump_swan_path_from_host(struct jump_path *path, host_t *host)
{
    chunk_t address = host->get_address(host);

    memset(path, 0, sizeof *path);
    path->proto = JUMP_PROTO_UDP;
    path->port = host->get_port(host);
    if (address.len == 4) {
        memcpy(path->ip, mapped, sizeof mapped);
        memcpy(path->ip + sizeof mapped, address.ptr, 4);
    } else if (address.len == sizeof path->ip) {
        struct sockaddr_in6 in6;

        memcpy(path->ip, address.ptr, sizeof path->ip);
        memcpy(&in6, host->get_sockaddr(host), sizeof in6);
        if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr)) /* elsewhere the interface is no part of who the peer is */
            path->scope = in6.sin6_scope_id;
    }
}

static bool is_ipv4(const struct jump_path *path)
{
    return memcmp(path->ip, mapped, sizeof mapped) == 0;
}

host_t *jump_swan_host_from_path(const struct jump_path *path)
{
    if (is_ipv4(path)) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(path->port)};

        memcpy(&in.sin_addr, path->ip + sizeof mapped, 4);
        return host_create_from_sockaddr((sockaddr_t *)&in);
    } else {
        struct sockaddr_in6 in6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(path->port), .sin6_scope_id = path->scope};

        memcpy(&in6.sin6_addr, path->ip, sizeof path->ip);
        return host_create_from_sockaddr((sockaddr_t *)&in6);
    }
}

/* --- in: charon's receiver job -------------------------------------------------------------------------------- */

static void count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint64_t value(atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A flood must not become one of the log: the first drop after a calm is said at once, then what has gathered. */
static void say_drops(jump_time now)
{
    uint64_t bad = value(&carrier.malformed), over = value(&carrier.over_rate), full = value(&carrier.ring_full);

    if (now < carrier.say_at)
        return;
    carrier.say_at = now + JUMP_MS(JUMP_SWAN_DROPS_SAID_EVERY_MS);
    DBG1(DBG_NET,
         "jumping: dropped control datagrams: %" PRIu64 " malformed, %" PRIu64 " over the rate, %" PRIu64
         " with no room (since the last such line)",
         bad - carrier.said_malformed, over - carrier.said_over_rate, full - carrier.said_ring_full);
    carrier.said_malformed = bad;
    carrier.said_over_rate = over;
    carrier.said_ring_full = full;
}

static bool has_token(jump_time full_at, const struct rate *rate, jump_time now)
{
    return full_at <= now || full_at - now <= rate->most;
}

static void take_token(jump_time *full_at, const struct rate *rate, jump_time now)
{
    *full_at = (*full_at > now ? *full_at : now) + rate->per_token;
}

/* Both buckets are looked at before either is charged: a source over its share must not eat what all share. */
static bool within_rate(host_t *from, jump_time now)
{
    chunk_t prefix = from->get_address(from);
    jump_time *source;

    if (prefix.len > 8)
        prefix.len = 8; /* whoever has one IPv6 address has its /64 */
    source = &carrier.source_full_at[chunk_hash(prefix) & (JUMP_SWAN_SOURCES - 1)]; /* keyed at charon's start */
    if (!has_token(*source, &carrier.source, now) || !has_token(carrier.all_full_at, &carrier.all, now))
        return false;
    take_token(source, &carrier.source, now);
    take_token(&carrier.all_full_at, &carrier.all, now);
    return true;
}

/* @return false: there is no room */
static bool keep(const uint8_t *message, size_t message_len, bool from_client, host_t *from, host_t *to)
{
    bool room, was_empty;
    struct jump_path from_path, to_path;

    jump_swan_path_from_host(&from_path, from);
    jump_swan_path_from_host(&to_path, to);
    carrier.lock->lock(carrier.lock);
    room = carrier.count < JUMP_SWAN_RING_SLOTS;
    was_empty = carrier.count == 0;
    if (room) {
        struct jump_swan_datagram *slot = &carrier.ring[(carrier.first + carrier.count) % JUMP_SWAN_RING_SLOTS];

        memcpy(slot->bytes, message, message_len);
        slot->bytes_len = message_len;
        slot->from_client = from_client;
        slot->from = from_path;
        slot->to = to_path;
        carrier.count++;
    }
    carrier.lock->unlock(carrier.lock);
    /* After the lock, so that who wakes does not wait for it. If it has been taken meanwhile, next finds nothing once. */
    if (was_empty)
        (void)!eventfd_write(carrier.fd, 1);
    return room;
}

/* Decide about a datagram that is ours to swallow. */
static void take(const uint8_t *bytes, size_t bytes_len, host_t *from, host_t *to)
{
    jump_time now = jump_clock_now();
    size_t message_len;
    bool from_client;
    const uint8_t *message = jump_swan_envelope_open(bytes, bytes_len, &message_len, &from_client);

    if (message == NULL) {
        count(&carrier.malformed);
        say_drops(now);
    } else if (!charon->kernel->all_interfaces_usable(charon->kernel)
               && !charon->kernel->get_interface(charon->kernel, to, NULL)) {
        /* The receiver would have asked the same. Before the rate: a network that is to be ignored costs no token. */
        count(&carrier.ignored_interface);
    } else if (!within_rate(from, now)) {
        count(&carrier.over_rate);
        say_drops(now);
    } else if (!keep(message, message_len, from_client, from, to)) {
        count(&carrier.ring_full);
        say_drops(now);
    } else {
        count(&carrier.received);
    }
}

/* @return true: it was ours, and is gone; false: it is charon's, and untouched */
static bool swallow(packet_t *packet)
{
    static const uint8_t marker[MARKER_BYTES];
    chunk_t data = packet->get_data(packet);
    host_t *from = packet->get_source(packet), *to = packet->get_destination(packet);

    if (data.len < sizeof marker) /* a NAT keepalive among them */
        return false;
    /* The receiver's own rule: without port 500 on either side it is an IKE message only behind the marker. */
    if (from->get_port(from) != IKEV2_UDP_PORT && to->get_port(to) != IKEV2_UDP_PORT) {
        if (memcmp(data.ptr, marker, sizeof marker) != 0)
            return false;
        data = chunk_skip(data, sizeof marker);
    }
    if (!jump_swan_envelope_claims(data.ptr, data.len))
        return false;
    take(data.ptr, data.len, from, to);
    packet->destroy(packet);
    return true;
}

/* charon opens its sockets without telling anybody. User data in user-space ESP waits in the same buffers as a flood. */
static void widen_sockets(void)
{
    enumerator_t *descriptors = enumerator_create_directory("/proc/self/fd");
    char *name;
    struct stat status;

    while (descriptors != NULL && descriptors->enumerate(descriptors, &name, NULL, &status)) {
        int fd = atoi(name), type = 0; /* NOLINT(cert-err34-c): the kernel's own numbers; '.' and '..' are 0, and no socket of charon's */
        socklen_t len = sizeof type;
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t address_len = sizeof address;
        uint16_t port;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_DGRAM
            || getsockname(fd, (struct sockaddr *)&address, &address_len) != 0)
            continue;
        port = address.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)&address)->sin_port)
               : address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                               : 0;
        if (port != 0 && (port == charon->socket->get_port(charon->socket, TRUE)
                          || port == charon->socket->get_port(charon->socket, FALSE)))
            jump_receive_buffer_widen(fd, RECEIVE_BYTES);
    }
    DESTROY_IF(descriptors);
}

/* In place of socket_manager_t.receive. The thread may be cancelled inside the original, which holds its own lock then and
 * unlocks it by a cleanup handler; we hold nothing. From there to here and on, with a packet or the ring's lock in
 * hand, it may not: eventfd_write and the log would be places for that. */
static status_t receive(socket_manager_t *socket, packet_t **packet)
{
    if (!carrier.widened) { /* one receiver, and no socket before it */
        bool cancelable = thread_cancelability(FALSE);

        carrier.widened = true;
        widen_sockets();
        thread_cancelability(cancelable);
    }
    for (;;) {
        status_t status = carrier.original(socket, packet);
        bool cancelable, ours;

        if (status != SUCCESS || carrier.ring == NULL)
            return status;
        cancelable = thread_cancelability(FALSE);
        ours = swallow(*packet);
        thread_cancelability(cancelable);
        if (!ours)
            return SUCCESS;
        *packet = NULL;
    }
}

/* --- the session thread --------------------------------------------------------------------------------------- */

bool jump_swan_carrier_next(struct jump_swan_datagram *out)
{
    bool any;

    if (carrier.ring == NULL)
        return false;
    carrier.lock->lock(carrier.lock);
    any = carrier.count > 0;
    if (any) {
        const struct jump_swan_datagram *slot = &carrier.ring[carrier.first];

        memcpy(out->bytes, slot->bytes, slot->bytes_len);
        out->bytes_len = slot->bytes_len;
        out->from = slot->from;
        out->to = slot->to;
        out->from_client = slot->from_client;
        carrier.first = (carrier.first + 1) % JUMP_SWAN_RING_SLOTS;
        carrier.count--;
    } else {
        eventfd_t seen;

        (void)!eventfd_read(carrier.fd, &seen); /* under the lock: what comes next finds the ring empty and writes again */
    }
    carrier.lock->unlock(carrier.lock);
    return any;
}

int jump_swan_carrier_fd(void)
{
    return carrier.fd;
}

/* Not sender->send: that writes a line at level 1, which is on by default, for each packet, and we send several in a
 * second for each session. What it adds to send_no_marker is that line, the marker, and delays for tests. */
void jump_swan_carrier_send(const struct jump_path *local, const struct jump_path *to, bool as_client,
                          const uint8_t *message, size_t message_len)
{
    static const uint8_t zeros[16];
    size_t marker_bytes = MARKER_BYTES;
    host_t *src, *dst;
    uint8_t *bytes;

    if (message_len > JUMP_MAX_DATAGRAM_BYTES || message_len < JUMP_SWAN_MESSAGE_LEAST)
        return;
    dst = jump_swan_host_from_path(to);
    if (memcmp(local->ip, zeros, sizeof zeros) == 0 || is_ipv4(local) != is_ipv4(to)) {
        src = host_create_any(is_ipv4(to) ? AF_INET : AF_INET6);
        src->set_port(src, local->port);
    } else {
        src = jump_swan_host_from_path(local);
    }
    /* With port 0 charon's socket would take its port for IKE, without a marker, for the peer's NAT-T port too. */
    if (local->port == 0)
        src->set_port(src, charon->socket->get_port(charon->socket, to->port != IKEV2_UDP_PORT));
    if (src->get_port(src) == IKEV2_UDP_PORT || to->port == IKEV2_UDP_PORT)
        marker_bytes = 0;
    bytes = malloc(marker_bytes + JUMP_SWAN_ENVELOPE_BYTES + message_len);
    if (bytes == NULL) {
        jump_swan_shortage("a message of ours is not sent; it will be repeated");
        src->destroy(src);
        dst->destroy(dst);
        return;
    }
    memset(bytes, 0, marker_bytes);
    jump_swan_envelope_put(bytes + marker_bytes, as_client, message, message_len);
    memcpy(bytes + marker_bytes + JUMP_SWAN_ENVELOPE_BYTES, message, message_len);
    charon->sender->send_no_marker(
        charon->sender, packet_create_from_data(
                            src, dst, chunk_create(bytes, marker_bytes + JUMP_SWAN_ENVELOPE_BYTES + message_len)));
    count(&carrier.sent);
}

void jump_swan_carrier_counters(struct jump_swan_carrier_counters *out)
{
    out->received = value(&carrier.received);
    out->malformed = value(&carrier.malformed);
    out->ignored_interface = value(&carrier.ignored_interface);
    out->over_rate = value(&carrier.over_rate);
    out->ring_full = value(&carrier.ring_full);
    out->sent = value(&carrier.sent);
}

/* --- begin and end -------------------------------------------------------------------------------------------- */

static struct rate rate_of(uint64_t a_second, uint64_t burst)
{
    struct rate rate = {.per_token = SECOND_NS / a_second};

    rate.most = rate.per_token * (burst - 1);
    return rate;
}

bool jump_swan_carrier_begin(struct jump_problem *problem, uint32_t sessions)
{
    uint64_t a_second = JUMP_SWAN_RATE_BASE + (uint64_t)JUMP_SWAN_RATE_PER_SESSION * sessions;

    /* Standing there twice, we would call ourselves for ever. */
    if (carrier.original != NULL) {
        jump_problem_set(problem, "control datagrams pass through this plugin already: restart charon to load it again");
        return false;
    }
    memset(&carrier, 0, sizeof carrier);
    carrier.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (carrier.fd < 0) {
        jump_problem_set(problem, "no eventfd for control datagrams: %s", strerror(errno));
        return false;
    }
    carrier.ring = calloc(JUMP_SWAN_RING_SLOTS, sizeof *carrier.ring);
    if (carrier.ring == NULL) {
        jump_problem_set(problem, "no memory for %u control datagrams", JUMP_SWAN_RING_SLOTS);
        close(carrier.fd);
        carrier.fd = -1;
        return false;
    }
    /* At most one token for each nanosecond; a bucket's burst is what the ring can keep. */
    carrier.all = rate_of(a_second < SECOND_NS ? a_second : SECOND_NS, JUMP_SWAN_RING_SLOTS);
    carrier.source = rate_of(a_second / JUMP_SWAN_SOURCE_SHARE, JUMP_SWAN_RING_SLOTS / JUMP_SWAN_SOURCE_SHARE);
    carrier.lock = mutex_create(MUTEX_TYPE_DEFAULT);
    carrier.original = charon->socket->receive;
    charon->socket->receive = receive;
    return true;
}

void jump_swan_carrier_end(void)
{
    if (carrier.ring == NULL)
        return;
    if (charon->socket->receive == receive) {
        charon->socket->receive = carrier.original;
        carrier.original = NULL;
    }
    free(carrier.ring);
    carrier.ring = NULL;
    carrier.lock->destroy(carrier.lock);
    carrier.lock = NULL;
    close(carrier.fd);
    carrier.fd = -1;
}
