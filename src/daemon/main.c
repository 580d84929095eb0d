/* sluice: the entry point: reads the command line and the settings, prepares the process, runs. */
#include <stdio.h>
#include <stdlib.h>

#include "sluice/base/log.h"
#include "sluice/daemon/daemon.h"
#include "sluice/daemon/lookups.h"
#include "sluice/daemon/top.h"

/* All that is done to the process before threads exist. Returns how many sockets listen, or -1. */
static int prepare(const struct options *options, const struct conf *conf, struct tls **tls,
                   struct conf_report *report, struct listening *listening)
{
    int opened;

    if (!process_become(options->user ? options->user : conf->user))
        return -1;
    if (!daemon_configure_log(options, conf) || !process_pidfile_free(conf->pidfile))
        return -1;
    /* As the user who will read them again at a reload. */
    *tls = lookups_valid(conf, report) ? tls_new(conf, report) : NULL;
    conf_report_log(report);
    if (!*tls)
        return -1;
    opened = process_listen(conf, listening);
    if (opened < 0)
        return -1;
    process_raise_limits(conf);
    if (options->daemonize && !process_daemonize(conf))
        return -1;
    return process_write_pidfile(conf->pidfile) ? opened : -1;
}

int main(int count, char **arguments)
{
    struct options options;
    struct conf_report report;
    struct listening listening[LISTENING_MAX] = {0};
    struct conf *conf;
    struct tls *tls = NULL;
    int status, opened;

    if (!options_read(&options, count, arguments, &status))
        return status;
    conf_report_init(&report);
    conf = conf_load(options.file, &report);
    if (!conf || options.check) {
        tls = conf && lookups_valid(conf, &report) ? tls_new(conf, &report) : NULL;
        conf_report_print(&report, stderr);
        conf_report_fini(&report);
        if (tls)
            printf("%s: no mistakes\n", options.file);
        conf_drop(conf);
        status = tls ? EXIT_SUCCESS : EXIT_FAILURE;
        tls_drop(tls);
        return status;
    }
    if (options.top) {
        status = top_run(conf);
        conf_report_fini(&report);
        conf_drop(conf);
        return status;
    }
    opened = prepare(&options, conf, &tls, &report, listening);
    conf_report_fini(&report);
    if (opened < 0) {
        process_close_listening(listening);
        conf_drop(conf);
        tls_drop(tls);
        return EXIT_FAILURE;
    }
    return daemon_run(&options, conf, tls, listening, opened);
}
