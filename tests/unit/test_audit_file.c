/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The audit file: what a line holds, how the chain goes on over restarts, crashes and rotation, and that a sink which is full,
 * slow or gone changes nothing for the host (A28). What was done to a log afterwards is test_audit_verify.c's.
 */
#include <json-c/json.h>
#include <signal.h>
#include <sys/resource.h>

#include "runner.h"
#include "audit_log.h"

/* --- What a line holds ----------------------------------------------------------------------------------- */

static const char *text_of(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(object, key, &value) ? json_object_get_string(value) : "(absent)";
}

static void test_audit_file_every_line_is_one_object_with_the_fields_of_the_model(void)
{
    static const char *const all[] = {"seq", "prev", "ts_ms", "mono_ns", "event_type", "node_id", "policy_version", "state_version"};
    struct lines *lines = small_log();
    struct json_object *object;

    CU_ASSERT_EQUAL_FATAL(lines->count, LINES);
    for (size_t i = 0; i < lines->count; i++) {
        lines->line[i][lines->len[i]] = '\0';
        object = json_tokener_parse(lines->line[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(object);
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
            CU_ASSERT_STRING_NOT_EQUAL(text_of(object, all[k]), "(absent)");
        (void)json_object_put(object);
    }
    object = json_tokener_parse(lines->line[1]);
    CU_ASSERT_STRING_EQUAL(text_of(object, "event_type"), "SessionStateChange");
    CU_ASSERT_STRING_EQUAL(text_of(object, "session_id"), "11111111111111111111111111111111");
    CU_ASSERT_STRING_EQUAL(text_of(object, "previous_state"), "BIRTH");
    CU_ASSERT_STRING_EQUAL(text_of(object, "new_mode"), "ATTACHED");
    CU_ASSERT_STRING_EQUAL(text_of(object, "role"), "client");
    CU_ASSERT_STRING_EQUAL(text_of(object, "event"), "attach_ok");
    CU_ASSERT_STRING_EQUAL(text_of(object, "row"), "T1");
    CU_ASSERT_STRING_EQUAL(text_of(object, "reason_code"), "attached_to_transport");
    CU_ASSERT_STRING_EQUAL(text_of(object, "policy_version"), "1.0");
    CU_ASSERT_STRING_EQUAL(text_of(object, "loss_ratio"), "0.012345");
    (void)json_object_put(object);
    object = json_tokener_parse(lines->line[2]);
    CU_ASSERT_STRING_EQUAL(text_of(object, "new_transport"), "udp 203.0.113.7:4711");
    CU_ASSERT_STRING_EQUAL(text_of(object, "rtt_ms"), "20.900");
    (void)json_object_put(object);
    object = json_tokener_parse(lines->line[5]);
    CU_ASSERT_STRING_EQUAL(text_of(object, "new_transport"), "tcp [2001:db8::1]:4711");
    CU_ASSERT_STRING_EQUAL(text_of(object, "voluntary"), "false");
    (void)json_object_put(object);
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_file_all_fields_together_fit_in_a_line(void)
{
    struct jump_event event;
    struct lines *lines;

    begin();
    memset(&event, 0xff, sizeof event); /* every number at its largest */
    event.kind = JUMP_EVENT_VALIDATION_FAILED;
    event.previous_mode = event.new_mode = JUMP_MODE_RECOVERING_UNBOUND;
    event.cause = JUMP_EV_OWNERSHIP_AMBIGUOUS;
    event.reason = JUMP_REASON_REATTACH_VALIDATION_FAILED;
    event.role = JUMP_SERVER;
    event.row = "T25";
    event.voluntary = true;
    write_event(&event);
    close_log();
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    lines = lines_read(log_path());
    CU_ASSERT_EQUAL(lines->count, 2);
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_file_A29_text_with_newlines_and_quotes_stays_one_line(void)
{
    struct lines *lines;
    char command[600];

    scratch_open(&scratch);
    state = jump_state_open(&problem, scratch_path(&scratch, "state"), "a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    /* The path may hold anything too. */
    file = jump_audit_file_open(&problem, scratch_path(&scratch, "log/a\n\"'.jsonl"),
                                "no\"de\n{\"seq\":1}\r\\\x01\x7f\xff\xc0\xaf\xed\xa0\x80 \xc3\xa9", state);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    write_story(0x22);
    close_log();
    CU_ASSERT_EQUAL(rename(scratch_path(&scratch, "log/a\n\"'.jsonl"), log_path()), 0);
    CU_ASSERT_TRUE(all_good(log_path()));
    lines = lines_read(log_path());
    CU_ASSERT_EQUAL(lines->count, LINES);
    lines_free(lines);
    (void)snprintf(command, sizeof command,
                   "python3 -c 'import json,sys\nfor l in open(sys.argv[1],\"rb\"):\n j=json.loads(l.decode(\"utf-8\"))\n"
                   " assert j[\"node_id\"].startswith(\"no\\\"de\\n{\")' %s", log_path());
    CU_ASSERT_EQUAL(scratch_run(output, sizeof output, command), 0);
    scratch_close(&scratch);
}

/* --- Restarts and rotation ------------------------------------------------------------------------------- */

static void test_audit_file_a_restart_goes_on_with_the_chain(void)
{
    struct lines *lines;

    begin();
    for (uint8_t i = 1; i <= 3; i++) {
        write_story(i);
        close_log();
        open_log_at(log_path());
    }
    close_log();
    CU_ASSERT_TRUE(all_good(log_path()));
    CU_ASSERT_TRUE(told("12 transitions of 3 sessions"));
    lines = lines_read(log_path());
    CU_ASSERT_EQUAL(lines->count, 1 + 3 * 7); /* one file begins once */
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_file_a_crash_between_line_and_head_is_one_line_behind(void)
{
    begin();
    write_story(1);
    scratch_copy(scratch_path(&scratch, "head"), scratch_path(&scratch, "state/a.audit.head"));
    struct jump_event event = step(2, 1, JUMP_MODE_BIRTH, JUMP_EV_ATTACH_OK, JUMP_CLIENT, JUMP_REASON_ATTACHED_TO_TRANSPORT);
    write_event(&event);
    close_log();
    scratch_copy(scratch_path(&scratch, "state/a.audit.head"), scratch_path(&scratch, "head"));
    CU_ASSERT_TRUE(all_good(log_path()));
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    CU_ASSERT_TRUE(told("the head is one line behind"));
    open_log_at(log_path()); /* the writer takes the line over */
    write_story(3);
    close_log();
    CU_ASSERT_TRUE(all_good(log_path()));
    scratch_close(&scratch);
}

static void test_audit_file_a_head_from_a_copy_is_found(void)
{
    begin();
    write_story(1);
    scratch_copy(scratch_path(&scratch, "head"), scratch_path(&scratch, "state/a.audit.head"));
    write_story(2);
    close_log();
    scratch_copy(scratch_path(&scratch, "state/a.audit.head"), scratch_path(&scratch, "head"));
    CU_ASSERT_EQUAL(verify(log_path()), 1);
    CU_ASSERT_TRUE(told("more than one line behind"));
    scratch_close(&scratch);
}

/* The small log with its last line cut to `len` bytes; `counted`: the head had counted the line. @return verify's exit code */
static int cut_last_line(size_t len, bool counted)
{
    struct lines *lines;

    begin();
    write_story(1);
    scratch_copy(scratch_path(&scratch, "head"), scratch_path(&scratch, "state/a.audit.head"));
    struct jump_event event = step(2, 1, JUMP_MODE_BIRTH, JUMP_EV_ATTACH_OK, JUMP_CLIENT, JUMP_REASON_ATTACHED_TO_TRANSPORT);
    write_event(&event);
    close_log();
    if (!counted)
        scratch_copy(scratch_path(&scratch, "state/a.audit.head"), scratch_path(&scratch, "head"));
    lines = lines_read(log_path());
    CU_ASSERT_EQUAL(truncate(log_path(), (lines->line[LINES] - lines->text) + (off_t)len), 0);
    lines_free(lines);
    return verify(log_path());
}

static void test_audit_file_a_line_that_a_kill_tore_is_noted_and_taken_away(void)
{
    /* A fatal signal may end a write at a page's end: before, within or after what the chain gives the line. */
    static const size_t cuts[] = {1, 10, 50, 90, 200};

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        CU_ASSERT_EQUAL(cut_last_line(cuts[i], false), 0);
        CU_ASSERT_TRUE(told("stopped in the middle of this line, and had not counted it"));
        open_log_at(log_path());
        write_story(2);
        close_log();
        CU_ASSERT_TRUE(all_good(log_path()));
        CU_ASSERT_EQUAL(verify(log_path()), 0);
        CU_ASSERT_TRUE(told("stopped in the middle of a line here"));
        scratch_close(&scratch);
        CU_ASSERT_EQUAL(cut_last_line(cuts[i], true), 1); /* the same piece of a line that was there */
        CU_ASSERT_TRUE(told("the end was cut off: seq 9 to 9"));
        scratch_close(&scratch);
    }
}

static void test_audit_file_a_piece_that_the_writer_did_not_write_is_found(void)
{
    static const char *const pieces[] = {"x", "{\"seq\":9,\"prev\":\"AB", "{\"seq\":8,"}; /* no link begins so: its hex is small */

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct lines *lines = small_log();
        int fd = open(log_path(), O_WRONLY | O_APPEND);

        CU_ASSERT_EQUAL(write(fd, pieces[i], strlen(pieces[i])), (ssize_t)strlen(pieces[i]));
        (void)close(fd);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
        CU_ASSERT_TRUE(told("not written to its end, or was cut"));
        lines_free(lines);
        scratch_close(&scratch);
    }
}

static void test_audit_file_killed_at_any_moment_the_log_stays_good(void)
{
    begin();
    close_log();
    for (int round = 0; round < 25; round++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            open_log_at(log_path());
            for (uint8_t i = 0;; i++)
                write_story(i == 0 ? (uint8_t)(round + 1) : 0xee);
        }
        usleep((useconds_t)(3000 + round * 700));
        (void)kill(child, SIGKILL);
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        if (verify(log_path()) != 0) {
            fprintf(stderr, "\n%s\n", output);
            CU_FAIL("broken by a kill");
            break;
        }
    }
    open_log_at(log_path());
    close_log();
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    scratch_close(&scratch);
}

static void test_audit_file_A29_a_tail_cut_while_nobody_wrote_is_found_for_ever(void)
{
    struct lines *lines = small_log();
    static const size_t order[] = {0, 1, 2, 3, 4, LINES};

    write_order(lines, order);
    lines_free(lines);
    open_log_at(log_path());
    write_story(2);
    close_log();
    CU_ASSERT_EQUAL(verify(log_path()), 1);
    CU_ASSERT_TRUE(told("lines are missing before this one: seq 6 to 8"));
    CU_ASSERT_TRUE(told("did not find the end as it had left it"));
    scratch_close(&scratch);
}

static void test_audit_file_a_removed_file_leaves_its_number_behind(void)
{
    begin();
    write_story(1);
    close_log();
    CU_ASSERT_EQUAL(unlink(log_path()), 0);
    open_log_at(log_path());
    write_story(2);
    close_log();
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    CU_ASSERT_TRUE(told("begins at seq 9: the lines before it are in an older file"));
    scratch_close(&scratch);
}

static void rotate_and_write(bool by_request)
{
    char both[1200];

    begin();
    write_story(1);
    CU_ASSERT_EQUAL(rename(log_path(), scratch_path(&scratch, "log/a.jsonl.1")), 0);
    now += JUMP_MS(2000);
    if (by_request)
        CU_ASSERT_TRUE(jump_audit_file_reopen(file, &problem, now));
    write_story(2);
    close_log();
    (void)snprintf(both, sizeof both, "%s %s", scratch_path(&scratch, "log/a.jsonl.1"), log_path());
    CU_ASSERT_TRUE(all_good(both));
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    CU_ASSERT_EQUAL(verify(scratch_path(&scratch, "log/a.jsonl.1")), 1);
    CU_ASSERT_TRUE(told("or in a newer file"));
    (void)snprintf(both, sizeof both, "%s %s", log_path(), scratch_path(&scratch, "log/a.jsonl.1"));
    CU_ASSERT_EQUAL(verify(both), 1); /* the wrong way round */
    scratch_close(&scratch);
}

static void test_audit_file_a_rotated_log_is_one_chain_over_two_files(void)
{
    rotate_and_write(true);
}

static void test_audit_file_rotation_is_noticed_without_being_told(void)
{
    rotate_and_write(false);
}

static void test_audit_file_after_a_rotation_somebody_elses_file_is_left_alone(void)
{
    size_t len;
    char *theirs;

    begin();
    write_story(1);
    CU_ASSERT_EQUAL(rename(log_path(), scratch_path(&scratch, "log/a.jsonl.1")), 0);
    scratch_write(log_path(), "root:x:0:0\n", 11);
    now += JUMP_MS(2000);
    write_story(2); /* into the file that it has */
    CU_ASSERT_FALSE(jump_audit_file_reopen(file, &problem, now));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "the file holds something else"));
    close_log();
    CU_ASSERT_EQUAL(verify(scratch_path(&scratch, "log/a.jsonl.1")), 0);
    theirs = scratch_read(log_path(), &len);
    CU_ASSERT_TRUE(theirs != NULL && len == 11);
    free(theirs);
    scratch_close(&scratch);
}

static void test_audit_file_emptied_in_place_it_begins_anew_and_says_so(void)
{
    begin();
    write_story(1);
    CU_ASSERT_EQUAL(truncate(log_path(), 0), 0);
    now += JUMP_MS(2000);
    write_story(2);
    close_log();
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    CU_ASSERT_TRUE(told("begins at seq 9"));
    scratch_close(&scratch);
}

static void test_audit_file_reopen_that_fails_keeps_the_old_file(void)
{
    begin();
    write_story(1);
    CU_ASSERT_EQUAL(rename(log_path(), scratch_path(&scratch, "log/kept")), 0);
    CU_ASSERT_EQUAL(mkdir(log_path(), 0700), 0); /* in the way */
    CU_ASSERT_FALSE(jump_audit_file_reopen(file, &problem, now));
    now += JUMP_MS(5000);
    write_story(2);
    close_log();
    CU_ASSERT_EQUAL(rmdir(log_path()), 0);
    CU_ASSERT_TRUE(all_good(scratch_path(&scratch, "log/kept")));
    scratch_close(&scratch);
}

/* --- A sink that is full, slow or gone (A28) ------------------------------------------------------------- */

static void test_audit_file_A28_a_fifo_that_nobody_reads_costs_records_and_nothing_else(void)
{
    struct jump_audit_file_stats stats;
    char *text = NULL;
    size_t used = 0;
    int reader;
    bool dropped_told = false;

    scratch_open(&scratch);
    now = JUMP_MS(1000);
    CU_ASSERT_EQUAL(mkdir(scratch_path(&scratch, "log"), 0700), 0);
    CU_ASSERT_EQUAL(mkfifo(log_path(), 0600), 0);
    open_log_at(log_path());
    for (int i = 0; i < 400; i++)
        write_story((uint8_t)i); /* about 1 MiB into 64 KiB of pipe and 256 KiB of ring */
    jump_audit_file_stats(file, &stats);
    CU_ASSERT_TRUE(stats.written > 0 && stats.waiting > 0 && stats.dropped > 0);
    CU_ASSERT_EQUAL(stats.last_errno, EAGAIN);
    CU_ASSERT_EQUAL(stats.written - 1 + stats.waiting + stats.dropped, 400 * 7);
    CU_ASSERT_TRUE(jump_audit_file_deadline(file) > now && jump_audit_file_deadline(file) <= now + JUMP_MS(2000));
    reader = open(log_path(), O_RDONLY | O_NONBLOCK);
    text = malloc(SCRATCH_FILE_BYTES);
    for (int i = 0; i < 10000; i++) {
        ssize_t got = read(reader, text + used, SCRATCH_FILE_BYTES - 1 - used);

        used += got > 0 ? (size_t)got : 0;
        if (got <= 0 && jump_audit_file_deadline(file) == JUMP_NEVER)
            break;
        now += JUMP_MS(2000);
        jump_audit_file_flush(file, now);
    }
    text[used] = '\0';
    jump_audit_file_stats(file, &stats);
    CU_ASSERT_EQUAL(stats.waiting, 0);
    (void)close(reader);
    close_log();
    scratch_text(scratch_path(&scratch, "read.jsonl"), text);
    for (char *at = text; (at = strstr(at, "\"EventsDropped\"")) != NULL; at++)
        dropped_told = true;
    CU_ASSERT_TRUE(dropped_told);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"first_version\":1,\"last_version\":4"));
    free(text);
    CU_ASSERT_TRUE(all_good(scratch_path(&scratch, "read.jsonl")));
    scratch_close(&scratch);
}

