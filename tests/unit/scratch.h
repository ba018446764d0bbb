/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A folder of its own for a test, files in it, and commands run on them. A test that cannot have its folder ends
 * the program at once: nothing that follows would mean anything. Include it after runner.h.
 */
#ifndef JUMP_TEST_SCRATCH_H
#define JUMP_TEST_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRATCH_FILE_BYTES (4u * 1024u * 1024u)

struct scratch {
    char folder[160];
};

static inline void scratch_fail(const char *what)
{
    fprintf(stderr, "scratch: %s: %s\n", what, strerror(errno));
    exit(99);
}

static inline void scratch_open(struct scratch *scratch)
{
    const char *base = getenv("TMPDIR");

    memset(scratch, 0, sizeof *scratch);
    (void)snprintf(scratch->folder, sizeof scratch->folder, "%s/jump-test-XXXXXX", base != NULL && strlen(base) < 128 ? base : "/tmp");
    if (mkdtemp(scratch->folder) == NULL)
        scratch_fail(scratch->folder);
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static inline void scratch_close(struct scratch *scratch)
{
    (void)nftw(scratch->folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Valid for the next seven calls. */
static inline const char *scratch_path(const struct scratch *scratch, const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *out = paths[next++ % 8];

    (void)snprintf(out, sizeof paths[0], "%s/%s", scratch->folder, name);
    return out;
}

/* A whole file, NUL-terminated; NULL: cannot be read. The caller frees it. */
static inline char *scratch_read(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    char *text = malloc(SCRATCH_FILE_BYTES + 1);
    size_t used = 0;
    ssize_t got;

    *len = 0;
    if (fd < 0 || text == NULL) {
        free(text);
        return NULL;
    }
    while (used < SCRATCH_FILE_BYTES && (got = read(fd, text + used, SCRATCH_FILE_BYTES - used)) > 0)
        used += (size_t)got;
    (void)close(fd);
    text[used] = '\0';
    *len = used;
    return text;
}

static inline void scratch_write(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || close(fd) != 0)
        scratch_fail(path);
}

static inline void scratch_text(const char *path, const char *text)
{
    scratch_write(path, text, strlen(text));
}

static inline void scratch_copy(const char *to, const char *from)
{
    size_t len;
    char *text = scratch_read(from, &len);

    if (text == NULL)
        scratch_fail(from);
    scratch_write(to, text, len);
    free(text);
}

/* Run a command; what it prints (both streams, cut) into `out`. @return its exit code; -1: it did not exit */
static inline int scratch_run(char *out, size_t cap, const char *command)
{
    FILE *from = popen(command, "r");
    size_t len = 0, got;
    int status;

    if (from == NULL)
        scratch_fail(command);
    while (len + 1 < cap && (got = fread(out + len, 1, cap - 1 - len, from)) > 0)
        len += got;
    out[len] = '\0';
    while (fgetc(from) != EOF)
        ;
    status = pclose(from);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
