/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes the audit file. An event is rendered at once into a ring; a line gets its number and its link only when it
 * is about to be written, so that the chain holds what the file holds and a dropped event leaves no hole in it.
 * After each whole line the head in the state folder follows. It refuses to wait and to fail towards its caller.
 * Read next: docs/audit.md (the chain), state.c (the head), tools/jumpctl/audit_verify.c (the other side).
 */
#include "system/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/clock.h"
#include "system/file.h"
#include "system/path.h"
#include "system/text.h"

#define BODY_BYTES 3072 /* the longest event as JSON; the longest there is takes about 1 300 */
#define LINE_BYTES (JUMP_AUDIT_PREFIX_BYTES + BODY_BYTES + 2)
#define TAIL_BYTES (256 * 1024) /* how far back the head is looked for when a file is continued */
#define RESUME_BYTES (16 * 1024) /* room there must be again before a full ring takes events */
#define DROP_SESSIONS 32         /* sessions whose dropped versions are told one by one */
#define LINES_A_CALL 64          /* the host's loop gets its turn between so many */
#define RETRY_FIRST JUMP_MS(100)
#define RETRY_LAST JUMP_MS(2000)
#define LOOK_EVERY JUMP_MS(1000) /* how often the path is compared with the open file */

/* What was dropped, for one session or (one entry) for all that do not fit here. */
struct drop {
    struct jump_id session_id;
    uint64_t count, first_version, last_version;
};

struct ring_record {
    uint64_t weight; /* events that go with this line: 1, or as many as an EventsDropped tells of */
    uint32_t len;
};

/* Why a line must be written that begins a file or a new piece of one. Names stand in docs/audit.md. */
enum begin { BEGIN_NOT, BEGIN_NEW_FILE, BEGIN_TAIL_UNKNOWN, BEGIN_TORN_LINE };
static const char *const begin_names[] = {"", "new_file", "tail_unknown", "torn_line"};

struct jump_audit_file {
    char path[PATH_MAX];
    const char *name; /* inside path */
    char node_id[128];
    struct jump_state_folder *state;
    int folder_fd, fd;
    bool regular;
    struct stat identity; /* of fd */

    struct jump_audit_head head; /* of the last whole line in the file */
    struct jump_audit_head next; /* what head becomes when the line below is written */
    char line[LINE_BYTES];       /* being written: the body below, or one that begins a file */
    size_t line_len, line_done;
    bool line_from_ring;
    char body[BODY_BYTES]; /* taken from the ring, not yet written */
    size_t body_len;
    uint64_t body_weight;
    enum begin begin;
    bool newline_first; /* a torn line that could not be removed: end it */

    uint8_t *ring; /* struct ring_record and body, again and again, from ring_start to ring_end */
    size_t ring_start, ring_end;
    uint64_t ring_lines, ring_weight;

    bool dropping;
    struct drop drops[DROP_SESSIONS];
    size_t drops_len;
    struct drop drop_rest;
    uint64_t drop_total;
    uint16_t policy_major, policy_minor;

    jump_time retry_at, retry_for, look_at;
    struct jump_audit_file_stats stats;
};

/* --- Rendering ------------------------------------------------------------------------------------------- */

/* An object that notices a failed allocation once, at the end. */
struct writer {
    struct json_object *object;
    bool failed;
};

static void put(struct writer *to, const char *key, struct json_object *value)
{
    if (value == NULL || json_object_object_add_ex(to->object, key, value, JSON_C_OBJECT_ADD_CONSTANT_KEY) != 0) {
        (void)json_object_put(value);
        to->failed = true;
    }
}

static void put_text(struct writer *to, const char *key, const char *value)
{
    put(to, key, json_object_new_string(value == NULL ? "?" : value));
}

static void put_number(struct writer *to, const char *key, uint64_t value)
{
    put(to, key, json_object_new_uint64(value));
}

/* A decimal fraction, written from integers: the same bytes under every locale. */
static void put_fraction(struct writer *to, const char *key, uint32_t value, uint32_t unit, int digits)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%" PRIu32 ".%0*" PRIu32, value / unit, digits, value % unit);
    put(to, key, json_object_new_double_s((double)value / unit, text));
}

static void put_path(struct writer *to, const char *key, const struct jump_path *path)
{
    char text[JUMP_PATH_TEXT_BYTES];

    jump_path_text(text, path);
    put_text(to, key, text);
}

