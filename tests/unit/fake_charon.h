/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A charon of a test's own for adapters/strongswan: libstrongswan is the real one; of charon there are IKE_SAs that count
 * what is done to them, a manager that hands them out, and lists of the jobs that were queued or scheduled. Nothing runs
 * by itself: one thread, time is a variable. Include it once in a test program.
 */
#ifndef JUMP_TEST_FAKE_CHARON_H
#define JUMP_TEST_FAKE_CHARON_H

#include <stdlib.h>
#include <string.h>

#include <daemon.h>
#include <sa/ikev2/keymat_v2.h>
#include <sa/task.h>

#include "runner.h"
#include "strongswan/adapter.h"
#include "system/clock.h"

static jump_time now = JUMP_MS(1000000);
jump_time __wrap_jump_clock_now(void);
jump_time __wrap_jump_clock_now(void)
{
    return now;
}

/* --- an IKE_SA --------------------------------------------------------------------------------------------------- */

struct done { /* calls of the originals */
    unsigned update_hosts, retransmit, delete, roam, send_dpd, rekey, reauth, rekey_child_sa, delete_child_sa, reestablish;
};

struct fake_sa {
    ike_sa_t public; /* first: an ike_sa_t * is one of these */
    ike_sa_id_t *id;
    host_t *me, *other;
    identification_t *peer, *mine;
    ike_sa_state_t state;
    ike_version_t version;
    unsigned conditions, extensions;
    uint32_t delete_at; /* its hard lifetime's end; 0: it has none */
    keymat_v2_t keymat;
    char order[64]; /* the calls' initials, oldest first */
    struct done done;
    bool forced;              /* the newest delete's */
    uint32_t message_id;      /* the newest retransmit's */
    update_hosts_flag_t flags;
    status_t answer, reestablish_answer;
    child_sa_t *children[3];
    unsigned children_len;
    peer_cfg_t *peer_cfg;
    bool reauth_is_active; /* the task that deletes, and then begins anew */
    bool out, destroyed; /* checked out; destroyed by its manager */
};

static struct fake_sa *fake(ike_sa_t *this)
{
    return (struct fake_sa *)this;
}

static status_t did(ike_sa_t *this, unsigned *counter, char initial)
{
    struct fake_sa *sa = fake(this);
    size_t len = strlen(sa->order);

    ++*counter;
    if (len + 1 < sizeof sa->order)
        sa->order[len] = initial;
    return sa->answer;
}

static ike_sa_id_t *sa_get_id(ike_sa_t *this) { return fake(this)->id; }
static host_t *sa_get_my_host(ike_sa_t *this) { return fake(this)->me; }
static host_t *sa_get_other_host(ike_sa_t *this) { return fake(this)->other; }
static identification_t *sa_get_mine(ike_sa_t *this) { return fake(this)->mine; }
static identification_t *sa_get_peer(ike_sa_t *this) { return fake(this)->peer; }
static ike_sa_state_t sa_get_state(ike_sa_t *this) { return fake(this)->state; }
static void sa_set_state(ike_sa_t *this, ike_sa_state_t state) { fake(this)->state = state; }
static ike_version_t sa_get_version(ike_sa_t *this) { return fake(this)->version; }
static keymat_t *sa_get_keymat(ike_sa_t *this) { return &fake(this)->keymat.keymat; }
static peer_cfg_t *sa_get_peer_cfg(ike_sa_t *this) { return fake(this)->peer_cfg; }
static bool sa_has_condition(ike_sa_t *this, ike_condition_t c) { return (fake(this)->conditions & c) != 0; }
static bool sa_supports(ike_sa_t *this, ike_extension_t e) { return (fake(this)->extensions & e) != 0; }
static void sa_enable(ike_sa_t *this, ike_extension_t e) { fake(this)->extensions |= e; }

static uint32_t sa_get_statistic(ike_sa_t *this, statistic_t kind)
{
    return kind == STAT_DELETE ? fake(this)->delete_at : 0;
}

static void sa_set_condition(ike_sa_t *this, ike_condition_t condition, bool on)
{
    struct fake_sa *sa = fake(this);

    sa->conditions = on ? sa->conditions | condition : sa->conditions & ~(unsigned)condition;
    sa->conditions &= ~(unsigned)COND_NAT_ANY;
    if (sa->conditions & (COND_NAT_HERE | COND_NAT_THERE | COND_NAT_FAKE))
        sa->conditions |= COND_NAT_ANY;
}

