#include "pg_loss.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pg_client.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

/* A statement that ends a transaction is short; a longer one is not looked for. */
#define END_BYTES_MAX 1024u

void pg_loss_ready(struct pg_client *client)
{
    uint8_t bytes[8];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_write_ready(&writer, client->aborted ? 'E' : 'I');
    stream_queue(&client->stream, bytes, writer.length);
}

void pg_loss_refuse(struct pg_client *client, const struct pool_failure *failure)
{
    uint8_t type;

    ensure((client->state == PG_CLIENT_WAITING || client->state == PG_CLIENT_ASKED) &&
           buffer_length(&client->in) > 0);
    if (client->worker->conf->log_pooler_errors)
        pg_client_log(client, LOG_LEVEL_WARNING, "pooler error: %s", failure->message);
    pg_client_move(client, PG_CLIENT_IDLE);
    client->request_us = loop_now_us(&client->worker->loop);
    type = buffer_bytes(&client->in)[0];
    client->ignoring = type == PG_QUERY || type == PG_FUNCTION_CALL ? IGNORE_ONE : IGNORE_TO_SYNC;
    pg_client_tell(client, "ERROR", failure);
    stream_flush(&client->stream);
    pg_client_watch(client);
    client->in_whole = true;
    stream_again(&client->stream);
}

void pg_loss_fail(struct pg_client *client, const struct pool_failure *failure)
{
    if (client->worker->conf->log_pooler_errors)
        pg_client_log(client, LOG_LEVEL_WARNING, "pooler error: %s", failure->message);
    pg_client_move(client, PG_CLIENT_IDLE);
    client->request_us = loop_now_us(&client->worker->loop);
    pg_client_tell(client, "ERROR", failure);
    pg_loss_ready(client);
    stream_flush(&client->stream);
    pg_client_watch(client);
    client->in_whole = buffer_length(&client->in) > 0;
    stream_again(&client->stream);
}

/* Answers everything that the lost server owed. */
static void loss_answer(struct pg_client *client, const struct pool_failure *failure,
                        size_t readies, bool open_tail, bool state_lost)
{
    for (size_t i = 0; i < readies; i++) {
        pg_client_tell(client, "ERROR", failure);
        pg_loss_ready(client);
    }
    if (open_tail) {
        pg_client_tell(client, "ERROR", failure);
        client->ignoring = IGNORE_TO_SYNC;
    }
    if (readies == 0 && !open_tail && state_lost) {
        /* Nothing is owed, so nothing may be said before the client speaks; but a transaction, or a
         * session, must not go on as if it were still there. */
        client->lost = memory_new(sizeof(*client->lost));
        *client->lost = *failure;
    }
    stream_flush(&client->stream);
}

bool pg_loss_server(struct pg_client *client, const struct pool_failure *failure, bool usable)
{
    struct pg_server *pg = client->server;
    bool open_tail;
    size_t readies = pg_pipeline_readies(&pg->pipeline, &open_tail) + pg->owed_ready;
    bool aborted = pg->status != 'I' && !pg->owed_ready;
    bool cut = pg->body_left > 0 && !pg->skip_body; /* the client has half a message */
    bool session = pg_client_keeps_server(client);
    bool copy_both = pg->pipeline.copy_both;

    pg_statements_abandon(client);
    session |= pg_session_leave(client);
    client->collecting = false;
    client->server = NULL;
    pg->owed_ready = false;
    pg->overdue = 0;
    if (client->body_left > 0 && !client->skip_body) {
        client->skip_body = true;
        usable = false;
    }
    if (usable)
        pool_drain(&pg->base);
    else
        server_close(&pg->base, failure->message);
    if (cut) {
        pg_client_close(client, failure->message);
        return false;
    }
    if (copy_both || client->state == PG_CLIENT_WELCOME) {
        pg_client_close_failed(client, failure);
        return false;
    }
    pg_client_move(client, PG_CLIENT_IDLE);
    client->aborted = aborted ? ABORTED : ABORTED_NOT;
    client->request_us = loop_now_us(&client->worker->loop);
    loss_answer(client, failure, readies, open_tail, aborted || session);
    pg_client_watch(client);
    stream_again(&client->stream);
    return true;
}

void pg_loss_tell(struct pg_client *client, uint8_t type)
{
    pg_client_tell(client, "ERROR", client->lost);
    free(client->lost);
    client->lost = NULL;
    client->ignoring = type == PG_QUERY || type == PG_FUNCTION_CALL ? IGNORE_ONE : IGNORE_TO_SYNC;
}

/* --- a transaction that was lost with its server: it is over, but the client has to end it --- */

