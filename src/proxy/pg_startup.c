/* The first messages of a client: its startup packet and its authentication (protocol
 * documentation, "Start-up"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "pg_access.h"
#include "pg_cancels.h"
#include "pg_client.h"
#include "pg_console.h"
#include "pg_encryption.h"
#include "pg_startup.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

#define MESSAGE_BYTES_MAX 2048 /* a password message; SCRAM's are at most half of it */
#define UNKNOWN_OPTIONS_MAX 32

/* A plain secret's SCRAM verifier, derived once per user and not at each login. */
struct verifier_cache {
    UT_hash_handle hh;
    struct scram_verifier verifier;
    char *password;
    char user[];
};

void pg_startup_free(struct pg_client *client)
{
    struct pg_client_login *login = client->login;

    if (!login)
        return;
    login_check_fini(&login->check);
    params_drop(&client->worker->pools.params, login->wanted);
    conf_drop(login->conf);
    secret_wipe(login, sizeof(*login));
    free(login);
    client->login = NULL;
}

static void startup_fail(struct pg_client *client, const char *sqlstate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void startup_fail(struct pg_client *client, const char *sqlstate, const char *format, ...)
{
    struct pool_failure failure = {0};
    va_list list;

    memcpy(failure.sqlstate, sqlstate, 5);
    va_start(list, format);
    vsnprintf(failure.message, sizeof(failure.message), format, list);
    va_end(list);
    pg_client_close_failed(client, &failure);
}

void verifier_cache_clear(struct worker *worker)
{
    struct verifier_cache *entry, *following;

    HASH_ITER(hh, worker->verifiers, entry, following)
    {
        HASH_DEL(worker->verifiers, entry);
        secret_wipe(entry->password, strlen(entry->password));
        free(entry->password);
        secret_wipe(&entry->verifier, sizeof(entry->verifier));
        free(entry);
    }
}

static const struct scram_verifier *verifier_of(struct worker *worker, const char *user,
                                                const char *password)
{
    struct verifier_cache *entry;
    struct scram_verifier verifier = {0};
    uint8_t salt[SCRAM_SALT_BYTES];

    HASH_FIND_STR(worker->verifiers, user, entry);
    if (entry && strcmp(entry->password, password) == 0)
        return &entry->verifier;
    if (!scram_salt(&worker->process->auth_key, user, salt))
        return NULL;
    if (!scram_verifier_from_password(&verifier, password, (uint32_t)worker->conf->scram_iterations,
                                      salt, sizeof(salt)))
        return NULL;
    if (!entry) {
        entry = memory_new(sizeof(*entry) + strlen(user) + 1);
        strcpy(entry->user, user);
        HASH_ADD_STR(worker->verifiers, user, entry);
    } else {
        secret_wipe(entry->password, strlen(entry->password));
        free(entry->password);
    }
    entry->password = memory_text(password, strlen(password));
    entry->verifier = verifier;
    return &entry->verifier;
}

/* --- authentication --- */

static void login_send(struct pg_client *client, const struct auth_request *request)
{
    uint8_t bytes[MESSAGE_BYTES_MAX];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_begin(&writer, PG_AUTHENTICATION);
    pg_write_u32(&writer, (uint32_t)request->code);
    pg_write_bytes(&writer, request->data, request->bytes);
    pg_end(&writer);
    ensure(!writer.failed);
    stream_queue(&client->stream, bytes, writer.length);
}

static void login_refused(struct pg_client *client)
{
    const struct auth_error *error = &client->login->check.error;
    struct pool_failure failure = {0};

    snprintf(failure.sqlstate, sizeof(failure.sqlstate), "%s",
             error->sqlstate ? error->sqlstate : "28000");
    snprintf(failure.message, sizeof(failure.message), "%s", error->message);
    snprintf(failure.detail, sizeof(failure.detail), "%s", error->detail);
    if (error->reason)
        pg_client_log(client, LOG_LEVEL_WARNING, "login failed: %s", error->reason);
    pg_client_close_failed(client, &failure);
}

/* Acts on a verdict. Returns false when the client is not here any more. */
static bool login_proceed(struct pg_client *client, enum login_verdict verdict,
                          const struct auth_request *request)
{
    switch (verdict) {
    case LOGIN_SEND:
        login_send(client, request);
        stream_flush(&client->stream);
        return true;
    case LOGIN_OK:
        /* The last of it goes in one write with the welcome. */
        if (request->code != AUTH_REQUEST_OK)
            login_send(client, request);
        login_check_keys(&client->login->check, &client->login->keys);
        client->login->authenticated = true;
        return true;
    case LOGIN_FAILED:
        break;
    }
    login_refused(client);
    return false;
}

/* What an unknown user looks like: most users of the file have secrets of this kind. */
static enum secret_kind usual_kind(const struct conf *conf)
{
    for (size_t i = 0; i < conf->user_count; i++)
        if (conf->users[i]->secret) {
            struct secret secret;

            secret_parse(&secret, conf->users[i]->secret);
            return secret.kind;
        }
    return SECRET_NONE;
}

/* auth_type=any lets anybody in, but only as the user that the database's line names. */
static bool startup_forced_user(struct pg_client *client)
{
    const struct conf_database *database =
        conf_find_database(client->worker->conf, client->login->database);

    if (!database || (database->user && database->user[0]))
        return true;
    startup_fail(client, "28000", "auth_type \"any\" needs user= in the line of database \"%s\"",
                 client->login->database);
    return false;
}

static bool login_begin(struct pg_client *client)
{
    struct pg_client_login *login = client->login;
    struct worker *worker = client->worker;
    const struct conf_user *user;
    struct login_terms *terms = &login->terms;
    struct auth_request request = {.code = AUTH_REQUEST_OK};
    struct hba_answer rule = {.method = AUTH_REJECT};
    char text[STREAM_TLS_BYTES];
    static const enum auth_method methods[] = {
        [AUTH_TYPE_ANY] = AUTH_ANY,
        [AUTH_TYPE_TRUST] = AUTH_TRUST,
        [AUTH_TYPE_PLAIN] = AUTH_PLAIN,
        [AUTH_TYPE_MD5] = AUTH_MD5,
        [AUTH_TYPE_SCRAM_SHA_256] = AUTH_SCRAM,
        [AUTH_TYPE_CERT] = AUTH_CERT,
        [AUTH_TYPE_HBA] = AUTH_REJECT,
        [AUTH_TYPE_LDAP] = AUTH_REJECT,
        [AUTH_TYPE_PAM] = AUTH_REJECT,
    };

    if (worker->conf->log_connections)
        pg_client_log(client, LOG_LEVEL_INFO, "login attempt: db=%s user=%s tls=%s",
                      login->database, login->user, pg_encryption_text(client, text));
    if (worker->conf->auth_type == AUTH_TYPE_ANY && !startup_forced_user(client))
        return false;
    login->conf = conf_hold(worker->conf);
    user = conf_find_user(login->conf, login->user);
    terms->method = methods[login->conf->auth_type];
    terms->user = login->user;
    terms->usual_kind = usual_kind(login->conf);
    terms->key = &worker->process->auth_key;
    terms->scram_iterations = (uint32_t)login->conf->scram_iterations;
    if (login->conf->auth_type == AUTH_TYPE_HBA) {
        rule = pg_access_rule(client);
        terms->method = rule.method;
    }
    if (user && user->secret) {
        secret_parse(&login->secret, user->secret);
        terms->secret = &login->secret;
        if (terms->method == AUTH_SCRAM && login->secret.kind == SECRET_PLAIN)
            terms->verifier = verifier_of(worker, login->user, user->secret);
    }
    if (login->console && pg_console_same_user(client))
        terms->method = AUTH_ANY;
    pg_encryption_terms(client, login->conf->auth_type == AUTH_TYPE_HBA ? &rule : NULL, terms);
    if (terms->method == AUTH_PEER)
        terms->identity_matches = pg_access_peer(client, &rule);
    pg_client_move(client, PG_CLIENT_LOGIN);
    login_check_init(&login->check, terms);
    return login_proceed(client, login_check_start(&login->check, &request), &request);
}

/* One message while it logs in. Returns how many bytes it was, 0 when more are needed, -1 when the
 * client is not here any more. */
static ssize_t login_message(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    struct auth_request request = {.code = AUTH_REQUEST_OK};
    uint32_t body;
    enum login_verdict verdict;

    if (length < PG_HEADER_BYTES)
        return 0;
    if (bytes[0] == PG_TERMINATE) {
        pg_client_close(client, "client close request");
        return -1;
    }
    body = pg_u32(bytes + 1);
    if (bytes[0] != PG_PASSWORD) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_EXPECTED_PASSWORD));
        return -1;
    }
    if (body < PG_MESSAGE_BYTES_MIN || body > MESSAGE_BYTES_MAX) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_BAD_LENGTH));
        return -1;
    }
    if (length < 1 + (size_t)body)
        return 0;
    verdict = login_check_step(&client->login->check, bytes + PG_HEADER_BYTES, body - 4, &request);
    secret_wipe((void *)(uintptr_t)bytes, 1 + (size_t)body);
    return login_proceed(client, verdict, &request) ? 1 + (ssize_t)body : -1;
}

