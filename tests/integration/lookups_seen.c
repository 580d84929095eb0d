/* What people are told of lookups: SHOW LOOKUPS, SHOW STATEMENTS, the slow log, /metrics. */
#include "harness/console.h"
#include "harness/http.h"
#include "harness/process.h"
#include "lookups_crowd.h"

#define QUERY "SELECT id, name FROM things WHERE id = "

static const char *seen(const char *statement, const char *column)
{
    return console_told(&sluice, "SHOW LOOKUPS", statement, column);
}

START_TEST(the_console_tells_what_batching_saved)
{
    start("");
    introduce(LOOKUP);
    ask_each(LOOKUP, 1);
    answers_each(1, 0);
    ask_each(LOOKUP, 3);
    answers_each(3, 0);
    hold();
    ask(0, LOOKUP, "7");
    settle();
    release();
    answers(0, thing(7));
    ck_assert_str_eq(seen(LOOKUP, "batched"), "yes");
    ck_assert_str_eq(seen(LOOKUP, "database"), "p");
    ck_assert_str_eq(seen(LOOKUP, "user"), "bench");
    ck_assert_str_eq(seen(LOOKUP, "keys"), text("%d", 2 * CROWD));
    ck_assert_str_eq(seen(LOOKUP, "batches"), "2");
    ck_assert_str_eq(seen(LOOKUP, "saved"), text("%d", 2 * CROWD - 2));
    ck_assert_str_eq(seen(LOOKUP, "size_mean"), text("%d", CROWD));
    ck_assert_str_eq(seen(LOOKUP, "size_p50"), text("%d", CROWD));
    ck_assert_str_eq(seen(LOOKUP, "size_max"), text("%d", CROWD));
    ck_assert_int_gt(atol(seen(LOOKUP, "wait_us")), 0);
    ck_assert_int_gt(atol(seen(LOOKUP, "wait_p99_us")), 0);
    /* Those that introduce it may have gone alone too. */
    ck_assert_int_ge(atol(seen(LOOKUP, "alone")), 1);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_console_tells_what_was_asked_again_and_why)
{
    static const char sql[] = "SELECT id, 100 / (id - 5) AS n FROM things WHERE id = $1";
    static const char big[] = "SELECT repeat('x', CASE WHEN id = 1 THEN 300000 ELSE id END) AS r "
                              "FROM things WHERE id = $1";
    static const char all[] = "SELECT * FROM things WHERE id = $1";
    /* Literals are not told: they may be secrets. */
    static const char sql_told[] = "SELECT id, ? / (id - ?) AS n FROM things WHERE id = $1";
    static const char big_told[] = "SELECT repeat(?, CASE WHEN id = ? THEN ? ELSE id END) AS r "
                                   "FROM things WHERE id = $1";

    start("");
    introduce(sql);
    ask_each(sql, 2);
    for (int i = 0; i < CROWD; i++)
        client_answer(&crowd[i]);
    ck_assert_str_eq(seen(sql_told, "errors"), "1");
    /* Those in front of the key that failed were answered before. */
    ck_assert_int_ge(atol(seen(sql_told, "again")), CROWD - 3);
    ck_assert_int_le(atol(seen(sql_told, "again")), CROWD);
    introduce(big);
    ask_each(big, 1);
    for (int i = 0; i < CROWD; i++)
        while (client_read(&crowd[i]).type != 'Z')
            ;
    ck_assert_str_eq(seen(big_told, "cuts"), "1");
    introduce(all);
    ask_each(all, 1);
    for (int i = 0; i < CROWD; i++)
        client_answer(&crowd[i]);
    postgres_value(sluice.postgres, "ALTER TABLE things ADD more int");
    for (int round = 0; round < 2; round++) {
        ask_each(all, 1);
        for (int i = 0; i < CROWD; i++)
            client_answer(&crowd[i]);
    }
    ck_assert_str_eq(seen(all, "changes"), "1");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_console_tells_what_is_refused_and_why)
{
    static const char clock[] = "SELECT now() AS n FROM things WHERE id = $1";
    static const char query[] = "SELECT name || 'secret' AS s FROM things LIMIT 1";

    start("");
    introduce(clock);
    for (int i = 0; i < 2; i++)
        client_query(&holder, query);
    ck_assert_str_eq(seen(clock, "batched"), "no");
    ck_assert_str_eq(seen(clock, "refusal"), "it reads the clock or asks who is connected: now");
    ck_assert_str_eq(seen("SELECT name || ? AS s FROM things LIMIT ?", "refusal"),
                     "WHERE compares no column with a literal");
    ck_assert_uint_eq(sluice_log_count(&sluice, "not batched"), 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(batched_ones_are_among_the_statements_and_in_the_slow_log)
{
    start("statements = 1\nlog_min_duration_statement = 0\n"
          "log_slow_rate = 100000\nlog_slow_parameters = 1\n");
    introduce(LOOKUP);
    client_query(&holder, QUERY "1");
    client_query(&holder, QUERY "1");
    ask_each(LOOKUP, 11);
    answers_each(11, 0);
    hold();
    for (int i = 0; i < CROWD; i++)
        ask_query(i, text(QUERY "%d", 21 + i));
    settle();
    release();
    for (int i = 0; i < CROWD; i++)
        client_answer(&crowd[i]);
    ck_assert_int_eq(batches(), 2);
    ck_assert_str_eq(console_told(&sluice, "SHOW STATEMENTS", LOOKUP, "calls"),
                     text("%d", CROWD + 2));
    ck_assert_str_eq(console_told(&sluice, "SHOW STATEMENTS", LOOKUP, "rows"),
                     text("%d", CROWD + 2));
    ck_assert_str_eq(console_told(&sluice, "SHOW STATEMENTS", QUERY "?", "calls"),
                     text("%d", CROWD + 2));
    ck_assert_int_ge(atol(console_told(&sluice, "SHOW STATEMENTS", LOOKUP, "waits")), CROWD);
    ck_assert_int_gt(atol(console_told(&sluice, "SHOW STATEMENTS", LOOKUP, "wait_us")), 0);
    for (int i = 0; i < CROWD; i++) {
        const char *bound = text("%s; parameters: $1 = '%d'\n", LOOKUP, 11 + i);
        const char *plain = text(QUERY "%d\n", 21 + i);

        ck_assert_uint_eq(sluice_log_count(&sluice, bound), 1);
        ck_assert_uint_eq(sluice_log_count(&sluice, plain), 1);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(metrics_count_batches_and_their_keys)
{
    uint16_t port = process_free_port();
    const char *page;

    start(text("stats_listen = 127.0.0.1:%u\n", port));
    introduce(LOOKUP);
    ask_each(LOOKUP, 1);
    answers_each(1, 0);
    page = http_get(port, "/metrics");
    ck_assert_ptr_nonnull(strstr(page, "\nsluice_lookup_batches_total{database=\"p\"} 1\n"));
    ck_assert_ptr_nonnull(
        strstr(page, text("\nsluice_lookup_keys_total{database=\"p\"} %d\n", CROWD)));
    ck_assert_ptr_nonnull(strstr(page, "\nsluice_lookup_errors_total{database=\"p\"} 0\n"));
    sluice_stop(&sluice);
}
END_TEST

/* More texts come than are remembered, while the first one's question waits for others. */
START_TEST(those_used_last_are_remembered)
{
    static const int limit = 1000, more = 100;
    PGconn *console;

    start("max_delay = 60\nmax_batch_size = 2\n");
    client_send(&holder, lookup(LOOKUP, "1"));
    client_answer(&holder);
    ask(0, LOOKUP, "1");
    settle();
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    for (int i = 0; i < limit + more; i++) {
        const char *sql = text("SELECT now() > 'epoch' AS c%d FROM things WHERE id = $1", i);

        for (int time = 0; time < 2; time++) {
            client_send(&holder, lookup(sql, "1"));
            ck_assert_str_eq(client_answer(&holder), text("1 2 T(c%d) D(t) C(SELECT 1) Z(I)", i));
        }
    }
    ck_assert_int_eq(console_rows(console, "SHOW LOOKUPS"), limit);
    seen(text("SELECT now() > ? AS c%d FROM things WHERE id = $1", limit + more - 1), "refusal");
    ask(1, LOOKUP, "2");
    answers(0, thing(1));
    answers(1, thing(2));
    ck_assert_str_eq(seen(LOOKUP, "keys"), "2");
    PQfinish(console);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_seen");

    suite_add(suite, SUITE_OURS, 20, the_console_tells_what_batching_saved);
    suite_add(suite, SUITE_OURS, 20, the_console_tells_what_was_asked_again_and_why);
    suite_add(suite, SUITE_OURS, 20, the_console_tells_what_is_refused_and_why);
    suite_add(suite, SUITE_OURS, 20, batched_ones_are_among_the_statements_and_in_the_slow_log);
    suite_add(suite, SUITE_OURS, 20, metrics_count_batches_and_their_keys);
    suite_add(suite, SUITE_OURS, 60, those_used_last_are_remembered);
    return suite_finish(suite);
}
