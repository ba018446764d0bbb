/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel says about networks, asked in a network namespace of this program's own (as root, or where users may
 * make namespaces; without either the program says so and exits 77: skipped, not passed).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner.h"
#include "system/netlink.h"

static struct jump_netlink *netlink;
static struct jump_problem problem;

static void ip(const char *arguments)
{
    char command[512];

    (void)snprintf(command, sizeof command, "ip %s", arguments);
    if (system(command) != 0)
        CU_FAIL("ip failed");
}

static struct jump_path to(const char *text)
{
    struct jump_path path;

    memset(&path, 0, sizeof path);
    path.port = 1194;
    path.transport = 3;
    if (inet_pton(AF_INET6, text, path.ip) != 1) {
        path.ip[10] = path.ip[11] = 0xff;
        (void)inet_pton(AF_INET, text, path.ip + 12);
    }
    return path;
}

static bool same_ip(const uint8_t ip_bytes[16], const char *text)
{
    struct jump_path path = to(text);

    return memcmp(ip_bytes, path.ip, 16) == 0;
}

/* A namespace with two uplinks, out and spare, of which out has the default route. */
static void begin(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        CU_FAIL_FATAL("no namespace");
    netlink = jump_netlink_open(&problem);
    CU_ASSERT_PTR_NOT_NULL_FATAL(netlink);
    ip("link set lo up");
    ip("link add out type veth peer name outp");
    ip("link add spare type veth peer name sparep");
    ip("link set outp up");
    ip("link set sparep up");
    ip("link set out up");
    ip("link set spare up");
    ip("addr add 10.1.0.2/24 dev out");
    ip("addr add 10.2.0.2/24 dev spare");
    ip("route add default via 10.1.0.1");
}

static void end(void)
{
    jump_netlink_close(netlink);
    netlink = NULL;
}

/* Is such a change among those that wait? Reads them all. */
static bool heard(enum jump_netlink_kind kind, const char *name, const char *address)
{
    struct jump_netlink_change changes[64];
    bool found = false, overrun;
    size_t len;

    for (int i = 0; i < 20; i++) { /* carrier is told by a kernel thread */
        while (jump_netlink_drain(netlink, changes, 64, &len, &overrun))
            for (size_t k = 0; k < len; k++)
                found = found || (changes[k].kind == kind && (name == NULL || changes[k].ifindex == if_nametoindex(name)) &&
                                  (address == NULL || same_ip(changes[k].ip, address)));
        if (found)
            break;
        usleep(10000);
    }
    return found;
}

static void quiet(void)
{
    struct jump_netlink_change changes[64];
    bool overrun;
    size_t len;

    usleep(50000);
    while (jump_netlink_drain(netlink, changes, 64, &len, &overrun))
        ;
}

static void test_netlink_addresses_routes_and_links_are_told_as_they_change(void)
{
    begin();
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ADDRESS_ADDED, "out", "10.1.0.2"));
    quiet();
    ip("addr add 10.1.0.9/24 dev out");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ADDRESS_ADDED, "out", "10.1.0.9"));
    ip("addr del 10.1.0.9/24 dev out");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ADDRESS_REMOVED, "out", "10.1.0.9"));
    ip("route del default");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ROUTE_REMOVED, "out", NULL));
    ip("route add default via 10.1.0.1");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ROUTE_ADDED, "out", NULL));
    ip("link set spare down");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_LINK_DOWN, "spare", NULL));
    ip("link set spare up");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_LINK_UP, "spare", NULL));
    ip("link set sparep down"); /* the cable is pulled at the other end */
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_LINK_DOWN, "spare", NULL));
    end();
}

static void test_netlink_a_tentative_address_is_told_when_it_is_usable(void)
{
    struct jump_netlink_change changes[64];
    bool early = false, overrun;
    size_t len;

    begin();
    usleep(100000);
    quiet();
    ip("addr add 2001:db8:1::2/64 dev out");
    while (jump_netlink_drain(netlink, changes, 64, &len, &overrun))
        for (size_t k = 0; k < len; k++)
            early = early || (changes[k].kind == JUMP_NETLINK_ADDRESS_ADDED && same_ip(changes[k].ip, "2001:db8:1::2"));
    CU_ASSERT_FALSE(early);
    ip("addr add 2001:db8:1::3/64 dev out nodad");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ADDRESS_ADDED, "out", "2001:db8:1::3"));
    end();
}

