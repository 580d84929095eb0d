/* Commands that may change who the client is, or what its connection is: AUTH, HELLO, SELECT,
 * READONLY, CLIENT TRACKING and the like. A server judges each of them, on a connection that is
 * leased for it, so that every text is the server's own and nothing is cached; when it agrees, the
 * client moves to the pool that is now right, and the connection is cleaned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "redis_lease.h"
#include "redis_local.h"
#include "sluice/base/memory.h"

#define USER_BYTES_MAX 1024u  /* longer ones cannot name a pool: they are no users here */
#define REPLY_BYTES_MAX 8192u /* of HELLO or CLIENT INFO: no server's is as long */

struct redis_session {
    enum redis_command_id id;
    uint32_t db;     /* SELECT */
    uint8_t version; /* HELLO; 0: none was given */
    bool on, all;    /* TRACKING ON, NO-EVICT ON, ...; PAUSE ... ALL */
    bool drop;       /* CLIENT REPLY OFF */
    uint64_t pause_us;
    uint64_t redirect;            /* our id of whom TRACKING tells */
    char *user, *password, *name; /* NULL: not given */
    char *reply;
    size_t reply_bytes;
    struct redis_tour *tour; /* CLIENT LIST, KILL, UNBLOCK */
};

static void text_wipe(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}

void redis_session_free(struct redis_client *client)
{
    struct redis_session *session = client->session;

    if (!session)
        return;
    free(session->user);
    text_wipe(session->password);
    free(session->name);
    free(session->reply);
    redis_tour_free(session->tour);
    free(session);
    client->session = NULL;
}

bool redis_session_is(const struct redis_call *call)
{
    switch ((int)call->command->id) {
    case REDIS_COMMAND_AUTH:
    case REDIS_COMMAND_HELLO:
    case REDIS_COMMAND_SELECT:
    case REDIS_COMMAND_READONLY:
    case REDIS_COMMAND_READWRITE:
    case REDIS_COMMAND_CLIENT_TRACKING:
    case REDIS_COMMAND_CLIENT_NO_EVICT:
    case REDIS_COMMAND_CLIENT_NO_TOUCH:
    case REDIS_COMMAND_CLIENT_PAUSE:
    case REDIS_COMMAND_CLIENT_UNPAUSE:
    case REDIS_COMMAND_MONITOR:
    case REDIS_COMMAND_CLIENT_LIST:
    case REDIS_COMMAND_CLIENT_KILL:
    case REDIS_COMMAND_CLIENT_UNBLOCK:
        return true;
    default:
        return false;
    }
}

/* ---- what the command asks for ---- */

static bool arg_number(const struct redis_input *input, uint32_t index, uint64_t most,
                       uint64_t *number)
{
    struct resp_span arg;

    if (index >= input->request.seen)
        return false;
    arg = redis_arg(input, index);
    *number = 0;
    if (arg.length == 0 || arg.length > 15)
        return false;
    for (uint32_t i = 0; i < arg.length; i++) {
        unsigned digit = input->bytes[arg.offset + i] - (unsigned)'0';

        if (digit > 9)
            return false;
        *number = *number * 10 + digit;
    }
    return *number <= most;
}

static void session_parse_hello(struct redis_session *session, const struct redis_input *input)
{
    uint64_t version;

    if (arg_number(input, 1, 3, &version))
        session->version = (uint8_t)version;
    for (uint32_t i = 2; i < input->request.seen; i++) {
        if (redis_arg_is(input, i, "auth") && i + 2 < input->request.seen) {
            free(session->user);
            text_wipe(session->password);
            session->user = redis_arg_text(input, i + 1);
            session->password = redis_arg_text(input, i + 2);
            i += 2;
        } else if (redis_arg_is(input, i, "setname") && i + 1 < input->request.seen) {
            free(session->name);
            session->name = redis_arg_text(input, ++i);
        }
    }
}

static void session_parse(struct redis_session *session, const struct redis_input *input)
{
    uint64_t number;

    switch ((int)session->id) {
    case REDIS_COMMAND_SELECT:
        if (arg_number(input, 1, REDIS_DB_MAX, &number))
            session->db = (uint32_t)number;
        break;
    case REDIS_COMMAND_AUTH:
        session->user =
            input->request.argc == 2 ? memory_text("default", 7) : redis_arg_text(input, 1);
        session->password = redis_arg_text(input, input->request.argc == 2 ? 1 : 2);
        break;
    case REDIS_COMMAND_HELLO:
        session_parse_hello(session, input);
        break;
    case REDIS_COMMAND_CLIENT_PAUSE:
        if (arg_number(input, 2, UINT64_MAX, &number))
            session->pause_us = number * US_PER_MS;
        session->all = !redis_arg_is(input, 3, "write");
        break;
    default:
        session->on = redis_arg_is(input, 2, "on");
        break;
    }
}

