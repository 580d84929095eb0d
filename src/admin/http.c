#include "http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "page.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/net/listener.h"
#include "state.h"

#define DOORS_MAX 16
#define CONNECTIONS_MAX 64
/* A connection that is older is closed, whatever it does. */
#define CONNECTION_US (10 * US_PER_S)
#define SWEEP_US US_PER_S
/* So long an answer waits for what it has to tell. */
#define ANSWER_US (5 * US_PER_S)
#define HEADERS_BYTES_MAX 8192u
/* What is read and not looked at yet. More than headers may have: evhttp would else wait for what
 * it has no room for, and look again and again. */
#define INPUT_BYTES_MAX (4 * HEADERS_BYTES_MAX)
#define BACKLOG 16

struct http {
    struct admin *admin;
    struct evhttp *server;
    struct evconnlistener *doors[DOORS_MAX];
    char *unix_paths[DOORS_MAX];
    unsigned door_count;
    struct list connections; /* struct http_connection */
    struct list answers;     /* struct http_answer */
    struct timer sweep;
    bool full; /* no connection is accepted */
};

/* We hold a reference to each bufferevent, so that its descriptor is not used again behind our
 * back: evhttp tells of the end only of those that have asked for something. */
struct http_connection {
    struct list_node node;
    struct bufferevent *bytes;
    uint64_t since_us;
};

/* A request whose answer needs a survey, and maybe more. */
struct http_answer {
    struct list_node node;
    struct http *http;
    struct evhttp_request *request; /* NULL: its client has gone */
    const struct page_row *page;
    struct survey *survey; /* when it is there */
    uint64_t since_us;
    uint64_t after; /* of the query */
};

struct page_row {
    const char *path, *type;
    unsigned survey; /* SURVEY_ bits that it needs; 0 = none */
    int (*write)(FILE *page, const struct show_source *source); /* the status */
    /* NULL, or true when what it tells is known; else http_look_again() will be called. */
    bool (*known)(const struct show_source *source);
};

static int write_metrics(FILE *page, const struct show_source *source)
{
    page_metrics(page, source);
    return HTTP_OK;
}

static int write_json(FILE *page, const struct show_source *source)
{
    page_json(page, source);
    return HTTP_OK;
}

static int write_history(FILE *page, const struct show_source *source)
{
    page_history(page, source);
    return HTTP_OK;
}

static int write_dashboard(FILE *page, const struct show_source *source)
{
    fwrite(dashboard_html, 1, dashboard_html_bytes, page);
    return HTTP_OK;
}

static int write_health(FILE *page, const struct show_source *source)
{
    fputs("ok\n", page);
    return HTTP_OK;
}

static bool admin_stopped(const struct admin *admin)
{
    return admin->ending || admin->paused || admin->suspended;
}

static bool ready_known(const struct show_source *source)
{
    return admin_stopped(source->admin) ||
           readiness_known(&source->admin->readiness, source->survey);
}

static int write_ready(FILE *page, const struct show_source *source)
{
    if (admin_stopped(source->admin))
        fputs("paused or shutting down\n", page);
    else if (readiness_write(page, &source->admin->readiness, source->survey) == 0) {
        fputs("ok\n", page);
        return HTTP_OK;
    }
    return HTTP_SERVUNAVAIL;
}

static const struct page_row pages[] = {
    {"/", "text/html; charset=utf-8", 0, write_dashboard, NULL},
    {"/history.json", "application/json",
     SURVEY_POOLS | SURVEY_WAITING | SURVEY_SLOWEST | SURVEY_BATCH_MAX, write_history, NULL},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", SURVEY_POOLS, write_metrics, NULL},
    {"/stats.json", "application/json", SURVEY_POOLS, write_json, NULL},
    {"/healthz", "text/plain; charset=utf-8", 0, write_health, NULL},
    {"/readyz", "text/plain; charset=utf-8", SURVEY_POOLS, write_ready, ready_known},
};

