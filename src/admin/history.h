/* history: what each pool did in the last 15 minutes, a row of figures every two seconds: what the
 * dashboard draws, so that a page that is opened late shows it. Only there when there is a stats
 * port. Of HISTORY_POOLS_MAX pools at most. Main thread. */
#ifndef SLUICE_ADMIN_HISTORY_H
#define SLUICE_ADMIN_HISTORY_H

#include <stdio.h>

#include "show.h"
#include "sluice/net/loop.h"

#define HISTORY_STEP_US (2 * US_PER_S)
#define HISTORY_POINTS 450u
#define HISTORY_POOLS_MAX 100u

enum figure {
#define FIGURE(name, meaning) FIGURE_##name,
#include "history_figures.def"
#undef FIGURE
    FIGURE_COUNT
};

struct history_pool;

struct history {
    struct admin *admin;
    struct history_pool *pools; /* hash */
    struct timer timer;
    struct survey *survey; /* under way */
    bool crowded;          /* there were once more pools than are kept */
    uint64_t step;         /* number of the last one; the first is 1 */
    uint64_t step_us;      /* when it was taken */
};

void history_init(struct history *history, struct admin *admin);
void history_fini(struct history *history);

/* Begins to keep it. */
void history_start(struct history *history);

/* A pool's figures, the oldest first: those of the steps after `after`. */
struct history_row {
    const char *database, *user; /* Redis: the line, "" */
    bool redis;
    unsigned count;
    const uint32_t *values[FIGURE_COUNT]; /* rings of HISTORY_POINTS */
    unsigned first;                       /* where in the rings they begin */
};

/* Calls each for every pool. */
void history_each(const struct history *history, uint64_t after,
                  void (*each)(void *context, const struct history_row *row), void *context);

const char *figure_name(enum figure figure);

#endif
