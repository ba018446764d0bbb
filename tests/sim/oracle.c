/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the engines say, and whether they may: the oracle keeps its own books from actions and events, and has its own table of
 * transitions (written from the model, not included from fsm.def). look.c compares the books with what the engines show.
 * Read next: sim.h (struct sim_track), docs/proof.md.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

void sim_fail(struct sim *sim, uint16_t client, const char *what, const char *format, ...)
{
    va_list words;
    if (sim->failed)
        return;
    sim->failed = true;
    sim->failed_client = client;
    sim->failed_at = sim->now;
    snprintf(sim->failed_what, sizeof sim->failed_what, "%s", what);
    va_start(words, format);
    vsnprintf(sim->failure, sizeof sim->failure, format, words);
    va_end(words);
}

/* --- the books ---------------------------------------------------------------------------------------------- */

static uint32_t place(const struct sim *sim, const struct sim_node *node, const struct jump_id *id)
{
    uint64_t word;
    memcpy(&word, id->bytes, sizeof word);
    return (uint32_t)sim_mix(word, node->index, node->starts) & (sim->track_room - 1);
}

static bool is_of(const struct sim_track *t, const struct sim_node *node, const struct jump_id *id)
{
    return t->node == node->index && t->start == node->starts && memcmp(&t->id, id, sizeof *id) == 0;
}

struct sim_track *sim_track(struct sim *sim, const struct sim_node *node, const struct jump_id *id, bool make)
{
    if (2 * sim->track_count >= sim->track_room) {
        uint32_t old_room = sim->track_room;
        struct sim_track **old = sim->tracks;
        sim->track_room = old_room ? 2 * old_room : 4096;
        sim->tracks = sim_more(NULL, sim->track_room * sizeof *sim->tracks);
        memset(sim->tracks, 0, sim->track_room * sizeof *sim->tracks);
        for (uint32_t i = 0; i < old_room; i++) {
            if (!old[i])
                continue;
            struct sim_node of = { .index = old[i]->node, .starts = old[i]->start };
            uint32_t at = place(sim, &of, &old[i]->id);
            while (sim->tracks[at])
                at = (at + 1) & (sim->track_room - 1);
            sim->tracks[at] = old[i];
        }
        free(old);
    }
    uint32_t at = place(sim, node, id);
    while (sim->tracks[at] && !is_of(sim->tracks[at], node, id))
        at = (at + 1) & (sim->track_room - 1);
    if (sim->tracks[at] || !make)
        return sim->tracks[at];
    struct sim_track *t = sim_more(NULL, sizeof *t);
    memset(t, 0, sizeof *t);
    t->id = *id;
    t->node = node->index;
    t->start = node->starts;
    t->server = node->index >= SIM_CLIENTS;
    t->client = t->server ? SIM_STRANGERS : node->index;
    t->mode = JUMP_MODE_BIRTH;
    t->born_at = t->keyed_at = sim->now;
    t->policy = node->config.policy;
    t->unbound_at = t->recovering_at = JUMP_NEVER;
    sim->tracks[at] = t;
    sim->track_count++;
    return t;
}

static struct sim_gateway *gateway_of(struct sim *sim, const struct sim_track *t)
{
    return &sim->gateways[t->node - SIM_CLIENTS];
}

static void let_go(struct sim *sim, struct sim_track *t)
{
    if (t->bound && t->server) {
        struct sim_gateway *g = gateway_of(sim, t);
        g->bound[t->bound_at] = g->bound[--g->bound_count];
        g->bound[t->bound_at]->bound_at = t->bound_at;
    }
    t->bound = false;
}

static void hold(struct sim *sim, struct sim_track *t)
{
    struct sim_gateway *g = t->server ? gateway_of(sim, t) : NULL;
    if (g && !t->bound) {
        if (g->bound_count == g->bound_room) {
            g->bound_room = g->bound_room ? 2 * g->bound_room : 64;
            g->bound = sim_more(g->bound, g->bound_room * sizeof *g->bound);
        }
        t->bound_at = g->bound_count;
        g->bound[g->bound_count++] = t;
    }
    t->bound = true;
}

