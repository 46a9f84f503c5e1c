"""A long file in segments gives the frames, sound and path that it gives in one piece, whatever is killed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from raftline.cli.batch.summaries import said_before
from tests.command_line import run, running, wait_until_alone
from tests.raftline.cli.batch.ray_cluster import ray_cluster
from tests.stages.segment_clips import STABILIZED, write_shaken

IN_SEGMENTS = ("--jobs", "2", "--segment-minutes", "0.006")
"""0.36 s: four segments of 1.4 s."""
_PATIENCE_SECONDS = 300
"""A Ray cluster takes minutes to start on a machine with a load of 20."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    write_shaken(folder / "open_hevc.mkv", 42, sound=True)
    (folder / "long.yaml").write_text(STABILIZED)
    run(folder, "batch", "long.yaml", "open_hevc.mkv", "-o", "one", "--jobs", "1")
    return folder


def assert_as_in_one_piece(folder: Path, output: str) -> None:
    def contents(name: str) -> tuple[list, list, str]:
        with av.open(str(folder / name / "open_hevc.mkv")) as container:
            frames = [(each.pts, _digest(each.to_ndarray().tobytes())) for each in container.decode(video=0)]
        with av.open(str(folder / name / "open_hevc.mkv")) as container:
            sound = [(each.pts, _digest(bytes(each))) for each in container.demux(audio=0) if each.size]
        return frames, sound, (folder / name / "open_hevc.path.jsonl").read_text()

    assert contents(output) == contents("one")
    hidden = [path.name for path in (folder / output).iterdir() if path.name.startswith(".") or ".part" in path.name]
    assert hidden == [".batch.json"]  # of the page
    told = json.loads((folder / output / "open_hevc.summary.json").read_text())
    assert told["state"] == "finished" and set(told["tasks"]) >= {"path", "measure-0", "measure-4", "rest-3"}
    assert told["sources"]["open_hevc"]["stages"]["video"]["frames"] == 42
    assert told["sources"]["open_hevc"]["stages"]["video"]["status"]["audio"] == "aac copied"


def test_it_gives_what_it_gives_in_one_piece_and_is_not_done_twice(folder: Path) -> None:
    batch = ("batch", "long.yaml", "open_hevc.mkv", "-o", "segments", *IN_SEGMENTS)
    assert "1 files finished (0 of them before)" in run(folder, *batch).stdout
    assert_as_in_one_piece(folder, "segments")
    assert "1 finished before, 0 to do" in run(folder, *batch).stdout


@pytest.mark.parametrize("until", ["measure-1/summary.json", "moves", "rest-1/summary.json"])
def test_a_killed_driver_goes_on_with_what_is_not_finished(folder: Path, until: str) -> None:
    output = f"killed-{until.partition('/')[0]}"
    batch = ("batch", "long.yaml", "open_hevc.mkv", "-o", output, *IN_SEGMENTS)
    left = folder / output / ".open_hevc.segments"
    with running(folder, *batch) as process:
        _wait_for(left, until)
        process.kill()
    wait_until_alone(folder)
    kept = {path.parent.name: told for path in left.glob("measure-*/summary.json") if (told := said_before(path))}
    run(folder, *batch)
    assert_as_in_one_piece(folder, output)
    tasks = json.loads((folder / output / "open_hevc.summary.json").read_text())["tasks"]
    assert kept and all(tasks[name]["seconds"] == told["seconds"] for name, told in kept.items())  # not done again


@pytest.fixture
def on_ray() -> Iterator[tuple]:
    with ray_cluster() as cluster:
        yield cluster, ("--executor", "ray", "--address", cluster.address, *IN_SEGMENTS)


@pytest.mark.timeout(900)
def test_segments_go_to_the_nodes_of_a_cluster_also_when_one_is_lost(folder: Path, on_ray: tuple) -> None:
    cluster, ray = on_ray
    with running(folder, "batch", "long.yaml", "open_hevc.mkv", "-o", "lost", *ray) as process:
        measuring = _wait_for(folder / "lost" / ".open_hevc.segments", "measure-*/.measured.jsonl.lock")
        cluster.kill_a_node(holding=measuring)
        assert process.wait(_PATIENCE_SECONDS) == 0
        assert process.stdout is not None
        said = process.stdout.read()
    assert_as_in_one_piece(folder, "lost")
    assert "open_hevc.mkv: the node that worked on it was lost; it goes to another one" in said
    assert "raylet" not in said  # what Ray prints of that


def _wait_for(folder: Path, pattern: str) -> Path:
    """One that there is."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := next(folder.glob(pattern), None)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
