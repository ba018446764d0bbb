/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The job that makes a session's IKE_SAs follow the table: move them to where the core has bound the session, take up
 * what waited for a path, or end them. It runs in one of charon's workers, checks each object out and in again, and reads
 * what is wanted only while it has the object, so that a later word is never overtaken by an earlier one.
 * A move keeps every SPI: update_hosts updates the CHILD_SAs in place (esp.c for those in user space).
 */
#include <stdlib.h>
#include <string.h>

#include <processing/jobs/callback_job.h>
#include <sa/task.h>

#include "strongswan/adapter.h"
#include "system/clock.h"

#define YOUNG_FOR JUMP_MS(60000) /* a session that ends younger makes the next connection wait longer */
#define PAUSE_MAX 6              /* 2^6 s */
#define AT_ONCE JUMP_MS(1000)
/* Keys that fell due in a hole are due at both ends. Where both begin, charon refuses some of it (TEMPORARY_FAILURE) and tries
 * again 6 to 15 s later. So the client begins, and the server does only what the client has not done so long after a binding;
 * a path that comes and goes puts it off no longer than that. */
#define SERVER_LATER_MS 2000
#define SERVER_LATEST JUMP_MS(10000)

#define KEYS ((unsigned)JUMP_SWAN_WANT_REKEY | JUMP_SWAN_WANT_REAUTH)

/* What there is to do with one object. */
struct task {
    enum jump_swan_phase phase;
    enum jump_role role;
    enum jump_reason reason, peer_reason;
    jump_time made_at;
    bool newest, put_off;
    struct jump_path local, remote;
    uint32_t binding;
    bool moved, translated;
    struct jump_swan_object object; /* a copy; its wants are taken out of the table */
};

/* The ids of the session's objects, cloned, newest first; the next word on this session queues another job. */
static size_t objects(jump_host host, ike_sa_id_t *ids[JUMP_SWAN_OBJECTS])
{
    struct jump_swan_peer *peer;
    size_t len = 0;

    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_host->get(jump_swan->by_host, (void *)(uintptr_t)host);
    if (peer != NULL) {
        peer->job_queued = false;
        for (; len < peer->objects_len; len++)
            ids[len] = peer->objects[len].id->clone(peer->objects[len].id);
    }
    jump_swan->lock->unlock(jump_swan->lock);
    return len;
}

/* Whether what this object is to do with its keys is left to the client for now. Under the lock. */
static bool is_put_off(struct jump_swan_peer *peer, const struct jump_swan_object *object)
{
    jump_time now = jump_clock_now();

    if (peer->role != JUMP_SERVER || (object->children_len == 0 && (object->wants & KEYS) == 0))
        return false;
    if (peer->put_off_since == 0)
        peer->put_off_since = now;
    if (peer->put_off_binding != peer->binding)
        peer->put_off_until = now + JUMP_MS(SERVER_LATER_MS);
    peer->put_off_binding = peer->binding;
    if (now < peer->put_off_until && now - peer->put_off_since < SERVER_LATEST)
        return true;
    peer->put_off_since = 0;
    return false;
}

static bool take(struct task *task, ike_sa_t *sa)
{
    struct jump_swan_peer *peer;
    bool found = false;

    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_sa->get(jump_swan->by_sa, sa);
    for (size_t i = 0; peer != NULL && i < peer->objects_len && !found; i++) {
        struct jump_swan_object *object = &peer->objects[i];

        if (object->sa != sa)
            continue;
        found = true;
        *task = (struct task){.phase = peer->phase, .role = peer->role, .reason = peer->reason, .peer_reason = peer->peer_reason,
                              .made_at = peer->made_at, .newest = i == 0,
                              .local = peer->local, .remote = peer->remote, .binding = peer->binding, .moved = peer->moved,
                              .translated = peer->translated, .object = *object};
        if (peer->phase != JUMP_SWAN_BOUND)
            continue;
        task->put_off = is_put_off(peer, object);
        if (task->put_off) {
            task->object.wants &= ~KEYS;
            task->object.children_len = 0;
        } else {
            object->children_len = 0;
        }
        object->wants &= task->put_off ? KEYS : 0u;
        object->swallowed = false;
    }
    jump_swan->lock->unlock(jump_swan->lock);
    return found;
}

