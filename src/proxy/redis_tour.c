/* CLIENT LIST, KILL, UNBLOCK, INFO and TRACKING REDIRECT: about our clients, with our ids. The
 * clients of a line are on several workers, so the command goes from one to the next as a mail and
 * comes back to the client that asked, with what it found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "redis_lease.h"
#include "redis_local.h"
#include "sluice/base/memory.h"

#define ARGS_MAX 64u
#define LINE_BYTES 1024u
#define LIST_BYTES_MAX (64u * 1024u * 1024u)

/* Which clients; what is 0 or NULL does not matter. */
struct filter {
    uint64_t ids[ARGS_MAX];
    unsigned id_count;
    uint64_t age_s_min;
    char *address, *own_address, *user;
    const char *type; /* normal, pubsub, ... */
    bool spare_asker;
};

struct redis_tour {
    struct mail mail;
    struct process *process;
    unsigned origin, at; /* workers */
    uint64_t asker;      /* id of the client */
    enum redis_command_id what;
    struct filter filter;
    char *line;       /* of [redis] */
    bool old_form;    /* CLIENT KILL address: answers OK */
    bool kills_asker; /* after its answer */
    bool error;       /* CLIENT UNBLOCK id ERROR */
    bool away;
    uint64_t found; /* KILL: how many; UNBLOCK, TRACKING: the id that the server knows */
    char *request;  /* TRACKING: as it came */
    size_t request_bytes;
    struct resp_span redirect; /* of the id in it */
    char *text;                /* LIST */
    size_t text_bytes, text_size;
};

void redis_tour_free(struct redis_tour *tour)
{
    /* While it is away it frees itself: its client will not be there. */
    if (!tour || tour->away)
        return;
    free(tour->filter.address);
    free(tour->filter.own_address);
    free(tour->filter.user);
    free(tour->line);
    free(tour->text);
    free(tour->request);
    free(tour);
}

/* ---- arguments ---- */

struct words {
    const uint8_t *bytes;
    struct resp_span spans[ARGS_MAX];
    uint32_t count;
};

static bool word_is(const struct words *words, uint32_t index, const char *text)
{
    struct resp_span span = words->spans[index];

    return span.length == strlen(text) &&
           strncasecmp((const char *)words->bytes + span.offset, text, span.length) == 0;
}

static char *word_text(const struct words *words, uint32_t index)
{
    struct resp_span span = words->spans[index];

    return memory_text((const char *)words->bytes + span.offset, span.length);
}

static bool word_number(const struct words *words, uint32_t index, uint64_t *number)
{
    struct resp_span span = words->spans[index];

    *number = 0;
    for (uint32_t i = 0; i < span.length; i++) {
        unsigned digit = words->bytes[span.offset + i] - (unsigned)'0';

        if (digit > 9)
            return false;
        *number = *number * 10 + digit;
    }
    return span.length > 0 && span.length < 19;
}

static bool type_parse(struct filter *filter, const struct words *words, uint32_t index)
{
    static const char *const types[] = {"normal", "pubsub", "master", "replica", "slave"};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (word_is(words, index, types[i]))
            filter->type = types[i];
    return filter->type != NULL;
}

static enum resp_error list_parse(struct redis_tour *tour, const struct words *words)
{
    if (words->count == 2)
        return RESP_ERROR_NONE;
    if (words->count == 4 && word_is(words, 2, "type"))
        return type_parse(&tour->filter, words, 3) ? RESP_ERROR_NONE : RESP_ERROR_CLIENT_TYPE;
    if (words->count < 4 || !word_is(words, 2, "id"))
        return RESP_ERROR_SYNTAX;
    for (uint32_t i = 3; i < words->count; i++)
        if (!word_number(words, i, &tour->filter.ids[tour->filter.id_count++]))
            return RESP_ERROR_CLIENT_ID;
    return RESP_ERROR_NONE;
}

static void text_replace(char **text, char *by)
{
    free(*text);
    *text = by;
}

static enum resp_error kill_parse(struct redis_tour *tour, const struct words *words)
{
    struct filter *filter = &tour->filter;

