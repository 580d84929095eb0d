/* Where clients reach the pooler: addresses of both families, Unix sockets, and their permissions.
 */
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

static struct sluice sluice;

static void check_served(const char *where)
{
    struct client client;

    client_open_to(&client, where, sluice.port);
    client_send(&client,
                put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
    client_drain(&client);
    ck_assert_str_eq(client_query(&client, "SELECT 1"), "T(?column?) D(1) C(SELECT 1) Z(I)");
    client_close(&client);
}

static bool have_ipv6(void)
{
    return strstr(file_read("/proc/net/if_inet6"), "lo") != NULL;
}

START_TEST(every_address_of_the_list_is_served)
{
    sluice_start(&sluice, .settings = text("listen_addr = 127.0.0.1, 127.0.0.2%s\n",
                                           have_ipv6() ? ", ::1" : ""));
    check_served("127.0.0.1");
    check_served("127.0.0.2");
    if (have_ipv6())
        check_served("::1");
    check_served(sluice.directory);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(a_star_serves_every_address)
{
    sluice_start(&sluice, .settings = "listen_addr = *\n");
    check_served("127.0.0.1");
    check_served("127.0.0.77");
    if (have_ipv6())
        check_served("::1");
    sluice_stop(&sluice);
}
END_TEST

START_TEST(without_addresses_only_the_unix_socket_is_served)
{
    sluice_start(&sluice, .settings = "listen_addr =\n");
    check_served(sluice.directory);
    ck_assert_int_eq(PQping(text("host=127.0.0.1 port=%u", sluice.port)), PQPING_NO_RESPONSE);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_unix_socket_has_the_mode_and_group_asked_for)
{
    struct stat status;
    struct group *group;

    sluice_start(&sluice);
    ck_assert_int_eq(stat(text("%s/.s.PGSQL.%u", sluice.directory, sluice.port), &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0777);
    sluice_stop(&sluice);
    group = getgrgid(status.st_gid);
    ck_assert_ptr_nonnull(group);
    sluice_start(&sluice, .settings = text("unix_socket_mode = 0750\nunix_socket_group = %s\n",
                                           group->gr_name));
    ck_assert_int_eq(stat(text("%s/.s.PGSQL.%u", sluice.directory, sluice.port), &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0750);
    ck_assert_int_eq(status.st_gid, group->gr_gid);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(without_a_directory_there_is_no_unix_socket)
{
    sluice_start(&sluice, .settings = "unix_socket_dir =\n");
    check_served("127.0.0.1");
    ck_assert_int_ne(access(text("%s/.s.PGSQL.%u", sluice.directory, sluice.port), F_OK), 0);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(an_abstract_unix_socket_is_served)
{
    PGconn *connection;
    char *name;

    sluice_start(&sluice, .settings = text("unix_socket_dir = @sluice-test-%d\n", (int)getpid()));
    name = text("@sluice-test-%d", (int)getpid());
    connection = PQconnectdb(text("host=%s port=%u user=user1 dbname=p", name, sluice.port));
    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PQfinish(connection);
    sluice_stop(&sluice);
}
END_TEST

/* What a killed process left must not hinder the next start. */
START_TEST(a_stale_unix_socket_is_replaced)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    sluice_prepare(&sluice);
    sluice.postgres = postgres_shared();
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.%u", sluice.directory,
             sluice.port);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    process_give(address.sun_path);
    sluice_rewrite(&sluice);
    sluice_launch(&sluice, file_read(sluice.ini));
    check_served(sluice.directory);
    sluice_stop(&sluice);
}
END_TEST

START_TEST(the_unix_socket_is_gone_after_the_end)
{
    sluice_start(&sluice);
    ck_assert_int_eq(access(text("%s/.s.PGSQL.%u", sluice.directory, sluice.port), F_OK), 0);
    sluice_signal(&sluice, suite_reference() ? SIGINT : SIGTERM);
    sluice_await_end(&sluice, 20);
    ck_assert_int_ne(access(text("%s/.s.PGSQL.%u", sluice.directory, sluice.port), F_OK), 0);
}
END_TEST

/* More at once than the backlog holds: all are served. */
START_TEST(a_burst_of_clients_is_served)
{
    struct client clients[300];

    sluice_start(&sluice, .databases = "p = {server} pool_size=3\n",
                 .settings = "pool_mode = transaction\n");
    for (int i = 0; i < 300; i++) {
        client_open(&clients[i], &sluice);
        client_send(&clients[i],
                    put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p", NULL));
        client_send(&clients[i], put_query(put_new(), text("SELECT %d", i)));
    }
    for (int i = 0; i < 300; i++) {
        client_drain(&clients[i]);
        ck_assert_str_eq(client_answer(&clients[i]), text("T(?column?) D(%d) C(SELECT 1) Z(I)", i));
    }
    for (int i = 0; i < 300; i++)
        client_close(&clients[i]);
    sluice_stop(&sluice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listening");

    suite_add(suite, SUITE_SAME, 20, every_address_of_the_list_is_served);
    suite_add(suite, SUITE_SAME, 20, a_star_serves_every_address);
    suite_add(suite, SUITE_SAME, 20, without_addresses_only_the_unix_socket_is_served);
    suite_add(suite, SUITE_SAME, 20, the_unix_socket_has_the_mode_and_group_asked_for);
    suite_add(suite, SUITE_SAME, 20, without_a_directory_there_is_no_unix_socket);
    suite_add(suite, SUITE_SAME, 20, an_abstract_unix_socket_is_served);
    suite_add(suite, SUITE_SAME, 20, a_stale_unix_socket_is_replaced);
    suite_add(suite, SUITE_OURS, 20, the_unix_socket_is_gone_after_the_end);
    suite_add(suite, SUITE_SAME, 40, a_burst_of_clients_is_served);
    return suite_finish(suite);
}
