/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All of charon's threads at once on the whole adapter, opened and closed as charon does it: a receiver, workers with jobs,
 * threads that have an IKE_SA checked out and tell the bus, the kernel's news, libipsec's outbound job, and our own session
 * thread with both engines, whose messages go through a network with a NAT. What it asserts is that sessions are born, move
 * and end; what it is for is ThreadSanitizer (tools/proof threads) and ASan, which see each access meanwhile.
 * Nothing here waits for a time but for things to happen. Read next: fake_charon.h, adapters/strongswan/adapter.h.
 */
#define FAKES 64
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <ipsec.h>

#include "fake_charon.h"
#include "scratch.h"

#define PAIRS 6 /* sessions; each has a client's and a server's IKE_SA, and two to rekey to */
#define GENERATIONS 3
#define CLIENT "198.51.100.1"
#define SERVER "203.0.113.7"
#define PATIENCE 20000 /* looks, 1 ms apart and more: only a test that fails gets there */

static struct scratch scratch;
static atomic_bool ending, workers_end;
static pthread_mutex_t bus_lock = PTHREAD_MUTEX_INITIALIZER; /* charon calls its listeners under one */

/* --- IKE_SAs that one thread at a time has -------------------------------------------------------------------- */

static pthread_mutex_t sas_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sas_free = PTHREAD_COND_INITIALIZER;

static ike_sa_t *check_out(struct fake_sa *sa)
{
    bool there;

    pthread_mutex_lock(&sas_lock);
    while (sa->out && !sa->destroyed)
        pthread_cond_wait(&sas_free, &sas_lock);
    there = !sa->destroyed;
    if (there)
        sa->out = true;
    pthread_mutex_unlock(&sas_lock);
    return there ? &sa->public : NULL;
}

static void check_in(ike_sa_t *sa, bool destroyed)
{
    pthread_mutex_lock(&sas_lock);
    fake(sa)->out = false;
    fake(sa)->destroyed |= destroyed;
    pthread_cond_broadcast(&sas_free);
    pthread_mutex_unlock(&sas_lock);
}

static ike_sa_t *manager_checkout(ike_sa_manager_t *this, ike_sa_id_t *id)
{
    (void)this;
    for (unsigned i = 0; i < fakes_len; i++)
        if (id->equals(id, fakes[i].id))
            return check_out(&fakes[i]);
    return NULL;
}

static void manager_checkin(ike_sa_manager_t *this, ike_sa_t *sa)
{
    (void)this;
    check_in(sa, false);
}

/* As charon: the bus is told while its thread still has it. */
static void destroy_sa(ike_sa_t *sa)
{
    pthread_mutex_lock(&bus_lock);
    if (listener != NULL)
        (void)listener->ike_state_change(listener, sa, IKE_DESTROYING);
    pthread_mutex_unlock(&bus_lock);
    check_in(sa, true);
}

static void manager_checkin_and_destroy(ike_sa_manager_t *this, ike_sa_t *sa)
{
    (void)this;
    destroy_sa(sa);
}

/* --- jobs ------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static job_t *waiting[1024];
static size_t waiting_len;

static void queue_job(processor_t *this, job_t *job)
{
    (void)this;
    pthread_mutex_lock(&jobs_lock);
    if (waiting_len < sizeof waiting / sizeof waiting[0])
        waiting[waiting_len++] = job;
    else
        abort();
    pthread_mutex_unlock(&jobs_lock);
}

static void schedule_job(scheduler_t *this, job_t *job, uint32_t seconds)
{
    (void)this, (void)seconds;
    job->destroy(job); /* a rekeying in an hour */
}

static void schedule_job_ms(scheduler_t *this, job_t *job, uint32_t ms)
{
    (void)this, (void)ms;
    queue_job(NULL, job);
}

static job_t *next_job(void)
{
    job_t *job = NULL;

    pthread_mutex_lock(&jobs_lock);
    if (waiting_len > 0) {
        job = waiting[0];
        memmove(waiting, waiting + 1, --waiting_len * sizeof waiting[0]);
    }
    pthread_mutex_unlock(&jobs_lock);
    return job;
}

