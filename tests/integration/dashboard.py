#!/usr/bin/env python3
"""The dashboard in headless Chromium, while somebody else makes load on the pool p/user1:
dashboard.py URL CONNINFO-OF-THE-CONSOLE. Exits with 0 when its numbers move and agree with the
console's; the last line says what was found. By WebDriver (chromedriver), without a library.
dashboard.py URL --picture FILE.png [WIDTH [dark]]: the whole page as a picture (docs/)."""
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    --disable-dev-shm-usage --no-proxy-server""".split()
PATIENCE_S = 40 * float(os.environ.get("SLUICE_TEST_SLOW", "1"))


class Browser:
    """One page of a Chromium of its own."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.port = next(found[1] for line in self.driver.stdout
                         if (found := re.search(r"started successfully on port (\d+)", line)))
        options = {"args": FLAGS + ["--user-data-dir=" + folder]}
        session = self.call("POST", "/session", {
            "capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.session = "/session/" + session["sessionId"]

    def call(self, method, path, body=None):
        """One command of the WebDriver protocol."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE_S * 2) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        """Goes to a page."""
        self.call("POST", self.session + "/url", {"url": url})

    def run(self, script):
        """The value of an expression on the page."""
        return self.call("POST", self.session + "/execute/sync",
                         {"script": "return " + script, "args": []})

    def size(self, width, height):
        """As seen on a screen of this size."""
        self.call("POST", self.session + "/goog/cdp/execute", {
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": {"width": width, "height": height, "deviceScaleFactor": 1,
                       "mobile": width < 500}})

    def dark(self):
        """As people see it who prefer dark pages."""
        self.call("POST", self.session + "/goog/cdp/execute", {
            "cmd": "Emulation.setEmulatedMedia",
            "params": {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}})

    def picture(self):
        """A PNG of what is seen."""
        return base64.b64decode(self.call("GET", self.session + "/screenshot"))

    def close(self):
        """Ends both."""
        try:
            self.call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()

    def await_true(self, script):
        """Looks at it after each change of the page until it is true; returns what it is then."""
        self.call("POST", self.session + "/timeouts", {"script": int(PATIENCE_S * 1000)})
        return self.call("POST", self.session + "/execute/async", {"script": """
            const done = arguments[0], observer = new MutationObserver(look);
            function look() {
                const value = SCRIPT;
                if (value) {
                    observer.disconnect();
                    done(value);
                }
            }
            observer.observe(document, {subtree: true, childList: true, characterData: true,
                                        attributes: true});
            look();""".replace("SCRIPT", script), "args": []})


def console(conninfo, table, column):
    """The column of a table's row about p."""
    rows = subprocess.run(["psql", "-AtX", "-F", "|", "-P", "tuples_only=off", "-P", "footer=off",
                           conninfo, "-c", "SHOW " + table],
                          check=True, capture_output=True, text=True).stdout.splitlines()
    place = rows[0].split("|").index(column)
    return int(next(row.split("|")[place] for row in rows if row.startswith("p|")))


def look(browser, url, conninfo):
    """All that is checked."""
    pool = "document.querySelector('[data-pool=\"p/user1\"]')"
    queries = "[...pools.values()].find(pool => pool.row.database === 'p').sum('queries')"
    browser.open(url)
    browser.await_true(pool + " !== null")
    first = browser.await_true(f"Number({pool}.querySelector('[data-now=rate]').textContent)")
    browser.await_true(f"Number({pool}.querySelector('[data-now=rate]').textContent) !== {first}")
    assert browser.run("document.getElementById('state').textContent") == "running"

    # What is asked for goes on, so the page lies between two looks at the console.
    before = console(conninfo, "STATS", "total_query_count")
    shown = browser.await_true(f"{queries} >= {before} && {queries}")
    after = console(conninfo, "STATS", "total_query_count")
    assert before <= shown <= after, (before, shown, after)
    clients = int(browser.run(f"{pool}.querySelector('[data-now=clients]').textContent"))
    here = console(conninfo, "POOLS", "cl_active") + console(conninfo, "POOLS", "cl_waiting")
    assert clients == here, (clients, here)

    drawn = browser.run(f"{pool}.querySelectorAll('figure:not([hidden]) path.one').length")
    assert drawn == 6, drawn  # nothing is batched
    assert browser.run(f"{pool}.querySelector('path.one').getAttribute('d')").count("L") > 1
    elsewhere = browser.run("performance.getEntriesByType('resource').map(one => one.name)"
                            ".filter(one => !one.startsWith(location.origin))")
    assert not elsewhere, elsewhere
    for width in 390, 320:
        browser.size(width, 800)
        wide = browser.run("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels on a screen of {width}"
    colour = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(colour)
    browser.dark()
    assert browser.run(colour) != light, light
    return f"{shown} queries, {clients} clients"


def draw(browser, url, file, width=1280, colours="light"):
    """The whole page, when it has been drawn for the second time."""
    if colours == "dark":
        browser.dark()
    browser.open(url)
    browser.await_true("step > 0 && pools.size > 0")
    browser.size(int(width), 800)
    first = browser.run("step")
    browser.await_true(f"step > {first}")
    browser.size(int(width), browser.run("document.documentElement.scrollHeight"))
    with open(file, "wb") as out:
        out.write(browser.picture())
    return file


def main():
    """Ends with a line of what was seen."""
    url, what, *more = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            print(draw(browser, url, *more) if what == "--picture" else look(browser, url, what))
        finally:
            browser.close()


if __name__ == "__main__":
    main()
