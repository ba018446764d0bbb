/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hash table of addresses (map_addresses.h). Keyed, because who sends from chosen ports could otherwise make
 * every look-up walk one long chain. Linear probing; a removal shifts the followers back, so that no
 * tombstones pile up in a process that runs for months. Read next: map.c, its only user.
 */
#include "map_addresses.h"

#include <string.h>

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotate(v[1], 13), v[1] ^= v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16), v[3] ^= v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21), v[3] ^= v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17), v[1] ^= v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 over the three words of a path and its kind: enough for a table whose hashes nobody sees. */
static uint64_t hash(const struct jump_addresses *table, enum jump_address_kind kind, const struct jump_path *path)
{
    uint64_t words[4], v[4] = {
        table->key[0] ^ UINT64_C(0x736f6d6570736575), table->key[1] ^ UINT64_C(0x646f72616e646f6d),
        table->key[0] ^ UINT64_C(0x6c7967656e657261), table->key[1] ^ UINT64_C(0x7465646279746573)};

    memcpy(words, path, sizeof *path);
    words[3] = (uint64_t)(sizeof *path + 1) << 56 | (uint64_t)kind;
    for (int i = 0; i < 4; i++) {
        v[3] ^= words[i];
        sip_round(v);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint32_t jump_addresses_slots(uint32_t keys)
{
    uint32_t slots = 16;

    while (slots < keys * 2)
        slots *= 2;
    return slots;
}

static uint32_t value_of(enum jump_address_kind kind, uint32_t peer)
{
    return (peer + 1) << 2 | (uint32_t)kind;
}

uint32_t jump_addresses_find(const struct jump_addresses *table, enum jump_address_kind kind,
                             const struct jump_path *path)
{
    uint64_t h = hash(table, kind, path);
    uint32_t tag = (uint32_t)(h >> 32);

    for (uint32_t at = (uint32_t)h & table->mask; table->slots[at].value != 0; at = (at + 1) & table->mask) {
        const struct jump_address_slot *slot = &table->slots[at];
        uint32_t peer = (slot->value >> 2) - 1;

        if (slot->tag == tag && (slot->value & 3) == (uint32_t)kind
            && memcmp(table->path_of(table->owner, peer, kind), path, sizeof *path) == 0)
            return peer;
    }
    return JUMP_ADDRESSES_NONE;
}

void jump_addresses_add(struct jump_addresses *table, enum jump_address_kind kind, uint32_t peer)
{
    uint64_t h = hash(table, kind, table->path_of(table->owner, peer, kind));
    uint32_t at = (uint32_t)h & table->mask;

    while (table->slots[at].value != 0)
        at = (at + 1) & table->mask;
    table->slots[at].tag = (uint32_t)(h >> 32);
    table->slots[at].value = value_of(kind, peer);
}

void jump_addresses_remove(struct jump_addresses *table, enum jump_address_kind kind, uint32_t peer)
{
    uint64_t h = hash(table, kind, table->path_of(table->owner, peer, kind));
    uint32_t hole = (uint32_t)h & table->mask, value = value_of(kind, peer);

    while (table->slots[hole].value != value) {
        if (table->slots[hole].value == 0)
            return;
        hole = (hole + 1) & table->mask;
    }
    /* Shift back every follower whose own place lies at or before the hole. */
    for (uint32_t at = (hole + 1) & table->mask; table->slots[at].value != 0; at = (at + 1) & table->mask) {
        uint32_t v = table->slots[at].value;
        enum jump_address_kind k = (enum jump_address_kind)(v & 3);
        uint32_t home = (uint32_t)hash(table, k, table->path_of(table->owner, (v >> 2) - 1, k)) & table->mask;

        if (((at - home) & table->mask) >= ((at - hole) & table->mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].value = 0;
}
