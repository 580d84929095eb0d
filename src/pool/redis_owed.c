#include "sluice/pool/redis_owed.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"

#define FIRST_SIZE 16u

void redis_owed_grow(struct redis_owed_ring *ring)
{
    uint32_t size = ring->size ? ring->size * 2 : FIRST_SIZE;
    struct redis_owed *entries = memory_resize(NULL, size * sizeof(*entries));

    for (uint32_t i = 0; i < ring->length; i++)
        entries[i] = *redis_owed_at(ring, i);
    free(ring->entries);
    ring->entries = entries;
    ring->size = size;
    ring->head = 0;
}

void redis_owed_move(struct redis_owed_ring *to, struct redis_owed_ring *from)
{
    while (from->length > 0) {
        *redis_owed_push(to) = *redis_owed_at(from, 0);
        redis_owed_pop(from);
    }
}

uint32_t redis_owed_forget(struct redis_owed_ring *ring, const struct redis_client *client,
                           uint32_t count)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < ring->length && found < count; i++) {
        struct redis_owed *owed = redis_owed_at(ring, i);

        if (owed->client == client) {
            owed->client = NULL;
            found++;
        }
    }
    return found;
}

void redis_owed_fini(struct redis_owed_ring *ring)
{
    free(ring->entries);
    memset(ring, 0, sizeof(*ring));
}
