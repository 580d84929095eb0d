/* Servers that break the protocol at every stage: the client is told, nobody crashes, and the
 * clients of honest servers never notice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness/client.h"
#include "harness/fake.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

/* During the login: bytes sent after the startup packet, then what becomes of the connection. */
static const struct answer {
    const char *name;
    const char *bytes;
    size_t size;
    bool reset;
} answers[] = {
#define ANSWER(name, bytes)                   \
    {                                         \
        name, bytes, sizeof(bytes) - 1, false \
    }
    ANSWER("nothing at all", ""),
    ANSWER("garbage", "HTTP/1.1 400 Bad Request\r\n\r\n"),
    ANSWER("length 0", "R\0\0\0\0"),
    ANSWER("length 3", "R\0\0\0\3"),
    ANSWER("length 2^31-1", "R\x7f\xff\xff\xff"),
    ANSWER("length 2^32-1", "R\xff\xff\xff\xff"),
    ANSWER("half a header", "R\0\0"),
    ANSWER("half a message", "R\0\0\0\x08\0\0"),
    ANSWER("an empty authentication message", "R\0\0\0\4"),
    ANSWER("an unknown authentication", "R\0\0\0\x08\0\0\0\x63"),
    ANSWER("md5 without salt", "R\0\0\0\x08\0\0\0\5"),
    ANSWER("SASL without mechanisms", "R\0\0\0\x08\0\0\0\x0a"),
    ANSWER("SASL with an unended mechanism", "R\0\0\0\x0d\0\0\0\x0aSCRAM"),
    ANSWER("SASL with foreign mechanisms", "R\0\0\0\x10\0\0\0\x0a"
                                           "OAUTH\0\0\0"),
    ANSWER("a SASL continuation out of turn", "R\0\0\0\x0c\0\0\0\x0br=12"),
    ANSWER("SASL success out of turn", "R\0\0\0\x0c\0\0\0\x0cv=12"),
    ANSWER("success twice", "R\0\0\0\x08\0\0\0\0R\0\0\0\x08\0\0\0\0"),
    ANSWER("a password asked for behind success", "R\0\0\0\x08\0\0\0\0R\0\0\0\x08\0\0\0\3"),
    ANSWER("a SCRAM exchange behind success", "R\0\0\0\x08\0\0\0\0R\0\0\0\x17\0\0\0\x0a"
                                              "SCRAM-SHA-256\0\0"),
    ANSWER("an error without SQLSTATE", "E\0\0\0\x0bMoops\0\0"),
    ANSWER("an error without fields", "E\0\0\0\5\0"),
    ANSWER("an empty error", "E\0\0\0\4"),
    ANSWER("an unended error", "E\0\0\0\x0aMnoend"),
    ANSWER("ready before the login", "Z\0\0\0\5I"),
    ANSWER("rows before the login", "D\0\0\0\6\0\0"),
    ANSWER("an unended parameter", "R\0\0\0\x08\0\0\0\0S\0\0\0\x0aserver"),
    ANSWER("a short key", "R\0\0\0\x08\0\0\0\0K\0\0\0\6\0\1Z\0\0\0\5I"),
    ANSWER("an unknown state", "R\0\0\0\x08\0\0\0\0Z\0\0\0\5?"),
    {"a reset", "", 0, true},
    {"a reset within a message", "R\0\0\0", 4, true},
};

static void serve_answer(struct fake *fake, int fd)
{
    const struct answer *answer = fake->argument;

    if (!fake_read_startup(fd))
        return;
    fake_write(fd, answer->bytes, answer->size);
    if (answer->reset)
        fake_reset(fd);
    else
        shutdown(fd, SHUT_WR);
    if (!answer->reset)
        fake_await_close(fd);
}

static void check_alive(void)
{
    PGconn *connection = sluice_connect(&sluice, "user=user2 dbname=p");

    ck_assert_str_eq(sql_value(connection, "SELECT 1"), "1");
    PQfinish(connection);
}