/* ESP that began without encapsulation is encapsulated from the first move on, NAT or not, and stays so: that is the rule
 * which both ends can follow by what both know, where the server sees the client. On the server's port 500 there is no
 * encapsulation: behind a NAT that session cannot go on, and the client authenticates anew. */
static void move(ike_sa_t *sa, struct task *task)
{
    host_t *me = jump_swan_host_from_path(&task->local), *other = jump_swan_host_from_path(&task->remote);
    host_t *my_host = sa->get_my_host(sa), *other_host = sa->get_other_host(sa);
    host_t *server = task->role == JUMP_SERVER ? my_host : other_host;
    bool bare = task->moved && !sa->has_condition(sa, COND_NAT_ANY);
    bool encapsulate = bare && server->get_port(server) != IKEV2_UDP_PORT;

    if (bare && !encapsulate && task->translated && task->newest)
        task->object.wants |= JUMP_SWAN_WANT_REAUTH;
    if (me->is_anyaddr(me)) { /* the server does not choose where it is reached */
        me->destroy(me);
        me = my_host->clone(my_host);
    }
    if (encapsulate)
        jump_swan_real.set_condition(sa, COND_NAT_FAKE, TRUE);
    if (encapsulate || !me->equals(me, my_host) || !other->equals(other, other_host))
        jump_swan_stay_move(sa, me, other);
    me->destroy(me);
    other->destroy(other);
}

/* A CHILD_SA whose traffic selectors are the outer addresses gets another reqid in a move, and nobody tells. */
static void tell_children(ike_sa_t *sa)
{
    jump_host host = jump_swan_peer_host(jump_swan, sa);
    enumerator_t *enumerator = sa->create_child_sa_enumerator(sa);
    child_sa_t *child;

    while (host != 0 && enumerator->enumerate(enumerator, &child))
        jump_swan_hold_add(jump_swan->hold, host, child->get_reqid(child));
    enumerator->destroy(enumerator);
}

/* What waited, oldest first: an exchange that is out, then what was to come after it. */
static status_t resume(ike_sa_t *sa, const struct task *task)
{
    const struct jump_swan_object *o = &task->object;
    unsigned wants = task->newest ? o->wants : o->wants & JUMP_SWAN_WANT_DELETE; /* an older one has been rekeyed */
    status_t status = SUCCESS;

    if (o->swallowed)
        status = jump_swan_real.retransmit(sa, o->message_id);
    for (size_t i = 0; i < o->children_len && status != DESTROY_ME; i++)
        status = o->children[i].remove
                     ? jump_swan_real.delete_child_sa(sa, o->children[i].protocol, o->children[i].spi, o->children[i].expired)
                     : jump_swan_real.rekey_child_sa(sa, o->children[i].protocol, o->children[i].spi);
    if ((wants & JUMP_SWAN_WANT_DELETE) && status != DESTROY_ME)
        status = jump_swan_real.delete(sa, FALSE);
    else if ((wants & JUMP_SWAN_WANT_REAUTH) && status != DESTROY_ME)
        status = jump_swan_real.reauth(sa);
    else if ((wants & JUMP_SWAN_WANT_REKEY) && status != DESTROY_ME)
        status = jump_swan_real.rekey(sa);
    return status;
}

/* A connection that is to be initiated again. */
struct again {
    peer_cfg_t *peer_cfg;
    linked_list_t *children; /* of child_cfg_t * */
};

static void again_free(void *data)
{
    struct again *again = data;

    again->children->destroy_offset(again->children, offsetof(child_cfg_t, destroy));
    again->peer_cfg->destroy(again->peer_cfg);
    free(again);
}

