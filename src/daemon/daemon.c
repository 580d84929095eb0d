#include "sluice/daemon/daemon.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/admin/admin.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/conf/sections.h"
#include "sluice/daemon/systemd.h"
#include "sluice/net/listener.h"
#include "sluice/proxy/worker.h"

/* Every worker gets one of these now and then; all have to come back before the service manager is
 * told that we live. */
struct beat {
    struct mail mail;
    struct daemon *daemon;
};

#define USERS_PERIOD_US US_PER_S

/* A listening socket, and whose clients come in there. */
struct door {
    struct listener listener;
    struct daemon *daemon;
    char *redis_line; /* NULL: PostgreSQL's */
};

enum ending { ENDING_NO, ENDING_AFTER_CLIENTS, ENDING_AFTER_SERVERS, ENDING_NOW };

struct daemon {
    const struct options *options;
    struct process process;
    struct loop loop;
    struct mailbox mailbox;
    struct conf *conf;
    struct made made;
    struct admin *admin;
    struct door *doors;
    int door_count;
    struct event *signals[8];
    struct timer stats, watchdog, users;
    uint64_t watchdog_us;
    struct beat *beats;
    unsigned beats_out;
    struct counters_values last; /* when the stats line was last written */
    enum ending ending;
    unsigned drained; /* workers that are done */
};

bool daemon_configure_log(const struct options *options, const struct conf *conf)
{
    char error[256];
    int verbose = options->verbose + (int)conf->verbose;
    struct log_settings settings = {
        .file = conf->logfile,
        .standard_error = !options->quiet && !options->daemonize,
        .syslog = conf->syslog,
        .syslog_ident = conf->syslog_ident,
        .syslog_facility = conf->syslog_facility,
        .format = (enum log_format)conf->log_format,
        .level = verbose == 0   ? LOG_LEVEL_INFO
                 : verbose == 1 ? LOG_LEVEL_DEBUG
                                : LOG_LEVEL_NOISE,
    };

    if (log_configure(&settings, error, sizeof(error)))
        return true;
    log_error("%s", error);
    return false;
}

static void daemon_accepted(struct listener *listener, int fd, const struct address *from)
{
    struct door *door = listener->owner;
    struct process *process = &door->daemon->process;
    unsigned first = 0, count = process->registry.worker_count;
    struct worker *best = NULL;

    if (door->redis_line) {
        const struct conf_redis *line = conf_find_redis(door->daemon->conf, door->redis_line);

        if (line)
            registry_spread(&process->registry, line->name, line->pool_size, &first, &count);
    }
    for (unsigned i = 0; i < count; i++) {
        struct worker *worker = &process->workers[(first + i) % process->registry.worker_count];

        if (!best || atomic_load(&worker->client_count) < atomic_load(&best->client_count))
            best = worker;
    }
    if (door->redis_line)
        worker_give_redis_client(best, fd, from, door->redis_line);
    else
        worker_give_client(best, fd, from);
}

static void daemon_close_listeners(struct daemon *daemon)
{
    for (int i = 0; i < daemon->door_count; i++) {
        listener_fini(&daemon->doors[i].listener);
        free(daemon->doors[i].redis_line);
    }
    daemon->door_count = 0;
}

static void daemon_set_limits(struct daemon *daemon)
{
    atomic_store(&daemon->process.registry.clients.max, daemon->conf->max_client_conn);
    resolver_configure(daemon->process.resolver, daemon->conf->dns_max_ttl_us,
                       daemon->conf->dns_nxdomain_ttl_us);
}

/* Sockets that are accepted inherit these from the one that listens. */
static void daemon_tune_listeners(struct daemon *daemon)
{
    struct stream_options options = stream_options_of(daemon->conf);

    for (int i = 0; i < daemon->door_count; i++)
        stream_tune(daemon->doors[i].listener.fd, &options);
}

static void daemon_configure(struct daemon *daemon, struct conf *conf)
{
    conf_drop(daemon->conf);
    daemon->conf = conf;
    daemon_configure_log(daemon->options, conf);
    daemon_set_limits(daemon);
    daemon_tune_listeners(daemon);
    workers_configure(&daemon->process, conf, daemon->made.tls, daemon->made.access);
}

/* Takes up new settings (NULL: none), and the files that they name, for connections to come;
 * false when those are no good, which leaves everything as it was. */
