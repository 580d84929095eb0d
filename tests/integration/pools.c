/* Every limit on servers and clients, counted by PostgreSQL itself, over all workers together. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/load.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static long most; /* backends seen at once */

static char *settings(int workers, const char *others)
{
    return text("pool_mode = transaction\n%s%s",
                suite_reference() ? "" : text("workers = %d\n", workers), others);
}

static void look(struct load *load)
{
    long now = postgres_backends(sluice.postgres, "true");

    most = now > most ? now : most;
}

START_TEST(pool_size_holds_over_more_workers_than_servers)
{
    struct load load = {.sluice = &sluice,
                        .options = "user=user1 dbname=p",
                        .clients = 300,
                        .transactions = 20000,
                        .disturb = look,
                        .disturb_every = 100};

    sluice_start(&sluice, .databases = "p = {server} pool_size=2\n", .settings = settings(4, ""));
    load_run(&load);
    ck_assert_uint_eq(load.done, 20000);
    ck_assert_int_eq(most, 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_single_server_serves_the_clients_of_every_worker)
{
    struct load load = {.sluice = &sluice,
                        .options = "user=user1 dbname=p",
                        .clients = 40,
                        .transactions = 4000,
                        .disturb = look,
                        .disturb_every = 100};

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n", .settings = settings(8, ""));
    load_run(&load);
    ck_assert_uint_eq(load.done, 4000);
    ck_assert_int_eq(most, 1);
    sluice_stop(&sluice);
}
END_TEST

/* Opens connections that each hold a server by a transaction. */
static PGconn **hold(const char *options, int count)
{
    PGconn **connections = calloc((size_t)count, sizeof(PGconn *));

    for (int i = 0; i < count; i++) {
        connections[i] = sluice_connect(&sluice, options);
        sql_do(connections[i], "BEGIN");
    }
    return connections;
}

static void release(PGconn **connections, int count)
{
    for (int i = 0; i < count; i++) {
        sql_do(connections[i], "COMMIT");
        PQfinish(connections[i]);
    }
    free(connections);
}

/* Sends a query that has to wait; true if it still does after a while that is ample for an answer.
 */
static bool waits(PGconn *connection)
{
    double until = seconds_now() + 0.3;

    ck_assert_int_eq(PQsendQuery(connection, "SELECT 'served'"), 1);
    while (seconds_now() < until) {
        ck_assert_int_eq(PQconsumeInput(connection), 1);
        if (!PQisBusy(connection))
            return false;
        nap();
    }
    return true;
}

static void check_served(PGconn *connection)
{
    PGresult *result = PQgetResult(connection);

    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(connection));
    ck_assert_str_eq(PQgetvalue(result, 0, 0), "served");
    PQclear(result);
    ck_assert_ptr_null(PQgetResult(connection));
}

START_TEST(each_user_of_a_database_has_a_pool_of_default_size)
{
    PGconn **one, **two, *third;

    sluice_start(&sluice, .settings = settings(2, "default_pool_size = 3\n"));
    one = hold("user=user1 dbname=p", 3);
    two = hold("user=user2 dbname=p", 3);
    third = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert(waits(third));
    ck_assert_int_eq(postgres_backends(sluice.postgres, "usename = 'user1'"), 3);
    ck_assert_int_eq(postgres_backends(sluice.postgres, "usename = 'user2'"), 3);
    release(one, 3);
    check_served(third);
    release(two, 3);
    PQfinish(third);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(clients_of_a_forced_user_share_one_pool)
{
    PGconn **one, *other;

    sluice_start(&sluice, .databases = "p = {server} pool_size=2 user=bench password=bench\n",
                 .settings = settings(2, ""));
    one = hold("user=user1 dbname=p", 2);
    other = sluice_connect(&sluice, "user=user2 dbname=p");
    ck_assert(waits(other));
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 2);
    release(one, 2);
    check_served(other);
    PQfinish(other);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_users_own_pool_size_wins)
{
    PGconn **one, *other;

    sluice_start(&sluice, .users = "user1 = pool_size=1\n", .settings = settings(2, ""));
    one = hold("user=user1 dbname=p", 1);
    other = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert(waits(other));
    release(one, 1);
    check_served(other);
    PQfinish(other);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(min_pool_size_is_opened_and_outlives_the_idle_timeout)
{
    PGconn **many;
    double until;

    sluice_start(&sluice, .databases = "p = {server} pool_size=5 min_pool_size=2\n",
                 .settings = settings(2, "server_idle_timeout = 1\n"));
    sql_do(sluice_connect(&sluice, "user=user1 dbname=p"), "SELECT 1");
    postgres_await_backends(sluice.postgres, 2, "true");
    many = hold("user=user1 dbname=p", 5);
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 5);
    release(many, 5);
    postgres_await_backends(sluice.postgres, 2, "true");
    for (until = seconds_now() + 2; seconds_now() < until; nap())
        ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(min_pool_size_of_a_forced_user_needs_no_client)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=5 min_pool_size=3 user=user1\n",
                 .settings = settings(2, ""));
    postgres_await_backends(sluice.postgres, 3, "usename = 'user1'");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_reserve_opens_for_those_who_waited_long_enough)
{
    PGconn **one, *second, *third;
    double began;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1 reserve_pool=1\n",
                 .settings = settings(2, "reserve_pool_timeout = 1\n"));
    one = hold("user=user1 dbname=p", 1);
    second = sluice_connect(&sluice, "user=user1 dbname=p");
    began = seconds_now();
    sql_do(second, "BEGIN");
    ck_assert_double_ge(seconds_now() - began, 0.6);
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 2);
    third = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert(waits(third));
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 2);
    release(one, 1);
    check_served(third);
    PQfinish(second);
    PQfinish(third);
    sluice_stop(&sluice);
}
END_TEST

