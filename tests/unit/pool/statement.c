/* The names that statements have on servers, and the table of texts. */
#include <check.h>
#include <string.h>

#include "sluice/pool/statement.h"

START_TEST(a_name_and_its_key_tell_each_other)
{
    uint8_t key[STATEMENT_KEY_BYTES], back[STATEMENT_KEY_BYTES];
    char name[STATEMENT_NAME_BYTES];

    statement_key((const uint8_t *)"abc", 3, key);
    statement_name(key, name);
    ck_assert_str_eq(name, "sluice_ba7816bf8f01cfea414140de5dae2223");
    ck_assert(statement_key_of_name(name, back));
    ck_assert_mem_eq(key, back, sizeof(key));
}
END_TEST

START_TEST(other_names_are_not_ours)
{
    static const char *const names[] = {
        "",
        "sluice_",
        "sluice_ba7816bf8f01cfea414140de5dae222",
        "sluice_ba7816bf8f01cfea414140de5dae22233",
        "sluice_ba7816bf8f01cfea414140de5dae222g",
        "sluice_BA7816BF8F01CFEA414140DE5DAE2223",
        "slUice_ba7816bf8f01cfea414140de5dae2223",
    };
    uint8_t key[STATEMENT_KEY_BYTES];

    ck_assert(!statement_key_of_name(names[_i], key));
}
END_TEST

START_TEST(equal_content_is_kept_once)
{
    struct statements statements = {NULL};
    const uint8_t *one = (const uint8_t *)"SELECT 1\0\0\0",
                  *two = (const uint8_t *)"SELECT 2\0\0\0";
    uint8_t key_one[STATEMENT_KEY_BYTES], key_two[STATEMENT_KEY_BYTES];
    struct pg_statement *first, *second, *other;

    statement_key(one, 11, key_one);
    statement_key(two, 11, key_two);
    first = statement_get(&statements, key_one, one, 11);
    second = statement_get(&statements, key_one, one, 11);
    other = statement_get(&statements, key_two, two, 11);
    ck_assert_ptr_eq(first, second);
    ck_assert_ptr_ne(first, other);
    ck_assert_uint_eq(first->body_bytes, 11);
    ck_assert_mem_eq(first->body, one, 11);
    statement_drop(&statements, first);
    ck_assert_ptr_eq(statement_find(&statements, key_one), second);
    statement_drop(&statements, second);
    ck_assert_ptr_null(statement_find(&statements, key_one));
    statement_drop(&statements, other);
    statement_drop(&statements, NULL);
    ck_assert_ptr_null(statements.by_key);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statement");
    TCase *tests = tcase_create("statement");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, a_name_and_its_key_tell_each_other);
    tcase_add_loop_test(tests, other_names_are_not_ours, 0, 7);
    tcase_add_test(tests, equal_content_is_kept_once);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