struct jump_session *sim_live(const struct sim_node *node, const struct jump_id *id)
{
    struct jump_session *s = node->engine ? jump_table_by_id(&node->engine->table, id) : NULL;
    return s && jump_session_live(s) ? s : NULL;
}

/* --- the table of transitions, from the model --------------------------------------------------------------- */

#define M(name) (1u << JUMP_MODE_##name)
#define R(name) (UINT64_C(1) << JUMP_REASON_##name)
#define ALIVE (M(BIRTH) | M(ATTACHED) | M(VOLATILE) | M(DEGRADED_BOUND) | M(DEGRADED_UNBOUND) | M(RECOVERING_BOUND) | M(RECOVERING_UNBOUND))
#define DENIALS                                                                                                     \
    (R(REATTACH_VALIDATION_FAILED) | R(NO_CANDIDATE_TRANSPORTS) | R(SWITCH_RATE_LIMITED) | R(COOLDOWN_ACTIVE) |     \
     R(POLICY_DENIED) | R(RATE_LIMITED) | R(INVALID_STATE_FOR_REATTACH) | R(SESSION_EXPIRED) |                      \
     R(INVALID_TRANSPORT_CANDIDATE) | R(ATOMICITY_FAILED) | R(OWNERSHIP_CONFLICT) | R(NOT_AUTHORITATIVE_OWNER) |    \
     R(BAD_PROOF) | R(RECOVERY_WINDOW_EXCEEDED))
enum { CLIENT = JUMP_CLIENT, SERVER = JUMP_SERVER, BOTH = JUMP_CLIENT | JUMP_SERVER };

static const struct {
    const char *name;
    unsigned roles, from, to;
    uint64_t reasons;
} transitions[] = {
    { "T1", BOTH, M(BIRTH), JUMP_MODE_ATTACHED, R(ATTACHED_TO_TRANSPORT) },
    { "T2", BOTH, M(BIRTH), JUMP_MODE_TERMINATED, R(HANDSHAKE_FAIL) },
    { "T3", BOTH, M(ATTACHED), JUMP_MODE_VOLATILE,
      R(LOSS_THRESHOLD_EXCEEDED) | R(CONSECUTIVE_DROP_EXCEEDED) | R(HEARTBEAT_TIMEOUT) | R(LATENCY_THRESHOLD_EXCEEDED) },
    { "T4", BOTH, M(ATTACHED), JUMP_MODE_RECOVERING_UNBOUND, R(TRANSPORT_DEAD) },
    { "T5", SERVER, M(ATTACHED), JUMP_MODE_RECOVERING_BOUND, R(TRANSPORT_DEAD) | R(LOSS_RECOVERY) },
    { "T5", SERVER, M(VOLATILE) | M(DEGRADED_BOUND), JUMP_MODE_RECOVERING_BOUND, R(DEAD_TRANSPORT_RECOVERY) | R(LOSS_RECOVERY) },
    { "T6", BOTH, M(VOLATILE) | M(DEGRADED_BOUND), JUMP_MODE_ATTACHED, R(HEALTH_RECOVERED) },
    { "T7", BOTH, M(VOLATILE) | M(DEGRADED_BOUND), JUMP_MODE_RECOVERING_UNBOUND, R(DEAD_TRANSPORT_RECOVERY) },
    { "T8", CLIENT, M(VOLATILE) | M(DEGRADED_BOUND), JUMP_MODE_RECOVERING_BOUND, R(LOSS_RECOVERY) | R(POLICY_FORCED_RECOVERY) },
    { "T9", BOTH, M(VOLATILE), JUMP_MODE_DEGRADED_BOUND, R(VOLATILE_PERSISTED) },
    { "T10", CLIENT, M(VOLATILE), JUMP_MODE_DEGRADED_BOUND, R(SWITCH_RATE_LIMITED) | R(COOLDOWN_ACTIVE) | R(POLICY_DENIED) },
    { "T12", BOTH, M(RECOVERING_BOUND) | M(RECOVERING_UNBOUND), JUMP_MODE_ATTACHED, R(REATTACH_SUCCESS) },
    { "T13", CLIENT, M(RECOVERING_BOUND), JUMP_MODE_DEGRADED_BOUND, DENIALS },
    { "T13", CLIENT, M(RECOVERING_UNBOUND), JUMP_MODE_DEGRADED_UNBOUND, DENIALS },
    { "T15", CLIENT, M(RECOVERING_UNBOUND), JUMP_MODE_TERMINATED, R(RECOVERY_WINDOW_EXCEEDED) },
    { "T16", CLIENT, M(RECOVERING_BOUND), JUMP_MODE_DEGRADED_BOUND, R(RECOVERY_WINDOW_EXCEEDED) },
    { "T17", BOTH, ALIVE, JUMP_MODE_TERMINATED, R(SESSION_LIFETIME_EXCEEDED) },
    { "T18", BOTH, M(DEGRADED_UNBOUND) | M(RECOVERING_UNBOUND), JUMP_MODE_TERMINATED, R(TRANSPORT_TTL_EXCEEDED) },
    { "T19", SERVER, ALIVE, JUMP_MODE_TERMINATED, R(OWNERSHIP_CONFLICT) },
    { "T21", BOTH, ALIVE, JUMP_MODE_TERMINATED, R(OPERATOR_TERMINATED) | R(PEER_TERMINATED) | R(HOST_TERMINATED) | R(UNKNOWN_SESSION) },
    { "T23", CLIENT, M(RECOVERING_BOUND), JUMP_MODE_RECOVERING_UNBOUND, R(TRANSPORT_DEAD) },
    { "T24", CLIENT, M(DEGRADED_UNBOUND), JUMP_MODE_RECOVERING_UNBOUND, R(RECOVERY_RETRY) },
    { "T25", BOTH, ALIVE, JUMP_MODE_TERMINATED, R(KEY_EXPIRED) },
};

