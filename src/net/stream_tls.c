#include "stream_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sluice/base/ensure.h"
#include "sluice/base/memory.h"
#include "sluice/net/tls.h"

#define PROBLEM_BYTES 320

struct stream_tls {
    SSL *ssl;
    BIO *bio;              /* of ssl; leads here */
    BIO *kernel;           /* has the kernel encrypt what is sent; NULL: nobody asked it to */
    struct stream *stream; /* while one of the functions below runs */
    struct buffer early;   /* what the peer sent of TLS before it was begun here */
    struct buffer queued;  /* plain bytes: for the next write, or for the end of the handshake */
    char *host;            /* whose name the certificate must have; until the handshake is over */
    char *problem;         /* what broke it, in words */
    bool established;
    bool direct;      /* begun without an SSLRequest: ALPN must name our protocol */
    bool may_receive; /* the socket may have something */
    bool ended;       /* the peer has ended the stream */
    bool adopted;     /* ssl belongs to somebody else */
    bool data;        /* what OpenSSL writes now is ours, no record of its own */
};

/* --- OpenSSL's way to the stream --- */

static int bio_read(BIO *bio, char *bytes, int size)
{
    struct stream_tls *tls = BIO_get_data(bio);
    struct stream *stream = tls ? tls->stream : NULL;
    size_t early = tls ? buffer_length(&tls->early) : 0;
    ssize_t got;

    BIO_clear_retry_flags(bio);
    if (!stream || size <= 0)
        return -1;
    if (early > 0) {
        if ((size_t)size < early)
            early = (size_t)size;
        memcpy(bytes, buffer_bytes(&tls->early), early);
        buffer_consume(&tls->early, &stream->loop->buffers, early);
        return (int)early;
    }
    if (!tls->may_receive) {
        BIO_set_retry_read(bio);
        return -1;
    }
    do {
        got = recv(stream->fd, bytes, (size_t)size, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        if (got < size && !stream->peer_closed && !stream->error)
            tls->may_receive = false;
        return (int)got;
    }
    if (got < 0 && errno == EAGAIN && !stream->error) {
        tls->may_receive = false;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (got < 0 && !stream->error)
        stream->error = errno;
    tls->ended = true;
    return got == 0 ? 0 : -1;
}

/* --- the kernel's way (docs/tls.md): OpenSSL's own BIO of a socket knows how to ask for it --- */

static bool tls_kernel_sends(const struct stream_tls *tls)
{
    return tls->kernel && BIO_get_ktls_send(tls->kernel);
}

/* True when the socket has taken all. */
static bool tls_out_is_sent(struct stream *stream)
{
    stream_send(stream, NULL, 0);
    stream_flush_now(stream);
    return buffer_length(&stream->out) == 0 && !stream->error;
}

/* --- OpenSSL's way to the stream, out --- */

static int bio_write(BIO *bio, const char *bytes, int size)
{
    struct stream_tls *tls = BIO_get_data(bio);
    struct stream *stream = tls ? tls->stream : NULL;

    BIO_clear_retry_flags(bio);
    if (!stream || size < 0)
        return -1;
    /* The kernel makes records of what is sent; their kind goes beside it when it is not data. */
    if (tls_kernel_sends(tls) && !tls->data)
        return tls_out_is_sent(stream) ? BIO_write(tls->kernel, bytes, size) : -1;
    if (!stream->error)
        buffer_append(&stream->out, &stream->loop->buffers, bytes, (size_t)size);
    return size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    struct stream_tls *tls = BIO_get_data(bio);

    if (command == BIO_CTRL_EOF)
        return tls && tls->ended;
    if (command == BIO_CTRL_FLUSH)
        return 1;
    if (!tls || !tls->kernel || !tls->stream)
        return 0;
    if (command == BIO_CTRL_GET_KTLS_SEND)
        return BIO_ctrl(tls->kernel, command, number, pointer);
    /* How OpenSSL gives the kernel its keys and the kinds of records is its own affair (bio.h), but
     * a number goes with what is about sending, and 0 with keys to receive: those stay here, where
     * it takes alerts and new keys. What is encrypted already must leave before. */
    return number > 0 && tls_out_is_sent(tls->stream)
               ? BIO_ctrl(tls->kernel, command, number, pointer)
               : 0;
}

static BIO_METHOD *bio_method;

static void bio_method_make(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    ensure(bio_method && BIO_meth_set_read(bio_method, bio_read) &&
           BIO_meth_set_write(bio_method, bio_write) && BIO_meth_set_ctrl(bio_method, bio_control));
}

/* --- beginning --- */

static struct stream_tls *tls_begin(struct stream *stream, SSL *ssl)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct stream_tls *tls = memory_new(sizeof(*tls));

    ensure(ssl && !stream->tls);
    pthread_once(&once, bio_method_make);
    tls->ssl = ssl;
    tls->bio = BIO_new(bio_method);
    ensure(tls->bio);
    BIO_set_data(tls->bio, tls);
    BIO_set_init(tls->bio, 1);
    SSL_set_bio(ssl, tls->bio, tls->bio);
    /* Changes nothing on the socket until the kernel is given keys. */
    if (SSL_get_options(ssl) & SSL_OP_ENABLE_KTLS) {
        tls->kernel = BIO_new_socket(stream->fd, BIO_NOCLOSE);
        ensure(tls->kernel);
    }
    stream->tls = tls;
    return tls;
}

void stream_accept_tls(struct stream *stream, const struct tls *setup, const void *early,
                       size_t length)
{
    struct stream_tls *tls = tls_begin(stream, SSL_new(setup->clients));

    SSL_set_accept_state(tls->ssl);
    tls->direct = length > 0;
    buffer_append(&tls->early, &stream->loop->buffers, early, length);
    stream_take_ahead(stream, &tls->early);
    stream->readable = true;
}

static bool host_is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

void stream_connect_tls(struct stream *stream, const struct tls *setup, const char *host)
{
    static const unsigned char protocols[] = "\x0a" TLS_PROTOCOL;
    struct stream_tls *tls = tls_begin(stream, SSL_new(setup->servers));
    uint8_t nothing;

    stream_take_ahead(stream, &tls->early);
    SSL_set_connect_state(tls->ssl);
    SSL_set_alpn_protos(tls->ssl, protocols, sizeof(protocols) - 1);
    if (host && !host_is_address(host))
        SSL_set_tlsext_host_name(tls->ssl, host);
    if (host && setup->server_mode == SSLMODE_VERIFY_FULL)
        tls->host = memory_text(host, strlen(host));
    tls->direct = setup->server_direct;
    /* Has OpenSSL speak first; what goes wrong is told by the next read. */
    stream->readable = true;
    if (stream_tls_read(stream, &nothing, 0) < 0)
        stream_again(stream);
}

void stream_adopt_tls(struct stream *stream, struct ssl_st *ssl)
{
    struct stream_tls *tls = tls_begin(stream, ssl);

    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_set_read_ahead(ssl, 1);
    tls->adopted = tls->established = true;
    stream_recheck(stream);
}

/* --- what goes wrong --- */

static void tls_problem(struct stream_tls *tls, const char *text)
{
    if (!tls->problem)
        tls->problem = memory_text(text, strlen(text));
    if (!tls->stream->error)
        tls->stream->error = EPROTO;
    ERR_clear_error();
}

static void tls_problem_of_ssl(struct stream_tls *tls)
{
    char text[PROBLEM_BYTES], reason[TLS_ERROR_BYTES];
    long verdict = SSL_get_verify_result(tls->ssl);

    if (verdict != X509_V_OK)
        snprintf(text, sizeof(text), "SSL error: certificate verify failed: %s",
                 X509_verify_cert_error_string(verdict));
    else
        snprintf(text, sizeof(text), "SSL error: %s", tls_error(reason));
    tls_problem(tls, text);
}

const char *stream_why(const struct stream *stream)
{
    if (stream->tls && stream->tls->problem)
        return stream->tls->problem;
    return stream->error ? strerror(stream->error) : NULL;
}

/* --- the handshake --- */

/* As libpq does: names in the certificate go before its common name; the text of an address may
 * stand as a name. */
static bool certificate_names(X509 *certificate, const char *host)
{
    GENERAL_NAMES *names;
    bool has_address = false;

    if (!host_is_address(host))
        return X509_check_host(certificate, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) ==
               1;
    if (X509_check_ip_asc(certificate, host, 0) == 1)
        return true;
    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        has_address = has_address || sk_GENERAL_NAME_value(names, i)->type == GEN_IPADD;
    GENERAL_NAMES_free(names);
    return X509_check_host(certificate, host, 0,
                           X509_CHECK_FLAG_NO_WILDCARDS |
                               (has_address ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT : 0),
                           NULL) == 1;
}

/* The handshake is over: nothing has been sent or told yet. False: the peer is not who it must be.
 */
static bool tls_established(struct stream_tls *tls)
{
    const unsigned char *protocol;
    unsigned protocol_bytes;
    char text[PROBLEM_BYTES];

    SSL_get0_alpn_selected(tls->ssl, &protocol, &protocol_bytes);
    if (tls->direct && protocol_bytes == 0) {
        tls_problem(tls, "direct SSL connection was established without ALPN protocol negotiation "
                         "extension");
        return false;
    }
    if (tls->host) {
        X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
        bool right = certificate && certificate_names(certificate, tls->host);

        X509_free(certificate);
        if (!right) {
            snprintf(text, sizeof(text), "server certificate does not match host name \"%.200s\"",
                     tls->host);
            tls_problem(tls, text);
            return false;
        }
    }
    free(tls->host);
    tls->host = NULL;
    tls->established = true;
    return true;
}

/* SSL_read or SSL_do_handshake made no progress. Returns 0 when it will, -1 when not. */
static ssize_t tls_stopped(struct stream_tls *tls, int result)
{
    struct stream *stream = tls->stream;

    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        stream->readable = false;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
    case SSL_ERROR_SYSCALL:
        break;
    default:
        tls_problem_of_ssl(tls);
    }
    tls->ended = true;
    stream->readable = true;
    if (!tls->established && !stream->error)
        tls_problem(tls, "the peer closed the connection during the TLS handshake");
    return -1;
}

