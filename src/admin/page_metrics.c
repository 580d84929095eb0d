/* Prometheus' text format: names and units by its conventions (seconds, bytes, _total). Labels are
 * bounded: database, user, state. */
#include <inttypes.h>
#include <string.h>

#include "latencies.h"
#include "page.h"
#include "sluice/base/utf8.h"
#include "state.h"

/* Pools at most whose histograms are told: each has 20 lines for each latency. */
#define HISTOGRAMS_MAX 500u

/* Counters of a database: name, counter, microseconds or not, help. */
static const struct {
    const char *name;
    enum counter counter;
    bool time;
} counter_rows[] = {
    {"server_assignments_total", COUNTER_server_assignment_count, false},
    {"transactions_total", COUNTER_xact_count, false},
    {"queries_total", COUNTER_query_count, false},
    {"received_bytes_total", COUNTER_bytes_received, false},
    {"sent_bytes_total", COUNTER_bytes_sent, false},
    {"transaction_seconds_total", COUNTER_xact_time, true},
    {"query_seconds_total", COUNTER_query_time, true},
    {"client_wait_seconds_total", COUNTER_wait_time, true},
    {"client_parses_total", COUNTER_client_parse_count, false},
    {"server_parses_total", COUNTER_server_parse_count, false},
    {"binds_total", COUNTER_bind_count, false},
    {"client_logins_total", COUNTER_client_login_count, false},
    {"server_logins_total", COUNTER_server_login_count, false},
    {"server_login_failures_total", COUNTER_server_login_failures, false},
    {"servers_lost_total", COUNTER_server_lost_count, false},
    {"cancels_total", COUNTER_cancel_count, false},
    {"settings_set_total", COUNTER_settings_count, false},
    {"session_questions_total", COUNTER_session_questions, false},
    {"pins_total", COUNTER_pins, false},
    {"pins_refused_total", COUNTER_pins_refused, false},
    {"multiplexed_total", COUNTER_multiplexed, false},
    {"multiplex_stalls_total", COUNTER_multiplex_stalls, false},
    {"multiplex_not_request_total", COUNTER_multiplex_not_request, false},
    {"multiplex_not_statement_total", COUNTER_multiplex_not_statement, false},
    {"multiplex_not_known_total", COUNTER_multiplex_not_known, false},
    {"multiplex_not_client_total", COUNTER_multiplex_not_client, false},
    {"multiplex_not_long_total", COUNTER_multiplex_not_long, false},
    {"clients_refused_total", COUNTER_refused_count, false},
    {"wait_timeouts_total", COUNTER_wait_timeouts, false},
    {"query_timeouts_total", COUNTER_query_timeouts, false},
    {"idle_transaction_timeouts_total", COUNTER_idle_transaction_timeouts, false},
    {"client_idle_timeouts_total", COUNTER_client_idle_timeouts, false},
    {"lookup_batches_total", COUNTER_lookup_batches, false},
    {"lookup_keys_total", COUNTER_lookup_keys, false},
    {"lookup_alone_total", COUNTER_lookup_alone, false},
    {"lookup_errors_total", COUNTER_lookup_errors, false},
    {"lookup_cuts_total", COUNTER_lookup_cuts, false},
    {"lookup_changes_total", COUNTER_lookup_changes, false},
    {"lookup_again_total", COUNTER_lookup_again, false},
};

/* A label's value: backslash, quote and newline are escaped; a byte that is no UTF-8, for which
 * Prometheus would refuse the whole page, is told by its number. */
static void put_label(FILE *page, const char *name, const char *value)
{
    const unsigned char *at = (const unsigned char *)value;
    size_t length;

    fprintf(page, "%s=\"", name);
    for (; *at; at += length ? length : 1) {
        length = utf8_bytes(at);
        if (length == 0)
            fprintf(page, "\\\\x%02x", *at);
        else if (*at == '\n')
            fputs("\\n", page);
        else if (*at == '"' || *at == '\\')
            fprintf(page, "\\%c", *at);
        else
            fwrite(at, 1, length, page);
    }
    fputc('"', page);
}

static void put_head(FILE *page, const char *name, const char *type, const char *help)
{
    fprintf(page, "# HELP sluice_%s %s.\n# TYPE sluice_%s %s\n", name, help, name, type);
}

/* Which counter is being written: all databases have to follow one head. */
struct counter_page {
    FILE *page;
    size_t row;
};

static void put_counter(void *context, const struct stats_row *stats)
{
    const struct counter_page *at = context;
    uint64_t value = stats->total.values[counter_rows[at->row].counter];

    fprintf(at->page, "sluice_%s{", counter_rows[at->row].name);
    put_label(at->page, "database", stats->database);
    if (counter_rows[at->row].time)
        fprintf(at->page, "} %.6f\n", (double)value / (double)US_PER_S);
    else
        fprintf(at->page, "} %" PRIu64 "\n", value);
}

