/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads a policy file with libinih and hands each key with its line to the core's rows. Debian's libinih tells its
 * handler no line numbers, cuts long lines in two and joins indented ones: so the reader below gives it one clean line
 * at a time, counts them, and finds what libinih would pass over in silence. It refuses to judge a value.
 * Read next: policy_file.h, core/policy.c.
 */
#include "system/policy_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/file.h"

#define LINE_BYTES 190 /* what libinih's own buffer (200) holds with room to spare */

struct reading {
    struct jump_policy_draft *draft;
    const char *at, *end;
    unsigned line;
    bool expects_key; /* the line given last must reach the handler */
    char given[LINE_BYTES];
};

static void finding(struct jump_policy_draft *draft, unsigned line, const char *value, const char *problem,
                    const char *range)
{
    struct jump_policy_error *error;

    if (draft->error_count++ >= JUMP_POLICY_MAX_ERRORS)
        return;
    error = &draft->errors[draft->error_count - 1];
    memset(error, 0, sizeof *error);
    error->line = line;
    (void)snprintf(error->value, sizeof error->value, "%s", value);
    (void)snprintf(error->problem, sizeof error->problem, "%s", problem);
    (void)snprintf(error->range, sizeof error->range, "%s", range);
}

static void missed_key(struct reading *reading)
{
    if (reading->expects_key)
        finding(reading->draft, reading->line, reading->given, "not understood", "key = value, [section] or ; comment");
    reading->expects_key = false;
}

/* The next line for libinih, as fgets: without what would make it join, cut or skip. */
static char *give_line(char *out, int cap, void *context)
{
    struct reading *reading = context;
    const char *newline;
    size_t len;

    missed_key(reading); /* also after the last line: libinih asks until it is told the end */
    if (reading->at >= reading->end)
        return NULL;
    newline = memchr(reading->at, '\n', (size_t)(reading->end - reading->at));
    len = (size_t)((newline == NULL ? reading->end : newline) - reading->at);
    const char *line = reading->at;
    reading->at += len + (newline != NULL);
    reading->line++;
    while (len > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        len--;
    }
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    if (len > 0 && (*line == ';' || *line == '#'))
        len = 0;
    (void)snprintf(reading->given, sizeof reading->given, "%.*s", (int)(len < sizeof reading->given ? len : sizeof reading->given - 1),
                   line);
    if (memchr(line, '\0', len) != NULL) {
        finding(reading->draft, reading->line, reading->given, "a NUL byte", "text");
        len = 0;
    } else if (len >= LINE_BYTES || len + 2 > (size_t)cap) {
        finding(reading->draft, reading->line, reading->given, "the line is too long", "at most 189 characters");
        len = 0;
    } else if (len > 0 && *line == '[' && memchr(line, ']', len) == NULL) {
        finding(reading->draft, reading->line, reading->given, "not understood", "[section]");
        len = 0;
    }
    reading->expects_key = len > 0 && *line != '[';
    memcpy(out, line, len);
    out[len] = '\n';
    out[len + 1] = '\0';
    return out;
}

static int take_key(void *context, const char *section, const char *key, const char *value)
{
    struct reading *reading = context;

    reading->expects_key = false;
    jump_policy_take(reading->draft, section, key, value, reading->line);
    return 1;
}

/* By line; what is missing from the whole file comes last. Stable. */
static void findings_sort(struct jump_policy_draft *draft)
{
    unsigned kept = draft->error_count < JUMP_POLICY_MAX_ERRORS ? draft->error_count : JUMP_POLICY_MAX_ERRORS;

    for (unsigned i = 1; i < kept; i++)
        /* Minus one makes a huge number of 0. */
        for (unsigned k = i; k > 0 && draft->errors[k - 1].line - 1 > draft->errors[k].line - 1; k--) {
            struct jump_policy_error other = draft->errors[k];

            draft->errors[k] = draft->errors[k - 1];
            draft->errors[k - 1] = other;
        }
}

