#include "sluice/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "sluice/base/clock.h"
#include "sluice/base/utf8.h"

#define SUBJECT_BYTES 500
#define MESSAGE_BYTES 2000
#define ESCAPED_BYTES_MAX 6 /* one byte becomes at most \u001b */
#define HEADER_BYTES 128    /* time, zone, pid, level and the JSON around them */
#define LINE_BYTES (HEADER_BYTES + ESCAPED_BYTES_MAX * (SUBJECT_BYTES + MESSAGE_BYTES))

static const struct {
    const char *name;
    int priority; /* syslog's */
} levels[] = {
    [LOG_LEVEL_FATAL] = {"FATAL", LOG_CRIT},        [LOG_LEVEL_ERROR] = {"ERROR", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"WARNING", LOG_WARNING}, [LOG_LEVEL_INFO] = {"LOG", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"DEBUG", LOG_DEBUG},       [LOG_LEVEL_NOISE] = {"NOISE", LOG_DEBUG},
};

static const struct {
    const char *name;
    int value;
} facilities[] = {
    {"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"daemon", LOG_DAEMON},
    {"user", LOG_USER},     {"local0", LOG_LOCAL0},     {"local1", LOG_LOCAL1},
    {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},     {"local4", LOG_LOCAL4},
    {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},     {"local7", LOG_LOCAL7},
};

/* Written by the main thread, read by all, each for itself: a line that is made while the settings
 * change goes by the old ones or the new ones. */
static struct {
    _Atomic(enum log_level) level;
    _Atomic(enum log_format) format;
    atomic_bool standard_error;
    atomic_int file_fd;  /* -1 = no file */
    atomic_int facility; /* -1 = no syslog */
} sinks = {LOG_LEVEL_INFO, LOG_FORMAT_TEXT, true, -1, -1};

/* The descriptor that was ever used for the file. It is replaced in place and never closed, so that
 * a thread in the middle of a line cannot write it into what has got the same number since. */
static int file_fd_kept = -1;

/* openlog() keeps the pointer. */
static char *syslog_ident_kept;

struct line {
    size_t length;
    char bytes[LINE_BYTES];
};

static void line_add(struct line *line, const char *bytes, size_t length)
{
    size_t room = sizeof(line->bytes) - line->length;

    if (length > room)
        length = room;
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void line_add_string(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

static void line_add_escaped(struct line *line, const char *text, enum log_format format)
{
    const unsigned char *at = (const unsigned char *)text;
    bool json = format == LOG_FORMAT_JSON;
    char escaped[ESCAPED_BYTES_MAX + 1];
    size_t length;

    for (; *at; at += length) {
        length = utf8_bytes(at);
        if (length > 1 || (length == 1 && *at >= 0x20 && *at != 0x7f)) {
            if (json && (*at == '"' || *at == '\\'))
                line_add(line, "\\", 1);
            line_add(line, (const char *)at, length);
            continue;
        }
        if (*at == '\n' || *at == '\t' || *at == '\r')
            snprintf(escaped, sizeof(escaped), "\\%c", *at == '\n' ? 'n' : *at == '\t' ? 't' : 'r');
        else if (json)
            snprintf(escaped, sizeof(escaped), "\\u%04x", length == 1 ? (unsigned)*at : 0xfffdU);
        else
            snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned)*at);
        line_add_string(line, escaped);
        length = 1;
    }
}

/* `bytes` holds a text that was cut at its end: takes away what is left of a cut character. */
static void trim_cut_character(char *bytes, size_t length)
{
    size_t back = 1;

    while (back < 4 && back < length && ((unsigned char)bytes[length - back] & 0xc0) == 0x80)
        back++;
    if (back <= length && ((unsigned char)bytes[length - back] & 0xc0) == 0xc0 &&
        utf8_bytes((unsigned char *)bytes + length - back) == 0)
        bytes[length - back] = '\0';
}

/* Returns where what follows time, pid and level begins: syslog has its own of those. */
static size_t line_make_text(struct line *line, enum log_level level, const char *subject,
                             const char *message)
{
    uint64_t now_us = clock_wall_us();
    time_t now = (time_t)(now_us / US_PER_S);
    char header[HEADER_BYTES], date[32], zone[32];
    size_t header_bytes;
    struct tm local;

    localtime_r(&now, &local);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local);
    strftime(zone, sizeof(zone), "%Z", &local);
    snprintf(header, sizeof(header), "%s.%03u %s [%d] %s ", date,
             (unsigned)(now_us % US_PER_S / US_PER_MS), zone, (int)getpid(), levels[level].name);
    line_add_string(line, header);
    header_bytes = line->length;
    if (subject) {
        line_add_escaped(line, subject, LOG_FORMAT_TEXT);
        line_add(line, " ", 1);
    }
    line_add_escaped(line, message, LOG_FORMAT_TEXT);
    return header_bytes;
}

