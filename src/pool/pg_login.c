#include "pg_login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_dial.h"
#include "pg_libpq.h"
#include "sluice/auth/answer.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/wire/pg.h"

#define ADDRESSES_MAX RESOLVER_ADDRESSES_MAX

struct pg_login {
    struct conf_list hosts; /* of the conf held below */
    const struct conf *conf;
    const struct conf_database *database;    /* of conf */
    const char *host_name;                   /* of conf: the host being tried */
    const struct tls *tls;                   /* held */
    char application_name[PARAM_NAME_BYTES]; /* of the client that it is opened for, or "" */
    struct pg_dial dial;
    bool asked; /* the server has asked for something: it minds who we are, not how we come */
    size_t host, hosts_left;
    struct address addresses[ADDRESSES_MAX];
    unsigned address_count, address;
    struct resolver_question *question; /* under way, or NULL */
    struct pg_libpq_call *call;         /* likewise, with login=libpq */
    struct secret secret;
    struct answer_terms terms;
    struct login_answer answer;
    bool authenticated;
    struct pool_failure failure; /* the last one: what is told when nothing is left to try */
};

static void login_try_next(struct pg_server *pg);

void pg_login_free(struct pg_server *pg)
{
    struct pg_login *login = pg->login;

    if (!login)
        return;
    if (login->question)
        login->question->asker = NULL;
    pg_libpq_abandon(login->call);
    login_answer_fini(&login->answer);
    conf_drop(login->conf);
    tls_drop(login->tls);
    secret_wipe(login, sizeof(*login));
    free(login);
    pg->login = NULL;
}

/* The connection could not be used; whether another address may be tried decides the caller. */
static void login_fail(struct pg_server *pg)
{
    struct pool_failure failure = pg->login->failure;

    pool_login_failed(&pg->base, &failure);
}

static void login_connect_again(struct pg_server *pg)
{
    struct stream_options options = stream_options_of(pg->base.pool->pools->conf);
    socklen_t bytes = pg->base.address_bytes;

    pg->login->asked = false;
    stream_connect(&pg->base.stream, pg->base.pool->pools->loop, &pg->base.address.any, bytes,
                   &options, pg_server_stream_ready);
}

static void login_connect(struct pg_server *pg, socklen_t bytes)
{
    pg->base.address_bytes = bytes;
    pg_dial_init(&pg->login->dial, pg->login->tls, pg->base.address.any.sa_family == AF_UNIX);
    login_connect_again(pg);
}

/* The connection failed in a way that TLS, or doing without it, might mend. False: it may not. */
static bool login_other_way(struct pg_server *pg, bool refused)
{
    struct stream *stream = &pg->base.stream;
    const char *why = stream_why(stream);

    if (!pg_dial_other_way(&pg->login->dial, stream, pg->login->tls, refused))
        return false;
    server_log(&pg->base, LOG_LEVEL_DEBUG, "trying again %s TLS: %s",
               pg->login->dial.tls_wanted ? "with" : "without",
               why ? why : pg->login->failure.message);
    stream_close(stream);
    buffer_clear(&pg->in, &pg->base.pool->pools->loop->buffers);
    login_connect_again(pg);
    return true;
}

static void login_resolved(struct resolver_question *question)
{
    struct pg_server *pg = question->asker;

    if (pg) {
        struct pg_login *login = pg->login;

        login->question = NULL;
        memcpy(login->addresses, question->addresses, sizeof(login->addresses));
        login->address_count = question->count;
        login->address = 0;
        if (question->error)
            pool_failure_set(&login->failure, "08001",
                             "could not translate host name \"%s\" to address: %s", question->name,
                             question->error);
        login_try_next(pg);
    }
    free(question);
}

static void login_resolve(struct pg_server *pg, const char *host)
{
    struct pools *pools = pg->base.pool->pools;
    struct resolver_question *question = memory_new(sizeof(*question));

    snprintf(question->name, sizeof(question->name), "%s", host);
    question->asker = pg;
    question->done = login_resolved;
    pg->login->question = question;
    resolver_ask(pools->resolver, question, pools->mailbox);
}

/* Connects to host. False when there is nothing to connect to; login->failure says why. */
static bool login_try_host(struct pg_server *pg, const char *host)
{
    struct pg_login *login = pg->login;
    uint16_t port = (uint16_t)pg->login->database->port;
    struct address numeric;

    login->host_name = host;
    if (host[0] == '/' || host[0] == '@') {
        char path[512];
        socklen_t bytes;

        snprintf(path, sizeof(path), "%s/.s.PGSQL.%u", host, port);
        bytes = address_unix(path, &pg->base.address.unix_path);
        if (bytes == 0) {
            pool_failure_set(&login->failure, "08001", "Unix-domain socket path \"%s\" is too long",
                             path);
            return false;
        }
        login_connect(pg, bytes);
        return true;
    }
    if (address_parse(host, port, &numeric)) {
        login->addresses[0] = numeric;
        login->address_count = 1;
        login->address = 0;
        login_try_next(pg);
        return true;
    }
    login_resolve(pg, host);
    return true;
}