/* Moves behind blanks and comments, as PostgreSQL's scanner does (comments nest). */
static const char *skip_blanks(const char *text)
{
    for (;;) {
        if (isspace((unsigned char)*text)) {
            text++;
        } else if (text[0] == '-' && text[1] == '-') {
            text += strcspn(text, "\n");
        } else if (text[0] == '/' && text[1] == '*') {
            int depth = 0;

            do {
                if (text[0] == '/' && text[1] == '*') {
                    depth++;
                    text += 2;
                } else if (text[0] == '*' && text[1] == '/') {
                    depth--;
                    text += 2;
                } else if (*text) {
                    text++;
                }
            } while (depth > 0 && *text);
        } else {
            return text;
        }
    }
}

static bool word_is(const char *text, const char *word)
{
    size_t length = strlen(word);

    return strncasecmp(text, word, length) == 0 && !isalnum((unsigned char)text[length]) &&
           text[length] != '_';
}

/* True for ROLLBACK and ABORT of the transaction, and with `commit` for COMMIT and END too, alone
 * in the statement. */
static bool ends_transaction(const char *text, bool commit)
{
    static const char *const ends[] = {"rollback", "abort", "commit", "end"};
    static const char *const noise[] = {"work", "transaction"};

    text = skip_blanks(text);
    for (size_t i = 0; i < (commit ? 4 : 2); i++) {
        if (!word_is(text, ends[i]))
            continue;
        text = skip_blanks(text + strlen(ends[i]));
        for (size_t j = 0; j < sizeof(noise) / sizeof(noise[0]); j++)
            if (word_is(text, noise[j]))
                text = skip_blanks(text + strlen(noise[j]));
        if (*text == ';')
            text = skip_blanks(text + 1);
        return *text == '\0';
    }
    return false;
}

static void aborted_refuse(struct pg_client *client, uint8_t type)
{
    pg_client_tell(client, "ERROR", client->lost ? client->lost : pg_error_row(PG_ERROR_ABORTED));
    free(client->lost);
    client->lost = NULL;
    if (type == PG_QUERY || type == PG_FUNCTION_CALL)
        pg_loss_ready(client);
    else
        client->ignoring = IGNORE_TO_SYNC;
}

static void aborted_answer(struct pg_client *client, uint8_t type, const char *text)
{
    uint8_t bytes[32];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_begin(&writer, type);
    if (text)
        pg_write_text(&writer, text);
    pg_end(&writer);
    stream_queue(&client->stream, bytes, writer.length);
}

static void aborted_end(struct pg_client *client)
{
    client->aborted = ABORTED_NOT;
    free(client->lost);
    client->lost = NULL;
    aborted_answer(client, PG_COMMAND_COMPLETE, "ROLLBACK");
}

/* True when the Query or Parse is the statement that ends the transaction. */
static bool aborted_is_end(const struct pg_client *client, uint8_t type, const uint8_t *body,
                           uint32_t length, bool whole)
{
    struct pg_reader reader = pg_reader_of(body, length);

    if (!whole)
        return false;
    if (type == PG_PARSE)
        pg_read_text(&reader);
    /* A COMMIT may not pass for done before the client has been told of the loss. */
    return ends_transaction(pg_read_text(&reader), !client->lost) && !reader.failed;
}

bool pg_loss_aborted_message(struct pg_client *client, uint8_t type, const uint8_t *body,
                             uint32_t length, bool whole)
{
    if (!whole && length < END_BYTES_MAX)
        return false;
    switch (type) {
    case PG_QUERY:
        if (aborted_is_end(client, type, body, length, whole)) {
            aborted_end(client);
            pg_loss_ready(client);
            return true;
        }
        break;
    case PG_PARSE:
        if (aborted_is_end(client, type, body, length, whole)) {
            client->aborted = ABORTED_ENDING;
            aborted_answer(client, PG_PARSE_COMPLETE, NULL);
            return true;
        }
        break;
    case PG_BIND:
        if (client->aborted == ABORTED_ENDING) {
            aborted_answer(client, PG_BIND_COMPLETE, NULL);
            return true;
        }
        break;
    case PG_DESCRIBE:
        if (client->aborted == ABORTED_ENDING && length > 0) {
            if (body[0] == 'S') {
                static const uint8_t no_parameters[] = {PG_PARAMETER_DESCRIPTION, 0, 0, 0, 6, 0, 0};

                stream_queue(&client->stream, no_parameters, sizeof(no_parameters));
            }
            aborted_answer(client, PG_NO_DATA, NULL);
            return true;
        }
        break;
    case PG_EXECUTE:
        if (client->aborted == ABORTED_ENDING) {
            aborted_end(client);
            return true;
        }
        break;
    case PG_CLOSE:
        aborted_answer(client, PG_CLOSE_COMPLETE, NULL);
        return true;
    default:
        break;
    }
    aborted_refuse(client, type);
    return true;
}
