/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text of others (text.h). It knows UTF-8 and nothing else.
 */
#include "system/text.h"

#include <string.h>

size_t jump_text_character(const char *in)
{
    unsigned char c = (unsigned char)in[0], d;
    size_t need = c == 0 ? 0 : c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < need; i++) /* a NUL is none of them either */
        if (((unsigned char)in[i] & 0xc0) != 0x80)
            return 0;
    if (need <= 2)
        return need;
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    d = (unsigned char)in[1];
    return (c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f) ? 0 : need;
}

void jump_text_clean(char *out, size_t cap, const char *in)
{
    size_t len = 0;

    while (*in != '\0' && len + 4 < cap) {
        size_t bytes = jump_text_character(in);

        if (bytes > 0) {
            memcpy(out + len, in, bytes);
            len += bytes;
            in += bytes;
        } else {
            out[len++] = '?';
            in++;
        }
    }
    out[len] = '\0';
}
