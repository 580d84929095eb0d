/* batch_keys: reads of many clients asked together. Whatever is joined, every client gets the bytes
 * that it would have had alone. The pooler is stopped while clients write, so that it finds all of
 * it at once and joins as much as it ever will. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/process.h"
#include "harness/redis.h"
#include "harness/suite.h"

#define CLIENTS 40
#define ROUNDS 60
#define COMMANDS_MAX 10
#define BYTES_MAX 4096

static struct sluice sluice;
static struct redis redis;
static uint16_t port;

static void begin(const char *keys, const char *settings)
{
    redis_start(&redis, "enable-debug-command yes\n");
    port = redis_pooled(&sluice, &redis, text("batch_keys=on pool_size=2 %s", keys),
                        text("workers = 1\nstats_users = user1\n%s", settings));
}

/* A counter of SHOW REDIS_STATS. */
static long counted(const char *column)
{
    PGconn *console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    PGresult *result = PQexec(console, "SHOW REDIS_STATS");
    int at = PQfnumber(result, column);
    long value;

    ck_assert_int_eq(PQntuples(result), 1);
    ck_assert_int_ge(at, 0);
    value = strtol(PQgetvalue(result, 0, at), NULL, 10);
    PQclear(result);
    PQfinish(console);
    return value;
}

/* ---- the same commands, directly and through the pooler ---- */

/* What all read, some of it of the wrong type. */
static void fill(void)
{
    redisContext *context = redis_open(redis.port);

    ck_assert_str_eq(redis_do(context, "FLUSHALL"), "OK");
    for (int i = 0; i < 8; i++) {
        ck_assert_str_eq(redis_do(context, "SET s%d %s", i, text("value-%0*d", i * 30, i)), "OK");
        redis_do(context, "HSET h%d f0 a f1 b f2 %s", i, text("%0*d", i * 100, i));
        redis_do(context, "ZADD z%d 0 m0 1.5 m1 -inf m2 3e20 m3", i);
        redis_do(context, "RPUSH l%d a b c", i);
    }
    redis_do(context, "SET %b v", "a\r\n$1\r\nb", (size_t)8);
    redis_do(context, "SET big %s", text("%050000d", 7));
    redisFree(context);
}

static size_t put(char *to, unsigned words, const char *const *word)
{
    size_t length;

    ck_assert_ptr_nonnull(to);
    length = (size_t)sprintf(to, "*%u\r\n", words);

    for (unsigned i = 0; i < words; i++)
        length += (size_t)sprintf(to + length, "$%zu\r\n%s\r\n", strlen(word[i]), word[i]);
    return length;
}

/* A command of client `id`: mostly reads of what all know, now and then a write of its own. */
static size_t generate(char *to, unsigned id, unsigned *seed)
{
    unsigned kind = (unsigned)rand_r(seed) % 24, key = (unsigned)rand_r(seed) % 9;
    const char *type = &"s\0h\0z\0l\0"[rand_r(seed) % 4 * 2];
    char *any = text("%s%u", type, key), *own = text("own%u", id);
    char *member = text("m%u", (unsigned)rand_r(seed) % 5), *field = text("f%u", key % 4);

    if (kind < 9)
        return put(to, 2, (const char *[]){kind & 1 ? "GET" : "get", text("s%u", key)});
    switch (kind) {
    case 9:
        return put(to, 2, (const char *[]){"GET", any});
    case 10:
    case 11:
        return put(to, 3, (const char *[]){"HGET", text("h%u", key % 3), field});
    case 12:
        return put(to, 3, (const char *[]){"hget", any, field});
    case 13:
    case 14:
        return put(to, 3, (const char *[]){"ZSCORE", text("z%u", key % 3), member});
    case 15:
        return put(to, 3, (const char *[]){"ZSCORE", any, member});
    case 16:
        return put(to, 2, (const char *[]){"GET", "a\r\n$1\r\nb"});
    case 17:
        return put(to, 2, (const char *[]){"STRLEN", any});
    case 18:
        return put(to, 4, (const char *[]){"LRANGE", "l1", "0", "-1"});
    case 19:
        return put(to, 3, (const char *[]){"SET", own, text("%u", *seed)});
    case 20:
        return put(to, 2, (const char *[]){"INCR", text("count%u", id)});
    case 21:
        return put(to, 2, (const char *[]){"GET", own});
    case 22:
        return put(to, 2, (const char *[]){"DEL", own});
    default:
        return put(to, key % 3 + 1, (const char *[]){"GET", "x", "y"});
    }
}

