/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What charon's host sends into a tunnel whose session has no path, where ESP is made in this process (libipsec): kept, and
 * sent on when the IKE_SA has followed the new binding. Owns which CHILD_SA (by its reqid, which a policy names and a
 * rekeying keeps) belongs to which session, who is held, and the queues of host/hold.h. It knows no IKE_SA and no packet.
 *
 * A session is held from jump_swan_hold_stop until what was held has left: new packets wait behind it. Threads: any; one
 * lock, inside which nothing is called but memory. Where nobody is held and nobody is quiet, a packet costs one atomic read.
 * A NULL hold (kernel ESP: packets never come this way) is one that holds nothing.
 */
#ifndef JUMP_STRONGSWAN_HOLD_H
#define JUMP_STRONGSWAN_HOLD_H

#include <jumping/engine.h>

#include "host/hold.h"

#define JUMP_SWAN_HOLD_REQIDS 1024u /* of one session: what is more is not held */

struct jump_swan_hold;

/** @param sessions so many can be held at a time. @return the caller's; NULL: no memory */
struct jump_swan_hold *jump_swan_hold_open(uint32_t sessions);
void jump_swan_hold_close(struct jump_swan_hold *hold);

/** A session begins. Without it what is said of this host is ignored. */
bool jump_swan_hold_begin(struct jump_swan_hold *hold, jump_host host);

/** It ended: what is held for it is forgotten, and nothing is held any more. */
void jump_swan_hold_end(struct jump_swan_hold *hold, jump_host host);

/** It has a CHILD_SA with this reqid; of two sessions with one reqid the later one has it, as in charon. */
void jump_swan_hold_add(struct jump_swan_hold *hold, jump_host host, uint32_t reqid);
void jump_swan_hold_remove(struct jump_swan_hold *hold, jump_host host, uint32_t reqid);

/** Whoever had this reqid: an IKE_SA without a session has it now. */
void jump_swan_hold_foreign(struct jump_swan_hold *hold, uint32_t reqid);

/** It has no path. @param binding the number of its newest binding: only a later one lets its packets go */
void jump_swan_hold_stop(struct jump_swan_hold *hold, jump_host host, uint32_t binding);

/** Its IKE_SA has followed this binding. @return true: something waits, jump_swan_hold_flush is due */
bool jump_swan_hold_go(struct jump_swan_hold *hold, jump_host host, uint32_t binding);

/** It sent nothing for a while: its next packet is to be told at once. */
void jump_swan_hold_quiet(struct jump_swan_hold *hold, jump_host host);

/**
 * A packet that leaves by this reqid.
 *
 * @param woken out: the session, if this is its first packet after jump_swan_hold_quiet; else 0
 * @return true: it is kept here (or dropped for want of memory) and must not be sent
 */
bool jump_swan_hold_packet(struct jump_swan_hold *hold, uint32_t reqid, const uint8_t *bytes, size_t bytes_len,
                           jump_host *woken);

/** When jump_swan_hold_flush has something to do; JUMP_NEVER. */
jump_time jump_swan_hold_deadline(struct jump_swan_hold *hold);

/**
 * Send on what is due, through `send`, which is called without the lock. THREAD: always the same one
 *
 * @param bytes from malloc, the callee's. While there is no memory for them they wait on
 */
void jump_swan_hold_flush(struct jump_swan_hold *hold, jump_time now, void (*send)(uint8_t *bytes, size_t bytes_len));

/** A copy; zeros of a NULL hold. */
struct jump_hold_counters jump_swan_hold_counters(struct jump_swan_hold *hold);

#endif
