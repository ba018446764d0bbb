/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OpenVPN's side of the loop of adapters/host: what each action means here, what else is due, our descriptors in
 * OpenVPN's wait. Nothing here waits and nothing decides. A late tick is normal: while OpenVPN resolves a name or runs
 * a script, nobody calls us.
 * Read next: host/instance.c, io.c (where OpenVPN's thread comes from), map.c (what binding means for packets).
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <errno.h>

#include "adapter.h"
#include "system/path.h"

#define ACTIVITY_EVERY JUMP_MS(100)
#define ADVICE_EVERY JUMP_MS(100)
#define NETWORKS_EVERY JUMP_MS(100) /* a look costs a few questions to the kernel for each interface */
#define AGAIN_EVERY JUMP_MS(1000) /* an instance that ends leaves OpenVPN's list after 5 s */
#define YOUNG_FOR JUMP_MS(60000) /* a session that ends younger makes the next connection wait longer */
#define RESTART_WAIT_MAX 6       /* 2^6 s */
#define PERMITTED_WITHIN JUMP_MS(1000) /* else what is refused is refused for good, and others wait behind it */
#define FLUSH_BEHIND 2   /* for each new packet, so that what is held ends however fast new ones come */

struct jump_ovpn *jump_ovpn_instance;

void jump_ovpn_log(const struct jump_ovpn *ovpn, enum jump_log_level level, const char *format, ...)
{
    static const openvpn_plugin_log_flags_t flags[] = {PLOG_ERR, PLOG_WARN, PLOG_NOTE, PLOG_NOTE};
    char text[JUMP_PROBLEM_BYTES];
    va_list arguments;

    if (level > ovpn->arguments.log_level || ovpn->plugin_log == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ovpn->plugin_log(flags[level], "jumping", "%s", text);
}

/* Actions */

/* map.c's: the peer's slot is the lower part of its name. */
static uint32_t number_of(jump_host host)
{
    return (uint32_t)(host & 0xffffff);
}

static struct jump_ovpn_client *client_of(const struct jump_ovpn *ovpn, jump_host host)
{
    struct jump_ovpn_client *client = number_of(host) < ovpn->numbers ? ovpn->client_of[number_of(host)] : NULL;

    return client != NULL && client->host == host ? client : NULL;
}

static bool is_bound_at(const struct jump_ovpn *ovpn, jump_host host, const struct jump_path *path)
{
    const struct jump_map_peer *peer = jump_map_find(ovpn->map, host);

    return peer != NULL && peer->bound && memcmp(&peer->binding, path, sizeof *path) == 0;
}

/* With `multihome` what goes where a session's own packets came from leaves from the address they came to. */
static uint32_t number_at(const struct jump_ovpn *ovpn, jump_host host, const struct jump_path *to)
{
    const struct jump_map_peer *peer = jump_map_find(ovpn->map, host);
    uint32_t number = number_of(host);

    if (ovpn->peer_pktinfo == NULL || peer == NULL || ovpn->peer_pktinfo[number].len == 0
        || !is_bound_at(ovpn, host, to))
        return JUMP_MAP_NO_PEER;
    return number;
}

static void send_control(struct jump_ovpn *ovpn, const struct jump_action *action)
{
    uint8_t bytes[1 + JUMP_MAX_DATAGRAM_BYTES];
    struct jump_path to = action->path;

    bytes[0] = JUMP_MAP_ENVELOPE_BYTE;
    memcpy(bytes + 1, action->bytes, action->bytes_len);
    if (ovpn->arguments.role == JUMP_CLIENT) {
        (void)jump_uplinks_send(ovpn, &to, bytes, action->bytes_len + 1);
        return;
    }
    to.transport = 0;
    if (action->host != 0) { /* else it is for somebody who has no session, or has not shown its keys */
        jump_sieve_know(&ovpn->sieve, &action->session_id);
        if (jump_sieve_answers(&ovpn->sieve, action->bytes[0] & 15, &to, is_bound_at(ovpn, action->host, &to),
                               ovpn->instance.now))
            jump_ovpn_sieve(ovpn);
    }
    (void)jump_ovpn_link_send(ovpn, &to, number_at(ovpn, action->host, &to), bytes, action->bytes_len + 1);
}

/* Two clients with the same credentials would otherwise throw each other out every second. */
void jump_ovpn_restart(struct jump_ovpn *ovpn)
{
    if (ovpn->instance.now - ovpn->session_made_at >= YOUNG_FOR)
        ovpn->quick_ends = 0;
    ovpn->restart_at = ovpn->instance.now;
    if (ovpn->quick_ends > 0) {
        ovpn->restart_at += JUMP_MS(1000) << ovpn->quick_ends;
        jump_ovpn_log(ovpn, JUMP_LOG_WARNING, "sessions end young: the next connection waits for %u s (are these credentials used elsewhere too?)",
                      1u << ovpn->quick_ends);
    }
    if (ovpn->quick_ends < RESTART_WAIT_MAX)
        ovpn->quick_ends++;
}

bool jump_ovpn_kill(struct jump_ovpn *ovpn, const struct jump_map_peer *peer, const struct jump_ovpn_client *client)
{
    struct jump_management_instance instance = {.shown = peer->shown, .peer_id = peer->peer_id};

    if (client != NULL) {
        instance.common_name = client->common_name;
        instance.tunnel = client->tunnel;
    }
    return jump_management_kill(ovpn->management, &instance, ovpn->link_inet6);
}

static void end_instance(struct jump_ovpn *ovpn, jump_host host, enum jump_reason reason, const struct jump_id *id)
{
    struct jump_map_peer *peer = jump_map_find(ovpn->map, host);
    const struct jump_ovpn_client *client = client_of(ovpn, host);

    if (peer == NULL)
        return;
    jump_hold_forget(ovpn->hold, number_of(host));
    jump_map_fence(ovpn->map, host); /* nothing passes from this moment on, whatever OpenVPN takes to notice */
    if (ovpn->arguments.role == JUMP_CLIENT) {
        jump_ovpn_log(ovpn, JUMP_LOG_WARNING, "session ended (%s): connecting anew", jump_reason_name(reason));
        jump_ovpn_restart(ovpn);
        return;
    }
    /* Who it was, and by which id the audit has the story. */
    jump_ovpn_log(ovpn, JUMP_LOG_WARNING, "session ended (%s): closing the client instance of '%s' (session %02x%02x%02x%02x)",
                  jump_reason_name(reason), client != NULL ? client->common_name : "", id->bytes[0], id->bytes[1],
                  id->bytes[2], id->bytes[3]);
    if (ovpn->management != NULL && !jump_ovpn_kill(ovpn, peer, client))
        jump_ovpn_log(ovpn, JUMP_LOG_ERROR, "the management socket does not take commands: the instance stays until OpenVPN ends it, its packets are dropped");
}

static void session_ended(struct jump_ovpn *ovpn, const struct jump_action *action)
{
    jump_host host = action->host;
    enum jump_reason reason = action->reason;
    bool end_host = action->end_host;
    struct jump_id id = action->session_id;
    struct jump_session_view other;

    if (jump_engine_find(ovpn->instance.engine, host, &other)) /* the other session of the same instance lives on */
        return;
    jump_map_unbind(ovpn->map, host, &id);
    if (end_host)
        end_instance(ovpn, host, reason, &id);
}

/* OpenVPN never sees a move, so its log says so from here. As often as the policy's switch rate allows, no more. */
static void tell_move(const struct jump_ovpn *ovpn, const struct jump_action *action)
{
    const struct jump_map_peer *peer = jump_map_find(ovpn->map, action->host);
    const struct jump_ovpn_client *client = client_of(ovpn, action->host);
    struct jump_path to = action->path;
    char from_text[JUMP_PATH_TEXT_BYTES], to_text[JUMP_PATH_TEXT_BYTES];

    to.transport = 0;
    if (action->first || peer == NULL || memcmp(&peer->binding, &to, sizeof to) == 0)
        return; /* the binding outlives its path in this field */
    jump_path_text(from_text, &peer->binding);
    jump_path_text(to_text, &to);
    jump_ovpn_log(ovpn, JUMP_LOG_INFO, "client '%s' moved from %s to %s (%s)", client == NULL ? "" : client->common_name,
                  from_text, to_text, action->voluntary ? "by its own choice" : "its path was dead");
}

static void carry_send(void *context, const struct jump_action *action)
{
    send_control(context, action);
}

static void carry_bind(void *context, const struct jump_action *action)
{
    struct jump_ovpn *ovpn = context;
    struct jump_path path = action->path;

    if (ovpn->arguments.role == JUMP_CLIENT) {
        jump_uplinks_bind(ovpn, path.transport);
        path = ovpn->link_server; /* which socket is OpenVPN's, and where it sends, has just been settled */
    } else {
        tell_move(ovpn, action);
    }
    jump_map_bind(ovpn->map, action->host, &action->session_id, &path, action->voluntary, ovpn->instance.now);
    if (ovpn->arguments.role == JUMP_SERVER)
        jump_ovpn_link_moved(ovpn, number_of(action->host), &path);
    if (jump_hold_waits(ovpn->hold, number_of(action->host))) {
        jump_ovpn_numbers_add(&ovpn->behind, number_of(action->host));
        ovpn->flush_at = ovpn->instance.now;
    }
}

static void carry_unbind(void *context, const struct jump_action *action)
{
    struct jump_ovpn *ovpn = context;

    jump_map_unbind(ovpn->map, action->host, &action->session_id);
}

static void carry_end(void *context, const struct jump_action *action)
{
    session_ended(context, action);
}

void jump_ovpn_datagram(struct jump_ovpn *ovpn, const uint8_t *bytes, size_t bytes_len, const struct jump_path *from)
{
    struct jump_input in = {.kind = JUMP_IN_DATAGRAM};

    in.path = *from;
    in.bytes = bytes;
    in.bytes_len = bytes_len;
    (void)jump_instance_feed(&ovpn->instance, &in);
}

/* What is due */

bool jump_ovpn_rounds_begin(struct jump_ovpn *ovpn, uint32_t peers)
{
    ovpn->client_of = calloc(peers, sizeof *ovpn->client_of); /* NOLINT(bugprone-sizeof-expression): an array of pointers */
    ovpn->numbers = ovpn->client_of == NULL ? 0 : peers;
    return ovpn->client_of != NULL && jump_ovpn_numbers_open(&ovpn->active, peers)
           && jump_ovpn_numbers_open(&ovpn->behind, peers);
}

void jump_ovpn_rounds_end(struct jump_ovpn *ovpn)
{
    jump_ovpn_numbers_close(&ovpn->active);
    jump_ovpn_numbers_close(&ovpn->behind);
    free(ovpn->client_of);
    ovpn->client_of = NULL;
    ovpn->numbers = 0;
}

void jump_ovpn_know_client(struct jump_ovpn *ovpn, jump_host host, struct jump_ovpn_client *client)
{
    if (number_of(host) < ovpn->numbers)
        ovpn->client_of[number_of(host)] = client;
}

static void report_activity(struct jump_ovpn *ovpn, struct jump_map_peer *peer)
{
    struct jump_input in = {.kind = JUMP_IN_ACTIVITY};

    in.host = peer->host;
    in.sent = peer->sent;
    in.received = peer->received;
    in.proof_of_life = false; /* OpenVPN has not checked it yet, and does not tell us when it has */
    peer->sent = peer->received = false;
    (void)jump_instance_feed(&ovpn->instance, &in);
}

void jump_ovpn_activity(struct jump_ovpn *ovpn, struct jump_map_peer *peer, bool sent)
{
    bool *flag = sent ? &peer->sent : &peer->received;

    if (*flag || peer->host == 0)
        return;
    *flag = true;
        jump_ovpn_numbers_add(&ovpn->active, number_of(peer->host));
    /* The first packet after a silence is what a stretched probe interval must not delay. */
    if (sent && jump_engine_is_idle(ovpn->instance.engine, peer->host))
        report_activity(ovpn, peer);
}

/* EPERM of a send: a filter, or a full table of connections, which a change of the network fills for a moment. One wait for
 * all that is held now, not one for each packet. */
static bool is_refused_for_good(struct jump_ovpn *ovpn, struct jump_map_peer *peer)
{
    if (peer->refused_at == 0)
        peer->refused_at = ovpn->instance.now;
    if (!ovpn->refusal_said)
        jump_ovpn_log(ovpn, JUMP_LOG_WARNING, "the kernel refuses to send what was held (%s): a packet filter, or a full table of connections; it is tried again for %u ms",
                      strerror(EPERM), (unsigned)(PERMITTED_WITHIN / JUMP_MS(1)));
    ovpn->refusal_said = true;
    return ovpn->instance.now - peer->refused_at >= PERMITTED_WITHIN;
}

static void flush_peer(struct jump_ovpn *ovpn, uint32_t n, struct jump_map_peer *peer, unsigned packets)
{
    static uint8_t bytes[JUMP_HOLD_PACKET_BYTES]; /* too large for the stack of a host's deep call */

    for (unsigned i = 0; i < packets; i++) {
        size_t len = jump_hold_next(ovpn->hold, n, bytes);

        if (len == 0)
            return;
        if (jump_ovpn_link_send(ovpn, &peer->binding, n, bytes, len) >= 0) {
            jump_hold_sent(ovpn->hold, n);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)
            return;
        if (errno == EPERM) {
            if (!is_refused_for_good(ovpn, peer))
                return;
            ovpn->refused++;
        }
        jump_hold_lost(ovpn->hold, n); /* any other error is this packet's, as it would be without a hole */
    }
}

void jump_ovpn_queue_behind(struct jump_ovpn *ovpn, uint32_t n, const uint8_t *bytes, size_t bytes_len)
{
    struct jump_map_peer *peer = jump_map_peer(ovpn->map, n);
    uint8_t opcode = bytes_len > 0 ? jump_map_opcode(bytes) : 0;

    /* Acknowledgements and the like are of no use later. */
    if (opcode == JUMP_OVPN_SOFT_RESET || opcode == JUMP_OVPN_CONTROL)
        jump_hold_put(ovpn->hold, n, JUMP_HOLD_CONTROL, bytes, bytes_len);
    else if (opcode == JUMP_OVPN_DATA_V1 || opcode == JUMP_OVPN_DATA_V2)
        jump_hold_put(ovpn->hold, n, JUMP_HOLD_DATA, bytes, bytes_len);
    if (peer != NULL && peer->bound)
        flush_peer(ovpn, n, peer, FLUSH_BEHIND);
}

void jump_ovpn_flush(struct jump_ovpn *ovpn)
{
    unsigned packets = jump_hold_due(ovpn->instance.now, ovpn->flush_at);

    for (uint32_t i = ovpn->behind.len; i-- > 0;) {
        uint32_t n = ovpn->behind.list[i];
        struct jump_map_peer *peer = jump_hold_waits(ovpn->hold, n) ? jump_map_peer(ovpn->map, n) : NULL;

        if (peer != NULL && peer->bound)
            flush_peer(ovpn, n, peer, packets);
        if (peer == NULL || !peer->bound || !jump_hold_waits(ovpn->hold, n)) {
            if (peer != NULL)
                peer->refused_at = 0;
            jump_ovpn_numbers_remove_at(&ovpn->behind, i); /* all sent, or it waits for its next binding */
        }
    }
    ovpn->flush_at = ovpn->instance.now + JUMP_HOLD_EVERY;
}

ssize_t jump_ovpn_came_of(struct jump_ovpn *ovpn, int fd, ssize_t result)
{
    if (result < 0 && ovpn->arguments.role == JUMP_CLIENT && fd == ovpn->link_fd
        && (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH))
        ovpn->advice_waits = true;
    return result;
}

/* Anybody can forge ICMP: the core sends a probe and lets its answer decide. */
static void advise(struct jump_ovpn *ovpn)
{
    struct jump_input in = {.kind = JUMP_IN_ADVICE};

    ovpn->advice_waits = false;
    ovpn->advice_at = ovpn->instance.now;
    if (ovpn->top == NULL || ovpn->top->host == 0)
        return;
    in.host = ovpn->top->host;
    (void)jump_instance_feed(&ovpn->instance, &in);
}

/* A host where containers come and go has such news without an end. What waits is not lost: the look takes all. */
void jump_ovpn_networks_changed(struct jump_ovpn *ovpn)
{
    ovpn->networks_wait = ovpn->networks_at != 0 && ovpn->instance.now - ovpn->networks_at < NETWORKS_EVERY;
    if (ovpn->networks_wait)
        return;
    ovpn->networks_at = ovpn->instance.now;
    jump_uplinks_update(ovpn, false);
}

void jump_ovpn_sieve(struct jump_ovpn *ovpn)
{
    switch (jump_sieve_turn(&ovpn->sieve, ovpn->instance.engine, ovpn->link_fd, jump_uplinks_socket(ovpn),
                            ovpn->instance.now)) {
    case JUMP_SIEVE_AS_IT_WAS:
        break;
    case JUMP_SIEVE_SET:
        jump_ovpn_log(ovpn, JUMP_LOG_WARNING, "a flood: some %u messages a second that name no session, or claim to move one; the system drops most of them now",
                      jump_sieve_estimate(&ovpn->sieve));
        break;
    case JUMP_SIEVE_TAKEN_OFF:
        jump_ovpn_log(ovpn, JUMP_LOG_INFO, "the flood is over");
        break;
    case JUMP_SIEVE_REFUSED:
        jump_ovpn_log(ovpn, JUMP_LOG_WARNING, "a flood of forged messages, and the system takes no filter against it: %s",
                      strerror(errno));
        break;
    }
}

void jump_ovpn_run(struct jump_ovpn *ovpn)
{
    size_t lost = ovpn->management == NULL ? 0 : jump_management_lost(ovpn->management);

    if (lost > 0)
        jump_ovpn_log(ovpn, JUMP_LOG_ERROR, "the management socket is lost: the instances of %zu ended sessions stay until OpenVPN ends them, their packets are dropped",
                      lost);
    if (ovpn->management_again_at <= ovpn->instance.now && ovpn->management != NULL) {
        jump_management_again(ovpn->management);
        ovpn->management_again_at = JUMP_NEVER;
    }
    if (ovpn->management != NULL && ovpn->management_again_at == JUMP_NEVER && jump_management_unclear(ovpn->management))
        ovpn->management_again_at = ovpn->instance.now + AGAIN_EVERY;
    if (ovpn->networks_wait)
        jump_ovpn_networks_changed(ovpn);
    if (ovpn->advice_waits && ovpn->advice_at + ADVICE_EVERY <= ovpn->instance.now)
        advise(ovpn);
    if (ovpn->opens_wait)
        jump_ovpn_open_authorised(ovpn);
    if (jump_sieve_deadline(&ovpn->sieve) <= ovpn->instance.now)
        jump_ovpn_sieve(ovpn);
    jump_instance_run(&ovpn->instance);
    if (ovpn->behind.len > 0 && ovpn->flush_at <= ovpn->instance.now)
        jump_ovpn_flush(ovpn);
    if (ovpn->active.len > 0 && ovpn->activity_at + ACTIVITY_EVERY <= ovpn->instance.now) {
        ovpn->activity_at = ovpn->instance.now;
        while (ovpn->active.len > 0) {
            struct jump_map_peer *peer = jump_map_peer(ovpn->map, ovpn->active.list[ovpn->active.len - 1]);

            jump_ovpn_numbers_remove_at(&ovpn->active, ovpn->active.len - 1);
            if (peer != NULL && (peer->sent || peer->received))
                report_activity(ovpn, peer);
        }
    }
    if (ovpn->restart_at <= ovpn->instance.now) {
        ovpn->restart_at = JUMP_NEVER;
        /* Another socket, or none, and OpenVPN is at a new connection by itself: over TCP nothing has told us of it yet. */
        if (ovpn->session_socket != 0 && jump_uplinks_socket(ovpn) == ovpn->session_socket)
            (void)kill(getpid(), SIGUSR1);
    }
}

static jump_time earlier(jump_time a, jump_time b)
{
    return a < b ? a : b;
}

jump_time jump_ovpn_deadline(const struct jump_ovpn *ovpn)
{
    jump_time at = earlier(jump_instance_deadline(&ovpn->instance), ovpn->restart_at);

    at = earlier(at, jump_sieve_deadline(&ovpn->sieve));
    if (ovpn->management != NULL)
        at = earlier(at, ovpn->management_again_at);
    if (ovpn->behind.len > 0)
        at = earlier(at, ovpn->flush_at);
    if (ovpn->active.len > 0)
        at = earlier(at, ovpn->activity_at + ACTIVITY_EVERY);
    if (ovpn->networks_wait)
        at = earlier(at, ovpn->networks_at + NETWORKS_EVERY);
    if (ovpn->advice_waits)
        at = earlier(at, ovpn->advice_at + ADVICE_EVERY);
    return at;
}

/* Our own descriptors */

size_t jump_ovpn_fds(struct jump_ovpn *ovpn, struct pollfd *out)
{
    size_t len = 0;

    if (ovpn->netlink != NULL)
        out[len++] = (struct pollfd){.fd = jump_netlink_fd(ovpn->netlink), .events = POLLIN};
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++)
        if (ovpn->uplinks[i].id != 0 && ovpn->uplinks[i].fd >= 0)
            out[len++] = (struct pollfd){.fd = ovpn->uplinks[i].fd, .events = POLLIN};
    if (ovpn->management != NULL) {
        short events;
        int fd = jump_management_fd(ovpn->management, &events);

        if (fd >= 0)
            out[len++] = (struct pollfd){.fd = fd, .events = events};
    }
    return len + jump_instance_fds(&ovpn->instance, out + len, JUMP_INSTANCE_FDS);
}

void jump_ovpn_serve(struct jump_ovpn *ovpn, const struct pollfd *fds, size_t fds_len)
{
    short events;

    for (size_t i = 0; i < fds_len; i++) {
        if (fds[i].revents == 0)
            continue;
        if (ovpn->netlink != NULL && fds[i].fd == jump_netlink_fd(ovpn->netlink)) {
            struct jump_netlink_change changes[32];
            size_t changes_len;
            bool overrun;

            if (jump_netlink_drain(ovpn->netlink, changes, sizeof changes / sizeof changes[0], &changes_len, &overrun))
                jump_ovpn_networks_changed(ovpn);
        } else if (ovpn->management != NULL && fds[i].fd == jump_management_fd(ovpn->management, &events)) {
            jump_management_run(ovpn->management);
        } else if (ovpn->arguments.role == JUMP_CLIENT) {
            jump_uplinks_receive(ovpn, fds[i].fd);
        }
    }
    jump_instance_serve(&ovpn->instance, fds, fds_len);
}

/* What people ask the instance */

static bool peer_name(void *context, jump_host host, char *out, size_t out_cap)
{
    const struct jump_ovpn *ovpn = context;
    const struct jump_ovpn_client *client = client_of(ovpn, host);

    return client != NULL && client->common_name[0] != '\0'
           && (size_t)snprintf(out, out_cap, "%s", client->common_name) < out_cap;
}

/* Named in docs/man/jumpctl.1. */
static void counters(void *context, jump_control_count *count, void *answer)
{
    const struct jump_ovpn *ovpn = context;
    const struct jump_map_counters *map = jump_map_counters(ovpn->map);
    const struct jump_hold_counters *hold = jump_hold_counters(ovpn->hold);

    count(answer, "map", "foreign_data", map->foreign_data);
    count(answer, "map", "former_path", map->former_path);
    count(answer, "map", "unmapped_alias", map->unmapped_alias);
    count(answer, "map", "fenced", map->fenced);
    count(answer, "map", "aliases", map->aliases);
    count(answer, "map", "alias_refused", map->alias_refused);
    count(answer, "flood", "begun", ovpn->sieve.floods);
    count(answer, "flood", "each_second", jump_sieve_estimate(&ovpn->sieve));
    count(answer, "hold", "held", hold->held);
    count(answer, "hold", "sent", hold->sent);
    count(answer, "hold", "dropped", hold->dropped);
    count(answer, "hold", "refused", ovpn->refused);
    count(answer, "hold", "packets", hold->packets);
    count(answer, "hold", "chunks", hold->chunks);
    if (ovpn->management != NULL)
        count(answer, "management", "waiting", jump_management_waiting(ovpn->management));
}

static void warn(void *context, const char *text)
{
    jump_ovpn_log(context, JUMP_LOG_WARNING, "%s", text);
}

void jump_ovpn_be_host(struct jump_instance_host *host, struct jump_ovpn *ovpn)
{
    memset(host, 0, sizeof *host);
    host->send = carry_send;
    host->bind = carry_bind;
    host->unbind = carry_unbind;
    host->end = carry_end;
    host->warn = warn;
    host->peer_name = peer_name;
    host->counters = counters;
    host->context = ovpn;
}
