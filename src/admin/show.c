#include "show.h"

#include <strings.h>

#define ROW_BYTES_MAX 2048

const struct show *const shows[] = {
    &show_active_sockets,
    &show_clients,
    &show_config,
    &show_databases,
    &show_dns_hosts,
    &show_dns_zones,
    &show_fds,
    &show_latency,
    &show_lists,
    &show_lookups,
    &show_mem,
    &show_multiplex,
    &show_peer_pools,
    &show_peers,
    &show_pinned,
    &show_pools,
    &show_redis_clients,
    &show_redis_pools,
    &show_redis_servers,
    &show_redis_stats,
    &show_servers,
    &show_sockets,
    &show_state,
    &show_statements,
    &show_stats,
    &show_stats_averages,
    &show_stats_totals,
    &show_totals,
    &show_users,
    &show_version,
    NULL,
};

const struct show *show_find(const char *name)
{
    for (const struct show *const *show = shows; *show; show++)
        if (strcasecmp((*show)->name, name) == 0)
            return *show;
    return NULL;
}

void show_describe(const struct show *show, struct sheet *sheet)
{
    static const uint64_t nothing[ROW_BYTES_MAX / sizeof(uint64_t)];

    show->columns(sheet, nothing);
}
