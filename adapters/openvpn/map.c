/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The data path's decisions (map.h). The two functions a packet meets, jump_map_inbound and jump_map_outbound, read
 * top to bottom as docs/openvpn.md tells them. Everything is sized at the start; a packet costs a look-up or, from
 * an address nobody knows, four. It refuses to learn anything from a client's own packets: whoever captured one
 * could otherwise teach it. Read next: addresses.c.
 */
#include "map.h"

#include "addresses.h"

#include <string.h>

#define PING_BYTES 41 /* P_DATA_V2 with an AEAD tag, a compression byte and OpenVPN's 16-byte ping */

struct jump_map {
    struct jump_addresses addresses;
    struct jump_map_counters counters;
    uint32_t peers_len, high; /* slots there are; slots ever used */
    uint32_t hint;            /* where to look for a free one */
    uint32_t in_use, next_alias;
    uint64_t serial;
    struct jump_map_peer peers[];
};

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
    memcpy(map->addresses.key, key, JUMP_MAP_KEY_BYTES);
    return map;
}

static struct jump_map_peer *find_as(struct jump_map *map, enum jump_address_kind kind, const struct jump_path *path)
{
    uint32_t peer = jump_addresses_find(&map->addresses, kind, path);

    return peer == JUMP_ADDRESSES_NONE ? NULL : &map->peers[peer];
}

static uint32_t number_of(const struct jump_map *map, const struct jump_map_peer *p)
{
    return p == NULL ? JUMP_MAP_NO_PEER : (uint32_t)(p - map->peers);
}

static struct jump_path peer_id_key(uint32_t peer_id)
{
    struct jump_path key;

    memset(&key, 0, sizeof key);
    key.scope = peer_id;
    return key;
}

static uint32_t peer_id_in(const uint8_t *bytes, size_t bytes_len)
{
    if (jump_map_opcode(bytes) != JUMP_OVPN_DATA_V2 || bytes_len < 4)
        return JUMP_MAP_NO_PEER_ID;
    return (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_data(uint8_t opcode)
{
    return opcode == JUMP_OVPN_DATA_V1 || opcode == JUMP_OVPN_DATA_V2;
}

static bool is_hard_reset(uint8_t opcode)
{
    return opcode == JUMP_OVPN_HARD_RESET_CLIENT_V2 || opcode == JUMP_OVPN_HARD_RESET_CLIENT_V3;
}

bool jump_map_is_user_data(const uint8_t *bytes, size_t bytes_len)
{
    return bytes_len > PING_BYTES && is_data(jump_map_opcode(bytes));
}

/* The three addresses of a peer: each setter keeps the table in step with the field. */

static void clear_binding(struct jump_map *map, struct jump_map_peer *p)
{
    if (p->bound)
        jump_addresses_remove(&map->addresses, JUMP_ADDRESS_BINDING, number_of(map, p));
    p->bound = false;
}

static void clear_previous(struct jump_map *map, struct jump_map_peer *p)
{
    if (p->previous_until != 0)
        jump_addresses_remove(&map->addresses, JUMP_ADDRESS_PREVIOUS, number_of(map, p));
    p->previous_until = 0;
}

static void clear_peer_id(struct jump_map *map, struct jump_map_peer *p)
{
    if (p->peer_id != JUMP_MAP_NO_PEER_ID)
        jump_addresses_remove(&map->addresses, JUMP_ADDRESS_PEER_ID, number_of(map, p));
    p->peer_id = JUMP_MAP_NO_PEER_ID;
}

static void remove_peer(struct jump_map *map, struct jump_map_peer *p)
{
    clear_binding(map, p);
    clear_previous(map, p);
    clear_peer_id(map, p);
    jump_addresses_remove(&map->addresses, JUMP_ADDRESS_SHOWN, number_of(map, p));
    map->hint = number_of(map, p);
    memset(p, 0, sizeof *p);
    map->in_use--;
}

/* One address, one peer: whoever was there before has lost it. */
static void set_binding(struct jump_map *map, struct jump_map_peer *p, const struct jump_path *path)
{
    struct jump_map_peer *other = find_as(map, JUMP_ADDRESS_BINDING, path);

    if (other == p)
        return;
    if (other != NULL) {
        clear_binding(map, other);
        if (other->host == 0) /* a newcomer that never came up, on an address that a session has proved to hold */
            remove_peer(map, other);
    }
    clear_binding(map, p);
    p->binding = *path;
    p->bound = true;
    jump_addresses_add(&map->addresses, JUMP_ADDRESS_BINDING, number_of(map, p));
}

static void learn_peer_id(struct jump_map *map, struct jump_map_peer *p, uint32_t peer_id)
{
    struct jump_path key = peer_id_key(peer_id);
    struct jump_map_peer *other = find_as(map, JUMP_ADDRESS_PEER_ID, &key);

    if (other != NULL) /* OpenVPN gives a number to one instance at a time, so the other's is gone */
        clear_peer_id(map, other);
    clear_peer_id(map, p);
    p->peer_id = peer_id;
    p->peer_id_key = key;
    jump_addresses_add(&map->addresses, JUMP_ADDRESS_PEER_ID, number_of(map, p));
}

static struct jump_map_peer *new_peer(struct jump_map *map, const struct jump_path *shown, const struct jump_path *real)
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
    p->used = true;
    p->peer_id = JUMP_MAP_NO_PEER_ID;
    p->shown = *shown;
    p->birth = *real;
    jump_addresses_add(&map->addresses, JUMP_ADDRESS_SHOWN, number_of(map, p));
    set_binding(map, p, real);
    return p;
}

static bool is_mapped(const struct jump_path *path)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(path->ip, prefix, sizeof prefix) == 0;
}

