/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Room in a socket of the host's for a burst: what a peer held in an outage and sends at once, a flood that must not push
 * user data out. The system's usual 208 KiB are some 170 datagrams.
 */
#ifndef JUMP_SYSTEM_RECEIVE_BUFFER_H
#define JUMP_SYSTEM_RECEIVE_BUFFER_H

/** Widen it to `bytes` (as SO_RCVBUF counts them), never narrow it. Beyond net.core.rmem_max with CAP_NET_ADMIN only. */
void jump_receive_buffer_widen(int fd, int bytes);

#endif
