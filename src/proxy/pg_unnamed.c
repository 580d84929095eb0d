#include "pg_unnamed.h"

#include "pg_client.h"
#include "pg_statement_messages.h"
#include "sluice/wire/pg.h"

bool pg_unnamed_foreign(const struct pg_client *client, uint8_t type, const char *name)
{
    return (type == PG_BIND || type == PG_DESCRIBE) && name[0] == '\0' &&
           client->server->unnamed_client != client->id;
}

void pg_unnamed_close(struct pg_client *client)
{
    message_close(client, "");
    pg_pipeline_sent(&client->server->pipeline, PG_CLOSE, true);
    client->server->unnamed_client = client->id;
}

void pg_unnamed_parsed(struct pg_client *client)
{
    client->server->unnamed_client = client->id;
}
