/* The lines of [databases], [users], [peers], [redis] and [lookups]: how they are read, who decides
 * when several say something, and which changes need new servers. */
#include "load.h"

#define HEAD "[sluice]\n[databases]\n"

START_TEST(a_database_line_is_read_as_pgbouncer_does)
{
    struct conf *conf = load_good(
        HEAD "empty =\n"
             "all = dbname=real host=h.example port=5433 user=u password=p auth_user=au "
             "auth_query='select 1' auth_dbname=ad pool_size=1 min_pool_size=2 "
             "reserve_pool_size=3 connect_query='set x = ''a b''' pool_mode=transaction "
             "query_wait_timeout=4 load_balance_hosts=disable max_db_connections=5 "
             "max_db_client_connections=6 server_lifetime=7 client_encoding=UTF8 datestyle=ISO "
             "timezone=GMT application_name=app priority=9 max_waiting=8 batch_lookups=off\n"
             "old = reserve_pool=10\n"
             "spaced =   host = 'a'   port\t=\t5433   \n"
             "last = port=1 port=2\n");
    const struct conf_database *database = conf_find_database(conf, "empty");

    ck_assert_ptr_null(database->dbname);
    ck_assert_uint_eq(database->host.count, 0);
    ck_assert_int_eq(database->port, 5432);
    ck_assert_ptr_null(database->user);
    ck_assert_int_eq(database->pool_size, CONF_UNSET);
    ck_assert_int_eq(database->pool_mode, CONF_UNSET);
    ck_assert_uint_eq(database->server_lifetime_us, CONF_UNSET_US);
    ck_assert_int_eq(database->load_balance_hosts, LOAD_BALANCE_HOSTS_ROUND_ROBIN);
    ck_assert_int_eq(database->login, LOGIN_WIRE);

    database = conf_find_database(conf, "all");
    ck_assert_str_eq(database->name, "all");
    ck_assert_str_eq(database->dbname, "real");
    ck_assert_str_eq(database->host.items[0], "h.example");
    ck_assert_int_eq(database->port, 5433);
    ck_assert_str_eq(database->user, "u");
    ck_assert_str_eq(database->password, "p");
    ck_assert_str_eq(database->auth_user, "au");
    ck_assert_str_eq(database->auth_query, "select 1");
    ck_assert_str_eq(database->auth_dbname, "ad");
    ck_assert_int_eq(database->pool_size, 1);
    ck_assert_int_eq(database->min_pool_size, 2);
    ck_assert_int_eq(database->reserve_pool_size, 3);
    ck_assert_str_eq(database->connect_query, "set x = 'a b'");
    ck_assert_int_eq(database->pool_mode, POOL_MODE_TRANSACTION);
    ck_assert_uint_eq(database->query_wait_timeout_us, 4000000);
    ck_assert_int_eq(database->load_balance_hosts, LOAD_BALANCE_HOSTS_DISABLE);
    ck_assert_int_eq(database->max_db_connections, 5);
    ck_assert_int_eq(database->max_db_client_connections, 6);
    ck_assert_uint_eq(database->server_lifetime_us, 7000000);
    ck_assert_str_eq(database->client_encoding, "UTF8");
    ck_assert_str_eq(database->datestyle, "ISO");
    ck_assert_str_eq(database->timezone, "GMT");
    ck_assert_str_eq(database->application_name, "app");
    ck_assert_int_eq(database->priority, 9);
    ck_assert_int_eq(database->max_waiting, 8);
    ck_assert_int_eq(database->batch_lookups, BATCH_LOOKUPS_OFF);

    ck_assert_int_eq(conf_find_database(conf, "old")->reserve_pool_size, 10);
    ck_assert_str_eq(conf_find_database(conf, "spaced")->host.items[0], "a");
    ck_assert_int_eq(conf_find_database(conf, "spaced")->port, 5433);
    ck_assert_int_eq(conf_find_database(conf, "last")->port, 2);
    conf_drop(conf);
}
END_TEST

static void password_arrives(const char *text, const char *password)
{
    char line[300];
    struct conf *conf;

    snprintf(line, sizeof(line), HEAD "x = password=%s\n", text);
    conf = load_good(line);
    ck_assert_str_eq(conf_find_database(conf, "x")->password, password);
    conf_drop(conf);
}

