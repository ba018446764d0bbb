/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The client's side: begins BIRTH, probes its path, notices that it is bad or dead, and drives the recovery. It
 * believes only what an authenticated server says about something that is outstanding (docs/protocol.md 6).
 * The server decides where the session is bound; here is only the wish. Read next: engine.c, health.h.
 */
#include <string.h>

#include "internal.h"

#define LEAST_REQUEST_INTERVAL JUMP_MS(350)
#define EAGER_FOR JUMP_MS(300000) /* REQUESTs are frequent for five minutes, */
#define LAZY_REQUEST_INTERVAL JUMP_MS(2000) /* then every two seconds */
#define LEAST_BACKOFF JUMP_MS(100)
#define MOST_BACKOFF JUMP_MS(2000)
#define BIRTH_BACKOFF JUMP_MS(200)
#define LEAST_CANDIDATE_PROBES 3 /* fewer say nothing about a path */
#define COOKIE_FOR JUMP_MS(10000)
#define LEAST_SWITCH_TIMEOUT JUMP_MS(2000)

/* --- recovering --------------------------------------------------------------------------------------------- */

static jump_time request_interval(const struct jump_engine *e, const struct jump_session *s)
{
    if (s->unbound_at != JUMP_NEVER && e->now - s->unbound_at >= EAGER_FOR)
        return LAZY_REQUEST_INTERVAL;
    return jump_later(jump_health_rto(&s->health), LEAST_REQUEST_INTERVAL);
}

/* The candidate whose turn it is: bound, the one we want to switch to; unbound, all in turn. */
static struct jump_candidate_part *candidate_in_turn(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    for (uint8_t i = 0; i < e->candidate_count; i++) {
        uint8_t at = (uint8_t)((c->next_candidate + i) % e->candidate_count);
        if (c->refused >> at & 1)
            continue;
        c->next_candidate = s->mode == JUMP_MODE_RECOVERING_BOUND ? at : (uint8_t)(at + 1);
        return &e->candidates[at];
    }
    return NULL;
}

static bool has_candidate(const struct jump_engine *e, const struct jump_session *s)
{
    unsigned all = (1u << e->candidate_count) - 1;
    return (s->u.client.refused & all) != all;
}

/* One bit of the masks of struct jump_client_part. */
static uint8_t place(const struct jump_engine *e, const struct jump_candidate_part *p)
{
    return (uint8_t)(1u << (p - e->candidates));
}

static void request(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    struct jump_candidate_part *p = candidate_in_turn(e, s);
    c->send_at = e->now + request_interval(e, s);
    if (!p) { /* no way out of this machine now: T13 at once */
        c->send_at = e->now;
        return;
    }
    const struct jump_path *to = &p->candidate.path;
    struct jump_body body = {
        .attempt = s->attempt,
        .state_version = c->server_version,
        .generation = s->generation,
        .why = c->why,
        .voluntary = c->voluntary,
        .transport = to->transport,
        .protocol = to->proto,
    };
    uint8_t key = jump_engine_newest_key(s);
    if (key == 1 && s->mode == JUMP_MODE_RECOVERING_UNBOUND && (c->requests / e->candidate_count & 1))
        key = 0; /* the server listed the candidate once, but may hold another one by now */
    c->requests++;
    c->request_sent_at = e->now;
    jump_engine_send(e, s, JUMP_MSG_REATTACH_REQUEST, &body, JUMP_REQUEST_BYTES, to, key);
}

static void begin_attempt(struct jump_engine *e, struct jump_session *s, enum jump_reason reason, bool voluntary)
{
    struct jump_client_part *c = &s->u.client;
    s->attempt++;
    c->why = (uint8_t)reason;
    c->voluntary = voluntary;
    c->proof_sent_at = JUMP_NEVER;
    c->requests = 0;
    c->refused = c->proved = 0;
    struct jump_event *event = jump_audit_reason(e, s, JUMP_EVENT_REATTACH_ATTEMPT, reason);
    event->fields |= JUMP_FIELD_ATTEMPT | JUMP_FIELD_VOLUNTARY | JUMP_FIELD_CANDIDATES;
    event->attempt = s->attempt;
    event->voluntary = voluntary;
    event->candidate_count = e->candidate_count;
    request(e, s);
}

