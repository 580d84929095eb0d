#include "harness/console.h"

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

char *console_cell(PGconn *console, const char *sql, const char *key, const char *column)
{
    PGresult *result = console_show(console, sql);
    char *found = NULL;

    ck_assert_msg(PQfnumber(result, column) >= 0, "%s has no column %s", sql, column);
    for (int row = 0; row < PQntuples(result) && !found; row++)
        if (strcmp(PQgetvalue(result, row, 0), key) == 0)
            found = text("%s", PQgetvalue(result, row, PQfnumber(result, column)));
    PQclear(result);
    ck_assert_msg(found != NULL, "%s has no row %s", sql, key);
    return found;
}

int console_rows(PGconn *console, const char *sql)
{
    PGresult *result = console_show(console, sql);
    int rows = PQntuples(result);

    PQclear(result);
    return rows;
}
