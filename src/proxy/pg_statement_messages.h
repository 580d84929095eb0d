/* pg_statement_messages: messages about statements, queued for a client's server in the place of
 * its own. Where nothing else is said the caller notes them as sent. */
#ifndef SLUICE_PROXY_PG_STATEMENT_MESSAGES_H
#define SLUICE_PROXY_PG_STATEMENT_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_client;

/* A statement that no server ever has for long: closing it is answered, and does nothing. */
#define NO_STATEMENT "sluice"

/* Type and length; the body follows. */
void message_begin(struct pg_client *client, uint8_t type, size_t body_bytes);
void message_bytes(struct pg_client *client, const void *bytes, size_t length);

/* What has come of the client's own message, `have` bytes of `length`; notes it. */
void message_as_it_is(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                      size_t length);

void message_close(struct pg_client *client, const char *name);
void message_describe(struct pg_client *client, const char *name);

/* Closes NO_STATEMENT by a message of our own, and notes it. */
void message_close_none(struct pg_client *client);

/* rest: of the body, behind the name. */
void message_parse(struct pg_client *client, const char *name, const uint8_t *rest,
                   size_t rest_bytes);

/* SQL's PREPARE of that name, as SQL has it, by messages of our own; tail: of its text, behind the
 * name, with its NUL. Notes them. A Close of NO_STATEMENT is to follow. */
void message_prepare(struct pg_client *client, const char *name, const uint8_t *tail,
                     size_t tail_bytes);

/* own: its answer is not for the client. Notes it. */
void message_query(struct pg_client *client, const char *query, bool own);

#endif
