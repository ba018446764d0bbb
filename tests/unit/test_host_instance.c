/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What every host has in common (adapters/host/instance.c), with a host that is only a list: real engines, stores,
 * files and sockets, two instances in one process. Time is a variable. Read next: adapters/host/instance.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "host/instance.h"
#include "internal.h"
#include "runner.h"
#include "scratch.h"
#include "system/clock.h"

#define FLIGHTS 64

static struct scratch scratch;
static struct jump_problem problem;
static jump_time now;

/* In place of adapters/system/clock.c: the linker takes these first. */
jump_time jump_clock_now(void)
{
    return now;
}

uint64_t jump_clock_wall_ms(void)
{
    return now / JUMP_MS(1);
}

/* What is freed while it is watched has been wiped; memory can refuse to be locked (--wrap). */
static const void *watched;
static size_t watched_len;
static unsigned watched_freed, watched_bytes_left;
static bool lock_fails;
static unsigned locks;

void __real_free(void *memory);
void __wrap_free(void *memory);
void __wrap_free(void *memory)
{
    if (memory != NULL && memory == watched) {
        watched_freed++;
        for (size_t i = 0; i < watched_len; i++)
            watched_bytes_left += ((const uint8_t *)memory)[i] != 0;
        watched = NULL;
    }
    __real_free(memory);
}

int __real_sodium_mlock(void *memory, size_t len);
int __wrap_sodium_mlock(void *memory, size_t len);
int __wrap_sodium_mlock(void *memory, size_t len)
{
    locks++;
    return lock_fails ? -1 : __real_sodium_mlock(memory, len);
}

/* One host of the two: what it was told, in order, and the datagrams that it sent. */
struct host {
    struct jump_instance instance;
    char told[512];
    char warned[256];
    struct jump_id session_id;
    enum jump_reason reason;
    bool end_host;
    struct {
        size_t len;
        uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES];
    } flights[FLIGHTS];
    unsigned flights_len;
};
static struct host server, client;

static void tell(struct host *host, const char *what)
{
    size_t len = strlen(host->told);

    (void)snprintf(host->told + len, sizeof host->told - len, "%s%s", len == 0 ? "" : " ", what);
}

static void take_send(void *context, const struct jump_action *action)
{
    struct host *host = context;

    CU_ASSERT_EQUAL(action->kind, JUMP_DO_SEND);
    CU_ASSERT_TRUE_FATAL(host->flights_len < FLIGHTS);
    host->flights[host->flights_len].len = action->bytes_len;
    memcpy(host->flights[host->flights_len++].bytes, action->bytes, action->bytes_len);
    tell(host, "send");
}

static void take_bind(void *context, const struct jump_action *action)
{
    struct host *host = context;

    CU_ASSERT_EQUAL(action->kind, JUMP_DO_BIND);
    host->session_id = action->session_id;
    tell(host, "bind");
}

static void take_unbind(void *context, const struct jump_action *action)
{
    CU_ASSERT_EQUAL(action->kind, JUMP_DO_UNBIND);
    tell(context, "unbind");
}

static void take_end(void *context, const struct jump_action *action)
{
    struct host *host = context;

    CU_ASSERT_EQUAL(action->kind, JUMP_DO_END);
    host->reason = action->reason;
    host->end_host = action->end_host;
    tell(host, "end");
}

static void take_warning(void *context, const char *text)
{
    struct host *host = context;

    (void)snprintf(host->warned, sizeof host->warned, "%s", text);
}

static bool name_peer(void *context, jump_host host, char *out, size_t out_cap)
{
    CU_ASSERT_PTR_EQUAL(context, &server);
    return host == 1 && snprintf(out, out_cap, "phone") > 0;
}

static void count_one(void *context, jump_control_count *count, void *answer)
{
    CU_ASSERT_PTR_EQUAL(context, &server);
    count(answer, "planted", "things", 7);
}

