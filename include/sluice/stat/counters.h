/* counters: what is counted, one set per pool and worker. Written by that worker only, without
 * atomic read-modify-write; any thread may read, and adds up the sets of all workers. */
#ifndef SLUICE_STAT_COUNTERS_H
#define SLUICE_STAT_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

struct counters {
#define COUNTER(name, meaning) _Atomic uint64_t name;
#include "sluice/stat/counters.def"
#undef COUNTER
};

enum counter {
#define COUNTER(name, meaning) COUNTER_##name,
#include "sluice/stat/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

/* Adds; only the worker that owns the set. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

/* A plain copy of the values, in the order of enum counter. */
struct counters_values {
    uint64_t values[COUNTER_COUNT];
};

/* Adds a set to values; any thread. */
void counters_collect(struct counters *counters, struct counters_values *values);

/* The counter's name and meaning, as in its row. */
const char *counter_name(enum counter counter);
const char *counter_meaning(enum counter counter);

#endif
