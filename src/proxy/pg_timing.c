#include "pg_timing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_named.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/batch/mask.h"
#include "sluice/wire/pg.h"
#include "statement_stats.h"

/* The server's, when anybody wants it; else NULL. */
static struct pg_timing *timing_of(const struct pg_client *client)
{
    return client->server->timing;
}

static void timing_clear(struct pg_timing *timing)
{
    timing->begun = false;
    timing->waited_us = timing->rows = timing->errors = timing->commands = 0;
    timing->text_bytes = timing->bind_bytes = 0;
}

static void timing_text(struct pg_timing *timing, const void *text, size_t length)
{
    timing->text_bytes = (uint16_t)(length < sizeof(timing->text) ? length : sizeof(timing->text));
    memcpy(timing->text, text, timing->text_bytes);
}

/* Up to a NUL, or as much as there is. (libpg_query brings a strnlen of its own, which is slow.) */
static void timing_string(struct pg_timing *timing, const uint8_t *text, size_t have)
{
    const uint8_t *end =
        memchr(text, '\0', have < sizeof(timing->text) ? have : sizeof(timing->text));

    timing_text(timing, text, end ? (size_t)(end - text) : have);
}

/* A Bind tells of its statement by name. */
static void timing_named(struct pg_client *client, struct pg_timing *timing, const uint8_t *body,
                         size_t have)
{
    const uint8_t *name = memchr(body, '\0', have);
    const struct named *named;
    size_t left;

    if (!name)
        return;
    name++;
    left = (size_t)(body + have - name);
    if (!memchr(name, '\0', left))
        return;
    named = client->statements ? named_find(client->statements, (const char *)name) : NULL;
    if (named && named->statement)
        timing_string(timing, named->statement->body, named->statement->body_bytes);
    else if (name[0])
        timing->text_bytes = (uint16_t)snprintf(timing->text, sizeof(timing->text), "EXECUTE %s",
                                                (const char *)name);
    if (timing->text_bytes > sizeof(timing->text))
        timing->text_bytes = sizeof(timing->text);
}

void pg_timing_attach(struct pg_client *client, uint64_t waited_us)
{
    struct pg_server *pg = client->server;

    if (!pg->timing && statement_timings_wanted(client->worker->conf))
        pg->timing = memory_new(sizeof(*pg->timing));
    if (!pg->timing)
        return;
    timing_clear(pg->timing);
    pg->timing->waited_us = waited_us;
}

static void timing_bind(const struct pg_client *client, struct pg_timing *timing,
                        const uint8_t *body, size_t have)
{
    if (timing->bind_bytes > 0 || !client->worker->conf->log_slow_parameters)
        return;
    timing->bind_bytes = (uint16_t)(have < sizeof(timing->bind) ? have : sizeof(timing->bind));
    memcpy(timing->bind, body, timing->bind_bytes);
}

void pg_timing_message(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have)
{
    struct pg_timing *timing = timing_of(client);
    const uint8_t *text;

    if (!timing)
        return;
    if (type == PG_BIND)
        timing_bind(client, timing, body, have);
    if (timing->begun)
        return;
    if (type == PG_QUERY)
        timing_string(timing, body, have);
    else if (type == PG_PARSE && (text = memchr(body, '\0', have)))
        timing_string(timing, text + 1, (size_t)(body + have - text - 1));
    else if (type == PG_BIND)
        timing_named(client, timing, body, have);
    else
        return;
    timing->begun = true;
}

/* "INSERT 0 5": the last number of the tag. */
uint64_t pg_timing_rows(const uint8_t *body, size_t length)
{
    uint64_t rows = 0, unit = 1;

    for (size_t at = length > 0 ? length - 1 : 0; at-- > 0 && body[at] >= '0' && body[at] <= '9';
         unit *= 10)
        rows += (uint64_t)(body[at] - '0') * unit;
    return rows;
}

void pg_timing_command(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct pg_timing *timing = timing_of(client);

    if (!timing)
        return;
    timing->commands++;
    timing->rows += pg_timing_rows(body, length);
}

void pg_timing_error(struct pg_client *client)
{
    if (timing_of(client))
        timing_of(client)->errors++;
}

