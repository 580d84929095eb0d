#include "harness/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "harness/postgres.h"
#include "harness/process.h"
#include "harness/suite.h"

enum kind { KIND_SIMPLE, KIND_EXTENDED, KIND_TRANSACTION, KIND_COUNT };

/* Steps of KIND_TRANSACTION; the other kinds have only the first. */
enum step { STEP_FIRST, STEP_SET, STEP_GET, STEP_COMMIT, STEP_ROLLBACK };

struct member {
    unsigned number, serial;
    PGconn *connection;
    enum kind kind;
    enum step step;
    bool busy, failed;
    char token[40];
};

struct crowd {
    struct load *load;
    struct member *members;
    unsigned started, busy;
    int epoll;
};

static void member_connect(struct crowd *crowd, struct member *member)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};

    member->connection = sluice_connect(crowd->load->sluice, crowd->load->options);
    ck_assert_int_eq(epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, PQsocket(member->connection), &event),
                     0);
}

/* Sends the statement of the present step; false if the connection is no more. */
static bool member_send(struct member *member)
{
    static const char *const fixed[] = {[STEP_FIRST] = "BEGIN",
                                        [STEP_GET] = "SELECT current_setting('app.token')",
                                        [STEP_COMMIT] = "COMMIT",
                                        [STEP_ROLLBACK] = "ROLLBACK"};
    const char *token = member->token;
    char sql[120];

    if (member->kind == KIND_EXTENDED && member->step == STEP_FIRST)
        return PQsendQueryParams(member->connection, "SELECT $1::text", 1, NULL, &token, NULL, NULL,
                                 0);
    if (member->kind == KIND_SIMPLE && member->step == STEP_FIRST)
        snprintf(sql, sizeof(sql), "SELECT '%s'", token);
    else if (member->step == STEP_SET)
        snprintf(sql, sizeof(sql), "SELECT set_config('app.token', '%s', true)", token);
    else
        snprintf(sql, sizeof(sql), "%s", fixed[member->step]);
    return PQsendQuery(member->connection, sql);
}

static void member_lost(struct crowd *crowd, struct member *member)
{
    struct load *load = crowd->load;

    if (!load->failures_allowed)
        ck_abort_msg("client %u was disconnected: %s", member->number,
                     PQerrorMessage(member->connection));
    load->lost++;
    PQfinish(member->connection);
    member_connect(crowd, member);
}

static void member_next(struct crowd *crowd, struct member *member)
{
    struct load *load = crowd->load;

    if (member->busy) {
        load->done += !member->failed;
        load->failed += member->failed;
        crowd->busy--;
    }
    member->busy = crowd->started < load->transactions;
    if (!member->busy)
        return;
    crowd->busy++;
    crowd->started++;
    member->kind = (enum kind)((member->number + member->serial++) % KIND_COUNT);
    member->step = STEP_FIRST;
    member->failed = false;
    snprintf(member->token, sizeof(member->token), "client-%u-transaction-%u", member->number,
             member->serial);
    if (!member_send(member)) {
        member->failed = true;
        member_lost(crowd, member);
    }
}

/* Called when the answer of a step is complete. */
static void member_step(struct crowd *crowd, struct member *member)
{
    if (PQstatus(member->connection) == CONNECTION_BAD) {
        member_lost(crowd, member);
        member_next(crowd, member);
        return;
    }
    if (member->failed && member->step != STEP_ROLLBACK &&
        PQtransactionStatus(member->connection) != PQTRANS_IDLE)
        member->step = STEP_ROLLBACK;
    else if (member->failed || member->kind != KIND_TRANSACTION || member->step >= STEP_COMMIT) {
        member_next(crowd, member);
        return;
    } else
        member->step++;
    if (!member_send(member)) {
        member->failed = true;
        member_lost(crowd, member);
        member_next(crowd, member);
    }
}

static void member_check(struct crowd *crowd, struct member *member, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    bool row = member->kind == KIND_TRANSACTION
                   ? member->step == STEP_SET || member->step == STEP_GET
                   : member->step == STEP_FIRST;

    if (status == PGRES_FATAL_ERROR) {
        if (!crowd->load->failures_allowed)
            ck_abort_msg("client %u, transaction %u, step %d: %s\n%s", member->number,
                         member->serial, (int)member->step, PQresultErrorMessage(result),
                         file_read(crowd->load->sluice->log));
        member->failed = true;
        return;
    }
    if (status != (row ? PGRES_TUPLES_OK : PGRES_COMMAND_OK))
        ck_abort_msg("client %u got %s in step %d", member->number, PQresStatus(status),
                     (int)member->step);
    if (row && (PQntuples(result) != 1 || strcmp(PQgetvalue(result, 0, 0), member->token) != 0))
        ck_abort_msg("client %u asked for '%s' and got '%s'", member->number, member->token,
                     PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "no row");
}

static void member_read(struct crowd *crowd, struct member *member)
{
    PGresult *result;

    if (!PQconsumeInput(member->connection) && !member->busy) {
        member_lost(crowd, member);
        return;
    }
    while (member->busy && !PQisBusy(member->connection)) {
        result = PQgetResult(member->connection);
        if (result) {
            member_check(crowd, member, result);
            PQclear(result);
        } else {
            member_step(crowd, member);
        }
    }
}

void load_run(struct load *load)
{
    struct crowd crowd = {.load = load, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    unsigned disturbed = 0;

    crowd.members = calloc(load->clients, sizeof(*crowd.members));
    for (unsigned i = 0; i < load->clients; i++) {
        crowd.members[i].number = i;
        member_connect(&crowd, &crowd.members[i]);
    }
    for (unsigned i = 0; i < load->clients; i++)
        member_next(&crowd, &crowd.members[i]);
    while (crowd.busy > 0) {
        struct epoll_event events[64];
        int count = epoll_wait(crowd.epoll, events, 64, (int)(30000 * slow_factor()));

        if (count == 0)
            ck_abort_msg("no answer for 30 s; %u done, %u failed, %u wait\n%s", load->done,
                         load->failed, crowd.busy, file_read(load->sluice->log));
        for (int i = 0; i < count; i++)
            member_read(&crowd, events[i].data.ptr);
        if (load->disturb && (load->done + load->failed) / load->disturb_every > disturbed) {
            disturbed = (load->done + load->failed) / load->disturb_every;
            load->disturb(load);
        }
    }
    for (unsigned i = 0; i < load->clients; i++)
        PQfinish(crowd.members[i].connection);
    free(crowd.members);
    close(crowd.epoll);
}

void load_kill_one(struct load *load)
{
    postgres_number(load->sluice->postgres,
                    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
                    " WHERE datname = '%s' AND pid <> pg_backend_pid()"
                    " ORDER BY random() LIMIT 1) AS victim",
                    load->sluice->postgres->database);
}
