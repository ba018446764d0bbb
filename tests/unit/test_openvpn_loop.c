/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The adapter's loop with many sessions under virtual time: what one instant asks of it must not be lost, however late
 * the tick and however full the queue. The real loop.c, map, store and engines; only the socket is a list.
 * Read next: adapters/openvpn/loop.c, adapters/README.md.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "openvpn/adapter.h"
#include "openvpn/hooks.h"
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
static unsigned elsewhere; /* this client's packets come from an address that it was not born at */
static char said[4096];
static int kernel_says;      /* of a send; 0: it takes it */
static unsigned takes_first; /* so many all the same */
static unsigned not_taken;   /* data packets */

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
    if (kernel_says != 0 && takes_first == 0) {
        not_taken += jump_map_opcode(bytes) == JUMP_OVPN_DATA_V2;
        errno = kernel_says;
        return -1;
    }
    takes_first -= kernel_says != 0;
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
            struct jump_path from = path_of((unsigned)host == elsewhere ? 5000 : (unsigned)host);
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
        server.instance.now = now;
        jump_ovpn_run(&server);
        while (jump_engine_deadline(clients) <= now)
            feed_clients(&tick);
        for (int i = 0; i < 4; i++)
            deliver();
    }
}

static void keep_what_is_said(openvpn_plugin_log_flags_t flags, const char *plugin, const char *format, ...)
{
    size_t len = strlen(said);
    va_list arguments;
    (void)flags;
    (void)plugin;
    va_start(arguments, format);
    (void)vsnprintf(said + len, sizeof said - len, format, arguments);
    va_end(arguments);
}

static void begin(void)
{
    static const uint8_t key[JUMP_MAP_KEY_BYTES] = { 1 };
    struct jump_policy_draft draft;
    struct jump_config config = { .role = JUMP_SERVER, .host_kind = JUMP_HOST_OPENVPN, .max_sessions = 2 * CLIENTS,
                                  .unique_path = true, .boot = 1 };
    now = JUMP_MS(1000000);
    cut = false;
    elsewhere = 0;
    said[0] = '\0';
    kernel_says = 0;
    takes_first = not_taken = 0;
    flights = calloc(FLIGHTS, sizeof *flights);
    jump_policy_begin(&draft);
    config.policy = draft.policy;
    memset(&server, 0, sizeof server);
    server.instance.engine_memory_len = jump_engine_bytes(&config);
    server.instance.engine_memory = malloc(server.instance.engine_memory_len);
    CU_ASSERT_EQUAL_FATAL(jump_engine_init(&server.instance.engine, server.instance.engine_memory, server.instance.engine_memory_len, &config, now), 0);
    server.map_memory_len = jump_map_bytes(config.max_sessions);
    server.map_memory = malloc(server.map_memory_len);
    server.map = jump_map_init(server.map_memory, server.map_memory_len, config.max_sessions, key);
    server.hold = jump_hold_open(2 * config.max_sessions, JUMP_HOLD_PACKETS, JUMP_HOLD_POOL_BYTES);
    server.instance.store = jump_store_memory_open(config.max_sessions);
    CU_ASSERT_TRUE_FATAL(jump_ovpn_rounds_begin(&server, 2 * config.max_sessions));
    server.arguments.role = JUMP_SERVER;
    jump_ovpn_be_host(&server.instance.host, &server);
    server.instance.policy = draft.policy;
    server.restart_at = JUMP_NEVER;
    server.arguments.log_level = JUMP_LOG_INFO;
    server.plugin_log = keep_what_is_said;
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
        CU_ASSERT_EQUAL(jump_instance_feed(&server.instance, &ours), 0);
        deliver();
    }
    run(JUMP_MS(2000), JUMP_MS(1));
}

