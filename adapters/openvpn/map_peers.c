/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Peers and their addresses (map_peers.h): who is known by which address, aliases, guests. Every change of an address
 * goes through one of the setters here, so that the hash table says what the peers say. Verdicts are map.c's.
 */
#include "map_peers.h"

#include <string.h>

#define RECLAIM_LOOKS 64u

static const struct jump_path *path_of(const void *owner, uint32_t peer, enum jump_address_kind kind)
{
    const struct jump_map_peer *p = &((const struct jump_map *)owner)->peers[peer];

    switch (kind) {
    case JUMP_ADDRESS_SHOWN: return &p->shown;
    case JUMP_ADDRESS_BINDING: return &p->binding;
    case JUMP_ADDRESS_PREVIOUS: return &p->previous;
    case JUMP_ADDRESS_PEER_ID: break;
    }
    return &p->peer_id_key;
}

size_t jump_map_bytes(uint32_t max_sessions)
{
    uint32_t peers = max_sessions * 2;

    return sizeof(struct jump_map) + sizeof(struct jump_map_peer) * peers
           + sizeof(struct jump_address_slot) * jump_addresses_slots(peers * 4);
}

struct jump_map *jump_map_init(void *memory, size_t memory_len, uint32_t max_sessions,
                               const uint8_t key[JUMP_MAP_KEY_BYTES])
{
    struct jump_map *map = memory;

    if (max_sessions == 0 || max_sessions > 1000000 || memory_len < jump_map_bytes(max_sessions))
        return NULL;
    memset(memory, 0, jump_map_bytes(max_sessions));
    map->peers_len = max_sessions * 2;
    map->addresses.slots = (struct jump_address_slot *)(void *)&map->peers[map->peers_len];
    map->addresses.mask = jump_addresses_slots(map->peers_len * 4) - 1;
    map->addresses.path_of = path_of;
    map->addresses.owner = map;
    for (uint32_t i = 0; i < JUMP_MAP_CLAIMS; i++)
        map->claims[i].peer_id = JUMP_MAP_NO_PEER_ID;
    memcpy(map->addresses.key, key, JUMP_MAP_KEY_BYTES);
    return map;
}

/* The key of a kind, if the peer has it now. */
static bool has(const struct jump_map_peer *p, enum jump_address_kind kind, const struct jump_path *path)
{
    return kind == JUMP_ADDRESS_SHOWN ? p->used && memcmp(&p->shown, path, sizeof *path) == 0
                                      : p->bound && memcmp(&p->binding, path, sizeof *path) == 0;
}

struct jump_map_peer *jump_map_find_as(struct jump_map *map, enum jump_address_kind kind, const struct jump_path *path)
{
    bool remembered = kind == JUMP_ADDRESS_SHOWN || kind == JUMP_ADDRESS_BINDING;
    uint32_t peer;

    /* Packets come in trains: the peer of the last one is asked first, and its own fields answer. */
    if (remembered && has(&map->peers[map->recent[kind]], kind, path))
        return &map->peers[map->recent[kind]];
    peer = jump_addresses_find(&map->addresses, kind, path);
    if (peer == JUMP_ADDRESSES_NONE)
        return NULL;
    if (remembered)
        map->recent[kind] = peer;
    return &map->peers[peer];
}

static struct jump_path peer_id_key(uint32_t peer_id)
{
    struct jump_path key;

    memset(&key, 0, sizeof key);
    key.scope = peer_id;
    return key;
}

struct jump_map_peer *jump_map_find_peer_id(struct jump_map *map, uint32_t peer_id)
{
    struct jump_path key = peer_id_key(peer_id);

    return jump_map_find_as(map, JUMP_ADDRESS_PEER_ID, &key);
}

/* The three addresses of a peer: each setter keeps the table in step with the field. */

static void bind_here(struct jump_map *map, struct jump_map_peer *p, const struct jump_path *path)
{
    p->binding = *path;
    p->bound = true;
    jump_addresses_add(&map->addresses, JUMP_ADDRESS_BINDING, jump_map_number(map, p));
}

/* A guest is no guest any more: of whom it was, the address may be free by now. */
void jump_map_part(struct jump_map_peer *host, struct jump_map_peer *guest)
{

    host->guest = JUMP_MAP_NO_PEER;
    guest->guest_of = JUMP_MAP_NO_PEER;
}

