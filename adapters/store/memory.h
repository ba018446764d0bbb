/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store of a single node: records in this process's memory, gone with it. All memory is taken at the start,
 * locked where the system allows, wiped at the end. It refuses to know what a record holds.
 */
#ifndef JUMP_STORE_MEMORY_H
#define JUMP_STORE_MEMORY_H

#include "store/store.h"

/**
 * @param max_records 1 .. 1 000 000; with an engine: its max_sessions and some for those that are just ending
 * @return the caller's, for jump_store_close; NULL: out of memory or out of range. Answers at once (its fd is -1);
 *         at most one answer for each record may be left undrained, a write beyond that is answered FAILED
 */
struct jump_store *jump_store_memory_open(size_t max_records);

#endif
