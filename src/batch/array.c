#include "sluice/batch/array.h"

#include "sluice/base/ensure.h"

#include <arpa/inet.h>
#include <string.h>

#define HEADER_BYTES \
    20                 /* dimensions, flags, element type, then length and lower bound of the one */
#define EMPTY_BYTES 12 /* an array of no dimension ends before the latter two */
#define NULLS_AT 4
#define COUNT_AT 12

static void put32(struct array *array, size_t at, uint32_t value)
{
    value = htonl(value);
    memcpy(array->data + at, &value, sizeof(value));
}

void array_init(struct array *array, void *memory, size_t size, bool binary, uint32_t element_type)
{
    ensure(size >= ARRAY_BYTES_MIN);
    *array = (struct array){.data = memory, .size = size, .binary = binary};
    if (binary) {
        put32(array, 0, 1);
        put32(array, NULLS_AT, 0);
        put32(array, 8, element_type);
        put32(array, 16, 1);
        array->used = HEADER_BYTES;
    } else {
        array->data[0] = '{';
        array->used = 1;
    }
}

static bool add_binary(struct array *array, const void *value, int32_t bytes)
{
    size_t length = bytes < 0 ? 0 : (size_t)bytes;

    if (array->size - array->used < 4 || array->size - array->used - 4 < length)
        return false;
    put32(array, array->used, (uint32_t)bytes);
    if (bytes < 0)
        put32(array, NULLS_AT, 1);
    else if (length > 0)
        memcpy(array->data + array->used + 4, value, length);
    array->used += 4 + length;
    return true;
}

/* Every value is quoted, so that nothing in it but the quote and the backslash has a meaning. */
static bool add_text(struct array *array, const char *value, int32_t bytes)
{
    uint8_t *to = array->data + array->used;
    uint8_t *end = array->data + array->size - 1; /* of what may be used before the last brace */

    if (end - to < (array->count > 0) + (bytes < 0 ? 4 : 2))
        return false;
    if (array->count > 0)
        *to++ = ',';
    if (bytes < 0) {
        memcpy(to, "NULL", 4);
        to += 4;
    } else {
        *to++ = '"';
        for (const char *from = value; from < value + bytes; from++) {
            bool escape = *from == '"' || *from == '\\';

            if (end - to < 2 + escape)
                return false;
            if (escape)
                *to++ = '\\';
            *to++ = (uint8_t)*from;
        }
        *to++ = '"';
    }
    array->used = (size_t)(to - array->data);
    return true;
}

bool array_add(struct array *array, const void *value, int32_t bytes)
{
    bool added;

    ensure(bytes >= -1);
    added = array->binary ? add_binary(array, value, bytes) : add_text(array, value, bytes);
    array->count += added;
    return added;
}

size_t array_finish(struct array *array)
{
    if (!array->binary) {
        array->data[array->used++] = '}';
    } else if (array->count > 0) {
        put32(array, COUNT_AT, array->count);
    } else {
        put32(array, 0, 0);
        array->used = EMPTY_BYTES;
    }
    return array->used;
}
