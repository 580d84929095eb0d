#include "harness/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness/suite.h"

static int http_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = (time_t)(20 * slow_factor())};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

bool http_try(uint16_t port)
{
    int fd = http_connect(port);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int http_open(uint16_t port)
{
    int fd = http_connect(port);

    ck_assert_int_ge(fd, 0);
    return fd;
}

int http_open_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

char *http_rest(int fd)
{
    static char answer[8 << 20];
    size_t length = 0;
    ssize_t got;

    while (length < sizeof(answer) - 1 &&
           (got = read(fd, answer + length, sizeof(answer) - 1 - length)) > 0)
        length += (size_t)got;
    answer[length] = '\0';
    close(fd);
    return answer;
}

static char *http_exchange(uint16_t port, const char *request, bool end)
{
    int fd = http_open(port);

    ck_assert_int_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    if (end)
        shutdown(fd, SHUT_WR);
    return http_rest(fd);
}

char *http_ask(uint16_t port, const char *request)
{
    return http_exchange(port, request, false);
}

char *http_ask_and_end(uint16_t port, const char *request)
{
    return http_exchange(port, request, true);
}

char *http_get(uint16_t port, const char *path)
{
    return http_ask(port, text("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path));
}

const char *http_body(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");

    ck_assert_ptr_nonnull(body);
    return body + 4;
}