START_TEST(values_and_their_quotes)
{
    password_arrives("a;b#c:d=e%f", "a;b#c:d=e%f");
    password_arrives("it's", "it's");
    password_arrives("\"a\"", "\"a\"");
    password_arrives("\\", "\\");
    password_arrives("'a b'", "a b");
    password_arrives("'it''s' port=1", "it's");
    password_arrives("''''", "'");
    password_arrives("''", "");
    password_arrives("' ; '", " ; ");
    password_arrives("port=1", "port=1");
    password_arrives(" cGFz=", "cGFz=");
    password_arrives(" secret=", "secret=");
}
END_TEST

START_TEST(mistakes_in_a_line_are_explained)
{
    refused(HEAD "x = hots=a\n",
            "conf.ini:3: database \"x\": unknown setting \"hots\"; did you mean \"host\"?");
    refused(HEAD "x = sslmode=disable\n",
            "conf.ini:3: database \"x\": unknown setting \"sslmode\"");
    refused(HEAD "x = host=a port=0\n",
            "conf.ini:3: database \"x\": port = \"0\" must be a whole number from 1 to 65535");
    refused(HEAD "x = priority=10\n",
            "conf.ini:3: database \"x\": priority = \"10\" must be a whole number from 0 to 9");
    refused(HEAD "x = host\n", "conf.ini:3: database \"x\": expected key=value, found \"host\"");
    refused(HEAD "x = host=a nonsense port=1\n",
            "conf.ini:3: database \"x\": expected key=value, found \"nonsense\"");
    refused(HEAD "x = =a\n", "conf.ini:3: database \"x\": expected key=value, found \"\"");
    refused(HEAD "x = host='a\n",
            "conf.ini:3: database \"x\": the value of host lacks its closing quote");
    refused(HEAD "x = host=\n", "conf.ini:3: database \"x\": host has no value");
    refused(HEAD "x = user= password=p\n", "conf.ini:3: database \"x\": user has no value");
    refused(HEAD "pgbouncer = host=a\n",
            "conf.ini:3: database \"pgbouncer\": the name belongs to the console");
    refused("[sluice]\n[users]\nu = pool_mod=session\n",
            "conf.ini:3: user \"u\": unknown setting \"pool_mod\"; did you mean \"pool_mode\"?");
}
END_TEST

START_TEST(a_name_without_a_line_falls_back_to_the_star)
{
    struct conf *conf = load_good(HEAD "a = host=one\n* = host=two\nb = dbname=c\n");
    const struct conf_database *star = conf_find_database(conf, "nobody");

    ck_assert_str_eq(star->name, "*");
    ck_assert_ptr_eq(star, conf_find_database(conf, "*"));
    ck_assert_str_eq(conf_database_dbname(star, "nobody"), "nobody");
    ck_assert_str_eq(conf_database_dbname(conf_find_database(conf, "b"), "b"), "c");
    ck_assert_str_eq(conf_find_database(conf, "a")->host.items[0], "one");
    ck_assert_uint_eq(conf->database_count, 3);
    ck_assert_str_eq(conf->databases[0]->name, "a");
    ck_assert_str_eq(conf->databases[1]->name, "*");
    ck_assert_str_eq(conf->databases[2]->name, "b");
    conf_drop(conf);

    conf = load_good(HEAD "a =\n");
    ck_assert_ptr_null(conf_find_database(conf, "nobody"));
    ck_assert_ptr_null(conf_find_database(conf, "A"));
    conf_drop(conf);
}
END_TEST

