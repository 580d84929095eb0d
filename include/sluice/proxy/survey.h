/* survey: what all workers have at the moment: their pools, clients and servers, copied by each
 * worker into its own part of the survey on its own turn, without locks. Main thread asks and owns
 * the result. Times are monotonic microseconds. */
#ifndef SLUICE_PROXY_SURVEY_H
#define SLUICE_PROXY_SURVEY_H

#include "sluice/proxy/worker.h"

enum survey_of {
    SURVEY_POOLS = 1 << 0,
    SURVEY_CLIENTS = 1 << 1,
    SURVEY_SERVERS = 1 << 2,
    SURVEY_REDIS_CLIENTS = 1 << 3,
    SURVEY_REDIS_SERVERS = 1 << 4,
    SURVEY_LOOKUPS = 1 << 5,
    SURVEY_SLOWEST = 1 << 6,
    SURVEY_STATEMENTS = 1 << 7,
    SURVEY_WAITING = 1 << 8, /* in `clients`: SURVEY_WAITING_MAX who wait longest, of each worker */
    SURVEY_BATCH_MAX = 1 << 9, /* in `pools` */
};

#define SURVEY_WAITING_MAX 10
/* Of a lookup's text. */
#define SURVEY_TEXT_BYTES 4096

/* One worker's part of a pool. */
struct survey_pool {
    char *database, *user;
    const char *replication; /* none, logical, physical */
    bool labelled;           /* registry.h */
    bool paused;
    bool unreachable; /* its server is, and it has none to lend */
    enum pool_mode mode;
    int64_t size, size_min, size_reserve;
    size_t clients, waiting;
    size_t servers[SERVER_STATE_COUNT];
    size_t stale;            /* of the idle ones: to be checked before they are used */
    size_t cancelling;       /* servers for which a cancel request is under way */
    size_t flights;          /* statements on their way among those of other clients */
    uint64_t batch_max;      /* SURVEY_BATCH_MAX: lookups in the largest question so far */
    size_t close_needed;     /* servers that close as soon as they are free */
    uint64_t waits_since_us; /* of who waits longest; 0 = nobody waits */
    /* Redis: `database` is the line's name. */
    uint32_t db;
    unsigned version; /* of RESP */
    bool readonly, apart;
};

/* What clients and servers have in common. */
struct survey_peer {
    uint64_t id, link_id; /* link: whom it works with; 0 = nobody */
    const char *state;    /* as the console has it */
    int64_t pool;         /* index into the part's pools; -1 = none yet */
    struct address remote, local;
    uint64_t connected_us, request_us;
    uint64_t waits_since_us; /* 0 = does not wait */
    bool close_needed, login;
    int fd, link_fd; /* link_fd: of the link; 0 = none */
    uint32_t process_id;
    unsigned pinned;    /* why its server stays with it, for survey_reasons(); 0: it does not */
    uint64_t pinned_us; /* since when */
    size_t in_bytes, body_left, out_bytes, prepared_statements;
    char application_name[64];
    char tls[STREAM_TLS_BYTES]; /* protocol and cipher; "": none */
    /* Redis */
    const char *command; /* the client's last */
    uint32_t owed;       /* replies that have not come */
};

/* One lookup of one part of a pool; texts are its own. */
struct survey_lookup {
    char *database, *user, *text; /* without literals */
    char *refusal;                /* why it is not batched; NULL: it is */
    uint64_t batches, keys, alone, errors, cuts, changes, again;
    struct histogram sizes, waits; /* of batches, in keys; of their keys, unsent */
};

/* What one worker has. */
struct survey_part {
    struct mail mail;
    struct survey *survey;
    struct survey_pool *pools;
    size_t pool_count;
    struct survey_peer *clients;
    size_t client_count;
    struct survey_peer *servers;
    size_t server_count;
    struct survey_pool *redis_pools;
    size_t redis_pool_count;
    struct survey_peer *redis_clients, *redis_servers; /* `pool`: of redis_pools */
    size_t redis_client_count, redis_server_count;
    struct slow_statement *slowest;
    size_t slowest_count;
    struct survey_statement *statements;
    size_t statement_count;
    struct survey_lookup *lookups;
    size_t lookup_count;
    size_t login_clients;                 /* without a pool yet */
    unsigned free_blocks[BUFFER_CLASSES]; /* in the cache of its loop */
};

struct survey {
    struct process *process;
    unsigned wanted;
    unsigned missing; /* parts */
    /* Called on the main thread when all parts are there; never inside survey_take(). */
    void (*done)(struct survey *survey);
    void *asker; /* the asker's; NULL: nobody cares any more, and the survey frees itself */
    uint64_t now_us;
    unsigned part_count;
    struct survey_part parts[];
};

/* wanted: SURVEY_ bits; clients and servers come with the pools. */
struct survey *survey_take(struct process *process, unsigned wanted,
                           void (*done)(struct survey *survey), void *asker);

/* After done(). */
void survey_free(struct survey *survey);

/* Why a server is pinned, in words. */
#define SURVEY_REASONS_BYTES 192
const char *survey_reasons(unsigned pinned, char text[SURVEY_REASONS_BYTES]);

/* Size of what a client and a server cost in memory by themselves (SHOW MEM). */
size_t survey_client_bytes(void);

#endif
