/* store: a snapshot and what it was made of, so that another can be made that differs in one
 * setting. Filled by the thread that builds it; constant once the snapshot is handed out, except
 * for the count. */
#ifndef SLUICE_CONF_STORE_H
#define SLUICE_CONF_STORE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "conf/arena.h"
#include "conf/names.h"
#include "conf/reader.h"
#include "conf/table.h"
#include "conf/userlist.h"
#include "sluice/conf/conf.h"

struct store_secret {
    const char *user, *secret;
};

struct conf_store {
    struct conf conf;
    atomic_uint holds;
    struct arena arena;
    const char *path; /* as given to conf_load */

    struct statement *statements; /* of the files, then of SET (those have no file) */
    size_t statement_count;
    struct store_secret *secrets; /* of auth_file */
    size_t secret_count;
    struct userlist_stamp stamp; /* of auth_file */

    struct names names[CONF_SECTIONS]; /* struct conf_database, struct conf_user ... by name */
};

/* An empty store with a count of one, to be filled and then built. */
struct conf_store *store_new(const char *path);
void store_free(struct conf_store *store);

/* Adds a copy. */
void store_add_statement(struct conf_store *store, const struct statement *statement);

/* Adds or replaces what SET says of a key of [sluice]. */
void store_set(struct conf_store *store, const char *key, const char *value);

/* What a build starts from. */
struct store_build {
    const struct conf *running;    /* settings that need a restart are taken from it, if any */
    const struct conf *users_from; /* auth_file is not read again if this one has the same */
    bool fresh;                    /* statements of files are new: report what is wrong in them */
};

/* Makes store->conf of the statements. False if the report has got an error; then free it. */
bool store_build(struct conf_store *store, const struct store_build *order,
                 struct conf_report *report);

#endif
