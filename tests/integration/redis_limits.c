/* What a pool promises when clients vanish, do not read, wait, may not, or when the server is late
 * or gone. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/fake.h"
#include "harness/process.h"
#include "harness/redis.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct redis redis;
static uint16_t port;

static void begin(const char *keys, const char *settings)
{
    redis_start(&redis, "enable-debug-command yes\n");
    port = redis_pooled(&sluice, &redis, keys, settings);
}

/* Everything works, and nothing of another client is left on any connection. */
static void check_whole(void)
{
    redisContext *context = redis_open(port);

    ck_assert_str_eq(redis_do(context, "SET whole 1"), "OK");
    ck_assert_str_eq(redis_do(context, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(context, "GET whole"), "QUEUED");
    ck_assert_str_eq(redis_do(context, "EXEC"), "[1]");
    ck_assert_str_eq(redis_do(context, "EVAL %s 0", "return 7"), "7");
    redisFree(context);
}

static long flagged(const char *flags)
{
    return redis_connections(&redis, flags);
}

START_TEST(a_client_that_leaves_while_blocked_takes_no_element)
{
    redisContext *gone, *other;

    begin(NULL, "workers = 2\n");
    gone = redis_open(port);
    other = redis_open(port);
    redisAppendCommand(gone, "BLPOP l 0");
    for (int done = 0; !done;)
        ck_assert_int_eq(redisBufferWrite(gone, &done), REDIS_OK);
    await(flagged("flags=b") == 1, 20);
    redisFree(gone);
    await(flagged("flags=b") == 0, 20);
    ck_assert_str_eq(redis_do(other, "RPUSH l x"), "1");
    ck_assert_str_eq(redis_do(other, "LLEN l"), "1");
    redisFree(other);
    check_whole();
    sluice_stop(&sluice);
}
END_TEST

START_TEST(clients_that_vanish_leave_the_pool_whole)
{
    static const char *const states[] = {"MULTI", "WATCH k", "SUBSCRIBE c", "CLIENT TRACKING ON",
                                         "PSUBSCRIBE p*"};

    begin("pool_size=3", "workers = 1\n");
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
            redisContext *context = redis_open(port);

            ck_assert_str_ne(redis_do(context, states[i]), "lost");
            redisFree(context);
        }
    await(flagged("flags=P") == 0 && flagged("flags=x") == 0 && flagged("flags=t") == 0, 20);
    check_whole();
    ck_assert_int_le(redis_connections(&redis, ""), 3);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(blocked_clients_do_not_starve_the_pool)
{
    redisContext *blocked[10], *other;

    begin("pool_size=2 blocking_pool_size=4 query_wait_timeout=1", "workers = 1\n");
    for (int i = 0; i < 10; i++) {
        int done = 0;

        blocked[i] = redis_open(port);
        redisAppendCommand(blocked[i], "BLPOP l%d 0", i);
        while (!done)
            ck_assert_int_eq(redisBufferWrite(blocked[i], &done), REDIS_OK);
    }
    await(flagged("flags=b") == 4, 20);
    check_whole();
    other = redis_open(port);
    for (int i = 4; i < 10; i++)
        ck_assert_str_eq(redis_next(blocked[i]),
                         "-ERR wait timeout: no server connection became free in time");
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(redis_do(other, "RPUSH l%d x", i), "1");
        ck_assert_str_eq(redis_next(blocked[i]), text("[l%d x]", i));
    }
    sluice_stop(&sluice);
}
END_TEST

/* A client asks `count` times for a value of so many bytes and reads nothing. Returns its socket.
 */
static int ask_and_read_nothing(redisContext *other, size_t value_bytes, int count)
{
    int lazy = raw_open(port);

    ck_assert_str_eq(
        redis_do(other, "EVAL %s 0",
                 text("return redis.call('set', 'v', string.rep('x', %zu))", value_bytes)),
        "OK");
    for (int i = 0; i < count; i++)
        raw_send(lazy, "GET v\r\n", 7);
    return lazy;
}

static void check_not_stopped(redisContext *other, long resident_kb)
{
    for (int i = 0; i < 100; i++)
        ck_assert_str_eq(redis_do(other, "ECHO %d", i), text("%d", i));
    ck_assert_int_lt(sluice_resident_kb(&sluice), resident_kb + 20000);
}

