/* load: many clients at once, each of which checks that every answer is its own. One thread, libpq
 * without blocking. A client's transactions go round the kinds: a simple statement, an extended one
 * with a parameter, and BEGIN, set_config(… local), current_setting, COMMIT, which also shows that
 * a transaction stays on one server. Each carries a token that nobody else has. */
#ifndef TESTS_HARNESS_LOAD_H
#define TESTS_HARNESS_LOAD_H

#include <stdbool.h>

#include "harness/sluice.h"

struct load {
    const struct sluice *sluice;
    const char *options;            /* of each connection: "user=user1 dbname=p" */
    unsigned clients, transactions; /* transactions of all clients together */
    bool failures_allowed;          /* else the first error fails the test */
    void (*disturb)(struct load *); /* called every `disturb_every` transactions, or NULL */
    unsigned disturb_every;

    unsigned done;   /* transactions whose every answer was right */
    unsigned failed; /* transactions that met an error */
    unsigned lost;   /* connections that ended, and were opened again */
};

/* Runs the load to its end. A wrong answer fails the test at once, as does a standstill. */
void load_run(struct load *load);

/* A disturbance: ends one of the pooler's servers, by chance. */
void load_kill_one(struct load *load);

#endif
