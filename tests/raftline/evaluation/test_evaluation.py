"""The authors' weights give the authors' end-point errors; and the protocol's arithmetic on made data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from raftline.evaluation.evaluation import PairScore, evaluate
from raftline.evaluation.protocol import PROTOCOL
from raftline.flow.files import write_flow
from tests.data import data_path
from tests.raftline.raft.recipes import texture

# What the authors' own code gave with these weights (float32, CPU), printed with three digits: half of the last
# digit, and as much again for another order of additions in float32. The promise is 0.01 px.
AUTHORS_TOLERANCE_PX = 0.001
WARM = replace(PROTOCOL, warm_start="always")


def authors_weights() -> Path:
    return data_path("weights", "raft-small.pth")


def part_of(source: Path, target: Path, names: list[str]) -> Path:
    """A folder with links to some entries of another."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(source / name)
    return target


@pytest.mark.parametrize(("scene", "epe_px"), [("RubberWhale", 0.320), ("Venus", 0.373), ("Urban2", 0.525)])
def test_middlebury_with_the_authors_weights(scene: str, epe_px: float, tmp_path: Path) -> None:
    names = [f"other-data/{scene}", f"other-gt-flow/{scene}"]
    folder = part_of(data_path("flow", "middlebury"), tmp_path, names)
    (row,) = evaluate(authors_weights(), [f"middlebury:{folder}"]).results
    assert (row.dataset, row.scene, row.pairs, row.iterations) == ("middlebury", scene, 1, 20)
    assert row.epe_px == pytest.approx(epe_px, abs=AUTHORS_TOLERANCE_PX)


@pytest.mark.parametrize(("frame", "epe_px"), [(1, 0.176), (10, 0.264)])
def test_sintel_with_the_authors_weights(frame: int, epe_px: float, tmp_path: Path) -> None:
    frames = [f"training/clean/alley_2/frame_{number:04d}.png" for number in (frame, frame + 1)]
    names = [*frames, f"training/flow/alley_2/frame_{frame:04d}.flo"]
    folder = part_of(data_path("flow", "sintel"), tmp_path, names)
    (row,) = evaluate(authors_weights(), [f"sintel:{folder}"]).results
    assert row.scene == "clean/alley_2"
    assert row.epe_px == pytest.approx(epe_px, abs=AUTHORS_TOLERANCE_PX)


def test_chairs_with_the_authors_weights() -> None:
    (row,) = evaluate(authors_weights(), [f"chairs:{data_path('flow', 'chairs')}"]).results
    assert row.epe_px == pytest.approx(1.306, abs=AUTHORS_TOLERANCE_PX)


def test_kitti_with_the_authors_weights_padding_and_iterations() -> None:
    occ, noc = evaluate(authors_weights(), [f"kitti:{data_path('flow', 'kitti')}"]).results
    assert (occ.scene, noc.scene, occ.iterations) == ("occ", "noc", 24)
    assert occ.epe_px == pytest.approx(1.840, abs=AUTHORS_TOLERANCE_PX)
    assert noc.epe_px == pytest.approx(1.858, abs=AUTHORS_TOLERANCE_PX)
    assert 5 < occ.fl_all_percent < 7


def sintel_like(folder: Path, frames: int, step_px: int) -> Path:
    """A textured image that moves right by whole pixels, in Sintel's layout, with its exact flow."""
    image = texture(128, 200)
    images = folder / "training" / "clean" / "slide"
    truths = folder / "training" / "flow" / "slide"
    images.mkdir(parents=True)
    truths.mkdir(parents=True)
    flow = np.zeros((128, 160, 2), np.float32)
    flow[..., 0] = step_px
    for number in range(frames):
        left = 40 - number * step_px
        cv2.imwrite(str(images / f"frame_{number + 1:04d}.png"), image[:, left : left + 160, ::-1])
        if number < frames - 1:
            write_flow(truths / f"frame_{number + 1:04d}.flo", flow)
    return folder


def test_a_warm_start_is_carried_over_a_scene(tmp_path: Path) -> None:
    folder = sintel_like(tmp_path, frames=4, step_px=12)
    cold = evaluate("default", [f"sintel:{folder}"], iterations=1)
    warm = evaluate("default", [f"sintel:{folder}"], WARM, iterations=1)
    cold_px = [score.epe_px for score in cold.pair_scores]
    warm_px = [score.epe_px for score in warm.pair_scores]
    assert warm_px[0] == cold_px[0]
    assert warm_px[2] < 0.8 * cold_px[2]


