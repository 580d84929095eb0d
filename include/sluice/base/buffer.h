/* buffer: bytes that wait. A buffer has memory only while it holds bytes; the memory comes from a
 * cache of blocks, so that a buffer that fills and empties all day allocates nothing. A buffer and
 * its cache belong to one thread; a buffer with bytes may move to another thread with its owner
 * (blocks are not bound to the cache they came from). */
#ifndef SLUICE_BASE_BUFFER_H
#define SLUICE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUFFER_CLASSES 4 /* block sizes 1, 4, 16 and 64 kB; larger ones are not cached */

struct buffer_block;

struct buffer_cache {
    struct buffer_block *blocks[BUFFER_CLASSES];
    unsigned counts[BUFFER_CLASSES];
};

struct buffer {
    uint8_t *data;       /* NULL when empty; its block knows how large it is */
    uint32_t start, end; /* the bytes are data[start..end) */
};

void buffer_cache_fini(struct buffer_cache *cache);

static inline size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

static inline uint8_t *buffer_bytes(const struct buffer *buffer)
{
    return buffer->data + buffer->start;
}

/* Most bytes that a buffer may hold; owners have lower limits. */
#define BUFFER_BYTES_MAX (1u << 30)

/* Makes room for length more bytes behind the last one and returns the place to write them;
 * buffer_grew() then says how many were written. */
uint8_t *buffer_reserve(struct buffer *buffer, struct buffer_cache *cache, size_t length);

static inline void buffer_grew(struct buffer *buffer, size_t length)
{
    buffer->end += (uint32_t)length;
}

/* Copies the bytes in behind the last one. The caller keeps the buffer within its limit. */
void buffer_append(struct buffer *buffer, struct buffer_cache *cache, const void *bytes,
                   size_t length);

/* Drops the first length bytes; gives the memory back when none is left. */
void buffer_consume(struct buffer *buffer, struct buffer_cache *cache, size_t length);

/* Drops all bytes and gives the memory back. */
void buffer_clear(struct buffer *buffer, struct buffer_cache *cache);

#endif
