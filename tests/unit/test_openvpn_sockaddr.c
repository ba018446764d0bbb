/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Socket addresses and paths (adapters/openvpn/sockaddr.c): one peer is one path however its socket shows it, and each
 * way back with what must not get through. Read next: adapters/openvpn/io.c.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "openvpn/sockaddr.h"
#include "runner.h"

static struct sockaddr_storage storage;

static struct jump_path parsed(const char *ip, const char *port)
{
    struct jump_path path;

    CU_ASSERT_TRUE(jump_sockaddr_parse(&path, ip, port));
    return path;
}

static void test_openvpn_sockaddr_ipv4_is_one_path_on_both_kinds_of_socket(void)
{
    struct jump_path path = parsed("192.0.2.7", "1194"), again;
    socklen_t len = jump_sockaddr_from_path(&storage, &path, false);

    CU_ASSERT_EQUAL(len, sizeof(struct sockaddr_in));
    CU_ASSERT_EQUAL(storage.ss_family, AF_INET);
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&again, (struct sockaddr *)&storage, len));
    CU_ASSERT_EQUAL(memcmp(&path, &again, sizeof path), 0);
    len = jump_sockaddr_from_path(&storage, &path, true);
    CU_ASSERT_EQUAL(len, sizeof(struct sockaddr_in6));
    CU_ASSERT_EQUAL(storage.ss_family, AF_INET6);
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&again, (struct sockaddr *)&storage, len));
    CU_ASSERT_EQUAL(memcmp(&path, &again, sizeof path), 0);
    CU_ASSERT_TRUE(jump_sockaddr_is_ipv4(&path));
}

static void test_openvpn_sockaddr_ipv6_does_not_fit_an_ipv4_socket(void)
{
    struct jump_path path = parsed("2001:db8::7", "1194"), again;
    socklen_t len = jump_sockaddr_from_path(&storage, &path, true);

    CU_ASSERT_EQUAL(len, sizeof(struct sockaddr_in6));
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&again, (struct sockaddr *)&storage, len));
    CU_ASSERT_EQUAL(memcmp(&path, &again, sizeof path), 0);
    CU_ASSERT_FALSE(jump_sockaddr_is_ipv4(&path));
    CU_ASSERT_EQUAL(jump_sockaddr_from_path(&storage, &path, false), 0);
}

static void test_openvpn_sockaddr_scope_belongs_to_link_local_addresses_only(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = 3, .sin6_port = htons(1)};
    struct jump_path path;

    CU_ASSERT_EQUAL(inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr), 1);
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&path, (struct sockaddr *)&in6, sizeof in6));
    CU_ASSERT_EQUAL(path.scope, 3);
    CU_ASSERT_EQUAL(jump_sockaddr_from_path(&storage, &path, true), sizeof in6);
    CU_ASSERT_EQUAL(((struct sockaddr_in6 *)(void *)&storage)->sin6_scope_id, 3);
    CU_ASSERT_EQUAL(inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr), 1);
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&path, (struct sockaddr *)&in6, sizeof in6));
    CU_ASSERT_EQUAL(path.scope, 0);
}

static void test_openvpn_sockaddr_short_and_foreign_addresses_are_refused(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct jump_path path;

    CU_ASSERT_FALSE(jump_sockaddr_to_path(&path, (struct sockaddr *)&in, sizeof in - 1));
    CU_ASSERT_FALSE(jump_sockaddr_to_path(&path, (struct sockaddr *)&in6, sizeof in6 - 1));
    CU_ASSERT_FALSE(jump_sockaddr_to_path(&path, (struct sockaddr *)&in6, sizeof in));
    CU_ASSERT_FALSE(jump_sockaddr_to_path(&path, &other, sizeof other));
    CU_ASSERT_FALSE(jump_sockaddr_to_path(&path, (struct sockaddr *)&in, 0));
}

static void test_openvpn_sockaddr_text_that_is_no_address_is_refused(void)
{
    struct jump_path path;

    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, NULL, "1"));
    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, "192.0.2.1", NULL));
    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, "192.0.2.1", "0"));
    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, "192.0.2.1", "65536"));
    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, "192.0.2.1", "1x"));
    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, "192.0.2.1", " 1"));
    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, "vpn.example.com", "1"));
    CU_ASSERT_FALSE(jump_sockaddr_parse(&path, "2001:db8::1::", "1"));
}

