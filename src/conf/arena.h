/* arena: memory that ends all at once, and is wiped then, since passwords are in it. Owned by one
 * snapshot; filled by the thread that builds it, afterwards only read. */
#ifndef SLUICE_CONF_ARENA_H
#define SLUICE_CONF_ARENA_H

#include <stddef.h>

struct arena {
    struct arena_chunk *chunks;
};

/* Zeroed, aligned for any type; never NULL. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of length bytes with a NUL after them. */
char *arena_text(struct arena *arena, const char *text, size_t length);

void arena_fini(struct arena *arena);

#endif
