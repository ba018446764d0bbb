/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A path as people and the audit read it. It refuses to read one back: nothing that decides comes from text.
 */
#ifndef JUMP_SYSTEM_PATH_H
#define JUMP_SYSTEM_PATH_H

#include <jumping/types.h>

#define JUMP_PATH_TEXT_BYTES 72

/**
 * "udp 203.0.113.7:4711" or "udp [2001:db8::1%2]:4711" (% and the scope where there is one), NUL-terminated.
 * THREAD: any
 */
void jump_path_text(char out[JUMP_PATH_TEXT_BYTES], const struct jump_path *path);

#endif
