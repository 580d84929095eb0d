#include "harness/fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/suite.h"

enum { SSL_REQUEST = 80877103, GSSENC_REQUEST = 80877104, CANCEL_REQUEST = 80877102 };

struct visit {
    struct fake *fake;
    int fd;
};

static void *visit_run(void *argument)
{
    struct visit visit = *(struct visit *)argument;

    free(argument);
    visit.fake->script(visit.fake, visit.fd);
    close(visit.fd);
    visit.fake->open--;
    return NULL;
}

static void *listener_run(void *argument)
{
    struct fake *fake = argument;

    for (;;) {
        int fd = accept(fake->listener, NULL, NULL);
        struct visit *visit;
        pthread_t thread;

        if (fd < 0)
            return NULL;
        visit = malloc(sizeof(*visit));
        *visit = (struct visit){fake, fd};
        fake->open++;
        fake->accepted++;
        pthread_create(&thread, NULL, visit_run, visit);
        pthread_detach(thread);
    }
}

void fake_start(struct fake *fake, fake_script script, const void *argument)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    memset(fake, 0, sizeof(*fake));
    fake->script = script;
    fake->argument = argument;
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fake->listener, 128), 0);
    ck_assert_int_eq(getsockname(fake->listener, (struct sockaddr *)&address, &length), 0);
    fake->port = ntohs(address.sin_port);
    ck_assert_int_eq(pthread_create(&fake->thread, NULL, listener_run, fake), 0);
}

void fake_stop(struct fake *fake)
{
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listener);
}

char *fake_address(const struct fake *fake)
{
    return text("host=127.0.0.1 port=%u dbname=fake", fake->port);
}

static bool read_exactly(int fd, void *bytes, size_t count)
{
    return count == 0 || recv(fd, bytes, count, MSG_WAITALL) == (ssize_t)count;
}

bool fake_read_startup(int fd)
{
    for (;;) {
        uint32_t head[2], code;
        char rest[10000];

        if (!read_exactly(fd, head, sizeof(head)))
            return false;
        code = ntohl(head[1]);
        if (ntohl(head[0]) - 8 > sizeof(rest) || !read_exactly(fd, rest, ntohl(head[0]) - 8))
            return false;
        if (code == CANCEL_REQUEST)
            return false;
        if (code != SSL_REQUEST && code != GSSENC_REQUEST)
            return true;
        if (!fake_write(fd, "N", 1))
            return false;
    }
}

bool fake_read(int fd, char *type, char *payload, size_t size)
{
    unsigned char head[5];
    uint32_t length;
    size_t kept;

    if (!read_exactly(fd, head, sizeof(head)))
        return false;
    *type = (char)head[0];
    memcpy(&length, head + 1, 4);
    length = ntohl(length) - 4;
    kept = length < size - 1 ? length : size - 1;
    if (!read_exactly(fd, payload, kept))
        return false;
    payload[kept] = '\0';
    for (length -= (uint32_t)kept; length > 0;) {
        char waste[4096];
        size_t some = length < sizeof(waste) ? length : sizeof(waste);

        if (!read_exactly(fd, waste, some))
            return false;
        length -= (uint32_t)some;
    }
    return true;
}

bool fake_write(int fd, const void *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        ssize_t some = send(fd, (const char *)bytes + done, count - done, MSG_NOSIGNAL);

        if (some <= 0)
            return false;
        done += (size_t)some;
    }
    return true;
}

/* In one segment, as PostgreSQL would send it. */
bool fake_write_message(int fd, char type, const void *payload, size_t count)
{
    unsigned char *message = malloc(count + 5);
    uint32_t length = htonl((uint32_t)count + 4);
    bool written;

    message[0] = (unsigned char)type;
    memcpy(message + 1, &length, 4);
    memcpy(message + 5, payload, count);
    written = fake_write(fd, message, count + 5);
    free(message);
    return written;
}

bool fake_login(int fd)
{
    static const char settings[][2][28] = {{"server_version", "15.0"},
                                           {"client_encoding", "UTF8"},
                                           {"DateStyle", "ISO, MDY"},
                                           {"TimeZone", "UTC"},
                                           {"standard_conforming_strings", "on"},
                                           {"application_name", ""}};

    if (!fake_read_startup(fd) || !fake_write_message(fd, 'R', "\0\0\0\0", 4))
        return false;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        char payload[64];
        size_t name = strlen(settings[i][0]) + 1, value = strlen(settings[i][1]) + 1;

        memcpy(payload, settings[i][0], name);
        memcpy(payload + name, settings[i][1], value);
        if (!fake_write_message(fd, 'S', payload, name + value))
            return false;
    }
    return fake_write_message(fd, 'K', "\0\0\0\1\0\0\0\2", 8) &&
           fake_write_message(fd, 'Z', "I", 1);
}

void fake_serve(struct fake *fake, int fd)
{
    static const char description[] = "\0\1f\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
    char type, payload[1000];

    (void)fake;
    while (fake_read(fd, &type, payload, sizeof(payload)) && type != 'X') {
        if (type != 'Q')
            continue;
        fake_write_message(fd, 'T', description, sizeof(description) - 1);
        fake_write_message(fd, 'D', "\0\1\0\0\0\4fake", 10);
        fake_write_message(fd, 'C', "SELECT 1", 9);
        fake_write_message(fd, 'Z', "I", 1);
    }
}

void fake_await_close(int fd)
{
    char waste[4096];

    while (recv(fd, waste, sizeof(waste), 0) > 0)
        ;
}

void fake_reset(int fd)
{
    struct linger linger = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}
