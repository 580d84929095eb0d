#include "sluice/auth/hba.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/hba_line.h"
#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

enum hba_type {
    HBA_LOCAL = 1,
    HBA_TLS = 2,
    HBA_PLAIN = 4,
};

enum hba_address {
    HBA_ADDRESS_ALL,
    HBA_ADDRESS_SAME_HOST,
    HBA_ADDRESS_NET,
};

/* A piece of struct hba's words. */
struct hba_list {
    size_t first, count;
};

struct hba_rule {
    size_t line;
    unsigned types; /* enum hba_type, one or several */
    struct hba_list databases, users;
    enum hba_address address;
    size_t ip_bytes; /* 4 or 16 */
    uint8_t ip[16], mask[16];
    enum auth_method method;
    const char *map;
};

struct hba {
    char *text; /* taken apart; words and maps point into it */
    struct hba_rule *rules;
    size_t rule_count;
    struct hba_word *words;
    size_t word_count;
};

/* A line while it is being parsed. */
struct parse {
    struct hba *hba;
    struct hba_line line;
    const char *file;
    struct conf_report *report;
    struct hba_rule rule;
};

#define MISTAKE(parse, ...)                                                            \
    (conf_report_add((parse)->report, CONF_ERROR, (parse)->file, (parse)->line.number, \
                     __VA_ARGS__),                                                     \
     false)

static const struct {
    const char *name;
    unsigned types;
} types[] = {
    {"local", HBA_LOCAL},
    {"host", HBA_TLS | HBA_PLAIN},
    {"hostssl", HBA_TLS},
    {"hostnossl", HBA_PLAIN},
};

static const struct {
    const char *name;
    enum auth_method method;
    unsigned types;   /* where it may stand */
    const char *only; /* said when it stands elsewhere */
} methods[] = {
    {"trust", AUTH_TRUST, HBA_LOCAL | HBA_TLS | HBA_PLAIN, NULL},
    {"reject", AUTH_REJECT, HBA_LOCAL | HBA_TLS | HBA_PLAIN, NULL},
    {"md5", AUTH_MD5, HBA_LOCAL | HBA_TLS | HBA_PLAIN, NULL},
    {"scram-sha-256", AUTH_SCRAM, HBA_LOCAL | HBA_TLS | HBA_PLAIN, NULL},
    {"password", AUTH_PLAIN, HBA_LOCAL | HBA_TLS | HBA_PLAIN, NULL},
    {"peer", AUTH_PEER, HBA_LOCAL, "peer authentication is only supported on local sockets"},
    {"cert", AUTH_CERT, HBA_TLS, "cert authentication is only supported on hostssl connections"},
};

/* A field that takes one word. */
static bool take_word(struct parse *parse, const char *what, struct hba_word *word)
{
    if (!hba_line_word(&parse->line, word))
        return MISTAKE(parse, "end-of-line before %s", what);
    if (word->more)
        return MISTAKE(parse, "multiple values specified for %s", what);
    return true;
}

/* What PostgreSQL would take for something else than a name. */
static bool check_name(struct parse *parse, const char *what, const struct hba_word *word)
{
    if (word->quoted)
        return true;
    if (word->text[0] == '@')
        return MISTAKE(parse, "%s \"%s\": names from a file are not supported", what, word->text);
    if (word->text[0] == '+' || hba_word_is(word, "samerole") || hba_word_is(word, "samegroup"))
        return MISTAKE(parse, "%s \"%s\": roles as groups are not supported", what, word->text);
    if (word->text[0] == '/')
        return MISTAKE(parse, "%s \"%s\": regular expressions are not supported", what, word->text);
    return true;
}

static bool take_names(struct parse *parse, const char *what, struct hba_list *list)
{
    struct hba *hba = parse->hba;
    struct hba_word word;
    bool right = true;

    list->first = hba->word_count;
    do {
        if (!hba_line_word(&parse->line, &word))
            return MISTAKE(parse, "end-of-line before %s", what);
        right = check_name(parse, what, &word) && right;
        hba->words = memory_resize(hba->words, (hba->word_count + 1) * sizeof(*hba->words));
        hba->words[hba->word_count++] = word;
    } while (word.more);
    list->count = hba->word_count - list->first;
    return right;
}

