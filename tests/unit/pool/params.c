/* Session parameters: equal sets are one object; what differs becomes SET statements that mean what
 * they say, whatever the values are. */
#include "sluice/pool/params.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct params_set set;

static struct params *build(const char *const *pairs)
{
    struct params *params = params_empty(&set);

    for (; pairs[0]; pairs += 2)
        params = params_with(&set, params, pairs[0], pairs[1]);
    return params;
}

START_TEST(equal_sets_are_one_object_in_whatever_order_they_were_made)
{
    struct params *a = build((const char *const[]){"TimeZone", "UTC", "DateStyle", "ISO", NULL});
    struct params *b = build((const char *const[]){"datestyle", "SQL", "TimeZone", "UTC", NULL});

    ck_assert_ptr_ne(a, b);
    b = params_with(&set, b, "DateStyle", "ISO");
    /* The spelling of a name is that of who named it first, so only the content counts. */
    ck_assert_str_eq(params_get(b, "DATESTYLE"), "ISO");
    params_drop(&set, b);
    b = build((const char *const[]){"DateStyle", "ISO", "TimeZone", "UTC", NULL});
    ck_assert_ptr_eq(a, b);
    params_drop(&set, a);
    params_drop(&set, b);
    ck_assert_ptr_null(set.all);
}
END_TEST

START_TEST(what_differs_is_set_and_nothing_else)
{
    struct params *server = build(
        (const char *const[]){"DateStyle", "ISO", "TimeZone", "UTC", "server_version", "15", NULL});
    struct params *client = build((const char *const[]){
        "DateStyle", "SQL", "TimeZone", "UTC", "server_version", "16", "Unknown", "x", NULL});
    char text[1000];

    ck_assert_uint_eq(params_difference(server, server, text, sizeof(text)), 0);
    ck_assert_uint_gt(params_difference(client, server, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "SET DateStyle = E'SQL';");
    params_drop(&set, server);
    params_drop(&set, client);
}
END_TEST

START_TEST(values_cannot_break_out_of_their_quotes)
{
    struct params *server = build((const char *const[]){"application_name", "a", NULL});
    struct params *client =
        build((const char *const[]){"application_name", "'; DROP TABLE t; --\\'\x83\x5c", NULL});
    char text[1000];

    params_difference(client, server, text, sizeof(text));
    ck_assert_str_eq(text, "SET application_name = E'''; DROP TABLE t; --\\\\''?\\\\';");
    params_drop(&set, server);
    params_drop(&set, client);
}
END_TEST

START_TEST(names_that_are_no_names_are_not_taken)
{
    static const char *const names[] = {"", "a b", "x=1;--", "a'", "\xc3\xa4"};
    struct params *params = params_empty(&set), *empty = params;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        params = params_with(&set, params, names[i], "1");
    ck_assert_ptr_eq(params, empty);
    params_drop(&set, params);
}
END_TEST

START_TEST(sets_are_bounded)
{
    struct params *params = params_empty(&set), *before;
    char name[PARAM_NAME_BYTES + 1], value[PARAM_VALUE_BYTES + 1], text[100];

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    before = params;
    params = params_with(&set, params, "too_long", value);
    ck_assert_ptr_eq(params, before);
    value[500] = '\0';
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "name_%d", i);
        params = params_with(&set, params, name, value);
    }
    ck_assert_ptr_nonnull(params_get(params, "name_1"));
    ck_assert_ptr_null(params_get(params, "name_99"));
    params_drop(&set, params);
    params = params_empty(&set);
    for (int i = 0; i < 2 * PARAMS_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        params = params_with(&set, params, name, i == 1 ? value : "1");
    }
    ck_assert_ptr_nonnull(params_get(params, "n127"));
    ck_assert_ptr_null(params_get(params, "n128"));
    before = params_empty(&set);
    before = params_with(&set, before, "n1", "");
    ck_assert_uint_eq(params_difference(params, before, text, sizeof(text)), sizeof(text));
    params_drop(&set, before);
    params_drop(&set, params);
}
END_TEST

START_TEST(a_set_moves_between_workers)
{
    struct params_set other = {0};
    struct params *params = build((const char *const[]){"TimeZone", "UTC", NULL});
    struct params *stays = params_hold(params);

    params = params_leave(&set, params);
    params = params_join(&other, params);
    ck_assert_str_eq(params_get(params, "TimeZone"), "UTC");
    ck_assert_ptr_ne(params, stays);
    params_drop(&other, params);
    params_drop(&set, stays);
    ck_assert_ptr_null(set.all);
    ck_assert_ptr_null(other.all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("params");
    TCase *tcase = tcase_create("params");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, equal_sets_are_one_object_in_whatever_order_they_were_made);
    tcase_add_test(tcase, what_differs_is_set_and_nothing_else);
    tcase_add_test(tcase, values_cannot_break_out_of_their_quotes);
    tcase_add_test(tcase, names_that_are_no_names_are_not_taken);
    tcase_add_test(tcase, sets_are_bounded);
    tcase_add_test(tcase, a_set_moves_between_workers);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
