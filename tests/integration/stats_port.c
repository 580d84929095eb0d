/* The stats port: what it says, to whom, and that nobody can disturb it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/fake.h"
#include "harness/http.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static uint16_t port;

static void start_with(const char *databases)
{
    port = process_free_port();
    sluice_start(&sluice, .databases = databases,
                 .settings = text("admin_users = user1\npool_mode = transaction\n"
                                  "stats_listen = 127.0.0.1:%u\n",
                                  port));
}

static bool has(const char *answer, const char *wanted)
{
    return strstr(answer, wanted) != NULL;
}

START_TEST(metrics_agree_with_what_happened)
{
    PGconn *client;
    char *answer;

    start_with(NULL);
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    for (int i = 0; i < 3; i++)
        sql_do(client, "SELECT 1");
    answer = http_get(port, "/metrics");
    ck_assert_msg(has(answer, "HTTP/1.1 200 OK\r\n"), "%s", answer);
    ck_assert(has(answer, "Content-Type: text/plain; version=0.0.4"));
    ck_assert(has(answer, "\n# TYPE sluice_queries_total counter\n"));
    ck_assert(has(answer, "\nsluice_queries_total{database=\"p\"} 3\n"));
    ck_assert(
        has(answer, "\nsluice_pool_clients{database=\"p\",user=\"user1\",state=\"active\"} 1\n"));
    ck_assert(
        has(answer, "\nsluice_pool_servers{database=\"p\",user=\"user1\",state=\"idle\"} 1\n"));
    ck_assert(has(answer, "\nsluice_pool_servers_max{database=\"p\",user=\"user1\"} 20\n"));
    PQfinish(client);
    sluice_stop(&sluice);
}
END_TEST

/* The longest wait and the slowest query are what the test made them. */
START_TEST(latencies_are_measured_for_each_pool)
{
    PGconn *first, *second, *console;
    PGresult *result;
    char *answer;

    port = process_free_port();
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = text("admin_users = user1\npool_mode = transaction\n"
                                  "stats_listen = 127.0.0.1:%u\n",
                                  port));
    first = sluice_connect(&sluice, "user=user1 dbname=p");
    second = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(first, "SELECT 1");
    ck_assert_int_eq(PQsendQuery(first, "SELECT pg_sleep(0.2)"), 1);
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    await(strcmp(postgres_value(sluice.postgres, "SELECT count(*) FROM pg_stat_activity "
                                                 "WHERE query LIKE '%%pg_sleep(0.2)' AND "
                                                 "pid <> pg_backend_pid()"),
                 "1") == 0,
          20);
    sql_do(second, "SELECT 2"); /* waits for the one server */
    PQclear(PQgetResult(first));
    result = PQexec(console, "SHOW LATENCY");
    ck_assert_int_eq(PQresultStatus(result), PGRES_TUPLES_OK);
    ck_assert_str_eq(PQfname(result, 5), "p50_us");
    for (int i = 0; i < PQntuples(result); i++) {
        const char *name = PQgetvalue(result, i, 2);
        long count = atol(PQgetvalue(result, i, 3)), max_us = atol(PQgetvalue(result, i, 9));

        ck_assert_str_eq(PQgetvalue(result, i, 0), "p");
        ck_assert_str_eq(PQgetvalue(result, i, 1), "user1");
        if (strcmp(name, "wait") != 0)
            ck_assert_int_ge(max_us, strcmp(name, "connect") == 0 ? 1 : 200000);
        if (strcmp(name, "query") == 0 || strcmp(name, "transaction") == 0)
            ck_assert_int_eq(count, 3);
        if (strcmp(name, "connect") == 0)
            ck_assert_int_eq(count, 1);
    }
    ck_assert_int_eq(PQntuples(result), 4);
    PQclear(result);
    answer = http_get(port, "/metrics");
    ck_assert(has(answer, "\nsluice_pool_query_seconds_count{database=\"p\",user=\"user1\"} 3\n"));
    ck_assert(has(answer, "\nsluice_pool_query_seconds_bucket{database=\"p\",user=\"user1\","
                          "le=\"0.1\"} 2\n"));
    ck_assert(has(answer, "\nsluice_pool_query_seconds_bucket{database=\"p\",user=\"user1\","
                          "le=\"+Inf\"} 3\n"));
    PQfinish(first);
    PQfinish(second);
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_name_that_is_no_text_can_be_read_everywhere)
{
    static const char *const pages[] = {"/metrics", "/stats.json", "/history.json"};
    PGconn *client, *console;
    PGresult *result;

    start_with("* = {server}\n");
    client = PQconnectdb(
        text("host=127.0.0.1 port=%u user=user1 dbname='x\xff' sslmode=disable", sluice.port));
    ck_assert_msg(PQstatus(client) == CONNECTION_OK, "%s", PQerrorMessage(client));
    await(has(http_get(port, "/history.json"), "\"database\":\"x\\\\xff\""), 20);
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        ck_assert_ptr_null(strchr(http_get(port, pages[i]), '\xff'));
    ck_assert(has(http_get(port, "/metrics"), "\nsluice_queries_total{database=\"x\\\\xff\"} "));
    ck_assert(has(http_get(port, "/stats.json"), "{\"database\":\"x\\\\xff\",\"user\":"));
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    result = PQexec(console, "SHOW POOLS");
    ck_assert_str_eq(PQgetvalue(result, 0, 0), "x\\xff");
    PQclear(result);
    PQfinish(console);
    PQfinish(client);
    sluice_stop(&sluice);
}
END_TEST

