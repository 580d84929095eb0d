/* http: a client of the stats port on 127.0.0.1, which can also say what no browser would. */
#ifndef TESTS_HARNESS_HTTP_H
#define TESTS_HARNESS_HTTP_H

#include <stdbool.h>
#include <stdint.h>

/* A connection. */
int http_open(uint16_t port);
int http_open_unix(const char *path);

/* All that comes back on it until the end; closes it. The answer lives until the next call of any
 * of these. */
char *http_rest(int fd);

/* True when somebody listens there. */
bool http_try(uint16_t port);

/* Sends a request; all that comes back until the end. The answer lives until the next call. */
char *http_ask(uint16_t port, const char *request);

/* The same, saying at once that nothing follows (half-closed). */
char *http_ask_and_end(uint16_t port, const char *request);

/* The same for a GET of the path. */
char *http_get(uint16_t port, const char *path);

/* An answer's body. */
const char *http_body(const char *answer);

#endif
