#include "sluice/net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct address address_from(const struct sockaddr *from)
{
    struct address address = {.family = AF_UNIX};

    if (from->sa_family == AF_INET)
        memcpy(&address.ipv4, from, sizeof(address.ipv4));
    else if (from->sa_family == AF_INET6)
        memcpy(&address.ipv6, from, sizeof(address.ipv6));
    return address;
}

socklen_t address_size(const struct address *address)
{
    return address->family == AF_INET ? sizeof(address->ipv4) : sizeof(address->ipv6);
}

bool address_parse(const char *text, uint16_t port, struct address *address)
{
    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1) {
        address->ipv4.sin_family = AF_INET;
        address->ipv4.sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) == 1) {
        address->ipv6.sin6_family = AF_INET6;
        address->ipv6.sin6_port = htons(port);
        return true;
    }
    return false;
}

uint16_t address_port(const struct address *address)
{
    switch (address->family) {
    case AF_INET:
        return ntohs(address->ipv4.sin_port);
    case AF_INET6:
        return ntohs(address->ipv6.sin6_port);
    default:
        return 0;
    }
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT_BYTES])
{
    const void *bytes = address->family == AF_INET ? (const void *)&address->ipv4.sin_addr
                                                   : (const void *)&address->ipv6.sin6_addr;

    if ((address->family != AF_INET && address->family != AF_INET6) ||
        !inet_ntop(address->family, bytes, text, ADDRESS_TEXT_BYTES))
        strcpy(text, "unix");
    return text;
}

const char *address_port_text(const struct address *address, uint16_t unix_port,
                              char text[ADDRESS_TEXT_BYTES])
{
    char host[ADDRESS_TEXT_BYTES];
    bool ipv6 = address->family == AF_INET6;

    address_text(address, host);
    snprintf(text, ADDRESS_TEXT_BYTES, "%s%.46s%s:%u", ipv6 ? "[" : "", host, ipv6 ? "]" : "",
             address->family == AF_UNIX ? unix_port : address_port(address));
    return text;
}

socklen_t address_unix(const char *path, struct sockaddr_un *address)
{
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof(address->sun_path))
        return 0;
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    if (path[0] != '@')
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}
