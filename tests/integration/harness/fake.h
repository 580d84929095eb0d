/* fake: a PostgreSQL server that misbehaves on purpose. It listens on a free TCP port of 127.0.0.1;
 * each connection is served by the test's script in a thread of its own, with the blocking calls
 * below. A script returns when it is done or when a call says that the peer has gone; the
 * connection is then closed. Scripts must not use Check's assertions: they are not the test's
 * thread; they count what they saw in `counter`. */
#ifndef TESTS_HARNESS_FAKE_H
#define TESTS_HARNESS_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake;
typedef void (*fake_script)(struct fake *fake, int fd);

struct fake {
    uint16_t port;
    int listener;
    fake_script script;
    pthread_t thread;
    atomic_int accepted; /* connections so far */
    atomic_int open;     /* connections now */
    atomic_int counter;  /* the script's own */
    const void *argument;
};

void fake_start(struct fake *fake, fake_script script, const void *argument);

/* Stops listening: later connection attempts are refused; the open ones go on. */
void fake_stop(struct fake *fake);

/* "host=127.0.0.1 port=… dbname=fake" */
char *fake_address(const struct fake *fake);

/* Reads the startup packet, answering SSLRequest and GSSENCRequest with 'N' and taking a
 * CancelRequest for the end. */
bool fake_read_startup(int fd);

/* Reads one message; the payload is thrown away beyond `size` bytes and ended by a NUL. */
bool fake_read(int fd, char *type, char *payload, size_t size);

bool fake_write(int fd, const void *bytes, size_t count);
bool fake_write_message(int fd, char type, const void *payload, size_t count);

/* Startup, AuthenticationOk, a few ParameterStatus, BackendKeyData, ReadyForQuery. */
bool fake_login(int fd);

/* Answers every message until the peer goes: a Query with one row of one column "fake". */
void fake_serve(struct fake *fake, int fd);

/* Waits until the peer closes. */
void fake_await_close(int fd);

/* Closes by RST instead of FIN. */
void fake_reset(int fd);

#endif
