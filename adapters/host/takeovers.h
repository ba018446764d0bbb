/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How often somebody came again while his session lived, and the host's own rule let only one of the two go on. Once is a
 * client that crashed; again and again is two that share their credentials: that is an alarm (docs/decisions/0015). Every
 * host counts by the rule that stands here, and writes the same event; who is the same user, and which of the two goes on,
 * is the host's. Memory is fixed. Threads: one at a time.
 */
#ifndef JUMP_HOST_TAKEOVERS_H
#define JUMP_HOST_TAKEOVERS_H

#include "host/instance.h"

#define JUMP_TAKEOVERS_FOR JUMP_MS(300000) /* so long is one remembered: clients that fight wait up to 64 s each */
#define JUMP_TAKEOVERS_ALARM 3u
#define JUMP_TAKEOVERS_USERS 64
#define JUMP_TAKEOVERS_USER_BYTES 16 /* a digest: names have any length, and their ends tell them apart */

struct jump_takeovers_user {
    uint8_t user[JUMP_TAKEOVERS_USER_BYTES];
    jump_time last_at;
    unsigned count; /* 0: a free place */
};

/** Begin with zeros. */
struct jump_takeovers {
    struct jump_takeovers_user users[JUMP_TAKEOVERS_USERS];
};

/**
 * One more of this user, whatever bytes the host knows him by. Where there is no place, who came least often loses his, the
 * oldest first: a crowd that comes again once after an outage does not hide two that fight.
 *
 * @return how many there were, this one too, each within JUMP_TAKEOVERS_FOR of the one before; from JUMP_TAKEOVERS_ALARM on
 *         it is an alarm
 */
unsigned jump_takeovers_count(struct jump_takeovers *takeovers, const void *user, size_t user_len, jump_time now);

/** What the alarm says: SecurityCredentialsShared in docs/audit.md. */
struct jump_takeover {
    struct jump_id session; /* the one that lived */
    uint64_t state_version;
    bool ends;              /* the newest goes on, and that one ends; else it stays, and the newest is refused */
    struct jump_path previous, newest;
};
void jump_takeovers_alarm(struct jump_instance *instance, const struct jump_takeover *takeover, jump_time now);

#endif
