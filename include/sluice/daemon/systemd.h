/* systemd: tells the service manager what the daemon does (sd_notify(3)'s protocol: datagrams to
 * the socket in NOTIFY_SOCKET). Does nothing when there is none. Main thread. */
#ifndef SLUICE_DAEMON_SYSTEMD_H
#define SLUICE_DAEMON_SYSTEMD_H

#include <stdint.h>

void systemd_ready(void);
void systemd_reloading(void);
void systemd_stopping(void);
void systemd_alive(void);

/* How often systemd_alive() is expected, in microseconds; 0 = never (WATCHDOG_USEC). */
uint64_t systemd_watchdog_us(void);

#endif
