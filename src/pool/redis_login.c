#include "redis_login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/pool/redis_pool.h"
#include "sluice/wire/resp_write.h"

#define WORDS_BYTES 512 /* of all questions, but for user and password */

struct redis_login {
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    unsigned address_count, address;
    struct resolver_question *question; /* under way, or NULL */
    struct pool_failure failure;        /* the last one: told when nothing is left to try */
    char host[RESOLVER_NAME_BYTES];
    uint16_t port;
};

static void login_try_next(struct redis_server *redis);

void redis_login_free(struct redis_server *redis)
{
    struct redis_login *login = redis->login;

    if (!login)
        return;
    if (login->question)
        login->question->asker = NULL;
    free(login);
    redis->login = NULL;
}

static void login_fail(struct redis_server *redis)
{
    struct pool_failure failure = redis->login->failure;

    pool_login_failed(&redis->base, &failure);
}

static void login_connect(struct redis_server *redis, socklen_t bytes)
{
    struct pools *pools = redis->base.pool->pools;
    struct stream_options options = stream_options_of(pools->conf);

    redis->base.address_bytes = bytes;
    stream_connect(&redis->base.stream, pools->loop, &redis->base.address.any, bytes, &options,
                   redis_server_stream_ready);
}

static void login_resolved(struct resolver_question *question)
{
    struct redis_server *redis = question->asker;

    if (redis) {
        struct redis_login *login = redis->login;

        login->question = NULL;
        memcpy(login->addresses, question->addresses, sizeof(login->addresses));
        login->address_count = question->count;
        if (question->error)
            pool_failure_set(&login->failure, "08001",
                             "could not translate host name \"%s\" to address: %s", question->name,
                             question->error);
        login_try_next(redis);
    }
    free(question);
}

static void login_resolve(struct redis_server *redis)
{
    struct pools *pools = redis->base.pool->pools;
    struct resolver_question *question = memory_new(sizeof(*question));

    snprintf(question->name, sizeof(question->name), "%s", redis->login->host);
    question->asker = redis;
    question->done = login_resolved;
    redis->login->question = question;
    resolver_ask(pools->resolver, question, pools->mailbox);
}

/* Connects to the next address, or gives up. */
static void login_try_next(struct redis_server *redis)
{
    struct redis_login *login = redis->login;
    struct address *address;

    if (login->address == login->address_count) {
        login_fail(redis);
        return;
    }
    address = &login->addresses[login->address++];
    if (address->family == AF_INET)
        address->ipv4.sin_port = htons(login->port);
    else
        address->ipv6.sin6_port = htons(login->port);
    memcpy(&redis->base.address, address, address_size(address));
    login_connect(redis, address_size(address));
}

static void login_begin(struct redis_server *redis)
{
    struct redis_login *login = redis->login;
    struct address numeric;

    if (login->host[0] == '/' || login->host[0] == '@') {
        socklen_t bytes = address_unix(login->host, &redis->base.address.unix_path);

        if (bytes == 0) {
            pool_failure_set(&login->failure, "08001", "Unix-domain socket path \"%s\" is too long",
                             login->host);
            login_fail(redis);
            return;
        }
        login_connect(redis, bytes);
    } else if (address_parse(login->host, login->port, &numeric)) {
        login->addresses[0] = numeric;
        login->address_count = 1;
        login_try_next(redis);
    } else {
        login_resolve(redis);
    }
}

void redis_login_open(struct pool *pool, const struct waiter *waiter)
{
    struct redis_server *redis = memory_new(sizeof(*redis));
    struct redis_login *login = memory_new(sizeof(*login));

    redis->login = login;
    resp_reply_parser_init(&redis->parser);
    server_init(&redis->base, pool, &redis_server_kind);
    pool_failure_set(&login->failure, "08001", "the pool has been removed from the settings");
    if (!pool->redis) {
        login_fail(redis);
        return;
    }
    snprintf(login->host, sizeof(login->host), "%s", pool->redis->host);
    login->port = (uint16_t)pool->redis->port;
    login_begin(redis);
}

static void login_describe_address(const struct redis_server *redis, char *text, size_t size)
{
    const struct redis_login *login = redis->login;
    char host[ADDRESS_TEXT_BYTES];
    struct address address = address_from(&redis->base.address.any);

    if (address.family == AF_UNIX)
        snprintf(text, size, "on socket \"%s\"", login->host);
    else
        snprintf(text, size, "at \"%s\" (%s), port %u", login->host, address_text(&address, host),
                 login->port);
}

void redis_login_lost(struct redis_server *redis, const char *why)
{
    char where[RESOLVER_NAME_BYTES + 128];

    login_describe_address(redis, where, sizeof(where));
    pool_failure_set(&redis->login->failure, "08001", "connection to server %s failed: %s", where,
                     why);
    if (redis->base.state == SERVER_LOGIN) {
        login_fail(redis);
        return;
    }
    stream_close(&redis->base.stream);
    login_try_next(redis);
}

