/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fields of struct jump_body by the names that docs/protocol.md 2 and vectors.txt give them, and the two ways to
 * look at one as a number. Written apart from core/wire.c's rows, which it is used to check.
 */
#ifndef JUMP_TEST_FIELDS_H
#define JUMP_TEST_FIELDS_H

#include <stddef.h>
#include <string.h>

#include "wire.h"

struct body_field {
    const char *name;
    size_t at, size;
    bool is_bytes;
};

#define FIELD(name) { #name, offsetof(struct jump_body, name), sizeof(((struct jump_body *)0)->name), false }
#define FIELD_BYTES(name) { #name, offsetof(struct jump_body, name), sizeof(((struct jump_body *)0)->name), true }

static const struct body_field body_fields[] = {
    { "keys0", offsetof(struct jump_body, keys), 2, false },
    { "keys1", offsetof(struct jump_body, keys) + 2, 2, false },
    FIELD(version_least), FIELD(version_most), FIELD(version_chosen), FIELD(capabilities), FIELD(want_lifetime_ms),
    FIELD(want_ttl_ms), FIELD(want_window_ms), FIELD(policy.version_major), FIELD(policy.version_minor),
#define X(section, key, type, required, least, most, preset, help) FIELD(policy.key),
    JUMP_POLICY_ROWS(X)
#undef X
    FIELD_BYTES(reset_key), FIELD(boot), FIELD_BYTES(observed_ip), FIELD(observed_port), FIELD(seq), FIELD(sent_at),
    FIELD(transport), FIELD(claims_binding), FIELD(received), FIELD(next_within_ms), FIELD(bound), FIELD(state),
    FIELD(state_version), FIELD(generation), FIELD(attempt), FIELD(why), FIELD(voluntary), FIELD(protocol),
    FIELD(nat_seen), FIELD_BYTES(challenge), FIELD(reason), FIELD(retry_after_ms)
};
#define BODY_FIELD_COUNT (sizeof body_fields / sizeof body_fields[0])

static inline const struct body_field *body_field(const char *name)
{
    for (size_t i = 0; i < BODY_FIELD_COUNT; i++)
        if (strcmp(body_fields[i].name, name) == 0)
            return &body_fields[i];
    return NULL;
}

/* Set a field from the bytes that the wire has for it. */
static inline void body_field_set(struct jump_body *body, const struct body_field *field, const uint8_t *wire)
{
    uint8_t *to = (uint8_t *)body + field->at;
    uint64_t value = 0;
    if (field->is_bytes) {
        memcpy(to, wire, field->size);
        return;
    }
    for (size_t i = 0; i < field->size; i++)
        value = value << 8 | wire[i];
    if (field->size == 1)
        *to = (uint8_t)value;
    else if (field->size == 2)
        memcpy(to, &(uint16_t){ (uint16_t)value }, 2);
    else if (field->size == 4)
        memcpy(to, &(uint32_t){ (uint32_t)value }, 4);
    else
        memcpy(to, &value, 8);
}

#endif
