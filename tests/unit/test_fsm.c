/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table against model.md 3, typed here a second time and by hand: never generate this list from fsm.def, or
 * an error there would prove itself right. Every mode x event x role is looked at.
 */
#include <jumping/fsm.h>

#include <string.h>

#include "runner.h"

enum { C = JUMP_CLIENT, S = JUMP_SERVER, B = JUMP_CLIENT | JUMP_SERVER };

#define LIVE "BIRTH ATTACHED VOLATILE DEGRADED_BOUND DEGRADED_UNBOUND RECOVERING_BOUND RECOVERING_UNBOUND"
#define DENIED                                                                                          \
    "reattach_validation_failed no_candidate_transports switch_rate_limited cooldown_active "           \
    "policy_denied rate_limited invalid_state_for_reattach session_expired "                            \
    "invalid_transport_candidate atomicity_failed ownership_conflict not_authoritative_owner "          \
    "stale_state_version bad_proof recovery_window_exceeded"

/* to NULL: listed, stays. Names as in model.md; lists are separated by blanks. */
static const struct {
    const char *row;
    int roles;
    const char *from, *event, *to, *reasons;
} model[] = {
    {"T1", B, "BIRTH", "attach_ok", "ATTACHED", "attached_to_transport"},
    {"T2", B, "BIRTH", "handshake_failed birth_timeout", "TERMINATED", "handshake_fail"},
    {"T3", B, "ATTACHED", "instability", "VOLATILE",
     "loss_threshold_exceeded consecutive_drop_exceeded heartbeat_timeout latency_threshold_exceeded"},
    {"T4", B, "ATTACHED", "transport_dead", "RECOVERING_UNBOUND", "transport_dead"},
    {"T5", S, "ATTACHED", "reattach_valid", "RECOVERING_BOUND", "transport_dead loss_recovery"},
    {"T5", S, "VOLATILE DEGRADED_BOUND", "reattach_valid", "RECOVERING_BOUND",
     "dead_transport_recovery loss_recovery"},
    {"T5", S, "DEGRADED_UNBOUND", "reattach_valid", "RECOVERING_UNBOUND", "dead_transport_recovery loss_recovery"},
    {"T6", B, "VOLATILE DEGRADED_BOUND", "stable", "ATTACHED", "health_recovered"},
    {"T7", B, "VOLATILE DEGRADED_BOUND", "transport_dead", "RECOVERING_UNBOUND", "dead_transport_recovery"},
    {"T8", C, "VOLATILE DEGRADED_BOUND", "switch_start", "RECOVERING_BOUND",
     "loss_recovery policy_forced_recovery"},
    {"T9", B, "VOLATILE", "volatile_timeout", "DEGRADED_BOUND", "volatile_persisted"},
    {"T10", C, "VOLATILE", "switch_denied", "DEGRADED_BOUND",
     "switch_rate_limited cooldown_active policy_denied"},
    {"T11", C, "DEGRADED_BOUND DEGRADED_UNBOUND", "switch_denied", NULL, ""},
    {"T12", B, "RECOVERING_BOUND RECOVERING_UNBOUND", "reattach_valid", "ATTACHED", "reattach_success"},
    {"T13", C, "RECOVERING_BOUND", "reattach_denied", "DEGRADED_BOUND", DENIED},
    {"T13", C, "RECOVERING_UNBOUND", "reattach_denied", "DEGRADED_UNBOUND", DENIED},
    {"T14", B, LIVE, "refused", NULL, ""},
    {"T15", C, "RECOVERING_UNBOUND", "recovery_timeout", "TERMINATED", "recovery_window_exceeded"},
    {"T16", C, "RECOVERING_BOUND", "switch_timeout", "DEGRADED_BOUND", "recovery_window_exceeded"},
    {"T17", B, LIVE, "session_ttl", "TERMINATED", "session_lifetime_exceeded"},
    {"T18", B, "DEGRADED_UNBOUND RECOVERING_UNBOUND", "transport_ttl", "TERMINATED", "transport_ttl_exceeded"},
    {"T19", S, LIVE, "ownership_ambiguous", "TERMINATED", "ownership_conflict"},
    {"T20", B, LIVE, "integrity", "TERMINATED", "security_failure invariant_violation"},
    {"T21", B, LIVE, "terminate", "TERMINATED",
     "operator_terminated peer_terminated host_terminated unknown_session owner_lost"},
    {"T22", B, "TERMINATED",
     "session_ttl key_expired integrity terminate ownership_ambiguous recovery_timeout transport_ttl "
     "birth_timeout transport_dead switch_timeout volatile_timeout instability retry_due stable attach_ok "
     "handshake_failed switch_start switch_denied reattach_valid reattach_denied refused",
     NULL, ""},
    {"T23", C, "RECOVERING_BOUND", "transport_dead", "RECOVERING_UNBOUND", "transport_dead"},
    {"T24", C, "DEGRADED_UNBOUND", "retry_due", "RECOVERING_UNBOUND", "recovery_retry"},
    {"T25", B, LIVE, "key_expired", "TERMINATED", "key_expired"},
};
#define MODEL_ROWS (sizeof model / sizeof model[0])

