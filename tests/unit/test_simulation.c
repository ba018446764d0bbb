/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulation (tests/sim) in short, and proof that its oracle finds things: for each invariant something is planted
 * between two files of the core with the linker's --wrap, or a doctored observation is shown to the oracle, and the
 * simulation must fail for the right reason. A plant that is found by no seed fails this test.
 * Read next: tests/sim/sim.h, docs/proof.md.
 */
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "sim.h"

#define MOST_SEEDS 150
#define HOURS 1.0

static enum plant {
    NONE,
    TWO_ON_ONE_PATH,
    WRONG_ROW,
    NO_RATE,
    NO_WINDOW,
    NO_REPLAY_CHECK,
    NO_ADDRESS_CHECK,
    NO_PROOF_CHECK,
    NO_TTL,
    NO_LIFETIME,
    NO_KEY_AGE,
    A_BOUND_TOO_EARLY,
    A_BYTE_CHANGES,
    A_MISSING_EVENT,
    A_DOUBLE_VERSION,
    NO_STORE,
    NEVER_PROVED,
    NEVER_STABLE,
    TWICE_AS_MUCH,
    OTHER_NONCES,
    A_RACER_IS_BELIEVED,
    A_CLOCK_THAT_GOES_BACK,
    A_REATTACH_MAKES_YOUNG,
    ANOTHER_POLICY,
    A_KEY_FOR_EVER,
    A_NONCE_TWICE,
} plant;

/* --- what is planted ---------------------------------------------------------------------------------------- */

#define WRAP(type, name, ...) \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

WRAP(struct jump_session *, jump_table_by_path, const struct jump_table *t, const struct jump_path *path,
     const struct jump_session *not_this)
{
    return plant == TWO_ON_ONE_PATH ? NULL : __real_jump_table_by_path(t, path, not_this);
}

WRAP(const struct jump_row *, jump_fsm_row, enum jump_mode mode, enum jump_fsm_event event, enum jump_role role)
{
    static struct jump_row wrong;
    const struct jump_row *row = __real_jump_fsm_row(mode, event, role);
    if (plant != WRONG_ROW || mode != JUMP_MODE_VOLATILE || event != JUMP_EV_STABLE)
        return row;
    wrong = *row; /* T6 to where it never was */
    wrong.to = JUMP_MODE_DEGRADED_BOUND;
    return &wrong;
}

WRAP(uint32_t, jump_session_recent_switches, struct jump_session *s, const struct jump_session_shape *shape,
     jump_time *free_at, jump_time now)
{
    uint32_t recent = __real_jump_session_recent_switches(s, shape, free_at, now);
    return plant == NO_RATE ? 0 : recent;
}

WRAP(bool, jump_replay_fresh, const struct jump_replay *r, uint64_t counter)
{
    return plant == NO_REPLAY_CHECK || __real_jump_replay_fresh(r, counter);
}

WRAP(void, jump_seal_challenge, uint8_t out[JUMP_CHALLENGE_BYTES], const uint8_t key[JUMP_SECRET_BYTES], const struct jump_id *id,
     uint64_t attempt, const struct jump_path *path, uint64_t bucket)
{
    static const struct jump_path anywhere;
    static uint64_t calls;
    __real_jump_seal_challenge(out, key, id, attempt, plant == NO_ADDRESS_CHECK ? &anywhere : path, bucket);
    if (plant == NEVER_PROVED)
        out[0] ^= (uint8_t)++calls;
}

WRAP(int, jump_seal_open, struct jump_body *body, const struct jump_header *header, const uint8_t *bytes, size_t len,
     const uint8_t *key)
{
    int result = __real_jump_seal_open(body, header, bytes, len, key);
    return plant == NO_PROOF_CHECK && header->type == JUMP_MSG_PROBE ? 0 : result;
}

