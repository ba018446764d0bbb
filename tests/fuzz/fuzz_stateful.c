/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target stateful: whole lives of two clients' sessions on two roles of real engines. The input decides what becomes of each
 * message and what happens to the hosts; no key is known to it.
 *
 * What an attacker gains here: he holds the network. He drops, delays, repeats, reorders, changes and sends from elsewhere what
 * genuine peers say, at the moments that suit him: while they rekey, restart, change their address, or wait for a store.
 *
 * Asserted after each step: the invariants in every engine; a message that is refused, or was changed on its way, left
 * every session byte for byte as it was; what enters a replay window is taken once; no session is ever bound to an address
 * of the attacker's (also behind a client's own NAT), who relays no challenge; ids stay and generations only rise; what the server says to one who asked from an unproved address is never
 * longer than the question. At the end of each input every transition followed the table, and, where the input asks for it, once
 * the network is whole again a session that both ends still have is ATTACHED at both, with one generation (I10).
 *
 * Input: one byte (bits 0-3 the situation it begins in, 7 whether the network heals at the end), then steps: an operation and
 * its arguments, a byte each.
 */
#include <sodium.h>
#include <string.h>

#include "fuzz.h"
#include "stage.h"

#define STEPS 400
#define AIR 64u   /* messages under way */
#define PAST 64u  /* messages that arrived, or were lost: for replays */
#define EVENTS_MOST 1200
#define SHOTS (2 * STAGE_CLIENTS)

static struct world *w;
static struct world_flight air[AIR], past[PAST];
static unsigned air_len, past_at;
static bool tells;
static bool wild;             /* what no host does was done: no promise that it ends well */
static unsigned epochs[STAGE_CLIENTS][2];
static struct peek_record known[SHOTS];

static struct {
    bool asked;
    size_t question_len, said;
    struct jump_path bound[STAGE_CLIENTS];
} answer;

static void into_the_air(struct world *world, struct world_flight *flight)
{
    (void)world;
    flight->used = false;
    if (air_len < AIR)
        air[air_len++] = *flight;
}

static void weigh(struct world *world, bool server, unsigned client, const struct jump_action *action)
{
    (void)world, (void)client;
    if (!server || !answer.asked || action->kind != JUMP_DO_SEND)
        return;
    for (unsigned n = 0; n < STAGE_CLIENTS; n++)
        if (memcmp(&action->path, &answer.bound[n], sizeof action->path) == 0)
            return;
    answer.said += action->bytes_len;
    FUZZ_MUST(answer.said <= answer.question_len);
}

static void shoot(struct peek_shot shots[SHOTS])
{
    for (unsigned i = 0; i < SHOTS; i++)
        peek_shoot(&shots[i], w, i & 1, i / 2);
}

#define NEIGHBOUR 60000u /* ports that no client has: the attacker behind a client's own NAT */

static bool is_attackers(const struct jump_path *path)
{
    return path->ip[15] >= 200 || path->port >= NEIGHBOUR;
}

static struct jump_path attackers_path(const struct jump_path *genuine, uint8_t n)
{
    struct jump_path path = *genuine;
    path.port = (uint16_t)(NEIGHBOUR + n);
    return n & 64 ? path : world_path((uint8_t)(200 + n % 8), (uint16_t)(1000 + n));
}

static void look(void)
{
    FUZZ_NOT_BROKEN(peek_broken(w));
    for (unsigned i = 0; i < SHOTS; i++) {
        struct peek_record now;
        peek_note(&now, w, i & 1, i / 2);
        FUZZ_MUST(!now.there || !is_attackers(&now.binding));
        if (now.there && known[i].there && memcmp(&now.id, &known[i].id, sizeof now.id) == 0) {
            FUZZ_MUST(now.generation >= known[i].generation);
            FUZZ_MUST(now.version >= known[i].version);
            /* A client's is born when its server speaks of it. */
            FUZZ_MUST(now.born_at == known[i].born_at || (!(i & 1) && known[i].mode == JUMP_MODE_BIRTH));
        }
        known[i] = now;
    }
}

/* What nobody vouches for: a whole COOKIE, believed for what it is worth, and of RESET what protocol.md 4.3 leaves out. */
static bool is_loose(const struct world_flight *flight, size_t at)
{
    uint8_t type = flight->bytes[0] & 15;
    return type == JUMP_MSG_COOKIE ||
           (type == JUMP_MSG_RESET && ((at >= JUMP_AT_EPOCH && at < JUMP_AT_SESSION) || (at >= JUMP_AT_COOKIE && at < JUMP_HEADER_BYTES)));
}

