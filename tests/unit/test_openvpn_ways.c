/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client's ways to its server (adapters/openvpn/ways.c): which addresses belong to one server, and the order and the
 * bound of the list that the core gets. No kernel: interfaces are numbers. Read next: docs/openvpn.md, "A client's own
 * networks".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openvpn/ways.h"
#include "runner.h"

static struct jump_ways ways;
static struct jump_path targets[JUMP_WAYS_TARGETS];

/* 198.51.100.n, 2001:db8::n; port 1194 */
static struct jump_path v4(uint8_t n)
{
    struct jump_path path = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100}, .port = 1194};

    path.ip[15] = n;
    return path;
}

static struct jump_path v6(uint8_t n)
{
    struct jump_path path = {.ip = {0x20, 0x01, 0x0d, 0xb8}, .port = 1194};

    path.ip[15] = n;
    return path;
}

static bool is_path(struct jump_path a, struct jump_path b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void begin(void)
{
    memset(&ways, 0, sizeof ways);
}

static void note(const struct jump_path *addresses, size_t len)
{
    jump_ways_note(&ways, "vpn.example.net", addresses, len);
}

static size_t targets_of(struct jump_path used)
{
    memset(targets, 0xee, sizeof targets);
    return jump_ways_targets(&ways, targets, &used);
}

static void test_openvpn_ways_a_server_that_nothing_was_resolved_to_has_one_address(void)
{
    begin();
    CU_ASSERT_EQUAL(targets_of(v4(1)), 1);
    CU_ASSERT_TRUE(is_path(targets[0], v4(1)));
}

static void test_openvpn_ways_a_name_with_both_families_gives_both_the_used_one_first(void)
{
    struct jump_path both[] = {v6(1), v4(1)};

    begin();
    note(both, 2);
    CU_ASSERT_EQUAL(targets_of(v4(1)), 2);
    CU_ASSERT_TRUE(is_path(targets[0], v4(1)) && is_path(targets[1], v6(1)));
    CU_ASSERT_EQUAL(targets_of(v6(1)), 2);
    CU_ASSERT_TRUE(is_path(targets[0], v6(1)) && is_path(targets[1], v4(1)));
}

static void test_openvpn_ways_a_name_is_known_by_its_newest_answer_only(void)
{
    struct jump_path known[JUMP_WAYS_LIST_ADDRESSES];
    struct jump_path first = v4(1), newer[] = {v4(2), v6(2)}, other = v4(3);
    char longest[JUMP_WAYS_NAME_BYTES + 1];

    begin();
    CU_ASSERT_EQUAL(jump_ways_known(&ways, "vpn.example.net", known), 0);
    note(&first, 1);
    note(newer, 2);
    jump_ways_note(&ways, "other.example.net", &other, 1);
    CU_ASSERT_EQUAL(jump_ways_known(&ways, "vpn.example.net", known), 2);
    CU_ASSERT_TRUE(is_path(known[0], v4(2)));
    CU_ASSERT_TRUE(is_path(known[1], v6(2)));
    CU_ASSERT_EQUAL(jump_ways_known(&ways, "vpn.example.ne", known), 0);
    CU_ASSERT_EQUAL(jump_ways_known(&ways, "", known), 0);

    /* A name that does not fit is no name; its addresses still are candidates. */
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    jump_ways_note(&ways, longest, &first, 1);
    CU_ASSERT_EQUAL(jump_ways_known(&ways, longest, known), 0);
    CU_ASSERT_EQUAL(targets_of(v4(1)), 1);
}

static void test_openvpn_ways_two_remotes_are_two_servers(void)
{
    struct jump_path first[] = {v4(1)}, second[] = {v6(1)};

    begin();
    note(first, 1);
    note(second, 1);
    CU_ASSERT_EQUAL(targets_of(v4(1)), 1);
    CU_ASSERT_EQUAL(targets_of(v6(1)), 1);
    CU_ASSERT_EQUAL(targets_of(v4(2)), 1);
}

static void test_openvpn_ways_another_port_is_another_server(void)
{
    struct jump_path both[] = {v4(1), v6(1)}, other = v4(1);

    other.port = 443;
    begin();
    note(both, 2);
    CU_ASSERT_EQUAL(targets_of(other), 1);
}

static void test_openvpn_ways_the_newest_answer_counts(void)
{
    struct jump_path older[] = {v4(1), v6(1)}, newer[] = {v4(1), v6(2)};

    begin();
    note(older, 2);
    note(newer, 2);
    CU_ASSERT_EQUAL(targets_of(v4(1)), 2);
    CU_ASSERT_TRUE(is_path(targets[1], v6(2)));
}

static void test_openvpn_ways_many_addresses_leave_room_for_the_other_family(void)
{
    struct jump_path many[] = {v4(1), v4(2), v4(3), v4(4), v4(5), v6(1), v6(2), v6(3)};

    begin();
    note(many, 8);
    CU_ASSERT_EQUAL(targets_of(v4(3)), 4);
    CU_ASSERT_TRUE(is_path(targets[0], v4(3)) && is_path(targets[1], v6(1)) && is_path(targets[2], v4(1))
                   && is_path(targets[3], v6(2)));
}

static void test_openvpn_ways_long_answers_and_many_answers_are_bounded(void)
{
    struct jump_path long_one[JUMP_WAYS_LIST_ADDRESSES + 4], both[] = {v4(200), v6(200)};

    begin();
    for (uint8_t i = 0; i < JUMP_WAYS_LIST_ADDRESSES + 4; i++)
        long_one[i] = v4((uint8_t)(i + 1));
    note(long_one, JUMP_WAYS_LIST_ADDRESSES + 4);
    CU_ASSERT_EQUAL(targets_of(v4(JUMP_WAYS_LIST_ADDRESSES)), 2);
    CU_ASSERT_EQUAL(targets_of(v4(JUMP_WAYS_LIST_ADDRESSES + 1)), 1);
    note(both, 2);
    for (uint8_t i = 0; i < JUMP_WAYS_LISTS - 1; i++) {
        struct jump_path one = v6((uint8_t)(i + 1));

        note(&one, 1);
    }
    CU_ASSERT_EQUAL(targets_of(v4(200)), 2);
    note(&both[1], 1); /* one more: it takes the oldest's place */
    CU_ASSERT_EQUAL(targets_of(v4(200)), 1);
    note(both, 0); /* an answer without an address is none */
    CU_ASSERT_EQUAL(targets_of(v6(200)), 1);
}

/* The list */

static struct jump_ways_target two_families[2];
static struct jump_ways_link at;
static struct jump_uplink list[JUMP_MAX_CANDIDATES];

/* Of the target: the interface, and the source 10.0.0.ifindex or fd00::ifindex. */
static void reach(struct jump_ways_target *target, unsigned ifindex)
{
    struct jump_ways_out *out = &target->out[target->out_len++];
    struct jump_path source = target->server.ip[10] == 0xff ? v4((uint8_t)ifindex) : v6((uint8_t)ifindex);

    memset(out, 0, sizeof *out);
    out->ifindex = ifindex;
    out->source = source;
    (void)snprintf(out->name, sizeof out->name, "up%u", ifindex);
}

/* Two uplinks, 5 and 6, both with both families; OpenVPN's own IPv4 socket, taken through 5 by routing. */
static void dual_stack(void)
{
    memset(two_families, 0, sizeof two_families);
    memset(&at, 0, sizeof at);
    two_families[0].server = at.server = v4(100);
    two_families[1].server = v6(100);
    for (size_t t = 0; t < 2; t++) {
        reach(&two_families[t], 5);
        reach(&two_families[t], 6);
    }
    at.ifindex = 5;
    at.source = v4(5);
}

static size_t make(size_t cap)
{
    memset(list, 0xee, sizeof list);
    return jump_ways_list(list, cap, two_families, 2, &at, NULL);
}

static bool is_way(const struct jump_uplink *way, struct jump_path server, unsigned ifindex, bool via_link)
{
    return is_path(way->server, server) && way->ifindex == ifindex && way->via_link == via_link && way->id == 0
           && way->fd == -1;
}

static void test_openvpn_ways_openvpns_own_address_comes_first_on_every_interface(void)
{
    dual_stack();
    CU_ASSERT_EQUAL_FATAL(make(8), 4);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 5, true));
    CU_ASSERT_TRUE(is_way(&list[1], v4(100), 6, false));
    CU_ASSERT_TRUE(is_way(&list[2], v6(100), 5, false));
    CU_ASSERT_TRUE(is_way(&list[3], v6(100), 6, false));
    for (uint32_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(list[i].priority, i);
    CU_ASSERT_STRING_EQUAL(list[0].name, ""); /* routing moves it: it has no interface of its own */
    CU_ASSERT_STRING_EQUAL(list[2].name, "up5");
    CU_ASSERT_EQUAL(memcmp(list[2].source.ip, v6(5).ip, 16), 0);
    CU_ASSERT_EQUAL(list[2].source.port, 0);
}

