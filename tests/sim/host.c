/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The processes around the engines: they start and stop, feed them and carry their actions out, and write the transcript. The loop of
 * adapters/README.md without sockets; sends and the store's answers go through the queue, so an engine is never
 * called from within itself. Read next: program.c, network.c, oracle.c.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static uint64_t luck(struct sim *sim, uint16_t n, uint64_t what)
{
    return sim_mix(sim->script->seed, UINT64_C(1) << 40 | n, what);
}

void sim_secret(struct sim *sim, uint8_t out[JUMP_SECRET_BYTES], uint64_t who, uint64_t what)
{
    for (unsigned i = 0; i < JUMP_SECRET_BYTES; i += 8) {
        uint64_t word = sim_mix(sim->script->seed ^ UINT64_C(0x5ec7e7), who << 8 | i, what);
        memcpy(out + i, &word, 8);
    }
}

bool sim_stands_still(const struct sim *sim, const struct sim_node *node)
{
    return sim->now < node->still_until;
}

/* --- the transcript ----------------------------------------------------------------------------------------- */

static void fold(struct sim *sim, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t h = sim->hash;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
        h ^= h >> 32;
    }
    uint64_t rest = len;
    for (size_t i = 0; i < len; i++)
        rest = rest << 8 | at[i];
    h = (h ^ rest) * UINT64_C(0x9fb21c651e98df25);
    sim->hash = h ^ h >> 29;
}

/* Everything that an engine says, but what is an address in this process. */
static void transcribe(struct sim *sim, const struct sim_node *node, const struct jump_action *a)
{
    uint64_t head[] = { sim->now, node->index, (uint64_t)a->kind, a->host, a->generation, (uint64_t)a->first | (uint64_t)a->voluntary << 1 |
                        (uint64_t)a->end_host << 2 | (uint64_t)a->last << 3, (uint64_t)a->reason, (uint64_t)a->peer_reason,
                        a->ticket, a->revision, a->bytes_len };
    fold(sim, head, sizeof head);
    fold(sim, &a->session_id, sizeof a->session_id);
    fold(sim, &a->path, sizeof a->path);
    fold(sim, &a->observed, sizeof a->observed);
    fold(sim, a->bytes, a->bytes_len);
    if (a->kind != JUMP_DO_EMIT)
        return;
    struct jump_event event;
    memcpy(&event, &a->event, sizeof event);
    event.row = NULL;
    fold(sim, &event, sizeof event);
    fold(sim, a->event.row ? a->event.row : "", a->event.row ? strlen(a->event.row) : 0);
}

static void trace(struct sim *sim, const struct sim_node *node, const struct jump_action *a)
{
    static const char *const kinds[] = { "send", "bind", "unbind", "end", "store", "emit" };
    fprintf(sim->trace, "%12.6f %s %u %02x%02x %s", (double)(sim->now - SIM_BEGIN) / 1e9,
            node->index < SIM_CLIENTS ? "client" : "gateway",
            node->index < SIM_CLIENTS ? node->index : node->index - SIM_CLIENTS, a->session_id.bytes[0],
            a->session_id.bytes[1], kinds[a->kind]);
    if (a->kind == JUMP_DO_SEND)
        fprintf(sim->trace, " type %u to %u.%u:%u/%u", a->bytes[0] & 15, a->path.ip[14], a->path.ip[15], a->path.port,
                a->path.transport);
    else if (a->kind == JUMP_DO_EMIT)
        fprintf(sim->trace, " %s %s %s -> %s v%llu %s", jump_event_kind_name(a->event.kind),
                a->event.row ? a->event.row : "",
                a->event.kind == JUMP_EVENT_STATE_CHANGE ? jump_mode_name(a->event.previous_mode) : "",
                a->event.kind == JUMP_EVENT_STATE_CHANGE ? jump_mode_name(a->event.new_mode) : "",
                (unsigned long long)a->event.state_version, jump_reason_name(a->event.reason));
    else
        fprintf(sim->trace, " %u.%u:%u/%u generation %llu %s", a->path.ip[14], a->path.ip[15], a->path.port,
                a->path.transport, (unsigned long long)a->generation, jump_reason_name(a->reason));
    fputc('\n', sim->trace);
}

