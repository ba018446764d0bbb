/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The filter is a classic one: it needs no privilege, has no maps and no way back, so who is known is written into it
 * as constants: a search tree whose leaves are 32 bits of the table each. How many it drops is estimated from what
 * comes through. Read next: sieve.h, docs/decisions/0016-dropped-by-the-system.md.
 */
#include "sieve.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "map.h"

#define WINDOW JUMP_MS(1000)
#define WINDOW_LEAST JUMP_MS(10)       /* no estimate from less */
#define KNOW_AGAIN JUMP_MS(10000)      /* sessions that ended leave the table */
#define WRITE_AGAIN JUMP_MS(100)       /* a crowd that connects does not have one written for each */
#define EXPECT_FOR JUMP_MS(10000)      /* a client's tries and the answers to them */
#define EXPECT_MOST 1000u              /* in one window: somebody sends from their addresses */
#define PASSES_ALL UINT32_MAX
#define PASSES_LEAST (UINT32_C(1) << 20) /* one of 4 096 */

#define UDP_BYTES 8 /* a UDP socket's filter sees the header too */
#define TYPE_AT 1   /* in the datagram: envelope, version and type, flags, epoch, id */
#define ID_AT 5
#define TYPE_MASK 15
#define ADDRESS4_AT 12 /* the source, in the header of IPv4, and of IPv6 */
#define ADDRESS6_AT 8
#define PORT_TWICE 0x10001u
#define WORD_SHIFT 24
#define BIT_SHIFT 19
#define BIT_MASK 31

/* An id comes out of a hash: any of its bits will do. */
static uint32_t first_of(const uint8_t *id)
{
    return (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
}

static uint32_t *word_of(struct jump_sieve *sieve, uint32_t first)
{
    return &sieve->known[first >> WORD_SHIFT];
}

static uint32_t bit_of(uint32_t first)
{
    return UINT32_C(1) << (first >> BIT_SHIFT & BIT_MASK);
}

void jump_sieve_know(struct jump_sieve *sieve, const struct jump_id *id)
{
    uint32_t first = first_of(id->bytes), *word = word_of(sieve, first);

    if (!sieve->watching || (*word & bit_of(first)) != 0)
        return;
    *word |= bit_of(first);
    sieve->stale = true;
}

static void know_all(struct jump_sieve *sieve, const struct jump_engine *engine, jump_time now)
{
    struct jump_session_view view;
    size_t cursor = 0;

    memset(sieve->known, 0, sizeof sieve->known);
    sieve->known_at = now;
    while (jump_engine_walk(engine, &cursor, &view))
        jump_sieve_know(sieve, &view.id);
}

static void begin_window(struct jump_sieve *sieve, jump_time now)
{
    sieve->came = sieve->strange.came = sieve->forged.came = sieve->expected_came = 0;
    sieve->window_at = now;
}

/* One number for address and port, which a filter can make too. Who wants another's number can as well send from there. */
static uint32_t key_of(const struct jump_path *path)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint32_t key = first_of(path->ip + 12);

    if (memcmp(path->ip, mapped, sizeof mapped) != 0)
        key ^= first_of(path->ip) ^ first_of(path->ip + 4) ^ first_of(path->ip + 8);
    return key ^ path->port * PORT_TWICE;
}

static struct jump_sieve_expected *expected(struct jump_sieve *sieve, uint32_t key)
{
    for (size_t i = 0; i < JUMP_SIEVE_EXPECTED; i++)
        if (sieve->expected[i].key == key)
            return &sieve->expected[i];
    return NULL;
}

static void expect_nobody_longer_than(struct jump_sieve *sieve, jump_time now)
{
    for (size_t i = 0; i < JUMP_SIEVE_EXPECTED; i++)
        if (sieve->expected[i].until <= now)
            sieve->expected[i] = (struct jump_sieve_expected){0};
}

/* In one window: the flood grew, do not wait for the window's end. */
static uint32_t grown(const struct jump_sieve *sieve, uint32_t pass)
{
    return sieve->socket != 0 ? 2 * pass : JUMP_SIEVE_FLOOD;
}

static bool has_grown(const struct jump_sieve *sieve)
{
    return sieve->strange.came >= grown(sieve, JUMP_SIEVE_PASS)
           || sieve->forged.came >= grown(sieve, JUMP_SIEVE_PASS_FORGED);
}

static bool is_known(struct jump_sieve *sieve, const uint8_t *bytes, size_t bytes_len)
{
    return bytes[0] == JUMP_MAP_ENVELOPE_BYTE && bytes_len >= ID_AT + 4
           && (*word_of(sieve, first_of(bytes + ID_AT)) & bit_of(first_of(bytes + ID_AT))) != 0;
}

