/* Settings with names that a client has made up: they follow it when they can, and are no way into
 * the queries that Sluice itself asks. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client, neighbour;

static void start(void)
{
    sluice_start(&sluice, .databases = "p = {server} pool_size=1\ntwo = {server} pool_size=2\n",
                 .settings = "pool_mode = transaction\nworkers = 1\n");
}

static void stop(void)
{
    client_close(&client);
    client_close(&neighbour);
    sluice_stop(&sluice);
}

/* What SET can only name in quotes. */
START_TEST(a_reserved_word_in_a_name_follows_too)
{
    static const char *const names[] = {"user.id", "select.from.where", "App.Tenant"};
    const char *name = names[_i];
    struct client *both[] = {&client, &neighbour};

    start();
    for (int i = 0; i < 2; i++) {
        client_login(both[i], &sluice, "user1", "p");
        ck_assert_str_eq(
            client_query(both[i], text("SELECT set_config('%s', 'of %d', false) AS x", name, i)),
            text("T(x) D(of %d) C(SELECT 1) Z(I)", i));
    }
    for (int i = 0; i < 6; i++)
        ck_assert_str_eq(client_query(both[i % 2], text("SELECT current_setting('%s') AS x", name)),
                         text("T(x) D(of %d) C(SELECT 1) Z(I)", i % 2));
    ck_assert_str_eq(client_query(&client, "RESET ALL"), "C(RESET) Z(I)");
    ck_assert_str_eq(
        client_query(&client, text("SELECT coalesce(current_setting('%s', true), '') AS x", name)),
        "T(x) D() C(SELECT 1) Z(I)");
    ck_assert_str_eq(client_query(&neighbour, text("SELECT current_setting('%s') AS x", name)),
                     "T(x) D(of 1) C(SELECT 1) Z(I)");
    stop();
}
END_TEST

/* Each would end the text of the question what there is, and go on with one of its own. */
START_TEST(a_name_is_never_a_part_of_our_questions)
{
    static const char *const names[] = {
        "a.}''::text[])d(n))s(n,v);SET work_mem=123--",
        "a.}''::text[])d(n))s(n,v);BEGIN--",
        "a.'');SET work_mem=123--",
        "a.\"b",
        "a.b\\",
        "a.,b",
        "a.\303\251",
    };

    start();
    client_login(&client, &sluice, "user1", "two");
    client_login(&neighbour, &sluice, "user1", "two");
    /* Before PostgreSQL 15 such names are taken; either answer will do. */
    client_query(&client, text("SELECT set_config('%s', 'x', false)", names[_i]));
    ck_assert_str_eq(client_query(&client, "SHOW work_mem"), "T(work_mem) D(4MB) C(SHOW) Z(I)");
    ck_assert_str_eq(client_query(&client, "SELECT 1 AS x"), "T(x) D(1) C(SELECT 1) Z(I)");
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(client_query(&neighbour, "SHOW work_mem"),
                         "T(work_mem) D(4MB) C(SHOW) Z(I)");
    client_close(&client);
    client_login(&client, &sluice, "user1", "two");
    ck_assert_str_eq(client_query(&client, "SHOW work_mem"), "T(work_mem) D(4MB) C(SHOW) Z(I)");
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_names");

    suite_add_loop(suite, SUITE_OURS, 20, a_reserved_word_in_a_name_follows_too, 3);
    suite_add_loop(suite, SUITE_OURS, 20, a_name_is_never_a_part_of_our_questions, 7);
    return suite_finish(suite);
}
