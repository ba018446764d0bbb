/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket: what it answers, and that no client, however rude, slow or many, holds up its host; and jumpctl (that
 * of the build, or $JUMPCTL) as its client. The engine is a stand-in of two functions here; time is a variable.
 */
#include <json-c/json.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "runner.h"
#include "scratch.h"
#include "system/control.h"

/* --- The stand-in ---------------------------------------------------------------------------------------- */

static size_t session_count;
static struct jump_id terminated;
static enum jump_reason terminated_for;
static int terminate_result;

bool jump_engine_walk(const struct jump_engine *engine, size_t *cursor, struct jump_session_view *view)
{
    (void)engine;
    if (*cursor >= session_count)
        return false;
    memset(view, 0, sizeof *view);
    memset(view->id.bytes, 0xab, sizeof view->id.bytes);
    view->id.bytes[0] = (uint8_t)(*cursor >> 8);
    view->id.bytes[1] = (uint8_t)*cursor;
    view->state = JUMP_ATTACHED;
    view->bound = true;
    view->host = 7;
    view->state_version = 3;
    view->generation = 2;
    view->binding = (struct jump_path){.ip = {[10] = 0xff, [11] = 0xff, 203, 0, 113, 7}, .port = 4711};
    view->birth_path = view->binding;
    view->born_at = JUMP_MS(1000);
    view->expires_at = JUMP_MS(61000);
    view->rtt_us = 20900;
    view->loss_ppm = 12500;
    view->policy_major = 1;
    (*cursor)++;
    return true;
}

void jump_engine_stats(const struct jump_engine *engine, struct jump_stats *stats)
{
    (void)engine;
    memset(stats, 0, sizeof *stats);
    stats->births = 41;
}

static int terminate(void *context, const struct jump_id *id, enum jump_reason reason)
{
    CU_ASSERT_EQUAL(context, &session_count);
    terminated = *id;
    terminated_for = reason;
    return terminate_result;
}

static const char *name_of_peer = "alice\"\n";

static bool peer_name(void *context, jump_host host, char *out, size_t cap)
{
    (void)context;
    (void)snprintf(out, cap, "%s%d", name_of_peer, (int)host);
    return true;
}

static void count_three(void *context, jump_control_count *count, void *answer)
{
    CU_ASSERT_EQUAL(context, &session_count);
    count(answer, "map", "aliases", 3);
    count(answer, "hold", "held", UINT64_MAX);
    count(answer, "map", "fenced", 0);
}

/* --- A socket and its clients ---------------------------------------------------------------------------- */

static struct scratch scratch;
static struct jump_problem problem;
static struct jump_control *control;
static jump_time now;

static struct jump_control *open_control(void)
{
    struct jump_control_host host = {.name = "office", .version = "0.1.0", .role = JUMP_SERVER, .terminate = terminate,
                                     .peer_name = peer_name, .counters = count_three, .context = &session_count};

    return jump_control_open(&problem, scratch_path(&scratch, "run/office.sock"), &host);
}

static void begin(void)
{
    scratch_open(&scratch);
    now = JUMP_MS(11000);
    session_count = 2;
    terminate_result = 0;
    terminated_for = JUMP_REASON_NONE;
    control = open_control();
    if (control == NULL) {
        fprintf(stderr, "%s\n", problem.text);
        CU_FAIL_FATAL("the socket does not open");
    }
}

static void end(void)
{
    jump_control_close(control);
    control = NULL;
    scratch_close(&scratch);
}

/* One turn of a host's loop that does not wait. */
static void turn(void)
{
    struct pollfd fds[JUMP_CONTROL_FDS + 1];
    size_t count = jump_control_fds(control, fds, JUMP_CONTROL_FDS);

    (void)poll(fds, count, 0);
    fds[count] = (struct pollfd){.fd = 0, .revents = POLLIN}; /* a descriptor of the host's own */
    jump_control_run(control, fds, count + 1, now);
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch_path(&scratch, "run/office.sock"));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Read until the other end closes, with turns between. NULL: it did not close. The caller puts it. */
static struct json_object *hear(int fd)
{
    static char text[JUMP_CONTROL_ANSWER_BYTES + 1];
    size_t len = 0;

