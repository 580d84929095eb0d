/* pg_cancels: cancel requests, and the keys by which they name a client. A request goes by mailbox
 * to the worker of the client that is meant and back, or to the peer whose client it is.
 *
 * The process id of a key holds worker and slot, and the rest of it is random. Where there are
 * peers the secret holds the number of the process. Clients of protocol 3.2 get a longer secret,
 * whose rest nobody can make who does not know the key of this process. */
#ifndef SLUICE_PROXY_PG_CANCELS_H
#define SLUICE_PROXY_PG_CANCELS_H

#include <stddef.h>
#include <stdint.h>

struct pg_client;
struct pg_writer;

#define PG_CANCEL_REST_BYTES 28u /* of a longer secret, behind the 4 bytes of a short one */
/* The longest CancelRequest: what a peer forwards has a byte more. */
#define PG_CANCEL_REQUEST_BYTES (16 + PG_CANCEL_REST_BYTES + 1)

/* Sends on what a client asks for, which has sent nothing else and is closed when it is done: a
 * whole CancelRequest, as it came. */
void pg_cancels_request(struct pg_client *canceller, const uint8_t *request, size_t bytes);

/* It has said all that it has to say: only its end matters. */
void pg_cancels_run(struct pg_client *canceller);

/* Gives the client a key and writes BackendKeyData; takes it back when the client ends. Called by
 * pg_client only. */
void pg_cancels_slot_take(struct pg_client *client, struct pg_writer *writer);
void pg_cancels_slot_give(struct pg_client *client);

#endif
