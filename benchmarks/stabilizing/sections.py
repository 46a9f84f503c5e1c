"""What is lost where a long file's sections meet: shake left with sections of a few seconds against one section.

    python -m benchmarks.stabilizing.sections [--clips meshflow-8.m4v,...] [--frames 400] [--minutes 0.0834]

Sections are of minutes else: here a clip has a seam every few seconds, so that a loss would show. `steps` are those of
the camera at the frame's corners, by which the two differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.stabilizing.clips import Clip
from benchmarks.stabilizing.foregrounds import make
from benchmarks.stabilizing.left_over import left_over
from benchmarks.stabilizing.ours import measured_flows, stabilized_markers
from benchmarks.stabilizing.real_clips import NAMES, read_clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", default=",".join(NAMES))
    parser.add_argument("--kinds", default="sweep,walker_left,two_people", help="of benchmarks.stabilizing.foregrounds")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=5 / 60, help="length of a section")
    arguments = parser.parse_args()
    for clip in _clips(arguments):
        rate_hz = 1.0 / float(np.median(np.diff(clip.seconds)))
        flows, shown = measured_flows(clip, "dis"), []
        for minutes in (1e6, arguments.minutes):
            output, context = stabilized_markers(clip, flows, {"section_minutes": minutes})
            shown.append(f"{left_over(output, rate_hz).corners_px:.3f} px at zoom {context.said['zoom']}")
        print(f"{clip.name:22} one section {shown[0]}, {arguments.minutes:.3f} min each {shown[1]}", flush=True)


def _clips(arguments: argparse.Namespace) -> Iterator[Clip]:
    for name in filter(None, arguments.clips.split(",")):
        yield read_clip(name, arguments.frames)
    for kind in filter(None, arguments.kinds.split(",")):
        yield make(kind, "textured", frames=arguments.frames).clip


if __name__ == "__main__":
    main()
