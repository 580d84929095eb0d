/* CLIENT TRACKING with REDIRECT: the ids that clients know are the pooler's. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/process.h"
#include "harness/redis.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct redis redis;

START_TEST(one_client_is_told_what_another_one_has_read)
{
    redisContext *told, *reader, *writer, *other;
    char *id;
    uint16_t port;

    redis_start(&redis, NULL);
    port = redis_pooled(&sluice, &redis, "pool_size=3 blocking_pool_size=3", "workers = 2\n");
    told = redis_open(port);
    reader = redis_open(port);
    writer = redis_open(port);
    id = redis_do(told, "CLIENT ID");
    ck_assert_str_eq(redis_do(reader, "CLIENT TRACKING ON REDIRECT %s", id),
                     "-ERR The client ID you want redirect to does not exist");
    ck_assert_str_eq(redis_do(told, "SUBSCRIBE __redis__:invalidate"),
                     "[subscribe __redis__:invalidate 1]");
    ck_assert_str_eq(redis_do(reader, "CLIENT TRACKING ON REDIRECT %s", id), "OK");
    ck_assert_str_eq(redis_do(reader, "CLIENT GETREDIR"), id);
    ck_assert_ptr_nonnull(strstr(redis_do(reader, "CLIENT TRACKINGINFO"), text("redirect %s", id)));
    ck_assert_str_eq(redis_do(reader, "GET a"), "nil");
    ck_assert_str_eq(redis_do(writer, "SET a 1"), "OK");
    ck_assert_str_eq(redis_next(told), "[message __redis__:invalidate [a]]");

    /* Who gets the connection afterwards is not told. */
    ck_assert_str_eq(redis_do(told, "UNSUBSCRIBE"), "[unsubscribe __redis__:invalidate 0]");
    ck_assert_str_eq(redis_do(told, "PING"), "PONG");
    other = redis_open(port);
    ck_assert_str_eq(redis_do(other, "SUBSCRIBE c"), "[subscribe c 1]");
    ck_assert_str_eq(redis_do(reader, "GET a"), "1");
    ck_assert_str_eq(redis_do(writer, "SET a 2"), "OK");
    ck_assert_str_eq(redis_do(writer, "PUBLISH c only-this"), "1");
    ck_assert_str_eq(redis_next(other), "[message c only-this]");
    ck_assert_str_eq(redis_do(reader, "CLIENT TRACKING OFF"), "OK");
    ck_assert_str_eq(redis_do(reader, "CLIENT GETREDIR"), "-1");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_long_question_about_redirection_is_sent_once)
{
    /* More than is read at once: sent twice, what is behind the head would be a command. */
    enum { REQUEST_BYTES = 70000 };
    char *request, *track, *got;
    static const char wanted[] = "-ERR wrong number of arguments for 'client|getredir' command\r\n";
    redisContext *told;
    uint16_t port;
    size_t length;
    int fd;

    redis_start(&redis, NULL);
    port = redis_pooled(&sluice, &redis, NULL, "workers = 1\n");
    told = redis_open(port);
    track = text("client tracking on redirect %s\r\n", redis_do(told, "CLIENT ID"));
    ck_assert_str_eq(redis_do(told, "SUBSCRIBE __redis__:invalidate"),
                     "[subscribe __redis__:invalidate 1]");
    fd = raw_open(port);
    raw_send(fd, track, strlen(track));
    got = raw_receive(fd, 5, 0, &length);
    ck_assert_str_eq(got, "+OK\r\n");
    free(got);
    request = text("*3\r\n$6\r\nclient\r\n$8\r\ngetredir\r\n$%d\r\n%0*d\r\nPING\r\n", REQUEST_BYTES,
                   REQUEST_BYTES, 0);
    raw_send(fd, request, strlen(request));
    got = raw_receive(fd, sizeof(wanted) - 1 + 7, 20, &length);
    ck_assert_str_eq(got, text("%s+PONG\r\n", wanted));
    free(got);
    close(fd);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(tracking_with_many_prefixes_stays_with_its_connection)
{
    redisContext *one;
    uint16_t port;

    redis_start(&redis, NULL);
    port = redis_pooled(&sluice, &redis, NULL, "workers = 1\n");
    one = redis_open(port);
    ck_assert_str_eq(redis_do(one, "CLIENT TRACKING ON BCAST PREFIX a PREFIX b PREFIX c PREFIX d"),
                     "OK");
    ck_assert_ptr_nonnull(strstr(redis_do(one, "CLIENT TRACKINGINFO"), "[a b c d]"));
    ck_assert_str_eq(redis_do(one, "CLIENT TRACKING OFF"), "OK");
    await(redis_connections(&redis, "flags=t") == 0, 20);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_tracking");

    suite_add(suite, SUITE_OURS, 30, one_client_is_told_what_another_one_has_read);
    suite_add(suite, SUITE_OURS, 30, a_long_question_about_redirection_is_sent_once);
    suite_add(suite, SUITE_OURS, 30, tracking_with_many_prefixes_stays_with_its_connection);
    return suite_finish(suite);
}
