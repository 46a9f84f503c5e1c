from __future__ import annotations

from pathlib import Path

import pytest

from raftline.web.search.motion_in_file import Sight, motion_in_file
from tests.raftline.synthetic_motion import WIDTH
from tests.raftline.web.search import crossing

RIGHT = [(0.7, 0.2), (0.9, 0.2), (0.9, 0.8), (0.7, 0.8)]
TOP = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.2), (0.0, 0.2)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    crossing.write(path := tmp_path_factory.mktemp("search") / "clip.mp4")
    return path


def sights(path: Path, area: list[tuple[float, float]]) -> list[Sight]:
    return [sight for _, sight in motion_in_file(path, area) if sight is not None]


def reaches_seconds(share: float) -> float:
    """When its front is at this share of the width."""
    return (crossing.BEGINS + (share * WIDTH - crossing.SIZE) / crossing.STEP_PX) / crossing.FPS


def test_what_crosses_an_area_is_found_when_it_comes_there(clip: Path) -> None:
    (sight,) = sights(clip, RIGHT)
    assert sight.begin_seconds == pytest.approx(reaches_seconds(0.7), abs=0.5)
    assert sight.end_seconds == pytest.approx(crossing.FRAMES / crossing.FPS, abs=0.2)  # it is in it to the end
    assert 0 < sight.peak_area < 0.2 and sight.picture.startswith(b"\xff\xd8")


def test_where_nothing_moves_nothing_is_found(clip: Path) -> None:
    assert sights(clip, TOP) == []


def test_a_damaged_file_is_looked_through_as_far_as_it_goes(clip: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    whole = bytearray(clip.read_bytes())
    middle = whole.find(b"mdat") + (len(whole) - whole.find(b"mdat")) // 2
    whole[middle : middle + 4000] = bytes(4000)
    damaged.write_bytes(whole)
    assert list(motion_in_file(damaged, RIGHT))[-1][0] < crossing.FRAMES / crossing.FPS