/* Connects to the next address of the host, else to the next host, else gives up. */
static void login_try_next(struct pg_server *pg)
{
    struct pg_login *login = pg->login;
    uint16_t port = (uint16_t)pg->login->database->port;

    if (login->address < login->address_count) {
        struct address *address = &login->addresses[login->address++];

        if (address->family == AF_INET)
            address->ipv4.sin_port = htons(port);
        else
            address->ipv6.sin6_port = htons(port);
        memcpy(&pg->base.address, address, address_size(address));
        login_connect(pg, address_size(address));
        return;
    }
    while (login->hosts_left > 0) {
        const char *host = login->hosts.items[login->host];

        login->hosts_left--;
        login->host = (login->host + 1) % login->hosts.count;
        login->address = login->address_count = 0;
        if (login_try_host(pg, host))
            return;
    }
    login_fail(pg);
}

/* What to log in with: the database's password, the auth_file's secret, or what a client proved. */
static void login_prepare(struct pg_server *pg)
{
    struct pg_login *login = pg->login;
    struct pool *pool = pg->base.pool;
    const struct conf_user *user = conf_find_user(login->conf, pool->user_name);
    const char *password = login->database->password;

    if (!password && user)
        password = user->secret;
    secret_parse(&login->secret, password ? password : "");
    login->terms = (struct answer_terms){
        .user = pool->user_name,
        .secret = &login->secret,
        .keys = &pool->keys,
    };
    login_answer_init(&login->answer, &login->terms);
}

static const char *login_application_name(const struct pg_server *pg)
{
    const struct pg_login *login = pg->login;

    return login->application_name[0] ? login->application_name : login->database->application_name;
}

/* For whom the server is opened: its login carries what that client asked for. */
static void login_carry(struct pg_server *pg, const struct waiter *waiter)
{
    struct pools *pools = pg->base.pool->pools;
    const char *name = NULL;

    if (waiter)
        pg->base.startup = waiter->startup ? params_hold(waiter->startup) : NULL;
    else if (pg->base.pool->settings.mode == POOL_MODE_SESSION)
        pg->base.startup = params_empty(&pools->params);
    if (waiter && waiter->startup && waiter->kind->application_name)
        name = waiter->kind->application_name(waiter);
    if (!name || !name[0])
        return;
    snprintf(pg->login->application_name, sizeof(pg->login->application_name), "%s", name);
    pg->named_for_client = true;
}

static void login_by_libpq(struct pg_server *pg)
{
    struct pg_login *login = pg->login;
    struct pg_libpq_terms terms = {
        .conf = login->conf,
        .database = login->database,
        .password = login->secret.kind == SECRET_PLAIN ? login->secret.text : NULL,
        .startup = pg->base.startup,
        .application_name = login_application_name(pg),
    };

    login->host_name = login->hosts.count > 0 ? login->hosts.items[0] : "";
    login->call = pg_libpq_open(pg, &terms);
    if (login->call)
        return;
    pool_failure_set(&login->failure, "53000", "there can be no thread to open a server in");
    login_fail(pg);
}

void pg_login_open(struct pool *pool, const struct waiter *waiter)
{
    struct pg_server *pg = memory_new(sizeof(*pg));
    struct pg_login *login = memory_new(sizeof(*login));
    const struct conf *conf = pool->pools->conf;

    pg->login = login;
    prepared_init(&pg->prepared);
    pg->status = 'I';
    pg->params = params_empty(&pool->pools->params);
    pg->settings = params_empty(&pool->pools->params);
    server_init(&pg->base, pool, &pg_server_kind);
    login_carry(pg, waiter);
    login->conf = conf_hold(conf);
    login->tls = tls_hold(pool->pools->tls);
    login->database = pool->database;
    login->hosts = conf_database_hosts(conf, pool->database);
    login->hosts_left = login->hosts.count;
    if (login->hosts.count > 0 && pool->database->load_balance_hosts != LOAD_BALANCE_HOSTS_DISABLE)
        login->host = pool->next_host++ % login->hosts.count;
    pool_failure_set(
        &login->failure, "08001",
        "database \"%s\" has no host: give it one in [databases], or set unix_socket_dir",
        pool->database_name);
    login_prepare(pg);
    if (pool->database->login == LOGIN_LIBPQ)
        login_by_libpq(pg);
    else
        login_try_next(pg);
}

static void login_send_startup(struct pg_server *pg)
{
    uint8_t bytes[PG_LOGIN_STARTUP_BYTES];
    size_t length = pg_login_startup(pg, pg->login->database, login_application_name(pg), bytes);

    stream_write(&pg->base.stream, bytes, length);
}

