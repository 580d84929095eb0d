#include "sluice/auth/error.h"

#include <stdarg.h>
#include <stdio.h>

void auth_error_set(struct auth_error *error, const char *sqlstate, const char *format, ...)
{
    va_list list;

    error->sqlstate = sqlstate;
    error->reason = NULL;
    error->detail[0] = '\0';
    va_start(list, format);
    vsnprintf(error->message, sizeof(error->message), format, list);
    va_end(list);
}

void auth_error_detail(struct auth_error *error, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(error->detail, sizeof(error->detail), format, list);
    va_end(list);
}
