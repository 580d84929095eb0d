/* redis_login: how a Redis server is opened: name, socket, then AUTH, HELLO, SELECT. Part of
 * redis_server; same owner, same thread. */
#ifndef SLUICE_POOL_REDIS_LOGIN_H
#define SLUICE_POOL_REDIS_LOGIN_H

#include "sluice/pool/redis_server.h"

/* What we ask ourselves, in the order of their replies. */
enum redis_question {
    REDIS_QUESTION_AUTH,
    REDIS_QUESTION_HELLO,
    REDIS_QUESTION_SELECT,
    REDIS_QUESTION_READONLY,
    REDIS_QUESTION_CLIENT_ID,
    REDIS_QUESTION_PING,
    REDIS_QUESTION_RESET,
};

/* Makes a server that connects and logs in. Ends in pool_login_failed() (perhaps at once), or in
 * server_ready(). */
void redis_login_open(struct pool *pool, const struct waiter *waiter);

/* The stream's STREAM_CONNECTED. */
void redis_login_connected(struct redis_server *redis);

/* The connection broke: tries the next address, or fails. */
void redis_login_lost(struct redis_server *redis, const char *why);

/* The server refused one of the questions (an error line without "-" and CR LF). */
void redis_login_refused(struct redis_server *redis, const char *text);

/* All questions are answered. False: the server has been closed. */
bool redis_login_done(struct redis_server *redis);

/* Releases what the login holds; safe when there is none. */
void redis_login_free(struct redis_server *redis);

/* Asks what brings a fresh or RESET connection into the state that its pool wants. `first` is asked
 * before it, unless it is negative. */
void redis_login_ask(struct redis_server *redis, int first);

/* Asks one question. */
void redis_login_ask_one(struct redis_server *redis, enum redis_question question);

#endif
