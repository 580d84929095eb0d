/* heap: an intrusive min-heap of 64-bit keys; the timers of a loop. A member embeds a struct
 * heap_node. Owned by whoever owns the heap; not for several threads. */
#ifndef SLUICE_BASE_HEAP_H
#define SLUICE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    size_t place; /* 1-based index in the heap; 0 while in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t length, size;
};

/* Releases the heap's own memory; members must have been removed. */
void heap_fini(struct heap *heap);

/* Puts node in with this key, or moves it when it is in already. */
void heap_set(struct heap *heap, struct heap_node *node, uint64_t key);

/* Takes node out; does nothing when it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The node with the smallest key, or NULL. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->length > 0 ? heap->nodes[0] : NULL;
}

#endif
