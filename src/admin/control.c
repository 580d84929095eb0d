/* The commands of the console. Words and messages are PgBouncer's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "console.h"
#include "sluice/base/log.h"
#include "sluice/proxy/orders.h"
#include "state.h"

/* What the argument names: a database or a line of [redis]. False with the failure: there is none,
 * or it is the console's own. */
static bool control_database(const struct console *console, const char *name, const char *verb,
                             struct pool_failure *failure)
{
    if (strcmp(name, "pgbouncer") == 0) {
        pool_failure_set(failure, "55000", "cannot %s admin db: %s", verb, name);
        return false;
    }
    if (!conf_find_database(admin_conf(console->admin), name) &&
        !conf_find_redis(admin_conf(console->admin), name)) {
        pool_failure_set(failure, "3D000", "no such database: %s", name);
        return false;
    }
    return true;
}

static struct registry *registry_of(const struct console *console)
{
    return &console->admin->host.process->registry;
}

static bool database_paused(const struct console *console, const char *name)
{
    struct usage *usage = registry_database(registry_of(console), name);
    bool paused = atomic_load(&usage->paused);

    registry_usage_drop(registry_of(console), usage);
    return paused;
}

/* Nothing may be open any more; name "" means all. The registry counts servers that are on their
 * way between workers too. */
static bool servers_gone(const struct console *console, const char *name)
{
    return registry_servers(registry_of(console), name) == 0;
}

/* PAUSE is over when it has come true, or when somebody has resumed meanwhile. */
static enum outcome look_paused(struct console *console, const struct survey *survey,
                                struct pool_failure *failure)
{
    const char *database = console->statement.argument;
    bool paused = database[0] ? database_paused(console, database) : console->admin->paused;

    return !paused || servers_gone(console, database) ? OUTCOME_DONE : OUTCOME_WAITS;
}

static bool already_paused(const struct console *console, struct pool_failure *failure)
{
    if (!console->admin->paused && !console->admin->suspended)
        return false;
    pool_failure_set(failure, "55000", "already suspended/paused");
    return true;
}

static enum outcome run_pause(struct console *console, const struct statement *statement,
                              struct pool_failure *failure)
{
    struct admin *admin = console->admin;

    if (already_paused(console, failure))
        return OUTCOME_FAILED;
    if (statement->argument[0]) {
        if (!control_database(console, statement->argument, "pause", failure))
            return OUTCOME_FAILED;
        workers_pause_named(admin->host.process, statement->argument, true);
    } else {
        admin->host.pause(admin->host.owner, true);
    }
    console_wait(console, SURVEY_POOLS, look_paused);
    return OUTCOME_WAITS;
}

void admin_resume(struct admin *admin)
{
    if (admin->suspended) {
        admin->suspended = false;
        admin->suspender = NULL;
        admin->host.suspend(admin->host.owner, false);
    }
    if (admin->paused)
        admin->host.pause(admin->host.owner, false);
}

static enum outcome run_resume(struct console *console, const struct statement *statement,
                               struct pool_failure *failure)
{
    struct admin *admin = console->admin;
    const char *name = statement->argument;

    if (!name[0]) {
        if (admin->ending) {
            pool_failure_set(failure, "55000", "pooler is shutting down");
            return OUTCOME_FAILED;
        }
        if (!admin->paused && !admin->suspended) {
            pool_failure_set(failure, "55000", "pooler is not paused/suspended");
            return OUTCOME_FAILED;
        }
        admin_resume(admin);
        return OUTCOME_DONE;
    }
    if (!control_database(console, name, "resume", failure))
        return OUTCOME_FAILED;
    if (!database_paused(console, name)) {
        pool_failure_set(failure, "55000", "database %s is not paused", name);
        return OUTCOME_FAILED;
    }
    workers_pause_named(admin->host.process, name, false);
    return OUTCOME_DONE;
}

/* All transactions have to end within suspend_timeout; else everything goes on as before. */
static enum outcome look_suspended(struct console *console, const struct survey *survey,
                                   struct pool_failure *failure)
{
    struct admin *admin = console->admin;
    uint64_t limit_us = admin_conf(admin)->suspend_timeout_us;

    if (!admin->suspended || servers_gone(console, ""))
        return OUTCOME_DONE;
    if (!limit_us || loop_now_us(admin->host.loop) < console->request_us + limit_us)
        return OUTCOME_WAITS;
    admin_resume(admin);
    pool_failure_set(failure, "55000",
                     "transactions did not end in time (suspend_timeout), resuming");
    return OUTCOME_FAILED;
}

static enum outcome run_suspend(struct console *console, const struct statement *statement,
                                struct pool_failure *failure)
{
    struct admin *admin = console->admin;

