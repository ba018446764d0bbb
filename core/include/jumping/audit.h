/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Audit events as records (model.md 7, docs/audit.md). The core fills them in and hands them out as actions;
 * an adapter turns them into JSON Lines and chains the lines. Never a key, a payload or a credential in one.
 */
#ifndef JUMPING_AUDIT_H
#define JUMPING_AUDIT_H

#include <jumping/fsm.h>
#include <jumping/types.h>

#define JUMP_EVENT_KINDS(X)                                   \
    X(STATE_CHANGE, "SessionStateChange")                     \
    X(TRANSPORT_ATTACHED, "TransportAttached")                \
    X(TRANSPORT_DEAD, "TransportDead")                        \
    X(TRANSPORT_SWITCH, "TransportSwitch")                    \
    X(SWITCH_DENIED, "TransportSwitchDenied")                 \
    X(REATTACH_ATTEMPT, "ReattachAttempt")                    \
    X(REATTACH_RESULT, "ReattachResult")                      \
    X(SESSION_TERMINATED, "SessionTerminated")                \
    X(REPLAY_DETECTED, "SecurityReplayDetected")              \
    X(VALIDATION_FAILED, "SecurityValidationFailed")          \
    X(PATH_RACE, "SecurityPathRace")                          \
    X(CREDENTIALS_SHARED, "SecurityCredentialsShared")        \
    X(PATH_MTU_SUSPECT, "PathMtuSuspect")                     \
    X(KEY_ROTATED, "KeyRotated")                              \
    X(REKEY_DENIED, "RekeyDenied")                            \
    X(OWNER_ACQUIRED, "OwnerAcquired")                        \
    X(OWNER_TRANSFERRED, "OwnerTransferred")                  \
    X(OWNER_REJECTED, "OwnerRejected")                        \
    X(POLICY, "PolicyEvent")                                  \
    X(EVENTS_DROPPED, "EventsDropped")

enum jump_event_kind {
#define X(name, text) JUMP_EVENT_##name,
    JUMP_EVENT_KINDS(X)
#undef X
    JUMP_EVENT_KIND_COUNT
};

const char *jump_event_kind_name(enum jump_event_kind kind);
int jump_event_kind_by_name(const char *name); /* -1: none */

/** Which optional fields of a record are set. */
enum jump_event_field {
    JUMP_FIELD_TRANSITION = 1u << 0, /* previous_state, new_state, previous_mode, event, row, role */
    JUMP_FIELD_REASON = 1u << 1,
    JUMP_FIELD_PREVIOUS_TRANSPORT = 1u << 2,
    JUMP_FIELD_NEW_TRANSPORT = 1u << 3,
    JUMP_FIELD_GENERATION = 1u << 4,
    JUMP_FIELD_CANDIDATES = 1u << 5,
    JUMP_FIELD_LOSS = 1u << 6,
    JUMP_FIELD_RTT = 1u << 7,
    JUMP_FIELD_LATENCY = 1u << 8,
    JUMP_FIELD_RETRY = 1u << 9,
    JUMP_FIELD_AGE = 1u << 10,
    JUMP_FIELD_DROPPED = 1u << 11, /* EventsDropped: count, first and last state_version */
    JUMP_FIELD_VOLUNTARY = 1u << 12,
    JUMP_FIELD_ATTEMPT = 1u << 13,
    JUMP_FIELD_SESSION = 1u << 14 /* session_id; absent for events of the node (policy, flood) */
};

/** One event. The adapter adds ts_ms, node_id and the chain; mono_ns is `at`. */
struct jump_event {
    jump_time at;
    enum jump_event_kind kind;
    uint32_t fields; /* bits of enum jump_event_field */
    struct jump_id session_id;
    uint16_t policy_major, policy_minor;
    uint64_t state_version; /* after the event */

    enum jump_role role;
    enum jump_mode previous_mode, new_mode;
    enum jump_fsm_event cause;
    const char *row; /* static: "T4" */
    enum jump_reason reason;

    struct jump_path previous_transport, new_transport;
    uint64_t generation, attempt;
    bool voluntary;
    uint32_t candidate_count;
    uint32_t loss_ppm;
    uint32_t rtt_us;
    uint32_t switch_latency_ms; /* from the loss of the old path, or the start of the switch, to the new binding */
    uint32_t retry_after_ms;
    uint64_t session_age_ms;
    uint64_t dropped, first_version, last_version;
};

#define JUMP_CHAIN_KEY_BYTES 32
#define JUMP_CHAIN_BYTES 32

/**
 * The link of the audit chain: keyed BLAKE2b-256 over one line without its newline (docs/audit.md).
 * Here because only seal.c and keys.c of the core know libsodium, and writer and verifier must agree.
 */
void jump_audit_link(uint8_t out[JUMP_CHAIN_BYTES], const uint8_t key[JUMP_CHAIN_KEY_BYTES], const char *line,
                     size_t line_len);

#endif
