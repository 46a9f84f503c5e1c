"""Lines survive a killed writer: none is lost, none is doubled, and a writer thought dead spoils nothing."""

from __future__ import annotations

import pytest

from pipeline.errors import OutputError
from stages.shared.line_file import LineFile


def test_lines_after_the_length_that_counts_are_dropped(tmp_path):
    file = LineFile.new(tmp_path / "a.jsonl")
    file.append("first")
    length = file.length
    file.append("written, but not committed")
    again = LineFile.resumed(tmp_path / "a.jsonl", length)
    again.append("second")
    assert again.lines() == ["first", "second"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_writer_thought_dead_can_no_longer_write(tmp_path):
    old = LineFile.new(tmp_path / "a.jsonl")
    old.append("first")
    new = LineFile.resumed(tmp_path / "a.jsonl", old.length)
    new.append("second")
    with pytest.raises(OutputError, match=r"a\.jsonl: was replaced; another worker has taken over"):
        old.append("spoiled")
    assert (tmp_path / "a.jsonl").read_text() == "first\nsecond\n"


def test_a_file_that_is_followed_stays_the_same_file(tmp_path):
    file = LineFile.new(tmp_path / "a.jsonl")
    file.append("first")
    with (tmp_path / "a.jsonl").open() as follower:
        LineFile.resumed(tmp_path / "a.jsonl", file.length, in_place=True).append("second")
        assert follower.read() == "first\nsecond\n"


def test_a_file_of_earlier_runs_is_extended_after_its_last_whole_line(tmp_path):
    (tmp_path / "a.jsonl").write_text("first\ncut o")
    LineFile.extended(tmp_path / "a.jsonl").append("second")
    LineFile.extended(tmp_path / "new.jsonl").append("alone")
    assert (tmp_path / "a.jsonl").read_text() == "first\nsecond\n"
    assert (tmp_path / "new.jsonl").read_text() == "alone\n"


def test_a_file_that_holds_less_than_was_written_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_text("first\n")
    with pytest.raises(OutputError, match="holds 6 bytes where 20 were written"):
        LineFile.resumed(tmp_path / "a.jsonl", 20)


@pytest.mark.parametrize("left", ["first\n", None])
def test_a_followed_file_that_was_rotated_goes_on_with_what_is_there(tmp_path, left):
    if left:
        (tmp_path / "a.jsonl").write_text(left)
    LineFile.resumed(tmp_path / "a.jsonl", 20, in_place=True).append("next")
    assert (tmp_path / "a.jsonl").read_text() == (left or "") + "next\n"


def test_a_file_that_was_removed_is_named(tmp_path):
    file = LineFile.new(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(OutputError, match=r"a\.jsonl: cannot write: No such file"):
        file.append("first")


def _moved_away(path):
    path.rename(path.with_suffix(".1"))


def _replaced(path):
    _moved_away(path)
    path.write_text("another's\n")


def _emptied(path):
    path.with_suffix(".1").write_bytes(path.read_bytes())
    path.write_bytes(b"")


@pytest.mark.parametrize("rotate", [_moved_away, _replaced, _emptied])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_file_that_is_rotated_while_it_grows_goes_on_in_a_new_one(tmp_path, rotate, resumed):
    path = tmp_path / "a.jsonl"
    file = LineFile.extended(path)
    file.append("first, which is long")
    if resumed:
        file = LineFile.resumed(path, file.length, in_place=True)
    rotate(path)
    file.append("second")
    file.append("third")
    before = "another's\n" if rotate is _replaced else ""
    assert path.read_text() == f"{before}second\nthird\n"
    assert path.with_suffix(".1").read_text() == "first, which is long\n"
    assert file.length == path.stat().st_size
