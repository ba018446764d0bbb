/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small files and folders, handled so that a link planted in the way, a crash or a full disk does no harm.
 * It refuses to know what the bytes mean. Everything is opened O_CLOEXEC | O_NOFOLLOW: the host runs scripts.
 * Read next: state.c (who uses it), policy_file.c.
 */
#ifndef JUMP_SYSTEM_FILE_H
#define JUMP_SYSTEM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "system/problem.h"

/**
 * Open a folder; make its last level with `mode` where it is missing (the levels above must exist).
 *
 * @return a descriptor (the caller closes it), or -1 with *problem: not there, not a folder, no permission
 * THREAD: any
 */
int jump_file_folder(struct jump_problem *problem, const char *path, mode_t mode);

/**
 * Split a path: the folder into `folder` (NUL-terminated, "." where there is none), the rest returned.
 *
 * @return points into `path`; NULL: no name in it, or the folder does not fit
 */
const char *jump_file_split(char *folder, size_t folder_cap, const char *path);

/**
 * Read a whole regular file of at most `cap` bytes. Never blocks on a FIFO or device: those are refused.
 *
 * @param out    borrowed; unchanged but for garbage on failure
 * @param at     a folder's descriptor, or AT_FDCWD
 * @param label  how the file is called in *problem (its full path)
 * @return bytes read; -1 with *problem; errno is kept (ENOENT: not there; EFBIG: longer than cap)
 * THREAD: any
 */
ssize_t jump_file_read(uint8_t *out, size_t cap, struct jump_problem *problem, int at, const char *name,
                       const char *label);

/**
 * Replace a file whole or not at all: a new file of mode 0600 beside it, fsync, rename, fsync of the folder.
 * Once it returns true the bytes outlive a power cut.
 *
 * @return false with *problem: the old content is still there
 * THREAD: any, but not two for the same name at once
 */
bool jump_file_replace(struct jump_problem *problem, int at, const char *name, const char *label, const uint8_t *bytes,
                       size_t len);

/**
 * write(2), or pwrite(2) where `at` is not negative, that never raises a signal in the host: a FIFO without a
 * reader gives EPIPE, a file beyond RLIMIT_FSIZE gives EFBIG, and the process lives on. Does not retry.
 *
 * @return as write(2)
 * THREAD: any
 */
ssize_t jump_file_write_quiet(int fd, const void *bytes, size_t len, off_t at);

#endif
