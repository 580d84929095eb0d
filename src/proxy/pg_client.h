/* pg_client: a client that speaks PostgreSQL's protocol, from accept to close. The life of one is
 * the table of states in pg_client.c; the files beside it are the stretches of its way:
 *     pg_startup.c   startup packet, authentication
 *     pg_startup_parameters.c  what the startup packet asks for
 *     pg_welcome.c   limits, its pool, its worker, what it is told before its first query
 *     pg_requests.c  what it sends, on its way to a server
 *     pg_statements.c its named prepared statements
 *     pg_carried.c   SQL's PREPARE and EXECUTE
 *     pg_session.c   what it leaves in its session
 *     pg_replies.c   what the server sends, on its way back
 *     pg_lookups.c   lookups of many clients, asked together
 *     pg_multiplex.c statements of many clients, on one server
 *     pg_loss.c      requests that fail here: no server, a lost one, timeouts
 *     pg_cancels.c   cancel requests
 * Belongs to its worker; moves once at most, at login. */
#ifndef SLUICE_PROXY_PG_CLIENT_H
#define SLUICE_PROXY_PG_CLIENT_H

#include "pg_errors.h"
#include "pg_session.h"
#include "pg_statements.h"
#include "sluice/auth/check.h"
#include "sluice/pool/pg_server.h"
#include "sluice/proxy/worker.h"

/* What is left of a request that has failed here is ignored, as a server would. */
enum pg_ignoring {
    IGNORE_NOTHING,
    IGNORE_ONE,     /* the next Query or FunctionCall, which has failed already */
    IGNORE_TO_SYNC, /* all up to the next Sync */
};

/* A transaction that was lost with its server is over, but the client has to end it. */
enum pg_aborted {
    ABORTED_NOT,
    ABORTED,
    ABORTED_ENDING, /* the client has parsed the statement that ends it */
};

enum pg_client_state {
    PG_CLIENT_STARTUP,    /* its startup packet has not come */
    PG_CLIENT_CANCELLING, /* it is a cancel request, on its way to whom it means */
    PG_CLIENT_LOGIN,      /* it has to prove who it is */
    PG_CLIENT_MOVING,     /* on its way to the worker of its pool */
    PG_CLIENT_WELCOME,    /* it waits for a server to learn parameters from */
    PG_CLIENT_IDLE,       /* between transactions: no server */
    PG_CLIENT_WAITING,    /* in the queue of its pool; its request is kept in `in` */
    PG_CLIENT_ASKED,      /* its lookup is on its way with others' (pg_lookups.h) */
    PG_CLIENT_SHARING,    /* its statement is, on a server of several (pg_multiplex.h) */
    PG_CLIENT_ACTIVE,     /* it has a server */
    PG_CLIENT_CLOSED,
    PG_CLIENT_STATE_COUNT
};

/* Only while logging in; freed when the client is ready for its first query. */
struct pg_client_login {
    struct login_check check;
    struct login_terms terms;
    struct secret secret;
    const struct conf *conf; /* held: what the terms borrow from */
    struct params *wanted;   /* parameters of the startup packet; names as the client gave them */
    struct scram_keys keys;  /* what the client proved */
    uint32_t variant;        /* of its pool: replication connections have their own */
    bool authenticated;
    bool refused;         /* one too many: told so once its startup packet is here */
    bool console;         /* it wants the console */
    bool asking_server;   /* its parameters are being set on a server */
    uint8_t negotiations; /* SSLRequest and GSSENCRequest answered */
    char database[256], user[256];
    char application_name[64];          /* as the server would have it */
    char unsupported[PARAM_NAME_BYTES]; /* a parameter that only a server of its own can take */
    bool unsupported_option;            /* it came in "options" */
};

struct cancel_request;