static void end(void)
{
    jump_engine_wipe(server.instance.engine);
    jump_engine_wipe(clients);
    free(clients); /* an engine begins its memory */
    free(server.instance.engine_memory);
    free(server.map_memory);
    jump_hold_close(server.hold);
    jump_ovpn_rounds_end(&server);
    jump_store_close(server.instance.store);
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
    CU_ASSERT_EQUAL(count(server.instance.engine, JUMP_ATTACHED), CLIENTS);
    cut = true;
    run(JUMP_MS(20000), JUMP_MS(50)); /* late ticks: a script runs, a name is looked up */
    cut = false;
    run(JUMP_MS(20000), JUMP_MS(1));
    CU_ASSERT_EQUAL(count(server.instance.engine, JUMP_ATTACHED), CLIENTS); /* each one is back */
    CU_ASSERT_EQUAL(count(clients, JUMP_ATTACHED), CLIENTS);
    cut = true;
    run(JUMP_MS(400000), JUMP_MS(50)); /* beyond every bound */
    jump_engine_stats(server.instance.engine, &stats);
    CU_ASSERT_EQUAL(stats.sessions, 0); /* no slot waits for an answer that never comes */
    for (unsigned n = 1; n <= 2 * CLIENTS; n++) { /* and no record was left behind in the store */
        struct jump_id id = { { (uint8_t)n, (uint8_t)(n >> 8), 0xaa } };
        struct jump_store_answer answer;
        jump_store_put_if(server.instance.store, &id, n, 0, id.bytes, sizeof id.bytes);
        CU_ASSERT_TRUE(jump_store_next(server.instance.store, &answer) && answer.result == JUMP_STORE_DONE);
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
    server.instance.now = now;
    put_ghost();
    jump_ovpn_networks_changed(&server);
    CU_ASSERT_TRUE(ghost_is_gone()); /* the first: at once */
    put_ghost();
    for (int i = 0; i < 50; i++) {
        server.instance.now = now += JUMP_MS(1);
        jump_ovpn_networks_changed(&server);
        jump_ovpn_run(&server);
        CU_ASSERT_FALSE(ghost_is_gone());
    }
    CU_ASSERT_TRUE(jump_ovpn_deadline(&server) <= now + JUMP_MS(50)); /* the host wakes for what was put off */
    server.instance.now = now += JUMP_MS(50);
    jump_ovpn_run(&server);
    CU_ASSERT_TRUE(ghost_is_gone()); /* nothing was lost */
    put_ghost();
    server.instance.now = now += JUMP_MS(500);
    jump_ovpn_run(&server);
    CU_ASSERT_FALSE(ghost_is_gone()); /* no news, no look */
    jump_ovpn_networks_changed(&server);
    CU_ASSERT_TRUE(ghost_is_gone());
    memset(server.uplinks, 0, sizeof server.uplinks);
    jump_netlink_close(server.netlink);
    end();
}

static struct jump_map_peer *peer_at(unsigned client)
{
    struct jump_path path = path_of(client), to;
    uint8_t packet[60] = { JUMP_OVPN_DATA_V2 << 3, 0, 0, (uint8_t)client };
    uint32_t number;
    (void)jump_map_outbound(server.map, &to, &number, packet, sizeof packet, &path, now);
    return jump_map_peer(server.map, number);
}

static void test_openvpn_loop_only_sessions_with_activity_are_reported_and_each_is(void)
{
    begin();
    server.instance.now = now += JUMP_MS(200);
    jump_ovpn_run(&server);
    CU_ASSERT_EQUAL(server.active.len, 0);
    for (unsigned n = 1; n <= 3; n++) {
        jump_ovpn_activity(&server, peer_at(n), false);
        jump_ovpn_activity(&server, peer_at(n), true); /* twice is still one place in the list */
        jump_ovpn_activity(&server, peer_at(n), true);
    }
    CU_ASSERT_EQUAL(server.active.len, 3);
    jump_map_close(server.map, peer_at(2)->host); /* gone before the report */
    server.instance.now = now += JUMP_MS(100);
    jump_ovpn_run(&server);
    CU_ASSERT_EQUAL(server.active.len, 0);
    CU_ASSERT_FALSE(peer_at(1)->sent || peer_at(1)->received || peer_at(3)->sent || peer_at(3)->received);
    jump_ovpn_activity(&server, peer_at(1), false);
    CU_ASSERT_EQUAL(server.active.len, 1);
    CU_ASSERT_TRUE(jump_ovpn_deadline(&server) <= now + JUMP_MS(100));
    server.instance.now = now += JUMP_MS(100);
    jump_ovpn_run(&server);
    CU_ASSERT_FALSE(peer_at(1)->received);
    end();
}

static void hold(unsigned client, unsigned packets)
{
    struct jump_map_peer *peer = peer_at(client);
    uint8_t packet[60] = { JUMP_OVPN_DATA_V2 << 3 };
    for (unsigned i = 0; i < packets; i++)
        jump_ovpn_queue_behind(&server, (uint32_t)(peer->host & 0xffffff), packet, sizeof packet);
}

static void test_openvpn_loop_what_is_held_leaves_for_those_that_are_bound_again_and_for_no_others(void)
{
    begin();
    for (unsigned n = 1; n <= 4; n++) {
        struct jump_id id = peer_at(n)->session_id;
        jump_map_unbind(server.map, peer_at(n)->host, &id);
        hold(n, n == 3 ? 1 : n == 1 ? 200 : 100);
    }
    CU_ASSERT_EQUAL(server.behind.len, 0); /* nowhere to send it */
    for (unsigned n = 2; n <= 4; n++) { /* as the core's BIND does */
        struct jump_id id = peer_at(n)->session_id;
        struct jump_path path = path_of(n);
        jump_map_bind(server.map, peer_at(n)->host, &id, &path, false, now);
        jump_ovpn_numbers_add(&server.behind, (uint32_t)(peer_at(n)->host & 0xffffff));
    }
    server.instance.now = server.flush_at = now;
    jump_ovpn_flush(&server);
    CU_ASSERT_EQUAL(server.behind.len, 2);
    CU_ASSERT_EQUAL(flights_len, 32 + 1 + 32);
    struct jump_id id = peer_at(4)->session_id;
    jump_map_unbind(server.map, peer_at(4)->host, &id); /* its path died again meanwhile */
    for (unsigned i = 0; i < 10 && server.behind.len > 0; i++)
        jump_ovpn_flush(&server);
    CU_ASSERT_EQUAL(server.behind.len, 0);
    CU_ASSERT_EQUAL(flights_len, 100 + 1 + 32);
    CU_ASSERT_TRUE(jump_hold_waits(server.hold, (uint32_t)(peer_at(1)->host & 0xffffff)));
    CU_ASSERT_TRUE(jump_hold_waits(server.hold, (uint32_t)(peer_at(4)->host & 0xffffff)));
    CU_ASSERT_FALSE(jump_hold_waits(server.hold, (uint32_t)(peer_at(2)->host & 0xffffff)));

    /* A late millisecond is made up for, but not in one burst. */
    struct jump_id mine = peer_at(1)->session_id;
    struct jump_path path = path_of(1);
    jump_map_bind(server.map, peer_at(1)->host, &mine, &path, false, now);
    jump_ovpn_numbers_add(&server.behind, (uint32_t)(peer_at(1)->host & 0xffffff));
    unsigned before = flights_len;
    server.flush_at = now;
    server.instance.now = now + JUMP_MS(1);
    jump_ovpn_flush(&server);
    CU_ASSERT_EQUAL(flights_len - before, 64);
    server.instance.now = now += JUMP_MS(100);
    jump_ovpn_flush(&server);
    CU_ASSERT_EQUAL(flights_len - before, 64 + 64);
    end();
}

static void test_openvpn_loop_what_was_held_in_an_outage_leaves_when_the_sessions_are_back(void)
{
    begin();
    cut = true;
    run(JUMP_MS(20000), JUMP_MS(50));
    for (unsigned n = 10; n < 20; n++) {
        CU_ASSERT_FALSE(peer_at(n)->bound);
        hold(n, 40);
    }
    cut = false;
    run(JUMP_MS(20000), JUMP_MS(1));
    CU_ASSERT_FALSE(jump_hold_any(server.hold));
    CU_ASSERT_EQUAL(jump_hold_counters(server.hold)->sent, 400);
    CU_ASSERT_EQUAL(server.behind.len, 0);
    end();
}

static void test_openvpn_loop_acknowledgements_and_the_rest_are_not_held(void)
{
    begin();
    struct jump_id id = peer_at(1)->session_id;
    jump_map_unbind(server.map, peer_at(1)->host, &id);
    uint32_t n = (uint32_t)(peer_at(1)->host & 0xffffff);
    jump_ovpn_queue_behind(&server, n, (const uint8_t *)"", 0);
    for (unsigned opcode = 0; opcode < 32; opcode++) {
        uint8_t packet[60] = {(uint8_t)(opcode << 3)};
        bool held = opcode == JUMP_OVPN_SOFT_RESET || opcode == JUMP_OVPN_CONTROL || opcode == JUMP_OVPN_DATA_V1
                    || opcode == JUMP_OVPN_DATA_V2;
        jump_ovpn_queue_behind(&server, n, packet, sizeof packet);
        CU_ASSERT_EQUAL(jump_hold_waits(server.hold, n), held);
        jump_hold_forget(server.hold, n);
    }
    end();
}

/* As in an outage: unbound, packets come, bound again. */
static void hold_in_order(unsigned client, unsigned packets)
{
    struct jump_map_peer *peer = peer_at(client);
    struct jump_id id = peer->session_id;
    struct jump_path path = path_of(client);
    uint8_t packet[60] = { JUMP_OVPN_DATA_V2 << 3 };
    jump_map_unbind(server.map, peer->host, &id);
    for (packet[5] = 0; packet[5] < packets; packet[5]++)
        jump_ovpn_queue_behind(&server, (uint32_t)(peer->host & 0xffffff), packet, sizeof packet);
    jump_map_bind(server.map, peer->host, &id, &path, false, now);
    jump_ovpn_numbers_add(&server.behind, (uint32_t)(peer->host & 0xffffff));
}

static void collect(void *answer, const char *group, const char *name, uint64_t value)
{
    char *text = answer;
    size_t len = strlen(text);
    (void)snprintf(text + len, 4096 - len, "%s.%s=%llu\n", group, name, (unsigned long long)value);
}

static void a_full_send_queue(int why)
{
    unsigned next[3] = { 0 };
    begin();
    hold_in_order(1, 100);
    hold_in_order(2, 100);
    kernel_says = why;
    takes_first = 40;
    server.instance.now = server.flush_at = now;
    jump_ovpn_flush(&server);
    CU_ASSERT_EQUAL(flights_len, 40);
    CU_ASSERT_EQUAL(not_taken, 1);
    for (unsigned i = 1; i <= 50; i++) {
        not_taken = 0;
        server.instance.now = now += JUMP_MS(1);
        jump_ovpn_run(&server);
        CU_ASSERT_EQUAL(not_taken, 2); /* each asks once in a millisecond */
        CU_ASSERT_TRUE(jump_ovpn_deadline(&server) > now && jump_ovpn_deadline(&server) <= now + JUMP_MS(1));
    }
    not_taken = 0;
    uint8_t newer[60] = { JUMP_OVPN_DATA_V2 << 3, [5] = 100 };
    jump_ovpn_queue_behind(&server, (uint32_t)(peer_at(1)->host & 0xffffff), newer, sizeof newer);
    CU_ASSERT_EQUAL(not_taken, 1);
    CU_ASSERT_EQUAL(jump_hold_counters(server.hold)->packets, 161);
    kernel_says = 0;
    for (int i = 0; i < 20 && server.behind.len > 0; i++) {
        server.instance.now = now += JUMP_MS(1);
        jump_ovpn_flush(&server);
    }
    CU_ASSERT_EQUAL(server.behind.len, 0);
    for (unsigned i = 0; i < flights_len; i++)
        if (flights[i].len == 59 && flights[i].client <= 2) /* in their order, each once */
            CU_ASSERT_EQUAL(flights[i].bytes[4], next[flights[i].client]++);
    CU_ASSERT_TRUE(next[1] == 101 && next[2] == 100);
    CU_ASSERT_EQUAL(jump_hold_counters(server.hold)->dropped, 0);
    end();
}

static void test_openvpn_loop_A36_a_full_send_queue_loses_nothing_that_is_held_and_is_not_asked_without_a_pause(void)
{
    a_full_send_queue(ENOBUFS);
    a_full_send_queue(EAGAIN);
    a_full_send_queue(ENOMEM);
    a_full_send_queue(EPERM); /* a filter, or a full table of connections: for a moment the same */
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "refuses to send what was held"));
    CU_ASSERT_PTR_NULL(strstr(strstr(said, "refuses") + 1, "refuses")); /* once is enough */
}

