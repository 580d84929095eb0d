#include "harness/suite.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Tests leave their memory to the end of their process; the pooler's leaks are looked for in its
 * own (see sluice.c). */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

bool suite_reference(void)
{
    const char *binary = getenv("SLUICE_BINARY");
    const char *name = binary ? strrchr(binary, '/') : NULL;

    return binary && strcmp(name ? name + 1 : binary, "pgbouncer") == 0;
}

double slow_factor(void)
{
    const char *value = getenv("SLUICE_TEST_SLOW");
    double factor = value ? strtod(value, NULL) : 1;

    return factor >= 1 ? factor : 1;
}

double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double deadline_in(double seconds)
{
    return seconds_now() + seconds * slow_factor();
}

bool deadline_over(double deadline)
{
    return seconds_now() >= deadline;
}

void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

char *text(const char *format, ...)
{
    va_list list;
    char *result;
    int length;

    va_start(list, format);
    length = vasprintf(&result, format, list);
    va_end(list);
    ck_assert_int_ge(length, 0);
    return result;
}

void suite_add_named(Suite *suite, enum suite_scope scope, double seconds, const char *name,
                     const TTest *test, int count)
{
    TCase *tcase;

    if (scope == SUITE_OURS && suite_reference())
        return;
    tcase = tcase_create(name);
    tcase_set_timeout(tcase, seconds * slow_factor());
    tcase_add_loop_test(tcase, test, 0, count);
    suite_add_tcase(suite, tcase);
}

int suite_finish(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    signal(SIGPIPE, SIG_IGN);
    srunner_set_fork_status(runner, CK_FORK); /* what a test leaves behind dies with its process */
    srunner_run_all(runner, getenv("SLUICE_TEST_VERBOSE") ? CK_VERBOSE : CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