    if (words->count == 3) {
        tour->old_form = true;
        filter->address = word_text(words, 2);
        return RESP_ERROR_NONE;
    }
    filter->spare_asker = true;
    if (words->count % 2 != 0)
        return RESP_ERROR_SYNTAX;
    for (uint32_t i = 2; i + 1 < words->count; i += 2) {
        if (word_is(words, i, "id")) {
            filter->id_count = 1;
            if (!word_number(words, i + 1, &filter->ids[0]) || filter->ids[0] == 0)
                return RESP_ERROR_CLIENT_KILL_ID;
        } else if (word_is(words, i, "type")) {
            if (!type_parse(filter, words, i + 1))
                return RESP_ERROR_CLIENT_TYPE;
        } else if (word_is(words, i, "addr")) {
            text_replace(&filter->address, word_text(words, i + 1));
        } else if (word_is(words, i, "laddr")) {
            text_replace(&filter->own_address, word_text(words, i + 1));
        } else if (word_is(words, i, "user")) {
            text_replace(&filter->user, word_text(words, i + 1));
        } else if (word_is(words, i, "maxage")) {
            if (!word_number(words, i + 1, &filter->age_s_min))
                return RESP_ERROR_NOT_AN_INTEGER;
        } else if (word_is(words, i, "skipme")) {
            if (!word_is(words, i + 1, "yes") && !word_is(words, i + 1, "no"))
                return RESP_ERROR_SYNTAX;
            filter->spare_asker = word_is(words, i + 1, "yes");
        } else {
            return RESP_ERROR_SYNTAX;
        }
    }
    return RESP_ERROR_NONE;
}

static enum resp_error unblock_parse(struct redis_tour *tour, const struct words *words)
{
    if (words->count > 4)
        return RESP_ERROR_SYNTAX;
    if (words->count == 4) {
        tour->error = word_is(words, 3, "error");
        if (!tour->error && !word_is(words, 3, "timeout"))
            return RESP_ERROR_CLIENT_UNBLOCK;
    }
    tour->filter.id_count = 1;
    return word_number(words, 2, &tour->filter.ids[0]) ? RESP_ERROR_NONE
                                                       : RESP_ERROR_NOT_AN_INTEGER;
}

/* CLIENT TRACKING ON ... REDIRECT id: keeps the request. Other forms are for the server to judge.
 */
static enum resp_error tracking_parse(struct redis_tour *tour, const struct words *words,
                                      const struct redis_input *input)
{
    for (uint32_t i = 3; i + 1 < words->count; i++)
        if (word_is(words, i, "prefix")) {
            i++;
        } else if (word_is(words, i, "redirect")) {
            if (!word_number(words, i + 1, &tour->filter.ids[0]))
                break;
            tour->filter.id_count = 1;
            tour->redirect = words->spans[i + 1];
            tour->request = memory_text((const char *)input->bytes, input->length);
            tour->request_bytes = input->length;
            break;
        }
    return RESP_ERROR_NONE;
}

struct redis_tour *redis_tour_new(const struct redis_client *client,
                                  const struct redis_input *input, enum resp_error *error)
{
    struct redis_tour *tour = memory_new(sizeof(*tour));
    struct words words = {.bytes = input->bytes};

    tour->process = client->worker->process;
    tour->origin = client->worker->index;
    tour->asker = client->id;
    tour->what = input->call.command->id;
    tour->line = memory_text(client->pool->database_name, strlen(client->pool->database_name));
    words.count = resp_request_args(input->bytes, input->length, words.spans, ARGS_MAX);
    if (input->request.argc > ARGS_MAX)
        *error = RESP_ERROR_SYNTAX;
    else if (tour->what == REDIS_COMMAND_CLIENT_LIST)
        *error = list_parse(tour, &words);
    else if (tour->what == REDIS_COMMAND_CLIENT_KILL)
        *error = kill_parse(tour, &words);
    else if (tour->what == REDIS_COMMAND_CLIENT_UNBLOCK)
        *error = unblock_parse(tour, &words);
    else
        *error = tracking_parse(tour, &words, input);
    if (*error == RESP_ERROR_NONE &&
        (tour->what != REDIS_COMMAND_CLIENT_TRACKING || tour->filter.id_count > 0))
        return tour;
    redis_tour_free(tour);
    return NULL;
}

