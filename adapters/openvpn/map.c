/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The data path's decisions (map.h). The two functions a packet meets, jump_map_inbound and jump_map_outbound, read
 * top to bottom as docs/openvpn.md tells them. Everything is sized at the start; a packet costs a look-up or, from
 * an address nobody knows, four. It refuses to learn anything from a client's own packets: whoever captured one
 * could otherwise teach it. Read next: map_peers.c, map_addresses.c.
 */
#include "map.h"

#include "map_peers.h"

#include <string.h>

#define LEAST_RESET_BYTES 14 /* opcode, session id, no acknowledgements, packet id */
#define PING_BYTES 41 /* P_DATA_V2 with an AEAD tag, a compression byte and OpenVPN's 16-byte ping */

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

/* Whose is a datagram from the address that `p` is bound to: its own, or its guest's? NULL: nobody's, drop it. */
static struct jump_map_peer *whose(struct jump_map *map, struct jump_map_peer *p, const struct jump_map_peer *owner,
                                   const uint8_t *bytes, size_t bytes_len, uint32_t peer_id,
                                   const struct jump_path *from, jump_time now)
{
    struct jump_map_peer *guest = p->guest == JUMP_MAP_NO_PEER ? NULL : &map->peers[p->guest];
    bool reset = is_hard_reset(jump_map_opcode(bytes));
    bool has_sid = !is_data(jump_map_opcode(bytes)) && bytes_len >= 1 + JUMP_MAP_SID_BYTES;

    if (guest != NULL && has_sid && memcmp(guest->sid, bytes + 1, sizeof guest->sid) == 0)
        return guest;
    if (reset && p->host != 0)
        return has_sid && bytes_len >= LEAST_RESET_BYTES ? jump_map_new_guest(map, p, bytes, from, now) : NULL;
    if (guest != NULL && peer_id != JUMP_MAP_NO_PEER_ID && owner != p
        && (owner == guest || (owner == NULL && guest->peer_id == JUMP_MAP_NO_PEER_ID)))
        return guest;
    /* OpenVPN would find the instance by the number: it must be this peer's own, once that is known. */
    if (owner != p && (owner != NULL || (peer_id != JUMP_MAP_NO_PEER_ID && p->peer_id != JUMP_MAP_NO_PEER_ID))) {
        map->counters.foreign_data++;
        return NULL;
    }
    return p;
}

static bool is_claimed(const struct jump_map *map, uint32_t peer_id)
{
    const struct jump_map_claim *claim = &map->claims[peer_id % JUMP_MAP_CLAIMS];
    const struct jump_map_peer *p = &map->peers[claim->peer];

    return claim->peer_id == peer_id && p->used && p->host != 0 && p->peer_id == JUMP_MAP_NO_PEER_ID;
}

/* Until OpenVPN has sent a new session's first data packet, its number is known from the client's own packets only.
 * That is no proof, so it opens nothing; it is enough to keep such a packet from moving the instance from elsewhere. */
