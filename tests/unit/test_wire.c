/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The wire format against the tables of docs/protocol.md 2, which stand here once more: lengths, fields and their
 * order, who sends what, and that no reply is longer than what asked for it.
 */
#include "wire.h"

#include <string.h>

#include "fields.h"
#include "runner.h"

#define POLICY_FIELDS                                                                                              \
    "policy.version_major policy.version_minor policy.max_lifetime_ms policy.transport_lost_ttl_ms "               \
    "policy.birth_window_ms policy.heartbeat_interval_ms policy.idle_interval_ms policy.heartbeat_volatile_ms "    \
    "policy.loss_window_ms policy.loss_volatile_threshold policy.max_consecutive_drops "                           \
    "policy.volatile_to_degraded_ms policy.stable_window_ms policy.latency_volatile_threshold_ms "                 \
    "policy.max_switches_per_min policy.switch_cooldown_ms policy.recovery_window_ms policy.hysteresis_margin "    \
    "policy.allowed_protocols policy.max_candidates policy.reattach_proof_max_age_ms policy.replay_window "        \
    "policy.key_max_age_ms"

enum { C = 1, S = 2 };

static const struct {
    uint8_t type, senders;
    size_t length;      /* whole; 0: reserved */
    const char *fields; /* NULL: no sealed body */
} page[16] = {
    { 0, S, 82, "keys0 keys1 version_least version_most" },
    { 1, C, 320, "keys0 keys1 version_least version_most capabilities want_lifetime_ms want_ttl_ms want_window_ms" },
    { 2, S, 243, "keys0 keys1 version_chosen state_version generation reset_key boot observed_ip observed_port "
                 POLICY_FIELDS },
    { 3, C, 144, "keys0 keys1 seq sent_at transport claims_binding generation received next_within_ms" },
    { 4, S, 110, "keys0 keys1 seq sent_at received bound state state_version" },
    { 5, S, 104, "keys0 keys1 seq generation state_version" },
    { 6, C, 144, "keys0 keys1 attempt state_version generation why voluntary transport protocol" },
    { 7, S, 138, "keys0 keys1 attempt challenge observed_ip observed_port state_version generation" },
    { 8, C, 144, "keys0 keys1 attempt challenge generation why voluntary transport protocol nat_seen" },
    { 9, S, 122, "keys0 keys1 attempt state_version generation observed_ip observed_port" },
    { 10, S, 109, "keys0 keys1 attempt reason retry_after_ms state_version generation" },
    { 11, C | S, 89, "keys0 keys1 reason state_version" },
    { 12, C | S, 89, "keys0 keys1 reason state_version" },
    { 13, 0, 0, NULL },
    { 14, S, 60, NULL },
    { 15, S, 84, NULL },
};

static uint8_t datagram[JUMP_MAX_DATAGRAM_BYTES + 8];

/* The field list's next name, copied out; false at its end. */
static bool next_name(const char **list, char name[64])
{
    size_t len = strcspn(*list, " ");
    if (len == 0)
        return false;
    memcpy(name, *list, len);
    name[len] = '\0';
    *list += len + ((*list)[len] == ' ');
    return true;
}

static size_t sealed_bytes(uint8_t type)
{
    return page[type].length - JUMP_HEADER_BYTES - JUMP_TAG_BYTES;
}

static void plain_header(uint8_t type)
{
    const struct jump_header header = { .type = type, .epoch = 0x1234, .counter = 7 };
    memset(datagram, 0, sizeof datagram);
    jump_wire_put_header(datagram, &header);
}

static void test_wire_types_have_the_lengths_and_senders_of_the_page(void)
{
    for (uint8_t type = 0; type < 16; type++) {
        CU_ASSERT_EQUAL(page[type].type, type);
        CU_ASSERT_EQUAL(jump_wire_length(type), page[type].length);
        CU_ASSERT_EQUAL(jump_wire_from_client(type), (page[type].senders & C) != 0);
        CU_ASSERT_EQUAL(jump_wire_from_server(type), (page[type].senders & S) != 0);
    }
    for (unsigned type = 16; type < 256; type++) {
        CU_ASSERT_EQUAL(jump_wire_length((uint8_t)type), 0);
        CU_ASSERT_FALSE(jump_wire_from_client((uint8_t)type));
        CU_ASSERT_FALSE(jump_wire_from_server((uint8_t)type));
    }
}

