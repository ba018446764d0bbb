/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The core against tests/vectors/vectors.txt, which an implementation in another language wrote: the same bytes out
 * of the same inputs, the same fields out of the same bytes, and for each message its refused siblings, those that
 * are sealed with the right key included. VECTORS is the file's path.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jumping/audit.h>

#include "fields.h"
#include "keys.h"
#include "runner.h"
#include "seal.h"
#include "wire.h"

/* --- the file ------------------------------------------------------------------------------------------------- */

#define MOST_VECTORS 400
#define MOST_BYTES 1300

struct vector {
    char name[64];
    size_t len;
    uint8_t bytes[MOST_BYTES];
};
static struct vector vectors[MOST_VECTORS];
static size_t vector_count;

static void give_up(const char *what, const char *where)
{
    fprintf(stderr, "test_vectors: %s: %s\n", what, where);
    exit(1);
}

static void read_line(char *line)
{
    struct vector *v = &vectors[vector_count];
    char *value = strstr(line, " = ");
    if (line[0] == '#' || line[0] == '\n')
        return;
    if (!value || vector_count == MOST_VECTORS)
        give_up("not a vector, or one too many", line);
    *value = '\0';
    value += 3;
    size_t digits = strcspn(value, "\n");
    if (strlen(line) >= sizeof v->name || digits > 2 * MOST_BYTES)
        give_up("too long", line);
    strcpy(v->name, line);
    const char *end;
    if (sodium_hex2bin(v->bytes, sizeof v->bytes, value, digits, NULL, &v->len, &end) != 0 || end != value + digits)
        give_up("not hexadecimal", line);
    vector_count++;
}

static void read_vectors(void)
{
    static char line[2 * MOST_BYTES + 128];
    if (vector_count > 0)
        return;
    FILE *file = fopen(VECTORS, "r");
    if (!file || sodium_init() < 0)
        give_up("cannot be read", VECTORS);
    while (fgets(line, sizeof line, file))
        read_line(line);
    fclose(file);
}

static const struct vector *find(const char *name)
{
    read_vectors();
    for (size_t i = 0; i < vector_count; i++)
        if (strcmp(vectors[i].name, name) == 0)
            return &vectors[i];
    return NULL;
}

static const struct vector *want(const char *name)
{
    const struct vector *v = find(name);
    if (!v)
        give_up("no such vector", name);
    return v;
}

static const struct vector *of(const char *group, const char *name)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s.%s", group, name);
    return want(whole);
}

static const uint8_t *bytes_of(const char *name, size_t len)
{
    const struct vector *v = want(name);
    if (v->len != len)
        give_up("has another length", name);
    return v->bytes;
}

static uint64_t number(const char *name)
{
    const struct vector *v = want(name);
    uint64_t value = 0;
    for (size_t i = 0; i < v->len; i++)
        value = value << 8 | v->bytes[i];
    return value;
}

static bool is(const struct vector *v, const void *bytes, size_t len)
{
    return v->len == len && memcmp(v->bytes, bytes, len) == 0;
}

static struct jump_id session_id(void)
{
    struct jump_id id;
    memcpy(id.bytes, bytes_of("openvpn.session_id", sizeof id.bytes), sizeof id.bytes);
    return id;
}

static struct jump_keys keys_of(const char *epoch)
{
    struct jump_keys keys;
    struct jump_id id = session_id();
    jump_keys_epoch(&keys, &id, of(epoch, "secret")->bytes);
    return keys;
}

/* --- keys ----------------------------------------------------------------------------------------------------- */

static void test_vectors_session_ids_are_those_of_the_reference(void)
{
    struct jump_id id;
    CU_ASSERT_EQUAL(number("openvpn.host_kind"), JUMP_HOST_OPENVPN);
    CU_ASSERT_EQUAL(number("strongswan.host_kind"), JUMP_HOST_STRONGSWAN);
    jump_keys_session_id(&id, JUMP_HOST_OPENVPN, bytes_of("openvpn.secret", JUMP_SECRET_BYTES));
    CU_ASSERT_TRUE(is(want("openvpn.session_id"), &id, sizeof id));
    jump_keys_session_id(&id, JUMP_HOST_STRONGSWAN, bytes_of("strongswan.secret", JUMP_SECRET_BYTES));
    CU_ASSERT_TRUE(is(want("strongswan.session_id"), &id, sizeof id));
    CU_ASSERT_FALSE(is(want("openvpn.session_id"), &id, sizeof id)); /* the same secret of another host */
}

