#include "conf/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "conf/text.h"
#include "sluice/base/memory.h"

#define SECTION_BYTES 49 /* of inih's buffer for the name of a section */
#define FILES_MOST 1000
#define STATEMENTS_MOST 1000000

/* A file that is being read; below the top of the stack, one that waits for what it includes. */
struct source {
    char *path;
    dev_t device;
    ino_t inode;
    struct text content;
    size_t position, line;
};

struct reader {
    struct source sources[READER_DEPTH + 1];
    size_t depth; /* sources in use; the last one is read */
    size_t files, bytes_left, statements;
    bool in_section;
    char section[SECTION_BYTES + 1];

    /* The statement on its way through inih. */
    struct text encoded; /* "name=value" with %XX, */
    size_t passed;       /* of which this much is with inih */
    struct text name, value;
    size_t line_bytes; /* of inih's buffer for a line */

    struct conf_report *report;
    void (*each)(void *context, const struct statement *statement);
    void *context;
};

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte && strchr("_.-*", byte)) || (byte & 0x80);
}

static struct source *reader_top(struct reader *reader)
{
    return reader->depth > 0 ? &reader->sources[reader->depth - 1] : NULL;
}

#define complain(reader, ...)                                             \
    conf_report_add((reader)->report, CONF_ERROR,                         \
                    reader_top(reader) ? reader_top(reader)->path : NULL, \
                    reader_top(reader) ? reader_top(reader)->line : 0, __VA_ARGS__)

/* ---- files ---- */

static void reader_pop(struct reader *reader)
{
    struct source *source = &reader->sources[--reader->depth];

    free(source->path);
    text_fini(&source->content);
    *source = (struct source){0};
}

static bool reader_holds(const struct reader *reader, const struct stat *status)
{
    for (size_t i = 0; i < reader->depth; i++)
        if (reader->sources[i].device == status->st_dev &&
            reader->sources[i].inode == status->st_ino)
            return true;
    return false;
}

/* Puts an open file on the stack; closes fd. */
static void reader_push_fd(struct reader *reader, const char *path, int fd)
{
    struct source source = {.path = memory_text(path, strlen(path))};
    struct stat status;
    int problem = 0;

    if (fstat(fd, &status) < 0)
        problem = errno;
    else if (reader_holds(reader, &status))
        problem = ELOOP;
    else
        problem = text_add_file(&source.content, fd, reader->bytes_left);
    close(fd);
    reader->bytes_left -= source.content.length;

    if (problem != 0) {
        if (problem == ELOOP)
            complain(reader, "%s includes itself", path);
        else if (problem == EFBIG)
            complain(reader, "%s: too large for settings", path);
        else
            complain(reader, "cannot read %s: %s", path, strerror(problem));
        free(source.path);
        text_fini(&source.content);
        return;
    }
    source.device = status.st_dev;
    source.inode = status.st_ino;
    reader->sources[reader->depth++] = source;
}

/* Relative to the working directory as in PgBouncer; failing that, beside the file that includes.
 * Returns a descriptor, or -1 with errno; `found` is the path that was tried last. */
static int reader_open(struct reader *reader, const char *path, struct text *found)
{
    const char *from = reader_top(reader) ? reader_top(reader)->path : "";
    const char *slash = strrchr(from, '/');
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 || errno != ENOENT || path[0] == '/' || !slash) {
        text_add(found, path, strlen(path));
        return fd;
    }
    text_addf(found, "%.*s/%s", (int)(slash - from), from, path);
    return open(text_get(found), O_RDONLY | O_CLOEXEC);
}

static void reader_include(struct reader *reader, const char *path)
{
    struct text found = {0};
    int fd;

    if (reader->depth > READER_DEPTH || reader->files++ >= FILES_MOST) {
        complain(reader, "%%include %s: too many files include one another", path);
        return;
    }
    fd = reader_open(reader, path, &found);
    if (fd >= 0)
        reader_push_fd(reader, text_get(&found), fd);
    else
        complain(reader, "cannot open %s: %s", path, strerror(errno));
    text_fini(&found);
}

