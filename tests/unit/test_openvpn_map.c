/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The data path's decisions (adapters/openvpn/map.c): each verdict with the packets that must not get it. No socket
 * and no clock: addresses are numbers, time is a variable. Read next: docs/openvpn.md, "The data path".
 */
#include <stdlib.h>
#include <string.h>

#include "openvpn/map.h"
#include "runner.h"

#define SESSIONS 8
#define T0 JUMP_MS(1000000)

static struct jump_map *map;
static void *memory;

static const uint8_t key[JUMP_MAP_KEY_BYTES] = "a key for tests";

static void begin_with(uint32_t sessions)
{
    free(memory);
    memory = malloc(jump_map_bytes(sessions));
    map = jump_map_init(memory, jump_map_bytes(sessions), sessions, key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(map);
}

static void begin(void)
{
    begin_with(SESSIONS);
}

/* 10.0.0.n:port */
static struct jump_path at(uint8_t n, uint16_t port)
{
    struct jump_path path;

    memset(&path, 0, sizeof path);
    path.ip[10] = path.ip[11] = 0xff;
    path.ip[12] = 10;
    path.ip[15] = n;
    path.port = port;
    return path;
}

static struct jump_id id(uint8_t n)
{
    struct jump_id out;

    memset(&out, n, sizeof out);
    return out;
}

/* A datagram of this opcode; P_DATA_V2 with this peer-id. */
static const uint8_t *packet(uint8_t opcode, uint32_t peer_id)
{
    static uint8_t bytes[100];

    memset(bytes, 0xee, sizeof bytes);
    bytes[0] = (uint8_t)(opcode << 3 | 1);
    if (opcode == JUMP_OVPN_DATA_V2) {
        bytes[1] = (uint8_t)(peer_id >> 16);
        bytes[2] = (uint8_t)(peer_id >> 8);
        bytes[3] = (uint8_t)peer_id;
    }
    return bytes;
}

static struct jump_path shown;
static uint32_t peer;

static enum jump_map_in in_at(uint8_t opcode, uint32_t peer_id, struct jump_path from, jump_time now)
{
    memset(&shown, 0, sizeof shown);
    return jump_map_inbound(map, &shown, &peer, packet(opcode, peer_id), 100, &from, now);
}

static enum jump_map_in in(uint8_t opcode, uint32_t peer_id, struct jump_path from)
{
    return in_at(opcode, peer_id, from, T0);
}

static struct jump_path to;

static enum jump_map_out out(uint8_t opcode, uint32_t peer_id, struct jump_path address)
{
    memset(&to, 0, sizeof to);
    return jump_map_outbound(map, &to, &peer, packet(opcode, peer_id), 100, &address, T0);
}

static bool is_path(struct jump_path a, struct jump_path b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* An instance that announced itself at this address, whose peer-id OpenVPN has sent. */
static jump_host session_at(struct jump_path address, uint32_t peer_id)
{
    jump_host host = 0;

    CU_ASSERT_EQUAL_FATAL(jump_map_open(map, &host, &address), 0);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, peer_id, address), JUMP_MAP_SEND);
    return host;
}

static void move(jump_host host, uint8_t session, struct jump_path address, bool voluntary)
{
    struct jump_id session_id = id(session);

    jump_map_bind(map, host, &session_id, &address, voluntary, T0);
}

static void lose(jump_host host, uint8_t session)
{
    struct jump_id session_id = id(session);

    jump_map_unbind(map, host, &session_id);
}

static void test_openvpn_map_without_sessions_everything_is_as_bare(void)
{
    begin();
    for (uint8_t opcode = 0; opcode < 31; opcode++) {
        CU_ASSERT_EQUAL(in(opcode, 3, at(1, 1000)), JUMP_MAP_DELIVER);
        CU_ASSERT_EQUAL(out(opcode, 3, at(1, 1000)), JUMP_MAP_SEND);
    }
}

static void test_openvpn_map_opcode_31_is_the_cores_whoever_sends_it(void)
{
    uint8_t first = 0;

    begin();
    (void)session_at(at(1, 1000), 0);
    for (unsigned low = 0; low < 8; low++) {
        struct jump_path from = at((uint8_t)(1 + low % 2), 1000);

        first = (uint8_t)(0xF8 + low);
        CU_ASSERT_EQUAL(jump_map_inbound(map, &shown, &peer, &first, 1, &from, T0), JUMP_MAP_CONTROL);
    }
    first = 0xF7;
    struct jump_path from = at(9, 9);
    CU_ASSERT_EQUAL(jump_map_inbound(map, &shown, &peer, &first, 1, &from, T0), JUMP_MAP_DELIVER);
}

