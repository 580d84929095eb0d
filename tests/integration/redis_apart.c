/* What is one client's, one user's or one line's stays with it: nothing of it is seen by others,
 * now or on the same connection later. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/process.h"
#include "harness/redis.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct redis redis, second;
static uint16_t port;

static void begin(const char *settings, const char *keys)
{
    redis_start(&redis, settings);
    port = redis_pooled(&sluice, &redis, keys, "workers = 1\n");
}

static void users_set(void)
{
    redisContext *direct = redis_open(redis.port);

    ck_assert_str_eq(redis_do(direct, "ACL SETUSER a on >pa ~a* +@all"), "OK");
    ck_assert_str_eq(redis_do(direct, "ACL SETUSER b on >pb ~b* +@all"), "OK");
    ck_assert_str_eq(redis_do(direct, "MSET a A b B"), "OK");
    redisFree(direct);
}

static bool may_not(redisContext *context, const char *command)
{
    return strncmp(redis_do(context, command), "-NOPERM", 7) == 0;
}

static void check_is(redisContext *context, const char *user)
{
    ck_assert_str_eq(redis_do(context, "ACL WHOAMI"), user);
    if (strcmp(user, "default") == 0)
        return;
    ck_assert_str_eq(redis_do(context, "GET %s", user), user[0] == 'a' ? "A" : "B");
    ck_assert(may_not(context, user[0] == 'a' ? "GET b" : "GET a"));
    ck_assert_str_eq(redis_do(context, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(context, "ACL WHOAMI"), "QUEUED");
    ck_assert_str_eq(redis_do(context, "EXEC"), text("[%s]", user));
    ck_assert_str_eq(redis_do(context, "EVAL %s 0", "return redis.pcall('get', 'a') and 1"), "1");
}

START_TEST(hello_gives_each_user_connections_of_its_own)
{
    redisContext *a, *b, *nobody;

    begin(NULL, "pool_size=4");
    users_set();
    a = redis_open(port);
    b = redis_open(port);
    nobody = redis_open(port);
    ck_assert_ptr_nonnull(strstr(redis_do(a, "HELLO 2 AUTH a pa SETNAME one"), "redis"));
    ck_assert_ptr_nonnull(strstr(redis_do(b, "HELLO 2 AUTH b pb"), "redis"));
    for (int round = 0; round < 10; round++) {
        check_is(a, "a");
        check_is(b, "b");
        check_is(nobody, "default");
    }
    await(redis_connections(&redis, "user=a ") >= 1 && redis_connections(&redis, "user=b ") >= 1,
          20);
    /* One that fails changes nothing. */
    ck_assert_str_eq(redis_do(a, "HELLO 2 AUTH b wrong"),
                     "-WRONGPASS invalid username-password pair or user is disabled.");
    ck_assert_str_eq(redis_do(nobody, "HELLO 2 AUTH b pa SETNAME x"),
                     "-WRONGPASS invalid username-password pair or user is disabled.");
    ck_assert_ptr_nonnull(strstr(redis_do(b, "HELLO 9 AUTH a pa"), "-NOPROTO"));
    ck_assert_str_eq(redis_do(nobody, "CLIENT GETNAME"), "nil");
    ck_assert_str_eq(redis_do(a, "CLIENT GETNAME"), "one");
    for (int round = 0; round < 3; round++) {
        check_is(a, "a");
        check_is(b, "b");
        check_is(nobody, "default");
    }
    /* They change places, in the middle of pipelines. */
    redisAppendCommand(a, "GET a");
    redisAppendCommand(a, "HELLO 2 AUTH b pb");
    redisAppendCommand(a, "GET a");
    redisAppendCommand(a, "RESET");
    redisAppendCommand(a, "ACL WHOAMI");
    ck_assert_str_eq(redis_next(a), "A");
    ck_assert_ptr_nonnull(strstr(redis_next(a), "redis"));
    ck_assert_ptr_nonnull(strstr(redis_next(a), "-NOPERM"));
    ck_assert_str_eq(redis_next(a), "RESET");
    ck_assert_str_eq(redis_next(a), "default");
    ck_assert_str_eq(redis_do(a, "CLIENT GETNAME"), "nil");
    ck_assert_ptr_nonnull(strstr(redis_do(b, "HELLO 2 AUTH a pa"), "redis"));
    check_is(b, "a");
    ck_assert_str_eq(redis_do(b, "RESET"), "RESET");
    check_is(b, "default");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(lines_of_one_daemon_are_not_mixed)
{
    uint16_t ports[3] = {process_free_port(), process_free_port(), process_free_port()};
    redisContext *clients[3][4];

    redis_start(&redis, NULL);
    redis_start(&second, "requirepass secret\n");
    sluice_start(&sluice, .settings = "workers = 2\n",
                 .redis =
                     text("one = host=127.0.0.1 port=%u listen_port=%u listen_addr=127.0.0.1\n"
                          "two = host=127.0.0.1 port=%u listen_port=%u listen_addr=127.0.0.1 db=5\n"
                          "three = host=127.0.0.1 port=%u listen_port=%u listen_addr=127.0.0.1 "
                          "user=default password=secret\n",
                          redis.port, ports[0], redis.port, ports[1], second.port, ports[2]));
    for (int i = 0; i < 12; i++)
        clients[i / 4][i % 4] = redis_open(ports[i / 4]);
    for (int i = 0; i < 12; i++)
        ck_assert_str_eq(redis_do(clients[i / 4][i % 4], "SET k %d", i / 4), "OK");
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 12; i++) {
            redisContext *context = clients[i / 4][i % 4];

            ck_assert_str_eq(redis_do(context, "GET k"), text("%d", i / 4));
            if (round % 5 != 4)
                continue;
            ck_assert_str_eq(redis_do(context, "MULTI"), "OK");
            ck_assert_str_eq(redis_do(context, "GET k"), "QUEUED");
            ck_assert_str_eq(redis_do(context, "EXEC"), text("[%d]", i / 4));
            ck_assert_str_eq(redis_do(context, "SELECT 3"), "OK");
            ck_assert_str_eq(redis_do(context, "GET k"), "nil");
            ck_assert_str_eq(redis_do(context, "RESET"), "RESET");
        }
    ck_assert_str_eq(redis_do(clients[0][0], "SUBSCRIBE c"), "[subscribe c 1]");
    ck_assert_str_eq(redis_do(clients[2][0], "PUBLISH c x"), "0");
    ck_assert_str_eq(redis_do(clients[1][0], "PUBLISH c x"), "1");
    ck_assert_str_eq(redis_next(clients[0][0]), "[message c x]");
    for (int i = 0; i < 3; i++) {
        char *list = redis_do(clients[i][1], "CLIENT LIST");
        int lines = 0;

        for (const char *at = list; (at = strchr(at, '\n')); at++)
            lines++;
        ck_assert_int_eq(lines, 4);
    }
    ck_assert_str_eq(redis_do(clients[2][1], "CLIENT KILL ID %s SKIPME no",
                              redis_do(clients[0][1], "CLIENT ID")),
                     "0");
    ck_assert_str_eq(redis_do(clients[0][1], "GET k"), "0");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(clients_come_by_a_unix_socket)
{
    redisContext *contexts[8], *other;
    struct timeval limit = {.tv_sec = (time_t)(20 * slow_factor())};
    char *path;

    redis_start(&redis, "unixsocket redis.sock\nunixsocketperm 777\n");
    path = text("%s/clients", redis.directory);
    port = process_free_port();
    sluice_start(&sluice, .settings = "workers = 2\n",
                 .redis = text("cache = host=%s/redis.sock unix_socket=%s listen_port=%u "
                               "listen_addr=127.0.0.1\n",
                               redis.directory, path, port));
    for (int i = 0; i < 8; i++) {
        contexts[i] = redisConnectUnix(path);
        ck_assert_msg(contexts[i] && !contexts[i]->err, "no connection on %s", path);
        redisSetTimeout(contexts[i], limit);
        ck_assert_str_eq(redis_do(contexts[i], "SET k%d %d", i, i), "OK");
    }
    other = redis_open(port);
    for (int i = 0; i < 8; i++) {
        ck_assert_str_eq(redis_do(other, "GET k%d", i), text("%d", i));
        ck_assert_str_eq(redis_do(contexts[i], "MULTI"), "OK");
        ck_assert_str_eq(redis_do(contexts[i], "GET k%d", i), "QUEUED");
        ck_assert_str_eq(redis_do(contexts[i], "EXEC"), text("[%d]", i));
    }
    ck_assert_str_eq(redis_do(contexts[0], "SUBSCRIBE c"), "[subscribe c 1]");
    ck_assert_str_eq(redis_do(other, "PUBLISH c x"), "1");
    ck_assert_str_eq(redis_next(contexts[0]), "[message c x]");
    for (int i = 0; i < 8; i++)
        redisFree(contexts[i]);
    ck_assert_str_eq(redis_do(other, "GET k0"), "0");
    sluice_stop(&sluice);
}
END_TEST

