from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.messages import Flow, Frame, Gap, Header, Mask, Message
from pipeline.testing import TestContext, run_stage
from stages.motion.camera.transforms import transform_points
from stages.motion.picture.warp import warp_image
from stages.motion_mask import MotionMask
from tests.data import data_path
from tests.motion.synthetic import HEIGHT, WIDTH, similarity, textured

WORLD = textured(WIDTH, HEIGHT)
SPRITE = textured(40, 30, seed=9)
BEGINS, ENDS, FRAMES = 10, 40, 60


def header(at: int) -> Header:
    return Header("source", at, Fraction(1, 30), 10**18 + at, epoch=1, sequence=at + 1)


def truth(at: int) -> np.ndarray:
    """The sprite stands before `BEGINS`, moves 3 px a frame, and stands after `ENDS`."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    left = 40 + 3 * min(max(at - BEGINS, 0), ENDS - BEGINS)
    mask[70:100, left : left + 40] = True
    return mask


def scene(at: int) -> np.ndarray:
    picture = WORLD.copy()
    picture[truth(at)] = SPRITE.ravel()
    return picture


def clip(shake: float = 0.0, pan: float = 0.0, noise: float = 2.0) -> list[Flow]:
    """Frames and exact flow; the camera turns and shifts by a known path."""
    rng = np.random.default_rng(0)
    flows, before = [], np.eye(3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    for at in range(FRAMES):
        camera = similarity(*(rng.normal(0, shake, 2) + (pan * at, 0)), degrees=float(rng.normal(0, shake / 8)))
        picture = warp_image(scene(at), camera) + rng.normal(0, noise, (HEIGHT, WIDTH))
        frame = Frame(
            header(at), at, WIDTH, HEIGHT, "gray8", (np.clip(picture, 0, 255).astype(np.uint8),), "bt709", "pc"
        )
        if at == 0:
            flows.append(Flow(header(at), frame, "first", None))
        else:
            world = transform_points(np.linalg.inv(before), points)
            moves = BEGINS < at <= ENDS
            on_sprite = warp_image(truth(at - 1).astype(np.uint8), before, "linear").ravel() > 0
            world[on_sprite] += (3.0 * moves, 0.0)
            flow_px = (transform_points(camera, world) - points).reshape(HEIGHT, WIDTH, 2)
            grid = cv2.resize(flow_px, (-(-WIDTH // 8), -(-HEIGHT // 8)), interpolation=cv2.INTER_AREA)
            flows.append(Flow(
                header(at), frame, "cold", grid.astype(np.float32), flow_px.astype(np.float16),
                previous_index=at - 1, step_seconds=1 / 30,
            ))  # fmt: skip
        before = camera
    return flows


@pytest.fixture(scope="module")
def still() -> list[Flow]:
    return clip()


def masks_of(messages: Sequence[Message]) -> list[Mask]:
    return [message for message in messages if isinstance(message, Mask)]


def f_score(masks: Sequence[Mask], truths: Sequence[np.ndarray]) -> float:
    found = np.stack([np.asarray(mask.mask) > 0 for mask in masks])
    right = np.stack(truths)
    return float(2 * (found & right).sum() / (found.sum() + right.sum()))


AWAY = range(BEGINS + 15, ENDS + 1)
"""It moves, and has left the place where it was taken for background."""


def test_the_mask_is_where_the_object_is_in_the_later_frame(still: list[Flow]) -> None:
    masks = masks_of(run_stage(MotionMask, still, {"persistence_seconds": 0.0, "stopped_seconds": 0.0}))
    assert len(masks) == FRAMES
    assert f_score([masks[at] for at in AWAY], [truth(at) for at in AWAY]) > 0.95
    starts = range(BEGINS + 1, BEGINS + 15)
    assert f_score([masks[at] for at in starts], [truth(at) for at in starts]) > 0.8
    others = [*range(BEGINS + 1), *range(ENDS + 1, FRAMES)]
    assert max(np.count_nonzero(np.asarray(masks[at].mask)) for at in others) == 0


@pytest.mark.parametrize("stopped_seconds", [0.2, 0.5])
def test_what_stops_stays_in_the_mask_for_as_long_as_asked(still: list[Flow], stopped_seconds: float) -> None:
    options = {"stopped_seconds": stopped_seconds, "merge_seconds": 0.3}
    masks = masks_of(run_stage(MotionMask, still, options))
    shows = [at for at in range(FRAMES) if masks[at].objects]
    assert shows[-1] == pytest.approx(ENDS + 30 * stopped_seconds, abs=1)
    ended = [event for mask in masks for event in mask.events if event.end_seconds is not None]
    assert [event.end_seconds for event in ended] == [pytest.approx(ENDS / 30, abs=0.07)]  # it ends with the motion


def test_what_something_leaves_behind_is_not_shown(still: list[Flow]) -> None:
    masks = masks_of(run_stage(MotionMask, still))
    left = np.zeros((HEIGHT, WIDTH), bool)
    left[70:100, 40:75] = True  # the background there was learned with the object before it
    assert max(np.count_nonzero((np.asarray(masks[at].mask) > 0) & left) for at in range(BEGINS + 20, FRAMES)) == 0


@pytest.mark.parametrize("camera", [{"shake": 1.5}, {"pan": 0.5, "shake": 0.5}])
def test_a_moving_camera_is_told_from_what_moves(camera: dict) -> None:
    flows = clip(**camera)
    masks = masks_of(run_stage(MotionMask, flows, {"persistence_seconds": 0.0, "stopped_seconds": 0.0}))
    assert all(mask.camera is not None and not mask.uncertain for mask in masks[1:])
    areas = [np.count_nonzero(np.asarray(mask.mask)) for mask in masks]
    moving = slice(BEGINS + 1, ENDS + 1)
    assert np.median(areas[moving]) == pytest.approx(1200, rel=0.2)
    assert np.median(areas[:BEGINS]) == np.median(areas[ENDS + 2 :]) == 0


def test_the_coarse_grid_serves_as_well(still: list[Flow]) -> None:
    flows = [replace(flow, flow_px=None) for flow in still]
    masks = masks_of(run_stage(MotionMask, flows, {"persistence_seconds": 0.0}))
    assert f_score([masks[at] for at in AWAY], [truth(at) for at in AWAY]) > 0.95


def test_objects_have_one_id_a_box_and_a_velocity(still: list[Flow]) -> None:
    masks = masks_of(run_stage(MotionMask, still, {"stopped_seconds": 0.0}))
    objects = [masks[at].objects for at in AWAY]
    assert {len(found) for found in objects} == {1} and len({found[0].id for found in objects}) == 1
    middle = masks[30].objects[0]
    assert middle.box == pytest.approx((100, 70, 40, 30), abs=2)
    assert middle.velocity_px_s == pytest.approx((90, 0), abs=9)  # cells at the rim lie half on the background
    assert middle.area_px == pytest.approx(1200, rel=0.1)


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


def relit(flows: list[Flow], begin: int, share: float) -> list[Flow]:
    """The same with another exposure from a frame on, which the flow across the jump takes for motion."""
    lit = []
    for at, flow in enumerate(flows):
        if at >= begin:
            luma = np.clip(np.asarray(flow.frame.planes[0]) * share, 0, 255).astype(np.uint8)
            flow = replace(flow, frame=replace(flow.frame, planes=(luma,)))
        if at == begin:
            flow = replace(flow, grid_px=np.full_like(np.asarray(flow.grid_px), 5.0))
        lit.append(replace(flow, header=header(at)))
    return lit


@pytest.mark.parametrize("share", [0.7, 1.3])
def test_a_jump_of_the_exposure_is_no_motion(still: list[Flow], share: float) -> None:
    masks = masks_of(run_stage(MotionMask, relit(still[:BEGINS] * 3, 15, share), {"persistence_seconds": 0.0}))
    assert not any(mask.objects or mask.events for mask in masks)


def test_two_seconds_after_a_jump_of_the_exposure_motion_is_seen_again(still: list[Flow]) -> None:
    waits = [still[BEGINS - 1]] * 60
    masks = masks_of(run_stage(MotionMask, relit([*still[:BEGINS], *waits, *still[BEGINS:]], BEGINS, 0.7)))
    assert any(mask.objects for mask in masks[len(waits) + BEGINS + 6 :])


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


def test_a_duplicate_shows_what_the_frame_before_it_showed(still: list[Flow]) -> None:
    still_flow = replace(
        still[30], start="duplicate", grid_px=np.zeros_like(np.asarray(still[1].grid_px)), flow_px=None
    )
    masks = masks_of(run_stage(MotionMask, [*still[:30], still_flow, *still[31:]]))
    np.testing.assert_array_equal(np.asarray(masks[30].mask), np.asarray(masks[29].mask))
    assert masks[30].objects == masks[29].objects


def test_a_cut_shows_nothing_and_begins_anew(still: list[Flow]) -> None:
    cut = replace(still[30], start="scene_cut", grid_px=None, flow_px=None)
    masks = masks_of(run_stage(MotionMask, [*still[:30], cut, *still[31:]]))
    assert not np.asarray(masks[30].mask).any() and masks[30].camera is None
    assert masks[29].objects[0].id != masks[38].objects[0].id


def test_a_long_step_is_measured_in_seconds(still: list[Flow]) -> None:
    slow = [replace(flow, step_seconds=1.0) for flow in still]
    masks = masks_of(run_stage(MotionMask, slow, {"persistence_seconds": 0.0, "speed_px_s": 5.0}))
    assert not any(mask.objects for mask in masks)


def test_a_killed_worker_keeps_ids_and_events_and_learns_the_background_again(still: list[Flow]) -> None:
    whole = masks_of(run_stage(MotionMask, still))
    found: list[Mask] = []
    stage, snapshot = None, None
    for at, flow in enumerate(still):
        if stage is None or at in (1, 25, 41):
            stage = MotionMask(MotionMask.Options.model_validate({}), TestContext())
            stage.open()
            if snapshot is not None:
                stage.restore(json.loads(json.dumps(snapshot)))
        found += masks_of(list(stage.process(flow)))
        snapshot = stage.snapshot()
        assert len(json.dumps(snapshot)) < 64_000 and stage.retained() == 0
    ids = [{moving.id for mask in masks[:41] for moving in mask.objects} for masks in (found, whole)]
    assert ids[0] == ids[1]
    events = [[event for mask in masks for event in mask.events] for masks in (found, whole)]
    assert [event.begin_seconds for event in events[0]] == [event.begin_seconds for event in events[1]]
    learned = range(30, ENDS + 1)
    assert f_score([found[at] for at in learned], [truth(at) for at in learned]) > 0.85


def test_a_gap_and_another_size_are_borne(still: list[Flow]) -> None:
    small = Frame(header(60), 60, 33, 21, "rgb24", (np.zeros((21, 33, 3), np.uint8),), "rgb", "pc")
    messages = [*still[:20], Gap(header(20), "lost_frames"), Flow(header(60), small, "first", None)]
    messages += [replace(messages[-1], start="cold", grid_px=np.zeros((3, 5, 2), np.float32), step_seconds=0.03)]
    masks = masks_of(run_stage(MotionMask, messages))
    assert np.asarray(masks[-1].mask).shape == (21, 33)
    assert masks[-1].uncertain  # a black picture says nothing about the camera


def test_a_frame_without_a_time_is_borne(still: list[Flow]) -> None:
    untimed = [replace(flow, header=replace(flow.header, pts=None), step_seconds=None) for flow in still]
    assert any(mask.objects for mask in masks_of(run_stage(MotionMask, untimed)))


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
            there, picture = video.read()
            if not there:
                return
            if at % 2:
                continue
            luma = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (640, 360), interpolation=cv2.INTER_AREA)
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


def test_a_picture_in_two_depths_is_said_to_be_uncertain() -> None:
    """The camera goes sideways past a near half that moves twice as far as the other: no object, but parallax."""
    flows = []
    for at in range(12):
        luma = np.vstack([np.roll(WORLD, -3 * at, 1)[:100], np.roll(WORLD, -9 * at, 1)[100:]])
        frame = Frame(header(at), at, WIDTH, HEIGHT, "gray8", (luma,), "bt709", "pc")
        grid = np.zeros((-(-HEIGHT // 8), -(-WIDTH // 8), 2), np.float32)
        grid[..., 0] = np.where(np.arange(len(grid)) * 8 < 100, -3, -9)[:, None]
        flows.append(Flow(header(at), frame, "cold" if at else "first", grid if at else None, step_seconds=1 / 30))
    masks = masks_of(run_stage(MotionMask, flows, {"model": "translation"}))
    assert all(mask.uncertain for mask in masks[2:])
