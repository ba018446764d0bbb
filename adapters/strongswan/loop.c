/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The session thread: it waits for datagrams (carrier.c), for what charon's threads post, for operators and for the
 * engines' deadlines, and carries the engines' actions out. It takes no IKE_SA and waits for nobody who has one.
 * Read next: rebind.c (how the IKE_SAs follow), listener.c (where the posts come from).
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <sodium.h>

#include "strongswan/adapter.h"
#include "system/clock.h"
#include "system/path.h"

#define DATAGRAMS_IN_A_ROW 64 /* then timers and posts have their turn */
/* News come in heaps (an address, its routes, a link), and the kernel tells charon, whose view is asked, in a socket of its
 * own: what it has not read yet shows in the second or third look. */
#define NETWORKS_EVERY JUMP_MS(20)
#define NETWORKS_LOOKS 3
#define NETWORKS_SHARE 20 /* and no more of this thread's time than one in so many */
#define MESSAGE_BIRTH 1 /* docs/protocol.md 2.2: what a client says first */
#define CONNECTIONS_EVERY JUMP_MS(100) /* the question may go to a database */
#define CLIENT_WITHIN JUMP_MS(170000) /* charon gives a handshake up after 165 s, as it is shipped */

struct jump_swan *jump_swan;

static bool is_ipv4(const struct jump_path *path)
{
    return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)path->ip);
}

static struct jump_swan_role *role_of(struct jump_swan *swan, enum jump_role role)
{
    return role == JUMP_CLIENT ? &swan->client : &swan->server;
}

void jump_swan_wake(struct jump_swan *swan)
{
    (void)!write(swan->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

bool jump_swan_post(struct jump_swan *swan, const struct jump_swan_post *post)
{
    struct jump_swan_post *copy = malloc(sizeof *copy);

    if (copy == NULL)
        return false;
    *copy = *post;
    jump_swan_post_taken(swan, copy);
    return true;
}

void jump_swan_post_taken(struct jump_swan *swan, struct jump_swan_post *post)
{
    bool first;

    swan->lock->lock(swan->lock);
    first = swan->inbox->get_count(swan->inbox) == 0;
    swan->inbox->insert_last(swan->inbox, post);
    swan->lock->unlock(swan->lock);
    if (first)
        jump_swan_wake(swan);
}

/* The client's ways: local addresses with an id each */

static struct jump_swan_way *way_of(struct jump_swan *swan, const struct jump_path *local)
{
    for (size_t i = 0; i < swan->ways_len; i++)
        if (memcmp(swan->ways[i].local.ip, local->ip, sizeof local->ip) == 0 && swan->ways[i].local.port == local->port
            && swan->ways[i].local.scope == local->scope)
            return &swan->ways[i];
    return NULL;
}

static struct jump_swan_way *way_by_id(struct jump_swan *swan, uint8_t id)
{
    for (size_t i = 0; i < swan->ways_len; i++)
        if (swan->ways[i].local.transport == id)
            return &swan->ways[i];
    return NULL;
}

static bool way_add(struct jump_swan *swan, const struct jump_path *local)
{
    struct jump_swan_way *way;

    if (swan->ways_len == JUMP_MAX_CANDIDATES)
        return false;
    do
        swan->last_way++;
    while (swan->last_way == 0 || way_by_id(swan, swan->last_way) != NULL);
    way = &swan->ways[swan->ways_len++];
    way->local = *local;
    way->local.transport = swan->last_way;
    way->seen = true;
    return true;
}

static void tell_ways(struct jump_swan *swan, const uint8_t lost[JUMP_MAX_CANDIDATES])
{
    struct jump_candidate candidates[JUMP_MAX_CANDIDATES];
    struct jump_input in = {.kind = JUMP_IN_CANDIDATES, .candidates = candidates, .candidates_len = swan->ways_len};

    for (size_t i = 0; i < swan->ways_len; i++)
        candidates[i] = (struct jump_candidate){.path = swan->ways[i].local};
    if (lost != NULL)
        memcpy(in.lost, lost, sizeof in.lost);
    (void)jump_instance_feed(&swan->client.instance, &in);
}

/* Where each session's own server is reached from now, as charon's kernel interface sees it: what charon itself does for
 * a roaming IKE_SA. The former address is kept where it still leads there. */
static void look_at_networks(struct jump_swan *swan)
{
    uint8_t lost[JUMP_MAX_CANDIDATES] = {0};
    size_t lost_len = 0, cursor = 0;
    bool changed = swan->networks_news;
    struct jump_session_view view;
    struct jump_swan_peer peer;

    swan->networks_at = jump_clock_now();
    swan->networks_looks--;
    swan->networks_news = false;
    for (size_t i = 0; i < swan->ways_len; i++)
        swan->ways[i].seen = false;
    while (jump_engine_walk(swan->client.instance.engine, &cursor, &view)) {
        host_t *server, *former, *source;
        struct jump_path local;
        struct jump_swan_way *way;

        if (!jump_swan_peer_get(swan, view.host, &peer))
            continue;
        server = jump_swan_host_from_path(&peer.remote);
        former = jump_swan_host_from_path(&peer.local);
        source = charon->kernel->get_source_addr(charon->kernel, server, former);
        if (source != NULL) {
            jump_swan_path_from_host(&local, source);
            local.port = peer.local.port;
            local.scope = IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)local.ip) ? peer.local.scope : 0;
            way = way_of(swan, &local);
            if (way != NULL)
                way->seen = true;
            else
                changed |= way_add(swan, &local);
            source->destroy(source);
        }
        server->destroy(server);
        former->destroy(former);
    }
    for (size_t i = swan->ways_len; i-- > 0;) {
        if (swan->ways[i].seen)
            continue;
        lost[lost_len++] = swan->ways[i].local.transport;
        swan->ways[i] = swan->ways[--swan->ways_len];
    }
    if (changed || lost_len > 0)
        tell_ways(swan, lost);
    /* With thousands of routes each question costs charon a walk through them, and the sessions wait for this thread. */
    swan->networks_next_at = swan->networks_at + NETWORKS_EVERY + NETWORKS_SHARE * (jump_clock_now() - swan->networks_at);
}