START_TEST(hosts_are_a_list_or_the_unix_socket)
{
    struct conf *conf = load_good("[sluice]\nunix_socket_dir = /run/x\n[databases]\n"
                                  "a = host=h1,::1,/run/y,@z\nb = port=1\n");
    struct conf_list hosts = conf_database_hosts(conf, conf_find_database(conf, "a"));

    ck_assert_uint_eq(hosts.count, 4);
    ck_assert_str_eq(hosts.items[1], "::1");
    ck_assert_str_eq(hosts.items[3], "@z");
    hosts = conf_database_hosts(conf, conf_find_database(conf, "b"));
    ck_assert_uint_eq(hosts.count, 1);
    ck_assert_str_eq(hosts.items[0], "/run/x");
    conf_drop(conf);

    conf = load_good("[sluice]\nunix_socket_dir =\n[databases]\nb = port=1\n");
    ck_assert_uint_eq(conf_database_hosts(conf, conf_find_database(conf, "b")).count, 0);
    conf_drop(conf);
}
END_TEST

/* One of everything, said in general, by a database and by a user. */
static struct conf *load_deciders(void)
{
    return load_good(
        "[sluice]\ndefault_pool_size = 1\nmin_pool_size = 2\nreserve_pool_size = 3\n"
        "max_db_connections = 4\nmax_db_client_connections = 5\nmax_user_connections = 6\n"
        "max_user_client_connections = 7\nmax_waiting = 8\nserver_lifetime = 9\n"
        "query_wait_timeout = 10\nquery_timeout = 11\ntransaction_timeout = 12\n"
        "idle_transaction_timeout = 13\nclient_idle_timeout = 14\npool_mode = statement\n"
        "auth_user = general\n"
        "[databases]\nplain =\n"
        "own = pool_size=101 min_pool_size=102 reserve_pool_size=103 max_db_connections=104 "
        "max_db_client_connections=105 max_waiting=108 server_lifetime=109 "
        "query_wait_timeout=110 pool_mode=transaction priority=1 auth_user=theirs auth_query=q "
        "auth_dbname=d\n"
        "[users]\nplain =\n"
        "own = pool_size=0 reserve_pool=203 max_user_connections=206 "
        "max_user_client_connections=207 max_waiting=208 query_wait_timeout=210 query_timeout=0 "
        "transaction_timeout=212 idle_transaction_timeout=213 client_idle_timeout=214 "
        "pool_mode=session priority=9\n");
}

START_TEST(limits_are_the_users_then_the_databases_then_the_general_ones)
{
    struct conf *conf = load_deciders();
    const struct conf_database *database = conf_find_database(conf, "own");
    const struct conf_database *plain = conf_find_database(conf, "plain");
    const struct conf_user *user = conf_find_user(conf, "own");
    const struct conf_user *nobody = conf_find_user(conf, "plain");

    ck_assert_int_eq(conf_pool_size(conf, database, user), 0);
    ck_assert_int_eq(conf_pool_size(conf, database, nobody), 101);
    ck_assert_int_eq(conf_pool_size(conf, database, NULL), 101);
    ck_assert_int_eq(conf_pool_size(conf, plain, nobody), 1);
    ck_assert_int_eq(conf_pool_size(conf, NULL, NULL), 1);
    ck_assert_int_eq(conf_min_pool_size(conf, database), 102);
    ck_assert_int_eq(conf_min_pool_size(conf, plain), 2);
    ck_assert_int_eq(conf_reserve_pool_size(conf, database, user), 203);
    ck_assert_int_eq(conf_reserve_pool_size(conf, database, nobody), 103);
    ck_assert_int_eq(conf_reserve_pool_size(conf, plain, nobody), 3);
    ck_assert_int_eq(conf_max_db_connections(conf, database), 104);
    ck_assert_int_eq(conf_max_db_connections(conf, plain), 4);
    ck_assert_int_eq(conf_max_db_client_connections(conf, database), 105);
    ck_assert_int_eq(conf_max_db_client_connections(conf, NULL), 5);
    ck_assert_int_eq(conf_max_user_connections(conf, user), 206);
    ck_assert_int_eq(conf_max_user_connections(conf, nobody), 6);
    ck_assert_int_eq(conf_max_user_client_connections(conf, user), 207);
    ck_assert_int_eq(conf_max_user_client_connections(conf, NULL), 7);
    ck_assert_int_eq(conf_max_waiting(conf, database, user), 208);
    ck_assert_int_eq(conf_max_waiting(conf, database, nobody), 108);
    ck_assert_int_eq(conf_max_waiting(conf, plain, nobody), 8);
    conf_drop(conf);
}
END_TEST

