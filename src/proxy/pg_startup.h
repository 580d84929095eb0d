/* pg_startup: the first messages of a client: its startup packet and its authentication. Part of
 * pg_client; same owner, same thread. */
#ifndef SLUICE_PROXY_PG_STARTUP_H
#define SLUICE_PROXY_PG_STARTUP_H

#include "pg_client.h"

/* Reads and steps while STARTUP or LOGIN. */
void pg_startup_run(struct pg_client *client);
void pg_startup_free(struct pg_client *client);
/* pg_startup_parameters.c: takes one of the startup packet; all have come; refuses what only
 * session mode could take. False: the client is closed. */
bool pg_startup_parameter(struct pg_client *client, const char *name, const char *value);
void pg_startup_parameters_end(struct pg_client *client);
bool pg_startup_parameters_supported(struct pg_client *client);

/* Forgets the SCRAM verifiers of plain secrets. */
void verifier_cache_clear(struct worker *worker);

#endif
