/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The main path, top to bottom: an input comes in, due timers run, a role turns the input into events, the table
 * says what an event does, and actions wait in the queue. The one mutation function (jump_engine_move) is here.
 * Refuses to know what a message means: client.c and server.c. Read next: those two, then fsm.def.
 */
#include <string.h>

#include "internal.h"

#define MOST_SESSIONS 1000000u
#define MOST_TOMBSTONES 4096u
#define LEAST_TOMBSTONES 16u
/* A host that stood still (a script, a name to resolve, SIGSTOP): R-62. */
#define HOST_LATE JUMP_MS(250)
#define HOST_READS JUMP_MS(100)
#define HOST_EXCUSED_EVERY JUMP_MS(1000)

/* --- memory ------------------------------------------------------------------------------------------------- */

struct layout {
    size_t table, timer, actions, ratelimit, tombstones, tombstones_by_id, total;
    uint32_t tombstone_count, tombstone_buckets;
};

static size_t take(size_t *at, size_t bytes)
{
    size_t here = *at;
    *at = (here + bytes + 15) & ~(size_t)15;
    return here;
}

static void lay_out(struct layout *l, const struct jump_config *config)
{
    struct jump_session_shape shape;
    size_t at = 0;
    memset(l, 0, sizeof *l);
    jump_session_shape(&shape, config->role, &config->policy);
    take(&at, sizeof(struct jump_engine));
    l->table = take(&at, jump_table_bytes(&shape, config->max_sessions));
    l->timer = take(&at, jump_timer_bytes(config->max_sessions));
    l->actions = take(&at, JUMP_ACTIONS * sizeof(struct jump_action));
    if (config->role == JUMP_SERVER) {
        uint32_t n = config->max_sessions;
        l->tombstone_count = n < LEAST_TOMBSTONES ? LEAST_TOMBSTONES : n > MOST_TOMBSTONES ? MOST_TOMBSTONES : n;
        for (l->tombstone_buckets = 16; l->tombstone_buckets < 2 * l->tombstone_count;)
            l->tombstone_buckets *= 2;
        l->ratelimit = take(&at, sizeof(struct jump_ratelimit));
        l->tombstones = take(&at, l->tombstone_count * sizeof(struct jump_tombstone));
        l->tombstones_by_id = take(&at, l->tombstone_buckets * sizeof(uint32_t));
    }
    l->total = at;
}

static bool config_fits(const struct jump_config *config)
{
    return (config->role == JUMP_CLIENT || config->role == JUMP_SERVER) && config->max_sessions >= 1 &&
           config->max_sessions <= MOST_SESSIONS && config->boot < UINT64_C(1) << 32 &&
           config->owner_epoch < UINT32_C(1) << 24;
}

size_t jump_engine_bytes(const struct jump_config *config)
{
    struct layout l;
    if (!config_fits(config) || jump_policy_valid(&config->policy) != 0)
        return 0;
    lay_out(&l, config);
    return l.total;
}

size_t jump_engine_session_bytes(const struct jump_config *config)
{
    struct jump_session_shape shape;
    jump_session_shape(&shape, config->role, &config->policy);
    return jump_session_bytes(&shape);
}

int jump_engine_init(struct jump_engine **engine, void *memory, size_t memory_len, const struct jump_config *config,
                     jump_time now)
{
    struct jump_session_shape shape;
    struct layout l;
    uint8_t *block = memory;
    *engine = NULL;
    if (!config_fits(config))
        return JUMP_ERR_ARGUMENT;
    if (jump_policy_valid(&config->policy) != 0)
        return JUMP_ERR_POLICY;
    if (jump_keys_start() != 0)
        return JUMP_ERR_SODIUM;
    lay_out(&l, config);
    if (memory == NULL || memory_len < l.total)
        return JUMP_ERR_NO_SPACE;

    struct jump_engine *e = memory;
    memset(e, 0, l.total);
    e->config = *config;
    e->bytes = l.total;
    e->now = now;
    e->boot = config->boot << 32;
    jump_keys_derive(e->process, sizeof e->process, config->seed, "process");
    jump_keys_derive(e->hash_key, sizeof e->hash_key, config->seed, "hash");
    jump_keys_derive(e->challenge_keys[0], sizeof e->challenge_keys[0], config->seed, "challenge");
    jump_keys_derive(e->challenge_keys[1], sizeof e->challenge_keys[1], config->seed, "challenge before");
    e->challenge_rotation = now / JUMP_CHALLENGE_ROTATION;
    jump_keys_wipe(e->config.seed, sizeof e->config.seed); /* what is derived of it must not be derived again */
    jump_keys_derive(e->cookie_key, sizeof e->cookie_key, config->seed, "cookie");
    jump_session_shape(&shape, config->role, &config->policy);
    jump_table_init(&e->table, block + l.table, &shape, config->max_sessions, e->hash_key);
    jump_timer_init(&e->timer, block + l.timer, config->max_sessions);
    e->actions = (struct jump_action *)(void *)(block + l.actions);
    if (config->role == JUMP_SERVER) {
        e->ratelimit = (struct jump_ratelimit *)(void *)(block + l.ratelimit);
        jump_ratelimit_init(e->ratelimit);
        e->tombstones = (struct jump_tombstone *)(void *)(block + l.tombstones);
        e->tombstone_count = l.tombstone_count;
        e->tombstone_buckets = l.tombstone_buckets;
        e->tombstones_by_id = (uint32_t *)(void *)(block + l.tombstones_by_id);
        memset(e->tombstones_by_id, 0xff, l.tombstone_buckets * sizeof(uint32_t));
    }
    *engine = e;
    return 0;
}

