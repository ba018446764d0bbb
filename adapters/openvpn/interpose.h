/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stand between the openvpn executable and the C library: its import slots for a few calls are pointed at ours, and
 * put back at the end. Only the executable's own slots: libraries, other plugins and this one keep calling the
 * real functions. It refuses to leave half a hook: either every needed slot was found and set, or none is changed.
 * Read next: io.c (the functions that the slots get). Threads: call it while the host has one thread.
 */
#ifndef JUMP_OVPN_INTERPOSE_H
#define JUMP_OVPN_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "system/problem.h"

#define JUMP_INTERPOSE_SLOTS 4 /* a symbol may have a PLT slot and others for its address */

struct jump_interpose_call {
    const char *symbol;
    void *ours;
    bool optional;                     /* a program that does not import it is fine: slots_len is 0 then */
    void *original;                    /* out: the real function, for our own calls */
    void **slots[JUMP_INTERPOSE_SLOTS]; /* out */
    void *held[JUMP_INTERPOSE_SLOTS];   /* out: what each slot held */
    size_t slots_len;
};

/** @return false with *problem: a symbol has no slot, or a page cannot be made writable; then nothing is changed */
bool jump_interpose_begin(struct jump_interpose_call *calls, size_t calls_len, struct jump_problem *problem);

/** Put the originals back. A slot that somebody else has changed since is left alone. */
void jump_interpose_end(struct jump_interpose_call *calls, size_t calls_len);

#endif
