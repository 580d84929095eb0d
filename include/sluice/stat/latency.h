/* latency: the histograms of one pool on one worker, a row each (latencies.def). Written by that
 * worker only; any thread reads. */
#ifndef SLUICE_STAT_LATENCY_H
#define SLUICE_STAT_LATENCY_H

#include "sluice/stat/histogram.h"

enum latency {
#define LATENCY(name, meaning) LATENCY_##name,
#include "sluice/stat/latencies.def"
#undef LATENCY
    LATENCY_COUNT
};

struct latencies {
    struct histogram histograms[LATENCY_COUNT];
};

void latencies_fini(struct latencies *latencies);

static inline void latency_add(struct latencies *latencies, enum latency latency, uint64_t us)
{
    histogram_add(&latencies->histograms[latency], us);
}

/* The latency's name and meaning, as in its row. */
const char *latency_name(enum latency latency);
const char *latency_meaning(enum latency latency);

#endif
