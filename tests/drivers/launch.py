"""What the two launchers of tours share: a sluice of their own in front of the tests' servers."""
import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_ready(notices, process):
    """Until the daemon says that it is ready, as it would to systemd."""
    end = os.pidfd_open(process.pid)
    try:
        while notices in select.select([notices, end], [], [])[0]:
            if b"READY=1" in notices.recv(1000):
                return
    finally:
        os.close(end)
    sys.exit("sluice ended")


def await_none(left, what):
    """Until left() is empty; what it holds at last is told."""
    for _ in range(500):
        lines = left()
        if not lines:
            return
        time.sleep(0.02)
    sys.exit(what + ":\n" + "\n".join(lines))


@contextlib.contextmanager
def folder():
    """A temporary folder that the user sluice runs as can read."""
    path = tempfile.mkdtemp(prefix="sluice-tour.")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def sluice(program, path, settings):
    """A daemon with these settings, not as root, once it is ready."""
    ini = os.path.join(path, "sluice.ini")
    with open(ini, "w", encoding="ascii") as file:
        file.write(settings)
    user = ["-u", os.environ["SLUICE_RUN_AS"]] if os.environ.get("SLUICE_RUN_AS") else []
    address = os.path.join(path, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(address)
        os.chmod(address, 0o777)
        environment = {**os.environ, "NOTIFY_SOCKET": address}
        with subprocess.Popen([program, *user, ini], env=environment) as process:
            try:
                await_ready(notices, process)
                yield
            finally:
                process.terminate()
                process.wait()


def tour(command, modules, environment):
    """Runs a tour; its exit status."""
    environment = {
        **os.environ, **environment, "NODE_PATH": f"{modules}:/usr/share/nodejs",
    }
    return subprocess.run(command, env=environment, timeout=100, check=False).returncode
