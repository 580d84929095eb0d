#include "sluice/wire/pg_description.h"

#include "sluice/wire/pg.h"

#define COLUMN_BYTES 18u /* behind its name */
#define TYPE_OFFSET 6u   /* behind table and number: type, its length, its modifier */
#define TYPE_BYTES 10u

/* FNV-1a. */
static uint32_t hash_add(uint32_t hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static uint32_t hash_begin(size_t length)
{
    uint8_t bytes[4];

    pg_put_u32(bytes, (uint32_t)length);
    return hash_add(2166136261u, bytes, sizeof(bytes));
}

static uint32_t hash_columns(const uint8_t *body, size_t have, size_t length)
{
    struct pg_reader reader = pg_reader_of(body, have);
    uint32_t hash = hash_begin(length);

    pg_read_u16(&reader);
    while (!reader.failed && pg_reader_left(&reader) > 0) {
        const uint8_t *name = reader.at, *field;

        pg_read_text(&reader);
        hash = hash_add(hash, name, (size_t)(reader.at - name));
        field = pg_read_bytes(&reader, COLUMN_BYTES);
        if (!reader.failed)
            hash = hash_add(hash, field + TYPE_OFFSET, TYPE_BYTES);
    }
    return hash;
}

void pg_description_take(struct pg_description *description, uint8_t type, const uint8_t *body,
                         size_t have, size_t length)
{
    uint32_t hash;

    if (type == PG_PARAMETER_DESCRIPTION) {
        hash = hash_add(hash_begin(length), body, have);
        description->params = hash ? hash : 1;
    } else if (type == PG_ROW_DESCRIPTION || type == PG_NO_DATA) {
        hash = type == PG_NO_DATA ? 1 : hash_columns(body, have, length);
        description->columns = hash ? hash : 1;
    }
}

bool pg_description_agrees(struct pg_description told, struct pg_description description)
{
    return (!told.params || told.params == description.params) &&
           (!told.columns || told.columns == description.columns);
}