static void be_host(struct jump_instance_host *out, struct host *host)
{
    *out = (struct jump_instance_host){.send = take_send, .bind = take_bind, .unbind = take_unbind, .end = take_end,
                                       .warn = take_warning, .context = host};
    if (host == &server) {
        out->peer_name = name_peer;
        out->counters = count_one;
    }
}

static void settle(struct jump_instance_settings *settings, const struct host *host)
{
    *settings = (struct jump_instance_settings){.role = host == &server ? JUMP_SERVER : JUMP_CLIENT,
                                                .host_kind = JUMP_HOST_OPENVPN, .name = host == &server ? "gate" : "phone",
                                                .policy = POLICIES "/mobile.ini", .state_dir = scratch_path(&scratch, "state"),
                                                .audit = scratch_path(&scratch, host == &server ? "gate.jsonl" : "phone.jsonl"),
                                                .max_sessions = 4, .unique_path = host == &server};
}

static bool open_with(struct host *host, const struct jump_instance_settings *settings)
{
    struct jump_instance_host functions;

    be_host(&functions, host);
    problem.text[0] = '\0';
    return jump_instance_open(&host->instance, &problem, settings, &functions);
}

static bool open_it(struct host *host)
{
    struct jump_instance_settings settings;

    settle(&settings, host);
    return open_with(host, &settings) && jump_instance_listen(&host->instance, &problem, scratch_path(&scratch, "run"));
}

static void begin(void)
{
    scratch_open(&scratch);
    now = JUMP_MS(1000000);
    memset(&server, 0, sizeof server);
    memset(&client, 0, sizeof client);
    watched = NULL;
    watched_freed = watched_bytes_left = 0;
    lock_fails = false;
    locks = 0;
    CU_ASSERT_TRUE_FATAL(open_it(&server));
    CU_ASSERT_TRUE_FATAL(open_it(&client));
}

static void end(void)
{
    jump_instance_close(&server.instance);
    jump_instance_close(&client.instance);
    scratch_close(&scratch);
}

/* Each way until nothing is under way. */
static void deliver(void)
{
    for (bool any = true; any;) {
        any = false;
        for (unsigned way = 0; way < 2; way++) {
            struct host *from = way == 0 ? &client : &server, *to = way == 0 ? &server : &client;

            for (unsigned i = 0; i < from->flights_len; i++) {
                struct jump_input in = {.kind = JUMP_IN_DATAGRAM, .path = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .port = 5000}};

                in.path.transport = to == &client;
                in.bytes = from->flights[i].bytes;
                in.bytes_len = from->flights[i].len;
                (void)jump_instance_feed(&to->instance, &in);
                any = true;
            }
            from->flights_len = 0;
        }
    }
}

static int open_session(struct host *host)
{
    static const uint8_t secret[JUMP_SECRET_BYTES] = {4, 2};
    struct jump_input in = {.kind = JUMP_IN_OPEN, .host = 1, .secret = secret,
                            .path = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .port = 5000}};

    in.path.transport = host == &client;
    return jump_instance_feed(&host->instance, &in);
}

static void run(jump_time span)
{
    for (jump_time until = now + span; now < until; now += JUMP_MS(10)) {
        server.instance.now = client.instance.now = now;
        jump_instance_run(&server.instance);
        jump_instance_run(&client.instance);
        deliver();
    }
}

static void connect_them(void)
{
    CU_ASSERT_EQUAL(open_session(&client), 0);
    CU_ASSERT_EQUAL(open_session(&server), 0);
    deliver();
    run(JUMP_MS(2000));
}

