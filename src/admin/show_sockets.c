/* SHOW CLIENTS, SERVERS, SOCKETS, ACTIVE_SOCKETS, FDS: one row for each connection. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "console.h"
#include "show.h"
#include "state.h"

/* A client, a server, or a client of the console. */
struct socket_row {
    char type; /* C or S */
    const char *user, *database;
    const char *replication;
    struct survey_peer peer;
    uint64_t now_us, wall_us; /* of the survey */
};

static const char *time_text(const struct socket_row *row, uint64_t at_us, char text[32])
{
    time_t seconds = (time_t)((row->wall_us - (row->now_us - at_us)) / US_PER_S);
    struct tm parts;

    strftime(text, 32, "%Y-%m-%d %H:%M:%S %Z", localtime_r(&seconds, &parts));
    return text;
}

static const char *id_text(uint64_t id, char text[24])
{
    if (id)
        snprintf(text, 24, "%#" PRIx64, id);
    else
        text[0] = '\0';
    return text;
}

/* cl_active, sv_idle ...: the states of SHOW SOCKETS. */
static const char *socket_state(const struct socket_row *row, char text[32])
{
    const char *state = row->peer.state ? row->peer.state : "";

    if (row->type == 'C' && strcmp(state, "idle") == 0)
        state = "active";
    snprintf(text, 32, "%s_%s", row->type == 'C' ? "cl" : "sv",
             strcmp(state, "new") == 0 ? "login" : state);
    return text;
}

/* What all these tables begin with; sockets have other names for the states. */
static void socket_columns(struct sheet *sheet, const struct socket_row *row, const char *state)
{
    static _Thread_local struct {
        char type[2], remote[ADDRESS_TEXT_BYTES], local[ADDRESS_TEXT_BYTES];
        char connected[32], requested[32], id[24], link[24];
    } texts;
    const struct survey_peer *peer = &row->peer;
    uint64_t wait_us = peer->waits_since_us && row->now_us > peer->waits_since_us
                           ? row->now_us - peer->waits_since_us
                           : 0;

    texts.type[0] = row->type;
    sheet_text(sheet, "type", texts.type);
    sheet_text(sheet, "user", row->user);
    sheet_text(sheet, "database", row->database);
    sheet_text(sheet, "replication", row->replication);
    sheet_text(sheet, "state", state);
    sheet_text(sheet, "addr", address_text(&peer->remote, texts.remote));
    sheet_int4(sheet, "port", address_port(&peer->remote));
    sheet_text(sheet, "local_addr", address_text(&peer->local, texts.local));
    sheet_int4(sheet, "local_port", address_port(&peer->local));
    sheet_text(sheet, "connect_time", time_text(row, peer->connected_us, texts.connected));
    sheet_text(sheet, "request_time",
               peer->request_us ? time_text(row, peer->request_us, texts.requested) : NULL);
    sheet_int4(sheet, "wait", (int64_t)(wait_us / US_PER_S));
    sheet_int4(sheet, "wait_us", (int64_t)(wait_us % US_PER_S));
    sheet_int4(sheet, "close_needed", peer->close_needed);
    sheet_text(sheet, "ptr", id_text(peer->id, texts.id));
    sheet_text(sheet, "link", id_text(peer->link_id, texts.link));
    sheet_int4(sheet, "remote_pid", peer->process_id);
    sheet_text(sheet, "tls", peer->tls);
    sheet_text(sheet, "application_name", peer->application_name);
    sheet_int4(sheet, "prepared_statements", (int64_t)peer->prepared_statements);
    sheet_int8(sheet, "id", (int64_t)peer->id);
}

static void peers_columns(struct sheet *sheet, const void *of)
{
    const struct socket_row *row = of;

    socket_columns(sheet, row, row->peer.state);
}

static void sockets_columns(struct sheet *sheet, const void *of)
{
    static _Thread_local char state[32];
    const struct socket_row *row = of;

    socket_columns(sheet, row, socket_state(row, state));
    sheet_int4(sheet, "recv_pos", (int64_t)row->peer.in_bytes);
    sheet_int4(sheet, "pkt_pos", 0); /* a buffer always begins with a message, or within one */
    sheet_int4(sheet, "pkt_remain", (int64_t)row->peer.body_left);
    sheet_int4(sheet, "send_pos", 0);
    sheet_int4(sheet, "send_remain", (int64_t)row->peer.out_bytes);
    sheet_int4(sheet, "pkt_avail", (int64_t)row->peer.in_bytes);
    sheet_int4(sheet, "send_avail", (int64_t)row->peer.out_bytes);
}

static void fds_columns(struct sheet *sheet, const void *of)
{
    static _Thread_local char remote[ADDRESS_TEXT_BYTES];
    const struct socket_row *row = of;

    sheet_int4(sheet, "fd", row->peer.fd);
    sheet_text(sheet, "task", row->type == 'C' ? "client" : "server");
    sheet_text(sheet, "user", row->user);
    sheet_text(sheet, "database", row->database);
    sheet_text(sheet, "addr", address_text(&row->peer.remote, remote));
    sheet_int4(sheet, "port", address_port(&row->peer.remote));
    sheet_int8(sheet, "cancel", CELL_NULL);
    sheet_int4(sheet, "link", row->peer.link_fd ? row->peer.link_fd : CELL_NULL);
    /* PgBouncer tells these to the process that takes over from it. They are secrets or of no use
     * to anybody else. */
    sheet_text(sheet, "client_encoding", NULL);
    sheet_text(sheet, "std_strings", NULL);
    sheet_text(sheet, "datestyle", NULL);
    sheet_text(sheet, "timezone", NULL);
    sheet_text(sheet, "password", NULL);
    sheet_bytea_null(sheet, "scram_client_key");
    sheet_bytea_null(sheet, "scram_server_key");
}

