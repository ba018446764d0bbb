/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who stands on a client's path: hears all that it and its gateway say, and sends copies from elsewhere, old messages,
 * changed ones, made-up ones, and floods. Has no key and never what is sent to a stranger's address: to relay both ways is to
 * be the network (docs/threat-model.md). Read next: faults.c.
 */
#include <string.h>

#include "sim.h"

static uint64_t luck(struct sim *sim, uint16_t n, uint64_t what)
{
    return sim_mix(sim->script->seed, UINT64_C(6) << 40 | n, what);
}

struct jump_path sim_stranger(uint64_t draw, bool v6)
{
    struct jump_path path = { .port = (uint16_t)(6000 + draw % 3) };
    uint8_t four[16] = { [10] = 0xff, [11] = 0xff, [12] = 203, [13] = 0, [14] = 113, [15] = (uint8_t)(draw >> 8 & 3) };
    uint8_t six[16] = { 0x20, 0x01, 0x0d, 0xb9, [7] = (uint8_t)(draw >> 8 & 3), [15] = 9 };
    memcpy(path.ip, v6 ? six : four, sizeof path.ip);
    return path;
}

bool sim_is_stranger(const struct jump_path *path)
{
    return path->ip[12] == 203 || path->ip[3] == 0xb9;
}

/* Keeps it, and where a racer is at work sends a copy: how 0, at once, before the genuine one; 1, after it; 2, at once, and relays. */
void sim_overheard(struct sim *sim, const struct sim_flight *flight)
{
    struct sim_client *c = &sim->clients[flight->client];
    struct sim_kept *kept = &c->kept[c->kept_count % SIM_NEWEST];
    *kept = (struct sim_kept){ .to_server = flight->to_server, .len = flight->len, .gateway = flight->gateway,
                               .uplink = flight->uplink, .serial = flight->serial };
    memcpy(kept->bytes, flight->bytes, flight->len);
    if (c->kept_count % 8 == 0)
        memcpy(&c->kept[SIM_NEWEST + c->kept_count / 8 % SIM_OLDER], kept, offsetof(struct sim_kept, bytes) + flight->len);
    c->kept_count++;
    if (sim->now >= c->copy_until)
        return;
    uint64_t draw = luck(sim, flight->client, (uint64_t)c->kept_count << 2);
    if (draw % 1000000 >= c->copy_ppm)
        return;
    static struct sim_flight copy;
    memcpy(&copy, flight, offsetof(struct sim_flight, bytes) + flight->len);
    copy.copied = true;
    if (copy.to_server) {
        copy.source = sim_stranger(draw >> 20, c->uplinks[flight->uplink].v6);
        if (draw >> 32 & 3)
            copy.gateway = flight->gateway;
        else
            copy.gateway = (uint8_t)((draw >> 34) % sim->script->gateways); /* perhaps to another node */
    } else if (draw >> 36 & 1) { /* to another uplink of the same client */
        copy.uplink = (uint8_t)((draw >> 40) % c->uplink_count);
        copy.target = sim_address(&c->uplinks[copy.uplink]);
        copy.source = sim_gateway_path(flight->gateway, c->uplinks[copy.uplink].v6);
        copy.source.transport = (uint8_t)(copy.uplink + 1);
    }
    sim_fly(sim, &copy, sim->now + (c->copy_how == 1 ? c->uplinks[flight->uplink].delay + JUMP_MS(1 + (draw >> 48) % 200) : JUMP_MS(1)));
}

/* What the gateway says to the racer for a copy, he sends on to the client as if it came from the gateway: whatever he gets,
 * but a CHALLENGE. Who relays that too is the network. */
void sim_relayed(struct sim *sim, uint16_t g, const struct jump_action *action)
{
    static struct sim_flight f;
    if (!sim->hand.copied || !sim_same_path(&sim->hand.from, &action->path) || (action->bytes[0] & 15) == JUMP_MSG_REATTACH_CHALLENGE)
        return;
    struct sim_client *c = &sim->clients[sim->hand.client];
    if (c->copy_how != 2 || sim->now >= c->copy_until)
        return;
    memset(&f, 0, offsetof(struct sim_flight, bytes));
    f.client = sim->hand.client;
    f.uplink = sim->hand.uplink;
    f.gateway = (uint8_t)g;
    f.copied = true;
    f.len = (uint16_t)action->bytes_len;
    memcpy(f.bytes, action->bytes, action->bytes_len);
    f.serial = sim->serials++;
    sim->accepted[f.serial % SIM_SERIALS / 8] &= (uint8_t)~(1u << f.serial % 8);
    f.target = sim_address(&c->uplinks[f.uplink]);
    f.source = sim_gateway_path((uint16_t)g, c->uplinks[f.uplink].v6);
    f.source.transport = (uint8_t)(f.uplink + 1);
    sim_fly(sim, &f, sim->now + JUMP_MS(1));
}

