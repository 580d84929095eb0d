/* pg_repeat: executing a prepared statement again when its server could not use it any more: the
 * tables had changed ("cached plan must not change result type"), or it had been deallocated where
 * we could not see it. Only a stretch of messages that is a transaction by itself, and of which
 * nothing has been answered, is repeated; so the client notices nothing. The messages are kept
 * until the first answer; then they are dealt with as if the client had sent them again, so that
 * what it was told of the statement (pg_described.h) counts. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_REPEAT_H
#define SLUICE_PROXY_PG_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_client;

/* Before a Bind or Describe for a prepared statement is sent; sure: the server is known to have it.
 * body: `have` bytes of `length`. */
void pg_repeat_used(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                    size_t length, bool sure);

/* Before a whole Query that executes a prepared statement, which the server has, and nothing else
 * is sent. */
void pg_repeat_query(struct pg_client *client, const uint8_t *body, size_t length);

/* Another message is passed on. */
void pg_repeat_passed(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                      size_t length);

/* Nothing of this stretch can be repeated any more. */
void pg_repeat_forget(struct pg_client *client);

/* An error, after it has been ticked off: true when it has been dealt with, and is not for the
 * client. */
bool pg_repeat_error(struct pg_client *client, const uint8_t *body, size_t length);

#endif
