#include "sluice/net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"

#define CIPHERS_BYTES 1024

/* The settings of one side, clients or servers. */
struct tls_terms {
    const char *side; /* how their names begin */
    int mode;
    bool kernel; /* may encrypt what is sent */
    const char *key_file, *cert_file, *ca_file;
    const char *protocols, *ciphers, *ciphers_13, *curve, *dheparams;
};

const char *tls_error(char text[TLS_ERROR_BYTES])
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    if (reason)
        snprintf(text, TLS_ERROR_BYTES, "%s", reason);
    else if (code && ERR_SYSTEM_ERROR(code))
        snprintf(text, TLS_ERROR_BYTES, "%s", strerror(ERR_GET_REASON(code)));
    else
        snprintf(text, TLS_ERROR_BYTES, code ? "error %lx" : "unknown error", code);
    ERR_clear_error();
    return text;
}

static bool mistake(struct conf_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Tells it; with what OpenSSL has to say, if it has. */
static bool mistake(struct conf_report *report, const char *format, ...)
{
    char text[CIPHERS_BYTES], reason[TLS_ERROR_BYTES];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    if (ERR_peek_error())
        conf_report_add(report, CONF_ERROR, NULL, 0, "%s: %s", text, tls_error(reason));
    else
        conf_report_add(report, CONF_ERROR, NULL, 0, "%s", text);
    return false;
}

/* Nobody sits there to type a passphrase. */
static int no_passphrase(char *text, int size, int writing, void *argument)
{
    return -1;
}

/* --- protocols, ciphers, groups --- */

static const struct {
    const char *name;
    unsigned versions; /* bits: 0 is TLS 1.0 */
} protocol_names[] = {
    {"tlsv1", 0xf}, {"tlsv1.0", 0x1}, {"tlsv1.1", 0x2}, {"tlsv1.2", 0x4}, {"tlsv1.3", 0x8},
    {"all", 0xf},   {"legacy", 0xf},  {"default", 0xc}, {"secure", 0xc},
};

static const uint64_t protocol_off[] = {
    SSL_OP_NO_TLSv1,
    SSL_OP_NO_TLSv1_1,
    SSL_OP_NO_TLSv1_2,
    SSL_OP_NO_TLSv1_3,
};

/* As PgBouncer reads them: words between commas or colons; ! takes a version out again. */
static bool set_protocols(SSL_CTX *context, const struct tls_terms *terms,
                          struct conf_report *report)
{
    unsigned versions = 0;
    const char *at = terms->protocols;

    while (*at) {
        size_t length = strcspn(at, ",: "), i = 0;
        bool remove = *at == '!';
        const char *word = at + remove;

        while (i < sizeof(protocol_names) / sizeof(protocol_names[0]) &&
               (strncasecmp(word, protocol_names[i].name, length - remove) != 0 ||
                strlen(protocol_names[i].name) != length - remove))
            i++;
        if (length > 0 && i == sizeof(protocol_names) / sizeof(protocol_names[0]))
            return mistake(report, "%s_tls_protocols: unknown protocol \"%.*s\"", terms->side,
                           (int)length, at);
        if (length > 0 && remove)
            versions &= ~protocol_names[i].versions;
        else if (length > 0)
            versions |= protocol_names[i].versions;
        at += length + (at[length] != '\0');
    }
    if (versions == 0)
        return mistake(report, "%s_tls_protocols = \"%s\" leaves no protocol", terms->side,
                       terms->protocols);
    /* The system's own configuration may have a minimum; ours decides. */
    SSL_CTX_set_min_proto_version(context, 0);
    SSL_CTX_set_max_proto_version(context, 0);
    for (unsigned i = 0; i < sizeof(protocol_off) / sizeof(protocol_off[0]); i++)
        if (!(versions & (1u << i)))
            SSL_CTX_set_options(context, protocol_off[i]);
    return true;
}

/* PgBouncer's words for sets of ciphers; anything else is OpenSSL's own syntax. */
static const char *cipher_set(const char *word)
{
    static const char *const words[][2] = {
        {"default", "HIGH:!aNULL"}, {"secure", "HIGH:!aNULL"},    {"normal", "HIGH:!aNULL"},
        {"fast", "HIGH:!aNULL"},    {"all", "ALL:!aNULL:!eNULL"},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(word, words[i][0]) == 0)
            return words[i][1];
    return word;
}

static bool set_ciphers(SSL_CTX *context, const struct tls_terms *terms, struct conf_report *report)
{
    char ciphers[CIPHERS_BYTES];

    snprintf(ciphers, sizeof(ciphers), "%s%s%s", cipher_set(terms->ciphers),
             strcasecmp(terms->curve, "none") == 0 ? ":!kECDHE" : "",
             strcasecmp(terms->dheparams, "none") == 0 ? ":!kDHE" : "");
    if (SSL_CTX_set_cipher_list(context, ciphers) != 1)
        return mistake(report, "%s_tls_ciphers = \"%s\"", terms->side, terms->ciphers);
    if (terms->ciphers_13[0] && SSL_CTX_set_ciphersuites(context, terms->ciphers_13) != 1)
        return mistake(report, "%s_tls13_ciphers = \"%s\"", terms->side, terms->ciphers_13);
    return true;
}

static bool set_groups(SSL_CTX *context, const struct tls_terms *terms, struct conf_report *report)
{
    if (strcasecmp(terms->curve, "auto") != 0 && strcasecmp(terms->curve, "none") != 0 &&
        SSL_CTX_set1_groups_list(context, terms->curve) != 1)
        return mistake(report, "%s_tls_ecdhcurve = \"%s\"", terms->side, terms->curve);
    if (strcasecmp(terms->dheparams, "auto") == 0 || strcasecmp(terms->dheparams, "legacy") == 0)
        SSL_CTX_set_dh_auto(context, 1);
    else if (strcasecmp(terms->dheparams, "none") != 0)
        return mistake(report, "%s_tls_dheparams must be auto, legacy or none", terms->side);
    return true;
}

/* --- certificates --- */

static bool set_certificate(SSL_CTX *context, const struct tls_terms *terms,
                            struct conf_report *report)
{
    if (!terms->cert_file[0] != !terms->key_file[0])
        return mistake(report, "%s_tls_cert_file and %s_tls_key_file go together", terms->side,
                       terms->side);
    if (!terms->cert_file[0])
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, terms->cert_file) != 1)
        return mistake(report, "%s_tls_cert_file \"%s\" cannot be used", terms->side,
                       terms->cert_file);
    if (SSL_CTX_use_PrivateKey_file(context, terms->key_file, SSL_FILETYPE_PEM) != 1)
        return mistake(report, "%s_tls_key_file \"%s\" cannot be used", terms->side,
                       terms->key_file);
    if (SSL_CTX_check_private_key(context) != 1)
        return mistake(report, "%s_tls_key_file \"%s\" is not the key of \"%s\"", terms->side,
                       terms->key_file, terms->cert_file);
    return true;
}

