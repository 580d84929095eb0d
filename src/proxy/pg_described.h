/* pg_described: what a client has been told of its named prepared statements, by Describe. It reads
 * rows by that, so a statement whose result is another by now, as after ALTER TABLE, must not be
 * executed for it: it gets the error that PostgreSQL has for this (0A000), by which drivers prepare
 * anew. A server tells what a statement is there when it prepares it (pool/prepared.h); that and
 * what the client was told are compared at each Bind. A client that has the portal described in the
 * same request is told anew, and one that was never told expects nothing: for those nothing is
 * compared. For pg_statements.c. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_DESCRIBED_H
#define SLUICE_PROXY_PG_DESCRIBED_H

#include "pg_named.h"

/* STATEMENTS_REWRITE when the Bind may go to the server, or is to be refused there (then
 * pg_described_refuses() is true); STATEMENTS_SUPPLY when the server must tell first. */
enum pg_statements_verdict pg_described_bind(struct pg_client *client, const struct named *named,
                                             const char *portal, bool whole,
                                             struct pg_behind behind);
bool pg_described_refuses(const struct pg_client *client);

/* Has the server prepare and describe the statement, and answer at once. */
void pg_described_supply(struct pg_client *client, const struct named *named);

/* A Bind for it goes to the server. */
void pg_described_bound(struct pg_client *client, struct named *named, const char *portal);

/* The client's Describe of its statement is sent. */
void pg_described_asked(struct pg_client *client, struct named *named);

/* Another message of the client is passed on: how it has to be noted. */
uint8_t pg_described_note(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have);

/* True when messages of these types have to be seen whole now. */
bool pg_described_comes(const struct pg_client *client, uint8_t type);

/* A message of the answer to such a Describe, before it is ticked off: `have` bytes of `length`.
 * True when it is held back from the client until the next one comes. */
bool pg_described_take(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                       size_t length);

static inline bool pg_described_holds(const struct pg_client *client)
{
    return client->statements && buffer_length(&client->statements->held) > 0;
}

/* What is held back goes to the client, or is dropped. */
void pg_described_release(struct pg_client *client, bool drop);

/* The present answer, which the change was waiting for, is over. */
void pg_described_settle(struct pg_client *client, const struct change *change, bool done);

#endif
