/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel says about this machine's own networks: changes of links, addresses and routes as they
 * happen, and which source address and interface it would use now. It refuses to judge: which change kills a
 * transport is the host adapter's to say. No thread, never blocks, and no descriptor but its two sockets is ever needed.
 * Read next: the client side of an adapter.
 */
#ifndef JUMP_SYSTEM_NETLINK_H
#define JUMP_SYSTEM_NETLINK_H

#include <net/if.h>

#include <jumping/types.h>

#include "system/problem.h"

struct jump_netlink;

enum jump_netlink_kind {
    JUMP_NETLINK_LINK_UP,         /* up and with carrier */
    JUMP_NETLINK_LINK_DOWN,       /* down, without carrier, or removed */
    JUMP_NETLINK_ADDRESS_ADDED,   /* ip; on IPv6 once it is usable (no longer tentative) */
    JUMP_NETLINK_ADDRESS_REMOVED, /* ip */
    JUMP_NETLINK_ROUTE_ADDED,     /* ifindex may be 0 (several next hops, or a rule) */
    JUMP_NETLINK_ROUTE_REMOVED
};

struct jump_netlink_change {
    enum jump_netlink_kind kind;
    unsigned ifindex;
    uint8_t ip[16]; /* as in struct jump_path (IPv4 mapped); zeros where the kind has none */
};

/**
 * Open the monitor (RTMGRP_LINK, IPv4 and IPv6 addresses, routes and rules) and a second socket for questions. Needs
 * no privilege, and goes on working after a drop of privileges and chroot.
 *
 * @return the caller's; NULL with *problem
 * THREAD: one object, one thread at a time
 */
struct jump_netlink *jump_netlink_open(struct jump_problem *problem);

/** Closes both sockets. NULL is allowed. */
void jump_netlink_close(struct jump_netlink *netlink);

/** The monitor's descriptor, for poll (POLLIN). */
int jump_netlink_fd(const struct jump_netlink *netlink);

/**
 * Read all that waits on the monitor. Changes of the loopback and of ignored interfaces are left out.
 *
 * @param out     the first out_cap changes
 * @param out_len how many were written
 * @return true: something changed. Also when the kernel or `out` could not hold it all (ENOBUFS): then look
 *         at everything anew, *overrun is true
 */
bool jump_netlink_drain(struct jump_netlink *netlink, struct jump_netlink_change *out, size_t out_cap, size_t *out_len,
                        bool *overrun);

#define JUMP_NETLINK_IGNORED 4

/** Leave this interface's changes out (the host's own tun). False: JUMP_NETLINK_IGNORED are ignored already. */
bool jump_netlink_ignore(struct jump_netlink *netlink, unsigned ifindex);

/** What rules and next hops may be chosen by besides the destination: of one UDP socket. Zeros: a plain one's. */
struct jump_netlink_flow {
    uint32_t mark, uid;
    bool uid_known, source_known;
    uint16_t port;           /* its own; 0: any */
    struct jump_path source; /* ip and scope; it counts for destinations of its family */
};

/**
 * Which source address and interface the kernel would use now towards `dst`.
 *
 * @param source  ip and scope filled, port 0, proto and transport as in dst; zeros on failure
 * @param ifindex the interface
 * @param through only routes through this interface, and from its own addresses; 0: the kernel's choice
 * @param flow    whose question it is; NULL: of a packet with nothing but a destination
 * @return 0; -errno: see jump_netlink_no_way
 */
int jump_netlink_source(struct jump_netlink *netlink, struct jump_path *source, unsigned *ifindex,
                        const struct jump_path *dst, unsigned through, const struct jump_netlink_flow *flow);

/** Is this result the kernel's word that there is no way now? Else it could not be asked, or not be understood. */
bool jump_netlink_no_way(int result);

/** The kernel says that this link is down, without carrier, or not there. False: it is up, or nobody knows. */
bool jump_netlink_link_down(struct jump_netlink *netlink, unsigned ifindex);

/** A link's name by its number. False: the kernel does not say. */
bool jump_netlink_name(struct jump_netlink *netlink, char name[IF_NAMESIZE], unsigned ifindex);

/** A link's number by its name; 0: the kernel does not say. */
unsigned jump_netlink_index(struct jump_netlink *netlink, const char *name);

/**
 * Is it certain that whatever this machine sends to `dst` now leaves through this interface? No rule looks at anything
 * but tables (a mark may be set where nobody sees it), there is one next hop, and no other interface has as good a route.
 */
bool jump_netlink_sole_choice(struct jump_netlink *netlink, const struct jump_path *dst, unsigned ifindex);

/** A way out of this machine towards one destination. */
struct jump_netlink_uplink {
    unsigned ifindex;
    char name[IF_NAMESIZE];
    struct jump_path source; /* as jump_netlink_source gives it */
    bool preferred;          /* the kernel's choice now */
};

/**
 * All interfaces that are up, have an address of dst's family and a route to dst through themselves (no ARP for
 * a far address on-link: an interface without a route to it is left out). The kernel's choice comes first, the
 * others by ifindex. Ignored interfaces, tun devices and the loopback (unless it is the kernel's choice) are left
 * out, and so is one without carrier, and one to which IPv6 lends the address of another of them or of an ignored one.
 *
 * @return how many were written; 0 also on failure
 */
size_t jump_netlink_uplinks(struct jump_netlink *netlink, struct jump_netlink_uplink *out, size_t out_cap,
                            const struct jump_path *dst, const struct jump_netlink_flow *flow);

#endif