/* --- feeding and carrying out ------------------------------------------------------------------------------- */

static uint64_t big(const uint8_t *at, unsigned len)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

static void store(struct sim *sim, struct sim_node *node, const struct jump_action *action)
{
    struct sim_gateway *g = &sim->gateways[node->index - SIM_CLIENTS];
    uint64_t draw = sim_mix(sim->script->seed, UINT64_C(3) << 40 | node->index, g->asked++);
    bool trouble = sim->now < g->store_until;
    uint32_t mode = trouble ? g->store_mode : SIM_STORE_NOW, index;
    if (mode == SIM_STORE_MIXED)
        mode = draw % 3 == 0 ? SIM_STORE_FAIL : draw % 3 == 1 ? SIM_STORE_SLOW : SIM_STORE_NOW;
    struct sim_answer *answer = sim_ask(sim, &index);
    answer->gateway = (uint16_t)(node->index - SIM_CLIENTS);
    answer->start = node->starts;
    answer->in = (struct jump_input){ .kind = JUMP_IN_STORE, .session_id = action->session_id, .ticket = action->ticket };
    answer->version = big(action->bytes + 2, 8);
    answer->generation = big(action->bytes + 10, 8);
    memset(&answer->path, 0, sizeof answer->path);
    memcpy(answer->path.ip, action->bytes + 18, 16);
    answer->path.scope = (uint32_t)big(action->bytes + 34, 4);
    answer->path.port = (uint16_t)big(action->bytes + 38, 2);
    answer->path.proto = action->bytes[40];
    answer->attempt = big(action->bytes + 41, 8);
    answer->counter = big(action->bytes + 49, 8);
    answer->in.store_result = JUMP_STORE_FAILED;
    if (mode != SIM_STORE_FAIL)
        answer->in.store_result = sim_oracle_write(sim, node, action, &answer->in.revision);
    jump_time at = sim->now;
    if (mode == SIM_STORE_SLOW || mode == SIM_STORE_FAIL)
        at += draw >> 20 & 1 ? g->store_for : g->store_for / 2 + JUMP_MS(draw >> 32 & 255);
    else if (mode == SIM_STORE_STUCK)
        at = g->store_until;
    sim_at(sim, at, SIM_STORED, index);
}

void sim_stored(struct sim *sim, uint32_t index)
{
    struct sim_answer answer = sim->answers[index];
    struct sim_node *node = &sim->gateways[answer.gateway].node;
    if (node->engine && node->starts == answer.start && sim_stands_still(sim, node)) {
        sim_at(sim, node->still_until, SIM_STORED, index);
        return;
    }
    sim_answered(sim, index);
    if (!node->engine || node->starts != answer.start)
        return; /* who asked is gone */
    if (answer.in.store_result == JUMP_STORE_DONE)
        sim_oracle_stored(sim, node, &answer);
    sim_feed(sim, node, &answer.in);
}

static void carry_out(struct sim *sim, struct sim_node *node, const struct jump_action *action)
{
    uint16_t n = (uint16_t)(action->host & 0xffff); /* of a client's node: whose session it is */
    struct sim_client *c = node->index < SIM_CLIENTS ? &sim->clients[n] : NULL;
    transcribe(sim, node, action);
    if (sim->trace)
        trace(sim, node, action);
    sim_oracle_action(sim, node, action);
    switch (action->kind) {
    case JUMP_DO_SEND:
        if (c)
            sim_from_client(sim, node->index, action);
        else
            sim_from_gateway(sim, (uint16_t)(node->index - SIM_CLIENTS), action);
        break;
    case JUMP_DO_STORE:
        store(sim, node, action);
        break;
    case JUMP_DO_END:
        if (c && action->host == c->host && c->phase == SIM_OPEN) { /* the program begins anew */
            c->phase = SIM_DOWN;
            sim_host_later(sim, n, sim->now + JUMP_MS(200 + luck(sim, n, c->secrets) % 3000));
        }
        break;
    default:
        break;
    }
}