WRAP(jump_time, jump_session_expires_at, const struct jump_session *s)
{
    if (plant == A_BOUND_TOO_EARLY && s->unbound_at != JUMP_NEVER)
        return s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms) / 2;
    if (plant == NO_TTL && s->unbound_at != JUMP_NEVER)
        return s->born_at + JUMP_MS(s->policy.max_lifetime_ms);
    if (plant == A_KEY_FOR_EVER && s->unbound_at == JUMP_NEVER)
        return s->born_at + JUMP_MS(s->policy.max_lifetime_ms);
    if (plant == NO_LIFETIME)
        return s->unbound_at == JUMP_NEVER ? JUMP_NEVER : s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms);
    return __real_jump_session_expires_at(s);
}

WRAP(jump_time, jump_session_key_expires_at, const struct jump_session *s)
{
    if (plant == A_KEY_FOR_EVER)
        return JUMP_NEVER;
    return plant == NO_KEY_AGE ? s->born_at + JUMP_MS(1000) : __real_jump_session_key_expires_at(s);
}

WRAP(jump_time, jump_client_deadline, const struct jump_engine *e, const struct jump_session *s)
{
    jump_time at = __real_jump_client_deadline(e, s);
    if (plant == NO_WINDOW && s->mode == JUMP_MODE_RECOVERING_UNBOUND && at == s->u.client.recovery_due)
        return JUMP_NEVER;
    return at;
}

WRAP(void, jump_client_due, struct jump_engine *e, struct jump_session *s)
{
    if (plant == NO_WINDOW && s->mode == JUMP_MODE_RECOVERING_UNBOUND && s->u.client.recovery_due != JUMP_NEVER)
        s->u.client.recovery_due = JUMP_NEVER;
    __real_jump_client_due(e, s);
}

WRAP(struct jump_event *, jump_audit_security, struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind,
     enum jump_reason reason, const struct jump_path *from)
{
    if (plant == A_BYTE_CHANGES && s && reason == JUMP_REASON_BAD_PROOF) {
        struct jump_session *changed = jump_table_slot(&e->table, s->slot);
        changed->attempt++; /* what an attacker could then count up */
    }
    return __real_jump_audit_security(e, s, kind, reason, from);
}

WRAP(struct jump_event *, jump_audit_reason, struct jump_engine *e, const struct jump_session *s, enum jump_event_kind kind,
     enum jump_reason reason)
{
    static struct jump_event nowhere;
    if (plant == A_MISSING_EVENT && kind == JUMP_EVENT_STATE_CHANGE && reason == JUMP_REASON_VOLATILE_PERSISTED)
        return &nowhere;
    if (plant == A_DOUBLE_VERSION && kind == JUMP_EVENT_STATE_CHANGE && reason == JUMP_REASON_VOLATILE_PERSISTED)
        jump_table_slot(&e->table, s->slot)->version++;
    return __real_jump_audit_reason(e, s, kind, reason);
}

WRAP(enum jump_reason, jump_health_judge, struct jump_health *h, const struct jump_policy *policy, jump_time settle,
     jump_time now)
{
    enum jump_reason reason = __real_jump_health_judge(h, policy, settle, now);
    if (plant == NEVER_STABLE)
        h->good_since = JUMP_NEVER;
    return reason;
}

WRAP(void, jump_table_bind, struct jump_table *t, struct jump_session *s, const struct jump_path *path)
{
    __real_jump_table_bind(t, s, path);
    if (plant == A_REATTACH_MAKES_YOUNG && path && s->version > 0)
        s->born_at = s->moved_at > s->born_at ? s->moved_at : s->born_at;
    if (plant == ANOTHER_POLICY && path && s->version > 0)
        s->policy.loss_volatile_threshold = 1000000;
}

WRAP(void, jump_seal_message, uint8_t *bytes, size_t len, const struct jump_header *header, const struct jump_body *body,
     const uint8_t *key)
{
    struct jump_header again = *header;
    again.counter -= plant == A_NONCE_TWICE && header->counter > 50 && header->counter % 2 == 0;
    __real_jump_seal_message(bytes, len, &again, body, key);
}

WRAP(size_t, jump_session_bytes, const struct jump_session_shape *shape)
{
    return __real_jump_session_bytes(shape) * (plant == TWICE_AS_MUCH ? 2 : 1);
}

