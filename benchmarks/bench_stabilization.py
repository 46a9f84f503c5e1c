"""Stabilization and its speed, on clips of known camera path and on handheld clips, compared with other stabilizers.

    python -m benchmarks.bench_stabilization [--only static,pan] [--systems "KLT script,raft"] [--frames 300]
        [--parts known,real,speed] [--json FILE]

Known path: each output frame is registered to the unshaken world, by markers that move with the frame and that no
estimator sees. J is the rms above 1 Hz of the corners' displacement from the base path, gain = J of the input / J of
the output; slow is the largest displacement below 1 Hz, in % of the width; kept is what the zoom leaves of the width.
Needs the test data and ffmpeg.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.stabilizing.clips import VARIANTS, Clip, make_clip
from benchmarks.stabilizing.ours import ESTIMATORS, measured_flows, stabilized_markers
from benchmarks.stabilizing.peers import PEERS
from benchmarks.stabilizing.real_clips import NAMES, clip_features, read_clip, scores
from benchmarks.stabilizing.registration import Steadiness, steadiness
from benchmarks.stabilizing.speed import milliseconds

ONLINE = {"smoothing": "look_ahead", "look_ahead_seconds": 0.5, "zoom": 1.15}
OURS: dict[str, dict[str, Any]] = {"offline": {}, "online": ONLINE}
SYSTEMS = (*PEERS, *(f"{estimator} {mode}" for estimator in ESTIMATORS for mode in OURS))
_HANDHELD_SYSTEMS = ("ffmpeg vidstab", "KLT script", "dis offline", "dis online", "raft offline")
"""Run on handheld clips, which are long."""


def main() -> None:
    arguments = _arguments()
    result: dict[str, Any] = {"machine": machine(), "frames": arguments.frames}
    systems = [name for name in SYSTEMS if any(wanted in name for wanted in arguments.systems.split(","))]
    if "known" in arguments.parts:
        result["known"] = {}
        for variant in arguments.only.split(","):
            result["known"][variant] = _known(make_clip(variant, arguments.frames), systems)
            _show_known(variant, result["known"][variant])
    if "real" in arguments.parts:
        few, result["real"] = [name for name in systems if name in _HANDHELD_SYSTEMS], {}
        for name in NAMES:
            result["real"][name] = _real(read_clip(name, arguments.real_frames), few)
            _show_real({name: result["real"][name]})
    if "speed" in arguments.parts:
        result["speed_720p_ms"] = milliseconds()
        Console().print_json(json.dumps(result["speed_720p_ms"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants, by comma")
    parser.add_argument("--systems", default="", help="parts of the names of those to run, by comma; none: all")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--real-frames", type=int, default=0, help="of each handheld clip; 0: all")
    parser.add_argument("--parts", default="known,real,speed")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _known(clip: Clip, systems: list[str]) -> dict[str, dict[str, float]]:
    before = steadiness(clip, clip.markers)
    rows = {"input": _row(before, before)}
    for name, markers in _outputs(clip, systems):
        rows[name] = _row(steadiness(clip, markers), before)
    return rows


def _row(after: Steadiness, before: Steadiness) -> dict[str, float]:
    return {
        "J_px": round(after.jitter_px, 3),
        "gain": round(before.jitter_px / max(after.jitter_px, 1e-6), 1),
        "slow_%": round(100 * after.slow_error, 2),
        "kept_%": round(100 * after.kept, 1),
    }


def _real(clip: Clip, systems: list[str]) -> dict[str, dict[str, float]]:
    features = clip_features(clip.markers)
    rows = {"input": scores(features, clip.markers).to_json()}
    for name, lumas in _outputs(clip, systems):
        rows[name] = scores(features, lumas).to_json()
    return rows


def _outputs(clip: Clip, systems: list[str]):
    """Yield the name and moved markers (N, H, W) of each system."""
    lumas = np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in clip.frames])
    for name in systems:
        if name in PEERS:
            yield name, PEERS[name](lumas, clip.markers, 30.0)
    for estimator in ESTIMATORS:
        modes = [mode for mode in OURS if f"{estimator} {mode}" in systems]
        flows = measured_flows(clip, estimator) if modes else []
        for mode in modes:
            options = dict(OURS[mode])
            if clip.readout_seconds:
                options["readout_ms"] = 1000 * clip.readout_seconds
            yield f"{estimator} {mode}", stabilized_markers(clip, flows, options)[0]


def _show_known(variant: str, rows: dict[str, dict[str, float]]) -> None:
    table = Table(variant, "J px", "gain", "slow %", "kept %")
    for name, row in rows.items():
        table.add_row(name, f"{row['J_px']:.3f}", f"{row['gain']:.1f}", f"{row['slow_%']:.2f}", f"{row['kept_%']:.1f}")
    Console(width=130).print(table)


def _show_real(clips: dict[str, dict[str, dict[str, float]]]) -> None:
    table = Table("handheld", "", "S", "S shift", "S turn", "D", "C", "itf dB", "black px", "frames")
    for clip, rows in clips.items():
        for name, row in rows.items():
            values = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
            table.add_row(clip if name == "input" else "", name, *values)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
