#include "harness/sluice.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/suite.h"

static const char *binary(void)
{
    const char *named = getenv("SLUICE_BINARY");

    return named ? named : SLUICE_BUILT;
}

static const char every_role[] = "\"bench\" \"bench\"\n"
                                 "\"md5user\" \"md5user\"\n"
                                 "\"plainuser\" \"plainuser\"\n"
                                 "\"trustuser\" \"trustuser\"\n"
                                 "\"rejectuser\" \"rejectuser\"\n"
                                 "\"limited\" \"limited\"\n"
                                 "\"user1\" \"user1\"\n"
                                 "\"user2\" \"user2\"\n"
                                 "\"user3\" \"user3\"\n"
                                 "\"user4\" \"user4\"\n";

/* The text with each {server} replaced. */
static char *with_server(const char *template, struct postgres *postgres)
{
    char *result = text("%s", "");
    const char *mark;

    while ((mark = strstr(template, "{server}")) != NULL) {
        result =
            text("%s%.*s%s", result, (int)(mark - template), template, postgres_address(postgres));
        template = mark + strlen("{server}");
    }
    return text("%s%s", result, template);
}

/* A default line, unless the test's own lines have that key. */
static char *default_line(const char *settings, const char *key, const char *value)
{
    char *line = text("\n%s =", key);
    char *lines = text("\n%s", settings);

    return strstr(lines, line) ? text("%s", "") : text("%s = %s\n", key, value);
}

void sluice_rewrite_with(struct sluice *sluice, const struct sluice_options *options)
{
    const char *settings = options->settings ? options->settings : "";
    const char *databases = options->databases ? options->databases : "p = {server}\n";

    file_write(text("%s/userlist.txt", sluice->directory),
               options->userlist ? options->userlist : every_role);
    file_write(sluice->ini,
               text("[databases]\n%s\n[users]\n%s\n%s%s\n[pgbouncer]\n%s%s%s%s%s%s%s",
                    with_server(databases, sluice->postgres), options->users ? options->users : "",
                    options->redis ? "[redis]\n" : "", options->redis ? options->redis : "",
                    settings, default_line(settings, "listen_addr", "127.0.0.1"),
                    default_line(settings, "listen_port", text("%u", sluice->port)),
                    default_line(settings, "unix_socket_dir", sluice->directory),
                    default_line(settings, "auth_type", "trust"),
                    default_line(settings, "auth_file", text("%s/userlist.txt", sluice->directory)),
                    default_line(settings, "max_client_conn", "1000")));
}

static void notify_open(struct sluice *sluice)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", sluice->directory);
    sluice->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(sluice->notify, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(chmod(address.sun_path, 0777), 0);
}

/* Reads what it told systemd so far; true if READY=1 was among it. */
static bool notify_ready(const struct sluice *sluice)
{
    char message[1000];
    ssize_t length;

    while ((length = recv(sluice->notify, message, sizeof(message) - 1, MSG_DONTWAIT)) > 0) {
        message[length] = '\0';
        if (strstr(message, "READY=1"))
            return true;
    }
    return false;
}

static char asan[] = "ASAN_OPTIONS=exitcode=99:detect_leaks=1";
static char ubsan[] = "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=99";
static char tsan[] = "TSAN_OPTIONS=exitcode=99:halt_on_error=0";
static char *variables[] = {asan, ubsan, tsan, NULL /* NOTIFY_SOCKET */, NULL};

int sluice_run(char *const arguments[], char **output)
{
    char *file = text("%s/output", process_directory());
    char *all[20] = {text("%s", binary())};
    int status;

    for (int i = 0; arguments[i]; i++)
        all[i + 1] = arguments[i];
    file_write(file, "");
    status = process_await(process_start(binary(), all, file, variables, SIGKILL), 20);
    *output = file_read(file);
    ck_assert_msg(status != -1, "it does not end:\n%s", *output);
    ck_assert_msg(WIFEXITED(status), "status %x:\n%s", (unsigned)status, *output);
    return WEXITSTATUS(status);
}

