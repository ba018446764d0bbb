/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the engines show, beside the oracle's books: every session that a step touched, now and then all of them; and a session's
 * record, byte for byte, before and after a refused message. There, and for the bounds that a session has, the oracle
 * looks inside. Read next: oracle.c.
 */
#include <string.h>

#include "sim.h"

/* A session has the policy that it was born under; what the books cannot know of a client's, they take over at its birth if no
 * bound is wider than it asked for, nor tighter than its server's, and nothing else differs from its server's. */
static void policy(struct sim *sim, struct sim_track *t, const struct jump_session *s)
{
    if (sim->new_policy || s->version == 0)
        return;
    if (!t->server && !t->policy_known && t->client < SIM_CLIENTS) {
        struct sim_client *c = &sim->clients[t->client];
        struct sim_track *there = sim_track(sim, &sim->gateways[c->gateway].node, &t->id, false);
        const struct jump_policy *asked = &t->policy, *least = there && there->version != 0 ? &there->policy : NULL;
        struct jump_policy rest = s->policy;
        if (!least)
            return; /* its server attaches with the first PROBE */
#define BETWEEN(key) \
    if (s->policy.key > asked->key || s->policy.key < least->key) \
        sim_fail(sim, t->client, "policy", #key " is %u at the client, who asked for %u; %u at the server", s->policy.key, asked->key, least->key); \
    rest.key = least->key
        BETWEEN(max_lifetime_ms);
        BETWEEN(transport_lost_ttl_ms);
        BETWEEN(recovery_window_ms);
#undef BETWEEN
        rest.key_max_age_ms = least->key_max_age_ms < rest.key_max_age_ms ? least->key_max_age_ms : rest.key_max_age_ms;
        if (memcmp(&rest, least, sizeof rest) != 0)
            sim_fail(sim, t->client, "policy", "the client has another policy than its server");
        t->policy = s->policy;
        t->policy_known = true;
    } else if ((t->server || t->policy_known) && memcmp(&t->policy, &s->policy, sizeof t->policy) != 0)
        sim_fail(sim, t->client, "policy", "its policy is not the one that it was born under");
}

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
    policy(sim, t, s);
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
    if (s->version != 0 && sim->now > t->born_at + JUMP_MS(t->policy.max_lifetime_ms))
        sim_fail(sim, client, "I6", "it outlived max_lifetime");
    if (t->unbound_at == JUMP_NEVER && s->version != 0 && sim->now > t->keyed_at + JUMP_MS(t->policy.key_max_age_ms))
        sim_fail(sim, client, "key", "it has outlived the newest key that it can have");
    if (t->unbound_at != JUMP_NEVER && sim->now > t->unbound_at + JUMP_MS(t->policy.transport_lost_ttl_ms))
        sim_fail(sim, client, "I7", "unbound for longer than its TTL");
    if (!t->server && t->recovering_at != JUMP_NEVER && sim->now > t->recovering_at + JUMP_MS(t->policy.recovery_window_ms) + 1)
        sim_fail(sim, client, "I5", "RECOVERING for longer than its window");
    if ((broken = jump_session_broken(s, &node->engine->table.shape, node->engine->now)) != NULL)
        sim_fail(sim, client, broken, "the core's own check finds it broken");
}

void sim_oracle_settled(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->touched_count; i++) {
        struct jump_session *s = sim_live(node, &sim->touched[i]);
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
    struct jump_session *s = sim_live(node, &sim->hand.id);
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
    struct jump_session *s = sim_live(node, &sim->hand.id);
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
    if (!c->present || !c->machine->node.engine || sim_quiet_for(sim, n) <= SIM_QUIET)
        return;
    struct jump_session *mine = sim_live(&c->machine->node, &c->id), *theirs = sim_live(there, &c->id);
    if (!theirs && there->engine->table.count + 1 >= there->config.max_sessions)
        return; /* no room at the inn: refused, and told so */
    if (sim->now - c->opened_at < JUMP_MS(30000))
        return; /* began anew a moment ago, for a cause that was looked at when it ended */
    if (!mine || !theirs)
        sim_fail(sim, n, "I10", "nothing has been wrong for %.0f s and there is no session at the %s", (double)sim_quiet_for(sim, n) / 1e9,
                 mine ? "server" : "client");
    else if (mine->mode != JUMP_MODE_ATTACHED || theirs->mode != JUMP_MODE_ATTACHED)
        sim_fail(sim, n, "I10", "nothing has been wrong for %.0f s and it is %s at the client, %s at the server",
                 (double)sim_quiet_for(sim, n) / 1e9, jump_mode_name((enum jump_mode)mine->mode), jump_mode_name((enum jump_mode)theirs->mode));
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
        struct jump_session *mine = c->present ? sim_live(&c->machine->node, &c->id) : NULL;
        struct jump_session *theirs = mine ? sim_live(&sim->gateways[c->gateway].node, &c->id) : NULL;
        if (theirs && theirs->mode != JUMP_MODE_BIRTH && mine->generation > theirs->generation)
            sim_fail(sim, n, "I1", "the client is at a generation that the server does not know");
    }
}
