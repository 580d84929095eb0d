/* That every key of PgBouncer is known with PgBouncer's default, and that its own files load. */
#include "load.h"

static const struct {
    const char *name, *standard; /* NULL: unset */
    bool changeable;
} expected[] = {
    {"admin_users", "", true},
    {"application_name_add_host", "0", true},
    {"auth_dbname", NULL, true},
    {"auth_file", NULL, true},
    {"auth_hba_file", "", true},
    {"auth_ident_file", NULL, true},
    {"auth_ldap_options", NULL, true},
    {"auth_query",
     "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM "
     "pg_authid "
     "WHERE rolname=$1 AND rolcanlogin",
     true},
    {"auth_type", "md5", true},
    {"auth_user", NULL, true},
    {"autodb_idle_timeout", "3600", true},
    {"batch_lookups", "off", true},
    {"cancel_wait_timeout", "10", true},
    {"client_idle_timeout", "0", true},
    {"client_login_timeout", "60", true},
    {"client_statements_limit", "16MB", true},
    {"client_tls13_ciphers", NULL, true},
    {"client_tls_ca_file", "", true},
    {"client_tls_cert_file", "", true},
    {"client_tls_ciphers", "default", true},
    {"client_tls_dheparams", "auto", true},
    {"client_tls_ecdhcurve", "auto", true},
    {"client_tls_key_file", "", true},
    {"client_tls_protocols", "secure", true},
    {"client_tls_sslmode", "disable", true},
    {"conffile", NULL, true},
    {"default_pool_size", "20", true},
    {"disable_pqexec", "0", false},
    {"dns_max_ttl", "15", true},
    {"dns_nxdomain_ttl", "15", true},
    {"dns_zone_check_period", "0", true},
    {"idle_transaction_timeout", "0", true},
    {"ignore_startup_parameters", "", true},
    {"io_uring", "1", false},
    {"job_name", "pgbouncer", false},
    {"kernel_tls", "1", true},
    {"listen_addr", "", false},
    {"listen_backlog", "128", false},
    {"listen_port", "6432", false},
    {"log_connections", "1", true},
    {"log_disconnections", "1", true},
    {"log_format", "text", true},
    {"log_min_duration_statement", "-1", true},
    {"log_pooler_errors", "1", true},
    {"log_slow_parameters", "0", true},
    {"log_slow_rate", "10", true},
    {"log_slow_sample", "100", true},
    {"log_stats", "1", true},
    {"logfile", "", true},
    {"login_notify_message", "", true},
    {"max_batch_size", "100", true},
    {"max_client_conn", "100", true},
    {"max_db_client_connections", "0", true},
    {"max_db_connections", "0", true},
    {"max_delay", "0", true},
    {"max_packet_size", "2147483647", true},
    {"max_pinned_servers", "0", true},
    {"max_prepared_statements", "200", true},
    {"max_user_client_connections", "0", true},
    {"max_user_connections", "0", true},
    {"max_waiting", "0", true},
    {"min_pool_size", "0", true},
    {"multiplex", "0", true},
    {"multiplex_stall", "0.005", true},
    {"peer_id", "0", true},
    {"pidfile", "", false},
    {"pin", "1", true},
    {"pkt_buf", "4096", false},
    {"pool_idle_timeout", "0", true},
    {"pool_mode", "session", true},
    {"query_timeout", "0", true},
    {"query_wait_notify", "5", true},
    {"query_wait_timeout", "120", true},
    {"redis_admin_commands", "0", true},
    {"redis_batch_keys", "0", true},
    {"redis_blocking_pool_size", "100", true},
    {"redis_client_idle_timeout", "0", true},
    {"redis_client_output_limit", "32MB", true},
    {"redis_command_timeout", "0", true},
    {"redis_connect_timeout", "5", true},
    {"redis_max_clients", "10000", true},
    {"redis_max_delay", "0", true},
    {"redis_min_pool_size", "1", true},
    {"redis_pool_size", "8", true},
    {"redis_query_wait_timeout", "120", true},
    {"redis_server_idle_timeout", "600", true},
    {"redis_server_lifetime", "3600", true},
    {"reserve_pool_size", "0", true},
    {"reserve_pool_timeout", "5", true},
    {"resolv_conf", "", false},
    {"sbuf_loopcnt", "5", true},
    {"sched_batch", "1", false},
    {"scram_iterations", "4096", true},
    {"server_check_delay", "30", true},
    {"server_check_query", "<empty>", true},
    {"server_connect_timeout", "15", true},
    {"server_fast_close", "0", true},
    {"server_idle_timeout", "600", true},
    {"server_lifetime", "3600", true},
    {"server_login_retry", "15", true},
    {"server_reset_query", "DISCARD ALL", true},
    {"server_reset_query_always", "0", true},
    {"server_round_robin", "0", true},
    {"server_tls13_ciphers", NULL, true},
    {"server_tls_ca_file", "", true},
    {"server_tls_cert_file", "", true},
    {"server_tls_ciphers", "default", true},
    {"server_tls_key_file", "", true},
    {"server_tls_protocols", "secure", true},
    {"server_tls_sslmode", "prefer", true},
    {"server_tls_sslnegotiation", "postgres", true},
    {"service_name", NULL, false},
    {"session_set", "track", true},
    {"so_reuseport", "0", false},
    {"statements", "0", true},
    {"statements_max", "1000", true},
    {"stats_listen", "", false},
    {"stats_period", "60", true},
    {"stats_users", "", true},
    {"suspend_timeout", "10", true},
    {"syslog", "0", true},
    {"syslog_facility", "daemon", true},
    {"syslog_ident", "pgbouncer", true},
    {"tcp_defer_accept", "1", true},
    {"tcp_keepalive", "1", true},
    {"tcp_keepcnt", "0", true},
    {"tcp_keepidle", "0", true},
    {"tcp_keepintvl", "0", true},
    {"tcp_socket_buffer", "0", true},
    {"tcp_user_timeout", "0", true},
    {"track_extra_parameters", "IntervalStyle", false},
    {"transaction_timeout", "0", true},
    {"unix_socket_dir", "/tmp", false},
    {"unix_socket_group", "", false},
    {"unix_socket_mode", "0777", false},
    {"user", NULL, false},
    {"verbose", "0", true},
    {"workers", "auto", false},
};

