#include "pg_libpq.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "pg_login.h"
#include "sluice/base/memory.h"
#include "sluice/net/helper.h"

#define OPTIONS_MAX 32
/* Settings at worst: all that a client may ask for, every byte of a value doubled. */
#define SESSION_BYTES (2 * PARAMS_BYTES_MAX + 8 * PARAMS_MAX + 3 * 2 * PARAM_VALUE_BYTES + 256)
#define POLL_MS 200 /* how soon a login that nobody waits for is given up */

struct pg_libpq_call {
    struct helper helper;
    struct pg_server *pg; /* of a login */
    PGconn *connection;
    char *keywords[OPTIONS_MAX + 1], *values[OPTIONS_MAX + 1];
    unsigned options;
    PGcancel *cancel; /* of a cancel request, like the next two */
    void (*done)(void *owner);
    void *owner;
};

static void call_free(struct pg_libpq_call *call)
{
    for (unsigned i = 0; i < call->options; i++) {
        free(call->keywords[i]);
        secret_wipe(call->values[i], strlen(call->values[i]));
        free(call->values[i]);
    }
    PQfinish(call->connection);
    PQfreeCancel(call->cancel);
    free(call);
}

static void call_discard(struct helper *helper)
{
    call_free(container_of(helper, struct pg_libpq_call, helper));
}

void pg_libpq_abandon(struct pg_libpq_call *call)
{
    if (call)
        helper_abandon(&call->helper);
}

/* --- what libpq is told --- */

static void option(struct pg_libpq_call *call, const char *keyword, const char *value)
{
    if (!value || !value[0])
        return;
    ensure(call->options < OPTIONS_MAX);
    call->keywords[call->options] = memory_text(keyword, strlen(keyword));
    call->values[call->options++] = memory_text(value, strlen(value));
}

static void option_hosts(struct pg_libpq_call *call, const struct conf_list *hosts)
{
    char text[4096] = "";
    size_t used = 0;

    for (size_t i = 0; i < hosts->count && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? "," : "",
                                 hosts->items[i]);
    option(call, "host", text);
}

/* A service may say more about TLS than `prefer` does; what verifies wins over it. */
static void options_tls(struct pg_libpq_call *call, const struct conf *conf, bool service)
{
    static const char *const modes[] = {
        [SSLMODE_DISABLE] = "disable",     [SSLMODE_ALLOW] = "allow",
        [SSLMODE_PREFER] = "prefer",       [SSLMODE_REQUIRE] = "require",
        [SSLMODE_VERIFY_CA] = "verify-ca", [SSLMODE_VERIFY_FULL] = "verify-full",
    };

    if (!service || conf->server_tls_sslmode >= SSLMODE_REQUIRE)
        option(call, "sslmode", modes[conf->server_tls_sslmode]);
    option(call, "sslrootcert", conf->server_tls_ca_file);
    option(call, "sslcert", conf->server_tls_cert_file);
    option(call, "sslkey", conf->server_tls_key_file);
}

/* "-c name=value ": a blank or backslash in the value behind a backslash. */
static char *option_setting(char *text, const char *name, const char *value)
{
    text = stpcpy(stpcpy(stpcpy(text, "-c "), name), "=");
    for (; *value; value++) {
        if (strchr(" \t\n\r\f\v\\", *value))
            *text++ = '\\';
        *text++ = *value;
    }
    return stpcpy(text, " ");
}

/* What the database's line says is for clients that do not say it themselves. */
static char *option_default(char *text, const struct params *startup, const char *name,
                            const char *value)
{
    bool said = startup && params_get(startup, name);

    return value && !said && strlen(value) < PARAM_VALUE_BYTES ? option_setting(text, name, value)
                                                               : text;
}

