/* log: one line per event, in PgBouncer's form
 *     2026-01-31 23:59:59.123 UTC [4711] LOG C-0x55d0: db/user@host:port login attempt: ...
 * to standard error, a file, syslog or all of them, as text or JSON (one object a line).
 * The process owns one log; every function may be called by any thread: a line is formatted on the
 * caller's stack and written with one write(2). */
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
    const char *file;     /* "" = none; opened for append, reopened by log_configure */
    bool standard_error;  /* off with -q and when daemonized */
    bool syslog;
    const char *syslog_ident;
    const char *syslog_facility; /* as PgBouncer: auth, authpriv, daemon, user, local0 .. local7 */
    enum log_format format;
    enum log_level level; /* lines above it are not written */
};

/* Applies the settings; strings are copied. On failure (file cannot be opened, unknown facility)
 * returns false, writes why into error (at most size bytes) and leaves the log as it was. */
bool log_configure(const struct log_settings *settings, char *error, size_t size);

/* True if a line of this level would be written: for lines that cost something to make. */
bool log_enabled(enum log_level level);

/* Writes one line. Bytes below 0x20 in the message are escaped, so that no peer can forge a line;
 * messages are cut at 2,000 bytes. `subject` names what the line is about ("C-0x55d0: db/user@host:1")
 * or is NULL. In JSON the subject is a field of its own. */
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