/* True if `word` is one of the blank-separated words of `list`. */
static bool among(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

static int words(const char *list)
{
    int count = list[0] != '\0';
    for (; *list != '\0'; list++)
        count += *list == ' ';
    return count;
}

/* Walks all cells with what model.md says of each; -1: model.md does not list it. */
static void for_each_cell(void (*visit)(int model_row, enum jump_mode, enum jump_fsm_event, enum jump_role))
{
    for (int mode = 0; mode < JUMP_MODE_COUNT; mode++) {
        for (int event = 0; event < JUMP_EV_COUNT; event++) {
            for (int role = JUMP_CLIENT; role <= JUMP_SERVER; role++) {
                int found = -1;
                for (size_t i = 0; i < MODEL_ROWS; i++) {
                    if ((model[i].roles & role) != 0 && among(model[i].from, jump_mode_name(mode)) &&
                        among(model[i].event, jump_fsm_event_name(event))) {
                        CU_ASSERT_EQUAL(found, -1); /* the list itself is a function (I9) */
                        found = (int)i;
                    }
                }
                visit(found, mode, event, role);
            }
        }
    }
}

static unsigned listed_cells, other_cells;

static void check_listed(int found, enum jump_mode mode, enum jump_fsm_event event, enum jump_role role)
{
    if (found < 0)
        return;
    listed_cells++;
    const struct jump_row *row = jump_fsm_row(mode, event, role);
    CU_ASSERT_PTR_NOT_NULL_FATAL(row->name);
    CU_ASSERT_STRING_EQUAL(row->name, model[found].row);
    CU_ASSERT_EQUAL(row->kind, model[found].to != NULL ? JUMP_ROW_MOVE : JUMP_ROW_STAY);
    CU_ASSERT_STRING_EQUAL(jump_mode_name(row->to), model[found].to != NULL ? model[found].to : jump_mode_name(mode));
    int fitting = 0;
    for (int reason = 0; reason < JUMP_REASON_COUNT; reason++) {
        bool fits = jump_fsm_reason_fits(row, reason);
        CU_ASSERT_EQUAL(fits, among(model[found].reasons, jump_reason_name(reason)));
        fitting += fits;
    }
    CU_ASSERT_EQUAL(fitting, words(model[found].reasons)); /* no misspelt reason in the list above */
}

static void test_fsm_every_listed_row_is_as_in_the_model(void)
{
    listed_cells = 0;
    for_each_cell(check_listed);
    /* from x event x roles of the list above, so that a misspelt mode or event there cannot hide a cell */
    unsigned expected = 0;
    for (size_t i = 0; i < MODEL_ROWS; i++)
        expected += (unsigned)(words(model[i].from) * words(model[i].event) * (model[i].roles == B ? 2 : 1));
    CU_ASSERT_EQUAL(listed_cells, expected);
}

static void check_other(int found, enum jump_mode mode, enum jump_fsm_event event, enum jump_role role)
{
    if (found >= 0)
        return;
    other_cells++;
    const struct jump_row *row = jump_fsm_row(mode, event, role);
    CU_ASSERT_EQUAL(row->kind, JUMP_ROW_ILLEGAL);
    CU_ASSERT_PTR_NULL(row->name);
    CU_ASSERT_EQUAL(row->reasons, 0);
}

static void test_fsm_every_other_combination_is_illegal(void)
{
    listed_cells = other_cells = 0;
    for_each_cell(check_listed);
    for_each_cell(check_other);
    CU_ASSERT_EQUAL(listed_cells + other_cells, 2u * JUMP_MODE_COUNT * JUMP_EV_COUNT);
}

static void test_fsm_all_rows_of_the_model_are_covered(void)
{
    for (int n = 1; n <= 25; n++) {
        char name[16];
        bool seen = false;
        snprintf(name, sizeof name, "T%d", n);
        for (size_t i = 0; i < MODEL_ROWS; i++)
            seen = seen || strcmp(model[i].row, name) == 0;
        CU_ASSERT_TRUE(seen);
    }
}

static void test_fsm_terminated_is_absorbing_for_every_event_and_role(void)
{
    for (int event = 0; event < JUMP_EV_COUNT; event++) {
        for (int role = JUMP_CLIENT; role <= JUMP_SERVER; role++) {
            const struct jump_row *row = jump_fsm_row(JUMP_MODE_TERMINATED, event, role);
            CU_ASSERT_EQUAL(row->kind, JUMP_ROW_STAY);
            CU_ASSERT_EQUAL(row->to, JUMP_MODE_TERMINATED);
            CU_ASSERT_EQUAL(row->reasons, 0);
            CU_ASSERT_STRING_EQUAL(row->name, "T22");
        }
    }
}

static void test_fsm_nothing_returns_to_birth(void)
{
    for (int mode = 0; mode < JUMP_MODE_COUNT; mode++)
        for (int event = 0; event < JUMP_EV_COUNT; event++)
            for (int role = JUMP_CLIENT; role <= JUMP_SERVER; role++) {
                const struct jump_row *row = jump_fsm_row(mode, event, role);
                CU_ASSERT_FALSE(row->kind == JUMP_ROW_MOVE && row->to == JUMP_MODE_BIRTH);
                /* every move has a reason; a move between the modes of one state is only T23's and T24's kind */
                CU_ASSERT_TRUE(row->kind != JUMP_ROW_MOVE || row->reasons != 0);
                CU_ASSERT_TRUE(row->kind != JUMP_ROW_MOVE || (int)row->to != mode);
            }
}

static void test_fsm_a_client_row_is_illegal_for_the_server_and_the_other_way(void)
{
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_VOLATILE, JUMP_EV_SWITCH_START, JUMP_CLIENT)->kind, JUMP_ROW_MOVE);
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_VOLATILE, JUMP_EV_SWITCH_START, JUMP_SERVER)->kind, JUMP_ROW_ILLEGAL);
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_ATTACHED, JUMP_EV_REATTACH_VALID, JUMP_SERVER)->kind, JUMP_ROW_MOVE);
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_ATTACHED, JUMP_EV_REATTACH_VALID, JUMP_CLIENT)->kind, JUMP_ROW_ILLEGAL);
}

