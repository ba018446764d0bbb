/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine's own state and what engine.c, client.c and server.c lend each other. engine.c owns the main path,
 * the queue of actions and the one mutation function; client.c and server.c own their role's messages and timers.
 */
#ifndef JUMP_INTERNAL_H
#define JUMP_INTERNAL_H

#include "ratelimit.h"
#include "score.h"
#include "seal.h"
#include "session.h"
#include "table.h"
#include "timer.h"

#define JUMP_ACTIONS 64u       /* the queue; drained after every input */
#define JUMP_ACTIONS_ROOM 24u  /* the most that one session's input or timer may ask for */
#define JUMP_COOKIE_BUCKETS 1024u /* for prefixes that showed a cookie; a power of two */
#define JUMP_COUNTER_RESERVE 256u /* counters kept for what is said while a session ends, by itself and from its tombstone */
#define JUMP_CHALLENGE_ROTATION JUMP_MS(120000) /* at least twice the longest reattach_proof_max_age_ms: two keys are enough */
#define JUMP_IDLE JUMP_MS(10000) /* no data either way for this long: idle (model.md 5) */

/** What is kept of a session that ended in this boot: its client is answered with an authenticated TERMINATE. */
struct jump_tombstone {
    struct jump_id id;
    struct jump_keys keys[2]; /* both epochs: the peer may not know yet which of them is used */
    uint8_t held;
    uint64_t send_counter, version;
    struct jump_replay replay;
    uint64_t words[2]; /* a window of 128, whatever the session had */
    uint32_t next;     /* chain */
    uint8_t reason;
    bool used;
};

/** A client's candidate with its measurements; shared by the sessions of one engine, as the paths are. What a session's
 * own attempt knows of it is in struct jump_client_part. */
struct jump_candidate_part {
    struct jump_candidate candidate;
    struct jump_health health;
    jump_time stable_since;
    jump_time sampled_at;   /* when the newest probe was sent that is counted below */
    uint32_t tried, lost;   /* one for each heartbeat, of the binding and of candidates alike; older ones fade */
    bool known;
};

/** Events that found no room or were over their rate, until the next one tells of them. */
struct jump_dropped {
    uint64_t count, first, last; /* state_version of the first and the last of the newest session */
    struct jump_id id;
    bool named, several, change; /* a session is known; there were others; a SessionStateChange is missing */
};

struct jump_engine {
    struct jump_config config;
    size_t bytes;           /* of the whole block: what is wiped */
    jump_time now;
    uint8_t peer_reason;    /* of the TERMINATE in hand: for the action that follows from it */
    jump_time listened_at;  /* silence before it may be the host's own: what came meanwhile is still to be read */
    uint64_t counter_floor; /* the highest send counter of a session that is gone */
    struct jump_table table;
    struct jump_timer timer;
    struct jump_stats stats;
    uint8_t process[JUMP_PROCESS_BYTES];
    uint8_t hash_key[16], cookie_key[JUMP_SECRET_BYTES];
    uint8_t challenge_keys[2][JUMP_SECRET_BYTES]; /* of this rotation and the one before */
    uint64_t challenge_rotation;

    struct jump_action *actions;
    uint32_t actions_head, actions_count;
    struct jump_event spare_event; /* where an event goes that found no room */
    struct jump_dropped dropped;

    /* server */
    struct jump_ratelimit *ratelimit;
    struct jump_bucket with_cookie[JUMP_COOKIE_BUCKETS], cookies, resets, security;
    struct jump_tombstone *tombstones;
    uint32_t tombstone_count, tombstone_at, tombstone_buckets, *tombstones_by_id;
    uint64_t boot;       /* starts x 2^32 + tombstones overwritten since */
    uint32_t ticket_serial;

    /* client */
    struct jump_candidate_part candidates[JUMP_MAX_CANDIDATES];
    uint8_t candidate_count;
};

/** A datagram that has been read, and for sealed types opened. */
struct jump_message {
    struct jump_header header;
    struct jump_body body;
    struct jump_path from;
    const uint8_t *bytes;
    size_t len;
    uint8_t key; /* which of the session's epochs opened it */
};

static inline jump_time jump_earlier(jump_time a, jump_time b)
{
    return a < b ? a : b;
}

static inline jump_time jump_later(jump_time a, jump_time b)
{
    return a > b ? a : b;
}

/** A silence that is over at `at` may be called so then, but not while the host has yet to read what came. */
static inline jump_time jump_silence_over(const struct jump_engine *e, jump_time at)
{
    return jump_later(at, e->listened_at);
}

/* engine.c: the queue */
struct jump_action *jump_engine_push(struct jump_engine *e, enum jump_action_kind kind, const struct jump_session *s);
bool jump_engine_has_room(const struct jump_engine *e);

/* engine.c: the one mutation function and what belongs to it */

/**
 * Take one transition: looks the row up, changes mode, version and the instants that belong to it, emits the event,
 * checks the invariants. Everything else that changes with it must have been set before.
 *
 * @return false: the row does not exist for this role, or changes nothing
 */
bool jump_engine_move(struct jump_engine *e, struct jump_session *s, enum jump_fsm_event event,
                      enum jump_reason reason);

/** Take a terminating transition and everything that follows: peer told, tombstone, host told, slot given back. */
void jump_engine_end(struct jump_engine *e, struct jump_session *s, enum jump_fsm_event event,
                     enum jump_reason reason);