char *redis_tour_question(const struct redis_tour *tour, size_t *length)
{
    const char *user = tour->what == REDIS_COMMAND_CLIENT_KILL ? tour->filter.user : NULL;
    size_t size = 160 + (user ? strlen(user) : 0);
    char *question = memory_resize(NULL, size);
    struct resp_writer writer = resp_writer_of(question, size, 2);
    bool lists = tour->what == REDIS_COMMAND_CLIENT_LIST;

    resp_write_array(&writer, user ? 6 : 4);
    resp_write_text(&writer, "CLIENT");
    resp_write_text(&writer, lists ? "LIST" : "KILL");
    resp_write_text(&writer, "ID");
    resp_write_text(&writer, lists ? "0" : "9223372036854775807");
    if (user) {
        resp_write_text(&writer, "USER");
        resp_write_text(&writer, user);
    }
    ensure(!writer.failed);
    *length = writer.length;
    return question;
}

/* ---- one client ---- */

#define WHERE_BYTES (ADDRESS_TEXT_BYTES + 16)

static const char *where_text(const struct address *address, char text[WHERE_BYTES])
{
    char host[ADDRESS_TEXT_BYTES];

    if (address->family == AF_UNIX)
        snprintf(text, WHERE_BYTES, "unix:0");
    else
        snprintf(text, WHERE_BYTES, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                 address_text(address, host), address_port(address));
    return text;
}

static const char *own_text(const struct redis_client *client, char text[WHERE_BYTES])
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof(own);
    struct address address;

    if (getsockname(client->stream.fd, (struct sockaddr *)&own, &size) < 0)
        own.ss_family = AF_UNIX;
    address = address_from((struct sockaddr *)&own);
    return where_text(&address, text);
}

static const char *user_text(const struct redis_client *client)
{
    return client->pool->user_name[0] ? client->pool->user_name : "default";
}

static bool is_subscriber(const struct redis_client *client)
{
    return client->server && (client->server->subscribed || client->server->shards);
}

static bool is_blocked(const struct redis_client *client)
{
    return client->state == REDIS_CLIENT_LEASED && client->server->owed.length > 0 &&
           redis_owed_at(&client->server->owed, 0)->command->flags & REDIS_BLOCKING;
}

/* As CLIENT LIST of Redis has it, as far as we know it. Returns the length. */
static size_t client_line(const struct redis_client *client, char line[LINE_BYTES])
{
    const struct redis_server *redis = client->server;
    uint64_t now_us = loop_now_us(&client->worker->loop);
    char where[WHERE_BYTES], own[WHERE_BYTES], flags[8];
    int length;

    snprintf(flags, sizeof(flags), "%s%s%s%s%s", is_subscriber(client) ? "P" : "",
             redis && redis->multi ? "x" : "", is_blocked(client) ? "b" : "",
             redis && redis->tracking ? "t" : "", redis && redis->monitor ? "O" : "");
    length = snprintf(
        line, LINE_BYTES,
        "id=%llu addr=%s laddr=%s fd=%d name=%.256s age=%llu idle=%llu flags=%s db=%u sub=%u "
        "psub=%u ssub=%u multi=%d qbuf=%zu qbuf-free=0 obl=0 oll=0 omem=%zu events=r cmd=%s "
        "user=%.128s redir=-1 resp=%u\n",
        (unsigned long long)client->id, where_text(&client->from, where), own_text(client, own),
        client->stream.fd, client->name ? client->name : "",
        (unsigned long long)((now_us - client->connected_us) / US_PER_S),
        (unsigned long long)((now_us - client->request_us) / US_PER_S), flags[0] ? flags : "N",
        redis_pool_db(client->pool), redis ? redis->subscribed - redis->patterns : 0,
        redis ? redis->patterns : 0, redis ? redis->shards : 0, redis && redis->multi ? 0 : -1,
        buffer_length(&client->in), stream_pending(&client->stream),
        client->last && client->last->name[0] ? client->last->name : "NULL", user_text(client),
        redis_client_version(client));
    return (size_t)length < LINE_BYTES ? (size_t)length : LINE_BYTES - 1;
}

