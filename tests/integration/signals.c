/* What each signal does, and what systemd is told. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static const char one[] = "T(?column?) D(1) C(SELECT 1) Z(I)";

static void start(void)
{
    sluice_start(&sluice, .settings = "pool_mode = transaction\n");
}

START_TEST(hup_takes_up_a_new_database)
{
    PGconn *before, *connection;

    start();
    before = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(before, "BEGIN");
    sluice_rewrite(&sluice, .databases = "p = {server}\nq = {server}\n",
                   .settings = "pool_mode = transaction\nquery_wait_timeout = 7\n");
    ck_assert(sluice_reload(&sluice));
    await(PQstatus(connection = sluice_try(&sluice, "user=user1 dbname=q")) == CONNECTION_OK, 20);
    sql_do(connection, "SELECT 1");
    sql_do(before, "COMMIT"); /* the old connection never noticed */
    PQfinish(before);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(hup_takes_up_a_new_password)
{
    PGconn *connection;

    sluice_start(&sluice, .databases = "p = {server} user=user2 password=user2\n",
                 .settings = "auth_type = md5\n", .userlist = "\"user1\" \"old\"\n");
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p password=old"));
    sluice_rewrite(&sluice, .databases = "p = {server} user=user2 password=user2\n",
                   .settings = "auth_type = md5\n", .userlist = "\"user1\" \"newer\"\n");
    ck_assert(sluice_reload(&sluice));
    await(PQstatus(connection = sluice_try(&sluice, "user=user1 dbname=p password=newer")) ==
              CONNECTION_OK,
          20);
    PQfinish(connection);
    connection = sluice_try(&sluice, "user=user1 dbname=p password=old");
    ck_assert_int_eq(PQstatus(connection), CONNECTION_BAD);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(hup_changes_the_size_of_a_pool_in_use)
{
    PGconn *first, *second;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\n");
    first = sluice_connect(&sluice, "user=user1 dbname=p");
    second = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(first, "BEGIN");
    ck_assert_int_eq(PQsendQuery(second, "SELECT 1"), 1);
    sluice_rewrite(&sluice, .databases = "p = {server} pool_size=2\n",
                   .settings = "pool_mode = transaction\n");
    ck_assert(sluice_reload(&sluice));
    ck_assert_int_eq(PQresultStatus(PQgetResult(second)),
                     PGRES_TUPLES_OK); /* who waited is served */
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 2);
    sql_do(first, "COMMIT");
    PQfinish(first);
    PQfinish(second);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(hup_with_mistakes_keeps_the_running_settings)
{
    PGconn *connection;
    char *line;

    start();
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    sluice_rewrite(&sluice, .databases = "elsewhere = {server}\n",
                   .settings = "pool_mode = nonsense\n");
    ck_assert(!sluice_reload(&sluice));
    line = text("%s:", sluice.ini);
    sluice_await_log(&sluice, line); /* the file and the line number */
    sluice_await_log(&sluice, "nonsense");
    sql_do(connection, "SELECT 1");
    PQfinish(connection);
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(connection, "SELECT 1");
    PQfinish(connection);
    connection = sluice_try(&sluice, "user=user1 dbname=elsewhere");
    ck_assert_int_eq(PQstatus(connection), CONNECTION_BAD);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(usr1_pauses_and_usr2_resumes)
{
    struct client client;

    start();
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    sluice_signal(&sluice, SIGUSR1);
    sluice_await_log(&sluice, "USR1");
    /* What has begun goes on to its end. */
    ck_assert_str_eq(client_query(&client, "COMMIT"), "C(COMMIT) Z(I)");
    client_send(&client, put_query(put_new(), "SELECT 1"));
    ck_assert(client_silent(&client, 0.5));
    postgres_await_backends(sluice.postgres, 0, "true");
    sluice_signal(&sluice, SIGUSR2);
    ck_assert_str_eq(client_answer(&client), one);
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

/* Connections to a listener that has been closed, or whose clients are sent away. */
static bool refuses_logins(void)
{
    PGconn *connection = sluice_try(&sluice, "user=user1 dbname=p");
    bool refused = PQstatus(connection) == CONNECTION_BAD;

    PQfinish(connection);
    return refused;
}

START_TEST(term_waits_for_the_clients_to_leave)
{
    struct client client;

    start();
    client_login(&client, &sluice, "user1", "p");
    sluice_signal(&sluice, SIGTERM);
    await(refuses_logins(), 20);
    for (int i = 0; i < 10; i++)
        ck_assert_str_eq(client_query(&client, "SELECT 1"), one);
    ck_assert_int_eq(process_await(sluice.pid, 0.3), -1);
    client_send(&client, put_terminate(put_new()));
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0);
    client_close(&client);
}
END_TEST

START_TEST(a_second_term_ends_it_at_once)
{
    struct client client;

    start();
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    sluice_signal(&sluice, SIGTERM);
    sluice_await_log(&sluice, "SIGTERM");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(T)");
    sluice_signal(&sluice, SIGTERM);
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0);
    client_close(&client);
}
END_TEST

START_TEST(int_waits_for_the_servers_to_be_free)
{
    struct client idle, busy;

    start();
    client_login(&idle, &sluice, "user1", "p");
    client_login(&busy, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&busy, "BEGIN"), "C(BEGIN) Z(T)");
    sluice_signal(&sluice, SIGINT);
    sluice_await_log(&sluice, "SIGINT");
    ck_assert_str_eq(client_query(&busy, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(T)");
    ck_assert_int_eq(process_await(sluice.pid, 0.3), -1);
    ck_assert_str_eq(client_query(&busy, "COMMIT"), "C(COMMIT) Z(I)");
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0); /* though the clients are still there */
    client_close(&idle);
    client_close(&busy);
}
END_TEST

START_TEST(a_second_int_ends_it_at_once)
{
    struct client client;

    start();
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "BEGIN"), "C(BEGIN) Z(T)");
    sluice_signal(&sluice, SIGINT);
    sluice_await_log(&sluice, "SIGINT");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(T)");
    sluice_signal(&sluice, SIGINT);
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0);
    client_close(&client);
}
END_TEST

