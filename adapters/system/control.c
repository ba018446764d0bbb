/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket's server: accepts, reads one request line, answers, closes; all within the caller's poll loop. It
 * owns its descriptors and a bounded buffer for each client, and gives each client 5 seconds. It refuses to feed
 * the engine: termination is the caller's callback, run between engine calls.
 * Read next: control.h, tools/jumpctl/sessions.c (the other side).
 */
#include "system/control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "system/file.h"
#include "system/path.h"
#include "system/text.h"

#define CLIENT_FOR JUMP_MS(5000)
#define PAUSE_FOR JUMP_MS(1000) /* no descriptor left: accept again after this */

struct client {
    int fd; /* -1: free */
    jump_time ends_at;
    char request[JUMP_CONTROL_REQUEST_BYTES + 1];
    size_t request_len;
    char *answer; /* NULL: still reading */
    size_t answer_len, answer_done;
};

struct jump_control {
    struct jump_control_host host;
    int listener, folder_fd;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *name; /* inside path */
    struct stat identity;
    jump_time paused_until;
    struct client clients[JUMP_CONTROL_CLIENTS];
};

/* --- Answers --------------------------------------------------------------------------------------------- */

static void put(struct json_object *to, const char *key, struct json_object *value)
{
    if (json_object_object_add_ex(to, key, value, JSON_C_OBJECT_ADD_CONSTANT_KEY) != 0)
        (void)json_object_put(value);
}

static void put_text(struct json_object *to, const char *key, const char *value)
{
    put(to, key, json_object_new_string(value));
}

static void put_number(struct json_object *to, const char *key, uint64_t value)
{
    put(to, key, json_object_new_uint64(value));
}

static void put_fraction(struct json_object *to, const char *key, uint32_t value, uint32_t unit, int digits)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%" PRIu32 ".%0*" PRIu32, value / unit, digits, value % unit);
    put(to, key, json_object_new_double_s((double)value / unit, text));
}

static void put_path(struct json_object *to, const char *key, const struct jump_path *path)
{
    char text[JUMP_PATH_TEXT_BYTES];

    jump_path_text(text, path);
    put_text(to, key, text);
}

static struct json_object *refusal(const char *error)
{
    struct json_object *answer = json_object_new_object();

    put(answer, "ok", json_object_new_boolean(false));
    put_text(answer, "error", error);
    return answer;
}

/* Every good answer says whose it is. */
static struct json_object *success(const struct jump_control *control)
{
    struct json_object *answer = json_object_new_object();

    put(answer, "ok", json_object_new_boolean(true));
    put_text(answer, "name", control->host.name);
    put_text(answer, "role", control->host.role == JUMP_CLIENT ? "client" : "server");
    put_text(answer, "version", control->host.version);
    return answer;
}

static struct json_object *session_describe(const struct jump_control *control, const struct jump_session_view *view,
                                            jump_time now)
{
    struct json_object *session = json_object_new_object();
    char text[160], name[160];

    (void)sodium_bin2hex(text, sizeof text, view->id.bytes, JUMP_ID_BYTES);
    put_text(session, "session_id", text);
    name[0] = '\0';
    if (control->host.peer_name != NULL && control->host.peer_name(control->host.context, view->host, name, sizeof name)) {
        jump_text_clean(text, sizeof text, name); /* the peer's own choice */
        put_text(session, "peer", text);
    }
    put_text(session, "state", jump_state_name(view->state));
    put(session, "bound", json_object_new_boolean(view->bound));
    put_number(session, "state_version", view->state_version);
    put_number(session, "generation", view->generation);
    if (view->bound)
        put_path(session, "binding", &view->binding);
    put_path(session, "birth_path", &view->birth_path);
    put_number(session, "age_ms", now > view->born_at ? (now - view->born_at) / JUMP_MS(1) : 0);
    if (view->expires_at != JUMP_NEVER)
        put_number(session, "ends_in_ms", view->expires_at > now ? (view->expires_at - now) / JUMP_MS(1) : 0);
    put_fraction(session, "rtt_ms", view->rtt_us, 1000, 3);
    put_fraction(session, "loss_ratio", view->loss_ppm, 1000000, 6);
    put_number(session, "switches", view->switches);
    put_number(session, "last_gap_ms", view->last_gap_ms);
    put_number(session, "keys", view->keys);
    (void)snprintf(text, sizeof text, "%u.%u", view->policy_major, view->policy_minor);
    put_text(session, "policy_version", text);
    return session;
}

