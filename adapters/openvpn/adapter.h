/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one object of a loaded plugin, shared by this folder's files: loop.c carries the engine's actions out, io.c stands in OpenVPN's calls, hooks.c takes its plugin calls, uplinks.c watches a client's own networks.
 * Outside this folder only open, call and close are known (hooks.h).
 *
 * Threads and locks: there are none. Everything runs in OpenVPN's main thread, inside its own calls (a plugin call, or
 * an interposed recvfrom, sendto or poll), and never nested: what we call in turn are the C library's real functions.
 */
#ifndef JUMP_OVPN_ADAPTER_H
#define JUMP_OVPN_ADAPTER_H

#include <jumping/engine.h>
#include <netdb.h>
#include <openvpn/openvpn-plugin.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "settings.h"
#include "sieve.h"
#include "inject.h"
#include "interpose.h"
#include "management.h"
#include "map.h"
#include "numbers.h"
#include "ways.h"
#include "host/hold.h"
#include "host/instance.h"
#include "host/takeovers.h"
#include "system/netlink.h"

#define JUMP_OVPN_OWN_FDS (JUMP_INSTANCE_FDS + 2 + JUMP_MAX_CANDIDATES)
#define JUMP_OVPN_PKTINFO_BYTES 64
#define JUMP_OVPN_CALLS 6
#define JUMP_OVPN_NAME_BYTES 65 /* OpenVPN's longest name, and the end */