static void sa_update_hosts(ike_sa_t *this, host_t *me, host_t *other, update_hosts_flag_t flags)
{
    struct fake_sa *sa = fake(this);
    host_t *mine = me->clone(me), *theirs = other->clone(other);

    (void)did(this, &sa->done.update_hosts, 'u');
    sa->flags = flags;
    sa->me->destroy(sa->me);
    sa->other->destroy(sa->other);
    sa->me = mine;
    sa->other = theirs;
}

static status_t sa_retransmit(ike_sa_t *this, uint32_t message_id)
{
    fake(this)->message_id = message_id;
    return did(this, &fake(this)->done.retransmit, 't');
}

static status_t sa_delete(ike_sa_t *this, bool force)
{
    fake(this)->forced = force;
    return did(this, &fake(this)->done.delete, 'd');
}

static status_t sa_roam(ike_sa_t *this, bool address)
{
    (void)address;
    return did(this, &fake(this)->done.roam, 'o');
}

static status_t sa_send_dpd(ike_sa_t *this) { return did(this, &fake(this)->done.send_dpd, 'p'); }
static status_t sa_rekey(ike_sa_t *this) { return did(this, &fake(this)->done.rekey, 'k'); }
static status_t sa_reauth(ike_sa_t *this) { return did(this, &fake(this)->done.reauth, 'a'); }

static status_t sa_rekey_child(ike_sa_t *this, protocol_id_t protocol, uint32_t spi)
{
    (void)protocol, (void)spi;
    return did(this, &fake(this)->done.rekey_child_sa, 'K');
}

static status_t sa_delete_child(ike_sa_t *this, protocol_id_t protocol, uint32_t spi, bool expired)
{
    (void)protocol, (void)spi, (void)expired;
    return did(this, &fake(this)->done.delete_child_sa, 'D');
}

static status_t sa_reestablish(ike_sa_t *this)
{
    (void)did(this, &fake(this)->done.reestablish, 'e');
    return fake(this)->reestablish_answer;
}

struct children {
    enumerator_t public;
    struct fake_sa *sa;
    unsigned at;
};

static bool children_next(enumerator_t *this, va_list arguments)
{
    struct children *e = (struct children *)this;
    child_sa_t **out;

    VA_ARGS_VGET(arguments, out);
    if (e->at == e->sa->children_len)
        return FALSE;
    *out = e->sa->children[e->at++];
    return TRUE;
}

static void children_end(enumerator_t *this) { free(this); }

static enumerator_t *sa_children(ike_sa_t *this)
{
    struct children *e;

    INIT(e, .public = {.enumerate = enumerator_enumerate_default, .venumerate = children_next, .destroy = children_end},
         .sa = fake(this));
    return &e->public;
}

static task_type_t reauth_type(task_t *this) { (void)this; return TASK_IKE_REAUTH; }

struct tasks {
    enumerator_t public;
    task_t task;
    bool left;
};

static bool tasks_next(enumerator_t *this, va_list arguments)
{
    struct tasks *e = (struct tasks *)this;
    task_t **out;

    VA_ARGS_VGET(arguments, out);
    *out = &e->task;
    return e->left ? !(e->left = FALSE) : FALSE;
}

static enumerator_t *sa_tasks(ike_sa_t *this, task_queue_t queue)
{
    struct tasks *e;

    INIT(e, .public = {.enumerate = enumerator_enumerate_default, .venumerate = tasks_next, .destroy = children_end},
         .task = {.get_type = reauth_type}, .left = queue == TASK_QUEUE_ACTIVE && fake(this)->reauth_is_active);
    return &e->public;
}

#ifndef FAKES
#define FAKES 16
#endif
static struct fake_sa fakes[FAKES];
static unsigned fakes_len;

static host_t *host_of(const char *address, uint16_t port)
{
    return host_create_from_string((char *)address, port);
}

