/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Keys are gone when their time is over: the memory of the whole process, stacks and freed blocks included, is searched for
 * the host's secret, for what is derived from it on the way, and for the keys themselves. What is looked for is kept in the
 * test in another form (masked), and never whole. Read next: docs/proof.md, "Secrets".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <sodium.h>

#include "story.h"

#define MASK 0xa5u
#define KEY 32
#define LARGEST ((uintptr_t)1 << 28) /* what is larger is a sanitizer's own */

/* --- looking ------------------------------------------------------------------------------------------------------ */

struct needle {
    const char *name;
    volatile uint8_t masked[KEY];
};

static void note(struct needle *needle, const char *name, const volatile uint8_t *bytes)
{
    needle->name = name;
    for (size_t i = 0; i < KEY; i++)
        needle->masked[i] = (uint8_t)(bytes[i] ^ MASK);
}

__attribute__((no_sanitize("address", "undefined", "thread"), noinline)) static bool is_here(const volatile uint8_t *at,
                                                                                   const struct needle *needle)
{
    for (size_t i = 0; i < KEY; i++)
        if ((uint8_t)(at[i] ^ MASK) != needle->masked[i])
            return false;
    return true;
}

__attribute__((no_sanitize("address", "undefined", "thread"))) static unsigned copies(const struct needle *needle)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned found = 0;
    uint8_t first = (uint8_t)(needle->masked[0] ^ MASK), second = (uint8_t)(needle->masked[1] ^ MASK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(maps);
    while (fgets(line, sizeof line, maps)) {
        uintptr_t begin, end;
        char rights[8];
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &begin, &end, rights) != 3 || rights[0] != 'r' || rights[1] != 'w' ||
            end - begin > LARGEST || strstr(line, "[vvar]"))
            continue;
        for (const volatile uint8_t *at = (const volatile uint8_t *)begin; at + KEY <= (const volatile uint8_t *)end; at++)
            if (at[0] == first && at[1] == second)
                found += is_here(at, needle);
    }
    fclose(maps);
    return found;
}

#define COPIES(needle, wanted)                                                                      \
    do {                                                                                            \
        unsigned found_ = copies(&(needle));                                                        \
        if (found_ != (wanted))                                                                     \
            printf("    line %d: %u copies of %s, not %u\n", __LINE__, found_, (needle).name, (unsigned)(wanted)); \
        CU_ASSERT_EQUAL(found_, wanted);                                                            \
    } while (0)

/* --- sessions from secrets that nobody keeps ------------------------------------------------------------------------ */

static void make_secret(uint8_t secret[KEY], unsigned number)
{
    static const uint8_t seed[randombytes_SEEDBYTES] = { 77 };
    randombytes_buf_deterministic(secret, KEY, seed);
    for (size_t i = 0; i < KEY; i++)
        secret[i] = (uint8_t)(secret[i] + number * (2 * i + 1));
}

/* The bytes from which an epoch's keys are derived: computed where nothing of it stays, in a process of its own. */
static void note_root(struct needle *needle, unsigned number, const struct jump_id *id)
{
    uint8_t masked[KEY];
    int ends[2], status;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        static const char label[] = "jumping v1 epoch";
        const uint8_t lengths[3][2] = { { 0, sizeof label - 1 }, { 0, JUMP_ID_BYTES }, { 0, KEY } };
        crypto_generichash_state state;
        uint8_t secret[KEY], root[KEY];
        make_secret(secret, number);
        crypto_generichash_init(&state, NULL, 0, sizeof root);
        crypto_generichash_update(&state, lengths[0], 2);
        crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
        crypto_generichash_update(&state, lengths[1], 2);
        crypto_generichash_update(&state, id->bytes, JUMP_ID_BYTES);
        crypto_generichash_update(&state, lengths[2], 2);
        crypto_generichash_update(&state, secret, KEY);
        crypto_generichash_final(&state, root, sizeof root);
        for (size_t i = 0; i < KEY; i++)
            root[i] ^= MASK;
        _exit(write(ends[1], root, sizeof root) == sizeof root ? 0 : 1);
    }
    CU_ASSERT_EQUAL(read(ends[0], masked, sizeof masked), sizeof masked);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(ends[1]);
    needle->name = "an epoch's root";
    for (size_t i = 0; i < KEY; i++)
        needle->masked[i] = masked[i];
}

