/* The SQL console: who may use it, what it shows; by both protocols. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static PGconn *start(void)
{
    return console_start(&sluice, "pool_mode = transaction\n");
}

static void end(PGconn *console)
{
    console_end(console, &sluice);
}

static char *pool_cell(PGconn *console, const char *column)
{
    return console_cell(console, "SHOW POOLS", "p", column);
}

/* --- who may --- */

START_TEST(a_stranger_is_not_allowed)
{
    PGconn *console = start();

    ck_assert_str_eq(sluice_refusal(&sluice, "user=user3 dbname=pgbouncer"), "28000: not allowed");
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user3 dbname=sluice"), "28000: not allowed");
    end(console);
}
END_TEST

START_TEST(the_console_asks_for_the_password)
{
    sluice_start(&sluice, .settings = CONSOLE_USERS "auth_type = scram-sha-256\n");
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=pgbouncer"));
    ck_assert_ptr_nonnull(
        strstr(sluice_refusal(&sluice, "user=user1 dbname=pgbouncer password=x"), "28P01"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(stats_users_look_and_do_nothing)
{
    PGconn *console = start(), *looker;
    static const char *const commands[] = {
        "PAUSE",    "RESUME",          "SUSPEND",
        "KILL",     "KILL p",          "KILL_CLIENT 1",
        "RELOAD",   "RECONNECT",       "DISABLE p",
        "ENABLE p", "WAIT_CLOSE",      "SHUTDOWN",
        "SHOW FDS", "SET verbose = 1", "SHUTDOWN WAIT_FOR_CLIENTS",
    };

    looker = sluice_connect(&sluice, "user=user2 dbname=pgbouncer");
    ck_assert_int_gt(console_rows(looker, "SHOW CONFIG"), 50);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        ck_assert_str_eq(sql_error(looker, commands[i]), "42501 admin access needed");
    PQfinish(looker);
    end(console);
}
END_TEST

START_TEST(the_same_user_needs_no_password_on_the_unix_socket)
{
    struct client client;

    sluice_start(&sluice, .settings = CONSOLE_USERS "auth_type = scram-sha-256\n");
    client_open_to(&client, sluice.directory, sluice.port);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "pgbouncer", "database",
                                     "pgbouncer", NULL));
    /* The daemon may run as another user than the test: then a password is asked for. */
    if (getuid() == 0)
        ck_assert_str_eq(client_message(&client), "R(sasl)");
    else
        ck_assert_str_eq(client_message(&client), "R(ok)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_console_is_there_when_no_client_is_let_in)
{
    PGconn *client, *console;

    sluice_start(&sluice, .settings = CONSOLE_USERS "max_client_conn = 1\n");
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    ck_assert_ptr_nonnull(
        strstr(sluice_refusal(&sluice, "user=user1 dbname=p"), "max_client_conn"));
    console = sluice_connect(&sluice, "user=user1 dbname=sluice");
    ck_assert_str_eq(console_cell(console, "SHOW DATABASES", "p", "current_client_connections"),
                     "1");
    PQfinish(client);
    end(console);
}
END_TEST

/* --- what it shows --- */

static const struct {
    const char *name, *columns;
} tables[] = {
    {"POOLS",
     "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active "
     "sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us "
     "pool_mode load_balance_hosts "},
    {"STATS",
     "database total_server_assignment_count total_xact_count total_query_count total_received "
     "total_sent total_xact_time total_query_time total_wait_time total_client_parse_count "
     "total_server_parse_count total_bind_count total_client_login_count "
     "avg_server_assignment_count avg_xact_count avg_query_count avg_recv avg_sent avg_xact_time "
     "avg_query_time avg_wait_time avg_client_parse_count avg_server_parse_count avg_bind_count "
     "avg_client_login_count total_requests "},
    {"STATS_TOTALS",
     "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time "
     "query_time wait_time client_parse_count server_parse_count bind_count client_login_count "},
    {"STATS_AVERAGES",
     "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time "
     "query_time wait_time avg_client_parse_count avg_server_parse_count avg_bind_count "
     "avg_client_login_count "},
    {"TOTALS", "name value "},
    {"CLIENTS", "type user database replication state addr port local_addr local_port connect_time "
                "request_time wait wait_us close_needed ptr link remote_pid tls application_name "
                "prepared_statements id "},
    {"SERVERS", "type user database replication state addr port local_addr local_port connect_time "
                "request_time wait wait_us close_needed ptr link remote_pid tls application_name "
                "prepared_statements id "},
    {"SOCKETS", "type user database replication state addr port local_addr local_port connect_time "
                "request_time wait wait_us close_needed ptr link remote_pid tls application_name "
                "prepared_statements id recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail "
                "send_avail "},
    {"ACTIVE_SOCKETS",
     "type user database replication state addr port local_addr local_port connect_time "
     "request_time wait wait_us close_needed ptr link remote_pid tls application_name "
     "prepared_statements id recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail "
     "send_avail "},
    {"DATABASES",
     "name host port database force_user pool_size min_pool_size reserve_pool_size "
     "server_lifetime pool_mode load_balance_hosts max_connections current_connections "
     "max_client_connections current_client_connections paused disabled reserve_pool "},
    {"LISTS", "list items "},
    {"CONFIG", "key value default changeable "},
    {"USERS", "name pool_size reserve_pool_size pool_mode max_user_connections current_connections "
              "max_user_client_connections current_client_connections "},
    {"PEERS", "peer_id host port pool_size "},
    {"PEER_POOLS", "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login "},
    {"FDS",
     "fd task user database addr port cancel link client_encoding std_strings datestyle timezone "
     "password scram_client_key scram_server_key "},
    {"MEM", "name size used free memtotal "},
    {"STATE", "key value "},
    {"DNS_HOSTS", "hostname ttl addrs "},
    {"DNS_ZONES", "zonename serial count "},
    {"VERSION", "version "},
};

static char *columns_of(const PGresult *result)
{
    char *columns = text("%s", "");

    for (int i = 0; i < PQnfields(result); i++)
        columns = text("%s%s ", columns, PQfname(result, i));
    return columns;
}

/* By the simple protocol, by the extended one in text and in binary, and by Describe alone. */
START_TEST(each_show_has_its_columns_in_order)
{
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");
    char *sql = text("SHOW %s;", tables[_i].name);
    PGresult *results[4];

    sql_do(client, "SELECT 1");
    results[0] = PQexec(console, sql);
    results[1] = PQexecParams(console, sql, 0, NULL, NULL, NULL, NULL, 0);
    results[2] = PQexecParams(console, sql, 0, NULL, NULL, NULL, NULL, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(PQresultStatus(results[i]) == PGRES_TUPLES_OK, "%s", PQerrorMessage(console));
        ck_assert_str_eq(columns_of(results[i]), tables[_i].columns);
    }
    PQclear(PQprepare(console, "s", sql, 0, NULL));
    results[3] = PQdescribePrepared(console, "s");
    ck_assert_str_eq(columns_of(results[3]), tables[_i].columns);
    for (int i = 0; i < 4; i++)
        PQclear(results[i]);
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(pools_count_clients_and_servers)
{
    PGconn *console = console_start(&sluice, "pool_mode = transaction\ndefault_pool_size = 1\n");
    PGconn *busy = sluice_connect(&sluice, "user=user1 dbname=p");
    PGconn *waiting = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(busy, "BEGIN");
    ck_assert_int_eq(PQsendQuery(waiting, "SELECT 1"), 1);
    await(strcmp(pool_cell(console, "cl_waiting"), "1") == 0, 20);
    ck_assert_str_eq(pool_cell(console, "user"), "user1");
    ck_assert_str_eq(pool_cell(console, "cl_active"), "1");
    ck_assert_str_eq(pool_cell(console, "sv_active"), "1");
    ck_assert_str_eq(pool_cell(console, "pool_mode"), "transaction");
    await(strcmp(pool_cell(console, "maxwait_us"), "0") != 0, 20);
    sql_do(busy, "COMMIT");
    PQclear(PQgetResult(waiting));
    await(strcmp(pool_cell(console, "sv_idle"), "1") == 0, 20);
    ck_assert_str_eq(pool_cell(console, "cl_active"), "2");
    ck_assert_str_eq(console_cell(console, "SHOW POOLS", "pgbouncer", "cl_active"), "1");
    ck_assert_str_eq(console_cell(console, "SHOW LISTS", "used_clients", "items"), "3");
    ck_assert_str_eq(console_cell(console, "SHOW LISTS", "used_servers", "items"), "1");
    PQfinish(busy);
    PQfinish(waiting);
    end(console);
}
END_TEST

START_TEST(clients_and_servers_name_each_other)
{
    PGconn *console = start(), *client;
    PGresult *clients, *servers;

    client = sluice_connect(&sluice, "user=user1 dbname=p application_name=one");
    sql_do(client, "BEGIN");
    clients = PQexec(console, "SHOW CLIENTS");
    servers = PQexec(console, "SHOW SERVERS");
#define OF(result, column) PQgetvalue(result, 0, PQfnumber(result, column))
    ck_assert_int_eq(PQntuples(clients), 2); /* and the console itself */
    ck_assert_int_eq(PQntuples(servers), 1);
    ck_assert_str_eq(OF(clients, "state"), "active");
    ck_assert_str_eq(OF(clients, "application_name"), "one");
    ck_assert_str_eq(OF(clients, "addr"), "127.0.0.1");
    ck_assert_str_eq(OF(clients, "local_port"), text("%u", sluice.port));
    ck_assert_str_eq(OF(clients, "link"), OF(servers, "ptr"));
    ck_assert_str_eq(OF(servers, "link"), OF(clients, "ptr"));
    ck_assert_str_eq(OF(servers, "database"), "p");
    ck_assert_str_eq(OF(servers, "remote_pid"), sql_value(client, "SELECT pg_backend_pid()"));
#undef OF
    PQclear(clients);
    PQclear(servers);
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(pinned_clients_are_told_with_the_reason)
{
    PGconn *console = start(), *client;
    PGresult *result;
    double since;

    client = sluice_connect(&sluice, "user=user2 dbname=p application_name=one");
    ck_assert_int_eq(console_rows(console, "SHOW PINNED"), 0);
    sql_do(client, "CREATE TEMP TABLE mine (n int)");
    await(console_rows(console, "SHOW PINNED") == 1, 20);
    since = seconds_now();
    await(seconds_now() - since > 1, 20);
    result = PQexec(console, "SHOW PINNED");
#define OF(column) PQgetvalue(result, 0, PQfnumber(result, column))
    ck_assert_int_eq(PQntuples(result), 1);
    ck_assert_str_eq(OF("server"), console_cell(console, "SHOW SERVERS", "S", "ptr"));
    ck_assert_str_eq(OF("client"), console_cell(console, "SHOW SERVERS", "S", "link"));
    ck_assert_str_eq(OF("database"), "p");
    ck_assert_str_eq(OF("user"), "user2");
    ck_assert_str_eq(OF("application_name"), "one");
    ck_assert_str_eq(OF("reason"), "temporary tables");
    ck_assert_int_ge(atol(OF("age")), 1);
    ck_assert_uint_eq(strspn(OF("since"), "0123456789-"), strlen("2000-01-01"));
#undef OF
    PQclear(result);
    sql_do(client, "DISCARD ALL");
    await(console_rows(console, "SHOW PINNED") == 0, 20);
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(stats_count_queries)
{
    PGconn *console = console_start(&sluice, "stats_period = 1\n");
    PGconn *client = sluice_connect(&sluice, "user=user1 dbname=p");
    PGresult *result;

    for (int i = 0; i < 5; i++)
        sql_do(client, "SELECT 1");
    ck_assert_str_eq(console_cell(console, "SHOW STATS", "p", "total_query_count"), "5");
    ck_assert_str_eq(console_cell(console, "SHOW STATS_TOTALS", "p", "client_login_count"), "1");
    await(atol(console_cell(console, "SHOW STATS_AVERAGES", "p", "bytes_sent")) > 0, 20);
    /* Binary: a numeric of one digit. */
    result = PQexecParams(console, "SHOW STATS", 0, NULL, NULL, NULL, NULL, 1);
    ck_assert_str_eq(PQgetvalue(result, 0, 0), "p");
    ck_assert_int_eq(PQgetlength(result, 0, 3), 10);
    ck_assert_mem_eq(PQgetvalue(result, 0, 3), "\0\1\0\0\0\0\0\0\0\5", 10);
    PQclear(result);
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(an_auto_database_is_logged_once)
{
    struct postgres *postgres = postgres_shared();
    PGconn *clients[3];

    sluice_start(&sluice, .databases = text("* = host=127.0.0.1 port=%u\n", postgres->port));
    for (int i = 0; i < 3; i++)
        clients[i] =
            sluice_connect(&sluice, text("user=user%d dbname=%s", i + 1, postgres->database));
    ck_assert_uint_eq(
        sluice_log_count(&sluice, text("registered new auto-database: db=%s", postgres->database)),
        1);
    for (int i = 0; i < 3; i++)
        PQfinish(clients[i]);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(help_is_a_notice)
{
    struct client client;
    char *answer;

    PQfinish(start());
    client_login(&client, &sluice, "user2", "pgbouncer");
    answer = client_query(&client, "SHOW HELP");
    ck_assert_str_eq(answer, "N(00000 Console usage) C(SHOW) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

/* --- how it is asked --- */

START_TEST(mistakes_are_told_and_the_console_goes_on)
{
    PGconn *console = start();

    ck_assert_str_eq(sql_error(console, "SHOW nonsense"),
                     "42601 invalid command 'SHOW nonsense', use SHOW HELP;");
    ck_assert_str_eq(sql_error(console, "BEGIN"), "42601 invalid command 'BEGIN', use SHOW HELP;");
    ck_assert_str_eq(sql_error(console, "PAUSE nosuch"), "3D000 no such database: nosuch");
    ck_assert_str_eq(sql_error(console, "PAUSE pgbouncer"),
                     "55000 cannot pause admin db: pgbouncer");
    ck_assert_str_eq(sql_error(console, "RESUME"), "55000 pooler is not paused/suspended");
    ck_assert_str_eq(sql_error(console, "RESUME p"), "55000 database p is not paused");
    ck_assert_str_eq(sql_error(console, "DISABLE"), "42601 a database is required");
    ck_assert_str_eq(sql_error(console, "KILL_CLIENT x"), "22023 invalid client pointer supplied");
    ck_assert_str_eq(sql_error(console, "KILL_CLIENT 999999"), "55000 client not found");
    ck_assert_str_eq(sql_error(console, "SET nonsense = 1"), "22023 SET failed");
    ck_assert_str_eq(sql_error(console, "SHOW \"clients"),
                     "42601 invalid command 'SHOW \"clients', use SHOW HELP;");
    ck_assert_int_eq(console_rows(console, "  /* one */ select VERSION ; -- two"), 1);
    ck_assert_str_eq(sql_value(console, "SHOW transaction isolation level"), "read committed");
    end(console);
}
END_TEST

START_TEST(a_pipeline_is_answered_in_order)
{
    struct client client;
    struct packet *packet = put_new();

    PQfinish(start());
    client_login(&client, &sluice, "user1", "pgbouncer");
    put_extended(packet, "SHOW STATE", NULL);
    put_extended(packet, "SHOW POOLS", NULL); /* asks the workers */
    put_sync(packet);
    put_extended(packet, "nonsense", NULL);
    put_sync(packet);
    put_query(packet, "SHOW PEERS");
    put_query(packet, "");
    client_send(&client, packet);
    ck_assert_str_eq(client_answers(&client, 4),
                     "1 2 T(key,value) D(active,yes) D(paused,no) D(suspended,no) C(SHOW) "
                     "1 2 T(database,user,cl_active,cl_waiting,cl_active_cancel_req,"
                     "cl_waiting_cancel_req,sv_active,sv_active_cancel,sv_being_canceled,sv_idle,"
                     "sv_used,sv_tested,sv_login,maxwait,maxwait_us,pool_mode,load_balance_hosts) "
                     "D(pgbouncer,pgbouncer,1,0,0,0,0,0,0,0,0,0,0,0,0,statement,null) C(SHOW) Z(I) "
                     "E(42601 invalid command 'nonsense', use SHOW HELP;) Z(I) "
                     "T(peer_id,host,port,pool_size) C(SHOW) Z(I) I Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(garbage_ends_the_console_only)
{
    PGconn *console = start();
    struct client client;

    client_login(&client, &sluice, "user1", "pgbouncer");
    client_send(&client, put_bytes(put_new(), "Q\xff\xff\xff\xff", 5));
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);
    client_login(&client, &sluice, "user1", "pgbouncer");
    client_send(&client, put_message(put_new(), 'B', "\0\0\0\xff\0\xff", 6));
    client_send(&client, put_sync(put_new()));
    ck_assert_str_eq(client_answer(&client), "E(08P01 invalid message) Z(I)");
    client_close(&client);
    sql_do(console, "SHOW VERSION");
    end(console);
}
END_TEST

/* Runs the command; its output. The test fails unless it exits with 0. */
static char *output_of(const char *command)
{
    FILE *pipe = popen(command, "re");
    char output[4000] = "";
    size_t length = fread(output, 1, sizeof(output) - 1, pipe);
    int status = pclose(pipe);

    output[length] = '\0';
    ck_assert_msg(status == 0, "%s: %s", command, output);
    return text("%s", output);
}

/* Debian's package check-postgres, where it is installed. */
START_TEST(check_postgres_understands_the_console)
{
    static const char *const actions[] = {
        "pgb_pool_cl_active", "pgb_pool_cl_waiting", "pgb_pool_sv_active",
        "pgb_pool_sv_idle",   "pgb_pool_sv_used",    "pgb_pool_sv_tested",
        "pgb_pool_sv_login",  "pgb_pool_maxwait",    "pgbouncer_backends",
    };
    PGconn *console = start(), *client = sluice_connect(&sluice, "user=user1 dbname=p");

    sql_do(client, "SELECT 1");
    for (size_t i = 0;
         access("/usr/bin/check_postgres", X_OK) == 0 && i < sizeof(actions) / sizeof(actions[0]);
         i++) {
        char *output = output_of(text("/usr/bin/check_postgres --action=%s --host=127.0.0.1 "
                                      "--port=%u --dbuser=user1 -w 50 -c 60 2>&1",
                                      actions[i], sluice.port));

        ck_assert_msg(strstr(output, " OK: ") != NULL, "%s", output);
    }
    PQfinish(client);
    end(console);
}
END_TEST

START_TEST(top_reads_the_console_of_the_settings)
{
    PGconn *client;
    char *output;

    sluice_start(&sluice, .settings = text(CONSOLE_USERS "pool_mode = transaction\n"));
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    ck_assert_int_eq(sluice_run((char *[]){text("--top"), sluice.ini, NULL}, &output), 0);
    ck_assert_msg(strstr(output, "DATABASE ") && strstr(output, "\np  "), "%s", output);
    PQfinish(client);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console");

    suite_add(suite, SUITE_OURS, 20, a_stranger_is_not_allowed);
    suite_add(suite, SUITE_OURS, 20, the_console_asks_for_the_password);
    suite_add(suite, SUITE_OURS, 20, stats_users_look_and_do_nothing);
    suite_add(suite, SUITE_OURS, 20, the_same_user_needs_no_password_on_the_unix_socket);
    suite_add(suite, SUITE_OURS, 20, the_console_is_there_when_no_client_is_let_in);
    suite_add_loop(suite, SUITE_OURS, 20, each_show_has_its_columns_in_order,
                   sizeof(tables) / sizeof(tables[0]));
    suite_add(suite, SUITE_OURS, 20, pools_count_clients_and_servers);
    suite_add(suite, SUITE_OURS, 20, clients_and_servers_name_each_other);
    suite_add(suite, SUITE_OURS, 20, pinned_clients_are_told_with_the_reason);
    suite_add(suite, SUITE_OURS, 20, stats_count_queries);
    suite_add(suite, SUITE_OURS, 20, an_auto_database_is_logged_once);
    suite_add(suite, SUITE_OURS, 20, help_is_a_notice);
    suite_add(suite, SUITE_OURS, 20, mistakes_are_told_and_the_console_goes_on);
    suite_add(suite, SUITE_OURS, 20, a_pipeline_is_answered_in_order);
    suite_add(suite, SUITE_OURS, 20, garbage_ends_the_console_only);
    suite_add(suite, SUITE_OURS, 20, top_reads_the_console_of_the_settings);
    suite_add(suite, SUITE_OURS, 60, check_postgres_understands_the_console);
    return suite_finish(suite);
}