WRAP(void, jump_keys_derive, uint8_t *out, size_t len, const uint8_t *key, const char *purpose)
{
    static uint8_t calls;
    __real_jump_keys_derive(out, len, key, purpose);
    if (plant == OTHER_NONCES && strcmp(purpose, "process") == 0)
        out[0] ^= ++calls;
}

WRAP(int, jump_server_store, struct jump_engine *e, const struct jump_input *in)
{
    struct jump_input other = *in;
    if (plant == NO_STORE && in->store_result != JUMP_STORE_DONE) {
        other.store_result = JUMP_STORE_DONE;
        other.revision = 1;
    }
    return __real_jump_server_store(e, &other);
}

WRAP(int, jump_client_datagram, struct jump_engine *e, struct jump_message *m)
{
    int result = __real_jump_client_datagram(e, m);
    struct jump_session *s = jump_table_by_id(&e->table, &m->header.session_id);
    if (plant == A_RACER_IS_BELIEVED && result == 0 && m->header.type == JUMP_MSG_PATH_UNBOUND && s && jump_session_bound(s)) {
        jump_prober_dead(e, s); /* and the answer to the genuine probe is not waited for */
        jump_engine_arm(e, s);
    }
    return result;
}

WRAP(int, jump_engine_feed, struct jump_engine *e, const struct jump_input *in, jump_time now)
{
    return __real_jump_engine_feed(e, in, plant == A_CLOCK_THAT_GOES_BACK && now < e->now ? e->now : now);
}

/* --- looking for it ----------------------------------------------------------------------------------------- */

static void run(struct sim *sim, const struct sim_script *script)
{
    memset(sim, 0, sizeof *sim);
    sim->script = script;
    sim_run(sim);
}

static bool among(const char *what, const char *list)
{
    for (size_t len = strlen(what); (list = strstr(list, what)) != NULL; list++)
        if (len > 0 && (list[len] == 0 || list[len] == ' '))
            return true;
    return false;
}

/* Some seed finds it, and for one of these reasons; the script of that one is left for who wants it. */
static bool found(enum plant which, const char *reasons, struct sim_script *script)
{
    struct sim sim;
    for (uint64_t seed = 1; seed <= MOST_SEEDS; seed++) {
        sim_draw(script, seed, HOURS);
        plant = which;
        run(&sim, script);
        plant = NONE;
        if (sim.failed) {
            printf("\n    seed %llu: %s: %s\n", (unsigned long long)seed, sim.failed_what, sim.failure);
            return among(sim.failed_what, reasons);
        }
        sim_drop(script);
    }
    return false;
}

/* Worlds of an hour in which nothing befalls two clients: what only much time shows. */
static bool found_in_the_calm(enum plant which, const char *reasons)
{
    struct sim_script script = { .clients = 2, .gateways = 1, .length_ms = 3600000, .present = { 1, 1 } };
    struct sim sim = { .failed = false };
    for (script.seed = 1; script.seed <= MOST_SEEDS && !sim.failed; script.seed++) {
        plant = which;
        run(&sim, &script);
        plant = NONE;
    }
    printf("\n    seed %llu: %s: %s\n", (unsigned long long)script.seed - 1, sim.failed_what, sim.failure);
    return sim.failed && among(sim.failed_what, reasons);
}

static void finds(enum plant which, const char *reasons)
{
    struct sim_script script = { 0 };
    CU_ASSERT_TRUE(found(which, reasons, &script));
    sim_drop(&script);
}

/* --- the simulation itself ---------------------------------------------------------------------------------- */

static void test_simulation_a_few_seeds_break_nothing_and_say_the_same_twice(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct sim_script script;
        struct sim sim, again;
        sim_draw(&script, seed, HOURS);
        run(&sim, &script);
        if (sim.failed)
            printf("\n    seed %llu: %s: %s\n", (unsigned long long)seed, sim.failed_what, sim.failure);
        CU_ASSERT_FALSE(sim.failed);
        run(&again, &script);
        CU_ASSERT_EQUAL(sim.hash, again.hash); /* I15 */
        CU_ASSERT_TRUE(sim.totals.datagrams > 1000 && sim.totals.refused > 10 && sim.totals.switches > 3);
        sim_drop(&script);
    }
}