/* What a transition starts and stops on the client. Called inside the mutation, before the invariants' check. */
void jump_client_moved(struct jump_engine *e, struct jump_session *s, enum jump_mode from, enum jump_reason reason)
{
    struct jump_client_part *c = &s->u.client;
    enum jump_mode to = (enum jump_mode)s->mode;
    switch (to) {
    case JUMP_MODE_RECOVERING_UNBOUND:
        if (from == JUMP_MODE_RECOVERING_BOUND) { /* T23: the same attempt, no longer by choice */
            c->voluntary = false;
            c->recovery_due = e->now + JUMP_MS(s->policy.recovery_window_ms);
            if (c->switch_began_at + JUMP_MS(s->policy.recovery_window_ms) < c->recovery_due)
                c->recovery_due = c->switch_began_at + JUMP_MS(s->policy.recovery_window_ms);
            c->recovery_due = jump_later(c->recovery_due, e->now + 1);
            request(e, s);
            break;
        }
        c->recovery_due = e->now + JUMP_MS(s->policy.recovery_window_ms);
        c->retry_at = 0;
        c->next_candidate = 0;
        begin_attempt(e, s, reason, false);
        break;
    case JUMP_MODE_RECOVERING_BOUND: { /* T8 */
        jump_time patience = jump_later(8 * jump_health_rto(&s->health), LEAST_SWITCH_TIMEOUT);
        c->switch_began_at = e->now; /* RECOVERING ends at its deadline, bound or not (I5): else T23 would have no time left */
        c->switch_due = e->now + jump_earlier(patience, JUMP_MS(s->policy.recovery_window_ms));
        begin_attempt(e, s, reason, true);
        break;
    }
    case JUMP_MODE_DEGRADED_UNBOUND:
        c->backoff_for = c->backoff_for == 0 ? LEAST_BACKOFF : jump_earlier(2 * c->backoff_for, MOST_BACKOFF);
        c->retry_at = jump_later(c->retry_at, e->now + c->backoff_for);
        break;
    case JUMP_MODE_VOLATILE:
        if (from == JUMP_MODE_ATTACHED) /* what was measured long ago says nothing now */
            jump_prober_forget_candidates(e, s);
        c->candidate_probe_at = e->now;
        break;
    case JUMP_MODE_DEGRADED_BOUND:
        c->candidate_probe_at = e->now;
        break;
    case JUMP_MODE_ATTACHED:
        c->backoff_for = 0;
        c->denied_said = false;
        c->switch_retry_at = 0;
        c->retry_at = 0;
        break;
    default:
        break;
    }
}

/* --- BIRTH -------------------------------------------------------------------------------------------------- */

static void send_birth(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    const struct jump_policy *own = &e->config.policy;
    struct jump_body body = {
        .version_least = JUMP_WIRE_VERSION,
        .version_most = JUMP_WIRE_VERSION,
        .want_lifetime_ms = own->max_lifetime_ms,
        .want_ttl_ms = own->transport_lost_ttl_ms,
        .want_window_ms = own->recovery_window_ms,
    };
    c->birth_sent_at = e->now;
    c->backoff_for = c->backoff_for == 0 ? BIRTH_BACKOFF : jump_earlier(2 * c->backoff_for, MOST_BACKOFF);
    c->send_at = e->now + c->backoff_for;
    jump_engine_send(e, s, JUMP_MSG_BIRTH, &body, JUMP_BIRTH_BYTES, &s->birth_path, 0);
}

int jump_client_open(struct jump_engine *e, const struct jump_input *in)
{
    struct jump_id id;
    jump_keys_session_id(&id, e->config.host_kind, in->secret);
    if (jump_table_by_id(&e->table, &id) || jump_table_by_host(&e->table, in->host))
        return JUMP_ERR_EXISTS;
    struct jump_session *s = jump_table_add(&e->table, &id, in->host, false, e->now);
    if (!s) {
        jump_audit_reason(e, NULL, JUMP_EVENT_SESSION_TERMINATED, JUMP_REASON_SESSION_TABLE_FULL);
        return JUMP_ERR_FULL;
    }
    struct jump_client_part *c = &s->u.client;
    s->policy = e->config.policy;
    s->birth_path = in->path;
    c->send_at = c->unanswered_since = c->recovery_due = JUMP_NEVER;
    c->outstanding_from = 1;
    jump_engine_first_epoch(s, in->secret, e->now);
    struct jump_candidate_part *known = jump_prober_candidate(e, in->path.transport);
    if (!known || memcmp(&known->candidate.path, &in->path, sizeof in->path) != 0) { /* another server, or the first */
        memset(&e->candidates[0], 0, sizeof e->candidates[0]);
        e->candidates[0].candidate.path = in->path;
        jump_health_init(&e->candidates[0].health, e->now);
        e->candidate_count = 1;
    }
    jump_engine_arm(e, s);
    return 0;
}

