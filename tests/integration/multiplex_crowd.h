/* multiplex_crowd: what the tests of multiplex share: database p, in which statements of several
 * clients go on one server, and clients of it. q leads past its queue, and multiplexes nothing. */
#ifndef TESTS_MULTIPLEX_CROWD_H
#define TESTS_MULTIPLEX_CROWD_H

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

enum { CROWD = 8 };

/* A statement that only reads, and lasts for minutes; one that lasts for a while. */
#define SQL_LONG "SELECT count(*) FROM generate_series(1, 1000000000) a"
#define SQL_WHILE "SELECT count(*) FROM generate_series(1, 1500000) a"
#define RUNS_LONG "state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()"
#define CANCELLED "E(57014 canceling statement due to user request) Z(I)"

static struct sluice sluice;
static struct client ping, crowd[CROWD];

/* When this returns, the pooler has read what was sent to it before. */
static inline void settle(void)
{
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(client_query(&ping, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
}

/* A text has to come twice before it is looked at. */
static inline void introduce(struct client *client, const char *sql)
{
    for (int i = 0; i < 2; i++) {
        client_send(client, put_query(put_new(), sql));
        client_answer(client);
    }
}

static inline void start(int pool_size, const char *settings)
{
    sluice_start(&sluice,
                 .databases = text("p = {server} pool_size=%d user=bench password=bench "
                                   "multiplex=8\n"
                                   "q = {server} user=bench password=bench\n",
                                   pool_size),
                 .settings = text("pool_mode = transaction\nadmin_users = user1\n%s", settings));
    client_login(&ping, &sluice, "user4", "q");
    for (int i = 0; i < CROWD; i++)
        client_login(&crowd[i], &sluice, "user1", "p");
    introduce(&crowd[0], "SELECT 0");
}

static inline void ask(int i, const char *sql)
{
    client_send(&crowd[i], put_query(put_new(), sql));
}

static inline void answers(int i, const char *expected)
{
    ck_assert_str_eq(client_answer(&crowd[i]), expected);
}

static inline const char *number(int i)
{
    return text("T(?column?) D(%d) C(SELECT 1) Z(I)", i);
}

/* A column of SHOW MULTIPLEX for database p. */
static inline long told(const char *column)
{
    PGconn *console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    long value = atol(console_cell(console, "SHOW MULTIPLEX", "p", column));

    PQfinish(console);
    return value;
}

/* One server, and no stall: client 0 has a statement on it that lasts, the others' are behind. */
static inline void start_behind(const char *sql)
{
    start(1, "multiplex_stall = 0\nworkers = 1\n");
    introduce(&crowd[0], SQL_WHILE);
    ask(0, sql);
    postgres_await_backends(sluice.postgres, 1, RUNS_LONG);
    for (int i = 1; i < 4; i++)
        ask(i, text("SELECT %d", i));
    settle();
    ck_assert_int_eq(told("in_flight"), 4);
}

static inline void behind_answer(void)
{
    for (int i = 1; i < 4; i++)
        answers(i, number(i));
}

/* Client 0 has a statement on the only server that waits for a lock of ours, others are behind: so
 * many are on their way. */
static inline void block(int flights)
{
    postgres_value(sluice.postgres, "BEGIN; LOCK TABLE t");
    ask(0, "SELECT n FROM t");
    await(postgres_number(sluice.postgres, "SELECT count(*) FROM pg_locks WHERE NOT granted AND "
                                           "relation = 't'::regclass") > 0,
          20);
    for (int i = 1; i < 4; i++)
        ask(i, text("SELECT %d", i));
    settle();
    ck_assert_int_eq(told("in_flight"), flights);
}

static inline void start_unblocked(const char *settings)
{
    start(1, text("multiplex_stall = 0\nworkers = 1\n%s", settings));
    postgres_value(sluice.postgres, "CREATE TABLE t (n int); INSERT INTO t VALUES (7);"
                                    "GRANT ALL ON t TO PUBLIC");
    introduce(&crowd[0], "SELECT n FROM t");
}

static inline void unblock(void)
{
    postgres_value(sluice.postgres, "COMMIT");
    answers(0, "T(n) D(7) C(SELECT 1) Z(I)");
}

#endif
