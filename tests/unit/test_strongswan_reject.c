/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the firewall is told while a session has no path (adapters/strongswan/reject.c): the scripts, in their order, and that
 * nothing is asked of it otherwise. No shell runs here; what the scripts do is seen in `tools/lab strongswan sites --kernel`.
 */
#include "fake_charon.h"
#include "strongswan/kick.h"

#include <stdarg.h>
#include <utils/process.h>

/* --- shells ------------------------------------------------------------------------------------------------------- */

static char scripts[16][4096]; /* cut off there */
static unsigned scripts_len;
static char order[64];         /* s: a script, k: a kick */
static bool has_nft, has_iptables;

static void happened(char what)
{
    size_t len = strlen(order);

    if (len + 1 < sizeof order)
        order[len] = what;
}

struct fake_process {
    process_t public;
    int status;
};

static bool wait_for(process_t *this, int *code)
{
    *code = ((struct fake_process *)this)->status;
    return true;
}

process_t *__wrap_process_start_shell(char *const envp[], int *in, int *out, int *err, char *fmt, ...);
process_t *__wrap_process_start_shell(char *const envp[], int *in, int *out, int *err, char *fmt, ...)
{
    static struct fake_process process = {.public = {.wait = wait_for}};
    bool nft = false;
    va_list arguments;

    (void)envp, (void)in, (void)out, (void)err;
    CU_ASSERT_TRUE_FATAL(scripts_len < sizeof scripts / sizeof scripts[0]);
    va_start(arguments, fmt);
    (void)vsnprintf(scripts[scripts_len], sizeof scripts[0], fmt, arguments);
    va_end(arguments);
    nft = strstr(scripts[scripts_len], "nft -f") != NULL;
    scripts_len++;
    happened('s');
    process.status = (nft ? has_nft : has_iptables) ? 0 : 1;
    return &process.public;
}

static bool kick_began;
void __wrap_jump_swan_kick(void);
void __wrap_jump_swan_kick(void) { happened('k'); }
void __wrap_jump_swan_kick_begin(void);
void __wrap_jump_swan_kick_begin(void) { kick_began = true; }
void __wrap_jump_swan_kick_end(void);
void __wrap_jump_swan_kick_end(void) { kick_began = false; }

static const char *newest(void)
{
    return scripts_len > 0 ? scripts[scripts_len - 1] : "";
}

static bool says(const char *text)
{
    return strstr(newest(), text) != NULL;
}

/* --- sessions with CHILD_SAs -------------------------------------------------------------------------------------- */

struct fake_child {
    child_sa_t public;
    child_cfg_t config;
    uint32_t reqid, configured;
};

static struct fake_child *child_of(child_sa_t *this) { return (struct fake_child *)this; }
static uint32_t child_reqid(child_sa_t *this) { return child_of(this)->reqid; }
static child_cfg_t *child_config(child_sa_t *this) { return &child_of(this)->config; }

static uint32_t config_reqid(child_cfg_t *this)
{
    return ((struct fake_child *)((char *)this - offsetof(struct fake_child, config)))->configured;
}

static void with_child(ike_sa_t *sa, struct fake_child *child, uint32_t reqid, bool configured)
{
    *child = (struct fake_child){.public = {.get_reqid = child_reqid, .get_config = child_config},
                                 .config = {.get_reqid = config_reqid}, .reqid = reqid, .configured = configured ? reqid : 0};
    fake(sa)->children[fake(sa)->children_len++] = &child->public;
}

/* Jobs that wait for their time, and when. */
static job_t *timed[8];
static uint32_t timed_ms[8];
static unsigned timed_len;

static void schedule(scheduler_t *this, job_t *job, uint32_t ms)
{
    (void)this;
    CU_ASSERT_TRUE_FATAL(timed_len < 8);
    timed_ms[timed_len] = ms;
    timed[timed_len++] = job;
}