/* --- reading and writing --- */

static ssize_t tls_advance(struct stream_tls *tls, uint8_t *bytes, size_t size)
{
    struct stream *stream = tls->stream;
    size_t total = 0;

    if (!tls->established) {
        int result = SSL_do_handshake(tls->ssl);

        if (result <= 0)
            return tls_stopped(tls, result);
        if (!tls_established(tls)) {
            tls->ended = stream->readable = true;
            return -1;
        }
    }
    while (total < size) {
        size_t room = size - total;
        int got;

        if (total > 0 && !tls->may_receive && !SSL_has_pending(tls->ssl)) {
            stream->readable = false;
            return (ssize_t)total;
        }
        got = SSL_read(tls->ssl, bytes + total, room > INT32_MAX ? INT32_MAX : (int)room);
        if (got <= 0) {
            ssize_t stopped = tls_stopped(tls, got);

            return total > 0 ? (ssize_t)total : stopped;
        }
        total += (size_t)got;
    }
    return (ssize_t)total;
}

/* Encrypts into `out`. */
static void tls_encrypt(struct stream_tls *tls, const void *bytes, size_t length)
{
    bool written;

    ERR_clear_error();
    tls->data = true;
    written = length == 0 || SSL_write(tls->ssl, bytes, (int)length) > 0;
    tls->data = false;
    if (written)
        return;
    tls_problem_of_ssl(tls);
    stream_break(tls->stream, tls->stream->error);
}

