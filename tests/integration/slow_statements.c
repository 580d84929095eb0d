/* What is told of statements: the slow log, SHOW STATEMENTS, the slowest of the dashboard. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/http.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static PGconn *start(const char *databases, const char *settings)
{
    sluice_start(&sluice, .databases = databases,
                 .settings = text("admin_users = user1\npool_mode = transaction\n%s", settings));
    return sluice_connect(&sluice, "user=user1 dbname=p");
}

static void end(PGconn *client)
{
    PQfinish(client);
    sluice_stop(&sluice);
}

static PGresult *ask(PGconn *client, const char *sql, const char *value)
{
    const char *const values[] = {value};
    PGresult *result = PQexecParams(client, sql, 1, NULL, values, NULL, NULL, 0);

    ck_assert_int_eq(PQresultStatus(result), PGRES_TUPLES_OK);
    return result;
}

START_TEST(slow_ones_are_logged_without_their_literals)
{
    PGconn *client = start(NULL, "log_min_duration_statement = 50\n");

    sql_do(client, "SELECT 'quick secret'");
    sql_do(client, "SELECT 'slow secret', pg_sleep(0.06) -- another secret");
    sluice_await_log(&sluice, "SELECT ?, pg_sleep(?)");
    PQclear(ask(client, "SELECT $1::text, pg_sleep(0.06)", "bound secret"));
    sluice_await_log(&sluice, "SELECT $1::text, pg_sleep(?)");
    ck_assert_uint_eq(sluice_log_count(&sluice, "secret"), 0);
    ck_assert_uint_ge(sluice_log_count(&sluice, " slow: "), 2);
    end(client);
}
END_TEST

START_TEST(parameters_are_logged_when_asked_for)
{
    PGconn *client = start(NULL, "log_min_duration_statement = 0\nlog_slow_parameters = 1\n");
    PGresult *result;

    PQclear(ask(client, "SELECT $1::text, 'it'", "a value"));
    sluice_await_log(&sluice, "SELECT $1::text, 'it'; parameters: $1 = 'a value'");
    PQclear(ask(client, "SELECT $1::int", NULL));
    sluice_await_log(&sluice, "SELECT $1::int; parameters: $1 = NULL");
    PQclear(PQprepare(client, "named", "SELECT $1::text || 'x'", 1, NULL));
    result = PQexecPrepared(client, "named", 1, (const char *const[]){"y"}, NULL, NULL, 0);
    ck_assert_str_eq(PQgetvalue(result, 0, 0), "yx");
    PQclear(result);
    sluice_await_log(&sluice, "SELECT $1::text || 'x'; parameters: $1 = 'y'");
    end(client);
}
END_TEST

/* The wait for the one server counts, and is told apart. */
START_TEST(wait_and_run_time_are_told_apart)
{
    PGconn *first = start("p = {server} pool_size=1\n", "log_min_duration_statement = 100\n");
    PGconn *second = sluice_connect(&sluice, "user=user1 dbname=p");
    char *log, *line;
    double all, waited, ran;

    sql_do(first, "BEGIN");
    ck_assert_int_eq(PQsendQuery(second, "SELECT 'waits'"), 1);
    sql_do(first, "SELECT pg_sleep(0.15)");
    sql_do(first, "COMMIT");
    PQclear(PQgetResult(second));
    sluice_await_log(&sluice, "run ");
    await(strstr(file_read(sluice.log), "SELECT ?\n"), 20);
    log = file_read(sluice.log);
    for (line = strstr(log, " slow: "); !strstr(line, "SELECT ?\n");)
        line = strstr(line + 1, " slow: ");
    while (strstr(line + 1, " slow: ") && strstr(line + 1, " slow: ") < strstr(line, "SELECT ?\n"))
        line = strstr(line + 1, " slow: ");
    ck_assert_int_eq(sscanf(line, " slow: %lf ms (wait %lf ms, run %lf ms)", &all, &waited, &ran),
                     3);
    ck_assert(all >= 100 && waited >= 100 && waited <= all && ran < waited);
    PQfinish(second);
    end(first);
}
END_TEST

START_TEST(a_flood_is_cut_down_and_counted)
{
    PGconn *client =
        start(NULL, "log_min_duration_statement = 0\nlog_slow_rate = 3\nworkers = 1\n");

    for (int i = 0; i < 100; i++)
        sql_do(client, "SELECT 'flood'");
    sql_do(client, "SELECT pg_sleep(1.1)");
    sluice_await_log(&sluice, "more slow statements were not logged (log_slow_rate)");
    end(client);
}
END_TEST

START_TEST(none_is_logged_by_a_sample_of_nothing)
{
    PGconn *client = start(NULL, "log_min_duration_statement = 0\nlog_slow_sample = 0\n");

    for (int i = 0; i < 20; i++)
        sql_do(client, "SELECT 1");
    ck_assert_uint_eq(sluice_log_count(&sluice, " slow: "), 0);
    end(client);
}
END_TEST