static void test_A24_each_type_has_exactly_one_length_but_probe_which_has_two(void)
{
    struct jump_header header;
    for (uint8_t type = 0; type < 16; type++) {
        unsigned accepted = 0;
        plain_header(type);
        for (size_t len = 0; len <= JUMP_MAX_DATAGRAM_BYTES; len++) {
            int result = jump_wire_get_header(&header, datagram, len);
            bool right = page[type].length != 0 && (len == page[type].length || (type == 3 && len == 1300));
            CU_ASSERT_EQUAL(result, right ? 0 : JUMP_ERR_MALFORMED);
            accepted += result == 0;
        }
        CU_ASSERT_EQUAL(accepted, type == 13 ? 0 : type == 3 ? 2 : 1);
    }
}

static void test_A25_every_version_but_1_is_refused(void)
{
    struct jump_header header;
    for (uint8_t type = 0; type < 16; type++) {
        if (page[type].length == 0)
            continue;
        for (unsigned version = 0; version < 16; version++) {
            plain_header(type);
            datagram[0] = (uint8_t)(version << 4 | type);
            CU_ASSERT_EQUAL(jump_wire_get_header(&header, datagram, page[type].length),
                            version == 1 ? 0 : JUMP_ERR_MALFORMED);
        }
    }
}

static void test_A24_every_flag_is_refused(void)
{
    struct jump_header header;
    for (uint8_t type = 0; type < 16; type++) {
        if (page[type].length == 0)
            continue;
        plain_header(type);
        CU_ASSERT_EQUAL(jump_wire_get_header(&header, datagram, page[type].length), 0);
        for (unsigned flags = 1; flags < 256; flags++) {
            datagram[1] = (uint8_t)flags;
            CU_ASSERT_EQUAL(jump_wire_get_header(&header, datagram, page[type].length), JUMP_ERR_MALFORMED);
        }
    }
}

static void test_wire_header_has_its_parts_where_the_page_says(void)
{
    struct jump_header header = { .type = 9, .epoch = 0xa1b2, .counter = UINT64_C(0x0102030405060708) }, back;
    for (uint8_t i = 0; i < 16; i++) {
        header.session_id.bytes[i] = (uint8_t)(0x20 + i);
        header.process[i] = (uint8_t)(0x40 + i);
        header.cookie[i] = (uint8_t)(0x60 + i);
    }
    memset(datagram, 0xee, sizeof datagram);
    jump_wire_put_header(datagram, &header);
    static const uint8_t expected[60] = {
        0x19, 0x00, 0xa1, 0xb2,
        0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f,
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
        0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f,
        0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
    };
    CU_ASSERT_EQUAL(memcmp(datagram, expected, sizeof expected), 0);
    CU_ASSERT_EQUAL(datagram[60], 0xee);
    CU_ASSERT_EQUAL(jump_wire_get_header(&back, datagram, 122), 0);
    CU_ASSERT_EQUAL(back.type, header.type);
    CU_ASSERT_EQUAL(back.flags, 0);
    CU_ASSERT_EQUAL(back.epoch, header.epoch);
    CU_ASSERT_EQUAL(back.counter, header.counter);
    CU_ASSERT_EQUAL(memcmp(&back.session_id, &header.session_id, sizeof back.session_id), 0);
    CU_ASSERT_EQUAL(memcmp(back.process, header.process, sizeof back.process), 0);
    CU_ASSERT_EQUAL(memcmp(back.cookie, header.cookie, sizeof back.cookie), 0);
}