    if (already_paused(console, failure))
        return OUTCOME_FAILED;
    admin->suspended = true;
    admin->suspender = console;
    admin->host.suspend(admin->host.owner, true);
    console_wait(console, SURVEY_POOLS, look_suspended);
    return OUTCOME_WAITS;
}

void control_cancel(struct console *console)
{
    const char *database = console->statement.argument;

    if (console->look == look_suspended)
        admin_resume(console->admin);
    if (console->look != look_paused)
        return;
    if (!database[0])
        admin_resume(console->admin);
    else
        workers_pause_named(console->admin->host.process, database, false);
}

static enum outcome disable(const struct console *console, const struct statement *statement,
                            bool disabled, struct pool_failure *failure)
{
    const char *name = statement->argument;

    if (!name[0]) {
        pool_failure_set(failure, "42601", "a database is required");
        return OUTCOME_FAILED;
    }
    if (!control_database(console, name, disabled ? "disable" : "enable", failure))
        return OUTCOME_FAILED;
    workers_disable(console->admin->host.process, name, disabled);
    return OUTCOME_DONE;
}

static enum outcome run_disable(struct console *console, const struct statement *statement,
                                struct pool_failure *failure)
{
    return disable(console, statement, true, failure);
}

static enum outcome run_enable(struct console *console, const struct statement *statement,
                               struct pool_failure *failure)
{
    return disable(console, statement, false, failure);
}

/* KILL leaves the databases paused: new clients wait until RESUME. */
static enum outcome look_killed(struct console *console, const struct survey *survey,
                                struct pool_failure *failure)
{
    return OUTCOME_DONE;
}

static enum outcome run_kill(struct console *console, const struct statement *statement,
                             struct pool_failure *failure)
{
    struct admin *admin = console->admin;
    const char *name = statement->argument;

    if (already_paused(console, failure) ||
        (name[0] && !control_database(console, name, "kill", failure)))
        return OUTCOME_FAILED;
    if (name[0])
        workers_pause_named(admin->host.process, name, true);
    else
        admin->host.pause(admin->host.owner, true);
    workers_kill(admin->host.process, name[0] ? name : NULL);
    console_wait(console, SURVEY_POOLS, look_killed);
    return OUTCOME_WAITS;
}

static bool peers_have(const struct survey_peer *peers, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (peers[i].id == id)
            return true;
    return false;
}

static enum outcome look_kill_client(struct console *console, const struct survey *survey,
                                     struct pool_failure *failure)
{
    uint64_t id = strtoull(console->statement.argument, NULL, 0);

    LIST_EACH_SAFE (&console->admin->consoles, node, next) {
        struct console *other = container_of(node, struct console, node);

        if (other->client->id != id)
            continue;
        if (other == console) {
            pool_failure_set(failure, "55000", "the client is the one that asks");
            return OUTCOME_FAILED;
        }
        console_end(other, "57P01", "admin forced disconnect");
        return OUTCOME_DONE;
    }
    for (unsigned i = 0; i < survey->part_count; i++) {
        const struct survey_part *part = &survey->parts[i];

        if (!peers_have(part->clients, part->client_count, id) &&
            !peers_have(part->redis_clients, part->redis_client_count, id))
            continue;
        workers_kill_client(console->admin->host.process, id);
        return OUTCOME_DONE;
    }
    pool_failure_set(failure, "55000", "client not found");
    return OUTCOME_FAILED;
}

/* The id of SHOW CLIENTS or REDIS_CLIENTS; its ptr (0x...) is the same number. */
static enum outcome run_kill_client(struct console *console, const struct statement *statement,
                                    struct pool_failure *failure)
{
    const char *id = statement->argument;
    char *end;

    if (!id[0] || id[0] == '-' || strtoull(id, &end, 0) == 0 || *end) {
        pool_failure_set(failure, "22023", "invalid client pointer supplied");
        return OUTCOME_FAILED;
    }
    console_wait(console, SURVEY_CLIENTS | SURVEY_REDIS_CLIENTS, look_kill_client);
    return OUTCOME_WAITS;
}

static enum outcome run_reconnect(struct console *console, const struct statement *statement,
                                  struct pool_failure *failure)
{
    const char *name = statement->argument;

    if (name[0] && !control_database(console, name, "reconnect", failure))
        return OUTCOME_FAILED;
    workers_reconnect(console->admin->host.process, name[0] ? name : NULL);
    return OUTCOME_DONE;
}

/* True while one of them has a server that is to be closed. As with servers_gone(), of all only
 * those count that are not kept for long. */
static bool pools_closing(const struct survey_pool *pools, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (pools[i].close_needed > 0 &&
            (name[0] ? strcmp(pools[i].database, name) == 0 : !pools[i].apart))
            return true;
    return false;
}

