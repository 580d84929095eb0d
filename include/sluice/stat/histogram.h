/* histogram: how often something took how long. Log-linear: every power of two of microseconds is
 * cut into HISTOGRAM_STEPS equal buckets, so that a value read back is less than 1 % off (two
 * significant digits), from one microsecond to more than an hour; what is longer counts as
 * that. One writer, which uses neither locks nor atomic read-modify-write; any thread may read
 * meanwhile. Memory is taken for a power of two when the first value falls into it. */
#ifndef SLUICE_STAT_HISTOGRAM_H
#define SLUICE_STAT_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_STEPS 64u
/* Values below 128 have a bucket each: two groups. Then a group for each power of two up to 2^32.
 */
#define HISTOGRAM_GROUPS 27u
#define HISTOGRAM_BUCKETS (HISTOGRAM_GROUPS * HISTOGRAM_STEPS)
#define HISTOGRAM_VALUE_MAX UINT32_MAX

struct histogram_group {
    _Atomic uint64_t counts[HISTOGRAM_STEPS];
};

/* Zeroed memory is an empty one. */
struct histogram {
    _Atomic(struct histogram_group *) groups[HISTOGRAM_GROUPS];
    _Atomic uint64_t sum, max; /* exact, in microseconds */
};

void histogram_fini(struct histogram *histogram);

/* Takes the memory for the group; for histogram_add(). */
struct histogram_group *histogram_grow(struct histogram *histogram, unsigned group);

/* The bucket of a value that is no more than HISTOGRAM_VALUE_MAX. */
static inline unsigned histogram_bucket(uint64_t value)
{
    unsigned power;

    if (value < 2 * HISTOGRAM_STEPS)
        return (unsigned)value;
    power = 63u - (unsigned)__builtin_clzll(value) - 6u;
    return power * HISTOGRAM_STEPS + (unsigned)(value >> power);
}

/* Counts a value `times` times; only the writer. */
static inline void histogram_add_times(struct histogram *histogram, uint64_t value, uint64_t times)
{
    uint64_t kept = value < HISTOGRAM_VALUE_MAX ? value : HISTOGRAM_VALUE_MAX;
    unsigned bucket = histogram_bucket(kept);
    struct histogram_group *group =
        atomic_load_explicit(&histogram->groups[bucket / HISTOGRAM_STEPS], memory_order_relaxed);
    _Atomic uint64_t *count;

    if (!group)
        group = histogram_grow(histogram, bucket / HISTOGRAM_STEPS);
    count = &group->counts[bucket % HISTOGRAM_STEPS];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + times,
                          memory_order_relaxed);
    atomic_store_explicit(&histogram->sum,
                          atomic_load_explicit(&histogram->sum, memory_order_relaxed) +
                              value * times,
                          memory_order_relaxed);
    if (value > atomic_load_explicit(&histogram->max, memory_order_relaxed))
        atomic_store_explicit(&histogram->max, value, memory_order_relaxed);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram_add_times(histogram, value, 1);
}

/* A plain copy, also of several added up. */
struct histogram_values {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count, sum, max;
};

/* Adds a histogram to values; any thread. */
void histogram_collect(const struct histogram *histogram, struct histogram_values *values);

/* Fills an empty one with a copy; the writer's thread. */
void histogram_copy(struct histogram *copy, const struct histogram *histogram);

/* Adds a histogram to another one, whose writer is the caller. */
void histogram_merge(struct histogram *into, const struct histogram *histogram);

/* What `now` has more than `before`, an earlier copy of the same. Its max is that of its highest
 * bucket. */
void histogram_since(const struct histogram_values *now, const struct histogram_values *before,
                     struct histogram_values *change);

/* The value that `parts` of 1000 are no longer than; 0 when there is none. */
uint64_t histogram_quantile(const struct histogram_values *values, unsigned parts);

/* counts[i]: how many were no longer than ends[i], as exactly as the buckets tell; the ends grow.
 */
void histogram_counts_to(const struct histogram_values *values, const uint64_t *ends,
                         uint64_t *counts, size_t count);

#endif
