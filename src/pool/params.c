#include "sluice/pool/params.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

/* Content: name NUL value NUL ..., sorted by name. */
struct params {
    UT_hash_handle hh;
    size_t holders;
    size_t length;
    char content[];
};

static struct params *params_intern(struct params_set *set, const char *content, size_t length)
{
    struct params *params;

    HASH_FIND(hh, set->all, content, length, params);
    if (params)
        return params_hold(params);
    params = memory_new(sizeof(*params) + length);
    params->holders = 1;
    params->length = length;
    if (length)
        memcpy(params->content, content, length);
    HASH_ADD_KEYPTR(hh, set->all, params->content, length, params);
    return params;
}

void params_set_fini(struct params_set *set)
{
    struct params *params, *following;

    HASH_ITER(hh, set->all, params, following)
    {
        HASH_DEL(set->all, params);
        free(params);
    }
}

struct params *params_empty(struct params_set *set)
{
    return params_intern(set, "", 0);
}

struct params *params_hold(struct params *params)
{
    params->holders++;
    return params;
}

void params_drop(struct params_set *set, struct params *params)
{
    if (!params || --params->holders > 0)
        return;
    HASH_DEL(set->all, params);
    free(params);
}

struct params *params_leave(struct params_set *from, struct params *params)
{
    struct params *loner = memory_new(sizeof(*loner) + params->length);

    loner->length = params->length;
    memcpy(loner->content, params->content, params->length);
    params_drop(from, params);
    return loner;
}

struct params *params_join(struct params_set *to, struct params *params)
{
    struct params *joined = params_intern(to, params->content, params->length);

    free(params);
    return joined;
}

bool params_are_empty(const struct params *params)
{
    return params->length == 0;
}

const char *params_next(const struct params *params, const char *name, const char **value)
{
    const char *next = params->content;

    if (name) {
        next = name + strlen(name) + 1;
        next += strlen(next) + 1;
    }
    if (next >= params->content + params->length)
        return NULL;
    *value = next + strlen(next) + 1;
    return next;
}

const char *params_get(const struct params *params, const char *name)
{
    const char *value;

    for (const char *at = params_next(params, NULL, &value); at;
         at = params_next(params, at, &value))
        if (strcasecmp(at, name) == 0)
            return value;
    return NULL;
}

static size_t content_put(char *content, size_t length, const char *name, const char *value)
{
    size_t name_bytes = strlen(name) + 1, value_bytes = strlen(value) + 1;

    memcpy(content + length, name, name_bytes);
    memcpy(content + length + name_bytes, value, value_bytes);
    return length + name_bytes + value_bytes;
}

/* Names go into statements of ours, so a hostile one must not get in. */
static bool name_plain(const char *name)
{
    return name[0] &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.") ==
               strlen(name);
}

static size_t params_count(const struct params *params)
{
    size_t count = 0;
    const char *value;

    for (const char *at = params_next(params, NULL, &value); at;
         at = params_next(params, at, &value))
        count++;
    return count;
}

struct params *params_with(struct params_set *set, struct params *params, const char *name,
                           const char *value)
{
    char content[PARAMS_BYTES_MAX];
    const char *old_value, *present = params_get(params, name);
    size_t length = 0;
    bool placed = false;
    struct params *changed;

    if ((present ? strcmp(present, value) == 0 : params_count(params) >= PARAMS_MAX) ||
        !name_plain(name) || strlen(name) >= PARAM_NAME_BYTES ||
        strlen(value) >= PARAM_VALUE_BYTES ||
        params->length + strlen(name) + strlen(value) + 2 > sizeof(content))
        return params;
    for (const char *at = params_next(params, NULL, &old_value); at;
         at = params_next(params, at, &old_value)) {
        int order = strcasecmp(name, at);

        if (order <= 0 && !placed) {
            length = content_put(content, length, order == 0 ? at : name, value);
            placed = true;
        }
        if (order != 0)
            length = content_put(content, length, at, old_value);
    }
    if (!placed)
        length = content_put(content, length, name, value);
    changed = params_intern(set, content, length);
    params_drop(set, params);
    return changed;
}

struct params *params_without(struct params_set *set, struct params *params, const char *name)
{
    char content[PARAMS_BYTES_MAX];
    size_t length = 0;
    const char *value;
    struct params *changed;

