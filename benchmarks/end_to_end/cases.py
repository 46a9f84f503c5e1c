"""What is measured: each case gives figures by name, with what they are to reach."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.end_to_end import clips
from benchmarks.end_to_end.commands import RAFT, Run, pipeline, raftline, timed, written
from benchmarks.flow.targets import Target

DECODER = {"use": "stages.decoder:Decoder"}
MASKS = {"use": "stages.motion_mask:MotionMask", "reads": "flow"}
Case = Callable[[Path], Iterator["Target | tuple[str, Any]"]]
"""Works in a folder of its own; yields figures, and remarks for the record."""


def flow_stage(estimator: str) -> dict[str, Any]:
    return {"use": "stages.flow:OpticalFlow", "reads": "decoder", "options": {"estimator": estimator}}


def stabilize_360p(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """A handheld 640x360 clip against vidstab's two passes: as configured, which is DIS on a CPU, and with RAFT."""
    clip = clips.handheld()
    vidstab = _vidstab(folder, clip)
    ours = pipeline(folder / "ours", "stabilize", "-i", clip)
    raft = pipeline(folder / "raft", "stabilize", "-i", clip, *RAFT)
    yield from _runs(vidstab=vidstab, as_configured=ours, raft=raft)
    yield Target("stabilize 640x360, as configured: speed over vidstab's", "", _over(vidstab, ours), 1.0, True)
    yield Target("stabilize 640x360, raft: speed over vidstab's", "", _over(vidstab, raft), 0.5, True)
    yield Target("stabilize 640x360, as configured: wall over CPU / cores", "", ours.wall_over_cpu, 1.15, False)
    yield Target("stabilize 640x360, raft: wall over CPU / cores", "", raft.wall_over_cpu, 1.15, False)


