/* suite: how a test program of this folder is put together, and how a test waits.
 *
 *     int main(void)
 *     {
 *         Suite *suite = suite_create("relay");
 *         suite_add(suite, SUITE_SAME, 20, copy_out_streams_every_row);
 *         return suite_finish(suite);
 *     }
 *
 * Each test is a Check case of its own name, in a process of its own: CK_RUN_CASE=name runs one.
 * SLUICE_BINARY names the binary under test. When that is PgBouncer, only the tests whose outcome
 * must be the same run: that is how the harness itself is tested. */
#ifndef TESTS_HARNESS_SUITE_H
#define TESTS_HARNESS_SUITE_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

enum suite_scope {
    SUITE_SAME, /* PgBouncer gives the same outcome */
    SUITE_OURS, /* Sluice only */
};

/* True when the binary under test is PgBouncer. */
bool suite_reference(void);

/* Adds a test that may take so many seconds on a plain build (see slow_factor). */
#define suite_add(suite, scope, seconds, test) \
    suite_add_named(suite, scope, seconds, #test, test, 1)
/* The same test for each _i from 0 to count - 1: rows of a table. */
#define suite_add_loop(suite, scope, seconds, test, count) \
    suite_add_named(suite, scope, seconds, #test, test, (int)(count))
void suite_add_named(Suite *suite, enum suite_scope scope, double seconds, const char *name,
                     const TTest *test, int count);

/* Runs all, frees the suite; returns main's exit status. */
int suite_finish(Suite *suite);

/* SLUICE_TEST_SLOW, or 1: by how much to lengthen every deadline (sanitizers, loaded machines). */
double slow_factor(void);

/* Monotonic seconds. */
double seconds_now(void);

/* The moment so many (lengthened) seconds from now, and whether it is over. */
double deadline_in(double seconds);
bool deadline_over(double deadline);

/* Lets 5 ms pass between two looks at something that sends no event. */
void nap(void);

/* Waits until the condition holds; fails the test with its text after so many seconds. */
#define await(condition, seconds)                                                           \
    do {                                                                                    \
        double await_deadline = deadline_in(seconds);                                       \
        while (!(condition)) {                                                              \
            if (deadline_over(await_deadline))                                              \
                ck_abort_msg("waited %g s in vain for: %s", (double)(seconds), #condition); \
            nap();                                                                          \
        }                                                                                   \
    } while (0)

/* printf into memory that lives as long as the test. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
