/* redis_local: commands that are about the client itself: those that we answer (redis_local.c,
 * redis_tour.c), and those that a server judges and that change what the client is
 * (redis_session.c). Part of redis_client; same thread. */
#ifndef SLUICE_PROXY_REDIS_LOCAL_H
#define SLUICE_PROXY_REDIS_LOCAL_H

#include "redis_client.h"

struct redis_tour;

/* redis_session.c */
bool redis_session_is(const struct redis_call *call);
enum redis_verdict redis_session_request(struct redis_client *client, struct redis_input *input);
/* A piece of the reply to it, with the event that the parser made of it. False: client gone. */
bool redis_session_reply(struct redis_client *client, const uint8_t *bytes, size_t length,
                         bool whole);
void redis_session_free(struct redis_client *client);
/* What it was when it came. */
void redis_session_reset(struct redis_client *client);
/* After an EXEC with commands that change the connection: asks the server what it is now. */
void redis_session_inquire(struct redis_client *client);

/* redis_local.c */
enum redis_verdict redis_local_request(struct redis_client *client, struct redis_input *input);
enum redis_verdict redis_local_quit(struct redis_client *client);
enum redis_verdict redis_local_reset(struct redis_client *client);
enum redis_verdict redis_local_refuse(struct redis_client *client,
                                      const struct redis_command *command);

void redis_session_toured(struct redis_client *client, const struct resp_writer *writer);

/* True if the client waits for this very tour: not for one after it. */
bool redis_session_awaits(const struct redis_client *client, const struct redis_tour *tour);

/* CLIENT TRACKING ... REDIRECT: the tour has found whom; asks the server with the id that it knows.
 * bytes: the request. ours: the id as the client gave it. */
void redis_session_redirected(struct redis_client *client, const void *bytes, size_t length,
                              uint64_t ours);
/* CLIENT GETREDIR and TRACKINGINFO of one who redirects: the reply tells the server's id. */
bool redis_session_tells_redirect(const struct redis_client *client, const struct redis_call *call);
enum redis_verdict redis_session_redirect_request(struct redis_client *client,
                                                  struct redis_input *input);

/* CLIENT REPLY: the reply to the command under way is not passed on. */
bool redis_session_drops(const struct redis_client *client);

/* redis_tour.c: CLIENT LIST, KILL and UNBLOCK go round all workers, as a mail. */

/* NULL, with the error, when the arguments are not right. NULL without one: CLIENT TRACKING that is
 * about nobody else. */
struct redis_tour *redis_tour_new(const struct redis_client *client,
                                  const struct redis_input *input, enum resp_error *error);
void redis_tour_free(struct redis_tour *tour);

/* The same command about no client at all: whether the user may, and whether there is such a user.
 * To be freed. */
char *redis_tour_question(const struct redis_tour *tour, size_t *length);

/* Sends it off; the client is LEASED, and TOURING until it is back. */
void redis_tour_start(struct redis_client *client, struct redis_tour *tour);

/* CLIENT INFO. */
void redis_tour_info(struct redis_client *client);

#endif
