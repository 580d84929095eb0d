/* The lines of [redis] in the SQL console: what it shows of them and what its orders do to them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/redis.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct redis redis;
static uint16_t port;

static PGconn *start(void)
{
    redis_start(&redis, NULL);
    port = redis_pooled(&sluice, &redis, "min_pool_size=0", CONSOLE_USERS);
    return sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
}

static void end(PGconn *console)
{
    console_end(console, &sluice);
    redis_end(&redis);
}

static char *pool_cell(PGconn *console, const char *column)
{
    return console_cell(console, "SHOW REDIS_POOLS", "cache", column);
}

/* The one row, but for rows of its own that a table of clients may have. */
static char *only(PGconn *console, const char *sql, const char *column)
{
    PGresult *result = PQexec(console, sql);
    char *value;

    ck_assert_int_eq(PQntuples(result), 1);
    ck_assert_msg(PQfnumber(result, column) >= 0, "%s has no column %s", sql, column);
    value = text("%s", PQgetvalue(result, 0, PQfnumber(result, column)));
    PQclear(result);
    return value;
}

static const struct {
    const char *sql, *columns;
} tables[] = {
    {"SHOW REDIS_POOLS", "pool user db resp readonly kind cl_active cl_waiting sv_shared sv_leased "
                         "sv_idle sv_tested sv_login pool_size maxwait maxwait_us paused "},
    {"SHOW REDIS_CLIENTS",
     "id pool user db resp state addr port local_addr local_port connect_time request_time wait "
     "wait_us link replies_owed send_remain name command "},
    {"SHOW REDIS_SERVERS",
     "id pool user db resp state addr port local_addr local_port connect_time request_time wait "
     "wait_us link replies_owed send_remain close_needed "},
    {"SHOW REDIS_STATS",
     "pool total_command_count total_received total_sent total_command_time total_wait_time "
     "total_lease_count total_client_login_count total_server_login_count "
     "total_server_login_failures total_server_lost_count total_wait_timeouts "
     "total_command_timeouts avg_command_count avg_recv avg_sent avg_command_time "},
};

/* _i: a table; others may add columns at its end. */
START_TEST(each_table_has_its_columns)
{
    PGconn *console = start();
    redisContext *client = redis_open(port);
    char *columns = text("%s", "");
    PGresult *result;

    ck_assert_str_eq(redis_do(client, "SET a 1"), "OK");
    result = PQexec(console, tables[_i].sql);
    for (int i = 0; i < PQnfields(result); i++)
        columns = text("%s%s ", columns, PQfname(result, i));
    ck_assert_msg(strncmp(columns, tables[_i].columns, strlen(tables[_i].columns)) == 0, "%s",
                  columns);
    ck_assert_int_ge(PQntuples(result), 1);
    PQclear(result);
    redisFree(client);
    end(console);
}
END_TEST