static void test_fsm_numbers_outside_the_table_are_illegal(void)
{
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_COUNT, JUMP_EV_TERMINATE, JUMP_SERVER)->kind, JUMP_ROW_ILLEGAL);
    CU_ASSERT_EQUAL(jump_fsm_row((enum jump_mode)-1, JUMP_EV_TERMINATE, JUMP_SERVER)->kind, JUMP_ROW_ILLEGAL);
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_ATTACHED, JUMP_EV_COUNT, JUMP_SERVER)->kind, JUMP_ROW_ILLEGAL);
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_ATTACHED, JUMP_EV_TERMINATE, (enum jump_role)0)->kind, JUMP_ROW_ILLEGAL);
    CU_ASSERT_EQUAL(jump_fsm_row(JUMP_MODE_ATTACHED, JUMP_EV_TERMINATE, (enum jump_role)3)->kind, JUMP_ROW_ILLEGAL);
    CU_ASSERT_FALSE(jump_fsm_reason_fits(jump_fsm_row(JUMP_MODE_ATTACHED, JUMP_EV_TERMINATE, JUMP_SERVER),
                                         (enum jump_reason)64));
    CU_ASSERT_FALSE(jump_fsm_reason_fits(jump_fsm_row(JUMP_MODE_ATTACHED, JUMP_EV_TERMINATE, JUMP_SERVER),
                                         (enum jump_reason)-1));
}

static void test_fsm_modes_have_the_bindings_of_the_model(void)
{
    static const struct {
        const char *mode, *state;
        bool bound;
    } typed[JUMP_MODE_COUNT] = {
        {"BIRTH", "BIRTH", false},
        {"ATTACHED", "ATTACHED", true},
        {"VOLATILE", "VOLATILE", true},
        {"DEGRADED_BOUND", "DEGRADED", true},
        {"DEGRADED_UNBOUND", "DEGRADED", false},
        {"RECOVERING_BOUND", "RECOVERING", true},
        {"RECOVERING_UNBOUND", "RECOVERING", false},
        {"TERMINATED", "TERMINATED", false},
    };
    for (int mode = 0; mode < JUMP_MODE_COUNT; mode++) {
        CU_ASSERT_STRING_EQUAL(jump_mode_name(mode), typed[mode].mode);
        CU_ASSERT_STRING_EQUAL(jump_state_name(jump_mode_state(mode)), typed[mode].state);
        CU_ASSERT_EQUAL(jump_mode_bound(mode), typed[mode].bound);
    }
    CU_ASSERT_STRING_EQUAL(jump_mode_name(JUMP_MODE_COUNT), "?");
    CU_ASSERT_EQUAL(jump_mode_state(JUMP_MODE_COUNT), JUMP_TERMINATED);
    CU_ASSERT_FALSE(jump_mode_bound(JUMP_MODE_COUNT));
}