static void start(const struct fake *fake)
{
    sluice_start(&sluice, .databases = text("p = {server}\nf = %s\n", fake_address(fake)),
                 .settings = "pool_mode = transaction\nserver_connect_timeout = 2\n"
                             "server_login_retry = 1\nquery_wait_timeout = 5\n");
}

START_TEST(a_login_that_the_server_breaks_is_refused)
{
    struct fake fake;
    PGconn *connection;

    fake_start(&fake, serve_answer, &answers[_i]);
    start(&fake);
    connection = sluice_try(&sluice, "user=user1 dbname=f");
    ck_assert_msg(PQstatus(connection) == CONNECTION_BAD, "after %s", answers[_i].name);
    ck_assert_msg(strstr(PQerrorMessage(connection), "FATAL"), "after %s: %s", answers[_i].name,
                  PQerrorMessage(connection));
    PQfinish(connection);
    check_alive();
    sluice_stop(&sluice);
}
END_TEST

/* A SCRAM exchange with a server-first message of our choice; `argument` is it. */
static void serve_scram(struct fake *fake, int fd)
{
    static const char mechanisms[] = "\0\0\0\x0aSCRAM-SHA-256\0";
    const char *first = fake->argument;
    char type, payload[1000], message[20100] = "\0\0\0\x0b";
    const char *nonce;

    if (!fake_read_startup(fd) || !fake_write_message(fd, 'R', mechanisms, sizeof(mechanisms)) ||
        !fake_read(fd, &type, payload, sizeof(payload)))
        return;
    /* "SCRAM-SHA-256" NUL length "n,,n=...,r=NONCE" */
    nonce = memmem(payload, sizeof(payload), ",r=", 3);
    strcpy(message + 4, first);
    if (nonce && strncmp(first, "r=NONCE", 7) == 0)
        snprintf(message + 4, sizeof(message) - 4, "%s%s", nonce + 1, first + 7);
    if (!fake_write_message(fd, 'R', message, 4 + strlen(message + 4)))
        return;
    if (fake_read(fd, &type, payload, sizeof(payload))) { /* it went on: the signature is wrong */
        fake->counter++;
        fake_write_message(fd, 'R', "\0\0\0\x0cv=AAAA", 10);
        fake_await_close(fd);
    }
}

/* What a server may answer to the client's first SCRAM message, and whether to go on with it. */
static const struct scram {
    const char *first;
    bool longer_nonce; /* followed by 10,000 bytes more of it */
} scrams[] = {
    {"", false},
    {"garbage", false},
    {"r=foreign,s=QSXCR+Q6sek8bf92,i=4096", false},
    {"r=NONCE,s=QSXCR+Q6sek8bf92,i=4096", false}, /* adds nothing to our nonce */
    {"r=NONCEx,s=,i=4096", false},
    {"r=NONCEx,s=!!!,i=4096", false},
    {"r=NONCEx,s=QSXCR+Q6sek8bf92,i=0", false},
    {"r=NONCEx,s=QSXCR+Q6sek8bf92,i=-1", false},
    {"r=NONCEx,s=QSXCR+Q6sek8bf92,i=99999999999999999999", false},
    {"r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096x", false},
    {"r=NONCEx,i=4096", false},
    {"m=ext,r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096", false},
    {"r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096", false}, /* right, but its signature is not */
    {"r=NONCE", true},
};

START_TEST(a_hostile_scram_exchange_is_refused)
{
    struct fake fake;
    PGconn *connection;
    char *first = text("%s", scrams[_i].first);

    if (scrams[_i].longer_nonce) {
        char *nonce = calloc(1, 10001);

        memset(nonce, 'N', 10000);
        first = text("%s%s,s=QSXCR+Q6sek8bf92,i=4096", first, nonce);
    }
    fake_start(&fake, serve_scram, first);
    start(&fake);
    connection = sluice_try(&sluice, "user=user1 dbname=f");
    ck_assert_int_eq(PQstatus(connection), CONNECTION_BAD);
    ck_assert_msg(strstr(PQerrorMessage(connection), "FATAL"), "%s", PQerrorMessage(connection));
    PQfinish(connection);
    check_alive();
    sluice_stop(&sluice);
}
END_TEST

