/* How the console answers: rows, tags, errors; at once or after the workers have been asked. */
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "sluice/base/log.h"
#include "sluice/wire/pg.h"
#include "state.h"

#define ERROR_BYTES 4096
#define HELP_BYTES 2048
/* How soon what is awaited is looked at again. */
#define LOOK_US (20 * US_PER_MS)

void console_ready_for_query(struct console *console)
{
    uint8_t bytes[8];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_write_ready(&writer, 'I');
    stream_queue(&console->client->stream, bytes, writer.length);
}

void console_fail(struct console *console, const struct pool_failure *failure)
{
    uint8_t bytes[ERROR_BYTES];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_write_error(&writer, PG_ERROR, "ERROR", failure->sqlstate, failure->message,
                   failure->detail[0] ? failure->detail : NULL,
                   failure->hint[0] ? failure->hint : NULL);
    stream_queue(&console->client->stream, bytes, writer.length);
    console->state = CONSOLE_IDLE;
    if (console->extended)
        console->skip_until_sync = true;
    else
        console_ready_for_query(console);
}

static void console_complete(struct console *console, const char *tag)
{
    uint8_t bytes[64];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_begin(&writer, PG_COMMAND_COMPLETE);
    pg_write_text(&writer, tag);
    pg_end(&writer);
    stream_queue(&console->client->stream, bytes, writer.length);
    console->state = CONSOLE_IDLE;
    if (!console->extended)
        console_ready_for_query(console);
}

static void console_row(struct sheet *sheet)
{
    struct console *console = sheet->owner;

    sheet_write_row(sheet, &console->client->stream, console->formats);
}

static void value_columns(struct sheet *sheet, const struct statement *statement)
{
    sheet_text(sheet, statement->name, statement->constant);
}

static bool statement_has_rows(const struct statement *statement)
{
    return statement->kind == STATEMENT_SHOW || statement->kind == STATEMENT_SHOW_VALUE;
}

void console_describe(struct console *console, const struct statement *statement,
                      const uint16_t *formats)
{
    static const uint8_t no_data[] = {PG_NO_DATA, 0, 0, 0, 4};
    struct sheet sheet = {.owner = console};

    if (!statement_has_rows(statement)) {
        stream_queue(&console->client->stream, no_data, sizeof(no_data));
        return;
    }
    if (statement->kind == STATEMENT_SHOW)
        show_describe(statement->show, &sheet);
    else
        value_columns(&sheet, statement);
    sheet_write_description(&sheet, &console->client->stream, formats);
}

static void console_show(struct console *console, const struct survey *survey)
{
    const struct statement *statement = &console->statement;
    struct show_source source = {.admin = console->admin, .survey = survey};
    struct sheet sheet = {.row = console_row, .owner = console};

    if (!console->extended)
        console_describe(console, statement, NULL);
    if (statement->kind == STATEMENT_SHOW) {
        statement->show->rows(&sheet, &source);
    } else {
        value_columns(&sheet, statement);
        sheet_end(&sheet);
    }
    console_complete(console, "SHOW");
}

static void console_help(struct console *console)
{
    char detail[HELP_BYTES] = "\n";
    size_t length = 1;
    uint8_t bytes[ERROR_BYTES];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    length += (size_t)snprintf(detail + length, sizeof(detail) - length, "\tSHOW HELP");
    for (const struct show *const *show = shows; *show && length < sizeof(detail); show++) {
        length += (size_t)snprintf(detail + length, sizeof(detail) - length, "|");
        for (const char *at = (*show)->name; *at && length + 2 < sizeof(detail); at++)
            detail[length++] = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        detail[length] = '\0';
    }
    for (const struct command *command = commands; command->name && length < sizeof(detail);
         command++)
        length +=
            (size_t)snprintf(detail + length, sizeof(detail) - length, "\n\t%s", command->usage);
    pg_write_error(&writer, PG_NOTICE, "NOTICE", "00000", "Console usage", detail, NULL);
    stream_queue(&console->client->stream, bytes, writer.length);
    console_complete(console, "SHOW");
}

