/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Does user data pass? Neither kernel ESP nor libipsec says so by itself, so a client's few sessions are asked: the packet
 * counters of their CHILD_SAs, five times a second while there are such sessions. A server's are not: it does not probe.
 * Received ESP is authenticated, but may have come from any address: it is no proof that the binding lives (A42).
 */
#include <processing/jobs/callback_job.h>

#include "strongswan/adapter.h"

#define EVERY_MS 200

/* The newest objects of the client's sessions, cloned. */
static linked_list_t *client_objects(void)
{
    linked_list_t *ids = linked_list_create();
    enumerator_t *enumerator;
    struct jump_swan_peer *peer;
    void *key;

    jump_swan->lock->lock(jump_swan->lock);
    enumerator = jump_swan->by_host->create_enumerator(jump_swan->by_host);
    while (enumerator->enumerate(enumerator, &key, &peer))
        if (peer->role == JUMP_CLIENT && peer->phase < JUMP_SWAN_DOOMED && peer->objects_len > 0)
            ids->insert_last(ids, peer->objects[0].id->clone(peer->objects[0].id));
    enumerator->destroy(enumerator);
    jump_swan->activity_runs = ids->get_count(ids) > 0;
    jump_swan->lock->unlock(jump_swan->lock);
    return ids;
}

static void look_at(ike_sa_t *sa)
{
    struct jump_swan_post post = {.kind = JUMP_SWAN_POST_ACTIVITY, .role = JUMP_CLIENT};
    uint64_t received = 0, sent = 0, packets;
    enumerator_t *enumerator = sa->create_child_sa_enumerator(sa);
    struct jump_swan_peer *peer;
    child_sa_t *child;

    while (enumerator->enumerate(enumerator, &child)) {
        child->get_usestats(child, TRUE, NULL, NULL, &packets);
        received += packets;
        child->get_usestats(child, FALSE, NULL, NULL, &packets);
        sent += packets;
    }
    enumerator->destroy(enumerator);
    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_sa->get(jump_swan->by_sa, sa);
    if (peer != NULL) {
        post.host = peer->host;
        post.sent = sent > peer->sent; /* a CHILD_SA that went takes its counts along */
        post.received = received > peer->received;
        peer->sent = sent;
        peer->received = received;
    }
    jump_swan->lock->unlock(jump_swan->lock);
    if (!post.sent && post.host != 0)
        jump_swan_hold_quiet(jump_swan->hold, post.host); /* the next packet is told by esp.c, not a look later */
    if (post.sent || post.received)
        (void)jump_swan_post(jump_swan, &post);
}

static job_requeue_t look(void *unused)
{
    linked_list_t *ids = client_objects();
    bool any = ids->get_count(ids) > 0;
    ike_sa_id_t *id;
    ike_sa_t *sa;

    while (ids->remove_first(ids, (void **)&id) == SUCCESS) {
        sa = charon->ike_sa_manager->checkout(charon->ike_sa_manager, id);
        if (sa != NULL) {
            look_at(sa);
            charon->ike_sa_manager->checkin(charon->ike_sa_manager, sa);
        }
        id->destroy(id);
    }
    ids->destroy(ids);
    return any ? JOB_RESCHEDULE_MS(EVERY_MS) : JOB_REQUEUE_NONE;
}

void jump_swan_activity_begin(struct jump_swan *swan)
{
    bool runs;

    swan->lock->lock(swan->lock);
    runs = swan->activity_runs;
    swan->activity_runs = true;
    swan->lock->unlock(swan->lock);
    if (!runs)
        lib->scheduler->schedule_job_ms(lib->scheduler, (job_t *)callback_job_create_with_prio(look, NULL, NULL, NULL, JOB_PRIO_HIGH),
                                        EVERY_MS);
}
