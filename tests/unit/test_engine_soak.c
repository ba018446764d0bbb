/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A randomised soak: 200 seeds, each a few simulated minutes of two clients under loss, holes, rebindings, restarts,
 * duplicates, reordering, corruption, replays from strange addresses, a slow store, rekeys. After every step all
 * invariants are looked at and every event is followed through the table; at the end the faults stop, and
 * everybody must be attached again. The failing seed is printed; run it alone with SOAK_SEED=<n>, or more seeds with
 * SOAK_SEEDS=<n>.
 */
#include <stdlib.h>

#include "story.h"

#define SEEDS 200
#define STEPS 90
#define OLD 64
#define SIDES 256

static uint64_t random_state;
static bool faults;
static uint32_t duplicate_ppm, corrupt_ppm, late_ppm, replay_ppm;
static struct world_flight old_flights[OLD];
static unsigned old_count;
static const char *failure;

/* What is known of one session on one side. */
static struct side {
    bool server;
    struct jump_id id;
    uint64_t version, generation;
    jump_time switches[16];
} sides[SIDES];
static unsigned side_count;

static uint64_t draw(uint64_t below)
{
    return runner_random(&random_state) % below;
}

static bool happens(uint32_t ppm)
{
    return draw(1000000) < ppm;
}

static void fail(const char *what)
{
    if (!failure)
        failure = what;
}

static struct jump_path stranger(void)
{
    struct jump_path path = world_path((uint8_t)draw(4), (uint16_t)(6000 + draw(3)));
    path.ip[12] = 203;
    return path;
}

static void trouble(struct world *world, struct world_flight *flight)
{
    if (!faults)
        return;
    if (flight->to_server)
        old_flights[old_count++ % OLD] = *flight;
    struct world_flight copy = *flight;
    if (happens(duplicate_ppm)) {
        copy.at += JUMP_MS(draw(300));
        world_fly(world, &copy);
    }
    if (happens(replay_ppm) && old_count > 0) {
        copy = old_flights[draw(old_count < OLD ? old_count : OLD)];
        copy.at = world->now + JUMP_MS(1 + draw(50));
        if (draw(2))
            copy.source = stranger();
        world_fly(world, &copy);
    }
    if (happens(late_ppm))
        flight->at += JUMP_MS(draw(2000));
    if (happens(corrupt_ppm))
        flight->bytes[draw(flight->len)] ^= (uint8_t)(1u << draw(8));
}

static struct side *side_of(bool server, const struct jump_id *id)
{
    for (unsigned i = 0; i < side_count; i++)
        if (sides[i].server == server && memcmp(&sides[i].id, id, sizeof *id) == 0)
            return &sides[i];
    if (side_count == SIDES) {
        fail("the soak knows too few sides");
        side_count = 0;
    }
    sides[side_count] = (struct side){ .server = server, .id = *id };
    return &sides[side_count++];
}

/* I4 by the events alone, not by the session's own ring. */
static void count_switch(struct side *side, jump_time at)
{
    unsigned recent = 0, oldest = 0;
    for (unsigned i = 0; i < 16; i++) {
        recent += side->switches[i] != 0 && at - side->switches[i] < JUMP_MS(60000);
        if (side->switches[i] < side->switches[oldest])
            oldest = i;
    }
    side->switches[oldest] = at;
    if (recent + 1 > w.server_config.policy.max_switches_per_min)
        fail("I4: too many switches in a minute");
}

