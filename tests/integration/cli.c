/* The command line, the settings file and its mistakes, the log's places and forms. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

/* Writes a file beside the others of this test; its path. */
static char *write_file(const char *name, const char *contents)
{
    static char *directory;
    char *path;

    if (!directory)
        directory = process_directory();
    path = text("%s/%s", directory, name);
    file_write(path, contents);
    return path;
}

static int check_file(const char *path, char **output)
{
    return sluice_run((char *[]){text("--check"), text("%s", path), NULL}, output);
}

static const char sound[] = "[databases]\n"
                            "p = host=127.0.0.1\n"
                            "[sluice]\n"
                            "listen_addr = 127.0.0.1\n"
                            "auth_type = trust\n";

START_TEST(the_version_is_told)
{
    char *output;

    ck_assert_int_eq(sluice_run((char *[]){text("-V"), NULL}, &output), 0);
    ck_assert_msg(suite_reference() || strncmp(output, "sluice ", 7) == 0, "%s", output);
    ck_assert_int_eq(sluice_run((char *[]){text("--version"), NULL}, &output), 0);
}
END_TEST

START_TEST(a_wrong_command_line_is_told_and_fails)
{
    char *output;

    ck_assert_int_eq(sluice_run((char *[]){NULL}, &output), 1);
    ck_assert_int_gt(strlen(output), 0);
    ck_assert_int_eq(sluice_run((char *[]){text("--no-such-option"), text("x"), NULL}, &output), 1);
    ck_assert_int_gt(strlen(output), 0);
}
END_TEST

START_TEST(check_accepts_a_sound_file_and_starts_nothing)
{
    char *output;

    ck_assert_msg(check_file(write_file("a.ini", sound), &output) == 0, "%s", output);
}
END_TEST

/* Every mistake of a file is listed, each with file and line, by --check and by a start alike. */
START_TEST(all_mistakes_are_listed_with_file_and_line)
{
    char *path = write_file("bad.ini", "[databases]\n"                   /* 1 */
                                       "p = host=127.0.0.1 colour=red\n" /* 2 */
                                       "q = port=99999\n"                /* 3 */
                                       "[sluice]\n"                      /* 4 */
                                       "listen_addr = 127.0.0.1\n"       /* 5 */
                                       "no_such_key = 1\n"               /* 6 */
                                       "pool_mode = sometimes\n"         /* 7 */
                                       "max_client_conn = many\n"        /* 8 */
                                       "query_timeout = -1\n"            /* 9 */
                                       "auth_type = trust\n"             /* 10 */
                                       "[users]\n"                       /* 11 */
                                       "user1 = pool_mode=nonsense\n"    /* 12 */
                                       "[nonsense]\n"                    /* 13 */
                                       "a = b\n");
    static const int lines[] = {2, 3, 6, 7, 8, 9, 12};
    char *output;

    for (int way = 0; way < 2; way++) {
        if (way == 0)
            ck_assert_int_eq(check_file(path, &output), 1);
        else
            ck_assert_int_eq(sluice_run((char *[]){path, NULL}, &output), 1);
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
            ck_assert_msg(strstr(output, text("%s:%d:", path, lines[i])),
                          "line %d is not complained about:\n%s", lines[i], output);
        for (int good = 4; good <= 11; good++)
            if (good == 4 || good == 5 || good == 10 || good == 11)
                ck_assert_msg(!strstr(output, text("%s:%d:", path, good)), "line %d is good:\n%s",
                              good, output);
        ck_assert_ptr_nonnull(strstr(output, "no_such_key"));
        ck_assert_ptr_nonnull(strstr(output, "sometimes"));
        ck_assert_ptr_nonnull(strstr(output, "nonsense"));
    }
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
    char *output;
    char *missing = text("%s/missing.ini", process_directory());

    ck_assert_int_eq(check_file(missing, &output), 1);
    ck_assert_ptr_nonnull(strstr(output, missing));
    ck_assert_int_eq(
        check_file(write_file("b.ini", text("%sauth_file = %s\n", sound, missing)), &output), 1);
    ck_assert_ptr_nonnull(strstr(output, missing));
    ck_assert_int_eq(
        check_file(write_file("c.ini", text("%s%%include %s\n", sound, missing)), &output), 1);
    ck_assert_ptr_nonnull(strstr(output, missing));
}
END_TEST

START_TEST(mistakes_of_an_included_file_are_told_with_its_name)
{
    char *included = write_file("more.ini", "[sluice]\nno_such_key = 1\n");
    char *output;

    ck_assert_int_eq(
        check_file(write_file("d.ini", text("%s%%include %s\n", sound, included)), &output), 1);
    ck_assert_msg(strstr(output, text("%s:2:", included)), "%s", output);
}
END_TEST

/* An ini file as people have it, with keys that do nothing here, comments of both kinds, an
 * include, upper and lower case, and the old section's name. */
