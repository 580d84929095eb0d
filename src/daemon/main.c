/* sluice: the entry point: reads the command line and the settings, prepares the process, runs. */
#include <stdio.h>
#include <stdlib.h>

#include "sluice/base/log.h"
#include "sluice/daemon/daemon.h"

int main(int count, char **arguments)
{
    struct options options;
    struct conf_report report;
    struct listening listening[LISTENING_MAX] = {0};
    struct conf *conf;
    int status, opened;

    if (!options_read(&options, count, arguments, &status))
        return status;
    conf_report_init(&report);
    conf = conf_load(options.file, &report);
    if (!conf || options.check) {
        conf_report_print(&report, stderr);
        conf_report_fini(&report);
        if (conf)
            printf("%s: no mistakes\n", options.file);
        conf_drop(conf);
        return conf ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (!process_become(options.user ? options.user : conf->user))
        return EXIT_FAILURE;
    opened = process_listen(conf, listening);
    if (opened < 0)
        return EXIT_FAILURE;
    if (!daemon_configure_log(&options, conf))
        return EXIT_FAILURE;
    conf_report_log(&report);
    conf_report_fini(&report);
    process_raise_limits(conf);
    if (options.daemonize && !process_daemonize(conf))
        return EXIT_FAILURE;
    if (!process_write_pidfile(conf->pidfile))
        return EXIT_FAILURE;
    return daemon_run(&options, conf, listening, opened);
}
