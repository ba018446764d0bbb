/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every message that client 0 and the server send, opened as it leaves and kept in order, for tests of their pace and
 * of what is in them. Include it once in a test program. Read next: tests/lib/story.h.
 */
#ifndef JUMP_TEST_SENT_H
#define JUMP_TEST_SENT_H

#include "story.h"

#define SENT 4096

struct sent {
    jump_time at;
    uint8_t transport;
    size_t len;
    struct jump_header header;
    struct jump_body body;
};
static struct sent sent[2][SENT];
static unsigned sent_count[2];
static bool sent_unreadable;

static inline void watch(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    struct world_flight flight = { .to_server = !server, .len = action->bytes_len };
    if (action->kind != JUMP_DO_SEND || client != 0 || sent_count[server] == SENT)
        return;
    struct sent *s = &sent[server][sent_count[server]++];
    memcpy(flight.bytes, action->bytes, action->bytes_len);
    memset(s, 0, sizeof *s);
    s->at = world->now;
    s->transport = action->path.transport;
    s->len = action->bytes_len;
    sent_unreadable = sent_unreadable || jump_wire_get_header(&s->header, flight.bytes, flight.len) != 0;
    (void)peek_open(&s->header, &s->body, world, server, 0, &flight); /* the body stays empty where its session is gone */
}

static inline void begin_to_watch(void)
{
    sent_count[0] = sent_count[1] = 0;
    sent_unreadable = false;
    w.on_action = watch;
}

static inline unsigned sent_of(bool server, uint8_t type)
{
    unsigned count = 0;
    for (unsigned i = 0; i < sent_count[server]; i++)
        count += sent[server][i].header.type == type;
    return count;
}

/* The n-th message of a type; NULL: there were fewer. */
static inline const struct sent *nth(bool server, uint8_t type, unsigned n)
{
    for (unsigned i = 0; i < sent_count[server]; i++)
        if (sent[server][i].header.type == type && n-- == 0)
            return &sent[server][i];
    return NULL;
}

static inline uint64_t gap_ms(bool server, uint8_t type, unsigned n)
{
    const struct sent *a = nth(server, type, n), *b = nth(server, type, n + 1);
    return a && b ? (b->at - a->at) / JUMP_MS(1) : 0;
}

#endif
