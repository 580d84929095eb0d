/* What is never asked together: lookups of other users, databases, session parameters and settings,
 * and those in a transaction. */
#include "lookups_crowd.h"

static void client_asks(struct client *client, const char *sql)
{
    client_send(client, lookup(sql, "1"));
    client_answer(client);
}

START_TEST(clients_with_other_session_parameters_get_their_own)
{
    static const char sql[] = "SELECT timestamptz '2024-06-01 12:00+00' AS t FROM things "
                              "WHERE id = $1";
    static const char *const zones[] = {"UTC", "Asia/Tokyo", "UTC", "Asia/Tokyo"};
    struct client others[4];

    simple = _i;
    start("");
    for (int i = 0; i < 4; i++) {
        client_open(&others[i], &sluice);
        client_send(&others[i], put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database",
                                            "p", "timezone", zones[i], NULL));
        client_answer(&others[i]);
        for (int round = 0; round < 2; round++) {
            client_send(&others[i], lookup(sql, "1"));
            client_answer(&others[i]);
        }
    }
    hold();
    for (int i = 0; i < 4; i++)
        client_send(&others[i], lookup(sql, "1"));
    settle();
    release();
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(
            client_answer(&others[i]),
            as_told(text("1 2 T(t) D(%s) C(SELECT 1) Z(I)",
                         i % 2 ? "2024-06-01 21:00:00+09" : "2024-06-01 12:00:00+00")));
    ck_assert_int_eq(batches(), 2);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_lookup_in_a_transaction_stays_in_it)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    ck_assert_str_eq(client_query(&crowd[0], "BEGIN"), "C(BEGIN) Z(T)");
    ck_assert_str_eq(client_query(&crowd[0], "UPDATE things SET name = 'mine' WHERE id = 1"),
                     "C(UPDATE 1) Z(T)");
    for (int i = 1; i < CROWD; i++)
        ask(i, LOOKUP, "1");
    ask(0, LOOKUP, "1");
    answers(0, "1 2 T(id,name) D(1,mine) C(SELECT 1) Z(T)");
    ck_assert_str_eq(client_query(&crowd[0], "ROLLBACK"), "C(ROLLBACK) Z(I)");
    for (int i = 1; i < CROWD; i++)
        answers(i, thing(1));
    sluice_stop(&sluice);
}
END_TEST

START_TEST(requests_of_one_client_keep_their_order)
{
    simple = _i;
    start("");
    introduce(LOOKUP);
    hold();
    for (int i = 0; i < CROWD; i++) {
        struct packet *packet = lookup(LOOKUP, "1");

        if (i % 2)
            client_send(&crowd[i], put_query(put_lookup(packet, LOOKUP, "2"), ""));
        else
            client_send(&crowd[i], packet);
    }
    settle();
    for (int i = 0; i < CROWD; i += 2) /* behind what waits already */
        client_send(&crowd[i], put_query(lookup(LOOKUP, "2"), ""));
    settle();
    release();
    for (int i = 0; i < CROWD; i++) {
        answers(i, thing(1));
        answers(i, thing(2));
        answers(i, "I Z(I)");
    }
    sluice_stop(&sluice);
}
END_TEST

/* --- settings that servers do not report --- */

static const char path_sql[] = "SELECT name FROM things WHERE id = $1";

static void schemas_create(void)
{
    postgres_value(sluice.postgres, "CREATE SCHEMA one; CREATE SCHEMA two;"
                                    "CREATE TABLE one.things AS SELECT 1 AS id, 'of one' AS name;"
                                    "CREATE TABLE two.things AS SELECT 1 AS id, 'of two' AS name;"
                                    "GRANT ALL ON SCHEMA one, two TO PUBLIC;"
                                    "GRANT ALL ON one.things, two.things TO PUBLIC");
}