/* `changed`: its bytes are not what was sent. @return whether it was taken */
static bool arrive(const struct world_flight *flight, bool changed)
{
    static struct peek_shot before[SHOTS], after[SHOTS];
    const struct world_flight f = *flight;
    struct world_client *c = &w->clients[f.client];
    unsigned uplink = f.source.transport - 1u;
    int verdict;
    if (!f.to_server && (memcmp(&c->uplinks[uplink], &f.target, sizeof f.target) != 0 || !c->up[uplink]))
        return false; /* the mapping is gone */
    peek_settle(w);
    shoot(before);
    for (unsigned n = 0; n < STAGE_CLIENTS; n++) {
        const struct jump_session *s = peek_server(w, n);
        memset(&answer.bound[n], 0, sizeof answer.bound[n]);
        if (s != NULL)
            answer.bound[n] = jump_session_bound(s) ? s->binding : s->birth_path;
    }
    answer.asked = f.to_server;
    answer.question_len = f.len;
    answer.said = 0;
    verdict = f.to_server ? world_inject(w, &f.source, f.bytes, f.len)
                          : world_inject_client(w, f.client, f.source.transport, f.bytes, f.len);
    answer.asked = false;
    shoot(after);
    if (verdict == 0 && !changed)
        return true;
    for (unsigned i = 0; i < SHOTS; i++)
        if (memcmp(&before[i], &after[i], sizeof before[i]) != 0) {
            fprintf(stderr, "fuzz: type %u %s, verdict %d%s: the session of client %u at the %s\n", flight->bytes[0] & 15u,
                    f.to_server ? "to the server" : "to a client", verdict, changed ? ", changed" : "", i / 2,
                    i & 1 ? "server" : "client");
            FUZZ_MUST(peek_same_shot(&before[i], &after[i]));
        }
    return verdict == 0;
}

/* What enters the replay window is taken once; a REQUEST and a PROOF are idempotent, and so are a tombstone's answers. */
static bool counts_once(const struct world_flight *flight)
{
    const struct jump_session *s = peek_server(w, flight->client);
    uint8_t type = flight->bytes[0] & 15;
    return !flight->to_server || (s != NULL && memcmp(&s->id, flight->bytes + JUMP_AT_SESSION, sizeof s->id) == 0 &&
                                  (type == JUMP_MSG_BIRTH || type == JUMP_MSG_PROBE));
}

static void land(unsigned n)
{
    past[past_at++ % PAST] = air[n];
    memmove(&air[n], &air[n + 1], (--air_len - n) * sizeof air[0]);
}

/* What becomes of a message that is under way. */
static void fate(uint8_t operation, struct fuzz_bytes *in)
{
    unsigned n = operation == 0 || air_len == 0 ? 0 : fuzz_u8(in) % air_len;
    if (air_len == 0)
        return;
    struct world_flight f = air[n];
    switch (operation) {
    case 0: /* the oldest arrives */
    case 1: /* this one overtakes */
        land(n);
        (void)arrive(&f, false);
        break;
    case 2:
        land(n);
        break;
    case 3: /* arrives, and again */
        land(n);
        if (arrive(&f, false) && counts_once(&f))
            FUZZ_MUST(!arrive(&f, false));
        else
            (void)arrive(&f, false);
        break;
    case 4: { /* a byte of it is changed */
        size_t at = (fuzz_u8(in) | (size_t)fuzz_u8(in) << 8) % f.len;
        uint8_t with = fuzz_u8(in);
        bool changed = with != 0 && !is_loose(&f, at);
        f.bytes[at] ^= with;
        (void)arrive(&f, changed);
        break;
    }
    case 5: /* a copy from the attacker's address comes first */
        if (f.to_server)
            f.source = attackers_path(&f.source, fuzz_u8(in));
        (void)arrive(&f, false);
        break;
    case 6: /* a copy from the other client's address */
        if (f.to_server)
            f.source = w->clients[1 - f.client % 2].uplinks[0];
        (void)arrive(&f, false);
        break;
    default: { /* cut short, or longer */
        size_t len = f.len;
        f.len = (fuzz_u8(in) | (size_t)fuzz_u8(in) << 8) % sizeof f.bytes;
        (void)arrive(&f, f.len != len);
        break;
    }
    }
}

static void replay(struct fuzz_bytes *in)
{
    struct world_flight f = past[fuzz_u8(in) % PAST];
    uint8_t from = fuzz_u8(in);
    if (f.len == 0)
        return;
    if (f.to_server && (from & 128))
        f.source = attackers_path(&f.source, from);
    (void)arrive(&f, false);
}