def stabilize_1080p(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """240 frames of 1920x1080, the same encoder settings on both sides."""
    clip = clips.handheld_hd(folder)
    vidstab = _vidstab(folder, clip)
    ours = pipeline(folder / "ours", "stabilize", "-i", clip)
    raft = pipeline(folder / "raft", "stabilize", "-i", clip, *RAFT)
    yield from _runs(vidstab=vidstab, as_configured=ours, raft=raft)
    yield Target("stabilize 1080p, 240 frames, as configured", "s", ours.wall_seconds, 15, False)
    yield Target("stabilize 1080p, 240 frames, raft", "s", raft.wall_seconds, 18, False)


def events_of_a_file(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """139 s of a fixed camera that somebody passes now and then, against DVR-Scan where it is installed."""
    clip = clips.visits(folder)
    ours = pipeline(folder / "ours", "events", "-i", clip)
    yield from _runs(ours=ours)
    if shutil.which("dvr-scan"):
        yield from _runs(dvr_scan=timed(["dvr-scan", "-i", clip, "-so", "-q"]))
    lines = (folder / "ours" / "visits.motion.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    yield "events", [[round(event["begin_seconds"], 1), round(event["end_seconds"], 1)] for event in events]
    yield "truth", clips.told_visits()
    yield Target("events of 139 s at 768x432, dis", "s", ours.wall_seconds, 12, False)


def still_camera(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """CPU of a frame of a fixed camera where nothing moves: what a minute more of it takes, without start and end."""
    stages = {"decoder": DECODER, "flow": flow_stage("dis"), "motion_mask": MASKS}
    stages["motion_events"] = {"use": "stages.event_log:EventLog", "reads": "motion_mask"}
    runs = []
    for seconds in (clips.STILL_SECONDS, 2 * clips.STILL_SECONDS):
        clip = clips.still(folder, seconds)
        config = written(folder / "still.yaml", stages, {"camera": {"input": str(clip)}})
        runs.append(pipeline(folder / f"still{seconds}", config))
    shorter, longer = (run.summary["workers"] for run in runs)
    more = {name: longer[name]["cpu_seconds"] - work["cpu_seconds"] for name, work in shorter.items()}
    frames = clips.STILL_SECONDS * clips.CAMERA_FPS
    yield from _runs(shorter=runs[0], longer=runs[1])
    yield "cpu_ms_per_frame", {name: round(1000 * seconds / frames, 2) for name, seconds in more.items()}
    yield Target("still camera, dis: CPU a frame", "ms", 1000 * sum(more.values()) / frames, 4, False)


def start(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """How long the first answer takes, the second time a command is run, and of flow when nothing is compiled yet."""
    for _ in range(2):
        usage = timed(raftline("--help"))
        missing = timed(raftline("run", "stabilize", "-i", folder / "missing.mp4"), may_fail=True)
    yield Target("raftline --help", "s", usage.wall_seconds, 0.3, False)
    yield Target("a file that is not there", "s", missing.wall_seconds, 0.5, False)
    for estimator, aim in (("dis", 2.0), ("raft", 4.0)):
        caches = folder / estimator / "numba", folder / estimator / "cache"
        with patch.dict(os.environ, NUMBA_CACHE_DIR=str(caches[0]), XDG_CACHE_HOME=str(caches[1])):
            seconds = [_first_frame(folder, estimator) for _ in range(2)]
        yield Target(f"first frame out of run, {estimator}", "s", seconds[1], aim, False)
        yield Target(f"first frame out of the first run after the installation, {estimator}", "s", seconds[0], 6, False)


def demo(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """The demo, whole, the second time."""
    pipeline(folder / "first", "demo", "--set", "sources.demo.options.seconds=1")
    second = pipeline(folder / "second", "demo")
    yield from _runs(demo=second)
    yield Target("demo, second run", "s", second.wall_seconds, 15, False)


def cameras(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """How many fixed cameras of 640x360 at 15 frames/s before 2 % of their frames are dropped.

    Somebody passes all of them at once, a fifth of the time.
    """
    clip = clips.scaled(clips.visits(folder), (640, 360))
    for estimator, aim in (("dis", 6), ("raft", 2)):
        able, latency = 0, None
        for count in range(1, 13):
            run = _live(folder, clip, estimator, count)
            events = [
                source["stages"]["motion_events"]["latency_ms"]["p99"] for source in run.summary["sources"].values()
            ]
            latency = latency or max(events)
            dropped = _dropped_share(run)
            yield f"{estimator}, {count} cameras", {"dropped": round(dropped, 4), "event_p99_ms": max(events)}
            if dropped > 0.02:
                break
            able = count
        yield Target(f"cameras, {estimator}", "", able, aim, True)
        if estimator == "dis":
            yield Target("camera to event, one camera, dis, p99", "ms", latency, 150, False)


def flow_of_a_stream(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """RAFT-small on 640x480 against the same network elsewhere, as `benchmarks.bench_flow` measures it."""
    found = _told_by("benchmarks.bench_flow", folder, "--only", "runtimes")
    yield "flow", found["runtimes"]
    yield from (Target(**each) for each in found["targets"] if each["what"].startswith("RAFT-small 640x480, stream"))


def decoding(folder: Path) -> Iterator[Target | tuple[str, Any]]:
    """1080p decoded to nothing against a bare loop, as `benchmarks.bench_pipeline` measures it."""
    found = _told_by("benchmarks.bench_pipeline", folder, "--only", "decode")["decode_1080p"]
    yield "decode", found
    yield Target("decode 1080p to nothing, over a bare loop's frames/s", "", found["ratio"]["median"], 0.9, True)


def _told_by(benchmark: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run another benchmark and return its JSON."""
    told = folder / "told.json"
    timed([sys.executable, "-m", benchmark, *arguments, "--json", told])
    return json.loads(told.read_text())


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        start,
        demo,
        stabilize_360p,
        stabilize_1080p,
        events_of_a_file,
        still_camera,
        cameras,
        flow_of_a_stream,
        decoding,
    )
}


def _vidstab(folder: Path, clip: Path) -> Run:
    transforms, output = folder / "transforms.trf", folder / "vidstab.mp4"
    ffmpeg = ["ffmpeg", "-v", "error", "-y", "-i", clip, "-vf"]
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", output]
    return timed(
        [*ffmpeg, f"vidstabdetect=result={transforms}", "-f", "null", "-"],
        [*ffmpeg, f"vidstabtransform=input={transforms}", *encode],
    )


def _over(peer: Run, ours: Run) -> float:
    return peer.wall_seconds / ours.wall_seconds


def _runs(**runs: Run) -> Iterator[tuple[str, Any]]:
    for name, run in runs.items():
        yield name, run.to_json()
        if run.summary:
            yield f"{name}, stages", run.summary["workers"]


def _first_frame(folder: Path, estimator: str) -> float:
    """Seconds from the start of ``raftline run`` to the first flow in the hands of a reader."""
    told = folder / "first_frame.txt"
    sink = {"use": "benchmarks.pacing:FirstFrame", "reads": "flow", "options": {"path": str(told)}}
    stages = {"decoder": DECODER, "flow": flow_stage(estimator), "first": sink}
    config = written(folder / "first_frame.yaml", stages, {"clip": {"input": str(clips.handheld_start(folder))}})
    begin = time.time()
    pipeline(folder / "first_frame", config)
    return float(told.read_text()) - begin


def _live(folder: Path, clip: Path, estimator: str, count: int) -> Run:
    paced = {"use": "benchmarks.pacing:PacedClip", "options": {"seconds": 25, "frames_per_second": 15}}
    stages = {"decoder": paced, "flow": flow_stage(estimator), "motion_mask": MASKS}
    stages["motion_events"] = {"use": "stages.event_log:EventLog", "reads": "motion_mask"}
    sources = {f"camera{number}": {"input": str(clip)} for number in range(count)}
    return pipeline(folder / f"{estimator}{count}", written(folder / "cameras.yaml", stages, sources))


def _dropped_share(run: Run) -> float:
    sources = run.summary["sources"].values()
    dropped = sum(n for source in sources for stage in source["stages"].values() for n in stage["dropped"].values())
    return dropped / sum(source["frames_decoded"] for source in sources)
