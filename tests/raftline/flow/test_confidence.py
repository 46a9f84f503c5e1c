"""What the way there and the way back say of each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from raftline.evaluation.datasets import read_image, read_truth
from raftline.flow.confidence import occluded
from raftline.flow.confidence import round_trip_confidence as confidence
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession
from tests.data import data_path


def uniform(u: float, v: float, height: int = 6, width: int = 9) -> Tensor:
    return torch.tensor([float(u), float(v)]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def test_a_way_back_that_leads_home_is_trusted_wholly() -> None:
    trusted = confidence(uniform(8, 0), uniform(-8, 0))
    assert trusted.shape == (1, 6, 9) and trusted.dtype == torch.float32
    assert (trusted[0, :, :-1] == 1).all()


def test_what_leaves_the_frame_cannot_be_trusted() -> None:
    trusted = confidence(uniform(16, -8), uniform(-16, 8))
    assert (trusted[0, :, -2:] == 0).all() and (trusted[0, 0] == 0).all()
    assert (trusted[0, 1:, :-2] == 1).all()


@pytest.mark.parametrize("length_px", [0.0, 40.0])
def test_half_is_where_the_test_for_occlusion_is_met(length_px: float) -> None:
    # |f + b|^2 = 0.01 (|f|^2 + |b|^2) + 0.5, with b longer than -f by d: d^2 = 0.01 (L^2 + (L + d)^2) + 0.5.
    d = next(d for d in (n / 1e4 for n in range(10**6)) if d * d >= 0.01 * (length_px**2 + (length_px + d) ** 2) + 0.5)
    at = confidence(uniform(length_px, 0, 6, 20), uniform(-length_px - d, 0, 6, 20))[0, 3, 3]
    # d is a multiple of 1e-4 px.
    assert math.isclose(float(at), 0.5, abs_tol=1e-3)
    inside, outside = (
        confidence(uniform(length_px, 0, 6, 20), uniform(-length_px - miss, 0, 6, 20)) for miss in (0.9 * d, 1.1 * d)
    )
    assert not occluded(inside)[0, 3, 3] and occluded(outside)[0, 3, 3]


def test_the_flow_back_is_read_between_its_cells() -> None:
    back = torch.zeros(1, 2, 4, 8)
    back[:, 0] = -4 - 8 * torch.arange(8) / 2  # half a cell right of cell 2, it is -4 - 8 * 2.5 / 2 = -14
    forward = torch.zeros(1, 2, 4, 8)
    forward[:, 0, 1, 2] = 4
    missed = (4 - 14) ** 2
    allowed = 0.01 * (4**2 + 14**2) + 0.5
    assert math.isclose(float(confidence(forward, back)[0, 1, 2]), 2 ** -(missed / allowed), rel_tol=1e-5)


def test_what_an_object_covers_is_found_occluded() -> None:
    # A block of 3x4 cells moves two cells to the right over a still background.
    forward, back = uniform(0, 0, 12, 16), uniform(0, 0, 12, 16)
    forward[:, 0, 4:7, 3:7] = 16
    back[:, 0, 4:7, 5:9] = -16
    expected = torch.zeros(12, 16, dtype=torch.bool)
    expected[4:7, 7:9] = True
    assert torch.equal(occluded(confidence(forward, back))[0], expected)


def test_what_is_not_a_number_is_not_trusted() -> None:
    forward, back = uniform(0, 0), uniform(0, 0)
    forward[0, 0, 1, 1] = math.nan
    forward[0, 1, 2, 2] = math.inf
    back[0, 0, 4, 4] = math.nan
    trusted = confidence(forward, back)
    assert torch.isfinite(trusted).all()
    assert trusted[0, 1, 1] == trusted[0, 2, 2] == trusted[0, 4, 4] == 0
    assert trusted[0, 0, 0] == 1
    assert (confidence(uniform(0, 0, 1, 1), uniform(0, 0, 1, 1)) == 1).all()


def test_on_real_images_what_is_not_trusted_is_what_is_wrong() -> None:
    image1, image2 = (read_image(data_path("flow", "chairs", "data", f"00001_img{n}.ppm")) for n in (1, 2))
    truth_px = read_truth(data_path("flow", "chairs", "data", "00001_flow.flo"))
    session = FlowSession(options=FlowOptions(iterations=8, device="cpu"))
    session(image1)
    result = session(image2, confidence=True)
    assert result is not None and result.flow_px is not None and result.confidence is not None
    # 384 x 512: a whole number of cells, not padded.
    trusted = np.kron(result.confidence, np.ones((8, 8))) >= 0.5
    error_px = np.linalg.norm(result.flow_px - truth_px, axis=2)
    assert 0.6 < trusted.mean() < 0.95
    assert error_px[trusted].mean() < error_px[~trusted].mean() / 3