static void test_audit_file_dropped_events_are_counted_to_the_last_one(void)
{
    struct jump_audit_file_stats stats;
    struct lines *lines;
    uint64_t told_of = 0;
    size_t by_session = 0;
    struct rlimit before, small;

    begin();
    write_story(1);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 6000; /* a disk with room for a few lines: the next one is cut in the middle */
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 300; i++)
        write_story((uint8_t)(i % 200 + 2));
    jump_audit_file_stats(file, &stats);
    CU_ASSERT_TRUE(stats.dropped > 0);
    CU_ASSERT_TRUE(stats.last_errno == EFBIG || stats.last_errno == ENOSPC);
    setrlimit(RLIMIT_FSIZE, &before);
    CU_ASSERT_EQUAL(verify(log_path()), 0); /* whole lines only, also while the disk is full */
    for (int i = 0; i < 100 && jump_audit_file_deadline(file) != JUMP_NEVER; i++) {
        now += JUMP_MS(2000);
        jump_audit_file_flush(file, now);
    }
    close_log();
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    lines = lines_read(log_path());
    for (size_t i = 0; i < lines->count; i++) {
        struct json_object *object, *value;

        lines->line[i][lines->len[i]] = '\0';
        object = json_tokener_parse(lines->line[i]);
        if (json_object_object_get_ex(object, "dropped", &value)) {
            told_of += json_object_get_uint64(value);
            by_session += json_object_object_get_ex(object, "session_id", &value);
        }
        (void)json_object_put(object);
    }
    CU_ASSERT_EQUAL(told_of, stats.dropped);
    CU_ASSERT_EQUAL(by_session, 32);
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_file_A28_A36_a_device_that_is_always_full_is_survived(void)
{
    struct jump_audit_file_stats stats;

    scratch_open(&scratch);
    now = JUMP_MS(1000);
    open_log_at("/dev/full");
    for (int i = 0; i < 200; i++)
        write_story((uint8_t)i);
    jump_audit_file_stats(file, &stats);
    CU_ASSERT_EQUAL(stats.written, 0);
    CU_ASSERT_EQUAL(stats.last_errno, ENOSPC);
    CU_ASSERT_TRUE(stats.failures < 1000); /* it backs off */
    close_log();
    scratch_close(&scratch);
}