static void wake_later(struct sim *sim, struct sim_node *node)
{
    jump_time due = jump_engine_deadline(node->engine);
    if (sim_stands_still(sim, node) && due < node->still_until)
        due = node->still_until;
    if (due < sim->now)
        due = sim->now;
    if (due >= node->wake_at || due == JUMP_NEVER)
        return;
    node->wake_at = due;
    sim_at(sim, due, SIM_WAKE, node->index);
}

int sim_feed(struct sim *sim, struct sim_node *node, struct jump_input *in)
{
    int result;
    do { /* due timers of many sessions fill the queue: then it is drained and the same input is fed again */
        const struct jump_action *action;
        result = jump_engine_feed(node->engine, in, sim->now);
        sim->totals.steps++;
        while ((action = jump_engine_next(node->engine)) != NULL)
            carry_out(sim, node, action);
    } while (result == JUMP_ERR_BUSY);
    sim_oracle_settled(sim, node);
    wake_later(sim, node);
    return result;
}

int sim_feed_host(struct sim *sim, struct sim_node *node, enum jump_input_kind kind, jump_host host,
                     enum jump_reason reason)
{
    struct jump_input in = { .kind = kind, .host = host, .reason = reason };
    return node->engine ? sim_feed(sim, node, &in) : JUMP_ERR_UNKNOWN;
}

/* --- processes ---------------------------------------------------------------------------------------------- */

static void start(struct sim *sim, struct sim_node *node)
{
    sim_secret(sim, node->config.seed, UINT64_C(5) << 32 | node->index, ++node->starts);
    node->bytes = jump_engine_bytes(&node->config);
    node->memory = sim_more(NULL, node->bytes + 1);
    if (node->bytes == 0 || jump_engine_init(&node->engine, node->memory, node->bytes, &node->config, sim->now) != 0) {
        fprintf(stderr, "simulation: an engine did not start\n");
        abort();
    }
    node->wake_at = JUMP_NEVER;
    node->still_until = 0;
    node->waiting = 0;
}

void sim_stop(struct sim *sim, struct sim_node *node)
{
    if (!node->engine)
        return;
    sim_oracle_stopped(sim, node);
    jump_engine_wipe(node->engine);
    free(node->memory);
    node->engine = NULL;
}

/* One of the shipped profiles, often with other bounds: they must be valid, and no promise depends on the numbers. */
static void draw_policy(struct sim *sim, struct jump_policy *policy, uint64_t who)
{
    struct jump_policy drawn = sim->profiles[sim_mix(sim->script->seed, who, 700) % 3];
    *policy = drawn;
#define ONE_OF(what, n) (sim_mix(sim->script->seed, who, what) % (n) == 0)
#define BETWEEN(what, low, high) (uint32_t)((low) + sim_mix(sim->script->seed, who, (what) + 100) % ((high) - (low)))
    if (ONE_OF(701, 5))
        drawn.max_lifetime_ms = drawn.transport_lost_ttl_ms + BETWEEN(701, 120000, 2400000);
    if (ONE_OF(702, 4))
        drawn.max_switches_per_min = BETWEEN(702, 1, 24);
    if (ONE_OF(703, 4))
        drawn.replay_window = 64u << BETWEEN(703, 0, 4);
    if (ONE_OF(704, 4)) {
        drawn.transport_lost_ttl_ms = BETWEEN(704, 3000, 120000);
        drawn.recovery_window_ms = BETWEEN(705, 1000, drawn.transport_lost_ttl_ms);
    }
    if (ONE_OF(706, 5))
        drawn.idle_interval_ms = drawn.heartbeat_interval_ms + BETWEEN(706, 0, 20000);
    if (ONE_OF(707, 5))
        drawn.switch_cooldown_ms = BETWEEN(707, 0, 20000);
    if (ONE_OF(708, 3))
        drawn.latency_volatile_threshold_ms = BETWEEN(708, 700, 2000);
    if (ONE_OF(709, 6))
        drawn.key_max_age_ms = 2 * drawn.transport_lost_ttl_ms + BETWEEN(709, 600000, 2400000);
#undef ONE_OF
#undef BETWEEN
    if (jump_policy_valid(&drawn) == 0)
        *policy = drawn;
}

