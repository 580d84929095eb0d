#include "conf/arena.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "sluice/base/memory.h"

#define CHUNK_BYTES 16384

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *chunk = memory_new(sizeof(*chunk) + size);

    chunk->size = size;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = arena->chunks;

    size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (!chunk || chunk->size - chunk->used < size) {
        chunk = chunk_new(size > CHUNK_BYTES ? size : CHUNK_BYTES);
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    chunk->used += size;
    return chunk->data + chunk->used - size;
}

char *arena_text(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);

    memcpy(copy, text, length);
    return copy;
}

void arena_fini(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;

        arena->chunks = chunk->next;
        OPENSSL_cleanse(chunk->data, chunk->used);
        free(chunk);
    }
}