static bool set_authorities(SSL_CTX *context, const struct tls_terms *terms,
                            struct conf_report *report)
{
    if (terms->ca_file[0] && SSL_CTX_load_verify_locations(context, terms->ca_file, NULL) != 1)
        return mistake(report, "%s_tls_ca_file \"%s\" cannot be used", terms->side, terms->ca_file);
    return true;
}

/* --- contexts --- */

/* The kernel tells which protocols it can run on top of TCP; `tls` when that module is loaded. */
static bool kernel_offers_tls(void)
{
    char name[32];
    bool found = false;
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_available_ulp", "re");

    if (!file)
        return false;
    while (!found && fscanf(file, "%31s", name) == 1)
        found = strcmp(name, "tls") == 0;
    fclose(file);
    return found;
}

static SSL_CTX *context_new(const SSL_METHOD *method, const struct tls_terms *terms,
                            struct conf_report *report)
{
    SSL_CTX *context = SSL_CTX_new(method);

    ensure(context);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    /* The end of a stream needs no close_notify: messages say themselves where they end. Nobody is
     * given tickets: PostgreSQL's drivers do not resume, and each would cost a write. */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (terms->kernel && kernel_offers_tls())
        SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    if (set_protocols(context, terms, report) && set_ciphers(context, terms, report) &&
        set_groups(context, terms, report) && set_certificate(context, terms, report) &&
        set_authorities(context, terms, report))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* A client that names protocols must name ours, or it takes us for something else. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
                           const unsigned char *offered, unsigned offered_bytes, void *argument)
{
    static const unsigned char ours[] = "\x0a" TLS_PROTOCOL;
    unsigned char *found;

    if (SSL_select_next_proto(&found, chosen_bytes, ours, sizeof(ours) - 1, offered,
                              offered_bytes) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

static bool verify_clients(SSL_CTX *context, const struct tls_terms *terms,
                           struct conf_report *report)
{
    STACK_OF(X509_NAME) * names;

    if (terms->mode < SSLMODE_VERIFY_CA)
        return true;
    if (!terms->ca_file[0])
        return mistake(report, "client_tls_sslmode = verify-ca needs client_tls_ca_file");
    names = SSL_load_client_CA_file(terms->ca_file);
    if (!names)
        return mistake(report, "client_tls_ca_file \"%s\" cannot be used", terms->ca_file);
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool clients_new(struct tls *tls, const struct conf *conf, struct conf_report *report)
{
    struct tls_terms terms = {
        .side = "client",
        .mode = conf->client_tls_sslmode,
        .kernel = conf->kernel_tls,
        .key_file = conf->client_tls_key_file,
        .cert_file = conf->client_tls_cert_file,
        .ca_file = conf->client_tls_ca_file,
        .protocols = conf->client_tls_protocols,
        .ciphers = conf->client_tls_ciphers,
        .ciphers_13 = conf->client_tls13_ciphers,
        .curve = conf->client_tls_ecdhcurve,
        .dheparams = conf->client_tls_dheparams,
    };

    tls->client_mode = (enum sslmode)terms.mode;
    if (conf->auth_type == AUTH_TYPE_CERT && terms.mode < SSLMODE_VERIFY_CA)
        return mistake(report, "auth_type = cert needs client_tls_sslmode = verify-full");
    if (terms.mode == SSLMODE_DISABLE)
        return true;
    if (!terms.cert_file[0] || !terms.key_file[0])
        return mistake(report, "TLS with clients needs client_tls_cert_file and "
                               "client_tls_key_file");
    tls->clients = context_new(TLS_server_method(), &terms, report);
    if (!tls->clients)
        return false;
    SSL_CTX_set_alpn_select_cb(tls->clients, choose_protocol, NULL);
    return verify_clients(tls->clients, &terms, report);
}

/* As libpq: where authorities are named the certificate is verified in every mode; verify-full
 * without any takes the system's, which would be of no worth for verify-ca. */
static bool verify_servers(SSL_CTX *context, const struct tls_terms *terms,
                           struct conf_report *report)
{
    if (!terms->ca_file[0] && terms->mode == SSLMODE_VERIFY_CA)
        return mistake(report, "server_tls_sslmode = verify-ca needs server_tls_ca_file");
    if (!terms->ca_file[0] && terms->mode == SSLMODE_VERIFY_FULL &&
        SSL_CTX_set_default_verify_paths(context) != 1)
        return mistake(report, "the system's certificate authorities cannot be used");
    if (terms->ca_file[0] || terms->mode >= SSLMODE_VERIFY_CA)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return true;
}

static bool servers_new(struct tls *tls, const struct conf *conf, struct conf_report *report)
{
    struct tls_terms terms = {
        .side = "server",
        .mode = conf->server_tls_sslmode,
        .kernel = conf->kernel_tls,
        .key_file = conf->server_tls_key_file,
        .cert_file = conf->server_tls_cert_file,
        .ca_file = conf->server_tls_ca_file,
        .protocols = conf->server_tls_protocols,
        .ciphers = conf->server_tls_ciphers,
        .ciphers_13 = conf->server_tls13_ciphers,
        .curve = "auto",
        .dheparams = "auto",
    };

    tls->server_mode = (enum sslmode)terms.mode;
    tls->server_direct = conf->server_tls_sslnegotiation == SSLNEGOTIATION_DIRECT;
    if (tls->server_direct && terms.mode < SSLMODE_REQUIRE)
        return mistake(report, "server_tls_sslnegotiation = direct needs server_tls_sslmode = "
                               "require, verify-ca or verify-full");
    if (terms.mode == SSLMODE_DISABLE)
        return true;
    tls->servers = context_new(TLS_client_method(), &terms, report);
    return tls->servers && verify_servers(tls->servers, &terms, report);
}

struct tls *tls_new(const struct conf *conf, struct conf_report *report)
{
    struct tls *tls = memory_new(sizeof(*tls));
    bool clients, servers;

    atomic_init(&tls->holders, 1);
    ERR_clear_error();
    clients = clients_new(tls, conf, report);
    servers = servers_new(tls, conf, report);
    if (clients && servers)
        return tls;
    tls_drop(tls);
    return NULL;
}

/* Only the count ever changes, and only who made it sees it as anything but constant. */
static struct tls *own(const struct tls *tls)
{
    return (struct tls *)(uintptr_t)tls;
}

const struct tls *tls_hold(const struct tls *tls)
{
    if (tls)
        atomic_fetch_add(&own(tls)->holders, 1);
    return tls;
}

void tls_drop(const struct tls *tls)
{
    if (!tls || atomic_fetch_sub(&own(tls)->holders, 1) > 1)
        return;
    SSL_CTX_free(tls->clients);
    SSL_CTX_free(tls->servers);
    free(own(tls));
}