static void test_openvpn_map_empty_datagrams_are_openvpns(void)
{
    struct jump_path from = at(1, 1000);

    begin();
    (void)session_at(from, 0);
    CU_ASSERT_EQUAL(jump_map_inbound(map, &shown, &peer, packet(9, 0), 0, &from, T0), JUMP_MAP_DELIVER);
}

static void test_openvpn_map_session_at_its_birth_address_is_delivered_as_it_is(void)
{
    begin();
    (void)session_at(at(1, 1000), 7);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
    CU_ASSERT_NOT_EQUAL(peer, JUMP_MAP_NO_PEER);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_CONTROL, 0, at(1, 1000)), JUMP_MAP_DELIVER);
}

static void test_openvpn_map_moved_session_is_shown_with_its_birth_address(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(is_path(shown, at(1, 1000)));
    CU_ASSERT_EQUAL(in(JUMP_OVPN_SOFT_RESET, 0, at(2, 2000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND_TO);
    CU_ASSERT_TRUE(is_path(to, at(2, 2000)));
}

static void test_openvpn_map_a_move_back_home_needs_no_translation(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), false);
    move(host, 1, at(1, 1000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DROP);
}

static void test_openvpn_map_A30_captured_data_from_elsewhere_is_dropped_and_counted(void)
{
    begin();
    (void)session_at(at(1, 1000), 7);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(66, 666)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(jump_map_counters(map)->foreign_data, 1);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND);
}

static void test_openvpn_map_A39_path_is_frozen_before_the_core_has_bound_it(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7); /* announced, never bound: BIRTH */

    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
    CU_ASSERT_PTR_NOT_NULL(jump_map_find(map, host));
}

static void test_openvpn_map_peer_id_is_learned_from_openvpn_and_never_from_a_client(void)
{
    jump_host host;
    struct jump_path address = at(1, 1000);

    begin();
    CU_ASSERT_EQUAL(jump_map_open(map, &host, &address), 0);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 99, at(1, 1000)), JUMP_MAP_DELIVER); /* the client says 99 */
    CU_ASSERT_EQUAL(jump_map_find(map, host)->peer_id, JUMP_MAP_NO_PEER_ID);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 99, at(2, 2000)), JUMP_MAP_DROP); /* its claim: kept from moving elsewhere */
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 98, at(2, 2000)), JUMP_MAP_DELIVER); /* nobody's number */
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 0, at(2, 2000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 5, at(1, 1000)), JUMP_MAP_SEND);
    CU_ASSERT_EQUAL(jump_map_find(map, host)->peer_id, 5);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 5, at(2, 2000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 99, at(2, 2000)), JUMP_MAP_DELIVER); /* the claim is void: another's float */
}

static void test_openvpn_map_a_session_may_not_send_with_anothers_peer_id(void)
{
    begin();
    (void)session_at(at(1, 1000), 7);
    (void)session_at(at(2, 2000), 8);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 9, at(2, 2000)), JUMP_MAP_DROP); /* nor with a legacy peer's: a float onto it */
    CU_ASSERT_EQUAL(jump_map_counters(map)->foreign_data, 3);
}

static void test_openvpn_map_peer_id_given_to_another_instance_follows_it(void)
{
    begin();
    jump_host first = session_at(at(1, 1000), 7);

    (void)session_at(at(2, 2000), 7);
    CU_ASSERT_EQUAL(jump_map_find(map, first)->peer_id, JUMP_MAP_NO_PEER_ID);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DELIVER);
}

static void test_openvpn_map_peers_without_the_plugin_float_as_they_like(void)
{
    begin();
    (void)session_at(at(1, 1000), 7);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(3, 3000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(4, 4000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V1, 0, at(3, 3000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 8, at(4, 4000)), JUMP_MAP_SEND);
    CU_ASSERT_EQUAL(peer, JUMP_MAP_NO_PEER);
}

static void test_openvpn_map_unbound_session_holds_and_hears_nothing(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    lose(host, 1);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_HOLD);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, at(1, 1000)), JUMP_MAP_HOLD);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V1, 0, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_CONTROL, 0, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(jump_map_counters(map)->former_path, 3);
}

static void test_openvpn_map_unbind_of_the_older_session_of_an_instance_changes_nothing(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    move(host, 2, at(1, 1000), false); /* a hard reset's new session, confirmed */
    lose(host, 1);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND);
}

