/* SHOW STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS. */
#include "show.h"
#include "state.h"

#define TOTAL(counter) (int64_t)(row->total.values[COUNTER_##counter])
/* Per second of the last period; and microseconds per each of something. */
#define PER_S(counter) stats_per_second(row, COUNTER_##counter)
#define EACH(counter, of) stats_mean(row, COUNTER_##counter, COUNTER_##of)

static void stats_columns(struct sheet *sheet, const void *of)
{
    const struct stats_row *row = of;

    sheet_text(sheet, "database", row->database);
    sheet_numeric(sheet, "total_server_assignment_count", TOTAL(server_assignment_count));
    sheet_numeric(sheet, "total_xact_count", TOTAL(xact_count));
    sheet_numeric(sheet, "total_query_count", TOTAL(query_count));
    sheet_numeric(sheet, "total_received", TOTAL(bytes_received));
    sheet_numeric(sheet, "total_sent", TOTAL(bytes_sent));
    sheet_numeric(sheet, "total_xact_time", TOTAL(xact_time));
    sheet_numeric(sheet, "total_query_time", TOTAL(query_time));
    sheet_numeric(sheet, "total_wait_time", TOTAL(wait_time));
    sheet_numeric(sheet, "total_client_parse_count", TOTAL(client_parse_count));
    sheet_numeric(sheet, "total_server_parse_count", TOTAL(server_parse_count));
    sheet_numeric(sheet, "total_bind_count", TOTAL(bind_count));
    sheet_numeric(sheet, "total_client_login_count", TOTAL(client_login_count));
    sheet_numeric(sheet, "avg_server_assignment_count", PER_S(server_assignment_count));
    sheet_numeric(sheet, "avg_xact_count", PER_S(xact_count));
    sheet_numeric(sheet, "avg_query_count", PER_S(query_count));
    sheet_numeric(sheet, "avg_recv", PER_S(bytes_received));
    sheet_numeric(sheet, "avg_sent", PER_S(bytes_sent));
    sheet_numeric(sheet, "avg_xact_time", EACH(xact_time, xact_count));
    sheet_numeric(sheet, "avg_query_time", EACH(query_time, query_count));
    sheet_numeric(sheet, "avg_wait_time", PER_S(wait_time));
    sheet_numeric(sheet, "avg_client_parse_count", PER_S(client_parse_count));
    sheet_numeric(sheet, "avg_server_parse_count", PER_S(server_parse_count));
    sheet_numeric(sheet, "avg_bind_count", PER_S(bind_count));
    sheet_numeric(sheet, "avg_client_login_count", PER_S(client_login_count));
    /* The name before PgBouncer 1.8, by which Debian's exporter asks. */
    sheet_numeric(sheet, "total_requests", TOTAL(query_count));
}

static void totals_columns(struct sheet *sheet, const void *of)
{
    const struct stats_row *row = of;

    sheet_text(sheet, "database", row->database);
    sheet_numeric(sheet, "server_assignment_count", TOTAL(server_assignment_count));
    sheet_numeric(sheet, "xact_count", TOTAL(xact_count));
    sheet_numeric(sheet, "query_count", TOTAL(query_count));
    sheet_numeric(sheet, "bytes_received", TOTAL(bytes_received));
    sheet_numeric(sheet, "bytes_sent", TOTAL(bytes_sent));
    sheet_numeric(sheet, "xact_time", TOTAL(xact_time));
    sheet_numeric(sheet, "query_time", TOTAL(query_time));
    sheet_numeric(sheet, "wait_time", TOTAL(wait_time));
    sheet_numeric(sheet, "client_parse_count", TOTAL(client_parse_count));
    sheet_numeric(sheet, "server_parse_count", TOTAL(server_parse_count));
    sheet_numeric(sheet, "bind_count", TOTAL(bind_count));
    sheet_numeric(sheet, "client_login_count", TOTAL(client_login_count));
}

