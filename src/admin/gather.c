#include "gather.h"

#include <stdlib.h>

#include "sluice/base/memory.h"

static size_t part_count(const struct survey_part *part, const struct gather *what)
{
    return *(const size_t *)((const char *)part + what->count);
}

static const char *part_items(const struct survey_part *part, const struct gather *what)
{
    return *(const char *const *)((const char *)part + what->items);
}

static int item_compare(const void *a, const void *b, void *of)
{
    const struct gather *what = of;

    return what->compare(*(const void *const *)a, *(const void *const *)b);
}

void gather_each(const struct survey *survey, const struct gather *what,
                 void (*group)(void *context, const void *const *items, size_t count),
                 void *context)
{
    const void **items;
    size_t total = 0, count = 0, first = 0;

    for (unsigned i = 0; i < survey->part_count; i++)
        total += part_count(&survey->parts[i], what);
    items = memory_new((total + 1) * sizeof(items[0]));
    for (unsigned i = 0; i < survey->part_count; i++)
        for (size_t j = 0; j < part_count(&survey->parts[i], what); j++)
            items[count++] = part_items(&survey->parts[i], what) + j * what->item_bytes;
    qsort_r(items, count, sizeof(items[0]), item_compare, (void *)what);
    for (size_t i = 1; i <= count; i++)
        if (i == count || what->compare(items[first], items[i]) != 0) {
            group(context, items + first, i - first);
            first = i;
        }
    free(items);
}
