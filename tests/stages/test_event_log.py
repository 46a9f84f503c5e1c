from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Mask, MotionEvent, MotionObject
from pipeline.testing import TestContext
from stages.event_log import EventLog
from tests.stages.pictures import end, yuv_frame
from tests.stages.stage_bench import Machine, bench_context


def mask(index: int, *events: MotionEvent, area_px: int = 0, objects: tuple[int, ...] = ()) -> Mask:
    frame = yuv_frame(index, 100 * index, 20, 10)
    values = np.zeros(200, np.uint8)
    values[:area_px] = 255
    moving = tuple(MotionObject(i, (0, 0, 2, 2), 4, (0.0, 0.0)) for i in objects)
    return Mask(frame.header, frame, values.reshape(10, 20), moving, events)


def begun(event: int, seconds: float) -> MotionEvent:
    return MotionEvent(event, seconds, None, seconds, 0.05, (event,))


def ended(event: int, begin: float, end_seconds: float) -> MotionEvent:
    path = ((begin, 4.0, 5.0),)
    return MotionEvent(event, begin, end_seconds, (begin + end_seconds) / 2, 0.25, (event, event + 1), path)


def script() -> list:
    return [
        mask(0),
        mask(1, begun(1, 0.1), area_px=10, objects=(1,)),
        mask(2, area_px=50, objects=(1, 2)),
        mask(3, ended(1, 0.1, 0.3)),
        mask(4, begun(2, 0.4), begun(3, 0.4), area_px=10),
        mask(5, ended(2, 0.4, 0.5), area_px=100, objects=(7,)),
        mask(6, area_px=20),
        end(7),
    ]


FIRST = {
    "source": "clip",
    "id": 1,
    "begin_seconds": 0.1,
    "end_seconds": 0.3,
    "duration_seconds": 0.2,
    "peak_seconds": 0.2,
    "peak_area": 0.25,
    "object_ids": [1, 2],
    "path": [[0.1, 4.0, 5.0]],
    "cut_short": False,
}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def camera(folder: Path) -> TestContext:
    return bench_context(folder, "rtsp://host", live=True)


def test_one_line_for_each_event_and_one_for_what_the_end_cut_short(tmp_path):
    Machine(EventLog, bench_context(tmp_path)).deliver(*script())
    assert [path.name for path in tmp_path.iterdir()] == ["clip.motion.jsonl"]
    first, second, third = lines(tmp_path / "clip.motion.jsonl")
    assert first == FIRST
    assert (second["id"], second["end_seconds"], second["cut_short"]) == (2, 0.5, False)
    # Nobody tells the peak and the path of an event that never ended: they are followed in the masks.
    assert (third["id"], third["end_seconds"], third["cut_short"]) == (3, 0.6, True)
    assert (third["peak_seconds"], third["peak_area"], third["object_ids"]) == (0.5, 0.5, [3, 7])
    assert third["path"][-1] == [0.5, 0.5, 0.5]  # the centre of the box (0, 0, 2, 2)


def test_where_nothing_moved_the_log_is_empty_and_there(tmp_path):
    Machine(EventLog, bench_context(tmp_path)).deliver(mask(0), end(1))
    assert (tmp_path / "clip.motion.jsonl").read_bytes() == b""


def test_a_source_without_frames_has_an_empty_log(tmp_path):
    Machine(EventLog, bench_context(tmp_path)).deliver(end(0))
    assert (tmp_path / "clip.motion.jsonl").read_bytes() == b""


def test_the_log_of_a_file_appears_when_it_is_complete(tmp_path):
    machine = Machine(EventLog, bench_context(tmp_path))
    machine.deliver(*script()[:5])
    assert not (tmp_path / "clip.motion.jsonl").exists()


def test_a_failed_file_leaves_no_log(tmp_path):
    Machine(EventLog, bench_context(tmp_path)).deliver(*script()[:5], end(7, "failed"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("kill_after", range(7))
def test_killed_after_any_message_no_line_is_lost_or_doubled(tmp_path, kill_after, live):
    machine = Machine(EventLog, camera(tmp_path) if live else bench_context(tmp_path))
    for index, message in enumerate(script()):
        machine.deliver(message)
        if index == kill_after:
            machine.kill()
    assert [line["id"] for line in lines(tmp_path / "clip.motion.jsonl")] == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.motion.jsonl"]


@pytest.mark.parametrize("live", [False, True])
def test_a_line_written_before_the_kill_but_not_committed_is_written_once(tmp_path, live):
    machine = Machine(EventLog, camera(tmp_path) if live else bench_context(tmp_path))
    machine.deliver(*script()[:3])
    machine.stage.process(script()[3])
    machine.kill()
    machine.deliver(*script()[3:])
    assert [line["id"] for line in lines(tmp_path / "clip.motion.jsonl")] == [1, 2, 3]


def test_events_of_a_camera_can_be_followed_and_tell_the_wall_clock(tmp_path):
    machine = Machine(EventLog, camera(tmp_path))
    machine.deliver(*script()[:4])
    (line,) = lines(tmp_path / "clip.motion.jsonl")
    assert {key: line[key] for key in FIRST} == FIRST
    assert line["begin_time"] == "1970-01-01T00:00:00.000Z"


def test_a_second_run_of_a_camera_adds_to_the_log_after_its_last_whole_line(tmp_path):
    log = tmp_path / "clip.motion.jsonl"
    Machine(EventLog, camera(tmp_path)).deliver(*script())
    before = log.read_text()
    log.write_text(before + '{"cut off in the mid')
    Machine(EventLog, camera(tmp_path)).deliver(*script())
    assert log.read_text().startswith(before)
    assert [line["id"] for line in lines(log)] == [1, 2, 3, 1, 2, 3]
