/* json: texts that peers have made up, as JSON. The only place beside the pages that knows jansson.
 * Main thread. */
#ifndef SLUICE_ADMIN_JSON_H
#define SLUICE_ADMIN_JSON_H

#include <jansson.h>

#include "sheet.h"
#include "sluice/base/utf8.h"

/* A string, as utf8_show() has it and no longer than the console's; null for NULL. */
static inline json_t *json_of_text(const char *text)
{
    char shown[SHEET_TEXT_BYTES];

    if (!text)
        return json_null();
    return json_stringn(shown, utf8_show(text, shown, sizeof(shown)));
}

#endif
