/* Replication connections: servers of their own, opened for one client each and closed behind it;
 * what PostgreSQL's own programs do with them works through the pooler. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/sluice.h"
#include "harness/suite.h"

/* The pool of ordinary clients is one by transactions. */
#define DATABASES "p = {server}\nreplication = {server}\n"

static struct postgres postgres;
static struct sluice sluice;

/* A private server that may be replicated, by user1. */
static void start(const char *databases, const char *settings)
{
    char *hba, *conf;

    postgres_start(&postgres);
    postgres_value(&postgres, "ALTER ROLE user1 REPLICATION");
    postgres_value(&postgres, "CREATE TABLE things (name text)");
    postgres_value(&postgres, "GRANT ALL ON things TO PUBLIC");
    postgres_end(&postgres, SIGINT);
    hba = text("%s/pg_hba.conf", postgres.directory);
    conf = text("%s/postgresql.conf", postgres.directory);
    file_write(hba, text("%shost replication all all scram-sha-256\n", file_read(hba)));
    file_write(conf, text("%swal_level = logical\nmax_wal_senders = 5\nmax_replication_slots = 5\n",
                          file_read(conf)));
    process_give(hba);
    process_give(conf);
    postgres_again(&postgres);
    sluice_start(&sluice, .postgres = &postgres, .databases = databases,
                 .settings = text("pool_mode = transaction\n%s", settings));
}

static void stop(void)
{
    sluice_stop(&sluice);
    postgres_end(&postgres, SIGINT);
}