static void serve(struct fake *fake, int fd)
{
    if (fake_login(fd))
        fake_serve(fake, fd);
}

/* The value of a sample; -1: there is none. */
static long sample(const char *metrics, const char *name)
{
    const char *at = strstr(metrics, text("\n%s ", name));

    return at ? atol(at + strlen(name) + 2) : -1;
}

/* Clients make up 510 databases; what they count is there, with labels of 500. When all have gone,
 * so have the rows, and nothing has run backwards. */
START_TEST(made_up_databases_have_labels_within_bounds)
{
    PGconn *clients[510], *console;
    struct fake fake;
    char *metrics, *at;
    unsigned labels = 0;
    long others;

    fake_start(&fake, serve, NULL);
    port = process_free_port();
    sluice_start(&sluice, .databases = text("* = %s\n", fake_address(&fake)),
                 .settings = text("admin_users = user1\npool_mode = transaction\n"
                                  "max_client_conn = 1000\nautodb_idle_timeout = 1\n"
                                  "server_idle_timeout = 1\n"
                                  "stats_listen = 127.0.0.1:%u\n",
                                  port));
    for (unsigned i = 0; i < 510; i++)
        clients[i] = sluice_connect(&sluice, text("user=user1 dbname=made_up_%u", i));
    http_get(port, "/metrics");
    for (unsigned i = 0; i < 30; i++)
        sql_do(clients[509], "SELECT 1");
    metrics = text("%s", http_body(http_get(port, "/metrics")));
    for (at = metrics; (at = strstr(at, "\nsluice_client_logins_total{")); at++)
        labels++;
    ck_assert_uint_le(labels, 502); /* the console, and the others */
    ck_assert_int_eq(sample(metrics, "sluice_client_logins_total{database=\"(other)\"}"), 10);
    ck_assert_int_eq(sample(metrics, "sluice_queries_total{database=\"(other)\"}"), 30);
    ck_assert_int_eq(sample(metrics, "sluice_pool_clients{database=\"(other)\","
                                     "user=\"(other)\",state=\"active\"}"),
                     10);
    ck_assert_int_eq(sample(metrics, "sluice_clients"), 510);
    ck_assert(!has(metrics, "made_up_509"));
    for (unsigned i = 0; i < 510; i++)
        PQfinish(clients[i]);
    await(!has(http_get(port, "/metrics"), "database=\"made_up_"), 30);
    metrics = text("%s", http_body(http_get(port, "/metrics")));
    others = sample(metrics, "sluice_queries_total{database=\"(other)\"}");
    ck_assert_int_eq(others, 30);
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    /* With that of this console. */
    ck_assert_str_eq(console_cell(console, "SHOW TOTALS", "total_client_login_count", "value"),
                     "511");
    PQfinish(console);
    sluice_stop(&sluice);
    fake_stop(&fake);
}
END_TEST

