/* What the commands of the SQL console do. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static PGconn *start(void)
{
    return console_start(&sluice, "pool_mode = transaction\n");
}

static void end(PGconn *console)
{
    console_end(console, &sluice);
}

static char *pool_cell(PGconn *console, const char *column)
{
    return console_cell(console, "SHOW POOLS", "p", column);
}

/* As psql -c: what a user without a connection of his own may do. */
static char *refusal_of(PGconn *connection, const char *sql)
{
    char *error = sql_error(connection, sql);

    PQfinish(connection);
    return error;
}

START_TEST(set_changes_a_setting)
{
    PGconn *console = start();

    ck_assert_str_eq(console_cell(console, "SHOW CONFIG", "default_pool_size", "value"), "20");
    sql_do(console, "SET default_pool_size = 7");
    ck_assert_str_eq(console_cell(console, "SHOW CONFIG", "default_pool_size", "value"), "7");
    sql_do(console, "SET server_check_query TO 'select ''one'''");
    ck_assert_str_eq(console_cell(console, "SHOW CONFIG", "server_check_query", "value"),
                     "select 'one'");
    ck_assert_str_eq(sql_error(console, "SET listen_port = 1"), "22023 SET failed");
    sql_do(console, "SET application_name = 'me'");
    end(console);
}
END_TEST

START_TEST(reload_reads_the_file_again)
{
    PGconn *console = start();

    sluice_rewrite(&sluice, .settings = CONSOLE_USERS "default_pool_size = 9\n");
    sql_do(console, "RELOAD");
    ck_assert_str_eq(console_cell(console, "SHOW CONFIG", "default_pool_size", "value"), "9");
    sluice_rewrite(&sluice, .settings = CONSOLE_USERS "default_pool_size = x\n");
    ck_assert_str_eq(sql_error(console, "RELOAD"),
                     "F0000 RELOAD failed, see logs for additional details");
    end(console);
}
END_TEST

/* _i: of all databases, or of one. */
START_TEST(pause_waits_for_transactions_and_resume_goes_on)
{
    PGconn *console = start(), *busy, *later;
    const char *database = _i ? " p" : "";

    busy = sluice_connect(&sluice, "user=user1 dbname=p");
    later = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(busy, "BEGIN");
    ck_assert_int_eq(PQsendQuery(console, text("PAUSE%s", database)), 1);
    sluice_await_log(&sluice, "PAUSE");
    sql_do(busy, "SELECT 1");
    PQconsumeInput(console);
    ck_assert_int_eq(PQisBusy(console), 1);
    sql_do(busy, "COMMIT");
    ck_assert_int_eq(PQresultStatus(PQgetResult(console)), PGRES_COMMAND_OK);
    ck_assert_ptr_null(PQgetResult(console));
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 0);
    ck_assert_int_eq(PQsendQuery(later, "SELECT 1"), 1);
    await(strcmp(pool_cell(console, "cl_waiting"), "1") == 0, 20);
    ck_assert_str_eq(console_cell(console, "SHOW STATE", "paused", "value"), _i ? "no" : "yes");
    ck_assert_str_eq(console_cell(console, "SHOW DATABASES", "p", "paused"), _i ? "1" : "0");
    sql_do(console, text("RESUME%s", database));
    ck_assert_int_eq(PQresultStatus(PQgetResult(later)), PGRES_TUPLES_OK);
    PQfinish(busy);
    PQfinish(later);
    end(console);
}
END_TEST

/* Ctrl-C. */
START_TEST(a_cancel_request_ends_what_waits)
{
    static const char *const commands[] = {"PAUSE", "PAUSE p", "WAIT_CLOSE"};
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        PGcancel *cancel = PQgetCancel(console);
        PGresult *result;
        char error[256];

        sql_do(client, "BEGIN");
        sql_do(client, "SELECT 1");
        if (strcmp(commands[i], "WAIT_CLOSE") == 0)
            sql_do(console, "RECONNECT");
        ck_assert_int_eq(PQsendQuery(console, commands[i]), 1);
        sluice_await_log(&sluice, text("%s command issued", commands[i]));
        ck_assert_msg(PQcancel(cancel, error, sizeof(error)) == 1, "%s", error);
        result = PQgetResult(console);
        ck_assert_str_eq(PQresultErrorMessage(result),
                         "ERROR:  canceling statement due to user request\n");
        PQclear(result);
        while ((result = PQgetResult(console)))
            PQclear(result);
        sql_do(client, "COMMIT");
        sql_do(client, "SELECT 1"); /* nothing is paused */
        PQfreeCancel(cancel);
    }
    PQfinish(client);
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(pause_of_one_database_leaves_the_others)
{
    PGconn *console, *client;

    sluice_start(&sluice, .databases = "p = {server}\nq = {server}\n", .settings = CONSOLE_USERS);
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    sql_do(console, "PAUSE p"); /* before it has a pool */
    client = sluice_connect(&sluice, "user=user1 dbname=q");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    client = sluice_try(&sluice, "user=user1 dbname=p connect_timeout=2");
    ck_assert_int_eq(PQstatus(client), CONNECTION_BAD); /* it waits for a server */
    PQfinish(client);
    sql_do(console, "RESUME p");
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(disable_refuses_new_clients_only)
{
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(console, "DISABLE p");
    sql_do(client, "SELECT 1");
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p"),
                     "55000: database \"p\" is disabled");
    ck_assert_str_eq(console_cell(console, "SHOW DATABASES", "p", "disabled"), "1");
    sql_do(console, "ENABLE p");
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p"));
    PQfinish(client);
    end(console);
}
END_TEST

