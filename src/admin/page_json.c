/* /stats.json: the console's tables as arrays of objects. */
#include "json.h"
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
            value = json_of_text(cell->text);
        json_object_set_new(object, cell->name, value);
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
