/* SHOW STATEMENTS: what each normalised statement cost, over all workers, the dearest first. */
#include <stdlib.h>
#include <string.h>

#include "gather.h"
#include "show.h"
#include "sluice/base/memory.h"

struct statement_row {
    const struct survey_statement *first; /* one worker's: names and text */
    struct survey_statement sum;
    uint64_t p50_us, p99_us, max_us;
};

static void statements_columns(struct sheet *sheet, const void *of)
{
    static const struct survey_statement nothing;
    const struct statement_row *row = of;
    const struct survey_statement *first = row->first ? row->first : &nothing, *sum = &row->sum;

    sheet_text(sheet, "database", first->database);
    sheet_text(sheet, "user", first->user);
    sheet_int8(sheet, "calls", (int64_t)sum->calls);
    sheet_int8(sheet, "total_us", (int64_t)sum->run_us);
    sheet_int8(sheet, "mean_us", sum->calls ? (int64_t)(sum->run_us / sum->calls) : 0);
    sheet_int8(sheet, "p50_us", (int64_t)row->p50_us);
    sheet_int8(sheet, "p99_us", (int64_t)row->p99_us);
    sheet_int8(sheet, "max_us", (int64_t)row->max_us);
    sheet_int8(sheet, "rows", (int64_t)sum->rows);
    sheet_int8(sheet, "errors", (int64_t)sum->errors);
    sheet_int8(sheet, "waits", (int64_t)sum->waits);
    sheet_int8(sheet, "wait_us", (int64_t)sum->wait_us);
    sheet_text(sheet, "statement", first->text);
}

static int statement_compare(const void *a, const void *b)
{
    const struct survey_statement *one = a, *other = b;
    int order = strcmp(one->text, other->text);

    order = order ? order : strcmp(one->database, other->database);
    return order ? order : strcmp(one->user, other->user);
}

static int cost_compare(const void *a, const void *b)
{
    const struct statement_row *one = a, *other = b;

    return (one->sum.run_us < other->sum.run_us) - (one->sum.run_us > other->sum.run_us);
}

struct statement_rows {
    struct statement_row *items;
    size_t count;
};

static void statement_group(void *context, const void *const *items, size_t count)
{
    struct statement_rows *rows = context;
    struct statement_row *row = &rows->items[rows->count++];
    struct histogram_values *runs = memory_new(sizeof(*runs));

    row->first = items[0];
    for (size_t i = 0; i < count; i++) {
        const struct survey_statement *part = items[i];

        row->sum.calls += part->calls;
        row->sum.run_us += part->run_us;
        row->sum.wait_us += part->wait_us;
        row->sum.waits += part->waits;
        row->sum.rows += part->rows;
        row->sum.errors += part->errors;
        histogram_collect(&part->runs, runs);
    }
    row->p50_us = histogram_quantile(runs, 500);
    row->p99_us = histogram_quantile(runs, 990);
    row->max_us = runs->max;
    free(runs);
}

static void statements_rows(struct sheet *sheet, const struct show_source *source)
{
    static const struct gather statements = GATHER(statements, statement_count, statement_compare);
    const struct survey *survey = source->survey;
    struct statement_rows rows = {0};
    size_t count = 1;

    for (unsigned i = 0; i < survey->part_count; i++)
        count += survey->parts[i].statement_count;
    rows.items = memory_new(count * sizeof(rows.items[0]));
    gather_each(survey, &statements, statement_group, &rows);
    qsort(rows.items, rows.count, sizeof(rows.items[0]), cost_compare);
    for (size_t i = 0; i < rows.count; i++)
        show_row(sheet, statements_columns, &rows.items[i]);
    free(rows.items);
}

const struct show show_statements = {"statements", SURVEY_STATEMENTS, false, statements_columns,
                                     statements_rows};
