/* pg_unnamed: whose the unnamed prepared statement of a server is. It outlives the transaction in
 * which it was parsed, so the next client that has the server could bind it without having parsed
 * one. For such a client there is none. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_UNNAMED_H
#define SLUICE_PROXY_PG_UNNAMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_client;

/* True for a Bind or Describe of this statement when it is the unnamed one and not this client's:
 * it is to be closed first, with pg_unnamed_close(). */
bool pg_unnamed_foreign(const struct pg_client *client, uint8_t type, const char *name);
void pg_unnamed_close(struct pg_client *client);

/* An unnamed Parse of the client's is passed on. */
void pg_unnamed_parsed(struct pg_client *client);

#endif