START_TEST(times_are_the_users_then_the_databases_then_the_general_ones)
{
    struct conf *conf = load_deciders();
    const struct conf_database *database = conf_find_database(conf, "own");
    const struct conf_database *plain = conf_find_database(conf, "plain");
    const struct conf_user *user = conf_find_user(conf, "own");
    const struct conf_user *nobody = conf_find_user(conf, "plain");

    ck_assert_uint_eq(conf_server_lifetime_us(conf, database), 109000000);
    ck_assert_uint_eq(conf_server_lifetime_us(conf, plain), 9000000);
    ck_assert_uint_eq(conf_query_wait_timeout_us(conf, database, user), 210000000);
    ck_assert_uint_eq(conf_query_wait_timeout_us(conf, database, nobody), 110000000);
    ck_assert_uint_eq(conf_query_wait_timeout_us(conf, plain, NULL), 10000000);
    ck_assert_uint_eq(conf_query_timeout_us(conf, user), 0);
    ck_assert_uint_eq(conf_query_timeout_us(conf, nobody), 11000000);
    ck_assert_uint_eq(conf_transaction_timeout_us(conf, user), 212000000);
    ck_assert_uint_eq(conf_transaction_timeout_us(conf, nobody), 12000000);
    ck_assert_uint_eq(conf_idle_transaction_timeout_us(conf, user), 213000000);
    ck_assert_uint_eq(conf_idle_transaction_timeout_us(conf, NULL), 13000000);
    ck_assert_uint_eq(conf_client_idle_timeout_us(conf, user), 214000000);
    ck_assert_uint_eq(conf_client_idle_timeout_us(conf, nobody), 14000000);
    conf_drop(conf);
}
END_TEST

START_TEST(modes_and_names_are_the_users_then_the_databases_then_the_general_ones)
{
    struct conf *conf = load_deciders();
    const struct conf_database *database = conf_find_database(conf, "own");
    const struct conf_database *plain = conf_find_database(conf, "plain");
    const struct conf_user *user = conf_find_user(conf, "own");
    const struct conf_user *nobody = conf_find_user(conf, "plain");

    ck_assert_int_eq(conf_pool_mode(conf, database, user), POOL_MODE_SESSION);
    ck_assert_int_eq(conf_pool_mode(conf, database, nobody), POOL_MODE_TRANSACTION);
    ck_assert_int_eq(conf_pool_mode(conf, plain, nobody), POOL_MODE_STATEMENT);
    ck_assert_int_eq(conf_priority(database, user), 9);
    ck_assert_int_eq(conf_priority(database, nobody), 1);
    ck_assert_int_eq(conf_priority(plain, nobody), 5);
    ck_assert_int_eq(conf_priority(NULL, NULL), 5);
    ck_assert_str_eq(conf_auth_user(conf, database), "theirs");
    ck_assert_str_eq(conf_auth_user(conf, plain), "general");
    ck_assert_str_eq(conf_auth_query(conf, database), "q");
    ck_assert_ptr_eq(conf_auth_query(conf, plain), conf->auth_query);
    ck_assert_str_eq(conf_auth_dbname(conf, database), "d");
    ck_assert_str_eq(conf_auth_dbname(conf, plain), "");
    ck_assert_int_eq(conf_batch_lookups(conf, plain), BATCH_LOOKUPS_OFF);
    conf_drop(conf);
}
END_TEST

/* Whether servers of `before` may go on when the line becomes `after`. */
static bool same_server(const char *before, const char *after)
{
    char text[300];
    struct conf *old, *new;
    bool same;

    snprintf(text, sizeof(text), HEAD "x = %s\n", before);
    old = load_good(text);
    snprintf(text, sizeof(text), HEAD "x = %s\n", after);
    new = load_good(text);
    same = conf_database_same_server(conf_find_database(old, "x"), conf_find_database(new, "x"));
    conf_drop(old);
    conf_drop(new);
    return same;
}

