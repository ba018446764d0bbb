/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The policy's reader and checker, and the shipped profiles against the table of model.md 6, typed here by hand.
 * Every accepting test has refusing siblings, and a refusal is compared with what it tells a person.
 */
#include <jumping/policy.h>

#include <stdlib.h>
#include <string.h>

#include "runner.h"

static struct jump_policy_draft draft;

/* The required keys at their defaults, on lines 1 to 7, then whatever the test takes. */
static void begin_valid(void)
{
    jump_policy_begin(&draft);
    jump_policy_take(&draft, "", "version", "1.0", 1);
    jump_policy_take(&draft, "session", "max_lifetime_ms", "86400000", 2);
    jump_policy_take(&draft, "session", "transport_lost_ttl_ms", "300000", 3);
    jump_policy_take(&draft, "volatility", "loss_volatile_threshold", "0.20", 4);
    jump_policy_take(&draft, "switching", "max_switches_per_min", "12", 5);
    jump_policy_take(&draft, "switching", "recovery_window_ms", "300000", 6);
    jump_policy_take(&draft, "security", "reattach_proof_max_age_ms", "5000", 7);
}

static void expect_error(unsigned index, unsigned line, const char *key, const char *value, const char *range,
                         const char *problem)
{
    CU_ASSERT_TRUE_FATAL(index < draft.error_count);
    const struct jump_policy_error *error = &draft.errors[index];
    CU_ASSERT_EQUAL(error->line, line);
    CU_ASSERT_STRING_EQUAL(error->key, key);
    CU_ASSERT_STRING_EQUAL(error->value, value);
    CU_ASSERT_STRING_EQUAL(error->range, range);
    CU_ASSERT_STRING_EQUAL(error->problem, problem);
}

/* One explicit key on top of a valid file; exactly one finding, on its line. */
static void expect_refused(const char *section, const char *key, const char *value, const char *problem)
{
    begin_valid();
    jump_policy_take(&draft, section, key, value, 20);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 1);
    CU_ASSERT_EQUAL(draft.errors[0].line, 20);
    CU_ASSERT_STRING_EQUAL(draft.errors[0].problem, problem);
    CU_ASSERT_STRING_EQUAL(draft.errors[0].value, value);
}

static void expect_accepted(const char *section, const char *key, const char *value)
{
    begin_valid();
    jump_policy_take(&draft, section, key, value, 20);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), 0);
    CU_ASSERT_EQUAL(draft.error_count, 0);
}

static void test_policy_defaults_are_valid_and_are_the_mobile_profile(void)
{
    begin_valid();
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), 0);
    CU_ASSERT_EQUAL(jump_policy_valid(&draft.policy), 0);
    struct jump_policy_draft plain;
    jump_policy_begin(&plain);
    CU_ASSERT_EQUAL(memcmp(&plain.policy, &draft.policy, sizeof plain.policy), 0);
}

static void test_policy_every_missing_required_key_is_named(void)
{
    jump_policy_begin(&draft);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 7);
    expect_error(0, 0, "version", "", "1.0", "missing");
    expect_error(1, 0, "session.max_lifetime_ms", "", "60000 .. 2592000000", "missing");
    expect_error(2, 0, "session.transport_lost_ttl_ms", "", "1000 .. 2592000000", "missing");
    expect_error(6, 0, "security.reattach_proof_max_age_ms", "", "500 .. 60000", "missing");
}

static void test_policy_a_missing_key_causes_no_second_finding(void)
{
    jump_policy_begin(&draft);
    jump_policy_take(&draft, "", "version", "1.0", 1);
    jump_policy_take(&draft, "session", "max_lifetime_ms", "86400000", 2);
    jump_policy_take(&draft, "session", "transport_lost_ttl_ms", "15000", 3); /* below recovery_window's default */
    jump_policy_take(&draft, "volatility", "loss_volatile_threshold", "0.20", 4);
    jump_policy_take(&draft, "switching", "max_switches_per_min", "12", 5);
    jump_policy_take(&draft, "security", "reattach_proof_max_age_ms", "5000", 7);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 1);
    expect_error(0, 0, "switching.recovery_window_ms", "", "500 .. 2592000000", "missing");
}

