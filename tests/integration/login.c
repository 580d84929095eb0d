/* Who gets in, by which exchange, and what the others are told. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static const char refused[] = "28P01: password authentication failed for user \"user1\"";

/* user1's secret of a kind, as auth_file holds it. */
static char *secret(const char *kind)
{
    if (strcmp(kind, "plain") == 0)
        return text("user1");
    if (strcmp(kind, "md5") == 0)
        return postgres_value(postgres_shared(), "SELECT 'md5' || md5('user1user1')");
    return postgres_value(postgres_shared(),
                          "SELECT rolpassword FROM pg_authid WHERE rolname = 'user1'");
}

/* One cell of auth_type times kind of secret: which question is asked, and whether the right
 * password is accepted; a wrong one never is. */
static const struct exchange {
    const char *auth_type, *kind, *question;
    bool accepted;
} exchanges[] = {
    {"trust", "plain", "R(ok)", true},
    {"trust", "md5", "R(ok)", true},
    {"trust", "scram", "R(ok)", true},
    {"any", "plain", "R(ok)", true},
    {"plain", "plain", "R(cleartext)", true},
    {"plain", "md5", "R(cleartext)", true},
    {"plain", "scram", "R(cleartext)", true},
    {"md5", "plain", "R(md5)", true},
    {"md5", "md5", "R(md5)", true},
    {"md5", "scram", "R(sasl)", true},
    {"scram-sha-256", "plain", "R(sasl)", true},
    {"scram-sha-256", "md5", "R(sasl)", false},
    {"scram-sha-256", "scram", "R(sasl)", true},
};

START_TEST(each_auth_type_asks_for_each_kind_of_secret_in_its_way)
{
    const struct exchange *exchange = &exchanges[_i];
    struct sluice sluice;
    struct client client;
    bool asks = strcmp(exchange->question, "R(ok)") != 0;

    sluice_start(&sluice, .databases = "p = {server} user=trustuser password=trustuser\n",
                 .settings = text("auth_type = %s\n", exchange->auth_type),
                 .userlist = text("\"user1\" \"%s\"\n", secret(exchange->kind)));
    client_open(&client, &sluice);
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    /* PgBouncer refuses the one that cannot succeed before it asks anything. */
    if (exchange->accepted || !suite_reference())
        ck_assert_str_eq(client_message(&client), exchange->question);
    client_close(&client);
    if (exchange->accepted)
        ck_assert_str_eq(
            sql_value(sluice_connect(&sluice, "user=user1 dbname=p"), "SELECT current_user"),
            "trustuser");
    if (asks && !suite_reference())
        ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p password=wrong"), refused);
    if (!exchange->accepted && !suite_reference())
        ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p"), refused);
    sluice_stop(&sluice);
}
END_TEST

/* What each role of integration/pg_hba.conf is asked for, with the secret that auth_file has. */
static const struct passage {
    const char *role, *userlist;
} passages[] = {
    {"trustuser", "\"trustuser\" \"\"\n"},    {"plainuser", "\"plainuser\" \"plainuser\"\n"},
    {"md5user", "\"md5user\" \"md5user\"\n"}, {"md5user", NULL}, /* its md5 hash */
    {"user1", "\"user1\" \"user1\"\n"},
};