/* The first of them. @return what it says of another time, in ms; 0: it has none */
static unsigned run_timed(void)
{
    job_requeue_t again;

    CU_ASSERT_TRUE_FATAL(timed_len > 0);
    again = timed[0]->execute(timed[0]);
    if (again.type == JOB_REQUEUE_TYPE_SCHEDULE)
        return again.time.rel;
    timed[0]->destroy(timed[0]);
    for (unsigned i = 1; i < timed_len; i++)
        timed[i - 1] = timed[i], timed_ms[i - 1] = timed_ms[i];
    timed_len--;
    return 0;
}

static struct fake_child children[4];

static void reject_begin(bool nft, bool iptables)
{
    begin();
    lib->scheduler->schedule_job_ms = schedule;
    has_nft = nft;
    has_iptables = iptables;
    scripts_len = timed_len = 0;
    memset(order, 0, sizeof order);
    jump_swan_reject_begin(swan);
    CU_ASSERT_TRUE(kick_began);
}

static void reject_end(void)
{
    jump_swan_reject_end();
    CU_ASSERT_FALSE(kick_began);
    while (timed_len > 0)
        timed[timed_len - 1]->destroy(timed[timed_len - 1]), timed_len--;
    end();
}

/* A session with a CHILD_SA of this reqid, without a path for 250 ms. */
static jump_host stopped(struct fake_child *child, uint32_t reqid, bool configured)
{
    ike_sa_t *sa = new_sa(false);
    jump_host host;

    with_child(sa, child, reqid, configured);
    CU_ASSERT_TRUE_FATAL(jump_swan_methods_install(sa));
    host = jump_swan_peer_add(swan, sa, JUMP_SERVER);
    jump_swan_peer_unbind(swan, host);
    drop_jobs();
    CU_ASSERT_TRUE_FATAL(timed_len > 0);
    CU_ASSERT_EQUAL(timed_ms[timed_len - 1], 250);
    CU_ASSERT_EQUAL(scripts_len, 0); /* not before */
    return host;
}

static void bound_again(jump_host host)
{
    struct jump_path path;
    host_t *at = host_of("198.51.100.1", 4500);

    jump_swan_path_from_host(&path, at);
    at->destroy(at);
    jump_swan_peer_bind(swan, host, &path, &path, &path);
    drop_jobs();
    jump_swan_reject_look(swan, jump_swan_peer_waits_no_more(swan, host));
    run_jobs();
}

static void test_strongswan_reject_what_has_no_path_is_shown_by_its_reqid_passes_and_no_more_with_one(void)
{
    jump_host host;

    reject_begin(true, true);
    host = stopped(&children[0], 7, false);
    CU_ASSERT_EQUAL(run_timed(), 0);
    run_jobs();
    CU_ASSERT_EQUAL(scripts_len, 2); /* what an earlier life left goes first */
    CU_ASSERT_PTR_NOT_NULL(strstr(scripts[0], "delete table inet jumping"));
    CU_ASSERT_PTR_NULL(strstr(scripts[0], "chain"));
    CU_ASSERT_TRUE(says("elements = { 7 timeout 60s };"));
    CU_ASSERT_TRUE(says("hook output") && says("hook forward") && says("ipsec out reqid @waiting limit rate 2000/second burst 500 packets log group 50961 snaplen 128;"));
    CU_ASSERT_TRUE(says("chain forward { type filter hook forward priority 0; meta secpath missing tcp ")); /* only what came in plain */
    CU_ASSERT_TRUE(says("chain output { type filter hook output priority 0; tcp "));
    CU_ASSERT_FALSE(says("reject") || says("drop") || says("policy"));
    CU_ASSERT_TRUE(says("tcp flags & (syn|rst) == 0")); /* nothing that is being opened or reset */
    CU_ASSERT_FALSE(says("iptables"));
    CU_ASSERT_STRING_EQUAL(order, "ss");
    bound_again(host);
    CU_ASSERT_STRING_EQUAL(order, "ssksk"); /* woken as soon as can be, and what was rejected on the way out again */
    CU_ASSERT_TRUE(says("delete table inet jumping"));
    CU_ASSERT_FALSE(says("chain"));
    reject_end();
    CU_ASSERT_EQUAL(scripts_len, 3); /* nothing is left to be taken away */
}