static void test_audit_file_what_a_stopping_process_loses_is_told_at_the_next_start(void)
{
    struct jump_audit_file_stats stats;
    struct jump_audit_head head;

    scratch_open(&scratch);
    now = JUMP_MS(1000);
    open_log_at("/dev/full");
    write_story(1);
    close_log();
    state = jump_state_open(&problem, scratch_path(&scratch, "state"), "a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    jump_state_audit_head(state, &head);
    CU_ASSERT_EQUAL(head.lost, 7);
    jump_state_close(state);
    open_log_at("/dev/full"); /* and it is not forgotten over a second such start */
    close_log();
    open_log_at(log_path());
    write_story(2);
    jump_audit_file_stats(file, &stats);
    close_log();
    CU_ASSERT_TRUE(all_good(log_path()));
    CU_ASSERT_EQUAL(verify(log_path()), 0);
    CU_ASSERT_TRUE(told("7 events were never written"));
    open_log_at(log_path());
    jump_state_audit_head(state, &head);
    CU_ASSERT_EQUAL(head.lost, 0);
    close_log();
    scratch_close(&scratch);
}

static void test_audit_file_a_folder_link_or_socket_is_no_audit_file(void)
{
    scratch_open(&scratch);
    state = jump_state_open(&problem, scratch_path(&scratch, "state"), "a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_PTR_NULL(jump_audit_file_open(&problem, scratch_path(&scratch, "state"), "n", state));
    CU_ASSERT_PTR_NULL(jump_audit_file_open(&problem, scratch_path(&scratch, "x/"), "n", state));
    CU_ASSERT_PTR_NULL(jump_audit_file_open(&problem, "", "n", state));
    CU_ASSERT_PTR_NULL(jump_audit_file_open(&problem, scratch_path(&scratch, "no/such/a.jsonl"), "n", state));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "no/such"));
    scratch_text(scratch_path(&scratch, "there"), "x");
    CU_ASSERT_EQUAL(symlink(scratch_path(&scratch, "there"), scratch_path(&scratch, "link")), 0);
    CU_ASSERT_PTR_NULL(jump_audit_file_open(&problem, scratch_path(&scratch, "link"), "n", state));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "symbolic link"));
    jump_state_close(state);
    state = NULL;
    scratch_close(&scratch);
}

