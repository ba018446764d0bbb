/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store port: where the records of sessions are kept, as every store offers it. A write is a compare-and-set
 * whose answer comes later (jumping/engine.h, JUMP_DO_STORE and JUMP_IN_STORE), so that a slow store never
 * holds up the host. The bytes are the core's business. Every store passes tests/unit/test_store.c.
 * Read next: memory.c, the smallest one.
 */
#ifndef JUMP_STORE_STORE_H
#define JUMP_STORE_STORE_H

#include <jumping/engine.h>

/** The answer to one jump_store_put_if: feed it as JUMP_IN_STORE. */
struct jump_store_answer {
    struct jump_id session_id;
    uint64_t ticket;
    enum jump_store_result result;
    uint64_t revision; /* DONE: the record's new one; CONFLICT: the stored one (0: none); FAILED: 0 */
};

struct jump_store_record {
    uint64_t revision; /* never 0 for a record that is there */
    size_t bytes_len;
    uint8_t bytes[JUMP_STORE_RECORD_BYTES];
};

struct jump_store;

/** What a store implements; callers use the functions below. A store's own struct begins with `struct jump_store`. */
struct jump_store_methods {
    void (*put_if)(struct jump_store *store, const struct jump_id *session_id, uint64_t ticket, uint64_t expected,
                   const uint8_t *bytes, size_t bytes_len);
    bool (*next)(struct jump_store *store, struct jump_store_answer *answer);
    bool (*get)(struct jump_store *store, struct jump_store_record *record, const struct jump_id *session_id);
    void (*drop)(struct jump_store *store, const struct jump_id *session_id);
    int (*fd)(const struct jump_store *store);
    void (*close)(struct jump_store *store);
};
struct jump_store {
    const struct jump_store_methods *methods;
};

/**
 * Ask to write a record if the stored revision is `expected` (0: there is none). Never blocks.
 * Exactly one answer with this ticket comes out of jump_store_next, at once or later; answers of one session come
 * in the order of its writes. FAILED means: not written, and known not to be (no room, too long).
 *
 * @param bytes copied; 1 .. JUMP_STORE_RECORD_BYTES
 * THREAD: a store is used by one thread at a time, as the engine is
 */
static inline void jump_store_put_if(struct jump_store *store, const struct jump_id *session_id, uint64_t ticket,
                                     uint64_t expected, const uint8_t *bytes, size_t bytes_len)
{
    store->methods->put_if(store, session_id, ticket, expected, bytes, bytes_len);
}

/** The next answer that is ready; false: none now. Drain it after each put_if and whenever the fd is readable. */
static inline bool jump_store_next(struct jump_store *store, struct jump_store_answer *answer)
{
    return store->methods->next(store, answer);
}

/** The record as it is now; false: there is none. *record is wiped then. */
static inline bool jump_store_get(struct jump_store *store, struct jump_store_record *record,
                                  const struct jump_id *session_id)
{
    return store->methods->get(store, record, session_id);
}

/** Forget a session: its record is wiped and its place free. Call it for the answer that follows JUMP_DO_END. */
static inline void jump_store_drop(struct jump_store *store, const struct jump_id *session_id)
{
    store->methods->drop(store, session_id);
}

/** A descriptor that is readable when an answer is ready; -1: the store answers at once. */
static inline int jump_store_fd(const struct jump_store *store)
{
    return store->methods->fd(store);
}

/** Wipe and free everything; answers that are still out never come. NULL is allowed. */
static inline void jump_store_close(struct jump_store *store)
{
    if (store != NULL)
        store->methods->close(store);
}

#endif
