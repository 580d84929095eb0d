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

#include "pages.h"
#include "sluice/base/ensure.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/net/listener.h"
#include "state.h"

#define DOORS_MAX 16
#define CONNECTIONS_MAX 64
/* A connection that is older is closed, whatever it does. */
#define CONNECTION_US (10 * US_PER_S)
#define SWEEP_US US_PER_S
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
    struct pages pages;
    bool full; /* no connection is accepted */
};

static struct http *only_http; /* of the process */

/* We hold a reference to each bufferevent, so that its descriptor is not used again behind our
 * back: evhttp tells of the end only of those that have asked for something. */
struct http_connection {
    struct list_node node;
    struct bufferevent *bytes;
    uint64_t since_us;
};

/* A request whose answer is being made. */
struct http_answer {
    struct list_node node;
    struct http *http;
    struct evhttp_request *request;
    struct page_reader reader;
};

static void text_sent(const void *bytes, size_t length, void *text)
{
    page_text_drop(text);
}

static void request_answer(struct evhttp_request *request, struct page_text *text)
{
    struct evbuffer *body = evbuffer_new();
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

    ensure(body);
    evhttp_add_header(headers, "Content-Type", text->page->type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                      "connect-src 'self'; img-src data:; frame-ancestors 'none'");
    evhttp_add_header(headers, "Connection", "close");
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
        char number[32];

        snprintf(number, sizeof(number), "%zu", text->length);
        evhttp_add_header(headers, "Content-Length", number);
    } else {
        page_text_hold(text);
        ensure(evbuffer_add_reference(body, text->bytes, text->length, text_sent, text) == 0);
    }
    evhttp_send_reply(request, text->status, text->status == HTTP_OK ? "OK" : "Service Unavailable",
                      body);
    evbuffer_free(body);
}

static void answer_made(struct page_reader *reader, struct page_text *text)
{
    struct http_answer *answer = container_of(reader, struct http_answer, reader);
    struct evhttp_request *request = answer->request;

    list_remove(&answer->http->answers, &answer->node);
    free(answer);
    request_answer(request, text);
}

static void answer_drop(struct http_answer *answer)
{
    pages_leave(&answer->reader);
    list_remove(&answer->http->answers, &answer->node);
    free(answer);
}

static void http_look_again(void *owner)
{
    struct http *http = owner;

    pages_look_again(&http->pages);
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

        if (evhttp_request_get_connection(answer->request) == evhttp)
            answer_drop(answer);
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
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
    const struct page *page = path ? page_find(path) : NULL;
    struct http_answer *answer;
    uint64_t after = 0;

    evhttp_connection_set_closecb(evhttp_request_get_connection(request), connection_closed, http);
    if (!page) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
        evhttp_send_error(request, HTTP_NOTFOUND, NULL);
        return;
    }
    if (query && strncmp(query, "after=", 6) == 0)
        after = strtoull(query + 6, NULL, 10);
    answer = memory_new(sizeof(*answer));
    answer->http = http;
    answer->request = request;
    answer->reader.made = answer_made;
    list_push_back(&http->answers, &answer->node);
    pages_read(&http->pages, page, after, &answer->reader);
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
    if (http->connections.length < CONNECTIONS_MAX)
        http_open_doors(http, true);
    if (list_contains_any(&http->connections))
        timer_set(http->admin->host.loop, timer, now_us + SWEEP_US);
}

/* Out of descriptors: the connection would be announced again and again. The argument is evhttp's,
 * which tells nothing of us. */
static void http_accept_failed(struct evconnlistener *door, void *evhttp)
{
    struct http *http = only_http;
    struct loop *loop = http->admin->host.loop;

    log_warning("stats_listen: accept failed: %s", strerror(errno));
    http_open_doors(http, false);
    timer_set_by(loop, &http->sweep, loop_now_us(loop) + SWEEP_US);
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
    char host[64], *end;
    const char *colon = strrchr(where, ':');
    struct address address;
    unsigned long number;
    size_t length;

    if (where[0] == '/' || where[0] == '@') {
        int fd = listener_open_unix(where, 0777, -1, BACKLOG);

        if (fd >= 0 && where[0] == '/')
            *unix_path = memory_text(where, strlen(where));
        return fd;
    }
    errno = EINVAL;
    length = colon ? (size_t)(colon - where) : 0;
    if (length == 0 || length >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
        return -1;
    number = strtoul(colon + 1, &end, 10);
    if (*end || number < 1 || number > UINT16_MAX)
        return -1;
    if (where[0] == '[' && where[length - 1] == ']') {
        where++;
        length -= 2;
    }
    memcpy(host, where, length);
    host[length] = '\0';
    if (!address_parse(strcmp(host, "*") == 0 ? "0.0.0.0" : host, (uint16_t)number, &address))
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
    evconnlistener_set_error_cb(http->doors[place], http_accept_failed);
    http->door_count++;
}

struct http *http_new(struct admin *admin)
{
    const struct conf_list *where = &admin_conf(admin)->stats_listen;
    struct http *http = memory_new(sizeof(*http));

    ensure(!only_http);
    only_http = http;
    http->admin = admin;
    readiness_init(&admin->readiness, admin, http_look_again, http);
    list_init(&http->connections);
    list_init(&http->answers);
    pages_init(&http->pages, admin);
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
        answer_drop(container_of(node, struct http_answer, node));
    pages_fini(&http->pages);
    evhttp_free(http->server);
    while ((node = list_first(&http->connections)))
        connection_drop(http, container_of(node, struct http_connection, node));
    for (unsigned i = 0; i < http->door_count; i++) {
        if (http->unix_paths[i])
            unlink(http->unix_paths[i]);
        free(http->unix_paths[i]);
    }
    timer_cancel(http->admin->host.loop, &http->sweep);
    only_http = NULL;
    free(http);
}
