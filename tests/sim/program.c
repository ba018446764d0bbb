/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a client's VPN program does beside its engine: it shakes hands, moves user data, rekeys, ends, and begins anew where it has
 * ended. Its peer at the gateway does what belongs to that there. Read next: host.c, faults.c.
 */
#include <string.h>

#include "sim.h"

static uint64_t luck(struct sim *sim, uint16_t n, uint64_t what)
{
    return sim_mix(sim->script->seed, UINT64_C(1) << 40 | n, what);
}

void sim_host_later(struct sim *sim, uint16_t n, jump_time at)
{
    sim->clients[n].host_due = at;
    sim_at(sim, at, SIM_HOST, n);
}

/* What it can be reached by now; the rest is told to be lost. */
void sim_tell_candidates(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    struct jump_candidate list[SIM_UPLINKS];
    struct jump_input in = { .kind = JUMP_IN_CANDIDATES, .candidates = list };
    unsigned lost = 0;
    if (!c->machine->node.engine)
        return;
    if (sim_stands_still(sim, &c->machine->node)) {
        sim_at(sim, c->machine->node.still_until, SIM_CANDIDATES, n);
        return;
    }
    for (uint8_t i = 0; i < c->machine->uplink_count; i++) {
        if (sim->now < c->machine->uplinks[i].gone_until) {
            in.lost[lost++] = (uint8_t)(i + 1);
            continue;
        }
        struct jump_candidate *candidate = &list[in.candidates_len++];
        memset(candidate, 0, sizeof *candidate);
        candidate->path = sim_gateway_path(c->gateway, c->machine->uplinks[i].v6);
        candidate->path.transport = (uint8_t)(i + 1);
        candidate->priority = i;
    }
    sim_feed(sim, &c->machine->node, &in);
}

static struct jump_session *session_at(const struct sim_node *node, const struct jump_id *id)
{
    struct jump_session *s = node->engine ? jump_table_by_id(&node->engine->table, id) : NULL;
    return s && jump_session_live(s) ? s : NULL;
}

static void shake_hands(struct sim *sim, uint16_t n, unsigned uplink)
{
    struct sim_client *c = &sim->clients[n];
    struct sim_uplink *u = &c->machine->uplinks[uplink];
    struct sim_gateway *g = &sim->gateways[c->gateway];
    uint64_t draw = luck(sim, n, c->secrets << 8 | 1);
    uint8_t secret[JUMP_SECRET_BYTES];
    struct jump_id before = c->id;
    sim_secret(sim, secret, n, ++c->secrets);
    jump_keys_session_id(&c->id, c->machine->node.config.host_kind, secret);
    if (u->port == 0 || (u->nat_timeout != 0 && sim->now - u->used_at > u->nat_timeout))
        sim_remap(sim, u, 0);
    u->used_at = sim->now;
    struct jump_input mine = { .kind = JUMP_IN_OPEN, .host = c->host = ++sim->host_serial << 16 | n, .secret = secret,
                               .path = sim_gateway_path(c->gateway, u->v6) };
    struct jump_input in = { .kind = JUMP_IN_OPEN, .secret = secret, .path = sim_address(u) };
    mine.path.transport = (uint8_t)(uplink + 1);
    c->phase = SIM_OPEN;
    c->opened_at = sim->now;
    sim->totals.sessions++;
    if (draw & 1)
        sim_feed(sim, &c->machine->node, &mine);
    struct jump_session *older = c->server_host && c->server_start == g->node.starts ? session_at(&g->node, &before) : NULL;
    if (older && older->host != c->server_host)
        older = NULL;
    const struct jump_path *there = older && jump_session_bound(older) ? &older->binding : older ? &older->birth_path : NULL;
    if (older && g->node.config.unique_path && sim_same_path(there, &in.path) && draw >> 8 & 1) {
        struct sim_track *track = sim_track(sim, &g->node, &before, false);
        if (track)
            track->closed = true; /* a confirmed BIRTH of the same instance ends the older session */
        sim_oracle_rekeyed(sim, &g->node, &before);
        in.kind = JUMP_IN_EPOCH; /* the same instance: a rekey, or a new session? */
        in.maybe_new = true;
        in.host = c->server_host;
    } else {
        if (older && draw >> 9 & 1) {
            sim_track(sim, &g->node, &before, true)->closed = true;
            sim_feed_host(sim, &g->node, JUMP_IN_CLOSE, c->server_host, JUMP_REASON_HOST_TERMINATED);
        }
        in.host = ++g->hosts << 16 | n;
    }
    int result = sim_feed(sim, &g->node, &in);
    c->server_host = in.host;
    c->server_start = g->node.starts;
    if (!(draw & 1))
        sim_feed(sim, &c->machine->node, &mine);
    if (draw >> 10 & 1)
        sim_feed_host(sim, &c->machine->node, JUMP_IN_ANNOUNCED, c->host, JUMP_REASON_NONE);
    if (result != 0) { /* refused: its program says so to the client's */
        sim_close(sim, n, JUMP_REASON_HANDSHAKE_FAIL);
        sim_host_later(sim, n, sim->now + JUMP_MS(5000 + draw % 10000));
        return;
    }
    sim_at(sim, sim->now + JUMP_MS(draw >> 12 & 255), SIM_CANDIDATES, c->machine->node.index);
    sim_host_later(sim, n, sim->now + JUMP_MS(15000));
}

