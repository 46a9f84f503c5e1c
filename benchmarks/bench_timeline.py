"""Measure how long the page's timeline takes to open over a year of 100,000 events, in Chromium.

    python -m benchmarks.bench_timeline [--events 100000] [--repeats 5] [--json FILE]

The database is made, and served by a process of its own. A page that is open already goes to its events: from that
moment until bars and cards are drawn, for the last day, which it opens with, and for the whole year. Beside the time,
which another program on the machine makes longer, stands the CPU time of the server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from raftline.event_database import NAME, Event, EventDatabase, cells_of

_CHROMIUM = "/usr/bin/chromium"
_PORT = 18643
_YEAR = 365 * 86400
_SOURCES = ("gate", "yard", "door", "road")
_NOTE_CHANGE = "() => addEventListener('change', () => (window.begun = performance.now()), true)"
_SHOWN = """(heading) => new Promise((done) => {
  const look = () => document.querySelector(".timeline canvas") && document.querySelector(".event")
    && document.querySelector(".timeline h2").textContent.length > 0
    && document.querySelector(".timeline h2").textContent !== heading
    ? requestAnimationFrame(() => done(performance.now())) : requestAnimationFrame(look);
  look();
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        _serve(arguments.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder), arguments.events)
        found = _measure(Path(folder), arguments.repeats)
    report = {"machine": machine(), "events": arguments.events, **found}
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def _fill(folder: Path, events: int) -> None:
    rng, now = random.Random(0), time.time()
    with EventDatabase.opened(folder / NAME) as database:
        for number in range(events):
            at = now - _YEAR * (events - number) / events
            database.put(_event(number, at, rng))


def _event(number: int, at: float, rng: random.Random) -> Event:
    column, seconds = rng.randrange(32), rng.uniform(1, 30)
    return Event(
        uid=str(number),
        source=rng.choice(_SOURCES),
        live=True,
        at=at,
        until=at + seconds,
        begin_seconds=0.0,
        end_seconds=seconds,
        peak_seconds=1.0,
        peak_area=10 ** rng.uniform(-3, -0.3),
        speed_px_s=rng.uniform(10, 400),
        direction_degrees=rng.uniform(0, 360),
        width=1280,
        height=720,
        zones=("drive",) if rng.random() < 0.3 else (),
        path=tuple((float(step), 20.0 * step, 300.0) for step in range(20)),
        cells=cells_of(lambda x, y: abs(x - column) < 3),
    )


def _measure(folder: Path, repeats: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    opened: dict[str, list[float]] = {"day_ms": [], "year_ms": []}
    with _server(folder) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        before = _cpu_seconds(server.pid)
        for _ in range(repeats):
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{_PORT}/#/zones")
            page.locator("main").wait_for()
            page.wait_for_timeout(500)
            begin = page.evaluate("() => { const at = performance.now(); location.hash = '#/events'; return at; }")
            opened["day_ms"].append(page.evaluate(_SHOWN, "") - begin)
            heading = page.locator(".timeline h2").text_content()
            page.evaluate(_NOTE_CHANGE)
            page.locator("form.filters select").nth(2).select_option(str(_YEAR))
            shown = page.evaluate(_SHOWN, heading)
            opened["year_ms"].append(shown - page.evaluate("() => window.begun"))
            page.close()
        used = (_cpu_seconds(server.pid) - before) / repeats
        browser.close()
    medians = {name: round(statistics.median(values), 1) for name, values in opened.items()}
    spread = {f"{name}_spread": [round(min(v), 1), round(max(v), 1)] for name, v in opened.items()}
    return {**medians, **spread, "server_cpu_ms_for_both": round(1000 * used, 1)}


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.bench_timeline", "--serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            yield server
        finally:
            server.send_signal(signal.SIGTERM)


def _serve(folder: Path) -> None:
    from raftline.web.access.address import Address
    from raftline.web.serving import Serving, serve

    address = Address("127.0.0.1", _PORT)
    with address.bound() as listening:  # who connects already waits for the server
        print("ready", flush=True)
        serve(Serving(address, None), listening, "timeline-benchmark", None, folder)


def _cpu_seconds(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / 100


if __name__ == "__main__":
    main()
