#include "command.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* What a session would answer: drivers ask for these when they connect. */
static const struct {
    const char *name, *value;
} session[] = {
    {"default_transaction_isolation", "read committed"},
    {"transaction isolation level", "read committed"},
    {"transaction_isolation", "read committed"},
    {"standard_conforming_strings", "on"},
    {"datestyle", "ISO"},
    {"timezone", "GMT"},
    {"client_encoding", "UTF-8"},
};

static const char *skip_blanks(const char *text)
{
    for (;;) {
        const char *end;

        if (isspace((unsigned char)*text)) {
            text++;
        } else if (text[0] == '-' && text[1] == '-') {
            text += strcspn(text, "\n");
        } else if (text[0] == '/' && text[1] == '*' && (end = strstr(text + 2, "*/"))) {
            text = end + 2;
        } else {
            return text;
        }
    }
}

/* A word, or a quoted text in which a doubled quote stands for one. False when there is none, or it
 * is too long. */
static bool token(const char **at, char *word, size_t size)
{
    const char *text = skip_blanks(*at);
    char quote = *text == '"' || *text == '\'' ? *text++ : '\0';
    size_t length = 0;

    for (; *text; text++) {
        if (quote && *text == quote) {
            if (text[1] != quote)
                break;
            text++;
        } else if (!quote && (isspace((unsigned char)*text) || *text == ';' || *text == '=')) {
            break;
        }
        if (length + 1 >= size)
            return false;
        word[length++] = *text;
    }
    if (quote && *text++ != quote)
        return false;
    word[length] = '\0';
    *at = text;
    return length > 0 || quote;
}

/* True when nothing but semicolons follows. */
static bool at_end(const char *text)
{
    while (*(text = skip_blanks(text)) == ';')
        text++;
    return *text == '\0';
}

/* What follows up to the end, as one text with single blanks. */
static bool rest(const char *at, char *text, size_t size)
{
    char word[64];
    size_t length = 0;

    text[0] = '\0';
    while (!at_end(at)) {
        if (!token(&at, word, sizeof(word)))
            return false;
        length += (size_t)snprintf(text + length, size - length, "%s%s", length ? " " : "", word);
        if (length >= size)
            return false;
    }
    return length > 0;
}

static bool parse_show(struct statement *statement, const char *at)
{
    char name[128];

    if (!rest(at, name, sizeof(name)))
        return false;
    if (strcasecmp(name, "help") == 0) {
        statement->kind = STATEMENT_HELP;
        return true;
    }
    statement->kind = STATEMENT_SHOW;
    statement->show = show_find(name);
    if (statement->show)
        return true;
    statement->kind = STATEMENT_SHOW_VALUE;
    for (size_t i = 0; i < sizeof(session) / sizeof(session[0]); i++)
        if (strcasecmp(name, session[i].name) == 0) {
            statement->name = session[i].name;
            statement->constant = session[i].value;
            return true;
        }
    return false;
}

/* key = value, or key TO value */
static bool parse_setting(struct statement *statement, const char *at)
{
    char word[8];

    if (!token(&at, statement->argument, sizeof(statement->argument)))
        return false;
    at = skip_blanks(at);
    if (*at == '=')
        at++;
    else if (!token(&at, word, sizeof(word)) || strcasecmp(word, "to") != 0)
        return false;
    return token(&at, statement->value, sizeof(statement->value)) && at_end(at);
}

static bool parse_command(struct statement *statement, const char *name, const char *at)
{
    for (const struct command *command = commands; command->name; command++) {
        if (strcasecmp(command->name, name) != 0)
            continue;
        statement->kind = STATEMENT_COMMAND;
        statement->command = command;
        if (command->argument == ARGUMENT_SETTING)
            return parse_setting(statement, at);
        if (at_end(at))
            return true;
        return command->argument == ARGUMENT_OPTIONAL &&
               token(&at, statement->argument, sizeof(statement->argument)) && at_end(at);
    }
    return false;
}

bool statement_parse(struct statement *statement, const char *text, struct pool_failure *failure)
{
    const char *at = text;
    char name[32];
    bool good;

    memset(statement, 0, sizeof(*statement));
    if (at_end(at))
        return true;
    if (!token(&at, name, sizeof(name)))
        good = false;
    else if (strcasecmp(name, "show") == 0 || strcasecmp(name, "select") == 0)
        good = parse_show(statement, at);
    else
        good = parse_command(statement, name, at);
    if (!good)
        pool_failure_set(failure, "42601", "invalid command '%.400s', use SHOW HELP;", text);
    return good;
}
