/* TLS with servers: libpq's sslmodes to the letter, against PostgreSQL and against servers that
 * misbehave; and login=libpq. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
#define FAST "server_login_retry = 1\n"

static char *server_tls(const char *mode)
{
    return text(FAST "server_tls_sslmode = %s\nserver_tls_ca_file = %s/ca.crt\n", mode,
                certificates());
}

/* "true" or "false" (with TLS or not), or why there is no server. */
static char *found(const struct sluice *sluice, const char *database)
{
    PGconn *connection = sluice_try(sluice, text("user=trustuser dbname=%s", database));
    char *result = PQstatus(connection) == CONNECTION_OK ? sql_value(connection, SSL_OF_MINE)
                                                         : text("%s", PQerrorMessage(connection));

    PQfinish(connection);
    return result;
}

/* Which certificate a mode takes: n is the name, a the address in the database's line. */
static const struct trust {
    const char *certificate, *mode, *database, *outcome;
} trusts[] = {
    {"server", "disable", "a", "false"},
    {"server", "allow", "a", "false"},
    {"server", "prefer", "a", "true"},
    {"server", "require", "a", "true"},
    {"server", "verify-ca", "a", "true"},
    {"server", "verify-full", "a", "true"},
    {"server", "verify-full", "n", "true"},
    {"elsewhere", "verify-ca", "n", "true"},
    {"elsewhere", "verify-full", "n", "does not match host name \"localhost\""},
    {"elsewhere", "verify-full", "a", "does not match host name \"127.0.0.1\""},
    {"expired", "verify-ca", "a", "certificate verify failed: certificate has expired"},
    {"expired", "require", "a", "certificate verify failed"},
    {"rogue-server", "verify-full", "a", "certificate verify failed"},
    {"rogue-server", "verify-ca", "n", "certificate verify failed"},
    {"rogue-server", "prefer", "a", "false"}, /* as libpq with a root.crt */
};

START_TEST(each_mode_trusts_whom_it_says)
{
    struct postgres postgres;
    const char *now = "server";

    postgres_start_tls(&postgres, now, NULL);
    for (size_t i = 0; i < sizeof(trusts) / sizeof(trusts[0]); i++) {
        const struct trust *trust = &trusts[i];
        struct sluice sluice;
        char *outcome;

        if (strcmp(now, trust->certificate) != 0)
            postgres_use_certificate(&postgres, now = trust->certificate);
        sluice_start(&sluice, .postgres = &postgres, .settings = server_tls(trust->mode),
                     .databases =
                         text("a = host=127.0.0.1 port=%u dbname=%s\n"
                              "n = host=localhost port=%u dbname=%s\n",
                              postgres.port, postgres.database, postgres.port, postgres.database));
        outcome = found(&sluice, trust->database);
        ck_assert_msg(strstr(outcome, trust->outcome) != NULL, "%s, %s, %s: %s", trust->certificate,
                      trust->mode, trust->database, outcome);
        sluice_stop(&sluice);
    }
    postgres_end(&postgres, SIGQUIT);
}
END_TEST

/* What pg_hba.conf wants, and which mode finds its way. */
START_TEST(the_other_way_is_tried_where_the_mode_allows_it)
{
    static const struct {
        const char *mode, *only_tls, *only_plain;
    } ways[] = {
        {"disable", "pg_hba.conf rejects connection", "false"},
        {"allow", "true", "false"},
        {"prefer", "true", "false"},
        {"require", "true", "pg_hba.conf rejects connection"},
    };
    struct postgres postgres;

    postgres_start_tls(&postgres, "server",
                       "hostnossl all trustuser all reject\nhostssl all trustuser all trust\n"
                       "hostssl all user2 all reject\nhostnossl all user2 all trust\n");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct sluice sluice;
        char *outcome;

        sluice_start(&sluice, .postgres = &postgres,
                     .settings = text(FAST "server_tls_sslmode = %s\n", ways[i].mode),
                     .databases = "t = {server} user=trustuser\np = {server} user=user2\n");
        outcome = found(&sluice, "t");
        ck_assert_msg(strstr(outcome, ways[i].only_tls) != NULL, "%s: %s", ways[i].mode, outcome);
        outcome = found(&sluice, "p");
        ck_assert_msg(strstr(outcome, ways[i].only_plain) != NULL, "%s: %s", ways[i].mode, outcome);
        sluice_stop(&sluice);
    }
    postgres_end(&postgres, SIGQUIT);
}
END_TEST