#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

static void compare_setting(void *context, const char *name, const char *value,
                            const char *standard, bool changeable)
{
    size_t *at = context;

    ck_assert_uint_lt(*at, EXPECTED);
    ck_assert_str_eq(name, expected[*at].name);
    ck_assert_pstr_eq(standard, expected[*at].standard);
    ck_assert_msg(changeable == expected[*at].changeable, "%s", name);
    if (strcmp(name, "client_statements_limit") == 0)
        ck_assert_str_eq(value, "16777216");
    else if (strcmp(name, "redis_client_output_limit") == 0)
        ck_assert_str_eq(value, "33554432");
    else if (strcmp(name, "conffile") == 0)
        ck_assert_str_eq(value, "conf.ini");
    else
        ck_assert_pstr_eq(value, standard);
    ++*at;
}

START_TEST(every_default_is_the_documented_one)
{
    struct conf *conf = load_good("[pgbouncer]\n");
    size_t count = 0;

    conf_each_setting(conf, compare_setting, &count);
    ck_assert_uint_eq(count, EXPECTED);
    ck_assert_uint_eq(report.count, 0);
    conf_drop(conf);
}
END_TEST

START_TEST(defaults_arrive_in_their_units)
{
    struct conf *conf = load_good("[sluice]\n");

    ck_assert_int_eq(conf->max_client_conn, 100);
    ck_assert_uint_eq(conf->query_wait_timeout_us, 120 * 1000000ULL);
    ck_assert_uint_eq(conf->multiplex_stall_us, 5000);
    ck_assert_uint_eq(conf->max_packet_size_bytes, 2147483647);
    ck_assert_int_eq(conf->pool_mode, POOL_MODE_SESSION);
    ck_assert_int_eq(conf->auth_type, AUTH_TYPE_MD5);
    ck_assert_int_eq(conf->server_tls_sslmode, SSLMODE_PREFER);
    ck_assert_int_eq(conf->log_format, LOG_FORMAT_TEXT);
    ck_assert_int_eq(conf->unix_socket_mode, 0777);
    ck_assert_str_eq(conf->auth_user, "");
    ck_assert_str_eq(conf->conffile, "conf.ini");
    ck_assert(conf->tcp_keepalive);
    ck_assert(!conf->server_round_robin);
    ck_assert_uint_eq(conf->listen_addr.count, 0);
    ck_assert_uint_eq(conf->track_extra_parameters.count, 1);
    ck_assert_str_eq(conf->track_extra_parameters.items[0], "IntervalStyle");
    ck_assert_int_eq(conf->workers, 0);
    ck_assert_uint_ge(conf_workers(conf), 1);
    ck_assert_uint_le(conf_workers(conf), 64);
    conf_drop(conf);
}
END_TEST

/* What a distribution's package writes there: comments that look like settings, blank lines, a
 * users section without users, an empty list of users. */
