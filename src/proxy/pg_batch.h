/* pg_batch: several keys of one lookup on their way in one question, on one server. The server is
 * prepared first when it does not know the lookup (pg_prepare.c); until then the keys stay unsent.
 * A row belongs to the key that its first column says. What a client gets is kept in its stream
 * until its answer is complete, so that nothing has been said when a batch fails. Belongs to its
 * lookup's worker. */
#ifndef SLUICE_PROXY_PG_BATCH_H
#define SLUICE_PROXY_PG_BATCH_H

#include "pg_lookups.h"

enum batch_state {
    BATCH_DESCRIBING, /* the server is asked for the types of the client's statement */
    BATCH_PROBING,    /* and what its names mean there */
    BATCH_PREPARING,  /* and given the batched statement */
    BATCH_ASKED,      /* the keys are on their way */
    BATCH_OVER,       /* spare */
};

struct pg_batch {
    struct list_node node; /* of lookups->batches; while spare, of lookups->spare_batches */
    struct pg_lookup *lookup;
    struct pg_server *server;
    enum batch_state state;
    uint32_t generation;    /* of the lookup, when it was sent */
    struct pg_shape *shape; /* while preparing: what the server says */
    uint32_t serial;        /* of the Parse that was sent, for prepared_settle(); 0: none */
    uint8_t closed[STATEMENT_KEY_BYTES]; /* what was closed to make room for it */
    uint32_t closed_serial;
    unsigned sets;               /* queries in front that set what its clients have set */
    unsigned answers;            /* rows of the probe so far */
    enum lookup_refusal refusal; /* what the probe says */
    bool described;              /* the columns of the answer are those expected */
    struct pg_key **keys;        /* NULL where one has left */
    size_t size, count, left;
    size_t current;       /* index of the key whose rows come */
    size_t current_bytes; /* of its answer so far */
    uint32_t rows;        /* of its answer so far */
    /* What was read behind the message at hand; while that is dealt with. */
    const uint8_t *rest;
    size_t rest_bytes;
    uint64_t sent_us;
};

/* Asks the unsent keys of a lookup on this leased server. */
void batch_start(struct pg_lookup *lookup, struct server *server);

/* A key leaves a batch that is on its way. */
void batch_leave(struct pg_batch *batch, struct pg_key *key);

/* The batch is over with its server not at rest: that is drained. Its keys must be dealt with. */
void batch_abandon(struct pg_batch *batch, bool cancel);

/* The batch is over, and its server at rest. */
void batch_give_back(struct pg_batch *batch);

/* The ways in which a batch fails, all of which return false. Something in it failed: each key that
 * is not answered is asked alone; stale: the statement may not be what it was. */
bool batch_failed(struct pg_batch *batch, bool stale);

/* The answer at hand is long: its key is asked alone, where it can stream; those behind it, in
 * another batch. */
bool batch_cut(struct pg_batch *batch);

/* The server is of no use any more: each key that is not answered has failed. */
bool batch_lost(struct pg_batch *batch, const struct pool_failure *failure);

/* The server is going by itself, and not because of what it was asked. */
bool batch_failure_of_server(const struct pool_failure *failure);

/* pg_batch_replies.c: what the server's stream calls. */
void batch_ready(struct server *server, unsigned what);

/* pg_prepare.c: sends the first question of preparing; takes a message of its answers. False: the
 * walk is over, and so may be the batch. */
void prepare_start(struct pg_batch *batch);
bool prepare_message(struct pg_batch *batch, uint8_t type, const uint8_t *body, size_t length);

/* The server refuses to be prepared: those who wait go the ordinary way. Returns false. */
bool prepare_refused(struct pg_batch *batch, enum lookup_refusal refusal, const char *detail);

/* The batch ends: what was sent to prepare has an unknown end. */
void prepare_abandon(struct pg_batch *batch);

/* True when the server has the batched statement, and the lookup has been checked lately. */
bool prepare_done(const struct pg_lookup *lookup, const struct pg_server *pg);

/* The key of the batched statement on servers. */
void prepare_key(const struct pg_lookup *lookup, uint8_t key[STATEMENT_KEY_BYTES]);

/* pg_batch.c, for pg_prepare.c: puts what the session parameters need in front of what is sent. */
void batch_set_params(struct pg_batch *batch);

/* Prepared: asks the keys. */
void batch_ask(struct pg_batch *batch);

#endif