static void averages_columns(struct sheet *sheet, const void *of)
{
    const struct stats_row *row = of;

    sheet_text(sheet, "database", row->database);
    sheet_numeric(sheet, "server_assignment_count", PER_S(server_assignment_count));
    sheet_numeric(sheet, "xact_count", PER_S(xact_count));
    sheet_numeric(sheet, "query_count", PER_S(query_count));
    sheet_numeric(sheet, "bytes_received", PER_S(bytes_received));
    sheet_numeric(sheet, "bytes_sent", PER_S(bytes_sent));
    sheet_numeric(sheet, "xact_time", EACH(xact_time, xact_count));
    sheet_numeric(sheet, "query_time", EACH(query_time, query_count));
    sheet_numeric(sheet, "wait_time", PER_S(wait_time));
    sheet_numeric(sheet, "avg_client_parse_count", PER_S(client_parse_count));
    sheet_numeric(sheet, "avg_server_parse_count", PER_S(server_parse_count));
    sheet_numeric(sheet, "avg_bind_count", PER_S(bind_count));
    sheet_numeric(sheet, "avg_client_login_count", PER_S(client_login_count));
}

static void stats_row(void *sheet, const struct stats_row *row)
{
    show_row(sheet, stats_columns, row);
}

static void totals_row(void *sheet, const struct stats_row *row)
{
    show_row(sheet, totals_columns, row);
}

static void averages_row(void *sheet, const struct stats_row *row)
{
    show_row(sheet, averages_columns, row);
}

static void stats_rows(struct sheet *sheet, const struct show_source *source)
{
    stats_each(&source->admin->stats, stats_row, sheet);
}

static void totals_rows(struct sheet *sheet, const struct show_source *source)
{
    stats_each(&source->admin->stats, totals_row, sheet);
}

static void averages_rows(struct sheet *sheet, const struct show_source *source)
{
    stats_each(&source->admin->stats, averages_row, sheet);
}

/* SHOW TOTALS: all databases added up, one figure a row. */
struct total {
    const char *name;
    int64_t value;
};

static void total_columns(struct sheet *sheet, const void *of)
{
    const struct total *total = of;

    sheet_text(sheet, "name", total->name);
    sheet_numeric(sheet, "value", total->value);
}

static void total_rows(struct sheet *sheet, const struct show_source *source)
{
    struct stats_row sum, *row = &sum;

    stats_sum(&source->admin->stats, &sum);
    {
        const struct total totals[] = {
            {"total_server_assignment_count", TOTAL(server_assignment_count)},
            {"total_xact_count", TOTAL(xact_count)},
            {"total_query_count", TOTAL(query_count)},
            {"total_client_bytes", TOTAL(bytes_received)},
            {"total_server_bytes", TOTAL(bytes_sent)},
            {"total_xact_time", TOTAL(xact_time)},
            {"total_query_time", TOTAL(query_time)},
            {"total_wait_time", TOTAL(wait_time)},
            {"total_ps_client_parse_count", TOTAL(client_parse_count)},
            {"total_ps_server_parse_count", TOTAL(server_parse_count)},
            {"total_ps_bind_count", TOTAL(bind_count)},
            {"total_client_login_count", TOTAL(client_login_count)},
            {"avg_server_assignment_count", PER_S(server_assignment_count)},
            {"avg_xact_count", PER_S(xact_count)},
            {"avg_query_count", PER_S(query_count)},
            {"avg_client_bytes", PER_S(bytes_received)},
            {"avg_server_bytes", PER_S(bytes_sent)},
            {"avg_xact_time", EACH(xact_time, xact_count)},
            {"avg_query_time", EACH(query_time, query_count)},
            {"avg_wait_time", PER_S(wait_time)},
            {"avg_ps_client_parse_count", PER_S(client_parse_count)},
            {"avg_ps_server_parse_count", PER_S(server_parse_count)},
            {"avg_ps_bind_count", PER_S(bind_count)},
            {"avg_client_login_count", PER_S(client_login_count)},
        };

        for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
            show_row(sheet, total_columns, &totals[i]);
    }
}

const struct show show_stats = {"stats", 0, false, stats_columns, stats_rows};
const struct show show_stats_totals = {"stats_totals", 0, false, totals_columns, totals_rows};
const struct show show_stats_averages = {"stats_averages", 0, false, averages_columns,
                                         averages_rows};
const struct show show_totals = {"totals", 0, false, total_columns, total_rows};