static void test_openvpn_loop_A36_what_the_kernel_forbids_for_good_blocks_nothing_behind_it(void)
{
    uint8_t packet[60] = { JUMP_OVPN_DATA_V2 << 3 };
    char text[4096] = "";
    begin();
    uint32_t number = (uint32_t)(peer_at(1)->host & 0xffffff);
    hold_in_order(1, 100);
    kernel_says = EPERM;
    server.instance.now = server.flush_at = now;
    jump_ovpn_flush(&server);
    for (int i = 0; i < 999; i++) {
        server.instance.now = now += JUMP_MS(1);
        jump_ovpn_flush(&server);
    }
    CU_ASSERT_EQUAL(jump_hold_counters(server.hold)->packets, 100);
    CU_ASSERT_EQUAL(not_taken, 1000);
    for (int i = 0; i < 100 && server.behind.len > 0; i++) { /* one wait for all of them */
        server.instance.now = now += JUMP_MS(1);
        jump_ovpn_flush(&server);
    }
    CU_ASSERT_EQUAL(server.behind.len, 0);
    CU_ASSERT_EQUAL(not_taken, 1000 + 100);
    server.instance.host.counters(&server, collect, text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "hold.refused=100\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "hold.dropped=100\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "hold.sent=0\n"));
    CU_ASSERT_TRUE(peer_at(1)->bound);

    /* The next outage has its own second; what only some packets meet takes that of all once. */
    flights_len = 0;
    hold_in_order(1, 3);
    server.instance.now = server.flush_at = now += JUMP_MS(1);
    jump_ovpn_flush(&server);
    CU_ASSERT_EQUAL(jump_hold_counters(server.hold)->packets, 3);
    server.instance.now = now += JUMP_MS(1000);
    takes_first = 0;
    jump_ovpn_queue_behind(&server, number, packet, sizeof packet); /* which gives up two of those before it */
    CU_ASSERT_EQUAL(jump_hold_counters(server.hold)->packets, 2);
    kernel_says = 0;
    jump_ovpn_flush(&server);
    CU_ASSERT_EQUAL(flights_len, 2);
    CU_ASSERT_EQUAL(server.behind.len, 0);
    end();
}

