/* lookups_crowd: what the tests of lookups share: one server behind database p, a client that can
 * hold it, and a crowd that asks lookups meanwhile. With several workers, four servers for each of
 * them, and as many clients to hold them. */
#ifndef TESTS_LOOKUPS_CROWD_H
#define TESTS_LOOKUPS_CROWD_H

#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

enum { CROWD = 8, WORKERS = 4 };

#define LOOKUP "SELECT id, name FROM things WHERE id = $1"

static struct sluice sluice;
static struct client ping, holder, crowd[CROWD];

/* Lookups are asked by Queries with literals; else by unnamed statements with parameters. */
static bool simple;

static int workers = 1;

/* Those behind p. */
static inline int servers(void)
{
    return workers == 1 ? 1 : 4 * workers;
}

static struct client more_holders[4 * WORKERS];

static inline void things_create(void)
{
    postgres_value(postgres_shared(),
                   "CREATE TABLE things (id int PRIMARY KEY, name text, big text);"
                   "INSERT INTO things SELECT i, 'thing ' || i FROM generate_series(1, 100) i;"
                   "GRANT ALL ON things TO PUBLIC");
}

static inline void logins(void)
{
    client_login(&ping, &sluice, "user4", "q");
    client_login(&holder, &sluice, "user1", "p");
    for (int i = 1; i < servers(); i++)
        client_login(&more_holders[i], &sluice, "user1", "p");
    for (int i = 0; i < CROWD; i++)
        client_login(&crowd[i], &sluice, "user1", "p");
}

/* One server behind p, where lookups are batched; q leads past its queue, and batches nothing. */
static inline void start(const char *settings)
{
    things_create();
    sluice_start(&sluice,
                 .databases = text("p = {server} pool_size=%d user=bench password=bench "
                                   "batch_lookups=auto\n"
                                   "q = {server} user=bench password=bench\n",
                                   servers()),
                 .settings = text("pool_mode = transaction\nadmin_users = user1\n"
                                  "workers = %d\n%s",
                                  workers, settings));
    logins();
}

/* When this returns, the pooler has read what was sent to it before. */
static inline void settle(void)
{
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(client_query(&ping, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
}

static inline void hold(void)
{
    for (int i = 0; i < servers(); i++)
        ck_assert_str_eq(client_query(i ? &more_holders[i] : &holder, "BEGIN"), "C(BEGIN) Z(T)");
}

static inline void release(void)
{
    for (int i = 0; i < servers(); i++)
        ck_assert_str_eq(client_query(i ? &more_holders[i] : &holder, "COMMIT"), "C(COMMIT) Z(I)");
}

/* All servers are held: when this returns, so many clients wait for one. */
static inline void settle_waiting(int clients)
{
    if (workers == 1)
        settle();
    else
        await(console_sum(&sluice, "SHOW POOLS", "cl_waiting") == clients, 20);
}

/* The statement with the key as a literal in the place of $1. */
static inline const char *with_literal(const char *sql, const char *key)
{
    const char *place = strstr(sql, "$1");
    const char *quote = key && !key[strspn(key, "-0123456789")] ? "" : "'";

    ck_assert_ptr_nonnull(place);
    return text("%.*s%s%s%s%s", (int)(place - sql), sql, key ? quote : "", key ? key : "NULL",
                key ? quote : "", place + 2);
}

/* key NULL: a NULL. */
static inline struct packet *put_lookup(struct packet *packet, const char *sql, const char *key)
{
    static const unsigned char null[] = {0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0};

    if (simple)
        return put_query(packet, with_literal(sql, key));
    if (key)
        return put_sync(put_extended(packet, sql, key));
    return put_sync(put_execute(
        put_describe(put_message(put_parse(packet, "", sql), 'B', null, sizeof(null)), 'P', ""), "",
        0));
}

static inline struct packet *lookup(const char *sql, const char *key)
{
    return put_lookup(put_new(), sql, key);
}

/* What the answer to a lookup is by the protocol at hand: a Query has no replies to Parse and Bind.
 */
static inline const char *as_told(const char *expected)
{
    while (simple && *expected >= '0' && *expected <= '9')
        expected += 2;
    return expected;
}

static inline void ask(int i, const char *sql, const char *key)
{
    client_send(&crowd[i], lookup(sql, key));
}

/* A statement has to come twice before it is looked at. */
static inline void introduce(const char *sql)
{
    for (int i = 0; i < 2; i++) {
        client_send(&holder, lookup(sql, "1"));
        client_answer(&holder);
    }
}

static inline void ask_query(int i, const char *sql)
{
    client_send(&crowd[i], put_query(put_new(), sql));
}

/* All of the crowd ask together: for the same key, or client i for the i-th from `first` on. */
static inline void ask_all(const char *sql, const char *key)
{
    hold();
    for (int i = 0; i < CROWD; i++)
        ask(i, sql, key);
    settle();
    release();
}

static inline void ask_each(const char *sql, int first)
{
    hold();
    for (int i = 0; i < CROWD; i++)
        ask(i, sql, text("%d", first + i));
    settle();
    release();
}

/* How often the server behind p has executed a batch so far. */
static inline int batches(void)
{
    const char *answer =
        client_query(&holder, "SELECT coalesce(sum(generic_plans + custom_plans), 0) AS n "
                              "FROM pg_prepared_statements WHERE statement LIKE '%_sluice_ord%'");

    return atoi(strstr(answer, "D(") + 2);
}

static inline void answers(int i, const char *expected)
{
    ck_assert_str_eq(client_answer(&crowd[i]), as_told(expected));
}

static inline const char *thing(int id)
{
    return text("1 2 T(id,name) D(%d,thing %d) C(SELECT 1) Z(I)", id, id);
}

static inline void answers_each(int first, int from) /* of ask_each() */
{
    for (int i = from; i < CROWD; i++)
        answers(i, thing(first + i));
}

#endif
