/* pg_cancel: one CancelRequest to a server, on a connection of its own (protocol documentation,
 * "Canceling Requests in Progress"). It ends when the server closes that connection: from then on
 * the request cannot hit a later statement. Part of pg_server; same thread. */
#ifndef SLUICE_POOL_PG_CANCEL_H
#define SLUICE_POOL_PG_CANCEL_H

#include "sluice/pool/pg_server.h"

/* Starts; pg->cancel is set until done(pg) is called, or pg_cancel_abandon(). */
void pg_cancel_start(struct pg_server *pg, struct pg_cancel_notice *notice,
                     void (*done)(struct pg_server *pg));

/* Another request is wanted while one is under way. */
void pg_cancel_repeat(struct pg_server *pg, struct pg_cancel_notice *notice);

/* The server is being closed: the request goes on by itself, done() is not called. */
void pg_cancel_abandon(struct pg_server *pg);

#endif