START_TEST(a_packaged_pgbouncer_ini_loads_unchanged)
{
    struct conf *conf;

    write_text("userlist.txt", "");
    conf = load_good(";; one line for a database\n"
                     "[databases]\n"
                     "\n"
                     ";foodb =\n"
                     "; foodb = auth_user=bar\n"
                     "\n"
                     "[users]\n"
                     "\n"
                     ";user1 = pool_mode=transaction max_user_connections=10\n"
                     "\n"
                     "[pgbouncer]\n"
                     "\n"
                     "logfile = /var/log/postgresql/pgbouncer.log\n"
                     "pidfile = /var/run/postgresql/pgbouncer.pid\n"
                     "listen_addr = localhost\n"
                     "listen_port = 6432\n"
                     ";unix_socket_mode = 0777\n"
                     "unix_socket_dir = /var/run/postgresql\n"
                     ";client_tls_ca_file = <system default>\n"
                     "auth_type = md5\n"
                     "auth_file = userlist.txt\n"
                     "; skip the check query.  Value 0 may or may not run in immediately.\n"
                     ";%include /etc/pgbouncer/pgbouncer-other.ini\n");
    ck_assert_uint_eq(report.count, 0);
    ck_assert_str_eq(conf->logfile, "/var/log/postgresql/pgbouncer.log");
    ck_assert_str_eq(conf->unix_socket_dir, "/var/run/postgresql");
    ck_assert_uint_eq(conf->listen_addr.count, 1);
    ck_assert_str_eq(conf->listen_addr.items[0], "localhost");
    ck_assert_uint_eq(conf->database_count, 0);
    conf_drop(conf);
}
END_TEST

/* Every setting of an older file, uncommented, as PgBouncer's own sample gives it. */
START_TEST(every_setting_of_a_pgbouncer_ini_loads)
{
    struct conf *conf;

    write_text("userlist.txt", "\"marko\" \"asdasd\"\n"
                               "\"postgres\" \"asdasd\" \"ignored\"\n"
                               "\"pgbouncer\" \"md5fake\"\n");
    conf = load_good(
        "[databases]\n"
        "foodb =\n"
        "bardb = host=localhost dbname=bazdb\n"
        "forcedb = host=localhost port=300 user=baz password=foo client_encoding=UNICODE "
        "datestyle=ISO connect_query='SELECT 1'\n"
        "nondefaultdb = pool_size=50 reserve_pool=10\n"
        "* = host=testserver\n"
        "[users]\n"
        "user1 = pool_mode=transaction max_user_connections=10\n"
        "[pgbouncer]\n"
        "client_tls_sslmode = disable\nclient_tls_ciphers = fast\nclient_tls_protocols = secure\n"
        "client_tls_dheparams = auto\nclient_tls_ecdhcurve = auto\nserver_tls_sslmode = disable\n"
        "auth_file = userlist.txt\n"
        "admin_users = user2, someadmin, otheradmin\nstats_users = stats, root\n"
        "pool_mode = session\nserver_reset_query = DISCARD ALL\nserver_reset_query_always = 0\n"
        "ignore_startup_parameters = extra_float_digits\nserver_check_query = select 1\n"
        "server_check_delay = 30\nserver_fast_close = 0\napplication_name_add_host = 0\n"
        "stats_period = 60\nmax_client_conn = 100\ndefault_pool_size = 20\nmin_pool_size = 0\n"
        "reserve_pool_size = 0\nreserve_pool_timeout = 5\nmax_db_connections = 0\n"
        "max_user_connections = 0\nserver_round_robin = 0\nsyslog = 0\nsyslog_facility = daemon\n"
        "syslog_ident = pgbouncer\nlog_connections = 1\nlog_disconnections = 1\n"
        "log_pooler_errors = 1\nlog_stats = 1\nverbose = 0\nserver_lifetime = 3600\n"
        "server_idle_timeout = 600\nserver_connect_timeout = 15\nserver_login_retry = 15\n"
        "query_timeout = 0\nquery_wait_timeout = 120\nclient_idle_timeout = 0\n"
        "client_login_timeout = 60\nautodb_idle_timeout = 3600\nidle_transaction_timeout = 0\n"
        "suspend_timeout = 10\npkt_buf = 4096\nlisten_backlog = 128\nsbuf_loopcnt = 5\n"
        "max_packet_size = 2147483647\nso_reuseport = 0\ntcp_defer_accept = 45\n"
        "tcp_socket_buffer = 0\ntcp_keepalive = 1\ntcp_keepcnt = 0\ntcp_keepidle = 0\n"
        "tcp_keepintvl = 0\ntcp_user_timeout = 0\ndns_max_ttl = 15\ndns_zone_check_period = 0\n"
        "dns_nxdomain_ttl = 15\nresolv_conf =\ndisable_pqexec = 0\njob_name = pgbouncer\n");

    ck_assert_uint_eq(conf->database_count, 5);
    ck_assert_uint_eq(conf->user_count, 4);
    ck_assert_uint_eq(conf->admin_users.count, 3);
    ck_assert_str_eq(conf->admin_users.items[1], "someadmin");
    ck_assert_str_eq(conf_find_user(conf, "marko")->secret, "asdasd");
    ck_assert_str_eq(conf_find_database(conf, "forcedb")->connect_query, "SELECT 1");
    ck_assert_int_eq(conf_find_database(conf, "nondefaultdb")->reserve_pool_size, 10);
    conf_drop(conf);
}
END_TEST

LOAD_MAIN("table", every_default_is_the_documented_one, defaults_arrive_in_their_units,
          a_packaged_pgbouncer_ini_loads_unchanged, every_setting_of_a_pgbouncer_ini_loads)
