/* From the proof of who a client is to its first ReadyForQuery: limits, its pool, the worker where
 * that is, its session parameters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_cancels.h"
#include "pg_client.h"
#include "pg_startup.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

#define QUERY_BYTES (PARAMS_SETS_BYTES + 1)
#define WELCOME_BYTES (PARAMS_BYTES_MAX + PARAMS_MAX * PG_HEADER_BYTES + 1024)

static void welcome_params(struct pg_client *client);

static void welcome_no_database(struct pg_client *client)
{
    struct pool_failure failure = {.sqlstate = "3D000"};

    snprintf(failure.message, sizeof(failure.message), "database \"%s\" does not exist",
             client->login->database);
    pg_client_close_failed(client, &failure);
}

/* DISABLE of the console. */
static void welcome_disabled(struct pg_client *client)
{
    struct pool_failure failure = {.sqlstate = "55000"};

    snprintf(failure.message, sizeof(failure.message), "database \"%s\" is disabled",
             client->login->database);
    pg_client_close_failed(client, &failure);
}

static void welcome_bad_parameter(struct pg_client *client, const char *name)
{
    struct pool_failure failure = {.sqlstate = "08P01"};

    snprintf(failure.message, sizeof(failure.message), "unsupported startup parameter: %s", name);
    pg_client_close_failed(client, &failure);
}

/* Takes the client into account of its database and user. False: the client is closed. */
static bool welcome_count(struct pg_client *client)
{
    struct pg_client_login *login = client->login;
    const struct conf *conf = client->worker->conf;
    const struct conf_user *user = conf_find_user(conf, login->user);
    struct limit *database_clients = &client->pool->totals->database_usage->clients;
    struct registry *registry = &client->worker->process->registry;
    struct usage *user_usage;
    int64_t max = conf_max_db_client_connections(conf, client->pool->database);

    atomic_store(&database_clients->max, max > 0 ? max : 0);
    if (!limit_take(database_clients)) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_TOO_MANY_DB_CLIENTS));
        return false;
    }
    max = conf_max_user_client_connections(conf, user);
    user_usage = registry_user(registry, login->user);
    atomic_store(&user_usage->clients.max, max > 0 ? max : 0);
    if (!limit_take(&user_usage->clients)) {
        registry_usage_drop(registry, user_usage);
        limit_give(database_clients);
        pg_client_close_failed(client, pg_error_row(PG_ERROR_TOO_MANY_USER_CLIENTS));
        return false;
    }
    client->user_usage = user_usage;
    return true;
}

static uint8_t priority_of(const struct conf *conf, const struct pg_client *client)
{
    return (uint8_t)conf_priority(client->pool->database,
                                  conf_find_user(conf, client->login->user));
}

/* Its servers carry what it asks for in their own startup packets. */
static void welcome_startup(struct pg_client *client)
{
    struct params_set *set = &client->worker->pools.params;
    struct pg_client_login *login = client->login;
    struct params *startup = login->wanted ? params_hold(login->wanted) : params_empty(set);

    /* A server's name can be changed later, but not in physical replication. */
    if (pool_replicates(client->pool)) {
        startup = params_with(set, startup, "application_name", login->application_name);
        startup = params_with(set, startup, "replication",
                              login->variant == VARIANT_LOGICAL ? "database" : "true");
        login->application_name[0] = '\0';
    }
    client->waiter.startup = startup;
}