void jump_client_announced(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    if (s->mode != JUMP_MODE_BIRTH || c->announced)
        return;
    c->announced = true;
    s->born_at = e->now;
    s->birth_due = e->now + JUMP_MS(s->policy.birth_window_ms);
    send_birth(e, s);
}

static int on_birth_offer(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    if (s->mode != JUMP_MODE_BIRTH || m->body.version_least > JUMP_WIRE_VERSION ||
        m->body.version_most < JUMP_WIRE_VERSION)
        return JUMP_ERR_REFUSED;
    jump_client_announced(e, s);
    return 0;
}

static int on_birth_ack(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    if (s->mode != JUMP_MODE_BIRTH || !c->announced || m->body.version_chosen != JUMP_WIRE_VERSION ||
        m->body.state_version != 1 || m->body.generation != 1 || jump_policy_valid(&m->body.policy) != 0)
        return JUMP_ERR_REFUSED;
    s->policy = m->body.policy;
    memcpy(c->reset_key, m->body.reset_key, sizeof c->reset_key);
    c->boot = m->body.boot;
    c->server_version = m->body.state_version;
    memcpy(c->observed_ip, m->body.observed_ip, sizeof c->observed_ip);
    c->observed_port = m->body.observed_port;
    if (c->backoff_for <= BIRTH_BACKOFF) /* of one copy only is it known which one was answered */
        jump_health_rtt(&s->health, jump_later(e->now - c->birth_sent_at, 1));
    c->send_at = JUMP_NEVER;
    c->backoff_for = 0;
    s->birth_due = JUMP_NEVER;
    s->last_activity_at = e->now;
    jump_engine_bind(e, s, &s->birth_path, 1, JUMP_EV_ATTACH_OK, JUMP_REASON_ATTACHED_TO_TRANSPORT, false);
    if (jump_session_live(s))
        jump_prober_begin(e, s);
    return 0;
}

/* --- what the server says ----------------------------------------------------------------------------------- */

/* A candidate's probe came back: it is measured. */
static int on_candidate_ack(struct jump_engine *e, const struct jump_message *m)
{
    struct jump_candidate_part *p = jump_prober_candidate(e, (uint8_t)(m->body.seq >> 48 & 0xff));
    jump_time sent_at;
    if (!p || !jump_health_answer(&p->health, &sent_at, m->body.seq & 0xffffffffffffu, e->now))
        return JUMP_ERR_REFUSED;
    p->known = p->known || jump_health_count(&p->health) >= LEAST_CANDIDATE_PROBES;
    if (p->stable_since == JUMP_NEVER || p->stable_since == 0)
        p->stable_since = e->now;
    return 0;
}

static int on_probe_ack(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    jump_time sent_at;
    if (m->body.seq & JUMP_FULL_SEQ) {
        if (c->full_seq != m->body.seq)
            return JUMP_ERR_REFUSED;
        c->full_seq = 0;
    } else if (m->body.seq & JUMP_CANDIDATE_SEQ) {
        int result = on_candidate_ack(e, m);
        if (result != 0)
            return result;
    } else {
        if (!jump_health_answer(&s->health, &sent_at, m->body.seq, e->now))
            return JUMP_ERR_REFUSED;
        c->received++;
        if (jump_session_bound(s) && sent_at + JUMP_MS(1) > c->last_accept_at) { /* it says something about this binding */
            c->drops = 0;
            c->last_answer_at = e->now;
            if (m->body.seq >= c->unbound_seq)
                c->unbound_seq = 0; /* the real path got its answer; the other was a racer's copy */
            if (m->body.seq == c->newest_seq) {
                c->unanswered_since = JUMP_NEVER;
                c->overdue_at = JUMP_NEVER;
            } else {
                c->overdue_at = e->now + jump_health_rto(&s->health);
                c->unanswered_since = c->unanswered_since == JUMP_NEVER ? JUMP_NEVER : e->now;
            }
        }
    }
    if (m->body.state != JUMP_BIRTH)
        c->confirmed = true;
    if (m->body.state_version > c->server_version)
        c->server_version = m->body.state_version;
    return 0;
}