/* --- the startup packet --- */

/* NegotiateProtocolVersion: the newest version that we both speak, and options that we do not know.
 */
static void startup_negotiate(struct pg_client *client, uint32_t version,
                              const char *const *unknown, uint32_t count)
{
    uint8_t bytes[PG_STARTUP_BYTES_MAX + 64];
    struct pg_writer writer = pg_writer_of(bytes, sizeof(bytes));

    pg_begin(&writer, PG_NEGOTIATE_VERSION);
    pg_write_u32(&writer, version);
    pg_write_u32(&writer, count);
    for (uint32_t i = 0; i < count; i++)
        pg_write_text(&writer, unknown[i]);
    pg_end(&writer);
    stream_write(&client->stream, bytes, writer.length);
}

/* The name and value pairs. Returns false when the client is closed. */
static bool startup_parameters(struct pg_client *client, uint32_t version, const uint8_t *bytes,
                               size_t length)
{
    struct pg_reader reader = pg_reader_of(bytes, length);
    const char *unknown[UNKNOWN_OPTIONS_MAX];
    uint32_t unknown_count = 0, spoken;

    for (;;) {
        const char *name = pg_read_text(&reader);
        const char *value;

        if (reader.failed || (name[0] == '\0' && pg_reader_left(&reader) > 0)) {
            pg_client_close_failed(client, pg_error_row(PG_ERROR_BAD_STARTUP));
            return false;
        }
        if (name[0] == '\0')
            break;
        value = pg_read_text(&reader);
        if (reader.failed) {
            pg_client_close_failed(client, pg_error_row(PG_ERROR_BAD_STARTUP));
            return false;
        }
        if (strncmp(name, "_pq_.", 5) == 0) {
            if (unknown_count < UNKNOWN_OPTIONS_MAX)
                unknown[unknown_count++] = name;
        } else if (!pg_startup_parameter(client, name, value)) {
            return false;
        }
    }
    /* There has never been a 3.1. */
    client->long_key = version >= PG_PROTOCOL_3_2;
    spoken = client->long_key ? PG_PROTOCOL_3_2 : PG_PROTOCOL_3_0;
    if (version != spoken || unknown_count > 0)
        startup_negotiate(client, spoken, unknown, unknown_count);
    return true;
}

