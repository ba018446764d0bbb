/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `jumpctl sessions`, `terminate` and `stats`: asks the control sockets of the instances on this machine. It trusts what
 * they answer no further than a line of JSON; it refuses to know an engine.
 * Read next: adapters/system/control.c (the other side).
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "jumpctl.h"
#include "system/control.h"

#define MOST_SOCKETS 64
#define SHORT_ID 8

struct sockets {
    char *paths[MOST_SOCKETS];
    size_t len;
};

static void sockets_free(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->len; i++)
        free(sockets->paths[i]);
    sockets->len = 0;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

/* The one socket that was named, or all in the run folder. False: an error was printed. */
static bool sockets_find(struct sockets *sockets, const char *only)
{
    DIR *folder;
    const struct dirent *entry;

    sockets->len = 0;
    if (only != NULL) {
        sockets->paths[sockets->len++] = strdup(only);
        return true;
    }
    folder = opendir(JUMPCTL_RUN_DIR);
    if (folder == NULL) {
        (void)jumpctl_error("cannot look into %s: %s (is an instance running? --socket PATH names another place)",
                            JUMPCTL_RUN_DIR, strerror(errno));
        return false;
    }
    while ((entry = readdir(folder)) != NULL && sockets->len < MOST_SOCKETS) {
        /* NAME.mgmt.sock is OpenVPN's own management socket: a connection there would take it from its user. */
        if (!ends_with(entry->d_name, ".sock") || ends_with(entry->d_name, ".mgmt.sock") ||
            asprintf(&sockets->paths[sockets->len], JUMPCTL_RUN_DIR "/%s", entry->d_name) < 0)
            continue;
        sockets->len++;
    }
    (void)closedir(folder);
    qsort(sockets->paths, sockets->len, sizeof sockets->paths[0], by_name);
    if (sockets->len == 0)
        (void)jumpctl_error("no instance has its socket in %s (is one running? --socket PATH names another place)",
                            JUMPCTL_RUN_DIR);
    return sockets->len > 0;
}

static struct json_object *receive(int fd)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *answer = NULL;
    char buffer[16384];
    size_t total = 0;
    ssize_t got;

    while (tokener != NULL && answer == NULL && total <= JUMP_CONTROL_ANSWER_BYTES &&
           (got = recv(fd, buffer, sizeof buffer, 0)) > 0) {
        total += (size_t)got;
        answer = json_tokener_parse_ex(tokener, buffer, (int)got);
        if (answer == NULL && json_tokener_get_error(tokener) != json_tokener_continue)
            break;
    }
    if (tokener != NULL)
        json_tokener_free(tokener);
    return answer;
}

/* Ask one question. @return the answer, which is "ok"; NULL: an error was printed */
static struct json_object *ask(const char *path, const struct json_object *request)
{
    const char *text = json_object_to_json_string_ext((struct json_object *)(uintptr_t)request, JSON_C_TO_STRING_PLAIN);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 5};
    struct json_object *answer = NULL, *value;
    char line[JUMP_CONTROL_REQUEST_BYTES];
    int fd, len = snprintf(line, sizeof line, "%s\n", text);

    if (strlen(path) >= sizeof address.sun_path || len < 0 || (size_t)len >= sizeof line) {
        (void)jumpctl_error("%s: the path is too long for a socket", path);
        return NULL;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int why = errno;

        (void)jumpctl_error("%s: %s%s", path, strerror(why),
                            why == EACCES         ? " (root, or the socket's group, may ask)"
                            : why == ECONNREFUSED ? " (its process is gone)"
                            : why == ENOENT       ? " (no instance of that name is running)"
                                                  : "");
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    if (send(fd, line, (size_t)len, MSG_NOSIGNAL) == len)
        answer = receive(fd);
    (void)close(fd);
    if (!json_object_is_type(answer, json_type_object)) {
        (void)jumpctl_error("%s: no answer within 5 s (the VPN process is busy or stopped)", path);
        (void)json_object_put(answer);
        return NULL;
    }
    if (!json_object_object_get_ex(answer, "ok", &value) || !json_object_get_boolean(value)) {
        const char *error = json_object_object_get_ex(answer, "error", &value) ? json_object_get_string(value) : "refused";

        (void)jumpctl_error("%s: %s", path, error);
        (void)json_object_put(answer);
        return NULL;
    }
    return answer;
}

