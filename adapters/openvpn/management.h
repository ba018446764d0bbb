/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client of this very process's management socket: the only way that OpenVPN offers to end one client's
 * instance. It sends `kill` and `client-kill`, reads answers, and knows nothing of sessions. Never blocks: the other end
 * is served by the same thread. Bounded buffers; what does not fit is refused, and the caller's fence holds.
 * Connect before privileges are dropped (the UP call): the path is not reachable after a chroot.
 * Threads: OpenVPN's main thread only. Read next: loop.c.
 */
#ifndef JUMP_OVPN_MANAGEMENT_H
#define JUMP_OVPN_MANAGEMENT_H

#include <jumping/types.h>

#include "system/problem.h"

struct jump_management;

/**
 * @param room how many ends may wait: as many as there are peers, so that none is ever refused for the others
 * @return NULL without memory. Connects later.
 */
struct jump_management *jump_management_open(const char *path, size_t room);
void jump_management_close(struct jump_management *management);

/**
 * Nobody serves it for a while (SIGHUP), and its instances are gone: forget what was asked. A connection that stands in
 * the middle of a question or an answer is closed instead, for the rest would be taken for another's.
 */
void jump_management_rest(struct jump_management *management);

/** Connect if not connected. @return false with *problem: nobody listens */
bool jump_management_connect(struct jump_management *management, struct jump_problem *problem);

/** The socket, and what to wait for (POLLIN, POLLOUT); -1: not connected. */
int jump_management_fd(const struct jump_management *management, short *events);

/** Serve what poll found: what waits goes out in turns, as the other end takes it. */
void jump_management_run(struct jump_management *management);

/** How many ends were lost since the last call (the other end closed, or its status is not understood). */
size_t jump_management_lost(struct jump_management *management);

#define JUMP_MANAGEMENT_NAME_BYTES 65
#define JUMP_MANAGEMENT_TUNNEL_BYTES 16

/** What is known of an instance that shall end. */
struct jump_management_instance {
    struct jump_path shown;  /* the address that OpenVPN knows it by */
    uint32_t peer_id;        /* UINT32_MAX: unknown */
    const char *common_name; /* NULL or "": unknown */
    const char *tunnel;      /* its IPv4 address in the tunnel; NULL or "": unknown */
};

/**
 * End an instance: at once, or as soon as the other end takes commands again.
 *
 * @param inet6_socket the server's socket is AF_INET6: OpenVPN's `kill` finds nobody there, so the instance is looked up
 *                     in `status 3`, and `client-kill` is used. By its peer-id; where that is unknown by its address,
 *                     which has no port there if it is IPv6, by name and tunnel address. Where several rows fit nobody
 *                     is ended, and it waits for jump_management_again
 * @return false: not connected, or no room
 */
bool jump_management_kill(struct jump_management *management, const struct jump_management_instance *instance,
                          bool inet6_socket);

/** Some wait because several rows fitted. */
bool jump_management_unclear(const struct jump_management *management);

/** Look for those again: by now the others may be gone. Every second or so. */
void jump_management_again(struct jump_management *management);

/** The instance that OpenVPN knew by this address is gone by itself: whoever has the address next must not be ended. */
void jump_management_forget(struct jump_management *management, const struct jump_path *shown);

/** Ends that wait for their turn. */
size_t jump_management_waiting(const struct jump_management *management);

#endif
