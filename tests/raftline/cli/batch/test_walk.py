"""Which files a batch takes, and what it says of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.config import load_config, make_plan
from pipeline.errors import InputError
from pipeline.runtime.summary import write_summary
from pipeline.stage import Source
from raftline.cli.batch.files import BatchFile, name_files
from raftline.cli.batch.own_outputs import OwnOutputs
from raftline.cli.batch.walk import Finder, Found, FoundFile
from tests.command_line import lay_out


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    return tmp_path


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def find(*inputs: str, output: str = "out", include_hidden: bool = False, template: str = "{source}.sums.mp4") -> Found:
    override = f"stages.sums.options.path={template}"
    plan = make_plan(load_config("counting.yaml", inputs=["any"], output=Path(output), overrides=[override]))
    return Finder(Source.left_out, OwnOutputs(Path(output), plan), include_hidden).find(list(inputs))


def paths(found: Found) -> list[str]:
    return [file.path for file in found.files]


def counts(found: Found) -> dict[str, int]:
    return {why: len(names) for why, names in found.left_out.items()}


def test_hidden_files_and_folders_and_unfinished_downloads_are_left_out_and_counted(folder: Path) -> None:
    write("in/a.mp4", "in/.b.mp4", "in/._a.mp4", "in/.trash/c.mp4", "in/d.mp4.part", "in/e.mp4.crdownload", "in/f.tmp")
    write("in/g.mp4", "in/g.mp4.aria2", "in/h.part.mp4", "in/i.mp4.part-Frag3", "in/j.mp4.download/j.mp4", "in/k.txt")
    found = find("in")
    assert paths(found) == ["in/a.mp4"]
    assert counts(found) == {"hidden": 3, "not complete yet": 8, "no video": 1}
    assert found.reasons() == "3 hidden, 8 not complete yet, 1 no video (.txt)"
    hidden = find("in", include_hidden=True)
    assert paths(hidden) == ["in/._a.mp4", "in/.b.mp4", "in/.trash/c.mp4", "in/a.mp4"]
    names = [(file.folder, file.name) for file in name_files(hidden.files, folder / "out")]
    assert names == [("", "__a"), ("", "_b"), ("_trash", "c"), ("", "a")]


def test_a_hidden_folder_that_was_given_is_looked_into(folder: Path) -> None:
    write(".in/a.mp4")
    assert paths(find(".in")) == [".in/a.mp4"]


@pytest.mark.parametrize("output", ["in", "in/out"])
def test_what_this_configuration_writes_into_the_output_directory_is_no_input(folder: Path, output: str) -> None:
    write("in/a.mp4", f"{output}/a.sums.mp4", f"{output}/sub/b.sums.mp4", "in/sub/b.mp4")
    found = find("in", output=output)
    assert paths(found) == ["in/a.mp4", "in/sub/b.mp4"]
    assert counts(found) == {"written by raftline": 2}


def test_so_it_is_where_the_shell_has_found_the_files(folder: Path) -> None:
    write("in/a.mp4", "in/a.sums.mp4")
    assert paths(find("in/a.mp4", "in/a.sums.mp4", output="in")) == ["in/a.mp4"]
    assert paths(find("in/*.mp4", output="in")) == ["in/a.mp4"]
    assert paths(find("in/a.sums.mp4")) == ["in/a.sums.mp4"]  # into another directory
    with pytest.raises(InputError, match="nothing to do; left out: 1 written by raftline"):
        find("in/a.sums.mp4", output="in")


def test_what_an_earlier_run_wrote_elsewhere_is_known_by_its_summary(folder: Path) -> None:
    write("in/a.mp4", "in/old/a.masks.mp4", "in/old/sub/b.masks.mp4", "in/old/own.mp4")
    outputs = {"a": {"outputs": ["../x/in/old/a.masks.mp4"]}, "b": {"outputs": ["../x/in/old/sub/b.masks.mp4"]}}
    write_summary(Path("in/old/summary.json"), {"sources": outputs, "earlier_outputs": ["in/old/a.other.mp4"]})
    write("in/old/a.other.mp4")
    write_summary(Path("in/summary.json"), {"sources": ["of another program"]})
    found = find("in")
    assert paths(found) == ["in/a.mp4", "in/old/own.mp4"]
    assert counts(found) == {"written by raftline": 4, "no video": 1}


def test_linked_folders_are_followed_once(folder: Path) -> None:
    write("in/sub/a.mp4", "elsewhere/b.mp4")
    os.symlink("..", "in/sub/loop")
    os.symlink("sub", "in/again")
    os.symlink(folder / "elsewhere", "in/other")
    os.symlink("sub/a.mp4", "in/a.mp4")
    found = find("in")
    assert paths(found) == ["in/a.mp4", "in/other/b.mp4"]
    assert counts(found) == {"there twice": 1}
    os.unlink("in/a.mp4")
    assert paths(find("in")) == ["in/other/b.mp4", "in/sub/a.mp4"]


def test_folders_are_mirrored_from_where_they_were_given(folder: Path) -> None:
    write("in/clip.mp4", "in/2024/clip.mp4", "in/2024/May: 1/clip.mp4", "in/2024/May: 1/clip.mov")
    mirrored = ["", "2024", "2024/May_ 1", "2024/May_ 1"]
    assert sorted(file.folder for file in find("in").files) == mirrored
    assert sorted(file.folder for file in find("./in/").files) == mirrored
    assert sorted(file.folder for file in find(str(folder / "in")).files) == mirrored
    assert sorted(file.folder for file in find("in/**/*.m*").files) == mirrored
    assert [file.folder for file in find("in/*/clip.mp4").files] == ["2024"]
    assert [file.folder for file in find("in/2024/clip.mp4").files] == [""]
    named = name_files(find("in").files, folder / "out")
    assert sorted(file.key for file in named) == ["2024/May_ 1/clip", "2024/May_ 1/clip-2", "2024/clip", "clip"]


def test_a_file_keeps_its_name_whichever_way_it_is_given(folder: Path) -> None:
    write("in/a.mp4", "in/a.mov")
    file = BatchFile("a-2", "in/a.mp4")
    real = os.path.realpath(file.path)
    write_summary(Path("out/a-2.summary.json"), {"real_path": real, "sources": {"a-2": {"input": "in/a.mp4"}}})
    for given in ("in/a.mp4", "./in/a.mp4", real):
        found = [FoundFile("in/a.mov"), FoundFile(given)]
        assert [named.name for named in name_files(found, folder / "out")] == ["a", "a-2"]


def test_names_of_undecodable_bytes_are_left_out(folder: Path) -> None:
    write("in/a.mp4")
    Path(os.fsdecode(b"in/\xff.mp4")).touch()
    assert counts(find("in")) == {"with a name that is not UTF-8": 1}


def test_a_folder_without_videos_says_what_is_in_it(folder: Path) -> None:
    write("in/a.txt", "in/b.TXT", "in/c.srt")
    with pytest.raises(InputError, match=r"^in: no videos in this folder; left out: 3 no video \(.txt, .srt\)$"):
        find("in")