static void *worker(void *unused)
{
    while (!workers_end) {
        job_t *job = next_job();

        if (job == NULL) {
            usleep(500);
        } else if (job->execute(job).type == JOB_REQUEUE_TYPE_NONE) {
            job->destroy(job);
        } else {
            usleep(1000);
            queue_job(NULL, job);
        }
    }
    return unused;
}

/* --- the network, with a NAT before the client ----------------------------------------------------------------- */

static pthread_mutex_t wire_lock = PTHREAD_MUTEX_INITIALIZER;
static packet_t *flying[4096];
static size_t flying_len;
static uint16_t nat_port;
static bool cut; /* nothing passes */

static void send_packet(sender_t *this, packet_t *packet)
{
    host_t *from = packet->get_source(packet), *to = packet->get_destination(packet), *client = host_of(CLIENT, 4500);
    bool lost;

    (void)this;
    pthread_mutex_lock(&wire_lock);
    lost = cut || flying_len == sizeof flying / sizeof flying[0];
    if (from->ip_equals(from, client)) {
        packet->set_source(packet, host_of(CLIENT, nat_port));
    } else {
        lost |= to->get_port(to) != nat_port; /* to a mapping that is gone */
        packet->set_destination(packet, host_of(CLIENT, 4500));
    }
    if (!lost)
        flying[flying_len++] = packet;
    pthread_mutex_unlock(&wire_lock);
    client->destroy(client);
    if (lost)
        packet->destroy(packet);
}

static status_t receive_packet(socket_manager_t *this, packet_t **packet)
{
    bool any;

    (void)this;
    pthread_mutex_lock(&wire_lock);
    any = flying_len > 0;
    if (any) {
        *packet = flying[0];
        memmove(flying, flying + 1, --flying_len * sizeof flying[0]);
    }
    pthread_mutex_unlock(&wire_lock);
    if (!any)
        usleep(300);
    return any ? SUCCESS : FAILED;
}

static void *receiver(void *unused)
{
    packet_t *packet;

    while (!workers_end)
        if (charon->socket->receive(charon->socket, &packet) == SUCCESS)
            packet->destroy(packet);
    return unused;
}

static uint16_t get_port(socket_manager_t *this, bool nat_t)
{
    (void)this;
    return nat_t ? 4500 : 500;
}

/* --- the rest of charon ----------------------------------------------------------------------------------------- */

static bool usable(kernel_interface_t *this) { (void)this; return TRUE; }

static host_t *source_addr(kernel_interface_t *this, host_t *to, host_t *from)
{
    (void)this, (void)to, (void)from;
    return host_of(CLIENT, 0);
}

static void log_nothing(bus_t *this, debug_t group, level_t level, char *format, ...)
{
    (void)this, (void)group, (void)level, (void)format;
}

static bool one_cfg(enumerator_t *this, va_list arguments)
{
    (void)this, (void)arguments;
    return TRUE;
}
static void end_cfg(enumerator_t *this) { free(this); }
static enumerator_t *some_cfgs(backend_manager_t *this, host_t *me, host_t *other, identification_t *a, identification_t *b,
                               ike_version_t version)
{
    enumerator_t *e;

    (void)this, (void)me, (void)other, (void)a, (void)b, (void)version;
    INIT(e, .enumerate = enumerator_enumerate_default, .venumerate = one_cfg, .destroy = end_cfg);
    return e;
}

/* As charon's own by INITIAL_CONTACT: the older one that the test names goes, and its peer is not asked. */
static ike_sa_t *older;
static bool check_unique(ike_sa_manager_t *this, ike_sa_t *newer, bool force_replace)
{
    ike_sa_t *sa = check_out(fake(older));

    (void)this, (void)newer, (void)force_replace;
    pthread_mutex_lock(&bus_lock);
    (void)listener->ike_updown(listener, sa, FALSE);
    pthread_mutex_unlock(&bus_lock);
    destroy_sa(sa);
    return FALSE;
}

