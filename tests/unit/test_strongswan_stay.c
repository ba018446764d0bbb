/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What stays while an IKE_SA moves (adapters/strongswan/stay.c): its virtual address, and no moment without a route into the
 * tunnel. The kernel interface here writes down what is asked of it.
 */
#include "fake_charon.h"
#include "without_memory.h"

#include <pthread.h>

/* --- the kernel: each call is a word ------------------------------------------------------------------------------ */

static char calls[2048];

static void called(const char *what, const char *which)
{
    size_t len = strlen(calls);

    (void)snprintf(calls + len, sizeof calls - len, "%s%s:%s", len > 0 ? " " : "", what, which);
}

static status_t kernel_add_ip(kernel_interface_t *this, host_t *address, int prefix, char *interface)
{
    (void)this, (void)address, (void)prefix;
    called("+ip", interface);
    return SUCCESS;
}

static status_t kernel_del_ip(kernel_interface_t *this, host_t *address, int prefix, bool wait)
{
    (void)this, (void)address, (void)prefix, (void)wait;
    called("-ip", "");
    return SUCCESS;
}

static status_t kernel_add_route(kernel_interface_t *this, chunk_t to, uint8_t prefix, host_t *gateway, host_t *source,
                                 char *interface, bool pass)
{
    (void)this, (void)to, (void)prefix, (void)gateway, (void)source, (void)pass;
    called("+route", interface != NULL ? interface : "none");
    return SUCCESS;
}

static status_t kernel_del_route(kernel_interface_t *this, chunk_t to, uint8_t prefix, host_t *gateway, host_t *source,
                                 char *interface, bool pass)
{
    (void)this, (void)to, (void)prefix, (void)gateway, (void)source, (void)pass;
    called("-route", interface != NULL ? interface : "none");
    return SUCCESS;
}

/* The interface of an address: of the virtual one where it is, of 198.51.100.x and 198.51.101.x theirs. */
static char *virtual_is_on;

static bool kernel_get_interface(kernel_interface_t *this, host_t *host, char **name)
{
    uint8_t *bytes = host->get_address(host).ptr;

    (void)this;
    *name = bytes[0] == 10 ? strdupnull(virtual_is_on) : strdup(bytes[2] == 100 ? "up0" : "up1");
    return *name != NULL;
}

/* --- charon, as it moves an IKE_SA ---------------------------------------------------------------------------------- */

struct plan { /* what its update_hosts does; old NULL: no routes */
    const char *old_interface, *new_interface, *old_gateway, *new_gateway;
    unsigned routes;
    bool pass_changes;
};
static struct plan plan;
static host_t *vip;

static void route(bool add, unsigned number, const char *interface, const char *gateway, bool pass)
{
    uint8_t net[4] = {10, 8, (uint8_t)number, 0};
    host_t *via = gateway != NULL ? host_of(gateway, 0) : NULL;

    (void)(add ? charon->kernel->add_route : charon->kernel->del_route)(
        charon->kernel, chunk_create(net, sizeof net), 24, via, vip, (char *)interface, pass);
    memset(net, 0, sizeof net); /* whoever wants it later has a copy */
    DESTROY_IF(via);
}

static void moves(ike_sa_t *this, host_t *me, host_t *other, update_hosts_flag_t flags)
{
    (void)other;
    CU_ASSERT_EQUAL(flags, UPDATE_HOSTS_FORCE_ALL);
    (void)charon->kernel->del_ip(charon->kernel, vip, -1, true);
    (void)charon->kernel->add_ip(charon->kernel, vip, -1, "up");
    for (unsigned i = 0; i < plan.routes; i++)
        route(false, i, plan.old_interface, plan.old_gateway, false);
    called("sas", "moved");
    for (unsigned i = 0; i < plan.routes; i++)
        route(true, i, plan.new_interface, plan.new_gateway, plan.pass_changes);
    fake(this)->done.update_hosts++;
    (void)me;
}

static ike_sa_t *sa;

static void stay_begin(bool user_space)
{
    begin();
    fake_kernel.add_ip = kernel_add_ip;
    fake_kernel.del_ip = kernel_del_ip;
    fake_kernel.add_route = kernel_add_route;
    fake_kernel.del_route = kernel_del_route;
    fake_kernel.get_interface = kernel_get_interface;
    jump_swan_real.update_hosts = moves;
    vip = host_of("10.9.0.1", 0);
    virtual_is_on = "up0";
    plan = (struct plan){.old_interface = "up0", .new_interface = "up0", .old_gateway = "198.51.100.254",
                         .new_gateway = "198.51.100.254", .routes = 1};
    memset(calls, 0, sizeof calls);
    sa = new_sa(true);
    jump_swan_stay_begin(user_space);
}

static void stay_end(void)
{
    jump_swan_stay_end();
    CU_ASSERT_TRUE(fake_kernel.add_ip == kernel_add_ip && fake_kernel.del_ip == kernel_del_ip
                   && fake_kernel.add_route == kernel_add_route && fake_kernel.del_route == kernel_del_route);
    vip->destroy(vip);
    end();
}

static const char *move_to(const char *address)
{
    host_t *me = host_of(address, 4500);

    memset(calls, 0, sizeof calls);
    jump_swan_stay_move(sa, me, fake(sa)->other);
    CU_ASSERT_EQUAL(fake(sa)->done.update_hosts, 1);
    fake(sa)->done.update_hosts = 0;
    me->destroy(me);
    return calls;
}

static void test_strongswan_stay_on_the_same_interface_nothing_is_touched(void)
{
    stay_begin(false);
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.1"), "sas:moved");
    plan.routes = 3;
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.9"), "sas:moved");
    stay_end();
}