static void test_openvpn_ways_the_list_is_cut_from_its_end(void)
{
    dual_stack();
    CU_ASSERT_EQUAL(make(3), 3);
    CU_ASSERT_TRUE(is_way(&list[2], v6(100), 5, false));
    CU_ASSERT_EQUAL(make(1), 1);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 5, true));
    CU_ASSERT_EQUAL(make(0), 0);
}

static void test_openvpn_ways_the_way_in_use_is_never_cut_off(void)
{
    dual_stack();
    at.on_device = true; /* moved to the way that is wished for least */
    at.ifindex = 6;
    at.server = v6(100);
    CU_ASSERT_EQUAL(make(3), 3);
    CU_ASSERT_TRUE(is_way(&list[0], v6(100), 6, true));
    CU_ASSERT_EQUAL(list[0].priority, 3);
    CU_ASSERT_STRING_EQUAL(list[0].name, "up6");
    CU_ASSERT_TRUE(is_way(&list[1], v4(100), 5, false));
    CU_ASSERT_TRUE(is_way(&list[2], v4(100), 6, false));
}

static void test_openvpn_ways_without_an_ipv4_route_only_ipv6_is_left(void)
{
    dual_stack();
    two_families[0].out_len = 0;
    at.ifindex = 0;
    CU_ASSERT_EQUAL(make(8), 2);
    CU_ASSERT_TRUE(is_way(&list[0], v6(100), 5, false));
    CU_ASSERT_TRUE(is_way(&list[1], v6(100), 6, false));
}

