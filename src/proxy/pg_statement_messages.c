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

void message_close_none(struct pg_client *client)
{
    message_close(client, NO_STATEMENT);
    pg_pipeline_sent(&client->server->pipeline, PG_CLOSE, true);
}

void message_prepare(struct pg_client *client, const char *name, const uint8_t *tail,
                     size_t tail_bytes)
{
    static const char prepare[] = "PREPARE ";
    /* No formats, parameters, formats of results; all rows. */
    static const uint8_t bind[] = NO_STATEMENT "\0" NO_STATEMENT "\0\0\0\0\0\0";
    static const uint8_t execute[] = NO_STATEMENT "\0\0\0\0";
    struct pg_pipeline *pipeline = &client->server->pipeline;

    message_close_none(client);
    message_begin(client, PG_PARSE,
                  sizeof(NO_STATEMENT) + strlen(prepare) + strlen(name) + tail_bytes + 2);
    message_bytes(client, NO_STATEMENT, sizeof(NO_STATEMENT));
    message_bytes(client, prepare, strlen(prepare));
    message_bytes(client, name, strlen(name));
    message_bytes(client, tail, tail_bytes);
    message_bytes(client, "\0", 2);
    pg_pipeline_sent(pipeline, PG_PARSE, true);
    message_begin(client, PG_BIND, sizeof(bind));
    message_bytes(client, bind, sizeof(bind));
    pg_pipeline_sent(pipeline, PG_BIND, true);
    message_begin(client, PG_EXECUTE, sizeof(execute));
    message_bytes(client, execute, sizeof(execute));
    pg_pipeline_sent(pipeline, PG_EXECUTE, true);
    message_begin(client, PG_CLOSE, 1 + sizeof(NO_STATEMENT));
    message_bytes(client, "P", 1);
    message_bytes(client, NO_STATEMENT, sizeof(NO_STATEMENT));
    pg_pipeline_sent(pipeline, PG_CLOSE, true);
    counter_add(&client->pool->counters.server_parse_count, 1);
}

void message_query(struct pg_client *client, const char *query, bool own)
{
    message_begin(client, PG_QUERY, strlen(query) + 1);
    message_bytes(client, query, strlen(query) + 1);
    pg_pipeline_sent(&client->server->pipeline, PG_QUERY, own);
}