static void test_vectors_epoch_keys_and_fingerprints_are_those_of_the_reference(void)
{
    static const char *const epochs[] = { "epoch0", "epoch1", "epoch_zero" };
    for (size_t i = 0; i < sizeof epochs / sizeof epochs[0]; i++) {
        struct jump_keys keys = keys_of(epochs[i]);
        uint8_t fingerprint[2] = { (uint8_t)(keys.fingerprint >> 8), (uint8_t)keys.fingerprint };
        CU_ASSERT_TRUE(is(of(epochs[i], "c2s"), keys.c2s, sizeof keys.c2s));
        CU_ASSERT_TRUE(is(of(epochs[i], "s2c"), keys.s2c, sizeof keys.s2c));
        CU_ASSERT_TRUE(is(of(epochs[i], "fingerprint"), fingerprint, sizeof fingerprint));
        CU_ASSERT_NOT_EQUAL(memcmp(keys.c2s, keys.s2c, sizeof keys.c2s), 0);
    }
    CU_ASSERT_EQUAL(keys_of("epoch_zero").fingerprint, 1); /* its own hash is 0, which would mean "none" */
}

static void test_vectors_one_bit_of_any_input_changes_every_key(void)
{
    uint8_t secret[JUMP_SECRET_BYTES];
    struct jump_id id = session_id(), other_id;
    struct jump_keys right = keys_of("epoch0"), keys;
    memcpy(secret, want("epoch0.secret")->bytes, sizeof secret);
    for (size_t bit = 0; bit < 8 * sizeof secret; bit++) {
        secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
        jump_keys_epoch(&keys, &id, secret);
        CU_ASSERT_NOT_EQUAL(memcmp(keys.c2s, right.c2s, sizeof keys.c2s), 0);
        CU_ASSERT_NOT_EQUAL(memcmp(keys.s2c, right.s2c, sizeof keys.s2c), 0);
        jump_keys_session_id(&other_id, JUMP_HOST_OPENVPN, secret);
        CU_ASSERT_NOT_EQUAL(memcmp(&other_id, &id, sizeof id), 0);
        secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof id; bit++) {
        other_id = id;
        other_id.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        jump_keys_epoch(&keys, &other_id, secret);
        CU_ASSERT_NOT_EQUAL(memcmp(keys.c2s, right.c2s, sizeof keys.c2s), 0);
        CU_ASSERT_NOT_EQUAL(memcmp(keys.s2c, right.s2c, sizeof keys.s2c), 0);
    }
}

static void test_vectors_reset_key_and_subkeys_are_those_of_the_reference(void)
{
    struct jump_id id = session_id();
    const uint8_t *root = bytes_of("derive.root", JUMP_SECRET_BYTES);
    uint8_t out[32];
    jump_keys_reset(out, bytes_of("reset_key.instance_key", JUMP_SECRET_BYTES), &id);
    CU_ASSERT_TRUE(is(want("reset_key.key"), out, sizeof out));
    jump_keys_derive(out, 16, root, "process");
    CU_ASSERT_TRUE(is(want("derive.process"), out, 16));
    jump_keys_derive(out, 16, root, "hash");
    CU_ASSERT_TRUE(is(want("derive.hash"), out, 16));
    jump_keys_derive(out, 32, root, "challenge");
    CU_ASSERT_TRUE(is(want("derive.challenge"), out, 32));
    jump_keys_derive(out, 32, root, "cookie");
    CU_ASSERT_TRUE(is(want("derive.cookie"), out, 32));
}

/* --- keyed hashes --------------------------------------------------------------------------------------------- */

static struct jump_path path_of_the_file(void)
{
    struct jump_path path = { .scope = (uint32_t)number("path.scope"), .port = (uint16_t)number("path.port"),
                              .proto = (uint8_t)number("path.protocol"), .transport = 9 /* not part of it */ };
    memcpy(path.ip, bytes_of("path.ip", sizeof path.ip), sizeof path.ip);
    return path;
}

