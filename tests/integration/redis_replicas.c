/* Servers in states of their own: replicas that only read, that have lost their master, servers
 * that load; and WAIT. What they say reaches the client as it is, and the connection lives on. */
#include <string.h>

#include "harness/process.h"
#include "harness/redis.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct redis redis, replica;
static uint16_t port;

/* The ids of the pool's connections at the server, ours apart. */
static char *connection_ids(const struct redis *server)
{
    redisContext *context = redis_open(server->port);
    char *list = redis_do(context, "CLIENT LIST TYPE normal"), *ids = text("%s", "");
    char *own = text("id=%s ", redis_do(context, "CLIENT ID"));

    for (char *line = strtok_r(list, "\n", &list); line; line = strtok_r(NULL, "\n", &list))
        if (strncmp(line, own, strlen(own)) != 0)
            ids = text("%s%.*s ", ids, (int)strcspn(line, " "), line);
    redisFree(context);
    return ids;
}

/* The same reply alone, in a pipeline, on a connection of its own, and inside a transaction. */
static void check_passes(const char *command, const char *expected)
{
    redisContext *context = redis_open(port);

    ck_assert_str_eq(redis_do(context, command), expected);
    for (int i = 0; i < 10; i++)
        redisAppendCommand(context, command);
    for (int i = 0; i < 10; i++)
        ck_assert_str_eq(redis_next(context), expected);
    ck_assert_str_eq(redis_do(context, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(context, command), expected);
    ck_assert_str_eq(redis_do(context, "EXEC"),
                     "-EXECABORT Transaction discarded because of previous errors.");
    redisFree(context);
}

START_TEST(a_replica_that_only_reads_says_so)
{
    static const char expected[] = "-READONLY You can't write against a read only replica.";
    redisContext *context, *direct;
    char *ids;

    redis_start(&redis, NULL);
    redis_start(&replica, text("replicaof 127.0.0.1 %u\n", redis.port));
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "SET a 1"), "OK");
    port = redis_pooled(&sluice, &replica, NULL, "workers = 1\n");
    context = redis_open(port);
    await(strcmp(redis_do(context, "GET a"), "1") == 0, 20);
    check_passes("SET a 2", expected);
    ids = connection_ids(&replica);
    for (int i = 0; i < 10; i++) {
        ck_assert_str_eq(redis_do(context, "SET a 2"), expected);
        ck_assert_str_eq(redis_do(context, "GET a"), "1");
    }
    check_passes("SET a 2", expected);
    direct = redis_open(replica.port);
    ck_assert_str_eq(redis_do(direct, "REPLICAOF NO ONE"), "OK");
    ck_assert_str_eq(redis_do(context, "SET a 3"), "OK");
    redisFree(direct);
    ck_assert_str_eq(connection_ids(&replica), ids);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_replica_without_its_master_says_so)
{
    static const char expected[] = "-MASTERDOWN Link with MASTER is down and "
                                   "replica-serve-stale-data is set to 'no'.";
    redisContext *context, *direct;
    char *ids;

    redis_start(&replica,
                text("replicaof 127.0.0.1 %u\nreplica-serve-stale-data no\n", process_free_port()));
    port = redis_pooled(&sluice, &replica, NULL, "workers = 1\n");
    context = redis_open(port);
    check_passes("GET a", expected);
    ck_assert_str_eq(redis_do(context, "HGETALL a"), expected);
    ids = connection_ids(&replica);
    check_passes("GET a", expected);
    direct = redis_open(replica.port);
    ck_assert_str_eq(redis_do(direct, "REPLICAOF NO ONE"), "OK");
    redisFree(direct);
    ck_assert_str_eq(redis_do(context, "SET a 1"), "OK");
    ck_assert_str_eq(redis_do(context, "GET a"), "1");
    ck_assert_str_eq(connection_ids(&replica), ids);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_server_that_loads_says_so)
{
    static const char expected[] = "-LOADING Redis is loading the dataset in memory";
    redisContext *context, *direct;
    char *ids;

    redis_start(&redis, "rdbcompression no\nloading-process-events-interval-bytes 1024\n");
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "EVAL %s 0",
                              "for i = 1, 1000 do redis.call('set', 'k' .. i, "
                              "string.rep('x', 2000)) end return redis.call('set', 'a', '1')"),
                     "OK");
    ck_assert_str_eq(redis_do(direct, "SAVE"), "OK");
    redisFree(direct);
    redis_end(&redis);
    file_write(redis.conf, text("%skey-load-delay 20000\n", file_read(redis.conf)));
    redis_again(&redis);
    port = redis_pooled(&sluice, &redis, NULL, "workers = 1\n");
    context = redis_open(port);
    check_passes("GET a", expected);
    ids = connection_ids(&redis);
    check_passes("GET a", expected);
    check_passes("SET a 2", expected);
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "CONFIG SET key-load-delay 0"), "OK");
    redisFree(direct);
    await(strcmp(redis_do(context, "GET a"), expected) != 0, 20);
    ck_assert_str_eq(redis_do(context, "GET a"), "1");
    ck_assert_str_eq(connection_ids(&redis), ids);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_replicas");

    suite_add(suite, SUITE_OURS, 30, a_replica_that_only_reads_says_so);
    suite_add(suite, SUITE_OURS, 30, a_replica_without_its_master_says_so);
    suite_add(suite, SUITE_OURS, 30, a_server_that_loads_says_so);
    return suite_finish(suite);
}
