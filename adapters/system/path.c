/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes a path as text; see path.h. It owns nothing and asks no resolver.
 * Read next: path.h.
 */
#include "system/path.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void jump_path_text(char out[JUMP_PATH_TEXT_BYTES], const struct jump_path *path)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const char *proto = path->proto == JUMP_PROTO_TCP ? "tcp" : "udp";
    char ip[INET6_ADDRSTRLEN] = "?";

    if (memcmp(path->ip, mapped, sizeof mapped) == 0) {
        (void)inet_ntop(AF_INET, path->ip + 12, ip, sizeof ip);
        (void)snprintf(out, JUMP_PATH_TEXT_BYTES, "%s %s:%u", proto, ip, path->port);
        return;
    }
    (void)inet_ntop(AF_INET6, path->ip, ip, sizeof ip);
    if (path->scope != 0)
        (void)snprintf(out, JUMP_PATH_TEXT_BYTES, "%s [%s%%%" PRIu32 "]:%u", proto, ip, path->scope, path->port);
    else
        (void)snprintf(out, JUMP_PATH_TEXT_BYTES, "%s [%s]:%u", proto, ip, path->port);
}
