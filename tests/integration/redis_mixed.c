/* Many clients at once, each of which knows what its own keys must hold. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "harness/process.h"
#include "harness/redis.h"
#include "harness/suite.h"

#define THREADS 10
#define CLIENTS_EACH 50
#define ROUNDS 400 /* times all clients: 200,000 commands */
#define KINDS 11

struct client {
    redisContext *context;
    unsigned id;
    bool sure;      /* it knows what `value` is on the server */
    unsigned value; /* of its key */
    unsigned asked; /* kind of the command under way */
    unsigned replies;
};

struct crowd {
    pthread_t thread;
    uint16_t port;
    unsigned first, rounds;
    bool losses; /* connections are being killed: errors may come, wrong answers never */
    unsigned long answered, failed;
    char wrong[300];
};

static void client_connect(struct crowd *crowd, struct client *client)
{
    client->context = redis_open(crowd->port);
    client->sure = false;
}

/* Sends the command, or commands, of one kind. */
static void client_ask(struct client *client, unsigned kind)
{
    redisContext *context = client->context;
    unsigned id = client->id;

    client->asked = kind;
    client->replies = 1;
    switch (kind) {
    case 0:
    case 1:
        redisAppendCommand(context, "SET k%u %u", id, ++client->value);
        break;
    case 2:
    case 3:
    case 4:
        redisAppendCommand(context, "GET k%u", id);
        break;
    case 5:
        redisAppendCommand(context, "EVAL %s 1 k%u", "return redis.call('get', KEYS[1])", id);
        break;
    case 6: /* a whole transaction */
        redisAppendCommand(context, "MULTI");
        redisAppendCommand(context, "GET k%u", id);
        redisAppendCommand(context, "EXEC");
        client->replies = 3;
        break;
    case 7:
        redisAppendCommand(context, "WATCH k%u", id);
        redisAppendCommand(context, "GET k%u", id);
        redisAppendCommand(context, "UNWATCH");
        client->replies = 3;
        break;
    case 8:
        redisAppendCommand(context, "RPUSH l%u %u", id, id);
        redisAppendCommand(context, "BLPOP l%u 5", id);
        client->replies = 2;
        break;
    case 9:
        redisAppendCommand(context, "ECHO %u", id);
        redisAppendCommand(context, "GET k%u", id);
        redisAppendCommand(context, "ECHO %u", id);
        client->replies = 3;
        break;
    default:
        redisAppendCommand(context, "SUBSCRIBE c%u", id);
        redisAppendCommand(context, "UNSUBSCRIBE c%u", id);
        client->replies = 2;
        break;
    }
}

static bool is_number(const redisReply *reply, unsigned number)
{
    return reply->type == REDIS_REPLY_STRING && strtoul(reply->str, NULL, 10) == number;
}

static bool is_value(const struct client *client, const redisReply *reply)
{
    return !client->sure || (reply->type == REDIS_REPLY_STRING && is_number(reply, client->value));
}

/* True if reply `index` to what was asked may be this. */
static bool reply_is_right(struct client *client, unsigned index, const redisReply *reply)
{
    switch (client->asked) {
    case 0:
    case 1:
        client->sure = true;
        return reply->type == REDIS_REPLY_STATUS;
    case 2:
    case 3:
    case 4:
    case 5:
        return is_value(client, reply);
    case 6:
        return index < 2 ? reply->type == REDIS_REPLY_STATUS
                         : reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
                               is_value(client, reply->element[0]);
    case 7:
        return index == 1 ? is_value(client, reply) : reply->type == REDIS_REPLY_STATUS;
    case 8:
        return index == 0 ? reply->type == REDIS_REPLY_INTEGER
                          : reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                                is_number(reply->element[1], client->id);
    case 9:
        return index == 1 ? is_value(client, reply) : is_number(reply, client->id);
    default:
        return reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
               strtoul(reply->element[1]->str + 1, NULL, 10) == client->id;
    }
}