/* An IKE_SA as after its handshake, from 198.51.100.1:4500 to 203.0.113.7:4500. */
static ike_sa_t *new_sa(bool initiator)
{
    struct fake_sa *sa = &fakes[fakes_len];

    CU_ASSERT_TRUE_FATAL(fakes_len < FAKES);
    memset(sa, 0, sizeof *sa);
    sa->public = (ike_sa_t){
        .get_id = sa_get_id, .get_my_host = sa_get_my_host, .get_other_host = sa_get_other_host,
        .get_my_id = sa_get_mine, .get_other_id = sa_get_peer, .get_other_eap_id = sa_get_peer, .get_state = sa_get_state, .set_state = sa_set_state, .get_version = sa_get_version,
        .get_statistic = sa_get_statistic,
        .get_keymat = sa_get_keymat, .get_peer_cfg = sa_get_peer_cfg, .has_condition = sa_has_condition,
        .set_condition = sa_set_condition, .supports_extension = sa_supports, .enable_extension = sa_enable,
        .update_hosts = sa_update_hosts, .retransmit = sa_retransmit, .delete = sa_delete, .roam = sa_roam,
        .send_dpd = sa_send_dpd, .rekey = sa_rekey, .reauth = sa_reauth, .rekey_child_sa = sa_rekey_child,
        .delete_child_sa = sa_delete_child, .reestablish = sa_reestablish, .create_child_sa_enumerator = sa_children,
        .create_task_enumerator = sa_tasks};
    fakes_len++;
    sa->id = ike_sa_id_create(IKEV2_MAJOR_VERSION, fakes_len, 1000 + fakes_len, initiator);
    sa->me = host_of("198.51.100.1", 4500);
    sa->other = host_of("203.0.113.7", 4500);
    sa->peer = identification_create_from_string("peer@lab");
    sa->mine = identification_create_from_string("gateway@lab");
    sa->state = IKE_ESTABLISHED;
    sa->version = IKEV2;
    sa->conditions = initiator ? COND_ORIGINAL_INITIATOR : 0;
    sa->reestablish_answer = SUCCESS;
    return &sa->public;
}

/* --- the rest of charon ------------------------------------------------------------------------------------------ */

static job_t *jobs[64]; /* queued, oldest first */
static unsigned jobs_len, scheduled, scheduled_s;
static job_t *later; /* the newest one that was scheduled */

static void fake_queue(processor_t *this, job_t *job)
{
    (void)this;
    CU_ASSERT_TRUE_FATAL(jobs_len < sizeof jobs / sizeof jobs[0]);
    jobs[jobs_len++] = job;
}

static void fake_schedule(scheduler_t *this, job_t *job, uint32_t seconds)
{
    (void)this;
    scheduled++;
    scheduled_s = seconds;
    DESTROY_IF(later);
    later = job;
}

static void fake_schedule_ms(scheduler_t *this, job_t *job, uint32_t ms)
{
    fake_schedule(this, job, ms / 1000);
}

static inline void run_jobs(void)
{
    for (unsigned i = 0; i < jobs_len; i++) {
        CU_ASSERT_EQUAL(jobs[i]->execute(jobs[i]).type, JOB_REQUEUE_TYPE_NONE);
        jobs[i]->destroy(jobs[i]);
    }
    jobs_len = 0;
}

static void drop_jobs(void)
{
    while (jobs_len > 0)
        jobs[jobs_len - 1]->destroy(jobs[jobs_len - 1]), jobs_len--;
    DESTROY_IF(later);
    later = NULL;
}

/* The newest scheduled job. @return how many it scheduled anew */
static inline unsigned run_timed_later(void)
{
    job_t *job = later;
    unsigned before = scheduled;

    CU_ASSERT_PTR_NOT_NULL_FATAL(job);
    later = NULL;
    CU_ASSERT_EQUAL(job->execute(job).type, JOB_REQUEUE_TYPE_NONE);
    job->destroy(job);
    return scheduled - before;
}

/* The order in which objects came back: their numbers in fakes; destroyed ones as capitals of the alphabet. */
static char came_back[64];

static void note(ike_sa_t *sa, char first)
{
    size_t len = strlen(came_back);

    if (len + 1 < sizeof came_back)
        came_back[len] = (char)(first + (fake(sa) - fakes));
    CU_ASSERT_TRUE(fake(sa)->out);
    fake(sa)->out = false;
}

static ike_sa_t *fake_checkout(ike_sa_manager_t *this, ike_sa_id_t *id)
{
    (void)this;
    for (unsigned i = 0; i < fakes_len; i++) {
        if (fakes[i].destroyed || !id->equals(id, fakes[i].id))
            continue;
        CU_ASSERT_FALSE_FATAL(fakes[i].out); /* charon would wait for ever */
        fakes[i].out = true;
        return &fakes[i].public;
    }
    return NULL;
}

static void fake_checkin(ike_sa_manager_t *this, ike_sa_t *sa)
{
    (void)this;
    note(sa, 'a');
}

static void (*on_destroying)(ike_sa_t *sa); /* as the bus would tell it */
static void fake_checkin_and_destroy(ike_sa_manager_t *this, ike_sa_t *sa)
{
    (void)this;
    note(sa, 'A');
    fake(sa)->destroyed = true;
    if (on_destroying != NULL)
        on_destroying(sa);
}