/* What the core says of each session is what the map does with its packets; while one is born they go where it began. */
static bool map_and_core_agree(void)
{
    struct jump_session_view view;
    for (size_t cursor = 0; jump_engine_walk(server.instance.engine, &cursor, &view);) {
        const struct jump_map_peer *peer = jump_map_find(server.map, view.host);
        struct jump_path path = view.bound ? view.binding : view.birth_path;
        path.transport = 0;
        if (peer == NULL || peer->bound != (view.bound || view.state == JUMP_BIRTH)
            || (peer->bound && memcmp(&peer->binding, &path, sizeof path) != 0))
            return false;
    }
    return true;
}

static void sends_fail(int why)
{
    uint8_t secret[JUMP_SECRET_BYTES] = { 7, 7, 7 };
    struct jump_input theirs = { .kind = JUMP_IN_OPEN, .host = CLIENTS + 1, .secret = secret, .path = server_path };
    struct jump_input ours = { .kind = JUMP_IN_OPEN, .secret = secret, .path = path_of(CLIENTS + 1) };
    bool agreed = true, waits = true;
    begin();
    kernel_says = why;
    elsewhere = 9; /* its address changes, and one is born, while nothing can be sent */
    CU_ASSERT_EQUAL(jump_map_open(server.map, &ours.host, &ours.path), 0);
    feed_clients(&theirs);
    CU_ASSERT_EQUAL(jump_instance_feed(&server.instance, &ours), 0);
    for (int i = 0; i < 8000; i++) {
        run(JUMP_MS(1), JUMP_MS(1));
        jump_ovpn_run(&server);
        waits = waits && jump_ovpn_deadline(&server) > now;
        agreed = agreed && map_and_core_agree();
    }
    CU_ASSERT_TRUE(agreed);
    CU_ASSERT_TRUE(waits); /* a send that failed is not asked for again without a pause */
    CU_ASSERT_TRUE(count(clients, JUMP_ATTACHED) < CLIENTS);
    kernel_says = 0;
    run(JUMP_MS(20000), JUMP_MS(1));
    CU_ASSERT_TRUE(map_and_core_agree());
    CU_ASSERT_EQUAL(count(server.instance.engine, JUMP_ATTACHED), CLIENTS + 1);
    CU_ASSERT_EQUAL(count(clients, JUMP_ATTACHED), CLIENTS + 1);
    struct jump_path moved = path_of(5000);
    CU_ASSERT_EQUAL(memcmp(&peer_at(9)->binding, &moved, sizeof moved), 0);
    end();
}

