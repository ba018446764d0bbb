/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One engine and what it needs from the operating system, the same for every host: the policy, the state folder, the
 * audit file, the store, the control socket, and the loop of adapters/README.md. It knows no host: what a binding means
 * is the host's, through struct jump_instance_host. Two instances in one process are two objects with two names.
 *
 *     jump_instance_open      policy, state folder, audit file, engine, store    (files and memory: with privileges)
 *     ...                     the host makes what its own side needs
 *     jump_instance_listen    the control socket, last: who connects finds a host that is complete
 *     jump_instance_feed      an input; its actions come back through the host's functions
 *     jump_instance_run       what is due, at jump_instance_deadline at the latest
 *     jump_instance_close     also after an open that failed
 *
 * Threads: one object, one thread at a time; open of two objects never at the same time (they share a buffer).
 * Read next: instance.c, adapters/README.md.
 */
#ifndef JUMP_HOST_INSTANCE_H
#define JUMP_HOST_INSTANCE_H

#include <jumping/engine.h>
#include <poll.h>
#include <sys/types.h>

#include "store/store.h"
#include "system/audit_file.h"
#include "system/control.h"
#include "system/problem.h"
#include "system/state.h"

#define JUMP_INSTANCE_NAME_BYTES 32        /* as jump_state_name_valid wants it */
#define JUMP_INSTANCE_FDS JUMP_CONTROL_FDS /* jump_instance_fds never gives more */

/** What an administrator set, as the host's own settings gave it. Texts are borrowed until jump_instance_open returns. */
struct jump_instance_settings {
    enum jump_role role;
    enum jump_host_kind host_kind;
    const char *name;      /* jump_state_name_valid */
    const char *policy;    /* a profile's name or a file */
    const char *state_dir; /* a folder */
    const char *audit;     /* a file */
    uint32_t max_sessions; /* 1 .. 1 000 000 */
    bool unique_path;      /* jumping/engine.h */
    bool several_servers;  /* a client's candidates serve sessions with several: as many as there can be, not one session's */
};

/**
 * The host's side. Each function takes `context`. The first four carry out one action of jumping/engine.h; they run
 * inside jump_instance_feed and must not call it, run, serve or close again: what has to be fed waits for the next run.
 *
 * @param action borrowed until return or until the next call with the engine, whichever comes first
 */
struct jump_instance_host {
    void (*send)(void *context, const struct jump_action *action);   /* JUMP_DO_SEND */
    void (*bind)(void *context, const struct jump_action *action);   /* JUMP_DO_BIND */
    void (*unbind)(void *context, const struct jump_action *action); /* JUMP_DO_UNBIND */
    void (*end)(void *context, const struct jump_action *action);    /* JUMP_DO_END */
    /** One line, without its newline, for the host's log, as a warning. */
    void (*warn)(void *context, const char *text);
    /** May be NULL: the host's name for a peer, for people (system/control.h). */
    bool (*peer_name)(void *context, jump_host host, char *out, size_t out_cap);
    /** May be NULL: the host's own counters (system/control.h); those of the audit file are added to them. */
    void (*counters)(void *context, jump_control_count *count, void *answer);
    void *context;
};

/**
 * Public, so that a host's object can embed it: begin with zeros, and do not move it while it is open. The host reads
 * its members, and sets `now` to what its last look at the clock gave, before run and serve.
 */
struct jump_instance {
    struct jump_instance_host host;
    char name[JUMP_INSTANCE_NAME_BYTES];
    enum jump_role role;
    uint32_t max_sessions;
    struct jump_policy policy;

    struct jump_engine *engine;
    void *engine_memory;
    size_t engine_memory_len;
    pid_t locked_in; /* the process whose memory is locked: a daemon's fork loses it */
    struct jump_store *store;

    /* A host that opens again without the privileges of its start may hand these over, from one object to the next. */
    struct jump_state_folder *state;
    struct jump_audit_file *audit;
    struct jump_control *control;

    jump_time now; /* of the last look at the clock */
};

/**
 * Policy, state folder, audit file, engine and store, in this order; a server's start is counted. `state` and `audit`
 * that are already set are taken as they are.
 *
 * @param host copied; its context is borrowed until jump_instance_close
 * @return false with *problem, one line that names what is missing: what was opened so far stays in *instance until
 *         jump_instance_close
 */
bool jump_instance_open(struct jump_instance *instance, struct jump_problem *problem,
                        const struct jump_instance_settings *settings, const struct jump_instance_host *host);

/** The control socket RUN_DIR/NAME.sock. One that is already set goes on, for this instance. @return as open */
bool jump_instance_listen(struct jump_instance *instance, struct jump_problem *problem, const char *run_dir);

/** Look at the clock, feed one input, carry out every action, feed the store's answers. @return as jump_engine_feed */
int jump_instance_feed(struct jump_instance *instance, const struct jump_input *in);

/** All that is due at instance->now: the engine's timers, the audit file, the control socket's clients. */
void jump_instance_run(struct jump_instance *instance);

/** When jump_instance_run has something to do again; JUMP_NEVER. */
jump_time jump_instance_deadline(const struct jump_instance *instance);

/** Descriptors for the host's poll. @return how many were written to `out`, at most JUMP_INSTANCE_FDS */
size_t jump_instance_fds(const struct jump_instance *instance, struct pollfd *out, size_t out_cap);

/** Serve what poll found. The host may give its whole array: what is not of jump_instance_fds is ignored. */
void jump_instance_serve(struct jump_instance *instance, const struct pollfd *fds, size_t fds_len);

/** Memory that holds keys is locked by process. After a fork that goes on in the child: lock it again, or warn. */
void jump_instance_relock(struct jump_instance *instance);

/**
 * Close what is open, wipe the engine and the whole object. It ends no session and tells no peer: feed JUMP_IN_CLOSE
 * before, where that is wanted. Zeros are allowed, and so is a second call.
 */
void jump_instance_close(struct jump_instance *instance);

#endif
