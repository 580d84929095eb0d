#include "sluice/daemon/systemd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sluice/base/clock.h"
#include "sluice/net/address.h"

static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t size = path ? address_unix(path, &address) : 0;
    int fd;

    if (size == 0)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    close(fd);
}

void systemd_ready(void)
{
    notify("READY=1\nSTATUS=Serving");
}

void systemd_reloading(void)
{
    char state[96];

    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=Reloading",
             clock_us());
    notify(state);
}

void systemd_stopping(void)
{
    notify("STOPPING=1\nSTATUS=Stopping");
}

void systemd_alive(void)
{
    notify("WATCHDOG=1");
}

uint64_t systemd_watchdog_us(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *process = getenv("WATCHDOG_PID");

    if (!interval || (process && strtol(process, NULL, 10) != getpid()))
        return 0;
    return strtoull(interval, NULL, 10);
}
