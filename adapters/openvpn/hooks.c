/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OpenVPN's plugin calls as the core's inputs: a finished TLS handshake is a secret, an authorised client that has
 * announced itself is a session, a closed instance is its end. Secrets live in a client's context only until the core
 * has them. What a call's environment does not say is refused, not guessed. Read next: docs/openvpn.md ("The calls
 * we take"), loop.c.
 */
#include "hooks.h"

#include <errno.h>
#include <net/if.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter.h"
#include "sockaddr.h"
#include "system/clock.h"
#include "system/path.h"

static const char *env_get(const char *const envp[], const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; envp != NULL && envp[i] != NULL; i++)
        if (strncmp(envp[i], name, len) == 0 && envp[i][len] == '=')
            return envp[i] + len + 1;
    return NULL;
}

static bool take_secret(uint8_t secret[JUMP_SECRET_BYTES], const char *const envp[])
{
    const char *hex = env_get(envp, "exported_keying_material");
    size_t len = 0;

    return hex != NULL && strlen(hex) == JUMP_SECRET_BYTES * 2
           && sodium_hex2bin(secret, JUMP_SECRET_BYTES, hex, JUMP_SECRET_BYTES * 2, NULL, &len, NULL) == 0
           && len == JUMP_SECRET_BYTES;
}

static bool take_address(struct jump_path *path, const char *const envp[])
{
    const char *ip = env_get(envp, "untrusted_ip");

    if (ip == NULL)
        ip = env_get(envp, "untrusted_ip6");
    return jump_sockaddr_parse(path, ip, env_get(envp, "untrusted_port"));
}

static int missing_key_material(struct jump_ovpn *o)
{
    if (!o->key_material_missing)
        jump_ovpn_log(o, JUMP_LOG_ERROR, "no exported_keying_material after the TLS handshake: keying-material-exporter is not in force, sessions are refused");
    o->key_material_missing = true;
    return OPENVPN_PLUGIN_FUNC_ERROR;
}

static int feed_epoch(struct jump_ovpn *o, jump_host host, const uint8_t *secret, bool maybe_new)
{
    struct jump_input in = {.kind = JUMP_IN_EPOCH};

    in.host = host;
    in.secret = secret;
    in.maybe_new = maybe_new;
    return jump_instance_feed(&o->instance, &in);
}

/* A place for a session: from now on nothing moves its path but the core. @return 0 or an error, no place then */
static int reserve_session(struct jump_ovpn *o, struct jump_ovpn_client *client, const struct jump_path *shown)
{
    return jump_map_open(o->map, &client->host, shown);
}

/*
 * Make the session of a place. `link_server`: a client's, where its socket really sends; NULL on a server.
 * @return 0 or the core's error; the context has no session then
 */
static int begin_session(struct jump_ovpn *o, struct jump_ovpn_client *client, const struct jump_path *link_server,
                         uint8_t transport)
{
    struct jump_input in = {.kind = JUMP_IN_OPEN};
    int result;

    in.host = client->host;
    in.secret = client->secret;
    in.path = link_server != NULL ? *link_server : jump_map_find(o->map, client->host)->birth;
    if (link_server == NULL)
        jump_ovpn_link_moved(o, (uint32_t)(client->host & 0xffffff), &in.path);
    in.path.transport = transport;
    result = jump_instance_feed(&o->instance, &in);
    if (result == 0)
        jump_ovpn_widen(o);
    if (result == 0 && client->newer_known && (result = feed_epoch(o, client->host, client->newer, true)) != 0) {
        struct jump_input undo = {.kind = JUMP_IN_CLOSE};

        undo.host = client->host; /* the context is to have none, so the core neither */
        undo.reason = JUMP_REASON_HOST_TERMINATED;
        (void)jump_instance_feed(&o->instance, &undo);
    }
    if (result == 0)
        jump_ovpn_know_client(o, client->host, client);
    return result;
}

/* A refused client's instance stays, to be told so: an alias leads to it until the destructor. */
static void release_place(struct jump_ovpn *o, struct jump_ovpn_client *client)
{
    if (o->arguments.role == JUMP_SERVER)
        jump_map_leave(o->map, client->host);
    else
        jump_map_close(o->map, client->host);
    client->host = 0;
}

