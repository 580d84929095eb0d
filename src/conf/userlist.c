#include "conf/userlist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "conf/text.h"

static struct userlist_stamp stamp_of(const struct stat *status)
{
    return (struct userlist_stamp){.device = status->st_dev,
                                   .inode = status->st_ino,
                                   .bytes = status->st_size,
                                   .changed = status->st_mtim};
}

struct userlist_stamp userlist_stamp(const char *path)
{
    struct stat status;

    if (path[0] == '\0' || stat(path, &status) < 0)
        return (struct userlist_stamp){0};
    return stamp_of(&status);
}

/* Opens and reads; returns 0 or an errno. */
static int load(const char *path, struct text *content, struct userlist_stamp *stamp)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), problem;
    struct stat status;

    if (fd < 0)
        return errno;
    if (fstat(fd, &status) < 0) {
        problem = errno;
    } else {
        *stamp = stamp_of(&status);
        problem = text_add_file(content, fd, USERLIST_BYTES);
    }
    close(fd);
    return problem;
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* A field in double quotes at *at, which moves behind it. False if there is none. */
static bool read_field(const char **at, const char *end, struct text *field)
{
    text_clear(field);
    if (*at == end || **at != '"')
        return false;
    for (++*at; *at < end; ++*at) {
        if (**at == '"' && (*at + 1 == end || (*at)[1] != '"')) {
            ++*at;
            return true;
        }
        *at += **at == '"';
        text_add_byte(field, **at);
    }
    return false;
}

/* Returns what is wrong with the line, or NULL. */
static const char *read_line(const char *at, const char *end, struct text *user,
                             struct text *secret)
{
    if (memchr(at, '\0', (size_t)(end - at)))
        return "a NUL byte; this is not a list of users";
    if (!read_field(&at, end, user))
        return "expected: \"user\" \"secret\"";
    while (at < end && *at != '"') /* whatever stands between, as in PgBouncer */
        at++;
    if (!read_field(&at, end, secret))
        return "the user's secret is missing; expected: \"user\" \"secret\"";
    return user->length == 0 ? "the user's name is empty" : NULL;
}

void userlist_read(const char *path, enum conf_severity unreadable, struct conf_report *report,
                   struct userlist_stamp *stamp,
                   void (*each)(void *context, const char *user, const char *secret), void *context)
{
    struct text content = {0}, user = {0}, secret = {0};
    const char *at, *end, *stop;
    size_t line = 0;
    int problem = load(path, &content, stamp);

    if (problem != 0) {
        conf_report_add(report, unreadable, NULL, 0, "cannot read auth_file %s: %s", path,
                        strerror(problem));
        text_clear(&content);
    }
    stop = text_get(&content) + content.length;
    for (at = text_get(&content); at < stop && report->error_count < CONF_REPORT_LINES;
         at = end + 1) {
        const char *mistake;

        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        line++;
        while (at < end && is_blank(*at))
            at++;
        if (at == end || *at == ';')
            continue;
        mistake = read_line(at, end, &user, &secret);
        if (mistake)
            conf_report_add(report, CONF_ERROR, path, line, "%s", mistake);
        else
            each(context, text_get(&user), text_get(&secret));
    }
    text_fini(&content);
    text_fini(&user);
    text_fini(&secret);
}
