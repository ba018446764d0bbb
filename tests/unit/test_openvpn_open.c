/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An opening that fails half-way leaves nothing behind (adapters/openvpn/setup.c): no descriptor, no import slot, no
 * lock, no socket file, no memory. Every call by which it can fail (memory, files, sockets, page protection) fails
 * once, each in a run of its own; the linker puts the functions below in the place of the C library's (--wrap).
 * Read next: adapters/openvpn/setup.c, adapters/openvpn/interpose.c.
 */
#include <dirent.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "openvpn/adapter.h"
#include "openvpn/hooks.h"
#include "runner.h"
#include "scratch.h"

static struct scratch scratch;
static unsigned calls, fails_at; /* 0: none fails */
static unsigned errors, error_lines;
static char error[1024];
static const char *failed_call;

static bool fails(const char *name, int why)
{
    if (fails_at == 0 || ++calls != fails_at)
        return false;
    failed_call = name;
    errno = why;
    return true;
}

#define CAN_FAIL(type, name, failure, why, parameters, arguments) \
    type __real_##name parameters;                                \
    type __wrap_##name parameters;                                \
    type __wrap_##name parameters                                 \
    {                                                             \
        return fails(#name, why) ? (failure) : __real_##name arguments; \
    }

CAN_FAIL(void *, malloc, NULL, ENOMEM, (size_t n), (n))
CAN_FAIL(void *, calloc, NULL, ENOMEM, (size_t n, size_t each), (n, each))
CAN_FAIL(int, posix_memalign, ENOMEM, ENOMEM, (void **out, size_t align, size_t n), (out, align, n))
CAN_FAIL(char *, strdup, NULL, ENOMEM, (const char *text), (text))
CAN_FAIL(int, socket, -1, EMFILE, (int domain, int type, int protocol), (domain, type, protocol))
CAN_FAIL(int, bind, -1, EACCES, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
CAN_FAIL(int, listen, -1, EADDRINUSE, (int fd, int backlog), (fd, backlog))
CAN_FAIL(int, fchmod, -1, EPERM, (int fd, mode_t mode), (fd, mode))
CAN_FAIL(int, fchmodat, -1, EPERM, (int fd, const char *path, mode_t mode, int flags), (fd, path, mode, flags))
CAN_FAIL(int, fstat, -1, EIO, (int fd, struct stat *out), (fd, out))
CAN_FAIL(int, mkdir, -1, EACCES, (const char *path, mode_t mode), (path, mode))
CAN_FAIL(int, flock, -1, EWOULDBLOCK, (int fd, int how), (fd, how))
CAN_FAIL(ssize_t, pread, -1, EIO, (int fd, void *out, size_t n, off_t at), (fd, out, n, at))
CAN_FAIL(ssize_t, pwrite, -1, ENOSPC, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at))
CAN_FAIL(ssize_t, read, -1, EIO, (int fd, void *out, size_t n), (fd, out, n))
CAN_FAIL(ssize_t, write, -1, ENOSPC, (int fd, const void *from, size_t n), (fd, from, n))
CAN_FAIL(int, ftruncate, -1, EIO, (int fd, off_t len), (fd, len))
CAN_FAIL(int, renameat, -1, EACCES, (int a, const char *from, int b, const char *to), (a, from, b, to))
CAN_FAIL(int, mprotect, -1, ENOMEM, (void *at, size_t n, int how), (at, n, how))
CAN_FAIL(void *, dlsym, NULL, 0, (void *in, const char *name), (in, name))
CAN_FAIL(struct passwd *, getpwuid, NULL, ENOENT, (uid_t uid), (uid))
CAN_FAIL(struct mnl_socket *, mnl_socket_open2, NULL, EMFILE, (int bus, int flags), (bus, flags))
CAN_FAIL(int, mnl_socket_bind, -1, EACCES, (struct mnl_socket *s, unsigned groups, pid_t pid), (s, groups, pid))

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    (void)fd;
    return fails("fsync", EIO) ? -1 : 0; /* hundreds of openings: no disk is waited for */
}

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails("openat", EACCES) ? -1 : __real_openat(folder, path, flags, mode);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails("open", EACCES) ? -1 : __real_open(path, flags, mode);
}

/* The plugin takes its configuration's name from the process's command line: give it one that cannot be read. */
static void __attribute__((constructor)) with_a_configuration(int argc, char **argv)
{
    static char option[] = "--config", path[] = "/nonexistent/gate.conf";
    char *again[] = {argv[0], option, path, NULL};

    if (argc == 1)
        (void)execv("/proc/self/exe", again);
}

