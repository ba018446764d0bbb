/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine: every session of one process, decided in one place. Sans I/O: an input goes in with `now`, what
 * must be done comes out as a queue of actions, then one call gives the next deadline. It owns no clock, no
 * socket, no file and no thread, and takes no memory but the block it was given at the start.
 *
 * The loop every adapter writes (adapters/README.md):
 *
 *     jump_engine_feed(engine, &input, now);
 *     while ((action = jump_engine_next(engine)) != NULL) carry_out(action);
 *     wait until something happens or jump_engine_deadline(engine); then feed JUMP_IN_TICK
 *
 * Threads: none of its own; one engine must not be used from two threads at a time.
 * Read next: docs/protocol.md (what travels), core/README.md (an event's journey).
 */
#ifndef JUMPING_ENGINE_H
#define JUMPING_ENGINE_H

#include <jumping/audit.h>
#include <jumping/fsm.h>
#include <jumping/policy.h>
#include <jumping/types.h>

struct jump_engine;

/** What an engine is made with. Copied; the caller wipes its own. */
struct jump_config {
    enum jump_role role;
    enum jump_host_kind host_kind;
    struct jump_policy policy;       /* for new sessions; a client takes its server's at BIRTH */
    uint32_t max_sessions;           /* 1 .. 1 000 000; also sizes the tombstone ring */
    bool unique_path;                /* the host tells peers apart by address alone (OpenVPN): I1 */
    uint64_t boot;                   /* server: starts of this instance, a counter on disk, < 2^32 */
    uint8_t seed[JUMP_SECRET_BYTES]; /* fresh randomness: nonces, challenges, cookies, table hashing */
    uint8_t instance_key[JUMP_SECRET_BYTES]; /* server: this instance's key on disk, for RESET */
    uint32_t owner_epoch;            /* 24 bits; 0 without a cluster */
};

/** Bytes that an engine of this configuration needs; 0: the configuration is out of range. */
size_t jump_engine_bytes(const struct jump_config *config);

/** Bytes of it that one session costs (I16). */
size_t jump_engine_session_bytes(const struct jump_config *config);

/**
 * Make an engine inside `memory`.
 *
 * @param memory borrowed until jump_engine_wipe, aligned as malloc does; should be locked (sodium_mlock)
 * @return 0, JUMP_ERR_ARGUMENT, JUMP_ERR_POLICY, JUMP_ERR_NO_SPACE or JUMP_ERR_SODIUM; then *engine is NULL
 */
int jump_engine_init(struct jump_engine **engine, void *memory, size_t memory_len, const struct jump_config *config,
                     jump_time now);

/** Wipe every secret; the memory may then be freed. Sends nothing: close the sessions first. */
void jump_engine_wipe(struct jump_engine *engine);

/**
 * The host's own name for its peer (a client instance, an IKE_SA): chosen by the adapter, never 0, not used
 * again while a session has it. Inputs and actions speak of sessions by it. While a handshake that may be a
 * new session or a rekey is undecided, two sessions share one host name; the live one answers to it.
 */
typedef uint64_t jump_host;

/** A way to reach the server, as the client's adapter sees it. Lower `priority` is preferred. */
struct jump_candidate {
    struct jump_path path;
    uint32_t priority;
};

enum jump_input_kind {
    /* Due timers only. Every input runs them first. */
    JUMP_IN_TICK,
    /* A control datagram without its envelope's framing: from, bytes. */
    JUMP_IN_DATAGRAM,
    /* The host's handshake gave a secret. Server: feed it once the user is authorised and has announced
     * support; offers begin and the birth window runs. Client: feed it as soon as the secret is known; the
     * session is silent until the peer is known to speak (an offer, or JUMP_IN_ANNOUNCED).
     * host, secret, path (server: the host instance's address; client: the server, with the transport's id). */
    JUMP_IN_OPEN,
    /* Client: the host saw the server's announcement (the pushed setenv): begin BIRTH. host. */
    JUMP_IN_ANNOUNCED,
    /* The host rekeyed: another secret for a session. host, secret, maybe_new: the handshake may be a new session
     * of the same host instance instead (OpenVPN's hard reset): both are held until the client shows which. */
    JUMP_IN_EPOCH,
    /* The host's own peer is gone (disconnect, exit): host, reason (host_terminated, handshake_fail). */
    JUMP_IN_CLOSE,
    /* An operator ends one session: session_id, reason. */
    JUMP_IN_TERMINATE,
    /* User data went out or came in since the last such input: host, sent, received, proof_of_life (the host has
     * authenticated what was received, and it came from the binding; never true on OpenVPN). At most every 100 ms
     * for one session, but at once when data is sent on a session that jump_engine_is_idle. */
    JUMP_IN_ACTIVITY,
    /* Client: candidates (all of them, in any order; the list replaces the former) and lost: ids of transports that
     * the system says are gone. host 0: all sessions. Recovery starts or retries at once. */
    JUMP_IN_CANDIDATES,
    /* Client: ICMP says that the path has trouble; advice only: probe at RTO spacing. host. */
    JUMP_IN_ADVICE,
    /* The store's answer: session_id, ticket, store_result, revision. */
    JUMP_IN_STORE,
    /* A new policy for new sessions: policy. A caller's error if it needs more memory than at the start. */
    JUMP_IN_POLICY
};

enum jump_store_result {
    JUMP_STORE_DONE,     /* written; `revision` is the record's new one */
    JUMP_STORE_CONFLICT, /* the revision was not the expected one; nothing written */
    JUMP_STORE_FAILED    /* not written, and known not to be */
};

/** One input. Borrowed until jump_engine_feed returns; bytes kept longer are copied. */
struct jump_input {
    enum jump_input_kind kind;
    jump_host host;
    struct jump_path path; /* DATAGRAM: where it came from; OPEN: see above */
    const uint8_t *bytes;  /* DATAGRAM */
    size_t bytes_len;
    const uint8_t *secret; /* OPEN, EPOCH: JUMP_SECRET_BYTES */
    bool maybe_new;
    bool sent, received, proof_of_life;
    struct jump_id session_id;
    enum jump_reason reason;
    const struct jump_candidate *candidates;
    size_t candidates_len;
    uint8_t lost[JUMP_MAX_CANDIDATES]; /* ids of transports; 0 ends the list */
    uint64_t ticket, revision;
    enum jump_store_result store_result;
    const struct jump_policy *policy;
};

/**
 * Feed one input to the engine. Runs to completion, does no I/O; results wait in the action queue.
 *
 * @param in  borrowed until return
 * @param now boot-time ns, never earlier than in the previous call
 * @return 0; JUMP_ERR_TIME: now went backwards, nothing changed; JUMP_ERR_BUSY: drain the actions, then feed the
 *         same input again (due timers may have run, nothing of the input was taken); JUMP_ERR_FULL: session table full, the refusal is audited; JUMP_ERR_EXISTS, JUMP_ERR_UNKNOWN:
 *         OPEN of a known, other inputs for an unknown session, nothing changed; JUMP_ERR_MALFORMED,
 *         JUMP_ERR_REFUSED: a datagram that changed nothing
 * @see docs/protocol.md, "What the server checks"
 */
int jump_engine_feed(struct jump_engine *engine, const struct jump_input *in, jump_time now);

#define JUMP_STORE_RECORD_BYTES 1280 /* the longest record of a session */

enum jump_action_kind {
    JUMP_DO_SEND,   /* path, bytes: put this datagram into the host's envelope and send it there, now. While host is
                       a client's: on candidate path.transport */
    JUMP_DO_BIND,   /* path, generation, first, voluntary: the session's traffic goes there from now on. A client's also
                       has observed: where the server sees it, as the server said in its proof's answer */
    JUMP_DO_UNBIND, /* path: it was the binding; hold the session's traffic */
    JUMP_DO_END,    /* reason, peer_reason, end_host: the session is TERMINATED and forgotten; where end_host, end the host's own
                       instance too (a client begins anew) */
    JUMP_DO_STORE,  /* ticket, revision, bytes: write this record if the stored revision is `revision` (0: none),
                       then feed JUMP_IN_STORE; at most one is out for one session, but the last after its end */
    JUMP_DO_EMIT    /* event */
};

struct jump_action {
    enum jump_action_kind kind;
    jump_host host;
    struct jump_id session_id;
    struct jump_path path, observed;
    uint64_t generation;
    bool first, voluntary, end_host;
    bool last; /* DO_STORE: the session is over; the store may forget the record once it is written */
    enum jump_reason reason, peer_reason; /* DO_END of peer_terminated: the reason that the peer gave; else none */
    uint64_t ticket, revision;
    struct jump_event event;
    size_t bytes_len;
    uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES]; /* DO_SEND, DO_STORE */
};
_Static_assert(JUMP_STORE_RECORD_BYTES <= JUMP_MAX_DATAGRAM_BYTES, "one buffer serves both");

