#include "sluice/proxy/survey.h"

#include <stdlib.h>
#include <string.h>

#include "pg_client.h"
#include "pg_multiplex.h"
#include "sluice/base/memory.h"
#include "sluice/base/utf8.h"
#include "statement_stats.h"
#include "survey_parts.h"

static void survey_answered(struct mail *mail, void *receiver)
{
    struct survey *survey = container_of(mail, struct survey_part, mail)->survey;

    if (--survey->missing > 0)
        return;
    survey->now_us = clock_us();
    if (survey->asker)
        survey->done(survey);
    else
        survey_free(survey);
}

bool survey_server_stale(const struct server *server)
{
    const struct conf *conf = server->pool->pools->conf;

    return server->state == SERVER_IDLE && (server->pool->redis || conf->server_check_query[0]) &&
           loop_now_us(server->pool->pools->loop) - server->state_since_us >
               conf->server_check_delay_us;
}

void survey_pool(struct survey_pool *row, const struct pool *pool)
{
    const struct waiter *first = pool_first_waiter(pool);

    row->database = memory_text(pool->database_name, strlen(pool->database_name));
    row->user = memory_text(pool->user_name, strlen(pool->user_name));
    row->replication = pool->totals->variant == VARIANT_LOGICAL    ? "logical"
                       : pool->totals->variant == VARIANT_PHYSICAL ? "physical"
                                                                   : "none";
    row->labelled = pool->totals->labelled;
    row->paused = pool->paused || pool->pools->paused;
    row->unreachable = pool_unreachable(pool) && !list_contains_any(&pool->servers[SERVER_IDLE]) &&
                       !list_contains_any(&pool->servers[SERVER_LEASED]) &&
                       !list_contains_any(&pool->servers[SERVER_SHARED]);
    row->mode = pool->settings.mode;
    row->size = pool->settings.size;
    row->size_min = pool->settings.size_min;
    row->size_reserve = pool->settings.size_reserve;
    row->clients = pool->clients;
    row->waiting = survey_clients_waiting(pool);
    row->waits_since_us = first ? first->since_us : 0;
    for (unsigned state = 0; state < SERVER_STATE_COUNT; state++) {
        row->servers[state] = pool->servers[state].length;
        LIST_EACH_SAFE (&pool->servers[state], node, next) {
            struct server *server = container_of(node, struct server, node);

            row->stale += survey_server_stale(server);
            row->close_needed += server->close_needed;
            if (pool->kind != &pg_server_kind)
                continue;
            row->cancelling += pg_server_of(server)->cancel != NULL;
            if (state == SERVER_SHARED)
                row->flights += pg_server_of(server)->flights;
        }
    }
}

