/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What this folder's files share. One own thread, the session thread (loop.c), has both engines: one for the sessions that
 * charon answers (server), one for those that it initiates (client). Everybody else hands it something and goes on.
 *
 * | thread | runs | touches |
 * |---|---|---|
 * | session thread | loop.c | the engines, their files, the ways; the table of peers for a moment |
 * | charon's receiver | carrier.c's hook | the carrier's ring |
 * | charon's workers | listener.c (under bus->mutex), methods.c, unique.c (its IKE_SA checked out), rebind.c, activity.c (jobs) | the table |
 * | libipsec's outbound job | esp.c's hook | what is held (hold.c) |
 *
 * Locks: `lock` guards the table of peers and the inbox. It is held for look-ups and copies only: no call into charon,
 * no system call, no other lock inside. The session thread never checks an IKE_SA out and never waits for who has one:
 * what it wants of an IKE_SA is written into the table, and a job (rebind.c) makes the IKE_SA follow.
 */
#ifndef JUMP_STRONGSWAN_ADAPTER_H
#define JUMP_STRONGSWAN_ADAPTER_H

#include <jumping/engine.h>

#include <stdatomic.h>

#include <daemon.h>
#include <collections/hashtable.h>
#include <collections/linked_list.h>
#include <threading/mutex.h>
#include <threading/thread.h>

#include "host/instance.h"
#include "host/takeovers.h"
#include "strongswan/carrier.h"
#include "strongswan/hold.h"
#include "system/netlink.h"

#define JUMP_SWAN_OBJECTS 4    /* IKE_SAs of one session at a time: the newest, and those that rekeying left to be deleted */
#define JUMP_SWAN_CHILD_WANTS 24 /* eight CHILD_SAs: to rekey, and each direction to expire */
#define JUMP_SWAN_REQIDS 8 /* CHILD_SAs of a session whose connections are told that it has no path */
#define JUMP_SWAN_NAME_BYTES 128
#define JUMP_SWAN_USER_BYTES 16

/** The bit of ike_extension_t by which an IKE_SA remembers, from IKE_AUTH on, that its peer speaks our protocol. 5.9 has
 * 17 of them, from the other end; charon copies them to the new object of a rekeying by itself. */
#define JUMP_SWAN_EXT_SPEAKS ((ike_extension_t)(1u << 30))

enum jump_swan_phase {
    JUMP_SWAN_BIRTH,   /* the path is frozen at the address of the handshake */
    JUMP_SWAN_BOUND,
    JUMP_SWAN_UNBOUND, /* what charon wants to do waits */
    JUMP_SWAN_DOOMED,  /* the core has forgotten it and its objects are about to go: nothing moves them any more */
    JUMP_SWAN_ENDED    /* the core has forgotten it: charon's own again, for as long as its objects live */
};

enum jump_swan_want { JUMP_SWAN_WANT_REKEY = 1, JUMP_SWAN_WANT_REAUTH = 2, JUMP_SWAN_WANT_DELETE = 4 };

/** What charon wanted of a CHILD_SA while the session had no path. */
struct jump_swan_child_want {
    protocol_id_t protocol;
    uint32_t spi;
    bool remove, expired; /* else rekey */
};

/** One IKE_SA object of a session. */
struct jump_swan_object {
    ike_sa_t *sa;
    ike_sa_id_t *id;
    bool swallowed; /* a retransmission job ended with us: its chain must be taken up again */
    uint32_t message_id;
    unsigned wants; /* bits of enum jump_swan_want */
    struct jump_swan_child_want children[JUMP_SWAN_CHILD_WANTS];
    size_t children_len;
};

/** A session's peer: made when an IKE_SA whose two ends announced support is established. Freed when the core has forgotten
 * it and its last object is gone. */