static struct json_object *answer_sessions(const struct jump_control *control, struct json_object *request,
                                           jump_time now)
{
    struct json_object *answer = success(control), *list = json_object_new_array(), *after;
    struct jump_session_view view;
    size_t cursor = 0, count = 0;

    if (json_object_object_get_ex(request, "after", &after))
        cursor = (size_t)json_object_get_uint64(after);
    while (count < JUMP_CONTROL_PAGE && jump_engine_walk(control->host.engine, &cursor, &view)) {
        (void)json_object_array_add(list, session_describe(control, &view, now));
        count++;
    }
    put(answer, "sessions", list);
    if (count == JUMP_CONTROL_PAGE)
        put_number(answer, "next", cursor);
    return answer;
}

static void put_count(void *answer, const char *group, const char *name, uint64_t value)
{
    struct json_object *counters;

    if (!json_object_object_get_ex(answer, group, &counters)) {
        counters = json_object_new_object();
        put(answer, group, counters);
    }
    put_number(counters, name, value);
}

static struct json_object *answer_stats(const struct jump_control *control)
{
    struct json_object *answer = success(control), *stats = json_object_new_object();
    struct jump_stats s;

    memset(&s, 0, sizeof s);
    jump_engine_stats(control->host.engine, &s);
#define PUT(field) put_number(stats, #field, s.field)
    PUT(sessions);
    PUT(births);
    PUT(terminations);
    PUT(switches);
    PUT(malformed);
    PUT(rate_limited);
    PUT(unknown_session);
    PUT(bad_proof);
    PUT(replayed);
    PUT(denied);
    PUT(races);
    PUT(resets);
    PUT(cookies);
    PUT(invalid_transitions);
    PUT(events_suppressed);
#undef PUT
    put(answer, "stats", stats);
    if (control->host.counters != NULL)
        control->host.counters(control->host.context, put_count, answer);
    return answer;
}

static struct json_object *answer_terminate(const struct jump_control *control, struct json_object *request)
{
    struct json_object *value, *answer;
    enum jump_reason reason = JUMP_REASON_OPERATOR_TERMINATED;
    const char *text = NULL;
    struct jump_id id;
    size_t got = 0;
    int result;

    if (json_object_object_get_ex(request, "session_id", &value) && json_object_is_type(value, json_type_string))
        text = json_object_get_string(value);
    if (text == NULL || strlen(text) != 2 * JUMP_ID_BYTES ||
        sodium_hex2bin(id.bytes, sizeof id.bytes, text, strlen(text), NULL, &got, NULL) != 0 || got != JUMP_ID_BYTES)
        return refusal("session_id must be 32 hex digits");
    if (json_object_object_get_ex(request, "reason", &value)) {
        text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
        if (strcmp(text, jump_reason_name(JUMP_REASON_SECURITY_FAILURE)) == 0)
            reason = JUMP_REASON_SECURITY_FAILURE;
        else if (strcmp(text, jump_reason_name(JUMP_REASON_OPERATOR_TERMINATED)) != 0)
            return refusal("reason must be operator_terminated or security_failure");
    }
    result = control->host.terminate(control->host.context, &id, reason);
    if (result != 0)
        return refusal(jump_error_text(result));
    answer = success(control);
    put_text(answer, "reason", jump_reason_name(reason));
    return answer;
}

static struct json_object *answer_for(const struct jump_control *control, const char *line, size_t len, jump_time now)
{
    struct json_tokener *tokener = json_tokener_new_ex(4);
    struct json_object *request = NULL, *value, *answer;
    const char *command = "";

    if (tokener != NULL) {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        request = json_tokener_parse_ex(tokener, line, (int)len);
        if (request != NULL && json_tokener_get_parse_end(tokener) != len) {
            (void)json_object_put(request);
            request = NULL;
        }
        json_tokener_free(tokener);
    }
    if (!json_object_is_type(request, json_type_object)) {
        (void)json_object_put(request);
        return refusal("the request must be one JSON object on one line");
    }
    if (json_object_object_get_ex(request, "command", &value) && json_object_is_type(value, json_type_string))
        command = json_object_get_string(value);
    if (strcmp(command, "sessions") == 0)
        answer = answer_sessions(control, request, now);
    else if (strcmp(command, "terminate") == 0)
        answer = answer_terminate(control, request);
    else if (strcmp(command, "stats") == 0)
        answer = answer_stats(control);
    else if (strcmp(command, "version") == 0)
        answer = success(control);
    else
        answer = refusal("command must be sessions, terminate, stats or version");
    (void)json_object_put(request);
    return answer;
}

