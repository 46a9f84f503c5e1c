"""What was taken for the world before it was known which layer is: looked at again once that is known.

A large thing that stands from the first frame on, or moves by less than flow tells apart, is the world to all that is
seen. While that is in doubt, small pictures of the frames are kept. Once it is known which parts of a frame are the
world, these are followed back from picture to picture, and frames that followed something else are put right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raftline.camera.background_belief import BackgroundBelief
from raftline.camera.backward_walk import BackwardWalk
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.revision import Revision, revised, revision
from raftline.camera.small_picture import small_picture
from raftline.camera.step import Step
from raftline.flow.grid import to_level

_MOST_FRAMES = 300
"""Ten seconds of 30 frames; 4.5 MB. Chosen by hand."""
_MOST_RIGHT = 20
"""Frames in a row that were right although the layers moved apart, after which those before are taken to be. Chosen by
hand."""
_MOST_STILL = 45
"""The same whether they did or not: the longest stop, and the most time, .2 s. Chosen by hand."""
_MOST_UNTOLD = 3
"""Frames in a row in which the world is not found, at most, while nothing moves past it. Chosen by hand."""


@dataclass(frozen=True)
class _Kept:
    """A frame."""

    index: int
    """Index of the frame."""
    picture: np.ndarray
    """(h, w) uint8, small."""
    motion: np.ndarray
    """(3, 3) px to px: into it, from the one kept before."""


class Hindsight:
    """Keeps what it takes to put frames right, and does so; for the frames of one path, in order."""

    def __init__(self, width: int, height: int) -> None:
        """Begin a path of frames of `width` x `height` px."""
        self.looks_back = False
        """Any frame may still be put right, which takes up to a second at once; else nothing is kept."""
        self._size = (width, height)
        self._kept: deque[_Kept] = deque(maxlen=_MOST_FRAMES)
        self._lost = False
        """A frame without a motion was the last."""

    def take(
        self, step: Step, motion: np.ndarray, turned: Sequence[Revision], known: BackgroundBelief | None
    ) -> list[Revision]:
        """Take the next frame of known motion.

        Args:
            step: What is seen of it.
            motion: (3, 3) px to px: into it, as it was taken for the camera's.
            turned: What put frames right meanwhile.
            known: What of it is the world, if that has just become known.

        Returns:
            The frames that turn out to have followed something else than the world, put right.
        """
        if not self.looks_back:
            return []
        self._keep(step, motion)
        by_index = dict(turned)
        for at, each in enumerate(self._kept if turned else ()):
            if each.index in by_index:
                self._kept[at] = replace(each, motion=revised(each.motion, by_index[each.index]))
        if known is None or known.trust(*step.texture.shape) is None:
            return []
        return self._look_back(known.cells(*step.texture.shape))

    def _keep(self, step: Step, motion: np.ndarray) -> None:
        if step.before is not None and (self._lost or not self._kept):
            before = _picture(step.before)
            if self._kept and not np.array_equal(self._kept[-1].picture, before):
                self.forget()  # so many were lost that the path goes on from one of them
            if not self._kept:
                self._kept.append(_Kept(step.index - 1, before, np.eye(3)))
        self._lost = False
        self._kept.append(_Kept(step.index, _picture(step.now), motion))

    def lose(self) -> None:
        """Take a frame without a motion."""
        self._lost = True

    def forget(self) -> None:
        """Take it that no frame so far is to be put right."""
        self._kept.clear()

    def _look_back(self, world: np.ndarray) -> list[Revision]:
        """Return the frames put right, now that it is known (rows, columns) 0-1 what of the last one is the world."""
        found: list[Revision] = []
        right = still = untold = 0
        walk = BackwardWalk(self._kept[-1].picture, world)
        to_picture = to_level(*self._size, *self._kept[-1].picture.shape[::-1])
        from_picture = np.linalg.inv(to_picture)
        kept, self._kept = list(self._kept), deque([self._kept[-1]], maxlen=_MOST_FRAMES)
        for before, each in zip(kept[-2::-1], kept[:0:-1], strict=True):
            step = walk.back(before.picture, to_picture @ each.motion @ from_picture)
            untold = 0 if step.found else untold + 1
            right, still = right + step.tells, still + 1
            if step.correction is not None:
                correction = from_picture @ step.correction @ to_picture
                found.append(revision(each.index, correction / correction[2, 2]))
                right = still = 0
            if step.lost or untold > _MOST_UNTOLD or right > _MOST_RIGHT or still > _MOST_STILL:
                break
        return found[::-1]

    def state(self) -> dict[str, Any] | None:
        """Return everything, up to 5 MB, as numbers and arrays; None: nothing is kept."""
        if not self._kept:
            return None
        return {
            "indices": [each.index for each in self._kept],
            "pictures": np.stack([each.picture for each in self._kept]),
            "motions": np.stack([each.motion for each in self._kept]),
            "lost": self._lost,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        kept = zip(state["indices"], state["pictures"], state["motions"], strict=True)
        self._kept = deque((_Kept(*each) for each in kept), maxlen=_MOST_FRAMES)
        self._lost = state["lost"]


def _picture(frame: LumaPyramid) -> np.ndarray:
    return small_picture(frame).levels[0].astype(np.uint8)