static ike_sa_manager_t manager = {
    .check_uniqueness = check_unique,
    .checkout = manager_checkout, .checkin = manager_checkin, .checkin_and_destroy = manager_checkin_and_destroy};
static bus_t bus = {.log = log_nothing, .add_listener = fake_add_listener, .remove_listener = fake_remove_listener};
static kernel_interface_t kernel;
static socket_manager_t socket_manager = {.get_port = get_port};
static sender_t sender = {.send_no_marker = send_packet};
static backend_manager_t backends = {.create_peer_cfg_enumerator = some_cfgs};
static daemon_t threaded_charon = {.ike_sa_manager = &manager, .bus = &bus, .kernel = &kernel, .socket = &socket_manager,
                                   .sender = &sender, .backends = &backends, .controller = &fake_controller};

/* CHILD_SAs: only who they are, and counters. */
struct fake_child {
    child_sa_t public;
    uint32_t reqid;
    atomic_uint packets;
};
static struct fake_child fake_children[PAIRS];

static uint32_t child_reqid(child_sa_t *this) { return ((struct fake_child *)this)->reqid; }
static uint32_t child_spi(child_sa_t *this, bool inbound) { return ((struct fake_child *)this)->reqid * 2 + inbound; }
static child_sa_state_t child_state(child_sa_t *this) { (void)this; return CHILD_INSTALLED; }
static void child_stats(child_sa_t *this, bool inbound, time_t *at, uint64_t *bytes, uint64_t *packets)
{
    (void)inbound, (void)at, (void)bytes;
    *packets = ((struct fake_child *)this)->packets++;
}

/* --- libipsec, if this machine has it ---------------------------------------------------------------------------- */

static ipsec_t **userspace;
static ip_packet_t *(*make_packet)(chunk_t);
static ipsec_policy_t policies[PAIRS];
static atomic_uint passed_on, passed_at_once;

static uint32_t policy_reqid(ipsec_policy_t *this) { return (uint32_t)(this - policies) + 1; }
static void policy_destroy(ipsec_policy_t *this) { (void)this; }

static ipsec_policy_t *find_policy(ipsec_policy_mgr_t *this, ip_packet_t *packet, bool inbound, uint32_t reqid)
{
    host_t *to = packet->get_destination(packet);
    uint8_t last = to->get_address(to).ptr[3];

    (void)this, (void)inbound, (void)reqid;
    return last < PAIRS ? &policies[last] : NULL;
}

static ipsec_policy_mgr_t policy_manager;
static ip_packet_t *sent_on[8192]; /* for the outbound job, as libipsec does it; under wire_lock */
static size_t sent_on_len;

static void queue_outbound(ipsec_processor_t *this, ip_packet_t *packet)
{
    (void)this;
    pthread_mutex_lock(&wire_lock);
    if (sent_on_len == sizeof sent_on / sizeof sent_on[0])
        abort();
    sent_on[sent_on_len++] = packet;
    pthread_mutex_unlock(&wire_lock);
}

static ip_packet_t *next_outbound(void)
{
    ip_packet_t *packet = NULL;

    pthread_mutex_lock(&wire_lock);
    if (sent_on_len > 0)
        packet = sent_on[--sent_on_len];
    pthread_mutex_unlock(&wire_lock);
    return packet;
}

static ipsec_processor_t ipsec_processor = {.queue_outbound = queue_outbound};
static ipsec_t fake_ipsec = {.policies = &policy_manager, .processor = &ipsec_processor};

static void *outbound(void *unused)
{
    for (unsigned n = 0; !ending; n++) {
        uint8_t bytes[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 9, 10, 0, 0, (uint8_t)(n % PAIRS)};
        ip_packet_t *packet = make_packet(chunk_clone(chunk_create(bytes, sizeof bytes)));

        passed_at_once += policy_manager.find_by_packet(&policy_manager, packet, FALSE, 0) != NULL;
        packet->destroy(packet);
        while ((packet = next_outbound()) != NULL) {
            passed_on += policy_manager.find_by_packet(&policy_manager, packet, FALSE, 0) != NULL;
            packet->destroy(packet);
        }
        usleep(300);
    }
    return unused;
}

