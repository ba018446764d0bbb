/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The main function of a unit test: one list of sentences, one summary, one honest exit code. CUnit's own error
 * code is about the framework, not about the tests, so the numbers of failures decide here. Include it once:
 *
 *     #define TESTS(X) X(test_replay_second_copy_is_refused) X(...)
 *     RUN_TESTS("replay", TESTS)
 */
#ifndef JUMP_TEST_RUNNER_H
#define JUMP_TEST_RUNNER_H

#include <CUnit/Basic.h>
#include <stdint.h>
#include <stdio.h>

struct runner_test {
    const char *name;
    void (*run)(void);
};

static const struct runner_test *runner_next;

/* Every test is run by this: one that asserts nothing runs lines, and shows nothing. */
static inline void runner_step(void)
{
    const struct runner_test *test = runner_next++; /* first: a fatal assertion does not come back here */
    unsigned before = CU_get_number_of_asserts();
    test->run();
    if (CU_get_number_of_asserts() == before)
        CU_FAIL("this test asserts nothing");
}

/* A test that was registered and did not run is a failure too. */
static inline int runner_main(const char *suite_name, const struct runner_test *tests, unsigned count)
{
    if (CU_initialize_registry() != CUE_SUCCESS) {
        fprintf(stderr, "%s: CUnit did not start: %s\n", suite_name, CU_get_error_msg());
        return 1;
    }
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    for (unsigned i = 0; i < count; i++) {
        if (suite == NULL || CU_add_test(suite, tests[i].name, runner_step) == NULL) {
            fprintf(stderr, "%s: %s was not registered: %s\n", suite_name, tests[i].name, CU_get_error_msg());
            return 1;
        }
    }
    runner_next = tests;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_ErrorCode framework = CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures(), failed_tests = CU_get_number_of_tests_failed();
    unsigned run = CU_get_number_of_tests_run();
    printf("\n%s: %u of %u tests run, %u failed, %u assertions failed\n", suite_name, run, count, failed_tests,
           failures);
    CU_cleanup_registry();
    return framework != CUE_SUCCESS || failures > 0 || failed_tests > 0 || run != count || count == 0;
}

#define RUNNER_ENTRY(test) {#test, test},
#define RUN_TESTS(suite_name, list)                                                               \
    int main(void)                                                                                \
    {                                                                                             \
        static const struct runner_test tests[] = {list(RUNNER_ENTRY)};                           \
        return runner_main(suite_name, tests, (unsigned)(sizeof tests / sizeof tests[0]));        \
    }

/* Numbers that look random and are the same in every run (splitmix64). */
static inline uint64_t runner_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