/* One question to an instance's control socket, with turns of its host's loop. The caller puts the answer. */
static struct json_object *ask(struct host *host, const char *socket_path, const char *request)
{
    static char text[JUMP_CONTROL_ANSWER_BYTES + 1];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    size_t len = 0;
    bool over = false;

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0
        || send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) {
        (void)close(fd);
        return NULL;
    }
    for (int i = 0; i < 1000 && !over; i++) {
        struct pollfd fds[JUMP_INSTANCE_FDS + 1];
        size_t count = jump_instance_fds(&host->instance, fds, JUMP_INSTANCE_FDS);
        ssize_t got;

        (void)poll(fds, count, 0);
        fds[count] = (struct pollfd){.fd = 0, .revents = POLLIN}; /* a descriptor of the host's own */
        jump_instance_serve(&host->instance, fds, count + 1);
        while ((got = recv(fd, text + len, sizeof text - 1 - len, MSG_DONTWAIT)) > 0)
            len += (size_t)got;
        over = got == 0;
    }
    (void)close(fd);
    text[len] = '\0';
    return over ? json_tokener_parse(text) : NULL;
}

static struct json_object *field(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;

    (void)json_object_object_get_ex(object, key, &value);
    return value;
}

/* --- Sentences ------------------------------------------------------------------------------------------- */

static void test_host_instance_what_is_missing_at_the_open_is_named_and_leaves_nothing_behind(void)
{
    static const struct {
        const char *policy, *state_dir, *audit, *run_dir, *name;
        uint32_t max_sessions;
        const char *says;
    } refusals[] = {{.policy = "nothing", .says = "no policy \"nothing\""},
                    {.policy = "bad.ini", .says = "max_lifetime_ms"},
                    {.policy = "bad.ini", .says = " in all; jumpctl policy check "},
                    {.state_dir = "file", .says = "file"},
                    {.state_dir = "file/state", .says = "file/state"},
                    {.state_dir = "open", .says = "may be written by others than its owner"},
                    {.name = "phone", .says = "another running process has the name \"phone\""},
                    {.name = ".gate", .says = "\".gate\" cannot be an instance's name"},
                    {.audit = "file", .says = "something else"},
                    {.audit = "file/a", .says = "file"},
                    {.max_sessions = 1000001, .says = "the engine does not start"},
                    {.run_dir = "file/run", .says = "file/run"}};
    char long_path[400];

    begin(); /* the client stays, and has the name "phone" */
    jump_instance_close(&server.instance);
    scratch_text(scratch_path(&scratch, "file"), "somebody's\n");
    scratch_text(scratch_path(&scratch, "bad.ini"), "version = 1.0\n[session]\nmax_lifetime_ms = never\n");
    CU_ASSERT_TRUE(mkdir(scratch_path(&scratch, "open"), 0700) == 0 && chmod(scratch_path(&scratch, "open"), 0777) == 0);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct jump_instance_settings settings;
        struct jump_instance zeros;
        bool opened;

        settle(&settings, &server);
        if (refusals[i].policy != NULL)
            settings.policy = strchr(refusals[i].policy, '.') != NULL ? scratch_path(&scratch, refusals[i].policy) : refusals[i].policy;
        if (refusals[i].state_dir != NULL)
            settings.state_dir = scratch_path(&scratch, refusals[i].state_dir);
        if (refusals[i].audit != NULL)
            settings.audit = scratch_path(&scratch, refusals[i].audit);
        if (refusals[i].name != NULL)
            settings.name = refusals[i].name;
        if (refusals[i].max_sessions != 0)
            settings.max_sessions = refusals[i].max_sessions;
        opened = open_with(&server, &settings);
        CU_ASSERT_EQUAL(opened, refusals[i].run_dir != NULL);
        if (opened)
            CU_ASSERT_FALSE(jump_instance_listen(&server.instance, &problem, scratch_path(&scratch, refusals[i].run_dir)));
        if (strstr(problem.text, refusals[i].says) == NULL) {
            fprintf(stderr, "\n  not in \"%s\": %s\n", problem.text, refusals[i].says);
            CU_FAIL("the wrong words");
        }
        jump_instance_close(&server.instance);
        memset(&zeros, 0, sizeof zeros);
        CU_ASSERT_EQUAL(memcmp(&server.instance, &zeros, sizeof zeros), 0);
        CU_ASSERT_TRUE(open_it(&server)); /* no lock and no socket is in its way */
        jump_instance_close(&server.instance);
    }
    CU_ASSERT_TRUE(open_it(&server));
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    CU_ASSERT_FALSE(jump_instance_listen(&server.instance, &problem, long_path));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "run_dir is too long: xxx"));
    end();
}

