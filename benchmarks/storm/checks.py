"""What must hold after a storm: every frame's fate is known, files are those of a calm day, nothing is left behind."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import psutil

from benchmarks.storm.world import FPS, LOOP_SECONDS

_SETTLED_SECONDS = 20.0
"""After the last fault: leases run out after 10 s, cameras are tried again, a background is known again."""
_MOST_MISSING = 0.05
"""Share of frames without which an event may be missed. Chosen by hand."""
_DUPLICATE_SECONDS = 1.0
"""Two events of a camera that begin so close are one, told twice: the clip's are 12 s apart."""


def lines(path: Path) -> list[Any]:
    """JSON lines; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def file_faults(output: Path, reference: Path) -> Iterator[str]:
    """In what a file job differs from the undisturbed one."""
    ledger = [line[2] for line in lines(output / "clip.ledger.jsonl")]
    expected = [line[2] for line in lines(reference / "clip.ledger.jsonl")]
    if ledger != expected:
        times = Counter(map(str, ledger))
        missing = [str(what) for what in expected if str(what) not in times]
        twice = [what for what, count in times.items() if count > 1]
        yield f"processed {len(ledger)} of {len(expected)} frames; missing {missing[:5]}, twice {twice[:5]}"
    if _events(output) != _events(reference):
        yield f"events differ: {len(_events(output))} instead of {len(_events(reference))}"
    for name in ("clip.path.jsonl",):
        if (output / name).read_bytes() != (reference / name).read_bytes():
            yield f"{name} differs"
    masks, others = (sorted((folder / "clip.masks").glob("*.png")) for folder in (output, reference))
    differ = sum(a.read_bytes() != b.read_bytes() for a, b in zip(masks, others, strict=False))
    if differ or len(masks) != len(others):
        yield f"{differ} of {len(others)} masks differ, {len(masks)} are there"
    if _times(output / "clip.stabilized.mp4") != _times(reference / "clip.stabilized.mp4"):
        yield "the stabilized video has other frames"


@dataclass
class Looked:
    """At how many calm stretches of cameras events could be counted."""

    at: int = 0
    too_busy: int = 0
    """More frames were missing than may be: what is not looked at is not seen."""
    too_short: int = 0


def camera_faults(
    name: str, output: Path, calm: Sequence[tuple[float, float]], looked: Looked | None = None
) -> Iterator[str]:
    """What is wrong with a camera's ledger and events; counts in `looked` how many stretches it could tell of."""
    looked = looked or Looked()
    ledger = lines(output / f"{name}.ledger.jsonl")
    positions = [(epoch, sequence) for epoch, sequence, *_ in ledger]
    out_of_order = sum(b <= a for a, b in itertools.pairwise(positions))
    if out_of_order:
        yield f"{name}: {out_of_order} messages came twice or out of order"
    told = lines(output / f"{name}.motion.jsonl")
    events = [datetime.fromisoformat(event["begin_time"]).timestamp() for event in told]
    repeated = [uid for uid, count in Counter(event.get("uid") for event in told).items() if uid and count > 1]
    if repeated:
        yield f"{name}: events were told twice: {repeated[:5]}"
    for begin, end in ((begin + _SETTLED_SECONDS, end) for begin, end in calm):
        settled = sorted(at for at in events if begin <= at < end)
        twice = sum(b - a < _DUPLICATE_SECONDS for a, b in itertools.pairwise(settled))
        if twice:
            yield f"{name}: {twice} events were told twice in a calm stretch"
        loops = int((end - begin) // LOOP_SECONDS)
        if loops < 1:
            looked.too_short += 1
            continue
        if missing_frames(ledger, begin, end) > _MOST_MISSING * FPS * (end - begin):
            looked.too_busy += 1
            continue
        looked.at += 1
        if not loops <= len(settled) <= loops + 1:
            nearest = [round(at - begin, 1) for at in events if begin - LOOP_SECONDS < at < end + LOOP_SECONDS]
            yield f"{name}: {len(settled)} events in a calm stretch of {end - begin:.0f} s, at {nearest} s"


def missing_frames(ledger: Sequence[Any], begin: float = 0.0, end: float = float("inf")) -> int:
    """Frames between two that were processed, without a gap that says so; those that arrived between two times, s."""
    missing, before = 0, None
    for epoch, _, what, arrival_ns in ledger:
        if not isinstance(what, int):
            before = None
            continue
        if before is not None and before[0] == epoch and begin <= arrival_ns / 1e9 < end:
            missing += what - before[1] - 1
        before = epoch, what
    return missing


def left_behind(pids: set[int], names: set[str], folder: Path) -> Iterator[str]:
    """Processes, run directories and unfinished files that outlived their runs."""
    from pipeline.runtime.run_status import active_runs

    for pid in sorted(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                yield f"process {pid} still runs: {' '.join(process.cmdline())[:100]}"
    for run in active_runs():
        if run.name in names:
            yield f"the run directory of {run.name} is still there"
    for pattern in ("*.part", ".*.lock"):
        for path in folder.rglob(pattern):
            yield f"{path.relative_to(folder)} was left behind"


def _events(folder: Path) -> list[dict[str, Any]]:
    events = lines(folder / "clip.motion.jsonl")
    return [{key: value for key, value in event.items() if key != "uid"} for event in events]


def _times(path: Path) -> list[int]:
    with av.open(str(path)) as video:
        return [int(packet.pts) for packet in video.demux(video=0) if packet.pts is not None]
