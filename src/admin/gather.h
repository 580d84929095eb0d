/* gather: what the workers' parts of a survey have of one kind, sorted, so that what belongs to one
 * thing (a pool's parts, a statement's) lies together and can be added up. Main thread. */
#ifndef SLUICE_ADMIN_GATHER_H
#define SLUICE_ADMIN_GATHER_H

#include "sluice/proxy/survey.h"

/* Where a struct survey_part has them. */
struct gather {
    size_t items, count; /* offsets of the array's address and of its length */
    size_t item_bytes;
    int (*compare)(const void *one, const void *other); /* of two items; 0 = of one thing */
};

#define GATHER(array, length, function)                                                \
    {                                                                                  \
        .items = offsetof(struct survey_part, array),                                  \
        .count = offsetof(struct survey_part, length),                                 \
        .item_bytes = sizeof(*((struct survey_part *)0)->array), .compare = (function) \
    }

/* Calls group for each thing, in order, with all its items. */
void gather_each(const struct survey *survey, const struct gather *what,
                 void (*group)(void *context, const void *const *items, size_t count),
                 void *context);

#endif