static void test_openvpn_loop_sends_that_fail_leave_no_session_half_bound(void)
{
    sends_fail(ENOBUFS);
    sends_fail(EAGAIN);
    sends_fail(EPERM);
}

static void test_openvpn_loop_a_move_is_one_line_of_openvpns_log_and_a_return_is_none(void)
{
    struct jump_ovpn_client client = { .common_name = "laptop" };
    begin();
    client.host = peer_at(9)->host;
    jump_ovpn_know_client(&server, client.host, &client);
    CU_ASSERT_STRING_EQUAL(said, ""); /* the first binding is no move */
    elsewhere = 9;
    run(JUMP_MS(20000), JUMP_MS(1));
    CU_ASSERT_STRING_EQUAL(said, "client 'laptop' moved from udp 10.0.0.9:5000 to udp 10.0.19.136:5000 (its path was dead)");
    said[0] = '\0';
    cut = true;
    run(JUMP_MS(60000), JUMP_MS(50)); /* idle sessions: the server waits for three of their long intervals */
    CU_ASSERT_FALSE(peer_at(9)->bound);
    cut = false;
    run(JUMP_MS(20000), JUMP_MS(1));
    CU_ASSERT_EQUAL(count(server.instance.engine, JUMP_ATTACHED), CLIENTS);
    CU_ASSERT_STRING_EQUAL(said, ""); /* back where they were */
    end();
}