static void test_simulation_another_seed_or_one_operation_less_is_another_transcript(void)
{
    struct sim_script script;
    struct sim sim, other;
    sim_draw(&script, 1, HOURS);
    run(&sim, &script);
    script.op_count--;
    memmove(script.ops, script.ops + 1, script.op_count * sizeof *script.ops);
    run(&other, &script);
    CU_ASSERT_NOT_EQUAL(sim.hash, other.hash);
    sim_drop(&script);
    sim_draw(&script, 2, HOURS);
    run(&other, &script);
    CU_ASSERT_NOT_EQUAL(sim.hash, other.hash);
    sim_drop(&script);
}

static void test_simulation_a_failing_seed_shrinks_to_a_few_lines_that_fail_alike(void)
{
    struct sim_script script = { 0 }, back;
    struct sim sim, again;
    CU_ASSERT_TRUE_FATAL(found(NO_ADDRESS_CHECK, "path R-8", &script));
    plant = NO_ADDRESS_CHECK;
    uint32_t before = script.op_count;
    run(&sim, &script);
    sim_shrink(&script, 300);
    printf("    %u operations of %u are left\n", script.op_count, before);
    CU_ASSERT_TRUE(script.op_count <= 12 && script.op_count < before);
    FILE *file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    sim_write(&script, file);
    rewind(file);
    unsigned line;
    CU_ASSERT_TRUE_FATAL(sim_read(&back, file, &line));
    fclose(file);
    run(&again, &back);
    CU_ASSERT_TRUE(again.failed);
    CU_ASSERT_STRING_EQUAL(again.failed_what, sim.failed_what);
    plant = NONE;
    run(&again, &back);
    CU_ASSERT_FALSE(again.failed); /* it was the plant */
    sim_drop(&script);
    sim_drop(&back);
}

static void test_simulation_a_damaged_script_is_refused_by_its_line(void)
{
    static const struct {
        const char *text;
        unsigned line;
    } damaged[] = {
        { "", 1 },
        { "# only a remark\n", 2 },
        { "seed=1 clients=2 gateways=9 length=1000\n", 1 },
        { "seed=1 clients=2 gateways=1 length=1000 without=1,x\n", 1 },
        { "seed=1 clients=2 gateways=1 length=1000\nat 5 rebind client=0\n", 2 },
        { "seed=1 clients=2 gateways=1 length=1000\nat 5 rebind client=0 uplink=1 more\n", 2 },
        { "seed=1 clients=2 gateways=1 length=1000\nat 5 rebind client=2 uplink=1\n", 2 },
        { "seed=1 clients=2 gateways=1 length=1000\nat 5 rebound client=0 uplink=1\n", 2 },
        { "seed=1 clients=2 gateways=1 length=1000\nat 5 rebind client=0 uplink=99999999999\n", 2 },
        { "seed=1 clients=2 gateways=1 length=1000\nat 5 rebind client=0 uplink=1\nat 4 rebind client=0 uplink=1\n", 3 },
        { "seed=1 clients=2 gateways=1 length=1000\nat 5 rebind client=0 upl", 2 },
    };
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct sim_script script;
        unsigned line;
        FILE *file = tmpfile();
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        fputs(damaged[i].text, file);
        rewind(file);
        CU_ASSERT_FALSE(sim_read(&script, file, &line));
        CU_ASSERT_EQUAL(line, damaged[i].line);
        fclose(file);
        sim_drop(&script);
    }
}

/* --- one for each invariant --------------------------------------------------------------------------------- */

static void test_simulation_finds_I1_a_path_that_two_sessions_have(void)
{
    finds(TWO_ON_ONE_PATH, "I1");
}

static void test_simulation_finds_I3_a_session_that_ends_before_its_time(void)
{
    finds(A_BOUND_TOO_EARLY, "I3");
    finds(NO_KEY_AGE, "I3");
}

