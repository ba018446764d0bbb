/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which session's deadline comes first: an indexed binary heap, one entry at most for each session slot. Knows
 * slots and instants, not what falls due nor what time it is now. Equal instants come in the order of their
 * slots, so that the same inputs give the same outputs (I15) whatever was armed first.
 * Read next: timer.c.
 */
#ifndef JUMP_TIMER_H
#define JUMP_TIMER_H

#include <jumping/types.h>

struct jump_timer {
    uint32_t *heap;     /* slots, ordered as a heap */
    uint32_t *position; /* slot -> its place in `heap`, 1-based; 0: not armed */
    jump_time *at;      /* slot -> when; JUMP_NEVER: not armed */
    uint32_t capacity, count;
};

/** Bytes of memory for this many slots. */
size_t jump_timer_bytes(uint32_t capacity);

/**
 * Begin with no slot armed.
 *
 * @param memory borrowed for the life of the timer; jump_timer_bytes(capacity) bytes, aligned for jump_time
 */
void jump_timer_init(struct jump_timer *t, void *memory, uint32_t capacity);

/** Arm a slot, move it, or with JUMP_NEVER disarm it. O(log count). A slot outside the capacity changes nothing. */
void jump_timer_set(struct jump_timer *t, uint32_t slot, jump_time at);

/** The earliest instant, and its lowest slot. JUMP_NEVER: none is armed, *slot is left alone. */
jump_time jump_timer_first(const struct jump_timer *t, uint32_t *slot);

#endif