static void login_describe_address(struct pg_server *pg, char *text, size_t size)
{
    char host[ADDRESS_TEXT_BYTES];
    struct address address = address_from(&pg->base.address.any);

    if (address.family == AF_UNIX)
        snprintf(text, size, "on socket \"%s/.s.PGSQL.%u\"", pg->login->host_name,
                 (unsigned)pg->login->database->port);
    else
        snprintf(text, size, "at \"%s\" (%s), port %u", pg->login->host_name,
                 address_text(&address, host), address_port(&address));
}

static const char *login_ended(const struct pg_server *pg)
{
    const char *why = stream_why(&pg->base.stream);

    return why ? why : "server closed the connection unexpectedly";
}

void pg_login_lost(struct pg_server *pg, const char *why)
{
    char where[256];

    if (login_other_way(pg, false))
        return;
    login_describe_address(pg, where, sizeof(where));
    pool_failure_set(&pg->login->failure, "08001", "connection to server %s failed: %s", where,
                     why);
    if (pg->base.state == SERVER_LOGIN) {
        login_fail(pg);
        return;
    }
    stream_close(&pg->base.stream);
    login_try_next(pg);
}

static void login_log_connection(const struct server *server)
{
    struct sockaddr_storage own = {.ss_family = AF_UNIX};
    socklen_t size = sizeof(own);
    struct address address;
    char text[ADDRESS_TEXT_BYTES];

    getsockname(server->stream.fd, (struct sockaddr *)&own, &size);
    address = address_from((const struct sockaddr *)&own);
    server_log(server, LOG_LEVEL_INFO, "new connection to server (from %s)",
               address_port_text(&address, 0, text));
}

/* It is decided whether TLS is used; behind it comes the startup packet. */
static void login_dialled(struct pg_server *pg, enum pg_dial_state state)
{
    const char *problem = pg->login->dial.problem;

    if (state == PG_DIAL_FAILED && problem)
        pg_login_lost(pg, problem);
    else if (state == PG_DIAL_FAILED)
        pg_login_lost(pg, login_ended(pg));
    else if (state != PG_DIAL_ASKED)
        login_send_startup(pg);
}

void pg_login_connected(struct pg_server *pg)
{
    struct server *server = &pg->base;

    if (server->stream.error) {
        pg_login_lost(pg, strerror(server->stream.error));
        return;
    }
    if (server->state != SERVER_LOGIN)
        server_move(server, SERVER_LOGIN);
    if (server->pool->pools->conf->log_connections)
        login_log_connection(server);
    login_dialled(
        pg, pg_dial_begin(&pg->login->dial, &server->stream, pg->login->tls, pg->login->host_name));
}

bool pg_login_dialling(struct pg_server *pg)
{
    struct pg_login *login = pg->login;
    enum pg_dial_state state;

    if (login->dial.state != PG_DIAL_ASKED)
        return false;
    state = pg_dial_answer(&login->dial, &pg->base.stream, login->tls, login->host_name);
    if (state != PG_DIAL_ASKED)
        login_dialled(pg, state);
    return true;
}

/* The first message of the server is here, so TLS, if any, stands: tells so, and notes what will be
 * needed of it. */
static void login_note_tls(struct pg_server *pg)
{
    struct pg_login *login = pg->login;
    struct channel_binding *binding = &login->terms.binding;
    char text[STREAM_TLS_BYTES];

    if (login->asked || !pg->base.stream.tls)
        return;
    binding->bytes =
        (uint8_t)stream_tls_binding(&pg->base.stream, binding->data, sizeof(binding->data));
    free(pg->host);
    pg->host = memory_text(login->host_name, strlen(login->host_name));
    if (pg->base.pool->pools->conf->log_connections)
        server_log(&pg->base, LOG_LEVEL_INFO, "SSL established: %s",
                   stream_tls_text(&pg->base.stream, text));
}

static bool login_authenticate(struct pg_server *pg, const uint8_t *body, size_t length)
{
    struct pg_login *login = pg->login;
    struct login_reply reply = {0};

    login_note_tls(pg);
    login->asked = true;
    if (length < 4) {
        pool_failure_set(&login->failure, "08P01",
                         "the server sent a malformed authentication request");
        login_fail(pg);
        return false;
    }
    switch (login_answer_step(&login->answer, pg_u32(body), body + 4, length - 4, &reply)) {
    case LOGIN_SEND:
        if (reply.bytes > 0) {
            uint8_t header[PG_HEADER_BYTES] = {PG_PASSWORD};

            pg_put_u32(header + 1, (uint32_t)reply.bytes + 4);
            stream_queue(&pg->base.stream, header, sizeof(header));
            stream_write(&pg->base.stream, reply.data, reply.bytes);
        }
        return true;
    case LOGIN_OK:
        login->authenticated = true;
        return true;
    case LOGIN_FAILED:
        break;
    }
    pool_failure_set(&login->failure,
                     login->answer.error.sqlstate ? login->answer.error.sqlstate : "08006", "%s",
                     login->answer.error.message);
    snprintf(login->failure.detail, sizeof(login->failure.detail), "%s",
             login->answer.error.detail);
    login_fail(pg);
    return false;
}