/* Somebody else's copy of our probe may have made the server say this: the probe's own answer has one RTO to come. */
static int on_path_unbound(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    if (!jump_session_bound(s) || !jump_health_waiting(&s->health, m->body.seq))
        return JUMP_ERR_REFUSED;
    if (jump_health_passed(&s->health, m->body.seq))
        return JUMP_ERR_REFUSED; /* a lost probe that somebody kept, and shows the server when it pleases him (A41) */
    jump_time sent_at = jump_health_sent_at(&s->health, m->body.seq, e->now);
    if (sent_at + JUMP_MS(1) <= c->last_accept_at)
        return JUMP_ERR_REFUSED; /* sent on an earlier binding */
    if (c->unbound_seq == 0) {
        c->unbound_seq = m->body.seq;
        c->unbound_due = jump_later(sent_at + jump_health_rto(&s->health), e->now);
    }
    if (m->body.state_version > c->server_version)
        c->server_version = m->body.state_version;
    return 0;
}

static bool recovering(const struct jump_session *s)
{
    return s->mode == JUMP_MODE_RECOVERING_BOUND || s->mode == JUMP_MODE_RECOVERING_UNBOUND;
}

static int on_challenge(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    struct jump_candidate_part *p = jump_prober_candidate(e, m->from.transport);
    if (!recovering(s) || m->body.attempt != s->attempt || !p ||
        (c->refused & place(e, p)))
        return JUMP_ERR_REFUSED;
    if (c->proof_sent_at != JUMP_NEVER && c->proof_candidate != m->from.transport &&
        e->now - c->proof_sent_at < jump_health_rto(&s->health))
        return JUMP_ERR_REFUSED; /* one proof is on its way; a second one elsewhere would switch twice */
    if (c->proof_sent_at == JUMP_NEVER && c->requests == 1)
        jump_health_rtt(&s->health, jump_later(e->now - c->request_sent_at, 1));
    if (m->body.state_version > c->server_version)
        c->server_version = m->body.state_version;
    struct jump_body body = {
        .attempt = s->attempt,
        .generation = s->generation,
        .why = c->why,
        .voluntary = c->voluntary,
        .transport = p->candidate.path.transport,
        .protocol = p->candidate.path.proto,
        .nat_seen = memcmp(m->body.observed_ip, c->observed_ip, sizeof c->observed_ip) != 0 ||
                    m->body.observed_port != c->observed_port,
    };
    memcpy(body.challenge, m->body.challenge, sizeof body.challenge);
    c->proof_sent_at = e->now;
    c->proof_candidate = m->from.transport;
    c->proved |= place(e, p);
    c->send_at = e->now + request_interval(e, s);
    jump_engine_send(e, s, JUMP_MSG_REATTACH_PROOF, &body, JUMP_PROOF_BYTES, &p->candidate.path, m->key);
    return 0;
}

static int on_accept(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    struct jump_candidate_part *p = jump_prober_candidate(e, m->from.transport);
    if (!recovering(s) || m->body.attempt != s->attempt || c->proof_sent_at == JUMP_NEVER || !p ||
        !(c->proved & place(e, p)) /* relayed to another uplink */ ||
        m->body.generation < s->generation)
        return JUMP_ERR_REFUSED;
    bool voluntary = c->voluntary;
    c->server_version = m->body.state_version;
    c->cookie_until = 0;
    c->send_at = JUMP_NEVER;
    c->recovery_due = JUMP_NEVER;
    memcpy(c->observed_ip, m->body.observed_ip, sizeof c->observed_ip);
    c->observed_port = m->body.observed_port;
    struct jump_event *event = jump_audit_reason(e, s, JUMP_EVENT_REATTACH_RESULT, JUMP_REASON_REATTACH_SUCCESS);
    event->fields |= JUMP_FIELD_ATTEMPT | JUMP_FIELD_VOLUNTARY;
    event->attempt = s->attempt;
    event->voluntary = voluntary;
    struct jump_path path = p->candidate.path;
    jump_engine_bind(e, s, &path, m->body.generation, JUMP_EV_REATTACH_VALID, JUMP_REASON_REATTACH_SUCCESS, voluntary);
    if (jump_session_live(s))
        jump_prober_begin(e, s);
    return 0;
}

