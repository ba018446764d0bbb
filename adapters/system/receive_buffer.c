/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "system/receive_buffer.h"

#include <sys/socket.h>

void jump_receive_buffer_widen(int fd, int bytes)
{
    int now = 0;
    socklen_t len = sizeof now;

    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &now, &len) != 0 || now >= 2 * bytes) /* it tells twice what was set */
        return;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) /* beyond rmem_max: with privilege */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}
