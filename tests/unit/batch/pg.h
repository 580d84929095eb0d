/* pg: the server that the tests of this folder compare with. SLUICE_PG_SOCKET_DIR and
 * SLUICE_PG_PORT say where it is; without them such a test is skipped. Each program has a database
 * of its own. */
#ifndef TESTS_BATCH_PG_H
#define TESTS_BATCH_PG_H

#include "generate.h"

#include "sluice/batch/lookup.h"

#include <check.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PG_SKIP 77 /* exit status by which meson knows a skipped test */

static PGconn *pg;
static char pg_database[64];

static void pg_ignore(void *argument, const char *message)
{
}

static PGconn *pg_open(const char *database)
{
    const char *keys[] = {"host", "port", "user", "dbname", "client_encoding", "options", NULL};
    const char *values[] = {getenv("SLUICE_PG_SOCKET_DIR"),
                            getenv("SLUICE_PG_PORT"),
                            "postgres",
                            database,
                            "UTF8",
                            "-c jit=off",
                            NULL};
    PGconn *connection = PQconnectdbParams(keys, values, 0);

    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PQsetNoticeProcessor(connection, pg_ignore, NULL);
    return connection;
}

static PGresult *pg_query(const char *sql)
{
    PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);

    ck_assert_msg(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, "%s: %s", sql,
                  PQerrorMessage(pg));
    return result;
}

/* Runs a statement (a printf format) that must succeed. */
__attribute__((format(printf, 1, 2))) static void pg_run(const char *format, ...)
{
    char *sql;
    va_list list;

    va_start(list, format);
    ck_assert_int_ge(vasprintf(&sql, format, list), 0);
    va_end(list);
    PQclear(pg_query(sql));
    free(sql);
}

static inline bool pg_available(void)
{
    return getenv("SLUICE_PG_SOCKET_DIR") != NULL && getenv("SLUICE_PG_PORT") != NULL;
}

/* Opens a fresh database as `pg`; with pg_stop() the unchecked fixture of a test case. */
static inline void pg_start(void)
{
    snprintf(pg_database, sizeof(pg_database), "sluice_batch_%d", (int)getpid());
    pg = pg_open("postgres");
    pg_run("CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", pg_database);
    PQfinish(pg);
    pg = pg_open(pg_database);
}

static inline void pg_stop(void)
{
    PQfinish(pg);
    pg = pg_open("postgres");
    pg_run("DROP DATABASE %s", pg_database);
    PQfinish(pg);
}

/* A statement that PostgreSQL has described, and what the probe said of it. */
struct described {
    unsigned params;
    Oid oids[LOOKUP_PARAMS_MAX];
    enum lookup_refusal refusal;
    PGresult *probe; /* owns the types' names */
    struct lookup_type types[LOOKUP_PARAMS_MAX];
};

/* Asks the probe for the types of the prepared statement `name`. */
static inline void pg_probe(const struct lookup *lookup, const char *name, struct described *to)
{
    PGresult *result = PQdescribePrepared(pg, name);
    char oids[LOOKUP_PARAMS_MAX * 12] = "{";
    const char *values[] = {oids};
    size_t length = 1;

    ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
    to->params = (unsigned)PQnparams(result);
    for (unsigned i = 0; i < to->params; i++) {
        to->oids[i] = PQparamtype(result, (int)i);
        length += (size_t)snprintf(oids + length, sizeof(oids) - length, "%s%u", i > 0 ? "," : "",
                                   to->oids[i]);
    }
    snprintf(oids + length, sizeof(oids) - length, "}");
    PQclear(result);
    to->probe = PQexecParams(pg, lookup_probe(lookup), 1, NULL, values, NULL, NULL, 0);
    ck_assert_msg(PQresultStatus(to->probe) == PGRES_TUPLES_OK, "%s", PQerrorMessage(pg));
    ck_assert_int_eq(PQntuples(to->probe), (int)to->params);
    to->refusal = lookup_probe_refusal(PQgetvalue(to->probe, 0, 0));
    for (int i = 0; i < (int)to->params; i++)
        to->types[i] = (struct lookup_type){.name = PQgetvalue(to->probe, i, 1),
                                            .text_only = *PQgetvalue(to->probe, i, 2) == 't'};
}

/* Prepares a statement as `name` and lets its types be what PostgreSQL makes of them. */
static inline bool pg_prepare(const char *name, const char *text)
{
    PGresult *result = PQprepare(pg, name, text, 0, NULL);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return good;
}

/* The types that generate.c's samples need beyond the built-in ones, and table u. */
static inline void samples_create_types(void)
{
    pg_run("%s", SAMPLES_CREATE);
}

/* Table t, with a column c of the sample's type. */
static inline void samples_create_table(const struct sample *sample)
{
    pg_run("DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, c %s, n int, s text)",
           sample->type);
    for (int id = 0; id < 40; id++) {
        const char *value = sample->values[random_below(SAMPLE_VALUES_MAX)];
        char *literal = value == NULL ? NULL : PQescapeLiteral(pg, value, strlen(value));

        pg_run("INSERT INTO t VALUES (%d, %s, %d, 's%d')", id, literal == NULL ? "NULL" : literal,
               id % 9, id % 5);
        PQfreemem(literal);
    }
    if (sample->order)
        pg_run("CREATE INDEX ON t (c)");
    pg_run("ANALYZE t");
}

#endif
