/* /stats.json: the console's tables as arrays of objects; and what the dashboard draws. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "sluice/base/ensure.h"
#include "state.h"

static void json_row(struct sheet *sheet)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < sheet->count; i++) {
        const struct cell *cell = &sheet->cells[i];
        json_t *value;

        if (cell->type != CELL_TEXT)
            value = cell->number == CELL_NULL ? json_null() : json_integer(cell->number);
        else
            value = cell->text ? json_string(cell->text) : json_null();
        /* NULL: a name that is no UTF-8. */
        json_object_set_new(object, cell->name, value ? value : json_null());
    }
    json_array_append_new(sheet->owner, object);
}

void page_json(FILE *page, const struct show_source *source)
{
    static const struct show *const tables[] = {
        &show_pools, &show_stats,   &show_databases,   &show_totals,     &show_lists,
        &show_mem,   &show_latency, &show_redis_pools, &show_redis_stats};
    json_t *all = json_object();

    json_object_set_new(all, "version", json_string(SLUICE_VERSION));
    json_object_set_new(
        all, "uptime_seconds",
        json_integer(
            (json_int_t)((source->survey->now_us - source->admin->started_us) / US_PER_S)));
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct sheet sheet = {.row = json_row, .owner = json_array()};

        tables[i]->rows(&sheet, source);
        json_object_set_new(all, tables[i]->name, sheet.owner);
    }
    ensure(json_dumpf(all, page, JSON_COMPACT) == 0);
    fputc('\n', page);
    json_decref(all);
}

/* --- the dashboard's --- */

static json_t *text_or_null(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;

    return value ? value : json_null();
}

static void history_pool(void *pools, const struct history_row *row)
{
    json_t *object = json_object(), *figures = json_object();

    json_object_set_new(object, "kind", json_string(row->redis ? "redis" : "postgresql"));
    json_object_set_new(object, "database", text_or_null(row->database));
    json_object_set_new(object, "user", text_or_null(row->user));
    for (unsigned figure = 0; figure < FIGURE_COUNT; figure++) {
        json_t *values = json_array();

        for (unsigned i = 0; i < row->count; i++)
            json_array_append_new(
                values, json_integer(row->values[figure][(row->first + i) % HISTORY_POINTS]));
        json_object_set_new(figures, figure_name((enum figure)figure), values);
    }
    json_object_set_new(object, "figures", figures);
    json_array_append_new(pools, object);
}

struct waiting {
    const struct survey_pool *pool;
    const struct survey_peer *client;
};

static int waiting_compare(const void *a, const void *b)
{
    const struct waiting *one = a, *other = b;

    return (one->client->waits_since_us > other->client->waits_since_us) -
           (one->client->waits_since_us < other->client->waits_since_us);
}

/* Who waits longest, over all workers. */
static json_t *history_waiting(const struct survey *survey)
{
    struct waiting all[SURVEY_WAITING_MAX * WORKERS_MAX];
    json_t *rows = json_array();
    size_t count = 0;

    for (unsigned i = 0; i < survey->part_count; i++)
        for (size_t j = 0; j < survey->parts[i].client_count; j++) {
            const struct survey_peer *client = &survey->parts[i].clients[j];

            if (client->pool >= 0 && client->waits_since_us)
                all[count++] = (struct waiting){&survey->parts[i].pools[client->pool], client};
        }
    qsort(all, count, sizeof(all[0]), waiting_compare);
    for (size_t i = 0; i < count && i < SURVEY_WAITING_MAX; i++) {
        uint64_t since_us = all[i].client->waits_since_us;
        char address[ADDRESS_TEXT_BYTES];
        json_t *row = json_object();

        json_object_set_new(row, "client", json_integer((json_int_t)all[i].client->id));
        json_object_set_new(row, "database", text_or_null(all[i].pool->database));
        json_object_set_new(row, "user", text_or_null(all[i].pool->user));
        json_object_set_new(row, "address",
                            text_or_null(address_text(&all[i].client->remote, address)));
        json_object_set_new(row, "application", text_or_null(all[i].client->application_name));
        json_object_set_new(
            row, "wait_us",
            json_integer(survey->now_us > since_us ? (json_int_t)(survey->now_us - since_us) : 0));
        json_array_append_new(rows, row);
    }
    return rows;
}