bool jump_map_is_alias(const struct jump_path *path)
{
    static const uint8_t discard_only[8] = {0x01, 0x00}; /* 100::/64, RFC 6666 */

    if (is_mapped(path))
        return path->ip[12] >= 240 && memcmp(path->ip + 12, "\xff\xff\xff\xff", 4) != 0;
    return memcmp(path->ip, discard_only, sizeof discard_only) == 0;
}

/* A newcomer on an address that OpenVPN takes for somebody else's. */
static struct jump_map_peer *new_alias(struct jump_map *map, const struct jump_path *real, jump_time now)
{
    struct jump_path alias = *real;
    struct jump_map_peer *p;

    if (map->in_use == map->peers_len)
        for (uint32_t at = 0; at < map->high; at++) {
            p = &map->peers[at];
            if (p->used && p->host == 0 && now - p->used_at > JUMP_MAP_ALIAS_FOR) {
                remove_peer(map, p);
                break;
            }
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
    } while (find_as(map, JUMP_ADDRESS_SHOWN, &alias) != NULL);
    p = new_peer(map, &alias, real);
    if (p == NULL) {
        map->counters.alias_refused++;
        return NULL;
    }
    p->aliased = true;
    map->counters.aliases++;
    return p;
}

enum jump_map_in jump_map_inbound(struct jump_map *map, struct jump_path *shown, uint32_t *peer, const uint8_t *bytes,
                                  size_t bytes_len, const struct jump_path *from, jump_time now)
{
    struct jump_map_peer *p, *owner = NULL;
    uint32_t peer_id;
    uint8_t opcode;

    *peer = JUMP_MAP_NO_PEER;
    if (bytes_len == 0)
        return JUMP_MAP_DELIVER;
    opcode = jump_map_opcode(bytes);
    if (opcode == JUMP_OVPN_ENVELOPE)
        return JUMP_MAP_CONTROL;
    if (map->in_use == 0) /* nobody has announced: everything is as in bare OpenVPN */
        return JUMP_MAP_DELIVER;

    peer_id = peer_id_in(bytes, bytes_len);
    if (peer_id != JUMP_MAP_NO_PEER_ID) {
        struct jump_path key = peer_id_key(peer_id);

        owner = find_as(map, JUMP_ADDRESS_PEER_ID, &key);
    }

    p = find_as(map, JUMP_ADDRESS_BINDING, from);
    if (p != NULL) {
        /* OpenVPN would find the instance by the number: it must be this peer's own, once that is known. */
        if (owner != p && (owner != NULL || (peer_id != JUMP_MAP_NO_PEER_ID && p->peer_id != JUMP_MAP_NO_PEER_ID))) {
            map->counters.foreign_data++;
            return JUMP_MAP_DROP;
        }
        if (is_hard_reset(opcode))
            p->reset_seen = true;
        *peer = number_of(map, p);
        p->used_at = now;
        *shown = p->shown;
        return memcmp(&p->shown, from, sizeof *from) == 0 ? JUMP_MAP_DELIVER : JUMP_MAP_DELIVER_AS;
    }

    p = find_as(map, JUMP_ADDRESS_PREVIOUS, from);
    if (p != NULL && now >= p->previous_until) {
        clear_previous(map, p);
        p = NULL;
    }
    if (p != NULL && p->bound && !is_hard_reset(opcode) && (owner == NULL || owner == p)) {
        *peer = JUMP_MAP_NO_PEER; /* in flight at the switch: delivered, but no sign of life */
        *shown = p->shown;
        return memcmp(&p->shown, from, sizeof *from) == 0 ? JUMP_MAP_DELIVER : JUMP_MAP_DELIVER_AS;
    }

    if (owner != NULL) { /* a session's data from an address it has not proved */
        if (owner->fenced)
            map->counters.fenced++;
        else if (memcmp(&owner->previous, from, sizeof *from) == 0 || memcmp(&owner->binding, from, sizeof *from) == 0)
            map->counters.former_path++;
        else
            map->counters.foreign_data++;
        return JUMP_MAP_DROP;
    }

    p = find_as(map, JUMP_ADDRESS_SHOWN, from);
    if (p == NULL)
        return JUMP_MAP_DELIVER; /* newcomers and peers without the plugin, float and all */
    /* OpenVPN would take it for p, whose binding is elsewhere. Only the start of a handshake can be a newcomer's. */
    if (!is_hard_reset(opcode)) {
        if (p->fenced)
            map->counters.fenced++;
        else
            map->counters.former_path++;
        return JUMP_MAP_DROP;
    }
    p = new_alias(map, from, now);
    if (p == NULL)
        return JUMP_MAP_DROP;
    p->used_at = now;
    *peer = number_of(map, p);
    *shown = p->shown;
    return JUMP_MAP_DELIVER_AS;
}

