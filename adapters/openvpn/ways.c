/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ways to the server (ways.h). Everything is bounded by the arrays of the header: a name with a hundred addresses
 * costs no more than one with eight. Read next: uplinks.c.
 */
#include "ways.h"

#include <string.h>

#include "sockaddr.h"

static bool contains(const struct jump_path *list, size_t len, const struct jump_path *path)
{
    for (size_t i = 0; i < len; i++)
        if (jump_sockaddr_same_place(&list[i], path))
            return true;
    return false;
}

void jump_ways_note(struct jump_ways *ways, const char *name, const struct jump_path *addresses, size_t addresses_len)
{
    size_t place = ways->next, len = 0;

    for (size_t i = 0; i < addresses_len && len < JUMP_WAYS_LIST_ADDRESSES; i++)
        if (!contains(ways->lists[place].addresses, len, &addresses[i]))
            ways->lists[place].addresses[len++] = addresses[i];
    ways->lists[place].len = len;
    memset(ways->lists[place].name, 0, sizeof ways->lists[place].name);
    if (strlen(name) < sizeof ways->lists[place].name)
        memcpy(ways->lists[place].name, name, strlen(name));
    if (len > 0)
        ways->next = (place + 1) % JUMP_WAYS_LISTS;
}

size_t jump_ways_known(const struct jump_ways *ways, const char *name, struct jump_path out[JUMP_WAYS_LIST_ADDRESSES])
{
    if (*name == '\0')
        return 0;
    for (size_t age = 1; age <= JUMP_WAYS_LISTS; age++) {
        size_t place = (ways->next + JUMP_WAYS_LISTS - age) % JUMP_WAYS_LISTS;

        if (ways->lists[place].len == 0 || strcmp(ways->lists[place].name, name) != 0)
            continue;
        memcpy(out, ways->lists[place].addresses, ways->lists[place].len * sizeof *out);
        return ways->lists[place].len;
    }
    return 0;
}

/* The next address of this family that is not in `out` yet. */
static size_t add(struct jump_path *out, size_t len, const struct jump_path *list, size_t list_len, bool ipv4)
{
    for (size_t i = 0; i < list_len; i++)
        if (jump_sockaddr_is_ipv4(&list[i]) == ipv4 && !contains(out, len, &list[i])) {
            out[len] = list[i];
            return len + 1;
        }
    return len;
}

size_t jump_ways_targets(const struct jump_ways *ways, struct jump_path out[JUMP_WAYS_TARGETS],
                         const struct jump_path *used)
{
    bool ipv4 = jump_sockaddr_is_ipv4(used);
    size_t len = 1;

    out[0] = *used;
    for (size_t age = 1; age <= JUMP_WAYS_LISTS; age++) {
        size_t place = (ways->next + JUMP_WAYS_LISTS - age) % JUMP_WAYS_LISTS;
        const struct jump_path *list = ways->lists[place].addresses;
        size_t list_len = ways->lists[place].len;

        if (!contains(list, list_len, used))
            continue;
        len = add(out, len, list, list_len, !ipv4);
        len = add(out, len, list, list_len, ipv4);
        len = add(out, len, list, list_len, !ipv4);
        break;
    }
    return len;
}

struct ways_list {
    struct jump_uplink ways[1 + JUMP_WAYS_TARGETS * JUMP_MAX_CANDIDATES];
    size_t len, link; /* where OpenVPN's socket stands, if it does */
};

static struct jump_uplink *append(struct ways_list *list, const struct jump_path *server, unsigned ifindex,
                                  const struct jump_path *source)
{
    struct jump_uplink *way = &list->ways[list->len];

    memset(way, 0, sizeof *way);
    way->fd = -1;
    way->ifindex = ifindex;
    way->server = *server;
    way->server.transport = 0;
    memcpy(way->source.ip, source->ip, sizeof way->source.ip);
    way->source.scope = source->scope;
    way->priority = (uint32_t)list->len++;
    return way;
}

static bool is_link_local(const struct jump_path *path)
{
    return path->ip[0] == 0xfe && (path->ip[1] & 0xc0) == 0x80;
}

/* An interface that has lost its address keeps its route for a while, and the kernel then offers the link-local source:
 * no router passes that on. */
static bool allowed(const struct jump_path *server, const struct jump_path *source, const struct jump_path *only_source)
{
    return (only_source == NULL || memcmp(source->ip, only_source->ip, sizeof source->ip) == 0)
           && (is_link_local(server) || !is_link_local(source));
}

static bool is_unknown(const struct jump_uplink *way)
{
    static const uint8_t none[16];

    return memcmp(way->source.ip, none, sizeof none) == 0;
}

bool jump_ways_same(const struct jump_uplink *a, const struct jump_uplink *b)
{
    if (a->via_link != b->via_link || !jump_sockaddr_same_place(&a->server, &b->server))
        return false;
    if (a->via_link && (is_unknown(a) || is_unknown(b)))
        return true;
    return a->ifindex == b->ifindex && memcmp(a->source.ip, b->source.ip, sizeof a->source.ip) == 0;
}

size_t jump_ways_list(struct jump_uplink *out, size_t out_cap, const struct jump_ways_target *targets,
                      size_t targets_len, const struct jump_ways_link *link, const struct jump_path *only_source)
{
    struct ways_list list = {.len = 0};
    bool link_found = false;
    size_t len = 0;

    if (link->ifindex != 0 && !link->on_device && allowed(&link->server, &link->source, only_source)) {
        append(&list, &link->server, link->ifindex, &link->source)->via_link = true;
        link_found = true;
    }
    for (size_t t = 0; t < targets_len && t < JUMP_WAYS_TARGETS; t++)
        for (size_t i = 0; i < targets[t].out_len && i < JUMP_MAX_CANDIDATES; i++) {
            const struct jump_ways_out *through = &targets[t].out[i];
            bool here = through->ifindex == link->ifindex && jump_sockaddr_same_place(&targets[t].server, &link->server);
            struct jump_uplink *way;

            if ((here && link_found) || !allowed(&targets[t].server, &through->source, only_source)
                || (targets[t].server.scope != 0 && targets[t].server.scope != through->ifindex))
                continue;
            way = append(&list, &targets[t].server, through->ifindex, &through->source);
            memcpy(way->name, through->name, sizeof way->name);
            if (here && link->on_device) {
                way->via_link = link_found = true;
                list.link = list.len - 1;
            }
        }
    if (!link_found && link->unknown) {
        append(&list, &link->server, link->ifindex, &(struct jump_path){0})->via_link = link_found = true;
        list.link = list.len - 1;
    }
    if (link_found && out_cap > 0)
        out[len++] = list.ways[list.link];
    for (size_t i = 0; i < list.len && len < out_cap; i++)
        if (!link_found || i != list.link)
            out[len++] = list.ways[i];
    return len;
}
