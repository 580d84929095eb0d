/* redis_local: commands that are about the client itself: those that we answer (redis_local.c,
 * redis_tour.c), and those that a server judges and that change what the client is
 * (redis_session.c). Part of redis_client; same thread. */
#ifndef SLUICE_PROXY_REDIS_LOCAL_H
#define SLUICE_PROXY_REDIS_LOCAL_H

#include "redis_client.h"

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

/* redis_tour.c */
enum redis_verdict redis_tour_request(struct redis_client *client, struct redis_input *input);

#endif
