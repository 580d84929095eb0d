/* That statements about prepared statements are found, and where their names stand. */
#include "sluice/batch/prepare.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    enum prepare_kind kind;
    const char *name, *written;
} texts[] = {
    {"PREPARE a AS SELECT 1", PREPARE_NAMES, "a", "a"},
    {"  prepare /* x /* y */ */ Some_$1(int, text) as select $1; -- end", PREPARE_NAMES, "some_$1",
     "Some_$1"},
    {"PREPARE -- why\n\"Some \"\"name\"(int) AS SELECT $1", PREPARE_NAMES, "Some \"name",
     "\"Some \"\"name\""},
    {"/* first */ PREPARE a AS INSERT INTO t VALUES (1)", PREPARE_NAMES, "a", "a"},
    {"EXECUTE a", PREPARE_EXECUTE, "a", "a"},
    {"EXECUTE a(1, f('prepare'));;", PREPARE_EXECUTE, "a", "a"},
    {"execute\"a\"(1)", PREPARE_EXECUTE, "a", "\"a\""},
    {"EXECUTE execute", PREPARE_EXECUTE, "execute", "execute"},
    {"PREPARE U&\"a\" AS SELECT 1", PREPARE_HIDDEN, NULL, NULL},
    {"EXECUTE U&\"u\"", PREPARE_HIDDEN, NULL, NULL},
    {"PREPARE \"\xc3\xa9\" AS SELECT 1", PREPARE_HIDDEN, NULL, NULL},
    {"PREPARE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS SELECT 1",
     PREPARE_HIDDEN, NULL, NULL},
    {"PREPARE a AS SELECT 1; EXECUTE a", PREPARE_HIDDEN, NULL, NULL},
    {"EXPLAIN ANALYZE EXECUTE a(1)", PREPARE_HIDDEN, NULL, NULL},
    {"CREATE TABLE t AS EXECUTE a", PREPARE_HIDDEN, NULL, NULL},
    {"DEALLOCATE a; SELECT 1", PREPARE_HIDDEN, NULL, NULL},
    {"DO 'BEGIN EXECUTE ''EXECUTE a''; END'", PREPARE_HIDDEN, NULL, NULL},
    {"EXECUTE a IN SOME NEWER WAY", PREPARE_HIDDEN, NULL, NULL},
    {"DEALLOCATE a", PREPARE_NONE, NULL, NULL},
    {"DEALLOCATE ALL", PREPARE_NONE, NULL, NULL},
    {"SELECT execute, prepare FROM deallocate", PREPARE_NONE, NULL, NULL},
    {"PREPARE TRANSACTION 'x'", PREPARE_NONE, NULL, NULL},
    {"GRANT EXECUTE ON FUNCTION f TO x", PREPARE_NONE, NULL, NULL},
    {"CREATE TRIGGER t AFTER INSERT ON x EXECUTE FUNCTION f()", PREPARE_NONE, NULL, NULL},
    {"", PREPARE_NONE, NULL, NULL},
};

START_TEST(a_statement_and_its_name_are_found)
{
    struct prepare prepare;

    prepare_find(texts[_i].text, &prepare);
    ck_assert_msg(prepare.kind == texts[_i].kind, "%s: %d", texts[_i].text, prepare.kind);
    if (!texts[_i].name)
        return;
    ck_assert_str_eq(prepare.name, texts[_i].name);
    ck_assert_uint_eq(prepare.end - prepare.start, strlen(texts[_i].written));
    ck_assert_int_eq(
        strncmp(texts[_i].text + prepare.start, texts[_i].written, prepare.end - prepare.start), 0);
}
END_TEST

START_TEST(what_is_found_was_mentioned)
{
    size_t bytes = strlen(texts[_i].text);

    if (texts[_i].kind != PREPARE_NONE)
        ck_assert(prepare_mentioned(texts[_i].text, bytes));
    if (texts[_i].kind == PREPARE_NAMES || texts[_i].kind == PREPARE_EXECUTE)
        ck_assert(prepare_begins(texts[_i].text, bytes));
}
END_TEST

START_TEST(ordinary_texts_are_not_read)
{
    static const char *const ordinary[] = {"SELECT 1", "UPDATE x SET y = 'prepared'", "",
                                           "SELECT executed, reexecute FROM prepares"};

    for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++) {
        ck_assert(!prepare_begins(ordinary[i], strlen(ordinary[i])));
        ck_assert(!prepare_mentioned(ordinary[i], strlen(ordinary[i])));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prepare");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(all, a_statement_and_its_name_are_found, 0,
                        sizeof(texts) / sizeof(texts[0]));
    tcase_add_loop_test(all, what_is_found_was_mentioned, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(all, ordinary_texts_are_not_read);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
