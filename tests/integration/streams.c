/* More bytes than anybody should hold, sides that stop reading, clients that vanish: memory stays
 * bounded, the others go on, and no server goes from one client to the next in a dirty state. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/client.h"
#include "harness/fake.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

enum { MEMORY_KB = 32 * 1024 }; /* how much more a stream may make the pooler hold */

static struct sluice sluice;

static void start(void)
{
    sluice_start(&sluice, .settings = "pool_mode = transaction\n");
}

/* So many megabytes of rows of a megabyte each. */
static struct packet *put_question(int megabytes)
{
    return put_query(put_new(),
                     text("SELECT repeat('x', 1048576) FROM generate_series(1, %d)", megabytes));
}

static uint64_t answer_bytes(int megabytes)
{
    return (uint64_t)megabytes * (1048576 + 6);
}

START_TEST(a_gigabyte_of_rows_passes_in_bounded_memory)
{
    struct client client;
    uint64_t rows = 0;
    struct message message;
    long before;

    start();
    client_login(&client, &sluice, "user1", "p");
    before = sluice_resident_kb(&sluice);
    client_send(&client, put_question(1024));
    while ((message = client_read(&client)).type != 'Z') {
        if (message.type == 'D')
            rows += message.size;
        ck_assert_int_lt(sluice_resident_kb(&sluice), before + MEMORY_KB);
    }
    ck_assert_uint_eq(rows, answer_bytes(1024));
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(one_row_of_a_hundred_megabytes_passes_in_bounded_memory)
{
    struct client client;
    struct message message;
    long before;

    start();
    client_login(&client, &sluice, "user1", "p");
    before = sluice_resident_kb(&sluice);
    client_send(&client, put_query(put_new(), "SELECT repeat('y', 104857600)"));
    ck_assert_int_eq(client_read(&client).type, 'T');
    message = client_read(&client);
    ck_assert_int_eq(message.type, 'D');
    ck_assert_uint_eq(message.size, 104857600 + 6);
    ck_assert_int_lt(sluice_resident_kb(&sluice), before + MEMORY_KB);
    ck_assert_str_eq(client_answer(&client), "C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(copy_in_of_many_megabytes_passes_in_bounded_memory)
{
    struct client client;
    char *line = malloc(1 << 20);
    long before;

    memset(line, 'z', (1 << 20) - 2);
    strcpy(line + (1 << 20) - 2, "\n");
    start();
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "CREATE TEMP TABLE t (a text);"
                                           "CREATE FUNCTION pg_temp.drop_row() RETURNS trigger "
                                           "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                                           "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW "
                                           "EXECUTE FUNCTION pg_temp.drop_row();"
                                           "BEGIN"),
                     "C(CREATE TABLE) C(CREATE FUNCTION) C(CREATE TRIGGER) C(BEGIN) Z(T)");
    client_send(&client, put_query(put_new(), "COPY t FROM STDIN"));
    ck_assert_str_eq(client_message(&client), "G");
    before = sluice_resident_kb(&sluice);
    for (int i = 0; i < 300; i++) {
        client_send(&client, put_copy_data(put_new(), line));
        ck_assert_int_lt(sluice_resident_kb(&sluice), before + MEMORY_KB);
    }
    client_send(&client, put_copy_done(put_new()));
    ck_assert_str_eq(client_answer(&client), "C(COPY 0) Z(T)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_stops_reading_holds_up_nobody_and_loses_nothing)
{
    struct client lazy;
    PGconn *other;
    long before;

    start();
    client_login(&lazy, &sluice, "user1", "p");
    other = sluice_connect(&sluice, "user=user2 dbname=p");
    before = sluice_resident_kb(&sluice);
    client_send(&lazy, put_question(200));
    /* The server blocks on its write: nobody takes more. */
    postgres_await_backends(sluice.postgres, 1, "wait_event = 'ClientWrite'");
    for (int i = 0; i < 500; i++)
        ck_assert_str_eq(sql_value(other, "SELECT 'quick'"), "quick");
    ck_assert_int_lt(sluice_resident_kb(&sluice), before + MEMORY_KB);
    ck_assert_uint_eq(client_drain(&lazy), answer_bytes(200) + 27 + 11 + 1); /* T, C, Z */
    PQfinish(other);
    client_close(&lazy);
    sluice_stop(&sluice);
}
END_TEST

/* Reads the login and one message, then no more. */
static void serve_deaf(struct fake *fake, int fd)
{
    char type, payload[10];

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    if (fake_login(fd) && fake_read(fd, &type, payload, sizeof(payload))) {
        fake_write_message(fd, 'G', "\0\0\0", 3);
        while (fake->counter == 0)
            nap();
    }
}

START_TEST(a_server_that_stops_reading_stops_its_client_only)
{
    struct fake fake;
    struct client client;
    struct packet *packet = put_new();
    PGconn *other;
    long before;
    size_t taken = 0;

    fake_start(&fake, serve_deaf, NULL);
    sluice_start(&sluice, .databases = text("p = {server}\nf = %s\n", fake_address(&fake)),
                 .settings = "pool_mode = transaction\n");
    other = sluice_connect(&sluice, "user=user2 dbname=p");
    client_login(&client, &sluice, "user1", "f");
    client_send(&client, put_query(put_new(), "COPY"));
    ck_assert_str_eq(client_message(&client), "G");
    before = sluice_resident_kb(&sluice);
    put_message(packet, 'd', calloc(1, 1 << 20), 1 << 20);
    for (;;) { /* until the pooler takes no more */
        ssize_t sent = send(client.fd, packet->bytes + taken % packet->size,
                            packet->size - taken % packet->size, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent > 0)
            taken += (size_t)sent;
        else if (errno != EAGAIN ||
                 poll(&(struct pollfd){.fd = client.fd, .events = POLLOUT}, 1, 500) == 0)
            break;
        ck_assert_uint_lt(taken, 64 << 20);
    }
    ck_assert_int_lt(sluice_resident_kb(&sluice), before + MEMORY_KB);
    for (int i = 0; i < 100; i++)
        ck_assert_str_eq(sql_value(other, "SELECT 'quick'"), "quick");
    fake.counter = 1;
    PQfinish(other);
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

/* In the middle of what a client vanishes, and how. */
static const struct vanishing {
    const char *name;
    const char *before; /* a query that is answered first, or NULL */
    const char *query;  /* one that is not, or NULL */
    bool extended;      /* it goes as Parse, Bind, Execute without Sync */
    size_t cut;         /* so many bytes of it are never sent */
} vanishings[] = {
    {"transaction", "BEGIN; INSERT INTO t VALUES (1)", NULL, false, 0},
    {"failed transaction", "BEGIN; INSERT INTO t VALUES (1); SELECT 1/0", NULL, false, 0},
    {"query", NULL, "INSERT INTO t VALUES (1); SELECT pg_sleep(2); SELECT 1/0", false, 0},
    {"answer", NULL, "SELECT repeat('x', 1000000) FROM generate_series(1, 1000)", false, 0},
    {"half a query", NULL, "INSERT INTO t VALUES (1)", false, 3},
    {"half a query in a transaction", "BEGIN; INSERT INTO t VALUES (1)", "COMMIT", false, 3},
    {"batch without Sync", NULL, "INSERT INTO t VALUES (1)", true, 0},
    {"half a batch", NULL, "INSERT INTO t VALUES (1)", true, 3},
    {"settings", "BEGIN; SET LOCAL work_mem = '77MB'; SET TRANSACTION READ ONLY", NULL, false, 0},
};

enum { VANISHINGS = sizeof(vanishings) / sizeof(vanishings[0]) };

static void vanish(const struct vanishing *vanishing, bool by_reset)
{
    struct packet *packet = put_new();
    struct client client;

    client_login(&client, &sluice, "user1", "p");
    if (vanishing->before)
        free(client_query(&client, vanishing->before));
    if (vanishing->query && vanishing->extended)
        put_extended(packet, vanishing->query, NULL);
    else if (vanishing->query)
        put_query(packet, vanishing->query);
    packet->size -= vanishing->cut;
    client_send(&client, packet);
    if (strcmp(vanishing->name, "answer") == 0)
        client_read(&client);
    if (strcmp(vanishing->name, "query") == 0)
        postgres_await_backends(sluice.postgres, 1, "wait_event = 'PgSleep'");
    if (by_reset)
        client_abort(&client);
    else
        client_close(&client);
}

START_TEST(what_a_vanished_client_left_is_never_seen_by_the_next)
{
    const struct vanishing *vanishing = &vanishings[_i / 4];
    struct client next;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = _i & 1 ? "pool_mode = transaction\n" : "pool_mode = session\n");
    postgres_value(sluice.postgres, "CREATE TABLE t (a int); GRANT ALL ON t TO PUBLIC");
    for (int round = 0; round < 2; round++) {
        vanish(vanishing, _i & 2);
        client_login(&next, &sluice, "user1", "p");
        ck_assert_msg(
            strcmp(client_query(&next, "SELECT count(*), current_setting('work_mem'), "
                                       "current_setting('transaction_read_only') FROM t"),
                   "T(count,current_setting,current_setting) D(0,4MB,off) C(SELECT 1) Z(I)") == 0,
            "after a vanishing in the middle of: %s", vanishing->name);
        ck_assert_str_eq(client_query(&next, "SELECT pg_current_xact_id_if_assigned()"),
                         "T(pg_current_xact_id_if_assigned) D(null) C(SELECT 1) Z(I)");
        client_close(&next);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_says_goodbye_in_a_transaction_rolls_it_back)
{
    struct client client;

    sluice_start(&sluice, .databases = "p = {server} pool_size=1\n",
                 .settings = _i ? "pool_mode = transaction\n" : "pool_mode = session\n");
    client_login(&client, &sluice, "user1", "p");
    client_query(&client, "CREATE TABLE t (a int)");
    ck_assert_str_eq(client_query(&client, "BEGIN; INSERT INTO t VALUES (1)"),
                     "C(BEGIN) C(INSERT 0 1) Z(T)");
    client_send(&client, put_terminate(put_new()));
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, "SELECT count(*) FROM t"),
                     "T(count) D(0) C(SELECT 1) Z(I)");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(clients_that_come_and_go_leave_no_descriptors)
{
    long before;

    start();
    PQfinish(sluice_connect(&sluice, "user=user1 dbname=p"));
    before = sluice_descriptors(&sluice);
    for (int i = 0; i < 300; i++) {
        struct client client;

        client_login(&client, &sluice, "user1", "p");
        if (i % 3 == 0)
            client_abort(&client);
        else
            client_close(&client);
    }
    await(sluice_descriptors(&sluice) <= before + 1, 20);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams");

    suite_add(suite, SUITE_SAME, 60, a_gigabyte_of_rows_passes_in_bounded_memory);
    suite_add(suite, SUITE_SAME, 60, one_row_of_a_hundred_megabytes_passes_in_bounded_memory);
    suite_add(suite, SUITE_SAME, 60, copy_in_of_many_megabytes_passes_in_bounded_memory);
    suite_add(suite, SUITE_SAME, 60, a_client_that_stops_reading_holds_up_nobody_and_loses_nothing);
    suite_add(suite, SUITE_SAME, 60, a_server_that_stops_reading_stops_its_client_only);
    suite_add_loop(suite, SUITE_SAME, 30, what_a_vanished_client_left_is_never_seen_by_the_next,
                   4 * VANISHINGS);
    suite_add_loop(suite, SUITE_SAME, 20, a_client_that_says_goodbye_in_a_transaction_rolls_it_back,
                   2);
    suite_add(suite, SUITE_SAME, 30, clients_that_come_and_go_leave_no_descriptors);
    return suite_finish(suite);
}
