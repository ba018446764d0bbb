/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Target sealed: messages as they can be made by who holds a session's keys, a hostile client or server: the plaintext is
 * the input's, the harness seals it. Behind them stand two real engines in one of a dozen situations (stage.h).
 *
 * What an attacker gains here: a client that has authenticated itself is still not trusted. Past the AEAD it could take
 * another session's path, wrap a counter, send bytes to a victim, or stop the gateway of everybody else.
 *
 * Asserted after each message: one that is refused, or whose tag was broken, left every session byte for byte as it was;
 * one that is taken is refused when it comes again, where it is not idempotent, and a PROOF or REQUEST below the last proof is not
 * taken at all; only a PROOF moves a binding, and only to where a challenge went; a session's id never changes; another client's session keeps its binding
 * unless a proof was made from its very address; generations, versions and nonces only rise, at both ends; a RESET is believed for
 * its MAC and a newer boot alone; no policy out of range is taken; nothing that the server says to an address is longer than what
 * came from there (A14); the invariants hold in both engines.
 *
 * Input: one byte for the situation, then messages: what (bits 0-3 type, 4-5 source, 6 full size, or of a COOKIE and RESET: it
 * answers the client's last message, and the RESET is genuine, 7 towards the client), how (bits 0-2 counter, 3 the other key, 4 tag
 * broken, 5 a header byte changed, 6 the clock goes on, 7 with a cookie that is good there), a place, a count and as many bytes
 * that are XORed there onto a body that fits. So none is the message that is wanted, and each byte a deviation.
 */
#include <sodium.h>
#include <string.h>

#include "fuzz.h"
#include "stage.h"

#define MESSAGES 8
#define SHOTS (2 * STAGE_CLIENTS)
#define MESSAGE_LEAST 4u /* what, how, place, count */

static struct {
    size_t question_len, said_to_unproved;
    struct jump_path from, bound[STAGE_CLIENTS];
    bool asked;
} answer;

/* What the server says while one datagram is in its hands. */
static void weigh(struct world *w, bool server, unsigned client, const struct jump_action *action)
{
    (void)w, (void)client;
    if (!server || !answer.asked || action->kind != JUMP_DO_SEND)
        return;
    FUZZ_MUST(action->bytes_len <= answer.question_len);
    for (unsigned n = 0; n < STAGE_CLIENTS; n++)
        if (memcmp(&action->path, &answer.bound[n], sizeof action->path) == 0)
            return;
    answer.said_to_unproved += action->bytes_len;
    FUZZ_MUST(answer.said_to_unproved <= answer.question_len);
    FUZZ_MUST(memcmp(&action->path, &answer.from, sizeof action->path) == 0);
}

static void shoot(struct peek_shot shots[SHOTS], struct world *w)
{
    for (unsigned i = 0; i < SHOTS; i++)
        peek_shoot(&shots[i], w, i & 1, i / 2);
}

static void same(const struct peek_shot before[SHOTS], const struct peek_shot after[SHOTS])
{
    for (unsigned i = 0; i < SHOTS; i++)
        if (memcmp(&before[i], &after[i], sizeof before[i]) != 0) /* then it says where */
            FUZZ_MUST(peek_same_shot(&before[i], &after[i]));
}

static void policies_are_valid(struct world *w)
{
    for (unsigned n = 0; n < STAGE_CLIENTS; n++) {
        const struct jump_session *server = peek_server(w, n), *client = peek_client(w, n);
        FUZZ_MUST(server == NULL || jump_policy_valid(&server->policy) == 0);
        FUZZ_MUST(client == NULL || jump_policy_valid(&client->policy) == 0);
    }
}

struct message {
    uint8_t type;
    bool to_client, broken;
    size_t len;
    uint8_t bytes[JUMP_MAX_MESSAGE_BYTES];
    struct jump_path from;
};

static uint64_t counter_of(enum stage_situation situation, struct world *w, struct fuzz_bytes *in, uint8_t how, bool from_server)
{
    const struct jump_session *server = peek_server(w, 0);
    uint64_t base = stage_counter(situation, from_server);
    switch (how & 7) {
    case 0:
    case 1:
        return base + 1 + (uint64_t)fuzz_left(in); /* newer with each message, the same for the same input */
    case 2:
        return base; /* the last one sent: a replay */
    case 3:
        return base > 64 ? base - 64 : 0;
    case 4:
        return base + (UINT64_C(1) << 32);
    case 5:
        return UINT64_MAX;
    case 6:
        return from_server || server == NULL ? 0 : server->u.server.reattach_high; /* that of the last proof */
    default:
        return fuzz_number(in, 8);
    }
}

