/* libpq's tour, by its pipeline mode wherever that can go. */
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 50
#define POOL_SIZE 5

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

/* Must be true; else what the connection says is told. */
static void must(PGconn *connection, bool good, const char *what)
{
    if (!good)
        fail("%s: %s", what, PQerrorMessage(connection));
}

static PGconn *open_with(const char *options)
{
    PGconn *connection = PQconnectdb(options);

    must(connection, PQstatus(connection) == CONNECTION_OK, options);
    return connection;
}

static PGconn *open_pipeline(void)
{
    PGconn *connection = open_with("");

    must(connection, PQenterPipelineMode(connection), "PQenterPipelineMode");
    return connection;
}

static void send(PGconn *connection, const char *sql, int count, const char *const *values)
{
    must(connection, PQsendQueryParams(connection, sql, count, NULL, values, NULL, NULL, 0), sql);
}

/* The next result, which has this status; freed by the caller. Ends with the NULL behind it. */
static PGresult *next(PGconn *connection, ExecStatusType status)
{
    PGresult *result = PQgetResult(connection);

    if (PQresultStatus(result) != status)
        fail("%s instead of %s: %s", PQresStatus(PQresultStatus(result)), PQresStatus(status),
             PQresultErrorMessage(result));
    if (status != PGRES_PIPELINE_SYNC && PQgetResult(connection))
        fail("one result too many");
    return result;
}

static void next_is(PGconn *connection, ExecStatusType status)
{
    PQclear(next(connection, status));
}

static void next_value(PGconn *connection, const char *wanted)
{
    PGresult *result = next(connection, PGRES_TUPLES_OK);

    if (PQntuples(result) != 1 || strcmp(PQgetvalue(result, 0, 0), wanted) != 0)
        fail("%s instead of %s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "nothing", wanted);
    PQclear(result);
}

static void next_error(PGconn *connection, const char *sqlstate)
{
    PGresult *result = next(connection, PGRES_FATAL_ERROR);

    if (strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), sqlstate) != 0)
        fail("%s instead of %s", PQresultErrorMessage(result), sqlstate);
    PQclear(result);
}

static void sync_now(PGconn *connection)
{
    must(connection, PQpipelineSync(connection), "PQpipelineSync");
}

static void tables(PGconn *connection)
{
    send(connection, "drop table if exists tour_pipeline", 0, NULL);
    send(connection, "create table tour_pipeline (a int primary key, b text)", 0, NULL);
    sync_now(connection);
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_PIPELINE_SYNC);
}

static void parameters(PGconn *connection)
{
    static const struct {
        const char *type, *value;
    } cases[] = {
        {"int2", "-7"},
        {"int8", "1099511627776"},
        {"float8", "1.5"},
        {"numeric", "12.340"},
        {"bool", "t"},
        {"text", "\xc3\xa4'\\\"%\n"},
        {"bytea", "\\x0001ff"},
        {"date", "2024-02-29"},
        {"timestamptz", "2024-02-29 12:30:01.000005+00"},
        {"interval", "3 days 00:00:04"},
        {"uuid", "00000000-0000-0000-0000-000000000007"},
        {"int4[]", "{1,2,NULL}"},
        {"jsonb", "{\"a\": [1, null]}"},
        {"inet", "10.0.0.1"},
        {"int4range", "[1,5)"},
        {"text", NULL},
    };
    const size_t count = sizeof(cases) / sizeof(cases[0]);
    char sql[64];

    for (size_t i = 0; i < count; i++) {
        snprintf(sql, sizeof(sql), "select $1::%s", cases[i].type);
        send(connection, sql, 1, &cases[i].value);
    }
    sync_now(connection);
    for (size_t i = 0; i < count; i++) {
        if (cases[i].value) {
            next_value(connection, cases[i].value);
        } else {
            PGresult *result = next(connection, PGRES_TUPLES_OK);

            if (!PQgetisnull(result, 0, 0))
                fail("not null");
            PQclear(result);
        }
    }
    next_is(connection, PGRES_PIPELINE_SYNC);
}