void sim_start_gateway(struct sim *sim, uint16_t g)
{
    struct sim_gateway *gateway = &sim->gateways[g];
    struct jump_config *config = &gateway->node.config;
    uint64_t seed = sim->script->seed, who = UINT64_C(2) << 40 | g;
    uint32_t share = sim->script->clients / sim->script->gateways + 1;
    bool openvpn = g == 0 || sim_mix(seed, who, 1) % 3 != 0;
    if (gateway->node.starts == 0) {
        gateway->node.index = (uint16_t)(SIM_CLIENTS + g);
        *config = (struct jump_config){ .role = JUMP_SERVER, .unique_path = openvpn,
                                        .host_kind = openvpn ? JUMP_HOST_OPENVPN : JUMP_HOST_STRONGSWAN };
        config->max_sessions = sim_mix(seed, who, 2) % 8 == 0 ? share * 2 / 3 + 1 : 3 * share + 16;
        draw_policy(sim, &config->policy, who);
        sim_secret(sim, config->instance_key, who, 3);
    }
    config->boot = ++gateway->boot;
    start(sim, &gateway->node);
    gateway->up = true;
}

/* Does this one's second session live in its process? On strongSwan one charon may have several; an OpenVPN has one. */
bool sim_has_lodger(const struct sim *sim, uint16_t n)
{
    uint64_t seed = sim->script->seed;
    uint16_t home = (uint16_t)(sim_mix(seed, n, 800) % sim->script->gateways);
    return n % 2 == 0 && n + 1u < sim->script->clients && sim->script->present[n] && sim->script->present[n + 1] &&
           !sim->gateways[home].node.config.unique_path && sim_mix(seed, n, 805) % 2 == 0;
}

/* How often it rekeys and what it has to say; where it is at home. */
static void draw_habits(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    uint64_t seed = sim->script->seed;
    c->home = (uint16_t)(sim_mix(seed, c->machine == c ? n : n - 1u, 800) % sim->script->gateways);
    c->gateway = c->home;
    c->rekey_every = JUMP_MS(300000 + sim_mix(seed, n, 802) % 900000);
    c->data_every = JUMP_MS(sim_mix(seed, n, 803) % 6 == 0 ? 2000 : 60000 + sim_mix(seed, n, 804) % 600000);
    c->data_due = sim->now + c->data_every;
    sim_at(sim, sim->now + c->rekey_every, SIM_REKEY, n);
    sim_at(sim, c->data_due, SIM_USER_DATA, n);
}

void sim_start_client(struct sim *sim, uint16_t n)
{
    struct sim_client *c = &sim->clients[n];
    struct jump_config *config = &c->node.config;
    uint64_t seed = sim->script->seed;
    bool lodger = n % 2 == 1 && sim_has_lodger(sim, (uint16_t)(n - 1));
    if (!c->machine) {
        c->machine = lodger ? &sim->clients[n - 1] : c;
        draw_habits(sim, n);
    }
    c->phase = SIM_DOWN;
    if (lodger)
        return;
    if (c->node.starts == 0) {
        c->node.index = n;
        *config = (struct jump_config){ .role = JUMP_CLIENT, .max_sessions = 4,
                                        .host_kind = sim->gateways[c->home].node.config.host_kind };
        if (sim_mix(seed, n, 801) % 4 != 0)
            config->policy = sim->gateways[c->home].node.config.policy;
        else
            draw_policy(sim, &config->policy, UINT64_C(4) << 40 | n);
    }
    start(sim, &c->node);
}
