/* userlist: the file of users and secrets that auth_file names, in PgBouncer's form:
 *     "user" "secret" anything          ; comment
 * Two double quotes within a field are one. */
#ifndef SLUICE_CONF_USERLIST_H
#define SLUICE_CONF_USERLIST_H

#include <sys/stat.h>

#include "sluice/conf/report.h"

#define USERLIST_BYTES (16 << 20)

/* Which file was read; zeros for none. */
struct userlist_stamp {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec changed;
};

/* Calls each() for every user, in order; the texts live during the call. Mistakes go to the report,
 * an unreadable file with the given severity. */
void userlist_read(const char *path, enum conf_severity unreadable, struct conf_report *report,
                   struct userlist_stamp *stamp,
                   void (*each)(void *context, const char *user, const char *secret),
                   void *context);

/* The file as it is now; zeros if it cannot be looked at. */
struct userlist_stamp userlist_stamp(const char *path);

#endif
