"""Events of scenes that are made by chance, beside what background subtraction tells of them.

    python -m benchmarks.bench_motion_events [--only walks crossing ...] [--seeds 0 1 2] [--live] [--cache DIR]
        [--json FILE] [--images DIR]

Flow is `estimator: dis`, masks are at their defaults for files (`--live`: for cameras). An event is right if it is told
once and begins and ends within 0.3 s of the truth. It needs the test data (RAFTLINE_DATA).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.data import needed_data
from benchmarks.machine import machine
from benchmarks.motion_masks.happenings.families import FAMILIES, scene_of
from benchmarks.motion_masks.happenings.scenes import FPS, Scene, Seen, Span, render, true_events
from benchmarks.motion_masks.happenings.scoring import EventScore, JaccardMean, events_of_masks
from benchmarks.motion_masks.peers import knn, mog2
from benchmarks.motion_masks.runs import flows, live_options, masks
from pipeline.messages import Frame, Header, Mask, MotionEvent

_PEERS = {"MOG2": mog2, "KNN": knn}
_OURS = "raftline, dis"
_TICKS = 90_000
"""Of a second."""


def main() -> None:
    arguments = _arguments()
    cv2.setNumThreads(1)
    result: dict[str, Any] = {"machine": machine(), "seeds": arguments.seeds, "families": {}, "faults": {}}
    for family in arguments.only:
        result["families"][family] = _family(family, arguments, result["faults"])
    result["all"] = {name: _total([each[name] for each in result["families"].values()]) for name in (*_PEERS, _OURS)}
    Console(width=130).print(_table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(FAMILIES), default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--live", action="store_true", help="masks do not wait, as those of cameras")
    parser.add_argument("--cache", type=Path, help="folder that keeps the flow for the next run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--images", type=Path, help="folder for images of masks over frames")
    parser.add_argument("--data", type=Path, default=needed_data(), help="folder of the test data")
    return parser.parse_args()


def _family(family: str, arguments: argparse.Namespace, faults: dict[str, str]) -> dict[str, Any]:
    scores = {name: (EventScore(), JaccardMean()) for name in (*_PEERS, _OURS)}
    for seed in arguments.seeds:
        scene = scene_of(family, seed)
        seen = _as_shown(list(render(arguments.data, scene)), scene)
        true = true_events([(each.seconds, each.moves) for each in seen], scene.merge_seconds)
        step = float(np.diff([each.seconds for each in seen]).max())
        for name, make in _PEERS.items():
            peer = make()
            found = [peer(each.image) for each in seen]
            times = (each.seconds for each in seen)
            events = events_of_masks(zip(times, found, strict=True), scene.merge_seconds)
            scores[name][0].add(_learned(events, scene), true, step)
            _score_masks(scores[name][1], seen, found)
        told, ids, found = _ours(f"{family}_{seed}", seen, arguments)
        what = scores[_OURS][0].add(_learned(told, scene), true, step)
        if what:
            faults[f"{family} {seed}"] = f"{what}: true {_rounded(true)}, told {_rounded(told)}"
        times = f"true {_rounded(true)}, told {_rounded(told)}"
        print(f"{family} {seed}: {what or 'right'}; {times}, {ids} ids of {len(scene.actors)}", flush=True)
        _score_masks(scores[_OURS][1], seen, found)
        if arguments.images:
            _save(arguments.images / f"{family}_{seed}.png", seen, found)
    return {name: {**asdict(events), "J": masks.result()} for name, (events, masks) in scores.items()}


def _ours(name: str, seen: list[Seen], arguments: argparse.Namespace) -> tuple[list[Span], int, list[np.ndarray]]:
    """Events, how many objects they name, and masks."""
    frames = (_frame(each, at) for at, each in enumerate(seen))
    options = {"backdate": "never"} if arguments.live else {}
    told = list(masks(flows(name, frames, live_options("dis"), arguments.cache), options))
    events: dict[int, MotionEvent] = {}
    for mask in told:
        events |= {event.id: event for event in mask.events}
    ids = {each for event in events.values() for each in event.object_ids}
    return _spans(told, events), len(ids), [np.asarray(mask.mask) > 0 for mask in told]


def _learned(events: list[Span], scene: Scene) -> list[Span]:
    return [event for event in events if event[1] > scene.learned_seconds]


def _spans(told: list[Mask], events: dict[int, MotionEvent]) -> list[Span]:
    moving = (mask for mask in told if any(each.moves for each in mask.objects))
    moved = max((mask.header.pts_seconds or 0.0 for mask in moving), default=0.0)
    return [
        (event.begin_seconds, moved if event.end_seconds is None else event.end_seconds) for event in events.values()
    ]


def _frame(seen: Seen, at: int) -> Frame:
    height, width = seen.image.shape[:2]
    header = Header("clip", round(seen.seconds * _TICKS), Fraction(1, _TICKS), 10**18 + at, epoch=1, sequence=at + 1)
    return Frame(header, at, width, height, "rgb24", (seen.image,), "rgb", "pc")


def _as_shown(seen: list[Seen], scene: Scene) -> list[Seen]:
    """The frames as a decoder shows them, if they are coded."""
    if scene.bit_rate is None:
        return seen
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = seen[0].image.shape[1::-1]
    encoder.pix_fmt, encoder.bit_rate = "yuv420p", scene.bit_rate
    encoder.framerate, encoder.time_base = Fraction(FPS), Fraction(1, FPS)
    decoder = av.CodecContext.create("h264", "r")
    packets = [packet for each in seen for packet in encoder.encode(av.VideoFrame.from_ndarray(each.image, "rgb24"))]
    decoded = [frame for packet in [*packets, *encoder.encode(None), None] for frame in decoder.decode(packet)]
    images = [frame.to_ndarray(format="rgb24") for frame in decoded]
    return [Seen(each.seconds, image, each.moves, each.stands) for each, image in zip(seen, images, strict=True)]


def _score_masks(scores: JaccardMean, seen: list[Seen], found: list[np.ndarray]) -> None:
    for each, mask in zip(seen, found, strict=True):
        if each.moves.any() and not each.stands.any():
            scores.add(mask, each.moves)


def _rounded(spans: list[Span]) -> list[tuple[float, float]]:
    return [(round(begin, 2), round(end, 2)) for begin, end in spans]


def _save(path: Path, seen: list[Seen], found: list[np.ndarray]) -> None:
    """Masks in red over frames of even distances, the truth's outline in green."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = []
    for at in np.linspace(0.12 * len(seen), len(seen) - 1, 15).astype(int):
        image = np.ascontiguousarray(seen[at].image[..., ::-1])
        image[found[at]] = image[found[at]] // 2 + np.array([0, 0, 127], np.uint8)
        for truth, color in ((seen[at].moves, (0, 255, 0)), (seen[at].stands, (255, 128, 0))):
            outlines, _ = cv2.findContours(truth.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(image, outlines, -1, color, 1)
        cv2.putText(image, f"{seen[at].seconds:.1f}", (4, 14), 0, 0.45, (255, 255, 255), 1)
        shown.append(image)
    cv2.imwrite(str(path), np.vstack([np.hstack(shown[row : row + 5]) for row in (0, 5, 10)]))


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    total = {key: sum(row[key] for row in rows) for key in rows[0] if key != "J"}
    return {**total, "J": round(float(np.mean([row["J"] for row in rows])), 3)}


def _table(result: dict[str, Any]) -> Table:
    table = Table(title="events")
    rows = {**result["families"], "all": result["all"]}
    for column in ("family", "method", *next(iter(rows.values()))[_OURS]):
        table.add_column(column)
    for family, methods in rows.items():
        for name, values in methods.items():
            table.add_row(family, name, *(str(value) for value in values.values()))
    return table


if __name__ == "__main__":
    main()
