/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One clear line about what went wrong outside of us: what, which file, why, and what to do about it.
 * Everything in adapters/system that can fail at start takes a `struct jump_problem *` as its last output.
 * It knows nothing of logs or terminals: whoever owns one prints the text.
 */
#ifndef JUMP_SYSTEM_PROBLEM_H
#define JUMP_SYSTEM_PROBLEM_H

#define JUMP_PROBLEM_BYTES 512

/** NUL-terminated, one line, no newline, cut with "..." where too long. Plain struct: put it on the stack. */
struct jump_problem {
    char text[JUMP_PROBLEM_BYTES];
};

/**
 * Write the text. Control characters that came in with a path or a value become '?', so that it stays one line.
 *
 * @param problem may be NULL: then nothing happens
 * THREAD: any; no state
 */
void jump_problem_set(struct jump_problem *problem, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
