/* Clients that take what they are sent slowly, or not at all, or stop in the middle of what they
 * send: who else uses the pool goes on, and who reads gets all of it. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/redis.h"
#include "harness/suite.h"

#define VALUE_BYTES (24u << 20)

static struct sluice sluice;
static struct redis redis;
static uint16_t port;

static redisContext *begin(const char *keys)
{
    redisContext *other;

    redis_start(&redis, NULL);
    port = redis_pooled(&sluice, &redis, keys, "workers = 1\n");
    other = redis_open(redis.port);
    ck_assert_str_eq(
        redis_do(other, "EVAL %s 0",
                 text("return redis.call('set', 'v', string.rep('x', %u))", VALUE_BYTES)),
        "OK");
    redisFree(other);
    return redis_open(port);
}

/* Asks, and reads nothing; returns when the last command has been carried out. */
static int ask(const char *lines, const char *last)
{
    int fd = raw_open(port);

    raw_send(fd, lines, strlen(lines));
    await(redis_connections(&redis, text("cmd=%s", last)) == 1, 20);
    return fd;
}

/* Reads the value to its end. */
static void read_all(int fd, size_t before)
{
    char *bytes = malloc(65536);
    size_t left = before + strlen(text("$%u\r\n", VALUE_BYTES)) + VALUE_BYTES + 2;

    ck_assert_ptr_nonnull(bytes);
    while (left > 0) {
        ssize_t got = recv(fd, bytes, left < 65536 ? left : 65536, 0);

        ck_assert_int_gt(got, 0);
        left -= (size_t)got;
    }
    free(bytes);
    close(fd);
}

START_TEST(who_reads_late_is_not_cut_since_others_wait)
{
    redisContext *other = begin("pool_size=1 client_output_limit=64MB");
    int late = ask("GET v\r\n", "get");

    for (int i = 0; i < 100; i++)
        ck_assert_str_eq(redis_do(other, "ECHO %d", i), text("%d", i));
    read_all(late, 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(who_reads_late_on_a_connection_of_its_own_lets_others_have_it)
{
    redisContext *other = begin("pool_size=1 client_output_limit=64MB");
    int late = ask("WATCH w\r\nGET v\r\nUNWATCH\r\n", "unwatch");

    ck_assert_str_eq(redis_do(other, "WATCH w"), "OK");
    ck_assert_str_eq(redis_do(other, "GET nokey"), "nil");
    read_all(late, 5);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(who_reads_nothing_on_a_connection_of_its_own_is_closed)
{
    redisContext *other = begin("pool_size=1 client_output_limit=1MB");
    int lazy = ask("WATCH w\r\nGET v\r\n", "get");

    ck_assert_str_eq(redis_do(other, "WATCH w"), "OK");
    ck_assert_str_eq(redis_do(other, "GET nokey"), "nil");
    sluice_await_log(&sluice, "it does not read a large reply");
    close(lazy);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(half_a_large_request_keeps_no_connection_for_ever)
{
    redisContext *other = begin("pool_size=1 client_idle_timeout=1");
    char *half = text("*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1000000\r\n%080000d", 0);
    int fd = raw_open(port);

    raw_send(fd, half, strlen(half));
    sluice_await_log(&sluice, "client_idle_timeout");
    redisFree(other);
    other = redis_open(port);
    ck_assert_str_eq(redis_do(other, "GET half"), "nil");
    close(fd);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_slow");

    suite_add(suite, SUITE_OURS, 30, who_reads_late_is_not_cut_since_others_wait);
    suite_add(suite, SUITE_OURS, 30, who_reads_late_on_a_connection_of_its_own_lets_others_have_it);
    suite_add(suite, SUITE_OURS, 30, who_reads_nothing_on_a_connection_of_its_own_is_closed);
    suite_add(suite, SUITE_OURS, 30, half_a_large_request_keeps_no_connection_for_ever);
    return suite_finish(suite);
}