/* In the same memory, so that the situation can be put back. */
static void restart(bool server, unsigned n)
{
    struct jump_config *config = server ? &w->server_config : &w->client_config;
    struct jump_engine **engine = server ? &w->server : &w->clients[n].engine;
    void *memory = server ? w->server_memory : w->clients[n].memory;
    jump_engine_wipe(*engine);
    config->boot += server;
    config->seed[0]++;
    config->seed[1] = (uint8_t)n;
    FUZZ_MUST(jump_engine_init(engine, memory, jump_engine_bytes(config), config, w->now) == 0);
    if (server)
        w->held_count = 0;
}

/* Each side takes the hosts' secrets in order, and is never two ahead of the other: a host's rekey involves both. */
static void rekey(bool server, unsigned n, bool maybe_new)
{
    uint8_t secret[JUMP_SECRET_BYTES] = { 0x77, (uint8_t)n };
    unsigned *mine = &epochs[n][server], other = epochs[n][!server];
    if (*mine > other)
        return;
    ++*mine;
    secret[2] = (uint8_t)*mine;
    secret[3] = (uint8_t)(*mine >> 8);
    if (server)
        world_rekey_server(w, n, secret, maybe_new);
    else
        world_rekey_client(w, n, secret, maybe_new);
    wild = wild || maybe_new;
}

static void end_one(uint8_t how, unsigned n)
{
    struct jump_input in = { .kind = how & 1 ? JUMP_IN_TERMINATE : JUMP_IN_CLOSE, .host = n + 1,
                             .reason = how & 1 ? JUMP_REASON_OPERATOR_TERMINATED : JUMP_REASON_HOST_TERMINATED };
    const struct jump_session *s;
    peek_settle(w); /* what is over at this very moment is not there to be ended */
    s = how & 2 ? peek_server(w, n) : peek_client(w, n);
    if (s == NULL)
        return;
    in.session_id = s->id;
    if (how & 2)
        FUZZ_MUST(world_feed_server(w, &in) == 0);
    else
        FUZZ_MUST(world_feed_client(w, n, &in) == 0);
}

static void candidates(uint8_t how, unsigned n)
{
    uint8_t lost[2] = { (uint8_t)(how >> 4 & 3), 0 };
    world_candidates(w, n, 1 + (how & 3), lost);
}

/* What happens to a host. */
static void host(uint8_t operation, struct fuzz_bytes *in)
{
    uint8_t how = fuzz_u8(in);
    unsigned n = how >> 7, uplink = how & 3;
    struct jump_input advice = { .kind = JUMP_IN_ADVICE, .host = n + 1 };
    switch (operation) {
    case 0:
        world_run(w, JUMP_MS(how));
        break;
    case 1:
        world_run(w, JUMP_MS(200) * how);
        break;
    case 2:
        world_activity(w, n);
        break;
    case 3:
        if (w->clients[n].uplinks[uplink].port + 1000u < NEIGHBOUR)
            world_rebind(w, n, uplink);
        break;
    case 4:
        w->clients[n].up[uplink] = !w->clients[n].up[uplink];
        break;
    case 5:
        candidates(how, n);
        break;
    case 6:
        rekey(how & 1, n, (how & 0x70) == 0x70);
        break;
    case 7:
        if ((how & 7) == 7) {
            restart(true, 0);
            wild = true;
        } else if ((how & 7) == 6) {
            restart(false, n);
            wild = true;
        }
        break;
    case 8:
        wild = true;
        world_open(w, n);
        break;
    case 9:
        end_one(how, n);
        break;
    case 10:
        w->store = (enum world_store)(how & 3);
        break;
    case 11:
        (void)world_answer_held(w, (enum jump_store_result)(how % 3));
        break;
    case 12:
        (void)world_feed_client(w, n, &advice);
        break;
    case 13: /* hours */
        world_run(w, JUMP_MS(600000) * how);
        break;
    case 14:
        world_run(w, 1 + (jump_time)how * how); /* nanoseconds */
        break;
    default:
        w->clients[n].loss_ppm[uplink] = (how & 0x70) * 5000u;
        break;
    }
}

static bool both_attached(unsigned n)
{
    const struct jump_session *server = peek_server(w, n), *client = peek_client(w, n);
    return server->mode == JUMP_MODE_ATTACHED && client->mode == JUMP_MODE_ATTACHED && server->generation == client->generation;
}

static bool both_have(unsigned n)
{
    const struct jump_session *server = peek_server(w, n), *client = peek_client(w, n);
    return server != NULL && client != NULL && memcmp(&server->id, &client->id, sizeof server->id) == 0;
}

