/* pg_lookup_request: recognises a request that can be a lookup by its messages alone: one statement
 * bound, executed to its end and synced, with nothing else between. Pure; any thread; what is found
 * points into the bytes given. Protocol documentation, "Extended Query". */
#ifndef SLUICE_PROXY_PG_LOOKUP_REQUEST_H
#define SLUICE_PROXY_PG_LOOKUP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values in all of one request, with their lengths; longer ones are no lookups. */
#define LOOKUP_VALUES_BYTES_MAX 8192u

struct lookup_request {
    bool simple; /* a Query (pg_lookup_forms.h): its values do not stand in the bytes */
    const uint8_t *statement; /* of a Parse in front, from the text on; NULL: `name` is prepared */
    size_t statement_bytes;
    const char *name;
    bool describes_statement, describes_portal;
    unsigned params;
    const uint8_t *param_formats; /* of Bind, as they stand there: two bytes each */
    unsigned param_formats_count;
    const uint8_t *bind;   /* body of Bind */
    const uint8_t *values; /* of Bind: length and bytes of each parameter */
    size_t values_bytes;
    const uint8_t *result_formats;
    unsigned result_formats_count;
    size_t bytes; /* of the whole request */
};

/* True when the bytes are exactly one such request:
 *     [Parse of the unnamed statement] [Describe of the statement] Bind [Describe of the portal]
 *     Execute without a limit, Sync
 * The statement of a Parse is checked to be well-formed: text, NUL, number of types, types. */
bool lookup_request_read(struct lookup_request *request, const uint8_t *bytes, size_t length);

#endif