static bool in_table(const struct jump_event *e, unsigned role)
{
    for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++)
        if (e->row && strcmp(transitions[i].name, e->row) == 0 && (transitions[i].roles & role) &&
            (transitions[i].from >> e->previous_mode & 1) && transitions[i].to == (unsigned)e->new_mode &&
            (transitions[i].reasons >> e->reason & 1))
            return true;
    return false;
}

/* --- why a session may end (I3) ----------------------------------------------------------------------------- */

/* How long nothing has been wrong for this client. */
jump_time sim_quiet_for(struct sim *sim, uint16_t n)
{
    if (n >= SIM_CLIENTS)
        return 0;
    const struct sim_client *c = &sim->clients[n];
    const struct sim_track *there = sim_track(sim, &sim->gateways[c->gateway].node, &c->id, false);
    if (memcmp(&c->forgotten, &c->id, sizeof c->id) == 0 || (there && there->stolen))
        return 0; /* nothing that it tries can be written: it waits its window out */
    jump_time since = c->quiet_at, other = sim->gateways[c->gateway].quiet_at;
    since = since > other ? since : other;
    since = since > c->machine->quiet_at ? since : c->machine->quiet_at;
    return sim->now > since ? sim->now - since : 0;
}

static const char *no_cause(struct sim *sim, struct sim_track *t, enum jump_reason reason)
{
    const struct sim_client *c = t->client < SIM_CLIENTS ? &sim->clients[t->client] : NULL;
    const struct sim_node *peer = t->server ? (c ? &c->machine->node : NULL) : c ? &sim->gateways[c->gateway].node : NULL;
    jump_time unbound_for = t->unbound_at == JUMP_NEVER ? 0 : sim->now - t->unbound_at;
    uint32_t birth_window;
    bool orphan = t->server && c && memcmp(&c->id, &t->id, sizeof t->id) != 0; /* its client has begun anew */
    bool known = t->server || t->policy_known; /* a server that was lost before it attached took the client's bounds with it */
    switch (reason) {
    case JUMP_REASON_RECOVERY_WINDOW_EXCEEDED:
        if (t->recovering_at == JUMP_NEVER || (known && sim->now - t->recovering_at < JUMP_MS(t->policy.recovery_window_ms)))
            return "ended before its recovery window";
        return unbound_for > SIM_QUIET && sim_quiet_for(sim, t->client) > SIM_QUIET ? "I10: ended at its window though nothing was wrong" : NULL;
    case JUMP_REASON_TRANSPORT_TTL_EXCEEDED:
        if (known && unbound_for < JUMP_MS(t->policy.transport_lost_ttl_ms))
            return "ended before its transport TTL";
        return !orphan && unbound_for > SIM_QUIET && sim_quiet_for(sim, t->client) > SIM_QUIET ? "I10: ended at its TTL though nothing was wrong" : NULL;
    case JUMP_REASON_SESSION_LIFETIME_EXCEEDED:
        return known && sim->now - t->born_at < JUMP_MS(t->policy.max_lifetime_ms) ? "ended before its lifetime" : NULL;
    case JUMP_REASON_KEY_EXPIRED:
        /* a client has its key before it says its first word */
        return known && sim->now - t->born_at + JUMP_MS(20000) < JUMP_MS(t->policy.key_max_age_ms) ? "ended before its first key" : NULL;
    case JUMP_REASON_HANDSHAKE_FAIL: /* a new policy shortens one that runs */
        birth_window = t->server ? gateway_of(sim, t)->node.config.policy.birth_window_ms : UINT32_MAX;
        birth_window = birth_window < t->policy.birth_window_ms ? birth_window : t->policy.birth_window_ms;
        return !t->closed && sim->now - t->born_at < JUMP_MS(birth_window) ? "ended before its birth window" : NULL;
    case JUMP_REASON_HOST_TERMINATED:
        return t->closed ? NULL : "nobody closed it";
    case JUMP_REASON_OPERATOR_TERMINATED:
        return t->by_operator ? NULL : "no operator ended it";
    case JUMP_REASON_OWNERSHIP_CONFLICT:
        return t->stolen ? NULL : "nobody else wrote its record";
    case JUMP_REASON_PEER_TERMINATED:
        return peer && sim_live(peer, &t->id) ? "its peer has it still" : NULL;
    case JUMP_REASON_UNKNOWN_SESSION:
        return peer && sim_live(peer, &t->id) ? "its server knows it" : NULL;
    default:
        return "for no listed cause";
    }
}