static struct json_object *question(const char *command)
{
    struct json_object *request = json_object_new_object();

    (void)json_object_object_add(request, "command", json_object_new_string(command));
    return request;
}

/* All pages of one instance's sessions in one answer. */
static struct json_object *ask_sessions(const char *path)
{
    struct json_object *request = question("sessions"), *whole = NULL, *page, *list, *next;

    while ((page = ask(path, request)) != NULL) {
        struct json_object *rest = NULL;
        uint64_t after = json_object_object_get_ex(page, "next", &next) ? json_object_get_uint64(next) : 0;

        (void)json_object_object_del(page, "next");
        if (whole == NULL)
            whole = page;
        else if (json_object_object_get_ex(whole, "sessions", &list) && json_object_object_get_ex(page, "sessions", &rest)) {
            for (size_t i = 0; i < json_object_array_length(rest); i++)
                (void)json_object_array_add(list, json_object_get(json_object_array_get_idx(rest, i)));
            (void)json_object_put(page);
        }
        if (after == 0)
            break;
        (void)json_object_object_add(request, "after", json_object_new_uint64(after));
    }
    (void)json_object_put(request);
    return whole;
}

static const char *text_of(struct json_object *object, const char *key, const char *fallback)
{
    struct json_object *value;

    return json_object_object_get_ex(object, key, &value) ? json_object_get_string(value) : fallback;
}

static double number_of(struct json_object *object, const char *key, double fallback)
{
    struct json_object *value;

    return json_object_object_get_ex(object, key, &value) ? json_object_get_double(value) : fallback;
}