static bool daemon_take(struct daemon *daemon, struct conf *conf, struct conf_report *report)
{
    struct made made;

    if (!conf || !made_from(&made, conf, report)) {
        conf_drop(conf);
        return false;
    }
    made_drop(&daemon->made);
    daemon->made = made;
    daemon_configure(daemon, conf);
    return true;
}

static bool daemon_reload(struct daemon *daemon)
{
    struct conf_report report;
    bool done;

    systemd_reloading();
    conf_report_init(&report);
    done = daemon_take(daemon, conf_reload(daemon->conf, &report), &report);
    conf_report_log(&report);
    conf_report_fini(&report);
    if (!done)
        log_error("the settings have mistakes: the running ones stay");
    systemd_ready();
    return done;
}

static void daemon_pause(struct daemon *daemon, bool paused)
{
    workers_pause(&daemon->process, paused);
    admin_paused(daemon->admin, paused);
}

static void daemon_end_now(struct daemon *daemon)
{
    daemon->ending = ENDING_NOW;
    daemon_close_listeners(daemon);
    loop_stop(&daemon->loop);
}

static void daemon_end(struct daemon *daemon, enum ending ending)
{
    if (daemon->ending != ENDING_NO) {
        daemon_end_now(daemon);
        return;
    }
    daemon->ending = ending;
    systemd_stopping();
    daemon_close_listeners(daemon);
    workers_drain(&daemon->process, ending == ENDING_AFTER_CLIENTS);
}

static void worker_drained(struct worker *worker)
{
    struct daemon *daemon = container_of(worker->process, struct daemon, process);

    if (++daemon->drained == daemon->process.registry.worker_count)
        daemon_end_now(daemon);
}

static void daemon_signal(evutil_socket_t number, short what, void *argument)
{
    struct daemon *daemon = argument;

    switch ((int)number) {
    case SIGHUP:
        log_info("got SIGHUP, re-reading config");
        daemon_reload(daemon);
        break;
    case SIGTERM:
        log_info(daemon->ending ? "got SIGTERM while shutting down, fast exit"
                                : "got SIGTERM, shutting down, waiting for all clients disconnect");
        daemon_end(daemon, ENDING_AFTER_CLIENTS);
        break;
    case SIGINT:
        log_info(daemon->ending ? "got SIGINT while shutting down, fast exit"
                                : "got SIGINT, shutting down, waiting for all servers connections "
                                  "to be released");
        daemon_end(daemon, ENDING_AFTER_SERVERS);
        break;
    case SIGQUIT:
        log_info("got SIGQUIT, fast exit");
        systemd_stopping();
        daemon_end_now(daemon);
        break;
    case SIGUSR1:
        log_info("got SIGUSR1, pausing all activity");
        daemon_pause(daemon, true);
        break;
    case SIGUSR2:
        log_info("got SIGUSR2, continuing from PAUSE");
        daemon_pause(daemon, false);
        break;
    default:
        break;
    }
}

static void daemon_watch_signals(struct daemon *daemon)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        daemon->signals[i] =
            event_new(daemon->loop.base, numbers[i], EV_SIGNAL | EV_PERSIST, daemon_signal, daemon);
        ensure(daemon->signals[i] && event_add(daemon->signals[i], NULL) == 0);
    }
}

static void daemon_log_stats(struct timer *timer)
{
    struct daemon *daemon = container_of(timer, struct daemon, stats);
    uint64_t period_us = daemon->conf->stats_period_us;
    struct counters_values now;
    uint64_t change[COUNTER_COUNT];
    uint64_t xacts, queries, waits, period_s = period_us / US_PER_S ? period_us / US_PER_S : 1;

    timer_set(&daemon->loop, timer, loop_now_us(&daemon->loop) + period_us);
    registry_collect(&daemon->process.registry, &now);
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        change[i] = now.values[i] - daemon->last.values[i];
    daemon->last = now;
    if (!daemon->conf->log_stats)
        return;
    waits = change[COUNTER_server_assignment_count] ? change[COUNTER_server_assignment_count] : 1;
    xacts = change[COUNTER_xact_count] ? change[COUNTER_xact_count] : 1;
    queries = change[COUNTER_query_count] ? change[COUNTER_query_count] : 1;
#define PER_S(counter) (unsigned long long)(change[COUNTER_##counter] / period_s)
#define EACH(counter, of) (unsigned long long)(change[COUNTER_##counter] / (of))
    log_info("stats: %llu xacts/s, %llu queries/s, %llu client parses/s, %llu server parses/s, "
             "%llu binds/s, in %llu B/s, out %llu B/s, xact %llu us, query %llu us, wait %llu us",
             PER_S(xact_count), PER_S(query_count), PER_S(client_parse_count),
             PER_S(server_parse_count), PER_S(bind_count), PER_S(bytes_received), PER_S(bytes_sent),
             EACH(xact_time, xacts), EACH(query_time, queries), EACH(wait_time, waits));
#undef PER_S
#undef EACH
}

