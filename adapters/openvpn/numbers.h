/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A set of peers' numbers: who has something to be done, so that a round costs what there is to do and not what could
 * be. Each number stands in it once; its memory is sized at the start. It knows nothing of what a number means, and one
 * whose peer has gone meanwhile is the caller's to skip. Threads: OpenVPN's main thread only. Read next: loop.c.
 */
#ifndef JUMP_OVPN_NUMBERS_H
#define JUMP_OVPN_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct jump_ovpn_numbers {
    uint32_t *list;
    bool *in;
    uint32_t len, cap;
};

/** For the numbers 0 .. cap - 1. False: no memory, and nothing is taken. */
static inline bool jump_ovpn_numbers_open(struct jump_ovpn_numbers *numbers, uint32_t cap)
{
    numbers->list = calloc(cap, sizeof *numbers->list);
    numbers->in = calloc(cap, sizeof *numbers->in);
    numbers->cap = numbers->list != NULL && numbers->in != NULL ? cap : 0;
    numbers->len = 0;
    if (numbers->cap == 0) {
        free(numbers->list);
        free(numbers->in);
        numbers->list = NULL;
        numbers->in = NULL;
    }
    return numbers->cap > 0;
}

static inline void jump_ovpn_numbers_close(struct jump_ovpn_numbers *numbers)
{
    free(numbers->list);
    free(numbers->in);
    numbers->list = NULL;
    numbers->in = NULL;
    numbers->len = numbers->cap = 0;
}

static inline void jump_ovpn_numbers_add(struct jump_ovpn_numbers *numbers, uint32_t n)
{
    if (n >= numbers->cap || numbers->in[n])
        return;
    numbers->in[n] = true;
    numbers->list[numbers->len++] = n;
}

/** Take the one at this place out; the last one comes there. Walk from the end, and none is missed. */
static inline void jump_ovpn_numbers_remove_at(struct jump_ovpn_numbers *numbers, uint32_t at)
{
    numbers->in[numbers->list[at]] = false;
    numbers->list[at] = numbers->list[--numbers->len];
}

#endif