static int slow_compare(const void *a, const void *b)
{
    const struct slow_statement *one = *(const struct slow_statement *const *)a;
    const struct slow_statement *other = *(const struct slow_statement *const *)b;

    return (one->run_us < other->run_us) - (one->run_us > other->run_us);
}

/* The slowest statements, over all workers. */
static json_t *history_slowest(const struct survey *survey)
{
    const struct slow_statement *all[SLOWEST_MAX * WORKERS_MAX];
    json_t *rows = json_array();
    size_t count = 0;

    for (unsigned i = 0; i < survey->part_count; i++)
        for (size_t j = 0; j < survey->parts[i].slowest_count; j++)
            all[count++] = &survey->parts[i].slowest[j];
    qsort(all, count, sizeof(all[0]), slow_compare);
    for (size_t i = 0; i < count && i < SLOWEST_MAX; i++) {
        uint64_t ago_us = survey->now_us > all[i]->at_us ? survey->now_us - all[i]->at_us : 0;
        json_t *row = json_object();

        json_object_set_new(row, "database", text_or_null(all[i]->database));
        json_object_set_new(row, "user", text_or_null(all[i]->user));
        json_object_set_new(row, "text", text_or_null(all[i]->text));
        json_object_set_new(row, "run_us", json_integer((json_int_t)all[i]->run_us));
        json_object_set_new(row, "wait_us", json_integer((json_int_t)all[i]->wait_us));
        json_object_set_new(row, "ago_seconds", json_integer((json_int_t)(ago_us / US_PER_S)));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* Over all lookups. */
struct batching {
    uint64_t keys, batches, alone, size_max;
};

static void batching_add(void *context, const struct lookup_row *row)
{
    struct batching *sum = context;

    sum->keys += row->keys;
    sum->batches += row->batches;
    sum->alone += row->alone;
    if (row->sizes->max > sum->size_max)
        sum->size_max = row->sizes->max;
}

/* What batching did since the start. */
static json_t *history_batching(const struct survey *survey)
{
    struct batching sum = {0};
    json_t *object = json_object();

    lookup_rows_each(survey, batching_add, &sum);
    json_object_set_new(object, "keys", json_integer((json_int_t)sum.keys));
    json_object_set_new(object, "batches", json_integer((json_int_t)sum.batches));
    json_object_set_new(object, "alone", json_integer((json_int_t)sum.alone));
    json_object_set_new(object, "size_max", json_integer((json_int_t)sum.size_max));
    return object;
}

void page_history(FILE *page, const struct show_source *source)
{
    const struct admin *admin = source->admin;
    json_t *all = json_object(), *pools = json_array();

    history_each(&admin->history, source->after, history_pool, pools);
    json_object_set_new(all, "version", json_string(SLUICE_VERSION));
    json_object_set_new(
        all, "uptime_seconds",
        json_integer((json_int_t)((source->survey->now_us - admin->started_us) / US_PER_S)));
    json_object_set_new(all, "paused", json_boolean(admin->paused || admin->suspended));
    json_object_set_new(all, "clients",
                        json_integer(atomic_load(&admin->host.process->registry.clients.used)));
    json_object_set_new(all, "clients_max", json_integer(admin_conf(admin)->max_client_conn));
    json_object_set_new(all, "workers", json_integer(admin->host.process->registry.worker_count));
    json_object_set_new(all, "step", json_integer((json_int_t)admin->history.step));
    json_object_set_new(all, "step_seconds", json_integer(HISTORY_STEP_US / US_PER_S));
    json_object_set_new(all, "points", json_integer(HISTORY_POINTS));
    json_object_set_new(all, "pools", pools);
    json_object_set_new(all, "waiting", history_waiting(source->survey));
    json_object_set_new(all, "batching", history_batching(source->survey));
    json_object_set_new(all, "statements", history_slowest(source->survey));
    ensure(json_dumpf(all, page, JSON_COMPACT) == 0);
    fputc('\n', page);
    json_decref(all);
}
