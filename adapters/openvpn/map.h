/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The data path's decisions: for each datagram that goes through OpenVPN's socket, where it may come from, what
 * address OpenVPN is shown, and where it goes. Pure: no socket, no clock, no allocation; <jumping> types only.
 * It owns which address belongs to which client instance; it refuses to know keys, sessions' states and time's
 * source. Read next: docs/openvpn.md ("The data path"), loop.c (who carries the verdicts out).
 *
 * Words: an instance's *shown* address is the one OpenVPN knows it by, for good; its *binding* is where it really
 * is now; a *peer* is one instance that this table knows: one with a session, or a newcomer under an alias.
 * Paths here have transport 0 (the table is about addresses). Threads: OpenVPN's main thread only, inside its calls.
 */
#ifndef JUMP_OVPN_MAP_H
#define JUMP_OVPN_MAP_H

#include <jumping/engine.h>

#define JUMP_MAP_KEY_BYTES 16
#define JUMP_MAP_SID_BYTES 8 /* OpenVPN's session id, in the clear behind the opcode of every control packet */
#define JUMP_MAP_NO_PEER UINT32_MAX
#define JUMP_MAP_NO_PEER_ID UINT32_MAX
#define JUMP_MAP_FORMER_PATH_FOR JUMP_MS(1000) /* protocol.md: max(2 RTT, 1 s) after a voluntary switch */
#define JUMP_MAP_ALIAS_FOR JUMP_MS(900000)     /* an unused alias outlives every handshake window (600 s) */
#define JUMP_MAP_STRAY_FOR JUMP_MS(60000)      /* one whose handshake OpenVPN has not taken up: a stray or forged reset */
#define JUMP_MAP_GUEST_FOR JUMP_MS(10000)      /* a guest that is heard is not replaced by another reset */

/** OpenVPN's opcodes: the upper five bits of a datagram's first byte. */
enum jump_ovpn_opcode {
    JUMP_OVPN_SOFT_RESET = 3,
    JUMP_OVPN_CONTROL = 4,
    JUMP_OVPN_ACK = 5,
    JUMP_OVPN_DATA_V1 = 6,
    JUMP_OVPN_HARD_RESET_CLIENT_V2 = 7,
    JUMP_OVPN_HARD_RESET_SERVER_V2 = 8,
    JUMP_OVPN_DATA_V2 = 9,
    JUMP_OVPN_HARD_RESET_CLIENT_V3 = 10,
    JUMP_OVPN_CONTROL_WKC = 11,
    JUMP_OVPN_ENVELOPE = 31 /* ours: 0xF8 .. 0xFF */
};
#define JUMP_MAP_ENVELOPE_BYTE 0xF8 /* the byte that we write */

enum jump_map_in {
    JUMP_MAP_DELIVER,    /* as it is */
    JUMP_MAP_DELIVER_AS, /* show `shown` as its source */
    JUMP_MAP_DROP,       /* counted; OpenVPN never sees it, nobody is answered */
    JUMP_MAP_CONTROL     /* for the core */
};

enum jump_map_out {
    JUMP_MAP_SEND,    /* to the address as OpenVPN gave it */
    JUMP_MAP_SEND_TO, /* to `to` instead */
    JUMP_MAP_HOLD,    /* its session has no path now */
    JUMP_MAP_DISCARD  /* counted */
};

struct jump_map_counters {
    uint64_t foreign_data;   /* a session's data from an address that is not its binding */
    uint64_t former_path;    /* from a path that the session has left */
    uint64_t unmapped_alias; /* sent to an alias that nobody has */
    uint64_t fenced;         /* of a session that has ended, until OpenVPN's instance is gone */
    uint64_t alias_refused;  /* no room for another newcomer */
    uint64_t aliases;        /* given out */
};

struct jump_map_peer {
    jump_time previous_until; /* 0: no former path is accepted */
    jump_time used_at;        /* aliases: for reclaiming */
    jump_time refused_at;     /* the loop's: when the kernel first refused what is held now; 0: it did not */
    jump_host host;            /* 0: a newcomer without a session */
    struct jump_id session_id; /* the one that is bound */
    struct jump_path shown, birth, binding, previous, peer_id_key;
    uint32_t peer_id;         /* JUMP_MAP_NO_PEER_ID until OpenVPN itself has sent it */
    /* Somebody who begins a handshake from the very address that a session is bound to: its client after a crash, or
     * whoever a NAT gave its mapping to. A guest has an alias, and is known by its own session id and peer-id. */
    uint32_t guest, guest_of; /* JUMP_MAP_NO_PEER: none */
    uint8_t sid[JUMP_MAP_SID_BYTES];
    bool used, aliased, bound, fenced;
    bool answered;            /* aliases: OpenVPN has an instance for it (its stateless answer is always a hard reset) */
    bool sent, received;      /* user data since the last activity report; the loop clears them */
};

