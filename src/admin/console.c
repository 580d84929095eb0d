/* The console's side of PostgreSQL's protocol (protocol documentation, "Message Flow"). */
#include "console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "sluice/auth/secret.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"
#include "state.h"

#define MESSAGE_BYTES_MAX COMMAND_TEXT_BYTES_MAX
/* Beyond so many bytes that the client has not taken, nothing more is answered. */
#define PENDING_MAX (256u * 1024u)
#define CONSOLES_MAX 100
#define PREPARED_MAX 100

/* A prepared statement or a portal. */
struct prepared {
    struct prepared *next;
    char name[64];
    struct statement statement;
    uint16_t formats[SHEET_COLUMNS_MAX];
};

static void console_queue(struct console *console, uint8_t type)
{
    uint8_t bytes[PG_HEADER_BYTES] = {type, 0, 0, 0, 4};

    stream_queue(&console->client->stream, bytes, sizeof(bytes));
}

/* --- prepared statements and portals --- */

static struct prepared *prepared_find(struct prepared *list, const char *name)
{
    struct prepared *found = list;

    while (found && strcmp(found->name, name) != 0)
        found = found->next;
    return found;
}

static void prepared_drop(struct prepared **list, const char *name)
{
    struct prepared *found = prepared_find(*list, name);

    if (found)
        LL_DELETE(*list, found);
    free(found);
}

/* A new one, in place of the one that had the name. NULL: the failure is told. */
static struct prepared *prepared_new(struct console *console, struct prepared **list,
                                     const char *name)
{
    struct pool_failure failure;
    struct prepared *counted, *made;
    int count;

    prepared_drop(list, name);
    LL_COUNT(*list, counted, count);
    if (count >= PREPARED_MAX || strlen(name) >= sizeof(made->name)) {
        pool_failure_set(&failure, "54000",
                         "too many prepared statements, or a name that is too long");
        console_fail(console, &failure);
        return NULL;
    }
    made = memory_new(sizeof(*made));
    memcpy(made->name, name, strlen(name) + 1);
    LL_PREPEND(*list, made);
    return made;
}

static void prepared_free(struct prepared **list)
{
    while (*list)
        prepared_drop(list, (*list)->name);
}

/* --- messages --- */

static void console_broken(struct console *console)
{
    struct pool_failure failure;

    pool_failure_set(&failure, "08P01", "invalid message");
    console_fail(console, &failure);
}

static void console_query(struct console *console, struct pg_reader *reader)
{
    const char *text = pg_read_text(reader);
    struct pool_failure failure;

    console->extended = false;
    memset(console->formats, 0, sizeof(console->formats));
    if (reader->failed) {
        console_broken(console);
    } else if (!statement_parse(&console->statement, text, &failure)) {
        console_fail(console, &failure);
    } else if (console->statement.kind == STATEMENT_EMPTY) {
        console_queue(console, PG_EMPTY_QUERY);
        console_ready_for_query(console);
    } else {
        console_carry_out(console);
    }
}

static void console_parse(struct console *console, struct pg_reader *reader)
{
    const char *name = pg_read_text(reader);
    const char *text = pg_read_text(reader);
    struct statement statement;
    struct pool_failure failure;
    struct prepared *prepared;

    if (reader->failed) {
        console_broken(console);
    } else if (!statement_parse(&statement, text, &failure)) {
        console_fail(console, &failure);
    } else if ((prepared = prepared_new(console, &console->statements, name))) {
        prepared->statement = statement;
        console_queue(console, PG_PARSE_COMPLETE);
    }
}

/* The formats of the columns: none, one for all, or one each. */
static bool bind_formats(struct pg_reader *reader, uint16_t formats[SHEET_COLUMNS_MAX])
{
    uint16_t count = pg_read_u16(reader);

    if (count > SHEET_COLUMNS_MAX)
        return false;
    for (unsigned i = 0; i < count; i++) {
        formats[i] = pg_read_u16(reader);
        if (formats[i] > 1)
            return false;
    }
    for (unsigned i = 1; count == 1 && i < SHEET_COLUMNS_MAX; i++)
        formats[i] = formats[0];
    return !reader->failed;
}

static void console_bind(struct console *console, struct pg_reader *reader)
{
    const char *name = pg_read_text(reader);
    const char *statement = pg_read_text(reader);
    struct prepared *from, *portal;
    struct pool_failure failure;
    uint16_t formats[SHEET_COLUMNS_MAX] = {0};
    uint16_t count = pg_read_u16(reader);

    while (count-- > 0 && !reader->failed)
        pg_read_u16(reader); /* formats of parameters */
    count = pg_read_u16(reader);
    from = prepared_find(console->statements, statement);
    if (reader->failed) {
        console_broken(console);
    } else if (!from) {
        pool_failure_set(&failure, "26000", "prepared statement \"%s\" does not exist", statement);
        console_fail(console, &failure);
    } else if (count > 0) {
        pool_failure_set(
            &failure, "08P01",
            "bind message supplies %u parameters, but prepared statement \"%s\" requires 0", count,
            statement);
        console_fail(console, &failure);
    } else if (!bind_formats(reader, formats)) {
        console_broken(console);
    } else if ((portal = prepared_new(console, &console->portals, name))) {
        portal->statement = from->statement;
        memcpy(portal->formats, formats, sizeof(portal->formats));
        console_queue(console, PG_BIND_COMPLETE);
    }
}