static job_requeue_t initiate(void *data)
{
    struct again *again = data;
    child_cfg_t *config;

    while (again->children->remove_first(again->children, (void **)&config) == SUCCESS)
        (void)charon->controller->initiate(charon->controller, again->peer_cfg->get_ref(again->peer_cfg), config, NULL, NULL, 0,
                                           FALSE);
    return JOB_REQUEUE_NONE;
}

/* Two clients with the same credentials would otherwise throw each other out every second, and a server that refuses every
 * session would be asked without a pause. @return seconds */
static uint32_t pause_before_again(jump_time made_at)
{
    jump_time now = jump_clock_now();
    uint32_t pause;

    jump_swan->lock->lock(jump_swan->lock);
    if (now - made_at >= YOUNG_FOR)
        jump_swan->quick_ends = 0;
    else if (now - jump_swan->quick_at >= AT_ONCE && jump_swan->quick_ends <= PAUSE_MAX)
        jump_swan->quick_ends++; /* many that end together are one case */
    jump_swan->quick_at = now;
    pause = jump_swan->quick_ends > 1 ? 1u << (jump_swan->quick_ends - 1) : 0;
    jump_swan->lock->unlock(jump_swan->lock);
    return pause;
}

static bool is_meant(enum jump_reason reason)
{
    return reason == JUMP_REASON_OPERATOR_TERMINATED || reason == JUMP_REASON_HOST_TERMINATED;
}

/* charon's own way to reauthenticate, unless make_before_break, deletes first and begins anew when that is answered. */
static bool is_reauthenticating(ike_sa_t *sa)
{
    enumerator_t *tasks;
    task_t *task;
    bool found = false;

    if (!sa->has_condition(sa, COND_REAUTHENTICATING))
        return false;
    tasks = sa->create_task_enumerator(sa, TASK_QUEUE_ACTIVE);
    while (!found && tasks->enumerate(tasks, &task))
        found = task->get_type(task) == TASK_IKE_REAUTH;
    tasks->destroy(tasks);
    return found;
}

/* The client begins anew. What the configuration says about a dead peer comes first (it keeps the virtual IP), on either end;
 * where it says nothing, the session that was there is what somebody wanted. */
static void begin_again(ike_sa_t *sa, const struct task *task)
{
    uint32_t pause;
    struct again *again;
    enumerator_t *enumerator;
    child_sa_t *child;
    child_cfg_t *config;
    job_t *job;

    if (!is_meant(task->reason) && is_reauthenticating(sa)) {
        (void)sa->reestablish(sa); /* the server's end of the session has been faster than its answer */
        return;
    }
    if (is_meant(task->reason) || sa->get_state(sa) == IKE_DELETING)
        return; /* somebody here wants it to end */
    if (task->reason == JUMP_REASON_PEER_TERMINATED && is_meant(task->peer_reason)) {
        sa->set_state(sa, IKE_DELETING); /* somebody there does: close_action, as if IKE's own word had been faster than ours */
        (void)sa->reestablish(sa);
        return;
    }
    pause = jump_swan->settings.reestablish && task->role == JUMP_CLIENT ? pause_before_again(task->made_at) : 0;
    if (pause == 0 && sa->reestablish(sa) == SUCCESS)
        return;
    if (!jump_swan->settings.reestablish || task->role != JUMP_CLIENT)
        return;
    again = malloc(sizeof *again);
    if (again == NULL) {
        DBG1(DBG_CFG, "jumping: no memory: this connection is not initiated again");
        return;
    }
    *again = (struct again){.peer_cfg = sa->get_peer_cfg(sa), .children = linked_list_create()};
    (void)again->peer_cfg->get_ref(again->peer_cfg);
    enumerator = sa->create_child_sa_enumerator(sa);
    while (enumerator->enumerate(enumerator, &child)) {
        if (child->get_state(child) == CHILD_REKEYED || child->get_state(child) == CHILD_DELETED)
            continue; /* another one is in its place */
        config = child->get_config(child);
        again->children->insert_last(again->children, config->get_ref(config));
    }
    enumerator->destroy(enumerator);
    if (pause > 0)
        DBG1(DBG_CFG, "jumping: sessions end young: the next connection waits for %u s (are these credentials used elsewhere too?)",
             pause);
    job = (job_t *)callback_job_create(initiate, again, again_free, NULL);
    if (pause > 0)
        lib->scheduler->schedule_job(lib->scheduler, job, pause);
    else
        lib->processor->queue_job(lib->processor, job);
}