int jump_policy_file_parse(struct jump_policy_draft *draft, const char *text, size_t text_len)
{
    struct reading reading = {.draft = draft, .at = text, .end = text + text_len};

    jump_policy_begin(draft);
    if (text_len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        reading.at += 3;
    /* Its own result (the first bad line) is less than what the reader found. */
    if (ini_parse_stream(give_line, &reading, take_key, &reading) == -2)
        finding(draft, 0, "", "no memory to read it", "");
    (void)jump_policy_finish(draft);
    findings_sort(draft);
    return draft->error_count > 0 ? JUMP_ERR_POLICY : 0;
}

int jump_policy_file_read(struct jump_policy_draft *draft, struct jump_problem *problem, const char *path)
{
    uint8_t *text = malloc(JUMP_POLICY_FILE_MAX_BYTES);
    ssize_t len;
    int result = JUMP_ERR_ARGUMENT;

    jump_policy_begin(draft);
    if (text == NULL) {
        jump_problem_set(problem, "cannot read the policy %s: no memory", path);
        return JUMP_ERR_ARGUMENT;
    }
    len = jump_file_read(text, JUMP_POLICY_FILE_MAX_BYTES, problem, AT_FDCWD, path, path);
    if (len >= 0)
        result = jump_policy_file_parse(draft, (const char *)text, (size_t)len);
    free(text);
    return result;
}

static void profiles_list(char *out, size_t cap, const char *folder)
{
    DIR *listing = opendir(folder);
    const struct dirent *entry;
    size_t len = 0;

    out[0] = '\0';
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        size_t name_len = strlen(entry->d_name);

        if (name_len <= 4 || strcmp(entry->d_name + name_len - 4, ".ini") != 0 || len + name_len + 2 >= cap)
            continue;
        len += (size_t)snprintf(out + len, cap - len, "%s%.*s", len > 0 ? ", " : "", (int)name_len - 4, entry->d_name);
    }
    if (listing != NULL)
        (void)closedir(listing);
}

bool jump_policy_file_find(char *out, size_t out_cap, struct jump_problem *problem, const char *name,
                           const char *folder)
{
    size_t len = strlen(name);
    char known[256];
    int written;

    if (strchr(name, '/') != NULL || (len > 4 && strcmp(name + len - 4, ".ini") == 0)) {
        if (len < out_cap) {
            memcpy(out, name, len + 1);
            return true;
        }
        jump_problem_set(problem, "the policy's path is too long: %s", name);
        return false;
    }
    if (folder == NULL)
        folder = JUMP_POLICYDIR;
    if (len > 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len) {
        written = snprintf(out, out_cap, "%s/%s.ini", folder, name);
        if (written > 0 && (size_t)written < out_cap && access(out, F_OK) == 0)
            return true;
    }
    profiles_list(known, sizeof known, folder);
    jump_problem_set(problem, "no policy \"%s\" in %s%s%s (or give a path with a '/')", name, folder,
                     known[0] != '\0' ? "; there are: " : ", and no other", known);
    return false;
}

void jump_policy_file_describe(char out[JUMP_POLICY_FILE_LINE_BYTES], const char *path,
                               const struct jump_policy_error *error)
{
    int len = snprintf(out, JUMP_POLICY_FILE_LINE_BYTES, "%s", path);
    size_t at;

#define ADD(...)                                                                           \
    do {                                                                                   \
        at = len < 0 ? 0 : (size_t)len;                                                    \
        if (at < JUMP_POLICY_FILE_LINE_BYTES)                                              \
            len += snprintf(out + at, JUMP_POLICY_FILE_LINE_BYTES - at, __VA_ARGS__);      \
    } while (0)
    if (error->line > 0)
        ADD(":%u", error->line);
    if (error->key[0] != '\0')
        ADD(": %s", error->key);
    if (error->key[0] != '\0' && error->value[0] != '\0')
        ADD(" = %s", error->value);
    else if (error->value[0] != '\0')
        ADD(": \"%s\"", error->value);
    ADD(": %s", error->problem);
    if (error->range[0] != '\0')
        ADD(" (allowed: %s)", error->range);
#undef ADD
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}
