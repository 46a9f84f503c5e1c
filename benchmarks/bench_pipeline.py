"""Measure what the pipeline costs: frames per second against a bare loop in one process, and the time of one hop.

    python -m benchmarks.bench_pipeline [--only decode|flow|hop] [--repeats 5] [--json FILE]

Both sides run alternately in one call, on the same clips, which are rendered first. The pipeline's frame rate counts
from the first to the last message of its sink. Start-up, which is paid once, is reported separately (``startup_s``).
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, spread
from pipeline.config import load_config, make_plan
from pipeline.runtime.supervisor import Supervisor

NULL = {"use": "stages.null_sink:NullSink"}
_ITERATIONS = 12
"""Of either side: as many as in the name of the result."""
_IMAGES = 60
"""Different images of the rendered clip, shown forward and backward: two seconds of motion fit into memory at 1080p."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--only", choices=("decode", "flow", "hop"), help="measure this part only")
    arguments = parser.parse_args()
    logging.getLogger("libav").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        result: dict[str, Any] = {"machine": machine()}
        hd, small = _render(directory / "hd.mp4", 1920, 1080, 10), _render(directory / "small.mp4", 448, 256, 2)
        if arguments.only in (None, "decode"):
            result["decode_1080p"] = _compare(
                arguments.repeats, lambda: _bare_decode(hd), lambda: _decode_through_pipeline(directory, hd)
            )
        if arguments.only in (None, "flow"):
            result["flow_raft_small_448x256_12_iterations"] = _compare(
                arguments.repeats, lambda: _bare_flow(small), lambda: _flow_through_pipeline(directory, small)
            )
        result["hop_ms"] = _hops(directory, arguments.repeats) if arguments.only in (None, "hop") else {}
    _show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def _hops(directory: Path, repeats: int) -> dict[str, Any]:
    return {
        f"{height}p {payload}{' new pixels' if copy else ''}": spread(
            [_hop_ms(directory, width, height, payload, copy) for _ in range(min(3, repeats))], 3
        )
        for width, height in ((1280, 720), (1920, 1080))
        for payload in ("shm", "inline")
        for copy in (False, True)
    }


def _compare(
    repeats: int, bare: Callable[[], float], through_pipeline: Callable[[], tuple[float, float]]
) -> dict[str, Any]:
    bare()  # warm up: the file is in the page cache, kernels are compiled
    bare_fps, fps, startup_s, ratios = [], [], [], []
    for _ in range(repeats):
        bare_fps.append(bare())
        through, startup = through_pipeline()
        fps.append(through)
        startup_s.append(startup)
        ratios.append(through / bare_fps[-1])
    return {
        "bare_fps": spread(bare_fps),
        "pipeline_fps": spread(fps),
        "ratio": spread(ratios, 3),
        "startup_s": spread(startup_s),
    }


def _render(path: Path, width: int, height: int, seconds: float) -> Path:
    from stages.synthetic.scene import SyntheticScene

    scene = SyntheticScene(width=width, height=height, fps=30)
    images = [scene.rgb(index) for index in range(_IMAGES)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(int(seconds * 30)):
            place = index % (2 * _IMAGES - 2)  # forward and backward, so that there is no cut
            image = images[min(place, 2 * _IMAGES - 2 - place)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


def _bare_decode(path: Path) -> float:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        begin = time.perf_counter()
        count = sum(1 for _ in container.decode(video=0))
    return count / (time.perf_counter() - begin)


def _bare_flow(path: Path) -> float:
    from raftline.flow.options import FlowOptions
    from raftline.flow.session import FlowSession

    session = FlowSession(options=FlowOptions(iterations=_ITERATIONS, warm_start="never", device="cpu"))
    begin, count = 0.0, 0
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            session(frame.to_ndarray(format="rgb24"), full_resolution=False)
            begin = begin or time.perf_counter()
            count += 1
    return (count - 1) / (time.perf_counter() - begin)


def _decode_through_pipeline(directory: Path, path: Path) -> tuple[float, float]:
    stages = {"decoder": {"use": "stages.decoder:Decoder"}, "sink": {**NULL, "reads": "decoder"}}
    return _fps(_run(directory, stages, str(path)))


def _flow_through_pipeline(directory: Path, path: Path) -> tuple[float, float]:
    flow = {
        "use": "stages.flow:OpticalFlow",
        "reads": "decoder",
        "options": {"iterations": _ITERATIONS, "warm_start": "never", "duplicates": None, "scene_cut": None},
    }
    stages = {"decoder": {"use": "stages.decoder:Decoder"}, "flow": flow, "sink": {**NULL, "reads": "flow"}}
    return _fps(_run(directory, stages, str(path)))


def _hop_ms(directory: Path, width: int, height: int, payload: str, copy: bool) -> float:
    """Median time from one relay to the next in an idle pipeline, including the fetch of all pixels, ms."""
    options = {"width": width, "height": height}
    relay = {"use": "benchmarks.pacing:Relay", "options": {"copy_pixels": copy}}
    stages: dict[str, Any] = {
        "decoder": {"use": "benchmarks.pacing:PacedFrames", "options": options},
        "one": {**relay, "reads": "decoder"},
        "two": {**relay, "reads": "one"},
    }
    latency = _run(directory, stages, "paced", payload)["stages"]
    return latency["two"]["latency_ms"]["p50"] - latency["one"]["latency_ms"]["p50"]


def _run(directory: Path, stages: dict[str, Any], input: str, payload: str = "shm") -> dict[str, Any]:
    written = {"name": "bench", "output": str(directory / "out"), "payload": payload, "stages": stages}
    file = directory / "bench.yaml"
    file.write_text(yaml.safe_dump({**written, "sources": {"clip": {"input": input}}}))
    summary = Supervisor(make_plan(load_config(file))).run()
    source = summary["sources"]["clip"]
    assert summary["state"] == "finished", summary
    return {**source, "seconds": summary["seconds"]}


def _fps(source: dict[str, Any]) -> tuple[float, float]:
    sink = source["stages"]["sink"]
    return sink["fps"], source["seconds"] - sink["frames"] / sink["fps"]


def _show(result: dict[str, Any]) -> None:
    console = Console()
    console.print_json(json.dumps(result["machine"]))
    table = Table("frames/s", "bare loop", "pipeline", "ratio", "start-up s")
    for name in (name for name, value in result.items() if "ratio" in value):
        row = result[name]
        table.add_row(name, *(_text(row[key]) for key in ("bare_fps", "pipeline_fps", "ratio", "startup_s")))
    console.print(table)
    hops = Table("one hop", "ms")
    for name, value in result["hop_ms"].items():
        hops.add_row(name, _text(value))
    console.print(hops)


def _text(value: dict[str, Any]) -> str:
    return f"{value['median']} ({value['min']} - {value['max']})"


if __name__ == "__main__":
    main()
