"""A long file in segments on two lanes of one core each, against one piece on one.

    python -m benchmarks.bench_long_file shared/data/video/shaky/meshflow-8.m4v --frames 2400 --estimator dis

The file is a clip, forth and back, encoded anew with a key frame every few frames, so that a short one has as many
segments as an hour in pieces of ten minutes has. The output is lossless, so that the frames of both sides can be
compared. Both sides go first over a quarter of the file: nothing is compiled in what is measured, and the difference
of the two is what a frame costs without the start of the programs, as an hour has it. Sections of the measurement are
as long as segments here, so that they have a large part of their run-ups; a long file's few are reckoned instead, and
the piece that is compared has none, but for its frames. On a machine that has other work
the wall clock tells nothing: CPU seconds of each task tell how long two idle cores would take.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av

from benchmarks.machine import machine
from pipeline.sections import Sections

_GROUP_FRAMES = 4
"""From key frame to key frame: small against a segment, as in a long file. Chosen by hand."""
Tasks = dict[str, dict[str, float]]
"""CPU seconds by task and stage."""


class _Side(NamedTuple):
    wall: float
    """Seconds."""
    tasks: Tasks


_YAML = """
name: long
stages:
  decoder: {{use: "stages.decoder:Decoder"}}
  flow:
    use: stages.flow:OpticalFlow
    reads: decoder
    options: {{{flow}, section_minutes: {minutes}}}
  stabilization:
    use: stages.stabilization:Stabilization
    reads: flow
    options: {{plot: null, section_minutes: {minutes}}}
  video:
    use: stages.video_writer:VideoWriter
    reads: stabilization
    options: {{path: "{{source}}.mkv", codec: ffv1}}