/* The client's program looks after itself: begins a connection where it has none, and gives one up that does not get on. */
void sim_host_due(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    if (c->host_due != sim->now || !c->machine->node.engine)
        return;
    if (sim_stands_still(sim, &c->machine->node)) {
        sim_host_later(sim, n, c->machine->node.still_until);
        return;
    }
    if (c->phase == SIM_OPEN) {
        struct jump_session *s = session_at(&c->machine->node, &c->id);
        if (s && s->mode != JUMP_MODE_BIRTH)
            return;
        sim_close(sim, n, JUMP_REASON_HANDSHAKE_FAIL);
        sim_host_later(sim, n, sim->now + JUMP_MS(1000));
        return;
    }
    uint64_t draw = luck(sim, n, c->secrets << 8 | 2);
    uint16_t other = (uint16_t)(draw % sim->script->gateways);
    bool alone = c->machine == c && !sim_has_lodger(sim, n); /* a process with two sessions stays where it is */
    c->gateway = alone && draw >> 16 & 1 && sim->gateways[other].node.config.host_kind == c->machine->node.config.host_kind ? other : c->home;
    struct sim_gateway *g = &sim->gateways[c->gateway];
    for (unsigned i = 0; i < c->machine->uplink_count && g->up && !sim_stands_still(sim, &g->node); i++) {
        if (sim_passes(sim, c->machine, i, 0) && sim_passes(sim, c->machine, i, 1)) {
            shake_hands(sim, n, i);
            return;
        }
    }
    sim_host_later(sim, n, sim->now + JUMP_MS(1000 + draw % 1000));
}

void sim_close(struct sim *sim, uint16_t n, enum jump_reason reason)
{
    struct sim_client *c = &sim->clients[n];
    struct sim_track *track = sim_track(sim, &c->machine->node, &c->id, false);
    if (track)
        track->closed = true;
    c->phase = SIM_DOWN;
    sim_feed_host(sim, &c->machine->node, JUMP_IN_CLOSE, c->host, reason);
}

