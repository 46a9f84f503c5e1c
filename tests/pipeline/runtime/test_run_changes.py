"""Sources come and go, and options change, while a real run goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.errors import ConfigError, TransportLost
from pipeline.runtime import run_changes, source_changes, source_removal
from pipeline.runtime.run_status import ActiveRun
from pipeline.transport.redis_streams import RedisStreams
from tests.pipeline.changing_run import ChangingRun
from tests.pipeline.running import PLUGINS, nothing_left_behind


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangingRun]:
    folder = tmp_path_factory.mktemp("changing")
    counting = {"frames": 100_000, "frames_per_second": 50, "side_px": 16}
    stages = {
        "counter": {"use": f"{PLUGINS}:Counter", "options": counting},
        "relay": {"use": f"{PLUGINS}:Relay", "reads": "counter"},
        "ledger": {"use": f"{PLUGINS}:Ledger", "reads": "relay"},
    }
    sources = {"a": {"input": "live"}}
    with nothing_left_behind(folder), ChangingRun(folder, "changing", sources, stages, cores=2) as run:
        run.wait(lambda: run.frames("a") > 0)
        yield run


@pytest.fixture
def active(run: ChangingRun) -> ActiveRun:
    return run.active


def ledger(run: ChangingRun, source: str) -> list[str]:
    return (run.output / f"{source}.ledger.txt").read_text().split()


def test_a_source_is_added_and_removed_and_the_others_go_on(run: ChangingRun, active: ActiveRun) -> None:
    before = run.supervisor.worker_pids
    assert {stage: len(pids) for stage, pids in before.items()} == {"counter": 1, "relay": 1, "ledger": 1}
    assert source_changes.add(active, "live", name="b") == "added b"
    run.wait(lambda: run.frames("b") > 10)
    assert [(each.name, each.state) for each in source_changes.current(active)] == [("a", "running"), ("b", "running")]
    frames = run.frames("a")
    assert source_changes.remove(active, "b") == "removed b"
    run.wait(lambda: run.left("b"))
    _check_ledger(run, "b")
    removed = run.status["removed_sources"][-1]
    assert (removed["name"], removed["state"]) == ("b", "stopped")
    assert removed["frames_decoded"] > 10
    run.wait(lambda: run.frames("a") > frames)
    after = run.supervisor.worker_pids
    assert all(set(pids) < set(after[stage]) for stage, pids in before.items())  # more work, more workers


def _check_ledger(run: ChangingRun, source: str) -> None:
    """In order, each frame once, and ended as what was removed ends. Late frames may be missing."""
    *frames, end = ledger(run, source)
    assert end == "stopped" and frames == sorted(set(frames), key=int) and len(frames) > 5


def test_ten_sources_that_came_and_went_leave_nothing(run: ChangingRun, active: ActiveRun) -> None:
    pids, descriptors = run.supervisor.worker_pids, _descriptors(run)
    names = [f"n{number}" for number in range(10)]
    with ThreadPoolExecutor(len(names)) as people:  # who ask at the same time
        list(people.map(lambda name: source_changes.add(active, "live", name=name), names))
        list(people.map(lambda name: source_changes.remove(active, name), names))
    run.wait(lambda: all(map(run.left, names)))
    run.wait(lambda: not any(path.name.startswith("n") for path in _files(active)))
    run.wait(lambda: not any(":n" in key for key in _keys(active)))
    run.wait(lambda: (run.supervisor.worker_pids, _descriptors(run)) == (pids, descriptors))


def test_what_a_lost_connection_cuts_is_answered_and_removed_all_the_same(
    run: ChangingRun, active: ActiveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[str] = []

    def cut_once(module: Any, name: str) -> None:
        whole = getattr(module, name)

        def lost(*arguments: Any) -> Any:
            monkeypatch.setattr(module, name, whole)
            done = whole(*arguments) if module is source_removal else None  # there the reply alone is lost
            cut.append(name)
            raise TransportLost(f"Redis cannot be reached {done or ''}")

        monkeypatch.setattr(module, name, lost)

    cut_once(run_changes, "answer")
    assert source_changes.add(active, "live", name="cut") == "added cut"
    run.wait(lambda: run.frames("cut") > 0)
    cut_once(run.supervisor._crew, "_declare")
    assert source_changes.add(active, "live", name="other") == "added other"
    cut_once(source_removal, "_forget")
    source_changes.remove(active, "cut")
    run.wait(lambda: run.left("cut"))
    source_changes.remove(active, "other")
    run.wait(lambda: run.left("other"))
    assert cut == ["answer", "_declare", "_forget"]
    assert run.status["removed_sources"][-2]["frames_decoded"] > 0


def _keys(active: ActiveRun) -> list[str]:
    with contextlib.closing(RedisStreams(active.redis_url, active.name)) as transport:
        return [key.decode() for key in transport.client.scan_iter()]


def _files(active: ActiveRun) -> list[Path]:
    assert active.directory is not None
    return list(active.directory.iterdir())


def _descriptors(run: ChangingRun) -> list[int]:
    """Of each worker, without its connections to Redis, of which it keeps as many as it once had use for."""
    workers = [psutil.Process(pid) for pids in run.supervisor.worker_pids.values() for pid in pids]
    return [worker.num_fds() - len(worker.net_connections("unix")) for worker in workers]


def test_a_changed_source_alone_is_restarted_with_a_gap(run: ChangingRun, active: ActiveRun) -> None:
    source_changes.add(active, "live", name="c")
    run.wait(lambda: run.frames("c") > 5)
    pids = run.supervisor.worker_pids
    told = source_changes.change(active, "c", options={"frames_per_second": 200})
    assert told == "restarted c with the new settings"
    before = run.frames("c")
    run.wait(lambda: run.frames("c") > before + 20)
    source_changes.remove(active, "c")
    run.wait(lambda: run.left("c"))
    _check_ledger(run, "c")
    assert run.supervisor.worker_pids == pids


@pytest.mark.parametrize(
    ("name", "asked", "answer"),
    [
        ("a", {"input": "live"}, "there is a source 'a' already"),
        (
            "d",
            {"input": "live", "options": {"framse": 3}},
            "framse: unknown key; .*did you mean 'frames'",
        ),
        ("no/name", {"input": "live"}, "allowed: a name of 1 to 100 characters"),
        ("d", {"input": "${NOT_SET_ANYWHERE}"}, "the environment variable NOT_SET_ANYWHERE is not set"),
    ],
)
def test_what_is_wrong_with_a_new_source_is_answered(active: ActiveRun, name: str, asked: Any, answer: str) -> None:
    with pytest.raises(ConfigError, match=f"{answer}.*nothing was changed"):
        source_changes.add(active, asked.pop("input"), name=name, **asked)


def test_a_source_that_is_not_there_cannot_be_removed(active: ActiveRun) -> None:
    with pytest.raises(ConfigError, match="there is no source 'aa'; did you mean 'a'"):
        source_changes.remove(active, "aa")


def test_a_source_that_cannot_work_is_given_up_alone(run: ChangingRun, active: ActiveRun) -> None:
    pids = run.supervisor.worker_pids
    source_changes.add(active, "live", name="g", options={"side_px": -1})
    run.wait(lambda: not run.left("g") and run.status["sources"]["g"]["state"] == "failed")
    assert "ValueError" in run.status["sources"]["g"]["error"]
    source_changes.remove(active, "g")
    run.wait(lambda: run.left("g"))
    assert run.supervisor.worker_pids == pids


def test_a_password_from_another_machine_has_to_be_a_variable(
    run: ChangingRun, active: ActiveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "live")
    remote = ActiveRun(active.name, active.redis_url)
    with pytest.raises(ConfigError, match="holds a password, which would lie in Redis for others to read"):
        source_changes.add(remote, "rtsp://me:s3cr3t@host/x", name="r")
    assert source_changes.add(remote, "${CAM_PASSWORD}", name="r") == "added r"
    run.wait(lambda: run.frames("r") > 0)
    source_changes.remove(remote, "r")
    run.wait(lambda: run.left("r"))


def test_an_edit_adds_changes_and_removes_what_it_differs_in(run: ChangingRun, active: ActiveRun) -> None:
    source_changes.add(active, "live", name="asked")
    run.written["sources"] |= {"e": {"input": "live"}, "f": {"input": "live"}}
    run.write()
    run.wait(lambda: run.frames("e") > 0 and run.frames("f") > 0)
    del run.written["sources"]["e"]
    run.write()
    run.wait(lambda: run.left("e"))
    assert ledger(run, "e")[-1] == "stopped"
    assert list(run.status["sources"]) == ["a", "asked", "f"]
    source_changes.remove(active, "asked")
    run.wait(lambda: run.left("asked"))


def test_a_bad_edit_changes_nothing_and_says_so_until_it_is_mended(run: ChangingRun) -> None:
    pids, sources = run.supervisor.worker_pids, list(run.status["sources"])
    good = run.file.read_text()
    for bad, why in [
        ("sources: [", "not valid YAML"),
        (good + "payload: inline\n", "payload: that cannot change while"),
    ]:
        run.file.write_text(bad)
        run.wait(lambda why=why: why in run.trouble())
        assert "nothing was changed" in run.trouble()
    run.file.write_text(good)
    run.wait(lambda: run.trouble() == "")
    assert (run.supervisor.worker_pids, list(run.status["sources"])) == (pids, sources)


def test_new_options_of_a_stage_restart_its_workers_alone(run: ChangingRun) -> None:
    pids, before = run.supervisor.worker_pids, run.frames("a")
    run.written["stages"]["ledger"]["options"] = {"seconds_per_frame": 0.001}
    run.write()
    run.wait(lambda: run.supervisor.worker_pids.get("ledger", pids["ledger"]) != pids["ledger"])
    run.wait(lambda: run.frames("a") > before + 20)
    assert run.supervisor.worker_pids["counter"] == pids["counter"]
    assert run.status["configuration"]["changes"][-1]["what"] == "new options for ledger"


def test_options_with_which_a_stage_fails_are_taken_back(run: ChangingRun) -> None:
    before = run.frames("a")
    run.written["stages"]["relay"]["options"] = {"do": "fail to open"}
    run.write()
    run.wait(lambda: "failed with its new options, and has those before again" in run.trouble())
    run.wait(lambda: run.frames("a") > before + 20)


def test_a_run_whose_last_source_was_removed_waits_for_the_next(run: ChangingRun, active: ActiveRun) -> None:
    run.written["sources"] = {}
    run.write()
    run.wait(lambda: run.status["sources"] == {})
    source_changes.add(active, "live", name="z")
    run.wait(lambda: run.frames("z") > 5)