def test_where_a_scene_begins_more_iterations_may_be_asked_for(tmp_path: Path) -> None:
    folder = sintel_like(tmp_path, frames=3, step_px=12)

    def errors_px(iterations: int, cold_iterations: int, *, warm_start: bool = True) -> list[float]:
        options = replace(WARM if warm_start else PROTOCOL, cold_iterations=cold_iterations)
        found = evaluate("default", [f"sintel:{folder}"], options, iterations=iterations)
        return [score.epe_px for score in found.pair_scores]

    as_everywhere, more, fewer = errors_px(2, 2), errors_px(2, 8), errors_px(2, 1)
    assert more[0] == errors_px(8, 1)[0] != as_everywhere[0]
    assert more[1] != as_everywhere[1]  # it began at a better flow
    assert fewer == as_everywhere
    assert errors_px(2, 8, warm_start=False) == errors_px(2, 1, warm_start=False)


def test_the_result_is_the_documented_json_and_progress_is_told(tmp_path: Path) -> None:
    folder = sintel_like(tmp_path, frames=3, step_px=2)
    told: list[tuple[str, int, int]] = []

    def progress(score: PairScore, done: int, total: int) -> None:
        told.append((score.pair, done, total))

    found = evaluate("dis", [f"sintel:{folder}"], iterations=5, progress=progress)
    assert told == [("frame_0001", 1, 2), ("frame_0002", 2, 2)]
    report = json.loads(json.dumps(found.to_json()))
    assert report.keys() == {
        "weights", "iterations", "warm_start", "cold_iterations", "region_matching",
        "variational_refinement", "results",
    }  # fmt: skip
    assert (report["weights"], report["iterations"], report["warm_start"]) == ("dis", 5, "never")
    (row,) = report["results"]
    assert {"dataset", "scene", "pairs", "epe_px", "fl_all_percent"} <= row.keys()
    assert (row["dataset"], row["scene"], row["pairs"]) == ("sintel", "clean/slide", 2)


def test_errors_are_averaged_over_pixels_and_outliers_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sintel_like(tmp_path, frames=3, step_px=0)
    truth = np.zeros((128, 160, 2), np.float32)
    truth[:64] = np.nan
    write_flow(folder / "training" / "flow" / "slide" / "frame_0001.flo", truth)
    estimate = np.zeros((128, 160, 2), np.float32)
    estimate[64:, :40, 1] = 4.0  # 4 px wrong where nothing moves: an outlier
    monkeypatch.setattr("raftline.evaluation.evaluation.estimate_dis_px", lambda *_: estimate)
    found = evaluate("dis", [f"sintel:{folder}"])
    first, second = found.pair_scores
    assert (first.epe_px, first.pixels, first.outliers) == (1.0, 64 * 160, 64 * 40)
    assert (second.epe_px, second.pixels) == (0.5, 128 * 160)
    (row,) = found.results
    assert row.epe_px == pytest.approx((1.0 * 1 + 0.5 * 2) / 3)
    assert row.fl_all_percent == pytest.approx(100 * (64 * 40 * 2) / (3 * 64 * 160))


def test_a_flow_of_another_size_than_its_images_is_refused(tmp_path: Path) -> None:
    folder = sintel_like(tmp_path, frames=2, step_px=0)
    write_flow(folder / "training" / "flow" / "slide" / "frame_0001.flo", np.zeros((5, 6, 2)))
    with pytest.raises(ValueError, match=r"frame_0001: the images are 160x128, the flow 6x5"):
        evaluate("dis", [f"sintel:{folder}"])


def test_a_flow_that_knows_nothing_is_refused(tmp_path: Path) -> None:
    folder = sintel_like(tmp_path, frames=2, step_px=0)
    write_flow(folder / "training" / "flow" / "slide" / "frame_0001.flo", np.full((128, 160, 2), np.nan))
    with pytest.raises(ValueError, match="no pixel of the true flow is known"):
        evaluate("dis", [f"sintel:{folder}"])


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ValueError, match="iterations: expected int, 1 to 1000, found 0"):
        evaluate("dis", [], iterations=0)