static void test_openvpn_map_former_path_is_heard_for_a_second_after_a_voluntary_switch(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    move(host, 1, at(2, 2000), true);
    CU_ASSERT_EQUAL(in_at(JUMP_OVPN_DATA_V2, 7, at(1, 1000), T0 + JUMP_MS(999)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(peer, JUMP_MAP_NO_PEER); /* no sign of life */
    CU_ASSERT_EQUAL(in_at(JUMP_OVPN_CONTROL, 0, at(1, 1000), T0 + JUMP_MS(999)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND_TO); /* never answered there */
    CU_ASSERT_EQUAL(in_at(JUMP_OVPN_DATA_V2, 7, at(1, 1000), T0 + JUMP_MS(1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in_at(JUMP_OVPN_DATA_V2, 7, at(1, 1000), T0 + JUMP_MS(1)), JUMP_MAP_DROP); /* and not again */
}

static void test_openvpn_map_former_path_is_not_heard_after_a_recovery(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    move(host, 1, at(2, 2000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(jump_map_counters(map)->former_path, 1);
}

static void test_openvpn_map_former_path_is_not_heard_with_anothers_number(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    (void)session_at(at(9, 9000), 8);
    move(host, 1, at(2, 2000), true);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(1, 1000)), JUMP_MAP_DROP);
}

static void test_openvpn_map_A18_newcomer_on_a_moved_sessions_birth_address_gets_an_alias(void)
{
    struct jump_path alias;

    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    alias = shown;
    CU_ASSERT_TRUE(jump_map_is_alias(&alias));
    CU_ASSERT_EQUAL(alias.port, 1000);
    CU_ASSERT_EQUAL(alias.ip[12], 240);
    /* constant through the handshake, both ways */
    CU_ASSERT_EQUAL(in(JUMP_OVPN_CONTROL, 0, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(is_path(shown, alias));
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V3, 0, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(is_path(shown, alias));
    CU_ASSERT_EQUAL(out(JUMP_OVPN_HARD_RESET_SERVER_V2, 0, alias), JUMP_MAP_SEND_TO);
    CU_ASSERT_TRUE(is_path(to, at(1, 1000)));
    /* and the moved session is not touched */
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND_TO);
    CU_ASSERT_TRUE(is_path(to, at(2, 2000)));
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(is_path(shown, at(1, 1000)));
}

static void test_openvpn_map_newcomer_without_a_hard_reset_gets_no_alias(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_CONTROL, 0, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V1, 0, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 99, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(jump_map_counters(map)->aliases, 0);
}

static void test_openvpn_map_aliased_newcomer_becomes_a_session_with_its_real_address(void)
{
    struct jump_path alias;
    jump_host newcomer;

    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), false);
    (void)in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000));
    alias = shown;
    CU_ASSERT_EQUAL(jump_map_open(map, &newcomer, &alias), 0);
    CU_ASSERT_TRUE(is_path(jump_map_find(map, newcomer)->birth, at(1, 1000)));
    CU_ASSERT_TRUE(is_path(jump_map_real(map, &alias), at(1, 1000)));
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 8, alias), JUMP_MAP_SEND_TO);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(5, 5000)), JUMP_MAP_DROP);
    /* it moves too, and a third one comes to the same address */
    move(newcomer, 2, at(3, 3000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_FALSE(is_path(shown, alias));
    CU_ASSERT_TRUE(jump_map_is_alias(&shown));
}

static void test_openvpn_map_what_is_sent_to_an_alias_nobody_has_goes_nowhere(void)
{
    struct jump_path alias = at(1, 1000);

    alias.ip[12] = 240;
    begin();
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, alias), JUMP_MAP_DISCARD); /* without any session too */
    (void)session_at(at(1, 1000), 7);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, alias), JUMP_MAP_DISCARD);
    CU_ASSERT_EQUAL(jump_map_counters(map)->unmapped_alias, 2);
}

static void test_openvpn_map_alias_ends_with_its_instance(void)
{
    struct jump_path alias;

    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), false);
    (void)in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000));
    alias = shown;
    jump_map_release(map, &alias);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, alias), JUMP_MAP_DISCARD);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_CONTROL, 0, at(1, 1000)), JUMP_MAP_DROP);
    struct jump_path home = at(1, 1000);
    jump_map_release(map, &home); /* a session's own address is not an alias: nothing happens */
    CU_ASSERT_PTR_NOT_NULL(jump_map_find(map, host));
}