static bool parse_type(struct parse *parse, const struct hba_word *word)
{
    if (word->more)
        return MISTAKE(parse, "multiple values specified for connection type");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (hba_word_is(word, types[i].name)) {
            parse->rule.types = types[i].types;
            return true;
        }
    }
    return MISTAKE(parse, "invalid connection type \"%s\"", word->text);
}

/* The bytes of a numeric address; their number, or 0 if it is none. */
static size_t parse_ip(const char *text, uint8_t ip[16])
{
    if (inet_pton(AF_INET, text, ip) == 1)
        return 4;
    return inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
}

static bool parse_bits(struct parse *parse, const char *text)
{
    struct hba_rule *rule = &parse->rule;
    size_t bits = 0, digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 3 || text[digits] != '\0')
        return MISTAKE(parse, "invalid CIDR mask \"%s\"", text);
    for (size_t i = 0; i < digits; i++)
        bits = bits * 10 + (size_t)(text[i] - '0');
    if (bits > rule->ip_bytes * 8)
        return MISTAKE(parse, "invalid CIDR mask \"%s\"", text);
    memset(rule->mask, 0, sizeof(rule->mask));
    for (size_t i = 0; i < bits; i++)
        rule->mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return true;
}

static bool take_mask(struct parse *parse)
{
    struct hba_word word;
    size_t bytes;

    if (!take_word(parse, "netmask specification", &word))
        return false;
    bytes = parse_ip(word.text, parse->rule.mask);
    if (bytes == 0)
        return MISTAKE(parse, "invalid IP mask \"%s\"", word.text);
    if (bytes != parse->rule.ip_bytes)
        return MISTAKE(parse, "IP address and mask do not match");
    return true;
}

static bool take_address(struct parse *parse)
{
    struct hba_rule *rule = &parse->rule;
    char ip[INET6_ADDRSTRLEN];
    struct hba_word word;
    const char *slash;
    size_t length;

    if (!take_word(parse, "IP address specification", &word))
        return false;
    if (hba_word_is(&word, "all") || hba_word_is(&word, "samehost")) {
        rule->address = word.text[0] == 'a' ? HBA_ADDRESS_ALL : HBA_ADDRESS_SAME_HOST;
        return true;
    }
    if (hba_word_is(&word, "samenet"))
        return MISTAKE(parse, "samenet is not supported: name the network");
    slash = strchr(word.text, '/');
    length = slash ? (size_t)(slash - word.text) : strlen(word.text);
    rule->address = HBA_ADDRESS_NET;
    rule->ip_bytes = 0;
    if (length < sizeof(ip)) {
        memcpy(ip, word.text, length);
        ip[length] = '\0';
        rule->ip_bytes = parse_ip(ip, rule->ip);
    }
    if (rule->ip_bytes == 0)
        return MISTAKE(parse, "\"%s\" is not an IP address; host names are not supported",
                       word.text);
    return slash ? parse_bits(parse, slash + 1) : take_mask(parse);
}

static bool take_method(struct parse *parse)
{
    struct hba_rule *rule = &parse->rule;
    struct hba_word word;

    if (!take_word(parse, "authentication method", &word))
        return false;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (!hba_word_is(&word, methods[i].name))
            continue;
        if (rule->types & ~methods[i].types)
            return MISTAKE(parse, "%s", methods[i].only);
        rule->method = methods[i].method;
        return true;
    }
    return MISTAKE(parse, "invalid authentication method \"%s\"", word.text);
}

static bool take_options(struct parse *parse)
{
    struct hba_rule *rule = &parse->rule;
    struct hba_word word;

    while (hba_line_word(&parse->line, &word)) {
        if (strncmp(word.text, "map=", 4) != 0 || word.text[4] == '\0' || word.more)
            return MISTAKE(parse, "unrecognized authentication option \"%s\"", word.text);
        if (rule->method != AUTH_PEER && rule->method != AUTH_CERT)
            return MISTAKE(parse, "authentication option \"map\" is only valid for authentication "
                                  "methods peer and cert");
        rule->map = word.text + 4;
    }
    return true;
}

static void parse_line(struct parse *parse)
{
    struct hba *hba = parse->hba;
    struct hba_word type;

    if (!hba_line_word(&parse->line, &type))
        return; /* empty, or a comment */
    parse->rule = (struct hba_rule){.line = parse->line.number};
    if (!parse_type(parse, &type) || !take_names(parse, "database name", &parse->rule.databases) ||
        !take_names(parse, "role name", &parse->rule.users) ||
        (parse->rule.types != HBA_LOCAL && !take_address(parse)) || !take_method(parse) ||
        !take_options(parse))
        return;
    hba->rules = memory_resize(hba->rules, (hba->rule_count + 1) * sizeof(*hba->rules));
    hba->rules[hba->rule_count++] = parse->rule;
}