/* Everything passes again: every session that both ends have comes back, before its bounds are over or at the rate's minute. */
static void heal(void)
{
    for (unsigned n = 0; n < STAGE_CLIENTS; n++) {
        for (unsigned u = 0; u < WORLD_UPLINKS; u++) {
            w->clients[n].up[u] = true;
            w->clients[n].loss_ppm[u] = 0;
        }
        while (epochs[n][0] != epochs[n][1])
            rekey(epochs[n][1] < epochs[n][0], n, false);
        world_candidates(w, n, 1, NULL);
    }
    w->store = WORLD_STORE_NOW;
    while (world_answer_held(w, JUMP_STORE_DONE))
        ;
    w->on_flight = NULL;
    air_len = 0;
    for (unsigned i = 0; i < 900 && w->event_count < WORLD_EVENTS - 500; i++) {
        for (unsigned n = 0; n < STAGE_CLIENTS; n++)
            world_activity(w, n);
        world_run(w, JUMP_MS(100));
        if (i % 50 == 0)
            look();
        if ((!both_have(0) || both_attached(0)) && (!both_have(1) || both_attached(1)))
            return;
    }
    for (unsigned n = 0; n < STAGE_CLIENTS; n++)
        FUZZ_MUST(!both_have(n) || both_attached(n));
}

/* JUMP_FUZZ_TELL=1: what an input does, for who reads a crash. */
static void tell(uint8_t operation, const struct fuzz_bytes *in)
{
    static const char *const words[] = { "arrives", "overtakes", "is lost", "arrives twice", "is changed", "from the attacker",
                                         "from the other client", "is cut", "ms pass", "x 200 ms pass", "user data",
                                         "rebinding", "uplink up or down", "candidates", "rekey", "restart?", "opened again",
                                         "ended", "store", "store answers", "advice", "x 10 min pass", "ns pass", "loss" };
    const char *word = operation < 15 ? words[operation < 8 ? operation : 0] : operation == 15 ? "replay" : words[operation - 8];
    fprintf(stderr, "%12.6f s, %2u under way: %s %u %u\n", (double)(w->now - JUMP_MS(1000000)) / 1e9, air_len, word,
            fuzz_left(in) > 0 ? in->at[0] : 0u, fuzz_left(in) > 1 ? in->at[1] : 0u);
    for (unsigned i = 0; i < SHOTS; i++) {
        const struct jump_session *s = i & 1 ? peek_server(w, i / 2) : peek_client(w, i / 2);
        if (s != NULL)
            fprintf(stderr, "    %s %u %s version %llu generation %llu id %02x%02x born %.6f\n", i & 1 ? "server" : "client", i / 2,
                    jump_mode_name((enum jump_mode)s->mode), (unsigned long long)s->version,
                    (unsigned long long)s->generation, s->id.bytes[0], s->id.bytes[1],
                    (double)(s->born_at - JUMP_MS(1000000)) / 1e9);
    }
}

static void begin(enum stage_situation situation)
{
    w = stage_set(situation);
    w->on_flight = into_the_air;
    w->on_action = weigh;
    memset(past, 0, sizeof past);
    memset(epochs, 0, sizeof epochs);
    memset(known, 0, sizeof known);
    air_len = past_at = 0;
    wild = false;
    for (unsigned type = 0; type < 16; type++) { /* the attacker has listened before */
        if (w->last_from_client[type].len > 0)
            past[past_at++ % PAST] = w->last_from_client[type];
        if (w->last_from_server[type].len > 0 && w->last_from_server[type].source.transport > 0)
            past[past_at++ % PAST] = w->last_from_server[type];
    }
    look();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    tells = getenv("JUMP_FUZZ_TELL") != NULL;
    for (unsigned situation = 0; situation < STAGE_COUNT; situation++)
        (void)stage_set((enum stage_situation)situation);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes in = fuzz_bytes(data, size);
    uint8_t first = fuzz_u8(&in);
    begin((enum stage_situation)((first & 15) % STAGE_COUNT));
    for (unsigned i = 0; i < STEPS && fuzz_left(&in) > 0 && w->event_count < EVENTS_MOST && w->held_count < 8; i++) {
        uint8_t operation = fuzz_u8(&in) % 32;
        if (tells)
            tell(operation, &in);
        if (operation < 15)
            fate(operation < 8 ? operation : 0, &in);
        else if (operation == 15)
            replay(&in);
        else
            host(operation - 16, &in);
        look();
    }
    if ((first & 128) && !wild)
        heal();
    FUZZ_MUST(world_count(w, true, JUMP_EVENT_STATE_CHANGE, JUMP_REASON_INVARIANT_VIOLATION) == 0);
    FUZZ_MUST(world_count(w, false, JUMP_EVENT_STATE_CHANGE, JUMP_REASON_INVARIANT_VIOLATION) == 0);
    FUZZ_MUST(world_events_follow_table(w));
    return 0;
}
