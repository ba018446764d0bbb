/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Records in memory: a hash table of a fixed size and a ring of answers, both taken at the start. It owns the copies
 * of the records and wipes each one that goes; it refuses to know what they hold and to grow.
 * Read next: store.h (the port), tests/unit/test_store.c (what every store must do).
 */
#include "store/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RECORDS 1000000u
#define NONE UINT32_MAX

struct entry {
    struct jump_id session_id;
    uint32_t next; /* in its bucket, or in the list of free ones */
    struct jump_store_record record;
};

struct memory_store {
    struct jump_store store;
    uint8_t hash_key[crypto_shorthash_KEYBYTES]; /* a peer that could choose ids must not choose buckets */
    uint32_t capacity, bucket_mask, free_list;
    uint64_t last_revision; /* one counter for all: a record made anew never repeats a revision */
    uint32_t *buckets;
    struct entry *entries;
    struct jump_store_answer *answers;
    size_t answers_first, answers_len;
};

static struct memory_store *memory_of(struct jump_store *store)
{
    return (struct memory_store *)store; /* its first member */
}

static uint32_t *bucket_of(struct memory_store *memory, const struct jump_id *id)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint32_t number;

    (void)crypto_shorthash(hash, id->bytes, sizeof id->bytes, memory->hash_key);
    memcpy(&number, hash, sizeof number);
    return &memory->buckets[number & memory->bucket_mask];
}

/* The link that points to the session's entry, or the NONE that ends its bucket. */
static uint32_t *find(struct memory_store *memory, const struct jump_id *id)
{
    uint32_t *link = bucket_of(memory, id);

    while (*link != NONE && memcmp(&memory->entries[*link].session_id, id, sizeof *id) != 0)
        link = &memory->entries[*link].next;
    return link;
}

static void answer_add(struct memory_store *memory, const struct jump_store_answer *answer)
{
    size_t at = (memory->answers_first + memory->answers_len) % (memory->capacity + 1u);

    /* The caller drains after each write; one place is kept for the refusal that tells him that he did not. */
    if (memory->answers_len > memory->capacity)
        return;
    memory->answers[at] = *answer;
    memory->answers_len++;
}

static void memory_put_if(struct jump_store *store, const struct jump_id *session_id, uint64_t ticket,
                          uint64_t expected, const uint8_t *bytes, size_t bytes_len)
{
    struct memory_store *memory = memory_of(store);
    struct jump_store_answer answer = {.session_id = *session_id, .ticket = ticket, .result = JUMP_STORE_FAILED};
    uint32_t *link = find(memory, session_id);
    uint64_t stored = *link == NONE ? 0 : memory->entries[*link].record.revision;
    struct jump_store_record *record;

    if (bytes_len == 0 || bytes_len > JUMP_STORE_RECORD_BYTES || memory->answers_len >= memory->capacity)
        goto out;
    if (stored != expected) {
        answer.result = JUMP_STORE_CONFLICT;
        answer.revision = stored;
        goto out;
    }
    if (*link == NONE) {
        uint32_t taken = memory->free_list;

        if (taken == NONE)
            goto out;
        memory->free_list = memory->entries[taken].next;
        memory->entries[taken].session_id = *session_id;
        memory->entries[taken].next = NONE;
        *link = taken;
    }
    record = &memory->entries[*link].record;
    if (bytes_len < record->bytes_len)
        sodium_memzero(record->bytes + bytes_len, record->bytes_len - bytes_len);
    memcpy(record->bytes, bytes, bytes_len);
    record->bytes_len = bytes_len;
    record->revision = ++memory->last_revision;
    answer.result = JUMP_STORE_DONE;
    answer.revision = record->revision;
out:
    answer_add(memory, &answer);
}

static bool memory_next(struct jump_store *store, struct jump_store_answer *answer)
{
    struct memory_store *memory = memory_of(store);

    if (memory->answers_len == 0)
        return false;
    *answer = memory->answers[memory->answers_first];
    memory->answers_first = (memory->answers_first + 1) % (memory->capacity + 1u);
    memory->answers_len--;
    return true;
}

static bool memory_get(struct jump_store *store, struct jump_store_record *record, const struct jump_id *session_id)
{
    struct memory_store *memory = memory_of(store);
    uint32_t at = *find(memory, session_id);

    if (at == NONE)
        sodium_memzero(record, sizeof *record);
    else
        *record = memory->entries[at].record;
    return at != NONE;
}

static void memory_drop(struct jump_store *store, const struct jump_id *session_id)
{
    struct memory_store *memory = memory_of(store);
    uint32_t *link = find(memory, session_id);
    uint32_t at = *link;

    if (at == NONE)
        return;
    *link = memory->entries[at].next;
    sodium_memzero(&memory->entries[at], sizeof memory->entries[at]);
    memory->entries[at].next = memory->free_list;
    memory->free_list = at;
}

static int memory_fd(const struct jump_store *store)
{
    (void)store;
    return -1;
}

static void memory_close(struct jump_store *store)
{
    struct memory_store *memory = memory_of(store);

    if (memory->entries != NULL)
        (void)sodium_munlock(memory->entries, memory->capacity * sizeof *memory->entries); /* wipes */
    free(memory->entries);
    free(memory->buckets);
    free(memory->answers);
    free(memory);
}

static const struct jump_store_methods methods = {
    .put_if = memory_put_if,
    .next = memory_next,
    .get = memory_get,
    .drop = memory_drop,
    .fd = memory_fd,
    .close = memory_close,
};

struct jump_store *jump_store_memory_open(size_t max_records)
{
    struct memory_store *memory;
    uint32_t buckets = 16;

    if (max_records == 0 || max_records > MOST_RECORDS || sodium_init() < 0)
        return NULL;
    memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return NULL;
    while (buckets < 2 * max_records)
        buckets *= 2;
    memory->store.methods = &methods;
    memory->capacity = (uint32_t)max_records;
    memory->bucket_mask = buckets - 1;
    memory->buckets = malloc(buckets * sizeof *memory->buckets);
    memory->entries = calloc(max_records, sizeof *memory->entries);
    memory->answers = calloc(max_records + 1, sizeof *memory->answers);
    if (memory->buckets == NULL || memory->entries == NULL || memory->answers == NULL) {
        memory_close(&memory->store);
        return NULL;
    }
    /* As far as RLIMIT_MEMLOCK allows; a record holds keys where the core puts them in. */
    (void)sodium_mlock(memory->entries, max_records * sizeof *memory->entries);
    randombytes_buf(memory->hash_key, sizeof memory->hash_key);
    for (uint32_t i = 0; i < buckets; i++)
        memory->buckets[i] = NONE;
    for (uint32_t i = 0; i < memory->capacity; i++)
        memory->entries[i].next = i + 1 < memory->capacity ? i + 1 : NONE;
    return &memory->store;
}