/* The peer is told while the host still knows whom; then comes the end, once and last. */
static bool tells_then_ends(const char *told)
{
    const char *at = strstr(told, " end");

    return strncmp(told, "send", 4) == 0 && at != NULL && strcmp(at, " end") == 0;
}

static void test_host_instance_two_in_one_process_make_a_session_and_each_host_is_told_in_order(void)
{
    struct jump_session_view view;
    struct jump_store_record record;
    struct jump_audit_file_stats audit;

    begin();
    connect_them();
    CU_ASSERT_TRUE(jump_engine_find(server.instance.engine, 1, &view) && view.state == JUMP_ATTACHED && view.bound);
    CU_ASSERT_TRUE(jump_engine_find(client.instance.engine, 1, &view) && view.state == JUMP_ATTACHED && view.bound);
    /* An offer; then the birth, which is accepted after its record is written, is bound; nothing comes before. */
    CU_ASSERT_PTR_NOT_NULL(strstr(server.told, "send bind send")); /* the offer; after the birth, its path's probes */
    CU_ASSERT_PTR_NOT_NULL(strstr(client.told, "bind send"));
    CU_ASSERT_TRUE(jump_store_get(server.instance.store, &record, &view.id));
    jump_audit_file_stats(server.instance.audit, &audit);
    CU_ASSERT_TRUE(audit.written > 0 && audit.waiting == 0);
    jump_audit_file_stats(client.instance.audit, &audit);
    CU_ASSERT_TRUE(audit.written > 0 && audit.waiting == 0);
    server.told[0] = client.told[0] = '\0';
    CU_ASSERT_EQUAL(jump_instance_feed(&client.instance, &(struct jump_input){.kind = JUMP_IN_CLOSE, .host = 1,
                                       .reason = JUMP_REASON_HOST_TERMINATED}), 0);
    CU_ASSERT_TRUE(tells_then_ends(client.told));
    deliver();
    CU_ASSERT_TRUE(tells_then_ends(server.told));
    CU_ASSERT_EQUAL(server.reason, JUMP_REASON_PEER_TERMINATED);
    end();
}

/* A store that answers when it is told to: what was asked, and one answer. */
struct late_store {
    struct jump_store port;
    struct jump_id session_id;
    uint64_t ticket, expected;
    unsigned asked, dropped;
    bool ready;
    enum jump_store_result result;
    uint64_t revision;
};

static void late_put_if(struct jump_store *store, const struct jump_id *session_id, uint64_t ticket, uint64_t expected,
                        const uint8_t *bytes, size_t bytes_len)
{
    struct late_store *late = (struct late_store *)store;

    CU_ASSERT_TRUE(bytes != NULL && bytes_len > 0);
    late->session_id = *session_id;
    late->ticket = ticket;
    late->expected = expected;
    late->asked++;
}

static bool late_next(struct jump_store *store, struct jump_store_answer *answer)
{
    struct late_store *late = (struct late_store *)store;

    if (!late->ready)
        return false;
    late->ready = false;
    *answer = (struct jump_store_answer){.session_id = late->session_id, .ticket = late->ticket, .result = late->result,
                                         .revision = late->revision};
    return true;
}

static void late_drop(struct jump_store *store, const struct jump_id *session_id)
{
    struct late_store *late = (struct late_store *)store;

    CU_ASSERT_EQUAL(memcmp(session_id, &late->session_id, sizeof *session_id), 0);
    late->dropped++;
}

