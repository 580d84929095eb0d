/* memory: allocation that cannot fail. A pooler out of memory cannot keep its promises, so it stops
 * with a clear line instead of checking at every call. Sizes that come from a peer are bounded by
 * the caller before they arrive here. Any thread. */
#ifndef SLUICE_BASE_MEMORY_H
#define SLUICE_BASE_MEMORY_H

#include <stddef.h>

/* Zeroed memory; release with free(). */
void *memory_new(size_t size);

/* Like realloc(); new bytes are not zeroed. */
void *memory_resize(void *memory, size_t size);

/* A copy of length bytes, with a NUL byte behind it. */
char *memory_text(const char *text, size_t length);

#endif
