/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A world for tests: one real server engine, a few real client engines, and a simulated network under virtual time:
 * delay, loss, holes, NAT rebinding, an attacker who sees and sends everything. Nothing sleeps. It owns no assertion;
 * tests look at the views, the events and the wires. Read next: peek.h (white-box views and forged messages),
 * tests/unit/test_engine_model.c, tests/scenarios/README.md.
 */
#ifndef WORLD_H
#define WORLD_H

#include <jumping/engine.h>

#include "session.h"

#define WORLD_CLIENTS 8
#define WORLD_FLIGHTS 4096
#define WORLD_EVENTS 4096
#define WORLD_UPLINKS 4

struct world_flight {
    jump_time at;
    bool to_server, used;
    uint8_t client;
    struct jump_path source, target; /* as the receiver sees them */
    size_t len;
    uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES];
};

struct world_client {
    struct jump_engine *engine;
    void *memory;
    struct jump_path uplinks[WORLD_UPLINKS]; /* public address by transport id - 1; rebinding changes it */
    bool up[WORLD_UPLINKS];                  /* false: nothing passes, either way */
    jump_time delay[WORLD_UPLINKS];          /* one way */
    uint32_t loss_ppm[WORLD_UPLINKS];
    bool bound, ended, end_host;
    enum jump_reason ended_for;
    unsigned ends, binds, unbinds;
    struct jump_path binding, observed;
};

struct world_event {
    bool server;
    uint8_t client;
    struct jump_event event;
};

enum world_store { WORLD_STORE_NOW, WORLD_STORE_HELD, WORLD_STORE_CONFLICT, WORLD_STORE_FAIL };

struct world {
    jump_time now;
    uint64_t random;
    struct jump_config server_config, client_config;
    struct jump_engine *server;
    void *server_memory;
    struct jump_path server_path;
    struct world_client clients[WORLD_CLIENTS];
    unsigned client_count;
    struct world_flight *flights;
    unsigned flights_top; /* no slot from here on is in use */
    struct world_event *events;
    unsigned event_count;
    unsigned server_ends, server_sent;
    bool server_end_host; /* what the newest DO_END of the server said */
    enum jump_reason server_ended_for;
    enum world_store store;
    struct jump_input held[16]; /* store answers kept back */
    unsigned held_count;
    uint64_t store_revision;
    struct world_flight last_from_client[16]; /* the newest datagram of each type, as it left (server's view of it) */
    struct world_flight last_from_server[16];
    jump_time server_still_until; /* its host stands still: no tick, and what arrives is read a millisecond later */
    uint32_t drop_up, drop_down; /* bit n: datagrams of type n are lost, to the server, to a client */
    void (*on_flight)(struct world *w, struct world_flight *flight); /* may change, drop (used = false) or copy it */
    void (*on_action)(struct world *w, bool server, unsigned client, const struct jump_action *action); /* sees all */
    void *user; /* for the two above */
};

/** A world with one server and `clients` clients, policy "mobile" unless changed before world_start. */
void world_init(struct world *w, unsigned clients, uint64_t seed);
void world_start(struct world *w);
void world_free(struct world *w);

/** A v4 path 192.0.2.x:port as the server sees it (transport 0). */
struct jump_path world_path(uint8_t last, uint16_t port);

/** The host's handshake is done on both sides: OPEN on the server and on client n. Host name: n + 1. */
void world_open(struct world *w, unsigned client);

/** Open and run until both sides are ATTACHED, at most 2 s. @return true if they are */
bool world_attach(struct world *w, unsigned client);

/** Put one more datagram into the air (a copy, a replay): on_flight is not asked about it. */
void world_fly(struct world *w, const struct world_flight *flight);

/** The oldest answer that the store holds back goes to the server, with this result. @return false: none is held */
bool world_answer_held(struct world *w, enum jump_store_result result);

/** The host rekeyed: the same new secret, on the server's or the client's side. */
void world_rekey_server(struct world *w, unsigned client, const uint8_t secret[JUMP_SECRET_BYTES], bool maybe_new);
void world_rekey_client(struct world *w, unsigned client, const uint8_t secret[JUMP_SECRET_BYTES], bool maybe_new);

/** Like world_run, with user data both ways every 100 ms. */
void world_busy(struct world *w, unsigned client, jump_time span);

/** Let virtual time pass: deliver what arrives, run what is due. */
void world_run(struct world *w, jump_time span);

/** Run until `done(w)` or the span is over. @return true if done */
bool world_until(struct world *w, bool (*done)(struct world *w), jump_time span);

/** The client's NAT forgets: another public port on this uplink; what flies to the old one is lost. */
void world_rebind(struct world *w, unsigned client, unsigned uplink);

/** One input at this moment. @return the engine's verdict; its actions have been carried out */
int world_feed_server(struct world *w, struct jump_input *in);
int world_feed_client(struct world *w, unsigned client, struct jump_input *in);

/** A datagram arrives at the server from `source`. @return the engine's verdict */
int world_inject(struct world *w, const struct jump_path *source, const uint8_t *bytes, size_t len);

/** A datagram arrives at a client on an uplink (1-based transport id). */
int world_inject_client(struct world *w, unsigned client, uint8_t transport, const uint8_t *bytes, size_t len);

/** Tell the client which uplinks there are (ids 1..n) and which are lost (0-terminated list, may be NULL). */
void world_candidates(struct world *w, unsigned client, unsigned count, const uint8_t *lost);

/** User data flows both ways at this moment. */
void world_activity(struct world *w, unsigned client);

/** The server is gone and back: a new engine with the next boot number, knowing nobody. */
void world_restart_server(struct world *w);

bool world_view_server(struct world *w, unsigned client, struct jump_session_view *view);
bool world_view_client(struct world *w, unsigned client, struct jump_session_view *view);
enum jump_state world_state_server(struct world *w, unsigned client); /* TERMINATED if unknown */
enum jump_state world_state_client(struct world *w, unsigned client);

/** How many events of this kind (and reason, JUMP_REASON_NONE: any) one side has recorded. */
unsigned world_count(const struct world *w, bool server, enum jump_event_kind kind, enum jump_reason reason);

/** How many SessionStateChange events took this row ("T5") for this reason (JUMP_REASON_NONE: any). */
unsigned world_took(const struct world *w, bool server, const char *row, enum jump_reason reason);

/** True if every SessionStateChange of both sides follows the table and steps the version by one. */
bool world_events_follow_table(const struct world *w);

#endif
