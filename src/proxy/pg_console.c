#include "pg_console.h"

#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/proxy/console_client.h"

bool pg_console_wanted(const struct pg_client *client)
{
    const char *name = client->login->database;
    const struct conf_database *database;

    if (strcmp(name, "pgbouncer") == 0)
        return true;
    if (strcmp(name, "sluice") != 0)
        return false;
    /* Somebody may have a database of this name. */
    database = conf_find_database(client->worker->conf, name);
    return !database || strcmp(database->name, name) != 0;
}

bool pg_console_same_user(const struct pg_client *client)
{
    const char *user = client->login->user;
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return client->from.family == AF_UNIX &&
           (strcmp(user, "pgbouncer") == 0 || strcmp(user, "sluice") == 0) &&
           getsockopt(client->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           peer.uid == getuid();
}

static bool user_listed(const struct conf_list *list, const char *user)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], user) == 0)
            return true;
    return false;
}

static void console_delivered(struct mail *mail, void *receiver)
{
    struct console_client *console = container_of(mail, struct console_client, mail);

    console->process->console_client(console->process, console);
}

void pg_console_begin(struct pg_client *client)
{
    const struct pg_client_login *login = client->login;
    const struct conf *conf = login->conf;
    struct process *process = client->worker->process;
    bool admin = pg_console_same_user(client) || user_listed(&conf->admin_users, login->user);
    struct console_client *console;

    if (!admin && !user_listed(&conf->stats_users, login->user)) {
        pg_client_close_failed(client, pg_error_row(PG_ERROR_CONSOLE_REFUSED));
        return;
    }
    console = memory_new(sizeof(*console));
    console->mail.deliver = console_delivered;
    console->process = process;
    console->from = client->from;
    console->id = client->id;
    console->connected_us = client->connected_us;
    console->admin = admin;
    memcpy(console->user, login->user, sizeof(console->user));
    memcpy(console->database, login->database, sizeof(console->database));
    memcpy(console->application_name, login->application_name, sizeof(console->application_name));
    stream_detach(&client->stream);
    console->stream = client->stream;
    console->in = client->in;
    memset(&client->stream, 0, sizeof(client->stream));
    memset(&client->in, 0, sizeof(client->in));
    pg_client_close(client, NULL);
    mailbox_send(process->main_mailbox, &console->mail);
}
