/* generate: lookups put together at random, always the same ones, with what their parameters are.
 */
#ifndef TESTS_BATCH_GENERATE_H
#define TESTS_BATCH_GENERATE_H

#include "sluice/batch/lookup.h"

#include <stdbool.h>
#include <stddef.h>

#define SAMPLE_VALUES_MAX 12

/* A type as columns are declared, how to cast to it, and values in text format. */
struct sample {
    const char *type, *cast;
    bool order; /* has equality and order; without it only a few statements make sense */
    const char *values[SAMPLE_VALUES_MAX];
};

extern const struct sample samples[];
extern const size_t samples_count;

/* The types and the second table that they need. */
#define SAMPLES_CREATE                                                                \
    "CREATE EXTENSION citext;"                                                        \
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'so, \"so\"');"                           \
    "CREATE TYPE pair AS (one int, other text);"                                      \
    "CREATE DOMAIN small AS int CHECK (value < 100);"                                 \
    "CREATE DOMAIN given AS text NOT NULL;"                                           \
    "CREATE DOMAIN word AS text COLLATE \"C\";"                                       \
    "CREATE DOMAIN list AS int[];"                                                    \
    "CREATE TABLE u (id int PRIMARY KEY, t_id int, n int, w text);"                   \
    "INSERT INTO u SELECT i, i % 30, i % 11, 'w' || i FROM generate_series(1, 50) i;" \
    "CREATE INDEX ON u (t_id); ANALYZE u;"

struct generated {
    char text[4096];
    char roles[LOOKUP_PARAMS_MAX]; /* of each parameter: 'c' a value of the type, 'C' an array of
                                      it, 'i' a small int, 'l' a limit */
    unsigned params;
    bool ordered; /* totally: rows can be compared as they come */
};

void generate(struct generated *statement, const struct sample *sample);

unsigned random_below(size_t limit);

#define PICK(list) list[random_below(sizeof(list) / sizeof(list[0]))]

#endif
