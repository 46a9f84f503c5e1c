"""What was measured of the parts of a file becomes what was measured of the file."""

from __future__ import annotations

import json
from pathlib import Path

from stages.stabilization.measured_part import lines_of

SHIFT = [1, 0, 2, 0, 1, 0, 0, 0, 1]


def part(folder: Path, name: str, first: int, *revised: list) -> Path:
    """A part of two frames and a gap; the second frame revises others."""
    lines = [{"frame": {"index": first, "revised": []}}, {"gap": {}}]
    lines.append({"frame": {"index": first + 1, "revised": list(revised)}})
    file = folder / name
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def test_frames_and_those_that_they_revise_are_numbered_through(tmp_path: Path) -> None:
    files = [part(tmp_path, "0", 0, [0, SHIFT]), part(tmp_path, "1", 7, [7, SHIFT]), part(tmp_path, "2", 0)]
    lines = lines_of(files)
    frames = [line["frame"] for line in lines if "frame" in line]
    assert [frame["index"] for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert [frame["revised"] for frame in frames] == [[], [[0, SHIFT]], [], [[2, SHIFT]], [], []]
    assert sum("gap" in line for line in lines) == 3