static void networks_changed(struct jump_swan *swan)
{
    swan->networks_looks = NETWORKS_LOOKS;
    swan->networks_news = true;
}

/* Actions */

/* What answers the datagram in hand leaves from the address it came to; else from where the session is. */
static void send_to_client(void *context, const struct jump_action *action)
{
    struct jump_swan *swan = context;
    struct jump_path local = {.port = 0}, to = action->path;
    struct jump_swan_peer peer;

    to.transport = 0;
    if (swan->datagram.bytes_len > 0 && memcmp(&swan->datagram.from, &to, sizeof to) == 0)
        local = swan->datagram.to;
    else if (jump_swan_peer_get(swan, action->host, &peer))
        local = peer.local;
    jump_swan_carrier_send(&local, &to, false, action->bytes, action->bytes_len);
}

static void send_to_server(void *context, const struct jump_action *action)
{
    struct jump_swan *swan = context;
    const struct jump_swan_way *way = way_by_id(swan, action->path.transport);
    struct jump_path local;
    struct jump_swan_peer peer;

    if (way == NULL || !jump_swan_peer_get(swan, action->host, &peer)
        || is_ipv4(&way->local) != is_ipv4(&peer.remote)) /* the way of a session with another server */
        return;
    local = way->local;
    local.transport = 0;
    jump_swan_carrier_send(&local, &peer.remote, true, action->bytes, action->bytes_len);
}

/* charon itself says which addresses changed; this says whose session it was, and why. */
static void tell_move(const struct jump_swan_peer *peer, const struct jump_action *action, const struct jump_path *from,
                      const struct jump_path *to, const char *what)
{
    char from_text[JUMP_PATH_TEXT_BYTES], to_text[JUMP_PATH_TEXT_BYTES];

    if (action->first || memcmp(from, to, sizeof *from) == 0)
        return;
    jump_path_text(from_text, from);
    jump_path_text(to_text, to);
    DBG1(DBG_CFG, "jumping: '%s' %s %s, before from %s (%s)", peer->name, what, to_text, from_text,
         action->voluntary ? "by its own choice" : "its path was dead");
}