static void test_strongswan_stay_the_old_route_goes_after_the_new_one_is_there(void)
{
    stay_begin(false);
    plan.new_gateway = "198.51.100.253";
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.9"), "sas:moved +route:up0 -route:up0");
    plan.new_gateway = NULL;
    plan.old_gateway = NULL;
    plan.pass_changes = true; /* it is not the same, and not taken for it */
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.9"), "sas:moved +route:up0 -route:up0");
    plan.pass_changes = false;
    plan.old_interface = NULL; /* libipsec's names may be missing */
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.9"), "sas:moved +route:up0 -route:none");
    plan.old_interface = "a-name-that-no-interface-can-have"; /* of charon's own, and not kept */
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.9"), "-route:a-name-that-no-interface-can-have sas:moved +route:up0");
    stay_end();
}

static void test_strongswan_stay_A36_without_memory_no_route_goes_earlier(void)
{
    stay_begin(false);
    plan.new_gateway = "198.51.100.253";
    allocations_left = 0;
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.9"), "sas:moved +route:up0 -route:up0");
    allocations_left = -1;
    stay_end();
}

static void test_strongswan_stay_to_another_interface_the_address_goes_along(void)
{
    stay_begin(false);
    plan.new_interface = "up1";
    CU_ASSERT_STRING_EQUAL(move_to("198.51.101.1"), "-ip: +ip:up sas:moved +route:up1 -route:up0");
    virtual_is_on = NULL; /* it is nowhere: as charon does */
    plan.new_interface = "up0";
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.1"), "-ip: +ip:up sas:moved");
    stay_end();
}

static void test_strongswan_stay_in_user_space_the_address_never_moves(void)
{
    stay_begin(true);
    virtual_is_on = "ipsec0";
    plan.routes = 0;
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.1"), "sas:moved");
    CU_ASSERT_STRING_EQUAL(move_to("198.51.101.1"), "sas:moved");
    stay_end();
}

static void test_strongswan_stay_of_very_many_routes_those_that_do_not_fit_go_at_once(void)
{
    unsigned before = 0, after = 0;
    const char *moved;

    stay_begin(false);
    plan.new_interface = "up1"; /* 40 others: 32 wait, 8 go at once */
    virtual_is_on = "up1";
    plan.routes = 40;
    moved = strstr(move_to("198.51.101.1"), "sas:moved");
    CU_ASSERT_PTR_NOT_NULL_FATAL(moved);
    for (const char *at = calls; (at = strstr(at, "-route")) != NULL; at++)
        at < moved ? before++ : after++;
    CU_ASSERT_EQUAL(before, 8);
    CU_ASSERT_EQUAL(after, 32);
    CU_ASSERT_TRUE(strstr(moved, "-route") > strrchr(calls, '+')); /* after the last of the new ones */
    stay_end();
}

static void *another_thread(void *unused)
{
    (void)unused;
    (void)charon->kernel->del_ip(charon->kernel, vip, -1, true);
    route(false, 0, "up0", NULL, false);
    route(true, 0, "up0", NULL, false);
    return NULL;
}

static void moves_beside_another(ike_sa_t *this, host_t *me, host_t *other, update_hosts_flag_t flags)
{
    pthread_t thread;

    (void)this, (void)me, (void)other, (void)flags;
    fake(this)->done.update_hosts++;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, another_thread, NULL), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
}

static void test_strongswan_stay_other_threads_and_other_times_are_charons(void)
{
    stay_begin(false);
    (void)another_thread(NULL);
    CU_ASSERT_STRING_EQUAL(calls, "-ip: -route:up0 +route:up0");
    jump_swan_real.update_hosts = moves_beside_another;
    CU_ASSERT_STRING_EQUAL(move_to("198.51.100.1"), "-ip: -route:up0 +route:up0");
    memset(calls, 0, sizeof calls);
    (void)another_thread(NULL); /* after a move too */
    CU_ASSERT_STRING_EQUAL(calls, "-ip: -route:up0 +route:up0");
    stay_end();
}

static status_t somebody_elses(kernel_interface_t *this, host_t *address, int prefix, bool wait)
{
    return kernel_del_ip(this, address, prefix, wait);
}

static void test_strongswan_stay_somebody_before_us_is_left_alone(void)
{
    stay_begin(false);
    status_t (*ours)(kernel_interface_t *, host_t *, int, bool) = fake_kernel.del_ip;

    fake_kernel.del_ip = somebody_elses;
    jump_swan_stay_end();
    CU_ASSERT_TRUE(fake_kernel.add_ip == kernel_add_ip);
    CU_ASSERT_TRUE(fake_kernel.del_ip == somebody_elses);
    fake_kernel.del_ip = ours; /* which still calls on */
    stay_end();
}

#define TESTS(X)                                                                           \
    X(test_strongswan_stay_on_the_same_interface_nothing_is_touched)                       \
    X(test_strongswan_stay_the_old_route_goes_after_the_new_one_is_there)                  \
    X(test_strongswan_stay_A36_without_memory_no_route_goes_earlier)                       \
    X(test_strongswan_stay_to_another_interface_the_address_goes_along)                    \
    X(test_strongswan_stay_in_user_space_the_address_never_moves)                          \
    X(test_strongswan_stay_of_very_many_routes_those_that_do_not_fit_go_at_once)              \
    X(test_strongswan_stay_other_threads_and_other_times_are_charons)                      \
    X(test_strongswan_stay_somebody_before_us_is_left_alone)
RUN_TESTS("strongswan_stay", TESTS)
