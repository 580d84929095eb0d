/* pg_pipeline: which replies a server still owes. Each request that was sent is noted in order,
 * each reply ticks off what it answers; when nothing is owed and the server is not in a
 * transaction, it is free. This is the one place that knows how requests and replies correspond
 * (protocol documentation, "Message Flow": extended query, pipelining, COPY, errors). Pure; belongs
 * to its server's thread. */
#ifndef SLUICE_WIRE_PG_PIPELINE_H
#define SLUICE_WIRE_PG_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Requests owed at most; an owner stops reading its client until there are fewer. */
#define PG_PIPELINE_MAX 16384u

struct pg_pipeline {
    uint8_t *owed; /* ring of enum pg_frontend, flagged; NULL while nothing was owed yet */
    uint32_t first, count, size;
    bool copy_in;         /* the server reads COPY data: a Sync sent meanwhile is void */
    bool copy_both;       /* the server streams both ways (replication) */
    bool skip_until_sync; /* an error: the server ignores requests up to the next Sync */
    bool unsynced;        /* requests of the extended protocol were sent after the last Sync */
    /* How many requests of enum pg_noted the last reply ended, and whether it answered them; else
     * the server has refused or skipped them. */
    uint32_t noted_over;
    bool noted_done;
    uint8_t failed; /* the request that the last error answered, as it was noted; 0: none */
};

/* Requests about named prepared statements whose end the owner has to know: given to
 * pg_pipeline_sent() in the place of the message's type. */
enum pg_noted {
    PG_NOTED_PARSE = 'p',
    PG_NOTED_CLOSE = 'x',
    PG_NOTED_CLOSE_AS_PARSE = 'k', /* a Close was sent where the client sent Parse */
    PG_NOTED_DESCRIBE = 'i',
    PG_NOTED_BIND = 'b',
};

/* What a reply means to the owner. */
enum pg_verdict {
    PG_PASS,        /* relay it */
    PG_PASS_PARSED, /* relay it as ParseComplete: it answers PG_NOTED_CLOSE_AS_PARSE */
    PG_SWALLOW,     /* it answers a request that the client did not send */
    PG_UNEXPECTED,  /* no request is owed such a reply: the server is out of step */
};

void pg_pipeline_fini(struct pg_pipeline *pipeline);

/* Forgets all; keeps the memory. */
void pg_pipeline_clear(struct pg_pipeline *pipeline);

/* Notes a request of the frontend as it is sent. own: sent by Sluice itself, so that its reply is
 * swallowed. Messages that are owed no reply (CopyData, Flush, Terminate) need not be noted.
 * Returns false when no reply will come, as when the server skips everything up to a Sync. */
bool pg_pipeline_sent(struct pg_pipeline *pipeline, uint8_t type, bool own);

/* Takes account of a reply. An error in what is to be ended by a Sync of our own is our own. */
enum pg_verdict pg_pipeline_reply(struct pg_pipeline *pipeline, uint8_t type);

/* True when the server owes nothing and waits for nothing. */
static inline bool pg_pipeline_idle(const struct pg_pipeline *pipeline)
{
    return pipeline->count == 0 && !pipeline->unsynced && !pipeline->copy_both;
}

static inline bool pg_pipeline_full(const struct pg_pipeline *pipeline)
{
    return pipeline->count >= PG_PIPELINE_MAX;
}

/* True when the next reply is the server's answer to a PG_NOTED_DESCRIBE. */
static inline bool pg_pipeline_describes(const struct pg_pipeline *pipeline)
{
    return pipeline->count > 0 && (pipeline->owed[pipeline->first] & 0x7f) == PG_NOTED_DESCRIBE;
}

/* True when no request of the client is owed whose reply tells of a transaction: only our own
 * settings, and Parses answered without one. */
bool pg_pipeline_unnoticed(const struct pg_pipeline *pipeline);

/* After an error: true when all that is still owed is the ReadyForQuery of one Sync or Query. */
bool pg_pipeline_only_ready(const struct pg_pipeline *pipeline);

/* True when a ReadyForQuery is on its way, the client's or our own. */
bool pg_pipeline_ready_due(const struct pg_pipeline *pipeline);

/* Makes the only request that is owed one of our own, so that its reply is swallowed. */
void pg_pipeline_disown(struct pg_pipeline *pipeline);

/* How many ReadyForQuery the client still has to get, and whether requests without a Sync follow
 * the last of them: what has to be said to a client whose server is lost. */
size_t pg_pipeline_readies(const struct pg_pipeline *pipeline, bool *open_tail);

#endif
