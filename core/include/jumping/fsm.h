/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The transition table (docs/state-machine.md is generated from fsm.def) and its stepper. Pure: a mode and
 * an event in, a row out. It knows no session, no clock and no message; engine.c turns those into events.
 */
#ifndef JUMPING_FSM_H
#define JUMPING_FSM_H

#include <jumping/types.h>

/**
 * A mode is a state together with "has a binding": the table then needs no guard code. The numbers of
 * bindings that model.md allows in each state (I1) are thus part of the type.
 */
#define JUMP_MODES(X)                                    \
    X(BIRTH, BIRTH, false)                               \
    X(ATTACHED, ATTACHED, true)                          \
    X(VOLATILE, VOLATILE, true)                          \
    X(DEGRADED_BOUND, DEGRADED, true)                    \
    X(DEGRADED_UNBOUND, DEGRADED, false)                 \
    X(RECOVERING_BOUND, RECOVERING, true)                \
    X(RECOVERING_UNBOUND, RECOVERING, false)             \
    X(TERMINATED, TERMINATED, false)

enum jump_mode {
#define X(name, state, bound) JUMP_MODE_##name,
    JUMP_MODES(X)
#undef X
    JUMP_MODE_COUNT
};

/** Events, in the order in which those that fall due in one instant are taken (model.md 3), then the rest. */
#define JUMP_FSM_EVENTS(X)                          \
    X(SESSION_TTL, "session_ttl")                   \
    X(KEY_EXPIRED, "key_expired")                   \
    X(INTEGRITY, "integrity")                       \
    X(TERMINATE, "terminate")                       \
    X(OWNERSHIP_AMBIGUOUS, "ownership_ambiguous")   \
    X(RECOVERY_TIMEOUT, "recovery_timeout")         \
    X(TRANSPORT_TTL, "transport_ttl")               \
    X(BIRTH_TIMEOUT, "birth_timeout")               \
    X(TRANSPORT_DEAD, "transport_dead")             \
    X(SWITCH_TIMEOUT, "switch_timeout")             \
    X(VOLATILE_TIMEOUT, "volatile_timeout")         \
    X(INSTABILITY, "instability")                   \
    X(RETRY_DUE, "retry_due")                       \
    X(STABLE, "stable")                             \
    X(ATTACH_OK, "attach_ok")                       \
    X(HANDSHAKE_FAILED, "handshake_failed")         \
    X(SWITCH_START, "switch_start")                 \
    X(SWITCH_DENIED, "switch_denied")               \
    X(REATTACH_VALID, "reattach_valid")             \
    X(REATTACH_DENIED, "reattach_denied")           \
    X(REFUSED, "refused")

enum jump_fsm_event {
#define X(name, text) JUMP_EV_##name,
    JUMP_FSM_EVENTS(X)
#undef X
    JUMP_EV_COUNT
};

enum jump_row_kind {
    JUMP_ROW_ILLEGAL = 0, /* not in model.md: nothing changes, invalid_transition is recorded */
    JUMP_ROW_STAY,        /* listed, changes nothing (T11, T14, T22) */
    JUMP_ROW_MOVE         /* version + 1, one reason, one SessionStateChange */
};

struct jump_row {
    const char *name;   /* "T1".."T25"; NULL where illegal */
    uint8_t kind;       /* enum jump_row_kind */
    uint8_t roles;      /* bits of enum jump_role: who may take it */
    uint8_t to;         /* enum jump_mode */
    uint64_t reasons;   /* bit n: reason n is one that this row may carry */
};

/**
 * Look one row up. Never NULL; outside the table, or for a role that may not take the row, an illegal row.
 */
const struct jump_row *jump_fsm_row(enum jump_mode mode, enum jump_fsm_event event, enum jump_role role);

/** True if `reason` is one that `row` may carry. */
bool jump_fsm_reason_fits(const struct jump_row *row, enum jump_reason reason);

enum jump_state jump_mode_state(enum jump_mode mode);
bool jump_mode_bound(enum jump_mode mode);
const char *jump_mode_name(enum jump_mode mode);
const char *jump_fsm_event_name(enum jump_fsm_event event);

/** The event or mode with this name; -1: none. For readers of an audit file. */
int jump_fsm_event_by_name(const char *name);
int jump_reason_by_name(const char *name);
int jump_state_by_name(const char *name);

#endif
