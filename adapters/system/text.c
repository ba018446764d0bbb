/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text of others (text.h). It knows UTF-8 and nothing else.
 */
#include "system/text.h"

#include <stdbool.h>
#include <string.h>

void jump_text_clean(char *out, size_t cap, const char *in)
{
    size_t len = 0;

    while (*in != '\0' && len + 4 < cap) {
        unsigned char c = (unsigned char)*in;
        size_t need = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
        bool good = need > 0;

        for (size_t i = 1; good && i < need; i++)
            good = ((unsigned char)in[i] & 0xc0) == 0x80;
        /* Overlong forms, surrogates, beyond U+10FFFF. */
        if (good && need > 2) {
            unsigned char d = (unsigned char)in[1];

            good = !(c == 0xe0 && d < 0xa0) && !(c == 0xed && d > 0x9f) && !(c == 0xf0 && d < 0x90) &&
                   !(c == 0xf4 && d > 0x8f);
        }
        if (good) {
            memcpy(out + len, in, need);
            len += need;
            in += need;
        } else {
            out[len++] = '?';
            in++;
        }
    }
    out[len] = '\0';
}