/* Why the arguments of one that is about clients cannot be. */
static void tour_refuse(struct redis_client *client, const struct redis_input *input,
                        enum resp_error error)
{
    uint32_t type = 2;
    char *subject = NULL;

    while (type < input->request.seen && !redis_arg_is(input, type, "type"))
        type++;
    if (error == RESP_ERROR_CLIENT_TYPE && type + 1 < input->request.seen)
        subject = redis_arg_text(input, type + 1);
    redis_client_answer_error(client, error, subject, NULL);
    free(subject);
}

/* CLIENT LIST, KILL and UNBLOCK are about clients, which no server knows; but whether the user may
 * is the server's to say. */
static enum redis_verdict session_tour(struct redis_client *client, struct redis_input *input)
{
    struct redis_session *session;
    char *question;
    size_t length;
    enum resp_error error;
    struct redis_tour *tour = redis_tour_new(client, input, &error);

    if (!tour) {
        tour_refuse(client, input, error);
        return REDIS_VERDICT_DONE;
    }
    session = memory_new(sizeof(*session));
    session->id = input->call.command->id;
    session->tour = tour;
    session->drop = redis_client_action(client) == REDIS_DROP;
    client->session = session;
    if (session->id == REDIS_COMMAND_CLIENT_UNBLOCK) {
        redis_tour_start(client, tour);
        return REDIS_VERDICT_DONE;
    }
    question = redis_tour_question(tour, &length);
    redis_lease_send(client, question, length, input->call.command, REDIS_SESSION);
    free(question);
    return REDIS_VERDICT_DONE;
}

/* CLIENT TRACKING ON; with REDIRECT, all workers are asked whose the id is. */
static enum redis_verdict session_tracking(struct redis_client *client, struct redis_input *input)
{
    enum resp_error error;
    struct redis_tour *tour = redis_tour_new(client, input, &error);
    struct redis_session *session;

    if (error != RESP_ERROR_NONE) {
        redis_client_answer_error(client, error, NULL, NULL);
        return REDIS_VERDICT_DONE;
    }
    session = memory_new(sizeof(*session));
    session->id = REDIS_COMMAND_CLIENT_TRACKING;
    session->on = true;
    session->tour = tour;
    session->drop = redis_client_action(client) == REDIS_DROP;
    client->session = session;
    client->server->dirt |= REDIS_DIRT_ALL;
    if (tour)
        redis_tour_start(client, tour);
    else
        redis_lease_send(client, input->bytes, input->length, input->call.command, REDIS_SESSION);
    return REDIS_VERDICT_DONE;
}

bool redis_session_awaits(const struct redis_client *client, const struct redis_tour *tour)
{
    return client->state == REDIS_CLIENT_TOURING && client->session &&
           client->session->tour == tour;
}

void redis_session_redirected(struct redis_client *client, const void *bytes, size_t length,
                              uint64_t ours)
{
    client->session->tour = NULL;
    client->session->redirect = ours;
    redis_lease_send(client, bytes, length,
                     redis_subcommand_find(redis_command_find("client", 6), "tracking", 8),
                     REDIS_SESSION);
    redis_client_resume(client);
}

bool redis_session_tells_redirect(const struct redis_client *client, const struct redis_call *call)
{
    return client->server->redirect && !client->server->multi &&
           (call->command->id == REDIS_COMMAND_CLIENT_GETREDIR ||
            call->command->id == REDIS_COMMAND_CLIENT_TRACKINGINFO);
}

enum redis_verdict redis_session_redirect_request(struct redis_client *client,
                                                  struct redis_input *input)
{
    struct redis_session *session = memory_new(sizeof(*session));

    session->id = input->call.command->id;
    session->drop = redis_client_action(client) == REDIS_DROP;
    client->session = session;
    redis_lease_send(client, input->bytes, input->length, input->call.command, REDIS_SESSION);
    return REDIS_VERDICT_DONE;
}

enum redis_verdict redis_session_request(struct redis_client *client, struct redis_input *input)
{
    struct redis_session *session;