START_TEST(a_client_that_does_not_read_stops_nobody)
{
    redisContext *other;
    int lazy;
    long before;

    begin("client_output_limit=1MB pool_size=4", "workers = 1\n");
    other = redis_open(port);
    before = sluice_resident_kb(&sluice);
    lazy = ask_and_read_nothing(other, 4000, 10000);
    sluice_await_log(&sluice, "it does not read its replies (client_output_limit)");
    check_not_stopped(other, before);
    close(lazy);
    check_whole();
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_large_reply_that_is_not_read_stops_nobody)
{
    redisContext *other;
    int lazy;
    long before;

    begin("client_output_limit=1MB pool_size=4", "workers = 1\n");
    other = redis_open(port);
    before = sluice_resident_kb(&sluice);
    lazy = ask_and_read_nothing(other, 32u << 20, 1);
    await(redis_connections(&redis, "cmd=get") == 1, 20);
    check_not_stopped(other, before); /* on another connection */
    ck_assert_int_eq(recv(lazy, (char[8]){0}, 8, MSG_WAITALL), 8);
    close(lazy);
    check_whole();
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_large_reply_that_is_not_read_gives_way_to_who_waits)
{
    redisContext *other;
    int lazy;
    long before;

    begin("client_output_limit=1MB pool_size=1", "workers = 1\n");
    other = redis_open(port);
    before = sluice_resident_kb(&sluice);
    lazy = ask_and_read_nothing(other, 32u << 20, 1);
    await(redis_connections(&redis, "cmd=get") == 1, 20);
    check_not_stopped(other, before);
    sluice_await_log(&sluice, "it does not read a large reply");
    close(lazy);
    check_whole();
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_largest_value_streams_in_bounded_memory)
{
    const size_t size = 512u << 20, piece = 1u << 20;
    char *bytes = calloc(1, piece), head[64] = "", *set;
    redisContext *context;
    long before;
    int fd;

    begin("client_output_limit=1MB", "workers = 1\n");
    before = sluice_resident_kb(&sluice);
    fd = raw_open(port);
    set = text("*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$%zu\r\n", size);
    raw_send(fd, set, strlen(set));
    for (size_t sent = 0; sent < size; sent += piece)
        raw_send(fd, bytes, piece);
    raw_send(fd, "\r\n", 2);
    ck_assert_int_eq(recv(fd, head, 5, MSG_WAITALL), 5);
    ck_assert_str_eq(head, "+OK\r\n");
    raw_send(fd, "GET v\r\n", 7);
    for (size_t left = size + 14; left > 0;) { /* with its header and end */
        ssize_t part = recv(fd, bytes, left < piece ? left : piece, 0);

        ck_assert_int_gt(part, 0);
        left -= (size_t)part;
    }
    /* A sanitizer keeps freed memory back. */
    if (slow_factor() <= 1)
        ck_assert_int_lt(sluice_resident_kb(&sluice), before + 8000);
    close(fd);
    free(bytes);
    context = redis_open(port);
    ck_assert_str_eq(redis_do(context, "STRLEN v"), text("%zu", size));
    redisFree(context);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_late_reply_is_an_error_and_the_connection_lives_on)
{
    redisContext *late, *admin;
    long connections;

    begin("command_timeout=1 pool_size=2 admin_commands=yes", "workers = 1\n");
    late = redis_open(port);
    admin = redis_open(redis.port);
    ck_assert_str_eq(redis_do(late, "SET a 1"), "OK");
    connections = redis_connections(&redis, "");
    redisAppendCommand(admin, "DEBUG SLEEP 1.5");
    for (int done = 0; !done;)
        ck_assert_int_eq(redisBufferWrite(admin, &done), REDIS_OK);
    ck_assert_ptr_nonnull(strstr(redis_do(late, "GET a"), "-ERR command timeout"));
    ck_assert_str_eq(redis_next(admin), "OK");
    for (int i = 0; i < 10; i++)
        ck_assert_str_eq(redis_do(late, "ECHO %d", i), text("%d", i));
    ck_assert_int_eq(redis_connections(&redis, ""), connections);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(clients_outlive_the_server)
{
    redisContext *shared, *watching, *queued;

    begin(NULL, "workers = 2\nserver_login_retry = 1\n");
    shared = redis_open(port);
    watching = redis_open(port);
    queued = redis_open(port);
    ck_assert_str_eq(redis_do(shared, "SET a 1"), "OK");
    ck_assert_str_eq(redis_do(watching, "WATCH a"), "OK");
    ck_assert_str_eq(redis_do(queued, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(queued, "SET a 2"), "QUEUED");
    redis_end(&redis);
    ck_assert_int_eq(redis_do(shared, "GET a")[0], '-');
    redis_again(&redis);
    await(redis_do(shared, "PING")[0] == 'P', 20);
    ck_assert_str_eq(redis_do(shared, "GET a"), "nil");
    ck_assert_str_eq(redis_do(watching, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(watching, "SET a 3"), "QUEUED");
    ck_assert_str_eq(redis_do(watching, "EXEC"), "nil");
    ck_assert_str_eq(redis_do(queued, "EXEC"),
                     "-EXECABORT Transaction discarded because of previous errors.");
    ck_assert_str_eq(redis_do(queued, "GET a"), "nil");
    check_whole();
    sluice_stop(&sluice);
}
END_TEST

/* Answers the first of two GETs and resets the connection, both while the daemon does not look. */
static void answer_one_of_two(struct fake *peer, int fd)
{
    char bytes[512];
    int gets = 0;

    while (gets < 2) {
        ssize_t got = read(fd, bytes, sizeof(bytes) - 1);

        if (got <= 0)
            return;
        bytes[got] = '\0';
        for (const char *at = bytes; (at = strstr(at, "GET")); at++)
            gets++;
        if (gets == 0)
            fake_write(fd, strstr(bytes, "CLIENT") ? ":7\r\n" : "+OK\r\n",
                       strstr(bytes, "CLIENT") ? 4 : 5);
    }
    atomic_store(&peer->counter, 1);
    while (atomic_load(&peer->counter) == 1)
        nap();
    fake_write(fd, "$1\r\nx\r\n", 7);
    fake_reset(fd);
    atomic_store(&peer->counter, 3);
}

START_TEST(a_reset_that_comes_together_with_a_reply_is_found)
{
    struct fake peer;
    redisContext *context;

    port = process_free_port();
    fake_start(&peer, answer_one_of_two, NULL);
    sluice_start(&sluice, .redis = text("cache = host=127.0.0.1 port=%u listen_port=%u "
                                        "listen_addr=127.0.0.1\n",
                                        peer.port, port));
    context = redis_open(port);
    redisAppendCommand(context, "GET a");
    redisAppendCommand(context, "GET b");
    for (int done = 0; !done;)
        ck_assert_int_eq(redisBufferWrite(context, &done), REDIS_OK);
    await(atomic_load(&peer.counter) == 1, 20);
    kill(sluice.pid, SIGSTOP);
    atomic_store(&peer.counter, 2);
    await(atomic_load(&peer.counter) == 3, 20);
    kill(sluice.pid, SIGCONT);
    ck_assert_str_eq(redis_next(context), "x");
    ck_assert_ptr_nonnull(strstr(redis_next(context), "ERR"));
    redisFree(context);
    fake_stop(&peer);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_server_that_comes_back_is_found_without_clients)
{
    redisContext *context;

    begin("min_pool_size=2", "workers = 1\nserver_login_retry = 1\n");
    context = redis_open(port);
    await(redis_connections(&redis, "") == 2, 20);
    redis_end(&redis);
    await(redis_do(context, "PING")[0] == '-', 20);
    sluice_await_log(&sluice, "login failed: connection to server at");
    redis_again(&redis);
    sluice_await_log(&sluice, "cache/: the server can be reached again");
    await(redis_connections(&redis, "") == 2, 20);
    ck_assert_str_eq(redis_do(context, "PING"), "PONG");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_server_that_comes_back_on_a_socket_is_found_too)
{
    redis_start(&redis, "unixsocket redis.sock\nunixsocketperm 777\n");
    redis_end(&redis);
    sluice_start(&sluice, .settings = "workers = 1\nserver_login_retry = 1\n",
                 .redis = text("cache = host=%s/redis.sock unix_socket=%s/s min_pool_size=1\n",
                               redis.directory, redis.directory));
    sluice_await_log(&sluice, "login failed: connection to server on socket");
    redis_again(&redis);
    sluice_await_log(&sluice, "cache/: the server can be reached again");
    await(redis_connections(&redis, "redis.sock") == 1, 20);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(nobody_may_what_only_another_user_may)
{
    redisContext *direct, *a, *b, *nobody;

    begin(NULL, "workers = 2\n");
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "ACL SETUSER a on >pa ~a* +@all -client|kill"), "OK");
    ck_assert_str_eq(redis_do(direct, "ACL SETUSER b on >pb ~b* +@all"), "OK");
    a = redis_open(port);
    b = redis_open(port);
    nobody = redis_open(port);
    ck_assert_str_eq(redis_do(a, "AUTH a wrong"),
                     "-WRONGPASS invalid username-password pair or user is disabled.");
    ck_assert_str_eq(redis_do(a, "AUTH a pa"), "OK");
    ck_assert_str_eq(redis_do(b, "AUTH b pb"), "OK");
    for (int i = 0; i < 50; i++) {
        ck_assert_str_eq(redis_do(a, "SET a%d A", i), "OK");
        ck_assert_str_eq(redis_do(b, "SET b%d B", i), "OK");
        ck_assert_ptr_nonnull(strstr(redis_do(a, "GET b%d", i), "-NOPERM"));
        ck_assert_ptr_nonnull(strstr(redis_do(b, "GET a%d", i), "-NOPERM"));
        ck_assert_ptr_nonnull(strstr(redis_do(b, "EVAL %s 1 a%d", "return 1", i), "-NOPERM"));
        ck_assert_str_eq(redis_do(a, "ACL WHOAMI"), "a");
        ck_assert_str_eq(redis_do(b, "ACL WHOAMI"), "b");
        ck_assert_str_eq(redis_do(nobody, "ACL WHOAMI"), "default");
    }
    ck_assert_ptr_nonnull(strstr(redis_do(a, "CLIENT KILL ID 1"), "-NOPERM"));
    ck_assert_str_eq(redis_do(a, "RESET"), "RESET");
    ck_assert_str_eq(redis_do(a, "ACL WHOAMI"), "default");
    ck_assert_ptr_nonnull(strstr(redis_do(nobody, "CONFIG SET maxmemory 1"), "-NOPERM"));
    ck_assert_ptr_nonnull(strstr(redis_do(nobody, "SHUTDOWN"), "-NOPERM"));
    ck_assert_ptr_nonnull(strstr(redis_do(nobody, "PSYNC a 1"), "-NOPERM"));
    sluice_stop(&sluice);
}
END_TEST

/* What one sends who has not logged in: the text that it gets, and the end. */
static void refused_unauthenticated(const char *bytes, const char *expected)
{
    int fd = raw_open(port);
    size_t length;
    char *got;

    raw_send(fd, bytes, strlen(bytes));
    got = raw_receive(fd, strlen(expected), 0, &length);
    ck_assert_str_eq(got, expected);
    free(got);
    close(fd);
}

START_TEST(who_has_not_logged_in_may_send_small_requests_only)
{
    redisContext *other;
    char *id;

    redis_start(&redis, "requirepass secret\n");
    port = redis_pooled(&sluice, &redis, "pool_size=2", "workers = 1\n");
    other = redis_open(port);
    ck_assert_str_eq(redis_do(other, "GET a"), "-NOAUTH Authentication required.");
    refused_unauthenticated("*11\r\n",
                            "-ERR Protocol error: unauthenticated multibulk length\r\n<end>");
    refused_unauthenticated("*2\r\n$3\r\nGET\r\n$16385\r\n",
                            "-ERR Protocol error: unauthenticated bulk length\r\n<end>");
    ck_assert_str_eq(redis_do(other, "AUTH secret"), "OK");
    id = redis_do(other, "CLIENT ID");
    ck_assert_str_eq(redis_do(other, "MSET 1 1 2 2 3 3 4 4 5 5 6 6"), "OK");
    ck_assert_str_eq(redis_do(other, "SET a %s", text("%020000d", 0)), "OK");
    ck_assert_str_eq(redis_do(other, "CLIENT ID"), id);
    ck_assert_ptr_null(strstr(file_read(sluice.log), "broke the protocol"));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(clients_know_and_end_each_other)
{
    redisContext *one, *two;
    char *id, *list;

    begin(NULL, "workers = 2\n");
    one = redis_open(port);
    two = redis_open(port);
    ck_assert_str_eq(redis_do(one, "CLIENT SETNAME one"), "OK");
    ck_assert_str_eq(redis_do(two, "CLIENT SETNAME two"), "OK");
    list = redis_do(one, "CLIENT LIST");
    ck_assert_ptr_nonnull(strstr(list, " name=one "));
    ck_assert_ptr_nonnull(strstr(list, " name=two "));
    id = redis_do(two, "CLIENT ID");
    ck_assert_ptr_nonnull(strstr(redis_do(two, "CLIENT INFO"), text("id=%s ", id)));
    redisAppendCommand(two, "BLPOP l 0");
    for (int done = 0; !done;)
        ck_assert_int_eq(redisBufferWrite(two, &done), REDIS_OK);
    await(flagged("flags=b") == 1, 20);
    ck_assert_str_eq(redis_do(one, "CLIENT UNBLOCK %s ERROR", id), "1");
    ck_assert_str_eq(redis_next(two), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    ck_assert_str_eq(redis_do(one, "CLIENT KILL ID %s", id), "1");
    ck_assert_str_eq(redis_next(two), "lost");
    ck_assert_str_eq(redis_do(one, "CLIENT KILL ID %s", id), "0");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(pool_size_holds_over_all_workers_users_and_databases)
{
    redisContext *contexts[40];

    begin("pool_size=4 query_wait_timeout=20", "workers = 2\n");
    for (int i = 0; i < 40; i++) {
        contexts[i] = redis_open(port);
        ck_assert_str_eq(redis_do(contexts[i], "SELECT %d", i % 6), "OK");
    }
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 40; i++) {
            ck_assert_str_eq(redis_do(contexts[i], "SET k%d %d", i, round), "OK");
            if (i == 0)
                ck_assert_int_le(redis_connections(&redis, ""), 4);
        }
    for (int i = 0; i < 40; i++)
        ck_assert_str_eq(redis_do(contexts[i], "GET k%d", i), "19");
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_limits");

    suite_add(suite, SUITE_OURS, 30, a_client_that_leaves_while_blocked_takes_no_element);
    suite_add(suite, SUITE_OURS, 30, clients_that_vanish_leave_the_pool_whole);
    suite_add(suite, SUITE_OURS, 30, blocked_clients_do_not_starve_the_pool);
    suite_add(suite, SUITE_OURS, 30, a_client_that_does_not_read_stops_nobody);
    suite_add(suite, SUITE_OURS, 30, a_large_reply_that_is_not_read_stops_nobody);
    suite_add(suite, SUITE_OURS, 30, a_large_reply_that_is_not_read_gives_way_to_who_waits);
    suite_add(suite, SUITE_OURS, 60, the_largest_value_streams_in_bounded_memory);
    suite_add(suite, SUITE_OURS, 30, a_late_reply_is_an_error_and_the_connection_lives_on);
    suite_add(suite, SUITE_OURS, 30, clients_outlive_the_server);
    suite_add(suite, SUITE_OURS, 30, a_reset_that_comes_together_with_a_reply_is_found);
    suite_add(suite, SUITE_OURS, 30, a_server_that_comes_back_is_found_without_clients);
    suite_add(suite, SUITE_OURS, 30, a_server_that_comes_back_on_a_socket_is_found_too);
    suite_add(suite, SUITE_OURS, 30, nobody_may_what_only_another_user_may);
    suite_add(suite, SUITE_OURS, 30, who_has_not_logged_in_may_send_small_requests_only);
    suite_add(suite, SUITE_OURS, 30, clients_know_and_end_each_other);
    suite_add(suite, SUITE_OURS, 60, pool_size_holds_over_all_workers_users_and_databases);
    return suite_finish(suite);
}