bool jump_sieve_came(struct jump_sieve *sieve, const uint8_t *bytes, size_t bytes_len, const struct jump_path *from,
                     jump_time now)
{
    uint8_t type;

    if (sieve->refused)
        return false;
    sieve->came++;
    if (!sieve->watching) {
        if (sieve->came >= JUMP_SIEVE_FLOOD)
            return true;
        if (now - sieve->window_at >= WINDOW)
            begin_window(sieve, now);
        return false;
    }
    if (!is_known(sieve, bytes, bytes_len)) {
        sieve->strange.came++;
    } else if ((type = bytes[TYPE_AT] & TYPE_MASK) == JUMP_SIEVE_REQUEST || type == JUMP_SIEVE_PROOF) {
        if (expected(sieve, key_of(from)) == NULL) {
            sieve->forged.came++;
        } else if (++sieve->expected_came == EXPECT_MOST) {
            expect_nobody_longer_than(sieve, JUMP_NEVER);
            sieve->stale = true;
            return true;
        }
    }
    return now - sieve->window_at >= WINDOW || has_grown(sieve);
}

bool jump_sieve_answers(struct jump_sieve *sieve, uint8_t type, const struct jump_path *to, bool bound, jump_time now)
{
    uint32_t key = key_of(to);
    struct jump_sieve_expected *place;
    bool is_to_move = type == JUMP_SIEVE_CHALLENGE || type == JUMP_SIEVE_ACCEPT || type == JUMP_SIEVE_DENY;

    if (!sieve->watching || key == 0)
        return false;
    place = expected(sieve, key);
    if (place == NULL && is_to_move && sieve->forged.came > 0)
        sieve->forged.came--; /* a crowd that moves is no flood */
    if (sieve->expected_came >= EXPECT_MOST
        || (type != JUMP_SIEVE_CHALLENGE && type != JUMP_SIEVE_PATH_UNBOUND && (type != JUMP_SIEVE_PROBE_ACK || bound)))
        return false;
    if (place == NULL) {
        place = &sieve->expected[sieve->expected_at];
        sieve->expected_at = (sieve->expected_at + 1) % JUMP_SIEVE_EXPECTED;
        place->key = key;
        sieve->stale = true;
    }
    place->until = now + EXPECT_FOR;
    return sieve->stale && jump_sieve_deadline(sieve) <= now;
}

uint32_t jump_sieve_estimate(const struct jump_sieve *sieve)
{
    return sieve->strange.estimate + sieve->forged.estimate;
}

jump_time jump_sieve_deadline(const struct jump_sieve *sieve)
{
    if (sieve->socket == 0)
        return JUMP_NEVER;
    return sieve->stale && sieve->set_at + WRITE_AGAIN < sieve->window_at + WINDOW ? sieve->set_at + WRITE_AGAIN
                                                                                   : sieve->window_at + WINDOW;
}

/* The filter */

