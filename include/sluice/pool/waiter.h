/* waiter: somebody who waits for a server of a pool. Embedded in a client; belongs to the client's
 * worker. */
#ifndef SLUICE_POOL_WAITER_H
#define SLUICE_POOL_WAITER_H

#include <stdint.h>

#include "sluice/base/list.h"

struct params;
struct pool_failure;
struct server;

struct waiter;

/* What a kind of waiter does at the end of its wait. Exactly one of the two is called, at the end
 * of a turn; the waiter is off the queue then. */
struct waiter_kind {
    void (*granted)(struct waiter *waiter, struct server *server);
    void (*refused)(struct waiter *waiter, const struct pool_failure *failure);
    /* The application_name of a server that is opened for it; it may be NULL, or return NULL. */
    const char *(*application_name)(const struct waiter *waiter);
};

/* Somebody in the queue; embedded in a client. */
struct waiter {
    struct list_node node;
    const struct waiter_kind *kind;
    /* It takes only servers whose login carried these parameters; NULL: only those that carried
     * none for anybody. Its owner holds them. */
    struct params *startup;
    uint64_t since_us : 55; /* a thousand years */
    uint64_t shares : 1;    /* it needs no server for itself (pg_multiplex.h) */
    uint64_t priority : 8;
};

#endif