static void put_common(struct writer *to, const struct jump_audit_file *file, const struct jump_event *event)
{
    char text[2 * JUMP_ID_BYTES + 1];

    put_number(to, "ts_ms", jump_clock_wall_ms());
    put_number(to, "mono_ns", event->at);
    put_text(to, "event_type", jump_event_kind_name(event->kind));
    if ((event->fields & JUMP_FIELD_SESSION) != 0) {
        (void)sodium_bin2hex(text, sizeof text, event->session_id.bytes, JUMP_ID_BYTES);
        put_text(to, "session_id", text);
    }
    put_text(to, "node_id", file->node_id);
    (void)snprintf(text, sizeof text, "%u.%u", event->policy_major, event->policy_minor);
    put_text(to, "policy_version", text);
    put_number(to, "state_version", event->state_version);
}

static void put_fields(struct writer *to, const struct jump_event *event)
{
    uint32_t has = event->fields;

    if ((has & JUMP_FIELD_TRANSITION) != 0) {
        put_text(to, "previous_state", jump_state_name(jump_mode_state(event->previous_mode)));
        put_text(to, "new_state", jump_state_name(jump_mode_state(event->new_mode)));
        put_text(to, "previous_mode", jump_mode_name(event->previous_mode));
        put_text(to, "new_mode", jump_mode_name(event->new_mode));
        put_text(to, "role", event->role == JUMP_CLIENT ? "client" : "server");
        put_text(to, "event", jump_fsm_event_name(event->cause));
        if (event->row != NULL)
            put_text(to, "row", event->row);
    }
    if ((has & JUMP_FIELD_REASON) != 0)
        put_text(to, "reason_code", jump_reason_name(event->reason));
    if ((has & JUMP_FIELD_PREVIOUS_TRANSPORT) != 0)
        put_path(to, "previous_transport", &event->previous_transport);
    if ((has & JUMP_FIELD_NEW_TRANSPORT) != 0)
        put_path(to, "new_transport", &event->new_transport);
    if ((has & JUMP_FIELD_GENERATION) != 0)
        put_number(to, "generation", event->generation);
    if ((has & JUMP_FIELD_ATTEMPT) != 0)
        put_number(to, "attempt", event->attempt);
    if ((has & JUMP_FIELD_VOLUNTARY) != 0)
        put(to, "voluntary", json_object_new_boolean(event->voluntary));
    if ((has & JUMP_FIELD_CANDIDATES) != 0)
        put_number(to, "candidate_count", event->candidate_count);
    if ((has & JUMP_FIELD_LOSS) != 0)
        put_fraction(to, "loss_ratio", event->loss_ppm, 1000000, 6);
    if ((has & JUMP_FIELD_RTT) != 0)
        put_fraction(to, "rtt_ms", event->rtt_us, 1000, 3);
    if ((has & JUMP_FIELD_LATENCY) != 0)
        put_number(to, "switch_latency_ms", event->switch_latency_ms);
    if ((has & JUMP_FIELD_RETRY) != 0)
        put_number(to, "retry_after_ms", event->retry_after_ms);
    if ((has & JUMP_FIELD_AGE) != 0)
        put_number(to, "session_age_ms", event->session_age_ms);
    if ((has & JUMP_FIELD_DROPPED) != 0) {
        put_number(to, "dropped", event->dropped);
        put_number(to, "first_version", event->first_version);
        put_number(to, "last_version", event->last_version);
    }
}

/* The event as one JSON object without a newline. @return its length; 0: no memory, or too long. */
static size_t render(char out[BODY_BYTES], const struct jump_audit_file *file, const struct jump_event *event,
                     const char *mark, const char *cause)
{
    struct writer to = {.object = json_object_new_object()};
    const char *text = NULL;
    size_t len = 0;

    if (to.object == NULL)
        return 0;
    put_common(&to, file, event);
    put_fields(&to, event);
    if (mark != NULL) {
        put_text(&to, "event", mark);
        put_text(&to, "cause", cause);
    }
    if (!to.failed)
        text = json_object_to_json_string_length(to.object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
                                                 &len);
    if (text == NULL || len < 2 || len > BODY_BYTES || memchr(text, '\n', len) != NULL)
        len = 0;
    else
        memcpy(out, text, len);
    (void)json_object_put(to.object);
    return len;
}

