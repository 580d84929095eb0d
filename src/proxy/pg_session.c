#include "pg_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pg_client.h"
#include "sluice/base/log.h"
#include "sluice/base/memory.h"
#include "sluice/batch/effects.h"
#include "sluice/batch/lookup.h"
#include "sluice/wire/pg.h"

/* What a client may do without a text that says so is not believed: its server is pinned for this.
 */
#define EFFECTS_HELD (EFFECT_UNKNOWN | EFFECT_LOAD)
#define ATTEMPTS_MAX 3
#define EFFECTS_ENDS_SHIFT 16
#define ASK_BYTES (2 * PARAMS_BYTES_MAX + 4096)
/* One more than a value may have: so that it is seen to be too long. */
#define VALUE_BYTES PARAM_VALUE_BYTES

/* What is asked about each kind, by the letter that its row begins with. */
static const struct {
    uint16_t effect;
    const char *reason;
    const char *query;
} kinds[] = {
    {EFFECT_SETTINGS, "settings", NULL},
    {EFFECT_UNKNOWN, "settings that cannot be followed", NULL},
    {EFFECT_TEMPORARY, "temporary tables",
     "pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0 AND EXISTS (SELECT FROM "
     "pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 2615 AND refobjid "
     "OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())"},
    {EFFECT_LISTEN, "LISTEN", "EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"},
    {EFFECT_LOCK, "advisory locks",
     "EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND "
     "pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"},
    {EFFECT_CURSOR, "cursors WITH HOLD",
     "EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
    {EFFECT_PREPARE, "PREPARE",
     "EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql AND name "
     "OPERATOR(pg_catalog.!~) '^sluice_')"},
    {EFFECT_LOAD, "LOAD", NULL},
    {EFFECT_AUTHORIZATION, "SESSION AUTHORIZATION", NULL},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const char *pg_session_reasons(unsigned pinned, char text[PG_SESSION_REASONS_BYTES])
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < KINDS; i++)
        if (pinned & kinds[i].effect)
            length += (size_t)snprintf(text + length, PG_SESSION_REASONS_BYTES - length, "%s%s",
                                       length ? ", " : "", kinds[i].reason);
    return text;
}

/* What is followed at all. */
static unsigned effects_followed(const struct pg_client *client)
{
    const struct conf *conf = client->worker->conf;
    unsigned followed = 0;

    if (client->pool->settings.mode == POOL_MODE_SESSION)
        return 0;
    if (conf->session_set != SESSION_SET_PASS)
        followed |= EFFECT_SETTINGS | EFFECT_UNKNOWN | EFFECT_RESET_ALL;
    /* What is done away with after each transaction need not be kept from others. */
    if (conf->pin && !conf->server_reset_query_always)
        followed |= (EFFECTS_ALL & ~(unsigned)EFFECT_SETTINGS) | EFFECT_LOAD;
    return followed;
}

bool pg_session_pins(const struct pg_client *client, unsigned effect)
{
    return effects_followed(client) & effect;
}

static struct pg_session *session_need(struct pg_client *client)
{
    if (!client->session)
        client->session = memory_new(sizeof(*client->session));
    return client->session;
}

void pg_session_attach(struct pg_client *client)
{
    struct pg_session *session = client->session;
    struct pg_server *pg = client->server;

    if ((!session || !session->settings) && params_are_empty(pg->settings))
        return;
    session = session_need(client);
    if (!session->settings)
        session->settings = params_empty(&client->worker->pools.params);
    if (!pg_server_set(pg, session->settings))
        return;
    session->setting = true;
    counter_add(&client->pool->counters.settings_count, 1);
}

bool pg_session_want(struct pg_client *client, const char *name, const char *value)
{
    struct params_set *set = &client->worker->pools.params;
    struct pg_session *session;
    const char *kept;

    if (client->worker->conf->session_set != SESSION_SET_TRACK || !param_settable(name) ||
        strlen(name) >= PARAM_NAME_BYTES)
        return false;
    for (const char *at = value; *at; at++)
        if (*at == '\\' || (unsigned char)*at >= 0x80)
            return false;
    session = session_need(client);
    if (!session->settings)
        session->settings = params_empty(set);
    session->settings = params_with(set, session->settings, name, value);
    kept = params_get(session->settings, name);
    return kept && strcmp(kept, value) == 0;
}

