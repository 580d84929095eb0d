/* How long a client keeps its server, and what a server goes through between two clients. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static char *backend_pid(PGconn *connection)
{
    return sql_value(connection, "SELECT pg_backend_pid()");
}

static PGconn *connect_user1(void)
{
    return sluice_connect(&sluice, "user=user1 dbname=p");
}

/* Ends the connection and waits until the pooler knows. */
static void leave(PGconn *connection)
{
    size_t before = sluice_log_count(&sluice, "closing because: client");

    PQfinish(connection);
    await(sluice_log_count(&sluice, "closing because: client") > before, 20);
}

START_TEST(session_mode_keeps_the_server_until_the_client_leaves)
{
    PGconn *one, *two;
    char *pid;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n");
    one = connect_user1();
    two = connect_user1();
    pid = backend_pid(one);
    sql_do(one, "CREATE TEMP TABLE mine (a int)");
    ck_assert_int_eq(PQsendQuery(two, "SELECT pg_backend_pid()"), 1);
    for (int i = 0; i < 20; i++) {
        ck_assert_str_eq(backend_pid(one), pid);
        sql_do(one, "SELECT * FROM mine");
    }
    ck_assert_int_eq(PQconsumeInput(two), 1);
    ck_assert_int_eq(PQisBusy(two), 1);
    PQfinish(one);
    ck_assert_str_eq(PQgetvalue(PQgetResult(two), 0, 0), pid);
    PQfinish(two);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_reset_query_cleans_a_session_for_the_next_client)
{
    PGconn *connection;
    char *pid;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n");
    connection = connect_user1();
    pid = backend_pid(connection);
    sql_do(connection, "SET work_mem = '77MB'");
    sql_do(connection, "CREATE TEMP TABLE mine (a int)");
    PQfinish(connection);
    connection = connect_user1();
    ck_assert_str_eq(backend_pid(connection), pid);
    ck_assert_str_eq(sql_value(connection, "SHOW work_mem"), "4MB");
    ck_assert_str_eq(sql_error(connection, "SELECT * FROM mine"),
                     "42P01 relation \"mine\" does not exist");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(another_reset_query_cleans_only_what_it_says)
{
    PGconn *connection;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "server_reset_query = DISCARD TEMP\n");
    connection = connect_user1();
    sql_do(connection, "SET work_mem = '77MB'");
    sql_do(connection, "CREATE TEMP TABLE mine (a int)");
    PQfinish(connection);
    connection = connect_user1();
    ck_assert_str_eq(sql_value(connection, "SHOW work_mem"), "77MB");
    ck_assert_str_eq(sql_error(connection, "SELECT * FROM mine"),
                     "42P01 relation \"mine\" does not exist");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

/* A reset query that fails must not hand the server on. */
START_TEST(a_reset_query_that_fails_ends_the_server)
{
    PGconn *connection;
    char *pid;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "server_reset_query = SELECT 1/0\n");
    connection = connect_user1();
    pid = backend_pid(connection);
    PQfinish(connection);
    connection = connect_user1();
    ck_assert_str_ne(backend_pid(connection), pid);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(transaction_mode_shares_one_server_between_transactions)
{
    PGconn *one, *two;
    char *pid;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\n");
    one = connect_user1();
    two = connect_user1();
    pid = backend_pid(one);
    ck_assert_str_eq(backend_pid(two), pid);
    sql_do(one, "BEGIN");
    ck_assert_int_eq(PQsendQuery(two, "SELECT pg_backend_pid()"), 1);
    for (int i = 0; i < 20; i++)
        ck_assert_str_eq(backend_pid(one), pid);
    ck_assert_int_eq(PQconsumeInput(two), 1);
    ck_assert_int_eq(PQisBusy(two), 1);
    sql_do(one, "COMMIT");
    ck_assert_str_eq(PQgetvalue(PQgetResult(two), 0, 0), pid);
    PQfinish(one);
    PQfinish(two);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(reset_query_always_cleans_after_each_transaction)
{
    PGconn *one, *two;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\nserver_reset_query_always = 1\n");
    one = connect_user1();
    two = connect_user1();
    sql_do(one, "BEGIN; CREATE TEMP TABLE mine (a int) ON COMMIT PRESERVE ROWS; COMMIT");
    ck_assert_str_eq(sql_value(two, "SELECT to_regclass('pg_temp.mine') IS NULL"), "t");
    PQfinish(one);
    PQfinish(two);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(statement_mode_refuses_transaction_blocks)
{
    struct client client;
    char *answer;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = statement\n");
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    answer = client_query(&client, "BEGIN");
    ck_assert_msg(strstr(answer, "transaction blocks not allowed in statement pooling mode"), "%s",
                  answer);
    client_close(&client);
    postgres_await_backends(sluice.postgres, 0, "state LIKE 'idle in transaction%'");
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_database_and_a_user_may_have_a_mode_of_their_own)
{
    PGconn *session, *transaction, *user;

    sluice_start(&sluice,
                 .databases = "p = {server} pool_size=1\n"
                              "t = {server} pool_size=1 pool_mode=transaction\n",
                 .users = "user3 = pool_mode=transaction\n", .settings = "pool_mode = session\n");
    session = connect_user1();
    sql_do(session, "SELECT 1");
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 1);
    transaction = sluice_connect(&sluice, "user=user1 dbname=t");
    sql_do(transaction, "SELECT 1");
    sql_do(sluice_connect(&sluice, "user=user1 dbname=t"), "SELECT 1");
    user = sluice_connect(&sluice, "user=user3 dbname=p");
    sql_do(user, "SELECT 1");
    sql_do(sluice_connect(&sluice, "user=user3 dbname=p"), "SELECT 1");
    PQfinish(session);
    PQfinish(transaction);
    PQfinish(user);
    sluice_stop(&sluice);
}
END_TEST

static long sequence_value(const char *name)
{
    return postgres_number(sluice.postgres,
                           "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM %s", name);
}

static void sequence_create(const char *name)
{
    postgres_value(postgres_shared(), "CREATE SEQUENCE %s; GRANT ALL ON %s TO PUBLIC", name, name);
}

START_TEST(the_check_query_runs_before_a_lease_when_the_delay_is_over)
{
    PGconn *connection;

    sequence_create("checks");
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\nserver_check_delay = 0\n"
                             "server_check_query = SELECT nextval('checks')\n");
    connection = connect_user1();
    for (int i = 0; i < 5; i++)
        sql_do(connection, "SELECT 1");
    ck_assert_int_ge(sequence_value("checks"), 4);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_check_query_does_not_run_within_the_delay)
{
    PGconn *connection;

    sequence_create("checks");
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\nserver_check_delay = 600\n"
                             "server_check_query = SELECT nextval('checks')\n");
    connection = connect_user1();
    for (int i = 0; i < 5; i++)
        sql_do(connection, "SELECT 1");
    ck_assert_int_le(sequence_value("checks"), 1);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_server_that_fails_its_check_is_replaced_unseen)
{
    PGconn *connection;
    char *pid;

    sequence_create("checks");
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\nserver_check_delay = 0\n"
                             "server_check_query = SELECT 1 / (2 - nextval('checks'))\n");
    connection = connect_user1();
    pid = backend_pid(connection);
    for (int i = 0; i < 4; i++) /* the second check divides by zero */
        sql_do(connection, "SELECT 1");
    ck_assert_str_ne(backend_pid(connection), pid);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_connect_query_runs_once_for_each_new_server)
{
    PGconn *one, *two;

    sequence_create("connects");
    sluice_start(&sluice,
                 .databases = "p = {server} connect_query='SELECT nextval(''connects'')'\n",
                 .settings = "pool_mode = transaction\n");
    one = connect_user1();
    for (int i = 0; i < 5; i++)
        sql_do(one, "SELECT 1");
    ck_assert_int_eq(sequence_value("connects"), 1);
    sql_do(one, "BEGIN");
    two = connect_user1();
    sql_do(two, "SELECT 1");
    ck_assert_int_eq(sequence_value("connects"), 2);
    PQfinish(one);
    PQfinish(two);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(what_the_connect_query_set_is_there_for_the_first_session)
{
    PGconn *connection;

    sluice_start(&sluice, .databases = "p = {server} connect_query='SET work_mem = 99000'\n");
    connection = connect_user1();
    ck_assert_str_eq(sql_value(connection, "SHOW work_mem"), "99000kB");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(settings_of_the_databases_line_are_in_force_on_its_servers)
{
    PGconn *connection;

    sluice_start(&sluice, .databases = "p = {server} timezone=Asia/Tokyo datestyle=German\n");
    connection = connect_user1();
    ck_assert_str_eq(sql_value(connection, "SHOW TimeZone"), "Asia/Tokyo");
    ck_assert_str_eq(sql_value(connection, "SHOW DateStyle"), "German, DMY");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_application_name_may_carry_the_clients_address)
{
    PGconn *connection;
    char *name;

    sluice_start(&sluice, .settings = "application_name_add_host = 1\n");
    connection = sluice_connect(&sluice, "user=user1 dbname=p application_name=billing");
    name = sql_value(connection, "SHOW application_name");
    ck_assert_msg(strncmp(name, "billing - 127.0.0.1:", 20) == 0, "%s", name);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(simple_queries_can_be_refused)
{
    PGconn *connection;
    PGresult *result;
    char *error;

    sluice_start(&sluice, .settings = "pool_mode = transaction\ndisable_pqexec = 1\n");
    connection = connect_user1();
    result = PQexecParams(connection, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0);
    ck_assert_int_eq(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    error = sql_error(connection, "SELECT 1");
    ck_assert_msg(strstr(error, "PQexec disabled"), "%s", error);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_session_that_ends_within_a_transaction_does_not_keep_its_locks)
{
    PGconn *connection;

    postgres_value(postgres_shared(), "CREATE TABLE t (a int); GRANT ALL ON t TO PUBLIC");
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n");
    connection = connect_user1();
    sql_do(connection, "BEGIN");
    sql_do(connection, "LOCK TABLE t IN EXCLUSIVE MODE");
    leave(connection);
    await(postgres_number(sluice.postgres,
                          "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass") == 0,
          20);
    sluice_stop(&sluice);
}
END_TEST

/* A parameter of track_extra_parameters that servers do not report (before PostgreSQL 18). */
START_TEST(a_parameter_that_is_not_reported_follows_its_client)
{
    struct client blocker, client;
    static const char *const shown = "SELECT current_setting('work_mem'), current_setting("
                                     "'search_path'), current_setting('TimeZone')";

    sluice_start(&sluice, .databases = "two = {server} pool_size=2\n",
                 .settings = "pool_mode = transaction\nworkers = 1\n"
                             "track_extra_parameters = search_path, work_mem\n");
    client_login(&blocker, &sluice, "user1", "two");
    for (int i = 0; i < 2; i++) {
        client_open(&client, &sluice);
        client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database",
                                         "two", "work_mem", "7MB", "search_path", "a, \"B\"",
                                         "TimeZone", "Asia/Tokyo", NULL));
        client_drain(&client);
        for (int j = 0; j < 4; j++) {
            if (j % 2)
                ck_assert_str_eq(client_query(&blocker, "BEGIN"), "C(BEGIN) Z(T)");
            ck_assert_ptr_nonnull(
                strstr(client_query(&client, shown), "D(7MB,a, \"B\",Asia/Tokyo)"));
            if (j % 2)
                ck_assert_str_eq(client_query(&blocker, "COMMIT"), "C(COMMIT) Z(I)");
            ck_assert_ptr_nonnull(
                strstr(client_query(&blocker, shown), "D(4MB,\"$user\", public,"));
        }
        client_close(&client);
    }
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "two",
                                     "enable_seqscan", "off", NULL));
    ck_assert_ptr_nonnull(strstr(client_answer(&client), "E(08P01 unsupported startup parameter"));
    client_close(&client);
    client_close(&blocker);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("modes");

    suite_add(suite, SUITE_SAME, 20, session_mode_keeps_the_server_until_the_client_leaves);
    suite_add(suite, SUITE_SAME, 20, the_reset_query_cleans_a_session_for_the_next_client);
    suite_add(suite, SUITE_SAME, 20, another_reset_query_cleans_only_what_it_says);
    suite_add(suite, SUITE_OURS, 20, a_reset_query_that_fails_ends_the_server);
    suite_add(suite, SUITE_SAME, 20, transaction_mode_shares_one_server_between_transactions);
    suite_add(suite, SUITE_SAME, 20, reset_query_always_cleans_after_each_transaction);
    suite_add(suite, SUITE_SAME, 20, statement_mode_refuses_transaction_blocks);
    suite_add(suite, SUITE_SAME, 20, a_database_and_a_user_may_have_a_mode_of_their_own);
    suite_add(suite, SUITE_SAME, 20, the_check_query_runs_before_a_lease_when_the_delay_is_over);
    suite_add(suite, SUITE_SAME, 20, the_check_query_does_not_run_within_the_delay);
    suite_add(suite, SUITE_OURS, 20, a_server_that_fails_its_check_is_replaced_unseen);
    suite_add(suite, SUITE_SAME, 20, the_connect_query_runs_once_for_each_new_server);
    suite_add(suite, SUITE_SAME, 20, what_the_connect_query_set_is_there_for_the_first_session);
    suite_add(suite, SUITE_SAME, 20, settings_of_the_databases_line_are_in_force_on_its_servers);
    suite_add(suite, SUITE_SAME, 20, the_application_name_may_carry_the_clients_address);
    suite_add(suite, SUITE_OURS, 20, simple_queries_can_be_refused);
    suite_add(suite, SUITE_SAME, 20,
              a_session_that_ends_within_a_transaction_does_not_keep_its_locks);
    suite_add(suite, SUITE_OURS, 20, a_parameter_that_is_not_reported_follows_its_client);
    return suite_finish(suite);
}
