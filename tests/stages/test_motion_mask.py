from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.messages import EndOfStream, Flow, Frame, Gap, Message
from pipeline.testing import TestContext, run_stage
from raftline.masks.options import MotionMaskOptions
from stages.motion_mask import MotionMask
from tests.raftline.synthetic_motion import HEIGHT, WIDTH
from tests.stages.moving_clip import AWAY, BEGINS, ENDS, FRAMES, clip, f_score, header, masks_of, truth
from tests.stages.stage_bench import Machine, bench_context


def test_the_stage_has_the_options_of_the_library_with_their_defaults() -> None:
    ours = MotionMask.Options.model_validate({})
    assert ours.for_library(live=False) == replace(MotionMaskOptions(), watch=[], ignore=[])
    assert not ours.for_library(live=True).backdate
    assert {field.name for field in fields(MotionMaskOptions)} == set(MotionMask.Options.model_fields) - {"zones"}


@pytest.fixture(scope="module")
def still() -> list[Flow]:
    return clip()


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


def test_a_duplicate_shows_what_the_frame_before_it_showed(still: list[Flow]) -> None:
    still_flow = replace(
        still[30], start="duplicate", grid_px=np.zeros_like(np.asarray(still[1].grid_px)), flow_px=None
    )
    masks = masks_of(run_stage(MotionMask, [*still[:30], still_flow, *still[31:]]))
    np.testing.assert_array_equal(np.asarray(masks[30].mask), np.asarray(masks[29].mask))
    assert masks[30].objects == masks[29].objects


def test_a_duplicate_of_a_frame_that_was_dropped_repeats_nothing_that_moved_before(still: list[Flow]) -> None:
    gone = replace(
        still[30],
        frame=replace(still[30].frame, planes=still[0].frame.planes),
        start="duplicate",
        grid_px=np.zeros_like(np.asarray(still[1].grid_px)),
        flow_px=None,
        previous_index=29,
    )
    seen = still[:28]  # the one in which the object was gone was too late
    masks = masks_of(run_stage(MotionMask, [*seen, gone], {"stopped_seconds": 0.0}, TestContext(live=True)))
    assert masks[27].objects and not masks[28].objects
    again = masks_of(
        run_stage(
            MotionMask, [*seen, replace(gone, previous_index=27)], {"stopped_seconds": 0.0}, TestContext(live=True)
        )
    )
    assert again[28].objects == again[27].objects


@pytest.mark.parametrize("backdate", ["always", "never"])
def test_a_cut_begins_anew_and_its_first_frame_shows_what_moves_into_the_next_where_that_is_waited_for(
    still: list[Flow], backdate: str
) -> None:
    cut = replace(still[30], start="scene_cut", grid_px=None, flow_px=None)
    masks = masks_of(run_stage(MotionMask, [*still[:30], cut, *still[31:]], {"backdate": backdate}))
    assert masks[30].camera is None and masks[29].objects[0].id != masks[38].objects[0].id
    if backdate == "never":
        assert not np.asarray(masks[30].mask).any()
    else:
        assert masks[30].objects[0].id == masks[38].objects[0].id
        assert f_score([masks[30]], [truth(30)]) > 0.85


def test_a_long_step_is_measured_in_seconds(still: list[Flow]) -> None:
    slow = [replace(flow, header=header(30 * at), step_seconds=1.0) for at, flow in enumerate(still)]
    masks = masks_of(run_stage(MotionMask, slow, {"persistence_seconds": 0.0, "speed_px_s": 30.0}))
    assert not any(mask.objects for mask in masks)


@pytest.mark.parametrize("backdate", ["always", "never"])
def test_a_killed_worker_keeps_ids_and_events_and_learns_the_background_again(
    still: list[Flow], backdate: str, tmp_path: Path
) -> None:
    whole = masks_of(run_stage(MotionMask, still, {"backdate": backdate}))
    machine = Machine(MotionMask, bench_context(tmp_path), backdate=backdate)
    made: list[Message] = []
    for at, flow in enumerate(still):
        if at in (1, 14, 25, 41):
            made += machine.kill()
        made += machine.deliver(flow)
        assert len(json.dumps(machine.committed)) < 64_000
    made += machine.deliver(EndOfStream(header(FRAMES)))
    assert machine.most_retained == (0 if backdate == "never" else 5)  # of 30 a second, for a fifth of one
    found = masks_of(made)
    assert [mask.header for mask in found] == [flow.header for flow in still]
    ids = [{moving.id for mask in masks[:41] for moving in mask.objects} for masks in (found, whole)]
    assert ids[0] == ids[1]
    events = [[event for mask in masks for event in mask.events] for masks in (found, whole)]
    begins = [[event.begin_seconds for event in told] for told in events]
    assert begins[0] == pytest.approx(begins[1], abs=0.034)  # the first frame after a kill has none before it
    learned = range(30, ENDS + 1)
    assert f_score([found[at] for at in learned], [truth(at) for at in learned]) > 0.85


