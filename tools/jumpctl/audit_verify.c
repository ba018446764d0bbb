/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `jumpctl audit verify`: walks the chain of one log's files and compares its end with the head in the state folder. It
 * changes nothing and needs no lock, so that it may run beside the writer; it refuses to guess what a missing
 * line held. Read next: docs/audit.md (what it can find, what it cannot), adapters/system/audit_file.c (the writer).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "jumpctl.h"
#include "system/audit_file.h"
#include "system/file.h"
#include "system/state.h"

#define MOST_SHOWN 100

/* One walk over all files. */
struct walk {
    uint8_t key[JUMP_CHAIN_KEY_BYTES];
    struct jump_audit_head head;
    bool head_known;

    const char *path; /* of the newest line */
    unsigned long number;
    uint64_t lines, first_seq, last_seq, dropped, last_at_head;
    uint8_t last_link[JUMP_CHAIN_BYTES];
    bool begun, head_met, tail_broken;
    uint64_t fits, misfits; /* neighbours by number whose link is, or is not, what this key gives */
    unsigned findings, notes;
    bool writer_at_work; /* the head never stood still while the files were read */
    FILE *report;        /* in memory: a walk that has to be repeated says nothing */
};

static void say(struct walk *walk, bool bad, unsigned long number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct walk *walk, bool bad, unsigned long number, const char *format, ...)
{
    char text[512];
    va_list arguments;

    *(bad ? &walk->findings : &walk->notes) += 1;
    if (bad && walk->findings > MOST_SHOWN)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(walk->report, "%s", walk->path);
    if (number > 0)
        fprintf(walk->report, ":%lu", number);
    fprintf(walk->report, ": %s%s%s%s\n", jumpctl_colour(stdout, bad ? 'r' : 'y'), bad ? "" : "note: ", text,
            jumpctl_colour(stdout, 0));
    if (bad && walk->findings == MOST_SHOWN)
        fprintf(walk->report, "more findings are counted, not shown\n");
}

/* The line does not follow the one before it: say what that means. */
static void explain_break(struct walk *walk, const struct audit_line *line, unsigned long before)
{
    if (line->seq == walk->last_seq + 1)
        say(walk, true, before, "this line (seq %" PRIu64 ") was changed after it was written", walk->last_seq);
    else if (line->seq > walk->last_seq + 1)
        say(walk, true, line->number, "lines are missing before this one: seq %" PRIu64 " to %" PRIu64,
            walk->last_seq + 1, line->seq - 1);
    else if (line->seq == walk->last_seq)
        say(walk, true, line->number, "seq %" PRIu64 " stands here a second time", line->seq);
    else
        say(walk, true, line->number, "out of order: seq %" PRIu64 " after %" PRIu64 " (moved, repeated, or the log was put back "
            "from a copy)", line->seq, walk->last_seq);
}

static void take_first(struct walk *walk, const struct audit_line *line, bool begins)
{
    static const uint8_t nothing[JUMP_CHAIN_BYTES];

    walk->first_seq = line->seq;
    if (line->seq == 1 && sodium_memcmp(line->prev, nothing, sizeof nothing) != 0)
        say(walk, true, line->number, "this line was changed: it is the first of all, yet names one before it");
    else if (!begins)
        say(walk, true, line->number, "the beginning was cut off: this line (seq %" PRIu64 ") is not one that begins a file",
            line->seq);
    else if (line->seq > 1)
        say(walk, false, line->number, "begins at seq %" PRIu64 ": the lines before it are in an older file (give that one first)",
            line->seq);
}

/* Is this the beginning of the very line that must come next? Nobody without the key can write one so long. */
static bool is_own_piece(const struct walk *walk, const struct audit_line *line)
{
    char expected[JUMP_AUDIT_PREFIX_BYTES], hex[2 * JUMP_CHAIN_BYTES + 1];
    size_t len;

    (void)sodium_bin2hex(hex, sizeof hex, walk->last_link, sizeof walk->last_link);
    len = (size_t)snprintf(expected, sizeof expected, "{\"seq\":%" PRIu64 ",\"prev\":\"%s\",", walk->last_seq + 1, hex);
    return walk->begun && !walk->tail_broken && memcmp(line->text, expected, line->len < len ? line->len : len) == 0;
}