/* ---- lines ---- */

/* The next line of the file on top, without blanks at either end. */
static bool source_next_line(struct reader *reader, const char **line, size_t *length)
{
    struct source *source = reader_top(reader);
    const char *end, *start = text_get(&source->content) + source->position;
    size_t left = source->content.length - source->position;

    if (left == 0)
        return false;
    end = memchr(start, '\n', left);
    *length = end ? (size_t)(end - start) : left;
    source->position += *length + (end ? 1 : 0);
    source->line++;

    if (memchr(start, '\0', *length)) {
        complain(reader, "a NUL byte; this is not a settings file");
        return false;
    }
    if (*length > READER_LINE_BYTES) {
        complain(reader, "the line is %zu bytes long; at most %d are allowed", *length,
                 READER_LINE_BYTES);
        *length = 0;
    }
    if (source->line == 1 && *length >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
        start += 3;
        *length -= 3;
    }
    while (*length > 0 && is_blank(*start)) {
        start++;
        --*length;
    }
    while (*length > 0 && is_blank(start[*length - 1]))
        --*length;
    *line = start;
    return true;
}

static void add_encoded(struct text *encoded, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        if (byte <= ' ' || byte == 0x7f || strchr("%;#:=[]\"", byte))
            text_addf(encoded, "%%%02x", byte);
        else
            text_add_byte(encoded, (char)byte);
    }
}