/* user1's idle servers make room for user2, and back. A backend that was told to end may be seen
 * for a moment longer. */
static void take_turns(const char *first, const char *second, long limit)
{
    for (int round = 0; round < 3; round++) {
        release(hold(first, (int)limit), (int)limit);
        postgres_await_backends(sluice.postgres, limit, "true");
        release(hold(second, (int)limit), (int)limit);
        postgres_await_backends(sluice.postgres, limit, "true");
    }
}

START_TEST(at_max_db_connections_an_idle_server_of_another_user_makes_room)
{
    PGconn **one, *other;

    sluice_start(&sluice, .databases = "p = {server} pool_size=2 max_db_connections=2\n",
                 .settings = settings(2, ""));
    take_turns("user=user1 dbname=p", "user=user2 dbname=p", 2);
    one = hold("user=user1 dbname=p", 2);
    other = sluice_connect(&sluice, "user=user2 dbname=p");
    ck_assert(waits(other));
    postgres_await_backends(sluice.postgres, 2, "true");
    release(one, 2);
    check_served(other);
    PQfinish(other);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(at_max_user_connections_an_idle_server_of_another_database_makes_room)
{
    PGconn **one, *other;

    sluice_start(&sluice, .databases = "p = {server}\nq = {server}\n",
                 .users = "user1 = max_user_connections=2\n", .settings = settings(2, ""));
    take_turns("user=user1 dbname=p", "user=user1 dbname=q", 2);
    one = hold("user=user1 dbname=p", 2);
    other = sluice_connect(&sluice, "user=user1 dbname=q");
    ck_assert(waits(other));
    postgres_await_backends(sluice.postgres, 2, "true");
    release(one, 2);
    check_served(other);
    PQfinish(other);
    sluice_stop(&sluice);
}
END_TEST

/* Which limit on clients, and how the one too many is refused. */
static const struct client_limit {
    const char *databases, *users, *settings, *refusal;
} client_limits[] = {
    {"p = {server}\n", "", "max_client_conn = 4\n",
     "53300: no more connections allowed (max_client_conn)"},
    {"p = {server} max_db_client_connections=4\n", "", "",
     "53300: no more connections allowed (max_db_client_connections)"},
    {"p = {server}\n", "", "max_db_client_connections = 4\n",
     "53300: no more connections allowed (max_db_client_connections)"},
    {"p = {server}\n", "user1 = max_user_client_connections=4\n", "",
     "53300: no more connections allowed (max_user_client_connections)"},
    {"p = {server}\n", "", "max_user_client_connections = 4\n",
     "53300: no more connections allowed (max_user_client_connections)"},
};

START_TEST(one_client_too_many_is_refused_and_each_departure_makes_room)
{
    const struct client_limit *limit = &client_limits[_i];
    PGconn *clients[4];

    sluice_start(&sluice, .databases = limit->databases, .users = limit->users,
                 .settings = settings(2, limit->settings));
    for (int i = 0; i < 4; i++)
        clients[i] = sluice_connect(&sluice, "user=user1 dbname=p");
    for (int round = 0; round < 3; round++) {
        if (suite_reference())
            ck_assert_ptr_nonnull(
                strstr(sluice_refusal(&sluice, "user=user1 dbname=p"), limit->refusal + 7));
        else
            ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p"), limit->refusal);
        PQfinish(clients[round]);
        await(PQstatus(clients[round] = sluice_try(&sluice, "user=user1 dbname=p")) ==
                  CONNECTION_OK,
              20);
    }
    sql_do(clients[3], "SELECT 1");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(idle_servers_close_after_server_idle_timeout)
{
    PGconn *connection;

    sluice_start(&sluice, .settings = settings(2, "server_idle_timeout = 1\n"));
    release(hold("user=user1 dbname=p", 3), 3);
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    postgres_await_backends(sluice.postgres, 0, "true");
    sql_do(connection, "SELECT 1"); /* the client never notices */
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(servers_are_replaced_after_their_lifetime_but_never_while_in_use)
{
    PGconn *connection;
    char *pid;
    double until;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = settings(1, "server_lifetime = 1\n"));
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(connection, "BEGIN");
    pid = sql_value(connection, "SELECT pg_backend_pid()");
    for (until = seconds_now() + 2; seconds_now() < until; nap())
        ck_assert_str_eq(sql_value(connection, "SELECT pg_backend_pid()"), pid);
    sql_do(connection, "COMMIT");
    await(strcmp(sql_value(connection, "SELECT pg_backend_pid()"), pid) != 0, 20);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

/* How many different servers serve twelve statements, one after the other, of three idle ones. */
static int servers_used(void)
{
    PGconn *connection = sluice_connect(&sluice, "user=user1 dbname=p");
    char *seen = text(" ");
    int count = 0;

    release(hold("user=user1 dbname=p", 3), 3);
    for (int i = 0; i < 12; i++) {
        char *pid = text(" %s ", sql_value(connection, "SELECT pg_backend_pid()"));

        if (!strstr(seen, pid)) {
            seen = text("%s%s", seen, pid);
            count++;
        }
    }
    PQfinish(connection);
    return count;
}

START_TEST(the_last_used_server_is_used_again)
{
    sluice_start(&sluice, .settings = settings(1, "server_round_robin = 0\n"));
    ck_assert_int_eq(servers_used(), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(round_robin_uses_every_server_in_turn)
{
    sluice_start(&sluice, .settings = settings(1, "server_round_robin = 1\n"));
    ck_assert_int_eq(servers_used(), 3);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pools");

    suite_add(suite, SUITE_SAME, 60, pool_size_holds_over_more_workers_than_servers);
    suite_add(suite, SUITE_SAME, 60, a_single_server_serves_the_clients_of_every_worker);
    suite_add(suite, SUITE_SAME, 20, each_user_of_a_database_has_a_pool_of_default_size);
    suite_add(suite, SUITE_SAME, 20, clients_of_a_forced_user_share_one_pool);
    suite_add(suite, SUITE_OURS, 20, a_users_own_pool_size_wins);
    suite_add(suite, SUITE_OURS, 30, min_pool_size_is_opened_and_outlives_the_idle_timeout);
    suite_add(suite, SUITE_OURS, 20, min_pool_size_of_a_forced_user_needs_no_client);
    suite_add(suite, SUITE_SAME, 20, the_reserve_opens_for_those_who_waited_long_enough);
    suite_add(suite, SUITE_OURS, 20,
              at_max_db_connections_an_idle_server_of_another_user_makes_room);
    suite_add(suite, SUITE_OURS, 20,
              at_max_user_connections_an_idle_server_of_another_database_makes_room);
    suite_add_loop(suite, SUITE_SAME, 20,
                   one_client_too_many_is_refused_and_each_departure_makes_room,
                   suite_reference() ? 1 : sizeof(client_limits) / sizeof(client_limits[0]));
    suite_add(suite, SUITE_SAME, 20, idle_servers_close_after_server_idle_timeout);
    suite_add(suite, SUITE_SAME, 30,
              servers_are_replaced_after_their_lifetime_but_never_while_in_use);
    suite_add(suite, SUITE_SAME, 20, the_last_used_server_is_used_again);
    suite_add(suite, SUITE_SAME, 20, round_robin_uses_every_server_in_turn);
    return suite_finish(suite);
}
