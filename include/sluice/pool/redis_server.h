/* redis_server: a server that speaks Redis' protocol: opening (names, sockets, AUTH, HELLO,
 * SELECT), our own questions (check, cleaning), finishing what a lost client began. While it is
 * leased or shared the proxy reads and writes its stream itself and keeps the members below true.
 * Belongs to its pool's worker. */
#ifndef SLUICE_POOL_REDIS_SERVER_H
#define SLUICE_POOL_REDIS_SERVER_H

#include "sluice/pool/pool.h"
#include "sluice/pool/redis_owed.h"
#include "sluice/wire/resp.h"

#define REDIS_QUESTIONS_MAX 8
#define REDIS_REPLY_SEEN 256 /* bytes of a reply to ourselves that are kept */
#define REDIS_FRAME_HEAD 32
#define REDIS_FRAME_TAIL 24

/* What a connection was left with, that the next client must not find. */
enum redis_dirt {
    REDIS_DIRT_DB = 1 << 0,  /* another database number: SELECT mends it */
    REDIS_DIRT_ALL = 1 << 1, /* anything: RESET, and logging in again */
};

/* The two ends of a frame: enough to tell what kind of pub/sub frame it was, and its count. */
struct redis_frame {
    char head[REDIS_FRAME_HEAD];
    char tail[REDIS_FRAME_TAIL];
    uint8_t head_bytes, tail_bytes;
};

struct redis_login;

struct redis_server {
    struct server base;
    struct resp_reply_parser parser;
    struct redis_owed_ring owed; /* what clients asked; questions of our own come behind these */
    struct buffer asked;         /* requests of clients that were asked together, in that order */
    struct buffer held;          /* the beginning of a reply that is for several of them */
    uint32_t elements;           /* that the reply to such a question still has */
    struct redis_login *login;   /* while connecting and logging in */
    uint64_t client_id;          /* what CLIENT ID said; 0 = unknown */
    uint64_t progress_us;        /* when it last sent something */
    uint8_t questions[REDIS_QUESTIONS_MAX]; /* enum redis_question: what we have asked ourselves */
    uint8_t question_count;
    uint8_t reply_bytes; /* of the reply to a question, in `reply` */
    uint8_t first;       /* first byte of the frame that is being read */
    bool noauth;         /* it wants a login, and nobody logged in */
    bool begun;          /* a part of the reply that is being read has been passed on */
    char reply[REDIS_REPLY_SEEN];

    /* Of the present lease. */
    uint8_t dirt;         /* enum redis_dirt */
    bool multi, watch;    /* as its replies have told */
    bool queued_state;    /* queued commands will change what the connection is */
    bool queued_unframed; /* queued commands will make EXEC's reply impossible to frame */
    bool tracking, no_evict, no_touch, monitor;
    uint64_t redirect;                /* the client, by our id, that is told for it; 0: none */
    bool unframed;                    /* bytes are passed on as they are until the client leaves */
    bool frame_was_reply;             /* the last frame of a subscriber answered a command */
    bool part;                        /* the client has sent only a part of a request */
    bool retiring;                    /* shared: takes no new commands */
    struct redis_client *slow_client; /* not read until this one has taken more (redis_slow.h) */
    size_t slow_bytes;                /* what may be kept for it while nobody waits */
    uint64_t passed_bytes;            /* shared: of the reply that is being read */
    bool waiting;                     /* shared: WAIT is the last that it owes */
    uint32_t frames_left;             /* confirmations of the SUBSCRIBE or the like under way */
    bool refusal_dropped;             /* if it is refused, that is not passed on (CLIENT REPLY) */
    uint32_t subscribed;              /* channels and patterns */
    uint32_t patterns, shards;
    struct redis_frame frame;
};

extern const struct server_kind redis_server_kind;

/* What the stream of a server calls. */
void redis_server_stream_ready(struct stream *stream, unsigned what);

static inline struct redis_server *redis_server_of(struct server *server)
{
    return container_of(server, struct redis_server, base);
}

/* True while the connection holds something for its client beyond the replies it owes. */
static inline bool redis_server_kept(const struct redis_server *redis)
{
    return redis->multi || redis->watch || redis->subscribed || redis->shards ||
           redis->frames_left || redis->tracking || redis->no_evict || redis->no_touch ||
           redis->monitor || redis->unframed || redis->part;
}

#endif
