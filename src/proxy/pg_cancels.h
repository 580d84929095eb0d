/* pg_cancels: cancel requests, and the keys by which they name a client: the slot of its worker,
 * and a secret. A request goes by mailbox to the worker of the client that is meant, and back. */
#ifndef SLUICE_PROXY_PG_CANCELS_H
#define SLUICE_PROXY_PG_CANCELS_H

#include <stdint.h>

struct pg_client;

/* Sends on what a client asks for, which has sent nothing else and is closed when it is done. */
void pg_cancels_request(struct pg_client *canceller, uint32_t process_id, uint32_t secret);

/* It has said all that it has to say: only its end matters. */
void pg_cancels_run(struct pg_client *canceller);

/* The key of a client, and its end; called by pg_client only. */
void pg_cancels_slot_take(struct pg_client *client);
void pg_cancels_slot_give(struct pg_client *client);
uint32_t pg_cancels_process_id(const struct pg_client *client);

#endif
