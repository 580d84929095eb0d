/* console: a client of the SQL console, by the simple and by the extended protocol. Served on the
 * main thread; what has to be asked of the workers is awaited without holding up anybody else. */
#ifndef SLUICE_ADMIN_CONSOLE_H
#define SLUICE_ADMIN_CONSOLE_H

#include "command.h"
#include "sluice/proxy/console_client.h"

/* Tools decide by these which columns they may expect. */
#define CONSOLE_SERVER_VERSION "1.25.2/bouncer"
#define CONSOLE_VERSION "PgBouncer 1.25.2 (Sluice " SLUICE_VERSION ")"

enum console_state {
    CONSOLE_IDLE,    /* reads the next message */
    CONSOLE_SURVEYS, /* workers are being asked for the rows of a SHOW */
    CONSOLE_AWAITS,  /* a command has to become true */
    CONSOLE_STATE_COUNT
};

struct prepared;

struct console {
    struct list_node node; /* of admin->consoles */
    struct admin *admin;
    struct console_client *client;
    enum console_state state;
    struct statement statement; /* that is being carried out */
    bool extended;              /* it came by Execute */
    bool skip_until_sync;
    uint16_t formats[SHEET_COLUMNS_MAX]; /* of its columns */
    struct prepared *statements, *portals;
    struct survey *survey; /* under way */
    /* CONSOLE_AWAITS: looks whether it has come true. */
    enum outcome (*look)(struct console *console, const struct survey *survey,
                         struct pool_failure *failure);
    struct timer timer; /* looks again then */
    uint64_t request_us;
    uint32_t process_id, secret; /* its cancel key */
};

/* Takes the client over and greets it. */
void console_new(struct admin *admin, struct console_client *client);

/* Closes and frees. */
void console_close(struct console *console, const char *reason);

/* The same, after telling the client. */
void console_end(struct console *console, const char *sqlstate, const char *reason);

/* For a command: it is done when look() says so; it is asked with a new survey, again and again. */
void console_wait(struct console *console, unsigned survey,
                  enum outcome (*look)(struct console *console, const struct survey *survey,
                                       struct pool_failure *failure));

/* console_answers.c: carries out console->statement and answers; goes on in a later turn when
 * something has to be awaited. */
void console_carry_out(struct console *console);
void console_describe(struct console *console, const struct statement *statement,
                      const uint16_t *formats);
void console_fail(struct console *console, const struct pool_failure *failure);
void console_ready_for_query(struct console *console);

/* Gives up what it awaits, undoing a PAUSE that has not come true yet. */
void console_cancel(struct console *console);
void control_cancel(struct console *console);

/* Goes on with what the client has sent. False: it is closed. */
bool console_run(struct console *console);

#endif