static void put_counters(FILE *page, const struct show_source *source)
{
    for (size_t i = 0; i < sizeof(counter_rows) / sizeof(counter_rows[0]); i++) {
        struct counter_page at = {.page = page, .row = i};
        const char *meaning = counter_meaning(counter_rows[i].counter);
        char help[128];

        /* The table of counters speaks of microseconds, the metric is in seconds. */
        snprintf(help, sizeof(help), "%s",
                 counter_rows[i].time && strncmp(meaning, "micro", 5) == 0 ? meaning + 5 : meaning);
        put_head(page, counter_rows[i].name, "counter", help);
        stats_each(&source->admin->stats, put_counter, &at);
    }
}

/* The same for Redis: a command is a query there. */
static const struct {
    const char *name, *help;
    enum counter counter;
    bool time;
} redis_rows[] = {
    {"redis_commands_total", "commands that were answered", COUNTER_query_count, false},
    {"redis_command_seconds_total", "seconds that their answers took", COUNTER_query_time, true},
    {"redis_received_bytes_total", "bytes from clients", COUNTER_bytes_received, false},
    {"redis_sent_bytes_total", "bytes to clients", COUNTER_bytes_sent, false},
    {"redis_server_login_failures_total", "servers that could not be opened",
     COUNTER_server_login_failures, false},
    {"redis_servers_lost_total", "servers that broke while in use", COUNTER_server_lost_count,
     false},
    {"redis_wait_timeouts_total", "clients that waited too long for a server",
     COUNTER_wait_timeouts, false},
    {"redis_command_timeouts_total", "commands stopped by command_timeout", COUNTER_query_timeouts,
     false},
    {"redis_batches_total", "questions that were asked for several clients' reads",
     COUNTER_batch_count, false},
    {"redis_batch_keys_total", "keys in these questions", COUNTER_batch_keys, false},
    {"redis_batch_duplicates_total", "reads answered by the reply to an identical one",
     COUNTER_batch_duplicates, false},
    {"redis_batch_nils_total", "keys asked again alone, since nil may hide a wrong type",
     COUNTER_batch_nils, false},
    {"redis_batch_errors_total", "questions answered by an error, so that each key was asked alone",
     COUNTER_batch_errors, false},
    {"redis_batch_again_total", "keys asked again alone, for whatever reason", COUNTER_batch_again,
     false},
};

static void put_redis_counter(void *context, const struct stats_row *stats)
{
    const struct counter_page *at = context;
    uint64_t value = stats->total.values[redis_rows[at->row].counter];

    fprintf(at->page, "sluice_%s{", redis_rows[at->row].name);
    put_label(at->page, "pool", stats->database);
    if (redis_rows[at->row].time)
        fprintf(at->page, "} %.6f\n", (double)value / (double)US_PER_S);
    else
        fprintf(at->page, "} %" PRIu64 "\n", value);
}

static void put_redis_counters(FILE *page, const struct show_source *source)
{
    for (size_t i = 0; i < sizeof(redis_rows) / sizeof(redis_rows[0]); i++) {
        struct counter_page at = {.page = page, .row = i};

        put_head(page, redis_rows[i].name, "counter", redis_rows[i].help);
        stats_each(&source->admin->redis_stats, put_redis_counter, &at);
    }
}

enum gauge { GAUGE_CLIENTS, GAUGE_SERVERS, GAUGE_SIZE, GAUGE_WAIT, GAUGE_COUNT };

struct gauge_page {
    FILE *page;
    enum gauge gauge;
};

static void put_state(FILE *page, const char *name, const struct pool_row *row, const char *state,
                      int64_t value)
{
    fprintf(page, "sluice_%s{", name);
    put_label(page, "database", row->database);
    fputc(',', page);
    put_label(page, "user", row->user);
    if (state) {
        fputc(',', page);
        put_label(page, "state", state);
    }
    fprintf(page, "} %" PRId64 "\n", value);
}

static void put_gauge(void *context, const struct pool_row *row)
{
    const struct gauge_page *at = context;

    switch (at->gauge) {
    case GAUGE_CLIENTS:
        put_state(at->page, "pool_clients", row, "active", row->clients - row->waiting);
        put_state(at->page, "pool_clients", row, "waiting", row->waiting);
        break;
    case GAUGE_SERVERS:
        put_state(at->page, "pool_servers", row, "active", row->active);
        put_state(at->page, "pool_servers", row, "idle", row->idle);
        put_state(at->page, "pool_servers", row, "used", row->used);
        put_state(at->page, "pool_servers", row, "tested", row->tested);
        put_state(at->page, "pool_servers", row, "login", row->login);
        put_state(at->page, "pool_servers", row, "being_canceled", row->draining);
        break;
    case GAUGE_SIZE:
        put_state(at->page, "pool_servers_max", row, NULL, row->size);
        break;
    case GAUGE_WAIT:
        fprintf(at->page, "sluice_pool_wait_seconds_max{");
        put_label(at->page, "database", row->database);
        fputc(',', at->page);
        put_label(at->page, "user", row->user);
        fprintf(at->page, "} %.6f\n", (double)row->maxwait_us / (double)US_PER_S);
        break;
    case GAUGE_COUNT:
        break;
    }
}

