"""Motion masks and events on known truth, beside what people use today, in one run.

    python -m benchmarks.bench_motion_masks [--only sprites real following light events still speed]
        [--estimators dis raft] [--minutes 10] [--raft-minutes 2] [--cache DIR] [--json FILE] [--images DIR]

Flow is that of configs/cameras.yaml, the live setting, with the shipped weights and with `estimator: dis`. The
masks are at their defaults for files, which show a thing from its first frame on, except where a row says otherwise. It
needs the test data (RAFTLINE_DATA).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.data import needed_data
from benchmarks.machine import machine, spread
from benchmarks.motion_masks.clips import Clip, Shot, highway_clip, sprite_clip, tennis_clip
from benchmarks.motion_masks.following import FOLLOWING_SCENES, following_clip
from benchmarks.motion_masks.footage import STILL_FPS, told_events, video_frames, write_still_video
from benchmarks.motion_masks.lights import FAMILIES, LightScores, light_clips
from benchmarks.motion_masks.peers import PEERS
from benchmarks.motion_masks.runs import flows, live_options, masks, open_motion_mask, rgb_frame
from benchmarks.motion_masks.scores import MaskScores, drawn_outside_px, shrunk
from pipeline.messages import Flow, Mask, MotionEvent

_SCENES = (0, 1)
_PARTS = ("sprites", "real", "following", "light", "events", "still", "speed")


def main() -> None:
    arguments = _arguments()
    cv2.setNumThreads(2)
    result: dict[str, Any] = {"machine": machine(), "flow": {e: live_options(e) for e in arguments.estimators}}
    for part in arguments.only:
        result[part] = _MEASURES[part](arguments)
        Console(width=130).print(_table(part, result[part]))
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = needed_data()
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS, help="parts of it")
    parser.add_argument("--estimators", nargs="+", choices=("dis", "raft"), default=("dis", "raft"))
    parser.add_argument("--minutes", type=float, default=10, help="of still video, with dis")
    parser.add_argument("--raft-minutes", type=float, default=2, help="of still video, with raft")
    parser.add_argument("--cache", type=Path, help="folder that keeps the flow for the next run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--images", type=Path, help="folder for images of masks over frames")
    parser.add_argument("--data", type=Path, default=data, help="folder of the test data")
    return parser.parse_args()


def _sprites(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        camera: _scored([sprite_clip(arguments.data, scene, camera) for scene in _SCENES], arguments)
        for camera in ("fixed", "jitter", "pan")
    }


def _real(arguments: argparse.Namespace) -> dict[str, Any]:
    clips = (highway_clip(arguments.data), tennis_clip(arguments.data))
    return {clip.name: _scored([clip], arguments) | _scored_loosely(clip, arguments) for clip in clips}


def _following(arguments: argparse.Namespace) -> dict[str, Any]:
    clips = [following_clip(arguments.data, name) for name in FOLLOWING_SCENES]
    return {clip.name: _scored([clip], arguments) for clip in clips}


def _light(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is masked while only the light changes, and who walks afterwards."""
    result = {}
    for family in FAMILIES:
        scores = {name: LightScores() for name in (*PEERS, *_names(arguments))}
        for clip in light_clips(arguments.data, family):
            for name, shots, found in _every_mask(clip, arguments):
                for shot, mask in zip(shots, found, strict=True):
                    if shot.scored is not None:
                        scores[name].add(mask, shot)
        result[family] = {name: score.result() for name, score in scores.items()}
    return result


def _names(arguments: argparse.Namespace) -> dict[str, str]:
    """Our names in the tables, and the estimator of each."""
    return {f"raftline, {estimator}": estimator for estimator in arguments.estimators}


def _every_mask(clip: Clip, arguments: argparse.Namespace) -> Iterator[tuple[str, list[Shot], Iterable[np.ndarray]]]:
    """Yield the name of each peer and of ours, the clip's shots, and its masks of them."""
    shots = list(clip.shots())
    for name, make in PEERS.items():
        peer = make()
        yield name, shots, (peer(shot.image) for shot in shots)
    for name, estimator in _names(arguments).items():
        yield name, shots, _ours(clip, shots, estimator, arguments, {})


