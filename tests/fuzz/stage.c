/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The situations (stage.h), each a short story on tests/lib/world. It owns the worlds and their copies; it asserts only
 * that each story came to where it was meant to.
 */
#include "stage.h"

#include <sodium.h>
#include <string.h>

#include "fuzz.h"

#define TYPE(name) (1u << JUMP_MSG_##name)

struct stage {
    bool made;
    struct world world, kept;
    void *server, *clients[STAGE_CLIENTS];
    size_t server_len, client_len;
    struct world_flight *flights;
    struct jump_id id;
    struct jump_keys keys[2];
    unsigned held;
    uint8_t process[2][JUMP_PROCESS_BYTES];
    uint64_t counter[2];
    struct { /* plaintexts by sender and type, as they were sent last, or as one would be */
        size_t len;
        uint8_t bytes[JUMP_MAX_MESSAGE_BYTES];
    } plain[2][16];
};

static struct stage stages[STAGE_COUNT];

static void *copy(const void *bytes, size_t len)
{
    void *to = malloc(len > 0 ? len : 1);
    FUZZ_MUST(to != NULL);
    return memcpy(to, bytes, len);
}

/* Who speaks next needs keys and counters of client 0's session, also where one side has forgotten it. */
static void note_session(struct stage *s)
{
    struct world *w = &s->world;
    const struct jump_session *client = peek_client(w, 0), *server = peek_server(w, 0);
    const struct jump_session *any = server != NULL ? server : client;
    FUZZ_MUST(any != NULL);
    s->id = any->id;
    s->held = any->epochs.held;
    memcpy(s->keys, any->epochs.keys, sizeof s->keys);
    memcpy(s->process[0], w->clients[0].engine->process, JUMP_PROCESS_BYTES);
    memcpy(s->process[1], w->server->process, JUMP_PROCESS_BYTES);
    s->counter[0] = client != NULL ? client->send_counter : 1000;
    s->counter[1] = server != NULL ? server->send_counter : 1000;
}

/* A body that fits the session as well as can be said without having seen one fly. */
static void likely_body(struct jump_body *body, struct world *w, const struct stage *s)
{
    const struct jump_session *client = peek_client(w, 0), *server = peek_server(w, 0);
    *body = (struct jump_body){ .version_least = 1, .version_most = 1, .version_chosen = 1, .transport = 1, .bound = 1,
                                .state = JUMP_ATTACHED, .reason = JUMP_REASON_OPERATOR_TERMINATED, .boot = 1,
                                .state_version = 1, .generation = 1, .policy = w->server_config.policy };
    body->keys[0] = s->keys[0].fingerprint;
    body->keys[1] = s->held == 2 ? s->keys[1].fingerprint : 0;
    if (server != NULL) {
        body->state_version = server->version > 0 ? server->version : 1;
        body->generation = server->generation > 0 ? server->generation : 1;
    }
    if (client != NULL) {
        body->attempt = client->attempt;
        body->seq = client->u.client.newest_seq;
    }
    memcpy(body->observed_ip, w->clients[0].uplinks[0].ip, sizeof body->observed_ip);
    body->observed_port = w->clients[0].uplinks[0].port;
}

static bool open_plain(uint8_t *out, const struct stage *s, const struct world_flight *flight, bool from_server)
{
    for (unsigned i = 0; i < s->held; i++)
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(
                out, NULL, NULL, flight->bytes + JUMP_HEADER_BYTES, flight->len - JUMP_HEADER_BYTES, flight->bytes,
                JUMP_HEADER_BYTES, flight->bytes + JUMP_AT_NONCE, from_server ? s->keys[i].s2c : s->keys[i].c2s) == 0)
            return true;
    return false;
}