void jump_engine_wipe(struct jump_engine *e)
{
    jump_keys_wipe(e, e->bytes);
}

/* --- the queue ---------------------------------------------------------------------------------------------- */

bool jump_engine_has_room(const struct jump_engine *e)
{
    return JUMP_ACTIONS - e->actions_count >= JUMP_ACTIONS_ROOM;
}

struct jump_action *jump_engine_push(struct jump_engine *e, enum jump_action_kind kind, const struct jump_session *s)
{
    if (e->actions_count == JUMP_ACTIONS)
        return NULL;
    struct jump_action *action = &e->actions[(e->actions_head + e->actions_count++) % JUMP_ACTIONS];
    memset(action, 0, offsetof(struct jump_action, bytes));
    action->kind = kind;
    if (s) {
        action->host = s->host;
        action->session_id = s->id;
        action->generation = s->generation;
    }
    return action;
}

const struct jump_action *jump_engine_next(struct jump_engine *e)
{
    if (e->actions_count == 0)
        return NULL;
    const struct jump_action *action = &e->actions[e->actions_head];
    e->actions_head = (e->actions_head + 1) % JUMP_ACTIONS;
    e->actions_count--;
    return action;
}

/* --- keys and sending --------------------------------------------------------------------------------------- */

/* The newest epoch that both hold: the candidate, once the peer has listed it. */
uint8_t jump_engine_newest_key(const struct jump_session *s)
{
    return s->epochs.held == 2 && s->epochs.peer_has_new ? 1 : 0;
}

/* The last counter that may be used: a server's owner epoch stands on top of its 40 bits. A nonce that came again would give
 * two messages away, so the session ends before it could, and what is sealed after that is not sent. */
static uint64_t last_counter(const struct jump_engine *e)
{
    return e->config.role == JUMP_CLIENT ? UINT64_MAX : (uint64_t)e->config.owner_epoch << 40 | ((UINT64_C(1) << 40) - 1);
}

static bool counters_spent(const struct jump_engine *e, const struct jump_session *s)
{
    return s->send_counter >= last_counter(e) - JUMP_COUNTER_RESERVE;
}

bool jump_engine_next_counter(const struct jump_engine *e, uint64_t *counter)
{
    if (*counter >= last_counter(e))
        return false;
    ++*counter;
    return true;
}

void jump_engine_send(struct jump_engine *e, struct jump_session *s, uint8_t type, struct jump_body *body, size_t len,
                      const struct jump_path *to, uint8_t key)
{
    struct jump_header header = { .type = type, .session_id = s->id };
    const struct jump_keys *keys = &s->epochs.keys[key];
    if (s->send_counter == 0) { /* above all that ended before: not even one secret opened twice repeats a nonce */
        uint64_t epoch = (uint64_t)e->config.owner_epoch << 40;
        s->send_counter = e->counter_floor > epoch ? e->counter_floor : epoch;
    }
    if (!jump_engine_next_counter(e, &s->send_counter))
        return;
    struct jump_action *action = jump_engine_push(e, JUMP_DO_SEND, s);
    if (!action)
        return; /* a counter without its message is no harm */
    header.epoch = keys->fingerprint;
    header.counter = s->send_counter;
    memcpy(header.process, e->process, sizeof header.process);
    if (e->config.role == JUMP_CLIENT && e->now < s->u.client.cookie_until &&
        to->transport == s->u.client.cookie_transport)
        memcpy(header.cookie, s->u.client.cookie, sizeof header.cookie);
    body->keys[0] = s->epochs.keys[0].fingerprint;
    body->keys[1] = s->epochs.held == 2 ? s->epochs.keys[1].fingerprint : 0;
    action->path = *to;
    action->bytes_len = len;
    jump_seal_message(action->bytes, len, &header, body, e->config.role == JUMP_CLIENT ? keys->c2s : keys->s2c);
}