static void put_gauges(FILE *page, const struct show_source *source)
{
    static const struct {
        const char *name, *help;
    } heads[GAUGE_COUNT] = {
        [GAUGE_CLIENTS] = {"pool_clients", "Clients of a pool by state"},
        [GAUGE_SERVERS] = {"pool_servers", "Servers of a pool by state"},
        [GAUGE_SIZE] = {"pool_servers_max", "Servers that a pool may have (pool_size)"},
        [GAUGE_WAIT] = {"pool_wait_seconds_max", "How long the first in the queue waits"},
    };

    for (enum gauge gauge = 0; gauge < GAUGE_COUNT; gauge++) {
        struct gauge_page at = {.page = page, .gauge = gauge};

        put_head(page, heads[gauge].name, "gauge", heads[gauge].help);
        pool_rows_each(source, put_gauge, &at);
    }
}

/* --- histograms --- */

/* Upper ends of the buckets, in microseconds. */
static const uint64_t bucket_ends_us[] = {
    100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

struct histogram_page {
    FILE *page;
    const char *name;
    bool redis;
    unsigned left; /* so many may still be written */
};

static void put_series(const struct histogram_page *at, const struct latency_row *row,
                       const char *suffix, const char *end)
{
    const char *separator = "";

    fprintf(at->page, "sluice_%s_seconds%s", at->name, suffix);
    if (!row->database && !end)
        return;
    fputc('{', at->page);
    if (row->database) {
        put_label(at->page, row->redis ? "pool" : "database", row->database);
        separator = ",";
    }
    if (row->database && !row->redis) {
        fputc(',', at->page);
        put_label(at->page, "user", row->user);
    }
    if (end)
        fprintf(at->page, "%sle=\"%s\"", separator, end);
    fputc('}', at->page);
}

static void put_histogram(void *context, const struct latency_row *row)
{
    struct histogram_page *at = context;
    const struct histogram_values *values = row->values;

    if (values->count == 0 || row->redis != at->redis || at->left == 0)
        return;
    at->left--;
    for (size_t i = 0; i < sizeof(bucket_ends_us) / sizeof(bucket_ends_us[0]); i++) {
        char end[32];

        snprintf(end, sizeof(end), "%g", (double)bucket_ends_us[i] / (double)US_PER_S);
        put_series(at, row, "_bucket", end);
        fprintf(at->page, " %" PRIu64 "\n", histogram_count_to(values, bucket_ends_us[i]));
    }
    put_series(at, row, "_bucket", "+Inf");
    fprintf(at->page, " %" PRIu64 "\n", values->count);
    put_series(at, row, "_sum", NULL);
    fprintf(at->page, " %.6f\n", (double)values->sum / (double)US_PER_S);
    put_series(at, row, "_count", NULL);
    fprintf(at->page, " %" PRIu64 "\n", values->count);
}

static void put_histograms(FILE *page, const struct show_source *source)
{
    struct histogram_page dns = {page, "dns_lookup", false, 1};

    for (unsigned i = 0; i < 2u * LATENCY_COUNT; i++) {
        enum latency latency = (enum latency)(i % LATENCY_COUNT);
        char name[64], head[80];
        struct histogram_page at = {page, name, i >= LATENCY_COUNT, HISTOGRAMS_MAX};

        snprintf(name, sizeof(name), "%spool_%s", at.redis ? "redis_" : "", latency_name(latency));
        snprintf(head, sizeof(head), "%s_seconds", name);
        put_head(page, head, "histogram", latency_meaning(latency));
        latencies_each(source->admin, latency, put_histogram, &at);
    }
    put_head(page, "dns_lookup_seconds", "histogram", "how long look-ups of names took");
    latencies_lookups(source->admin, put_histogram, &dns);
}

void page_metrics(FILE *page, const struct show_source *source)
{
    const struct admin *admin = source->admin;

    put_head(page, "build_info", "gauge", "Always 1; the version is a label");
    fprintf(page, "sluice_build_info{version=\"%s\"} 1\n", SLUICE_VERSION);
    put_head(page, "uptime_seconds", "gauge", "Time since the process started");
    fprintf(page, "sluice_uptime_seconds %.3f\n",
            (double)(source->survey->now_us - admin->started_us) / (double)US_PER_S);
    put_head(page, "paused", "gauge", "1 while everything is paused or suspended");
    fprintf(page, "sluice_paused %d\n", admin->paused || admin->suspended);
    put_head(page, "clients_max", "gauge", "Clients that are let in (max_client_conn)");
    fprintf(page, "sluice_clients_max %" PRId64 "\n", admin_conf(admin)->max_client_conn);
    put_gauges(page, source);
    put_counters(page, source);
    put_redis_counters(page, source);
    put_histograms(page, source);
}
