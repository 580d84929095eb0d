#include "conf/names.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "sluice/base/memory.h"

struct names_node {
    const char *name;
    void *thing;
    UT_hash_handle hh;
};

void names_add(struct names *names, const char *name, void *thing)
{
    struct names_node *node = memory_new(sizeof(*node));

    node->name = name;
    node->thing = thing;
    HASH_ADD_KEYPTR(hh, names->nodes, node->name, strlen(node->name), node);
}

void *names_find(const struct names *names, const char *name)
{
    struct names_node *node;

    HASH_FIND_STR(names->nodes, name, node);
    return node ? node->thing : NULL;
}

const void *names_array(const struct names *names, struct arena *arena, size_t *count)
{
    void **things = arena_alloc(arena, (HASH_COUNT(names->nodes) + 1) * sizeof(*things));

    *count = 0;
    for (struct names_node *node = names->nodes; node; node = node->hh.next)
        things[(*count)++] = node->thing;
    return things;
}

void names_fini(struct names *names)
{
    struct names_node *node, *following;

    HASH_ITER(hh, names->nodes, node, following)
    {
        HASH_DEL(names->nodes, node);
        free(node);
    }
}
