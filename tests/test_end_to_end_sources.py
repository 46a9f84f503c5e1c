"""Cameras of a real RTSP server are added, changed and removed while a run goes on; none disturbs another."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pipeline.errors import ConfigError
from pipeline.runtime import source_changes
from pipeline.runtime.run_status import ActiveRun
from pipeline.transport.redis_streams import RedisStreams
from tests.pipeline.changing_run import ChangingRun
from tests.pipeline.running import nothing_left_behind
from tests.rtsp_server import RtspServer, rtsp_server

SECRET = "s3cr3tOfThisTest"
CAMERA = {"reconnect_max_seconds": 0.5, "read_timeout_seconds": 60, "packet_ring": {"seconds": 0}}


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    with rtsp_server("ball", user="viewer", password=SECRET) as server:
        yield server


@pytest.fixture(scope="module")
def run(server: RtspServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangingRun]:
    folder = tmp_path_factory.mktemp("cameras")
    stages = {
        "decoder": {"use": "stages.decoder:Decoder", "options": CAMERA},
        "notes": {"use": "tests.pipeline.gap_notes:GapNotes", "reads": "decoder"},
    }
    with nothing_left_behind(folder), ChangingRun(folder, "cameras", {"a": {"input": server.url}}, stages) as run:
        run.wait(lambda: run.frames("a") > 5)
        yield run


@pytest.fixture(autouse=True)
def undisturbed(run: ChangingRun) -> Iterator[None]:
    """The first camera goes on through every test, without a gap."""
    yield
    before = run.frames("a")
    run.wait(lambda: run.frames("a") > before + 10)
    assert run.said("a").get("gaps") is None


def test_a_camera_is_added_changed_and_removed_and_its_password_is_kept(run: ChangingRun, server: RtspServer) -> None:
    assert source_changes.add(run.active, server.url, name="b") == "added b"
    run.wait(lambda: run.frames("b") > 5)
    source_changes.change(run.active, "b", options={"read_timeout_seconds": 5})
    run.wait(lambda: run.said("b").get("gaps") == "restart")
    before = run.frames("b")
    run.wait(lambda: run.frames("b") > before + 5)
    assert run.status["sources"]["b"]["input"] == server.url.replace(SECRET, "***")
    assert SECRET not in dump(run.active)
    source_changes.remove(run.active, "b")
    run.wait(lambda: run.left("b"))


def dump(active: ActiveRun) -> str:
    """All that Redis holds for a run, in words."""
    transport = RedisStreams(active.redis_url, active.name)
    client, found = transport.client, []
    reads = {b"string": client.get, b"hash": client.hgetall, b"stream": client.xrange}
    for key in client.scan_iter():
        read = reads.get(client.type(key), lambda key: client.lrange(key, 0, -1))
        found.append((key, read(key)))
    transport.close()
    return repr(found)


def test_an_address_that_is_wrong_is_refused_and_one_that_does_not_answer_is_tried(run: ChangingRun) -> None:
    with pytest.raises(ConfigError, match="rstp:// is not a supported input; allowed are video files"):
        source_changes.add(run.active, "rstp://127.0.0.1/x", name="c")
    source_changes.add(run.active, "rtsp://127.0.0.1:9/x", name="c")
    run.wait(lambda: run.said("c", "decoder").get("trouble") == "connection refused")
    (seen,) = [each for each in source_changes.current(run.active) if each.name == "c"]
    assert seen.state == "running" and "connection refused; next try at 20" in seen.trouble
    source_changes.remove(run.active, "c")  # while it is tried again
    run.wait(lambda: run.left("c"))


def test_a_camera_that_says_nothing_is_removed_and_one_that_was_wrong_is_mended(
    run: ChangingRun, server: RtspServer
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        for name in ("d", "e"):
            source_changes.add(run.active, f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x", name=name)
        source_changes.change(run.active, "d", input=server.url)
        run.wait(lambda: run.frames("d") > 5)
        assert run.said("d").get("gaps") is None  # nothing came before
        source_changes.remove(run.active, "e")
        run.wait(lambda: run.left("e"))


def test_new_options_of_a_stage_do_not_touch_the_camera(run: ChangingRun) -> None:
    pids = run.supervisor.worker_pids
    run.written["stages"]["notes"]["options"] = {"label": "x"}
    run.write()
    run.wait(lambda: run.supervisor.worker_pids.get("notes", pids["notes"]) != pids["notes"])
    assert run.supervisor.worker_pids["decoder"] == pids["decoder"]
