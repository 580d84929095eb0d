/* Also SHOW LATENCY, a row for each pool and what was measured there. */
#include "latencies.h"

#include <stdlib.h>
#include <string.h>

#include "show.h"
#include "sluice/base/memory.h"

static bool totals_redis(const struct pool_totals *totals)
{
    return totals->variant & VARIANT_REDIS;
}

static int totals_compare(const void *a, const void *b)
{
    const struct pool_totals *one = *(const struct pool_totals *const *)a;
    const struct pool_totals *other = *(const struct pool_totals *const *)b;
    int order = (int)totals_redis(one) - (int)totals_redis(other);

    if (order == 0)
        order = strcmp(one->database, other->database);
    return order || totals_redis(one) ? order : strcmp(one->user, other->user);
}

void latencies_each(const struct admin *admin, enum latency latency,
                    void (*each)(void *context, const struct latency_row *row), void *context)
{
    struct registry *registry = &admin->host.process->registry;
    size_t count;
    struct pool_totals **pools = registry_hold_pools(registry, &count);
    struct histogram_values *values = memory_new(sizeof(*values));

    qsort(pools, count, sizeof(pools[0]), totals_compare);
    for (size_t i = 0; i < count;) {
        const struct pool_totals *first = pools[i];
        struct latency_row row = {
            .database = first->database,
            .user = totals_redis(first) ? "" : first->user,
            .redis = totals_redis(first),
            .name = latency_name(latency),
            .values = values,
        };

        memset(values, 0, sizeof(*values));
        for (; i < count && totals_compare(&first, &pools[i]) == 0; i++) {
            registry_latency(registry, pools[i], latency, values);
            row.labelled |= pools[i]->labelled || row.redis;
        }
        each(context, &row);
    }
    free(values);
    registry_drop_pools(registry, pools, count);
}

void latencies_lookups(const struct admin *admin,
                       void (*each)(void *context, const struct latency_row *row), void *context)
{
    struct histogram_values *values = memory_new(sizeof(*values));
    struct latency_row row = {.name = "dns", .labelled = true, .values = values};

    histogram_collect(resolver_lookups(admin->host.process->resolver), values);
    each(context, &row);
    free(values);
}

/* --- SHOW LATENCY --- */

static void latency_columns(struct sheet *sheet, const void *of)
{
    static const struct histogram_values none;
    const struct latency_row *row = of;
    const struct histogram_values *values = row->values ? row->values : &none;

    sheet_text(sheet, "database", row->database);
    sheet_text(sheet, "user", row->user);
    sheet_text(sheet, "latency", row->name);
    sheet_int8(sheet, "count", (int64_t)values->count);
    sheet_int8(sheet, "mean_us", values->count ? (int64_t)(values->sum / values->count) : 0);
    sheet_int8(sheet, "p50_us", (int64_t)histogram_quantile(values, 500));
    sheet_int8(sheet, "p90_us", (int64_t)histogram_quantile(values, 900));
    sheet_int8(sheet, "p99_us", (int64_t)histogram_quantile(values, 990));
    sheet_int8(sheet, "p999_us", (int64_t)histogram_quantile(values, 999));
    sheet_int8(sheet, "max_us", (int64_t)values->max);
}

static void latency_row(void *sheet, const struct latency_row *row)
{
    if (row->values->count > 0)
        show_row(sheet, latency_columns, row);
}

static void latency_rows(struct sheet *sheet, const struct show_source *source)
{
    for (enum latency latency = 0; latency < LATENCY_COUNT; latency++)
        latencies_each(source->admin, latency, latency_row, sheet);
    latencies_lookups(source->admin, latency_row, sheet);
}

const struct show show_latency = {"latency", 0, false, latency_columns, latency_rows};