/* --- the policy of a session --------------------------------------------------------------------------------- */

/* No bound that ends it is later than the other's. */
static void tighten(struct jump_policy *own, const struct jump_policy *other)
{
#define LOWER(key) own->key = own->key < other->key ? own->key : other->key
    LOWER(max_lifetime_ms);
    LOWER(transport_lost_ttl_ms);
    LOWER(recovery_window_ms);
#undef LOWER
}

void sim_oracle_bounds(struct sim *sim, struct sim_node *node, const struct jump_policy *policy)
{
    for (uint32_t i = 0; i < sim->track_room; i++) {
        struct sim_track *t = sim->tracks[i];
        if (!t || t->node != node->index || t->start != node->starts)
            continue;
        tighten(&t->policy, policy);
        if (policy->key_max_age_ms < t->policy.key_max_age_ms)
            t->policy.key_max_age_ms = policy->key_max_age_ms;
    }
}

void sim_oracle_rekeyed(struct sim *sim, struct sim_node *node, const struct jump_id *id)
{
    struct sim_track *t = sim_track(sim, node, id, false);
    if (t)
        t->keyed_at = sim->now;
}

/* --- what the engines say ----------------------------------------------------------------------------------- */

static void state_change(struct sim *sim, struct sim_track *t, const struct jump_event *e)
{
    const char *wrong;
    bool was_bound = jump_mode_bound((enum jump_mode)t->mode), bound = jump_mode_bound(e->new_mode);
    sim->totals.moves++;
    if (t->mode == JUMP_MODE_ATTACHED && e->new_mode != JUMP_MODE_TERMINATED && sim_quiet_for(sim, t->client) > SIM_QUIET &&
        memcmp(&sim->clients[t->client].id, &t->id, sizeof t->id) == 0)
        sim_fail(sim, t->client, "calm", "nothing has been wrong for %.0f s and it left ATTACHED for %s (%s)",
                 (double)sim_quiet_for(sim, t->client) / 1e9, jump_mode_name(e->new_mode), jump_reason_name(e->reason));
    if (t->over)
        sim_fail(sim, t->client, "I12", "a session moved after it was TERMINATED");
    else if (!in_table(e, t->server ? SERVER : CLIENT))
        sim_fail(sim, t->client, e->reason == JUMP_REASON_INVARIANT_VIOLATION ? "I3" : "I9", "%s -> %s for %s as %s is not in the model",
                 jump_mode_name(e->previous_mode), jump_mode_name(e->new_mode), jump_reason_name(e->reason), e->row ? e->row : "?");
    else if (e->previous_mode != (enum jump_mode)t->mode)
        sim_fail(sim, t->client, "I13", "an event is missing: it was %s and comes from %s", jump_mode_name((enum jump_mode)t->mode),
                 jump_mode_name(e->previous_mode));
    else if (e->state_version != t->version + 1)
        sim_fail(sim, t->client, "I8", "state_version %llu after %llu", (unsigned long long)e->state_version,
                 (unsigned long long)t->version);
    if (t->server && t->mode == JUMP_MODE_BIRTH && t->client < SIM_CLIENTS) /* its client has asked for its own bounds, if tighter */
        tighten(&t->policy, &sim->clients[t->client].machine->node.config.policy);
    t->mode = (uint8_t)e->new_mode;
    t->version = e->state_version;
    if (was_bound && !bound && t->bound)
        t->unbound_at = sim->now; /* else its host was told before: fenced */
    if (jump_mode_state(e->new_mode) == JUMP_RECOVERING && e->previous_mode != JUMP_MODE_RECOVERING_BOUND)
        t->recovering_at = sim->now; /* T23 keeps the deadline */
    else if (jump_mode_state(e->new_mode) != JUMP_RECOVERING && e->new_mode != JUMP_MODE_TERMINATED)
        t->recovering_at = JUMP_NEVER;
    if (e->new_mode != JUMP_MODE_TERMINATED)
        return;
    sim->totals.ended++;
    if ((wrong = no_cause(sim, t, e->reason)) != NULL)
        sim_fail(sim, t->client, strncmp(wrong, "I10", 3) == 0 ? "I10" : "I3", "%s (%s) %s", jump_mode_name(e->previous_mode),
                 jump_reason_name(e->reason), wrong);
    t->over = true;
    if (t->client < SIM_CLIENTS && (e->reason == JUMP_REASON_SESSION_LIFETIME_EXCEEDED || e->reason == JUMP_REASON_KEY_EXPIRED ||
                                    e->reason == JUMP_REASON_RECOVERY_WINDOW_EXCEEDED || e->reason == JUMP_REASON_TRANSPORT_TTL_EXCEEDED) &&
        sim->clients[t->client].quiet_at < sim->now)
        sim->clients[t->client].quiet_at = sim->now; /* a bound was reached, as it must be: it begins anew */
}

