/* show: the tables of the console, one const struct each; also the arrays of /stats.json. A table
 * has one function that names its columns (sheet.h) and one that walks its rows. Main thread. */
#ifndef SLUICE_ADMIN_SHOW_H
#define SLUICE_ADMIN_SHOW_H

#include "sheet.h"
#include "sluice/admin/admin.h"
#include "sluice/proxy/survey.h"

/* Where rows come from. */
struct show_source {
    struct admin *admin;
    const struct survey *survey; /* when the table asks for one */
    uint64_t after;              /* /history.json: the last step that the reader has */
};

struct show {
    const char *name;
    unsigned survey; /* SURVEY_ bits that its rows need; 0 = none */
    bool admin;      /* for admin_users only */
    /* Names the columns of the row; one that is all zero bytes describes the table. */
    void (*columns)(struct sheet *sheet, const void *row);
    void (*rows)(struct sheet *sheet, const struct show_source *source);
};

/* All, ended by one without a name. */
extern const struct show *const shows[];

const struct show *show_find(const char *name);

/* Leaves the columns in the sheet, without a row. */
void show_describe(const struct show *show, struct sheet *sheet);

/* Makes one row. */
static inline void show_row(struct sheet *sheet,
                            void (*columns)(struct sheet *sheet, const void *row), const void *row)
{
    columns(sheet, row);
    sheet_end(sheet);
}

/* A pool over all its workers, as SHOW POOLS has it. */
struct pool_row {
    const char *database, *user;
    bool labelled; /* in metrics; registry.h */
    enum pool_mode mode;
    const char *load_balance_hosts;
    int64_t clients, waiting;
    int64_t active, draining, idle, used, tested, login, cancelling;
    int64_t size;
    uint64_t maxwait_us;
};

/* Calls each for every pool of the survey, by name. */
void pool_rows_each(const struct show_source *source,
                    void (*each)(void *context, const struct pool_row *row), void *context);

/* A pool of [redis] over all its workers. */
struct redis_pool_row {
    const struct survey_pool *pool; /* one of its parts: what is the same for all */
    int64_t clients, waiting, shared, leased, idle, tested, login;
    uint64_t maxwait_us;
};

void redis_pool_rows_each(const struct show_source *source,
                          void (*each)(void *context, const struct redis_pool_row *row),
                          void *context);

/* A line of [redis]: all its pools together. */
struct redis_line_row {
    const char *line;
    int64_t clients, waiting, shared, leased, idle, tested, login;
    int64_t size, size_apart; /* pool_size, blocking_pool_size */
    uint64_t maxwait_us;
};

void redis_lines_each(const struct show_source *source,
                      void (*each)(void *context, const struct redis_line_row *row), void *context);

const char *pool_mode_name(enum pool_mode mode);

extern const struct show show_pools, show_clients, show_servers, show_sockets, show_active_sockets,
    show_fds, show_databases, show_users, show_peers, show_peer_pools, show_config, show_lists,
    show_mem, show_state, show_version, show_dns_hosts, show_dns_zones, show_stats,
    show_stats_totals, show_stats_averages, show_totals, show_latency, show_redis_pools,
    show_redis_clients, show_redis_servers, show_redis_stats, show_statements, show_pinned,
    show_lookups, show_multiplex;

#endif