/* " parameters: $1 = 'x', $2 = NULL, ..." as far as the Bind was kept. */
static void write_parameters(FILE *to, const struct pg_timing *timing)
{
    struct pg_reader reader = pg_reader_of(timing->bind, timing->bind_bytes);
    uint16_t formats, format = 0, count;
    const uint8_t *codes;

    pg_read_text(&reader);
    pg_read_text(&reader);
    formats = pg_read_u16(&reader);
    codes = pg_read_bytes(&reader, 2u * formats);
    count = pg_read_u16(&reader);
    for (unsigned i = 0; i < count && !reader.failed; i++) {
        int32_t length = (int32_t)pg_read_u32(&reader);
        const uint8_t *value = length > 0 ? pg_read_bytes(&reader, (size_t)length) : NULL;

        if (reader.failed)
            break;
        if (formats == 1 || i < formats)
            format = codes[2 * (formats == 1 ? 0 : i) + 1];
        fprintf(to, "%s $%u = ", i ? "," : "; parameters:", i + 1);
        if (length < 0)
            fputs("NULL", to);
        else if (format)
            fprintf(to, "(%d bytes)", length);
        else
            fprintf(to, "'%.*s'", length, value ? (const char *)value : "");
    }
    if (reader.failed)
        fputs(" ...", to);
}

static void timing_log(const struct pg_client *client, const struct pg_timing *timing,
                       uint64_t run_us)
{
    char text[TIMING_TEXT_BYTES + 2], line[TIMING_TEXT_BYTES + TIMING_BIND_BYTES * 2];
    bool parameters = client->worker->conf->log_slow_parameters;
    FILE *to = fmemopen(line, sizeof(line), "w");

    ensure(to);
    if (parameters) {
        memcpy(text, timing->text, timing->text_bytes);
        text[timing->text_bytes] = '\0';
    } else {
        mask_text(timing->text, timing->text_bytes, text, sizeof(text));
    }
    fputs(text[0] ? text : "(a further statement of a pipeline)", to);
    if (timing->text_bytes == sizeof(timing->text))
        fputs(" ...", to);
    if (parameters && timing->bind_bytes > 0)
        write_parameters(to, timing);
    fclose(to);
    line[sizeof(line) - 1] = '\0';
    pg_client_log(client, LOG_LEVEL_INFO, "slow: %.3f ms (wait %.3f ms, run %.3f ms): %s",
                  (double)(timing->waited_us + run_us) / 1e3, (double)timing->waited_us / 1e3,
                  (double)run_us / 1e3, line);
}

/* Sampled, and at most log_slow_rate lines a second of this worker. */
static bool log_allowed(struct statement_timings *timings, const struct conf *conf, uint64_t now_us)
{
    if (conf->log_slow_sample < 100 && arc4random_uniform(100) >= (uint32_t)conf->log_slow_sample)
        return false;
    if (now_us - timings->second_us >= US_PER_S) {
        if (timings->unlogged > 0)
            log_info("%" PRIu64 " more slow statements were not logged (log_slow_rate)",
                     timings->unlogged);
        timings->second_us = now_us;
        timings->logged = timings->unlogged = 0;
    }
    if (timings->logged >= (uint64_t)conf->log_slow_rate) {
        timings->unlogged++;
        return false;
    }
    timings->logged++;
    return true;
}

static void timing_take(struct pg_client *client, const struct pg_timing *timing, uint64_t run_us)
{
    const struct conf *conf = client->worker->conf;
    struct statement_timings *timings = &client->worker->timings;
    struct statement_run run = {
        .database = client->pool->database_name,
        .user = client->pool->user_name,
        .text = timing->text,
        .text_bytes = timing->text_bytes,
        .now_us = loop_now_us(&client->worker->loop),
        .wait_us = timing->waited_us,
        .run_us = run_us,
        .rows = timing->rows,
        .errors = timing->errors,
    };

    if (conf->log_min_duration_statement >= 0 &&
        timing->waited_us + run_us >= (uint64_t)conf->log_min_duration_statement * US_PER_MS &&
        log_allowed(timings, conf, run.now_us))
        timing_log(client, timing, run_us);
    if (timing->text_bytes == 0)
        return;
    if (conf->stats_listen.count > 0 && run_us > timings->slowest_least_us &&
        (run_us >= SLOWEST_SURE_US || run.now_us - timings->slowest_looked_us >= SLOWEST_LOOK_US))
        statement_slowest_take(timings, &run);
    if (conf->statements && timing->commands + timing->errors > 0)
        statement_stats_take(timings, (size_t)conf->statements_max, &run);
}

void pg_timing_end(struct pg_client *client, uint64_t run_us)
{
    struct pg_timing *timing = timing_of(client);

    if (!timing)
        return;
    timing_take(client, timing, run_us);
    timing_clear(timing);
}

void pg_timing_add(struct pg_client *client, const struct pg_timed *timed)
{
    struct pg_timing timing; /* large: only what is used is set */

    timing_clear(&timing);
    timing_text(&timing, timed->text, timed->text_bytes);
    timing.waited_us = timed->waited_us;
    timing.rows = timed->rows;
    timing.errors = timed->failed;
    timing.commands = !timed->failed;
    if (timed->bind)
        timing_bind(client, &timing, timed->bind, timed->bind_bytes);
    timing_take(client, &timing, timed->run_us);
}
