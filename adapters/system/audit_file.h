/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The audit file: the core's events as JSON Lines, each line chained to the one before it (docs/audit.md). Owns
 * the file, a ring of lines that wait for it, and the chain's head in the state folder. It refuses to
 * influence anything: a full disk, a FIFO that nobody reads or a lost file costs records, which are counted and
 * reported by an EventsDropped record, and never a wait, a signal or an error for the caller.
 */
#ifndef JUMP_SYSTEM_AUDIT_FILE_H
#define JUMP_SYSTEM_AUDIT_FILE_H

#include <jumping/audit.h>

#include "system/problem.h"
#include "system/state.h"

#define JUMP_AUDIT_RING_BYTES (256u * 1024u)

struct jump_audit_file;

/** Counters since the opening, for people. */
struct jump_audit_file_stats {
    uint64_t written; /* lines in the file */
    uint64_t waiting; /* lines in the ring */
    uint64_t dropped; /* events for which the ring had no room */
    uint64_t failures; /* attempts to write that failed, the file being full, gone or not read */
    int last_errno;    /* of the newest failure; 0: none */
};

/**
 * Open or create the file (0600; its folder's last level is made, 0751: a dropped user must reach a rotated file's
 * successor) and go on with the chain from the head in `state`. Takes all memory it will use for lines now.
 *
 * @param path    a regular file, a FIFO or a character device; may contain any byte
 * @param node_id who writes, for people; any text, copied
 * @param state   borrowed until jump_audit_file_close
 * @return the caller's; NULL with *problem: cannot be created or is no such file. A FIFO without a reader and a
 *         full disk are no errors.
 * THREAD: one object, one thread at a time
 */
struct jump_audit_file *jump_audit_file_open(struct jump_problem *problem, const char *path, const char *node_id,
                                             struct jump_state_folder *state);

/**
 * Take one event: render, number, chain, queue, and try to write what waits. Never blocks, never fails.
 *
 * @param event borrowed until return
 */
void jump_audit_file_write(struct jump_audit_file *file, const struct jump_event *event, jump_time now);

/** Try again to write what waits. Call it at jump_audit_file_deadline; calling it at any time is harmless. */
void jump_audit_file_flush(struct jump_audit_file *file, jump_time now);

/** When to call jump_audit_file_flush; JUMP_NEVER: nothing waits. */
jump_time jump_audit_file_deadline(const struct jump_audit_file *file);

/**
 * Open the path anew (log rotation). Lines that wait go to the new file; the chain goes on across both. Works
 * after chroot, since the folder stays open.
 *
 * @return false with *problem: the old file stays in use
 */
bool jump_audit_file_reopen(struct jump_audit_file *file, struct jump_problem *problem, jump_time now);

/** One last attempt to write; what still waits is counted in the head as lost and reported at the next start. */
void jump_audit_file_close(struct jump_audit_file *file);

void jump_audit_file_stats(const struct jump_audit_file *file, struct jump_audit_file_stats *stats);

#define JUMP_AUDIT_PREFIX_BYTES 112 /* {"seq":N,"prev":"64 hex digits", and a NUL */

/**
 * Read the chain's part of a line, which stands first and has one spelling only: `{"seq":N,"prev":"HEX",`.
 *
 * @param line without its newline; need not be NUL-terminated
 * @return false: the line does not begin so
 * THREAD: any
 */
bool jump_audit_file_prefix(uint64_t *seq, uint8_t prev[JUMP_CHAIN_BYTES], const char *line, size_t line_len);

#endif
