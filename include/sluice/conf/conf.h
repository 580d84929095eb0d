/* conf: an immutable snapshot of the settings, read from an ini file that PgBouncer would read too.
 * Made by the main thread; a worker holds the one it uses (conf_hold) and drops it after the next
 * has come by mailbox. Everything reachable from a snapshot belongs to it, never changes and ends
 * with the last conf_drop; any thread may read it.
 *
 * A setting is one row in settings.def (sections: sections.def). Its row makes the member:
 *   BOOL  bool x               INT   int64_t x (workers: 0 = auto)
 *   TIME  uint64_t x_us        SIZE  uint64_t x_bytes
 *   TEXT  const char *x ("")   ENUM  int x (constants below)       LIST  struct conf_list x
 * The lines of the other sections are in sections.h. */
#ifndef SLUICE_CONF_CONF_H
#define SLUICE_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sluice/base/log.h" /* enum log_format */
#include "sluice/conf/report.h"

/* Unset, in struct conf_database and conf_user only: INT and ENUM; TIME. TEXT is NULL there. */
#define CONF_UNSET (-1)
#define CONF_UNSET_US UINT64_MAX

enum pool_mode { POOL_MODE_SESSION, POOL_MODE_TRANSACTION, POOL_MODE_STATEMENT };

enum auth_type {
    AUTH_TYPE_ANY,
    AUTH_TYPE_TRUST,
    AUTH_TYPE_PLAIN,
    AUTH_TYPE_MD5,
    AUTH_TYPE_SCRAM_SHA_256,
    AUTH_TYPE_CERT,
    AUTH_TYPE_HBA,
    AUTH_TYPE_LDAP,
    AUTH_TYPE_PAM,
};

enum sslmode {
    SSLMODE_DISABLE,
    SSLMODE_ALLOW,
    SSLMODE_PREFER,
    SSLMODE_REQUIRE,
    SSLMODE_VERIFY_CA,
    SSLMODE_VERIFY_FULL,
};

enum sslnegotiation { SSLNEGOTIATION_POSTGRES, SSLNEGOTIATION_DIRECT };

enum load_balance_hosts { LOAD_BALANCE_HOSTS_DISABLE, LOAD_BALANCE_HOSTS_ROUND_ROBIN };
enum session_set { SESSION_SET_TRACK, SESSION_SET_PIN, SESSION_SET_PASS };
enum batch_lookups { BATCH_LOOKUPS_OFF, BATCH_LOOKUPS_LISTED, BATCH_LOOKUPS_AUTO };
enum login { LOGIN_WIRE, LOGIN_LIBPQ };

/* A comma list, blanks around each item removed, no empty items. */
struct conf_list {
    const char *const *items;
    size_t count;
};

#define CONF_MEMBER_BOOL(name) bool name;
#define CONF_MEMBER_INT(name) int64_t name;
#define CONF_MEMBER_MODE(name) int64_t name;
#define CONF_MEMBER_TIME(name) uint64_t name##_us;
#define CONF_MEMBER_TIME_MS(name) uint64_t name##_us;
#define CONF_MEMBER_SIZE(name) uint64_t name##_bytes;
#define CONF_MEMBER_TEXT(name) const char *name;
#define CONF_MEMBER_ENUM(name) int name;
#define CONF_MEMBER_LIST(name) struct conf_list name;

struct conf_database;
struct conf_user;
struct conf_peer;
struct conf_redis;
struct conf_lookup;
struct conf_store; /* count, memory, source lines: private */

struct conf {
#define SETTING(type, name, ...) CONF_MEMBER_##type(name)
#include "sluice/conf/settings.def"

    /* The sections' lines, in the order of the file; see sections.h. */
    const struct conf_database *const *databases;
    size_t database_count;
    const struct conf_user *const *users; /* of [users] and of auth_file */
    size_t user_count;
    const struct conf_peer *const *peers;
    size_t peer_count;
    const struct conf_redis *const *redis;
    size_t redis_count;
    const struct conf_lookup *const *lookups;
    size_t lookup_count;

    struct conf_store *store;
};

/* Reads the file at path, what it includes, and its auth_file. Returns a snapshot with a count of
 * one, or NULL when anything is wrong; every mistake and warning is added to the report. */
struct conf *conf_load(const char *path, struct conf_report *report);

/* The same for a running daemon: reads running->conffile; a setting that needs a restart keeps its
 * running value, with a warning if the file says otherwise. NULL: keep the running snapshot. */
struct conf *conf_reload(const struct conf *running, struct conf_report *report);

/* The console's SET key = 'value': a new snapshot that differs in one setting (count of one), or
 * NULL with the reason in the report. The files are not read again, but a new auth_file is. */
struct conf *conf_with(const struct conf *conf, const char *key, const char *value,
                       struct conf_report *report);

/* True if auth_file differs from what was read last (device, inode, size, time): PgBouncer reads it
 * again by itself. conf_with_auth_file makes the snapshot that has its new users; NULL, with the
 * reason in the report, when the file cannot be used. Main thread only. */
bool conf_auth_file_changed(const struct conf *conf);
struct conf *conf_with_auth_file(const struct conf *conf, struct conf_report *report);

/* Counts; any thread. The last drop wipes the secrets. conf_drop(NULL) does nothing. */
struct conf *conf_hold(const struct conf *conf);
void conf_drop(const struct conf *conf);

/* How many workers to start: the setting, or the CPUs this process may use when it says auto. */
unsigned conf_workers(const struct conf *conf);

/* Calls each(context, ...) for every setting by name, as SHOW CONFIG lists them. value and
 * standard (the default) are as in an ini file, NULL for unset; valid during the call. */
void conf_each_setting(const struct conf *conf,
                       void (*each)(void *context, const char *name, const char *value,
                                    const char *standard, bool changeable),
                       void *context);

/* Writes docs/settings.md, or the manual page sluice.ini(5), made from the tables. */
void conf_write_manual(FILE *file);
void conf_write_manual_page(FILE *file);

#endif
