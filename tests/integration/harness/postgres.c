#include "harness/postgres.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/process.h"
#include "harness/suite.h"

static PGconn *superuser(const struct postgres *postgres, const char *database)
{
    return PQconnectdb(text("host=%s port=%u user=postgres dbname=%s application_name=test"
                            " options='-c client_min_messages=error'",
                            postgres->socket_dir, postgres->port, database));
}

static void database_create(struct postgres *postgres)
{
    PGconn *connection = superuser(postgres, "postgres");
    PGresult *result;

    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    postgres->database = text("t_%d", (int)getpid());
    PQclear(
        PQexec(connection, text("DROP DATABASE IF EXISTS %s WITH (FORCE)", postgres->database)));
    result = PQexec(connection, text("CREATE DATABASE %s TEMPLATE empty", postgres->database));
    ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

static struct postgres shared;

static void database_drop(void)
{
    PGconn *connection = superuser(&shared, "postgres");

    PQclear(PQexec(connection, text("DROP DATABASE %s WITH (FORCE)", shared.database)));
    PQfinish(connection);
}

struct postgres *postgres_shared(void)
{
    if (!shared.database) {
        shared.socket_dir = text("%s", environment("SLUICE_PG_SOCKET_DIR"));
        shared.port = (uint16_t)atoi(environment("SLUICE_PG_PORT"));
        database_create(&shared);
        atexit(database_drop);
    }
    return &shared;
}

void postgres_again(struct postgres *postgres)
{
    char *program = text("%s/postgres", environment("SLUICE_PG_BIN"));
    char *log = text("%s.log", postgres->directory);
    char *arguments[] = {program,
                         text("-D"),
                         postgres->directory,
                         text("-p"),
                         text("%u", postgres->port),
                         text("-k"),
                         postgres->socket_dir,
                         text("-cshared_buffers=16MB"),
                         NULL};
    double deadline = deadline_in(60);

    postgres->pid = process_start(program, arguments, log, NULL, SIGQUIT);
    while (PQping(text("host=%s port=%u", postgres->socket_dir, postgres->port)) != PQPING_OK) {
        if (deadline_over(deadline) || waitpid(postgres->pid, NULL, WNOHANG) != 0)
            ck_abort_msg("the private PostgreSQL does not start:\n%s", file_read(log));
        nap();
    }
}

void postgres_start(struct postgres *postgres)
{
    char *directory = process_directory();

    *postgres = (struct postgres){
        .socket_dir = directory,
        .port = process_free_port(),
        .directory = text("%s/data", directory),
    };
    ck_assert_int_eq(system(text("cp -a --reflink=auto '%s' '%s'",
                                 environment("SLUICE_PG_TEMPLATE"), postgres->directory)),
                     0);
    ck_assert_int_eq(system(text("cp -p '%s/pg_hba.conf' '%s'", environment("SLUICE_PG_DATA"),
                                 postgres->directory)),
                     0);
    postgres_again(postgres);
    database_create(postgres);
}

static void look_close(struct postgres *postgres)
{
    if (postgres->look)
        PQfinish(postgres->look);
    postgres->look = NULL;
}

void postgres_end(struct postgres *postgres, int how)
{
    look_close(postgres);
    if (how == SIGKILL) /* all at once, as when a machine loses power */
        ck_assert_int_eq(system(text("pkill -KILL -P %d", (int)postgres->pid)), 0);
    kill(postgres->pid, how);
    ck_assert_msg(process_await(postgres->pid, 30) >= 0, "the private PostgreSQL does not end");
    postgres->pid = 0;
}

char *postgres_address(const struct postgres *postgres)
{
    return text("host=127.0.0.1 port=%u dbname=%s", postgres->port, postgres->database);
}

static char *value(struct postgres *postgres, const char *sql)
{
    PGresult *result;
    char *found;

    if (!postgres->look)
        postgres->look = superuser(postgres, postgres->database);
    ck_assert_msg(PQstatus(postgres->look) == CONNECTION_OK, "%s", PQerrorMessage(postgres->look));
    result = PQexec(postgres->look, sql);
    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK ||
                      PQresultStatus(result) == PGRES_COMMAND_OK,
                  "%s: %s", sql, PQerrorMessage(postgres->look));
    found = text("%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return found;
}

char *postgres_value(struct postgres *postgres, const char *format, ...)
{
    va_list list;
    char *sql, *found;

    va_start(list, format);
    ck_assert_int_ge(vasprintf(&sql, format, list), 0);
    va_end(list);
    found = value(postgres, sql);
    free(sql);
    return found;
}

long postgres_number(struct postgres *postgres, const char *format, ...)
{
    va_list list;
    char *sql, *found;

    va_start(list, format);
    ck_assert_int_ge(vasprintf(&sql, format, list), 0);
    va_end(list);
    found = value(postgres, sql);
    free(sql);
    return strtol(found, NULL, 10);
}

long postgres_backends(struct postgres *postgres, const char *where)
{
    return postgres_number(postgres,
                           "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s'"
                           " AND pid <> pg_backend_pid() AND (%s)",
                           postgres->database, where);
}

void postgres_await_backends(struct postgres *postgres, long count, const char *where)
{
    double deadline = deadline_in(20);
    long found;

    while ((found = postgres_backends(postgres, where)) != count) {
        if (deadline_over(deadline))
            ck_abort_msg("waited for %ld backends where %s, there are %ld", count, where, found);
        nap();
    }
}

long postgres_terminate(struct postgres *postgres, const char *where)
{
    return postgres_number(postgres,
                           "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                           " WHERE datname = '%s' AND pid <> pg_backend_pid() AND (%s)",
                           postgres->database, where);
}
