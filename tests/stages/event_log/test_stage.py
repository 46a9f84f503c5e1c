from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.arrays import LazyArray, Part
from pipeline.errors import StalePayloadError
from pipeline.messages import Data, Mask, Message, MotionEvent, MotionObject
from pipeline.runtime.entries import tells_once
from pipeline.testing import TestContext, run_stage
from raftline.event_database import NAME, Event, EventDatabase, Filter
from stages.event_log import EventLog
from stages.shared.event_uid import event_uid
from tests.stages.frames import end, gap, yuv_frame
from tests.stages.stage_bench import Machine, bench_context


def mask(index: int, *events: MotionEvent, area_px: int = 0, objects: tuple[int, ...] = ()) -> Mask:
    """objects: their ids, negative for those that stand."""
    frame = yuv_frame(index, 100 * index, 20, 10)
    values = np.zeros(200, np.uint8)
    values[:area_px] = 255
    moving = tuple(
        MotionObject(abs(i), (0, 0, 2, 2), 4, (3.0, 4.0), i > 0, ("gate",) if i == 1 else ()) for i in objects
    )
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
    "uid": event_uid("clip", 0.1, 1),
    "begin_seconds": 0.1,
    "end_seconds": 0.3,
    "duration_seconds": 0.2,
    "peak_seconds": 0.2,
    "peak_area": 0.25,
    "object_ids": [1, 2],
    "path": [[0.1, 4.0, 5.0]],
    "speed_px_s": 5.0,
    "direction_degrees": 53.1,
    "zones": ["gate"],
    "uncertain": False,
    "cut_short": False,
}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def files(folder: Path) -> list[str]:
    """Names of those that are there beside the database."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("events.db"))


def camera(folder: Path) -> TestContext:
    return bench_context(folder, "rtsp://host", live=True)


def test_one_line_for_each_event_and_one_for_what_the_end_cut_short(tmp_path):
    Machine(EventLog, bench_context(tmp_path)).deliver(*script())
    assert files(tmp_path) == ["clip.motion.jsonl"]
    first, second, third = lines(tmp_path / "clip.motion.jsonl")
    assert first == FIRST
    assert (second["id"], second["end_seconds"], second["cut_short"]) == (2, 0.5, False)
    # Nobody tells the peak and the path of an event that never ended: they are followed in the masks.
    assert (third["id"], third["end_seconds"], third["cut_short"]) == (3, 0.6, True)
    assert (third["peak_seconds"], third["peak_area"], third["object_ids"]) == (0.5, 0.5, [3, 7])
    assert third["path"][-1] == [0.5, 0.5, 0.5]  # the centre of the box (0, 0, 2, 2)


@pytest.mark.parametrize(
    ("at", "after_seconds", "end_seconds", "cut_short"),
    [
        ((0, 400, 900, 1000), 0.0, 0.4, False),
        ((0, 430, 470, 1000), 0.0, 0.43, False),
        ((0, 400, 900, 1000), 0.5, 0.9, False),
        ((0, 400, 900, 1000), 2.0, 1.0, False),
        ((0, 400, 500), 0.0, 0.4, False),
        ((0, 400), 0.0, 0.4, True),
        ((0, 400), 2.0, 0.4, True),
    ],
)
def test_an_event_that_the_source_ends_with_lasts_as_long_as_its_motion(
    at: tuple[int, ...], after_seconds: float, end_seconds: float, cut_short: bool, tmp_path
) -> None:
    """What moves in the first two frames, stands in the third, and is out of the mask in those after it."""
    event = MotionEvent(1, 0.0, None, 0.0, 0.05, (1,), after_seconds=after_seconds)
    frames = [yuv_frame(index, time_ms, 20, 10) for index, time_ms in enumerate(at)]
    seen = [
        mask(0, event, area_px=9, objects=(1,)),
        mask(1, area_px=9, objects=(1,)),
        mask(2, area_px=9, objects=(-1,)),
    ]
    seen = [*seen, mask(3)][: len(at)]
    masks = [replace(each, header=frame.header, frame=frame) for each, frame in zip(seen, frames, strict=True)]
    Machine(EventLog, bench_context(tmp_path)).deliver(*masks, end(9))
    (line,) = lines(tmp_path / "clip.motion.jsonl")
    assert (line["end_seconds"], line["cut_short"]) == (pytest.approx(end_seconds), cut_short)


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
    assert files(tmp_path) == []


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("kill_after", range(7))
def test_killed_after_any_message_no_line_is_lost_or_doubled(tmp_path, kill_after, live):
    machine = Machine(EventLog, camera(tmp_path) if live else bench_context(tmp_path))
    for index, message in enumerate(script()):
        machine.deliver(message)
        if index == kill_after:
            machine.kill()
    assert [line["id"] for line in lines(tmp_path / "clip.motion.jsonl")] == [1, 2, 3]
    assert files(tmp_path) == ["clip.motion.jsonl"]


@pytest.mark.parametrize("live", [False, True])
def test_killed_after_the_end_and_before_that_counts_the_log_is_complete(tmp_path, live):
    context = camera(tmp_path) if live else bench_context(tmp_path)
    *masks, _ = script()
    run_stage(EventLog, masks, {}, context, killed_after=[len(masks)])
    assert [line["id"] for line in lines(tmp_path / "clip.motion.jsonl")] == [1, 2, 3]
    assert files(tmp_path) == ["clip.motion.jsonl"]


@pytest.mark.parametrize("live", [False, True])
def test_a_line_written_before_the_kill_but_not_committed_is_written_once(tmp_path, live):
    machine = Machine(EventLog, camera(tmp_path) if live else bench_context(tmp_path))
    machine.deliver(*script()[:3])
    list(machine.stage.process(script()[3]))
    machine.kill()
    machine.deliver(*script()[3:])
    assert [line["id"] for line in lines(tmp_path / "clip.motion.jsonl")] == [1, 2, 3]


def test_events_of_a_camera_can_be_followed_and_tell_the_wall_clock(tmp_path):
    machine = Machine(EventLog, camera(tmp_path))
    machine.deliver(*script()[:4])
    (line,) = lines(tmp_path / "clip.motion.jsonl")
    assert {key: line[key] for key in FIRST} == FIRST | {"uid": line["uid"]}
    assert line["begin_time"] == "1970-01-01T00:00:00.000Z"


def test_a_second_run_of_a_camera_adds_to_the_log_after_its_last_whole_line(tmp_path):
    log = tmp_path / "clip.motion.jsonl"
    Machine(EventLog, camera(tmp_path)).deliver(*script())
    before = log.read_text()
    log.write_text(before + '{"cut off in the mid')
    Machine(EventLog, camera(tmp_path)).deliver(*script())
    assert log.read_text().startswith(before)
    assert [line["id"] for line in lines(log)] == [1, 2, 3, 1, 2, 3]


def test_uids_differ_between_runs_of_a_camera_and_stay_for_a_file(tmp_path):
    def uids(context: TestContext, later_ns: int) -> list[str]:
        later = [replace(m, header=replace(m.header, arrival_ns=m.header.arrival_ns + later_ns)) for m in script()]
        made = Machine(EventLog, context).deliver(*later)
        ended = [event["uid"] for event in published(made)]
        assert sorted(ended) == sorted(event["uid"] for event in begun_events(made))
        return ended

    first, second = (uids(camera(tmp_path), later_ns) for later_ns in (0, 10**10))
    assert len({*first, *second}) == 6
    assert uids(bench_context(tmp_path), 0) == uids(bench_context(tmp_path), 10**10)


THUMBNAILS = {"thumbnails": "{source}.events"}


def published(messages: list[Message]) -> list[dict]:
    """The events on the stream, whose sequences have to grow."""
    sequences = [message.header.sequence for message in messages]
    assert sequences == sorted(set(sequences))
    return [event for message in messages if isinstance(message, Data) for event in message.values["events"]]


def begun_events(messages: list[Message]) -> list[dict]:
    return [event for message in messages if isinstance(message, Data) for event in message.values["begun"]]


def test_the_stream_reports_what_the_log_does_thumbnails_included(tmp_path):
    made = Machine(EventLog, bench_context(tmp_path), **THUMBNAILS).deliver(*script())
    assert [message.header.sequence for message in made] == [1, 3, 4, 5, 6]  # 2 ends at 5, while 3 runs: published at 6
    assert [event["id"] for event in begun_events(made)] == [1, 2, 3]
    assert {"source": "clip", "id": 1, "uid": FIRST["uid"], "begin_seconds": 0.1} == begun_events(made)[0]
    assert published(made) == lines(tmp_path / "clip.motion.jsonl")
    assert all(tells_once(message) for message in made if isinstance(message, Data))
    assert published(made)[0]["thumbnail"] == "clip.events/000001.jpg"


def test_what_ends_in_the_last_mask_and_what_the_end_cuts_short_are_published_together(tmp_path):
    messages = [mask(0), mask(1, begun(1, 0.1)), mask(2, ended(1, 0.1, 0.2), begun(2, 0.2), area_px=9), end(3)]
    made = Machine(EventLog, bench_context(tmp_path)).deliver(*messages)
    assert len(made) == 2 and [event["id"] for event in published(made[1:])] == [1, 2]


def test_everything_is_published_before_a_gap_is_passed_on(tmp_path):
    machine = Machine(EventLog, bench_context(tmp_path))
    machine.deliver(mask(0, begun(1, 0.1)), mask(1, ended(1, 0.1, 0.2), begun(2, 0.2), area_px=9))
    before_gap = machine.deliver(gap(2))
    assert [event["id"] for event in published(before_gap)] == [1]
    assert [event["id"] for event in begun_events(before_gap)] == [2]
    assert [event["id"] for event in published(machine.deliver(mask(3), end(4)))] == [2]


@pytest.mark.parametrize("kill_after", range(7))
def test_killed_after_any_message_everything_is_published_once(tmp_path, kill_after):
    machine = Machine(EventLog, bench_context(tmp_path))
    made = []
    for index, message in enumerate(script()):
        made += machine.deliver(message)
        if index == kill_after:
            machine.committed = json.loads(json.dumps(machine.committed))
            made += machine.kill()
    assert published(made) == lines(tmp_path / "clip.motion.jsonl")
    assert [event["id"] for event in begun_events(made)] == [1, 2, 3]


def test_an_event_of_uncertain_masks_is_uncertain_also_when_it_is_cut_short(tmp_path):
    doubtful = [replace(mask(at, area_px=9), uncertain=True) for at in (1, 2)]
    machine = Machine(EventLog, bench_context(tmp_path))
    machine.deliver(mask(0, begun(1, 0.0), area_px=9), *doubtful, mask(3), mask(4), end(5))
    assert [line["uncertain"] for line in lines(tmp_path / "clip.motion.jsonl")] == [True]
    machine = Machine(EventLog, bench_context(tmp_path))
    machine.deliver(mask(0, begun(1, 0.0)), mask(1, replace(ended(1, 0.0, 0.1), uncertain=True)), end(2))
    assert [line["uncertain"] for line in lines(tmp_path / "clip.motion.jsonl")] == [True]


def thumbnails(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("clip.events/*"))


def test_each_event_has_a_thumbnail_of_its_peak(tmp_path):
    Machine(EventLog, bench_context(tmp_path), **THUMBNAILS).deliver(*script())
    assert thumbnails(tmp_path) == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert [line["thumbnail"] for line in lines(tmp_path / "clip.motion.jsonl")] == [
        f"clip.events/00000{event}.jpg" for event in (1, 2, 3)
    ]
    # Frames show their number in eight columns, the lowest bit first: the most of the third moves in frame 5.
    image = cv2.imread(str(tmp_path / "clip.events" / "000003.jpg"), cv2.IMREAD_GRAYSCALE)
    assert image is not None and image.shape == (10, 20)
    assert [int(image[8, x]) > 120 for x in (1, 4, 7, 10)] == [True, False, True, False]


def test_thumbnails_are_no_larger_than_asked_and_only_so_many_are_kept(tmp_path):
    options = {**THUMBNAILS, "thumbnail_px": 16, "thumbnails_kept": 2}
    Machine(EventLog, bench_context(tmp_path), **options).deliver(*script())
    assert thumbnails(tmp_path) == ["000002.jpg", "000003.jpg"]
    image = cv2.imread(str(tmp_path / "clip.events" / "000003.jpg"))
    assert image is not None and image.shape == (8, 16, 3)


@pytest.mark.parametrize("kill_after", range(7))
def test_killed_after_any_message_every_event_has_its_thumbnail(tmp_path, kill_after):
    machine = Machine(EventLog, bench_context(tmp_path), **THUMBNAILS)
    for index, message in enumerate(script()):
        machine.deliver(message)
        if index == kill_after:
            machine.kill()
    assert thumbnails(tmp_path) == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert all(line["thumbnail"] for line in lines(tmp_path / "clip.motion.jsonl"))


def test_thumbnails_of_an_earlier_run_and_of_a_failed_one_do_not_stay(tmp_path):
    (tmp_path / "clip.events").mkdir()
    for name in ("000009.jpg", "mine.jpg"):
        (tmp_path / "clip.events" / name).touch()
    Machine(EventLog, bench_context(tmp_path), **THUMBNAILS).deliver(*script())
    assert thumbnails(tmp_path) == ["000001.jpg", "000002.jpg", "000003.jpg", "mine.jpg"]
    Machine(EventLog, bench_context(tmp_path), **THUMBNAILS).deliver(*script()[:5], end(7, "failed"))
    assert thumbnails(tmp_path) == ["mine.jpg"]


def test_a_cameras_thumbnails_are_named_by_time_because_ids_start_again(tmp_path):
    Machine(EventLog, camera(tmp_path), **THUMBNAILS).deliver(*script()[:4])
    assert thumbnails(tmp_path) == ["19700101T000000Z-000001.jpg"]
    Machine(EventLog, camera(tmp_path), **THUMBNAILS).deliver(end(0, "failed"))
    assert thumbnails(tmp_path) == ["19700101T000000Z-000001.jpg"]


@pytest.mark.parametrize(
    ("folder", "words"),
    [("events", "has no {source}"), ("{source}/{id}", "holds {id}; allowed are {source} and {stage}")],
)
def test_a_folder_that_sources_would_share_is_refused(folder, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        EventLog.Options.model_validate({"thumbnails": folder})


def rows(folder: Path) -> list[Event]:
    """Of the database, oldest first."""
    with EventDatabase.opened(folder / NAME) as database:
        return database.find(Filter())[::-1]


def test_the_database_has_each_event_from_its_begin_on(tmp_path):
    machine = Machine(EventLog, camera(tmp_path))
    machine.deliver(*script()[:2])
    (open_event,) = rows(tmp_path)
    assert (open_event.until, open_event.source, open_event.live) == (None, "clip", True)
    machine.deliver(*script()[2:])
    written = lines(tmp_path / "clip.motion.jsonl")
    assert [row.uid for row in rows(tmp_path)] == [line["uid"] for line in written]
    first = rows(tmp_path)[0]
    assert (first.end_seconds, first.peak_area, first.speed_px_s, first.zones) == (0.3, 0.25, 5.0, ("gate",))
    assert (first.width, first.height, first.cut_short) == (20, 10, False)
    assert first.cells.count(0) < len(first.cells) and first.features["objects"] == 2
    assert rows(tmp_path)[2].cut_short


@pytest.mark.parametrize("kill_after", range(7))
def test_killed_after_any_message_each_event_is_in_the_database_once(kill_after, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    Machine(EventLog, bench_context(whole)).deliver(*script())
    machine = Machine(EventLog, bench_context(killed))
    machine.deliver(*script()[: kill_after + 1])
    machine.kill()
    machine.deliver(*script()[kill_after + 1 :])
    assert rows(killed) == rows(whole)


def test_a_failed_file_leaves_the_events_of_an_earlier_run(tmp_path):
    Machine(EventLog, bench_context(tmp_path)).deliver(*script())
    before = [row.uid for row in rows(tmp_path)]
    Machine(EventLog, bench_context(tmp_path)).deliver(*script()[:5], end(7, "failed"))
    assert [row.uid for row in rows(tmp_path)] == before


def test_an_event_is_told_though_the_pixels_at_its_begin_and_end_are_gone(tmp_path: Path) -> None:
    def gone(message: Mask) -> Mask:
        array = LazyArray(message.mask.shape, np.dtype(np.uint8), stale)
        return replace(message, mask=array, frame=replace(message.frame, planes=(array, array, array)))

    def stale(part: Part) -> np.ndarray:
        raise StalePayloadError("recycled")

    context = bench_context(tmp_path, live=True)
    options = EventLog.Options.model_validate({"thumbnails": "{source}", "database": None})
    log = EventLog(options, context)
    log.open()
    begin, between, last = script()[1:4]
    told = [*log.recycled(gone(begin)), *log.process(between), *log.recycled(gone(last)), *log.flush(script()[-1])]
    log.close()
    (line,) = lines(context.output("{source}.motion.jsonl").path)
    assert (line["begin_seconds"], line["end_seconds"], line["cut_short"]) == (0.1, 0.3, False)
    assert [value["id"] for data in told if isinstance(data, Data) for value in data.values["events"]] == [1]
