/* SHOW LOOKUPS: the statements that may be asked for many clients at once, over all workers, and
 * what that saved. */
#include <stdlib.h>
#include <string.h>

#include "show.h"
#include "sluice/base/memory.h"

static void lookups_columns(struct sheet *sheet, const void *of)
{
    static const struct survey_lookup nothing;
    static const struct histogram_values none;
    const struct lookup_row *row = of;
    const struct survey_lookup *first = row->first ? row->first : &nothing;
    const struct histogram_values *sizes = row->sizes ? row->sizes : &none;
    const struct histogram_values *waits = row->waits ? row->waits : &none;

    sheet_text(sheet, "database", first->database);
    sheet_text(sheet, "user", first->user);
    sheet_text(sheet, "batched", row->refusal ? "no" : "yes");
    sheet_int8(sheet, "keys", (int64_t)row->keys);
    sheet_int8(sheet, "batches", (int64_t)row->batches);
    sheet_int8(sheet, "saved", row->keys > row->batches ? (int64_t)(row->keys - row->batches) : 0);
    sheet_int8(sheet, "size_mean", row->batches ? (int64_t)(row->keys / row->batches) : 0);
    sheet_int8(sheet, "size_p50", (int64_t)histogram_quantile(sizes, 500));
    sheet_int8(sheet, "size_p99", (int64_t)histogram_quantile(sizes, 990));
    sheet_int8(sheet, "size_max", (int64_t)sizes->max);
    sheet_int8(sheet, "alone", (int64_t)row->alone);
    sheet_int8(sheet, "wait_us", (int64_t)waits->sum);
    sheet_int8(sheet, "wait_p50_us", (int64_t)histogram_quantile(waits, 500));
    sheet_int8(sheet, "wait_p99_us", (int64_t)histogram_quantile(waits, 990));
    sheet_int8(sheet, "errors", (int64_t)row->errors);
    sheet_int8(sheet, "cuts", (int64_t)row->cuts);
    sheet_int8(sheet, "changes", (int64_t)row->changes);
    sheet_int8(sheet, "again", (int64_t)row->again);
    sheet_text(sheet, "refusal", row->refusal);
    sheet_text(sheet, "statement", first->text);
}

static int lookup_compare(const void *a, const void *b)
{
    const struct survey_lookup *one = *(const struct survey_lookup *const *)a;
    const struct survey_lookup *other = *(const struct survey_lookup *const *)b;
    int order = strcmp(one->database, other->database);

    order = order ? order : strcmp(one->user, other->user);
    return order ? order : strcmp(one->text, other->text);
}

static void lookup_add(struct lookup_row *row, const struct survey_lookup *part)
{
    row->keys += part->keys;
    row->batches += part->batches;
    row->alone += part->alone;
    row->errors += part->errors;
    row->cuts += part->cuts;
    row->changes += part->changes;
    row->again += part->again;
    histogram_collect(&part->sizes, row->sizes);
    histogram_collect(&part->waits, row->waits);
    if (!part->refusal)
        row->refusal = NULL;
}

void lookup_rows_each(const struct survey *survey,
                      void (*each)(void *context, const struct lookup_row *row), void *context)
{
    const struct survey_lookup **sorted;
    struct histogram_values *values = memory_new(2 * sizeof(*values));
    size_t count = 0;

    for (unsigned i = 0; i < survey->part_count; i++)
        count += survey->parts[i].lookup_count;
    sorted = memory_new((count + 1) * sizeof(*sorted));
    count = 0;
    for (unsigned i = 0; i < survey->part_count; i++)
        for (size_t j = 0; j < survey->parts[i].lookup_count; j++)
            sorted[count++] = &survey->parts[i].lookups[j];
    qsort(sorted, count, sizeof(*sorted), lookup_compare);
    for (size_t i = 0; i < count;) {
        struct lookup_row row = {.first = sorted[i],
                                 .refusal = sorted[i]->refusal,
                                 .sizes = &values[0],
                                 .waits = &values[1]};

        memset(values, 0, 2 * sizeof(*values));
        for (; i < count && lookup_compare(&row.first, &sorted[i]) == 0; i++)
            lookup_add(&row, sorted[i]);
        each(context, &row);
    }
    free(sorted);
    free(values);
}

static void lookups_row(void *sheet, const struct lookup_row *row)
{
    show_row(sheet, lookups_columns, row);
}

static void lookups_rows(struct sheet *sheet, const struct show_source *source)
{
    lookup_rows_each(source->survey, lookups_row, sheet);
}

const struct show show_lookups = {"lookups", SURVEY_LOOKUPS, false, lookups_columns, lookups_rows};