static void late_close(struct jump_store *store)
{
    ((struct late_store *)store)->port.methods = NULL;
}

static void test_host_instance_the_stores_answers_go_in_when_they_come(void)
{
    static const struct jump_store_methods methods = {.put_if = late_put_if, .next = late_next, .drop = late_drop, .close = late_close};
    const struct jump_input tick = {.kind = JUMP_IN_TICK};
    struct late_store late = {.port = {&methods}};
    struct jump_session_view view;

    begin();
    jump_store_close(server.instance.store);
    server.instance.store = &late.port;
    connect_them();
    CU_ASSERT_EQUAL(late.asked, 1); /* the birth is asked for; nothing is accepted before it is written */
    CU_ASSERT_EQUAL(late.expected, 0);
    CU_ASSERT_PTR_NULL(strstr(server.told, "bind"));
    CU_ASSERT_TRUE(jump_engine_find(server.instance.engine, 1, &view) && !view.bound);
    late.ready = true;
    late.result = JUMP_STORE_DONE;
    late.revision = 41;
    CU_ASSERT_EQUAL(jump_instance_feed(&server.instance, &tick), 0); /* any input takes them along */
    CU_ASSERT_FALSE(late.ready);
    CU_ASSERT_PTR_NOT_NULL(strstr(server.told, "bind"));
    CU_ASSERT_TRUE(jump_engine_find(server.instance.engine, 1, &view) && view.bound);
    run(JUMP_MS(1000));
    CU_ASSERT_TRUE(jump_engine_find(client.instance.engine, 1, &view) && view.state == JUMP_ATTACHED);
    CU_ASSERT_EQUAL(jump_instance_feed(&server.instance, &(struct jump_input){.kind = JUMP_IN_CLOSE, .host = 1,
                                       .reason = JUMP_REASON_HOST_TERMINATED}), 0);
    CU_ASSERT_EQUAL(late.dropped, 1);
    CU_ASSERT_TRUE(late.asked > 1 && late.expected == 41); /* the engine knows the revision that it was told */
    jump_instance_close(&server.instance);
    CU_ASSERT_PTR_NULL(late.port.methods); /* closed with the instance */
    end();
}

static void test_host_instance_an_operator_ends_a_session_and_sees_the_hosts_names_and_counters(void)
{
    const struct jump_input tick = {.kind = JUMP_IN_TICK};
    struct jump_store_record record;
    struct json_object *answer, *sessions;
    char request[160], id[2 * sizeof(struct jump_id) + 1];

    begin();
    connect_them();
    answer = ask(&server, scratch_path(&scratch, "run/gate.sock"), "{\"command\":\"sessions\"}\n");
    sessions = field(answer, "sessions");
    CU_ASSERT_EQUAL(json_object_array_length(sessions), 1);
    CU_ASSERT_STRING_EQUAL(json_object_get_string(field(json_object_array_get_idx(sessions, 0), "peer")), "phone");
    (void)json_object_put(answer);
    answer = ask(&server, scratch_path(&scratch, "run/gate.sock"), "{\"command\":\"stats\"}\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(json_object_get_string(answer), "\"things\": 7"));
    CU_ASSERT_PTR_NOT_NULL(strstr(json_object_get_string(answer), "\"audit\": { \"written\": "));
    (void)json_object_put(answer);
    answer = ask(&client, scratch_path(&scratch, "run/phone.sock"), "{\"command\":\"stats\"}\n"); /* has none of its own */
    CU_ASSERT_PTR_NOT_NULL(strstr(json_object_get_string(answer), "\"audit\": { \"written\": "));
    (void)json_object_put(answer);

    (void)sodium_bin2hex(id, sizeof id, server.session_id.bytes, sizeof server.session_id.bytes);
    (void)snprintf(request, sizeof request, "{\"command\":\"terminate\",\"session_id\":\"%s\"}\n", id);
    server.told[0] = '\0';
    answer = ask(&server, scratch_path(&scratch, "run/gate.sock"), request);
    CU_ASSERT_TRUE(json_object_get_boolean(field(answer, "ok")));
    (void)json_object_put(answer);
    CU_ASSERT_PTR_NOT_NULL(strstr(server.told, "end"));
    CU_ASSERT_TRUE(server.end_host && server.reason == JUMP_REASON_OPERATOR_TERMINATED);
    CU_ASSERT_FALSE(jump_store_get(server.instance.store, &record, &server.session_id)); /* forgotten with the session */
    CU_ASSERT_EQUAL(jump_instance_feed(&server.instance, &tick), 0);
    answer = ask(&server, scratch_path(&scratch, "run/gate.sock"), request);
    CU_ASSERT_FALSE(json_object_get_boolean(field(answer, "ok"))); /* no such session any more */
    (void)json_object_put(answer);
    end();
}