static void test_netlink_ignored_interfaces_and_idle_links_are_silent(void)
{
    struct jump_netlink_change change;
    bool overrun;
    size_t len;

    begin();
    usleep(1000);
    ip("addr flush dev spare");
    ip("link set spare mtu 1400");
    quiet();
    ip("link set spare mtu 1300"); /* a message about a link that is as up as before */
    CU_ASSERT_FALSE(jump_netlink_drain(netlink, &change, 1, &len, &overrun));
    CU_ASSERT_TRUE(jump_netlink_ignore(netlink, if_nametoindex("spare")));
    CU_ASSERT_TRUE(jump_netlink_ignore(netlink, if_nametoindex("spare"))); /* twice is once */
    ip("addr add 10.2.0.3/24 dev spare");
    ip("addr add 127.0.0.9/8 dev lo");
    CU_ASSERT_FALSE(jump_netlink_drain(netlink, &change, 1, &len, &overrun));
    CU_ASSERT_TRUE(jump_netlink_ignore(netlink, 1000) && jump_netlink_ignore(netlink, 1001) && jump_netlink_ignore(netlink, 1002));
    CU_ASSERT_FALSE(jump_netlink_ignore(netlink, 1003));
    end();
}

static void test_netlink_more_than_there_is_room_for_means_look_anew(void)
{
    static struct jump_netlink_change many[4096];
    bool overrun;
    size_t len;

    begin();
    CU_ASSERT_TRUE(jump_netlink_drain(netlink, many, 1, &len, &overrun));
    CU_ASSERT_EQUAL(len, 1);
    CU_ASSERT_TRUE(overrun);
    quiet();
    CU_ASSERT_EQUAL(system("for i in $(seq 2 250); do for k in 1 2 3 4 5 6 7 8; do echo addr add 10.9.$k.$i/32 dev out; done; done > batch.$$;"
                           "ip -batch batch.$$; rm batch.$$"), 0);
    for (int i = 0; i < 1000 && jump_netlink_drain(netlink, many, 4096, &len, &overrun) && !overrun; i++)
        ;
    CU_ASSERT_TRUE(overrun); /* the kernel's own buffer was too small, ours never is */
    quiet();
    ip("addr add 10.1.0.77/24 dev out");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ADDRESS_ADDED, "out", "10.1.0.77"));
    end();
}

static void test_netlink_the_source_is_what_the_kernel_would_use(void)
{
    struct jump_path source, dst = to("198.51.100.1"), near = to("10.2.0.1"), far6 = to("2001:db8:9::1");
    unsigned ifindex;

    begin();
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, NULL), 0);
    CU_ASSERT_TRUE(same_ip(source.ip, "10.1.0.2"));
    CU_ASSERT_EQUAL(ifindex, if_nametoindex("out"));
    CU_ASSERT_EQUAL(source.port, 0);
    CU_ASSERT_EQUAL(source.transport, 3);
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &near, 0, NULL), 0);
    CU_ASSERT_TRUE(same_ip(source.ip, "10.2.0.2"));
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &far6, 0, NULL), -ENETUNREACH);
    ip("addr add 2001:db8:1::2/64 dev out nodad");
    ip("route add default via 2001:db8:1::1");
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &far6, 0, NULL), 0);
    CU_ASSERT_TRUE(same_ip(source.ip, "2001:db8:1::2"));
    ip("route del default");
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, NULL), -ENETUNREACH);
    ip("route add unreachable default");
    CU_ASSERT_TRUE(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, NULL) < 0);
    end();
}

static void test_netlink_an_interface_without_a_route_is_no_way_out(void)
{
    struct jump_path source, dst = to("198.51.100.1");
    struct jump_netlink_uplink uplinks[8];
    unsigned ifindex;

    begin();
    usleep(50000);
    /* Asked for the route through spare, IPv4 says "on-link": it would ask for the server's MAC address there. */
    CU_ASSERT_TRUE(jump_netlink_source(netlink, &source, &ifindex, &dst, if_nametoindex("spare"), NULL) < 0);
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 1);
    ip("route add default via 10.2.0.1 metric 500");
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, if_nametoindex("spare"), NULL), 0);
    CU_ASSERT_TRUE(same_ip(source.ip, "10.2.0.2"));
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 2);
    CU_ASSERT_TRUE(uplinks[0].preferred && !uplinks[1].preferred);
    CU_ASSERT_STRING_EQUAL(uplinks[0].name, "out");
    CU_ASSERT_STRING_EQUAL(uplinks[1].name, "spare");
    CU_ASSERT_TRUE(same_ip(uplinks[1].source.ip, "10.2.0.2"));
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 1, &dst, NULL), 1);
    CU_ASSERT_TRUE(jump_netlink_ignore(netlink, if_nametoindex("out")));
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 1);
    CU_ASSERT_STRING_EQUAL(uplinks[0].name, "spare");
    ip("link set sparep down"); /* no carrier */
    usleep(50000);
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 0);
    end();
}