struct jump_swan_peer {
    jump_host host;
    enum jump_role role;
    enum jump_swan_phase phase;
    bool job_queued; /* a job of rebind.c will look at it */
    enum jump_reason reason, peer_reason; /* of its end; the peer's own, where it was the peer that ended it */
    jump_time made_at;
    struct jump_path local, remote; /* where the core wants it; at birth, where the handshake was */
    uint32_t binding;               /* how often it was bound */
    jump_time put_off_since, put_off_until; /* server: what is due is the client's until then (rebind.c); since 0: nothing is */
    uint32_t put_off_binding;
    bool later_queued;
    struct jump_path birth;         /* the client's address in the handshake */
    bool moved;                     /* the server has seen the client elsewhere since; both ends know this alike */
    uint32_t waiting[JUMP_SWAN_REQIDS]; /* reject.c: reqids whose packets the firewall shows; the session has no path */
    size_t waiting_len;
    bool translated;                /* client: the server sees it at another address than its own */
    uint64_t sent, received;        /* client: packets of all its CHILD_SAs when activity.c last looked */
    struct jump_swan_post *closing;     /* says that charon has ended it; NULL: it was said */
    struct jump_swan_object objects[JUMP_SWAN_OBJECTS]; /* newest first */
    size_t objects_len;
    char name[JUMP_SWAN_NAME_BYTES]; /* the peer's identity, for people */
    uint8_t user[JUMP_SWAN_USER_BYTES]; /* a digest of both identities: whom charon takes for the same */
};

enum jump_swan_post_kind {
    JUMP_SWAN_POST_OPEN,
    JUMP_SWAN_POST_EPOCH,
    JUMP_SWAN_POST_CLOSE,
    JUMP_SWAN_POST_AGAIN, /* the user of this session came again while it lived (unique.c) */
    JUMP_SWAN_POST_NETWORKS,
    JUMP_SWAN_POST_ACTIVITY
};

/** Something for the session thread. */
struct jump_swan_post {
    enum jump_swan_post_kind kind;
    enum jump_role role;
    jump_host host;
    struct jump_path local, remote;    /* OPEN; AGAIN: remote, of the newest */
    uint8_t secret[JUMP_SECRET_BYTES]; /* OPEN, EPOCH */
    bool sent, received;               /* ACTIVITY */
    bool stays;                        /* AGAIN: the newest was refused */
    jump_time until;                   /* the session thread's own */
};

struct jump_swan_settings {
    const char *name, *policy, *state_dir, *run_dir, *audit_dir; /* lib->settings' own */
    bool server, client, reestablish, reject;
    uint32_t max_sessions;
};

/** One of the two engines. */
struct jump_swan_role {
    struct jump_instance instance;
    bool open;
};

/** A local address of the client, with the id by which the core speaks of it. */
struct jump_swan_way {
    struct jump_path local; /* its `transport` is the id; the remote end is each session's own */
    bool seen;
};

struct jump_swan {
    struct jump_swan_settings settings;
    struct jump_swan_role server, client;

    mutex_t *lock;
    hashtable_t *by_sa;   /* ike_sa_t * to struct jump_swan_peer * */
    hashtable_t *by_host; /* jump_host to the same */
    hashtable_t *reqids;  /* a reqid to 1 + the jump_host (none of ours: 0) whose CHILD_SA came up with it last: the traffic is its */
    linked_list_t *inbox; /* of struct jump_swan_post * */
    jump_host last_host;
    bool networks_posted; /* one such post is enough */
    bool activity_runs;   /* activity.c's job is scheduled */
    jump_time connections_ask_at;
    bool connections_seen; /* charon has had a connection since it started */
    unsigned quick_ends;  /* client: times in a row that sessions did not live for long */
    jump_time quick_at;   /* the last one */
    struct jump_swan_hold *hold; /* has a lock of its own, never taken with the other; NULL: ESP is the kernel's */

    /* the session thread's own */
    thread_t *thread;
    int wake_fd; /* eventfd */
    atomic_bool stopping;
    linked_list_t *unopened;   /* of struct jump_swan_post *: sessions of clients that have not been heard yet */
    jump_time unopened_until;  /* when the first of them is given up */
    struct jump_swan_datagram datagram; /* the one in hand; bytes_len 0: none */
    struct jump_swan_way ways[JUMP_MAX_CANDIDATES];
    size_t ways_len;
    uint8_t last_way;
    struct jump_netlink *netlink; /* client: the system's news at once; charon's own comes 100 ms later, when it has settled */
    struct jump_takeovers takeovers;
    unsigned networks_looks; /* so many more looks at the local networks are to come */
    bool networks_news;      /* nobody has looked since the last news */
    jump_time networks_at, networks_next_at; /* when they were last, and are next at the earliest */
};