void sluice_prepare(struct sluice *sluice)
{
    *sluice = (struct sluice){.port = process_free_port(), .directory = process_directory()};
    sluice->ini = text("%s/sluice.ini", sluice->directory);
    sluice->log = text("%s/log", sluice->directory);
    file_write(sluice->log, "");
    notify_open(sluice);
}

static void launch(struct sluice *sluice)
{
    double deadline = deadline_in(20);

    variables[3] = text("NOTIFY_SOCKET=%s/notify", sluice->directory);
    sluice->pid = process_start(binary(), (char *[]){text("%s", binary()), sluice->ini, NULL},
                                sluice->log, variables, SIGKILL);
    variables[3] = NULL;
    while (!notify_ready(sluice)) {
        int status;

        if (waitpid(sluice->pid, &status, WNOHANG) != 0)
            ck_abort_msg("%s ended at its start, status %x:\n%s\n%s", binary(), (unsigned)status,
                         file_read(sluice->log), file_read(sluice->ini));
        if (deadline_over(deadline))
            ck_abort_msg("%s does not get ready:\n%s", binary(), file_read(sluice->log));
        nap();
    }
}

void sluice_launch(struct sluice *sluice, const char *ini)
{
    file_write(sluice->ini, ini);
    launch(sluice);
}

void sluice_start_with(struct sluice *sluice, const struct sluice_options *options)
{
    sluice_prepare(sluice);
    sluice->postgres = options->postgres ? options->postgres : postgres_shared();
    sluice_rewrite_with(sluice, options);
    launch(sluice);
}

bool sluice_reload(struct sluice *sluice)
{
    size_t before = strlen(file_read(sluice->log));

    while (notify_ready(sluice)) /* what earlier reloads said */
        ;
    sluice_signal(sluice, SIGHUP);
    /* PgBouncer tells only its log; the settings are in use when the next line of it is written. */
    if (suite_reference())
        await(strstr(file_read(sluice->log) + before, "RELOAD") ||
                  strstr(file_read(sluice->log) + before, "SIGHUP"),
              20);
    else
        await(notify_ready(sluice), 20);
    return !strstr(file_read(sluice->log) + before, "ERROR");
}

void sluice_signal(const struct sluice *sluice, int number)
{
    ck_assert_int_eq(kill(sluice->pid, number), 0);
}

void sluice_pause(const struct sluice *sluice)
{
    int status;

    sluice_signal(sluice, SIGSTOP);
    ck_assert_int_eq(waitpid(sluice->pid, &status, WUNTRACED), sluice->pid);
    ck_assert(WIFSTOPPED(status));
}

int sluice_await_end(struct sluice *sluice, double seconds)
{
    static const char *const reports[] = {"AddressSanitizer", "LeakSanitizer", "ThreadSanitizer",
                                          "runtime error:"};
    int status = process_await(sluice->pid, seconds);
    char *log = file_read(sluice->log);

    if (status == -1)
        ck_abort_msg("the pooler does not end within %g s; end of its log:\n%s", seconds,
                     strlen(log) > 3000 ? log + strlen(log) - 3000 : log);
    sluice->ended = true;
    for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
        char *report = strstr(log, reports[i]);

        if (report)
            ck_abort_msg("the pooler reported: %.6000s", report);
    }
    if (!WIFEXITED(status))
        ck_abort_msg("the pooler was killed by signal %d; end of its log:\n%s", WTERMSIG(status),
                     strlen(log) > 3000 ? log + strlen(log) - 3000 : log);
    return WEXITSTATUS(status);
}

void sluice_stop(struct sluice *sluice)
{
    int status;

    if (sluice->ended)
        return;
    sluice_signal(sluice, suite_reference() ? SIGTERM : SIGQUIT);
    status = sluice_await_end(sluice, 20);
    if (status != 0 && !suite_reference())
        ck_abort_msg("stopped by SIGQUIT the pooler exits with %d:\n%s", status,
                     file_read(sluice->log));
}