START_TEST(a_changed_address_or_login_needs_new_servers)
{
    const char *line = "host=a,b port=1 user=u password=p dbname=d";

    ck_assert(same_server(line, line));
    ck_assert(same_server("", ""));
    ck_assert(same_server(line, "password=p dbname=d host=a,b user=u port=1 pool_size=3 "
                                "pool_mode=transaction server_lifetime=1 priority=1"));
    ck_assert(!same_server(line, "host=a port=1 user=u password=p dbname=d"));
    ck_assert(!same_server(line, "host=b,a port=1 user=u password=p dbname=d"));
    ck_assert(!same_server(line, "host=a,b port=2 user=u password=p dbname=d"));
    ck_assert(!same_server(line, "host=a,b port=1 user=v password=p dbname=d"));
    ck_assert(!same_server(line, "host=a,b port=1 password=p dbname=d"));
    ck_assert(!same_server(line, "host=a,b port=1 user=u password=q dbname=d"));
    ck_assert(!same_server(line, "host=a,b port=1 user=u password=p"));
    ck_assert(!same_server("", "connect_query='select 1'"));
    ck_assert(!same_server("timezone=GMT", "timezone=UTC"));
    ck_assert(!same_server("", "client_encoding=UTF8"));
    ck_assert(!conf_database_same_server(NULL, NULL));
}
END_TEST

START_TEST(peers_have_numbers)
{
    struct conf *conf = load_good("[sluice]\n[peers]\n1 = host=a\n"
                                  "0002 = host=/run/b port=7 pool_size=3\n16383 = host=c\n");

    ck_assert_uint_eq(conf->peer_count, 3);
    ck_assert_str_eq(conf_find_peer(conf, 1)->host, "a");
    ck_assert_int_eq(conf_find_peer(conf, 1)->port, 6432);
    ck_assert_int_eq(conf_find_peer(conf, 1)->pool_size, 20);
    ck_assert_int_eq(conf_find_peer(conf, 2)->pool_size, 3);
    ck_assert_uint_eq(conf_find_peer(conf, 16383)->id, 16383);
    ck_assert_ptr_null(conf_find_peer(conf, 3));
    conf_drop(conf);
    refused("[sluice]\n[peers]\n0 = host=a\n",
            "conf.ini:3: peer \"0\": the name must be a number from 1 to 16383");
    refused("[sluice]\n[peers]\n16384 = host=a\n",
            "conf.ini:3: peer \"16384\": the name must be a number from 1 to 16383");
    refused("[sluice]\n[peers]\n-1 = host=a\n",
            "conf.ini:3: peer \"-1\": the name must be a number from 1 to 16383");
    refused("[sluice]\n[peers]\none = host=a\n",
            "conf.ini:3: peer \"one\": the name must be a number from 1 to 16383");
    refused("[sluice]\n[peers]\n1 = port=5\n", "conf.ini:3: peer \"1\": host is missing");
}
END_TEST

