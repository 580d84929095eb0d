#!/usr/bin/env python3
"""The rules of this tree that a program can check: tests/style/style.py [ROOT]

One named check each, written as TAP. A line of a failing check says where and what is wrong, its
last line how to mend it. Exceptions stand in the tables here, each with its reason.
"""
import os
import re
import subprocess
import sys

# A file includes from its own folder and from those to its left.
FOLDERS = "base conf stat net wire auth pool batch proxy admin daemon".split()

# Each library is the matter of a few files: the most that may include a header (the first row that
# its name begins with), and for what.
LIBRARIES = [
    ("event2/event.h", 6, "the loop and what net/ hangs on it"),
    ("event2/http.h", 1, "the stats port"),
    ("event2/", 2, "name resolution and the stats port"),
    ("openssl/crypto.h", 12, "wiping secrets, comparing them in constant time"),
    ("openssl/", 2, "TLS in the stream, digests in auth/crypto.c"),
    ("libpq-fe.h", 3, "our own questions, libpq as a dialer, sluice --top"),
    ("hiredis/", 2, "our own questions to Redis"),
    ("liburing.h", 1, "many transfers in one system call"),
    ("ini.h", 1, "the ini reader"),
    ("pg_query.h", 1, "what may be batched"),
    ("jansson.h", 2, "the stats port"),
    ("uthash.h", 12, "tables"),
    ("utlist.h", 4, "lists that need no length"),
    ("pg_query/", 1, "what may be batched"),
    ("systemd/", 1, "notification"),
]

# Headers of C and of the system; assert.h is missing because ensure() stays on in release builds.
SYSTEM = re.compile(
    r"(arpa|linux|net|netinet|sys)/\w+\.h|(ctype|dirent|endian|errno|fcntl|float|getopt|grp|ifaddrs"
    r"|inttypes|limits|locale|math|netdb|poll|pthread|pwd|regex|sched|setjmp|signal|stdalign|stdarg"
    r"|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|termios"
    r"|threads|time|unistd|wchar)\.h"
)

COLUMNS = 100
FILE_LINES = 600
HEADER_LINES = 200
FUNCTION_LINES = 70

# Longer on purpose: path (or path:function) -> the length it may have, and why.
LONGER = {
    "tests/integration/cli.c:an_existing_pgbouncer_ini_starts_unchanged": (
        100, "an ini file, whole, as people have it"),
}

# What may sleep between two looks, because the system has no event for it: path -> why.
SLEEPERS = {
    "tests/drivers/launch.py": "a port that another process opens, and what a server lists",
    "tests/integration/dashboard.py": "what a page shows",
    "tests/servers": "the end of a process that is not its child",
    "tests/integration/harness/suite.c": "conditions that only another process knows",
}

UNFINISHED = re.compile(
    r"\b(TO" r"DO|FIX" r"ME|XX" r"X|not imple" r"mented|stu" r"b|place" r"holder|for no" r"w)\b",
    re.I,
)
MACHINE = re.compile(
    r"/wor" r"k/|/roo" r"t/\w|/hom" r"e/\w|/User" r"s/\w|deb\.debi" r"an\.org|registry\.npm" r"js"
)
SLEEP = re.compile(r"\b(u|nano)?sleep\(|\btime\.sleep|^\s*sleep \d")
UNSAFE = re.compile(r"\b(strcat|v?sprintf|gets|strtok|alloca|atoi|atol|gethostbyname)\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Tree:
    """The text files of the project, as {path: lines}."""

    def __init__(self, root):
        self.files = {}
        for path in sorted(self.names(root)):
            try:
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    self.files[path] = file.read().split("\n")
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                continue

    @staticmethod
    def names(root):
        list_files = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        if os.path.exists(os.path.join(root, ".git")):
            try:
                command = ["git", "-C", root, *list_files]
                done = subprocess.run(command, capture_output=True, check=True)
                return [name for name in done.stdout.decode().split("\0") if name]
            except (OSError, subprocess.CalledProcessError):
                pass
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f != ".git" and not f.startswith("build")]
            found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
        return found

    def of(self, *ends, under=("",)):
        """(path, lines) of the files with one of these ends, below one of these folders."""
        for path, lines in self.files.items():
            if path.endswith(ends) and path.startswith(tuple(under)):
                yield path, lines

    def code(self, under=("",)):
        """C, and the scripts: what has these ends or begins with #!."""
        for path, lines in self.of("", under=under):
            if path.endswith((".c", ".h", ".def", ".py", ".sh", "meson.build")) or (
                lines[0].startswith("#!")
            ):
                yield path, lines

    def ours(self):
        """The daemon's C."""
        return self.of(".c", ".h", ".def", under=("src/", "include/"))