/* On the worker of the pool. */
static void welcome_arrive(struct pg_client *client)
{
    struct pg_client_login *login = client->login;
    struct worker *worker = client->worker;
    const struct conf_database *database = conf_find_database(worker->conf, login->database);
    const char *user;

    if (!database) {
        welcome_no_database(client);
        return;
    }
    user = database->user && database->user[0] ? database->user : login->user;
    pg_client_move(client, PG_CLIENT_WELCOME);
    client->waiter = (struct waiter){.kind = &pg_client_waiter};
    client->pool =
        pools_get(&worker->pools, &pg_server_kind, login->database, user, login->variant);
    if (!client->pool) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_TOO_MANY_POOLS));
        return;
    }
    if (strcmp(database->name, "*") == 0 &&
        !atomic_exchange(&client->pool->totals->database_usage->registered, true))
        pg_client_log(client, LOG_LEVEL_INFO, "registered new auto-database: db=%s",
                      login->database);
    pg_client_watch(client);
    pool_client_joined(client->pool);
    if (!welcome_count(client))
        return;
    if (login->keys.iterations > 0 && client->pool->keys.iterations == 0 &&
        strcmp(user, login->user) == 0)
        client->pool->keys = login->keys;
    client->waiter.priority = priority_of(worker->conf, client);
    if (client->pool->settings.mode == POOL_MODE_SESSION)
        welcome_startup(client);
    else if (!pg_startup_parameters_supported(client))
        return;
    welcome_params(client);
}

static void welcome_delivered(struct mail *mail, void *receiver)
{
    struct pg_client *client = container_of(mail, struct pg_client, mail);

    pg_client_join(client, receiver);
    welcome_arrive(client);
}

void pg_welcome_begin(struct pg_client *client)
{
    struct pg_client_login *login = client->login;
    struct worker *worker = client->worker;
    struct registry *registry = &worker->process->registry;
    const struct conf_database *database = conf_find_database(worker->conf, login->database);
    const char *user;
    struct pool_totals *totals;
    struct usage *usage;
    unsigned home;
    bool here, disabled;

    if (!database) {
        welcome_no_database(client);
        return;
    }
    usage = registry_database(registry, login->database);
    disabled = atomic_load(&usage->disabled);
    registry_usage_drop(registry, usage);
    if (disabled) {
        welcome_disabled(client);
        return;
    }
    user = database->user && database->user[0] ? database->user : login->user;
    totals =
        registry_pool(registry, login->database, user, login->variant,
                      conf_pool_size(worker->conf, database, conf_find_user(worker->conf, user)));
    if (!totals) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_TOO_MANY_POOLS));
        return;
    }
    here = registry_pool_here(registry, totals, worker->index, &home);
    registry_pool_drop(registry, totals);
    if (here) {
        welcome_arrive(client);
        return;
    }
    pg_client_move(client, PG_CLIENT_MOVING);
    pg_client_leave(client);
    client->mail.deliver = welcome_delivered;
    mailbox_send(&worker->process->workers[home].mailbox, &client->mail);
}

/* Everything is known: greets the client. */
static void welcome_finish(struct pg_client *client)
{
    uint8_t bytes[WELCOME_BYTES];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));
    const char *value;

    if (client->login->application_name[0])
        client->params = params_with(&client->worker->pools.params, client->params,
                                     "application_name", client->login->application_name);
    pg_begin(&writer, PG_AUTHENTICATION);
    pg_write_u32(&writer, AUTH_REQUEST_OK);
    pg_end(&writer);
    for (const char *name = params_next(client->params, NULL, &value); name;
         name = params_next(client->params, name, &value))
        pg_write_parameter(&writer, name, value);
    pg_cancels_slot_take(client, &writer);
    pg_write_ready(&writer, 'I');
    ensure(!writer.failed);
    stream_write(&client->stream, bytes, writer.length);
    pg_startup_free(client);
    client->startup = params_hold(client->params);
    pg_client_move(client, PG_CLIENT_IDLE);
    client->request_us = loop_now_us(&client->worker->loop);
    pg_client_watch(client);
    client->in_whole = buffer_length(&client->in) > 0;
    if (client->server)
        pg_requests_attach(client, &client->server->base, 0);
    pg_requests_run(client);
}

/* What servers do not report is a setting as if the client had SET it. */
static void welcome_take_settings(struct pg_client *client)
{
    struct params_set *set = &client->worker->pools.params;
    struct pg_client_login *login = client->login;
    const char *name = NULL, *value;

    while (login->wanted && (name = params_next(login->wanted, name, &value)) != NULL) {
        if (params_get(client->pool->welcome, name) || !pg_session_want(client, name, value))
            continue;
        login->wanted = params_without(set, login->wanted, name);
        name = NULL; /* from the beginning, in a set without it */
    }
}

