/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The management client (management.h). On IPv4 sockets one line does it: `kill ADDRESS:PORT`. On AF_INET6 sockets
 * OpenVPN's kill compares an IPv4 key with IPv6 ones and finds nobody, so `status 3` is asked for the client ids:
 * its CLIENT_LIST rows are tab-separated, and which column is which stands in its HEADER row. An IPv6 address stands there
 * without its port (mroute.c, mroute_addr_print_ex), so it may be several instances'.
 * What the server says besides (>INFO, >LOG, answers) is read and forgotten.
 * The other end reads only when this thread goes back to it, and hundreds of sessions may end in one moment: what does
 * not fit into the socket and the buffer here waits in a queue that has room for every peer.
 */
#include "management.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sockaddr.h"

#define OUT_BYTES 8192
#define LINE_BYTES 2048
#define COLUMNS 24

#define NOBODY UINT32_MAX

/* Rows of the status that fit, and the client id in the last of them. */
struct fitting {
    unsigned rows;
    unsigned long client;
};

struct wanted {
    struct jump_path shown;
    uint32_t peer_id;
    uint32_t next; /* in its chain of the index; NOBODY: the last */
    bool inet6;    /* by way of status 3 */
    bool done;     /* its command is on its way */
    bool unclear;  /* several rows fitted: asked for again in its own time */
    struct fitting fitting, fitting_tunnel; /* of those, with this tunnel address too */
    char common_name[JUMP_MANAGEMENT_NAME_BYTES], tunnel[JUMP_MANAGEMENT_TUNNEL_BYTES];
};

struct jump_management {
    int fd;
    char path[108];
    char out[OUT_BYTES];
    size_t out_len;
    char line[LINE_BYTES];
    size_t line_len;
    bool line_too_long;
    size_t asked; /* how many of those below the status that was asked for will answer */
    size_t lost;
    bool unclear; /* some are */
    int column_name, column_address, column_tunnel, column_client, column_peer;
    uint32_t *index, index_mask; /* those that are asked for, by peer-id or address: first of each chain */
    uint8_t key[crypto_shorthash_KEYBYTES];
    size_t wanted_len, room;
    struct wanted wanted[];
};

struct jump_management *jump_management_open(const char *path, size_t room)
{
    struct jump_management *m = calloc(1, sizeof *m + room * sizeof m->wanted[0]);

    if (m == NULL || strlen(path) >= sizeof m->path) {
        free(m);
        return NULL;
    }
    while (m->index_mask + 1 < room)
        m->index_mask = m->index_mask << 1 | 1;
    m->index = malloc(((size_t)m->index_mask + 1) * sizeof m->index[0]);
    if (m->index == NULL) {
        free(m);
        return NULL;
    }
    randombytes_buf(m->key, sizeof m->key);
    memcpy(m->path, path, strlen(path) + 1);
    m->fd = -1;
    m->room = room;
    return m;
}

static void disconnect(struct jump_management *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
    m->lost += m->wanted_len;
    m->out_len = m->line_len = m->wanted_len = m->asked = 0;
    m->unclear = false;
}

void jump_management_close(struct jump_management *m)
{
    if (m == NULL)
        return;
    disconnect(m);
    free(m->index);
    free(m);
}

void jump_management_rest(struct jump_management *m)
{
    if (m->out_len > 0 || m->wanted_len > 0 || m->asked > 0)
        disconnect(m);
    m->lost = 0; /* their instances are gone */
}

bool jump_management_connect(struct jump_management *m, struct jump_problem *problem)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (m->fd >= 0)
        return true;
    memcpy(address.sun_path, m->path, strlen(m->path));
    m->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (m->fd >= 0 && connect(m->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    jump_problem_set(problem, "management socket %s: %s", m->path, strerror(errno));
    disconnect(m);
    return false;
}

int jump_management_fd(const struct jump_management *m, short *events)
{
    *events = (short)(POLLIN | (m->out_len > 0 ? POLLOUT : 0));
    return m->fd;
}

static void flush(struct jump_management *m)
{
    while (m->out_len > 0) {
        ssize_t n = send(m->fd, m->out, m->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0) {
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                disconnect(m);
            return;
        }
        m->out_len -= (size_t)n;
        memmove(m->out, m->out + n, m->out_len);
    }
}

static bool command(struct jump_management *m, const char *text)
{
    size_t len = strlen(text);

    if (m->fd < 0 || len > sizeof m->out - m->out_len)
        return false;
    memcpy(m->out + m->out_len, text, len);
    m->out_len += len;
    flush(m);
    return m->fd >= 0;
}

/* "192.0.2.1:1194", also on an AF_INET6 socket; "2001:db8::1" without its port: 0 then. */
static bool take_address(struct jump_path *path, const char *text)
{
    char ip[64];
    const char *colon = strrchr(text, ':');

    if (colon == NULL || (size_t)(colon - text) >= sizeof ip)
        return false;
    if (colon == strchr(text, ':')) {
        memcpy(ip, text, (size_t)(colon - text));
        ip[colon - text] = '\0';
        return jump_sockaddr_parse(path, ip, colon + 1);
    }
    if (!jump_sockaddr_parse(path, text, "1"))
        return false;
    path->port = 0;
    return true;
}

/* The index: who is asked for, by what the status says of it. Addresses are whatever clients have: keyed. */

static uint32_t *chain_of_number(struct jump_management *m, uint32_t peer_id)
{
    return &m->index[peer_id & m->index_mask];
}

static uint32_t *chain_of_address(struct jump_management *m, const struct jump_path *path)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint32_t at;

    crypto_shorthash(hash, path->ip, sizeof path->ip, m->key);
    memcpy(&at, hash, sizeof at);
    return &m->index[(at + (jump_sockaddr_is_ipv4(path) ? path->port : 0)) & m->index_mask];
}

