/* SHOW REDIS_POOLS, REDIS_CLIENTS, REDIS_SERVERS, REDIS_STATS: the lines of [redis]. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gather.h"
#include "show.h"
#include "state.h"

/* --- REDIS_POOLS --- */

static int pool_compare(const void *a, const void *b)
{
    const struct survey_pool *one = a, *other = b;
    int order = strcmp(one->database, other->database);

    order = order ? order : strcmp(one->user, other->user);
    order = order ? order : (int)one->apart - (int)other->apart;
    order = order ? order : (one->db > other->db) - (one->db < other->db);
    order = order ? order : (int)one->version - (int)other->version;
    return order ? order : (int)one->readonly - (int)other->readonly;
}

static void redis_row_add(struct redis_pool_row *row, const struct survey_pool *part,
                          uint64_t now_us)
{
    uint64_t wait_us =
        part->waits_since_us && now_us > part->waits_since_us ? now_us - part->waits_since_us : 0;

    row->clients += (int64_t)part->clients;
    row->waiting += (int64_t)part->waiting;
    row->shared += (int64_t)part->servers[SERVER_SHARED];
    row->leased += (int64_t)(part->servers[SERVER_LEASED] + part->servers[SERVER_DRAINING]);
    row->idle += (int64_t)part->servers[SERVER_IDLE];
    row->tested += (int64_t)part->servers[SERVER_CHECKING];
    row->login += (int64_t)(part->servers[SERVER_CONNECTING] + part->servers[SERVER_LOGIN]);
    if (wait_us > row->maxwait_us)
        row->maxwait_us = wait_us;
}

/* Where the rows of pools go. */
struct redis_rows {
    const struct show_source *source;
    void (*each)(void *context, const struct redis_pool_row *row);
    void *context;
};

static void redis_group(void *context, const void *const *items, size_t count)
{
    const struct redis_rows *rows = context;
    struct redis_pool_row row = {.pool = items[0]};

    for (size_t i = 0; i < count; i++)
        redis_row_add(&row, items[i], rows->source->survey->now_us);
    rows->each(rows->context, &row);
}

void redis_pool_rows_each(const struct show_source *source,
                          void (*each)(void *context, const struct redis_pool_row *row),
                          void *context)
{
    static const struct gather pools = GATHER(redis_pools, redis_pool_count, pool_compare);
    struct redis_rows rows = {source, each, context};

    gather_each(source->survey, &pools, redis_group, &rows);
}

/* Rows of pools, which come line by line, become rows of lines. */
struct redis_lines {
    struct redis_line_row row;
    void (*each)(void *context, const struct redis_line_row *row);
    void *context;
};

static void line_end(struct redis_lines *lines)
{
    if (lines->row.line)
        lines->each(lines->context, &lines->row);
    lines->row = (struct redis_line_row){0};
}

static void line_add(void *context, const struct redis_pool_row *pool)
{
    struct redis_lines *lines = context;
    struct redis_line_row *row = &lines->row;

    if (row->line && strcmp(row->line, pool->pool->database) != 0)
        line_end(lines);
    row->line = pool->pool->database;
    row->clients += pool->clients;
    row->waiting += pool->waiting;
    row->shared += pool->shared;
    row->leased += pool->leased;
    row->idle += pool->idle;
    row->tested += pool->tested;
    row->login += pool->login;
    if (pool->pool->apart)
        row->size_apart = pool->pool->size;
    else
        row->size = pool->pool->size;
    if (pool->maxwait_us > row->maxwait_us)
        row->maxwait_us = pool->maxwait_us;
}

void redis_lines_each(const struct show_source *source,
                      void (*each)(void *context, const struct redis_line_row *row), void *context)
{
    struct redis_lines lines = {.each = each, .context = context};

    redis_pool_rows_each(source, line_add, &lines);
    line_end(&lines);
}

