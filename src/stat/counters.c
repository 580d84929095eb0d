#include "sluice/stat/counters.h"

static const struct {
    const char *name, *meaning;
} rows[COUNTER_COUNT] = {
#define COUNTER(name, meaning) {#name, meaning},
#include "sluice/stat/counters.def"
#undef COUNTER
};

void counters_collect(struct counters *counters, struct counters_values *values)
{
#define COUNTER(name, meaning) \
    values->values[COUNTER_##name] += atomic_load_explicit(&counters->name, memory_order_relaxed);
#include "sluice/stat/counters.def"
#undef COUNTER
}

const char *counter_name(enum counter counter)
{
    return rows[counter].name;
}

const char *counter_meaning(enum counter counter)
{
    return rows[counter].meaning;
}
