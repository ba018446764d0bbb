/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What charon tells: a bus listener for the life of IKE_SAs, a kernel listener for changes of the local networks. Both
 * announce and hand on; nothing is decided here. The bus calls under its own mutex, so no IKE_SA is ever checked out here.
 *
 * | charon | becomes |
 * |---|---|
 * | IKE_AUTH, first message with an identity | our notify goes out, the peer's is remembered in the IKE_SA (R-64) |
 * | ike_updown(TRUE), both announced | OPEN, with a secret of this IKE_SA's SK_d; the object's methods become ours |
 * | ike_rekey | EPOCH, with one of the new SK_d; the new object's methods too |
 * | ike_updown(FALSE), the object's end | CLOSE |
 * | the same, or an alert, while charon lets a newer IKE_SA of the same user in | AGAIN (unique.c) |
 * | child_updown, child_rekey | whose packets a reqid's are, told to hold.c |
 * | roam | NETWORKS |
 */
#include <string.h>

#include <sodium.h>

#include <encoding/payloads/notify_payload.h>
#include <processing/jobs/delete_ike_sa_job.h>
#include <processing/jobs/rekey_ike_sa_job.h>
#include <sa/ikev2/keymat_v2.h>

#include "strongswan/adapter.h"

#define NOTIFY ((notify_type_t)50961) /* private status; 40961 to 40969 are strongSwan's own */
#define LABEL "jumping v1 secret"
#define REKEY_MARGIN_MS 60000u /* a rekeying's own time, and the server's tighter policy */
#define REKEY_LEAST_MS 60000u

static bool derive(ike_sa_t *sa, uint8_t secret[JUMP_SECRET_BYTES])
{
    keymat_v2_t *keymat = (keymat_v2_t *)sa->get_keymat(sa);
    chunk_t skd, label = chunk_from_str(LABEL);
    pseudo_random_function_t prf = keymat->get_skd(keymat, &skd);
    kdf_t *kdf = lib->crypto->create_kdf(lib->crypto, KDF_PRF_PLUS, prf);
    bool done = kdf != NULL && kdf->set_param(kdf, KDF_PARAM_KEY, skd) && kdf->set_param(kdf, KDF_PARAM_SALT, label)
                && kdf->get_bytes(kdf, JUMP_SECRET_BYTES, secret);

    DESTROY_IF(kdf);
    return done;
}

/* The role in which this IKE_SA would have a session here. */
static bool role_of(ike_sa_t *sa, enum jump_role *role)
{
    *role = sa->has_condition(sa, COND_ORIGINAL_INITIATOR) ? JUMP_CLIENT : JUMP_SERVER;
    return sa->get_version(sa) == IKEV2 && (*role == JUMP_CLIENT ? jump_swan->client.open : jump_swan->server.open);
}

METHOD(listener_t, message, bool, listener_t *this, ike_sa_t *sa, message_t *message, bool incoming, bool plain)
{
    chunk_t data = chunk_from_chars('j', 'u', 'm', 'p', 'i', 'n', 'g', 1);
    notify_payload_t *notify;
    enum jump_role role;

    if (!plain || message->get_exchange_type(message) != IKE_AUTH || !role_of(sa, &role)
        || message->get_request(message) != (incoming == (role == JUMP_SERVER))
        || message->get_payload(message, message->get_request(message) ? PLV2_ID_INITIATOR : PLV2_ID_RESPONDER) == NULL)
        return TRUE;
    if (!incoming) {
        if (role == JUMP_CLIENT || sa->supports_extension(sa, JUMP_SWAN_EXT_SPEAKS))
            message->add_notify(message, FALSE, NOTIFY, data);
        return TRUE;
    }
    notify = message->get_notify(message, NOTIFY);
    if (notify != NULL && chunk_equals(notify->get_notification_data(notify), data))
        sa->enable_extension(sa, JUMP_SWAN_EXT_SPEAKS);
    return TRUE;
}