static void test_netlink_an_interface_that_borrows_an_address_is_no_way_out(void)
{
    struct jump_path dst = to("2001:db8:ffff::2");
    struct jump_netlink_uplink uplinks[8];

    begin();
    ip("addr add 2001:db8:1::2/64 dev out nodad");
    ip("addr add 2001:db8:2::2/64 dev spare nodad");
    ip("-6 route add default via 2001:db8:1::1 dev out metric 100");
    ip("-6 route add default via 2001:db8:2::1 dev spare metric 200");
    usleep(50000);
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 2);
    ip("addr del 2001:db8:1::2/64 dev out"); /* its route stays */
    CU_ASSERT_EQUAL_FATAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 1);
    CU_ASSERT_STRING_EQUAL(uplinks[0].name, "spare");
    ip("addr del 2001:db8:2::2/64 dev spare");
    ip("addr add 2001:db8:3::2/128 dev lo"); /* as a router has it */
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 2);
    ip("addr del 2001:db8:3::2/128 dev lo");
    ip("link add inner type veth peer name innerp"); /* as the host's own tun */
    ip("link set innerp up");
    ip("link set inner up");
    ip("addr add 2001:db8:3::2/64 dev inner nodad");
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 2);
    CU_ASSERT_TRUE(jump_netlink_ignore(netlink, if_nametoindex("inner")));
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 0);
    end();
}

static void test_netlink_a_tun_is_no_way_out(void)
{
    struct jump_path dst = to("198.51.100.1");
    struct jump_netlink_uplink uplinks[8];

    begin();
    usleep(50000);
    if (access("/dev/net/tun", R_OK | W_OK) != 0) {
        fprintf(stderr, "(no /dev/net/tun: not run) ");
        end();
        return;
    }
    ip("tuntap add tun0 mode tun");
    ip("link set tun0 up");
    ip("addr add 10.8.0.2/24 dev tun0");
    ip("route add 128.0.0.0/1 dev tun0"); /* redirect-gateway def1 */
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 1);
    CU_ASSERT_STRING_EQUAL(uplinks[0].name, "out");
    end();
}

/* Rules send another way what has a mark, a source or a port: the question must say what it is about. */
static void test_netlink_a_question_is_about_one_socket(void)
{
    struct jump_path source, dst = to("198.51.100.1");
    struct jump_netlink_flow marked = {.mark = 7}, local = {.source_known = true}, port = {.port = 4711};
    struct jump_netlink_uplink uplinks[8];
    unsigned ifindex, spare;

    begin();
    spare = if_nametoindex("spare");
    local.source = to("10.2.0.2");
    ip("route add default via 10.2.0.1 dev spare table 100");
    quiet();
    ip("rule add fwmark 7 lookup 100");
    CU_ASSERT_TRUE(heard(JUMP_NETLINK_ROUTE_ADDED, NULL, NULL));
    ip("rule add from 10.2.0.2 lookup 100");
    ip("rule add ipproto udp sport 4711 lookup 100");
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, NULL), 0);
    CU_ASSERT_EQUAL(ifindex, if_nametoindex("out"));
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, &marked), 0);
    CU_ASSERT_EQUAL(ifindex, spare);
    CU_ASSERT_TRUE(same_ip(source.ip, "10.2.0.2"));
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, &port), 0);
    CU_ASSERT_EQUAL(ifindex, spare);
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, &local), 0);
    CU_ASSERT_EQUAL(ifindex, spare);
    CU_ASSERT_TRUE(same_ip(source.ip, "10.2.0.2"));
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 1);
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, &marked), 2);
    CU_ASSERT_EQUAL(uplinks[0].ifindex, spare);
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, &local), 1); /* not from out: the address is spare's */
    CU_ASSERT_EQUAL(uplinks[0].ifindex, spare);
    ip("addr add 10.3.0.1/32 dev lo"); /* a router's own: it may leave by any */
    local.source = to("10.3.0.1");
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, &local), 1);
    CU_ASSERT_EQUAL(uplinks[0].ifindex, if_nametoindex("out"));
    local.source = to("10.4.0.1");
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, &local), -EADDRNOTAVAIL);
    local.source = to("2001:db8::77"); /* no matter of IPv4's */
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, &local), 0);
    dst = to("2001:db8:9::1");
    CU_ASSERT_EQUAL(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, &local), -EADDRNOTAVAIL);
    end();
}