"""
_ONE_SECTION = [
    option for stage in ("flow", "stabilization") for option in ("--set", f"stages.{stage}.options.section_minutes=5")
]
_SECTIONS = Sections.of_minutes(5)
"""Those of a long file, by default."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=2400, help="length of the file")
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--estimator", choices=("raft", "dis"), default="raft")
    parser.add_argument("--runtime", default="torch", help="of RAFT; openvino takes long to start, for a short file")
    parser.add_argument("--executor", choices=("local", "ray"), default="local", help="ray: a cluster that is running")
    parser.add_argument("--warm-start", choices=("never", "adaptive"), default="never", help="of RAFT")
    parser.add_argument("--output", type=Path, help="a JSON file, to which the result is added")
    given = parser.parse_args()
    lengths = {"begin": given.frames // 4, "film": given.frames}
    with tempfile.TemporaryDirectory(prefix="raftline-long-") as name:
        folder = Path(name)
        flow = f"estimator: {given.estimator}, runtime: {given.runtime}, warm_start: {given.warm_start}"
        whole = ["--jobs", "1", "--segment-minutes", "0"]
        sides = {"one": [*whole, *_ONE_SECTION], "one in sections": whole, "segments": ["--jobs", "2"]}
        found: dict[str, dict[str, _Side]] = {side: {} for side in sides}
        for film, frames in lengths.items():
            seconds = _write_file(given.clip, folder / f"{film}.mkv", frames)
            segment_minutes = seconds / given.segments / 60 + 1e-6
            (folder / "long.yaml").write_text(_YAML.format(flow=flow, minutes=segment_minutes))
            minutes = ["--segment-minutes", str(segment_minutes)]
            ray = ["--executor", "ray"] if given.executor == "ray" else []
            for side, options in sides.items():
                more = [*minutes, *ray] if side == "segments" else []
                if film == "begin" and side != "one":
                    _measured(folder, film, f"{side} first", *options, *more)
                found[side][film] = _measured(folder, film, side, *options, *more)
        same = _frames(folder / "one in sections" / "film.mkv") == _frames(folder / "segments" / "film.mkv")
    _print(given, found, same, seconds / given.frames)


def _write_file(clip: Path, path: Path, frames: int) -> float:
    """The frames of a clip, forth and back, with many key frames; its length, s."""
    with av.open(str(clip)) as source:
        rate = source.streams.video[0].average_rate or Fraction(30)
        images = [frame.to_ndarray(format="yuv420p") for frame in itertools.islice(source.decode(video=0), frames)]
    with av.open(str(path), "w") as target:
        group = f"keyint={_GROUP_FRAMES}:min-keyint={_GROUP_FRAMES}:scenecut=0"
        stream: Any = target.add_stream("libx264", rate=rate, options={"x264-params": group, "crf": "16"})
        stream.height, stream.width = images[0].shape[0] * 2 // 3, images[0].shape[1]
        there_and_back = itertools.cycle([*images, *images[-2:0:-1]])
        for at, image in enumerate(itertools.islice(there_and_back, frames)):
            frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
            frame.pts, frame.time_base = at, 1 / rate
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return frames / float(rate)


def _measured(folder: Path, film: str, output: str, *options: str) -> _Side:
    root = Path(__file__).resolve().parents[1]
    begin = time.monotonic()
    batch = ["batch", "long.yaml", f"{film}.mkv", "-o", output, "--set", "cores=1", *options]
    subprocess.run([sys.executable, str(root / "run_pipeline.py"), *batch], cwd=folder, check=True)
    summary = json.loads((folder / output / f"{film}.summary.json").read_text())
    stages = {stage: work["cpu_seconds"] for stage, work in summary["workers"].items()}
    tasks = summary.get("tasks", {"one piece": {"stages": stages}})
    return _Side(time.monotonic() - begin, {name: task["stages"] for name, task in tasks.items()})


def _frames(path: Path) -> list[tuple[int | None, str]]:
    with av.open(str(path)) as video:
        return [
            (frame.pts, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()) for frame in video.decode(video=0)
        ]


def _kinds(tasks: Tasks) -> Tasks:
    """CPU seconds of all tasks of a kind, by stage."""
    sums: Tasks = {}
    for name, stages in tasks.items():
        kind = sums.setdefault(name.rpartition("-")[0] if name[-1].isdigit() else name, {})
        for stage, seconds in stages.items():
            kind[stage] = kind.get(stage, 0.0) + seconds
    return sums


def _frames_done(kind: str, given: argparse.Namespace, frames: int, step_seconds: float) -> float:
    """Frames of a long file that cost what the tasks of a kind cost for one of so many frames, run-ups included."""
    if kind != "measure":
        return frames
    run_up = min(float(_SECTIONS.run_up_seconds), frames * step_seconds / given.segments)
    done = frames + (given.segments - 1) * run_up / step_seconds
    return done / (1 + float(_SECTIONS.run_up_seconds / _SECTIONS.seconds))


def _on_one_core(kinds: Tasks) -> float:
    return sum(kinds["one piece"].values())


def _on_two_cores(kinds: Tasks) -> float:
    """Seconds that two idle cores take for the tasks of a file: sections are measured, the path is found, and segments
    are encoded."""
    took = {kind: sum(stages.values()) for kind, stages in kinds.items()}
    return took["measure"] / 2 + took["path"] + took["rest"] / 2


def _print(given: argparse.Namespace, found: dict[str, dict[str, _Side]], same: bool, step_seconds: float) -> None:
    made_on = machine()
    print(json.dumps(made_on))
    print(f"{given.clip.name}, {given.frames} frames, {given.estimator}, {given.executor}")
    critical: dict[str, dict[str, float]] = {}
    for side, films in found.items():
        kinds = {film: _kinds(each.tasks) for film, each in films.items()}
        print(f"{side}: wall {films['film'].wall:.1f} s, of which the start is a part; CPU of workers, and of a frame:")
        frame: Tasks = {}
        for kind, stages in kinds["film"].items():
            more = _frames_done(kind, given, given.frames, step_seconds)
            more -= _frames_done(kind, given, given.frames // 4, step_seconds)
            before = kinds["begin"].get(kind, {})
            frame[kind] = {stage: (took - before.get(stage, 0.0)) / more for stage, took in stages.items()}
            shown = ", ".join(f"{stage} {1000 * each:.1f}" for stage, each in frame[kind].items())
            print(f"  {kind:10} {sum(stages.values()):7.2f} s, {1000 * sum(frame[kind].values()):6.1f} ms: {shown}")
        took = _on_two_cores if side == "segments" else _on_one_core
        critical[side] = {"film": took(kinds["film"]), "frame": took(frame)}
    gains = {of: round(critical["one"][of] / critical["segments"][of], 2) for of in ("film", "frame")}
    for what, of in (("this file", "film"), ("a long one", "frame")):
        print(f"two idle cores, {what}: {gains[of]:.2f} times as fast as one piece")
    print(f"frames are {'the same' if same else 'NOT the same'}")
    if given.output is not None:
        _add(given, made_on, critical, gains, same)


def _add(
    given: argparse.Namespace,
    made_on: dict[str, Any],
    critical: dict[str, dict[str, float]],
    gains: dict[str, float],
    same: bool,
) -> None:
    """Add the result to the file of results."""
    results = json.loads(given.output.read_text()) if given.output.exists() else {}
    results[f"{given.estimator}, {given.clip.name}"] = {
        "frames": given.frames,
        "segments": given.segments,
        "machine": made_on,
        "critical_path_cpu_ms_a_frame": {side: round(1000 * each["frame"], 2) for side, each in critical.items()},
        "times_as_fast_on_two_cores": {"this_file": gains["film"], "a_long_file": gains["frame"]},
        "frames_are_the_same": same,
    }
    given.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
