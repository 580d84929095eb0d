/* The console and the settings while statements of several clients are on one server. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "multiplex_crowd.h"

static PGconn *console_open(void)
{
    return sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
}

/* The server of the pool that runs the statement, if it is the same, as a number. */
static long server_pid(int i)
{
    const char *answer = client_query(&crowd[i], "SELECT pg_backend_pid()");

    ck_assert_ptr_nonnull(strstr(answer, "D("));
    return atol(strstr(answer, "D(") + 2);
}

START_TEST(pause_waits_for_those_on_their_way_and_holds_the_others)
{
    PGconn *console;

    start_unblocked("");
    block(4);
    console = console_open();
    ck_assert_int_eq(PQsendQuery(console, "PAUSE p"), 1);
    sluice_await_log(&sluice, "PAUSE p");
    settle();
    for (int i = 4; i < CROWD; i++)
        ask(i, text("SELECT %d", i));
    settle();
    ck_assert_int_eq(told("in_flight"), 4);
    ck_assert_int_eq(console_sum(&sluice, "SHOW POOLS", "cl_waiting"), CROWD - 4);
    unblock();
    behind_answer();
    ck_assert_int_eq(PQresultStatus(PQgetResult(console)), PGRES_COMMAND_OK);
    ck_assert_ptr_null(PQgetResult(console));
    ck_assert_int_eq(told("sv_shared"), 0);
    sql_do(console, "RESUME p");
    for (int i = 4; i < CROWD; i++)
        answers(i, number(i));
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(kill_ends_those_on_their_way)
{
    PGconn *console;

    start_behind(SQL_LONG);
    console = console_open();
    sql_do(console, "KILL p");
    for (int i = 0; i < CROWD; i++)
        ck_assert_ptr_nonnull(strstr(client_answer(&crowd[i]), "admin forced disconnect"));
    postgres_await_backends(sluice.postgres, 0, RUNS_LONG);
    sql_do(console, "RESUME p");
    for (int i = 0; i < CROWD; i++) {
        client_login(&crowd[i], &sluice, "user1", "p");
        ck_assert_str_eq(client_query(&crowd[i], text("SELECT %d", i)), number(i));
    }
    ck_assert_int_eq(told("in_flight"), 0);
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

static const char *client_port(const struct client *client)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    ck_assert_int_eq(getsockname(client->fd, (struct sockaddr *)&address, &size), 0);
    return text("%u", ntohs(address.sin_port));
}

/* One of the middle: it only reads, and others are behind it. */
START_TEST(kill_client_hits_one)
{
    PGconn *console;
    PGresult *clients;
    const char *id = NULL;

    start_unblocked("");
    block(4);
    console = console_open();
    clients = PQexec(console, "SHOW CLIENTS");
    for (int row = 0; row < PQntuples(clients); row++) {
        if (strcmp(PQgetvalue(clients, row, PQfnumber(clients, "port")), client_port(&crowd[2])) ==
            0)
            id = PQgetvalue(clients, row, PQfnumber(clients, "id"));
    }
    ck_assert_ptr_nonnull(id);
    sql_do(console, text("KILL_CLIENT %s", id));
    PQclear(clients);
    ck_assert_ptr_nonnull(strstr(client_answer(&crowd[2]), "admin forced disconnect"));
    unblock();
    answers(1, number(1));
    answers(3, number(3));
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(reconnect_replaces_the_server_behind_them)
{
    PGconn *console;
    long pid;

    start_unblocked("");
    pid = server_pid(0);
    block(4);
    console = console_open();
    sql_do(console, "RECONNECT p");
    settle();
    ask(4, "SELECT 4"); /* not behind them any more */
    settle();
    ck_assert_int_eq(told("in_flight"), 4);
    unblock();
    behind_answer();
    answers(4, number(4));
    ck_assert_int_ne(server_pid(0), pid);
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

static void reload(const char *setting)
{
    sluice_rewrite(&sluice,
                   .databases = text("p = {server} pool_size=1 user=bench password=bench %s\n"
                                     "q = {server} user=bench password=bench\n",
                                     setting),
                   .settings = "pool_mode = transaction\nadmin_users = user1\nworkers = 1\n"
                               "multiplex_stall = 0\n");
    ck_assert(sluice_reload(&sluice));
    settle();
}

START_TEST(a_reload_turns_it_off_and_on_with_statements_on_their_way)
{
    long shared;

    start_unblocked("");
    block(4);
    shared = told("statements");
    reload("");
    for (int i = 4; i < CROWD; i++)
        ask(i, text("SELECT %d", i));
    settle();
    ck_assert_int_eq(told("in_flight"), 4);
    unblock();
    behind_answer();
    for (int i = 4; i < CROWD; i++)
        answers(i, number(i));
    ck_assert_int_eq(told("statements"), shared);
    ck_assert_int_eq(told("sv_shared"), 0);
    block(0);
    reload("multiplex=8");
    for (int i = 4; i < CROWD; i++)
        ask(i, text("SELECT %d", i));
    unblock();
    behind_answer();
    for (int i = 4; i < CROWD; i++)
        answers(i, number(i));
    ck_assert_int_ge(told("statements"), shared + CROWD - 4);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(fewer_at_once_after_a_reload)
{
    start_unblocked("");
    block(4);
    reload("multiplex=2");
    ask(4, "SELECT 4");
    settle();
    ck_assert_int_eq(told("in_flight"), 4);
    ck_assert_int_eq(console_sum(&sluice, "SHOW POOLS", "cl_waiting"), 1);
    unblock();
    behind_answer();
    answers(4, number(4));
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("multiplex_orders");

    suite_add(suite, SUITE_OURS, 30, pause_waits_for_those_on_their_way_and_holds_the_others);
    suite_add(suite, SUITE_OURS, 30, kill_ends_those_on_their_way);
    suite_add(suite, SUITE_OURS, 30, kill_client_hits_one);
    suite_add(suite, SUITE_OURS, 30, reconnect_replaces_the_server_behind_them);
    suite_add(suite, SUITE_OURS, 30, a_reload_turns_it_off_and_on_with_statements_on_their_way);
    suite_add(suite, SUITE_OURS, 30, fewer_at_once_after_a_reload);
    return suite_finish(suite);
}
