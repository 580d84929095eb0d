/* Which literals become parameters, with what type and value, and that all else stays. */
#include "sluice/batch/literals.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* The longest that is looked at when it has as many literals as possible. */
#define TEXT_BYTES_MAX (LOOKUP_TEXT_BYTES_MAX - LITERALS_MAX)

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
    {"select a from t where id=-  7 ;", "select a from t where id=$1 ;", {{INT4, "-7"}}},
    {"SELECT 1 FROM t WHERE 'x' = name LIMIT 1",
     "SELECT 1 FROM t WHERE $1 = name LIMIT 1",
     {{0, "x"}}},
    {"SELECT a FROM t WHERE a = 2147483647 AND b = 2147483648 AND c = -2147483648 AND d = 1.5",
     "SELECT a FROM t WHERE a = $1 AND b = $2 AND c = $3 AND d = $4",
     {{INT4, "2147483647"}, {INT8, "2147483648"}, {INT4, "-2147483648"}, {NUMERIC, "1.5"}}},
    {"SELECT a FROM t WHERE a = 9223372036854775808 OR b = 1e3 OR c = .5 OR d = -0",
     "SELECT a FROM t WHERE a = $1 OR b = 1e3 OR c = .5 OR d = $2",
     {{NUMERIC, "9223372036854775808"}, {INT4, "-0"}}},
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
    {"SELECT 'x', 5 FROM t WHERE id = 1 AND b = N'x' AND c = $$y$$ AND d = U&'z' AND e = date "
     "'2020-01-01'",
     "SELECT 'x', 5 FROM t WHERE id = $1 AND b = N'x' AND c = $$y$$ AND d = U&'z' AND e = date "
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

static char memory[LITERALS_BYTES_MAX];

START_TEST(literals_become_parameters)
{
    struct literals literals;
    struct literals_choice choice;
    struct literals_normal normal;
    unsigned count = 0;

    ck_assert(literals_find(&literals, cases[_i].text));
    choice = literals_choose(&literals, cases[_i].text);
    ck_assert_int_eq(choice.refusal, LOOKUP_NONE);
    literals_normalise(&literals, &choice, cases[_i].text, memory, &normal);
    ck_assert_str_eq(normal.text, cases[_i].normal);
    ck_assert_uint_eq(normal.bytes, strlen(normal.text));
    for (; count < 4 && cases[_i].literals[count].value != NULL; count++) {
        ck_assert_str_eq(normal.params[count].value, cases[_i].literals[count].value);
        ck_assert_uint_eq(normal.params[count].bytes, strlen(cases[_i].literals[count].value));
        ck_assert_uint_eq(normal.params[count].type, cases[_i].literals[count].type);
    }
    ck_assert_uint_eq(normal.count, count);
}
END_TEST

static const struct {
    const char *text;
    enum lookup_refusal refusal;
} refused[] = {
    {"SELECT a FROM t WHERE id = $1 AND b = 2", LOOKUP_HAS_PARAM},
    {"SELECT 1 FROM t", LOOKUP_NO_LITERAL},
    {"UPDATE t SET a = 1 WHERE id = 2", LOOKUP_NOT_SELECT},
    {"SELECT a FROM t WHERE id = 1; DROP TABLE t", LOOKUP_NOT_ONE},
    {"'x'", LOOKUP_SYNTAX},
    {"SELECT a FROM t WHERE id = 1 AND", LOOKUP_SYNTAX},
};

START_TEST(refuses_with_reason)
{
    struct literals literals;

    ck_assert(literals_find(&literals, refused[_i].text));
    ck_assert_int_eq(literals_choose(&literals, refused[_i].text).refusal, refused[_i].refusal);
}
END_TEST

/* Relayed as they are. */
static const char *const unfit[] = {
    "",
    "SELECT a FROM t",
    "SELECT a FROM t WHERE b = 1.",
    "SELECT a FROM t WHERE b = 'x",
    "SELECT a FROM t WHERE b = 'x''",
    "SELECT a FROM t WHERE b = 1 AND c = \"x",
    "SELECT a FROM t WHERE b = 1 /* /* */",
    "SELECT a FROM t WHERE b = 1 AND c = $x$ $y$",
    "SELECT a FROM t WHERE b = 1 AND c = E'\\''",
    "SELECT a FROM t WHERE b = 1 AND c = \"\1i\"",
    "SELECT a FROM t WHERE b = $1",
};

START_TEST(leaves_alone_what_it_cannot_read)
{
    struct literals literals;

    ck_assert_msg(!literals_find(&literals, unfit[_i]), "%s", unfit[_i]);
}
END_TEST

START_TEST(bounds_the_number_of_literals)
{
    for (unsigned count = LITERALS_MAX; count <= LITERALS_MAX + 1; count++) {
        struct literals literals;
        char text[1024];
        int length = snprintf(text, sizeof(text), "SELECT a FROM t WHERE id IN (0");

        for (unsigned i = 1; i < count; i++)
            length += snprintf(text + length, sizeof(text) - (size_t)length, ", %u", i);
        snprintf(text + length, sizeof(text) - (size_t)length, ")");
        ck_assert_int_eq(literals_find(&literals, text), count <= LITERALS_MAX);
    }
}
END_TEST

/* All literals of one byte, the longest statement: what is written grows the most. */
START_TEST(memory_suffices)
{
    static char text[TEXT_BYTES_MAX + 2];
    struct literals literals;
    struct literals_choice choice;
    struct literals_normal normal;
    int length = snprintf(text, sizeof(text), "SELECT a FROM t WHERE id IN (0");

    for (unsigned i = 2; i < LITERALS_MAX; i++)
        length += snprintf(text + length, sizeof(text) - (size_t)length, ",0");
    length += snprintf(text + length, sizeof(text) - (size_t)length, ")AND b='");
    memset(text + length, 'x', (size_t)(TEXT_BYTES_MAX - length - 1));
    strcpy(text + TEXT_BYTES_MAX - 1, "'");
    ck_assert(literals_find(&literals, text));
    ck_assert_uint_eq(literals.count, LITERALS_MAX);
    choice = literals_choose(&literals, text);
    ck_assert_int_eq(choice.refusal, LOOKUP_NONE);
    ck_assert_uint_le(literals_shape(&literals, text, memory), sizeof(memory));
    literals_normalise(&literals, &choice, text, memory, &normal);
    ck_assert_uint_eq(normal.count, LITERALS_MAX);
    ck_assert(normal.params[LITERALS_MAX - 1].value + normal.params[LITERALS_MAX - 1].bytes <
              memory + sizeof(memory));
    strcpy(text + TEXT_BYTES_MAX, " ");
    ck_assert(!literals_find(&literals, text));
}
END_TEST

/* Of one shape or not: what is chosen for one must hold for the other. */
static const struct {
    const char *one, *other;
    bool same;
} shapes[] = {
    {"SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 234", true},
    {"SELECT a FROM t WHERE b = 'x'", "SELECT a FROM t WHERE b = 'y''$1 -- /*'", true},
    {"SELECT a FROM t WHERE b = -1", "SELECT a FROM t WHERE b = 1", false},
    {"SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 'x'", false},
    {"SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 1.5", false},
    {"SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 2147483648", false},
    {"SELECT a FROM t WHERE b = 1.5", "SELECT a FROM t WHERE b = 2147483648", true},
    {"SELECT a FROM t WHERE b = 1 LIMIT 1", "SELECT a FROM t WHERE b = 1 LIMIT 2", true},
    {"SELECT a FROM t WHERE b = 1 AND t1 = 2", "SELECT a FROM t WHERE b = 1 AND t2 = 2", false},
    {"SELECT a FROM t WHERE b = 1 /* 1 */", "SELECT a FROM t WHERE b = 1 /* 2 */", false},
    {"SELECT a FROM t WHERE b = 1 AND c = X'1'", "SELECT a FROM t WHERE b = 1 AND c = X'2'", false},
    {"SELECT a FROM t WHERE b = 1 AND c = $a$'1'$a$",
     "SELECT a FROM t WHERE b = 1 AND c = $a$'2'$a$", false},
    {"SELECT a FROM t WHERE b = 1 AND \"c''1\" = 2", "SELECT a FROM t WHERE b = 1 AND \"c''2\" = 2",
     false},
    {"SELECT a FROM t WHERE b = 1 AND c = 1e5", "SELECT a FROM t WHERE b = 1 AND c = 1e6", false},
    {"SELECT a FROM t WHERE b = 1 AND c = .5", "SELECT a FROM t WHERE b = 1 AND c = .6", false},
};

START_TEST(texts_of_one_shape_share_a_choice)
{
    static char shape[2][LITERALS_BYTES_MAX];
    struct literals literals[2];
    size_t bytes[2];
    bool same;

    ck_assert(literals_find(&literals[0], shapes[_i].one));
    ck_assert(literals_find(&literals[1], shapes[_i].other));
    bytes[0] = literals_shape(&literals[0], shapes[_i].one, shape[0]);
    bytes[1] = literals_shape(&literals[1], shapes[_i].other, shape[1]);
    same = bytes[0] == bytes[1] && memcmp(shape[0], shape[1], bytes[0]) == 0;
    ck_assert_int_eq(same, shapes[_i].same);
    if (same) {
        struct literals_choice one = literals_choose(&literals[0], shapes[_i].one);
        struct literals_choice other = literals_choose(&literals[1], shapes[_i].other);

        ck_assert_int_eq(one.refusal, other.refusal);
        ck_assert_uint_eq(one.params, other.params);
        ck_assert_uint_eq(one.negative, other.negative);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("literals");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(all, literals_become_parameters, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_loop_test(all, refuses_with_reason, 0, sizeof(refused) / sizeof(refused[0]));
    tcase_add_loop_test(all, leaves_alone_what_it_cannot_read, 0, sizeof(unfit) / sizeof(unfit[0]));
    tcase_add_test(all, bounds_the_number_of_literals);
    tcase_add_test(all, memory_suffices);
    tcase_add_loop_test(all, texts_of_one_shape_share_a_choice, 0,
                        sizeof(shapes) / sizeof(shapes[0]));
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
