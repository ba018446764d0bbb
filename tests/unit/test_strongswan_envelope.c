/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The strongSwan envelope (adapters/strongswan/envelope.c), against the vector of the reference too. VECTORS is that
 * file's path.
 */
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "strongswan/envelope.h"

#define WHOLE_MOST (JUMP_SWAN_ENVELOPE_BYTES + JUMP_MAX_DATAGRAM_BYTES)

/* A datagram of this message length, with bytes that all differ from their neighbours. @return its length */
static size_t wrapped(uint8_t out[WHOLE_MOST], bool from_client, size_t message_len)
{
    for (size_t i = 0; i < message_len; i++)
        out[JUMP_SWAN_ENVELOPE_BYTES + i] = (uint8_t)(i * 7 + 3);
    jump_swan_envelope_put(out, from_client, out + JUMP_SWAN_ENVELOPE_BYTES, message_len);
    return JUMP_SWAN_ENVELOPE_BYTES + message_len;
}

/* True if refused, and nothing was written. The bytes stand at the end of their own memory: reading on is an error. */
static bool refused(const uint8_t *bytes, size_t bytes_len)
{
    uint8_t *exact = malloc(bytes_len ? bytes_len : 1);
    size_t len = 12345;
    bool from_client = true, same;
    const uint8_t *message;

    memcpy(exact, bytes, bytes_len);
    message = jump_swan_envelope_open(exact, bytes_len, &len, &from_client);
    same = len == 12345 && from_client;
    from_client = false;
    message = message != NULL ? message : jump_swan_envelope_open(exact, bytes_len, &len, &from_client);
    (void)jump_swan_envelope_claims(exact, bytes_len);
    free(exact);
    return message == NULL && same && len == 12345 && !from_client;
}

static void test_strongswan_envelope_comes_off_as_it_was_put_on(void)
{
    static const size_t lens[] = {60, 61, 89, 144, 320, 1300, 1399, 1400};
    uint8_t bytes[WHOLE_MOST];

    for (size_t i = 0; i < 2 * sizeof lens / sizeof lens[0]; i++) {
        bool client = i & 1, from_client = !client;
        size_t len = wrapped(bytes, client, lens[i / 2]), message_len = 0;

        CU_ASSERT_TRUE(jump_swan_envelope_claims(bytes, len));
        CU_ASSERT_PTR_EQUAL(jump_swan_envelope_open(bytes, len, &message_len, &from_client),
                            bytes + JUMP_SWAN_ENVELOPE_BYTES);
        CU_ASSERT_EQUAL(message_len, lens[i / 2]);
        CU_ASSERT_EQUAL(from_client, client);
    }
}

