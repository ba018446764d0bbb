/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Slots, a free list and three chained hash tables inside one block of memory. Read next: session.h.
 */
#include "table.h"

#include <string.h>

#include "seal.h"

static uint32_t buckets_for(uint32_t capacity)
{
    uint32_t n = 16;
    while (n < capacity * 2 && n < UINT32_C(1) << 21)
        n *= 2;
    return n;
}

size_t jump_table_bytes(const struct jump_session_shape *shape, uint32_t capacity)
{
    return (size_t)capacity * jump_session_bytes(shape) + 3 * (size_t)buckets_for(capacity) * sizeof(uint32_t);
}

static struct jump_session *raw(const struct jump_table *t, uint32_t slot)
{
    return (struct jump_session *)(void *)(t->slots + (size_t)slot * t->slot_bytes);
}

void jump_table_init(struct jump_table *t, void *memory, const struct jump_session_shape *shape, uint32_t capacity,
                     const uint8_t hash_key[16])
{
    memset(t, 0, sizeof *t);
    t->shape = *shape;
    memcpy(t->hash_key, hash_key, sizeof t->hash_key);
    t->slots = memory;
    t->slot_bytes = jump_session_bytes(shape);
    t->capacity = capacity;
    t->buckets = buckets_for(capacity);
    t->by_id = (uint32_t *)(void *)(t->slots + (size_t)capacity * t->slot_bytes);
    t->by_host = t->by_id + t->buckets;
    t->by_path = t->by_host + t->buckets;
    memset(t->by_id, 0xff, 3 * (size_t)t->buckets * sizeof(uint32_t)); /* JUMP_NO_SLOT */
    for (uint32_t slot = 0; slot < capacity; slot++) {
        struct jump_session *s = raw(t, slot);
        s->used = false;
        s->next_by_id = slot + 1 < capacity ? slot + 1 : JUMP_NO_SLOT; /* the free list */
    }
    t->first_free = 0;
}

static uint32_t *bucket(const struct jump_table *t, uint32_t *heads, const void *key, size_t len)
{
    return &heads[jump_seal_hash(t->hash_key, key, len) & (t->buckets - 1)];
}

/* One chain step for all three indices: the offset of the link within the session. */
static uint32_t *link_of(struct jump_session *s, size_t at)
{
    return (uint32_t *)(void *)((uint8_t *)s + at);
}

static void chain_in(uint32_t *head, size_t at, struct jump_session *s)
{
    *link_of(s, at) = *head;
    *head = s->slot;
}

static void chain_out(const struct jump_table *t, uint32_t *head, size_t at, const struct jump_session *s)
{
    for (uint32_t *where = head; *where != JUMP_NO_SLOT; where = link_of(raw(t, *where), at)) {
        if (*where == s->slot) {
            *where = *link_of(raw(t, *where), at);
            return;
        }
    }
}

#define BY_ID offsetof(struct jump_session, next_by_id)
#define BY_HOST offsetof(struct jump_session, next_by_host)
#define BY_PATH offsetof(struct jump_session, next_by_path)

struct jump_session *jump_table_add(struct jump_table *t, const struct jump_id *id, jump_host host, bool latent,
                                    jump_time now)
{
    if (t->first_free == JUMP_NO_SLOT)
        return NULL;
    uint32_t slot = t->first_free;
    struct jump_session *s = raw(t, slot);
    t->first_free = s->next_by_id;
    t->count++;
    jump_session_init(s, &t->shape, slot, now);
    s->id = *id;
    s->host = host;
    chain_in(bucket(t, t->by_id, id, sizeof *id), BY_ID, s);
    if (!latent)
        jump_table_name(t, s);
    return s;
}

void jump_table_name(struct jump_table *t, struct jump_session *s)
{
    chain_in(bucket(t, t->by_host, &s->host, sizeof s->host), BY_HOST, s);
}

void jump_table_bind(struct jump_table *t, struct jump_session *s, const struct jump_path *path)
{
    static const struct jump_path none;
    if (memcmp(&s->binding, &none, sizeof none) != 0)
        chain_out(t, bucket(t, t->by_path, &s->binding, sizeof s->binding), BY_PATH, s);
    s->binding = path ? *path : none;
    if (path)
        chain_in(bucket(t, t->by_path, path, sizeof *path), BY_PATH, s);
}

void jump_table_hide(struct jump_table *t, struct jump_session *s)
{
    jump_table_bind(t, s, NULL);
    chain_out(t, bucket(t, t->by_id, &s->id, sizeof s->id), BY_ID, s);
    chain_out(t, bucket(t, t->by_host, &s->host, sizeof s->host), BY_HOST, s);
}

void jump_table_free(struct jump_table *t, struct jump_session *s)
{
    uint32_t slot = s->slot;
    jump_keys_wipe(s, t->slot_bytes);
    s->slot = slot;
    s->next_by_id = t->first_free;
    t->first_free = slot;
    t->count--;
}

struct jump_session *jump_table_slot(const struct jump_table *t, uint32_t slot)
{
    return slot < t->capacity && raw(t, slot)->used ? raw(t, slot) : NULL;
}

struct jump_session *jump_table_by_id(const struct jump_table *t, const struct jump_id *id)
{
    uint32_t slot = *bucket(t, t->by_id, id, sizeof *id);
    while (slot != JUMP_NO_SLOT && memcmp(&raw(t, slot)->id, id, sizeof *id) != 0)
        slot = raw(t, slot)->next_by_id;
    return slot == JUMP_NO_SLOT ? NULL : raw(t, slot);
}

struct jump_session *jump_table_by_host(const struct jump_table *t, jump_host host)
{
    uint32_t slot = *bucket(t, t->by_host, &host, sizeof host);
    while (slot != JUMP_NO_SLOT && raw(t, slot)->host != host)
        slot = raw(t, slot)->next_by_host;
    return slot == JUMP_NO_SLOT ? NULL : raw(t, slot);
}

struct jump_session *jump_table_by_path(const struct jump_table *t, const struct jump_path *path,
                                        const struct jump_session *not_this)
{
    uint32_t slot = *bucket(t, t->by_path, path, sizeof *path);
    while (slot != JUMP_NO_SLOT &&
           (raw(t, slot) == not_this || memcmp(&raw(t, slot)->binding, path, sizeof *path) != 0))
        slot = raw(t, slot)->next_by_path;
    return slot == JUMP_NO_SLOT ? NULL : raw(t, slot);
}