static long senders(void)
{
    return postgres_number(
        &postgres, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'");
}

static PGconn *replicating(const char *more)
{
    return sluice_connect(&sluice, text("user=user1 dbname=p replication=database %s", more));
}

static PGresult *answer(PGconn *connection, const char *command, ExecStatusType status)
{
    PGresult *result = PQexec(connection, command);

    ck_assert_msg(PQresultStatus(result) == status, "%s: %s", command, PQerrorMessage(connection));
    return result;
}

/* Begins to stream the changes of the database, by a slot of this name. */
static void stream(PGconn *connection, const char *slot)
{
    PQclear(answer(connection,
                   text("CREATE_REPLICATION_SLOT %s TEMPORARY LOGICAL test_decoding", slot),
                   PGRES_TUPLES_OK));
    PQclear(
        answer(connection, text("START_REPLICATION SLOT %s LOGICAL 0/0", slot), PGRES_COPY_BOTH));
}

/* Reads the stream up to a change that holds the text. */
static void await_change(PGconn *connection, const char *wanted)
{
    char *data;
    int bytes;

    while ((bytes = PQgetCopyData(connection, &data, 0)) > 0) {
        /* 'w', three numbers of eight bytes, the change */
        bool found = bytes > 25 && data[0] == 'w' &&
                     memmem(data + 25, (size_t)bytes - 25, wanted, strlen(wanted));

        PQfreemem(data);
        if (found)
            return;
    }
    ck_abort_msg("the stream ended before %s: %s", wanted, PQerrorMessage(connection));
}

START_TEST(changes_stream_and_the_connection_goes_on)
{
    PGconn *connection, *ordinary;
    PGresult *result;

    start(DATABASES, "");
    connection = replicating("application_name=follower");
    result = answer(connection, "IDENTIFY_SYSTEM", PGRES_TUPLES_OK);
    ck_assert_str_eq(PQgetvalue(result, 0, 3), postgres.database);
    PQclear(result);
    ck_assert_str_eq(sql_value(connection, "SELECT current_setting('application_name')"),
                     "follower");
    stream(connection, "s1");
    ordinary = sluice_connect(&sluice, "user=user2 dbname=p");
    for (int i = 0; i < 20; i++) {
        sql_do(ordinary, text("INSERT INTO things VALUES ('thing %d')", i));
        await_change(connection, text("thing %d", i));
    }
    /* A standby's status: it has written, flushed and applied all. */
    ck_assert_int_eq(PQputCopyData(connection,
                                   "r\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                                   34),
                     1);
    ck_assert_int_eq(PQputCopyEnd(connection, NULL), 1);
    ck_assert_int_eq(PQflush(connection), 0);
    while ((result = PQgetResult(connection))) {
        char *data;

        if (PQresultStatus(result) == PGRES_COPY_OUT || PQresultStatus(result) == PGRES_COPY_BOTH)
            while (PQgetCopyData(connection, &data, 0) > 0)
                PQfreemem(data);
        else
            ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
        PQclear(result);
    }
    PQclear(answer(connection, "IDENTIFY_SYSTEM", PGRES_TUPLES_OK));
    PQclear(answer(connection, "DROP_REPLICATION_SLOT s1", PGRES_COMMAND_OK));
    PQfinish(connection);
    PQfinish(ordinary);
    await(senders() == 0, 20);
    stop();
}
END_TEST

START_TEST(each_client_has_a_new_server_that_ends_with_it)
{
    PGconn *one, *other;
    char *pid;

    start(DATABASES, "");
    one = replicating("");
    other = replicating("");
    pid = sql_value(one, "SELECT pg_backend_pid()");
    ck_assert_str_ne(pid, sql_value(other, "SELECT pg_backend_pid()"));
    ck_assert_int_eq(senders(), 2);
    PQfinish(one);
    await(senders() == 1, 20);
    one = replicating("");
    ck_assert_str_ne(pid, sql_value(one, "SELECT pg_backend_pid()"));
    PQfinish(one);
    PQfinish(other);
    await(senders() == 0, 20);
    stop();
}
END_TEST

START_TEST(a_client_that_vanishes_takes_its_stream_along)
{
    struct client client;

    start(DATABASES, "");
    client_open(&client, &sluice);
    client_send(&client, put_startup(put_new(), PROTOCOL_3_0, "user", "user1", "database", "p",
                                     "replication", "database", NULL));
    client_drain(&client);
    client_query(&client, "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding");
    client_send(&client, put_query(put_new(), "START_REPLICATION SLOT s LOGICAL 0/0"));
    ck_assert_str_eq(client_message(&client), "W");
    ck_assert_int_eq(senders(), 1);
    client_abort(&client);
    await(senders() == 0, 20);
    ck_assert_int_eq(sluice_log_count(&sluice, "its client has left replication"), 1);
    stop();
}
END_TEST

/* Runs one of PostgreSQL's programs against the pooler; it must end well. */
static void run(const char *program, const char *arguments)
{
    char *output = text("%s/output", sluice.directory);
    char *command = text("exec %s/%s -h 127.0.0.1 -p %u -U user1 -w %s",
                         environment("SLUICE_PG_BIN"), program, sluice.port, arguments);
    char *words[] = {text("/bin/sh"), text("-c"), command, NULL};
    char *variables[] = {text("PGPASSWORD=user1"), NULL};
    int status = process_await(process_start(words[0], words, output, variables, SIGKILL), 60);

    ck_assert_msg(status == 0, "%s: status %d\n%s", command, status, file_read(output));
}

static char *wal_position(void)
{
    return postgres_value(&postgres, "SELECT pg_current_wal_insert_lsn()");
}

START_TEST(pg_receivewal_receives_the_servers_own_files)
{
    char *directory, *file, *end;

    start(DATABASES, "");
    directory = process_directory();
    postgres_value(&postgres, "SELECT pg_create_physical_replication_slot('files', true)");
    file =
        postgres_value(&postgres, "SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots");
    postgres_value(&postgres, "INSERT INTO things SELECT 'x' FROM generate_series(1, 1000)");
    postgres_value(&postgres, "SELECT pg_switch_wal()");
    end = wal_position();
    postgres_value(&postgres, "INSERT INTO things VALUES ('behind')");
    run("pg_receivewal", text("--slot=files --no-loop --endpos=%s -D %s", end, directory));
    ck_assert_int_eq(
        system(text("cmp %s/%s %s/pg_wal/%s", directory, file, postgres.directory, file)), 0);
    await(senders() == 0, 20);
    stop();
}
END_TEST

START_TEST(pg_recvlogical_receives_the_changes)
{
    char *output, *changes;

    start(DATABASES, "");
    output = text("%s/changes", process_directory());
    run("pg_recvlogical", "-d p --slot=changes --create-slot -P test_decoding");
    for (int i = 0; i < 500; i++)
        postgres_value(&postgres, "INSERT INTO things VALUES ('number %d.')", i);
    run("pg_recvlogical",
        text("-d p --slot=changes --start --no-loop --endpos=%s -f %s", wal_position(), output));
    changes = file_read(output);
    for (int i = 0; i < 500; i++)
        ck_assert_msg(strstr(changes, text("'number %d.'", i)), "number %d is missing", i);
    run("pg_recvlogical", "-d p --slot=changes --drop-slot");
    await(senders() == 0, 20);
    stop();
}
END_TEST

START_TEST(pg_basebackup_copies_the_server)
{
    char *directory;

    start(DATABASES, "workers = 2\n");
    directory = process_directory();
    run("pg_basebackup", text("-D %s/copy -c fast -X stream --no-sync", directory));
    ck_assert_int_eq(system(text("test -f %s/copy/backup_manifest", directory)), 0);
    ck_assert_int_eq(
        system(text("%s/pg_verifybackup -n -q %s/copy", environment("SLUICE_PG_BIN"), directory)),
        0);
    await(senders() == 0, 20);
    stop();
}
END_TEST

START_TEST(limits_count_them)
{
    PGconn *one, *other, *ordinary;
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;

    start("p = {server} pool_size=1 max_db_connections=2\n", "");
    one = replicating("");
    /* Their pool is full; the ordinary one is not, and the limit over both leaves one. */
    other = PQconnectStart(text("host=127.0.0.1 port=%u user=user1 password=user1 dbname=p "
                                "replication=database",
                                sluice.port));
    ordinary = sluice_connect(&sluice, "user=user2 dbname=p");
    ck_assert_str_eq(sql_value(ordinary, "SELECT 1"), "1");
    ck_assert_int_eq(senders(), 1);
    PQfinish(one);
    while (wants != PGRES_POLLING_OK) {
        ck_assert_msg(wants != PGRES_POLLING_FAILED, "%s", PQerrorMessage(other));
        wants = PQconnectPoll(other);
        nap();
    }
    ck_assert_str_eq(sql_value(other, "SELECT 2"), "2");
    await(senders() == 1, 20);
    PQfinish(other);
    PQfinish(ordinary);
    stop();
}
END_TEST

/* client_login_timeout is for proving who one is; the wait for a server has a limit of its own. */
START_TEST(a_full_pool_is_waited_for_as_long_as_by_a_query)
{
    PGconn *one, *other;

    start("p = {server} pool_size=1\n", "client_login_timeout = 1\nquery_wait_timeout = 3\n");
    one = replicating("");
    other = PQconnectdb(text("host=127.0.0.1 port=%u user=user1 password=user1 dbname=p "
                             "replication=database",
                             sluice.port));
    ck_assert_int_eq(PQstatus(other), CONNECTION_BAD);
    ck_assert_ptr_nonnull(strstr(PQerrorMessage(other), "query_wait_timeout"));
    PQfinish(other);
    PQfinish(one);
    stop();
}
END_TEST

START_TEST(timeouts_leave_streams_alone)
{
    PGconn *connection, *ordinary;

    start(DATABASES, "query_timeout = 1\nidle_transaction_timeout = 1\nclient_idle_timeout = 60\n"
                     "server_lifetime = 1\nserver_check_delay = 0\n");
    connection = replicating("");
    stream(connection, "s");
    ordinary = sluice_connect(&sluice, "user=user2 dbname=p");
    /* This statement is younger than the stream. */
    ck_assert_str_eq(sql_error(ordinary, "SELECT pg_sleep(600)"), "57014 query timeout");
    sql_do(ordinary, "INSERT INTO things VALUES ('later')");
    await_change(connection, "later");
    PQfinish(connection);
    PQfinish(ordinary);
    stop();
}
END_TEST

START_TEST(the_console_tells_them_apart)
{
    PGconn *logical, *physical, *console;
    PGresult *result;
    char *seen = text("%s", "");

    start(DATABASES, "admin_users = user2\n");
    logical = replicating("");
    physical = sluice_connect(&sluice, "user=user1 dbname=replication replication=true");
    PQclear(answer(physical, "IDENTIFY_SYSTEM", PGRES_TUPLES_OK));
    console = sluice_connect(&sluice, "user=user2 dbname=pgbouncer");
    result = PQexec(console, "SHOW SERVERS");
    for (int i = 0; i < PQntuples(result); i++)
        seen = text("%s%s %s,", seen, PQgetvalue(result, i, PQfnumber(result, "database")),
                    PQgetvalue(result, i, PQfnumber(result, "replication")));
    ck_assert_msg(strstr(seen, "p logical,") && strstr(seen, "replication physical,"), "%s", seen);
    PQclear(result);
    PQfinish(logical);
    PQfinish(physical);
    PQfinish(console);
    stop();
}
END_TEST

START_TEST(refusals_are_the_servers_own_and_stop_nobody)
{
    PGconn *connection;
    char *refusal;

    start(DATABASES, "");
    refusal = sluice_refusal(&sluice, "user=user2 dbname=p replication=database");
    ck_assert_msg(strncmp(refusal, "42501: ", 7) == 0, "%s", refusal);
    ck_assert_str_eq(sluice_refusal(&sluice, "user=user1 dbname=p replication=perhaps"),
                     "22023: invalid value for parameter \"replication\": \"perhaps\"");
    connection = sluice_connect(&sluice, "user=user2 dbname=p replication=off");
    ck_assert_str_eq(sql_value(connection, "SELECT 1"), "1");
    PQfinish(connection);
    PQfinish(replicating(""));
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replication");

    suite_add(suite, SUITE_OURS, 60, changes_stream_and_the_connection_goes_on);
    suite_add(suite, SUITE_OURS, 60, each_client_has_a_new_server_that_ends_with_it);
    suite_add(suite, SUITE_OURS, 60, a_client_that_vanishes_takes_its_stream_along);
    suite_add(suite, SUITE_OURS, 60, pg_receivewal_receives_the_servers_own_files);
    suite_add(suite, SUITE_OURS, 60, pg_recvlogical_receives_the_changes);
    suite_add(suite, SUITE_OURS, 60, pg_basebackup_copies_the_server);
    suite_add(suite, SUITE_OURS, 60, limits_count_them);
    suite_add(suite, SUITE_OURS, 60, a_full_pool_is_waited_for_as_long_as_by_a_query);
    suite_add(suite, SUITE_OURS, 60, timeouts_leave_streams_alone);
    suite_add(suite, SUITE_OURS, 60, the_console_tells_them_apart);
    suite_add(suite, SUITE_OURS, 60, refusals_are_the_servers_own_and_stop_nobody);
    return suite_finish(suite);
}
