/* /metrics: names and units by Prometheus' conventions (seconds, bytes, _total). Labels are
 * bounded: database, user, pool, state. This file has what is counted. */
#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "page.h"
#include "sluice/base/memory.h"
#include "state.h"

struct counter_metric {
    const char *name;
    enum counter counter;
    bool time;        /* kept in microseconds, told in seconds */
    const char *help; /* NULL: what the table of counters says */
};

/* Of a database. */
static const struct counter_metric metrics[] = {
    {"server_assignments_total", COUNTER_server_assignment_count, false, NULL},
    {"transactions_total", COUNTER_xact_count, false, NULL},
    {"queries_total", COUNTER_query_count, false, NULL},
    {"received_bytes_total", COUNTER_bytes_received, false, NULL},
    {"sent_bytes_total", COUNTER_bytes_sent, false, NULL},
    {"transaction_seconds_total", COUNTER_xact_time, true, NULL},
    {"query_seconds_total", COUNTER_query_time, true, NULL},
    {"client_wait_seconds_total", COUNTER_wait_time, true, NULL},
    {"client_parses_total", COUNTER_client_parse_count, false, NULL},
    {"server_parses_total", COUNTER_server_parse_count, false, NULL},
    {"binds_total", COUNTER_bind_count, false, NULL},
    {"client_logins_total", COUNTER_client_login_count, false, NULL},
    {"server_logins_total", COUNTER_server_login_count, false, NULL},
    {"server_login_failures_total", COUNTER_server_login_failures, false, NULL},
    {"servers_lost_total", COUNTER_server_lost_count, false, NULL},
    {"cancels_total", COUNTER_cancel_count, false, NULL},
    {"settings_set_total", COUNTER_settings_count, false, NULL},
    {"session_questions_total", COUNTER_session_questions, false, NULL},
    {"pins_total", COUNTER_pins, false, NULL},
    {"pins_refused_total", COUNTER_pins_refused, false, NULL},
    {"multiplexed_total", COUNTER_multiplexed, false, NULL},
    {"multiplex_stalls_total", COUNTER_multiplex_stalls, false, NULL},
    {"multiplex_not_request_total", COUNTER_multiplex_not_request, false, NULL},
    {"multiplex_not_statement_total", COUNTER_multiplex_not_statement, false, NULL},
    {"multiplex_not_known_total", COUNTER_multiplex_not_known, false, NULL},
    {"multiplex_not_client_total", COUNTER_multiplex_not_client, false, NULL},
    {"multiplex_not_long_total", COUNTER_multiplex_not_long, false, NULL},
    {"clients_refused_total", COUNTER_refused_count, false, NULL},
    {"wait_timeouts_total", COUNTER_wait_timeouts, false, NULL},
    {"query_timeouts_total", COUNTER_query_timeouts, false, NULL},
    {"idle_transaction_timeouts_total", COUNTER_idle_transaction_timeouts, false, NULL},
    {"client_idle_timeouts_total", COUNTER_client_idle_timeouts, false, NULL},
    {"lookup_batches_total", COUNTER_lookup_batches, false, NULL},
    {"lookup_keys_total", COUNTER_lookup_keys, false, NULL},
    {"lookup_alone_total", COUNTER_lookup_alone, false, NULL},
    {"lookup_errors_total", COUNTER_lookup_errors, false, NULL},
    {"lookup_cuts_total", COUNTER_lookup_cuts, false, NULL},
    {"lookup_changes_total", COUNTER_lookup_changes, false, NULL},
    {"lookup_again_total", COUNTER_lookup_again, false, NULL},
};

/* The same for Redis: a command is a query there. */
static const struct counter_metric redis_metrics[] = {
    {"redis_commands_total", COUNTER_query_count, false, "commands that were answered"},
    {"redis_command_seconds_total", COUNTER_query_time, true, "seconds that their answers took"},
    {"redis_received_bytes_total", COUNTER_bytes_received, false, "bytes from clients"},
    {"redis_sent_bytes_total", COUNTER_bytes_sent, false, "bytes to clients"},
    {"redis_server_login_failures_total", COUNTER_server_login_failures, false,
     "servers that could not be opened"},
    {"redis_servers_lost_total", COUNTER_server_lost_count, false,
     "servers that broke while in use"},
    {"redis_wait_timeouts_total", COUNTER_wait_timeouts, false,
     "clients that waited too long for a server"},
    {"redis_command_timeouts_total", COUNTER_query_timeouts, false,
     "commands stopped by command_timeout"},
    {"redis_batches_total", COUNTER_batch_count, false,
     "questions that were asked for several clients' reads"},
    {"redis_batch_keys_total", COUNTER_batch_keys, false, "keys in these questions"},
    {"redis_batch_duplicates_total", COUNTER_batch_duplicates, false,
     "reads answered by the reply to an identical one"},
    {"redis_batch_nils_total", COUNTER_batch_nils, false,
     "keys asked again alone, since nil may hide a wrong type"},
    {"redis_batch_errors_total", COUNTER_batch_errors, false,
     "questions answered by an error, so that each key was asked alone"},
    {"redis_batch_again_total", COUNTER_batch_again, false,
     "keys asked again alone, for whatever reason"},
};

/* All databases as they were at one moment: each metric tells of all of them. */
struct snapshot {
    struct snapshot_row {
        struct counters_values total;
        char *labels;
    } * rows;
    size_t count, room;
    const char *label; /* database, or pool */
};

static void snapshot_add(void *context, const struct stats_row *stats)
{
    struct snapshot *snapshot = context;
    struct metrics_labels labels;

    if (snapshot->count == snapshot->room) {
        snapshot->room = snapshot->room ? 2 * snapshot->room : 16;
        snapshot->rows = memory_resize(snapshot->rows, snapshot->room * sizeof(snapshot->rows[0]));
    }
    metrics_labels_init(&labels);
    metrics_labels_add(&labels, snapshot->label, stats->database);
    snapshot->rows[snapshot->count++] = (struct snapshot_row){
        .total = stats->total, .labels = memory_text(labels.text, labels.length)};
}

static void snapshot_fini(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++)
        free(snapshot->rows[i].labels);
    free(snapshot->rows);
}

static void put_head(FILE *page, const struct counter_metric *metric)
{
    const char *help = metric->help ? metric->help : counter_meaning(metric->counter);

    /* The table of counters speaks of microseconds. */
    if (metric->time && strncmp(help, "microseconds", 12) == 0)
        help += strlen("micro");
    metrics_head(page, metric->name, "counter", help);
}

static void put_counters(FILE *page, struct stats *stats, const char *label,
                         const struct counter_metric *metric, size_t count)
{
    struct snapshot snapshot = {.label = label};

    stats_each(stats, snapshot_add, &snapshot);
    for (; count-- > 0; metric++) {
        put_head(page, metric);
        for (size_t i = 0; i < snapshot.count; i++) {
            const struct snapshot_row *row = &snapshot.rows[i];
            uint64_t value = row->total.values[metric->counter];

            if (metric->time)
                metrics_seconds(page, metric->name, row->labels, value);
            else
                metrics_count(page, metric->name, row->labels, (int64_t)value);
        }
    }
    snapshot_fini(&snapshot);
}

void page_metrics(FILE *page, const struct show_source *source)
{
    struct admin *admin = source->admin;

    page_gauges(page, source);
    put_counters(page, &admin->stats, "database", metrics, sizeof(metrics) / sizeof(metrics[0]));
    put_counters(page, &admin->redis_stats, "pool", redis_metrics,
                 sizeof(redis_metrics) / sizeof(redis_metrics[0]));
    page_histograms(page, source);
}