static bool other_candidate_left(struct jump_engine *e, struct jump_session *s, uint8_t refused)
{
    struct jump_candidate_part *p = jump_prober_candidate(e, refused);
    if (p)
        s->u.client.refused |= place(e, p);
    return has_candidate(e, s);
}

static int on_deny(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    enum jump_reason reason = (enum jump_reason)m->body.reason;
    if (!recovering(s) || m->body.attempt != s->attempt)
        return JUMP_ERR_REFUSED;
    const struct jump_row *row = jump_fsm_row((enum jump_mode)s->mode, JUMP_EV_REATTACH_DENIED, JUMP_CLIENT);
    if (!jump_fsm_reason_fits(row, reason))
        return JUMP_ERR_REFUSED;
    bool news = c->server_version != m->body.state_version;
    c->server_version = m->body.state_version;
    if (reason == JUMP_REASON_STALE_STATE_VERSION) { /* not a denial: the current values, and at once again */
        if (news)
            request(e, s); /* else the usual interval: a server that was rolled back must not make us spin */
        return 0;
    }
    struct jump_event *event = jump_audit_reason(e, s, JUMP_EVENT_REATTACH_RESULT, reason);
    event->fields |= JUMP_FIELD_ATTEMPT | JUMP_FIELD_RETRY;
    event->attempt = s->attempt;
    event->retry_after_ms = m->body.retry_after_ms;
    /* A refusal of one way may leave another: the path that the server still has needs no switch. */
    bool one_way = reason == JUMP_REASON_INVALID_TRANSPORT_CANDIDATE ||
                   (reason == JUMP_REASON_SWITCH_RATE_LIMITED && s->mode == JUMP_MODE_RECOVERING_UNBOUND);
    if (one_way && other_candidate_left(e, s, m->from.transport)) {
        request(e, s);
        return 0;
    }
    c->retry_at = c->switch_retry_at = e->now + JUMP_MS(m->body.retry_after_ms);
    c->send_at = c->recovery_due = JUMP_NEVER;
    jump_engine_move(e, s, JUMP_EV_REATTACH_DENIED, reason);
    return 0;
}

static int on_terminate(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_body body = { .reason = m->body.reason, .state_version = m->body.state_version };
    jump_engine_send(e, s, JUMP_MSG_TERMINATE_ACK, &body, jump_wire_length(JUMP_MSG_TERMINATE_ACK), &m->from, m->key);
    e->peer_reason = m->body.reason;
    jump_engine_end(e, s, JUMP_EV_TERMINATE, JUMP_REASON_PEER_TERMINATED);
    return 0;
}

/* --- unauthenticated advice --------------------------------------------------------------------------------- */

static bool outstanding(const struct jump_engine *e, const struct jump_session *s, const struct jump_message *m)
{
    return memcmp(m->header.process, e->process, sizeof e->process) == 0 &&
           m->header.counter >= s->u.client.outstanding_from && m->header.counter <= s->send_counter;
}

/* Under load the server wants to see that we own our address. Taken once for a request. */
static int on_cookie(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    if (!outstanding(e, s, m) || m->header.counter <= c->cookie_counter)
        return JUMP_ERR_REFUSED;
    c->cookie_counter = m->header.counter;
    memcpy(c->cookie, m->header.cookie, sizeof c->cookie);
    c->cookie_until = e->now + COOKIE_FOR;
    c->cookie_transport = m->from.transport;
    if (e->now < c->cookie_acted_at + LEAST_REQUEST_INTERVAL)
        return 0; /* it can be forged: no faster than we would repeat anyway */
    c->cookie_acted_at = e->now;
    const struct jump_candidate_part *p = jump_prober_candidate(e, m->from.transport);
    if (recovering(s) && p) {
        c->next_candidate = (uint8_t)(p - e->candidates);
        request(e, s);
    } else if (jump_session_bound(s) && m->header.counter == s->send_counter)
        jump_prober_probe(e, s);
    return 0;
}

