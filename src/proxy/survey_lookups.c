/* The part of a survey about lookups (pg_lookups.h). */
#include <stdio.h>
#include <string.h>

#include "pg_lookup_forms.h"
#include "pg_lookups.h"
#include "sluice/base/memory.h"
#include "sluice/batch/mask.h"
#include "survey_parts.h"

static struct pg_lookups *lookups_of(const struct pool *pool)
{
    return pool->kind == &pg_server_kind ? pool->lookups : NULL;
}

static char *copy(const char *text)
{
    return memory_text(text, strlen(text));
}

/* Without literals: they may be secrets. */
static char *copy_masked(const char *text)
{
    char masked[SURVEY_TEXT_BYTES];

    return memory_text(masked, mask_text(text, strlen(text), masked, sizeof(masked)));
}

static char *refusal_text(enum lookup_refusal refusal, const char *detail)
{
    char text[256];

    if (refusal == LOOKUP_NONE)
        return NULL;
    snprintf(text, sizeof(text), "%s%s%s", lookup_refusal_text(refusal), detail[0] ? ": " : "",
             detail);
    return copy(text);
}

static void survey_lookup(struct survey_lookup *row, const struct pool *pool,
                          const struct pg_lookup *lookup)
{
    const struct pg_lookup_counts *counts = &lookup->counts;

    *row = (struct survey_lookup){
        .database = copy(pool->database_name),
        .user = copy(pool->user_name),
        .text = copy_masked(lookup->text),
        .refusal = refusal_text(lookup->refusal, lookup->detail),
        .batches = counts->batches,
        .keys = counts->keys,
        .alone = counts->alone,
        .errors = counts->errors,
        .cuts = counts->cuts,
        .changes = counts->changes,
        .again = counts->again,
    };
    histogram_copy(&row->sizes, &counts->sizes);
    histogram_copy(&row->waits, &counts->waits);
}

/* Queries that are refused before they are statements with parameters. */
static void survey_forms(struct survey_part *part, const struct pool *pool)
{
    const struct lookup_forms *forms = pool->lookups->forms;

    if (!forms)
        return;
    LIST_EACH_SAFE (&forms->by_use, node, next) {
        const struct lookup_form *form = container_of(node, struct lookup_form, node);

        if (form->masked)
            part->lookups[part->lookup_count++] = (struct survey_lookup){
                .database = copy(pool->database_name),
                .user = copy(pool->user_name),
                .text = copy(form->masked),
                .refusal = refusal_text(form->choice.refusal, ""),
            };
    }
}

size_t survey_clients_waiting(const struct pool *pool)
{
    size_t clients = pool->waiting;

    if (!lookups_of(pool))
        return clients;
    LIST_EACH_SAFE (&pool->lookups->by_use, node, next) {
        const struct pg_lookup *lookup = container_of(node, struct pg_lookup, node);

        clients += lookup->keys.length - list_node_linked(&lookup->waiter.node);
    }
    return clients;
}

void survey_lookups(struct survey_part *part, const struct pools *pools)
{
    struct pool *pool, *following;
    size_t count = 0;

    HASH_ITER(hh, pools->by_key, pool, following)
    if (lookups_of(pool))
        count += pool->lookups->by_use.length +
                 (pool->lookups->forms ? pool->lookups->forms->by_use.length : 0);
    part->lookups = memory_new((count + 1) * sizeof(part->lookups[0]));
    HASH_ITER(hh, pools->by_key, pool, following)
    if (lookups_of(pool)) {
        LIST_EACH_SAFE (&pool->lookups->by_use, node, next)
            survey_lookup(&part->lookups[part->lookup_count++], pool,
                          container_of(node, struct pg_lookup, node));
        survey_forms(part, pool);
    }
}

uint64_t survey_batch_max(const struct pool *pool)
{
    uint64_t most = 0;

    if (lookups_of(pool))
        LIST_EACH_SAFE (&pool->lookups->by_use, node, next) {
            const struct pg_lookup *lookup = container_of(node, struct pg_lookup, node);
            uint64_t max = atomic_load_explicit(&lookup->counts.sizes.max, memory_order_relaxed);

            if (max > most)
                most = max;
        }
    return most;
}
