/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hold queues (hold.h). A packet is a chain of 512-byte cells, so that small packets do not cost full ones. Cells
 * come from chunks that are taken when needed and given back when nothing is held. Each packet is in two lists: its
 * peer's, and one in order of arrival over all peers, whose head is what a full pool drops. The head of that list is
 * always the head of its peer's queue too. Read next: who sends it on, openvpn/loop.c (flush) and strongswan/hold.c.
 */
#include "hold.h"

#include <stdlib.h>
#include <string.h>

#define CELL_PAYLOAD 488u
#define CHUNK_CELLS 2048u /* 1 MiB */
#define NONE UINT32_MAX
#define FLUSH_PACKETS 32 /* a millisecond: 360 Mbit/s of full packets */
#define FLUSH_BURST 64   /* at most at once, after a millisecond that came late: a socket's buffer takes some 270 */

struct cell {
    uint32_t next_cell;   /* of this packet; of the free list */
    uint32_t next_packet; /* of this peer */
    uint32_t older, newer; /* of all */
    uint32_t len, peer;
    uint8_t payload[CELL_PAYLOAD];
};
_Static_assert(sizeof(struct cell) == 512, "cells fill chunks");

struct queue {
    uint32_t first, last, packets, bytes;
    uint32_t control; /* the newest control packet */
};

struct jump_hold {
    struct jump_hold_counters counters;
    uint32_t peers, packets_each;
    uint32_t chunks_max, chunks;
    struct cell **chunk;
    uint32_t free_cell, cells_in_use;
    uint32_t oldest, newest;
    struct queue queues[];
};

static struct cell *cell_at(const struct jump_hold *hold, uint32_t n)
{
    return &hold->chunk[n / CHUNK_CELLS][n % CHUNK_CELLS];
}

struct jump_hold *jump_hold_open(uint32_t peers, uint32_t packets_each, size_t pool_bytes)
{
    struct jump_hold *hold = calloc(1, sizeof *hold + sizeof(struct queue) * peers);

    if (hold == NULL)
        return NULL;
    hold->peers = peers;
    hold->packets_each = packets_each;
    hold->chunks_max = (uint32_t)(pool_bytes / (CHUNK_CELLS * sizeof(struct cell)));
    hold->chunk = calloc(hold->chunks_max + 1, sizeof *hold->chunk); /* NOLINT(bugprone-sizeof-expression): an array of pointers */
    hold->free_cell = hold->oldest = hold->newest = NONE;
    for (uint32_t i = 0; i < peers; i++)
        hold->queues[i].first = hold->queues[i].last = hold->queues[i].control = NONE;
    if (hold->chunk == NULL) {
        free(hold);
        return NULL;
    }
    return hold;
}

static void give_chunks_back(struct jump_hold *hold)
{
    for (uint32_t i = 0; i < hold->chunks; i++)
        free(hold->chunk[i]);
    hold->chunks = 0;
    hold->counters.chunks = 0;
    hold->free_cell = NONE;
}

void jump_hold_close(struct jump_hold *hold)
{
    if (hold == NULL)
        return;
    give_chunks_back(hold);
    free(hold->chunk);
    free(hold);
}

static bool take_chunk(struct jump_hold *hold)
{
    struct cell *cells;

    if (hold->chunks == hold->chunks_max)
        return false;
    cells = malloc(CHUNK_CELLS * sizeof *cells);
    if (cells == NULL)
        return false;
    hold->chunk[hold->chunks] = cells;
    for (uint32_t i = CHUNK_CELLS; i-- > 0;) {
        cells[i].next_cell = hold->free_cell;
        hold->free_cell = hold->chunks * CHUNK_CELLS + i;
    }
    hold->counters.chunks = ++hold->chunks;
    return true;
}

static uint32_t take_cell(struct jump_hold *hold)
{
    uint32_t n;

    if (hold->free_cell == NONE && !take_chunk(hold))
        return NONE;
    n = hold->free_cell;
    hold->free_cell = cell_at(hold, n)->next_cell;
    hold->cells_in_use++;
    return n;
}

static void free_packet(struct jump_hold *hold, uint32_t packet)
{
    while (packet != NONE) {
        struct cell *cell = cell_at(hold, packet);
        uint32_t next = cell->next_cell;

        cell->next_cell = hold->free_cell;
        hold->free_cell = packet;
        hold->cells_in_use--;
        packet = next;
    }
}

/* Take the first packet of a peer out of both lists. */
static void drop_first(struct jump_hold *hold, uint32_t peer)
{
    struct queue *queue = &hold->queues[peer];
    uint32_t packet = queue->first;
    struct cell *cell = cell_at(hold, packet);

    queue->first = cell->next_packet;
    if (queue->first == NONE)
        queue->last = NONE;
    queue->packets--;
    queue->bytes -= cell->len;
    hold->counters.packets--;
    if (cell->older != NONE)
        cell_at(hold, cell->older)->newer = cell->newer;
    else
        hold->oldest = cell->newer;
    if (cell->newer != NONE)
        cell_at(hold, cell->newer)->older = cell->older;
    else
        hold->newest = cell->older;
    free_packet(hold, packet);
}

static void drop_control(struct jump_hold *hold, uint32_t peer)
{
    free_packet(hold, hold->queues[peer].control);
    hold->queues[peer].control = NONE;
}