    for (int i = 0; i < 2000; i++) {
        ssize_t got = recv(fd, text + len, sizeof text - 1 - len, MSG_DONTWAIT);

        if (got == 0) {
            text[len] = '\0';
            CU_ASSERT_TRUE(len > 0 && text[len - 1] == '\n' && strchr(text, '\n') == text + len - 1);
            return json_tokener_parse(text);
        }
        if (got > 0)
            len += (size_t)got;
        else
            turn();
    }
    return NULL;
}

static struct json_object *ask(const char *request)
{
    struct json_object *answer = NULL;
    int fd = dial();

    if (fd >= 0 && send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
        answer = hear(fd);
    (void)close(fd);
    CU_ASSERT_PTR_NOT_NULL(answer);
    return answer;
}

static struct json_object *field(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;

    (void)json_object_object_get_ex(object, key, &value);
    return value;
}

static bool is_ok(struct json_object *answer)
{
    return json_object_get_boolean(field(answer, "ok"));
}

/* The answer to this request is a refusal that says these words. */
static void refused(const char *request, const char *words)
{
    struct json_object *answer = ask(request);
    const char *error = json_object_get_string(field(answer, "error"));

    CU_ASSERT_FALSE(is_ok(answer));
    CU_ASSERT_TRUE(error != NULL && strstr(error, words) != NULL);
    (void)json_object_put(answer);
}

/* --- Sentences ------------------------------------------------------------------------------------------- */

static void test_control_the_socket_is_for_its_group_and_gone_at_the_end(void)
{
    struct stat status;
    mode_t before = umask(0);

    begin();
    umask(before);
    CU_ASSERT_EQUAL(lstat(scratch_path(&scratch, "run/office.sock"), &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0660);
    jump_control_close(control);
    control = NULL;
    CU_ASSERT_NOT_EQUAL(lstat(scratch_path(&scratch, "run/office.sock"), &status), 0);
    scratch_close(&scratch);
}

static void test_control_sessions_are_listed_with_what_people_need(void)
{
    struct json_object *answer, *list, *one;

    begin();
    answer = ask("{\"command\":\"sessions\"}\n");
    CU_ASSERT_TRUE(is_ok(answer));
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(answer, "name")), "office");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(answer, "role")), "server");
    list = field(answer, "sessions");
    CU_ASSERT_EQUAL_FATAL(json_object_array_length(list), 2);
    one = json_object_array_get_idx(list, 1);
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(one, "session_id")), "0001abababababababababababababab");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(one, "state")), "ATTACHED");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(one, "binding")), "udp 203.0.113.7:4711");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(one, "peer")), "alice\"\n7");
    CU_ASSERT_EQUAL(json_object_get_int(field(one, "age_ms")), 10000);
    CU_ASSERT_EQUAL(json_object_get_int(field(one, "ends_in_ms")), 50000);
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(one, "rtt_ms")), "20.900");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(one, "loss_ratio")), "0.012500");
    (void)json_object_put(answer);
    end();
}

static void test_control_many_sessions_come_in_pages_and_none_twice(void)
{
    size_t seen = 0;
    uint64_t after = 0;
    char request[96];

    begin();
    session_count = 2 * JUMP_CONTROL_PAGE + 5;
    for (int page = 0; page < 5; page++) {
        struct json_object *answer, *next;

        (void)snprintf(request, sizeof request, "{\"command\":\"sessions\",\"after\":%llu}\n", (unsigned long long)after);
        answer = ask(request);
        for (size_t i = 0; i < json_object_array_length(field(answer, "sessions")); i++, seen++) {
            char expected[5];
            const char *id =
                json_object_get_string(field(json_object_array_get_idx(field(answer, "sessions"), i), "session_id"));

            (void)snprintf(expected, sizeof expected, "%04x", (unsigned)seen);
            CU_ASSERT_EQUAL(strncmp(id, expected, 4), 0);
        }
        next = field(answer, "next");
        after = next == NULL ? 0 : json_object_get_uint64(next);
        (void)json_object_put(answer);
        if (after == 0)
            break;
    }
    CU_ASSERT_EQUAL(seen, session_count);
    end();
}