/* After the login, in answer to a query. */
static const struct answer replies[] = {
    ANSWER("the end", ""),
    ANSWER("length 0", "T\0\0\0\0"),
    ANSWER("length 3", "D\0\0\0\3"),
    ANSWER("length 2^32-1", "D\xff\xff\xff\xff"),
    ANSWER("an unknown type", "!\0\0\0\4"),
    ANSWER("half a header", "T\0\0"),
    ANSWER("half a row", "T\0\0\0\6\0\0D\0\0\0\xff\0\1\0\0"),
    ANSWER("ready twice", "C\0\0\0\7OK\0Z\0\0\0\5IZ\0\0\0\5I"),
    ANSWER("an unknown state", "C\0\0\0\7OK\0Z\0\0\0\5?"),
    ANSWER("a long ReadyForQuery", "C\0\0\0\7OK\0Z\0\0\0\x08IIII"),
    ANSWER("an error without SQLSTATE and the end", "E\0\0\0\x0bMoops\0\0"),
    {"a reset", "", 0, true},
    {"a reset within a row", "T\0\0\0\6\0\0D\0\0\0\xff\0\1", 15, true},
};

static void serve_reply(struct fake *fake, int fd)
{
    const struct answer *reply = fake->argument;
    char type, payload[1000];

    if (!fake_login(fd))
        return;
    if (fake->counter++ > 0) { /* later connections are honest */
        fake_serve(fake, fd);
        return;
    }
    if (!fake_read(fd, &type, payload, sizeof(payload)))
        return;
    fake_write(fd, reply->bytes, reply->size);
    if (reply->reset) {
        fake_reset(fd);
    } else {
        shutdown(fd, SHUT_WR);
        fake_await_close(fd);
    }
}

/* The client gets an error or the end, never a hang, and the database goes on to work. A client
 * that has seen only whole messages stays. */
START_TEST(an_answer_that_the_server_breaks_ends_that_server_only)
{
    struct fake fake;
    struct client client;
    char *told = text("%s", "");
    struct message message;
    bool whole = !strstr(replies[_i].name, "row");

    fake_start(&fake, serve_reply, &replies[_i]);
    sluice_start(&sluice, .databases = text("p = {server}\nf = %s\n", fake_address(&fake)),
                 .settings = "pool_mode = transaction\nserver_login_retry = 1\n"
                             "server_check_delay = 600\n");
    client_login(&client, &sluice, "user1", "f");
    client.torn = !whole;
    client_send(&client, put_query(put_new(), "SELECT"));
    do {
        message = client_read(&client);
        told = text("%s%c", told, message.type ? message.type : '.');
    } while (message.type != 'Z' && message.type != '\0');
    ck_assert_msg(!whole || message.type == 'Z', "%s: got %s", replies[_i].name, told);
    if (message.type == '\0')
        client_login(&client, &sluice, "user1", "f");
    ck_assert_msg(strcmp(client_query(&client, "SELECT"), "T(f) D(fake) C(SELECT 1) Z(I)") == 0,
                  "%s: the next statement fails", replies[_i].name);
    client_close(&client);
    check_alive();
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile");

    suite_add_loop(suite, SUITE_OURS, 30, a_login_that_the_server_breaks_is_refused,
                   sizeof(answers) / sizeof(answers[0]));
    suite_add_loop(suite, SUITE_OURS, 30, a_hostile_scram_exchange_is_refused,
                   sizeof(scrams) / sizeof(scrams[0]));
    suite_add_loop(suite, SUITE_OURS, 30, an_answer_that_the_server_breaks_ends_that_server_only,
                   sizeof(replies) / sizeof(replies[0]));
    return suite_finish(suite);
}