/** The real functions behind the slots we hold. */
struct jump_ovpn_calls {
    ssize_t (*recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
    ssize_t (*sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    int (*poll)(struct pollfd *, nfds_t, int);
    int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    ssize_t (*recvmsg)(int, struct msghdr *, int);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    int (*getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
};

/** With `multihome`: the local address that a datagram came to, so that the answer leaves from it. */
struct jump_ovpn_pktinfo {
    uint8_t bytes[JUMP_OVPN_PKTINFO_BYTES];
    size_t len; /* 0: none */
};

#define JUMP_UPLINK_UNKNOWN 255 /* the transport of OpenVPN's socket while no way to the server is known */

/** OpenVPN's per_client_context. On a client the top context is one too. */
struct jump_ovpn_client {
    struct jump_ovpn_client *next;
    jump_host host;                  /* 0: no session */
    struct jump_path shown;
    bool shown_known, secret_known, newer_known;
    bool opens; /* authorised: the core hears of it as soon as the user's scripts are done */
    uint8_t secret[JUMP_SECRET_BYTES]; /* of the first handshake: the session's id comes from it */
    uint8_t newer[JUMP_SECRET_BYTES];  /* of a rekey that was done before the user was authorised */
    char common_name[JUMP_OVPN_NAME_BYTES];
    char tunnel[JUMP_MANAGEMENT_TUNNEL_BYTES]; /* its IPv4 address there, as it was given at first */
};

struct jump_ovpn {
    struct jump_settings_arguments arguments;
    struct jump_settings_facts facts;
    struct jump_instance instance; /* the engine, its files and its clock */
    plugin_log_t plugin_log;
    bool bare; /* nothing is taken over: OpenVPN alone */

    void *map_memory;
    size_t map_memory_len;
    struct jump_map *map;
    struct jump_hold *hold;
    struct jump_management *management; /* server */
    struct jump_netlink *netlink;       /* client */
    struct jump_ovpn_client *clients;
    struct jump_ovpn_client **client_of; /* by peer's number; NULL: no session there */
    uint32_t numbers;                    /* of peers there are at most */

    struct jump_interpose_call slots[JUMP_OVPN_CALLS];
    size_t slots_len;
    struct jump_ovpn_calls real;
    int link_fd; /* OpenVPN's socket as last used; -1: not seen yet */
    bool link_inet6; /* its family */
    struct jump_sieve sieve; /* server */
    struct jump_ovpn_pktinfo reply_from, *peer_pktinfo; /* multihome: of the datagram in hand; of each peer */
    struct jump_path reply_to;                          /* where the datagram in hand came from */

    jump_time activity_at, flush_at;
    jump_time management_again_at; /* JUMP_NEVER: nobody waits there to be told apart */
    jump_time looked_at; /* when poll last had our own descriptors in it */
    bool busy;           /* OpenVPN's last wait was none */
    struct jump_ovpn_numbers active; /* of peers with activity since the last report */
    struct jump_ovpn_numbers behind; /* of peers that have a binding again and something held */
    bool key_material_missing; /* reported once */
    bool no_link_said;         /* so is that */
    bool refusal_said;         /* and that */
    uint64_t refused;          /* held packets that the kernel would not send for longer than we wait */
    bool opens_wait;           /* some client's `opens` is set */

    /* server: the session that was closed last, and whose names lately came again in the same moment */
    char closed_name[JUMP_OVPN_NAME_BYTES];
    struct jump_id closed_session;
    uint64_t closed_version;
    struct jump_path closed_path;
    jump_time closed_at;
    struct jump_takeovers takeovers;

    /* client */
    struct jump_ovpn_client *top;
    struct jump_path server; /* as OpenVPN knows it */
    bool host_inet6;         /* and the family in which OpenVPN speaks of it */
    bool server_known, reset_sent;
    struct jump_ways ways;
    struct jump_uplink uplinks[JUMP_MAX_CANDIDATES];
    uint8_t last_transport;
    jump_time networks_at; /* when the networks were looked at last for the system's news */
    bool networks_wait;    /* news came since */
    jump_time advice_at;   /* when the core was told last that the link had an error */
    bool advice_waits;
    unsigned own_tun, link_device; /* interface numbers; 0: none */
    unsigned host_device;          /* what OpenVPN bound its own socket to: `bind-dev`, a VRF */
    struct jump_path link_server;  /* where OpenVPN's socket really sends */
    ino_t link_socket;             /* the socket that we put there or on a device; 0: as OpenVPN made it */
    bool translated;               /* link_server or its family is not what OpenVPN knows */
    struct jump_path link_local;   /* what OpenVPN bound its own socket to: `local`, `lport`; zeros where nothing */
    ino_t session_socket;          /* OpenVPN's socket when the session was made */
    ino_t reset_socket;            /* and when it last sent a hard reset */
    jump_time session_made_at, restart_at;
    unsigned quick_ends; /* sessions in a row that did not live for long */
};

/** The process's instance, or NULL: import slots carry no argument, so this one pointer has to be global. */
extern struct jump_ovpn *jump_ovpn_instance;

void jump_ovpn_log(const struct jump_ovpn *ovpn, enum jump_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* loop.c */

/** What this host is to its instance. */
void jump_ovpn_be_host(struct jump_instance_host *host, struct jump_ovpn *ovpn);

/** A control datagram without its envelope byte. */
void jump_ovpn_datagram(struct jump_ovpn *ovpn, const uint8_t *bytes, size_t bytes_len, const struct jump_path *from);

/** Server: end this peer's instance. `client` NULL: unknown. @return false: nobody takes the command */
bool jump_ovpn_kill(struct jump_ovpn *ovpn, const struct jump_map_peer *peer, const struct jump_ovpn_client *client);

/** Client: connect anew: at once, but later and later while sessions keep ending young. */
void jump_ovpn_restart(struct jump_ovpn *ovpn);

/** All that is due at ovpn->instance.now: what the instance has, held packets, activity. */
void jump_ovpn_run(struct jump_ovpn *ovpn);

/** When jump_ovpn_run has something to do again. */
jump_time jump_ovpn_deadline(const struct jump_ovpn *ovpn);

/** Our own descriptors for OpenVPN's poll, at most JUMP_OVPN_OWN_FDS. */
size_t jump_ovpn_fds(struct jump_ovpn *ovpn, struct pollfd *out);
void jump_ovpn_serve(struct jump_ovpn *ovpn, const struct pollfd *fds, size_t fds_len);

/** Client: the system says that its networks changed: look at once, but at most every 100 ms however much it says. */
void jump_ovpn_networks_changed(struct jump_ovpn *ovpn);

/** What the rounds need for so many peers: their lists, and who has which number. False: no memory. */
bool jump_ovpn_rounds_begin(struct jump_ovpn *ovpn, uint32_t peers);
void jump_ovpn_rounds_end(struct jump_ovpn *ovpn);

/** This client's session has this name for the core; NULL: it is closed. */
void jump_ovpn_know_client(struct jump_ovpn *ovpn, jump_host host, struct jump_ovpn_client *client);

/**
 * What came of a real call on OpenVPN's socket. An error that ICMP or the routing gave is advice to the core, fed by the
 * next jump_ovpn_run (the call may be one of the core's own actions), at most every 100 ms.
 *
 * @return result, with errno as it was
 */
ssize_t jump_ovpn_came_of(struct jump_ovpn *ovpn, int fd, ssize_t result);

/** Server: look at how many messages came of no session; tell the log where a flood began or is over. */
void jump_ovpn_sieve(struct jump_ovpn *ovpn);

/** User data passed: for the core's idea of a busy session. */
void jump_ovpn_activity(struct jump_ovpn *ovpn, struct jump_map_peer *peer, bool sent);

/** Send the held packets of a peer that has a binding again, some at a time. */
void jump_ovpn_flush(struct jump_ovpn *ovpn);

/** Hold a packet behind what is held already; where there is a binding again, some of it leaves at once. */
void jump_ovpn_queue_behind(struct jump_ovpn *ovpn, uint32_t peer, const uint8_t *bytes, size_t bytes_len);

/* io.c */

bool jump_ovpn_io_begin(struct jump_ovpn *ovpn, struct jump_problem *problem);
void jump_ovpn_io_end(struct jump_ovpn *ovpn);

/** Room in OpenVPN's socket for what the peer held in an outage; `rcvbuf` in the user's file is left alone. */
void jump_ovpn_widen(const struct jump_ovpn *ovpn);

/** Send through OpenVPN's socket. `peer` for multihome's local address. @return as sendto(2) */
ssize_t jump_ovpn_link_send(struct jump_ovpn *ovpn, const struct jump_path *to, uint32_t peer, const uint8_t *bytes,
                            size_t bytes_len);

/** With `multihome`: this peer is reached at `path` from now on. What its former address was answered from is void. */
void jump_ovpn_link_moved(struct jump_ovpn *ovpn, uint32_t peer, const struct jump_path *path);

/* hooks.c */

/** The client sent a hard reset to this address: what went before is over. */
void jump_ovpn_client_reset(struct jump_ovpn *ovpn, const struct jump_path *server);

/** Server: feed the sessions of clients that were authorised since the last time. */
void jump_ovpn_open_authorised(struct jump_ovpn *ovpn);

/* uplinks.c: client */

/** Which socket OpenVPN's is (descriptors are reused, sockets are not). 0: none. */
ino_t jump_uplinks_socket(const struct jump_ovpn *ovpn);
/** OpenVPN sends a hard reset: forget the socket that we put there if it has made one of its own. @return it has */
bool jump_uplinks_settle(struct jump_ovpn *ovpn);
/** Begin anew with the server that OpenVPN now sends to. */
void jump_uplinks_begin(struct jump_ovpn *ovpn);
/** Look at the networks again and tell the core what changed. */
void jump_uplinks_update(struct jump_ovpn *ovpn, bool tell_always);
/** Where OpenVPN's socket as it was made leads towards this address. @return as jump_netlink_source */
int jump_uplinks_route(struct jump_ovpn *ovpn, struct jump_path *source, unsigned *ifindex, const struct jump_path *dst);
/** The transport that OpenVPN's socket is; JUMP_UPLINK_UNKNOWN. */
uint8_t jump_uplinks_current(const struct jump_ovpn *ovpn);
ssize_t jump_uplinks_send(struct jump_ovpn *ovpn, const struct jump_path *to, const uint8_t *bytes, size_t bytes_len);
/** The core bound this transport: make its socket OpenVPN's. */
void jump_uplinks_bind(struct jump_ovpn *ovpn, uint8_t transport);
/** Datagrams on a candidate's own socket: control only. */
void jump_uplinks_receive(struct jump_ovpn *ovpn, int fd);
void jump_uplinks_end(struct jump_ovpn *ovpn);

#endif