size_t sluice_log_count(const struct sluice *sluice, const char *wanted)
{
    char *log = file_read(sluice->log);
    size_t count = 0;

    for (char *at = log; (at = strstr(at, wanted)) != NULL; at += strlen(wanted))
        count++;
    free(log);
    return count;
}

void sluice_await_log(const struct sluice *sluice, const char *wanted)
{
    double deadline = deadline_in(20);

    while (sluice_log_count(sluice, wanted) == 0) {
        if (deadline_over(deadline))
            ck_abort_msg("no \"%s\" in the log:\n%s", wanted, file_read(sluice->log));
        nap();
    }
}

long sluice_resident_kb(const struct sluice *sluice)
{
    char *status = file_read(text("/proc/%d/status", (int)sluice->pid));
    char *line = strstr(status, "VmRSS:");

    ck_assert_ptr_nonnull(line);
    return strtol(line + strlen("VmRSS:"), NULL, 10);
}

long sluice_descriptors(const struct sluice *sluice)
{
    DIR *directory = opendir(text("/proc/%d/fd", (int)sluice->pid));
    long count = -2;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static char *connection_string(const struct sluice *sluice, const char *options)
{
    const char *user = strstr(options, "user=");
    int length = user ? (int)strcspn(user + 5, " ") : 0;

    return text("host=127.0.0.1 port=%u sslmode=disable connect_timeout=%d password='%.*s' %s",
                sluice->port, (int)(20 * slow_factor()), length, user ? user + 5 : "", options);
}

static void notice_ignore(void *argument, const char *message)
{
}

PGconn *sluice_try(const struct sluice *sluice, const char *options)
{
    PGconn *connection = PQconnectdb(connection_string(sluice, options));

    PQsetNoticeProcessor(connection, notice_ignore, NULL);
    return connection;
}

char *sluice_refusal(const struct sluice *sluice, const char *options)
{
    PGconn *connection = PQconnectStart(connection_string(sluice, options));
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
    double deadline = deadline_in(30);
    char *error, *end;

    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE); /* to see the SQLSTATE */
    while (wants != PGRES_POLLING_FAILED && wants != PGRES_POLLING_OK) {
        struct pollfd wait = {.fd = PQsocket(connection),
                              .events = wants == PGRES_POLLING_READING ? POLLIN : POLLOUT};

        ck_assert_msg(!deadline_over(deadline), "no outcome of a login within 30 s");
        if (poll(&wait, 1, 100) > 0)
            wants = PQconnectPoll(connection);
    }
    ck_assert_msg(wants == PGRES_POLLING_FAILED, "the login \"%s\" should have failed", options);
    error = strstr(PQerrorMessage(connection), "FATAL:  ");
    ck_assert_msg(error != NULL, "%s", PQerrorMessage(connection));
    error = text("%s", error + strlen("FATAL:  "));
    if ((end = strchr(error, '\n')) != NULL)
        *end = '\0';
    PQfinish(connection);
    return error;
}

PGconn *sluice_connect(const struct sluice *sluice, const char *options)
{
    PGconn *connection = sluice_try(sluice, options);

    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s\n%s", PQerrorMessage(connection),
                  file_read(sluice->log));
    return connection;
}

char *sql_value(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    char *found;

    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", sql,
                  PQerrorMessage(connection));
    found = text("%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return found;
}

void sql_do(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);

    ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK ||
                      PQresultStatus(result) == PGRES_TUPLES_OK,
                  "%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
}

char *sql_error(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char *error;

    ck_assert_msg(PQresultStatus(result) == PGRES_FATAL_ERROR, "%s: should have failed", sql);
    error = message ? text("%s %s", state ? state : "", message)
                    : text("%s", PQerrorMessage(connection));
    PQclear(result);
    return error;
}