static void ask_for_all(struct jump_management *m)
{
    memset(m->index, 0xff, ((size_t)m->index_mask + 1) * sizeof m->index[0]);
    m->asked = m->wanted_len;
    for (uint32_t i = 0; i < m->asked; i++) {
        struct wanted *w = &m->wanted[i];
        uint32_t *chain = w->peer_id != UINT32_MAX ? chain_of_number(m, w->peer_id) : chain_of_address(m, &w->shown);

        w->fitting.rows = w->fitting_tunnel.rows = 0;
        w->next = *chain;
        *chain = i;
    }
}

static void take_header(struct jump_management *m, char *const columns[], int n)
{
    /* HEADER CLIENT_LIST name name ...: the rows begin with CLIENT_LIST, one word less. */
    for (int i = 2; i < n; i++) {
        if (strcmp(columns[i], "Common Name") == 0)
            m->column_name = i - 1;
        else if (strcmp(columns[i], "Real Address") == 0)
            m->column_address = i - 1;
        else if (strcmp(columns[i], "Virtual Address") == 0)
            m->column_tunnel = i - 1;
        else if (strcmp(columns[i], "Client ID") == 0)
            m->column_client = i - 1;
        else if (strcmp(columns[i], "Peer ID") == 0)
            m->column_peer = i - 1;
    }
}

/* A column's text; "" where it is not known or empty. */
static const char *text_of(char *const columns[], int n, int column)
{
    return column > 0 && column < n ? columns[column] : "";
}

static void fits(struct fitting *fitting, unsigned long client)
{
    fitting->rows++;
    fitting->client = client;
}

static void take_client(struct jump_management *m, char *const columns[], int n)
{
    struct jump_path path;
    char *end;
    unsigned long client, peer;

    if (m->column_client <= 0 || m->column_client >= n || m->column_peer <= 0 || m->column_peer >= n
        || m->column_address <= 0 || m->column_address >= n)
        return;
    client = strtoul(columns[m->column_client], &end, 10);
    if (*end != '\0')
        return;
    peer = strtoul(columns[m->column_peer], &end, 10);
    for (uint32_t i = *chain_of_number(m, (uint32_t)peer); i != NOBODY; i = m->wanted[i].next)
        if (m->wanted[i].inet6 && m->wanted[i].peer_id != UINT32_MAX && m->wanted[i].peer_id == peer)
            fits(&m->wanted[i].fitting, client);
    if (!take_address(&path, columns[m->column_address]))
        return;
    for (uint32_t i = *chain_of_address(m, &path); i != NOBODY; i = m->wanted[i].next) {
        struct wanted *w = &m->wanted[i];

        if (!w->inet6 || w->peer_id != UINT32_MAX || memcmp(w->shown.ip, path.ip, sizeof path.ip) != 0
            || (path.port != 0 && path.port != w->shown.port)
            || (w->common_name[0] != '\0' && strcmp(w->common_name, text_of(columns, n, m->column_name)) != 0))
            continue;
        fits(&w->fitting, client);
        if (w->tunnel[0] != '\0' && strcmp(w->tunnel, text_of(columns, n, m->column_tunnel)) == 0)
            fits(&w->fitting_tunnel, client);
    }
}

/* The status is through. Who is not in it is gone already; whoever was not to be told apart waits. */
static void end_those_found(struct jump_management *m, size_t asked)
{
    for (size_t i = 0; i < asked && m->fd >= 0; i++) {
        struct wanted *w = &m->wanted[i];
        const struct fitting *one = w->fitting_tunnel.rows == 1 ? &w->fitting_tunnel : &w->fitting;
        char text[64];

        if (!w->inet6 || w->done)
            continue;
        w->unclear = one->rows > 1;
        if (w->unclear) {
            m->unclear = true;
            continue;
        }
        (void)snprintf(text, sizeof text, "client-kill %lu\n", one->client);
        w->done = one->rows == 0 || command(m, text); /* no room: it is asked for again */
    }
}

