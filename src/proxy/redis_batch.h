/* redis_batch: reads of many clients that have not been sent yet, asked together: GETs as one MGET,
 * HGETs of one hash as an HMGET, ZSCOREs of one set as a ZMSCORE, identical reads once
 * (batch_keys). Part of redis_shared; same thread.
 *
 * The laws: only what is unsent is joined. A read never passes another command of its client: it
 * joins a question only if all that the client has sent before stands in front of it. Behind a
 * joined question nothing else of its clients is on the wire, since any of them may have to be
 * asked again, alone: after a nil of MGET, which hides a wrong type, after any error, and when a
 * reply is too large for several to wait for each other.
 *
 * In a ring of what is owed (pool/redis_owed.h) a question's entries lie together, in the order of
 * its keys; those of one key are a group. */
#ifndef SLUICE_PROXY_REDIS_BATCH_H
#define SLUICE_PROXY_REDIS_BATCH_H

#include "redis_client.h"
#include "redis_shared.h"

#define REDIS_BATCH_KEYS_MAX 256u

/* How this request may be asked together with others, if at all. */
enum redis_batch redis_batch_kind(const struct redis_shared *shared,
                                  const struct redis_input *input);

/* Makes fewer questions of what is unsent. True: `bytes`, `owed` and `asked` of shared->batcher
 * hold them; what is unsent is as before. redis_batch_sent() then says that they were written.
 * False: nothing can be joined. */
bool redis_batch_join(struct redis_shared *shared);
void redis_batch_sent(struct redis_shared *shared, struct redis_server *redis);
void redis_batch_drop(struct redis_shared *shared);

/* What is joined, between redis_batch_join() and redis_batch_sent(). */
const struct buffer *redis_batch_bytes(const struct redis_shared *shared);

void redis_batch_free(struct redis_shared *shared);

/* Copies the last questions of a lost server, from entry `first` on, which it has not been sent,
 * to a ring and a buffer of what is unsent: keys one by one. wire: their bytes. */
void redis_batch_take_back(struct redis_shared *shared, struct redis_server *redis, uint32_t first,
                           const uint8_t *wire, struct redis_owed_ring *ring,
                           struct buffer *together);

/* A key whose value is large is asked alone from now on. request: as the client sent it. */
void redis_batch_note_large(struct redis_shared *shared, enum redis_batch kind,
                            const uint8_t *request, size_t length);

/* redis_batch_replies.c */

/* Before the first byte of a frame: has the parser take a question's reply apart. */
void redis_batch_expect(struct redis_server *redis);

/* True when the reply that is being read may have to be asked for again. */
static inline bool redis_batch_owes(const struct redis_server *redis)
{
    return redis_owed_at(&redis->owed, 0)->asked > 0;
}

/* A piece of such a reply, with the parser's event. *count and *time_us: commands that it has
 * answered, and how long they took together. False: the server broke the protocol. */
bool redis_batch_reply(struct redis_server *redis, enum resp_reply_event event,
                       const uint8_t *bytes, size_t length, uint64_t *count, uint64_t *time_us);

#endif