static void test_openvpn_ways_an_interface_with_one_family_is_a_way_for_that_one(void)
{
    dual_stack();
    two_families[0].out_len = 1; /* 6 has no IPv4 */
    CU_ASSERT_EQUAL(make(8), 3);
    CU_ASSERT_TRUE(is_way(&list[1], v6(100), 5, false));
    CU_ASSERT_TRUE(is_way(&list[2], v6(100), 6, false));
}

static void test_openvpn_ways_a_lost_device_takes_its_link_away(void)
{
    dual_stack();
    at.on_device = true;
    at.ifindex = 9;
    CU_ASSERT_EQUAL(make(8), 4);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_FALSE(list[i].via_link);
}

static void test_openvpn_ways_a_link_through_what_is_no_uplink_counts_while_routing_takes_it(void)
{
    dual_stack();
    at.ifindex = 9; /* another VPN's tun */
    at.source = v4(9);
    CU_ASSERT_EQUAL(make(8), 5);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 9, true));
    CU_ASSERT_TRUE(is_way(&list[1], v4(100), 5, false));
}

/* A VRF, another tunnel, an answer that did not come: what works is tried as long as nobody says that it cannot. */
static void test_openvpn_ways_a_link_that_nobody_can_place_is_a_way_wished_for_least(void)
{
    struct jump_path only = v4(77);

    dual_stack();
    at.ifindex = 0;
    at.unknown = true;
    CU_ASSERT_EQUAL_FATAL(make(8), 5);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 0, true));
    CU_ASSERT_EQUAL(list[0].priority, 4);
    CU_ASSERT_STRING_EQUAL(list[0].name, "");
    CU_ASSERT_TRUE(is_way(&list[1], v4(100), 5, false));
    CU_ASSERT_EQUAL(make(1), 1);
    CU_ASSERT_TRUE(list[0].via_link); /* never cut off */
    CU_ASSERT_EQUAL(jump_ways_list(list, 8, two_families, 0, &at, &only), 1); /* no other way at all */
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 0, true));
    at.on_device = true; /* bound to what is no uplink */
    at.ifindex = 9;
    CU_ASSERT_EQUAL(make(8), 5);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 9, true));
    at.ifindex = 6; /* to one that is */
    CU_ASSERT_EQUAL(make(8), 4);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 6, true));
    CU_ASSERT_STRING_EQUAL(list[0].name, "up6");
}

static void test_openvpn_ways_a_link_is_not_lost_while_nobody_knows_where_it_leads(void)
{
    struct jump_uplink known, moved, unknown;

    dual_stack();
    CU_ASSERT_EQUAL_FATAL(make(8), 4);
    known = moved = list[0];
    moved.ifindex = 6;
    moved.source = v4(6);
    CU_ASSERT_TRUE(jump_ways_same(&known, &known));
    CU_ASSERT_FALSE(jump_ways_same(&known, &moved));
    CU_ASSERT_FALSE(jump_ways_same(&list[0], &list[1]));
    at.ifindex = 0;
    at.unknown = true;
    CU_ASSERT_EQUAL_FATAL(make(8), 5);
    unknown = list[0];
    CU_ASSERT_TRUE(jump_ways_same(&known, &unknown));
    CU_ASSERT_TRUE(jump_ways_same(&unknown, &moved));
    CU_ASSERT_FALSE(jump_ways_same(&unknown, &list[1])); /* another socket */
    unknown.server = v4(101);
    CU_ASSERT_FALSE(jump_ways_same(&known, &unknown));
}

