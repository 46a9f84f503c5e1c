"""Shared memory that is small: fewer slots, then files on disk, said aloud."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.payload import ring_space
from pipeline.payload.ring_space import DISK, RingBudget
from pipeline.payload.shared_memory import SharedMemoryPayload
from pipeline.runtime import run_directory
from pipeline.runtime.memory_share import share_memory
from pipeline.runtime.supervisor import Supervisor
from tests.pipeline.running import ledger, make_test_plan, nothing_left_behind

MB = 10**6
FRAME_360P, FRAME_1080P, FRAME_4K = 640 * 360 * 3 // 2, 1920 * 1080 * 3 // 2, 3840 * 2160 * 3 // 2
PIXELS = np.arange(6000, dtype=np.uint8)


@pytest.mark.parametrize(
    ("live", "slot_bytes", "slots"),
    [
        (False, FRAME_360P, 32),
        (False, FRAME_1080P, 32),
        (False, FRAME_4K, 10),
        (False, 100 * MB, 3),
        (True, FRAME_360P, 32),
        (True, FRAME_1080P, 10),
        (True, FRAME_4K, 8),
        (True, 100 * MB, 3),
    ],
)
def test_large_frames_get_fewer_slots(live: bool, slot_bytes: int, slots: int) -> None:
    assert RingBudget(32, 128 * MB, live).slots_of(slot_bytes) == slots


def test_the_streams_of_a_run_share_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_test_plan(
        tmp_path,
        {"relay": {"use": "Relay", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "relay"}},
        sources={name: {"input": "counter"} for name in ("a", "b")},
    )
    monkeypatch.setattr(ring_space, "_free_bytes", lambda directory: 64 * MB)
    assert share_memory(plan, tmp_path).ring_bytes == 64 * MB * 0.8 // 4  # two sources, two stages that are read
    assert "has room for 12.8 MB of frames per stream and source instead of 128" in caplog.text
    monkeypatch.setattr(ring_space, "_free_bytes", lambda directory: 64_000 * MB)
    assert share_memory(plan, tmp_path).ring_bytes == 128 * MB


def test_what_does_not_fit_lies_on_disk_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shared, disk = tmp_path / "shared", tmp_path / "disk"
    shared.mkdir()
    disk.mkdir()
    (shared / DISK).symlink_to(disk)
    monkeypatch.setattr(ring_space, "_free_bytes", lambda place: 0 if place == shared else 100 * MB)
    told: list[str] = []
    with caplog.at_level(logging.WARNING):
        writers = [SharedMemoryPayload(shared, name, RingBudget(4), on_disk=told.append) for name in ("a:x", "a:y")]
        stored = [writer.put([PIXELS])[0] for writer in writers]
    assert sorted(file.name for file in disk.iterdir()) == ["a:x:0.ring", "a:y:0.ring"]
    again = SharedMemoryPayload(shared, "a:x", RingBudget(4))  # another process, or the next one after a crash
    assert again.slots == 4
    for place in stored:
        np.testing.assert_array_equal(again.get(place, PIXELS.shape, PIXELS.dtype), PIXELS)  # type: ignore[arg-type]
    assert len(told) == 2 and "frames are kept on disk" in told[0] and "0.0 MB free" in told[0]
    assert caplog.text.count("frames are kept on disk") == 1


@pytest.fixture
def small_shared_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """2 MB in place of ``/dev/shm``."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own are too long for a socket's path
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if shutil.which("mount") is None or os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        place.rmdir()
        pytest.skip("mounting a tmpfs is not allowed here")
    monkeypatch.setattr(run_directory, "SHARED_MEMORY", place)
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


def test_a_run_ends_well_with_hardly_any_shared_memory(small_shared_memory: Path, tmp_path: Path) -> None:
    chain = {"holder": {"use": "Holder", "reads": "decoder", "options": {"hold": 8}},
             "ledger": {"use": "Ledger", "reads": "holder"}}  # fmt: skip
    plan = make_test_plan(tmp_path, chain, source={"frames": 30, "side_px": 512})
    with nothing_left_behind(tmp_path):
        summary = Supervisor(plan).run()
        assert not list(small_shared_memory.iterdir())
    assert ledger(plan) == [*map(str, range(30)), "end"]
    assert "frames are kept on disk" in summary["sources"]["a"]["stages"]["decoder"]["status"]["shared_memory"]
