/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who is held, and what leaves when (hold.h). Read next: esp.c, where packets come from and go to; rebind.c, which says that
 * an IKE_SA has followed.
 *
 * Order: of one session what is held leaves as it came, and what comes meanwhile goes behind it. A packet that already waits in
 * libipsec's own queue when the last held one is put there may overtake that one; both get their sequence numbers after
 * it, so that no replay window minds.
 */
#include "strongswan/hold.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <collections/hashtable.h>
#include <collections/linked_list.h>
#include <threading/mutex.h>

#include "strongswan/shortage.h"

#define NO_SLOT UINT32_MAX

struct session {
    jump_host host;
    uint32_t slot;    /* its queue; it has one from its first held packet on */
    uint32_t binding; /* a later one than this lets it go */
    bool held;
    bool behind; /* its IKE_SA has followed: it is in the list of those that are sent on */
    bool quiet;
    uint32_t *reqids;
    size_t reqids_len;
};

struct jump_swan_hold {
    mutex_t *lock;
    hashtable_t *by_host, *by_reqid; /* to struct session * */
    linked_list_t *behind;           /* of jump_host */
    jump_time flush_at;
    atomic_uint watched; /* sessions that are held, and those that are quiet: read without the lock */
    struct jump_hold *packets;
    uint32_t *free_slots, free_slots_len;
};

static void *key_of(jump_host host)
{
    return (void *)(uintptr_t)host;
}

static void *key_of_reqid(uint32_t reqid)
{
    return (void *)(uintptr_t)reqid;
}

static struct session *find(struct jump_swan_hold *hold, jump_host host)
{
    return hold->by_host->get(hold->by_host, key_of(host));
}

struct jump_swan_hold *jump_swan_hold_open(uint32_t sessions)
{
    struct jump_swan_hold *hold = calloc(1, sizeof *hold);

    if (hold == NULL)
        return NULL;
    hold->packets = jump_hold_open(sessions, JUMP_HOLD_PACKETS, JUMP_HOLD_POOL_BYTES);
    hold->free_slots = malloc(sizeof *hold->free_slots * sessions);
    if (hold->packets == NULL || hold->free_slots == NULL) {
        jump_hold_close(hold->packets);
        free(hold->free_slots);
        free(hold);
        return NULL;
    }
    while (sessions-- > 0)
        hold->free_slots[hold->free_slots_len++] = sessions;
    hold->lock = mutex_create(MUTEX_TYPE_DEFAULT);
    hold->by_host = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    hold->by_reqid = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    hold->behind = linked_list_create();
    return hold;
}

void jump_swan_hold_close(struct jump_swan_hold *hold)
{
    enumerator_t *enumerator;
    struct session *session;
    void *key;

    if (hold == NULL)
        return;
    enumerator = hold->by_host->create_enumerator(hold->by_host);
    while (enumerator->enumerate(enumerator, &key, &session)) {
        free(session->reqids);
        free(session);
    }
    enumerator->destroy(enumerator);
    hold->behind->destroy(hold->behind);
    hold->by_reqid->destroy(hold->by_reqid);
    hold->by_host->destroy(hold->by_host);
    hold->lock->destroy(hold->lock);
    jump_hold_close(hold->packets);
    free(hold->free_slots);
    free(hold);
}

bool jump_swan_hold_begin(struct jump_swan_hold *hold, jump_host host)
{
    struct session *session;

    if (hold == NULL)
        return true;
    session = calloc(1, sizeof *session);
    if (session == NULL)
        return false;
    session->host = host;
    session->slot = NO_SLOT;
    hold->lock->lock(hold->lock);
    hold->by_host->put(hold->by_host, key_of(host), session);
    hold->lock->unlock(hold->lock);
    return true;
}

static void watch(struct jump_swan_hold *hold, bool *flag, bool value)
{
    if (*flag != value)
        (void)(value ? atomic_fetch_add(&hold->watched, 1) : atomic_fetch_sub(&hold->watched, 1));
    *flag = value;
}

static void let_go(struct jump_swan_hold *hold, struct session *session)
{
    watch(hold, &session->held, false);
    if (session->slot != NO_SLOT)
        hold->free_slots[hold->free_slots_len++] = session->slot;
    session->slot = NO_SLOT;
}