/* The server has restarted and does not know us: at once a new BIRTH, instead of waiting a window out. */
static int on_reset(struct jump_engine *e, struct jump_session *s, const struct jump_message *m)
{
    struct jump_client_part *c = &s->u.client;
    const uint8_t *body = m->bytes + JUMP_HEADER_BYTES;
    uint8_t mac[JUMP_RESET_MAC_BYTES];
    uint64_t boot = 0;
    if (s->mode == JUMP_MODE_BIRTH || !outstanding(e, s, m))
        return JUMP_ERR_REFUSED;
    for (int i = 0; i < 8; i++)
        boot = boot << 8 | body[i];
    jump_seal_reset(mac, c->reset_key, boot, m->bytes + JUMP_AT_NONCE);
    bool genuine = jump_keys_equal(mac, body + 8, sizeof mac);
    jump_keys_wipe(mac, sizeof mac);
    if (!genuine || boot <= c->boot)
        return JUMP_ERR_REFUSED;
    e->stats.resets++;
    jump_engine_end(e, s, JUMP_EV_TERMINATE, JUMP_REASON_UNKNOWN_SESSION);
    return 0;
}

/* --- the client's order of checks --------------------------------------------------------------------------- */

static int on_sealed(struct jump_engine *e, struct jump_session *s, struct jump_message *m)
{
    switch (m->header.type) {
    case JUMP_MSG_BIRTH_OFFER:
        return on_birth_offer(e, s, m);
    case JUMP_MSG_BIRTH_ACK:
        return on_birth_ack(e, s, m);
    case JUMP_MSG_PROBE_ACK:
        return on_probe_ack(e, s, m);
    case JUMP_MSG_PATH_UNBOUND:
        return on_path_unbound(e, s, m);
    case JUMP_MSG_REATTACH_CHALLENGE:
        return on_challenge(e, s, m);
    case JUMP_MSG_REATTACH_ACCEPT:
        return on_accept(e, s, m);
    case JUMP_MSG_REATTACH_DENY:
        return on_deny(e, s, m);
    case JUMP_MSG_TERMINATE:
        return on_terminate(e, s, m);
    default:
        return JUMP_ERR_REFUSED; /* TERMINATE_ACK: our session is gone by then */
    }
}

int jump_client_datagram(struct jump_engine *e, struct jump_message *m)
{
    struct jump_session *s = jump_table_by_id(&e->table, &m->header.session_id);
    int result;
    if (!s || !jump_session_live(s)) {
        e->stats.unknown_session++;
        return JUMP_ERR_REFUSED;
    }
    if (m->header.type == JUMP_MSG_COOKIE || m->header.type == JUMP_MSG_RESET) {
        result = m->header.type == JUMP_MSG_COOKIE ? on_cookie(e, s, m) : on_reset(e, s, m);
        if (result != 0)
            e->stats.denied++;
    } else {
        result = jump_engine_open(e, s, m);
        if (result != 0) {
            e->stats.bad_proof++;
            jump_audit_security(e, s, JUMP_EVENT_VALIDATION_FAILED, JUMP_REASON_BAD_PROOF, &m->from);
            return result;
        }
        if (!jump_replay_fresh(&s->replay, m->header.counter)) {
            e->stats.replayed++;
            jump_audit_security(e, s, JUMP_EVENT_REPLAY_DETECTED, JUMP_REASON_REPLAY_DETECTED, &m->from);
            return JUMP_ERR_REFUSED;
        }
        uint64_t counter = m->header.counter;
        uint64_t sent_before = s->send_counter;
        result = on_sealed(e, s, m);
        if (result == 0 && jump_session_live(s)) {
            jump_replay_commit(&s->replay, counter);
            s->u.client.outstanding_from = sent_before + 1;
            jump_engine_keys_seen(e, s, m);
        }
    }
    if (jump_session_live(s)) {
        if (result == 0)
            jump_prober_judge(e, s);
        if (result == 0 && jump_session_live(s))
            jump_prober_consider_switch(e, s);
        if (jump_session_live(s))
            jump_engine_arm(e, s);
    }
    return result;
}

/* --- what the host says ------------------------------------------------------------------------------------- */

void jump_client_activity(struct jump_engine *e, struct jump_session *s, const struct jump_input *in)
{
    struct jump_client_part *c = &s->u.client;
    bool was_idle = e->now - s->last_activity_at >= JUMP_IDLE;
    s->last_activity_at = e->now;
    if (!was_idle || !jump_session_bound(s))
        return;
    if (in->sent)
        jump_prober_probe(e, s); /* the first data after idleness: does the path still live? */
    else
        c->probe_at = jump_earlier(c->probe_at, e->now + JUMP_MS(s->policy.heartbeat_interval_ms));
}

