#include "conf/store.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"

struct conf_store *store_new(const char *path)
{
    struct conf_store *store = memory_new(sizeof(*store));

    atomic_init(&store->holds, 1);
    store->conf.store = store;
    store->path = arena_text(&store->arena, path, strlen(path));
    return store;
}

void store_free(struct conf_store *store)
{
    for (int section = 0; section < CONF_SECTIONS; section++)
        names_fini(&store->names[section]);
    free(store->statements);
    free(store->secrets);
    arena_fini(&store->arena);
    free(store);
}

static const char *keep(struct conf_store *store, const char *text)
{
    return text ? arena_text(&store->arena, text, strlen(text)) : NULL;
}

/* The statements of one file share the text of its name. */
static const char *keep_file(struct conf_store *store, const char *file)
{
    size_t count = store->statement_count;

    if (file && count > 0 && store->statements[count - 1].file &&
        strcmp(file, store->statements[count - 1].file) == 0)
        return store->statements[count - 1].file;
    return keep(store, file);
}

void store_add_statement(struct conf_store *store, const struct statement *statement)
{
    size_t count = store->statement_count;
    struct statement copy = {
        .section = keep(store, statement->section),
        .name = keep(store, statement->name),
        .value = keep(store, statement->value),
        .file = keep_file(store, statement->file),
        .line = statement->line,
    };

    if ((count & (count - 1)) == 0) /* full whenever the count is a power of two */
        store->statements =
            memory_resize(store->statements, (count ? count * 2 : 1) * sizeof(copy));
    store->statements[store->statement_count++] = copy;
}

void store_set(struct conf_store *store, const char *key, const char *value)
{
    struct statement statement = {
        .section = conf_tables[CONF_MAIN].name, .name = key, .value = value};

    for (size_t i = 0; i < store->statement_count; i++) {
        if (store->statements[i].file || strcmp(store->statements[i].name, key) != 0)
            continue;
        store->statements[i].value = keep(store, value);
        return;
    }
    store_add_statement(store, &statement);
}
