/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A small audit log for tests, and the operator's program to look at it (./jumpctl of the build, or $JUMPCTL).
 * Include it after runner.h.
 */
#ifndef JUMP_TEST_AUDIT_LOG_H
#define JUMP_TEST_AUDIT_LOG_H

#include "scratch.h"
#include "system/audit_file.h"
#include "system/clock.h"

#define LINES 8 /* of the small log below: one that begins the file, seven events */

static struct scratch scratch;
static struct jump_problem problem;
static struct jump_state_folder *state;
static struct jump_audit_file *file;
static jump_time now;
static char output[65536];

/* --- Writing --------------------------------------------------------------------------------------------- */

static inline struct jump_event step(uint8_t session, uint64_t version, enum jump_mode before, enum jump_fsm_event cause,
                              enum jump_role role, enum jump_reason reason)
{
    const struct jump_row *row = jump_fsm_row(before, cause, role);
    struct jump_event event = {.at = now, .kind = JUMP_EVENT_STATE_CHANGE, .policy_major = 1, .state_version = version,
                               .role = role, .previous_mode = before, .new_mode = (enum jump_mode)row->to, .cause = cause,
                               .row = row->name, .reason = reason};

    event.fields = JUMP_FIELD_SESSION | JUMP_FIELD_TRANSITION | JUMP_FIELD_REASON | JUMP_FIELD_AGE | JUMP_FIELD_LOSS;
    event.loss_ppm = 12345;
    memset(event.session_id.bytes, session, sizeof event.session_id.bytes);
    return event;
}

static inline void write_event(const struct jump_event *event)
{
    now += JUMP_MS(10);
    jump_audit_file_write(file, event, now);
}

/* A client's session that loses its path, finds another, and is ended: seven lines. */
static inline void write_story(uint8_t session)
{
    struct jump_event event = step(session, 1, JUMP_MODE_BIRTH, JUMP_EV_ATTACH_OK, JUMP_CLIENT, JUMP_REASON_ATTACHED_TO_TRANSPORT);

    write_event(&event);
    event.kind = JUMP_EVENT_TRANSPORT_ATTACHED;
    event.fields = JUMP_FIELD_SESSION | JUMP_FIELD_NEW_TRANSPORT | JUMP_FIELD_GENERATION | JUMP_FIELD_RTT;
    event.new_transport = (struct jump_path){.ip = {[10] = 0xff, [11] = 0xff, 203, 0, 113, 7}, .port = 4711};
    event.generation = 1;
    event.rtt_us = 20900;
    write_event(&event);
    event = step(session, 2, JUMP_MODE_ATTACHED, JUMP_EV_TRANSPORT_DEAD, JUMP_CLIENT, JUMP_REASON_TRANSPORT_DEAD);
    write_event(&event);
    event = step(session, 3, JUMP_MODE_RECOVERING_UNBOUND, JUMP_EV_REATTACH_VALID, JUMP_CLIENT, JUMP_REASON_REATTACH_SUCCESS);
    write_event(&event);
    event.kind = JUMP_EVENT_TRANSPORT_SWITCH;
    event.fields = JUMP_FIELD_SESSION | JUMP_FIELD_NEW_TRANSPORT | JUMP_FIELD_PREVIOUS_TRANSPORT | JUMP_FIELD_VOLUNTARY;
    event.new_transport = (struct jump_path){.ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, .port = 4711, .proto = JUMP_PROTO_TCP};
    write_event(&event);
    event = step(session, 4, JUMP_MODE_ATTACHED, JUMP_EV_TERMINATE, JUMP_CLIENT, JUMP_REASON_OPERATOR_TERMINATED);
    write_event(&event);
    event.kind = JUMP_EVENT_SESSION_TERMINATED;
    event.fields = JUMP_FIELD_SESSION | JUMP_FIELD_REASON;
    write_event(&event);
}

static inline const char *log_path(void)
{
    return scratch_path(&scratch, "log/a.jsonl");
}

static inline void open_log_at(const char *path)
{
    state = jump_state_open(&problem, scratch_path(&scratch, "state"), "a");
    if (state != NULL)
        file = jump_audit_file_open(&problem, path, "node", state);
    if (state == NULL || file == NULL) {
        fprintf(stderr, "\n  %s\n", problem.text);
        CU_FAIL_FATAL("the log does not open");
    }
}

static inline void close_log(void)
{
    jump_audit_file_close(file);
    jump_state_close(state);
    file = NULL;
    state = NULL;
}

static inline void begin(void)
{
    scratch_open(&scratch);
    now = JUMP_MS(1000);
    open_log_at(log_path());
}

/* --- Looking --------------------------------------------------------------------------------------------- */

static inline int jumpctl(const char *arguments)
{
    char command[2048];
    const char *program = getenv("JUMPCTL");

    (void)snprintf(command, sizeof command, "%s %s 2>&1", program != NULL ? program : "./jumpctl", arguments);
    return scratch_run(output, sizeof output, command);
}

static inline int verify(const char *files)
{
    char arguments[1536];

    (void)snprintf(arguments, sizeof arguments, "audit verify --state %s --name a %s", scratch_path(&scratch, "state"), files);
    return jumpctl(arguments);
}

static inline bool told(const char *words)
{
    bool found = strstr(output, words) != NULL;

    if (!found)
        fprintf(stderr, "\n  expected \"%s\" in:\n%s\n", words, output);
    return found;
}

/* The log passes, and so do its transitions. */
static inline bool all_good(const char *path)
{
    char arguments[1024];
    int verified = verify(path);

    if (verified != 0) {
        fprintf(stderr, "\n  verify says:\n%s\n", output);
        return false;
    }
    (void)snprintf(arguments, sizeof arguments, "audit replay %s", path);
    if (jumpctl(arguments) != 0) {
        fprintf(stderr, "\n  replay says:\n%s\n", output);
        return false;
    }
    return true;
}

struct lines {
    char *text;
    char *line[4096];
    size_t len[4096], count;
};

static inline struct lines *lines_read(const char *path)
{
    struct lines *lines = calloc(1, sizeof *lines);
    size_t len;

    lines->text = scratch_read(path, &len);
    if (lines->text == NULL)
        scratch_fail(path);
    for (char *at = lines->text, *newline; (newline = strchr(at, '\n')) != NULL && lines->count < 4096; at = newline + 1) {
        lines->line[lines->count] = at;
        lines->len[lines->count++] = (size_t)(newline - at);
    }
    return lines;
}

static inline void lines_free(struct lines *lines)
{
    free(lines->text);
    free(lines);
}

/* Write the lines of `order` (LINES ends it) to the log. */
static inline void write_order(const struct lines *lines, const size_t *order)
{
    char text[16384];
    size_t len = 0;

    for (size_t i = 0; order[i] < lines->count; i++) {
        memcpy(text + len, lines->line[order[i]], lines->len[order[i]] + 1);
        len += lines->len[order[i]] + 1;
    }
    scratch_write(log_path(), text, len);
}

/* The small log, closed, and its lines. */
static inline struct lines *small_log(void)
{
    begin();
    write_story(0x11);
    close_log();
    CU_ASSERT_TRUE(all_good(log_path()));
    return lines_read(log_path());
}

#endif
