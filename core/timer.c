/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Owns the order of deadlines in memory that the caller gave. A heap and not a wheel: there are few sessions
 * to one tick, spans run from 100 ms to 30 days, and a test must see one defined order. It refuses to know what
 * a deadline means. Read next: timer.h, session.c (which computes the one deadline of a session).
 */
#include "timer.h"

size_t jump_timer_bytes(uint32_t capacity)
{
    return (size_t)capacity * (sizeof(jump_time) + 2 * sizeof(uint32_t));
}

void jump_timer_init(struct jump_timer *t, void *memory, uint32_t capacity)
{
    t->at = memory; /* first: it has the strictest alignment */
    t->heap = (uint32_t *)(t->at + capacity);
    t->position = t->heap + capacity;
    t->capacity = capacity;
    t->count = 0;
    for (uint32_t slot = 0; slot < capacity; slot++) {
        t->at[slot] = JUMP_NEVER;
        t->heap[slot] = 0;
        t->position[slot] = 0;
    }
}

/* True if slot a comes before slot b. Total: two slots are never equal. */
static bool before(const struct jump_timer *t, uint32_t a, uint32_t b)
{
    return t->at[a] != t->at[b] ? t->at[a] < t->at[b] : a < b;
}

static void place(struct jump_timer *t, uint32_t index, uint32_t slot)
{
    t->heap[index] = slot;
    t->position[slot] = index + 1;
}

static void rise(struct jump_timer *t, uint32_t index)
{
    uint32_t slot = t->heap[index];
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (!before(t, slot, t->heap[parent]))
            break;
        place(t, index, t->heap[parent]);
        index = parent;
    }
    place(t, index, slot);
}

static void sink(struct jump_timer *t, uint32_t index)
{
    uint32_t slot = t->heap[index];
    /* index < count / 2 is "has a child", written so that 2 * index + 1 cannot overflow */
    while (index < t->count / 2) {
        uint32_t child = 2 * index + 1;
        if (child + 1 < t->count && before(t, t->heap[child + 1], t->heap[child]))
            child++;
        if (!before(t, t->heap[child], slot))
            break;
        place(t, index, t->heap[child]);
        index = child;
    }
    place(t, index, slot);
}

static void take_out(struct jump_timer *t, uint32_t slot)
{
    uint32_t index = t->position[slot] - 1;
    uint32_t last = t->heap[--t->count];
    t->position[slot] = 0;
    t->at[slot] = JUMP_NEVER;
    if (last == slot)
        return;
    place(t, index, last); /* it may belong above or below the hole it fills */
    rise(t, index);
    sink(t, t->position[last] - 1);
}

void jump_timer_set(struct jump_timer *t, uint32_t slot, jump_time at)
{
    if (slot >= t->capacity || t->at[slot] == at)
        return;
    if (at == JUMP_NEVER) {
        take_out(t, slot);
        return;
    }
    t->at[slot] = at;
    if (t->position[slot] == 0)
        place(t, t->count++, slot);
    rise(t, t->position[slot] - 1);
    sink(t, t->position[slot] - 1);
}

jump_time jump_timer_first(const struct jump_timer *t, uint32_t *slot)
{
    if (t->count == 0)
        return JUMP_NEVER;
    *slot = t->heap[0];
    return t->at[t->heap[0]];
}