struct keys_of {
    struct needle secret, root, c2s, s2c;
};

static void note_keys(struct keys_of *keys, unsigned number, const struct jump_session *s, unsigned epoch)
{
    uint8_t secret[KEY];
    make_secret(secret, number);
    note(&keys->secret, "the host's secret", secret);
    sodium_memzero(secret, sizeof secret);
    note_root(&keys->root, number, &s->id);
    note(&keys->c2s, "the client's key", s->epochs.keys[epoch].c2s);
    note(&keys->s2c, "the server's key", s->epochs.keys[epoch].s2c);
}

/* A handshake at both ends; nothing of its secret is left here. */
static void handshake(unsigned number)
{
    uint8_t secret[KEY];
    struct jump_input in = { .kind = JUMP_IN_OPEN, .host = 1, .secret = secret, .path = w.clients[0].uplinks[0] };
    struct jump_input mine = in;
    mine.path = w.server_path;
    mine.path.transport = 1;
    make_secret(secret, number);
    w.clients[0].ended = false;
    CU_ASSERT_EQUAL(world_feed_server(&w, &in), 0);
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &mine), 0);
    sodium_memzero(secret, sizeof secret);
}

static void open_both(unsigned number)
{
    handshake(number);
    WAIT(S().state == JUMP_ATTACHED && C().state == JUMP_ATTACHED, 3000);
}

static void rekey_both(unsigned number)
{
    uint8_t secret[KEY];
    make_secret(secret, number);
    world_rekey_server(&w, 0, secret, false);
    world_rekey_client(&w, 0, secret, false);
    sodium_memzero(secret, sizeof secret);
    world_busy(&w, 0, JUMP_MS(3000));
    CU_ASSERT_EQUAL(peek_server(&w, 0)->epochs.held, 1);
    CU_ASSERT_EQUAL(peek_client(&w, 0)->epochs.held, 1);
}

/* One input on a stack of its own, which then stays as it was left: what a function forgot there is found. */
#define STACK (256u * 1024u)
static uint8_t *stack;
static struct jump_engine *fed;
static const struct jump_input *feeding;
static int fed_result;

static void feed_it(void)
{
    fed_result = jump_engine_feed(fed, feeding, w.now);
}

static void on_own_stack(void (*what)(void))
{
    static ucontext_t here, there;
    if (!stack)
        stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(stack, MAP_FAILED);
    memset(stack, 0, STACK);
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = STACK;
    there.uc_link = &here;
    makecontext(&there, what, 0);
    CU_ASSERT_EQUAL(swapcontext(&here, &there), 0);
}

static void feed_on_own_stack(struct jump_engine *engine, const struct jump_input *in)
{
    fed = engine;
    feeding = in;
    on_own_stack(feed_it);
}

static void close_client(void)
{
    struct jump_input close = story_input(JUMP_IN_CLOSE);
    close.reason = REASON(HOST_TERMINATED);
    CU_ASSERT_EQUAL(world_feed_client(&w, 0, &close), 0);
    WAIT_IDLE(S().state == JUMP_TERMINATED, 1000);
    world_run(&w, JUMP_MS(100));
}

/* --- the tests ----------------------------------------------------------------------------------------------------- */

