/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulation: many real client engines and several real server engines in one process, under virtual time, in a
 * network that does whatever one seed says (docs/proof.md, "Simulation"). An adapter's loop without a host: nothing
 * sleeps, nothing is drawn from anywhere but the seed.
 *
 *   queue.c    virtual time: a heap of what happens next, and the datagrams in the air
 *   network.c  uplinks, NATs, loss, delay: where a datagram comes out, if it does
 *   host.c     the processes: start, stop, feed the engines, carry their actions out
 *   program.c  what a VPN program does: handshakes, data, rekeys
 *   attack.c   who stands on the path: copies, replays, forgeries, floods
 *   draw.c     a whole script from one seed
 *   faults.c   the operations a script is made of, carried out
 *   oracle.c   what the engines say, and whether they may, by its own books
 *   look.c     what the engines show, beside those books
 *   script.c   a script as text, and shrinking one that fails
 *   run.c      one run
 *   main.c     the command
 */
#ifndef SIM_H
#define SIM_H

#include <stdio.h>
#include <string.h>

#include <jumping/engine.h>

#include "internal.h"

#define SIM_CLIENTS 320
#define SIM_GATEWAYS 4
#define SIM_UPLINKS 3
#define SIM_ARGS 5
#define SIM_NEWEST 24 /* datagrams that whoever stands on a client's path has kept: the newest ones, */
#define SIM_OLDER 40  /* and every eighth of those before, so that some are behind every replay window */
#define SIM_REMEMBERED (SIM_NEWEST + SIM_OLDER)
#define SIM_MAPPINGS 24
#define SIM_BEGIN JUMP_MS(1000000)
#define SIM_SWEEP JUMP_MS(5000)
#define SIM_QUIET JUMP_MS(100000) /* nothing wrong for so long: everybody is attached. The switch rate's minute, and room */
#define SIM_SERIALS (1u << 20)
#define SIM_STRANGERS 0xffffu

/* --- the script --------------------------------------------------------------------------------------------- */

/* name, arguments; "for" is in ms and says how long it lasts. What each does: faults.c */
#define SIM_OPS(X)                                     \
    X(HOLE, "hole", "client uplink dir for")           \
    X(GONE, "gone", "client uplink for")               \
    X(FLAP, "flap", "client uplink period for")        \
    X(LOSS, "loss", "client uplink ppm for")           \
    X(BURST, "burst", "client uplink ppm slot for")    \
    X(DELAY, "delay", "client uplink ms for")          \
    X(JITTER, "jitter", "client uplink ms for")        \
    X(TWICE, "twice", "client uplink ppm for")         \
    X(CORRUPT, "corrupt", "client uplink ppm for")     \
    X(REBIND, "rebind", "client uplink")               \
    X(EXPIRE, "expire", "client uplink")               \
    X(SWAP, "swap", "client uplink")                   \
    X(RENUMBER, "renumber", "client uplink told")      \
    X(RESTLESS, "restless", "client uplink for")       \
    X(COPY, "copy", "client ppm how for")              \
    X(REPLAY, "replay", "client count how")            \
    X(FORGE, "forge", "client count how")              \
    X(FLOOD, "flood", "client count")                  \
    X(STILL, "still", "client for")                    \
    X(SUSPEND, "suspend", "client for")                \
    X(BACKWARDS, "backwards", "client server ms")      \
    X(KILL, "kill", "client for")                      \
    X(EXIT, "exit", "client for")                      \
    X(STALL, "stall", "gateway for")                   \
    X(RESTART, "restart", "gateway forget for")        \
    X(STORE, "store", "gateway mode ms for")           \
    X(STEAL, "steal", "client")                        \
    X(OPERATOR, "operator", "client")                  \
    X(REKEY, "rekey", "client how")                    \
    X(POLICY, "policy", "gateway which")               \
    X(ADVICE, "advice", "client")                      \
    X(CROWD, "crowd", "gateway count")                 \
    X(DATA, "data", "client period for")

enum sim_op_kind {
#define X(name, text, args) SIM_OP_##name,
    SIM_OPS(X)
#undef X
    SIM_OP_COUNT
};

struct sim_op {
    uint32_t at_ms; /* since the world's beginning */
    uint8_t kind;
    uint32_t arg[SIM_ARGS];
};

