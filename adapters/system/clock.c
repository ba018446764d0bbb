/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads the two clocks and holds boot time to "never backwards". It refuses to know deadlines.
 * Read next: clock.h.
 */
#include "system/clock.h"

#include <stdatomic.h>
#include <time.h>

jump_time jump_clock_now(void)
{
    /* The kernel promises this already; the core refuses time that goes backwards, so one broken hypervisor would
     * stop every session. One compare is cheaper than trust. */
    static _Atomic uint64_t newest;
    struct timespec spec = {0};
    uint64_t now, before;

    (void)clock_gettime(CLOCK_BOOTTIME, &spec);
    now = (uint64_t)spec.tv_sec * UINT64_C(1000000000) + (uint64_t)spec.tv_nsec;
    before = atomic_load_explicit(&newest, memory_order_relaxed);
    while (before < now)
        if (atomic_compare_exchange_weak_explicit(&newest, &before, now, memory_order_relaxed, memory_order_relaxed))
            return now;
    return before;
}

uint64_t jump_clock_wall_ms(void)
{
    struct timespec spec = {0};

    (void)clock_gettime(CLOCK_REALTIME, &spec);
    return (uint64_t)spec.tv_sec * 1000u + (uint64_t)spec.tv_nsec / 1000000u;
}
