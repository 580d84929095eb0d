/* The SQL console beside PgBouncer's own, where that is installed: each of its tables is here with
 * its columns in its order (more may lie between and behind them), its lists have the same rows,
 * and what it refuses is refused in its words. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

#define PGBOUNCER "/usr/sbin/pgbouncer"

static struct sluice ours, theirs;
static PGconn *our_console, *their_console;

/* What the harness starts and stops from now on. */
static void run_pgbouncer(bool it)
{
    static char *before;

    if (it) {
        before = getenv("SLUICE_BINARY");
        before = before ? text("%s", before) : NULL;
        setenv("SLUICE_BINARY", PGBOUNCER, 1);
    } else if (before) {
        setenv("SLUICE_BINARY", before, 1);
    } else {
        unsetenv("SLUICE_BINARY");
    }
}

static void start(void)
{
    const char *settings = CONSOLE_USERS "pool_mode = transaction\n";
    PGconn *client;

    sluice_start(&ours, .settings = settings);
    run_pgbouncer(true);
    sluice_start(&theirs, .settings = settings);
    run_pgbouncer(false);
    client = sluice_connect(&theirs, "user=user1 dbname=p");
    sql_do(client, "SELECT 1");
    PQfinish(client);
    our_console = sluice_connect(&ours, "user=user1 dbname=pgbouncer");
    their_console = sluice_connect(&theirs, "user=user1 dbname=pgbouncer");
}

static void end(void)
{
    PQfinish(our_console);
    PQfinish(their_console);
    sluice_stop(&ours);
    run_pgbouncer(true);
    sluice_stop(&theirs);
}

static const char *const tables[] = {
    "ACTIVE_SOCKETS",
    "CLIENTS",
    "CONFIG",
    "DATABASES",
    "DNS_HOSTS",
    "DNS_ZONES",
    "FDS",
    "LISTS",
    "MEM",
    "PEERS",
    "PEER_POOLS",
    "POOLS",
    "SERVERS",
    "SOCKETS",
    "STATE",
    "STATS",
    "STATS_AVERAGES",
    "STATS_TOTALS",
    "TOTALS",
    "USERS",
    "VERSION",
};

/* Of an old name of a column, which lies at the end here. */
static bool moved(const char *column)
{
    return strcmp(column, "reserve_pool") == 0;
}

/* What tools read as a number they can read as one here; some counts do not fit into theirs. */
static bool same_type(Oid here, Oid there)
{
    enum { INT8 = 20, INT4 = 23 };

    return here == there || (here == INT8 && there == INT4);
}

static void check_columns(const char *table, const PGresult *here, const PGresult *there)
{
    int at = -1;

    for (int i = 0; i < PQnfields(there); i++) {
        int found = PQfnumber(here, PQfname(there, i));

        ck_assert_msg(found > at || moved(PQfname(there, i)), "%s: column %s is at %d, behind %d",
                      table, PQfname(there, i), found, at);
        if (!moved(PQfname(there, i)))
            at = found;
        ck_assert_msg(same_type(PQftype(here, found), PQftype(there, i)),
                      "%s: column %s has type %u, not %u", table, PQfname(there, i),
                      PQftype(here, found), PQftype(there, i));
    }
}

/* Tables of names and values: each name is here. */
static bool has_names(const char *table)
{
    static const char *const lists[] = {"CONFIG", "LISTS", "STATE", "TOTALS"};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (strcmp(table, lists[i]) == 0)
            return true;
    return false;
}

START_TEST(its_tables_are_here)
{
    if (access(PGBOUNCER, X_OK) != 0)
        return;
    start();
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        char *sql = text("SHOW %s", tables[i]);
        PGresult *here = PQexec(our_console, sql), *there = PQexec(their_console, sql);

        ck_assert_int_eq(PQresultStatus(here), PGRES_TUPLES_OK);
        if (PQresultStatus(there) == PGRES_TUPLES_OK) { /* else it is older than the table */
            check_columns(tables[i], here, there);
            for (int row = 0; has_names(tables[i]) && row < PQntuples(there); row++)
                console_cell(our_console, sql, PQgetvalue(there, row, 0), PQfname(there, 0));
        }
        PQclear(here);
        PQclear(there);
    }
    end();
}
END_TEST

START_TEST(what_it_refuses_is_refused_in_its_words)
{
    static const char *const refused[] = {
        "SHOW nonsense",
        "nonsense",
        "SHOW",
        "select version()",
        "SET nonsense=1",
        "SET verbose",
        "SET max_client_conn = x",
        "PAUSE nosuch",
        "PAUSE pgbouncer",
        "RESUME",
        "RESUME p",
        "DISABLE",
        "DISABLE nosuch",
        "ENABLE",
        "KILL nosuch",
        "KILL pgbouncer",
        "RECONNECT nosuch",
        "WAIT_CLOSE nosuch",
        "SHUTDOWN x",
        "SUSPEND x",
        "RELOAD x",
    };

    if (access(PGBOUNCER, X_OK) != 0)
        return;
    start();
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        /* Behind the SQLSTATE, which is one for all there. */
        const char *here = sql_error(our_console, refused[i]) + 6;
        const char *there = sql_error(their_console, refused[i]) + 6;

        ck_assert_msg(strcmp(here, there) == 0, "%s: \"%s\", not \"%s\"", refused[i], here, there);
    }
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console_pgbouncer");

    suite_add(suite, SUITE_OURS, 30, its_tables_are_here);
    suite_add(suite, SUITE_OURS, 30, what_it_refuses_is_refused_in_its_words);
    return suite_finish(suite);
}