static void bind_client(void *context, const struct jump_action *action)
{
    struct jump_swan *swan = context;
    struct jump_path local, remote = action->path;
    struct jump_swan_peer peer;

    if (!jump_swan_peer_get(swan, action->host, &peer))
        return;
    remote.transport = 0;
    local = peer.local;
    if (swan->datagram.bytes_len > 0 && memcmp(&swan->datagram.from, &remote, sizeof remote) == 0)
        local = swan->datagram.to;
    tell_move(&peer, action, &peer.remote, &remote, "comes from");
    jump_swan_peer_bind(swan, action->host, &local, &remote, &remote);
}

static void bind_server(void *context, const struct jump_action *action)
{
    struct jump_swan *swan = context;
    struct jump_path local = action->path;
    struct jump_swan_peer peer;

    if (!jump_swan_peer_get(swan, action->host, &peer))
        return;
    local.transport = 0;
    tell_move(&peer, action, &peer.local, &local, "is reached from");
    jump_swan_peer_bind(swan, action->host, &local, &peer.remote, &action->observed);
}

static void unbind(void *context, const struct jump_action *action)
{
    jump_swan_peer_unbind(context, action->host);
}

static void end(void *context, const struct jump_action *action)
{
    struct jump_swan *swan = context;
    struct jump_swan_peer peer;

    if (action->end_host && jump_swan_peer_get(swan, action->host, &peer))
        DBG1(DBG_CFG, "jumping: the session of '%s' ended (%s): closing its IKE_SA (session %02x%02x%02x%02x)", peer.name,
             jump_reason_name(action->reason), action->session_id.bytes[0], action->session_id.bytes[1],
             action->session_id.bytes[2], action->session_id.bytes[3]);
    jump_swan_peer_end(swan, action->host, action->end_host, action->reason, action->peer_reason);
}

static void warn(void *context, const char *text)
{
    (void)context;
    DBG1(DBG_CFG, "jumping: %s", text);
}

static bool peer_name(void *context, jump_host host, char *out, size_t out_cap)
{
    struct jump_swan_peer peer;

    return jump_swan_peer_get(context, host, &peer) && (size_t)snprintf(out, out_cap, "%s", peer.name) < out_cap;
}

/* Named in docs/man/jumpctl.1. */
static void counters(void *context, jump_control_count *count, void *answer)
{
    struct jump_swan *swan = context;
    struct jump_hold_counters hold = jump_swan_hold_counters(swan->hold);
    struct jump_swan_carrier_counters c;

    jump_swan_carrier_counters(&c);
    count(answer, "carrier", "received", c.received);
    count(answer, "carrier", "sent", c.sent);
    count(answer, "carrier", "malformed", c.malformed);
    count(answer, "carrier", "ignored_interface", c.ignored_interface);
    count(answer, "carrier", "over_rate", c.over_rate);
    count(answer, "carrier", "ring_full", c.ring_full);
    count(answer, "hold", "held", hold.held);
    count(answer, "hold", "sent", hold.sent);
    count(answer, "hold", "dropped", hold.dropped);
    count(answer, "hold", "packets", hold.packets);
    count(answer, "hold", "chunks", hold.chunks);
}

const struct jump_instance_host jump_swan_server_host = {
    .send = send_to_client, .bind = bind_client, .unbind = unbind, .end = end, .warn = warn, .peer_name = peer_name,
    .counters = counters};
const struct jump_instance_host jump_swan_client_host = {
    .send = send_to_server, .bind = bind_server, .unbind = unbind, .end = end, .warn = warn, .peer_name = peer_name,
    .counters = counters};

/* Inputs */