enum jump_map_out jump_map_outbound(struct jump_map *map, struct jump_path *to, uint32_t *peer, const uint8_t *bytes,
                                    size_t bytes_len, const struct jump_path *shown, jump_time now)
{
    struct jump_map_peer *p;
    uint32_t peer_id;

    *peer = JUMP_MAP_NO_PEER;
    if (map->in_use == 0 || bytes_len == 0) {
        if (jump_map_is_alias(shown)) {
            map->counters.unmapped_alias++;
            return JUMP_MAP_DISCARD;
        }
        return JUMP_MAP_SEND;
    }
    p = find_as(map, JUMP_ADDRESS_SHOWN, shown);
    if (p == NULL) {
        if (!jump_map_is_alias(shown))
            return JUMP_MAP_SEND;
        map->counters.unmapped_alias++;
        return JUMP_MAP_DISCARD;
    }
    *peer = number_of(map, p);
    if (p->fenced) {
        map->counters.fenced++;
        return JUMP_MAP_DISCARD;
    }
    p->used_at = now;
    peer_id = peer_id_in(bytes, bytes_len);
    if (peer_id != JUMP_MAP_NO_PEER_ID && peer_id != p->peer_id && p->host != 0)
        learn_peer_id(map, p, peer_id);
    if (!p->bound)
        return JUMP_MAP_HOLD;
    *to = p->binding;
    return memcmp(&p->binding, shown, sizeof *shown) == 0 ? JUMP_MAP_SEND : JUMP_MAP_SEND_TO;
}

enum jump_map_out jump_map_client_outbound(struct jump_map *map, uint32_t *peer, const uint8_t *bytes,
                                           size_t bytes_len, const struct jump_path *to)
{
    struct jump_map_peer *p;

    *peer = JUMP_MAP_NO_PEER;
    if (map->in_use == 0 || bytes_len == 0)
        return JUMP_MAP_SEND;
    p = find_as(map, JUMP_ADDRESS_SHOWN, to);
    if (p == NULL || is_hard_reset(jump_map_opcode(bytes)))
        return JUMP_MAP_SEND;
    *peer = number_of(map, p);
    if (p->fenced) {
        map->counters.fenced++;
        return JUMP_MAP_DISCARD;
    }
    return p->bound ? JUMP_MAP_SEND : JUMP_MAP_HOLD;
}