static void test_simulation_finds_I4_a_rate_that_is_not_counted(void)
{
    finds(NO_RATE, "I4");
}

static void test_simulation_finds_I5_a_window_that_is_forgotten(void)
{
    finds(NO_WINDOW, "I5");
}

static void test_simulation_finds_I6_a_lifetime_that_is_forgotten(void)
{
    finds(NO_LIFETIME, "I6");
    finds(A_REATTACH_MAKES_YOUNG, "I6");
}

static void test_simulation_finds_I7_a_ttl_that_is_forgotten(void)
{
    finds(NO_TTL, "I7");
}

static void test_simulation_finds_a_policy_that_is_not_the_one_it_was_born_under(void)
{
    finds(ANOTHER_POLICY, "policy");
}

static void test_simulation_finds_a_key_that_never_expires(void)
{
    CU_ASSERT_FALSE(found_in_the_calm(NONE, "key"));
    CU_ASSERT_TRUE(found_in_the_calm(A_KEY_FOR_EVER, "key"));
}

static void test_simulation_finds_a_nonce_that_was_used(void)
{
    finds(A_NONCE_TWICE, "nonce");
}

static void test_simulation_finds_I8_a_version_that_jumps(void)
{
    finds(A_DOUBLE_VERSION, "I8");
}

static void test_simulation_finds_I9_a_wrong_row_of_the_table(void)
{
    finds(WRONG_ROW, "I9");
}

static void test_simulation_finds_I10_a_path_that_is_never_proved_or_never_well_again(void)
{
    finds(NEVER_PROVED, "I10");
    finds(NEVER_STABLE, "I10");
}

static void test_simulation_finds_I11_what_is_bound_before_the_store_has_it(void)
{
    finds(NO_STORE, "I11 I8");
}

static void test_simulation_finds_I13_an_event_that_is_missing(void)
{
    finds(A_MISSING_EVENT, "I13");
}

static void test_simulation_finds_I14_a_byte_that_a_refused_message_changed(void)
{
    finds(A_BYTE_CHANGES, "I14");
}

static void test_simulation_finds_I15_a_transcript_that_depends_on_something_else(void)
{
    struct sim_script script;
    struct sim sim, again;
    sim_draw(&script, 1, HOURS);
    plant = OTHER_NONCES;
    run(&sim, &script);
    run(&again, &script);
    plant = NONE;
    CU_ASSERT_FALSE(sim.failed);
    CU_ASSERT_NOT_EQUAL(sim.hash, again.hash);
    sim_drop(&script);
}

static void test_simulation_finds_I16_a_session_that_costs_more(void)
{
    finds(TWICE_AS_MUCH, "I16");
}

static void test_simulation_finds_a_replay_that_is_taken(void)
{
    finds(NO_REPLAY_CHECK, "replay");
}

static void test_simulation_finds_a_racer_who_is_felt(void)
{
    finds(A_RACER_IS_BELIEVED, "calm");
}

static void test_simulation_finds_a_clock_that_may_go_back(void)
{
    finds(A_CLOCK_THAT_GOES_BACK, "time");
}

static void test_simulation_finds_an_address_that_nobody_proved(void)
{
    finds(NO_ADDRESS_CHECK, "path");
}

static void test_simulation_finds_a_message_that_nobody_sealed(void)
{
    finds(NO_PROOF_CHECK, "forged");
}

/* --- doctored observations: what no small plant in the core would do ----------------------------------------- */

static struct sim doctored;
static struct sim_script small;
static uint64_t stored_version, stored_attempt;

static struct sim_node *begin_doctored(void)
{
    memset(&doctored, 0, sizeof doctored);
    stored_version = stored_attempt = 0;
    sim_draw(&small, 3, HOURS);
    small.gateways = 2;
    doctored.script = &small;
    sim_make(&doctored);
    return &doctored.gateways[0].node;
}

