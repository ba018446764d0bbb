/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Socket addresses and paths (sockaddr.h). A path has no padding and is compared byte for byte, so every way in
 * fills the whole struct. The scope is kept for link-local addresses only: elsewhere the kernel's choice of an
 * interface is no part of who the peer is.
 */
#include "sockaddr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool jump_sockaddr_is_ipv4(const struct jump_path *path)
{
    return memcmp(path->ip, mapped, sizeof mapped) == 0;
}

bool jump_sockaddr_to_path(struct jump_path *path, const struct sockaddr *address, socklen_t address_len)
{
    memset(path, 0, sizeof *path);
    path->proto = JUMP_PROTO_UDP;
    if (address_len >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        memcpy(path->ip, mapped, sizeof mapped);
        memcpy(path->ip + 12, &in.sin_addr, 4);
        path->port = ntohs(in.sin_port);
        return true;
    }
    if (address_len >= sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof in6);
        memcpy(path->ip, &in6.sin6_addr, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
            path->scope = in6.sin6_scope_id;
        path->port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

socklen_t jump_sockaddr_from_path(struct sockaddr_storage *address, const struct jump_path *path, bool inet6_socket)
{
    memset(address, 0, sizeof *address);
    if (inet6_socket) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)address;

        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_addr, path->ip, 16);
        in6->sin6_scope_id = path->scope;
        in6->sin6_port = htons(path->port);
        return sizeof *in6;
    }
    if (jump_sockaddr_is_ipv4(path)) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)address;

        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, path->ip + 12, 4);
        in->sin_port = htons(path->port);
        return sizeof *in;
    }
    return 0;
}

bool jump_sockaddr_same_place(const struct jump_path *a, const struct jump_path *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->port == b->port && a->scope == b->scope;
}

bool jump_sockaddr_show_as(struct sockaddr *address, socklen_t *address_len, socklen_t room,
                           const struct jump_path *from, const struct jump_path *real, const struct jump_path *shown,
                           bool inet6_socket)
{
    struct sockaddr_storage storage;
    socklen_t storage_len = jump_sockaddr_from_path(&storage, shown, inet6_socket);

    if (!jump_sockaddr_same_place(from, real) || storage_len == 0 || storage_len > room)
        return false;
    memcpy(address, &storage, storage_len);
    *address_len = storage_len;
    return true;
}

bool jump_sockaddr_parse(struct jump_path *path, const char *ip, const char *port)
{
    char bare[INET6_ADDRSTRLEN + 1];
    const char *scope;
    size_t len;
    char *end;
    unsigned long n;

    memset(path, 0, sizeof *path);
    path->proto = JUMP_PROTO_UDP;
    if (ip == NULL || port == NULL)
        return false;
    n = strtoul(port, &end, 10);
    if (*port < '0' || *port > '9' || *end != '\0' || n == 0 || n > 65535)
        return false;
    path->port = (uint16_t)n;
    if (inet_pton(AF_INET, ip, path->ip + 12) == 1) {
        memcpy(path->ip, mapped, sizeof mapped);
        return true;
    }
    scope = strchr(ip, '%');
    len = scope == NULL ? strlen(ip) : (size_t)(scope - ip);
    if (len >= sizeof bare)
        return false;
    memcpy(bare, ip, len);
    bare[len] = '\0';
    if (inet_pton(AF_INET6, bare, path->ip) != 1)
        return false;
    if (scope != NULL) {
        path->scope = if_nametoindex(scope + 1);
        if (path->scope == 0)
            path->scope = (uint32_t)strtoul(scope + 1, NULL, 10);
    }
    return true;
}
