#include "wire/resp_inline.h"

#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/wire/resp.h"
#include "sluice/wire/resp_write.h"

/* The rules are those of redis-server's sdssplitargs: words are separated by white space; "..."
 * knows \n \r \t \b \a \xHH and \ before anything else; '...' knows \' only; a closing quote must
 * be the end of its word; a quote may open in the middle of one. */

struct word {
    uint8_t *to; /* NULL: only measure */
    size_t room, length;
};

static void word_add(struct word *word, uint8_t byte)
{
    if (word->to && word->length < word->room)
        word->to[word->length] = byte;
    word->length++;
}

/* isspace() of the C locale. */
static bool byte_is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* at: behind a backslash in double quotes. Returns what is behind the escape. */
static const uint8_t *escape_read(const uint8_t *at, const uint8_t *end, struct word *word)
{
    static const char names[] = "nrtba", values[] = "\n\r\t\b\a";
    const char *name;

    if (*at == 'x' && end - at > 2 && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
        word_add(word, (uint8_t)(hex_digit(at[1]) << 4 | hex_digit(at[2])));
        return at + 3;
    }
    name = strchr(names, *at);
    word_add(word, name ? (uint8_t)values[name - names] : *at);
    return at + 1;
}

/* at: behind the opening quote. Returns what is behind the closing one, or NULL: unbalanced. */
static const uint8_t *quoted_read(const uint8_t *at, const uint8_t *end, uint8_t quote,
                                  struct word *word)
{
    while (at < end && *at != quote) {
        if (*at == '\\' && end - at > 1 && quote == '"') {
            at = escape_read(at + 1, end, word);
        } else if (*at == '\\' && end - at > 1 && at[1] == '\'') {
            word_add(word, '\'');
            at += 2;
        } else {
            word_add(word, *at++);
        }
    }
    if (at == end || (end - at > 1 && !byte_is_space(at[1])))
        return NULL;
    return at + 1;
}

/* Reads the word that begins at `at`. Returns what is behind it, or NULL: unbalanced quotes. */
static const uint8_t *word_read(const uint8_t *at, const uint8_t *end, struct word *word)
{
    while (at < end && *at != ' ' && *at != '\n' && *at != '\r' && *at != '\t') {
        if (*at == '"' || *at == '\'')
            return quoted_read(at + 1, end, *at, word);
        word_add(word, *at++);
    }
    return at;
}

static const uint8_t *space_skip(const uint8_t *at, const uint8_t *end)
{
    while (at < end && byte_is_space(*at))
        at++;
    return at;
}

/* The end of the line's text: without LF, and without one CR before it. */
static const uint8_t *line_end(const uint8_t *line, size_t length)
{
    ensure(length > 0 && line[length - 1] == '\n');
    length--;
    return line + length - (length > 0 && line[length - 1] == '\r');
}

int64_t resp_inline_check(const uint8_t *line, size_t length, uint8_t *first, size_t room,
                          size_t *first_bytes)
{
    const uint8_t *end = line_end(line, length), *at = space_skip(line, end);
    int64_t words = 0;

    *first_bytes = 0;
    while (at < end) {
        struct word word = {.to = words == 0 ? first : NULL, .room = room};

        at = word_read(at, end, &word);
        if (!at)
            return -1;
        if (words++ == 0)
            *first_bytes = word.length;
        at = space_skip(at, end);
    }
    return words;
}

size_t resp_inline_encode(const uint8_t *line, size_t length, uint8_t *to, size_t room)
{
    struct resp_writer writer = resp_writer_of(to, room, 2);
    const uint8_t *end = line_end(line, length), *at = space_skip(line, end);
    uint8_t first[1];
    size_t first_bytes;
    int64_t words = resp_inline_check(line, length, first, sizeof(first), &first_bytes);

    ensure(words > 0);
    resp_write_array(&writer, (size_t)words);
    while (at < end) {
        struct word word = {.to = NULL};

        word_read(at, end, &word);
        resp_write_bulk_head(&writer, word.length);
        if (writer.failed || writer.size - writer.length < word.length)
            return 0;
        word = (struct word){.to = writer.bytes + writer.length, .room = word.length};
        at = space_skip(word_read(at, end, &word), end);
        writer.length += word.length;
        resp_write_raw(&writer, "\r\n", 2);
    }
    return writer.failed ? 0 : writer.length;
}