static void take_open(struct jump_swan *swan, const struct jump_swan_post *post)
{
    struct jump_input in = {.kind = JUMP_IN_OPEN, .host = post->host, .secret = post->secret, .path = post->remote};
    int result;

    if (post->role == JUMP_CLIENT) {
        if (way_of(swan, &post->local) == NULL) {
            if (!way_add(swan, &post->local)) {
                DBG1(DBG_CFG, "jumping: no session: this charon initiates from more than %d local addresses", JUMP_MAX_CANDIDATES);
                jump_swan_peer_end(swan, post->host, true, JUMP_REASON_NO_CANDIDATE_TRANSPORTS, JUMP_REASON_NONE);
                return;
            }
            tell_ways(swan, NULL);
        }
        in.path = way_of(swan, &post->local)->local;
    }
    result = jump_instance_feed(&role_of(swan, post->role)->instance, &in);
    if (result != 0) {
        DBG1(DBG_CFG, "jumping: no session: %s", jump_error_text(result));
        jump_swan_peer_end(swan, post->host, true, JUMP_REASON_SESSION_TABLE_FULL, JUMP_REASON_NONE);
        return;
    }
    if (post->role == JUMP_CLIENT) { /* its notify came with the handshake */
        struct jump_input announced = {.kind = JUMP_IN_ANNOUNCED, .host = post->host};

        (void)jump_instance_feed(&swan->client.instance, &announced);
    }
}

/* A server's sessions whose client may not have heard yet that the IKE_SA is established: the response may be lost, and IKE
 * repeats itself after 4 s, 11 s, ... The birth window must not run meanwhile, or the server would give up what IKE has
 * not. The client is known to have it once something of ours comes from where it is; that can be forged, and then the
 * window runs from there on, as it would have anyway. */
static void wait_for_client(struct jump_swan *swan, struct jump_swan_post *post)
{
    post->until = jump_clock_now() + CLIENT_WITHIN;
    swan->unopened->insert_last(swan->unopened, post);
    if (post->until < swan->unopened_until)
        swan->unopened_until = post->until;
}

static void forget_post(struct jump_swan_post *post)
{
    sodium_memzero(post, sizeof *post);
    free(post);
}

/* Those at this address, or whose time is over, or of this name. */
static void settle_unopened(struct jump_swan *swan, const struct jump_path *from, jump_host closed)
{
    enumerator_t *enumerator;
    struct jump_swan_post *post;
    jump_time now = jump_clock_now();

    if (swan->unopened->get_count(swan->unopened) == 0)
        return;
    swan->unopened_until = JUMP_NEVER;
    enumerator = swan->unopened->create_enumerator(swan->unopened);
    while (enumerator->enumerate(enumerator, &post)) {
        bool here = from != NULL && memcmp(from, &post->remote, sizeof *from) == 0;

        if (!here && post->host != closed && post->until > now) {
            if (post->until < swan->unopened_until)
                swan->unopened_until = post->until;
            continue;
        }
        swan->unopened->remove_at(swan->unopened, enumerator);
        if (here)
            take_open(swan, post);
        else
            jump_swan_peer_end(swan, post->host, post->host != closed, JUMP_REASON_HANDSHAKE_FAIL, JUMP_REASON_NONE);
        forget_post(post);
    }
    enumerator->destroy(enumerator);
}

/* Its end, where it ends, is posted after this: the core still has it. */
static void take_again(struct jump_swan *swan, const struct jump_swan_post *post)
{
    const char *rule = post->stays ? "the first one stays" : "the newest wins";
    struct jump_instance *instance = &swan->server.instance;
    jump_time now = jump_clock_now();
    struct jump_session_view view;
    struct jump_swan_peer peer;
    unsigned count;

    if (!jump_engine_find(instance->engine, post->host, &view) || !jump_swan_peer_get(swan, post->host, &peer))
        return;
    count = jump_takeovers_count(&swan->takeovers, peer.user, sizeof peer.user, now);
    if (count < JUMP_TAKEOVERS_ALARM) {
        DBG1(DBG_CFG, "jumping: '%s' came again while its session lived: %s", peer.name, rule);
        return;
    }
    DBG1(DBG_CFG, "jumping: '%s' came again while its session lived, %u times lately: %s; are its credentials used twice?", peer.name,
         count, rule);
    jump_takeovers_alarm(instance, &(struct jump_takeover){
        .session = view.id, .state_version = view.state_version, .ends = !post->stays,
        .previous = view.bound ? view.binding : view.birth_path, .newest = post->remote}, now);
}

