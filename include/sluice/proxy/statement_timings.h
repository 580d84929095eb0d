/* statement_timings: what a worker knows of the statements that its clients ran, and what a survey
 * copies of it (proxy/statement_stats.h fills it). Belongs to its worker. */
#ifndef SLUICE_PROXY_STATEMENT_TIMINGS_H
#define SLUICE_PROXY_STATEMENT_TIMINGS_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/base/list.h"
#include "sluice/stat/histogram.h"

#define SLOWEST_MAX 10
/* Slow statements are forgotten after this time. */
#define SLOWEST_US (15 * 60 * 1000000ULL)
/* Runs that were this slow are all looked at; of others one in so long, since that costs more than
 * noting them. */
#define SLOWEST_SURE_US 50000u
#define SLOWEST_LOOK_US 10000u
#define STATEMENT_SHOWN_BYTES 600 /* of a normalised text */

struct slow_statement {
    uint64_t at_us, wait_us, run_us; /* run_us 0: there is none */
    char database[64], user[64];
    char text[STATEMENT_SHOWN_BYTES]; /* masked */
};

struct statement_entry;

struct statement_timings {
    struct slow_statement slowest[SLOWEST_MAX];
    uint64_t slowest_looked_us;     /* when a run was last looked at */
    uint64_t slowest_least_us;      /* who runs no longer is not remembered */
    struct statement_entry *by_key; /* hash */
    struct list by_use;             /* the one used last first */
    uint64_t second_us;             /* the slow log's present second */
    uint64_t logged, unlogged;      /* in it */
};

/* One statement's cost, as a survey has it; texts are its own. */
struct survey_statement {
    char *database, *user, *text;
    uint64_t calls, run_us, wait_us, waits, rows, errors;
    struct histogram runs;
};

#endif
