"""Clips around events, from a ring that a test fills; what ffprobe and FFmpeg make of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.messages import Header, Mask, MotionEvent
from pipeline.testing import TestContext
from raftline.packet_ring import PacketRing
from stages.recorder import Recorder
from stages.recorder import stage as recorder_stage
from stages.recorder.camera_recording import CameraRecording
from stages.shared.event_uid import event_uid
from tests.stages.frames import end, yuv_frame
from tests.stages.recorder.packets import FPS, Camera, arrival_ns, shown_numbers
from tests.stages.stage_bench import Machine, bench_context

SHORT = {"before_seconds": 1.5, "after_seconds": 1.0}


class Scene:
    """A camera, its recorder, and masks that follow the packets."""

    def __init__(self, folder: Path, encoder: str = "libx264", **options) -> None:
        self.context = bench_context(folder, "rtsp://host", live=True)
        ring = self.context.run_folder("packets", 1)
        assert ring is not None
        self.ring = PacketRing(ring, 30, 1 << 24)
        self.camera = Camera(self.ring, encoder)
        self.machine = Machine(Recorder, self.context, **{**SHORT, "least_free_mb": 0, **options})
        self.folder = folder / "clip.recordings"

    def play(self, frames: range, events: dict[int, MotionEvent] | None = None) -> None:
        for number in frames:
            self.camera.send(number + 1)
            self.machine.deliver(mask(number, *((events or {})[number],) if number in (events or {}) else ()))

    def finish(self, number: int) -> None:
        self.machine.deliver(replace(end(number), header=mask(number).header))

    def clips(self) -> list[Path]:
        return sorted(self.folder.glob("*.mp4"))

    def record(self, clip: Path) -> dict:
        return json.loads(clip.with_suffix(".json").read_text())


@pytest.fixture
def make() -> Iterator[Callable[..., Scene]]:
    """Makes scenes, and closes them."""
    made: list[Scene] = []

    def new(folder: Path, encoder: str = "libx264", **options: Any) -> Scene:
        made.append(Scene(folder, encoder, **options))
        return made[-1]

    yield new
    for scene in made:
        scene.machine.close()
        scene.ring.close()


def mask(number: int, *events: MotionEvent) -> Mask:
    frame = yuv_frame(number, number * 1000 // FPS, 16, 8)
    header: Header = replace(frame.header, arrival_ns=arrival_ns(number), sequence=number)
    return Mask(header, replace(frame, header=header), np.zeros((8, 16), np.uint8), (), events)


def begins(id: int, frame: int) -> MotionEvent:
    return MotionEvent(id, frame / FPS, None, frame / FPS, 0.1)


def ends(id: int, frame: int, begin: int = 0) -> MotionEvent:
    return MotionEvent(id, begin / FPS, frame / FPS, begin / FPS, 0.1)


def probe(path: Path) -> dict:
    command = ["ffprobe", "-v", "error", "-count_frames", "-of", "json", "-show_streams", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]


def test_an_event_whose_begin_this_stage_never_got_is_recorded_from_its_begin(
    tmp_path: Path, make: Callable[..., Scene]
) -> None:
    scene = make(tmp_path)
    scene.play(range(100), {62: ends(1, 60, begin=45)})
    (clip,) = scene.clips()
    assert shown_numbers(str(clip)) == list(range(30, 71))  # out of the ring


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_a_clip_begins_before_its_event_to_the_frame_and_ends_after_it(
    tmp_path: Path, encoder: str, make: Callable[..., Scene]
) -> None:
    scene = make(tmp_path, encoder)
    scene.play(range(100), {48: begins(1, 45), 62: ends(1, 60)})
    (clip,) = scene.clips()
    assert shown_numbers(str(clip)) == list(range(30, 71))  # 1.5 s before 45, 1 s after 60
    found = probe(clip)
    assert found["codec_name"] == scene.camera._codec and int(found["nb_read_frames"]) == 41
    assert float(found["start_time"]) == 0
    assert found["codec_tag_string"] == {"libx264": "avc1", "libx265": "hvc1"}[encoder]
    record = scene.record(clip)
    assert record["events"] == [event_uid("clip", arrival_ns(48), 1)]
    assert (record["begin_ns"], record["end_ns"]) == (arrival_ns(30), arrival_ns(70))
    assert clip.name.startswith("clip_2023-11-1") and scene.context.counts == {} and scene.machine.counts["clips"] == 1
    assert sorted(path.name for path in scene.folder.iterdir()) == [clip.with_suffix(".json").name, clip.name]


def test_events_that_touch_share_a_clip_and_others_have_their_own(tmp_path: Path, make: Callable[..., Scene]) -> None:
    scene = make(tmp_path)
    events = {
        20: begins(1, 20),
        30: begins(2, 30),
        35: ends(1, 33),
        40: ends(2, 38),
        45: begins(3, 45),
        50: ends(3, 50),
    }
    scene.play(range(150), {**events, 100: begins(4, 100), 110: ends(4, 110)})
    first, second = scene.clips()
    assert shown_numbers(str(first)) == list(range(5, 61))
    assert shown_numbers(str(second)) == list(range(85, 121))
    assert [len(scene.record(clip)["events"]) for clip in (first, second)] == [3, 1]


def test_a_clip_that_is_recorded_can_be_played_and_a_cut_costs_a_second(
    tmp_path: Path, make: Callable[..., Scene]
) -> None:
    scene = make(tmp_path)
    scene.play(range(90), {20: begins(1, 20)})
    (clip,) = scene.clips()
    assert clip.name.endswith(".growing.mp4")
    assert scene.record(clip.with_name(clip.name.replace(".growing", "")))["end_ns"] is None
    cut = tmp_path / "cut.mp4"
    shutil.copyfile(clip, cut)
    seen = shown_numbers(str(cut))
    assert seen[0] == 0 and len(seen) >= 90 - 1.2 * FPS and seen == list(range(len(seen)))
    os.truncate(cut, cut.stat().st_size // 2)
    assert int(probe(cut)["nb_read_frames"]) > 20


def test_a_recorder_that_was_killed_finishes_the_clip_and_goes_on_without_a_hole(
    tmp_path: Path, make: Callable[..., Scene]
) -> None:
    scene = make(tmp_path)
    scene.play(range(60), {20: begins(1, 20)})
    killed = scene.machine.stage
    scene.machine.kill()
    scene.play(range(60, 100), {80: ends(1, 80)})
    killed._recording._open.clip._file.close()
    first, second = scene.clips()
    a, b = shown_numbers(str(first)), shown_numbers(str(second))
    assert a == list(range(5, 5 + len(a))) and b[-1] == 90
    assert set(a) | set(b) == set(range(5, 91))
    assert scene.record(first)["events"] == scene.record(second)["events"]


def test_a_reconnect_begins_a_new_clip_with_its_own_times(tmp_path: Path, make: Callable[..., Scene]) -> None:
    scene = make(tmp_path)
    scene.play(range(45), {20: begins(1, 20)})
    scene.camera.connect()  # its next frame is 50
    scene.play(range(50, 100), {80: ends(1, 80)})
    first, second = scene.clips()
    assert shown_numbers(str(first)) == list(range(5, 45))
    assert shown_numbers(str(second)) == list(range(50, 91))


def test_a_long_event_is_cut_at_keyframes_and_nothing_is_lost_between(
    tmp_path: Path, make: Callable[..., Scene]
) -> None:
    scene = make(tmp_path, longest_seconds=3)
    scene.play(range(100), {20: begins(1, 20), 80: ends(1, 80)})
    assert [n for clip in scene.clips() for n in shown_numbers(str(clip))] == list(range(5, 91))
    assert len(scene.clips()) == 4


def test_recording_always_marks_the_clips_with_motion(tmp_path: Path, make: Callable[..., Scene]) -> None:
    scene = make(tmp_path, record="always", longest_seconds=3, keep_still_days=None)
    scene.play(range(120), {65: begins(1, 65), 70: ends(1, 70)})
    scene.finish(120)
    assert [n for clip in scene.clips() for n in shown_numbers(str(clip))] == list(range(120))
    assert [len(scene.record(clip)["events"]) for clip in scene.clips()] == [0, 0, 1, 0]


def test_the_end_of_the_source_finishes_the_clip(tmp_path: Path, make: Callable[..., Scene]) -> None:
    scene = make(tmp_path)
    scene.play(range(60), {50: begins(1, 50)})
    scene.finish(60)
    (clip,) = scene.clips()
    assert shown_numbers(str(clip)) == list(range(35, 60))


def _old(folder: Path, name: str, days: float, size: int, events: tuple[str, ...] = ("e",)) -> Path:
    folder.mkdir(exist_ok=True)
    clip = folder / name
    clip.write_bytes(bytes(size))
    values = {"source": "clip", "begin_ns": 0, "begin_seconds": 0, "codec": "h264", "width": 1, "height": 1}
    clip.with_suffix(".json").write_text(json.dumps({**values, "end_ns": 1, "events": events}))
    at = time.time() - days * 86400
    os.utime(clip, (at, at))
    return clip


def test_old_clips_go_by_age_by_motion_and_by_bytes_and_protected_ones_stay(
    tmp_path: Path, make: Callable[..., Scene]
) -> None:
    folder = tmp_path / "clip.recordings"
    ancient, kept = _old(folder, "a.mp4", 30, 10), _old(folder, "b.mp4", 30, 10)
    (folder / "b.mp4.keep").touch()
    still = _old(folder, "c.mp4", 3, 10, events=())
    large = _old(folder, "d.mp4", 2, 600_000)
    newest = _old(folder, "e.mp4", 1, 500_000)
    others = _old(folder, "f.mp4", 90, 10)
    others.with_suffix(".json").unlink()  # not one of ours
    scene = make(tmp_path, keep_days=14, keep_still_days=2, keep_mb=1)
    scene.play(range(2))
    assert [path.exists() for path in (ancient, kept, still, large, newest, others)] == [
        False, True, False, False, True, True
    ]  # fmt: skip
    assert scene.machine.counts["clips_deleted"] == 3


def test_a_full_disk_is_said_and_recording_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch, make: Callable[..., Scene]
) -> None:
    monkeypatch.setattr(recorder_stage, "_RETRY_SECONDS", 0.0)
    scene = make(tmp_path)
    copy = CameraRecording.copy

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    scene.play(range(25), {20: begins(1, 20)})
    monkeypatch.setattr(CameraRecording, "copy", full)
    scene.play(range(25, 27))
    assert scene.context.said["recording"] == "no: No space left on device"
    monkeypatch.setattr(CameraRecording, "copy", copy)
    scene.play(range(27, 80), {40: ends(1, 40)})
    assert shown_numbers(str(scene.clips()[-1]))[-1] == 50
    assert scene.context.said["recording"] == "yes"


def test_what_has_no_packets_is_not_recorded_and_the_status_says_so(tmp_path: Path) -> None:
    context: TestContext = bench_context(tmp_path, "clip.mp4")
    Machine(Recorder, context).deliver(mask(0, begins(1, 0)), mask(1, ends(1, 1)), end(2))
    assert "only cameras are recorded" in str(context.said["recording"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_the_source_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"add \{source\}"):
        Recorder.Options.model_validate({"folder": "clips"})