/* --- Clients --------------------------------------------------------------------------------------------- */

static void client_drop(struct client *client)
{
    (void)close(client->fd);
    client->fd = -1;
    free(client->answer);
    client->answer = NULL;
}

static void client_send(struct client *client)
{
    while (client->answer_done < client->answer_len) {
        ssize_t put_len = send(client->fd, client->answer + client->answer_done,
                               client->answer_len - client->answer_done, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (put_len < 0 && errno == EINTR)
            continue;
        if (put_len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (put_len <= 0)
            break;
        client->answer_done += (size_t)put_len;
    }
    client_drop(client);
}

static void client_answer(struct client *client, struct json_object *answer)
{
    const char *text = NULL;
    size_t len = 0;

    if (answer != NULL)
        text = json_object_to_json_string_length(answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
    if (text != NULL && len < JUMP_CONTROL_ANSWER_BYTES && (client->answer = malloc(len + 1)) != NULL) {
        memcpy(client->answer, text, len);
        client->answer[len] = '\n';
        client->answer_len = len + 1;
        client->answer_done = 0;
    }
    (void)json_object_put(answer);
    if (client->answer == NULL)
        client_drop(client); /* no memory: the client sees an end without an answer */
    else
        client_send(client);
}

static void client_read(struct jump_control *control, struct client *client, jump_time now)
{
    char *newline;
    bool ended = false;

    while (client->request_len < JUMP_CONTROL_REQUEST_BYTES) {
        ssize_t got = recv(client->fd, client->request + client->request_len,
                           JUMP_CONTROL_REQUEST_BYTES - client->request_len, MSG_DONTWAIT);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (got <= 0) {
            ended = true;
            break;
        }
        client->request_len += (size_t)got;
    }
    newline = memchr(client->request, '\n', client->request_len);
    if (newline != NULL)
        client_answer(client, answer_for(control, client->request, (size_t)(newline - client->request), now));
    else if (ended)
        client_drop(client);
    else if (client->request_len >= JUMP_CONTROL_REQUEST_BYTES)
        client_answer(client, refusal("the request is longer than 4096 bytes"));
}

static void clients_accept(struct jump_control *control, jump_time now)
{
    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        int fd;

        if (client->fd >= 0)
            continue;
        /* cppcheck-suppress nullPointer; accept4(2): NULL where the peer's address is not wanted */
        fd = accept4(control->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors or memory the listener stays readable: do not let it spin the host's loop. */
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED)
                control->paused_until = now + PAUSE_FOR;
            return;
        }
        client->fd = fd;
        client->ends_at = now + CLIENT_FOR;
        client->request_len = 0;
    }
}

/* --- Public ---------------------------------------------------------------------------------------------- */

/* Is the way free for bind? Removes a socket file on which nobody answers. */
static bool way_clear(const struct jump_control *control, struct jump_problem *problem, const struct sockaddr_un *address)
{
    struct stat status;
    int probe, why = 0;

    if (fstatat(control->folder_fd, control->name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return true; /* bind says what else may be wrong */
    if (!S_ISSOCK(status.st_mode)) {
        jump_problem_set(problem, "cannot listen on %s: something else than a socket is there (remove it)",
                         control->path);
        return false;
    }
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0 || connect(probe, (const struct sockaddr *)address, sizeof *address) != 0)
        why = errno;
    if (probe >= 0)
        (void)close(probe);
    if (why == ECONNREFUSED && unlinkat(control->folder_fd, control->name, 0) == 0)
        return true;
    if (why == 0 || why == EAGAIN)
        jump_problem_set(problem, "cannot listen on %s: another running process answers there (give this one another name)",
                         control->path);
    else
        jump_problem_set(problem, "cannot replace the old socket %s: %s", control->path, strerror(errno));
    return false;
}

static bool listener_open(struct jump_control *control, struct jump_problem *problem)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, control->path, sizeof address.sun_path);
    if (!way_clear(control, problem, &address))
        return false;
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* fchmod before bind: Linux makes the file with the socket's mode (less the umask), so nobody can connect
     * between bind and chmod; the umask itself is the process's and not ours to change. */
    if (control->listener < 0 || fchmod(control->listener, 0660) != 0 ||
        bind(control->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        fstatat(control->folder_fd, control->name, &control->identity, AT_SYMLINK_NOFOLLOW) != 0 ||
        fchmodat(control->folder_fd, control->name, 0660, 0) != 0 || listen(control->listener, 16) != 0) {
        jump_problem_set(problem, "cannot listen on %s: %s", control->path, strerror(errno));
        return false;
    }
    return true;
}

struct jump_control *jump_control_open(struct jump_problem *problem, const char *path,
                                       const struct jump_control_host *host)
{
    struct jump_control *control = calloc(1, sizeof *control);
    char folder[sizeof control->path];

    if (control == NULL) {
        jump_problem_set(problem, "cannot listen on %s: no memory", path);
        return NULL;
    }
    control->host = *host;
    control->listener = control->folder_fd = -1;
    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++)
        control->clients[i].fd = -1;
    if (strlen(path) >= sizeof control->path || jump_file_split(folder, sizeof folder, path) == NULL) {
        jump_problem_set(problem, "cannot listen on %s: the path must name a file and have at most %zu bytes", path,
                         sizeof control->path - 1);
        free(control);
        return NULL;
    }
    memcpy(control->path, path, strlen(path) + 1);
    control->name = jump_file_split(folder, sizeof folder, control->path);
    control->folder_fd = jump_file_folder(problem, folder, 0755);
    if (control->folder_fd >= 0 && listener_open(control, problem))
        return control;
    jump_control_close(control);
    return NULL;
}