struct jump_map;

/** Bytes for so many sessions (twice as many peers: each session's former address may have one newcomer). */
size_t jump_map_bytes(uint32_t max_sessions);

/**
 * @param memory borrowed for good, aligned as malloc does
 * @param key    fresh randomness
 * @return NULL if memory_len is too small
 */
struct jump_map *jump_map_init(void *memory, size_t memory_len, uint32_t max_sessions,
                               const uint8_t key[JUMP_MAP_KEY_BYTES]);

/** Server: a datagram came in. `peer` may become JUMP_MAP_NO_PEER; `shown` is set for DELIVER_AS. */
enum jump_map_in jump_map_inbound(struct jump_map *map, struct jump_path *shown, uint32_t *peer, const uint8_t *bytes,
                                  size_t bytes_len, const struct jump_path *from, jump_time now);

/** Server: OpenVPN sends to an address that it was shown. `to` is set for SEND_TO. Peer-ids are learned here only. */
enum jump_map_out jump_map_outbound(struct jump_map *map, struct jump_path *to, uint32_t *peer, const uint8_t *bytes,
                                    size_t bytes_len, const struct jump_path *shown, jump_time now);

/**
 * Client: OpenVPN sends to its server. A session without a path holds; a hard reset, which is a new birth, and
 * anything for another server pass.
 */
enum jump_map_out jump_map_client_outbound(struct jump_map *map, uint32_t *peer, const uint8_t *bytes,
                                           size_t bytes_len, const struct jump_path *to);

/**
 * An instance has announced support: from now on its path is frozen at its address until the core binds it.
 *
 * @param host  its name for the core: never 0, never used twice
 * @param shown the address OpenVPN knows it by (an alias becomes its real address in peer->birth)
 * @return JUMP_ERR_FULL; JUMP_ERR_EXISTS: the address has a session already (nothing changed)
 */
int jump_map_open(struct jump_map *map, jump_host *host, const struct jump_path *shown);

/** The instance is gone: forget it. */
void jump_map_close(struct jump_map *map, jump_host host);

/**
 * Server: its session is over, the instance may stay for what OpenVPN still has to say (AUTH_FAILED after a refusal). What
 * is sent to it goes where it was heard last; jump_map_release forgets it. One that is fenced stays so.
 */
void jump_map_leave(struct jump_map *map, jump_host host);

/** An instance without a session is gone: its alias, if it had one, is free. */
void jump_map_release(struct jump_map *map, const struct jump_path *shown);

/** The core bound it. After a voluntary switch its former path is heard for a little longer. */
void jump_map_bind(struct jump_map *map, jump_host host, const struct jump_id *session_id, const struct jump_path *path,
                   bool voluntary, jump_time now);

/** The core unbound it; ignored when another session of the same instance is the one that is bound. */
void jump_map_unbind(struct jump_map *map, jump_host host, const struct jump_id *session_id);

/** Its session has ended: nothing passes in or out until jump_map_close. A newcomer on its address is let in. */
void jump_map_fence(struct jump_map *map, jump_host host);

struct jump_map_peer *jump_map_find(struct jump_map *map, jump_host host);
struct jump_map_peer *jump_map_peer(struct jump_map *map, uint32_t peer);

/** The real address behind one that OpenVPN is shown: itself where nothing is mapped. */
struct jump_path jump_map_real(const struct jump_map *map, const struct jump_path *shown);

const struct jump_map_counters *jump_map_counters(const struct jump_map *map);

/** An address that only ever stands for somebody else: 240.0.0.0/8, 100::/64. */
bool jump_map_is_alias(const struct jump_path *path);

/** True for data that may carry a user's packet; OpenVPN's own ping is shorter than any that does. */
bool jump_map_is_user_data(const uint8_t *bytes, size_t bytes_len);

static inline uint8_t jump_map_opcode(const uint8_t *bytes)
{
    return bytes[0] >> 3;
}

#endif
