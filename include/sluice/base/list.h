/* list: an intrusive doubly linked list that knows its length. A member embeds a struct list_node
 * and is on at most one list per node. Owned by whoever owns the list; not for several threads. */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "sluice/base/ensure.h"

struct list_node {
    struct list_node *next, *prev; /* both NULL while on no list */
};

struct list {
    struct list_node head; /* head.next is the first member; points to itself when empty */
    size_t length;
};

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->head.next = list->head.prev = &list->head;
    list->length = 0;
}

static inline bool list_contains_any(const struct list *list)
{
    return list->length > 0;
}

static inline bool list_node_linked(const struct list_node *node)
{
    return node->next != NULL;
}

static inline void list_insert_between(struct list_node *node, struct list_node *before,
                                       struct list_node *after)
{
    ensure(!list_node_linked(node));
    node->prev = before;
    node->next = after;
    before->next = node;
    after->prev = node;
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
    list_insert_between(node, list->head.prev, &list->head);
    list->length++;
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
    list_insert_between(node, &list->head, list->head.next);
    list->length++;
}

/* node must be on this very list. */
static inline void list_remove(struct list *list, struct list_node *node)
{
    ensure(list_node_linked(node) && list->length > 0);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
    list->length--;
}

/* The first member's node, or NULL. */
static inline struct list_node *list_first(const struct list *list)
{
    return list->length > 0 ? list->head.next : NULL;
}

static inline struct list_node *list_last(const struct list *list)
{
    return list->length > 0 ? list->head.prev : NULL;
}

/* The member after node, or NULL at the end. */
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}

static inline struct list_node *list_previous(const struct list *list, const struct list_node *node)
{
    return node->prev == &list->head ? NULL : node->prev;
}

/* Takes the first member off and returns its node, or NULL. */
static inline struct list_node *list_pop_front(struct list *list)
{
    struct list_node *node = list_first(list);

    if (node)
        list_remove(list, node);
    return node;
}

/* Walks the list; the member named by `node` may be removed (and freed) by the body. */
#define LIST_EACH_SAFE(list, node, following)                                 \
    for (struct list_node *node = (list)->head.next, *following = node->next; \
         node != &(list)->head; node = following, following = node->next)

#endif
