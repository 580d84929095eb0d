/* command: what can be said to the console: SHOW of a table, or one of the commands, a const struct
 * each. Parsing is pure; the functions run on the main thread. */
#ifndef SLUICE_ADMIN_COMMAND_H
#define SLUICE_ADMIN_COMMAND_H

#include "show.h"
#include "sluice/pool/pool.h"

#define COMMAND_TEXT_BYTES_MAX 65536u

struct console;
struct statement;

enum outcome {
    OUTCOME_DONE,
    OUTCOME_FAILED, /* the failure says why */
    OUTCOME_WAITS,  /* console_wait() was called */
    OUTCOME_SILENT, /* no answer: the process ends */
};

enum argument { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_SETTING };

struct command {
    const char *name; /* in capitals: the tag of its answer too */
    enum argument argument;
    const char *usage; /* a line of SHOW HELP */
    enum outcome (*run)(struct console *console, const struct statement *statement,
                        struct pool_failure *failure);
};

/* All, ended by one without a name (control.c). All are for admin_users only. */
extern const struct command commands[];

enum statement_kind {
    STATEMENT_EMPTY,
    STATEMENT_SHOW,
    STATEMENT_SHOW_VALUE, /* a parameter of the session: what drivers ask */
    STATEMENT_HELP,
    STATEMENT_COMMAND,
};

struct statement {
    enum statement_kind kind;
    const struct show *show;
    const struct command *command;
    const char *name, *constant; /* SHOW_VALUE */
    char argument[256];          /* a database, a client's id, a setting; "" = none */
    char value[4096];            /* of SET */
};

/* SET of a parameter of the session, which everybody may do: it has no effect here. */
bool control_is_session_set(const struct statement *statement);

/* Reads one statement; false with the failure when it is none. */
bool statement_parse(struct statement *statement, const char *text, struct pool_failure *failure);

#endif
