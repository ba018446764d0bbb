/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bounded session table: slots of a fixed size and three ways to find one, by session id, by the host's name
 * and by the path that is bound. All memory is given at the start; a full table says so. Keyed hashing: who
 * chooses ids or addresses must not choose collisions. Knows nothing of what a session means.
 */
#ifndef JUMP_TABLE_H
#define JUMP_TABLE_H

#include "session.h"

struct jump_table {
    struct jump_session_shape shape;
    uint8_t hash_key[16];
    uint8_t *slots;
    size_t slot_bytes;
    uint32_t capacity, count, first_free, buckets; /* buckets: a power of two */
    uint32_t *by_id, *by_host, *by_path;
};

size_t jump_table_bytes(const struct jump_session_shape *shape, uint32_t capacity);

/** @param memory borrowed, jump_table_bytes of it, aligned for uint64_t */
void jump_table_init(struct jump_table *t, void *memory, const struct jump_session_shape *shape, uint32_t capacity,
                     const uint8_t hash_key[16]);

/** A new session in BIRTH, found by its id (and by its host name unless `latent`). NULL: the table is full. */
struct jump_session *jump_table_add(struct jump_table *t, const struct jump_id *id, jump_host host, bool latent,
                                    jump_time now);

/** Not found by id, host or path any more; the slot stays until jump_table_free. */
void jump_table_hide(struct jump_table *t, struct jump_session *s);

/** Wipe the slot and give it back. */
void jump_table_free(struct jump_table *t, struct jump_session *s);

/** A latent session takes its host name over; the former holder must be hidden. */
void jump_table_name(struct jump_table *t, struct jump_session *s);

/** Change the binding; `path` NULL: none. Keeps the index by path true. */
void jump_table_bind(struct jump_table *t, struct jump_session *s, const struct jump_path *path);

struct jump_session *jump_table_slot(const struct jump_table *t, uint32_t slot); /* NULL: free */
struct jump_session *jump_table_by_id(const struct jump_table *t, const struct jump_id *id);
struct jump_session *jump_table_by_host(const struct jump_table *t, jump_host host);

/** A session that is bound to this path, other than `not_this` (may be NULL). */
struct jump_session *jump_table_by_path(const struct jump_table *t, const struct jump_path *path,
                                        const struct jump_session *not_this);

#endif