struct asker {
    char ask[ROUNDS][BYTES_MAX];
    char *got[ROUNDS];
    size_t length[ROUNDS];
};

static void askers_generate(struct asker *askers, unsigned seed)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        for (unsigned round = 0; round < ROUNDS; round++) {
            size_t length = 0;

            for (int left = rand_r(&seed) % COMMANDS_MAX; left >= 0; left--)
                length += generate(askers[i].ask[round] + length, i, &seed);
            ck_assert_uint_lt(length, BYTES_MAX);
        }
}

/* What follows the commands where the end of their replies must be known. */
static const char echo[] = "*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n", echoed[] = "$3\r\nend\r\n";

/* Receives up to the echo, which is cut off. */
static char *receive_echoed(int fd, size_t *length)
{
    const size_t end = sizeof(echoed) - 1;
    char *all = calloc(1, 1 << 20);

    ck_assert_ptr_nonnull(all);
    *length = 0;
    while (*length < end || memcmp(all + *length - end, echoed, end) != 0) {
        ssize_t got = recv(fd, all + *length, (1 << 20) - 1 - *length, 0);

        ck_assert_int_gt(got, 0);
        *length += (size_t)got;
    }
    *length -= end;
    return all;
}

static void askers_open(int fds[CLIENTS], uint16_t at)
{
    static const char hello[] = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";
    size_t length;

    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = raw_open(at);
        if (i % 2 == 0)
            continue;
        raw_send(fds[i], hello, sizeof(hello) - 1);
        raw_send(fds[i], echo, sizeof(echo) - 1);
        free(receive_echoed(fds[i], &length));
    }
}