static void test_secrets_the_search_finds_what_is_there(void)
{
    static struct needle needle;
    uint8_t *there = malloc(2 * KEY), bytes[KEY];
    make_secret(bytes, 1000);
    note(&needle, "a planted key", bytes);
    sodium_memzero(bytes, sizeof bytes);
    COPIES(needle, 0);
    make_secret(there, 1000);
    COPIES(needle, 1);
    make_secret(there + 7, 1000); /* over the first */
    COPIES(needle, 1);
    there[7 + KEY - 1] ^= 1;
    COPIES(needle, 0);
    free(there);
}

/* One life: born, rekeyed, moved, ended, buried, its grave overwritten. */
static void test_secrets_a_sessions_keys_are_where_they_must_be_and_nowhere_else(void)
{
    static struct keys_of first, second;
    static struct needle reset;
    story_prepare(1);
    world_start(&w);
    open_both(1);
    note_keys(&first, 1, peek_server(&w, 0), 0);
    note(&reset, "the reset key", peek_client(&w, 0)->u.client.reset_key);
    COPIES(first.secret, 0); /* nobody needs it once the keys are derived */
    COPIES(first.root, 0);
    COPIES(first.c2s, 2); /* in one record at each end */
    COPIES(first.s2c, 2);
    COPIES(reset, 1); /* the client's; the server derives it each time */
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    COPIES(first.c2s, 2);

    rekey_both(2);
    note_keys(&second, 2, peek_server(&w, 0), 0);
    COPIES(first.c2s, 0); /* both hold the new one: the old one is wiped at once */
    COPIES(first.s2c, 0);
    COPIES(second.secret, 0);
    COPIES(second.root, 0);
    COPIES(second.c2s, 2);

    close_client();
    COPIES(second.c2s, 1); /* the server's tombstone, which answers the ended client (docs/protocol.md) */
    COPIES(second.s2c, 1);
    COPIES(reset, 0);
    for (unsigned i = 0; i < w.server->tombstone_count; i++) {
        open_both(10 + i);
        close_client();
    }
    COPIES(second.c2s, 0); /* overwritten */
    COPIES(second.s2c, 0);
    story_end();
}

static struct world_flight kept;

static void keep_birth_ack(struct world *world, struct world_flight *f)
{
    (void)world;
    if (!f->to_server && peek_type(f) == JUMP_MSG_BIRTH_ACK) {
        kept = *f;
        f->used = false;
    }
}

static void test_secrets_no_function_forgets_a_key_on_the_stack(void)
{
    static struct keys_of keys;
    static struct needle reset;
    static uint8_t secret[KEY];
    static const enum jump_role roles[] = { JUMP_SERVER, JUMP_CLIENT };
    struct jump_input in;
    story_prepare(1);
    world_start(&w);
    for (unsigned i = 0; i < 2; i++) { /* OPEN derives the keys */
        struct jump_engine *e = roles[i] == JUMP_SERVER ? w.server : w.clients[0].engine;
        in = (struct jump_input){ .kind = JUMP_IN_OPEN, .host = 9, .secret = secret, .path = world_path(9, 9) };
        make_secret(secret, 60 + i);
        feed_on_own_stack(e, &in);
        CU_ASSERT_EQUAL(fed_result, 0);
        sodium_memzero(secret, sizeof secret);
        note_keys(&keys, 60 + i, jump_table_by_host(&e->table, 9), 0);
        COPIES(keys.secret, 0);
        COPIES(keys.root, 0);
        COPIES(keys.c2s, 1);
        COPIES(keys.s2c, 1);
        while (jump_engine_next(e))
            continue;
        in = (struct jump_input){ .kind = JUMP_IN_EPOCH, .host = 9, .secret = secret };
        make_secret(secret, 70 + i);
        feed_on_own_stack(e, &in);
        CU_ASSERT_EQUAL(fed_result, 0);
        sodium_memzero(secret, sizeof secret);
        note_keys(&keys, 70 + i, jump_table_by_host(&e->table, 9), 1);
        COPIES(keys.secret, 0);
        COPIES(keys.root, 0);
        COPIES(keys.c2s, 1);
        COPIES(keys.s2c, 1);
        while (jump_engine_next(e))
            continue;
    }
    world_free(&w);

    story_prepare(1); /* BIRTH_ACK brings the reset key */
    world_start(&w);
    w.on_flight = keep_birth_ack;
    memset(&kept, 0, sizeof kept);
    handshake(80);
    WAIT_IDLE(kept.len > 0, 2000);
    in = (struct jump_input){ .kind = JUMP_IN_DATAGRAM, .path = w.server_path, .bytes = kept.bytes, .bytes_len = kept.len };
    in.path.transport = 1;
    feed_on_own_stack(w.clients[0].engine, &in);
    CU_ASSERT_EQUAL(fed_result, 0);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    note(&reset, "the reset key", peek_client(&w, 0)->u.client.reset_key);
    note_keys(&keys, 80, peek_client(&w, 0), 0);
    COPIES(reset, 1);
    COPIES(keys.c2s, 2);
    COPIES(keys.s2c, 2);
    while (jump_engine_next(w.clients[0].engine))
        continue;
    world_free(&w);
}

