/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the system's socket addresses and the core's paths. An IPv4 address is the same path whether the socket
 * showed it as AF_INET or mapped into AF_INET6; the way back depends on the socket. No state, any thread.
 */
#ifndef JUMP_OVPN_SOCKADDR_H
#define JUMP_OVPN_SOCKADDR_H

#include <sys/socket.h>

#include <jumping/types.h>

/** @return false: neither AF_INET nor AF_INET6, or too short */
bool jump_sockaddr_to_path(struct jump_path *path, const struct sockaddr *address, socklen_t address_len);

/** @return bytes used in `address`; 0: an IPv6 path on an AF_INET socket */
socklen_t jump_sockaddr_from_path(struct sockaddr_storage *address, const struct jump_path *path, bool inet6_socket);

/** The same address and port, whatever transport they are named by. */
bool jump_sockaddr_same_place(const struct jump_path *a, const struct jump_path *b);

/**
 * What came from `real` is shown as `shown`, in the family of the reader's own socket.
 *
 * @param address     in: any; out: `shown`
 * @param room        bytes that there are for it
 * @return false: it came from elsewhere, or does not fit; nothing is changed
 */
bool jump_sockaddr_show_as(struct sockaddr *address, socklen_t *address_len, socklen_t room,
                           const struct jump_path *from, const struct jump_path *real, const struct jump_path *shown,
                           bool inet6_socket);

/**
 * From OpenVPN's environment: `ip` is untrusted_ip (IPv4) or untrusted_ip6, `port` decimal.
 *
 * @return false: not an address
 */
bool jump_sockaddr_parse(struct jump_path *path, const char *ip, const char *port);

bool jump_sockaddr_is_ipv4(const struct jump_path *path);

#endif