START_TEST(servers_are_entered_by_each_method_over_tcp_and_unix_socket)
{
    const struct passage *passage = &passages[_i];
    const char *userlist = passage->userlist;
    struct sluice sluice;

    if (!userlist)
        userlist = text("\"%s\" \"%s\"\n", passage->role,
                        postgres_value(postgres_shared(),
                                       "SELECT rolpassword FROM pg_authid WHERE rolname = '%s'",
                                       passage->role));
    sluice_start(&sluice,
                 .databases = text("p = {server}\nlocal = host=%s port=%u dbname=%s\n",
                                   postgres_shared()->socket_dir, postgres_shared()->port,
                                   postgres_shared()->database),
                 .userlist = userlist);
    for (int i = 0; i < 2; i++) {
        PGconn *connection =
            sluice_connect(&sluice, text("user=%s dbname=%s", passage->role, i ? "local" : "p"));

        ck_assert_str_eq(sql_value(connection, "SELECT current_user"), passage->role);
        ck_assert_str_eq(sql_value(connection, "SELECT inet_client_addr() IS NULL"), i ? "t" : "f");
        PQfinish(connection);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_password_of_the_databases_line_wins)
{
    struct sluice sluice;
    PGconn *connection;

    sluice_start(&sluice, .databases = "p = {server} user=user2 password=user2\n",
                 .userlist = "\"user1\" \"user1\"\n\"user2\" \"wrong\"\n");
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_str_eq(sql_value(connection, "SELECT current_user"), "user2");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_proven_scram_secret_logs_in_to_the_server)
{
    struct sluice sluice;
    PGconn *connection;

    sluice_start(&sluice, .settings = "auth_type = scram-sha-256\n",
                 .userlist = text("\"user1\" \"%s\"\n", secret("scram")));
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_str_eq(sql_value(connection, "SELECT current_user"), "user1");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(users_added_to_auth_file_may_log_in_without_a_reload)
{
    struct sluice sluice;

    sluice_start(&sluice, .settings = "auth_type = scram-sha-256\n",
                 .userlist = "\"user1\" \"user1\"\n");
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user2 dbname=p"),
                     "28P01: password authentication failed for user \"user2\"");
    sluice_rewrite(&sluice, .settings = "auth_type = scram-sha-256\n",
                   .userlist = "\"user1\" \"user1\"\n\"user2\" \"user2\"\n");
    sluice_await_log(&sluice, "auth_file has changed");
    PQfinish(sluice_connect(&sluice, "user=user2 dbname=p"));
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(an_unknown_user_is_told_the_same_as_a_wrong_password)
{
    static const char *const types[] = {"plain", "md5", "scram-sha-256"};
    struct sluice sluice;

    sluice_start(&sluice, .settings = text("auth_type = %s\n", types[_i]));
    ck_assert_str_eq(sluice_refusal(&sluice, "user=nobody dbname=p"),
                     "28P01: password authentication failed for user \"nobody\"");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_servers_own_refusal_reaches_the_client)
{
    static const struct {
        const char *user, *userlist, *refusal;
    } cases[] = {
        {"user1", "\"user1\" \"wrong\"\n",
         "28P01: password authentication failed for user \"user1\""},
        {"rejectuser", "\"rejectuser\" \"rejectuser\"\n",
         "28000: pg_hba.conf rejects connection for host \"127.0.0.1\", user \"rejectuser\", "},
    };
    struct sluice sluice;
    char *refusal;

    sluice_start(&sluice, .userlist = cases[_i].userlist);
    refusal = sluice_refusal(&sluice, text("user=%s dbname=p", cases[_i].user));
    ck_assert_msg(strncmp(refusal, cases[_i].refusal, strlen(cases[_i].refusal)) == 0, "%s",
                  refusal);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(encryption_requests_are_declined_and_the_login_goes_on)
{
    struct sluice sluice;
    struct client client;
    char answer;

    sluice_start(&sluice);
    client_open(&client, &sluice);
    for (int i = 0; i < 2; i++) {
        client_send(&client,
                    put_startup(put_new(), i ? SSL_REQUEST_CODE : GSSENC_REQUEST_CODE, NULL));
        ck_assert_int_eq(recv(client.fd, &answer, 1, 0), 1);
        ck_assert_int_eq(answer, 'N');
    }
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    ck_assert_str_eq(client_message(&client), "R(ok)");
    client_drain(&client);
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(newer_minor_versions_and_unknown_options_are_negotiated)
{
    static const struct {
        uint32_t protocol;
        const char *option, *answer;
    } cases[] = {
        {PROTOCOL_3_0 + 1, NULL, "v(3.0)"},
        {PROTOCOL_3_0 + 9999, "_pq_.test_protocol_negotiation",
         "v(3.2 _pq_.test_protocol_negotiation)"},
        {PROTOCOL_3_0, "_pq_.colour", "v(3.0 _pq_.colour)"},
    };
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice);
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), cases[_i].protocol, "user", "user1", "database",
                                     "p", cases[_i].option, "1", NULL));
    ck_assert_str_eq(client_message(&client), cases[_i].answer);
    ck_assert_str_eq(client_message(&client), "R(ok)");
    client_drain(&client);
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(other_major_versions_are_refused)
{
    struct sluice sluice;
    struct client client;
    char *answer;

    sluice_start(&sluice);
    for (uint32_t major = 2; major <= 4; major += 2) {
        client_open(&client, &sluice);
        client_send(&client, put_startup(put_new(), major << 16, "user", "user1", NULL));
        answer = client_answer(&client);
        ck_assert_msg(
            strncmp(answer, text("E(0A000 unsupported frontend protocol %u.0", major), 38) == 0,
            "%s", answer);
        client_close(&client);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(unknown_startup_parameters_are_refused_unless_ignored)
{
    struct sluice sluice;
    struct client client;
    char *answer;

    sluice_start(&sluice, .settings = "pool_mode = transaction\n"
                                      "ignore_startup_parameters = geqo, jit\n");
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p",
                                     "extra_float_digits", "3", NULL));
    answer = client_answer(&client);
    ck_assert_str_eq(answer, "E(08P01 unsupported startup parameter: extra_float_digits) EOF");
    client_close(&client);
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p",
                                     "geqo", "off", "jit", "off", NULL));
    ck_assert_str_eq(client_message(&client), "R(ok)");
    client_drain(&client);
    ck_assert_str_eq(client_query(&client, "SHOW geqo"), "T(geqo) D(on) C(SHOW) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(parameters_in_options_are_set_or_refused_by_name)
{
    struct sluice sluice;
    PGconn *connection;
    char *refusal;

    sluice_start(&sluice, .settings = "pool_mode = transaction\n");
    connection = sluice_connect(&sluice, "user=user1 dbname=p options='-c TimeZone=Asia/Tokyo'");
    ck_assert_str_eq(sql_value(connection, "SHOW TimeZone"), "Asia/Tokyo");
    PQfinish(connection);
    refusal = sluice_refusal(&sluice, "user=user1 dbname=p options='-c geqo=off'");
    ck_assert_str_eq(refusal, "08P01: unsupported startup parameter in options: geqo");
    sluice_stop(&sluice);
    sluice_start(&sluice, .settings = "ignore_startup_parameters = options\n");
    connection = sluice_connect(&sluice, "user=user1 dbname=p options='-c geqo=off'");
    ck_assert_str_eq(sql_value(connection, "SHOW geqo"), "on");
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(startup_parameters_hold_on_the_server)
{
    struct sluice sluice;
    PGconn *one, *two;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = "pool_mode = transaction\n");
    one =
        sluice_connect(&sluice, "user=user1 dbname=p application_name=one client_encoding=LATIN1");
    two = sluice_connect(&sluice, "user=user1 dbname=p application_name=two");
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(sql_value(one, "SHOW application_name"), "one");
        ck_assert_str_eq(sql_value(two, "SHOW application_name"), "two");
        ck_assert_str_eq(sql_value(one, "SHOW client_encoding"), "LATIN1");
        ck_assert_str_eq(sql_value(two, "SHOW client_encoding"), "UTF8");
    }
    PQfinish(one);
    PQfinish(two);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_login_tells_the_servers_parameters_and_a_cancel_key)
{
    struct sluice sluice;
    PGconn *connection;

    sluice_start(&sluice);
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_int_eq(PQserverVersion(connection),
                     postgres_number(sluice.postgres, "SHOW server_version_num"));
    ck_assert_str_eq(PQparameterStatus(connection, "server_encoding"), "UTF8");
    ck_assert_str_eq(PQparameterStatus(connection, "standard_conforming_strings"), "on");
    ck_assert_str_eq(PQparameterStatus(connection, "integer_datetimes"), "on");
    ck_assert_str_eq(PQparameterStatus(connection, "TimeZone"), "UTC");
    ck_assert_int_ne(PQbackendPID(connection), 0);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_login_without_user_is_refused)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice);
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "database", "p", NULL));
    ck_assert_str_eq(client_answer(&client),
                     "E(28000 no PostgreSQL user name specified in startup packet) EOF");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_database_is_named_like_the_user_unless_said)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice, .databases = "user1 = {server}\n");
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "user1", NULL));
    client_drain(&client);
    ck_assert_str_eq(client_query(&client, "SELECT current_user"),
                     "T(current_user) D(user1) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_database_that_is_not_configured_is_refused)
{
    struct sluice sluice;

    sluice_start(&sluice);
    ck_assert_ptr_nonnull(
        strstr(sluice_refusal(&sluice, "user=user1 dbname=elsewhere"),
               suite_reference() ? "no such database" : "database \"elsewhere\" does not exist"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_star_database_leads_to_the_database_of_the_same_name)
{
    struct sluice sluice;
    PGconn *connection;

    sluice_start(&sluice,
                 .databases = text("* = host=127.0.0.1 port=%u\n", postgres_shared()->port));
    connection = sluice_connect(&sluice, text("user=user1 dbname=%s", sluice.postgres->database));
    ck_assert_str_eq(sql_value(connection, "SELECT current_database()"), sluice.postgres->database);
    PQfinish(connection);
    /* It is the server that refuses one that it has not. */
    connection = sluice_try(&sluice, "user=user1 dbname=elsewhere");
    ck_assert_ptr_nonnull(
        strstr(PQerrorMessage(connection), "database \"elsewhere\" does not exist"));
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(logins_and_departures_are_logged_in_the_known_words)
{
    struct sluice sluice;
    PGconn *connection;

    sluice_start(&sluice);
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    PQfinish(connection);
    sluice_await_log(&sluice, "login attempt: db=p user=user1 tls=no");
    sluice_await_log(&sluice, "p/user1@127.0.0.1:");
    sluice_await_log(&sluice, "closing because: client close request (age=");
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("login");

    suite_add_loop(suite, SUITE_SAME, 20, each_auth_type_asks_for_each_kind_of_secret_in_its_way,
                   sizeof(exchanges) / sizeof(exchanges[0]));
    suite_add_loop(suite, SUITE_SAME, 20,
                   servers_are_entered_by_each_method_over_tcp_and_unix_socket,
                   sizeof(passages) / sizeof(passages[0]));
    suite_add(suite, SUITE_SAME, 20, the_password_of_the_databases_line_wins);
    suite_add(suite, SUITE_SAME, 20, a_proven_scram_secret_logs_in_to_the_server);
    suite_add(suite, SUITE_OURS, 20, users_added_to_auth_file_may_log_in_without_a_reload);
    suite_add_loop(suite, SUITE_OURS, 20, an_unknown_user_is_told_the_same_as_a_wrong_password, 3);
    suite_add_loop(suite, SUITE_OURS, 20, the_servers_own_refusal_reaches_the_client, 2);
    suite_add(suite, SUITE_SAME, 20, encryption_requests_are_declined_and_the_login_goes_on);
    suite_add_loop(suite, SUITE_OURS, 20, newer_minor_versions_and_unknown_options_are_negotiated,
                   3);
    suite_add(suite, SUITE_OURS, 20, other_major_versions_are_refused);
    suite_add(suite, SUITE_SAME, 20, unknown_startup_parameters_are_refused_unless_ignored);
    suite_add(suite, SUITE_OURS, 20, parameters_in_options_are_set_or_refused_by_name);
    suite_add(suite, SUITE_SAME, 20, startup_parameters_hold_on_the_server);
    suite_add(suite, SUITE_SAME, 20, the_login_tells_the_servers_parameters_and_a_cancel_key);
    suite_add(suite, SUITE_OURS, 20, a_login_without_user_is_refused);
    suite_add(suite, SUITE_SAME, 20, the_database_is_named_like_the_user_unless_said);
    suite_add(suite, SUITE_SAME, 20, a_database_that_is_not_configured_is_refused);
    suite_add(suite, SUITE_SAME, 20, the_star_database_leads_to_the_database_of_the_same_name);
    suite_add(suite, SUITE_SAME, 20, logins_and_departures_are_logged_in_the_known_words);
    return suite_finish(suite);
}