/* After client-connect has refused it OpenVPN still sends it AUTH_FAILED. */
static void test_openvpn_map_refused_newcomer_is_spoken_to_until_its_instance_goes(void)
{
    begin();
    jump_host first = session_at(at(1, 1000), 0), second = 0;
    move(first, 1, at(2, 2000), true);
    CU_ASSERT_EQUAL(in_at(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000), T0 + JUMP_MS(2000)), JUMP_MAP_DELIVER_AS);
    struct jump_path alias = shown;
    CU_ASSERT_EQUAL(jump_map_open(map, &second, &alias), 0);
    move(second, 2, at(3, 3000), true);
    jump_map_unbind(map, second, &(struct jump_id){ .bytes = { 2 } }); /* another's id: nothing */
    struct jump_id session_id = id(2);
    jump_map_unbind(map, second, &session_id);
    jump_map_leave(map, second);
    CU_ASSERT_PTR_NULL(jump_map_find(map, second));
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, alias), JUMP_MAP_SEND_TO);
    CU_ASSERT_TRUE(is_path(to, at(3, 3000)));
    CU_ASSERT_EQUAL(in(JUMP_OVPN_ACK, 0, at(3, 3000)), JUMP_MAP_DELIVER_AS);
    jump_map_release(map, &alias);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, alias), JUMP_MAP_DISCARD);
    /* At its own address there is nothing to keep; where a session is, nobody else is spoken to. */
    jump_map_leave(map, session_at(at(4, 4000), 4));
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, at(4, 4000)), JUMP_MAP_SEND);
    jump_host third = session_at(at(5, 5000), 5);
    move(third, 3, at(6, 6000), true);
    move(first, 1, at(6, 6000), true);
    jump_map_leave(map, third);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, at(5, 5000)), JUMP_MAP_DISCARD);
}

static void test_openvpn_map_ipv6_newcomer_gets_an_ipv6_alias(void)
{
    struct jump_path home, away;

    begin();
    memset(&home, 0, sizeof home);
    home.ip[0] = 0x20, home.ip[1] = 0x01, home.ip[15] = 1;
    home.port = 1000;
    away = home;
    away.ip[15] = 2;
    jump_host host = session_at(home, 7);
    move(host, 1, away, false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, home), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(jump_map_is_alias(&shown));
    CU_ASSERT_EQUAL(shown.ip[0], 1);
    CU_ASSERT_EQUAL(shown.port, 1000);
}

static void test_openvpn_map_aliases_are_told_from_real_addresses(void)
{
    struct jump_path path = at(1, 1);

    CU_ASSERT_FALSE(jump_map_is_alias(&path));
    path.ip[12] = 239;
    CU_ASSERT_FALSE(jump_map_is_alias(&path));
    path.ip[12] = 240;
    CU_ASSERT_TRUE(jump_map_is_alias(&path));
    memset(path.ip + 12, 0xff, 4);
    CU_ASSERT_FALSE(jump_map_is_alias(&path)); /* broadcast */
    memset(path.ip, 0, sizeof path.ip);
    path.ip[0] = 1;
    CU_ASSERT_TRUE(jump_map_is_alias(&path));
    path.ip[7] = 1;
    CU_ASSERT_FALSE(jump_map_is_alias(&path));
}

static void test_openvpn_map_fenced_session_passes_nothing_but_lets_a_new_birth_in(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    jump_map_fence(map, host);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_CONTROL, 0, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DISCARD);
    CU_ASSERT_EQUAL(jump_map_counters(map)->fenced, 3);
    move(host, 1, at(2, 2000), false); /* too late */
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DROP);
    /* its client begins anew from the same address: not into the instance that is being closed */
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(jump_map_is_alias(&shown));
}

static void test_openvpn_map_closed_instance_leaves_nothing_behind(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), true);
    jump_map_close(map, host);
    CU_ASSERT_PTR_NULL(jump_map_find(map, host));
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(2, 2000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND);
    jump_host again = session_at(at(1, 1000), 7);
    CU_ASSERT_NOT_EQUAL(again, host); /* the same slot, another name */
    jump_map_close(map, host);
    CU_ASSERT_PTR_NOT_NULL(jump_map_find(map, again));
}

/* A control packet of this session id. */
static enum jump_map_in control(uint8_t opcode, uint8_t sid, struct jump_path from)
{
    uint8_t bytes[100];

    memset(bytes, 0xee, sizeof bytes);
    bytes[0] = (uint8_t)(opcode << 3);
    memset(bytes + 1, sid, JUMP_MAP_SID_BYTES);
    memset(&shown, 0, sizeof shown);
    return jump_map_inbound(map, &shown, &peer, bytes, sizeof bytes, &from, T0);
}

