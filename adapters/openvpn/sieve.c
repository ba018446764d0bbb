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
#define GROWN (2 * JUMP_SIEVE_PASS)    /* in one window: the flood grew, do not wait for the window's end */
#define PASSES_ALL UINT32_MAX
#define PASSES_LEAST (UINT32_C(1) << 20) /* one of 4 096 */

#define UDP_BYTES 8 /* a UDP socket's filter sees the header too */
#define ID_AT 5     /* in the datagram: envelope, version and type, flags, epoch */
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
    sieve->came = sieve->strange = 0;
    sieve->window_at = now;
}

bool jump_sieve_came(struct jump_sieve *sieve, const uint8_t *bytes, size_t bytes_len, jump_time now)
{
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
    if (bytes[0] != JUMP_MAP_ENVELOPE_BYTE || bytes_len < ID_AT + 4
        || (*word_of(sieve, first_of(bytes + ID_AT)) & bit_of(first_of(bytes + ID_AT))) == 0)
        sieve->strange++;
    return now - sieve->window_at >= WINDOW || sieve->strange >= (sieve->socket != 0 ? GROWN : JUMP_SIEVE_FLOOD);
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

/* A is the word's number; a leaf puts the word into A and goes on behind the tree, at `*ends`' places. */
static void put_tree(struct sock_filter **at, const uint32_t *words, uint32_t from, uint32_t to,
                     struct sock_filter **ends, size_t *ends_len)
{
    uint32_t middle = from + (to - from) / 2;
    struct sock_filter *right;

    if (is_empty(words, from, to)) {
        put(at, BPF_RET | BPF_K, 0, 0, 0);
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
    put(&at, BPF_JMP | BPF_JGT | BPF_K, 1, 0, sieve->passes);
    put(&at, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
    put(&at, BPF_LD | BPF_B | BPF_ABS, 0, 0, UDP_BYTES);
    put(&at, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, JUMP_MAP_ENVELOPE_BYTE);
    put(&at, BPF_RET | BPF_K, 0, 0, 0);
    put(&at, BPF_LD | BPF_W | BPF_ABS, 0, 0, UDP_BYTES + ID_AT); /* too short for an id: dropped */
    put(&at, BPF_ST, 0, 0, 0);
    put(&at, BPF_ALU | BPF_RSH | BPF_K, 0, 0, BIT_SHIFT);
    put(&at, BPF_ALU | BPF_AND | BPF_K, 0, 0, BIT_MASK);
    put(&at, BPF_MISC | BPF_TAX, 0, 0, 0);
    put(&at, BPF_LD | BPF_MEM, 0, 0, 0);
    put(&at, BPF_ALU | BPF_RSH | BPF_K, 0, 0, WORD_SHIFT);
    put_tree(&at, sieve->known, 0, JUMP_SIEVE_WORDS, ends, &ends_len);
    for (size_t i = 0; i < ends_len; i++)
        ends[i]->k = (uint32_t)(at - ends[i] - 1);
    if (ends_len > 0) { /* nobody jumps here else, and the system refuses what cannot be reached in no case */
        put(&at, BPF_ALU | BPF_RSH | BPF_X, 0, 0, 0);
        put(&at, BPF_JMP | BPF_JSET | BPF_K, 0, 1, 1);
        put(&at, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
        put(&at, BPF_RET | BPF_K, 0, 0, 0);
    }
    return (size_t)(at - out);
}

/* What is not ours stays: another plugin may have put a filter there. */
static bool has_another(int fd)
{
    socklen_t len = 0;

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
    sieve->passes = PASSES_ALL;
    sieve->estimate = 0;
}

/* Of all strange ones a second, from those that came through. */
static uint32_t estimate(const struct jump_sieve *sieve, jump_time now)
{
    uint64_t all = sieve->strange, ms = (now - sieve->window_at) / JUMP_MS(1);

    if (sieve->socket != 0)
        all = (all << 32) / ((uint64_t)sieve->passes + 1);
    all = all * 1000 / ms;
    return all > UINT32_MAX ? UINT32_MAX : (uint32_t)all;
}

static uint32_t passes_of(uint32_t strange)
{
    uint64_t passes = strange <= JUMP_SIEVE_PASS ? PASSES_ALL : ((uint64_t)JUMP_SIEVE_PASS << 32) / strange;

    return passes < PASSES_LEAST ? PASSES_LEAST : (uint32_t)passes;
}

enum jump_sieve_turn jump_sieve_turn(struct jump_sieve *sieve, const struct jump_engine *engine, int fd, ino_t socket,
                                     jump_time now)
{
    uint32_t strange;
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
    if (sieve->socket != 0 && sieve->stale && now - sieve->window_at < WINDOW && sieve->strange < GROWN) {
        strange = sieve->estimate; /* a session came: the same filter with one more */
    } else {
        strange = estimate(sieve, now);
        sieve->watching = sieve->socket != 0 || sieve->came >= JUMP_SIEVE_FLOOD;
        begin_window(sieve, now);
    }
    if (now - sieve->known_at >= KNOW_AGAIN)
        know_all(sieve, engine, now);
    if (strange >= JUMP_SIEVE_FLOOD / 2)
        sieve->loud_at = now;
    if (sieve->socket == 0) {
        if (strange < JUMP_SIEVE_FLOOD)
            return JUMP_SIEVE_AS_IT_WAS;
        began = true;
        sieve->floods++;
    } else if (now - sieve->loud_at >= JUMP_SIEVE_OVER_FOR) {
        jump_sieve_end(sieve, fd, socket);
        return JUMP_SIEVE_TAKEN_OFF;
    }
    sieve->estimate = strange;
    sieve->passes = passes_of(strange);
    if (!set(sieve, fd, socket, now)) {
        jump_sieve_end(sieve, fd, socket);
        sieve->refused = true;
        return JUMP_SIEVE_REFUSED;
    }
    return began ? JUMP_SIEVE_SET : JUMP_SIEVE_AS_IT_WAS;
}
