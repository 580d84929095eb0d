/* latencies: what the histograms of all workers say, pool by pool. Main thread. */
#ifndef SLUICE_ADMIN_LATENCIES_H
#define SLUICE_ADMIN_LATENCIES_H

#include "sluice/stat/latency.h"
#include "state.h"

/* One latency of a pool over all its workers. Of Redis, all pools of a line count as one, and the
 * user is "". The look-ups of names are a row of their own, without database and user (NULL). */
struct latency_row {
    const char *database, *user;
    bool redis;
    bool labelled; /* in metrics; registry.h */
    const char *name;
    const struct histogram_values *values;
};

/* Calls each for every pool by name, with the one latency. */
void latencies_each(const struct admin *admin, enum latency latency,
                    void (*each)(void *context, const struct latency_row *row), void *context);

/* The look-ups of names. */
void latencies_lookups(const struct admin *admin,
                       void (*each)(void *context, const struct latency_row *row), void *context);

#endif
