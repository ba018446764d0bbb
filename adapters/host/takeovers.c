/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A short table of users, looked through each time: it is asked when somebody has authenticated and has thrown himself out,
 * which is rare. Read next: takeovers.h.
 */
#include "host/takeovers.h"

#include <sodium.h>
#include <string.h>

static bool is_remembered(const struct jump_takeovers_user *user, jump_time now)
{
    return user->count > 0 && now - user->last_at <= JUMP_TAKEOVERS_FOR;
}

/* Whose place is taken sooner. */
static bool is_lesser(const struct jump_takeovers_user *a, const struct jump_takeovers_user *b, jump_time now)
{
    unsigned a_count = is_remembered(a, now) ? a->count : 0, b_count = is_remembered(b, now) ? b->count : 0;

    return a_count != b_count ? a_count < b_count : a->last_at < b->last_at;
}

unsigned jump_takeovers_count(struct jump_takeovers *takeovers, const void *user, size_t user_len, jump_time now)
{
    struct jump_takeovers_user *place = &takeovers->users[0];
    uint8_t digest[JUMP_TAKEOVERS_USER_BYTES];

    (void)crypto_generichash(digest, sizeof digest, user, user_len, NULL, 0);
    for (size_t i = 0; i < JUMP_TAKEOVERS_USERS; i++) {
        struct jump_takeovers_user *each = &takeovers->users[i];

        if (is_remembered(each, now) && memcmp(each->user, digest, sizeof digest) == 0) {
            each->last_at = now;
            return ++each->count;
        }
        if (is_lesser(each, place, now))
            place = each;
    }
    memcpy(place->user, digest, sizeof digest);
    place->last_at = now;
    place->count = 1;
    return 1;
}

void jump_takeovers_alarm(struct jump_instance *instance, const struct jump_takeover *takeover, jump_time now)
{
    struct jump_event event;

    if (instance->audit == NULL)
        return;
    memset(&event, 0, sizeof event);
    event.at = now;
    event.kind = JUMP_EVENT_CREDENTIALS_SHARED;
    event.fields = JUMP_FIELD_SESSION | JUMP_FIELD_PREVIOUS_TRANSPORT | JUMP_FIELD_NEW_TRANSPORT;
    event.session_id = takeover->session;
    event.state_version = takeover->state_version;
    event.policy_major = instance->policy.version_major;
    event.policy_minor = instance->policy.version_minor;
    if (takeover->ends) {
        event.fields |= JUMP_FIELD_REASON;
        event.reason = JUMP_REASON_HOST_TERMINATED;
    }
    event.previous_transport = takeover->previous;
    event.new_transport = takeover->newest;
    jump_audit_file_write(instance->audit, &event, now);
}
