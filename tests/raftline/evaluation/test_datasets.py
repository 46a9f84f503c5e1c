"""The official layouts, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from raftline.evaluation.datasets import DatasetError, open_dataset, read_image
from tests.data import data_path


@pytest.mark.parametrize(
    ("name", "scenes", "pairs"),
    [
        ("middlebury", ["Grove2", "RubberWhale", "Urban2", "Venus"], 4),
        ("sintel", ["clean/alley_2"], 11),
        ("kitti", ["training"], 1),
        ("chairs", ["all"], 1),
    ],
)
def test_the_official_layouts_are_read(name: str, scenes: list[str], pairs: int) -> None:
    dataset = open_dataset(f"{name}:{data_path('flow', name)}")
    assert [scene.name for scene in dataset.scenes] == scenes
    assert sum(len(scene.pairs) for scene in dataset.scenes) == pairs
    assert (dataset.padding, dataset.iterations) == (("kitti", 24) if name == "kitti" else ("centred", 20))


@pytest.mark.parametrize("argument", ["sintel", "sintel:", "davis:/tmp", ":/tmp"])
def test_an_argument_of_another_form_is_refused_with_those_allowed(argument: str) -> None:
    with pytest.raises(DatasetError, match="expected one of middlebury:DIR, sintel:DIR, kitti:DIR, chairs:DIR"):
        open_dataset(argument)


@pytest.mark.parametrize("name", ["middlebury", "sintel", "kitti", "chairs"])
def test_another_layout_is_refused_with_what_was_expected_and_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DatasetError, match=rf"{name}: expected .* under {tmp_path}; found there: holiday"):
        open_dataset(f"{name}:{tmp_path}")
    with pytest.raises(DatasetError, match="is not there"):
        open_dataset(f"{name}:{tmp_path}/none")
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="is not a folder"):
        open_dataset(f"{name}:{tmp_path}/file")


def test_a_file_that_is_missing_from_a_pair_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("00001_flow.flo", "00001_img1.ppm"):
        (tmp_path / "data" / name).touch()
    with pytest.raises(DatasetError, match=r"chairs: .*00001_img2.ppm is not there; the layout is data/NNNNN_flow.flo"):
        open_dataset(f"chairs:{tmp_path}")


def test_the_split_file_of_chairs_leaves_the_validation_pairs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in (1, 2, 3):
        for ending in ("flow.flo", "img1.ppm", "img2.ppm"):
            (tmp_path / "data" / f"{number:05d}_{ending}").touch()
    (tmp_path / "FlyingChairs_train_val.txt").write_text("1\n2\n1\n")
    (scene,) = open_dataset(f"chairs:{tmp_path}").scenes
    assert (scene.name, [pair.name for pair in scene.pairs]) == ("validation", ["00002"])
    (tmp_path / "FlyingChairs_train_val.txt").write_text("1\n2\n")
    with pytest.raises(DatasetError, match="has 2 lines, fewer than the numbers of the pairs"):
        open_dataset(f"chairs:{tmp_path}")


def test_images_are_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((2, 3, 3), (0, 0, 255), np.uint8))
    assert read_image(tmp_path / "red.png")[1, 2].tolist() == [255, 0, 0]
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((2, 3), 7, np.uint8))
    assert read_image(tmp_path / "grey.png").shape == (2, 3, 3)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DatasetError, match=r"text.png: cannot be read"):
        read_image(tmp_path / "text.png")
    with pytest.raises(DatasetError, match=r"none.png: not there"):
        read_image(tmp_path / "none.png")