static void wipe_secrets(struct jump_ovpn_client *client)
{
    sodium_memzero(client->secret, sizeof client->secret);
    sodium_memzero(client->newer, sizeof client->newer);
    client->secret_known = client->newer_known = false;
}

static void close_session(struct jump_ovpn *o, struct jump_ovpn_client *client)
{
    struct jump_input in = {.kind = JUMP_IN_CLOSE};
    struct jump_session_view view;

    if (client->host == 0)
        return;
    if (client->opens) { /* the core has not heard of it */
        client->opens = false;
        wipe_secrets(client);
        release_place(o, client);
        return;
    }
    in.host = client->host;
    in.reason = JUMP_REASON_HOST_TERMINATED;
    if (jump_engine_find(o->instance.engine, client->host, &view)) {
        (void)snprintf(o->closed_name, sizeof o->closed_name, "%s", client->common_name);
        o->closed_at = jump_clock_now();
        o->closed_session = view.id;
        o->closed_version = view.state_version + 1; /* what its end makes of it */
        o->closed_path = view.bound ? view.binding : view.birth_path;
    }
    (void)jump_instance_feed(&o->instance, &in); /* unknown: the core ended it before the host did */
    jump_hold_forget(o->hold, (uint32_t)(client->host & 0xffffff));
    if (o->management != NULL)
        jump_management_forget(o->management, &client->shown);
    jump_ovpn_know_client(o, client->host, NULL);
    release_place(o, client);
}

/* Server */

static int server_tls_final(struct jump_ovpn *o, struct jump_ovpn_client *client, const char *const envp[])
{
    uint8_t secret[JUMP_SECRET_BYTES];
    int result = 0;

    client->shown_known = take_address(&client->shown, envp);
    if (!take_secret(secret, envp)) {
        /* A peer without the plugin loses nothing; one that counts on us must not come in half-armed. */
        result = jump_inject_announced(env_get(envp, "IV_SSO")) || client->host != 0 ? missing_key_material(o) : 0;
        sodium_memzero(secret, sizeof secret);
        return result;
    }
    if (client->host != 0 && !client->opens) {
        /* Never a new session: map.c gives every handshake that begins anew an instance of its own. */
        result = feed_epoch(o, client->host, secret, false);
        if (result != 0) {
            jump_ovpn_log(o, JUMP_LOG_ERROR, "a new handshake of a client with a session is refused: %s",
                          jump_error_text(result));
            result = OPENVPN_PLUGIN_FUNC_ERROR;
        }
    } else if (!client->secret_known) {
        memcpy(client->secret, secret, sizeof secret);
        client->secret_known = true;
    } else {
        memcpy(client->newer, secret, sizeof secret);
        client->newer_known = true;
    }
    sodium_memzero(secret, sizeof secret);
    return result;
}

static bool return_config(struct openvpn_plugin_args_func_return *out, const char *text)
{
    struct openvpn_plugin_string_list *list;

    if (out->return_list == NULL || (list = calloc(1, sizeof *list)) == NULL)
        return false;
    list->name = strdup("config");
    list->value = strdup(text);
    if (list->name == NULL || list->value == NULL) {
        free(list->name);
        free(list->value);
        free(list);
        return false;
    }
    *out->return_list = list; /* OpenVPN frees it */
    return true;
}

/*
 * OpenVPN closes the older instance of a common name in the moment the newer one comes (unless duplicate-cn). Once is
 * a client that crashed; again and again is two that share their credentials: that is an alarm, in log and audit. What
 * counts is a session that was thrown out, for whomever; a nameless client has thrown nobody out.
 */