static void test_openvpn_map_strangers_hard_resets_pass(void)
{
    begin();
    (void)session_at(at(1, 1000), 7);
    CU_ASSERT_EQUAL(control(JUMP_OVPN_HARD_RESET_CLIENT_V2, 5, at(9, 9000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(control(JUMP_OVPN_HARD_RESET_CLIENT_V3, 5, at(9, 9000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(control(JUMP_OVPN_CONTROL_WKC, 5, at(9, 9000)), JUMP_MAP_DELIVER);
}

static void test_openvpn_map_handshake_that_begins_on_a_bound_address_is_a_guest(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    CU_ASSERT_EQUAL(control(JUMP_OVPN_CONTROL, 1, at(1, 1000)), JUMP_MAP_DELIVER); /* the session's own */
    CU_ASSERT_EQUAL(control(JUMP_OVPN_HARD_RESET_CLIENT_V2, 2, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    struct jump_path alias = shown;
    CU_ASSERT_TRUE(jump_map_is_alias(&alias));
    CU_ASSERT_EQUAL(control(JUMP_OVPN_HARD_RESET_CLIENT_V2, 2, at(1, 1000)), JUMP_MAP_DELIVER_AS); /* repeated */
    CU_ASSERT_TRUE(is_path(shown, alias));
    CU_ASSERT_EQUAL(control(JUMP_OVPN_CONTROL, 2, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(is_path(shown, alias));
    CU_ASSERT_EQUAL(control(JUMP_OVPN_CONTROL, 1, at(1, 1000)), JUMP_MAP_DELIVER); /* the session is unharmed */
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_SEND);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_HARD_RESET_SERVER_V2, 0, alias), JUMP_MAP_SEND_TO);
    CU_ASSERT_TRUE(is_path(to, at(1, 1000)));
}

static void test_openvpn_map_guest_comes_up_beside_the_session_and_inherits_the_address(void)
{
    jump_host guest;

    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    (void)control(JUMP_OVPN_HARD_RESET_CLIENT_V2, 2, at(1, 1000));
    struct jump_path alias = shown;
    CU_ASSERT_EQUAL(jump_map_open(map, &guest, &alias), 0);
    CU_ASSERT_TRUE(is_path(jump_map_find(map, guest)->birth, at(1, 1000)));
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(1, 1000)), JUMP_MAP_DELIVER_AS); /* not yet learned, not the session's */
    CU_ASSERT_TRUE(is_path(shown, alias));
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 8, alias), JUMP_MAP_SEND_TO);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 9, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(6, 6000)), JUMP_MAP_DROP);
    /* the core binds it: the older session has lost the address */
    move(guest, 2, at(1, 1000), false);
    CU_ASSERT_FALSE(jump_map_find(map, host)->bound);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DROP);
    jump_map_close(map, host);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 8, alias), JUMP_MAP_SEND_TO);
}

static void test_openvpn_map_guest_is_alone_when_the_session_leaves(void)
{
    for (int how = 0; how < 4; how++) {
        begin();
        jump_host host = session_at(at(1, 1000), 7);

        move(host, 1, at(1, 1000), false);
        (void)control(JUMP_OVPN_HARD_RESET_CLIENT_V2, 2, at(1, 1000));
        struct jump_path alias = shown;
        (void)out(JUMP_OVPN_CONTROL, 0, alias); /* OpenVPN has an instance for it */
        if (how == 0)
            move(host, 1, at(2, 2000), false);
        else if (how == 1)
            lose(host, 1);
        else if (how == 2)
            jump_map_fence(map, host);
        else
            jump_map_close(map, host);
        CU_ASSERT_EQUAL(control(JUMP_OVPN_CONTROL, 2, at(1, 1000)), JUMP_MAP_DELIVER_AS);
        CU_ASSERT_TRUE(is_path(shown, alias));
        CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, alias), JUMP_MAP_SEND_TO);
        CU_ASSERT_TRUE(is_path(to, at(1, 1000)));
    }
}

static void test_openvpn_map_session_that_proves_its_address_again_sends_the_unproved_guest_away(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(1, 1000), false);
    (void)control(JUMP_OVPN_HARD_RESET_CLIENT_V2, 2, at(1, 1000));
    struct jump_path alias = shown;
    lose(host, 1);
    move(host, 1, at(1, 1000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, alias), JUMP_MAP_DISCARD);
}

static void test_openvpn_map_guests_that_begin_anew_get_a_new_alias_each(void)
{
    begin();
    jump_host host = session_at(at(1, 1000), 7);
    struct jump_path last;

    move(host, 1, at(1, 1000), false);
    memset(&last, 0, sizeof last);
    for (uint8_t sid = 2; sid < 200; sid++) { /* far more than there is room: the table must not fill up */
        CU_ASSERT_EQUAL(control(JUMP_OVPN_HARD_RESET_CLIENT_V2, sid, at(1, 1000)), JUMP_MAP_DELIVER_AS);
        CU_ASSERT_FALSE(is_path(shown, last));
        CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, last), sid == 2 ? JUMP_MAP_SEND : JUMP_MAP_DISCARD);
        last = shown;
    }
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DELIVER);
}

