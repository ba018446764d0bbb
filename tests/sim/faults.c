/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The operations that a script is made of: their names, and carrying one out. Each says by itself how long it lasts, so that any
 * of them can be left out; for as long as one lasts, and for what it needs to be over, its client is not expected to be
 * well. Read next: draw.c (where they come from), script.c (as text), oracle.c (what is expected).
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

const char *sim_op_name(unsigned kind)
{
    static const char *const names[] = {
#define X(name, text, args) text,
        SIM_OPS(X)
#undef X
    };
    return kind < SIM_OP_COUNT ? names[kind] : "?";
}

const char *sim_op_args(unsigned kind)
{
    static const char *const args_of[] = {
#define X(name, text, args) args,
        SIM_OPS(X)
#undef X
    };
    return kind < SIM_OP_COUNT ? args_of[kind] : "";
}

/* --- carrying out ------------------------------------------------------------------------------------------- */

static void until(jump_time *at, jump_time end)
{
    if (end > *at)
        *at = end;
}

static void gone(struct sim *sim, uint16_t n, struct sim_uplink *u, jump_time end)
{
    until(&u->gone_until, end);
    sim_tell_candidates(sim, n);
    sim_at(sim, u->gone_until, SIM_CANDIDATES, n);
}

/* Another address: with `told` the system says at once that the old one went, else the mapping just is another. */
static void renumber(struct sim *sim, uint16_t n, struct sim_uplink *u, bool told)
{
    u->number++;
    sim_remap(sim, u, 0);
    if (!told)
        return;
    jump_time before = u->gone_until;
    u->gone_until = sim->now + 1;
    sim_tell_candidates(sim, n);
    u->gone_until = before;
    sim_tell_candidates(sim, n);
}

/* Two behind one NAT get each other's mapping: what flies to one arrives at the other. */
static void swap(struct sim *sim, uint16_t n, struct sim_uplink *u)
{
    for (uint16_t m = 0; m < sim->script->clients; m++)
        for (unsigned i = 0; i < sim->clients[m].uplink_count; i++) {
            struct sim_uplink *other = &sim->clients[m].uplinks[i];
            if (!sim->clients[m].present || m == n || other->nat != u->nat)
                continue;
            uint16_t port = u->port;
            sim_remap(sim, u, other->port);
            sim_remap(sim, other, port);
            until(&sim->clients[m].quiet_at, sim->now);
            return;
        }
    sim_remap(sim, u, 0);
}

/* The clock that the core is given never goes back; if it did, nothing may change, not one byte. */
static void backwards(struct sim *sim, struct sim_node *node, uint32_t ms)
{
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    if (!node->engine)
        return;
    uint8_t *before = sim_more(NULL, node->bytes);
    jump_time now = node->engine->now;
    memcpy(before, node->memory, node->bytes);
    if (ms > 0 && now > JUMP_MS(ms) && jump_engine_feed(node->engine, &tick, now - JUMP_MS(ms)) != JUMP_ERR_TIME)
        sim_fail(sim, node->index < SIM_CLIENTS ? node->index : SIM_STRANGERS, "time", "time went backwards and was taken");
    else if (memcmp(before, node->memory, node->bytes) != 0)
        sim_fail(sim, node->index < SIM_CLIENTS ? node->index : SIM_STRANGERS, "time", "time went backwards and something changed");
    free(before);
}

static void stand_still(struct sim *sim, struct sim_node *node, jump_time end, bool deaf)
{
    until(&node->still_until, end);
    node->deaf = deaf;
    node->waiting = 0;
    sim_at(sim, node->still_until, SIM_WAKE, node->index);
}

static void restart_client(struct sim *sim, uint16_t n, jump_time at)
{
    struct sim_client *c = &sim->clients[n];
    sim_stop(sim, &c->node);
    sim_start_client(sim, n);
    sim_host_later(sim, n, at);
    if (!sim_has_lodger(sim, n))
        return;
    sim_start_client(sim, (uint16_t)(n + 1));
    sim_host_later(sim, (uint16_t)(n + 1), at + JUMP_MS(700));
}

static void restart_gateway(struct sim *sim, uint16_t g, bool forget, jump_time at)
{
    struct sim_gateway *gateway = &sim->gateways[g];
    sim_stop(sim, &gateway->node);
    gateway->up = false;
    if (forget) { /* its folder is lost: another key, and it counts from one again */
        for (uint16_t n = 0; n < sim->script->clients; n++)
            if (sim->clients[n].gateway == g)
                sim->clients[n].forgotten = sim->clients[n].id;
        gateway->boot = 0;
        gateway->node.config.instance_key[0] ^= (uint8_t)(1 + gateway->node.starts);
    }
    sim_at(sim, at, SIM_UP, g);
}