/* --- The ring -------------------------------------------------------------------------------------------- */

static size_t ring_room(const struct jump_audit_file *file)
{
    return JUMP_AUDIT_RING_BYTES - (file->ring_end - file->ring_start);
}

static bool ring_push(struct jump_audit_file *file, const char *body, size_t len, uint64_t weight)
{
    struct ring_record record = {.weight = weight, .len = (uint32_t)len};
    size_t need = sizeof record + len;

    if (ring_room(file) < need)
        return false;
    if (JUMP_AUDIT_RING_BYTES - file->ring_end < need) {
        memmove(file->ring, file->ring + file->ring_start, file->ring_end - file->ring_start);
        file->ring_end -= file->ring_start;
        file->ring_start = 0;
    }
    memcpy(file->ring + file->ring_end, &record, sizeof record);
    memcpy(file->ring + file->ring_end + sizeof record, body, len);
    file->ring_end += need;
    file->ring_lines++;
    file->ring_weight += weight;
    return true;
}

/* Take the oldest line out, into file->body. */
static void ring_pop(struct jump_audit_file *file)
{
    struct ring_record record;

    memcpy(&record, file->ring + file->ring_start, sizeof record);
    memcpy(file->body, file->ring + file->ring_start + sizeof record, record.len);
    file->body_len = record.len;
    file->body_weight = record.weight;
    file->ring_start += sizeof record + record.len;
    file->ring_lines--;
    file->ring_weight -= record.weight;
    if (file->ring_lines == 0)
        file->ring_start = file->ring_end = 0;
}

/* --- Dropped events -------------------------------------------------------------------------------------- */

static void drop_add(struct drop *drop, const struct jump_event *event)
{
    if (drop->count == 0 || event->state_version < drop->first_version)
        drop->first_version = event->state_version;
    if (drop->count == 0 || event->state_version > drop->last_version)
        drop->last_version = event->state_version;
    drop->count++;
}

static void drop_note(struct jump_audit_file *file, const struct jump_event *event)
{
    struct drop *drop = NULL;

    file->dropping = true;
    file->drop_total++;
    file->stats.dropped++;
    file->policy_major = event->policy_major;
    file->policy_minor = event->policy_minor;
    if ((event->fields & JUMP_FIELD_SESSION) != 0) {
        for (size_t i = 0; i < file->drops_len && drop == NULL; i++)
            if (memcmp(&file->drops[i].session_id, &event->session_id, sizeof event->session_id) == 0)
                drop = &file->drops[i];
        if (drop == NULL && file->drops_len < DROP_SESSIONS) {
            drop = &file->drops[file->drops_len++];
            *drop = (struct drop){.session_id = event->session_id};
        }
    }
    drop_add(drop != NULL ? drop : &file->drop_rest, event);
}

static bool drop_push(struct jump_audit_file *file, const struct drop *drop, uint32_t session_bit, jump_time now)
{
    struct jump_event event = {
        .at = now,
        .kind = JUMP_EVENT_EVENTS_DROPPED,
        .fields = JUMP_FIELD_DROPPED | session_bit,
        .session_id = drop->session_id,
        .policy_major = file->policy_major,
        .policy_minor = file->policy_minor,
        .state_version = drop->last_version,
        .dropped = drop->count,
        .first_version = drop->first_version,
        .last_version = drop->last_version,
    };
    char body[BODY_BYTES];
    size_t len = render(body, file, &event, NULL, NULL);

    return len > 0 && ring_push(file, body, len, drop->count);
}

/* Put the records of what was dropped into the ring, in front of newer events. False: events still go nowhere. */
static bool drops_tell(struct jump_audit_file *file, jump_time now)
{
    if (!file->dropping)
        return true;
    if (ring_room(file) < RESUME_BYTES)
        return false;
    while (file->drops_len > 0) {
        if (!drop_push(file, &file->drops[file->drops_len - 1], JUMP_FIELD_SESSION, now))
            return false;
        file->drop_total -= file->drops[--file->drops_len].count;
    }
    if (file->drop_rest.count > 0) {
        if (!drop_push(file, &file->drop_rest, 0, now))
            return false;
        file->drop_total -= file->drop_rest.count;
        file->drop_rest = (struct drop){0};
    }
    file->dropping = false;
    return true;
}

