/* pg_statements: the named prepared statements of one client in transaction and statement mode:
 * which statement each of its names means, and the messages Parse, Bind, Describe and Close
 * rewritten for whichever server it has. How: docs/prepared_statements.md. A change of the map is
 * undone when the server turns out to have skipped the message. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_STATEMENTS_H
#define SLUICE_PROXY_PG_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_client;
struct pg_statement;

/* What was read behind a message. */
struct pg_behind {
    const uint8_t *bytes;
    size_t length;
};

enum pg_statements_verdict {
    STATEMENTS_PASS,     /* the message goes to the server as it is */
    STATEMENTS_REWRITE,  /* call pg_statements_rewrite() in its place */
    STATEMENTS_SUPPLY,   /* call pg_statements_supply_first(); then as WAIT */
    STATEMENTS_COLLECT,  /* call pg_statements_collect() with all of its body, in pieces */
    STATEMENTS_MORE,     /* more of it is needed */
    STATEMENTS_TOO_LONG, /* it is more than a client may have */
    STATEMENTS_WAIT,     /* not before the server has answered */
};

/* Decides about one message of a client that has a server; body is what has come of it, `have`
 * bytes of `length`, and `behind` what has been read behind it. Sends nothing. */
enum pg_statements_verdict pg_statements_look(struct pg_client *client, uint8_t type,
                                              const uint8_t *body, size_t have, size_t length,
                                              struct pg_behind behind);

/* Queues for the server what has come of the message, rewritten, with all that has to go in front
 * of it, and notes it as sent. */
void pg_statements_rewrite(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                           size_t length);

/* Has the server prepare what this message needs, and tell what it is there, before that is sent.
 */
void pg_statements_supply_first(struct pg_client *client, uint8_t type, const uint8_t *body,
                                size_t have, size_t length);

/* A piece of a Parse too long to be seen at once. */
void pg_statements_collect(struct pg_client *client, const uint8_t *piece, size_t bytes, bool last);

/* A message is passed on as it is; only what changes prepared statements matters here. Notes it as
 * sent. */
void pg_statements_passed(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                          size_t length);

/* Makes sure that the server has the statement: queues a Parse when it is not known to. */
void pg_statements_supply(struct pg_client *client, struct pg_statement *statement);

/* Closes what has to go before the statement is prepared, and itself when it may be there. */
void pg_statements_make_room(struct pg_client *client, const struct pg_statement *statement);

/* The server's last reply ended requests that are noted (pg_pipeline.noted_over). */
void pg_statements_settle(struct pg_client *client);

/* An ErrorResponse, before pg_statements_settle(). True when it named a statement by its name on
 * the server: it has been queued for the client with the client's name. */
bool pg_statements_error(struct pg_client *client, const uint8_t *body, size_t length);

/* A CommandComplete. */
void pg_statements_command(struct pg_client *client, const uint8_t *body, size_t length);

/* The client loses its server: what is not answered has not happened. */
void pg_statements_abandon(struct pg_client *client);

void pg_statements_free(struct pg_client *client);

/* How many it has. */
size_t pg_statements_count(const struct pg_client *client);

#endif