static void watch_takeovers(struct jump_ovpn *o, const struct jump_ovpn_client *client)
{
    jump_time now = jump_clock_now();
    unsigned count;

    /* One call follows the other: whatever a client-disconnect script takes, OpenVPN has not waited in between. */
    if (o->closed_at == 0 || o->closed_at < o->looked_at || client->common_name[0] == '\0' ||
        strcmp(o->closed_name, client->common_name) != 0)
        return;
    count = jump_takeovers_count(&o->takeovers, client->common_name, strlen(client->common_name), now);
    if (count < JUMP_TAKEOVERS_ALARM) {
        jump_ovpn_log(o, JUMP_LOG_WARNING, "client '%s' came again while its session lived: the newest wins",
                      client->common_name);
        return;
    }
    jump_ovpn_log(o, JUMP_LOG_ERROR, "client '%s' came again while its session lived, %u times lately: the newest wins; are its credentials used twice?",
                  client->common_name, count);
    jump_takeovers_alarm(&o->instance, &(struct jump_takeover){
        .session = o->closed_session, .state_version = o->closed_version, .ends = true, .previous = o->closed_path,
        .newest = jump_map_real(o->map, &client->shown)}, now);
}

/* OpenVPN's log and status show such a client by an address that is nobody's: say once whose it is. */
static void tell_alias(const struct jump_ovpn *o, const struct jump_ovpn_client *client)
{
    struct jump_path real = jump_map_real(o->map, &client->shown);
    char shown_text[JUMP_PATH_TEXT_BYTES], real_text[JUMP_PATH_TEXT_BYTES];

    if (memcmp(&real, &client->shown, sizeof real) == 0)
        return;
    jump_path_text(shown_text, &client->shown);
    jump_path_text(real_text, &real);
    jump_ovpn_log(o, JUMP_LOG_INFO, "client '%s' comes from %s; OpenVPN shows it as %s, since it shows another client there",
                  client->common_name, real_text, shown_text);
}

/* Only through the management socket: where it is the user's, or lost, OpenVPN's own timer has to end an instance. */
static bool can_end_instances(const struct jump_ovpn *o)
{
    short events;

    return o->management != NULL && jump_management_fd(o->management, &events) >= 0;
}

static void say_refused(const struct jump_ovpn *o, const struct jump_ovpn_client *client, int result)
{
    jump_ovpn_log(o, JUMP_LOG_ERROR, "client '%s' is refused: %s%s", client->common_name, jump_error_text(result),
                  result == JUMP_ERR_FULL ? " (session_table_full)" : "");
}

/*
 * After CLIENT_CONNECT the administrator's own scripts run (client-connect, learn-address), and while one does OpenVPN
 * stands still: the birth window must not begin before they are done. So the core hears of the session when OpenVPN
 * waits for the next time; where its table is full, at once, while the client can still be refused.
 */
static int open_session(struct jump_ovpn *o, struct jump_ovpn_client *client)
{
    int result = reserve_session(o, client, &client->shown);
    struct jump_stats stats;
    uint32_t waiting = 1;

    jump_engine_stats(o->instance.engine, &stats);
    for (const struct jump_ovpn_client *other = o->opens_wait ? o->clients : NULL; other != NULL; other = other->next)
        waiting += other->opens;
    if (result == 0 && stats.sessions + waiting <= o->instance.max_sessions) {
        client->opens = o->opens_wait = true;
        return 0;
    }
    if (result == 0 && (result = begin_session(o, client, NULL, 0)) != 0)
        release_place(o, client);
    wipe_secrets(client);
    return result;
}

void jump_ovpn_open_authorised(struct jump_ovpn *o)
{
    o->opens_wait = false;
    for (struct jump_ovpn_client *client = o->clients; client != NULL; client = client->next) {
        int result;

        if (!client->opens)
            continue;
        client->opens = false;
        result = begin_session(o, client, NULL, 0);
        wipe_secrets(client);
        if (result == 0)
            continue;
        /* Too late for a refusal: its instance ends. */
        say_refused(o, client, result);
        jump_map_fence(o->map, client->host);
        if (o->management != NULL)
            (void)jump_ovpn_kill(o, jump_map_find(o->map, client->host), client);
    }
}

static int server_connect(struct jump_ovpn *o, struct jump_ovpn_client *client, const char *const envp[],
                          struct openvpn_plugin_args_func_return *out)
{
    const char *name = env_get(envp, "common_name"), *tunnel = env_get(envp, "ifconfig_pool_remote_ip");
    char text[JUMP_INJECT_BYTES];
    int result;