static void connect_named(struct jump_ovpn_client *client, const char *user, const char *port, const char *address)
{
    char name[64] = "", where[64], at[64];
    const char *envp[] = { where, at, user != NULL ? name : NULL, NULL };
    struct openvpn_plugin_args_func_return out = { .return_list = NULL };
    struct openvpn_plugin_args_func_in in = { .type = OPENVPN_PLUGIN_CLIENT_CONNECT_V2, .envp = envp,
                                              .per_client_context = client };
    if (user != NULL)
        (void)snprintf(name, sizeof name, "common_name=%s", user);
    (void)snprintf(where, sizeof where, "untrusted_ip=%s", address);
    (void)snprintf(at, sizeof at, "untrusted_port=%s", port);
    CU_ASSERT_EQUAL(jump_ovpn_call(&server, &in, &out), OPENVPN_PLUGIN_FUNC_SUCCESS);
}

static void connect_as(struct jump_ovpn_client *client, const char *port, const char *address)
{
    connect_named(client, "phone", port, address);
}

static void test_openvpn_loop_whom_an_alias_stands_for_is_said_once_the_user_is_authorised(void)
{
    const uint8_t reset[54] = { JUMP_OVPN_HARD_RESET_CLIENT_V2 << 3, 1, 2, 3, 4, 5, 6, 7, 8 };
    struct jump_path from = path_of(9), shown;
    struct jump_ovpn_client client = { .host = 0 };
    uint32_t number;
    begin();
    connect_as(&client, "4711", "198.51.100.1");
    CU_ASSERT_STRING_EQUAL(said, "");
    CU_ASSERT_EQUAL(jump_map_inbound(server.map, &shown, &number, reset, sizeof reset, &from, now), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(jump_map_is_alias(&shown));
    CU_ASSERT_STRING_EQUAL(said, ""); /* anybody can send a reset: no line for each */
    connect_as(&client, "5000", "240.0.0.1");
    CU_ASSERT_STRING_EQUAL(said, "client 'phone' comes from udp 10.0.0.9:5000; OpenVPN shows it as udp 240.0.0.1:5000, since it shows another client there");
    end();
}

/* Session n is the user's; OpenVPN closes its instance. */
static void close_as(unsigned n, const char *name)
{
    struct jump_ovpn_client *client = jump_ovpn_client_open(&server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    client->host = peer_at(n)->host;
    (void)snprintf(client->common_name, sizeof client->common_name, "%s", name);
    jump_ovpn_know_client(&server, client->host, client);
    jump_ovpn_client_close(&server, client);
    said[0] = '\0';
}

static void test_openvpn_loop_A19_a_session_that_makes_way_for_a_client_without_the_plugin_counts(void)
{
    struct jump_ovpn_client bare = { .host = 0 }, other = { .host = 0 };
    begin();
    for (unsigned n = 1; n <= 3; n++) {
        close_as(n, "phone");
        connect_as(&bare, "4711", "198.51.100.1"); /* nothing announced */
        CU_ASSERT_PTR_NOT_NULL(strstr(said, "client 'phone' came again while its session lived"));
        CU_ASSERT_EQUAL(strstr(said, "3 times lately: the newest wins; are its credentials used twice?") != NULL, n == 3);
        server.looked_at = ++now; /* OpenVPN has waited */
        said[0] = '\0';
        connect_as(&bare, "4712", "198.51.100.1"); /* whom it throws out now has no session */
        CU_ASSERT_STRING_EQUAL(said, "");
    }
    close_as(4, "laptop");
    connect_as(&bare, "4713", "198.51.100.1");
    CU_ASSERT_STRING_EQUAL(said, ""); /* another's */
    close_as(5, "");
    connect_named(&other, NULL, "4714", "198.51.100.1");
    CU_ASSERT_STRING_EQUAL(said, ""); /* no name: OpenVPN has thrown nobody out */
    CU_ASSERT_EQUAL(count(server.instance.engine, JUMP_ATTACHED), CLIENTS - 5);
    end();
}

static unsigned sends;

static ssize_t count_a_send(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address, socklen_t n)
{
    (void)fd, (void)bytes, (void)flags, (void)address, (void)n;
    sends++;
    errno = ECONNREFUSED; /* and even the probe that follows from an error meets one */
    return len > 0 ? -1 : 0;
}

static void test_openvpn_loop_an_error_of_the_link_is_advice_to_the_client_and_no_more_than_a_probe(void)
{
    struct jump_ovpn_client top = { .host = 5 };
    struct jump_ovpn device = { .restart_at = JUMP_NEVER, .top = &top, .arguments.role = JUMP_CLIENT };
    struct jump_session_view before, after;
    begin();
    run(JUMP_MS(30000), JUMP_MS(1)); /* idle: the next probe is seconds away */
    device.instance.engine = clients; /* session 5 is this device's */
    jump_ovpn_be_host(&device.instance.host, &device);
    device.map = server.map;
    device.link_fd = server.link_fd;
    device.real.sendto = count_a_send;
    device.uplinks[0] = (struct jump_uplink){ .id = 1, .via_link = true, .fd = -1 };
    device.instance.now = now;
    sends = 0;
    errno = EAGAIN;
    (void)jump_ovpn_came_of(&device, device.link_fd, -1);
    errno = ECONNREFUSED;
    (void)jump_ovpn_came_of(&device, device.link_fd + 1, -1); /* somebody else's socket */
    (void)jump_ovpn_came_of(&device, device.link_fd, 10);
    (void)jump_ovpn_came_of(&server, server.link_fd, -1); /* a server ignores it */
    CU_ASSERT_FALSE(device.advice_waits || server.advice_waits);
    CU_ASSERT_EQUAL(jump_ovpn_came_of(&device, device.link_fd, -1), -1);
    CU_ASSERT_EQUAL(errno, ECONNREFUSED); /* as OpenVPN expects it */
    CU_ASSERT_EQUAL(sends, 0); /* never inside of a call that may be an action's */
    CU_ASSERT_TRUE(jump_ovpn_deadline(&device) <= now);
    (void)jump_engine_find(clients, 5, &before);
    jump_ovpn_run(&device);
    CU_ASSERT_EQUAL(sends, 2); /* the probe, and once more */
    for (int i = 0; i < 50; i++) { /* a stream of forged ICMP */
        jump_ovpn_came_of(&device, device.link_fd, (errno = EHOSTUNREACH, -1));
        jump_ovpn_run(&device);
    }
    CU_ASSERT_EQUAL(sends, 2);
    CU_ASSERT_TRUE(device.advice_waits); /* for the rest of the 100 ms, and is not lost */
    CU_ASSERT_TRUE(jump_ovpn_deadline(&device) <= now + JUMP_MS(100));
    (void)jump_engine_find(clients, 5, &after);
    CU_ASSERT_TRUE(after.state == before.state && after.state_version == before.state_version && after.bound);
    end();
}

static int refusal, refused; /* an error, and how often it is still given */

static ssize_t refuse(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address, socklen_t n)
{
    (void)fd, (void)bytes, (void)flags, (void)address, (void)n;
    sends++;
    if (refused-- <= 0)
        return (ssize_t)len;
    errno = refusal;
    return -1;
}

static void test_openvpn_loop_an_error_of_an_earlier_datagram_takes_no_other_with_it(void)
{
    const int earlier[] = { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, EPROTO }, own[] = { EAGAIN, EPERM };
    struct jump_path to = path_of(7);
    begin();
    server.real.sendto = refuse;
    for (unsigned i = 0; i < sizeof earlier / sizeof earlier[0]; i++) {
        refusal = earlier[i];
        sends = 0, refused = 1;
        CU_ASSERT_EQUAL(jump_ovpn_link_send(&server, &to, JUMP_MAP_NO_PEER, (const uint8_t *)"x", 1), 1);
        CU_ASSERT_EQUAL(sends, 2);
        sends = 0, refused = 9; /* its own: once more is all */
        CU_ASSERT_EQUAL(jump_ovpn_link_send(&server, &to, JUMP_MAP_NO_PEER, (const uint8_t *)"x", 1), -1);
        CU_ASSERT_EQUAL(errno, refusal);
        CU_ASSERT_EQUAL(sends, 2);
    }
    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++) {
        refusal = own[i];
        sends = 0, refused = 1;
        CU_ASSERT_EQUAL(jump_ovpn_link_send(&server, &to, JUMP_MAP_NO_PEER, (const uint8_t *)"x", 1), -1);
        CU_ASSERT_EQUAL(sends, 1);
    }
    end();
}

static void test_openvpn_loop_a_candidates_socket_is_told_of_no_earlier_datagram(void)
{
    struct jump_ovpn client = { .arguments.role = JUMP_CLIENT, .link_fd = -1, .real.sendto = sendto };
    struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof nobody;
    struct jump_path to;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&nobody, len), 0);
    CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&nobody, &len), 0);
    close(fd); /* from now on the kernel answers there: port unreachable */
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&to, (struct sockaddr *)&nobody, len));
    to.transport = 7;
    client.uplinks[0] = (struct jump_uplink){ .id = 7, .fd = -1, .name = "lo", .server = to };
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(jump_uplinks_send(&client, &to, (const uint8_t *)"x", 1), 1);
    CU_ASSERT_EQUAL(recv(client.uplinks[0].fd, &len, 1, MSG_DONTWAIT), -1);
    CU_ASSERT_EQUAL(errno, EAGAIN);
    jump_uplinks_end(&client);
}