static void options_session(struct pg_libpq_call *call, const struct pg_libpq_terms *terms)
{
    const struct conf_database *database = terms->database;
    const struct params *startup = terms->startup;
    char text[SESSION_BYTES] = "", *at = text;
    const char *value;

    at = option_default(at, startup, "client_encoding", database->client_encoding);
    at = option_default(at, startup, "datestyle", database->datestyle);
    at = option_default(at, startup, "timezone", database->timezone);
    for (const char *name = startup ? params_next(startup, NULL, &value) : NULL; name;
         name = params_next(startup, name, &value)) {
        if (strcmp(name, "replication") == 0 || strcasecmp(name, "application_name") == 0)
            option(call, name, value);
        else
            at = option_setting(at, name, value);
    }
    if (!startup || !params_get(startup, "application_name"))
        option(call, "application_name", terms->application_name);
    option(call, "options", text);
}

static void options_of(struct pg_libpq_call *call, const struct pool *pool,
                       const struct pg_libpq_terms *terms)
{
    const struct conf_database *database = terms->database;
    bool service = database->service && database->service[0];
    struct conf_list hosts =
        service ? database->host : conf_database_hosts(terms->conf, terms->database);
    char port[16];

    snprintf(port, sizeof(port), "%lld", (long long)database->port);
    option(call, "service", database->service);
    option_hosts(call, &hosts);
    /* What the line leaves out is the service's to say. */
    if (!service || database->port != 5432)
        option(call, "port", port);
    option(call, "dbname",
           service ? database->dbname : conf_database_dbname(database, pool->database_name));
    option(call, "user", pool->user_name);
    option(call, "password", terms->password);
    option(call, "passfile", database->passfile);
    option(call, "gssencmode", "disable"); /* such a connection cannot be adopted */
    options_tls(call, terms->conf, service);
    options_session(call, terms);
}

/* --- logging in --- */

static void login_run(struct helper *helper)
{
    struct pg_libpq_call *call = container_of(helper, struct pg_libpq_call, helper);
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;

    call->connection = PQconnectStartParams((const char *const *)call->keywords,
                                            (const char *const *)call->values, 0);
    if (!call->connection || PQstatus(call->connection) == CONNECTION_BAD)
        return;
    PQsetErrorVerbosity(call->connection, PQERRORS_VERBOSE); /* tells the SQLSTATE */
    /* How long it may take is the pool's business: it abandons us then. */
    while (wants != PGRES_POLLING_OK && wants != PGRES_POLLING_FAILED) {
        struct pollfd socket = {.fd = PQsocket(call->connection),
                                .events = wants == PGRES_POLLING_READING ? POLLIN : POLLOUT};

        if (poll(&socket, 1, POLL_MS) > 0)
            wants = PQconnectPoll(call->connection);
        else if (helper_abandoned(helper))
            return;
    }
}

/* "FATAL:  28P01: message\nDETAIL:  ...\nHINT:  ...\nLOCATION: ..."; or libpq's own words. When
 * several attempts failed the last one counts. */
static void failure_from(struct pool_failure *failure, const char *text)
{
    const char *fatal = NULL, *next = text, *line;

    while ((next = strstr(next, "FATAL:  ")) != NULL)
        fatal = (next += 8);
    if (!fatal || strlen(fatal) < 7 || fatal[5] != ':') {
        pool_failure_set(failure, "08001", "%.*s", (int)strcspn(text, "\n"), text);
        return;
    }
    pool_failure_set(failure, "08001", "%.*s", (int)strcspn(fatal + 7, "\n"), fatal + 7);
    memcpy(failure->sqlstate, fatal, 5);
    if ((line = strstr(fatal, "\nDETAIL:  ")) != NULL)
        snprintf(failure->detail, sizeof(failure->detail), "%.*s", (int)strcspn(line + 10, "\n"),
                 line + 10);
    if ((line = strstr(fatal, "\nHINT:  ")) != NULL)
        snprintf(failure->hint, sizeof(failure->hint), "%.*s", (int)strcspn(line + 8, "\n"),
                 line + 8);
}

static void adopt_parameter(struct pg_server *pg, const PGconn *connection, const char *name)
{
    const char *value = PQparameterStatus(connection, name);

    if (value)
        pg->params = params_with(&pg->base.pool->pools->params, pg->params, name, value);
}

/* libpq keeps what it is told, but cannot be asked for all of it: these are PostgreSQL's, up to
 * version 18. */