static bool startup_begin_login(struct pg_client *client)
{
    struct pg_client_login *login = client->login;

    if (!login->user[0]) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_NO_USER));
        return false;
    }
    if (!login->database[0])
        strcpy(login->database, login->user);
    pg_startup_parameters_end(client);
    login->console = pg_console_wanted(client);
    if (login->console)
        return login_begin(client); /* not limited: it is needed most when the limits are reached */
    if (client->login->refused) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_TOO_MANY_CLIENTS));
        return false;
    }
    if (atomic_load(&client->worker->process->refusing)) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_SHUTTING_DOWN));
        return false;
    }
    return login_begin(client);
}

/* One startup packet. Returns as login_message(). */
static ssize_t startup_packet(struct pg_client *client, const uint8_t *bytes, size_t length)
{
    uint32_t total, version;

    if (bytes[0] == PG_FIRST_BYTE_OF_TLS)
        return pg_encryption_direct(client, bytes, length) ? (ssize_t)length : -1;
    if (length < 4)
        return 0;
    total = pg_u32(bytes);
    if (total < 8 || total > PG_STARTUP_BYTES_MAX) {
        pg_client_log(client, LOG_LEVEL_WARNING, "%s",
                      pg_error_row(PG_ERROR_BAD_STARTUP_LENGTH)->message);
        pg_client_close(client, "invalid length of startup packet");
        return -1;
    }
    if (length < total)
        return 0;
    version = pg_u32(bytes + 4);
    if (version == PG_REQUEST_CANCEL) {
        pg_cancels_request(client, bytes, total);
        return -1;
    }
    if (version == PG_REQUEST_SSL || version == PG_REQUEST_GSSENC) {
        if (total != 8) {
            pg_client_close(client, "invalid startup packet");
            return -1;
        }
        return pg_encryption_request(client, version, length - total) ? (ssize_t)total : -1;
    }
    if (pg_encryption_missing(client)) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_TLS_REQUIRED));
        return -1;
    }
    if (PG_PROTOCOL_MAJOR(version) != 3) {
        startup_fail(client, "0A000",
                     "unsupported frontend protocol %u.%u: server supports 3.0 to 3.2",
                     PG_PROTOCOL_MAJOR(version), version & 0xffff);
        return -1;
    }
    if (!startup_parameters(client, version, bytes + 8, total - 8) || !startup_begin_login(client))
        return -1;
    return total;
}

void pg_startup_run(struct pg_client *client)
{
    struct loop *loop = &client->worker->loop;

    for (;;) {
        size_t kept = buffer_length(&client->in), length, at = 0;
        ssize_t got =
            stream_read_behind(&client->stream, &client->in, LOOP_SCRATCH_BYTES / 2, &length);

        if (got == 0)
            return;
        if (got < 0) {
            pg_client_close(client, client->stream.error ? stream_why(&client->stream)
                                                         : "client unexpected eof");
            return;
        }
        if (kept > 0)
            secret_wipe(buffer_bytes(&client->in), kept); /* perhaps half a password */
        buffer_clear(&client->in, &loop->buffers);
        while (at < length) {
            ssize_t done = client->state == PG_CLIENT_STARTUP
                               ? startup_packet(client, loop->scratch + at, length - at)
                               : login_message(client, loop->scratch + at, length - at);

            if (done < 0)
                return;
            at += (size_t)done;
            if (done == 0 || client->login->authenticated)
                break;
        }
        /* What follows the login is kept: a client need not wait for the answer. */
        buffer_append(&client->in, &loop->buffers, loop->scratch + at, length - at);
        if (at < length)
            stream_recheck(&client->stream);
        if (client->login->authenticated) {
            if (client->login->console)
                pg_console_begin(client);
            else
                pg_welcome_begin(client);
            return;
        }
    }
}
