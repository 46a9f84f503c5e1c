"""What counts as an event, and for which zones, speeds and directions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.messages import Flow, Frame, Header
from pipeline.testing import run_stage
from stages.motion_mask import MotionMask
from tests.data import data_path
from tests.raftline.synthetic_motion import HEIGHT, WIDTH
from tests.stages.moving_clip import BEGINS, ENDS, clip, masks_of


@pytest.fixture(scope="module")
def still() -> list[Flow]:
    return clip()


def test_an_event_tells_when_motion_began_and_ended(still: list[Flow]) -> None:
    masks = masks_of(run_stage(MotionMask, still, {"merge_seconds": 0.3}))
    began, ended = [event for mask in masks for event in mask.events]
    assert began.end_seconds is None and began.id == ended.id
    assert ended.begin_seconds == pytest.approx(BEGINS / 30, abs=0.07)
    assert ended.end_seconds == pytest.approx(ENDS / 30, abs=0.07)
    # where it starts from is for some frames taken to be a part of it
    assert 1200 <= ended.peak_area * WIDTH * HEIGHT < 1900
    assert ended.object_ids == (masks[30].objects[0].id,)


def test_an_event_knows_its_path(still: list[Flow]) -> None:
    masks = masks_of(run_stage(MotionMask, still, {"merge_seconds": 0.3}))
    (path,) = [event.path for mask in masks for event in mask.events if event.end_seconds is not None]
    assert path[-1] == pytest.approx((ENDS / 30, 149.5, 84.5), abs=3)
    assert np.diff([place[1] for place in path]).min() >= 0


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"direction_degrees": 0.0}, True),
        ({"direction_degrees": 180.0}, False),
        ({"slowest_px_s": 150.0}, False),
        ({"fastest_px_s": 50.0}, False),
        ({"fastest_m_s": 3.0, "metres_per_px": 0.1}, False),
        ({"slowest_m_s": 3.0, "metres_per_px": 0.1}, True),
    ],
)
def test_objects_count_by_speed_and_direction(still: list[Flow], options: dict, seen: bool) -> None:
    masks = masks_of(run_stage(MotionMask, still, options))  # it goes to the right at 90 px/s
    assert any(mask.objects for mask in masks) == seen


def test_a_speed_in_metres_needs_the_ground_scale() -> None:
    with pytest.raises(ValidationError, match="need metres_per_px"):
        MotionMask.Options.model_validate({"slowest_m_s": 2.0})


def test_what_is_seen_too_shortly_never_shows(still: list[Flow]) -> None:
    masks = masks_of(run_stage(MotionMask, still, {"persistence_seconds": 2.0}))
    assert not any(np.asarray(mask.mask).any() or mask.objects or mask.events for mask in masks)


@pytest.mark.parametrize(
    ("zones", "seen"),
    [
        ({"watch": [[(0, 0), (1, 0), (1, 0.3), (0, 0.3)]]}, False),
        ({"watch": [[(0, 0.3), (1, 0.3), (1, 0.7), (0, 0.7)]]}, True),
        ({"ignore": [[(0, 0.3), (1, 0.3), (1, 0.7), (0, 0.7)]]}, False),
    ],
)
def test_zones_say_where_motion_counts(still: list[Flow], zones: dict, seen: bool) -> None:
    masks = masks_of(run_stage(MotionMask, still, zones))
    assert any(np.asarray(mask.mask).any() for mask in masks) == seen


@pytest.mark.parametrize("options", [{"watch": [[(0, 0), (1, 1)]]}, {"ignore": [[(0, 0), (2, 0), (1, 1)]]}])
def test_a_wrong_zone_is_refused_with_its_corners(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="at least 3 corners"):
        MotionMask.Options(**options)


def test_events_of_a_real_road_are_those_of_another_program() -> None:
    """DVR-Scan's events in its region, with its 2 s after the last motion; frames and flow at half size and rate."""
    video = cv2.VideoCapture(str(data_path("video", "static", "traffic_camera.mp4")))
    x, y, wide, high = 631 / 1280, 532 / 720, 210 / 1280, 127 / 720
    zone = [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]
    options = {"watch": [zone], "min_area": 0.0003, "after_seconds": 2.0}
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def flows() -> Any:
        earlier, at = None, -1
        while True:
            at += 1
            there, image = video.read()
            if not there:
                return
            if at % 2:
                continue
            luma = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (640, 360), interpolation=cv2.INTER_AREA)
            head = Header("source", at, Fraction(1, 25), 10**18, 1, at + 1)
            frame = Frame(head, at // 2, 640, 360, "gray8", (luma,), "bt709", "pc")
            if earlier is None:
                yield Flow(head, frame, "first", None)
            else:
                flow_px = np.asarray(dis.calc(earlier, luma, None), np.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
                grid = cv2.resize(flow_px, (80, 45), interpolation=cv2.INTER_AREA)
                yield Flow(head, frame, "cold", grid, step_seconds=2 / 25)
            earlier = luma

    masks = masks_of(run_stage(MotionMask, flows(), options))
    began = [event.begin_seconds for mask in masks for event in mask.events if event.end_seconds is None]
    ended = [event.end_seconds for mask in masks for event in mask.events if event.end_seconds is not None]
    assert began == pytest.approx([0.4, 14.36, 21.72], abs=0.5)
    assert ended == pytest.approx([5.92, 19.6], abs=0.5)  # the third goes on to the clip's end
