/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two nodes that hold one session, and one compare-and-set store between them (A05, and A03 at another node). The nodes
 * are two real server engines that were given the same inputs, as if the second had taken over what the first had
 * written: how it comes to the record is a later step, and so are the leases that would make the loser let go of the old
 * path. What is shown is that the store's answer alone decides who binds. Read next: test_engine_store.c.
 */
#include <string.h>

#include "peek.h"
#include "runner.h"
#include "store/memory.h"

#define NODES 2

struct node {
    struct world w;
    struct jump_action writing; /* what its engine asked the store to write, while it waits */
    bool waits;
    unsigned binds;
};

static struct node nodes[NODES];
static struct jump_store *store;

static void watch(struct world *w, bool server, unsigned client, const struct jump_action *action)
{
    struct node *node = w->user;
    (void)client;
    if (!server)
        return;
    node->binds += action->kind == JUMP_DO_BIND;
    if (action->kind == JUMP_DO_STORE) {
        CU_ASSERT_FALSE(node->waits);
        node->writing = *action;
        node->waits = true;
    }
}

/* The store's answer reaches the node. */
static void answer(struct node *node, enum jump_store_result result, uint64_t revision)
{
    CU_ASSERT_EQUAL_FATAL(node->w.held_count, 1);
    node->waits = false;
    node->w.held[0].revision = revision;
    world_answer_held(&node->w, result);
}

/* One node's write goes to the real store. @return its answer, which the node has been given */
static struct jump_store_answer write_of(struct node *node)
{
    struct jump_store_answer said;
    const struct jump_action *a = &node->writing;
    jump_store_put_if(store, &a->session_id, a->ticket, a->revision, a->bytes, a->bytes_len);
    CU_ASSERT_TRUE_FATAL(jump_store_next(store, &said));
    answer(node, said.result, said.revision);
    return said;
}

/* Both nodes' time passes. Until the fork the second knows what the first has written, and writes nothing itself. */
static void both(unsigned ms, bool forked)
{
    for (; ms > 0; ms--) {
        for (unsigned n = 0; n < NODES; n++) {
            struct world *w = &nodes[n].w;
            if ((w->now / JUMP_MS(1)) % 100 == 0)
                world_activity(w, 0);
            world_run(w, JUMP_MS(1));
        }
        while (!forked && nodes[0].waits) {
            CU_ASSERT_TRUE_FATAL(nodes[1].waits);
            struct jump_store_answer said = write_of(&nodes[0]);
            CU_ASSERT_EQUAL(said.result, JUMP_STORE_DONE);
            answer(&nodes[1], said.result, said.revision);
        }
    }
}