static void tls_encrypt_queued(struct stream_tls *tls)
{
    struct buffer queued = tls->queued;

    memset(&tls->queued, 0, sizeof(tls->queued));
    if (buffer_length(&queued) > 0)
        tls_encrypt(tls, buffer_bytes(&queued), buffer_length(&queued));
    buffer_clear(&queued, &tls->stream->loop->buffers);
}

ssize_t stream_tls_read(struct stream *stream, uint8_t *bytes, size_t size)
{
    struct stream_tls *tls = stream->tls;
    bool established = tls->established;
    ssize_t got;

    tls->stream = stream;
    if (tls->ended)
        return -1;
    tls->may_receive = true;
    ERR_clear_error();
    got = tls_advance(tls, bytes, size);
    if (tls->established && !established && !stream->error)
        tls_encrypt_queued(tls);
    /* The handshake, alerts, and what waited for its end. */
    if (buffer_length(&stream->out) > 0 && !stream->blocked)
        stream_send(stream, NULL, 0);
    return got;
}

void stream_tls_queue(struct stream *stream, const void *bytes, size_t length)
{
    buffer_append(&stream->tls->queued, &stream->loop->buffers, bytes, length);
}

void stream_tls_unqueue(struct stream *stream)
{
    buffer_clear(&stream->tls->queued, &stream->loop->buffers);
}