static void keep_birth(struct world *world, struct world_flight *f)
{
    (void)world;
    if (f->to_server && peek_type(f) == JUMP_MSG_BIRTH) {
        kept = *f;
        f->used = false;
    }
}

static struct jump_config config_of_init;
static void *memory_of_init;
static size_t bytes_of_init;

static void init_it(void)
{
    struct jump_engine *e;
    fed_result = jump_engine_init(&e, memory_of_init, bytes_of_init, &config_of_init, w.now);
}

/* libsodium wipes its hash's state and not the place where it put the hash together: the last value stays on its stack. */
static void test_secrets_no_hash_leaves_a_key_behind_on_libsodiums_stack(void)
{
    static struct needle engines[3], reset;
    struct jump_input in;
    story_prepare(1);
    config_of_init = w.server_config;
    world_start(&w);
    randombytes_buf(config_of_init.seed, sizeof config_of_init.seed);
    bytes_of_init = jump_engine_bytes(&config_of_init);
    memory_of_init = aligned_alloc(64, (bytes_of_init + 63) / 64 * 64);
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory_of_init);
    on_own_stack(init_it);
    CU_ASSERT_EQUAL_FATAL(fed_result, 0);
    const struct jump_engine *made = memory_of_init;
    note(&engines[0], "the challenge key", made->challenge_keys[0]);
    note(&engines[1], "the challenge key before", made->challenge_keys[1]);
    note(&engines[2], "the cookie key", made->cookie_key);
    for (unsigned i = 0; i < 3; i++)
        COPIES(engines[i], 1);
    jump_engine_wipe(memory_of_init);
    free(memory_of_init);

    memset(&kept, 0, sizeof kept); /* the server derives the reset key for its BIRTH_ACK */
    w.on_flight = keep_birth;
    handshake(81);
    WAIT_IDLE(kept.len > 0, 2000);
    in = (struct jump_input){ .kind = JUMP_IN_DATAGRAM, .path = w.clients[0].uplinks[0], .bytes = kept.bytes, .bytes_len = kept.len };
    feed_on_own_stack(w.server, &in);
    CU_ASSERT_EQUAL(fed_result, 0);
    const struct jump_action *answer = jump_engine_next(w.server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    in = (struct jump_input){ .kind = JUMP_IN_DATAGRAM, .path = w.server_path, .bytes = answer->bytes, .bytes_len = answer->bytes_len };
    in.path.transport = 1;
    CU_ASSERT_EQUAL(jump_engine_feed(w.clients[0].engine, &in, w.now), 0);
    CU_ASSERT_EQUAL(C().state, JUMP_ATTACHED);
    note(&reset, "the reset key", peek_client(&w, 0)->u.client.reset_key);
    COPIES(reset, 1);
    while (jump_engine_next(w.clients[0].engine) || jump_engine_next(w.server))
        continue;
    world_free(&w);
}

