/* pg_login: how a PostgreSQL server is opened: its hosts in turn, names, sockets, authentication.
 * Part of pg_server; same owner, same thread. */
#ifndef SLUICE_POOL_PG_LOGIN_H
#define SLUICE_POOL_PG_LOGIN_H

#include "sluice/pool/pg_server.h"

/* Makes a server that connects and logs in. Ends in pool_login_failed() (perhaps at once), or in
 * server_ready(). */
void pg_login_open(struct pool *pool, const struct waiter *waiter);

/* The stream's STREAM_CONNECTED. */
void pg_login_connected(struct pg_server *pg);

/* Readable while it is not known yet whether TLS is used: true, and the server may be closed. */
bool pg_login_dialling(struct pg_server *pg);

/* One whole message of the server while it logs in. False: the server has been closed. */
bool pg_login_message(struct pg_server *pg, uint8_t type, const uint8_t *body, size_t length);

/* The connection broke: tries the next address, or fails. */
void pg_login_lost(struct pg_server *pg, const char *why);

/* The server sent what is no message: fails. */
void pg_login_broken(struct pg_server *pg);

/* libpq has logged in (login=libpq): goes on with the server that it opened. */
void pg_login_adopted(struct pg_server *pg);

/* libpq could not: fails. */
void pg_login_refused(struct pg_server *pg, const struct pool_failure *failure);

/* pg_login_startup.c: writes the startup packet; returns its length. */
#define PG_LOGIN_STARTUP_BYTES (PARAMS_BYTES_MAX + 4096)
size_t pg_login_startup(const struct pg_server *pg, const struct conf_database *database,
                        const char *application_name, uint8_t bytes[PG_LOGIN_STARTUP_BYTES]);

/* Releases what the login holds; safe when there is none. */
void pg_login_free(struct pg_server *pg);

#endif