static void request_answer(struct evhttp_request *request, const struct page_row *row,
                           const struct show_source *source)
{
    char *text = NULL;
    size_t length = 0;
    FILE *page = open_memstream(&text, &length);
    struct evbuffer *body = evbuffer_new();
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    int status;

    ensure(page && body);
    status = row->write(page, source);
    fclose(page);
    evhttp_add_header(headers, "Content-Type", row->type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                      "connect-src 'self'; img-src data:; frame-ancestors 'none'");
    evhttp_add_header(headers, "Connection", "close");
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
        char number[32];

        snprintf(number, sizeof(number), "%zu", length);
        evhttp_add_header(headers, "Content-Length", number);
    } else {
        evbuffer_add(body, text, length);
    }
    evhttp_send_reply(request, status, status == HTTP_OK ? "OK" : "Service Unavailable", body);
    evbuffer_free(body);
    free(text);
}

static void answer_free(struct http_answer *answer)
{
    list_remove(&answer->http->answers, &answer->node);
    if (answer->survey)
        survey_free(answer->survey);
    free(answer);
}

/* Answers when all is known that the page tells, or when it has taken too long. */
static void answer_look(struct http_answer *answer)
{
    struct show_source source = {
        .admin = answer->http->admin, .survey = answer->survey, .after = answer->after};
    const struct page_row *page = answer->page;
    bool late = loop_now_us(source.admin->host.loop) > answer->since_us + ANSWER_US;

    if (answer->request && page->known && !page->known(&source) && !late)
        return;
    if (answer->request)
        request_answer(answer->request, page, &source);
    answer_free(answer);
}

static void http_look_again(void *owner)
{
    struct http *http = owner;

    LIST_EACH_SAFE (&http->answers, node, next) {
        struct http_answer *answer = container_of(node, struct http_answer, node);

        if (answer->survey)
            answer_look(answer);
    }
}

static void http_surveyed(struct survey *survey)
{
    struct http_answer *answer = survey->asker;

    answer->survey = survey;
    answer_look(answer);
}

static void http_open_doors(struct http *http, bool open)
{
    if (http->full == !open)
        return;
    http->full = !open;
    for (unsigned i = 0; i < http->door_count; i++) {
        if (open)
            evconnlistener_enable(http->doors[i]);
        else
            evconnlistener_disable(http->doors[i]);
    }
}

static void connection_drop(struct http *http, struct http_connection *connection)
{
    list_remove(&http->connections, &connection->node);
    bufferevent_decref(connection->bytes);
    free(connection);
    http_open_doors(http, true);
}

/* evhttp is done with the connection, and with its request. */
static void connection_closed(struct evhttp_connection *evhttp, void *argument)
{
    struct http *http = argument;
    struct bufferevent *bytes = evhttp_connection_get_bufferevent(evhttp);

    LIST_EACH_SAFE (&http->answers, node, next) {
        struct http_answer *answer = container_of(node, struct http_answer, node);

        if (answer->request && evhttp_request_get_connection(answer->request) == evhttp)
            answer->request = NULL;
    }
    LIST_EACH_SAFE (&http->connections, node, next) {
        struct http_connection *connection = container_of(node, struct http_connection, node);

        if (connection->bytes == bytes)
            connection_drop(http, connection);
    }
}

static void http_requested(struct evhttp_request *request, void *argument)
{
    struct http *http = argument;
    struct show_source source = {.admin = http->admin};
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
    struct http_answer *answer;

    evhttp_connection_set_closecb(evhttp_request_get_connection(request), connection_closed, http);
    for (size_t i = 0; path && i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(path, pages[i].path) != 0)
            continue;
        if (!pages[i].survey) {
            request_answer(request, &pages[i], &source);
            return;
        }
        answer = memory_new(sizeof(*answer));
        answer->http = http;
        answer->request = request;
        answer->page = &pages[i];
        answer->since_us = loop_now_us(http->admin->host.loop);
        if (query && strncmp(query, "after=", 6) == 0)
            answer->after = strtoull(query + 6, NULL, 10);
        list_push_back(&http->answers, &answer->node);
        survey_take(http->admin->host.process, pages[i].survey, http_surveyed, answer);
        return;
    }
    evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
    evhttp_send_error(request, HTTP_NOTFOUND, NULL);
}