static void new_policy(struct sim *sim, uint16_t g, uint32_t which)
{
    struct sim_gateway *gateway = &sim->gateways[g];
    struct jump_policy policy = gateway->node.config.policy;
    struct jump_input in = { .kind = JUMP_IN_POLICY, .policy = &policy };
    if (which < 3)
        policy = sim->profiles[which];
    else if (which == 3)
        policy.transport_lost_ttl_ms = policy.recovery_window_ms = 20000;
    else
        policy.loss_volatile_threshold = 0; /* not valid */
    if (!gateway->node.engine || sim_stands_still(sim, &gateway->node))
        return;
    sim->new_policy = true;
    bool taken = sim_feed(sim, &gateway->node, &in) == 0;
    sim->new_policy = false;
    if (taken) {
        struct jump_input tick = { .kind = JUMP_IN_TICK };
        gateway->node.config.policy = policy;
        sim_oracle_bounds(sim, &gateway->node, &policy);
        sim_feed(sim, &gateway->node, &tick); /* what is over by the new bounds is due at once */
        sim_oracle_look(sim, &gateway->node);
    }
}

static void crowd(struct sim *sim, uint16_t g, uint32_t count)
{
    struct sim_gateway *gateway = &sim->gateways[g];
    for (uint32_t i = 0; i < count && gateway->node.engine && !sim_stands_still(sim, &gateway->node); i++) {
        uint8_t secret[JUMP_SECRET_BYTES];
        for (unsigned k = 0; k < sizeof secret; k++)
            secret[k] = (uint8_t)sim_mix(sim->script->seed, gateway->hosts << 8 | k, UINT64_C(8) << 40 | g);
        struct jump_input in = { .kind = JUMP_IN_OPEN, .host = ++gateway->hosts << 16 | SIM_STRANGERS, .secret = secret,
                                 .path = sim_stranger(i, i & 1) };
        in.path.port = (uint16_t)(20000 + i);
        sim_feed(sim, &gateway->node, &in);
    }
}

static void take_record(struct sim *sim, struct sim_client *c)
{
    struct sim_node *there = &sim->gateways[c->gateway].node;
    struct sim_track *track = there->engine ? sim_track(sim, there, &c->id, false) : NULL;
    if (!track || track->revision == 0)
        return;
    track->revision++; /* somebody else has written it */
    track->stolen = true;
}

static void operator_ends(struct sim *sim, struct sim_client *c)
{
    struct sim_node *there = &sim->gateways[c->gateway].node;
    struct sim_track *track = there->engine ? sim_track(sim, there, &c->id, false) : NULL;
    struct jump_input in = { .kind = JUMP_IN_TERMINATE, .session_id = c->id, .reason = JUMP_REASON_OPERATOR_TERMINATED };
    if (!track || sim_stands_still(sim, there))
        return;
    track->by_operator = true;
    sim_feed(sim, there, &in);
}

static void on_gateway(struct sim *sim, const struct sim_op *op)
{
    uint16_t g = (uint16_t)(op->arg[0] % sim->script->gateways);
    struct sim_gateway *gateway = &sim->gateways[g];
    jump_time end = sim->now;
    until(&gateway->quiet_at, end);
    switch (op->kind) {
    case SIM_OP_STALL:
        end += JUMP_MS(op->arg[1]);
        stand_still(sim, &gateway->node, end, false);
        break;
    case SIM_OP_RESTART:
        end += JUMP_MS(op->arg[2]);
        if (gateway->up)
            restart_gateway(sim, g, op->arg[1] != 0, end);
        break;
    case SIM_OP_STORE:
        end += JUMP_MS(op->arg[3]);
        gateway->store_mode = op->arg[1];
        gateway->store_for = JUMP_MS(op->arg[2]);
        gateway->store_until = end; /* the newest decides: a store is in one state */
        end += gateway->store_for;
        break;
    case SIM_OP_POLICY:
        new_policy(sim, g, op->arg[1]);
        break;
    default:
        crowd(sim, g, op->arg[1]);
        end += JUMP_MS(70000); /* they leave when their birth windows are over */
    }
    until(&gateway->quiet_at, end);
}

/* What must not even be felt: who only copies, replays or forges, or advises, or sends data, makes nobody unwell. */
static bool harmless(unsigned kind)
{
    return kind == SIM_OP_COPY || kind == SIM_OP_REPLAY || kind == SIM_OP_FORGE || kind == SIM_OP_ADVICE || kind == SIM_OP_BACKWARDS ||
           kind == SIM_OP_TWICE || kind == SIM_OP_DATA;
}

