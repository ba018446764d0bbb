/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target demux: the first byte and the address of each datagram on OpenVPN's port (adapters/openvpn/map.c).
 *
 * What an attacker gains here: OpenVPN believes an address. Whoever is shown to it under a session's address is that client to
 * it: gets its packets, moves it (float), or ends it with a hard reset; and control bytes that reach OpenVPN are lost to us.
 *
 * Asserted after each datagram: the envelope's bytes, and no others, are for the core; nobody but who is where a session is
 * bound, or was until a moment ago, is delivered under its address; a packet with a session's number (by which OpenVPN finds it from
 * anywhere) is delivered as that session's or not at all; a session that ended is delivered nothing; what goes
 * out for a session goes to its binding or waits; no datagram leaves for an address that only stands for somebody; two
 * sessions are never bound to one address, and no two peers are shown under one.
 *
 * Input: steps of an operation, an address (one of eight, or one that OpenVPN was shown), and for datagrams a length and the
 * bytes, which may be one of a real handshake's beginnings.
 */
#include <string.h>

#include "fuzz.h"
#include "openvpn/map.h"

#define SESSIONS 4u
#define PEERS (2 * SESSIONS)
#define STEPS 300

static struct jump_map *map;
static void *memory;
static size_t memory_len;
static jump_time now;
static struct jump_path shown_last[4];
static unsigned shown_at;
static jump_host hosts[8];

static struct jump_path address(uint8_t n)
{
    struct jump_path path = { .ip = { [10] = 0xff, [11] = 0xff, 192, 0, 2 }, .port = 1194 };
    if (n & 128)
        return shown_last[n % 4];
    path.ip[15] = (uint8_t)(1 + n % 4);
    path.port = (uint16_t)(1194 + (n >> 2 & 1));
    if ((n & 0x78) == 0x78)
        path.ip[12] = 240; /* nobody's */
    return path;
}

static struct jump_id id_of(jump_host host)
{
    return (struct jump_id){ { (uint8_t)(host >> 24), 1 } };
}

