/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network: each client has up to three uplinks, each behind a NAT, some NATs with several clients behind them. What becomes
 * of a datagram is drawn from (seed, uplink, direction, its number there), so that leaving a fault out of a script leaves
 * the luck of everybody else as it was. Knows no message. Read next: host.c.
 */
#include <string.h>

#include "sim.h"

#define SHARED_NATS 0x4000u /* numbers below: four clients' uplinks behind one address */
#define LEAST_PORT 10000u
#define PORTS 12500u /* for each of four */

static uint64_t luck(struct sim *sim, uint16_t client, unsigned uplink, unsigned dir, uint64_t packet, unsigned what)
{
    return sim_mix(sim->script->seed, (uint64_t)client << 32 | uplink << 8 | dir << 4 | what, packet);
}

struct jump_path sim_address(const struct sim_uplink *u)
{
    struct jump_path path = { .port = u->port };
    if (u->v6) {
        uint8_t ip[16] = { 0x20, 0x01, 0x0d, 0xb8, (uint8_t)(u->nat >> 8), (uint8_t)u->nat, u->number, 0, [15] = 1 };
        memcpy(path.ip, ip, sizeof ip);
    } else {
        uint8_t ip[16] = { [10] = 0xff, [11] = 0xff, [12] = 100, [13] = u->number, [14] = (uint8_t)(u->nat >> 8),
                           [15] = (uint8_t)u->nat };
        memcpy(path.ip, ip, sizeof ip);
    }
    return path;
}