static int hex_value(char digit)
{
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

static void add_decoded(struct text *decoded, const char *encoded)
{
    for (; *encoded; encoded++) {
        if (*encoded == '%') {
            text_add_byte(decoded, (char)(hex_value(encoded[1]) * 16 + hex_value(encoded[2])));
            encoded += 2;
        } else {
            text_add_byte(decoded, *encoded);
        }
    }
}

/* A name in double quotes, in which two stand for one. Returns what follows, or NULL. */
static const char *unquote_name(const char *at, const char *end, struct text *name)
{
    for (at++; at < end; at++) {
        if (*at == '"' && (at + 1 == end || at[1] != '"'))
            return at + 1;
        at += *at == '"';
        text_add_byte(name, *at);
    }
    return NULL;
}

/* name = value; leaves it encoded for inih. */
static void read_statement(struct reader *reader, const char *line, size_t length)
{
    const char *at = line, *end = line + length;
    struct text name = {0};

    if (*at == '"') {
        at = unquote_name(at, end, &name);
    } else {
        while (at < end && is_name_byte(*at))
            at++;
        text_add(&name, line, (size_t)(at - line));
    }
    while (at && at < end && is_blank(*at))
        at++;
    if (!at) {
        complain(reader, "the name's closing quote is missing");
    } else if (at == end || *at != '=') {
        complain(reader, memchr(line, '=', length)
                             ? "a name with blanks or signs must stand in double quotes"
                             : "expected: name = value");
    } else if (name.length == 0) {
        complain(reader, "there is no name before the =");
    } else {
        for (at++; at < end && is_blank(*at);)
            at++;
        text_clear(&reader->encoded);
        add_encoded(&reader->encoded, name.data, name.length);
        text_add_byte(&reader->encoded, '=');
        reader->passed = reader->encoded.length;
        if (reader->encoded.length + 2 > reader->line_bytes) {
            complain(reader, "the name is too long");
        } else {
            add_encoded(&reader->encoded, at, (size_t)(end - at));
            reader->passed = 0;
        }
    }
    text_fini(&name);
}

/* [section]; what stands behind it on the line is read as the next one. */
static void read_section(struct reader *reader, const char *line, size_t length)
{
    struct source *source = reader_top(reader);
    const char *at, *end = memchr(line, ']', length);
    struct statement statement = {.file = source->path, .line = source->line};

    if (!end || (size_t)(end - line - 1) > SECTION_BYTES) {
        complain(reader,
                 end ? "the section's name is too long" : "the ] of the section is missing");
        return;
    }
    for (at = line + 1; at < end; at++) /* no known section has other letters */
        reader->section[at - line - 1] = is_name_byte(*at) ? *at : '?';
    reader->section[at - line - 1] = '\0';
    reader->in_section = true;
    statement.section = reader->section;
    reader->each(reader->context, &statement);

    if ((size_t)(end + 1 - line) < length) {
        source->position = (size_t)(end + 1 - text_get(&source->content));
        source->line--;
    }
}

static void read_directive(struct reader *reader, const char *line, size_t length)
{
    static const char word[] = "%include";
    size_t skip = sizeof(word) - 1;
    char *path;

    if (length <= skip || strncmp(line, word, skip) != 0 || !is_blank(line[skip])) {
        complain(reader, "expected: %%include FILE");
        return;
    }
    while (is_blank(line[skip]))
        skip++;
    path = memory_text(line + skip, length - skip);
    reader_include(reader, path);
    free(path);
}

/* ---- inih's side ---- */

/* Copies the next piece of the statement, as a line that inih takes whole. */
static void pass_piece(struct reader *reader, char *to, size_t room)
{
    const char *from = reader->encoded.data + reader->passed;
    size_t left = reader->encoded.length - reader->passed, length;

    if (reader->passed > 0) { /* the blank makes it a continuation */
        *to++ = ' ';
        room--;
    }
    length = left < room - 2 ? left : room - 2;
    if (length < left) /* never within %XX */
        length -= from[length - 1] == '%' ? 1 : from[length - 2] == '%' ? 2 : 0;
    memcpy(to, from, length);
    memcpy(to + length, "\n", 2);
    reader->passed += length;
}

/* inih's fgets: one line without surprises. */
static char *reader_line(char *to, int size, void *stream)
{
    struct reader *reader = stream;
    const char *line;
    size_t length;

    reader->line_bytes = (size_t)size;
    while (reader->passed == reader->encoded.length && reader->depth > 0) {
        if (reader->report->error_count >= CONF_REPORT_LINES ||
            reader->statements >= STATEMENTS_MOST) {
            complain(reader, "too many %s; the rest is not read",
                     reader->statements >= STATEMENTS_MOST ? "settings" : "mistakes");
            return NULL;
        }
        if (!source_next_line(reader, &line, &length)) {
            reader_pop(reader);
        } else if (length == 0 || *line == ';' || *line == '#') {
            continue;
        } else if (*line == '%') {
            read_directive(reader, line, length);
        } else if (*line == '[') {
            read_section(reader, line, length);
            snprintf(to, (size_t)size, "[%s]\n", reader->section);
            return to;
        } else {
            read_statement(reader, line, length);
        }
    }
    if (reader->passed == reader->encoded.length)
        return NULL;
    pass_piece(reader, to, (size_t)size);
    return to;
}

/* inih's handler: called for each piece; the last one completes the statement. */
static int reader_statement(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    struct statement statement = {.section = reader->in_section ? section : NULL};

    if (reader->name.length == 0)
        add_decoded(&reader->name, name);
    add_decoded(&reader->value, value);
    if (reader->passed < reader->encoded.length)
        return 1;
    statement.name = text_get(&reader->name);
    statement.value = text_get(&reader->value);
    statement.file = reader_top(reader)->path;
    statement.line = reader_top(reader)->line;
    reader->statements++;
    reader->each(reader->context, &statement);
    text_clear(&reader->name);
    text_clear(&reader->value);
    return 1;
}

void reader_read(const char *path, struct conf_report *report,
                 void (*each)(void *context, const struct statement *statement), void *context)
{
    struct reader reader = {
        .bytes_left = READER_FILE_BYTES, .report = report, .each = each, .context = context};

    reader_include(&reader, path);
    if (ini_parse_stream(reader_line, &reader, reader_statement, &reader) != 0)
        conf_report_add(report, CONF_ERROR, path, 0, "the ini parser refuses the file");
    while (reader.depth > 0)
        reader_pop(&reader);
    text_fini(&reader.encoded);
    text_fini(&reader.name);
    text_fini(&reader.value);
}
