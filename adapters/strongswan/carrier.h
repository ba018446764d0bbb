/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Carries messages through charon's own socket, so that they take the very NAT mapping that IKE and ESP take. In: stands
 * before charon->socket->receive and keeps what is ours in a ring for the session thread. Out: charon->sender. It owns
 * the ring and the rate at which anybody may fill it; it refuses to know sessions, keys and IKE_SAs.
 *
 * When it may be put in and taken out. charon loads plugins before it gives its processor any thread, so begin meets no
 * receiver at work. charon's destroy() cancels the processor and waits for its threads before it unloads plugins, so
 * end meets none either; the adapter's own thread must have been joined by then. Neither may be called at another time.
 * Read next: envelope.h, carrier.c (receive).
 */
#ifndef JUMP_STRONGSWAN_CARRIER_H
#define JUMP_STRONGSWAN_CARRIER_H

#include <jumping/types.h>
#include <networking/host.h>

#include "system/problem.h"

/* A burst of all that the sessions of a large gateway send in 50 ms; 1.5 MiB. */
#define JUMP_SWAN_RING_SLOTS 1024u

/* The rate that is let into the ring: what the sessions need, and what the core refuses beside its work.
 *
 * A session: a probe twice a second, and as much again while a second way is measured or a path is being proved.
 * Beside them: where the core refuses 5000 datagrams a second it costs some 2 % of a processor (core/ratelimit.h); four
 * times that leaves charon its processor, and is what a flood must exceed before it costs our own sessions anything.
 * One source (IPv4 address, IPv6 /64) gets a quarter at most, so that one host is no such flood, and a thousand
 * clients behind one NAT still fit. */
#define JUMP_SWAN_RATE_BASE 20000u
#define JUMP_SWAN_RATE_PER_SESSION 4u
#define JUMP_SWAN_SOURCE_SHARE 4u /* one source: the rate and the burst divided by this */
#define JUMP_SWAN_SOURCES 256u    /* a power of two: buckets that sources share by a keyed hash */

#define JUMP_SWAN_DROPS_SAID_EVERY_MS 10000u

struct jump_swan_datagram {
    uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES]; /* the message; what lies behind bytes_len is undefined */
    size_t bytes_len;
    struct jump_path from, to; /* from: the peer; to: our own address and port it came to */
    bool from_client;          /* for the engine with the role server */
};

/** Since begin. `received` went into the ring; every other one was dropped. */
struct jump_swan_carrier_counters {
    uint64_t received;
    uint64_t malformed;         /* claimed, but not the envelope of R-63 */
    uint64_t ignored_interface; /* of charon's settings interfaces_use and interfaces_ignore */
    uint64_t over_rate;
    uint64_t ring_full;
    uint64_t sent;
};

/**
 * Allocate the ring and stand before charon->socket->receive.
 *
 * @param sessions how many there can be at most: the rate grows with them
 * @return false: nothing has changed, the problem says why
 * THREAD: charon's main thread, while plugins load
 */
bool jump_swan_carrier_begin(struct jump_problem *problem, uint32_t sessions);

/**
 * Put the original back, unless somebody has put his own in place of ours since: then ours stays, and only hands on.
 * Frees the ring. Nothing happens without begin.
 * THREAD: charon's main thread, while plugins unload
 */
void jump_swan_carrier_end(void);

/** The oldest datagram of the ring. @return false: there is none. THREAD: session */
bool jump_swan_carrier_next(struct jump_swan_datagram *out);

/**
 * An eventfd to poll, never to read: readable while the ring is not empty (and once too often, now and then). Call
 * next until it says false.
 * @return -1 before begin and after end. THREAD: any
 */
int jump_swan_carrier_fd(void);

/**
 * Send a message in its envelope.
 *
 * @param local       our address and port; an address of zeros: the system chooses; port 0: the one that speaks to the
 *                    peer's (500 to 500, any other from the NAT-T port)
 * @param to          the peer
 * @param as_client   our role in the session
 * @param message     borrowed until return
 * @param message_len at least a message's header, at most JUMP_MAX_DATAGRAM_BYTES; else nothing is sent
 * THREAD: any of charon's (session)
 */
void jump_swan_carrier_send(const struct jump_path *local, const struct jump_path *to, bool as_client,
                          const uint8_t *message, size_t message_len);

/** A copy; all zero before begin. THREAD: any */
void jump_swan_carrier_counters(struct jump_swan_carrier_counters *out);

/** @return the caller's. IPv4 in its mapped form becomes AF_INET. THREAD: any */
host_t *jump_swan_host_from_path(const struct jump_path *path);

/** Fills the whole path: UDP, transport 0. @param host borrowed. THREAD: any */
void jump_swan_path_from_host(struct jump_path *path, host_t *host);

#endif