/** The binding moves: T1 or T12 with `path`; emits, tells the adapter. `generation` becomes the session's. */
void jump_engine_bind(struct jump_engine *e, struct jump_session *s, const struct jump_path *path,
                      uint64_t generation, enum jump_fsm_event event, enum jump_reason reason, bool voluntary);

/** Set the session's timer from what it waits for. */
void jump_engine_arm(struct jump_engine *e, struct jump_session *s);

/* engine.c: sending and keys */
void jump_engine_send(struct jump_engine *e, struct jump_session *s, uint8_t type, struct jump_body *body, size_t len,
                      const struct jump_path *to, uint8_t key);
/** The next counter of our own messages; false: there is none, and nothing may be sealed. */
bool jump_engine_next_counter(const struct jump_engine *e, uint64_t *counter);
uint8_t jump_engine_newest_key(const struct jump_session *s);
int jump_engine_open(struct jump_engine *e, struct jump_session *s, struct jump_message *m);
void jump_engine_keys_seen(struct jump_engine *e, struct jump_session *s, const struct jump_message *m);
/** Give the slot back; its send counter is remembered as a floor. */
void jump_engine_release(struct jump_engine *e, struct jump_session *s);
void jump_engine_first_epoch(struct jump_session *s, const uint8_t *secret, jump_time now);
/** The host rekeyed. @return true: this secret's epoch is the candidate now; false: refused (docs/decisions/0012) or old */
bool jump_engine_take_epoch(struct jump_engine *e, struct jump_session *s, const uint8_t *secret);
/** The key for the answer to a message that is refused. */
uint8_t jump_engine_refusal_key(const struct jump_session *s, const struct jump_message *m);

/* audit.c: events as records; the returned record is filled with what every event has */
struct jump_event *jump_audit_emit(struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind);
struct jump_event *jump_audit_reason(struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind,
                                     enum jump_reason reason);
/** Security events, at most 20 a second: what is left out is counted and reported. May return NULL. */
struct jump_event *jump_audit_security(struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind,
                                       enum jump_reason reason, const struct jump_path *from);

/* prober.c: the client's probes */
#define JUMP_FULL_SEQ (UINT64_C(1) << 63)      /* full-size and candidates' probes count apart from the binding's */
#define JUMP_CANDIDATE_SEQ (UINT64_C(1) << 62) /* then the transport's id in bits 48..55 */

struct jump_candidate_part *jump_prober_candidate(struct jump_engine *e, uint8_t transport); /* NULL: none */
void jump_prober_begin(struct jump_engine *e, struct jump_session *s); /* a new binding */
void jump_prober_probe(struct jump_engine *e, struct jump_session *s); /* the binding, now */
void jump_prober_overdue(struct jump_engine *e, struct jump_session *s);
void jump_prober_full_size_lost(struct jump_engine *e, struct jump_session *s);
void jump_prober_dead(struct jump_engine *e, struct jump_session *s);
void jump_prober_judge(struct jump_engine *e, struct jump_session *s);
bool jump_prober_has_choice(const struct jump_engine *e, const struct jump_session *s);
void jump_prober_forget_candidates(struct jump_engine *e, const struct jump_session *s);
void jump_prober_candidates(struct jump_engine *e, struct jump_session *s);
void jump_prober_consider_switch(struct jump_engine *e, struct jump_session *s);

/* client.c */
int jump_client_datagram(struct jump_engine *e, struct jump_message *m);
int jump_client_open(struct jump_engine *e, const struct jump_input *in);
void jump_client_announced(struct jump_engine *e, struct jump_session *s);
void jump_client_candidates(struct jump_engine *e, const struct jump_input *in);
void jump_client_advice(struct jump_engine *e, struct jump_session *s);
void jump_client_activity(struct jump_engine *e, struct jump_session *s, const struct jump_input *in);
void jump_client_epoch(struct jump_engine *e, struct jump_session *s);
void jump_client_moved(struct jump_engine *e, struct jump_session *s, enum jump_mode from, enum jump_reason reason);
void jump_client_due(struct jump_engine *e, struct jump_session *s);
jump_time jump_client_deadline(const struct jump_engine *e, const struct jump_session *s);

/* server.c */
int jump_server_datagram(struct jump_engine *e, struct jump_message *m);
int jump_server_open(struct jump_engine *e, const struct jump_input *in);
int jump_server_maybe_new(struct jump_engine *e, struct jump_session *s, const struct jump_input *in);
int jump_server_store(struct jump_engine *e, const struct jump_input *in);
void jump_server_activity(struct jump_engine *e, struct jump_session *s, const struct jump_input *in);
void jump_server_follow(struct jump_engine *e, struct jump_session *s);
void jump_server_last_write(struct jump_engine *e, struct jump_session *s);
void jump_server_drop_twin(struct jump_engine *e, struct jump_session *s);
bool jump_server_keep_twin(struct jump_engine *e, struct jump_session *s);
bool jump_server_due(struct jump_engine *e, struct jump_session *s);
jump_time jump_server_deadline(const struct jump_engine *e, const struct jump_session *s);

/* stranger.c */
bool jump_stranger_within_rate(struct jump_engine *e, struct jump_session *s, const struct jump_message *m);
int jump_stranger_answer(struct jump_engine *e, struct jump_message *m);
bool jump_stranger_buried(struct jump_engine *e, const struct jump_id *id);
void jump_stranger_bury(struct jump_engine *e, struct jump_session *s);

#endif