static void follow_events(void)
{
    for (unsigned i = 0; i < w.event_count; i++) {
        const struct jump_event *e = &w.events[i].event;
        bool server = w.events[i].server;
        if (e->kind == JUMP_EVENT_TRANSPORT_SWITCH && server) {
            struct side *side = side_of(server, &e->session_id);
            count_switch(side, e->at);
            if (e->generation != side->generation + 1)
                fail("the generation does not rise by one");
            if (e->new_transport.ip[12] == 203)
                fail("a stranger's address was bound");
        }
        if (e->kind == JUMP_EVENT_TRANSPORT_SWITCH || e->kind == JUMP_EVENT_TRANSPORT_ATTACHED) {
            if (e->generation < side_of(server, &e->session_id)->generation)
                fail("a generation fell");
            side_of(server, &e->session_id)->generation = e->generation;
        }
        if (e->kind != JUMP_EVENT_STATE_CHANGE)
            continue;
        const struct jump_row *row = jump_fsm_row(e->previous_mode, e->cause, e->role);
        if (row->kind != JUMP_ROW_MOVE || row->to != e->new_mode || !jump_fsm_reason_fits(row, e->reason))
            fail("an event does not follow the table");
        if (e->state_version != ++side_of(server, &e->session_id)->version)
            fail("I8: a version is missing or doubled");
        if (e->new_mode == JUMP_MODE_TERMINATED && e->reason != REASON(UNKNOWN_SESSION) &&
            e->reason != REASON(HANDSHAKE_FAIL) && e->reason != REASON(PEER_TERMINATED) &&
            e->reason != REASON(HOST_TERMINATED))
            fail(jump_reason_name(e->reason)); /* I3: nothing here lasts as long as a window */
    }
    w.event_count = 0;
}

static void look(void)
{
    struct jump_session_view server, client;
    const char *broken = peek_broken(&w);
    if (broken)
        fail(broken);
    follow_events();
    for (unsigned n = 0; n < w.client_count; n++) {
        if (world_view_client(&w, n, &client) && client.bound != w.clients[n].bound)
            fail("the client's host was told something else than its session is");
        if (!world_view_client(&w, n, &client) || !world_view_server(&w, n, &server) ||
            memcmp(&client.id, &server.id, sizeof client.id) != 0)
            continue;
        if (client.generation > server.generation && server.state != JUMP_BIRTH)
            fail("the client is bound to a generation that the server does not know");
        if (server.bound && server.binding.ip[12] == 203)
            fail("a stranger's address is bound");
    }
}

static void close_both(unsigned n)
{
    struct jump_input in = { .kind = JUMP_IN_CLOSE, .host = n + 1, .reason = REASON(HOST_TERMINATED) };
    world_feed_server(&w, &in);
    world_feed_client(&w, n, &in);
}

/* The host begins anew where a session is over on either side, as OpenVPN's client does. */
static void reopen(void)
{
    for (unsigned n = 0; n < w.client_count; n++) {
        enum jump_state client = world_state_client(&w, n), server = world_state_server(&w, n);
        bool half_born = client == JUMP_BIRTH && server == JUMP_TERMINATED; /* its host's instance is gone */
        if (!half_born && (client != JUMP_TERMINATED || (server != JUMP_TERMINATED && draw(4) != 0)))
            continue;
        close_both(n);
        world_open(&w, n);
    }
}

static void one_fault(void)
{
    unsigned n = (unsigned)draw(w.client_count), u = (unsigned)draw(2);
    struct world_client *c = &w.clients[n];
    uint8_t secret[JUMP_SECRET_BYTES] = { (uint8_t)draw(256), (uint8_t)draw(256), (uint8_t)draw(256) };
    uint8_t lost[] = { (uint8_t)(u + 1), 0 };
    switch (draw(16)) {
    case 0:
    case 1:
        world_rebind(&w, n, u);
        break;
    case 2:
    case 3:
        c->up[u] = !c->up[u];
        break;
    case 4:
        c->loss_ppm[u] = (uint32_t)draw(400000);
        break;
    case 5:
        c->loss_ppm[u] = 0;
        c->delay[u] = JUMP_MS(1 + draw(200));
        break;
    case 6:
        if (draw(6) == 0)
            world_restart_server(&w);
        break;
    case 7:
        world_candidates(&w, n, 2, draw(2) ? lost : NULL);
        break;
    case 8:
        world_candidates(&w, n, 1 + (unsigned)draw(3), NULL);
        break;
    case 9:
        w.store = draw(3) ? WORLD_STORE_NOW : draw(2) ? WORLD_STORE_FAIL : WORLD_STORE_HELD;
        break;
    case 10:
        world_rekey_server(&w, n, secret, draw(4) == 0);
        if (draw(4))
            world_rekey_client(&w, n, secret, false);
        break;
    case 11: {
        struct jump_path address = c->uplinks[u]; /* two clients behind one NAT swap their mappings */
        c->uplinks[u] = w.clients[1 - n].uplinks[u];
        w.clients[1 - n].uplinks[u] = address;
        break;
    }
    case 12:
        duplicate_ppm = (uint32_t)draw(300000);
        late_ppm = (uint32_t)draw(200000);
        break;
    case 13:
        corrupt_ppm = (uint32_t)draw(100000);
        replay_ppm = (uint32_t)draw(500000);
        break;
    default:
        break;
    }
}