struct jump_path sim_gateway_path(uint16_t gateway, bool v6)
{
    struct jump_path path = { .port = 1194 };
    if (v6) {
        uint8_t ip[16] = { 0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, [15] = (uint8_t)(gateway + 1) };
        memcpy(path.ip, ip, sizeof ip);
    } else {
        uint8_t ip[16] = { [10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = (uint8_t)(gateway + 1) };
        memcpy(path.ip, ip, sizeof ip);
    }
    return path;
}

void sim_wire_client(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    uint64_t seed = sim->script->seed;
    c->uplink_count = (uint8_t)(1 + sim_mix(seed, n, 900) % SIM_UPLINKS);
    for (unsigned i = 0; i < SIM_UPLINKS; i++) {
        struct sim_uplink *u = &c->uplinks[i];
        unsigned global = n * SIM_UPLINKS + i;
        uint64_t draw = sim_mix(seed, n, 910 + i);
        bool shared = draw % 4 == 0;
        u->v6 = !shared && draw >> 8 & 1;
        u->nat = (uint16_t)(shared ? global / 4 : SHARED_NATS + global);
        u->member = (uint16_t)(global % 4);
        static const uint32_t timeouts[] = { 45000, 120000, 300000, 0 };
        u->nat_timeout = JUMP_MS(timeouts[draw >> 12 & 3]);
        u->delay = JUMP_MS(2 + (draw >> 20) % ((draw >> 16 & 15) == 0 ? 300 : 60));
        u->used_at = sim->now;
        sim_remap(sim, u, 0);
    }
}

/* Another port, or the one given. Ports of one NAT are apart by who has them first, and are not given twice. */
void sim_remap(struct sim *sim, struct sim_uplink *u, uint16_t port)
{
    u->port = port != 0 ? port : (uint16_t)(LEAST_PORT + 4 * (u->ports_used++ % PORTS) + u->member);
    u->used_at = sim->now;
    u->mappings[u->mapping_count++ % SIM_MAPPINGS] = sim_address(u);
}

/* Who has this address now. */
bool sim_owner(struct sim *sim, const struct jump_path *path, uint16_t *client, uint8_t *uplink)
{
    bool v6 = path->ip[0] == 0x20;
    unsigned nat = v6 ? (unsigned)path->ip[4] << 8 | path->ip[5] : (unsigned)path->ip[14] << 8 | path->ip[15];
    unsigned first = nat < SHARED_NATS ? nat * 4 : nat - SHARED_NATS, count = nat < SHARED_NATS ? 4 : 1;
    if (!v6 && path->ip[12] != 100)
        return false;
    for (unsigned global = first; global < first + count && global < sim->script->clients * SIM_UPLINKS; global++) {
        const struct sim_client *c = &sim->clients[global / SIM_UPLINKS];
        const struct sim_uplink *u = &c->uplinks[global % SIM_UPLINKS];
        if (!c->present || u->nat != nat || u->port != path->port)
            continue;
        struct jump_path own = sim_address(u);
        if (memcmp(own.ip, path->ip, sizeof own.ip) != 0)
            continue;
        *client = (uint16_t)(global / SIM_UPLINKS);
        *uplink = (uint8_t)(global % SIM_UPLINKS);
        return true;
    }
    return false;
}

bool sim_passes(struct sim *sim, const struct sim_client *c, unsigned uplink, unsigned dir)
{
    const struct sim_uplink *u = &c->uplinks[uplink];
    if (uplink >= c->uplink_count || sim->now < u->gone_until || sim->now < u->hole_until[dir])
        return false;
    return sim->now >= u->flap_until || (sim->now - u->flap_from) / u->flap_period % 2 == 1;
}

/* A NAT forgets a mapping that was not used for long. */
static bool forgotten(struct sim *sim, const struct sim_uplink *u)
{
    return u->port == 0 || (u->nat_timeout != 0 && sim->now - u->used_at > u->nat_timeout);
}

void sim_fly(struct sim *sim, const struct sim_flight *flight, jump_time at)
{
    uint32_t index;
    struct sim_flight *f = sim_take_off(sim, &index);
    memcpy(f, flight, offsetof(struct sim_flight, bytes) + flight->len);
    sim_at(sim, at, SIM_FLIGHT, index);
}

/* One datagram on one uplink: lost, late, changed, twice. */
static void cross(struct sim *sim, struct sim_flight *f, unsigned dir)
{
    struct sim_client *c = &sim->clients[f->client];
    struct sim_uplink *u = &c->uplinks[f->uplink];
    uint64_t packet = u->packets[dir]++;
#define LUCK(what) luck(sim, f->client, f->uplink, dir, packet, what)
    if (sim->now < u->loss_until && LUCK(0) % 1000000 < u->loss_ppm)
        return;
    if (sim->now < u->burst_until &&
        luck(sim, f->client, f->uplink, dir, sim->now / u->burst_slot, 1) % 1000000 < u->burst_ppm)
        return;
    jump_time at = sim->now + u->delay;
    if (sim->now < u->delay_until)
        at += u->extra;
    if (sim->now < u->jitter_until && u->jitter > 0)
        at += LUCK(2) % u->jitter;
    if (sim->now < u->twice_until && LUCK(3) % 1000000 < u->twice_ppm) {
        bool copied = f->copied;
        f->copied = true;
        sim_fly(sim, f, at + JUMP_MS(LUCK(4) % 300));
        f->copied = copied;
    }
    if (sim->now < u->corrupt_until && LUCK(5) % 1000000 < u->corrupt_ppm) {
        uint64_t where = LUCK(6);
        f->bytes[where % f->len] ^= (uint8_t)(1u << (where >> 32) % 8);
        f->tampered = true;
    }
#undef LUCK
    sim_fly(sim, f, at);
}

static void load(struct sim *sim, struct sim_flight *f, const struct jump_action *action)
{
    f->len = (uint16_t)action->bytes_len;
    f->serial = sim->serials++;
    memcpy(f->bytes, action->bytes, action->bytes_len);
    sim->accepted[f->serial % SIM_SERIALS / 8] &= (uint8_t)~(1u << f->serial % 8);
}

void sim_from_client(struct sim *sim, uint16_t n, const struct jump_action *action)
{
    struct sim_client *c = &sim->clients[n];
    unsigned uplink = action->path.transport - 1u;
    static struct sim_flight f;
    memset(&f, 0, offsetof(struct sim_flight, bytes));
    if (uplink >= c->uplink_count)
        return;
    struct sim_uplink *u = &c->uplinks[uplink];
    if (sim->now < u->gone_until)
        return; /* no such interface */
    if (sim->now < u->restless_until || forgotten(sim, u))
        sim_remap(sim, u, 0);
    u->used_at = sim->now;
    f.to_server = true;
    f.client = n;
    f.uplink = (uint8_t)uplink;
    f.gateway = (uint8_t)(action->path.ip[15] - 1);
    f.source = sim_address(u);
    f.target = action->path;
    load(sim, &f, action);
    sim_overheard(sim, &f); /* who listens stands close to the client: a hole behind him hides nothing from him */
    if (sim_passes(sim, c, uplink, 0))
        cross(sim, &f, 0);
}

void sim_from_gateway(struct sim *sim, uint16_t g, const struct jump_action *action)
{
    static struct sim_flight f;
    memset(&f, 0, offsetof(struct sim_flight, bytes));
    f.gateway = (uint8_t)g;
    f.target = action->path;
    if (!sim_owner(sim, &action->path, &f.client, &f.uplink)) {
        sim_relayed(sim, g, action);
        return;
    }
    f.source = sim_gateway_path(g, sim->clients[f.client].uplinks[f.uplink].v6);
    f.source.transport = (uint8_t)(f.uplink + 1);
    load(sim, &f, action);
    sim_overheard(sim, &f);
    if (sim_passes(sim, &sim->clients[f.client], f.uplink, 1))
        cross(sim, &f, 1);
}

static struct sim_node *receiver(struct sim *sim, struct sim_flight *f)
{
    if (f->to_server)
        return &sim->gateways[f->gateway].node;
    struct sim_client *c = &sim->clients[f->client];
    struct sim_uplink *u = &c->uplinks[f->uplink];
    struct jump_path own = sim_address(u);
    if (!sim_same_path(&own, &f->target) || forgotten(sim, u) || sim->now < u->gone_until)
        return NULL; /* the mapping is gone */
    return &c->node;
}

void sim_arrive(struct sim *sim, uint32_t index)
{
    struct sim_flight *f = sim->flights[index];
    struct sim_node *node = f->to_server && f->gateway >= sim->script->gateways ? NULL : receiver(sim, f);
    if (!node || !node->engine || (sim_stands_still(sim, node) && (node->deaf || node->waiting > 200))) {
        sim_land(sim, index);
        return;
    }
    if (sim_stands_still(sim, node)) { /* its socket keeps it */
        node->waiting++;
        sim_at(sim, node->still_until + 1, SIM_FLIGHT, index);
        return;
    }
    struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .path = f->source, .bytes = f->bytes, .bytes_len = f->len };
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    sim->totals.datagrams++;
    sim_feed(sim, node, &tick); /* so that what the datagram itself does stands alone */
    if (!sim->failed && node->engine) {
        sim_oracle_before(sim, node, &in);
        sim->hand.copied = f->copied;
        sim->hand.client = f->client;
        sim->hand.uplink = f->uplink;
        int result = sim_feed(sim, node, &in);
        sim_oracle_after(sim, node, &in, result, f);
    }
    sim_land(sim, index);
}
