from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import ConfigError, OutputError
from pipeline.messages import EndOfStream, Flow, Frame, Gap, Header, Message, Stabilized
from pipeline.testing import TestContext, run_stage
from stages.motion.camera.transforms import centred, motion_matrices, motion_vectors
from stages.motion.picture.crop import covers, zoom_matrix
from stages.motion.picture.warp import warp_planes
from stages.stabilization import Stabilization
from tests.motion.synthetic import HEIGHT, WIDTH, grid_flow, jitter_px, shaken_path, textured

FRAMES = 90
TIMES = np.arange(FRAMES) / 30
BASE, SHAKEN = shaken_path(TIMES, pan_px_s=5.0)
WORLD = (textured(WIDTH, HEIGHT, 0), textured(WIDTH // 2, HEIGHT // 2, 1), textured(WIDTH // 2, HEIGHT // 2, 2))


def header(at: int) -> Header:
    return Header("source", 100 + at, Fraction(1, 30), 10**18 + at, epoch=7, sequence=at + 1)


def frame(at: int) -> Frame:
    planes = warp_planes(WORLD, motion_matrices(SHAKEN[[at]], WIDTH, HEIGHT)[0], "linear")
    return Frame(header(at), at, WIDTH, HEIGHT, "yuv420p", planes, "bt709", "tv")


def flow(at: int) -> Flow:
    if at == 0:
        return Flow(header(at), frame(at), "first", None)
    moved = motion_matrices((SHAKEN[at] - SHAKEN[at - 1])[None], WIDTH, HEIGHT)[0]
    return Flow(header(at), frame(at), "cold", grid_flow(moved), previous_index=at - 1, step_seconds=1 / 30)


@pytest.fixture(scope="module")
def flows() -> list[Flow]:
    return [flow(at) for at in range(FRAMES)]


def context_of(flows: Sequence[Message], directory: Path, **more) -> TestContext:
    again = [
        replace(item.frame, header=replace(item.header, epoch=0, sequence=0))
        for item in flows
        if isinstance(item, Flow)
    ]
    return TestContext(directory=directory, frames=again, **more)


def stage_of(options: dict, context: TestContext) -> Stabilization:
    return Stabilization(Stabilization.Options(**options), context)


def corrections(messages: Sequence[Message]) -> np.ndarray:
    return np.array([item.correction for item in messages if isinstance(item, Stabilized)]).reshape(-1, 3, 3)


def jitter_left(matrices: np.ndarray) -> float:
    zoom = np.median(matrices[:, 0, 0])
    unzoomed = np.linalg.inv(zoom_matrix(zoom, WIDTH, HEIGHT)) @ matrices
    return jitter_px(motion_vectors(unzoomed, WIDTH, HEIGHT) + SHAKEN[: len(matrices)] - BASE[: len(matrices)])


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


def test_times_and_colours_of_the_frames_are_kept(flows: list[Flow], tmp_path: Path) -> None:
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


def worker_runs(
    flows: Sequence[Flow], options: dict, directory: Path, killed_after: set[int]
) -> Iterator[tuple[list[Message], Stabilization]]:
    """Delivers as a worker does; at the given positions it is killed after processing and before acknowledging."""
    waiting: list[Flow] = []
    snapshot = None
    stage = stage_of(options, context_of(flows, directory))
    stage.open()
    for at, message in enumerate(flows):
        if at in killed_after:
            list(stage.process(message))  # lost with its worker
            stage.close()
            stage = stage_of(options, context_of(flows, directory))
            stage.open()
            if snapshot is not None:
                stage.restore(json.loads(json.dumps(snapshot)))
            for retained in waiting:
                assert list(stage.process(retained)) == []
        waiting.append(message)
        done = list(stage.process(message))
        waiting = waiting[len(waiting) - stage.retained() :]
        snapshot = stage.snapshot()
        yield done, stage


@pytest.mark.parametrize("options", [{}, {"smoothing": "look_ahead"}])
def test_a_killed_worker_changes_nothing(flows: list[Flow], tmp_path: Path, options: dict) -> None:
    end = EndOfStream(header(FRAMES))
    results = []
    for name, kills in (("whole", set()), ("killed", {0, 1, 30, 31, 77})):
        directory = tmp_path / name
        done: list[Message] = []
        runs = list(worker_runs(flows, options, directory, kills))
        for published, _ in runs:
            done += published
        last = runs[-1][1]
        done += last.flush(end)
        last.close()
        results.append((corrections(done), (directory / "source.path.jsonl").read_bytes()))
    assert len(results[0][0]) == FRAMES
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_a_worker_killed_in_the_second_reading_reads_again(flows: list[Flow], tmp_path: Path) -> None:
    *_, (_, stage) = worker_runs(flows, {}, tmp_path, set())
    snapshot = json.loads(json.dumps(stage.snapshot()))
    flushing = iter(stage.flush(EndOfStream(header(FRAMES))))
    for _ in range(10):
        next(flushing)
    stage.close()
    again = stage_of({}, context_of(flows, tmp_path))
    again.open()
    again.restore(snapshot)
    assert len(list(again.flush(EndOfStream(header(FRAMES))))) == FRAMES
    again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.path.jsonl", "source.path.png"]


def test_a_worker_without_the_measurements_says_where_they_lie(flows: list[Flow], tmp_path: Path) -> None:
    *_, (_, stage) = worker_runs(flows[:5], {}, tmp_path / "here", set())
    other = stage_of({}, context_of(flows[:5], tmp_path / "there"))
    other.open()
    with pytest.raises(OutputError, match="same output directory"):
        other.restore(stage.snapshot())
    stage.close()


def test_snapshots_stay_under_64_kb_at_60_hz_and_the_longest_look_ahead(flows: list[Flow], tmp_path: Path) -> None:
    stage = stage_of({"smoothing": "look_ahead", "look_ahead_seconds": 2.0}, context_of([], tmp_path))
    stage.open()
    for at in range(200):
        head = Header("source", at, Fraction(1, 60), 10**18 + at, epoch=7, sequence=at + 1)
        list(stage.process(replace(flows[at % 60 + 1], header=head)))
    assert stage.retained() == 120
    assert len(json.dumps(stage.snapshot())) < 64_000
    stage.close()


def test_a_failed_source_leaves_no_file(flows: list[Flow], tmp_path: Path) -> None:
    end = EndOfStream(header(9), "failed", "broken")
    assert run_stage(Stabilization, flows[:9], None, context_of(flows, tmp_path), end) == []
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_file_is_whole_and_shorter(flows: list[Flow], tmp_path: Path) -> None:
    done = run_stage(Stabilization, flows[:30], None, context_of(flows, tmp_path), EndOfStream(header(30), "stopped"))
    assert len(done) == 30


def test_a_camera_looks_ahead_and_is_never_read_twice(flows: list[Flow], tmp_path: Path) -> None:
    context = TestContext(directory=tmp_path, live=True)
    assert len(run_stage(Stabilization, flows[:30], None, context)) == 30
    assert context.said["smoothing"] == "look_ahead"
    with pytest.raises(ConfigError, match="look_ahead"):
        run_stage(Stabilization, flows[:3], {"smoothing": "whole_clip"}, context)


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


def shown_black(messages: Sequence[Message]) -> int:
    """Pixels of 0 in the outputs' luma; the world is nowhere darker than 16."""
    return sum(int((np.asarray(item.frame.planes[0]) < 8).sum()) for item in messages if isinstance(item, Stabilized))


@pytest.mark.parametrize("border", ["mirror", "blur", "fill"])
@pytest.mark.parametrize("smoothing", ["whole_clip", "look_ahead"])
def test_without_zoom_the_picture_keeps_its_size_and_borders_are_filled(flows, tmp_path, smoothing, border) -> None:
    options = {"zooming": "none", "border": border, "smoothing": smoothing}
    done = run_stage(Stabilization, flows[:40], options, context_of(flows[:40], tmp_path))
    matrices = corrections(done)
    assert not covers(matrices, WIDTH, HEIGHT).all()
    scale = np.sqrt(np.linalg.det(matrices[:, :2, :2]))
    assert np.abs(scale - 1).max() < 0.02  # the shake here has no change of scale; the rest is the fit's error
    assert shown_black(done) == 0


def test_a_dynamic_zoom_is_smooth_and_never_larger_than_the_static_one(flows, tmp_path: Path) -> None:
    matrices = []
    for zooming in ("static", "dynamic"):
        done = run_stage(Stabilization, flows, {"zooming": zooming}, context_of(flows, tmp_path / zooming))
        assert shown_black(done) == 0
        matrices.append(corrections(done))
    assert covers(matrices[1], WIDTH, HEIGHT).all()
    static, dynamic = (np.sqrt(np.linalg.det(each[:, :2, :2])) for each in matrices)
    assert (dynamic <= static + 1e-6).all() and dynamic.min() < static.min() - 0.005
    assert np.abs(np.diff(dynamic)).max() < 0.01  # per frame; the shake alone asks for steps of 0.03


def test_a_dynamic_zoom_is_refused_where_the_clip_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whole clip"):
        run_stage(Stabilization, [], {"zooming": "dynamic"}, TestContext(directory=tmp_path, live=True))


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
    away = [np.abs(picture.astype(int) - colour).max(axis=-1) for colour in ((77, 96, 214), (172, 102, 33))]
    assert all((each < 60).sum() > 500 for each in away)  # lines of both colours, blurred at their edges
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


def test_an_empty_stream_ends_well(tmp_path: Path) -> None:
    assert run_stage(Stabilization, [], None, TestContext(directory=tmp_path)) == []
