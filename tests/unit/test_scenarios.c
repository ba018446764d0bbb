/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plays the files tests/scenarios/<name>.rpl: long stories of two real engines as scripts under virtual time. The words are in
 * tests/scenarios/README.md. Each file is one test; a line that does not hold is named by file and number.
 * One story alone: SCENARIO=<part of its name>.
 */
#include <glob.h>
#include <stdlib.h>

#include "profile.h"
#include "story.h"

#define WORDS 12

static const char *file;
static unsigned line_number;
static char text[256];
static bool started, busy, failed;
static jump_time begin_at;
static struct peek_record marked[2];

static bool wrong(const char *why)
{
    if (!failed)
        printf("\n    %s:%u: %s: %s\n", file, line_number, text, why);
    failed = true;
    return false;
}

/* --- words ----------------------------------------------------------------------------------------------------- */

static bool is(const char *word, const char *what)
{
    return word && strcmp(word, what) == 0;
}

static bool span(jump_time *out, const char *word) /* 250ms, 5s, 3min, 7h */
{
    char unit[8] = "";
    double value;
    if (!word || sscanf(word, "%lf%7s", &value, unit) != 2)
        return wrong("a time is a number with ms, s, min or h");
    double ms = is(unit, "ms") ? 1 : is(unit, "s") ? 1e3 : is(unit, "min") ? 60e3 : is(unit, "h") ? 3600e3 : 0;
    *out = JUMP_MS(value * ms);
    return ms > 0 || wrong("a time is a number with ms, s, min or h");
}

static bool uplink(unsigned *out, const char *word)
{
    *out = word ? (unsigned)atoi(word) - 1 : WORLD_UPLINKS;
    return *out < WORLD_UPLINKS || wrong("uplinks are 1 to 4");
}

static bool address(struct jump_path *out, const char *word)
{
    unsigned a, b, c, d, port;
    if (!word || sscanf(word, "%u.%u.%u.%u:%u", &a, &b, &c, &d, &port) != 5)
        return wrong("an address is a.b.c.d:port");
    *out = world_path((uint8_t)d, (uint16_t)port);
    out->ip[12] = (uint8_t)a;
    out->ip[13] = (uint8_t)b;
    out->ip[14] = (uint8_t)c;
    return true;
}

/* "reattach_request", "probe", ... as in the protocol, in lower case. */
static bool message_type(uint8_t *out, const char *word)
{
    static const char *const names[16] = {
        "birth_offer", "birth", "birth_ack", "probe", "probe_ack", "path_unbound", "reattach_request",
        "reattach_challenge", "reattach_proof", "reattach_accept", "reattach_deny", "terminate", "terminate_ack",
        "redirect", "cookie", "reset" };
    for (uint8_t type = 0; type < 16; type++)
        if (is(word, names[type])) {
            *out = type;
            return true;
        }
    return wrong("no such message");
}

/* --- time ------------------------------------------------------------------------------------------------------ */

static void run_to(jump_time end)
{
    while (w.now < end) {
        jump_time left = end - w.now;
        if (busy)
            world_activity(&w, 0);
        world_run(&w, busy && left > JUMP_MS(100) ? JUMP_MS(100) : left);
    }
}

static void start(void)
{
    if (started)
        return;
    started = true;
    if (jump_policy_valid(&w.server_config.policy) != 0)
        wrong("the policy is not valid");
    world_start(&w);
    begin_at = w.now;
}

/* --- conditions: <side> <what> ... ------------------------------------------------------------------------------- */

static bool compare(uint64_t have, const char *how, const char *number)
{
    uint64_t want = number ? strtoull(number, NULL, 10) : 0;
    if (is(how, "=") || is(how, "at_most") || is(how, "at_least"))
        return is(how, "=") ? have == want : is(how, "at_most") ? have <= want : have >= want;
    wrong("numbers are compared with =, at_least, at_most");
    return false;
}

