/* pg_share: a server that carries statements of several clients, and those statements ("flights")
 * in the order in which they were sent, which is the order of their replies. It exists while
 * something is on its way; then the server is idle again. Belongs to its multiplex's worker.
 *
 * Nothing is sent behind a statement that may change data or wait for others (SHARE_LAST), so
 * whatever has others behind it can be given up without a trace: its replies are swallowed. */
#ifndef SLUICE_PROXY_PG_SHARE_H
#define SLUICE_PROXY_PG_SHARE_H

#include "pg_multiplex.h"

struct pg_flight {
    struct list_node node;    /* of share->flights; while spare, of multiplex->spare_flights */
    struct pg_client *client; /* NULL: it has left */
    struct pg_share *share;
    struct pg_known *known;
    struct pg_cancel_notice *notice; /* to be cancelled when its turn comes */
    uint64_t reply_bytes;            /* passed on so far */
    uint64_t rows;                   /* that its CommandComplete told of */
    uint64_t asked_us;               /* since when its client waits for it */
    uint32_t request_bytes;          /* kept in the client's `in` */
    bool named, parses, binds, failed;
};

struct pg_share {
    struct list_node node; /* of multiplex->shares; while spare, of multiplex->spare_shares */
    struct pg_multiplex *multiplex;
    struct pg_server *server;
    struct params *params, *settings; /* held: under which its statements run */
    struct list flights;
    size_t live;       /* of these, those with a client */
    uint64_t front_us; /* when the first of them began to be the first */
    struct task flush;
    unsigned setting;    /* queries of our own in front, unanswered */
    bool closed_behind;  /* the last flight takes nothing behind it */
    bool stalled;        /* the present first one has been counted as a stall */
    bool spoilt;         /* a statement has changed the session */
    bool slow;           /* not read before the first one's client has taken more */
    size_t slow_pending; /* of that client, at the last look */
    uint64_t slow_since_us;
};

/* Takes over a leased server, for clients whose session parameters and settings are this one's. */
struct pg_share *share_new(struct pg_multiplex *multiplex, struct server *server,
                           struct pg_client *client);

/* True when it is for such clients, and when it may take one more statement now. */
bool share_suits(const struct pg_share *share, const struct pg_client *client);
bool share_takes(struct pg_share *share);

/* True when the server has the prepared statement that the request executes, and that is what its
 * client was told. */
bool share_prepared(const struct pg_server *pg, const struct share_request *request);

/* Queues the request for the server; the client's state is SHARING then. */
void share_send(struct pg_share *share, struct pg_client *client,
                const struct share_request *request);

/* Its server is about to be closed, and it has no clients. */
void share_abandon(struct pg_share *share);

/* A client leaves. When nobody is left the share is over, its server drained. */
void share_leave(struct pg_flight *flight);

/* The first flight has its whole reply, or its replies are all swallowed. */
void share_pop(struct pg_share *share);

/* Nothing is on its way: gives the server back. `rest` is what was read behind the last message. */
void share_end(struct pg_share *share);

/* The server is of no use any more: each statement on its way has failed. */
void share_lost(struct pg_share *share, const struct pool_failure *failure);

/* The first flight's statement has to go the ordinary way; nothing was told of it yet. */
void share_ask_alone(struct pg_flight *flight);

/* What was set in front of the first flight is answered. */
void share_set_done(struct pg_share *share);

static inline struct pg_flight *share_front(const struct pg_share *share)
{
    struct list_node *node = list_first(&share->flights);

    return node ? container_of(node, struct pg_flight, node) : NULL;
}

/* pg_share_replies.c: what the server's stream and timer call. */
void share_ready(struct server *server, unsigned what);
void share_overdue(struct server *server);

/* The client of the first flight has taken more, or has left: the server may be read again. */
void share_unslow(struct pg_share *share);

#endif