static void test_control_stats_and_version_are_told(void)
{
    struct json_object *answer;

    begin();
    answer = ask("{\"command\":\"stats\"}\n");
    CU_ASSERT_EQUAL(json_object_get_int(field(field(answer, "stats"), "births")), 41);
    CU_ASSERT_EQUAL(json_object_get_int(field(field(answer, "map"), "aliases")), 3); /* the host's own */
    CU_ASSERT_EQUAL(json_object_object_length(field(answer, "map")), 2);
    CU_ASSERT_EQUAL(json_object_get_uint64(field(field(answer, "hold"), "held")), UINT64_MAX);
    (void)json_object_put(answer);
    answer = ask("{\"command\":\"version\"}\n");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(answer, "version")), "0.1.0");
    (void)json_object_put(answer);
    end();
}

static void test_control_one_session_is_terminated_for_the_reason_given(void)
{
    struct json_object *answer;

    begin();
    answer = ask("{\"command\":\"terminate\",\"session_id\":\"000102030405060708090a0b0c0d0e0f\"}\n");
    CU_ASSERT_TRUE(is_ok(answer));
    CU_ASSERT_EQUAL(terminated_for, JUMP_REASON_OPERATOR_TERMINATED);
    CU_ASSERT_EQUAL(terminated.bytes[15], 0x0f);
    (void)json_object_put(answer);
    answer = ask("{\"command\":\"terminate\",\"session_id\":\"000102030405060708090a0b0c0d0e0f\",\"reason\":\"security_failure\"}\n");
    CU_ASSERT_TRUE(is_ok(answer));
    CU_ASSERT_EQUAL(terminated_for, JUMP_REASON_SECURITY_FAILURE);
    (void)json_object_put(answer);
    terminate_result = JUMP_ERR_UNKNOWN;
    refused("{\"command\":\"terminate\",\"session_id\":\"000102030405060708090a0b0c0d0e0f\"}\n", "no such session");
    end();
}

static void test_control_a_wrong_request_is_refused_and_terminates_nothing(void)
{
    begin();
    refused("\n", "one JSON object");
    refused("hello\n", "one JSON object");
    refused("[1,2]\n", "one JSON object");
    refused("{\"command\":\"sessions\"} trailing\n", "one JSON object");
    refused("{\"command\":\"sessions\"\n", "one JSON object");
    refused("{\"command\":{\"a\":{\"b\":{\"c\":{\"d\":1}}}}}\n", "one JSON object"); /* too deep */
    refused("{\"command\":\"\xff\xfe\"}\n", "one JSON object");
    refused("{}\n", "command must be");
    refused("{\"command\":7}\n", "command must be");
    refused("{\"command\":\"reboot\"}\n", "command must be");
    refused("{\"command\":\"terminate\"}\n", "32 hex digits");
    refused("{\"command\":\"terminate\",\"session_id\":\"0001\"}\n", "32 hex digits");
    refused("{\"command\":\"terminate\",\"session_id\":\"0001020304050607 8090a0b0c0d0e0f\"}\n", "32 hex digits");
    refused("{\"command\":\"terminate\",\"session_id\":\"00:102030405060708090a0b0c0d0e0f0\"}\n", "32 hex digits");
    refused("{\"command\":\"terminate\",\"session_id\":\"000102030405060708090a0b0c0d0e0f\",\"reason\":\"peer_terminated\"}\n",
            "reason must be");
    refused("{\"command\":\"terminate\",\"session_id\":\"000102030405060708090a0b0c0d0e0f\",\"reason\":3}\n", "reason must be");
    CU_ASSERT_EQUAL(terminated_for, JUMP_REASON_NONE);
    end();
}

