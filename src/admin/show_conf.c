/* SHOW DATABASES, USERS, PEERS, PEER_POOLS, CONFIG: what the settings say, and how much of their
 * limits is used. */
#include <stdio.h>
#include <string.h>

#include "show.h"
#include "state.h"

#define HOSTS_BYTES 1024

struct database_row {
    const char *name, *host, *database, *force_user, *pool_mode, *load_balance_hosts;
    int64_t port, size, size_min, size_reserve, lifetime_s, max_servers, servers, max_clients,
        clients;
    bool paused, disabled;
};

static void databases_columns(struct sheet *sheet, const void *of)
{
    const struct database_row *row = of;

    sheet_text(sheet, "name", row->name);
    sheet_text(sheet, "host", row->host);
    sheet_int4(sheet, "port", row->port);
    sheet_text(sheet, "database", row->database);
    sheet_text(sheet, "force_user", row->force_user);
    sheet_int4(sheet, "pool_size", row->size);
    sheet_int4(sheet, "min_pool_size", row->size_min);
    sheet_int4(sheet, "reserve_pool_size", row->size_reserve);
    sheet_int4(sheet, "server_lifetime", row->lifetime_s);
    sheet_text(sheet, "pool_mode", row->pool_mode);
    sheet_text(sheet, "load_balance_hosts", row->load_balance_hosts);
    sheet_int4(sheet, "max_connections", row->max_servers);
    sheet_int4(sheet, "current_connections", row->servers);
    sheet_int4(sheet, "max_client_connections", row->max_clients);
    sheet_int4(sheet, "current_client_connections", row->clients);
    sheet_int4(sheet, "paused", row->paused);
    sheet_int4(sheet, "disabled", row->disabled);
    /* An old name of reserve_pool_size, by which Debian's exporter asks. */
    sheet_int4(sheet, "reserve_pool", row->size_reserve);
}

/* The hosts with commas; NULL when there is none. */
static const char *hosts_text(const struct conf_list *hosts, char text[HOSTS_BYTES])
{
    size_t length = 0;

    for (size_t i = 0; i < hosts->count && length < HOSTS_BYTES; i++)
        length += (size_t)snprintf(text + length, HOSTS_BYTES - length, "%s%s", i ? "," : "",
                                   hosts->items[i]);
    return hosts->count ? text : NULL;
}

/* name: what clients ask for; the line may be `*`. */
static void database_row(struct sheet *sheet, const struct show_source *source, const char *name,
                         const struct conf_database *line)
{
    const struct conf *conf = admin_conf(source->admin);
    struct registry *registry = &source->admin->host.process->registry;
    struct usage *usage = registry_database(registry, name);
    char hosts[HOSTS_BYTES];
    struct database_row row = {
        .name = name,
        .host = hosts_text(&line->host, hosts),
        .port = line->port,
        .database = conf_database_dbname(line, name),
        .force_user = line->user,
        .size = conf_pool_size(conf, line, NULL),
        .size_min = conf_min_pool_size(conf, line),
        .size_reserve = conf_reserve_pool_size(conf, line, NULL),
        .lifetime_s = (int64_t)(conf_server_lifetime_us(conf, line) / US_PER_S),
        .pool_mode =
            line->pool_mode == CONF_UNSET ? NULL : pool_mode_name((enum pool_mode)line->pool_mode),
        .load_balance_hosts =
            line->load_balance_hosts == LOAD_BALANCE_HOSTS_DISABLE ? "disable" : "round-robin",
        .max_servers = conf_max_db_connections(conf, line),
        .servers = atomic_load(&usage->servers.used),
        .max_clients = conf_max_db_client_connections(conf, line),
        .clients = atomic_load(&usage->clients.used),
        .paused = atomic_load(&usage->paused),
        .disabled = atomic_load(&usage->disabled),
    };

    registry_usage_drop(registry, usage);
    show_row(sheet, databases_columns, &row);
}

/* Databases that exist only because the line `*` lets them. */
static void auto_row(void *context, const struct stats_row *stats)
{
    struct {
        struct sheet *sheet;
        const struct show_source *source;
    } *both = context;
    const struct conf_database *line =
        conf_find_database(admin_conf(both->source->admin), stats->database);

    if (line && strcmp(line->name, "*") == 0 && strcmp(stats->database, "pgbouncer") != 0 &&
        strcmp(stats->database, STATS_OTHERS) != 0)
        database_row(both->sheet, both->source, stats->database, line);
}

