/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulated network and the loop of an adapter, for tests. Everything is drawn from one seed, so that a failure
 * can be had again. Read next: world.h.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t draw(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

struct jump_path world_path(uint8_t last, uint16_t port)
{
    struct jump_path path = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = last },
                              .port = port };
    return path;
}

static void seed_bytes(struct world *w, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(draw(w) >> 24);
}

void world_init(struct world *w, unsigned clients, uint64_t seed)
{
    struct jump_policy_draft draft;
    memset(w, 0, sizeof *w);
    w->now = JUMP_MS(1000000);
    w->random = seed * 2 + 0x9e3779b97f4a7c15u;
    w->client_count = clients;
    w->flights = calloc(WORLD_FLIGHTS, sizeof *w->flights);
    w->events = calloc(WORLD_EVENTS, sizeof *w->events);
    w->server_path = world_path(1, 1194);
    jump_policy_begin(&draft);
    w->server_config = (struct jump_config){ .role = JUMP_SERVER, .host_kind = JUMP_HOST_OPENVPN, .max_sessions = 16,
                                             .unique_path = true, .boot = 1, .policy = draft.policy };
    w->client_config = (struct jump_config){ .role = JUMP_CLIENT, .host_kind = JUMP_HOST_OPENVPN, .max_sessions = 4,
                                             .policy = draft.policy };
    seed_bytes(w, w->server_config.instance_key, JUMP_SECRET_BYTES);
    for (unsigned n = 0; n < clients; n++) {
        for (unsigned u = 0; u < WORLD_UPLINKS; u++) {
            w->clients[n].uplinks[u] = world_path((uint8_t)(10 + n * WORLD_UPLINKS + u), (uint16_t)(20000 + n));
            w->clients[n].up[u] = true;
            w->clients[n].delay[u] = JUMP_MS(10);
        }
    }
}

static struct jump_engine *make(const struct jump_config *config, void **memory, jump_time now)
{
    struct jump_engine *engine = NULL;
    size_t bytes = jump_engine_bytes(config);
    *memory = bytes ? malloc(bytes) : NULL;
    if (!*memory || jump_engine_init(&engine, *memory, bytes, config, now) != 0) {
        fprintf(stderr, "world: an engine did not start\n");
        abort();
    }
    return engine;
}

void world_start(struct world *w)
{
    seed_bytes(w, w->server_config.seed, JUMP_SECRET_BYTES);
    w->server = make(&w->server_config, &w->server_memory, w->now);
    for (unsigned n = 0; n < w->client_count; n++) {
        seed_bytes(w, w->client_config.seed, JUMP_SECRET_BYTES);
        w->clients[n].engine = make(&w->client_config, &w->clients[n].memory, w->now);
    }
}

void world_free(struct world *w)
{
    jump_engine_wipe(w->server);
    free(w->server_memory);
    for (unsigned n = 0; n < w->client_count; n++) {
        jump_engine_wipe(w->clients[n].engine);
        free(w->clients[n].memory);
    }
    free(w->flights);
    free(w->events);
}

void world_restart_server(struct world *w)
{
    jump_engine_wipe(w->server);
    free(w->server_memory);
    w->server_config.boot++;
    seed_bytes(w, w->server_config.seed, JUMP_SECRET_BYTES);
    w->server = make(&w->server_config, &w->server_memory, w->now);
    w->held_count = 0;
}

static struct world_flight *take_off(struct world *w, const struct world_flight *flight)
{
    for (unsigned i = 0; i < WORLD_FLIGHTS; i++) {
        if (w->flights[i].used)
            continue;
        w->flights[i] = *flight;
        if (i >= w->flights_top)
            w->flights_top = i + 1;
        return &w->flights[i];
    }
    fprintf(stderr, "world: too many datagrams in flight\n");
    abort();
}

static void fly(struct world *w, const struct world_flight *flight)
{
    struct world_flight *f = take_off(w, flight);
    if ((f->to_server ? w->drop_up : w->drop_down) >> (f->bytes[0] & 15) & 1)
        f->used = false;
    else if (w->on_flight)
        w->on_flight(w, f);
}

void world_fly(struct world *w, const struct world_flight *flight)
{
    take_off(w, flight)->used = true;
}

static bool lost(struct world *w, const struct world_client *c, unsigned uplink)
{
    return !c->up[uplink] || draw(w) % JUMP_PPM < c->loss_ppm[uplink];
}

static void record(struct world *w, bool server, unsigned client, const struct jump_event *event)
{
    if (w->event_count == WORLD_EVENTS) {
        fprintf(stderr, "world: too many events\n");
        abort();
    }
    w->events[w->event_count++] = (struct world_event){ server, (uint8_t)client, *event };
}