    ensure(!client->session && redis_client_quiet(client) && input->request.bytes > 0);
    if (input->call.class == REDIS_CLASS_LOCAL &&
        (input->call.command->id == REDIS_COMMAND_CLIENT_LIST ||
         input->call.command->id == REDIS_COMMAND_CLIENT_KILL ||
         input->call.command->id == REDIS_COMMAND_CLIENT_UNBLOCK))
        return session_tour(client, input);
    if (input->call.command->id == REDIS_COMMAND_CLIENT_TRACKING &&
        input->call.class == REDIS_CLASS_LEASE)
        return session_tracking(client, input);
    if (input->request.seen < input->request.argc ||
        (input->call.class == REDIS_CLASS_SINGLE &&
         input->call.command->class != REDIS_CLASS_LEASE)) {
        /* The wrong number of arguments, or too many: the server says so, and what it may do is
         * undone. */
        client->server->dirt |= REDIS_DIRT_ALL;
        redis_lease_send(client, input->bytes, input->length, input->call.command,
                         redis_client_action(client));
        return REDIS_VERDICT_DONE;
    }
    session = memory_new(sizeof(*session));
    session->id = input->call.command->id;
    session_parse(session, input);
    client->session = session;
    if (session->user && strlen(session->user) > USER_BYTES_MAX) {
        redis_session_free(client);
        redis_client_answer_error(client, RESP_ERROR_WRONGPASS, NULL, NULL);
        return REDIS_VERDICT_DONE;
    }
    session->drop = redis_client_action(client) == REDIS_DROP;
    client->server->dirt |= session->id == REDIS_COMMAND_SELECT ? REDIS_DIRT_DB : REDIS_DIRT_ALL;
    if (session->id == REDIS_COMMAND_CLIENT_PAUSE || session->id == REDIS_COMMAND_CLIENT_UNPAUSE)
        client->server->dirt = 0;
    redis_lease_send(client, input->bytes, input->length, input->call.command, REDIS_SESSION);
    return REDIS_VERDICT_DONE;
}

/* ---- what came of it ---- */

static void client_go(struct redis_client *client, const char *user, const char *password,
                      uint32_t variant)
{
    struct pool *before = client->pool;
    struct pool *pool =
        redis_pool_get(&client->worker->pools, before->database_name, user, variant);

    if (!password && strcmp(before->user_name, user) == 0)
        password = before->password;
    if (password)
        redis_pool_set_password(pool, password);
    redis_client_set_pool(client, pool);
}

void redis_session_reset(struct redis_client *client)
{
    const struct conf_redis *line = client->pool->redis;

    free(client->name);
    client->name = NULL;
    client->reply_mode = REDIS_REPLY_ON;
    client->lost = REDIS_LOST_NOTHING;
    if (line)
        client_go(client, redis_line_user(line), NULL,
                  redis_pool_variant((uint32_t)line->db, 2, false, false));
}

/* The server agreed. */
static void session_apply(struct redis_client *client, struct redis_session *session)
{
    struct pool *pool = client->pool;
    struct redis_server *redis = client->server;
    const char *user = session->user ? session->user : pool->user_name;
    uint32_t db = redis_pool_db(pool);
    unsigned version = redis_pool_version(pool);
    bool readonly = redis_pool_readonly(pool);

    switch ((int)session->id) {
    case REDIS_COMMAND_SELECT:
        db = session->db;
        break;
    case REDIS_COMMAND_HELLO:
        version = session->version ? session->version : version;
        if (session->name) {
            free(client->name);
            client->name = session->name[0] ? session->name : NULL;
            session->name = client->name ? NULL : session->name;
        }
        break;
    case REDIS_COMMAND_READONLY:
    case REDIS_COMMAND_READWRITE:
        readonly = session->id == REDIS_COMMAND_READONLY;
        break;
    case REDIS_COMMAND_CLIENT_TRACKING:
        redis->tracking = session->on;
        redis->redirect = session->on ? session->redirect : 0;
        return;
    case REDIS_COMMAND_CLIENT_GETREDIR:
    case REDIS_COMMAND_CLIENT_TRACKINGINFO:
        return;
    case REDIS_COMMAND_CLIENT_NO_EVICT:
        redis->no_evict = session->on;
        return;
    case REDIS_COMMAND_CLIENT_NO_TOUCH:
        redis->no_touch = session->on;
        return;
    case REDIS_COMMAND_MONITOR:
        redis->monitor = true;
        return;
    case REDIS_COMMAND_CLIENT_PAUSE:
    case REDIS_COMMAND_CLIENT_UNPAUSE:
        atomic_store(&pool->totals->database_usage->paused_all, session->all);
        atomic_store(&pool->totals->database_usage->paused_until_us,
                     session->pause_us ? loop_now_us(&client->worker->loop) + session->pause_us
                                       : 0);
        return;
    default:
        break;
    }
    client_go(client, user, session->password, redis_pool_variant(db, version, readonly, false));
}

/* The number behind `key` is an id: the client is told ours, not the server's. */
static void send_id(struct redis_client *client, const char *reply, size_t length, const char *key,
                    uint64_t ours)
{
    const char *found = memmem(reply, length, key, strlen(key));
    const char *behind =
        found ? memchr(found + strlen(key), '\r', length - (size_t)(found + strlen(key) - reply))
              : NULL;
    char id[24];
    int digits;

    if (!behind) {
        stream_queue(&client->stream, reply, length);
        return;
    }
    digits = snprintf(id, sizeof(id), "%llu", (unsigned long long)ours);
    stream_queue(&client->stream, reply, (size_t)(found + strlen(key) - reply));
    stream_queue(&client->stream, id, (size_t)digits);
    stream_queue(&client->stream, behind, length - (size_t)(behind - reply));
}