def folder_of(path):
    """The folder that a file of the daemon belongs to, or None."""
    found = re.match(r"(?:src|include/sluice)/(\w+)/", path)
    return found.group(1) if found else None


def includes(lines):
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) == '"', found.group(2)


def resolve(tree, path, name):
    """The path of what is included in quotes, or None: public, private, or beside the file."""
    beside = f"{os.path.dirname(path)}/{name}"
    for found in (f"include/{name}", f"src/{name}", beside):
        if found in tree.files:
            return found
    return None


def check_dependency(tree):
    """A file includes from its own folder or from one to its left: base < conf < stat < net < wire
    < auth < pool < batch < proxy < admin < daemon. Where the flow must go up, hand over a callback.
    A header that other folders need goes to include/sluice."""
    for path, lines in tree.ours():
        own = folder_of(path)
        if own not in FOLDERS:
            yield f"{path}: {own or 'this place'} is no folder of the layout"
            continue
        for number, quoted, name in includes(lines):
            if not quoted and not name.startswith("sluice/"):
                continue
            found = resolve(tree, path, name)
            other = folder_of(found or "")
            if other is None:
                yield f'{path}:{number}: "{name}" is not there'
            elif FOLDERS.index(other) > FOLDERS.index(own):
                yield f'{path}:{number}: "{name}": {other} is to the right of {own}'
            elif found.startswith("src/") and other != own:
                yield f'{path}:{number}: "{name}" is private to src/{other}'


def check_libraries(tree):
    """Each header of a library is included by few files (LIBRARIES in this script): ask the file
    that has it already. ensure() of sluice/base/ensure.h replaces assert.h."""
    users = {}
    for path, lines in tree.ours():
        for number, quoted, name in includes(lines):
            if quoted or name.startswith("sluice/") or SYSTEM.fullmatch(name):
                continue
            row = next((row for row in LIBRARIES if name.startswith(row[0])), None)
            if row is None:
                yield f"{path}:{number}: <{name}> is of no library that Sluice uses"
            else:
                users.setdefault(name, (row, []))[1].append(path)
    for name, ((_, most, what), paths) in sorted(users.items()):
        if len(paths) > most:
            yield f"<{name}> ({what}) is in {len(paths)} files, at most {most}: {' '.join(paths)}"


def check_headers(tree):
    """A header opens with a comment that says what it is, who owns it and which thread may touch
    it, then has the guard SLUICE_FOLDER_NAME_H."""
    for path, lines in tree.of(".h", under=("src/", "include/")):
        if not lines[0].startswith("/*"):
            yield f"{path}:1: no comment at the top"
        name = os.path.basename(path)[:-2].upper()
        guard = f"SLUICE_{folder_of(path).upper()}_{name}_H"
        if f"#ifndef {guard}" not in lines or f"#define {guard}" not in lines:
            yield f"{path}: the guard is not {guard}"


def check_layout(tree):
    """Lines of code have no tabs, no blanks at their end and at most 100 columns, and the last one
    ends with a newline. ./dev format does most of it."""
    for path, lines in tree.code():
        shell = "sh" in lines[0] and lines[0].startswith("#!")
        for number, line in enumerate(lines, 1):
            # The tabs in front of a here-document are part of the shell's language.
            if "\t" in (line.lstrip("\t") if shell else line):
                yield f"{path}:{number}: a tab"
            if line != line.rstrip():
                yield f"{path}:{number}: blanks at the end"
            if len(line) > COLUMNS:
                yield f"{path}:{number}: {len(line)} columns"
        if lines[-1]:
            yield f"{path}: no newline at the end"


