/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The words everybody shares: time, paths, ids, states, reasons, errors. No behaviour.
 * The order of arguments everywhere: object, outputs, inputs, `now` last; a length follows its array.
 * Read next: fsm.h (what may follow what), engine.h (the one object that decides).
 */
#ifndef JUMPING_TYPES_H
#define JUMPING_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** An instant: CLOCK_BOOTTIME in nanoseconds (it counts suspend). Spans are named `..._for` or `..._ms`. */
typedef uint64_t jump_time;
#define JUMP_NEVER UINT64_MAX
#define JUMP_MS(ms) ((jump_time)(ms) * UINT64_C(1000000))

#define JUMP_ID_BYTES 16
#define JUMP_SECRET_BYTES 32
#define JUMP_NODE_ID_BYTES 32       /* a NUL-terminated name inside */
#define JUMP_MAX_CANDIDATES 8       /* the widest transport.max_candidates */
#define JUMP_MAX_DATAGRAM_BYTES 1400 /* the largest control datagram: the full-size probe */

/** The session's name: 16 bytes that both sides derive from the host's handshake (docs/protocol.md, Keys). */
struct jump_id {
    uint8_t bytes[JUMP_ID_BYTES];
};

enum jump_proto { JUMP_PROTO_UDP = 0, JUMP_PROTO_TCP = 1 };

/**
 * One way to reach the peer. No padding, so that two paths are compared byte for byte: fill the whole struct.
 * `ip` is IPv6; an IPv4 address is stored as its mapped form (::ffff:a.b.c.d), however the socket showed it.
 */
struct jump_path {
    uint8_t ip[16];
    uint32_t scope;    /* IPv6 link-local: interface index; else 0 */
    uint16_t port;     /* host byte order */
    uint8_t proto;     /* enum jump_proto */
    uint8_t transport; /* client: the candidate's id, 1..255; server: 0 */
};
_Static_assert(sizeof(struct jump_path) == 24, "a path has no padding");

enum jump_role { JUMP_CLIENT = 1, JUMP_SERVER = 2 };

/** What gave us the secret; part of the session id's derivation, so that two hosts cannot be mixed up. */
enum jump_host_kind { JUMP_HOST_OPENVPN = 1, JUMP_HOST_STRONGSWAN = 2 };

#define JUMP_STATES(X)            \
    X(BIRTH, "BIRTH")             \
    X(ATTACHED, "ATTACHED")       \
    X(VOLATILE, "VOLATILE")       \
    X(DEGRADED, "DEGRADED")       \
    X(RECOVERING, "RECOVERING")   \
    X(TERMINATED, "TERMINATED")

enum jump_state {
#define X(name, text) JUMP_##name,
    JUMP_STATES(X)
#undef X
    JUMP_STATE_COUNT
};

