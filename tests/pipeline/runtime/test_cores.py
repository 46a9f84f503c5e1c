"""The budget of cores: how it is shared, and that workers keep to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config.plan import Plan
from pipeline.runtime import cores
from pipeline.runtime.cores import share_cores
from pipeline.runtime.supervisor import Supervisor
from tests.pipeline.running import make_test_plan, nothing_left_behind


@pytest.fixture(autouse=True)
def no_limits_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cores.THREAD_VARIABLES:
        monkeypatch.setenv(name, "")  # so that what a test sets is undone
        monkeypatch.delenv(name)


CALCULATOR = {"use": "Calculator", "reads": "decoder"}


def shares(plan: Plan) -> dict[str, int | None]:
    return {name: stage.threads for name, stage in cores.share_cores(plan).stages.items()}


def calculated(plan: Plan) -> dict[str, int]:
    with nothing_left_behind(plan.output):
        Supervisor(plan).run()
    return json.loads((plan.output / "a.threads.json").read_text())


@pytest.mark.parametrize(
    ("available", "expected"),
    [(1, {"heavy": 1, "light": 1}), (2, {"heavy": 2, "light": 1}), (16, {"heavy": 13, "light": 1})],
)
def test_cores_are_shared_by_the_work_of_stages(tmp_path: Path, available: int, expected: dict[str, int]) -> None:
    stages = {"heavy": {"use": "Heavy", "reads": "decoder"}, "light": {"use": "Relay", "reads": "decoder"}}
    plan = make_test_plan(tmp_path, stages, cores=available)
    assert shares(plan) == {"decoder": 1, **expected}


def test_the_processes_of_a_stage_share_its_cores(tmp_path: Path) -> None:
    stages = {"heavy": {"use": "Heavy", "reads": "decoder", "workers": 4}}
    assert shares(make_test_plan(tmp_path, stages, cores=16)) == {"decoder": 1, "heavy": 4}


@pytest.mark.parametrize(
    ("cores", "sources", "expected"),
    [
        (2, 1, {"decoder": (1, 1), "heavy": (1, 2), "light": (1, 1)}),
        (2, 6, {"decoder": (1, 1), "heavy": (2, 1), "light": (1, 1)}),
        (16, 6, {"decoder": (4, 1), "heavy": (6, 2), "light": (4, 1)}),
        (16, 40, {"decoder": (4, 1), "heavy": (16, 1), "light": (4, 1)}),
    ],
)
def test_a_stage_has_as_many_workers_as_its_sources_and_its_share_keep_busy(
    tmp_path: Path, cores: int, sources: int, expected: dict[str, tuple[int, int]]
) -> None:
    stages = {"heavy": {"use": "Heavy", "reads": "decoder"}, "light": {"use": "Relay", "reads": "decoder"}}
    given = {f"camera{number}": {"input": "counter"} for number in range(sources)}
    plan = share_cores(make_test_plan(tmp_path, stages, sources=given, cores=cores))
    assert {name: (stage.workers, stage.threads) for name, stage in plan.stages.items()} == expected


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("Relay", {"decoder": 1, "heavy": 11, "collector": 1, "writer": 1, "view": 1}),
        ("Collector", {"decoder": 1, "heavy": 13, "collector": 1, "writer": 8, "view": 8}),
    ],
)
def test_stages_that_wait_for_the_end_of_a_file_share_all_cores(
    tmp_path: Path, use: str, expected: dict[str, int]
) -> None:
    reads = {"heavy": "decoder", "collector": "heavy", "writer": "collector", "view": "writer"}
    uses = {"heavy": "Heavy", "collector": use, "writer": "Relay", "view": "Relay"}
    stages = {name: {"use": uses[name], "reads": before} for name, before in reads.items()}
    assert shares(make_test_plan(tmp_path, stages, cores=16)) == expected


def test_a_stage_that_wants_one_process_has_one_unless_the_user_wants_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pipeline.plugins.Heavy.in_one_process", lambda options: True)
    given = {f"camera{number}": {"input": "counter"} for number in range(8)}
    for workers, expected in ((None, 1), (3, 3)):
        stages = {"heavy": {"use": "Heavy", "reads": "decoder", "workers": workers}}
        plan = share_cores(make_test_plan(tmp_path, stages, sources=given, cores=8))
        assert plan.stages["heavy"].workers == expected


def test_what_the_user_gives_a_stage_is_kept(tmp_path: Path) -> None:
    stages = {"heavy": {"use": "Heavy", "reads": "decoder", "threads": 3}}
    assert shares(make_test_plan(tmp_path, stages, cores=2))["heavy"] == 3


def test_the_quota_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(cores, "_CGROUP_QUOTA", quota)
    unlimited = cores.available_cores()
    quota.write_text("max 100000\n")
    assert cores.available_cores() == unlimited
    quota.write_text("50000 100000\n")
    assert cores.available_cores() == 1


def test_no_library_of_a_worker_has_more_threads_than_its_share(tmp_path: Path) -> None:
    grown = calculated(make_test_plan(tmp_path, {"calculator": CALCULATOR}, source={"frames": 1}, cores=1))
    assert grown == {"share": 1, "numpy": 0, "torch": 0, "opencv": 0, "numba": 0}


def test_libraries_use_the_share_that_a_worker_has(tmp_path: Path) -> None:
    calculator = {**CALCULATOR, "threads": 2}
    grown = calculated(make_test_plan(tmp_path, {"calculator": calculator}, source={"frames": 1}))
    assert grown == {"share": 2, "numpy": 1, "torch": 1, "opencv": 1, "numba": 1}


def test_a_users_own_environment_variable_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    grown = calculated(make_test_plan(tmp_path, {"calculator": CALCULATOR}, source={"frames": 1}, cores=1))
    assert (grown["share"], grown["torch"], grown["opencv"]) == (1, 1, 0)


def test_the_summary_tells_threads_and_cpu_time(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}}, cores=2)
    summary = Supervisor(plan).run()
    assert summary["cores"] == 2
    assert {name: work["threads"] for name, work in summary["workers"].items()} == {"decoder": 1, "ledger": 1}
    assert all(work["cpu_seconds"] > 0 for work in summary["workers"].values())


@pytest.mark.parametrize(("given", "expected"), [({}, 2), ({"threads": 1}, 1)])
def test_a_worker_without_a_supervisor_has_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, int], expected: int
) -> None:
    limits: list[dict[str, str]] = []
    monkeypatch.setattr(cores, "limit_loaded_libraries", limits.append)
    stages = {"relay": {"use": "Relay", "reads": "decoder", **given}}
    plan = cores.limit_this_process(make_test_plan(tmp_path, stages, cores=2), "relay")
    assert plan.stages["relay"].threads == expected
    assert set(limits[0].values()) == {str(expected)}