static void keep_errors(openvpn_plugin_log_flags_t flags, const char *plugin, const char *format, ...)
{
    va_list arguments;

    (void)plugin;
    if ((flags & PLOG_ERR) == 0)
        return;
    errors++;
    va_start(arguments, format);
    (void)vsnprintf(error, sizeof error, format, arguments);
    va_end(arguments);
    error_lines += strchr(error, '\n') == NULL && error[0] != '\0';
}

/* What a process has that an opening could leave behind. */
struct traces {
    unsigned fds, files;
    uint64_t fd_sum;
    void *slots[3];
};

static unsigned sockets_in(const char *folder)
{
    DIR *list = opendir(folder);
    const struct dirent *entry;
    unsigned n = 0;

    while (list != NULL && (entry = readdir(list)) != NULL)
        n += strstr(entry->d_name, ".sock") != NULL;
    if (list != NULL)
        (void)closedir(list);
    return n;
}

static void __attribute__((noinline)) look(struct traces *traces)
{
    /* These words are import slots themselves: they hold what the program would call. */
    ssize_t (*volatile from)(int, void *, size_t, int, struct sockaddr *, socklen_t *) = recvfrom;
    ssize_t (*volatile to)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = sendto;
    int (*volatile waits)(struct pollfd *, nfds_t, int) = poll;

    memset(traces, 0, sizeof *traces);
    for (int fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            traces->fds++;
            traces->fd_sum += (uint64_t)fd * (uint64_t)fd;
        }
    traces->files = sockets_in(scratch_path(&scratch, "run")) + sockets_in(scratch_path(&scratch, "state"));
    memcpy(&traces->slots[0], (void *)&from, sizeof(void *));
    memcpy(&traces->slots[1], (void *)&to, sizeof(void *));
    memcpy(&traces->slots[2], (void *)&waits, sizeof(void *));
}

static const char *const keys[] = {"policy", "name", "state_dir", "run_dir", "audit", "max_sessions"};
#define KEYS (sizeof keys / sizeof keys[0])

/* Open as `role`, with `other` in the place of the argument of the same key. @return the handle, or NULL */
static struct jump_ovpn *open_it(const char *role, const char *other)
{
    char values[KEYS][256];
    const char *argv[KEYS + 3] = {"openvpn-plugin-jumping.so", role};
    struct openvpn_plugin_callbacks callbacks = {.plugin_log = keep_errors};
    struct openvpn_plugin_string_list *list = NULL;
    struct openvpn_plugin_args_open_in in = {.argv = argv, .callbacks = &callbacks};
    struct openvpn_plugin_args_open_return out = {.return_list = &list};
    int result;

    (void)snprintf(values[0], sizeof values[0], "policy=%s/mobile.ini", POLICIES);
    (void)snprintf(values[1], sizeof values[1], "name=gate");
    (void)snprintf(values[2], sizeof values[2], "state_dir=%s/state", scratch.folder);
    (void)snprintf(values[3], sizeof values[3], "run_dir=%s/run", scratch.folder);
    (void)snprintf(values[4], sizeof values[4], "audit=%s/log/gate.jsonl", scratch.folder);
    (void)snprintf(values[5], sizeof values[5], "max_sessions=8");
    for (size_t i = 0; i < KEYS; i++) {
        bool same = other != NULL && strncmp(other, keys[i], strlen(keys[i])) == 0 && other[strlen(keys[i])] == '=';

        argv[2 + i] = same ? other : values[i];
    }
    errors = error_lines = 0;
    error[0] = '\0';
    result = jump_ovpn_open(&in, &out);
    fails_at = 0;
    if (list != NULL) { /* OpenVPN's, also after an error */
        free(list->name);
        free(list->value);
        free(list);
    }
    return result == OPENVPN_PLUGIN_FUNC_SUCCESS ? (struct jump_ovpn *)out.handle : NULL;
}

static bool same_traces(const struct traces *before)
{
    struct traces after;

    look(&after);
    return memcmp(before, &after, sizeof after) == 0 && jump_ovpn_instance == NULL;
}

/* A failed opening left nothing, said one line, and the next opening, with nothing wrong, is not in its way. */
static bool left_nothing(const struct traces *before, const char *role)
{
    bool good = same_traces(before) && errors == 1 && error_lines == 1;
    struct jump_ovpn *ovpn = open_it(role, NULL);

    good = good && ovpn != NULL;
    if (ovpn != NULL)
        jump_ovpn_close(ovpn);
    return good && same_traces(before);
}