static void test_host_instance_what_waits_for_a_file_is_written_when_it_is_due(void)
{
    struct jump_instance_settings settings;
    struct jump_audit_file_stats audit;
    char text[8192];
    int fd;

    begin();
    jump_instance_close(&server.instance);
    settle(&settings, &server);
    settings.audit = scratch_path(&scratch, "fifo");
    CU_ASSERT_EQUAL(mkfifo(settings.audit, 0600), 0);
    fd = open(settings.audit, O_RDWR | O_NONBLOCK);
    memset(text, '\n', sizeof text);
    while (write(fd, text, sizeof text) > 0) /* until it is full */
        continue;
    CU_ASSERT_TRUE_FATAL(open_with(&server, &settings));
    CU_ASSERT_EQUAL(open_session(&server), 0);
    CU_ASSERT_EQUAL(jump_instance_feed(&server.instance, &(struct jump_input){.kind = JUMP_IN_CLOSE, .host = 1,
                                       .reason = JUMP_REASON_HOST_TERMINATED}), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(server.told, "end")); /* nobody reads: the records wait, nobody else does */
    jump_audit_file_stats(server.instance.audit, &audit);
    CU_ASSERT_TRUE(audit.waiting > 0 && audit.written == 0);
    CU_ASSERT_EQUAL(jump_engine_deadline(server.instance.engine), JUMP_NEVER);
    CU_ASSERT_TRUE_FATAL(jump_instance_deadline(&server.instance) > now && jump_instance_deadline(&server.instance) != JUMP_NEVER);
    while (read(fd, text, sizeof text) > 0) /* somebody reads */
        continue;
    server.instance.now = now = jump_instance_deadline(&server.instance);
    jump_instance_run(&server.instance);
    jump_audit_file_stats(server.instance.audit, &audit);
    CU_ASSERT_TRUE(audit.waiting == 0 && audit.written > 0);
    CU_ASSERT_EQUAL(jump_instance_deadline(&server.instance), JUMP_NEVER);
    CU_ASSERT_TRUE(read(fd, text, sizeof text) > 0 && text[0] == '{');
    (void)close(fd);
    end();
}

static void test_host_instance_what_was_kept_is_taken_as_it_is(void)
{
    struct jump_instance kept;
    struct json_object *answer;
    uint64_t first, boot;

    begin();
    connect_them();
    CU_ASSERT_TRUE(jump_state_boot_next(server.instance.state, &first, &problem));
    kept = server.instance;
    jump_control_rest(kept.control);
    server.instance.state = NULL;
    server.instance.audit = NULL;
    server.instance.control = NULL;
    jump_instance_close(&server.instance);
    server.instance.state = kept.state;
    server.instance.audit = kept.audit;
    server.instance.control = kept.control;
    CU_ASSERT_TRUE(open_it(&server)); /* its own lock is not in its way */
    CU_ASSERT_TRUE(server.instance.state == kept.state && server.instance.audit == kept.audit && server.instance.control == kept.control);
    CU_ASSERT_TRUE(jump_state_boot_next(server.instance.state, &boot, &problem));
    CU_ASSERT_EQUAL(boot, first + 2); /* it was counted as a start */
    answer = ask(&server, scratch_path(&scratch, "run/gate.sock"), "{\"command\":\"sessions\"}\n");
    CU_ASSERT_TRUE(json_object_get_boolean(field(answer, "ok")));
    CU_ASSERT_EQUAL(json_object_array_length(field(answer, "sessions")), 0); /* the new engine's */
    (void)json_object_put(answer);
    end();
}

