from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from raftline.camera.camera_tracker import CameraTracker
from raftline.camera.direct_alignment import Alignment
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.richer_plane import RicherPlane, bent_px
from raftline.camera.step import Step
from raftline.camera.texture import texture_weights
from raftline.camera.transforms import frame_corners, transform_points
from raftline.stabilize.warp.warp import warp_image
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, grid_flow, similarity, textured

TILT = np.array([[1.0, 0, 0], [0.006, 1.0, 0], [1.2e-5, -2e-5, 1.0]])
"""Shear of 2 px over the width, and perspective of up to 1 px at the corners."""


def found(matrix: np.ndarray, error_px: float = 0.02, better: bool = True) -> Alignment:
    return Alignment(matrix, error_px, better, 1.0, np.zeros((2, 1)), 1.0)


def test_a_similarity_bends_nothing_and_a_tilt_does() -> None:
    assert bent_px(similarity(3.0, -2.0, degrees=2.0, scale=1.02), WIDTH, HEIGHT) < 1e-9
    assert 0.3 < bent_px(TILT, WIDTH, HEIGHT) < 2.0


def test_a_homography_is_used_while_frames_are_bent_by_far_more_than_it_errs() -> None:
    plane = RicherPlane()
    assert plane.model == "similarity" and plane.tries(contested=False) and not plane.tries(contested=True)
    assert [plane.take(found(TILT), WIDTH, HEIGHT) for _ in range(3)][-1] and plane.model == "homography"
    assert not plane.tries(contested=False)  # it is used anyway
    assert not [plane.take(found(similarity(1.0, 2.0)), WIDTH, HEIGHT) for _ in range(40)][-1]
    assert sum(plane.tries(contested=False) for _ in range(8)) == 5  # until one of them tells


def test_what_errs_as_much_as_it_bends_is_noise() -> None:
    plane = RicherPlane()
    assert not any(plane.take(found(TILT, error_px=0.2), WIDTH, HEIGHT) for _ in range(20))
    assert not any(plane.take(found(TILT, better=False), WIDTH, HEIGHT) for _ in range(20))


def test_a_decision_goes_on_after_a_restart() -> None:
    plane = RicherPlane()
    plane.take(found(TILT), WIDTH, HEIGHT)
    again = RicherPlane.from_state(json.loads(json.dumps(plane.state())))
    assert again.state() == plane.state()


@pytest.mark.parametrize(("step", "model"), [(TILT, "homography"), (similarity(2.0, 1.0, degrees=0.5), "similarity")])
def test_a_tilting_camera_is_followed_to_the_corners(step: np.ndarray, model: str) -> None:
    world = textured(WIDTH, HEIGHT)
    images = [world, warp_image(world, step), warp_image(world, step @ step)]
    tracker, motion = CameraTracker(WIDTH, HEIGHT, None, None), None
    for at, (before, now) in enumerate(itertools.pairwise(images)):
        pyramids = LumaPyramid.of(before), LumaPyramid.of(now)
        motion, _ = tracker.take(Step(at, 1 / 30, grid_flow(step), texture_weights(now), None, *pyramids, False))
    assert motion is not None and motion.model == model
    corners = frame_corners(WIDTH, HEIGHT)
    assert np.abs(transform_points(motion.matrix, corners) - transform_points(step, corners)).max() < 0.12
