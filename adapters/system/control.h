/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket: an operator's view of the sessions, and the one thing he may do to them. A Unix stream
 * socket (0660), one JSON object as a line in, one out, then it is closed (docs/operations.md). Driven by the
 * caller's poll loop; it owns its descriptors and buffers, and no client can make it wait or grow.
 * It refuses to run the engine: it reads it, and terminates through a callback.
 */
#ifndef JUMP_SYSTEM_CONTROL_H
#define JUMP_SYSTEM_CONTROL_H

#include <poll.h>

#include <jumping/engine.h>

#include "system/problem.h"

#define JUMP_CONTROL_CLIENTS 8
#define JUMP_CONTROL_FDS (1 + JUMP_CONTROL_CLIENTS) /* jump_control_fds never gives more */
#define JUMP_CONTROL_REQUEST_BYTES 4096
#define JUMP_CONTROL_PAGE 256 /* sessions in one answer; "next" in it is the "after" of the next request */
#define JUMP_CONTROL_ANSWER_BYTES (256u * 1024u)

struct jump_control;

/** One of the host's own counters, for the answer to `stats`. The group's and the counter's names are constants. */
typedef void jump_control_count(void *answer, const char *group, const char *name, uint64_t value);

/** What the socket works on. Copied; what it points to is borrowed until jump_control_close. */
struct jump_control_host {
    const struct jump_engine *engine; /* walked and counted, never fed */
    const char *name;                 /* the instance's name */
    const char *version;              /* PACKAGE_VERSION */
    enum jump_role role;

    /**
     * End one session: feed JUMP_IN_TERMINATE and carry out the actions. Called from jump_control_run, never
     * from within an engine call.
     *
     * @return 0, or an error of jumping/types.h (JUMP_ERR_UNKNOWN)
     */
    int (*terminate)(void *context, const struct jump_id *session_id, enum jump_reason reason);
    /** Optional, may be NULL: the host's own name for a peer, for people (a common name). False: none. */
    bool (*peer_name)(void *context, jump_host host, char *out, size_t out_cap);
    /** Optional, may be NULL: give each of the host's counters to `count`, which takes `answer`. */
    void (*counters)(void *context, jump_control_count *count, void *answer);
    void *context;
};

/**
 * Listen. The folder's last level is made (0755). A socket file on which nobody answers is replaced.
 *
 * @param path at most 107 bytes (the system's bound)
 * @return the caller's; NULL with *problem: somebody answers on it, no permission, too long
 * THREAD: one object, one thread at a time, the engine's
 */
struct jump_control *jump_control_open(struct jump_problem *problem, const char *path,
                                       const struct jump_control_host *host);

/**
 * The host goes away for a while and comes back: drop the clients and forget it. Until jump_control_resume only
 * jump_control_close may be called; who connects meanwhile waits.
 */
void jump_control_rest(struct jump_control *control);
void jump_control_resume(struct jump_control *control, const struct jump_control_host *host);

/** What to wait for. @return how many were written to `out` */
size_t jump_control_fds(const struct jump_control *control, struct pollfd *out, size_t out_cap);

/**
 * Serve what poll found. `fds` are those of jump_control_fds with revents filled; others are ignored, so the
 * caller may give its whole array. Drops clients that are over their time. Never blocks.
 */
void jump_control_run(struct jump_control *control, const struct pollfd *fds, size_t fds_len, jump_time now);

/** When to call jump_control_run although nothing happened (a client's time is over); JUMP_NEVER: no client. */
jump_time jump_control_deadline(const struct jump_control *control);

/** Drops the clients, removes the socket file if it is still ours. NULL is allowed. */
void jump_control_close(struct jump_control *control);

#endif