/* _i: of all databases, or of one. */
START_TEST(kill_drops_clients_and_servers_until_resume)
{
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");
    const char *database = _i ? " p" : "";

    sql_do(client, "BEGIN");
    sql_do(console, text("KILL%s", database));
    ck_assert_ptr_nonnull(strstr(sql_error(client, "SELECT 1"), "admin forced disconnect"));
    PQfinish(client);
    postgres_await_backends(sluice.postgres, 0, "true");
    sql_do(console, text("RESUME%s", database));
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(kill_client_closes_one_client)
{
    PGconn *console = start(), *one = sluice_connect(&sluice, "user=user1 dbname=p"), *other;
    char *id, *looker_error;
    PGresult *clients = PQexec(console, "SHOW CLIENTS");

    id = text("%s", PQgetvalue(clients, 0, PQfnumber(clients, "id")));
    PQclear(clients);
    other = sluice_connect(&sluice, "user=user1 dbname=p");
    looker_error = refusal_of(sluice_connect(&sluice, "user=user2 dbname=pgbouncer"),
                              text("KILL_CLIENT %s", id));
    ck_assert_str_eq(looker_error, "42501 admin access needed");
    sql_do(one, "SELECT 1");
    sql_do(console, text("KILL_CLIENT %s", id));
    ck_assert_ptr_nonnull(strstr(sql_error(one, "SELECT 1"), "admin forced disconnect"));
    sql_do(other, "SELECT 1");
    PQfinish(one);
    PQfinish(other);
    end(console);
}
END_TEST

START_TEST(kill_client_closes_clients_of_the_console_too)
{
    PGconn *console = start(), *looker = sluice_connect(&sluice, "user=user2 dbname=sluice");
    char *theirs = NULL, *own = NULL;
    PGresult *clients = PQexec(console, "SHOW CLIENTS");

    for (int i = 0; i < PQntuples(clients); i++) {
        char *id = text("%s", PQgetvalue(clients, i, PQfnumber(clients, "id")));

        if (strcmp(PQgetvalue(clients, i, 1), "user2") == 0)
            theirs = id;
        else
            own = id;
    }
    PQclear(clients);
    sql_do(console, text("KILL_CLIENT %s", theirs));
    ck_assert_ptr_nonnull(strstr(sql_error(looker, "SHOW VERSION"), "admin forced disconnect"));
    ck_assert_ptr_nonnull(strstr(sql_error(console, text("KILL_CLIENT %s", own)), "that asks"));
    ck_assert_ptr_nonnull(
        strstr(sql_error(console, text("KILL_CLIENT %s", theirs)), "client not found"));
    PQfinish(looker);
    end(console);
}
END_TEST

START_TEST(reconnect_and_wait_close_replace_servers)
{
    PGconn *console = start(), *busy = sluice_connect(&sluice, "user=user1 dbname=p");
    char *before;

    sql_do(busy, "BEGIN");
    before = sql_value(busy, "SELECT pg_backend_pid()");
    sql_do(console, "RECONNECT p");
    ck_assert_int_eq(PQsendQuery(console, "WAIT_CLOSE p"), 1);
    ck_assert_str_eq(sql_value(busy, "SELECT pg_backend_pid()"), before);
    PQconsumeInput(console);
    ck_assert_int_eq(PQisBusy(console), 1);
    sql_do(busy, "COMMIT");
    ck_assert_int_eq(PQresultStatus(PQgetResult(console)), PGRES_COMMAND_OK);
    ck_assert_ptr_null(PQgetResult(console));
    ck_assert_str_ne(sql_value(busy, "SELECT pg_backend_pid()"), before);
    PQfinish(busy);
    end(console);
}
END_TEST

/* _i: by RECONNECT, or by a reload that changes the database's line. */
START_TEST(server_fast_close_ends_sessions_between_transactions)
{
    static const char settings[] = "pool_mode = session\nserver_fast_close = 1\n";
    static const char told[] = "E(57P01 database configuration changed)";
    PGconn *console = console_start(&sluice, settings);
    struct client idle, busy;

    client_login(&idle, &sluice, "user1", "p");
    client_login(&busy, &sluice, "user1", "p");
    client_query(&idle, "SELECT 1");
    client_query(&busy, "BEGIN");
    if (_i) {
        sluice_rewrite(&sluice, .settings = text(CONSOLE_USERS "%s", settings),
                       .databases = "p = {server} timezone=UTC\n");
        sql_do(console, "RELOAD");
    } else {
        sql_do(console, "RECONNECT");
    }
    ck_assert_str_eq(client_message(&idle), told);
    ck_assert_str_eq(client_message(&idle), "EOF");
    ck_assert_str_eq(client_query(&busy, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(T)");
    ck_assert_str_eq(client_query(&busy, "COMMIT"), "C(COMMIT) Z(I)");
    ck_assert_str_eq(client_message(&busy), told);
    postgres_await_backends(sluice.postgres, 0, "true");
    client_close(&idle);
    client_close(&busy);
    end(console);
}
END_TEST

START_TEST(without_server_fast_close_sessions_go_on)
{
    PGconn *console = console_start(&sluice, "pool_mode = session\n");
    PGconn *client = sluice_connect(&sluice, "user=user1 dbname=p");
    char *before = sql_value(client, "SELECT pg_backend_pid()");

    sql_do(console, "RECONNECT");
    ck_assert_str_eq(sql_value(client, "SELECT pg_backend_pid()"), before);
    PQfinish(client);
    end(console);
}
END_TEST

/* The console's keys begin with the number of the last worker that there can be. */
START_TEST(cancel_requests_find_their_way_with_as_many_workers_as_can_be)
{
    PGconn *console = console_start(&sluice, "workers = 64\ndefault_pool_size = 256\n");
    PGconn *clients[128];
    PGcancel *cancel = PQgetCancel(console);
    PGresult *result;
    char error[256];
    size_t found = 0;

    for (size_t i = 0; i < 128; i++)
        clients[i] = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(clients[0], "BEGIN");
    ck_assert_int_eq(PQsendQuery(console, "PAUSE"), 1);
    sluice_await_log(&sluice, "PAUSE command issued");
    ck_assert_msg(PQcancel(cancel, error, sizeof(error)) == 1, "%s", error);
    result = PQgetResult(console);
    ck_assert_str_eq(PQresultErrorMessage(result),
                     "ERROR:  canceling statement due to user request\n");
    PQclear(result);
    PQfreeCancel(cancel);
    sql_do(clients[0], "COMMIT");
    /* One of the last worker's. */
    for (size_t i = 0; i < 128; i++) {
        if ((PQbackendPID(clients[i]) & 63) != 63 || found++ > 0)
            continue;
        ck_assert_int_eq(PQsendQuery(clients[i], SQL_SLEEP), 1);
        await(postgres_backends(sluice.postgres, "query LIKE '%pg_sleep%'") == 1, 20);
        cancel = PQgetCancel(clients[i]);
        ck_assert_msg(PQcancel(cancel, error, sizeof(error)) == 1, "%s", error);
        result = PQgetResult(clients[i]);
        ck_assert_ptr_nonnull(strstr(PQresultErrorMessage(result), "canceling statement"));
        PQclear(result);
        PQfreeCancel(cancel);
    }
    ck_assert_uint_gt(found, 0);
    for (size_t i = 0; i < 128; i++)
        PQfinish(clients[i]);
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(suspend_ends_with_its_console)
{
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(client, "SELECT 1");
    sql_do(console, "SUSPEND");
    ck_assert_str_eq(console_cell(console, "SHOW STATE", "suspended", "value"), "yes");
    ck_assert_int_eq(PQsendQuery(client, "SELECT 1"), 1);
    await(strcmp(pool_cell(console, "cl_waiting"), "1") == 0, 20);
    PQfinish(console);
    ck_assert_int_eq(PQresultStatus(PQgetResult(client)), PGRES_TUPLES_OK);
    PQfinish(client);
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(suspend_gives_up_after_its_timeout)
{
    PGconn *console = console_start(&sluice, "suspend_timeout = 0.2\npool_mode = transaction\n");
    PGconn *client = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(client, "BEGIN");
    ck_assert_ptr_nonnull(strstr(sql_error(console, "SUSPEND"), "suspend_timeout"));
    sql_do(client, "COMMIT");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    end(console);
}
END_TEST

/* The request comes on a connection that was accepted before. */
START_TEST(a_cancelled_suspend_is_undone)
{
    PGconn *console = console_start(
        &sluice, "suspend_timeout = 0\ntcp_defer_accept = 0\npool_mode = transaction\n");
    PGconn *client = sluice_connect(&sluice, "user=user1 dbname=p");
    struct client suspender, canceller;

    sql_do(client, "BEGIN");
    client_login(&suspender, &sluice, "user1", "pgbouncer");
    client_open(&canceller, &sluice);
    await(strcmp(console_cell(console, "SHOW LISTS", "login_clients", "items"), "1") == 0, 20);
    client_send(&suspender, put_query(put_new(), "SUSPEND"));
    await(strcmp(console_cell(console, "SHOW STATE", "suspended", "value"), "yes") == 0, 20);
    client_send(&canceller, put_cancel(put_new(), &suspender));
    ck_assert_str_eq(client_answer(&suspender),
                     "E(57014 canceling statement due to user request) Z(I)");
    ck_assert_str_eq(console_cell(console, "SHOW STATE", "suspended", "value"), "no");
    sql_do(client, "COMMIT");
    client_close(&canceller);
    client_close(&suspender);
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(shutdown_ends_it_at_once)
{
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(client, "BEGIN");
    PQclear(PQexec(console, "SHUTDOWN"));
    ck_assert_int_eq(PQstatus(console), CONNECTION_BAD);
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0);
    PQfinish(client);
    PQfinish(console);
}
END_TEST

/* _i: for clients, or for servers only. */
START_TEST(shutdown_waits)
{
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(client, "BEGIN");
    sql_do(console, _i ? "SHUTDOWN WAIT_FOR_SERVERS" : "SHUTDOWN WAIT_FOR_CLIENTS");
    sql_do(client, "SELECT 1");
    sql_do(client, "COMMIT");
    if (!_i) {
        sql_do(client, "SELECT 1");
        PQfinish(client);
    }
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0);
    if (_i)
        PQfinish(client);
    PQfinish(console);
}
END_TEST

START_TEST(a_console_may_leave_while_it_waits)
{
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(client, "BEGIN");
    ck_assert_int_eq(PQsendQuery(console, "PAUSE"), 1);
    sluice_await_log(&sluice, "PAUSE");
    PQfinish(console);
    sql_do(client, "COMMIT");
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    ck_assert_str_eq(console_cell(console, "SHOW STATE", "paused", "value"), "yes");
    sql_do(console, "RESUME");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    end(console);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console_commands");

    suite_add(suite, SUITE_OURS, 20, set_changes_a_setting);
    suite_add(suite, SUITE_OURS, 20, reload_reads_the_file_again);
    suite_add_loop(suite, SUITE_OURS, 20, pause_waits_for_transactions_and_resume_goes_on, 2);
    suite_add(suite, SUITE_OURS, 30, a_cancel_request_ends_what_waits);
    suite_add(suite, SUITE_OURS, 20, pause_of_one_database_leaves_the_others);
    suite_add(suite, SUITE_OURS, 20, disable_refuses_new_clients_only);
    suite_add_loop(suite, SUITE_OURS, 20, kill_drops_clients_and_servers_until_resume, 2);
    suite_add(suite, SUITE_OURS, 20, kill_client_closes_one_client);
    suite_add(suite, SUITE_OURS, 20, kill_client_closes_clients_of_the_console_too);
    suite_add(suite, SUITE_OURS, 20, a_cancelled_suspend_is_undone);
    suite_add(suite, SUITE_OURS, 20, reconnect_and_wait_close_replace_servers);
    suite_add_loop(suite, SUITE_OURS, 20, server_fast_close_ends_sessions_between_transactions, 2);
    suite_add(suite, SUITE_OURS, 20, without_server_fast_close_sessions_go_on);
    suite_add(suite, SUITE_OURS, 60, cancel_requests_find_their_way_with_as_many_workers_as_can_be);
    suite_add(suite, SUITE_OURS, 20, suspend_ends_with_its_console);
    suite_add(suite, SUITE_OURS, 20, suspend_gives_up_after_its_timeout);
    suite_add(suite, SUITE_OURS, 20, shutdown_ends_it_at_once);
    suite_add_loop(suite, SUITE_OURS, 20, shutdown_waits, 2);
    suite_add(suite, SUITE_OURS, 20, a_console_may_leave_while_it_waits);
    return suite_finish(suite);
}