def check_length(tree):
    """A file knows one subject, a function one verb: 600 lines, 200 for a header (150 is the
    aim), 70 for a function. Split it where it has two; what must be longer stands in LONGER in this
    script, with the reason."""
    for path, lines in tree.of(".c", ".h", under=("src/", "include/", "tests/")):
        most = HEADER_LINES if path.endswith(".h") else FILE_LINES
        if len(lines) - 1 > LONGER.get(path, (most,))[0]:
            yield f"{path}: {len(lines) - 1} lines"
        first = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                first = number
            elif line == "}" and first:
                above = " ".join(lines[max(0, first - 6):first - 1])
                found = re.findall(r"START_TEST\((\w+)|(\w+)\(", above)
                name = "".join(found[-1]) if found else "?"
                if number - first - 1 > LONGER.get(f"{path}:{name}", (FUNCTION_LINES,))[0]:
                    yield f"{path}:{first}: {name} has {number - first - 1} lines"
                first = None


def check_built(tree):
    """Every C file is named by the meson.build beside it (or is a header): add it there."""
    for path, _ in tree.of(".c", under=("src/", "tests/unit/")):
        build = os.path.join(os.path.dirname(path), "meson.build")
        name = os.path.basename(path)
        named = (f"'{name}'",) if path.startswith("src/") else (f"'{name}'", f"'{name[:-2]}'")
        if not any(one in line for line in tree.files.get(build, []) for one in named):
            yield f"{path} is not in {build}"


def check_finished(tree):
    """Words of unfinished work: finish it, or say plainly what is not done in docs/."""
    places = ("src/", "include/", "tests/", "docs/", "conf/", "dev", "README.md")
    for path, lines in tree.of("", under=places):
        for number, line in enumerate(lines, 1):
            found = UNFINISHED.search(line)
            if found:
                yield f"{path}:{number}: {found.group(0)}"


def check_machine(tree):
    """Nothing names a path or a host of the machine it was written on: use a relative path, mktemp
    or an argument."""
    for path, lines in tree.files.items():
        for number, line in enumerate(lines, 1):
            found = MACHINE.search(line)
            if found:
                yield f"{path}:{number}: {found.group(0)}"


def check_typedefs(tree):
    """`struct pool`, not a typedef of it; only function types have one."""
    for path, lines in tree.of(".c", ".h", under=("src/", "include/", "tests/")):
        for number, line in enumerate(lines, 1):
            if re.match(r"\s*typedef\b", line) and "(" not in line:
                yield f"{path}:{number}: {line.strip()}"


def check_unsafe(tree):
    """Calls that cannot be bounded or cannot report an error: use snprintf, memcpy with a checked
    length, strtol or getaddrinfo."""
    for path, lines in tree.ours():
        for number, line in enumerate(lines, 1):
            found = UNSAFE.search(line)
            if found:
                yield f"{path}:{number}: {found.group(0)}"


def check_sleep(tree):
    """Tests wait for the event itself (a reply, a log line, readability with a limit), not for
    time. What has no event stands in SLEEPERS in this script."""
    for path, lines in tree.of("", under=("tests/",)):
        if path in SLEEPERS:
            continue
        for number, line in enumerate(lines, 1):
            if SLEEP.search(line):
                yield f"{path}:{number}: {line.strip()}"


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


def main(root):
    tree = Tree(root)
    bad = 0
    print(f"1..{len(CHECKS)}")
    for number, check in enumerate(CHECKS, 1):
        name = check.__name__[len("check_"):]
        found = list(check(tree))
        for line in found:
            print(f"# {name}: {line}")
        if found:
            bad += 1
            print(f"# how it should be: {' '.join(check.__doc__.split())}")
        print(f"{'not ok' if found else 'ok'} {number} - {name}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(sys.path[0], "..", "..")))
