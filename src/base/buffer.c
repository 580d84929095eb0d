#include "sluice/base/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

/* A cached block holds the link to the next one in its own first bytes. */
struct buffer_block {
    struct buffer_block *next;
};

#define SMALLEST_BLOCK 1024u
#define CACHED_BYTES_PER_CLASS (1024u * 1024u)

static size_t class_bytes(unsigned class)
{
    return (size_t)SMALLEST_BLOCK << (2 * class);
}

/* The smallest class that holds size bytes, or BUFFER_CLASSES. */
static unsigned class_of(size_t size)
{
    unsigned class = 0;

    while (class < BUFFER_CLASSES && class_bytes(class) < size)
        class ++;
    return class;
}

static uint8_t *block_take(struct buffer_cache *cache, size_t wanted, size_t *size)
{
    unsigned class = class_of(wanted);
    struct buffer_block *block;

    if (class == BUFFER_CLASSES) {
        *size = wanted + wanted / 2;
        return memory_resize(NULL, *size);
    }
    *size = class_bytes(class);
    block = cache->blocks[class];
    if (!block)
        return memory_resize(NULL, *size);
    cache->blocks[class] = block->next;
    cache->counts[class]--;
    return (uint8_t *)block;
}

static void block_give(struct buffer_cache *cache, uint8_t *data, size_t size)
{
    unsigned class = class_of(size);
    struct buffer_block *block = (struct buffer_block *)(void *)data;

    if (class == BUFFER_CLASSES || cache->counts[class] * size >= CACHED_BYTES_PER_CLASS) {
        free(data);
        return;
    }
    block->next = cache->blocks[class];
    cache->blocks[class] = block;
    cache->counts[class]++;
}

void buffer_cache_fini(struct buffer_cache *cache)
{
    for (unsigned class = 0; class < BUFFER_CLASSES; class ++) {
        struct buffer_block *block;

        while ((block = cache->blocks[class])) {
            cache->blocks[class] = block->next;
            free(block);
        }
        cache->counts[class] = 0;
    }
}

uint8_t *buffer_reserve(struct buffer *buffer, struct buffer_cache *cache, size_t length)
{
    size_t held = buffer_length(buffer);

    ensure(length <= BUFFER_BYTES_MAX && held <= BUFFER_BYTES_MAX - length);
    if (buffer->size - buffer->end >= length)
        return buffer->data + buffer->end;
    if (buffer->size >= held + length && buffer->start >= held) {
        memcpy(buffer->data, buffer->data + buffer->start, held);
    } else {
        size_t size;
        uint8_t *data = block_take(cache, held + length, &size);

        if (held)
            memcpy(data, buffer->data + buffer->start, held);
        if (buffer->data)
            block_give(cache, buffer->data, buffer->size);
        buffer->data = data;
        buffer->size = (uint32_t)size;
    }
    buffer->start = 0;
    buffer->end = (uint32_t)held;
    return buffer->data + held;
}

void buffer_append(struct buffer *buffer, struct buffer_cache *cache, const void *bytes,
                   size_t length)
{
    if (length == 0)
        return;
    memcpy(buffer_reserve(buffer, cache, length), bytes, length);
    buffer_grew(buffer, length);
}

void buffer_consume(struct buffer *buffer, struct buffer_cache *cache, size_t length)
{
    ensure(length <= buffer_length(buffer));
    buffer->start += (uint32_t)length;
    if (buffer->start == buffer->end)
        buffer_clear(buffer, cache);
}

void buffer_clear(struct buffer *buffer, struct buffer_cache *cache)
{
    if (buffer->data)
        block_give(cache, buffer->data, buffer->size);
    memset(buffer, 0, sizeof(*buffer));
}
