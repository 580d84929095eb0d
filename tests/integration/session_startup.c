/* Session mode: the server of a client was opened with that client's startup parameters, so that
 * RESET gives them back, as on a direct connection. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

#define OPTIONS                                                             \
    "application_name=till options='-c search_path=own,public -c geqo=off " \
    "-c DateStyle=German --work-mem=7MB -c TimeZone=Asia/Tokyo -c app.note=two\\\\ words'"

static struct sluice sluice;

static PGconn *connect_with(const char *more)
{
    return sluice_connect(&sluice, text("user=user1 dbname=p %s", more));
}

static void shows_all(PGconn *connection)
{
    ck_assert_str_eq(sql_value(connection, "SHOW search_path"), "own,public");
    ck_assert_str_eq(sql_value(connection, "SHOW geqo"), "off");
    ck_assert_str_eq(sql_value(connection, "SHOW DateStyle"), "German, DMY");
    ck_assert_str_eq(sql_value(connection, "SHOW work_mem"), "7MB");
    ck_assert_str_eq(sql_value(connection, "SHOW TimeZone"), "Asia/Tokyo");
    ck_assert_str_eq(sql_value(connection, "SHOW application_name"), "till");
    ck_assert_str_eq(sql_value(connection, "SHOW app.note"), "two words");
}

static const char *const logins[] = {"p = {server}\n", "p = {server} login=libpq\n"};

START_TEST(reset_gives_back_what_the_client_asked_for)
{
    static const char *const resets[] = {"RESET ALL", "DISCARD ALL"};
    PGconn *connection;

    sluice_start(&sluice, .databases = logins[_i]);
    connection = connect_with(OPTIONS);
    ck_assert_str_eq(PQparameterStatus(connection, "DateStyle"), "German, DMY");
    ck_assert_str_eq(PQparameterStatus(connection, "application_name"), "till");
    shows_all(connection);
    ck_assert_str_eq(sql_value(connection, "SELECT source FROM pg_settings WHERE name = 'geqo'"),
                     "client");
    for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
        sql_do(connection, "SET search_path = elsewhere; SET geqo = on; SET DateStyle = 'ISO';"
                           "SET work_mem = '1MB'; SET TimeZone = 'UTC';"
                           "SET application_name = 'other'; SET app.note = 'x'");
        sql_do(connection, resets[i]);
        shows_all(connection);
    }
    /* Also for what comes in one go with the RESET. */
    sql_do(connection, "SET TimeZone = 'UTC'; SET geqo = on");
    ck_assert_str_eq(sql_value(connection, "RESET ALL; SELECT current_setting('TimeZone') || "
                                           "current_setting('geqo')"),
                     "Asia/Tokyooff");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

static char *backend(PGconn *connection)
{
    return sql_value(connection, "SELECT pg_backend_pid()");
}