static void test_policy_only_version_1_0_is_known(void)
{
    static const struct {
        const char *value, *problem;
    } bad[] = {{"1.1", "unknown version"},   {"2.0", "unknown version"},   {"0.9", "unknown version"},
               {"4294967297.0", "unknown version"}, {"1", "not a version X.Y"}, {"1.", "not a version X.Y"},
               {"1.0.0", "not a version X.Y"}, {"", "not a version X.Y"},  {"v1.0", "not a version X.Y"},
               {"01.0", "not a version X.Y"}, {"1.0 ", "not a version X.Y"}, {"-1.0", "not a version X.Y"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        jump_policy_begin(&draft);
        jump_policy_take(&draft, "", "version", bad[i].value, 3);
        CU_ASSERT_EQUAL(draft.error_count, 1);
        expect_error(0, 3, "version", bad[i].value, "1.0", bad[i].problem);
    }
    jump_policy_begin(&draft);
    jump_policy_take(&draft, "", "version", "1.0", 3);
    CU_ASSERT_EQUAL(draft.error_count, 0);
    jump_policy_take(&draft, "", "version", "1.0", 4);
    expect_error(0, 4, "version", "1.0", "1.0", "stands twice");
}

static void test_policy_unknown_names_are_refused(void)
{
    begin_valid();
    jump_policy_take(&draft, "session", "max_lifetime", "1", 10);
    jump_policy_take(&draft, "sessions", "max_lifetime_ms", "1", 11);
    jump_policy_take(&draft, "", "max_lifetime_ms", "1", 12);
    jump_policy_take(&draft, "session", "version", "1.0", 13);
    jump_policy_take(&draft, "switching", "max_lifetime_ms", "1", 14);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 5);
    expect_error(0, 10, "session.max_lifetime", "1", "", "unknown key");
    expect_error(1, 11, "sessions.max_lifetime_ms", "1", "", "unknown section");
    expect_error(2, 12, "max_lifetime_ms", "1", "", "unknown key");
    expect_error(3, 13, "session.version", "1.0", "", "unknown key");
    expect_error(4, 14, "switching.max_lifetime_ms", "1", "", "unknown key");
}

static void test_policy_a_doubled_key_is_refused_at_its_second_line(void)
{
    begin_valid();
    jump_policy_take(&draft, "session", "max_lifetime_ms", "86400000", 9);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 1);
    expect_error(0, 9, "session.max_lifetime_ms", "86400000", "60000 .. 2592000000", "stands twice");
}