static void beat_returned(struct mail *mail, void *receiver)
{
    struct beat *beat = container_of(mail, struct beat, mail);

    beat->daemon->beats_out--;
}

static void beat_delivered(struct mail *mail, void *receiver)
{
    struct beat *beat = container_of(mail, struct beat, mail);

    mail->deliver = beat_returned;
    mailbox_send(&beat->daemon->mailbox, mail);
}

static void daemon_watchdog(struct timer *timer)
{
    struct daemon *daemon = container_of(timer, struct daemon, watchdog);

    timer_set(&daemon->loop, timer, loop_now_us(&daemon->loop) + daemon->watchdog_us / 3);
    if (daemon->beats_out > 0)
        return; /* a worker is stuck */
    systemd_alive();
    for (unsigned i = 0; i < daemon->process.registry.worker_count; i++) {
        daemon->beats[i].daemon = daemon;
        daemon->beats[i].mail.deliver = beat_delivered;
        daemon->beats_out++;
        mailbox_send(&daemon->process.workers[i].mailbox, &daemon->beats[i].mail);
    }
}

/* Users who were added to auth_file can log in without a reload, as with PgBouncer. */
static void daemon_look_for_users(struct timer *timer)
{
    struct daemon *daemon = container_of(timer, struct daemon, users);
    struct conf_report report;
    struct conf *conf;

    timer_set(&daemon->loop, timer, loop_now_us(&daemon->loop) + USERS_PERIOD_US);
    if (!conf_auth_file_changed(daemon->conf))
        return;
    log_info("auth_file has changed, reading it again");
    conf_report_init(&report);
    conf = conf_with_auth_file(daemon->conf, &report);
    conf_report_log(&report);
    conf_report_fini(&report);
    if (conf)
        daemon_configure(daemon, conf);
}

static void daemon_start_timers(struct daemon *daemon)
{
    daemon->stats.expired = daemon_log_stats;
    timer_set(&daemon->loop, &daemon->stats,
              loop_now_us(&daemon->loop) + daemon->conf->stats_period_us);
    daemon->users.expired = daemon_look_for_users;
    timer_set(&daemon->loop, &daemon->users, loop_now_us(&daemon->loop) + USERS_PERIOD_US);
    daemon->watchdog_us = systemd_watchdog_us();
    daemon->watchdog.expired = daemon_watchdog;
    if (daemon->watchdog_us)
        daemon_watchdog(&daemon->watchdog);
}

static void daemon_listen(struct daemon *daemon, struct listening *listening, int count)
{
    daemon->doors = memory_new((size_t)count * sizeof(daemon->doors[0]));
    daemon->door_count = count;
    for (int i = 0; i < count; i++) {
        struct door *door = &daemon->doors[i];

        door->daemon = daemon;
        door->redis_line = listening[i].redis_line;
        listener_init(&door->listener, &daemon->loop, listening[i].fd, listening[i].unix_path,
                      daemon_accepted, door);
        free(listening[i].unix_path);
    }
    daemon_tune_listeners(daemon);
}

/* --- what the console asks for --- */

static const struct conf *host_conf(void *owner)
{
    return ((struct daemon *)owner)->conf;
}

static bool host_reload(void *owner)
{
    return daemon_reload(owner);
}

static bool host_configure(void *owner, struct conf *conf, struct conf_report *report)
{
    return daemon_take(owner, conf, report);
}

static void host_pause(void *owner, bool paused)
{
    daemon_pause(owner, paused);
}

