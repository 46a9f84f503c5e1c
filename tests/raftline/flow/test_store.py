"""Flow that is kept for others: found by its images, by nobody who would have estimated another, and whole or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raftline.flow.dis import DisSession
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult
from raftline.flow.store import FlowStore, StoredFlow
from tests.raftline.synthetic_motion import textured

IMAGES = [textured(96, 64, seed) for seed in range(3)]


def flow(seed: int, confident: bool = False) -> StoredFlow:
    values = np.random.default_rng(seed).normal(size=(8, 12, 3)).astype(np.float32)
    return StoredFlow(values[..., :2].copy(), "warm", 7, values[..., 2].copy() if confident else None)


@pytest.mark.parametrize("confident", [False, True])
def test_what_one_keeps_another_finds_exactly(tmp_path: Path, confident: bool) -> None:
    one, other = FlowStore(tmp_path / "new", "a"), FlowStore(tmp_path / "new", "a")
    one.put(IMAGES[0], IMAGES[1], flow(1, confident))
    found = other.get(IMAGES[0], IMAGES[1], confident)
    assert found is not None and (found.start, found.iterations) == ("warm", 7)
    np.testing.assert_array_equal(found.grid_px, flow(1).grid_px)
    if confident:
        np.testing.assert_array_equal(found.confidence, flow(1, True).confidence)
    one.close()
    other.close()


def test_flow_of_other_images_or_settings_is_not_found(tmp_path: Path) -> None:
    one, elsewhere = FlowStore(tmp_path, "a"), FlowStore(tmp_path, "b")
    one.put(IMAGES[0], IMAGES[1], flow(1))
    fresh = FlowStore(tmp_path, "a")
    for pair in ((1, 0), (0, 2), (2, 1)):
        assert fresh.get(IMAGES[pair[0]], IMAGES[pair[1]]) is None
    assert fresh.get(IMAGES[0], IMAGES[1], confidence=True) is None
    assert elsewhere.get(IMAGES[0], IMAGES[1]) is None
    assert fresh.get(IMAGES[0], IMAGES[1]) is not None
    for each in (one, elsewhere, fresh):
        each.close()


@pytest.mark.parametrize("lost", [1, 200, 775])
def test_of_a_killed_writer_only_whole_records_count(tmp_path: Path, lost: int) -> None:
    one = FlowStore(tmp_path, "a")
    one.put(IMAGES[0], IMAGES[1], flow(1))
    one.put(IMAGES[1], IMAGES[2], flow(2))
    one.close()
    (file,) = tmp_path.glob("*.flow")
    file.write_bytes(file.read_bytes()[:-lost])
    fresh = FlowStore(tmp_path, "a")
    assert fresh.get(IMAGES[1], IMAGES[2]) is None
    assert fresh.get(IMAGES[0], IMAGES[1]) is not None
    fresh.close()


def test_a_damaged_record_is_not_taken(tmp_path: Path) -> None:
    one = FlowStore(tmp_path, "a")
    one.put(IMAGES[0], IMAGES[1], flow(1))
    one.close()
    (file,) = tmp_path.glob("*.flow")
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    fresh = FlowStore(tmp_path, "a")
    assert fresh.get(IMAGES[0], IMAGES[1]) is None
    fresh.close()


def test_a_session_takes_what_another_estimated_and_estimates_the_rest_as_if_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = textured(160, 112, 5)
    frames = [np.ascontiguousarray(world[2 * at : 2 * at + 64, 3 * at : 3 * at + 96]) for at in range(8)]

    def estimated(session: DisSession, begin: int, end: int) -> list[FlowResult]:
        results = [session.of_luma(frame, full_resolution=False) for frame in frames[begin:end]]
        return [result for result in results if result is not None]

    alone = estimated(DisSession(), 0, 8)
    ahead = FlowStore(tmp_path, "a")
    estimated(DisSession(store=ahead), 4, 7)  # flow into frames 5 and 6
    store, calls = FlowStore(tmp_path, "a"), []
    session = DisSession(FlowOptions(estimator="dis"), store)
    dis = session._dis
    monkeypatch.setattr(session, "_dis", lambda *pair: calls.append(1) or dis(*pair))
    for mine, theirs in zip(estimated(session, 0, 8), alone, strict=True):
        np.testing.assert_array_equal(mine.grid_px, theirs.grid_px)
        assert mine.start == theirs.start
    assert len(calls) == 5
    ahead.close()
    store.close()


def test_where_nothing_can_be_written_what_is_there_is_found_still(tmp_path: Path) -> None:
    one = FlowStore(tmp_path / "flow", "a")
    one.put(IMAGES[0], IMAGES[1], flow(1))
    one.close()
    other = FlowStore(tmp_path / "flow", "a")
    assert other.get(IMAGES[0], IMAGES[1]) is not None
    (tmp_path / "flow").rename(tmp_path / "moved")
    other.put(IMAGES[1], IMAGES[2], flow(2))
    assert other.trouble is not None and other.get(IMAGES[0], IMAGES[1]) is not None
    other.close()
