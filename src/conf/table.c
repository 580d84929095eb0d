#include "conf/table.h"

#include <string.h>

#include "sluice/base/log.h"
#include "sluice/conf/sections.h"

static const struct conf_choice pool_mode_choices[] = {
    {.name = "session", .value = POOL_MODE_SESSION},
    {.name = "transaction", .value = POOL_MODE_TRANSACTION},
    {.name = "statement", .value = POOL_MODE_STATEMENT},
    {0},
};

static const struct conf_choice auth_type_choices[] = {
    {.name = "any", .value = AUTH_TYPE_ANY},
    {.name = "trust", .value = AUTH_TYPE_TRUST},
    {.name = "plain", .value = AUTH_TYPE_PLAIN},
    {.name = "md5", .value = AUTH_TYPE_MD5},
    {.name = "scram-sha-256", .value = AUTH_TYPE_SCRAM_SHA_256},
    {.name = "cert", .value = AUTH_TYPE_CERT},
    {.name = "hba", .value = AUTH_TYPE_HBA},
    {.name = "ldap", .value = AUTH_TYPE_LDAP, .later = true},
    {.name = "pam", .value = AUTH_TYPE_PAM, .later = true},
    {0},
};

static const struct conf_choice sslmode_choices[] = {
    {.name = "disable", .value = SSLMODE_DISABLE},
    {.name = "allow", .value = SSLMODE_ALLOW},
    {.name = "prefer", .value = SSLMODE_PREFER},
    {.name = "require", .value = SSLMODE_REQUIRE},
    {.name = "verify-ca", .value = SSLMODE_VERIFY_CA},
    {.name = "verify-full", .value = SSLMODE_VERIFY_FULL},
    {0},
};

static const struct conf_choice sslnegotiation_choices[] = {
    {.name = "postgres", .value = SSLNEGOTIATION_POSTGRES},
    {.name = "direct", .value = SSLNEGOTIATION_DIRECT},
    {0},
};

static const struct conf_choice load_balance_hosts_choices[] = {
    {.name = "disable", .value = LOAD_BALANCE_HOSTS_DISABLE},
    {.name = "round-robin", .value = LOAD_BALANCE_HOSTS_ROUND_ROBIN},
    {0},
};

static const struct conf_choice session_set_choices[] = {
    {.name = "track", .value = SESSION_SET_TRACK},
    {.name = "pin", .value = SESSION_SET_PIN},
    {.name = "pass", .value = SESSION_SET_PASS},
    {0},
};

static const struct conf_choice batch_lookups_choices[] = {
    {.name = "off", .value = BATCH_LOOKUPS_OFF},
    {.name = "listed", .value = BATCH_LOOKUPS_LISTED},
    {.name = "auto", .value = BATCH_LOOKUPS_AUTO},
    {0},
};

static const struct conf_choice login_choices[] = {
    {.name = "wire", .value = LOGIN_WIRE},
    {.name = "libpq", .value = LOGIN_LIBPQ},
    {0},
};

static const struct conf_choice log_format_choices[] = {
    {.name = "text", .value = LOG_FORMAT_TEXT},
    {.name = "json", .value = LOG_FORMAT_JSON},
    {0},
};

static const struct conf_choice syslog_facility_choices[] = {
    {.name = "auth"},
    {.name = "authpriv"},
    {.name = "daemon"},
    {.name = "user"},
    {.name = "local0"},
    {.name = "local1"},
    {.name = "local2"},
    {.name = "local3"},
    {.name = "local4"},
    {.name = "local5"},
    {.name = "local6"},
    {.name = "local7"},
    {0},
};

/* How a row of the .def files becomes a struct conf_row. */
#define UNSET NULL
#define FROM(key) NULL, .from = #key
#define ANY .min = 0
#define RANGE(low, high) .min = low, .max = high
#define AUTO(low, high) .min = low, .max = high, .automatic = true
#define OF(words) .choices = words##_choices

#define FIELD_BOOL(name) name
#define FIELD_INT(name) name
#define FIELD_MODE(name) name
#define FIELD_TIME(name) name##_us
#define FIELD_TIME_MS(name) name##_us
#define FIELD_SIZE(name) name##_bytes
#define FIELD_TEXT(name) name
#define FIELD_ENUM(name) name
#define FIELD_LIST(name) name

/* SETTING, DATABASE ... name this macro itself, so that a limit like RANGE(1, 9) is one argument.
 */