/* NOLINTNEXTLINE(misc-no-recursion): once, since a guest has no guest */
void jump_map_clear_binding(struct jump_map *map, struct jump_map_peer *p)
{
    struct jump_map_peer *guest = p->guest == JUMP_MAP_NO_PEER ? NULL : &map->peers[p->guest];

    if (p->bound)
        jump_addresses_remove(&map->addresses, JUMP_ADDRESS_BINDING, jump_map_number(map, p));
    p->bound = false;
    if (guest != NULL) { /* the address is the guest's alone now */
        jump_map_part(p, guest);
        if (guest->host == 0 && !guest->answered)
            jump_map_remove_peer(map, guest); /* nobody is behind it */
        else if (!guest->bound && !guest->fenced)
            bind_here(map, guest, &guest->birth);
    }
}

void jump_map_clear_previous(struct jump_map *map, struct jump_map_peer *p)
{
    if (p->previous_until != 0)
        jump_addresses_remove(&map->addresses, JUMP_ADDRESS_PREVIOUS, jump_map_number(map, p));
    p->previous_until = 0;
}

void jump_map_set_previous(struct jump_map *map, struct jump_map_peer *p, jump_time until)
{
    struct jump_map_peer *other = jump_map_find_as(map, JUMP_ADDRESS_PREVIOUS, &p->binding);

    if (other != NULL)
        jump_map_clear_previous(map, other);
    jump_map_clear_previous(map, p);
    p->previous = p->binding;
    p->previous_until = until;
    if (until != 0)
        jump_addresses_add(&map->addresses, JUMP_ADDRESS_PREVIOUS, jump_map_number(map, p));
}

static void clear_peer_id(struct jump_map *map, struct jump_map_peer *p)
{
    if (p->peer_id != JUMP_MAP_NO_PEER_ID)
        jump_addresses_remove(&map->addresses, JUMP_ADDRESS_PEER_ID, jump_map_number(map, p));
    p->peer_id = JUMP_MAP_NO_PEER_ID;
}

/* NOLINTNEXTLINE(misc-no-recursion): once, as above */
void jump_map_remove_peer(struct jump_map *map, struct jump_map_peer *p)
{
    if (p->guest_of != JUMP_MAP_NO_PEER)
        jump_map_part(&map->peers[p->guest_of], p);
    jump_map_clear_binding(map, p);
    jump_map_clear_previous(map, p);
    clear_peer_id(map, p);
    jump_addresses_remove(&map->addresses, JUMP_ADDRESS_SHOWN, jump_map_number(map, p));
    map->hint = jump_map_number(map, p);
    if (p->host == 0)
        map->newcomers--;
    memset(p, 0, sizeof *p);
    map->in_use--;
}

void jump_map_become_newcomer(struct jump_map *map, struct jump_map_peer *p)
{
    struct jump_path heard_at = p->binding.port != 0 ? p->binding : p->birth; /* the last one stays in this field */

    jump_map_clear_previous(map, p);
    clear_peer_id(map, p);
    p->host = 0;
    p->sent = p->received = false;
    map->newcomers++;
    if (p->fenced || p->guest_of != JUMP_MAP_NO_PEER)
        return;
    /* Where a session is by now it is not the one that is spoken to. */
    if (!p->bound && jump_map_find_as(map, JUMP_ADDRESS_BINDING, &heard_at) == NULL)
        bind_here(map, p, &heard_at);
    if (p->bound && memcmp(&p->binding, &p->shown, sizeof p->shown) == 0)
        jump_map_remove_peer(map, p);
}

/* One address, one peer: whoever was there before has lost it. */
void jump_map_set_binding(struct jump_map *map, struct jump_map_peer *p, const struct jump_path *path)
{
    struct jump_map_peer *other = jump_map_find_as(map, JUMP_ADDRESS_BINDING, path);

    if (other == p)
        return;
    if (p->guest_of != JUMP_MAP_NO_PEER)
        jump_map_part(&map->peers[p->guest_of], p);
    if (other != NULL) {
        jump_map_clear_binding(map, other);
        if (other->host == 0) /* a newcomer that never came up, on an address that a session has proved to hold */
            jump_map_remove_peer(map, other);
        other = jump_map_find_as(map, JUMP_ADDRESS_BINDING, path);
        if (other != NULL) /* its guest took the place: it has not proved anything yet */
            jump_map_clear_binding(map, other);
    }
    jump_map_clear_binding(map, p);
    bind_here(map, p, path);
}

void jump_map_learn_peer_id(struct jump_map *map, struct jump_map_peer *p, uint32_t peer_id)
{
    struct jump_map_peer *other = jump_map_find_peer_id(map, peer_id);

    if (other != NULL) /* OpenVPN gives a number to one instance at a time, so the other's is gone */
        clear_peer_id(map, other);
    clear_peer_id(map, p);
    p->peer_id = peer_id;
    p->peer_id_key = peer_id_key(peer_id);
    jump_addresses_add(&map->addresses, JUMP_ADDRESS_PEER_ID, jump_map_number(map, p));
}

