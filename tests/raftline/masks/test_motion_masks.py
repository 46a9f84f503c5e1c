"""`MotionMasks` by itself: arrays in, results out, without the pipeline."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from raftline.masks.motion_masks import FrameMotion, MotionMasks
from raftline.masks.options import MotionMaskOptions
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, textured

STEP_SECONDS = 1 / 25
FRAMES, BEGINS = 40, 12
SPRITE_PX = (40, 32)
WORLD, SPRITE = textured(2 * WIDTH, HEIGHT), textured(*SPRITE_PX, seed=9)
AT_ONCE = MotionMaskOptions(backdate=False)


@dataclass(frozen=True)
class Shown:
    """A frame, what to give to `step` with it, and what moves in it."""

    luma: np.ndarray
    grid_px: np.ndarray | None
    truth: np.ndarray
    duplicate: bool = False


def scene(pan_px: int = 0, frames: int = FRAMES) -> list[Shown]:
    """A sprite stands, and from `BEGINS` on goes 4 px a frame to the right; the camera pans by whole px."""
    shown, rng = [], np.random.default_rng(0)
    lefts = [24 + pan_px * max(BEGINS - at, 0) + 4 * max(at - BEGINS, 0) for at in range(frames)]
    for at in range(frames):
        luma = WORLD[:, pan_px * at : pan_px * at + WIDTH].copy()
        before, left = lefts[max(at - 1, 0)], lefts[at]
        place = (slice(72, 72 + SPRITE_PX[1]), slice(left, left + SPRITE_PX[0]))
        luma[place] = SPRITE
        luma = np.clip(luma + rng.normal(0, 2, luma.shape), 0, 255).astype(np.uint8)
        grid_px = np.zeros((-(-HEIGHT // 8), -(-WIDTH // 8), 2), np.float32)
        grid_px[..., 0] = -pan_px
        grid_px[9:13, before // 8 : (before + SPRITE_PX[0]) // 8, 0] = left - before
        truth = np.zeros((HEIGHT, WIDTH), bool)
        truth[place] = at > BEGINS
        shown.append(Shown(luma, grid_px if at else None, truth))
    return shown


def give(masks: MotionMasks, shown: Sequence[Shown], since: int = 0) -> list[FrameMotion]:
    """The results that frames lead to; `since` is the number of the first."""
    return [
        result
        for at, each in enumerate(shown, since)
        for result in masks.step(
            [each.luma],
            each.grid_px,
            seconds=at * STEP_SECONDS,
            step_seconds=STEP_SECONDS,
            duplicate=each.duplicate,
        )
    ]


def whole(options: MotionMaskOptions, shown: Sequence[Shown]) -> list[FrameMotion]:
    masks = MotionMasks(options)
    return give(masks, shown) + masks.flush()


def same(one: Sequence[FrameMotion], other: Sequence[FrameMotion]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
        assert (a.seconds, a.objects, a.ended, a.began) == (b.seconds, b.objects, b.ended, b.began)


@pytest.fixture(scope="module")
def still() -> list[Shown]:
    return scene()


@pytest.mark.parametrize("backdate", [True, False])
@pytest.mark.parametrize("pan_px", [0, 2])
def test_every_frame_has_one_result_in_order(backdate: bool, pan_px: int) -> None:
    found = whole(MotionMaskOptions(backdate=backdate), scene(pan_px))
    assert [result.seconds for result in found] == [at * STEP_SECONDS for at in range(FRAMES)]
    assert found[0].camera is None and all(result.camera is not None for result in found[1:])


@pytest.mark.parametrize("pan_px", [0, 2])
def test_the_object_is_found_and_the_camera_is_not(pan_px: int) -> None:
    shown = scene(pan_px)
    found = whole(MotionMaskOptions(), shown)
    assert not any(result.mask.any() for result in found[:BEGINS])
    for result, each in list(zip(found, shown, strict=True))[BEGINS + 12 :]:
        mask = result.mask > 0
        assert (mask & each.truth).sum() / (mask | each.truth).sum() > 0.75
        assert len(result.objects) == 1 and not result.uncertain
        assert result.objects[0].velocity_px_s == pytest.approx((100 + 25 * pan_px, 0), rel=0.15)
    assert len({moving.id for result in found for moving in result.objects}) == 1


def test_results_wait_only_if_they_are_backdated(still: list[Shown]) -> None:
    at_once, backdated = MotionMasks(AT_ONCE), MotionMasks()
    for at, each in enumerate(still):
        assert len(give(at_once, [each], at)) == 1 and at_once.waiting == 0
        give(backdated, [each], at)
        assert backdated.waiting <= 1 + round(0.2 / STEP_SECONDS)
    runs = [whole(options, still) for options in (AT_ONCE, MotionMaskOptions())]
    first = [next(at for at, result in enumerate(run) if result.objects) for run in runs]
    assert first[0] == BEGINS + 5 and first[1] == BEGINS + 1


def test_times_may_be_left_out(still: list[Shown]) -> None:
    masks = MotionMasks(AT_ONCE)
    found = [result for each in still for result in masks.step([each.luma], each.grid_px, step_seconds=STEP_SECONDS)]
    assert np.diff([result.seconds for result in found]) == pytest.approx(STEP_SECONDS)
    assert [len(result.objects) for result in found] == [len(result.objects) for result in whole(AT_ONCE, still)]
    untimed = MotionMasks(AT_ONCE)
    assert [untimed.step([each.luma], each.grid_px)[0].seconds for each in still[:2]] == pytest.approx([1 / 30, 2 / 30])


@pytest.mark.parametrize("options", [AT_ONCE, MotionMaskOptions()])
def test_a_duplicate_shows_what_the_frame_before_it_shows(options: MotionMaskOptions, still: list[Shown]) -> None:
    again = replace(still[29], grid_px=np.full_like(still[29].grid_px, 50.0), duplicate=True)
    found = whole(options, [*still[:30], again, *still[30:]])
    np.testing.assert_array_equal(found[30].mask, found[29].mask)
    assert found[30].objects == found[29].objects and found[29].objects
    assert {moving.id for result in found[31:] for moving in result.objects} == {found[29].objects[0].id}


@pytest.mark.parametrize("options", [AT_ONCE, MotionMaskOptions()])
def test_what_a_frame_shows_that_repeats_for_seconds_has_stopped(
    options: MotionMaskOptions, still: list[Shown]
) -> None:
    repeats = [replace(still[29], duplicate=True)] * round(4 / STEP_SECONDS)
    found = whole(replace(options, merge_seconds=1.0), [*still[:30], *repeats, *still[30:]])
    events = [event for result in found for event in (result.ended, result.began) if event]
    assert [event.id for event in events] == [1, 1, 2]
    last_moved = 29 * STEP_SECONDS
    assert last_moved <= events[1].last_seconds <= last_moved + options.hold_seconds
    standing = [result for result in found if result.objects and not any(each.moves for each in result.objects)]
    assert all(result.mask.any() for result in standing)
    stood_seconds = standing[-1].seconds - last_moved
    assert stood_seconds == pytest.approx(options.hold_seconds + options.stopped_seconds, abs=STEP_SECONDS)
    assert not found[29 + len(repeats)].mask.any()


@pytest.mark.parametrize("duplicate", [True, False])
def test_a_stream_may_begin_with_flow_or_a_duplicate(duplicate: bool, still: list[Shown]) -> None:
    found = whole(MotionMaskOptions(), [replace(still[1], duplicate=duplicate), *still[2:]])
    assert not found[0].mask.any() and found[-1].objects


def test_a_first_frame_in_the_middle_begins_a_run(still: list[Shown]) -> None:
    cut = replace(still[25], grid_px=None)
    found = whole(AT_ONCE, [*still[:25], cut, *still[26:]])
    assert found[25].camera is None and not found[25].mask.any()
    ids = [{moving.id for result in part for moving in result.objects} for part in (found[:25], found[25:])]
    assert len(ids[0]) == len(ids[1]) == 1 and ids[0] != ids[1]


def test_a_gap_returns_what_waits_and_a_duplicate_after_it_shows_nothing(still: list[Shown]) -> None:
    masks = MotionMasks()
    found = give(masks, still[: BEGINS + 3])
    assert masks.waiting > 0
    found += masks.gap()
    assert masks.waiting == 0 and len(found) == BEGINS + 3
    assert not any(result.mask.any() for result in found)  # nothing was confirmed
    repeated = give(masks, [replace(still[BEGINS + 2], duplicate=True)], BEGINS + 3) + masks.flush()
    assert [result.mask.any() for result in repeated] == [False]


def test_another_size_begins_anew_and_the_event_goes_on(still: list[Shown]) -> None:
    small = Shown(np.zeros((21, 33), np.uint8), None, np.zeros((21, 33), bool))
    next_small = replace(small, grid_px=np.zeros((3, 5, 2), np.float32))
    found = whole(MotionMaskOptions(merge_seconds=1.0), [*still[:30], small, next_small, *scene()[:30]])
    assert [result.mask.shape for result in found[29:33]] == [(HEIGHT, WIDTH), (21, 33), (21, 33), (HEIGHT, WIDTH)]
    assert found[31].uncertain  # a black frame says nothing about the camera
    assert [result.began.id for result in found if result.began] == [1]
    ids = [{moving.id for result in part for moving in result.objects} for part in (found[:30], found[32:])]
    assert all(len(each) == 1 for each in ids)


@pytest.mark.parametrize("options", [AT_ONCE, MotionMaskOptions()])
@pytest.mark.parametrize("at", [5, 20])
def test_restored_before_a_first_frame_the_results_are_those_of_an_uninterrupted_run(
    options: MotionMaskOptions, at: int, still: list[Shown]
) -> None:
    shown = [*still[:at], *still]
    expected = whole(options, shown)
    before, after = MotionMasks(options), MotionMasks(options)
    found = give(before, shown[:at]) + before.flush()
    after.restore(json.loads(json.dumps(before.snapshot())))
    same(found + give(after, shown[at:], at) + after.flush(), expected)


@pytest.mark.parametrize("options", [AT_ONCE, MotionMaskOptions()])
@pytest.mark.parametrize("at", [7, BEGINS + 3, 28])
def test_restored_in_the_middle_ids_and_events_go_on_and_the_background_is_learned_again(
    options: MotionMaskOptions, at: int, still: list[Shown]
) -> None:
    expected = whole(options, still)
    before, after = MotionMasks(options), MotionMasks(options)
    found = give(before, still[:at])
    after.restore(json.loads(json.dumps(before.snapshot())))
    again = at - before.waiting
    found += give(after, still[again:], again) + after.flush()
    assert [result.seconds for result in found] == [result.seconds for result in expected]
    ids = [{moving.id for result in run for moving in result.objects} for run in (found, expected)]
    assert ids[0] == ids[1] == {1}
    begins = [[result.began.begin_seconds for result in run if result.began] for run in (found, expected)]
    assert begins[0] == pytest.approx(begins[1], abs=1.5 * STEP_SECONDS)
    for one, other in list(zip(found, expected, strict=True))[at + 5 :]:
        a, b = one.mask > 0, other.mask > 0
        assert (a & b).sum() >= 0.7 * (a | b).sum()


def test_a_copy_goes_on_with_the_same_results(still: list[Shown]) -> None:
    masks = MotionMasks()
    give(masks, still[:20])
    again = copy.deepcopy(masks)
    same(give(again, still[20:], 20) + again.flush(), give(masks, still[20:], 20) + masks.flush())


def test_a_snapshot_is_small_json_and_a_new_object_has_one(still: list[Shown]) -> None:
    masks = MotionMasks()
    fresh = MotionMasks()
    fresh.restore(json.loads(json.dumps(masks.snapshot())))
    same(give(fresh, still) + fresh.flush(), whole(MotionMaskOptions(), still))
    give(masks, still)
    assert len(json.dumps(masks.snapshot())) < 8_000


def test_what_the_caller_owns_is_not_written_to(still: list[Shown]) -> None:
    masks = MotionMasks()
    for each in still:
        luma, grid_px = each.luma.copy(), None if each.grid_px is None else each.grid_px.copy()
        luma.setflags(write=False)
        if grid_px is not None:
            grid_px.setflags(write=False)
        masks.step([luma], grid_px)


def test_two_streams_do_not_know_of_each_other(still: list[Shown]) -> None:
    one, other, panned = MotionMasks(AT_ONCE), MotionMasks(AT_ONCE), scene(2)
    mixed = [(give(one, [a], at), give(other, [b], at)) for at, (a, b) in enumerate(zip(still, panned, strict=True))]
    same([result for results, _ in mixed for result in results], whole(AT_ONCE, still))
    same([result for _, results in mixed for result in results], whole(AT_ONCE, panned))


def test_color_planes_and_packed_rgb_are_taken(still: list[Shown]) -> None:
    for packed in (True, False):
        masks = MotionMasks(AT_ONCE)
        chroma = np.full((-(-HEIGHT // 2), -(-WIDTH // 2)), 128, np.uint8)
        for each in still:
            planes = [np.repeat(each.luma[..., None], 3, axis=2)] if packed else [each.luma, chroma, chroma]
            (result,) = masks.step(planes, each.grid_px, step_seconds=STEP_SECONDS)
        assert len(result.objects) == 1 and result.mask.shape == (HEIGHT, WIDTH)


def test_flow_of_another_shape_is_refused_with_both_shapes(still: list[Shown]) -> None:
    masks = MotionMasks()
    give(masks, still[:1])
    with pytest.raises(ValueError, match=r"320x180 px has shape \(23, 40, 2\), found \(180, 320, 2\)"):
        masks.step([still[1].luma], np.zeros((HEIGHT, WIDTH, 2), np.float32))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"min_area": 2.0}, "min_area is 2.0: it must be from 0 to 1"),
        ({"hold_seconds": -1.0}, "hold_seconds is -1.0: it must be from 0 to 60"),
        ({"camera": "still"}, "camera is 'still': it must be one of auto, fixed, moving"),
        ({"model": "projective"}, "model is 'projective': it must be one of translation, similarity, affine"),
        ({"fastest_m_s": 3.0}, "need metres_per_px"),
        ({"watch": [[(0.0, 0.0), (1.0, 1.0)]]}, "at least 3 corners"),
    ],
)
def test_wrong_options_are_refused_with_what_is_allowed(wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MotionMaskOptions(**wrong)