static void console_outcome(struct console *console, enum outcome outcome,
                            const struct pool_failure *failure)
{
    switch (outcome) {
    case OUTCOME_DONE:
        console_complete(console, console->statement.command->name);
        break;
    case OUTCOME_FAILED:
        console_fail(console, failure);
        break;
    case OUTCOME_WAITS:
        ensure(console->state == CONSOLE_AWAITS);
        break;
    case OUTCOME_SILENT:
        console->state = CONSOLE_AWAITS; /* to the end */
        console->look = NULL;
        break;
    }
}

/* The workers have answered: goes on with the statement, and with what the client sent behind it.
 */
static void console_surveyed(struct survey *survey)
{
    struct console *console = survey->asker;
    struct pool_failure failure;

    console->survey = NULL;
    if (console->state == CONSOLE_SURVEYS) {
        console_show(console, survey);
    } else {
        enum outcome outcome = console->look(console, survey, &failure);

        if (outcome == OUTCOME_WAITS)
            timer_set(console->admin->host.loop, &console->timer,
                      loop_now_us(console->admin->host.loop) + LOOK_US);
        else
            console_outcome(console, outcome, &failure);
    }
    survey_free(survey);
    if (console->state == CONSOLE_IDLE)
        console_run(console);
}

static void console_look_again(struct timer *timer)
{
    struct console *console = container_of(timer, struct console, timer);

    console->survey =
        survey_take(console->admin->host.process, SURVEY_POOLS, console_surveyed, console);
}

void console_wait(struct console *console, unsigned survey,
                  enum outcome (*look)(struct console *console, const struct survey *survey,
                                       struct pool_failure *failure))
{
    console->state = CONSOLE_AWAITS;
    console->look = look;
    console->timer.expired = console_look_again;
    console->survey = survey_take(console->admin->host.process, survey, console_surveyed, console);
}

void console_cancel(struct console *console)
{
    struct pool_failure failure;

    if (console->state != CONSOLE_AWAITS || !console->look)
        return;
    control_cancel(console);
    timer_cancel(console->admin->host.loop, &console->timer);
    if (console->survey)
        console->survey->asker = NULL;
    console->survey = NULL;
    pool_failure_set(&failure, "57014", "canceling statement due to user request");
    console_fail(console, &failure);
    console_run(console);
}

void console_carry_out(struct console *console)
{
    const struct statement *statement = &console->statement;
    struct counters_values *counters = &console->admin->commands;
    struct pool_failure failure;

    console->request_us = loop_now_us(console->admin->host.loop);
    counters->values[COUNTER_query_count]++;
    counters->values[COUNTER_xact_count]++;
    if (statement->kind == STATEMENT_HELP) {
        console_help(console);
        return;
    }
    if (control_is_session_set(statement)) {
        console_complete(console, "SET");
        return;
    }
    if (!console->client->admin &&
        (statement->kind == STATEMENT_COMMAND ||
         (statement->kind == STATEMENT_SHOW && statement->show->admin))) {
        pool_failure_set(&failure, "42501", "admin access needed");
        console_fail(console, &failure);
        return;
    }
    if (statement->kind == STATEMENT_COMMAND) {
        log_info("%s %s%scommand issued by the console's user \"%s\"", statement->command->name,
                 statement->argument, statement->argument[0] ? " " : "", console->client->user);
        console_outcome(console, statement->command->run(console, statement, &failure), &failure);
    } else if (statement->kind == STATEMENT_SHOW && statement->show->survey) {
        console->state = CONSOLE_SURVEYS;
        console->survey = survey_take(console->admin->host.process, statement->show->survey,
                                      console_surveyed, console);
    } else {
        console_show(console, NULL);
    }
}
