/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the lab alone (A36): preloaded into a host, it makes the kernel refuse to send, and memory be short for the plugin. What is
 * refused stands in a file that the lab writes to while the host runs (STARVE=FILE). Never install it.
 *
 * ENOBUFS cannot be had from a full queue: Linux tells it only to sockets that ask for errors (IP_RECVERR), which charon's do not.
 * Memory is short for what the plugin itself asks for: its host does not look at what malloc gives it, and would end.
 * Read next: lab/scenarios/strongswan/exhausted.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The file; each a number of four bytes. */
struct wanted {
    atomic_uint send_errno; /* 0: all is sent */
    atomic_uint send_share; /* of four datagrams so many are refused */
    atomic_uint no_memory;
    atomic_uint refused_sends, refused_memory; /* counted here */
};

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static struct wanted nothing, *wanted = &nothing;
static atomic_uintptr_t begin, end; /* where the plugin's code is */
static atomic_uint datagrams;

__attribute__((constructor)) static void open_file(void)
{
    const char *path = getenv("STARVE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *there = fd >= 0 ? mmap(NULL, sizeof *wanted, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (there == MAP_FAILED)
        abort(); /* a run without it would show nothing */
    wanted = there;
    close(fd);
}

static int find(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (strstr(info->dlpi_name, "libstrongswan-jumping") == NULL)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            end = begin + info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

static int is_short(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;

    if (!wanted->no_memory)
        return 0;
    if (begin == 0)
        (void)dl_iterate_phdr(find, NULL);
    if (at < begin || at >= end)
        return 0;
    wanted->refused_memory++;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t bytes)
{
    return is_short(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return is_short(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return is_short(__builtin_return_address(0)) ? NULL : __libc_realloc(old, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *there = is_short(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, bytes);

    if (there == NULL)
        return ENOMEM;
    *out = there;
    return 0;
}

char *strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *there = is_short(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);

    return there == NULL ? NULL : memcpy(there, text, bytes);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    const struct sockaddr *to = message->msg_name;

    if (wanted->send_errno != 0 && to != NULL && (to->sa_family == AF_INET || to->sa_family == AF_INET6)
        && datagrams++ % 4 < wanted->send_share) {
        wanted->refused_sends++;
        errno = (int)wanted->send_errno;
        return -1;
    }
    if (real == NULL)
        real = (ssize_t(*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
    return real(fd, message, flags);
}