    if (name != NULL)
        (void)snprintf(client->common_name, sizeof client->common_name, "%s", name);
    (void)snprintf(client->tunnel, sizeof client->tunnel, "%s", tunnel != NULL ? tunnel : "");
    client->shown_known = take_address(&client->shown, envp);
    if (client->shown_known)
        tell_alias(o, client);
    watch_takeovers(o, client); /* a client without the plugin throws a session out as well */
    if (!jump_inject_announced(env_get(envp, "IV_SSO"))) {
        wipe_secrets(client);
        return OPENVPN_PLUGIN_FUNC_SUCCESS; /* as bare */
    }
    if (o->link_fd < 0) { /* nobody came over UDP yet, so this one did not: a configuration that could not be read */
        if (!o->no_link_said)
            jump_ovpn_log(o, JUMP_LOG_WARNING, "proto tcp cannot be taken over: clients stay as bare OpenVPN has them");
        o->no_link_said = true;
        wipe_secrets(client);
        return OPENVPN_PLUGIN_FUNC_SUCCESS;
    }
    if (client->host == 0) {
        if (!client->secret_known)
            return missing_key_material(o);
        if (!client->shown_known) {
            jump_ovpn_log(o, JUMP_LOG_ERROR, "a client's address is not in the environment: refused");
            return OPENVPN_PLUGIN_FUNC_ERROR;
        }
        result = open_session(o, client);
        if (result != 0) {
            say_refused(o, client, result);
            return OPENVPN_PLUGIN_FUNC_ERROR;
        }
    }
    jump_inject_client_text(text, !can_end_instances(o), o->facts.pings, &o->instance.policy);
    if (!return_config(out, text)) {
        close_session(o, client);
        return OPENVPN_PLUGIN_FUNC_ERROR;
    }
    return OPENVPN_PLUGIN_FUNC_SUCCESS;
}

static void server_up(struct jump_ovpn *o)
{
    struct jump_problem problem;

    /* Now it is listening, and we may still open it: privileges and root directory go right after. */
    if (o->management != NULL && !jump_management_connect(o->management, &problem))
        jump_ovpn_log(o, JUMP_LOG_ERROR, "%s: ended sessions are fenced, but their instances stay until OpenVPN ends them",
                      problem.text);
}

static int server_call(struct jump_ovpn *o, const struct openvpn_plugin_args_func_in *in,
                       struct openvpn_plugin_args_func_return *out)
{
    struct jump_ovpn_client *client = in->per_client_context;
    const char *const *envp = (const char *const *)in->envp;

    switch (in->type) {
    case OPENVPN_PLUGIN_UP:
        jump_instance_relock(&o->instance); /* the daemon's fork is done, its privileges are not gone yet */
        server_up(o);
        return OPENVPN_PLUGIN_FUNC_SUCCESS;
    case OPENVPN_PLUGIN_TLS_FINAL:
        return client != NULL ? server_tls_final(o, client, envp) : OPENVPN_PLUGIN_FUNC_ERROR;
    case OPENVPN_PLUGIN_CLIENT_CONNECT_V2:
        return client != NULL ? server_connect(o, client, envp, out) : OPENVPN_PLUGIN_FUNC_ERROR;
    case OPENVPN_PLUGIN_CLIENT_DISCONNECT:
        /* Either the instance ends now, and its destructor follows, or client-connect has refused it, and OpenVPN has yet to
         * tell it so: a session that ended before would make the client connect anew instead, again and again. */
        if (client != NULL && client->opens)
            close_session(o, client);
        return OPENVPN_PLUGIN_FUNC_SUCCESS;
    default:
        return OPENVPN_PLUGIN_FUNC_ERROR;
    }
}

/* Client */

/*
 * The tunnel is kept while a new connection is made (persist-tun), its routes with it; but the route around it to the
 * server has gone with the network it led through. The handshake would be sent into the tunnel it is to revive, for ever:
 * OpenVPN's new socket is bound to a network of ours instead, as a socket that the core chose would be.
 */
