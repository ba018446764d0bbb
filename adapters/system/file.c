/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small files and folders: opened so that planted links, devices and crashes do no harm. It owns no descriptor
 * beyond one call and refuses to know what the bytes mean. Every message says what, which file, why, what to do.
 * Read next: file.h, state.c.
 */
#include "system/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int jump_file_folder(struct jump_problem *problem, const char *path, mode_t mode)
{
    int fd;

    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        jump_problem_set(problem, "cannot make the folder %s: %s%s", path, strerror(errno),
                         errno == ENOENT ? " (make the folder above it first)" : "");
        return -1;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        jump_problem_set(problem, "cannot open the folder %s: %s%s", path, strerror(errno),
                         errno == ENOTDIR ? " (remove what is in the way)" : "");
    return fd;
}

const char *jump_file_split(char *folder, size_t folder_cap, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);

    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || len >= folder_cap)
        return NULL;
    memcpy(folder, slash == NULL ? "." : path, len);
    folder[len] = '\0';
    return name;
}

ssize_t jump_file_read(uint8_t *out, size_t cap, struct jump_problem *problem, int at, const char *name,
                       const char *label)
{
    struct stat status;
    size_t len = 0;
    ssize_t got = 0;
    int fd, why;

    /* O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused right after. */
    fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        why = errno;
        jump_problem_set(problem, "cannot read %s: %s", label, why == ELOOP ? "it is a symbolic link" : strerror(why));
        errno = why;
        return -1;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        jump_problem_set(problem, "cannot read %s: it is not a regular file", label);
        (void)close(fd);
        errno = EINVAL;
        return -1;
    }
    while (len < cap && (got = read(fd, out + len, cap - len)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        len += (size_t)got;
    }
    why = got < 0 ? errno : 0;
    if (why == 0 && len == cap) {
        uint8_t more;

        if (read(fd, &more, 1) == 1)
            why = EFBIG;
    }
    (void)close(fd);
    if (why == 0)
        return (ssize_t)len;
    if (why == EFBIG)
        jump_problem_set(problem, "cannot use %s: it is longer than %zu bytes", label, cap);
    else
        jump_problem_set(problem, "cannot read %s: %s", label, strerror(why));
    errno = why;
    return -1;
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = jump_file_write_quiet(fd, bytes, len, -1);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

bool jump_file_replace(struct jump_problem *problem, int at, const char *name, const char *label, const uint8_t *bytes,
                       size_t len)
{
    char temporary[256];
    const char *doing = "make";
    int fd, why;
    int fitted = snprintf(temporary, sizeof temporary, ".%s.new", name);

    if (fitted < 0 || (size_t)fitted >= sizeof temporary) {
        jump_problem_set(problem, "cannot write %s: its name is too long", label);
        return false;
    }
    (void)unlinkat(at, temporary, 0); /* what a crash left behind */
    fd = openat(at, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        goto failed;
    doing = "write";
    if (!write_all(fd, bytes, len) || fsync(fd) != 0)
        goto failed;
    doing = "put in place";
    if (renameat(at, temporary, at, name) != 0)
        goto failed;
    (void)close(fd);
    /* The rename itself is durable only once the folder is. */
    if (fsync(at) == 0)
        return true;
    jump_problem_set(problem, "cannot make %s durable: %s", label, strerror(errno));
    return false;
failed:
    why = errno;
    jump_problem_set(problem, "cannot %s %s: %s%s", doing, label, strerror(why),
                     why == EACCES || why == EPERM ? " (its folder must be writable for the user that starts this)"
                     : why == ENOSPC               ? " (make room)"
                                                   : "");
    if (fd >= 0) {
        (void)close(fd);
        (void)unlinkat(at, temporary, 0);
    }
    return false;
}

ssize_t jump_file_write_quiet(int fd, const void *bytes, size_t len, off_t at)
{
    static const struct timespec no_wait = {0};
    sigset_t fatal, waiting, before;
    ssize_t put;
    int why, sig;

    (void)sigemptyset(&fatal);
    (void)sigaddset(&fatal, SIGPIPE);
    (void)sigaddset(&fatal, SIGXFSZ);
    (void)sigpending(&waiting);
    (void)pthread_sigmask(SIG_BLOCK, &fatal, &before);
    put = at < 0 ? write(fd, bytes, len) : pwrite(fd, bytes, len, at);
    why = errno;
    sig = put >= 0 ? 0 : why == EPIPE ? SIGPIPE : why == EFBIG ? SIGXFSZ : 0;
    /* Both are sent to this thread while the call runs: take ours back, but not one that waited before. */
    if (sig != 0 && sigismember(&waiting, sig) != 1) {
        (void)sigemptyset(&fatal);
        (void)sigaddset(&fatal, sig);
        while (sigtimedwait(&fatal, NULL, &no_wait) < 0 && errno == EINTR)
            ;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return put;
}
