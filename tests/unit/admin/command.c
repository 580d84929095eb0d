/* What the console understands. */
#include "admin/command.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct statement statement;
static struct pool_failure failure;

static bool parse(const char *text)
{
    return statement_parse(&statement, text, &failure);
}

START_TEST(blanks_and_comments_are_an_empty_statement)
{
    static const char *const texts[] = {"", " ", ";", " ; ; ", "-- ping", "/* x */ ;\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_msg(parse(texts[i]), "%s", texts[i]);
        ck_assert_int_eq(statement.kind, STATEMENT_EMPTY);
    }
}
END_TEST

START_TEST(show_finds_its_table)
{
    static const char *const texts[] = {"SHOW POOLS", "show pools;", "select Pools",
                                        "/* a */ show -- b\n pools ;;", "SHOW \"pools\""};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_assert_msg(parse(texts[i]), "%s", texts[i]);
        ck_assert_int_eq(statement.kind, STATEMENT_SHOW);
        ck_assert_ptr_eq(statement.show, &show_pools);
    }
    ck_assert(parse("SHOW HELP"));
    ck_assert_int_eq(statement.kind, STATEMENT_HELP);
    ck_assert(parse("SHOW transaction  isolation level;"));
    ck_assert_int_eq(statement.kind, STATEMENT_SHOW_VALUE);
    ck_assert_str_eq(statement.constant, "read committed");
}
END_TEST

START_TEST(commands_have_arguments)
{
    ck_assert(parse("PAUSE"));
    ck_assert_str_eq(statement.argument, "");
    ck_assert(parse("pause \"My \"\"Db\"\"\" ;"));
    ck_assert_str_eq(statement.argument, "My \"Db\"");
    ck_assert(parse("KILL_CLIENT 12"));
    ck_assert_str_eq(statement.argument, "12");
    ck_assert(parse("SET a = 'it''s'"));
    ck_assert_str_eq(statement.argument, "a");
    ck_assert_str_eq(statement.value, "it's");
    ck_assert(parse("set a=1;"));
    ck_assert_str_eq(statement.value, "1");
    ck_assert(parse("SET a TO ''"));
    ck_assert_str_eq(statement.value, "");
}
END_TEST

START_TEST(anything_else_is_refused)
{
    static const char *const texts[] = {
        "SHOW",       "SHOW nothing", "SHOW POOLS x", "SELECT 1", "PAUSE a b",    "RELOAD x",
        "SET",        "SET a",        "SET a =",      "SET = 1",  "SET a 1",      "SET a = 1 2",
        "SET a = 'x", "PAUSE \"x",    "\"",           "/* x",     "PAUSE; PAUSE",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char expected[100];

        ck_assert_msg(!parse(texts[i]), "%s", texts[i]);
        ck_assert_str_eq(failure.sqlstate, "42601");
        snprintf(expected, sizeof(expected), "invalid command '%s', use SHOW HELP;", texts[i]);
        ck_assert_str_eq(failure.message, expected);
    }
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
    char text[10000] = "SET a = '";

    memset(text + strlen(text), 'x', 5000);
    strcpy(text + 5009, "'");
    ck_assert(!parse(text));
    memcpy(text, "PAUSE        ", 9);
    ck_assert(!parse(text));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command");
    TCase *cases = tcase_create("command");
    SRunner *runner;
    int failed;

    tcase_add_test(cases, blanks_and_comments_are_an_empty_statement);
    tcase_add_test(cases, show_finds_its_table);
    tcase_add_test(cases, commands_have_arguments);
    tcase_add_test(cases, anything_else_is_refused);
    tcase_add_test(cases, what_is_too_long_is_refused);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
