"""Folders that the processes of a run share: in memory where there is room, else on disk."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.plan import SourcePlan
from pipeline.payload.ring_space import DISK
from pipeline.runtime.context import WorkerContext
from pipeline.runtime.run_folder import run_folder
from pipeline.stage import SourceInfo


def test_a_folder_that_does_not_fit_into_memory_lies_on_disk_under_the_same_name(tmp_path: Path) -> None:
    run, disk = tmp_path / "run", tmp_path / "disk"
    run.mkdir()
    disk.mkdir()
    (run / DISK).symlink_to(disk)
    small, large = run_folder(run, "packets", "a", 1000), run_folder(run, "packets", "b/ü", 1 << 60)
    assert small.is_dir() and not small.is_symlink()
    assert large.is_symlink() and large.resolve().parent.parent == disk
    assert run_folder(run, "packets", "b/ü") == large == run_folder(run, "packets", "b/ü", 1 << 60)
    assert large.parent == small.parent


def test_a_run_in_one_process_has_no_folder(tmp_path: Path) -> None:
    plan = SourcePlan("any:Source", {}, info=SourceInfo("a", "a", "a", live=True))
    assert WorkerContext("s", plan, tmp_path, run_directory=Path()).run_folder("packets", 1) is None
    assert WorkerContext("s", plan, tmp_path, run_directory=tmp_path).run_folder("packets") == tmp_path / "packets/a"
