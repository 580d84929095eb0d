/* Which literals become parameters, with what type and value, and that all else stays. */
#include "sluice/batch/lookup.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define INT8 20
#define INT4 23
#define NUMERIC 1700

static const struct {
    const char *text, *normal;
    struct {
        uint32_t type;
        const char *value;
    } literals[4];
} cases[] = {
    {"SELECT * FROM t WHERE id = 42", "SELECT * FROM t WHERE id = $1", {{INT4, "42"}}},
    {"select a from t where id=-  7 ;", "select a from t where id=$1 ", {{INT4, "-7"}}},
    {"SELECT 1 FROM t WHERE 'x' = name LIMIT 1",
     "SELECT 1 FROM t WHERE $1 = name LIMIT 1",
     {{0, "x"}}},
    {"SELECT a FROM t WHERE a = 2147483647 AND b = 2147483648 AND c = -2147483648 AND d = 1.5",
     "SELECT a FROM t WHERE a = $1 AND b = $2 AND c = $3 AND d = $4",
     {{INT4, "2147483647"}, {INT8, "2147483648"}, {INT4, "-2147483648"}, {NUMERIC, "1.5"}}},
    {"SELECT a FROM t WHERE a = 9223372036854775808 OR b = 1e3 OR c = .5 OR d = -0",
     "SELECT a FROM t WHERE a = $1 OR b = $2 OR c = $3 OR d = $4",
     {{NUMERIC, "9223372036854775808"}, {NUMERIC, "1e3"}, {NUMERIC, ".5"}, {INT4, "-0"}}},
    {"SELECT a FROM t WHERE b = 'it''s' AND c >= '' AND d <> '\\' AND e = '\xc3\xa4'",
     "SELECT a FROM t WHERE b = $1 AND c >= $2 AND d <> $3 AND e = $4",
     {{0, "it's"}, {0, ""}, {0, "\\"}, {0, "\xc3\xa4"}}},
    {"SELECT a FROM t WHERE NOT (id IN (1, -2)) AND d BETWEEN '2020-01-01' AND '2021-01-01'",
     "SELECT a FROM t WHERE NOT (id IN ($1, $2)) AND d BETWEEN $3 AND $4",
     {{INT4, "1"}, {INT4, "-2"}, {0, "2020-01-01"}, {0, "2021-01-01"}}},
    {"SELECT a FROM t WHERE a = 1 UNION SELECT b FROM u WHERE b = 2 ORDER BY 1",
     "SELECT a FROM t WHERE a = $1 UNION SELECT b FROM u WHERE b = $2 ORDER BY 1",
     {{INT4, "1"}, {INT4, "2"}}},
    {"SELECT a FROM t WHERE id BETWEEN-1 AND'x'and b='y'OR c=3",
     "SELECT a FROM t WHERE id BETWEEN $1 AND $2 and b=$3 OR c=$4",
     {{INT4, "-1"}, {0, "x"}, {0, "y"}, {INT4, "3"}}},
    /* What stays: other forms of literals, and literals elsewhere. */
    {"SELECT 'x', 5 FROM t WHERE id = 1 AND b = E'x' AND c = $$y$$ AND d = U&'z' AND e = date "
     "'2020-01-01'",
     "SELECT 'x', 5 FROM t WHERE id = $1 AND b = E'x' AND c = $$y$$ AND d = U&'z' AND e = date "
     "'2020-01-01'",
     {{INT4, "1"}}},
    {"SELECT a FROM t WHERE id = 1 AND b = 'x'\n'y' AND c = '5'::int AND d = 5::int8 AND e = true "
     "AND f = NULL",
     "SELECT a FROM t WHERE id = $1 AND b = 'x'\n'y' AND c = '5'::int AND d = 5::int8 AND e = true "
     "AND f = NULL",
     {{INT4, "1"}}},
    {"SELECT a FROM t WHERE id = 1 AND b LIKE 'x%' AND c + 1 = 2 AND f(3) = 4 AND d = x'1f' AND e "
     "= - -5",
     "SELECT a FROM t WHERE id = $1 AND b LIKE 'x%' AND c + 1 = 2 AND f(3) = 4 AND d = x'1f' AND e "
     "= - -5",
     {{INT4, "1"}}},
    {"SELECT a FROM t JOIN u ON u.k = 3 WHERE id = 1 GROUP BY 1 HAVING max(b) = 2 ORDER BY 1 LIMIT "
     "5 OFFSET 6",
     "SELECT a FROM t JOIN u ON u.k = 3 WHERE id = $1 GROUP BY 1 HAVING max(b) = 2 ORDER BY 1 "
     "LIMIT 5 OFFSET 6",
     {{INT4, "1"}}},
    {"SELECT a FROM t WHERE id = 1 -- and b = 2",
     "SELECT a FROM t WHERE id = $1 -- and b = 2",
     {{INT4, "1"}}},
    {"SELECT '$1' FROM t WHERE id = 1", "SELECT '$1' FROM t WHERE id = $1", {{INT4, "1"}}},
};

