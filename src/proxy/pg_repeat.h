/* pg_repeat: executing a prepared statement again when its server could not use it any more: the
 * tables had changed ("cached plan must not change result type"), or it had been deallocated where
 * we could not see it. Only a stretch of messages that is a transaction by itself, and of which
 * nothing has been answered, is repeated; so the client notices nothing. The messages are kept
 * until the first answer. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_REPEAT_H
#define SLUICE_PROXY_PG_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_client;

/* Before a message for a prepared statement is noted. renamed: it is one that the server is known
 * to have. True when the message is to be kept, with pg_repeat_keep(), as it is sent. */
bool pg_repeat_wants(struct pg_client *client, bool renamed, size_t bytes);

/* A piece of the message. */
void pg_repeat_keep(struct pg_client *client, const void *bytes, size_t length);

/* Another message is passed on; body: `have` bytes of `length`. */
void pg_repeat_passed(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                      size_t length);

/* Nothing of this stretch can be repeated any more. */
void pg_repeat_forget(struct pg_client *client);

/* An error, after it has been ticked off: true when it has been dealt with, and is not for the
 * client. */
bool pg_repeat_error(struct pg_client *client, const uint8_t *body, size_t length);

#endif
