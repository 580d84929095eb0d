/* What a startup packet to a server says. */
#include "pg_login.h"
#include "sluice/base/ensure.h"
#include "sluice/wire/pg.h"

static void startup_option(struct pg_writer *writer, const char *name, const char *value)
{
    if (!value)
        return;
    pg_write_text(writer, name);
    pg_write_text(writer, value);
}

/* What the database's line says is for clients that do not say it themselves. */
static void startup_default(struct pg_writer *writer, const struct params *startup,
                            const char *name, const char *value)
{
    if (!startup || !params_get(startup, name))
        startup_option(writer, name, value);
}

size_t pg_login_startup(const struct pg_server *pg, const struct conf_database *database,
                        const char *application_name, uint8_t bytes[PG_LOGIN_STARTUP_BYTES])
{
    struct pg_writer writer = pg_writer_of(bytes, PG_LOGIN_STARTUP_BYTES);
    const struct pool *pool = pg->base.pool;
    const struct params *startup = pg->base.startup;
    const char *value;

    pg_begin(&writer, 0);
    pg_write_u32(&writer, PG_PROTOCOL_3_0);
    startup_option(&writer, "user", pool->user_name);
    startup_option(&writer, "database", conf_database_dbname(database, pool->database_name));
    startup_default(&writer, startup, "client_encoding", database->client_encoding);
    startup_default(&writer, startup, "datestyle", database->datestyle);
    startup_default(&writer, startup, "timezone", database->timezone);
    startup_default(&writer, startup, "application_name", application_name);
    for (const char *name = startup ? params_next(startup, NULL, &value) : NULL; name;
         name = params_next(startup, name, &value))
        startup_option(&writer, name, value);
    pg_write_u8(&writer, 0);
    pg_end(&writer);
    ensure(!writer.failed);
    return writer.length;
}