static void adopt_parameters(struct pg_server *pg, const PGconn *connection)
{
    static const char *const names[] = {
        "application_name",
        "client_encoding",
        "DateStyle",
        "in_hot_standby",
        "integer_datetimes",
        "IntervalStyle",
        "is_superuser",
        "scram_iterations",
        "search_path",
        "server_encoding",
        "server_version",
        "session_authorization",
        "TimeZone",
        "standard_conforming_strings",
        "default_transaction_read_only",
    };
    const struct conf_list *extra = &pg->base.pool->pools->conf->track_extra_parameters;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        adopt_parameter(pg, connection, names[i]);
    for (size_t i = 0; i < extra->count; i++)
        if (!params_get(pg->params, extra->items[i]))
            adopt_parameter(pg, connection, extra->items[i]);
}

/* A descriptor of our own to the same socket, so that stream and libpq may each close theirs. */
static bool adopt(struct pg_server *pg, PGconn *connection)
{
    struct server *server = &pg->base;
    int fd = fcntl(PQsocket(connection), F_DUPFD_CLOEXEC, 3);
    socklen_t bytes = sizeof(server->address);
    void *ssl = PQsslStruct(connection, "OpenSSL");

    if (fd < 0)
        return false;
    if (getpeername(fd, &server->address.any, &bytes) == 0)
        server->address_bytes = bytes;
    stream_open(&server->stream, server->pool->pools->loop, fd, pg_server_stream_ready);
    if (ssl)
        stream_adopt_tls(&server->stream, ssl);
    pg->libpq = connection;
    pg->process_id = (uint32_t)PQbackendPID(connection);
    adopt_parameters(pg, connection);
    return true;
}

static void login_done(struct helper *helper)
{
    struct pg_libpq_call *call = container_of(helper, struct pg_libpq_call, helper);
    struct pg_server *pg = call->pg;
    struct pool_failure failure;
    bool adopted = false;

    if (!call->connection || PQstatus(call->connection) != CONNECTION_OK) {
        failure_from(&failure, call->connection ? PQerrorMessage(call->connection)
                                                : "libpq is out of memory");
    } else if (adopt(pg, call->connection)) {
        adopted = true;
        call->connection = NULL;
    } else {
        pool_failure_set(&failure, "53000", "there is no descriptor left for a server");
    }
    call_free(call);
    if (adopted)
        pg_login_adopted(pg);
    else
        pg_login_refused(pg, &failure);
}

struct pg_libpq_call *pg_libpq_open(struct pg_server *pg, const struct pg_libpq_terms *terms)
{
    struct pg_libpq_call *call = memory_new(sizeof(*call));

    call->pg = pg;
    options_of(call, pg->base.pool, terms);
    call->helper.run = login_run;
    call->helper.done = login_done;
    call->helper.discard = call_discard;
    if (helper_start(&call->helper, pg->base.pool->pools->mailbox))
        return call;
    call_free(call);
    return NULL;
}

/* --- cancelling --- */

static void cancel_run(struct helper *helper)
{
    struct pg_libpq_call *call = container_of(helper, struct pg_libpq_call, helper);
    char why[256];

    PQcancel(call->cancel, why, sizeof(why));
}

static void cancel_done(struct helper *helper)
{
    struct pg_libpq_call *call = container_of(helper, struct pg_libpq_call, helper);
    void (*done)(void *owner) = call->done;
    void *owner = call->owner;

    call_free(call);
    done(owner);
}

struct pg_libpq_call *pg_libpq_cancel(struct pg_server *pg, void (*done)(void *owner), void *owner)
{
    struct pg_libpq_call *call = memory_new(sizeof(*call));

    call->cancel = PQgetCancel(pg->libpq);
    call->done = done;
    call->owner = owner;
    call->helper.run = cancel_run;
    call->helper.done = cancel_done;
    call->helper.discard = call_discard;
    if (call->cancel && helper_start(&call->helper, pg->base.pool->pools->mailbox))
        return call;
    call_free(call);
    return NULL;
}

void pg_libpq_close(struct pg_server *pg)
{
    if (!pg->libpq)
        return;
    /* The goodbye has been said: libpq shall not say it again. */
    shutdown(PQsocket(pg->libpq), SHUT_RDWR);
    PQfinish(pg->libpq);
    pg->libpq = NULL;
}