int jump_engine_open(struct jump_engine *e, struct jump_session *s, struct jump_message *m)
{
    int result = JUMP_ERR_REFUSED;
    for (uint8_t key = 0; key < s->epochs.held; key++) {
        const struct jump_keys *keys = &s->epochs.keys[key];
        if (keys->fingerprint != m->header.epoch)
            continue;
        result = jump_seal_open(&m->body, &m->header, m->bytes, m->len,
                                e->config.role == JUMP_CLIENT ? keys->s2c : keys->c2s);
        m->key = key;
        if (result == 0)
            return 0;
    }
    return result;
}

void jump_engine_release(struct jump_engine *e, struct jump_session *s)
{
    if (s->send_counter > e->counter_floor)
        e->counter_floor = s->send_counter;
    jump_table_free(&e->table, s);
}

void jump_engine_first_epoch(struct jump_session *s, const uint8_t *secret, jump_time now)
{
    jump_keys_epoch(&s->epochs.keys[0], &s->id, secret);
    s->epochs.made_at[0] = now;
    s->epochs.held = 1;
}

/* A new candidate replaces one that the peer has not listed. One that it has listed may be all that it still holds, so it
 * stays, and the host's newer epoch is refused: both sides then always have one in common (docs/decisions/0012). */
bool jump_engine_take_epoch(struct jump_engine *e, struct jump_session *s, const uint8_t *secret)
{
    struct jump_epochs *epochs = &s->epochs;
    struct jump_keys keys;
    jump_keys_epoch(&keys, &s->id, secret);
    bool confirmed = jump_keys_equal(keys.c2s, epochs->keys[0].c2s, sizeof keys.c2s);
    bool candidate = epochs->held == 2 && jump_keys_equal(keys.c2s, epochs->keys[1].c2s, sizeof keys.c2s);
    bool refused = !confirmed && !candidate && epochs->held == 2 && epochs->peer_has_new;
    if (!confirmed && !candidate && !refused) {
        epochs->keys[1] = keys;
        epochs->made_at[1] = e->now;
        epochs->held = 2;
        epochs->peer_has_new = false;
        candidate = true;
    } else if (refused) {
        jump_audit_reason(e, s, JUMP_EVENT_REKEY_DENIED, JUMP_REASON_RATE_LIMITED);
    }
    jump_keys_wipe(&keys, sizeof keys);
    return candidate;
}

/* An authenticated message tells which epochs the peer holds; one under the candidate confirms it. */
void jump_engine_keys_seen(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_epochs *epochs = &s->epochs;
    if (epochs->held != 2)
        return;
    bool newest = m->header.counter > epochs->heard;
    if (newest)
        epochs->heard = m->header.counter;
    if (m->key == 1) {
        jump_keys_wipe(&epochs->keys[0], sizeof epochs->keys[0]);
        epochs->keys[0] = epochs->keys[1];
        epochs->made_at[0] = epochs->made_at[1];
        jump_keys_wipe(&epochs->keys[1], sizeof epochs->keys[1]);
        epochs->held = 1;
        epochs->peer_has_new = false;
        jump_audit_reason(e, s, JUMP_EVENT_KEY_ROTATED, JUMP_REASON_KEY_ROTATED);
        if (e->config.role == JUMP_SERVER && epochs->of_twin)
            jump_server_drop_twin(e, s); /* the handshake was a rekey, not a new session */
        epochs->of_twin = false;
    } else if (newest) { /* both ways: the peer may have replaced the candidate by one that we do not hold */
        bool first = m->body.keys[0] == epochs->keys[1].fingerprint;
        bool second = m->body.keys[1] == epochs->keys[1].fingerprint;
        bool same = epochs->keys[0].fingerprint == epochs->keys[1].fingerprint; /* then it must stand there twice */
        epochs->peer_has_new = same ? first && second : first || second;
    }
}

/* A refused message confirms nothing, so its answer must not make the peer wipe the key that is the last one we share. */
uint8_t jump_engine_refusal_key(const struct jump_session *s, const struct jump_message *m)
{
    return s->epochs.peer_has_new ? m->key : 0;
}

/* --- the one mutation function ------------------------------------------------------------------------------ */

static void check_invariants(struct jump_engine *e, struct jump_session *s)
{
    const char *broken = jump_session_broken(s, &e->table.shape, e->now);
    if (!broken && e->config.unique_path && jump_session_bound(s) && jump_table_by_path(&e->table, &s->binding, s))
        broken = "I1";
    if (broken && s->mode != JUMP_MODE_TERMINATED)
        jump_engine_end(e, s, JUMP_EV_INTEGRITY, JUMP_REASON_INVARIANT_VIOLATION);
}