/* Uses each connection of the pool as somebody new would, and finds nothing. */
static void check_nothing_left(void)
{
    redisContext *contexts[4];

    await(redis_connections(&redis, "flags=e") == 0, 20);
    for (int i = 0; i < 4; i++) {
        contexts[i] = redis_open(port);
        ck_assert_str_eq(redis_do(contexts[i], "GET a"), "1");
        ck_assert_str_eq(redis_do(contexts[i], "WATCH a"), "OK");
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(redis_do(contexts[i], "PING"), "PONG");
        ck_assert_str_eq(redis_do(contexts[i], "MULTI"), "OK");
        ck_assert_ptr_null(strstr(redis_do(contexts[i], "GET a"), "1"));
        ck_assert_str_eq(redis_do(contexts[i], "EXEC"), "[1]");
        redisFree(contexts[i]);
    }
    ck_assert_int_eq(redis_connections(&redis, "flags=e"), 0);
}

static void vanish_after(const char *const lines[], size_t count)
{
    int fd = raw_open(port);
    size_t length;

    for (size_t i = 0; i < count; i++)
        raw_send(fd, lines[i], strlen(lines[i]));
    raw_send(fd, "CLIENT REPLY ON\r\nECHO here\r\n", 29);
    free(raw_receive(fd, 5, 0, &length));
    for (size_t i = 0; i < count; i++)
        raw_send(fd, lines[i], strlen(lines[i]));
    close(fd);
}