/* Names in the spelling of the server, values as the client wants them. False: the client asked for
 * something that the server does not report, and is closed. */
static bool welcome_merge(struct pg_client *client)
{
    struct params_set *set = &client->worker->pools.params;
    const struct params *wanted = client->login->wanted;
    const char *value;

    params_drop(set, client->params);
    client->params = params_hold(client->pool->welcome);
    if (!wanted)
        return true;
    for (const char *name = params_next(wanted, NULL, &value); name;
         name = params_next(wanted, name, &value)) {
        if (params_get(client->params, name) && param_settable(name)) {
            client->params = params_with(set, client->params, name, value);
        } else {
            welcome_bad_parameter(client, name);
            return false;
        }
    }
    return true;
}

/* Has the server of the client, which it has for this only, set the parameters that the client
 * wants: so the client is told the server's own spelling, or its error. */
static void welcome_ask_server(struct pg_client *client)
{
    char sets[QUERY_BYTES];
    struct pg_server *pg = client->server;
    size_t length = params_difference(client->params, pg->params, sets, sizeof(sets));
    uint8_t header[PG_HEADER_BYTES] = {PG_QUERY};

    if (!client->login->wanted || length == 0 || length == sizeof(sets)) {
        client->server = NULL;
        pool_return_untouched(&pg->base);
        welcome_finish(client);
        return;
    }
    client->login->asking_server = true;
    pg_put_u32(header + 1, (uint32_t)length + 1 + 4);
    stream_queue(&pg->base.stream, header, sizeof(header));
    pg_pipeline_sent(&pg->pipeline, PG_QUERY, true);
    stream_write(&pg->base.stream, sets, length + 1);
}

/* The server has answered: it now has what the client wants, in its own spelling. */
void pg_welcome_server_ready(struct pg_client *client)
{
    struct pg_server *pg = client->server;
    struct params_set *set = &client->worker->pools.params;

    pool_remember_params(client->pool, client->login->wanted, pg->params);
    params_drop(set, client->params);
    client->params = params_hold(pg->params);
    client->server = NULL;
    pool_return_untouched(&pg->base);
    welcome_finish(client);
}

/* A server that was opened for such as this client tells what their parameters are. */
static void welcome_from_server(struct pg_client *client)
{
    struct pg_server *pg = client->server;

    client->params = pg_server_welcome(pg);
    if (!pool_replicates(client->pool)) {
        pool_remember_params(client->pool, client->waiter.startup, client->params);
        client->server = NULL;
        pool_return_untouched(&pg->base);
    }
    welcome_finish(client);
}

static void welcome_wait(struct pg_client *client)
{
    const struct pool_failure *failure;
    struct server *server = pool_take(client->pool, client->waiter.startup);

    if (server)
        pg_welcome_granted(client, server);
    else if (!pool_wait(client->pool, &client->waiter, &failure))
        pg_client_close_failed(client, failure);
}

/* Decides what the client's parameters are; a server is asked only for what is not known yet. */
static void welcome_params(struct pg_client *client)
{
    struct params *known;

    if (client->waiter.startup) {
        known = pool_replicates(client->pool)
                    ? NULL
                    : pool_known_params(client->pool, client->waiter.startup);
        client->params = known;
        if (known)
            welcome_finish(client);
        else
            welcome_wait(client);
        return;
    }
    if (!client->pool->welcome) {
        welcome_wait(client);
        return;
    }
    welcome_take_settings(client);
    known = pool_known_params(client->pool, client->login->wanted);
    if (known) {
        client->params = known;
        welcome_finish(client);
        return;
    }
    if (!welcome_merge(client))
        return;
    if (client->params == client->pool->welcome)
        welcome_finish(client);
    else
        welcome_wait(client);
}

void pg_welcome_granted(struct pg_client *client, struct server *server)
{
    client->server = pg_server_of(server);
    server->holder = client;
    server->holder_ready = pg_server_holder_ready;
    if (client->waiter.startup) {
        welcome_from_server(client);
        return;
    }
    welcome_take_settings(client);
    if (welcome_merge(client))
        welcome_ask_server(client);
}
