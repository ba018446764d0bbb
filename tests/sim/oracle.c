/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must hold after every step. It keeps its own books from actions and events, has its own table of transitions
 * (written from the model, not included from fsm.def), and compares them with what the engines show. The one place
 * where it looks inside is the record of a session: byte for byte before and after a refused message.
 * Read next: sim.h (struct sim_track), docs/proof.md.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define QUIET JUMP_MS(100000) /* nothing wrong for so long: everybody is attached. The switch rate's minute, and room */

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
    t->born_at = sim->now;
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

static struct jump_session *live(const struct sim_node *node, const struct jump_id *id)
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
static jump_time quiet_for(struct sim *sim, uint16_t n)
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
    switch (reason) {
    case JUMP_REASON_RECOVERY_WINDOW_EXCEEDED:
        if (t->recovering_at == JUMP_NEVER || sim->now - t->recovering_at < JUMP_MS(t->policy.recovery_window_ms))
            return "ended before its recovery window";
        return unbound_for > QUIET && quiet_for(sim, t->client) > QUIET ? "I10: ended at its window though nothing was wrong" : NULL;
    case JUMP_REASON_TRANSPORT_TTL_EXCEEDED:
        if (unbound_for < JUMP_MS(t->policy.transport_lost_ttl_ms))
            return "ended before its transport TTL";
        return !orphan && unbound_for > QUIET && quiet_for(sim, t->client) > QUIET ? "I10: ended at its TTL though nothing was wrong" : NULL;
    case JUMP_REASON_SESSION_LIFETIME_EXCEEDED:
        return sim->now - t->own_born_at < JUMP_MS(t->policy.max_lifetime_ms) || t->own_born_at < t->born_at ? "ended before its lifetime" : NULL;
    case JUMP_REASON_KEY_EXPIRED:
        /* a client has its key before it says its first word */
        return sim->now - t->born_at + JUMP_MS(20000) < JUMP_MS(t->policy.key_max_age_ms) ? "ended before its first key" : NULL;
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
        return peer && live(peer, &t->id) ? "its peer has it still" : NULL;
    case JUMP_REASON_UNKNOWN_SESSION:
        return peer && live(peer, &t->id) ? "its server knows it" : NULL;
    default:
        return "for no listed cause";
    }
}

/* --- what the engines say ----------------------------------------------------------------------------------- */