/* --- suspicion --- */

bool pg_session_readable(const struct pg_client *client, const char *text, size_t bytes)
{
    const char *encoding = params_get(client->params, "client_encoding");

    if (strnlen(text, bytes) != bytes - 1)
        return false;
    if (encoding && lookup_encoding_safe(encoding))
        return true;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

/* The server reports it: then ParameterStatus says all. */
static bool setting_reported(const struct pg_client *client, const char *name)
{
    return params_get(client->server->params, name) != NULL;
}

static void names_note(struct pg_client *client, struct effects *effects)
{
    struct params_set *set = &client->worker->pools.params;
    struct pg_session *session = session_need(client);
    bool wanted = effects->count == 0 || (effects->begins & EFFECT_RESET_ALL);

    for (unsigned i = 0; i < effects->count; i++) {
        const char *name = effects->names[i];

        if (setting_reported(client, name))
            continue;
        wanted = true;
        if (!strchr(name, '.'))
            continue;
        if (!session->dotted)
            session->dotted = params_empty(set);
        session->dotted = params_with(set, session->dotted, name, "");
        if (!params_get(session->dotted, name))
            effects->begins |= EFFECT_UNKNOWN;
    }
    if (!wanted)
        effects->begins &= ~(unsigned)EFFECT_SETTINGS;
}

bool pg_session_wants_more(const struct pg_client *client, uint8_t type, size_t have, size_t length)
{
    return have < length && length <= EFFECTS_TEXT_BYTES_MAX &&
           (type == PG_QUERY || type == PG_PARSE) && effects_followed(client);
}

uint32_t pg_session_effects(struct pg_client *client, const uint8_t *text, size_t have,
                            size_t length)
{
    struct effects effects;

    if (!effects_followed(client) ||
        (have == length && !effects_possible((const char *)text, have)))
        return 0;
    if (have < length || have > EFFECTS_TEXT_BYTES_MAX ||
        !pg_session_readable(client, (const char *)text, have))
        return EFFECTS_ALL;
    effects_find((const char *)text, &effects);
    names_note(client, &effects);
    return effects.begins | effects.ends << EFFECTS_ENDS_SHIFT;
}

void pg_session_suspect(struct pg_client *client, uint32_t effects)
{
    struct pg_session *session;
    unsigned begins, ends;

    if (!effects)
        return;
    session = session_need(client);
    begins = effects & ((1u << EFFECTS_ENDS_SHIFT) - 1);
    ends = effects >> EFFECTS_ENDS_SHIFT;
    session->reset |= (begins & EFFECT_DEFAULT) != 0;
    session->suspect |= (uint16_t)((begins | (ends & session->pinned)) & effects_followed(client));
    if (session->suspect)
        client->server->unclean = true;
}

/* What a FunctionCall does is known by the function's OID, which never changes. */
static uint32_t function_effects(uint32_t oid)
{
    if (oid == 2078) /* set_config */
        return EFFECT_SETTINGS | EFFECT_UNKNOWN;
    if (oid >= 2880 && oid <= 2892) /* pg_advisory_lock ... pg_advisory_unlock_all */
        return EFFECT_LOCK | EFFECT_LOCK << EFFECTS_ENDS_SHIFT;
    return 0;
}

void pg_session_look(struct pg_client *client, uint8_t type, const uint8_t *body, size_t have,
                     size_t length)
{
    if (type == PG_FUNCTION_CALL) {
        pg_session_suspect(client, have >= 4 ? function_effects(pg_u32(body)) : EFFECTS_ALL);
        return;
    }
    if (type == PG_PARSE) {
        const uint8_t *name_end = memchr(body, '\0', have);
        size_t name_bytes;
        const uint8_t *text_end;

        if (!name_end)
            return;
        name_bytes = (size_t)(name_end + 1 - body);
        body += name_bytes;
        have -= name_bytes;
        length -= name_bytes;
        text_end = memchr(body, '\0', have);
        if (text_end)
            have = length = (size_t)(text_end + 1 - body);
    }
    pg_session_suspect(client, pg_session_effects(client, body, have, length));
}

void pg_session_command(struct pg_client *client, const uint8_t *tag, size_t length)
{
    static const char load[] = "LOAD", reset[] = "RESET", discard[] = "DISCARD ALL";

    if (length == sizeof(load) && memcmp(tag, load, length) == 0)
        pg_session_suspect(client, EFFECT_LOAD);
    else if ((length == sizeof(reset) && memcmp(tag, reset, length) == 0) ||
             (length == sizeof(discard) && memcmp(tag, discard, length) == 0))
        session_need(client)->reset = true;
}

/* What the server should report: what was reset has the value that the client asked for. */
static struct params *params_restored(struct pg_client *client)
{
    struct params_set *set = &client->worker->pools.params;
    const struct params *startup = client->startup;
    struct pg_server *pg = client->server;
    struct params *wanted = params_hold(pg->params);
    const char *value;

    for (const char *name = params_next(startup, NULL, &value); name;
         name = params_next(startup, name, &value)) {
        const char *present = params_get(pg->params, name);
        const char *first = params_get(pg->initial, name);

        if (present && first && strcmp(present, first) == 0)
            wanted = params_with(set, wanted, name, value);
    }
    return wanted;
}

void pg_session_restore(struct pg_client *client)
{
    struct pg_session *session = client->session;
    struct pg_server *pg = client->server;
    uint8_t header[PG_HEADER_BYTES] = {PG_QUERY};
    char sets[PARAMS_SETS_BYTES + 1];
    struct params *wanted;
    size_t length;

    if (!session || !session->reset || pg->status == 'E')
        return;
    session->reset = false;
    if (!client->startup || client->startup == pg->initial)
        return;
    wanted = params_restored(client);
    length = params_difference(wanted, pg->params, sets, sizeof(sets));
    params_drop(&client->worker->pools.params, wanted);
    if (length == 0 || length == sizeof(sets))
        return;
    session->restoring = true;
    pg_put_u32(header + 1, (uint32_t)length + 1 + 4);
    stream_queue(&pg->base.stream, header, sizeof(header));
    pg_pipeline_sent(&pg->pipeline, PG_QUERY, true);
    stream_write(&pg->base.stream, sets, length + 1);
}

/* --- the question --- */

static size_t ask_settings(const struct pg_client *client, char *text, size_t size)
{
    const struct params *dotted = client->session->dotted;
    const char *value;
    size_t length = (size_t)snprintf(
        text, size,
        "SELECT '',n,pg_catalog.left(pg_catalog.encode(pg_catalog.convert_to(v,"
        "pg_catalog.getdatabaseencoding()),'escape'),%d) FROM (SELECT name,setting FROM "
        "pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session' UNION ALL SELECT "
        "n,pg_catalog.current_setting(n,true) FROM pg_catalog.unnest('{role",
        VALUE_BYTES);

    for (const char *name = dotted ? params_next(dotted, NULL, &value) : NULL; name;
         name = params_next(dotted, name, &value))
        length += (size_t)snprintf(text + length, size - length, ",%s", name);
    return length + (size_t)snprintf(text + length, size - length,
                                     "}'::pg_catalog.text[]) d(n)) s(n,v) WHERE v IS NOT NULL");
}

static size_t ask_text(const struct pg_client *client, unsigned asked, char *text, size_t size)
{
    size_t length = 0;

    if (asked & EFFECT_SETTINGS)
        length = ask_settings(client, text, size);
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].query && asked & kinds[i].effect)
            length +=
                (size_t)snprintf(text + length, size - length, "%sSELECT '%d','','' WHERE %s",
                                 length ? " UNION ALL " : "", kinds[i].effect, kinds[i].query);
    if (length == 0)
        length = (size_t)snprintf(text, size, "SELECT '0','',''");
    ensure(length < size);
    return length;
}