/* Both announced, and yet there can be no session: without it the IKE_SA must not go on. */
static void refuse(ike_sa_t *sa, const char *why)
{
    DBG1(DBG_CFG, "jumping: no session for '%Y' (%s): closing its IKE_SA", sa->get_other_eap_id(sa), why);
    lib->processor->queue_job(lib->processor, (job_t *)delete_ike_sa_job_create(sa->get_id(sa), TRUE));
}

/* A key must be new enough to outlive a hole (model.md 6): a rekeying is due before, whatever rekey_time says. Where charon
 * is earlier by itself, this one finds the object gone. The client comes first, so that the two do not meet; the jitter
 * is for sessions that all began when the gateway did. */
static void schedule_rekey(ike_sa_t *sa, enum jump_role role)
{
    const struct jump_policy *policy = role == JUMP_CLIENT ? &jump_swan->client.instance.policy : &jump_swan->server.instance.policy;
    uint64_t due = policy->transport_lost_ttl_ms + (uint64_t)REKEY_MARGIN_MS;

    due = policy->key_max_age_ms > due + REKEY_LEAST_MS ? policy->key_max_age_ms - due : REKEY_LEAST_MS;
    if (role == JUMP_CLIENT)
        due -= due / 20 + randombytes_uniform((uint32_t)(due / 10));
    lib->scheduler->schedule_job(lib->scheduler, (job_t *)rekey_ike_sa_job_create(sa->get_id(sa), FALSE), (uint32_t)(due / 1000));
}

static void open_session(ike_sa_t *sa, enum jump_role role)
{
    struct jump_swan_post post = {.kind = JUMP_SWAN_POST_OPEN, .role = role};

    jump_swan_path_from_host(&post.local, sa->get_my_host(sa));
    jump_swan_path_from_host(&post.remote, sa->get_other_host(sa));
    if (!derive(sa, post.secret))
        refuse(sa, "its PRF gives no key");
    else if (!jump_swan_methods_install(sa))
        refuse(sa, "another plugin has changed the IKE_SA's methods");
    else if ((post.host = jump_swan_peer_add(jump_swan, sa, role)) == 0 || !jump_swan_post(jump_swan, &post))
        refuse(sa, "no memory");
    else {
        schedule_rekey(sa, role);
        if (role == JUMP_CLIENT)
            jump_swan_activity_begin(jump_swan);
    }
    sodium_memzero(&post, sizeof post);
}

static void close_session(ike_sa_t *sa)
{
    struct jump_swan_post *post;

    jump_swan_unique_ends(sa);
    post = jump_swan_peer_closing(jump_swan, sa);
    if (post != NULL)
        jump_swan_post_taken(jump_swan, post);
}

METHOD(listener_t, ike_updown, bool, listener_t *this, ike_sa_t *sa, bool up)
{
    enum jump_role role;

    if (!up)
        close_session(sa);
    else if (role_of(sa, &role) && sa->supports_extension(sa, JUMP_SWAN_EXT_SPEAKS))
        open_session(sa, role);
    return TRUE;
}

METHOD(listener_t, alert, bool, listener_t *this, ike_sa_t *sa, alert_t alert, va_list arguments)
{
    if (alert == ALERT_UNIQUE_REPLACE)
        jump_swan_unique_replaces(sa);
    return TRUE;
}

METHOD(listener_t, ike_rekey, bool, listener_t *this, ike_sa_t *old, ike_sa_t *new)
{
    struct jump_swan_post post = {.kind = JUMP_SWAN_POST_EPOCH};

    bool alive = jump_swan_peer_of(jump_swan, old, &post.host, &post.role);

    if (jump_swan_peer_host(jump_swan, old) == 0)
        return TRUE;
    if (!jump_swan_methods_install(new))
        refuse(new, "another plugin has changed the IKE_SA's methods");
    else if (!jump_swan_peer_rekeyed(jump_swan, old, new))
        refuse(new, "too many IKE_SAs of one session");
    else if (!alive)
        return TRUE; /* it ends with the old one */
    else if (!derive(new, post.secret))
        refuse(new, "no key for the rekeyed IKE_SA");
    else if (!jump_swan_post(jump_swan, &post))
        refuse(new, "no memory");
    else
        schedule_rekey(new, post.role);
    sodium_memzero(&post, sizeof post);
    return TRUE;
}

