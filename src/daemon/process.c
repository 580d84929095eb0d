#include "sluice/daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/conf/sections.h"
#include "sluice/net/listener.h"

/* Descriptors that are needed beside those of clients: servers, loops, logs. */
#define FILES_BESIDE_CLIENTS 256

void process_raise_limits(const struct conf *conf)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)conf->max_client_conn + FILES_BESIDE_CLIENTS;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted)
        log_warning("max_client_conn=%lld needs about %llu open files, the limit is %llu: raise "
                    "it (ulimit -n, LimitNOFILE=) or lower max_client_conn",
                    (long long)conf->max_client_conn, (unsigned long long)wanted,
                    (unsigned long long)limit.rlim_cur);
}

bool process_become(const char *user)
{
    struct passwd *entry;

    if (geteuid() != 0)
        return true;
    if (!user || !user[0]) {
        log_fatal("sluice does not run as root: set user= in the settings, or start it with -u");
        return false;
    }
    entry = getpwnam(user);
    if (!entry) {
        log_fatal("there is no user \"%s\" on this system", user);
        return false;
    }
    if (initgroups(user, entry->pw_gid) < 0 || setgid(entry->pw_gid) < 0 ||
        setuid(entry->pw_uid) < 0) {
        log_fatal("could not become user \"%s\": %s", user, strerror(errno));
        return false;
    }
    if (geteuid() == 0) {
        log_fatal("sluice does not run as root: user=%s is root as well", user);
        return false;
    }
    /* Where libpq looks for service and pass files. */
    setenv("HOME", entry->pw_dir, 1);
    return true;
}

bool process_daemonize(const struct conf *conf)
{
    int null;

    if (!conf->pidfile[0]) {
        log_fatal("-d needs pidfile in the settings");
        return false;
    }
    switch (fork()) {
    case -1:
        log_fatal("could not fork: %s", strerror(errno));
        return false;
    case 0:
        break;
    default:
        _exit(EXIT_SUCCESS);
    }
    setsid();
    switch (fork()) {
    case -1:
        log_fatal("could not fork: %s", strerror(errno));
        return false;
    case 0:
        break;
    default:
        _exit(EXIT_SUCCESS);
    }
    null = open("/dev/null", O_RDWR);
    if (null < 0)
        return false;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    return true;
}

/* The process that the pid file names, if it runs; 0 = none. */
static pid_t pidfile_owner(const char *path)
{
    FILE *file = fopen(path, "re");
    long process = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%ld", &process) != 1)
        process = 0;
    fclose(file);
    if (process <= 0 || (kill((pid_t)process, 0) < 0 && errno == ESRCH))
        return 0;
    return (pid_t)process;
}

bool process_pidfile_free(const char *path)
{
    pid_t owner = path[0] ? pidfile_owner(path) : 0;

    if (!owner || owner == getpid())
        return true;
    log_fatal("pidfile \"%s\" belongs to the running process %ld", path, (long)owner);
    return false;
}

bool process_write_pidfile(const char *path)
{
    FILE *file;

    if (!path[0])
        return true;
    file = fopen(path, "we");
    if (!file) {
        log_fatal("could not write pidfile \"%s\": %s", path, strerror(errno));
        return false;
    }
    fprintf(file, "%ld\n", (long)getpid());
    fclose(file);
    return true;
}

void process_remove_pidfile(const char *path)
{
    if (path[0])
        unlink(path);
}

static bool listen_tcp(const struct conf *conf, const char *name, int64_t port_number,
                       struct listening *listening, int *count)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found, *one;
    char port[16];
    bool any = strcmp(name, "*") == 0;
    int error, opened = 0;
    bool in_use = false;

    snprintf(port, sizeof(port), "%lld", (long long)port_number);
    error = getaddrinfo(any ? NULL : name, port, &hints, &found);
    if (error) {
        log_fatal("listen_addr \"%s\": %s", name, gai_strerror(error));
        return false;
    }
    for (one = found; one && *count < LISTENING_MAX; one = one->ai_next) {
        struct address address = address_from(one->ai_addr);
        int fd = listener_open_tcp(&address, (int)conf->listen_backlog, conf->so_reuseport,
                                   (int)conf->tcp_defer_accept);

        if (fd >= 0) {
            char text[ADDRESS_TEXT_BYTES];

            log_info("listening on %s:%s", address_text(&address, text), port);
            listening[(*count)++] = (struct listening){.fd = fd};
            opened++;
        } else if (errno != EAFNOSUPPORT) {
            log_warning("could not listen on %s port %s: %s", name, port, strerror(errno));
            in_use |= errno == EADDRINUSE;
        }
    }
    freeaddrinfo(found);
    if (opened == 0 || in_use) {
        log_fatal("listen_addr \"%s\" port %s cannot be served", name, port);
        return false;
    }
    return true;
}

static bool listen_unix(const struct conf *conf, const char *path, struct listening *listening,
                        int *count)
{
    int group = -1, fd;

    if (conf->unix_socket_group[0]) {
        struct group *entry = getgrnam(conf->unix_socket_group);

        if (!entry) {
            log_fatal("unix_socket_group: there is no group \"%s\"", conf->unix_socket_group);
            return false;
        }
        group = (int)entry->gr_gid;
    }
    fd = listener_open_unix(path, (unsigned)conf->unix_socket_mode, group,
                            (int)conf->listen_backlog);
    if (fd < 0) {
        log_fatal("could not listen on \"%s\": %s", path, strerror(errno));
        return false;
    }
    listening[*count].fd = fd;
    listening[(*count)++].unix_path = memory_text(path, strlen(path));
    return true;
}

/* The sockets of one line of [redis]. */
static bool listen_redis(const struct conf *conf, const struct conf_redis *line,
                         struct listening *listening, int *count)
{
    int before = *count;

    if (line->listen_port)
        for (size_t i = 0; i < line->listen_addr.count && *count < LISTENING_MAX - 1; i++)
            if (!listen_tcp(conf, line->listen_addr.items[i], line->listen_port, listening, count))
                return false;
    if (line->unix_socket && line->unix_socket[0] && *count < LISTENING_MAX &&
        !listen_unix(conf, line->unix_socket, listening, count))
        return false;
    for (int i = before; i < *count; i++)
        listening[i].redis_line = memory_text(line->name, strlen(line->name));
    return true;
}

int process_listen(const struct conf *conf, struct listening listening[LISTENING_MAX])
{
    char path[256];
    int count = 0;

    for (size_t i = 0; i < conf->listen_addr.count && count < LISTENING_MAX - 1; i++)
        if (!listen_tcp(conf, conf->listen_addr.items[i], conf->listen_port, listening, &count))
            return -1;
    snprintf(path, sizeof(path), "%s/.s.PGSQL.%lld", conf->unix_socket_dir,
             (long long)conf->listen_port);
    if (conf->unix_socket_dir[0] && !listen_unix(conf, path, listening, &count))
        return -1;
    for (size_t i = 0; i < conf->redis_count; i++)
        if (!listen_redis(conf, conf->redis[i], listening, &count))
            return -1;
    if (count == 0) {
        log_fatal("there is nothing to listen on: set listen_addr or unix_socket_dir");
        return -1;
    }
    return count;
}

void process_close_listening(struct listening listening[LISTENING_MAX])
{
    for (int i = 0; i < LISTENING_MAX; i++) {
        if (listening[i].fd <= 0)
            continue;
        close(listening[i].fd);
        if (listening[i].unix_path && listening[i].unix_path[0] != '@')
            unlink(listening[i].unix_path);
        free(listening[i].unix_path);
    }
}
