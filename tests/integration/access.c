/* auth_type = hba: who may log in, from where and how, by rules in the form of pg_hba.conf. */
#include <check.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"
#include "harness/tls.h"

static struct sluice sluice;
static char *hba;

static void write_rules(const char *rules)
{
    file_write(hba, rules);
    process_give(hba);
}

/* Settings that name a file with these rules, and `more`. */
static char *settings_with(const char *rules, const char *more)
{
    hba = text("%s/hba.conf", process_directory());
    write_rules(rules);
    return text("auth_type = hba\nauth_hba_file = %s\n%s", hba, more);
}

/* What a client is asked, or why it is refused. */
static char *asked(const char *where, const char *user, const char *database, const char *name,
                   const char *value)
{
    struct client client;
    char *said;

    client_open_to(&client, where, sluice.port);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", user, "database", database,
                                     name, value, NULL));
    said = client_message(&client);
    client_close(&client);
    return said;
}

START_TEST(the_first_rule_that_matches_decides)
{
    const char *local;

    sluice_start(&sluice, .databases = "p = {server}\nother = {server}\n",
                 .settings = settings_with("# who comes how\n"
                                           "local all user1 trust\n"
                                           "local all all md5\n"
                                           "host p user1 127.0.0.1/32 scram-sha-256\n"
                                           "host p user2 127.0.0.0 255.0.0.0 password\n"
                                           "host other user2,user3 samehost md5\n"
                                           "host all user3 ::1/128 trust\n"
                                           "host replication user4 all md5\n"
                                           "host p user4 127.0.0.1/32 reject\n"
                                           "host all user4 all trust\n"
                                           "host p nobody all trust\n",
                                           "listen_addr = 127.0.0.1, ::1\n"));
    local = sluice.directory;
    ck_assert_str_eq(asked("127.0.0.1", "user1", "p", "a", "b"), "R(sasl)");
    ck_assert_str_eq(asked("127.0.0.1", "user2", "p", "a", "b"), "R(cleartext)");
    ck_assert_str_eq(asked("127.0.0.1", "user2", "other", "a", "b"), "R(md5)");
    ck_assert_str_eq(asked(local, "user1", "p", "application_name", "b"), "R(ok)");
    ck_assert_str_eq(asked(local, "user2", "p", "a", "b"), "R(md5)");
    ck_assert_str_eq(asked("::1", "user3", "p", "application_name", "b"), "R(ok)");
    ck_assert_str_eq(asked("127.0.0.1", "user3", "p", "a", "b"),
                     "E(28000 authentication failed for user \"user3\": host rejected)");
    ck_assert_str_eq(asked("127.0.0.1", "user4", "p", "a", "b"),
                     "E(28000 authentication failed for user \"user4\": host rejected)");
    ck_assert_str_eq(asked("127.0.0.1", "user4", "p", "replication", "true"), "R(md5)");
    ck_assert_str_eq(asked("127.0.0.1", "user4", "p", "replication", "database"),
                     "E(28000 authentication failed for user \"user4\": host rejected)");
    ck_assert_str_eq(asked("127.0.0.1", "user4", "other", "application_name", "b"), "R(ok)");
    /* A rule does not make a user known. */
    ck_assert_str_eq(asked("127.0.0.1", "nobody", "p", "a", "b"),
                     "E(28000 role \"nobody\" does not exist)");
    sluice_await_log(&sluice, "no rule of auth_hba_file lets it in");
    sluice_await_log(&sluice, "rejected by line 9 of auth_hba_file");
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p"));
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p password=wrong"),
                     "28P01: password authentication failed for user \"user1\"");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_reload_takes_new_rules_unless_they_have_mistakes)
{
    sluice_start(&sluice, .settings = settings_with("host all user1 all trust\n", ""));
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p password=wrong"));
    write_rules("host all user1 all trust\nhost all user2 300.0.0.1/8 trust\nhost all\n");
    kill(sluice.pid, SIGHUP);
    sluice_await_log(&sluice, "hba.conf:2: ");
    sluice_await_log(&sluice, "hba.conf:3: ");
    sluice_await_log(&sluice, "the running ones stay");
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p password=wrong"));
    write_rules("host all user2 all trust\n");
    sluice_reload(&sluice);
    PQfinish(sluice_connect(&sluice, "user=user2 dbname=p password=wrong"));
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p"),
                     "28000: authentication failed for user \"user1\": host rejected");
    sluice_stop(&sluice);
}
END_TEST

