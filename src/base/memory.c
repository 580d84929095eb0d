#include "sluice/base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"

void *memory_new(size_t size)
{
    void *memory = calloc(1, size);

    ensure(memory);
    return memory;
}

void *memory_resize(void *memory, size_t size)
{
    void *resized = realloc(memory, size);

    ensure(resized);
    return resized;
}

char *memory_text(const char *text, size_t length)
{
    char *copy = memory_new(length + 1);

    memcpy(copy, text, length);
    return copy;
}
