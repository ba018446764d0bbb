/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The models' only way into the transition table, and the count of the rows that a search took. The count is no part of
 * a model's state: it lies outside of what spin stores and says at the end what was reached.
 */
#include "step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char taken[2][JUMP_MODE_COUNT][JUMP_EV_COUNT];
static char broken[512];
static bool mute;

static void tell_rows(void)
{
    for (int role = 0; role < 2; role++)
        for (int mode = 0; mode < JUMP_MODE_COUNT; mode++)
            for (int event = 0; event < JUMP_EV_COUNT; event++)
                if (taken[role][mode][event])
                    printf("row %s %s %s\n", role == 0 ? "client" : "server", jump_mode_name((enum jump_mode)mode),
                           jump_fsm_event_name((enum jump_fsm_event)event));
}

int model_row(unsigned char *mode, enum jump_role role, enum jump_fsm_event event, enum jump_reason reason)
{
    static bool asked;
    if (!asked)
        atexit(tell_rows);
    asked = true;
    const struct jump_row *row = jump_fsm_row((enum jump_mode)*mode, event, role);
    model_say("    %s: %s in %s, %s: %s", role == JUMP_CLIENT ? "client" : "server", jump_fsm_event_name(event),
              jump_mode_name((enum jump_mode)*mode), row->name ? row->name : "no row",
              jump_mode_name((enum jump_mode)row->to));
    if (row->kind == JUMP_ROW_ILLEGAL || (row->kind == JUMP_ROW_MOVE && !jump_fsm_reason_fits(row, reason))) {
        model_holds("ROW", false, jump_fsm_event_name(event));
        return 0;
    }
    if (!mute)
        taken[role == JUMP_SERVER][*mode][event] = 1;
    if (row->kind == JUMP_ROW_STAY)
        return 0;
    *mode = row->to;
    return 1;
}

void model_holds(const char *name, bool holds, const char *what)
{
    if (!holds && broken[0] == '\0')
        snprintf(broken, sizeof broken, "broken %s: %s", name, what);
}

const char *model_broken(void)
{
    static char last[sizeof broken];
    if (broken[0] == '\0')
        return NULL;
    memcpy(last, broken, sizeof last);
    broken[0] = '\0';
    return last;
}

void model_mute(bool on)
{
    mute = on;
}

void model_say(const char *format, ...)
{
    static int loud = -1;
    if (loud < 0)
        loud = getenv("MODEL_TRAIL") != NULL;
    if (!loud || mute)
        return;
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}
