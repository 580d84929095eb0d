/* pg_timing: what the present request of a client is and how long it takes: for the slow log, the
 * slowest statements of the dashboard and SHOW STATEMENTS. Kept with the server that the request is
 * on, so that idle clients cost nothing; the text is copied as far as it fits, and masked
 * (batch/mask.h) only when it is told. A request ends with ReadyForQuery; of what a client sends
 * before the first one of a pipeline has ended, the text is not known. Belongs to its worker. */
#ifndef SLUICE_PROXY_PG_TIMING_H
#define SLUICE_PROXY_PG_TIMING_H

#include "pg_client.h"

#define TIMING_TEXT_BYTES 1000
#define TIMING_BIND_BYTES 500

struct pg_timing {
    uint64_t waited_us; /* for the server */
    uint64_t rows;
    uint32_t errors, commands; /* that ended */
    bool begun;                /* it is known what the request is */
    uint16_t text_bytes, bind_bytes;
    char text[TIMING_TEXT_BYTES];
    uint8_t bind[TIMING_BIND_BYTES]; /* body of the Bind; only when parameters are to be logged */
};

/* The client has got its server. */
void pg_timing_attach(struct pg_client *client, uint64_t waited_us);

/* A message of the client that may begin a request, or tell more of it; body is what has come of
 * it. */
void pg_timing_message(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have);

/* How many rows the body of a CommandComplete tells of. */
uint64_t pg_timing_rows(const uint8_t *body, size_t length);

/* A command of it has ended: the body of CommandComplete. An error has. */
void pg_timing_command(struct pg_client *client, const uint8_t *body, size_t length);
void pg_timing_error(struct pg_client *client);

/* A request that was answered without a server of its client's: in a batch, or among others. */
struct pg_timed {
    const char *text;    /* not ended by a NUL */
    const uint8_t *bind; /* body of the Bind as far as its values; NULL: none */
    size_t text_bytes, bind_bytes;
    uint64_t waited_us, run_us, rows;
    bool failed;
};

/* Takes it up like those that ended with pg_timing_end(). Call only if statement_timings_wanted().
 */
void pg_timing_add(struct pg_client *client, const struct pg_timed *timed);

/* It is over, and took so long once it had its server. */
void pg_timing_end(struct pg_client *client, uint64_t run_us);

#endif
