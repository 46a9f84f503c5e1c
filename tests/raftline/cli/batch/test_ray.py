from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from raftline.cli.batch.command import _shared_out
from raftline.cli.batch.ray_lane import connect_to_ray
from tests.command_line import lay_out, run, running, summary
from tests.raftline.cli.batch.ray_cluster import RayCluster, ray_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.mp4").write_text(str(number))
    return tmp_path


def batch(cluster: RayCluster, seconds: float = 0.0) -> tuple[str, ...]:
    frames = f"{{frames: 20, pause_seconds: {seconds / 20}}}"
    ray = ("--executor", "ray", "--address", cluster.address, "--set", f"stages.counter.options={frames}")
    return ("batch", "counting.yaml", "in", "-o", "out", *ray)


def sums(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "out").glob("*.sums.txt")}


@pytest.mark.slow
@pytest.mark.timeout(600)  # a cluster takes minutes to start on a busy machine
def test_files_go_to_the_nodes_and_come_out_as_on_one_machine(folder: Path, cluster: RayCluster) -> None:
    said = run(folder, *batch(cluster)).stdout
    assert "4 to do, 2 at a time" in said and "4 files finished" in said
    assert summary(folder / "out")["state"] == "finished"
    there = sums(folder)
    run(folder, "batch", "counting.yaml", "in", "-o", "alone")
    assert there == {path.name: path.read_text() for path in (folder / "alone").glob("*.sums.txt")}
    assert "4 finished before, 0 to do" in run(folder, *batch(cluster)).stdout


@pytest.mark.slow
@pytest.mark.timeout(600)  # a cluster takes minutes to start on a busy machine
def test_what_is_stopped_by_ctrl_c_is_whole_and_the_rest_is_done_later(folder: Path, cluster: RayCluster) -> None:
    with running(folder, *batch(cluster, seconds=4)) as process:
        _wait_for(folder / "out", ".summary.json", 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130
    finished = [name for name, text in sums(folder).items() if text.count("\n") == 20]
    assert 1 <= len(finished) < 4 and not list((folder / "out").glob("*.part"))
    run(folder, *batch(cluster, seconds=4))
    assert all(text.count("\n") == 20 for text in sums(folder).values()) and len(sums(folder)) == 4


@pytest.mark.slow
@pytest.mark.timeout(600)  # a cluster takes minutes to start on a busy machine
def test_a_killed_driver_leaves_nothing_running_and_can_be_started_again(folder: Path, cluster: RayCluster) -> None:
    with running(folder, *batch(cluster, seconds=4)) as process:
        _wait_for(folder / "out", ".summary.json", 1)
        process.kill()
    run(folder, *batch(cluster, seconds=4))
    assert len(sums(folder)) == 4 and summary(folder / "out")["state"] == "finished"


@pytest.mark.slow
@pytest.mark.timeout(600)  # a cluster takes minutes to start on a busy machine
def test_files_of_a_node_that_is_lost_go_to_another(folder: Path, cluster: RayCluster) -> None:
    """The last, since it leaves the cluster with one node."""
    with running(folder, *batch(cluster, seconds=4)) as process:
        _wait_for(folder / "out", ".summary.json", 1)
        cluster.kill_a_node()
        assert process.wait(300) == 0
    assert len(sums(folder)) == 4 and summary(folder / "out")["state"] == "finished"


def test_where_no_cluster_answers_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def init(**options: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nPlease specify the one to connect to.")

    monkeypatch.setattr(ray, "init", init)  # a cluster that runs on this machine, of whomever, would be found
    with pytest.raises(ConfigError) as raised:
        connect_to_ray("auto")
    why = "--address auto: no Ray cluster there (Could not find any running Ray instance.); start one with `ray start`"
    assert str(raised.value) == why


@pytest.mark.parametrize(
    ("jobs", "cores", "nodes", "shared"),
    [
        (None, None, [4, 4], (8, 1)),
        (None, 4, [8], (2, 4)),
        (None, 3, [4, 4], (2, 3)),
        (2, None, [8], (2, 4)),
        (1, None, [1, 1], (1, 1)),
        (16, None, [4, 4], (16, 1)),
    ],
)
def test_the_cores_of_a_cluster_are_shared_out(
    jobs: int | None, cores: int | None, nodes: list[int], shared: tuple[int, int]
) -> None:
    assert _shared_out(jobs, cores, nodes) == shared


def test_more_cores_than_a_node_has_are_refused_rather_than_waited_for() -> None:
    with pytest.raises(ConfigError, match=r"cores: found 4, .* largest node .* has 2: give --set cores=2"):
        _shared_out(None, 4, [2, 2, 1])


def _wait_for(folder: Path, suffix: str, count: int) -> None:
    deadline = time.monotonic() + 300
    while sum(path.name.endswith(suffix) for path in folder.glob("*")) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
