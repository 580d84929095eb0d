/* What no decent client sends, and decent messages cut into every kind of piece: each is answered
 * or dropped, and the others go on. */
#include <stdlib.h>
#include <string.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

/* The pooler still serves. */
static void check_alive(const struct sluice *sluice)
{
    PGconn *connection = sluice_connect(sluice, "user=user1 dbname=p");

    ck_assert_str_eq(sql_value(connection, "SELECT 41 + 1"), "42");
    PQfinish(connection);
}

/* Reads to the end of the connection, which may come with errors before it. */
static void check_dropped(struct client *client)
{
    while (client_read(client).type != '\0')
        ;
    client_close(client);
}

START_TEST(startup_packets_of_impossible_length_are_dropped)
{
    static const uint32_t lengths[] = {0, 1, 3, 4, 7, 0x7fffffff, 0x80000000, 0xffffffff, 100000};
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        client_open(&client, &sluice);
        client_send(&client, put_int32(put_int32(put_new(), lengths[i]), PROTOCOL_3_0));
        check_dropped(&client);
    }
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(garbage_instead_of_a_startup_packet_is_dropped)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 some client hello";
    struct sluice sluice;
    struct client client;
    unsigned char noise[400];
    uint32_t state = 12345;

    sluice_start(&sluice);
    client_open(&client, &sluice);
    client_send(&client, put_bytes(put_new(), http, sizeof(http)));
    check_dropped(&client);
    client_open(&client, &sluice);
    client_send(&client, put_bytes(put_new(), tls, sizeof(tls)));
    check_dropped(&client);
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (unsigned char)((state = state * 1664525 + 1013904223) >> 24);
        noise[0] |= 1; /* longer than any startup packet */
        client_open(&client, &sluice);
        client_send(&client, put_bytes(put_new(), noise, sizeof(noise)));
        check_dropped(&client);
    }
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

/* Startup packets whose length is right and whose contents are not. */
START_TEST(malformed_startup_parameters_are_dropped)
{
    static const char *const bodies[] = {
        "user\0user1",                   /* no NUL at all at the end */
        "user\0user1\0database",         /* a name without a value */
        "user\0user1\0database\0p\0\0x", /* more after the end */
        "user",
        "",
    };
    static const size_t sizes[] = {10, 19, 24, 4, 0};
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct packet *packet = put_new();

        client_open(&client, &sluice);
        put_int32(packet, (uint32_t)(8 + sizes[i]));
        put_int32(packet, PROTOCOL_3_0);
        client_send(&client, put_bytes(packet, bodies[i], sizes[i]));
        check_dropped(&client);
    }
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(messages_of_impossible_length_end_the_connection)
{
    static const uint32_t lengths[] = {0, 1, 3, 0x80000000, 0xffffffff};
    static const char types[] = "QPSXdp";
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (const char *type = types; *type; type++) {
            client_login(&client, &sluice, "user1", "p");
            client_send(&client, put_int32(put_bytes(put_new(), type, 1), lengths[i]));
            check_dropped(&client);
        }
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(messages_of_unknown_type_end_the_connection)
{
    static const char types[] = {'\0', '\1', '!', 'z', 'R', 'T', '\x7f', '\xff'};
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice);
    for (size_t i = 0; i < sizeof(types); i++) {
        client_login(&client, &sluice, "user1", "p");
        client_send(&client, put_message(put_new(), types[i], "abc", 4));
        check_dropped(&client);
    }
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_query_before_the_login_is_over_is_refused)
{
    struct sluice sluice;
    struct client client;
    struct message message;

    sluice_start(&sluice, .settings = "auth_type = plain\n");
    client_open(&client, &sluice);
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    ck_assert_str_eq(client_message(&client), "R(cleartext)");
    client_send(&client, put_query(put_new(), "SELECT 1"));
    while ((message = client_read(&client)).type != '\0')
        ck_assert_int_eq(message.type, 'E');
    client_close(&client);
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_password_of_a_megabyte_is_refused)
{
    struct sluice sluice;
    struct client client;
    char *password = calloc(1, 1 << 20);
    char *answer;

    memset(password, 'x', (1 << 20) - 1);
    sluice_start(&sluice, .settings = "auth_type = plain\n");
    client_open(&client, &sluice);
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    ck_assert_str_eq(client_message(&client), "R(cleartext)");
    client_send(&client, put_message(put_new(), 'p', password, 1 << 20));
    answer = client_answer(&client);
    ck_assert_msg(!strstr(answer, "R(ok)"), "%s", answer);
    client_close(&client);
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_never_logs_in_is_sent_away)
{
    struct sluice sluice;
    struct client silent, half, waiting;

    sluice_start(&sluice, .settings = "auth_type = plain\nclient_login_timeout = 1\n");
    client_open(&silent, &sluice);
    client_open(&half, &sluice);
    client_send(&half, put_bytes(put_new(), "\0\0\0\x20\0\3\0\0user", 12));
    client_open(&waiting, &sluice);
    client_send(&waiting,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    ck_assert_str_eq(client_message(&waiting), "R(cleartext)");
    check_dropped(&silent);
    check_dropped(&half);
    check_dropped(&waiting);
    ck_assert_uint_ge(sluice_log_count(&sluice, "client_login_timeout"), 3);
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_client_that_leaves_at_any_point_of_its_login_leaves_nothing)
{
    struct sluice sluice;
    struct client client;
    long before;

    sluice_start(&sluice, .settings = "auth_type = plain\n");
    check_alive(&sluice);
    before = sluice_descriptors(&sluice);
    for (size_t size = 0; size < 30; size++) {
        struct packet *packet =
            put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL);

        packet->size = size < packet->size ? size : packet->size;
        client_open(&client, &sluice);
        client_send(&client, packet);
        if (size % 2)
            client_abort(&client);
        else
            client_close(&client);
    }
    await(sluice_descriptors(&sluice) <= before, 20);
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

/* Every sort of message that a client sends, and what comes back. */
static struct packet *conversation(void)
{
    struct packet *packet = put_new();

    put_query(packet, "SELECT 'simple'");
    put_extended(packet, "SELECT $1::text", "extended");
    put_close(put_sync(packet), 'S', "");
    put_describe(put_parse(packet, "named", "SELECT 1 AS one"), 'S', "named");
    put_sync(put_execute(put_bind(packet, "portal", "named", NULL), "portal", 0));
    put_query(packet, "CREATE TEMP TABLE copied (a text)");
    put_query(packet, "COPY copied FROM STDIN");
    put_copy_done(put_copy_data(put_copy_data(packet, "one\n"), "two\n"));
    put_query(packet, "COPY copied TO STDOUT");
    put_query(packet, "SELECT count(*) FROM copied; DROP TABLE copied");
    put_query(packet, "DEALLOCATE named");
    put_function_call(packet, 1397 /* abs(int4) */, "-7");
    return put_query(packet, "");
}

static const char answers[] =
    "T(?column?) D(simple) C(SELECT 1) Z(I) "
    "1 2 T(text) D(extended) C(SELECT 1) Z(I) "
    "3 1 t(0) T(one) 2 D(1) C(SELECT 1) Z(I) "
    "C(CREATE TABLE) Z(I) G C(COPY 2) Z(I) H d(one\\0a) d(two\\0a) c C(COPY 2) Z(I) "
    "T(count) D(2) C(SELECT 1) C(DROP TABLE) Z(I) C(DEALLOCATE) Z(I) V(7) Z(I) I Z(I)";

enum { CONVERSATION_ANSWERS = 10 };

START_TEST(a_client_that_sends_one_byte_at_a_time_is_served)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice);
    client_open(&client, &sluice);
    client_send_pieces(
        &client, put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL), 1);
    client_drain(&client);
    client_send_pieces(&client, conversation(), 1);
    ck_assert_str_eq(client_answers(&client, CONVERSATION_ANSWERS), answers);
    client_send_pieces(&client, put_terminate(put_new()), 1);
    ck_assert_str_eq(client_message(&client), "EOF");
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(every_message_may_be_split_at_every_byte)
{
    struct sluice sluice;
    struct client client;
    struct packet *whole = conversation();

    sluice_start(&sluice);
    client_login(&client, &sluice, "user1", "p");
    for (size_t at = 1; at < whole->size; at++) {
        char *got;

        client_send_split(&client, conversation(), at);
        got = client_answers(&client, CONVERSATION_ANSWERS);
        ck_assert_msg(strcmp(got, answers) == 0, "split at byte %zu of %zu:\n%s\nnot\n%s", at,
                      whole->size, got, answers);
        free(got);
    }
    client_close(&client);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_startup_packet_may_be_split_at_every_byte)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice, .settings = "auth_type = plain\n");
    for (size_t at = 1;; at++) {
        struct packet *packet =
            put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL);

        if (at == packet->size)
            break;
        client_open(&client, &sluice);
        client_send_split(&client, packet, at);
        ck_assert_str_eq(client_message(&client), "R(cleartext)");
        client_send_split(&client, put_message(put_new(), 'p', "user1", 6), 1 + at % 10);
        client_drain(&client);
        client_close(&client);
    }
    sluice_stop(&sluice);
}
END_TEST