static void test_openvpn_map_hard_reset_too_short_for_its_session_id_is_nobodys(void)
{
    struct jump_path from = at(1, 1000);

    begin();
    jump_host host = session_at(from, 7);

    move(host, 1, from, false);
    CU_ASSERT_EQUAL(jump_map_inbound(map, &shown, &peer, packet(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0), 8, &from, T0),
                    JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(jump_map_counters(map)->aliases, 0);
}

static void test_openvpn_map_two_sessions_never_have_one_address(void)
{
    struct jump_path address = at(1, 1000);
    jump_host other;

    begin();
    jump_host first = session_at(at(1, 1000), 7), second = session_at(at(2, 2000), 8);

    CU_ASSERT_EQUAL(jump_map_open(map, &other, &address), JUMP_ERR_EXISTS);
    CU_ASSERT_EQUAL(other, 0);
    move(second, 2, at(1, 1000), false); /* proved: the first has lost it */
    CU_ASSERT_FALSE(jump_map_find(map, first)->bound);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 8, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    CU_ASSERT_TRUE(is_path(shown, at(2, 2000)));
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_DATA_V2, 7, at(1, 1000)), JUMP_MAP_HOLD);
}

static void test_openvpn_map_A27_full_table_refuses_and_harms_nobody(void)
{
    jump_host host, hosts[2 * SESSIONS];

    begin();
    for (uint8_t n = 0; n < 2 * SESSIONS; n++)
        hosts[n] = session_at(at(n, 1000), n);
    struct jump_path more = at(200, 1000);
    CU_ASSERT_EQUAL(jump_map_open(map, &host, &more), JUMP_ERR_FULL);
    move(hosts[0], 1, at(201, 1000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(0, 1000)), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(jump_map_counters(map)->alias_refused, 1);
    for (uint8_t n = 1; n < 2 * SESSIONS; n++)
        CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, n, at(n, 1000)), JUMP_MAP_DELIVER);
    jump_map_close(map, hosts[3]);
    CU_ASSERT_EQUAL(jump_map_open(map, &host, &more), 0);
}

static void test_openvpn_map_unused_aliases_are_taken_back_when_room_is_needed(void)
{
    begin_with(1); /* two peers: one session and one newcomer */
    jump_host host = session_at(at(1, 1000), 7);

    move(host, 1, at(2, 2000), false);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000)), JUMP_MAP_DELIVER_AS);
    struct jump_path first = shown;
    (void)out(JUMP_OVPN_CONTROL, 0, first);
    jump_map_close(map, host);
    host = session_at(at(3, 3000), 7);
    move(host, 1, at(4, 4000), false);
    /* no room while the first newcomer may still be in its handshake; its alias is the older one's afterwards */
    CU_ASSERT_EQUAL(in_at(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(3, 3000), T0 + JUMP_MAP_ALIAS_FOR), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in_at(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(3, 3000), T0 + JUMP_MAP_ALIAS_FOR + 1),
                    JUMP_MAP_DELIVER_AS);
    CU_ASSERT_EQUAL(out(JUMP_OVPN_CONTROL, 0, first), JUMP_MAP_DISCARD);
}

static void test_openvpn_map_stray_resets_do_not_fill_the_table(void)
{
    begin();
    for (uint32_t n = 0; n < 20 * SESSIONS; n++) { /* one account that comes and goes, with a stray reset each time */
        jump_time now = T0 + n * JUMP_MS(500);
        jump_host host = session_at(at(1, 1000), 7);

        move(host, 1, at(1, 1000), false);
        (void)in_at(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at(1, 1000), now);
        jump_map_close(map, host);
    }
    for (uint8_t n = 10; n < 10 + 2 * SESSIONS - 1; n++) /* every place is a session's to have */
        (void)session_at(at(n, 1000), n);
}

static void test_openvpn_map_newcomers_leave_the_sessions_their_half(void)
{
    jump_host hosts[SESSIONS];

    begin();
    for (uint8_t n = 0; n < SESSIONS; n++) {
        hosts[n] = session_at(at(n, 1000), n);
        move(hosts[n], 1, at(n, 2000), false);
    }
    for (uint32_t n = 0; n < 5 * SESSIONS; n++)
        (void)in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, at((uint8_t)(n % SESSIONS), 1000));
    CU_ASSERT_TRUE(jump_map_counters(map)->aliases <= SESSIONS);
    for (uint8_t n = 0; n < SESSIONS; n++)
        CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, n, at(n, 2000)), JUMP_MAP_DELIVER_AS);
}

static void test_openvpn_map_alias_addresses_are_nobodys_source(void)
{
    struct jump_path alias = at(1, 1000);

    alias.ip[12] = 240;
    begin();
    CU_ASSERT_EQUAL(in(JUMP_OVPN_HARD_RESET_CLIENT_V2, 0, alias), JUMP_MAP_DROP);
    (void)session_at(at(1, 1000), 7);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 9, alias), JUMP_MAP_DROP);
    CU_ASSERT_EQUAL(in(JUMP_OVPN_DATA_V2, 9, at(2, 1000)), JUMP_MAP_DELIVER); /* an ordinary float of a bare peer */
}