void stream_tls_write(struct stream *stream, const void *bytes, size_t length)
{
    struct stream_tls *tls = stream->tls;

    tls->stream = stream;
    if (!tls->established || buffer_length(&tls->queued) > 0)
        stream_tls_queue(stream, bytes, length);
    else
        tls_encrypt(tls, bytes, length);
    if (tls->established && !stream->error)
        tls_encrypt_queued(tls);
    stream_send(stream, NULL, 0);
}

size_t stream_tls_pending(const struct stream_tls *tls)
{
    return buffer_length(&tls->queued);
}

void stream_tls_close(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;

    tls->stream = stream;
    ERR_clear_error();
    if (tls->established && !stream->error && !stream->blocked) {
        SSL_shutdown(tls->ssl);
        stream_send(stream, NULL, 0);
    }
    buffer_clear(&tls->early, &stream->loop->buffers);
    buffer_clear(&tls->queued, &stream->loop->buffers);
    BIO_set_data(tls->bio, NULL);
    if (!tls->adopted)
        SSL_free(tls->ssl);
    BIO_free(tls->kernel);
    ERR_clear_error();
    free(tls->host);
    free(tls->problem);
    free(tls);
    stream->tls = NULL;
}

/* --- what is known of the peer --- */

bool stream_tls_established(const struct stream *stream)
{
    return stream->tls && stream->tls->established;
}

/* How the keys were exchanged, which only the side that asked can tell: "/ECDH=prime256v1". */
static void key_exchange_text(SSL *ssl, char *text, size_t size)
{
    EVP_PKEY *key = NULL;
    char group[40] = "";

    if (SSL_is_server(ssl) || SSL_get_peer_tmp_key(ssl, &key) != 1)
        return;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_DH)
        snprintf(text, size, "/DH=%d", EVP_PKEY_get_bits(key));
    else if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 && group[0])
        snprintf(text, size, "/ECDH=%s", group);
    else
        snprintf(text, size, "/ECDH=%s", OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
    EVP_PKEY_free(key);
}

const char *stream_tls_text(const struct stream *stream, char text[STREAM_TLS_BYTES])
{
    SSL *ssl = stream_tls_established(stream) ? stream->tls->ssl : NULL;
    char exchange[STREAM_TLS_BYTES / 2] = "";

    text[0] = '\0';
    if (!ssl)
        return text;
    key_exchange_text(ssl, exchange, sizeof(exchange));
    snprintf(text, STREAM_TLS_BYTES, "%s/%s%s%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl),
             exchange, tls_kernel_sends(stream->tls) ? "/kernel" : "");
    ERR_clear_error();
    return text;
}

size_t stream_tls_binding(const struct stream *stream, uint8_t *hash, size_t size)
{
    SSL *ssl = stream_tls_established(stream) ? stream->tls->ssl : NULL;
    X509 *certificate;
    const EVP_MD *method = NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    int kind = NID_undef;

    if (!ssl)
        return 0;
    certificate = SSL_is_server(ssl) ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
    if (!certificate)
        return 0;
    /* RFC 5929, 4.1: md5 and sha1 are too weak for this. */
    if (X509_get_signature_info(certificate, &kind, NULL, NULL, NULL) == 1)
        method = kind == NID_md5 || kind == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(kind);
    if (!method || X509_digest(certificate, method, digest, &bytes) != 1 || bytes > size)
        bytes = 0;
    memcpy(hash, digest, bytes);
    ERR_clear_error();
    return bytes;
}

bool stream_tls_common_name(const struct stream *stream, char *name, size_t size)
{
    const SSL *ssl = stream_tls_established(stream) ? stream->tls->ssl : NULL;
    const X509 *certificate = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    X509_NAME *subject;
    ASN1_STRING *value;
    unsigned char *text = NULL;
    int place, bytes;
    bool good;

    if (!certificate || !(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) ||
        SSL_get_verify_result(ssl) != X509_V_OK)
        return false;
    subject = X509_get_subject_name(certificate);
    place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (place < 0)
        return false;
    value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place));
    bytes = ASN1_STRING_to_UTF8(&text, value);
    /* A zero inside would make it look like another one. */
    good = bytes > 0 && (size_t)bytes < size && !memchr(text, '\0', (size_t)bytes);
    if (good) {
        memcpy(name, text, (size_t)bytes);
        name[bytes] = '\0';
    }
    OPENSSL_free(text);
    ERR_clear_error();
    return good;
}
