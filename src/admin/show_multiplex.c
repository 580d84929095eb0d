/* SHOW MULTIPLEX: of each database, what was sent among statements of other clients, and why the
 * rest was not (docs/multiplex.md). */
#include <string.h>

#include "show.h"
#include "state.h"

struct multiplex_row {
    const struct stats_row *stats;
    int64_t servers, flights;
};

static void multiplex_columns(struct sheet *sheet, const void *of)
{
    static const struct {
        const char *name;
        enum counter counter;
    } columns[] = {
        {"statements", COUNTER_multiplexed},
        {"stalls", COUNTER_multiplex_stalls},
        {"not_request", COUNTER_multiplex_not_request},
        {"not_statement", COUNTER_multiplex_not_statement},
        {"not_known", COUNTER_multiplex_not_known},
        {"not_client", COUNTER_multiplex_not_client},
        {"not_long", COUNTER_multiplex_not_long},
    };
    const struct multiplex_row *row = of;

    sheet_text(sheet, "database", row->stats ? row->stats->database : NULL);
    sheet_int8(sheet, "sv_shared", row->servers);
    sheet_int8(sheet, "in_flight", row->flights);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        sheet_int8(sheet, columns[i].name,
                   row->stats ? (int64_t)row->stats->total.values[columns[i].counter] : 0);
}

/* Where the rows go. */
struct multiplex_page {
    struct sheet *sheet;
    const struct survey *survey;
};

static void multiplex_row(void *context, const struct stats_row *stats)
{
    const struct multiplex_page *page = context;
    struct multiplex_row row = {.stats = stats};

    for (unsigned i = 0; i < page->survey->part_count; i++)
        for (size_t j = 0; j < page->survey->parts[i].pool_count; j++) {
            const struct survey_pool *pool = &page->survey->parts[i].pools[j];

            if (strcmp(pool->database, stats->database) != 0)
                continue;
            row.servers += (int64_t)pool->servers[SERVER_SHARED];
            row.flights += (int64_t)pool->flights;
        }
    show_row(page->sheet, multiplex_columns, &row);
}

static void multiplex_rows(struct sheet *sheet, const struct show_source *source)
{
    struct multiplex_page page = {sheet, source->survey};

    stats_each(&source->admin->stats, multiplex_row, &page);
}

const struct show show_multiplex = {"multiplex", SURVEY_POOLS, false, multiplex_columns,
                                    multiplex_rows};
