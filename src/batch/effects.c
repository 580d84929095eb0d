#include "sluice/batch/effects.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "statement.h"

#define CURSOR_OPTION_HOLD 0x0020 /* PostgreSQL's CURSOR_OPT_HOLD */
/* Deeper trees are not looked into: whatever is there may be left. */
#define DEPTH_MAX 500

/* --- the scan --- */

static const char *blanks_skip(const char *at, const char *end)
{
    while (at < end) {
        if (isspace((unsigned char)*at) || *at == '(') {
            at++;
        } else if (end - at >= 2 && at[0] == '-' && at[1] == '-') {
            at = memchr(at, '\n', (size_t)(end - at));
            if (!at)
                return end;
        } else if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
            int depth = 0;

            do {
                if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
                    depth++;
                    at += 2;
                } else if (end - at >= 2 && at[0] == '*' && at[1] == '/') {
                    depth--;
                    at += 2;
                } else {
                    at++;
                }
            } while (depth > 0 && at < end);
        } else {
            break;
        }
    }
    return at;
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static bool word_here(const char *at, const char *end, const char *word)
{
    size_t length = strlen(word);

    return (size_t)(end - at) >= length && strncasecmp(at, word, length) == 0 &&
           ((size_t)(end - at) == length || !in_word(at[length]));
}

/* True when a statement that begins here is worth a closer look. */
static bool begins_effect(const char *at, const char *end)
{
    static const char *const words[] = {
        "set",        "reset",   "discard", "listen", "unlisten", "prepare", "execute",
        "deallocate", "declare", "close",   "do",     "call",     "drop",
    };

    at = blanks_skip(at, end);
    if (end - at < 3)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if ((at[0] | 0x20) == words[i][0] && (at[1] | 0x20) == words[i][1] &&
            ((at[2] | 0x20) == words[i][2] || words[i][2] == '\0') && word_here(at, end, words[i]))
            return true;
    return false;
}

static bool follows(const char *at, const char *end, const char *word)
{
    size_t length = strlen(word);

    return (size_t)(end - at) >= length && strncasecmp(at, word, length) == 0;
}

static bool precedes(const char *at, const char *begin, const char *word)
{
    size_t length = strlen(word);

    return (size_t)(at - begin) >= length && strncasecmp(at - length, word, length) == 0;
}

/* TEMP or TEMPORARY, of which at is the P. */
static bool temporary_here(const char *at, const char *begin, const char *end)
{
    if (!precedes(at, begin, "tem") || (at - begin > 3 && in_word(at[-4])))
        return false;
    return at + 1 == end || !in_word(at[1]) || word_here(at + 1, end, "orary");
}

bool effects_possible(const char *text, size_t bytes)
{
    /* Where a closer look begins: at the end of a statement, in names such as set_config,
     * pg_advisory_lock and pg_temp, and in TEMP. */
    static const bool marks[256] = {
        [';'] = true,
        ['_'] = true,
        ['p'] = true,
        ['P'] = true,
    };
    const char *end = text + bytes;

    if (begins_effect(text, end))
        return true;
    for (const char *at = text; at < end; at++) {
        if (!marks[(unsigned char)*at])
            continue;
        if (*at == ';') {
            if (begins_effect(at + 1, end))
                return true;
        } else if (*at == '_') {
            if ((follows(at + 1, end, "config") && precedes(at, text, "set")) ||
                (follows(at + 1, end, "temp") && precedes(at, text, "pg")) ||
                precedes(at, text, "advisory"))
                return true;
        } else if (at > text && (at[-1] | 0x20) == 'm' && temporary_here(at, text, end)) {
            return true;
        }
    }
    return false;
}

/* --- the tree --- */

static const char *field_text(const json_t *fields, const char *name)
{
    const char *value = json_string_value(json_object_get(fields, name));

    return value ? value : "";
}

static void name_add(struct effects *effects, const char *name)
{
    effects->begins |= EFFECT_SETTINGS;
    if (effects->count == EFFECTS_NAMES_MAX || strlen(name) >= EFFECTS_NAME_BYTES) {
        effects->begins |= EFFECT_UNKNOWN;
        return;
    }
    strcpy(effects->names[effects->count++], name);
}

static void find_variable(struct effects *effects, const json_t *fields)
{
    const char *kind = field_text(fields, "kind"), *name = field_text(fields, "name");

    if (json_is_true(json_object_get(fields, "is_local")))
        return;
    if (strcmp(name, "session_authorization") == 0)
        effects->begins |= EFFECT_AUTHORIZATION;
    if (strcmp(kind, "VAR_RESET_ALL") == 0) {
        effects->begins |= EFFECT_SETTINGS | EFFECT_RESET_ALL;
    } else if (strcmp(kind, "VAR_SET_MULTI") != 0) {
        name_add(effects, name);
        if (strcmp(kind, "VAR_SET_DEFAULT") == 0)
            effects->begins |= EFFECT_DEFAULT;
    } else if (strcmp(name, "SESSION CHARACTERISTICS") == 0) {
        name_add(effects, "default_transaction_isolation");
    }
}