/* --- what charon's workers do with an IKE_SA ---------------------------------------------------------------------- */

static ike_sa_t *ends[PAIRS][2][GENERATIONS]; /* [][0]: the client's */
static atomic_uint newest[PAIRS][2];

/* Both ends of a session have the same key in each generation. Written before there is a thread. */
static uint8_t keys[PAIRS][GENERATIONS][32];

static pseudo_random_function_t get_skd(keymat_v2_t *this, chunk_t *skd)
{
    size_t at = (size_t)((uint8_t *)this - (uint8_t *)fakes) / sizeof fakes[0];

    *skd = chunk_create(keys[at / (2 * GENERATIONS)][at % GENERATIONS], sizeof keys[0][0]);
    return PRF_HMAC_SHA2_256;
}

static void bring_up(unsigned pair, unsigned end)
{
    ike_sa_t *sa = check_out(fake(ends[pair][end][0]));

    pthread_mutex_lock(&bus_lock);
    (void)listener->ike_updown(listener, sa, TRUE);
    (void)listener->child_state_change(listener, sa, &fake_children[pair].public, CHILD_INSTALLED);
    (void)listener->child_updown(listener, sa, &fake_children[pair].public, TRUE);
    pthread_mutex_unlock(&bus_lock);
    check_in(sa, false);
}

static void *bring_up_all(void *end)
{
    for (unsigned pair = 0; pair < PAIRS; pair++)
        bring_up(pair, (unsigned)(uintptr_t)end);
    return NULL;
}

static void rekey(unsigned pair, unsigned end)
{
    unsigned at = newest[pair][end];
    ike_sa_t *old, *new;

    if (at + 1 == GENERATIONS || (old = check_out(fake(ends[pair][end][at]))) == NULL)
        return;
    new = check_out(fake(ends[pair][end][at + 1]));
    if (new == NULL || atomic_exchange(&newest[pair][end], at + 1) != at) {
        if (new != NULL)
            check_in(new, false);
        check_in(old, false);
        return;
    }
    pthread_mutex_lock(&bus_lock);
    (void)listener->ike_rekey(listener, old, new);
    pthread_mutex_unlock(&bus_lock);
    check_in(new, false);
    destroy_sa(old);
}

static void use(unsigned pair, unsigned end, uint64_t what)
{
    ike_sa_t *sa = check_out(fake(ends[pair][end][atomic_load(&newest[pair][end])]));
    host_t *elsewhere;

    if (sa == NULL)
        return;
    switch (what % 9) {
    case 0: (void)sa->retransmit(sa, (uint32_t)what); break;
    case 1: (void)sa->send_dpd(sa); break;
    case 2: (void)sa->roam(sa, TRUE); break;
    case 3: (void)sa->rekey(sa); break;
    case 4: (void)sa->rekey_child_sa(sa, PROTO_ESP, (uint32_t)what); break;
    case 5: (void)sa->delete_child_sa(sa, PROTO_ESP, (uint32_t)what, FALSE); break;
    case 6:
        elsewhere = host_of("192.0.2.99", 99);
        sa->update_hosts(sa, elsewhere, elsewhere, 0); /* refused while there is a session */
        elsewhere->destroy(elsewhere);
        break;
    case 7: sa->set_condition(sa, COND_NAT_THERE, what & 64); break;
    default:
        pthread_mutex_lock(&bus_lock);
        (void)listener->child_updown(listener, sa, &fake_children[pair].public, what & 64);
        pthread_mutex_unlock(&bus_lock);
    }
    check_in(sa, false);
}