static void test_openvpn_sockaddr_a_mapped_peer_in_the_environment_is_the_ipv4_one(void)
{
    struct jump_path plain = parsed("192.0.2.7", "9"), mapped = parsed("::ffff:192.0.2.7", "9");

    CU_ASSERT_EQUAL(memcmp(&plain, &mapped, sizeof plain), 0);
}

static struct jump_path real4, real6;
static socklen_t storage_len;

/* An address of the other family, as a socket that was put in OpenVPN's place gives it. */
static bool show(const struct jump_path *from, const struct jump_path *real, const struct jump_path *known,
                 bool known_inet6, socklen_t room)
{
    storage_len = jump_sockaddr_from_path(&storage, from, !jump_sockaddr_is_ipv4(from));
    return jump_sockaddr_show_as((struct sockaddr *)&storage, &storage_len, room, from, real, known, known_inet6);
}

static void test_openvpn_sockaddr_a_server_is_shown_in_the_family_that_openvpn_knows(void)
{
    struct jump_path again;

    real4 = parsed("192.0.2.7", "1194");
    real6 = parsed("2001:db8::7", "443");
    CU_ASSERT_TRUE(show(&real6, &real6, &real4, false, sizeof storage));
    CU_ASSERT_EQUAL(storage_len, sizeof(struct sockaddr_in)); /* another length ends OpenVPN */
    CU_ASSERT_EQUAL(storage.ss_family, AF_INET);
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&again, (struct sockaddr *)&storage, storage_len));
    CU_ASSERT_EQUAL(memcmp(&again, &real4, sizeof again), 0);
    CU_ASSERT_TRUE(show(&real4, &real4, &real6, true, sizeof(struct sockaddr_in6)));
    CU_ASSERT_EQUAL(storage_len, sizeof(struct sockaddr_in6));
    CU_ASSERT_TRUE(jump_sockaddr_to_path(&again, (struct sockaddr *)&storage, storage_len));
    CU_ASSERT_EQUAL(memcmp(&again, &real6, sizeof again), 0);
    CU_ASSERT_TRUE(show(&real4, &real4, &real4, true, sizeof storage)); /* OpenVPN's `remote ::ffff:192.0.2.7` */
    CU_ASSERT_EQUAL(storage_len, sizeof(struct sockaddr_in6));
}

static void test_openvpn_sockaddr_nothing_from_elsewhere_is_shown_as_the_server(void)
{
    struct jump_path from;

    real4 = parsed("192.0.2.7", "1194");
    real6 = parsed("2001:db8::7", "443");
    from = parsed("2001:db8::8", "443");
    CU_ASSERT_FALSE(show(&from, &real6, &real4, false, sizeof storage));
    CU_ASSERT_EQUAL(storage_len, sizeof(struct sockaddr_in6)); /* as it was */
    CU_ASSERT_EQUAL(storage.ss_family, AF_INET6);
    from = parsed("2001:db8::7", "444");
    CU_ASSERT_FALSE(show(&from, &real6, &real4, false, sizeof storage));
    from = real6;
    from.scope = 2;
    CU_ASSERT_FALSE(show(&from, &real6, &real4, false, sizeof storage));
    CU_ASSERT_FALSE(show(&real4, &real6, &real4, false, sizeof storage)); /* nor by the address that is shown */
    CU_ASSERT_FALSE(show(&real4, &real4, &real6, true, sizeof(struct sockaddr_in))); /* no room */
    CU_ASSERT_FALSE(show(&real6, &real6, &real6, false, sizeof storage)); /* no such address on an AF_INET socket */
}

#define TESTS(X)                                                              \
    X(test_openvpn_sockaddr_ipv4_is_one_path_on_both_kinds_of_socket)         \
    X(test_openvpn_sockaddr_ipv6_does_not_fit_an_ipv4_socket)                 \
    X(test_openvpn_sockaddr_scope_belongs_to_link_local_addresses_only)       \
    X(test_openvpn_sockaddr_short_and_foreign_addresses_are_refused)          \
    X(test_openvpn_sockaddr_text_that_is_no_address_is_refused)               \
    X(test_openvpn_sockaddr_a_mapped_peer_in_the_environment_is_the_ipv4_one) \
    X(test_openvpn_sockaddr_a_server_is_shown_in_the_family_that_openvpn_knows) \
    X(test_openvpn_sockaddr_nothing_from_elsewhere_is_shown_as_the_server)

RUN_TESTS("openvpn_sockaddr", TESTS)