static void state_change(struct sim *sim, struct sim_track *t, const struct jump_event *e)
{
    const char *wrong;
    bool was_bound = jump_mode_bound((enum jump_mode)t->mode), bound = jump_mode_bound(e->new_mode);
    sim->totals.moves++;
    if (t->mode == JUMP_MODE_ATTACHED && e->new_mode != JUMP_MODE_TERMINATED && quiet_for(sim, t->client) > QUIET &&
        memcmp(&sim->clients[t->client].id, &t->id, sizeof t->id) == 0)
        sim_fail(sim, t->client, "calm", "nothing has been wrong for %.0f s and it left ATTACHED for %s (%s)",
                 (double)quiet_for(sim, t->client) / 1e9, jump_mode_name(e->new_mode), jump_reason_name(e->reason));
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

/* I4 by the events alone, not by the session's own ring. */
static void switched(struct sim *sim, struct sim_track *t, const struct jump_event *e)
{
    uint32_t room = sizeof t->switches / sizeof t->switches[0], recent = 0;
    sim->totals.switches++;
    if (t->server && e->generation != t->generation + 1)
        sim_fail(sim, t->client, "I1", "generation %llu after %llu", (unsigned long long)e->generation, (unsigned long long)t->generation);
    if (!t->server)
        return;
    t->switches[t->switch_count++ % room] = sim->now;
    for (uint32_t i = 0; i < room && i < t->switch_count; i++)
        recent += sim->now - t->switches[i] < JUMP_MS(60000);
    if (recent > t->policy.max_switches_per_min)
        sim_fail(sim, t->client, "I4", "%u switches in a minute, %u are allowed", recent, t->policy.max_switches_per_min);
}

/* A server may bind only what was the client's own address, and only what the store has taken. */
static void bound_there(struct sim *sim, struct sim_node *node, struct sim_track *t, const struct jump_action *a)
{
    struct sim_gateway *g = gateway_of(sim, t);
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
    const struct sim_client *c = &sim->clients[t->client];
    bool own = false;
    for (unsigned i = 0; i < c->machine->uplink_count && !own; i++)
        for (uint32_t k = 0; k < c->machine->uplinks[i].mapping_count && k < SIM_MAPPINGS && !own; k++) {
            const struct jump_path *known = &c->machine->uplinks[i].mappings[k];
            own = sim_same_path(known, &a->path) || /* of a restless NAT not all are remembered */
                  (c->machine->uplinks[i].mapping_count > SIM_MAPPINGS && memcmp(known->ip, a->path.ip, sizeof known->ip) == 0);
        }
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
    if (a->host != 0)
        t->client = (uint16_t)(a->host & 0xffff);
    switch (a->kind) {
    case JUMP_DO_SEND:
        if (t->over && type != JUMP_MSG_TERMINATE)
            sim_fail(sim, t->client, "I12", "a session spoke after it was TERMINATED");
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
        else if (a->event.kind == JUMP_EVENT_TRANSPORT_SWITCH)
            switched(sim, t, &a->event);
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

/* --- what the engines show ---------------------------------------------------------------------------------- */

static void look_at(struct sim *sim, struct sim_node *node, struct jump_session *s)
{
    struct sim_track *t = sim_track(sim, node, &s->id, false);
    bool bound = jump_session_bound(s);
    uint16_t client = t ? t->client : SIM_STRANGERS;
    sim->totals.checks++;
    if (!t) {
        if (s->version != 0)
            sim_fail(sim, client, "I13", "a session lives that no event told of");
        return;
    }
    t->policy = s->policy;
    t->own_born_at = s->born_at;
    bool fenced = t->server && s->u.server.fenced_at != JUMP_NEVER;
    if (t->over)
        sim_fail(sim, client, "I12", "a session lives that was TERMINATED");
    else if (s->mode != t->mode || s->version != t->version)
        sim_fail(sim, client, "I13", "it is %s at version %llu; the events say %s at %llu", jump_mode_name((enum jump_mode)s->mode),
                 (unsigned long long)s->version, jump_mode_name((enum jump_mode)t->mode), (unsigned long long)t->version);
    else if (s->generation != t->generation)
        sim_fail(sim, client, "I1", "generation %llu, its host was told %llu", (unsigned long long)s->generation,
                 (unsigned long long)t->generation);
    else if (t->bound != (bound && !fenced) || (t->bound && !sim_same_path(&t->path, &s->binding)))
        sim_fail(sim, client, "I1", "%s: its host was told another binding than it has", jump_mode_name((enum jump_mode)s->mode));
    else if ((s->mode == JUMP_MODE_BIRTH) != (s->version == 0))
        sim_fail(sim, client, "I8", "BIRTH has version 0 and nothing else has");
    if (sim_stands_still(sim, node) || (node->still_until != 0 && sim->now - node->still_until < JUMP_MS(1000)))
        return; /* its timers run when it runs again */
    if (jump_engine_deadline(node->engine) <= sim->now)
        return; /* something is due in this very instant: a policy that came in has just shortened a bound */
    const char *broken;
    if (s->version != 0 && sim->now > s->born_at + JUMP_MS(s->policy.max_lifetime_ms))
        sim_fail(sim, client, "I6", "it outlived max_lifetime");
    if (t->unbound_at != JUMP_NEVER && sim->now > t->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms))
        sim_fail(sim, client, "I7", "unbound for longer than its TTL");
    if (!t->server && t->recovering_at != JUMP_NEVER && sim->now > t->recovering_at + JUMP_MS(s->policy.recovery_window_ms) + 1)
        sim_fail(sim, client, "I5", "RECOVERING for longer than its window");
    if ((broken = jump_session_broken(s, &node->engine->table.shape, node->engine->now)) != NULL)
        sim_fail(sim, client, broken, "the core's own check finds it broken");
}

void sim_oracle_settled(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->touched_count; i++) {
        struct jump_session *s = live(node, &sim->touched[i]);
        if (s)
            look_at(sim, node, s);
        else {
            struct sim_track *t = sim_track(sim, node, &sim->touched[i], false);
            if (t && !t->over && t->version != 0)
                sim_fail(sim, t->client, "I13", "a session is gone without an event");
        }
    }
    sim->touched_count = 0;
}

/* --- one datagram ------------------------------------------------------------------------------------------- */

/* What a refused message may touch: counters of our own messages, the session's rate, notes of races (I14). */
static void blank(struct jump_session *s, bool server)
{
    s->send_counter = s->checked_version = 0;
    s->next_by_id = s->next_by_host = s->next_by_path = 0;
    if (!server)
        return;
    memset(&s->u.server.bucket, 0, sizeof s->u.server.bucket);
    memset(&s->u.server.race_path, 0, sizeof s->u.server.race_path);
    s->u.server.race_attempt = 0;
    s->u.server.race_candidate = 0;
}

#define MOST_SESSION_BYTES 4096

void sim_oracle_before(struct sim *sim, struct sim_node *node, const struct jump_input *in)
{
    const struct jump_table *table = &node->engine->table;
    memset(&sim->hand, 0, sizeof sim->hand);
    sim->hand.from = in->path;
    sim->hand.sessions = table->count;
    if (in->bytes_len >= JUMP_AT_NONCE)
        memcpy(&sim->hand.id, in->bytes + JUMP_AT_SESSION, sizeof sim->hand.id);
    struct jump_session *s = live(node, &sim->hand.id);
    sim->hand.known = s != NULL;
    if (s)
        memcpy(sim->before, s, table->slot_bytes);
    sim->hand.all = sim->totals.datagrams % 1024 == 0 && table->capacity * table->slot_bytes <= sim->all_room;
    if (sim->hand.all)
        memcpy(sim->all_before, table->slots, table->capacity * table->slot_bytes);
}

static void unchanged(struct sim *sim, struct sim_node *node, void *before, const struct jump_session *now)
{
    static union {
        struct jump_session session;
        uint8_t bytes[MOST_SESSION_BYTES];
    } after;
    bool server = node->index >= SIM_CLIENTS;
    size_t len = node->engine->table.slot_bytes;
    memcpy(after.bytes, now, len);
    blank(before, server);
    blank(&after.session, server);
    for (size_t i = 0; memcmp(before, after.bytes, len) != 0 && i < len; i++)
        if (((uint8_t *)before)[i] != after.bytes[i]) {
            struct sim_track *t = sim_track(sim, node, &now->id, false);
            sim_fail(sim, t ? t->client : SIM_STRANGERS, "I14", "a refused message changed byte %zu of a session's record", i);
            return;
        }
}

static bool enters_window(uint8_t type, bool server)
{
    return server ? type == JUMP_MSG_BIRTH || type == JUMP_MSG_PROBE || type == JUMP_MSG_TERMINATE
                  : type != JUMP_MSG_COOKIE && type != JUMP_MSG_RESET;
}

void sim_oracle_after(struct sim *sim, struct sim_node *node, const struct jump_input *in, int result,
                      const struct sim_flight *flight)
{
    bool server = node->index >= SIM_CLIENTS;
    uint8_t type = in->bytes[0] & 15, *accepted = &sim->accepted[flight->serial % SIM_SERIALS / 8], bit = (uint8_t)(1u << flight->serial % 8);
    const struct jump_table *table = &node->engine->table;
    struct jump_session *s = live(node, &sim->hand.id);
    uint16_t client = flight->client;
    if (table->count > sim->hand.sessions)
        sim_fail(sim, client, "I2", "a message made a session");
    if (result < 0) {
        sim->totals.refused++;
        if (sim->hand.known && !s)
            sim_fail(sim, client, "I14", "a refused message ended a session");
        else if (sim->hand.known)
            unchanged(sim, node, sim->before, s);
        for (uint32_t slot = 0; sim->hand.all && slot < table->capacity; slot++) {
            struct jump_session *was = (struct jump_session *)(void *)(sim->all_before + slot * table->slot_bytes);
            if (was->used && jump_table_slot(table, slot))
                unchanged(sim, node, was, jump_table_slot(table, slot));
        }
    } else {
        if (flight->tampered == 2 || (flight->tampered == 1 && type != JUMP_MSG_COOKIE && type != JUMP_MSG_RESET)) {
            if (type != JUMP_MSG_COOKIE)
                sim_fail(sim, client, "forged", "a message of type %u that nobody sealed was taken", type);
        } else if (sim->hand.known && enters_window(type, server) && (*accepted & bit) && sim->serials - flight->serial < SIM_SERIALS)
            sim_fail(sim, client, "replay", "a message of type %u was taken twice", type);
        *accepted |= bit;
    }
    if (server && (sim->hand.replies > 1 || sim->hand.reply_bytes > in->bytes_len))
        sim_fail(sim, client, "R-8", "%u replies, %zu bytes for %zu", sim->hand.replies, sim->hand.reply_bytes, in->bytes_len);
    if (s)
        look_at(sim, node, s);
    memset(&sim->hand, 0, sizeof sim->hand);
}

/* --- from time to time -------------------------------------------------------------------------------------- */

static void everybody_is_back(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    struct sim_node *there = &sim->gateways[c->gateway].node;
    if (!c->present || !c->machine->node.engine || quiet_for(sim, n) <= QUIET)
        return;
    struct jump_session *mine = live(&c->machine->node, &c->id), *theirs = live(there, &c->id);
    if (!theirs && there->engine->table.count + 1 >= there->config.max_sessions)
        return; /* no room at the inn: refused, and told so */
    if (sim->now - c->opened_at < JUMP_MS(30000))
        return; /* began anew a moment ago, for a cause that was looked at when it ended */
    if (!mine || !theirs)
        sim_fail(sim, n, "I10", "nothing has been wrong for %.0f s and there is no session at the %s", (double)quiet_for(sim, n) / 1e9,
                 mine ? "server" : "client");
    else if (mine->mode != JUMP_MODE_ATTACHED || theirs->mode != JUMP_MODE_ATTACHED)
        sim_fail(sim, n, "I10", "nothing has been wrong for %.0f s and it is %s at the client, %s at the server",
                 (double)quiet_for(sim, n) / 1e9, jump_mode_name((enum jump_mode)mine->mode), jump_mode_name((enum jump_mode)theirs->mode));
    else if (mine->generation != theirs->generation)
        sim_fail(sim, n, "I10", "generation %llu at the client, %llu at the server", (unsigned long long)mine->generation,
                 (unsigned long long)theirs->generation);
    else {
        struct jump_path own = sim_address(&c->machine->uplinks[(mine->binding.transport - 1u) % SIM_UPLINKS]);
        if (!sim_same_path(&own, &theirs->binding))
            sim_fail(sim, n, "I10", "the server is bound to another address than the client has");
    }
}

void sim_oracle_look(struct sim *sim, struct sim_node *node)
{
    for (uint32_t slot = 0; slot < node->engine->table.capacity; slot++) {
        struct jump_session *s = jump_table_slot(&node->engine->table, slot);
        if (s && jump_session_live(s))
            look_at(sim, node, s);
    }
}

void sim_oracle_bounds(struct sim *sim, struct sim_node *node)
{
    for (uint32_t slot = 0; slot < node->engine->table.capacity; slot++) {
        const struct jump_session *s = jump_table_slot(&node->engine->table, slot);
        struct sim_track *t = s ? sim_track(sim, node, &s->id, false) : NULL;
        if (t)
            t->policy = s->policy;
    }
}

void sim_oracle_sweep(struct sim *sim)
{
    for (unsigned i = 0; i < sim->script->clients + sim->script->gateways && !sim->failed; i++) {
        struct sim_node *node = i < sim->script->clients ? &sim->clients[i].node : &sim->gateways[i - sim->script->clients].node;
        if (node->engine)
            sim_oracle_look(sim, node);
        if (i < sim->script->clients)
            everybody_is_back(sim, (uint16_t)i);
    }
    /* Where both ends hold one session, the client never runs ahead of the server. */
    for (uint16_t n = 0; n < sim->script->clients && !sim->failed; n++) {
        struct sim_client *c = &sim->clients[n];
        struct jump_session *mine = c->present ? live(&c->machine->node, &c->id) : NULL;
        struct jump_session *theirs = mine ? live(&sim->gateways[c->gateway].node, &c->id) : NULL;
        if (theirs && theirs->mode != JUMP_MODE_BIRTH && mine->generation > theirs->generation)
            sim_fail(sim, n, "I1", "the client is at a generation that the server does not know");
    }
}