/* True if the log opens over these bytes; what a refused file holds stays as it was. */
static bool opens_over(const char *bytes, size_t len)
{
    const char *path = scratch_path(&scratch, "some");
    char *after;
    size_t after_len;
    bool opened;

    scratch_write(path, bytes, len);
    file = jump_audit_file_open(&problem, path, "n", state);
    opened = file != NULL;
    jump_audit_file_close(file);
    file = NULL;
    after = scratch_read(path, &after_len);
    if (after == NULL)
        CU_FAIL_FATAL("the file is gone");
    CU_ASSERT_TRUE(opened || (after_len == len && memcmp(after, bytes, len) == 0));
    free(after);
    return opened;
}

static void test_audit_file_somebody_elses_file_is_refused_and_every_piece_of_ours_is_not(void)
{
    static char big[100000];
    char *ours, *line;
    size_t len;

    begin();
    write_story(0x11);
    close_log();
    ours = scratch_read(log_path(), &len);
    if (ours == NULL)
        CU_FAIL_FATAL("no log");
    line = memchr(ours, '\n', len);
    state = jump_state_open(&problem, scratch_path(&scratch, "state"), "a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_FALSE(opens_over("root:x:0:0\n", 11));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "some: the file holds something else"));
    CU_ASSERT_FALSE(opens_over("{\"a\":1}\n{\"b\":2}\n", 16)); /* JSON lines, but another's */
    CU_ASSERT_FALSE(opens_over("x", 1));
    CU_ASSERT_FALSE(opens_over("\n", 1));
    memset(big, 'x', sizeof big);
    CU_ASSERT_FALSE(opens_over(big, sizeof big));
    CU_ASSERT_TRUE(opens_over("", 0));
    CU_ASSERT_TRUE(opens_over(ours, len));
    for (size_t cut = 1; cut <= (size_t)(line - ours) + 2; cut++) /* its first line, torn anywhere */
        CU_ASSERT_TRUE_FATAL(opens_over(ours, cut));
    memcpy(big, ours, len);
    memcpy(big, "broken", 6); /* its first line overwritten: verify's to find */
    CU_ASSERT_TRUE(opens_over(big, len));
    memset(big, 'x', sizeof big);
    memcpy(big + sizeof big - len, ours, len); /* only its end is ours */
    CU_ASSERT_TRUE(opens_over(big, sizeof big));
    memset(big, 0, 4096); /* what a power cut may leave of a new file */
    CU_ASSERT_TRUE(opens_over(big, 4096));
    free(ours);
    jump_state_close(state);
    state = NULL;
    scratch_close(&scratch);
}

#define TESTS(X)                                                                    \
    X(test_audit_file_every_line_is_one_object_with_the_fields_of_the_model)        \
    X(test_audit_file_all_fields_together_fit_in_a_line)                            \
    X(test_audit_file_A29_text_with_newlines_and_quotes_stays_one_line)                 \
    X(test_audit_file_a_restart_goes_on_with_the_chain)                             \
    X(test_audit_file_a_crash_between_line_and_head_is_one_line_behind)             \
    X(test_audit_file_a_head_from_a_copy_is_found)                                  \
    X(test_audit_file_a_line_that_a_kill_tore_is_noted_and_taken_away)              \
    X(test_audit_file_a_piece_that_the_writer_did_not_write_is_found)               \
    X(test_audit_file_killed_at_any_moment_the_log_stays_good)                      \
    X(test_audit_file_A29_a_tail_cut_while_nobody_wrote_is_found_for_ever)              \
    X(test_audit_file_a_removed_file_leaves_its_number_behind)                      \
    X(test_audit_file_a_rotated_log_is_one_chain_over_two_files)                    \
    X(test_audit_file_rotation_is_noticed_without_being_told)                       \
    X(test_audit_file_after_a_rotation_somebody_elses_file_is_left_alone)           \
    X(test_audit_file_emptied_in_place_it_begins_anew_and_says_so)                  \
    X(test_audit_file_reopen_that_fails_keeps_the_old_file)                         \
    X(test_audit_file_A28_a_fifo_that_nobody_reads_costs_records_and_nothing_else)      \
    X(test_audit_file_dropped_events_are_counted_to_the_last_one)                   \
    X(test_audit_file_A28_A36_a_device_that_is_always_full_is_survived)                     \
    X(test_audit_file_what_a_stopping_process_loses_is_told_at_the_next_start)      \
    X(test_audit_file_a_folder_link_or_socket_is_no_audit_file)                     \
    X(test_audit_file_somebody_elses_file_is_refused_and_every_piece_of_ours_is_not)
RUN_TESTS("audit_file", TESTS)
