/* pg_libpq: servers that libpq opens (login=libpq in a database's line): for Kerberos, service and
 * pass files, and whatever else only libpq knows. libpq connects and logs in, in a helper thread,
 * since names and Kerberos block; then the connection is adopted: Sluice reads and writes the
 * socket itself, under TLS through libpq's own SSL. The one place that knows libpq. Part of
 * pg_server; same owner, same thread. */
#ifndef SLUICE_POOL_PG_LIBPQ_H
#define SLUICE_POOL_PG_LIBPQ_H

#include "sluice/pool/pg_server.h"

struct pg_libpq_terms {
    const struct conf *conf;
    const struct conf_database *database;
    const char *password;         /* NULL: none known */
    const struct params *startup; /* of the client that it is opened for, or NULL */
    const char *application_name; /* NULL: none */
};

/* A login or a cancel request under way. */
struct pg_libpq_call;

/* Opens the server. Ends in pg_login_adopted() or pg_login_refused(), unless abandoned. NULL: there
 * can be no thread. */
struct pg_libpq_call *pg_libpq_open(struct pg_server *pg, const struct pg_libpq_terms *terms);

/* Sends a cancel request for a server that libpq opened: its key is libpq's. Ends in done(owner),
 * unless abandoned. NULL: it cannot be sent. */
struct pg_libpq_call *pg_libpq_cancel(struct pg_server *pg, void (*done)(void *owner), void *owner);

/* Nobody waits for it any more. NULL does nothing. */
void pg_libpq_abandon(struct pg_libpq_call *call);

/* Behind the stream's end: what libpq has of it. Does nothing to servers that it did not open. */
void pg_libpq_close(struct pg_server *pg);

#endif
