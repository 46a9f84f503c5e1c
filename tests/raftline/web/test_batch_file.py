"""What a batch tells of itself, and what the page makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.transport.redis_server import PrivateServer
from raftline.cli.batch.lane import Outcome
from raftline.cli.batch.news import BatchNews
from raftline.cli.batch.progress import batch_progress
from raftline.web.batch_file import batches
from tests.raftline.web.client import served
from tests.raftline.web.told import watched


def status(frames: int) -> dict[str, Any]:
    return {"frames_expected": 10, "stages": {"decoder": {"frames": 9}, "flow": {"frames": frames}}}


def test_the_page_shows_how_far_a_batch_is_and_how_long_it_takes(redis_server: PrivateServer, tmp_path: Path) -> None:
    with watched(redis_server, tmp_path) as run, served(run) as page:
        with batch_progress(4, 2, BatchNews(tmp_path, "night", 4, None)) as progress:
            progress.begin("a.mp4")
            progress.leave("a.mp4")
            progress.end("a.mp4", Outcome(error="no video"))
            progress.begin("gate")(status(5))
            progress.begin("b.mp4")
            (state,) = batches(tmp_path)
            assert (state.done, state.failed, state.running) == (
                1,
                1,
                {"gate": 0.5, "b.mp4": None},
            )
            assert state.seconds_left == pytest.approx((state.told_at - state.began_at) / 1.5 * 2.5)
            (shown,) = page.client("bob").get("/api/batches").json()
            assert (shown["name"], shown["goes_on"], shown["running"]) == ("night", True, {"gate": 0.5})
        assert not batches(tmp_path)[0].goes_on and batches(tmp_path)[0].ended


def test_each_part_of_a_batch_tells_of_itself(tmp_path: Path) -> None:
    for shard in (0, 1):
        with batch_progress(1, 2, BatchNews(tmp_path, f"part {shard}", 1, shard)):
            pass
    (tmp_path / ".batch-9.json").write_text("no JSON")
    assert [each.name for each in batches(tmp_path)] == ["part 0", "part 1"]