START_TEST(messages_larger_than_max_packet_size_end_the_connection)
{
    struct sluice sluice;
    struct client client;

    sluice_start(&sluice, .settings = "max_packet_size = 10000\n");
    client_login(&client, &sluice, "user1", "p");
    ck_assert_str_eq(client_query(&client, text("SELECT length('%09000d')", 0)),
                     "T(length) D(9000) C(SELECT 1) Z(I)");
    client_send(&client, put_query(put_new(), text("SELECT length('%020000d')", 0)));
    check_dropped(&client);
    check_alive(&sluice);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("garbage");

    suite_add(suite, SUITE_SAME, 20, startup_packets_of_impossible_length_are_dropped);
    suite_add(suite, SUITE_SAME, 20, garbage_instead_of_a_startup_packet_is_dropped);
    suite_add(suite, SUITE_OURS, 20, malformed_startup_parameters_are_dropped);
    suite_add(suite, SUITE_SAME, 30, messages_of_impossible_length_end_the_connection);
    suite_add(suite, SUITE_SAME, 20, messages_of_unknown_type_end_the_connection);
    suite_add(suite, SUITE_SAME, 20, a_query_before_the_login_is_over_is_refused);
    suite_add(suite, SUITE_SAME, 20, a_password_of_a_megabyte_is_refused);
    suite_add(suite, SUITE_SAME, 20, a_client_that_never_logs_in_is_sent_away);
    suite_add(suite, SUITE_SAME, 20, a_client_that_leaves_at_any_point_of_its_login_leaves_nothing);
    suite_add(suite, SUITE_SAME, 30, a_client_that_sends_one_byte_at_a_time_is_served);
    suite_add(suite, SUITE_SAME, 120, every_message_may_be_split_at_every_byte);
    suite_add(suite, SUITE_OURS, 30, a_startup_packet_may_be_split_at_every_byte);
    suite_add(suite, SUITE_SAME, 20, messages_larger_than_max_packet_size_end_the_connection);
    return suite_finish(suite);
}