/* A process at its limit of open files still finds its ways out: everything is asked on the sockets that it has. */
static void test_netlink_A36_no_descriptor_is_needed_to_look(void)
{
    struct jump_netlink_uplink uplinks[8];
    struct jump_path dst = to("198.51.100.1");
    struct rlimit before, none;
    char name[IF_NAMESIZE] = "", long_name[2 * IF_NAMESIZE];
    unsigned out, spare;
    int lowest;

    begin();
    out = if_nametoindex("out");
    spare = if_nametoindex("spare");
    ip("route add default via 10.2.0.1 metric 500");
    usleep(50000);
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    lowest = dup(0);
    close(lowest);
    none = before;
    none.rlim_cur = (rlim_t)lowest;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    CU_ASSERT_EQUAL(socket(AF_INET, SOCK_DGRAM, 0), -1);
    CU_ASSERT_EQUAL(jump_netlink_uplinks(netlink, uplinks, 8, &dst, NULL), 2);
    CU_ASSERT_TRUE(jump_netlink_name(netlink, name, spare));
    CU_ASSERT_EQUAL(jump_netlink_index(netlink, "out"), out);
    CU_ASSERT_TRUE(jump_netlink_sole_choice(netlink, &dst, out));
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    CU_ASSERT_TRUE(uplinks[0].preferred && uplinks[0].ifindex == out);
    CU_ASSERT_STRING_EQUAL(uplinks[0].name, "out");
    CU_ASSERT_TRUE(!uplinks[1].preferred && uplinks[1].ifindex == spare);
    CU_ASSERT_STRING_EQUAL(uplinks[1].name, "spare");
    CU_ASSERT_STRING_EQUAL(name, "spare");
    CU_ASSERT_FALSE(jump_netlink_name(netlink, name, 0) || jump_netlink_name(netlink, name, 0x7ffffff0));
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    CU_ASSERT_TRUE(jump_netlink_index(netlink, "") == 0 && jump_netlink_index(netlink, "nobody") == 0 &&
                   jump_netlink_index(netlink, long_name) == 0);
    end();
}

static void test_netlink_what_the_kernel_denies_is_told_from_what_it_does_not_say(void)
{
    struct jump_path source, dst = to("198.51.100.1");
    unsigned ifindex;

    begin();
    CU_ASSERT_TRUE(jump_netlink_no_way(-ENETUNREACH) && jump_netlink_no_way(-EADDRNOTAVAIL));
    CU_ASSERT_FALSE(jump_netlink_no_way(0) || jump_netlink_no_way(-EAGAIN) || jump_netlink_no_way(-EPROTO) ||
                    jump_netlink_no_way(-ENOBUFS));
    ip("route del default");
    CU_ASSERT_TRUE(jump_netlink_no_way(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, NULL)));
    ip("route add blackhole default");
    CU_ASSERT_TRUE(jump_netlink_no_way(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, NULL)));
    ip("route replace prohibit default");
    CU_ASSERT_TRUE(jump_netlink_no_way(jump_netlink_source(netlink, &source, &ifindex, &dst, 0, NULL)));
    usleep(50000);
    CU_ASSERT_FALSE(jump_netlink_link_down(netlink, if_nametoindex("out")));
    ifindex = if_nametoindex("spare");
    ip("link set sparep down");
    usleep(50000);
    CU_ASSERT_TRUE(jump_netlink_link_down(netlink, ifindex));
    ip("link del spare");
    CU_ASSERT_TRUE(jump_netlink_link_down(netlink, ifindex));
    end();
}

