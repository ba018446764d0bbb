/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Formats one line of text about a failure. It owns nothing and refuses to print: see problem.h.
 * Read next: problem.h.
 */
#include "system/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void jump_problem_set(struct jump_problem *problem, const char *format, ...)
{
    va_list arguments;
    int len;

    if (problem == NULL)
        return;
    va_start(arguments, format);
    len = vsnprintf(problem->text, sizeof problem->text, format, arguments);
    va_end(arguments);
    if (len < 0)
        problem->text[0] = '\0';
    else if ((size_t)len >= sizeof problem->text)
        memcpy(problem->text + sizeof problem->text - 4, "...", 4);
    for (char *at = problem->text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}
