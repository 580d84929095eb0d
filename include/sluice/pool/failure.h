/* failure: why a client does not get what it wants of a server: what the server said, or our own
 * words in the same form. A plain value. */
#ifndef SLUICE_POOL_FAILURE_H
#define SLUICE_POOL_FAILURE_H

struct pg_error;

struct pool_failure {
    char sqlstate[6]; /* "REDIS": the message is what a Redis server said, word for word */
    char message[512];
    char detail[256];
    char hint[256];
};

/* Our own words; what is too long is cut. */
void pool_failure_set(struct pool_failure *failure, const char *sqlstate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What a PostgreSQL server said; sqlstate is for an error that has none, or no message. */
void pool_failure_from(struct pool_failure *failure, const struct pg_error *error,
                       const char *sqlstate);

#endif
