/* postgres: the PostgreSQL servers behind the pooler under test.
 * One is shared by all test programs (tests/servers; its variables are in the environment); there
 * every test has a database of its own, named after its process, so that counting its backends
 * counts exactly the pooler's servers. A test that kills or restarts a server starts one of its own
 * from the template. The superuser's connection goes straight to the server's Unix socket. */
#ifndef TESTS_HARNESS_POSTGRES_H
#define TESTS_HARNESS_POSTGRES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct postgres {
    char *socket_dir;
    uint16_t port;
    char *database;  /* this test's own, in which postgres_value() and the others look */
    char *directory; /* data of a private server, or NULL */
    pid_t pid;       /* postmaster of a private server, or 0 */
    PGconn *look;    /* the superuser's connection to `database`, opened when first needed */
};

/* The shared server with a fresh database, created on the first call in a test. */
struct postgres *postgres_shared(void);

/* A private server with a fresh database; it dies with the test. */
void postgres_start(struct postgres *postgres);

/* Ends a private server: SIGINT (fast), SIGQUIT (immediate) or SIGKILL (with all its backends). */
void postgres_end(struct postgres *postgres, int how);

/* Starts a private server again, on the same port and data. */
void postgres_again(struct postgres *postgres);

/* "host=127.0.0.1 port=… dbname=…": what a line of [databases] needs to lead here. */
char *postgres_address(const struct postgres *postgres);

/* First column of the first row as text ("" if there is none); fails the test on an error. The
 * statement is a printf format. */
char *postgres_value(struct postgres *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
long postgres_number(struct postgres *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Backends of this test's database, apart from our own; `where` narrows it or is "true". */
long postgres_backends(struct postgres *postgres, const char *where);

/* Waits until postgres_backends() is so many. */
void postgres_await_backends(struct postgres *postgres, long count, const char *where);

/* pg_terminate_backend on all backends of this test's database that match; returns how many. */
long postgres_terminate(struct postgres *postgres, const char *where);

#endif