static void ask_send(struct pg_client *client)
{
    struct pg_server *pg = client->server;
    uint8_t header[PG_HEADER_BYTES] = {PG_QUERY};
    char text[ASK_BYTES];
    size_t length = ask_text(client, client->session->ask->kinds, text, sizeof(text));

    pg_put_u32(header + 1, (uint32_t)length + 1 + 4);
    stream_queue(&pg->base.stream, header, sizeof(header));
    pg_pipeline_sent(&pg->pipeline, PG_QUERY, true);
    stream_write(&pg->base.stream, text, length + 1);
    counter_add(&client->pool->counters.session_questions, 1);
}

static void ask_begin(struct pg_client *client, unsigned attempts)
{
    struct pg_session *session = client->session;
    struct pg_ask *ask = session->ask = memory_new(sizeof(*ask));

    ask->kinds = session->suspect | session->pinned;
    if (ask->kinds & EFFECT_UNKNOWN)
        ask->kinds |= EFFECT_SETTINGS;
    /* What EXECUTE did cannot be seen. */
    if (session->pinned & EFFECT_PREPARE)
        ask->kinds |= (uint16_t)(EFFECTS_ALL & effects_followed(client));
    ask->found = ask->kinds & EFFECTS_HELD;
    if (session->suspect & EFFECT_RESET_ALL && !(session->suspect & EFFECT_UNKNOWN))
        ask->found &= (uint16_t)~EFFECT_UNKNOWN;
    ask->attempts = (uint8_t)(attempts + 1);
    ask->settings = params_empty(&client->worker->pools.params);
    session->suspect = 0;
    ask_send(client);
}

