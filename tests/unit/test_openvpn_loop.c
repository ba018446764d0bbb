/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The adapter's loop with many sessions under virtual time: what one instant asks of it must not be lost, however late
 * the tick and however full the queue. The real loop.c, map, store and engines; only the socket is a list.
 * Read next: adapters/openvpn/loop.c, adapters/README.md.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "openvpn/adapter.h"
#include "openvpn/sockaddr.h"
#include "runner.h"
#include "store/memory.h"
#include "system/clock.h"

#define CLIENTS 300u
#define FLIGHTS 20000u

struct flight {
    unsigned client; /* 0: to the server */
    size_t len;
    uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES];
};

static jump_time now;
static struct jump_ovpn server;
static struct jump_engine *clients; /* one engine with a session for each client */
static struct jump_path server_path;
static struct flight *flights;
static unsigned flights_len;
static bool cut;

/* In place of adapters/system/clock.c: the linker takes these first. */
jump_time jump_clock_now(void)
{
    return now;
}

uint64_t jump_clock_wall_ms(void)
{
    return now / JUMP_MS(1);
}

static struct jump_path path_of(unsigned client)
{
    struct jump_path path = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 10 }, .port = 5000 };
    path.ip[14] = (uint8_t)(client >> 8);
    path.ip[15] = (uint8_t)client;
    return path;
}

static void fly(unsigned client, const uint8_t *bytes, size_t len)
{
    if (cut)
        return;
    CU_ASSERT_TRUE_FATAL(flights_len < FLIGHTS);
    flights[flights_len].client = client;
    flights[flights_len].len = len;
    memcpy(flights[flights_len++].bytes, bytes, len);
}

static ssize_t to_a_list(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address, socklen_t n)
{
    struct jump_path to;
    (void)fd;
    (void)flags;
    if (jump_sockaddr_to_path(&to, address, n))
        fly((unsigned)to.ip[14] << 8 | to.ip[15], (const uint8_t *)bytes + 1, len - 1);
    return (ssize_t)len;
}

static void feed_clients(const struct jump_input *in)
{
    int result;
    do {
        const struct jump_action *action;
        result = jump_engine_feed(clients, in, now);
        while ((action = jump_engine_next(clients)) != NULL)
            if (action->kind == JUMP_DO_SEND) {
                unsigned at = flights_len;
                fly(0, action->bytes, action->bytes_len);
                if (flights_len > at) /* who sent it travels behind the bytes */
                    memcpy(flights[at].bytes + action->bytes_len, &action->host, sizeof action->host);
            }
    } while (result == JUMP_ERR_BUSY);
}

static void deliver(void)
{
    for (unsigned i = 0; i < flights_len; i++) {
        struct flight *f = &flights[i];
        if (f->client == 0) {
            jump_host host;
            memcpy(&host, f->bytes + f->len, sizeof host);
            struct jump_path from = path_of((unsigned)host);
            jump_ovpn_datagram(&server, f->bytes, f->len, &from);
        } else {
            struct jump_input in = { .kind = JUMP_IN_DATAGRAM, .path = server_path, .bytes = f->bytes, .bytes_len = f->len };
            feed_clients(&in);
        }
    }
    flights_len = 0;
}

/* A host that looks at its clock only every `step`. */
static void run(jump_time span, jump_time step)
{
    const struct jump_input tick = { .kind = JUMP_IN_TICK };
    for (jump_time end = now + span; now < end;) {
        now += step;
        server.now = now;
        jump_ovpn_run(&server);
        while (jump_engine_deadline(clients) <= now)
            feed_clients(&tick);
        for (int i = 0; i < 4; i++)
            deliver();
    }
}

static void begin(void)
{
    static const uint8_t key[JUMP_MAP_KEY_BYTES] = { 1 };
    struct jump_policy_draft draft;
    struct jump_config config = { .role = JUMP_SERVER, .host_kind = JUMP_HOST_OPENVPN, .max_sessions = 2 * CLIENTS,
                                  .unique_path = true, .boot = 1 };
    now = JUMP_MS(1000000);
    cut = false;
    flights = calloc(FLIGHTS, sizeof *flights);
    jump_policy_begin(&draft);
    config.policy = draft.policy;
    memset(&server, 0, sizeof server);
    server.engine_memory_len = jump_engine_bytes(&config);
    server.engine_memory = malloc(server.engine_memory_len);
    CU_ASSERT_EQUAL_FATAL(jump_engine_init(&server.engine, server.engine_memory, server.engine_memory_len, &config, now), 0);
    server.map_memory_len = jump_map_bytes(config.max_sessions);
    server.map_memory = malloc(server.map_memory_len);
    server.map = jump_map_init(server.map_memory, server.map_memory_len, config.max_sessions, key);
    server.hold = jump_hold_open(2 * config.max_sessions, JUMP_HOLD_PACKETS, JUMP_HOLD_POOL_BYTES);
    server.store = jump_store_memory_open(config.max_sessions);
    server.arguments.role = JUMP_SERVER;
    server.policy = draft.policy;
    server.restart_at = JUMP_NEVER;
    server.link_fd = socket(AF_INET, SOCK_DGRAM, 0);
    server.real.sendto = to_a_list;
    config.role = JUMP_CLIENT;
    config.unique_path = false;
    config.seed[0] = 9;
    size_t len = jump_engine_bytes(&config);
    CU_ASSERT_EQUAL_FATAL(jump_engine_init(&clients, malloc(len), len, &config, now), 0);
    server_path = path_of(0xffff);
    server_path.transport = 1;
    for (unsigned n = 1; n <= CLIENTS; n++) {
        uint8_t secret[JUMP_SECRET_BYTES] = { (uint8_t)n, (uint8_t)(n >> 8) };
        struct jump_input theirs = { .kind = JUMP_IN_OPEN, .host = n, .secret = secret, .path = server_path };
        struct jump_input ours = { .kind = JUMP_IN_OPEN, .secret = secret, .path = path_of(n) };
        CU_ASSERT_EQUAL(jump_map_open(server.map, &ours.host, &ours.path), 0);
        feed_clients(&theirs);
        CU_ASSERT_EQUAL(jump_ovpn_feed(&server, &ours), 0);
        deliver();
    }
    run(JUMP_MS(2000), JUMP_MS(1));
}

