/* The SQL console among clients that say nonsense, or do not listen: they get an error or the end,
 * and nobody else notices. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/client.h"
#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/suite.h"

static struct sluice sluice;
static struct client client;

/* client: the one that misbehaves; returned: one that goes on. */
static PGconn *start(void)
{
    PGconn *console = console_start(&sluice, "pool_mode = transaction\n");

    client_login(&client, &sluice, "user1", "pgbouncer");
    return console;
}

static void end(PGconn *console)
{
    client_close(&client);
    ck_assert_int_eq(console_rows(console, "SHOW VERSION"), 1);
    console_end(console, &sluice);
}

static char *repeated(const char *what, size_t times)
{
    size_t length = strlen(what);
    char *made = text("%*s", (int)(length * times), "");

    for (size_t i = 0; i < times; i++)
        memcpy(made + i * length, what, length);
    return made;
}

START_TEST(nonsense_is_an_error_and_the_console_goes_on)
{
    PGconn *console = start();
    const char *nonsense[] = {
        "\x01\x02\xff\xfe",
        "'",
        "\"",
        "SHOW",
        "SHOW ''",
        "SET",
        "SET x",
        "SET = 1",
        "SET verbose = 1 = 2",
        "PAUSE a b",
        "/*",
        "SELECT * FROM pg_class",
        "KILL_CLIENT 99999999999999999999999999999999",
        "SHOW POOLS; SHOW POOLS",
        repeated("a", 60000),
        repeated("'", 60000),
        repeated("/*", 30000),
        repeated("(", 60000),
        "SHOW \xc3\x28",
    };

    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        char *answer = client_query(&client, nonsense[i]);

        ck_assert_msg(strncmp(answer, "E(", 2) == 0, "%.60s: %s", nonsense[i], answer);
        ck_assert_msg(strstr(answer, "Z(I)") != NULL, "%.60s: %s", nonsense[i], answer);
    }
    end(console);
}
END_TEST

START_TEST(extended_protocol_misused_is_an_error_until_sync)
{
    PGconn *console = start();
    struct packet *packet = put_new();

    put_sync(put_execute(packet, "nosuch", 0));
    put_sync(put_bind(packet, "", "nosuch", NULL));
    put_sync(put_describe(packet, 'S', "nosuch"));
    put_sync(put_describe(packet, 'X', "nosuch"));
    put_sync(put_close(packet, 'P', "nosuch")); /* no error, as PostgreSQL */
    put_sync(put_bind(put_parse(packet, "", "SHOW STATE"), "", "", "a parameter"));
    put_sync(put_message(packet, 'B', "\0\0\0\0\0\0\xff\xff", 8));
    put_sync(put_message(packet, 'P', "no end", 6));
    put_sync(put_message(packet, 'E', "", 0));
    put_sync(put_query(packet, "SHOW STATE; nonsense"));
    client_send(&client, packet);
    for (int i = 0; i < 10; i++) {
        char *answer = client_answer(&client);

        ck_assert_msg(strstr(answer, i == 4 ? "3 Z(I)" : "E(") != NULL, "%d: %s", i, answer);
    }
    ck_assert_str_eq(client_answer(&client), "Z(I)"); /* the last Sync */
    end(console);
}
END_TEST

START_TEST(statements_and_portals_are_bounded)
{
    PGconn *console = start();
    struct packet *packet = put_new();
    char *answer;

    for (int i = 0; i < 101; i++)
        put_parse(packet, text("s%d", i), "SHOW STATE");
    client_send(&client, put_sync(packet));
    answer = client_answer(&client);
    ck_assert_ptr_nonnull(strstr(answer, "E(54000 "));
    end(console);
}
END_TEST

static const struct {
    const char *what;
    char type;
    uint32_t length;
} ends[] = {
    {"a length below its own", 'Q', 3},
    {"a length of nothing", 'Q', 0},
    {"a negative length", 'Q', 0xfffffff0},
    {"a length beyond all bounds", 'P', 1u << 30},
    {"an unknown message", '~', 4},
    {"a function call", 'F', 4},
    {"a password that nobody asked for", 'p', 4},
};

/* _i: which. */
START_TEST(what_breaks_the_protocol_ends_the_connection)
{
    PGconn *console = start();
    struct packet *packet = put_new();
    char *answer;

    put_int32(put_bytes(packet, &ends[_i].type, 1), ends[_i].length);
    client_send(&client, packet);
    answer = client_answer(&client);
    ck_assert_msg(strstr(answer, "EOF") || strstr(answer, "RST"), "%s: %s", ends[_i].what, answer);
    end(console);
}
END_TEST

START_TEST(messages_may_come_byte_by_byte)
{
    PGconn *console = start();
    struct packet *packet = put_new();

    put_sync(put_extended(put_query(packet, "SHOW VERSION"), "SHOW STATE", NULL));
    client_send_pieces(&client, packet, 1);
    ck_assert_ptr_nonnull(strstr(client_answer(&client), "C(SHOW) Z(I)"));
    ck_assert_ptr_nonnull(strstr(client_answer(&client), "C(SHOW) Z(I)"));
    end(console);
}
END_TEST

/* It asks for more than it reads; what it has not read is bounded, and comes when it does read. */
START_TEST(answers_that_nobody_reads_are_bounded)
{
    enum { TIMES = 2000 };
    PGconn *console = start();
    struct packet *packet = put_new();
    long before = sluice_resident_kb(&sluice);

    for (int i = 0; i < TIMES; i++)
        put_query(packet, "SHOW CONFIG");
    client_send(&client, packet);
    for (int i = 0; i < 20; i++)
        ck_assert_int_gt(console_rows(console, "SHOW CONFIG"), 50);
    ck_assert_int_lt(sluice_resident_kb(&sluice), before + (long)(8192 * slow_factor()));
    for (int i = 0; i < TIMES; i++)
        ck_assert_uint_gt(client_drain(&client), 1000);
    end(console);
}
END_TEST

/* Those who have been idle for longest make room, and those who may only look before the others: no
 * operator is locked out. */
START_TEST(consoles_are_bounded)
{
    PGconn *console = start(), *lookers[98], *operator;

    for (size_t i = 0; i < 98; i++)
        lookers[i] = sluice_connect(&sluice, "user=user2 dbname=pgbouncer");
    sql_do(lookers[0], "SHOW VERSION");
    operator= sluice_connect(&sluice, "user=user1 dbname=pgbouncer");
    sql_do(operator, "SHOW VERSION");
    ck_assert_ptr_nonnull(strstr(sql_error(lookers[1], "SHOW VERSION"), "this one was idle"));
    for (size_t i = 0; i < 98; i++) {
        if (i != 1)
            sql_do(lookers[i], "SHOW VERSION");
        PQfinish(lookers[i]);
    }
    PQfinish(operator);
    end(console);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console_hostile");

    suite_add(suite, SUITE_OURS, 20, nonsense_is_an_error_and_the_console_goes_on);
    suite_add(suite, SUITE_OURS, 20, extended_protocol_misused_is_an_error_until_sync);
    suite_add(suite, SUITE_OURS, 20, statements_and_portals_are_bounded);
    suite_add_loop(suite, SUITE_OURS, 20, what_breaks_the_protocol_ends_the_connection,
                   sizeof(ends) / sizeof(ends[0]));
    suite_add(suite, SUITE_OURS, 20, messages_may_come_byte_by_byte);
    suite_add(suite, SUITE_OURS, 60, answers_that_nobody_reads_are_bounded);
    suite_add(suite, SUITE_OURS, 30, consoles_are_bounded);
    return suite_finish(suite);
}
