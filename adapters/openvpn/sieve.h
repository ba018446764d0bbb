/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A flood of forged messages costs a server most where each is read: so while there is one, the system drops most of
 * them before that, by a filter on OpenVPN's own socket (docs/decisions/0016). It takes only what begins with our
 * envelope byte, of two kinds: what names no session that lives here ("strange"), and REATTACH_REQUEST and
 * REATTACH_PROOF that name one and that no keys were behind ("forged"). Of each kind a share still comes through: for
 * those whose session is over or was a former process's, and for those that move. OpenVPN's own packets and all other
 * messages of a session pass, from wherever they come; so does each REQUEST and PROOF from where a client has shown its
 * keys lately.
 *
 * The sieve counts, estimates and writes the filter; it refuses to know sockets but for the two calls that set and
 * take it off. A server's only. Threads: OpenVPN's main thread. Read next: sieve.c, io.c (who calls).
 */
#ifndef JUMP_OVPN_SIEVE_H
#define JUMP_OVPN_SIEVE_H

#include <jumping/engine.h>
#include <linux/filter.h>
#include <stddef.h>
#include <sys/types.h>

#define JUMP_SIEVE_FLOOD 2000u /* messages of no session, a second: a restarted server's clients send fewer for long */
#define JUMP_SIEVE_PASS 1000u  /* of them that are read in a flood; twice what RESET may answer (protocol.md, R-60) */
#define JUMP_SIEVE_PASS_FORGED 2000u /* at 20 000/s one try of 350 ms in ten; reading them costs one core 1 % or 2 */
#define JUMP_SIEVE_OVER_FOR JUMP_MS(30000) /* so long there was less than half a flood: it is over */
#define JUMP_SIEVE_WORDS 256u  /* 8 192 bits: with 300 sessions 4 % of what is forged looks like one of them */
#define JUMP_SIEVE_EXPECTED 64u /* addresses: of those that move at once, which is a round trip or two */
#define JUMP_SIEVE_INSTRUCTIONS (64 + JUMP_SIEVE_EXPECTED + 4 * JUMP_SIEVE_WORDS)

/* Types of messages (protocol.md, 2.2). */
enum jump_sieve_type {
    JUMP_SIEVE_PROBE_ACK = 4,
    JUMP_SIEVE_PATH_UNBOUND = 5,
    JUMP_SIEVE_REQUEST = 6,
    JUMP_SIEVE_CHALLENGE = 7,
    JUMP_SIEVE_PROOF = 8,
    JUMP_SIEVE_ACCEPT = 9,
    JUMP_SIEVE_DENY = 10
};

enum jump_sieve_turn {
    JUMP_SIEVE_AS_IT_WAS,
    JUMP_SIEVE_SET,       /* there is a flood, and the filter is set now */
    JUMP_SIEVE_TAKEN_OFF, /* the flood is over */
    JUMP_SIEVE_REFUSED    /* the system takes no filter: all is read, as without a flood; not tried again */
};

struct jump_sieve {
    uint32_t known[JUMP_SIEVE_WORDS]; /* one bit for each living session, by its id */
    uint32_t came;                    /* in this window: messages */
    struct jump_sieve_kind {
        uint32_t came;     /* in this window; a forged one is any that was not answered under a session's keys */
        uint32_t passes;   /* of 2^32; all bits set: each of them */
        uint32_t estimate; /* a second, dropped ones too; 0: no flood */
    } strange, forged;
    struct jump_sieve_expected {
        uint32_t key; /* address and port, folded; 0: a free place */
        jump_time until;
    } expected[JUMP_SIEVE_EXPECTED];
    uint32_t expected_at, expected_came;
    jump_time window_at, known_at, loud_at, set_at;
    bool watching; /* there is enough to tell them apart */
    bool stale;    /* a session or somebody who is expected came since the filter was written */
    bool refused;
    ino_t socket; /* that the filter is on; 0: none */
    uint64_t floods;
};

/**
 * A message of ours came, or what would be one. @return true: call jump_sieve_turn now
 */
bool jump_sieve_came(struct jump_sieve *sieve, const uint8_t *bytes, size_t bytes_len, const struct jump_path *from,
                     jump_time now);

/** This session lives: something was sent for it. */
void jump_sieve_know(struct jump_sieve *sieve, const struct jump_id *id);

/**
 * A session was answered under its keys: who is there holds them too, and what it sends next is no part of a flood.
 *
 * @param bound the session is bound there: a PROBE from there is no sign of a move; a REQUEST is
 * @return true: call jump_sieve_turn now, before the answer leaves
 */
bool jump_sieve_answers(struct jump_sieve *sieve, uint8_t type, const struct jump_path *to, bool bound, jump_time now);

/** Both kinds, a second; 0: no flood. */
uint32_t jump_sieve_estimate(const struct jump_sieve *sieve);

/** When jump_sieve_turn has something to do though nothing came; JUMP_NEVER. */
jump_time jump_sieve_deadline(const struct jump_sieve *sieve);

/**
 * Look at what came, and set, change or take off the filter.
 *
 * @param fd     OpenVPN's UDP socket
 * @param socket its inode: a descriptor's number may be something else's by now
 */
enum jump_sieve_turn jump_sieve_turn(struct jump_sieve *sieve, const struct jump_engine *engine, int fd, ino_t socket,
                                     jump_time now);

/** Leave nothing behind. */
void jump_sieve_end(struct jump_sieve *sieve, int fd, ino_t socket);

/** The filter as it would be set. @return its instructions */
size_t jump_sieve_write(const struct jump_sieve *sieve, struct sock_filter out[JUMP_SIEVE_INSTRUCTIONS]);

#endif
