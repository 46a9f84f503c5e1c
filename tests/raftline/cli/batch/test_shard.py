from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from raftline.cli.batch.files import BatchFile
from raftline.cli.batch.shard import WHOLE, Shard
from tests.command_line import lay_out, run, summary

FILES = [BatchFile(f"clip-{number}", f"in/clip-{number}.mp4") for number in range(200)]


def test_every_file_is_in_one_shard_and_shards_are_about_equal() -> None:
    shards = [[file for file in FILES if Shard(index, 4).has(file)] for index in range(4)]
    assert sorted(file.key for shard in shards for file in shard) == sorted(file.key for file in FILES)
    assert all(30 <= len(shard) <= 70 for shard in shards)
    assert all(map(WHOLE.has, FILES))


def test_files_that_come_move_no_other_between_shards() -> None:
    before = {file.key for file in FILES[:100] if Shard(1, 3).has(file)}
    assert before == {file.key for file in FILES if Shard(1, 3).has(file)} & {file.key for file in FILES[:100]}


def test_a_task_of_an_array_knows_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="JOB_COMPLETION_INDEX and JOB_COMPLETIONS or SLURM_ARRAY_TASK_ID"):
        Shard.parse("auto")
    for name, value in {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "3"}.items():
        monkeypatch.setenv(name, value)
    assert Shard.parse("auto") == Shard(2, 4)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    monkeypatch.setenv("JOB_COMPLETIONS", "8")
    assert Shard.parse("auto") == Shard(0, 8)


@pytest.mark.parametrize("text", ["", "1", "8/8", "-1/8", "a/b", "1/2/3", "1/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--shard: found '{text}'; give INDEX/COUNT"):
        Shard.parse(text)


def test_shards_together_do_the_whole_and_the_last_sees_all(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.mp4").write_text(str(number))
    batch = ("batch", "counting.yaml", "in", "-o", "out", "--set", "stages.counter.options.frames=3", "--shard")
    first = run(tmp_path, *batch, "0/2").stdout
    in_first = len(list((tmp_path / "out").glob("*.sums.txt")))
    assert 0 < in_first < 4 and f"{in_first} files of 4 (shard 0 of 2), 0 finished before" in first
    assert f"{in_first} files finished" in first
    assert summary(tmp_path / "out")["state"] == "stopped"
    run(tmp_path, *batch, "1/2")
    assert len(list((tmp_path / "out").glob("*.sums.txt"))) == 4
    whole = summary(tmp_path / "out")
    assert whole["state"] == "finished" and sorted(whole["sources"]) == ["0", "1", "2", "3"]
