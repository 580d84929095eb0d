#include "harness/tls.h"

#include <openssl/pem.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/process.h"
#include "harness/suite.h"

#define TUNNEL_BYTES 65536

static const char make[] =
    "set -e\n"
    "cd \"$1\"\n"
    "authority() {\n"
    "    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3000"
    " -keyout $1.key -out $1.crt -subj \"/CN=the $1\" -addext basicConstraints=critical,CA:true\n"
    "}\n"
    "certificate() { # name subject alternative-names authority days hash\n"
    "    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out request"
    " -subj \"/CN=$2\"\n"
    "    echo \"subjectAltName=$3\" >extensions\n"
    "    openssl x509 -req -in request -CA $4.crt -CAkey $4.key -CAcreateserial -days $5 -$6"
    " -out $1.crt -extfile extensions\n"
    "}\n"
    "here=DNS:localhost,IP:127.0.0.1\n"
    "authority ca; authority rogue\n"
    "certificate server localhost $here ca 3000 sha256\n"
    "certificate renewed renewed $here ca 3000 sha256\n"
    "certificate elsewhere localhost DNS:db.example.com ca 3000 sha256\n"
    "certificate expired localhost $here ca -1 sha256\n"
    "certificate rogue-server localhost $here rogue 3000 sha256\n"
    "certificate sha384 localhost $here ca 3000 sha384\n"
    "certificate sha1 localhost $here ca 3000 sha1\n"
    "certificate user1 user1 DNS:user1 ca 3000 sha256\n"
    "certificate user2 user2 DNS:user2 ca 3000 sha256\n"
    "certificate user1-expired user1 DNS:user1 ca -1 sha256\n"
    "certificate user1-rogue user1 DNS:user1 rogue 3000 sha256\n"
    "chmod 0644 *.crt; chmod 0600 *.key\n";

const char *certificates(void)
{
    static char *directory;
    char *script, *output;

    if (directory)
        return directory;
    directory = process_directory();
    script = text("%s/make", directory);
    output = text("%s/make.output", directory);
    file_write(script, make);
    ck_assert_msg(system(text("sh '%s' '%s' >'%s' 2>&1", script, directory, output)) == 0, "%s",
                  file_read(output));
    if (geteuid() == 0)
        ck_assert_int_eq(system(text("chown %s: '%s'/*", environment("SLUICE_RUN_AS"), directory)),
                         0);
    return directory;
}

char *client_tls(const char *mode, const char *certificate)
{
    return text("client_tls_sslmode = %s\nclient_tls_cert_file = %s/%s.crt\n"
                "client_tls_key_file = %s/%s.key\nclient_tls_ca_file = %s/ca.crt\n",
                mode, certificates(), certificate, certificates(), certificate, certificates());
}

/* The server reads its settings again in its own time. */
static bool postgres_presents(const struct postgres *postgres, const char *certificate)
{
    PGconn *connection =
        PQconnectdb(text("host=127.0.0.1 port=%u user=trustuser dbname=postgres sslmode=require"
                         " connect_timeout=10",
                         postgres->port));
    SSL *ssl = PQsslStruct(connection, "OpenSSL");
    X509 *wanted, *found = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    FILE *file = fopen(text("%s/%s.crt", certificates(), certificate), "r");
    bool same;

    ck_assert_ptr_nonnull(file);
    wanted = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    same = found && X509_cmp(found, wanted) == 0;
    X509_free(wanted);
    PQfinish(connection);
    return same;
}

void postgres_use_certificate(struct postgres *postgres, const char *certificate)
{
    const char *directory = certificates();

    postgres_value(postgres, "ALTER SYSTEM SET ssl_cert_file = '%s/%s.crt'", directory,
                   certificate);
    postgres_value(postgres, "ALTER SYSTEM SET ssl_key_file = '%s/%s.key'", directory, certificate);
    postgres_value(postgres, "ALTER SYSTEM SET ssl_ca_file = '%s/ca.crt'", directory);
    postgres_value(postgres, "ALTER SYSTEM SET ssl = on");
    postgres_value(postgres, "SELECT pg_reload_conf()");
    await(postgres_presents(postgres, certificate), 20);
}

void postgres_start_tls(struct postgres *postgres, const char *certificate, const char *hba)
{
    char *path;

    postgres_start(postgres);
    path = text("%s/pg_hba.conf", postgres->directory);
    file_write(path, text("%s%s", hba ? hba : "", file_read(path)));
    postgres_use_certificate(postgres, certificate);
}

/* --- the tunnel --- */

struct tunnel {
    SSL *ssl;
    BIO *in, *out;
    int plain, fd;
    size_t piece;
    unsigned char bytes[TUNNEL_BYTES];
};