static void *charons_worker(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed;

    for (unsigned n = 0; !ending; n++) {
        uint64_t r = runner_random(&random);
        unsigned pair = (unsigned)(r >> 8) % PAIRS, end = (unsigned)(r >> 16) & 1;

        if (n % 64 == 63)
            (void)kernel_listener->roam(kernel_listener, TRUE);
        else if (n % 100 == 99)
            rekey(pair, end);
        else
            use(pair, end, r >> 20);
        usleep((unsigned)(r >> 40) % 500);
    }
    return NULL;
}

static void *take_down(void *end)
{
    for (unsigned pair = 0; pair < PAIRS; pair++)
        for (unsigned i = 0; i < GENERATIONS; i++) {
            ike_sa_t *sa = check_out(fake(ends[pair][(uintptr_t)end][i]));

            if (sa != NULL)
                destroy_sa(sa);
        }
    return NULL;
}

/* --- the story ------------------------------------------------------------------------------------------------------ */

static bool all_bound(enum jump_role role)
{
    struct jump_swan_peer *peer;
    enumerator_t *enumerator;
    unsigned bound = 0;
    void *key;

    jump_swan->lock->lock(jump_swan->lock);
    enumerator = jump_swan->by_host->create_enumerator(jump_swan->by_host);
    while (enumerator->enumerate(enumerator, &key, &peer))
        bound += peer->role == role && peer->phase == JUMP_SWAN_BOUND;
    enumerator->destroy(enumerator);
    jump_swan->lock->unlock(jump_swan->lock);
    return bound == PAIRS;
}

/* The server's IKE_SAs have followed the client to this port. */
static bool all_followed(uint16_t port)
{
    unsigned there = 0;

    for (unsigned pair = 0; pair < PAIRS; pair++) {
        ike_sa_t *sa = check_out(fake(ends[pair][1][atomic_load(&newest[pair][1])]));
        host_t *other;

        if (sa == NULL)
            continue;
        other = sa->get_other_host(sa);
        there += other->get_port(other) == port;
        check_in(sa, false);
    }
    return there == PAIRS;
}

/* A failure ends the program: threads are at work. */
#define UNTIL(condition)                                                       \
    do {                                                                       \
        for (unsigned looks_ = 0; !(condition); looks_++) {                    \
            usleep(1000);                                                      \
            if (looks_ == PATIENCE) {                                          \
                fprintf(stderr, "line %d: never came: %s\n", __LINE__, #condition); \
                abort();                                                       \
            }                                                                  \
        }                                                                      \
    } while (0)

static void move_nat(uint16_t port, bool hole)
{
    pthread_mutex_lock(&wire_lock);
    nat_port = port;
    cut = hole;
    pthread_mutex_unlock(&wire_lock);
}

static void charon_begin(void)
{
    struct jump_problem problem = {.text = ""};
    char value[256];
    void *libipsec;

    CU_ASSERT_TRUE_FATAL(library_init("", "charon"));
    dbg = quiet;
    CU_ASSERT_TRUE_FATAL(lib->plugins->load(lib->plugins, "sha2 hmac kdf"));
    lib->processor->queue_job = queue_job;
    lib->scheduler->schedule_job = schedule_job;
    lib->scheduler->schedule_job_ms = schedule_job_ms;
    charon = &threaded_charon;
    kernel = (kernel_interface_t){.all_interfaces_usable = usable, .get_source_addr = source_addr,
                                  .add_listener = fake_add_kernel_listener, .remove_listener = fake_remove_kernel_listener};
    socket_manager.receive = receive_packet;
    policy_manager.find_by_packet = find_policy;
    userspace = NULL;
    libipsec = dlopen("/usr/lib/ipsec/libipsec.so.0", RTLD_LAZY);
    if (libipsec != NULL) {
        userspace = dlsym(libipsec, "ipsec");
        make_packet = (ip_packet_t *(*)(chunk_t))dlsym(libipsec, "ip_packet_create");
        *userspace = &fake_ipsec;
    }
    for (size_t i = 0; i < sizeof keys; i++)
        ((uint8_t *)keys)[i] = (uint8_t)(i * 7 + i / 32 + 1);
    fakes_len = 0;
    waiting_len = flying_len = 0;
    ending = workers_end = false;
    move_nat(4500, false);
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        policies[pair] = (ipsec_policy_t){.get_reqid = policy_reqid, .destroy = policy_destroy};
        fake_children[pair].public = (child_sa_t){.get_reqid = child_reqid, .get_spi = child_spi, .get_state = child_state,
                                                  .get_usestats = child_stats};
        fake_children[pair].reqid = pair + 1;
        for (unsigned end = 0; end < 2; end++) {
            newest[pair][end] = 0;
            for (unsigned i = 0; i < GENERATIONS; i++) {
                ike_sa_t *sa = new_sa(end == 0);

                ends[pair][end][i] = sa;
                fake(sa)->keymat.get_skd = get_skd;
                fake(sa)->extensions = JUMP_SWAN_EXT_SPEAKS;
                fake(sa)->children[0] = &fake_children[pair].public;
                fake(sa)->children_len = 1;
                if (end == 1) {
                    host_t *me = fake(sa)->me;

                    fake(sa)->me = fake(sa)->other;
                    fake(sa)->other = me;
                }
            }
        }
    }
    lib->settings->set_str(lib->settings, "charon.plugins.jumping.state_dir", scratch.folder);
    lib->settings->set_str(lib->settings, "charon.plugins.jumping.run_dir", scratch.folder);
    lib->settings->set_str(lib->settings, "charon.plugins.jumping.audit_dir", scratch.folder);
    snprintf(value, sizeof value, "%s/mobile.ini", POLICIES);
    lib->settings->set_str(lib->settings, "charon.plugins.jumping.policy", value);
    lib->settings->set_int(lib->settings, "charon.plugins.jumping.max_sessions", 64);
    lib->settings->set_bool(lib->settings, "charon.plugins.jumping.reestablish", FALSE);
    lib->settings->set_bool(lib->settings, "charon.plugins.jumping.reject", FALSE); /* this machine's own packets are none of ours */
    if (!jump_swan_open(&problem)) {
        printf("%s\n", problem.text);
        CU_FAIL_FATAL("the adapter did not open");
    }
}

