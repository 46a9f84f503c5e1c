"""The exported files run where they are meant to, at sizes that they were not exported at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raftline.raft.export import files
from raftline.raft.export.files import ALLOWED_PX, export_network
from raftline.raft.model import Raft

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("kind", "of_file"), [("pair", "openvino"), ("stream", "onnx")])
def test_an_exported_network_gives_the_same_flow(kind: Any, of_file: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    path = tmp_path / f"raft{files.SUFFIXES[of_file]}"
    made = export_network(Raft("small", "guided").eval().requires_grad_(False), kind, 1, of_file, path)
    assert made.path.is_file() and made.largest_difference_px <= ALLOWED_PX
    assert sorted(each.name for each in tmp_path.iterdir()) == (
        ["raft.bin", "raft.xml"] if of_file == "openvino" else ["raft.onnx"]
    )
