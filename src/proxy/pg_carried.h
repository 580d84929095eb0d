/* pg_carried: SQL's PREPARE and EXECUTE in transaction and statement mode. The names that PREPARE
 * gives are names of prepared statements like those of the protocol, kept in the same map
 * (pg_named.h); on servers the statement has the name made from its content, and the names in the
 * client's texts are written anew. What cannot be written anew, such as EXPLAIN EXECUTE, needs the
 * client's own names on its server: they are given there, and the server stays with the client
 * (pg_session.h). For pg_statements.c. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_CARRIED_H
#define SLUICE_PROXY_PG_CARRIED_H

#include "pg_named.h"
#include "sluice/batch/prepare.h"

/* True when a Query is to be looked at. */
static inline bool pg_carried_comes(const struct pg_client *client, const uint8_t *body,
                                    size_t have)
{
    return prepare_begins((const char *)body, have) ||
           (client->statements &&
            (client->statements->sql_count > 0 || client->statements->readied));
}

/* A Query: STATEMENTS_PASS, _MORE, _WAIT; _SUPPLY, for pg_carried_supply(); or _REWRITE, for
 * pg_carried_rewrite(). */
enum pg_statements_verdict pg_carried_look(struct pg_client *client, const uint8_t *body,
                                           size_t have, size_t length);

/* The text of a Parse, up to a NUL or the end of what has come: the same, without _REWRITE. */
enum pg_statements_verdict pg_carried_look_at_parse(struct pg_client *client, const uint8_t *text,
                                                    const uint8_t *end);

/* Has the server prepare what the message needs. */
void pg_carried_supply(struct pg_client *client, uint8_t type);

/* Queues the Query, rewritten, and notes it as sent. */
void pg_carried_rewrite(struct pg_client *client, const uint8_t *body, size_t length);

/* An ErrorResponse: true when it told a position in a text that was written anew; it has been
 * queued for the client with the position in its own. */
bool pg_carried_error(struct pg_client *client, const uint8_t *body, size_t length);

/* ReadyForQuery of the client's. */
static inline void pg_carried_ready(struct pg_client *client)
{
    if (client->statements)
        client->statements->shift = 0;
}

#endif