static bool load(struct sim *sim, struct sim_flight *f, uint16_t n, uint64_t draw)
{
    struct sim_client *c = &sim->clients[n];
    if (c->kept_count == 0)
        return false;
    uint32_t newest = c->kept_count < SIM_NEWEST ? c->kept_count : SIM_NEWEST, older = (c->kept_count + 7) / 8;
    uint32_t which = (uint32_t)(draw % (newest + (older < SIM_OLDER ? older : SIM_OLDER)));
    const struct sim_kept *kept = &c->kept[which < newest ? which : SIM_NEWEST + which - newest];
    memset(f, 0, offsetof(struct sim_flight, bytes));
    f->to_server = kept->to_server;
    f->len = kept->len;
    f->gateway = kept->gateway;
    f->uplink = kept->uplink;
    f->serial = kept->serial;
    f->client = n;
    f->copied = true;
    memcpy(f->bytes, kept->bytes, kept->len);
    return true;
}

/* As if it came from where it must come from. */
static void address(struct sim *sim, struct sim_flight *f)
{
    struct sim_uplink *u = &sim->clients[f->client].uplinks[f->uplink];
    if (f->to_server) {
        f->source = sim_address(u);
        return;
    }
    f->target = sim_address(u);
    f->source = sim_gateway_path(f->gateway, u->v6);
    f->source.transport = (uint8_t)(f->uplink + 1);
}

/* how: 0 from its own address, 1 from a stranger's, 2 to another gateway, 3 turned round: back to who said it */
void sim_replay(struct sim *sim, uint16_t n, uint32_t count, uint32_t how)
{
    static struct sim_flight f;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t draw = luck(sim, n, (uint64_t)sim->clients[n].kept_count << 20 | i << 2 | 1);
        if (!load(sim, &f, n, draw))
            return;
        if (how == 3)
            f.to_server = !f.to_server;
        if (how == 2)
            f.gateway = (uint8_t)((draw >> 16) % sim->script->gateways);
        address(sim, &f);
        if (how == 1 && f.to_server)
            f.source = sim_stranger(draw >> 24, f.source.ip[0] == 0x20);
        sim_fly(sim, &f, sim->now + JUMP_MS(1 + (draw >> 32) % 100));
    }
}

/* how: 0 a bit turned over, 1 cut or grown, 2 another type, 3 a whole body of noise under a genuine header and a new counter */
void sim_forge(struct sim *sim, uint16_t n, uint32_t count, uint32_t how)
{
    static struct sim_flight f;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t draw = luck(sim, n, (uint64_t)sim->clients[n].kept_count << 20 | i << 2 | 2);
        if (!load(sim, &f, n, draw))
            return;
        uint8_t type = f.bytes[0] & 15;
        f.tampered = 1;
        address(sim, &f);
        switch (how) {
        case 0:
            f.bytes[(draw >> 8) % f.len] ^= (uint8_t)(1u << (draw >> 24) % 8);
            break;
        case 1:
            f.len = (uint16_t)(draw >> 8 & 1 ? f.len - 1 - (draw >> 9) % (f.len - 1) : f.len + 1 + (draw >> 9) % 40);
            break;
        case 2:
            type = (uint8_t)((type + 1 + (draw >> 8) % 15) & 15);
            f.bytes[0] = (uint8_t)((f.bytes[0] & 0xf0) | type);
            f.len = (uint16_t)jump_wire_length(type);
            f.tampered = 2;
            break;
        default:
            if (!f.to_server && draw >> 8 & 1) { /* what needs no key, if one could guess it */
                type = draw >> 9 & 1 ? JUMP_MSG_RESET : JUMP_MSG_COOKIE;
                f.bytes[0] = (uint8_t)((f.bytes[0] & 0xf0) | type);
                f.len = (uint16_t)jump_wire_length(type);
            } else
                f.bytes[JUMP_AT_NONCE + 6] ^= 0x55;
            for (unsigned at = JUMP_HEADER_BYTES; at < f.len; at++)
                f.bytes[at] = (uint8_t)sim_mix(draw, at, 0);
            f.tampered = 2;
        }
        if (f.len == 0)
            continue;
        if (f.to_server && draw >> 40 & 1)
            f.source = sim_stranger(draw >> 41, f.source.ip[0] == 0x20);
        sim_fly(sim, &f, sim->now + JUMP_MS(1 + (draw >> 32) % 100));
    }
}

/* From the address of the client's own NAT, with ids that nobody has: its prefix runs out of tokens, and a COOKIE is asked for. */
void sim_flood(struct sim *sim, uint16_t n, uint32_t count)
{
    static struct sim_flight f;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t draw = luck(sim, n, (uint64_t)sim->clients[n].kept_count << 20 | i << 2 | 3);
        if (!load(sim, &f, n, draw))
            return;
        f.to_server = true;
        f.tampered = 2;
        f.gateway = (uint8_t)sim->clients[n].gateway;
        address(sim, &f);
        f.source.port = (uint16_t)(5000 + draw % 1000);
        f.bytes[0] = (uint8_t)((f.bytes[0] & 0xf0) | JUMP_MSG_REATTACH_REQUEST);
        f.len = JUMP_REQUEST_BYTES;
        for (unsigned at = JUMP_AT_SESSION; at < f.len; at++)
            f.bytes[at] = (uint8_t)sim_mix(draw, at, 1);
        sim_fly(sim, &f, sim->now + JUMP_MS(1) + i * JUMP_MS(2));
    }
}
