/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Token buckets in integers: one for each session's own binding, a fixed table of them for source prefixes, one
 * for all strangers together (docs/protocol.md, "What the server checks", step 1). Memory is fixed: a flood
 * changes numbers, never sizes. Knows no cookies and no sessions; the caller hashes and decides what a refusal
 * means. Read next: ratelimit.c.
 */
#ifndef JUMP_RATELIMIT_H
#define JUMP_RATELIMIT_H

#include <jumping/types.h>

#define JUMP_RATELIMIT_PREFIX_BYTES 16
#define JUMP_RATELIMIT_SETS 1024u /* a power of two */
#define JUMP_RATELIMIT_WAYS 4u

/* Rates, as the time that gives one token back, and the tokens of a full bucket. */

/* A household behind one address with a dozen clients in recovery sends less; a lone flooder gets no further. */
#define JUMP_RATELIMIT_PREFIX_PER_TOKEN JUMP_MS(20) /* 50/s */
#define JUMP_RATELIMIT_PREFIX_BURST 100u
/* What one core opens beside its data traffic, with room: above it only a cookie gets a stranger in. */
#define JUMP_RATELIMIT_GLOBAL_PER_TOKEN (JUMP_MS(1) / 5) /* 5000/s */
#define JUMP_RATELIMIT_GLOBAL_BURST 5000u
/* Fast detection at the shortest RTO (100 ms) with every reply is 20/s. The rest is for whoever sniffed the id and forges
 * the bound address: 50/s were drained by 100, and the client's own probes with them (seen: false deaths, switches
 * spent). Refusing 5000/s costs some 2 % of a core, and only this session's tokens. */
#define JUMP_RATELIMIT_SESSION_PER_TOKEN (JUMP_MS(1) / 5) /* 5000/s */
#define JUMP_RATELIMIT_SESSION_BURST 5000u

/**
 * A bucket as one instant (GCRA): when it would be full again. All zero is a full bucket.
 */
struct jump_bucket {
    jump_time full_at;
};

/**
 * Take one token.
 *
 * @param per_token ns until one token is back; per_token x burst must fit 64 bits
 * @param burst     tokens of a full bucket; 0: nothing is ever taken
 * @return false: there is none, and nothing changed, so that a refused flood does not prolong its own refusal
 */
bool jump_bucket_take(struct jump_bucket *b, jump_time per_token, uint32_t burst, jump_time now);

struct jump_ratelimit_entry {
    uint8_t prefix[JUMP_RATELIMIT_PREFIX_BYTES];
    struct jump_bucket bucket;
};

/** The buckets of strangers. All zero is a table in which nobody has taken anything. */
struct jump_ratelimit {
    struct jump_bucket global;
    struct jump_ratelimit_entry entries[JUMP_RATELIMIT_SETS][JUMP_RATELIMIT_WAYS];
};

/** Begin with every bucket full. */
void jump_ratelimit_init(struct jump_ratelimit *table);

/** The source prefix of a path: IPv4 /32 (in its mapped form) or IPv6 /64. */
void jump_ratelimit_prefix(uint8_t out[JUMP_RATELIMIT_PREFIX_BYTES], const struct jump_path *path);

/**
 * Take one token of this prefix and one of the global bucket: both or neither.
 *
 * A set with no free place gives the newcomer the place of the entry with the earliest full_at. While that one
 * is not full yet, the newcomer takes over its debt: a set never forgets a token that was taken, so a flood of
 * many sources cannot wash a loaded prefix out, and one set lets at most JUMP_RATELIMIT_WAYS prefixes' rates
 * through. The price: newcomers that share a set with a flood are asked for a cookie sooner.
 *
 * @param hash a keyed hash of `prefix`, so that nobody can choose whose set he lands in
 * @return false: over the limit, nothing changed
 */
bool jump_ratelimit_take(struct jump_ratelimit *table, uint64_t hash,
                         const uint8_t prefix[JUMP_RATELIMIT_PREFIX_BYTES], jump_time now);

#endif
