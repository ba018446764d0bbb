/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of peers: which IKE_SA objects a session has, and where the core wants it. Shared by the session thread, which
 * writes the core's word, and charon's threads, which read it. Entries are made for authenticated peers only.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "strongswan/adapter.h"
#include "system/clock.h"

static void *key_of(jump_host host)
{
    return (void *)(uintptr_t)host; /* counts from 1 */
}

static struct jump_swan_peer *find(struct jump_swan *swan, jump_host host)
{
    return swan->by_host->get(swan->by_host, key_of(host));
}

/* The newest object's place is the first. False: the session has as many as it may. */
static bool add_object(struct jump_swan *swan, struct jump_swan_peer *peer, ike_sa_t *sa, ike_sa_id_t *id)
{
    if (peer->objects_len == JUMP_SWAN_OBJECTS)
        return false;
    memmove(&peer->objects[1], &peer->objects[0], peer->objects_len * sizeof peer->objects[0]);
    peer->objects_len++;
    memset(&peer->objects[0], 0, sizeof peer->objects[0]);
    peer->objects[0].sa = sa;
    peer->objects[0].id = id;
    swan->by_sa->put(swan->by_sa, sa, peer);
    return true;
}

/* The CHILD_SAs belong to the new object, and so does what waits for the server's turn (rebind.c). */
static void pass_on_children(struct jump_swan_peer *peer, ike_sa_t *old)
{
    struct jump_swan_object *heir = &peer->objects[0];

    for (size_t i = 1; i < peer->objects_len; i++) {
        struct jump_swan_object *object = &peer->objects[i];

        if (object->sa != old)
            continue;
        memcpy(heir->children, object->children, object->children_len * sizeof object->children[0]);
        heir->children_len = object->children_len;
        object->children_len = 0;
    }
}

/* Nobody needs it any more. */
static bool is_over(const struct jump_swan_peer *peer)
{
    return peer->phase >= JUMP_SWAN_DOOMED && peer->objects_len == 0;
}

static void release(struct jump_swan *swan, struct jump_swan_peer *peer)
{
    swan->by_host->remove(swan->by_host, key_of(peer->host));
    free(peer->closing);
    free(peer);
}

/* One job for all that was said since the last one looked. */
static job_t *job_for(struct jump_swan_peer *peer)
{
    if (peer->job_queued || peer->objects_len == 0)
        return NULL;
    peer->job_queued = true;
    return jump_swan_rebind_job(peer->host);
}

static void digest_of(ike_sa_t *sa, uint8_t user[JUMP_SWAN_USER_BYTES])
{
    identification_t *ends[] = {sa->get_my_id(sa), sa->get_other_eap_id(sa)};
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, JUMP_SWAN_USER_BYTES);
    for (size_t i = 0; i < 2; i++) {
        chunk_t encoding = ends[i]->get_encoding(ends[i]);
        uint64_t kind[] = {(uint64_t)ends[i]->get_type(ends[i]), encoding.len};

        (void)crypto_generichash_update(&state, (const uint8_t *)kind, sizeof kind);
        (void)crypto_generichash_update(&state, encoding.ptr, encoding.len);
    }
    (void)crypto_generichash_final(&state, user, JUMP_SWAN_USER_BYTES);
}

static void queue(job_t *job)
{
    if (job != NULL)
        lib->processor->queue_job(lib->processor, job);
}

