/* SHOW LOOKUPS: the statements that may be asked for many clients at once, over all workers, and
 * what that saved. */
#include <stdlib.h>
#include <string.h>

#include "gather.h"
#include "show.h"
#include "sluice/base/memory.h"

/* A lookup over all workers. */
struct lookup_row {
    const struct survey_lookup *first; /* one worker's: names and text */
    const char *refusal;               /* why no worker batches it; NULL: one does */
    uint64_t batches, keys, alone, errors, cuts, changes, again;
    struct histogram_values *sizes, *waits;
};

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
    const struct survey_lookup *one = a, *other = b;
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

static void lookup_group(void *sheet, const void *const *items, size_t count)
{
    const struct survey_lookup *first = items[0];
    struct histogram_values *values = memory_new(2 * sizeof(*values));
    struct lookup_row row = {
        .first = first, .refusal = first->refusal, .sizes = &values[0], .waits = &values[1]};

    for (size_t i = 0; i < count; i++)
        lookup_add(&row, items[i]);
    show_row(sheet, lookups_columns, &row);
    free(values);
}

static void lookups_rows(struct sheet *sheet, const struct show_source *source)
{
    static const struct gather lookups = GATHER(lookups, lookup_count, lookup_compare);

    gather_each(source->survey, &lookups, lookup_group, sheet);
}

const struct show show_lookups = {"lookups", SURVEY_LOOKUPS, false, lookups_columns, lookups_rows};
