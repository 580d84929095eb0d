#include "sluice/base/heap.h"

#include <stdlib.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

static void heap_place(struct heap *heap, struct heap_node *node, size_t index)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void heap_rise(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];

    while (index > 0) {
        size_t parent = (index - 1) / 2;

        if (heap->nodes[parent]->key <= node->key)
            break;
        heap_place(heap, heap->nodes[parent], index);
        index = parent;
    }
    heap_place(heap, node, index);
}

static void heap_sink(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];

    for (;;) {
        size_t child = index * 2 + 1;

        if (child >= heap->length)
            break;
        if (child + 1 < heap->length && heap->nodes[child + 1]->key < heap->nodes[child]->key)
            child++;
        if (node->key <= heap->nodes[child]->key)
            break;
        heap_place(heap, heap->nodes[child], index);
        index = child;
    }
    heap_place(heap, node, index);
}

void heap_fini(struct heap *heap)
{
    ensure(heap->length == 0);
    free(heap->nodes);
    heap->nodes = NULL;
    heap->size = 0;
}

void heap_set(struct heap *heap, struct heap_node *node, uint64_t key)
{
    if (node->place == 0) {
        if (heap->length == heap->size) {
            heap->size = heap->size ? heap->size * 2 : 64;
            heap->nodes = memory_resize(heap->nodes, heap->size * sizeof(heap->nodes[0]));
        }
        heap_place(heap, node, heap->length++);
    }
    node->key = key;
    heap_rise(heap, node->place - 1);
    heap_sink(heap, node->place - 1);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t index = node->place - 1;
    struct heap_node *last;

    if (node->place == 0)
        return;
    ensure(index < heap->length && heap->nodes[index] == node);
    last = heap->nodes[--heap->length];
    node->place = 0;
    if (last == node)
        return;
    heap_place(heap, last, index);
    heap_rise(heap, index);
    heap_sink(heap, last->place - 1);
}