jump_host jump_swan_peer_add(struct jump_swan *swan, ike_sa_t *sa, enum jump_role role)
{
    struct jump_swan_peer *peer = calloc(1, sizeof *peer);
    ike_sa_id_t *id;
    jump_host host;

    if (peer == NULL)
        return 0;
    swan->lock->lock(swan->lock);
    host = ++swan->last_host;
    swan->lock->unlock(swan->lock);
    peer->closing = calloc(1, sizeof *peer->closing);
    if (peer->closing == NULL || !jump_swan_hold_begin(swan->hold, host)) {
        free(peer->closing);
        free(peer);
        return 0;
    }
    *peer->closing = (struct jump_swan_post){.kind = JUMP_SWAN_POST_CLOSE, .role = role, .host = host};
    id = sa->get_id(sa);
    id = id->clone(id);
    peer->host = host;
    peer->role = role;
    peer->phase = JUMP_SWAN_BIRTH;
    peer->made_at = jump_clock_now();
    jump_swan_path_from_host(&peer->local, sa->get_my_host(sa));
    jump_swan_path_from_host(&peer->remote, sa->get_other_host(sa));
    peer->birth = role == JUMP_CLIENT ? peer->local : peer->remote;
    (void)snprintf(peer->name, sizeof peer->name, "%Y", sa->get_other_eap_id(sa));
    digest_of(sa, peer->user);
    swan->lock->lock(swan->lock);
    swan->by_host->put(swan->by_host, key_of(host), peer);
    (void)add_object(swan, peer, sa, id);
    swan->lock->unlock(swan->lock);
    return host;
}

bool jump_swan_peer_rekeyed(struct jump_swan *swan, ike_sa_t *old, ike_sa_t *sa)
{
    struct jump_swan_peer *peer;
    ike_sa_id_t *id = sa->get_id(sa);
    job_t *job = NULL;

    id = id->clone(id);
    swan->lock->lock(swan->lock);
    peer = swan->by_sa->get(swan->by_sa, old);
    if (peer != NULL && add_object(swan, peer, sa, id)) {
        id = NULL;
        pass_on_children(peer, old);
        /* It was made as the old one stood. What the core has said since then may have been carried out on the old one. */
        if (peer->phase == JUMP_SWAN_BOUND || peer->phase == JUMP_SWAN_DOOMED)
            job = job_for(peer);
    }
    swan->lock->unlock(swan->lock);
    queue(job);
    DESTROY_IF(id);
    return id == NULL;
}

bool jump_swan_peer_object_gone(struct jump_swan *swan, ike_sa_t *sa)
{
    struct jump_swan_peer *peer;
    ike_sa_id_t *id = NULL;
    bool newest = false;

    swan->lock->lock(swan->lock);
    peer = swan->by_sa->remove(swan->by_sa, sa);
    for (size_t i = 0; peer != NULL && i < peer->objects_len; i++) {
        if (peer->objects[i].sa != sa)
            continue;
        newest = i == 0;
        id = peer->objects[i].id;
        peer->objects_len--;
        memmove(&peer->objects[i], &peer->objects[i + 1], (peer->objects_len - i) * sizeof peer->objects[0]);
    }
    if (peer != NULL && is_over(peer))
        release(swan, peer);
    swan->lock->unlock(swan->lock);
    DESTROY_IF(id);
    return newest;
}

bool jump_swan_peer_of(struct jump_swan *swan, ike_sa_t *sa, jump_host *host, enum jump_role *role)
{
    struct jump_swan_peer *peer;
    bool newest = false;

    swan->lock->lock(swan->lock);
    peer = swan->by_sa->get(swan->by_sa, sa);
    if (peer != NULL && peer->phase < JUMP_SWAN_DOOMED && peer->objects[0].sa == sa) {
        newest = true;
        *host = peer->host;
        *role = peer->role;
    }
    swan->lock->unlock(swan->lock);
    return newest;
}

struct jump_swan_post *jump_swan_peer_closing(struct jump_swan *swan, ike_sa_t *sa)
{
    struct jump_swan_peer *peer;
    struct jump_swan_post *post = NULL;

    swan->lock->lock(swan->lock);
    peer = swan->by_sa->get(swan->by_sa, sa);
    if (peer != NULL && peer->phase < JUMP_SWAN_DOOMED && peer->objects[0].sa == sa) {
        post = peer->closing;
        peer->closing = NULL;
    }
    swan->lock->unlock(swan->lock);
    return post;
}

jump_host jump_swan_peer_host(struct jump_swan *swan, ike_sa_t *sa)
{
    struct jump_swan_peer *peer;
    jump_host host = 0;

    swan->lock->lock(swan->lock);
    peer = swan->by_sa->get(swan->by_sa, sa);
    if (peer != NULL && peer->phase != JUMP_SWAN_ENDED)
        host = peer->host;
    swan->lock->unlock(swan->lock);
    return host;
}