/** Everything that a run depends on. Who takes part is drawn from (seed, number), so leaving one out changes no other. */
struct sim_script {
    uint64_t seed;
    uint32_t clients, gateways, length_ms;
    uint8_t present[SIM_CLIENTS];
    uint32_t op_count;
    struct sim_op *ops; /* in order of time */
};

/* --- the world ---------------------------------------------------------------------------------------------- */

enum sim_happening {
    SIM_FLIGHT, SIM_WAKE, SIM_OPERATION, SIM_STORED, SIM_HOST, SIM_USER_DATA, SIM_REKEY, SIM_CANDIDATES, SIM_UP, SIM_SWEEPING
};

struct sim_event {
    jump_time at;
    uint64_t order;
    uint32_t what, who;
};

struct sim_flight {
    uint32_t next_free;
    uint16_t len, client;
    uint8_t gateway, uplink;
    bool to_server, copied;
    uint8_t tampered; /* 1: a bit was turned over; 2: made by somebody else */
    uint64_t serial; /* of the message as it was sealed; its copies have the same */
    struct jump_path source, target;
    uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES];
};

struct sim_kept {
    bool to_server;
    uint16_t len;
    uint8_t gateway, uplink;
    uint64_t serial;
    uint8_t bytes[JUMP_MAX_DATAGRAM_BYTES];
};

/** One process with an engine in it. */
struct sim_node {
    struct jump_engine *engine; /* NULL: it is not running */
    void *memory;
    size_t bytes;
    struct jump_config config;
    uint16_t index; /* clients first, then gateways */
    jump_time wake_at, still_until;
    bool deaf;       /* while still: what arrives is lost (the machine sleeps), not kept */
    uint32_t starts, waiting;
};

struct sim_uplink {
    bool v6;
    uint16_t nat, member;
    uint8_t number;        /* of its address: renumbering counts */
    uint16_t port;         /* 0: no mapping */
    uint32_t ports_used;
    jump_time used_at, nat_timeout, delay;
    struct jump_path mappings[SIM_MAPPINGS]; /* all it ever had, the newest ones */
    uint32_t mapping_count;
    uint64_t packets[2];
    /* what is wrong with it, and until when */
    jump_time hole_until[2], flap_until, flap_from, flap_period, loss_until, burst_until, burst_slot, delay_until, extra;
    jump_time jitter_until, jitter, twice_until, corrupt_until, restless_until, gone_until;
    uint32_t loss_ppm, burst_ppm, twice_ppm, corrupt_ppm;
};

enum sim_phase { SIM_DOWN, SIM_OPEN };

struct sim_client {
    struct sim_node node;
    bool present;
    struct sim_client *machine; /* whose engine and uplinks it has: its own, or those of the one before it */
    uint8_t uplink_count;
    struct sim_uplink uplinks[SIM_UPLINKS];
    /* its VPN program */
    enum sim_phase phase;
    jump_host host, server_host;
    uint16_t gateway, home;
    struct jump_id id, forgotten; /* forgotten: its gateway has lost all, and it cannot know: it waits its window out */
    uint64_t secrets;
    uint32_t server_start; /* of the gateway, when it was told of this session */
    jump_time opened_at, rekey_every, data_every, data_due, busy_every, busy_until, quiet_at, host_due;
    /* who listens on its path */
    jump_time copy_until;
    uint32_t copy_ppm, copy_how, kept_count;
    struct sim_kept *kept;
    double hours;
};

struct sim_answer {
    uint32_t next_free;
    uint16_t gateway;
    uint32_t start; /* of the gateway that asked */
    struct jump_input in;
    uint64_t version, generation, attempt, counter; /* what the record said */
    struct jump_path path;
};

enum { SIM_STORE_NOW, SIM_STORE_SLOW, SIM_STORE_FAIL, SIM_STORE_MIXED, SIM_STORE_STUCK };

struct sim_gateway {
    struct sim_node node;
    bool up;
    jump_time store_until, store_for, quiet_at;
    uint32_t store_mode;
    uint64_t boot, writes, hosts, asked;
    struct sim_track **bound;
    uint32_t bound_count, bound_room;
};