@pytest.mark.parametrize("live", [False, True])
def test_masks_of_files_show_a_thing_from_its_first_frame_and_those_of_cameras_do_not_wait(
    still: list[Flow], live: bool
) -> None:
    stage = MotionMask(MotionMask.Options.model_validate({}), TestContext(live=live))
    stage.open()
    made = [masks_of(list(stage.process(flow))) for flow in still]
    waited = [at - mask.frame.index for at, masks in enumerate(made) for mask in masks]
    assert max(waited) == (0 if live else 5)
    first = next(mask for masks in made for mask in masks if mask.objects)
    begins = BEGINS + 6 if live else BEGINS + 1
    assert abs(first.frame.index - begins) <= 1
    assert np.asarray(first.mask)[truth(first.frame.index)].mean() > 0.5
    confirmed = next(mask for masks in made for mask in masks if mask.events)
    assert confirmed.objects[0].id == first.objects[0].id


def test_what_waits_comes_before_a_gap_and_at_the_end(still: list[Flow]) -> None:
    stage = MotionMask(MotionMask.Options.model_validate({}), TestContext())
    stage.open()
    taken = [mask for flow in still[: BEGINS + 4] for mask in stage.process(flow)]
    assert stage.unacked_window() > 0
    taken += stage.gap(Gap(header(BEGINS + 4), "lost_frames"))
    assert [mask.header for mask in masks_of(taken)] == [flow.header for flow in still[: BEGINS + 4]]
    assert stage.unacked_window() == 0 and not any(mask.objects for mask in masks_of(taken))


def test_a_gap_and_another_size_are_borne(still: list[Flow]) -> None:
    small = Frame(header(60), 60, 33, 21, "rgb24", (np.zeros((21, 33, 3), np.uint8),), "rgb", "pc")
    messages = [*still[:20], Gap(header(20), "lost_frames"), Flow(header(60), small, "first", None)]
    messages += [replace(messages[-1], start="cold", grid_px=np.zeros((3, 5, 2), np.float32), step_seconds=0.03)]
    masks = masks_of(run_stage(MotionMask, messages))
    assert np.asarray(masks[-1].mask).shape == (21, 33)
    assert masks[-1].uncertain  # a black image says nothing about the camera


def test_a_frame_without_a_time_is_borne(still: list[Flow]) -> None:
    untimed = [replace(flow, header=replace(flow.header, pts=None), step_seconds=None) for flow in still]
    assert any(mask.objects for mask in masks_of(run_stage(MotionMask, untimed)))


def test_a_margin_reaches_so_far_beyond_the_mask_and_changes_nothing_else(still: list[Flow]) -> None:
    tight, wide = (masks_of(run_stage(MotionMask, still, {"margin_px": px})) for px in (0, 6))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    for one, other in zip(tight, wide, strict=True):
        grown = cv2.dilate(np.asarray(one.mask), disk)
        assert np.count_nonzero(grown != np.asarray(other.mask)) <= 0.03 * np.count_nonzero(grown)  # disks differ
        assert (one.objects, one.events) == (other.objects, other.events)
    assert np.asarray(wide[30].mask).any()


def zone(left: float, right: float, **values: object) -> dict[str, object]:
    return {"corners": [[left, 0], [right, 0], [right, 1], [left, 1]], **values}


def test_zones_of_a_source_say_where_motion_counts_and_which_one_an_object_is_in(still: list[Flow]) -> None:
    zones = {
        "left": zone(0, 0.4, does="watch"),
        "tree": zone(0, 0.1, does="ignore"),
        "back": zone(0, 1, direction_degrees=180),
    }
    options = {"persistence_seconds": 0.0, "zones": {"source": zones, "another": {"all": zone(0, 1, does="ignore")}}}
    masks = masks_of(run_stage(MotionMask, still, options))
    moving = [np.asarray(mask.mask) for mask in masks if np.any(np.asarray(mask.mask))]
    assert moving and not np.any(np.stack(moving)[:, :, int(0.45 * WIDTH) :])
    assert {found.zones for mask in masks for found in mask.objects if found.moves} == {("left",)}


def test_a_zone_with_a_mistake_is_refused_by_its_name() -> None:
    for wrong, why in (
        (zone(0, 1, does="ignore", direction_degrees=90), "has no speed and no direction"),
        ({"corners": [[0, 0], [1, 1]]}, "at least 3 corners"),
        (zone(0, 1, colour="red"), "Extra inputs"),
    ):
        with pytest.raises(ValidationError, match=why):
            MotionMask.Options.model_validate({"zones": {"source": {"drive": wrong}}})