static void pools_columns(struct sheet *sheet, const void *of)
{
    static const struct survey_pool nothing;
    const struct redis_pool_row *row = of;
    const struct survey_pool *pool = row->pool ? row->pool : &nothing;

    sheet_text(sheet, "pool", pool->database);
    sheet_text(sheet, "user", pool->user);
    sheet_int4(sheet, "db", pool->db);
    sheet_int4(sheet, "resp", pool->version);
    sheet_int4(sheet, "readonly", pool->readonly);
    sheet_text(sheet, "kind", pool->apart ? "blocking" : "common");
    sheet_int4(sheet, "cl_active", row->clients - row->waiting);
    sheet_int4(sheet, "cl_waiting", row->waiting);
    sheet_int4(sheet, "sv_shared", row->shared);
    sheet_int4(sheet, "sv_leased", row->leased);
    sheet_int4(sheet, "sv_idle", row->idle);
    sheet_int4(sheet, "sv_tested", row->tested);
    sheet_int4(sheet, "sv_login", row->login);
    sheet_int4(sheet, "pool_size", pool->size);
    sheet_int4(sheet, "maxwait", (int64_t)(row->maxwait_us / US_PER_S));
    sheet_int4(sheet, "maxwait_us", (int64_t)(row->maxwait_us % US_PER_S));
    sheet_int4(sheet, "paused", pool->paused);
}

static void pools_row(void *sheet, const struct redis_pool_row *row)
{
    show_row(sheet, pools_columns, row);
}

static void pools_rows(struct sheet *sheet, const struct show_source *source)
{
    redis_pool_rows_each(source, pools_row, sheet);
}

/* --- REDIS_CLIENTS, REDIS_SERVERS --- */

struct peer_row {
    const struct survey_pool *pool;
    const struct survey_peer *peer;
    uint64_t now_us, wall_us;
};

static const char *time_text(const struct peer_row *row, uint64_t at_us, char text[32])
{
    time_t seconds = (time_t)((row->wall_us - (row->now_us - at_us)) / US_PER_S);
    struct tm parts;

    strftime(text, 32, "%Y-%m-%d %H:%M:%S %Z", localtime_r(&seconds, &parts));
    return text;
}

/* What both tables begin with. */
static void peer_columns(struct sheet *sheet, const struct peer_row *row,
                         const struct survey_peer *peer)
{
    static _Thread_local struct {
        char remote[ADDRESS_TEXT_BYTES], local[ADDRESS_TEXT_BYTES], connected[32], requested[32];
    } texts;
    uint64_t wait_us = peer->waits_since_us && row->now_us > peer->waits_since_us
                           ? row->now_us - peer->waits_since_us
                           : 0;

    sheet_int8(sheet, "id", (int64_t)peer->id);
    sheet_text(sheet, "pool", row->pool ? row->pool->database : NULL);
    sheet_text(sheet, "user", row->pool ? row->pool->user : NULL);
    sheet_int4(sheet, "db", row->pool ? row->pool->db : CELL_NULL);
    sheet_int4(sheet, "resp", row->pool ? row->pool->version : CELL_NULL);
    sheet_text(sheet, "state", peer->state);
    sheet_text(sheet, "addr", address_text(&peer->remote, texts.remote));
    sheet_int4(sheet, "port", address_port(&peer->remote));
    sheet_text(sheet, "local_addr", address_text(&peer->local, texts.local));
    sheet_int4(sheet, "local_port", address_port(&peer->local));
    sheet_text(sheet, "connect_time", time_text(row, peer->connected_us, texts.connected));
    sheet_text(sheet, "request_time", time_text(row, peer->request_us, texts.requested));
    sheet_int4(sheet, "wait", (int64_t)(wait_us / US_PER_S));
    sheet_int4(sheet, "wait_us", (int64_t)(wait_us % US_PER_S));
    sheet_int8(sheet, "link", peer->link_id ? (int64_t)peer->link_id : CELL_NULL);
    sheet_int8(sheet, "replies_owed", peer->owed);
    sheet_int8(sheet, "send_remain", (int64_t)peer->out_bytes);
}

static void clients_columns(struct sheet *sheet, const void *of)
{
    static const struct survey_peer nothing;
    const struct peer_row *row = of;
    const struct survey_peer *peer = row->peer ? row->peer : &nothing;

    peer_columns(sheet, row, peer);
    sheet_text(sheet, "name", peer->application_name);
    sheet_text(sheet, "command", peer->command);
}

static void servers_columns(struct sheet *sheet, const void *of)
{
    static const struct survey_peer nothing;
    const struct peer_row *row = of;
    const struct survey_peer *peer = row->peer ? row->peer : &nothing;

    peer_columns(sheet, row, peer);
    sheet_int4(sheet, "close_needed", peer->close_needed);
}