/* The store has yet to answer when the session ends: its record stays until then, its keys do not. */
static void test_secrets_an_ended_session_that_waits_for_its_store_has_no_keys(void)
{
    static struct keys_of keys;
    story_prepare(1);
    world_start(&w);
    open_both(90);
    note_keys(&keys, 90, peek_server(&w, 0), 0);
    w.store = WORLD_STORE_HELD;
    world_rebind(&w, 0, 0);
    WAIT(w.held_count > 0, 5000);
    struct jump_input close = story_input(JUMP_IN_CLOSE);
    close.reason = REASON(HOST_TERMINATED);
    CU_ASSERT_EQUAL(world_feed_server(&w, &close), 0);
    WAIT_IDLE(C().state == JUMP_TERMINATED, 400000);
    COPIES(keys.c2s, 1); /* the tombstone */
    COPIES(keys.s2c, 1);
    world_free(&w);
}

static void test_secrets_a_session_ended_by_its_bound_or_by_force_leaves_no_key_in_the_client(void)
{
    static struct keys_of keys;
    static const enum jump_reason reasons[] = { REASON(OPERATOR_TERMINATED), REASON(SECURITY_FAILURE), REASON(NONE) };
    for (unsigned i = 0; i < 3; i++) {
        struct jump_input in = story_input(JUMP_IN_TERMINATE);
        story_prepare(1);
        POLICY(transport_lost_ttl_ms, 5000);
        POLICY(recovery_window_ms, 5000);
        world_start(&w);
        open_both(40 + i);
        note_keys(&keys, 40 + i, peek_client(&w, 0), 0);
        COPIES(keys.c2s, 2);
        w.clients[0].up[0] = false;
        in.session_id = C().id;
        in.reason = reasons[i];
        if (in.reason != REASON(NONE))
            CU_ASSERT_EQUAL(world_feed_client(&w, 0, &in), 0);
        WAIT_IDLE(C().state == JUMP_TERMINATED, 20000); /* of itself: its window is over */
        WAIT_IDLE(S().state == JUMP_TERMINATED, 60000);
        COPIES(keys.c2s, 1); /* the tombstone */
        COPIES(keys.s2c, 1);
        jump_engine_wipe(w.server);
        COPIES(keys.c2s, 0);
        COPIES(keys.s2c, 0);
        world_free(&w);
    }
}

static void test_secrets_an_engine_that_was_wiped_has_left_nothing_of_its_own_keys(void)
{
    static struct needle challenge[2], cookie;
    story_begin(1);
    note(&challenge[0], "the challenge key", w.server->challenge_keys[0]);
    note(&challenge[1], "the challenge key before", w.server->challenge_keys[1]);
    note(&cookie, "the cookie key", w.server->cookie_key);
    world_rebind(&w, 0, 0);
    WAIT(S().generation == 2 && C().state == JUMP_ATTACHED, 3000);
    COPIES(challenge[0], 1);
    COPIES(challenge[1], 1);
    COPIES(cookie, 1);
    world_free(&w);
    COPIES(challenge[0], 0);
    COPIES(challenge[1], 0);
    COPIES(cookie, 0);
}

#define TESTS(X)                                                                            \
    X(test_secrets_the_search_finds_what_is_there)                                          \
    X(test_secrets_a_sessions_keys_are_where_they_must_be_and_nowhere_else)                 \
    X(test_secrets_no_function_forgets_a_key_on_the_stack)                                  \
    X(test_secrets_no_hash_leaves_a_key_behind_on_libsodiums_stack)                         \
    X(test_secrets_an_ended_session_that_waits_for_its_store_has_no_keys)                   \
    X(test_secrets_a_session_ended_by_its_bound_or_by_force_leaves_no_key_in_the_client)    \
    X(test_secrets_an_engine_that_was_wiped_has_left_nothing_of_its_own_keys)

RUN_TESTS("engine_secrets", TESTS)