static listener_t *listener;
static void fake_add_listener(bus_t *this, listener_t *added)
{
    (void)this;
    listener = added;
}
static void fake_remove_listener(bus_t *this, listener_t *removed)
{
    (void)this;
    CU_ASSERT_PTR_EQUAL(listener, removed);
    listener = NULL;
}
static kernel_listener_t *kernel_listener;
static void fake_add_kernel_listener(kernel_interface_t *this, kernel_listener_t *added)
{
    (void)this;
    kernel_listener = added;
}
static void fake_remove_kernel_listener(kernel_interface_t *this, kernel_listener_t *removed)
{
    (void)this;
    CU_ASSERT_PTR_EQUAL(kernel_listener, removed);
    kernel_listener = NULL;
}

static unsigned initiated;
static status_t fake_initiate(controller_t *this, peer_cfg_t *peer, child_cfg_t *child, controller_cb_t callback, void *data,
                              u_int timeout, bool limits)
{
    (void)this, (void)callback, (void)data, (void)timeout, (void)limits;
    initiated++;
    peer->destroy(peer); /* the controller owns what it is given */
    child->destroy(child);
    return SUCCESS;
}

static ike_sa_manager_t fake_manager = {
    .checkout = fake_checkout, .checkin = fake_checkin, .checkin_and_destroy = fake_checkin_and_destroy};
static unsigned lines;
static void fake_log(bus_t *this, debug_t group, level_t level, char *format, ...)
{
    (void)this, (void)group, (void)level, (void)format;
    lines++;
}

static bus_t fake_bus = {.log = fake_log, .add_listener = fake_add_listener, .remove_listener = fake_remove_listener};
static kernel_interface_t fake_kernel = {
    .add_listener = fake_add_kernel_listener, .remove_listener = fake_remove_kernel_listener};
static controller_t fake_controller = {.initiate = fake_initiate};
static daemon_t fake_daemon = {
    .ike_sa_manager = &fake_manager, .bus = &fake_bus, .kernel = &fake_kernel, .controller = &fake_controller};

static void quiet(debug_t group, level_t level, char *format, ...)
{
    (void)group, (void)level, (void)format;
}

static struct jump_swan swan_object;
#define swan (&swan_object)

static inline void begin(void)
{
    struct jump_policy_draft draft;

    CU_ASSERT_TRUE_FATAL(library_init("", "charon"));
    dbg = quiet;
    lib->processor->queue_job = fake_queue;
    lib->scheduler->schedule_job = fake_schedule;
    lib->scheduler->schedule_job_ms = fake_schedule_ms;
    charon = &fake_daemon;
    memset(came_back, 0, sizeof came_back);
    fakes_len = jobs_len = scheduled = scheduled_s = initiated = lines = 0;
    on_destroying = NULL;
    memset(swan, 0, sizeof *swan);
    swan->lock = mutex_create(MUTEX_TYPE_DEFAULT);
    swan->by_sa = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    swan->by_host = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    swan->reqids = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    swan->inbox = linked_list_create();
    swan->wake_fd = -1;
    swan->settings.reestablish = true;
    swan->server.open = swan->client.open = true;
    jump_policy_begin(&draft);
    swan->server.instance.policy = swan->client.instance.policy = draft.policy;
    jump_swan = swan;
}

static inline bool table_is_empty(void)
{
    return swan->by_sa->get_count(swan->by_sa) == 0 && swan->by_host->get_count(swan->by_host) == 0;
}

static inline void end(void)
{
    struct jump_swan_post *post;

    drop_jobs();
    while (swan->inbox->remove_first(swan->inbox, (void **)&post) == SUCCESS)
        free(post);
    jump_swan = NULL;
    jump_swan_peers_clear(swan);
    swan->by_sa->destroy(swan->by_sa);
    swan->by_host->destroy(swan->by_host);
    swan->reqids->destroy(swan->reqids);
    swan->inbox->destroy(swan->inbox);
    swan->lock->destroy(swan->lock);
    for (unsigned i = 0; i < fakes_len; i++) {
        CU_ASSERT_FALSE(fakes[i].out);
        fakes[i].id->destroy(fakes[i].id);
        fakes[i].me->destroy(fakes[i].me);
        fakes[i].other->destroy(fakes[i].other);
        fakes[i].peer->destroy(fakes[i].peer);
        fakes[i].mine->destroy(fakes[i].mine);
    }
    library_deinit();
}

#endif
