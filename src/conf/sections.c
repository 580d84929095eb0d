#include "sluice/conf/sections.h"

#include <stdio.h>

#include "conf/store.h"
#include "conf/value.h"

#define PRIORITY_DEFAULT 5

/* ---- finding ---- */

const struct conf_database *conf_find_database(const struct conf *conf, const char *name)
{
    const struct names *names = &conf->store->names[CONF_DATABASES];
    const struct conf_database *database = names_find(names, name);

    return database ? database : names_find(names, "*");
}

const struct conf_user *conf_find_user(const struct conf *conf, const char *name)
{
    return names_find(&conf->store->names[CONF_USERS], name);
}

const struct conf_redis *conf_find_redis(const struct conf *conf, const char *name)
{
    return names_find(&conf->store->names[CONF_REDIS], name);
}

const struct conf_peer *conf_find_peer(const struct conf *conf, unsigned id)
{
    char name[24];

    snprintf(name, sizeof(name), "%u", id);
    return names_find(&conf->store->names[CONF_PEERS], name);
}

/* ---- comparing ---- */

static bool same_server(enum conf_section section, const void *before, const void *after)
{
    const struct conf_table *table = &conf_tables[section];

    if (!before || !after)
        return false;
    for (size_t i = 0; i < table->row_count; i++)
        if (table->rows[i].change == CONF_RECONNECT && !value_equal(&table->rows[i], before, after))
            return false;
    return true;
}

bool conf_database_same_server(const struct conf_database *before,
                               const struct conf_database *after)
{
    return same_server(CONF_DATABASES, before, after);
}

bool conf_redis_same_server(const struct conf_redis *before, const struct conf_redis *after)
{
    return same_server(CONF_REDIS, before, after);
}

/* ---- deciding ---- */

const char *conf_database_dbname(const struct conf_database *database, const char *asked)
{
    return database && database->dbname ? database->dbname : asked;
}

struct conf_list conf_database_hosts(const struct conf *conf, const struct conf_database *database)
{
    bool none = conf->unix_socket_dir[0] == '\0';

    if (database && database->host.count > 0)
        return database->host;
    return (struct conf_list){.items = &conf->unix_socket_dir, .count = none ? 0 : 1};
}

/* The first that is set: the user's, the database's, the general one. */
static int64_t decide(int64_t user, int64_t database, int64_t general)
{
    if (user != CONF_UNSET)
        return user;
    return database != CONF_UNSET ? database : general;
}

static uint64_t decide_us(uint64_t user_us, uint64_t database_us, uint64_t general_us)
{
    if (user_us != CONF_UNSET_US)
        return user_us;
    return database_us != CONF_UNSET_US ? database_us : general_us;
}

#define OF(line, member) ((line) ? (line)->member : CONF_UNSET)
#define OF_US(line, member) ((line) ? (line)->member : CONF_UNSET_US)

enum pool_mode conf_pool_mode(const struct conf *conf, const struct conf_database *database,
                              const struct conf_user *user)
{
    return (enum pool_mode)decide(OF(user, pool_mode), OF(database, pool_mode), conf->pool_mode);
}

int64_t conf_pool_size(const struct conf *conf, const struct conf_database *database,
                       const struct conf_user *user)
{
    return decide(OF(user, pool_size), OF(database, pool_size), conf->default_pool_size);
}

int64_t conf_min_pool_size(const struct conf *conf, const struct conf_database *database)
{
    return decide(CONF_UNSET, OF(database, min_pool_size), conf->min_pool_size);
}

int64_t conf_reserve_pool_size(const struct conf *conf, const struct conf_database *database,
                               const struct conf_user *user)
{
    return decide(OF(user, reserve_pool_size), OF(database, reserve_pool_size),
                  conf->reserve_pool_size);
}

int64_t conf_max_db_connections(const struct conf *conf, const struct conf_database *database)
{
    return decide(CONF_UNSET, OF(database, max_db_connections), conf->max_db_connections);
}

int64_t conf_max_db_client_connections(const struct conf *conf,
                                       const struct conf_database *database)
{
    return decide(CONF_UNSET, OF(database, max_db_client_connections),
                  conf->max_db_client_connections);
}

int64_t conf_max_user_connections(const struct conf *conf, const struct conf_user *user)
{
    return decide(OF(user, max_user_connections), CONF_UNSET, conf->max_user_connections);
}

int64_t conf_max_user_client_connections(const struct conf *conf, const struct conf_user *user)
{
    return decide(OF(user, max_user_client_connections), CONF_UNSET,
                  conf->max_user_client_connections);
}

int64_t conf_max_waiting(const struct conf *conf, const struct conf_database *database,
                         const struct conf_user *user)
{
    return decide(OF(user, max_waiting), OF(database, max_waiting), conf->max_waiting);
}

int64_t conf_priority(const struct conf_database *database, const struct conf_user *user)
{
    return decide(OF(user, priority), OF(database, priority), PRIORITY_DEFAULT);
}

uint64_t conf_server_lifetime_us(const struct conf *conf, const struct conf_database *database)
{
    return decide_us(CONF_UNSET_US, OF_US(database, server_lifetime_us), conf->server_lifetime_us);
}

uint64_t conf_query_wait_timeout_us(const struct conf *conf, const struct conf_database *database,
                                    const struct conf_user *user)
{
    return decide_us(OF_US(user, query_wait_timeout_us), OF_US(database, query_wait_timeout_us),
                     conf->query_wait_timeout_us);
}

uint64_t conf_query_timeout_us(const struct conf *conf, const struct conf_user *user)
{
    return decide_us(OF_US(user, query_timeout_us), CONF_UNSET_US, conf->query_timeout_us);
}

uint64_t conf_transaction_timeout_us(const struct conf *conf, const struct conf_user *user)
{
    return decide_us(OF_US(user, transaction_timeout_us), CONF_UNSET_US,
                     conf->transaction_timeout_us);
}

uint64_t conf_idle_transaction_timeout_us(const struct conf *conf, const struct conf_user *user)
{
    return decide_us(OF_US(user, idle_transaction_timeout_us), CONF_UNSET_US,
                     conf->idle_transaction_timeout_us);
}

uint64_t conf_client_idle_timeout_us(const struct conf *conf, const struct conf_user *user)
{
    return decide_us(OF_US(user, client_idle_timeout_us), CONF_UNSET_US,
                     conf->client_idle_timeout_us);
}

const char *conf_auth_user(const struct conf *conf, const struct conf_database *database)
{
    return database && database->auth_user ? database->auth_user : conf->auth_user;
}

const char *conf_auth_query(const struct conf *conf, const struct conf_database *database)
{
    return database && database->auth_query ? database->auth_query : conf->auth_query;
}

const char *conf_auth_dbname(const struct conf *conf, const struct conf_database *database)
{
    return database && database->auth_dbname ? database->auth_dbname : conf->auth_dbname;
}

enum batch_lookups conf_batch_lookups(const struct conf *conf, const struct conf_database *database)
{
    return (enum batch_lookups)decide(CONF_UNSET, OF(database, batch_lookups), conf->batch_lookups);
}

int64_t conf_multiplex(const struct conf *conf, const struct conf_database *database)
{
    return decide(CONF_UNSET, OF(database, multiplex), conf->multiplex);
}
