/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Encode and decode only: no keys, no state. The bodies are rows of fields, so that one loop writes and one
 * loop reads them all, and no length is worked out twice. Read next: seal.c (what happens to the bytes).
 */
#include <string.h>

#include "wire.h"

struct field {
    uint16_t at;   /* offset in struct jump_body */
    uint8_t size;  /* bytes, here and on the wire */
    uint8_t bytes; /* 1: an array of bytes, copied as it is; 0: an integer */
};

#define INTEGER(name) { offsetof(struct jump_body, name), sizeof(((struct jump_body *)0)->name), 0 }
#define BYTES(name) { offsetof(struct jump_body, name), sizeof(((struct jump_body *)0)->name), 1 }
#define KEYS INTEGER(keys[0]), INTEGER(keys[1])
#define OBSERVED BYTES(observed_ip), INTEGER(observed_port)
#define END { 0, 0, 0 }

static const struct field birth_offer[] = { KEYS, INTEGER(version_least), INTEGER(version_most), END };
static const struct field birth[] = { KEYS, INTEGER(version_least), INTEGER(version_most), INTEGER(capabilities),
                                      INTEGER(want_lifetime_ms), INTEGER(want_ttl_ms), INTEGER(want_window_ms), END };
static const struct field birth_ack[] = {
    KEYS, INTEGER(version_chosen), INTEGER(state_version), INTEGER(generation), BYTES(reset_key), INTEGER(boot), OBSERVED,
    INTEGER(policy.version_major), INTEGER(policy.version_minor),
#define X(section, key, type, required, least, most, preset, help) INTEGER(policy.key),
    JUMP_POLICY_ROWS(X)
#undef X
        END
};
static const struct field probe[] = { KEYS, INTEGER(seq), INTEGER(sent_at), INTEGER(transport), INTEGER(claims_binding),
                                      INTEGER(generation), INTEGER(received), INTEGER(next_within_ms), END };
static const struct field probe_ack[] = { KEYS, INTEGER(seq), INTEGER(sent_at), INTEGER(received), INTEGER(bound),
                                          INTEGER(state), INTEGER(state_version), END };
static const struct field path_unbound[] = { KEYS, INTEGER(seq), INTEGER(generation), INTEGER(state_version), END };
static const struct field request[] = { KEYS, INTEGER(attempt), INTEGER(state_version), INTEGER(generation), INTEGER(why),
                                        INTEGER(voluntary), INTEGER(transport), INTEGER(protocol), END };
static const struct field challenge[] = { KEYS, INTEGER(attempt), BYTES(challenge), OBSERVED, INTEGER(state_version),
                                          INTEGER(generation), END };
static const struct field proof[] = { KEYS, INTEGER(attempt), BYTES(challenge), INTEGER(generation), INTEGER(why),
                                      INTEGER(voluntary), INTEGER(transport), INTEGER(protocol), INTEGER(nat_seen), END };
static const struct field accept[] = { KEYS, INTEGER(attempt), INTEGER(state_version), INTEGER(generation), OBSERVED, END };
static const struct field deny[] = { KEYS, INTEGER(attempt), INTEGER(reason), INTEGER(retry_after_ms),
                                     INTEGER(state_version), INTEGER(generation), END };
static const struct field terminate[] = { KEYS, INTEGER(reason), INTEGER(state_version), END };

enum sender { NOBODY = 0, CLIENT = 1, SERVER = 2, BOTH = 3 };

static const struct {
    uint8_t sender;
    uint16_t padded; /* the whole length; 0: as long as its fields */
    const struct field *fields;
} types[16] = {
    [JUMP_MSG_BIRTH_OFFER] = { SERVER, 0, birth_offer },
    [JUMP_MSG_BIRTH] = { CLIENT, JUMP_BIRTH_BYTES, birth },
    [JUMP_MSG_BIRTH_ACK] = { SERVER, 0, birth_ack },
    [JUMP_MSG_PROBE] = { CLIENT, JUMP_PROBE_BYTES, probe },
    [JUMP_MSG_PROBE_ACK] = { SERVER, 0, probe_ack },
    [JUMP_MSG_PATH_UNBOUND] = { SERVER, 0, path_unbound },
    [JUMP_MSG_REATTACH_REQUEST] = { CLIENT, JUMP_REQUEST_BYTES, request },
    [JUMP_MSG_REATTACH_CHALLENGE] = { SERVER, 0, challenge },
    [JUMP_MSG_REATTACH_PROOF] = { CLIENT, JUMP_PROOF_BYTES, proof },
    [JUMP_MSG_REATTACH_ACCEPT] = { SERVER, 0, accept },
    [JUMP_MSG_REATTACH_DENY] = { SERVER, 0, deny },
    [JUMP_MSG_TERMINATE] = { BOTH, 0, terminate },
    [JUMP_MSG_TERMINATE_ACK] = { BOTH, 0, terminate },
    [JUMP_MSG_REDIRECT] = { NOBODY, 0, NULL },
    [JUMP_MSG_COOKIE] = { SERVER, JUMP_HEADER_BYTES, NULL },
    [JUMP_MSG_RESET] = { SERVER, JUMP_HEADER_BYTES + JUMP_RESET_BYTES, NULL },
};