static void test_openvpn_ways_local_leaves_only_ways_from_that_address(void)
{
    struct jump_path only = v4(6);

    dual_stack();
    only.port = 4711; /* lport: no part of the question */
    CU_ASSERT_EQUAL(jump_ways_list(list, 8, two_families, 2, &at, &only), 1);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 6, false));
    only = v6(5);
    CU_ASSERT_EQUAL(jump_ways_list(list, 8, two_families, 2, &at, &only), 1);
    CU_ASSERT_TRUE(is_way(&list[0], v6(100), 5, false));
    only = v4(77); /* gone: no way until it is back */
    CU_ASSERT_EQUAL(jump_ways_list(list, 8, two_families, 2, &at, &only), 0);
}

static void test_openvpn_ways_a_link_local_source_leads_to_link_local_servers_only(void)
{
    dual_stack();
    memset(two_families[1].out[0].source.ip, 0, 16);
    two_families[1].out[0].source.ip[0] = 0xfe;
    two_families[1].out[0].source.ip[1] = 0x80;
    CU_ASSERT_EQUAL(make(8), 3);
    CU_ASSERT_TRUE(is_way(&list[2], v6(100), 6, false));
    two_families[1].server.ip[0] = 0xfe;
    two_families[1].server.ip[1] = 0x80;
    CU_ASSERT_EQUAL(make(8), 4);
    two_families[1].server.scope = 5; /* and only on the network that it is on */
    CU_ASSERT_EQUAL(make(8), 3);
    CU_ASSERT_EQUAL(list[2].ifindex, 5);
    at.server = v6(100); /* OpenVPN's own socket likewise */
    at.source = two_families[1].out[0].source;
    CU_ASSERT_EQUAL(make(8), 3);
    CU_ASSERT_FALSE(list[0].via_link);
}

static void test_openvpn_ways_full_arrays_are_still_cut_to_the_cap(void)
{
    struct jump_ways_target full[JUMP_WAYS_TARGETS];

    dual_stack();
    memset(full, 0, sizeof full);
    for (size_t t = 0; t < JUMP_WAYS_TARGETS; t++) {
        full[t].server = v4((uint8_t)(100 + t));
        for (unsigned i = 0; i < JUMP_MAX_CANDIDATES; i++)
            reach(&full[t], 10 + i);
    }
    memset(list, 0xee, sizeof list);
    CU_ASSERT_EQUAL(jump_ways_list(list, JUMP_MAX_CANDIDATES, full, JUMP_WAYS_TARGETS, &at, NULL), JUMP_MAX_CANDIDATES);
    CU_ASSERT_TRUE(is_way(&list[0], v4(100), 5, true));
    CU_ASSERT_TRUE(is_way(&list[7], v4(100), 16, false));
}

#define TESTS(X)                                                                        \
    X(test_openvpn_ways_a_server_that_nothing_was_resolved_to_has_one_address)          \
    X(test_openvpn_ways_a_name_with_both_families_gives_both_the_used_one_first)        \
    X(test_openvpn_ways_two_remotes_are_two_servers)                                    \
    X(test_openvpn_ways_another_port_is_another_server)                                 \
    X(test_openvpn_ways_the_newest_answer_counts)                                       \
    X(test_openvpn_ways_a_name_is_known_by_its_newest_answer_only)                      \
    X(test_openvpn_ways_many_addresses_leave_room_for_the_other_family)                 \
    X(test_openvpn_ways_long_answers_and_many_answers_are_bounded)                      \
    X(test_openvpn_ways_openvpns_own_address_comes_first_on_every_interface)            \
    X(test_openvpn_ways_the_list_is_cut_from_its_end)                                   \
    X(test_openvpn_ways_the_way_in_use_is_never_cut_off)                                \
    X(test_openvpn_ways_without_an_ipv4_route_only_ipv6_is_left)                        \
    X(test_openvpn_ways_an_interface_with_one_family_is_a_way_for_that_one)             \
    X(test_openvpn_ways_a_lost_device_takes_its_link_away)                              \
    X(test_openvpn_ways_a_link_through_what_is_no_uplink_counts_while_routing_takes_it) \
    X(test_openvpn_ways_a_link_that_nobody_can_place_is_a_way_wished_for_least)         \
    X(test_openvpn_ways_a_link_is_not_lost_while_nobody_knows_where_it_leads)           \
    X(test_openvpn_ways_local_leaves_only_ways_from_that_address)                       \
    X(test_openvpn_ways_a_link_local_source_leads_to_link_local_servers_only)           \
    X(test_openvpn_ways_full_arrays_are_still_cut_to_the_cap)

RUN_TESTS("openvpn_ways", TESTS)
