from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from raftline.masks.gaussian_mixture import LEARN, GaussianMixture
from raftline.masks.row_threads import by_rows


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(request.param)
    yield request.param
    cv2.setNumThreads(before)


@pytest.mark.parametrize("rows", [1, 64, 200, 333])
def test_every_row_is_done_once(threads: int, rows: int) -> None:
    values, seen = np.arange(rows * 5).reshape(rows, 5), []

    def loop(part: np.ndarray, none: np.ndarray) -> None:
        seen.append((len(part), none.shape))
        part += 1000

    by_rows(loop, values, np.zeros((0, 0)))
    np.testing.assert_array_equal(values, np.arange(rows * 5).reshape(rows, 5) + 1000)
    assert len(seen) == max(1, min(threads, rows // 64)) and {shape for _, shape in seen} == {(0, 0)}


def test_what_a_thread_raises_is_raised(threads: int) -> None:
    def loop(part: np.ndarray) -> None:
        if part[-1] == 299:
            raise ValueError("the last row")

    with pytest.raises(ValueError, match="the last row"):
        by_rows(loop, np.arange(300))


def test_the_background_is_the_same_however_many_threads_learn_it(threads: int) -> None:
    found = []
    for number in (1, threads):
        cv2.setNumThreads(number)
        rng, background = np.random.default_rng(0), GaussianMixture(200, 90, 10.0)
        for _ in range(8):
            image = rng.integers(90, 140, (200, 90, 3)).astype(np.uint8)
            background.learn(image, np.full((200, 90), LEARN, np.uint8), 0.04)
        found.append((background.luma.copy(), *background.mahalanobis(image)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
