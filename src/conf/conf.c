#include "sluice/conf/conf.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "conf/store.h"
#include "conf/value.h"
#include "sluice/base/ensure.h"

#define WORKERS_MOST 64

static struct conf *finish(struct conf_store *store, const struct store_build *order,
                           struct conf_report *report)
{
    size_t errors = report->error_count;

    if (store_build(store, order, report) && report->error_count == errors)
        return &store->conf;
    store_free(store);
    return NULL;
}

static void add_statement(void *context, const struct statement *statement)
{
    store_add_statement(context, statement);
}

static struct conf *load(const char *path, const struct conf *running, struct conf_report *report)
{
    struct conf_store *store = store_new(path);
    size_t errors = report->error_count;
    struct conf *conf;

    reader_read(path, report, add_statement, store);
    conf = finish(store, &(struct store_build){.running = running, .fresh = true}, report);
    if (conf && report->error_count > errors) { /* the reader's */
        conf_drop(conf);
        conf = NULL;
    }
    return conf;
}

struct conf *conf_load(const char *path, struct conf_report *report)
{
    return load(path, NULL, report);
}

struct conf *conf_reload(const struct conf *running, struct conf_report *report)
{
    return load(running->conffile, running, report);
}

static struct conf_store *store_again(const struct conf *conf)
{
    struct conf_store *store = store_new(conf->store->path);

    for (size_t i = 0; i < conf->store->statement_count; i++)
        store_add_statement(store, &conf->store->statements[i]);
    return store;
}

struct conf *conf_with(const struct conf *conf, const char *key, const char *value,
                       struct conf_report *report)
{
    const struct conf_row *row = conf_row_find(CONF_MAIN, key);
    const char *near = conf_row_near(CONF_MAIN, key);
    struct conf_store *store;

    if (!row) {
        conf_report_add(report, CONF_ERROR, NULL, 0, "unknown setting \"%.100s\"%s%s%s", key,
                        near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        return NULL;
    }
    if (row->change == CONF_RESTART) {
        conf_report_add(report, CONF_ERROR, NULL, 0, "%s needs a restart to change", key);
        return NULL;
    }
    store = store_again(conf);
    store_set(store, key, value);
    return finish(store, &(struct store_build){.users_from = conf}, report);
}

bool conf_auth_file_changed(const struct conf *conf)
{
    struct userlist_stamp now = userlist_stamp(conf->auth_file);
    const struct userlist_stamp *then = &conf->store->stamp;

    return now.device != then->device || now.inode != then->inode || now.bytes != then->bytes ||
           now.changed.tv_sec != then->changed.tv_sec ||
           now.changed.tv_nsec != then->changed.tv_nsec;
}

struct conf *conf_with_auth_file(const struct conf *conf, struct conf_report *report)
{
    struct conf *fresh = finish(store_again(conf), &(struct store_build){0}, report);

    /* What cannot be read is complained of once. */
    if (!fresh)
        conf->store->stamp = userlist_stamp(conf->auth_file);
    return fresh;
}

struct conf *conf_hold(const struct conf *conf)
{
    unsigned before = atomic_fetch_add_explicit(&conf->store->holds, 1, memory_order_relaxed);

    ensure(before > 0);
    return &conf->store->conf;
}

void conf_drop(const struct conf *conf)
{
    unsigned before;

    if (!conf)
        return;
    before = atomic_fetch_sub_explicit(&conf->store->holds, 1, memory_order_acq_rel);
    ensure(before > 0);
    if (before == 1)
        store_free(conf->store);
}

unsigned conf_workers(const struct conf *conf)
{
    cpu_set_t cpus;
    int count = 1;

    if (conf->workers > 0)
        return (unsigned)conf->workers;
    if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        count = CPU_COUNT(&cpus);
    return count > WORKERS_MOST ? WORKERS_MOST : (unsigned)count;
}

static int row_compare(const void *a, const void *b)
{
    return strcmp((*(const struct conf_row *const *)a)->name,
                  (*(const struct conf_row *const *)b)->name);
}

void conf_each_setting(const struct conf *conf,
                       void (*each)(void *context, const char *name, const char *value,
                                    const char *standard, bool changeable),
                       void *context)
{
    const struct conf_table *table = &conf_tables[CONF_MAIN];
    const struct conf_row **rows = malloc(table->row_count * sizeof(const struct conf_row *));
    struct text value = {0};
    size_t count = 0;

    ensure(rows != NULL);
    for (size_t i = 0; i < table->row_count; i++)
        if (table->rows[i].name)
            rows[count++] = &table->rows[i];
    qsort(rows, count, sizeof(const struct conf_row *), row_compare);
    for (size_t i = 0; i < count; i++) {
        text_clear(&value);
        value_format(rows[i], conf, &value);
        each(context, rows[i]->name,
             value.length == 0 && !rows[i]->standard ? NULL : text_get(&value), rows[i]->standard,
             rows[i]->change == CONF_RELOAD);
    }
    text_fini(&value);
    free(rows);
}
