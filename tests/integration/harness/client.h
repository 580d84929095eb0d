/* client: a raw client of the PostgreSQL protocol 3, for what libpq would never send and for seeing
 * each message that comes back. Calls block, with a deadline that fails the test. Messages are told
 * as text, so that a whole exchange is compared at once and a failure can be read:
 *
 *     client_send(&client, put_query(put_new(), "SELECT 1"));
 *     ck_assert_str_eq(client_answer(&client), "T(?column?) D(1) C(SELECT 1) Z(I)");
 *
 * R(ok|cleartext|md5|sasl|continue|final), S(name=value), K, Z(I|T|E), T(columns), D(values),
 * C(tag), E(SQLSTATE message), N(SQLSTATE message), G H W (copy), d(bytes), c, A(channel,payload),
 * V(value), t(count), v(minor, options), or the bare letter; EOF and RST for the end. */
#ifndef TESTS_HARNESS_CLIENT_H
#define TESTS_HARNESS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/sluice.h"

/* Messages to send, made by the put_ functions, which all return their first argument. */
struct packet {
    size_t size, capacity;
    unsigned char *bytes;
};

struct packet *put_new(void);
struct packet *put_bytes(struct packet *packet, const void *bytes, size_t count);
struct packet *put_int32(struct packet *packet, uint32_t value);
struct packet *put_int16(struct packet *packet, uint16_t value);
struct packet *put_text(struct packet *packet, const char *text); /* with its NUL */

/* A whole message of any type and payload. */
struct packet *put_message(struct packet *packet, char type, const void *payload, size_t count);

/* Startup packet: protocol (196608 is 3.0), then names and values up to NULL. */
struct packet *put_startup(struct packet *packet, uint32_t protocol, ...);
enum { PROTOCOL_3_0 = 196608, SSL_REQUEST_CODE = 80877103, GSSENC_REQUEST_CODE = 80877104 };

struct packet *put_query(struct packet *packet, const char *sql);
struct packet *put_parse(struct packet *packet, const char *name, const char *sql);
/* One text parameter, or none for NULL. */
struct packet *put_bind(struct packet *packet, const char *portal, const char *statement,
                        const char *parameter);
struct packet *put_describe(struct packet *packet, char kind, const char *name);
struct packet *put_execute(struct packet *packet, const char *portal, uint32_t rows);
struct packet *put_close(struct packet *packet, char kind, const char *name);
struct packet *put_sync(struct packet *packet);
struct packet *put_flush(struct packet *packet);
/* Parse, Bind, Describe portal, Execute of the unnamed statement; no Sync. */
struct packet *put_extended(struct packet *packet, const char *sql, const char *parameter);
struct packet *put_copy_data(struct packet *packet, const char *text);
struct packet *put_copy_done(struct packet *packet);
struct packet *put_copy_fail(struct packet *packet, const char *message);
/* Function call 'F' with one int4 argument in text form. */
struct packet *put_function_call(struct packet *packet, uint32_t oid, const char *argument);
struct packet *put_terminate(struct packet *packet);

struct message {
    char type; /* '\0': the connection has ended */
    size_t size;
    const unsigned char *payload; /* until the next message is read */
};

struct client {
    int fd;
    double patience; /* seconds that one message may take, before slow_factor */
    bool reset;      /* it ended by RST */
    bool torn;       /* an end within a message is an end like any other, not a failure */
    uint32_t backend_pid;
    unsigned char backend_key[256];
    size_t backend_key_size;
    unsigned char *buffer;
    size_t start, end, capacity;
};

/* Opens a connection: to 127.0.0.1, to an address, or to a Unix socket's directory (with '/'). */
void client_open(struct client *client, const struct sluice *sluice);
void client_open_to(struct client *client, const char *where, uint16_t port);

/* client_open and login up to ReadyForQuery; answers a cleartext question with the user's name. */
void client_login(struct client *client, const struct sluice *sluice, const char *user,
                  const char *database);

void client_close(struct client *client);
void client_abort(struct client *client); /* by RST */

/* Sends all of the packet and frees it; sending to a connection that has ended is not an error. */
void client_send(struct client *client, struct packet *packet);
/* In pieces of so many bytes, each in a segment of its own. */
void client_send_pieces(struct client *client, struct packet *packet, size_t piece);
/* In two parts. The other side has had time to see the first alone. */
void client_send_split(struct client *client, struct packet *packet, size_t first);

struct message client_read(struct client *client);

/* The next message as text; all up to ReadyForQuery or the end; the same several times. Messages
 * are joined by a space. */
char *client_message(struct client *client);
char *client_answer(struct client *client);
char *client_answers(struct client *client, unsigned times);

/* A statement that lasts long and describes no row before it ends. */
#define SQL_SLEEP "DO 'BEGIN PERFORM pg_sleep(600); END'"

/* send and answer at once: a simple query. */
char *client_query(struct client *client, const char *sql);

/* Reads on until ReadyForQuery without keeping anything; bytes of payload seen. */
uint64_t client_drain(struct client *client);

/* True if nothing arrives within so many (lengthened) seconds. */
bool client_silent(struct client *client, double seconds);

/* A CancelRequest for this client. */
struct packet *put_cancel(struct packet *packet, const struct client *client);

/* Opens a connection of its own, sends a CancelRequest for this client, waits for its end. */
void client_cancel(const struct client *client, const struct sluice *sluice);

#endif
