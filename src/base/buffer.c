#include "sluice/base/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/base/list.h"
#include "sluice/base/memory.h"

/* What lies before the bytes of a buffer. */
struct buffer_block {
    union {
        struct buffer_block *next; /* while cached */
        size_t size;               /* while in use: how many bytes follow */
    };
    uint8_t bytes[];
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

static struct buffer_block *block_of(const struct buffer *buffer)
{
    return container_of(buffer->data, struct buffer_block, bytes);
}

static size_t buffer_size(const struct buffer *buffer)
{
    return buffer->data ? block_of(buffer)->size : 0;
}

static struct buffer_block *block_take(struct buffer_cache *cache, size_t wanted)
{
    unsigned class = class_of(wanted);
    size_t size = class == BUFFER_CLASSES ? wanted + wanted / 2 : class_bytes(class);
    struct buffer_block *block = class == BUFFER_CLASSES ? NULL : cache->blocks[class];

    if (block) {
        cache->blocks[class] = block->next;
        cache->counts[class]--;
    } else {
        block = memory_resize(NULL, sizeof(*block) + size);
    }
    block->size = size;
    return block;
}

static void block_give(struct buffer_cache *cache, struct buffer_block *block)
{
    unsigned class = class_of(block->size);

    if (class == BUFFER_CLASSES || cache->counts[class] * block->size >= CACHED_BYTES_PER_CLASS) {
        free(block);
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
    size_t held = buffer_length(buffer), size = buffer_size(buffer);

    ensure(length <= BUFFER_BYTES_MAX && held <= BUFFER_BYTES_MAX - length);
    if (size - buffer->end >= length)
        return buffer->data + buffer->end;
    if (size >= held + length && buffer->start >= held) {
        memcpy(buffer->data, buffer->data + buffer->start, held);
    } else {
        struct buffer_block *block = block_take(cache, held + length);

        if (held)
            memcpy(block->bytes, buffer->data + buffer->start, held);
        if (buffer->data)
            block_give(cache, block_of(buffer));
        buffer->data = block->bytes;
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
        block_give(cache, block_of(buffer));
    memset(buffer, 0, sizeof(*buffer));
}