static void stay_outside(struct jump_ovpn *o)
{
    char bound[IF_NAMESIZE] = "";
    socklen_t bound_len = sizeof bound;
    struct jump_uplink *way = NULL;
    struct jump_path source;
    unsigned ifindex;

    if (o->own_tun == 0 || o->link_fd < 0 || jump_uplinks_route(o, &source, &ifindex, &o->server) != 0
        || ifindex != o->own_tun)
        return;
    if (getsockopt(o->link_fd, SOL_SOCKET, SO_BINDTODEVICE, bound, &bound_len) != 0)
        bound[0] = '\0';
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++)
        if (o->uplinks[i].id != 0 && o->uplinks[i].name[0] != '\0' && jump_sockaddr_same_place(&o->uplinks[i].server, &o->server)
            && (way == NULL || strcmp(o->uplinks[i].name, bound) == 0))
            way = &o->uplinks[i];
    if (way == NULL)
        return; /* no network at all */
    if (strcmp(way->name, bound) == 0) {
        ; /* done for an earlier try */
    } else if (setsockopt(o->link_fd, SOL_SOCKET, SO_BINDTODEVICE, way->name, (socklen_t)strlen(way->name)) != 0) {
        jump_ovpn_log(o, JUMP_LOG_WARNING, "the route to the server leads into the tunnel, and the socket cannot leave through %s: %s",
                      way->name, strerror(errno));
        return;
    } else {
        jump_ovpn_log(o, JUMP_LOG_INFO, "the route to the server leads into the tunnel: connecting through %s", way->name);
    }
    if (way->fd >= 0)
        close(way->fd);
    way->fd = -1;
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES; i++)
        o->uplinks[i].via_link = &o->uplinks[i] == way;
    o->link_device = way->ifindex;
    o->link_socket = jump_uplinks_socket(o);
}

void jump_ovpn_client_reset(struct jump_ovpn *o, const struct jump_path *server)
{
    bool again = o->reset_sent && memcmp(&o->server, server, sizeof *server) == 0;
    bool fresh = jump_uplinks_settle(o);

    if (o->top != NULL && o->top->host != 0) {
        bool went_on = o->session_socket != 0 && jump_uplinks_socket(o) == o->session_socket;

        close_session(o, o->top); /* its TLS state is gone: say so to the server, through the new socket */
        if (went_on) { /* the same socket: OpenVPN did not begin anew, its rekey failed */
            jump_ovpn_log(o, JUMP_LOG_WARNING, "the TLS handshake of a rekey failed: connecting anew");
            jump_ovpn_restart(o);
        }
    }
    if (o->session_socket != jump_uplinks_socket(o))
        o->restart_at = JUMP_NEVER; /* OpenVPN begins anew by itself */
    o->server = *server;
    o->server_known = true;
    o->reset_sent = true;
    o->reset_socket = jump_uplinks_socket(o);
    if (!again || fresh)
        jump_uplinks_begin(o);
    stay_outside(o);
}