void sim_operate(struct sim *sim, const struct sim_op *op)
{
    if (strncmp(sim_op_args(op->kind), "gateway", 7) == 0) {
        on_gateway(sim, op);
        return;
    }
    uint16_t n = (uint16_t)op->arg[0];
    if (n >= sim->script->clients || !sim->clients[n].present)
        return;
    bool of_session = op->kind == SIM_OP_EXIT || op->kind == SIM_OP_STEAL || op->kind == SIM_OP_OPERATOR || op->kind == SIM_OP_REKEY ||
                      op->kind == SIM_OP_ADVICE || op->kind == SIM_OP_DATA;
    if (!of_session)
        n = sim->clients[n].machine->node.index; /* it befalls the machine, and all who live there */
    struct sim_client *c = &sim->clients[n];
    bool of_uplink = strncmp(sim_op_args(op->kind), "client uplink", 13) == 0;
    struct sim_uplink *u = &c->uplinks[of_uplink ? op->arg[1] % c->uplink_count : 0];
    jump_time end = sim->now;
    if (!harmless(op->kind))
        until(&c->quiet_at, end);
    switch (op->kind) {
    case SIM_OP_HOLE:
        end += JUMP_MS(op->arg[3]);
        if (op->arg[2] != 2)
            until(&u->hole_until[0], end);
        if (op->arg[2] != 1)
            until(&u->hole_until[1], end);
        break;
    case SIM_OP_GONE:
        end += JUMP_MS(op->arg[2]);
        gone(sim, n, u, end);
        break;
    case SIM_OP_FLAP:
        end += JUMP_MS(op->arg[3]);
        u->flap_from = sim->now;
        u->flap_period = JUMP_MS(op->arg[2] ? op->arg[2] : 1);
        until(&u->flap_until, end);
        break;
    case SIM_OP_LOSS:
        end += JUMP_MS(op->arg[3]);
        u->loss_ppm = op->arg[2];
        until(&u->loss_until, end);
        break;
    case SIM_OP_BURST:
        end += JUMP_MS(op->arg[4]);
        u->burst_ppm = op->arg[2];
        u->burst_slot = JUMP_MS(op->arg[3] ? op->arg[3] : 1);
        until(&u->burst_until, end);
        break;
    case SIM_OP_DELAY:
        end += JUMP_MS(op->arg[3]);
        u->extra = JUMP_MS(op->arg[2]);
        until(&u->delay_until, end);
        break;
    case SIM_OP_JITTER:
        end += JUMP_MS(op->arg[3]);
        u->jitter = JUMP_MS(op->arg[2]);
        until(&u->jitter_until, end);
        break;
    case SIM_OP_TWICE:
        end += JUMP_MS(op->arg[3]);
        u->twice_ppm = op->arg[2];
        until(&u->twice_until, end);
        break;
    case SIM_OP_CORRUPT:
        end += JUMP_MS(op->arg[3]);
        u->corrupt_ppm = op->arg[2];
        until(&u->corrupt_until, end);
        break;
    case SIM_OP_REBIND:
        sim_remap(sim, u, 0);
        break;
    case SIM_OP_EXPIRE:
        u->port = 0; /* until it sends */
        break;
    case SIM_OP_SWAP:
        swap(sim, n, u);
        break;
    case SIM_OP_RENUMBER:
        renumber(sim, n, u, op->arg[2] != 0);
        break;
    case SIM_OP_RESTLESS:
        end += JUMP_MS(op->arg[2]);
        until(&u->restless_until, end);
        break;
    case SIM_OP_COPY:
        end += JUMP_MS(op->arg[3]);
        c->copy_ppm = op->arg[1];
        c->copy_how = op->arg[2];
        until(&c->copy_until, end);
        break;
    case SIM_OP_REPLAY:
        sim_replay(sim, n, op->arg[1], op->arg[2]);
        break;
    case SIM_OP_FORGE:
        sim_forge(sim, n, op->arg[1], op->arg[2]);
        break;
    case SIM_OP_FLOOD:
        sim_flood(sim, n, op->arg[1]);
        end += JUMP_MS(10000);
        break;
    case SIM_OP_STILL:
    case SIM_OP_SUSPEND:
        end += JUMP_MS(op->arg[1]);
        stand_still(sim, &c->machine->node, end, op->kind == SIM_OP_SUSPEND);
        break;
    case SIM_OP_BACKWARDS:
        backwards(sim, op->arg[1] ? &sim->gateways[c->gateway].node : &c->machine->node, op->arg[2]);
        break;
    case SIM_OP_KILL:
        end += JUMP_MS(op->arg[1]);
        restart_client(sim, n, end);
        break;
    case SIM_OP_EXIT:
        end += JUMP_MS(op->arg[1]);
        if (!sim_stands_still(sim, &c->machine->node) && c->phase == SIM_OPEN) {
            sim_close(sim, n, JUMP_REASON_HOST_TERMINATED);
            sim_host_later(sim, n, end);
        }
        break;
    case SIM_OP_STEAL:
        take_record(sim, c);
        end += JUMP_MS(30000);
        break;
    case SIM_OP_OPERATOR:
        operator_ends(sim, c);
        break;
    case SIM_OP_REKEY:
        if (!sim_stands_still(sim, &c->machine->node) && c->phase == SIM_OPEN && sim->gateways[c->gateway].up)
            sim_rekey(sim, n, op->arg[1]);
        break;
    case SIM_OP_ADVICE: {
        struct jump_input in = { .kind = JUMP_IN_ADVICE, .host = c->host };
        if (!sim_stands_still(sim, &c->machine->node))
            sim_feed(sim, &c->machine->node, &in);
        break;
    }
    default: /* data */
        end += JUMP_MS(op->arg[2]);
        c->busy_every = JUMP_MS(op->arg[1] < 100 ? 100 : op->arg[1]);
        c->busy_until = end;
        c->data_due = sim->now;
        sim_at(sim, sim->now, SIM_USER_DATA, n);
        break;
    }
    if (!harmless(op->kind))
        until(&c->quiet_at, end);
}