START_TEST(an_existing_pgbouncer_ini_starts_unchanged)
{
    PGconn *connection;
    char *users, *included;

    sluice_prepare(&sluice);
    sluice.postgres = postgres_shared();
    users = text("%s/userlist.txt", sluice.directory);
    included = text("%s/more.ini", sluice.directory);
    file_write(users,
               "; people\n\"user1\" \"user1\"\n\"app\" \"md51e9c8b5a5e5bd4a4b8f4ffd6a6e1f2a3\"\n"
               "\"with \"\"quotes\"\"\" \"pass \"\"word\"\"\"\n");
    file_write(included, "[databases]\nincluded = host=127.0.0.1\n");
    sluice_launch(
        &sluice,
        text(";; database name = connect string\n"
             "[databases]\n"
             "; foodb over Unix socket\n"
             "foodb =\n"
             "p = host=127.0.0.1 port=%u dbname=%s\n"
             "# redirect bardb to bazdb on localhost\n"
             "bardb = host=localhost dbname=bazdb\n"
             "forcedb = host=localhost port=300 user=baz password='it''s' client_encoding=UNICODE"
             " datestyle=ISO connect_query='SELECT 1' pool_size=5 reserve_pool=2 "
             "max_db_connections=9\n"
             "* = host=127.0.0.1\n"
             "\n[users]\n"
             "user1 = pool_mode=transaction max_user_connections=10\n"
             "\n[pgbouncer]\n"
             "logfile = %s/pgbouncer.log\n"
             "pidfile = %s/pgbouncer.pid\n"
             "listen_addr = 127.0.0.1\n"
             "listen_port = %u\n"
             "unix_socket_dir = %s\n"
             "unix_socket_mode = 0777\n"
             ";unix_socket_group =\n"
             ";client_tls_sslmode = disable\n"
             "server_tls_sslmode = prefer\n"
             "auth_type = md5\n"
             "auth_file = %s\n"
             "admin_users = user2, someadminuser, otheradmin\n"
             "stats_users = stats, root\n"
             "pool_mode = session\n"
             "server_reset_query = DISCARD ALL\n"
             "server_reset_query_always = 0\n"
             "ignore_startup_parameters = extra_float_digits\n"
             "server_check_query = select 1\n"
             "server_check_delay = 30\n"
             "application_name_add_host = 1\n"
             "max_client_conn = 100\n"
             "default_pool_size = 20\n"
             "min_pool_size = 0\n"
             "reserve_pool_size = 5\n"
             "reserve_pool_timeout = 5\n"
             "max_db_connections = 50\n"
             "max_user_connections = 50\n"
             "server_round_robin = 0\n"
             "log_connections = 1\n"
             "log_disconnections = 1\n"
             "log_pooler_errors = 1\n"
             "stats_period = 60\n"
             "verbose = 0\n"
             "server_lifetime = 3600\n"
             "server_idle_timeout = 600\n"
             "server_connect_timeout = 15\n"
             "server_login_retry = 15\n"
             "query_timeout = 0\n"
             "query_wait_timeout = 120\n"
             "client_idle_timeout = 0\n"
             "client_login_timeout = 60\n"
             "autodb_idle_timeout = 3600\n"
             "idle_transaction_timeout = 0\n"
             "suspend_timeout = 10\n"
             "pkt_buf = 4096\n"
             "max_packet_size = 2147483647\n"
             "listen_backlog = 128\n"
             "sbuf_loopcnt = 5\n"
             "so_reuseport = 0\n"
             "tcp_defer_accept = 0\n"
             "tcp_socket_buffer = 0\n"
             "tcp_keepalive = 1\n"
             "tcp_keepcnt = 0\n"
             "tcp_keepidle = 0\n"
             "tcp_keepintvl = 0\n"
             "tcp_user_timeout = 0\n"
             "dns_max_ttl = 15\n"
             "dns_zone_check_period = 0\n"
             "dns_nxdomain_ttl = 15\n"
             "disable_pqexec = 0\n"
             "conffile = %s\n"
             "%%include %s\n",
             sluice.postgres->port, sluice.postgres->database, sluice.directory, sluice.directory,
             sluice.port, sluice.directory, users, sluice.ini, included));
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_str_eq(sql_value(connection, "SELECT current_user"), "user1");
    PQfinish(connection);
    ck_assert_int_eq(atoi(file_read(text("%s/pgbouncer.pid", sluice.directory))), sluice.pid);
    ck_assert_ptr_nonnull(
        strstr(file_read(text("%s/pgbouncer.log", sluice.directory)), "login attempt"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_daemon_goes_into_the_background_and_says_which_process_it_is)
{
    char *output, *pidfile;
    PGconn *connection;
    int status;

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* so that it becomes our child */
    sluice_prepare(&sluice);
    sluice.postgres = postgres_shared();
    pidfile = text("%s/pid", sluice.directory);
    file_write(sluice.ini,
               text("[databases]\np = host=127.0.0.1 port=%u dbname=%s user=user1 password=user1\n"
                    "[sluice]\n"
                    "listen_addr = 127.0.0.1\nlisten_port = %u\nunix_socket_dir =\n"
                    "auth_type = any\nlogfile = %s\npidfile = %s\n",
                    sluice.postgres->port, sluice.postgres->database, sluice.port, sluice.log,
                    pidfile));
    ck_assert_int_eq(sluice_run((char *[]){text("-d"), sluice.ini, NULL}, &output), 0);
    ck_assert_str_eq(output, "");
    await((sluice.pid = atoi(file_read(pidfile))) > 0, 20);
    sluice_await_log(&sluice, "process up");
    connection = sluice_try(&sluice, "user=user1 dbname=p");
    ck_assert_int_eq(sluice_run((char *[]){text("-d"), sluice.ini, NULL}, &output), 1);
    sluice_signal(&sluice, SIGINT);
    ck_assert_int_eq(waitpid(sluice.pid, &status, 0), sluice.pid);
    ck_assert_int_eq(status, 0);
    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PQfinish(connection);
    ck_assert_str_eq(file_read(pidfile), "");
}
END_TEST

START_TEST(a_value_of_four_thousand_bytes_is_read_whole)
{
    static char name[4001];
    PGconn *connection;

    memset(name, 'n', sizeof(name) - 1);
    sluice_start(&sluice, .settings = "pool_mode = transaction\n",
                 .databases = text("p = {server} connect_query='SET myapp.long = ''%s'''\n", name));
    connection = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_uint_eq(strlen(sql_value(connection, "SHOW myapp.long")), sizeof(name) - 1);
    ck_assert_int_eq(strcmp(sql_value(connection, "SHOW myapp.long"), name), 0);
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_key_that_has_no_effect_is_named_once)
{
    sluice_start(&sluice, .settings = "pkt_buf = 8192\n");
    sluice_await_log(&sluice, "pkt_buf");
    ck_assert_uint_eq(sluice_log_count(&sluice, "pkt_buf"), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_port_in_use_is_told_and_fails)
{
    char *output;

    sluice_start(&sluice);
    ck_assert_int_eq(sluice_run((char *[]){sluice.ini, NULL}, &output), 1);
    ck_assert_msg(suite_reference() || strstr(output, text("%u", sluice.port)), "%s", output);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(log_lines_can_be_json_objects)
{
    char *log, *line;

    sluice_start(&sluice, .settings = "log_format = json\n");
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p"));
    sluice_await_log(&sluice, "closing because");
    log = file_read(sluice.log);
    for (line = strtok(log, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(line[0] == '{' && line[strlen(line) - 1] == '}', "%s", line);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(logins_and_departures_need_not_be_logged)
{
    sluice_start(&sluice, .settings = "log_connections = 0\nlog_disconnections = 0\n");
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p"));
    PQfinish(sluice_connect(&sluice, "user=user2 dbname=p"));
    sluice_signal(&sluice, SIGUSR1);
    sluice_await_log(&sluice, "USR1"); /* a line that comes after theirs would have */
    ck_assert_uint_eq(sluice_log_count(&sluice, "login attempt"), 0);
    ck_assert_uint_eq(sluice_log_count(&sluice, "closing because: client"), 0);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");

    suite_add(suite, SUITE_OURS, 20,
              a_daemon_goes_into_the_background_and_says_which_process_it_is);
    suite_add(suite, SUITE_SAME, 20, the_version_is_told);
    suite_add(suite, SUITE_SAME, 20, a_wrong_command_line_is_told_and_fails);
    suite_add(suite, SUITE_OURS, 20, check_accepts_a_sound_file_and_starts_nothing);
    suite_add(suite, SUITE_OURS, 20, all_mistakes_are_listed_with_file_and_line);
    suite_add(suite, SUITE_OURS, 20, a_file_that_cannot_be_read_is_named);
    suite_add(suite, SUITE_OURS, 20, mistakes_of_an_included_file_are_told_with_its_name);
    suite_add(suite, SUITE_SAME, 20, an_existing_pgbouncer_ini_starts_unchanged);
    suite_add(suite, SUITE_OURS, 20, a_value_of_four_thousand_bytes_is_read_whole);
    suite_add(suite, SUITE_OURS, 20, a_key_that_has_no_effect_is_named_once);
    suite_add(suite, SUITE_SAME, 20, a_port_in_use_is_told_and_fails);
    suite_add(suite, SUITE_OURS, 20, log_lines_can_be_json_objects);
    suite_add(suite, SUITE_SAME, 20, logins_and_departures_need_not_be_logged);
    return suite_finish(suite);
}