struct pg_client {
    struct stream stream;
    struct list_node node; /* of worker->clients[] */
    struct worker *worker;
    struct pool *pool;                /* from WELCOME on */
    struct pg_server *server;         /* WELCOME and ACTIVE: leased */
    struct params *params;            /* what its session has set */
    struct pg_statements *statements; /* that it has named; NULL before the first */
    union {
        struct pg_key *key;       /* of its lookup, while that waits or is on its way */
        struct pg_flight *flight; /* SHARING: its statement */
    };
    struct pg_session *session; /* what it leaves there beyond a transaction; NULL: nothing yet */
    struct params *startup;     /* what it has asked for at login, and servers report */
    struct pg_client_login *login;
    struct pool_failure *lost; /* why its transaction is gone; it has not been told yet */
    union {
        struct waiter waiter; /* from WELCOME on */
        struct mail mail;     /* MOVING */
    };
    union {
        struct usage *user_usage; /* it counts against this user's limit, and its database's */
        struct cancel_request *cancelling; /* CANCELLING */
    };
    struct timer timer; /* may expire early; client_deadline() is the truth */
    struct buffer in;   /* bytes not passed on yet */
    uint64_t id;
    uint64_t connected_us;
    uint64_t request_us;         /* when the present request, wait or idle time began */
    uint32_t body_left;          /* of a message that is passed on, or skipped, in pieces */
    uint32_t process_id, secret; /* its cancel key; 0: none yet */
    struct address from;
    uint8_t state;
    uint8_t ignoring; /* enum pg_ignoring */
    uint8_t aborted;  /* enum pg_aborted */
    bool long_key;    /* protocol 3.2 */
    bool skip_body;   /* body_left is skipped */
    bool collecting;  /* body_left is of a Parse, for pg_statements_collect() */
    bool in_whole;    /* `in` may hold whole messages */
    bool notified;    /* query_wait_notify has been sent */
};

/* The mail by which main hands over a connection. */
void pg_client_new(struct worker *worker, int fd, const struct address *from);

bool pg_client_state_may_follow(enum pg_client_state from, enum pg_client_state to);

/* The one function that changes the state. */
void pg_client_move(struct pg_client *client, enum pg_client_state state);

/* Closes and frees. reason goes to the log; a server that it holds is drained. */
void pg_client_close(struct pg_client *client, const char *reason);

/* Queues an ErrorResponse of this severity. */
void pg_client_tell(struct pg_client *client, const char *severity,
                    const struct pool_failure *failure);

/* Tells it the failure as FATAL, then closes. */
void pg_client_close_failed(struct pg_client *client, const struct pool_failure *failure);

/* True when its server stays with it between transactions. */
static inline bool pg_client_keeps_server(const struct pg_client *client)
{
    return client->pool->settings.mode == POOL_MODE_SESSION ||
           (client->session && client->session->pinned);
}

/* True while its server is asked what its session has left there. */
static inline bool pg_client_asks(const struct pg_client *client)
{
    return client->session && client->session->ask;
}

/* How many reads of one stream in a row (sbuf_loopcnt). */
int64_t pg_client_turns(const struct pg_client *client);

/* Has its timer expire no later than its deadline; call when a deadline may have come nearer. */
void pg_client_watch(struct pg_client *client);

/* Takes off the loop or puts on it, to move to another worker. */
void pg_client_leave(struct pg_client *client);
void pg_client_join(struct pg_client *client, struct worker *worker);

/* "127.0.0.1:51234", "[::1]:51234" or "unix(4711):6432". */
const char *pg_client_address(const struct pg_client *client, char text[ADDRESS_TEXT_BYTES]);

void pg_client_log(const struct pg_client *client, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* pg_welcome.c: authenticated: finds the pool and worker; then has it ready for its first query. */
void pg_welcome_begin(struct pg_client *client);
void pg_welcome_server_ready(struct pg_client *client);
void pg_welcome_granted(struct pg_client *client, struct server *server);

/* pg_requests.c: what the queue of the pool, and a leased server, call. */
extern const struct waiter_kind pg_client_waiter;
void pg_requests_attach(struct pg_client *client, struct server *server, uint64_t waited_us);
void pg_server_holder_ready(struct server *server, unsigned what);

/* Reads and passes on what it sends, as far as possible now; the client may be closed then. */
void pg_requests_run(struct pg_client *client);

/* It was asked with those of others, in vain: the whole request at the start of `in` waits for a
 * server of its own after all, and is refused when none can be had. */
void pg_requests_wait_alone(struct pg_client *client);

/* pg_replies.c: likewise what its server sends. */
void pg_replies_run(struct pg_client *client);

/* What an ErrorResponse says; true when the server ends with it. */
bool pg_replies_failure(struct pool_failure *failure, const uint8_t *body, size_t length);

/* RECONNECT, or new settings: closes clients whose session cannot go on (server_fast_close). */
void pg_replies_close_replaced(struct worker *worker);

/* Gives the server back when its client does not need it any more; true when it did. */
bool pg_replies_end_lease(struct pg_client *client);

#endif