static void answer_store(struct world *w, const struct jump_action *action, struct jump_input *in)
{
    memset(in, 0, sizeof *in);
    in->kind = JUMP_IN_STORE;
    in->session_id = action->session_id;
    in->ticket = action->ticket;
    in->store_result = w->store == WORLD_STORE_CONFLICT ? JUMP_STORE_CONFLICT
                       : w->store == WORLD_STORE_FAIL   ? JUMP_STORE_FAILED
                                                        : JUMP_STORE_DONE;
    in->revision = ++w->store_revision;
}

static void hold(struct world *w, const struct jump_action *action)
{
    if (w->held_count == sizeof w->held / sizeof w->held[0]) {
        fprintf(stderr, "world: too many answers held\n");
        abort();
    }
    answer_store(w, action, &w->held[w->held_count++]);
}

static void server_action(struct world *w, const struct jump_action *action, struct jump_input *todo, unsigned *todos)
{
    if (w->on_action)
        w->on_action(w, true, 0, action);
    switch (action->kind) {
    case JUMP_DO_SEND: {
        struct world_flight flight = { .used = true, .source = w->server_path, .target = action->path,
                                       .len = action->bytes_len };
        memcpy(flight.bytes, action->bytes, action->bytes_len);
        w->server_sent++;
        w->last_from_server[action->bytes[0] & 15] = flight;
        for (unsigned n = 0; n < w->client_count; n++) {
            for (unsigned u = 0; u < WORLD_UPLINKS; u++) {
                if (memcmp(&w->clients[n].uplinks[u], &action->path, sizeof action->path) != 0 ||
                    lost(w, &w->clients[n], u))
                    continue;
                flight.client = (uint8_t)n;
                flight.at = w->now + w->clients[n].delay[u];
                flight.source.transport = (uint8_t)(u + 1);
                fly(w, &flight);
            }
        }
        break;
    }
    case JUMP_DO_STORE:
        if (w->store == WORLD_STORE_HELD)
            hold(w, action);
        else
            answer_store(w, action, &todo[(*todos)++]);
        break;
    case JUMP_DO_EMIT:
        record(w, true, 0, &action->event);
        break;
    case JUMP_DO_END:
        w->server_ends++;
        w->server_ended_for = action->reason;
        w->server_end_host = action->end_host;
        break;
    default:
        break;
    }
}

static void client_action(struct world *w, unsigned n, const struct jump_action *action)
{
    struct world_client *c = &w->clients[n];
    if (w->on_action)
        w->on_action(w, false, n, action);
    switch (action->kind) {
    case JUMP_DO_SEND: {
        unsigned uplink = action->path.transport - 1u;
        struct world_flight flight = { .used = true, .to_server = true, .client = (uint8_t)n,
                                       .source = c->uplinks[uplink % WORLD_UPLINKS], .target = w->server_path,
                                       .len = action->bytes_len };
        memcpy(flight.bytes, action->bytes, action->bytes_len);
        w->last_from_client[action->bytes[0] & 15] = flight;
        if (uplink >= WORLD_UPLINKS || lost(w, c, uplink))
            return;
        flight.at = w->now + c->delay[uplink];
        fly(w, &flight);
        break;
    }
    case JUMP_DO_BIND:
        c->bound = true;
        c->binds++;
        c->binding = action->path;
        c->observed = action->observed;
        break;
    case JUMP_DO_UNBIND:
        c->bound = false;
        c->unbinds++;
        break;
    case JUMP_DO_END:
        c->bound = false;
        c->ended = true;
        c->ends++;
        c->ended_for = action->reason;
        c->end_host = action->end_host;
        break;
    case JUMP_DO_EMIT:
        record(w, false, n, &action->event);
        break;
    default:
        break;
    }
}

/* Due timers of many sessions fill the queue: then it is drained and the same input is fed again. */
static int feed_server(struct world *w, const struct jump_input *in)
{
    struct jump_input todo[64];
    unsigned todos = 0, done = 0;
    int verdict;
    for (;;) {
        const struct jump_action *action;
        verdict = jump_engine_feed(w->server, in, w->now);
        while ((action = jump_engine_next(w->server)) != NULL)
            server_action(w, action, todo, &todos);
        if (verdict != JUMP_ERR_BUSY)
            break;
    }
    while (done < todos) {
        struct jump_input answer = todo[done++];
        feed_server(w, &answer);
    }
    return verdict;
}

static int feed_client(struct world *w, unsigned n, const struct jump_input *in)
{
    int verdict;
    do {
        const struct jump_action *action;
        verdict = jump_engine_feed(w->clients[n].engine, in, w->now);
        while ((action = jump_engine_next(w->clients[n].engine)) != NULL)
            client_action(w, n, action);
    } while (verdict == JUMP_ERR_BUSY);
    return verdict;
}