/* Prepared and used in one pipeline, and then in many, each a transaction. */
static void prepared(PGconn *connection)
{
    char number[16], wanted[16];
    const char *value = number;

    must(connection, PQsendPrepare(connection, "plus", "select $1::int + 1", 0, NULL), "prepare");
    for (int i = 0; i < 200; i++) {
        snprintf(number, sizeof(number), "%d", i);
        must(connection, PQsendQueryPrepared(connection, "plus", 1, &value, NULL, NULL, 0),
             "execute");
        if (i % 3 == 0)
            sync_now(connection);
    }
    sync_now(connection);
    next_is(connection, PGRES_COMMAND_OK);
    for (int i = 0; i < 200; i++) {
        snprintf(wanted, sizeof(wanted), "%d", i + 1);
        next_value(connection, wanted);
        if (i % 3 == 0)
            next_is(connection, PGRES_PIPELINE_SYNC);
    }
    next_is(connection, PGRES_PIPELINE_SYNC);
    must(connection, PQsendDescribePrepared(connection, "plus"), "describe");
    send(connection, "deallocate plus", 0, NULL);
    sync_now(connection);
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_PIPELINE_SYNC);
    snprintf(number, sizeof(number), "1");
    must(connection, PQsendQueryPrepared(connection, "plus", 1, &value, NULL, NULL, 0), "execute");
    sync_now(connection);
    next_error(connection, "26000");
    next_is(connection, PGRES_PIPELINE_SYNC);
}

/* An error skips to the next Sync, and undoes what no Sync has ended. */
static void errors(PGconn *connection)
{
    send(connection, "insert into tour_pipeline values (1, 'one')", 0, NULL);
    send(connection, "select 1/0", 0, NULL);
    send(connection, "insert into tour_pipeline values (2, 'two')", 0, NULL);
    sync_now(connection);
    send(connection, "select count(*) from tour_pipeline", 0, NULL);
    sync_now(connection);
    next_is(connection, PGRES_COMMAND_OK);
    next_error(connection, "22012");
    next_is(connection, PGRES_PIPELINE_ABORTED);
    next_is(connection, PGRES_PIPELINE_SYNC);
    next_value(connection, "0");
    next_is(connection, PGRES_PIPELINE_SYNC);

    send(connection, "begin", 0, NULL);
    send(connection, "insert into tour_pipeline values (1, 'one')", 0, NULL);
    sync_now(connection);
    send(connection, "selec", 0, NULL);
    sync_now(connection);
    send(connection, "select 1", 0, NULL);
    sync_now(connection);
    send(connection, "rollback", 0, NULL);
    sync_now(connection);
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_PIPELINE_SYNC);
    next_error(connection, "42601");
    next_is(connection, PGRES_PIPELINE_SYNC);
    next_error(connection, "25P02");
    next_is(connection, PGRES_PIPELINE_SYNC);
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_PIPELINE_SYNC);
}

static void cursors(PGconn *connection)
{
    send(connection, "begin", 0, NULL);
    send(connection, "declare c cursor for select generate_series(1, 1000)", 0, NULL);
    send(connection, "move 499 in c", 0, NULL);
    send(connection, "fetch 1 from c", 0, NULL);
    sync_now(connection);
    send(connection, "fetch 1 from c", 0, NULL);
    send(connection, "commit", 0, NULL);
    sync_now(connection);
    for (int i = 0; i < 3; i++)
        next_is(connection, PGRES_COMMAND_OK);
    next_value(connection, "500");
    next_is(connection, PGRES_PIPELINE_SYNC);
    next_value(connection, "501");
    next_is(connection, PGRES_COMMAND_OK);
    next_is(connection, PGRES_PIPELINE_SYNC);
}

/* libpq has no COPY in pipelines. */
static void copies(PGconn *connection)
{
    char line[64], *got;
    int bytes, lines = 0;
    PGresult *result;

    must(connection, PQexitPipelineMode(connection), "PQexitPipelineMode");
    PQclear(PQexec(connection, "copy tour_pipeline from stdin"));
    for (int i = 0; i < 20000; i++) {
        bytes = snprintf(line, sizeof(line), "%d\tline %d\n", i, i);
        must(connection, PQputCopyData(connection, line, bytes) == 1, "PQputCopyData");
    }
    must(connection, PQputCopyEnd(connection, NULL) == 1, "PQputCopyEnd");
    next_is(connection, PGRES_COMMAND_OK);
    PQclear(PQexec(connection, "copy (select * from tour_pipeline order by a) to stdout"));
    while ((bytes = PQgetCopyData(connection, &got, 0)) > 0) {
        snprintf(line, sizeof(line), "%d\tline %d\n", lines, lines);
        if (strcmp(got, line) != 0)
            fail("%s instead of %s", got, line);
        PQfreemem(got);
        lines++;
    }
    if (bytes != -1 || lines != 20000)
        fail("%d lines", lines);
    next_is(connection, PGRES_COMMAND_OK);
    PQclear(PQexec(connection, "copy tour_pipeline from stdin"));
    must(connection, PQputCopyData(connection, "no number\tx\n", 12) == 1, "PQputCopyData");
    must(connection, PQputCopyEnd(connection, NULL) == 1, "PQputCopyEnd");
    result = PQgetResult(connection);
    if (strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), "22P02") != 0)
        fail("%s", PQresultErrorMessage(result));
    PQclear(result);
    if (PQgetResult(connection))
        fail("one result too many");
    must(connection, PQenterPipelineMode(connection), "PQenterPipelineMode");
}

