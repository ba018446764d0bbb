/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the lab alone: preloaded into a host, it takes MADV_DONTDUMP away, so that keys are in its core and the search for them
 * can be seen to find them. Never install it. Read next: lab/cores.py.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int madvise(void *begin, size_t bytes, int advice)
{
    return advice == MADV_DONTDUMP ? 0 : (int)syscall(SYS_madvise, begin, bytes, advice);
}