static void test_control_a_request_that_never_ends_is_refused_at_4096_bytes(void)
{
    char request[JUMP_CONTROL_REQUEST_BYTES + 1];

    begin();
    memset(request, 'x', sizeof request - 1);
    request[sizeof request - 1] = '\0';
    refused(request, "longer than 4096");
    end();
}

static void test_control_a_request_may_come_byte_by_byte(void)
{
    static const char request[] = "{\"command\":\"version\"}\n";
    struct json_object *answer;
    int fd;

    begin();
    fd = dial();
    for (size_t i = 0; i + 1 < sizeof request; i++) {
        CU_ASSERT_EQUAL(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
        turn();
    }
    answer = hear(fd);
    CU_ASSERT_TRUE(is_ok(answer));
    (void)json_object_put(answer);
    (void)close(fd);
    end();
}

static void test_control_a_silent_client_is_dropped_after_five_seconds(void)
{
    struct pollfd fds[JUMP_CONTROL_FDS];
    char byte;
    int fd;

    begin();
    CU_ASSERT_EQUAL(jump_control_deadline(control), JUMP_NEVER);
    fd = dial();
    turn();
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), 2);
    CU_ASSERT_EQUAL(jump_control_deadline(control), now + JUMP_MS(5000));
    now += JUMP_MS(5000) - 1;
    turn();
    CU_ASSERT_EQUAL(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    now += 1;
    turn();
    CU_ASSERT_EQUAL(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    CU_ASSERT_EQUAL(jump_control_deadline(control), JUMP_NEVER);
    (void)close(fd);
    end();
}

static void test_control_a_client_that_does_not_read_is_dropped_and_costs_no_wait(void)
{
    struct pollfd fds[JUMP_CONTROL_FDS];
    int fd, small = 1;

    begin();
    session_count = JUMP_CONTROL_PAGE;
    fd = dial();
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    turn(); /* accepted; now make the server's side small too, so that the answer does not fit */
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), 2);
    (void)setsockopt(fds[0].fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    CU_ASSERT_EQUAL(send(fd, "{\"command\":\"sessions\"}\n", 23, MSG_NOSIGNAL), 23);
    for (int i = 0; i < 10; i++)
        turn();
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), 2); /* still there, still waiting to write */
    CU_ASSERT_EQUAL(fds[0].events, POLLOUT);
    now += JUMP_MS(5000);
    turn();
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), 1);
    (void)close(fd);
    end();
}

static void test_control_a_client_that_is_gone_before_its_answer_raises_no_signal(void)
{
    struct pollfd fds[JUMP_CONTROL_FDS];

    begin();
    session_count = JUMP_CONTROL_PAGE;
    for (int i = 0; i < 20; i++) {
        int fd = dial();

        turn();
        (void)send(fd, "{\"command\":\"sessions\"}\n", 23, MSG_NOSIGNAL);
        (void)close(fd);
        turn(); /* SIGPIPE would end this program */
        turn();
    }
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), 1);
    end();
}

static void test_control_the_ninth_client_waits_and_is_served_later(void)
{
    struct pollfd fds[JUMP_CONTROL_FDS];
    struct json_object *answer;
    int idle[JUMP_CONTROL_CLIENTS], ninth;

    begin();
    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++)
        idle[i] = dial();
    ninth = dial();
    turn();
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), JUMP_CONTROL_CLIENTS);
    CU_ASSERT_EQUAL(send(ninth, "{\"command\":\"version\"}\n", 22, MSG_NOSIGNAL), 22);
    now += JUMP_MS(5000);
    turn();
    answer = hear(ninth);
    CU_ASSERT_TRUE(is_ok(answer));
    (void)json_object_put(answer);
    for (size_t i = 0; i < JUMP_CONTROL_CLIENTS; i++)
        (void)close(idle[i]);
    (void)close(ninth);
    end();
}