/* A peer that is bound nowhere yet. */
struct jump_map_peer *jump_map_new_peer(struct jump_map *map, const struct jump_path *shown, const struct jump_path *real)
{
    struct jump_map_peer *p = NULL;

    if (map->in_use == map->peers_len)
        return NULL;
    for (uint32_t n = 0, at = map->hint; n < map->peers_len && p == NULL; n++, at = (at + 1) % map->peers_len)
        if (!map->peers[at].used) {
            p = &map->peers[at];
            map->hint = at;
            if (at >= map->high)
                map->high = at + 1;
        }
    if (p == NULL)
        return NULL;
    memset(p, 0, sizeof *p);
    map->in_use++;
    map->newcomers++;
    p->used = true;
    p->peer_id = JUMP_MAP_NO_PEER_ID;
    p->guest = p->guest_of = JUMP_MAP_NO_PEER;
    p->shown = *shown;
    p->birth = *real;
    jump_addresses_add(&map->addresses, JUMP_ADDRESS_SHOWN, jump_map_number(map, p));
    return p;
}

static bool is_mapped(const struct jump_path *path)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(path->ip, prefix, sizeof prefix) == 0;
}

/* Resets are not authenticated: what came of them goes again. A bounded look at each newcomer. */
static void reclaim(struct jump_map *map, jump_time now)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): jump_map_new_guest has read `map` before; an element's address is not NULL */
    for (uint32_t i = 0; i < RECLAIM_LOOKS && map->high > 0; i++) {
        struct jump_map_peer *p = &map->peers[map->reclaim % map->high];

        map->reclaim = (map->reclaim + 1) % map->high;
        if (p->used && p->host == 0 && now - p->used_at > (p->answered ? JUMP_MAP_ALIAS_FOR : JUMP_MAP_STRAY_FOR))
            jump_map_remove_peer(map, p);
    }
}

/* A newcomer on an address that OpenVPN takes for somebody else's. */
struct jump_map_peer *jump_map_new_alias(struct jump_map *map, const struct jump_path *real, jump_time now)
{
    struct jump_path alias = *real;
    struct jump_map_peer *p;

    reclaim(map, now);
    if (map->newcomers >= map->peers_len / 2) { /* sessions always have their half */
        map->counters.alias_refused++;
        return NULL;
    }
    do {
        map->next_alias = map->next_alias % 0xfffffe + 1;
        if (is_mapped(real)) {
            alias.ip[12] = 240;
        } else {
            memset(alias.ip, 0, sizeof alias.ip);
            alias.ip[0] = 0x01;
            alias.scope = 0;
        }
        alias.ip[13] = (uint8_t)(map->next_alias >> 16);
        alias.ip[14] = (uint8_t)(map->next_alias >> 8);
        alias.ip[15] = (uint8_t)map->next_alias;
    } while (jump_map_find_as(map, JUMP_ADDRESS_SHOWN, &alias) != NULL);
    p = jump_map_new_peer(map, &alias, real);
    if (p == NULL) {
        map->counters.alias_refused++;
        return NULL;
    }
    p->aliased = true;
    p->used_at = now;
    map->counters.aliases++;
    return p;
}

/* A handshake that begins on the address of a session's binding. In bare OpenVPN it would go on inside that
 * session's instance, whose client then waits in vain for its options (push.c answers each instance once). */
struct jump_map_peer *jump_map_new_guest(struct jump_map *map, struct jump_map_peer *p, const uint8_t *bytes,
                                       const struct jump_path *real, jump_time now)
{
    struct jump_map_peer *guest = p->guest == JUMP_MAP_NO_PEER ? NULL : &map->peers[p->guest];

    if (guest != NULL && guest->host == 0 && guest->answered && now - guest->used_at < JUMP_MAP_GUEST_FOR)
        return NULL; /* a forged reset must not cut a handshake short */
    if (guest != NULL && guest->host == 0)
        jump_map_remove_peer(map, guest); /* it began anew; whatever instance the old alias had is of no use */
    else if (guest != NULL)
        jump_map_part(p, guest);
    guest = jump_map_new_alias(map, real, now);
    if (guest == NULL)
        return NULL;
    memcpy(guest->sid, bytes + 1, sizeof guest->sid);
    guest->guest_of = jump_map_number(map, p);
    p->guest = jump_map_number(map, guest);
    return guest;
}

bool jump_map_is_alias(const struct jump_path *path)
{
    static const uint8_t discard_only[8] = {0x01, 0x00}; /* 100::/64, RFC 6666 */

    if (is_mapped(path))
        return path->ip[12] >= 240 && memcmp(path->ip + 12, "\xff\xff\xff\xff", 4) != 0;
    return memcmp(path->ip, discard_only, sizeof discard_only) == 0;
}
