/* survey_parts: how one worker copies what it has into its part of a survey (survey.h). On the
 * worker's thread. */
#ifndef SLUICE_PROXY_SURVEY_PARTS_H
#define SLUICE_PROXY_SURVEY_PARTS_H

#include "sluice/proxy/survey.h"

void survey_pool(struct survey_pool *row, const struct pool *pool);

/* Its descriptor, both addresses and what has not been taken from it. */
void survey_addresses(struct survey_peer *row, const struct stream *stream);

/* To be checked before it is used again. */
bool survey_server_stale(const struct server *server);

/* survey_redis.c: the pools of [redis], and their clients and servers when they are wanted. */
void survey_redis(struct survey_part *part, struct worker *worker);

/* survey_lookups.c: the lookups; and how many the largest question of a pool asked. */
void survey_lookups(struct survey_part *part, const struct pools *pools);
uint64_t survey_batch_max(const struct pool *pool);

/* How many clients wait in the pool: of a lookup that waits for a server, each key's. */
size_t survey_clients_waiting(const struct pool *pool);

#endif