int world_feed_server(struct world *w, struct jump_input *in)
{
    return feed_server(w, in);
}

int world_feed_client(struct world *w, unsigned client, struct jump_input *in)
{
    return feed_client(w, client, in);
}

int world_inject(struct world *w, const struct jump_path *source, const uint8_t *bytes, size_t len)
{
    struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .path = *source, .bytes = bytes, .bytes_len = len };
    return feed_server(w, &in);
}

int world_inject_client(struct world *w, unsigned client, uint8_t transport, const uint8_t *bytes, size_t len)
{
    struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .path = w->server_path, .bytes = bytes, .bytes_len = len };
    in.path.transport = transport;
    return feed_client(w, client, &in);
}

bool world_answer_held(struct world *w, enum jump_store_result result)
{
    if (w->held_count == 0)
        return false;
    struct jump_input in = w->held[0];
    memmove(w->held, w->held + 1, --w->held_count * sizeof w->held[0]);
    in.store_result = result;
    feed_server(w, &in);
    return true;
}

static void rekey(struct jump_input *in, unsigned client, const uint8_t *secret, bool maybe_new)
{
    *in = (struct jump_input){ .kind = JUMP_IN_EPOCH, .host = client + 1, .secret = secret, .maybe_new = maybe_new };
}

void world_rekey_server(struct world *w, unsigned client, const uint8_t secret[JUMP_SECRET_BYTES], bool maybe_new)
{
    struct jump_input in;
    rekey(&in, client, secret, maybe_new);
    in.path = w->clients[client].uplinks[0];
    feed_server(w, &in);
}

void world_rekey_client(struct world *w, unsigned client, const uint8_t secret[JUMP_SECRET_BYTES], bool maybe_new)
{
    struct jump_input in;
    rekey(&in, client, secret, maybe_new);
    in.path = w->server_path;
    in.path.transport = 1;
    feed_client(w, client, &in);
}

static void deliver(struct world *w, struct world_flight *flight)
{
    struct world_flight f = *flight;
    flight->used = false;
    if (f.to_server) {
        world_inject(w, &f.source, f.bytes, f.len);
        return;
    }
    struct world_client *c = &w->clients[f.client];
    unsigned uplink = f.source.transport - 1u;
    if (memcmp(&c->uplinks[uplink], &f.target, sizeof f.target) != 0 || !c->up[uplink])
        return; /* the mapping is gone */
    world_inject_client(w, f.client, f.source.transport, f.bytes, f.len);
}

static jump_time read_at(const struct world *w, const struct world_flight *f)
{
    return f->to_server && f->at < w->server_still_until ? w->server_still_until + JUMP_MS(1) : f->at;
}

static struct world_flight *next_flight(struct world *w)
{
    struct world_flight *first = NULL;
    while (w->flights_top > 0 && !w->flights[w->flights_top - 1].used)
        w->flights_top--;
    for (unsigned i = 0; i < w->flights_top; i++)
        if (w->flights[i].used && (!first || read_at(w, &w->flights[i]) < read_at(w, first)))
            first = &w->flights[i];
    return first;
}

bool world_until(struct world *w, bool (*done)(struct world *w), jump_time span)
{
    jump_time end = w->now + span;
    struct jump_input tick = { .kind = JUMP_IN_TICK };
    for (;;) {
        if (done && done(w))
            return true;
        struct world_flight *flight = next_flight(w);
        jump_time at = flight ? read_at(w, flight) : JUMP_NEVER, due = jump_engine_deadline(w->server);
        if (due < w->server_still_until)
            due = w->server_still_until;
        int who = -1;
        for (unsigned n = 0; n < w->client_count; n++) {
            jump_time d = jump_engine_deadline(w->clients[n].engine);
            if (d < due) {
                due = d;
                who = (int)n;
            }
        }
        jump_time next = at < due ? at : due;
        if (next > end) {
            w->now = end;
            return false;
        }
        if (next > w->now)
            w->now = next;
        if (at <= due)
            deliver(w, flight);
        else if (who < 0)
            world_feed_server(w, &tick);
        else
            world_feed_client(w, (unsigned)who, &tick);
    }
}

void world_run(struct world *w, jump_time span)
{
    world_until(w, NULL, span);
}

void world_busy(struct world *w, unsigned client, jump_time span)
{
    for (jump_time end = w->now + span; w->now < end;) {
        jump_time left = end - w->now;
        world_activity(w, client);
        world_run(w, left < JUMP_MS(100) ? left : JUMP_MS(100));
    }
}

