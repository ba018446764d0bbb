/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state folder: what must survive a restart does, what is damaged is refused and left as it is, and nobody else
 * can read or plant anything in it.
 */
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "runner.h"
#include "scratch.h"
#include "system/clock.h"
#include "system/state.h"

static struct scratch scratch;
static struct jump_problem problem;

static struct jump_state_folder *open_state(const char *name)
{
    problem.text[0] = '\0';
    return jump_state_open(&problem, scratch_path(&scratch, "state"), name);
}

static bool says(const char *words)
{
    bool found = strstr(problem.text, words) != NULL;

    if (!found)
        fprintf(stderr, "\n  expected \"%s\" in: %s\n", words, problem.text);
    return found;
}

static mode_t mode_of(const char *name)
{
    struct stat status;

    return lstat(scratch_path(&scratch, name), &status) == 0 ? status.st_mode & 07777 : 0;
}

static void test_state_a_new_folder_and_its_files_are_for_their_owner_alone(void)
{
    struct jump_state_folder *state;
    uint64_t boot;

    scratch_open(&scratch);
    mode_t before = umask(0);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
    umask(before);
    CU_ASSERT_EQUAL(mode_of("state"), 0700);
    CU_ASSERT_EQUAL(mode_of("state/a.key"), 0600);
    CU_ASSERT_EQUAL(mode_of("state/a.boot"), 0600);
    CU_ASSERT_EQUAL(mode_of("state/a.audit.key"), 0600);
    CU_ASSERT_EQUAL(mode_of("state/a.audit.head"), 0600);
    CU_ASSERT_EQUAL(mode_of("state/a.lock"), 0600);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_state_keys_are_made_once_and_differ_between_instances(void)
{
    uint8_t key[32], audit[32];
    struct jump_state_folder *state, *other;

    scratch_open(&scratch);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    memcpy(key, jump_state_instance_key(state), 32);
    memcpy(audit, jump_state_audit_key(state), 32);
    CU_ASSERT_NOT_EQUAL(memcmp(key, audit, 32), 0);
    other = open_state("b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(other);
    CU_ASSERT_NOT_EQUAL(memcmp(key, jump_state_instance_key(other), 32), 0);
    jump_state_close(other);
    jump_state_close(state);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_EQUAL(memcmp(key, jump_state_instance_key(state), 32), 0);
    CU_ASSERT_EQUAL(memcmp(audit, jump_state_audit_key(state), 32), 0);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_state_every_start_counts_one_more(void)
{
    uint64_t boot;

    scratch_open(&scratch);
    for (uint64_t expected = 1; expected <= 3; expected++) {
        struct jump_state_folder *state = open_state("a");

        CU_ASSERT_PTR_NOT_NULL_FATAL(state);
        CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
        CU_ASSERT_EQUAL(boot, expected);
        jump_state_close(state);
    }
    scratch_close(&scratch);
}

static void test_state_a_second_start_in_one_process_counts_without_the_folder(void)
{
    struct jump_state_folder *state;
    char moved[256];
    uint64_t boot;
    size_t len;
    char *after;

    scratch_open(&scratch);
    CU_ASSERT_EQUAL(mkdir(scratch_path(&scratch, "state"), 0700), 0);
    scratch_text(scratch_path(&scratch, "state/a.boot"), "8\n");
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
    CU_ASSERT_EQUAL(boot, 9);
    (void)snprintf(moved, sizeof moved, "%s", scratch_path(&scratch, "away"));
    CU_ASSERT_EQUAL(link(scratch_path(&scratch, "state/a.boot"), moved), 0);
    CU_ASSERT_EQUAL(unlink(scratch_path(&scratch, "state/a.boot")), 0); /* as unreachable as for a dropped user */
    CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
    CU_ASSERT_EQUAL(boot, 10);
    after = scratch_read(moved, &len);
    CU_ASSERT_TRUE(after != NULL && strcmp(after, "10\n") == 0);
    free(after);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_state_a_second_count_that_cannot_be_written_is_not_given(void)
{
    struct rlimit before, none;
    struct jump_state_folder *state;
    uint64_t boot;

    scratch_open(&scratch);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
    getrlimit(RLIMIT_FSIZE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_FSIZE, &none);
    CU_ASSERT_FALSE(jump_state_boot_next(state, &boot, &problem));
    setrlimit(RLIMIT_FSIZE, &before);
    CU_ASSERT_EQUAL(boot, 0);
    CU_ASSERT_TRUE(says("a.boot"));
    CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
    CU_ASSERT_EQUAL(boot, 2);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_state_a_count_that_cannot_be_made_durable_is_not_given(void)
{
    struct rlimit before, none;
    struct jump_state_folder *state;
    uint64_t boot = 77;

    scratch_open(&scratch);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    getrlimit(RLIMIT_FSIZE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_FSIZE, &none); /* each write fails as on a full disk, and SIGXFSZ would kill us */
    CU_ASSERT_FALSE(jump_state_boot_next(state, &boot, &problem));
    setrlimit(RLIMIT_FSIZE, &before);
    CU_ASSERT_EQUAL(boot, 0);
    CU_ASSERT_TRUE(says("a.boot"));
    CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
    CU_ASSERT_EQUAL(boot, 1);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void refuse_boot(const char *content)
{
    struct jump_state_folder *state = open_state("a");
    uint64_t boot = 77;
    size_t len;
    char *after;

    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    scratch_text(scratch_path(&scratch, "state/a.boot"), content);
    CU_ASSERT_FALSE(jump_state_boot_next(state, &boot, &problem));
    CU_ASSERT_EQUAL(boot, 0);
    CU_ASSERT_TRUE(says("a.boot"));
    after = scratch_read(scratch_path(&scratch, "state/a.boot"), &len);
    CU_ASSERT_TRUE(after != NULL && strcmp(after, content) == 0);
    free(after);
    jump_state_close(state);
}

static void test_state_a_damaged_count_is_refused_and_left_as_it_is(void)
{
    static const char *const damaged[] = {"", "x\n", "-1\n", " 4\n", "4", "4\n5\n", "99999999999999999999999\n",
                                          "4294967295\n", "0x10\n", "11111111111111111111111111111111111\n"};

    scratch_open(&scratch);
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++)
        refuse_boot(damaged[i]);
    scratch_close(&scratch);
}

static void test_state_a_damaged_key_is_refused_by_name(void)
{
    scratch_open(&scratch);
    jump_state_close(open_state("a"));
    scratch_write(scratch_path(&scratch, "state/a.key"), "short", 5);
    CU_ASSERT_PTR_NULL(open_state("a"));
    CU_ASSERT_TRUE(says("state/a.key"));
    scratch_write(scratch_path(&scratch, "state/a.key"), "0123456789012345678901234567890123", 34);
    CU_ASSERT_PTR_NULL(open_state("a"));
    CU_ASSERT_TRUE(says("32 bytes"));
    scratch_close(&scratch);
}

static void test_state_a_damaged_head_is_refused_and_left_as_it_is(void)
{
    size_t len;
    char *head;

    scratch_open(&scratch);
    jump_state_close(open_state("a"));
    head = scratch_read(scratch_path(&scratch, "state/a.audit.head"), &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(head);
    for (size_t i = 0; i < 20; i++) { /* each byte of its first word */
        head[i] ^= 1;
        scratch_write(scratch_path(&scratch, "state/a.audit.head"), head, len);
        CU_ASSERT_PTR_NULL(open_state("a"));
        CU_ASSERT_TRUE(says("a.audit.head"));
        head[i] ^= 1;
    }
    scratch_write(scratch_path(&scratch, "state/a.audit.head"), head, len - 1);
    CU_ASSERT_PTR_NULL(open_state("a"));
    scratch_write(scratch_path(&scratch, "state/a.audit.head"), "", 0);
    CU_ASSERT_PTR_NULL(open_state("a"));
    scratch_write(scratch_path(&scratch, "state/a.audit.head"), head, len);
    struct jump_state_folder *state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL(state);
    jump_state_close(state);
    free(head);
    scratch_close(&scratch);
}

static void test_state_the_head_is_what_was_set_last(void)
{
    struct jump_audit_head head = {.seq = UINT64_MAX, .lost = 12}, again;
    struct jump_state_folder *state;
    uint8_t key[32];

    scratch_open(&scratch);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    for (size_t i = 0; i < sizeof head.link; i++)
        head.link[i] = (uint8_t)(i * 7);
    CU_ASSERT_TRUE(jump_state_audit_head_set(state, &head));
    head.seq = 5;
    CU_ASSERT_TRUE(jump_state_audit_head_set(state, &head));
    memset(&again, 0, sizeof again);
    CU_ASSERT_TRUE(jump_state_audit_peek(key, &again, &problem, scratch_path(&scratch, "state"), "a"));
    CU_ASSERT_EQUAL(memcmp(&again, &head, sizeof head), 0);
    CU_ASSERT_EQUAL(memcmp(key, jump_state_audit_key(state), 32), 0);
    jump_state_close(state);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    jump_state_audit_head(state, &again);
    CU_ASSERT_EQUAL(memcmp(&again, &head, sizeof head), 0);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_state_a_new_audit_key_begins_a_new_chain(void)
{
    struct jump_audit_head head = {.seq = 9};
    struct jump_state_folder *state;

    scratch_open(&scratch);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_TRUE(jump_state_audit_head_set(state, &head));
    jump_state_close(state);
    CU_ASSERT_EQUAL(unlink(scratch_path(&scratch, "state/a.audit.key")), 0);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    jump_state_audit_head(state, &head);
    CU_ASSERT_EQUAL(head.seq, 0);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_state_one_name_has_one_process(void)
{
    struct jump_state_folder *state;
    int status = 0;
    pid_t child;

    scratch_open(&scratch);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    child = fork();
    if (child == 0)
        _exit(jump_state_open(&problem, scratch_path(&scratch, "state"), "a") == NULL && says("another running process") ? 0 : 1);
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    jump_state_close(state);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL(state);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_state_the_lock_goes_with_a_host_that_becomes_a_daemon(void)
{
    struct jump_state_folder *state;
    int ready[2], go[2], status;
    char byte;

    scratch_open(&scratch);
    CU_ASSERT_EQUAL_FATAL(pipe(ready) + pipe(go), 0);
    pid_t parent = fork();
    if (parent == 0) {
        state = open_state("a");
        if (state != NULL && fork() == 0) { /* the daemon */
            (void)!write(ready[1], "x", 1);
            (void)!read(go[0], &byte, 1);
            _exit(0);
        }
        _exit(0);
    }
    CU_ASSERT_EQUAL(waitpid(parent, &status, 0), parent);
    CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
    CU_ASSERT_PTR_NULL(open_state("a"));
    CU_ASSERT_TRUE(says("another running process"));
    (void)!write(go[1], "x", 1);
    for (int i = 0; i < 500 && (state = open_state("a")) == NULL; i++)
        usleep(10000);
    CU_ASSERT_PTR_NOT_NULL(state);
    jump_state_close(state);
    (void)close(ready[0]), (void)close(ready[1]), (void)close(go[0]), (void)close(go[1]);
    scratch_close(&scratch);
}

static void test_state_a_folder_that_others_may_write_to_is_refused(void)
{
    scratch_open(&scratch);
    CU_ASSERT_EQUAL(mkdir(scratch_path(&scratch, "state"), 0700), 0);
    CU_ASSERT_EQUAL(chmod(scratch_path(&scratch, "state"), 0777), 0);
    CU_ASSERT_PTR_NULL(open_state("a"));
    CU_ASSERT_TRUE(says("chmod 0700"));
    scratch_close(&scratch);
}

static void test_state_planted_links_and_devices_are_refused(void)
{
    static const char *const names[] = {"state/a.key", "state/a.audit.key", "state/a.audit.head", "state/a.lock"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        scratch_open(&scratch);
        jump_state_close(open_state("a"));
        CU_ASSERT_EQUAL(rename(scratch_path(&scratch, names[i]), scratch_path(&scratch, "elsewhere")), 0);
        CU_ASSERT_EQUAL(symlink(scratch_path(&scratch, "elsewhere"), scratch_path(&scratch, names[i])), 0);
        CU_ASSERT_PTR_NULL(open_state("a"));
        CU_ASSERT_TRUE(says(names[i]));
        scratch_close(&scratch);
    }
    scratch_open(&scratch);
    jump_state_close(open_state("a"));
    CU_ASSERT_EQUAL(unlink(scratch_path(&scratch, "state/a.key")), 0);
    CU_ASSERT_EQUAL(mkfifo(scratch_path(&scratch, "state/a.key"), 0600), 0);
    CU_ASSERT_PTR_NULL(open_state("a")); /* and does not wait for a writer */
    CU_ASSERT_TRUE(says("not a regular file"));
    scratch_close(&scratch);
}

static void test_state_a_folder_that_cannot_be_made_is_said_clearly(void)
{
    scratch_open(&scratch);
    CU_ASSERT_PTR_NULL(jump_state_open(&problem, scratch_path(&scratch, "no/such"), "a"));
    CU_ASSERT_TRUE(says("no/such"));
    CU_ASSERT_TRUE(says("make the folder above it first"));
    scratch_text(scratch_path(&scratch, "file"), "x");
    CU_ASSERT_PTR_NULL(jump_state_open(&problem, scratch_path(&scratch, "file"), "a"));
    CU_ASSERT_TRUE(says("Not a directory"));
    scratch_close(&scratch);
}

static void test_state_names_that_could_leave_the_folder_are_refused(void)
{
    static const char *const bad[] = {"", ".", "..", "../a", "a/b", ".hidden", "a b", "a\n", "\xff",
                                      "a2345678901234567890123456789012"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(jump_state_name_valid(bad[i]));
    CU_ASSERT_TRUE(jump_state_name_valid("client-1.office_B"));
    CU_ASSERT_TRUE(jump_state_name_valid("a234567890123456789012345678901"));
}

static void test_state_what_a_crash_left_behind_is_in_nobodys_way(void)
{
    struct jump_state_folder *state;
    uint64_t boot;

    scratch_open(&scratch);
    state = open_state("a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    scratch_text(scratch_path(&scratch, "state/.a.boot.new"), "99");
    CU_ASSERT_TRUE(jump_state_boot_next(state, &boot, &problem));
    CU_ASSERT_EQUAL(boot, 1);
    jump_state_close(state);
    scratch_close(&scratch);
}

static void test_clock_A35_never_goes_back_and_stands_beside_the_systems(void)
{
    jump_time last = jump_clock_now();

    for (int i = 0; i < 100000; i++) {
        jump_time now = jump_clock_now();

        if (now < last) {
            CU_FAIL("backwards");
            break;
        }
        last = now;
    }
    CU_ASSERT_TRUE(last > 0 && last != JUMP_NEVER);
    CU_ASSERT_TRUE(jump_clock_wall_ms() / 1000 - (uint64_t)time(NULL) + 1 <= 2);
}

#define TESTS(X)                                                                \
    X(test_state_a_new_folder_and_its_files_are_for_their_owner_alone)          \
    X(test_state_keys_are_made_once_and_differ_between_instances)               \
    X(test_state_every_start_counts_one_more)                                   \
    X(test_state_a_second_start_in_one_process_counts_without_the_folder)       \
    X(test_state_a_second_count_that_cannot_be_written_is_not_given)            \
    X(test_state_a_count_that_cannot_be_made_durable_is_not_given)              \
    X(test_state_a_damaged_count_is_refused_and_left_as_it_is)                  \
    X(test_state_a_damaged_key_is_refused_by_name)                              \
    X(test_state_a_damaged_head_is_refused_and_left_as_it_is)                   \
    X(test_state_the_head_is_what_was_set_last)                                 \
    X(test_state_a_new_audit_key_begins_a_new_chain)                            \
    X(test_state_one_name_has_one_process)                                      \
    X(test_state_the_lock_goes_with_a_host_that_becomes_a_daemon)               \
    X(test_state_a_folder_that_others_may_write_to_is_refused)                  \
    X(test_state_planted_links_and_devices_are_refused)                         \
    X(test_state_a_folder_that_cannot_be_made_is_said_clearly)                  \
    X(test_state_names_that_could_leave_the_folder_are_refused)                 \
    X(test_state_what_a_crash_left_behind_is_in_nobodys_way)                    \
    X(test_clock_A35_never_goes_back_and_stands_beside_the_systems)
RUN_TESTS("state", TESTS)
