#include "sluice/pool/reach.h"

#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "sluice/base/memory.h"
#include "sluice/net/helper.h"

#define HOSTS_MAX 16
#define TIMEOUT_US (15 * US_PER_S) /* where the settings have none */

static atomic_uint under_way;

struct reach {
    struct helper helper;
    struct resolver *resolver;
    struct mailbox *mailbox;
    struct resolver_question *question; /* under way, or NULL */
    bool helping;                       /* the helper has it */
    void (*done)(void *owner, bool reached);
    void *owner;
    bool redis, reached;
    uint64_t timeout_us;
    uint16_t port;
    char *service;
    char *hosts[HOSTS_MAX];
    unsigned host_count, next_host;
    const char *host; /* that is being asked at; "": the service says where */
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    unsigned address_count; /* of it; 0: it is a path, or "" */
};

struct reach_target reach_target_of_database(const struct conf *conf,
                                             const struct conf_database *database)
{
    bool service = database->service && database->service[0];

    return (struct reach_target){
        .hosts = service ? database->host : conf_database_hosts(conf, database),
        .port = (uint16_t)database->port,
        .service = service ? database->service : NULL,
        .timeout_us = conf->server_connect_timeout_us,
    };
}

struct reach_target reach_target_of_redis(const struct conf_redis *line)
{
    return (struct reach_target){
        .redis = true,
        .hosts = {.items = &line->host, .count = 1},
        .port = (uint16_t)line->port,
        .timeout_us = line->connect_timeout_us,
    };
}

static void reach_free(struct reach *reach)
{
    for (unsigned i = 0; i < reach->host_count; i++)
        free(reach->hosts[i]);
    free(reach->service);
    free(reach);
    atomic_fetch_sub(&under_way, 1);
}

/* --- on the helper's thread --- */

/* host: an address, a path, or "" where a service says it. libpq takes no notice of what is "". */
static bool ping_postgres(const struct reach *reach, const char *host)
{
    static const char *const keywords[] = {"host",       "port",    "service", "connect_timeout",
                                           "gssencmode", "sslmode", "dbname",  NULL};
    char port[8] = "", timeout[24];
    const char *const values[] = {host,      port,     reach->service, timeout,
                                  "disable", "prefer", "postgres",     NULL};

    if (!reach->service[0] || reach->port != 5432)
        snprintf(port, sizeof(port), "%u", reach->port);
    snprintf(timeout, sizeof(timeout), "%llu",
             (unsigned long long)((reach->timeout_us + US_PER_S - 1) / US_PER_S));
    return PQpingParams(keywords, values, 0) == PQPING_OK;
}

static bool ping_redis(const struct reach *reach, const char *host)
{
    struct timeval timeout = {.tv_sec = (time_t)(reach->timeout_us / US_PER_S),
                              .tv_usec = (suseconds_t)(reach->timeout_us % US_PER_S)};
    redisContext *context = host[0] == '/' ? redisConnectUnixWithTimeout(host, timeout)
                                           : redisConnectWithTimeout(host, reach->port, timeout);
    void *reply = NULL;

    if (context && context->err == 0 && redisSetTimeout(context, timeout) == REDIS_OK)
        reply = redisCommand(context, "PING");
    if (reply)
        freeReplyObject(reply);
    if (context)
        redisFree(context);
    return reply != NULL;
}

static bool ping(const struct reach *reach, const char *host)
{
    return reach->redis ? ping_redis(reach, host) : ping_postgres(reach, host);
}

static void reach_run(struct helper *helper)
{
    struct reach *reach = container_of(helper, struct reach, helper);
    char text[ADDRESS_TEXT_BYTES];

    if (reach->address_count == 0)
        reach->reached = ping(reach, reach->host);
    for (unsigned i = 0; i < reach->address_count && !reach->reached; i++)
        if (!helper_abandoned(helper))
            reach->reached = ping(reach, address_text(&reach->addresses[i], text));
}

/* --- on the asker's --- */

static bool reach_try_next(struct reach *reach);

static void reach_over(struct reach *reach)
{
    reach->done(reach->owner, reach->reached);
    reach_free(reach);
}

static void reach_answered(struct helper *helper)
{
    struct reach *reach = container_of(helper, struct reach, helper);

    reach->helping = false;
    if (reach->reached || !reach_try_next(reach))
        reach_over(reach);
}

static void reach_discard(struct helper *helper)
{
    reach_free(container_of(helper, struct reach, helper));
}

/* False: there can be no thread. */
static bool reach_help(struct reach *reach)
{
    reach->helper.run = reach_run;
    reach->helper.done = reach_answered;
    reach->helper.discard = reach_discard;
    return reach->helping = helper_start(&reach->helper, reach->mailbox);
}

static void reach_resolved(struct resolver_question *question)
{
    struct reach *reach = question->asker;

    if (reach) {
        reach->question = NULL;
        memcpy(reach->addresses, question->addresses, sizeof(reach->addresses));
        reach->address_count = question->count;
        if (question->count > 0 ? !reach_help(reach) : !reach_try_next(reach))
            reach_over(reach);
    }
    free(question);
}

static void reach_resolve(struct reach *reach)
{
    struct resolver_question *question = memory_new(sizeof(*question));

    snprintf(question->name, sizeof(question->name), "%s", reach->host);
    question->asker = reach;
    question->done = reach_resolved;
    reach->question = question;
    resolver_ask(reach->resolver, question, reach->mailbox);
}

/* Asks at the next host. False: there is none left. */
static bool reach_try_next(struct reach *reach)
{
    if (reach->next_host == reach->host_count)
        return false;
    reach->host = reach->hosts[reach->next_host++];
    reach->address_count = 0;
    if (!reach->host[0] || reach->host[0] == '/' || reach->host[0] == '@')
        return reach_help(reach);
    if (address_parse(reach->host, reach->port, &reach->addresses[0])) {
        reach->address_count = 1;
        return reach_help(reach);
    }
    reach_resolve(reach);
    return true;
}

struct reach *reach_begin(const struct reach_target *target, struct resolver *resolver,
                          struct mailbox *mailbox, void (*done)(void *owner, bool reached),
                          void *owner)
{
    const char *service = target->service ? target->service : "";
    struct reach *reach;

    if (atomic_fetch_add(&under_way, 1) >= REACH_MAX) {
        atomic_fetch_sub(&under_way, 1);
        return NULL;
    }
    reach = memory_new(sizeof(*reach));
    reach->resolver = resolver;
    reach->mailbox = mailbox;
    reach->done = done;
    reach->owner = owner;
    reach->redis = target->redis;
    reach->timeout_us = target->timeout_us ? target->timeout_us : TIMEOUT_US;
    reach->port = target->port;
    reach->service = memory_text(service, strlen(service));
    for (size_t i = 0; i < target->hosts.count && i < HOSTS_MAX; i++)
        reach->hosts[reach->host_count++] =
            memory_text(target->hosts.items[i], strlen(target->hosts.items[i]));
    if (reach->host_count == 0) /* the service says it */
        reach->hosts[reach->host_count++] = memory_text("", 0);
    if (reach_try_next(reach))
        return reach;
    reach_free(reach);
    return NULL;
}

void reach_end(struct reach *reach)
{
    if (reach->helping) {
        helper_abandon(&reach->helper);
        return;
    }
    if (reach->question)
        reach->question->asker = NULL;
    reach_free(reach);
}