jump_host jump_swan_peer_like(struct jump_swan *swan, ike_sa_t *sa)
{
    uint8_t user[JUMP_SWAN_USER_BYTES];
    enumerator_t *enumerator;
    struct jump_swan_peer *peer;
    jump_host host = 0;
    void *key;

    digest_of(sa, user);
    swan->lock->lock(swan->lock);
    enumerator = swan->by_host->create_enumerator(swan->by_host);
    while (host == 0 && enumerator->enumerate(enumerator, &key, &peer))
        if (peer->role == JUMP_SERVER && peer->phase < JUMP_SWAN_DOOMED && memcmp(peer->user, user, sizeof user) == 0)
            host = peer->host;
    enumerator->destroy(enumerator);
    swan->lock->unlock(swan->lock);
    return host;
}

bool jump_swan_peer_get(struct jump_swan *swan, jump_host host, struct jump_swan_peer *copy)
{
    struct jump_swan_peer *peer;

    swan->lock->lock(swan->lock);
    peer = find(swan, host);
    if (peer != NULL)
        *copy = *peer;
    swan->lock->unlock(swan->lock);
    copy->objects_len = 0;
    return peer != NULL;
}

static bool same_place(const struct jump_path *a, const struct jump_path *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->port == b->port;
}

void jump_swan_peer_bind(struct jump_swan *swan, jump_host host, const struct jump_path *local, const struct jump_path *remote,
                         const struct jump_path *observed)
{
    struct jump_swan_peer *peer;
    job_t *job = NULL;

    swan->lock->lock(swan->lock);
    peer = find(swan, host);
    if (peer != NULL && peer->phase < JUMP_SWAN_DOOMED) {
        peer->phase = JUMP_SWAN_BOUND;
        peer->binding++;
        peer->local = *local;
        peer->remote = *remote;
        peer->moved |= !same_place(observed, &peer->birth);
        peer->translated = peer->role == JUMP_CLIENT && !same_place(observed, local);
        job = job_for(peer);
    }
    swan->lock->unlock(swan->lock);
    queue(job);
}

void jump_swan_peer_unbind(struct jump_swan *swan, jump_host host)
{
    struct jump_swan_peer *peer;
    uint32_t binding = 0;

    swan->lock->lock(swan->lock);
    peer = find(swan, host);
    if (peer != NULL && peer->phase < JUMP_SWAN_DOOMED) {
        peer->phase = JUMP_SWAN_UNBOUND;
        binding = peer->binding;
    }
    swan->lock->unlock(swan->lock);
    jump_swan_hold_stop(swan->hold, host, binding);
    jump_swan_reject_stop(host);
}

ike_sa_id_t *jump_swan_peer_unbound_id(struct jump_swan *swan, jump_host host)
{
    ike_sa_id_t *id = NULL;
    struct jump_swan_peer *peer;

    swan->lock->lock(swan->lock);
    peer = find(swan, host);
    if (peer != NULL && peer->phase == JUMP_SWAN_UNBOUND && peer->objects_len > 0)
        id = peer->objects[0].id->clone(peer->objects[0].id);
    swan->lock->unlock(swan->lock);
    return id;
}

static void *key_of_reqid(uint32_t reqid)
{
    return (void *)(uintptr_t)reqid;
}

static void *owner_of(const struct jump_swan_peer *peer)
{
    return (void *)(uintptr_t)(1 + (peer != NULL ? peer->host : 0));
}

bool jump_swan_peer_waits(struct jump_swan *swan, jump_host host, const uint32_t *reqids, size_t len)
{
    struct jump_swan_peer *peer;
    size_t own = 0;

    swan->lock->lock(swan->lock);
    peer = find(swan, host);
    for (size_t i = 0; peer != NULL && peer->phase == JUMP_SWAN_UNBOUND && i < len && own < JUMP_SWAN_REQIDS; i++) {
        void *owner = swan->reqids->get(swan->reqids, key_of_reqid(reqids[i]));

        if (owner == NULL || owner == owner_of(peer))
            peer->waiting[own++] = reqids[i];
    }
    if (own > 0)
        peer->waiting_len = own;
    swan->lock->unlock(swan->lock);
    return own > 0;
}