static void test_strongswan_envelope_one_bit_of_it_or_of_the_id_is_refused(void)
{
    uint8_t bytes[WHOLE_MOST];

    for (unsigned client = 0; client < 2; client++) {
        size_t len = wrapped(bytes, client, 144);

        for (size_t bit = 0; bit < 8 * len; bit++) {
            size_t at = bit / 8;
            bool own = at < JUMP_SWAN_ENVELOPE_BYTES
                       || (at >= JUMP_SWAN_ENVELOPE_BYTES + 4 && at < JUMP_SWAN_ENVELOPE_BYTES + 20);

            bytes[at] ^= (uint8_t)(1u << bit % 8);
            CU_ASSERT_EQUAL(refused(bytes, len), own);
            bytes[at] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void test_strongswan_envelope_any_other_value_of_a_field_is_refused(void)
{
    uint8_t bytes[WHOLE_MOST];
    size_t len = wrapped(bytes, true, 144);

    for (size_t at = 16; at < JUMP_SWAN_ENVELOPE_BYTES; at++) {
        uint8_t right = bytes[at];

        for (unsigned value = 0; value < 256; value++) {
            bytes[at] = (uint8_t)value;
            /* flags: a server's are right too */
            CU_ASSERT_EQUAL(refused(bytes, len), value != right && !(at == 19 && value == 0x20));
        }
        bytes[at] = right;
    }
}

static void test_strongswan_envelope_every_truncation_is_refused(void)
{
    uint8_t bytes[WHOLE_MOST];
    size_t len = wrapped(bytes, false, 1400);

    for (size_t shorter = 0; shorter < len; shorter++)
        CU_ASSERT_TRUE(refused(bytes, shorter));
}

static void test_strongswan_envelope_too_short_or_long_a_message_is_refused(void)
{
    uint8_t bytes[WHOLE_MOST + 1];
    uint8_t *message = bytes + JUMP_SWAN_ENVELOPE_BYTES;

    memset(bytes, 0, sizeof bytes);
    for (size_t len = 20; len < 60; len++) { /* the length field agrees: it is the message that is none */
        jump_swan_envelope_put(bytes, true, message, len);
        CU_ASSERT_TRUE(refused(bytes, JUMP_SWAN_ENVELOPE_BYTES + len));
    }
    jump_swan_envelope_put(bytes, true, message, JUMP_MAX_DATAGRAM_BYTES + 1);
    CU_ASSERT_TRUE(refused(bytes, sizeof bytes));
    jump_swan_envelope_put(bytes, true, message, 144);
    CU_ASSERT_TRUE(refused(bytes, JUMP_SWAN_ENVELOPE_BYTES + 145)); /* a byte behind the end */
}

static void test_strongswan_envelope_claims_the_private_exchanges_of_ike_2_0_only(void)
{
    uint8_t bytes[JUMP_SWAN_ENVELOPE_BYTES] = {0};

    for (unsigned version = 0; version < 256; version++)
        for (unsigned exchange = 0; exchange < 256; exchange++) {
            bytes[17] = (uint8_t)version;
            bytes[18] = (uint8_t)exchange;
            CU_ASSERT_EQUAL(jump_swan_envelope_claims(bytes, sizeof bytes),
                            version == 0x20 && exchange >= 241 && exchange <= 254);
        }
    bytes[17] = 0x20;
    bytes[18] = 241;
    CU_ASSERT_TRUE(jump_swan_envelope_claims(bytes, 19)); /* cut off behind what says whose it is */
    for (size_t len = 0; len < 19; len++)
        CU_ASSERT_FALSE(jump_swan_envelope_claims(bytes, len));
}

static size_t vector(const char *name, uint8_t *out, size_t most)
{
    static char line[4096];
    FILE *file = fopen(VECTORS, "r");
    size_t len = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *at = line + strlen(name);

        if (strncmp(line, name, strlen(name)) != 0 || strncmp(at, " = ", 3) != 0)
            continue;
        for (at += 3; len < most && at[0] != '\n'; at += 2) {
            const char pair[3] = {at[0], at[1], 0};
            out[len++] = (uint8_t)strtoul(pair, NULL, 16);
        }
    }
    if (file != NULL)
        fclose(file);
    return len;
}

static void test_strongswan_envelope_is_that_of_the_reference(void)
{
    static const struct {
        const char *message, *datagram;
        bool from_client;
    } cases[] = {{"probe.message", "strongswan_envelope.from_client", true},
                 {"birth_offer.message", "strongswan_envelope.from_server", false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t message[WHOLE_MOST], datagram[WHOLE_MOST], envelope[JUMP_SWAN_ENVELOPE_BYTES];
        size_t message_len = vector(cases[i].message, message, sizeof message), opened_len = 0;
        size_t len = vector(cases[i].datagram, datagram, sizeof datagram);
        bool from_client = !cases[i].from_client;
        const uint8_t *opened = jump_swan_envelope_open(datagram, len, &opened_len, &from_client);

        CU_ASSERT_EQUAL_FATAL(len, message_len + JUMP_SWAN_ENVELOPE_BYTES);
        CU_ASSERT_PTR_NOT_NULL_FATAL(opened);
        CU_ASSERT_EQUAL(opened_len, message_len);
        CU_ASSERT_EQUAL(memcmp(opened, message, message_len), 0);
        CU_ASSERT_EQUAL(from_client, cases[i].from_client);
        jump_swan_envelope_put(envelope, cases[i].from_client, message, message_len);
        CU_ASSERT_EQUAL(memcmp(envelope, datagram, sizeof envelope), 0);
    }
}

#define TESTS(X)                                                        \
    X(test_strongswan_envelope_comes_off_as_it_was_put_on)              \
    X(test_strongswan_envelope_one_bit_of_it_or_of_the_id_is_refused)   \
    X(test_strongswan_envelope_any_other_value_of_a_field_is_refused)   \
    X(test_strongswan_envelope_every_truncation_is_refused)             \
    X(test_strongswan_envelope_too_short_or_long_a_message_is_refused)  \
    X(test_strongswan_envelope_claims_the_private_exchanges_of_ike_2_0_only) \
    X(test_strongswan_envelope_is_that_of_the_reference)
RUN_TESTS("strongswan_envelope", TESTS)
