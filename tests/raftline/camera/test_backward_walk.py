"""Two layers followed back from picture to picture."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.backward_walk import BackwardWalk
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.parallax import shifted
from raftline.camera.small_picture import small_picture
from tests.cases.slow_thing import SPEEDS, image, shows_world
from tests.cases.slow_thing import motions as px_motions

LAST = len(SPEEDS)


def picture(at: int) -> np.ndarray:
    """Half the frame's size."""
    return small_picture(LumaPyramid.of(image(at))).levels[0].astype(np.uint8)


def motions(at: int) -> list[np.ndarray]:
    return [shifted(np.eye(3), *each[:2, 2] / 2) for each in px_motions(at)]


def walked(followed: int) -> dict[int, np.ndarray | None]:
    """What puts each frame right, as it is walked back; 0 follows the world, 1 the thing, but in the last frames."""
    walk = BackwardWalk(picture(LAST), shows_world(LAST, 23, 40))
    found = {}
    for at in range(LAST, 0, -1):
        step = walk.back(picture(at - 1), motions(at)[followed if at <= LAST - 5 else 0])
        assert step.found and not step.lost
        assert step.tells == (abs(SPEEDS[at - 1]) > 0.5)
        found[at] = step.correction
    return found


def test_frames_that_followed_the_world_stay() -> None:
    assert set(map(type, walked(followed=0).values())) == {type(None)}


def test_frames_that_followed_the_thing_are_put_right_however_slow_it_was() -> None:
    for at, correction in walked(followed=1).items():
        if SPEEDS[at - 1] == 0.0 or at > LAST - 5:
            assert correction is None
            continue
        world, thing = motions(at)
        assert correction is not None
        np.testing.assert_allclose(correction @ thing, world, atol=0.2)


@pytest.mark.parametrize("plain", [0, 128])
def test_a_world_without_texture_is_lost_once_something_moves_before_it(plain: int) -> None:
    walk = BackwardWalk(picture(LAST), shows_world(LAST, 23, 40))
    assert walk.back(picture(LAST - 1), motions(LAST)[0]).found
    step = walk.back(np.full((90, 160), plain, np.uint8), motions(LAST - 1)[0])
    assert step.lost and not step.found and step.correction is None