struct hba *hba_parse(const char *text, const char *file, struct conf_report *report)
{
    struct parse parse = {.hba = memory_new(sizeof(struct hba)), .file = file, .report = report};
    size_t errors_before = report->error_count;
    struct hba_lines lines;

    parse.hba->text = memory_text(text, strlen(text));
    hba_lines_init(&lines, parse.hba->text);
    while (hba_lines_next(&lines, &parse.line))
        parse_line(&parse);
    if (report->error_count > errors_before) {
        hba_free(parse.hba);
        return NULL;
    }
    return parse.hba;
}

void hba_free(struct hba *hba)
{
    if (!hba)
        return;
    free(hba->words);
    free(hba->rules);
    free(hba->text);
    free(hba);
}

size_t hba_uses(const struct hba *hba, enum auth_method method)
{
    for (size_t i = 0; i < hba->rule_count; i++)
        if (hba->rules[i].method == method)
            return hba->rules[i].line;
    return 0;
}

bool hba_asks_same_host(const struct hba *hba)
{
    for (size_t i = 0; i < hba->rule_count; i++)
        if (hba->rules[i].address == HBA_ADDRESS_SAME_HOST)
            return true;
    return false;
}

static bool match_database(const struct hba_word *word, const struct hba_question *question)
{
    if (question->replication || hba_word_is(word, "replication"))
        return question->replication && hba_word_is(word, "replication");
    if (hba_word_is(word, "sameuser"))
        return strcmp(question->user, question->database) == 0;
    return hba_word_is(word, "all") || strcmp(word->text, question->database) == 0;
}

static bool match_user(const struct hba_word *word, const struct hba_question *question)
{
    return hba_word_is(word, "all") || strcmp(word->text, question->user) == 0;
}

static bool match_list(const struct hba *hba, const struct hba_list *list,
                       bool (*match)(const struct hba_word *, const struct hba_question *),
                       const struct hba_question *question)
{
    for (size_t i = 0; i < list->count; i++)
        if (match(&hba->words[list->first + i], question))
            return true;
    return false;
}

/* The address's bytes; an IPv4 address that came over an IPv6 socket is an IPv4 address. */
static const uint8_t *address_bytes(const struct address *address, size_t *bytes)
{
    if (address->family == AF_INET) {
        *bytes = 4;
        return (const uint8_t *)&address->ipv4.sin_addr;
    }
    if (IN6_IS_ADDR_V4MAPPED(&address->ipv6.sin6_addr)) {
        *bytes = 4;
        return address->ipv6.sin6_addr.s6_addr + 12;
    }
    *bytes = 16;
    return address->ipv6.sin6_addr.s6_addr;
}

static bool match_address(const struct hba_rule *rule, const struct hba_question *question)
{
    const uint8_t *ip;
    size_t bytes;

    switch (rule->address) {
    case HBA_ADDRESS_ALL:
        return true;
    case HBA_ADDRESS_SAME_HOST:
        return question->same_host;
    case HBA_ADDRESS_NET:
        break;
    }
    ip = address_bytes(question->address, &bytes);
    if (bytes != rule->ip_bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if ((ip[i] ^ rule->ip[i]) & rule->mask[i])
            return false;
    return true;
}

struct hba_answer hba_match(const struct hba *hba, const struct hba_question *question)
{
    sa_family_t family = question->address->family;
    enum hba_type type = question->tls ? HBA_TLS : HBA_PLAIN;

    ensure(family == AF_INET || family == AF_INET6 || family == AF_UNIX);
    if (family == AF_UNIX)
        type = HBA_LOCAL;
    for (size_t i = 0; i < hba->rule_count; i++) {
        const struct hba_rule *rule = &hba->rules[i];

        if ((rule->types & type) && (type == HBA_LOCAL || match_address(rule, question)) &&
            match_list(hba, &rule->databases, match_database, question) &&
            match_list(hba, &rule->users, match_user, question))
            return (struct hba_answer){rule->method, rule->map, rule->line};
    }
    return (struct hba_answer){.method = AUTH_REJECT};
}
