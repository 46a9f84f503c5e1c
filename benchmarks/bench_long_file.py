"""A long file in segments on two lanes of one core each, against one piece on one.

    python -m benchmarks.bench_long_file shared/data/video/shaky/meshflow-8.m4v --frames 120 --segments 6

The file is the begin of a clip, encoded anew with a key frame every few frames, so that a short one has as many
segments as an hour in pieces of ten minutes has. The output is lossless, so that the frames of both sides can be
compared. On a machine that has other work the wall clock tells nothing: CPU seconds of each task tell how long two idle
cores would take, one task after the other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks.machine import machine

_GROUP_FRAMES = 4
"""From key frame to key frame: small against a segment, as in a long file. Chosen by hand."""
_YAML = """
name: long
stages:
  decoder: {{use: "stages.decoder:Decoder"}}
  flow: {{use: "stages.flow:OpticalFlow", reads: decoder, options: {{{flow}, warm_start: never}}}}
  stabilization: {{use: "stages.stabilization:Stabilization", reads: flow, options: {{plot: null}}}}
  video:
    use: stages.video_writer:VideoWriter
    reads: stabilization
    options: {{path: "{{source}}.mkv", codec: ffv1}}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=120, help="length of the file")
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--estimator", choices=("raft", "dis"), default="raft")
    parser.add_argument("--runtime", default="torch", help="of RAFT; openvino takes long to start, for a short file")
    parser.add_argument("--executor", choices=("local", "ray"), default="local", help="ray: a cluster that is running")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raftline-long-") as name:
        folder = Path(name)
        seconds = _write_file(given.clip, folder / "film.mkv", given.frames)
        flow = f"estimator: {given.estimator}, runtime: {given.runtime}"
        (folder / "long.yaml").write_text(_YAML.format(flow=flow))
        minutes = str(seconds / given.segments / 60 + 1e-6)
        ray = ("--executor", "ray") if given.executor == "ray" else ()
        one = _measured(folder, "one", "--jobs", "1", "--segment-minutes", "0")
        two = _measured(folder, "segments", "--jobs", "2", "--segment-minutes", minutes, *ray)
        same = _frames(folder / "one" / "film.mkv") == _frames(folder / "segments" / "film.mkv")
    _print(given, seconds, one, two, same)


def _write_file(clip: Path, path: Path, frames: int) -> float:
    """The first frames of a clip with many key frames; its length, s."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        rate = source.streams.video[0].average_rate or Fraction(30)
        group = f"keyint={_GROUP_FRAMES}:min-keyint={_GROUP_FRAMES}:scenecut=0"
        stream: Any = target.add_stream("libx264", rate=rate, options={"x264-params": group, "crf": "16"})
        at = 0
        for frame in source.decode(video=0):
            if at == 0:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            frame.pts, frame.time_base = at, 1 / rate
            target.mux(stream.encode(frame))
            at += 1
            if at == frames:
                break
        target.mux(stream.encode(None))
    return at / float(rate)


def _measured(folder: Path, output: str, *options: str) -> dict[str, Any]:
    root = Path(__file__).resolve().parents[1]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    batch = ["batch", "long.yaml", "film.mkv", "-o", output, "--set", "cores=1", *options]
    subprocess.run([sys.executable, str(root / "run_pipeline.py"), *batch], cwd=folder, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads((folder / output / "film.summary.json").read_text())
    workers = sum(work["cpu_seconds"] for work in summary["workers"].values())
    return {"wall": time.monotonic() - begin, "cpu": cpu, "workers": workers, "tasks": summary.get("tasks", {})}


def _frames(path: Path) -> list[tuple[int | None, str]]:
    with av.open(str(path)) as video:
        return [
            (frame.pts, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()) for frame in video.decode(video=0)
        ]


def _on_two_cores(tasks: dict[str, dict[str, float]]) -> float:
    """Seconds that two idle cores take for the tasks of a file."""
    took = {name: task["cpu_seconds"] for name, task in tasks.items()}
    ahead = sum(seconds for name, seconds in took.items() if name.startswith("ahead"))
    lanes = [0.0, 0.0]
    for seconds in sorted((each for name, each in took.items() if name.startswith("rest")), reverse=True):
        lanes[lanes.index(min(lanes))] += seconds
    return max(took["in-order"], ahead) + max(lanes)


def _print(given: argparse.Namespace, seconds: float, one: dict[str, Any], two: dict[str, Any], same: bool) -> None:
    print(json.dumps(machine()))
    print(f"{given.clip.name}, {given.frames} frames, {seconds:.1f} s, {given.estimator}, {given.executor}")
    print(f"one piece, one core    wall {one['wall']:7.1f} s  CPU {one['cpu']:7.1f} s  workers {one['workers']:7.1f} s")
    print(f"segments, two cores    wall {two['wall']:7.1f} s  CPU {two['cpu']:7.1f} s")
    for name, task in two["tasks"].items():
        print(f"  {name:12} CPU {task['cpu_seconds']:7.2f} s")
    critical = _on_two_cores(two["tasks"])
    print(f"two idle cores: {critical:.1f} s of workers, {one['workers'] / critical:.2f} times as fast as one piece")
    print(f"frames are {'the same' if same else 'NOT the same'}")


if __name__ == "__main__":
    main()
