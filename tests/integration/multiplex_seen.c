/* What people are told of statements that shared a server: SHOW MULTIPLEX, SHOW STATEMENTS, the
 * slow log. */
#include "harness/process.h"
#include "multiplex_crowd.h"

#define SEEN_ALL "statements = 1\nlog_min_duration_statement = 0\nlog_slow_rate = 100000\n"

static long of_statement(const char *statement, const char *column)
{
    return atol(console_told(&sluice, "SHOW STATEMENTS", statement, column));
}

/* What the last line of the slow log on the statement says, in milliseconds. */
static void logged(const char *statement, double *wait, double *run)
{
    char *log = file_read(sluice.log), *at = NULL, *line;

    for (char *next = log; (next = strstr(next, statement)); next++)
        at = next;
    ck_assert_msg(at, "no line of \"%s\"", statement);
    for (line = at; line > log && line[-1] != '\n';)
        line--;
    line = strstr(line, "(wait ");
    ck_assert(line && line < at);
    ck_assert_int_eq(sscanf(line, "(wait %lf ms, run %lf ms)", wait, run), 2);
    free(log);
}

START_TEST(they_are_among_the_statements_and_in_the_slow_log)
{
    double first_wait, first_run, held;
    long shared;

    start_unblocked(SEEN_ALL);
    introduce(&crowd[0], "SELECT 5 + length('five')");
    shared = told("statements");
    block(4);
    for (int i = 4; i < CROWD; i++)
        ask(i, text("SELECT %d + length('number %d')", i, i));
    settle();
    held = seconds_now();
    ck_assert_int_eq(told("in_flight"), CROWD);
    held = seconds_now() - held;
    unblock();
    for (int i = 1; i < CROWD; i++)
        ck_assert_ptr_nonnull(strstr(client_answer(&crowd[i]), "C(SELECT 1) Z(I)"));
    ck_assert_int_eq(told("statements") - shared, CROWD);
    ck_assert_int_eq(of_statement("SELECT ? + length(?)", "calls"), 2 + CROWD - 4);
    ck_assert_int_eq(of_statement("SELECT ? + length(?)", "rows"), 2 + CROWD - 4);
    ck_assert_int_eq(of_statement("SELECT ? + length(?)", "errors"), 0);
    ck_assert_int_ge(of_statement("SELECT ? + length(?)", "waits"), CROWD - 4);
    /* While the one in front ran, those behind waited. */
    logged("SELECT n FROM t", &first_wait, &first_run);
    ck_assert_double_gt(first_run, held * 1e3 - 0.01);
    ck_assert_double_gt((double)of_statement("SELECT ? + length(?)", "wait_us"),
                        held * 1e6 * (CROWD - 4) - 10);
    ck_assert_uint_eq(sluice_log_count(&sluice, "number"), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(bound_ones_are_told_with_their_text_and_parameters)
{
    static const char unnamed[] = "SELECT n, t FROM things WHERE n = $1",
                      named[] = "SELECT t FROM things WHERE n = $1";

    start(1, "workers = 1\nmultiplex_stall = 0\nlog_slow_parameters = 1\n" SEEN_ALL);
    postgres_value(sluice.postgres, "CREATE TABLE things AS SELECT 1 AS n, 'one' AS t;"
                                    "GRANT ALL ON things TO PUBLIC");
    for (int i = 0; i < CROWD; i++) {
        client_send(&crowd[i], put_sync(put_parse(put_new(), "mine", named)));
        answers(i, "1 Z(I)");
    }
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < CROWD; i++) {
            client_send(&crowd[i], put_sync(put_extended(put_new(), unnamed, text("%d", i))));
            client_answer(&crowd[i]);
            client_send(&crowd[i],
                        put_sync(put_execute(
                            put_bind(put_new(), "", "mine", text("1%d%d", round, i)), "", 0)));
            client_answer(&crowd[i]);
        }
    ck_assert_int_gt(told("statements"), CROWD);
    ck_assert_int_eq(of_statement(unnamed, "calls"), 3 * CROWD);
    ck_assert_int_eq(of_statement(unnamed, "rows"), 3);
    ck_assert_int_eq(of_statement(named, "calls"), 3 * CROWD);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_uint_eq(
            sluice_log_count(&sluice, text("%s; parameters: $1 = '%d'\n", unnamed, i)), 3);
        ck_assert_uint_eq(
            sluice_log_count(&sluice, text("%s; parameters: $1 = '12%d'\n", named, i)), 1);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(errors_are_counted)
{
    static const char sql[] = "SELECT n / (n - n) FROM things WHERE n = $1";

    start(1, "workers = 1\n" SEEN_ALL);
    postgres_value(sluice.postgres, "CREATE TABLE things AS SELECT 1 AS n;"
                                    "GRANT ALL ON things TO PUBLIC");
    for (int i = 0; i < CROWD; i++) {
        client_send(&crowd[i], put_sync(put_extended(put_new(), sql, "1")));
        ck_assert_ptr_nonnull(strstr(client_answer(&crowd[i]), "E(22012 division by zero) Z(I)"));
    }
    ck_assert_int_ge(told("statements"), CROWD - 2);
    ck_assert_int_eq(of_statement(sql, "calls"), CROWD);
    ck_assert_int_eq(of_statement(sql, "errors"), CROWD);
    ck_assert_int_eq(of_statement(sql, "rows"), 0);
    sluice_stop(&sluice);
}
END_TEST

/* More statements come than are remembered, while one of the first is on its way. */
START_TEST(those_used_last_are_remembered)
{
    static const int many = 1100;
    long shared;

    start(2, "multiplex_stall = 0\nworkers = 1\n");
    postgres_value(sluice.postgres, "CREATE TABLE t (n int); INSERT INTO t VALUES (7);"
                                    "GRANT ALL ON t TO PUBLIC");
    introduce(&crowd[0], "SELECT n FROM t");
    postgres_value(sluice.postgres, "BEGIN; LOCK TABLE t");
    ask(0, "SELECT n FROM t");
    await(told("in_flight") == 1, 20);
    shared = told("statements");
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < many; i++)
            for (int time = 0; time < 2; time++)
                ck_assert_str_eq(client_query(&crowd[1], text("SELECT %d AS c%d", 10 * i, i)),
                                 text("T(c%d) D(%d) C(SELECT 1) Z(I)", i, 10 * i));
    /* The second time at the latest it is known again. */
    ck_assert_int_ge(told("statements") - shared, 2 * many);
    ck_assert_int_eq(told("in_flight"), 1);
    unblock();
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("multiplex_seen");

    suite_add(suite, SUITE_OURS, 30, they_are_among_the_statements_and_in_the_slow_log);
    suite_add(suite, SUITE_OURS, 30, bound_ones_are_told_with_their_text_and_parameters);
    suite_add(suite, SUITE_OURS, 30, errors_are_counted);
    suite_add(suite, SUITE_OURS, 60, those_used_last_are_remembered);
    return suite_finish(suite);
}