/* The value of a field of CLIENT INFO ("name=", with the blank before it), as text; NULL: none. */
static char *info_field(const char *info, const char *field)
{
    const char *found = strstr(info, field);

    if (!found)
        return NULL;
    found += strlen(field);
    return memory_text(found, strcspn(found, " \r\n"));
}

/* CLIENT INFO has come: the client is what its connection is. */
static bool session_informed(struct redis_client *client, const char *info)
{
    char *db = info_field(info, " db="), *user = info_field(info, " user=");
    char *name = info_field(info, " name="), *resp = info_field(info, " resp=");
    char *flags = info_field(info, " flags=");
    struct pool *pool = client->pool;
    bool known = db && flags;

    if (known) {
        unsigned version = resp ? (unsigned)strtoul(resp, NULL, 10) : redis_pool_version(pool);
        bool same = !user || !pool->user_name[0] || strcmp(user, pool->user_name) == 0;

        free(client->name);
        client->name = name && name[0] ? name : NULL;
        name = client->name ? NULL : name;
        client->server->tracking = strchr(flags, 't') != NULL;
        client->server->no_evict = strchr(flags, 'e') != NULL;
        client->server->no_touch = strchr(flags, 'T') != NULL;
        /* A user who came by an AUTH inside MULTI is known by name only. */
        known = same || (strlen(user) <= USER_BYTES_MAX &&
                         redis_pool_get(&client->worker->pools, pool->database_name, user,
                                        pool->totals->variant)
                             ->password);
        if (known)
            client_go(client, same ? pool->user_name : user, NULL,
                      redis_pool_variant((uint32_t)strtoul(db, NULL, 10), version == 3 ? 3 : 2,
                                         redis_pool_readonly(pool), false));
    }
    free(db);
    free(user);
    free(name);
    free(resp);
    free(flags);
    return known;
}

void redis_session_inquire(struct redis_client *client)
{
    static const char question[] = "*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n";
    struct redis_session *session = memory_new(sizeof(*session));

    client->server->queued_state = false;
    client->server->dirt |= REDIS_DIRT_ALL;
    session->id = REDIS_COMMAND_CLIENT_INFO;
    client->session = session;
    redis_lease_send(client, question, sizeof(question) - 1,
                     redis_subcommand_find(redis_command_find("client", 6), "info", 4),
                     REDIS_INQUIRE);
}

static bool session_done(struct redis_client *client, bool failed)
{
    struct redis_session *session = client->session;
    bool inquired = session->id == REDIS_COMMAND_CLIENT_INFO, good = true;

    session->reply[session->reply_bytes] = '\0';
    if (session->tour && !failed) {
        session->reply_bytes = 0;
        redis_tour_start(client, session->tour);
        return true;
    }
    if (inquired)
        good = !failed && session_informed(client, session->reply);
    else if (session->drop)
        ;
    else if (session->id == REDIS_COMMAND_HELLO && !failed)
        send_id(client, session->reply, session->reply_bytes, "$2\r\nid\r\n:", client->id);
    else if (session->id == REDIS_COMMAND_CLIENT_GETREDIR)
        send_id(client, session->reply, session->reply_bytes, ":", client->server->redirect);
    else if (session->id == REDIS_COMMAND_CLIENT_TRACKINGINFO)
        send_id(client, session->reply, session->reply_bytes,
                "$8\r\nredirect\r\n:", client->server->redirect);
    else
        stream_queue(&client->stream, session->reply, session->reply_bytes);
    if (!failed && !inquired && !session->tour)
        session_apply(client, session);
    redis_session_free(client);
    if (!good)
        redis_client_close(client, "what its transaction made of its connection is not known");
    return good;
}

bool redis_session_drops(const struct redis_client *client)
{
    return client->session->drop;
}

/* The tour is back; its client is as before it. */
void redis_session_toured(struct redis_client *client, const struct resp_writer *writer)
{
    if (!client->session->drop)
        stream_queue(&client->stream, writer->bytes, writer->length);
    redis_session_free(client);
}

bool redis_session_reply(struct redis_client *client, const uint8_t *bytes, size_t length,
                         bool whole)
{
    struct redis_session *session = client->session;

    if (session->reply_bytes + length > REPLY_BYTES_MAX) {
        redis_client_close(client, "the server's reply is too long");
        return false;
    }
    session->reply = memory_resize(session->reply, session->reply_bytes + length + 1);
    memcpy(session->reply + session->reply_bytes, bytes, length);
    session->reply_bytes += length;
    return !whole || session_done(client, resp_reply_failed(&client->server->parser));
}
