/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which strongSwan a process is (adapters/strongswan/version.c): the string that is a version, and what only looks like one.
 * That charon's is found: tests/checks/check-strongswan-loads.
 */
#include <string.h>

#include "runner.h"
#include "strongswan/version.h"

static char version[JUMP_SWAN_VERSION_BYTES];

#define FIND(text) jump_swan_version_find(version, (const unsigned char *)(text), sizeof(text))

static void test_strongswan_version_is_found_among_strings(void)
{
    CU_ASSERT_TRUE(FIND("Linux strongSwan %s\n\0005.9.8\0http://x"));
    CU_ASSERT_STRING_EQUAL(version, "5.9.8");
    CU_ASSERT_TRUE(FIND("5.9.14"));
    CU_ASSERT_STRING_EQUAL(version, "5.9.14");
    CU_ASSERT_TRUE(FIND("\0006.0.1"));
    CU_ASSERT_STRING_EQUAL(version, "6.0.1");
    CU_ASSERT_TRUE(FIND("1.2\0007.0.0.1\0005.9.8\0006.0.1")); /* the first that is one */
    CU_ASSERT_STRING_EQUAL(version, "5.9.8");
}

static void test_strongswan_version_that_only_looks_like_one_is_none(void)
{
    static const unsigned char open_end[] = {0, '5', '.', '9', '.', '8'};

    CU_ASSERT_FALSE(FIND(""));
    CU_ASSERT_STRING_EQUAL(version, "");
    CU_ASSERT_FALSE(FIND("strongSwan 5.9.8"));
    CU_ASSERT_FALSE(FIND("5.9.8rc1"));
    CU_ASSERT_FALSE(FIND("5.9"));
    CU_ASSERT_FALSE(FIND("5.9."));
    CU_ASSERT_FALSE(FIND("5..8"));
    CU_ASSERT_FALSE(FIND("127.0.0.1"));
    CU_ASSERT_FALSE(jump_swan_version_find(version, open_end, sizeof open_end)); /* nothing behind the end is read */
}

static void test_strongswan_version_longer_than_its_place_is_none(void)
{
    CU_ASSERT_TRUE(FIND("5.9.12345678901")); /* 15 and the NUL */
    CU_ASSERT_STRING_EQUAL(version, "5.9.12345678901");
    CU_ASSERT_FALSE(FIND("5.9.123456789012"));
    CU_ASSERT_FALSE(FIND("5.9.1234567890123456789012345678901234567890"));
}

#define TESTS(X)                                               \
    X(test_strongswan_version_is_found_among_strings)          \
    X(test_strongswan_version_that_only_looks_like_one_is_none) \
    X(test_strongswan_version_longer_than_its_place_is_none)

RUN_TESTS("strongswan_version", TESTS)
