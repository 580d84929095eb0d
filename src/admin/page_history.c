/* /history.json: what the dashboard draws. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "page.h"
#include "sluice/base/ensure.h"
#include "state.h"

/* Where pools go, and how many are there. */
struct pools_page {
    FILE *page;
    unsigned count;
};

static void put_json(FILE *page, const char *name, json_t *value)
{
    fprintf(page, "\"%s\":", name);
    ensure(json_dumpf(value, page, JSON_COMPACT | JSON_ENCODE_ANY) == 0);
    json_decref(value);
}

/* There may be a million of them. */
static void put_number(FILE *page, uint32_t number)
{
    char digits[10];
    unsigned at = sizeof(digits);

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    fwrite(digits + at, 1, sizeof(digits) - at, page);
}

static void put_pool(void *context, const struct history_row *row)
{
    struct pools_page *pools = context;
    FILE *page = pools->page;

    fprintf(page, "%s{\"kind\":\"%s\",", pools->count++ ? "," : "",
            row->redis ? "redis" : "postgresql");
    put_json(page, "database", json_of_text(row->database));
    fputc(',', page);
    put_json(page, "user", json_of_text(row->user));
    fputs(",\"figures\":{", page);
    for (unsigned figure = 0; figure < FIGURE_COUNT; figure++) {
        fprintf(page, "%s\"%s\":[", figure ? "," : "", figure_name((enum figure)figure));
        for (unsigned i = 0; i < row->count; i++) {
            if (i > 0)
                fputc(',', page);
            put_number(page, row->values[figure][(row->first + i) % HISTORY_POINTS]);
        }
        fputc(']', page);
    }
    fputs("}}", page);
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
        json_object_set_new(row, "database", json_of_text(all[i].pool->database));
        json_object_set_new(row, "user", json_of_text(all[i].pool->user));
        json_object_set_new(row, "address",
                            json_of_text(address_text(&all[i].client->remote, address)));
        json_object_set_new(row, "application", json_of_text(all[i].client->application_name));
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

        json_object_set_new(row, "database", json_of_text(all[i]->database));
        json_object_set_new(row, "user", json_of_text(all[i]->user));
        json_object_set_new(row, "text", json_of_text(all[i]->text));
        json_object_set_new(row, "run_us", json_integer((json_int_t)all[i]->run_us));
        json_object_set_new(row, "wait_us", json_integer((json_int_t)all[i]->wait_us));
        json_object_set_new(row, "ago_seconds", json_integer((json_int_t)(ago_us / US_PER_S)));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* What batching did since the start, of lookups and of Redis' keys. */
static json_t *history_batching(const struct show_source *source)
{
    const struct survey *survey = source->survey;
    struct stats_row sums[2];
    uint64_t keys = 0, batches = 0, size_max = 0;
    json_t *object = json_object();

    stats_sum(&source->admin->stats, &sums[0]);
    stats_sum(&source->admin->redis_stats, &sums[1]);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t *values = sums[i].total.values;

        keys += values[COUNTER_lookup_keys] + values[COUNTER_batch_keys] +
                values[COUNTER_batch_duplicates];
        batches += values[COUNTER_lookup_batches] + values[COUNTER_batch_count];
    }
    for (unsigned i = 0; i < survey->part_count; i++)
        for (size_t j = 0; j < survey->parts[i].pool_count; j++)
            if (survey->parts[i].pools[j].batch_max > size_max)
                size_max = survey->parts[i].pools[j].batch_max;
    json_object_set_new(object, "keys", json_integer((json_int_t)keys));
    json_object_set_new(object, "batches", json_integer((json_int_t)batches));
    json_object_set_new(object, "alone",
                        json_integer((json_int_t)sums[0].total.values[COUNTER_lookup_alone]));
    json_object_set_new(object, "size_max", json_integer((json_int_t)size_max));
    json_object_set_new(object, "multiplexed",
                        json_integer((json_int_t)sums[0].total.values[COUNTER_multiplexed]));
    return object;
}

/* The process as a whole. */
static json_t *history_process(const struct show_source *source)
{
    const struct admin *admin = source->admin;
    const struct registry *registry = &admin->host.process->registry;
    uint64_t up_us = source->survey->now_us - admin->started_us;
    json_t *object = json_object();

    json_object_set_new(object, "version", json_string(SLUICE_VERSION));
    json_object_set_new(object, "uptime_seconds", json_integer((json_int_t)(up_us / US_PER_S)));
    json_object_set_new(object, "paused", json_boolean(admin->paused || admin->suspended));
    json_object_set_new(object, "clients", json_integer(atomic_load(&registry->clients.used)));
    json_object_set_new(object, "clients_max", json_integer(admin_conf(admin)->max_client_conn));
    json_object_set_new(object, "workers", json_integer(registry->worker_count));
    return object;
}

void page_history(FILE *page, const struct show_source *source)
{
    const struct history *history = &source->admin->history;
    struct pools_page pools = {.page = page};

    fprintf(page, "{\"step\":%" PRIu64 ",\"step_seconds\":%u,\"points\":%u,", history->step,
            (unsigned)(HISTORY_STEP_US / US_PER_S), HISTORY_POINTS);
    put_json(page, "process", history_process(source));
    fputc(',', page);
    put_json(page, "waiting", history_waiting(source->survey));
    fputc(',', page);
    put_json(page, "batching", history_batching(source));
    fputc(',', page);
    put_json(page, "statements", history_slowest(source->survey));
    fputs(",\"pools\":[", page);
    history_each(history, source->after, put_pool, &pools);
    fputs("]}\n", page);
}