/* --- The chain ------------------------------------------------------------------------------------------- */

static size_t prefix_make(char out[JUMP_AUDIT_PREFIX_BYTES], const struct jump_audit_head *before)
{
    char hex[2 * JUMP_CHAIN_BYTES + 1];
    int len;

    (void)sodium_bin2hex(hex, sizeof hex, before->link, sizeof before->link);
    len = snprintf(out, JUMP_AUDIT_PREFIX_BYTES, "{\"seq\":%" PRIu64 ",\"prev\":\"%s\",", before->seq + 1, hex);
    return (size_t)len;
}

bool jump_audit_file_prefix(uint64_t *seq, uint8_t prev[JUMP_CHAIN_BYTES], const char *line, size_t line_len)
{
    struct jump_audit_head before = {0};
    char again[JUMP_AUDIT_PREFIX_BYTES];
    char copy[JUMP_AUDIT_PREFIX_BYTES] = "";
    char hex[2 * JUMP_CHAIN_BYTES + 1];
    size_t len, got;

    memcpy(copy, line, line_len < sizeof copy ? line_len : sizeof copy - 1);
    /* NOLINTNEXTLINE(cert-err34-c): what it reads is written again below and must be the same text */
    if (sscanf(copy, "{\"seq\":%" SCNu64 ",\"prev\":\"%64[0-9a-f]\",", seq, hex) != 2 || *seq == 0 ||
        sodium_hex2bin(prev, JUMP_CHAIN_BYTES, hex, strlen(hex), NULL, &got, NULL) != 0 || got != JUMP_CHAIN_BYTES)
        return false;
    /* One spelling only: what sscanf is lenient about is not ours. */
    before.seq = *seq - 1;
    memcpy(before.link, prev, JUMP_CHAIN_BYTES);
    len = prefix_make(again, &before);
    return line_len > len && memcmp(again, line, len) == 0;
}

/* Make the line that is to be written now of a body, which begins with '{'. */
static void line_set(struct jump_audit_file *file, const char *body, size_t body_len, bool from_ring)
{
    size_t at = 0, begin;

    if (file->newline_first)
        file->line[at++] = '\n';
    begin = at;
    at += prefix_make(file->line + at, &file->head);
    memcpy(file->line + at, body + 1, body_len - 1);
    at += body_len - 1;
    file->next = (struct jump_audit_head){.seq = file->head.seq + 1, .lost = from_ring ? 0 : file->head.lost};
    jump_audit_link(file->next.link, jump_state_audit_key(file->state), file->line + begin, at - begin);
    file->line[at++] = '\n';
    file->line_len = at;
    file->line_done = 0;
    file->line_from_ring = from_ring;
}

/* True: there is a line to write. */
static bool line_next(struct jump_audit_file *file, jump_time now)
{
    if (file->line_len > 0)
        return true;
    if (file->begin != BEGIN_NOT) {
        struct jump_event event = {
            .at = now, .kind = JUMP_EVENT_POLICY, .policy_major = file->policy_major, .policy_minor = file->policy_minor};
        char body[BODY_BYTES];
        size_t len = render(body, file, &event, "audit_begin", begin_names[file->begin]);

        if (len > 0)
            line_set(file, body, len, false);
        return len > 0;
    }
    if (file->body_len == 0 && file->ring_lines == 0)
        (void)drops_tell(file, now);
    if (file->body_len == 0 && file->ring_lines > 0)
        ring_pop(file);
    if (file->body_len > 0)
        line_set(file, file->body, file->body_len, true);
    return file->body_len > 0;
}

/* --- The file -------------------------------------------------------------------------------------------- */

/**
 * Look at the end of a file that is to be continued: does it fit the head? Moves the head over whole lines that
 * a killed process wrote without counting them.
 */
static enum begin tail_check(struct jump_audit_file *file)
{
    size_t cap = (size_t)(file->identity.st_size < TAIL_BYTES ? file->identity.st_size : TAIL_BYTES);
    struct jump_audit_head head = file->head;
    enum begin result;
    bool met = false, torn;
    char *tail = malloc(cap + 1), *line, *end;
    ssize_t got;

