/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What charon does to an IKE_SA by itself, through the object's own method pointers, which its jobs and tasks read each
 * time: of a session's objects they are ours. Two rules:
 *
 *  - the path moves by a proof and by nothing else: update_hosts is refused to everybody (implicit updates, MOBIKE,
 *    mapping changes of the kernel), and so is whether ESP is encapsulated, which both ends must change together; the
 *    core's binding goes through the originals (A12, A30, R-29);
 *  - no timer of charon's ends a session that has no path: what falls due waits and is done at the next binding; the
 *    core's own bounds end it (docs/strongswan.md).
 *
 * Each of these runs in a thread that has the IKE_SA checked out, so its object stays in the table while it runs.
 */
#include <processing/jobs/delete_ike_sa_job.h>

#include "strongswan/adapter.h"

#define AGAIN_AFTER_S 60

struct jump_swan_methods jump_swan_real;

static struct jump_swan_object *object_of(struct jump_swan_peer *peer, ike_sa_t *sa)
{
    for (size_t i = 0; i < peer->objects_len; i++)
        if (peer->objects[i].sa == sa)
            return &peer->objects[i];
    return NULL;
}

/* The session's phase; JUMP_SWAN_ENDED if the object is none of ours. */
static enum jump_swan_phase phase_of(ike_sa_t *sa)
{
    enum jump_swan_phase phase = JUMP_SWAN_ENDED;
    struct jump_swan_peer *peer;

    if (jump_swan == NULL)
        return phase;
    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_sa->get(jump_swan->by_sa, sa);
    if (peer != NULL)
        phase = peer->phase;
    jump_swan->lock->unlock(jump_swan->lock);
    return phase;
}

/* If the session has no path: remember what was wanted of this object. @return true: it waits */
static bool waits(ike_sa_t *sa, unsigned want)
{
    struct jump_swan_peer *peer;
    struct jump_swan_object *object;
    bool unbound = false;

    if (jump_swan == NULL)
        return false;
    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_sa->get(jump_swan->by_sa, sa);
    object = peer != NULL ? object_of(peer, sa) : NULL;
    if (object != NULL && (peer->phase == JUMP_SWAN_UNBOUND || peer->phase == JUMP_SWAN_BIRTH)) {
        object->wants |= want;
        unbound = true;
    }
    jump_swan->lock->unlock(jump_swan->lock);
    return unbound;
}

static bool child_waits(ike_sa_t *sa, const struct jump_swan_child_want *want)
{
    struct jump_swan_peer *peer;
    struct jump_swan_object *object;
    bool waiting = false;

    if (jump_swan == NULL)
        return false;
    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_sa->get(jump_swan->by_sa, sa);
    object = peer != NULL ? object_of(peer, sa) : NULL;
    if (object != NULL && peer->phase == JUMP_SWAN_UNBOUND) {
        for (size_t i = 0; i < object->children_len && !waiting; i++)
            waiting = object->children[i].spi == want->spi && object->children[i].remove == want->remove;
        if (!waiting && object->children_len < JUMP_SWAN_CHILD_WANTS) {
            object->children[object->children_len++] = *want;
            waiting = true;
        }
    }
    jump_swan->lock->unlock(jump_swan->lock);
    return waiting; /* one too many is done as charon would */
}

METHOD(ike_sa_t, update_hosts, void, ike_sa_t *this, host_t *me, host_t *other, update_hosts_flag_t flags)
{
    if (phase_of(this) == JUMP_SWAN_ENDED)
        jump_swan_real.update_hosts(this, me, other, flags);
}

METHOD(ike_sa_t, set_condition, void, ike_sa_t *this, ike_condition_t condition, bool enable)
{
    bool nat = condition == COND_NAT_HERE || condition == COND_NAT_THERE || condition == COND_NAT_FAKE;

    if (!nat || phase_of(this) == JUMP_SWAN_ENDED)
        jump_swan_real.set_condition(this, condition, enable);
}

METHOD(ike_sa_t, retransmit, status_t, ike_sa_t *this, uint32_t message_id)
{
    struct jump_swan_peer *peer;
    struct jump_swan_object *object = NULL;

    if (jump_swan != NULL) {
        jump_swan->lock->lock(jump_swan->lock);
        peer = jump_swan->by_sa->get(jump_swan->by_sa, this);
        object = peer != NULL && peer->phase == JUMP_SWAN_UNBOUND ? object_of(peer, this) : NULL;
        if (object != NULL) {
            object->swallowed = true;
            object->message_id = message_id;
        }
        jump_swan->lock->unlock(jump_swan->lock);
    }
    if (object == NULL)
        return jump_swan_real.retransmit(this, message_id);
    if (this->get_state(this) == IKE_DELETING) /* somebody ended it just before: no answer can come */
        return jump_swan_real.delete(this, TRUE);
    return SUCCESS;
}