static void take_post(struct jump_swan *swan, const struct jump_swan_post *post)
{
    struct jump_instance *instance = &role_of(swan, post->role)->instance;
    struct jump_input in = {.host = post->host};

    switch (post->kind) {
    case JUMP_SWAN_POST_OPEN:
        take_open(swan, post);
        return;
    case JUMP_SWAN_POST_EPOCH:
        in.kind = JUMP_IN_EPOCH;
        in.secret = post->secret;
        break;
    case JUMP_SWAN_POST_CLOSE:
        if (post->role == JUMP_SERVER)
            settle_unopened(swan, NULL, post->host);
        in.kind = JUMP_IN_CLOSE;
        in.reason = JUMP_REASON_HOST_TERMINATED;
        break;
    case JUMP_SWAN_POST_AGAIN:
        take_again(swan, post);
        return;
    case JUMP_SWAN_POST_NETWORKS:
        networks_changed(swan);
        return;
    case JUMP_SWAN_POST_ACTIVITY:
        in.kind = JUMP_IN_ACTIVITY;
        in.sent = post->sent;
        in.received = post->received;
        break;
    }
    if (jump_instance_feed(instance, &in) != JUMP_ERR_UNKNOWN)
        return;
    if (post->kind == JUMP_SWAN_POST_EPOCH) /* rekeyed before its client was heard: the key that it began with is gone */
        settle_unopened(swan, NULL, post->host);
    if (post->kind == JUMP_SWAN_POST_CLOSE || post->kind == JUMP_SWAN_POST_EPOCH)
        jump_swan_peer_end(swan, post->host, post->kind == JUMP_SWAN_POST_EPOCH, JUMP_REASON_HOST_TERMINATED, JUMP_REASON_NONE);
}

static void take_posts(struct jump_swan *swan)
{
    struct jump_swan_post *post;
    bool any;

    do {
        swan->lock->lock(swan->lock);
        any = swan->inbox->remove_first(swan->inbox, (void **)&post) == SUCCESS;
        if (any && post->kind == JUMP_SWAN_POST_NETWORKS)
            swan->networks_posted = false;
        swan->lock->unlock(swan->lock);
        if (any && post->kind == JUMP_SWAN_POST_OPEN && post->role == JUMP_SERVER) {
            wait_for_client(swan, post);
        } else if (any) {
            take_post(swan, post);
            forget_post(post);
        }
    } while (any);
}

/* Whether charon has any connection yet: after its start they are loaded a moment later than its socket is open. A client told
 * then that its session is unknown would call at once, be refused (NO_PROPOSAL_CHOSEN) and, as charon does, not call again. */
static bool has_connections(struct jump_swan *swan)
{
    enumerator_t *all;
    peer_cfg_t *any;

    if (swan->connections_seen || jump_clock_now() < swan->connections_ask_at)
        return swan->connections_seen;
    swan->connections_ask_at = jump_clock_now() + CONNECTIONS_EVERY;
    all = charon->backends->create_peer_cfg_enumerator(charon->backends, NULL, NULL, NULL, NULL, IKEV2);
    swan->connections_seen = all->enumerate(all, &any);
    all->destroy(all);
    return swan->connections_seen;
}

static void take_datagram(struct jump_swan *swan)
{
    struct jump_swan_datagram *d = &swan->datagram;
    struct jump_swan_role *role = d->from_client ? &swan->server : &swan->client;
    struct jump_input in = {.kind = JUMP_IN_DATAGRAM, .path = d->from, .bytes = d->bytes, .bytes_len = d->bytes_len};

    if (!role->open || (d->from_client && !has_connections(swan)))
        return;
    if (d->from_client && (d->bytes[0] & 0x0f) == MESSAGE_BIRTH)
        settle_unopened(swan, &d->from, 0);
    if (!d->from_client) { /* the core's path of a client is its own way out */
        const struct jump_swan_way *way = way_of(swan, &d->to);

        if (way == NULL)
            return;
        in.path = way->local;
    }
    (void)jump_instance_feed(&role->instance, &in);
}

static jump_time earlier(jump_time a, jump_time b)
{
    return a < b ? a : b;
}

static void run_role(struct jump_swan_role *role, const struct pollfd *fds, size_t fds_len)
{
    if (!role->open)
        return;
    role->instance.now = jump_clock_now();
    jump_instance_serve(&role->instance, fds, fds_len);
    jump_instance_run(&role->instance);
}

