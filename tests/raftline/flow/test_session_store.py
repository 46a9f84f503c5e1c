"""Two sessions of RAFT over parts of one stream that share a store give the flow of one over all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult
from raftline.flow.session import FlowSession
from raftline.flow.store import FlowStore
from raftline.flow.update_loop import UpdateLoop
from tests.raftline.synthetic_motion import textured

WORLD = cv2.cvtColor(textured(220, 160, 5), cv2.COLOR_GRAY2RGB).astype(np.uint8)
FRAMES = [np.ascontiguousarray(WORLD[3 * at : 3 * at + 96, 5 * at : 5 * at + 136]) for at in range(10)]
SETTLED_PX = 0.05
"""Difference, mean over a frame, that is left of a start elsewhere after three frames; of motion of 6 px a frame."""


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(FlowOptions(device="cpu", precision="float32", runtime="torch"))


def flow(session: FlowSession, begin: int, end: int) -> list[FlowResult]:
    results = [session(frame, full_resolution=False) for frame in FRAMES[begin:end]]
    return [result for result in results if result is not None]


def in_parts(folder: Path, loop: UpdateLoop, options: FlowOptions) -> tuple[list[FlowResult], list[FlowResult], int]:
    """Flow of one session, of one that finds that of frames 5 to 7, and how often the latter encoded a frame."""
    whole, encoded = flow(FlowSession(loop, options), 0, len(FRAMES)), 0
    ahead, mine = FlowStore(folder, "a"), FlowStore(folder, "a")
    flow(FlowSession(loop, options, ahead), 2, 8)
    encode = loop.model.encode

    def counted(*images: Any) -> Any:
        nonlocal encoded
        encoded += 1
        return encode(*images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.model, "encode", counted)
        parts = flow(FlowSession(loop, options, mine), 0, len(FRAMES))
    ahead.close()
    mine.close()
    return whole, parts, encoded


@pytest.mark.parametrize("one_motion_side_px", [None, 64])
def test_where_pairs_do_not_depend_on_each_other_it_is_the_same_and_is_not_estimated_again(
    tmp_path: Path, update_loop: UpdateLoop, one_motion_side_px: int | None
) -> None:
    options = FlowOptions(warm_start="never", iterations=3, one_motion_side_px=one_motion_side_px, device="cpu")
    whole, parts, encoded = in_parts(tmp_path, update_loop, options)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.grid_px, other.grid_px)
        assert (one.start, one.iterations, one.scaled_down) == (other.start, other.iterations, other.scaled_down)
    if one_motion_side_px is None:
        assert encoded == 6  # frames 0 to 2, frame 7 once it is needed, 8 and 9


def test_where_each_pair_starts_from_the_last_it_settles(tmp_path: Path, update_loop: UpdateLoop) -> None:
    options = FlowOptions(warm_start="adaptive", iterations=4, device="cpu")
    whole, parts, _ = in_parts(tmp_path, update_loop, options)
    difference = [float(np.abs(a.grid_px - b.grid_px).mean()) for a, b in zip(whole, parts, strict=True)]
    assert difference[:2] == [0, 0] and max(difference[4:]) < SETTLED_PX, difference