static void test_netlink_one_way_is_certain_only_where_nothing_else_chooses(void)
{
    struct jump_path dst = to("198.51.100.1"), dst6 = to("2001:db8:ffff::2");
    unsigned out, spare;

    begin();
    out = if_nametoindex("out");
    spare = if_nametoindex("spare");
    usleep(50000);
    CU_ASSERT_TRUE(jump_netlink_sole_choice(netlink, &dst, out));
    CU_ASSERT_FALSE(jump_netlink_sole_choice(netlink, &dst, spare));
    ip("route add default via 10.2.0.1 metric 500");
    CU_ASSERT_TRUE(jump_netlink_sole_choice(netlink, &dst, out));
    ip("rule add fwmark 7 lookup 100");
    CU_ASSERT_FALSE(jump_netlink_sole_choice(netlink, &dst, out));
    ip("rule del fwmark 7 lookup 100");
    ip("rule add from 10.2.0.2 lookup 100");
    CU_ASSERT_FALSE(jump_netlink_sole_choice(netlink, &dst, out));
    ip("rule del from 10.2.0.2 lookup 100");
    ip("rule add lookup main suppress_prefixlength 0");
    CU_ASSERT_FALSE(jump_netlink_sole_choice(netlink, &dst, out));
    ip("rule del lookup main suppress_prefixlength 0");
    ip("-6 rule add fwmark 7 lookup 100"); /* the other family's */
    CU_ASSERT_TRUE(jump_netlink_sole_choice(netlink, &dst, out));
    ip("route replace default nexthop via 10.1.0.1 dev out nexthop via 10.2.0.1 dev spare");
    CU_ASSERT_FALSE(jump_netlink_sole_choice(netlink, &dst, out) || jump_netlink_sole_choice(netlink, &dst, spare));
    CU_ASSERT_FALSE(jump_netlink_sole_choice(netlink, &dst6, out));
    ip("-6 rule del fwmark 7 lookup 100");
    ip("addr add 2001:db8:1::2/64 dev out nodad");
    ip("addr add 2001:db8:2::2/64 dev spare nodad");
    ip("-6 route add default via 2001:db8:1::1 dev out metric 100");
    ip("-6 route add default via 2001:db8:2::1 dev spare metric 200");
    usleep(50000);
    CU_ASSERT_TRUE(jump_netlink_sole_choice(netlink, &dst6, out));
    ip("-6 route append default via 2001:db8:2::1 dev spare metric 100");
    CU_ASSERT_FALSE(jump_netlink_sole_choice(netlink, &dst6, out) || jump_netlink_sole_choice(netlink, &dst6, spare));
    end();
}

#define TESTS(X)                                                                    \
    X(test_netlink_addresses_routes_and_links_are_told_as_they_change)              \
    X(test_netlink_a_tentative_address_is_told_when_it_is_usable)                   \
    X(test_netlink_ignored_interfaces_and_idle_links_are_silent)                    \
    X(test_netlink_more_than_there_is_room_for_means_look_anew)                     \
    X(test_netlink_the_source_is_what_the_kernel_would_use)                         \
    X(test_netlink_an_interface_without_a_route_is_no_way_out)                      \
    X(test_netlink_an_interface_that_borrows_an_address_is_no_way_out)              \
    X(test_netlink_a_tun_is_no_way_out)                                             \
    X(test_netlink_a_question_is_about_one_socket)                                  \
    X(test_netlink_A36_no_descriptor_is_needed_to_look)                                 \
    X(test_netlink_what_the_kernel_denies_is_told_from_what_it_does_not_say)        \
    X(test_netlink_one_way_is_certain_only_where_nothing_else_chooses)

/* A user namespace in which this user is root: `ip` keeps its capabilities over exec only so. */
static bool become_root_inside(void)
{
    char map[64];
    int len = snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid()), fd;
    bool good;

    if (unshare(CLONE_NEWUSER) != 0 || (fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC)) < 0)
        return false;
    good = write(fd, map, (size_t)len) == len;
    (void)close(fd);
    return good && geteuid() == 0;
}

int main(void)
{
    static const struct runner_test tests[] = {TESTS(RUNNER_ENTRY)};

    if (geteuid() != 0 && !become_root_inside()) {
        fprintf(stderr, "test_netlink: skipped: needs root, or users who may make namespaces (%s)\n", strerror(errno));
        return 77;
    }
    return runner_main("netlink", tests, (unsigned)(sizeof tests / sizeof tests[0]));
}