/* The value in the column of the statement's row. */
static char *statement(PGconn *console, const char *wanted, const char *column)
{
    PGresult *result = PQexec(console, "SHOW STATEMENTS");
    int place = PQfnumber(result, "statement");
    char *found = NULL;

    ck_assert_int_ge(place, 0);
    for (int i = 0; i < PQntuples(result) && !found; i++)
        if (strcmp(PQgetvalue(result, i, place), wanted) == 0)
            found = text("%s", PQgetvalue(result, i, PQfnumber(result, column)));
    ck_assert_msg(found, "no row of \"%s\"", wanted);
    PQclear(result);
    return found;
}

START_TEST(statements_are_added_up_by_their_form)
{
    PGconn *client = start(NULL, "statements = 1\n"), *console;

    sql_do(client, "CREATE TABLE t (a int)");
    for (int i = 0; i < 5; i++)
        sql_do(client, text("INSERT INTO t VALUES (%d), (%d)", i, i + 1));
    sql_error(client, "SELECT nothing FROM t WHERE a = 7");
    for (int i = 0; i < 3; i++)
        PQclear(ask(client, "SELECT a FROM t WHERE a < $1", "2"));
    PQclear(PQprepare(client, "named", "SELECT a + $1 FROM t", 1, NULL));
    PQclear(PQexecPrepared(client, "named", 1, (const char *const[]){"2"}, NULL, NULL, 0));
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    ck_assert_str_eq(statement(console, "INSERT INTO t VALUES (?), (?)", "calls"), "5");
    ck_assert_str_eq(statement(console, "INSERT INTO t VALUES (?), (?)", "rows"), "10");
    ck_assert_str_eq(statement(console, "SELECT nothing FROM t WHERE a = ?", "errors"), "1");
    ck_assert_str_eq(statement(console, "SELECT a FROM t WHERE a < $1", "calls"), "3");
    ck_assert_str_eq(statement(console, "SELECT a FROM t WHERE a < $1", "rows"), "9");
    ck_assert_str_eq(statement(console, "SELECT a + $1 FROM t", "calls"), "1");
    ck_assert_int_gt(atol(statement(console, "SELECT a + $1 FROM t", "p99_us")), 0);
    PQfinish(console);
    end(client);
}
END_TEST

START_TEST(statements_are_bounded_in_number)
{
    PGconn *client = start(NULL, "statements = 1\nstatements_max = 3\nworkers = 1\n"), *console;
    PGresult *result;

    for (int i = 0; i < 50; i++)
        sql_do(client, text("SELECT 1 AS column%d", i));
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    result = PQexec(console, "SHOW STATEMENTS");
    ck_assert_int_eq(PQntuples(result), 3);
    PQclear(result);
    statement(console, "SELECT ? AS column49", "calls");
    PQfinish(console);
    end(client);
}
END_TEST

START_TEST(the_slowest_are_kept_for_the_dashboard)
{
    uint16_t port = process_free_port();
    PGconn *client = start(NULL, text("stats_listen = 127.0.0.1:%u\n", port));
    char *answer;

    for (int i = 0; i < 30; i++)
        sql_do(client, text("SELECT %d AS column%d", i, i));
    sql_do(client, "SELECT 'secret', pg_sleep(0.1)");
    sql_do(client, "SELECT 'secret', pg_sleep(0.05)");
    answer = strstr(http_get(port, "/history.json"), "\"statements\":[");
    ck_assert_ptr_nonnull(answer);
    answer = strstr(answer, "\"text\":");
    ck_assert_int_eq(strncmp(answer, "\"text\":\"SELECT ?, pg_sleep(?)\"", 30), 0);
    ck_assert_ptr_null(strstr(strstr(answer, "pg_sleep") + 1, "pg_sleep"));
    ck_assert_ptr_null(strstr(answer, "secret"));
    end(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slow_statements");

    suite_add(suite, SUITE_OURS, 20, slow_ones_are_logged_without_their_literals);
    suite_add(suite, SUITE_OURS, 20, parameters_are_logged_when_asked_for);
    suite_add(suite, SUITE_OURS, 20, wait_and_run_time_are_told_apart);
    suite_add(suite, SUITE_OURS, 20, a_flood_is_cut_down_and_counted);
    suite_add(suite, SUITE_OURS, 20, none_is_logged_by_a_sample_of_nothing);
    suite_add(suite, SUITE_OURS, 20, statements_are_added_up_by_their_form);
    suite_add(suite, SUITE_OURS, 20, statements_are_bounded_in_number);
    suite_add(suite, SUITE_OURS, 20, the_slowest_are_kept_for_the_dashboard);
    return suite_finish(suite);
}