/* Bound again, and its rekeying left to the client for a moment (rebind.c). */
static bool rekey_is_put_off(ike_sa_t *sa)
{
    struct jump_swan_peer *peer;
    struct jump_swan_object *object;
    bool put_off;

    if (jump_swan == NULL)
        return false;
    jump_swan->lock->lock(jump_swan->lock);
    peer = jump_swan->by_sa->get(jump_swan->by_sa, sa);
    object = peer != NULL && peer->phase == JUMP_SWAN_BOUND ? object_of(peer, sa) : NULL;
    put_off = object != NULL && (object->wants & JUMP_SWAN_WANT_REKEY) != 0;
    jump_swan->lock->unlock(jump_swan->lock);
    return put_off;
}

static bool is_beyond_its_lifetime(ike_sa_t *sa)
{
    time_t at = (time_t)sa->get_statistic(sa, STAT_DELETE);

    return at != 0 && at <= time_monotonic(NULL);
}

METHOD(ike_sa_t, delete_, status_t, ike_sa_t *this, bool force)
{
    /* The responder of a rekeying drops the old object after 90 s if the initiator did not: what the initiator has not
     * heard of yet would be lost with it. */
    if (!force && this->get_state(this) == IKE_REKEYED && waits(this, JUMP_SWAN_WANT_DELETE))
        return SUCCESS;
    /* Its hard lifetime: a key lives at least as long as the transport TTL, so that no session dies for its key's age in a hole
     * (model.md 6). With the path it is rekeyed, or else this comes again. */
    if (!force && is_beyond_its_lifetime(this)
        && ((phase_of(this) == JUMP_SWAN_UNBOUND && waits(this, JUMP_SWAN_WANT_REKEY)) || rekey_is_put_off(this))) {
        lib->scheduler->schedule_job(lib->scheduler, (job_t *)delete_ike_sa_job_create(this->get_id(this), TRUE), AGAIN_AFTER_S);
        return SUCCESS;
    }
    if (!force && phase_of(this) == JUMP_SWAN_UNBOUND)
        force = TRUE; /* somebody ends it for good, and no answer can come */
    return jump_swan_real.delete(this, force);
}

METHOD(ike_sa_t, roam, status_t, ike_sa_t *this, bool address)
{
    if (phase_of(this) == JUMP_SWAN_ENDED)
        return jump_swan_real.roam(this, address);
    return SUCCESS; /* listener.c has told the session thread */
}

METHOD(ike_sa_t, send_dpd, status_t, ike_sa_t *this)
{
    if (phase_of(this) == JUMP_SWAN_ENDED)
        return jump_swan_real.send_dpd(this);
    return SUCCESS; /* and its chain of jobs ends here: the core probes */
}

METHOD(ike_sa_t, rekey, status_t, ike_sa_t *this)
{
    return waits(this, JUMP_SWAN_WANT_REKEY) ? SUCCESS : jump_swan_real.rekey(this);
}

METHOD(ike_sa_t, reauth, status_t, ike_sa_t *this)
{
    return waits(this, JUMP_SWAN_WANT_REAUTH) ? SUCCESS : jump_swan_real.reauth(this);
}

METHOD(ike_sa_t, rekey_child_sa, status_t, ike_sa_t *this, protocol_id_t protocol, uint32_t spi)
{
    struct jump_swan_child_want want = {.protocol = protocol, .spi = spi};

    return child_waits(this, &want) ? SUCCESS : jump_swan_real.rekey_child_sa(this, protocol, spi);
}

METHOD(ike_sa_t, delete_child_sa, status_t, ike_sa_t *this, protocol_id_t protocol, uint32_t spi, bool expired)
{
    struct jump_swan_child_want want = {.protocol = protocol, .spi = spi, .remove = true, .expired = expired};

    return child_waits(this, &want) ? SUCCESS : jump_swan_real.delete_child_sa(this, protocol, spi, expired);
}

/* Every place that is taken over: what it is called, in the object and among the originals. `delete` is a word of its own
 * because METHOD makes a function of the name. */
#define PLACES(X)                                                                                             \
    X(update_hosts, _update_hosts) X(set_condition, _set_condition) X(retransmit, _retransmit)                \
    X(delete, _delete_) X(roam, _roam) X(send_dpd, _send_dpd) X(rekey, _rekey) X(reauth, _reauth) X(rekey_child_sa, _rekey_child_sa)             \
    X(delete_child_sa, _delete_child_sa)

bool jump_swan_methods_install(ike_sa_t *sa)
{
    static bool known;

    if (!known) { /* under the bus' mutex: listener.c is the only caller */
#define X(name, ours) jump_swan_real.name = sa->name;
        PLACES(X)
#undef X
        known = true;
    }
#define X(name, ours) \
    if (sa->name != jump_swan_real.name && sa->name != ours) \
        return false;
    PLACES(X)
#undef X
#define X(name, ours) sa->name = ours;
    PLACES(X)
#undef X
    return true;
}
