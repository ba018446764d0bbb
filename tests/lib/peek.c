/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * White-box views for tests. It changes nothing but the send counter of the session in whose name it seals.
 * Read next: peek.h.
 */
#include "peek.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jump_session *peek_server(struct world *w, unsigned client)
{
    return jump_table_by_host(&w->server->table, client + 1);
}

struct jump_session *peek_client(struct world *w, unsigned client)
{
    return jump_table_by_host(&w->clients[client].engine->table, client + 1);
}

static struct jump_engine *engine_of(struct world *w, bool server, unsigned client)
{
    return server ? w->server : w->clients[client].engine;
}

static struct jump_session *session_of(struct world *w, bool server, unsigned client)
{
    return server ? peek_server(w, client) : peek_client(w, client);
}

/* The last struct jump_session-sized piece is rewritten in place; the union is cut to the role's part, because the
 * server's slots end where the client's would go on. */
void peek_shoot(struct peek_shot *shot, struct world *w, bool server, unsigned client)
{
    const struct jump_session *s = session_of(w, server, client);
    memset(shot, 0, sizeof *shot);
    if (!s)
        return;
    shot->there = true;
    shot->len = engine_of(w, server, client)->table.slot_bytes;
    if (shot->len > sizeof shot->bytes) {
        fprintf(stderr, "peek: a session of %zu bytes\n", shot->len);
        abort();
    }
    memcpy(shot->bytes, s, shot->len);
#define BLANK(field) memset(shot->bytes + offsetof(struct jump_session, field), 0, sizeof s->field)
    BLANK(send_counter);
    BLANK(checked_version);
    BLANK(next_by_id);
    BLANK(next_by_host);
    BLANK(next_by_path);
    if (server) {
        BLANK(u.server.bucket);
        BLANK(u.server.race_path);
        BLANK(u.server.race_attempt);
        BLANK(u.server.race_candidate);
    }
#undef BLANK
}

void peek_note(struct peek_record *record, struct world *w, bool server, unsigned client)
{
    const struct jump_session *s = session_of(w, server, client);
    memset(record, 0, sizeof *record);
    if (!s)
        return;
    record->there = true;
    record->id = s->id;
    record->mode = s->mode;
    record->version = s->version;
    record->generation = s->generation;
    record->attempt = s->attempt;
    record->high = server ? s->u.server.reattach_high : 0;
    record->binding = s->binding;
    record->birth_path = s->birth_path;
    record->policy = s->policy;
    record->born_at = s->born_at;
    for (unsigned i = 0; i < s->epochs.held; i++)
        record->keys[i] = s->epochs.keys[i].fingerprint;
}

bool peek_same_shot(const struct peek_shot *a, const struct peek_shot *b)
{
    if (a->there != b->there || a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++) {
        if (a->bytes[i] != b->bytes[i]) {
            printf("    (the session differs at byte %zu)\n", i);
            return false;
        }
    }
    return true;
}

bool peek_same_record(const struct peek_record *a, const struct peek_record *b)
{
    return a->there == b->there && memcmp(&a->id, &b->id, sizeof a->id) == 0 && a->mode == b->mode &&
           a->version == b->version && a->generation == b->generation && a->attempt == b->attempt &&
           a->high == b->high && memcmp(&a->binding, &b->binding, sizeof a->binding) == 0 &&
           memcmp(&a->birth_path, &b->birth_path, sizeof a->birth_path) == 0 &&
           memcmp(&a->policy, &b->policy, sizeof a->policy) == 0 && a->born_at == b->born_at &&
           memcmp(a->keys, b->keys, sizeof a->keys) == 0;
}

void peek_settle(struct world *w)
{
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    world_feed_server(w, &tick);
    for (unsigned n = 0; n < w->client_count; n++)
        world_feed_client(w, n, &tick);
}

static const char *broken_in(struct world *w, struct jump_engine *e, bool server)
{
    for (uint32_t slot = 0; slot < e->table.capacity; slot++) {
        struct jump_session *s = jump_table_slot(&e->table, slot);
        if (!s || s->zombie)
            continue;
        const char *broken = jump_session_broken(s, &e->table.shape, e->now);
        if (broken)
            return broken;
        if (s->mode == JUMP_MODE_TERMINATED)
            return "a session is TERMINATED and still there";
        if (server && e->config.unique_path && jump_session_bound(s) &&
            jump_table_by_path(&e->table, &s->binding, s) != NULL)
            return "I1: two sessions on one path";
        bool zero = true; /* independently of the core's own check */
        for (size_t i = 0; i < sizeof s->binding; i++)
            zero = zero && ((const uint8_t *)&s->binding)[i] == 0;
        if (zero == jump_mode_bound((enum jump_mode)s->mode))
            return "I1: binding and mode disagree";
        if (!jump_session_silent(s, e->config.role) && w->now > s->born_at + JUMP_MS(s->policy.max_lifetime_ms) + JUMP_MS(1))
            return "I6: older than max_lifetime";
        if (s->unbound_at != JUMP_NEVER && w->now > s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms) + JUMP_MS(1))
            return "I7: unbound for too long";
        if ((s->mode == JUMP_MODE_BIRTH) != (s->version == 0))
            return "I8: BIRTH has version 0 and nothing else has";
    }
    return NULL;
}

const char *peek_broken(struct world *w)
{
    const char *broken = broken_in(w, w->server, true);
    for (unsigned n = 0; n < w->client_count && !broken; n++)
        broken = broken_in(w, w->clients[n].engine, false);
    return broken;
}

void peek_seal_as(struct peek_message *m, struct world *w, bool server, unsigned client, uint8_t type,
                  struct jump_body *body, uint64_t counter)
{
    struct jump_session *s = session_of(w, server, client);
    if (!s) {
        fprintf(stderr, "peek: no session to speak for\n");
        abort();
    }
    const struct jump_keys *keys = &s->epochs.keys[s->epochs.held == 2 && s->epochs.peer_has_new ? 1 : 0];
    struct jump_header header = { .type = type, .epoch = keys->fingerprint, .session_id = s->id, .counter = counter };
    memcpy(header.process, engine_of(w, server, client)->process, sizeof header.process);
    for (unsigned i = 0; i < s->epochs.held; i++)
        body->keys[i] = s->epochs.keys[i].fingerprint;
    m->len = jump_wire_length(type);
    jump_seal_message(m->bytes, m->len, &header, body, server ? keys->s2c : keys->c2s);
}

void peek_seal(struct peek_message *m, struct world *w, bool server, unsigned client, uint8_t type,
               struct jump_body *body)
{
    peek_seal_as(m, w, server, client, type, body, ++session_of(w, server, client)->send_counter);
}

int peek_open(struct jump_header *header, struct jump_body *body, struct world *w, bool server_side, unsigned client,
              const struct world_flight *flight)
{
    const struct jump_session *s = session_of(w, server_side, client);
    int verdict = jump_wire_get_header(header, flight->bytes, flight->len);
    if (verdict != 0 || !s)
        return verdict != 0 ? verdict : JUMP_ERR_UNKNOWN;
    for (unsigned i = 0; i < s->epochs.held; i++) {
        const struct jump_keys *keys = &s->epochs.keys[i];
        if (keys->fingerprint == header->epoch)
            return jump_seal_open(body, header, flight->bytes, flight->len,
                                  flight->to_server ? keys->c2s : keys->s2c);
    }
    return JUMP_ERR_REFUSED;
}

uint8_t peek_type(const struct world_flight *flight)
{
    return flight->bytes[0] & 15;
}