/** The next action, valid until the next call with this engine; NULL: none is left. */
const struct jump_action *jump_engine_next(struct jump_engine *engine);

/** When to feed JUMP_IN_TICK at the latest; JUMP_NEVER: no session waits for anything. */
jump_time jump_engine_deadline(const struct jump_engine *engine);

/** True if the session of this host name is idle: the adapter then reports the next sent data at once. */
bool jump_engine_is_idle(const struct jump_engine *engine, jump_host host);

/** A session as people see it. */
struct jump_session_view {
    struct jump_id id;
    jump_host host;
    enum jump_state state;
    bool bound;
    uint64_t state_version, generation;
    struct jump_path binding;    /* where bound */
    struct jump_path birth_path;
    jump_time born_at, expires_at; /* expires_at: the earliest bound that would end it if nothing happens */
    uint32_t rtt_us, loss_ppm;
    uint32_t switches;           /* since birth */
    uint64_t last_gap_ms;        /* length of the last time without a binding */
    uint8_t keys;                /* epochs held: 1 or 2 */
    uint16_t policy_major, policy_minor;
};

/** Walk the sessions: start with *cursor = 0. False: no more. Ended sessions are not shown. */
bool jump_engine_walk(const struct jump_engine *engine, size_t *cursor, struct jump_session_view *view);

/** The session of this host name; false: none. */
bool jump_engine_find(const struct jump_engine *engine, jump_host host, struct jump_session_view *view);

/** Counters since the start; for people, never for decisions. */
struct jump_stats {
    uint64_t sessions, births, terminations, switches;
    uint64_t malformed, rate_limited, unknown_session, bad_proof, replayed, denied, races, resets, cookies;
    uint64_t invalid_transitions, events_suppressed;
};
void jump_engine_stats(const struct jump_engine *engine, struct jump_stats *stats);

#endif