/** The process's only one: interposed functions carry no argument of ours. NULL: not open. */
extern struct jump_swan *jump_swan;

/* setup.c */
bool jump_swan_open(struct jump_problem *problem);
void jump_swan_close(void);

/* loop.c */
extern const struct jump_instance_host jump_swan_server_host, jump_swan_client_host; /* without their context */
/** Start and stop the session thread. */
bool jump_swan_loop_begin(struct jump_swan *swan, struct jump_problem *problem);
void jump_swan_loop_end(struct jump_swan *swan);
/** The session thread looks at what is due. Any thread, any lock. */
void jump_swan_wake(struct jump_swan *swan);
/** Hand a copy to the session thread; any thread, any lock but ours. @return false: no memory; it was not posted */
bool jump_swan_post(struct jump_swan *swan, const struct jump_swan_post *post);
/** Hand this one itself over, which is from malloc. */
void jump_swan_post_taken(struct jump_swan *swan, struct jump_swan_post *post);

/* peers.c: every function takes the lock itself */
/** Make one for an established IKE_SA. @return its host name; 0: no memory */
jump_host jump_swan_peer_add(struct jump_swan *swan, ike_sa_t *sa, enum jump_role role);
/**
 * The new object of a rekeying belongs to the session of the old one, and is made to follow what the core has said of it,
 * its end included.
 *
 * @return false: no room for it
 */
bool jump_swan_peer_rekeyed(struct jump_swan *swan, ike_sa_t *old, ike_sa_t *sa);
/** An object is gone. @return true: it was the session's newest one (then *host and *role are set) */
bool jump_swan_peer_object_gone(struct jump_swan *swan, ike_sa_t *sa);
/** True if `sa` is its session's newest object; then *host and *role are set. */
bool jump_swan_peer_of(struct jump_swan *swan, ike_sa_t *sa, jump_host *host, enum jump_role *role);
/** If `sa` is its session's newest object: the post that says that charon has ended it, once. It was made with the session, so that
 * no end needs memory. @return NULL: it is not, or that was said */
struct jump_swan_post *jump_swan_peer_closing(struct jump_swan *swan, ike_sa_t *sa);
/** The core's word on a session; a job makes the objects follow. observed: where the server sees the client. */
void jump_swan_peer_bind(struct jump_swan *swan, jump_host host, const struct jump_path *local, const struct jump_path *remote,
                         const struct jump_path *observed);
void jump_swan_peer_unbind(struct jump_swan *swan, jump_host host);
void jump_swan_peer_end(struct jump_swan *swan, jump_host host, bool destroy, enum jump_reason reason, enum jump_reason peer_reason);
/** A server's living session of the same user as this IKE_SA, which has none. @return 0: none */
jump_host jump_swan_peer_like(struct jump_swan *swan, ike_sa_t *sa);
/** The session of any of its objects, also while it ends. @return 0: none */
jump_host jump_swan_peer_host(struct jump_swan *swan, ike_sa_t *sa);
/** The id of an unbound session's newest object, cloned; NULL: it is not unbound. */
ike_sa_id_t *jump_swan_peer_unbound_id(struct jump_swan *swan, jump_host host);
/** If the session is still unbound: these are its reqids; those that another one's CHILD_SA has come up with are not. @return whether it is, and has any */
bool jump_swan_peer_waits(struct jump_swan *swan, jump_host host, const uint32_t *reqids, size_t len);
/** @return whether the session had such and is bound now; it has none any more */
bool jump_swan_peer_waits_no_more(struct jump_swan *swan, jump_host host);
/** A CHILD_SA of this IKE_SA has come up with this reqid: it is its now, and whoever else waits with it has lost it.
 * @return somebody had */
