/* pg_loss: requests that fail here and not on a server: none could be had, or it was lost, or time
 * is up. The client keeps its connection wherever the protocol lets it: an ErrorResponse, then
 * ReadyForQuery. Part of pg_client; same thread. */
#ifndef SLUICE_PROXY_PG_LOSS_H
#define SLUICE_PROXY_PG_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct pg_client;
struct pool_failure;

/* Queues a ReadyForQuery. */
void pg_loss_ready(struct pg_client *client);

/* The request at the start of `in` cannot be served: tells it, and ignores the rest of it. */
void pg_loss_refuse(struct pg_client *client, const struct pool_failure *failure);

/* Its statement among those of others, which is not kept any more, has failed: tells it. */
void pg_loss_fail(struct pg_client *client, const struct pool_failure *failure);

/* It loses its server: whatever is owed is answered with the failure. usable: the server can be
 * drained, else it is closed. Returns false when the client had to be closed. */
bool pg_loss_server(struct pg_client *client, const struct pool_failure *failure, bool usable);

/* Tells a client of the session that it lost, in answer to its next request. */
void pg_loss_tell(struct pg_client *client, uint8_t type);

/* Answers a whole message while its transaction is aborted here. Returns false when more of the
 * message is needed. */
bool pg_loss_aborted_message(struct pg_client *client, uint8_t type, const uint8_t *body,
                             uint32_t length, bool whole);

#endif