static void take_line(struct walk *walk, const struct audit_line *line, bool first_in_file)
{
    bool begins = strcmp(audit_text(line, "event", ""), "audit_begin") == 0;
    uint8_t link[JUMP_CHAIN_BYTES];

    /* A line that was counted and then cut is no less a finding: the head misses it (take_end). */
    if (line->torn && is_own_piece(walk, line)) {
        say(walk, false, line->number, "the writer was stopped in the middle of this line, and had not counted it");
        return;
    }
    jump_audit_link(link, walk->key, line->text, line->len);
    walk->lines++;
    if (line->torn)
        say(walk, true, line->number, "the last line was not written to its end, or was cut");
    if (!line->chained || line->object == NULL) {
        say(walk, true, line->number, "not a line of this log: changed, torn or put in");
        /* It breaks the chain at the next good line too; its own number is unknown. */
        walk->tail_broken = true;
        walk->number = line->number;
        return;
    }
    if (walk->begun && line->seq == walk->last_seq + 1)
        *(sodium_memcmp(line->prev, walk->last_link, sizeof link) == 0 ? &walk->fits : &walk->misfits) += 1;
    if (!walk->begun)
        take_first(walk, line, begins);
    else if (sodium_memcmp(line->prev, walk->last_link, sizeof link) != 0) {
        if (!(walk->tail_broken && line->seq == walk->last_seq + 2))
            explain_break(walk, line, walk->number);
    } else if (line->seq != walk->last_seq + 1)
        say(walk, true, line->number, "this line was changed: seq %" PRIu64 " follows %" PRIu64, line->seq, walk->last_seq);
    if (walk->begun && first_in_file && !begins)
        say(walk, false, line->number, "the file begins without a line that says so");
    if (begins && strcmp(audit_text(line, "cause", ""), "tail_unknown") == 0)
        say(walk, false, line->number, "the writer came back here and did not find the end as it had left it");
    if (begins && strcmp(audit_text(line, "cause", ""), "torn_line") == 0)
        say(walk, false, line->number, "the writer was stopped in the middle of a line here, and took the piece away");
    if (audit_has(line, "dropped"))
        walk->dropped += audit_number(line, "dropped", 0);
    walk->begun = true;
    walk->tail_broken = false;
    walk->last_seq = line->seq;
    memcpy(walk->last_link, link, sizeof link);
    walk->number = line->number;
    if (walk->head_known && line->seq == walk->head.seq)
        walk->head_met = sodium_memcmp(link, walk->head.link, sizeof link) == 0;
}

static void take_end(struct walk *walk)
{
    if (!walk->head_known) {
        say(walk, false, 0, "no head at hand: whether the end was cut off, and whether the last line is as it was, is not known");
        return;
    }
    if (!walk->begun) {
        if (walk->head.seq > 0)
            say(walk, true, 0, "no line is left of %" PRIu64, walk->head.seq);
        return;
    }
    if (walk->head.seq > walk->last_seq)
        say(walk, true, 0, "the end was cut off: seq %" PRIu64 " to %" PRIu64 " are missing (or in a newer file: give that one too)",
            walk->last_seq + 1, walk->head.seq);
    else if (!walk->head_met && walk->head.seq == walk->last_seq)
        say(walk, true, walk->number, "this line (seq %" PRIu64 "), the last, was changed after it was written", walk->last_seq);
    else if (!walk->head_met && walk->head.seq > 0)
        say(walk, true, 0, "line seq %" PRIu64 " is not the one that the head in the state folder remembers", walk->head.seq);
    else if (walk->last_seq == walk->head.seq + 1)
        say(walk, false, walk->number, "the head is one line behind: the writer was stopped between line and head, and this "
            "line's own text has no witness");
    else if (walk->last_seq > walk->head.seq + 1 && !walk->writer_at_work)
        say(walk, true, 0, "the head (seq %" PRIu64 ") is more than one line behind seq %" PRIu64 ": it was put back from a copy, "
            "or could not be written", walk->head.seq, walk->last_seq);
}

/* Not one line fits, not even the last one the head: it is not this key's log, rather than one with every line changed. */
static bool is_anothers(const struct walk *walk)
{
    return walk->fits == 0 && walk->misfits > 0 && !walk->head_met;
}

/* @return false: a file could not be read (reported) */
static bool walk_files(struct walk *walk, char **paths, int count)
{
    bool failed = false;

    for (int i = 0; i < count && !failed; i++) {
        struct audit_reader reader;
        const struct audit_line *line;
        bool first = true;

        if (!audit_read_open(&reader, paths[i]))
            return false;
        walk->path = paths[i];
        while ((line = audit_read_next(&reader, &failed)) != NULL) {
            take_line(walk, line, first);
            first = false;
        }
        audit_read_close(&reader);
    }
    return !failed;
}

/* NAME of "/var/log/jumping/NAME.jsonl", also of "NAME.jsonl.1". */
static void name_guess(char *out, size_t cap, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    const char *dot = strstr(name, ".jsonl");

    (void)snprintf(out, cap, "%.*s", dot == NULL ? (int)strlen(name) : (int)(dot - name), name);
}

struct source {
    const char *state_dir, *name, *key_path;
    char guessed[64];
};