static uint64_t get_integer(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void put_integer(uint8_t *bytes, size_t len, uint64_t value)
{
    for (size_t i = len; i-- > 0; value >>= 8)
        bytes[i] = (uint8_t)value;
}

bool jump_wire_from_client(uint8_t type)
{
    return type < 16 && (types[type].sender & CLIENT);
}

bool jump_wire_from_server(uint8_t type)
{
    return type < 16 && (types[type].sender & SERVER);
}

size_t jump_wire_length(uint8_t type)
{
    if (type >= 16 || types[type].sender == NOBODY)
        return 0;
    if (types[type].padded)
        return types[type].padded;
    size_t len = JUMP_HEADER_BYTES + JUMP_TAG_BYTES;
    for (const struct field *field = types[type].fields; field->size; field++)
        len += field->size;
    return len;
}

int jump_wire_get_header(struct jump_header *header, const uint8_t *bytes, size_t len)
{
    if (len < JUMP_HEADER_BYTES || bytes[JUMP_AT_VERSION_TYPE] >> 4 != JUMP_WIRE_VERSION || bytes[JUMP_AT_FLAGS] != 0)
        return JUMP_ERR_MALFORMED;
    uint8_t type = bytes[JUMP_AT_VERSION_TYPE] & 15;
    size_t exact = jump_wire_length(type);
    if (exact == 0 || (len != exact && !(type == JUMP_MSG_PROBE && len == JUMP_PROBE_FULL_BYTES)))
        return JUMP_ERR_MALFORMED;
    header->type = type;
    header->flags = 0;
    header->epoch = (uint16_t)get_integer(bytes + JUMP_AT_EPOCH, 2);
    memcpy(header->session_id.bytes, bytes + JUMP_AT_SESSION, JUMP_ID_BYTES);
    header->counter = get_integer(bytes + JUMP_AT_NONCE, 8);
    memcpy(header->process, bytes + JUMP_AT_NONCE + 8, JUMP_PROCESS_BYTES);
    memcpy(header->cookie, bytes + JUMP_AT_COOKIE, JUMP_COOKIE_BYTES);
    return 0;
}

void jump_wire_put_header(uint8_t *bytes, const struct jump_header *header)
{
    bytes[JUMP_AT_VERSION_TYPE] = (uint8_t)(JUMP_WIRE_VERSION << 4 | (header->type & 15));
    bytes[JUMP_AT_FLAGS] = header->flags;
    put_integer(bytes + JUMP_AT_EPOCH, 2, header->epoch);
    memcpy(bytes + JUMP_AT_SESSION, header->session_id.bytes, JUMP_ID_BYTES);
    put_integer(bytes + JUMP_AT_NONCE, 8, header->counter);
    memcpy(bytes + JUMP_AT_NONCE + 8, header->process, JUMP_PROCESS_BYTES);
    memcpy(bytes + JUMP_AT_COOKIE, header->cookie, JUMP_COOKIE_BYTES);
}

/* Integers of struct jump_body by their size: reading them through memcpy needs no alignment and no aliasing. */
static uint64_t load(const uint8_t *from, uint8_t size)
{
    switch (size) {
    case 1:
        return *from;
    case 2: {
        uint16_t v;
        memcpy(&v, from, sizeof v);
        return v;
    }
    case 4: {
        uint32_t v;
        memcpy(&v, from, sizeof v);
        return v;
    }
    default: {
        uint64_t v;
        memcpy(&v, from, sizeof v);
        return v;
    }
    }
}

static void store(uint8_t *to, uint8_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *to = (uint8_t)value;
        break;
    case 2: {
        uint16_t v = (uint16_t)value;
        memcpy(to, &v, sizeof v);
        break;
    }
    case 4: {
        uint32_t v = (uint32_t)value;
        memcpy(to, &v, sizeof v);
        break;
    }
    default:
        memcpy(to, &value, sizeof value);
    }
}

int jump_wire_get_body(struct jump_body *body, uint8_t type, const uint8_t *bytes, size_t len)
{
    if (type >= 16 || types[type].fields == NULL)
        return JUMP_ERR_MALFORMED;
    memset(body, 0, sizeof *body);
    size_t at = 0;
    for (const struct field *field = types[type].fields; field->size; field++) {
        if (len - at < field->size)
            return JUMP_ERR_MALFORMED;
        if (field->bytes)
            memcpy((uint8_t *)body + field->at, bytes + at, field->size);
        else
            store((uint8_t *)body + field->at, field->size, get_integer(bytes + at, field->size));
        at += field->size;
    }
    uint8_t padding = 0;
    for (; at < len; at++)
        padding |= bytes[at];
    return padding ? JUMP_ERR_MALFORMED : 0;
}

void jump_wire_put_body(uint8_t *bytes, size_t len, uint8_t type, const struct jump_body *body)
{
    memset(bytes, 0, len);
    size_t at = 0;
    for (const struct field *field = types[type].fields; field->size && len - at >= field->size; field++) {
        if (field->bytes)
            memcpy(bytes + at, (const uint8_t *)body + field->at, field->size);
        else
            put_integer(bytes + at, field->size, load((const uint8_t *)body + field->at, field->size));
        at += field->size;
    }
}