static void test_openvpn_loop_a_client_writes_to_no_socket_but_udp(void)
{
    struct jump_ovpn device = { .arguments.role = JUMP_CLIENT };
    struct jump_path to = path_of(7);
    begin();
    device.real.sendto = refuse;
    device.link_fd = socket(AF_INET, SOCK_STREAM, 0); /* took the number of the one that OpenVPN closed */
    sends = 0, refused = 0;
    CU_ASSERT_EQUAL(jump_ovpn_link_send(&device, &to, 3, (const uint8_t *)"x", 1), -1);
    CU_ASSERT_EQUAL(jump_ovpn_link_send(&device, &to, JUMP_MAP_NO_PEER, (const uint8_t *)"x", 1), -1);
    CU_ASSERT_EQUAL(sends, 0);
    close(device.link_fd);
    end();
}

static void test_openvpn_loop_the_counters_of_the_data_path_can_be_asked_for(void)
{
    const uint8_t data[60] = { JUMP_OVPN_DATA_V2 << 3, 0, 0, 9 };
    struct jump_path from = path_of(5000), shown;
    char text[4096] = "";
    uint32_t number;
    begin();
    (void)peer_at(9); /* OpenVPN has sent session 9's number, which now comes from elsewhere */
    CU_ASSERT_EQUAL(jump_map_inbound(server.map, &shown, &number, data, sizeof data, &from, now), JUMP_MAP_DROP);
    struct jump_id id = peer_at(9)->session_id;
    jump_map_unbind(server.map, peer_at(9)->host, &id);
    hold(9, 7);
    server.instance.host.counters(&server, collect, text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "map.foreign_data=1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "map.aliases=0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "hold.held=7\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "hold.packets=7\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "audit.")); /* they are the instance's */
    end();
}