    if (tail == NULL)
        return BEGIN_TAIL_UNKNOWN;
    got = pread(file->fd, tail, cap, file->identity.st_size - (off_t)cap);
    if (got <= 0) {
        free(tail);
        return BEGIN_TAIL_UNKNOWN;
    }
    tail[got] = '\0';
    line = tail;
    if ((off_t)got < file->identity.st_size) { /* begin with a whole line */
        line = memchr(tail, '\n', (size_t)got);
        line = line == NULL ? tail + got : line + 1;
    }
    for (; (end = memchr(line, '\n', (size_t)(tail + got - line))) != NULL; line = end + 1) {
        uint8_t link[JUMP_CHAIN_BYTES], prev[JUMP_CHAIN_BYTES];
        uint64_t seq = 0;

        jump_audit_link(link, jump_state_audit_key(file->state), line, (size_t)(end - line));
        if (met) {
            met = jump_audit_file_prefix(&seq, prev, line, (size_t)(end - line)) && seq == head.seq + 1 &&
                  sodium_memcmp(prev, head.link, sizeof prev) == 0;
            if (!met)
                break;
            head.seq = seq;
            memcpy(head.link, link, sizeof link);
        } else
            met = head.seq > 0 && sodium_memcmp(link, head.link, sizeof link) == 0;
    }
    torn = line < tail + got;
    if (met) {
        if (head.seq != file->head.seq)
            (void)jump_state_audit_head_set(file->state, &head);
        file->head = head;
    }
    /* A torn line was never counted, so nothing that is recorded goes with it. */
    if (torn && (!met || ftruncate(file->fd, file->identity.st_size - (off_t)(tail + got - line)) != 0))
        file->newline_first = true;
    result = !met ? BEGIN_TAIL_UNKNOWN : torn ? BEGIN_TORN_LINE : BEGIN_NOT;
    free(tail);
    return result;
}

/* Does a line of our form stand in these bytes? A piece of one at their end counts. */
static bool has_our_line(const char *bytes, size_t len)
{
    static const char start[] = "{\"seq\":";

    for (const char *line = bytes, *end; line < bytes + len; line = end + 1) {
        uint8_t prev[JUMP_CHAIN_BYTES];
        uint64_t seq;
        size_t rest = (size_t)(bytes + len - line);

        end = memchr(line, '\n', rest);
        if (end == NULL)
            return jump_audit_file_prefix(&seq, prev, line, rest)
                   || (line == bytes && memcmp(line, start, rest < sizeof start - 1 ? rest : sizeof start - 1) == 0);
        if (jump_audit_file_prefix(&seq, prev, line, (size_t)(end - line)))
            return true;
    }
    return false;
}

/*
 * Somebody else's file, named by mistake: records must not be written into it. Ours has a line of our form first or
 * last; what a power cut left of a new one may be zeroes. A file that cannot be read is not judged.
 */
static bool is_foreign(int fd, const struct stat *status)
{
    char *bytes;
    size_t cap = 2 * LINE_BYTES;
    ssize_t first, last;
    bool foreign;

    if (!S_ISREG(status->st_mode) || status->st_size == 0 || (bytes = malloc(cap)) == NULL)
        return false;
    first = pread(fd, bytes, cap, 0);
    foreign = first > 0 && bytes[0] != '\0' && !has_our_line(bytes, (size_t)first);
    if (foreign && status->st_size > (off_t)cap) {
        last = pread(fd, bytes, cap, status->st_size - (off_t)cap);
        foreign = last > 0 && !has_our_line(bytes, (size_t)last);
    }
    free(bytes);
    return foreign;
}

