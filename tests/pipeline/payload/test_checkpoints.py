"""Large states, kept in two generations: what is read is what was committed, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import StateLost
from pipeline.payload.checkpoints import Checkpoints, FileCheckpoints, TransportCheckpoints
from pipeline.payload.state_bytes import PackedState, checksum, unpacked
from pipeline.transport.memory import MemoryTransport

NAME = "cam.1:flow"
Make = Callable[[str], Checkpoints]


@pytest.fixture(params=["files", "transport"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Checkpoints of one stage and source, by the fencing number of the worker."""
    transport = MemoryTransport()
    if request.param == "files":
        return lambda fence: FileCheckpoints(tmp_path, NAME, fence)
    return lambda fence: TransportCheckpoints(transport, NAME, fence, 10_000)


def state(value: int) -> dict[str, Any]:
    return {"value": value, "pixels": np.full((5, 7), value, np.uint8), "none": None, "list": [1.5, np.arange(value)]}


def kept(checkpoints: Checkpoints, value: int) -> str:
    reference = checkpoints.keep(state(value))
    assert reference is not None
    return reference


def test_a_state_comes_back_as_it_was(make: Make) -> None:
    back = make("2").recall(kept(make("1"), 3))
    assert (back["value"], back["none"], back["list"][0]) == (3, None, 1.5)
    np.testing.assert_array_equal(back["pixels"], state(3)["pixels"])
    np.testing.assert_array_equal(back["list"][1], np.arange(3))
    back["pixels"][0, 0] = 9  # an array of its own


def test_the_committed_generation_stands_while_the_next_is_written(make: Make) -> None:
    worker = make("1")
    first = kept(worker, 1)
    kept(worker, 2)  # and dies before this is committed
    assert make("2").recall(first)["value"] == 1


def test_a_generation_that_was_written_over_is_not_taken_for_the_committed_one(make: Make) -> None:
    worker = make("1")
    first = kept(worker, 1)
    kept(worker, 2)
    kept(worker, 3)
    with pytest.raises(StateLost, match="not what was committed"):
        make("2").recall(first)


def test_a_worker_that_wakes_up_late_cannot_touch_what_its_successor_kept(make: Make) -> None:
    late, successor = make("1"), make("2")
    successor.recall(kept(late, 1))
    committed = kept(successor, 2)
    kept(late, 9)
    kept(late, 9)
    assert make("3").recall(committed)["value"] == 2


def test_what_earlier_workers_kept_is_removed_once_a_state_is_committed(make: Make) -> None:
    first = kept(make("1"), 1)
    worker = make("2")
    worker.recall(first)
    second = kept(worker, 2)
    worker.clear()
    assert make("3").recall(second)["value"] == 2
    with pytest.raises(StateLost, match="gone"):
        make("3").recall(first)
    worker.clear(all_of_them=True)
    with pytest.raises(StateLost, match="gone"):
        make("3").recall(second)


def test_a_state_that_grows_and_shrinks_comes_back(make: Make) -> None:
    worker = make("1")
    for size in (4, 4, 3000, 30, 5000):
        reference = worker.keep({"array": np.arange(size, dtype=np.uint8)})
        assert reference is not None
        assert len(make("2").recall(reference)["array"]) == size


def test_the_states_of_another_stage_are_left_alone(tmp_path: Path) -> None:
    other = FileCheckpoints(tmp_path, f"{NAME}.2", "1")
    reference = kept(other, 5)
    worker = FileCheckpoints(tmp_path, NAME, "1")
    worker.clear(all_of_them=True)
    assert other.recall(reference)["value"] == 5
    with pytest.raises(StateLost, match="no state of this stage"):
        worker.recall(reference)
    with pytest.raises(StateLost, match="no state of this stage"):
        worker.recall(json.dumps({**json.loads(reference), "name": f"../{NAME}.1.0.state"}))


def test_where_there_is_no_room_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TransportCheckpoints(MemoryTransport(), NAME, "1", 100).keep(state(3)) is None
    monkeypatch.setattr("pipeline.payload.checkpoints.usable_bytes", lambda place: 1000)
    worker = FileCheckpoints(tmp_path, NAME, "1")
    assert worker.keep({"array": np.zeros(900, np.uint8)}) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"a": object()}, {"a": np.array([object()])}, {"$array": 1}, {"a": {1: 2}}])
def test_what_cannot_be_kept_is_refused(wrong: dict) -> None:
    with pytest.raises((TypeError, ValueError)):
        PackedState.of(wrong)


def test_bytes_that_are_no_state_are_said_to_be_lost() -> None:
    with pytest.raises(StateLost):
        unpacked(np.full(64, 7, np.uint8))


@pytest.mark.parametrize("kind", ["whole words in a row", "odd rows", "no rows", "a number"])
def test_the_checksum_of_an_array_that_is_written_in_pieces_is_that_of_all_bytes(kind: str) -> None:
    shape = {"whole words in a row": (70, 1000, 8), "odd rows": (70, 1001, 3), "no rows": (0, 4), "a number": ()}[kind]
    values = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    packed = PackedState.of({"values": values, "after": np.arange(3)})
    into = np.full(packed.size_bytes, 7, np.uint8)
    assert packed.write(into) == checksum(into)
    kept = unpacked(into)
    assert np.array_equal(kept["values"], values) and np.array_equal(kept["after"], np.arange(3))