static void test_control_over_a_rest_the_socket_stays_and_who_came_meanwhile_is_served(void)
{
    struct jump_control_host host = {.name = "office", .version = "0.2.0", .role = JUMP_SERVER, .terminate = terminate,
                                     .peer_name = peer_name, .context = &session_count};
    struct pollfd gone = {.events = POLLIN};
    struct json_object *answer;
    int before, meanwhile;

    begin();
    before = dial();
    turn();
    jump_control_rest(control);
    gone.fd = before;
    CU_ASSERT_EQUAL(poll(&gone, 1, 0), 1);
    CU_ASSERT_TRUE((gone.revents & POLLHUP) != 0);
    meanwhile = dial();
    CU_ASSERT_TRUE(meanwhile >= 0);
    CU_ASSERT_EQUAL(send(meanwhile, "{\"command\":\"version\"}\n", 22, MSG_NOSIGNAL), 22);
    jump_control_resume(control, &host);
    turn();
    answer = hear(meanwhile);
    CU_ASSERT_TRUE(is_ok(answer));
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(answer, "version")), "0.2.0");
    (void)json_object_put(answer);
    (void)close(before);
    (void)close(meanwhile);
    end();
}

static void test_control_A36_without_descriptors_it_pauses_and_does_not_spin(void)
{
    struct pollfd fds[JUMP_CONTROL_FDS];
    struct rlimit before, few;
    struct json_object *answer;
    int fd;

    begin();
    fd = dial();
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &few);
    fds[0] = (struct pollfd){.fd = -1};
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), 1);
    fds[0].revents = POLLIN;
    jump_control_run(control, fds, 1, now);
    setrlimit(RLIMIT_NOFILE, &before);
    CU_ASSERT_EQUAL(jump_control_fds(control, fds, JUMP_CONTROL_FDS), 0);
    CU_ASSERT_EQUAL(jump_control_deadline(control), now + JUMP_MS(1000));
    now += JUMP_MS(1000);
    turn();
    CU_ASSERT_EQUAL(send(fd, "{\"command\":\"version\"}\n", 22, MSG_NOSIGNAL), 22);
    answer = hear(fd);
    CU_ASSERT_TRUE(is_ok(answer));
    (void)json_object_put(answer);
    (void)close(fd);
    end();
}

static void test_control_a_socket_that_nobody_answers_on_is_replaced(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct json_object *answer;

    scratch_open(&scratch);
    CU_ASSERT_EQUAL(mkdir(scratch_path(&scratch, "run"), 0755), 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch_path(&scratch, "run/office.sock"));
    CU_ASSERT_EQUAL(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(stale);
    control = open_control();
    CU_ASSERT_PTR_NOT_NULL_FATAL(control);
    answer = ask("{\"command\":\"version\"}\n");
    CU_ASSERT_TRUE(is_ok(answer));
    (void)json_object_put(answer);
    end();
}

static void test_control_a_live_socket_is_left_to_its_owner(void)
{
    struct json_object *answer;

    begin();
    CU_ASSERT_PTR_NULL(open_control());
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "another running process answers"));
    turn(); /* the probe came and went */
    answer = ask("{\"command\":\"version\"}\n");
    CU_ASSERT_TRUE(is_ok(answer));
    (void)json_object_put(answer);
    end();
}

static void test_control_what_is_no_socket_is_not_removed(void)
{
    size_t len;
    char *text;

    scratch_open(&scratch);
    CU_ASSERT_EQUAL(mkdir(scratch_path(&scratch, "run"), 0755), 0);
    scratch_text(scratch_path(&scratch, "run/office.sock"), "precious");
    CU_ASSERT_PTR_NULL(open_control());
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "something else than a socket"));
    text = scratch_read(scratch_path(&scratch, "run/office.sock"), &len);
    CU_ASSERT_TRUE(text != NULL && strcmp(text, "precious") == 0);
    free(text);
    scratch_close(&scratch);
}

