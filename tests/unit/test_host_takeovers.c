/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When one user in two places is an alarm (adapters/host/takeovers.c): the third time, each within five minutes of the one
 * before, whoever else comes again meanwhile.
 */
#include <string.h>

#include "host/takeovers.h"
#include "runner.h"

static struct jump_takeovers takeovers;
static struct jump_event written;
static unsigned written_len;

/* In place of adapters/system/audit_file.c: the linker takes this first. */
void jump_audit_file_write(struct jump_audit_file *audit, const struct jump_event *event, jump_time now)
{
    (void)audit;
    CU_ASSERT_EQUAL(event->at, now);
    written = *event;
    written_len++;
}

static unsigned comes(const char *user, jump_time now)
{
    return jump_takeovers_count(&takeovers, user, strlen(user), now);
}

static void begin(void)
{
    memset(&takeovers, 0, sizeof takeovers);
    memset(&written, 0, sizeof written);
    written_len = 0;
}

static void test_host_takeovers_the_third_within_five_minutes_of_the_last_is_an_alarm(void)
{
    const jump_time at = JUMP_MS(1000);

    begin();
    CU_ASSERT_EQUAL(JUMP_TAKEOVERS_ALARM, 3);
    CU_ASSERT_EQUAL(JUMP_TAKEOVERS_FOR, JUMP_MS(5 * 60 * 1000));
    CU_ASSERT_EQUAL(comes("anna", at), 1);
    CU_ASSERT_EQUAL(comes("anna", at + JUMP_TAKEOVERS_FOR), 2);
    CU_ASSERT_EQUAL(comes("anna", at + 2 * JUMP_TAKEOVERS_FOR), 3);
    CU_ASSERT_EQUAL(comes("anna", at + 2 * JUMP_TAKEOVERS_FOR), 4);
    CU_ASSERT_EQUAL(comes("anna", at + 3 * JUMP_TAKEOVERS_FOR + 1), 1); /* forgotten */
    CU_ASSERT_EQUAL(comes("anna", at + 3 * JUMP_TAKEOVERS_FOR + 2), 2);
    CU_ASSERT_EQUAL(comes("anna", at + 4 * JUMP_TAKEOVERS_FOR + 3), 1);
}

static void test_host_takeovers_one_user_s_are_not_another_s(void)
{
    static char long_name[300], other[300];

    begin();
    memset(long_name, 'x', sizeof long_name - 1); /* a distinguished name says who it is at its end */
    memcpy(other, long_name, sizeof other);
    other[sizeof other - 2] = 'y';
    CU_ASSERT_EQUAL(comes("anna", 1), 1);
    CU_ASSERT_EQUAL(comes("ann", 1), 1);
    CU_ASSERT_EQUAL(comes("", 1), 1);
    CU_ASSERT_EQUAL(comes(long_name, 1), 1);
    CU_ASSERT_EQUAL(comes(other, 1), 1);
    CU_ASSERT_EQUAL(jump_takeovers_count(&takeovers, "anna", 5, 1), 1); /* its end is a byte as others */
    CU_ASSERT_EQUAL(comes("anna", 1), 2);
    CU_ASSERT_EQUAL(comes(long_name, 1), 2);
}

static void test_host_takeovers_a_crowd_that_comes_again_once_does_not_hide_two_that_fight(void)
{
    jump_time now = JUMP_MS(1);
    char name[16];

    begin();
    CU_ASSERT_EQUAL(comes("anna", now), 1);
    CU_ASSERT_EQUAL(comes("anna", now), 2);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "user%u", i);
        CU_ASSERT_EQUAL(comes(name, ++now), 1);
    }
    CU_ASSERT_EQUAL(comes("user999", now), 2); /* the oldest of those that came least often went */
    CU_ASSERT_EQUAL(comes("user938", now), 2);
    CU_ASSERT_EQUAL(comes("user1", now), 1);
    CU_ASSERT_EQUAL(comes("anna", now), 3);
}

static void test_host_takeovers_who_is_forgotten_keeps_no_place(void)
{
    jump_time now = JUMP_MS(1);
    char name[16];

    begin();
    for (unsigned round = 0; round < 3; round++) /* each place is one of a user who came often */
        for (unsigned i = 0; i < JUMP_TAKEOVERS_USERS; i++) {
            snprintf(name, sizeof name, "old%u", i);
            CU_ASSERT_EQUAL(comes(name, now), round + 1);
        }
    now += JUMP_TAKEOVERS_FOR + 1;
    CU_ASSERT_EQUAL(comes("anna", now), 1);
    CU_ASSERT_EQUAL(comes("bert", now), 1);
    CU_ASSERT_EQUAL(comes("anna", now), 2);
    CU_ASSERT_EQUAL(comes("bert", now), 2);
}

static void test_host_takeovers_the_alarm_names_the_session_and_both_places(void)
{
    struct jump_instance instance = {.policy = {.version_major = 7, .version_minor = 8}};
    struct jump_takeover takeover = {.state_version = 12, .ends = true};

    begin();
    memset(takeover.session.bytes, 0x5a, sizeof takeover.session.bytes);
    takeover.previous.port = 1;
    takeover.newest.port = 2;
    jump_takeovers_alarm(&instance, &takeover, 99); /* without an audit file */
    CU_ASSERT_EQUAL(written_len, 0);
    instance.audit = (struct jump_audit_file *)&instance; /* only handed on */
    jump_takeovers_alarm(&instance, &takeover, 99);
    CU_ASSERT_EQUAL(written_len, 1);
    CU_ASSERT_EQUAL(written.kind, JUMP_EVENT_CREDENTIALS_SHARED);
    CU_ASSERT_EQUAL(written.fields, JUMP_FIELD_SESSION | JUMP_FIELD_REASON | JUMP_FIELD_PREVIOUS_TRANSPORT | JUMP_FIELD_NEW_TRANSPORT);
    CU_ASSERT_EQUAL(memcmp(&written.session_id, &takeover.session, sizeof takeover.session), 0);
    CU_ASSERT_EQUAL(written.reason, JUMP_REASON_HOST_TERMINATED);
    CU_ASSERT_EQUAL(written.state_version, 12);
    CU_ASSERT_EQUAL(written.previous_transport.port, 1);
    CU_ASSERT_EQUAL(written.new_transport.port, 2);
    CU_ASSERT_EQUAL(written.policy_major, 7);
    CU_ASSERT_EQUAL(written.policy_minor, 8);
    takeover.ends = false; /* the session goes on: there is no reason of its end */
    jump_takeovers_alarm(&instance, &takeover, 99);
    CU_ASSERT_EQUAL(written_len, 2);
    CU_ASSERT_EQUAL(written.fields & JUMP_FIELD_REASON, 0);
}

#define TESTS(X)                                                                       \
    X(test_host_takeovers_the_third_within_five_minutes_of_the_last_is_an_alarm)       \
    X(test_host_takeovers_one_user_s_are_not_another_s)                                \
    X(test_host_takeovers_a_crowd_that_comes_again_once_does_not_hide_two_that_fight)  \
    X(test_host_takeovers_who_is_forgotten_keeps_no_place)                             \
    X(test_host_takeovers_the_alarm_names_the_session_and_both_places)
RUN_TESTS("host_takeovers", TESTS)