START_TEST(literals_become_parameters)
{
    struct lookup_normal normal;
    unsigned count = 0;

    ck_assert_int_eq(lookup_normalise(cases[_i].text, &normal), LOOKUP_NONE);
    ck_assert_str_eq(normal.text, cases[_i].normal);
    for (; count < 4 && cases[_i].literals[count].value != NULL; count++) {
        ck_assert_str_eq(normal.literals[count].value, cases[_i].literals[count].value);
        ck_assert_uint_eq(normal.literals[count].bytes, strlen(cases[_i].literals[count].value));
        ck_assert_uint_eq(normal.literals[count].type, cases[_i].literals[count].type);
    }
    ck_assert_uint_eq(normal.count, count);
    lookup_normal_fini(&normal);
}
END_TEST

static const struct {
    const char *text;
    enum lookup_refusal refusal;
} refused[] = {
    {"SELECT a FROM t WHERE id = $1 AND b = 2", LOOKUP_HAS_PARAM},
    {"SELECT a FROM t", LOOKUP_NO_LITERAL},
    {"SELECT a FROM t WHERE id = E'1'", LOOKUP_NO_LITERAL},
    {"UPDATE t SET a = 1 WHERE id = 2", LOOKUP_NOT_SELECT},
    {"SELECT a FROM t WHERE id = 1; DROP TABLE t", LOOKUP_NOT_ONE},
    {"", LOOKUP_NOT_ONE},
    {"SELECT", LOOKUP_NO_LITERAL},
    {"SELECT a FROM t WHERE id = ", LOOKUP_SYNTAX},
};

START_TEST(refuses_with_reason)
{
    struct lookup_normal normal;

    ck_assert_int_eq(lookup_normalise(refused[_i].text, &normal), refused[_i].refusal);
    lookup_normal_fini(&normal);
}
END_TEST

START_TEST(bounds_the_number_of_literals)
{
    for (unsigned count = LOOKUP_PARAMS_MAX; count <= LOOKUP_PARAMS_MAX + 1; count++) {
        struct lookup_normal normal;
        char text[1024];
        int length = snprintf(text, sizeof(text), "SELECT a FROM t WHERE id IN (0");

        for (unsigned i = 1; i < count; i++)
            length += snprintf(text + length, sizeof(text) - (size_t)length, ", %u", i);
        snprintf(text + length, sizeof(text) - (size_t)length, ")");
        ck_assert_int_eq(lookup_normalise(text, &normal),
                         count > LOOKUP_PARAMS_MAX ? LOOKUP_PARAM_NUMBER : LOOKUP_NONE);
        lookup_normal_fini(&normal);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("normalise");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(all, literals_become_parameters, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_loop_test(all, refuses_with_reason, 0, sizeof(refused) / sizeof(refused[0]));
    tcase_add_test(all, bounds_the_number_of_literals);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