static void test_control_a_successors_socket_is_not_removed_at_the_end(void)
{
    struct stat status;

    begin();
    CU_ASSERT_EQUAL(unlink(scratch_path(&scratch, "run/office.sock")), 0);
    scratch_text(scratch_path(&scratch, "run/office.sock"), "another's");
    jump_control_close(control);
    control = NULL;
    CU_ASSERT_EQUAL(lstat(scratch_path(&scratch, "run/office.sock"), &status), 0);
    scratch_close(&scratch);
}

/* The operator's side of it: run jumpctl while the host's loop turns. @return its exit code, what it says in `said` */
static char said[1024 * 1024];
static int jumpctl(const char *arguments)
{
    const char *program = getenv("JUMPCTL");
    char command[1024];
    size_t len = 0;
    FILE *from;
    int status;

    (void)snprintf(command, sizeof command, "%s %s --socket %s 2>&1", program != NULL ? program : "./jumpctl", arguments,
                   scratch_path(&scratch, "run/office.sock"));
    from = popen(command, "r");
    if (from == NULL)
        scratch_fail(command);
    (void)fcntl(fileno(from), F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 10000; i++) {
        ssize_t got = read(fileno(from), said + len, sizeof said - 1 - len);

        if (got == 0)
            break;
        len += got > 0 ? (size_t)got : 0;
        turn();
        usleep(1000);
    }
    said[len] = '\0';
    status = pclose(from);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool says(const char *words)
{
    bool found = strstr(said, words) != NULL;

    if (!found)
        fprintf(stderr, "\n  expected \"%s\" in:\n%s\n", words, said);
    return found;
}

static void test_control_jumpctl_lists_all_sessions_over_all_pages(void)
{
    struct json_object *whole;

    begin();
    CU_ASSERT_EQUAL(jumpctl("sessions"), 0);
    CU_ASSERT_TRUE(says("0001abab ATTACHED   udp 203.0.113.7:4711"));
    CU_ASSERT_PTR_NULL(strchr(said, 0x1b)); /* no colours into a pipe */
    session_count = JUMP_CONTROL_PAGE + 3;
    CU_ASSERT_EQUAL(jumpctl("sessions --json"), 0);
    CU_ASSERT_TRUE(says("\"name\": \"office\""));
    whole = json_tokener_parse(said);
    CU_ASSERT_EQUAL(json_object_array_length(field(json_object_array_get_idx(field(whole, "instances"), 0), "sessions")),
                    JUMP_CONTROL_PAGE + 3);
    (void)json_object_put(whole);
    session_count = 0;
    CU_ASSERT_EQUAL(jumpctl("sessions"), 0);
    CU_ASSERT_TRUE(says("no session"));
    CU_ASSERT_EQUAL(jumpctl("stats"), 0);
    whole = json_tokener_parse(said);
    CU_ASSERT_PTR_NOT_NULL(whole);
    (void)json_object_put(whole);
    end();
}

static void test_control_a_peers_name_is_text_for_json_and_for_a_terminal(void)
{
    unsigned rows = 0;

    begin();
    name_of_peer = "\033[2J\xc2\x9b\xff\x9b\n\x7f";
    struct json_object *answer = ask("{\"command\":\"sessions\"}\n");
    CU_ASSERT_TRUE(is_ok(answer));
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(json_object_array_get_idx(field(answer, "sessions"), 1), "peer")),
                           "\033[2J\xc2\x9b??\n\x7f" "7");
    (void)json_object_put(answer);
    CU_ASSERT_EQUAL(jumpctl("sessions"), 0);
    name_of_peer = "alice\"\n";
    CU_ASSERT_TRUE(says("?[2J??????7\n"));
    for (const char *c = said; *c != '\0'; c++) {
        rows += *c == '\n';
        CU_ASSERT_TRUE(*c == '\n' || ((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f));
    }
    CU_ASSERT_EQUAL(rows, 3);
    end();
}

