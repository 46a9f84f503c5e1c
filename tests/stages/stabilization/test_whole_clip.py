"""The path of a run, from the records of its frames."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.camera_motion import CameraMotion
from raftline.camera.parallax import shifted
from raftline.camera.revision import Revision, revision
from raftline.camera.transforms import SHIFTS
from raftline.stabilize.path.path_records import PathRecord
from stages.stabilization.whole_clip import measured_path


def test_frames_that_a_later_one_puts_right_are_so_without_a_mesh() -> None:
    def moved(index: int, x: float, y: float) -> Revision:
        return revision(index, shifted(np.eye(3), x, y))

    def record(at: int, revised: tuple[Revision, ...] = ()) -> PathRecord:
        matrix = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -1.0], [0.0, 0.0, 1.0]])
        motion = CameraMotion(matrix, "similarity", 1.0, 1.0, 0.1)
        return PathRecord.of(motion, 40 + at, at / 30, (320, 180), starts_path=at == 0, revised=revised)

    run, gains = measured_path(
        [record(0), record(1), record(2), record(3, (moved(41, -4.0, 0.5), moved(42, -5.0, 0.0)))]
    )
    assert run.motions[1:, SHIFTS] == pytest.approx(np.array([(-1.0, -0.5), (-2.0, -1.0), (3.0, -1.0)]))
    assert gains == [None] * 4
