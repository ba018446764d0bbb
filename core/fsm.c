/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Owns the transition table in memory, made from fsm.def, and the names of states, modes, events, reasons and
 * errors. A look-up and nothing else: it refuses to know sessions, clocks, messages and policy, so that the
 * table stays a function (I9) which tests and the model checker can walk from end to end.
 * Read next: fsm.def (the rows), engine.c (who asks).
 */
#include <jumping/fsm.h>

#include <string.h>

#define R(x) (UINT64_C(1) << JUMP_REASON_##x)
_Static_assert(JUMP_REASON_COUNT <= 64, "a set of reasons is one 64-bit word");

/* What a DENY may say; also what the client itself records when its candidates or its window are used up. */
#define DENIALS                                                                                     \
    (R(REATTACH_VALIDATION_FAILED) | R(NO_CANDIDATE_TRANSPORTS) | R(SWITCH_RATE_LIMITED) |          \
     R(COOLDOWN_ACTIVE) | R(POLICY_DENIED) | R(RATE_LIMITED) | R(INVALID_STATE_FOR_REATTACH) |      \
     R(SESSION_EXPIRED) | R(INVALID_TRANSPORT_CANDIDATE) | R(ATOMICITY_FAILED) |                    \
     R(OWNERSHIP_CONFLICT) | R(NOT_AUTHORITATIVE_OWNER) | R(STALE_STATE_VERSION) | R(BAD_PROOF) |   \
     R(RECOVERY_WINDOW_EXCEEDED))

#define ENDINGS                                                                                     \
    (R(OPERATOR_TERMINATED) | R(PEER_TERMINATED) | R(HOST_TERMINATED) | R(UNKNOWN_SESSION) | R(OWNER_LOST))

enum { ROLES_CLIENT = JUMP_CLIENT, ROLES_SERVER = JUMP_SERVER, ROLES_BOTH = JUMP_CLIENT | JUMP_SERVER };

