/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a host sends to a peer while its session has no path: kept in order, so that the inner connections go on
 * where they stopped. Each session is bounded by packets and bytes, the process by one pool; where either is full the oldest
 * data goes first. Where the host's own control packets come this way too, the newest one is kept apart from the data and
 * leaves right after it: a rekey that was caught in a hole then ends with the hole. Owns memory only; when to send is the
 * host's to say, how much at once jump_hold_due's.
 * Only the host's own traffic ever makes it grow, never a peer's. Threads: one at a time.
 */
#ifndef JUMP_HOST_HOLD_H
#define JUMP_HOST_HOLD_H

#include <jumping/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For one session, whichever is reached first. Packets: a minute of small ones at 130/s, so that a TCP's last
 * retransmission before the path came back is still among them. Bytes: more than a TCP's usual window, and no more than
 * a slow uplink passes on in a few seconds, since new packets wait behind. */
#define JUMP_HOLD_PACKETS 8192u
#define JUMP_HOLD_BYTES (2u * 1024u * 1024u)
#define JUMP_HOLD_POOL_BYTES (64u * 1024u * 1024u) /* for the process */
#define JUMP_HOLD_PACKET_BYTES 65536u            /* the longest datagram there is */
#define JUMP_HOLD_EVERY JUMP_MS(1)               /* how often what is held is sent on */

enum jump_hold_kind {
    JUMP_HOLD_DATA,
    JUMP_HOLD_CONTROL /* the newest of them, in a place of its own */
};

struct jump_hold;

struct jump_hold_counters {
    uint64_t held, sent, dropped; /* data packets, since the start */
    uint32_t packets, chunks;     /* now */
};

/** @return the caller's, or NULL without memory. Takes the pool itself only when a packet needs it. */
struct jump_hold *jump_hold_open(uint32_t peers, uint32_t packets_each, size_t pool_bytes);
void jump_hold_close(struct jump_hold *hold);

/** Keep a packet: data behind the data, the newest control packet in its own place. */
void jump_hold_put(struct jump_hold *hold, uint32_t peer, enum jump_hold_kind kind, const uint8_t *bytes, size_t bytes_len);

/** True if something of this peer waits. */
bool jump_hold_waits(const struct jump_hold *hold, uint32_t peer);

/** True if anything of anybody waits. */
bool jump_hold_any(const struct jump_hold *hold);

/** The next packet to send, without taking it. @return its length; 0: none */
size_t jump_hold_next(const struct jump_hold *hold, uint32_t peer, uint8_t bytes[JUMP_HOLD_PACKET_BYTES]);

/** It was sent: the one that jump_hold_next gave is done. */
void jump_hold_sent(struct jump_hold *hold, uint32_t peer);

/** It cannot be sent: it is given up. */
void jump_hold_lost(struct jump_hold *hold, uint32_t peer);

/** Forget all that is held for a peer. */
void jump_hold_forget(struct jump_hold *hold, uint32_t peer);

const struct jump_hold_counters *jump_hold_counters(const struct jump_hold *hold);

/** How many packets of one peer may leave now, when some were due at `at`: what the receiver's socket takes. */
unsigned jump_hold_due(jump_time now, jump_time at);

#endif