/* Which connections a table has. */
enum socket_kinds {
    OF_CLIENTS = 1 << 0,
    OF_SERVERS = 1 << 1,
    OF_LOGINS = 1 << 2, /* clients that have no pool yet as well */
    OF_ACTIVE = 1 << 3, /* only those that do something */
};

static bool socket_active(const struct survey_peer *peer)
{
    return peer->state && strcmp(peer->state, "idle") != 0 && strcmp(peer->state, "used") != 0;
}

static void peer_row(struct sheet *sheet, void (*columns)(struct sheet *sheet, const void *row),
                     struct socket_row *row, const struct survey_part *part,
                     const struct survey_peer *peer)
{
    const struct survey_pool *pool = peer->pool >= 0 ? &part->pools[peer->pool] : NULL;

    row->user = pool ? pool->user : "(nouser)";
    row->database = pool ? pool->database : "(nodb)";
    row->replication = pool ? pool->replication : "none";
    row->peer = *peer;
    show_row(sheet, columns, row);
}

static void console_rows(struct sheet *sheet, void (*columns)(struct sheet *sheet, const void *row),
                         struct socket_row *row, const struct admin *admin)
{
    LIST_EACH_SAFE (&admin->consoles, node, next) {
        struct console *console = container_of(node, struct console, node);
        struct sockaddr_storage local = {0};
        socklen_t size = sizeof(local);

        row->user = console->client->user;
        row->database = "pgbouncer";
        row->replication = "none";
        row->peer = (struct survey_peer){
            .id = console->client->id,
            .state = "active",
            .remote = console->client->from,
            .connected_us = console->client->connected_us,
            .request_us = console->request_us,
            .fd = console->client->stream.fd,
            .in_bytes = buffer_length(&console->client->in),
            .out_bytes = stream_pending(&console->client->stream),
        };
        if (getsockname(row->peer.fd, (struct sockaddr *)&local, &size) == 0)
            row->peer.local = address_from((const struct sockaddr *)&local);
        stream_tls_text(&console->client->stream, row->peer.tls);
        memcpy(row->peer.application_name, console->client->application_name,
               sizeof(row->peer.application_name));
        show_row(sheet, columns, row);
    }
}

static void socket_rows(struct sheet *sheet, const struct show_source *source,
                        void (*columns)(struct sheet *sheet, const void *row), unsigned kinds)
{
    const struct survey *survey = source->survey;
    struct socket_row row = {.now_us = survey->now_us, .wall_us = clock_wall_us()};

    for (unsigned i = 0; i < survey->part_count; i++) {
        const struct survey_part *part = &survey->parts[i];

        row.type = 'C';
        for (size_t j = 0; (kinds & OF_CLIENTS) && j < part->client_count; j++)
            if ((!part->clients[j].login || (kinds & OF_LOGINS)) &&
                (!(kinds & OF_ACTIVE) || socket_active(&part->clients[j])))
                peer_row(sheet, columns, &row, part, &part->clients[j]);
        row.type = 'S';
        for (size_t j = 0; (kinds & OF_SERVERS) && j < part->server_count; j++)
            if (!(kinds & OF_ACTIVE) || socket_active(&part->servers[j]))
                peer_row(sheet, columns, &row, part, &part->servers[j]);
    }
    row.type = 'C';
    if (kinds & OF_CLIENTS)
        console_rows(sheet, columns, &row, source->admin);
}

static void clients_rows(struct sheet *sheet, const struct show_source *source)
{
    socket_rows(sheet, source, peers_columns, OF_CLIENTS);
}

static void servers_rows(struct sheet *sheet, const struct show_source *source)
{
    socket_rows(sheet, source, peers_columns, OF_SERVERS);
}

static void sockets_rows(struct sheet *sheet, const struct show_source *source)
{
    socket_rows(sheet, source, sockets_columns, OF_CLIENTS | OF_SERVERS | OF_LOGINS);
}

static void active_rows(struct sheet *sheet, const struct show_source *source)
{
    socket_rows(sheet, source, sockets_columns, OF_CLIENTS | OF_SERVERS | OF_LOGINS | OF_ACTIVE);
}

static void fds_rows(struct sheet *sheet, const struct show_source *source)
{
    socket_rows(sheet, source, fds_columns, OF_CLIENTS | OF_SERVERS);
}

const struct show show_clients = {"clients", SURVEY_CLIENTS, false, peers_columns, clients_rows};
const struct show show_servers = {"servers", SURVEY_SERVERS, false, peers_columns, servers_rows};
const struct show show_sockets = {"sockets", SURVEY_CLIENTS | SURVEY_SERVERS, false,
                                  sockets_columns, sockets_rows};
const struct show show_active_sockets = {"active_sockets", SURVEY_CLIENTS | SURVEY_SERVERS, false,
                                         sockets_columns, active_rows};
const struct show show_fds = {"fds", SURVEY_CLIENTS | SURVEY_SERVERS, true, fds_columns, fds_rows};