/* A doubled row would overwrite the first in silence; -Werror=override-init makes it an error. */
static const struct jump_row rows[JUMP_MODE_COUNT][JUMP_EV_COUNT] = {
#define JUMP_MOVE(row, mode, event, role, next, set)                                                \
    [JUMP_MODE_##mode][JUMP_EV_##event] = {.name = #row, .kind = JUMP_ROW_MOVE, .roles = ROLES_##role, \
                                           .to = JUMP_MODE_##next, .reasons = (set)},
#define JUMP_STAY(row, mode, event, role)                                                           \
    [JUMP_MODE_##mode][JUMP_EV_##event] = {.name = #row, .kind = JUMP_ROW_STAY, .roles = ROLES_##role, \
                                           .to = JUMP_MODE_##mode},
#define JUMP_ILLEGAL(mode, event)                                                                   \
    [JUMP_MODE_##mode][JUMP_EV_##event] = {.kind = JUMP_ROW_ILLEGAL, .to = JUMP_MODE_##mode},
#include "fsm.def"
#undef JUMP_MOVE
#undef JUMP_STAY
#undef JUMP_ILLEGAL
};

/* A missing row would be illegal in silence; as no row can stand twice, the count finds it. */
enum {
    ROW_COUNT = 0
#define JUMP_MOVE(row, mode, event, role, next, set) +1
#define JUMP_STAY(row, mode, event, role) +1
#define JUMP_ILLEGAL(mode, event) +1
#include "fsm.def"
#undef JUMP_MOVE
#undef JUMP_STAY
#undef JUMP_ILLEGAL
};
_Static_assert(ROW_COUNT == JUMP_MODE_COUNT * JUMP_EV_COUNT, "fsm.def has one row for each mode and event");

/* The answer for a role that may not take a row, and for numbers outside the table. */
static const struct jump_row illegal = {.kind = JUMP_ROW_ILLEGAL, .to = JUMP_MODE_TERMINATED};

const struct jump_row *jump_fsm_row(enum jump_mode mode, enum jump_fsm_event event, enum jump_role role)
{
    if ((unsigned)mode >= JUMP_MODE_COUNT || (unsigned)event >= JUMP_EV_COUNT)
        return &illegal;
    if (role != JUMP_CLIENT && role != JUMP_SERVER)
        return &illegal;
    const struct jump_row *row = &rows[mode][event];
    if (row->kind != JUMP_ROW_ILLEGAL && (row->roles & (unsigned)role) == 0)
        return &illegal;
    return row;
}

bool jump_fsm_reason_fits(const struct jump_row *row, enum jump_reason reason)
{
    return (unsigned)reason < JUMP_REASON_COUNT && ((row->reasons >> (unsigned)reason) & 1) != 0;
}

/* Modes */

static const struct {
    const char *name;
    enum jump_state state;
    bool bound;
} modes[JUMP_MODE_COUNT] = {
#define X(mode, state_of, is_bound) [JUMP_MODE_##mode] = {#mode, JUMP_##state_of, is_bound},
    JUMP_MODES(X)
#undef X
};

enum jump_state jump_mode_state(enum jump_mode mode)
{
    return (unsigned)mode < JUMP_MODE_COUNT ? modes[mode].state : JUMP_TERMINATED;
}

bool jump_mode_bound(enum jump_mode mode)
{
    return (unsigned)mode < JUMP_MODE_COUNT && modes[mode].bound;
}

const char *jump_mode_name(enum jump_mode mode)
{
    return (unsigned)mode < JUMP_MODE_COUNT ? modes[mode].name : "?";
}

/* Names */

static const char *const state_names[JUMP_STATE_COUNT] = {
#define X(state, text) [JUMP_##state] = text,
    JUMP_STATES(X)
#undef X
};

static const char *const event_names[JUMP_EV_COUNT] = {
#define X(event, text) [JUMP_EV_##event] = text,
    JUMP_FSM_EVENTS(X)
#undef X
};

static const char *const reason_names[JUMP_REASON_COUNT] = {
#define X(number, reason, text) [number] = text,
    JUMP_REASONS(X)
#undef X
};

static const char *name_of(const char *const *names, unsigned count, unsigned number)
{
    return number < count && names[number] != NULL ? names[number] : "?";
}

static int number_of(const char *const *names, int count, const char *name)
{
    if (name == NULL)
        return -1;
    for (int i = 0; i < count; i++)
        if (names[i] != NULL && strcmp(names[i], name) == 0)
            return i;
    return -1;
}

const char *jump_state_name(enum jump_state state)
{
    return name_of(state_names, JUMP_STATE_COUNT, (unsigned)state);
}

int jump_state_by_name(const char *name)
{
    return number_of(state_names, JUMP_STATE_COUNT, name);
}

const char *jump_fsm_event_name(enum jump_fsm_event event)
{
    return name_of(event_names, JUMP_EV_COUNT, (unsigned)event);
}

int jump_fsm_event_by_name(const char *name)
{
    return number_of(event_names, JUMP_EV_COUNT, name);
}

const char *jump_reason_name(enum jump_reason reason)
{
    return name_of(reason_names, JUMP_REASON_COUNT, (unsigned)reason);
}

int jump_reason_by_name(const char *name)
{
    return number_of(reason_names, JUMP_REASON_COUNT, name);
}

/* A switch and not an array: a number that stands twice in the list does not compile. */
const char *jump_error_text(int error)
{
    switch (error) {
#define X(number, name, class, text) case number: return text;
        JUMP_ERRORS(X)
#undef X
    default: return "?";
    }
}

/* NOLINTBEGIN(bugprone-branch-clone): a branch for each row, and several rows are of one class */
enum jump_error_class jump_error_class(int error)
{
    switch (error) {
#define X(number, name, class, text) case number: return JUMP_CLASS_##class;
        JUMP_ERRORS(X)
#undef X
    default: return JUMP_CLASS_NONE;
    }
}
/* NOLINTEND(bugprone-branch-clone) */
