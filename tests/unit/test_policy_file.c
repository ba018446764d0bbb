/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Policy files: every finding has the line on which a person finds it, nothing in a file is passed over in silence, and
 * nothing that is no small regular file is read. What a value may be is test_policy.c's.
 */
#include "runner.h"
#include "scratch.h"
#include "system/policy_file.h"

static struct jump_policy_draft draft;
static struct jump_problem problem;
static struct scratch scratch;

/* A whole valid file, of which tests change a line. */
static const char good[] = "version = 1.0\n"                       /* 1 */
                           "; a comment\n"                         /* 2 */
                           "[session]\n"                           /* 3 */
                           "max_lifetime_ms = 86400000\n"          /* 4 */
                           "transport_lost_ttl_ms = 300000\n"      /* 5 */
                           "[volatility]\n"                        /* 6 */
                           "loss_volatile_threshold = 0.2\n"       /* 7 */
                           "[switching]\n"                         /* 8 */
                           "max_switches_per_min = 12\n"           /* 9 */
                           "recovery_window_ms = 300000\n"         /* 10 */
                           "[security]\n"                          /* 11 */
                           "reattach_proof_max_age_ms = 5000\n";   /* 12 */

static int parse(const char *text)
{
    return jump_policy_file_parse(&draft, text, strlen(text));
}

/* `good` with one line replaced. */
static int parse_with(unsigned line, const char *text)
{
    char whole[16384];
    const char *at = good;
    size_t len = 0;

    for (unsigned number = 1; *at != '\0'; number++) {
        size_t line_len = strcspn(at, "\n") + 1;

        len += (size_t)snprintf(whole + len, sizeof whole - len, "%.*s", number == line ? 0 : (int)line_len, at);
        if (number == line)
            len += (size_t)snprintf(whole + len, sizeof whole - len, "%s\n", text);
        at += line_len;
    }
    return parse(whole);
}

static bool found(unsigned line, const char *key, const char *problem_text)
{
    unsigned kept = draft.error_count < JUMP_POLICY_MAX_ERRORS ? draft.error_count : JUMP_POLICY_MAX_ERRORS;

    for (unsigned i = 0; i < kept; i++)
        if (draft.errors[i].line == line && strcmp(draft.errors[i].key, key) == 0 &&
            strstr(draft.errors[i].problem, problem_text) != NULL)
            return true;
    fprintf(stderr, "\n  expected line %u %s %s among %u:\n", line, key, problem_text, draft.error_count);
    for (unsigned i = 0; i < kept; i++)
        fprintf(stderr, "    line %u %s = %s: %s\n", draft.errors[i].line, draft.errors[i].key, draft.errors[i].value,
                draft.errors[i].problem);
    return false;
}

static void test_policy_file_the_shipped_profiles_are_valid(void)
{
    static const char *const names[] = {"strict", "mobile", "laptop"};
    char path[512];

    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(jump_policy_file_find(path, sizeof path, &problem, names[i], JUMP_TEST_SRCDIR "/core/policy"));
        CU_ASSERT_EQUAL(jump_policy_file_read(&draft, &problem, path), 0);
        CU_ASSERT_EQUAL(draft.error_count, 0);
    }
}

static void test_policy_file_a_whole_file_is_taken_with_its_lines(void)
{
    CU_ASSERT_EQUAL(parse(good), 0);
    CU_ASSERT_EQUAL(draft.policy.max_lifetime_ms, 86400000);
    CU_ASSERT_EQUAL(draft.policy.loss_volatile_threshold, 200000);
    CU_ASSERT_EQUAL(draft.version_line, 1);
    CU_ASSERT_EQUAL(draft.line[JUMP_POLICY_KEY_recovery_window_ms], 10);
}

