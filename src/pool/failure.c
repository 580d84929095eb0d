#include "sluice/pool/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sluice/wire/pg.h"

void pool_failure_set(struct pool_failure *failure, const char *sqlstate, const char *format, ...)
{
    va_list list;

    memset(failure, 0, sizeof(*failure));
    snprintf(failure->sqlstate, sizeof(failure->sqlstate), "%s", sqlstate);
    va_start(list, format);
    vsnprintf(failure->message, sizeof(failure->message), format, list);
    va_end(list);
}

void pool_failure_from(struct pool_failure *failure, const struct pg_error *error,
                       const char *sqlstate)
{
    pool_failure_set(failure, strlen(error->sqlstate) == 5 ? error->sqlstate : sqlstate, "%s",
                     error->message[0] ? error->message : "the server sent an error without words");
    snprintf(failure->detail, sizeof(failure->detail), "%s", error->detail);
    snprintf(failure->hint, sizeof(failure->hint), "%s", error->hint);
}
