/* array: writes one value of a PostgreSQL array type, an element per key of a batch, into memory of
 * the caller's, such as a Bind message. One-dimensional, lower bound 1. Text and binary cannot mix
 * in one array: keys whose parameters differ in format go to different batches. Pure; belongs to
 * whoever fills it. Formats: array_in and array_recv of PostgreSQL (manual, 8.15.6). */
#ifndef SLUICE_BATCH_ARRAY_H
#define SLUICE_BATCH_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_BYTES_MIN 20 /* what array_init needs at least */

struct array {
    uint8_t *data;
    size_t size;
    size_t used; /* bytes, once finished the length of the value */
    uint32_t count;
    bool binary;
};

/* Memory is size bytes, at least ARRAY_BYTES_MIN. element_type is the OID of the element's type;
 * it matters in binary only. */
void array_init(struct array *array, void *memory, size_t size, bool binary, uint32_t element_type);

/* Appends a value as it stands in a client's Bind, bytes long, or a NULL if bytes is -1. In text
 * the bytes must be of an encoding that is safe by lookup_encoding_safe(), and the type's delimiter
 * a comma. False if it does not fit: then nothing was written. */
bool array_add(struct array *array, const void *value, int32_t bytes);

/* Completes the value and returns its length. */
size_t array_finish(struct array *array);

/* No array of `count` values with `bytes` in all, in either format, is longer than this. */
static inline size_t array_bytes_max(size_t count, size_t bytes)
{
    return ARRAY_BYTES_MIN + 5 * count + 2 * bytes;
}

#endif
