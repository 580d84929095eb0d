/* redis_lease: a connection of a client's own, from when it is wanted to when it is given back or
 * lost. Part of redis_client; same thread. */
#ifndef SLUICE_PROXY_REDIS_LEASE_H
#define SLUICE_PROXY_REDIS_LEASE_H

#include "redis_client.h"

/* True if the command is one of those that blocking_pool_size is for. */
static inline bool redis_lease_apart(const struct redis_call *call)
{
    return call->flags & REDIS_BLOCKING || call->class == REDIS_CLASS_CONTROL ||
           (call->class == REDIS_CLASS_LEASE && call->command->id != REDIS_COMMAND_WATCH);
}

enum redis_verdict redis_lease_want(struct redis_client *client, bool apart);
enum redis_verdict redis_lease_request(struct redis_client *client, struct redis_input *input);
/* A request, or a piece of one, that is passed on as it is. */
void redis_lease_pass(struct redis_client *client, const void *bytes, size_t length);
extern const struct waiter_kind redis_lease_waiter;
void redis_lease_refused(struct waiter *waiter, const struct pool_failure *failure);
void redis_lease_send(struct redis_client *client, const void *bytes, size_t length,
                      const struct redis_command *command, enum redis_action action);
/* Gives the server back if nothing keeps it. True when it did. */
bool redis_lease_over(struct redis_client *client);
/* Gives it back whatever it is in the middle of. */
void redis_lease_drop(struct redis_client *client);

/* redis_pubsub.c */
bool redis_pubsub_is(const struct redis_command *command);
/* Confirmations that the request will lead to. */
uint32_t redis_pubsub_frames(const struct redis_server *redis, const struct redis_input *input);
/* Takes in a piece of a frame. */
void redis_pubsub_see(struct redis_server *redis, const uint8_t *bytes, size_t length);
/* A whole frame has been seen. */
void redis_pubsub_frame(struct redis_server *redis);

/* redis_loss.c: its server is lost: what it owes is answered with the error. False: the client had
 * to be closed. */
bool redis_loss_lease(struct redis_client *client, enum resp_error error, bool usable);
enum redis_verdict redis_loss_request(struct redis_client *client, struct redis_input *input);

#endif
