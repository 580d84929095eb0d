#include "sluice/batch/prepare.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "statement.h"

/* Deeper trees are not looked into: such a statement may be there. */
#define DEPTH_MAX 500

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

bool prepare_begins(const char *text, size_t bytes)
{

    while (bytes > 0 && isspace((unsigned char)*text)) {
        text++;
        bytes--;
    }
    if (bytes < 2)
        return false;
    switch (*text) {
    case 'p':
    case 'P':
    case 'e':
    case 'E':
        return bytes > 7 &&
               (strncasecmp(text, "prepare", 7) == 0 || strncasecmp(text, "execute", 7) == 0);
    case '/':
        return text[1] == '*';
    case '-':
        return text[1] == '-';
    default:
        return false;
    }
}

bool prepare_mentioned(const char *text, size_t bytes)
{
    static const char *const words[] = {"prepare", "execute", "deallocate"};
    const char *end = text + bytes;

    for (const char *at = text; at < end; at++) {
        if (!memchr("pPeEdD", *at, 6) || (at > text && in_word(at[-1])))
            continue;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            size_t length = strlen(words[i]);

            if ((size_t)(end - at) >= length && strncasecmp(at, words[i], length) == 0 &&
                ((size_t)(end - at) == length || !in_word(at[length])))
                return true;
        }
    }
    return false;
}

/* Moves behind blanks and comments, which nest. */
static const char *blanks_skip(const char *at)
{
    for (;;) {
        if (isspace((unsigned char)*at)) {
            at++;
        } else if (at[0] == '-' && at[1] == '-') {
            at += strcspn(at, "\r\n");
        } else if (at[0] == '/' && at[1] == '*') {
            int depth = 0;

            do {
                if (at[0] == '/' && at[1] == '*') {
                    depth++;
                    at += 2;
                } else if (at[0] == '*' && at[1] == '/') {
                    depth--;
                    at += 2;
                } else if (*at) {
                    at++;
                }
            } while (depth > 0 && *at);
        } else {
            return at;
        }
    }
}

/* Where the name behind the first word stands; that it is the one that the parser has read is
 * checked. False: it is written in a way that is not read here. */
static bool name_place(const char *text, struct prepare *prepare)
{
    const char *at = blanks_skip(text);
    const char *start, *name = prepare->name;

    while (isalpha((unsigned char)*at))
        at++;
    start = at = blanks_skip(at);
    if (*at == '"') {
        for (at++; *at && (*at != '"' || at[1] == '"'); at++) {
            if (*at != *name++ || (unsigned char)*at >= 0x80)
                return false;
            at += *at == '"';
        }
        if (*at++ != '"')
            return false;
    } else {
        for (; in_word(*at); at++)
            if (tolower((unsigned char)*at) != *name++ || (unsigned char)*at >= 0x80)
                return false;
    }
    if (*name || at == start || *at == '&') /* U&"..." */
        return false;
    prepare->start = (size_t)(start - text);
    prepare->end = (size_t)(at - text);
    return true;
}

static bool name_take(const json_t *fields, const char *text, struct prepare *prepare)
{
    const char *name = json_string_value(json_object_get(fields, "name"));

    if (!name || strlen(name) >= sizeof(prepare->name))
        return false;
    strcpy(prepare->name, name);
    return name_place(text, prepare);
}

/* A node that says that such a statement may be below. */
static bool node_hides(const char *kind)
{
    return strcmp(kind, "PrepareStmt") == 0 || strcmp(kind, "ExecuteStmt") == 0 ||
           strcmp(kind, "DeallocateStmt") == 0 || strcmp(kind, "DoStmt") == 0;
}

static bool hidden_below(const json_t *node, unsigned depth)
{
    const char *key;
    json_t *value;
    size_t i;

    if (depth > DEPTH_MAX)
        return true;
    if (json_is_array(node)) {
        json_array_foreach(node, i, value)
        {
            if (hidden_below(value, depth + 1))
                return true;
        }
        return false;
    }
    json_object_foreach((json_t *)node, key, value)
    {
        if ((isupper((unsigned char)key[0]) && node_hides(key)) || hidden_below(value, depth + 1))
            return true;
    }
    return false;
}

void prepare_find(const char *text, struct prepare *prepare)
{
    enum lookup_refusal refusal;
    json_t *tree = statement_tree(text, &refusal), *list, *statement, *fields = NULL;
    const char *kind;

    memset(prepare, 0, sizeof(*prepare));
    if (!tree) {
        /* A newer server may read it. */
        prepare->kind = prepare_mentioned(text, strlen(text)) ? PREPARE_HIDDEN : PREPARE_NONE;
        return;
    }
    list = json_object_get(tree, "stmts");
    statement = json_object_get(json_array_get(list, 0), "stmt");
    kind = json_array_size(list) == 1 ? node_kind(statement, &fields) : NULL;
    if (kind && strcmp(kind, "PrepareStmt") == 0)
        prepare->kind = name_take(fields, text, prepare) ? PREPARE_NAMES : PREPARE_HIDDEN;
    else if (kind && strcmp(kind, "ExecuteStmt") == 0)
        prepare->kind = name_take(fields, text, prepare) ? PREPARE_EXECUTE : PREPARE_HIDDEN;
    else if (!(kind && strcmp(kind, "DeallocateStmt") == 0) && hidden_below(list, 0))
        prepare->kind = PREPARE_HIDDEN;
    json_decref(tree);
}