static void unbind(struct jump_engine *e, struct jump_session *s, enum jump_reason reason)
{
    struct jump_event *event = jump_audit_reason(e, s, JUMP_EVENT_TRANSPORT_DEAD, reason);
    event->fields |= JUMP_FIELD_PREVIOUS_TRANSPORT | JUMP_FIELD_LOSS | JUMP_FIELD_RTT;
    event->previous_transport = s->binding;
    event->loss_ppm = s->health.loss_ppm;
    event->rtt_us = s->health.srtt_us;
    if (e->config.role == JUMP_CLIENT || s->u.server.fenced_at == JUMP_NEVER) { /* a fenced one was told before */
        struct jump_action *action = jump_engine_push(e, JUMP_DO_UNBIND, s);
        if (action)
            action->path = s->binding;
    }
    jump_table_bind(&e->table, s, NULL);
}

/* Take the row: mode, version, the instants that belong to the new mode, and the event. */
static bool step(struct jump_engine *e, struct jump_session *s, enum jump_fsm_event event, enum jump_reason reason)
{
    enum jump_mode from = (enum jump_mode)s->mode;
    const struct jump_row *row = jump_fsm_row(from, event, e->config.role);
    if (row->kind == JUMP_ROW_STAY)
        return false;
    if (row->kind == JUMP_ROW_ILLEGAL || !jump_fsm_reason_fits(row, reason)) {
        e->stats.invalid_transitions++;
        jump_audit_security(e, s, JUMP_EVENT_VALIDATION_FAILED, JUMP_REASON_INVALID_TRANSITION, NULL);
        return false;
    }
    enum jump_mode to = (enum jump_mode)row->to;
    if (jump_mode_bound(from) && !jump_mode_bound(to)) {
        if (to != JUMP_MODE_TERMINATED)
            unbind(e, s, reason);
        else
            jump_table_bind(&e->table, s, NULL);
        bool fenced = e->config.role == JUMP_SERVER && s->u.server.fenced_at != JUMP_NEVER;
        s->unbound_at = to == JUMP_MODE_TERMINATED ? JUMP_NEVER : fenced ? s->u.server.fenced_at : e->now;
    }
    if (jump_mode_bound(to) || to == JUMP_MODE_TERMINATED)
        s->unbound_at = JUMP_NEVER;
    s->mode = (uint8_t)to;
    s->version++;
    s->moved_at = e->now;
    s->volatile_at = to == JUMP_MODE_VOLATILE ? e->now : s->volatile_at;
    if (to == JUMP_MODE_ATTACHED)
        s->volatile_at = JUMP_NEVER;
    struct jump_event *record = jump_audit_reason(e, s, JUMP_EVENT_STATE_CHANGE, reason);
    record->fields |= JUMP_FIELD_TRANSITION | JUMP_FIELD_LOSS | JUMP_FIELD_RTT;
    record->previous_mode = from;
    record->new_mode = to;
    record->cause = event;
    record->row = row->name;
    record->loss_ppm = s->health.loss_ppm;
    record->rtt_us = s->health.srtt_us;
    if (e->config.role == JUMP_SERVER)
        s->u.server.dirty = true;
    else if (to != JUMP_MODE_TERMINATED)
        jump_client_moved(e, s, from, reason);
    return true;
}

bool jump_engine_move(struct jump_engine *e, struct jump_session *s, enum jump_fsm_event event,
                      enum jump_reason reason)
{
    if (s->version == UINT64_MAX - 1) { /* the version never wraps: its last value is the end's */
        jump_engine_end(e, s, JUMP_EV_INTEGRITY, JUMP_REASON_INVARIANT_VIOLATION);
        return false;
    }
    bool moved = step(e, s, event, reason);
    if (moved)
        check_invariants(e, s);
    return moved;
}

