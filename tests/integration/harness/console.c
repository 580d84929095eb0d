#include "harness/console.h"

#include <stdlib.h>
#include <string.h>

#include "harness/suite.h"

PGconn *console_start(struct sluice *sluice, const char *settings)
{
    sluice_start(sluice, .settings = text(CONSOLE_USERS "%s", settings));
    return sluice_connect(sluice, "user=user1 dbname=pgbouncer");
}

void console_end(PGconn *console, struct sluice *sluice)
{
    PQfinish(console);
    sluice_stop(sluice);
}

static PGresult *console_show(PGconn *console, const char *sql)
{
    PGresult *result = PQexec(console, sql);

    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", sql,
                  PQerrorMessage(console));
    return result;
}

/* In the first row whose value at `place` is `key`. */
static char *cell_of(const PGresult *result, const char *sql, int place, const char *key,
                     const char *column)
{
    char *found = NULL;

    ck_assert_msg(place >= 0 && PQfnumber(result, column) >= 0, "%s has no column %s", sql, column);
    for (int row = 0; row < PQntuples(result) && !found; row++)
        if (strcmp(PQgetvalue(result, row, place), key) == 0)
            found = text("%s", PQgetvalue(result, row, PQfnumber(result, column)));
    ck_assert_msg(found != NULL, "%s has no row %s", sql, key);
    return found;
}

char *console_cell(PGconn *console, const char *sql, const char *key, const char *column)
{
    PGresult *result = console_show(console, sql);
    char *found = cell_of(result, sql, 0, key, column);

    PQclear(result);
    return found;
}

char *console_told(const struct sluice *sluice, const char *sql, const char *statement,
                   const char *column)
{
    PGconn *console = sluice_connect(sluice, "user=user1 dbname=pgbouncer");
    PGresult *result = console_show(console, sql);
    char *found = cell_of(result, sql, PQfnumber(result, "statement"), statement, column);

    PQclear(result);
    PQfinish(console);
    return found;
}

long console_sum(const struct sluice *sluice, const char *sql, const char *column)
{
    PGconn *console = sluice_connect(sluice, "user=user1 dbname=pgbouncer");
    PGresult *result = console_show(console, sql);
    int place = PQfnumber(result, column);
    long sum = 0;

    ck_assert_msg(place >= 0, "%s has no column %s", sql, column);
    for (int row = 0; row < PQntuples(result); row++)
        sum += atol(PQgetvalue(result, row, place));
    PQclear(result);
    PQfinish(console);
    return sum;
}

int console_rows(PGconn *console, const char *sql)
{
    PGresult *result = console_show(console, sql);
    int rows = PQntuples(result);

    PQclear(result);
    return rows;
}
