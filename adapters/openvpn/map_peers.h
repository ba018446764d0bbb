/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside map.c and map_peers.c only: the table of peers and the functions that keep every peer's addresses in step
 * with the hash table. Read next: map_peers.c.
 */
#ifndef JUMP_OVPN_MAP_PEERS_H
#define JUMP_OVPN_MAP_PEERS_H

#include "map_addresses.h"
#include "map.h"

#define JUMP_MAP_CLAIMS 256u /* a power of two */

/** A peer-id that came from a session's own address before OpenVPN itself has sent one there. */
struct jump_map_claim {
    uint32_t peer_id, peer;
};

struct jump_map {
    struct jump_addresses addresses;
    struct jump_map_counters counters;
    uint32_t peers_len, high; /* slots there are; slots ever used */
    uint32_t hint;            /* where to look for a free one */
    uint32_t in_use, next_alias;
    uint32_t newcomers, reclaim; /* peers without a session; where to look for an old one next */
    uint32_t recent[2]; /* by SHOWN, BINDING: the peer that was found last */
    uint64_t serial;
    struct jump_map_claim claims[JUMP_MAP_CLAIMS]; /* by peer-id; a later one takes the place */
    struct jump_map_peer peers[];
};

static inline uint32_t jump_map_number(const struct jump_map *map, const struct jump_map_peer *p)
{
    return p == NULL ? JUMP_MAP_NO_PEER : (uint32_t)(p - map->peers);
}

/** The peer that has this address as `kind`, or NULL. */
struct jump_map_peer *jump_map_find_as(struct jump_map *map, enum jump_address_kind kind, const struct jump_path *path);
struct jump_map_peer *jump_map_find_peer_id(struct jump_map *map, uint32_t peer_id);

/** A peer that is bound nowhere yet, or NULL: full. */
struct jump_map_peer *jump_map_new_peer(struct jump_map *map, const struct jump_path *shown,
                                        const struct jump_path *real);

/** A newcomer on an address that OpenVPN takes for somebody else's; NULL: full. Bound nowhere yet. */
struct jump_map_peer *jump_map_new_alias(struct jump_map *map, const struct jump_path *real, jump_time now);

/** A newcomer on the address that `p` is bound to; `bytes` are its hard reset. */
struct jump_map_peer *jump_map_new_guest(struct jump_map *map, struct jump_map_peer *p, const uint8_t *bytes,
                                         const struct jump_path *real, jump_time now);

void jump_map_become_newcomer(struct jump_map *map, struct jump_map_peer *p); /* or nobody, where that does as well */
void jump_map_remove_peer(struct jump_map *map, struct jump_map_peer *p);

/** One address, one peer: whoever was there before has lost it. */
void jump_map_set_binding(struct jump_map *map, struct jump_map_peer *p, const struct jump_path *path);
void jump_map_clear_binding(struct jump_map *map, struct jump_map_peer *p);
/** The binding becomes the former path, heard until then; 0: known for the counters only. */
void jump_map_set_previous(struct jump_map *map, struct jump_map_peer *p, jump_time until);
void jump_map_clear_previous(struct jump_map *map, struct jump_map_peer *p);
void jump_map_learn_peer_id(struct jump_map *map, struct jump_map_peer *p, uint32_t peer_id);

/** A guest is no guest any more: of whom it was, the address may be free by now. */
void jump_map_part(struct jump_map_peer *host, struct jump_map_peer *guest);

#endif