void jump_engine_bind(struct jump_engine *e, struct jump_session *s, const struct jump_path *path,
                      uint64_t generation, enum jump_fsm_event event, enum jump_reason reason, bool voluntary)
{
    struct jump_path previous = s->binding;
    bool first = s->mode == JUMP_MODE_BIRTH, moved = !first && generation != s->generation;
    jump_time lost_at = s->unbound_at != JUMP_NEVER ? s->unbound_at : e->now;
    s->generation = generation;
    jump_table_bind(&e->table, s, path);
    if (!step(e, s, event, reason))
        return; /* not reached: callers bind only where the table has the row */
    s->last_gap_ms = (e->now - lost_at) / JUMP_MS(1);
    if (moved)
        s->switches++, e->stats.switches++;
    if (first)
        e->stats.births++;
    struct jump_event *record =
            jump_audit_reason(e, s, first || !moved ? JUMP_EVENT_TRANSPORT_ATTACHED : JUMP_EVENT_TRANSPORT_SWITCH, reason);
    record->fields |= JUMP_FIELD_NEW_TRANSPORT | JUMP_FIELD_VOLUNTARY | JUMP_FIELD_LATENCY | JUMP_FIELD_RTT;
    record->new_transport = *path;
    record->voluntary = voluntary;
    record->switch_latency_ms = (uint32_t)s->last_gap_ms;
    record->rtt_us = s->health.srtt_us;
    if (previous.port != 0) {
        record->fields |= JUMP_FIELD_PREVIOUS_TRANSPORT;
        record->previous_transport = previous;
    }
    struct jump_action *action = jump_engine_push(e, JUMP_DO_BIND, s);
    if (action) {
        action->path = *path;
        action->first = first;
        action->voluntary = voluntary;
        if (e->config.role == JUMP_CLIENT) {
            action->observed = (struct jump_path){ .port = s->u.client.observed_port, .proto = path->proto };
            memcpy(action->observed.ip, s->u.client.observed_ip, sizeof action->observed.ip);
        }
    }
    check_invariants(e, s);
}

/* Tell the peer, so that a lost session costs it a round trip and not a window. Three copies from a client, whose
 * process may be gone in a moment; one from a server, whose tombstone answers again. */
static void tell_peer(struct jump_engine *e, struct jump_session *s, enum jump_reason reason)
{
    struct jump_path to = jump_session_bound(s) ? s->binding : s->birth_path;
    struct jump_body body = { .reason = (uint8_t)reason, .state_version = s->version + 1 };
    unsigned copies = e->config.role == JUMP_CLIENT ? 3 : 1;
    if (e->config.role == JUMP_CLIENT && e->candidate_count > 0 && !jump_session_bound(s))
        to = e->candidates[0].candidate.path;
    for (unsigned i = 0; i < copies; i++)
        jump_engine_send(e, s, JUMP_MSG_TERMINATE, &body, jump_wire_length(JUMP_MSG_TERMINATE), &to,
                         jump_engine_newest_key(s));
}

void jump_engine_end(struct jump_engine *e, struct jump_session *s, enum jump_fsm_event event,
                     enum jump_reason reason)
{
    bool was_birth = s->mode == JUMP_MODE_BIRTH;
    bool peer_knows = reason == JUMP_REASON_PEER_TERMINATED || reason == JUMP_REASON_UNKNOWN_SESSION;
    const struct jump_row *row = jump_fsm_row((enum jump_mode)s->mode, event, e->config.role);
    if (row->kind != JUMP_ROW_MOVE || !jump_fsm_reason_fits(row, reason)) {
        step(e, s, event, reason); /* records it; nobody is told of an end that is none */
        return;
    }
    if (e->config.role == JUMP_SERVER && reason == JUMP_REASON_PEER_TERMINATED && jump_server_keep_twin(e, s))
        s->unwatched = true; /* the newer handshake of the same instance lives on */
    bool known_to_peer = !was_birth || (e->config.role == JUMP_SERVER && s->u.server.birth_acked);
    if (known_to_peer && !peer_knows)
        tell_peer(e, s, reason);
    if (!step(e, s, event, reason))
        return;
    e->stats.terminations++;
    s->ended_for = (uint8_t)reason;
    jump_audit_reason(e, s, JUMP_EVENT_SESSION_TERMINATED, reason);
    struct jump_action *action = jump_engine_push(e, JUMP_DO_END, s);
    if (action) {
        action->reason = reason;
        if (reason == JUMP_REASON_PEER_TERMINATED && e->peer_reason < JUMP_REASON_COUNT)
            action->peer_reason = (enum jump_reason)e->peer_reason;
        action->end_host = !s->unwatched;
        action->path = s->birth_path;
    }
    jump_timer_set(&e->timer, s->slot, JUMP_NEVER);
    if (e->config.role == JUMP_SERVER) {
        jump_server_drop_twin(e, s);
        if (known_to_peer)
            jump_stranger_bury(e, s);
        jump_table_hide(&e->table, s);
        jump_server_last_write(e, s); /* may keep the slot until the store has answered */
    } else {
        jump_table_hide(&e->table, s);
        jump_engine_release(e, s);
    }
}

/* --- time --------------------------------------------------------------------------------------------------- */