void jump_client_advice(struct jump_engine *e, struct jump_session *s)
{
    /* ICMP can be forged: a probe now, and its RTO decides. Not while one is out already. */
    if (jump_session_bound(s) && s->u.client.overdue_at == JUMP_NEVER)
        jump_prober_probe(e, s);
}

void jump_client_epoch(struct jump_engine *e, struct jump_session *s)
{
    if (jump_session_bound(s))
        jump_prober_probe(e, s); /* tells the server which keys we hold */
}

static bool is_lost(const struct jump_input *in, uint8_t transport)
{
    for (size_t i = 0; i < JUMP_MAX_CANDIDATES && in->lost[i] != 0; i++)
        if (in->lost[i] == transport)
            return true;
    return false;
}

#define NO_PLACE 0xff

/* The list replaces the former; what was measured of a path that stays is kept. `were`: where each one stood. */
static void take_candidates(struct jump_engine *e, uint8_t were[JUMP_MAX_CANDIDATES], const struct jump_input *in)
{
    struct jump_candidate_part next[JUMP_MAX_CANDIDATES];
    uint8_t count = 0;
    memset(were, NO_PLACE, JUMP_MAX_CANDIDATES);
    for (size_t i = 0; i < in->candidates_len && count < e->config.policy.max_candidates; i++) {
        const struct jump_path *path = &in->candidates[i].path;
        if (is_lost(in, path->transport))
            continue;
        struct jump_candidate_part *old = jump_prober_candidate(e, path->transport);
        if (old && memcmp(&old->candidate.path, path, sizeof *path) == 0) {
            were[count] = (uint8_t)(old - e->candidates);
            next[count] = *old;
        } else {
            memset(&next[count], 0, sizeof next[count]);
            jump_health_init(&next[count].health, e->now);
            next[count].stable_since = JUMP_NEVER;
        }
        next[count++].candidate = in->candidates[i];
    }
    /* cppcheck-suppress uninitvar; the first `count` of them, each written above */
    memcpy(e->candidates, next, count * sizeof next[0]);
    e->candidate_count = count;
}

static uint8_t replaced(uint8_t mask, const uint8_t were[JUMP_MAX_CANDIDATES], uint8_t count)
{
    uint8_t next = 0;
    for (uint8_t i = 0; i < count; i++)
        if (were[i] != NO_PLACE && (mask >> were[i] & 1))
            next |= (uint8_t)(1u << i);
    return next;
}

/* Each session hears of it in its own turn, when the queue has room for what it will ask for. */
void jump_client_candidates(struct jump_engine *e, const struct jump_input *in)
{
    uint8_t were[JUMP_MAX_CANDIDATES];
    take_candidates(e, were, in);
    for (uint32_t slot = 0; slot < e->table.capacity; slot++) {
        struct jump_session *s = jump_table_slot(&e->table, slot);
        if (!s || !jump_session_live(s))
            continue;
        s->u.client.refused = replaced(s->u.client.refused, were, e->candidate_count);
        s->u.client.proved = replaced(s->u.client.proved, were, e->candidate_count);
        s->u.client.news = true;
        jump_timer_set(&e->timer, slot, e->now);
    }
}

/* The host reported a local change: recovery starts or retries at once. */
static void local_change(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    if (s->mode == JUMP_MODE_DEGRADED_UNBOUND) {
        if (e->candidate_count > 0)
            jump_engine_move(e, s, JUMP_EV_RETRY_DUE, JUMP_REASON_RECOVERY_RETRY);
    } else if (s->mode == JUMP_MODE_RECOVERING_UNBOUND) {
        c->next_candidate = 0;
        request(e, s);
    } else if (jump_session_bound(s)) {
        const struct jump_candidate_part *own = jump_prober_candidate(e, s->binding.transport);
        if (!own || memcmp(&own->candidate.path, &s->binding, sizeof s->binding) != 0)
            jump_prober_dead(e, s); /* the system already knows: no timer is waited for */
        else
            jump_client_advice(e, s);
    }
}

/* --- time --------------------------------------------------------------------------------------------------- */