/* Open the path. @return the descriptor with its status; -1 with *problem. */
static int path_open(struct stat *status, struct jump_problem *problem, const struct jump_audit_file *file)
{
    int flags = O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    int fd;

    /* A FIFO opened for both has a reader always: us. So it can be opened, and no write raises SIGPIPE. A
     * character device may refuse to be read. */
    fd = openat(file->folder_fd, file->name, O_RDWR | O_CREAT | flags, 0600);
    if (fd < 0 && errno == EACCES) {
        fd = openat(file->folder_fd, file->name, O_WRONLY | flags);
        if (fd < 0 && errno == ENOENT)
            errno = EACCES; /* what the first try said: the folder does not let us make it */
    }
    if (fd < 0) {
        jump_problem_set(problem, "cannot open the audit file %s: %s", file->path,
                         errno == ELOOP ? "it is a symbolic link" : strerror(errno));
        return -1;
    }
    if (fstat(fd, status) != 0 || (!S_ISREG(status->st_mode) && !S_ISFIFO(status->st_mode) && !S_ISCHR(status->st_mode))) {
        jump_problem_set(problem, "cannot write the audit to %s: it is no file, FIFO or character device", file->path);
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Take an opened file into use. */
static void fd_use(struct jump_audit_file *file, int fd, const struct stat *status)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = fd;
    file->identity = *status;
    file->regular = S_ISREG(status->st_mode);
    file->newline_first = false;
    file->begin = file->regular && status->st_size > 0 ? tail_check(file) : BEGIN_NEW_FILE;
    file->retry_at = 0;
    file->retry_for = 0;
}

/* Take the piece of a line back that a full disk left at the end of the file. True: it is gone. */
static bool piece_remove(const struct jump_audit_file *file)
{
    struct stat status;

    return file->regular && fstat(file->fd, &status) == 0 && status.st_size >= (off_t)file->line_done &&
           ftruncate(file->fd, status.st_size - (off_t)file->line_done) == 0;
}

/* The file changes: the line that is not yet whole in the old one will be made anew, for the new one. */
static void line_restart(struct jump_audit_file *file)
{
    /* An append-only file keeps the piece, and verify shows it as a torn line. */
    if (file->line_done > 0)
        (void)piece_remove(file);
    file->line_len = file->line_done = 0;
}

/* Has somebody renamed, removed or emptied the file (log rotation)? Then go on in what the path names now. */
static void path_look(struct jump_audit_file *file, jump_time now)
{
    struct stat there, open_one;
    int fd;

    if (!file->regular || now < file->look_at)
        return;
    file->look_at = now + LOOK_EVERY;
    if (fstatat(file->folder_fd, file->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        there.st_dev == file->identity.st_dev && there.st_ino == file->identity.st_ino) {
        /* Emptied in place (copytruncate). */
        if (fstat(file->fd, &open_one) == 0 && open_one.st_size == 0 && file->begin == BEGIN_NOT) {
            line_restart(file);
            file->begin = BEGIN_NEW_FILE;
        }
        return;
    }
    fd = path_open(&there, NULL, file);
    if (fd < 0)
        return; /* not allowed to make it any more: the old one goes on */
    if (is_foreign(fd, &there)) { /* as it does where somebody else's took the name */
        (void)close(fd);
        return;
    }
    line_restart(file);
    fd_use(file, fd, &there);
}

static void failed(struct jump_audit_file *file, int why, jump_time now)
{
    file->stats.failures++;
    file->stats.last_errno = why;
    file->retry_for = file->retry_for == 0              ? RETRY_FIRST
                      : 2 * file->retry_for < RETRY_LAST ? 2 * file->retry_for
                                                         : RETRY_LAST;
    file->retry_at = now + file->retry_for;
}

/* Write what is left of the line. True: it is whole in the file and counted. */
static bool line_write(struct jump_audit_file *file, jump_time now)
{
    while (file->line_done < file->line_len) {
        ssize_t put_len =
            jump_file_write_quiet(file->fd, file->line + file->line_done, file->line_len - file->line_done, -1);

        if (put_len < 0 && errno == EINTR)
            continue;
        if (put_len <= 0) {
            failed(file, put_len < 0 ? errno : EIO, now);
            return false;
        }
        file->line_done += (size_t)put_len;
        if (file->line_done < file->line_len) {
            /* A full disk took a piece. Take it back: a reader, and the next start, find whole lines only. */
            if (piece_remove(file))
                file->line_done = 0;
            failed(file, ENOSPC, now);
            return false;
        }
    }
    file->head = file->next;
    (void)jump_state_audit_head_set(file->state, &file->head);
    if (file->line_from_ring)
        file->body_len = 0;
    else
        file->begin = BEGIN_NOT;
    file->newline_first = false;
    file->line_len = file->line_done = 0;
    file->retry_at = file->retry_for = 0;
    file->stats.written++;
    return true;
}

/* --- Public ---------------------------------------------------------------------------------------------- */

struct jump_audit_file *jump_audit_file_open(struct jump_problem *problem, const char *path, const char *node_id,
                                             struct jump_state_folder *state)
{
    struct jump_audit_file *file = calloc(1, sizeof *file);
    char folder[PATH_MAX];
    struct stat status;
    int fd = -1;

    if (file == NULL || (file->ring = malloc(JUMP_AUDIT_RING_BYTES)) == NULL) {
        jump_problem_set(problem, "cannot open the audit file %s: no memory", path);
        free(file);
        return NULL;
    }
    file->folder_fd = file->fd = -1;
    file->state = state;
    jump_text_clean(file->node_id, sizeof file->node_id, node_id);
    jump_state_audit_head(state, &file->head);
    if (strlen(path) >= sizeof file->path || jump_file_split(folder, sizeof folder, path) == NULL) {
        jump_problem_set(problem, "cannot open the audit file %s: that is no file's path", path);
        goto refuse;
    }
    memcpy(file->path, path, strlen(path) + 1);
    file->name = jump_file_split(folder, sizeof folder, file->path);
    file->folder_fd = jump_file_folder(problem, folder, 0751);
    if (file->folder_fd < 0 || (fd = path_open(&status, problem, file)) < 0)
        goto refuse;
    if (is_foreign(fd, &status)) {
        jump_problem_set(problem, "cannot write the audit to %s: the file holds something else (name another, or remove it)",
                         path);
        (void)close(fd);
        goto refuse;
    }
    fd_use(file, fd, &status);
    if (file->head.lost > 0) {
        file->dropping = true;
        file->drop_total = file->drop_rest.count = file->head.lost;
    }
    return file;
refuse:
    if (file->folder_fd >= 0)
        (void)close(file->folder_fd);
    free(file->ring);
    free(file);
    return NULL;
}

void jump_audit_file_write(struct jump_audit_file *file, const struct jump_event *event, jump_time now)
{
    char body[BODY_BYTES];
    size_t len;

    file->policy_major = event->policy_major;
    file->policy_minor = event->policy_minor;
    len = drops_tell(file, now) ? render(body, file, event, NULL, NULL) : 0;
    if (len == 0 || !ring_push(file, body, len, 1))
        drop_note(file, event);
    jump_audit_file_flush(file, now);
}

void jump_audit_file_flush(struct jump_audit_file *file, jump_time now)
{
    if (now < file->retry_at)
        return;
    path_look(file, now);
    for (int i = 0; i < LINES_A_CALL; i++) {
        if (!line_next(file, now)) {
            if (jump_audit_file_deadline(file) != JUMP_NEVER)
                failed(file, ENOMEM, now);
            return;
        }
        if (!line_write(file, now))
            return;
    }
}

jump_time jump_audit_file_deadline(const struct jump_audit_file *file)
{
    if (file->line_len == 0 && file->body_len == 0 && file->ring_lines == 0 && !file->dropping &&
        file->begin == BEGIN_NOT)
        return JUMP_NEVER;
    return file->retry_at;
}

bool jump_audit_file_reopen(struct jump_audit_file *file, struct jump_problem *problem, jump_time now)
{
    struct stat status;
    int fd = path_open(&status, problem, file);

    if (fd < 0)
        return false;
    if (file->regular && status.st_dev == file->identity.st_dev && status.st_ino == file->identity.st_ino) {
        (void)close(fd); /* the same file: nothing to do, and its tail is ours */
        return true;
    }
    if (is_foreign(fd, &status)) {
        jump_problem_set(problem, "cannot write the audit to %s: the file holds something else", file->name);
        (void)close(fd);
        return false;
    }
    line_restart(file);
    fd_use(file, fd, &status);
    jump_audit_file_flush(file, now);
    return true;
}

void jump_audit_file_close(struct jump_audit_file *file)
{
    uint64_t written;

    if (file == NULL)
        return;
    file->retry_at = 0;
    do {
        written = file->stats.written;
        jump_audit_file_flush(file, jump_clock_now());
    } while (file->stats.written > written && jump_audit_file_deadline(file) != JUMP_NEVER);
    line_restart(file);
    file->head.lost = file->ring_weight + (file->body_len > 0 ? file->body_weight : 0) + file->drop_total;
    if (file->head.lost > 0)
        (void)jump_state_audit_head_set(file->state, &file->head);
    (void)close(file->fd);
    (void)close(file->folder_fd);
    free(file->ring);
    free(file);
}

void jump_audit_file_stats(const struct jump_audit_file *file, struct jump_audit_file_stats *stats)
{
    *stats = file->stats;
    stats->waiting = file->ring_lines + (file->body_len > 0 ? 1 : 0);
}