/* @param put_off  set if something is left for the server's turn
 * @return the number of the binding that it follows now; 0: it has none */
static uint32_t follow(ike_sa_id_t *id, bool *put_off)
{
    ike_sa_manager_t *manager = charon->ike_sa_manager;
    ike_sa_t *sa = manager->checkout(manager, id);
    struct task task;

    if (sa == NULL)
        return 0;
    if (!take(&task, sa)) {
        manager->checkin(manager, sa);
        return 0;
    }
    switch (task.phase) {
    case JUMP_SWAN_BOUND:
        *put_off |= task.put_off;
        move(sa, &task);
        tell_children(sa);
        if (resume(sa, &task) == DESTROY_ME)
            manager->checkin_and_destroy(manager, sa);
        else
            manager->checkin(manager, sa);
        return task.binding;
    case JUMP_SWAN_DOOMED:
        if (task.newest)
            begin_again(sa, &task);
        (void)jump_swan_real.delete(sa, TRUE);
        manager->checkin_and_destroy(manager, sa);
        return 0;
    default:
        if (task.phase == JUMP_SWAN_ENDED && (task.object.wants & JUMP_SWAN_WANT_DELETE)) { /* nobody else ends it now */
            (void)jump_swan_real.delete(sa, TRUE);
            manager->checkin_and_destroy(manager, sa);
        } else {
            manager->checkin(manager, sa);
        }
        return 0;
    }
}

static job_requeue_t run_later(void *host);

/* One job a session waits for the server's turn; none where there is nothing left for it. */
static void plan(jump_host host, bool put_off)
{
    struct jump_swan_peer *peer;
    bool first = false;

    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_host->get(jump_swan->by_host, (void *)(uintptr_t)host);
    if (peer != NULL && put_off) {
        first = !peer->later_queued;
        peer->later_queued = true;
    } else if (peer != NULL) {
        peer->put_off_since = 0;
    }
    jump_swan->lock->unlock(jump_swan->lock);
    if (first)
        lib->scheduler->schedule_job_ms(lib->scheduler,
                                        (job_t *)callback_job_create(run_later, (void *)(uintptr_t)host, NULL, NULL),
                                        SERVER_LATER_MS);
}

static job_requeue_t run(void *data)
{
    jump_host host = (jump_host)(uintptr_t)data;
    ike_sa_id_t *ids[JUMP_SWAN_OBJECTS];
    size_t len = objects(host, ids);
    uint32_t binding = 0;
    bool put_off = false;

    for (size_t i = len; i-- > 0;) { /* the old ones first: the newest may begin anew */
        uint32_t followed = follow(ids[i], &put_off);

        binding = followed != 0 ? followed : binding; /* where the newest was not found, the others are all there is */
        ids[i]->destroy(ids[i]);
    }
    if (binding != 0)
        plan(host, put_off);
    if (binding != 0 && jump_swan_hold_go(jump_swan->hold, host, binding))
        jump_swan_wake(jump_swan);
    if (jump_swan_peer_waits_no_more(jump_swan, host))
        jump_swan_reject_look(jump_swan, true);
    return JOB_REQUEUE_NONE;
}

static job_requeue_t run_later(void *data)
{
    struct jump_swan_peer *peer;

    if (jump_swan == NULL)
        return JOB_REQUEUE_NONE;
    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_host->get(jump_swan->by_host, data);
    if (peer != NULL)
        peer->later_queued = false;
    jump_swan->lock->unlock(jump_swan->lock);
    return run(data);
}

job_t *jump_swan_rebind_job(jump_host host)
{
    return (job_t *)callback_job_create_with_prio(run, (void *)(uintptr_t)host, NULL, NULL, JOB_PRIO_HIGH);
}
