"""PostgreSQL's side of the benchmarks: proxies in front of it, pgbench, and a client of our own
that logs in and then only sits there."""
import base64
import functools
import hashlib
import hmac
import os
import re
import socket
import struct
import subprocess

from measure import Failed, Target, free_port, setting

@functools.cache
def scram_secret():
    """PostgreSQL's own secret of the role: a client's proof then also serves the proxy's login."""
    command = [
        os.path.join(setting("SLUICE_PG_BIN"), "psql"), "-XAtq", "-U", "postgres",
        "-h", setting("SLUICE_PG_SOCKET_DIR"), "-p", setting("SLUICE_PG_PORT"),
        "-c", "select rolpassword from pg_authid where rolname = 'bench'", "postgres",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@functools.cache
def scram_client_key(salt, iterations):
    salted = hashlib.pbkdf2_hmac("sha256", b"bench", base64.b64decode(salt), iterations)
    return hmac.digest(salted, b"Client Key", "sha256")


def proxy_start(name, command, folder, pool, environment=None, before=(), **settings):
    """Starts a pooler with PgBouncer's settings, in front of the private PostgreSQL."""
    port = free_port()
    section = "pgbouncer" if name == "pgbouncer" else "sluice"
    # The servers' login needs the password, so it stands in the database's line.
    users = folder.write(f"{name}.users", f'"bench" "{scram_secret()}"\n')
    given = {
        "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "",
        "auth_type": "trust", "auth_file": users, "pool_mode": "transaction",
        "default_pool_size": pool, "max_client_conn": 20000, "log_connections": 0,
        "log_disconnections": 0, "server_tls_sslmode": "disable", "listen_backlog": 1024,
        **settings,
    }
    server = f"host=127.0.0.1 port={setting('SLUICE_PG_PORT')} user=bench password=bench"
    lines = ["[databases]", f"bench = {server}", f"[{section}]"]
    lines += [f"{key} = {value}" for key, value in given.items()]
    ini = folder.write(f"{name}.ini", "\n".join(lines) + "\n")
    user = ["-u", folder.user] if folder.user else []
    return Target.start(name, [*before, command, *user, ini], port, folder, environment)


def certificate(folder):
    """The settings that offer TLS to clients, with a certificate for this run."""
    cert, key = (os.path.join(folder.path, name) for name in ("tls.crt", "tls.key"))
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
        "-subj", "/CN=localhost", "-keyout", key, "-out", cert,
    ]
    subprocess.run(command, check=True, capture_output=True)
    os.chmod(key, 0o644)  # it is of no use to anybody
    return {
        "client_tls_sslmode": "require", "client_tls_cert_file": cert, "client_tls_key_file": key,
    }


def pgbench(target, *arguments, mode="simple", clients=50, threads=1, tls=False, script=("-S",)):
    """Runs pgbench -S, or another script; (transactions per second, mean latency in ms, how many
    transactions)."""
    command = [
        os.path.join(setting("SLUICE_PG_BIN"), "pgbench"), *script, "-n", "-h", "127.0.0.1",
        "-U", "bench", "-p", str(target.port), "-M", mode, "-c", str(clients), "-j", str(threads),
        *map(str, arguments), "bench",
    ]
    sslmode = "require" if tls else "disable"
    environment = {**os.environ, "PGSSLMODE": sslmode, "PGPASSWORD": "bench"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = [
        re.search(pattern, done.stdout)
        for pattern in (r"tps = ([\d.]+)", r"latency average = ([\d.]+)", r"processed: (\d+)")
    ]
    if done.returncode != 0 or not all(found) or found[2].group(1) == "0":
        lines = done.stderr.strip().splitlines() or ["pgbench says nothing"]
        raise Failed(f"pgbench -M {mode}: {lines[0]}")
    return float(found[0].group(1)), float(found[1].group(1)), int(found[2].group(1))


def calibrated(target, seconds, **options):
    """How many transactions each client should make for a run of about that long. Runs go by
    count: pgbench's own clock begins before the logins, which take seconds at PostgreSQL itself."""
    clients = options["clients"]
    rate, _, _ = pgbench(target, "-t", max(20, 10_000 // clients), **options)
    return max(20, int(seconds * rate / clients))


def measured(target, each, **options):
    """One run: [transactions per second, latency in ms, user us, system us and all us of the
    proxy's CPU per transaction]."""
    before = target.cpu()
    rate, latency, count = pgbench(target, "-t", each, **options)
    after = target.cpu()
    user, system = ((b - a) / count * 1e6 for a, b in zip(before, after))
    return [rate, latency, user, system, user + system]


class Client:
    """A client that logs in and asks one question."""

    def __init__(self, port, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port))
        if tls:
            self.socket.sendall(struct.pack(">II", 8, 80877103))
            if self.socket.recv(1) != b"S":
                raise Failed("the proxy offers no TLS")
            self.socket = tls.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")
        text = b"user\0bench\0database\0bench\0\0"
        self.socket.sendall(struct.pack(">II", 8 + len(text), 196608) + text)
        self.login()

    def close(self):
        self.file.close()
        self.socket.close()

    def message(self):
        header = self.file.read(5)
        if len(header) < 5:
            raise Failed("the proxy closed the connection")
        body = self.file.read(struct.unpack(">I", header[1:])[0] - 4)
        if header[:1] == b"E":
            raise Failed(f"the proxy says {body.replace(bytes(1), b' ').decode()}")
        return header[:1], body

    def send(self, kind, body):
        self.socket.sendall(kind + struct.pack(">I", 4 + len(body)) + body)

    def ready(self):
        while self.message()[0] != b"Z":
            pass

    def login(self):
        kind, body = self.message()
        if kind == b"R" and struct.unpack(">I", body[:4])[0] == 10:
            self.scram()
        self.ready()

    def scram(self):
        """RFC 5802, without the check of the server's signature: we know who it is."""
        bare = "n=,r=0123456789abcdef"
        first = f"n,,{bare}".encode()
        self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack(">I", len(first)) + first)
        challenge = self.message()[1][4:].decode()
        nonce, salt, iterations = re.match(r"r=([^,]+),s=([^,]+),i=(\d+)", challenge).groups()
        key = scram_client_key(salt, int(iterations))
        final = f"c=biws,r={nonce}"
        signed = f"{bare},{challenge},{final}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.send(b"p", f"{final},p={proof}".encode())

    def ask(self):
        self.send(b"Q", b"select 1\0")
        self.ready()