static void test_policy_file_a_bad_value_is_found_at_its_line(void)
{
    CU_ASSERT_EQUAL(parse_with(5, "transport_lost_ttl_ms = 12"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(5, "session.transport_lost_ttl_ms", "out of range"));
    CU_ASSERT_EQUAL(parse_with(7, "loss_volatile_threshold = 20%"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(7, "volatility.loss_volatile_threshold", "not a decimal fraction"));
    CU_ASSERT_EQUAL(parse_with(9, "max_switches_per_min ="), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(9, "switching.max_switches_per_min", "no value"));
}

static void test_policy_file_every_finding_is_told_in_the_files_order(void)
{
    CU_ASSERT_EQUAL(parse("version = 1.0\n[session]\nnonsense\nmax_lifetime_ms = x\nunknown = 3\n"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(3, "", "not understood"));
    CU_ASSERT_TRUE(found(4, "session.max_lifetime_ms", "not a whole number"));
    CU_ASSERT_TRUE(found(5, "session.unknown", "unknown key"));
    CU_ASSERT_TRUE(found(0, "switching.recovery_window_ms", "missing"));
    for (unsigned i = 1; i < draft.error_count; i++)
        CU_ASSERT_TRUE(draft.errors[i].line == 0 || draft.errors[i].line >= draft.errors[i - 1].line);
    CU_ASSERT_EQUAL(draft.errors[draft.error_count - 1].line, 0);
}

static void test_policy_file_a_key_in_the_wrong_section_is_unknown_there(void)
{
    CU_ASSERT_EQUAL(parse_with(9, "max_lifetime_ms = 86400000"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(9, "switching.max_lifetime_ms", "unknown key"));
    CU_ASSERT_EQUAL(parse_with(6, "[nowhere]"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(7, "nowhere.loss_volatile_threshold", "unknown section"));
}

static void test_policy_file_a_key_that_stands_twice_is_found_at_its_second_line(void)
{
    CU_ASSERT_EQUAL(parse_with(5, "transport_lost_ttl_ms = 300000\ntransport_lost_ttl_ms = 400000"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(6, "session.transport_lost_ttl_ms", "stands twice"));
}

static void test_policy_file_lines_that_are_no_ini_are_not_passed_over(void)
{
    CU_ASSERT_EQUAL(parse_with(2, "just words"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(2, "", "not understood"));
    CU_ASSERT_EQUAL(parse_with(3, "[session"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(3, "", "not understood"));
    CU_ASSERT_EQUAL(parse("version = 1.0\nlast line without a key"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(2, "", "not understood"));
}

static void test_policy_file_an_indented_line_is_a_line_of_its_own(void)
{
    /* libinih by itself takes it for more of the value above, and under the name of that key. */
    CU_ASSERT_EQUAL(parse_with(5, "   transport_lost_ttl_ms = 400000"), 0);
    CU_ASSERT_EQUAL(draft.policy.transport_lost_ttl_ms, 400000);
    CU_ASSERT_EQUAL(parse_with(5, "\ttransport_lost_ttl_ms = 1"), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(5, "session.transport_lost_ttl_ms", "out of range"));
}

static void test_policy_file_a_line_that_is_too_long_is_refused_and_not_cut_in_two(void)
{
    char line[1024], comment[4096];

    memset(line, ' ', sizeof line);
    memcpy(line, "transport_lost_ttl_ms = 300000", 30);
    memcpy(line + 300, "max_lifetime_ms = 1", 20); /* where libinih's own buffer would begin anew */
    CU_ASSERT_EQUAL(parse_with(5, line), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(5, "", "too long"));
    memset(comment, '-', sizeof comment);
    comment[0] = ';';
    comment[sizeof comment - 1] = '\0';
    CU_ASSERT_EQUAL(parse_with(2, comment), 0);
}

static void test_policy_file_a_nul_byte_does_not_end_the_file(void)
{
    char text[sizeof good + 64];
    size_t len = sizeof good - 1;

    memcpy(text, good, len);
    memcpy(text + len, "ab\0cd\nnonsense\n", 15);
    CU_ASSERT_EQUAL(jump_policy_file_parse(&draft, text, len + 15), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(found(13, "", "NUL"));
    CU_ASSERT_TRUE(found(14, "", "not understood"));
}

static void test_policy_file_windows_lines_comments_and_a_mark_of_utf8_are_taken(void)
{
    char text[2 * sizeof good] = "\xef\xbb\xbf";
    size_t len = 3;

    for (const char *at = good; *at != '\0'; at++) {
        if (*at == '\n') {
            memcpy(text + len, " ; note\r", 8);
            len += 8;
        }
        text[len++] = *at;
    }
    CU_ASSERT_EQUAL(jump_policy_file_parse(&draft, text, len), 0);
}

static void test_policy_file_more_findings_than_are_kept_are_still_counted(void)
{
    char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, "[session]\n");

    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "nonsense %d\n", i);
    CU_ASSERT_EQUAL(parse(text), JUMP_ERR_POLICY);
    CU_ASSERT_TRUE(draft.error_count >= 100);
}

static void test_policy_file_any_bytes_are_survived(void)
{
    uint8_t bytes[600];
    uint64_t random = 1;

    for (int round = 0; round < 3000; round++) {
        size_t len = runner_random(&random) % sizeof bytes;

        for (size_t i = 0; i < len; i++) {
            uint64_t dice = runner_random(&random);

            bytes[i] = dice % 3 != 0 ? (uint8_t)good[(dice >> 8) % (sizeof good - 1)] : (uint8_t)(dice >> 8);
        }
        (void)jump_policy_file_parse(&draft, (const char *)bytes, len);
    }
    CU_ASSERT_EQUAL(jump_policy_file_parse(&draft, "", 0), JUMP_ERR_POLICY);
}

static void test_policy_file_only_small_regular_files_are_read(void)
{
    char *big = malloc(JUMP_POLICY_FILE_MAX_BYTES + 1);

    scratch_open(&scratch);
    memset(big, ';', JUMP_POLICY_FILE_MAX_BYTES + 1);
    scratch_write(scratch_path(&scratch, "big.ini"), big, JUMP_POLICY_FILE_MAX_BYTES + 1);
    free(big);
    CU_ASSERT_EQUAL(jump_policy_file_read(&draft, &problem, scratch_path(&scratch, "big.ini")), JUMP_ERR_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "longer than 65536"));
    CU_ASSERT_EQUAL(mkfifo(scratch_path(&scratch, "fifo.ini"), 0600), 0);
    CU_ASSERT_EQUAL(jump_policy_file_read(&draft, &problem, scratch_path(&scratch, "fifo.ini")), JUMP_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(jump_policy_file_read(&draft, &problem, scratch.folder), JUMP_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(jump_policy_file_read(&draft, &problem, scratch_path(&scratch, "none.ini")), JUMP_ERR_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "none.ini"));
    scratch_close(&scratch);
}

static void test_policy_file_a_name_is_looked_up_and_a_path_is_not(void)
{
    char path[512];

    scratch_open(&scratch);
    scratch_text(scratch_path(&scratch, "office.ini"), good);
    CU_ASSERT_TRUE(jump_policy_file_find(path, sizeof path, &problem, "office", scratch.folder));
    CU_ASSERT_EQUAL(jump_policy_file_read(&draft, &problem, path), 0);
    CU_ASSERT_TRUE(jump_policy_file_find(path, sizeof path, &problem, "./x", scratch.folder));
    CU_ASSERT_STRING_EQUAL(path, "./x");
    CU_ASSERT_TRUE(jump_policy_file_find(path, sizeof path, &problem, "x.ini", scratch.folder));
    CU_ASSERT_STRING_EQUAL(path, "x.ini");
    CU_ASSERT_FALSE(jump_policy_file_find(path, sizeof path, &problem, "home", scratch.folder));
    CU_ASSERT_PTR_NOT_NULL(strstr(problem.text, "there are: office"));
    CU_ASSERT_FALSE(jump_policy_file_find(path, sizeof path, &problem, "", scratch.folder));
    CU_ASSERT_FALSE(jump_policy_file_find(path, sizeof path, &problem, "..", scratch.folder));
    CU_ASSERT_FALSE(jump_policy_file_find(path, 8, &problem, "a/long/path", scratch.folder));
    scratch_close(&scratch);
}

static void test_policy_file_a_finding_is_one_line_with_all_a_person_needs(void)
{
    char line[JUMP_POLICY_FILE_LINE_BYTES];

    CU_ASSERT_EQUAL(parse_with(5, "transport_lost_ttl_ms = 12"), JUMP_ERR_POLICY);
    jump_policy_file_describe(line, "/etc/x.ini", &draft.errors[0]);
    CU_ASSERT_STRING_EQUAL(line, "/etc/x.ini:5: session.transport_lost_ttl_ms = 12: out of range (allowed: 1000 .. 2592000000)");
    jump_policy_file_describe(line, "a\nb\x1b[31m", &draft.errors[0]);
    CU_ASSERT_PTR_NULL(strchr(line, '\n'));
    CU_ASSERT_PTR_NULL(strchr(line, 0x1b));
}

#define TESTS(X)                                                                    \
    X(test_policy_file_the_shipped_profiles_are_valid)                              \
    X(test_policy_file_a_whole_file_is_taken_with_its_lines)                        \
    X(test_policy_file_a_bad_value_is_found_at_its_line)                            \
    X(test_policy_file_every_finding_is_told_in_the_files_order)                    \
    X(test_policy_file_a_key_in_the_wrong_section_is_unknown_there)                 \
    X(test_policy_file_a_key_that_stands_twice_is_found_at_its_second_line)         \
    X(test_policy_file_lines_that_are_no_ini_are_not_passed_over)                   \
    X(test_policy_file_an_indented_line_is_a_line_of_its_own)                       \
    X(test_policy_file_a_line_that_is_too_long_is_refused_and_not_cut_in_two)       \
    X(test_policy_file_a_nul_byte_does_not_end_the_file)                            \
    X(test_policy_file_windows_lines_comments_and_a_mark_of_utf8_are_taken)         \
    X(test_policy_file_more_findings_than_are_kept_are_still_counted)               \
    X(test_policy_file_any_bytes_are_survived)                                      \
    X(test_policy_file_only_small_regular_files_are_read)                           \
    X(test_policy_file_a_name_is_looked_up_and_a_path_is_not)                       \
    X(test_policy_file_a_finding_is_one_line_with_all_a_person_needs)
RUN_TESTS("policy_file", TESTS)
