/* build: from the statements of a store to the snapshot. First [sluice], then the users' secrets,
 * then the lines of the other sections, which may fall back to [sluice]. */
#include <stdlib.h>
#include <string.h>

#include "conf/pairs.h"
#include "conf/store.h"
#include "conf/table.h"
#include "conf/value.h"
#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "sluice/conf/sections.h"

#define ROWS_MOST 256

struct build {
    struct conf_store *store;
    struct conf *conf;
    const struct store_build *order;
    struct conf_report *report;
    struct conf_report muted; /* for statements that were reported when they were new */

    bool has_main;
    bool warned[CONF_SECTIONS][ROWS_MOST]; /* of a setting without effect */
    bool warned_section[CONF_SECTIONS];
};

static struct conf_report *report_of(struct build *build, const struct statement *statement)
{
    return build->order->fresh || !statement->file ? build->report : &build->muted;
}

#define complain(build, statement, ...)                                                            \
    conf_report_add(report_of(build, statement), CONF_ERROR, (statement)->file, (statement)->line, \
                    __VA_ARGS__)
#define warn(build, statement, ...)                                               \
    conf_report_add(report_of(build, statement), CONF_WARNING, (statement)->file, \
                    (statement)->line, __VA_ARGS__)

/* ---- one setting ---- */

static const char *without_effect(enum conf_effect effect)
{
    return effect == CONF_LATER ? "has no effect yet" : "has no effect in Sluice";
}

static void parse_default(struct build *build, const struct conf_row *row, void *base)
{
    struct text problem = {0};

    ensure(value_parse(row, row->standard, &build->store->arena, base, &problem));
    text_fini(&problem);
}

/* Parses the value into base; `owner` ('database "x": ', or "") begins the message about a bad one.
 * A value that asks for nothing but what happens anyway is not worth a warning. */
static void apply(struct build *build, const struct statement *statement, enum conf_section section,
                  const struct conf_row *row, const char *owner, const char *value, void *base,
                  const void *standard_base)
{
    size_t index = (size_t)(row - conf_tables[section].rows);
    struct text problem = {0};

    if (!value_parse(row, value, &build->store->arena, base, &problem))
        complain(build, statement, "%s%s = \"%.100s\" %s", owner, row->name, value,
                 text_get(&problem));
    else if (row->effect != CONF_WORKS && !build->warned[section][index] &&
             !value_equal(row, base, standard_base)) {
        build->warned[section][index] = true;
        warn(build, statement, "%s %s", row->name, without_effect(row->effect));
    }
    text_fini(&problem);
}

static void complain_unknown_key(struct build *build, const struct statement *statement,
                                 enum conf_section section, const char *owner, const char *key)
{
    bool listed = report_of(build, statement)->count < CONF_REPORT_LINES;
    const char *near = listed ? conf_row_near(section, key) : NULL;

