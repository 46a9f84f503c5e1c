"""Flow files: what is written comes back, and a damaged file is named."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from raftline.flow.files import FlowFileError, read_flow, write_flow
from tests.data import data_path

# KITTI's PNG counts in 1/64 px.
PRECISION_PX = {".flo": 0.0, ".npz": 0.0, ".png": 1 / 128}


def some_flow() -> npt.NDArray[np.float32]:
    flow = (np.random.RandomState(0).standard_normal((5, 9, 2)) * 40).astype(np.float32)
    flow[1, 2] = np.nan
    flow[4, 8] = np.nan
    return flow


@pytest.mark.parametrize("suffix", PRECISION_PX)
def test_what_is_written_comes_back_with_its_unknown_pixels(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"flow{suffix}"
    write_flow(path, some_flow())
    found = read_flow(path)
    assert found.shape == (5, 9, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found, some_flow(), atol=PRECISION_PX[suffix], rtol=0)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_flo_file_is_laid_out_as_published(tmp_path: Path) -> None:
    write_flow(tmp_path / "flow.flo", np.array([[[1.5, -2.0], [np.nan, np.nan]]], np.float32))
    data = (tmp_path / "flow.flo").read_bytes()
    assert data[:4] == b"PIEH"
    assert struct.unpack("<ii4f", data[4:]) == (2, 1, 1.5, -2.0, np.float32(1e10), np.float32(1e10))


def test_a_kitti_png_is_laid_out_as_published(tmp_path: Path) -> None:
    write_flow(tmp_path / "flow.png", np.array([[[1.5, -2.0], [np.nan, np.nan]]], np.float32))
    image = cv2.imread(str(tmp_path / "flow.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None and image.dtype == np.uint16
    assert image[0, :, ::-1].tolist() == [[2**15 + 96, 2**15 - 128, 1], [0, 0, 0]]


def test_published_files_are_read_with_what_they_do_not_know() -> None:
    middlebury = read_flow(data_path("flow", "middlebury", "other-gt-flow", "RubberWhale", "flow10.flo"))
    assert middlebury.shape == (388, 584, 2)
    assert 0.9 < np.isfinite(middlebury).mean() < 1
    kitti = read_flow(data_path("flow", "kitti", "training", "flow_noc", "000010_10.png"))
    assert kitti.shape[2] == 2 and 0.1 < np.isfinite(kitti).mean() < 0.5
    assert np.nanmax(np.abs(kitti)) < 512


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .flo file"),
        (b"PIEH" + struct.pack("<ii", 3, 2), r"truncated, 3x2 needs 60 bytes, found 12"),
        (b"PIEH" + struct.pack("<ii", 3, 2) + bytes(47), r"truncated, 3x2 needs 60 bytes, found 59"),
        (b"PIEH" + struct.pack("<ii", 3, 2) + bytes(49), r"damaged, 3x2 needs 60 bytes, found 61"),
        (b"PIEH" + struct.pack("<ii", -3, 2), "damaged, its size is given as -3x2"),
        (b"PIEH" + struct.pack("<ii", 2**30, 2**30), "truncated"),
        (b"JUNK" + bytes(100), "not a .flo file"),
    ],
)
def test_a_damaged_flo_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.flo").write_bytes(content)
    with pytest.raises(FlowFileError, match=f"bad.flo: {message}"):
        read_flow(tmp_path / "bad.flo")


def test_nan_in_a_flo_file_is_unknown_flow(tmp_path: Path) -> None:
    (tmp_path / "nan.flo").write_bytes(b"PIEH" + struct.pack("<ii4f", 2, 1, np.nan, 0.0, 1.0, 2.0))
    found = read_flow(tmp_path / "nan.flo")
    assert np.isnan(found[0, 0]).all()
    assert found[0, 1].tolist() == [1.0, 2.0]


def test_a_image_that_is_no_kitti_flow_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(FlowFileError, match=r"photo.png: KITTI's format is .* found shape \(4, 5, 3\) of uint8"):
        read_flow(tmp_path / "photo.png")
    (tmp_path / "text.png").write_bytes(b"hello")
    with pytest.raises(FlowFileError, match=r"text.png: not a PNG, or truncated"):
        read_flow(tmp_path / "text.png")


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    write_flow(path, some_flow())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FlowFileError, match=r"not an .npz file, or truncated"):
        read_flow(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(FlowFileError, match="no array 'flow_px' in it; found other"):
        read_flow(path)
    np.savez(path, flow_px=np.zeros(3))
    with pytest.raises(FlowFileError, match=r"expected 'flow_px' of shape \(height, width, 2\), found \(3,\)"):
        read_flow(path)


def test_objects_in_an_npz_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "flow.npz", flow_px=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FlowFileError, match=r"not an .npz file"):
        read_flow(tmp_path / "flow.npz")


@pytest.mark.parametrize(
    ("flow", "name", "message"),
    [
        (np.zeros((4, 5)), "a.flo", r"expected an array of shape \(height, width, 2\), found \(4, 5\)"),
        (np.zeros((0, 5, 2)), "a.flo", r"found \(0, 5, 2\)"),
        (np.full((1, 1, 2), np.inf), "a.flo", "2 values are infinite; use NaN for unknown flow"),
        (np.full((1, 1, 2), 600.0), "a.png", r"holds -512 to 511.98 px; found 600.0 to 600.0. Write .flo or .npz"),
        (np.zeros((4, 5, 2)), "a.tiff", "suffix '.tiff'; allowed are .flo, .png, .npz"),
    ],
)
def test_a_flow_that_cannot_be_written_leaves_no_file(
    flow: npt.NDArray[np.float64], name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(FlowFileError, match=message):
        write_flow(tmp_path / name, flow)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FlowFileError, match=r"none.flo: no such file"):
        read_flow(tmp_path / "none.flo")