static bool end_doctored(const char *what)
{
    bool as_expected = doctored.failed && strcmp(doctored.failed_what, what) == 0;
    if (!as_expected)
        printf("\n    %s: %s\n", doctored.failed ? doctored.failed_what : "nothing", doctored.failure);
    sim_end(&doctored);
    sim_drop(&small);
    return as_expected;
}

static struct jump_action action_of(enum jump_action_kind kind, uint64_t version)
{
    struct jump_action action;
    memset(&action, 0, sizeof action);
    action.kind = kind;
    action.host = 1 << 16;
    action.session_id.bytes[0] = 77;
    action.path = sim_address(&doctored.clients[0].uplinks[0]);
    action.generation = 1;
    action.event = (struct jump_event){ .kind = JUMP_EVENT_STATE_CHANGE, .fields = JUMP_FIELD_SESSION, .session_id = action.session_id,
                                        .previous_mode = JUMP_MODE_BIRTH, .new_mode = JUMP_MODE_ATTACHED, .row = "T1",
                                        .reason = JUMP_REASON_ATTACHED_TO_TRANSPORT, .state_version = version };
    return action;
}

static void show(struct sim_node *node, struct jump_action action)
{
    sim_oracle_action(&doctored, node, &action);
}

static void stored(struct sim_node *node)
{
    struct sim_answer answer = { .in.session_id.bytes[0] = 77, .version = ++stored_version, .generation = stored_version,
                                 .attempt = stored_attempt, .counter = stored_attempt,
                                 .path = sim_address(&doctored.clients[0].uplinks[0]) };
    sim_oracle_stored(&doctored, node, &answer);
}

static void test_simulation_finds_I2_a_session_that_a_message_made(void)
{
    struct sim_node *node = begin_doctored();
    uint8_t bytes[JUMP_PROBE_BYTES] = { 0 };
    struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .bytes = bytes, .bytes_len = sizeof bytes };
    struct sim_flight flight = { .to_server = true };
    sim_oracle_before(&doctored, node, &in);
    node->engine->table.count++;
    sim_oracle_after(&doctored, node, &in, 0, &flight);
    node->engine->table.count--;
    CU_ASSERT_TRUE(end_doctored("I2"));
}

static void test_simulation_finds_I11_one_session_that_two_gateways_have(void)
{
    struct sim_node *node = begin_doctored();
    for (unsigned g = 0; g < 2; g++) {
        stored_version = 0;
        stored(&doctored.gateways[g].node);
        show(&doctored.gateways[g].node, action_of(JUMP_DO_EMIT, 1));
        CU_ASSERT_FALSE(doctored.failed);
        show(&doctored.gateways[g].node, action_of(JUMP_DO_BIND, 1));
    }
    CU_ASSERT_PTR_NOT_NULL(node);
    CU_ASSERT_TRUE(end_doctored("I11"));
}

static void test_simulation_finds_a_session_that_speaks_for_another(void)
{
    struct sim_node *node = begin_doctored();
    show(node, action_of(JUMP_DO_EMIT, 1));
    CU_ASSERT_FALSE(doctored.failed);
    struct jump_action other = action_of(JUMP_DO_BIND, 1);
    other.host = 2 << 16;
    stored(node);
    show(node, other);
    CU_ASSERT_TRUE(end_doctored("host"));
}

static void test_simulation_finds_I12_a_session_that_goes_on_after_its_end(void)
{
    struct sim_node *node = begin_doctored();
    struct jump_action over = action_of(JUMP_DO_EMIT, 1);
    over.event.new_mode = JUMP_MODE_TERMINATED;
    over.event.row = "T21";
    over.event.reason = JUMP_REASON_PEER_TERMINATED;
    show(node, over);
    show(node, action_of(JUMP_DO_END, 1));
    CU_ASSERT_FALSE(doctored.failed);
    stored(node);
    show(node, action_of(JUMP_DO_BIND, 1));
    CU_ASSERT_TRUE(end_doctored("I12"));
}