static void test_policy_numbers_are_plain_decimal(void)
{
    static const char *const bad[] = {"",     " ",     "5 ",      " 5",   "5ms",  "-5", "+5", "0x800", "1e3",
                                      "1_000", "01500", "1500.0", "1,500", "1500;", "five"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("switching", "switch_cooldown_ms", bad[i], bad[i][0] == '\0' ? "no value" : "not a whole number");
    expect_accepted("switching", "switch_cooldown_ms", "0");
    expect_accepted("switching", "switch_cooldown_ms", "60000");
}

static void test_policy_nothing_is_clamped_and_nothing_wraps(void)
{
    static const char *const bad[] = {"60001", "4294967295", "4294967296", "4294967297", "18446744073709551616",
                                      "18446744073709551617", "99999999999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_refused("switching", "switch_cooldown_ms", bad[i], "out of range");
        CU_ASSERT_STRING_EQUAL(draft.errors[0].range, "0 .. 60000");
        CU_ASSERT_STRING_EQUAL(draft.errors[0].key, "switching.switch_cooldown_ms");
        CU_ASSERT_EQUAL(draft.policy.switch_cooldown_ms, 1000); /* the default stands, the draft is invalid */
    }
}

/* Every row by itself: its least and most are allowed, one beyond is not. */
static void test_policy_every_row_holds_its_own_range(void)
{
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        const struct jump_policy_row *row = &jump_policy_rows[key];
        struct jump_policy_draft one;
        char text[32];
        if (row->type == JUMP_POLICY_RATIO || row->type == JUMP_POLICY_PROTOCOLS)
            continue; /* have their own tests */
        CU_ASSERT_TRUE(row->help[0] != '\0' && row->help[strlen(row->help) - 1] == '.');
        for (int beyond = 0; beyond < 2; beyond++) {
            jump_policy_begin(&one);
            snprintf(text, sizeof text, "%llu", (unsigned long long)row->most + (unsigned)beyond);
            jump_policy_take(&one, row->section, row->key, text, 1);
            CU_ASSERT_EQUAL(one.error_count, (unsigned)beyond);
            if (beyond == 0)
                CU_ASSERT_EQUAL(jump_policy_value(&one.policy, key), row->most);
            if (beyond == 1 && row->least == 0)
                continue;
            jump_policy_begin(&one);
            snprintf(text, sizeof text, "%llu", (unsigned long long)row->least - (unsigned)beyond);
            jump_policy_take(&one, row->section, row->key, text, 1);
            CU_ASSERT_EQUAL(one.error_count, (unsigned)beyond);
        }
    }
}