/* charon ends its IKE_SAs, then its threads, and then unloads its plugins. */
static void charon_end(void)
{
    jump_swan_close();
    CU_ASSERT_PTR_NULL(jump_swan);
    CU_ASSERT_PTR_EQUAL(socket_manager.receive, receive_packet);
    CU_ASSERT_PTR_EQUAL(policy_manager.find_by_packet, find_policy);
    CU_ASSERT_PTR_NULL(listener);
    for (job_t *job; (job = next_job()) != NULL;)
        job->destroy(job);
    while (flying_len > 0)
        flying_len--, flying[flying_len]->destroy(flying[flying_len]);
    for (ip_packet_t *packet; (packet = next_outbound()) != NULL;)
        packet->destroy(packet);
    for (unsigned i = 0; i < fakes_len; i++) {
        fakes[i].id->destroy(fakes[i].id);
        fakes[i].me->destroy(fakes[i].me);
        fakes[i].other->destroy(fakes[i].other);
        fakes[i].peer->destroy(fakes[i].peer);
        fakes[i].mine->destroy(fakes[i].mine);
    }
    library_deinit();
}

static void begin_thread(pthread_t *thread, void *(*run)(void *), uintptr_t argument)
{
    CU_ASSERT_EQUAL_FATAL(pthread_create(thread, NULL, run, (void *)argument), 0);
}

static void join(pthread_t *threads, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        pthread_join(threads[i], NULL);
}

/* Both ends with charon's own threads, and every IKE_SA brought up at both. */
static void begin_pair(pthread_t own[3])
{
    pthread_t two[2];

    scratch_open(&scratch);
    charon_begin();
    begin_thread(&own[0], receiver, 0);
    begin_thread(&own[1], worker, 0);
    begin_thread(&own[2], worker, 0);
    begin_thread(&two[0], bring_up_all, 0);
    begin_thread(&two[1], bring_up_all, 1);
    join(two, 2);
}