static void test_openvpn_map_client_holds_only_what_goes_to_its_sessions_server(void)
{
    struct jump_path server = at(9, 1194), other = at(8, 1194);
    jump_host host;

    begin();
    CU_ASSERT_EQUAL(jump_map_client_outbound(map, &peer, packet(9, 0), 100, &server), JUMP_MAP_SEND);
    CU_ASSERT_EQUAL(jump_map_open(map, &host, &server), 0);
    CU_ASSERT_EQUAL(jump_map_client_outbound(map, &peer, packet(9, 0), 100, &server), JUMP_MAP_SEND);
    struct jump_path bound = server;
    bound.transport = 3; /* the core's number of the way does not matter here */
    move(host, 1, bound, false);
    lose(host, 1);
    CU_ASSERT_EQUAL(jump_map_client_outbound(map, &peer, packet(9, 0), 100, &server), JUMP_MAP_HOLD);
    CU_ASSERT_NOT_EQUAL(peer, JUMP_MAP_NO_PEER);
    CU_ASSERT_EQUAL(jump_map_client_outbound(map, &peer, packet(9, 0), 100, &other), JUMP_MAP_SEND);
    CU_ASSERT_EQUAL(jump_map_client_outbound(map, &peer, packet(7, 0), 100, &server), JUMP_MAP_SEND); /* a new birth */
    jump_map_fence(map, host);
    CU_ASSERT_EQUAL(jump_map_client_outbound(map, &peer, packet(9, 0), 100, &server), JUMP_MAP_DISCARD);
}

static void test_openvpn_map_openvpns_own_ping_is_not_user_data(void)
{
    CU_ASSERT_FALSE(jump_map_is_user_data(packet(JUMP_OVPN_DATA_V2, 0), 40));
    CU_ASSERT_TRUE(jump_map_is_user_data(packet(JUMP_OVPN_DATA_V2, 0), 44)); /* the smallest IPv4 packet */
    CU_ASSERT_FALSE(jump_map_is_user_data(packet(JUMP_OVPN_CONTROL, 0), 100));
}

static void test_openvpn_map_short_data_packets_have_no_peer_id(void)
{
    struct jump_path from = at(2, 2000);

    begin();
    (void)session_at(at(1, 1000), 0);
    for (size_t len = 1; len < 4; len++)
        CU_ASSERT_EQUAL(jump_map_inbound(map, &shown, &peer, packet(9, 0), len, &from, T0), JUMP_MAP_DELIVER);
    CU_ASSERT_EQUAL(jump_map_inbound(map, &shown, &peer, packet(9, 0), 4, &from, T0), JUMP_MAP_DROP);
}

/* The table beside a plain list: whatever happens, every address is found as the list says. */
static void test_openvpn_map_ten_thousand_random_moves_agree_with_a_list(void)
{
    enum { N = 40 };
    struct {
        jump_host host;
        struct jump_path home, away;
    } list[N];
    uint64_t random = 7;

    begin_with(N);
    memset(list, 0, sizeof list);
    for (unsigned step = 0; step < 10000; step++) {
        unsigned n = (unsigned)(runner_random(&random) % N), m;
        struct jump_path where = at((uint8_t)(100 + runner_random(&random) % 100), 5000);

        switch (runner_random(&random) % 4) {
        case 0:
            if (list[n].host == 0) {
                list[n].home = list[n].away = at((uint8_t)n, 1000);
                list[n].host = session_at(list[n].home, n);
            }
            break;
        case 1:
            if (list[n].host != 0)
                jump_map_close(map, list[n].host);
            list[n].host = 0;
            break;
        default:
            for (m = 0; m < N && !(list[m].host != 0 && is_path(list[m].away, where)); m++)
                ;
            if (list[n].host != 0 && m == N) {
                move(list[n].host, (uint8_t)n, where, false);
                list[n].away = where;
            }
        }
        for (m = 0; m < N; m++) {
            if (list[m].host == 0)
                continue;
            CU_ASSERT_EQUAL_FATAL(jump_map_find(map, list[m].host)->peer_id, m);
            bool home = is_path(list[m].home, list[m].away);
            CU_ASSERT_EQUAL_FATAL(in(JUMP_OVPN_DATA_V2, m, list[m].away), home ? JUMP_MAP_DELIVER : JUMP_MAP_DELIVER_AS);
            CU_ASSERT_EQUAL_FATAL(out(JUMP_OVPN_CONTROL, 0, list[m].home), home ? JUMP_MAP_SEND : JUMP_MAP_SEND_TO);
            CU_ASSERT_TRUE_FATAL(home || is_path(to, list[m].away));
            CU_ASSERT_EQUAL_FATAL(in(JUMP_OVPN_DATA_V2, m, at(250, 1)), JUMP_MAP_DROP);
        }
    }
}