static void test_policy_ratios_are_decimal_fractions_up_to_1(void)
{
    static const struct {
        const char *text;
        uint32_t ppm;
    } good[] = {{"1", 1000000}, {"1.0", 1000000}, {"1.000000", 1000000}, {"0.20", 200000},
                {"0.2", 200000}, {"0.000001", 1}, {"0.123456", 123456}, {"0.05", 50000}};
    static const struct {
        const char *text, *problem;
    } bad[] = {{"0", "out of range"},         {"0.0", "out of range"},     {"1.000001", "out of range"},
               {"2", "out of range"},         {"99999999999999999999", "out of range"},
               {"0.0000001", "not a decimal fraction"}, {"0.2000000", "not a decimal fraction"},
               {".2", "not a decimal fraction"}, {"0.", "not a decimal fraction"}, {"0,2", "not a decimal fraction"},
               {"20%", "not a decimal fraction"}, {"-0.2", "not a decimal fraction"}, {"", "no value"},
               {"00.2", "not a decimal fraction"}, {"0.2.1", "not a decimal fraction"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        jump_policy_begin(&draft);
        jump_policy_take(&draft, "volatility", "loss_volatile_threshold", good[i].text, 1);
        CU_ASSERT_EQUAL(draft.error_count, 0);
        CU_ASSERT_EQUAL(draft.policy.loss_volatile_threshold, good[i].ppm);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        jump_policy_begin(&draft);
        jump_policy_take(&draft, "volatility", "loss_volatile_threshold", bad[i].text, 1);
        CU_ASSERT_EQUAL(draft.error_count, 1);
        expect_error(0, 1, "volatility.loss_volatile_threshold", bad[i].text,
                     "more than 0, at most 1, with at most 6 decimals", bad[i].problem);
    }
}

static void test_policy_protocols_are_a_list(void)
{
    static const struct {
        const char *text;
        uint32_t bits;
    } good[] = {{"udp", 1}, {"tcp", 2}, {"udp, tcp", 3}, {"udp,tcp", 3}, {"tcp ,\tudp", 3}};
    static const char *const bad[] = {"", "udp,", ",udp", "udp,udp", "udp tcp", "UDP", "udpx", "udp, sctp", "1", "udp;tcp"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        jump_policy_begin(&draft);
        jump_policy_take(&draft, "transport", "allowed_protocols", good[i].text, 1);
        CU_ASSERT_EQUAL(draft.error_count, 0);
        CU_ASSERT_EQUAL(draft.policy.allowed_protocols, good[i].bits);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("transport", "allowed_protocols", bad[i], bad[i][0] == '\0' ? "no value" : "not a list of protocols");
}

static void test_policy_replay_window_is_a_power_of_two(void)
{
    for (uint32_t bits = 64; bits <= 4096; bits *= 2) {
        char text[16];
        snprintf(text, sizeof text, "%u", bits);
        expect_accepted("security", "replay_window", text);
        snprintf(text, sizeof text, "%u", bits - 1);
        expect_refused("security", "replay_window", text, bits == 64 ? "out of range" : "not a power of two");
        CU_ASSERT_STRING_EQUAL(draft.errors[0].range, "64 .. 4096, a power of two");
    }
}

static void test_policy_ttl_longer_than_the_lifetime_is_refused(void)
{
    jump_policy_begin(&draft);
    jump_policy_take(&draft, "session", "max_lifetime_ms", "100000", 2);
    jump_policy_take(&draft, "session", "transport_lost_ttl_ms", "100001", 3);
    jump_policy_take(&draft, "switching", "recovery_window_ms", "500", 4);
    (void)jump_policy_finish(&draft);
    unsigned last = draft.error_count - 1;
    expect_error(last, 3, "session.transport_lost_ttl_ms", "100001", "<= max_lifetime_ms (100000)",
                 "does not go with another key");
}

static void test_policy_window_longer_than_the_ttl_is_refused(void)
{
    begin_valid();
    draft.policy.recovery_window_ms = 300001;
    CU_ASSERT_EQUAL(jump_policy_valid(&draft.policy), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 1);
    expect_error(0, 6, "switching.recovery_window_ms", "300001", "<= transport_lost_ttl_ms (300000)",
                 "does not go with another key");
}

static void test_policy_idle_interval_is_at_least_the_heartbeat(void)
{
    expect_accepted("volatility", "idle_interval_ms", "500");
    expect_refused("volatility", "idle_interval_ms", "499", "does not go with another key's default");
    CU_ASSERT_STRING_EQUAL(draft.errors[0].range, ">= heartbeat_interval_ms (500)");
}

static void test_policy_volatile_heartbeat_is_above_the_heartbeat(void)
{
    expect_accepted("volatility", "heartbeat_volatile_ms", "501");
    expect_refused("volatility", "heartbeat_volatile_ms", "500", "does not go with another key's default");
    CU_ASSERT_STRING_EQUAL(draft.errors[0].range, "> heartbeat_interval_ms (500)");
}

static void test_policy_a_key_lives_longer_than_two_ttls(void)
{
    expect_accepted("security", "key_max_age_ms", "600001");
    expect_refused("security", "key_max_age_ms", "600000", "does not go with another key");
    CU_ASSERT_STRING_EQUAL(draft.errors[0].range, "> 2 x transport_lost_ttl_ms (300000)");
}

static void test_policy_twice_a_ttl_does_not_wrap(void)
{
    begin_valid();
    struct jump_policy policy = draft.policy;
    policy.max_lifetime_ms = policy.transport_lost_ttl_ms = policy.recovery_window_ms = 2592000000u;
    policy.key_max_age_ms = 4294967295u; /* 2 x 2592000000 is 5184000000: 889032704 in 32 bits */
    CU_ASSERT_EQUAL(jump_policy_valid(&policy), JUMP_ERR_POLICY);
}

static void test_policy_a_default_made_inconsistent_is_told_at_the_explicit_key(void)
{
    expect_refused("volatility", "heartbeat_interval_ms", "1500", "does not go with another key's default");
    expect_error(0, 20, "volatility.heartbeat_interval_ms", "1500", "< heartbeat_volatile_ms (1500)",
                 "does not go with another key's default");

    jump_policy_begin(&draft);
    jump_policy_take(&draft, "session", "max_lifetime_ms", "86400000", 2);
    jump_policy_take(&draft, "session", "transport_lost_ttl_ms", "1800000", 3);
    (void)jump_policy_finish(&draft);
    expect_error(draft.error_count - 1, 3, "session.transport_lost_ttl_ms", "1800000",
                 "< key_max_age_ms / 2 (3600000)", "does not go with another key's default");
}

static void test_policy_one_key_may_break_two_bounds(void)
{
    begin_valid();
    jump_policy_take(&draft, "volatility", "heartbeat_interval_ms", "60000", 20);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 2);
    expect_error(0, 20, "volatility.heartbeat_interval_ms", "60000", "<= idle_interval_ms (15000)",
                 "does not go with another key's default");
    expect_error(1, 20, "volatility.heartbeat_interval_ms", "60000", "< heartbeat_volatile_ms (1500)",
                 "does not go with another key's default");
}

static void test_policy_a_refused_value_causes_no_second_finding(void)
{
    expect_refused("volatility", "heartbeat_volatile_ms", "50", "out of range");
}

static void test_policy_more_findings_than_places_are_counted(void)
{
    begin_valid();
    for (unsigned i = 0; i < 100; i++)
        jump_policy_take(&draft, "session", "nonsense", "1", 10 + i);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), JUMP_ERR_POLICY);
    CU_ASSERT_EQUAL(draft.error_count, 100);
    expect_error(JUMP_POLICY_MAX_ERRORS - 1, 10 + JUMP_POLICY_MAX_ERRORS - 1, "session.nonsense", "1", "",
                 "unknown key");
}