bool pg_session_ask(struct pg_client *client)
{
    if (!client->session || !client->session->suspect)
        return false;
    ask_begin(client, 0);
    return true;
}

static void setting_found(struct pg_client *client, const char *name, const char *value)
{
    struct params_set *set = &client->worker->pools.params;
    struct pg_ask *ask = client->session->ask;
    const char *kept;

    if (setting_reported(client, name) || strncasecmp(name, "transaction_", 12) == 0 ||
        (strcmp(name, "role") == 0 && strcmp(value, "none") == 0))
        return;
    if (client->session->dotted && ask->kinds & EFFECT_RESET_ALL && value[0] == '\0' &&
        strchr(name, '.')) {
        /* What was reset is forgotten, as far as a server can. */
        client->session->dotted = params_without(set, client->session->dotted, name);
        return;
    }
    ask->settings = params_with(set, ask->settings, name, value);
    kept = params_get(ask->settings, name);
    if (!kept || strcmp(kept, value) != 0 || strcasecmp(name, "exit_on_error") == 0)
        ask->found |= EFFECT_UNKNOWN;
}

/* Three columns, all text: '' and a setting's name and value; or the number of a kind. */
void pg_session_row(struct pg_client *client, const uint8_t *body, size_t length)
{
    struct pg_reader reader = pg_reader_of(body, length);
    char columns[3][PARAM_VALUE_BYTES + 1];

    if (pg_read_u16(&reader) != 3) {
        pg_session_failed(client);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        uint32_t bytes = pg_read_u32(&reader);
        const uint8_t *at = pg_read_bytes(&reader, bytes);

        if (reader.failed || bytes >= sizeof(columns[i])) {
            pg_session_failed(client);
            return;
        }
        memcpy(columns[i], at, bytes);
        columns[i][bytes] = '\0';
    }
    if (columns[0][0] == '\0')
        setting_found(client, columns[1], columns[2]);
    else
        client->session->ask->found |= (uint16_t)strtoul(columns[0], NULL, 10);
}

void pg_session_failed(struct pg_client *client)
{
    client->session->ask->failed = true;
}

static void ask_free(struct pg_client *client)
{
    struct pg_session *session = client->session;

    params_drop(&client->worker->pools.params, session->ask->settings);
    free(session->ask);
    session->ask = NULL;
}