static void line_make_json(struct line *line, enum log_level level, const char *subject,
                           const char *message)
{
    uint64_t now_us = clock_wall_us();
    time_t now = (time_t)(now_us / US_PER_S);
    char header[HEADER_BYTES], date[32];
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(header, sizeof(header), "{\"time\":\"%s.%03uZ\",\"pid\":%d,\"level\":\"%s\",", date,
             (unsigned)(now_us % US_PER_S / US_PER_MS), (int)getpid(), levels[level].name);
    line_add_string(line, header);
    if (subject) {
        line_add_string(line, "\"subject\":\"");
        line_add_escaped(line, subject, LOG_FORMAT_JSON);
        line_add_string(line, "\",");
    }
    line_add_string(line, "\"message\":\"");
    line_add_escaped(line, message, LOG_FORMAT_JSON);
    line_add_string(line, "\"}");
}

/* A log that cannot be written has nowhere to complain. */
static void write_line(int fd, const char *bytes, size_t length)
{
    while (write(fd, bytes, length) < 0 && errno == EINTR)
        continue;
}

bool log_enabled(enum log_level level)
{
    return level <= atomic_load_explicit(&sinks.level, memory_order_relaxed);
}

void log_write(enum log_level level, const char *subject, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    log_write_list(level, subject, format, list);
    va_end(list);
}

void log_write_list(enum log_level level, const char *subject, const char *format, va_list list)
{
    enum log_format as = atomic_load(&sinks.format);
    int errno_before = errno, fd, facility;
    char short_subject[SUBJECT_BYTES + 1], message[MESSAGE_BYTES + 1];
    struct line line; /* large: not cleared as a whole */
    size_t header_bytes = 0;

    if (!log_enabled(level))
        return;
    if (vsnprintf(message, sizeof(message), format, list) > MESSAGE_BYTES)
        trim_cut_character(message, MESSAGE_BYTES);
    if (subject && strnlen(subject, SUBJECT_BYTES + 1) > SUBJECT_BYTES) {
        memcpy(short_subject, subject, SUBJECT_BYTES);
        short_subject[SUBJECT_BYTES] = '\0';
        trim_cut_character(short_subject, SUBJECT_BYTES);
        subject = short_subject;
    }

    line.length = 0;
    if (as == LOG_FORMAT_JSON)
        line_make_json(&line, level, subject, message);
    else
        header_bytes = line_make_text(&line, level, subject, message);
    if ((facility = atomic_load(&sinks.facility)) >= 0) /* adds time and pid of its own */
        syslog(facility | levels[level].priority, "%.*s", (int)(line.length - header_bytes),
               line.bytes + header_bytes);
    line_add(&line, "\n", 1);
    if (atomic_load(&sinks.standard_error))
        write_line(STDERR_FILENO, line.bytes, line.length);
    if ((fd = atomic_load(&sinks.file_fd)) >= 0)
        write_line(fd, line.bytes, line.length);
    errno = errno_before;
}

static bool facility_find(const char *name, int *value)
{
    for (size_t i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++)
        if (strcmp(facilities[i].name, name) == 0) {
            *value = facilities[i].value;
            return true;
        }
    return false;
}

/* Puts the file at the kept descriptor; the path "" becomes /dev/null there. */
static bool file_open(const char *path)
{
    const char *target = path[0] ? path : "/dev/null";
    int fd = open(target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

    if (fd < 0)
        return false;
    if (file_fd_kept < 0) {
        file_fd_kept = fd;
        return true;
    }
    dup3(fd, file_fd_kept, O_CLOEXEC);
    close(fd);
    return true;
}

bool log_configure(const struct log_settings *settings, char *error, size_t size)
{
    int facility = -1;
    char *ident = NULL;

    if (settings->syslog && !facility_find(settings->syslog_facility, &facility)) {
        snprintf(error, size, "unknown syslog facility \"%s\"", settings->syslog_facility);
        return false;
    }
    if (settings->syslog && !(ident = strdup(settings->syslog_ident))) {
        snprintf(error, size, "no memory for the name in syslog");
        return false;
    }
    if ((settings->file[0] || file_fd_kept >= 0) && !file_open(settings->file)) {
        snprintf(error, size, "cannot open log file \"%s\": %s", settings->file, strerror(errno));
        free(ident);
        return false;
    }

    if (ident) {
        openlog(ident, LOG_PID, facility);
        free(syslog_ident_kept); /* openlog and syslog share a lock: nobody holds it any more */
        syslog_ident_kept = ident;
    }
    atomic_store(&sinks.facility, facility);
    atomic_store(&sinks.file_fd, settings->file[0] ? file_fd_kept : -1);
    atomic_store(&sinks.standard_error, settings->standard_error);
    atomic_store(&sinks.format, settings->format);
    atomic_store(&sinks.level, settings->level);
    return true;
}