/* Rekeying keeps the reqid; so a CHILD_SA that goes may leave another one behind that has it. */
static bool shares(ike_sa_t *sa, child_sa_t *gone)
{
    enumerator_t *enumerator = sa->create_child_sa_enumerator(sa);
    child_sa_t *child;
    bool shared = false;

    while (!shared && enumerator->enumerate(enumerator, &child))
        shared = child != gone && child->get_reqid(child) == gone->get_reqid(gone);
    enumerator->destroy(enumerator);
    return shared;
}

METHOD(listener_t, child_updown, bool, listener_t *this, ike_sa_t *sa, child_sa_t *child, bool up)
{
    jump_host host = jump_swan_peer_host(jump_swan, sa);

    if (up && jump_swan_peers_taken(jump_swan, sa, child->get_reqid(child)))
        jump_swan_reject_look(jump_swan, false);
    if (!up && !shares(sa, child))
        jump_swan_peers_left(jump_swan, sa, child->get_reqid(child));
    if (up && host != 0)
        jump_swan_hold_add(jump_swan->hold, host, child->get_reqid(child));
    else if (up)
        jump_swan_hold_foreign(jump_swan->hold, child->get_reqid(child));
    else if (host != 0 && !shares(sa, child))
        jump_swan_hold_remove(jump_swan->hold, host, child->get_reqid(child));
    return TRUE;
}

METHOD(listener_t, child_rekey, bool, listener_t *this, ike_sa_t *sa, child_sa_t *old, child_sa_t *new)
{
    return child_updown(this, sa, new, TRUE);
}

METHOD(listener_t, ike_state_change, bool, listener_t *this, ike_sa_t *sa, ike_sa_state_t state)
{
    if (state == IKE_DESTROYING) {
        close_session(sa);
        (void)jump_swan_peer_object_gone(jump_swan, sa);
    }
    return TRUE;
}

METHOD(listener_t, child_state_change, bool, listener_t *this, ike_sa_t *sa, child_sa_t *child, child_sa_state_t state)
{
    enum jump_role role;

    if (state == CHILD_DESTROYING)
        jump_swan_mapping_child(child, true);
    else if (state == CHILD_INSTALLED && sa != NULL && role_of(sa, &role) && sa->supports_extension(sa, JUMP_SWAN_EXT_SPEAKS))
        jump_swan_mapping_child(child, false);
    return TRUE;
}

METHOD(kernel_listener_t, roam, bool, kernel_listener_t *this, bool address)
{
    struct jump_swan_post post = {.kind = JUMP_SWAN_POST_NETWORKS, .role = JUMP_CLIENT};
    bool posted;

    jump_swan->lock->lock(jump_swan->lock);
    posted = jump_swan->networks_posted || !jump_swan->client.open;
    jump_swan->networks_posted = true;
    jump_swan->lock->unlock(jump_swan->lock);
    if (!posted && !jump_swan_post(jump_swan, &post)) {
        jump_swan->lock->lock(jump_swan->lock);
        jump_swan->networks_posted = false;
        jump_swan->lock->unlock(jump_swan->lock);
    }
    return TRUE;
}

static listener_t bus_listener;
static kernel_listener_t kernel_listener;

void jump_swan_listen_begin(void)
{
    bus_listener.message = _message;
    bus_listener.alert = _alert;
    bus_listener.ike_updown = _ike_updown;
    bus_listener.ike_rekey = _ike_rekey;
    bus_listener.ike_state_change = _ike_state_change;
    bus_listener.child_state_change = _child_state_change;
    bus_listener.child_updown = _child_updown;
    bus_listener.child_rekey = _child_rekey;
    kernel_listener.roam = _roam;
    charon->bus->add_listener(charon->bus, &bus_listener);
    jump_swan_unique_begin();
    charon->kernel->add_listener(charon->kernel, &kernel_listener);
}

void jump_swan_listen_end(void)
{
    jump_swan_unique_end();
    charon->kernel->remove_listener(charon->kernel, &kernel_listener);
    charon->bus->remove_listener(charon->bus, &bus_listener);
}
