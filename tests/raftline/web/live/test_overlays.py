"""Masks and flow as JSON, small whatever they hold."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from pipeline.messages import Flow, Frame, Header
from raftline.web.live.overlays import KINDS, of_flow, runs


def drawn(told: dict) -> np.ndarray:
    width, height = told["size"]
    mask = np.zeros(width * height, bool)
    for start, length in zip(told["runs"][::2], told["runs"][1::2], strict=True):
        mask[start : start + length] = True
    return mask.reshape(height, width)


def test_a_mask_is_told_exactly_and_a_large_one_at_half_size() -> None:
    mask = np.zeros((90, 160), np.uint8)
    mask[:, 0] = mask[20:40, 30:100] = mask[89, 150:] = 255
    np.testing.assert_array_equal(drawn(runs(mask)), mask > 0)
    large = np.kron(mask, np.ones((4, 4), np.uint8))
    np.testing.assert_array_equal(drawn(runs(large)), np.kron(mask > 0, np.ones((2, 2), bool)))
    assert runs(np.zeros((9, 16), np.uint8)) == {"size": [16, 9], "runs": []}


def test_noise_is_told_more_coarsely_instead_of_at_length() -> None:
    noise = np.random.default_rng(1).integers(0, 2, (360, 640), np.uint8)
    assert len(json.dumps(runs(noise))) < 60_000


@pytest.mark.parametrize(("height", "width", "size"), [(360, 640, [20, 11]), (1080, 1920, [24, 13]), (64, 64, [8, 8])])
def test_flow_is_told_as_few_arrows(height: int, width: int, size: list[int]) -> None:
    header = Header("a", 0, Fraction(1, 10), 0)
    frame = Frame(header, 3, width, height, "gray8", (), "bt709", "tv")
    grid = np.full((-(-height // 8), -(-width // 8), 2), (2.0, -0.5), np.float32)
    told = of_flow(Flow(header, frame, "warm", grid), KINDS)
    assert told["flow"]["size"] == size and told["flow"]["uv"][:2] == [8, -2]
    assert len(told["flow"]["uv"]) == 2 * size[0] * size[1]
    assert of_flow(Flow(header, frame, "first", None), KINDS)["flow"] is None
