#include "sluice/pool/prepared.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/memory.h"

struct prepared_entry {
    UT_hash_handle hh;
    struct list_node node; /* of by_use; not while closing */
    uint8_t key[STATEMENT_KEY_BYTES];
    uint32_t serial;  /* of the change that is not answered yet; 0 = none */
    uint32_t stretch; /* in which that was sent */
    bool sure;
    struct pg_description description; /* while it is sure */
    uint64_t described_us;
};

void prepared_init(struct prepared *prepared)
{
    memset(prepared, 0, sizeof(*prepared));
    list_init(&prepared->by_use);
}

void prepared_fini(struct prepared *prepared)
{
    struct prepared_entry *entry, *following;

    HASH_ITER(hh, prepared->by_key, entry, following)
    {
        HASH_DEL(prepared->by_key, entry);
        free(entry);
    }
}

static struct prepared_entry *entry_find(const struct prepared *prepared,
                                         const uint8_t key[STATEMENT_KEY_BYTES])
{
    struct prepared_entry *entry;

    HASH_FIND(hh, prepared->by_key, key, STATEMENT_KEY_BYTES, entry);
    return entry;
}

static bool entry_closing(const struct prepared_entry *entry)
{
    return !list_node_linked(&entry->node);
}

enum prepared_state prepared_look(const struct prepared *prepared,
                                  const uint8_t key[STATEMENT_KEY_BYTES], uint32_t stretch)
{
    const struct prepared_entry *entry = entry_find(prepared, key);

    if (!entry)
        return PREPARED_NOT;
    if (entry->sure)
        return PREPARED_SURE;
    if (entry->serial == 0)
        return PREPARED_DOUBT;
    if (entry->stretch != stretch)
        return PREPARED_EARLIER;
    /* Behind its Close, in the same stretch, it may be parsed; behind another Close, safely. */
    return entry_closing(entry) ? PREPARED_DOUBT : PREPARED_SENT;
}

void prepared_used(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES])
{
    struct prepared_entry *entry = entry_find(prepared, key);

    ensure(entry && !entry_closing(entry));
    if (list_first(&prepared->by_use) == &entry->node)
        return;
    list_remove(&prepared->by_use, &entry->node);
    list_push_front(&prepared->by_use, &entry->node);
}

static uint32_t next_serial(struct prepared *prepared)
{
    if (++prepared->serial == 0)
        prepared->serial = 1;
    return prepared->serial;
}

uint32_t prepared_parse(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES],
                        uint32_t stretch)
{
    struct prepared_entry *entry = entry_find(prepared, key);

    if (!entry) {
        entry = memory_new(sizeof(*entry));
        memcpy(entry->key, key, STATEMENT_KEY_BYTES);
        HASH_ADD(hh, prepared->by_key, key, STATEMENT_KEY_BYTES, entry);
    }
    if (!entry_closing(entry))
        list_remove(&prepared->by_use, &entry->node);
    list_push_front(&prepared->by_use, &entry->node);
    entry->sure = false;
    entry->description = (struct pg_description){0};
    entry->stretch = stretch;
    entry->serial = next_serial(prepared);
    return entry->serial;
}

bool prepared_evict(struct prepared *prepared, size_t most, uint32_t stretch,
                    uint8_t key[STATEMENT_KEY_BYTES], uint32_t *serial)
{
    struct list_node *node;
    struct prepared_entry *entry;

    if (prepared->by_use.length <= most)
        return false;
    node = list_last(&prepared->by_use);
    entry = container_of(node, struct prepared_entry, node);
    list_remove(&prepared->by_use, node);
    memcpy(key, entry->key, STATEMENT_KEY_BYTES);
    entry->sure = false;
    entry->stretch = stretch;
    entry->serial = *serial = next_serial(prepared);
    return true;
}

static void entry_doubt(struct prepared *prepared, struct prepared_entry *entry)
{
    entry->sure = false;
    entry->serial = 0;
    if (entry_closing(entry))
        list_push_back(&prepared->by_use, &entry->node);
}

void prepared_settle(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES],
                     uint32_t serial, bool done)
{
    struct prepared_entry *entry = entry_find(prepared, key);

    if (!entry || entry->serial != serial)
        return;
    if (!done) {
        entry_doubt(prepared, entry);
    } else if (entry_closing(entry)) {
        HASH_DEL(prepared->by_key, entry);
        free(entry);
    } else {
        entry->sure = true;
        entry->serial = 0;
    }
}

void prepared_describe(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES],
                       struct pg_description description, uint64_t now_us)
{
    struct prepared_entry *entry = entry_find(prepared, key);

    if (!entry || !entry->sure)
        return;
    entry->description = description;
    entry->described_us = now_us;
}

struct pg_description prepared_description(const struct prepared *prepared,
                                           const uint8_t key[STATEMENT_KEY_BYTES],
                                           uint64_t *described_us)
{
    const struct prepared_entry *entry = entry_find(prepared, key);

    *described_us = entry && entry->sure ? entry->described_us : 0;
    return entry && entry->sure ? entry->description : (struct pg_description){0};
}

void prepared_doubt(struct prepared *prepared, const uint8_t key[STATEMENT_KEY_BYTES])
{
    struct prepared_entry *entry = entry_find(prepared, key);

    if (entry)
        entry_doubt(prepared, entry);
}

void prepared_doubt_all(struct prepared *prepared)
{
    struct prepared_entry *entry, *following;

    HASH_ITER(hh, prepared->by_key, entry, following)
    {
        entry_doubt(prepared, entry);
    }
}
