/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What stays while an IKE_SA moves: its virtual address and the routes into the tunnel. charon takes both away and gives them
 * back, for the case that they belong to another interface then; in between, and with the address for another 100 ms, what
 * is for the tunnel would leave by the default route, from the uplink's address, in the clear (A38).
 *
 *  - The address moves only where the new path is another interface's. In user-space ESP it is on the tunnel's own device.
 *  - A route is taken away only after its successor is there, and not at all where it is its own.
 *
 * In the thread that moves, and nowhere else, the kernel interface's four functions are ours for that time.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "strongswan/adapter.h"

#define ROUTES 32 /* of one IKE_SA; more are taken away at once, as charon does */

/* A route that charon wants gone. Everything is a copy, and takes no memory that might not be there: the old route would go at
 * once then, before its successor is there. */
struct route {
    uint8_t to[16];
    size_t to_len;
    uint8_t prefix;
    host_t *gateway, *source;
    bool on_interface;
    char interface[IF_NAMESIZE];
    bool pass;
};

/* The move of this thread. */
struct move {
    host_t *me; /* the address of ours that it goes to */
    struct route routes[ROUTES];
    size_t routes_len;
};
static _Thread_local struct move *moving; /* NULL: it moves nothing */

static bool in_user_space;
static status_t (*real_add_ip)(kernel_interface_t *this, host_t *address, int prefix, char *interface);
static status_t (*real_del_ip)(kernel_interface_t *this, host_t *address, int prefix, bool wait);
static status_t (*real_add_route)(kernel_interface_t *this, chunk_t to, uint8_t prefix, host_t *gateway, host_t *source,
                                  char *interface, bool pass);
static status_t (*real_del_route)(kernel_interface_t *this, chunk_t to, uint8_t prefix, host_t *gateway, host_t *source,
                                  char *interface, bool pass);

/* A virtual address that is where the move would put it. */
static bool stays(kernel_interface_t *this, host_t *address)
{
    char *now = NULL, *then = NULL;
    bool same = in_user_space;

    if (moving == NULL)
        return false;
    if (!same && this->get_interface(this, address, &now) && this->get_interface(this, moving->me, &then))
        same = streq(now, then);
    free(now);
    free(then);
    return same;
}

static status_t add_ip(kernel_interface_t *this, host_t *address, int prefix, char *interface)
{
    return stays(this, address) ? SUCCESS : real_add_ip(this, address, prefix, interface);
}

static status_t del_ip(kernel_interface_t *this, host_t *address, int prefix, bool wait)
{
    return stays(this, address) ? SUCCESS : real_del_ip(this, address, prefix, wait);
}

static bool same_host(host_t *a, host_t *b)
{
    return a == NULL || b == NULL ? a == b : a->ip_equals(a, b);
}

static void forget(struct move *move, size_t at)
{
    struct route *r = &move->routes[at];

    DESTROY_IF(r->gateway);
    DESTROY_IF(r->source);
    *r = move->routes[--move->routes_len];
}

static status_t add_route(kernel_interface_t *this, chunk_t to, uint8_t prefix, host_t *gateway, host_t *source, char *interface,
                          bool pass)
{
    for (size_t i = 0; moving != NULL && i < moving->routes_len; i++) {
        struct route *r = &moving->routes[i];

        if (chunk_equals(chunk_create(r->to, r->to_len), to) && r->prefix == prefix && same_host(r->gateway, gateway) && same_host(r->source, source)
            && r->on_interface == (interface != NULL) && (interface == NULL || streq(r->interface, interface))
            && r->pass == pass) {
            forget(moving, i); /* it is its own successor */
            return SUCCESS;
        }
    }
    return real_add_route(this, to, prefix, gateway, source, interface, pass);
}

static status_t del_route(kernel_interface_t *this, chunk_t to, uint8_t prefix, host_t *gateway, host_t *source, char *interface,
                          bool pass)
{
    struct route *r;

    if (moving == NULL || moving->routes_len == ROUTES || to.len > sizeof r->to
        || (interface != NULL && strlen(interface) >= sizeof r->interface))
        return real_del_route(this, to, prefix, gateway, source, interface, pass);
    r = &moving->routes[moving->routes_len++];
    *r = (struct route){
        .to_len = to.len,
        .prefix = prefix,
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): forget() frees each, and jump_swan_stay_move forgets all */
        .gateway = gateway != NULL ? gateway->clone(gateway) : NULL,
        .source = source != NULL ? source->clone(source) : NULL,
        .on_interface = interface != NULL,
        .pass = pass,
    };
    if (to.len > 0)
        memcpy(r->to, to.ptr, to.len);
    if (interface != NULL)
        memcpy(r->interface, interface, strlen(interface) + 1);
    return SUCCESS;
}

void jump_swan_stay_move(ike_sa_t *sa, host_t *me, host_t *other)
{
    struct move move = {.me = me};

    moving = &move;
    jump_swan_real.update_hosts(sa, me, other, UPDATE_HOSTS_FORCE_ALL);
    moving = NULL;
    while (move.routes_len > 0) {
        struct route *r = &move.routes[0];

        (void)charon->kernel->del_route(charon->kernel, chunk_create(r->to, r->to_len), r->prefix, r->gateway, r->source,
                                        r->on_interface ? r->interface : NULL, r->pass);
        forget(&move, 0);
    }
}

void jump_swan_stay_begin(bool user_space)
{
    in_user_space = user_space;
    real_add_ip = charon->kernel->add_ip;
    charon->kernel->add_ip = add_ip;
    real_del_ip = charon->kernel->del_ip;
    charon->kernel->del_ip = del_ip;
    real_add_route = charon->kernel->add_route;
    charon->kernel->add_route = add_route;
    real_del_route = charon->kernel->del_route;
    charon->kernel->del_route = del_route;
}

void jump_swan_stay_end(void)
{
    if (charon->kernel->add_ip == add_ip)
        charon->kernel->add_ip = real_add_ip;
    if (charon->kernel->del_ip == del_ip)
        charon->kernel->del_ip = real_del_ip;
    if (charon->kernel->add_route == add_route)
        charon->kernel->add_route = real_add_route;
    if (charon->kernel->del_route == del_route)
        charon->kernel->del_route = real_del_route;
}