static bool holds(char **word, bool *known)
{
    bool server = is(word[0], "server");
    const struct jump_session_view *view = server ? &S() : &C();
    const char *what = word[1];
    *known = true;
    if (!server && !is(word[0], "client"))
        *known = false;
    else if (is(what, "state"))
        return is(word[2], jump_state_name(view->state));
    else if (is(what, "bound"))
        return view->bound;
    else if (is(what, "unbound"))
        return !view->bound;
    else if (is(what, "generation"))
        return compare(view->generation, word[2], word[3]);
    else if (is(what, "version"))
        return compare(view->state_version, word[2], word[3]);
    else if (is(what, "gap_ms"))
        return compare(view->last_gap_ms, word[2], word[3]);
    else if (is(what, "uplink") && !server)
        return view->bound && compare(view->binding.transport, word[2], word[3]);
    else if (is(what, "at")) {
        struct jump_path path;
        return address(&path, word[2]) && view->bound && memcmp(&path, &view->binding, sizeof path) == 0;
    } else if (is(what, "where_the_client_is") && server) {
        unsigned u = C().binding.transport - 1u;
        return view->bound && u < WORLD_UPLINKS && memcmp(&w.clients[0].uplinks[u], &view->binding, sizeof view->binding) == 0;
    } else if (is(what, "took"))
        return compare(world_took(&w, server, word[2], REASON(NONE)), word[3], word[4]);
    else if (is(what, "event")) { /* event <kind> [for <reason>] = n */
        int kind = jump_event_kind_by_name(word[2] ? word[2] : "");
        bool with_reason = is(word[3], "for");
        int reason = with_reason ? jump_reason_by_name(word[4]) : JUMP_REASON_NONE;
        if (kind < 0 || reason < 0)
            return wrong("no such event or reason");
        return compare(world_count(&w, server, (enum jump_event_kind)kind, (enum jump_reason)reason),
                       word[with_reason ? 5 : 3], word[with_reason ? 6 : 4]);
    } else if (is(what, "reason")) { /* how often a state was changed for this reason */
        int reason = word[2] ? jump_reason_by_name(word[2]) : -1;
        if (reason < 0)
            return wrong("no such reason");
        return compare(world_count(&w, server, JUMP_EVENT_STATE_CHANGE, (enum jump_reason)reason), word[3], word[4]);
    } else if (is(what, "ended")) {
        int reason = word[2] ? jump_reason_by_name(word[2]) : -1;
        return server ? w.server_ends > 0 && (int)w.server_ended_for == reason
                      : w.clients[0].ended && (int)w.clients[0].ended_for == reason;
    } else if (is(what, "alive"))
        return view->state != JUMP_TERMINATED;
    else if (is(what, "unchanged")) {
        struct peek_record now;
        peek_note(&now, &w, server, 0);
        return peek_same_record(&now, &marked[server]);
    } else
        *known = false;
    return false;
}

static bool expect(char **word)
{
    bool known;
    return holds(word, &known) || wrong(known ? "it does not hold" : "no such thing to expect");
}

static bool within(char **word)
{
    jump_time time;
    bool known = true;
    if (!span(&time, word[0]))
        return false;
    for (jump_time end = w.now + time; w.now <= end;) {
        if (holds(word + 1, &known))
            return true;
        if (!known)
            return wrong("no such thing to expect");
        story_step(busy);
    }
    return wrong("it has not come true in time");
}

/* --- what happens ------------------------------------------------------------------------------------------------ */

static bool replay(char **word) /* replay <message> from <address>|its_own */
{
    uint8_t type;
    struct jump_path from;
    if (!message_type(&type, word[0]))
        return false;
    const struct world_flight *old = &w.last_from_client[type];
    if (old->len == 0)
        return wrong("no such message has been sent");
    if (is(word[2], "its_own"))
        from = old->source;
    else if (!address(&from, word[2]))
        return false;
    world_inject(&w, &from, old->bytes, old->len);
    return true;
}

static bool candidates(char **word) /* candidates <n> [lost <uplink>...] */
{
    uint8_t lost[JUMP_MAX_CANDIDATES + 1] = { 0 };
    unsigned count = word[0] ? (unsigned)atoi(word[0]) : 99;
    if (count > WORLD_UPLINKS)
        return wrong("0 to 4 candidates");
    for (unsigned i = 0; is(word[1], "lost") && i < JUMP_MAX_CANDIDATES && word[2 + i]; i++)
        lost[i] = (uint8_t)atoi(word[2 + i]);
    world_candidates(&w, 0, count, lost);
    return true;
}

static bool store(char **word)
{
    static const char *const modes[] = { "now", "held", "conflict", "fails" };
    if (is(word[0], "answers"))
        return world_answer_held(&w, is(word[1], "done")       ? JUMP_STORE_DONE
                                     : is(word[1], "conflict") ? JUMP_STORE_CONFLICT
                                                               : JUMP_STORE_FAILED) ||
               wrong("nothing is held");
    for (unsigned i = 0; i < 4; i++)
        if (is(word[0], modes[i])) {
            w.store = (enum world_store)i;
            return true;
        }
    return wrong("the store: now, held, conflict, fails, or answers done|conflict|failed");
}

static bool setting(char **word)
{
    if (is(word[0], "seed")) {
        w.random = strtoull(word[1] ? word[1] : "1", NULL, 10) * 2 + 1;
        return true;
    }
    if (is(word[0], "profile")) {
        if (!word[1] || !profile_load(&w.server_config.policy, word[1]))
            return wrong("no such profile");
        w.client_config.policy = w.server_config.policy;
        return true;
    }
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++)
        if (is(word[1], jump_policy_rows[key].key)) {
            story_policy((enum jump_policy_key)key, (uint32_t)strtoul(word[2] ? word[2] : "0", NULL, 10));
            return true;
        }
    return wrong("no such key of a policy");
}

