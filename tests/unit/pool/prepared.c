/* What is known of a server's prepared statements while changes are on their way. */
#include <check.h>
#include <string.h>

#include "sluice/pool/prepared.h"

static struct prepared prepared;
static const uint8_t a[STATEMENT_KEY_BYTES] = "a", b[STATEMENT_KEY_BYTES] = "b",
                     c[STATEMENT_KEY_BYTES] = "c";

static void setup(void)
{
    prepared_init(&prepared);
}

static void teardown(void)
{
    prepared_fini(&prepared);
}

static void have(const uint8_t *key)
{
    prepared_settle(&prepared, key, prepared_parse(&prepared, key, 1), true);
}

START_TEST(a_parse_counts_at_once_in_its_stretch_and_later_when_answered)
{
    uint32_t serial;

    ck_assert_int_eq(prepared_look(&prepared, a, 1), PREPARED_NOT);
    serial = prepared_parse(&prepared, a, 1);
    ck_assert_int_eq(prepared_look(&prepared, a, 1), PREPARED_SENT);
    ck_assert_int_eq(prepared_look(&prepared, a, 2), PREPARED_EARLIER);
    prepared_settle(&prepared, a, serial, true);
    ck_assert_int_eq(prepared_look(&prepared, a, 2), PREPARED_SURE);
}
END_TEST

START_TEST(a_parse_that_failed_leaves_doubt)
{
    prepared_settle(&prepared, a, prepared_parse(&prepared, a, 1), false);
    ck_assert_int_eq(prepared_look(&prepared, a, 2), PREPARED_DOUBT);
}
END_TEST

START_TEST(only_the_last_change_decides)
{
    uint32_t first = prepared_parse(&prepared, a, 1), second = prepared_parse(&prepared, a, 1);

    prepared_settle(&prepared, a, first, true);
    ck_assert_int_eq(prepared_look(&prepared, a, 2), PREPARED_EARLIER);
    prepared_settle(&prepared, a, second, false);
    ck_assert_int_eq(prepared_look(&prepared, a, 2), PREPARED_DOUBT);
}
END_TEST

START_TEST(the_one_used_longest_ago_is_evicted)
{
    uint8_t key[STATEMENT_KEY_BYTES];
    uint32_t serial;

    have(a);
    have(b);
    have(c);
    prepared_used(&prepared, a);
    ck_assert(!prepared_evict(&prepared, 3, 2, key, &serial));
    ck_assert(prepared_evict(&prepared, 2, 2, key, &serial));
    ck_assert_mem_eq(key, b, sizeof(key));
    ck_assert(!prepared_evict(&prepared, 2, 2, key, &serial));
    ck_assert_int_eq(prepared_look(&prepared, b, 2), PREPARED_DOUBT);
    ck_assert_int_eq(prepared_look(&prepared, b, 3), PREPARED_EARLIER);
    prepared_settle(&prepared, b, serial, true);
    ck_assert_int_eq(prepared_look(&prepared, b, 3), PREPARED_NOT);
}
END_TEST

START_TEST(a_skipped_eviction_leaves_doubt_and_is_next)
{
    uint8_t key[STATEMENT_KEY_BYTES];
    uint32_t serial;

    have(a);
    have(b);
    ck_assert(prepared_evict(&prepared, 1, 2, key, &serial));
    prepared_settle(&prepared, a, serial, false);
    ck_assert_int_eq(prepared_look(&prepared, a, 3), PREPARED_DOUBT);
    ck_assert(prepared_evict(&prepared, 1, 3, key, &serial));
    ck_assert_mem_eq(key, a, sizeof(key));
}
END_TEST

START_TEST(doubt_forgets_answers_on_their_way)
{
    uint32_t serial = prepared_parse(&prepared, a, 1);

    have(b);
    prepared_doubt_all(&prepared);
    prepared_settle(&prepared, a, serial, true);
    ck_assert_int_eq(prepared_look(&prepared, a, 1), PREPARED_DOUBT);
    ck_assert_int_eq(prepared_look(&prepared, b, 1), PREPARED_DOUBT);
    prepared_doubt(&prepared, c);
    ck_assert_int_eq(prepared_look(&prepared, c, 1), PREPARED_NOT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prepared");
    TCase *tests = tcase_create("prepared");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_parse_counts_at_once_in_its_stretch_and_later_when_answered);
    tcase_add_test(tests, a_parse_that_failed_leaves_doubt);
    tcase_add_test(tests, only_the_last_change_decides);
    tcase_add_test(tests, the_one_used_longest_ago_is_evicted);
    tcase_add_test(tests, a_skipped_eviction_leaves_doubt_and_is_next);
    tcase_add_test(tests, doubt_forgets_answers_on_their_way);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