START_TEST(a_redis_pool_is_complete)
{
    struct conf *conf = load_good(
        "[sluice]\nlisten_addr = 127.0.0.1, ::1\nredis_pool_size = 6\nredis_batch_keys = yes\n"
        "redis_command_timeout = 1.5\nmax_waiting = 33\n"
        "[redis]\n"
        "cache = host=10.0.0.1 port=6379 listen_port=6380 db=2 user= password= min_pool_size=2 "
        "client_output_limit=1MB admin_commands=yes priority=7\n"
        "queue = unix_socket=/run/q.sock pool_size=9 password=s listen_addr=127.0.0.2 "
        "batch_keys=off\n");
    const struct conf_redis *cache = conf_find_redis(conf, "cache");
    const struct conf_redis *queue = conf_find_redis(conf, "queue");

    ck_assert_uint_eq(conf->redis_count, 2);
    ck_assert_str_eq(cache->host, "10.0.0.1");
    ck_assert_int_eq(cache->listen_port, 6380);
    ck_assert_uint_eq(cache->listen_addr.count, 2);
    ck_assert_int_eq(cache->db, 2);
    ck_assert_str_eq(cache->user, "");
    ck_assert_str_eq(cache->password, "");
    ck_assert_int_eq(cache->min_pool_size, 2);
    ck_assert_int_eq(cache->pool_size, 6);
    ck_assert_int_eq(cache->blocking_pool_size, 100);
    ck_assert_uint_eq(cache->command_timeout_us, 1500000);
    ck_assert_uint_eq(cache->client_output_limit_bytes, 1 << 20);
    ck_assert(cache->admin_commands);
    ck_assert(cache->batch_keys);
    ck_assert_int_eq(cache->priority, 7);
    ck_assert_int_eq(cache->max_waiting, 33);
    ck_assert_str_eq(cache->unix_socket, "");

    ck_assert_str_eq(queue->host, "127.0.0.1");
    ck_assert_int_eq(queue->port, 6379);
    ck_assert_int_eq(queue->pool_size, 9);
    ck_assert_uint_eq(queue->client_output_limit_bytes, 32 << 20);
    ck_assert_uint_eq(queue->listen_addr.count, 1);
    ck_assert(!queue->admin_commands);
    ck_assert(!queue->batch_keys);
    ck_assert_ptr_null(conf_find_redis(conf, "other"));

    ck_assert(conf_redis_same_server(cache, cache));
    ck_assert(!conf_redis_same_server(cache, queue));
    conf_drop(conf);
    refused("[sluice]\n[redis]\ncache = host=a\n",
            "conf.ini:3: Redis pool \"cache\": listen_port or unix_socket is missing");
    refused("[sluice]\n[redis]\ncache = listen_port=1 admin_commands=maybe\n",
            "conf.ini:3: Redis pool \"cache\": admin_commands = \"maybe\" must be 0 or 1 (or off, "
            "on, no, yes, false, true)");
}
END_TEST

START_TEST(lookups_name_a_database_and_a_query)
{
    struct conf *conf = load_good(HEAD "app =\n[lookups]\n"
                                       "user = database=app query='select * from u where id = $1 "
                                       "and name <> ''x''' max_delay=2ms\n");

    ck_assert_uint_eq(conf->lookup_count, 1);
    ck_assert_str_eq(conf->lookups[0]->name, "user");
    ck_assert_str_eq(conf->lookups[0]->database, "app");
    ck_assert_str_eq(conf->lookups[0]->query, "select * from u where id = $1 and name <> 'x'");
    ck_assert_int_eq(conf->lookups[0]->max_batch_size, 100);
    ck_assert_uint_eq(conf->lookups[0]->max_delay_us, 2000);
    conf_drop(conf);
    refused("[sluice]\n[lookups]\nl = query=q\n", "conf.ini:3: lookup \"l\": database is missing");
    refused("[sluice]\n[lookups]\nl = database=d\n", "conf.ini:3: lookup \"l\": query is missing");
    refused("[sluice]\n[lookups]\nl = database=d query=q\n",
            "conf.ini:3: lookup \"l\": database \"d\" is not in [databases]");
}
END_TEST

START_TEST(many_databases_are_found_by_name)
{
    const int count = 20000;
    char *text = malloc((size_t)count * 40), *end = text;
    char name[20];
    struct conf *conf;

    ck_assert_ptr_nonnull(text);
    end += sprintf(end, HEAD);
    for (int i = 0; i < count; i++)
        end += sprintf(end, "db%d = port=%d\n", i, i + 1);
    conf = load_good(text);
    ck_assert_uint_eq(conf->database_count, (size_t)count);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "db%d", i);
        ck_assert_int_eq(conf_find_database(conf, name)->port, i + 1);
    }
    conf_drop(conf);
    free(text);
}
END_TEST

LOAD_MAIN("sections", a_database_line_is_read_as_pgbouncer_does, values_and_their_quotes,
          mistakes_in_a_line_are_explained, a_name_without_a_line_falls_back_to_the_star,
          hosts_are_a_list_or_the_unix_socket,
          limits_are_the_users_then_the_databases_then_the_general_ones,
          times_are_the_users_then_the_databases_then_the_general_ones,
          modes_and_names_are_the_users_then_the_databases_then_the_general_ones,
          a_changed_address_or_login_needs_new_servers, peers_have_numbers,
          a_redis_pool_is_complete, lookups_name_a_database_and_a_query,
          many_databases_are_found_by_name)
