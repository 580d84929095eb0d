/* reach: whether a server can be reached: a question of our own beside the clients' data. Names are
 * asked of the resolver; then libpq's PQping() or hiredis' PING asks one address after the other in
 * a helper's thread. Any answer will do, a refused login too; only a PostgreSQL server that says
 * that it starts up or shuts down cannot be reached. Belongs to the thread that asks. */
#ifndef SLUICE_POOL_REACH_H
#define SLUICE_POOL_REACH_H

#include "sluice/conf/sections.h"
#include "sluice/net/mailbox.h"
#include "sluice/net/resolver.h"

/* Questions under way at most, over all threads. */
#define REACH_MAX 16

/* Where a server is: one of these hosts. Texts are the owner's. */
struct reach_target {
    bool redis;
    struct conf_list hosts;
    uint16_t port;
    const char *service; /* of libpq, or NULL */
    uint64_t timeout_us; /* for each address */
};

struct reach_target reach_target_of_database(const struct conf *conf,
                                             const struct conf_database *database);
struct reach_target reach_target_of_redis(const struct conf_redis *line);

struct reach;

/* Begins to ask; done(owner, reached) is called on a later turn of the loop of `mailbox`. NULL when
 * REACH_MAX are under way. */
struct reach *reach_begin(const struct reach_target *target, struct resolver *resolver,
                          struct mailbox *mailbox, void (*done)(void *owner, bool reached),
                          void *owner);

/* Before done(): nobody wants to know any more. */
void reach_end(struct reach *reach);

#endif
