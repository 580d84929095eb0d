/* SHOW LISTS, MEM, STATE, VERSION, DNS_HOSTS, DNS_ZONES: the process as a whole. */
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "show.h"
#include "sluice/net/resolver.h"
#include "sluice/pool/pg_server.h"
#include "state.h"

/* --- LISTS --- */

struct list_row {
    const char *list;
    int64_t items;
};

static void lists_columns(struct sheet *sheet, const void *of)
{
    const struct list_row *row = of;

    sheet_text(sheet, "list", row->list);
    sheet_int4(sheet, "items", row->items);
}

static void name_count(void *context, const char *name, long ttl_s, const struct address *addresses,
                       unsigned count)
{
    ++*(int64_t *)context;
}

struct sums {
    int64_t pools, clients, logins, servers;
};

static void pool_count(void *context, const struct pool_row *row)
{
    ++*(int64_t *)context;
}

static struct sums survey_sums(const struct show_source *source)
{
    const struct survey *survey = source->survey;
    struct sums sums = {.clients = (int64_t)source->admin->consoles.length};

    pool_rows_each(source, pool_count, &sums.pools);
    for (unsigned i = 0; i < survey->part_count; i++) {
        const struct survey_part *part = &survey->parts[i];

        sums.logins += (int64_t)part->login_clients;
        for (size_t j = 0; j < part->pool_count; j++) {
            sums.clients += (int64_t)part->pools[j].clients;
            for (unsigned state = 0; state < SERVER_STATE_COUNT; state++)
                sums.servers += (int64_t)part->pools[j].servers[state];
        }
    }
    return sums;
}

static void lists_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct conf *conf = admin_conf(source->admin);
    struct resolver *resolver = source->admin->host.process->resolver;
    struct sums sums = survey_sums(source);
    int64_t names = 0;

    resolver_each(resolver, name_count, &names);
    {
        const struct list_row lists[] = {
            {"databases", (int64_t)conf->database_count + 1},
            {"users", (int64_t)conf->user_count},
            {"peers", (int64_t)conf->peer_count},
            {"pools", sums.pools},
            {"peer_pools", 0},   /* cancel requests are not passed to peers */
            {"free_clients", 0}, /* memory goes back at once */
            {"used_clients", sums.clients},
            {"login_clients", sums.logins},
            {"free_servers", 0},
            {"used_servers", sums.servers},
            {"dns_names", names},
            {"dns_zones", 0},
            {"dns_queries", resolver_asking(resolver)},
            {"dns_pending", 0}, /* no query waits for another */
        };

        for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
            show_row(sheet, lists_columns, &lists[i]);
    }
}

/* --- MEM --- */

struct mem_row {
    const char *name;
    int64_t size, used, free;
};

static void mem_columns(struct sheet *sheet, const void *of)
{
    const struct mem_row *row = of;

    sheet_text(sheet, "name", row->name);
    sheet_int4(sheet, "size", row->size);
    sheet_int4(sheet, "used", row->used);
    sheet_int4(sheet, "free", row->free);
    sheet_int8(sheet, "memtotal", row->size * (row->used + row->free));
}

static void mem_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct survey *survey = source->survey;
    struct sums sums = survey_sums(source);
    struct mem_row rows[] = {
        {"client_cache", (int64_t)survey_client_bytes(), sums.clients, 0},
        {"server_cache", (int64_t)sizeof(struct pg_server), sums.servers, 0},
        {"pool_cache", (int64_t)sizeof(struct pool), sums.pools, 0},
        {"iobuf_cache_1k", 1 << 10, 0, 0},
        {"iobuf_cache_4k", 1 << 12, 0, 0},
        {"iobuf_cache_16k", 1 << 14, 0, 0},
        {"iobuf_cache_64k", 1 << 16, 0, 0},
    };

    for (unsigned i = 0; i < survey->part_count; i++)
        for (unsigned class = 0; class < BUFFER_CLASSES; class ++)
            rows[3 + class].free += survey->parts[i].free_blocks[class];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        show_row(sheet, mem_columns, &rows[i]);
}

/* --- STATE, VERSION --- */

struct state_row {
    const char *key, *value;
};

static void state_columns(struct sheet *sheet, const void *of)
{
    const struct state_row *row = of;

    sheet_text(sheet, "key", row->key);
    sheet_text(sheet, "value", row->value);
}

static void state_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct admin *admin = source->admin;
    const struct state_row rows[] = {
        {"active", admin->paused || admin->suspended ? "no" : "yes"},
        {"paused", admin->paused ? "yes" : "no"},
        {"suspended", admin->suspended ? "yes" : "no"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        show_row(sheet, state_columns, &rows[i]);
}

static void version_columns(struct sheet *sheet, const void *of)
{
    sheet_text(sheet, "version", CONSOLE_VERSION);
}

static void version_rows(struct sheet *sheet, const struct show_source *source)
{
    show_row(sheet, version_columns, NULL);
}

/* --- DNS --- */

struct dns_row {
    const char *name;
    int64_t ttl_s;
    char addresses[RESOLVER_ADDRESSES_MAX * ADDRESS_TEXT_BYTES];
};

static void dns_hosts_columns(struct sheet *sheet, const void *of)
{
    const struct dns_row *row = of;

    sheet_text(sheet, "hostname", row->name);
    sheet_int8(sheet, "ttl", row->ttl_s);
    sheet_text(sheet, "addrs", row->addresses);
}

static void dns_host_row(void *sheet, const char *name, long ttl_s, const struct address *addresses,
                         unsigned count)
{
    struct dns_row row = {.name = name, .ttl_s = ttl_s > 0 ? ttl_s : 0};
    size_t length = 0;

    for (unsigned i = 0; i < count && length < sizeof(row.addresses); i++) {
        char text[ADDRESS_TEXT_BYTES];

        length += (size_t)snprintf(row.addresses + length, sizeof(row.addresses) - length, "%s%s",
                                   i ? "," : "", address_text(&addresses[i], text));
    }
    show_row(sheet, dns_hosts_columns, &row);
}

static void dns_hosts_rows(struct sheet *sheet, const struct show_source *source)
{
    resolver_each(source->admin->host.process->resolver, dns_host_row, sheet);
}

static void dns_zones_columns(struct sheet *sheet, const void *of)
{
    sheet_text(sheet, "zonename", NULL);
    sheet_int8(sheet, "serial", 0);
    sheet_int4(sheet, "count", 0);
}

/* Serial numbers of zones are not polled (dns_zone_check_period). */
static void dns_zones_rows(struct sheet *sheet, const struct show_source *source)
{
}

const struct show show_lists = {"lists", SURVEY_POOLS, false, lists_columns, lists_rows};
const struct show show_mem = {"mem", SURVEY_POOLS, false, mem_columns, mem_rows};
const struct show show_state = {"state", 0, false, state_columns, state_rows};
const struct show show_version = {"version", 0, false, version_columns, version_rows};
const struct show show_dns_hosts = {"dns_hosts", 0, false, dns_hosts_columns, dns_hosts_rows};
const struct show show_dns_zones = {"dns_zones", 0, false, dns_zones_columns, dns_zones_rows};