static void let_time_pass(void)
{
    jump_time end = w.now + JUMP_MS(draw(20) == 0 ? draw(30000) : draw(3000));
    bool busy = draw(4) != 0;
    while (w.now < end) {
        for (unsigned n = 0; busy && n < w.client_count; n++)
            world_activity(&w, n);
        world_run(&w, JUMP_MS(100));
        if (w.held_count > 0 && draw(8) == 0)
            world_answer_held(&w, draw(8) ? JUMP_STORE_DONE : JUMP_STORE_FAILED);
        if (w.held_count > 12)
            while (world_answer_held(&w, JUMP_STORE_DONE))
                ;
    }
}

static void heal(void)
{
    faults = false;
    w.store = WORLD_STORE_NOW;
    while (world_answer_held(&w, JUMP_STORE_DONE))
        ;
    for (unsigned n = 0; n < w.client_count; n++) {
        for (unsigned u = 0; u < WORLD_UPLINKS; u++) {
            w.clients[n].up[u] = true;
            w.clients[n].loss_ppm[u] = 0;
            w.clients[n].delay[u] = JUMP_MS(10);
        }
        world_candidates(&w, n, 2, NULL);
    }
    for (unsigned i = 0; i < 900; i++) { /* the rate's minute, a birth window, and room */
        for (unsigned n = 0; n < w.client_count; n++)
            world_activity(&w, n);
        world_run(&w, JUMP_MS(100));
        if (i % 10 == 0) {
            look();
            reopen();
        }
    }
    for (unsigned n = 0; n < w.client_count; n++) {
        struct jump_session_view server, client;
        if (!world_view_server(&w, n, &server) || !world_view_client(&w, n, &client) || server.state != JUMP_ATTACHED ||
            client.state != JUMP_ATTACHED)
            fail("after the faults a client is not attached");
        else if (server.generation != client.generation ||
                 memcmp(&server.binding, &w.clients[n].uplinks[client.binding.transport - 1u], sizeof server.binding) != 0)
            fail("after the faults the two sides are bound differently");
    }
}

static void run_seed(uint64_t seed)
{
    failure = NULL;
    random_state = seed;
    old_count = side_count = 0;
    duplicate_ppm = corrupt_ppm = late_ppm = replay_ppm = 0;
    faults = true;
    world_init(&w, 2, seed);
    w.on_flight = trouble;
    world_start(&w);
    for (unsigned n = 0; n < 2; n++) {
        world_open(&w, n);
        world_candidates(&w, n, 2, NULL);
    }
    for (unsigned step = 0; step < STEPS && !failure; step++) {
        one_fault();
        let_time_pass();
        look();
        reopen();
        if (failure)
            printf("\n    seed %llu, step %u, at %.3f s: %s\n", (unsigned long long)seed, step,
                   (double)(w.now - JUMP_MS(1000000)) / 1e9, failure);
    }
    if (!failure) {
        heal();
        if (failure)
            printf("\n    seed %llu, after the faults: %s\n", (unsigned long long)seed, failure);
    }
    world_free(&w);
}

static void test_soak_no_invariant_breaks_and_everybody_comes_back_whatever_happens(void)
{
    const char *one = getenv("SOAK_SEED"), *many = getenv("SOAK_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t last = one ? first : many ? strtoull(many, NULL, 10) : SEEDS;
    unsigned failed = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        run_seed(seed);
        failed += failure != NULL;
    }
    CU_ASSERT_EQUAL(failed, 0);
}

#define TESTS(X) X(test_soak_no_invariant_breaks_and_everybody_comes_back_whatever_happens)

RUN_TESTS("engine_soak", TESTS)