START_TEST(servers_are_for_clients_that_ask_for_the_same)
{
    PGconn *connection;
    char *first, *second;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "server_round_robin = 1\n");
    connection = connect_with("options='-c geqo=off'");
    first = backend(connection);
    sql_do(connection, "SET geqo = on");
    PQfinish(connection);
    connection = connect_with("options='-c geqo=off'");
    ck_assert_str_eq(backend(connection), first);
    ck_assert_str_eq(sql_value(connection, "SHOW geqo"), "off");
    PQfinish(connection);
    /* Another wish: the server makes room, since the pool may have one only. */
    connection = connect_with("");
    second = backend(connection);
    ck_assert_str_ne(second, first);
    ck_assert_str_eq(sql_value(connection, "SHOW geqo"), "on");
    PQfinish(connection);
    ck_assert_int_eq(sluice_log_count(&sluice, "opened with other startup parameters"), 1);
    postgres_await_backends(sluice.postgres, 1, "true");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(names_differ_on_one_server)
{
    PGconn *connection;
    char *first;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n");
    connection = connect_with("application_name=one");
    first = backend(connection);
    sql_do(connection, "SET application_name = 'changed'");
    PQfinish(connection);
    connection = connect_with("application_name=two");
    ck_assert_str_eq(PQparameterStatus(connection, "application_name"), "two");
    ck_assert_str_eq(backend(connection), first);
    ck_assert_str_eq(sql_value(connection, "SHOW application_name"), "two");
    sql_do(connection, "RESET ALL");
    ck_assert_str_eq(sql_value(connection, "SHOW application_name"), "two");
    PQfinish(connection);
    connection = connect_with("");
    ck_assert_str_eq(PQparameterStatus(connection, "application_name"), "");
    ck_assert_str_eq(backend(connection), first);
    ck_assert_str_eq(sql_value(connection, "SHOW application_name"), "");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_lines_settings_are_for_those_who_ask_for_none)
{
    PGconn *connection;

    sluice_start(&sluice, .databases = "p = {server} datestyle=German timezone=Asia/Tokyo "
                                       "application_name=pool\n");
    connection = connect_with("options='-c datestyle=SQL'");
    ck_assert_str_eq(sql_value(connection, "SHOW DateStyle"), "SQL, MDY");
    ck_assert_str_eq(sql_value(connection, "SHOW TimeZone"), "Asia/Tokyo");
    ck_assert_str_eq(sql_value(connection, "SHOW application_name"), "pool");
    PQfinish(connection);
    connection = connect_with("application_name=own");
    ck_assert_str_eq(sql_value(connection, "SHOW DateStyle"), "German, DMY");
    ck_assert_str_eq(sql_value(connection, "SHOW application_name"), "own");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(what_the_server_refuses_stops_nobody_else)
{
    PGconn *connection;
    char *refusal;

    sluice_start(&sluice, .databases = logins[_i]);
    refusal = sluice_refusal(&sluice, "user=user1 dbname=p options='-c geqo=perhaps'");
    ck_assert_str_eq(refusal, "22023: parameter \"geqo\" requires a Boolean value");
    refusal = sluice_refusal(&sluice, "user=user1 dbname=p options='-c nonsense=1'");
    ck_assert_str_eq(refusal, "42704: unrecognized configuration parameter \"nonsense\"");
    refusal = sluice_refusal(&sluice, "user=user1 dbname=p options='-c fsync=off'");
    ck_assert_str_eq(refusal, "55P02: parameter \"fsync\" cannot be changed now");
    refusal = sluice_refusal(&sluice, "user=user1 dbname=p options='-c a;b=1'");
    ck_assert_str_eq(refusal, "08P01: unsupported startup parameter: a;b");
    for (int i = 0; i < 8; i++) /* so often that a back-off would last seconds by now */
        sluice_refusal(&sluice, "user=user1 dbname=p options='-c fsync=off'");
    connection = connect_with("connect_timeout=2");
    ck_assert_str_eq(sql_value(connection, "SHOW geqo"), "on");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

#define CROWD 24

/* More wishes than servers, all at once, on two workers: each is served by a server of its own
 * kind, and nobody waits for ever. */
START_TEST(a_crowd_of_wishes_shares_few_servers)
{
    PGconn *clients[CROWD];
    unsigned left = CROWD;
    double deadline = deadline_in(50);

    sluice_start(&sluice, .databases = "p = {server} pool_size=3\n", .settings = "workers = 2\n");
    for (int i = 0; i < CROWD; i++)
        clients[i] = connect_with(text("options='-c work_mem=%dkB'", 1000 + i % 6));
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(PQsendQuery(clients[i], "SHOW work_mem"), 1);
    while (left > 0) {
        ck_assert_msg(!deadline_over(deadline), "%u are left", left);
        for (int i = 0; i < CROWD; i++) {
            PGresult *result;

            if (!clients[i] || !PQconsumeInput(clients[i]) || PQisBusy(clients[i]))
                continue;
            result = PQgetResult(clients[i]);
            ck_assert_str_eq(PQresultErrorMessage(result), "");
            ck_assert_str_eq(PQgetvalue(result, 0, 0), text("%dkB", 1000 + i % 6));
            PQclear(result);
            PQfinish(clients[i]);
            clients[i] = NULL;
            left--;
        }
        nap();
    }
    ck_assert_int_le(postgres_backends(sluice.postgres, "true"), 3);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_startup");

    suite_add_loop(suite, SUITE_OURS, 30, reset_gives_back_what_the_client_asked_for, 2);
    suite_add(suite, SUITE_OURS, 30, servers_are_for_clients_that_ask_for_the_same);
    suite_add(suite, SUITE_OURS, 30, names_differ_on_one_server);
    suite_add(suite, SUITE_OURS, 30, the_lines_settings_are_for_those_who_ask_for_none);
    suite_add_loop(suite, SUITE_OURS, 30, what_the_server_refuses_stops_nobody_else, 2);
    suite_add(suite, SUITE_OURS, 60, a_crowd_of_wishes_shares_few_servers);
    return suite_finish(suite);
}