    complain(build, statement, "%sunknown setting \"%.100s\"%s%s%s", owner, key,
             near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* ---- [sluice] ---- */

static void set_defaults(struct build *build)
{
    const struct conf_table *table = &conf_tables[CONF_MAIN];

    for (size_t i = 0; i < table->row_count; i++) {
        const struct conf_row *row = &table->rows[i];

        if (row->name && row->standard)
            parse_default(build, row, build->conf);
        else if (row->name && row->type == CONF_TEXT)
            *(const char **)((char *)build->conf + row->offset) = "";
    }
}

static void check_section(struct build *build, const struct statement *statement)
{
    const char *near = conf_section_near(statement->section);

    if (conf_section_find(statement->section) == CONF_SECTIONS)
        complain(build, statement, "unknown section [%s]%s%s%s", statement->section,
                 near ? "; did you mean [" : "", near ? near : "", near ? "]?" : "");
    else if (conf_section_find(statement->section) == CONF_MAIN)
        build->has_main = true;
}

static void read_main(struct build *build, const struct conf *standard)
{
    for (size_t i = 0; i < build->store->statement_count; i++) {
        const struct statement *statement = &build->store->statements[i];
        const struct conf_row *row;

        if (!statement->section) {
            complain(build, statement, "\"%.100s\" stands before the first [section]",
                     statement->name);
            continue;
        }
        if (!statement->name) {
            check_section(build, statement);
            continue;
        }
        if (conf_section_find(statement->section) != CONF_MAIN)
            continue;
        row = conf_row_find(CONF_MAIN, statement->name);
        if (row)
            apply(build, statement, CONF_MAIN, row, "", statement->value, build->conf, standard);
        else
            complain_unknown_key(build, statement, CONF_MAIN, "", statement->name);
    }
    if (!build->has_main)
        conf_report_add(build->report, CONF_ERROR, build->store->path, 0,
                        "there is no section [sluice] (or [pgbouncer])");
    if (build->conf->conffile[0] == '\0')
        build->conf->conffile = build->store->path;
}

/* A reload cannot change what was settled at the start. The value goes on as if by SET. */
static void keep_running(struct build *build)
{
    const struct conf_table *table = &conf_tables[CONF_MAIN];

    for (size_t i = 0; i < table->row_count; i++) {
        const struct conf_row *row = &table->rows[i];
        struct text said = {0}, kept = {0}, problem = {0};

        if (!row->name || row->change != CONF_RESTART ||
            value_equal(row, build->order->running, build->conf))
            continue;
        value_format(row, build->conf, &said);
        value_format(row, build->order->running, &kept);
        conf_report_add(build->report, CONF_WARNING, NULL, 0,
                        "%s: \"%s\" needs a restart; it stays \"%s\"", row->name, text_get(&said),
                        text_get(&kept));
        store_set(build->store, row->name, text_get(&kept));
        ensure(value_parse(row, text_get(&kept), &build->store->arena, build->conf, &problem));
        text_fini(&said);
        text_fini(&kept);
        text_fini(&problem);
    }
}

/* ---- lines of the other sections ---- */

static void set_item_defaults(struct build *build, enum conf_section section, void *item)
{
    const struct conf_table *table = &conf_tables[section];

    for (size_t i = 0; i < table->row_count; i++) {
        const struct conf_row *row = &table->rows[i];

        if (row->standard) {
            parse_default(build, row, item);
        } else if (table->complete && row->from) {
            value_copy(conf_row_find(CONF_MAIN, row->from), build->conf, row, item);
        } else {
            value_unset(row, item);
            if (table->complete && row->type == CONF_TEXT)
                *(const char **)((char *)item + row->offset) = "";
        }
    }
}

/* The item of this name, with the defaults; a later line of the same name replaces the earlier. */
static void *item_new(struct build *build, enum conf_section section, const char *name)
{
    struct arena *arena = &build->store->arena;
    void *item = names_find(&build->store->names[section], name);

    if (!item) {
        item = arena_alloc(arena, conf_tables[section].item_bytes);
        *(const char **)item = arena_text(arena, name, strlen(name)); /* `name` comes first */
        names_add(&build->store->names[section], *(const char **)item, item);
    }
    set_item_defaults(build, section, item);
    return item;
}

static void read_pairs(struct build *build, const struct statement *statement,
                       enum conf_section section, const char *owner, void *item)
{
    const struct conf_table *table = &conf_tables[section];
    void *standard = memory_new(table->item_bytes);
    enum pairs_verdict verdict;
    struct pairs pairs;

    memcpy(standard, item, table->item_bytes);
    pairs_init(&pairs, section, statement->value);
    while ((verdict = pairs_next(&pairs)) == PAIRS_ONE || verdict == PAIRS_NO_VALUE) {
        const char *key = text_get(&pairs.key);
        const struct conf_row *row = conf_row_find(section, key);

        if (!row)
            complain_unknown_key(build, statement, section, owner, key);
        else if (verdict == PAIRS_ONE)
            apply(build, statement, section, row, owner, text_get(&pairs.value), item, standard);
        else if (!table->empty_values)
            complain(build, statement, "%s%s has no value", owner, key);
    }
    if (verdict == PAIRS_NO_EQUALS)
        complain(build, statement, "%sexpected key=value, found \"%.100s\"", owner,
                 text_get(&pairs.key));
    else if (verdict == PAIRS_OPEN_QUOTE)
        complain(build, statement, "%sthe value of %.100s lacks its closing quote", owner,
                 text_get(&pairs.key));
    pairs_fini(&pairs);
    free(standard);
}

/* What no single row can check. */
static void check_item(struct build *build, const struct statement *statement,
                       enum conf_section section, const char *owner, void *item)
{
    const struct conf_lookup *lookup = item;
    const struct conf_redis *redis = item;
    const struct conf_peer *peer = item;

    if (section == CONF_DATABASES && strcmp(statement->name, "pgbouncer") == 0)
        complain(build, statement, "%sthe name belongs to the console", owner);
    else if (section == CONF_PEERS && peer->host[0] == '\0')
        complain(build, statement, "%shost is missing", owner);
    else if (section == CONF_REDIS && redis->listen_port == 0 && redis->unix_socket[0] == '\0')
        complain(build, statement, "%slisten_port or unix_socket is missing", owner);
    else if (section == CONF_LOOKUPS && (lookup->database[0] == '\0' || lookup->query[0] == '\0'))
        complain(build, statement, "%s%s is missing", owner,
                 lookup->query[0] == '\0' ? "query" : "database");
    else if (section == CONF_LOOKUPS && !names_find(&build->store->names[CONF_DATABASES], "*") &&
             !names_find(&build->store->names[CONF_DATABASES], lookup->database))
        complain(build, statement, "%sdatabase \"%s\" is not in [databases]", owner,
                 lookup->database);
}

/* A peer's name is its number. Returns it in the form used for finding, or NULL. */
static const char *peer_name(struct build *build, const struct statement *statement, char *name,
                             size_t size, unsigned *id)
{
    char *end;
    unsigned long number = strtoul(statement->name, &end, 10);

    if (*end != '\0' || number < 1 || number > 16383) {
        complain(build, statement, "peer \"%.100s\": the name must be a number from 1 to 16383",
                 statement->name);
        return NULL;
    }
    *id = (unsigned)number;
    snprintf(name, size, "%lu", number);
    return name;
}

static void read_item(struct build *build, const struct statement *statement,
                      enum conf_section section)
{
    const struct conf_table *table = &conf_tables[section];
    const char *name = statement->name;
    struct text owner = {0};
    char number[24];
    unsigned id = 0;
    void *item;

    if (table->effect != CONF_WORKS && !build->warned_section[section]) {
        build->warned_section[section] = true;
        warn(build, statement, "section [%s] %s", table->name, without_effect(table->effect));
    }
    if (section == CONF_PEERS)
        name = peer_name(build, statement, number, sizeof(number), &id);
    if (!name)
        return;
    item = item_new(build, section, name);
    if (section == CONF_PEERS)
        ((struct conf_peer *)item)->id = id;
    text_addf(&owner, "%s \"%.100s\": ", table->what, statement->name);
    read_pairs(build, statement, section, text_get(&owner), item);
    check_item(build, statement, section, text_get(&owner), item);
    text_fini(&owner);
}

static void read_sections(struct build *build)
{
    for (enum conf_section section = CONF_DATABASES; section < CONF_SECTIONS; section++)
        for (size_t i = 0; i < build->store->statement_count; i++) {
            const struct statement *statement = &build->store->statements[i];

            if (statement->section && statement->name &&
                conf_section_find(statement->section) == section)
                read_item(build, statement, section);
        }
}

/* ---- users' secrets ---- */

static void add_secret(void *context, const char *user, const char *secret)
{
    struct conf_store *store = context;
    size_t count = store->secret_count;

    if ((count & (count - 1)) == 0) /* full whenever the count is a power of two */
        store->secrets =
            memory_resize(store->secrets, (count ? count * 2 : 1) * sizeof(*store->secrets));
    store->secrets[store->secret_count++] = (struct store_secret){
        .user = arena_text(&store->arena, user, strlen(user)),
        .secret = arena_text(&store->arena, secret, strlen(secret)),
    };
}

static void read_secrets(struct build *build)
{
    struct conf *conf = build->conf;
    const struct conf *from = build->order->users_from;
    /* Who may log in without proof, or proves it elsewhere, does without the file. */
    enum conf_severity unreadable =
        conf->auth_type == AUTH_TYPE_ANY || conf->auth_type == AUTH_TYPE_PAM ? CONF_WARNING
                                                                             : CONF_ERROR;

    if (from && strcmp(from->auth_file, conf->auth_file) == 0) {
        for (size_t i = 0; i < from->store->secret_count; i++)
            add_secret(build->store, from->store->secrets[i].user, from->store->secrets[i].secret);
        build->store->stamp = from->store->stamp;
    } else if (conf->auth_file[0] != '\0') {
        userlist_read(conf->auth_file, unreadable, build->report, &build->store->stamp, add_secret,
                      build->store);
    }
}

/* After the lines of [users], which may name the same users. */
static void join_secrets(struct build *build)
{
    for (size_t i = 0; i < build->store->secret_count; i++) {
        const struct store_secret *secret = &build->store->secrets[i];
        struct conf_user *user = names_find(&build->store->names[CONF_USERS], secret->user);

        if (!user)
            user = item_new(build, CONF_USERS, secret->user);
        user->secret = secret->secret;
    }
}

/* ---- all of it ---- */

static void list_items(struct build *build)
{
    struct conf_store *store = build->store;
    struct conf *conf = build->conf;
    struct arena *arena = &store->arena;

    conf->databases = names_array(&store->names[CONF_DATABASES], arena, &conf->database_count);
    conf->users = names_array(&store->names[CONF_USERS], arena, &conf->user_count);
    conf->peers = names_array(&store->names[CONF_PEERS], arena, &conf->peer_count);
    conf->redis = names_array(&store->names[CONF_REDIS], arena, &conf->redis_count);
    conf->lookups = names_array(&store->names[CONF_LOOKUPS], arena, &conf->lookup_count);
}

bool store_build(struct conf_store *store, const struct store_build *order,
                 struct conf_report *report)
{
    struct build build = {.store = store, .conf = &store->conf, .order = order, .report = report};
    size_t errors_before = report->error_count;
    struct conf standard;
    bool good;

    conf_report_init(&build.muted);
    set_defaults(&build);
    standard = store->conf;
    read_main(&build, &standard);
    if (order->running)
        keep_running(&build);
    read_secrets(&build);
    read_sections(&build);
    join_secrets(&build);
    list_items(&build);
    good = report->error_count == errors_before && build.muted.error_count == 0;
    conf_report_fini(&build.muted);
    return good;
}