static void tidy(struct jump_management *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->wanted_len; i++)
        if (!m->wanted[i].done)
            m->wanted[kept++] = m->wanted[i];
    m->wanted_len = kept;
}

/* What can go out now. A status is asked for when none is out, for all that wait then. */
static void serve(struct jump_management *m)
{
    bool ask = false;

    if (m->asked > 0)
        return; /* the places in the list are spoken of until END */
    for (size_t i = 0; i < m->wanted_len && m->fd >= 0; i++) {
        const uint8_t *ip = m->wanted[i].shown.ip;
        char text[64];

        if (m->wanted[i].done)
            continue;
        if (m->wanted[i].inet6) {
            ask = ask || !m->wanted[i].unclear;
            continue;
        }
        (void)snprintf(text, sizeof text, "kill %u.%u.%u.%u:%u\n", ip[12], ip[13], ip[14], ip[15],
                       m->wanted[i].shown.port);
        m->wanted[i].done = command(m, text);
        if (!m->wanted[i].done)
            break;
    }
    tidy(m);
    if (ask && m->out_len == 0 && command(m, "status 3\n"))
        ask_for_all(m);
}

static void take_line(struct jump_management *m)
{
    char *columns[COLUMNS], *at = m->line;
    int n = 0;

    if (m->asked == 0)
        return;
    while (at != NULL && n < COLUMNS)
        columns[n++] = strsep(&at, "\t");
    if (n >= 2 && strcmp(columns[0], "HEADER") == 0 && strcmp(columns[1], "CLIENT_LIST") == 0) {
        take_header(m, columns, n);
    } else if (strcmp(columns[0], "CLIENT_LIST") == 0) {
        take_client(m, columns, n);
    } else if (strcmp(columns[0], "END") == 0) {
        size_t asked = m->asked;

        m->asked = 0;
        if (m->column_client <= 0 || m->column_peer <= 0 || m->column_address <= 0)
            m->lost += asked; /* another form of status: nobody can be found in it */
        end_those_found(m, asked);
        tidy(m);
        serve(m);
    }
}

static void receive(struct jump_management *m)
{
    char bytes[4096];
    ssize_t n;

    while (m->fd >= 0 && (n = recv(m->fd, bytes, sizeof bytes, MSG_DONTWAIT)) != 0) {
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                disconnect(m);
            return;
        }
        for (ssize_t i = 0; i < n && m->fd >= 0; i++) {
            if (bytes[i] == '\n') {
                if (m->line_len > 0 && m->line[m->line_len - 1] == '\r')
                    m->line_len--;
                m->line[m->line_len] = '\0';
                if (!m->line_too_long)
                    take_line(m);
                m->line_len = 0;
                m->line_too_long = false;
            } else if (m->line_len < sizeof m->line - 1) {
                m->line[m->line_len++] = bytes[i];
            } else {
                m->line_too_long = true;
            }
        }
    }
    if (m->fd >= 0)
        disconnect(m); /* the other end closed */
}

void jump_management_run(struct jump_management *m)
{
    if (m->fd >= 0)
        flush(m);
    if (m->fd >= 0)
        receive(m);
    if (m->fd >= 0)
        serve(m);
}

size_t jump_management_lost(struct jump_management *m)
{
    size_t lost = m->lost;

    m->lost = 0;
    return lost;
}

bool jump_management_kill(struct jump_management *m, const struct jump_management_instance *instance, bool inet6_socket)
{
    struct wanted *w = &m->wanted[m->wanted_len];

    if (m->fd < 0 || m->wanted_len == m->room)
        return false;
    *w = (struct wanted){.shown = instance->shown, .peer_id = instance->peer_id, .inet6 = inet6_socket};
    (void)snprintf(w->common_name, sizeof w->common_name, "%s", instance->common_name == NULL ? "" : instance->common_name);
    (void)snprintf(w->tunnel, sizeof w->tunnel, "%s", instance->tunnel == NULL ? "" : instance->tunnel);
    m->wanted_len++;
    serve(m);
    return true; /* or it is among the lost */
}

bool jump_management_unclear(const struct jump_management *m)
{
    return m->unclear;
}

void jump_management_again(struct jump_management *m)
{
    m->unclear = false;
    for (size_t i = 0; i < m->wanted_len; i++)
        m->wanted[i].unclear = false;
    serve(m);
}

void jump_management_forget(struct jump_management *m, const struct jump_path *shown)
{
    for (size_t i = 0; i < m->wanted_len; i++)
        if (memcmp(&m->wanted[i].shown, shown, sizeof *shown) == 0)
            m->wanted[i].done = true; /* taken out in its turn */
}

size_t jump_management_waiting(const struct jump_management *m)
{
    return m->wanted_len;
}
