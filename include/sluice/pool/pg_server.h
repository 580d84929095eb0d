/* pg_server: a server that speaks PostgreSQL's protocol: opening (names, sockets, login), our own
 * questions (check, reset, rollback), cancelling. While it is leased the proxy reads and writes its
 * stream itself and keeps the members below true. Belongs to its pool's worker. */
#ifndef SLUICE_POOL_PG_SERVER_H
#define SLUICE_POOL_PG_SERVER_H

#include "sluice/pool/pool.h"
#include "sluice/pool/prepared.h"
#include "sluice/wire/pg_pipeline.h"

struct pg_conn; /* libpq's PGconn */
struct pg_login;
struct pg_timing;
struct pg_cancel;

enum pg_question {
    PG_QUESTION_NONE,
    PG_QUESTION_CONNECT_QUERY,
    PG_QUESTION_CHECK,
    PG_QUESTION_RESET,
    PG_QUESTION_ROLLBACK,
};

struct pg_server {
    struct server base;
    struct pg_pipeline pipeline; /* what it still owes */
    struct prepared prepared;    /* statements that it has */
    struct params *params;       /* what it last reported */
    struct params *initial;      /* what it reported when it logged in */
    struct params *settings;     /* what a client has set that is not reported */
    struct buffer in;            /* the first bytes of a message whose rest has not come */
    uint32_t body_left;          /* of a message that is passed on or skipped in pieces */
    bool skip_body;              /* body_left is skipped */
    bool in_whole;               /* `in` may hold whole messages */
    bool unclean;                /* a client may have left what DISCARD ALL does away with */
    bool let_finish;             /* drained without a cancel: its client said goodbye */
    bool named_for_client;       /* its login carried the application_name of a client */
    bool owed_ready;             /* a ReadyForQuery was withheld from the client */
    uint8_t overdue; /* why the client's time is up (the proxy's); a cancel is under way. 0: not */
    uint64_t unnamed_client;     /* id of the client whose unnamed statement it has */
    bool retiring;               /* shared: takes no further statements, as somebody waits for it */
    uint32_t flights;            /* shared: statements on their way */
    uint64_t transaction_us;     /* when the present transaction began */
    char status;                 /* of the last ReadyForQuery: I, T or E */
    enum pg_question question;   /* what we have asked ourselves */
    struct pg_login *login;      /* while connecting and logging in */
    struct pg_cancel *cancel;    /* a cancel request is under way: not to be lent before it ends */
    struct pg_timing *timing;    /* the proxy's, of the present request; freed with the server */
    uint32_t process_id, secret; /* BackendKeyData */
    struct pg_conn *libpq;       /* of a server that libpq opened, or NULL */
    char *host;                  /* with TLS: what its certificate was compared with */
    char question_error[6];      /* SQLSTATE of what the question led to; "" = none */
};

extern const struct server_kind pg_server_kind;

/* What the stream of a server calls. */
void pg_server_stream_ready(struct stream *stream, unsigned what);

static inline struct pg_server *pg_server_of(struct server *server)
{
    return container_of(server, struct pg_server, base);
}

/* Told, once, when a cancel request can do nothing any more. Embedded in who asks. */
struct pg_cancel_notice {
    struct pg_cancel_notice *next;
    void (*over)(struct pg_cancel_notice *notice);
};

/* Asks the server to cancel what it runs. When a request is under way already, another one follows
 * it if the server is busy then. notice may be NULL. */
void pg_server_cancel(struct pg_server *pg, struct pg_cancel_notice *notice);

/* Shutting down: ends the requests that are under way; their servers are closed already. */
void pg_cancels_end(struct pools *pools);

/* Takes account of a ParameterStatus (body without type and length); false when malformed. */
bool pg_server_parameter(struct pg_server *pg, const uint8_t *body, size_t length);

/* What a client that asked for what the server's login carried (server.startup), but for no
 * application_name, is told of parameters. Held for the caller. */
struct params *pg_server_welcome(struct pg_server *pg);

/* Queues what gives the server these settings, in front of what is queued next; true when it needed
 * anything. The answer is owed as of a query of our own. */
bool pg_server_set(struct pg_server *pg, struct params *settings);

/* The same for parameters that servers report. Of settings and these, settings come first. */
bool pg_server_set_params(struct pg_server *pg, const struct params *params);

/* Keeps bytes that were read for a client which gives the server back, to be walked next. */
void pg_server_keep(struct pg_server *pg, const uint8_t *bytes, size_t length);

/* The client is done and the server free of requests: gives it back, after a cancel request that is
 * still under way has ended. */
void pg_server_give_back(struct pg_server *pg);

#endif
