#include "harness/process.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/suite.h"

const char *environment(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        ck_abort_msg("%s is not set: run the tests as tests/servers run DIR meson test ...", name);
    return value;
}

static const struct passwd *run_as(void)
{
    const char *name = getenv("SLUICE_RUN_AS");
    const struct passwd *user;

    if (geteuid() != 0 || !name || !*name)
        return NULL;
    user = getpwnam(name);
    ck_assert_msg(user != NULL, "no user %s", name);
    return user;
}

void process_give(const char *path)
{
    const struct passwd *user = run_as();

    if (user)
        ck_assert_int_eq(chown(path, user->pw_uid, user->pw_gid), 0);
}

static char *own_directory;

static void directory_remove(void)
{
    if (own_directory) {
        char *command = text("rm -rf '%s'", own_directory);

        if (system(command) != 0)
            fprintf(stderr, "cannot remove %s\n", own_directory);
    }
}

char *process_directory(void)
{
    static unsigned count;
    char *path;

    if (!own_directory) {
        char pattern[] = "/tmp/sluice-test.XXXXXX";

        ck_assert_ptr_nonnull(mkdtemp(pattern));
        own_directory = text("%s", pattern);
        ck_assert_int_eq(chmod(own_directory, 0755), 0);
        process_give(own_directory);
        atexit(directory_remove);
    }
    path = text("%s/%u", own_directory, ++count);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    process_give(path);
    return path;
}

static _Noreturn void child_run(int program, const struct passwd *user, char *const arguments[],
                                const char *output, char *const variables[], int death)
{
    int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null = open("/dev/null", O_RDONLY);

    dup2(null, 0);
    dup2(fd, 1);
    dup2(fd, 2);
    for (int i = 3; i < 1024; i++)
        if (i != program)
            close(i);
    if (user && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, death);
    signal(SIGPIPE, SIG_DFL);
    for (; variables && *variables; variables++)
        putenv(*variables);
    fexecve(program, arguments, environ);
    dprintf(2, "cannot run %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

pid_t process_start(const char *program, char *const arguments[], const char *output,
                    char *const variables[], int death)
{
    const struct passwd *user = run_as();
    /* Opened as ourselves: the servers' user need not reach the build folder. */
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    pid_t pid;

    ck_assert_msg(fd >= 0, "cannot open %s: %s", program, strerror(errno));
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        child_run(fd, user, arguments, output, variables, death);
    close(fd);
    return pid;
}

int process_await(pid_t pid, double seconds)
{
    double deadline = deadline_in(seconds);
    int status;

    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);

        if (ended == pid)
            return status;
        ck_assert_int_eq(ended, 0);
        if (deadline_over(deadline))
            return -1;
        nap();
    }
}

uint16_t process_free_port(void)
{
    static unsigned next;

    if (next == 0)
        next = (unsigned)getpid() * 7;
    for (int i = 0; i < 1000; i++) {
        uint16_t port = (uint16_t)(12000 + next++ % 8000);
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        bool free = fd >= 0 ? bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 : true;
        int fd4 = socket(AF_INET, SOCK_STREAM, 0);

        /* A dual-stack socket has claimed both; where IPv6 is missing, ask IPv4. */
        if (fd < 0)
            free = bind(fd4, (struct sockaddr *)&any4, sizeof(any4)) == 0;
        else
            close(fd);
        close(fd4);
        if (free)
            return port;
    }
    ck_abort_msg("no free port");
}

char *file_read(const char *path)
{
    FILE *file = fopen(path, "r");
    char *contents = NULL;
    size_t size = 0;

    if (!file)
        return text("%s", "");
    if (getdelim(&contents, &size, '\0', file) < 0 && contents)
        contents[0] = '\0';
    fclose(file);
    return contents ? contents : text("%s", "");
}

void file_write(const char *path, const char *contents)
{
    FILE *file = fopen(path, "w");

    ck_assert_msg(file != NULL, "cannot write %s: %s", path, strerror(errno));
    fputs(contents, file);
    ck_assert_int_eq(fclose(file), 0);
    process_give(path);
}
