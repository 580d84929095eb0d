#include "sluice/admin/admin.h"

#include <stdlib.h>

#include "console.h"
#include "http.h"
#include "sluice/auth/secret.h"
#include "sluice/base/memory.h"
#include "state.h"

struct admin *admin_new(const struct admin_host *host)
{
    struct admin *admin = memory_new(sizeof(*admin));

    admin->host = *host;
    list_init(&admin->consoles);
    admin->started_us = loop_now_us(host->loop);
    stats_init(&admin->stats, admin, false);
    stats_init(&admin->redis_stats, admin, true);
    history_init(&admin->history, admin);
    admin->http = http_new(admin);
    return admin;
}

void admin_free(struct admin *admin)
{
    struct list_node *node;

    readiness_fini(&admin->readiness);
    http_free(admin->http);
    history_fini(&admin->history);
    admin->suspender = NULL;
    while ((node = list_first(&admin->consoles)))
        console_close(container_of(node, struct console, node), "shutting down");
    stats_fini(&admin->stats);
    stats_fini(&admin->redis_stats);
    free(admin);
}

void admin_console_client(struct admin *admin, struct console_client *client)
{
    console_new(admin, client);
}

void admin_console_cancel(struct admin *admin, uint32_t process_id, uint32_t secret)
{
    LIST_EACH_SAFE (&admin->consoles, node, next) {
        struct console *console = container_of(node, struct console, node);

        if (console->process_id != process_id ||
            !secret_equal(&console->secret, &secret, sizeof(secret)))
            continue;
        console_cancel(console);
        return;
    }
}

void admin_paused(struct admin *admin, bool paused)
{
    admin->paused = paused;
}
