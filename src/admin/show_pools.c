/* SHOW POOLS: each pool as a whole, over all its workers. */
#include <string.h>

#include "console.h"
#include "gather.h"
#include "show.h"
#include "state.h"

const char *pool_mode_name(enum pool_mode mode)
{
    static const char *const names[] = {
        [POOL_MODE_SESSION] = "session",
        [POOL_MODE_TRANSACTION] = "transaction",
        [POOL_MODE_STATEMENT] = "statement",
    };

    return names[mode];
}

static void pools_columns(struct sheet *sheet, const void *of)
{
    const struct pool_row *row = of;

    sheet_text(sheet, "database", row->database);
    sheet_text(sheet, "user", row->user);
    sheet_int4(sheet, "cl_active", row->clients - row->waiting);
    sheet_int4(sheet, "cl_waiting", row->waiting);
    sheet_int4(sheet, "cl_active_cancel_req", row->cancelling);
    /* A cancel request never waits in a queue: it goes to its server at once. */
    sheet_int4(sheet, "cl_waiting_cancel_req", 0);
    sheet_int4(sheet, "sv_active", row->active);
    sheet_int4(sheet, "sv_active_cancel", row->cancelling);
    sheet_int4(sheet, "sv_being_canceled", row->draining);
    sheet_int4(sheet, "sv_idle", row->idle);
    sheet_int4(sheet, "sv_used", row->used);
    sheet_int4(sheet, "sv_tested", row->tested);
    sheet_int4(sheet, "sv_login", row->login);
    sheet_int4(sheet, "maxwait", (int64_t)(row->maxwait_us / US_PER_S));
    sheet_int4(sheet, "maxwait_us", (int64_t)(row->maxwait_us % US_PER_S));
    sheet_text(sheet, "pool_mode", pool_mode_name(row->mode));
    sheet_text(sheet, "load_balance_hosts", row->load_balance_hosts);
}

static int pool_compare(const void *a, const void *b)
{
    const struct survey_pool *one = a, *other = b;
    int order = strcmp(one->database, other->database);

    return order ? order : strcmp(one->user, other->user);
}

static void pool_row_add(struct pool_row *row, const struct survey_pool *part, uint64_t now_us)
{
    uint64_t wait_us =
        part->waits_since_us && now_us > part->waits_since_us ? now_us - part->waits_since_us : 0;

    row->labelled |= part->labelled;
    row->clients += (int64_t)part->clients;
    row->waiting += (int64_t)part->waiting;
    row->active += (int64_t)(part->servers[SERVER_LEASED] + part->servers[SERVER_SHARED]);
    row->draining += (int64_t)part->servers[SERVER_DRAINING];
    row->idle += (int64_t)(part->servers[SERVER_IDLE] - part->stale);
    row->used += (int64_t)part->stale;
    row->tested += (int64_t)part->servers[SERVER_CHECKING];
    row->login += (int64_t)(part->servers[SERVER_CONNECTING] + part->servers[SERVER_LOGIN]);
    row->cancelling += (int64_t)part->cancelling;
    if (wait_us > row->maxwait_us)
        row->maxwait_us = wait_us;
}

static struct pool_row pool_row_new(const struct conf *conf, const struct survey_pool *part)
{
    const struct conf_database *database = conf_find_database(conf, part->database);

    return (struct pool_row){
        .database = part->database,
        .user = part->user,
        .mode = part->mode,
        .size = part->size,
        .load_balance_hosts =
            !database || database->load_balance_hosts == LOAD_BALANCE_HOSTS_ROUND_ROBIN
                ? "round-robin"
                : "disable",
    };
}

/* The console is a pool of its own in PgBouncer's eyes. */
static void console_row(const struct show_source *source,
                        void (*each)(void *context, const struct pool_row *row), void *context)
{
    struct pool_row row = {
        .database = "pgbouncer",
        .user = "pgbouncer",
        .labelled = true,
        .mode = POOL_MODE_STATEMENT,
        .clients = (int64_t)source->admin->consoles.length,
    };

    each(context, &row);
}

/* Where the rows of pools go. */
struct pool_rows {
    const struct show_source *source;
    void (*each)(void *context, const struct pool_row *row);
    void *context;
};

static void pool_group(void *context, const void *const *items, size_t count)
{
    const struct pool_rows *rows = context;
    struct pool_row row = pool_row_new(admin_conf(rows->source->admin), items[0]);

    for (size_t i = 0; i < count; i++)
        pool_row_add(&row, items[i], rows->source->survey->now_us);
    rows->each(rows->context, &row);
}

void pool_rows_each(const struct show_source *source,
                    void (*each)(void *context, const struct pool_row *row), void *context)
{
    static const struct gather pools = GATHER(pools, pool_count, pool_compare);
    struct pool_rows rows = {source, each, context};

    gather_each(source->survey, &pools, pool_group, &rows);
    console_row(source, each, context);
}

static void pools_row(void *sheet, const struct pool_row *row)
{
    show_row(sheet, pools_columns, row);
}

static void pools_rows(struct sheet *sheet, const struct show_source *source)
{
    pool_rows_each(source, pools_row, sheet);
}

const struct show show_pools = {"pools", SURVEY_POOLS, false, pools_columns, pools_rows};