/* Two nodes with one session, ATTACHED, of the same revision in one store. */
static void begin(void)
{
    store = jump_store_memory_open(16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(store);
    for (unsigned n = 0; n < NODES; n++) {
        memset(&nodes[n], 0, sizeof nodes[n]);
        world_init(&nodes[n].w, 1, 7);
        nodes[n].w.user = &nodes[n];
        nodes[n].w.on_action = watch;
        nodes[n].w.store = WORLD_STORE_HELD;
        world_start(&nodes[n].w);
        world_open(&nodes[n].w, 0);
    }
    both(4000, false);
    for (unsigned n = 0; n < NODES; n++) {
        CU_ASSERT_EQUAL_FATAL(world_state_server(&nodes[n].w, 0), JUMP_ATTACHED);
        CU_ASSERT_EQUAL(nodes[n].binds, 1);
        nodes[n].binds = 0;
    }
    CU_ASSERT_EQUAL(memcmp(&peek_server(&nodes[0].w, 0)->id, &peek_server(&nodes[1].w, 0)->id, sizeof(struct jump_id)), 0);
}

static void end(void)
{
    for (unsigned n = 0; n < NODES; n++) {
        CU_ASSERT_PTR_NULL(peek_broken(&nodes[n].w));
        CU_ASSERT_TRUE(world_events_follow_table(&nodes[n].w));
        world_free(&nodes[n].w);
    }
    jump_store_close(store);
}

static bool record_is_of(const struct node *node)
{
    struct jump_store_record record;
    return jump_store_get(store, &record, &node->writing.session_id) && record.bytes_len == node->writing.bytes_len &&
           memcmp(record.bytes, node->writing.bytes, record.bytes_len) == 0;
}

static void test_A05_two_nodes_that_get_a_valid_reattach_at_once_exactly_one_binds(void)
{
    for (unsigned first = 0; first < NODES; first++) {
        begin();
        struct node *winner = &nodes[first], *loser = &nodes[!first];
        struct peek_record before, after;
        for (unsigned n = 0; n < NODES; n++)
            world_rebind(&nodes[n].w, 0, 0);
        for (unsigned ms = 0; ms < 3000 && !(nodes[0].waits && nodes[1].waits); ms++)
            both(1, true);
        CU_ASSERT_TRUE_FATAL(nodes[0].waits && nodes[1].waits);
        CU_ASSERT_EQUAL(nodes[0].writing.revision, nodes[1].writing.revision);
        peek_note(&before, &loser->w, true, 0);
        loser->w.last_from_server[JUMP_MSG_REATTACH_ACCEPT].len = 0;

        CU_ASSERT_EQUAL(write_of(winner).result, JUMP_STORE_DONE);
        CU_ASSERT_TRUE(record_is_of(winner));
        CU_ASSERT_EQUAL(write_of(loser).result, JUMP_STORE_CONFLICT);
        CU_ASSERT_TRUE(record_is_of(winner));

        CU_ASSERT_EQUAL(winner->binds, 1);
        CU_ASSERT_EQUAL(peek_server(&winner->w, 0)->generation, 2);
        CU_ASSERT_TRUE(winner->w.last_from_server[JUMP_MSG_REATTACH_ACCEPT].len > 0);
        peek_note(&after, &loser->w, true, 0);
        CU_ASSERT_EQUAL(loser->binds, 0);
        CU_ASSERT_EQUAL(after.generation, before.generation);
        CU_ASSERT_EQUAL(after.high, before.high);
        CU_ASSERT_EQUAL(memcmp(&after.binding, &before.binding, sizeof before.binding), 0);
        CU_ASSERT_EQUAL(loser->w.last_from_server[JUMP_MSG_REATTACH_ACCEPT].len, 0);
        CU_ASSERT_EQUAL(world_count(&loser->w, true, JUMP_EVENT_REATTACH_RESULT, JUMP_REASON_ATOMICITY_FAILED), 1);
        end();
    }
}

/* Whatever the loser is asked from then on, the store has moved away under it: it never writes over the winner's record. */
static void test_A05_the_node_that_lost_never_writes_over_the_winners_record(void)
{
    begin();
    for (unsigned n = 0; n < NODES; n++)
        world_rebind(&nodes[n].w, 0, 0);
    for (unsigned ms = 0; ms < 3000 && !nodes[1].waits; ms++)
        both(1, true);
    CU_ASSERT_EQUAL(write_of(&nodes[0]).result, JUMP_STORE_DONE);
    struct jump_action kept = nodes[0].writing;
    unsigned conflicts = 0;
    for (unsigned ms = 0; ms < 20000; ms++) {
        if (nodes[1].waits) {
            CU_ASSERT_EQUAL(write_of(&nodes[1]).result, JUMP_STORE_CONFLICT);
            conflicts++;
        }
        if (nodes[0].waits)
            answer(&nodes[0], JUMP_STORE_FAILED, 0); /* the winner writes nothing more in this test */
        both(1, true);
    }
    nodes[0].writing = kept;
    CU_ASSERT_TRUE(conflicts > 1);
    CU_ASSERT_EQUAL(nodes[1].binds, 0);
    CU_ASSERT_TRUE(record_is_of(&nodes[0]));
    end();
}

static void test_A03_a_recorded_proof_at_another_node_with_the_same_record_binds_nothing(void)
{
    begin();
    world_rebind(&nodes[0].w, 0, 0);
    for (unsigned ms = 0; ms < 3000 && !nodes[0].waits; ms++)
        both(1, true);
    CU_ASSERT_EQUAL(write_of(&nodes[0]).result, JUMP_STORE_DONE);
    CU_ASSERT_EQUAL(nodes[0].binds, 1);
    /* The very PROOF, from the very address: genuine, in time, and new to the second node. */
    const struct world_flight *proof = &nodes[0].w.last_from_client[JUMP_MSG_REATTACH_PROOF];
    CU_ASSERT_TRUE_FATAL(proof->len > 0);
    world_inject(&nodes[1].w, &proof->source, proof->bytes, proof->len);
    CU_ASSERT_TRUE_FATAL(nodes[1].waits);
    CU_ASSERT_EQUAL(write_of(&nodes[1]).result, JUMP_STORE_CONFLICT);
    CU_ASSERT_EQUAL(nodes[1].binds, 0);
    CU_ASSERT_EQUAL(peek_server(&nodes[1].w, 0)->generation, 1);
    CU_ASSERT_TRUE(record_is_of(&nodes[0]));
    end();
}

#define TESTS(X)                                                               \
    X(test_A05_two_nodes_that_get_a_valid_reattach_at_once_exactly_one_binds)  \
    X(test_A05_the_node_that_lost_never_writes_over_the_winners_record)        \
    X(test_A03_a_recorded_proof_at_another_node_with_the_same_record_binds_nothing)

RUN_TESTS("engine_nodes", TESTS)