/* Our certificate is the server's to ask for; SCRAM is bound to the channel; a cancel goes by TLS
 * too, and reaches; much passes both ways with many at once. */
START_TEST(all_goes_on_over_tls_with_servers)
{
    struct postgres postgres;
    struct sluice sluice;
    struct client client;
    struct load load = {.sluice = &sluice,
                        .options = "user=user1 dbname=p sslmode=require",
                        .clients = 20,
                        .transactions = 2000};
    PGconn *connection;
    PGresult *result;

    postgres_start_tls(&postgres, "server",
                       "hostssl all trustuser all cert map=m\nhostssl all all all scram-sha-256\n"
                       "host all all all reject\n");
    file_write(text("%s/pg_ident.conf", postgres.directory), "m user1 trustuser\n");
    postgres_value(&postgres, "SELECT pg_reload_conf()");
    sluice_start(&sluice, .postgres = &postgres, .databases = "p = {server}\n",
                 .settings = text("%spool_mode = transaction\ndefault_pool_size = 4\n%s"
                                  "server_tls_cert_file = %s/user1.crt\n"
                                  "server_tls_key_file = %s/user1.key\n",
                                  client_tls("prefer", "server"), server_tls("verify-full"),
                                  certificates(), certificates()));
    ck_assert_str_eq(found(&sluice, "p"), "true");
    load_run(&load);
    ck_assert_uint_eq(load.done, 2000);

    client_login(&client, &sluice, "user1", "p");
    client_send(&client, put_query(put_new(), SQL_SLEEP));
    postgres_await_backends(&postgres, 1, "query LIKE 'DO %' AND state = 'active'");
    client_cancel(&client, &sluice);
    ck_assert_str_eq(client_answer(&client),
                     "E(57014 canceling statement due to user request) Z(I)");
    client_close(&client);

    connection = sluice_connect(&sluice, "user=user1 dbname=p sslmode=require");
    result = PQexec(connection, "SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
    ck_assert_int_eq(PQntuples(result), 20000);
    PQclear(result);
    PQfinish(connection);
    ck_assert_uint_gt(sluice_log_count(&sluice, "SSL established: TLSv1.3/TLS_"), 0);
    sluice_stop(&sluice);
    postgres_end(&postgres, SIGQUIT);
}
END_TEST

/* --- servers that misbehave --- */

/* Answers an SSLRequest with the argument's bytes, and then waits. */
static void answers_so(struct fake *fake, int fd)
{
    const char *answer = fake->argument;
    char request[8];

    if (recv(fd, request, 8, MSG_WAITALL) == 8 && fake_write(fd, answer, strlen(answer)))
        fake_await_close(fd);
}

static const struct misbehaviour {
    const char *answer, *mode, *told;
} misbehaviours[] = {
    {"N", "require", "server does not support SSL, but SSL was required"},
    {"SR", "prefer", "received unencrypted data after SSL response"},
    {"SR", "require", "received unencrypted data after SSL response"},
    {"E", "prefer", "server sent an error response during SSL exchange"},
    {"X", "prefer", "received invalid response to SSL negotiation"},
    {"NR", "prefer", "received invalid response to SSL negotiation"},
};

START_TEST(a_wrong_answer_is_no_server)
{
    const struct misbehaviour *row = &misbehaviours[_i];
    struct sluice sluice;
    struct fake fake;
    char *told;

    fake_start(&fake, answers_so, row->answer);
    sluice_start(&sluice, .databases = text("p = %s\n", fake_address(&fake)),
                 .settings = text(FAST "server_tls_sslmode = %s\n", row->mode));
    told = found(&sluice, "p");
    ck_assert_msg(strstr(told, row->told) != NULL, "%s", told);
    sluice_stop(&sluice);
    fake_stop(&fake);
}
END_TEST

/* Says S and then speaks plainly, or falls silent, or hangs up: once for TLS and, where the mode
 * falls back, once without. */
static void promises_in_vain(struct fake *fake, int fd)
{
    const char *then = fake->argument;
    char request[8];

    if (fake->accepted > 1) {
        fake_login(fd);
        fake_serve(fake, fd);
        return;
    }
    if (recv(fd, request, 8, MSG_WAITALL) != 8 || !fake_write(fd, "S", 1))
        return;
    recv(fd, request, 8, MSG_WAITALL);
    if (*then && fake_write(fd, then, strlen(then)))
        fake_await_close(fd);
}

START_TEST(a_broken_handshake_falls_back_only_where_nothing_was_promised)
{
    static const char *const thens[] = {"", "this is no TLS at all", "\x15\x03\x01"};
    struct sluice sluice;
    struct fake fake;
    PGconn *connection;

    for (int i = 0; i < 4; i++) {
        bool prefer = i % 2;

        fake_start(&fake, promises_in_vain, thens[i / 2]);
        sluice_start(&sluice, .databases = text("p = %s\n", fake_address(&fake)),
                     .settings = text(FAST "server_tls_sslmode = %s\nserver_connect_timeout = 5\n",
                                      prefer ? "prefer" : "require"));
        connection = sluice_try(&sluice, "user=trustuser dbname=p");
        if (prefer) {
            ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
            ck_assert_str_eq(sql_value(connection, "SELECT 1"), "fake");
        } else {
            ck_assert_int_eq(PQstatus(connection), CONNECTION_BAD);
            ck_assert_int_eq(fake.accepted, 1);
        }
        PQfinish(connection);
        sluice_stop(&sluice);
        fake_stop(&fake);
    }
}
END_TEST

/* Sluice itself is the one server here that TLS may begin with at once. */
START_TEST(tls_with_a_server_may_begin_at_once)
{
    struct sluice near, far;
    PGconn *connection;

    sluice_start(&far, .databases = "p = {server} user=trustuser\n",
                 .settings =
                     text("auth_type = scram-sha-256\n%s", client_tls("require", "server")));
    sluice_start(
        &near, .databases = text("p = host=localhost port=%u dbname=p user=user1\n", far.port),
        .settings = text("%sserver_tls_sslnegotiation = direct\n", server_tls("verify-full")));
    connection = sluice_connect(&near, "user=trustuser dbname=p");
    ck_assert_str_eq(sql_value(connection, "SELECT current_user"), "trustuser");
    ck_assert_uint_eq(strlen(sql_value(connection, "SELECT repeat('x', 100000)")), 100000);
    PQfinish(connection);
    sluice_stop(&near);
    sluice_stop(&far);
}
END_TEST

/* A server whose bytes come one by one. */
static void speaks_slowly(struct fake *fake, int fd)
{
    char request[8];
    int plain;

    if (recv(fd, request, 8, MSG_WAITALL) != 8 || !fake_write(fd, "S", 1))
        return;
    plain = tls_tunnel(dup(fd), "server", false, 1);
    if (fake_login(plain))
        fake_serve(fake, plain);
    close(plain);
}

START_TEST(a_servers_records_may_come_byte_by_byte)
{
    struct sluice sluice;
    struct fake fake;
    PGconn *connection;

    certificates();
    fake_start(&fake, speaks_slowly, NULL);
    sluice_start(&sluice, .databases = text("p = %s\n", fake_address(&fake)),
                 .settings = server_tls("verify-full"));
    connection = sluice_connect(&sluice, "user=trustuser dbname=p");
    for (int i = 0; i < 20; i++)
        ck_assert_str_eq(sql_value(connection, "SELECT 1"), "fake");
    PQfinish(connection);
    sluice_stop(&sluice);
    fake_stop(&fake);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls_servers");

    suite_add(suite, SUITE_OURS, 120, each_mode_trusts_whom_it_says);
    suite_add(suite, SUITE_OURS, 90, the_other_way_is_tried_where_the_mode_allows_it);
    suite_add(suite, SUITE_OURS, 90, all_goes_on_over_tls_with_servers);
    suite_add_loop(suite, SUITE_OURS, 20, a_wrong_answer_is_no_server,
                   sizeof(misbehaviours) / sizeof(misbehaviours[0]));
    suite_add(suite, SUITE_OURS, 60, a_broken_handshake_falls_back_only_where_nothing_was_promised);
    suite_add(suite, SUITE_OURS, 40, tls_with_a_server_may_begin_at_once);
    suite_add(suite, SUITE_OURS, 40, a_servers_records_may_come_byte_by_byte);
    return suite_finish(suite);
}
