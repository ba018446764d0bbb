/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of jumpctl share: exit codes, the one way to report an error, the reader of audit files. Every
 * subcommand is a function (argc, argv) with argv[0] its own name, and gives the exit code.
 * Read next: main.c (which subcommands there are and their help).
 */
#ifndef JUMPCTL_H
#define JUMPCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jumping/audit.h>

struct json_object;

enum jumpctl_exit {
    JUMPCTL_GOOD = 0,
    JUMPCTL_FOUND = 1, /* it ran, and the answer is bad: an invalid policy, a broken chain, no such session */
    JUMPCTL_USAGE = 2, /* it could not run: wrong arguments, no such file, nobody answers */
};

#define JUMPCTL_STATE_DIR "/var/lib/jumping"
#define JUMPCTL_RUN_DIR "/run/jumping"

int jumpctl_policy_check(int argc, char **argv);
int jumpctl_policy_show(int argc, char **argv);
int jumpctl_sessions(int argc, char **argv);
int jumpctl_terminate(int argc, char **argv);
int jumpctl_stats(int argc, char **argv);
int jumpctl_audit_verify(int argc, char **argv);
int jumpctl_audit_replay(int argc, char **argv);
int jumpctl_audit_plot(int argc, char **argv);

/** One line "jumpctl: ..." to stderr. @return JUMPCTL_USAGE, so that `return jumpctl_error(...)` reads well */
int jumpctl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A wrong argument: says so and how to get help. @return JUMPCTL_USAGE */
int jumpctl_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The escape that starts a colour on a terminal (NO_COLOR unset); "" elsewhere. `colour`: 'r', 'g', 'y', 'b'old, 0 ends. */
const char *jumpctl_colour(FILE *to, char colour);

/**
 * @return how many bytes the character here has, if it may be shown on a terminal or a page; 0: a control character (as one
 * byte or as UTF-8), or what is no whole UTF-8 character, as where a text was cut
 */
size_t jumpctl_showable(const char *at);

/** Text for a terminal or a page: each byte of what may not be shown (but '\n') becomes '?'. In place. */
char *jumpctl_clean(char *text);

/* --- Audit files (audit_read.c) --- */

/** One line of an audit file. Valid until the next read. */
struct audit_line {
    unsigned long number; /* 1-based, in its file */
    const char *text;     /* without its newline */
    size_t len;
    bool torn;                    /* the last line, without a newline */
    struct json_object *object;   /* NULL: not one JSON object */
    bool chained;                 /* it begins with seq and prev */
    uint64_t seq;
    uint8_t prev[JUMP_CHAIN_BYTES];
};

struct audit_reader {
    const char *path;
    FILE *stream;
    char *buffer;
    size_t buffer_cap;
    struct audit_line line;
};

/** @return false: jumpctl_error has been called */
bool audit_read_open(struct audit_reader *reader, const char *path);
/** @return the next line; NULL: no more (or a read error, which was reported and counts in *failed) */
const struct audit_line *audit_read_next(struct audit_reader *reader, bool *failed);
void audit_read_close(struct audit_reader *reader);

/* Fields of a line's object; the fallback where they are absent or of another type. */
const char *audit_text(const struct audit_line *line, const char *key, const char *fallback);
uint64_t audit_number(const struct audit_line *line, const char *key, uint64_t fallback);
double audit_fraction(const struct audit_line *line, const char *key, double fallback);
bool audit_has(const struct audit_line *line, const char *key);
/** A state_change's mode by its name; -1: none. */
int audit_mode(const struct audit_line *line, const char *key);

#define AUDIT_KEY_BYTES (2 * JUMP_ID_BYTES + 8) /* the id, '/', six digits for the node, NUL */

/**
 * Find or make what is kept for one session on one side. `bytes` of zeros begin with its key.
 *
 * @param root  of a tree (search.h), NULL at first
 * @param made  true: it is new
 * @return NULL: no session_id in the line, or no memory
 */
void *audit_session(void **root, bool *made, const struct audit_line *line, size_t bytes);

#endif
