#include "sluice/wire/resp_error.h"

#include "sluice/base/ensure.h"

static const char *const texts[] = {[RESP_ERROR_NONE] = "",
#define X(name, text) [RESP_ERROR_##name] = text,
                                    RESP_ERROR_ROWS(X)
#undef X
};

const char *resp_error_text(enum resp_error error)
{
    ensure(error > RESP_ERROR_NONE && error < RESP_ERRORS);
    return texts[error];
}
