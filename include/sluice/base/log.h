/* log: one line per event, in PgBouncer's form
 *     2026-01-31 23:59:59.123 UTC [4711] LOG C-0x55d0: db/user@host:port login attempt: ...
 * to standard error, a file, syslog or all of them, as text or JSON (one object a line).
 * The process owns one log. Any thread may write: a line is made on the caller's stack and leaves
 * in one write(2), without a lock of ours. Only the main thread configures. */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_LEVEL_FATAL,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,  /* printed as LOG */
    LOG_LEVEL_DEBUG, /* with -v */
    LOG_LEVEL_NOISE, /* with -v -v */
};

enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
};

struct log_settings {
    const char *file;    /* "" = none; opened for append, reopened by each log_configure */
    bool standard_error; /* off with -q and when daemonized */
    bool syslog;
    const char *syslog_ident;
    const char *syslog_facility; /* as PgBouncer: auth, authpriv, daemon, user, local0 .. local7 */
    enum log_format format;
    enum log_level level; /* lines above it are not written */
};

/* Applies the settings; strings are copied. Called again with the same ones it reopens the file,
 * for log rotation. On failure (the file cannot be opened, unknown facility) returns false, writes
 * why into error (at most size bytes) and leaves the log as it was. Before the first call, lines up
 * to LOG go to standard error as text. */
bool log_configure(const struct log_settings *settings, char *error, size_t size);

/* True if a line of this level would be written: for lines that cost something to make. */
bool log_enabled(enum log_level level);

/* Writes one line; errno is left as it was. `subject` names what the line is about
 * ("C-0x55d0: db/user@host:1") and is NULL when there is nothing to name; in JSON it is a field of
 * its own. Subjects are cut at 500 bytes and messages at 2,000. Control characters and bytes that
 * are not UTF-8 are escaped, so that no peer can forge a line or steer the terminal of who reads
 * it. */
void log_write(enum log_level level, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_write_list(enum log_level level, const char *subject, const char *format, va_list list)
    __attribute__((format(printf, 3, 0)));

#define log_fatal(...) log_write(LOG_LEVEL_FATAL, NULL, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)
#define log_noise(...) log_write(LOG_LEVEL_NOISE, NULL, __VA_ARGS__)

#endif
