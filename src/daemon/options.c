#include "sluice/daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/conf/conf.h"

static void options_help(FILE *stream)
{
    fprintf(stream, "Usage: sluice [OPTION]... FILE.ini\n"
                    "A pooler for PostgreSQL and Redis.\n\n"
                    "  -d, --daemon     run in the background (needs pidfile in the settings)\n"
                    "  -u, --user=USER  become this Unix user when started as root\n"
                    "  -q, --quiet      do not log to standard error\n"
                    "  -v, --verbose    log more; twice for even more\n"
                    "      --check      read the settings, tell what is wrong with them, and exit\n"
                    "      --top        show what the running one does, each second\n"
                    "      --settings[=man]\n"
                    "                   print the manual of all settings (Markdown, or the page\n"
                    "                   sluice.ini(5)), and exit\n"
                    "  -V, --version    print the version, and exit\n"
                    "  -h, --help       print this, and exit\n");
}

bool options_read(struct options *options, int count, char **arguments, int *status)
{
    enum { CHECK = 256, SETTINGS, TOP };
    static const struct option names[] = {
        {"daemon", no_argument, NULL, 'd'},
        {"user", required_argument, NULL, 'u'},
        {"quiet", no_argument, NULL, 'q'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {"check", no_argument, NULL, CHECK},
        {"settings", optional_argument, NULL, SETTINGS},
        {"top", no_argument, NULL, TOP},
        {"reboot", no_argument, NULL, 'R'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *options = (struct options){0};
    *status = EXIT_SUCCESS;
    while ((option = getopt_long(count, arguments, "du:qvVhR", names, NULL)) != -1) {
        switch (option) {
        case 'd':
            options->daemonize = true;
            break;
        case 'u':
            options->user = optarg;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 'v':
            options->verbose++;
            break;
        case CHECK:
            options->check = true;
            break;
        case TOP:
            options->top = true;
            break;
        case SETTINGS:
            if (optarg && strcmp(optarg, "man") == 0)
                conf_write_manual_page(stdout);
            else
                conf_write_manual(stdout);
            return false;
        case 'V':
            printf("sluice %s\n", SLUICE_VERSION);
            return false;
        case 'h':
            options_help(stdout);
            return false;
        case 'R':
            fprintf(stderr, "sluice: -R (takeover) is not supported: start a second process with "
                            "so_reuseport=1, then send SIGTERM to the first one\n");
            *status = EXIT_FAILURE;
            return false;
        default:
            fprintf(stderr, "Try 'sluice --help'.\n");
            *status = EXIT_FAILURE;
            return false;
        }
    }
    if (optind != count - 1) {
        fprintf(stderr, "sluice: give one settings file\n");
        options_help(stderr);
        *status = EXIT_FAILURE;
        return false;
    }
    options->file = arguments[optind];
    return true;
}