static void test_strongswan_reject_a_path_that_is_back_soon_or_an_end_asks_nothing(void)
{
    jump_host host;

    reject_begin(true, true);
    host = stopped(&children[0], 7, false);
    bound_again(host);
    CU_ASSERT_EQUAL(run_timed(), 0); /* the 250 ms are over now */
    run_jobs();
    host = jump_swan_peer_host(swan, &fakes[0].public);
    jump_swan_peer_unbind(swan, host);
    drop_jobs();
    jump_swan_peer_end(swan, host, true, JUMP_REASON_OPERATOR_TERMINATED, JUMP_REASON_OPERATOR_TERMINATED);
    drop_jobs();
    (void)run_timed();
    jump_swan_reject_stop(host + 1); /* nobody's */
    (void)run_timed();
    run_jobs();
    for (unsigned i = 0; i < scripts_len; i++)
        CU_ASSERT_PTR_NULL(strstr(scripts[i], "chain"));
    reject_end();
}

static void test_strongswan_reject_a_reqid_that_is_configured_may_be_others_too(void)
{
    ike_sa_t *sa;

    reject_begin(true, true);
    (void)stopped(&children[0], 7, true);
    (void)run_timed();
    CU_ASSERT_EQUAL(jobs_len, 0);
    sa = &fakes[0].public;
    with_child(sa, &children[1], 8, false);
    jump_swan_reject_stop(jump_swan_peer_host(swan, sa));
    (void)run_timed();
    run_jobs();
    CU_ASSERT_TRUE(says("elements = { 8 timeout 60s };"));
    reject_end();
}

static void test_strongswan_reject_a_reqid_that_came_up_elsewhere_is_shown_no_more(void)
{
    ike_sa_t *other;

    reject_begin(true, true);
    (void)stopped(&children[0], 7, false);
    (void)run_timed();
    run_jobs();
    other = new_sa(false);
    CU_ASSERT_TRUE_FATAL(jump_swan_methods_install(other));
    CU_ASSERT_NOT_EQUAL(jump_swan_peer_add(swan, other, JUMP_SERVER), 0);
    CU_ASSERT_FALSE(jump_swan_peers_taken(swan, other, 8));
    CU_ASSERT_FALSE(jump_swan_peers_taken(swan, &fakes[0].public, 7)); /* its own, rekeyed */
    CU_ASSERT_TRUE(jump_swan_peers_taken(swan, other, 7));
    jump_swan_reject_look(swan, false);
    run_jobs();
    CU_ASSERT_FALSE(says("chain"));
    CU_ASSERT_STRING_EQUAL(order, "sss"); /* nobody is woken: nobody has a path again */
    reject_end();
}

static void test_strongswan_reject_many_ask_and_one_script_runs(void)
{
    reject_begin(true, true);
    for (unsigned i = 0; i < 4; i++)
        (void)stopped(&children[i], 10 + i, false);
    for (unsigned i = 0; i < 4; i++)
        (void)run_timed();
    CU_ASSERT_EQUAL(jobs_len, 1);
    run_jobs();
    CU_ASSERT_EQUAL(scripts_len, 2);
    for (unsigned i = 0; i < 4; i++) {
        char element[32];

        (void)snprintf(element, sizeof element, " %u timeout 60s", 10 + i);
        CU_ASSERT_TRUE(says(element));
    }
    jump_swan_reject_look(swan, false); /* and nothing has changed */
    run_jobs();
    CU_ASSERT_EQUAL(scripts_len, 2);
    reject_end();
    CU_ASSERT_EQUAL(scripts_len, 3); /* none stays behind */
    CU_ASSERT_FALSE(says("chain"));
}

