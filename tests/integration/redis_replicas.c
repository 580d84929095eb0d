/* Servers in states of their own: replicas that only read, that have lost their master, servers
 * that load; and WAIT. What they say reaches the client as it is, and the connection lives on. */
#include <signal.h>
#include <string.h>

#include "harness/console.h"
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

/* ---- WAIT ---- */

static redisContext *clients[6];

/* A server with a replica that has all, several connections that both have used, and clients. */
static void begin_wait(const char *settings)
{
    redisContext *direct;

    redis_start(&redis, NULL);
    redis_start(&replica, text("replicaof 127.0.0.1 %u\n", redis.port));
    port = redis_pooled(&sluice, &redis, "pool_size=4", settings);
    direct = redis_open(redis.port);
    await(strcmp(redis_do(direct, "WAIT 1 100"), "1") == 0, 20);
    redisFree(direct);
    for (int i = 0; i < 6; i++)
        clients[i] = redis_open(port);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(redis_do(clients[i], "MULTI"), "OK");
        ck_assert_str_eq(redis_do(clients[i], "SET used %d", i), "QUEUED");
    }
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(redis_do(clients[i], "EXEC"), "[OK]");
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(redis_do(clients[i], "WAIT 1 10000"), "1");
    await(redis_connections(&redis, "cmd=") >= 3, 20);
}

static void wait_end(void)
{
    ck_assert_str_eq(redis_do(clients[0], "SET end 1"), "OK");
    ck_assert_str_eq(redis_do(clients[0], "WAIT 1 10000"), "1");
    for (int i = 0; i < 6; i++)
        ck_assert_str_eq(redis_do(clients[i], "ECHO %d", i), text("%d", i));
    sluice_stop(&sluice);
}

static void ask(redisContext *context, const char *command)
{
    redisAppendCommand(context, command);
    for (int done = 0; !done;)
        ck_assert_int_eq(redisBufferWrite(context, &done), REDIS_OK);
}

START_TEST(wait_tells_what_replicas_have)
{
    begin_wait("workers = 1\n");
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 6; i++) {
            ck_assert_str_eq(redis_do(clients[i], "SET k%d %d", i, round), "OK");
            ck_assert_str_eq(redis_do(clients[i], "WAIT 1 10000"), "1");
        }
    kill(replica.pid, SIGSTOP);
    for (int i = 0; i < 6; i++) {
        ck_assert_str_eq(redis_do(clients[i], "SET k%d x", i), "OK");
        ck_assert_str_eq(redis_do(clients[i], "WAIT 1 20"), "0");
    }
    kill(replica.pid, SIGCONT);
    wait_end();
}
END_TEST

START_TEST(wait_is_about_the_last_write_while_others_have_its_connection)
{
    begin_wait("workers = 1\n");
    kill(replica.pid, SIGSTOP);
    for (int i = 0; i < 6; i++)
        ck_assert_str_eq(redis_do(clients[i], "SET k%d 1", i), "OK");
    ck_assert_str_eq(redis_do(clients[1], "MULTI"), "OK"); /* some connection, till the end */
    ask(clients[2], "WAIT 1 0");                           /* another one */
    await(redis_connections(&redis, "flags=b") == 1, 20);
    ck_assert_str_eq(redis_do(clients[3], "WATCH k3"), "OK");
    for (int round = 0; round < 3; round++) {
        ck_assert_str_eq(redis_do(clients[0], "WAIT 1 20"), "0");
        ck_assert_str_eq(redis_do(clients[3], "WAIT 1 20"), "0");
        ck_assert_str_eq(redis_do(clients[4], "GET k4"), "1");
        ck_assert_str_eq(redis_do(clients[5], "WAIT 1 20"), "0");
    }
    kill(replica.pid, SIGCONT);
    ck_assert_str_eq(redis_next(clients[2]), "1");
    ck_assert_str_eq(redis_do(clients[0], "WAIT 1 10000"), "1");
    ck_assert_str_eq(redis_do(clients[1], "DISCARD"), "OK");
    wait_end();
}
END_TEST

START_TEST(wait_is_about_the_last_write_when_its_connection_is_gone)
{
    PGconn *console;

    begin_wait("workers = 1\n" CONSOLE_USERS);
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    ck_assert_str_eq(redis_do(clients[1], "MULTI"), "OK");
    kill(replica.pid, SIGSTOP);
    ck_assert_str_eq(redis_do(clients[0], "SET k 1"), "OK");
    sql_do(console, "RECONNECT");
    ck_assert_str_eq(redis_do(clients[2], "GET k"), "1");
    ck_assert_str_eq(redis_do(clients[1], "DISCARD"), "OK");
    ck_assert_str_eq(redis_do(clients[0], "WAIT 1 20"), "0");
    kill(replica.pid, SIGCONT);
    ck_assert_str_eq(redis_do(clients[0], "WAIT 1 10000"), "1");
    PQfinish(console);
    wait_end();
}
END_TEST

/* Also one who has written nothing. */
START_TEST(who_waits_holds_nobody_up)
{
    begin_wait("workers = 1\n");
    ck_assert_str_eq(redis_do(clients[1], "SET k 1"), "OK");
    ask(clients[1], "WAIT 2 0");
    ask(clients[5], "WAIT 2 0");
    await(redis_connections(&redis, "flags=b") == 2, 20);
    for (int i = 0; i < 100; i++)
        ck_assert_str_eq(redis_do(clients[i % 2 ? 0 : 2], "SET k %d", i), "OK");
    for (int i = 1; i < 6; i += 4) {
        redisFree(clients[i]);
        clients[i] = redis_open(port);
    }
    await(redis_connections(&redis, "flags=b") == 0, 20);
    wait_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_replicas");

    suite_add(suite, SUITE_OURS, 30, a_replica_that_only_reads_says_so);
    suite_add(suite, SUITE_OURS, 30, a_replica_without_its_master_says_so);
    suite_add(suite, SUITE_OURS, 30, a_server_that_loads_says_so);
    suite_add(suite, SUITE_OURS, 60, wait_tells_what_replicas_have);
    suite_add(suite, SUITE_OURS, 60, wait_is_about_the_last_write_while_others_have_its_connection);
    suite_add(suite, SUITE_OURS, 60, wait_is_about_the_last_write_when_its_connection_is_gone);
    suite_add(suite, SUITE_OURS, 60, who_waits_holds_nobody_up);
    return suite_finish(suite);
}