static void end(void)
{
    jump_engine_wipe(server.engine);
    jump_engine_wipe(clients);
    free(clients); /* an engine begins its memory */
    free(server.engine_memory);
    free(server.map_memory);
    jump_hold_close(server.hold);
    jump_store_close(server.store);
    close(server.link_fd);
    free(flights);
}

static unsigned count(const struct jump_engine *engine, enum jump_state state)
{
    struct jump_session_view view;
    unsigned found = 0;
    for (size_t cursor = 0; jump_engine_walk(engine, &cursor, &view);)
        found += view.state == state;
    return found;
}

static void test_openvpn_loop_no_store_answer_is_lost_when_hundreds_of_sessions_are_due_at_once(void)
{
    struct jump_stats stats;
    begin();
    CU_ASSERT_EQUAL(count(server.engine, JUMP_ATTACHED), CLIENTS);
    cut = true;
    run(JUMP_MS(20000), JUMP_MS(50)); /* late ticks: a script runs, a name is looked up */
    cut = false;
    run(JUMP_MS(20000), JUMP_MS(1));
    CU_ASSERT_EQUAL(count(server.engine, JUMP_ATTACHED), CLIENTS); /* each one is back */
    CU_ASSERT_EQUAL(count(clients, JUMP_ATTACHED), CLIENTS);
    cut = true;
    run(JUMP_MS(400000), JUMP_MS(50)); /* beyond every bound */
    jump_engine_stats(server.engine, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 0); /* no slot waits for an answer that never comes */
    for (unsigned n = 1; n <= 2 * CLIENTS; n++) { /* and no record was left behind in the store */
        struct jump_id id = { { (uint8_t)n, (uint8_t)(n >> 8), 0xaa } };
        struct jump_store_answer answer;
        jump_store_put_if(server.store, &id, n, 0, id.bytes, sizeof id.bytes);
        CU_ASSERT_TRUE(jump_store_next(server.store, &answer) && answer.result == JUMP_STORE_DONE);
    }
    end();
}

/* An uplink that is not there: the next look at the networks takes it away, so that a look can be seen. */
static void put_ghost(void)
{
    server.uplinks[0] = (struct jump_uplink){ .id = 200, .fd = -1, .ifindex = 0x7ffffff0 };
}

static bool ghost_is_gone(void)
{
    return server.uplinks[0].id != 200;
}

static void test_openvpn_loop_much_news_of_the_networks_costs_one_look_at_once_and_one_later(void)
{
    struct jump_problem problem;
    begin();
    server.netlink = jump_netlink_open(&problem);
    CU_ASSERT_PTR_NOT_NULL_FATAL(server.netlink);
    server.server = path_of(1);
    server.server_known = true;
    server.now = now;
    put_ghost();
    jump_ovpn_networks_changed(&server);
    CU_ASSERT_TRUE(ghost_is_gone()); /* the first: at once */
    put_ghost();
    for (int i = 0; i < 50; i++) {
        server.now = now += JUMP_MS(1);
        jump_ovpn_networks_changed(&server);
        jump_ovpn_run(&server);
        CU_ASSERT_FALSE(ghost_is_gone());
    }
    CU_ASSERT_TRUE(jump_ovpn_deadline(&server) <= now + JUMP_MS(50)); /* the host wakes for what was put off */
    server.now = now += JUMP_MS(50);
    jump_ovpn_run(&server);
    CU_ASSERT_TRUE(ghost_is_gone()); /* nothing was lost */
    put_ghost();
    server.now = now += JUMP_MS(500);
    jump_ovpn_run(&server);
    CU_ASSERT_FALSE(ghost_is_gone()); /* no news, no look */
    jump_ovpn_networks_changed(&server);
    CU_ASSERT_TRUE(ghost_is_gone());
    memset(server.uplinks, 0, sizeof server.uplinks);
    jump_netlink_close(server.netlink);
    end();
}

#define TESTS(X)                                                                                 \
    X(test_openvpn_loop_no_store_answer_is_lost_when_hundreds_of_sessions_are_due_at_once)       \
    X(test_openvpn_loop_much_news_of_the_networks_costs_one_look_at_once_and_one_later)

RUN_TESTS("openvpn_loop", TESTS)
