/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a server does with those who are nobody to it yet, or no longer: the rate limits, COOKIE and RESET, and the
 * ring of tombstones that answers for sessions which ended in this boot. Bounded work, fixed memory, and never more
 * bytes out than came in (docs/protocol.md 5, steps 1 and 2). Read next: server.c, which takes it from there.
 */
#include <string.h>

#include "internal.h"

#define COOKIE_BUCKET JUMP_MS(60000)
#define COOKIES_PER (JUMP_MS(1) / 5) /* 5 000 cookies a second: enough for a crowd, and a small part of a flood's cost */
#define COOKIES_BURST 5000
#define WITH_COOKIE_PER JUMP_MS(1) /* 1 000 openings a second for each address that was shown to be owned, */
#define WITH_COOKIE_BURST 3000 /* and room for a carrier's NAT whose clients all come back at once */
#define RESETS_PER JUMP_MS(2) /* 500 RESETs a second */
#define RESETS_BURST 500

static uint32_t *grave(struct jump_engine *e, const struct jump_id *id)
{
    return &e->tombstones_by_id[jump_seal_hash(e->hash_key, id, sizeof *id) & (e->tombstone_buckets - 1)];
}

void jump_stranger_bury(struct jump_engine *e, struct jump_session *s)
{
    struct jump_tombstone *t = &e->tombstones[e->tombstone_at];
    if (t->used) { /* overwritten: its client gets a RESET from now on, and a newer boot number makes that count */
        for (uint32_t *where = grave(e, &t->id); *where != JUMP_NO_SLOT; where = &e->tombstones[*where].next) {
            if (*where == e->tombstone_at) {
                *where = t->next;
                break;
            }
        }
        jump_keys_wipe(t, sizeof *t);
        e->boot++;
    }
    t->used = true;
    t->id = s->id;
    memcpy(t->keys, s->epochs.keys, sizeof t->keys);
    t->held = s->epochs.held;
    t->send_counter = s->send_counter;
    t->version = s->version;
    t->reason = s->ended_for;
    jump_replay_init(&t->replay, t->words, 128);
    /* A REQUEST and a PROOF do not enter the window; theirs is the other mark. */
    uint64_t highest = s->replay.highest > s->u.server.reattach_high ? s->replay.highest : s->u.server.reattach_high;
    if (highest != 0)
        jump_replay_commit(&t->replay, highest);
    memset(t->words, 0xff, sizeof t->words); /* nothing that is not above what the session had seen is new */
    uint32_t *head = grave(e, &t->id);
    t->next = *head;
    *head = e->tombstone_at;
    e->tombstone_at = (e->tombstone_at + 1) % e->tombstone_count;
}

static struct jump_tombstone *find_tombstone(struct jump_engine *e, const struct jump_id *id)
{
    uint32_t at = *grave(e, id);
    while (at != JUMP_NO_SLOT && memcmp(&e->tombstones[at].id, id, sizeof *id) != 0)
        at = e->tombstones[at].next;
    return at == JUMP_NO_SLOT ? NULL : &e->tombstones[at];
}

bool jump_stranger_buried(struct jump_engine *e, const struct jump_id *id)
{
    return find_tombstone(e, id) != NULL;
}

/* The epoch a client still speaks; NULL: no key of the dead session opens it. */
static const struct jump_keys *open_with(struct jump_tombstone *t, struct jump_message *m)
{
    for (uint8_t key = 0; key < t->held; key++)
        if (m->header.epoch == t->keys[key].fingerprint &&
            jump_seal_open(&m->body, &m->header, m->bytes, m->len, t->keys[key].c2s) == 0)
            return &t->keys[key];
    return NULL;
}

static int answer_from_tombstone(struct jump_engine *e, struct jump_tombstone *t, struct jump_message *m)
{
    const struct jump_keys *keys = open_with(t, m);
    if (!keys) {
        e->stats.bad_proof++;
        return JUMP_ERR_REFUSED;
    }
    if (!jump_replay_fresh(&t->replay, m->header.counter)) {
        e->stats.replayed++;
        return JUMP_ERR_REFUSED;
    }
    /* It does not enter the window: a racer's copy must not use up the genuine one's place (A41), and the rate is limited. */
    if (m->header.type == JUMP_MSG_TERMINATE_ACK || m->header.type == JUMP_MSG_TERMINATE)
        return 0;
    if (!jump_engine_next_counter(e, &t->send_counter))
        return 0;
    struct jump_action *action = jump_engine_push(e, JUMP_DO_SEND, NULL);
    if (!action)
        return 0;
    struct jump_header header = { .type = JUMP_MSG_TERMINATE, .epoch = keys->fingerprint, .session_id = t->id,
                                  .counter = t->send_counter };
    struct jump_body body = { .reason = t->reason, .state_version = t->version, .keys = { keys->fingerprint, 0 } };
    memcpy(header.process, e->process, sizeof header.process);
    action->session_id = t->id;
    action->path = m->from;
    action->bytes_len = jump_wire_length(JUMP_MSG_TERMINATE);
    jump_seal_message(action->bytes, action->bytes_len, &header, &body, keys->s2c);
    return 0;
}

