/* TLS with clients: who gets in by which mode, what the certificate proves, and what happens to
 * those who break it off, stuff it, or cut it to pieces. */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"
#include "harness/tls.h"

#define DATABASES "p = {server} user=trustuser password=trustuser\n"

static char *with_certificate(const char *options, const char *name)
{
    return text("%s sslcert=%s/%s.crt sslkey=%s/%s.key", options, certificates(), name,
                certificates(), name);
}

static char *verifying(const char *options)
{
    return text("%s host=localhost hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=%s/ca.crt",
                options, certificates());
}

/* Why there is no connection, or "". */
static char *outcome(const struct sluice *sluice, const char *options)
{
    PGconn *connection = sluice_try(sluice, options);
    char *why = text("%s", PQstatus(connection) == CONNECTION_OK ? "" : PQerrorMessage(connection));

    if (!*why)
        ck_assert_str_eq(sql_value(connection, "SELECT current_user"), "trustuser");
    PQfinish(connection);
    return why;
}

static const struct mode {
    const char *name;
    bool plain, tls, certified; /* who gets in */
} modes[] = {
    {"disable", true, false, false},   {"allow", true, true, true},
    {"prefer", true, true, true},      {"require", false, true, true},
    {"verify-ca", false, false, true}, {"verify-full", false, false, true},
};

START_TEST(each_mode_lets_in_whom_it_says)
{
    const struct mode *mode = &modes[_i];
    struct sluice sluice;
    char *plain, *tls, *certified;

    sluice_start(&sluice, .databases = DATABASES, .settings = client_tls(mode->name, "server"));
    plain = outcome(&sluice, "user=user1 dbname=p sslmode=disable");
    tls = outcome(&sluice, verifying("user=user1 dbname=p"));
    certified = outcome(&sluice, with_certificate(verifying("user=user1 dbname=p"), "user1"));
    if (mode->plain)
        ck_assert_str_eq(plain, "");
    else
        ck_assert_ptr_nonnull(strstr(plain, "SSL required"));
    ck_assert_msg(mode->tls == !*tls, "%s", tls);
    ck_assert_msg(mode->certified == !*certified, "%s", certified);
    ck_assert_str_eq(outcome(&sluice, text("user=user1 dbname=p host=%s", sluice.directory)), "");
    if (mode->tls)
        ck_assert_uint_gt(sluice_log_count(&sluice, "tls=TLSv1.3/TLS_"), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_certificate_says_who_the_client_is)
{
    struct sluice sluice;
    char *options = verifying("user=user1 dbname=p");

    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("auth_type = cert\n%s", client_tls("verify-full", "server")));
    ck_assert_str_eq(outcome(&sluice, with_certificate(options, "user1")), "");
    ck_assert_ptr_nonnull(strstr(outcome(&sluice, with_certificate(options, "user2")),
                                 "FATAL:  certificate authentication failed for user \"user1\""));
    ck_assert_str_ne(outcome(&sluice, with_certificate(options, "user1-expired")), "");
    sluice_await_log(&sluice, "certificate verify failed: certificate has expired");
    ck_assert_str_ne(outcome(&sluice, with_certificate(options, "user1-rogue")), "");
    ck_assert_str_ne(outcome(&sluice, options), "");
    sluice_await_log(&sluice, "peer did not return a certificate");
    ck_assert_str_eq(outcome(&sluice, with_certificate(options, "user1")), "");
    sluice_stop(&sluice);
}
END_TEST

static const char *const signatures[] = {"server", "sha384", "sha1"};

START_TEST(logins_are_bound_to_the_channel)
{
    struct sluice sluice;

    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("auth_type = scram-sha-256\n%s"
                                  "client_tls_ciphers = DEFAULT@SECLEVEL=0\n",
                                  client_tls("require", signatures[_i])));
    ck_assert_str_eq(outcome(&sluice, "user=user1 dbname=p sslmode=require "
                                      "channel_binding=require"),
                     "");
    ck_assert_str_eq(outcome(&sluice, "user=user1 dbname=p sslmode=require "
                                      "channel_binding=disable"),
                     "");
    ck_assert_ptr_nonnull(strstr(outcome(&sluice, "user=user1 dbname=p sslmode=require "
                                                  "channel_binding=require password=wrong"),
                                 "password authentication failed"));
    sluice_stop(&sluice);
}
END_TEST