static bool is_locked(const void *memory)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    uintptr_t begin = 0, end = 0;
    char line[512];
    bool locked = false;

    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        uintptr_t from, to;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            begin = from;
            end = to;
        } else if (strncmp(line, "VmFlags:", 8) == 0 && (uintptr_t)memory >= begin && (uintptr_t)memory < end) {
            locked = strstr(line, " lo") != NULL;
        }
    }
    if (smaps != NULL)
        (void)fclose(smaps);
    return locked;
}

/* A daemon's fork takes no lock along: the engine's keys and the state folder's are locked again in the child. */
static void a_child_locks_again(void)
{
    const uint8_t *key = jump_state_instance_key(server.instance.state);
    int status = -1;
    pid_t child;

    if (!is_locked(key) || !is_locked(server.instance.engine_memory))
        return; /* refused here: RLIMIT_MEMLOCK */
    child = fork();
    if (child == 0) {
        bool before = is_locked(key) || is_locked(server.instance.engine_memory);

        jump_instance_relock(&server.instance);
        _exit(before ? 1 : !is_locked(key) ? 2 : !is_locked(server.instance.engine_memory) ? 3 : 0);
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static void test_host_instance_memory_with_keys_is_locked_by_each_process_once(void)
{
    struct jump_instance zeros;

    begin();
    CU_ASSERT_EQUAL(server.instance.locked_in, getpid());
    a_child_locks_again();
    locks = 0;
    jump_instance_relock(&server.instance);
    CU_ASSERT_EQUAL(locks, 0);
    server.instance.locked_in = getpid() + 1; /* as after a fork */
    lock_fails = true;
    jump_instance_relock(&server.instance);
    CU_ASSERT_EQUAL(locks, 2); /* the engine's and the state folder's */
    CU_ASSERT_STRING_EQUAL(server.warned, "memory with keys cannot be locked: it may reach a swap device");
    jump_instance_relock(&server.instance);
    CU_ASSERT_EQUAL(locks, 2);
    memset(&zeros, 0, sizeof zeros);
    jump_instance_relock(&zeros); /* nothing is open */
    CU_ASSERT_EQUAL(locks, 2);
    end();
}

/* What a core dump would have: every mapping that may be read and is not left out ("dd" of smaps). The key is looked for in
 * another form, so that the search does not find itself. */
#define MASK 0x5au
#define LARGEST ((uintptr_t)1 << 28) /* what is larger is a sanitizer's own */

__attribute__((no_sanitize("address", "undefined", "thread"))) static unsigned copies_in(uintptr_t begin, uintptr_t end,
                                                                                        const volatile uint8_t masked[32])
{
    unsigned found = 0;

    for (const volatile uint8_t *at = (const volatile uint8_t *)begin; at + 32 <= (const volatile uint8_t *)end; at++) {
        size_t same = 0;

        while (same < 32 && (uint8_t)(at[same] ^ MASK) == masked[same])
            same++;
        found += same == 32;
    }
    return found;
}

static void look(const uint8_t *key, unsigned *dumped, unsigned *left_out)
{
    volatile uint8_t masked[32];
    FILE *smaps = fopen("/proc/self/smaps", "r");
    uintptr_t begin = 0, end = 0;
    char line[512], rights[8] = "";

    CU_ASSERT_PTR_NOT_NULL_FATAL(smaps);
    for (size_t i = 0; i < sizeof masked; i++)
        masked[i] = key[i] ^ MASK;
    *dumped = *left_out = 0;
    while (fgets(line, sizeof line, smaps) != NULL) {
        uintptr_t from, to;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &from, &to, rights) == 3) {
            begin = from;
            end = to;
        }
        if (strncmp(line, "VmFlags:", 8) != 0)
            continue;
        if (rights[0] == 'r' && rights[1] == 'w' && end - begin <= LARGEST)
            *(strstr(line, " dd") != NULL ? left_out : dumped) += copies_in(begin, end, masked);
    }
    (void)fclose(smaps);
}