START_TEST(json_has_the_tables_of_the_console)
{
    PGconn *client;
    char *answer;

    start_with(NULL);
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    answer = http_get(port, "/stats.json");
    ck_assert(has(answer, "Content-Type: application/json"));
    ck_assert(has(answer, "\"pools\":[{\"database\":\"p\",\"user\":\"user1\",\"cl_active\":1,"));
    ck_assert(has(answer, "\"total_query_count\":1,"));
    PQfinish(client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(health_and_readiness_differ)
{
    PGconn *console;

    start_with(NULL);
    ck_assert(has(http_get(port, "/healthz"), " 200 OK"));
    ck_assert(has(http_get(port, "/readyz"), " 200 OK"));
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    sql_do(console, "PAUSE");
    ck_assert(has(http_get(port, "/healthz"), " 200 OK"));
    ck_assert(has(http_get(port, "/readyz"), " 503 "));
    ck_assert(has(http_get(port, "/readyz"), "paused"));
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

/* Several addresses and a Unix socket; what cannot be had is told and hinders nobody. */
START_TEST(it_listens_in_several_places)
{
    static const char *const wrong[] = {"127.0.0.1:99999", "127.0.0.1:0",  "127.0.0.1:80x",
                                        "127.0.0.1: 80",   "127.0.0.1:-1", "nowhere"};
    static const char request[] = "GET /healthz HTTP/1.1\r\n\r\n";
    char *directory = process_directory(), *where = text("%s", ""), *path;
    int fd;

    port = process_free_port();
    path = text("%s/stats", directory);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        where = text("%s, %s", where, wrong[i]);
    sluice_start(&sluice, .settings = text("stats_listen = 127.0.0.2:%u, %s, 127.0.0.1:%u%s\n",
                                           port, path, port, where));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        sluice_await_log(&sluice, text("stats_listen: could not listen on \"%s\"", wrong[i]));
    ck_assert(has(http_get(port, "/healthz"), " 200 OK"));
    fd = http_open_unix(path);
    ck_assert_int_gt(write(fd, request, sizeof(request) - 1), 0);
    ck_assert(has(http_rest(fd), " 200 OK"));
    sluice_stop(&sluice);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(only_get_and_head_and_only_its_pages)
{
    char *answer;

    start_with(NULL);
    ck_assert(has(http_get(port, "/nothing"), " 404 "));
    ck_assert(has(http_get(port, "/../etc/passwd"), " 404 "));
    ck_assert(!has(http_ask(port, "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), " 200 "));
    ck_assert(!has(http_ask(port, "DELETE /metrics HTTP/1.1\r\n\r\n"), " 200 "));
    ck_assert(!has(http_ask(port, "\1\2\3\r\n\r\n"), " 200 "));
    answer = http_ask(port, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert(has(answer, " 200 OK"));
    ck_assert(has(answer, "Content-Length: 3\r\n"));
    ck_assert_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    sluice_stop(&sluice);
}
END_TEST

/* More connections than are let in, that say nothing or half of something: they are closed after a
 * while, and clients of the pooler never notice. */
START_TEST(idle_connections_do_not_lock_others_out)
{
    int idle[100];
    PGconn *client;
    long before;

    start_with(NULL);
    before = sluice_descriptors(&sluice);
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
        idle[i] = http_open(port);
        ck_assert_int_eq(write(idle[i], "GET / HT", i % 2 ? 8 : 1), i % 2 ? 8 : 1);
    }
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    ck_assert_int_le(sluice_descriptors(&sluice), before + 64 + 8);
    PQfinish(client);
    ck_assert(has(http_get(port, "/healthz"), " 200 OK"));
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
        close(idle[i]);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_may_leave_before_its_answer)
{
    start_with(NULL);
    for (int i = 0; i < 200; i++) {
        int fd = http_open(port);
        struct linger now = {.l_onoff = 1};
        static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";

        ck_assert_int_gt(write(fd, request, sizeof(request) - 1), 0);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(fd);
    }
    ck_assert(has(http_get(port, "/metrics"), "sluice_uptime_seconds "));
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stats_port");

    suite_add(suite, SUITE_OURS, 20, metrics_agree_with_what_happened);
    suite_add(suite, SUITE_OURS, 30, a_name_that_is_no_text_can_be_read_everywhere);
    suite_add(suite, SUITE_OURS, 120, made_up_databases_have_labels_within_bounds);
    suite_add(suite, SUITE_OURS, 20, latencies_are_measured_for_each_pool);
    suite_add(suite, SUITE_OURS, 20, json_has_the_tables_of_the_console);
    suite_add(suite, SUITE_OURS, 20, health_and_readiness_differ);
    suite_add(suite, SUITE_OURS, 20, it_listens_in_several_places);
    suite_add(suite, SUITE_OURS, 20, only_get_and_head_and_only_its_pages);
    suite_add(suite, SUITE_OURS, 60, idle_connections_do_not_lock_others_out);
    suite_add(suite, SUITE_OURS, 20, a_client_may_leave_before_its_answer);
    return suite_finish(suite);
}