void redis_tour_info(struct redis_client *client)
{
    char line[LINE_BYTES];
    uint8_t reply[LINE_BYTES + 64];
    struct resp_writer writer =
        resp_writer_of(reply, sizeof(reply), (uint8_t)redis_client_version(client));

    resp_write_verbatim(&writer, line, client_line(client, line));
    redis_client_answer(client, reply, writer.length);
}

static bool filter_matches(const struct redis_tour *tour, const struct redis_client *client)
{
    const struct filter *filter = &tour->filter;
    uint64_t age_us = loop_now_us(&client->worker->loop) - client->connected_us;
    char where[WHERE_BYTES];
    bool listed = filter->id_count == 0;

    for (unsigned i = 0; i < filter->id_count; i++)
        listed |= filter->ids[i] == client->id;
    return listed && strcmp(client->pool->database_name, tour->line) == 0 &&
           client->state != REDIS_CLIENT_LEAVING &&
           (!filter->type ||
            strcmp(filter->type, is_subscriber(client) ? "pubsub" : "normal") == 0) &&
           (!filter->address || strcmp(filter->address, where_text(&client->from, where)) == 0) &&
           (!filter->own_address || strcmp(filter->own_address, own_text(client, where)) == 0) &&
           (!filter->user || strcmp(filter->user, user_text(client)) == 0) &&
           age_us / US_PER_S >= filter->age_s_min &&
           !(filter->spare_asker && client->id == tour->asker);
}

static void tour_list(struct redis_tour *tour, const struct redis_client *client)
{
    if (tour->text_size - tour->text_bytes < LINE_BYTES) {
        if (tour->text_size >= LIST_BYTES_MAX)
            return;
        tour->text_size = tour->text_size * 2 + 4 * LINE_BYTES;
        tour->text = memory_resize(tour->text, tour->text_size);
    }
    tour->text_bytes += client_line(client, tour->text + tour->text_bytes);
}

static void tour_client(struct redis_tour *tour, struct redis_client *client)
{
    if (!filter_matches(tour, client))
        return;
    if (tour->what == REDIS_COMMAND_CLIENT_LIST) {
        tour_list(tour, client);
    } else if (tour->what == REDIS_COMMAND_CLIENT_UNBLOCK) {
        if (is_blocked(client))
            tour->found = client->server->client_id;
    } else if (tour->what == REDIS_COMMAND_CLIENT_TRACKING) {
        /* It is told as long as its connection lives, so nobody else may get that afterwards. */
        if (client->server && (redis_server_kept(client->server) || client->id == tour->asker)) {
            tour->found = client->server->client_id;
            client->server->base.close_needed = true;
        }
    } else {
        tour->found++;
        if (client->id == tour->asker)
            tour->kills_asker = true;
        else
            redis_client_close(client, "killed by CLIENT KILL");
    }
}

/* ---- the way ---- */

static struct redis_client *tour_asker(const struct redis_tour *tour, struct worker *worker)
{
    LIST_EACH_SAFE (&worker->redis_clients, node, next) {
        struct redis_client *client = container_of(node, struct redis_client, node);

        if (client->id == tour->asker)
            return redis_session_awaits(client, tour) ? client : NULL;
    }
    return NULL;
}

/* UNBLOCK: the server knows the client by another id. */
static void tour_unblock(const struct redis_tour *tour, struct redis_client *client)
{
    const struct redis_command *command =
        redis_subcommand_find(redis_command_find("client", 6), "unblock", 7);
    char id[24];
    uint8_t bytes[160];
    struct resp_writer writer = resp_writer_of(bytes, sizeof(bytes), 2);
    const char *how = tour->error ? "ERROR" : "TIMEOUT";

    snprintf(id, sizeof(id), "%llu", (unsigned long long)tour->found);
    resp_write_array(&writer, 4);
    resp_write_text(&writer, "CLIENT");
    resp_write_text(&writer, "UNBLOCK");
    resp_write_text(&writer, id);
    resp_write_text(&writer, how);
    redis_lease_send(client, bytes, writer.length, command,
                     redis_session_drops(client) ? REDIS_DROP : REDIS_PASS);
    redis_session_free(client);
    redis_client_resume(client);
}

