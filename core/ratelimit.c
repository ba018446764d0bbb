/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Owns the arithmetic of token buckets and the choice of who is displaced in the fixed table of prefixes. It
 * refuses to know what is being limited, and to hash: the key of the hash belongs to the engine's secrets.
 * Read next: ratelimit.h, engine.c (what is sent instead when a take fails).
 */
#include "ratelimit.h"

#include <string.h>

_Static_assert((JUMP_RATELIMIT_SETS & (JUMP_RATELIMIT_SETS - 1)) == 0, "sets are indexed with a mask");

/* Time until full. Written with differences: `now` near the sentinel cannot overflow. */
static jump_time debt(const struct jump_bucket *b, jump_time now)
{
    return b->full_at > now ? b->full_at - now : 0;
}

static bool has_token(const struct jump_bucket *b, jump_time per_token, uint32_t burst, jump_time now)
{
    return burst > 0 && debt(b, now) <= per_token * (burst - 1);
}

static void charge(struct jump_bucket *b, jump_time per_token, jump_time now)
{
    b->full_at = now + debt(b, now) + per_token;
}

bool jump_bucket_take(struct jump_bucket *b, jump_time per_token, uint32_t burst, jump_time now)
{
    if (!has_token(b, per_token, burst, now))
        return false;
    charge(b, per_token, now);
    return true;
}

void jump_ratelimit_init(struct jump_ratelimit *table)
{
    memset(table, 0, sizeof *table);
}

void jump_ratelimit_prefix(uint8_t out[JUMP_RATELIMIT_PREFIX_BYTES], const struct jump_path *path)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(out, path->ip, JUMP_RATELIMIT_PREFIX_BYTES);
    if (memcmp(out, mapped, sizeof mapped) != 0)
        memset(out + 8, 0, 8); /* whoever has one IPv6 address has its /64 */
}

bool jump_ratelimit_take(struct jump_ratelimit *table, uint64_t hash,
                         const uint8_t prefix[JUMP_RATELIMIT_PREFIX_BYTES], jump_time now)
{
    struct jump_ratelimit_entry *set = table->entries[hash & (JUMP_RATELIMIT_SETS - 1)];
    struct jump_ratelimit_entry *mine = &set[0];
    for (unsigned way = 0; way < JUMP_RATELIMIT_WAYS; way++) {
        if (memcmp(set[way].prefix, prefix, JUMP_RATELIMIT_PREFIX_BYTES) == 0) {
            mine = &set[way];
            break;
        }
        if (set[way].bucket.full_at < mine->bucket.full_at)
            mine = &set[way];
    }
    /* Both are looked at before either is charged: a prefix over its limit must not eat what all share, and a
     * refusal changes nothing. */
    if (!has_token(&mine->bucket, JUMP_RATELIMIT_PREFIX_PER_TOKEN, JUMP_RATELIMIT_PREFIX_BURST, now))
        return false;
    if (!jump_bucket_take(&table->global, JUMP_RATELIMIT_GLOBAL_PER_TOKEN, JUMP_RATELIMIT_GLOBAL_BURST, now))
        return false;
    memcpy(mine->prefix, prefix, JUMP_RATELIMIT_PREFIX_BYTES);
    charge(&mine->bucket, JUMP_RATELIMIT_PREFIX_PER_TOKEN, now);
    return true;
}