void survey_addresses(struct survey_peer *row, const struct stream *stream)
{
    struct sockaddr_storage local = {0};
    socklen_t size = sizeof(local);
    struct ucred peer;
    socklen_t peer_size = sizeof(peer);

    row->fd = stream->fd;
    stream_tls_text(stream, row->tls);
    row->out_bytes = stream_pending(stream);
    if (stream->fd > 0 && getsockname(stream->fd, (struct sockaddr *)&local, &size) == 0)
        row->local = address_from((const struct sockaddr *)&local);
    if (row->process_id == 0 && row->local.family == AF_UNIX &&
        getsockopt(stream->fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0)
        row->process_id = (uint32_t)peer.pid;
}

static void name_copy(struct survey_peer *row, const struct params *params)
{
    const char *name = params ? params_get(params, "application_name") : NULL;

    if (name)
        memcpy(row->application_name, name,
               utf8_cut(name, strnlen(name, sizeof(row->application_name) - 1)));
}

/* PgBouncer tells clients between transactions as idle. */
static const char *client_state(const struct pg_client *client)
{
    static const char *const names[PG_CLIENT_STATE_COUNT] = {
        [PG_CLIENT_STARTUP] = "login",   [PG_CLIENT_CANCELLING] = "active_cancel_req",
        [PG_CLIENT_LOGIN] = "login",     [PG_CLIENT_MOVING] = "login",
        [PG_CLIENT_WELCOME] = "login",   [PG_CLIENT_IDLE] = "idle",
        [PG_CLIENT_WAITING] = "waiting", [PG_CLIENT_ACTIVE] = "active",
        [PG_CLIENT_ASKED] = "active",    [PG_CLIENT_SHARING] = "active",
        [PG_CLIENT_CLOSED] = "closed",
    };

    return names[client->state];
}

static void survey_client(struct survey_peer *row, const struct pg_client *client)
{
    const struct pg_server *server = client->server;

    row->id = client->id;
    if (!server)
        server = pg_multiplex_server(client);
    if (server) {
        row->link_id = server->base.id;
        row->link_fd = server->base.stream.fd;
    }
    row->state = client_state(client);
    row->pool = client->pool ? client->pool->survey_index : -1;
    row->login = client->state <= PG_CLIENT_WELCOME;
    row->remote = client->from;
    row->connected_us = client->connected_us;
    row->request_us = client->request_us;
    row->waits_since_us = client->state == PG_CLIENT_WAITING ? client->waiter.since_us : 0;
    row->in_bytes = buffer_length(&client->in);
    row->body_left = client->body_left;
    row->prepared_statements = pg_statements_count(client);
    if (client->session) {
        row->pinned = client->session->pinned;
        row->pinned_us = client->session->pinned_us;
    }
    name_copy(row, client->params);
    survey_addresses(row, &client->stream);
}

static void survey_clients(struct survey_part *part, const struct worker *worker)
{
    size_t count = 0;

    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++)
        count += worker->clients[kind].length;
    part->clients = memory_new((count + 1) * sizeof(part->clients[0]));
    for (unsigned kind = 0; kind < CLIENTS_KINDS; kind++)
        LIST_EACH_SAFE (&worker->clients[kind], node, next)
            survey_client(&part->clients[part->client_count++],
                          container_of(node, struct pg_client, node));
}

/* Their list is in the order in which they began to wait. */
static void survey_waiting(struct survey_part *part, const struct worker *worker)
{
    part->clients = memory_new(SURVEY_WAITING_MAX * sizeof(part->clients[0]));
    LIST_EACH_SAFE (&worker->clients[CLIENTS_WAITING], node, next) {
        if (part->client_count == SURVEY_WAITING_MAX)
            break;
        survey_client(&part->clients[part->client_count++],
                      container_of(node, struct pg_client, node));
    }
}

static void survey_server(struct survey_peer *row, struct server *server)
{
    const struct pg_server *pg = pg_server_of(server);
    const struct pg_client *client =
        server->holder_ready == pg_server_holder_ready ? server->holder : NULL;

    row->id = server->id;
    if (client) {
        row->link_id = client->id;
        row->link_fd = client->stream.fd;
    }
    row->state = survey_server_stale(server) ? "used" : server_state_name(server->state);
    row->login = server->state <= SERVER_LOGIN;
    row->pool = server->pool->survey_index;
    if (server->address_bytes)
        row->remote = address_from(&server->address.any);
    row->connected_us = server->created_us;
    row->request_us = client ? client->request_us : server->state_since_us;
    row->close_needed = server->close_needed;
    row->process_id = pg->process_id;
    row->in_bytes = buffer_length(&pg->in);
    row->body_left = pg->body_left;
    row->prepared_statements = pg->prepared.by_use.length;
    name_copy(row, pg->params);
    survey_addresses(row, &server->stream);
}

static void survey_servers(struct survey_part *part, struct pools *pools)
{
    struct pool *pool, *following;
    size_t count = 0;

    HASH_ITER(hh, pools->by_key, pool, following)
    for (unsigned state = 0; state < SERVER_STATE_COUNT; state++)
        count += pool->servers[state].length;
    part->servers = memory_new((count + 1) * sizeof(part->servers[0]));
    HASH_ITER(hh, pools->by_key, pool, following)
    for (unsigned state = 0; pool->kind == &pg_server_kind && state < SERVER_STATE_COUNT; state++)
        LIST_EACH_SAFE (&pool->servers[state], node, next)
            survey_server(&part->servers[part->server_count++],
                          container_of(node, struct server, node));
}

