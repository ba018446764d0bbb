/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A sliding window over 64-bit counters (the ring of RFC 6479). Checking and entering are two calls, because
 * the check is cheap and comes before the authentication, and entering must come after it: a forged counter
 * that moved the window would lock the real peer out. Knows no keys and no messages.
 * Read next: replay.c, docs/protocol.md "What the server checks", step 5.
 */
#ifndef JUMP_REPLAY_H
#define JUMP_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JUMP_REPLAY_LEAST_BITS 64u
#define JUMP_REPLAY_MOST_BITS 4096u

/** Bit (n & mask) of `words` says that counter n was seen, for the window's counters: highest - mask .. highest. */
struct jump_replay {
    uint64_t highest; /* 0: none was seen yet */
    uint64_t *words;  /* borrowed for the life of the window */
    uint32_t mask;    /* window_bits - 1 */
};

/** How many words of storage a window needs; 0: window_bits is no power of two from 64 to 4096. */
size_t jump_replay_words(uint32_t window_bits);

/**
 * Begin with nothing seen.
 *
 * @param words       borrowed; jump_replay_words(window_bits) of them, cleared here
 * @param window_bits one for which jump_replay_words is not 0
 */
void jump_replay_init(struct jump_replay *r, uint64_t *words, uint32_t window_bits);

/** True if `counter` may still be accepted: never seen, not too old. Changes nothing. Counter 0 is never fresh. */
bool jump_replay_fresh(const struct jump_replay *r, uint64_t counter);

/** Enter a counter that was fresh and whose message has been authenticated. One that is too old changes nothing. */
void jump_replay_commit(struct jump_replay *r, uint64_t counter);

#endif
