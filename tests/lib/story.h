/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What every test of the engines says in its first lines and in between: one world, client 0, a limit in virtual
 * milliseconds for whatever is waited for. Include it once in a test program. Read next: world.h, peek.h.
 */
#ifndef STORY_H
#define STORY_H

#include <string.h>

#include "peek.h"
#include "runner.h"

static struct world w;

#define TYPE(name) (1u << JUMP_MSG_##name)
#define REASON(name) JUMP_REASON_##name

/* A world whose policy may still be changed. */
static inline void story_prepare(unsigned clients)
{
    world_init(&w, clients, 7);
}

static inline void story_policy(enum jump_policy_key key, uint32_t value)
{
    jump_policy_set(&w.server_config.policy, key, value);
    jump_policy_set(&w.client_config.policy, key, value);
}
#define POLICY(key, value) story_policy(JUMP_POLICY_KEY_##key, value)

/* Every client attached, and a few seconds of ordinary life behind them. */
static inline void story_attach(void)
{
    CU_ASSERT_EQUAL_FATAL(jump_policy_valid(&w.server_config.policy), 0);
    world_start(&w);
    for (unsigned n = 0; n < w.client_count; n++)
        CU_ASSERT_TRUE_FATAL(world_attach(&w, n));
    for (unsigned n = 0; n < w.client_count; n++)
        world_busy(&w, n, JUMP_MS(4000) / w.client_count);
}

static inline void story_begin(unsigned clients)
{
    story_prepare(clients);
    story_attach();
}

/* Whatever happened, it followed the table and left no broken session. */
static inline void story_end(void)
{
    const char *broken = peek_broken(&w);
    CU_ASSERT_TRUE(world_events_follow_table(&w));
    CU_ASSERT_PTR_NULL(broken);
    CU_ASSERT_EQUAL(world_count(&w, true, JUMP_EVENT_STATE_CHANGE, JUMP_REASON_INVARIANT_VIOLATION), 0);
    CU_ASSERT_EQUAL(world_count(&w, false, JUMP_EVENT_STATE_CHANGE, JUMP_REASON_INVARIANT_VIOLATION), 0);
    world_free(&w);
}

static inline void story_step(bool busy)
{
    if (busy && (w.now / JUMP_MS(1)) % 100 == 0)
        world_activity(&w, 0);
    world_run(&w, JUMP_MS(1) - w.now % JUMP_MS(1));
}

/* Until `condition`, at most `ms`; user data flows both ways meanwhile. */
#define WAIT(condition, ms)                                                  \
    do {                                                                     \
        for (jump_time limit_ = w.now + JUMP_MS(ms); !(condition) && w.now < limit_;) \
            story_step(true);                                                \
        CU_ASSERT_TRUE(condition);                                           \
    } while (0)

/* The same, and no user data. */
#define WAIT_IDLE(condition, ms)                                             \
    do {                                                                     \
        for (jump_time limit_ = w.now + JUMP_MS(ms); !(condition) && w.now < limit_;) \
            story_step(false);                                               \
        CU_ASSERT_TRUE(condition);                                           \
    } while (0)

/* What `action` does to the session of client n leaves it byte for byte as it was. */
#define UNCHANGED(server, n, action)                                         \
    do {                                                                     \
        struct peek_shot before_, after_;                                    \
        peek_settle(&w);                                                     \
        peek_shoot(&before_, &w, server, n);                                 \
        action;                                                              \
        peek_shoot(&after_, &w, server, n);                                  \
        CU_ASSERT_TRUE(before_.there);                                       \
        CU_ASSERT_TRUE(peek_same_shot(&before_, &after_));                   \
    } while (0)

static inline const struct jump_session_view *story_server(void)
{
    static struct jump_session_view view;
    memset(&view, 0, sizeof view);
    view.state = JUMP_TERMINATED;
    world_view_server(&w, 0, &view);
    return &view;
}

static inline const struct jump_session_view *story_client(void)
{
    static struct jump_session_view view;
    memset(&view, 0, sizeof view);
    view.state = JUMP_TERMINATED;
    world_view_client(&w, 0, &view);
    return &view;
}
/* What people see of client 0's session now; TERMINATED if it is not there. */
#define S() (*story_server())
#define C() (*story_client())

/* The newest event of a kind on one side; NULL: none. */
static inline const struct jump_event *story_last(bool server, enum jump_event_kind kind)
{
    for (unsigned i = w.event_count; i-- > 0;)
        if (w.events[i].server == server && w.events[i].event.kind == kind)
            return &w.events[i].event;
    return NULL;
}

/* For people who look for the reason of a failure: call it where the test fails. */
static inline void story_show(unsigned from)
{
    for (unsigned i = from; i < w.event_count; i++) {
        const struct jump_event *e = &w.events[i].event;
        printf("    %9.3f %s%u %s", (double)(e->at - JUMP_MS(1000000)) / 1e9, w.events[i].server ? "S" : "C",
               w.events[i].client, jump_event_kind_name(e->kind));
        if (e->fields & JUMP_FIELD_TRANSITION)
            printf(" %s %s->%s", e->row, jump_mode_name(e->previous_mode), jump_mode_name(e->new_mode));
        printf(" v%llu g%llu %s\n", (unsigned long long)e->state_version, (unsigned long long)e->generation,
               e->fields & JUMP_FIELD_REASON ? jump_reason_name(e->reason) : "");
    }
}

static inline struct jump_input story_input(enum jump_input_kind kind)
{
    struct jump_input in = { .kind = kind, .host = 1 };
    return in;
}

#endif
