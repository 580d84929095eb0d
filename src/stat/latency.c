#include "sluice/stat/latency.h"

static const struct {
    const char *name, *meaning;
} rows[LATENCY_COUNT] = {
#define LATENCY(name, meaning) {#name, meaning},
#include "sluice/stat/latencies.def"
#undef LATENCY
};

void latencies_fini(struct latencies *latencies)
{
    for (unsigned i = 0; i < LATENCY_COUNT; i++)
        histogram_fini(&latencies->histograms[i]);
}

const char *latency_name(enum latency latency)
{
    return rows[latency].name;
}

const char *latency_meaning(enum latency latency)
{
    return rows[latency].meaning;
}