bool jump_swan_peers_taken(struct jump_swan *swan, ike_sa_t *sa, uint32_t reqid);
/** Those of all unbound sessions. @return how many, at most cap */
size_t jump_swan_peers_waiting(struct jump_swan *swan, uint32_t *out, size_t cap);
/** The last CHILD_SA of this IKE_SA with this reqid goes. */
void jump_swan_peers_left(struct jump_swan *swan, ike_sa_t *sa, uint32_t reqid);
/** A copy, without its objects' ids. @return false: unknown */
bool jump_swan_peer_get(struct jump_swan *swan, jump_host host, struct jump_swan_peer *copy);
void jump_swan_peers_clear(struct jump_swan *swan);

/* rebind.c */
/** A job that makes the objects of this session follow the table. Under the lock. */
job_t *jump_swan_rebind_job(jump_host host);

/* methods.c */
/**
 * Put ours in the place of the methods that this file lists. Its IKE_SA is checked out by the caller's thread.
 *
 * @return false: somebody else has changed one of them: nothing is done
 */
bool jump_swan_methods_install(ike_sa_t *sa);
/** The originals, for our own calls. Valid once one IKE_SA was installed. */
struct jump_swan_methods {
    void (*update_hosts)(ike_sa_t *this, host_t *me, host_t *other, update_hosts_flag_t flags);
    void (*set_condition)(ike_sa_t *this, ike_condition_t condition, bool enable);
    status_t (*retransmit)(ike_sa_t *this, uint32_t message_id);
    status_t (*delete)(ike_sa_t *this, bool force);
    status_t (*roam)(ike_sa_t *this, bool address);
    status_t (*send_dpd)(ike_sa_t *this);
    status_t (*rekey)(ike_sa_t *this);
    status_t (*reauth)(ike_sa_t *this);
    status_t (*rekey_child_sa)(ike_sa_t *this, protocol_id_t protocol, uint32_t spi);
    status_t (*delete_child_sa)(ike_sa_t *this, protocol_id_t protocol, uint32_t spi, bool expired);
};
extern struct jump_swan_methods jump_swan_real;

/* listener.c */
void jump_swan_listen_begin(void);
void jump_swan_listen_end(void);

/* unique.c: in each, the thread may be in charon's check of a new IKE_SA, or not */
void jump_swan_unique_begin(void);
void jump_swan_unique_end(void);
/** This IKE_SA is ended, before its session is. */
void jump_swan_unique_ends(ike_sa_t *older);
/** charon's ALERT_UNIQUE_REPLACE for this one. */
void jump_swan_unique_replaces(ike_sa_t *older);

/* activity.c */
/** A session of the client's began: its CHILD_SAs' counters are looked at from now on. */
void jump_swan_activity_begin(struct jump_swan *swan);

/* mapping.c */
void jump_swan_mapping_begin(void);
void jump_swan_mapping_end(void);
/** A CHILD_SA of an IKE_SA whose peer announced support is installed, or goes. */
void jump_swan_mapping_child(child_sa_t *child, bool gone);

/* reject.c: nothing happens before begin; begin and end as those of esp.c */
void jump_swan_reject_begin(struct jump_swan *swan);
void jump_swan_reject_end(void);
/** A session has lost its path. No lock is held. */
void jump_swan_reject_stop(jump_host host);
/** What jump_swan_peers_waiting says has changed; was_bound: because a session has a path again. No lock is held. */
void jump_swan_reject_look(struct jump_swan *swan, bool was_bound);

/* stay.c */
void jump_swan_stay_begin(bool user_space);
void jump_swan_stay_end(void);
/** Move an IKE_SA that the caller has checked out, its CHILD_SAs with it. */
void jump_swan_stay_move(ike_sa_t *sa, host_t *me, host_t *other);

/* esp.c */
void jump_swan_esp_begin(struct jump_swan *swan);
void jump_swan_esp_end(void);
/** Send on what was held: a packet as it came, from malloc; taken. */
void jump_swan_esp_send(uint8_t *bytes, size_t bytes_len);

#endif