SSL_CTX *tls_context(const char *answer)
{
    SSL_CTX *context = SSL_CTX_new(answer ? TLS_server_method() : TLS_client_method());

    ck_assert_ptr_nonnull(context);
    if (answer) {
        char *name = text("%s/%s", certificates(), answer);

        ck_assert_int_eq(
            SSL_CTX_use_certificate_file(context, text("%s.crt", name), SSL_FILETYPE_PEM), 1);
        ck_assert_int_eq(
            SSL_CTX_use_PrivateKey_file(context, text("%s.key", name), SSL_FILETYPE_PEM), 1);
    }
    return context;
}

static bool send_all(int fd, const unsigned char *bytes, size_t count, size_t piece)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count < piece ? count : piece, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

/* Sends what OpenSSL has to say. */
static bool tunnel_speak(struct tunnel *tunnel)
{
    int count;

    while ((count = BIO_read(tunnel->out, tunnel->bytes, sizeof(tunnel->bytes))) > 0)
        if (!send_all(tunnel->fd, tunnel->bytes, (size_t)count, tunnel->piece))
            return false;
    return true;
}

static bool tunnel_receive(struct tunnel *tunnel)
{
    size_t size = tunnel->piece < sizeof(tunnel->bytes) ? tunnel->piece : sizeof(tunnel->bytes);
    ssize_t got = recv(tunnel->fd, tunnel->bytes, size, 0);
    int count;

    if (got <= 0)
        return false;
    BIO_write(tunnel->in, tunnel->bytes, (int)got);
    while ((count = SSL_read(tunnel->ssl, tunnel->bytes, sizeof(tunnel->bytes))) > 0)
        if (!send_all(tunnel->plain, tunnel->bytes, (size_t)count, SIZE_MAX))
            return false;
    return tunnel_speak(tunnel) && SSL_get_error(tunnel->ssl, count) == SSL_ERROR_WANT_READ;
}

static bool tunnel_send(struct tunnel *tunnel)
{
    ssize_t got = recv(tunnel->plain, tunnel->bytes, sizeof(tunnel->bytes), 0);

    if (got <= 0) {
        SSL_shutdown(tunnel->ssl);
        tunnel_speak(tunnel);
        return false;
    }
    return SSL_write(tunnel->ssl, tunnel->bytes, (int)got) == got && tunnel_speak(tunnel);
}

static void *tunnel_run(void *argument)
{
    struct tunnel *tunnel = argument;
    bool goes_on;

    SSL_do_handshake(tunnel->ssl);
    goes_on = tunnel_speak(tunnel);
    while (goes_on) {
        struct pollfd wait[2] = {
            {.fd = tunnel->fd, .events = POLLIN},
            {.fd = SSL_is_init_finished(tunnel->ssl) ? tunnel->plain : -1, .events = POLLIN},
        };

        poll(wait, 2, -1);
        if (wait[0].revents)
            goes_on = tunnel_receive(tunnel);
        if (goes_on && wait[1].revents)
            goes_on = tunnel_send(tunnel);
    }
    SSL_free(tunnel->ssl);
    close(tunnel->fd);
    close(tunnel->plain);
    free(tunnel);
    return NULL;
}

int tls_tunnel(int fd, const char *answer, bool alpn, size_t piece)
{
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel));
    SSL_CTX *context = tls_context(answer);
    pthread_t thread;
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *tunnel = (struct tunnel){.ssl = SSL_new(context),
                              .in = BIO_new(BIO_s_mem()),
                              .out = BIO_new(BIO_s_mem()),
                              .plain = ends[1],
                              .fd = fd,
                              .piece = piece};
    SSL_CTX_free(context);
    BIO_set_mem_eof_return(tunnel->in, -1);
    SSL_set_bio(tunnel->ssl, tunnel->in, tunnel->out);
    if (alpn)
        SSL_set_alpn_protos(tunnel->ssl, (const unsigned char *)"\x0apostgresql", 11);
    if (answer)
        SSL_set_accept_state(tunnel->ssl);
    else
        SSL_set_connect_state(tunnel->ssl);
    ck_assert_int_eq(pthread_create(&thread, NULL, tunnel_run, tunnel), 0);
    pthread_detach(thread);
    return ends[0];
}

void client_secure(struct client *client, size_t piece)
{
    char answer;

    client_send(client, put_int32(put_int32(put_new(), 8), SSL_REQUEST_CODE));
    ck_assert_int_eq(recv(client->fd, &answer, 1, 0), 1);
    ck_assert_int_eq(answer, 'S');
    client->fd = tls_tunnel(client->fd, NULL, false, piece);
}
