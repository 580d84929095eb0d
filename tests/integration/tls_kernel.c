/* Kernel TLS, to clients and to servers: used where the kernel has its module and kernel_tls is on,
 * and seen in the console. This module is seldom loaded: without it the tests prove that all goes
 * on by OpenSSL alone. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/console.h"
#include "harness/postgres.h"
#include "harness/sluice.h"
#include "harness/suite.h"
#include "harness/tls.h"

#define BYTES 3000000

static bool kernel_offers_tls(void)
{
    char name[32];
    bool found = false;
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_available_ulp", "r");

    while (file && !found && fscanf(file, "%31s", name) == 1)
        found = strcmp(name, "tls") == 0;
    if (file)
        fclose(file);
    return found;
}

static const struct version {
    const char *name;
    int enabled;
} versions[] = {{"tlsv1.3", 1}, {"tlsv1.2", 1}, {"tlsv1.3", 0}};

START_TEST(the_kernel_encrypts_where_it_can_and_may)
{
    const struct version *version = &versions[_i];
    bool wanted = version->enabled && kernel_offers_tls();
    struct postgres postgres;
    struct sluice sluice;
    PGconn *connection, *console;

    postgres_start_tls(&postgres, "server", "");
    sluice_start(&sluice, .postgres = &postgres, .databases = "p = {server}\n",
                 .settings =
                     text(CONSOLE_USERS "kernel_tls = %d\npool_mode = transaction\n"
                                        "client_tls_protocols = %s\n%s"
                                        "server_tls_sslmode = require\n",
                          version->enabled, version->name, client_tls("require", "server")));
    connection = sluice_connect(&sluice, "user=user2 dbname=p sslmode=require");
    for (int i = 0; i < 20; i++)
        ck_assert_str_eq(sql_value(connection, text("SELECT %d", i)), text("%d", i));
    ck_assert_uint_eq(strlen(sql_value(connection, text("SELECT repeat('x', %d)", BYTES))), BYTES);
    ck_assert_str_eq(sql_value(connection, text("SELECT length('%0*d')", BYTES, 0)),
                     text("%d", BYTES));
    console = sluice_connect(&sluice, "user=user1 dbname=pgbouncer sslmode=require");
    ck_assert_int_eq(strstr(console_cell(console, "SHOW CLIENTS", "C", "tls"), "/kernel") != NULL,
                     wanted);
    ck_assert_int_eq(strstr(console_cell(console, "SHOW SERVERS", "S", "tls"), "/kernel") != NULL,
                     wanted);
    PQfinish(connection);
    /* Its goodbye is a record of another kind, which the console outlives. */
    console_end(console, &sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls_kernel");

    suite_add_loop(suite, SUITE_OURS, 60, the_kernel_encrypts_where_it_can_and_may,
                   sizeof(versions) / sizeof(versions[0]));
    return suite_finish(suite);
}