/* What runs is cancelled, what comes behind the Sync is not. */
static void cancels(PGconn *connection)
{
    PGconn *other = open_with("");
    PGcancel *cancel = PQgetCancel(connection);
    char error[256];
    bool seen = false;

    send(connection, "select pg_sleep(60)", 0, NULL);
    send(connection, "select 1", 0, NULL);
    sync_now(connection);
    send(connection, "select 2", 0, NULL);
    sync_now(connection);
    while (!seen) {
        PGresult *result = PQexec(other, "select 1 from pg_stat_activity where "
                                         "query = 'select pg_sleep(60)' and state = 'active'");

        seen = PQntuples(result) > 0;
        PQclear(result);
    }
    if (!PQcancel(cancel, error, sizeof(error)))
        fail("%s", error);
    next_error(connection, "57014");
    next_is(connection, PGRES_PIPELINE_ABORTED);
    next_is(connection, PGRES_PIPELINE_SYNC);
    next_value(connection, "2");
    next_is(connection, PGRES_PIPELINE_SYNC);
    PQfreeCancel(cancel);
    PQfinish(other);
}

static void tls(void)
{
    char options[512];
    PGconn *secure;
    PGresult *result;

    snprintf(options, sizeof(options), "sslmode=verify-full sslrootcert=%s channel_binding=require",
             getenv("SLUICE_TOUR_CA"));
    secure = open_with(options);
    must(secure, PQsslInUse(secure) && PQenterPipelineMode(secure), "TLS");
    for (int i = 0; i < 10; i++)
        send(secure, "select repeat('x', 100000)", 0, NULL);
    sync_now(secure);
    for (int i = 0; i < 10; i++) {
        result = next(secure, PGRES_TUPLES_OK);
        if (PQgetlength(result, 0, 0) != 100000)
            fail("%d bytes", PQgetlength(result, 0, 0));
        PQclear(result);
    }
    next_is(secure, PGRES_PIPELINE_SYNC);
    PQfinish(secure);
}

static void many(void)
{
    static PGconn *all[CLIENTS];
    char pids[POOL_SIZE + 1][16] = {""}, number[16];
    const char *value = number;
    size_t servers = 0, at;

    for (int i = 0; i < CLIENTS; i++)
        all[i] = open_pipeline();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            snprintf(number, sizeof(number), "%d", round * CLIENTS + i);
            send(all[i], "select $1", 1, &value);
            send(all[i], "select pg_backend_pid()", 0, NULL);
            sync_now(all[i]);
            must(all[i], PQflush(all[i]) == 0, "PQflush");
        }
        for (int i = 0; i < CLIENTS; i++) {
            PGresult *result;

            snprintf(number, sizeof(number), "%d", round * CLIENTS + i);
            next_value(all[i], number);
            result = next(all[i], PGRES_TUPLES_OK);
            for (at = 0; at < servers && strcmp(pids[at], PQgetvalue(result, 0, 0)) != 0; at++)
                ;
            if (at == servers && ++servers > POOL_SIZE)
                fail("more servers than the pool may have");
            snprintf(pids[at], sizeof(pids[at]), "%s", PQgetvalue(result, 0, 0));
            PQclear(result);
            next_is(all[i], PGRES_PIPELINE_SYNC);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        PQfinish(all[i]);
}

int main(void)
{
    PGconn *connection = open_pipeline();

    tables(connection);
    parameters(connection);
    prepared(connection);
    errors(connection);
    cursors(connection);
    copies(connection);
    cancels(connection);
    tls();
    many();
    must(connection, PQexitPipelineMode(connection), "PQexitPipelineMode");
    PQclear(PQexec(connection, "drop table tour_pipeline"));
    PQfinish(connection);
    return 0;
}