/* Each client's rounds, directly. */
static void askers_learn(struct asker *askers)
{
    int fds[CLIENTS];

    fill();
    askers_open(fds, redis.port);
    for (unsigned i = 0; i < CLIENTS; i++)
        for (unsigned round = 0; round < ROUNDS; round++) {
            raw_send(fds[i], askers[i].ask[round], strlen(askers[i].ask[round]));
            raw_send(fds[i], echo, sizeof(echo) - 1);
            askers[i].got[round] = receive_echoed(fds[i], &askers[i].length[round]);
        }
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

/* The same through the pooler, all at once; in every other round something else follows. */
static void askers_compare(const struct asker *askers)
{
    int fds[CLIENTS];

    fill();
    askers_open(fds, port);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t more = round % 2 ? 0 : sizeof(echoed) - 1;

        sluice_pause(&sluice);
        for (unsigned i = 0; i < CLIENTS; i++) {
            raw_send(fds[i], askers[i].ask[round], strlen(askers[i].ask[round]));
            raw_send(fds[i], echo, more ? sizeof(echo) - 1 : 0);
        }
        sluice_signal(&sluice, SIGCONT);
        for (unsigned i = 0; i < CLIENTS; i++) {
            const struct asker *asker = &askers[i];
            size_t length, wanted = asker->length[round];
            char *got = raw_receive(fds[i], wanted + more, 0, &length);

            ck_assert_msg(length == wanted + more && memcmp(got, asker->got[round], wanted) == 0,
                          "client %u, round %u, asked: %s\nRedis: %s\nSluice: %s", i, round,
                          asker->ask[round], asker->got[round], got);
            free(got);
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

START_TEST(every_client_gets_the_bytes_that_it_would_have_had_alone)
{
    struct asker *askers = calloc(CLIENTS, sizeof(*askers));

    ck_assert_ptr_nonnull(askers);
    begin("", "");
    askers_generate(askers, (unsigned)_i + 1);
    askers_learn(askers);
    askers_compare(askers);
    ck_assert_int_gt(counted("total_batch_count"), ROUNDS);
    ck_assert_int_gt(counted("total_batch_keys"), 2 * counted("total_batch_count"));
    ck_assert_int_gt(counted("total_batch_duplicates"), 0);
    ck_assert_int_gt(counted("total_batch_nils"), 0);
    ck_assert_int_gt(counted("total_batch_errors"), 0);
    ck_assert_int_ge(counted("total_batch_again"),
                     counted("total_batch_nils") + counted("total_batch_errors"));
    free(askers);
    sluice_stop(&sluice);
}
END_TEST

/* ---- max_delay ---- */

/* A pool that waits for longer than any test may take. */
static void begin_delayed(void)
{
    begin("max_delay=60", "");
}

START_TEST(one_client_alone_waits_for_nobody_whatever_max_delay_is)
{
    redisContext *context;

    begin_delayed();
    context = redis_open(port);
    for (int i = 0; i < 50; i++)
        ck_assert_str_eq(redis_do(context, "INCR k"), text("%d", i + 1));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(what_several_send_waits_for_max_delay_or_for_256_commands)
{
    redisContext *context, *other, *direct;

    begin_delayed();
    context = redis_open(port);
    other = redis_open(port);
    direct = redis_open(redis.port);
    redisAppendCommand(context, "SET k 1");
    redisAppendCommand(context, "GET k");
    ck_assert_str_eq(redis_next(context), "OK");
    ck_assert_str_eq(redis_next(context), "1");
    ck_assert_str_eq(redis_do(direct, "CONFIG RESETSTAT"), "OK");
    redisAppendCommand(context, "GET k");
    for (int done = 0; !done;)
        ck_assert_int_eq(redisBufferWrite(context, &done), REDIS_OK);
    ck_assert_ptr_null(strstr(redis_do(direct, "INFO commandstats"), "cmdstat_get"));
    for (int i = 0; i < 255; i++)
        redisAppendCommand(other, "GET k");
    for (int i = 0; i < 255; i++)
        ck_assert_str_eq(redis_next(other), "1");
    ck_assert_str_eq(redis_next(context), "1");
    ck_assert_int_eq(counted("total_batch_duplicates"), 255);
    sluice_stop(&sluice);
}
END_TEST

/* ---- one question of several clients ---- */

#define CROWD 20

/* Opens so many, each logged in, if `login` is an AUTH. */
static void crowd_open(redisContext *crowd[CROWD], const char *login)
{
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = redis_open(port);
        ck_assert_str_eq(redis_do(crowd[i], login ? login : "PING"), login ? "OK" : "PONG");
    }
}

/* Has all ask at once, each for what the format makes of its number. */
static void crowd_ask(redisContext *crowd[CROWD], const char *format)
{
    sluice_pause(&sluice);
    for (int i = 0; i < CROWD; i++) {
        redisAppendCommand(crowd[i], format, i);
        for (int done = 0; !done;)
            ck_assert_int_eq(redisBufferWrite(crowd[i], &done), REDIS_OK);
    }
    sluice_signal(&sluice, SIGCONT);
}

START_TEST(one_question_goes_out_for_all_who_ask_at_once)
{
    redisContext *crowd[CROWD], *direct;

    begin("", "");
    direct = redis_open(redis.port);
    for (int i = 0; i < CROWD; i++)
        redis_do(direct, "SET k%d %d", i, i);
    redis_do(direct, "HSET h 0 a 1 b");
    crowd_open(crowd, NULL);
    crowd_ask(crowd, "GET k%d");
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(redis_next(crowd[i]), text("%d", i));
    ck_assert_ptr_nonnull(strstr(redis_do(direct, "INFO commandstats"), "cmdstat_mget:calls=1,"));
    ck_assert_int_eq(counted("total_batch_keys"), CROWD);
    crowd_ask(crowd, "HGET h %d");
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(redis_next(crowd[i]), i == 0 ? "a" : i == 1 ? "b" : "nil");
    ck_assert_ptr_nonnull(strstr(redis_do(direct, "INFO commandstats"), "cmdstat_hmget:calls=1,"));
    crowd_ask(crowd, "HGETALL h");
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(redis_next(crowd[i]), "[0 a 1 b]");
    ck_assert_ptr_nonnull(
        strstr(redis_do(direct, "INFO commandstats"), "cmdstat_hgetall:calls=1,"));
    ck_assert_int_eq(counted("total_batch_duplicates"), CROWD - 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_wrong_type_and_a_forbidden_key_reach_only_who_asked)
{
    redisContext *crowd[CROWD], *direct;

    begin("", "");
    direct = redis_open(redis.port);
    for (int i = 0; i < CROWD; i++)
        redis_do(direct, i == 7 ? "RPUSH k%d %d" : "SET k%d %d", i, i);
    redis_do(direct, "ACL SETUSER few on >few ~k0 ~k1* +get");
    redis_do(direct, "ACL SETUSER some on >some ~k0 ~k1* +@all");
    for (int user = 0; user < 3; user++) {
        crowd_open(crowd, user == 0 ? NULL : user == 1 ? "AUTH few few" : "AUTH some some");
        for (int round = 0; round < 2; round++) {
            crowd_ask(crowd, "GET k%d");
            for (int i = 0; i < CROWD; i++) {
                char *got = redis_next(crowd[i]);

                if (user > 0 && i != 0 && i != 1 && i < 10)
                    ck_assert_str_eq(got, "-NOPERM this user has no permissions to access one of "
                                          "the keys used as arguments");
                else if (i == 7)
                    ck_assert_str_eq(got, "-WRONGTYPE Operation against a key holding the wrong "
                                          "kind of value");
                else
                    ck_assert_str_eq(got, text("%d", i));
            }
        }
        for (int i = 0; i < CROWD; i++)
            redisFree(crowd[i]);
    }
    ck_assert_int_ge(counted("total_batch_errors"), 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_server_that_does_not_know_the_question_is_asked_singly)
{
    redisContext *crowd[CROWD], *direct;

    redis_start(&redis, "rename-command ZMSCORE \"\"\nrename-command MGET \"\"\n");
    port = redis_pooled(&sluice, &redis, "batch_keys=on", "workers = 1\nstats_users = user1\n");
    direct = redis_open(redis.port);
    for (int i = 0; i < CROWD; i++) {
        redis_do(direct, "ZADD z %d m%d", i, i);
        redis_do(direct, "SET k%d %d", i, i);
    }
    crowd_open(crowd, NULL);
    for (int round = 0; round < 3; round++) {
        crowd_ask(crowd, round % 2 ? "ZSCORE z m%d" : "GET k%d");
        for (int i = 0; i < CROWD; i++)
            ck_assert_str_eq(redis_next(crowd[i]), text("%d", i));
    }
    ck_assert_int_eq(counted("total_batch_errors"), 2); /* the third time it is not tried */
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_leaves_takes_only_its_own_key_along)
{
    redisContext *crowd[CROWD], *direct;

    begin("command_timeout=1", "");
    direct = redis_open(redis.port);
    for (int i = 0; i < CROWD; i++)
        redis_do(direct, "SET k%d %d", i, i);
    crowd_open(crowd, NULL);
    kill(redis.pid, SIGSTOP);
    crowd_ask(crowd, "GET k%d");
    for (int i = 0; i < CROWD; i += 2) {
        redisFree(crowd[i]);
        crowd[i] = NULL;
    }
    /* Late: the error, and what comes later is nobody's. */
    for (int i = 1; i < CROWD; i += 2)
        ck_assert_ptr_nonnull(strstr(redis_next(crowd[i]), "-ERR command timeout"));
    kill(redis.pid, SIGCONT);
    for (int i = 1; i < CROWD; i += 2)
        ck_assert_str_eq(redis_do(crowd[i], "GET k%d", i), text("%d", i));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_lost_server_fails_what_it_was_asked_and_nothing_else)
{
    redisContext *crowd[CROWD];

    begin("", "server_login_retry = 1\n");
    crowd_open(crowd, NULL);
    kill(redis.pid, SIGSTOP);
    crowd_ask(crowd, "GET k%d");
    /* It is sure to have been sent when a neighbour's console says so. */
    await(counted("total_batch_count") == 1, 20);
    redis_end(&redis);
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(redis_next(crowd[i]), "-ERR server connection lost, whether this command "
                                               "took effect is unknown");
    redis_again(&redis);
    await(strcmp(redis_do(crowd[0], "PING"), "PONG") == 0, 20);
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(redis_do(crowd[i], "GET k%d", i), "nil");
    sluice_stop(&sluice);
}
END_TEST

/* ---- time ---- */

struct hammer {
    pthread_t thread;
    uint16_t port;
    bool *over;
};

static void *hammer_run(void *argument)
{
    struct hammer *hammer = argument;
    redisContext *contexts[10];

    for (int i = 0; i < 10; i++)
        contexts[i] = redis_open(hammer->port);
    while (!__atomic_load_n(hammer->over, __ATOMIC_RELAXED)) {
        for (int i = 0; i < 10; i++) {
            redisAppendCommand(contexts[i], i % 2 ? "GET key" : "GET other%d", i);
            for (int done = 0; !done;)
                ck_assert_int_eq(redisBufferWrite(contexts[i], &done), REDIS_OK);
        }
        for (int i = 0; i < 10; i++)
            redis_next(contexts[i]);
    }
    for (int i = 0; i < 10; i++)
        redisFree(contexts[i]);
    return NULL;
}

START_TEST(what_was_written_is_read_by_any_connection_at_once)
{
    struct hammer hammers[4];
    redisContext *writer, *reader;
    bool over = false;

    begin("", "");
    for (int i = 0; i < 4; i++) {
        hammers[i] = (struct hammer){.port = port, .over = &over};
        ck_assert_int_eq(pthread_create(&hammers[i].thread, NULL, hammer_run, &hammers[i]), 0);
    }
    writer = redis_open(port);
    reader = redis_open(port);
    for (int i = 0; i < 5000; i++) {
        redisReply *reply = redisCommand(writer, "SET key %d", i);

        freeReplyObject(reply);
        reply = redisCommand(reader, "GET key");
        ck_assert_int_eq(atoi(reply->str), i);
        freeReplyObject(reply);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 4; i++)
        pthread_join(hammers[i].thread, NULL);
    ck_assert_int_gt(counted("total_batch_count"), 0);
    sluice_stop(&sluice);
}
END_TEST

/* Reads from all at once until each has got so many bytes. */
static void receive_all(const int fds[CROWD], const size_t wanted[CROWD])
{
    struct pollfd polled[CROWD];
    size_t left = 0, got[CROWD] = {0};
    static char bytes[65536];

    for (int i = 0; i < CROWD; i++) {
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        left += wanted[i];
    }
    while (left > 0) {
        ck_assert_int_gt(poll(polled, CROWD, (int)(20000 * slow_factor())), 0);
        for (int i = 0; i < CROWD; i++) {
            ssize_t length = polled[i].revents ? recv(fds[i], bytes, sizeof(bytes), 0) : 0;

            ck_assert(!polled[i].revents || length > 0);
            got[i] += (size_t)length;
            left -= (size_t)length;
            ck_assert_uint_le(got[i], wanted[i]);
        }
    }
}

START_TEST(a_large_value_comes_to_all_who_ask_for_it)
{
    redisContext *context;
    int fds[CROWD];
    size_t wanted[CROWD];

    begin("client_output_limit=1MB", "");
    context = redis_open(port);
    ck_assert_str_eq(redis_do(context, "SETRANGE v 8000000 x"), "8000001");
    ck_assert_str_eq(redis_do(context, "SET k 1"), "OK");
    for (int i = 0; i < CROWD; i++)
        fds[i] = raw_open(port);
    for (int round = 0; round < 2; round++) {
        sluice_pause(&sluice);
        for (int i = 0; i < CROWD; i++) {
            raw_send(fds[i], i % 4 ? "GET k\r\n" : "GET v\r\n", 7);
            wanted[i] = i % 4 ? 7 : 8000001 + strlen("$8000001\r\n") + 2;
        }
        sluice_signal(&sluice, SIGCONT);
        receive_all(fds, wanted);
    }
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_batch");

    suite_add_loop(suite, SUITE_OURS, 60, every_client_gets_the_bytes_that_it_would_have_had_alone,
                   2);
    suite_add(suite, SUITE_OURS, 30, one_client_alone_waits_for_nobody_whatever_max_delay_is);
    suite_add(suite, SUITE_OURS, 30, what_several_send_waits_for_max_delay_or_for_256_commands);
    suite_add(suite, SUITE_OURS, 30, one_question_goes_out_for_all_who_ask_at_once);
    suite_add(suite, SUITE_OURS, 30, a_wrong_type_and_a_forbidden_key_reach_only_who_asked);
    suite_add(suite, SUITE_OURS, 30, a_server_that_does_not_know_the_question_is_asked_singly);
    suite_add(suite, SUITE_OURS, 30, a_client_that_leaves_takes_only_its_own_key_along);
    suite_add(suite, SUITE_OURS, 30, a_lost_server_fails_what_it_was_asked_and_nothing_else);
    suite_add(suite, SUITE_OURS, 60, what_was_written_is_read_by_any_connection_at_once);
    suite_add(suite, SUITE_OURS, 60, a_large_value_comes_to_all_who_ask_for_it);
    return suite_finish(suite);
}
