/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Policies as INI files: finds a profile by name, reads the file with its line numbers, lets the core's rows judge
 * every key. It refuses to know a key, a range or a default; those are jumping/policy.h's.
 * Read next: core/policy.c, docs/policy.md.
 */
#ifndef JUMP_SYSTEM_POLICY_FILE_H
#define JUMP_SYSTEM_POLICY_FILE_H

#include <jumping/policy.h>

#include "system/problem.h"

#define JUMP_POLICY_FILE_MAX_BYTES (64u * 1024u)
#define JUMP_POLICY_FILE_LINE_BYTES 1024 /* one finding as text, path included; longer ones are cut */

/**
 * Turn what an administrator wrote into a path: with a '/' or a trailing ".ini" it is one already; else it is the
 * name of a profile, [a-z0-9_-]+, found as FOLDER/NAME.ini.
 *
 * @param out    NUL-terminated
 * @param folder where profiles are; NULL: the installed one ($datadir/jumping/policy)
 * @return false with *problem: no such profile (names those that are there), or it does not fit
 * THREAD: any
 */
bool jump_policy_file_find(char *out, size_t out_cap, struct jump_problem *problem, const char *name,
                           const char *folder);

/**
 * Read and check one file: a regular one of at most JUMP_POLICY_FILE_MAX_BYTES.
 *
 * @param draft every finding in it, in the file's order; draft->policy is meaningful on success only
 * @return 0; JUMP_ERR_POLICY: at least one finding; JUMP_ERR_ARGUMENT with *problem: the file cannot be read
 * THREAD: any
 */
int jump_policy_file_read(struct jump_policy_draft *draft, struct jump_problem *problem, const char *path);

/** The same for text in memory; `text` need not be NUL-terminated. */
int jump_policy_file_parse(struct jump_policy_draft *draft, const char *text, size_t text_len);

/**
 * One finding as one line without its newline: `FILE:LINE: section.key = value: problem (allowed: range)`.
 *
 * @param path as shown; control characters in it become '?'
 */
void jump_policy_file_describe(char out[JUMP_POLICY_FILE_LINE_BYTES], const char *path,
                               const struct jump_policy_error *error);

#endif
