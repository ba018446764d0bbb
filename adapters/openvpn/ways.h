/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client's ways to its server: (addresses of the server) x (interfaces with a route there), in the order in which
 * they are to be tried. The addresses are those that OpenVPN itself resolved for one name in one call: nothing here
 * resolves. Pure: no socket, no clock, no question to the kernel. Read next: uplinks.c (who asks and who opens sockets).
 * Threads: OpenVPN's main thread only, inside its calls.
 */
#ifndef JUMP_OVPN_WAYS_H
#define JUMP_OVPN_WAYS_H

#include <net/if.h>

#include <jumping/types.h>

#define JUMP_WAYS_LISTS 64         /* as many remotes as OpenVPN takes; a later one replaces the oldest */
#define JUMP_WAYS_LIST_ADDRESSES 8 /* of one name; the rest is not looked at */
#define JUMP_WAYS_NAME_BYTES 256   /* DNS has no longer ones */
#define JUMP_WAYS_TARGETS 4        /* of them are tried: two of each family */

/** What names were resolved to. Starts as zeros. */
struct jump_ways {
    struct {
        char name[JUMP_WAYS_NAME_BYTES]; /* "": too long to be one */
        struct jump_path addresses[JUMP_WAYS_LIST_ADDRESSES];
        size_t len;
    } lists[JUMP_WAYS_LISTS];
    size_t next; /* the place of the next list: the one before it is the newest */
};

/** Keep what one name was resolved to, in the resolver's order. Port, proto and transport are the caller's. */
void jump_ways_note(struct jump_ways *ways, const char *name, const struct jump_path *addresses, size_t addresses_len);

/** What this name was resolved to last. @return how many addresses; 0: it never was, or is not among the newest */
size_t jump_ways_known(const struct jump_ways *ways, const char *name, struct jump_path out[JUMP_WAYS_LIST_ADDRESSES]);

/**
 * The addresses that the server has as far as is known: `used` first, then one of the other family, another of its own
 * family, another of the other. From the newest list that contains `used`; `used` alone if none does.
 */
size_t jump_ways_targets(const struct jump_ways *ways, struct jump_path out[JUMP_WAYS_TARGETS],
                         const struct jump_path *used);

/** An interface with a route to a target, and the source address it gives. */
struct jump_ways_out {
    unsigned ifindex;
    char name[IF_NAMESIZE];
    struct jump_path source;
};

struct jump_ways_target {
    struct jump_path server;
    struct jump_ways_out out[JUMP_MAX_CANDIDATES]; /* the kernel's choice first */
    size_t out_len;
};

/** OpenVPN's socket. */
struct jump_ways_link {
    bool on_device;          /* bound to `ifindex`; else the kernel's routing takes it through `ifindex` */
    bool unknown;            /* it may lead somewhere though no interface of the targets says so */
    unsigned ifindex;        /* 0: nowhere now, or unknown */
    struct jump_path server; /* where it really sends */
    struct jump_path source; /* not on_device: what routing gives */
};

/** One way: an interface and an address of the server. */
struct jump_uplink {
    uint8_t id;    /* the candidate's transport; 0: a free place */
    bool via_link; /* through OpenVPN's own socket; else through one of its own, bound to the interface */
    int fd;        /* -1 until it is needed */
    unsigned ifindex;
    char name[IF_NAMESIZE]; /* "" for OpenVPN's own socket where routing moves it, or nobody knows where to */
    struct jump_path server, source;
    uint32_t priority;
};

/**
 * Is it the same way as before? Of OpenVPN's socket that is not contradicted when one of the two does not know where it
 * leads (its source is unspecified then): only what is known to be gone is lost.
 */
bool jump_ways_same(const struct jump_uplink *a, const struct jump_uplink *b);

/**
 * The list for the core. Preferred are OpenVPN's own address on every interface, then the next target; that is the
 * priority; where nobody knows where OpenVPN's socket leads, it is wished for least. OpenVPN's socket stands first whatever its priority is, so that a short list never leaves out the way in use.
 *
 * @param out         at most out_cap; id 0 and fd -1 in each, the rest filled
 * @param only_source the one address that the client may send from (`local`); NULL: any
 */
size_t jump_ways_list(struct jump_uplink *out, size_t out_cap, const struct jump_ways_target *targets,
                      size_t targets_len, const struct jump_ways_link *link, const struct jump_path *only_source);

#endif