/* A chain of cells with these bytes. A full pool makes room by its oldest data, whoever's it is. */
static uint32_t copy_packet(struct jump_hold *hold, uint32_t peer, const uint8_t *bytes, size_t bytes_len)
{
    uint32_t first = NONE, last = NONE;

    for (size_t done = 0; done < bytes_len;) {
        size_t part = bytes_len - done < CELL_PAYLOAD ? bytes_len - done : CELL_PAYLOAD;
        uint32_t n = take_cell(hold);

        while (n == NONE && hold->oldest != NONE) {
            drop_first(hold, cell_at(hold, hold->oldest)->peer);
            hold->counters.dropped++;
            n = take_cell(hold);
        }
        if (n == NONE) {
            free_packet(hold, first);
            return NONE;
        }
        cell_at(hold, n)->next_cell = NONE;
        memcpy(cell_at(hold, n)->payload, bytes + done, part);
        if (last == NONE)
            first = n;
        else
            cell_at(hold, last)->next_cell = n;
        last = n;
        done += part;
    }
    cell_at(hold, first)->len = (uint32_t)bytes_len;
    cell_at(hold, first)->peer = peer;
    return first;
}

void jump_hold_put(struct jump_hold *hold, uint32_t peer, enum jump_hold_kind kind, const uint8_t *bytes, size_t bytes_len)
{
    struct queue *queue;
    uint32_t packet;

    if (peer >= hold->peers || bytes_len == 0 || bytes_len > JUMP_HOLD_PACKET_BYTES)
        return;
    queue = &hold->queues[peer];
    if (kind == JUMP_HOLD_CONTROL) {
        drop_control(hold, peer);
        queue->control = copy_packet(hold, peer, bytes, bytes_len);
        return;
    }
    while (queue->first != NONE
           && (queue->packets == hold->packets_each || queue->bytes + bytes_len > JUMP_HOLD_BYTES)) {
        drop_first(hold, peer);
        hold->counters.dropped++;
    }
    packet = copy_packet(hold, peer, bytes, bytes_len);
    if (packet == NONE) {
        hold->counters.dropped++;
        return;
    }
    cell_at(hold, packet)->next_packet = NONE;
    if (queue->last == NONE)
        queue->first = packet;
    else
        cell_at(hold, queue->last)->next_packet = packet;
    queue->last = packet;
    queue->packets++;
    queue->bytes += (uint32_t)bytes_len;
    cell_at(hold, packet)->newer = NONE;
    cell_at(hold, packet)->older = hold->newest;
    if (hold->newest == NONE)
        hold->oldest = packet;
    else
        cell_at(hold, hold->newest)->newer = packet;
    hold->newest = packet;
    hold->counters.packets++;
    hold->counters.held++;
}

bool jump_hold_waits(const struct jump_hold *hold, uint32_t peer)
{
    return peer < hold->peers && (hold->queues[peer].first != NONE || hold->queues[peer].control != NONE);
}

bool jump_hold_any(const struct jump_hold *hold)
{
    return hold->cells_in_use != 0;
}

size_t jump_hold_next(const struct jump_hold *hold, uint32_t peer, uint8_t bytes[JUMP_HOLD_PACKET_BYTES])
{
    uint32_t packet;
    size_t len;

    if (!jump_hold_waits(hold, peer))
        return 0;
    packet = hold->queues[peer].first != NONE ? hold->queues[peer].first : hold->queues[peer].control;
    len = cell_at(hold, packet)->len;
    for (size_t done = 0; done < len; packet = cell_at(hold, packet)->next_cell) {
        size_t part = len - done < CELL_PAYLOAD ? len - done : CELL_PAYLOAD;

        memcpy(bytes + done, cell_at(hold, packet)->payload, part);
        done += part;
    }
    return len;
}

static void done_with_first(struct jump_hold *hold, uint32_t peer, uint64_t *counter)
{
    if (!jump_hold_waits(hold, peer))
        return;
    if (hold->queues[peer].first != NONE) {
        drop_first(hold, peer);
        (*counter)++;
    } else {
        drop_control(hold, peer);
    }
    if (hold->cells_in_use == 0)
        give_chunks_back(hold);
}

void jump_hold_sent(struct jump_hold *hold, uint32_t peer)
{
    done_with_first(hold, peer, &hold->counters.sent);
}

void jump_hold_lost(struct jump_hold *hold, uint32_t peer)
{
    done_with_first(hold, peer, &hold->counters.dropped);
}

void jump_hold_forget(struct jump_hold *hold, uint32_t peer)
{
    if (peer >= hold->peers)
        return;
    while (hold->queues[peer].first != NONE) {
        drop_first(hold, peer);
        hold->counters.dropped++;
    }
    drop_control(hold, peer);
    if (hold->cells_in_use == 0)
        give_chunks_back(hold);
}

const struct jump_hold_counters *jump_hold_counters(const struct jump_hold *hold)
{
    return &hold->counters;
}

unsigned jump_hold_due(jump_time now, jump_time at)
{
    jump_time late = now > at ? (now - at) / JUMP_HOLD_EVERY : 0;

    return late < FLUSH_BURST / FLUSH_PACKETS ? FLUSH_PACKETS * (1 + (unsigned)late) : FLUSH_BURST;
}
