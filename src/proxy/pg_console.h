/* pg_console: a client that asks for the console (database pgbouncer or sluice): whether it may,
 * and its way to the main thread, which serves it. On the client's worker. */
#ifndef SLUICE_PROXY_PG_CONSOLE_H
#define SLUICE_PROXY_PG_CONSOLE_H

#include "pg_client.h"

/* True when its startup packet asks for the console. */
bool pg_console_wanted(const struct pg_client *client);

/* True for our own user, who needs no password there. */
bool pg_console_same_user(const struct pg_client *client);

/* Authenticated: hands it over, or sends it away; the client is gone when it returns. */
void pg_console_begin(struct pg_client *client);

#endif
