/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The line of shortage.h, and its rate.
 */
#include "shortage.h"

#include <stdatomic.h>

#include <library.h>

#include <jumping/types.h>

#include "system/clock.h"

static _Atomic jump_time say_at;

void jump_swan_shortage(const char *what)
{
    jump_time now = jump_clock_now(), at = atomic_load(&say_at);

    if (now >= at && atomic_compare_exchange_strong(&say_at, &at, now + JUMP_MS(JUMP_SWAN_SHORTAGE_SAID_EVERY_MS)))
        DBG1(DBG_CFG, "jumping: no memory: %s", what);
}
