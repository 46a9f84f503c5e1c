"""The readout time of a rolling shutter, estimated."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.camera_motion import fit_camera_motion
from raftline.camera.plane_models import ModelName
from raftline.camera.row_shear import row_shear
from raftline.camera.transforms import motion_vectors
from raftline.stabilize.path.path_smoothing import accumulate, camera_path
from raftline.stabilize.path.readout import estimated_readout, speed_changes, without_shear_of
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, band, grid_flow, similarity

FRAMES = 60
TIMES = np.arange(FRAMES) / 30
PLACES = np.stack([band(TIMES, 1, 5, 4.0, 3), band(TIMES, 1, 5, 4.0, 4)], axis=1)
CHANGES = np.diff(np.gradient(PLACES, TIMES, axis=0), axis=0, prepend=0)
"""Of the speed, px/s; from central differences, where the estimate takes a spline."""


def steps(seconds: float, noise_px: float = 0.3) -> list[np.ndarray]:
    """(3, 3) motions into each frame, sheared by a readout of so long, and flow (h, w, 2) with noise."""
    rng = np.random.default_rng(5)
    flows = [np.zeros((23, 40, 2), np.float32)]
    for at in range(1, FRAMES):
        matrix = np.eye(3)
        matrix[:2, 1] += seconds * CHANGES[at] / HEIGHT
        matrix = similarity(*(PLACES[at] - PLACES[at - 1])) @ matrix
        matrix[:2, 2] -= (matrix[:2, 1] - (0, 1)) * (HEIGHT - 1) / 2
        flows.append(grid_flow(matrix) + rng.normal(0, noise_px, (23, 40, 2)).astype(np.float32))
    return flows


def measured(flows: list[np.ndarray], model: ModelName = "similarity"):
    matrices = [np.eye(3), *(fit_camera_motion(flow, WIDTH, HEIGHT, model).matrix for flow in flows[1:])]
    run = camera_path(np.stack(matrices), TIMES, np.zeros(FRAMES, bool), WIDTH, HEIGHT)
    shears = [None, *(row_shear(flow, np.ones(flow.shape[:2]), HEIGHT) for flow in flows[1:])]
    return run, shears


@pytest.mark.parametrize(
    ("seconds", "model"), [(0.02, "similarity"), (-0.02, "similarity"), (0.008, "similarity"), (0.02, "affine")]
)
def test_time_and_sign_are_found_and_the_shear_is_no_turn(seconds: float, model: ModelName) -> None:
    run, shears = measured(steps(seconds), model)
    found = estimated_readout([(run.times, run.motions, shears)], WIDTH, HEIGHT)
    assert found.seconds == pytest.approx(seconds, rel=0.2)
    true = np.stack([np.eye(3), *(similarity(*step) for step in np.diff(PLACES, axis=0))])
    inner = slice(4, -4)

    def off(motions: np.ndarray) -> float:
        return float(np.sqrt(((motions - motion_vectors(true, WIDTH, HEIGHT))[inner] ** 2).mean()))

    sheared = np.full(FRAMES, model == "affine")
    assert off(without_shear_of(run, found.seconds, sheared).motions) < 0.4 * off(run.motions)


def test_a_shutter_that_opens_at_once_has_none() -> None:
    run, shears = measured(steps(0.0))
    found = estimated_readout([(run.times, run.motions, shears)], WIDTH, HEIGHT)
    assert found.seconds == 0.0 and found.sigma_seconds < 0.005
    assert without_shear_of(run, found.seconds, np.zeros(FRAMES, bool)) is run


def test_shear_out_of_time_with_the_camera_is_no_evidence() -> None:
    run, _ = measured(steps(0.0))
    shears = [tuple(each) for each in np.random.default_rng(2).normal(0, 3, (FRAMES, 2))]
    assert estimated_readout([(run.times, run.motions, shears)], WIDTH, HEIGHT).seconds == 0.0


def test_a_few_wild_frames_do_not_matter() -> None:
    run, shears = measured(steps(0.02))
    for at in (10, 25, 40):
        shears[at] = (60.0, -60.0)
    found = estimated_readout([(run.times, run.motions, shears)], WIDTH, HEIGHT)
    assert found.seconds == pytest.approx(0.02, rel=0.2)


def test_short_runs_and_unknown_shear_say_nothing() -> None:
    run, shears = measured(steps(0.02))
    assert estimated_readout([(run.times[:3], run.motions[:3], shears[:3])], WIDTH, HEIGHT).seconds == 0.0
    assert estimated_readout([(run.times, run.motions, [None] * FRAMES)], WIDTH, HEIGHT).seconds == 0.0
    assert estimated_readout([], WIDTH, HEIGHT).seconds == 0.0


def test_speed_changes_are_those_of_the_path() -> None:
    matrices = np.stack([np.eye(3), *(similarity(*step) for step in np.diff(PLACES, axis=0))])
    motions = motion_vectors(matrices, WIDTH, HEIGHT)
    assert np.allclose(accumulate(motions)[:, [2, 5]], PLACES - PLACES[0], atol=1e-6)
    found = speed_changes(TIMES, motions, WIDTH, HEIGHT)[4:-4]
    assert np.corrcoef(found.ravel(), CHANGES[4:-4].ravel())[0, 1] > 0.97
