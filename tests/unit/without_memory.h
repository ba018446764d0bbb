/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A36: malloc, calloc and realloc of what is linked into a test program itself fail when the test says so; a library's go on
 * succeeding. The program is linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc. Include it once.
 */
#ifndef JUMP_TEST_WITHOUT_MEMORY_H
#define JUMP_TEST_WITHOUT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

static int allocations_left = -1; /* so many more succeed; -1: all */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static bool there_is_memory(void)
{
    if (allocations_left > 0)
        allocations_left--;
    else if (allocations_left == 0)
        return false;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return there_is_memory() ? __real_malloc(bytes) : NULL;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return there_is_memory() ? __real_calloc(count, bytes) : NULL;
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return there_is_memory() ? __real_realloc(old, bytes) : NULL;
}

#endif