static const struct {
    const char *rules, *more; /* NULL: no file */
    const char *said;
} bad[] = {
    {"local all all trust\nhost all all all ldap\n", "", "hba.conf:2: "},
    {"host all all 10.0.0.0/33 md5\n", "", "hba.conf:1: "},
    {"hostssl all all all cert\n", "", "hba.conf:1: cert needs client_tls_sslmode"},
    {"local all all peer map=m\n", "auth_ident_file = /nowhere/ident\n",
     "/nowhere/ident: auth_ident_file cannot be read: No such file"},
    {NULL, "auth_type = hba\n", "auth_type = hba needs auth_hba_file"},
    {NULL, "auth_type = hba\nauth_hba_file = /\n", "auth_hba_file cannot be read: Is a directory"},
};

START_TEST(mistakes_are_told_at_the_start)
{
    char *ini = text("%s/test.ini", process_directory()), *output;
    char *settings =
        bad[_i].rules ? settings_with(bad[_i].rules, bad[_i].more) : text("%s", bad[_i].more);
    char *arguments[] = {text("--check"), ini, NULL};

    file_write(ini, text("[databases]\np = host=127.0.0.1\n[pgbouncer]\nauth_file = /dev/null\n%s",
                         settings));
    ck_assert_int_eq(sluice_run(arguments, &output), 1);
    ck_assert_msg(strstr(output, bad[_i].said), "%s", output);
}
END_TEST

START_TEST(peer_goes_by_the_system_user)
{
    const char *name = getpwuid(getuid())->pw_name;
    char *ident = text("%s/ident.conf", process_directory());

    file_write(ident, text("# map, system user, role\nmine %s user1\nmine someone user2\n", name));
    process_give(ident);
    sluice_start(&sluice,
                 .settings = settings_with("local all user3 peer\nlocal all all peer map=mine\n",
                                           text("auth_ident_file = %s\n", ident)));
    ck_assert_str_eq(asked(sluice.directory, "user1", "p", "application_name", "b"), "R(ok)");
    ck_assert_str_eq(asked(sluice.directory, "user2", "p", "a", "b"),
                     "E(28000 Peer authentication failed for user \"user2\")");
    ck_assert_str_eq(asked(sluice.directory, "user3", "p", "a", "b"),
                     "E(28000 Peer authentication failed for user \"user3\")");
    sluice_stop(&sluice);
}
END_TEST

static PGconn *secured(const char *user, const char *certificate, const char *more)
{
    return sluice_try(&sluice,
                      text("user=%s dbname=p sslmode=require sslcert=%s/%s.crt "
                           "sslkey=%s/%s.key %s",
                           user, certificates(), certificate, certificates(), certificate, more));
}

START_TEST(certificates_name_users_by_a_map)
{
    char *ident = text("%s/ident.conf", process_directory());
    PGconn *connection;

    file_write(ident, "mine user1 user3\n");
    process_give(ident);
    sluice_start(&sluice, .settings = settings_with("hostssl all user3 all cert map=mine\n"
                                                    "hostssl all user1 all cert\n"
                                                    "hostnossl all user2 all trust\n",
                                                    text("auth_ident_file = %s\n%s", ident,
                                                         client_tls("verify-full", "server"))));
    connection = secured("user3", "user1", "");
    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PQfinish(connection);
    connection = secured("user1", "user1", "");
    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PQfinish(connection);
    connection = secured("user3", "user2", "");
    ck_assert_ptr_nonnull(
        strstr(PQerrorMessage(connection), "certificate authentication failed for user \"user3\""));
    PQfinish(connection);
    /* TLS, so not the rule without. */
    connection = secured("user2", "user2", "");
    ck_assert_ptr_nonnull(strstr(PQerrorMessage(connection), "host rejected"));
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access");

    suite_add(suite, SUITE_OURS, 20, the_first_rule_that_matches_decides);
    suite_add(suite, SUITE_OURS, 20, a_reload_takes_new_rules_unless_they_have_mistakes);
    suite_add_loop(suite, SUITE_OURS, 20, mistakes_are_told_at_the_start,
                   sizeof(bad) / sizeof(bad[0]));
    suite_add(suite, SUITE_OURS, 20, peer_goes_by_the_system_user);
    suite_add(suite, SUITE_OURS, 30, certificates_name_users_by_a_map);
    return suite_finish(suite);
}
