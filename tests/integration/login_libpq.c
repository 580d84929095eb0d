/* login=libpq: servers that libpq opens and Sluice goes on with. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/fake.h"
#include "harness/load.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"
#include "harness/tls.h"

#define SSL_OF_MINE "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

/* Statements, parameters, a cancel, a crowd: all that a connection of our own does. */
static void exercise(struct sluice *sluice, const char *user)
{
    struct load load = {.sluice = sluice,
                        .options = text("user=%s dbname=p", user),
                        .clients = 10,
                        .transactions = 500};
    struct client client;
    PGconn *connection = sluice_connect(sluice, load.options);

    ck_assert_str_eq(sql_value(connection, "SELECT current_user"), user);
    ck_assert_str_eq(PQparameterStatus(connection, "integer_datetimes"), "on");
    ck_assert_uint_eq(strlen(sql_value(connection, "SELECT repeat('x', 300000)")), 300000);
    sql_do(connection, "SET datestyle = 'German'");
    ck_assert_str_eq(sql_value(connection, "SELECT date '2026-01-31'"), "31.01.2026");
    PQfinish(connection);
    load_run(&load);
    ck_assert_uint_eq(load.done, 500);

    client_login(&client, sluice, user, "p");
    client_send(&client, put_query(put_new(), SQL_SLEEP));
    postgres_await_backends(sluice->postgres, 1, "query LIKE 'DO %' AND state = 'active'");
    client_cancel(&client, sluice);
    ck_assert_str_eq(client_answer(&client),
                     "E(57014 canceling statement due to user request) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&client);
}

#define TRANSACTIONS "pool_mode = transaction\ndefault_pool_size = 3\nserver_login_retry = 1\n"

START_TEST(libpq_opens_servers)
{
    struct sluice sluice;

    sluice_start(&sluice, .databases = "p = {server} login=libpq application_name=mine\n",
                 .settings = TRANSACTIONS "server_tls_sslmode = disable\n");
    exercise(&sluice, "user1");
    ck_assert_int_gt(postgres_backends(sluice.postgres, "true"), 0);
    /* The goodbye reaches the server. */
    sluice_signal(&sluice, SIGUSR1);
    postgres_await_backends(sluice.postgres, 0, "true");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(libpq_opens_servers_over_tls)
{
    struct postgres postgres;
    struct sluice sluice;
    PGconn *connection;

    setenv("HOME", certificates(), 1); /* where libpq looks for files of its own */
    postgres_start_tls(&postgres, "server", "host all user1 all scram-sha-256\n");
    sluice_start(&sluice, .postgres = &postgres,
                 .databases = text("p = host=localhost port=%u dbname=%s login=libpq\n",
                                   postgres.port, postgres.database),
                 .settings = text(TRANSACTIONS "server_tls_sslmode = verify-full\n"
                                               "server_tls_ca_file = %s/ca.crt\n",
                                  certificates()));
    exercise(&sluice, "user1");
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_str_eq(sql_value(connection, SSL_OF_MINE), "true");
    ck_assert_uint_gt(sluice_log_count(&sluice, "SSL established: TLSv1.3/"), 0);
    PQfinish(connection);
    sluice_signal(&sluice, SIGUSR1);
    postgres_await_backends(&postgres, 0, "true");
    sluice_stop(&sluice);
    postgres_end(&postgres, SIGQUIT);
}
END_TEST

START_TEST(libpq_reads_service_and_pass_files)
{
    struct postgres *postgres = postgres_shared();
    struct sluice sluice;
    char *directory = process_directory();
    char *services = text("%s/services", directory), *passwords = text("%s/passwords", directory);

    file_write(services, text("[shop]\nhost=localhost\nport=%u\ndbname=%s\nsslmode=disable\n",
                              postgres->port, postgres->database));
    file_write(passwords, text("localhost:%u:*:user1:user1\n", postgres->port));
    ck_assert_int_eq(system(text("chmod 0600 '%s'", passwords)), 0);
    process_give(passwords);
    process_give(services);
    setenv("PGSERVICEFILE", services, 1);
    sluice_start(&sluice, .userlist = "\"user1\" \"\"\n\"user2\" \"\"\n", .settings = TRANSACTIONS,
                 .databases = text("p = login=libpq service=shop passfile=%s\n", passwords));
    exercise(&sluice, "user1");
    ck_assert_ptr_nonnull(
        strstr(sluice_refusal(&sluice, "user=user2 dbname=p"), "no password supplied"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(what_libpq_is_refused_the_client_is_told)
{
    struct sluice sluice;

    sluice_start(&sluice, .settings = "server_login_retry = 1\nserver_tls_sslmode = disable\n",
                 .databases = text("p = {server} login=libpq\nw = {server} login=libpq user=user1 "
                                   "password=wrong\n"
                                   "n = host=127.0.0.1 port=%u login=libpq\n"
                                   "s = login=libpq service=nowhere\n"
                                   "m = {server} login=libpq user=user1 dbname=missing\n",
                                   process_free_port()));
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=w"),
                     "28P01: password authentication failed for user \"user1\"");
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=m"),
                     "3D000: database \"missing\" does not exist");
    ck_assert_ptr_nonnull(strstr(sluice_refusal(&sluice, "user=user1 dbname=n"), "08001: "));
    ck_assert_ptr_nonnull(strstr(sluice_refusal(&sluice, "user=user1 dbname=n"), "refused"));
    ck_assert_ptr_nonnull(strstr(sluice_refusal(&sluice, "user=user1 dbname=s"),
                                 "definition of service \"nowhere\" not found"));
    ck_assert_str_eq(sql_value(sluice_connect(&sluice, "user=user1 dbname=p"), "SELECT 1"), "1");
    sluice_stop(&sluice);
}
END_TEST

static void says_nothing(struct fake *fake, int fd)
{
    fake_await_close(fd);
}

START_TEST(a_silent_server_costs_its_time_and_no_more)
{
    struct sluice sluice;
    struct fake fake;

    fake_start(&fake, says_nothing, NULL);
    sluice_start(&sluice,
                 .databases = text("f = %s login=libpq\np = {server}\n", fake_address(&fake)),
                 .settings = "server_connect_timeout = 1\nserver_tls_sslmode = disable\n");
    ck_assert_ptr_nonnull(
        strstr(sluice_refusal(&sluice, "user=user1 dbname=f"), "server_connect_timeout"));
    ck_assert_str_eq(sql_value(sluice_connect(&sluice, "user=user1 dbname=p"), "SELECT 1"), "1");
    await(fake.open == 0, 20);
    /* Nor does one that is under way hold up the end. */
    PQconnectStart(text("host=127.0.0.1 port=%u user=user1 dbname=f sslmode=disable", sluice.port));
    sluice_stop(&sluice);
    fake_stop(&fake);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("login_libpq");

    suite_add(suite, SUITE_OURS, 60, libpq_opens_servers);
    suite_add(suite, SUITE_OURS, 90, libpq_opens_servers_over_tls);
    suite_add(suite, SUITE_OURS, 60, libpq_reads_service_and_pass_files);
    suite_add(suite, SUITE_OURS, 30, what_libpq_is_refused_the_client_is_told);
    suite_add(suite, SUITE_OURS, 30, a_silent_server_costs_its_time_and_no_more);
    return suite_finish(suite);
}