void jump_control_rest(struct jump_control *control)
{
    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0)
            client_drop(&control->clients[i]);
    memset(&control->host, 0, sizeof control->host);
    control->paused_until = 0;
}

void jump_control_resume(struct jump_control *control, const struct jump_control_host *host)
{
    control->host = *host;
}

size_t jump_control_fds(const struct jump_control *control, struct pollfd *out, size_t out_cap)
{
    size_t count = 0;
    bool room = false;

    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++) {
        const struct client *client = &control->clients[i];

        if (client->fd < 0)
            room = true;
        else if (count < out_cap)
            out[count++] = (struct pollfd){.fd = client->fd, .events = client->answer != NULL ? POLLOUT : POLLIN};
    }
    /* Full, or paused: those who come wait in the kernel's queue. */
    if (room && control->paused_until == 0 && count < out_cap)
        out[count++] = (struct pollfd){.fd = control->listener, .events = POLLIN};
    return count;
}

void jump_control_run(struct jump_control *control, const struct pollfd *fds, size_t fds_len, jump_time now)
{
    bool arrived = false;

    if (control->paused_until != 0 && now >= control->paused_until)
        control->paused_until = 0;
    for (size_t i = 0; i < fds_len; i++) {
        if (fds[i].revents == 0 || fds[i].fd < 0)
            continue;
        if (fds[i].fd == control->listener) {
            arrived = true;
            continue;
        }
        for (size_t k = 0; k < JUMP_CONTROL_CLIENTS; k++) {
            struct client *client = &control->clients[k];

            if (client->fd != fds[i].fd)
                continue;
            if (client->answer != NULL)
                client_send(client);
            else
                client_read(control, client, now);
            break;
        }
    }
    for (size_t k = 0; k < JUMP_CONTROL_CLIENTS; k++)
        if (control->clients[k].fd >= 0 && now >= control->clients[k].ends_at)
            client_drop(&control->clients[k]);
    /* Last: a descriptor closed above may come back as a new client's number. */
    if (arrived && control->paused_until == 0)
        clients_accept(control, now);
}

jump_time jump_control_deadline(const struct jump_control *control)
{
    jump_time first = control->paused_until != 0 ? control->paused_until : JUMP_NEVER;

    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0 && control->clients[i].ends_at < first)
            first = control->clients[i].ends_at;
    return first;
}

void jump_control_close(struct jump_control *control)
{
    struct stat status;

    if (control == NULL)
        return;
    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0)
            client_drop(&control->clients[i]);
    if (control->listener >= 0) {
        if (control->identity.st_ino != 0 &&
            fstatat(control->folder_fd, control->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_ino == control->identity.st_ino && status.st_dev == control->identity.st_dev)
            (void)unlinkat(control->folder_fd, control->name, 0);
        (void)close(control->listener);
    }
    if (control->folder_fd >= 0)
        (void)close(control->folder_fd);
    free(control);
}
