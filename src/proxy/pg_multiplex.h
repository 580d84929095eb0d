/* pg_multiplex: autocommit statements of several clients on one server, each with its own Sync
 * (docs/multiplex.md). Which requests are such statements, and which server each goes to; how they
 * travel there is pg_share.h. One for each part of a pool; belongs to its worker.
 *
 * A statement goes to an idle server if there is one, else behind the fewest others, else its
 * client waits in the queue of the pool, marked as one that needs no server for itself. The request
 * stays in the client's `in` until it is answered. */
#ifndef SLUICE_PROXY_PG_MULTIPLEX_H
#define SLUICE_PROXY_PG_MULTIPLEX_H

#include "pg_client.h"
#include "pg_lookup_request.h"
#include "sluice/batch/literals.h"
#include "sluice/batch/share.h"

struct named;
struct pg_share;

/* What is known of a statement: by its key on servers, or by its text without its literals. */
struct pg_known {
    UT_hash_handle hh;     /* key: content */
    struct list_node node; /* of by_use */
    enum share_verdict verdict;
    uint32_t flights;        /* of it, on their way */
    uint64_t alone_until_us; /* its replies are long: until then it goes alone */
    size_t content_bytes;
    uint8_t content[];
};

#define MULTIPLEX_SEEN 4096

struct pg_multiplex {
    struct pool *pool;
    struct worker *worker;
    struct list shares, spare_shares, spare_flights;
    struct pg_known *known;         /* hash */
    struct list by_use;             /* the one used last first */
    struct params *none;            /* held: the empty set */
    struct params *params;          /* held: for these `readable` has been found out; NULL before */
    bool readable;                  /* texts under them can be read by our parser */
    uint32_t seen[MULTIPLEX_SEEN];  /* hashes of texts that came once */
    char shape[LITERALS_BYTES_MAX]; /* of the text looked for */
};

/* A request that may be sent among others. */
struct share_request {
    const uint8_t *bytes;
    size_t length;
    bool simple;               /* it is a Query */
    const char *text;          /* of a Query or Parse, with its NUL; NULL: `named` is executed */
    const struct named *named; /* of the client */
    struct lookup_request extended;
    struct pg_known *known;
};

/* The bytes are what a client between transactions has sent, from the beginning of a message. True
 * when they are a statement that is on its way now, or waits for room: they are to be kept in `in`.
 */
bool pg_multiplex_take(struct pg_client *client, const uint8_t *bytes, size_t length);

/* A client that waits gets this leased server. True when its statement goes there with others. */
bool pg_multiplex_granted(struct pg_client *client, struct server *server);

/* The client's statement is on its way no more as far as the client goes: its replies are nobody's.
 * Does nothing for a client that has none. */
void pg_multiplex_leave(struct pg_client *client);

/* The pools of this name (NULL: all) have no clients left, and their servers are about to be
 * closed: what some of them still run is nobody's. */
void pg_multiplex_abandon(struct pools *pools, const char *name);

/* True when it has half a message of its reply: nothing else can be told to it. */
bool pg_multiplex_half_told(const struct pg_client *client);

/* Cancels the client's statement. True when a server is asked to: the notice is told then. */
bool pg_multiplex_cancel(struct pg_client *client, struct pg_cancel_notice *notice);

/* The client has taken what was kept for it. */
void pg_multiplex_taken(struct pg_client *client);

/* The server that the client's statement is on. */
const struct pg_server *pg_multiplex_server(const struct pg_client *client);

/* --- for pg_share.c --- */

/* What the client has set that servers do not report. */
static inline struct params *multiplex_settings(const struct pg_multiplex *multiplex,
                                                const struct pg_client *client)
{
    return client->session && client->session->settings ? client->session->settings
                                                        : multiplex->none;
}

/* Takes what waits and may go there; then decides whether the server takes more. */
void multiplex_fill(struct pg_share *share);

/* --- pg_multiplex_known.c --- */

/* Reads the request; false: it has not the form, or the client has no such name. */
bool share_request_read(struct share_request *request, struct pg_client *client,
                        const uint8_t *bytes, size_t length);

/* Finds out request->known, which is NULL for a text that came for the first time, or that cannot
 * be read. */
void multiplex_know(struct pg_multiplex *multiplex, struct pg_client *client,
                    struct share_request *request);

void multiplex_forget_all(struct pg_multiplex *multiplex);

#endif