static void test_vectors_challenge_is_that_of_the_reference_and_of_nothing_else(void)
{
    uint8_t challenge[JUMP_CHALLENGE_BYTES];
    struct jump_id id = session_id(), other_id = id;
    struct jump_path path = path_of_the_file(), other;
    const struct vector *right = want("challenge.challenge");
    const uint8_t *key = bytes_of("challenge.key", JUMP_SECRET_BYTES);
    uint64_t attempt = number("challenge.attempt"), bucket = number("challenge.bucket");
    jump_seal_challenge(challenge, key, &id, attempt, &path, bucket);
    CU_ASSERT_TRUE(is(right, challenge, sizeof challenge));
    jump_seal_challenge(challenge, key, &id, attempt + 1, &path, bucket);
    CU_ASSERT_FALSE(is(right, challenge, sizeof challenge));
    jump_seal_challenge(challenge, key, &id, attempt, &path, bucket - 1);
    CU_ASSERT_FALSE(is(right, challenge, sizeof challenge));
    jump_seal_challenge(challenge, want("cookie.key")->bytes, &id, attempt, &path, bucket);
    CU_ASSERT_FALSE(is(right, challenge, sizeof challenge));
    other_id.bytes[15] ^= 1;
    jump_seal_challenge(challenge, key, &other_id, attempt, &path, bucket);
    CU_ASSERT_FALSE(is(right, challenge, sizeof challenge));
    for (size_t at = 0; at < offsetof(struct jump_path, transport); at++) {
        other = path;
        ((uint8_t *)&other)[at] ^= 1;
        jump_seal_challenge(challenge, key, &id, attempt, &other, bucket);
        CU_ASSERT_FALSE(is(right, challenge, sizeof challenge));
    }
}

static void test_vectors_cookie_is_that_of_the_reference_and_of_nothing_else(void)
{
    uint8_t cookie[JUMP_COOKIE_BYTES];
    struct jump_path path = path_of_the_file(), other;
    const struct vector *right = want("cookie.cookie");
    const uint8_t *key = bytes_of("cookie.key", JUMP_SECRET_BYTES);
    uint64_t bucket = number("cookie.bucket");
    jump_seal_cookie(cookie, key, &path, bucket);
    CU_ASSERT_TRUE(is(right, cookie, sizeof cookie));
    jump_seal_cookie(cookie, key, &path, bucket + 1);
    CU_ASSERT_FALSE(is(right, cookie, sizeof cookie));
    for (size_t at = 0; at < offsetof(struct jump_path, transport); at++) {
        other = path;
        ((uint8_t *)&other)[at] ^= 1;
        jump_seal_cookie(cookie, key, &other, bucket);
        CU_ASSERT_FALSE(is(right, cookie, sizeof cookie));
    }
}

static void test_vectors_reset_mac_is_that_of_the_reference_and_of_nothing_else(void)
{
    uint8_t mac[JUMP_RESET_MAC_BYTES], nonce[JUMP_NONCE_BYTES];
    const struct vector *right = want("reset.mac");
    const uint8_t *key = bytes_of("reset_key.key", JUMP_RESET_KEY_BYTES);
    memcpy(nonce, bytes_of("reset.nonce", sizeof nonce), sizeof nonce);
    jump_seal_reset(mac, key, number("reset.boot"), nonce);
    CU_ASSERT_TRUE(is(right, mac, sizeof mac));
    jump_seal_reset(mac, key, number("reset.boot") + 1, nonce);
    CU_ASSERT_FALSE(is(right, mac, sizeof mac));
    for (size_t at = 0; at < sizeof nonce; at++) {
        nonce[at] ^= 1;
        jump_seal_reset(mac, key, number("reset.boot"), nonce);
        CU_ASSERT_FALSE(is(right, mac, sizeof mac));
        nonce[at] ^= 1;
    }
}

static void test_vectors_audit_link_is_that_of_the_reference(void)
{
    uint8_t link[JUMP_CHAIN_BYTES];
    const struct vector *line = want("audit.line");
    const uint8_t *key = bytes_of("audit.key", JUMP_CHAIN_KEY_BYTES);
    jump_audit_link(link, key, (const char *)line->bytes, line->len);
    CU_ASSERT_TRUE(is(want("audit.link"), link, sizeof link));
    jump_audit_link(link, key, (const char *)line->bytes, line->len - 1);
    CU_ASSERT_FALSE(is(want("audit.link"), link, sizeof link));
    jump_audit_link(link, key, "", 0);
    CU_ASSERT_TRUE(is(want("audit.link_of_nothing"), link, sizeof link));
}

/* --- sealed messages ------------------------------------------------------------------------------------------ */

