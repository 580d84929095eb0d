/* redis: private Redis servers, the pooler in front of one, and clients by hiredis or as raw bytes.
 * A server dies with the test, however that ends. */
#ifndef TESTS_HARNESS_REDIS_H
#define TESTS_HARNESS_REDIS_H

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/sluice.h"

struct redis {
    pid_t pid;
    uint16_t port;
    char *directory, *conf;
};

/* Starts redis-server with these lines of settings besides what a private one needs (NULL: none),
 * and waits until it answers. redis_end() kills it, redis_again() starts it on the same port. */
void redis_start(struct redis *redis, const char *settings);
void redis_end(struct redis *redis);
void redis_again(struct redis *redis);

/* Starts the pooler with one line of [redis], `cache`, to this server; `keys` are further ones of
 * the line (NULL: none), `settings` of [pgbouncer]. Returns the port for clients. */
uint16_t redis_pooled(struct sluice *sluice, const struct redis *redis, const char *keys,
                      const char *settings);

/* A connection; fails the test if there is none. */
redisContext *redis_open(uint16_t port);

/* Asks (a printf format of hiredis) and returns the reply as text: a status or string as it is, an
 * integer as digits, "nil", an error behind "-", an array as "[a b]". "lost" when the connection
 * broke. */
char *redis_do(redisContext *context, const char *format, ...);

/* The next reply, as above. */
char *redis_next(redisContext *context);

/* What CLIENT LIST of the server itself shows: how many connections there are whose line holds the
 * text, ours apart. */
long redis_connections(const struct redis *redis, const char *holding);

/* A raw connection. raw_receive() waits for so many bytes, and then for what follows them within so
 * many milliseconds, or until the end ("<end>" is then behind what came). */
int raw_open(uint16_t port);
void raw_send(int fd, const void *bytes, size_t length);
char *raw_receive(int fd, size_t expected, int quiet_ms, size_t *length);

#endif
