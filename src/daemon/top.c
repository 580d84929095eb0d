#include "sluice/daemon/top.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/base/clock.h"
#include "sluice/conf/conf.h"

/* What is read of the console at one moment. */
struct view {
    PGresult *pools, *stats, *latency;
    uint64_t at_us;
};

static void view_clear(struct view *view)
{
    PQclear(view->pools);
    PQclear(view->stats);
    PQclear(view->latency);
    *view = (struct view){0};
}

static bool view_read(struct view *view, PGconn *console)
{
    view->pools = PQexec(console, "SHOW POOLS");
    view->stats = PQexec(console, "SHOW STATS");
    view->latency = PQexec(console, "SHOW LATENCY");
    view->at_us = clock_us();
    return PQresultStatus(view->pools) == PGRES_TUPLES_OK &&
           PQresultStatus(view->stats) == PGRES_TUPLES_OK &&
           PQresultStatus(view->latency) == PGRES_TUPLES_OK;
}

/* The column of the row. */
static const char *text_of(const PGresult *result, int row, const char *column)
{
    return PQgetvalue(result, row, PQfnumber(result, column));
}

static double number_of(const PGresult *result, int row, const char *column)
{
    return strtod(text_of(result, row, column), NULL);
}

/* How much a figure of a database has grown in a second. */
static double rate(const struct view *now, const struct view *before, const char *database,
                   const char *column)
{
    double change = 0;

    for (int i = 0; i < PQntuples(now->stats); i++)
        if (strcmp(text_of(now->stats, i, "database"), database) == 0)
            change += number_of(now->stats, i, column);
    for (int i = 0; i < PQntuples(before->stats); i++)
        if (strcmp(text_of(before->stats, i, "database"), database) == 0)
            change -= number_of(before->stats, i, column);
    return change * (double)US_PER_S / (double)(now->at_us - before->at_us);
}

/* A quantile of the pool's queries, in milliseconds. */
static double query_ms(const struct view *now, int pool, const char *column)
{
    for (int i = 0; i < PQntuples(now->latency); i++)
        if (strcmp(text_of(now->latency, i, "latency"), "query") == 0 &&
            strcmp(text_of(now->latency, i, "database"), text_of(now->pools, pool, "database")) ==
                0 &&
            strcmp(text_of(now->latency, i, "user"), text_of(now->pools, pool, "user")) == 0)
            return number_of(now->latency, i, column) / 1e3;
    return 0;
}

static void view_show(const struct view *now, const struct view *before)
{
    double queries = 0, clients = 0, waiting = 0;

    for (int i = 0; i < PQntuples(now->stats); i++)
        queries += rate(now, before, text_of(now->stats, i, "database"), "total_query_count");
    for (int i = 0; i < PQntuples(now->pools); i++) {
        clients += number_of(now->pools, i, "cl_active") + number_of(now->pools, i, "cl_waiting");
        waiting += number_of(now->pools, i, "cl_waiting");
    }
    printf("sluice: %.0f clients, %.0f waiting, %.0f queries/s\n\n", clients, waiting, queries);
    printf("%-20s %-16s %7s %7s %7s %7s %9s %9s %9s %9s %9s\n", "DATABASE", "USER", "CLIENTS",
           "WAITING", "SERVERS", "IDLE", "QUERY/S", "XACT/S", "p50 ms", "p99 ms", "WAIT s");
    for (int i = 0; i < PQntuples(now->pools); i++) {
        const char *database = text_of(now->pools, i, "database");

        if (strcmp(database, "pgbouncer") == 0)
            continue;
        printf("%-20.20s %-16.16s %7s %7s %7s %7s %9.0f %9.0f %9.2f %9.2f %9.2f\n", database,
               text_of(now->pools, i, "user"), text_of(now->pools, i, "cl_active"),
               text_of(now->pools, i, "cl_waiting"), text_of(now->pools, i, "sv_active"),
               text_of(now->pools, i, "sv_idle"), rate(now, before, database, "total_query_count"),
               rate(now, before, database, "total_xact_count"), query_ms(now, i, "p50_us"),
               query_ms(now, i, "p99_us"),
               number_of(now->pools, i, "maxwait") + number_of(now->pools, i, "maxwait_us") / 1e6);
    }
    printf("\nQUERY/S and XACT/S are of the whole database, p50 and p99 of its queries since the "
           "pool exists.\n");
}

int top_run(const struct conf *conf)
{
    char port[16];
    const char *const names[] = {"host", "port", "user", "dbname", "application_name", NULL};
    const char *const values[] = {conf->unix_socket_dir, port,         "pgbouncer",
                                  "pgbouncer",           "sluice top", NULL};
    bool terminal = isatty(STDOUT_FILENO), shown = false;
    struct view now = {0}, before = {0};
    PGconn *console;
    bool good;

    snprintf(port, sizeof(port), "%d", (int)conf->listen_port);
    console = PQconnectdbParams(names, values, 0);
    good = PQstatus(console) == CONNECTION_OK;
    while (good && (terminal || !shown) && (good = view_read(&now, console))) {
        if (before.stats) {
            if (terminal)
                fputs("\033[H\033[J", stdout);
            view_show(&now, &before);
            fflush(stdout);
            shown = true;
        }
        view_clear(&before);
        before = now;
        now = (struct view){0};
        if (terminal || !shown)
            sleep(1);
    }
    if (!good)
        fprintf(stderr, "sluice: %s", PQerrorMessage(console));
    view_clear(&now);
    view_clear(&before);
    PQfinish(console);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