static void test_simulation_finds_a_proof_that_moves_a_binding_twice(void)
{
    struct sim_node *node = begin_doctored();
    stored(node);
    stored_attempt = 1;
    stored(node);
    CU_ASSERT_FALSE(doctored.failed);
    stored(node);
    CU_ASSERT_TRUE(end_doctored("proof"));
    node = begin_doctored();
    stored_attempt = 2;
    stored(node);
    stored_attempt = 1;
    stored(node);
    CU_ASSERT_TRUE(end_doctored("proof"));
}

static void test_simulation_finds_R8_more_bytes_than_came(void)
{
    struct sim_node *node = begin_doctored();
    uint8_t bytes[JUMP_PROBE_BYTES] = { 0 };
    struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .bytes = bytes, .bytes_len = sizeof bytes,
                             .path = sim_address(&doctored.clients[0].uplinks[0]) };
    struct sim_flight flight = { .to_server = true };
    struct jump_action reply = action_of(JUMP_DO_SEND, 1);
    reply.bytes[0] = 0x10 | JUMP_MSG_PROBE_ACK;
    reply.bytes[JUMP_AT_NONCE] = 1;
    reply.bytes_len = in.bytes_len + 1;
    sim_oracle_before(&doctored, node, &in);
    show(node, reply);
    sim_oracle_after(&doctored, node, &in, 0, &flight);
    CU_ASSERT_TRUE(end_doctored("R-8"));
}

#define TESTS(X)                                                                        \
    X(test_simulation_a_few_seeds_break_nothing_and_say_the_same_twice)                 \
    X(test_simulation_another_seed_or_one_operation_less_is_another_transcript)         \
    X(test_simulation_a_failing_seed_shrinks_to_a_few_lines_that_fail_alike)            \
    X(test_simulation_a_damaged_script_is_refused_by_its_line)                          \
    X(test_simulation_finds_I1_a_path_that_two_sessions_have)                           \
    X(test_simulation_finds_I2_a_session_that_a_message_made)                           \
    X(test_simulation_finds_I3_a_session_that_ends_before_its_time)                     \
    X(test_simulation_finds_I4_a_rate_that_is_not_counted)                              \
    X(test_simulation_finds_I5_a_window_that_is_forgotten)                              \
    X(test_simulation_finds_I6_a_lifetime_that_is_forgotten)                            \
    X(test_simulation_finds_I7_a_ttl_that_is_forgotten)                                 \
    X(test_simulation_finds_a_policy_that_is_not_the_one_it_was_born_under)             \
    X(test_simulation_finds_a_key_that_never_expires)                                   \
    X(test_simulation_finds_a_nonce_that_was_used)                                      \
    X(test_simulation_finds_a_session_that_speaks_for_another)                          \
    X(test_simulation_finds_I8_a_version_that_jumps)                                    \
    X(test_simulation_finds_I9_a_wrong_row_of_the_table)                                \
    X(test_simulation_finds_I10_a_path_that_is_never_proved_or_never_well_again)        \
    X(test_simulation_finds_I11_what_is_bound_before_the_store_has_it)                  \
    X(test_simulation_finds_I11_one_session_that_two_gateways_have)                     \
    X(test_simulation_finds_I12_a_session_that_goes_on_after_its_end)                   \
    X(test_simulation_finds_I13_an_event_that_is_missing)                               \
    X(test_simulation_finds_I14_a_byte_that_a_refused_message_changed)                  \
    X(test_simulation_finds_I15_a_transcript_that_depends_on_something_else)            \
    X(test_simulation_finds_I16_a_session_that_costs_more)                              \
    X(test_simulation_finds_a_replay_that_is_taken)                                     \
    X(test_simulation_finds_a_racer_who_is_felt)                                        \
    X(test_simulation_finds_a_clock_that_may_go_back)                                   \
    X(test_simulation_finds_an_address_that_nobody_proved)                              \
    X(test_simulation_finds_a_message_that_nobody_sealed)                               \
    X(test_simulation_finds_a_proof_that_moves_a_binding_twice)                         \
    X(test_simulation_finds_R8_more_bytes_than_came)

RUN_TESTS("simulation", TESTS)