static void find_discard(struct effects *effects, const json_t *fields)
{
    const char *target = field_text(fields, "target");

    if (strcmp(target, "DISCARD_TEMP") == 0) {
        effects->ends |= EFFECT_TEMPORARY;
    } else if (strcmp(target, "DISCARD_ALL") == 0) {
        effects->begins |= EFFECT_SETTINGS | EFFECT_RESET_ALL;
        effects->ends |= EFFECTS_ALL | EFFECT_UNKNOWN;
    }
}

/* A boolean constant, also as 't'::bool. */
static bool constant_true(const json_t *node)
{
    json_t *cast = node_of(node, "TypeCast"), *constant;
    const char *text;

    constant = node_of(cast ? json_object_get(cast, "arg") : node, "A_Const");
    if (json_is_true(json_object_get(json_object_get(constant, "boolval"), "boolval")))
        return true;
    text = json_string_value(json_object_get(json_object_get(constant, "sval"), "sval"));
    return cast && text && (strcmp(text, "t") == 0 || strcmp(text, "true") == 0);
}

static void find_function(struct effects *effects, const json_t *fields)
{
    const char *name = names_last(json_object_get(fields, "funcname"));
    const json_t *arguments = json_object_get(fields, "args");

    if (!name)
        return;
    if (strcmp(name, "set_config") == 0) {
        const json_t *first = node_of(json_array_get(arguments, 0), "A_Const");
        const char *setting =
            json_string_value(json_object_get(json_object_get(first, "sval"), "sval"));

        if (constant_true(json_array_get(arguments, 2)))
            return;
        if (setting)
            name_add(effects, setting);
        else
            effects->begins |= EFFECT_SETTINGS | EFFECT_UNKNOWN;
    } else if (strncmp(name, "pg_advisory_", 12) == 0 ||
               strncmp(name, "pg_try_advisory_", 16) == 0) {
        if (strstr(name, "_unlock"))
            effects->ends |= EFFECT_LOCK;
        else if (!strstr(name, "_xact_"))
            effects->begins |= EFFECT_LOCK;
    }
}

static bool schema_temporary(const char *name)
{
    return strncmp(name, "pg_temp", 7) == 0;
}

static void find_node(struct effects *effects, const char *kind, const json_t *fields)
{
    if (strcmp(kind, "VariableSetStmt") == 0)
        find_variable(effects, fields);
    else if (strcmp(kind, "FuncCall") == 0)
        find_function(effects, fields);
    else if (strcmp(kind, "DiscardStmt") == 0)
        find_discard(effects, fields);
    else if (strcmp(kind, "ListenStmt") == 0)
        effects->begins |= EFFECT_LISTEN;
    else if (strcmp(kind, "UnlistenStmt") == 0)
        effects->ends |= EFFECT_LISTEN;
    else if (strcmp(kind, "PrepareStmt") == 0)
        effects->begins |= EFFECT_PREPARE;
    else if (strcmp(kind, "DeallocateStmt") == 0)
        effects->ends |= EFFECT_PREPARE;
    else if (strcmp(kind, "ClosePortalStmt") == 0)
        effects->ends |= EFFECT_CURSOR;
    else if (strcmp(kind, "DropStmt") == 0)
        effects->ends |= EFFECT_TEMPORARY;
    else if (strcmp(kind, "DoStmt") == 0 || strcmp(kind, "CallStmt") == 0)
        effects->begins |= EFFECTS_ALL;
    else if (strcmp(kind, "DeclareCursorStmt") == 0 &&
             json_integer_value(json_object_get(fields, "options")) & CURSOR_OPTION_HOLD)
        effects->begins |= EFFECT_CURSOR;
    else if (strcmp(kind, "String") == 0 && schema_temporary(field_text(fields, "sval")))
        effects->begins |= EFFECT_TEMPORARY;
}

static void find_below(struct effects *effects, const json_t *node, unsigned depth)
{
    const char *key;
    json_t *value;
    size_t i;

    if (depth > DEPTH_MAX) {
        effects->begins |= EFFECTS_ALL;
        return;
    }
    if (json_is_array(node)) {
        json_array_foreach(node, i, value) find_below(effects, value, depth + 1);
        return;
    }
    if (strcmp(field_text(node, "relpersistence"), "t") == 0 ||
        schema_temporary(field_text(node, "schemaname")))
        effects->begins |= EFFECT_TEMPORARY;
    json_object_foreach((json_t *)node, key, value)
    {
        if (json_is_object(value) && isupper((unsigned char)key[0]))
            find_node(effects, key, value);
        find_below(effects, value, depth + 1);
    }
}

void effects_find(const char *text, struct effects *effects)
{
    enum lookup_refusal refusal;
    json_t *tree = NULL;

    memset(effects, 0, sizeof(*effects));
    if (strnlen(text, EFFECTS_TEXT_BYTES_MAX + 1) <= EFFECTS_TEXT_BYTES_MAX)
        tree = statement_tree(text, &refusal);
    if (!tree) {
        effects->begins = EFFECTS_ALL;
        return;
    }
    find_below(effects, json_object_get(tree, "stmts"), 0);
    json_decref(tree);
}