static void fail_everywhere(const char *role)
{
    struct traces before, open;
    struct jump_ovpn *ovpn;
    unsigned refused = 0, n;

    scratch_open(&scratch);
    ovpn = open_it(role, NULL); /* files that stay are there now; and once by each libc function that keeps something */
    CU_ASSERT_PTR_NOT_NULL_FATAL(ovpn);
    look(&open);
    jump_ovpn_close(ovpn);
    look(&before);
    CU_ASSERT_TRUE(open.fds > before.fds && open.files > before.files && open.slots[2] != before.slots[2]);
    for (n = 0;; n++) {
        struct scratch whole = scratch;

        if (n % 2 == 1) { /* every second time where no folder and no key is there yet */
            (void)snprintf(scratch.folder + strlen(scratch.folder), 16, "/%u", n);
            CU_ASSERT_EQUAL(mkdir(scratch.folder, 0700), 0);
        }
        calls = 0;
        failed_call = NULL;
        fails_at = n / 2 + 1;
        ovpn = open_it(role, NULL);
        if (ovpn != NULL)
            jump_ovpn_close(ovpn); /* it can do without */
        refused += ovpn == NULL;
        if (getenv("SAY") != NULL) /* for people: are the words good? */
            printf("%s %u %s: %s\n", role, n / 2 + 1, failed_call == NULL ? "-" : failed_call, ovpn != NULL ? "goes without" : error);
        if (ovpn != NULL ? !same_traces(&before) : !left_nothing(&before, role)) {
            fprintf(stderr, "\n  %s, failure %u, of %s: \"%s\"\n", role, n / 2 + 1, failed_call, error);
            CU_FAIL("something was left behind, or not one line was said");
        }
        scratch = whole;
        if (failed_call == NULL && n % 2 == 1)
            break; /* there is no such call any more */
    }
    CU_ASSERT_TRUE(n > 60 && refused > 40); /* it has many ways to fail, or this test does not see them */
    scratch_close(&scratch);
}

static void test_openvpn_open_a_server_that_fails_at_any_call_leaves_nothing(void)
{
    fail_everywhere("server");
}

static void test_openvpn_open_a_client_that_fails_at_any_call_leaves_nothing(void)
{
    fail_everywhere("client");
}

static void test_openvpn_open_each_stage_is_refused_with_its_own_words(void)
{
    static const struct {
        const char *key, *value, *says;
        bool in_scratch;
    } stages[] = {{"max_sessions", "x", "max_sessions: bad value", false},
                  {"policy", "nothing", "nothing", false},
                  {"policy", "bad.ini", "policy", true},
                  {"state_dir", "file/state", "file/state", true},
                  {"audit", "file", "something else", true},
                  {"audit", "file/a", "/file", true},
                  {"run_dir", "file/run", "file/run", true}};
    struct traces before;
    struct jump_ovpn *ovpn;

    scratch_open(&scratch);
    scratch_text(scratch_path(&scratch, "file"), "somebody's");
    scratch_text(scratch_path(&scratch, "bad.ini"), "version = 1.0\n[session]\nmax_lifetime_ms = never\n");
    ovpn = open_it("server", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ovpn);
    CU_ASSERT_PTR_NULL(open_it("server", NULL)); /* a second line in one process; the first goes on */
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "second plugin line"));
    CU_ASSERT_PTR_EQUAL(jump_ovpn_instance, ovpn);
    jump_ovpn_close(ovpn);
    look(&before);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        char other[400];

        (void)snprintf(other, sizeof other, "%s=%s%s%s", stages[i].key, stages[i].in_scratch ? scratch.folder : "",
                       stages[i].in_scratch ? "/" : "", stages[i].value);
        CU_ASSERT_PTR_NULL(open_it("server", other));
        CU_ASSERT_PTR_NOT_NULL(strstr(error, stages[i].says));
        CU_ASSERT_TRUE(left_nothing(&before, "server"));
    }
    scratch_close(&scratch);
}

#define TESTS(X)                                                             \
    X(test_openvpn_open_each_stage_is_refused_with_its_own_words)            \
    X(test_openvpn_open_a_server_that_fails_at_any_call_leaves_nothing)      \
    X(test_openvpn_open_a_client_that_fails_at_any_call_leaves_nothing)

RUN_TESTS("openvpn_open", TESTS)
