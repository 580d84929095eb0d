"""What the benchmarks share: processes and what they cost, rounds and medians, tables and goals."""
import atexit
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))

sys.dont_write_bytecode = True


class Failed(Exception):
    """A measurement that could not be made; the text says why."""


def setting(name):
    """A variable that ./dev sets: where the private servers are."""
    if name not in os.environ:
        sys.exit(f"{name} is not set: start this with ./dev bench {os.path.basename(sys.argv[0])}")
    return os.environ[name]


def raise_descriptors():
    """As many descriptors as we may have; returns how many, and children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- Processes ----------------------------------------------------------------------------------


def process_tree(pid):
    """A process and all that it started."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                    parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def process_cpu(pid):
    """(user, system) seconds of a process and its children so far."""
    user = system = 0
    for one in process_tree(pid):
        try:
            with open(f"/proc/{one}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / TICKS, system / TICKS


def process_resident(pid):
    """Bytes of resident memory."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return int(re.search(r"^Rss:\s+(\d+)", rollup.read(), re.M).group(1)) * 1024


class Folder:
    """A directory for settings and logs that the unprivileged user can read, gone at exit."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sluice-bench-")
        self.user = setting("SLUICE_RUN_AS")
        os.chmod(self.path, 0o755)
        if self.user:
            shutil.chown(self.path, self.user)
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)

    def write(self, name, text):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path


class Target:
    """What is measured: a port, and the process whose costs count (none when it is direct)."""

    def __init__(self, name, port, pid=None):
        self.name, self.port, self.pid = name, port, pid
        self.process = None

    @classmethod
    def start(cls, name, command, port, folder, environment=None):
        """Starts a proxy and returns when its port answers."""
        target = cls(name, port)
        log = os.path.join(folder.path, f"{name}.log")
        with open(log, "ab") as out:
            target.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **(environment or {})},
            )
        target.pid = target.process.pid
        atexit.register(target.stop)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return target
            except OSError:
                pass
            try:
                target.process.wait(0.05)
                break
            except subprocess.TimeoutExpired:
                pass
        target.stop()
        with open(log, encoding="utf-8", errors="replace") as out:
            raise Failed(f"{name} does not start: {out.read()[-2000:]}")

    def stop(self):
        if not self.process:
            return
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(3)
                except subprocess.TimeoutExpired:
                    pass
        self.process = None

    def cpu(self):
        return process_cpu(self.pid) if self.pid else (0, 0)


class Counts:
    """The counts of a process that was started with the library count_calls preloaded."""

    def __init__(self, folder):
        self.path = os.path.join(folder.path, "counts")
        library = os.path.join(folder.path, "count_calls.so")
        source = os.path.join(HERE, "count_calls.c")
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source], check=True
        )
        with open(self.path, "wb") as file:
            file.write(bytes(24))
        os.chmod(self.path, 0o666)
        self.environment = {"LD_PRELOAD": library, "SLUICE_COUNTS": self.path}

    def read(self):
        """(allocations, frees, locks) so far."""
        with open(self.path, "rb") as file:
            return struct.unpack("=QQQ", file.read(24))


def strace_counts(path):
    """{system call: how often} of a file that `strace -c -o` wrote."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
                found[fields[-1]] = int(fields[3])
    return found


# --- Rounds, tables, goals ----------------------------------------------------------------------


def rounds(targets, count, measure):
    """Measures every target once a round, in turn. {name: the medians of what measure(target)
    returned}, None for a target that failed (which is said once and not tried again)."""
    found = {target.name: [] for target in targets}
    for _ in range(count):
        for target in targets:
            if found[target.name] is None:
                continue
            try:
                found[target.name].append(measure(target))
            except Failed as failure:
                print(f"{target.name}: {failure}", file=sys.stderr)
                found[target.name] = None
    return {
        name: rows and [statistics.median(column) for column in zip(*rows)]
        for name, rows in found.items()
    }


def ratio(one, other):
    return one / other if one is not None and other else None


class Table:
    """Columns with a title and a format each; a value that is None is shown as '-'."""

    def __init__(self, title, **columns):
        self.columns = columns
        names = "".join(f"{name.replace('_', ' '):>14s}" for name in columns)
        print(f"\n{title}\n{'':16s}{names}")

    def row(self, name, *values):
        cells = ["-" if v is None else format(v, f) for v, f in zip(values, self.columns.values())]
        cells += ["-"] * (len(self.columns) - len(cells))
        print(f"{name:16s}" + "".join(f"{cell:>14s}" for cell in cells), flush=True)


class Goals:
    """What the project wants of these figures, and what was reached."""

    def __init__(self):
        self.rows = []

    def at_most(self, text, wanted, reached):
        self.rows.append((text, "<=", wanted, reached, reached is not None and reached <= wanted))

    def at_least(self, text, wanted, reached):
        self.rows.append((text, ">=", wanted, reached, reached is not None and reached >= wanted))

    def show(self):
        print(f"\n{'Goal':62s}{'wanted':>10s}{'reached':>10s}")
        for text, sign, wanted, reached, good in self.rows:
            value = "-" if reached is None else f"{reached:.2f}"
            verdict = "ok" if good else "not measured" if reached is None else "missed"
            print(f"{text:62s}{f'{sign} {wanted:g}':>10s}{value:>10s}  {verdict}")