jump_time jump_client_deadline(const struct jump_engine *e, const struct jump_session *s)
{
    const struct jump_client_part *c = &s->u.client;
    jump_time at = JUMP_NEVER;
    if (c->news)
        return e->now;
    if (s->mode == JUMP_MODE_BIRTH)
        return jump_earlier(s->birth_due, c->send_at);
    if (recovering(s))
        at = jump_earlier(at, c->send_at);
    if (s->mode == JUMP_MODE_RECOVERING_UNBOUND)
        at = jump_earlier(at, c->recovery_due);
    if (s->mode == JUMP_MODE_RECOVERING_BOUND)
        at = jump_earlier(at, c->switch_due);
    if (s->mode == JUMP_MODE_DEGRADED_UNBOUND)
        at = jump_earlier(at, c->retry_at);
    if (!jump_session_bound(s))
        return at;
    at = jump_earlier(at, jump_earlier(c->probe_at, jump_silence_over(e, c->overdue_at)));
    if (c->unbound_seq != 0)
        at = jump_earlier(at, jump_silence_over(e, c->unbound_due));
    if (c->full_seq != 0)
        at = jump_earlier(at, c->full_due);
    if (s->mode == JUMP_MODE_VOLATILE)
        at = jump_earlier(at, s->moved_at + JUMP_MS(s->policy.volatile_to_degraded_ms));
    if (s->mode == JUMP_MODE_ATTACHED && c->unanswered_since != JUMP_NEVER)
        at = jump_earlier(at, jump_silence_over(e, c->unanswered_since + JUMP_MS(s->policy.heartbeat_volatile_ms)));
    if (jump_prober_has_choice(e, s))
        at = jump_earlier(at, c->candidate_probe_at);
    return at;
}

/* In the order of model.md 3. Each may end or move the session; then the rest waits for its next turn. */
void jump_client_due(struct jump_engine *e, struct jump_session *s)
{
    struct jump_client_part *c = &s->u.client;
    uint64_t version = s->version;
    if (c->news) {
        c->news = false;
        local_change(e, s);
        if (!jump_session_live(s) || s->version != version)
            return;
    }
    if (s->mode == JUMP_MODE_BIRTH) {
        if (e->now >= c->send_at)
            send_birth(e, s);
        return;
    }
    if (jump_session_bound(s) && c->unbound_seq != 0 && e->now >= jump_silence_over(e, c->unbound_due))
        jump_prober_dead(e, s);
    else if (jump_session_bound(s) && e->now >= jump_silence_over(e, c->overdue_at))
        jump_prober_overdue(e, s);
    if (!jump_session_live(s) || s->version != version)
        return;
    if (s->mode == JUMP_MODE_RECOVERING_BOUND && e->now >= c->switch_due) {
        c->send_at = JUMP_NEVER;
        c->switch_retry_at = e->now + JUMP_MS(s->policy.switch_cooldown_ms);
        jump_engine_move(e, s, JUMP_EV_SWITCH_TIMEOUT, JUMP_REASON_RECOVERY_WINDOW_EXCEEDED);
    } else if (s->mode == JUMP_MODE_VOLATILE &&
               e->now >= s->moved_at + JUMP_MS(s->policy.volatile_to_degraded_ms)) {
        jump_engine_move(e, s, JUMP_EV_VOLATILE_TIMEOUT, JUMP_REASON_VOLATILE_PERSISTED);
    } else if (s->mode == JUMP_MODE_DEGRADED_UNBOUND && e->now >= c->retry_at) {
        jump_engine_move(e, s, JUMP_EV_RETRY_DUE, JUMP_REASON_RECOVERY_RETRY);
    }
    if (!jump_session_live(s) || s->version != version)
        return;
    if (recovering(s) && e->now >= c->send_at) {
        if (has_candidate(e, s))
            request(e, s);
        else
            jump_engine_move(e, s, JUMP_EV_REATTACH_DENIED, JUMP_REASON_NO_CANDIDATE_TRANSPORTS);
    }
    if (!jump_session_live(s) || s->version != version)
        return;
    if (jump_session_bound(s)) {
        if (e->now >= c->probe_at)
            jump_prober_probe(e, s);
        if (c->full_seq != 0 && e->now >= c->full_due)
            jump_prober_full_size_lost(e, s);
        if (jump_prober_has_choice(e, s) && e->now >= c->candidate_probe_at)
            jump_prober_candidates(e, s);
        jump_prober_judge(e, s);
        if (jump_session_live(s))
            jump_prober_consider_switch(e, s);
    }
}
