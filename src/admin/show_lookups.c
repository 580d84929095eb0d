/* SHOW LOOKUPS: the statements that may be asked for many clients at once, over all workers, and
 * what that saved. */
#include <stdlib.h>
#include <string.h>

#include "show.h"
#include "sluice/base/memory.h"

static void lookups_columns(struct sheet *sheet, const void *of)
{
    const struct survey_lookup *row = of;

    sheet_text(sheet, "database", row->database);
    sheet_text(sheet, "user", row->user);
    sheet_text(sheet, "batched", row->refusal ? "no" : "yes");
    sheet_int8(sheet, "keys", (int64_t)row->keys);
    sheet_int8(sheet, "batches", (int64_t)row->batches);
    sheet_int8(sheet, "saved", row->keys > row->batches ? (int64_t)(row->keys - row->batches) : 0);
    sheet_int8(sheet, "size_mean", row->batches ? (int64_t)(row->keys / row->batches) : 0);
    sheet_int8(sheet, "size_max", (int64_t)row->size_max);
    sheet_int8(sheet, "alone", (int64_t)row->alone);
    sheet_int8(sheet, "wait_us", (int64_t)row->wait_us);
    sheet_int8(sheet, "errors", (int64_t)row->errors);
    sheet_int8(sheet, "changes", (int64_t)row->changes);
    sheet_int8(sheet, "again", (int64_t)row->again);
    sheet_text(sheet, "refusal", row->refusal);
    sheet_text(sheet, "statement", row->text);
}

static int lookup_compare(const void *a, const void *b)
{
    const struct survey_lookup *one = *(const struct survey_lookup *const *)a;
    const struct survey_lookup *other = *(const struct survey_lookup *const *)b;
    int order = strcmp(one->database, other->database);

    order = order ? order : strcmp(one->user, other->user);
    return order ? order : strcmp(one->text, other->text);
}

static void lookup_add(struct survey_lookup *sum, const struct survey_lookup *part)
{
    sum->keys += part->keys;
    sum->batches += part->batches;
    sum->alone += part->alone;
    sum->wait_us += part->wait_us;
    sum->errors += part->errors;
    sum->changes += part->changes;
    sum->again += part->again;
    if (part->size_max > sum->size_max)
        sum->size_max = part->size_max;
    if (!part->refusal)
        sum->refusal = NULL;
}

void lookup_rows_each(const struct survey *survey,
                      void (*each)(void *context, const struct survey_lookup *row), void *context)
{
    const struct survey_lookup **sorted;
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
        struct survey_lookup row = *sorted[i++];

        while (i < count && lookup_compare(&sorted[i - 1], &sorted[i]) == 0)
            lookup_add(&row, sorted[i++]);
        each(context, &row);
    }
    free(sorted);
}

static void lookups_row(void *sheet, const struct survey_lookup *row)
{
    show_row(sheet, lookups_columns, row);
}

static void lookups_rows(struct sheet *sheet, const struct show_source *source)
{
    lookup_rows_each(source->survey, lookups_row, sheet);
}

const struct show show_lookups = {"lookups", SURVEY_LOOKUPS, false, lookups_columns, lookups_rows};
