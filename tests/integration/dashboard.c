/* The dashboard under load, seen by a browser (dashboard.py); and what it reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/http.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static uint16_t port;

static void start(void)
{
    port = process_free_port();
    sluice_start(&sluice, .settings = text("admin_users = user1\npool_mode = transaction\n"
                                           "stats_listen = 127.0.0.1:%u\n",
                                           port));
}

START_TEST(numbers_move_and_agree_with_the_console)
{
    PGconn *clients[3];
    char *url, *console;
    int status;
    pid_t browser;

    if (access("/usr/bin/chromedriver", X_OK) != 0)
        return; /* ./dev test installs it */
    start();
    for (unsigned i = 0; i < 3; i++)
        clients[i] = sluice_connect(&sluice, "user=user1 dbname=p");
    url = text("http://127.0.0.1:%u/", port);
    console = text("host=127.0.0.1 port=%u user=user1 dbname=pgbouncer", sluice.port);
    browser = fork();
    if (browser == 0) {
        execl("/usr/bin/python3", "python3", DASHBOARD_SCRIPT, url, console, NULL);
        _exit(127);
    }
    while (waitpid(browser, &status, WNOHANG) == 0)
        for (unsigned i = 0; i < 3; i++)
            sql_do(clients[i], "SELECT count(*) FROM generate_series(1, 2000)");
    ck_assert_int_eq(status, 0);
    for (unsigned i = 0; i < 3; i++)
        PQfinish(clients[i]);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(history_tells_only_what_is_new)
{
    PGconn *client;
    char *answer;

    start();
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    await(strstr(http_get(port, "/history.json"), "\"kind\":\"postgresql\""), 20);
    answer = http_get(port, "/history.json");
    ck_assert_msg(strstr(answer, "\"queries\":[") && !strstr(answer, "\"queries\":[]"), "%s",
                  answer);
    answer = http_get(port, "/history.json?after=1000000");
    ck_assert_msg(strstr(answer, "\"queries\":[]"), "%s", answer);
    PQfinish(client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_page_asks_nobody_else)
{
    char *answer, *at;

    start();
    answer = http_get(port, "/");
    ck_assert(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    ck_assert(strstr(answer, "Content-Type: text/html; charset=utf-8\r\n"));
    ck_assert(strstr(answer, "Content-Security-Policy: default-src 'none'"));
    ck_assert(strstr(answer, "<title>Sluice</title>"));
    /* The only addresses are names of the SVG language. */
    for (at = answer; (at = strstr(at, "http://")); at++)
        ck_assert(strncmp(at, "http://www.w3.org/2000/svg", 26) == 0);
    ck_assert(!strstr(answer, "https://"));
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dashboard");

    suite_add(suite, SUITE_OURS, 120, numbers_move_and_agree_with_the_console);
    suite_add(suite, SUITE_OURS, 40, history_tells_only_what_is_new);
    suite_add(suite, SUITE_OURS, 20, the_page_asks_nobody_else);
    return suite_finish(suite);
}
