#include "pool_fit.h"

#include <string.h>

/* Servers looked at when it is decided for whom the next one is opened. */
#define COMING_MAX 64

struct server *pool_fitting_idle(struct pool *pool, const struct params *startup)
{
    LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node, next) {
        struct server *server = container_of(node, struct server, node);

        if (server->startup == startup && pool_idle_is_fresh(server))
            return server;
    }
    return NULL;
}

/* What the servers carry that nobody has yet. Returns how many. */
static size_t startups_coming(const struct pool *pool, const struct params *startups[COMING_MAX])
{
    static const enum server_state coming[] = {SERVER_CONNECTING, SERVER_LOGIN, SERVER_CHECKING,
                                               SERVER_IDLE};
    size_t count = 0;

    for (size_t i = 0; i < sizeof(coming) / sizeof(coming[0]); i++)
        LIST_EACH_SAFE (&pool->servers[coming[i]], node, next) {
            if (count == COMING_MAX)
                return count;
            startups[count++] = container_of(node, struct server, node)->startup;
        }
    return count;
}

static bool startups_take(const struct params *startups[], size_t *count,
                          const struct params *wanted)
{
    for (size_t i = 0; i < *count; i++)
        if (startups[i] == wanted) {
            startups[i] = startups[--*count];
            return true;
        }
    return false;
}

struct waiter *pool_waiter_unserved(const struct pool *pool)
{
    struct waiter *first = pool_first_waiter(pool);
    const struct params *startups[COMING_MAX];
    size_t count;

    if (!first || !first->startup)
        return first;
    count = startups_coming(pool, startups);
    if (!startups_take(startups, &count, first->startup))
        return first;
    for (unsigned priority = PRIORITIES; priority-- > 0;)
        LIST_EACH_SAFE (&pool->waiters[priority], node, next) {
            struct waiter *waiter = container_of(node, struct waiter, node);

            if (waiter != first && !startups_take(startups, &count, waiter->startup))
                return waiter;
        }
    return NULL;
}

bool pool_evict_unfit(struct pool *pool, const struct waiter *waiter)
{
    struct server *oldest = NULL;

    /* What is idle may be for somebody who waits before this one. */
    if (waiter != pool_first_waiter(pool))
        return false;
    LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node, next) {
        struct server *server = container_of(node, struct server, node);

        if (server->startup != waiter->startup &&
            (!oldest || server->state_since_us < oldest->state_since_us))
            oldest = server;
    }
    if (!oldest)
        return false;
    server_close(oldest, "it was opened with other startup parameters");
    return true;
}

bool pool_startup_refused(const struct server *server, const struct pool_failure *failure)
{
    /* No such value; no such parameter, or not allowed; not supported; not in a session. */
    static const char *const classes[] = {"22", "42", "0A", "55P02"};

    if (!server->startup || params_are_empty(server->startup))
        return false;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (strncmp(failure->sqlstate, classes[i], strlen(classes[i])) == 0)
            return true;
    return false;
}