/** What the oracle knows of one session on one side; from actions and events, not from the engine. */
struct sim_track {
    struct jump_id id;
    uint16_t node, client;
    uint32_t start;
    bool server, bound, over, stolen, closed, by_operator, gone;
    uint32_t bound_at; /* its place among those that its gateway has bound */
    uint8_t mode;
    uint64_t version, generation;
    struct jump_path path;
    jump_host host;
    jump_time born_at, keyed_at, unbound_at, recovering_at, switches[128];
    struct jump_policy policy; /* its own: the server's at its birth, with the tighter bounds that were asked for or came since */
    bool policy_known;
    uint64_t sent;             /* the counter of the last message that it sealed */
    uint32_t switch_count;
    /* the store, as the oracle saw it written */
    uint64_t revision, stored_generation, stored_version, stored_attempt, stored_counter;
    struct jump_path stored_path;
};

struct sim_totals {
    double hours;
    uint64_t steps, datagrams, sessions, moves, switches, refused, ended, checks;
};

struct sim {
    const struct sim_script *script;
    jump_time now, end;
    uint64_t order, serials, hash, host_serial;
    struct sim_event *heap;
    uint32_t heap_count, heap_room;
    struct sim_flight **flights;
    uint32_t flight_room, flight_free;
    struct sim_answer *answers;
    uint32_t answer_room, answer_free;
    struct sim_client *clients;
    struct sim_gateway gateways[SIM_GATEWAYS];
    struct sim_track **tracks; /* open addressing by node and id */
    uint32_t track_room, track_count;
    uint8_t *accepted;        /* a bit for each serial: an engine has taken it */
    struct jump_id touched[64]; /* sessions that the step in hand said something about */
    uint32_t touched_count;
    struct { /* the datagram in hand */
        struct jump_id id;
        struct jump_path from;
        bool known, all, copied;
        uint16_t client;
        uint8_t uplink;
        uint32_t sessions, replies;
        size_t reply_bytes;
    } hand;
    uint8_t *before, *all_before; /* the session that the datagram names; the whole table, now and then */
    size_t all_room;
    struct jump_policy profiles[3];
    struct sim_totals totals;
    bool new_policy; /* an engine is being given one: whether it takes it is not known yet */
    bool failed;
    uint16_t failed_client;
    jump_time failed_at;
    char failed_what[8], failure[320];
    FILE *trace;
};

/* --- shared ------------------------------------------------------------------------------------------------- */