/* Every sealed type in every direction it travels; the full-size PROBE too. */
static const char *const cases[] = {
    "birth_offer", "birth", "birth_ack", "probe", "probe_full", "probe_ack", "path_unbound", "reattach_request",
    "reattach_challenge", "reattach_proof", "reattach_accept", "reattach_deny", "terminate_from_client",
    "terminate_from_server", "terminate_ack_from_client", "terminate_ack_from_server"
};
#define CASE_COUNT (sizeof cases / sizeof cases[0])

struct message {
    const char *name;
    bool from_client;
    struct jump_header header;
    struct jump_body body;
    uint8_t key[JUMP_KEY_BYTES], other_key[JUMP_KEY_BYTES]; /* its direction's, the other's */
    size_t len, body_len, used;                             /* used: bytes of fields, before the padding */
    uint8_t bytes[MOST_BYTES + 1];
};

static void load(struct message *m, const char *name)
{
    struct jump_keys keys = keys_of("epoch0");
    char prefix[64];
    memset(m, 0, sizeof *m);
    m->name = name;
    m->from_client = of(name, "from_client")->bytes[0];
    memcpy(m->key, m->from_client ? keys.c2s : keys.s2c, sizeof m->key);
    memcpy(m->other_key, m->from_client ? keys.s2c : keys.c2s, sizeof m->key);
    m->header.type = of(name, "type")->bytes[0];
    m->header.epoch = keys.fingerprint;
    m->header.session_id = session_id();
    const uint8_t *nonce = of(name, "nonce")->bytes;
    for (size_t i = 0; i < 8; i++)
        m->header.counter = m->header.counter << 8 | nonce[i];
    memcpy(m->header.process, nonce + 8, sizeof m->header.process);
    memcpy(m->header.cookie, of(name, "cookie")->bytes, sizeof m->header.cookie);
    snprintf(prefix, sizeof prefix, "%s.body.", name);
    for (size_t i = 0; i < vector_count; i++) {
        const struct vector *v = &vectors[i];
        if (strncmp(v->name, prefix, strlen(prefix)) != 0)
            continue;
        const struct body_field *field = body_field(v->name + strlen(prefix));
        if (!field || field->size != v->len)
            give_up("no field of this name and size", v->name);
        body_field_set(&m->body, field, v->bytes);
        m->used += field->size;
    }
    m->len = of(name, "message")->len;
    m->body_len = m->len - JUMP_HEADER_BYTES - JUMP_TAG_BYTES;
    memcpy(m->bytes, of(name, "message")->bytes, m->len);
}

/* Everything that a receiver without a session can check. The body must be zero after a refusal. */
static bool accepted(const uint8_t *bytes, size_t len, const uint8_t *key, bool from_client)
{
    static const struct jump_body zero;
    struct jump_header header;
    struct jump_body body;
    /* exactly `len` bytes, so that a sanitizer sees a read behind them */
    uint8_t *copy = malloc(len);
    memcpy(copy, bytes, len);
    memset(&body, 0xee, sizeof body);
    bool fits = jump_wire_get_header(&header, copy, len) == 0 &&
                (from_client ? jump_wire_from_client(header.type) : jump_wire_from_server(header.type));
    if (fits) {
        fits = jump_seal_open(&body, &header, copy, len, key) == 0;
        if (!fits)
            CU_ASSERT_EQUAL(memcmp(&body, &zero, sizeof body), 0);
    }
    free(copy);
    return fits;
}

/* Seal anything with a key that is right, by libsodium itself: what only a peer gone wrong can send. */
static void seal_again(uint8_t *bytes, const uint8_t *plain, size_t plain_len, const uint8_t *key)
{
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes + JUMP_HEADER_BYTES, NULL, plain, plain_len, bytes,
                                               JUMP_HEADER_BYTES, NULL, bytes + JUMP_AT_NONCE, key);
}

#define FOR_EACH_MESSAGE(m)                                          \
    struct message m;                                                \
    for (size_t at_case = 0; at_case < CASE_COUNT; at_case++)        \
        if (load(&m, cases[at_case]), true)

