/* Read-your-writes: a write on one connection is seen by a lookup on another the moment that it is
 * acknowledged, a hundred thousand times, by one worker and by several, in both protocols. */
#include "lookups_crowd.h"

enum { PAIRS_MAX = 64, SEEN = 100000 };

static struct client writers[PAIRS_MAX], readers[PAIRS_MAX];

/* One worker: three servers behind p. */
static void start_pairs(int pairs)
{
    start("");
    postgres_value(sluice.postgres,
                   "CREATE TABLE counts (id int PRIMARY KEY, n int) WITH (fillfactor = 10);"
                   "INSERT INTO counts SELECT i, 0 FROM generate_series(1, %d) i;"
                   "GRANT ALL ON counts TO PUBLIC",
                   pairs);
    sluice_rewrite(
        &sluice,
        .databases = text("p = {server} pool_size=%d user=bench password=bench "
                          "batch_lookups=auto\nq = {server}\n",
                          workers == 1 ? 3 : servers()),
        .settings = text("pool_mode = transaction\nadmin_users = user1\nworkers = %d\n", workers));
    ck_assert(sluice_reload(&sluice));
    for (int i = 0; i < pairs; i++) {
        client_login(&writers[i], &sluice, "user1", "p");
        client_login(&readers[i], &sluice, "user1", "p");
    }
}

START_TEST(what_was_acknowledged_is_seen)
{
    static const char sql[] = "SELECT n FROM counts WHERE id = $1";
    int pairs, seen = 0;

    simple = _i % 2;
    workers = _i < 2 ? 1 : WORKERS;
    pairs = workers == 1 ? 16 : PAIRS_MAX;
    start_pairs(pairs);
    for (int round = 1; seen < SEEN; round++) {
        for (int i = 0; i < pairs; i++)
            client_send(
                &writers[i],
                put_query(put_new(), text("UPDATE counts SET n = %d WHERE id = %d", round, i + 1)));
        for (int i = 0; i < pairs; i++) {
            ck_assert_str_eq(client_answer(&writers[i]), "C(UPDATE 1) Z(I)");
            client_send(&readers[i], lookup(sql, text("%d", i + 1)));
        }
        for (int i = 0; i < pairs; i++, seen++)
            ck_assert_str_eq(client_answer(&readers[i]),
                             as_told(text("1 2 T(n) D(%d) C(SELECT 1) Z(I)", round)));
    }
    ck_assert_int_gt(console_sum(&sluice, "SHOW LOOKUPS", "batches"), 0);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_writes");

    suite_add_loop(suite, SUITE_OURS, 120, what_was_acknowledged_is_seen, 4);
    return suite_finish(suite);
}
