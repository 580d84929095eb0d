/* Which statements are a DEALLOCATE, and of what. */
#include "../../../src/proxy/pg_deallocate.h"

#include <check.h>
#include <string.h>

static const struct {
    const char *sql, *name; /* NULL: it names none */
} rows[] = {
    {"DEALLOCATE s1", "s1"},
    {" deallocate\tPrepare  S1 ; ", "s1"},
    {"DEALLOCATE \"S \"\"1\"", "S \"1"},
    {"DEALLOCATE pdo_stmt_00000001;", "pdo_stmt_00000001"},
    {"DEALLOCATE ALL", NULL},
    {"DEALLOCATE PREPARE ALL", NULL},
    {"DEALLOCATE \"all\"", "all"},
    {"DEALLOCATE", NULL},
    {"DEALLOCATE PREPARE", NULL},
    {"DEALLOCATE a; SELECT 1", NULL},
    {"DEALLOCATE a b", NULL},
    {"DEALLOCATE \"a", NULL},
    {"DEALLOCATE \"\"", NULL},
    {"DEALLOCATE 1", NULL},
    {"DEALLOCATEx", NULL},
    {"SELECT 1", NULL},
    {"", NULL},
};

START_TEST(a_name_is_read_as_postgresql_reads_it)
{
    char name[PG_DEALLOCATE_NAME_BYTES];
    bool found = pg_deallocate_name(rows[_i].sql, strlen(rows[_i].sql) + 1, name);

    ck_assert_int_eq(found, rows[_i].name != NULL);
    if (found)
        ck_assert_str_eq(name, rows[_i].name);
}
END_TEST

START_TEST(what_is_not_ended_or_too_long_names_nothing)
{
    char sql[100] = "DEALLOCATE ", name[PG_DEALLOCATE_NAME_BYTES];

    ck_assert(!pg_deallocate_name("DEALLOCATE a", 12, name));
    ck_assert(!pg_deallocate_name("DEALLOCATE a\0b", 15, name));
    ck_assert(!pg_deallocate_name("", 0, name));
    memset(sql + 11, 'n', 63);
    ck_assert(pg_deallocate_name(sql, strlen(sql) + 1, name));
    sql[74] = 'n';
    ck_assert(!pg_deallocate_name(sql, strlen(sql) + 1, name));
}
END_TEST

START_TEST(only_the_first_word_tells)
{
    ck_assert(pg_deallocate_begins("DISCARD ALL", 12));
    ck_assert(pg_deallocate_begins("\n deallocate all", 17));
    ck_assert(!pg_deallocate_begins("DEALLOC", 7));
    ck_assert(!pg_deallocate_begins("SELECT 'DEALLOCATE'", 20));
    ck_assert(!pg_deallocate_begins("", 0));
    ck_assert(!pg_deallocate_begins("", 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_deallocate");
    TCase *tests = tcase_create("pg_deallocate");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, a_name_is_read_as_postgresql_reads_it, 0,
                        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tests, what_is_not_ended_or_too_long_names_nothing);
    tcase_add_test(tests, only_the_first_word_tells);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