static void host_suspend(void *owner, bool suspended)
{
    struct daemon *daemon = owner;

    workers_pause(&daemon->process, suspended);
    for (int i = 0; i < daemon->door_count; i++) {
        if (suspended)
            listener_pause(&daemon->doors[i].listener);
        else
            listener_resume(&daemon->doors[i].listener);
    }
}

static void host_end(void *owner, enum admin_ending ending)
{
    struct daemon *daemon = owner;

    if (ending == ADMIN_END_NOW)
        daemon_end_now(daemon);
    else if (daemon->ending == ENDING_NO)
        daemon_end(daemon,
                   ending == ADMIN_END_AFTER_CLIENTS ? ENDING_AFTER_CLIENTS : ENDING_AFTER_SERVERS);
}

static void console_client(struct process *process, struct console_client *client)
{
    admin_console_client(container_of(process, struct daemon, process)->admin, client);
}

static void console_cancel(struct process *process, uint32_t process_id, uint32_t secret)
{
    admin_console_cancel(container_of(process, struct daemon, process)->admin, process_id, secret);
}

static void daemon_start_admin(struct daemon *daemon)
{
    struct admin_host host = {
        .process = &daemon->process,
        .loop = &daemon->loop,
        .owner = daemon,
        .conf = host_conf,
        .reload = host_reload,
        .configure = host_configure,
        .pause = host_pause,
        .suspend = host_suspend,
        .end = host_end,
    };

    daemon->process.console_client = console_client;
    daemon->process.console_cancel = console_cancel;
    daemon->admin = admin_new(&host);
}

static void daemon_fini(struct daemon *daemon)
{
    daemon_close_listeners(daemon);
    workers_stop(&daemon->process);
    workers_join(&daemon->process);
    admin_free(daemon->admin);
    mailbox_drain(&daemon->mailbox); /* what helpers of the stats port had sent meanwhile */
    timer_cancel(&daemon->loop, &daemon->stats);
    timer_cancel(&daemon->loop, &daemon->watchdog);
    timer_cancel(&daemon->loop, &daemon->users);
    for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(daemon->signals[0]); i++)
        if (daemon->signals[i])
            event_free(daemon->signals[i]);
    resolver_free(daemon->process.resolver);
    registry_fini(&daemon->process.registry);
    mailbox_fini(&daemon->mailbox);
    loop_fini(&daemon->loop);
    process_remove_pidfile(daemon->conf->pidfile);
    conf_drop(daemon->conf);
    made_drop(&daemon->made);
    free(daemon->doors);
    free(daemon->beats);
    free(daemon);
}

/* libevent's own words. */
static void event_said(int severity, const char *text)
{
    if (severity == EVENT_LOG_ERR)
        log_error("libevent: %s", text);
    else if (severity == EVENT_LOG_WARN)
        log_warning("libevent: %s", text);
    else
        log_write(LOG_LEVEL_DEBUG, NULL, "libevent: %s", text);
}

int daemon_run(const struct options *options, struct conf *conf, struct made made,
               struct listening *listening, int listening_count)
{
    struct daemon *daemon = memory_new(sizeof(*daemon));

    signal(SIGPIPE, SIG_IGN);
    event_set_log_callback(event_said);
    daemon->options = options;
    daemon->conf = conf;
    daemon->made = made;
    loop_init(&daemon->loop);
    mailbox_init(&daemon->mailbox, &daemon->loop, daemon);
    daemon->process.main_mailbox = &daemon->mailbox;
    daemon->process.worker_drained = worker_drained;
    ensure(auth_key_init(&daemon->process.auth_key));
    registry_init(&daemon->process.registry, conf_workers(conf));
    daemon->beats = memory_new(conf_workers(conf) * sizeof(daemon->beats[0]));
    daemon->process.resolver = resolver_new(&daemon->loop, &daemon->mailbox, conf->resolv_conf);
    daemon_set_limits(daemon);
    daemon_watch_signals(daemon);
    daemon_start_admin(daemon);
    workers_start(&daemon->process, conf, made.tls, made.access);
    daemon_listen(daemon, listening, listening_count);
    daemon_start_timers(daemon);
    log_info("process up: sluice %s, %u workers, libevent %s", SLUICE_VERSION,
             daemon->process.registry.worker_count, event_get_version());
    systemd_ready();
    loop_run(&daemon->loop);
    daemon_fini(daemon);
    return EXIT_SUCCESS;
}
