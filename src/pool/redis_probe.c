/* Probes: whether a Redis server can be reached again after logins have failed. It is a question of
 * our own beside the clients' data, so it goes by hiredis and its libevent adapter, with nothing
 * but what hiredis 0.14 and 1.2 have in common. Any reply to PING will do: a server that is loading
 * or asks for a password is there, and what it says about that is for the next login. */
#include "redis_probe.h"

#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"
#include "sluice/pool/pool.h"

#define TIMEOUT_US (15 * US_PER_S) /* where the settings have none */

struct redis_probe {
    struct pool *pool;
    struct redisAsyncContext *context;  /* NULL: not connecting yet, or no more */
    struct resolver_question *question; /* under way, or NULL */
    struct timer timer;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    unsigned address_count, address;
    uint16_t port;
    char host[RESOLVER_NAME_BYTES];
};

static void probe_try_next(struct redis_probe *probe, const char *why);

void redis_probe_end(struct pool *pool)
{
    struct redis_probe *probe = pool->probe;
    struct redisAsyncContext *context;

    if (!probe)
        return;
    context = probe->context;
    if (context) {
        context->data = NULL;
        redisAsyncFree(context);
    }
    if (probe->question)
        probe->question->asker = NULL;
    timer_cancel(pool->pools->loop, &probe->timer);
    pool->probe = NULL;
    free(probe);
}

static void probe_fail(struct redis_probe *probe, const char *why)
{
    struct pool *pool = probe->pool;
    struct pool_failure failure;

    pool_failure_set(&failure, "08001", "connection to server at \"%s\", port %u failed: %s",
                     probe->host, probe->port, why);
    redis_probe_end(pool);
    pool_probed(pool, &failure);
}

static void probe_timed_out(struct timer *timer)
{
    probe_fail(container_of(timer, struct redis_probe, timer), "no reply in time");
}

/* The reply; NULL when the connection was lost or there was none: then hiredis frees the context
 * when this returns. */
static void probe_replied(struct redisAsyncContext *context, void *reply, void *data)
{
    struct redis_probe *probe = data;
    struct pool *pool;

    if (context->data != probe)
        return; /* it was given up */
    if (!reply) {
        char why[128];

        snprintf(why, sizeof(why), "%s", context->errstr ? context->errstr : "no reply");
        probe->context = NULL;
        probe_try_next(probe, why);
        return;
    }
    pool = probe->pool;
    redis_probe_end(pool);
    pool_probed(pool, NULL);
}

/* Takes over the context, which is NULL when there is no memory. */
static void probe_ask(struct redis_probe *probe, struct redisAsyncContext *context)
{
    if (context && context->err == 0 &&
        redisLibeventAttach(context, probe->pool->pools->loop->base) == REDIS_OK) {
        probe->context = context;
        context->data = probe;
        if (redisAsyncCommand(context, probe_replied, probe, "PING") == REDIS_OK)
            return;
    }
    probe->context = NULL;
    if (context) {
        char why[128];

        context->data = NULL;
        snprintf(why, sizeof(why), "%s", context->errstr ? context->errstr : "cannot connect");
        redisAsyncFree(context);
        probe_try_next(probe, why);
        return;
    }
    probe_fail(probe, "out of memory");
}

/* Asks the next address, if there is one left; why: what came of the one before. */
static void probe_try_next(struct redis_probe *probe, const char *why)
{
    char host[ADDRESS_TEXT_BYTES];

    if (probe->address == probe->address_count)
        probe_fail(probe, why);
    else
        probe_ask(probe, redisAsyncConnect(address_text(&probe->addresses[probe->address++], host),
                                           probe->port));
}

static void probe_resolved(struct resolver_question *question)
{
    struct redis_probe *probe = question->asker;

    if (probe) {
        probe->question = NULL;
        memcpy(probe->addresses, question->addresses, sizeof(probe->addresses));
        probe->address_count = question->count;
        probe_try_next(probe, question->error ? question->error : "no address");
    }
    free(question);
}

static void probe_resolve(struct redis_probe *probe)
{
    struct pools *pools = probe->pool->pools;
    struct resolver_question *question = memory_new(sizeof(*question));

    snprintf(question->name, sizeof(question->name), "%s", probe->host);
    question->asker = probe;
    question->done = probe_resolved;
    probe->question = question;
    resolver_ask(pools->resolver, question, pools->mailbox);
}

bool redis_probe_begin(struct pool *pool)
{
    struct redis_probe *probe;
    uint64_t timeout_us = pool->settings.connect_timeout_us;

    ensure(!pool->probe);
    if (!pool->redis || pool->redis->host[0] == '@')
        return false; /* gone; or an abstract socket, which hiredis does not know */
    probe = memory_new(sizeof(*probe));
    probe->pool = pool;
    probe->port = (uint16_t)pool->redis->port;
    probe->timer.expired = probe_timed_out;
    snprintf(probe->host, sizeof(probe->host), "%s", pool->redis->host);
    pool->probe = probe;
    timer_set(pool->pools->loop, &probe->timer,
              loop_now_us(pool->pools->loop) + (timeout_us ? timeout_us : TIMEOUT_US));
    if (probe->host[0] == '/') {
        probe_ask(probe, redisAsyncConnectUnix(probe->host));
    } else if (address_parse(probe->host, probe->port, &probe->addresses[0])) {
        probe->address_count = 1;
        probe_try_next(probe, NULL);
    } else {
        probe_resolve(probe);
    }
    return true;
}
