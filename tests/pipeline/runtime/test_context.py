"""What a worker's context makes of a template: a path, what the summary lists, and what is locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.plan import SourcePlan
from pipeline.errors import TransportLost
from pipeline.runtime.context import OUTPUT, WorkerContext
from pipeline.runtime.output_lock import Run
from pipeline.stage import SourceInfo


@pytest.mark.parametrize(
    ("template", "path", "listed"),
    [
        ("{source}.mp4", "Ü {a}.mp4", "Ü {a}.mp4"),
        ("videos/{source}.mp4", "videos/Ü {a}.mp4", "videos/Ü {a}.mp4"),
        ("{source}.masks/000001.png", "Ü {a}.masks/000001.png", "Ü {a}.masks"),
        ("{source}.masks/{source}_000001.png", "Ü {a}.masks/Ü {a}_000001.png", "Ü {a}.masks"),
        ("{stage}/000001.png", "mask/000001.png", "mask"),
    ],
)
def test_a_folder_of_images_is_one_output_and_a_file_in_a_folder_is_itself(
    tmp_path: Path, template: str, path: str, listed: str
) -> None:
    said: list[str] = []
    plan = SourcePlan("any:Source", {}, info=SourceInfo("Ü {a}", "a.mp4", "a.mp4", live=False))
    context = WorkerContext("mask", plan, tmp_path, on_status=said.extend, run=Run("a", "b"))
    output = context.output(template)
    assert output.path == tmp_path / path
    lock = (tmp_path / listed).with_name(f".{Path(listed).name}.lock")
    assert lock.exists()
    output.part.touch()
    output.finish()
    context.close()
    assert said == [f"part {tmp_path / listed}", f"output {tmp_path / listed}"]
    assert not lock.exists()


def test_thousands_of_files_in_a_folder_elsewhere_do_not_stay_locked(tmp_path: Path) -> None:
    plan = SourcePlan("any:Source", {}, info=SourceInfo("a", "a.mp4", "a.mp4", live=False))
    context = WorkerContext("mask", plan, tmp_path / "out", run=Run("a", "b"))
    for index in range(40):
        output = context.output(f"{tmp_path}/elsewhere/{{source}}/{index:06d}.png")
        output.part.touch()
        output.finish()
    assert len(list((tmp_path / "elsewhere/a").glob(".*.lock"))) <= 16
    context.close()
    assert len(list((tmp_path / "elsewhere/a").iterdir())) == 40


def test_what_could_not_be_told_is_told_the_next_time(tmp_path: Path) -> None:
    said: list[str] = []
    away = [True]

    def tell(values: dict[str, str]) -> None:
        if away.pop():
            raise TransportLost("Redis cannot be reached")
        said.extend(values)

    plan = SourcePlan("any:Source", {}, info=SourceInfo("a", "a.mp4", "a.mp4", live=False))
    context = WorkerContext("mask", plan, tmp_path, on_status=tell)
    with pytest.raises(TransportLost):
        context.output("{source}.mp4")
    away.append(False)
    context.output("{source}.mp4")
    assert said == [f"part {tmp_path / 'a.mp4'}"]


@pytest.mark.parametrize("finished_before", [True, False])
def test_what_a_dead_worker_finished_is_taken_back_and_what_another_run_left_is_not(
    tmp_path: Path, finished_before: bool
) -> None:
    said: list[str] = []
    plan = SourcePlan("any:Source", {}, info=SourceInfo("a", "a.mp4", "a.mp4", live=False))
    context = WorkerContext("mask", plan, tmp_path, on_status=said.extend)
    output = context.output("{source}.txt")
    output.part.write_text("whole")
    output.take_back()
    output.finish()
    after = WorkerContext("mask", plan, tmp_path)
    after.finished_before = [name.removeprefix(OUTPUT) for name in said] if finished_before else []
    again = after.output("{source}.txt")
    again.take_back()
    assert (again.part if finished_before else again.path).read_text() == "whole"
    again.take_back()
    assert again.path.exists() is not finished_before


def test_an_output_is_told_of_before_it_is_moved(tmp_path: Path) -> None:
    def lost(values: dict[str, str]) -> None:
        if next(iter(values)).startswith(OUTPUT):
            raise TransportLost("Redis cannot be reached")

    plan = SourcePlan("any:Source", {}, info=SourceInfo("a", "a.mp4", "a.mp4", live=False))
    output = WorkerContext("mask", plan, tmp_path, on_status=lost).output("{source}.txt")
    output.part.touch()
    with pytest.raises(TransportLost):
        output.finish()
    assert output.part.exists() and not output.path.exists()