void jump_swan_hold_end(struct jump_swan_hold *hold, jump_host host)
{
    struct session *session;

    if (hold == NULL)
        return;
    hold->lock->lock(hold->lock);
    session = hold->by_host->remove(hold->by_host, key_of(host));
    if (session != NULL) {
        for (size_t i = 0; i < session->reqids_len; i++)
            if (hold->by_reqid->get(hold->by_reqid, key_of_reqid(session->reqids[i])) == session)
                hold->by_reqid->remove(hold->by_reqid, key_of_reqid(session->reqids[i]));
        if (session->slot != NO_SLOT)
            jump_hold_forget(hold->packets, session->slot);
        if (session->behind)
            hold->behind->remove(hold->behind, key_of(host), NULL);
        watch(hold, &session->quiet, false);
        let_go(hold, session);
        free(session->reqids);
        free(session);
    }
    hold->lock->unlock(hold->lock);
}

static bool has(const struct session *session, uint32_t reqid)
{
    for (size_t i = 0; i < session->reqids_len; i++)
        if (session->reqids[i] == reqid)
            return true;
    return false;
}

static bool append(struct session *session, uint32_t reqid)
{
    uint32_t *reqids;

    if (has(session, reqid))
        return true;
    if (session->reqids_len == JUMP_SWAN_HOLD_REQIDS)
        return false;
    reqids = realloc(session->reqids, sizeof *reqids * (session->reqids_len + 1));
    if (reqids == NULL) {
        jump_swan_shortage("what a CHILD_SA sends without a path will be lost");
        return false;
    }
    session->reqids = reqids;
    session->reqids[session->reqids_len++] = reqid;
    return true;
}

void jump_swan_hold_add(struct jump_swan_hold *hold, jump_host host, uint32_t reqid)
{
    struct session *session;

    if (hold == NULL || reqid == 0)
        return;
    hold->lock->lock(hold->lock);
    session = find(hold, host);
    if (session != NULL && append(session, reqid))
        hold->by_reqid->put(hold->by_reqid, key_of_reqid(reqid), session);
    hold->lock->unlock(hold->lock);
}

void jump_swan_hold_remove(struct jump_swan_hold *hold, jump_host host, uint32_t reqid)
{
    struct session *session;

    if (hold == NULL)
        return;
    hold->lock->lock(hold->lock);
    session = find(hold, host);
    if (session != NULL && hold->by_reqid->get(hold->by_reqid, key_of_reqid(reqid)) == session)
        hold->by_reqid->remove(hold->by_reqid, key_of_reqid(reqid));
    for (size_t i = 0; session != NULL && i < session->reqids_len; i++)
        if (session->reqids[i] == reqid) {
            session->reqids[i] = session->reqids[--session->reqids_len];
            break;
        }
    hold->lock->unlock(hold->lock);
}

void jump_swan_hold_foreign(struct jump_swan_hold *hold, uint32_t reqid)
{
    if (hold == NULL)
        return;
    hold->lock->lock(hold->lock);
    hold->by_reqid->remove(hold->by_reqid, key_of_reqid(reqid));
    hold->lock->unlock(hold->lock);
}

void jump_swan_hold_stop(struct jump_swan_hold *hold, jump_host host, uint32_t binding)
{
    struct session *session;

    if (hold == NULL)
        return;
    hold->lock->lock(hold->lock);
    session = find(hold, host);
    if (session != NULL) {
        watch(hold, &session->held, true);
        session->binding = binding;
        if (session->behind)
            hold->behind->remove(hold->behind, key_of(host), NULL);
        session->behind = false;
    }
    hold->lock->unlock(hold->lock);
}

bool jump_swan_hold_go(struct jump_swan_hold *hold, jump_host host, uint32_t binding)
{
    struct session *session;
    bool waits = false;

    if (hold == NULL)
        return false;
    hold->lock->lock(hold->lock);
    session = find(hold, host);
    if (session != NULL && session->held && !session->behind && binding > session->binding) {
        waits = session->slot != NO_SLOT && jump_hold_waits(hold->packets, session->slot);
        if (waits) {
            session->behind = true;
            hold->behind->insert_last(hold->behind, key_of(host));
        } else {
            let_go(hold, session);
        }
    }
    hold->lock->unlock(hold->lock);
    return waits;
}

void jump_swan_hold_quiet(struct jump_swan_hold *hold, jump_host host)
{
    struct session *session;

    if (hold == NULL)
        return;
    hold->lock->lock(hold->lock);
    session = find(hold, host);
    if (session != NULL)
        watch(hold, &session->quiet, true);
    hold->lock->unlock(hold->lock);
}

