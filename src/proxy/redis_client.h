/* redis_client: a client that speaks Redis' protocol, from accept to close. The life of one is the
 * table of states in redis_client.c; the files beside it are the stretches of its way:
 *     redis_requests.c  what it sends: which way each command goes
 *     redis_shared.c    the shared connections: commands of many clients, out in one write
 *     redis_replies.c   their replies, back to each client
 *     redis_batch.c     reads of many clients, asked together; redis_batch_replies.c the way back
 *     redis_lease.c     a connection of its own: requests out, replies back
 *     redis_slow.c      clients that take less than comes
 *     redis_session.c   AUTH, HELLO, SELECT and the like: who the client is
 *     redis_pubsub.c    counting what a subscriber is told
 *     redis_local.c     what we answer ourselves
 *     redis_tour.c      CLIENT LIST, KILL and the like: all clients of a pool, on all workers
 *     redis_loss.c      transactions whose connection was lost
 * Belongs to its worker, and stays there. */
#ifndef SLUICE_PROXY_REDIS_CLIENT_H
#define SLUICE_PROXY_REDIS_CLIENT_H

#include "sluice/pool/redis_pool.h"
#include "sluice/pool/redis_server.h"
#include "sluice/proxy/worker.h"
#include "sluice/wire/redis_command.h"
#include "sluice/wire/resp_write.h"

enum redis_client_state {
    REDIS_CLIENT_READY,   /* its commands go to the shared connection, or are answered here */
    REDIS_CLIENT_STALLED, /* the shared connection has no room for its next command */
    REDIS_CLIENT_WAITING, /* in the queue of a pool, for a connection of its own */
    REDIS_CLIENT_LEASED,  /* it has one */
    REDIS_CLIENT_TOURING, /* its command goes round the workers */
    REDIS_CLIENT_LEAVING, /* it gets what is kept for it, and is closed then */
    REDIS_CLIENT_CLOSED,
    REDIS_CLIENT_STATE_COUNT
};

enum redis_reply_mode { REDIS_REPLY_ON, REDIS_REPLY_OFF, REDIS_REPLY_SKIP };

/* What a client may not notice when its connection is lost in the middle of a transaction. */
enum redis_lost {
    REDIS_LOST_NOTHING,
    REDIS_LOST_WATCH,       /* keys that it watches: its next EXEC answers null */
    REDIS_LOST_WATCH_MULTI, /* the same, between MULTI and EXEC */
    REDIS_LOST_MULTI,       /* queued commands: EXEC answers EXECABORT */
};

struct redis_session;

struct redis_client {
    struct stream stream;
    struct list_node node;      /* of worker->redis_clients */
    struct list_node stalled;   /* of shared->stalled */
    struct list_node unflushed; /* of worker->redis_unflushed */
    struct worker *worker;
    struct pool *pool;             /* where its commands go */
    struct pool *queue;            /* WAITING: whose queue it is in */
    struct redis_server *server;   /* LEASED */
    struct redis_server *slow;     /* one that is not read until it has taken more */
    size_t unread;                 /* what it had not taken at the last look */
    uint64_t unread_since_us;      /* since when it has taken next to nothing */
    struct redis_session *session; /* a command that may change what it is, under way */
    struct waiter waiter;
    struct timer timer; /* may expire early; client_deadline() is the truth */
    struct buffer in;   /* bytes not dealt with yet */
    struct resp_request_parser parser;
    const struct pool_failure
        *refusal; /* why the request at the start of `in` fails; NULL: it does not */
    const struct redis_command *last; /* its last command; NULL before */
    char *name;                       /* CLIENT SETNAME; NULL: none */
    uint64_t id;
    uint64_t connected_us;
    uint64_t request_us;   /* when it last asked for something */
    uint64_t write_server; /* id of the server that carried its last write; 0 = none */
    uint32_t inflight;     /* its replies that shared connections owe */
    uint32_t epoch;        /* of the shared connection that owes them */
    uint64_t place;        /* where its last unsent command stands (redis_batch.c) */
    uint32_t place_key, batch_turn;
    struct address from;
    uint8_t state;
    uint8_t reply_mode, lost;
    bool batched;      /* some of `inflight` are asked with others': nothing may go behind them */
    bool again;        /* some of these are asked again, so those behind them are, too */
    bool batch_plain;  /* has an unsent command that will not be asked again */
    bool held;         /* the request at the start of `in` waits for its replies */
    bool wants_apart;  /* WAITING: for a connection that it will keep */
    bool long_request; /* its lease carries a request that is passed on in pieces */
    bool counted;      /* it counts against max_clients */
    bool whole;        /* `in` may hold whole requests */
};

