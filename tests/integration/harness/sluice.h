/* sluice: the pooler under test, as a child of the test. Its ini file is made of what a test says
 * and of defaults that make it reachable; what it prints is its log. SLUICE_BINARY names another
 * binary than the one that was built. It dies with the test, however that ends. */
#ifndef TESTS_HARNESS_SLUICE_H
#define TESTS_HARNESS_SLUICE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Parts of the ini file, lines ending in '\n'. "{server}" in databases becomes the address of
 * `postgres` (host, port and this test's database). */
struct sluice_options {
    struct postgres *postgres; /* NULL: the shared one */
    const char *databases;     /* NULL: "p = {server}\n" */
    const char *settings;      /* of [pgbouncer]; they win over the defaults */
    const char *users;         /* of [users] */
    const char *redis;         /* of [redis] */
    const char *userlist;      /* auth_file; NULL: every role with its plain password */
};

struct sluice {
    pid_t pid;
    uint16_t port;   /* on 127.0.0.1 and on the Unix socket */
    char *directory; /* the Unix socket's, and of the files below */
    char *ini, *log; /* paths */
    struct postgres *postgres;
    int notify; /* receives what it tells systemd */
    bool ended;
};

/* Starts it and waits until it says that it is ready.
 *     sluice_start(&sluice, .settings = "pool_mode = transaction\n");
 * Default settings: auth_type = trust, one TCP address, one Unix socket, no pid file. */
#define sluice_start(sluice, ...) sluice_start_with(sluice, &(struct sluice_options){__VA_ARGS__})
void sluice_start_with(struct sluice *sluice, const struct sluice_options *options);

/* Runs the binary with other arguments (NULL-terminated, without its name) until it ends; its exit
 * status. What it printed is in *output. */
int sluice_run(char *const arguments[], char **output);

/* Starts it like sluice_start(), with this very ini file, which names a listen_port that is
 * sluice->port and a unix_socket_dir that is sluice->directory. */
void sluice_prepare(struct sluice *sluice);
void sluice_launch(struct sluice *sluice, const char *ini);

/* Writes a new ini file for the next reload; sends nothing. */
#define sluice_rewrite(sluice, ...) \
    sluice_rewrite_with(sluice, &(struct sluice_options){__VA_ARGS__})
void sluice_rewrite_with(struct sluice *sluice, const struct sluice_options *options);

/* Sends SIGHUP and waits until the log tells the outcome: true if the new settings are in use. */
bool sluice_reload(struct sluice *sluice);

void sluice_signal(const struct sluice *sluice, int number);

/* Has it stand still, by SIGSTOP; it does when this returns. SIGCONT has it go on. */
void sluice_pause(const struct sluice *sluice);

/* The exit status, once it has ended; fails the test if it was killed by a signal, reported a
 * sanitizer's finding, or lives on after so many seconds. */
int sluice_await_end(struct sluice *sluice, double seconds);

/* Ends it at once (SIGQUIT; SIGTERM for PgBouncer) and checks the end as above. The last line of
 * every test. */
void sluice_stop(struct sluice *sluice);

/* How often the log holds this text. */
size_t sluice_log_count(const struct sluice *sluice, const char *wanted);

/* Waits until the log holds the text. */
void sluice_await_log(const struct sluice *sluice, const char *wanted);

/* Resident kilobytes now, and open file descriptors. */
long sluice_resident_kb(const struct sluice *sluice);
long sluice_descriptors(const struct sluice *sluice);

/* A connection by libpq; `options` come after host and port ("user=user1 dbname=p"). The password
 * is the user's name unless options say otherwise. It may have failed: see PQstatus. */
PGconn *sluice_try(const struct sluice *sluice, const char *options);

/* The same; fails the test if there is no connection. */
PGconn *sluice_connect(const struct sluice *sluice, const char *options);

/* Why such a login is refused: "SQLSTATE: message"; fails the test if it is not. */
char *sluice_refusal(const struct sluice *sluice, const char *options);

/* First value of a statement; fails the test on an error. */
char *sql_value(PGconn *connection, const char *sql);

/* Runs a statement that must succeed. */
void sql_do(PGconn *connection, const char *sql);

/* Runs a statement that must fail; "SQLSTATE message" of its error. */
char *sql_error(PGconn *connection, const char *sql);

#endif