static enum outcome look_closed(struct console *console, const struct survey *survey,
                                struct pool_failure *failure)
{
    const char *name = console->statement.argument;

    for (unsigned i = 0; i < survey->part_count; i++) {
        const struct survey_part *part = &survey->parts[i];

        if (pools_closing(part->pools, part->pool_count, name) ||
            pools_closing(part->redis_pools, part->redis_pool_count, name))
            return OUTCOME_WAITS;
    }
    return OUTCOME_DONE;
}

static enum outcome run_wait_close(struct console *console, const struct statement *statement,
                                   struct pool_failure *failure)
{
    const char *name = statement->argument;

    if (name[0] && !control_database(console, name, "wait in", failure))
        return OUTCOME_FAILED;
    console_wait(console, SURVEY_POOLS, look_closed);
    return OUTCOME_WAITS;
}

static enum outcome run_reload(struct console *console, const struct statement *statement,
                               struct pool_failure *failure)
{
    struct admin *admin = console->admin;

    if (admin->host.reload(admin->host.owner))
        return OUTCOME_DONE;
    pool_failure_set(failure, "F0000", "RELOAD failed, see logs for additional details");
    return OUTCOME_FAILED;
}

/* Drivers set these when they connect; the console has no use for them. */
static bool of_session(const char *key)
{
    static const char *const names[] = {
        "application_name",   "client_encoding", "client_min_messages",         "datestyle",
        "extra_float_digits", "intervalstyle",   "standard_conforming_strings", "timezone",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(key, names[i]) == 0)
            return true;
    return false;
}

static enum outcome run_set(struct console *console, const struct statement *statement,
                            struct pool_failure *failure)
{
    struct admin *admin = console->admin;
    struct conf_report report;
    struct conf *conf;
    bool done;

    conf_report_init(&report);
    conf = conf_with(admin_conf(admin), statement->argument, statement->value, &report);
    done = conf && admin->host.configure(admin->host.owner, conf, &report);
    if (!done) {
        pool_failure_set(failure, "22023", "SET failed");
        if (report.count > 0)
            snprintf(failure->detail, sizeof(failure->detail), "%s", report.lines[0].text);
    }
    conf_report_fini(&report);
    return done ? OUTCOME_DONE : OUTCOME_FAILED;
}

bool control_is_session_set(const struct statement *statement)
{
    return statement->kind == STATEMENT_COMMAND && statement->command->run == run_set &&
           of_session(statement->argument);
}

static enum outcome run_shutdown(struct console *console, const struct statement *statement,
                                 struct pool_failure *failure)
{
    struct admin *admin = console->admin;
    const char *mode = statement->argument;
    enum admin_ending ending = ADMIN_END_NOW;

    if (strcasecmp(mode, "WAIT_FOR_CLIENTS") == 0) {
        ending = ADMIN_END_AFTER_CLIENTS;
    } else if (strcasecmp(mode, "WAIT_FOR_SERVERS") == 0) {
        ending = ADMIN_END_AFTER_SERVERS;
    } else if (mode[0]) {
        pool_failure_set(failure, "42601", "invalid command 'SHUTDOWN %.400s', use SHOW HELP;",
                         mode);
        return OUTCOME_FAILED;
    }
    admin->ending = true;
    admin->host.end(admin->host.owner, ending);
    return ending == ADMIN_END_NOW ? OUTCOME_SILENT : OUTCOME_DONE;
}

const struct command commands[] = {
    {"SET", ARGUMENT_SETTING, "SET key = arg", run_set},
    {"RELOAD", ARGUMENT_NONE, "RELOAD", run_reload},
    {"PAUSE", ARGUMENT_OPTIONAL, "PAUSE [<db>]", run_pause},
    {"RESUME", ARGUMENT_OPTIONAL, "RESUME [<db>]", run_resume},
    {"DISABLE", ARGUMENT_OPTIONAL, "DISABLE <db>", run_disable},
    {"ENABLE", ARGUMENT_OPTIONAL, "ENABLE <db>", run_enable},
    {"RECONNECT", ARGUMENT_OPTIONAL, "RECONNECT [<db>]", run_reconnect},
    {"KILL", ARGUMENT_OPTIONAL, "KILL [<db>]", run_kill},
    {"KILL_CLIENT", ARGUMENT_OPTIONAL, "KILL_CLIENT <client_id>", run_kill_client},
    {"SUSPEND", ARGUMENT_NONE, "SUSPEND", run_suspend},
    {"SHUTDOWN", ARGUMENT_OPTIONAL, "SHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]", run_shutdown},
    {"WAIT_CLOSE", ARGUMENT_OPTIONAL, "WAIT_CLOSE [<db>]", run_wait_close},
    {NULL, ARGUMENT_NONE, NULL, NULL},
};
