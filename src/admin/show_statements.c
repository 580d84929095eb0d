/* SHOW STATEMENTS: what each normalised statement cost, over all workers, the dearest first. */
#include <stdlib.h>
#include <string.h>

#include "show.h"
#include "sluice/base/memory.h"

struct statement_row {
    const struct survey_statement *first; /* one worker's: names and text */
    struct survey_statement sum;
    const struct histogram_values *runs;
};

static void statements_columns(struct sheet *sheet, const void *of)
{
    static const struct survey_statement nothing;
    static const struct histogram_values none;
    const struct statement_row *row = of;
    const struct survey_statement *first = row->first ? row->first : &nothing, *sum = &row->sum;
    const struct histogram_values *runs = row->runs ? row->runs : &none;

    sheet_text(sheet, "database", first->database);
    sheet_text(sheet, "user", first->user);
    sheet_int8(sheet, "calls", (int64_t)sum->calls);
    sheet_int8(sheet, "total_us", (int64_t)sum->run_us);
    sheet_int8(sheet, "mean_us", sum->calls ? (int64_t)(sum->run_us / sum->calls) : 0);
    sheet_int8(sheet, "p50_us", (int64_t)histogram_quantile(runs, 500));
    sheet_int8(sheet, "p99_us", (int64_t)histogram_quantile(runs, 990));
    sheet_int8(sheet, "max_us", (int64_t)runs->max);
    sheet_int8(sheet, "rows", (int64_t)sum->rows);
    sheet_int8(sheet, "errors", (int64_t)sum->errors);
    sheet_int8(sheet, "waits", (int64_t)sum->waits);
    sheet_int8(sheet, "wait_us", (int64_t)sum->wait_us);
    sheet_text(sheet, "statement", first->text);
}

static int statement_compare(const void *a, const void *b)
{
    const struct survey_statement *one = *(const struct survey_statement *const *)a;
    const struct survey_statement *other = *(const struct survey_statement *const *)b;
    int order = strcmp(one->text, other->text);

    order = order ? order : strcmp(one->database, other->database);
    return order ? order : strcmp(one->user, other->user);
}

/* A statement of several workers: where it begins among all, and how many it is. */
struct span {
    const struct survey_statement **first;
    size_t count;
    uint64_t run_us;
};

static int span_compare(const void *a, const void *b)
{
    const struct span *one = a, *other = b;

    return (one->run_us < other->run_us) - (one->run_us > other->run_us);
}

static void span_row(struct sheet *sheet, const struct span *span, struct histogram_values *runs)
{
    struct statement_row row = {.first = *span->first, .runs = runs};

    memset(runs, 0, sizeof(*runs));
    for (size_t i = 0; i < span->count; i++) {
        const struct survey_statement *part = span->first[i];

        row.sum.calls += part->calls;
        row.sum.run_us += part->run_us;
        row.sum.wait_us += part->wait_us;
        row.sum.waits += part->waits;
        row.sum.rows += part->rows;
        row.sum.errors += part->errors;
        histogram_collect(&part->runs, runs);
    }
    show_row(sheet, statements_columns, &row);
}

static void statements_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct survey *survey = source->survey;
    const struct survey_statement **sorted;
    struct histogram_values *runs = memory_new(sizeof(*runs));
    struct span *spans;
    size_t count = 0, span_count = 0;

    for (unsigned i = 0; i < survey->part_count; i++)
        count += survey->parts[i].statement_count;
    sorted = memory_new((count + 1) * sizeof(*sorted));
    spans = memory_new((count + 1) * sizeof(*spans));
    count = 0;
    for (unsigned i = 0; i < survey->part_count; i++)
        for (size_t j = 0; j < survey->parts[i].statement_count; j++)
            sorted[count++] = &survey->parts[i].statements[j];
    qsort(sorted, count, sizeof(*sorted), statement_compare);
    for (size_t i = 0; i < count;) {
        struct span *span = &spans[span_count++];

        span->first = &sorted[i];
        for (; i < count && statement_compare(span->first, &sorted[i]) == 0; i++) {
            span->count++;
            span->run_us += sorted[i]->run_us;
        }
    }
    qsort(spans, span_count, sizeof(*spans), span_compare);
    for (size_t i = 0; i < span_count; i++)
        span_row(sheet, &spans[i], runs);
    free(sorted);
    free(spans);
    free(runs);
}

const struct show show_statements = {"statements", SURVEY_STATEMENTS, false, statements_columns,
                                     statements_rows};