bool jump_swan_peer_waits_no_more(struct jump_swan *swan, jump_host host)
{
    struct jump_swan_peer *peer;
    bool waited;

    swan->lock->lock(swan->lock);
    peer = find(swan, host);
    waited = peer != NULL && peer->phase == JUMP_SWAN_BOUND && peer->waiting_len > 0;
    if (waited)
        peer->waiting_len = 0;
    swan->lock->unlock(swan->lock);
    return waited;
}

bool jump_swan_peers_taken(struct jump_swan *swan, ike_sa_t *sa, uint32_t reqid)
{
    struct jump_swan_peer *peer, *own;
    enumerator_t *enumerator;
    bool taken = false;
    void *key;

    swan->lock->lock(swan->lock);
    own = swan->by_sa->get(swan->by_sa, sa);
    swan->reqids->put(swan->reqids, key_of_reqid(reqid), owner_of(own));
    enumerator = swan->by_host->create_enumerator(swan->by_host);
    while (enumerator->enumerate(enumerator, &key, &peer))
        for (size_t i = peer == own ? 0 : peer->waiting_len; i-- > 0;)
            if (peer->waiting[i] == reqid) {
                peer->waiting[i] = peer->waiting[--peer->waiting_len];
                taken = true;
            }
    enumerator->destroy(enumerator);
    swan->lock->unlock(swan->lock);
    return taken;
}

void jump_swan_peers_left(struct jump_swan *swan, ike_sa_t *sa, uint32_t reqid)
{
    swan->lock->lock(swan->lock);
    if (swan->reqids->get(swan->reqids, key_of_reqid(reqid)) == owner_of(swan->by_sa->get(swan->by_sa, sa)))
        swan->reqids->remove(swan->reqids, key_of_reqid(reqid));
    swan->lock->unlock(swan->lock);
}

size_t jump_swan_peers_waiting(struct jump_swan *swan, uint32_t *out, size_t cap)
{
    enumerator_t *enumerator;
    struct jump_swan_peer *peer;
    size_t len = 0;
    void *key;

    swan->lock->lock(swan->lock);
    enumerator = swan->by_host->create_enumerator(swan->by_host);
    while (enumerator->enumerate(enumerator, &key, &peer))
        for (size_t i = 0; peer->phase == JUMP_SWAN_UNBOUND && i < peer->waiting_len && len < cap; i++)
            out[len++] = peer->waiting[i];
    enumerator->destroy(enumerator);
    swan->lock->unlock(swan->lock);
    return len;
}

void jump_swan_peer_end(struct jump_swan *swan, jump_host host, bool destroy, enum jump_reason reason,
                        enum jump_reason peer_reason)
{
    struct jump_swan_peer *peer;
    bool waited = false;
    job_t *job = NULL;

    swan->lock->lock(swan->lock);
    peer = find(swan, host);
    if (peer != NULL) {
        peer->phase = destroy ? JUMP_SWAN_DOOMED : JUMP_SWAN_ENDED;
        peer->reason = reason;
        peer->peer_reason = peer_reason;
        waited = peer->waiting_len > 0;
        job = job_for(peer); /* to destroy them; else for what an old object was to do once there is a path */
        if (is_over(peer))
            release(swan, peer);
    }
    swan->lock->unlock(swan->lock);
    jump_swan_hold_end(swan->hold, host);
    queue(job);
    if (waited)
        jump_swan_reject_look(swan, false);
}

void jump_swan_peers_clear(struct jump_swan *swan)
{
    enumerator_t *enumerator = swan->by_host->create_enumerator(swan->by_host);
    struct jump_swan_peer *peer;
    void *key;

    while (enumerator->enumerate(enumerator, &key, &peer)) {
        for (size_t i = 0; i < peer->objects_len; i++)
            peer->objects[i].id->destroy(peer->objects[i].id);
        free(peer->closing);
        free(peer);
    }
    enumerator->destroy(enumerator);
}