static void test_strongswan_reject_is_renewed_as_long_as_somebody_waits(void)
{
    jump_host host;

    reject_begin(true, true);
    host = stopped(&children[0], 7, false);
    (void)run_timed();
    run_jobs();
    CU_ASSERT_EQUAL_FATAL(timed_len, 1);
    CU_ASSERT_EQUAL(timed_ms[0], 20000);
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(run_timed(), 20000);
    CU_ASSERT_EQUAL(scripts_len, 5);
    CU_ASSERT_TRUE(says("elements = { 7 timeout 60s };"));
    bound_again(host);
    CU_ASSERT_EQUAL(run_timed(), 0);
    CU_ASSERT_EQUAL(timed_len, 0);
    reject_end();
}

static void test_strongswan_reject_by_iptables_where_there_is_no_nft(void)
{
    jump_host host;

    reject_begin(false, true);
    host = stopped(&children[0], 7, false);
    (void)run_timed();
    run_jobs();
    CU_ASSERT_EQUAL(scripts_len, 3); /* nft was asked, and iptables is cleaned too */
    CU_ASSERT_PTR_NOT_NULL(strstr(scripts[0], "nft -f"));
    CU_ASSERT_PTR_NOT_NULL(strstr(scripts[1], "-X jumping"));
    CU_ASSERT_TRUE(says("\n:jumping - [0:0]\n$q ") && says("--tcp-flags SYN,RST NONE") && says("\n$q 7 $l\n"));
    CU_ASSERT_TRUE(says("--pol ipsec --reqid'; l='-m limit --limit 500/second --limit-burst 100 -j NFLOG --nflog-group 50961 "));
    CU_ASSERT_TRUE(says("p=; [ $c = OUTPUT ] || p='-m policy --dir in --pol none'; ") && says("$p -j jumping\"")); /* FORWARD's */
    CU_ASSERT_PTR_NOT_NULL(strstr(scripts[1], "--dir in --pol none")); /* it goes by the same words */
    CU_ASSERT_FALSE(says("REJECT") || says("DROP"));
    bound_again(host);
    CU_ASSERT_TRUE(says("-F jumping"));
    CU_ASSERT_FALSE(says("NFLOG"));
    reject_end();
    CU_ASSERT_TRUE(says("-X jumping")); /* not even the chain stays */
}

static void test_strongswan_reject_that_no_firewall_takes_is_said_once_and_tried_again(void)
{
    jump_host host;

    reject_begin(false, false);
    host = stopped(&children[0], 7, false);
    (void)run_timed();
    lines = 0;
    run_jobs();
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_EQUAL(run_timed(), 20000);
    CU_ASSERT_EQUAL(lines, 1);
    bound_again(host);
    CU_ASSERT_EQUAL(lines, 1);
    has_iptables = true;
    CU_ASSERT_EQUAL(run_timed(), 0); /* taken away at last */
    reject_end();
}

static void test_strongswan_reject_does_nothing_before_it_begins(void)
{
    begin();
    scripts_len = 0;
    jump_swan_reject_stop(1);
    jump_swan_reject_look(swan, true);
    jump_swan_reject_end();
    CU_ASSERT_EQUAL(jobs_len + scheduled + scripts_len, 0);
    end();
}

#define TESTS(X)                                                                                      \
    X(test_strongswan_reject_what_has_no_path_is_shown_by_its_reqid_passes_and_no_more_with_one)       \
    X(test_strongswan_reject_a_path_that_is_back_soon_or_an_end_asks_nothing)                         \
    X(test_strongswan_reject_a_reqid_that_is_configured_may_be_others_too)                            \
    X(test_strongswan_reject_a_reqid_that_came_up_elsewhere_is_shown_no_more)                         \
    X(test_strongswan_reject_many_ask_and_one_script_runs)                                            \
    X(test_strongswan_reject_is_renewed_as_long_as_somebody_waits)                                    \
    X(test_strongswan_reject_by_iptables_where_there_is_no_nft)                                       \
    X(test_strongswan_reject_that_no_firewall_takes_is_said_once_and_tried_again)                     \
    X(test_strongswan_reject_does_nothing_before_it_begins)
RUN_TESTS("strongswan_reject", TESTS)
