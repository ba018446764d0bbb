/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Owns the arithmetic of the replay window. Like RFC 6479 it is a ring that is never shifted; unlike it, the
 * counters that are skipped are cleared bit by bit inside a word, so no spare block is needed and the window is
 * exactly as wide as the policy says. It refuses to know whether a counter was authenticated: the caller orders
 * the two calls. Read next: replay.h.
 */
#include "replay.h"

#include <string.h>

#define WORD_BITS 64u

size_t jump_replay_words(uint32_t window_bits)
{
    if (window_bits < JUMP_REPLAY_LEAST_BITS || window_bits > JUMP_REPLAY_MOST_BITS)
        return 0;
    if ((window_bits & (window_bits - 1)) != 0)
        return 0;
    return window_bits / WORD_BITS;
}

void jump_replay_init(struct jump_replay *r, uint64_t *words, uint32_t window_bits)
{
    r->highest = 0;
    r->words = words;
    r->mask = window_bits - 1;
    memset(words, 0, jump_replay_words(window_bits) * sizeof *words);
}

static uint64_t bit_of(uint64_t counter)
{
    return UINT64_C(1) << (counter % WORD_BITS);
}

static uint64_t *word_of(const struct jump_replay *r, uint64_t counter)
{
    return &r->words[(counter & r->mask) / WORD_BITS];
}

bool jump_replay_fresh(const struct jump_replay *r, uint64_t counter)
{
    if (counter == 0)
        return false;
    if (counter > r->highest)
        return true;
    if (r->highest - counter > r->mask)
        return false;
    return (*word_of(r, counter) & bit_of(counter)) == 0;
}

/* Forget the places of counters first..last: they belong to counters one window older. At most one window. */
static void clear(const struct jump_replay *r, uint64_t first, uint64_t last)
{
    uint64_t left = last - first + 1;
    for (uint64_t at = first; left > 0;) {
        uint64_t offset = at % WORD_BITS;
        uint64_t span = WORD_BITS - offset < left ? WORD_BITS - offset : left;
        uint64_t ones = span == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << span) - 1;
        *word_of(r, at) &= ~(ones << offset);
        at += span;
        left -= span;
    }
}

void jump_replay_commit(struct jump_replay *r, uint64_t counter)
{
    if (counter > r->highest) {
        if (counter - r->highest > r->mask)
            memset(r->words, 0, ((size_t)r->mask + 1) / 8);
        else
            clear(r, r->highest + 1, counter);
        r->highest = counter;
    } else if (counter == 0 || r->highest - counter > r->mask) {
        return;
    }
    *word_of(r, counter) |= bit_of(counter);
}
