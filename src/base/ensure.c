#include "sluice/base/ensure.h"

#include <stdlib.h>

#include "sluice/base/log.h"

void ensure_failed(const char *condition, const char *file, int line)
{
    log_fatal("%s:%d: this must hold and does not: %s", file, line, condition);
    abort();
}
