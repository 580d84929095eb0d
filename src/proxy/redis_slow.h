/* redis_slow: clients that take what they are sent more slowly than it comes. While nobody else is
 * kept waiting their server is not read until they have taken some; while somebody is, it is read
 * on for as much as client_output_limit lets us keep, and beyond that the client must take it at a
 * pace, or is closed. Part of redis_client; same thread. */
#ifndef SLUICE_PROXY_REDIS_SLOW_H
#define SLUICE_PROXY_REDIS_SLOW_H

#include "redis_client.h"

/* How long a client may take nothing while nobody waits for it. */
#define REDIS_SLOW_ALONE_US (60 * US_PER_S)

/* True if the server is not to be read now, since its client leaves `bytes` or more unread; it is
 * looked after from then on: stream_again() when the server may be read, holder_overdue to look. */
bool redis_slow_stops(struct redis_server *redis, struct redis_client *client, size_t bytes);

/* A look at the client of a server that is stopped: has the server read again, or closes the
 * client (which ends its lease), or neither. */
void redis_slow_look(struct redis_server *redis);

/* The server goes on without regard to its client: that has taken all, or is let go. */
void redis_slow_end(struct redis_server *redis);

/* Marks how much the client has not taken yet; true if that is less than before by `bytes`. */
bool redis_slow_takes(struct redis_client *client, size_t bytes);

#endif