static void story(unsigned moves, unsigned holes)
{
    pthread_t own[3], two[2], chaos[5];
    unsigned chaos_len = 0;

    begin_pair(own);
    if (moves > 0) /* a rekeying before the client was heard ends a session */
        UNTIL(all_bound(JUMP_CLIENT) && all_bound(JUMP_SERVER));
    for (uintptr_t seed = 1; seed <= 4; seed++)
        begin_thread(&chaos[chaos_len++], charons_worker, seed);
    if (userspace != NULL)
        begin_thread(&chaos[chaos_len++], outbound, 0);
    for (unsigned i = 0; i < moves; i++) {
        uint16_t port = (uint16_t)(20000 + i);

        move_nat(port, i < holes); /* a hole, in which packets are held */
        if (i < holes && userspace != NULL)
            UNTIL(jump_swan_hold_counters(jump_swan->hold).held > 0);
        move_nat(port, false);
        UNTIL(all_followed(port));
    }
    ending = true;
    join(chaos, chaos_len);
    begin_thread(&two[0], take_down, 0);
    begin_thread(&two[1], take_down, 1);
    join(two, 2);
    CU_ASSERT_EQUAL(jump_swan->by_sa->get_count(jump_swan->by_sa), 0);
    workers_end = true;
    join(own, 3);
    charon_end();
    scratch_close(&scratch);
}

static void test_strongswan_threads_sessions_are_born_move_and_end_under_all_of_charons_threads(void)
{
    passed_on = passed_at_once = 0;
    story(6, 2);
    CU_ASSERT_TRUE(userspace == NULL || (passed_on > 0 && passed_at_once > 0));
}

static void test_strongswan_threads_a_stop_meets_sessions_that_are_being_born(void)
{
    for (unsigned i = 0; i < 5; i++)
        story(0, 0);
}

/* How often this is in the server's audit. */
static unsigned recorded(const char *what)
{
    char path[512], *line = NULL;
    size_t cap = 0;
    unsigned count = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/charon.jsonl", scratch.folder);
    file = fopen(path, "r");
    while (file != NULL && getline(&line, &cap, file) > 0)
        count += strstr(line, what) != NULL;
    if (file != NULL)
        fclose(file);
    free(line);
    return count;
}

/* Everybody here is peer@lab; so many of them are thrown out by one who comes again. @return alarms in the audit */
static unsigned alarms_after(unsigned times)
{
    unsigned alarms;
    pthread_t own[3], two[2];

    begin_pair(own);
    UNTIL(all_bound(JUMP_CLIENT) && all_bound(JUMP_SERVER));
    for (unsigned i = 0; i < times; i++) {
        older = ends[i][1][0];
        CU_ASSERT_FALSE(charon->ike_sa_manager->check_uniqueness(charon->ike_sa_manager, ends[PAIRS - 1][1][1], TRUE));
    }
    UNTIL(recorded("SessionTerminated") >= times);
    alarms = recorded("SecurityCredentialsShared");
    begin_thread(&two[0], take_down, 0);
    begin_thread(&two[1], take_down, 1);
    join(two, 2);
    workers_end = true;
    join(own, 3);
    charon_end();
    CU_ASSERT_EQUAL(recorded("SecurityCredentialsShared"), alarms); /* each was written before its session's end */
    scratch_close(&scratch);
    return alarms;
}

static void test_strongswan_threads_one_user_who_comes_again_is_an_alarm_from_the_third_time_on(void)
{
    CU_ASSERT_EQUAL(alarms_after(2), 0);
    CU_ASSERT_EQUAL(alarms_after(4), 2);
}

#define TESTS(X)                                                                          \
    X(test_strongswan_threads_sessions_are_born_move_and_end_under_all_of_charons_threads) \
    X(test_strongswan_threads_a_stop_meets_sessions_that_are_being_born) \
    X(test_strongswan_threads_one_user_who_comes_again_is_an_alarm_from_the_third_time_on)

RUN_TESTS("strongswan_threads", TESTS)