/* OpenVPN has closed the socket by now: a fresh one takes the farewell. */
static void say_farewell(struct jump_ovpn *o, struct jump_ovpn_client *client)
{
    int fd;

    jump_uplinks_end(o); /* first: there may be no descriptor but theirs */
    fd = socket(o->link_inet6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    o->link_fd = fd;
    close_session(o, client);
    o->link_fd = -1;
    if (fd >= 0)
        close(fd);
}

/*
 * OpenVPN went on over TCP: it has closed the socket of the session, or of the hard reset that nobody answered. The number
 * may be anything's by now, and what the session asks for at its end (a new connection) would cut a good one.
 */
static void went_to_tcp(struct jump_ovpn *o, struct jump_ovpn_client *client)
{
    o->reset_sent = false;
    o->restart_at = JUMP_NEVER;
    if (client->host != 0) {
        jump_ovpn_log(o, JUMP_LOG_INFO, "this connection is over TCP: it is as bare OpenVPN has it, and the session over UDP ends");
        say_farewell(o, client);
    }
    o->link_fd = -1;
}

static int client_tls_final(struct jump_ovpn *o, struct jump_ovpn_client *client, const char *const envp[])
{
    uint8_t secret[JUMP_SECRET_BYTES];
    ino_t link;
    int result = 0;

    jump_instance_relock(&o->instance); /* the daemon's fork is done, its privileges are not gone yet */
    if (!take_secret(secret, envp)) {
        sodium_memzero(secret, sizeof secret); /* what was hex of it */
        return missing_key_material(o);
    }
    link = jump_uplinks_socket(o);
    if (link == 0 || link != (o->reset_sent ? o->reset_socket : o->session_socket)) {
        went_to_tcp(o, client);
    } else if (o->reset_sent) {
        o->reset_sent = false;
        close_session(o, client);
        memcpy(client->secret, secret, sizeof secret);
        client->newer_known = false;
        jump_uplinks_update(o, false);
        result = reserve_session(o, client, &o->server);
        if (result == 0 && (result = begin_session(o, client, &o->link_server, jump_uplinks_current(o))) != 0)
            release_place(o, client);
        wipe_secrets(client);
        if (result == 0) {
            o->session_socket = jump_uplinks_socket(o);
            o->session_made_at = o->instance.now;
            o->restart_at = JUMP_NEVER;
            jump_uplinks_update(o, true);
        }
    } else if (client->host != 0) {
        result = feed_epoch(o, client->host, secret, false);
        if (result == JUMP_ERR_UNKNOWN) /* the core has ended it; SIGUSR1 is on its way */
            result = 0;
    }
    sodium_memzero(secret, sizeof secret);
    if (result != 0) {
        jump_ovpn_log(o, JUMP_LOG_ERROR, "this connection cannot become a session: %s", jump_error_text(result));
        return OPENVPN_PLUGIN_FUNC_ERROR;
    }
    return OPENVPN_PLUGIN_FUNC_SUCCESS;
}

static void client_up(struct jump_ovpn *o, struct jump_ovpn_client *client, const char *const envp[])
{
    const char *dev = env_get(envp, "dev");
    unsigned tun = dev == NULL ? 0 : jump_netlink_index(o->netlink, dev);

    if (tun != 0 && tun != o->own_tun) {
        o->own_tun = tun;
        (void)jump_netlink_ignore(o->netlink, tun); /* full after a few: our own changes then cost a look each */
        jump_uplinks_update(o, false);
    }
    if (client != NULL && client->host != 0 && env_get(envp, "OPENVPN_" JUMP_INJECT_PUSHED) != NULL) {
        struct jump_input in = {.kind = JUMP_IN_ANNOUNCED};

        in.host = client->host;
        (void)jump_instance_feed(&o->instance, &in);
    }
}

static int client_call(struct jump_ovpn *o, const struct openvpn_plugin_args_func_in *in)
{
    struct jump_ovpn_client *client = in->per_client_context;
    const char *const *envp = (const char *const *)in->envp;

    switch (in->type) {
    case OPENVPN_PLUGIN_TLS_FINAL:
        return client != NULL ? client_tls_final(o, client, envp) : OPENVPN_PLUGIN_FUNC_ERROR;
    case OPENVPN_PLUGIN_UP:
    case OPENVPN_PLUGIN_ROUTE_UP:
        client_up(o, client, envp);
        return OPENVPN_PLUGIN_FUNC_SUCCESS;
    default:
        return OPENVPN_PLUGIN_FUNC_ERROR;
    }
}

int jump_ovpn_call(struct jump_ovpn *o, const struct openvpn_plugin_args_func_in *in,
                   struct openvpn_plugin_args_func_return *out)
{
    if (o->bare)
        return OPENVPN_PLUGIN_FUNC_SUCCESS; /* not reached: no call was asked for */
    return o->arguments.role == JUMP_SERVER ? server_call(o, in, out) : client_call(o, in);
}

struct jump_ovpn_client *jump_ovpn_client_open(struct jump_ovpn *o)
{
    struct jump_ovpn_client *client = calloc(1, sizeof *client);

    if (client == NULL)
        return NULL;
    client->next = o->clients;
    o->clients = client;
    if (o->arguments.role == JUMP_CLIENT)
        o->top = client;
    return client;
}

void jump_ovpn_client_close(struct jump_ovpn *o, struct jump_ovpn_client *client)
{
    struct jump_ovpn_client **at = &o->clients;

    while (*at != NULL && *at != client)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = client->next;
    if (!o->bare) {
        if (o->arguments.role == JUMP_CLIENT)
            say_farewell(o, client);
        else
            close_session(o, client);
        if (client->shown_known)
            jump_map_release(o->map, &client->shown);
    }
    if (o->top == client)
        o->top = NULL;
    sodium_memzero(client, sizeof *client);
    free(client);
}