static void test_A24_header_fields_at_their_limits_survive_a_round_trip(void)
{
    static const uint64_t counters[] = { 0, 1, UINT64_C(1) << 40, UINT64_C(1) << 63, UINT64_MAX };
    static const uint16_t epochs[] = { 0, 1, 0x8000, 0xffff };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        for (size_t k = 0; k < sizeof epochs / sizeof epochs[0]; k++) {
            struct jump_header header = { .type = 3, .epoch = epochs[k], .counter = counters[i] }, back;
            jump_wire_put_header(datagram, &header);
            CU_ASSERT_EQUAL(jump_wire_get_header(&back, datagram, 144), 0);
            CU_ASSERT_EQUAL(back.epoch, epochs[k]);
            CU_ASSERT_EQUAL(back.counter, counters[i]);
        }
    }
}

/* Each field alone: at its offset, big-endian, and nothing else of the body moves. */
static void check_field(uint8_t type, const struct body_field *field, size_t at)
{
    static const uint8_t patterns[][2] = { { 0x00, 0x00 }, { 0x00, 0x01 }, { 0x80, 0x00 }, { 0x7f, 0xff }, { 0xff, 0xff } };
    size_t len = sealed_bytes(type);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        uint8_t bytes[320], expected[320] = { 0 };
        struct jump_body body, back;
        /* first byte, middle, last byte: least, most, sign bit, one below it */
        memset(expected + at, patterns[i][0] == 0x7f || patterns[i][0] == 0xff ? 0xff : 0, field->size);
        expected[at] = field->size == 1 ? patterns[i][0] | patterns[i][1] : patterns[i][0];
        if (field->size > 1)
            expected[at + field->size - 1] = patterns[i][1];
        memset(&body, 0, sizeof body);
        body_field_set(&body, field, expected + at);
        memset(bytes, 0xee, sizeof bytes);
        jump_wire_put_body(bytes, len, type, &body);
        CU_ASSERT_EQUAL(memcmp(bytes, expected, len), 0);
        CU_ASSERT_EQUAL(bytes[len], 0xee);
        memset(&back, 0xee, sizeof back);
        CU_ASSERT_EQUAL(jump_wire_get_body(&back, type, bytes, len), 0);
        CU_ASSERT_EQUAL(memcmp(&back, &body, sizeof back), 0);
    }
}

static void test_A24_every_body_field_at_its_limits_survives_a_round_trip(void)
{
    for (uint8_t type = 0; type < 16; type++) {
        const char *list = page[type].fields;
        char name[64];
        size_t at = 0;
        while (list && next_name(&list, name)) {
            const struct body_field *field = body_field(name);
            CU_ASSERT_PTR_NOT_NULL_FATAL(field);
            check_field(type, field, at);
            at += field->size;
        }
        if (page[type].fields && !(page[type].senders == C))
            CU_ASSERT_EQUAL(at, sealed_bytes(type)); /* what a server sends has no padding */
        if (page[type].fields)
            CU_ASSERT_TRUE(at <= sealed_bytes(type));
    }
}

static bool lists(uint8_t type, const char *wanted)
{
    const char *list = page[type].fields;
    char name[64];
    while (list && next_name(&list, name))
        if (strcmp(name, wanted) == 0)
            return true;
    return false;
}

static void test_wire_no_type_carries_a_field_that_is_not_its_own(void)
{
    static const uint8_t ones[32] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff };
    static const uint8_t zeros[320];
    for (uint8_t type = 0; type < 13; type++) {
        for (size_t i = 0; i < BODY_FIELD_COUNT; i++) {
            uint8_t bytes[320];
            struct jump_body body = { 0 };
            body_field_set(&body, &body_fields[i], ones);
            jump_wire_put_body(bytes, sealed_bytes(type), type, &body);
            bool carried = memcmp(bytes, zeros, sealed_bytes(type)) != 0;
            CU_ASSERT_EQUAL(carried, lists(type, body_fields[i].name));
        }
    }
}

