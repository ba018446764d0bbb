/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text that somebody else has chosen (a peer's name, a node's) on its way into JSON. json-c copies what it is given, and a
 * line that is not UTF-8 is no JSON. Read next: audit_file.c, control.c.
 */
#ifndef JUMP_SYSTEM_TEXT_H
#define JUMP_SYSTEM_TEXT_H

#include <stddef.h>

/** @return how many bytes the UTF-8 character at `in` has (1 to 4); 0: none is there, or the NUL. THREAD: any; no state */
size_t jump_text_character(const char *in);

/**
 * Copy text; what is not UTF-8 (overlong forms and surrogates too) becomes '?'.
 *
 * @param out NUL-terminated; what does not fit is cut between characters
 * @param in  not inside `out`
 * THREAD: any; no state
 */
void jump_text_clean(char *out, size_t cap, const char *in);

#endif