def _scored(clips: list[Clip], arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores of each peer and of ours on the clips together."""
    scores = {name: MaskScores() for name in (*PEERS, *_names(arguments))}
    for clip in clips:
        for name, shots, found in _every_mask(clip, arguments):
            kept = _score(scores[name], shots, found)
            if arguments.images and name not in PEERS:
                _save_strip(arguments.images / f"masks_{clip.name}_{_names(arguments)[name]}.jpg", shots, kept)
    return {name: score.result() for name, score in scores.items()}


def _scored_loosely(clip: Clip, arguments: argparse.Namespace) -> dict[str, Any]:
    """For a truth outside of the image's edges: what a mask on the edges can reach, and ours with such a margin."""
    if not clip.loose:
        return {}
    shots = list(clip.shots())
    margin_px = drawn_outside_px((shot.image, shot.moves) for shot in shots)
    on_edges = MaskScores()
    _score(on_edges, shots, (shrunk(shot.moves, margin_px) for shot in shots))
    result = {f"the truth, shrunk by {margin_px} px to the edges": on_edges}
    for estimator in arguments.estimators:
        scores = result[f"raftline, {estimator}, margin_px {margin_px}"] = MaskScores()
        _score(scores, shots, _ours(clip, shots, estimator, arguments, {"margin_px": margin_px}))
    return {name: score.result() for name, score in result.items()}


def _ours(
    clip: Clip, shots: list[Shot], estimator: str, arguments: argparse.Namespace, options: dict[str, Any]
) -> Iterator[np.ndarray]:
    frames = (rgb_frame(shot.image, at, clip.fps) for at, shot in enumerate(shots))
    found = masks(flows(clip.name, frames, live_options(estimator), arguments.cache), options)
    return (np.asarray(mask.mask) > 0 for mask in found)


def _score(scores: MaskScores, shots: list[Shot], found: Iterable[np.ndarray]) -> dict[int, np.ndarray]:
    """Add a clip's masks; keep some of them."""
    kept = {}
    for at, (shot, mask) in enumerate(zip(shots, found, strict=True)):
        if shot.scored is not None:
            scores.add(mask, shot.moves, shot.scored)
        if at in _shown(len(shots)):
            kept[at] = mask
    return kept


def _shown(frames: int) -> list[int]:
    return [round(share * (frames - 1)) for share in (0.45, 0.7, 0.95)]


def _save_strip(path: Path, shots: list[Shot], kept: dict[int, np.ndarray]) -> None:
    """Masks in red over frames, the truth's outline in green."""
    path.parent.mkdir(parents=True, exist_ok=True)
    strip = []
    for at, mask in sorted(kept.items()):
        image = np.ascontiguousarray(shots[at].image[..., ::-1])
        image[mask] = image[mask] // 2 + np.array([0, 0, 127], np.uint8)
        outlines, _ = cv2.findContours(shots[at].moves.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, (0, 255, 0), 1)
        strip.append(cv2.resize(image, (427, 240), interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(path), np.hstack(strip), [cv2.IMWRITE_JPEG_QUALITY, 80])


def _events(arguments: argparse.Namespace) -> dict[str, Any]:
    """Events of the road camera in DVR-Scan's region; like that program's they go on for 2 s after the last motion."""
    folder = arguments.data / "video" / "static"
    told, (x, y, wide, high) = told_events(folder / "traffic_camera.txt", 25.0)
    left, top, right, bottom = x / 1280, y / 720, (x + wide) / 1280, (y + high) / 720
    zone = [(left, top), (right, top), (right, bottom), (left, bottom)]
    result: dict[str, Any] = {"DVR-Scan": told}
    for estimator in arguments.estimators:
        messages = _road_flows(arguments, estimator)
        result[f"raftline, {estimator}"] = events_of(masks(messages, {"watch": [zone], "after_seconds": 2.0}))
    return result


def _road_flows(arguments: argparse.Namespace, estimator: str) -> Iterator[Flow]:
    frames = video_frames(arguments.data / "video" / "static" / "traffic_camera.mp4")
    return flows("traffic_camera", frames, live_options(estimator), arguments.cache)


def events_of(found: Iterable[Mask]) -> list[tuple[float, float]]:
    """Begin and end in s of every event; the last one ends with the clip at the latest."""
    events: dict[int, MotionEvent] = {}
    last_seconds = moved_seconds = 0.0
    for mask in found:
        events |= {event.id: event for event in mask.events}
        last_seconds = mask.header.pts_seconds or 0.0
        moved_seconds = last_seconds if any(moving.moves for moving in mask.objects) else moved_seconds
    ends = {
        event.id: min(moved_seconds + event.after_seconds, last_seconds)
        if event.end_seconds is None
        else event.end_seconds
        for event in events.values()
    }
    return [(round(event.begin_seconds, 2), round(ends[event.id], 2)) for event in events.values()]


def _still(arguments: argparse.Namespace) -> dict[str, Any]:
    """Events in a scene where nothing moves: each is a false one."""
    photograph = sorted((arguments.data / "textures").glob("*.jpg"))[13]
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for estimator in arguments.estimators:
            minutes = arguments.raft_minutes if estimator == "raft" else arguments.minutes
            path = (arguments.cache or Path(folder)) / f"still_{minutes:g}.mp4"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_still_video(path, photograph, minutes)
            messages = flows(path.stem, video_frames(path), live_options(estimator), arguments.cache)
            found = list(_without_pixels(masks(messages)))
            result[f"raftline, {estimator}"] = {
                "minutes": minutes,
                "frames_per_second": STILL_FPS,
                "events": events_of(found),
                "frames_with_a_mask": sum(bool(mask.objects) for mask in found),
            }
    return result


def _without_pixels(found: Iterable[Mask]) -> Iterator[Mask]:
    for mask in found:
        yield Mask(mask.header, _NO_FRAME, np.zeros((1, 1), np.uint8), mask.objects, mask.events)


_NO_FRAME: Any = None


def _speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame of 720p beside the flow."""
    result = {}
    frames = [frame for frame, _ in zip(video_frames(_road(arguments)), range(300), strict=False)]
    for estimator in arguments.estimators:
        messages = [flow for flow, _ in zip(_road_flows(arguments, estimator), range(300), strict=False)]
        result[f"raftline, {estimator}"] = _timed_masks(messages)
    images = [cv2.cvtColor(np.asarray(frame.planes[0]), cv2.COLOR_GRAY2RGB) for frame in frames[:100]]
    for name, make in PEERS.items():
        result[name] = _timed(make(), images)
    return result


def _road(arguments: argparse.Namespace) -> Path:
    return arguments.data / "video" / "static" / "traffic_camera.mp4"


def _timed_masks(messages: list[Flow]) -> dict[str, Any]:
    stage = open_motion_mask({})
    return _timed(lambda flow: list(stage.process(flow)), messages)


def _timed(call: Any, inputs: list[Any]) -> dict[str, Any]:
    times_ms = []
    for value in inputs:
        begin = time.perf_counter()
        call(value)
        times_ms.append(1e3 * (time.perf_counter() - begin))
    return {**spread(times_ms[20:]), "p90": round(float(np.percentile(times_ms[20:], 90)), 2)}


_MEASURES = {
    "sprites": _sprites,
    "real": _real,
    "following": _following,
    "light": _light,
    "events": _events,
    "still": _still,
    "speed": _speed,
}


def _table(part: str, result: dict[str, Any]) -> Table:
    table = Table(title=part)
    rows = (
        [((clip, name), values) for clip, each in result.items() for name, values in each.items()]
        if part in ("sprites", "real", "following", "light")
        else [((name,), values) for name, values in result.items()]
    )
    names, first = rows[0]
    columns = list(first) if isinstance(first, dict) else ["events: begin, end, s"]
    for column in (*(("clip", "method") if len(names) == 2 else ("method",)), *columns):
        table.add_column(column)
    for names, values in rows:
        cells = values.values() if isinstance(values, dict) else [values]
        table.add_row(*names, *(str(cell) for cell in cells))
    return table


if __name__ == "__main__":
    main()