static void survey_delivered(struct mail *mail, void *receiver)
{
    struct survey_part *part = container_of(mail, struct survey_part, mail);
    struct worker *worker = receiver;
    struct pool *pool, *following;

    part->pools = memory_new((HASH_COUNT(worker->pools.by_key) + 1) * sizeof(part->pools[0]));
    HASH_ITER(hh, worker->pools.by_key, pool, following)
    {
        if (pool->kind != &pg_server_kind)
            continue;
        pool->survey_index = (int64_t)part->pool_count;
        survey_pool(&part->pools[part->pool_count++], pool);
        if (part->survey->wanted & SURVEY_BATCH_MAX)
            part->pools[part->pool_count - 1].batch_max = survey_batch_max(pool);
    }
    survey_redis(part, worker);
    part->login_clients = worker->clients[CLIENTS_LOGIN].length;
    memcpy(part->free_blocks, worker->loop.buffers.counts, sizeof(part->free_blocks));
    if (part->survey->wanted & SURVEY_CLIENTS)
        survey_clients(part, worker);
    else if (part->survey->wanted & SURVEY_WAITING)
        survey_waiting(part, worker);
    if (part->survey->wanted & SURVEY_SERVERS)
        survey_servers(part, &worker->pools);
    if (part->survey->wanted & SURVEY_SLOWEST)
        survey_slowest(part, &worker->timings, loop_now_us(&worker->loop));
    if (part->survey->wanted & SURVEY_LOOKUPS)
        survey_lookups(part, &worker->pools);
    if (part->survey->wanted & SURVEY_STATEMENTS)
        survey_statements(part, &worker->timings);
    mail->deliver = survey_answered;
    mailbox_send(worker->process->main_mailbox, mail);
}

struct survey *survey_take(struct process *process, unsigned wanted,
                           void (*done)(struct survey *survey), void *asker)
{
    unsigned count = process->registry.worker_count;
    struct survey *survey = memory_new(sizeof(*survey) + count * sizeof(survey->parts[0]));

    survey->process = process;
    survey->wanted = wanted;
    survey->done = done;
    survey->asker = asker;
    survey->missing = survey->part_count = count;
    for (unsigned i = 0; i < count; i++) {
        survey->parts[i].survey = survey;
        survey->parts[i].mail.deliver = survey_delivered;
        mailbox_send(&process->workers[i].mailbox, &survey->parts[i].mail);
    }
    return survey;
}

static void pools_free(struct survey_pool *pools, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pools[i].database);
        free(pools[i].user);
    }
    free(pools);
}

static void lookups_free(struct survey_lookup *lookups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(lookups[i].database);
        free(lookups[i].user);
        free(lookups[i].text);
        free(lookups[i].refusal);
        histogram_fini(&lookups[i].sizes);
        histogram_fini(&lookups[i].waits);
    }
    free(lookups);
}

static void statements_free(struct survey_statement *statements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(statements[i].database);
        free(statements[i].user);
        free(statements[i].text);
        histogram_fini(&statements[i].runs);
    }
    free(statements);
}

void survey_free(struct survey *survey)
{
    for (unsigned i = 0; i < survey->part_count; i++) {
        struct survey_part *part = &survey->parts[i];

        pools_free(part->pools, part->pool_count);
        pools_free(part->redis_pools, part->redis_pool_count);
        free(part->clients);
        free(part->servers);
        free(part->redis_clients);
        free(part->redis_servers);
        free(part->slowest);
        lookups_free(part->lookups, part->lookup_count);
        statements_free(part->statements, part->statement_count);
    }
    free(survey);
}

size_t survey_client_bytes(void)
{
    return sizeof(struct pg_client);
}

const char *survey_reasons(unsigned pinned, char text[SURVEY_REASONS_BYTES])
{
    return pg_session_reasons(pinned, text);
}