static void test_A24_padding_must_be_zero_and_a_short_body_is_refused(void)
{
    static const uint8_t padded[] = { 1, 3, 6, 8 };
    for (size_t i = 0; i < sizeof padded; i++) {
        uint8_t type = padded[i], bytes[320];
        struct jump_body body = { 0 }, back;
        const char *list = page[type].fields;
        char name[64];
        size_t used = 0, len = sealed_bytes(type);
        while (next_name(&list, name))
            used += body_field(name)->size;
        jump_wire_put_body(bytes, len, type, &body);
        for (size_t at = used; at < len; at++) {
            bytes[at] = 1;
            CU_ASSERT_EQUAL(jump_wire_get_body(&back, type, bytes, len), JUMP_ERR_MALFORMED);
            bytes[at] = 0;
        }
        CU_ASSERT_EQUAL(jump_wire_get_body(&back, type, bytes, len), 0);
        for (size_t shorter = 0; shorter < used; shorter++)
            CU_ASSERT_EQUAL(jump_wire_get_body(&back, type, bytes, shorter), JUMP_ERR_MALFORMED);
    }
}

static void test_A24_types_without_a_sealed_body_have_none_to_read(void)
{
    struct jump_body body;
    memset(datagram, 0, sizeof datagram);
    for (unsigned type = 13; type < 256; type++)
        CU_ASSERT_EQUAL(jump_wire_get_body(&body, (uint8_t)type, datagram, 24), JUMP_ERR_MALFORMED);
}

static void test_A14_no_reply_is_longer_than_what_asks_for_it(void)
{
    enum { BIRTH = 1, BIRTH_ACK, PROBE, PROBE_ACK, PATH_UNBOUND, REQUEST, CHALLENGE, PROOF, ACCEPT, DENY, TERMINATE,
           TERMINATE_ACK, COOKIE = 14, RESET };
    static const struct {
        uint8_t request, replies[8]; /* 0 ends the list */
    } answers[] = {
        { BIRTH, { BIRTH_ACK, TERMINATE, COOKIE } },
        { PROBE, { PROBE_ACK, PATH_UNBOUND, TERMINATE, RESET, COOKIE } },
        { REQUEST, { CHALLENGE, DENY, TERMINATE, RESET, COOKIE } },
        { PROOF, { ACCEPT, CHALLENGE, DENY, TERMINATE, RESET, COOKIE } },
        { TERMINATE, { TERMINATE_ACK, COOKIE } },
        { TERMINATE_ACK, { COOKIE } },
    };
    unsigned from_client = 0;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        CU_ASSERT_TRUE(jump_wire_from_client(answers[i].request));
        for (const uint8_t *reply = answers[i].replies; *reply; reply++) {
            CU_ASSERT_TRUE(jump_wire_from_server(*reply));
            CU_ASSERT_TRUE(jump_wire_length(*reply) <= jump_wire_length(answers[i].request));
        }
    }
    for (uint8_t type = 0; type < 16; type++)
        from_client += jump_wire_from_client(type);
    CU_ASSERT_EQUAL(from_client, sizeof answers / sizeof answers[0]); /* none was forgotten above */
    /* PROBE, REQUEST and PROOF are all as long as the longest of what answers any of them. */
    CU_ASSERT_TRUE(JUMP_PROBE_FULL_BYTES > JUMP_PROBE_BYTES);
    CU_ASSERT_EQUAL(jump_wire_length(REQUEST), jump_wire_length(PROOF));
}

#define TESTS(X)                                                             \
    X(test_wire_types_have_the_lengths_and_senders_of_the_page)              \
    X(test_wire_header_has_its_parts_where_the_page_says)                    \
    X(test_wire_no_type_carries_a_field_that_is_not_its_own)                 \
    X(test_A14_no_reply_is_longer_than_what_asks_for_it)                     \
    X(test_A24_each_type_has_exactly_one_length_but_probe_which_has_two)     \
    X(test_A24_every_flag_is_refused)                                        \
    X(test_A24_header_fields_at_their_limits_survive_a_round_trip)           \
    X(test_A24_every_body_field_at_its_limits_survives_a_round_trip)         \
    X(test_A24_padding_must_be_zero_and_a_short_body_is_refused)             \
    X(test_A24_types_without_a_sealed_body_have_none_to_read)                \
    X(test_A25_every_version_but_1_is_refused)

RUN_TESTS("wire", TESTS)