/* A session that this server does not know because it restarted, or overwrote its tombstone. */
static int reset(struct jump_engine *e, const struct jump_message *m)
{
    uint8_t reset_key[JUMP_RESET_KEY_BYTES];
    e->stats.unknown_session++;
    if (m->header.type == JUMP_MSG_BIRTH || m->header.type == JUMP_MSG_TERMINATE ||
        m->header.type == JUMP_MSG_TERMINATE_ACK || !jump_bucket_take(&e->resets, RESETS_PER, RESETS_BURST, e->now))
        return JUMP_ERR_REFUSED;
    struct jump_action *action = jump_engine_push(e, JUMP_DO_SEND, NULL);
    if (!action)
        return JUMP_ERR_REFUSED;
    struct jump_header header = m->header; /* the nonce is the one it answers */
    header.type = JUMP_MSG_RESET;
    memset(header.cookie, 0, sizeof header.cookie);
    action->session_id = header.session_id;
    action->path = m->from;
    action->bytes_len = jump_wire_length(JUMP_MSG_RESET);
    jump_wire_put_header(action->bytes, &header);
    for (int i = 0; i < 8; i++)
        action->bytes[JUMP_HEADER_BYTES + i] = (uint8_t)(e->boot >> (56 - 8 * i));
    jump_keys_reset(reset_key, e->config.instance_key, &header.session_id);
    jump_seal_reset(action->bytes + JUMP_HEADER_BYTES + 8, reset_key, e->boot, m->bytes + JUMP_AT_NONCE);
    jump_keys_wipe(reset_key, sizeof reset_key);
    e->stats.resets++;
    return JUMP_ERR_REFUSED;
}

static bool cookie_fits(const struct jump_engine *e, const struct jump_message *m)
{
    static const uint8_t none[JUMP_COOKIE_BYTES];
    uint8_t ours[JUMP_COOKIE_BYTES];
    uint64_t bucket = e->now / COOKIE_BUCKET;
    if (memcmp(m->header.cookie, none, sizeof none) == 0)
        return false; /* none was sent: not worth a hash */
    jump_seal_cookie(ours, e->cookie_key, &m->from, bucket);
    bool fits = jump_keys_equal(ours, m->header.cookie, sizeof ours);
    if (!fits && bucket > 0) {
        jump_seal_cookie(ours, e->cookie_key, &m->from, bucket - 1);
        fits = jump_keys_equal(ours, m->header.cookie, sizeof ours);
    }
    return fits;
}

static void send_cookie(struct jump_engine *e, const struct jump_message *m)
{
    if (!jump_bucket_take(&e->cookies, COOKIES_PER, COOKIES_BURST, e->now))
        return;
    struct jump_action *action = jump_engine_push(e, JUMP_DO_SEND, NULL);
    if (!action)
        return;
    struct jump_header header = m->header; /* the nonce is the one it answers */
    header.type = JUMP_MSG_COOKIE;
    jump_seal_cookie(header.cookie, e->cookie_key, &m->from, e->now / COOKIE_BUCKET);
    action->session_id = header.session_id;
    action->path = m->from;
    action->bytes_len = jump_wire_length(JUMP_MSG_COOKIE);
    jump_wire_put_header(action->bytes, &header);
    e->stats.cookies++;
}

/* 1: a session's own path has its own bucket; the rest, and what is over it, share their prefix's and a global one, or
 * show a cookie: whoever forges a session's id and address cannot shut its client out. */
bool jump_stranger_within_rate(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    uint8_t prefix[JUMP_RATELIMIT_PREFIX_BYTES];
    bool own = s && memcmp(&m->from, jump_session_bound(s) ? &s->binding : &s->birth_path, sizeof m->from) == 0;
    if (own && s->mode != JUMP_MODE_BIRTH && !jump_session_bound(s))
        own = false;
    if (own && jump_bucket_take(&s->u.server.bucket, JUMP_RATELIMIT_SESSION_PER_TOKEN, JUMP_RATELIMIT_SESSION_BURST, e->now))
        return true;
    jump_ratelimit_prefix(prefix, &m->from);
    uint64_t hash = jump_seal_hash(e->hash_key, prefix, sizeof prefix);
    if (jump_ratelimit_take(e->ratelimit, hash, prefix, e->now))
        return true;
    if (cookie_fits(e, m) && jump_bucket_take(&e->with_cookie[hash % JUMP_COOKIE_BUCKETS], WITH_COOKIE_PER,
                                              WITH_COOKIE_BURST, e->now))
        return true;
    send_cookie(e, m);
    e->stats.rate_limited++;
    return false;
}

/* 2: an id that no living session has. */
int jump_stranger_answer(struct jump_engine *e, struct jump_message *m)
{
    struct jump_tombstone *t = find_tombstone(e, &m->header.session_id);
    return t ? answer_from_tombstone(e, t, m) : reset(e, m);
}
