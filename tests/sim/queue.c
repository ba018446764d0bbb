/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Virtual time: what happens next, in one heap. Two things of one instant come in the order in which they were put there,
 * so that a run is a function of its script. Also the datagrams in the air and the questions that a store has yet to answer.
 * Read next: sim.h.
 */
#include <stdlib.h>

#include "sim.h"

void *sim_more(void *memory, size_t bytes)
{
    void *more = realloc(memory, bytes);
    if (!more) {
        fprintf(stderr, "simulation: no memory\n");
        abort();
    }
    return more;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void sim_at(struct sim *sim, jump_time at, enum sim_happening what, uint32_t who)
{
    if (sim->heap_count == sim->heap_room) {
        sim->heap_room = sim->heap_room ? 2 * sim->heap_room : 1024;
        sim->heap = sim_more(sim->heap, sim->heap_room * sizeof *sim->heap);
    }
    struct sim_event event = { at < sim->now ? sim->now : at, sim->order++, (uint32_t)what, who };
    uint32_t i = sim->heap_count++;
    for (; i > 0 && before(&event, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim->heap[i] = sim->heap[(i - 1) / 2];
    sim->heap[i] = event;
}

bool sim_next(struct sim *sim, struct sim_event *event)
{
    if (sim->heap_count == 0)
        return false;
    *event = sim->heap[0];
    struct sim_event last = sim->heap[--sim->heap_count];
    uint32_t i = 0;
    for (uint32_t child = 1; child < sim->heap_count; child = 2 * i + 1) {
        if (child + 1 < sim->heap_count && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &last))
            break;
        sim->heap[i] = sim->heap[child];
        i = child;
    }
    sim->heap[i] = last;
    return true;
}

/* Datagrams are in blocks that never move, because one is read while another takes off. */
struct sim_flight *sim_take_off(struct sim *sim, uint32_t *index)
{
    if (sim->flight_free == UINT32_MAX) {
        uint32_t first = sim->flight_room;
        sim->flight_room += 256;
        sim->flights = sim_more(sim->flights, sim->flight_room * sizeof *sim->flights);
        struct sim_flight *block = sim_more(NULL, 256 * sizeof *block);
        for (uint32_t i = 0; i < 256; i++) {
            sim->flights[first + i] = &block[i];
            block[i].next_free = i + 1 < 256 ? first + i + 1 : UINT32_MAX;
        }
        sim->flight_free = first;
    }
    *index = sim->flight_free;
    sim->flight_free = sim->flights[*index]->next_free;
    return sim->flights[*index];
}

void sim_land(struct sim *sim, uint32_t index)
{
    sim->flights[index]->next_free = sim->flight_free;
    sim->flight_free = index;
}

struct sim_answer *sim_ask(struct sim *sim, uint32_t *index)
{
    if (sim->answer_free == UINT32_MAX) {
        uint32_t first = sim->answer_room;
        sim->answer_room += 64;
        sim->answers = sim_more(sim->answers, sim->answer_room * sizeof *sim->answers);
        for (uint32_t i = first; i < sim->answer_room; i++)
            sim->answers[i].next_free = i + 1 < sim->answer_room ? i + 1 : UINT32_MAX;
        sim->answer_free = first;
    }
    *index = sim->answer_free;
    sim->answer_free = sim->answers[*index].next_free;
    return &sim->answers[*index];
}

void sim_answered(struct sim *sim, uint32_t index)
{
    sim->answers[index].next_free = sim->answer_free;
    sim->answer_free = index;
}
