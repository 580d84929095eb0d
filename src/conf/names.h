/* names: things by name, in the order in which they were added. Built by one thread, then only
 * read. Names and things belong to somebody else and outlive it. */
#ifndef SLUICE_CONF_NAMES_H
#define SLUICE_CONF_NAMES_H

#include <stddef.h>

#include "conf/arena.h"

struct names {
    struct names_node *nodes;
};

/* The name must not be there yet. */
void names_add(struct names *names, const char *name, void *thing);

void *names_find(const struct names *names, const char *name); /* or NULL */

/* All things in order, as an array in the arena; *count says how many. */
const void *names_array(const struct names *names, struct arena *arena, size_t *count);

void names_fini(struct names *names);

#endif
