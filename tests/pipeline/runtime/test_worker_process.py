"""A worker that dies is started again: the sooner the better, and ever later the more often it dies for nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.runtime import worker_process
from pipeline.runtime.worker_process import WorkerProcess
from tests.pipeline.running import make_test_plan


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(worker_process.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("drawn", [0.5, 1.0])
def test_the_pause_before_a_worker_starts_again_doubles_until_it_gets_something_done(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch, drawn: float
) -> None:
    jitter: list[tuple[float, float]] = []
    monkeypatch.setattr(worker_process.random, "uniform", lambda *share: jitter.append(share) or drawn)
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}})
    born: list[float] = []
    nursery = SimpleNamespace(bear=lambda *_: born.append(clock[0]) or len(born))
    worker = WorkerProcess(plan.stages["ledger"], tmp_path, tmp_path, nursery, SimpleNamespace(watch=lambda pid: None))  # type: ignore[arg-type]

    def pause(progressed: bool) -> float:
        worker.pid, died, lives = None, clock[0], len(born)
        worker.restart_later(progressed)
        while len(born) == lives:
            clock[0] += 0.025
            worker.start_if_due()
        return born[-1] - died

    first, *more = (pause(False) for _ in range(8))
    assert first == pytest.approx(0.2 * drawn, abs=0.03)
    for before, after in zip([first, *more], more, strict=False):
        assert after == pytest.approx(min(2 * before, worker_process._LONGEST_DELAY_SECONDS * drawn), abs=0.06)
    assert more[-1] == pytest.approx(worker_process._LONGEST_DELAY_SECONDS * drawn, abs=0.06)
    assert pause(True) == pytest.approx(0.1 * drawn, abs=0.03)
    assert set(jitter) == {(0.5, 1.0)}
    assert worker.restarts == 9