/** Reasons: stable numbers (they travel in DENY and TERMINATE) and stable names (they stand in the audit). */
#define JUMP_REASONS(X)                                      \
    X(0, NONE, "none")                                       \
    X(1, ATTACHED_TO_TRANSPORT, "attached_to_transport")     \
    X(2, HANDSHAKE_FAIL, "handshake_fail")                   \
    X(3, LOSS_THRESHOLD_EXCEEDED, "loss_threshold_exceeded") \
    X(4, CONSECUTIVE_DROP_EXCEEDED, "consecutive_drop_exceeded") \
    X(5, HEARTBEAT_TIMEOUT, "heartbeat_timeout")             \
    X(6, LATENCY_THRESHOLD_EXCEEDED, "latency_threshold_exceeded") \
    X(7, TRANSPORT_DEAD, "transport_dead")                   \
    X(8, VOLATILE_PERSISTED, "volatile_persisted")           \
    X(9, HEALTH_RECOVERED, "health_recovered")               \
    X(10, LOSS_RECOVERY, "loss_recovery")                    \
    X(11, DEAD_TRANSPORT_RECOVERY, "dead_transport_recovery") \
    X(12, POLICY_FORCED_RECOVERY, "policy_forced_recovery")  \
    X(13, RECOVERY_RETRY, "recovery_retry")                  \
    X(14, REATTACH_SUCCESS, "reattach_success")              \
    X(15, REATTACH_VALIDATION_FAILED, "reattach_validation_failed") \
    X(16, NO_CANDIDATE_TRANSPORTS, "no_candidate_transports") \
    X(17, RECOVERY_WINDOW_EXCEEDED, "recovery_window_exceeded") \
    X(18, SWITCH_RATE_LIMITED, "switch_rate_limited")        \
    X(19, COOLDOWN_ACTIVE, "cooldown_active")                \
    X(20, POLICY_DENIED, "policy_denied")                    \
    X(21, RATE_LIMITED, "rate_limited")                      \
    X(22, UNKNOWN_SESSION, "unknown_session")                \
    X(23, INVALID_STATE_FOR_REATTACH, "invalid_state_for_reattach") \
    X(24, SESSION_EXPIRED, "session_expired")                \
    X(25, TRANSPORT_TTL_EXCEEDED, "transport_ttl_exceeded")  \
    X(26, BAD_PROOF, "bad_proof")                            \
    X(27, REPLAY_DETECTED, "replay_detected")                \
    X(28, STALE_STATE_VERSION, "stale_state_version")        \
    X(29, INVALID_TRANSPORT_CANDIDATE, "invalid_transport_candidate") \
    X(30, ATOMICITY_FAILED, "atomicity_failed")              \
    X(31, OWNERSHIP_CONFLICT, "ownership_conflict")          \
    X(32, NOT_AUTHORITATIVE_OWNER, "not_authoritative_owner") \
    X(33, OWNER_LOST, "owner_lost")                          \
    X(34, SESSION_LIFETIME_EXCEEDED, "session_lifetime_exceeded") \
    X(35, SECURITY_FAILURE, "security_failure")              \
    X(36, OPERATOR_TERMINATED, "operator_terminated")        \
    X(37, PEER_TERMINATED, "peer_terminated")                \
    X(38, HOST_TERMINATED, "host_terminated")                \
    X(39, INVARIANT_VIOLATION, "invariant_violation")        \
    X(40, KEY_ROTATED, "key_rotated")                        \
    X(41, KEY_EXPIRED, "key_expired")                        \
    X(42, INVALID_TRANSITION, "invalid_transition")          \
    X(43, SESSION_TABLE_FULL, "session_table_full")

enum jump_reason {
#define X(number, name, text) JUMP_REASON_##name = number,
    JUMP_REASONS(X)
#undef X
    JUMP_REASON_COUNT
};

/** Errors of every public function: negative, one list, a class each. */
#define JUMP_ERRORS(X)                                                                     \
    X(-1, TIME, CALLER, "time went backwards")                                             \
    X(-2, ARGUMENT, CALLER, "an argument is out of its range")                             \
    X(-3, BUSY, CALLER, "the action queue must be drained first")                          \
    X(-4, FULL, ENV, "the session table is full")                                          \
    X(-5, UNKNOWN, CALLER, "no such session")                                              \
    X(-6, EXISTS, CALLER, "the session exists already")                                    \
    X(-7, MALFORMED, PEER, "not a message of this protocol")                               \
    X(-8, REFUSED, PEER, "the message was refused")                                        \
    X(-9, POLICY, CALLER, "the policy is invalid or needs more memory than was set aside") \
    X(-10, SODIUM, FATAL, "libsodium did not start")                                       \
    X(-11, NO_SPACE, CALLER, "the buffer is too small")

enum jump_error_class { JUMP_CLASS_NONE, JUMP_CLASS_CALLER, JUMP_CLASS_PEER, JUMP_CLASS_ENV, JUMP_CLASS_FATAL };

enum jump_error {
#define X(number, name, class, text) JUMP_ERR_##name = number,
    JUMP_ERRORS(X)
#undef X
};

/** Names for people and for the audit; static strings, "?" for a number outside the list. */
const char *jump_state_name(enum jump_state state);
const char *jump_reason_name(enum jump_reason reason);
const char *jump_error_text(int error);
enum jump_error_class jump_error_class(int error);

#endif