/* Both hold the session, and data passes on the path that both are bound to. */
static bool data_passes(struct sim *sim, uint16_t n, struct jump_session **server)
{
    struct sim_client *c = &sim->clients[n];
    struct sim_gateway *g = &sim->gateways[c->gateway];
    struct jump_session *s = session_at(&c->machine->node, &c->id);
    *server = session_at(&g->node, &c->id);
    if (!s || !*server || c->phase != SIM_OPEN || sim_stands_still(sim, &c->machine->node) || sim_stands_still(sim, &g->node) ||
        !jump_session_bound(s) || !jump_session_bound(*server))
        return false;
    unsigned uplink = s->binding.transport - 1u;
    if (uplink >= c->machine->uplink_count || !sim_passes(sim, c->machine, uplink, 0) || !sim_passes(sim, c->machine, uplink, 1))
        return false;
    struct sim_uplink *u = &c->machine->uplinks[uplink];
    struct jump_path own = sim_address(u);
    return sim_same_path(&own, &(*server)->binding) && (u->nat_timeout == 0 || sim->now - u->used_at <= u->nat_timeout);
}

void sim_user_data(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    struct jump_session *server;
    if (sim->now != c->data_due)
        return;
    bool passes = data_passes(sim, n, &server);
    c->data_due = sim->now + (sim->now < c->busy_until ? c->busy_every : c->data_every);
    sim_at(sim, c->data_due, SIM_USER_DATA, n);
    if (!c->machine->node.engine || c->phase != SIM_OPEN || sim_stands_still(sim, &c->machine->node))
        return;
    bool vouched = !sim->gateways[c->gateway].node.config.unique_path; /* ESP's counters; OpenVPN has not checked it yet */
    struct jump_input in = { .kind = JUMP_IN_ACTIVITY, .host = c->host, .sent = true, .received = passes,
                             .proof_of_life = passes && vouched };
    if (passes) {
        struct jump_input there = { .kind = JUMP_IN_ACTIVITY, .host = server->host, .sent = true, .received = true,
                                    .proof_of_life = vouched };
        c->machine->uplinks[session_at(&c->machine->node, &c->id)->binding.transport - 1u].used_at = sim->now;
        sim_feed(sim, &sim->gateways[c->gateway].node, &there);
    }
    if (c->machine->node.engine)
        sim_feed(sim, &c->machine->node, &in);
}

/* how: 0 the server first, 1 only the server, 2 only the client, 3 they differ, 4 perhaps a new session, 5 the client first */
void sim_rekey(struct sim *sim, uint16_t n, unsigned how)
{
    struct sim_client *c = &sim->clients[n];
    struct sim_node *there = &sim->gateways[c->gateway].node;
    struct jump_session *server = session_at(there, &c->id);
    uint8_t secret[JUMP_SECRET_BYTES], other[JUMP_SECRET_BYTES];
    sim_secret(sim, secret, n, ++c->secrets);
    sim_secret(sim, other, n, ++c->secrets);
    struct jump_input mine = { .kind = JUMP_IN_EPOCH, .host = c->host, .secret = how == 3 ? other : secret };
    struct jump_input in = { .kind = JUMP_IN_EPOCH, .host = server ? server->host : 0, .secret = secret, .maybe_new = how == 4 };
    bool here = session_at(&c->machine->node, &c->id) != NULL && how != 1;
    if (here)
        sim_oracle_rekeyed(sim, &c->machine->node, &c->id);
    if (server && how == 4)
        in.path = jump_session_bound(server) ? server->binding : server->birth_path;
    if (here && how == 5)
        sim_feed(sim, &c->machine->node, &mine);
    if (server && how != 2 && !sim_stands_still(sim, there)) {
        sim_oracle_rekeyed(sim, there, &c->id);
        sim_feed(sim, there, &in);
    }
    if (here && how != 5)
        sim_feed(sim, &c->machine->node, &mine);
}

void sim_rekey_due(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    struct jump_session *server;
    bool passes = data_passes(sim, n, &server);
    sim_at(sim, sim->now + (passes ? c->rekey_every : JUMP_MS(5000)), SIM_REKEY, n);
    if (passes)
        sim_rekey(sim, n, luck(sim, n, c->secrets << 8 | 3) % 2 ? 0 : 5);
}