/* Read key and head. A key file of its own has its head beside it: X.key and X.head. */
static bool secrets_read(struct walk *walk, const struct source *source)
{
    struct jump_problem problem;
    char folder[4096], name[64];
    const char *file;
    size_t len;

    if (source->key_path == NULL) {
        if (jump_state_audit_peek(walk->key, &walk->head, &problem, source->state_dir, source->name)) {
            walk->head_known = true;
            return true;
        }
        (void)jumpctl_error("%s (the instance \"%s\" is taken from the file's name: --name and --state say otherwise)",
                            problem.text, source->name);
        return false;
    }
    if (jump_file_read(walk->key, sizeof walk->key, &problem, AT_FDCWD, source->key_path, source->key_path) !=
        (ssize_t)sizeof walk->key) {
        (void)jumpctl_error("%s must be a readable file of %d bytes", source->key_path, JUMP_CHAIN_KEY_BYTES);
        return false;
    }
    file = jump_file_split(folder, sizeof folder, source->key_path);
    len = file == NULL ? 0 : strlen(file);
    if (len > 10 && len < sizeof name && strcmp(file + len - 10, ".audit.key") == 0) {
        uint8_t key[JUMP_CHAIN_KEY_BYTES];

        (void)snprintf(name, sizeof name, "%.*s", (int)(len - 10), file);
        walk->head_known = jump_state_audit_peek(key, &walk->head, &problem, folder, name);
        sodium_memzero(key, sizeof key);
    }
    return true;
}

static int verdict(const struct walk *walk, const struct source *source)
{
    if (is_anothers(walk)) {
        printf("%s: %sthis log was not written with the key %s%s%s%s: not one of its %" PRIu64 " lines fits (another instance's "
               "log? --name and --state, or --key, say whose it is)\n", walk->path, jumpctl_colour(stdout, 'r'),
               source->key_path != NULL ? "" : "of \"", source->key_path != NULL ? source->key_path : source->name,
               source->key_path != NULL ? "" : "\" in ", source->key_path != NULL ? "" : source->state_dir, walk->lines);
        fputs(jumpctl_colour(stdout, 0), stdout);
        return JUMPCTL_FOUND;
    }
    if (walk->dropped > 0)
        printf("note: %" PRIu64 " events were never written (the disk was full, the reader slow, or the process ended): see "
               "the EventsDropped lines\n", walk->dropped);
    if (walk->findings > 0) {
        printf("%sBROKEN%s: %u finding%s in %" PRIu64 " lines\n", jumpctl_colour(stdout, 'r'), jumpctl_colour(stdout, 0),
               walk->findings, walk->findings == 1 ? "" : "s", walk->lines);
        return JUMPCTL_FOUND;
    }
    if (!walk->begun)
        printf("nothing was written yet\n");
    else
        printf("%sgood%s: %" PRIu64 " lines, seq %" PRIu64 " to %" PRIu64 ", unbroken%s\n", jumpctl_colour(stdout, 'g'),
               jumpctl_colour(stdout, 0), walk->lines, walk->first_seq, walk->last_seq,
               walk->head_known ? ", up to the newest line" : "");
    return JUMPCTL_GOOD;
}

/* A writer at work moves the head while the files are read: then walk again, until both fit. */
static bool walk_steady(struct walk *walk, const struct source *source, char **paths, int count)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct walk after;
    char *report = NULL;
    size_t report_len = 0;
    bool good = false, steady = false;

    for (int tries = 0; tries < 10 && !steady; tries++) {
        memset(walk, 0, sizeof *walk);
        memset(&after, 0, sizeof after);
        walk->writer_at_work = tries == 9;
        walk->report = open_memstream(&report, &report_len);
        good = walk->report != NULL && secrets_read(walk, source) && walk_files(walk, paths, count) &&
               secrets_read(&after, source);
        if (good)
            take_end(walk);
        if (walk->report != NULL)
            (void)fclose(walk->report);
        walk->report = NULL;
        steady = !good || memcmp(&walk->head, &after.head, sizeof after.head) == 0;
        if (!steady && !walk->writer_at_work) {
            free(report);
            report = NULL;
            (void)nanosleep(&pause, NULL);
        }
    }
    if (good && report != NULL && !is_anothers(walk))
        fputs(report, stdout);
    free(report);
    sodium_memzero(&after, sizeof after);
    return good;
}

int jumpctl_audit_verify(int argc, char **argv)
{
    static const struct option options[] = {{"state", required_argument, NULL, 's'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"key", required_argument, NULL, 'k'},
                                            {0}};
    struct source source = {.state_dir = JUMPCTL_STATE_DIR};
    struct walk walk;
    int option, result = JUMPCTL_USAGE;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            source.state_dir = optarg;
        else if (option == 'n')
            source.name = optarg;
        else if (option == 'k')
            source.key_path = optarg;
        else
            return jumpctl_usage("audit verify", "unknown or incomplete option");
    }
    if (optind == argc)
        return jumpctl_usage("audit verify", "give the audit file (rotated ones: the oldest first)");
    if (sodium_init() < 0)
        return jumpctl_error("libsodium did not start");
    for (int i = optind; i < argc; i++) /* before the key, whose place is guessed from a file's name */
        if (access(argv[i], R_OK) != 0)
            return jumpctl_error("cannot read %s: %s", argv[i], strerror(errno));
    if (source.name == NULL) {
        name_guess(source.guessed, sizeof source.guessed, argv[argc - 1]);
        source.name = source.guessed;
    }
    if (walk_steady(&walk, &source, argv + optind, argc - optind))
        result = verdict(&walk, &source);
    sodium_memzero(&walk, sizeof walk);
    return result;
}