static void test_vectors_the_core_encodes_every_message_as_the_reference_does(void)
{
    FOR_EACH_MESSAGE(m) {
        uint8_t bytes[MOST_BYTES + 1], plain[MOST_BYTES];
        memset(bytes, 0xee, sizeof bytes);
        jump_seal_message(bytes, m.len, &m.header, &m.body, m.key);
        CU_ASSERT_TRUE(is(of(m.name, "message"), bytes, m.len));
        CU_ASSERT_EQUAL(bytes[m.len], 0xee);
        jump_wire_put_body(plain, m.body_len, m.header.type, &m.body);
        CU_ASSERT_TRUE(is(of(m.name, "plain"), plain, m.body_len));
    }
}

static void test_vectors_the_core_opens_every_message_of_the_reference(void)
{
    FOR_EACH_MESSAGE(m) {
        struct jump_header header;
        struct jump_body body;
        memset(&header, 0, sizeof header);
        memset(&body, 0xee, sizeof body);
        CU_ASSERT_EQUAL_FATAL(jump_wire_get_header(&header, m.bytes, m.len), 0);
        CU_ASSERT_EQUAL(header.type, m.header.type);
        CU_ASSERT_EQUAL(header.epoch, m.header.epoch);
        CU_ASSERT_EQUAL(header.counter, m.header.counter);
        CU_ASSERT_EQUAL(memcmp(&header.session_id, &m.header.session_id, sizeof header.session_id), 0);
        CU_ASSERT_EQUAL(memcmp(header.process, m.header.process, sizeof header.process), 0);
        CU_ASSERT_EQUAL(memcmp(header.cookie, m.header.cookie, sizeof header.cookie), 0);
        CU_ASSERT_EQUAL(jump_seal_open(&body, &header, m.bytes, m.len, m.key), 0);
        CU_ASSERT_EQUAL(memcmp(&body, &m.body, sizeof body), 0);
        CU_ASSERT_TRUE(accepted(m.bytes, m.len, m.key, m.from_client));
    }
}

static void test_vectors_every_field_of_every_message_is_set(void)
{
    FOR_EACH_MESSAGE(m) {
        const struct vector *plain = of(m.name, "plain");
        CU_ASSERT_EQUAL(plain->len, m.body_len);
        for (size_t at = 0; at < m.body_len; at++)
            CU_ASSERT_EQUAL(plain->bytes[at] != 0, at < m.used);
    }
}

