/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which of the kernel's reports of another address charon gets to hear (adapters/strongswan/mapping.c): none of our
 * CHILD_SAs, all of others.
 */
#include "fake_charon.h"

static unsigned reported;
static uint32_t reported_spi;

static void charons_own(kernel_interface_t *this, uint8_t protocol, uint32_t spi, host_t *dst, host_t *remote)
{
    (void)this, (void)protocol, (void)dst, (void)remote;
    reported++;
    reported_spi = spi;
}

static void somebody_elses(kernel_interface_t *this, uint8_t protocol, uint32_t spi, host_t *dst, host_t *remote)
{
    charons_own(this, protocol, spi, dst, remote);
}

static uint32_t spi_in, spi_out;

static uint32_t child_spi(child_sa_t *this, bool inbound)
{
    (void)this;
    return inbound ? spi_in : spi_out;
}

static child_sa_t child = {.get_spi = child_spi};

static void installed(uint32_t in, uint32_t out, bool gone)
{
    spi_in = in;
    spi_out = out;
    jump_swan_mapping_child(&child, gone);
}

/* Whether charon hears of it. */
static bool hears(uint8_t protocol, uint32_t spi)
{
    unsigned before = reported;

    charon->kernel->mapping(charon->kernel, protocol, spi, NULL, NULL);
    CU_ASSERT_TRUE(reported == before || reported_spi == spi);
    return reported != before;
}

static void mapping_begin(void)
{
    begin();
    fake_kernel.mapping = charons_own;
    reported = 0;
    jump_swan_mapping_begin();
}

static void mapping_end(void)
{
    jump_swan_mapping_end();
    CU_ASSERT_PTR_EQUAL(fake_kernel.mapping, charons_own);
    end();
}

static void test_strongswan_mapping_of_ours_ends_before_charon(void)
{
    mapping_begin();
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0xc0000001)); /* not installed yet */
    installed(0xc0000001, 0xd0000001, false);
    installed(0xc0000002, 0xd0000002, false);
    for (unsigned i = 0; i < 1000; i++)
        CU_ASSERT_FALSE(hears(IPPROTO_ESP, 0xc0000001 + i % 2));
    mapping_end();
}

static void test_strongswan_mapping_of_others_passes(void)
{
    mapping_begin();
    installed(0xc0000001, 0xd0000001, false);
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0xc0000003));
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0xd0000001)); /* what we send with is the peer's */
    CU_ASSERT_TRUE(hears(IPPROTO_AH, 0xc0000001));
    installed(0, 0xd0000004, false); /* no inbound SA yet */
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0));
    mapping_end();
}

static void test_strongswan_mapping_of_a_child_sa_that_went_is_nobodys_again(void)
{
    mapping_begin();
    installed(0xc0000001, 0xd0000001, false);
    installed(0xc0000002, 0xd0000002, false); /* its successor, while the old one is still there */
    installed(0xc0000001, 0xd0000001, true);
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0xc0000001));
    CU_ASSERT_FALSE(hears(IPPROTO_ESP, 0xc0000002));
    installed(0xc0000001, 0xd0000001, true); /* once more is of no account */
    CU_ASSERT_FALSE(hears(IPPROTO_ESP, 0xc0000002));
    mapping_end();
}

static void test_strongswan_mapping_without_us_all_is_charons(void)
{
    mapping_begin();
    installed(0xc0000001, 0xd0000001, false);
    jump_swan = NULL; /* closing: our table is not looked at any more */
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0xc0000001));
    jump_swan = swan;
    jump_swan_mapping_end();
    installed(0xc0000002, 0xd0000002, false); /* of no account */
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0xc0000001) && hears(IPPROTO_ESP, 0xc0000002));
    jump_swan_mapping_begin(); /* what was known is forgotten */
    CU_ASSERT_TRUE(hears(IPPROTO_ESP, 0xc0000001));
    mapping_end();
}

static void test_strongswan_mapping_somebody_before_us_is_left_alone(void)
{
    mapping_begin();
    installed(0xc0000001, 0xd0000001, false);
    void (*ours)(kernel_interface_t *, uint8_t, uint32_t, host_t *, host_t *) = fake_kernel.mapping;

    fake_kernel.mapping = somebody_elses;
    jump_swan_mapping_end();
    CU_ASSERT_PTR_EQUAL(fake_kernel.mapping, somebody_elses);
    ours(charon->kernel, IPPROTO_ESP, 0xc0000001, NULL, NULL); /* it may still call ours */
    CU_ASSERT_EQUAL(reported, 0);
    fake_kernel.mapping = ours;
    mapping_end();
}

#define TESTS(X)                                                           \
    X(test_strongswan_mapping_of_ours_ends_before_charon)                  \
    X(test_strongswan_mapping_of_others_passes)                            \
    X(test_strongswan_mapping_of_a_child_sa_that_went_is_nobodys_again)    \
    X(test_strongswan_mapping_without_us_all_is_charons)                   \
    X(test_strongswan_mapping_somebody_before_us_is_left_alone)
RUN_TESTS("strongswan_mapping", TESTS)
