/* sheet: rows of one table on their way to a reader: DataRows for a console client, objects for
 * JSON. A table's row function names each column once, with its type and value, in the order of the
 * columns; the same function describes the table when it is given an empty row. Main thread. */
#ifndef SLUICE_ADMIN_SHEET_H
#define SLUICE_ADMIN_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/base/clock.h"
#include "sluice/net/stream.h"

#define SHEET_COLUMNS_MAX 40
/* A text is no longer, with a zero byte. */
#define SHEET_TEXT_BYTES 4096

/* Their numbers are those of PostgreSQL's catalog pg_type. */
enum cell_type {
    CELL_BYTEA = 17,
    CELL_INT8 = 20,
    CELL_INT4 = 23,
    CELL_TEXT = 25,
    CELL_NUMERIC = 1700
};

#define CELL_NULL INT64_MIN

struct cell {
    const char *name;
    enum cell_type type;
    const char *text; /* CELL_TEXT; NULL = NULL */
    int64_t number;   /* the others; CELL_NULL = NULL */
};

struct sheet {
    struct cell cells[SHEET_COLUMNS_MAX];
    unsigned count;
    /* Takes one finished row. */
    void (*row)(struct sheet *sheet);
    void *owner;
};

/* One column each of the row that is being made. Texts live until the row is finished; bytes in
 * them that are no UTF-8 are told by their numbers, as \xff. */
void sheet_text(struct sheet *sheet, const char *name, const char *text);
void sheet_int4(struct sheet *sheet, const char *name, int64_t number);
void sheet_int8(struct sheet *sheet, const char *name, int64_t number);
void sheet_bytea_null(struct sheet *sheet, const char *name);
void sheet_numeric(struct sheet *sheet, const char *name, int64_t number);

/* The row is whole: hands it on. */
void sheet_end(struct sheet *sheet);

/* The messages of PostgreSQL's protocol. formats: 0 text, 1 binary, for each column. */
void sheet_write_description(const struct sheet *sheet, struct stream *stream,
                             const uint16_t *formats);
void sheet_write_row(const struct sheet *sheet, struct stream *stream, const uint16_t *formats);

#endif