/* A29: what a person is shown is bounded, terminated and free of control characters. */
static void test_policy_A29_text_of_findings_is_cut_and_clean(void)
{
    char longest[1000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    longest[3] = '\x1b';
    longest[4] = '\n';
    begin_valid();
    jump_policy_take(&draft, longest, longest, longest, 10);
    CU_ASSERT_EQUAL(draft.error_count, 1);
    CU_ASSERT_EQUAL(strlen(draft.errors[0].key), JUMP_POLICY_TEXT_BYTES - 1);
    CU_ASSERT_EQUAL(strlen(draft.errors[0].value), JUMP_POLICY_TEXT_BYTES - 1);
    CU_ASSERT_EQUAL(memcmp(draft.errors[0].value, "xxx??xxx", 8), 0);
}

static void test_policy_valid_checks_every_row_and_the_version(void)
{
    struct jump_policy policy;
    jump_policy_begin(&draft);
    CU_ASSERT_EQUAL(jump_policy_valid(&draft.policy), 0);
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++) {
        if (jump_policy_rows[key].most == UINT32_MAX)
            continue;
        policy = draft.policy;
        jump_policy_set(&policy, key, jump_policy_rows[key].most + 1);
        CU_ASSERT_EQUAL(jump_policy_value(&policy, key), jump_policy_rows[key].most + 1);
        CU_ASSERT_EQUAL(jump_policy_valid(&policy), JUMP_ERR_POLICY);
        if (jump_policy_rows[key].least == 0)
            continue;
        policy = draft.policy;
        jump_policy_set(&policy, key, jump_policy_rows[key].least - 1);
        CU_ASSERT_EQUAL(jump_policy_valid(&policy), JUMP_ERR_POLICY);
    }
    policy = draft.policy;
    policy.version_major = 2;
    CU_ASSERT_EQUAL(jump_policy_valid(&policy), JUMP_ERR_POLICY);
    policy = draft.policy;
    policy.version_minor = 1;
    CU_ASSERT_EQUAL(jump_policy_valid(&policy), JUMP_ERR_POLICY);
    policy = draft.policy;
    policy.replay_window = 96;
    CU_ASSERT_EQUAL(jump_policy_valid(&policy), JUMP_ERR_POLICY);
}

