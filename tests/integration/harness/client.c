#include "harness/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness/suite.h"

enum { CANCEL_REQUEST_CODE = 80877102 };

void client_open(struct client *client, const struct sluice *sluice)
{
    client_open_to(client, "127.0.0.1", sluice->port);
}

void client_open_to(struct client *client, const char *where, uint16_t port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    const struct sockaddr *address = (struct sockaddr *)&four;
    socklen_t length = sizeof(four);

    *client = (struct client){.patience = 20};
    if (where[0] == '/') {
        snprintf(local.sun_path, sizeof(local.sun_path), "%s/.s.PGSQL.%u", where, port);
        address = (struct sockaddr *)&local;
        length = sizeof(local);
    } else if (inet_pton(AF_INET, where, &four.sin_addr) != 1) {
        ck_assert_int_eq(inet_pton(AF_INET6, where, &six.sin6_addr), 1);
        address = (struct sockaddr *)&six;
        length = sizeof(six);
    }
    client->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_msg(connect(client->fd, address, length) == 0, "cannot connect to %s: %s", where,
                  strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static void key_remember(struct client *client, const struct message *message)
{
    memcpy(&client->backend_pid, message->payload, 4);
    client->backend_pid = ntohl(client->backend_pid);
    client->backend_key_size = message->size - 4;
    ck_assert_uint_le(client->backend_key_size, sizeof(client->backend_key));
    memcpy(client->backend_key, message->payload + 4, client->backend_key_size);
}

void client_login(struct client *client, const struct sluice *sluice, const char *user,
                  const char *database)
{
    struct message message;

    client_open(client, sluice);
    client_send(client,
                put_startup(put_new(), PROTOCOL_3_0, "user", user, "database", database, NULL));
    while ((message = client_read(client)).type != 'Z') {
        if (message.type == 'R' && message.size == 4 && memcmp(message.payload, "\0\0\0\3", 4) == 0)
            client_send(client, put_message(put_new(), 'p', user, strlen(user) + 1));
        else if (message.type == 'E' || message.type == '\0')
            ck_abort_msg("login of %s: %s", user,
                         message.type ? (const char *)message.payload : "closed");
    }
}

void client_close(struct client *client)
{
    close(client->fd);
    free(client->buffer);
    *client = (struct client){.fd = -1};
}

void client_abort(struct client *client)
{
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
               sizeof(struct linger));
    client_close(client);
}

static void send_bytes(struct client *client, const unsigned char *bytes, size_t count)
{
    double deadline = deadline_in(client->patience);

    while (count > 0) {
        ssize_t sent = send(client->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0) {
            bytes += sent;
            count -= (size_t)sent;
            deadline = deadline_in(client->patience);
        } else if (errno == EAGAIN) {
            if (deadline_over(deadline))
                ck_abort_msg("the other side takes no bytes for %g s", client->patience);
            poll(&(struct pollfd){.fd = client->fd, .events = POLLOUT}, 1, 100);
        } else {
            return;
        }
    }
}

static void packet_free(struct packet *packet)
{
    free(packet->bytes);
    free(packet);
}

void client_send(struct client *client, struct packet *packet)
{
    send_bytes(client, packet->bytes, packet->size);
    packet_free(packet);
}

void client_send_pieces(struct client *client, struct packet *packet, size_t piece)
{
    for (size_t at = 0; at < packet->size; at += piece)
        send_bytes(client, packet->bytes + at,
                   packet->size - at < piece ? packet->size - at : piece);
    packet_free(packet);
}

/* Nothing tells that the other side has read; an empty queue of unacknowledged bytes and a moment's
 * pause make it so nearly always, and no assertion rests on it. */
void client_send_split(struct client *client, struct packet *packet, size_t first)
{
    send_bytes(client, packet->bytes, first);
    poll(NULL, 0, 1);
    send_bytes(client, packet->bytes + first, packet->size - first);
    packet_free(packet);
}

/* Makes at least so many bytes lie in the buffer; false at the end of the connection. */
static bool fill(struct client *client, size_t wanted)
{
    double deadline = deadline_in(client->patience);

    if (client->start > 0 && client->start == client->end)
        client->start = client->end = 0;
    if (client->start + wanted > client->capacity) {
        if (client->start > 0)
            memmove(client->buffer, client->buffer + client->start, client->end - client->start);
        client->end -= client->start;
        client->start = 0;
        if (wanted > client->capacity) {
            client->capacity = wanted < 65536 ? 65536 : wanted;
            /* A zero ends it, for tests that read a payload as a string. */
            client->buffer = realloc(client->buffer, client->capacity + 1);
            ck_assert_ptr_nonnull(client->buffer);
            client->buffer[client->capacity] = 0;
        }
    }
    while (client->end - client->start < wanted) {
        ssize_t got = recv(client->fd, client->buffer + client->end, client->capacity - client->end,
                           MSG_DONTWAIT);

        if (got > 0) {
            client->end += (size_t)got;
        } else if (got == 0 || errno != EAGAIN) {
            client->reset = got < 0;
            return false;
        } else {
            if (deadline_over(deadline))
                ck_abort_msg("no whole message within %g s (%zu bytes so far)", client->patience,
                             client->end - client->start);
            poll(&(struct pollfd){.fd = client->fd, .events = POLLIN}, 1, 100);
        }
    }
    return true;
}

struct message client_read(struct client *client)
{
    struct message message = {.type = '\0'};
    uint32_t length;

    if (!fill(client, 5)) {
        if (client->end != client->start && !client->reset && !client->torn)
            ck_abort_msg("the connection ended within a message");
        return message;
    }
    memcpy(&length, client->buffer + client->start + 1, 4);
    length = ntohl(length);
    if (length < 4 || length > 1U << 30)
        ck_abort_msg("message '%c' of length %u", client->buffer[client->start], length);
    if (!fill(client, (size_t)length + 1)) {
        if (!client->reset && !client->torn)
            ck_abort_msg("the connection ended within a message");
        return message;
    }
    message.type = (char)client->buffer[client->start];
    message.size = length - 4;
    message.payload = client->buffer + client->start + 5;
    client->start += (size_t)length + 1;
    if (message.type == 'K')
        key_remember(client, &message);
    return message;
}

uint64_t client_drain(struct client *client)
{
    struct message message;
    uint64_t bytes = 0;

    do {
        message = client_read(client);
        ck_assert_msg(message.type != '\0', "the connection ended");
        bytes += message.size;
    } while (message.type != 'Z');
    return bytes;
}

bool client_silent(struct client *client, double seconds)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};

    return client->start == client->end && poll(&wait, 1, (int)(seconds * 1000)) == 0;
}

char *client_query(struct client *client, const char *sql)
{
    client_send(client, put_query(put_new(), sql));
    return client_answer(client);
}

struct packet *put_cancel(struct packet *packet, const struct client *client)
{
    put_int32(packet, (uint32_t)(12 + client->backend_key_size));
    put_int32(packet, CANCEL_REQUEST_CODE);
    put_int32(packet, client->backend_pid);
    return put_bytes(packet, client->backend_key, client->backend_key_size);
}

void client_cancel(const struct client *client, const struct sluice *sluice)
{
    struct client other;

    client_open(&other, sluice);
    client_send(&other, put_cancel(put_new(), client));
    ck_assert_int_eq(client_read(&other).type, '\0');
    client_close(&other);
}