/* Startup, login without a question, one statement. */
static void converse(struct client *client)
{
    client_send(client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    ck_assert_ptr_nonnull(strstr(client_answer(client), "Z(I)"));
    ck_assert_str_eq(client_query(client, "SELECT 42"), "T(?column?) D(42) C(SELECT 1) Z(I)");
}

START_TEST(tls_may_begin_without_being_asked_for)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice, .databases = DATABASES, .settings = client_tls("require", "server"));
    client_open(&client, &sluice);
    client.fd = tls_tunnel(client.fd, NULL, true, SIZE_MAX);
    converse(&client);
    client_close(&client);

    client_open(&client, &sluice);
    client.fd = tls_tunnel(client.fd, NULL, true, 1);
    converse(&client);
    client_close(&client);

    /* Without ALPN it might be meant for something else. */
    client_open(&client, &sluice);
    client.fd = tls_tunnel(client.fd, NULL, false, SIZE_MAX);
    ck_assert_str_eq(client_message(&client), "EOF");
    sluice_await_log(&sluice, "without ALPN");
    client_close(&client);

    /* Not behind an SSLRequest or a GSSENCRequest. */
    client_open(&client, &sluice);
    client_send(&client, put_int32(put_int32(put_new(), 8), GSSENC_REQUEST_CODE));
    ck_assert_int_eq(recv(client.fd, &(char){0}, 1, 0), 1);
    client.fd = tls_tunnel(client.fd, NULL, true, SIZE_MAX);
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(tls_that_is_not_offered_is_not_begun)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice, .databases = DATABASES);
    client_open(&client, &sluice);
    client.fd = tls_tunnel(client.fd, NULL, true, SIZE_MAX);
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);
    client_login(&client, &sluice, "user1", "p");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(bytes_behind_an_ssl_request_are_refused)
{
    struct sluice sluice;
    struct client client;
    char answer;

    sluice_start(&sluice, .databases = DATABASES, .settings = client_tls("prefer", "server"));
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE),
                                     PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    ck_assert_str_eq(client_message(&client),
                     "E(08P01 received unencrypted data after SSL request)");
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);

    /* What is plain behind the answer is no TLS. */
    client_open(&client, &sluice);
    client_send(&client, put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
    ck_assert_int_eq(recv(client.fd, &answer, 1, 0), 1);
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    client.torn = true;
    while (recv(client.fd, &answer, 1, 0) > 0)
        ;
    sluice_await_log(&sluice, "SSL error: ");
    client_close(&client);

    /* One request is enough. */
    client_open(&client, &sluice);
    client_secure(&client, SIZE_MAX);
    client_send(&client, put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(records_may_come_byte_by_byte)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice, .databases = DATABASES, .settings = client_tls("require", "server"));
    client_open(&client, &sluice);
    client_secure(&client, 1);
    converse(&client);
    client_send_pieces(&client, put_sync(put_extended(put_new(), "SELECT $1 || 'x'", "abc")), 1);
    ck_assert_str_eq(client_answer(&client), "1 2 T(?column?) D(abcx) C(SELECT 1) Z(I)");
    client_send(&client, put_query(put_new(), "SELECT repeat('x', 20000)"));
    ck_assert_uint_gt(client_drain(&client), 20000);
    client_send(&client, put_terminate(put_new()));
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

static long clients_of(const struct sluice *sluice)
{
    PGconn *console =
        sluice_connect(sluice, text("user=user1 dbname=pgbouncer host=%s", sluice->directory));
    PGresult *result = PQexec(console, "SHOW LISTS");
    long count = -1;

    for (int i = 0; i < PQntuples(result); i++)
        if (strcmp(PQgetvalue(result, i, 0), "used_clients") == 0)
            count = strtol(PQgetvalue(result, i, 1), NULL, 10);
    PQclear(result);
    PQfinish(console);
    return count;
}

#define QUIET "log_connections = 0\nlog_disconnections = 1\nadmin_users = user1\n"

START_TEST(those_who_break_it_off_disturb_nobody)
{
    static const char hello[] = "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";
    struct sluice sluice;
    struct client waiting[3], other;
    long before;

    sluice_start(&sluice, .databases = DATABASES,
                 .settings =
                     text("client_login_timeout = 2\n" QUIET "%s", client_tls("prefer", "server")));
    client_open(&other, &sluice);
    client_secure(&other, SIZE_MAX);
    converse(&other);
    before = sluice_descriptors(&sluice);
    /* One vanishes in the middle of the handshake, one by a reset, one never says anything. */
    for (int i = 0; i < 3; i++) {
        client_open(&waiting[i], &sluice);
        client_send(&waiting[i], put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
        ck_assert_int_eq(recv(waiting[i].fd, &(char){0}, 1, 0), 1);
        if (i < 2)
            client_send(&waiting[i], put_bytes(put_new(), hello, sizeof(hello) - 1 - 5));
    }
    client_close(&waiting[0]);
    client_abort(&waiting[1]);
    while (recv(waiting[2].fd, &(char){0}, 1, 0) > 0)
        ;
    client_close(&waiting[2]);
    sluice_await_log(&sluice, "client_login_timeout");
    await(sluice_descriptors(&sluice) == before, 20);
    ck_assert_str_eq(client_query(&other, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&other);
    sluice_stop(&sluice);
}
END_TEST

/* Fixed noise instead of a handshake, behind an SSLRequest and without one. */
START_TEST(garbage_is_no_handshake)
{
    struct sluice sluice;
    unsigned seed = 1;

    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("client_login_timeout = 3\n%s", client_tls("prefer", "server")));
    for (int i = 0; i < 60; i++) {
        struct client client;
        unsigned char noise[300];

        for (size_t j = 0; j < sizeof(noise); j++)
            noise[j] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
        noise[0] = 0x16;
        if (i % 3) {
            noise[1] = 3;
            noise[2] = 1;
            noise[3] = 0;
            noise[4] = (unsigned char)(i * 4);
            noise[5] = 1;
        }
        client_open(&client, &sluice);
        if (i % 2) {
            client_send(&client, put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
            ck_assert_int_eq(recv(client.fd, &(char){0}, 1, 0), 1);
        }
        client_send(&client, put_bytes(put_new(), noise, sizeof(noise)));
        shutdown(client.fd, SHUT_WR);
        while (recv(client.fd, &(char){0}, 1, 0) > 0)
            ;
        client_close(&client);
    }
    ck_assert_str_eq(outcome(&sluice, verifying("user=user1 dbname=p")), "");
    sluice_stop(&sluice);
}
END_TEST

/* TLS 1.2 by OpenSSL itself, on a connection that has logged in. */
static SSL *own_client(const struct sluice *sluice, struct client *client)
{
    SSL_CTX *context = tls_context(NULL);
    SSL *ssl;

    client_open(client, sluice);
    client_send(client, put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
    ck_assert_int_eq(recv(client->fd, &(char){0}, 1, 0), 1);
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(ssl, client->fd);
    ck_assert_int_eq(SSL_connect(ssl), 1);
    return ssl;
}

static void own_login(SSL *ssl)
{
    struct packet *startup =
        put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL);
    char bytes[4096];
    int got;

    ck_assert_int_gt(SSL_write(ssl, startup->bytes, (int)startup->size), 0);
    do {
        got = SSL_read(ssl, bytes, sizeof(bytes));
        ck_assert_int_gt(got, 0);
    } while (bytes[got - 1] != 'I');
}

START_TEST(nobody_renegotiates)
{
    struct sluice sluice;
    struct client client;
    SSL *ssl;
    char bytes[100];

    sluice_start(&sluice, .databases = DATABASES, .settings = client_tls("prefer", "server"));
    ssl = own_client(&sluice, &client);
    own_login(ssl);
    ck_assert_int_eq(SSL_renegotiate(ssl), 1);
    ck_assert_int_ne(SSL_do_handshake(ssl), 1);
    ck_assert_int_le(SSL_read(ssl, bytes, sizeof(bytes)), 0);
    SSL_free(ssl);
    client_close(&client);
    ck_assert_str_eq(outcome(&sluice, verifying("user=user1 dbname=p")), "");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_goodbye_of_tls_is_the_end)
{
    struct sluice sluice;
    struct client client;
    SSL *ssl;
    char byte;

    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text(QUIET "%s", client_tls("prefer", "server")));
    ssl = own_client(&sluice, &client);
    own_login(ssl);
    await(clients_of(&sluice) == 2, 20);
    SSL_shutdown(ssl);
    ck_assert_int_eq(SSL_read(ssl, &byte, 1), 0);
    ck_assert_int_eq(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    await(clients_of(&sluice) == 1, 20);
    SSL_free(ssl);
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(large_transfers_pass_both_ways_under_back_pressure)
{
    struct sluice sluice;
    PGconn *connection;
    PGresult *result;
    char *row, line[1001];
    long rows = 0;
    long resident;

    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("%spool_mode = transaction\n", client_tls("require", "server")));
    connection = sluice_connect(&sluice, "user=user1 dbname=p sslmode=require");
    sql_value(connection, "SELECT repeat('x', 100000)");
    resident = sluice_resident_kb(&sluice);
    sql_do(connection, "CREATE TABLE t (line text)");
    memset(line, 'y', 999);
    line[999] = '\n';
    line[1000] = '\0';
    result = PQexec(connection, "COPY t FROM STDIN");
    ck_assert_int_eq(PQresultStatus(result), PGRES_COPY_IN);
    PQclear(result);
    for (int i = 0; i < 30000; i++)
        ck_assert_int_eq(PQputCopyData(connection, line, 1000), 1);
    ck_assert_int_eq(PQputCopyEnd(connection, NULL), 1);
    while ((result = PQgetResult(connection)) != NULL) {
        ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
        PQclear(result);
    }
    result = PQexec(connection, "COPY t TO STDOUT");
    ck_assert_int_eq(PQresultStatus(result), PGRES_COPY_OUT);
    PQclear(result);
    /* The client does not read for so long as it takes to fill every buffer on the way. */
    await(postgres_backends(sluice.postgres, "wait_event = 'ClientWrite'") == 1, 20);
    if (slow_factor() <= 1) /* a sanitizer keeps freed memory back */
        ck_assert_int_lt(sluice_resident_kb(&sluice) - resident, 5000);
    while (PQgetCopyData(connection, &row, 0) > 0) {
        ck_assert_str_eq(row, line);
        PQfreemem(row);
        rows++;
    }
    ck_assert_int_eq(rows, 30000);
    while ((result = PQgetResult(connection)) != NULL)
        PQclear(result);
    ck_assert_str_eq(sql_value(connection, "SELECT count(*) FROM t"), "30000");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

/* The common name of the certificate that a new connection is shown. */
static char *shown(PGconn *connection)
{
    SSL *ssl = PQsslStruct(connection, "OpenSSL");
    char name[100] = "";

    ck_assert_ptr_nonnull(ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl)), NID_commonName,
                              name, sizeof(name));
    return text("%s", name);
}

START_TEST(a_reload_takes_new_certificates_for_new_connections)
{
    struct sluice sluice;
    PGconn *first, *second;
    char *directory = text("%s/own", certificates());

    ck_assert_int_eq(system(text("mkdir '%s' && cp -p '%s'/server.* '%s'/ca.* '%s'", directory,
                                 certificates(), certificates(), directory)),
                     0);
    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("client_tls_sslmode = require\n"
                                  "client_tls_cert_file = %s/server.crt\n"
                                  "client_tls_key_file = %s/server.key\n",
                                  directory, directory));
    first = sluice_connect(&sluice, "user=user1 dbname=p sslmode=require");
    ck_assert_str_eq(shown(first), "localhost");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(system(text("cp -p '%s/renewed.%s' '%s/server.%s'", certificates(),
                                     i ? "key" : "crt", directory, i ? "key" : "crt")),
                         0);
    ck_assert(sluice_reload(&sluice));
    second = sluice_connect(&sluice, "user=user1 dbname=p sslmode=require");
    ck_assert_str_eq(shown(second), "renewed");
    ck_assert_str_eq(sql_value(first, "SELECT 1"), "1");

    /* A key that does not belong to it: everything stays. */
    ck_assert_int_eq(
        system(text("cp -p '%s/user1.key' '%s/server.key'", certificates(), directory)), 0);
    ck_assert(!sluice_reload(&sluice));
    sluice_await_log(&sluice, "client_tls_key_file");
    PQfinish(second);
    second = sluice_connect(&sluice, "user=user1 dbname=p sslmode=require");
    ck_assert_str_eq(shown(second), "renewed");
    ck_assert_str_eq(sql_value(first, "SELECT 2"), "2");
    PQfinish(first);
    PQfinish(second);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(settings_choose_versions_ciphers_and_groups)
{
    static const struct {
        const char *settings, *shown;
    } choices[] = {
        {"client_tls_protocols = tlsv1.2\nclient_tls_ciphers = ECDHE-ECDSA-AES128-GCM-SHA256\n",
         "tls=TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256\n"},
        {"client_tls_protocols = all,!tlsv1.2\nclient_tls13_ciphers = TLS_AES_128_GCM_SHA256\n"
         "client_tls_ecdhcurve = prime256v1\n",
         "tls=TLSv1.3/TLS_AES_128_GCM_SHA256\n"},
    };

    for (size_t i = 0; i < 2; i++) {
        struct sluice sluice;

        sluice_start(&sluice, .databases = DATABASES,
                     .settings =
                         text("%s%s", choices[i].settings, client_tls("require", "server")));
        ck_assert_str_eq(outcome(&sluice, verifying("user=user1 dbname=p")), "");
        sluice_await_log(&sluice, choices[i].shown);
        sluice_stop(&sluice);
    }
}
END_TEST

START_TEST(mistakes_are_told_at_the_start)
{
    static const char *const mistakes[][2] = {
        {"client_tls_sslmode = require\n", "TLS with clients needs client_tls_cert_file"},
        {"auth_type = cert\n", "auth_type = cert needs client_tls_sslmode"},
        {"server_tls_sslmode = verify-ca\n", "needs server_tls_ca_file"},
        {"server_tls_ca_file = /nonexistent\n", "server_tls_ca_file \"/nonexistent\""},
        {"server_tls_protocols = sslv3\n", "unknown protocol \"sslv3\""},
        {"server_tls_ciphers = NONSENSE\n", "server_tls_ciphers = \"NONSENSE\""},
        {"server_tls_sslnegotiation = direct\n", "needs server_tls_sslmode = require"},
        {"client_tls_dheparams = maybe\nclient_tls_sslmode = allow\n", "client_tls_"},
    };

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char *file = text("%s/bad.ini", process_directory()), *output;

        file_write(file, text("[pgbouncer]\nlisten_addr = 127.0.0.1\n%s", mistakes[i][0]));
        ck_assert_int_ne(sluice_run((char *[]){text("--check"), file, NULL}, &output), 0);
        ck_assert_msg(strstr(output, mistakes[i][1]) != NULL, "%s", output);
    }
}
END_TEST

START_TEST(the_console_speaks_tls_too)
{
    struct sluice sluice;
    PGconn *console;
    PGresult *result;

    sluice_start(&sluice, .databases = DATABASES,
                 .settings = text("admin_users = user1\n%s", client_tls("require", "server")));
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer sslmode=require");
    for (int i = 0; i < 3; i++) {
        result = PQexec(console, "SHOW CLIENTS");
        ck_assert_int_eq(PQntuples(result), 1);
        ck_assert_int_eq(
            strncmp(PQgetvalue(result, 0, PQfnumber(result, "tls")), "TLSv1.3/TLS_", 12), 0);
        PQclear(result);
    }
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls_clients");

    suite_add_loop(suite, SUITE_OURS, 30, each_mode_lets_in_whom_it_says,
                   sizeof(modes) / sizeof(modes[0]));
    suite_add(suite, SUITE_OURS, 30, the_certificate_says_who_the_client_is);
    suite_add_loop(suite, SUITE_OURS, 30, logins_are_bound_to_the_channel,
                   sizeof(signatures) / sizeof(signatures[0]));
    suite_add(suite, SUITE_OURS, 30, tls_may_begin_without_being_asked_for);
    suite_add(suite, SUITE_OURS, 20, tls_that_is_not_offered_is_not_begun);
    suite_add(suite, SUITE_OURS, 20, bytes_behind_an_ssl_request_are_refused);
    suite_add(suite, SUITE_OURS, 60, records_may_come_byte_by_byte);
    suite_add(suite, SUITE_OURS, 40, those_who_break_it_off_disturb_nobody);
    suite_add(suite, SUITE_OURS, 60, garbage_is_no_handshake);
    suite_add(suite, SUITE_OURS, 30, nobody_renegotiates);
    suite_add(suite, SUITE_OURS, 30, a_goodbye_of_tls_is_the_end);
    suite_add(suite, SUITE_OURS, 90, large_transfers_pass_both_ways_under_back_pressure);
    suite_add(suite, SUITE_OURS, 40, a_reload_takes_new_certificates_for_new_connections);
    suite_add(suite, SUITE_OURS, 30, settings_choose_versions_ciphers_and_groups);
    suite_add(suite, SUITE_OURS, 30, mistakes_are_told_at_the_start);
    suite_add(suite, SUITE_OURS, 30, the_console_speaks_tls_too);
    return suite_finish(suite);
}