static bool path_changes(char **word)
{
    unsigned u;
    struct world_client *c = &w.clients[0];
    if (!uplink(&u, word[1]))
        return false;
    if (is(word[0], "down") || is(word[0], "up"))
        c->up[u] = is(word[0], "up");
    else if (is(word[0], "rebind"))
        world_rebind(&w, 0, u);
    else if (is(word[0], "address"))
        return address(&c->uplinks[u], word[2]);
    else if (is(word[0], "loss"))
        c->loss_ppm[u] = word[2] ? (uint32_t)(atof(word[2]) * 10000) : 0;
    else if (is(word[0], "delay"))
        return span(&c->delay[u], word[2]);
    return true;
}

static bool command(char **word)
{
    static const char *const on_paths[] = { "down", "up", "rebind", "address", "loss", "delay" };
    uint8_t type;
    for (unsigned i = 0; i < sizeof on_paths / sizeof on_paths[0]; i++)
        if (is(word[0], on_paths[i]))
            return path_changes(word);
    if (is(word[0], "attach"))
        return world_attach(&w, 0) || wrong("the session did not come up");
    if (is(word[0], "open"))
        world_open(&w, 0);
    else if (is(word[0], "busy"))
        busy = true;
    else if (is(word[0], "idle"))
        busy = false;
    else if (is(word[0], "activity"))
        world_activity(&w, 0);
    else if (is(word[0], "candidates"))
        return candidates(word + 1);
    else if (is(word[0], "restart-server"))
        world_restart_server(&w);
    else if (is(word[0], "terminate")) {
        struct jump_input in = { .kind = JUMP_IN_TERMINATE, .reason = REASON(OPERATOR_TERMINATED), .session_id = S().id };
        return (is(word[1], "server") ? world_feed_server(&w, &in) : world_feed_client(&w, 0, &in)) == 0 ||
               wrong("there is nothing to terminate");
    } else if (is(word[0], "lose")) {
        if (!message_type(&type, word[1]))
            return false;
        w.drop_up |= 1u << type;
        w.drop_down |= 1u << type;
    } else if (is(word[0], "lose-none"))
        w.drop_up = w.drop_down = 0;
    else if (is(word[0], "replay"))
        return replay(word + 1);
    else if (is(word[0], "store"))
        return store(word + 1);
    else if (is(word[0], "mark")) {
        peek_note(&marked[0], &w, false, 0);
        peek_note(&marked[1], &w, true, 0);
    } else if (is(word[0], "expect"))
        return expect(word + 1);
    else if (is(word[0], "within"))
        return within(word + 1);
    else
        return wrong("no such word");
    return true;
}

static bool play_line(void)
{
    char copy[sizeof text], *word[WORDS + 8] = { NULL }, **first = word;
    unsigned count = 0;
    jump_time time;
    strcpy(copy, text);
    for (char *at = strtok(copy, " \t\r\n"); at && *at != '#' && count < WORDS; at = strtok(NULL, " \t\r\n"))
        word[count++] = at;
    if (count == 0)
        return true;
    if (is(word[0], "seed") || is(word[0], "profile") || is(word[0], "policy"))
        return started ? wrong("settings come first") : setting(word);
    start();
    if (is(word[0], "at")) {
        if (!span(&time, word[1]))
            return false;
        if (begin_at + time < w.now)
            return wrong("this instant is over");
        run_to(begin_at + time);
        first += 2;
    }
    return !*first || command(first);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static glob_t files;
static size_t next_file;

static void play(void)
{
    const char *name = files.gl_pathv[next_file++], *wanted = getenv("SCENARIO");
    if (wanted && !strstr(name, wanted))
        return;
    file = strrchr(name, '/') + 1;
    started = busy = failed = false;
    line_number = 0;
    world_init(&w, 1, 1);
    FILE *in = fopen(name, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    while (!failed && fgets(text, sizeof text, in)) {
        line_number++;
        text[strcspn(text, "\n")] = 0;
        play_line();
        const char *broken = started ? peek_broken(&w) : NULL;
        if (broken)
            wrong(broken);
    }
    fclose(in);
    start();
    if (failed && wanted)
        story_show(0);
    CU_ASSERT_FALSE(failed);
    story_end();
}

int main(void)
{
    static struct runner_test tests[128];
    if (glob(SCENARIOS "/*.rpl", 0, NULL, &files) != 0 || files.gl_pathc > 128) {
        fprintf(stderr, "test_scenarios: no stories in %s, or more than 128\n", SCENARIOS);
        return 1;
    }
    for (size_t i = 0; i < files.gl_pathc; i++)
        tests[i] = (struct runner_test){ strrchr(files.gl_pathv[i], '/') + 1, play };
    int result = runner_main("scenarios", tests, (unsigned)files.gl_pathc);
    globfree(&files);
    return result;
}
