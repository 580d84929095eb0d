#include "sluice/proxy/access.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/auth/ident.h"
#include "sluice/base/memory.h"

#define FILE_BYTES_MAX (1u << 20)

struct access {
    _Atomic unsigned holders;
    struct hba *hba;     /* NULL: auth_type is another one */
    struct ident *ident; /* NULL: no maps */
};

/* The whole file, to be freed; NULL, with a line in the report, when it cannot be read. */
static char *file_text(const char *path, const char *setting, struct conf_report *report)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = memory_new(FILE_BYTES_MAX + 1);
    size_t length = 0;
    ssize_t got = -1;

    if (fd >= 0) {
        while (length <= FILE_BYTES_MAX &&
               (got = read(fd, text + length, FILE_BYTES_MAX + 1 - length)) > 0)
            length += (size_t)got;
        if (length > FILE_BYTES_MAX) {
            errno = EFBIG;
            got = -1;
        }
    }
    if (got < 0)
        conf_report_add(report, CONF_ERROR, path, 0, "%s cannot be read: %s", setting,
                        strerror(errno));
    else if (memchr(text, '\0', length))
        conf_report_add(report, CONF_ERROR, path, 0, "%s is not a text", setting);
    if (fd >= 0)
        close(fd);
    if (got >= 0 && !memchr(text, '\0', length)) {
        text[length] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

static bool access_read(struct access *access, const struct conf *conf, struct conf_report *report)
{
    size_t errors_before = report->error_count, line;
    char *text;

    if (!conf->auth_hba_file[0]) {
        conf_report_add(report, CONF_ERROR, NULL, 0, "auth_type = hba needs auth_hba_file");
        return false;
    }
    text = file_text(conf->auth_hba_file, "auth_hba_file", report);
    if (text)
        access->hba = hba_parse(text, conf->auth_hba_file, report);
    free(text);
    if (conf->auth_ident_file && conf->auth_ident_file[0]) {
        text = file_text(conf->auth_ident_file, "auth_ident_file", report);
        if (text)
            access->ident = ident_parse(text, conf->auth_ident_file, report);
        free(text);
    }
    line = access->hba ? hba_uses(access->hba, AUTH_CERT) : 0;
    if (line > 0 && conf->client_tls_sslmode < SSLMODE_VERIFY_CA)
        conf_report_add(report, CONF_ERROR, conf->auth_hba_file, line,
                        "cert needs client_tls_sslmode = verify-full");
    return report->error_count == errors_before;
}

struct access *access_new(const struct conf *conf, struct conf_report *report)
{
    struct access *access = memory_new(sizeof(*access));

    access->holders = 1;
    if (conf->auth_type != AUTH_TYPE_HBA || access_read(access, conf, report))
        return access;
    access_drop(access);
    return NULL;
}

const struct access *access_hold(const struct access *access)
{
    if (access)
        atomic_fetch_add(&((struct access *)(uintptr_t)access)->holders, 1);
    return access;
}

void access_drop(const struct access *access)
{
    struct access *mine = (struct access *)(uintptr_t)access;

    if (!mine || atomic_fetch_sub(&mine->holders, 1) > 1)
        return;
    hba_free(mine->hba);
    ident_free(mine->ident);
    free(mine);
}

/* An IPv4 address may have come over an IPv6 socket. */
static bool address_equals(const struct address *own, const struct address *other)
{
    const struct in6_addr *ipv6 = &other->ipv6.sin6_addr;

    if (own->family == AF_INET6)
        return other->family == AF_INET6 && memcmp(&own->ipv6.sin6_addr, ipv6, sizeof(*ipv6)) == 0;
    if (other->family == AF_INET)
        return own->ipv4.sin_addr.s_addr == other->ipv4.sin_addr.s_addr;
    return IN6_IS_ADDR_V4MAPPED(ipv6) &&
           memcmp(&own->ipv4.sin_addr, ipv6->s6_addr + 12, sizeof(own->ipv4.sin_addr)) == 0;
}

/* True when the address is one of this machine's own. */
static bool address_own(const struct address *address)
{
    struct ifaddrs *all = NULL;
    bool own = false;

    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *at = all; at && !own; at = at->ifa_next) {
        struct address one;

        if (!at->ifa_addr ||
            (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
            continue;
        one = address_from(at->ifa_addr);
        own = address_equals(&one, address);
    }
    freeifaddrs(all);
    return own;
}

struct hba_answer access_find(const struct access *access, struct hba_question *question)
{
    if (!access->hba)
        return (struct hba_answer){.method = AUTH_REJECT};
    if (question->address->family != AF_UNIX && hba_asks_same_host(access->hba))
        question->same_host = address_own(question->address);
    return hba_match(access->hba, question);
}

bool access_names(const struct access *access, const struct hba_answer *rule, const char *name,
                  const char *user)
{
    return ident_match(access->ident, rule->map, name, user);
}
