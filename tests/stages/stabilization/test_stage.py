"""What the stabilizer makes of a shaken clip: the shake goes, the rest stays."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.messages import Flow, Frame, Gap, Stabilized
from pipeline.testing import TestContext, run_stage
from raftline.camera.transforms import centred, motion_matrices, motion_vectors
from raftline.stabilize.warp.crop import covers, zoom_matrix
from raftline.stabilize.warp.warp import warp_planes
from stages.stabilization import Stabilization
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, grid_flow, jitter_px, textured
from tests.stages.shaken_clip import (
    BASE,
    FRAMES,
    SHAKEN,
    TIMES,
    WORLD,
    context_of,
    corrections,
    header,
    jitter_left,
    shaken_flows,
)


@pytest.fixture(scope="module")
def flows() -> list[Flow]:
    return shaken_flows()


@pytest.mark.parametrize(
    ("options", "gain"),
    [({}, 12), ({"method": "gaussian"}, 8), ({"smoothing": "look_ahead", "zoom": 1.2}, 5)],
)
def test_shake_goes_and_every_frame_comes_once(flows: list[Flow], tmp_path: Path, options: dict, gain: float) -> None:
    done = run_stage(Stabilization, flows, options, context_of(flows, tmp_path))
    assert [item.frame.index for item in done if isinstance(item, Stabilized)] == list(range(FRAMES))
    matrices = corrections(done)
    assert covers(matrices, WIDTH, HEIGHT).all()
    assert jitter_px(SHAKEN - BASE) > gain * jitter_left(matrices)


def test_the_pictures_stand_still(flows: list[Flow], tmp_path: Path) -> None:
    done = run_stage(Stabilization, flows, None, context_of(flows, tmp_path))
    inner = (slice(40, -40), slice(40, -40))

    def restlessness(pictures: list[np.ndarray]) -> float:
        return float(np.mean([np.abs(a[inner] - b[inner]).mean() for a, b in itertools.pairwise(pictures)]))

    before = [np.asarray(item.frame.planes[0], np.float32) for item in flows]
    after = [np.asarray(item.frame.planes[0], np.float32) for item in done if isinstance(item, Stabilized)]
    assert restlessness(after) < restlessness(before) / 3
    assert min(picture.min() for picture in after) >= 10  # the world is nowhere darker than 16


def test_times_and_colors_of_the_frames_are_kept(flows: list[Flow], tmp_path: Path) -> None:
    done = run_stage(Stabilization, flows[:5], None, context_of(flows[:5], tmp_path))
    for at, item in enumerate(done):
        assert isinstance(item, Stabilized) and item.original is None
        assert item.header.pts == item.frame.header.pts == 100 + at
        assert item.header.arrival_ns == 10**18 + at
        assert (item.frame.color_space, item.frame.color_range) == ("bt709", "tv")
        assert [np.asarray(plane).shape for plane in item.frame.planes] == [(180, 320), (90, 160), (90, 160)]


@pytest.mark.parametrize("smoothing", ["whole_clip", "look_ahead"])
def test_the_original_travels_along_where_a_reader_wants_it(flows, tmp_path: Path, smoothing: str) -> None:
    context = context_of(flows[:3], tmp_path, needs={"original"})
    for at, item in enumerate(run_stage(Stabilization, flows[:3], {"smoothing": smoothing}, context)):
        assert isinstance(item, Stabilized) and item.original is not None
        np.testing.assert_array_equal(np.asarray(item.original.planes[0]), np.asarray(flows[at].frame.planes[0]))


@pytest.mark.parametrize("smoothing", ["whole_clip", "look_ahead"])
def test_the_path_file_appears_when_it_is_complete(flows, tmp_path: Path, smoothing: str) -> None:
    done = run_stage(Stabilization, flows, {"smoothing": smoothing}, context_of(flows, tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "source.path.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(FRAMES))
    assert lines[0]["starts_path"] and not lines[1]["starts_path"]
    assert lines[5]["model"] == "similarity" and lines[5]["confidence"] > 0.5
    assert lines[5]["pts_seconds"] == pytest.approx(105 / 30)
    np.testing.assert_allclose([line["correction"] for line in lines], corrections(done).reshape(-1, 9))
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("smoothing", ["whole_clip", "look_ahead"])
def test_gaps_and_cuts_stay_in_their_places_and_cut_the_path(flows, tmp_path: Path, smoothing: str) -> None:
    gap = Gap(header(0), "lost_frames", "corrupt", 0.5)
    cut = replace(flows[50], start="scene_cut", grid_px=None)
    messages = [*flows[:20], gap, *flows[20:50], cut, *flows[51:70]]
    done = run_stage(Stabilization, messages, {"smoothing": smoothing}, context_of(messages, tmp_path))
    assert [type(item).__name__ for item in done] == ["Stabilized"] * 20 + ["Gap"] + ["Stabilized"] * 50
    assert isinstance(done[20], Gap) and (done[20].detail, done[20].gap_seconds) == ("corrupt", 0.5)
    lines = [json.loads(line) for line in (tmp_path / "source.path.jsonl").read_text().splitlines()]
    assert [at for at, line in enumerate(lines) if line["starts_path"]] == [0, 20, 50]


@pytest.mark.parametrize("smoothing", ["whole_clip", "look_ahead"])
def test_duplicates_repeat_the_correction(flows, tmp_path: Path, smoothing: str) -> None:
    still = replace(flows[40], start="duplicate", grid_px=np.zeros_like(np.asarray(flows[1].grid_px)))
    messages = [*flows[:40], still, *flows[41:]]
    matrices = corrections(run_stage(Stabilization, messages, {"smoothing": smoothing}, context_of(messages, tmp_path)))
    np.testing.assert_array_equal(matrices[40], matrices[39])


def test_a_change_of_size_starts_anew(flows: list[Flow], tmp_path: Path) -> None:
    small = Frame(header(10), 10, 33, 21, "gray8", (textured(33, 21),), "bt709", "pc")
    messages = [*flows[:10], Flow(header(10), small, "first", None)]
    messages += [
        replace(messages[-1], start="cold", grid_px=np.zeros((3, 5, 2), np.float32), frame=replace(small, index=11))
    ]
    done = run_stage(Stabilization, messages, None, context_of(messages, tmp_path))
    assert [(item.frame.width, item.frame.height) for item in done if isinstance(item, Stabilized)][-3:] == [
        (320, 180), (33, 21), (33, 21),
    ]  # fmt: skip


def test_a_tripod_holds_slow_movement_too(flows: list[Flow], tmp_path: Path) -> None:
    done = run_stage(Stabilization, flows, {"tripod": True, "max_zoom": 1.6}, context_of(flows, tmp_path))
    matrices = corrections(done)
    zoom = np.median(np.sqrt(np.linalg.det(matrices[:, :2, :2])))
    unzoomed = np.linalg.inv(zoom_matrix(float(zoom), WIDTH, HEIGHT)) @ matrices
    path = motion_vectors(unzoomed, WIDTH, HEIGHT) + SHAKEN
    assert np.ptp(SHAKEN[:, 2]) > 20
    assert np.ptp(path[:, 2]) < 1.0 and np.ptp(path[:, 5]) < 1.0


def test_a_limit_of_one_axis_holds_and_leaves_the_others_free(flows: list[Flow], tmp_path: Path) -> None:
    options = {"most_shift_y": 0.01, "most_turn_degrees": 0.1, "zooming": "none"}
    vectors = motion_vectors(
        corrections(run_stage(Stabilization, flows, options, context_of(flows, tmp_path))), WIDTH, HEIGHT
    )
    turn_degrees = np.rad2deg(vectors[:, 3] / centred(WIDTH, HEIGHT)[1])
    # what composing turn and shift leaves, 0.11 px at most here, comes on top of a limit
    assert np.abs(vectors[:, 5]).max() <= 0.01 * HEIGHT + 0.15
    assert np.abs(turn_degrees).max() <= 0.1 + 0.05
    assert np.abs(vectors[:, 2]).max() > 4


def test_the_plot_and_the_shake_before_and_after_are_told(flows: list[Flow], tmp_path: Path) -> None:
    context = context_of(flows, tmp_path)
    run_stage(Stabilization, flows, None, context)
    picture = cv2.imread(str(tmp_path / "source.path.png"))
    assert picture is not None and picture.shape == (720, 960, 3)
    away = [np.abs(picture.astype(int) - color).max(axis=-1) for color in ((77, 96, 214), (172, 102, 33))]
    assert all((each < 60).sum() > 500 for each in away)  # lines of both colors, blurred at their edges
    before, after = (float(context.said[f"shake_{name}_px"]) for name in ("before", "after"))
    assert before > 10 * after


@pytest.mark.parametrize(("smoothing", "gain"), [("whole_clip", 12), ("look_ahead", 5)])
def test_an_intended_zoom_is_kept_while_its_shake_goes(flows, tmp_path: Path, smoothing: str, gain: float) -> None:
    zoom_px = np.zeros_like(BASE)
    zoom_px[:, 0] = zoom_px[:, 4] = 20.0 * np.sin(np.pi * TIMES / TIMES[-1] / 2) ** 2  # to 11 % larger, in 3 s
    base, shaken = BASE + zoom_px, SHAKEN + zoom_px
    seen = motion_matrices(shaken, WIDTH, HEIGHT)
    messages = [replace(flows[0], frame=replace(flows[0].frame, planes=warp_planes(WORLD, seen[0], "linear")))]
    for at in range(1, FRAMES):
        picture = replace(flows[at].frame, planes=warp_planes(WORLD, seen[at], "linear"))
        moved = grid_flow(seen[at] @ np.linalg.inv(seen[at - 1]))
        messages.append(replace(flows[at], frame=picture, grid_px=moved))
    options = {"smoothing": smoothing, "zoom": 1.3, "max_zoom": 1.3}
    matrices = corrections(run_stage(Stabilization, messages, options, context_of(messages, tmp_path)))
    assert covers(matrices, WIDTH, HEIGHT).all()
    shown = motion_vectors(matrices @ seen, WIDTH, HEIGHT)
    left = shown - motion_vectors(motion_matrices(base, WIDTH, HEIGHT), WIDTH, HEIGHT)
    assert jitter_px(shaken - base) > gain * jitter_px(left)
    followed = left[:, 0] - left[:, 0].mean()  # but for the constant zoom that hides the borders
    assert np.abs(followed).max() < 0.01 * WIDTH


@pytest.mark.parametrize(("cutoff_hz", "taken"), [(None, 0.6), (0.4, 0.4)])
def test_the_cutoff_is_chosen_by_the_clip_or_taken_as_set_and_told(flows, tmp_path, cutoff_hz, taken) -> None:
    context = context_of(flows, tmp_path)
    run_stage(Stabilization, flows, {"cutoff_hz": cutoff_hz}, context)
    assert context.said["cutoff_hz"] == taken


def test_an_empty_stream_ends_well(tmp_path: Path) -> None:
    assert run_stage(Stabilization, [], None, TestContext(directory=tmp_path)) == []
