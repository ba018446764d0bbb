/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The server's side: who may bind a session, and where. The order of checks of docs/protocol.md 5 is the order of
 * the functions below; nothing of a session changes before the commit, and the binding changes only after the store
 * has taken it. Silence is the answer to a bad proof. Read next: engine.c, store port in adapters/store.
 */
#include <string.h>

#include "internal.h"

#define LEAST_OFFER JUMP_MS(200)
#define MOST_OFFER JUMP_MS(2000)
#define STORE_RETRY JUMP_MS(1000)

static struct jump_server_part *part(struct jump_session *s)
{
    return &s->u.server;
}

static void observed(struct jump_body *body, const struct jump_path *path)
{
    memcpy(body->observed_ip, path->ip, sizeof body->observed_ip);
    body->observed_port = path->port;
}

static bool same_path(const struct jump_path *a, const struct jump_path *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void reply(struct jump_engine *e, struct jump_session *s, uint8_t type, struct jump_body *body,
                  const struct jump_message *m, uint8_t key)
{
    body->state_version = s->version;
    body->generation = s->generation;
    jump_engine_send(e, s, type, body, jump_wire_length(type), &m->from, key);
}

/* --- BIRTH -------------------------------------------------------------------------------------------------- */

static void send_offer(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    struct jump_body body = { .version_least = JUMP_WIRE_VERSION, .version_most = JUMP_WIRE_VERSION };
    p->offer_backoff_for = p->offer_backoff_for == 0             ? LEAST_OFFER
                           : p->offer_backoff_for * 2 < MOST_OFFER ? p->offer_backoff_for * 2
                                                                   : MOST_OFFER;
    p->offer_at = e->now + p->offer_backoff_for;
    jump_engine_send(e, s, JUMP_MSG_BIRTH_OFFER, &body, jump_wire_length(JUMP_MSG_BIRTH_OFFER), &s->birth_path, 0);
}

static struct jump_session *add_session(struct jump_engine *e, const struct jump_input *in, bool latent,
                                        const struct jump_path *path, int *error)
{
    struct jump_id id;
    jump_keys_session_id(&id, e->config.host_kind, in->secret);
    *error = JUMP_ERR_EXISTS;
    if (jump_table_by_id(&e->table, &id) || jump_stranger_buried(e, &id) || (!latent && jump_table_by_host(&e->table, in->host)))
        return NULL;
    struct jump_session *s = jump_table_add(&e->table, &id, in->host, latent, e->now);
    if (!s) {
        *error = JUMP_ERR_FULL;
        jump_audit_security(e, NULL, JUMP_EVENT_SESSION_TERMINATED, JUMP_REASON_SESSION_TABLE_FULL, path);
        return NULL;
    }
    *error = 0;
    s->policy = e->config.policy;
    s->birth_path = *path;
    s->birth_due = e->now + JUMP_MS(s->policy.birth_window_ms);
    part(s)->fenced_at = part(s)->store_retry_at = JUMP_NEVER;
    part(s)->latent = latent;
    jump_engine_first_epoch(s, in->secret, e->now);
    send_offer(e, s);
    jump_engine_arm(e, s);
    return s;
}

int jump_server_open(struct jump_engine *e, const struct jump_input *in)
{
    int error;
    add_session(e, in, false, &in->path, &error);
    return error;
}

/* The host's handshake was a rekey, or a new session of the same instance: both are held until the client shows. */
int jump_server_maybe_new(struct jump_engine *e, struct jump_session *s, const struct jump_input *in)
{
    int error;
    jump_server_drop_twin(e, s);
    const struct jump_path *path = jump_session_bound(s) ? &s->binding : &s->birth_path;
    struct jump_session *twin = add_session(e, in, true, path, &error);
    if (twin) {
        s->twin = twin->slot;
        twin->twin = s->slot;
    }
    return error == JUMP_ERR_EXISTS ? 0 : error;
}

/* The undecided twin goes without a trace: it never was a session. */
void jump_server_drop_twin(struct jump_engine *e, struct jump_session *s)
{
    struct jump_session *twin = jump_table_slot(&e->table, s->twin);
    s->twin = JUMP_NO_SLOT;
    if (!twin)
        return;
    twin->twin = JUMP_NO_SLOT;
    if (!part(twin)->latent)
        return;
    if (part(twin)->birth_acked) { /* its client may believe in it */
        twin->ended_for = JUMP_REASON_HANDSHAKE_FAIL;
        jump_stranger_bury(e, twin);
    }
    twin->mode = JUMP_MODE_TERMINATED;
    jump_timer_set(&e->timer, twin->slot, JUMP_NEVER);
    jump_table_hide(&e->table, twin);
    jump_server_last_write(e, twin);
}

/* The peer ended the older session, as a client does that starts anew: the undecided handshake is the one that lives. */
bool jump_server_keep_twin(struct jump_engine *e, struct jump_session *s)
{
    struct jump_session *twin = jump_table_slot(&e->table, s->twin);
    if (!twin || !part(twin)->latent)
        return false;
    s->twin = twin->twin = JUMP_NO_SLOT;
    part(twin)->latent = false;
    jump_table_name(&e->table, twin);
    return true;
}

/* A confirmed BIRTH of the same host instance ends the older session; the instance lives on with the newer one. */
static void replace_older(struct jump_engine *e, struct jump_session *s)
{
    struct jump_session *older = jump_table_slot(&e->table, s->twin);
    if (!part(s)->latent)
        return;
    s->twin = JUMP_NO_SLOT;
    part(s)->latent = false;
    if (older && jump_session_live(older)) {
        older->twin = JUMP_NO_SLOT;
        older->unwatched = true;
        jump_engine_end(e, older, JUMP_EV_TERMINATE, JUMP_REASON_HOST_TERMINATED);
    }
    jump_table_name(&e->table, s);
}

static uint32_t tighter(uint32_t ours, uint32_t wanted, uint32_t least)
{
    if (wanted == 0 || wanted >= ours)
        return ours;
    return wanted < least ? least : wanted;
}

static int on_birth(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_server_part *p = part(s);
    if (s->mode != JUMP_MODE_BIRTH || !same_path(&m->from, &s->birth_path))
        return JUMP_ERR_REFUSED; /* the path is frozen at the host instance's address (A39) */
    if (m->body.version_least > JUMP_WIRE_VERSION || m->body.version_most < JUMP_WIRE_VERSION)
        return JUMP_ERR_REFUSED;
    if (!p->birth_acked) { /* the policy is the server's; a client may ask for tighter bounds */
        struct jump_policy *policy = &s->policy;
        policy->max_lifetime_ms = tighter(policy->max_lifetime_ms, m->body.want_lifetime_ms, 60000);
        policy->transport_lost_ttl_ms = tighter(policy->transport_lost_ttl_ms, m->body.want_ttl_ms, 1000);
        if (policy->transport_lost_ttl_ms > policy->max_lifetime_ms)
            policy->transport_lost_ttl_ms = policy->max_lifetime_ms;
        policy->recovery_window_ms = tighter(policy->recovery_window_ms, m->body.want_window_ms, 500);
        if (policy->recovery_window_ms > policy->transport_lost_ttl_ms)
            policy->recovery_window_ms = policy->transport_lost_ttl_ms;
    }
    p->birth_acked = true;
    p->offer_at = JUMP_NEVER;
    struct jump_body body = { .version_chosen = JUMP_WIRE_VERSION, .state_version = 1, .generation = 1,
                              .boot = e->boot, .policy = s->policy };
    jump_keys_reset(body.reset_key, e->config.instance_key, &s->id);
    observed(&body, &m->from);
    jump_engine_send(e, s, JUMP_MSG_BIRTH_ACK, &body, jump_wire_length(JUMP_MSG_BIRTH_ACK), &m->from, m->key);
    jump_keys_wipe(&body, sizeof body);
    return 0;
}

/* --- the store: step 11 ------------------------------------------------------------------------------------- */

static size_t put(uint8_t *out, size_t at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[at + i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    return at + len;
}

static size_t put_path(uint8_t *out, size_t at, const struct jump_path *path)
{
    memcpy(out + at, path->ip, sizeof path->ip);
    at = put(out, at + sizeof path->ip, path->scope, 4);
    at = put(out, at, path->port, 2);
    return put(out, at, path->proto, 1);
}

/* The record: {mode, version, generation, binding, attempt, counter high-water, owner epoch, switch times}. No key. */
static size_t put_record(struct jump_engine *e, struct jump_session *s, uint8_t *out, enum jump_mode mode,
                         uint64_t version, uint64_t generation, const struct jump_path *binding, uint64_t attempt,
                         uint64_t counter)
{
    const jump_time *times = jump_session_switch_times(s, &e->table.shape);
    size_t at = put(out, 0, 1, 1); /* the record's format */
    at = put(out, at, mode, 1);
    at = put(out, at, version, 8);
    at = put(out, at, generation, 8);
    at = put_path(out, at, binding);
    at = put(out, at, attempt, 8);
    at = put(out, at, counter, 8);
    at = put(out, at, e->config.owner_epoch, 3);
    at = put(out, at, e->table.shape.switches, 1);
    for (uint32_t i = 0; i < e->table.shape.switches; i++)
        at = put(out, at, generation > s->generation && s->generation > 0 && i == part(s)->switches_at ? e->now : times[i], 8);
    return at;
}

static struct jump_action *write_record(struct jump_engine *e, struct jump_session *s, enum jump_pending kind)
{
    struct jump_server_part *p = part(s);
    struct jump_action *action = jump_engine_push(e, JUMP_DO_STORE, s);
    if (!action)
        return NULL; /* callers have made sure of room */
    p->ticket = (uint64_t)++e->ticket_serial << 32 | s->slot;
    p->pending.kind = (uint8_t)kind;
    action->ticket = p->ticket;
    action->revision = p->revision;
    return action;
}

/* T1, T5/T12 or an idempotent PROOF: ask the store; what it answers decides. */
static void commit(struct jump_engine *e, struct jump_session *s, enum jump_pending kind, const struct jump_message *m)
{
    struct jump_server_part *p = part(s);
    bool binds = kind != JUMP_PENDING_SAME, first = kind == JUMP_PENDING_ATTACH;
    struct jump_action *action = write_record(e, s, kind);
    if (!action)
        return;
    p->pending.path = m->from;
    p->pending.epoch = m->header.epoch;
    p->pending.attempt = first ? 0 : m->body.attempt;
    p->pending.counter = first ? p->reattach_high : m->header.counter;
    p->pending.generation = s->generation + (binds ? 1 : 0);
    p->pending.why = m->body.why;
    p->pending.voluntary = m->body.voluntary;
    uint64_t steps = !binds ? 0 : first || s->mode == JUMP_MODE_RECOVERING_UNBOUND ? 1 : 2;
    action->bytes_len = put_record(e, s, action->bytes, binds ? JUMP_MODE_ATTACHED : (enum jump_mode)s->mode,
                                   s->version + steps, p->pending.generation, &m->from,
                                   first ? s->attempt : m->body.attempt, p->pending.counter);
}

/* What changed without the store: the write follows. */
void jump_server_follow(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    if (!p->dirty || p->pending.kind != JUMP_PENDING_NONE || !jump_session_live(s) || s->mode == JUMP_MODE_BIRTH ||
        (p->store_retry_at != JUMP_NEVER && e->now < p->store_retry_at))
        return;
    struct jump_action *action = write_record(e, s, JUMP_PENDING_FOLLOW);
    if (!action)
        return;
    p->dirty = false;
    action->bytes_len = put_record(e, s, action->bytes, (enum jump_mode)s->mode, s->version, s->generation, &s->binding,
                                   s->attempt, p->reattach_high);
}

/* The session is TERMINATED and hidden: one last write, then the slot is free. */
void jump_server_last_write(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    if (p->pending.kind != JUMP_PENDING_NONE) {
        s->zombie = true; /* the store has yet to answer; its revision decides what the last write expects */
        jump_keys_wipe(&s->epochs, sizeof s->epochs);
        return;
    }
    if (p->revision != 0) {
        struct jump_action *action = write_record(e, s, JUMP_PENDING_NONE);
        if (action) {
            action->last = true;
            action->bytes_len = put_record(e, s, action->bytes, JUMP_MODE_TERMINATED, s->version, s->generation,
                                           &s->binding, s->attempt, p->reattach_high);
        }
    }
    jump_engine_release(e, s);
}

static uint8_t key_of_epoch(const struct jump_session *s, uint16_t epoch)
{
    return s->epochs.held == 2 && s->epochs.keys[1].fingerprint == epoch ? 1 : 0;
}

static void send_accept(struct jump_engine *e, struct jump_session *s, uint64_t attempt, const struct jump_path *to,
                        uint8_t key)
{
    struct jump_body body = { .attempt = attempt, .state_version = s->version, .generation = s->generation };
    observed(&body, to);
    jump_engine_send(e, s, JUMP_MSG_REATTACH_ACCEPT, &body, jump_wire_length(JUMP_MSG_REATTACH_ACCEPT), to, key);
}

/* A new binding begins: the server hears its first probe within the heartbeat it knows. */
static void begin_listening(struct jump_engine *e, struct jump_session *s)
{
    part(s)->last_heard_at = e->now;
    part(s)->next_within_for = 2 * JUMP_MS(s->policy.heartbeat_interval_ms);
    part(s)->fenced_at = JUMP_NEVER;
    part(s)->received = 0;
    s->health.used = 0; /* what was lost on the former path says nothing about this one */
    s->health.next_seq = 1;
    s->health.loss_ppm = 0;
    s->health.bad_since = s->health.good_since = JUMP_NEVER;
}

/* The path that is about to be bound held another session: where addresses alone tell peers apart, it is dead there. */
static void free_path(struct jump_engine *e, struct jump_session *s, const struct jump_path *path)
{
    struct jump_session *other = e->config.unique_path ? jump_table_by_path(&e->table, path, s) : NULL;
    if (!other)
        return;
    jump_engine_move(e, other, JUMP_EV_TRANSPORT_DEAD,
                     other->mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                       : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
    if (jump_session_live(other)) {
        jump_server_follow(e, other);
        jump_engine_arm(e, other);
    }
}

static void remember_switch(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    jump_time *times = jump_session_switch_times(s, &e->table.shape);
    p->last_switch_at = e->now;
    if (e->table.shape.switches == 0)
        return;
    times[p->switches_at] = e->now == 0 ? 1 : e->now;
    p->switches_at = (uint16_t)((p->switches_at + 1) % e->table.shape.switches);
}

/* The store has taken it: step 12. */
static void committed(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    enum jump_pending kind = (enum jump_pending)p->pending.kind;
    struct jump_path path = p->pending.path;
    uint64_t generation = p->pending.generation, attempt = p->pending.attempt;
    uint8_t key = key_of_epoch(s, p->pending.epoch);
    bool voluntary = p->pending.voluntary;
    p->pending.kind = JUMP_PENDING_NONE;
    if (kind == JUMP_PENDING_FOLLOW)
        return;
    if (kind == JUMP_PENDING_ATTACH) {
        replace_older(e, s);
        free_path(e, s, &path);
        s->birth_due = JUMP_NEVER;
        s->last_activity_at = e->now;
        begin_listening(e, s);
        jump_engine_bind(e, s, &path, generation, JUMP_EV_ATTACH_OK, JUMP_REASON_ATTACHED_TO_TRANSPORT, false);
        p->dirty = false;
        return;
    }
    s->attempt = attempt;
    p->reattach_high = p->pending.counter;
    if (kind == JUMP_PENDING_BIND) {
        free_path(e, s, &path);
        if (s->mode != JUMP_MODE_RECOVERING_UNBOUND) { /* T5: two rows, one commit */
            enum jump_reason reason = voluntary                       ? JUMP_REASON_LOSS_RECOVERY
                                      : s->mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                                      : JUMP_REASON_DEAD_TRANSPORT_RECOVERY;
            if (!jump_engine_move(e, s, JUMP_EV_REATTACH_VALID, reason) || !jump_session_live(s))
                return;
        }
        remember_switch(e, s);
        begin_listening(e, s);
        jump_engine_bind(e, s, &path, generation, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS, voluntary);
        if (!jump_session_live(s))
            return;
        p->dirty = false;
    } else {
        if (!jump_session_bound(s) || !same_path(&s->binding, &path))
            return; /* it died meanwhile; the client asks again */
        p->last_heard_at = e->now; /* a proof from the bound path: it lives */
        p->fenced_at = JUMP_NEVER;
    }
    struct jump_event *event = jump_audit_reason(e, s, JUMP_EVENT_REATTACH_RESULT, JUMP_REASON_REATTACH_SUCCESS);
    event->fields |= JUMP_FIELD_ATTEMPT | JUMP_FIELD_VOLUNTARY | JUMP_FIELD_NEW_TRANSPORT;
    event->attempt = attempt;
    event->voluntary = voluntary;
    event->new_transport = path;
    send_accept(e, s, attempt, &path, key);
}

static void not_committed(struct jump_engine *e, struct jump_session *s, enum jump_store_result result)
{
    struct jump_server_part *p = part(s);
    enum jump_pending kind = (enum jump_pending)p->pending.kind;
    bool fenced = p->fenced_at != JUMP_NEVER;
    p->pending.kind = JUMP_PENDING_NONE;
    if (kind == JUMP_PENDING_FOLLOW) {
        if (result == JUMP_STORE_CONFLICT) { /* somebody else wrote our record */
            jump_engine_end(e, s, JUMP_EV_OWNERSHIP_AMBIGUOUS, JUMP_REASON_OWNERSHIP_CONFLICT);
            return;
        }
        p->dirty = true;
        p->store_retry_at = e->now + STORE_RETRY;
        return;
    }
    if (kind == JUMP_PENDING_ATTACH)
        return; /* still BIRTH: the next PROBE tries again, the birth window bounds it */
    struct jump_body body = { .attempt = p->pending.attempt, .reason = JUMP_REASON_ATOMICITY_FAILED,
                              .retry_after_ms = 1000, .state_version = s->version, .generation = s->generation };
    e->stats.denied++;
    jump_audit_reason(e, s, JUMP_EVENT_REATTACH_RESULT, JUMP_REASON_ATOMICITY_FAILED);
    jump_engine_send(e, s, JUMP_MSG_REATTACH_DENY, &body, jump_wire_length(JUMP_MSG_REATTACH_DENY), &p->pending.path,
                     key_of_epoch(s, p->pending.epoch));
    if (fenced) { /* the old path died meanwhile; it was fenced, now it is said, and its time runs from then */
        if (jump_session_bound(s)) /* else another session has taken the path meanwhile, and it was said then */
            jump_engine_move(e, s, JUMP_EV_TRANSPORT_DEAD,
                             s->mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                           : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
        if (jump_session_live(s))
            p->fenced_at = JUMP_NEVER;
    }
}

int jump_server_store(struct jump_engine *e, const struct jump_input *in)
{
    struct jump_session *s = jump_table_slot(&e->table, (uint32_t)in->ticket);
    if (!s || part(s)->ticket != in->ticket || part(s)->pending.kind == JUMP_PENDING_NONE)
        return JUMP_ERR_UNKNOWN; /* the answer to a last write */
    if (in->store_result == JUMP_STORE_DONE)
        part(s)->revision = in->revision;
    if (s->zombie) {
        bool bound = part(s)->pending.kind == JUMP_PENDING_ATTACH || part(s)->pending.kind == JUMP_PENDING_BIND;
        if (bound && in->store_result == JUMP_STORE_DONE) /* the record is ahead by what the commit would have done: two at most */
            s->version = s->version < UINT64_MAX - 2 ? s->version + 2 : UINT64_MAX;
        if (part(s)->pending.kind != JUMP_PENDING_FOLLOW && in->store_result == JUMP_STORE_DONE) { /* nor does the rest go back */
            s->generation = part(s)->pending.generation;
            s->attempt = part(s)->pending.attempt;
            part(s)->reattach_high = part(s)->pending.counter;
        }
        part(s)->pending.kind = JUMP_PENDING_NONE;
        jump_server_last_write(e, s);
        return 0;
    }
    if (in->store_result == JUMP_STORE_DONE)
        committed(e, s);
    else
        not_committed(e, s, in->store_result);
    if (jump_session_live(s)) {
        if (in->store_result == JUMP_STORE_DONE)
            part(s)->store_retry_at = JUMP_NEVER;
        jump_server_follow(e, s);
        jump_engine_arm(e, s);
    }
    return 0;
}

/* --- denials and challenges --------------------------------------------------------------------------------- */

static int deny(struct jump_engine *e, struct jump_session *s, const struct jump_message *m, enum jump_reason reason,
                uint32_t retry_after_ms)
{
    struct jump_body body = { .attempt = m->body.attempt, .reason = (uint8_t)reason, .retry_after_ms = retry_after_ms };
    e->stats.denied++;
    struct jump_event *event = jump_audit_security(e, s, JUMP_EVENT_SWITCH_DENIED, reason, &m->from);
    if (event) {
        event->fields |= JUMP_FIELD_ATTEMPT | JUMP_FIELD_RETRY;
        event->attempt = m->body.attempt;
        event->retry_after_ms = retry_after_ms;
    }
    reply(e, s, JUMP_MSG_REATTACH_DENY, &body, m, jump_engine_refusal_key(s, m));
    return JUMP_ERR_REFUSED;
}

static uint64_t challenge_bucket(const struct jump_engine *e, const struct jump_session *s)
{
    return e->now / JUMP_MS(s->policy.reattach_proof_max_age_ms);
}

static void next_challenge_key(struct jump_engine *e)
{
    memcpy(e->challenge_keys[1], e->challenge_keys[0], sizeof e->challenge_keys[1]);
    jump_keys_derive(e->challenge_keys[0], sizeof e->challenge_keys[0], e->challenge_keys[1], "challenge next");
}

/* The key of a bucket is that of the rotation in which the bucket began. Keys are chained one way: who reads the memory finds
 * none that is older than the two. After a long pause two steps are enough: nothing was given out in between. */
static const uint8_t *challenge_key(struct jump_engine *e, const struct jump_session *s, uint64_t bucket)
{
    uint64_t rotation = e->now / JUMP_CHALLENGE_ROTATION;
    if (rotation > e->challenge_rotation + 1)
        next_challenge_key(e);
    if (rotation > e->challenge_rotation)
        next_challenge_key(e);
    e->challenge_rotation = rotation;
    bool before = bucket * JUMP_MS(s->policy.reattach_proof_max_age_ms) / JUMP_CHALLENGE_ROTATION < rotation;
    return e->challenge_keys[before];
}

static void challenge(struct jump_engine *e, struct jump_session *s, const struct jump_message *m, uint8_t key)
{
    struct jump_body body = { .attempt = m->body.attempt };
    uint64_t bucket = challenge_bucket(e, s);
    jump_seal_challenge(body.challenge, challenge_key(e, s, bucket), &s->id, m->body.attempt, &m->from, bucket);
    observed(&body, &m->from);
    reply(e, s, JUMP_MSG_REATTACH_CHALLENGE, &body, m, key);
}

static bool challenge_fits(struct jump_engine *e, const struct jump_session *s, const struct jump_message *m)
{
    uint8_t ours[JUMP_CHALLENGE_BYTES];
    uint64_t bucket = challenge_bucket(e, s);
    jump_seal_challenge(ours, challenge_key(e, s, bucket), &s->id, m->body.attempt, &m->from, bucket);
    bool fits = jump_keys_equal(ours, m->body.challenge, sizeof ours);
    if (!fits && bucket > 0) {
        jump_seal_challenge(ours, challenge_key(e, s, bucket - 1), &s->id, m->body.attempt, &m->from, bucket - 1);
        fits = jump_keys_equal(ours, m->body.challenge, sizeof ours);
    }
    jump_keys_wipe(ours, sizeof ours);
    return fits;
}

/* Advisory, outside the record: one attempt of one candidate from two sources is a racer, or a NAT that moved. */
static void note_race(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_server_part *p = part(s);
    if (p->race_attempt == m->body.attempt && p->race_candidate == m->body.transport &&
        !same_path(&p->race_path, &m->from)) {
        e->stats.races++;
        struct jump_event *event =
                jump_audit_security(e, s, JUMP_EVENT_PATH_RACE, JUMP_REASON_REATTACH_VALIDATION_FAILED, &m->from);
        if (event) {
            event->fields |= JUMP_FIELD_PREVIOUS_TRANSPORT | JUMP_FIELD_ATTEMPT;
            event->previous_transport = p->race_path;
            event->attempt = m->body.attempt;
        }
    }
    p->race_attempt = m->body.attempt;
    p->race_candidate = m->body.transport;
    p->race_path = m->from;
}

/* --- REATTACH: steps 4 to 11 -------------------------------------------------------------------------------- */

static int on_reattach(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_server_part *p = part(s);
    bool proof = m->header.type == JUMP_MSG_REATTACH_PROOF, bound_here = same_path(&m->from, &s->binding);
    /* 4: a lost ACCEPT heals; nothing is decided again */
    if (proof && bound_here && s->attempt == m->body.attempt && s->attempt != 0 && p->pending.kind == JUMP_PENDING_NONE) {
        send_accept(e, s, s->attempt, &m->from, m->key);
        return 0;
    }
    /* 5: strictly above every accepted one */
    if (m->header.counter <= p->reattach_high) {
        e->stats.replayed++;
        jump_audit_security(e, s, JUMP_EVENT_REPLAY_DETECTED, JUMP_REASON_REPLAY_DETECTED, &m->from);
        return JUMP_ERR_REFUSED;
    }
    /* 6: session and state */
    if (p->pending.kind != JUMP_PENDING_NONE)
        return JUMP_ERR_REFUSED; /* a commit is out; the client repeats */
    if (s->mode == JUMP_MODE_BIRTH)
        return deny(e, s, m, JUMP_REASON_INVALID_STATE_FOR_REATTACH, 1000);
    /* 7: a higher version would mean that we were rolled back */
    if ((!proof && m->body.state_version > s->version) || m->body.generation > s->generation)
        return deny(e, s, m, JUMP_REASON_STALE_STATE_VERSION, 0);
    /* 8: rate, cooldown, protocol */
    if (!bound_here) {
        jump_time free_at, cool = p->last_switch_at == 0 ? 0 : p->last_switch_at + JUMP_MS(s->policy.switch_cooldown_ms);
        if (!(s->policy.allowed_protocols & JUMP_PROTO_BIT(m->from.proto)) || m->body.protocol != m->from.proto)
            return deny(e, s, m, JUMP_REASON_INVALID_TRANSPORT_CANDIDATE, 1000);
        if (jump_session_recent_switches(s, &e->table.shape, &free_at, e->now) >= s->policy.max_switches_per_min)
            return deny(e, s, m, JUMP_REASON_SWITCH_RATE_LIMITED,
                        free_at > e->now ? (uint32_t)((free_at - e->now) / JUMP_MS(1)) + 1 : 60000);
        if (m->body.voluntary && e->now < cool)
            return deny(e, s, m, JUMP_REASON_COOLDOWN_ACTIVE, (uint32_t)((cool - e->now) / JUMP_MS(1)) + 1);
    }
    /* 9: REQUEST ends here; a PROOF must come from where its challenge went */
    note_race(e, s, m);
    if (!proof || !challenge_fits(e, s, m)) {
        challenge(e, s, m, proof ? jump_engine_refusal_key(s, m) : m->key);
        return proof ? JUMP_ERR_REFUSED : 0;
    }
    /* 10 is a cluster's; 11: one compare-and-set */
    commit(e, s, bound_here ? JUMP_PENDING_SAME : JUMP_PENDING_BIND, m);
    return 0;
}

/* --- PROBE -------------------------------------------------------------------------------------------------- */

static void probe_ack(struct jump_engine *e, struct jump_session *s, const struct jump_message *m, bool bound)
{
    struct jump_body body = { .seq = m->body.seq, .sent_at = m->body.sent_at, .received = part(s)->received,
                              .bound = bound, .state = (uint8_t)jump_mode_state((enum jump_mode)s->mode) };
    reply(e, s, JUMP_MSG_PROBE_ACK, &body, m, m->key);
}

/* Stable again, or volatile? The server judges what it hears as the client judges what comes back. */
static void judge(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    enum jump_reason reason = jump_health_judge(&s->health, &s->policy, 0, e->now);
    if (p->pending.kind == JUMP_PENDING_BIND)
        return; /* one change at a time: the commit decides first */
    if (s->mode == JUMP_MODE_ATTACHED && reason != JUMP_REASON_NONE)
        jump_engine_move(e, s, JUMP_EV_INSTABILITY, reason);
    else if ((s->mode == JUMP_MODE_VOLATILE || s->mode == JUMP_MODE_DEGRADED_BOUND) && reason == JUMP_REASON_NONE &&
             e->now - p->last_heard_at < p->next_within_for && s->health.good_since != JUMP_NEVER &&
             e->now - (s->health.good_since > s->moved_at ? s->health.good_since : s->moved_at) >=
                     JUMP_MS(s->policy.stable_window_ms))
        jump_engine_move(e, s, JUMP_EV_STABLE, JUMP_REASON_HEALTH_RECOVERED);
}

static int on_probe(struct jump_engine *e, struct jump_session *s, const struct jump_message *m, bool *enter)
{
    struct jump_server_part *p = part(s);
    *enter = true;
    if (s->mode == JUMP_MODE_BIRTH) { /* T1: generation 1, claimed from the address of the host's own instance */
        if (!p->birth_acked || !m->body.claims_binding || m->body.generation != 1 ||
            !same_path(&m->from, &s->birth_path))
            return JUMP_ERR_REFUSED;
        probe_ack(e, s, m, false);
        if (p->pending.kind == JUMP_PENDING_NONE)
            commit(e, s, JUMP_PENDING_ATTACH, m);
        return 0;
    }
    if (m->body.generation > s->generation)
        return JUMP_ERR_REFUSED;
    if (!m->body.claims_binding) { /* a candidate: measured, not bound */
        probe_ack(e, s, m, false);
        return 0;
    }
    if (!jump_session_bound(s) || !same_path(&m->from, &s->binding) || p->fenced_at != JUMP_NEVER) {
        struct jump_body body = { .seq = m->body.seq };
        *enter = false; /* a racer's copy must not use up the real one's place (A41) */
        reply(e, s, JUMP_MSG_PATH_UNBOUND, &body, m, jump_engine_refusal_key(s, m));
        return JUMP_ERR_REFUSED;
    }
    if (m->body.generation != s->generation) { /* kept back from an earlier binding: no sign of life of this one */
        *enter = false;
        return JUMP_ERR_REFUSED;
    }
    p->last_heard_at = e->now;
    p->received++;
    if (m->body.seq >> 62 == 0 && m->body.seq < s->health.next_seq) {
        jump_health_see(&s->health, m->body.seq, e->now); /* late: what it says of the next one is out of date */
    } else if (m->body.seq >> 62 == 0) { /* the binding's own series */
        jump_health_see(&s->health, m->body.seq, e->now);
        p->next_within_for = JUMP_MS(m->body.next_within_ms);
        if (p->next_within_for < JUMP_MS(s->policy.heartbeat_interval_ms))
            p->next_within_for = JUMP_MS(s->policy.heartbeat_interval_ms);
        if (p->next_within_for > 4 * JUMP_MS(s->policy.idle_interval_ms))
            p->next_within_for = 4 * JUMP_MS(s->policy.idle_interval_ms);
    }
    probe_ack(e, s, m, true);
    judge(e, s);
    return 0;
}

/* --- TERMINATE ------------------------------------------------------------------- */

static int on_terminate(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_body body = { .reason = m->body.reason };
    reply(e, s, JUMP_MSG_TERMINATE_ACK, &body, m, m->key);
    e->peer_reason = m->body.reason;
    jump_engine_end(e, s, JUMP_EV_TERMINATE, JUMP_REASON_PEER_TERMINATED);
    return 0;
}

/* --- the order of checks ------------------------------------------------------------------------------------ */

static int on_sealed(struct jump_engine *e, struct jump_session *s, struct jump_message *m)
{
    bool enter = true;
    int result;
    if (m->header.type == JUMP_MSG_REATTACH_REQUEST || m->header.type == JUMP_MSG_REATTACH_PROOF)
        return on_reattach(e, s, m);
    if (!jump_replay_fresh(&s->replay, m->header.counter)) { /* 5 */
        e->stats.replayed++;
        jump_audit_security(e, s, JUMP_EVENT_REPLAY_DETECTED, JUMP_REASON_REPLAY_DETECTED, &m->from);
        return JUMP_ERR_REFUSED;
    }
    switch (m->header.type) {
    case JUMP_MSG_BIRTH:
        result = on_birth(e, s, m);
        break;
    case JUMP_MSG_PROBE:
        result = on_probe(e, s, m, &enter);
        break;
    case JUMP_MSG_TERMINATE:
        result = on_terminate(e, s, m);
        break;
    default:
        return JUMP_ERR_REFUSED; /* TERMINATE_ACK: ours are answered by tombstones */
    }
    if (result == 0 && enter && jump_session_live(s))
        jump_replay_commit(&s->replay, m->header.counter);
    return result;
}

int jump_server_datagram(struct jump_engine *e, struct jump_message *m)
{
    struct jump_session *s = jump_table_by_id(&e->table, &m->header.session_id);
    if (!jump_stranger_within_rate(e, s, m)) /* 1 */
        return JUMP_ERR_REFUSED;
    if (!s) /* 2 */
        return jump_stranger_answer(e, m);
    if (jump_engine_open(e, s, m) != 0) { /* 3 */
        e->stats.bad_proof++;
        jump_audit_security(e, s, JUMP_EVENT_VALIDATION_FAILED, JUMP_REASON_BAD_PROOF, &m->from);
        return JUMP_ERR_REFUSED;
    }
    int result = on_sealed(e, s, m);
    if (!jump_session_live(s))
        return result;
    if (result == 0)
        jump_engine_keys_seen(e, s, m);
    jump_server_follow(e, s);
    jump_engine_arm(e, s);
    return result;
}

void jump_server_activity(struct jump_engine *e, struct jump_session *s, const struct jump_input *in)
{
    s->last_activity_at = e->now;
    if (in->proof_of_life && jump_session_bound(s))
        part(s)->last_heard_at = e->now;
}

/* --- time --------------------------------------------------------------------------------------------------- */

static jump_time dead_at(const struct jump_engine *e, const struct jump_session *s)
{
    const struct jump_server_part *p = &s->u.server;
    uint32_t silences = jump_score_drops(s->policy.max_consecutive_drops, s->health.loss_ppm);
    return jump_silence_over(e, p->last_heard_at + silences * p->next_within_for);
}

static jump_time late_at(const struct jump_engine *e, const struct jump_session *s)
{
    const struct jump_server_part *p = &s->u.server;
    return jump_silence_over(e, p->last_heard_at + p->next_within_for);
}

jump_time jump_server_deadline(const struct jump_engine *e, const struct jump_session *s)
{
    const struct jump_server_part *p = &s->u.server;
    jump_time at = JUMP_NEVER;
    if (s->mode == JUMP_MODE_BIRTH)
        return p->birth_acked || s->birth_due < p->offer_at ? s->birth_due : p->offer_at;
    if (p->dirty && p->pending.kind == JUMP_PENDING_NONE && p->store_retry_at != JUMP_NEVER)
        at = p->store_retry_at;
    if (p->fenced_at != JUMP_NEVER) {
        jump_time over = p->fenced_at + JUMP_MS(s->policy.transport_lost_ttl_ms);
        return at < over ? at : over;
    }
    if (!jump_session_bound(s))
        return at;
    jump_time due = dead_at(e, s);
    if (s->mode == JUMP_MODE_ATTACHED && p->pending.kind != JUMP_PENDING_BIND)
        due = jump_earlier(due, late_at(e, s));
    if (s->mode == JUMP_MODE_VOLATILE && s->moved_at + JUMP_MS(s->policy.volatile_to_degraded_ms) < due &&
        p->pending.kind != JUMP_PENDING_BIND)
        due = s->moved_at + JUMP_MS(s->policy.volatile_to_degraded_ms);
    return at < due ? at : due;
}

static void path_dead(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    if (p->pending.kind == JUMP_PENDING_BIND) { /* fenced at once; the store's answer says what it means */
        p->fenced_at = e->now;
        struct jump_action *action = jump_engine_push(e, JUMP_DO_UNBIND, s);
        if (action)
            action->path = s->binding;
        return;
    }
    jump_engine_move(e, s, JUMP_EV_TRANSPORT_DEAD,
                     s->mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                   : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
}

/* @return false: the session is gone */
bool jump_server_due(struct jump_engine *e, struct jump_session *s)
{
    struct jump_server_part *p = part(s);
    if (s->mode == JUMP_MODE_BIRTH) {
        if (p->latent && e->now >= s->birth_due) {
            struct jump_session *older = jump_table_slot(&e->table, s->twin);
            if (older) {
                jump_server_drop_twin(e, older);
                return false;
            }
        }
        if (!p->birth_acked && e->now >= p->offer_at)
            send_offer(e, s);
        return true;
    }
    if (p->fenced_at != JUMP_NEVER) {
        if (e->now >= p->fenced_at + JUMP_MS(s->policy.transport_lost_ttl_ms)) { /* the bound does not wait */
            if (jump_session_bound(s))
                jump_engine_move(e, s, JUMP_EV_TRANSPORT_DEAD,
                                 s->mode == JUMP_MODE_ATTACHED ? JUMP_REASON_TRANSPORT_DEAD
                                                               : JUMP_REASON_DEAD_TRANSPORT_RECOVERY);
            if (jump_session_live(s)) /* unbound since the fence */
                jump_engine_end(e, s, JUMP_EV_TRANSPORT_TTL, JUMP_REASON_TRANSPORT_TTL_EXCEEDED);
        }
    } else if (jump_session_bound(s) && e->now >= dead_at(e, s)) {
        path_dead(e, s);
    } else if (s->mode == JUMP_MODE_VOLATILE && p->pending.kind != JUMP_PENDING_BIND &&
               e->now >= s->moved_at + JUMP_MS(s->policy.volatile_to_degraded_ms)) {
        jump_engine_move(e, s, JUMP_EV_VOLATILE_TIMEOUT, JUMP_REASON_VOLATILE_PERSISTED);
    } else if (s->mode == JUMP_MODE_ATTACHED && p->pending.kind != JUMP_PENDING_BIND &&
               e->now >= late_at(e, s)) {
        jump_engine_move(e, s, JUMP_EV_INSTABILITY, JUMP_REASON_HEARTBEAT_TIMEOUT);
    }
    return jump_session_live(s);
}