static void databases_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct conf *conf = admin_conf(source->admin);
    struct database_row console = {
        .name = "pgbouncer",
        .port = conf->listen_port,
        .database = "pgbouncer",
        .force_user = "pgbouncer",
        .size = 2,
        .pool_mode = "statement",
        .clients = (int64_t)source->admin->consoles.length,
    };
    struct {
        struct sheet *sheet;
        const struct show_source *source;
    } both = {sheet, source};

    for (size_t i = 0; i < conf->database_count; i++)
        if (strcmp(conf->databases[i]->name, "*") != 0)
            database_row(sheet, source, conf->databases[i]->name, conf->databases[i]);
    stats_each(&source->admin->stats, auto_row, &both);
    show_row(sheet, databases_columns, &console);
}

struct user_row {
    const char *name, *pool_mode;
    int64_t size, size_reserve, max_servers, servers, max_clients, clients;
};

static void users_columns(struct sheet *sheet, const void *of)
{
    const struct user_row *row = of;

    sheet_text(sheet, "name", row->name);
    sheet_int4(sheet, "pool_size", row->size == CONF_UNSET ? CELL_NULL : row->size);
    sheet_int4(sheet, "reserve_pool_size",
               row->size_reserve == CONF_UNSET ? CELL_NULL : row->size_reserve);
    sheet_text(sheet, "pool_mode", row->pool_mode);
    sheet_int4(sheet, "max_user_connections", row->max_servers);
    sheet_int4(sheet, "current_connections", row->servers);
    sheet_int4(sheet, "max_user_client_connections", row->max_clients);
    sheet_int4(sheet, "current_client_connections", row->clients);
}

static void users_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct conf *conf = admin_conf(source->admin);

    for (size_t i = 0; i < conf->user_count; i++) {
        const struct conf_user *user = conf->users[i];
        struct registry *registry = &source->admin->host.process->registry;
        struct usage *usage = registry_user(registry, user->name);
        struct user_row row = {
            .name = user->name,
            .size = user->pool_size,
            .size_reserve = user->reserve_pool_size,
            .pool_mode = user->pool_mode == CONF_UNSET
                             ? NULL
                             : pool_mode_name((enum pool_mode)user->pool_mode),
            .max_servers = conf_max_user_connections(conf, user),
            .servers = atomic_load(&usage->servers.used),
            .max_clients = conf_max_user_client_connections(conf, user),
            .clients = atomic_load(&usage->clients.used),
        };

        registry_usage_drop(registry, usage);
        show_row(sheet, users_columns, &row);
    }
}

static const struct conf_peer no_peer;

static void peers_columns(struct sheet *sheet, const void *of)
{
    const struct conf_peer *const *row = of;
    const struct conf_peer *peer = *row ? *row : &no_peer;

    sheet_int4(sheet, "peer_id", peer->id);
    sheet_text(sheet, "host", peer->host);
    sheet_int4(sheet, "port", peer->port);
    sheet_int4(sheet, "pool_size", peer->pool_size);
}

static void peers_rows(struct sheet *sheet, const struct show_source *source)
{
    const struct conf *conf = admin_conf(source->admin);

    for (size_t i = 0; i < conf->peer_count; i++)
        show_row(sheet, peers_columns, &conf->peers[i]);
}

static void peer_pools_columns(struct sheet *sheet, const void *of)
{
    sheet_int4(sheet, "peer_id", 0);
    sheet_int4(sheet, "cl_active_cancel_req", 0);
    sheet_int4(sheet, "cl_waiting_cancel_req", 0);
    sheet_int4(sheet, "sv_active_cancel", 0);
    sheet_int4(sheet, "sv_login", 0);
}

/* Cancel requests are not passed to peers, so there is no pool. */
static void peer_pools_rows(struct sheet *sheet, const struct show_source *source)
{
}

struct config_row {
    const char *key, *value, *standard;
    bool changeable;
};

static void config_columns(struct sheet *sheet, const void *of)
{
    const struct config_row *row = of;

    sheet_text(sheet, "key", row->key);
    sheet_text(sheet, "value", row->value);
    sheet_text(sheet, "default", row->standard);
    sheet_text(sheet, "changeable", row->changeable ? "yes" : "no");
}

static void config_row(void *sheet, const char *name, const char *value, const char *standard,
                       bool changeable)
{
    struct config_row row = {name, value, standard, changeable};

    show_row(sheet, config_columns, &row);
}

static void config_rows(struct sheet *sheet, const struct show_source *source)
{
    conf_each_setting(admin_conf(source->admin), config_row, sheet);
}

const struct show show_databases = {"databases", 0, false, databases_columns, databases_rows};
const struct show show_users = {"users", 0, false, users_columns, users_rows};
const struct show show_peers = {"peers", 0, false, peers_columns, peers_rows};
const struct show show_peer_pools = {"peer_pools", 0, false, peer_pools_columns, peer_pools_rows};
const struct show show_config = {"config", 0, false, config_columns, config_rows};
