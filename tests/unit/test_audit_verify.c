/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an operator finds in an audit file: whatever was done to it (A29), transitions that the table does not have, and a
 * picture. All of it through jumpctl, on logs that the writer itself has made.
 */
#include "runner.h"
#include "audit_log.h"

/* --- What was done to a log is found (A29) --------------------------------------------------------------- */

static void test_audit_verify_A29_an_edited_byte_is_found_wherever_it_is(void)
{
    struct lines *lines = small_log();
    size_t len = (size_t)(lines->line[lines->count - 1] + lines->len[lines->count - 1] + 1 - lines->text);
    unsigned missed = 0;

    for (size_t at = 0; at < len; at += 37) {
        lines->text[at] ^= 1;
        scratch_write(log_path(), lines->text, len);
        if (verify(log_path()) != 1) {
            fprintf(stderr, "\n  byte %zu: %s\n", at, output);
            missed++;
        }
        lines->text[at] ^= 1;
    }
    CU_ASSERT_EQUAL(missed, 0);
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_verify_a_well_made_edit_is_found_at_its_line(void)
{
    struct lines *lines = small_log();

    for (size_t i = 1; i < lines->count; i++) {
        char where[64], *digit = strstr(lines->line[i], "\"state_version\":") + 16;

        *digit = *digit == '9' ? '8' : (char)(*digit + 1);
        scratch_text(log_path(), lines->text);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
        (void)snprintf(where, sizeof where, "a.jsonl:%zu: this line", i + 1);
        CU_ASSERT_TRUE(told(where));
        CU_ASSERT_TRUE(told("was changed after it was written"));
        *digit = *digit == '8' ? '9' : (char)(*digit - 1);
        digit = NULL;
        lines_free(lines);
        scratch_close(&scratch);
        lines = small_log();
    }
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_verify_removed_lines_are_found_at_beginning_middle_and_end(void)
{
    struct lines *lines = small_log();
    char words[64];

    for (size_t cut = 0; cut < LINES; cut++) {
        size_t order[LINES + 1], len = 0;

        for (size_t i = 0; i < LINES; i++)
            if (i != cut)
                order[len++] = i;
        order[len] = LINES;
        write_order(lines, order);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
        if (cut == 0)
            CU_ASSERT_TRUE(told("the beginning was cut off"));
        if (cut > 0 && cut < LINES - 1) {
            (void)snprintf(words, sizeof words, "missing before this one: seq %zu to %zu", cut + 1, cut + 1);
            CU_ASSERT_TRUE(told(words));
        }
        if (cut == LINES - 1)
            CU_ASSERT_TRUE(told("the end was cut off: seq 8 to 8"));
    }
    for (size_t kept = 0; kept < LINES; kept++) { /* tails of every length, to nothing at all */
        size_t order[LINES + 1];

        for (size_t i = 0; i < kept; i++)
            order[i] = i;
        order[kept] = LINES;
        write_order(lines, order);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
    }
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_verify_reordered_and_doubled_lines_are_found(void)
{
    struct lines *lines = small_log();

    for (size_t i = 0; i + 1 < LINES; i++) {
        size_t swapped[LINES + 1], doubled[LINES + 2], len = 0;

        for (size_t k = 0; k < LINES; k++) {
            swapped[k] = k == i ? i + 1 : k == i + 1 ? i : k;
            doubled[len++] = k;
            if (k == i)
                doubled[len++] = k;
        }
        swapped[LINES] = doubled[len] = LINES;
        write_order(lines, swapped);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
        write_order(lines, doubled);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
        CU_ASSERT_TRUE(told("a second time"));
    }
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_verify_put_in_lines_are_found(void)
{
    struct lines *lines = small_log();
    static const char *const forged[] = {"", "hello", "{\"seq\":9,\"prev\":\"00\"}", "{}",
                                         "{\"seq\":9,\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\","
                                         "\"event_type\":\"PolicyEvent\"}"};

    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        char text[16384];

        (void)snprintf(text, sizeof text, "%s%s\n", lines->text, forged[i]);
        scratch_text(log_path(), text);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
        (void)snprintf(text, sizeof text, "%.*s%s\n%s", (int)(lines->line[3] - lines->text), lines->text, forged[i], lines->line[3]);
        scratch_text(log_path(), text);
        CU_ASSERT_EQUAL(verify(log_path()), 1);
    }
    lines_free(lines);
    scratch_close(&scratch);
}

static void test_audit_verify_another_key_makes_no_line_good(void)
{
    struct lines *lines = small_log();

    scratch_write(scratch_path(&scratch, "state/a.audit.key"), "01234567890123456789012345678901", 32);
    CU_ASSERT_EQUAL(verify(log_path()), 1);
    CU_ASSERT_TRUE(told("was not written with the key of \"a\" in") && told("/state"));
    CU_ASSERT_PTR_NULL(strstr(output, "changed")); /* one sentence, not one for each line */
    CU_ASSERT_EQUAL(unlink(scratch_path(&scratch, "state/a.audit.key")), 0);
    CU_ASSERT_EQUAL(verify(log_path()), 2);
    CU_ASSERT_TRUE(told("a.audit.key"));
    lines_free(lines);
    scratch_close(&scratch);
}

/* --- Replay and picture ---------------------------------------------------------------------------------- */

/* Write one transition that is wrong in one thing; replay must say these words. */
static void replay_refuses(const struct jump_event *events, size_t count, const char *words)
{
    char arguments[1024];

    begin();
    for (size_t i = 0; i < count; i++)
        write_event(&events[i]);
    close_log();
    CU_ASSERT_EQUAL(verify(log_path()), 0); /* the chain is fine: it is what was written */
    (void)snprintf(arguments, sizeof arguments, "audit replay %s", log_path());
    CU_ASSERT_EQUAL(jumpctl(arguments), 1);
    CU_ASSERT_TRUE(told(words));
    scratch_close(&scratch);
}

static void test_audit_verify_A29_replay_finds_what_the_table_does_not_have(void)
{
    struct jump_event good = step(1, 1, JUMP_MODE_BIRTH, JUMP_EV_ATTACH_OK, JUMP_CLIENT, JUMP_REASON_ATTACHED_TO_TRANSPORT);
    struct jump_event dead = step(1, 2, JUMP_MODE_ATTACHED, JUMP_EV_TRANSPORT_DEAD, JUMP_CLIENT, JUMP_REASON_TRANSPORT_DEAD);
    struct jump_event events[2];

    events[0] = good, events[1] = dead;
    events[1].state_version = 3;
    replay_refuses(events, 2, "version 3 follows 1");
    events[1] = good;
    replay_refuses(events, 2, "version 1 follows 1");
    events[1] = dead;
    events[1].previous_mode = JUMP_MODE_VOLATILE;
    replay_refuses(events, 2, "it was in ATTACHED, not in VOLATILE");
    events[1] = dead;
    events[1].new_mode = JUMP_MODE_DEGRADED_BOUND;
    replay_refuses(events, 2, "leads to RECOVERING_UNBOUND (T4), not to DEGRADED_BOUND");
    events[1] = dead;
    events[1].row = "T7";
    replay_refuses(events, 2, "is row T4, not \"T7\"");
    events[1] = dead;
    events[1].reason = JUMP_REASON_BAD_PROOF;
    replay_refuses(events, 2, "row T4 carries no reason bad_proof");
    events[1] = dead;
    events[1].cause = JUMP_EV_ATTACH_OK;
    replay_refuses(events, 2, "attach_ok in ATTACHED is no transition");
    events[1] = dead;
    events[1].role = JUMP_SERVER;
    replay_refuses(events, 2, "its role changed");
    events[0] = dead;
    replay_refuses(events, 1, "not 1 from BIRTH");
}

static void test_audit_verify_a_file_that_is_not_there_or_no_log_is_named_in_a_line(void)
{
    char arguments[1024], text[4000] = "";
    unsigned lines = 0;

    lines_free(small_log());
    CU_ASSERT_EQUAL(verify("/nonexist"), 2);
    CU_ASSERT_TRUE(told("/nonexist: No such file"));
    for (unsigned i = 0; i < 200; i++)
        strcat(text, "root:x:0:0\n");
    scratch_text(scratch_path(&scratch, "other"), text);
    (void)snprintf(arguments, sizeof arguments, "audit replay %s", scratch_path(&scratch, "other"));
    CU_ASSERT_EQUAL(jumpctl(arguments), 1);
    CU_ASSERT_TRUE(told("no audit log: none of its first 10 lines"));
    for (const char *at = output; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    CU_ASSERT_TRUE(lines <= 11);
    scratch_text(scratch_path(&scratch, "other"), "{\"a\":1}\n{\"b\":2}\n"); /* was: good, 0 transitions */
    CU_ASSERT_EQUAL(jumpctl(arguments), 1);
    CU_ASSERT_TRUE(told("none of its 2 lines"));
    scratch_close(&scratch);
}

static void test_audit_verify_the_picture_is_drawn_and_is_xml(void)
{
    char command[1200];

    begin();
    for (uint8_t i = 1; i < 30; i++)
        write_story(i);
    close_log();
    (void)snprintf(command, sizeof command, "audit plot %s -o %s", log_path(), scratch_path(&scratch, "x.svg"));
    CU_ASSERT_EQUAL(jumpctl(command), 0);
    CU_ASSERT_TRUE(told("29 lanes"));
    (void)snprintf(command, sizeof command, "python3 -c 'import sys,xml.dom.minidom as m; m.parse(sys.argv[1])' %s",
                   scratch_path(&scratch, "x.svg"));
    CU_ASSERT_EQUAL(scratch_run(output, sizeof output, command), 0);
    scratch_text(log_path(), "");
    (void)snprintf(command, sizeof command, "audit plot %s -o %s", log_path(), scratch_path(&scratch, "x.svg"));
    CU_ASSERT_EQUAL(jumpctl(command), 1);
    scratch_close(&scratch);
}

#define TESTS(X)                                                                    \
    X(test_audit_verify_A29_an_edited_byte_is_found_wherever_it_is)                       \
    X(test_audit_verify_a_well_made_edit_is_found_at_its_line)                        \
    X(test_audit_verify_removed_lines_are_found_at_beginning_middle_and_end)          \
    X(test_audit_verify_reordered_and_doubled_lines_are_found)                        \
    X(test_audit_verify_put_in_lines_are_found)                                       \
    X(test_audit_verify_another_key_makes_no_line_good)                               \
    X(test_audit_verify_A29_replay_finds_what_the_table_does_not_have)                    \
    X(test_audit_verify_a_file_that_is_not_there_or_no_log_is_named_in_a_line) \
    X(test_audit_verify_the_picture_is_drawn_and_is_xml)
RUN_TESTS("audit_verify", TESTS)