/* I4 by what the host was told, not by the session's own ring. */
static void switched(struct sim *sim, struct sim_track *t)
{
    uint32_t room = sizeof t->switches / sizeof t->switches[0], recent = 0;
    sim->totals.switches++;
    t->switches[t->switch_count++ % room] = sim->now;
    for (uint32_t i = 0; i < room && i < t->switch_count; i++)
        recent += sim->now - t->switches[i] < JUMP_MS(60000);
    if (recent > t->policy.max_switches_per_min)
        sim_fail(sim, t->client, "I4", "%u switches in a minute, %u are allowed", recent, t->policy.max_switches_per_min);
}

/* Was this ever its address? Of a NAT that changes often the newest mappings are remembered, and every address. */
static bool had(const struct sim_uplink *u, const struct jump_path *path)
{
    struct sim_uplink before = *u;
    for (uint32_t k = 0; k < u->mapping_count && k < SIM_MAPPINGS; k++)
        if (sim_same_path(&u->mappings[k], path))
            return true;
    for (unsigned number = 0; u->mapping_count > SIM_MAPPINGS && number <= u->number; number++) {
        before.number = (uint8_t)number;
        struct jump_path address = sim_address(&before);
        if (memcmp(address.ip, path->ip, sizeof address.ip) == 0)
            return true;
    }
    return false;
}