#define ROW(kind, key, default_text, limits, when, works, text) \
    {.name = #key,                                              \
     .type = CONF_##kind,                                       \
     .offset = offsetof(struct OWNER, FIELD_##kind(key)),       \
     .standard = default_text,                                  \
     limits,                                                    \
     .change = CONF_##when,                                     \
     .effect = CONF_##works,                                    \
     .meaning = text},

static const struct conf_row settings[] = {
#define SUBJECT(title) {.meaning = title},
#define OWNER conf
#define SETTING ROW
#include "sluice/conf/settings.def"
#undef OWNER
};

static const struct conf_row database_rows[] = {
#define OWNER conf_database
#define DATABASE ROW
#include "sluice/conf/sections.def"
#undef OWNER
};

static const struct conf_row user_rows[] = {
#define OWNER conf_user
#define USER ROW
#include "sluice/conf/sections.def"
#undef OWNER
};

static const struct conf_row peer_rows[] = {
#define OWNER conf_peer
#define PEER ROW
#include "sluice/conf/sections.def"
#undef OWNER
};

static const struct conf_row redis_rows[] = {
#define OWNER conf_redis
#define REDIS ROW
#include "sluice/conf/sections.def"
#undef OWNER
};

static const struct conf_row lookup_rows[] = {
#define OWNER conf_lookup
#define LOOKUP ROW
#include "sluice/conf/sections.def"
#undef OWNER
};

#define ROWS(list) .rows = list, .row_count = sizeof(list) / sizeof(list[0])

const struct conf_table conf_tables[CONF_SECTIONS] = {
    [CONF_MAIN] = {.name = "sluice", .what = "setting", ROWS(settings)},
    [CONF_DATABASES] = {.name = "databases",
                        .what = "database",
                        ROWS(database_rows),
                        .item_bytes = sizeof(struct conf_database)},
    [CONF_USERS] = {.name = "users",
                    .what = "user",
                    ROWS(user_rows),
                    .item_bytes = sizeof(struct conf_user)},
    [CONF_PEERS] = {.name = "peers",
                    .what = "peer",
                    ROWS(peer_rows),
                    .item_bytes = sizeof(struct conf_peer),
                    .complete = true},
    [CONF_REDIS] = {.name = "redis",
                    .what = "Redis pool",
                    ROWS(redis_rows),
                    .item_bytes = sizeof(struct conf_redis),
                    .complete = true,
                    .empty_values = true},
    [CONF_LOOKUPS] = {.name = "lookups",
                      .what = "lookup",
                      ROWS(lookup_rows),
                      .item_bytes = sizeof(struct conf_lookup),
                      .complete = true},
};

enum conf_section conf_section_find(const char *name)
{
    if (strcmp(name, "pgbouncer") == 0)
        return CONF_MAIN;
    for (enum conf_section section = CONF_MAIN; section < CONF_SECTIONS; section++)
        if (strcmp(name, conf_tables[section].name) == 0)
            return section;
    return CONF_SECTIONS;
}

const struct conf_row *conf_row_find(enum conf_section section, const char *name)
{
    const struct conf_table *table = &conf_tables[section];

    if (section != CONF_MAIN && strcmp(name, "reserve_pool") == 0)
        name = "reserve_pool_size";
    for (size_t i = 0; i < table->row_count; i++)
        if (table->rows[i].name && strcmp(name, table->rows[i].name) == 0)
            return &table->rows[i];
    return NULL;
}

#define NAME_BYTES 64

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* How many letters to add, drop or change to make b of a (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_BYTES + 1], length = strlen(b);

    if (length > NAME_BYTES || strlen(a) > NAME_BYTES)
        return NAME_BYTES;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t changed = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            row[j + 1] = min3(row[j] + 1, diagonal + 1, changed);
        }
    }
    return row[length];
}

static void keep_nearer(const char *name, const char *known, const char **nearest, size_t *least)
{
    size_t far = distance(name, known);

    if (far < *least) {
        *least = far;
        *nearest = known;
    }
}

const char *conf_row_near(enum conf_section section, const char *name)
{
    const struct conf_table *table = &conf_tables[section];
    size_t least = 2 + strlen(name) / 4; /* further than that is a guess */
    const char *nearest = NULL;

    for (size_t i = 0; i < table->row_count; i++)
        if (table->rows[i].name)
            keep_nearer(name, table->rows[i].name, &nearest, &least);
    return nearest;
}

const char *conf_section_near(const char *name)
{
    size_t least = 2 + strlen(name) / 4;
    const char *nearest = NULL;

    keep_nearer(name, "pgbouncer", &nearest, &least);
    for (enum conf_section section = CONF_MAIN; section < CONF_SECTIONS; section++)
        keep_nearer(name, conf_tables[section].name, &nearest, &least);
    return nearest;
}