START_TEST(quit_ends_it_at_once)
{
    struct client client;

    start();
    client_login(&client, &sluice, "user1", "p");
    client_send(&client, put_query(put_new(), "BEGIN; SELECT pg_sleep(600)"));
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    sluice_signal(&sluice, SIGQUIT);
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0);
    client_close(&client);
}
END_TEST

/* Reads datagrams until one holds the word. */
static void await_notice(const char *word)
{
    char message[1000];
    ssize_t length;
    struct timeval patience = {.tv_sec = (time_t)(20 * slow_factor())};

    setsockopt(sluice.notify, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    do {
        length = recv(sluice.notify, message, sizeof(message) - 1, 0);
        ck_assert_msg(length > 0, "systemd is not told %s", word);
        message[length] = '\0';
    } while (!strstr(message, word));
}

START_TEST(systemd_is_told_of_reloading_and_stopping)
{
    start();
    sluice_signal(&sluice, SIGHUP);
    await_notice("RELOADING=1");
    await_notice("READY=1");
    sluice_signal(&sluice, SIGTERM);
    await_notice("STOPPING=1");
    ck_assert_int_eq(sluice_await_end(&sluice, 20), 0);
}
END_TEST

START_TEST(systemd_hears_that_every_worker_lives)
{
    setenv("WATCHDOG_USEC", "300000", 1);
    sluice_start(&sluice, .settings = "workers = 2\n");
    for (int i = 0; i < 3; i++)
        await_notice("WATCHDOG=1");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_log_tells_figures_each_period)
{
    PGconn *connection;

    sluice_start(&sluice, .settings = "stats_period = 1\n");
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(connection, "SELECT 1");
    sluice_await_log(&sluice, "LOG stats: ");
    sluice_await_log(&sluice, " xacts/s, ");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signals");

    suite_add(suite, SUITE_SAME, 20, hup_takes_up_a_new_database);
    suite_add(suite, SUITE_SAME, 20, hup_takes_up_a_new_password);
    suite_add(suite, SUITE_SAME, 20, hup_changes_the_size_of_a_pool_in_use);
    suite_add(suite, SUITE_OURS, 20, hup_with_mistakes_keeps_the_running_settings);
    suite_add(suite, SUITE_SAME, 20, usr1_pauses_and_usr2_resumes);
    suite_add(suite, SUITE_OURS, 20, term_waits_for_the_clients_to_leave);
    suite_add(suite, SUITE_OURS, 20, a_second_term_ends_it_at_once);
    suite_add(suite, SUITE_OURS, 20, int_waits_for_the_servers_to_be_free);
    suite_add(suite, SUITE_OURS, 20, a_second_int_ends_it_at_once);
    suite_add(suite, SUITE_OURS, 20, quit_ends_it_at_once);
    suite_add(suite, SUITE_OURS, 20, systemd_is_told_of_reloading_and_stopping);
    suite_add(suite, SUITE_OURS, 20, systemd_hears_that_every_worker_lives);
    suite_add(suite, SUITE_SAME, 20, the_log_tells_figures_each_period);
    return suite_finish(suite);
}