/* A server may bind only what was the client's own address, and only what the store has taken. */
static void bound_there(struct sim *sim, struct sim_node *node, struct sim_track *t, const struct jump_action *a)
{
    struct sim_gateway *g = gateway_of(sim, t);
    if (a->generation != t->generation + 1)
        sim_fail(sim, t->client, "I1", "generation %llu after %llu", (unsigned long long)a->generation, (unsigned long long)t->generation);
    if (t->generation != 0)
        switched(sim, t);
    if (t->stored_generation != a->generation || !sim_same_path(&t->stored_path, &a->path))
        sim_fail(sim, t->client, "I11", "generation %llu was bound before the store had it", (unsigned long long)a->generation);
    for (uint32_t i = 0; i < g->bound_count && node->config.unique_path; i++)
        if (g->bound[i] != t && sim_same_path(&g->bound[i]->path, &a->path))
            sim_fail(sim, t->client, "I1", "a path was bound that another session has");
    for (uint16_t other = 0; other < sim->script->gateways; other++) {
        struct sim_node *there = &sim->gateways[other].node;
        struct sim_track *twice = there == node || !there->engine ? NULL : sim_track(sim, there, &t->id, false);
        if (twice && twice->bound)
            sim_fail(sim, t->client, "I11", "two gateways have bound one session");
    }
    if (t->client >= SIM_CLIENTS)
        return;
    bool own = false;
    for (unsigned i = 0; i < sim->clients[t->client].machine->uplink_count && !own; i++)
        own = had(&sim->clients[t->client].machine->uplinks[i], &a->path);
    if (!own)
        sim_fail(sim, t->client, "path", "an address was bound that never was the client's");
}

static void bind(struct sim *sim, struct sim_node *node, struct sim_track *t, const struct jump_action *a)
{
    if (t->over)
        sim_fail(sim, t->client, "I12", "a session was bound after it was TERMINATED");
    if (a->generation < t->generation)
        sim_fail(sim, t->client, "I1", "a generation fell");
    if (t->server)
        bound_there(sim, node, t, a);
    t->generation = a->generation;
    t->path = a->path;
    t->unbound_at = t->recovering_at = JUMP_NEVER;
    hold(sim, t);
}

static void touch(struct sim *sim, const struct jump_id *id)
{
    if (sim->touched_count > 0 && memcmp(&sim->touched[sim->touched_count - 1], id, sizeof *id) == 0)
        return;
    if (sim->touched_count < sizeof sim->touched / sizeof sim->touched[0])
        sim->touched[sim->touched_count++] = *id;
}

/* One key and one nonce are for one message: a session's counters rise, over every epoch and beyond its end. */
static void sealed(struct sim *sim, struct sim_track *t, const struct jump_action *a)
{
    uint64_t counter = 0;
    for (unsigned i = 0; i < 8; i++)
        counter = counter << 8 | a->bytes[JUMP_AT_NONCE + i];
    if (counter <= t->sent)
        sim_fail(sim, t->client, "nonce", "counter %llu after %llu", (unsigned long long)counter, (unsigned long long)t->sent);
    if (t->sent == 0 && !t->server)
        t->born_at = sim->now; /* its BIRTH: what it heard before was not for a session yet */
    t->sent = counter;
}