START_TEST(a_client_and_its_server_are_shown)
{
    PGconn *console = start();
    redisContext *client = redis_open(port);
    char *server;

    ck_assert_str_eq(redis_do(client, "CLIENT SETNAME me"), "OK");
    ck_assert_str_eq(redis_do(client, "SELECT 3"), "OK");
    ck_assert_str_eq(redis_do(client, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(client, "SET a 1"), "QUEUED");
    server = only(console, "SHOW REDIS_CLIENTS", "link");
    ck_assert_str_eq(only(console, "SHOW REDIS_CLIENTS", "id"),
                     console_cell(console, "SHOW REDIS_SERVERS", server, "link"));
    ck_assert_str_eq(only(console, "SHOW REDIS_CLIENTS", "state"), "leased");
    ck_assert_str_eq(only(console, "SHOW REDIS_CLIENTS", "pool"), "cache");
    ck_assert_str_eq(only(console, "SHOW REDIS_CLIENTS", "db"), "3");
    ck_assert_str_eq(only(console, "SHOW REDIS_CLIENTS", "name"), "me");
    ck_assert_str_eq(only(console, "SHOW REDIS_CLIENTS", "command"), "set");
    ck_assert_str_eq(console_cell(console, "SHOW REDIS_SERVERS", server, "state"), "active");
    ck_assert_str_eq(console_cell(console, "SHOW REDIS_SERVERS", server, "db"), "3");
    ck_assert_str_eq(console_cell(console, "SHOW REDIS_SERVERS", server, "port"),
                     text("%u", redis.port));
    ck_assert_str_eq(redis_do(client, "EXEC"), "[OK]");
    ck_assert_int_ge(
        atoi(console_cell(console, "SHOW REDIS_STATS", "cache", "total_client_login_count")), 1);
    redisFree(client);
    end(console);
}
END_TEST

/* _i: by its name, or everything. */
START_TEST(pause_closes_servers_and_lets_clients_wait)
{
    PGconn *console = start();
    redisContext *client = redis_open(port);
    const char *name = _i ? "" : " cache";
    void *reply = NULL;
    int done = 0;

    ck_assert_str_eq(redis_do(client, "SET a 1"), "OK");
    sql_do(console, text("PAUSE%s", name));
    ck_assert_int_eq(redis_connections(&redis, ""), 0);
    ck_assert_str_eq(pool_cell(console, "paused"), "1");
    redisAppendCommand(client, "GET a");
    while (!done)
        ck_assert_int_eq(redisBufferWrite(client, &done), REDIS_OK);
    await(strcmp(pool_cell(console, "cl_waiting"), "1") == 0, 20);
    ck_assert_int_eq(redis_connections(&redis, ""), 0);
    sql_do(console, text("RESUME%s", name));
    ck_assert_int_eq(redisGetReply(client, &reply), REDIS_OK);
    ck_assert_str_eq(((redisReply *)reply)->str, "1");
    freeReplyObject(reply);
    ck_assert_str_eq(pool_cell(console, "paused"), "0");
    redisFree(client);
    end(console);
}
END_TEST

START_TEST(pause_waits_for_an_open_transaction)
{
    PGconn *console = start();
    redisContext *client = redis_open(port);

    ck_assert_str_eq(redis_do(client, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(client, "SET a 1"), "QUEUED");
    ck_assert_int_eq(PQsendQuery(console, "PAUSE cache"), 1);
    sluice_await_log(&sluice, "PAUSE cache");
    PQconsumeInput(console);
    ck_assert_int_eq(PQisBusy(console), 1);
    ck_assert_str_eq(redis_do(client, "EXEC"), "[OK]");
    ck_assert_int_eq(PQresultStatus(PQgetResult(console)), PGRES_COMMAND_OK);
    ck_assert_ptr_null(PQgetResult(console));
    sql_do(console, "RESUME cache");
    ck_assert_str_eq(redis_do(client, "GET a"), "1");
    redisFree(client);
    end(console);
}
END_TEST

/* A PAUSE of everything, for the sake of PostgreSQL, would never come true. */
START_TEST(pause_of_everything_does_not_wait_for_subscribers)
{
    PGconn *console = start();
    redisContext *subscriber = redis_open(port);

    ck_assert_str_eq(redis_do(subscriber, "SUBSCRIBE news"), "[subscribe news 1]");
    sql_do(console, "PAUSE");
    sql_do(console, "RESUME");
    redisFree(subscriber);
    end(console);
}
END_TEST

/* Shared connections under load, and one that a client keeps. */
START_TEST(reconnect_and_wait_close_replace_servers)
{
    PGconn *console = start();
    redisContext *client = redis_open(port), *keeper = redis_open(port);
    char *before;

    ck_assert_str_eq(redis_do(client, "SET a 1"), "OK");
    before = only(console, "SHOW REDIS_SERVERS", "id");
    ck_assert_str_eq(redis_do(keeper, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(keeper, "SET b 1"), "QUEUED");
    sql_do(console, "RECONNECT cache");
    ck_assert_int_eq(PQsendQuery(console, "WAIT_CLOSE cache"), 1);
    sluice_await_log(&sluice, "WAIT_CLOSE cache");
    PQconsumeInput(console);
    ck_assert_int_eq(PQisBusy(console), 1);
    ck_assert_str_eq(redis_do(keeper, "EXEC"), "[OK]");
    ck_assert_int_eq(PQresultStatus(PQgetResult(console)), PGRES_COMMAND_OK);
    ck_assert_ptr_null(PQgetResult(console));
    ck_assert_str_eq(redis_do(client, "GET b"), "1");
    ck_assert_str_ne(only(console, "SHOW REDIS_SERVERS", "id"), before);
    redisFree(client);
    redisFree(keeper);
    end(console);
}
END_TEST

START_TEST(disable_refuses_new_clients_only)
{
    PGconn *console = start();
    redisContext *client = redis_open(port), *later;

    ck_assert_str_eq(redis_do(client, "SET a 1"), "OK");
    sql_do(console, "DISABLE cache");
    ck_assert_str_eq(redis_do(client, "GET a"), "1");
    later = redis_open(port);
    ck_assert_str_eq(redis_next(later), "-ERR the pool is disabled");
    redisFree(later);
    sql_do(console, "ENABLE cache");
    later = redis_open(port);
    ck_assert_str_eq(redis_do(later, "GET a"), "1");
    redisFree(client);
    redisFree(later);
    end(console);
}
END_TEST

/* _i: by its name, or everything. Commands are under way. */
START_TEST(kill_closes_clients_and_servers_until_resume)
{
    PGconn *console = start(), *database = sluice_connect(&sluice, "user=user1 dbname=p");
    redisContext *idle = redis_open(port), *busy = redis_open(port), *kept = redis_open(port);
    const char *name = _i ? "" : " cache";
    int done = 0;

    ck_assert_str_eq(redis_do(idle, "SET a 1"), "OK");
    ck_assert_str_eq(redis_do(kept, "MULTI"), "OK");
    ck_assert_str_eq(redis_do(kept, "SET b 1"), "QUEUED");
    redisAppendCommand(busy, "WAIT 1 0"); /* for ever, on a shared connection */
    while (!done)
        ck_assert_int_eq(redisBufferWrite(busy, &done), REDIS_OK);
    await(redis_connections(&redis, "cmd=wait") > 0, 20);
    sql_do(console, text("KILL%s", name));
    ck_assert_str_eq(redis_do(idle, "GET a"), "lost");
    ck_assert_str_eq(redis_next(busy), "lost");
    ck_assert_str_eq(redis_do(kept, "EXEC"), "lost");
    await(redis_connections(&redis, "") == 0, 20);
    if (!_i)
        sql_do(database, "SELECT 1"); /* the others go on */
    sql_do(console, text("RESUME%s", name));
    redisFree(idle);
    idle = redis_open(port);
    ck_assert_str_eq(redis_do(idle, "GET a"), "1");
    ck_assert_str_eq(redis_do(idle, "GET b"), "nil");
    redisFree(idle);
    redisFree(busy);
    redisFree(kept);
    PQfinish(database);
    end(console);
}
END_TEST

START_TEST(kill_client_closes_one_client)
{
    PGconn *console = start();
    redisContext *one = redis_open(port), *other;

    ck_assert_str_eq(redis_do(one, "SET a 1"), "OK");
    other = redis_open(port);
    sql_do(console, text("KILL_CLIENT %s", console_cell(console, "SHOW REDIS_CLIENTS",
                                                        redis_do(one, "CLIENT ID"), "id")));
    ck_assert_str_eq(redis_do(one, "GET a"), "lost");
    ck_assert_str_eq(redis_do(other, "GET a"), "1");
    redisFree(one);
    redisFree(other);
    end(console);
}
END_TEST

START_TEST(the_daemon_ends_while_a_shared_connection_owes_replies)
{
    PGconn *console = start();
    redisContext *client = redis_open(port);
    int done = 0;

    redisAppendCommand(client, "WAIT 1 0");
    while (!done)
        ck_assert_int_eq(redisBufferWrite(client, &done), REDIS_OK);
    await(redis_connections(&redis, "cmd=wait") > 0, 20);
    end(console);
    redisFree(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console_redis");

    suite_add_loop(suite, SUITE_OURS, 20, each_table_has_its_columns,
                   sizeof(tables) / sizeof(tables[0]));
    suite_add(suite, SUITE_OURS, 20, a_client_and_its_server_are_shown);
    suite_add_loop(suite, SUITE_OURS, 20, pause_closes_servers_and_lets_clients_wait, 2);
    suite_add(suite, SUITE_OURS, 20, pause_waits_for_an_open_transaction);
    suite_add(suite, SUITE_OURS, 20, pause_of_everything_does_not_wait_for_subscribers);
    suite_add(suite, SUITE_OURS, 20, reconnect_and_wait_close_replace_servers);
    suite_add(suite, SUITE_OURS, 20, disable_refuses_new_clients_only);
    suite_add_loop(suite, SUITE_OURS, 20, kill_closes_clients_and_servers_until_resume, 2);
    suite_add(suite, SUITE_OURS, 20, kill_client_closes_one_client);
    suite_add(suite, SUITE_OURS, 20, the_daemon_ends_while_a_shared_connection_owes_replies);
    return suite_finish(suite);
}