static void test_policy_numbers_outside_the_keys_are_harmless(void)
{
    jump_policy_begin(&draft);
    struct jump_policy kept = draft.policy;
    jump_policy_set(&draft.policy, JUMP_POLICY_KEY_COUNT, 7);
    CU_ASSERT_EQUAL(memcmp(&kept, &draft.policy, sizeof kept), 0);
    CU_ASSERT_EQUAL(jump_policy_value(&draft.policy, JUMP_POLICY_KEY_COUNT), 0);
}

/* The shipped profiles. The reader here knows just enough INI for our own files: the real one is an adapter's. */

static char *strip(char *text)
{
    text += strspn(text, " \t");
    for (size_t len = strlen(text); len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL; len--)
        text[len - 1] = '\0';
    return text;
}

/* Feeds a profile into the draft; every key must follow its own help sentence. */
static void read_profile(const char *name)
{
    char path[1024], line[512], comment[512] = "", section[64] = "";
    unsigned number = 0;
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/core/policy/%s.ini", srcdir != NULL ? srcdir : ".", name);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    jump_policy_begin(&draft);
    while (fgets(line, sizeof line, file) != NULL) {
        char *text = strip(line), *equals = strchr(text, '=');
        number++;
        if (text[0] == ';') {
            snprintf(comment, sizeof comment, "%s", strip(text + 1));
        } else if (text[0] == '[') {
            snprintf(section, sizeof section, "%.*s", (int)strcspn(text + 1, "]"), text + 1);
        } else if (text[0] != '\0') {
            CU_ASSERT_PTR_NOT_NULL_FATAL(equals);
            *equals = '\0';
            jump_policy_take(&draft, section, strip(text), strip(equals + 1), number);
            for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++)
                if (draft.line[key] == number)
                    CU_ASSERT_STRING_EQUAL(comment, jump_policy_rows[key].help);
        }
    }
    fclose(file);
    CU_ASSERT_EQUAL(jump_policy_finish(&draft), 0);
    CU_ASSERT_EQUAL(draft.error_count, 0);
    for (unsigned key = 0; key < JUMP_POLICY_KEY_COUNT; key++)
        CU_ASSERT_NOT_EQUAL(draft.line[key], 0); /* every key is in the file */
}

enum { S = 1000, MIN = 60 * S, H = 60 * MIN };

static void test_policy_profile_strict_is_as_in_the_model(void)
{
    static const struct jump_policy typed = {
        .version_major = 1, .version_minor = 0, .max_lifetime_ms = 8 * H, .transport_lost_ttl_ms = 15000,
        .heartbeat_interval_ms = 500, .idle_interval_ms = 500, .heartbeat_volatile_ms = 2000, .loss_window_ms = 2000,
        .loss_volatile_threshold = 200000, .max_consecutive_drops = 3, .volatile_to_degraded_ms = 4000,
        .stable_window_ms = 2000, .latency_volatile_threshold_ms = 0, .max_switches_per_min = 8,
        .switch_cooldown_ms = 1500, .recovery_window_ms = 8000, .hysteresis_margin = 5, .allowed_protocols = 1,
        .max_candidates = 3, .birth_window_ms = 5000, .reattach_proof_max_age_ms = 5000, .replay_window = 128,
        .key_max_age_ms = 1 * H};
    read_profile("strict");
    CU_ASSERT_EQUAL(memcmp(&draft.policy, &typed, sizeof typed), 0);
}