static void test_control_jumpctl_ends_the_one_session_that_it_was_given(void)
{
    begin();
    CU_ASSERT_EQUAL(jumpctl("terminate 0001ABAB --reason security_failure"), 0);
    CU_ASSERT_TRUE(says("0001abababababababababababababab: terminated, security_failure"));
    CU_ASSERT_EQUAL(terminated.bytes[1], 1);
    CU_ASSERT_EQUAL(terminated_for, JUMP_REASON_SECURITY_FAILURE);
    terminated_for = JUMP_REASON_NONE;
    session_count = 1000;
    CU_ASSERT_EQUAL(jumpctl("terminate 00010203"), 1);
    CU_ASSERT_TRUE(says("no session's id begins with 00010203"));
    CU_ASSERT_EQUAL(jumpctl("terminate 0001aba"), 2);
    CU_ASSERT_TRUE(says("8 to 32 hex digits"));
    CU_ASSERT_EQUAL(jumpctl("terminate 0001abab --reason bad_proof"), 2);
    CU_ASSERT_EQUAL(terminated_for, JUMP_REASON_NONE);
    terminate_result = JUMP_ERR_UNKNOWN;
    CU_ASSERT_EQUAL(jumpctl("terminate 0001abab"), 1);
    CU_ASSERT_TRUE(says("no such session"));
    jump_control_close(control);
    control = open_control();
    CU_ASSERT_EQUAL(unlink(scratch_path(&scratch, "run/office.sock")), 0);
    CU_ASSERT_EQUAL(jumpctl("sessions"), 2);
    CU_ASSERT_TRUE(says("no instance of that name is running"));
    end();
}

static void test_control_a_path_that_is_too_long_is_said(void)
{
    char name[160];
    struct jump_control_host host = {.name = "office", .version = "0", .terminate = terminate};

    memset(name, 'x', sizeof name - 1);
    name[0] = '/';
    name[sizeof name - 1] = '\0';
    CU_ASSERT_PTR_NULL(jump_control_open(&problem, name, &host));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "at most 107 bytes"));
    jump_control_close(NULL);
}

#define TESTS(X)                                                                    \
    X(test_control_the_socket_is_for_its_group_and_gone_at_the_end)                 \
    X(test_control_sessions_are_listed_with_what_people_need)                       \
    X(test_control_many_sessions_come_in_pages_and_none_twice)                      \
    X(test_control_stats_and_version_are_told)                                      \
    X(test_control_one_session_is_terminated_for_the_reason_given)                  \
    X(test_control_a_wrong_request_is_refused_and_terminates_nothing)               \
    X(test_control_a_request_that_never_ends_is_refused_at_4096_bytes)              \
    X(test_control_a_request_may_come_byte_by_byte)                                 \
    X(test_control_a_silent_client_is_dropped_after_five_seconds)                   \
    X(test_control_a_client_that_does_not_read_is_dropped_and_costs_no_wait)        \
    X(test_control_a_client_that_is_gone_before_its_answer_raises_no_signal)        \
    X(test_control_the_ninth_client_waits_and_is_served_later)                      \
    X(test_control_over_a_rest_the_socket_stays_and_who_came_meanwhile_is_served)   \
    X(test_control_A36_without_descriptors_it_pauses_and_does_not_spin)                 \
    X(test_control_a_socket_that_nobody_answers_on_is_replaced)                     \
    X(test_control_a_live_socket_is_left_to_its_owner)                              \
    X(test_control_what_is_no_socket_is_not_removed)                                \
    X(test_control_a_successors_socket_is_not_removed_at_the_end)                   \
    X(test_control_jumpctl_lists_all_sessions_over_all_pages)                       \
    X(test_control_a_peers_name_is_text_for_json_and_for_a_terminal)                \
    X(test_control_jumpctl_ends_the_one_session_that_it_was_given)                  \
    X(test_control_a_path_that_is_too_long_is_said)
RUN_TESTS("control", TESTS)