void world_rebind(struct world *w, unsigned client, unsigned uplink)
{
    w->clients[client].uplinks[uplink].port = (uint16_t)(w->clients[client].uplinks[uplink].port + 1000);
}

void world_open(struct world *w, unsigned client)
{
    uint8_t secret[JUMP_SECRET_BYTES];
    seed_bytes(w, secret, sizeof secret);
    struct jump_input in = { .kind = JUMP_IN_OPEN, .host = client + 1, .secret = secret,
                             .path = w->clients[client].uplinks[0] };
    struct jump_input mine = in;
    mine.path = w->server_path;
    mine.path.transport = 1;
    w->clients[client].ended = false;
    world_feed_client(w, client, &mine);
    world_feed_server(w, &in);
}

bool world_attach(struct world *w, unsigned client)
{
    world_open(w, client);
    for (unsigned i = 0; i < 200; i++) {
        world_run(w, JUMP_MS(10));
        if (world_state_server(w, client) == JUMP_ATTACHED && world_state_client(w, client) == JUMP_ATTACHED)
            return true;
    }
    return false;
}

void world_candidates(struct world *w, unsigned client, unsigned count, const uint8_t *lost_ids)
{
    struct jump_candidate list[JUMP_MAX_CANDIDATES];
    struct jump_input in = { .kind = JUMP_IN_CANDIDATES, .candidates = list, .candidates_len = count };
    for (unsigned i = 0; i < count; i++) {
        list[i].path = w->server_path;
        list[i].path.transport = (uint8_t)(i + 1);
        list[i].priority = i;
    }
    for (unsigned i = 0; lost_ids && lost_ids[i] && i < JUMP_MAX_CANDIDATES; i++)
        in.lost[i] = lost_ids[i];
    world_feed_client(w, client, &in);
}

void world_activity(struct world *w, unsigned client)
{
    struct jump_input in = { .kind = JUMP_IN_ACTIVITY, .host = client + 1, .sent = true, .received = true };
    struct jump_input again = in;
    world_feed_client(w, client, &in);
    if (w->now >= w->server_still_until)
        world_feed_server(w, &again);
}

bool world_view_server(struct world *w, unsigned client, struct jump_session_view *view)
{
    return jump_engine_find(w->server, client + 1, view);
}

bool world_view_client(struct world *w, unsigned client, struct jump_session_view *view)
{
    return jump_engine_find(w->clients[client].engine, client + 1, view);
}

enum jump_state world_state_server(struct world *w, unsigned client)
{
    struct jump_session_view view;
    return world_view_server(w, client, &view) ? view.state : JUMP_TERMINATED;
}

enum jump_state world_state_client(struct world *w, unsigned client)
{
    struct jump_session_view view;
    return world_view_client(w, client, &view) ? view.state : JUMP_TERMINATED;
}

unsigned world_count(const struct world *w, bool server, enum jump_event_kind kind, enum jump_reason reason)
{
    unsigned count = 0;
    for (unsigned i = 0; i < w->event_count; i++)
        if (w->events[i].server == server && w->events[i].event.kind == kind &&
            (reason == JUMP_REASON_NONE || w->events[i].event.reason == reason))
            count++;
    return count;
}

unsigned world_took(const struct world *w, bool server, const char *row, enum jump_reason reason)
{
    unsigned count = 0;
    for (unsigned i = 0; i < w->event_count; i++) {
        const struct jump_event *e = &w->events[i].event;
        if (w->events[i].server == server && e->kind == JUMP_EVENT_STATE_CHANGE && strcmp(e->row, row) == 0 &&
            (reason == JUMP_REASON_NONE || e->reason == reason))
            count++;
    }
    return count;
}

bool world_events_follow_table(const struct world *w)
{
    for (unsigned i = 0; i < w->event_count; i++) {
        const struct jump_event *e = &w->events[i].event;
        if (e->kind != JUMP_EVENT_STATE_CHANGE)
            continue;
        const struct jump_row *row = jump_fsm_row(e->previous_mode, e->cause, e->role);
        if (row->kind != JUMP_ROW_MOVE || row->to != e->new_mode || !jump_fsm_reason_fits(row, e->reason))
            return false;
        uint64_t before = 0; /* the version of the same session's last change on the same side */
        for (unsigned j = 0; j < i; j++) {
            const struct jump_event *o = &w->events[j].event;
            if (o->kind == JUMP_EVENT_STATE_CHANGE && w->events[j].server == w->events[i].server &&
                memcmp(&o->session_id, &e->session_id, sizeof o->session_id) == 0)
                before = o->state_version;
        }
        if (e->state_version != before + 1)
            return false;
    }
    return true;
}