START_TEST(nothing_of_who_vanishes_is_left_on_a_connection)
{
    static const char *const states[][3] = {
        {"CLIENT NO-EVICT ON\r\n", "GET a\r\n", "SELECT 3\r\n"},
        {"CLIENT REPLY OFF\r\n", "GET a\r\n", "CLIENT NO-EVICT ON\r\n"},
        {"CLIENT REPLY SKIP\r\n", "WATCH a\r\n", "CLIENT REPLY SKIP\r\n"},
        {"WATCH a\r\n", "CLIENT REPLY OFF\r\n", "MULTI\r\nGET a\r\n"},
        {"CLIENT REPLY OFF\r\n", "MULTI\r\nGET a\r\n", "EXEC\r\n"},
        {"CLIENT REPLY OFF\r\n", "SELECT 3\r\n", "SET b 1\r\n"},
        {"CLIENT REPLY OFF\r\n", "SUBSCRIBE c\r\n", "UNSUBSCRIBE c\r\n"},
        {"CLIENT REPLY SKIP\r\n", "EVAL 'return 1' 0\r\n", "CLIENT NO-TOUCH ON\r\n"},
    };
    redisContext *direct;

    begin(NULL, "pool_size=4 blocking_pool_size=4");
    direct = redis_open(redis.port);
    ck_assert_str_eq(redis_do(direct, "SET a 1"), "OK");
    redisFree(direct);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        for (int round = 0; round < 3; round++)
            vanish_after(states[i], 3);
        check_nothing_left();
    }
    ck_assert_int_le(redis_connections(&redis, ""), 8);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_user_whom_the_server_does_not_know_is_no_client)
{
    static const char *const commands[] = {
        "CLIENT KILL USER nobody",
        "CLIENT KILL USER nobody SKIPME no",
        "CLIENT KILL ID 77 USER nobody",
        "CLIENT KILL USER b",
        "CLIENT KILL USER default ADDR 1.2.3.4:5",
    };
    redisContext *context, *direct, *a;

    begin(NULL, NULL);
    users_set();
    context = redis_open(port);
    direct = redis_open(redis.port);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        ck_assert_str_eq(redis_do(context, commands[i]), redis_do(direct, commands[i]));
    ck_assert_str_eq(redis_do(context, "CLIENT KILL USER nobody"), "-ERR No such user 'nobody'");
    ck_assert_str_eq(redis_do(context, "CLIENT KILL USER %s", text("%01000d", 0)),
                     redis_do(direct, "CLIENT KILL USER %s", text("%01000d", 0)));
    a = redis_open(port);
    ck_assert_str_eq(redis_do(a, "AUTH a pa"), "OK");
    ck_assert_str_eq(redis_do(context, "CLIENT KILL USER a"), "1");
    ck_assert_str_eq(redis_do(a, "PING"), "lost");
    ck_assert_str_eq(redis_do(context, "PING"), "PONG");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(who_has_not_logged_in_is_told_nothing)
{
    static const char *const commands[] = {
        "CLIENT ID",          "CLIENT SETNAME x",
        "CLIENT GETNAME",     "CLIENT INFO",
        "CLIENT LIST",        "CLIENT KILL ID 9",
        "CLIENT UNBLOCK 9",   "CLIENT REPLY ON",
        "CLIENT NO-EVICT on", "MULTI",
        "SUBSCRIBE a",        "WAIT 0 10",
        "CLIENT PAUSE 1",     "SELECT 1",
        "CLIENT TRACKING on", "SHUTDOWN NOW",
        "PSYNC a 1",          "MONITOR",
    };
    redisContext *context, *direct;

    begin("requirepass secret\n", NULL);
    context = redis_open(port);
    ck_assert_str_eq(redis_do(context, "GET a"), "-NOAUTH Authentication required.");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        direct = redis_open(redis.port);
        ck_assert_msg(strcmp(redis_do(context, commands[i]), redis_do(direct, commands[i])) == 0,
                      "%s: %s", commands[i], redis_do(context, commands[i]));
        redisFree(direct);
    }
    ck_assert_str_eq(redis_do(context, "RESET"), "RESET");
    ck_assert_str_eq(redis_do(context, "AUTH secret"), "OK");
    ck_assert_str_eq(redis_do(context, "CLIENT GETNAME"), "nil");
    ck_assert_str_eq(redis_do(context, "CLIENT SETNAME x"), "OK");
    ck_assert_str_eq(redis_do(context, "CLIENT GETNAME"), "x");
    ck_assert_str_eq(redis_do(context, "QUIT"), "OK");
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_apart");

    suite_add(suite, SUITE_OURS, 30, hello_gives_each_user_connections_of_its_own);
    suite_add(suite, SUITE_OURS, 30, lines_of_one_daemon_are_not_mixed);
    suite_add(suite, SUITE_OURS, 30, clients_come_by_a_unix_socket);
    suite_add(suite, SUITE_OURS, 60, nothing_of_who_vanishes_is_left_on_a_connection);
    suite_add(suite, SUITE_OURS, 30, a_user_whom_the_server_does_not_know_is_no_client);
    suite_add(suite, SUITE_OURS, 30, who_has_not_logged_in_is_told_nothing);
    return suite_finish(suite);
}