static void http_sweep(struct timer *timer)
{
    struct http *http = container_of(timer, struct http, sweep);
    uint64_t now_us = loop_now_us(http->admin->host.loop);

    http_look_again(http);
    LIST_EACH_SAFE (&http->connections, node, next) {
        struct http_connection *connection = container_of(node, struct http_connection, node);

        if (connection->since_us + CONNECTION_US > now_us)
            continue;
        /* What evhttp still does with it ends at once; no more of it is read. */
        shutdown(bufferevent_getfd(connection->bytes), SHUT_RDWR);
        connection_drop(http, connection);
    }
    if (list_contains_any(&http->connections))
        timer_set(http->admin->host.loop, timer, now_us + SWEEP_US);
}

static struct bufferevent *http_accepted(struct event_base *base, void *argument)
{
    struct http *http = argument;
    struct http_connection *connection = memory_new(sizeof(*connection));
    struct loop *loop = http->admin->host.loop;

    connection->bytes = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    ensure(connection->bytes);
    bufferevent_incref(connection->bytes);
    bufferevent_setwatermark(connection->bytes, EV_READ, 0, INPUT_BYTES_MAX);
    connection->since_us = loop_now_us(loop);
    list_push_back(&http->connections, &connection->node);
    timer_set_by(loop, &http->sweep, connection->since_us + SWEEP_US);
    if (http->connections.length >= CONNECTIONS_MAX)
        http_open_doors(http, false);
    return connection->bytes;
}

/* "127.0.0.1:9127", "[::1]:9127" or a path. Returns the socket, or -1 with errno. */
static int door_open(const char *where, char **unix_path)
{
    char host[64];
    const char *colon = strrchr(where, ':');
    struct address address;
    size_t length;

    if (where[0] == '/' || where[0] == '@') {
        int fd = listener_open_unix(where, 0777, -1, BACKLOG);

        if (fd >= 0 && where[0] == '/')
            *unix_path = memory_text(where, strlen(where));
        return fd;
    }
    errno = EINVAL;
    length = colon ? (size_t)(colon - where) : 0;
    if (length == 0 || length >= sizeof(host))
        return -1;
    if (where[0] == '[' && where[length - 1] == ']') {
        where++;
        length -= 2;
    }
    memcpy(host, where, length);
    host[length] = '\0';
    if (!address_parse(strcmp(host, "*") == 0 ? "0.0.0.0" : host,
                       (uint16_t)strtoul(colon + 1, NULL, 10), &address))
        return -1;
    return listener_open_tcp(&address, BACKLOG, false, false);
}

static void http_open(struct http *http, const char *where)
{
    unsigned place = http->door_count;
    int fd = place < DOORS_MAX ? door_open(where, &http->unix_paths[place]) : -1;

    if (fd < 0) {
        log_error("stats_listen: could not listen on \"%s\": %s", where, strerror(errno));
        return;
    }
    http->doors[place] = evconnlistener_new(http->admin->host.loop->base, NULL, NULL,
                                            LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    ensure(http->doors[place] && evhttp_bind_listener(http->server, http->doors[place]));
    http->door_count++;
}

struct http *http_new(struct admin *admin)
{
    const struct conf_list *where = &admin_conf(admin)->stats_listen;
    struct http *http = memory_new(sizeof(*http));

    http->admin = admin;
    readiness_init(&admin->readiness, admin, http_look_again, http);
    list_init(&http->connections);
    list_init(&http->answers);
    http->sweep.expired = http_sweep;
    http->server = evhttp_new(admin->host.loop->base);
    ensure(http->server);
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(http->server, HEADERS_BYTES_MAX);
    evhttp_set_max_body_size(http->server, 0);
    evhttp_set_timeout(http->server, (int)(CONNECTION_US / US_PER_S));
    evhttp_set_bevcb(http->server, http_accepted, http);
    evhttp_set_gencb(http->server, http_requested, http);
    for (size_t i = 0; i < where->count; i++)
        http_open(http, where->items[i]);
    if (http->door_count > 0)
        history_start(&admin->history);
    return http;
}

void http_free(struct http *http)
{
    struct list_node *node;

    while ((node = list_first(&http->answers)))
        answer_free(container_of(node, struct http_answer, node));
    evhttp_free(http->server);
    while ((node = list_first(&http->connections)))
        connection_drop(http, container_of(node, struct http_connection, node));
    for (unsigned i = 0; i < http->door_count; i++) {
        if (http->unix_paths[i])
            unlink(http->unix_paths[i]);
        free(http->unix_paths[i]);
    }
    timer_cancel(http->admin->host.loop, &http->sweep);
    free(http);
}
