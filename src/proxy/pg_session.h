/* pg_session: what a client leaves in its session beyond a transaction, in transaction and
 * statement mode. A statement that may leave something makes its client suspect; when the
 * transaction is over the server is asked, in a query of our own, what there is now. So rolled back
 * and local settings, savepoints and partial failures need no rules here. Settings then follow the
 * client to whichever server it gets; what cannot follow pins the server to the client until the
 * server says that it is gone. How: docs/session_state.md. Belongs to its client. */
#ifndef SLUICE_PROXY_PG_SESSION_H
#define SLUICE_PROXY_PG_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct params;
struct pg_client;
struct pool_failure;

/* The question under way. */
struct pg_ask {
    struct params *settings; /* that the server has told */
    uint16_t kinds;          /* EFFECT_ bits: what was asked about */
    uint16_t found;          /* what there is */
    uint8_t attempts;
    bool failed;
};

/* A client has none before its first statement that matters. */
struct pg_session {
    struct params
        *settings;         /* that follow the client; values as settings_difference() wants them */
    struct params *dotted; /* names of settings with a dot, which no server lists; NULL: none */
    struct pg_ask *ask;    /* NULL: none is under way */
    uint64_t pinned_us;    /* since when */
    uint16_t pinned;       /* EFFECT_ bits: why its server stays with it; 0: it does not */
    uint16_t suspect;      /* EFFECT_ bits: what its transaction may have left */
    bool reset;            /* it may have reset what it asked for at login */
    bool restoring;        /* that is being set again */
    bool setting;          /* its settings are being set on its server */
};

/* At login the client asks for a setting that servers do not report: it is one that the client has
 * set. False: it cannot be followed. */
bool pg_session_want(struct pg_client *client, const char *name, const char *value);

/* The client has got a server: has it take up the client's settings, in the next write. */
void pg_session_attach(struct pg_client *client);

/* A Query, Parse or FunctionCall is passed on; body: `have` bytes of `length`. */
void pg_session_look(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                     size_t length);

/* True when the message has to be whole before it is passed on. */
bool pg_session_wants_more(const struct pg_client *client, uint8_t type, size_t have,
                           size_t length);

/* True when our parser reads the text, whose last byte is its NUL, as a server does. */
bool pg_session_readable(const struct pg_client *client, const char *text, size_t bytes);

/* True when what has this EFFECT_ pins a server. */
bool pg_session_pins(const struct pg_client *client, unsigned effect);

/* What executing a statement with this text may begin, EFFECT_ bits, and above these what it may
 * end. */
uint32_t pg_session_effects(struct pg_client *client, const uint8_t *text, size_t have,
                            size_t length);

/* A statement with these effects may be executed. */
void pg_session_suspect(struct pg_client *client, uint32_t effects);

/* The tag of a CommandComplete. */
void pg_session_command(struct pg_client *client, const uint8_t *tag, size_t length);

/* ReadyForQuery of a request of the client's: what it has reset gets the values that the client
 * asked for at login, as it would on a connection of its own. */
void pg_session_restore(struct pg_client *client);

/* Its server is at rest: asks it when there is something to ask. True when it did. */
bool pg_session_ask(struct pg_client *client);

/* Replies to the question: a DataRow; an error; ReadyForQuery. The last returns NULL, or why the
 * session cannot go on. */
void pg_session_row(struct pg_client *client, const uint8_t *body, size_t length);
void pg_session_failed(struct pg_client *client);
const struct pool_failure *pg_session_answered(struct pg_client *client);

/* The client is leaving its server, or losing it. True when something of its session goes with it.
 */
bool pg_session_leave(struct pg_client *client);

void pg_session_free(struct pg_client *client);

/* "temporary tables, LISTEN": why a server is pinned. */
#define PG_SESSION_REASONS_BYTES 192
const char *pg_session_reasons(unsigned pinned, char text[PG_SESSION_REASONS_BYTES]);

#endif