    if (!params_get(params, name))
        return params;
    for (const char *at = params_next(params, NULL, &value); at;
         at = params_next(params, at, &value))
        if (strcasecmp(at, name) != 0)
            length = content_put(content, length, at, value);
    changed = params_intern(set, content, length);
    params_drop(set, params);
    return changed;
}

bool param_settable(const char *name)
{
    static const char *const fixed[] = {
        "server_version",        "server_encoding", "is_superuser",
        "session_authorization", "in_hot_standby",  "integer_datetimes",
    };

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcasecmp(name, fixed[i]) == 0)
            return false;
    return true;
}

/* One SET; the value in a form that means the same under every standard_conforming_strings. Bytes
 * outside ASCII become '?', as PostgreSQL does itself: they could change what a quote means in some
 * client encodings. Returns the new length, or size when it does not fit. */
static size_t set_put(char *text, size_t size, size_t length, const char *name, const char *value)
{
    /* "SET " name " = E'" value "';" with every byte of the value doubled at worst */
    if (size - length < strlen(name) + 2 * strlen(value) + 16)
        return size;
    length = (size_t)(stpcpy(stpcpy(stpcpy(text + length, "SET "), name), " = E'") - text);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            text[length++] = *value;
        text[length++] = (unsigned char)*value < 128 ? *value : '?';
    }
    strcpy(text + length, "';");
    return length + 2;
}

size_t params_difference(const struct params *to, const struct params *from, char *text,
                         size_t size)
{
    size_t length = 0;
    const char *value;

    for (const char *name = params_next(to, NULL, &value); name && length < size;
         name = params_next(to, name, &value)) {
        const char *present = params_get(from, name);

        if (present && strcmp(present, value) != 0 && param_settable(name))
            length = set_put(text, size, length, name, value);
    }
    return length;
}

/* With its words in quotes: one may be reserved, as in user.id. */
static char *name_put(char *text, const char *name)
{
    *text++ = '"';
    for (; *name; name++)
        if (*name == '.')
            text = stpcpy(text, "\".\"");
        else
            *text++ = *name;
    return stpcpy(text, "\"");
}

/* Settings that are lists of names which SET would quote as one (GUC_LIST_QUOTE; PostgreSQL allows
 * no further ones). */
static bool setting_is_name_list(const char *name)
{
    static const char *const lists[] = {"search_path", "temp_tablespaces",
                                        "local_preload_libraries", "session_preload_libraries"};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (strcasecmp(name, lists[i]) == 0)
            return true;
    return false;
}

static char *setting_put(char *text, const char *name, const char *value)
{
    bool list = setting_is_name_list(name);

    text = stpcpy(text, list ? "SELECT pg_catalog.set_config('" : "SET ");
    text = stpcpy(list ? stpcpy(text, name) : name_put(text, name), list ? "',E'" : "=E'");
    for (; *value; value++) {
        if (*value == '\'')
            *text++ = '\'';
        *text++ = *value;
    }
    return stpcpy(text, list ? "',false);" : "';");
}

size_t settings_difference(const struct params *to, const struct params *from,
                           char text[SETTINGS_TEXT_BYTES])
{
    const char *value, *role = params_get(to, "role");
    char *at = stpcpy(text, "SET exit_on_error=on;");

    /* The role comes last and goes first: it may not be allowed to set the others. */
    if (params_get(from, "role"))
        at = stpcpy(at, "RESET role;");
    for (const char *name = params_next(from, NULL, &value); name;
         name = params_next(from, name, &value))
        if (!params_get(to, name) && strcasecmp(name, "role") != 0)
            at = stpcpy(name_put(stpcpy(at, "RESET "), name), ";");
    for (const char *name = params_next(to, NULL, &value); name;
         name = params_next(to, name, &value)) {
        const char *present = params_get(from, name);

        if ((!present || strcmp(present, value) != 0) && strcasecmp(name, "role") != 0)
            at = setting_put(at, name, value);
    }
    if (role)
        at = setting_put(at, "role", role);
    at = stpcpy(at, "RESET exit_on_error");
    ensure((size_t)(at - text) < SETTINGS_TEXT_BYTES);
    return (size_t)(at - text);
}