void redis_login_refused(struct redis_server *redis, const char *text)
{
    struct pool_failure *failure = &redis->login->failure;

    pool_failure_set(failure, "REDIS", "%s", text);
    login_fail(redis);
}

void redis_login_connected(struct redis_server *redis)
{
    struct server *server = &redis->base;

    if (server->stream.error) {
        redis_login_lost(redis, strerror(server->stream.error));
        return;
    }
    server_move(server, SERVER_LOGIN);
    if (server->pool->pools->conf->log_connections)
        server_log(server, LOG_LEVEL_INFO, "new connection to server");
    redis_login_ask(redis, -1);
}

bool redis_login_done(struct redis_server *redis)
{
    redis_login_free(redis);
    pool_login_worked(&redis->base);
    return server_ready(&redis->base);
}

/* ---- questions ---- */

static void ask_words(struct redis_server *redis, struct resp_writer *writer,
                      enum redis_question question, const char *const *words, size_t count)
{
    ensure(redis->question_count < REDIS_QUESTIONS_MAX);
    redis->questions[redis->question_count++] = question;
    resp_write_array(writer, count);
    for (size_t i = 0; i < count; i++)
        resp_write_text(writer, words[i]);
}

static void ask_hello(struct redis_server *redis, struct resp_writer *writer, const char *user,
                      const char *password)
{
    const char *words[] = {"HELLO", "3", "AUTH", user, password};

    ask_words(redis, writer, REDIS_QUESTION_HELLO, words, password ? 5 : 2);
}

static void ask_auth(struct redis_server *redis, struct resp_writer *writer, const char *user,
                     const char *password)
{
    const char *words[] = {"AUTH", user, password};

    /* Servers before 6.0 know the short form only. */
    if (strcmp(user, "default") == 0) {
        words[1] = password;
        ask_words(redis, writer, REDIS_QUESTION_AUTH, words, 2);
    } else {
        ask_words(redis, writer, REDIS_QUESTION_AUTH, words, 3);
    }
}

static void ask_simple(struct redis_server *redis, struct resp_writer *writer,
                       enum redis_question question)
{
    char db[16];
    const char *select[] = {"SELECT", db};

    snprintf(db, sizeof(db), "%u", redis_pool_db(redis->base.pool));
    switch (question) {
    case REDIS_QUESTION_SELECT:
        ask_words(redis, writer, question, select, 2);
        break;
    case REDIS_QUESTION_READONLY:
        ask_words(redis, writer, question, (const char *[]){"READONLY"}, 1);
        break;
    case REDIS_QUESTION_CLIENT_ID:
        ask_words(redis, writer, question, (const char *[]){"CLIENT", "ID"}, 2);
        break;
    case REDIS_QUESTION_PING:
        ask_words(redis, writer, question, (const char *[]){"PING"}, 1);
        break;
    case REDIS_QUESTION_RESET:
        ask_words(redis, writer, question, (const char *[]){"RESET"}, 1);
        break;
    case REDIS_QUESTION_AUTH:
    case REDIS_QUESTION_HELLO:
        ensure(!"asked with a name and a password");
    }
}

void redis_login_ask_one(struct redis_server *redis, enum redis_question question)
{
    uint8_t bytes[128];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);

    ask_simple(redis, &writer, question);
    ensure(!writer.failed);
    stream_write(&redis->base.stream, bytes, writer.length);
}

void redis_login_ask(struct redis_server *redis, int first)
{
    const struct pool *pool = redis->base.pool;
    const char *user = pool->user_name, *password = redis_pool_password(pool);
    size_t size = WORDS_BYTES + strlen(user) + (password ? strlen(password) : 0);
    uint8_t *bytes = memory_new(size);
    struct resp_writer writer = resp_writer_of(bytes, size, 2);

    if (first >= 0)
        ask_simple(redis, &writer, (enum redis_question)first);
    if (redis_pool_version(pool) == 3)
        ask_hello(redis, &writer, user, password);
    else if (password)
        ask_auth(redis, &writer, user, password);
    if (redis_pool_db(pool) > 0)
        ask_simple(redis, &writer, REDIS_QUESTION_SELECT);
    if (redis_pool_readonly(pool))
        ask_simple(redis, &writer, REDIS_QUESTION_READONLY);
    if (first < 0)
        ask_simple(redis, &writer, REDIS_QUESTION_CLIENT_ID);
    ensure(!writer.failed);
    stream_write(&redis->base.stream, bytes, writer.length);
    secret_wipe(bytes, size);
    free(bytes);
}
