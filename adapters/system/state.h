/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state folder (default /var/lib/jumping, 0700): what an instance must still know after a restart. For an
 * instance NAME it holds NAME.key (instance key, for RESET), NAME.boot (how often it was started),
 * NAME.audit.key and NAME.audit.head (docs/audit.md), and NAME.lock (one process for one name). All 0600.
 * It refuses to know sessions. Read next: audit_file.h.
 */
#ifndef JUMP_SYSTEM_STATE_H
#define JUMP_SYSTEM_STATE_H

#include <jumping/audit.h>
#include <jumping/types.h>

#include "system/problem.h"

/* Not `struct jump_state`: that tag is the core's enum. */
struct jump_state_folder;

/** The newest line of the audit chain that is known to be in the file. */
struct jump_audit_head {
    uint64_t seq;                    /* number of the last line; 0: none was ever written */
    uint8_t link[JUMP_CHAIN_BYTES];  /* jump_audit_link of that line; zeros where seq is 0 */
    uint64_t lost;                   /* lines that were waiting when the writer closed, and were lost */
};

/**
 * Open the state of the instance `name` and lock it. Makes the folder (last level only) and the files' keys
 * where they are missing. The folder's and the head's descriptors stay open, so that everything below still
 * works after chroot and a drop of privileges.
 *
 * @param path the folder; refused if others than its owner may write to it
 * @param name [A-Za-z0-9._-]{1,31}, not beginning with a dot
 * @return the caller's, to be given to jump_state_close; NULL with *problem: unwritable, or another live
 *         process holds the lock
 * THREAD: one object, one thread at a time
 */
struct jump_state_folder *jump_state_open(struct jump_problem *problem, const char *path, const char *name);

/** Memory is locked by process: lock that of the keys again after a fork that goes on in the child. @return false: refused */
bool jump_state_relock(struct jump_state_folder *state);

/** Wipes the keys, releases the lock. NULL is allowed. Writes nothing. */
void jump_state_close(struct jump_state_folder *state);

/** The instance key: 32 random bytes, made once. Borrowed until jump_state_close. */
const uint8_t *jump_state_instance_key(const struct jump_state_folder *state);

/**
 * Count one start. The new value is on the disk (fsync) before this returns, so no value is ever given twice.
 * Works again and again on one open folder, after a drop of privileges too.
 *
 * @param boot 1 at the first start; below 2^32 (the engine's bound)
 * @return false with *problem: not durable or exhausted; *boot is 0
 */
bool jump_state_boot_next(struct jump_state_folder *state, uint64_t *boot, struct jump_problem *problem);

/** The key of the audit chain: 32 random bytes, made once. Borrowed until jump_state_close. */
const uint8_t *jump_state_audit_key(const struct jump_state_folder *state);

/** The head as the file has it. */
void jump_state_audit_head(const struct jump_state_folder *state, struct jump_audit_head *head);

/**
 * Overwrite the head: one small pwrite, no fsync, so that an event costs little. A killed process leaves the
 * old or the new head; after a power cut the file system may have kept either, and verify says so.
 *
 * @return false: it could not be written (errno); the head in memory is the new one, the next call tries again
 */
bool jump_state_audit_head_set(struct jump_state_folder *state, const struct jump_audit_head *head);

/**
 * Read an instance's audit key and head without its lock, for a verifier. Changes nothing, makes nothing.
 *
 * @return false with *problem; *key is then wiped
 */
bool jump_state_audit_peek(uint8_t key[JUMP_CHAIN_KEY_BYTES], struct jump_audit_head *head,
                           struct jump_problem *problem, const char *path, const char *name);

/** True if `name` may be an instance's name (see jump_state_open). */
bool jump_state_name_valid(const char *name);

#endif
