#include "conf/pairs.h"

#include <string.h>

#define BLANKS " \t"

void pairs_init(struct pairs *pairs, enum conf_section section, const char *line)
{
    *pairs = (struct pairs){.section = section, .at = line};
}

void pairs_fini(struct pairs *pairs)
{
    text_fini(&pairs->key);
    text_fini(&pairs->value);
}

static void skip_blanks(struct pairs *pairs)
{
    pairs->at += strspn(pairs->at, BLANKS);
}

/* `key= key2=value`: nobody means "key2=value" as the value of key, although PgBouncer reads it so.
 */
static bool at_another_key(const struct pairs *pairs)
{
    char name[64];
    size_t length = strspn(pairs->at, "abcdefghijklmnopqrstuvwxyz_");

    if (length >= sizeof(name) || pairs->at[length] != '=')
        return false;
    memcpy(name, pairs->at, length);
    name[length] = '\0';
    return conf_row_find(pairs->section, name) != NULL;
}

static enum pairs_verdict unquote(struct pairs *pairs)
{
    for (pairs->at++; *pairs->at; pairs->at++) {
        if (*pairs->at == '\'' && pairs->at[1] != '\'') {
            pairs->at++;
            return PAIRS_ONE;
        }
        pairs->at += *pairs->at == '\'';
        text_add_byte(&pairs->value, *pairs->at);
    }
    return PAIRS_OPEN_QUOTE;
}

enum pairs_verdict pairs_next(struct pairs *pairs)
{
    size_t length;
    bool apart;

    text_clear(&pairs->key);
    text_clear(&pairs->value);
    skip_blanks(pairs);
    if (*pairs->at == '\0')
        return PAIRS_END;

    length = strcspn(pairs->at, "=" BLANKS);
    text_add(&pairs->key, pairs->at, length);
    pairs->at += length;
    skip_blanks(pairs);
    if (*pairs->at != '=' || length == 0)
        return PAIRS_NO_EQUALS;
    pairs->at++;

    apart = strspn(pairs->at, BLANKS) > 0;
    skip_blanks(pairs);
    if (*pairs->at == '\'')
        return unquote(pairs);
    if (*pairs->at == '\0' || (apart && at_another_key(pairs)))
        return PAIRS_NO_VALUE;
    length = strcspn(pairs->at, BLANKS);
    text_add(&pairs->value, pairs->at, length);
    pairs->at += length;
    return PAIRS_ONE;
}