static struct jump_path source_of(const struct world *w, uint8_t what, const struct fuzz_bytes *in)
{
    switch (what >> 4 & 3) {
    case 0:
        return w->clients[0].uplinks[0];
    case 1:
        return w->clients[1].uplinks[0]; /* where the other client is */
    case 2:
        return world_path(99, 9999);
    default: { /* behind the same NAT: each time another port */
        struct jump_path path = w->clients[0].uplinks[0];
        path.port = (uint16_t)(10000 + fuzz_left(in));
        return path;
    }
    }
}

static uint64_t number_at(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* It answers the client's last message: that one's nonce, and of a RESET a newer boot. */
static void answer_it(struct jump_header *header, uint8_t *plain, enum stage_situation situation, const struct jump_session *client)
{
    memcpy(header->process, stage_process(situation, false), sizeof header->process);
    header->counter = client->send_counter;
    if (header->type == JUMP_MSG_COOKIE)
        memset(header->cookie, 0xc0, sizeof header->cookie);
    for (unsigned i = 0; i < 8 && header->type == JUMP_MSG_RESET; i++)
        plain[i] = (uint8_t)((client->u.client.boot + 1) >> (56 - 8 * i));
}

/* The MAC of the boot that stands there; what deviates in its own place goes on top. */
static void sign_it(uint8_t *plain, const uint8_t *nonce, const struct jump_session *client)
{
    uint8_t mac[JUMP_RESET_MAC_BYTES];
    jump_seal_reset(mac, client->u.client.reset_key, number_at(plain), nonce);
    for (unsigned i = 0; i < sizeof mac; i++)
        plain[8 + i] ^= mac[i];
}

static void compose(struct message *m, enum stage_situation situation, struct world *w, struct fuzz_bytes *in)
{
    uint8_t what = fuzz_u8(in), how = fuzz_u8(in), place = fuzz_u8(in), count = fuzz_u8(in);
    const struct jump_keys *keys;
    unsigned held = stage_keys(situation, &keys), key = how & 8 ? 1 % held : 0;
    uint8_t plain[JUMP_MAX_MESSAGE_BYTES] = { 0 };
    const uint8_t *deviation;
    size_t deviation_len;
    memset(m, 0, sizeof *m);
    m->type = what & 15;
    m->to_client = what & 128;
    m->broken = how & 16;
    m->from = source_of(w, what, in);
    struct jump_header header = { .type = m->type, .epoch = keys[key].fingerprint, .session_id = *stage_id(situation),
                                  .counter = counter_of(situation, w, in, how, m->to_client) };
    memcpy(header.process, stage_process(situation, m->to_client), sizeof header.process);
    (void)stage_template(situation, m->to_client, m->type, plain, sizeof plain);
    const struct jump_session *asker = m->to_client && (what & 64) ? peek_client(w, 0) : NULL;
    if (asker != NULL && (m->type == JUMP_MSG_COOKIE || m->type == JUMP_MSG_RESET))
        answer_it(&header, plain, situation, asker);
    if (!m->to_client && (how & 128))
        jump_seal_cookie(header.cookie, w->server->cookie_key, &m->from, w->now / JUMP_MS(60000));
    deviation = fuzz_take(in, &deviation_len, count);
    for (size_t i = 0; i < deviation_len; i++)
        plain[place + i] ^= deviation[i];
    m->len = m->type == JUMP_MSG_PROBE && (what & 64) ? JUMP_PROBE_FULL_BYTES : jump_wire_length(m->type);
    if (m->len < JUMP_HEADER_BYTES) /* a type that nobody sends: framing as short as can be */
        m->len = JUMP_HEADER_BYTES;
    jump_wire_put_header(m->bytes, &header);
    if (asker != NULL && m->type == JUMP_MSG_RESET)
        sign_it(plain, m->bytes + JUMP_AT_NONCE, asker);
    if (how & 32) {
        uint8_t at = fuzz_u8(in);
        m->bytes[at % JUMP_HEADER_BYTES] ^= fuzz_u8(in);
        m->type = m->bytes[JUMP_AT_VERSION_TYPE] & 15; /* it may be that of another one now */
    }
    if (m->len <= JUMP_HEADER_BYTES + JUMP_TAG_BYTES || m->type == JUMP_MSG_RESET) { /* in the clear: COOKIE, RESET */
        memcpy(m->bytes + JUMP_HEADER_BYTES, plain, m->len - JUMP_HEADER_BYTES);
        return;
    }
    crypto_aead_xchacha20poly1305_ietf_encrypt(m->bytes + JUMP_HEADER_BYTES, NULL, plain,
                                               m->len - JUMP_HEADER_BYTES - JUMP_TAG_BYTES, m->bytes, JUMP_HEADER_BYTES,
                                               NULL, m->bytes + JUMP_AT_NONCE,
                                               m->to_client ? keys[key].s2c : keys[key].c2s);
    if (m->broken)
        m->bytes[m->len - 1] ^= 1;
}

/* Before and after one message: each session at each end, server and client of client 0 first. */
struct books {
    struct peek_record record[SHOTS];
    uint64_t sent[SHOTS];
    uint8_t reset_key[JUMP_RESET_KEY_BYTES];
    uint64_t boot;
};

static void note_books(struct books *books, struct world *w)
{
    for (unsigned i = 0; i < SHOTS; i++) {
        const struct jump_session *s = i & 1 ? peek_server(w, i / 2) : peek_client(w, i / 2);
        peek_note(&books->record[i], w, i & 1, i / 2);
        books->sent[i] = s != NULL ? s->send_counter : 0;
        if (i == 0 && s != NULL) {
            memcpy(books->reset_key, s->u.client.reset_key, sizeof books->reset_key);
            books->boot = s->u.client.boot;
        }
    }
}

static void only_forward(const struct world *w, const struct books *was, const struct books *is, const struct message *m)
{
    for (unsigned i = 0; i < SHOTS; i++) {
        const struct peek_record *a = &was->record[i], *b = &is->record[i];
        if (!a->there || !b->there)
            continue;
        FUZZ_MUST(memcmp(&a->id, &b->id, sizeof b->id) == 0);
        FUZZ_MUST(b->generation >= a->generation && b->version >= a->version && is->sent[i] >= was->sent[i]);
        if (!(i & 1))
            continue;
        if (b->generation != a->generation)
            FUZZ_MUST(i == 1 && (m->type == JUMP_MSG_REATTACH_PROOF || a->mode == JUMP_MODE_BIRTH));
        if (i == 3 && memcmp(&a->binding, &b->binding, sizeof b->binding) != 0)
            FUZZ_MUST(m->type == JUMP_MSG_REATTACH_PROOF && memcmp(&m->from, &a->binding, sizeof m->from) == 0);
        if (i == 1 && b->generation != a->generation) /* every challenge that a proof can have went there */
            FUZZ_MUST(memcmp(&b->binding, &w->clients[0].uplinks[0], sizeof b->binding) == 0 ||
                      memcmp(&b->binding, &w->clients[0].uplinks[1], sizeof b->binding) == 0);
    }
}

/* It was taken: had it to be? */
static void rightly(const struct books *was, const struct books *is, const struct message *m)
{
    const struct peek_record *server = &was->record[1];
    uint64_t counter = number_at(m->bytes + JUMP_AT_NONCE);
    if (m->to_client && m->type == JUMP_MSG_RESET) {
        uint8_t mac[JUMP_RESET_MAC_BYTES];
        uint64_t boot = number_at(m->bytes + JUMP_HEADER_BYTES);
        jump_seal_reset(mac, was->reset_key, boot, m->bytes + JUMP_AT_NONCE);
        FUZZ_MUST(memcmp(mac, m->bytes + JUMP_HEADER_BYTES + 8, sizeof mac) == 0 && boot > was->boot && !is->record[0].there);
    }
    if (!m->to_client && server->there && (m->type == JUMP_MSG_REATTACH_REQUEST || m->type == JUMP_MSG_REATTACH_PROOF))
        FUZZ_MUST(counter > server->high || /* a lost ACCEPT heals */
                  (m->type == JUMP_MSG_REATTACH_PROOF && memcmp(&m->from, &server->binding, sizeof m->from) == 0));
}

static int inject(struct world *w, const struct message *m)
{
    int verdict;
    for (unsigned n = 0; n < STAGE_CLIENTS; n++) {
        const struct jump_session *s = peek_server(w, n);
        memset(&answer.bound[n], 0, sizeof answer.bound[n]);
        if (s != NULL)
            answer.bound[n] = jump_session_bound(s) ? s->binding : s->birth_path;
    }
    answer.question_len = m->len;
    answer.said_to_unproved = 0;
    answer.from = m->from;
    answer.asked = !m->to_client;
    if (m->to_client)
        verdict = world_inject_client(w, 0, 1 + (m->from.port == 9999), m->bytes, m->len);
    else
        verdict = world_inject(w, &m->from, m->bytes, m->len);
    answer.asked = false;
    return verdict;
}

static void deliver(struct world *w, const struct message *m)
{
    static struct peek_shot before[SHOTS], after[SHOTS], again[SHOTS];
    static struct books was, is;
    peek_settle(w);
    shoot(before, w);
    note_books(&was, w);
    int verdict = inject(w, m);
    shoot(after, w);
    note_books(&is, w);
    if (verdict != 0 || (m->broken && m->type != JUMP_MSG_COOKIE && m->type != JUMP_MSG_RESET))
        same(before, after);
    else
        rightly(&was, &is, m);
    only_forward(w, &was, &is, m);
    policies_are_valid(w);
    /* What moves a binding may be said twice, and a tombstone answers as often as it is asked. */
    if (verdict == 0 && (m->to_client || (is.record[1].there && (m->type == JUMP_MSG_BIRTH || m->type == JUMP_MSG_PROBE)))) {
        peek_settle(w);
        shoot(after, w);
        FUZZ_MUST(inject(w, m) != 0);
        shoot(again, w);
        same(after, again);
    }
    FUZZ_NOT_BROKEN(peek_broken(w));
    FUZZ_MUST(world_count(w, true, JUMP_EVENT_STATE_CHANGE, JUMP_REASON_INVARIANT_VIOLATION) == 0);
    FUZZ_MUST(world_count(w, false, JUMP_EVENT_STATE_CHANGE, JUMP_REASON_INVARIANT_VIOLATION) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    for (unsigned situation = 0; situation < STAGE_COUNT; situation++)
        (void)stage_set((enum stage_situation)situation);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message message;
    struct fuzz_bytes in = fuzz_bytes(data, size);
    enum stage_situation situation = (enum stage_situation)(fuzz_u8(&in) % STAGE_COUNT);
    struct world *w = stage_set(situation);
    w->on_action = weigh;
    for (unsigned i = 0; i < MESSAGES && fuzz_left(&in) >= MESSAGE_LEAST; i++) {
        bool later = in.at[1] & 64;
        compose(&message, situation, w, &in);
        if (later)
            world_run(w, JUMP_MS(400));
        deliver(w, &message);
    }
    return 0;
}

/* Structure-aware: whole messages come and go, and one field of one of them takes a value at an end of its range. */

struct span {
    size_t at, len;
};

static size_t spans_of(struct span spans[MESSAGES], const uint8_t *data, size_t size)
{
    size_t count = 0, at = 1;
    while (count < MESSAGES && at + MESSAGE_LEAST <= size) {
        size_t len = MESSAGE_LEAST + data[at + 3] + ((data[at + 1] & 7) == 7 ? 8 : 0) + (data[at + 1] & 32 ? 2 : 0);
        spans[count].at = at;
        spans[count].len = at + len <= size ? len : size - at;
        at += spans[count++].len;
    }
    return count;
}

static size_t append(uint8_t *data, size_t size, size_t max_size, uint64_t random)
{
    size_t len = MESSAGE_LEAST + (random >> 24) % 9;
    if (size + len > max_size)
        return size;
    memset(data + size, 0, len);
    data[size] = (uint8_t)random;
    data[size + 1] = (uint8_t)(random >> 8) & (uint8_t)(random >> 16);
    data[size + 2] = (uint8_t)((random >> 32) % 180);
    data[size + 3] = (uint8_t)(len - MESSAGE_LEAST);
    if (len > MESSAGE_LEAST)
        data[size + MESSAGE_LEAST] = (uint8_t)(random >> 40);
    return size + len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const uint8_t ends[] = { 0, 1, 0x7f, 0x80, 0xff };
    uint64_t random = (seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    struct span spans[MESSAGES];
    size_t count = spans_of(spans, data, size);
    random ^= random >> 29;
    const struct span *one = count > 0 ? &spans[random % count] : NULL;
    switch (random >> 8 & 7) {
    case 0:
        if (size > 0)
            return append(data, size, max_size, random >> 12);
        break;
    case 1: /* without this one */
        if (count > 1) {
            memmove(data + one->at, data + one->at + one->len, size - one->at - one->len);
            return size - one->len;
        }
        break;
    case 2: /* this one twice */
        if (one != NULL && size + one->len <= max_size) {
            memmove(data + one->at + one->len, data + one->at, size - one->at);
            return size + one->len;
        }
        break;
    case 3:
        if (one != NULL && one->len > MESSAGE_LEAST) {
            size_t at = MESSAGE_LEAST + (random >> 12) % (one->len - MESSAGE_LEAST), len = 1u << (random >> 20 & 3);
            for (size_t i = at; i < one->len && i < at + len; i++)
                data[one->at + i] = ends[(random >> 24) % sizeof ends];
            return size;
        }
        break;
    case 4: /* the same message in another situation */
        if (size > 0) {
            data[0] = (uint8_t)((random >> 12) % STAGE_COUNT);
            return size;
        }
        break;
    case 5: /* the same deviation of another field */
        if (one != NULL && one->len > MESSAGE_LEAST) {
            data[one->at + 2] = (uint8_t)((random >> 12) % 180);
            return size;
        }
        break;
    default:
        break;
    }
    return LLVMFuzzerMutate != NULL ? LLVMFuzzerMutate(data, size, max_size) : size;
}
