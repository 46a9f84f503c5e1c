from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from raftline.cli.sheets.contact_sheet import find_runs, write_contact_sheet
from stages.shared.color import from_rgb
from stages.video_writer import VideoWriter
from tests.command_line import run
from tests.stages.frames import end, header
from tests.stages.stage_bench import Machine, bench_context

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 180, 30), (30, 30, 200), (250, 250, 250)


def video(folder: Path, name: str, *colors, width: int = 64, height: int = 36, frames: int = 25) -> Path:
    """A second of colors side by side."""
    image = np.concatenate([np.full((height, width, 3), color, np.uint8) for color in colors], axis=1)
    machine = Machine(VideoWriter, bench_context(folder), path=name)
    for i in range(frames):
        machine.deliver(from_rgb(image, header(i, 40 * i), i, 40))
    machine.deliver(end(frames))
    machine.close()
    return folder / name


def read(path: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(path)))


def bands(sheet: np.ndarray) -> list[str]:
    """Which of the colors there are in the middle of the first column of frames, from top to bottom."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    found: list[str] = []
    for pixel in sheet[:, 132 + 336 // 2, ::-1].astype(int):
        name = next((name for name, color in names.items() if np.abs(pixel - color).max() < 20), "ground")
        if not found or found[-1] != name:
            found.append(name)
    return [name for name in found if name != "ground"]


def test_a_run_has_a_row_for_each_kind_of_video_in_a_fixed_order(tmp_path):
    video(tmp_path, "clip.flow.mp4", WHITE)
    video(tmp_path, "clip.overlay.mp4", GREEN)
    video(tmp_path, "clip.side_by_side.mp4", RED, BLUE)
    video(tmp_path, "clip.stabilized.mp4", BLUE)
    sheet = read(write_contact_sheet(tmp_path))
    assert bands(sheet) == ["red", "blue", "green", "white"]
    assert [row.label for row in find_runs(tmp_path)["clip"]] == ["original", "stabilized", "motion", "flow"]
    assert sheet.shape[1] > 6 * 336 and not list(tmp_path.glob("*.part"))


def test_without_the_stabilized_video_the_right_half_of_both_stands_for_it(tmp_path):
    video(tmp_path, "a.b.side_by_side.mp4", RED, BLUE)
    assert bands(read(write_contact_sheet(tmp_path))) == ["red", "blue"]
    assert list(find_runs(tmp_path)) == ["a.b"]


def test_several_sources_and_sizes_come_below_each_other(tmp_path):
    video(tmp_path, "a.overlay.mp4", GREEN, width=30, height=60)
    video(tmp_path, "b.stabilized.mp4", BLUE, frames=1)
    assert bands(read(write_contact_sheet(tmp_path))) == ["green", "blue"]


def test_a_folder_without_videos_is_an_error_that_says_what_belongs_there(tmp_path):
    with pytest.raises(InputError, match=r"holds no video of a run \(SOURCE\.stabilized\.mp4"):
        write_contact_sheet(tmp_path)


def test_a_file_that_is_no_video_is_an_error_that_names_it(tmp_path):
    (tmp_path / "clip.flow.mp4").write_text("not a video")
    with pytest.raises(InputError, match=r"clip\.flow\.mp4: cannot be opened as a video"):
        write_contact_sheet(tmp_path)


def test_the_command_prints_where_the_sheet_is_or_ends_with_2_and_one_line(tmp_path):
    empty = run(tmp_path, "contact-sheet", ".", code=2)
    assert empty.stderr.startswith("error: .: holds no video") and empty.stderr.count("\n") == 1
    video(tmp_path, "clip.stabilized.mp4", BLUE)
    assert run(tmp_path, "contact-sheet", ".").stdout == "contact sheet: contact_sheet.png\n"