static int wait_for(const struct jump_swan *swan)
{
    jump_time now = jump_clock_now(), at = jump_swan_hold_deadline(swan->hold);

    if (swan->server.open)
        at = earlier(at, jump_instance_deadline(&swan->server.instance));
    if (swan->client.open)
        at = earlier(at, jump_instance_deadline(&swan->client.instance));
    at = earlier(at, swan->unopened_until);
    if (swan->networks_looks > 0)
        at = earlier(at, swan->networks_next_at);
    if (at == JUMP_NEVER)
        return -1;
    if (at <= now)
        return 0;
    return at - now > JUMP_MS(60000) ? 60000 : (int)((at - now + JUMP_MS(1) - 1) / JUMP_MS(1));
}

static void drain_netlink(struct jump_swan *swan)
{
    struct jump_netlink_change changes[32];
    size_t changes_len;
    bool overrun;

    if (jump_netlink_drain(swan->netlink, changes, sizeof changes / sizeof changes[0], &changes_len, &overrun))
        networks_changed(swan);
}

static void *session_thread(void *argument)
{
    struct jump_swan *swan = argument;
    struct pollfd fds[3 + 2 * JUMP_INSTANCE_FDS];

    while (!swan->stopping) {
        size_t fds_len = 3;
        uint64_t ignored;

        fds[0] = (struct pollfd){.fd = swan->wake_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = jump_swan_carrier_fd(), .events = POLLIN};
        fds[2] = (struct pollfd){.fd = swan->netlink != NULL ? jump_netlink_fd(swan->netlink) : -1, .events = POLLIN};
        if (swan->server.open)
            fds_len += jump_instance_fds(&swan->server.instance, fds + fds_len, JUMP_INSTANCE_FDS);
        if (swan->client.open)
            fds_len += jump_instance_fds(&swan->client.instance, fds + fds_len, JUMP_INSTANCE_FDS);
        if (poll(fds, fds_len, wait_for(swan)) < 0 && errno != EINTR)
            break;
        (void)!read(swan->wake_fd, &ignored, sizeof ignored);
        take_posts(swan);
        for (int i = 0; i < DATAGRAMS_IN_A_ROW && jump_swan_carrier_next(&swan->datagram); i++)
            take_datagram(swan);
        swan->datagram.bytes_len = 0;
        if (swan->netlink != NULL && fds[2].revents != 0)
            drain_netlink(swan);
        if (swan->networks_looks > 0 && swan->networks_next_at <= jump_clock_now())
            look_at_networks(swan);
        jump_swan_hold_flush(swan->hold, jump_clock_now(), jump_swan_esp_send);
        if (swan->unopened_until <= jump_clock_now())
            settle_unopened(swan, NULL, 0);
        run_role(&swan->server, fds + 3, fds_len - 3);
        run_role(&swan->client, fds + 3, fds_len - 3);
    }
    return NULL;
}

bool jump_swan_loop_begin(struct jump_swan *swan, struct jump_problem *problem)
{
    sigset_t all, before;

    swan->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (swan->wake_fd < 0) {
        jump_problem_set(problem, "eventfd: %s", strerror(errno));
        return false;
    }
    /* charon blocks the signals that end it only after its plugins are there, and then waits for them in its main thread: a
     * thread of ours that takes one would end the process. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    swan->thread = thread_create(session_thread, swan);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (swan->thread == NULL)
        jump_problem_set(problem, "the session thread does not start");
    return swan->thread != NULL;
}

void jump_swan_loop_end(struct jump_swan *swan)
{
    struct jump_swan_post *post;

    if (swan->thread != NULL) {
        swan->stopping = true;
        jump_swan_wake(swan);
        swan->thread->join(swan->thread);
        swan->thread = NULL;
    }
    while (swan->inbox->remove_first(swan->inbox, (void **)&post) == SUCCESS
           || swan->unopened->remove_first(swan->unopened, (void **)&post) == SUCCESS)
        forget_post(post);
    if (swan->wake_fd >= 0)
        close(swan->wake_fd);
    swan->wake_fd = -1;
}