static bool login_refused(struct pg_server *pg, const uint8_t *body, size_t length)
{
    struct pool_failure *failure = &pg->login->failure;
    struct pg_error error;

    pg_error_parse(body, length, &error);
    pool_failure_from(failure, &error, "08006");
    /* A line of pg_hba.conf may want it the other way. */
    if (!pg->login->asked && strncmp(failure->sqlstate, "28", 2) == 0 && login_other_way(pg, true))
        return false;
    login_fail(pg);
    return false;
}

/* What clients are told who ask for the same. */
static void login_remember(struct pg_server *pg)
{
    struct pool *pool = pg->base.pool;
    struct params *params = pg_server_welcome(pg);

    pool_remember_params(pool, pg->base.startup, params);
    params_drop(&pool->pools->params, params);
}

/* Logged in, and the connect_query has run if there is one. */
static bool login_done(struct pg_server *pg)
{
    struct pool *pool = pg->base.pool;

    pg_login_free(pg);
    pg->question = PG_QUESTION_NONE;
    pg->initial = params_hold(pg->params);
    if (!pg->base.startup)
        pool_set_welcome(pool, pg->initial);
    else if (!pool_replicates(pool))
        login_remember(pg);
    pool_login_worked(&pg->base);
    return server_ready(&pg->base);
}

static bool login_ready_for_query(struct pg_server *pg)
{
    const struct conf_database *database = pg->login->database;

    if (pg->question == PG_QUESTION_NONE && database->connect_query && database->connect_query[0] &&
        !pool_replicates(pg->base.pool)) {
        size_t bytes = strlen(database->connect_query) + 16;
        uint8_t *query = memory_new(bytes);
        struct pg_writer writer = pg_writer_of(query, bytes);

        pg_write_query(&writer, database->connect_query);
        stream_write(&pg->base.stream, query, writer.length);
        free(query);
        pg->question = PG_QUESTION_CONNECT_QUERY;
        return true;
    }
    return login_done(pg);
}

void pg_login_broken(struct pg_server *pg)
{
    pool_failure_set(&pg->login->failure, "08P01", "the server broke the protocol during login");
    login_fail(pg);
}

bool pg_login_message(struct pg_server *pg, uint8_t type, const uint8_t *body, size_t length)
{
    switch (type) {
    case PG_AUTHENTICATION:
        if (pg->login->authenticated)
            break;
        return login_authenticate(pg, body, length);
    case PG_PARAMETER_STATUS:
        if (pg_server_parameter(pg, body, length))
            return true;
        break;
    case PG_BACKEND_KEY:
        if (length < 8)
            break;
        pg->process_id = pg_u32(body);
        pg->secret = pg_u32(body + 4);
        return true;
    case PG_ERROR:
        return login_refused(pg, body, length);
    case PG_READY:
        if (!pg->login->authenticated || length != 1 || body[0] != 'I')
            break;
        return login_ready_for_query(pg);
    case PG_NOTICE:
    case PG_NEGOTIATE_VERSION:
    case PG_NOTIFICATION:
        return true;
    case PG_ROW_DESCRIPTION:
    case PG_DATA_ROW:
    case PG_COMMAND_COMPLETE:
    case PG_EMPTY_QUERY:
        if (pg->question == PG_QUESTION_CONNECT_QUERY)
            return true;
        break;
    default:
        break;
    }
    pool_failure_set(&pg->login->failure, "08P01",
                     "the server broke the protocol during login (message type 0x%02x)", type);
    login_fail(pg);
    return false;
}

void pg_login_adopted(struct pg_server *pg)
{
    struct pg_login *login = pg->login;
    char text[STREAM_TLS_BYTES];

    login->call = NULL;
    login->authenticated = login->asked = true;
    server_move(&pg->base, SERVER_LOGIN);
    if (pg->base.pool->pools->conf->log_connections) {
        login_log_connection(&pg->base);
        if (pg->base.stream.tls)
            server_log(&pg->base, LOG_LEVEL_INFO, "SSL established: %s",
                       stream_tls_text(&pg->base.stream, text));
    }
    login_ready_for_query(pg);
}

void pg_login_refused(struct pg_server *pg, const struct pool_failure *failure)
{
    pg->login->call = NULL;
    pg->login->failure = *failure;
    login_fail(pg);
}