/* What is done with a request. */
enum redis_verdict {
    REDIS_VERDICT_DONE,
    REDIS_VERDICT_HOLD, /* it stays until the client's replies are there */
    REDIS_VERDICT_STAY, /* it stays; the client's state says for what */
    REDIS_VERDICT_GONE, /* the client takes no more requests, or is no more */
};

/* A request and what follows it in the same buffer. */
struct redis_input {
    const uint8_t *bytes;
    size_t length;               /* of the request */
    size_t available;            /* with what follows */
    struct resp_request request; /* spans are from bytes */
    struct redis_call call;
};

static inline unsigned redis_client_version(const struct redis_client *client)
{
    return redis_pool_version(client->pool);
}

/* The client must have all replies to what it asked before; true when it has. */
bool redis_client_quiet(const struct redis_client *client);

/* The mail by which main hands over a new connection to a line of [redis]. */
void redis_client_new(struct worker *worker, int fd, const struct address *from, const char *line);

bool redis_client_state_may_follow(enum redis_client_state from, enum redis_client_state to);

/* The one function that changes the state. */
void redis_client_move(struct redis_client *client, enum redis_client_state state);

/* Closes and frees. reason goes to the log; a server that it holds is drained. */
void redis_client_close(struct redis_client *client, const char *reason);

/* Sends what is kept for it, then closes: now, or when it has been taken. */
void redis_client_leave(struct redis_client *client, const char *reason);

/* Takes a server from the queue, if it is in one; has the timer expire when due. */
void redis_client_watch(struct redis_client *client);

/* It may go on with its requests: now that the replies it waited for are there. */
void redis_client_resume(struct redis_client *client);

/* Its commands go to this pool from now on. */
void redis_client_set_pool(struct redis_client *client, struct pool *pool);

/* True if it leaves so many bytes unread. */
bool redis_client_leaves(struct redis_client *client, uint64_t bytes);

/* Closes it when it leaves too much unread. True if it did. */
bool redis_client_overflows(struct redis_client *client);

/* Whether the reply to the request at hand is passed on (CLIENT REPLY); counts it. */
enum redis_action redis_client_action(struct redis_client *client);

/* True if nobody may have this command from this pool: it replicates, or administers a server whose
 * line has no admin_commands. */
bool redis_client_may_not(const struct redis_client *client, const struct redis_call *call);

/* Our own answers; the client must be quiet. They are kept, and sent when its requests have been
 * walked. */
void redis_client_answer(struct redis_client *client, const void *bytes, size_t length);
void redis_client_answer_simple(struct redis_client *client, const char *text);
void redis_client_answer_error(struct redis_client *client, enum resp_error error,
                               const char *first, const char *second);

void redis_client_log(const struct redis_client *client, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text of a failure to have a server, as a reply. Returns its length. */
#define REDIS_ERROR_BYTES 1024
size_t redis_failure_text(const struct pool_failure *failure, uint8_t bytes[REDIS_ERROR_BYTES]);

/* redis_requests.c: reads what it sends and deals with it as far as possible now. The client may be
 * closed when it returns. */
void redis_requests_run(struct redis_client *client);

/* An argument of a request. */
static inline struct resp_span redis_arg(const struct redis_input *input, uint32_t index)
{
    return input->request.args[index];
}

/* True if the argument is this word (lower case), in any case. */
bool redis_arg_is(const struct redis_input *input, uint32_t index, const char *word);

/* The argument as text of its own (NUL bytes stay in it), to be freed. */
char *redis_arg_text(const struct redis_input *input, uint32_t index);

#endif
