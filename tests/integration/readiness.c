/* /readyz: whether each configured pool can reach its server, also those that nobody has used. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "harness/fake.h"
#include "harness/http.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/redis.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static uint16_t port;

static void start(struct postgres *postgres, const char *databases, const char *redis)
{
    port = process_free_port();
    sluice_start(&sluice, .postgres = postgres, .databases = databases, .redis = redis,
                 .settings = text("pool_mode = transaction\nserver_login_retry = 0.1\n"
                                  "stats_listen = 127.0.0.1:%u\n",
                                  port));
}

static char *status(void)
{
    char *answer = http_get(port, "/readyz");

    return text("%.3s %s", answer + strlen("HTTP/1.1 "), http_body(answer));
}

START_TEST(servers_that_answer_are_ready_before_anybody_uses_them)
{
    struct redis redis;

    redis_start(&redis, NULL);
    start(NULL, "p = {server}\nq = {server} user=user1\n* = {server}\n",
          text("cache = host=localhost port=%u listen_port=%u\n", redis.port, process_free_port()));
    ck_assert_str_eq(status(), "200 ok\n");
    ck_assert_int_eq(postgres_backends(sluice.postgres, "true"), 0); /* nothing stays open */
    sluice_stop(&sluice);
    redis_end(&redis);
}
END_TEST

START_TEST(a_line_that_nobody_uses_is_asked_too)
{
    start(NULL, "p = {server}\nnowhere = host=127.0.0.1 port=1\nnoname = host=no.such.invalid\n",
          text("cache = host=127.0.0.1 port=1 listen_port=%u\n", process_free_port()));
    ck_assert_str_eq(status(), "503 nowhere: no server can be reached\n"
                               "noname: no server can be reached\n"
                               "cache: no server can be reached\n");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(one_of_several_hosts_is_enough)
{
    struct postgres *postgres = postgres_shared();

    start(NULL, text("p = host=no.such.invalid,127.0.0.1 port=%u dbname=x\n", postgres->port),
          NULL);
    ck_assert_str_eq(status(), "200 ok\n");
    sluice_stop(&sluice);
}
END_TEST

/* It takes the connection and says nothing. */
static void silent(struct fake *fake, int fd)
{
    fake_await_close(fd);
}

/* Starts the pooler in front of a silent server, which has been asked when this returns. */
static int ask_about_silent(struct fake *fake)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\n\r\n";
    int fd;

    fake_start(fake, silent, NULL);
    start(NULL, text("p = %s\n", fake_address(fake)), NULL);
    fd = http_open(port);
    ck_assert_int_gt(write(fd, request, strlen(request)), 0);
    await(atomic_load(&fake->accepted) > 0, 20);
    return fd;
}

START_TEST(a_silent_server_holds_up_nobody_else)
{
    struct fake fake;
    int fd = ask_about_silent(&fake);

    ck_assert_ptr_nonnull(strstr(http_get(port, "/healthz"), " 200 OK"));
    ck_assert_str_eq(status(), "503 p: no server can be reached\n");
    close(fd);
    sluice_stop(&sluice);
    fake_stop(&fake);
}
END_TEST

/* Nobody asks for the pool while its server is away. */
START_TEST(a_server_that_comes_back_is_found_without_a_client)
{
    struct postgres postgres;
    PGconn *client;

    postgres_start(&postgres);
    start(&postgres, "p = {server}\n", NULL);
    client = sluice_connect(&sluice, "user=user1 dbname=p");
    postgres_end(&postgres, SIGQUIT);
    sql_error(client, "SELECT 1");
    PQfinish(client);
    ck_assert_str_eq(status(), "503 p: no server can be reached\n");
    postgres_again(&postgres);
    sluice_await_log(&sluice, "p/user1: the server can be reached again");
    ck_assert_str_eq(status(), "200 ok\n");
    sluice_stop(&sluice);
}
END_TEST

/* Else a stranger who asks for a database that does not exist would take us out of service. */
START_TEST(a_refused_login_is_no_lack_of_a_server)
{
    start(NULL, text("* = host=127.0.0.1 port=%u\n", postgres_shared()->port), NULL);
    PQfinish(sluice_try(&sluice, "user=user1 dbname=nonsense"));
    ck_assert_str_eq(status(), "200 ok\n");
    sluice_stop(&sluice);
}
END_TEST

/* A question is under way when the daemon ends. */
START_TEST(the_end_waits_for_no_answer)
{
    struct fake fake;
    int fd = ask_about_silent(&fake);

    sluice_stop(&sluice);
    close(fd);
    fake_stop(&fake);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readiness");

    suite_add(suite, SUITE_OURS, 20, servers_that_answer_are_ready_before_anybody_uses_them);
    suite_add(suite, SUITE_OURS, 20, a_line_that_nobody_uses_is_asked_too);
    suite_add(suite, SUITE_OURS, 20, one_of_several_hosts_is_enough);
    suite_add(suite, SUITE_OURS, 30, a_silent_server_holds_up_nobody_else);
    suite_add(suite, SUITE_OURS, 40, a_server_that_comes_back_is_found_without_a_client);
    suite_add(suite, SUITE_OURS, 20, a_refused_login_is_no_lack_of_a_server);
    suite_add(suite, SUITE_OURS, 20, the_end_waits_for_no_answer);
    return suite_finish(suite);
}