/* The statement or portal that Describe, Close and Execute name; NULL: the failure is told. */
static struct prepared *console_find(struct console *console, char kind, const char *name)
{
    struct prepared *found =
        prepared_find(kind == 'S' ? console->statements : console->portals, name);
    struct pool_failure failure;

    if (found)
        return found;
    pool_failure_set(&failure, kind == 'S' ? "26000" : "34000", "%s \"%s\" does not exist",
                     kind == 'S' ? "prepared statement" : "portal", name);
    console_fail(console, &failure);
    return NULL;
}

static void console_describe_message(struct console *console, struct pg_reader *reader)
{
    static const uint8_t no_parameters[] = {PG_PARAMETER_DESCRIPTION, 0, 0, 0, 6, 0, 0};
    char kind = (char)pg_read_u8(reader);
    const char *name = pg_read_text(reader);
    struct prepared *found;

    if (reader->failed) {
        console_broken(console);
        return;
    }
    found = console_find(console, kind, name);
    if (!found)
        return;
    if (kind == 'S')
        stream_queue(&console->client->stream, no_parameters, sizeof(no_parameters));
    console_describe(console, &found->statement, kind == 'S' ? NULL : found->formats);
}

static void console_execute(struct console *console, struct pg_reader *reader)
{
    const char *name = pg_read_text(reader);
    struct prepared *portal;

    if (reader->failed) {
        console_broken(console);
        return;
    }
    portal = console_find(console, 'P', name);
    if (!portal)
        return;
    console->statement = portal->statement;
    memcpy(console->formats, portal->formats, sizeof(console->formats));
    if (portal->statement.kind == STATEMENT_EMPTY)
        console_queue(console, PG_EMPTY_QUERY);
    else
        console_carry_out(console);
}

static void console_close_message(struct console *console, struct pg_reader *reader)
{
    char kind = (char)pg_read_u8(reader);
    const char *name = pg_read_text(reader);

    if (reader->failed) {
        console_broken(console);
        return;
    }
    prepared_drop(kind == 'S' ? &console->statements : &console->portals, name);
    console_queue(console, PG_CLOSE_COMPLETE);
}

/* One whole message. False: the console is closed. */
static bool console_message(struct console *console, uint8_t type, struct pg_reader *reader)
{
    struct pool_failure failure;

    if (type == PG_TERMINATE) {
        console_close(console, "client close request");
        return false;
    }
    if (type == PG_SYNC) {
        console->skip_until_sync = false;
        prepared_free(&console->portals);
        console_ready_for_query(console);
        return true;
    }
    if (console->skip_until_sync || type == PG_FLUSH)
        return true;
    if (type == PG_QUERY) {
        console_query(console, reader);
        return true;
    }
    console->extended = true;
    switch (type) {
    case PG_PARSE:
        console_parse(console, reader);
        return true;
    case PG_BIND:
        console_bind(console, reader);
        return true;
    case PG_DESCRIBE:
        console_describe_message(console, reader);
        return true;
    case PG_EXECUTE:
        console_execute(console, reader);
        return true;
    case PG_CLOSE:
        console_close_message(console, reader);
        return true;
    default:
        pool_failure_set(&failure, "08P01", "unsupported packet type for admin console: %d", type);
        console_fail(console, &failure);
        stream_flush(&console->client->stream);
        console_close(console, "bad packet");
        return false;
    }
}

/* True when it goes on with what it has, or can read. What it answers is bounded: else it goes on
 * when the client has taken some. */
static bool console_goes_on(const struct console *console)
{
    const struct stream *stream = &console->client->stream;
    const struct buffer *in = &console->client->in;

    return console->state == CONSOLE_IDLE && stream_pending(stream) <= PENDING_MAX &&
           (stream->readable || (buffer_length(in) >= PG_HEADER_BYTES &&
                                 buffer_length(in) > pg_u32(buffer_bytes(in) + 1)));
}

bool console_run(struct console *console)
{
    struct buffer *in = &console->client->in;
    struct buffer_cache *cache = &console->admin->host.loop->buffers;
    struct stream *stream = &console->client->stream;

    while (console->state == CONSOLE_IDLE && buffer_length(in) >= PG_HEADER_BYTES &&
           stream_pending(stream) <= PENDING_MAX) {
        uint8_t type = buffer_bytes(in)[0];
        uint32_t body = pg_u32(buffer_bytes(in) + 1);
        struct pg_reader reader;

        if (body < PG_MESSAGE_BYTES_MIN || body > MESSAGE_BYTES_MAX) {
            console_close(console, "invalid message length");
            return false;
        }
        if (buffer_length(in) < 1 + (size_t)body)
            break;
        reader = pg_reader_of(buffer_bytes(in) + PG_HEADER_BYTES, body - 4);
        if (!console_message(console, type, &reader))
            return false;
        buffer_consume(in, cache, 1 + (size_t)body);
    }
    stream_flush(stream);
    if (console_goes_on(console))
        stream_again(stream);
    return true;
}

