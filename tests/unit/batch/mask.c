/* What people are shown of a statement holds none of its literals, whatever the text looks like. */
#include "sluice/batch/mask.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text, *masked;
} rows[] = {
    {"SELECT 1", "SELECT ?"},
    {"select  *\n\tfrom t -- note\n where a = 'x''y' and b = $2;",
     "select * from t where a = ? and b = $2"},
    {"SELECT /* a /* nested */ comment */ 2", "SELECT ?"},
    {"SELECT E'it\\'s', U&'d\\0061t', B'101', x'ff'", "SELECT ?, ..."},
    {"SELECT $$a 'quoted' text$$, $tag$ $$ $tag$", "SELECT ?, ..."},
    {"SELECT a1, t2.b3, \"Odd 'name\" FROM t2", "SELECT a1, t2.b3, \"Odd 'name\" FROM t2"},
    {"WHERE a IN (1, 2, 3) AND b IN (4)", "WHERE a IN (?, ...) AND b IN (?)"},
    {"VALUES (1,'a'),(2,'b')", "VALUES (?, ...),(?, ...)"},
    {"SELECT 1.5e-3 + .5 - 0xff", "SELECT ? + ? - ?"},
    {"SELECT 'never ends", "SELECT ?"},
    {"SELECT $x$ never ends", "SELECT ?"},
    {"SELECT /* never ends", "SELECT"},
    {"SELECT E'\\", "SELECT ?"},
    {"ALTER ROLE r PASSWORD 'secret'", "ALTER ROLE r PASSWORD ?"},
    {"SELECT \xc3\xa9 FROM t", "SELECT \xc3\xa9 FROM t"},
    {"", ""},
    {"  ;; ", ""},
};

START_TEST(literals_and_comments_are_gone)
{
    char masked[256];

    mask_text(rows[_i].text, strlen(rows[_i].text), masked, sizeof(masked));
    ck_assert_str_eq(masked, rows[_i].masked);
}
END_TEST

START_TEST(what_does_not_fit_is_cut)
{
    char masked[8];

    ck_assert_uint_eq(mask_text("SELECT column", 13, masked, sizeof(masked)), 6);
    ck_assert_str_eq(masked, "SELECT");
}
END_TEST

/* Any bytes, cut anywhere: it stays within its limits, and no string is told. */
START_TEST(any_bytes_are_masked_within_bounds)
{
    static const char alphabet[] = "'\"$-/*\\ eEuU&x1.,;?()\nab";
    uint32_t state = 7;

    for (int round = 0; round < 200000; round++) {
        size_t length = (state >> 8) % 24;
        char *text = malloc(length + 1), masked[40];

        for (size_t i = 0; i < length; i++) {
            state = state * 1664525 + 1013904223;
            text[i] = alphabet[(state >> 16) % (sizeof(alphabet) - 1)];
        }
        state = state * 1664525 + 1013904223;
        ck_assert_uint_lt(mask_text(text, length, masked, 1 + (state >> 20) % 40), 40);
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mask");
    TCase *tcase = tcase_create("mask");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tcase, literals_and_comments_are_gone, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(tcase, what_does_not_fit_is_cut);
    tcase_add_test(tcase, any_bytes_are_masked_within_bounds);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
