/* The gauges of /metrics: the process, its pools, and those of Redis, as they are now. */
#include <string.h>

#include "metrics.h"
#include "state.h"

enum gauge { GAUGE_CLIENTS, GAUGE_SERVERS, GAUGE_SIZE, GAUGE_WAIT, GAUGE_COUNT };

/* Which gauge is being written: all pools have to follow one head. */
struct gauge_page {
    FILE *page;
    enum gauge gauge;
    struct pool_row others; /* pools without labels of their own, added up */
};

struct state_count {
    const char *state;
    int64_t count;
};

static void put_states(FILE *page, const char *name, const struct metrics_labels *labels,
                       const struct state_count *states, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct metrics_labels with = *labels;

        metrics_labels_add(&with, "state", states[i].state);
        metrics_count(page, name, with.text, states[i].count);
    }
}

/* --- PostgreSQL --- */

static void put_pool(FILE *page, enum gauge gauge, const struct pool_row *row)
{
    const struct state_count clients[] = {
        {"active", row->clients - row->waiting},
        {"waiting", row->waiting},
    };
    const struct state_count servers[] = {
        {"active", row->active}, {"idle", row->idle},   {"used", row->used},
        {"tested", row->tested}, {"login", row->login}, {"being_canceled", row->draining},
    };
    struct metrics_labels labels;

    metrics_labels_init(&labels);
    metrics_labels_add(&labels, "database", row->database);
    metrics_labels_add(&labels, "user", row->user);
    switch (gauge) {
    case GAUGE_CLIENTS:
        put_states(page, "pool_clients", &labels, clients, sizeof(clients) / sizeof(clients[0]));
        break;
    case GAUGE_SERVERS:
        put_states(page, "pool_servers", &labels, servers, sizeof(servers) / sizeof(servers[0]));
        break;
    case GAUGE_SIZE:
        metrics_count(page, "pool_servers_max", labels.text, row->size);
        break;
    case GAUGE_WAIT:
        metrics_seconds(page, "pool_wait_seconds_max", labels.text, row->maxwait_us);
        break;
    case GAUGE_COUNT:
        break;
    }
}

static void gauge_pool(void *context, const struct pool_row *row)
{
    struct gauge_page *at = context;
    struct pool_row *others = &at->others;

    if (row->labelled) {
        put_pool(at->page, at->gauge, row);
        return;
    }
    others->database = others->user = STATS_OTHERS;
    others->clients += row->clients;
    others->waiting += row->waiting;
    others->active += row->active;
    others->draining += row->draining;
    others->idle += row->idle;
    others->used += row->used;
    others->tested += row->tested;
    others->login += row->login;
    others->size += row->size;
    if (row->maxwait_us > others->maxwait_us)
        others->maxwait_us = row->maxwait_us;
}

/* --- Redis: the pools of a line together, since its clients make them as they like --- */

static void put_line(FILE *page, enum gauge gauge, const struct redis_line_row *row)
{
    const struct state_count clients[] = {
        {"active", row->clients - row->waiting},
        {"waiting", row->waiting},
    };
    const struct state_count servers[] = {
        {"shared", row->shared}, {"leased", row->leased}, {"idle", row->idle},
        {"tested", row->tested}, {"login", row->login},
    };
    struct metrics_labels labels;

    metrics_labels_init(&labels);
    metrics_labels_add(&labels, "pool", row->line);
    switch (gauge) {
    case GAUGE_CLIENTS:
        put_states(page, "redis_pool_clients", &labels, clients,
                   sizeof(clients) / sizeof(clients[0]));
        break;
    case GAUGE_SERVERS:
        put_states(page, "redis_pool_servers", &labels, servers,
                   sizeof(servers) / sizeof(servers[0]));
        break;
    case GAUGE_SIZE:
        metrics_count(page, "redis_pool_servers_max", labels.text, row->size + row->size_apart);
        break;
    case GAUGE_WAIT:
        metrics_seconds(page, "redis_pool_wait_seconds_max", labels.text, row->maxwait_us);
        break;
    case GAUGE_COUNT:
        break;
    }
}

static void gauge_line(void *context, const struct redis_line_row *row)
{
    struct gauge_page *at = context;

    put_line(at->page, at->gauge, row);
}

static void put_gauges(FILE *page, const struct show_source *source)
{
    static const struct {
        const char *name, *help, *redis_name, *redis_help;
    } heads[GAUGE_COUNT] = {
        [GAUGE_CLIENTS] = {"pool_clients", "Clients of a pool by state", "redis_pool_clients",
                           "Clients of a line of [redis] by state"},
        [GAUGE_SERVERS] = {"pool_servers", "Servers of a pool by state", "redis_pool_servers",
                           "Servers of a line of [redis] by state"},
        [GAUGE_SIZE] = {"pool_servers_max", "Servers that a pool may have (pool_size)",
                        "redis_pool_servers_max",
                        "Servers that a line of [redis] may have (pool_size, blocking_pool_size)"},
        [GAUGE_WAIT] = {"pool_wait_seconds_max", "How long the first in the queue waits",
                        "redis_pool_wait_seconds_max", "How long the first in the queue waits"},
    };

    for (enum gauge gauge = 0; gauge < GAUGE_COUNT; gauge++) {
        struct gauge_page at = {.page = page, .gauge = gauge};

        metrics_head(page, heads[gauge].name, "gauge", heads[gauge].help);
        pool_rows_each(source, gauge_pool, &at);
        if (at.others.database)
            put_pool(page, gauge, &at.others);
        metrics_head(page, heads[gauge].redis_name, "gauge", heads[gauge].redis_help);
        redis_lines_each(source, gauge_line, &at);
    }
}

void page_gauges(FILE *page, const struct show_source *source)
{
    const struct admin *admin = source->admin;
    struct metrics_labels version;

    metrics_labels_init(&version);
    metrics_labels_add(&version, "version", SLUICE_VERSION);
    metrics_head(page, "build_info", "gauge", "Always 1; the version is a label");
    metrics_count(page, "build_info", version.text, 1);
    metrics_head(page, "uptime_seconds", "gauge", "Time since the process started");
    metrics_seconds(page, "uptime_seconds", "", source->survey->now_us - admin->started_us);
    metrics_head(page, "paused", "gauge", "1 while everything is paused or suspended");
    metrics_count(page, "paused", "", admin->paused || admin->suspended);
    metrics_head(page, "clients", "gauge",
                 "Clients of all pools, of Redis too, and those that log in");
    metrics_count(page, "clients", "", atomic_load(&admin->host.process->registry.clients.used));
    metrics_head(page, "clients_max", "gauge", "Clients that are let in (max_client_conn)");
    metrics_count(page, "clients_max", "", admin_conf(admin)->max_client_conn);
    put_gauges(page, source);
}
