#include "pg_statement_messages.h"

#include <string.h>

#include "pg_client.h"
#include "sluice/wire/pg.h"

void message_begin(struct pg_client *client, uint8_t type, size_t body_bytes)
{
    uint8_t header[PG_HEADER_BYTES] = {type};

    pg_put_u32(header + 1, (uint32_t)body_bytes + 4);
    stream_queue(&client->server->base.stream, header, sizeof(header));
}

void message_bytes(struct pg_client *client, const void *bytes, size_t length)
{
    stream_queue(&client->server->base.stream, bytes, length);
}

void message_as_it_is(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                      size_t length)
{
    message_begin(client, type, length);
    message_bytes(client, body, have);
    pg_pipeline_sent(&client->server->pipeline, type, false);
}

void message_close(struct pg_client *client, const char *name)
{
    message_begin(client, PG_CLOSE, 1 + strlen(name) + 1);
    message_bytes(client, "S", 1);
    message_bytes(client, name, strlen(name) + 1);
}

void message_describe(struct pg_client *client, const char *name)
{
    message_begin(client, PG_DESCRIBE, 1 + strlen(name) + 1);
    message_bytes(client, "S", 1);
    message_bytes(client, name, strlen(name) + 1);
}

void message_parse(struct pg_client *client, const char *name, const uint8_t *rest,
                   size_t rest_bytes)
{
    message_begin(client, PG_PARSE, strlen(name) + 1 + rest_bytes);
    message_bytes(client, name, strlen(name) + 1);
    message_bytes(client, rest, rest_bytes);
    counter_add(&client->pool->counters.server_parse_count, 1);
}

void message_query(struct pg_client *client, const char *query, bool own)
{
    message_begin(client, PG_QUERY, strlen(query) + 1);
    message_bytes(client, query, strlen(query) + 1);
    pg_pipeline_sent(&client->server->pipeline, PG_QUERY, own);
}