static void test_policy_profile_mobile_is_as_in_the_model_and_the_default(void)
{
    static const struct jump_policy typed = {
        .version_major = 1, .version_minor = 0, .max_lifetime_ms = 24 * H, .transport_lost_ttl_ms = 300000,
        .heartbeat_interval_ms = 500, .idle_interval_ms = 15000, .heartbeat_volatile_ms = 1500, .loss_window_ms = 2000,
        .loss_volatile_threshold = 200000, .max_consecutive_drops = 3, .volatile_to_degraded_ms = 4000,
        .stable_window_ms = 2000, .latency_volatile_threshold_ms = 0, .max_switches_per_min = 12,
        .switch_cooldown_ms = 1000, .recovery_window_ms = 300000, .hysteresis_margin = 5, .allowed_protocols = 3,
        .max_candidates = 4, .birth_window_ms = 10000, .reattach_proof_max_age_ms = 5000, .replay_window = 128,
        .key_max_age_ms = 1 * H};
    read_profile("mobile");
    CU_ASSERT_EQUAL(memcmp(&draft.policy, &typed, sizeof typed), 0);
    jump_policy_begin(&draft);
    CU_ASSERT_EQUAL(memcmp(&draft.policy, &typed, sizeof typed), 0);
}

static void test_policy_profile_laptop_is_as_in_the_model(void)
{
    static const struct jump_policy typed = {
        .version_major = 1, .version_minor = 0, .max_lifetime_ms = 24 * H, .transport_lost_ttl_ms = 8 * H,
        .heartbeat_interval_ms = 1000, .idle_interval_ms = 20000, .heartbeat_volatile_ms = 3000,
        .loss_window_ms = 4000, .loss_volatile_threshold = 300000, .max_consecutive_drops = 4,
        .volatile_to_degraded_ms = 8000, .stable_window_ms = 2000, .latency_volatile_threshold_ms = 0,
        .max_switches_per_min = 12, .switch_cooldown_ms = 1000, .recovery_window_ms = 8 * H, .hysteresis_margin = 5,
        .allowed_protocols = 3, .max_candidates = 4, .birth_window_ms = 10000, .reattach_proof_max_age_ms = 5000,
        .replay_window = 128, .key_max_age_ms = 24 * H};
    read_profile("laptop");
    CU_ASSERT_EQUAL(memcmp(&draft.policy, &typed, sizeof typed), 0);
}

#define TESTS(X)                                                              \
    X(test_policy_defaults_are_valid_and_are_the_mobile_profile)              \
    X(test_policy_every_missing_required_key_is_named)                        \
    X(test_policy_a_missing_key_causes_no_second_finding)                     \
    X(test_policy_only_version_1_0_is_known)                                  \
    X(test_policy_unknown_names_are_refused)                                  \
    X(test_policy_a_doubled_key_is_refused_at_its_second_line)                \
    X(test_policy_numbers_are_plain_decimal)                                  \
    X(test_policy_nothing_is_clamped_and_nothing_wraps)                       \
    X(test_policy_every_row_holds_its_own_range)                              \
    X(test_policy_ratios_are_decimal_fractions_up_to_1)                       \
    X(test_policy_protocols_are_a_list)                                       \
    X(test_policy_replay_window_is_a_power_of_two)                            \
    X(test_policy_ttl_longer_than_the_lifetime_is_refused)                    \
    X(test_policy_window_longer_than_the_ttl_is_refused)                      \
    X(test_policy_idle_interval_is_at_least_the_heartbeat)                    \
    X(test_policy_volatile_heartbeat_is_above_the_heartbeat)                  \
    X(test_policy_a_key_lives_longer_than_two_ttls)                           \
    X(test_policy_twice_a_ttl_does_not_wrap)                                  \
    X(test_policy_a_default_made_inconsistent_is_told_at_the_explicit_key)    \
    X(test_policy_one_key_may_break_two_bounds)                               \
    X(test_policy_a_refused_value_causes_no_second_finding)                   \
    X(test_policy_more_findings_than_places_are_counted)                      \
    X(test_policy_A29_text_of_findings_is_cut_and_clean)                      \
    X(test_policy_valid_checks_every_row_and_the_version)                     \
    X(test_policy_numbers_outside_the_keys_are_harmless)                      \
    X(test_policy_profile_strict_is_as_in_the_model)                          \
    X(test_policy_profile_mobile_is_as_in_the_model_and_the_default)          \
    X(test_policy_profile_laptop_is_as_in_the_model)

RUN_TESTS("policy", TESTS)