/* "12 s", "3 min 5 s", "2 h 7 min". */
static const char *span(char out[32], double ms)
{
    uint64_t s = (uint64_t)(ms / 1000);

    if (ms < 0)
        (void)snprintf(out, 32, "-");
    else if (ms < 10000)
        (void)snprintf(out, 32, "%.1f s", ms / 1000);
    else if (s < 60)
        (void)snprintf(out, 32, "%" PRIu64 " s", s);
    else if (s < 3600)
        (void)snprintf(out, 32, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        (void)snprintf(out, 32, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    return out;
}

static char state_colour(const char *state, bool bound)
{
    return (char)(strcmp(state, "ATTACHED") == 0 ? 'g' : !bound && strcmp(state, "BIRTH") != 0 ? 'r' : 'y');
}

static struct json_object *list_of(struct json_object *instance)
{
    struct json_object *list = NULL;

    return json_object_object_get_ex(instance, "sessions", &list) && json_object_is_type(list, json_type_array) ? list : NULL;
}

#define TABLE "%-12s %-6s %-8s %s%-10s%s %-32s %4.0f %8.1f %6.1f %-12s %7.0f %-9s %s\n"
static void print_table(struct json_object *instance)
{
    struct json_object *list = list_of(instance);
    size_t count = list == NULL ? 0 : json_object_array_length(list);

    for (size_t i = 0; i < count; i++) {
        struct json_object *session = json_object_array_get_idx(list, i), *value;
        const char *state = text_of(session, "state", "?");
        bool bound = json_object_object_get_ex(session, "bound", &value) && json_object_get_boolean(value);
        char id[SHORT_ID + 1], age[32], gap[32], peer[160];

        (void)snprintf(id, sizeof id, "%s", text_of(session, "session_id", "?"));
        (void)snprintf(peer, sizeof peer, "%s", text_of(session, "peer", "")); /* the peer's own choice: one row still */
        for (char *end; (end = strchr(peer, '\n')) != NULL;)
            *end = '?';
        printf(TABLE, text_of(instance, "name", "?"), text_of(instance, "role", "?"), id,
               jumpctl_colour(stdout, state_colour(state, bound)), state, jumpctl_colour(stdout, 0),
               bound ? text_of(session, "binding", "-") : "-", number_of(session, "generation", 0),
               number_of(session, "rtt_ms", 0), number_of(session, "loss_ratio", 0) * 100, span(age, number_of(session, "age_ms", -1)),
               number_of(session, "switches", 0), span(gap, number_of(session, "last_gap_ms", -1)),
               jumpctl_clean(peer));
    }
    if (count == 0)
        printf("%-12s %-6s no session\n", text_of(instance, "name", "?"), text_of(instance, "role", "?"));
}

/* Ask each socket with `asker` and give the answers, as many as there are. */
static struct json_object *ask_all(const struct sockets *sockets, struct json_object *(*asker)(const char *path))
{
    struct json_object *instances = json_object_new_array();

    for (size_t i = 0; i < sockets->len; i++) {
        struct json_object *answer = asker(sockets->paths[i]);

        if (answer == NULL)
            continue;
        (void)json_object_object_del(answer, "ok");
        (void)json_object_object_add(answer, "socket", json_object_new_string(sockets->paths[i]));
        (void)json_object_array_add(instances, answer);
    }
    return instances;
}

static int print_json(struct json_object *instances)
{
    struct json_object *whole = json_object_new_object();

    (void)json_object_object_add(whole, "instances", json_object_get(instances));
    printf("%s\n", json_object_to_json_string_ext(whole, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE |
                                                             JSON_C_TO_STRING_SPACED));
    (void)json_object_put(whole);
    return JUMPCTL_GOOD;
}

int jumpctl_sessions(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"socket", required_argument, NULL, 's'}, {0}};
    struct json_object *instances;
    struct sockets sockets;
    const char *only = NULL;
    bool json = false;
    int option, result = JUMPCTL_GOOD;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            json = true;
        else if (option == 's')
            only = optarg;
        else
            return jumpctl_usage("sessions", "unknown or incomplete option");
    }
    if (optind < argc)
        return jumpctl_usage("sessions", "too many arguments");
    if (!sockets_find(&sockets, only))
        return JUMPCTL_USAGE;
    instances = ask_all(&sockets, ask_sessions);
    if (json_object_array_length(instances) == 0)
        result = JUMPCTL_USAGE;
    else if (json)
        result = print_json(instances);
    else {
        printf("%s%-12s %-6s %-8s %-10s %-32s %4s %8s %6s %-12s %7s %-9s %s%s\n", jumpctl_colour(stdout, 'b'), "NAME", "ROLE",
               "SESSION", "STATE", "BINDING", "GEN", "RTT ms", "LOSS %", "AGE", "SWITCH", "LAST GAP", "PEER",
               jumpctl_colour(stdout, 0));
        for (size_t i = 0; i < json_object_array_length(instances); i++)
            print_table(json_object_array_get_idx(instances, i));
    }
    (void)json_object_put(instances);
    sockets_free(&sockets);
    return result;
}

static struct json_object *ask_stats(const char *path)
{
    struct json_object *request = question("stats"), *answer = ask(path, request);

    (void)json_object_put(request);
    return answer;
}

int jumpctl_stats(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"socket", required_argument, NULL, 's'}, {0}};
    struct json_object *instances;
    struct sockets sockets;
    const char *only = NULL;
    int option, result = JUMPCTL_USAGE;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            only = optarg;
        else if (option != 'j')
            return jumpctl_usage("stats", "unknown or incomplete option");
    }
    if (optind < argc)
        return jumpctl_usage("stats", "too many arguments");
    if (!sockets_find(&sockets, only))
        return JUMPCTL_USAGE;
    instances = ask_all(&sockets, ask_stats);
    if (json_object_array_length(instances) > 0)
        result = print_json(instances);
    (void)json_object_put(instances);
    sockets_free(&sockets);
    return result;
}

