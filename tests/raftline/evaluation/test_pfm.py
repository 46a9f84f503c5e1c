"""FlyingThings3D's flow files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raftline.evaluation.pfm import read_pfm_flow
from raftline.flow.files import FlowFileError


def write_pfm(path: Path, flow_px: np.ndarray, order: str = "<") -> Path:
    height, width = flow_px.shape[:2]
    pixels = np.concatenate([flow_px, np.zeros((height, width, 1))], axis=2)[::-1].astype(f"{order}f4")
    scale = -1.0 if order == "<" else 1.0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"PF\n{width} {height}\n{scale}\n".encode() + pixels.tobytes())
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_rows_come_from_the_bottom_up_in_either_byte_order(order: str, tmp_path: Path) -> None:
    flow_px = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    read = read_pfm_flow(write_pfm(tmp_path / "flow.pfm", flow_px, order))
    assert read.dtype == np.float32
    assert (read == flow_px).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a PFM file, or truncated"),
        (b"PF\n4 3\n", "not a PFM file, or truncated"),
        (b"PF\nfour three\n-1\n", "not a PFM file"),
        (
            b"Pf\n4 3\n-1\n" + bytes(48),
            r"expected a PFM of three float32 channels, found shape \(3, 4\), float32",
        ),
        (b"PF\n4 3\n-1\n" + bytes(100), "not a PFM file, or truncated"),
    ],
)
def test_what_is_no_whole_pfm_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "flow.pfm").write_bytes(content)
    with pytest.raises(FlowFileError, match=rf"flow.pfm: {words}"):
        read_pfm_flow(tmp_path / "flow.pfm")


def test_one_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowFileError, match=r"none.pfm: no such file"):
        read_pfm_flow(tmp_path / "none.pfm")