static void test_A24_one_bit_flipped_anywhere_is_refused(void)
{
    FOR_EACH_MESSAGE(m) {
        unsigned passed = 0;
        for (size_t bit = 0; bit < 8 * m.len; bit++) {
            m.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            passed += accepted(m.bytes, m.len, m.key, m.from_client);
            m.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        CU_ASSERT_EQUAL(passed, 0);
        CU_ASSERT_TRUE(accepted(m.bytes, m.len, m.key, m.from_client));
    }
}

static void test_A24_truncated_message_is_refused(void)
{
    FOR_EACH_MESSAGE(m) {
        for (size_t len = 0; len < m.len; len++)
            CU_ASSERT_FALSE(accepted(m.bytes, len, m.key, m.from_client));
        /* sealed again, one byte of the body less: the tag fits, the length does not */
        const struct vector *plain = of(m.name, "plain");
        seal_again(m.bytes, plain->bytes, plain->len - 1, m.key);
        CU_ASSERT_FALSE(accepted(m.bytes, m.len - 1, m.key, m.from_client));
    }
}

static void test_A24_trailing_byte_is_refused(void)
{
    FOR_EACH_MESSAGE(m) {
        uint8_t plain[MOST_BYTES] = { 0 };
        CU_ASSERT_FALSE(accepted(m.bytes, m.len + 1, m.key, m.from_client));
        if (m.len == MOST_BYTES)
            continue; /* the longest there is; the line above is the test */
        memcpy(plain, of(m.name, "plain")->bytes, m.body_len);
        uint8_t longer[MOST_BYTES + 1];
        memcpy(longer, m.bytes, JUMP_HEADER_BYTES);
        seal_again(longer, plain, m.body_len + 1, m.key);
        CU_ASSERT_FALSE(accepted(longer, m.len + 1, m.key, m.from_client));
    }
}

static void test_A24_flags_that_are_not_zero_are_refused_though_sealed(void)
{
    FOR_EACH_MESSAGE(m) {
        for (unsigned flags = 1; flags < 256; flags <<= 1) {
            m.bytes[JUMP_AT_FLAGS] = (uint8_t)flags;
            seal_again(m.bytes, of(m.name, "plain")->bytes, m.body_len, m.key);
            CU_ASSERT_FALSE(accepted(m.bytes, m.len, m.key, m.from_client));
        }
        m.bytes[JUMP_AT_FLAGS] = 0;
        seal_again(m.bytes, of(m.name, "plain")->bytes, m.body_len, m.key);
        CU_ASSERT_TRUE(accepted(m.bytes, m.len, m.key, m.from_client)); /* it was the flags */
    }
}

static void test_A24_padding_that_is_not_zero_is_refused_though_sealed(void)
{
    unsigned padded = 0;
    FOR_EACH_MESSAGE(m) {
        uint8_t plain[MOST_BYTES];
        memcpy(plain, of(m.name, "plain")->bytes, m.body_len);
        padded += m.used < m.body_len;
        for (size_t at = m.used; at < m.body_len; at++) {
            plain[at] = 0x80;
            seal_again(m.bytes, plain, m.body_len, m.key);
            CU_ASSERT_FALSE(accepted(m.bytes, m.len, m.key, m.from_client));
            plain[at] = 0;
        }
        seal_again(m.bytes, plain, m.body_len, m.key);
        CU_ASSERT_TRUE(accepted(m.bytes, m.len, m.key, m.from_client)); /* it was the padding */
    }
    CU_ASSERT_EQUAL(padded, 5); /* BIRTH, both PROBEs, REQUEST, PROOF */
}

static void test_A25_other_version_is_refused_though_sealed(void)
{
    FOR_EACH_MESSAGE(m) {
        for (unsigned version = 0; version < 16; version++) {
            m.bytes[0] = (uint8_t)(version << 4 | m.header.type);
            seal_again(m.bytes, of(m.name, "plain")->bytes, m.body_len, m.key);
            CU_ASSERT_EQUAL(accepted(m.bytes, m.len, m.key, m.from_client), version == 1);
        }
    }
}

static void test_A26_reflected_message_is_refused(void)
{
    FOR_EACH_MESSAGE(m) {
        /* back to who sent it: there the other direction's key opens */
        CU_ASSERT_FALSE(accepted(m.bytes, m.len, m.other_key, !m.from_client));
        CU_ASSERT_FALSE(accepted(m.bytes, m.len, m.other_key, m.from_client));
        /* a type that travels one way only is refused the other way, whatever the key */
        bool both = jump_wire_from_client(m.header.type) && jump_wire_from_server(m.header.type);
        CU_ASSERT_EQUAL(accepted(m.bytes, m.len, m.key, !m.from_client), both);
        CU_ASSERT_EQUAL(both, m.header.type == JUMP_MSG_TERMINATE || m.header.type == JUMP_MSG_TERMINATE_ACK);
        /* sealed with the wrong direction's key */
        seal_again(m.bytes, of(m.name, "plain")->bytes, m.body_len, m.other_key);
        CU_ASSERT_FALSE(accepted(m.bytes, m.len, m.key, m.from_client));
    }
}

static void test_A22_key_of_another_epoch_opens_nothing(void)
{
    struct jump_keys other = keys_of("epoch1");
    FOR_EACH_MESSAGE(m)
        CU_ASSERT_FALSE(accepted(m.bytes, m.len, m.from_client ? other.c2s : other.s2c, m.from_client));
}

/* --- COOKIE and RESET: no tag ---------------------------------------------------------------------------------- */

static void check_clear_message(const char *name, const uint8_t *bytes, size_t len, uint8_t type)
{
    uint8_t changed[128] = { 0 };
    struct jump_header header;
    struct jump_body body;
    const struct vector *nonce = of(name, "nonce"), *message = of(name, "message");
    CU_ASSERT_TRUE(is(message, bytes, len));
    CU_ASSERT_EQUAL_FATAL(jump_wire_get_header(&header, message->bytes, message->len), 0);
    CU_ASSERT_EQUAL(header.type, type);
    CU_ASSERT_EQUAL(memcmp(message->bytes + JUMP_AT_NONCE, nonce->bytes, JUMP_NONCE_BYTES), 0);
    CU_ASSERT_FALSE(jump_wire_from_client(type)); /* A26: never towards a server */
    CU_ASSERT_NOT_EQUAL(jump_seal_open(&body, &header, message->bytes, message->len, keys_of("epoch0").s2c), 0);
    memcpy(changed, message->bytes, message->len);
    CU_ASSERT_NOT_EQUAL(jump_wire_get_header(&header, changed, message->len - 1), 0);
    CU_ASSERT_NOT_EQUAL(jump_wire_get_header(&header, changed, message->len + 1), 0);
    changed[JUMP_AT_FLAGS] = 1;
    CU_ASSERT_NOT_EQUAL(jump_wire_get_header(&header, changed, message->len), 0);
    changed[JUMP_AT_FLAGS] = 0;
    changed[0] = (uint8_t)(2 << 4 | type);
    CU_ASSERT_NOT_EQUAL(jump_wire_get_header(&header, changed, message->len), 0);
}

static void clear_header(uint8_t *bytes, const char *name, uint8_t type, const uint8_t *cookie)
{
    struct jump_header header = { .type = type, .epoch = keys_of("epoch0").fingerprint, .session_id = session_id() };
    const uint8_t *nonce = of(name, "nonce")->bytes;
    for (size_t i = 0; i < 8; i++)
        header.counter = header.counter << 8 | nonce[i];
    memcpy(header.process, nonce + 8, sizeof header.process);
    if (cookie)
        memcpy(header.cookie, cookie, sizeof header.cookie);
    jump_wire_put_header(bytes, &header);
}

static void test_vectors_cookie_message_is_that_of_the_reference(void)
{
    uint8_t bytes[JUMP_HEADER_BYTES], cookie[JUMP_COOKIE_BYTES];
    struct jump_path path = path_of_the_file();
    jump_seal_cookie(cookie, want("cookie.key")->bytes, &path, number("cookie.bucket"));
    clear_header(bytes, "cookie", JUMP_MSG_COOKIE, cookie);
    check_clear_message("cookie", bytes, sizeof bytes, JUMP_MSG_COOKIE);
}

static void test_vectors_reset_message_is_that_of_the_reference(void)
{
    uint8_t bytes[JUMP_HEADER_BYTES + JUMP_RESET_BYTES], reset_key[JUMP_RESET_KEY_BYTES];
    struct jump_id id = session_id();
    uint64_t boot = number("reset.boot");
    clear_header(bytes, "reset", JUMP_MSG_RESET, NULL);
    for (size_t i = 0; i < 8; i++)
        bytes[JUMP_HEADER_BYTES + i] = (uint8_t)(boot >> (56 - 8 * i));
    jump_keys_reset(reset_key, want("reset_key.instance_key")->bytes, &id);
    jump_seal_reset(bytes + JUMP_HEADER_BYTES + 8, reset_key, boot, bytes + JUMP_AT_NONCE);
    check_clear_message("reset", bytes, sizeof bytes, JUMP_MSG_RESET);
}

#define TESTS(X)                                                             \
    X(test_vectors_session_ids_are_those_of_the_reference)                   \
    X(test_vectors_epoch_keys_and_fingerprints_are_those_of_the_reference)   \
    X(test_vectors_one_bit_of_any_input_changes_every_key)                   \
    X(test_vectors_reset_key_and_subkeys_are_those_of_the_reference)         \
    X(test_vectors_challenge_is_that_of_the_reference_and_of_nothing_else)   \
    X(test_vectors_cookie_is_that_of_the_reference_and_of_nothing_else)      \
    X(test_vectors_reset_mac_is_that_of_the_reference_and_of_nothing_else)   \
    X(test_vectors_audit_link_is_that_of_the_reference)                      \
    X(test_vectors_the_core_encodes_every_message_as_the_reference_does)     \
    X(test_vectors_the_core_opens_every_message_of_the_reference)            \
    X(test_vectors_every_field_of_every_message_is_set)                      \
    X(test_A24_one_bit_flipped_anywhere_is_refused)                          \
    X(test_A24_truncated_message_is_refused)                                 \
    X(test_A24_trailing_byte_is_refused)                                     \
    X(test_A24_flags_that_are_not_zero_are_refused_though_sealed)            \
    X(test_A24_padding_that_is_not_zero_is_refused_though_sealed)            \
    X(test_A25_other_version_is_refused_though_sealed)                       \
    X(test_A26_reflected_message_is_refused)                                 \
    X(test_A22_key_of_another_epoch_opens_nothing)                           \
    X(test_vectors_cookie_message_is_that_of_the_reference)                  \
    X(test_vectors_reset_message_is_that_of_the_reference)

RUN_TESTS("vectors", TESTS)