void jump_engine_arm(struct jump_engine *e, struct jump_session *s)
{
    if (!jump_session_live(s)) {
        jump_timer_set(&e->timer, s->slot, JUMP_NEVER);
        return;
    }
    jump_time at = e->config.role == JUMP_CLIENT ? jump_client_deadline(e, s) : jump_server_deadline(e, s);
    jump_time expires = jump_session_expires_at(s);
    if (jump_session_silent(s, e->config.role))
        expires = JUMP_NEVER; /* no session yet: perhaps the server does not speak at all */
    else if (counters_spent(e, s))
        expires = e->now;
    jump_timer_set(&e->timer, s->slot, at < expires ? at : expires);
}

/* The bounds that end a session, in the order of model.md 3; then what else falls due, which is the role's. */
static void session_due(struct jump_engine *e, struct jump_session *s)
{
    bool silent = jump_session_silent(s, e->config.role);
    if (!silent && e->now >= s->born_at + JUMP_MS(s->policy.max_lifetime_ms)) {
        jump_engine_end(e, s, JUMP_EV_SESSION_TTL, JUMP_REASON_SESSION_LIFETIME_EXCEEDED);
    } else if (!silent && (counters_spent(e, s) ||
                           (e->now >= jump_session_key_expires_at(s) &&
                            !(s->unbound_at != JUMP_NEVER &&
                              e->now >= s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms))))) {
        jump_engine_end(e, s, JUMP_EV_KEY_EXPIRED, JUMP_REASON_KEY_EXPIRED);
    } else if (e->config.role == JUMP_CLIENT && s->mode == JUMP_MODE_RECOVERING_UNBOUND &&
               e->now >= s->u.client.recovery_due) {
        jump_engine_end(e, s, JUMP_EV_RECOVERY_TIMEOUT, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED);
    } else if (s->unbound_at != JUMP_NEVER && e->now >= s->unbound_at + JUMP_MS(s->policy.transport_lost_ttl_ms)) {
        jump_engine_end(e, s, JUMP_EV_TRANSPORT_TTL, JUMP_REASON_TRANSPORT_TTL_EXCEEDED);
    } else if (s->birth_due != JUMP_NEVER && s->mode == JUMP_MODE_BIRTH && e->now >= s->birth_due) {
        if (e->config.role == JUMP_CLIENT || !s->u.server.latent)
            jump_engine_end(e, s, JUMP_EV_BIRTH_TIMEOUT, JUMP_REASON_HANDSHAKE_FAIL);
        else
            jump_server_due(e, s);
    } else if (e->config.role == JUMP_CLIENT) {
        jump_client_due(e, s);
    } else {
        jump_server_due(e, s);
    }
}

static void run_due(struct jump_engine *e)
{
    uint32_t slot;
    jump_time at;
    while (jump_engine_has_room(e) && (at = jump_timer_first(&e->timer, &slot)) <= e->now) {
        struct jump_session *s = jump_table_slot(&e->table, slot);
        if (!s || !jump_session_live(s)) {
            jump_timer_set(&e->timer, slot, JUMP_NEVER);
            continue;
        }
        uint64_t version = s->version;
        uint32_t queued = e->actions_count;
        session_due(e, s);
        if (!jump_session_live(s))
            continue;
        if (e->config.role == JUMP_SERVER)
            jump_server_follow(e, s);
        jump_engine_arm(e, s);
        /* A session that is still due has more events in this instant; its next turn takes them in order. One that is
         * due and for which nothing happens would hold the host up for ever: a defect, and its end. */
        if (e->timer.at[slot] <= at && s->version == version && e->actions_count == queued)
            jump_engine_end(e, s, JUMP_EV_INTEGRITY, JUMP_REASON_INVARIANT_VIOLATION);
    }
}

jump_time jump_engine_deadline(const struct jump_engine *e)
{
    uint32_t slot;
    return jump_timer_first(&e->timer, &slot);
}

/* --- inputs ------------------------------------------------------------------------------------------------- */