void sim_oracle_action(struct sim *sim, struct sim_node *node, const struct jump_action *a)
{
    uint8_t type = a->bytes[0] & 15;
    if (a->kind == JUMP_DO_EMIT && !(a->event.fields & JUMP_FIELD_SESSION))
        return;
    if (a->kind == JUMP_DO_SEND && sim_same_path(&a->path, &sim->hand.from)) {
        sim->hand.replies++;
        sim->hand.reply_bytes += a->bytes_len;
    }
    if (a->kind == JUMP_DO_SEND && (type == JUMP_MSG_RESET || type == JUMP_MSG_COOKIE))
        return; /* to whom is nobody yet, or no longer */
    const struct jump_id *id = a->kind == JUMP_DO_EMIT ? &a->event.session_id : &a->session_id;
    struct sim_track *t = sim_track(sim, node, id, true);
    touch(sim, id);
    if (a->host != 0 && t->host != 0 && a->host != t->host)
        sim_fail(sim, t->client, "host", "a session of %llx speaks for %llx", (unsigned long long)t->host, (unsigned long long)a->host);
    if (a->host != 0) {
        t->host = a->host;
        t->client = (uint16_t)(a->host & 0xffff);
    }
    switch (a->kind) {
    case JUMP_DO_SEND:
        if (t->over && type != JUMP_MSG_TERMINATE)
            sim_fail(sim, t->client, "I12", "a session spoke after it was TERMINATED");
        sealed(sim, t, a);
        break;
    case JUMP_DO_BIND:
        bind(sim, node, t, a);
        break;
    case JUMP_DO_UNBIND:
        if (!t->bound || !sim_same_path(&t->path, &a->path))
            sim_fail(sim, t->client, "I1", "a path was unbound that was not the binding");
        t->unbound_at = sim->now;
        let_go(sim, t);
        break;
    case JUMP_DO_END:
        if (!t->over)
            sim_fail(sim, t->client, "I13", "a session ended without an event");
        let_go(sim, t);
        break;
    case JUMP_DO_EMIT:
        if (a->event.kind == JUMP_EVENT_STATE_CHANGE)
            state_change(sim, t, &a->event);
        break;
    default:
        break;
    }
}

enum jump_store_result sim_oracle_write(struct sim *sim, struct sim_node *node, const struct jump_action *action,
                                        uint64_t *revision)
{
    struct sim_track *t = sim_track(sim, node, &action->session_id, true);
    if (action->revision != t->revision) {
        if (!t->stolen)
            sim_fail(sim, t->client, "I8", "a stale write: revision %llu, the store has %llu", (unsigned long long)action->revision,
                     (unsigned long long)t->revision);
        return JUMP_STORE_CONFLICT;
    }
    t->revision = *revision = ++sim->gateways[node->index - SIM_CLIENTS].writes;
    return JUMP_STORE_DONE;
}

void sim_oracle_stored(struct sim *sim, struct sim_node *node, const struct sim_answer *answer)
{
    struct sim_track *t = sim_track(sim, node, &answer->in.session_id, true);
    if (answer->version < t->stored_version)
        sim_fail(sim, t->client, "I8", "the record's version fell");
    if (answer->attempt < t->stored_attempt || answer->counter < t->stored_counter)
        sim_fail(sim, t->client, "proof", "the attempt or the counter of the last accepted PROOF fell");
    if (t->stored_generation > 0 && answer->generation > t->stored_generation && answer->counter == t->stored_counter)
        sim_fail(sim, t->client, "proof", "one PROOF has moved the binding twice");
    t->stored_attempt = answer->attempt;
    t->stored_counter = answer->counter;
    t->stored_version = answer->version;
    t->stored_generation = answer->generation;
    t->stored_path = answer->path;
}

void sim_oracle_stopped(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->track_room; i++) {
        struct sim_track *t = sim->tracks[i];
        if (t && t->node == node->index && t->start == node->starts) {
            let_go(sim, t);
            t->gone = true;
        }
    }
}
