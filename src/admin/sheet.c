#include "sheet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/base/utf8.h"
#include "sluice/wire/pg.h"

#define DESCRIPTION_BYTES (SHEET_COLUMNS_MAX * 96)
#define ROW_BYTES 16384
#define NUMERIC_DIGITS_MAX 5 /* of 4 decimal ones each: an int64_t */

static struct cell *sheet_cell(struct sheet *sheet, const char *name, enum cell_type type)
{
    struct cell *cell = &sheet->cells[sheet->count++];

    ensure(sheet->count <= SHEET_COLUMNS_MAX);
    *cell = (struct cell){.name = name, .type = type};
    return cell;
}

void sheet_text(struct sheet *sheet, const char *name, const char *text)
{
    sheet_cell(sheet, name, CELL_TEXT)->text = text;
}

void sheet_int4(struct sheet *sheet, const char *name, int64_t number)
{
    sheet_cell(sheet, name, CELL_INT4)->number = number > INT32_MAX ? INT32_MAX : number;
}

void sheet_int8(struct sheet *sheet, const char *name, int64_t number)
{
    sheet_cell(sheet, name, CELL_INT8)->number = number;
}

void sheet_bytea_null(struct sheet *sheet, const char *name)
{
    sheet_cell(sheet, name, CELL_BYTEA)->number = CELL_NULL;
}

void sheet_numeric(struct sheet *sheet, const char *name, int64_t number)
{
    sheet_cell(sheet, name, CELL_NUMERIC)->number = number;
}

void sheet_end(struct sheet *sheet)
{
    sheet->row(sheet);
    sheet->count = 0;
}

void sheet_write_description(const struct sheet *sheet, struct stream *stream,
                             const uint16_t *formats)
{
    uint8_t bytes[DESCRIPTION_BYTES];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_begin(&writer, PG_ROW_DESCRIPTION);
    pg_write_u16(&writer, (uint16_t)sheet->count);
    for (unsigned i = 0; i < sheet->count; i++) {
        enum cell_type type = sheet->cells[i].type;
        int size = type == CELL_INT4 ? 4 : type == CELL_INT8 ? 8 : -1;

        pg_write_text(&writer, sheet->cells[i].name);
        pg_write_u32(&writer, 0); /* no table */
        pg_write_u16(&writer, 0);
        pg_write_u32(&writer, (uint32_t)type);
        pg_write_u16(&writer, (uint16_t)size);
        pg_write_u32(&writer, (uint32_t)-1);
        pg_write_u16(&writer, formats ? formats[i] : 0);
    }
    pg_end(&writer);
    ensure(!writer.failed);
    stream_queue(stream, bytes, writer.length);
}

/* A numeric in binary: digits of base 10,000, the first one's weight, sign, scale, digits. */
static void write_numeric(struct pg_writer *writer, int64_t number)
{
    uint16_t digits[NUMERIC_DIGITS_MAX];
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    unsigned count = 0;

    for (; rest > 0; rest /= 10000)
        digits[count++] = (uint16_t)(rest % 10000);
    pg_write_u32(writer, 8 + count * 2);
    pg_write_u16(writer, (uint16_t)count);
    pg_write_u16(writer, (uint16_t)(count ? count - 1 : 0));
    pg_write_u16(writer, number < 0 ? 0x4000 : 0);
    pg_write_u16(writer, 0);
    while (count-- > 0)
        pg_write_u16(writer, digits[count]);
}

static void write_binary(struct pg_writer *writer, const struct cell *cell)
{
    switch (cell->type) {
    case CELL_INT4:
        pg_write_u32(writer, 4);
        pg_write_u32(writer, (uint32_t)cell->number);
        break;
    case CELL_INT8:
        pg_write_u32(writer, 8);
        pg_write_u32(writer, (uint32_t)((uint64_t)cell->number >> 32));
        pg_write_u32(writer, (uint32_t)cell->number);
        break;
    case CELL_NUMERIC:
        write_numeric(writer, cell->number);
        break;
    case CELL_TEXT:
    case CELL_BYTEA:
        break;
    }
}

void sheet_write_row(const struct sheet *sheet, struct stream *stream, const uint16_t *formats)
{
    uint8_t bytes[ROW_BYTES];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_begin(&writer, PG_DATA_ROW);
    pg_write_u16(&writer, (uint16_t)sheet->count);
    for (unsigned i = 0; i < sheet->count; i++) {
        const struct cell *cell = &sheet->cells[i];
        char text[SHEET_TEXT_BYTES];
        size_t length;

        if (cell->type == CELL_TEXT ? !cell->text : cell->number == CELL_NULL) {
            pg_write_u32(&writer, (uint32_t)-1);
            continue;
        }
        if (cell->type != CELL_TEXT && formats && formats[i]) {
            write_binary(&writer, cell);
            continue;
        }
        if (cell->type == CELL_TEXT)
            length = utf8_show(cell->text, text, sizeof(text));
        else
            length = (size_t)snprintf(text, sizeof(text), "%" PRId64, cell->number);
        pg_write_u32(&writer, (uint32_t)length);
        pg_write_bytes(&writer, text, length);
    }
    pg_end(&writer);
    ensure(!writer.failed); /* a row has few long texts */
    stream_queue(stream, bytes, writer.length);
}
