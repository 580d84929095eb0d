#include "pg_errors.h"

static const struct pool_failure rows[PG_ERROR_COUNT] = {
#define ERROR(name, code, text) {.sqlstate = code, .message = text},
#include "pg_errors.def"
#undef ERROR
};

const struct pool_failure *pg_error_row(enum pg_error_code code)
{
    return &rows[code];
}