static void console_stream_ready(struct stream *stream, unsigned what)
{
    struct console_client *client = container_of(stream, struct console_client, stream);
    struct console *console = client->owner;
    struct loop *loop = console->admin->host.loop;
    ssize_t got = 0;

    while (buffer_length(&client->in) <= MESSAGE_BYTES_MAX &&
           (got = stream_read(stream, loop->scratch, LOOP_SCRATCH_BYTES)) > 0)
        buffer_append(&client->in, &loop->buffers, loop->scratch, (size_t)got);
    if (console_run(console) && got < 0)
        console_close(console, "client unexpected eof");
}

static void console_log(const struct console *console, const char *what)
{
    char subject[768], host[ADDRESS_TEXT_BYTES];
    const struct console_client *client = console->client;

    if (!admin_conf(console->admin)->log_connections)
        return;
    snprintf(subject, sizeof(subject), "C-%#llx: %s/%s@%s:%u", (unsigned long long)client->id,
             client->database, client->user, address_text(&client->from, host),
             address_port(&client->from));
    log_write(LOG_LEVEL_INFO, subject, "%s", what);
}

static void console_welcome(struct console *console)
{
    static const struct {
        const char *name, *value;
    } parameters[] = {
        {"server_version", CONSOLE_SERVER_VERSION},
        {"client_encoding", "UTF8"},
        {"server_encoding", "UTF8"},
        {"DateStyle", "ISO"},
        {"TimeZone", "GMT"},
        {"standard_conforming_strings", "on"},
        {"is_superuser", "on"},
        {"default_transaction_isolation", "read committed"},
    };
    uint8_t bytes[1024];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_begin(&writer, PG_AUTHENTICATION);
    pg_write_u32(&writer, 0);
    pg_end(&writer);
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
        pg_write_parameter(&writer, parameters[i].name, parameters[i].value);
    pg_begin(&writer, PG_BACKEND_KEY);
    console->process_id =
        (uint32_t)(console->client->id << PG_CANCEL_CONSOLE_SHIFT & INT32_MAX) | PG_CANCEL_CONSOLE;
    ensure(secret_random(&console->secret, sizeof(console->secret)));
    pg_write_u32(&writer, console->process_id);
    pg_write_u32(&writer, console->secret);
    pg_end(&writer);
    ensure(!writer.failed);
    stream_queue(&console->client->stream, bytes, writer.length);
    console_ready_for_query(console);
}

void console_end(struct console *console, const char *sqlstate, const char *reason)
{
    uint8_t bytes[256];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_write_error(&writer, PG_ERROR, "FATAL", sqlstate, reason, NULL, NULL);
    stream_write(&console->client->stream, bytes, writer.length);
    console_close(console, reason);
}

/* The one that has been idle for longest: of stats_users, if there is one. */
static struct console *console_idle_longest(const struct admin *admin, const struct console *but)
{
    struct console *found = NULL;

    LIST_EACH_SAFE (&admin->consoles, node, next) {
        struct console *console = container_of(node, struct console, node);

        if (console == but || console->state != CONSOLE_IDLE || console == admin->suspender)
            continue;
        if (!found || console->client->admin < found->client->admin ||
            (console->client->admin == found->client->admin &&
             console->request_us < found->request_us))
            found = console;
    }
    return found;
}

/* There is no time limit on idle clients of the console, since monitoring stays connected; so that
 * they cannot lock an operator out, one of them makes room. False: nobody can. */
static bool console_make_room(struct console *console)
{
    struct console *idle;

    if (console->admin->consoles.length <= CONSOLES_MAX)
        return true;
    idle = console_idle_longest(console->admin, console);
    if (!idle)
        return false;
    console_end(idle, "53300", "too many clients of the console, and this one was idle");
    return true;
}

void console_new(struct admin *admin, struct console_client *client)
{
    struct console *console = memory_new(sizeof(*console));

    console->admin = admin;
    console->client = client;
    console->state = CONSOLE_IDLE;
    console->request_us = client->connected_us;
    client->owner = console;
    client->stream.ready = console_stream_ready;
    stream_attach(&client->stream, admin->host.loop);
    list_push_back(&admin->consoles, &console->node);
    if (!console_make_room(console)) {
        console_end(console, "53300", "too many clients of the console");
        return;
    }
    admin->commands.values[COUNTER_client_login_count]++;
    console_log(console, "console client");
    console_welcome(console);
    console_run(console);
}

void console_close(struct console *console, const char *reason)
{
    struct admin *admin = console->admin;
    struct console_client *client = console->client;

    console_log(console, reason);
    if (admin->suspender == console)
        admin_resume(admin);
    if (console->survey)
        console->survey->asker = NULL;
    timer_cancel(admin->host.loop, &console->timer);
    list_remove(&admin->consoles, &console->node);
    prepared_free(&console->statements);
    prepared_free(&console->portals);
    buffer_clear(&client->in, &admin->host.loop->buffers);
    stream_close(&client->stream);
    free(client);
    free(console);
}