static int on_datagram(struct jump_engine *e, const struct jump_input *in)
{
    struct jump_message m = { .from = in->path, .bytes = in->bytes, .len = in->bytes_len };
    int result;
    if (jump_wire_get_header(&m.header, in->bytes, in->bytes_len) != 0) {
        e->stats.malformed++;
        return JUMP_ERR_MALFORMED;
    }
    if (e->config.role == JUMP_CLIENT)
        result = jump_wire_from_server(m.header.type) ? jump_client_datagram(e, &m) : JUMP_ERR_MALFORMED;
    else
        result = jump_wire_from_client(m.header.type) ? jump_server_datagram(e, &m) : JUMP_ERR_MALFORMED;
    if (result == JUMP_ERR_MALFORMED)
        e->stats.malformed++;
    jump_keys_wipe(&m.body, sizeof m.body); /* BIRTH_ACK carries a key */
    return result;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Sessions keep the policy they were born under, but no bound that ends them stays later than the new one. */
static void tighten(struct jump_engine *e, struct jump_session *s)
{
    s->policy.max_lifetime_ms = lesser(s->policy.max_lifetime_ms, e->config.policy.max_lifetime_ms);
    s->policy.transport_lost_ttl_ms = lesser(s->policy.transport_lost_ttl_ms, e->config.policy.transport_lost_ttl_ms);
    s->policy.key_max_age_ms = lesser(s->policy.key_max_age_ms, e->config.policy.key_max_age_ms);
    if (s->mode == JUMP_MODE_BIRTH && s->birth_due != JUMP_NEVER)
        s->birth_due = jump_earlier(s->birth_due, jump_later(e->now, s->born_at + JUMP_MS(e->config.policy.birth_window_ms)));
    uint32_t window = s->policy.recovery_window_ms;
    s->policy.recovery_window_ms = lesser(window, e->config.policy.recovery_window_ms);
    if (e->config.role == JUMP_CLIENT && s->mode == JUMP_MODE_RECOVERING_UNBOUND) /* it runs: from the same beginning */
        s->u.client.recovery_due =
                jump_later(e->now, s->u.client.recovery_due - JUMP_MS(window - s->policy.recovery_window_ms));
    jump_engine_arm(e, s);
}

static int on_policy(struct jump_engine *e, const struct jump_policy *policy)
{
    struct jump_session_shape shape;
    if (!policy || jump_policy_valid(policy) != 0)
        return JUMP_ERR_POLICY;
    jump_session_shape(&shape, e->config.role, policy);
    if (shape.replay_words > e->table.shape.replay_words || shape.switches > e->table.shape.switches)
        return JUMP_ERR_POLICY;
    e->config.policy = *policy;
    jump_audit_emit(e, NULL, JUMP_EVENT_POLICY);
    for (uint32_t slot = 0; slot < e->table.capacity; slot++) {
        struct jump_session *s = jump_table_slot(&e->table, slot);
        if (s && jump_session_live(s))
            tighten(e, s); /* what is over by the new bounds is due now: the next input or tick ends it */
    }
    return 0;
}

static int on_terminate(struct jump_engine *e, struct jump_session *s, enum jump_reason reason)
{
    enum jump_fsm_event event = reason == JUMP_REASON_SECURITY_FAILURE ? JUMP_EV_INTEGRITY : JUMP_EV_TERMINATE;
    const struct jump_row *row = jump_fsm_row((enum jump_mode)s->mode, event, e->config.role);
    if (!jump_fsm_reason_fits(row, reason))
        return JUMP_ERR_ARGUMENT;
    jump_engine_end(e, s, event, reason);
    return 0;
}

static void on_close(struct jump_engine *e, struct jump_session *s, enum jump_reason reason)
{
    if (jump_session_silent(s, e->config.role)) { /* it was never a session: nothing to record */
        jump_timer_set(&e->timer, s->slot, JUMP_NEVER);
        jump_table_hide(&e->table, s);
        jump_engine_release(e, s);
        return;
    }
    s->unwatched = true;
    if (s->mode == JUMP_MODE_BIRTH && reason == JUMP_REASON_HANDSHAKE_FAIL)
        jump_engine_end(e, s, JUMP_EV_HANDSHAKE_FAILED, reason);
    else
        jump_engine_end(e, s, JUMP_EV_TERMINATE, JUMP_REASON_HOST_TERMINATED);
}

/* Inputs about one session that must exist. */
static int on_session(struct jump_engine *e, const struct jump_input *in)
{
    bool client = e->config.role == JUMP_CLIENT;
    struct jump_session *s = in->kind == JUMP_IN_TERMINATE ? jump_table_by_id(&e->table, &in->session_id)
                                                           : jump_table_by_host(&e->table, in->host);
    if (!s || !jump_session_live(s))
        return JUMP_ERR_UNKNOWN;
    switch (in->kind) {
    case JUMP_IN_ANNOUNCED:
        if (client)
            jump_client_announced(e, s);
        break;
    case JUMP_IN_EPOCH: {
        int result = !client && in->maybe_new ? jump_server_maybe_new(e, s, in) : 0;
        bool candidate = jump_engine_take_epoch(e, s, in->secret);
        if (candidate || in->maybe_new)
            s->epochs.of_twin = candidate && in->maybe_new;
        if (client)
            jump_client_epoch(e, s);
        if (result != 0) {
            jump_engine_arm(e, s);
            return result;
        }
        break;
    }
    case JUMP_IN_CLOSE:
        on_close(e, s, in->reason);
        break;
    case JUMP_IN_TERMINATE:
        return on_terminate(e, s, in->reason);
    case JUMP_IN_ACTIVITY:
        if (client)
            jump_client_activity(e, s, in);
        else
            jump_server_activity(e, s, in);
        break;
    case JUMP_IN_ADVICE:
        if (client)
            jump_client_advice(e, s);
        break;
    default:
        return JUMP_ERR_ARGUMENT;
    }
    if (s->used && jump_session_live(s)) {
        if (!client)
            jump_server_follow(e, s);
        jump_engine_arm(e, s);
    }
    return 0;
}

/* A host that calls long after it was asked to has not listened either: what came meanwhile is still to be read, and the
 * silence is its own. Not twice in a second, or a host that is always late would never notice a death. */
static void excuse_own_silence(struct jump_engine *e)
{
    jump_time due = jump_engine_deadline(e);
    if (due != JUMP_NEVER && e->now > due + HOST_LATE && e->now >= e->listened_at + HOST_EXCUSED_EVERY)
        e->listened_at = e->now + HOST_READS;
}

int jump_engine_feed(struct jump_engine *e, const struct jump_input *in, jump_time now)
{
    if (now < e->now)
        return JUMP_ERR_TIME;
    if (e->actions_count != 0)
        return JUMP_ERR_BUSY;
    e->now = now;
    excuse_own_silence(e);
    run_due(e);
    if (!jump_engine_has_room(e) && in->kind != JUMP_IN_TICK)
        return JUMP_ERR_BUSY; /* timers filled the queue; nothing of the input was taken */
    switch (in->kind) {
    case JUMP_IN_TICK:
        return 0;
    case JUMP_IN_DATAGRAM:
        return on_datagram(e, in);
    case JUMP_IN_OPEN:
        return in->host == 0 || !in->secret     ? JUMP_ERR_ARGUMENT
               : e->config.role == JUMP_CLIENT ? jump_client_open(e, in)
                                               : jump_server_open(e, in);
    case JUMP_IN_CANDIDATES:
        if (e->config.role != JUMP_CLIENT || in->candidates_len > JUMP_MAX_CANDIDATES)
            return JUMP_ERR_ARGUMENT;
        jump_client_candidates(e, in);
        run_due(e);
        return 0;
    case JUMP_IN_STORE:
        return e->config.role == JUMP_SERVER ? jump_server_store(e, in) : JUMP_ERR_ARGUMENT;
    case JUMP_IN_POLICY:
        return on_policy(e, in->policy);
    default:
        return on_session(e, in);
    }
}

/* --- views -------------------------------------------------------------------------------------------------- */

bool jump_engine_is_idle(const struct jump_engine *e, jump_host host)
{
    const struct jump_session *s = jump_table_by_host(&e->table, host);
    return s && e->now - s->last_activity_at >= JUMP_IDLE;
}

static void view_of(struct jump_session_view *view, const struct jump_session *s)
{
    memset(view, 0, sizeof *view);
    view->id = s->id;
    view->host = s->host;
    view->state = jump_mode_state((enum jump_mode)s->mode);
    view->bound = jump_session_bound(s);
    view->state_version = s->version;
    view->generation = s->generation;
    view->binding = s->binding;
    view->birth_path = s->birth_path;
    view->born_at = s->born_at;
    view->expires_at = jump_session_expires_at(s);
    view->rtt_us = s->health.srtt_us;
    view->loss_ppm = s->health.loss_ppm;
    view->switches = s->switches;
    view->last_gap_ms = s->last_gap_ms;
    view->keys = s->epochs.held;
    view->policy_major = s->policy.version_major;
    view->policy_minor = s->policy.version_minor;
}

bool jump_engine_walk(const struct jump_engine *e, size_t *cursor, struct jump_session_view *view)
{
    while (*cursor < e->table.capacity) {
        const struct jump_session *s = jump_table_slot(&e->table, (uint32_t)(*cursor)++);
        if (s && jump_session_live(s)) {
            view_of(view, s);
            return true;
        }
    }
    return false;
}

bool jump_engine_find(const struct jump_engine *e, jump_host host, struct jump_session_view *view)
{
    const struct jump_session *s = jump_table_by_host(&e->table, host);
    if (!s || !jump_session_live(s))
        return false;
    view_of(view, s);
    return true;
}

void jump_engine_stats(const struct jump_engine *e, struct jump_stats *stats)
{
    *stats = e->stats;
    stats->sessions = e->table.count;
}