bool jump_swan_hold_packet(struct jump_swan_hold *hold, uint32_t reqid, const uint8_t *bytes, size_t bytes_len,
                           jump_host *woken)
{
    struct session *session;
    bool held = false;

    *woken = 0;
    if (hold == NULL || atomic_load_explicit(&hold->watched, memory_order_relaxed) == 0)
        return false;
    hold->lock->lock(hold->lock);
    session = hold->by_reqid->get(hold->by_reqid, key_of_reqid(reqid));
    if (session != NULL && session->quiet) {
        watch(hold, &session->quiet, false);
        *woken = session->host;
    }
    if (session != NULL && session->held) {
        if (session->slot == NO_SLOT && hold->free_slots_len > 0)
            session->slot = hold->free_slots[--hold->free_slots_len];
        held = session->slot != NO_SLOT;
        if (held) {
            uint64_t kept = jump_hold_counters(hold->packets)->held;

            jump_hold_put(hold->packets, session->slot, JUMP_HOLD_DATA, bytes, bytes_len);
            if (jump_hold_counters(hold->packets)->held == kept)
                jump_swan_shortage("packets of a session without a path are dropped");
        }
    }
    hold->lock->unlock(hold->lock);
    return held;
}

jump_time jump_swan_hold_deadline(struct jump_swan_hold *hold)
{
    jump_time at = JUMP_NEVER;

    if (hold == NULL)
        return at;
    hold->lock->lock(hold->lock);
    if (hold->behind->get_count(hold->behind) > 0)
        at = hold->flush_at;
    hold->lock->unlock(hold->lock);
    return at;
}

/* The next packet of a session that is sent on, as memory of its own. @return its length; 0: that was all, it is held no
 * longer, or there is no memory for a packet now, and it waits on */
static size_t take(struct jump_swan_hold *hold, jump_host host, uint8_t **out)
{
    static uint8_t bytes[JUMP_HOLD_PACKET_BYTES];
    struct session *session;
    size_t len = 0;

    hold->lock->lock(hold->lock);
    session = find(hold, host);
    if (session != NULL && session->behind) {
        len = jump_hold_next(hold->packets, session->slot, bytes);
        *out = len > 0 ? malloc(len) : NULL;
        if (*out != NULL) {
            memcpy(*out, bytes, len);
            jump_hold_sent(hold->packets, session->slot);
        } else if (len > 0) {
            len = 0;
            jump_swan_shortage("packets that were held wait on");
        } else {
            session->behind = false;
            hold->behind->remove(hold->behind, key_of(host), NULL);
            let_go(hold, session);
        }
    }
    hold->lock->unlock(hold->lock);
    return len;
}

/* Those that are sent on take turns: the first one becomes the last. 0: there is none. */
static jump_host whose_turn(struct jump_swan_hold *hold)
{
    void *key = NULL;

    hold->lock->lock(hold->lock);
    if (hold->behind->remove_first(hold->behind, &key) == SUCCESS)
        hold->behind->insert_last(hold->behind, key);
    hold->lock->unlock(hold->lock);
    return (jump_host)(uintptr_t)key;
}

void jump_swan_hold_flush(struct jump_swan_hold *hold, jump_time now, void (*send)(uint8_t *bytes, size_t bytes_len))
{
    uint8_t *bytes;
    unsigned due;
    int turns;

    if (jump_swan_hold_deadline(hold) > now)
        return;
    due = jump_hold_due(now, hold->flush_at);
    hold->lock->lock(hold->lock);
    turns = hold->behind->get_count(hold->behind);
    hold->flush_at = now + JUMP_HOLD_EVERY;
    hold->lock->unlock(hold->lock);
    while (turns-- > 0) {
        jump_host host = whose_turn(hold);

        for (unsigned i = 0; i < due; i++) {
            size_t len = take(hold, host, &bytes);

            if (len == 0)
                break;
            send(bytes, len);
        }
    }
}

struct jump_hold_counters jump_swan_hold_counters(struct jump_swan_hold *hold)
{
    struct jump_hold_counters counters = {0};

    if (hold != NULL) {
        hold->lock->lock(hold->lock);
        counters = *jump_hold_counters(hold->packets);
        hold->lock->unlock(hold->lock);
    }
    return counters;
}