static void note_plaintexts(struct stage *s)
{
    struct jump_body body;
    likely_body(&body, &s->world, s);
    for (unsigned side = 0; side < 2; side++)
        for (uint8_t type = 0; type < 16; type++) {
            const struct world_flight *f = side ? &s->world.last_from_server[type] : &s->world.last_from_client[type];
            size_t whole = jump_wire_length(type), sealed = JUMP_HEADER_BYTES + JUMP_TAG_BYTES;
            if (whole <= sealed || type == JUMP_MSG_RESET)
                continue;
            s->plain[side][type].len = whole - sealed;
            if (f->len != whole || !open_plain(s->plain[side][type].bytes, s, f, side))
                jump_wire_put_body(s->plain[side][type].bytes, whole - sealed, type, &body);
        }
}

static void keep(struct stage *s)
{
    struct world *w = &s->world;
    note_plaintexts(s);
    s->server_len = jump_engine_bytes(&w->server_config);
    s->client_len = jump_engine_bytes(&w->client_config);
    s->server = copy(w->server_memory, s->server_len);
    for (unsigned n = 0; n < w->client_count; n++)
        s->clients[n] = copy(w->clients[n].memory, s->client_len);
    s->flights = copy(w->flights, w->flights_top * sizeof *s->flights);
    s->kept = *w;
    s->made = true;
}

static bool client_is(struct world *w, enum jump_state state)
{
    return world_state_client(w, 0) == state;
}

/* Lives on until client 0 is in this state, two seconds at most. */
static void until_client(struct world *w, enum jump_state state)
{
    for (unsigned i = 0; i < 200 && !client_is(w, state); i++)
        world_busy(w, 0, JUMP_MS(10));
    FUZZ_MUST(client_is(w, state));
}

static void end_at_server(struct world *w)
{
    struct jump_input in = { .kind = JUMP_IN_CLOSE, .host = 1, .reason = JUMP_REASON_HOST_TERMINATED };
    w->drop_down = TYPE(TERMINATE);
    FUZZ_MUST(world_feed_server(w, &in) == 0);
}

/* The story of each situation after both clients are attached. */
static void tell(struct stage *s, enum stage_situation situation)
{
    static const uint8_t secret[JUMP_SECRET_BYTES] = { 5 };
    struct world *w = &s->world;
    switch (situation) {
    case STAGE_LOST_REQUEST:
        w->drop_up = TYPE(REATTACH_REQUEST);
        world_rebind(w, 0, 0);
        until_client(w, JUMP_RECOVERING);
        break;
    case STAGE_CHALLENGED:
        w->drop_up = TYPE(REATTACH_PROOF);
        world_rebind(w, 0, 0);
        until_client(w, JUMP_RECOVERING);
        world_run(w, JUMP_MS(100));
        FUZZ_MUST(w->last_from_client[JUMP_MSG_REATTACH_PROOF].len > 0);
        break;
    case STAGE_PROVED:
        w->drop_down = TYPE(REATTACH_ACCEPT);
        world_rebind(w, 0, 0);
        until_client(w, JUMP_RECOVERING);
        world_run(w, JUMP_MS(100));
        FUZZ_MUST(peek_server(w, 0)->generation == 2);
        break;
    case STAGE_REKEYING:
        world_rekey_server(w, 0, secret, false);
        world_run(w, JUMP_MS(30));
        world_rekey_client(w, 0, secret, false);
        break;
    case STAGE_COMMITTING:
        w->store = WORLD_STORE_HELD;
        world_rebind(w, 0, 0);
        until_client(w, JUMP_RECOVERING);
        world_run(w, JUMP_MS(100));
        FUZZ_MUST(w->held_count > 0);
        break;
    case STAGE_UNBOUND:
        w->clients[0].up[0] = false;
        for (unsigned i = 0; i < 100 && world_state_server(w, 0) != JUMP_RECOVERING; i++)
            world_busy(w, 0, JUMP_MS(100));
        FUZZ_MUST(world_state_server(w, 0) == JUMP_RECOVERING);
        w->clients[0].up[0] = true;
        break;
    case STAGE_SWITCHING:
        world_candidates(w, 0, 2, NULL);
        world_busy(w, 0, JUMP_MS(3000));
        w->clients[0].loss_ppm[0] = 500000;
        w->drop_up = TYPE(REATTACH_PROOF);
        for (unsigned i = 0; i < 200 && !client_is(w, JUMP_RECOVERING); i++)
            world_busy(w, 0, JUMP_MS(100));
        FUZZ_MUST(client_is(w, JUMP_RECOVERING));
        w->clients[0].loss_ppm[0] = 0;
        break;
    case STAGE_FLOODED: /* no token for strangers: a client that moves must show a cookie */
        world_rebind(w, 0, 0);
        w->server->ratelimit->global.full_at = w->now + JUMP_MS(600000);
        until_client(w, JUMP_RECOVERING);
        w->drop_down = TYPE(COOKIE);
        break;
    default: /* told before or after the keys are noted */
        break;
    }
}

