#include "pg_access.h"

#include <pwd.h>
#include <sys/socket.h>

#include "sluice/base/log.h"

#define PASSWD_BYTES 4096

struct hba_answer pg_access_rule(struct pg_client *client)
{
    const struct pg_client_login *login = client->login;
    struct hba_question question = {
        .database = login->database,
        .user = login->user,
        .address = &client->from,
        .tls = client->stream.tls != NULL,
        .replication = login->variant == VARIANT_PHYSICAL,
    };
    struct hba_answer rule = access_find(client->worker->access, &question);

    if (rule.line == 0)
        pg_client_log(client, LOG_LEVEL_WARNING, "no rule of auth_hba_file lets it in");
    else if (rule.method == AUTH_REJECT)
        pg_client_log(client, LOG_LEVEL_WARNING, "rejected by line %zu of auth_hba_file",
                      rule.line);
    return rule;
}

bool pg_access_peer(const struct pg_client *client, const struct hba_answer *rule)
{
    char text[PASSWD_BYTES];
    struct passwd entry, *found = NULL;
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return client->from.family == AF_UNIX &&
           getsockopt(client->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           getpwuid_r(peer.uid, &entry, text, sizeof(text), &found) == 0 && found &&
           access_names(client->worker->access, rule, found->pw_name, client->login->user);
}