static void test_openvpn_loop_a_sessions_peer_has_its_own_name_and_a_reused_number_has_not(void)
{
    struct jump_ovpn_client client = { .common_name = "laptop" };
    char name[64];
    begin();
    client.host = peer_at(7)->host;
    CU_ASSERT_FALSE(server.instance.host.peer_name(&server, client.host, name, sizeof name));
    jump_ovpn_know_client(&server, client.host, &client);
    CU_ASSERT_TRUE(server.instance.host.peer_name(&server, client.host, name, sizeof name));
    CU_ASSERT_STRING_EQUAL(name, "laptop");
    CU_ASSERT_FALSE(server.instance.host.peer_name(&server, client.host + (1 << 24), name, sizeof name)); /* same slot, later */
    CU_ASSERT_FALSE(server.instance.host.peer_name(&server, 0xffffff, name, sizeof name));
    jump_ovpn_know_client(&server, client.host, NULL);
    CU_ASSERT_FALSE(server.instance.host.peer_name(&server, client.host, name, sizeof name));
    end();
}

#define TESTS(X)                                                                                 \
    X(test_openvpn_loop_no_store_answer_is_lost_when_hundreds_of_sessions_are_due_at_once)       \
    X(test_openvpn_loop_only_sessions_with_activity_are_reported_and_each_is)                    \
    X(test_openvpn_loop_what_is_held_leaves_for_those_that_are_bound_again_and_for_no_others)    \
    X(test_openvpn_loop_acknowledgements_and_the_rest_are_not_held)    \
    X(test_openvpn_loop_what_was_held_in_an_outage_leaves_when_the_sessions_are_back)            \
    X(test_openvpn_loop_A36_a_full_send_queue_loses_nothing_that_is_held_and_is_not_asked_without_a_pause) \
    X(test_openvpn_loop_A36_what_the_kernel_forbids_for_good_blocks_nothing_behind_it)               \
    X(test_openvpn_loop_sends_that_fail_leave_no_session_half_bound)                             \
    X(test_openvpn_loop_a_move_is_one_line_of_openvpns_log_and_a_return_is_none)                 \
    X(test_openvpn_loop_whom_an_alias_stands_for_is_said_once_the_user_is_authorised)            \
    X(test_openvpn_loop_A19_a_session_that_makes_way_for_a_client_without_the_plugin_counts)     \
    X(test_openvpn_loop_an_error_of_the_link_is_advice_to_the_client_and_no_more_than_a_probe)   \
    X(test_openvpn_loop_an_error_of_an_earlier_datagram_takes_no_other_with_it) \
    X(test_openvpn_loop_a_candidates_socket_is_told_of_no_earlier_datagram) \
    X(test_openvpn_loop_a_client_writes_to_no_socket_but_udp) \
    X(test_openvpn_loop_the_counters_of_the_data_path_can_be_asked_for)                          \
    X(test_openvpn_loop_a_sessions_peer_has_its_own_name_and_a_reused_number_has_not)            \
    X(test_openvpn_loop_much_news_of_the_networks_costs_one_look_at_once_and_one_later)

RUN_TESTS("openvpn_loop", TESTS)