/* The one session whose id begins so. A copy of its id; its instance's socket. */
struct target {
    char id[2 * JUMP_ID_BYTES + 1];
    char socket[sizeof((struct sockaddr_un *)0)->sun_path];
    unsigned matches;
};

static void targets_look(struct target *target, struct json_object *instances, const char *prefix)
{
    for (size_t i = 0; i < json_object_array_length(instances); i++) {
        struct json_object *instance = json_object_array_get_idx(instances, i), *list = list_of(instance);

        for (size_t k = 0; list != NULL && k < json_object_array_length(list); k++) {
            const char *id = text_of(json_object_array_get_idx(list, k), "session_id", "");

            if (strncasecmp(id, prefix, strlen(prefix)) != 0)
                continue;
            target->matches++;
            (void)snprintf(target->id, sizeof target->id, "%s", id);
            (void)snprintf(target->socket, sizeof target->socket, "%s", text_of(instance, "socket", ""));
        }
    }
}

static int terminate_one(const struct target *target, const char *reason)
{
    struct json_object *request = question("terminate"), *answer;

    (void)json_object_object_add(request, "session_id", json_object_new_string(target->id));
    (void)json_object_object_add(request, "reason", json_object_new_string(reason));
    answer = ask(target->socket, request);
    (void)json_object_put(request);
    if (answer == NULL)
        return JUMPCTL_FOUND;
    printf("%s: terminated, %s (instance %s)\n", target->id, text_of(answer, "reason", reason), text_of(answer, "name", "?"));
    (void)json_object_put(answer);
    return JUMPCTL_GOOD;
}

int jumpctl_terminate(int argc, char **argv)
{
    static const struct option options[] = {{"reason", required_argument, NULL, 'r'}, {"socket", required_argument, NULL, 's'}, {0}};
    struct target target = {0};
    struct json_object *instances;
    struct sockets sockets;
    const char *only = NULL, *reason = "operator_terminated", *prefix;
    bool answered;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r')
            reason = optarg;
        else if (option == 's')
            only = optarg;
        else
            return jumpctl_usage("terminate", "unknown or incomplete option");
    }
    if (argc - optind != 1)
        return jumpctl_usage("terminate", "give one session's id");
    prefix = argv[optind];
    if (strlen(prefix) < SHORT_ID || strlen(prefix) > 2 * JUMP_ID_BYTES ||
        strspn(prefix, "0123456789abcdefABCDEF") != strlen(prefix))
        return jumpctl_usage("terminate", "\"%s\" is no session id: 8 to 32 hex digits", prefix);
    if (strcmp(reason, "operator_terminated") != 0 && strcmp(reason, "security_failure") != 0)
        return jumpctl_usage("terminate", "the reason is operator_terminated or security_failure");
    if (!sockets_find(&sockets, only))
        return JUMPCTL_USAGE;
    instances = ask_all(&sockets, ask_sessions);
    sockets_free(&sockets);
    answered = json_object_array_length(instances) > 0;
    targets_look(&target, instances, prefix);
    (void)json_object_put(instances);
    if (!answered)
        return JUMPCTL_USAGE;
    if (target.matches == 0) {
        (void)jumpctl_error("no session's id begins with %s (jumpctl sessions lists them)", prefix);
        return JUMPCTL_FOUND;
    }
    if (target.matches > 1) {
        (void)jumpctl_error("%u sessions' ids begin with %s: give more digits, or --socket where both ends run here",
                            target.matches, prefix);
        return JUMPCTL_FOUND;
    }
    return terminate_one(&target, reason);
}