static void note_claim(struct jump_map *map, const struct jump_map_peer *p, uint32_t peer_id)
{
    struct jump_map_claim *claim = &map->claims[peer_id % JUMP_MAP_CLAIMS];

    if (is_claimed(map, peer_id) && claim->peer != jump_map_number(map, p))
        return; /* a living claim is not taken over by another's */
    claim->peer_id = peer_id;
    claim->peer = jump_map_number(map, p);
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
    if (jump_map_is_alias(from)) { /* nobody's address: OpenVPN would take it for the peer that it stands for */
        map->counters.foreign_data++;
        return JUMP_MAP_DROP;
    }
    if (opcode == JUMP_OVPN_ENVELOPE)
        return JUMP_MAP_CONTROL;
    if (map->in_use == 0) /* nobody has announced: everything is as in bare OpenVPN */
        return JUMP_MAP_DELIVER;

    peer_id = peer_id_in(bytes, bytes_len);
    p = jump_map_find_as(map, JUMP_ADDRESS_BINDING, from);
    if (peer_id != JUMP_MAP_NO_PEER_ID)
        owner = p != NULL && p->peer_id == peer_id ? p : jump_map_find_peer_id(map, peer_id);
    if (p != NULL) {
        p = whose(map, p, owner, bytes, bytes_len, peer_id, from, now);
        if (p == NULL)
            return JUMP_MAP_DROP;
        if (peer_id != JUMP_MAP_NO_PEER_ID && p->host != 0 && p->peer_id == JUMP_MAP_NO_PEER_ID)
            note_claim(map, p, peer_id);
        *peer = jump_map_number(map, p);
        p->used_at = now;
        *shown = p->shown;
        return memcmp(&p->shown, from, sizeof *from) == 0 ? JUMP_MAP_DELIVER : JUMP_MAP_DELIVER_AS;
    }

    p = jump_map_find_as(map, JUMP_ADDRESS_PREVIOUS, from);
    if (p != NULL && now >= p->previous_until) {
        jump_map_clear_previous(map, p);
        p = NULL;
    }
    if (p != NULL && p->bound && !is_hard_reset(opcode) && (peer_id == JUMP_MAP_NO_PEER_ID || owner == p)) {
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

    p = jump_map_find_as(map, JUMP_ADDRESS_SHOWN, from);
    if (p == NULL && peer_id != JUMP_MAP_NO_PEER_ID && is_claimed(map, peer_id)) {
        map->counters.foreign_data++;
        return JUMP_MAP_DROP;
    }
    if (p == NULL)
        return JUMP_MAP_DELIVER; /* newcomers and peers without the plugin, float and all */
    /* OpenVPN would take it for p, whose binding is elsewhere. Only the start of a handshake can be a newcomer's. */
    if (!is_hard_reset(opcode) || bytes_len < LEAST_RESET_BYTES) {
        if (p->fenced)
            map->counters.fenced++;
        else
            map->counters.former_path++;
        return JUMP_MAP_DROP;
    }
    p = jump_map_new_alias(map, from, now);
    if (p == NULL)
        return JUMP_MAP_DROP;
    jump_map_set_binding(map, p, from);
    *peer = jump_map_number(map, p);
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
    p = jump_map_find_as(map, JUMP_ADDRESS_SHOWN, shown);
    if (p == NULL) {
        if (!jump_map_is_alias(shown))
            return JUMP_MAP_SEND;
        map->counters.unmapped_alias++;
        return JUMP_MAP_DISCARD;
    }
    *peer = jump_map_number(map, p);
    if (p->fenced) {
        map->counters.fenced++;
        return JUMP_MAP_DISCARD;
    }
    p->used_at = now;
    if (jump_map_opcode(bytes) != JUMP_OVPN_HARD_RESET_SERVER_V2)
        p->answered = true;
    peer_id = peer_id_in(bytes, bytes_len);
    if (peer_id != JUMP_MAP_NO_PEER_ID && peer_id != p->peer_id && p->host != 0)
        jump_map_learn_peer_id(map, p, peer_id);
    if (p->guest_of != JUMP_MAP_NO_PEER) {
        *to = p->birth;
        return JUMP_MAP_SEND_TO;
    }
    if (!p->bound)
        return p->host != 0 ? JUMP_MAP_HOLD : JUMP_MAP_DISCARD; /* a newcomer without a session has nothing to keep */
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
    p = jump_map_find_as(map, JUMP_ADDRESS_SHOWN, to);
    if (p == NULL || is_hard_reset(jump_map_opcode(bytes)))
        return JUMP_MAP_SEND;
    *peer = jump_map_number(map, p);
    if (p->fenced) {
        map->counters.fenced++;
        return JUMP_MAP_DISCARD;
    }
    return p->bound ? JUMP_MAP_SEND : JUMP_MAP_HOLD;
}

int jump_map_open(struct jump_map *map, jump_host *host, const struct jump_path *shown)
{
    struct jump_map_peer *p = jump_map_find_as(map, JUMP_ADDRESS_SHOWN, shown);

    *host = 0;
    if (p != NULL && p->host != 0)
        return JUMP_ERR_EXISTS;
    if (p == NULL) {
        p = jump_map_new_peer(map, shown, shown);
        if (p == NULL)
            return JUMP_ERR_FULL;
        jump_map_set_binding(map, p, shown);
    }
    /* A serial number above, the slot below: found again without a search, and never the same twice. */
    map->newcomers--;
    p->host = *host = ++map->serial << 24 | jump_map_number(map, p);
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
        jump_map_remove_peer(map, p);
}

void jump_map_leave(struct jump_map *map, jump_host host)
{
    struct jump_map_peer *p = jump_map_find(map, host);

    if (p != NULL)
        jump_map_become_newcomer(map, p);
}

void jump_map_release(struct jump_map *map, const struct jump_path *shown)
{
    struct jump_map_peer *p = jump_map_find_as(map, JUMP_ADDRESS_SHOWN, shown);

    if (p != NULL && p->host == 0)
        jump_map_remove_peer(map, p);
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
    jump_map_clear_previous(map, p);
    if (p->bound && memcmp(&p->binding, &to, sizeof to) != 0)
        jump_map_set_previous(map, p, voluntary ? now + JUMP_MAP_FORMER_PATH_FOR : 0);
    jump_map_set_binding(map, p, &to);
}

void jump_map_unbind(struct jump_map *map, jump_host host, const struct jump_id *session_id)
{
    struct jump_map_peer *p = jump_map_find(map, host);

    if (p == NULL || memcmp(&p->session_id, session_id, sizeof *session_id) != 0)
        return;
    jump_map_set_previous(map, p, 0);
    jump_map_clear_binding(map, p);
}

void jump_map_fence(struct jump_map *map, jump_host host)
{
    struct jump_map_peer *p = jump_map_find(map, host);

    if (p == NULL)
        return;
    p->fenced = true;
    if (p->guest_of != JUMP_MAP_NO_PEER)
        jump_map_part(&map->peers[p->guest_of], p);
    jump_map_clear_previous(map, p);
    jump_map_clear_binding(map, p);
}

struct jump_map_peer *jump_map_peer(struct jump_map *map, uint32_t peer)
{
    return peer < map->peers_len && map->peers[peer].used ? &map->peers[peer] : NULL;
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