static void peers_rows(struct sheet *sheet, const struct show_source *source, bool clients)
{
    const struct survey *survey = source->survey;
    struct peer_row row = {.now_us = survey->now_us, .wall_us = clock_wall_us()};

    for (unsigned i = 0; i < survey->part_count; i++) {
        const struct survey_part *part = &survey->parts[i];
        const struct survey_peer *peers = clients ? part->redis_clients : part->redis_servers;
        size_t count = clients ? part->redis_client_count : part->redis_server_count;

        for (size_t j = 0; j < count; j++) {
            row.peer = &peers[j];
            row.pool = &part->redis_pools[peers[j].pool];
            show_row(sheet, clients ? clients_columns : servers_columns, &row);
        }
    }
}

static void clients_rows(struct sheet *sheet, const struct show_source *source)
{
    peers_rows(sheet, source, true);
}

static void servers_rows(struct sheet *sheet, const struct show_source *source)
{
    peers_rows(sheet, source, false);
}

/* --- REDIS_STATS --- */

static void stats_columns(struct sheet *sheet, const void *of)
{
    const struct stats_row *row = of;

#define TOTAL(counter) (int64_t)(row->total.values[COUNTER_##counter])
    sheet_text(sheet, "pool", row->database);
    sheet_numeric(sheet, "total_command_count", TOTAL(query_count));
    sheet_numeric(sheet, "total_received", TOTAL(bytes_received));
    sheet_numeric(sheet, "total_sent", TOTAL(bytes_sent));
    sheet_numeric(sheet, "total_command_time", TOTAL(query_time));
    sheet_numeric(sheet, "total_wait_time", TOTAL(wait_time));
    sheet_numeric(sheet, "total_lease_count", TOTAL(server_assignment_count));
    sheet_numeric(sheet, "total_client_login_count", TOTAL(client_login_count));
    sheet_numeric(sheet, "total_server_login_count", TOTAL(server_login_count));
    sheet_numeric(sheet, "total_server_login_failures", TOTAL(server_login_failures));
    sheet_numeric(sheet, "total_server_lost_count", TOTAL(server_lost_count));
    sheet_numeric(sheet, "total_wait_timeouts", TOTAL(wait_timeouts));
    sheet_numeric(sheet, "total_command_timeouts", TOTAL(query_timeouts));
    sheet_numeric(sheet, "avg_command_count", stats_per_second(row, COUNTER_query_count));
    sheet_numeric(sheet, "avg_recv", stats_per_second(row, COUNTER_bytes_received));
    sheet_numeric(sheet, "avg_sent", stats_per_second(row, COUNTER_bytes_sent));
    sheet_numeric(sheet, "avg_command_time",
                  stats_mean(row, COUNTER_query_time, COUNTER_query_count));
    sheet_numeric(sheet, "total_batch_count", TOTAL(batch_count));
    sheet_numeric(sheet, "total_batch_keys", TOTAL(batch_keys));
    sheet_numeric(sheet, "total_batch_duplicates", TOTAL(batch_duplicates));
    sheet_numeric(sheet, "total_batch_nils", TOTAL(batch_nils));
    sheet_numeric(sheet, "total_batch_errors", TOTAL(batch_errors));
    sheet_numeric(sheet, "total_batch_again", TOTAL(batch_again));
#undef TOTAL
}

static void stats_row(void *sheet, const struct stats_row *row)
{
    show_row(sheet, stats_columns, row);
}

static void stats_rows(struct sheet *sheet, const struct show_source *source)
{
    stats_each(&source->admin->redis_stats, stats_row, sheet);
}

const struct show show_redis_pools = {"redis_pools", SURVEY_POOLS, false, pools_columns,
                                      pools_rows};
const struct show show_redis_clients = {"redis_clients", SURVEY_REDIS_CLIENTS, false,
                                        clients_columns, clients_rows};
const struct show show_redis_servers = {"redis_servers", SURVEY_REDIS_SERVERS, false,
                                        servers_columns, servers_rows};
const struct show show_redis_stats = {"redis_stats", 0, false, stats_columns, stats_rows};
