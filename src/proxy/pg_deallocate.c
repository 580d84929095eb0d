#include "pg_deallocate.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\r\n\f\v"

static bool begins(const char *sql, size_t bytes, const char *word)
{
    return bytes >= strlen(word) && strncasecmp(sql, word, strlen(word)) == 0;
}

bool pg_deallocate_begins(const char *sql, size_t bytes)
{
    while (bytes > 0 && *sql && strchr(BLANKS, *sql)) {
        sql++;
        bytes--;
    }
    return begins(sql, bytes, "deallocate") || begins(sql, bytes, "discard");
}

/* Moves behind the word if it stands here by itself. */
static bool word_skip(const char **sql, const char *word)
{
    size_t length = strlen(word);

    if (strncasecmp(*sql, word, length) != 0 || !strchr(BLANKS, (*sql)[length]) || !(*sql)[length])
        return false;
    *sql += length;
    *sql += strspn(*sql, BLANKS);
    return true;
}

static bool name_char(unsigned char c)
{
    return isalnum(c) || c == '_' || c == '$' || c >= 0x80;
}

/* Reads an identifier, folded and cut as PostgreSQL does; false when there is none. */
static bool name_read(const char **sql, char name[PG_DEALLOCATE_NAME_BYTES])
{
    const char *at = *sql;
    size_t length = 0;
    bool quoted = *at == '"';

    if (quoted)
        at++;
    else if (!isalpha((unsigned char)*at) && *at != '_')
        return false;
    while (quoted ? *at != '\0' && (*at != '"' || at[1] == '"') : name_char((unsigned char)*at)) {
        char c = quoted ? *at : (char)tolower((unsigned char)*at);

        if (quoted && *at == '"')
            at++;
        /* What PostgreSQL would cut, between two characters perhaps, is left to it. */
        if (length == PG_DEALLOCATE_NAME_BYTES - 1)
            return false;
        name[length++] = c;
        at++;
    }
    if (quoted && *at++ != '"')
        return false;
    name[length] = '\0';
    *sql = at;
    return length > 0 && (quoted || (strcmp(name, "all") != 0 && strcmp(name, "prepare") != 0));
}

bool pg_deallocate_name(const char *sql, size_t bytes, char name[PG_DEALLOCATE_NAME_BYTES])
{
    if (bytes == 0 || strnlen(sql, bytes) != bytes - 1)
        return false;
    sql += strspn(sql, BLANKS);
    if (!word_skip(&sql, "deallocate"))
        return false;
    word_skip(&sql, "prepare");
    if (!name_read(&sql, name))
        return false;
    sql += strspn(sql, BLANKS);
    if (*sql == ';')
        sql += 1 + strspn(sql + 1, BLANKS);
    return *sql == '\0';
}