static void test_openvpn_map_sizes_out_of_range_are_refused(void)
{
    begin();
    CU_ASSERT_PTR_NULL(jump_map_init(memory, jump_map_bytes(SESSIONS) - 1, SESSIONS, key));
    CU_ASSERT_PTR_NULL(jump_map_init(memory, jump_map_bytes(SESSIONS), 0, key));
    free(memory);
    memory = NULL;
}

#define TESTS(X)                                                                                \
    X(test_openvpn_map_without_sessions_everything_is_as_bare)                                  \
    X(test_openvpn_map_opcode_31_is_the_cores_whoever_sends_it)                                 \
    X(test_openvpn_map_empty_datagrams_are_openvpns)                                            \
    X(test_openvpn_map_session_at_its_birth_address_is_delivered_as_it_is)                      \
    X(test_openvpn_map_moved_session_is_shown_with_its_birth_address)                           \
    X(test_openvpn_map_a_move_back_home_needs_no_translation)                                   \
    X(test_openvpn_map_A30_captured_data_from_elsewhere_is_dropped_and_counted)                 \
    X(test_openvpn_map_A39_path_is_frozen_before_the_core_has_bound_it)                         \
    X(test_openvpn_map_peer_id_is_learned_from_openvpn_and_never_from_a_client)                 \
    X(test_openvpn_map_a_session_may_not_send_with_anothers_peer_id)                            \
    X(test_openvpn_map_peer_id_given_to_another_instance_follows_it)                            \
    X(test_openvpn_map_peers_without_the_plugin_float_as_they_like)                             \
    X(test_openvpn_map_unbound_session_holds_and_hears_nothing)                                 \
    X(test_openvpn_map_unbind_of_the_older_session_of_an_instance_changes_nothing)              \
    X(test_openvpn_map_former_path_is_heard_for_a_second_after_a_voluntary_switch)              \
    X(test_openvpn_map_former_path_is_not_heard_after_a_recovery)                               \
    X(test_openvpn_map_former_path_is_not_heard_with_anothers_number)                           \
    X(test_openvpn_map_A18_newcomer_on_a_moved_sessions_birth_address_gets_an_alias)            \
    X(test_openvpn_map_newcomer_without_a_hard_reset_gets_no_alias)                             \
    X(test_openvpn_map_aliased_newcomer_becomes_a_session_with_its_real_address)                \
    X(test_openvpn_map_what_is_sent_to_an_alias_nobody_has_goes_nowhere)                        \
    X(test_openvpn_map_alias_ends_with_its_instance)                                            \
    X(test_openvpn_map_refused_newcomer_is_spoken_to_until_its_instance_goes)                   \
    X(test_openvpn_map_ipv6_newcomer_gets_an_ipv6_alias)                                        \
    X(test_openvpn_map_aliases_are_told_from_real_addresses)                                    \
    X(test_openvpn_map_fenced_session_passes_nothing_but_lets_a_new_birth_in)                   \
    X(test_openvpn_map_closed_instance_leaves_nothing_behind)                                   \
    X(test_openvpn_map_strangers_hard_resets_pass)                                              \
    X(test_openvpn_map_handshake_that_begins_on_a_bound_address_is_a_guest)                     \
    X(test_openvpn_map_guest_comes_up_beside_the_session_and_inherits_the_address)              \
    X(test_openvpn_map_guest_is_alone_when_the_session_leaves)                                  \
    X(test_openvpn_map_session_that_proves_its_address_again_sends_the_unproved_guest_away)     \
    X(test_openvpn_map_guests_that_begin_anew_get_a_new_alias_each)                             \
    X(test_openvpn_map_hard_reset_too_short_for_its_session_id_is_nobodys)                      \
    X(test_openvpn_map_two_sessions_never_have_one_address)                                     \
    X(test_openvpn_map_A27_full_table_refuses_and_harms_nobody)                                 \
    X(test_openvpn_map_unused_aliases_are_taken_back_when_room_is_needed)                       \
    X(test_openvpn_map_stray_resets_do_not_fill_the_table) \
    X(test_openvpn_map_newcomers_leave_the_sessions_their_half) \
    X(test_openvpn_map_alias_addresses_are_nobodys_source) \
    X(test_openvpn_map_client_holds_only_what_goes_to_its_sessions_server)                      \
    X(test_openvpn_map_openvpns_own_ping_is_not_user_data)                                      \
    X(test_openvpn_map_short_data_packets_have_no_peer_id)                                      \
    X(test_openvpn_map_ten_thousand_random_moves_agree_with_a_list)                             \
    X(test_openvpn_map_sizes_out_of_range_are_refused)

RUN_TESTS("openvpn_map", TESTS)
