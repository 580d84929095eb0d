/* Who waits for a server is served in order, told that it waits, and refused in time. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

enum { CROWD = 8 };

static struct sluice sluice;
static struct client ping;

/* One server, one worker; database q leads past the queue. All users share the pool of p. */
static void start(const char *settings, const char *users)
{
    sluice_start(&sluice,
                 .databases = "p = {server} pool_size=1 user=bench password=bench\nq = {server}\n",
                 .users = users,
                 .settings = text("pool_mode = transaction\n%s%s",
                                  suite_reference() ? "" : "workers = 1\n", settings));
    client_login(&ping, &sluice, "user4", "q");
}

/* When this returns, the pooler has read what was sent to it before: its one worker has answered a
 * question that came later. Twice, since both may have come in one turn of its loop. */
static void settle(void)
{
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(client_query(&ping, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
}

/* A client in a transaction on the only server. */
static void hold(struct client *holder)
{
    client_login(holder, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(holder, "BEGIN"), "C(BEGIN) Z(T)");
}

static void release(struct client *holder)
{
    ck_assert_str_eq(client_query(holder, "COMMIT"), "C(COMMIT) Z(I)");
}

/* Queues a statement that notes when it was served. */
static void queue(struct client *client, const char *user, int number)
{
    client_login(client, &sluice, user, "p");
    client_send(client,
                put_query(put_new(), text("INSERT INTO served (number) VALUES (%d)", number)));
    settle();
}

static void served_create(void)
{
    postgres_value(postgres_shared(), "CREATE TABLE served (at serial, number int);"
                                      "GRANT ALL ON served, served_at_seq TO PUBLIC");
}

static char *served(void)
{
    return postgres_value(sluice.postgres,
                          "SELECT string_agg(number::text, ' ' ORDER BY at) FROM served");
}

START_TEST(who_came_first_is_served_first)
{
    struct client holder, crowd[CROWD];

    served_create();
    start("", "");
    hold(&holder);
    for (int i = 0; i < CROWD; i++)
        queue(&crowd[i], "user1", i);
    release(&holder);
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(client_answer(&crowd[i]), "C(INSERT 0 1) Z(I)");
    ck_assert_str_eq(served(), "0 1 2 3 4 5 6 7");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(who_gives_up_waiting_leaves_the_queue)
{
    struct client holder, crowd[CROWD];

    served_create();
    start("", "");
    hold(&holder);
    for (int i = 0; i < CROWD; i++)
        queue(&crowd[i], "user1", i);
    for (int i = 1; i < CROWD; i += 2)
        client_abort(&crowd[i]);
    settle();
    release(&holder);
    for (int i = 0; i < CROWD; i += 2)
        ck_assert_str_eq(client_answer(&crowd[i]), "C(INSERT 0 1) Z(I)");
    ck_assert_str_eq(served(), "0 2 4 6");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_higher_priority_is_served_first)
{
    struct client holder, crowd[CROWD];

    served_create();
    start("", "user1 = priority=0\nuser2 = priority=9\n");
    hold(&holder);
    for (int i = 0; i < CROWD; i++)
        queue(&crowd[i], i < 5 ? "user1" : "user2", i);
    release(&holder);
    for (int i = 0; i < CROWD; i++)
        ck_assert_str_eq(client_answer(&crowd[i]), "C(INSERT 0 1) Z(I)");
    ck_assert_str_eq(served(), "5 6 7 0 1 2 3 4");
    sluice_stop(&sluice);
}
END_TEST

/* High priority alone would keep the server for ever: three clients always have a question there.
 */
START_TEST(a_low_priority_rises_and_does_not_starve)
{
    struct client holder, low, high[3];
    double deadline = deadline_in(60);
    bool low_served = false;

    served_create();
    start("query_wait_notify = 0\n", "user1 = priority=0\nuser2 = priority=9\n");
    hold(&holder);
    queue(&low, "user1", 1);
    for (int i = 0; i < 3; i++) {
        client_login(&high[i], &sluice, "user2", "p");
        client_send(&high[i], put_query(put_new(), "SELECT pg_sleep(0.02)"));
    }
    settle();
    release(&holder);
    for (int turn = 0; !low_served; turn++) {
        ck_assert_msg(!deadline_over(deadline), "the low priority is not served within 60 s");
        client_answer(&high[turn % 3]);
        client_send(&high[turn % 3], put_query(put_new(), "SELECT pg_sleep(0.02)"));
        low_served = !client_silent(&low, 0);
    }
    ck_assert_str_eq(client_answer(&low), "C(INSERT 0 1) Z(I)");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_full_queue_refuses_at_once_and_the_client_stays)
{
    struct client holder, crowd[3];
    char *answer;

    served_create();
    start("max_waiting = 2\n", "");
    hold(&holder);
    queue(&crowd[0], "user1", 0);
    queue(&crowd[1], "user1", 1);
    client_login(&crowd[2], &sluice, "user1", "p");
    for (int i = 0; i < 3; i++) {
        answer = client_query(&crowd[2], "SELECT 1");
        ck_assert_msg(strncmp(answer, "E(53300 ", 8) == 0 && strstr(answer, "max_waiting") &&
                          strcmp(answer + strlen(answer) - 6, ") Z(I)") == 0,
                      "%s", answer);
    }
    /* An extended batch is refused as a whole, up to its Sync. */
    client_send(&crowd[2], put_sync(put_extended(put_new(), "SELECT 1", NULL)));
    answer = client_answer(&crowd[2]);
    ck_assert_msg(strncmp(answer, "E(53300 ", 8) == 0, "%s", answer);
    release(&holder);
    for (int i = 0; i < 2; i++)
        ck_assert_str_eq(client_answer(&crowd[i]), "C(INSERT 0 1) Z(I)");
    ck_assert_str_eq(client_query(&crowd[2], "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(waiting_too_long_fails_the_statement_and_the_client_stays)
{
    struct client holder, waiter;
    struct packet *packet = put_new();

    served_create();
    start("query_wait_timeout = 1\n", "");
    hold(&holder);
    queue(&waiter, "user1", 0);
    ck_assert_str_eq(client_answer(&waiter), "E(57014 query_wait_timeout) Z(I)");
    put_sync(put_extended(packet, "SELECT 1", NULL));
    put_query(packet, "SELECT 2");
    client_send(&waiter, packet); /* a batch, and a query that is a request of its own */
    ck_assert_str_eq(client_answers(&waiter, 2),
                     "E(57014 query_wait_timeout) Z(I) E(57014 query_wait_timeout) Z(I)");
    release(&holder);
    ck_assert_str_eq(client_query(&waiter, "SELECT 3"), "T(?column?) D(3) C(SELECT 1) Z(I)");
    ck_assert_str_eq(served(), "");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(waiting_too_long_is_an_error_in_the_known_words)
{
    struct client holder, waiter;
    char *answer;

    served_create();
    start("query_wait_timeout = 1\n", "");
    hold(&holder);
    queue(&waiter, "user1", 0);
    answer = client_answer(&waiter);
    ck_assert_msg(answer[0] == 'E' && strstr(answer, "query_wait_timeout"), "%s", answer);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_waits_is_told_so_once)
{
    struct client holder, waiter;

    served_create();
    start("query_wait_notify = 1\n", "");
    hold(&holder);
    queue(&waiter, "user1", 0);
    ck_assert_str_eq(client_message(&waiter), "N(00000 No server connection available in postgres "
                                              "backend, client being queued)");
    ck_assert(client_silent(&waiter, 1.2));
    release(&holder);
    ck_assert_str_eq(client_answer(&waiter), "C(INSERT 0 1) Z(I)");
    sluice_stop(&sluice);
}
END_TEST

/* What a client sends while it waits is kept back, not lost, and bounded. */
START_TEST(a_client_that_waits_may_send_on)
{
    struct client holder, waiter;
    struct packet *packet = put_new();

    start("", "");
    hold(&holder);
    client_login(&waiter, &sluice, "user1", "p");
    for (int i = 0; i < 2000; i++)
        put_query(packet, text("SELECT %d", i));
    client_send(&waiter, packet);
    settle();
    release(&holder);
    for (int i = 0; i < 2000; i++)
        ck_assert_str_eq(client_answer(&waiter), text("T(?column?) D(%d) C(SELECT 1) Z(I)", i));
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting");

    suite_add(suite, SUITE_SAME, 20, who_came_first_is_served_first);
    suite_add(suite, SUITE_SAME, 20, who_gives_up_waiting_leaves_the_queue);
    suite_add(suite, SUITE_OURS, 20, a_higher_priority_is_served_first);
    suite_add(suite, SUITE_OURS, 80, a_low_priority_rises_and_does_not_starve);
    suite_add(suite, SUITE_OURS, 20, a_full_queue_refuses_at_once_and_the_client_stays);
    suite_add(suite, SUITE_OURS, 20, waiting_too_long_fails_the_statement_and_the_client_stays);
    suite_add(suite, SUITE_SAME, 20, waiting_too_long_is_an_error_in_the_known_words);
    suite_add(suite, SUITE_OURS, 20, a_client_that_waits_is_told_so_once);
    suite_add(suite, SUITE_SAME, 20, a_client_that_waits_may_send_on);
    return suite_finish(suite);
}