static void client_check(struct crowd *crowd, struct client *client)
{
    bool failed = false;

    for (unsigned i = 0; i < client->replies; i++) {
        void *got = NULL;

        if (redisGetReply(client->context, &got) != REDIS_OK) {
            if (!crowd->losses)
                snprintf(crowd->wrong, sizeof(crowd->wrong), "client %u, kind %u: %s", client->id,
                         client->asked, client->context->errstr);
            redisFree(client->context);
            client_connect(crowd, client);
            crowd->failed++;
            return;
        }
        failed |= ((redisReply *)got)->type == REDIS_REPLY_ERROR ||
                  (crowd->losses && ((redisReply *)got)->type == REDIS_REPLY_NIL);
        if (failed ? !crowd->losses : !reply_is_right(client, i, got))
            snprintf(crowd->wrong, sizeof(crowd->wrong), "client %u, kind %u, reply %u: %s",
                     client->id, client->asked, i, ((redisReply *)got)->str);
        freeReplyObject(got);
        crowd->answered++;
    }
    if (failed) {
        crowd->failed++;
        client->sure = false;
    }
}

static void *crowd_run(void *argument)
{
    struct crowd *crowd = argument;
    struct client clients[CLIENTS_EACH] = {0};
    unsigned seed = crowd->first + 1;

    for (unsigned i = 0; i < CLIENTS_EACH; i++) {
        clients[i].id = crowd->first + i;
        client_connect(crowd, &clients[i]);
    }
    for (unsigned round = 0; round < crowd->rounds && !crowd->wrong[0]; round++) {
        for (unsigned i = 0; i < CLIENTS_EACH; i++) {
            int done = 0;

            client_ask(&clients[i], (unsigned)rand_r(&seed) % KINDS);
            while (!done && redisBufferWrite(clients[i].context, &done) == REDIS_OK)
                ;
        }
        for (unsigned i = 0; i < CLIENTS_EACH && !crowd->wrong[0]; i++)
            client_check(crowd, &clients[i]);
    }
    for (unsigned i = 0; i < CLIENTS_EACH; i++)
        redisFree(clients[i].context);
    return NULL;
}

static void crowds_run(uint16_t port, const struct redis *kill_at)
{
    struct crowd crowds[THREADS] = {0};
    unsigned long answered = 0, failed = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){
            .port = port, .first = i * CLIENTS_EACH, .rounds = ROUNDS, .losses = kill_at != NULL};
        ck_assert_int_eq(pthread_create(&crowds[i].thread, NULL, crowd_run, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        redisContext *killer = kill_at ? redis_open(kill_at->port) : NULL;

        while (killer && pthread_tryjoin_np(crowds[i].thread, NULL) != 0) {
            redis_do(killer, "CLIENT KILL TYPE normal SKIPME yes");
            for (int pause = 0; pause < 20; pause++)
                nap();
        }
        if (killer)
            redisFree(killer);
        else
            pthread_join(crowds[i].thread, NULL);
        ck_assert_msg(crowds[i].wrong[0] == '\0', "%s", crowds[i].wrong);
        answered += crowds[i].answered;
        failed += crowds[i].failed;
    }
    ck_assert_uint_ge(answered + failed, THREADS * CLIENTS_EACH * ROUNDS);
    if (kill_at)
        ck_assert_uint_gt(failed, 0);
}

static struct sluice sluice;
static struct redis redis;

START_TEST(five_hundred_clients_get_their_own_replies)
{
    uint16_t port;

    redis_start(&redis, NULL);
    port = redis_pooled(&sluice, &redis, _i == 2 ? "pool_size=8 batch_keys=on" : "pool_size=8",
                        _i == 1 ? "workers = 2\n" : "workers = 1\n");
    crowds_run(port, NULL);
    await(redis_connections(&redis, "") <= 8 + 100, 20);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(none_is_mixed_up_while_connections_are_killed)
{
    uint16_t port;

    redis_start(&redis, NULL);
    port = redis_pooled(&sluice, &redis, _i ? "pool_size=8 batch_keys=on" : "pool_size=8",
                        "workers = 2\n");
    crowds_run(port, &redis);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis_mixed");

    suite_add_loop(suite, SUITE_OURS, 120, five_hundred_clients_get_their_own_replies, 3);
    suite_add_loop(suite, SUITE_OURS, 120, none_is_mixed_up_while_connections_are_killed, 2);
    return suite_finish(suite);
}