/* SET SESSION AUTHORIZATION is reported, and nobody else may have it. */
static bool authorization_changed(const struct pg_server *pg)
{
    static const char name[] = "session_authorization";
    const char *present = params_get(pg->params, name), *first = params_get(pg->initial, name);

    return present && first && strcmp(present, first) != 0;
}

static void settings_take(struct pg_client *client, struct params *settings)
{
    struct params_set *set = &client->worker->pools.params;
    struct pg_session *session = client->session;
    struct pg_server *pg = client->server;

    params_drop(set, session->settings);
    session->settings = params_hold(settings);
    params_drop(set, pg->settings);
    pg->settings = params_hold(settings);
}

/* How many servers of its pool may be pinned. */
static int64_t pins_max(const struct pg_client *client)
{
    int64_t max = client->worker->conf->max_pinned_servers;
    int64_t size = client->pool->settings.size;

    if (max > 0)
        return max;
    return size > 1 ? size - 1 : 1;
}

static const struct pool_failure *session_pin(struct pg_client *client, unsigned found)
{
    struct pg_session *session = client->session;
    char reasons[PG_SESSION_REASONS_BYTES];

    if (!session->pinned && found) {
        if (!registry_pin_take(client->pool->totals, pins_max(client))) {
            counter_add(&client->pool->counters.pins_refused, 1);
            return pg_error_row(PG_ERROR_TOO_MANY_PINNED);
        }
        session->pinned_us = loop_now_us(&client->worker->loop);
        counter_add(&client->pool->counters.pins, 1);
    }
    if (session->pinned && !found)
        registry_pin_give(client->pool->totals);
    if (found != session->pinned)
        pg_client_log(client, LOG_LEVEL_DEBUG, found ? "keeps its server: %s" : "unpinned%s",
                      pg_session_reasons(found, reasons));
    session->pinned = (uint16_t)found;
    client->server->unclean = found != 0;
    if (found & EFFECT_LOAD)
        client->server->base.close_needed = true;
    return NULL;
}

const struct pool_failure *pg_session_answered(struct pg_client *client)
{
    struct pg_session *session = client->session;
    struct pg_ask *ask = session->ask;
    unsigned found = ask->found;

    if (ask->failed) {
        unsigned attempts = ask->attempts;

        session->suspect |= ask->kinds;
        ask_free(client);
        if (attempts < ATTEMPTS_MAX) {
            ask_begin(client, attempts);
            return NULL;
        }
        found = session->suspect | EFFECT_UNKNOWN;
        session->suspect = 0;
        return session_pin(client, found & effects_followed(client));
    }
    if (authorization_changed(client->server))
        found |= EFFECT_AUTHORIZATION & effects_followed(client);
    if (ask->kinds & EFFECT_SETTINGS && client->worker->conf->session_set == SESSION_SET_TRACK &&
        !(found & EFFECT_UNKNOWN))
        settings_take(client, ask->settings);
    else if (ask->kinds & EFFECT_SETTINGS && !(found & EFFECT_UNKNOWN) &&
             !params_are_empty(ask->settings))
        found |= EFFECT_SETTINGS;
    ask_free(client);
    return session_pin(client, found);
}

/* --- the end --- */

bool pg_session_leave(struct pg_client *client)
{
    struct pg_session *session = client->session;
    bool lost;

    if (!session)
        return false;
    lost = session->pinned || session->suspect || session->ask;
    if (session->pinned)
        registry_pin_give(client->pool->totals);
    session->pinned = session->suspect = 0;
    session->setting = session->reset = session->restoring = false;
    if (session->ask)
        ask_free(client);
    return lost;
}

void pg_session_free(struct pg_client *client)
{
    struct params_set *set = &client->worker->pools.params;

    params_drop(set, client->startup);
    if (!client->session)
        return;
    params_drop(set, client->session->settings);
    params_drop(set, client->session->dotted);
    free(client->session);
    client->session = NULL;
}