/* TRACKING: the request with the id that the server knows; one that nobody has when there is none.
 */
static void tour_redirect(const struct redis_tour *tour, struct redis_client *client)
{
    size_t end = tour->redirect.offset + tour->redirect.length, head = tour->redirect.offset;
    char id[48], digits[24];
    char *bytes = memory_resize(NULL, tour->request_bytes + sizeof(id));
    size_t length;

    snprintf(digits, sizeof(digits), "%llu",
             tour->found ? (unsigned long long)tour->found : (unsigned long long)INT64_MAX);
    snprintf(id, sizeof(id), "$%zu\r\n%s", strlen(digits), digits);
    while (tour->request[head] != '$')
        head--;
    memcpy(bytes, tour->request, head);
    memcpy(bytes + head, id, strlen(id));
    length = head + strlen(id);
    memcpy(bytes + length, tour->request + end, tour->request_bytes - end);
    redis_session_redirected(client, bytes, length + tour->request_bytes - end,
                             tour->filter.ids[0]);
    free(bytes);
}

static void tour_answer(struct redis_tour *tour, struct redis_client *client)
{
    uint8_t head[64];
    struct resp_writer writer = resp_writer_of(head, sizeof(head), 2);
    size_t size = tour->text_bytes + 64;
    uint8_t *bytes = NULL;

    if (tour->what == REDIS_COMMAND_CLIENT_LIST) {
        bytes = memory_resize(NULL, size);
        writer = resp_writer_of(bytes, size, (uint8_t)redis_client_version(client));
        resp_write_verbatim(&writer, tour->text ? tour->text : "", tour->text_bytes);
    } else if (!tour->old_form) {
        resp_write_integer(&writer, (int64_t)tour->found);
    } else if (tour->found) {
        resp_write_simple(&writer, "OK");
    } else {
        resp_write_error(&writer, RESP_ERROR_CLIENT_NONE, NULL, NULL);
    }
    redis_session_toured(client, &writer);
    free(bytes);
    if (tour->kills_asker) {
        redis_client_leave(client, "killed by CLIENT KILL");
        return;
    }
    stream_flush(&client->stream);
    redis_lease_over(client);
    redis_client_resume(client);
}

static void tour_back(struct redis_tour *tour, struct worker *worker)
{
    struct redis_client *client = tour_asker(tour, worker);

    if (client) {
        redis_client_move(client, REDIS_CLIENT_LEASED);
        if (tour->what == REDIS_COMMAND_CLIENT_UNBLOCK)
            tour_unblock(tour, client);
        else if (tour->what == REDIS_COMMAND_CLIENT_TRACKING)
            tour_redirect(tour, client);
        else
            tour_answer(tour, client);
    }
    tour->away = false;
    redis_tour_free(tour);
}

static void tour_delivered(struct mail *mail, void *receiver)
{
    struct redis_tour *tour = container_of(mail, struct redis_tour, mail);
    struct worker *worker = receiver;

    if (tour->at == tour->process->registry.worker_count) {
        tour_back(tour, worker);
        return;
    }
    LIST_EACH_SAFE (&worker->redis_clients, node, next)
        tour_client(tour, container_of(node, struct redis_client, node));
    tour->at++;
    mailbox_send(
        &tour->process
             ->workers[tour->at == tour->process->registry.worker_count ? tour->origin : tour->at]
             .mailbox,
        mail);
}

void redis_tour_start(struct redis_client *client, struct redis_tour *tour)
{
    redis_client_move(client, REDIS_CLIENT_TOURING);
    tour->away = true;
    tour->mail.deliver = tour_delivered;
    mailbox_send(&tour->process->workers[0].mailbox, &tour->mail);
}
