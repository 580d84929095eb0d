/* What a startup packet asks for: user, database, replication, session parameters. Which of the
 * last a client may have depends on its pool: in session mode servers are opened with whatever it
 * asks for, elsewhere only what all servers can be told is taken. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pg_client.h"
#include "pg_startup.h"

static void parameter_refuse(struct pg_client *client, const char *what, const char *name)
{
    struct pool_failure failure = {.sqlstate = "08P01"};

    snprintf(failure.message, sizeof(failure.message), "%s: %.64s", what, name);
    pg_client_close_failed(client, &failure);
}

static bool listed(const struct conf_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcasecmp(list->items[i], name) == 0)
            return true;
    return false;
}

/* As a server does: cut to 63 bytes, anything but printable ASCII becomes '?'. */
static void want_application_name(struct pg_client_login *login, const char *value)
{
    size_t length = 0;

    for (; value[length] && length < sizeof(login->application_name) - 1; length++)
        login->application_name[length] =
            value[length] >= 32 && value[length] <= 126 ? value[length] : '?';
    login->application_name[length] = '\0';
}

/* application_name_add_host: the client's address behind its name. */
static void startup_add_host(struct pg_client *client)
{
    char where[ADDRESS_TEXT_BYTES], name[160];

    snprintf(name, sizeof(name), "%s - %s", client->login->application_name,
             pg_client_address(client, where));
    want_application_name(client->login, name);
}

/* False, and the client is closed, when it cannot be kept. */
static bool want_parameter(struct pg_client *client, const char *name, const char *value)
{
    struct params_set *set = &client->worker->pools.params;
    struct pg_client_login *login = client->login;
    const char *kept;

    if (strcasecmp(name, "application_name") == 0) {
        want_application_name(login, value);
        return true;
    }
    if (!login->wanted)
        login->wanted = params_empty(set);
    login->wanted = params_with(set, login->wanted, name, value);
    kept = params_get(login->wanted, name);
    if (kept && strcmp(kept, value) == 0)
        return true;
    parameter_refuse(client, "unsupported startup parameter", name);
    return false;
}

/* True for the parameters that PgBouncer follows, and those that the settings add. */
static bool parameter_known(const struct conf *conf, const char *name)
{
    static const char *const known[] = {
        "client_encoding",  "datestyle", "timezone", "standard_conforming_strings",
        "application_name",
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcasecmp(known[i], name) == 0)
            return true;
    return listed(&conf->track_extra_parameters, name);
}

/* What not every server can be told is noted: it depends on the pool, which is not known yet. */
static bool take_parameter(struct pg_client *client, const char *name, const char *value,
                           bool option)
{
    const struct conf *conf = client->worker->conf;
    struct pg_client_login *login = client->login;

    if (!parameter_known(conf, name)) {
        if (listed(&conf->ignore_startup_parameters, name))
            return true;
        if (!login->unsupported[0]) {
            snprintf(login->unsupported, sizeof(login->unsupported), "%s", name);
            login->unsupported_option = option;
        }
    }
    return want_parameter(client, name, value);
}

/* One word of "options", as PostgreSQL splits them: blanks separate, a backslash protects. */
static bool option_word(const char **at, char *word, size_t size)
{
    size_t length = 0;

    while (**at == ' ' || **at == '\t' || **at == '\n')
        (*at)++;
    if (!**at)
        return false;
    for (; **at && **at != ' ' && **at != '\t' && **at != '\n'; (*at)++) {
        if (**at == '\\' && (*at)[1])
            (*at)++;
        if (length + 1 < size)
            word[length++] = **at;
    }
    word[length] = '\0';
    return true;
}

/* The startup parameter "options": -c name=value and --name=value. False: the client is closed. */
static bool startup_options(struct pg_client *client, const char *options)
{
    const struct conf *conf = client->worker->conf;
    char word[PARAM_VALUE_BYTES];

    if (listed(&conf->ignore_startup_parameters, "options"))
        return true;
    while (option_word(&options, word, sizeof(word))) {
        char *name = word, *value;

        if (strcmp(word, "-c") == 0) {
            if (!option_word(&options, word, sizeof(word)))
                break;
        } else if (strncmp(word, "-c", 2) == 0 || strncmp(word, "--", 2) == 0) {
            name = word + 2;
        } else {
            parameter_refuse(client, "unsupported startup parameter in options",
                             "only -c name=value is allowed");
            return false;
        }
        value = strchr(name, '=');
        if (!value) {
            parameter_refuse(client, "unsupported startup parameter in options", name);
            return false;
        }
        *value++ = '\0';
        for (char *dash = name; *dash; dash++)
            if (*dash == '-')
                *dash = '_';
        if (!take_parameter(client, name, value, true))
            return false;
    }
    return true;
}

/* As PostgreSQL reads it: a boolean, or `database`. */
static bool startup_replication(struct pg_client *client, const char *value)
{
    static const char *const words[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
    size_t length = strlen(value);
    struct pool_failure failure = {
        .sqlstate = "22023",
        .hint = "Valid values are: \"false\", 0, \"true\", 1, \"database\".",
    };

    if (strcmp(value, "database") == 0) {
        client->login->variant = VARIANT_LOGICAL;
        return true;
    }
    /* A word may be cut short where it stays the only one meant. */
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (length > (value[0] == 'o' || value[0] == 'O') && length <= strlen(words[i]) &&
            strncasecmp(value, words[i], length) == 0) {
            client->login->variant = i < 4 ? VARIANT_PHYSICAL : 0;
            return true;
        }
    snprintf(failure.message, sizeof(failure.message),
             "invalid value for parameter \"replication\": \"%.64s\"", value);
    pg_client_close_failed(client, &failure);
    return false;
}

/* False: the client is closed. */
bool pg_startup_parameter(struct pg_client *client, const char *name, const char *value)
{
    struct pg_client_login *login = client->login;

    if (strcmp(name, "user") == 0 || strcmp(name, "database") == 0) {
        char *to = name[0] == 'u' ? login->user : login->database;

        if (strlen(value) >= sizeof(login->user)) {
            pg_client_close_failed(client, pg_error_row(PG_ERROR_NAME_TOO_LONG));
            return false;
        }
        strcpy(to, value);
        return true;
    }
    if (strcmp(name, "options") == 0)
        return startup_options(client, value);
    if (strcmp(name, "replication") == 0)
        return startup_replication(client, value);
    return take_parameter(client, name, value, false);
}

void pg_startup_parameters_end(struct pg_client *client)
{
    if (client->worker->conf->application_name_add_host)
        startup_add_host(client);
}

bool pg_startup_parameters_supported(struct pg_client *client)
{
    const struct pg_client_login *login = client->login;

    if (!login->unsupported[0])
        return true;
    parameter_refuse(client,
                     login->unsupported_option ? "unsupported startup parameter in options"
                                               : "unsupported startup parameter",
                     login->unsupported);
    return false;
}
