/* The tools that people watch poolers with, against Sluice: Prometheus' own checker, Debian's
 * exporter for PgBouncer, the alerts and Grafana's dashboard of conf/. ./dev test installs what
 * they need; without it they pass. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/http.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/redis.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static uint16_t port;

/* With something in every metric: a pool with a name that has to be escaped, and Redis. */
static void start(void)
{
    static struct redis redis;
    redisContext *commands;
    PGconn *client;
    uint16_t redis_port;

    port = process_free_port();
    redis_start(&redis, NULL);
    redis_port = process_free_port();
    sluice_start(
        &sluice, .databases = "p = {server}\n\"a\"\"b\\c\" = {server}\n",
        .redis = text("cache = host=127.0.0.1 port=%u listen_port=%u\n", redis.port, redis_port),
        .settings = text("admin_users = user1\npool_mode = transaction\n"
                         "stats_listen = 127.0.0.1:%u\n",
                         port));
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    client = sluice_connect(&sluice, "user=user1 dbname=a\"b\\\\c");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    commands = redis_open(redis_port);
    ck_assert_str_eq(redis_do(commands, "SET a 1"), "OK");
    redisFree(commands);
}

START_TEST(promtool_finds_no_mistake)
{
    FILE *pipe;

    if (access("/usr/bin/promtool", X_OK) != 0)
        return;
    start();
    pipe = popen("/usr/bin/promtool check metrics 2>&1", "we");
    fputs(http_body(http_get(port, "/metrics")), pipe);
    ck_assert_int_eq(pclose(pipe), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(promtool_accepts_the_alerts)
{
    if (access("/usr/bin/promtool", X_OK) != 0)
        return;
    ck_assert_int_eq(
        system("/usr/bin/promtool check rules " CONF_FOLDER "/prometheus-alerts.yml >&2"), 0);
    ck_assert_int_eq(system("/usr/bin/promtool test rules " TESTS_FOLDER "/alerts.yml >&2"), 0);
}
END_TEST

/* Each metric that a file speaks of is one of which /metrics has a sample. */
static void check_names(const char *path, const char *metrics)
{
    const char *contents = file_read(path), *at = contents;
    unsigned checked = 0;

    while ((at = strstr(at, "sluice_"))) {
        int length = (int)strspn(at, "abcdefghijklmnopqrstuvwxyz_");

        ck_assert_msg(strstr(metrics, text("\n%.*s{", length, at)) ||
                          strstr(metrics, text("\n%.*s ", length, at)),
                      "%s: there is no metric %.*s", path, length, at);
        at += length;
        checked++;
    }
    ck_assert_uint_gt(checked, 5);
}

START_TEST(alerts_and_dashboard_speak_of_metrics_that_exist)
{
    char *metrics;

    start();
    metrics = text("%s", http_body(http_get(port, "/metrics")));
    check_names(CONF_FOLDER "/prometheus-alerts.yml", metrics);
    check_names(CONF_FOLDER "/grafana-dashboard.json", metrics);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(all_metrics_are_documented_and_their_labels_bounded)
{
    static const char *const labels[] = {"database", "user", "pool", "state", "le", "version"};
    const char *manual = file_read(CONF_FOLDER "/../docs/metrics.md"), *at;
    char *metrics;
    unsigned checked = 0;

    start();
    metrics = text("%s", http_body(http_get(port, "/metrics")));
    for (at = metrics; (at = strstr(at, "\n# TYPE ")); checked++) {
        at += strlen("\n# TYPE ");
        ck_assert_msg(strstr(manual, text("`%.*s", (int)strcspn(at, " "), at)) != NULL,
                      "%.*s is not in the manual", (int)strcspn(at, " "), at);
    }
    ck_assert_uint_gt(checked, 50);
    for (at = metrics; (at = strpbrk(at, "{,")); at++) {
        bool known = at[1] < 'a' || at[1] > 'z' || !strstr(at, "=\"");

        /* A comma in a line of help, or in a name, begins no label. */
        if (known || at[1 + strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_")] != '=')
            continue;
        for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
            known |= strncmp(at + 1, text("%s=", labels[i]), strlen(labels[i]) + 1) == 0;
        ck_assert_msg(known, "a label of its own: %.40s", at + 1);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(debians_exporter_for_pgbouncer_runs)
{
    static const char *const wanted[] = {
        "pgbouncer_requests_total{database=\"p\"} 1.0\n",
        "pgbouncer_active_clients{database=\"p\",user=\"user1\"} 0.0\n",
        "pgbouncer_pool_size{database=\"pgbouncer\"} 2.0\n",
        "pgbouncer_databases 3.0\n",
    };
    uint16_t exporter_port = process_free_port();
    char *answer = NULL;
    pid_t exporter;

    if (access("/usr/bin/prometheus-pgbouncer-exporter", X_OK) != 0)
        return;
    start();
    exporter = process_start(
        "/usr/bin/python3",
        (char *[]){text("python3"), text("/usr/bin/prometheus-pgbouncer-exporter"),
                   text("--host=127.0.0.1"), text("--port=%u", exporter_port),
                   text("--pgbouncer-host=127.0.0.1"), text("--pgbouncer-port=%u", sluice.port),
                   text("--pgbouncer-user=user1"), NULL},
        text("%s/exporter.log", sluice.directory), NULL, SIGTERM);
    await(http_try(exporter_port), 60);
    answer = http_get(exporter_port, "/metrics");
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        ck_assert_msg(strstr(answer, wanted[i]) != NULL, "no %s in %.3000s", wanted[i],
                      strstr(answer, "pgbouncer_") ? strstr(answer, "pgbouncer_") : answer);
    kill(exporter, SIGTERM);
    ck_assert_int_ne(process_await(exporter, 20), -1);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("monitoring");

    suite_add(suite, SUITE_OURS, 30, promtool_finds_no_mistake);
    suite_add(suite, SUITE_OURS, 30, promtool_accepts_the_alerts);
    suite_add(suite, SUITE_OURS, 30, alerts_and_dashboard_speak_of_metrics_that_exist);
    suite_add(suite, SUITE_OURS, 30, all_metrics_are_documented_and_their_labels_bounded);
    suite_add(suite, SUITE_OURS, 90, debians_exporter_for_pgbouncer_runs);
    return suite_finish(suite);
}
