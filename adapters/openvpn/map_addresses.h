/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A hash table of addresses for map.c: fixed in size, keyed (SipHash), open addressing, no allocation. It holds
 * numbers of peers and asks its owner what their keys are, so that a slot is 8 bytes and a key is kept once.
 * It knows neither sessions nor sockets. Read next: map.h.
 * Threads: as map.h.
 */
#ifndef JUMP_OVPN_MAP_ADDRESSES_H
#define JUMP_OVPN_MAP_ADDRESSES_H

#include <jumping/types.h>

#define JUMP_ADDRESSES_KEY_BYTES 16
#define JUMP_ADDRESSES_NONE UINT32_MAX

/** What an address is to a peer; part of the key. */
enum jump_address_kind { JUMP_ADDRESS_SHOWN = 0, JUMP_ADDRESS_BINDING = 1, JUMP_ADDRESS_PREVIOUS, JUMP_ADDRESS_PEER_ID };

struct jump_address_slot {
    uint32_t tag;   /* upper half of the hash: most foreign slots are told apart without a look at the peer */
    uint32_t value; /* 0: empty; else (peer + 1) << 2 | kind */
};

struct jump_addresses {
    struct jump_address_slot *slots;
    uint32_t mask; /* number of slots - 1 */
    uint64_t key[2];
    const struct jump_path *(*path_of)(const void *owner, uint32_t peer, enum jump_address_kind kind);
    const void *owner;
};

/** Slots for so many keys: a power of two, at most half full. */
uint32_t jump_addresses_slots(uint32_t keys);

/** The peer that has this address as `kind`, or JUMP_ADDRESSES_NONE. */
uint32_t jump_addresses_find(const struct jump_addresses *table, enum jump_address_kind kind,
                             const struct jump_path *path);

/** Add what path_of(peer, kind) says now. The caller has looked that the key is not there. */
void jump_addresses_add(struct jump_addresses *table, enum jump_address_kind kind, uint32_t peer);

/** Take it out; call it before the peer's field changes. Nothing happens if it is not there. */
void jump_addresses_remove(struct jump_addresses *table, enum jump_address_kind kind, uint32_t peer);

#endif