static void make(struct stage *s, enum stage_situation situation)
{
    struct world *w = &s->world;
    world_init(w, STAGE_CLIENTS, 7);
    world_start(w);
    FUZZ_MUST(world_attach(w, 1));
    if (situation == STAGE_BIRTH || situation == STAGE_BIRTH_ACKED) {
        w->drop_down = situation == STAGE_BIRTH ? TYPE(BIRTH_ACK) : 0;
        w->drop_up = TYPE(PROBE);
        world_open(w, 0);
        world_run(w, JUMP_MS(100));
        FUZZ_MUST(world_state_server(w, 0) == JUMP_BIRTH);
        FUZZ_MUST(client_is(w, situation == STAGE_BIRTH ? JUMP_BIRTH : JUMP_ATTACHED));
    } else if (situation == STAGE_OFFERED) { /* the server has heard nothing of the client */
        w->drop_up = TYPE(BIRTH);
        world_open(w, 0);
        world_run(w, JUMP_MS(100));
        FUZZ_MUST(world_state_server(w, 0) == JUMP_BIRTH && !peek_server(w, 0)->u.server.birth_acked && client_is(w, JUMP_BIRTH));
    } else {
        FUZZ_MUST(world_attach(w, 0));
        world_busy(w, 0, JUMP_MS(2000));
        tell(s, situation);
    }
    note_session(s);
    if (situation == STAGE_ENDED_AT_SERVER)
        end_at_server(w);
    if (situation == STAGE_SERVER_RESTARTED)
        world_restart_server(w);
    w->drop_up = w->drop_down = 0;
    memset(w->flights, 0, w->flights_top * sizeof *w->flights); /* what is in the air is the input's to say */
    w->flights_top = 0;
    peek_settle(w);
    keep(s);
}

struct world *stage_set(enum stage_situation situation)
{
    struct stage *s = &stages[situation];
    if (!s->made)
        make(s, situation);
    struct world *w = &s->world;
    unsigned top = w->flights_top > s->kept.flights_top ? w->flights_top : s->kept.flights_top;
    FUZZ_MUST(w->server_memory == s->kept.server_memory);
    memset(w->flights, 0, top * sizeof *w->flights);
    memcpy(w->flights, s->flights, s->kept.flights_top * sizeof *w->flights);
    memcpy(w->server_memory, s->server, s->server_len);
    for (unsigned n = 0; n < w->client_count; n++)
        memcpy(w->clients[n].memory, s->clients[n], s->client_len);
    *w = s->kept;
    return w;
}

size_t stage_template(enum stage_situation situation, bool from_server, uint8_t type, uint8_t *out, size_t cap)
{
    size_t len = stages[situation].plain[from_server][type].len;
    FUZZ_MUST(len <= cap);
    memcpy(out, stages[situation].plain[from_server][type].bytes, len);
    return len;
}

unsigned stage_keys(enum stage_situation situation, const struct jump_keys **keys)
{
    *keys = stages[situation].keys;
    return stages[situation].held;
}

const struct jump_id *stage_id(enum stage_situation situation)
{
    return &stages[situation].id;
}

const uint8_t *stage_process(enum stage_situation situation, bool server)
{
    return stages[situation].process[server];
}

uint64_t stage_counter(enum stage_situation situation, bool server)
{
    return stages[situation].counter[server];
}
