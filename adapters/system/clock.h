/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The clocks of one process: boot time for every decision, wall time for people.
 * It refuses to know deadlines and timers; those are the core's (jump_engine_deadline).
 */
#ifndef JUMP_SYSTEM_CLOCK_H
#define JUMP_SYSTEM_CLOCK_H

#include <jumping/types.h>

/**
 * CLOCK_BOOTTIME in nanoseconds: it counts suspend, and no step or slew of the wall clock touches it. Never
 * smaller than a value returned before in this process, whatever the kernel says.
 * THREAD: any (one atomic).
 */
jump_time jump_clock_now(void);

/** Milliseconds since 1970, for people; may jump either way. THREAD: any. */
uint64_t jump_clock_wall_ms(void);

#endif
