/* pg_errors: the table of what Sluice itself tells PostgreSQL clients (pg_errors.def). Constant;
 * any thread. */
#ifndef SLUICE_PROXY_PG_ERRORS_H
#define SLUICE_PROXY_PG_ERRORS_H

#include "sluice/pool/pool.h"

enum pg_error_code {
#define ERROR(name, sqlstate, text) PG_ERROR_##name,
#include "pg_errors.def"
#undef ERROR
    PG_ERROR_COUNT
};

/* The row in the form in which all failures are told. */
const struct pool_failure *pg_error_row(enum pg_error_code code);

#endif
