/* Servers that die, refuse, fall silent or restart: what was in flight fails, clients stay, the
 * next statement gets a working server, and nothing runs twice. */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/fake.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client;

static void start(const char *settings)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = text("pool_mode = transaction\nserver_login_retry = 1\n%s", settings));
    client_login(&client, &sluice, "user1", "p");
}

static void stop(void)
{
    ck_assert_str_eq(client_query(&client, "SELECT 'still here'"),
                     "T(?column?) D(still here) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}

static bool ends_with(const char *answer, const char *end)
{
    size_t length = strlen(answer);

    return length >= strlen(end) && strcmp(answer + length - strlen(end), end) == 0;
}

/* A statement fails and leaves the client ready in this state. */
static void check_failed(const char *answer, const char *ready)
{
    ck_assert_msg(strstr(answer, "E(") && !strstr(answer, "C(") && ends_with(answer, ready),
                  "\"%s\" should be an error, then %s", answer, ready);
}

START_TEST(an_idle_server_that_was_killed_is_replaced_unseen)
{
    start("");
    for (int i = 0; i < 10; i++) {
        ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
        ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
        postgres_await_backends(sluice.postgres, 0, "true");
    }
    stop();
}
END_TEST

START_TEST(a_killed_statement_fails_once_and_is_not_repeated)
{
    start("");
    ck_assert_str_eq(client_query(&client, "CREATE SEQUENCE runs"), "C(CREATE SEQUENCE) Z(I)");
    client_send(&client, put_query(put_new(), "SELECT nextval('runs'), pg_sleep(600)"));
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    check_failed(client_answer(&client), "Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT last_value FROM runs"),
                     "T(last_value) D(1) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(a_killed_batch_fails_up_to_its_sync)
{
    char *answer;

    start("");
    client_send(&client, put_sync(put_extended(put_extended(put_new(), "SELECT 1 AS a", NULL),
                                               "SELECT pg_sleep(600)", NULL)));
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    answer = client_answer(&client);
    ck_assert_msg(strstr(answer, "E(") && ends_with(answer, ") Z(I)"), "%s", answer);
    stop();
}
END_TEST

/* Several requests in flight on the dead server: each gets an error of its own, in order. */
START_TEST(every_request_of_a_killed_pipeline_is_answered)
{
    struct packet *packet = put_new();

    start("");
    put_query(packet, SQL_SLEEP);
    put_sync(put_extended(packet, "SELECT 2", NULL));
    put_query(packet, "SELECT 3");
    client_send(&client, packet);
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    check_failed(client_answer(&client), "Z(I)");
    /* What had not been sent to the dead server yet may run on the next. */
    for (int i = 0; i < 2; i++) {
        char *answer = client_answer(&client);

        ck_assert_msg(ends_with(answer, " Z(I)"), "%s", answer);
    }
    ck_assert(client_silent(&client, 0.1));
    stop();
}
END_TEST

START_TEST(a_killed_transaction_is_told_at_its_next_statement)
{
    start("");
    ck_assert_str_eq(client_query(&client, "CREATE TABLE t (a int)"), "C(CREATE TABLE) Z(I)");
    ck_assert_str_eq(client_query(&client, "BEGIN; INSERT INTO t VALUES (1)"),
                     "C(BEGIN) C(INSERT 0 1) Z(T)");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    postgres_await_backends(sluice.postgres, 0, "true");
    check_failed(client_query(&client, "INSERT INTO t VALUES (2)"), "Z(E)");
    check_failed(client_query(&client, "INSERT INTO t VALUES (3)"), "Z(E)");
    ck_assert_str_eq(client_query(&client, "COMMIT"), "C(ROLLBACK) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM t"),
                     "T(count) D(0) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

START_TEST(a_server_killed_within_copy_in_fails_the_copy)
{
    char *answer;

    start("");
    ck_assert_str_eq(client_query(&client, "CREATE TABLE t (a int)"), "C(CREATE TABLE) Z(I)");
    client_send(&client, put_copy_data(put_query(put_new(), "COPY t FROM STDIN"), "1\n"));
    ck_assert_str_eq(client_message(&client), "G");
    ck_assert_int_eq(postgres_terminate(sluice.postgres, "true"), 1);
    postgres_await_backends(sluice.postgres, 0, "true");
    client_send(&client, put_copy_done(put_copy_data(put_new(), "2\n")));
    answer = client_answer(&client);
    check_failed(answer, "Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM t"),
                     "T(count) D(0) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

/* The statement until it works; every failure leaves the client connected. */
static void await_service(void)
{
    double deadline = deadline_in(40);
    char *answer;

    while (strcmp(answer = client_query(&client, "SELECT 1"),
                  "T(?column?) D(1) C(SELECT 1) Z(I)") != 0) {
        check_failed(answer, "Z(I)");
        ck_assert_msg(!deadline_over(deadline), "no service again within 40 s: %s", answer);
        nap();
    }
}

START_TEST(clients_outlive_a_restart_of_the_server)
{
    static const int ways[] = {SIGINT, SIGQUIT, SIGKILL};
    struct postgres postgres;

    postgres_start(&postgres);
    sluice_start(&sluice, .postgres = &postgres,
                 .settings = "pool_mode = transaction\nserver_login_retry = 1\n");
    client_login(&client, &sluice, "user1", "p");
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
        client_send(&client, put_query(put_new(), SQL_SLEEP));
        postgres_await_backends(&postgres, 1, "wait_event = 'PgSleep'");
        postgres_end(&postgres, ways[i]);
        check_failed(client_answer(&client), "Z(I)");
        check_failed(client_query(&client, "SELECT 1"), "Z(I)"); /* there is no server now */
        postgres_again(&postgres);
        await_service();
    }
    stop();
    postgres_end(&postgres, SIGQUIT);
}
END_TEST

START_TEST(clients_outlive_the_crash_of_a_neighbouring_backend)
{
    struct postgres postgres;
    pid_t victim;

    postgres_start(&postgres);
    sluice_start(&sluice, .postgres = &postgres,
                 .settings = "pool_mode = transaction\nserver_login_retry = 1\n");
    client_login(&client, &sluice, "user1", "p");
    client_send(&client, put_query(put_new(), SQL_SLEEP));
    postgres_await_backends(&postgres, 1, "wait_event = 'PgSleep'");
    victim = (pid_t)postgres_number(
        &postgres, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    ck_assert_int_eq(kill(victim, SIGKILL), 0);
    check_failed(client_answer(&client), "Z(I)");
    await_service();
    stop();
    postgres_end(&postgres, SIGQUIT);
}
END_TEST

START_TEST(a_login_that_finds_no_server_is_refused_in_time)
{
    char *refusal;

    sluice_start(&sluice,
                 .databases = text("p = host=127.0.0.1 port=%u\n"
                                   "u = host=%s port=1\n"
                                   "n = host=no-such-host.invalid\n",
                                   process_free_port(), postgres_shared()->socket_dir),
                 .settings = "server_login_retry = 1\n");
    for (int i = 0; i < 3; i++) {
        refusal = sluice_refusal(&sluice, text("user=user1 dbname=%s", i == 0   ? "p"
                                                                       : i == 1 ? "u"
                                                                                : "n"));
        ck_assert_msg(strncmp(refusal, "08", 2) == 0, "%s", refusal);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_next_host_of_the_line_is_tried_in_turn)
{
    PGconn *connection;
    double began = seconds_now();

    sluice_start(&sluice,
                 .databases = text("p = host=127.0.0.3,127.0.0.1 port=%u dbname=%s pool_size=4\n",
                                   postgres_shared()->port, postgres_shared()->database),
                 .settings = "server_login_retry = 15\npool_mode = transaction\n");
    for (int i = 0; i < 4; i++) {
        connection = sluice_connect(&sluice, "user=user1 dbname=p");
        sql_do(connection, "BEGIN");
    }
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 4);
    ck_assert_double_lt(seconds_now() - began, 10 * slow_factor());
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_host_name_is_resolved)
{
    PGconn *connection;

    sluice_start(&sluice, .databases = text("p = host=localhost port=%u dbname=%s\n",
                                            postgres_shared()->port, postgres_shared()->database));
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_str_eq(
        sql_value(connection, "SELECT host(inet_server_addr()) IN ('127.0.0.1', '::1')"), "t");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_name_server_that_never_answers_holds_up_only_who_needs_it)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int silent = socket(AF_INET, SOCK_DGRAM, 0);
    struct client waiting;
    char *resolv_conf = text("%s/resolv.conf", process_directory());
    char *settings = text("pool_mode = transaction\nresolv_conf = %s\n"
                          "server_connect_timeout = 2\nquery_wait_timeout = 2\n",
                          resolv_conf);

    ck_assert_int_eq(bind(silent, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(silent, (struct sockaddr *)&address, &size), 0);
    file_write(resolv_conf, text("nameserver 127.0.0.1:%u\noptions timeout:2 attempts:1\n",
                                 ntohs(address.sin_port)));
    sluice_start(&sluice, .databases = "p = {server}\nq = host=db.example.test port=5\n",
                 .settings = settings);
    client_open(&waiting, &sluice);
    client_send(&waiting,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "q", NULL));
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    ck_assert(sluice_reload(&sluice));
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    ck_assert_msg(strncmp(client_answer(&waiting), "E(", 2) == 0, "it has no server");
    close(silent);
    client_close(&waiting);
    stop();
}
END_TEST

START_TEST(a_full_role_is_refused_with_the_servers_own_fields)
{
    PGconn *holder;
    struct client waiter;

    sluice_start(&sluice, .databases = "p = {server}\nq = {server}\n",
                 .settings = "pool_mode = transaction\nserver_login_retry = 1\n");
    holder = sluice_connect(&sluice, "user=limited dbname=p");
    sql_do(holder, "BEGIN");
    ck_assert_str_eq(sluice_refusal(&sluice, "user=limited dbname=q"),
                     "53300: too many connections for role \"limited\"");
    sql_do(holder, "COMMIT");
    PQfinish(holder);
    postgres_terminate(sluice.postgres, "true");
    postgres_await_backends(sluice.postgres, 0, "true");
    client_login(&waiter, &sluice, "limited", "p");
    ck_assert_str_eq(client_query(&waiter, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&waiter);
    sluice_stop(&sluice);
}
END_TEST

static void serve_refusal(struct fake *fake, int fd)
{
    static const char error[] = "SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0";

    if (fake_read_startup(fd))
        fake_write_message(fd, 'E', error, sizeof(error));
}

/* Twenty clients at once lead to a few attempts, not to twenty, and each hears why. */
START_TEST(failed_logins_back_off)
{
    struct fake fake;

    fake_start(&fake, serve_refusal, NULL);
    sluice_start(&sluice, .databases = text("p = %s pool_size=50\n", fake_address(&fake)),
                 .settings = "server_login_retry = 30\n");
    for (int i = 0; i < 20; i++)
        ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p"),
                         "57P03: the database system is starting up");
    ck_assert_int_le(fake.accepted, 10);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failures");

    suite_add(suite, SUITE_SAME, 20, an_idle_server_that_was_killed_is_replaced_unseen);
    suite_add(suite, SUITE_OURS, 20, a_killed_statement_fails_once_and_is_not_repeated);
    suite_add(suite, SUITE_OURS, 20, a_killed_batch_fails_up_to_its_sync);
    suite_add(suite, SUITE_OURS, 20, every_request_of_a_killed_pipeline_is_answered);
    suite_add(suite, SUITE_OURS, 20, a_killed_transaction_is_told_at_its_next_statement);
    suite_add(suite, SUITE_OURS, 20, a_server_killed_within_copy_in_fails_the_copy);
    suite_add(suite, SUITE_OURS, 120, clients_outlive_a_restart_of_the_server);
    suite_add(suite, SUITE_OURS, 60, clients_outlive_the_crash_of_a_neighbouring_backend);
    suite_add(suite, SUITE_OURS, 40, a_login_that_finds_no_server_is_refused_in_time);
    suite_add(suite, SUITE_OURS, 40, the_next_host_of_the_line_is_tried_in_turn);
    suite_add(suite, SUITE_SAME, 20, a_host_name_is_resolved);
    suite_add(suite, SUITE_OURS, 20, a_name_server_that_never_answers_holds_up_only_who_needs_it);
    suite_add(suite, SUITE_OURS, 30, a_full_role_is_refused_with_the_servers_own_fields);
    suite_add(suite, SUITE_OURS, 30, failed_logins_back_off);
    return suite_finish(suite);
}