static void put(struct sock_filter **at, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    *(*at)++ = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

static bool is_empty(const uint32_t *words, uint32_t from, uint32_t to)
{
    while (from < to && words[from] == 0)
        from++;
    return from == to;
}

/* What stands in scratch memory. */
#define FIRST_OF_ID 0
#define LUCKY 1 /* what a strange one gets, by chance: all or nothing */

static void put_strange(struct sock_filter **at)
{
    put(at, BPF_LD | BPF_MEM, 0, 0, LUCKY);
    put(at, BPF_RET | BPF_A, 0, 0, 0);
}

/* A is the word's number; a leaf puts the word into A and goes on behind the tree, at `*ends`' places. */
/* NOLINTNEXTLINE(misc-no-recursion): halves at most 32 times */
static void put_tree(struct sock_filter **at, const uint32_t *words, uint32_t from, uint32_t to,
                     struct sock_filter **ends, size_t *ends_len)
{
    uint32_t middle = from + (to - from) / 2;
    struct sock_filter *right;

    if (is_empty(words, from, to)) {
        put_strange(at);
    } else if (to - from == 1) {
        put(at, BPF_LD | BPF_IMM, 0, 0, words[from]);
        ends[(*ends_len)++] = *at;
        put(at, BPF_JMP | BPF_JA, 0, 0, 0);
    } else {
        put(at, BPF_JMP | BPF_JGE | BPF_K, 0, 1, middle);
        right = *at; /* a condition's own jump is 255 far at most */
        put(at, BPF_JMP | BPF_JA, 0, 0, 0);
        put_tree(at, words, from, middle, ends, ends_len);
        right->k = (uint32_t)(*at - right - 1);
        put_tree(at, words, middle, to, ends, ends_len);
    }
}

/* REQUEST and PROOF of a living session: by chance, or from where somebody is expected. */
static void put_forged(struct sock_filter **at, const struct jump_sieve *sieve)
{
    uint8_t left = 0;

    put(at, BPF_LD | BPF_B | BPF_ABS, 0, 0, UDP_BYTES + TYPE_AT);
    put(at, BPF_ALU | BPF_AND | BPF_K, 0, 0, TYPE_MASK);
    put(at, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, JUMP_SIEVE_REQUEST);
    put(at, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, JUMP_SIEVE_PROOF);
    put(at, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
    put(at, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
    put(at, BPF_JMP | BPF_JGT | BPF_K, 1, 0, sieve->forged.passes);
    put(at, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
    put(at, BPF_LD | BPF_B | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF); /* a socket of IPv6 gets both */
    put(at, BPF_ALU | BPF_RSH | BPF_K, 0, 0, 4);
    put(at, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 4);
    put(at, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF + ADDRESS4_AT);
    put(at, BPF_JMP | BPF_JA, 0, 0, 1 + 3 * 3);
    put(at, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF + ADDRESS6_AT);
    for (uint32_t i = 4; i < 16; i += 4) {
        put(at, BPF_MISC | BPF_TAX, 0, 0, 0);
        put(at, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF + ADDRESS6_AT + i);
        put(at, BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0);
    }
    put(at, BPF_MISC | BPF_TAX, 0, 0, 0);
    put(at, BPF_LD | BPF_H | BPF_ABS, 0, 0, 0); /* the source's port */
    put(at, BPF_ALU | BPF_MUL | BPF_K, 0, 0, PORT_TWICE);
    put(at, BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0);
    for (size_t i = 0; i < JUMP_SIEVE_EXPECTED; i++)
        left += sieve->expected[i].key != 0;
    for (size_t i = 0; i < JUMP_SIEVE_EXPECTED; i++)
        if (sieve->expected[i].key != 0)
            put(at, BPF_JMP | BPF_JEQ | BPF_K, left--, 0, sieve->expected[i].key);
    put(at, BPF_RET | BPF_K, 0, 0, 0);
}

size_t jump_sieve_write(const struct jump_sieve *sieve, struct sock_filter out[JUMP_SIEVE_INSTRUCTIONS])
{
    struct sock_filter *at = out, *ends[JUMP_SIEVE_WORDS];
    size_t ends_len = 0;

    /* A load from behind the end is a drop: an empty datagram is OpenVPN's. */
    put(&at, BPF_LD | BPF_W | BPF_LEN, 0, 0, 0);
    put(&at, BPF_JMP | BPF_JGT | BPF_K, 1, 0, UDP_BYTES);
    put(&at, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
    put(&at, BPF_LD | BPF_B | BPF_ABS, 0, 0, UDP_BYTES);
    put(&at, BPF_JMP | BPF_JGE | BPF_K, 1, 0, JUMP_MAP_ENVELOPE_BYTE);
    put(&at, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
    put(&at, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
    put(&at, BPF_JMP | BPF_JGT | BPF_K, 0, 2, sieve->strange.passes);
    put(&at, BPF_LD | BPF_IMM, 0, 0, 0);
    put(&at, BPF_JMP | BPF_JA, 0, 0, 1);
    put(&at, BPF_LD | BPF_IMM, 0, 0, UINT32_MAX);
    put(&at, BPF_ST, 0, 0, LUCKY);
    put(&at, BPF_LD | BPF_B | BPF_ABS, 0, 0, UDP_BYTES);
    put(&at, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, JUMP_MAP_ENVELOPE_BYTE);
    put_strange(&at);
    put(&at, BPF_LD | BPF_W | BPF_LEN, 0, 0, 0);
    put(&at, BPF_JMP | BPF_JGE | BPF_K, 2, 0, UDP_BYTES + ID_AT + 4);
    put_strange(&at);
    put(&at, BPF_LD | BPF_W | BPF_ABS, 0, 0, UDP_BYTES + ID_AT);
    put(&at, BPF_ST, 0, 0, FIRST_OF_ID);
    put(&at, BPF_ALU | BPF_RSH | BPF_K, 0, 0, BIT_SHIFT);
    put(&at, BPF_ALU | BPF_AND | BPF_K, 0, 0, BIT_MASK);
    put(&at, BPF_MISC | BPF_TAX, 0, 0, 0);
    put(&at, BPF_LD | BPF_MEM, 0, 0, FIRST_OF_ID);
    put(&at, BPF_ALU | BPF_RSH | BPF_K, 0, 0, WORD_SHIFT);
    put_tree(&at, sieve->known, 0, JUMP_SIEVE_WORDS, ends, &ends_len);
    for (size_t i = 0; i < ends_len; i++)
        ends[i]->k = (uint32_t)(at - ends[i] - 1);
    if (ends_len > 0) { /* nobody jumps here else, and the system refuses what cannot be reached in no case */
        put(&at, BPF_ALU | BPF_RSH | BPF_X, 0, 0, 0);
        put(&at, BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1);
        put_strange(&at);
        if (sieve->forged.passes != PASSES_ALL)
            put_forged(&at, sieve);
        put(&at, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
    }
    return (size_t)(at - out);
}

/* What is not ours stays: another plugin may have put a filter there. */
static bool has_another(int fd)
{
    socklen_t len = 0;

    /* cppcheck-suppress nullPointer; with a length of 0 only the filter's length is asked for */
    if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) != 0)
        return true;
    errno = EEXIST;
    return len != 0;
}

static bool set(struct jump_sieve *sieve, int fd, ino_t socket, jump_time now)
{
    static struct sock_filter instructions[JUMP_SIEVE_INSTRUCTIONS]; /* too large for the stack of a host's deep call */
    struct sock_fprog program = {.filter = instructions};

    if (sieve->socket != socket && has_another(fd))
        return false;
    program.len = (unsigned short)jump_sieve_write(sieve, instructions);
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        return false;
    sieve->socket = socket;
    sieve->set_at = now;
    sieve->stale = false;
    return true;
}

void jump_sieve_end(struct jump_sieve *sieve, int fd, ino_t socket)
{
    int none = 0;

    if (sieve->socket != 0 && sieve->socket == socket)
        (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
    sieve->socket = 0;
    sieve->strange.passes = sieve->forged.passes = PASSES_ALL;
    sieve->strange.estimate = sieve->forged.estimate = 0;
}

/* Of all of this kind a second, from those that came through. */
static void estimate(const struct jump_sieve *sieve, struct jump_sieve_kind *kind, jump_time now)
{
    uint64_t all = kind->came, ms = (now - sieve->window_at) / JUMP_MS(1);

    if (sieve->socket != 0)
        all = (all << 32) / ((uint64_t)kind->passes + 1);
    all = all * 1000 / ms;
    kind->estimate = all > INT32_MAX ? INT32_MAX : (uint32_t)all;
}

static uint32_t passes_of(uint32_t estimate, uint32_t pass)
{
    uint64_t passes = estimate <= pass ? PASSES_ALL : ((uint64_t)pass << 32) / estimate;

    return passes < PASSES_LEAST ? PASSES_LEAST : (uint32_t)passes;
}

enum jump_sieve_turn jump_sieve_turn(struct jump_sieve *sieve, const struct jump_engine *engine, int fd, ino_t socket,
                                     jump_time now)
{
    bool began = false;

    if (sieve->refused)
        return JUMP_SIEVE_AS_IT_WAS;
    if (sieve->socket != 0 && sieve->socket != socket)
        jump_sieve_end(sieve, -1, 0); /* OpenVPN made another one: the filter went with the old one */
    if (!sieve->watching) {
        sieve->watching = true;
        know_all(sieve, engine, now);
        begin_window(sieve, now);
        return JUMP_SIEVE_AS_IT_WAS;
    }
    if (now - sieve->window_at < WINDOW_LEAST || socket == 0) {
        if (socket == 0)
            begin_window(sieve, now);
        return JUMP_SIEVE_AS_IT_WAS;
    }
    /* Where only a session or somebody who is expected came, it is the same filter with one more. */
    if (sieve->socket == 0 || !sieve->stale || now - sieve->window_at >= WINDOW || has_grown(sieve)) {
        estimate(sieve, &sieve->strange, now);
        estimate(sieve, &sieve->forged, now);
        sieve->watching = sieve->socket != 0 || sieve->came >= JUMP_SIEVE_FLOOD;
        begin_window(sieve, now);
    }
    if (now - sieve->known_at >= KNOW_AGAIN)
        know_all(sieve, engine, now);
    expect_nobody_longer_than(sieve, now);
    if (sieve->strange.estimate >= JUMP_SIEVE_FLOOD / 2 || sieve->forged.estimate >= JUMP_SIEVE_FLOOD / 2)
        sieve->loud_at = now;
    if (sieve->socket == 0) {
        if (sieve->strange.estimate < JUMP_SIEVE_FLOOD && sieve->forged.estimate < JUMP_SIEVE_FLOOD)
            return JUMP_SIEVE_AS_IT_WAS;
        began = true;
        sieve->floods++;
    } else if (now - sieve->loud_at >= JUMP_SIEVE_OVER_FOR) {
        jump_sieve_end(sieve, fd, socket);
        return JUMP_SIEVE_TAKEN_OFF;
    }
    sieve->strange.passes = passes_of(sieve->strange.estimate, JUMP_SIEVE_PASS);
    sieve->forged.passes = passes_of(sieve->forged.estimate, JUMP_SIEVE_PASS_FORGED);
    if (!set(sieve, fd, socket, now)) {
        jump_sieve_end(sieve, fd, socket);
        sieve->refused = true;
        return JUMP_SIEVE_REFUSED;
    }
    return began ? JUMP_SIEVE_SET : JUMP_SIEVE_AS_IT_WAS;
}
