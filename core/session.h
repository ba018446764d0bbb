/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One session: everything that is remembered about it, in a block of fixed size (I16), and the check of the
 * invariants that one session must always satisfy. Decides nothing: engine.c, client.c and server.c do.
 */
#ifndef JUMP_SESSION_H
#define JUMP_SESSION_H

#include <jumping/engine.h>

#include "health.h"
#include "keys.h"
#include "ratelimit.h"
#include "replay.h"

#define JUMP_NO_SLOT UINT32_MAX

/** The epochs a session holds: [0] is confirmed by both, [1] is a candidate. */
struct jump_epochs {
    struct jump_keys keys[2];
    jump_time made_at[2];
    uint64_t heard;     /* the newest of the peer's messages that told which epochs it holds, by its counter */
    uint8_t held;       /* 1 or 2 */
    bool peer_has_new;  /* the peer listed the candidate's fingerprint: it may be used, and is not replaced */
    bool of_twin;       /* the undecided twin was made of the candidate's secret */
};

/** Why a store write is out. */
enum jump_pending {
    JUMP_PENDING_NONE,
    JUMP_PENDING_ATTACH, /* T1 */
    JUMP_PENDING_BIND,   /* T5, T12 */
    JUMP_PENDING_SAME,   /* a PROOF for the path that is bound: attempt and counter only */
    JUMP_PENDING_FOLLOW  /* what changed without it: the write follows */
};

/** What only a client remembers. */
struct jump_client_part {
    uint8_t reset_key[JUMP_RESET_KEY_BYTES];
    uint64_t boot;
    uint64_t server_version;     /* state_version as last learned from an authenticated message */
    uint64_t outstanding_from;   /* counters from this one on were sent since the server last spoke */
    uint8_t cookie[JUMP_COOKIE_BYTES];
    jump_time cookie_until;
    uint64_t cookie_counter;     /* the nonce a cookie was last taken for */
    jump_time birth_sent_at, last_accept_at;
    jump_time send_at;           /* next BIRTH, or next REQUEST */
    jump_time backoff_for;
    /* probing the binding */
    jump_time probe_at, overdue_at, unanswered_since, last_answer_at;
    uint64_t newest_seq;
    jump_time interval_for;
    uint32_t drops, drops_allowed; /* overdue probes in a row, and how many mean death */
    uint64_t unbound_seq;          /* PATH_UNBOUND came for this probe; 0: none */
    jump_time unbound_due;
    uint64_t full_seq;             /* the full-size probe that waits for its answer; 0: none */
    uint8_t full_tries;            /* of it on this binding */
    jump_time full_due;
    uint32_t received;
    /* recovering */
    jump_time recovery_due, switch_due, retry_at, switch_began_at, request_sent_at, proof_sent_at;
    uint8_t why, voluntary, next_candidate, proof_candidate;
    jump_time candidate_probe_at, switch_retry_at;
    uint8_t observed_ip[16];
    uint16_t observed_port;
    uint8_t cookie_transport;      /* a cookie is for the address it was sent to */
    uint32_t requests;             /* sent in this attempt */
    jump_time cookie_acted_at;
    uint8_t refused, proved;       /* bits by place in the engine's list: the server refused it for this attempt; a PROOF of this attempt went out on it */
    bool announced, denied_said;
    bool news;                     /* the list of candidates has changed */
    bool confirmed;                /* the server said that it is attached: until then probes alone decide nothing */
};

/** What only a server remembers. */
struct jump_server_part {
    uint64_t reattach_high;      /* the highest counter of an accepted reattach */
    uint64_t revision;           /* the store's */
    uint64_t ticket;
    jump_time offer_at, offer_backoff_for;
    jump_time last_heard_at, next_within_for;
    jump_time last_switch_at;
    struct jump_bucket bucket;
    struct { /* the commit that is out */
        struct jump_path path;
        uint64_t attempt, counter, generation;
        uint16_t epoch;
        uint8_t why, voluntary, kind;
    } pending;
    jump_time fenced_at;         /* the old path died while a commit was out; JUMP_NEVER: it did not */
    jump_time store_retry_at;
    struct jump_path race_path;  /* advisory: where the newest attempt came from first */
    uint64_t race_attempt;
    uint8_t race_candidate;
    bool birth_acked, dirty, latent;
    uint16_t switches_at;        /* next place in the ring of switch times */
    uint32_t received;           /* probes of this binding */
};

struct jump_session {
    struct jump_id id;
    jump_host host;
    uint32_t slot;
    uint32_t next_by_id, next_by_host, next_by_path; /* chains of table.c */
    uint32_t twin;               /* the other session of the same host name, undecided; JUMP_NO_SLOT */
    bool used, zombie;           /* zombie: TERMINATED, waiting for the store's last answer */
    uint8_t mode;                /* enum jump_mode */
    uint8_t ended_for;           /* enum jump_reason */
    bool unwatched;              /* ended by the host: do not end the host again */
    /* the record */
    uint64_t version, generation, attempt;
    struct jump_path binding, birth_path;
    struct jump_policy policy;   /* the one it was born under, with the tighter bounds asked for */
    /* keys and counters */
    struct jump_epochs epochs;
    uint64_t send_counter;
    struct jump_replay replay;
    /* time */
    jump_time born_at, birth_due, unbound_at, volatile_at, moved_at, last_activity_at;
    uint64_t last_gap_ms;
    uint32_t switches;
    uint64_t checked_version;    /* the invariant check's own memory */
    struct jump_health health;
    union {
        struct jump_client_part client;
        struct jump_server_part server;
    } u;
    /* behind the part of its role: the replay window's words, then the switch times (server) */
};

/** Sizes of what lies behind a session, from the policy an engine was started with. */
struct jump_session_shape {
    enum jump_role role;
    uint32_t replay_words, switches;
};

void jump_session_shape(struct jump_session_shape *shape, enum jump_role role, const struct jump_policy *policy);
size_t jump_session_bytes(const struct jump_session_shape *shape);

/** Make a session in cleared memory of jump_session_bytes: BIRTH, version 0, no binding. */
void jump_session_init(struct jump_session *s, const struct jump_session_shape *shape, uint32_t slot, jump_time now);

/** The switch times (server): a ring of shape->switches instants. */
jump_time *jump_session_switch_times(struct jump_session *s, const struct jump_session_shape *shape);

bool jump_session_bound(const struct jump_session *s);
bool jump_session_live(const struct jump_session *s);

/** A client's, and its server has not spoken yet and perhaps never will: no session so far, and no bound ends it. */
bool jump_session_silent(const struct jump_session *s, enum jump_role role);

/** Switches in the 60 s before `now`, and when the oldest of them leaves the window. */
uint32_t jump_session_recent_switches(struct jump_session *s, const struct jump_session_shape *shape,
                                      jump_time *free_at, jump_time now);

/** When this session ends at the latest if nothing happens. */
jump_time jump_session_expires_at(const struct jump_session *s);

/** When the newest key expires; while unbound not before the transport TTL does. */
jump_time jump_session_key_expires_at(const struct jump_session *s);

/**
 * The invariants of one session (model.md 4: I1, I2, I4, I5, I6, I7, I8, I12), after every mutation.
 *
 * @return NULL, or the id of the first one that is broken, "I1".."I12"
 */
const char *jump_session_broken(struct jump_session *s, const struct jump_session_shape *shape, jump_time now);

#endif
