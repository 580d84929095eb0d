/* The part of a survey about lookups (pg_lookups.h). */
#include <string.h>

#include "pg_lookups.h"
#include "sluice/base/memory.h"
#include "survey_parts.h"

static struct pg_lookups *lookups_of(const struct pool *pool)
{
    return pool->kind == &pg_server_kind ? pool->lookups : NULL;
}

static void survey_lookup(struct survey_lookup *row, const struct pool *pool,
                          const struct pg_lookup *lookup)
{
    const struct pg_lookup_counts *counts = &lookup->counts;

    *row = (struct survey_lookup){
        .database = memory_text(pool->database_name, strlen(pool->database_name)),
        .user = memory_text(pool->user_name, strlen(pool->user_name)),
        .text = memory_text(lookup->text, strlen(lookup->text)),
        .refusal = lookup->refusal == LOOKUP_NONE ? NULL : lookup_refusal_text(lookup->refusal),
        .batches = counts->batches,
        .keys = counts->keys,
        .alone = counts->alone,
        .size_max = counts->size_max,
        .wait_us = counts->wait_us,
        .errors = counts->errors,
        .changes = counts->changes,
        .again = counts->again,
    };
}

void survey_lookups(struct survey_part *part, const struct pools *pools)
{
    struct pool *pool, *following;
    size_t count = 0;

    HASH_ITER(hh, pools->by_key, pool, following)
    if (lookups_of(pool))
        count += pool->lookups->by_use.length;
    part->lookups = memory_new((count + 1) * sizeof(part->lookups[0]));
    HASH_ITER(hh, pools->by_key, pool, following)
    if (lookups_of(pool))
        LIST_EACH_SAFE (&pool->lookups->by_use, node, next)
            survey_lookup(&part->lookups[part->lookup_count++], pool,
                          container_of(node, struct pg_lookup, node));
}