static bool same(const struct jump_path *a, const struct jump_path *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static const struct jump_map_peer *session_shown_as(const struct jump_path *shown)
{
    for (uint32_t i = 0; i < PEERS; i++) {
        const struct jump_map_peer *p = jump_map_peer(map, i);
        if (p != NULL && p->host != 0 && same(&p->shown, shown))
            return p;
    }
    return NULL;
}

static bool is_shown(const struct jump_path *shown)
{
    for (uint32_t i = 0; i < PEERS; i++)
        if (jump_map_peer(map, i) != NULL && same(&jump_map_peer(map, i)->shown, shown))
            return true;
    return false;
}

/* Whom OpenVPN finds by the number in a data packet, whatever address it comes from (and moves there: float). */
static const struct jump_map_peer *session_of_number(const uint8_t *bytes, size_t len)
{
    uint32_t number;
    if (len < 4 || bytes[0] >> 3 != JUMP_OVPN_DATA_V2)
        return NULL;
    number = (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    for (uint32_t i = 0; i < PEERS; i++) {
        const struct jump_map_peer *p = jump_map_peer(map, i);
        if (p != NULL && p->host != 0 && p->peer_id == number && number != JUMP_MAP_NO_PEER_ID)
            return p;
    }
    return NULL;
}

static void table_is_sound(void)
{
    for (uint32_t i = 0; i < PEERS; i++) {
        const struct jump_map_peer *p = jump_map_peer(map, i);
        if (p == NULL)
            continue;
        FUZZ_MUST(!p->fenced || !p->bound);
        for (uint32_t k = 0; k < i; k++) {
            const struct jump_map_peer *q = jump_map_peer(map, k);
            if (q == NULL)
                continue;
            FUZZ_MUST(!same(&p->shown, &q->shown));
            FUZZ_MUST(!(p->bound && q->bound && p->host != 0 && q->host != 0 && same(&p->binding, &q->binding)));
            FUZZ_MUST(p->host == 0 || p->host != q->host);
        }
    }
}

/* What an input may be made of: the opcodes that matter, with room for ids behind them. */
static size_t datagram(uint8_t *out, size_t cap, struct fuzz_bytes *in)
{
    static const uint8_t firsts[8] = { JUMP_OVPN_HARD_RESET_CLIENT_V2 << 3, JUMP_OVPN_DATA_V2 << 3, JUMP_OVPN_CONTROL << 3,
                                       JUMP_OVPN_DATA_V1 << 3, JUMP_MAP_ENVELOPE_BYTE, JUMP_OVPN_HARD_RESET_CLIENT_V3 << 3,
                                       JUMP_OVPN_HARD_RESET_SERVER_V2 << 3, JUMP_OVPN_ACK << 3 };
    uint8_t what = fuzz_u8(in);
    size_t len, whole = what & 128 ? 60 : 20;
    const uint8_t *bytes = fuzz_take(in, &len, what & 15);
    memset(out, 0, cap);
    if (len > 0)
        memcpy(out + (what & 64 ? 0 : 1), bytes, len);
    if (!(what & 64)) /* else all of it is the input's */
        out[0] = firsts[what >> 3 & 7];
    return what & 64 ? len : whole;
}

static void inbound(struct fuzz_bytes *in)
{
    uint8_t bytes[64], *exact;
    struct jump_path from = address(fuzz_u8(in)), shown = from;
    size_t len = datagram(bytes, sizeof bytes, in);
    uint32_t number;
    exact = malloc(len > 0 ? len : 1); /* so that a read behind its end is seen */
    FUZZ_MUST(exact != NULL);
    memcpy(exact, bytes, len);
    enum jump_map_in verdict = jump_map_inbound(map, &shown, &number, exact, len, &from, now);
    FUZZ_MUST((verdict == JUMP_MAP_CONTROL) == (len > 0 && exact[0] >= JUMP_MAP_ENVELOPE_BYTE && !jump_map_is_alias(&from)));
    const struct jump_map_peer *numbered = session_of_number(exact, len);
    free(exact);
    if (numbered != NULL && (verdict == JUMP_MAP_DELIVER || verdict == JUMP_MAP_DELIVER_AS))
        FUZZ_MUST(same(verdict == JUMP_MAP_DELIVER ? &from : &shown, &numbered->shown) && !numbered->fenced);
    if (verdict == JUMP_MAP_DELIVER_AS) {
        FUZZ_MUST(!same(&shown, &from));
        shown_last[shown_at++ % 4] = shown;
    } else if (verdict == JUMP_MAP_DELIVER) {
        FUZZ_MUST(len == 0 || !jump_map_is_alias(&from));
        shown = from;
    } else {
        return;
    }
    const struct jump_map_peer *p = len > 0 ? session_shown_as(&shown) : NULL;
    if (p == NULL)
        return;
    FUZZ_MUST(!p->fenced);
    if (p->guest_of != JUMP_MAP_NO_PEER) /* told from the one that is bound there by its own ids */
        FUZZ_MUST(same(&p->birth, &from));
    else
        FUZZ_MUST(p->bound && (same(&p->binding, &from) || (same(&p->previous, &from) && now < p->previous_until)));
    FUZZ_MUST(number == JUMP_MAP_NO_PEER || jump_map_peer(map, number) == p);
}

static void outbound(struct fuzz_bytes *in)
{
    uint8_t bytes[64];
    struct jump_path shown = address(fuzz_u8(in)), to = { .port = 0 };
    size_t len = datagram(bytes, sizeof bytes, in);
    uint32_t number;
    const struct jump_map_peer *p = session_shown_as(&shown);
    enum jump_map_out verdict = jump_map_outbound(map, &to, &number, bytes, len, &shown, now);
    if (verdict == JUMP_MAP_SEND)
        to = shown;
    if (verdict == JUMP_MAP_SEND || verdict == JUMP_MAP_SEND_TO)
        FUZZ_MUST(!jump_map_is_alias(&to));
    if (p == NULL || len == 0)
        return;
    FUZZ_MUST((verdict == JUMP_MAP_DISCARD) == p->fenced);
    if (verdict == JUMP_MAP_HOLD)
        FUZZ_MUST(!p->bound);
    else if (!p->fenced)
        FUZZ_MUST(p->bound ? same(&to, p->guest_of == JUMP_MAP_NO_PEER ? &p->binding : &p->birth) : p->guest_of != JUMP_MAP_NO_PEER);
}

static void session(uint8_t operation, struct fuzz_bytes *in)
{
    jump_host *host = &hosts[fuzz_u8(in) % 8];
    struct jump_path path = address(fuzz_u8(in));
    struct jump_id id = id_of(*host);
    switch (operation) {
    case 0: { /* OpenVPN tells of an instance by an address that it knows: never one that nobody has */
        jump_host made;
        if (jump_map_is_alias(&path) && !is_shown(&path))
            return;
        if (jump_map_open(map, &made, &path) == 0)
            *host = made;
        break;
    }
    case 1:
    case 2:
        if (*host != 0 && !jump_map_is_alias(&path))
            jump_map_bind(map, *host, &id, &path, operation == 2, now);
        break;
    case 3:
        jump_map_unbind(map, *host, &id);
        break;
    case 4:
        jump_map_fence(map, *host);
        break;
    case 5:
        jump_map_close(map, *host);
        break;
    case 6:
        jump_map_leave(map, *host);
        break;
    default:
        jump_map_release(map, &path);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[JUMP_MAP_KEY_BYTES] = { 1 };
    struct fuzz_bytes in = fuzz_bytes(data, size);
    if (memory == NULL) {
        memory_len = jump_map_bytes(SESSIONS);
        memory = malloc(memory_len);
        FUZZ_MUST(memory != NULL);
    }
    memset(memory, 0xa5, memory_len);
    map = jump_map_init(memory, memory_len, SESSIONS, key);
    FUZZ_MUST(map != NULL);
    memset(shown_last, 0, sizeof shown_last);
    memset(hosts, 0, sizeof hosts);
    shown_at = 0;
    now = JUMP_MS(1000000);
    for (unsigned i = 0; i < STEPS && fuzz_left(&in) > 0; i++) {
        uint8_t operation = fuzz_u8(&in) % 16;
        if (operation < 4)
            inbound(&in);
        else if (operation < 7)
            outbound(&in);
        else if (operation == 7)
            now += JUMP_MS(1) << (fuzz_u8(&in) % 24);
        else
            session(operation - 8, &in);
        table_is_sound();
    }
    return 0;
}