/** A number that depends on nothing but its arguments: what is drawn in one place changes nothing in another. */
static inline uint64_t sim_mix(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t z = seed * UINT64_C(0x9e3779b97f4a7c15) + a * UINT64_C(0xd1342543de82ef95) + b * UINT64_C(0x2545f4914f6cdd1d) + 1;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline bool sim_same_path(const struct jump_path *a, const struct jump_path *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/** Run one script to its end or to the first failure. The caller has set script (and trace). */
void sim_run(struct sim *sim);
void sim_make(struct sim *sim); /* the world before anything happened; for tests */
void sim_end(struct sim *sim);
void sim_fail(struct sim *sim, uint16_t client, const char *what, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* queue.c */
void sim_at(struct sim *sim, jump_time at, enum sim_happening what, uint32_t who);
bool sim_next(struct sim *sim, struct sim_event *event);
struct sim_flight *sim_take_off(struct sim *sim, uint32_t *index);
void sim_land(struct sim *sim, uint32_t index);
struct sim_answer *sim_ask(struct sim *sim, uint32_t *index);
void sim_answered(struct sim *sim, uint32_t index);
void *sim_more(void *memory, size_t bytes);

/* network.c */
void sim_wire_client(struct sim *sim, uint16_t n);
struct jump_path sim_address(const struct sim_uplink *uplink);
struct jump_path sim_gateway_path(uint16_t gateway, bool v6);
void sim_remap(struct sim *sim, struct sim_uplink *uplink, uint16_t port);
bool sim_passes(struct sim *sim, const struct sim_client *c, unsigned uplink, unsigned dir);
void sim_from_client(struct sim *sim, uint16_t n, const struct jump_action *action);
void sim_from_gateway(struct sim *sim, uint16_t g, const struct jump_action *action);
void sim_arrive(struct sim *sim, uint32_t index);
bool sim_owner(struct sim *sim, const struct jump_path *path, uint16_t *client, uint8_t *uplink);
void sim_fly(struct sim *sim, const struct sim_flight *flight, jump_time at);

/* host.c, program.c */
void sim_secret(struct sim *sim, uint8_t out[JUMP_SECRET_BYTES], uint64_t who, uint64_t what);
int sim_feed_host(struct sim *sim, struct sim_node *node, enum jump_input_kind kind, jump_host host, enum jump_reason reason);
int sim_feed(struct sim *sim, struct sim_node *node, struct jump_input *in);
bool sim_has_lodger(const struct sim *sim, uint16_t n);
void sim_start_client(struct sim *sim, uint16_t n);
void sim_start_gateway(struct sim *sim, uint16_t g);
void sim_stop(struct sim *sim, struct sim_node *node);
void sim_host_due(struct sim *sim, uint16_t n);
void sim_host_later(struct sim *sim, uint16_t n, jump_time at);
void sim_user_data(struct sim *sim, uint16_t n);
void sim_rekey_due(struct sim *sim, uint16_t n);
void sim_rekey(struct sim *sim, uint16_t n, unsigned how);
void sim_tell_candidates(struct sim *sim, uint16_t n);
void sim_close(struct sim *sim, uint16_t n, enum jump_reason reason);
void sim_stored(struct sim *sim, uint32_t index);
bool sim_stands_still(const struct sim *sim, const struct sim_node *node);

/* attack.c */
void sim_overheard(struct sim *sim, const struct sim_flight *flight);
void sim_relayed(struct sim *sim, uint16_t g, const struct jump_action *action);
void sim_replay(struct sim *sim, uint16_t n, uint32_t count, uint32_t how);
void sim_forge(struct sim *sim, uint16_t n, uint32_t count, uint32_t how);
void sim_flood(struct sim *sim, uint16_t n, uint32_t count);
struct jump_path sim_stranger(uint64_t draw, bool v6);
bool sim_is_stranger(const struct jump_path *path);

/* draw.c, faults.c */
void sim_draw(struct sim_script *script, uint64_t seed, double hours);
void sim_operate(struct sim *sim, const struct sim_op *op);
const char *sim_op_name(unsigned kind);
const char *sim_op_args(unsigned kind);

/* oracle.c, look.c */
struct jump_session *sim_live(const struct sim_node *node, const struct jump_id *id);
jump_time sim_quiet_for(struct sim *sim, uint16_t n); /* how long nothing has been wrong for this client */
struct sim_track *sim_track(struct sim *sim, const struct sim_node *node, const struct jump_id *id, bool make);
void sim_oracle_action(struct sim *sim, struct sim_node *node, const struct jump_action *action);
/** All actions of one step have been seen. */
void sim_oracle_settled(struct sim *sim, struct sim_node *node);
void sim_oracle_before(struct sim *sim, struct sim_node *node, const struct jump_input *in);
void sim_oracle_after(struct sim *sim, struct sim_node *node, const struct jump_input *in, int result,
                      const struct sim_flight *flight);
/** A record goes to the store. @return what the store says to it, by compare-and-set; *revision is its new one */
enum jump_store_result sim_oracle_write(struct sim *sim, struct sim_node *node, const struct jump_action *action,
                                        uint64_t *revision);
void sim_oracle_stored(struct sim *sim, struct sim_node *node, const struct sim_answer *answer);
void sim_oracle_stopped(struct sim *sim, struct sim_node *node);
void sim_oracle_sweep(struct sim *sim);
void sim_oracle_look(struct sim *sim, struct sim_node *node); /* at every session of one engine */
/** Its policy has changed: every session that it has keeps its own, but no bound that ends it stays later than the new one. */
void sim_oracle_bounds(struct sim *sim, struct sim_node *node, const struct jump_policy *policy);
void sim_oracle_rekeyed(struct sim *sim, struct sim_node *node, const struct jump_id *id); /* its host has brought a secret */

/* script.c */
void sim_write(const struct sim_script *script, FILE *out);
/** @param line  the last one that was read: where it is no script, if it is none */
bool sim_read(struct sim_script *script, FILE *in, unsigned *line);
void sim_copy(struct sim_script *to, const struct sim_script *from);
void sim_drop(struct sim_script *script);
/** Make a failing script as short as it goes with at most `runs` tries; it still fails for the same reason. */
void sim_shrink(struct sim_script *script, unsigned runs);

#endif