static void test_fsm_reasons_keep_their_numbers_and_names(void)
{
    /* They travel in DENY and TERMINATE and stand in audit files: this list only ever grows at its end. */
    static const char *const typed[] = {
        "none", "attached_to_transport", "handshake_fail", "loss_threshold_exceeded", "consecutive_drop_exceeded",
        "heartbeat_timeout", "latency_threshold_exceeded", "transport_dead", "volatile_persisted", "health_recovered",
        "loss_recovery", "dead_transport_recovery", "policy_forced_recovery", "recovery_retry", "reattach_success",
        "reattach_validation_failed", "no_candidate_transports", "recovery_window_exceeded", "switch_rate_limited",
        "cooldown_active", "policy_denied", "rate_limited", "unknown_session", "invalid_state_for_reattach",
        "session_expired", "transport_ttl_exceeded", "bad_proof", "replay_detected", "stale_state_version",
        "invalid_transport_candidate", "atomicity_failed", "ownership_conflict", "not_authoritative_owner",
        "owner_lost", "session_lifetime_exceeded", "security_failure", "operator_terminated", "peer_terminated",
        "host_terminated", "invariant_violation", "key_rotated", "key_expired", "invalid_transition",
        "session_table_full"};
    CU_ASSERT_EQUAL(sizeof typed / sizeof typed[0], JUMP_REASON_COUNT);
    for (int i = 0; i < JUMP_REASON_COUNT; i++) {
        CU_ASSERT_STRING_EQUAL(jump_reason_name(i), typed[i]);
        CU_ASSERT_EQUAL(jump_reason_by_name(typed[i]), i);
    }
    CU_ASSERT_STRING_EQUAL(jump_reason_name(JUMP_REASON_COUNT), "?");
    CU_ASSERT_EQUAL(jump_reason_by_name("transport_dea"), -1);
    CU_ASSERT_EQUAL(jump_reason_by_name("Transport_dead"), -1);
    CU_ASSERT_EQUAL(jump_reason_by_name(""), -1);
    CU_ASSERT_EQUAL(jump_reason_by_name(NULL), -1);
}

static void test_fsm_names_lead_back_to_their_numbers(void)
{
    for (int event = 0; event < JUMP_EV_COUNT; event++)
        CU_ASSERT_EQUAL(jump_fsm_event_by_name(jump_fsm_event_name(event)), event);
    for (int state = 0; state < JUMP_STATE_COUNT; state++)
        CU_ASSERT_EQUAL(jump_state_by_name(jump_state_name(state)), state);
    CU_ASSERT_EQUAL(jump_fsm_event_by_name("?"), -1);
    CU_ASSERT_EQUAL(jump_state_by_name("REATTACHING"), -1);
    CU_ASSERT_STRING_EQUAL(jump_fsm_event_name(JUMP_EV_COUNT), "?");
    CU_ASSERT_STRING_EQUAL(jump_state_name(JUMP_STATE_COUNT), "?");
}

static void test_fsm_every_error_has_a_text_and_a_class(void)
{
    CU_ASSERT_EQUAL(jump_error_class(JUMP_ERR_TIME), JUMP_CLASS_CALLER);
    CU_ASSERT_EQUAL(jump_error_class(JUMP_ERR_FULL), JUMP_CLASS_ENV);
    CU_ASSERT_EQUAL(jump_error_class(JUMP_ERR_REFUSED), JUMP_CLASS_PEER);
    CU_ASSERT_EQUAL(jump_error_class(JUMP_ERR_SODIUM), JUMP_CLASS_FATAL);
    CU_ASSERT_EQUAL(jump_error_class(0), JUMP_CLASS_NONE);
    CU_ASSERT_EQUAL(jump_error_class(1), JUMP_CLASS_NONE);
    for (int error = -11; error <= -1; error++) {
        CU_ASSERT_STRING_NOT_EQUAL(jump_error_text(error), "?");
        CU_ASSERT_NOT_EQUAL(jump_error_class(error), JUMP_CLASS_NONE);
    }
    CU_ASSERT_STRING_EQUAL(jump_error_text(0), "?");
    CU_ASSERT_STRING_EQUAL(jump_error_text(-1000), "?");
}

#define TESTS(X)                                                          \
    X(test_fsm_every_listed_row_is_as_in_the_model)                       \
    X(test_fsm_every_other_combination_is_illegal)                        \
    X(test_fsm_all_rows_of_the_model_are_covered)                         \
    X(test_fsm_terminated_is_absorbing_for_every_event_and_role)          \
    X(test_fsm_nothing_returns_to_birth)                                  \
    X(test_fsm_a_client_row_is_illegal_for_the_server_and_the_other_way)  \
    X(test_fsm_numbers_outside_the_table_are_illegal)                     \
    X(test_fsm_modes_have_the_bindings_of_the_model)                      \
    X(test_fsm_reasons_keep_their_numbers_and_names)                      \
    X(test_fsm_names_lead_back_to_their_numbers)                          \
    X(test_fsm_every_error_has_a_text_and_a_class)

RUN_TESTS("fsm", TESTS)
