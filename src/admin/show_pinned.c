/* SHOW PINNED: clients whose servers stay with them between transactions, and why. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "show.h"
#include "sluice/base/clock.h"

struct pinned_row {
    const struct survey_pool *pool;
    struct survey_peer client;
    uint64_t now_us, wall_us; /* of the survey */
};

static void pinned_columns(struct sheet *sheet, const void *of)
{
    static _Thread_local char client[24], server[24], since[32], reasons[SURVEY_REASONS_BYTES];
    const struct pinned_row *row = of;
    time_t seconds = (time_t)((row->wall_us - (row->now_us - row->client.pinned_us)) / US_PER_S);
    struct tm parts;

    snprintf(client, sizeof(client), "%#" PRIx64, row->client.id);
    snprintf(server, sizeof(server), "%#" PRIx64, row->client.link_id);
    strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S %Z", localtime_r(&seconds, &parts));
    sheet_text(sheet, "client", client);
    sheet_text(sheet, "server", server);
    sheet_text(sheet, "database", row->pool ? row->pool->database : "");
    sheet_text(sheet, "user", row->pool ? row->pool->user : "");
    sheet_text(sheet, "application_name", row->client.application_name);
    sheet_text(sheet, "reason", survey_reasons(row->client.pinned, reasons));
    sheet_text(sheet, "since", since);
    sheet_int8(sheet, "age", (int64_t)((row->now_us - row->client.pinned_us) / US_PER_S));
}

static void pinned_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct survey *survey = source->survey;
    struct pinned_row row = {.now_us = survey->now_us, .wall_us = clock_wall_us()};

    for (unsigned i = 0; i < survey->part_count; i++) {
        const struct survey_part *part = &survey->parts[i];

        for (size_t j = 0; j < part->client_count; j++) {
            row.client = part->clients[j];
            if (!row.client.pinned)
                continue;
            row.pool = row.client.pool >= 0 ? &part->pools[row.client.pool] : NULL;
            show_row(sheet, pinned_columns, &row);
        }
    }
}

const struct show show_pinned = {"pinned", SURVEY_CLIENTS, false, pinned_columns, pinned_rows};
