#include "sluice/stat/histogram.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"

void histogram_fini(struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_GROUPS; i++)
        free(atomic_load(&histogram->groups[i]));
    memset(histogram, 0, sizeof(*histogram));
}

struct histogram_group *histogram_grow(struct histogram *histogram, unsigned group)
{
    struct histogram_group *made = memory_new(sizeof(*made));

    /* A reader that sees the group sees its zeros. */
    atomic_store_explicit(&histogram->groups[group], made, memory_order_release);
    return made;
}

void histogram_collect(const struct histogram *histogram, struct histogram_values *values)
{
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);

    for (unsigned i = 0; i < HISTOGRAM_GROUPS; i++) {
        const struct histogram_group *group =
            atomic_load_explicit(&histogram->groups[i], memory_order_acquire);

        if (!group)
            continue;
        for (unsigned j = 0; j < HISTOGRAM_STEPS; j++) {
            uint64_t count = atomic_load_explicit(&group->counts[j], memory_order_relaxed);

            values->counts[i * HISTOGRAM_STEPS + j] += count;
            values->count += count;
        }
    }
    values->sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    if (max > values->max)
        values->max = max;
}

void histogram_copy(struct histogram *copy, const struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_GROUPS; i++) {
        const struct histogram_group *group =
            atomic_load_explicit(&histogram->groups[i], memory_order_relaxed);

        if (group)
            memcpy(histogram_grow(copy, i), group, sizeof(*group));
    }
    atomic_store(&copy->sum, atomic_load_explicit(&histogram->sum, memory_order_relaxed));
    atomic_store(&copy->max, atomic_load_explicit(&histogram->max, memory_order_relaxed));
}

static void count_add(_Atomic uint64_t *count, uint64_t amount)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

void histogram_merge(struct histogram *into, const struct histogram *histogram)
{
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);

    for (unsigned i = 0; i < HISTOGRAM_GROUPS; i++) {
        const struct histogram_group *from =
            atomic_load_explicit(&histogram->groups[i], memory_order_relaxed);
        struct histogram_group *to = atomic_load_explicit(&into->groups[i], memory_order_relaxed);

        if (!from)
            continue;
        if (!to)
            to = histogram_grow(into, i);
        for (unsigned j = 0; j < HISTOGRAM_STEPS; j++)
            count_add(&to->counts[j], atomic_load_explicit(&from->counts[j], memory_order_relaxed));
    }
    count_add(&into->sum, atomic_load_explicit(&histogram->sum, memory_order_relaxed));
    if (max > atomic_load_explicit(&into->max, memory_order_relaxed))
        atomic_store_explicit(&into->max, max, memory_order_relaxed);
}

/* The middle of a bucket. */
static uint64_t bucket_value(unsigned bucket)
{
    unsigned power;

    if (bucket < 2 * HISTOGRAM_STEPS)
        return bucket;
    power = bucket / HISTOGRAM_STEPS - 1;
    return ((uint64_t)(bucket - power * HISTOGRAM_STEPS) << power) + (1ull << power) / 2;
}

void histogram_since(const struct histogram_values *now, const struct histogram_values *before,
                     struct histogram_values *change)
{
    change->count = change->max = 0;
    change->sum = now->sum > before->sum ? now->sum - before->sum : 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        /* A part that has gone took its counts along. */
        change->counts[i] =
            now->counts[i] > before->counts[i] ? now->counts[i] - before->counts[i] : 0;
        change->count += change->counts[i];
        if (change->counts[i])
            change->max = bucket_value(i);
    }
}

uint64_t histogram_quantile(const struct histogram_values *values, unsigned parts)
{
    uint64_t wanted = (values->count * parts + 999) / 1000, seen = 0;

    if (values->count == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += values->counts[i];
        if (seen >= wanted && seen > 0)
            return bucket_value(i) < values->max ? bucket_value(i) : values->max;
    }
    return values->max;
}

void histogram_counts_to(const struct histogram_values *values, const uint64_t *ends,
                         uint64_t *counts, size_t count)
{
    uint64_t seen = 0;
    unsigned bucket = 0;

    for (size_t i = 0; i < count; i++) {
        for (; bucket < HISTOGRAM_BUCKETS && bucket_value(bucket) <= ends[i]; bucket++)
            seen += values->counts[bucket];
        counts[i] = seen;
    }
}
