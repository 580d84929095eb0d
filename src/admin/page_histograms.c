/* The histograms of /metrics. */
#include <inttypes.h>
#include <string.h>

#include "latencies.h"
#include "metrics.h"

/* Upper ends of the buckets, in microseconds. */
static const uint64_t bucket_ends_us[] = {
    100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

#define BUCKETS (sizeof(bucket_ends_us) / sizeof(bucket_ends_us[0]))

struct histogram_page {
    FILE *page;
    const char *name;
    bool redis;
};

static void row_labels(struct metrics_labels *labels, const struct latency_row *row)
{
    metrics_labels_init(labels);
    if (!row->database)
        return;
    metrics_labels_add(labels, row->redis ? "pool" : "database", row->database);
    if (!row->redis)
        metrics_labels_add(labels, "user", row->user);
}

static void put_histogram(void *context, const struct latency_row *row)
{
    const struct histogram_page *at = context;
    const struct histogram_values *values = row->values;
    uint64_t counts[BUCKETS];
    struct metrics_labels labels;
    const char *separator;
    char name[80];

    if (values->count == 0 || row->redis != at->redis || !row->labelled)
        return;
    row_labels(&labels, row);
    separator = labels.length ? "," : "";
    histogram_counts_to(values, bucket_ends_us, counts, BUCKETS);
    for (size_t i = 0; i < BUCKETS; i++)
        fprintf(at->page, "sluice_%s_seconds_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", at->name,
                labels.text, separator, (double)bucket_ends_us[i] / (double)US_PER_S, counts[i]);
    fprintf(at->page, "sluice_%s_seconds_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", at->name,
            labels.text, separator, values->count);
    snprintf(name, sizeof(name), "%s_seconds_sum", at->name);
    metrics_seconds(at->page, name, labels.text, values->sum);
    snprintf(name, sizeof(name), "%s_seconds_count", at->name);
    metrics_count(at->page, name, labels.text, (int64_t)values->count);
}

void page_histograms(FILE *page, const struct show_source *source)
{
    struct histogram_page dns = {.page = page, .name = "dns_lookup"};

    for (unsigned i = 0; i < 2u * LATENCY_COUNT; i++) {
        enum latency latency = (enum latency)(i % LATENCY_COUNT);
        char name[64], head[80];
        struct histogram_page at = {.page = page, .name = name, .redis = i >= LATENCY_COUNT};

        snprintf(name, sizeof(name), "%spool_%s", at.redis ? "redis_" : "", latency_name(latency));
        snprintf(head, sizeof(head), "%s_seconds", name);
        metrics_head(page, head, "histogram", latency_meaning(latency));
        latencies_each(source->admin, latency, put_histogram, &at);
    }
    metrics_head(page, "dns_lookup_seconds", "histogram", "how long look-ups of names took");
    latencies_lookups(source->admin, put_histogram, &dns);
}
