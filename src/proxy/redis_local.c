/* What we answer ourselves, in its place among the replies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_lease.h"
#include "redis_local.h"
#include "redis_shared.h"

enum redis_verdict redis_local_quit(struct redis_client *client)
{
    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    redis_client_answer_simple(client, "OK");
    redis_client_leave(client, "client sent QUIT");
    return REDIS_VERDICT_GONE;
}

enum redis_verdict redis_local_reset(struct redis_client *client)
{
    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    if (client->server) {
        redis_lease_drop(client);
        redis_client_move(client, REDIS_CLIENT_READY);
    }
    redis_session_reset(client);
    redis_client_answer_simple(client, "RESET");
    return REDIS_VERDICT_DONE;
}

enum redis_verdict redis_local_refuse(struct redis_client *client,
                                      const struct redis_command *command)
{
    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    redis_client_answer_error(client,
                              client->pool->shared->limited ? RESP_ERROR_NOAUTH : RESP_ERROR_NOPERM,
                              command->name, NULL);
    return REDIS_VERDICT_DONE;
}

static enum redis_verdict local_set_name(struct redis_client *client,
                                         const struct redis_input *input)
{
    struct resp_span arg = redis_arg(input, 2);

    for (uint32_t i = 0; i < arg.length; i++)
        if (input->bytes[arg.offset + i] < '!' || input->bytes[arg.offset + i] > '~') {
            redis_client_answer_error(client, RESP_ERROR_CLIENT_NAME, NULL, NULL);
            return REDIS_VERDICT_DONE;
        }
    free(client->name);
    client->name = arg.length ? redis_arg_text(input, 2) : NULL;
    redis_client_answer_simple(client, "OK");
    return REDIS_VERDICT_DONE;
}

static enum redis_verdict local_get_name(struct redis_client *client)
{
    uint8_t head[32], version = (uint8_t)redis_client_version(client);
    struct resp_writer writer = resp_writer_of(head, sizeof(head), version);

    if (redis_client_action(client) != REDIS_PASS)
        return REDIS_VERDICT_DONE;
    if (!client->name) {
        resp_write_null(&writer);
        stream_queue(&client->stream, head, writer.length);
        return REDIS_VERDICT_DONE;
    }
    resp_write_bulk_head(&writer, strlen(client->name));
    stream_queue(&client->stream, head, writer.length);
    stream_queue(&client->stream, client->name, strlen(client->name));
    stream_queue(&client->stream, "\r\n", 2);
    return REDIS_VERDICT_DONE;
}

static enum redis_verdict local_id(struct redis_client *client)
{
    uint8_t bytes[32];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);

    resp_write_integer(&writer, (int64_t)client->id);
    redis_client_answer(client, bytes, writer.length);
    return REDIS_VERDICT_DONE;
}

static enum redis_verdict local_reply(struct redis_client *client, const struct redis_input *input)
{
    if (redis_arg_is(input, 2, "on")) {
        client->reply_mode = REDIS_REPLY_ON;
        redis_client_answer_simple(client, "OK");
    } else if (redis_arg_is(input, 2, "off")) {
        client->reply_mode = REDIS_REPLY_OFF;
    } else if (redis_arg_is(input, 2, "skip")) {
        if (client->reply_mode == REDIS_REPLY_ON)
            client->reply_mode = REDIS_REPLY_SKIP;
    } else {
        redis_client_answer_error(client, RESP_ERROR_SYNTAX, NULL, NULL);
    }
    return REDIS_VERDICT_DONE;
}

/* The library's name and version: accepted and kept nowhere, since no server connection is the
 * client's. */
static enum redis_verdict local_set_info(struct redis_client *client)
{
    redis_client_answer_simple(client, "OK");
    return REDIS_VERDICT_DONE;
}

enum redis_verdict redis_local_request(struct redis_client *client, struct redis_input *input)
{
    if (!redis_client_quiet(client))
        return REDIS_VERDICT_HOLD;
    switch ((int)input->call.command->id) {
    case REDIS_COMMAND_QUIT:
        return redis_local_quit(client);
    case REDIS_COMMAND_RESET:
        return redis_local_reset(client);
    default:
        break;
    }
    if (client->pool->shared->limited) {
        redis_client_answer_error(client, RESP_ERROR_NOAUTH, NULL, NULL);
        return REDIS_VERDICT_DONE;
    }
    switch ((int)input->call.command->id) {
    case REDIS_COMMAND_CLIENT_SETNAME:
        return local_set_name(client, input);
    case REDIS_COMMAND_CLIENT_GETNAME:
        return local_get_name(client);
    case REDIS_COMMAND_CLIENT_ID:
        return local_id(client);
    case REDIS_COMMAND_CLIENT_REPLY:
        return local_reply(client, input);
    case REDIS_COMMAND_CLIENT_SETINFO:
        return local_set_info(client);
    case REDIS_COMMAND_CLIENT_INFO:
        redis_tour_info(client);
        return REDIS_VERDICT_DONE;
    default:
        break;
    }
    return redis_local_refuse(client, input->call.command);
}