static void test_host_instance_keys_are_left_out_of_core_dumps(void)
{
    struct jump_engine *engines[2];
    unsigned dumped, left_out;

    begin();
    connect_them();
    engines[0] = server.instance.engine;
    engines[1] = client.instance.engine;
    for (unsigned i = 0; i < 2; i++) {
        const struct jump_session *session = jump_table_by_host(&engines[i]->table, 1);

        CU_ASSERT_PTR_NOT_NULL_FATAL(session);
        look(session->epochs.keys[0].c2s, &dumped, &left_out);
        CU_ASSERT_EQUAL(dumped, 0);
        CU_ASSERT_EQUAL(left_out, 2); /* one at each end */
        look(session->epochs.keys[0].s2c, &dumped, &left_out);
        CU_ASSERT_EQUAL(dumped, 0);
        CU_ASSERT_EQUAL(left_out, 2);
    }
    look(jump_state_instance_key(server.instance.state), &dumped, &left_out);
    CU_ASSERT_EQUAL(dumped, 0);
    CU_ASSERT_EQUAL(left_out, 2); /* the state folder's, and the engine's, which derives reset keys */
    look(jump_state_audit_key(server.instance.state), &dumped, &left_out);
    CU_ASSERT_EQUAL(dumped, 0);
    CU_ASSERT_EQUAL(left_out, 1);
    end();
}

static void test_host_instance_close_wipes_the_engine_and_the_object(void)
{
    struct jump_instance zeros;

    begin();
    connect_them();
    memset(&zeros, 0, sizeof zeros);
    watched = server.instance.engine_memory;
    watched_len = server.instance.engine_memory_len;
    CU_ASSERT_FALSE(sodium_is_zero(watched, watched_len));
    jump_instance_close(&server.instance);
    CU_ASSERT_EQUAL(watched_freed, 1);
    CU_ASSERT_EQUAL(watched_bytes_left, 0);
    CU_ASSERT_EQUAL(memcmp(&server.instance, &zeros, sizeof zeros), 0);
    jump_instance_close(&server.instance); /* zeros are allowed */
    CU_ASSERT_NOT_EQUAL(access(scratch_path(&scratch, "run/gate.sock"), F_OK), 0);
    CU_ASSERT_TRUE(open_it(&server)); /* the lock is free */
    end();
}

#define TESTS(X)                                                                                    \
    X(test_host_instance_what_is_missing_at_the_open_is_named_and_leaves_nothing_behind)            \
    X(test_host_instance_two_in_one_process_make_a_session_and_each_host_is_told_in_order)          \
    X(test_host_instance_the_stores_answers_go_in_when_they_come)                                   \
    X(test_host_instance_an_operator_ends_a_session_and_sees_the_hosts_names_and_counters)          \
    X(test_host_instance_what_waits_for_a_file_is_written_when_it_is_due)                           \
    X(test_host_instance_what_was_kept_is_taken_as_it_is)                                           \
    X(test_host_instance_memory_with_keys_is_locked_by_each_process_once)                           \
    X(test_host_instance_keys_are_left_out_of_core_dumps)                                           \
    X(test_host_instance_close_wipes_the_engine_and_the_object)

RUN_TESTS("host_instance", TESTS)
