"""A large thing before a shaken world: it moves too slowly for flow to tell, stands, and goes."""

from __future__ import annotations

import cv2
import numpy as np

from raftline.camera.parallax import shifted

WIDTH, HEIGHT = 320, 180
THING = (180, 154)
"""Its width and height: almost half of the frame."""
SPEEDS = (*[-1.5] * 10, *[0.0] * 4, *[6.0] * 14)
"""Of the thing past the world, px into each frame but the first."""
SHAKE = np.random.default_rng(5).normal(0, 1.2, (len(SPEEDS) + 1, 2))
LEFTS = 74 + np.concatenate([[0.0], np.cumsum(SPEEDS)])


def _texture(seed: int) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (360, 520)), (0, 0), 2.0)
    return (128 + 40 * noise / noise.std()).clip(0, 255).astype(np.float32)


_WORLD, _PICTURE = _texture(1), _texture(2)


def image(at: int) -> np.ndarray:
    """uint8 (HEIGHT, WIDTH): a frame's luma."""

    def placed(picture: np.ndarray, x: float, y: float) -> np.ndarray:
        return cv2.warpAffine(picture, np.array([[1, 0, x], [0, 1, y]]), (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)

    x, y = SHAKE[at]
    cover = placed(np.ones(THING[::-1], np.float32), LEFTS[at] + x, 26 + y)
    shown = placed(_WORLD, x - 100, y - 90) * (1 - cover) + placed(_PICTURE, LEFTS[at] + x, 26 + y) * cover
    noise = np.random.default_rng(at).normal(0, 2.0, shown.shape)
    return (shown + noise).clip(0, 255).astype(np.uint8)


def motions(at: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) px to px, into a frame: the world's and the thing's."""
    step = SHAKE[at] - SHAKE[at - 1]
    return shifted(np.eye(3), *step), shifted(np.eye(3), step[0] + SPEEDS[at - 1], step[1])


def shows_world(at: int, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) float32 0-1: where a frame shows the world."""
    mask = np.ones((HEIGHT, WIDTH), np.float32)
    left, top = (round(float(each)) for each in (LEFTS[at] + SHAKE[at, 0], 26 + SHAKE[at, 1]))
    mask[max(top, 0) : top + THING[1], max(left, 0) : left + THING[0]] = 0
    return cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA)
