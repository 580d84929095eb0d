/* address: where a socket is. Compact (an IPv4, IPv6 or Unix address), since each client keeps one.
 * A plain value; any thread. */
#ifndef SLUICE_NET_ADDRESS_H
#define SLUICE_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        sa_family_t family; /* AF_UNSPEC while unknown */
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    };
};

#define ADDRESS_TEXT_BYTES 80

/* From what the kernel or a resolver gave; anything but IPv4 and IPv6 becomes AF_UNIX, nameless. */
struct address address_from(const struct sockaddr *from);

/* The size of the sockaddr in it. */
socklen_t address_size(const struct address *address);

/* Parses a numeric IPv4 or IPv6 address; false when text is something else (a name). */
bool address_parse(const char *text, uint16_t port, struct address *address);

uint16_t address_port(const struct address *address);

/* Writes "127.0.0.1", "::1" or "unix" into text, and returns it. */
const char *address_text(const struct address *address, char text[ADDRESS_TEXT_BYTES]);

/* Likewise "127.0.0.1:5432" or "[::1]:5432"; a Unix address gives "unix:" and the port given. */
const char *address_port_text(const struct address *address, uint16_t unix_port,
                              char text[ADDRESS_TEXT_BYTES]);

/* Fills a Unix socket address; '@' at the start means an abstract one. Returns its size, or 0 when
 * the path is too long. */
socklen_t address_unix(const char *path, struct sockaddr_un *address);

#endif