int jump_map_open(struct jump_map *map, jump_host *host, const struct jump_path *shown)
{
    struct jump_map_peer *p = find_as(map, JUMP_ADDRESS_SHOWN, shown);

    *host = 0;
    if (p != NULL && p->host != 0)
        return JUMP_ERR_EXISTS;
    if (p == NULL)
        p = new_peer(map, shown, shown);
    if (p == NULL)
        return JUMP_ERR_FULL;
    /* A serial number above, the slot below: found again without a search, and never the same twice. */
    p->host = *host = ++map->serial << 24 | number_of(map, p);
    return 0;
}

struct jump_map_peer *jump_map_find(struct jump_map *map, jump_host host)
{
    struct jump_map_peer *p = jump_map_peer(map, (uint32_t)(host & 0xffffff));

    return host != 0 && p != NULL && p->host == host ? p : NULL;
}

void jump_map_close(struct jump_map *map, jump_host host)
{
    struct jump_map_peer *p = jump_map_find(map, host);

    if (p != NULL)
        remove_peer(map, p);
}

void jump_map_release(struct jump_map *map, const struct jump_path *shown)
{
    struct jump_map_peer *p = find_as(map, JUMP_ADDRESS_SHOWN, shown);

    if (p != NULL && p->host == 0)
        remove_peer(map, p);
}

void jump_map_bind(struct jump_map *map, jump_host host, const struct jump_id *session_id, const struct jump_path *path,
                   bool voluntary, jump_time now)
{
    struct jump_map_peer *p = jump_map_find(map, host);
    struct jump_path to = *path;

    if (p == NULL || p->fenced)
        return;
    to.transport = 0;
    p->session_id = *session_id;
    clear_previous(map, p);
    if (p->bound && memcmp(&p->binding, &to, sizeof to) != 0) {
        struct jump_map_peer *other = find_as(map, JUMP_ADDRESS_PREVIOUS, &p->binding);

        p->previous = p->binding;
        if (voluntary) {
            if (other != NULL)
                clear_previous(map, other);
            p->previous_until = now + JUMP_MAP_FORMER_PATH_FOR;
            jump_addresses_add(&map->addresses, JUMP_ADDRESS_PREVIOUS, number_of(map, p));
        }
    }
    set_binding(map, p, &to);
}

void jump_map_unbind(struct jump_map *map, jump_host host, const struct jump_id *session_id)
{
    struct jump_map_peer *p = jump_map_find(map, host);

    if (p == NULL || memcmp(&p->session_id, session_id, sizeof *session_id) != 0)
        return;
    clear_previous(map, p);
    p->previous = p->binding; /* for the counters: its latecomers are of a former path, not foreign */
    clear_binding(map, p);
}

void jump_map_fence(struct jump_map *map, jump_host host)
{
    struct jump_map_peer *p = jump_map_find(map, host);

    if (p == NULL)
        return;
    clear_previous(map, p);
    clear_binding(map, p);
    p->fenced = true;
}

bool jump_map_reset_taken(struct jump_map *map, jump_host host)
{
    struct jump_map_peer *p = jump_map_find(map, host);
    bool seen = p != NULL && p->reset_seen;

    if (p != NULL)
        p->reset_seen = false;
    return seen;
}

struct jump_map_peer *jump_map_peer(struct jump_map *map, uint32_t peer)
{
    return peer < map->peers_len && map->peers[peer].used ? &map->peers[peer] : NULL;
}

uint32_t jump_map_peers(const struct jump_map *map)
{
    return map->high;
}

struct jump_path jump_map_real(const struct jump_map *map, const struct jump_path *shown)
{
    uint32_t peer = jump_addresses_find(&map->addresses, JUMP_ADDRESS_SHOWN, shown);

    return peer == JUMP_ADDRESSES_NONE ? *shown : map->peers[peer].birth;
}

const struct jump_map_counters *jump_map_counters(const struct jump_map *map)
{
    return &map->counters;
}
