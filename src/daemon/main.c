/* sluice: the entry point: reads the command line and the settings, prepares the process, runs. */
#include <stdio.h>
#include <stdlib.h>

#include "sluice/base/log.h"
#include "sluice/daemon/daemon.h"
#include "sluice/daemon/top.h"

/* All that is done to the process before threads exist. Returns how many sockets listen, or -1. */
static int prepare(const struct options *options, const struct conf *conf, struct made *made,
                   struct conf_report *report, struct listening *listening)
{
    bool valid;
    int opened;

    if (!process_become(options->user ? options->user : conf->user))
        return -1;
    if (!daemon_configure_log(options, conf) || !process_pidfile_free(conf->pidfile))
        return -1;
    /* As the user who will read them again at a reload. */
    valid = made_from(made, conf, report);
    conf_report_log(report);
    if (!valid)
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
    struct made made = {0};
    int status, opened;

    if (!options_read(&options, count, arguments, &status))
        return status;
    conf_report_init(&report);
    conf = conf_load(options.file, &report);
    if (!conf || options.check) {
        status = conf && made_from(&made, conf, &report) ? EXIT_SUCCESS : EXIT_FAILURE;
        conf_report_print(&report, stderr);
        conf_report_fini(&report);
        if (status == EXIT_SUCCESS)
            printf("%s: no mistakes\n", options.file);
        conf_drop(conf);
        made_drop(&made);
        return status;
    }
    if (options.top) {
        status = top_run(conf);
        conf_report_fini(&report);
        conf_drop(conf);
        return status;
    }
    opened = prepare(&options, conf, &made, &report, listening);
    conf_report_fini(&report);
    if (opened < 0) {
        process_close_listening(listening);
        conf_drop(conf);
        made_drop(&made);
        return EXIT_FAILURE;
    }
    return daemon_run(&options, conf, made, listening, opened);
}
