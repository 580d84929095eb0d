/* server: a connection that we opened to a database server, whatever it speaks. Its life is the
 * table of states below; which state it is in is which list of its pool it is on. Belongs to the
 * worker of its pool's part; moves to another part only while idle, by mailbox. */
#ifndef SLUICE_POOL_SERVER_H
#define SLUICE_POOL_SERVER_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/un.h>

#include "sluice/net/mailbox.h"
#include "sluice/net/stream.h"

enum server_state {
    SERVER_CONNECTING, /* resolving the name, opening the socket */
    SERVER_LOGIN,
    SERVER_IDLE,     /* anybody may have it */
    SERVER_LEASED,   /* on loan to one client */
    SERVER_SHARED,   /* carries the commands, or statements, of many clients */
    SERVER_CHECKING, /* answers a question of ours: check, reset or connect query */
    SERVER_DRAINING, /* finishes or cancels what a client left behind */
    SERVER_MOVING,   /* on its way to another worker's part */
    SERVER_CLOSED,
    SERVER_STATE_COUNT
};

struct params;
struct pool;
struct pool_failure;
struct pool_totals;
struct pools;
struct server;
struct waiter;

/* What the pool asks of a server of one kind (PostgreSQL, Redis). Each row calls back with
 * server_ready(), server_close() or pool_login_failed() later, or at once where it says so. */
struct server_kind {
    /* Makes a server in SERVER_CONNECTING and starts to connect; may fail at once. `waiter` is for
     * whom, NULL: for nobody yet. */
    void (*open)(struct pool *pool, const struct waiter *waiter);
    /* Asks the check query; the server is in SERVER_CHECKING. */
    void (*check)(struct server *server);
    /* Starts to clean a server that a client gave back; returns false when nothing has to be done.
     */
    bool (*reset)(struct server *server);
    /* Somebody waits in vain while servers are SHARED: has one of them come free when what it owes
     * has come. NULL where nothing is ever shared. */
    void (*yield)(struct pool *pool);
    /* Logins fail and nobody waits: asks whether a server can be reached again; one slot is taken
     * for that. Ends in pool_probed() on a later turn. False: not now. */
    bool (*probe)(struct pool *pool);
    /* Cancels and finishes what is left of a client's request; in SERVER_DRAINING. */
    void (*drain)(struct server *server);
    /* Releases what the kind holds; the stream is closed already. */
    void (*free)(struct server *server);
    /* After a move: makes what belonged to the old worker belong to the new one. */
    void (*leave)(struct server *server);
    void (*arrive)(struct server *server);
};

struct server {
    struct stream stream;
    struct list_node node; /* of pool->servers[state] */
    struct mail mail;      /* while SERVER_MOVING, like the next two */
    struct pool_totals *moving_to;
    struct pools *moving_pools;
    struct pool *pool;
    const struct server_kind *kind;
    enum server_state state;
    struct timer timer;     /* may expire early; server_deadline_us() is the truth */
    struct params *startup; /* that its login carried for a client (waiter.startup), or NULL */
    uint64_t id;
    uint64_t created_us; /* when it was asked for */
    uint64_t state_since_us;
    uint64_t lifetime_us; /* with jitter; 0 = close after the first use */
    bool close_needed;    /* RECONNECT, a new password ...: close when free */
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
        struct sockaddr_un unix_path;
    } address;
    socklen_t address_bytes;
    /* While leased or shared: who has it, and is told of readiness, and when the moment
     * holder_due_us is over (UINT64_MAX: never; server_watch() after it has come nearer). */
    void *holder;
    void (*holder_ready)(struct server *server, unsigned what);
    void (*holder_overdue)(struct server *server);
    uint64_t holder_due_us;
};

/* Has its timer expire no later than the deadline of its state. */
void server_watch(struct server *server);

/* The name of a state as SHOW SERVERS has it. */
const char *server_state_name(enum server_state state);

/* True if the table allows the move. */
bool server_state_may_follow(enum server_state from, enum server_state to);

/* The one function that changes the state: checks the move, relinks, adjusts gauges. */
void server_move(struct server *server, enum server_state state);

/* Embeds a new server in its pool; the kind's open() calls it first. A slot was taken already. */
void server_init(struct server *server, struct pool *pool, const struct server_kind *kind);

/* The server is logged in, or done with checking or draining: it becomes idle, or is closed when
 * its time is over (then false is returned). */
bool server_ready(struct server *server);

/* Closes and frees it, whatever its state but LEASED's holder's business; gives the slot back.
 * reason goes to the log. */
void server_close(struct server *server, const char *reason);

/* "S-<id>: db/user@host:port" in text. */
#define SERVER_SUBJECT_BYTES 256
const char *server_subject(const struct server *server, char text[SERVER_SUBJECT_BYTES]);

/* True while none can be opened since none can be reached; a refused login is another thing. */
bool pool_unreachable(const struct pool *pool);

/* What came of a probe. Gives its slot back. */
void pool_probed(struct pool *pool, bool reached);

void server_log(const struct server *server, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