START_TEST(clients_with_equal_settings_are_asked_together)
{
    static const char *const paths[] = {"one", "two", "public"};

    simple = _i;
    start("");
    schemas_create();
    for (int i = 0; i < CROWD; i++) {
        if (i % 4 < 2)
            client_query(&crowd[i], text("SET search_path = %s", paths[i % 4]));
        for (int round = 0; round < 2; round++)
            client_asks(&crowd[i], path_sql);
    }
    for (int round = 1; round <= 3; round++) {
        ask_all(path_sql, "1");
        for (int i = 0; i < CROWD; i++)
            answers(i, text("1 2 T(name) D(%s) C(SELECT 1) Z(I)", i % 4 == 0   ? "of one"
                                                                  : i % 4 == 1 ? "of two"
                                                                               : "thing 1"));
        ck_assert_int_eq(batches(), 3 * round);
    }
    /* A client without settings finds none left. */
    ck_assert_str_eq(client_query(&holder, "SHOW search_path"),
                     "T(search_path) D(\"$user\", public) C(SHOW) Z(I)");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_changes_its_settings_joins_others)
{
    simple = _i;
    start("");
    schemas_create();
    introduce(path_sql);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++)
            client_query(&crowd[i], round == 0   ? "SET search_path = one"
                                    : round == 1 ? "SET search_path = two"
                                                 : "RESET search_path");
        for (int again = 0; again < 2; again++) {
            ask_all(path_sql, "1");
            for (int i = 0; i < CROWD; i++)
                answers(i, text("1 2 T(name) D(%s) C(SELECT 1) Z(I)", round == 0   ? "of one"
                                                                      : round == 1 ? "of two"
                                                                                   : "thing 1"));
        }
    }
    ck_assert_int_ge(batches(), 3);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(settings_that_a_server_refuses_are_each_client_s_own_failure)
{
    simple = _i;
    start("");
    postgres_value(sluice.postgres, "CREATE ROLE lookups_gone; GRANT lookups_gone TO bench;"
                                    "GRANT ALL ON things TO lookups_gone");
    introduce(LOOKUP);
    for (int i = 0; i < 3; i++) {
        client_query(&crowd[i], "SET ROLE lookups_gone");
        client_asks(&crowd[i], LOOKUP);
    }
    ask_each(LOOKUP, 1);
    answers_each(1, 0);
    ck_assert_int_ge(batches(), 2);
    postgres_value(sluice.postgres, "DROP OWNED BY lookups_gone; DROP ROLE lookups_gone");
    for (int round = 0; round < 2; round++) {
        hold();
        for (int i = round * 3; i < CROWD; i++)
            ask(i, LOOKUP, text("%d", i + 1));
        settle();
        release();
        for (int i = round * 3; i < CROWD; i++)
            if (i < 3)
                ck_assert_ptr_nonnull(strstr(client_answer(&crowd[i]), "lookups_gone"));
            else
                answers(i, thing(i + 1));
    }
    sluice_stop(&sluice);
}
END_TEST

/* --- users and databases --- */

START_TEST(users_and_databases_have_batches_of_their_own)
{
    static const char who[] = "SELECT name FROM mine WHERE id = $1";
    static const char *const users[] = {"user1", "user2"}, *const databases[] = {"p", "r"};
    struct client others[8], holders[4];

    simple = _i;
    things_create();
    postgres_value(postgres_shared(), "CREATE SCHEMA user1; CREATE SCHEMA user2;"
                                      "CREATE TABLE user1.mine AS SELECT 1 AS id, 'one' AS name;"
                                      "CREATE TABLE user2.mine AS SELECT 1 AS id, 'two' AS name;"
                                      "GRANT ALL ON SCHEMA user1, user2 TO PUBLIC;"
                                      "GRANT ALL ON user1.mine, user2.mine TO PUBLIC");
    sluice_start(&sluice,
                 .databases = "p = {server} pool_size=1 batch_lookups=auto\n"
                              "r = {server} pool_size=1 batch_lookups=auto\n"
                              "q = {server}\n",
                 .settings = "pool_mode = transaction\nworkers = 1\n");
    client_login(&ping, &sluice, "user4", "q");
    for (int i = 0; i < 4; i++)
        client_login(&holders[i], &sluice, users[i % 2], databases[i / 2]);
    for (int i = 0; i < 8; i++) {
        client_login(&others[i], &sluice, users[i % 2], databases[i / 2 % 2]);
        for (int round = 0; round < 2; round++) {
            client_asks(&others[i], who);
        }
    }
    for (int i = 0; i < 4; i++)
        client_query(&holders[i], "BEGIN");
    for (int i = 0; i < 8; i++)
        client_send(&others[i], lookup(who, "1"));
    settle();
    for (int i = 0; i < 4; i++)
        client_query(&holders[i], "COMMIT");
    for (int i = 0; i < 8; i++)
        ck_assert_str_eq(
            client_answer(&others[i]),
            as_told(text("1 2 T(name) D(%s) C(SELECT 1) Z(I)", i % 2 ? "two" : "one")));
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(
            client_query(&holders[i],
                         "SELECT sum(generic_plans + custom_plans) AS n FROM "
                         "pg_prepared_statements WHERE statement LIKE '%_sluice_ord%'"),
            "T(n) D(1) C(SELECT 1) Z(I)");
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lookups_apart");

    suite_add_loop(suite, SUITE_OURS, 20, clients_with_other_session_parameters_get_their_own, 2);
    suite_add_loop(suite, SUITE_OURS, 20, a_lookup_in_a_transaction_stays_in_it, 2);
    suite_add_loop(suite, SUITE_OURS, 20, requests_of_one_client_keep_their_order, 2);
    suite_add_loop(suite, SUITE_OURS, 30, clients_with_equal_settings_are_asked_together, 2);
    suite_add_loop(suite, SUITE_OURS, 30, a_client_that_changes_its_settings_joins_others, 2);
    suite_add_loop(suite, SUITE_OURS, 30,
                   settings_that_a_server_refuses_are_each_client_s_own_failure, 2);
    suite_add_loop(suite, SUITE_OURS, 30, users_and_databases_have_batches_of_their_own, 2);
    return suite_finish(suite);
}
