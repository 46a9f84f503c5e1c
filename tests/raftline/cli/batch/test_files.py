"""Which files of a batch are finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import Plan, load_config, make_plan
from pipeline.runtime.summary import write_summary
from raftline.cli.batch.files import FINGERPRINT, BatchFile, already_finished, name_files
from raftline.cli.batch.walk import FoundFile
from tests.command_line import lay_out


def plan_of(*overrides: str) -> Plan:
    return make_plan(load_config("counting.yaml", inputs=["a.mp4"], overrides=overrides))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchFile:
    """One that was finished."""
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    (file,) = name_files([FoundFile("a.mp4", "sub")], Path("out"))
    output = Path("out/sub/a.sums.txt")
    source = {"state": "finished", "input": "a.mp4", "outputs": [str(output)]}
    about = {"state": "finished", "sources": {"a": source}, FINGERPRINT: file.fingerprint(plan_of())}
    write_summary(Path("out/sub/a.summary.json"), about)
    output.touch()
    return file


def test_a_finished_file_is_known(file: BatchFile) -> None:
    assert already_finished(file, plan_of(), Path("out"))


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("a.mp4").write_text("a, but longer"),
        lambda: Path("out/sub/a.sums.txt").unlink(),
        lambda: Path("out/sub/a.summary.json").unlink(),
        lambda: Path("out/sub/a.summary.json").write_text("no JSON"),
    ],
)
def test_it_is_done_again_when_it_or_what_it_gave_has_changed(file: BatchFile, change: Callable[[], object]) -> None:
    change()
    assert not already_finished(file, plan_of(), Path("out"))


def test_it_is_done_again_with_another_configuration(file: BatchFile) -> None:
    assert not already_finished(file, plan_of("stages.counter.options.frames=5"), Path("out"))
