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

#define TESTS(X)                                                              \
    X(test_openvpn_sockaddr_ipv4_is_one_path_on_both_kinds_of_socket)         \
    X(test_openvpn_sockaddr_ipv6_does_not_fit_an_ipv4_socket)                 \
    X(test_openvpn_sockaddr_scope_belongs_to_link_local_addresses_only)       \
    X(test_openvpn_sockaddr_short_and_foreign_addresses_are_refused)          \
    X(test_openvpn_sockaddr_text_that_is_no_address_is_refused)               \
    X(test_openvpn_sockaddr_a_mapped_peer_in_the_environment_is_the_ipv4_one)

RUN_TESTS("openvpn_sockaddr", TESTS)
