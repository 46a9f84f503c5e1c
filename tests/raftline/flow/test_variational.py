"""Variational refinement of the network's flow: on known flow the error falls, everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raftline.cli.h264_round_trip import h264_round_trip
from raftline.evaluation.evaluation import evaluate
from raftline.evaluation.protocol import PROTOCOL
from raftline.flow.variational import luma_of, refine_on_images
from raftline.kernels.crop import Crop
from tests.data import data_path

DIS_PX = {"Grove2": 0.319, "RubberWhale": 0.224, "Urban2": 0.645, "Venus": 0.384}
"""OpenCV's DIS (medium) on Middlebury: `evaluate --weights dis`."""


def test_luma_is_in_grey_levels() -> None:
    image = torch.tensor([-1.0, 1.0, 0.0]).view(1, 1, 1, 3).expand(1, 3, 2, 3)
    torch.testing.assert_close(luma_of(image)[0, 0, 0], torch.tensor([0.0, 255.0, 127.5]))
    red = torch.stack([torch.ones(2, 3), -torch.ones(2, 3), -torch.ones(2, 3)])[None]
    assert luma_of(red)[0, 0, 0, 0].item() == pytest.approx(0.299 * 255)
    assert luma_of(image, Crop(0, 1, 2, 2)).shape == (1, 1, 2, 2)


def test_shapes_that_do_not_fit_are_refused() -> None:
    luma = torch.zeros(1, 1, 8, 9)
    with pytest.raises(ValueError, match=r"luma1: expected shape"):
        refine_on_images(luma, luma, torch.zeros(1, 2, 8, 8))


def test_on_middlebury_the_error_falls_by_a_fifth_and_below_dis() -> None:
    folder = f"middlebury:{data_path('flow', 'middlebury')}"
    alone, nearer = (
        {row.scene: row.epe_px for row in evaluate("default", [folder], options, iterations=12).results}
        for options in (PROTOCOL, replace(PROTOCOL, variational_refinement=True))
    )
    assert alone.keys() == DIS_PX.keys()
    for scene, error_px in nearer.items():
        assert error_px < 0.8 * alone[scene]
        assert error_px < DIS_PX[scene]


def test_a_still_camera_with_noise_and_compression_stays_still() -> None:
    options = replace(PROTOCOL, variational_refinement=True, warm_start="always")
    sets = [f"still:{data_path('textures')}"]
    (row,) = evaluate("default", sets, options, iterations=4, codec=h264_round_trip).results
    assert row.p99_px < 0.25
