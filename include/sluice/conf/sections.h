/* sections: what the lines of [databases], [users], [peers], [redis] and [lookups] say, and the
 * helpers that decide between a user's, a database's and the general setting. Part of a snapshot:
 * constant, lives as long as it, any thread. Members are made from sections.def as conf.h says.
 * In struct conf_database and conf_user a setting that the line leaves out is unset and falls back
 * to [sluice]: ask the helpers below. The other three are complete: nothing in them is unset. */
#ifndef SLUICE_CONF_SECTIONS_H
#define SLUICE_CONF_SECTIONS_H

#include "sluice/conf/conf.h"

struct conf_database {
    const char *name; /* "*" is the fallback */
#define DATABASE(type, member, ...) CONF_MEMBER_##type(member)
#include "sluice/conf/sections.def"
};

struct conf_user {
    const char *name;
    const char *secret; /* of auth_file: plain, md5..., SCRAM-SHA-256$...; NULL: not in auth_file */
#define USER(type, member, ...) CONF_MEMBER_##type(member)
#include "sluice/conf/sections.def"
};

struct conf_peer {
    const char *name;
    unsigned id; /* 1 .. 16383 */
#define PEER(type, member, ...) CONF_MEMBER_##type(member)
#include "sluice/conf/sections.def"
};

struct conf_redis {
    const char *name;
#define REDIS(type, member, ...) CONF_MEMBER_##type(member)
#include "sluice/conf/sections.def"
};

struct conf_lookup {
    const char *name;
#define LOOKUP(type, member, ...) CONF_MEMBER_##type(member)
#include "sluice/conf/sections.def"
};

/* The line of this name; for databases else the line `*`. NULL: none. Constant time. */
const struct conf_database *conf_find_database(const struct conf *conf, const char *name);
const struct conf_user *conf_find_user(const struct conf *conf, const char *name);
const struct conf_redis *conf_find_redis(const struct conf *conf, const char *name);
const struct conf_peer *conf_find_peer(const struct conf *conf, unsigned id);

/* True if servers opened for `before` may serve `after`: no RECONNECT key differs. With NULL for
 * either, false. The unix_socket_dir that stands in for a missing host needs a restart anyway. */
bool conf_database_same_server(const struct conf_database *before,
                               const struct conf_database *after);
bool conf_redis_same_server(const struct conf_redis *before, const struct conf_redis *after);

/* The name to ask the server for, when a client asked for `asked`. */
const char *conf_database_dbname(const struct conf_database *database, const char *asked);

/* Where its servers are: host, or unix_socket_dir when there is none. Empty if that is empty too.
 */
struct conf_list conf_database_hosts(const struct conf *conf, const struct conf_database *database);

/* Below: database and user may be NULL (then the others decide). The user's setting goes before the
 * database's, that before the general one. `user` is the one who logs in to the server. */
enum pool_mode conf_pool_mode(const struct conf *conf, const struct conf_database *database,
                              const struct conf_user *user);
int64_t conf_pool_size(const struct conf *conf, const struct conf_database *database,
                       const struct conf_user *user);
int64_t conf_min_pool_size(const struct conf *conf, const struct conf_database *database);
int64_t conf_reserve_pool_size(const struct conf *conf, const struct conf_database *database,
                               const struct conf_user *user);
int64_t conf_max_db_connections(const struct conf *conf, const struct conf_database *database);
int64_t conf_max_db_client_connections(const struct conf *conf,
                                       const struct conf_database *database);
int64_t conf_max_user_connections(const struct conf *conf, const struct conf_user *user);
int64_t conf_max_user_client_connections(const struct conf *conf, const struct conf_user *user);
int64_t conf_max_waiting(const struct conf *conf, const struct conf_database *database,
                         const struct conf_user *user);
int64_t conf_priority(const struct conf_database *database, const struct conf_user *user);
uint64_t conf_server_lifetime_us(const struct conf *conf, const struct conf_database *database);
uint64_t conf_query_wait_timeout_us(const struct conf *conf, const struct conf_database *database,
                                    const struct conf_user *user);
uint64_t conf_query_timeout_us(const struct conf *conf, const struct conf_user *user);
uint64_t conf_transaction_timeout_us(const struct conf *conf, const struct conf_user *user);
uint64_t conf_idle_transaction_timeout_us(const struct conf *conf, const struct conf_user *user);
uint64_t conf_client_idle_timeout_us(const struct conf *conf, const struct conf_user *user);
const char *conf_auth_user(const struct conf *conf, const struct conf_database *database);
const char *conf_auth_query(const struct conf *conf, const struct conf_database *database);
const char *conf_auth_dbname(const struct conf *conf, const struct conf_database *database);
int64_t conf_multiplex(const struct conf *conf, const struct conf_database *database);
enum batch_lookups conf_batch_lookups(const struct conf *conf,
                                      const struct conf_database *database);

#endif
