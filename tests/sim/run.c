/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One run: the world is made, then whatever is next in time happens, until the script's time is over or something is broken.
 * Read next: sim.h.
 */
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "sim.h"

void sim_make(struct sim *sim)
{
    static const char *const names[] = { "strict", "mobile", "laptop" };
    const struct sim_script *script = sim->script;
    sim->now = SIM_BEGIN;
    sim->end = SIM_BEGIN + JUMP_MS(script->length_ms);
    sim->flight_free = sim->answer_free = UINT32_MAX;
    sim->clients = sim_more(NULL, script->clients * sizeof *sim->clients);
    memset(sim->clients, 0, script->clients * sizeof *sim->clients);
    sim->accepted = sim_more(NULL, SIM_SERIALS / 8);
    memset(sim->accepted, 0, SIM_SERIALS / 8);
    sim->before = sim_more(NULL, 4096);
    for (unsigned i = 0; i < 3; i++)
        if (!profile_load(&sim->profiles[i], names[i])) {
            fprintf(stderr, "simulation: the profile %s cannot be read\n", names[i]);
            abort();
        }
    for (uint16_t g = 0; g < script->gateways; g++) {
        sim_start_gateway(sim, g);
        const struct jump_table *table = &sim->gateways[g].node.engine->table;
        if (jump_engine_session_bytes(&sim->gateways[g].node.config) > 4096)
            sim_fail(sim, SIM_STRANGERS, "I16", "a session of more than 4096 bytes");
        if (table->capacity * table->slot_bytes > sim->all_room)
            sim->all_room = table->capacity * table->slot_bytes;
    }
    for (unsigned i = 0; i < 3; i++) {
        struct jump_config config = { .role = JUMP_SERVER, .policy = sim->profiles[i] };
        if (jump_engine_session_bytes(&config) > 1024)
            sim_fail(sim, SIM_STRANGERS, "I16", "under %s a session costs more than 1 KiB", names[i]);
    }
    sim->all_before = sim_more(NULL, sim->all_room);
    for (uint16_t n = 0; n < script->clients; n++) {
        if (!script->present[n])
            continue;
        struct sim_client *c = &sim->clients[n];
        c->present = true;
        c->quiet_at = sim->now;
        c->kept = sim_more(NULL, SIM_REMEMBERED * sizeof *c->kept);
        sim_start_client(sim, n);
        if (c->machine == c)
            sim_wire_client(sim, n);
        sim_host_later(sim, n, sim->now + JUMP_MS(sim_mix(script->seed, n, 990) % 20000));
    }
    for (uint32_t i = 0; i < script->op_count; i++)
        sim_at(sim, SIM_BEGIN + JUMP_MS(script->ops[i].at_ms), SIM_OPERATION, i);
    sim_at(sim, sim->now + SIM_SWEEP, SIM_SWEEPING, 0);
}

static struct sim_node *node_of(struct sim *sim, uint32_t index)
{
    return index < SIM_CLIENTS ? &sim->clients[index].node : &sim->gateways[index - SIM_CLIENTS].node;
}

static void wake(struct sim *sim, struct sim_node *node)
{
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    if (!node->engine || (sim->now != node->wake_at && sim->now != node->still_until))
        return;
    if (sim->now == node->wake_at)
        node->wake_at = JUMP_NEVER;
    if (!sim_stands_still(sim, node)) /* else it is woken at the end of that */
        sim_feed(sim, node, &tick); /* too early is no harm, and arms the next one */
}

/* Session-hours are counted where the sessions are: at the clients. */
static void count_hours(struct sim *sim)
{
    for (uint16_t n = 0; n < sim->script->clients; n++) {
        struct sim_client *c = &sim->clients[n];
        struct jump_engine *engine = c->present ? c->machine->node.engine : NULL;
        if (engine && jump_table_by_id(&engine->table, &c->id))
            sim->totals.hours += (double)SIM_SWEEP / 3.6e12;
    }
}

static void happen(struct sim *sim, const struct sim_event *event)
{
    switch ((enum sim_happening)event->what) {
    case SIM_FLIGHT:
        sim_arrive(sim, event->who);
        break;
    case SIM_WAKE:
        wake(sim, node_of(sim, event->who));
        break;
    case SIM_OPERATION:
        sim_operate(sim, &sim->script->ops[event->who]);
        break;
    case SIM_STORED:
        sim_stored(sim, event->who);
        break;
    case SIM_HOST:
        sim_host_due(sim, (uint16_t)event->who);
        break;
    case SIM_USER_DATA:
        sim_user_data(sim, (uint16_t)event->who);
        break;
    case SIM_REKEY:
        sim_rekey_due(sim, (uint16_t)event->who);
        break;
    case SIM_CANDIDATES:
        sim_tell_candidates(sim, (uint16_t)event->who);
        break;
    case SIM_UP:
        sim_start_gateway(sim, (uint16_t)event->who);
        break;
    case SIM_SWEEPING:
        sim_oracle_sweep(sim);
        count_hours(sim);
        sim_at(sim, sim->now + SIM_SWEEP, SIM_SWEEPING, 0);
        break;
    }
}

void sim_end(struct sim *sim)
{
    for (uint16_t n = 0; n < sim->script->clients; n++) {
        sim_stop(sim, &sim->clients[n].node);
        free(sim->clients[n].kept);
    }
    for (uint16_t g = 0; g < sim->script->gateways; g++) {
        sim_stop(sim, &sim->gateways[g].node);
        free(sim->gateways[g].bound);
    }
    for (uint32_t i = 0; i < sim->track_room; i++)
        free(sim->tracks[i]);
    for (uint32_t i = 0; i < sim->flight_room; i += 256)
        free(sim->flights[i]); /* each block is one allocation */
    free(sim->tracks);
    free(sim->flights);
    free(sim->answers);
    free(sim->heap);
    free(sim->clients);
    free(sim->accepted);
    free(sim->before);
    free(sim->all_before);
}

void sim_run(struct sim *sim)
{
    struct sim_event event;
    sim_make(sim);
    while (!sim->failed && sim_next(sim, &event) && event.at <= sim->end) {
        sim->now = event.at;
        happen(sim, &event);
    }
    sim_end(sim);
}
