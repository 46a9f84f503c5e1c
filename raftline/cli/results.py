"""What a run shows at its end: a table of its stages, what they said, and where the files are."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

PLAIN_WIDTH = 120
MOST_FILES = 12


def console() -> Console:
    """Standard output; wide enough for the tables where it is not a terminal."""
    return Console() if sys.stdout.isatty() else Console(width=max(PLAIN_WIDTH, shutil.get_terminal_size().columns))


def show_results(summary: dict[str, Any], output: Path) -> None:
    """Print the summary for people."""
    out = console()
    out.print(stage_table(summary))
    for line in _remarks(summary):
        out.print(line, highlight=False, soft_wrap=True)
    for line in _files([*summary["sources"].values(), *summary.get("removed_sources", ())]):
        out.print(line, highlight=False, soft_wrap=True)
    out.print(f"{summary['state']} after {summary['seconds']:.1f} s; everything in numbers: {output / 'summary.json'}",
              highlight=False, soft_wrap=True)  # fmt: skip


def stage_table(summary: dict[str, Any]) -> Table:
    """Every stage of every source: frames, rate, drops, latency, what it costs."""
    table = Table(title=escape(summary["pipeline"]), title_justify="left")
    table.add_column("source", overflow="fold")
    table.add_column("stage", overflow="fold")
    for title in ("frames", "fps", "dropped", "p50 ms", "p99 ms", "restarts", "threads", "CPU s"):
        table.add_column(title, justify="right")
    for name, source in summary["sources"].items():
        label = escape(name if source["state"] == "finished" else f"{name} ({source['state']})")
        for number, (stage_name, stage) in enumerate(source["stages"].items()):
            latency, work = stage["latency_ms"], summary["workers"][stage_name]
            table.add_row(
                "" if number else label,
                escape(stage_name),
                str(stage["frames"]),
                _number(stage["fps"]),
                str(sum(stage["dropped"].values())),
                _number(latency["p50"]),
                _number(latency["p99"]),
                str(stage["restarts"]),
                _threads(work),
                _number(work["cpu_seconds"]),
            )
        table.add_section()
    return table


def _threads(work: dict[str, Any]) -> str:
    """Threads of a stage's worker; ``2 x 1`` for two workers of one thread each."""
    return str(work["threads"]) if work["processes"] == 1 else f"{work['processes']} x {work['threads']}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _remarks(summary: dict[str, Any]) -> list[str]:
    """What stages said of themselves and counted, once for sources that agree; and what was dropped, and why."""
    said: dict[str, None] = {}
    for name, source in summary["sources"].items():
        for stage_name, stage in source["stages"].items():
            status = ", ".join(f"{key} {value}" for key, value in stage["status"].items() if value and key != "error")
            if status:
                said[f"{escape(stage_name)}: {escape(status)}"] = None
            counts = [f"{n} {what.replace('_', ' ')}" for what, n in stage["counts"].items()]
            counts += [f"{n} dropped: {why.replace('_', ' ')}" for why, n in stage["dropped"].items()]
            if counts:
                said[f"{escape(stage_name)}, {escape(name)}: {escape(', '.join(counts))}"] = None
    return list(said)


def _files(sources: Iterable[dict[str, Any]]) -> list[str]:
    paths = [Path(path) for source in sources for path in source["outputs"]]
    lines = [f"  {escape(str(path))}  {_size(path)}" for path in paths[:MOST_FILES]]
    if len(paths) > MOST_FILES:
        lines.append(f"  and {len(paths) - MOST_FILES} more")
    return lines


def _size(path: Path) -> str:
    try:
        if path.is_dir():
            return f"({sum(1 for _ in path.iterdir())} files)"
        size = path.stat().st_size
    except OSError:
        return "(gone)"
    return f"({size / 1e6:.1f} MB)" if size >= 100_000 else f"({size / 1e3:.1f} kB)"
