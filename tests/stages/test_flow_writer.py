from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.messages import Flow
from pipeline.testing import TestContext, run_stage
from raftline.flow.files import read_flow
from stages.flow_writer import FlowWriter
from tests.stages.frames import yuv_frame


def flow(index: int, speed_px: float | None = 1.5) -> Flow:
    frame = yuv_frame(index, 40 * index, 24, 16)
    if speed_px is None:
        return Flow(frame.header, frame, "first", None)
    values = np.full((16, 24, 2), speed_px, np.float16)
    values[3, 5] = -2
    return Flow(frame.header, frame, "cold", np.zeros((2, 3, 2), np.float32), values)


@pytest.mark.parametrize("suffix", ["flo", "npz", "png"])
def test_flow_is_written_as_the_suffix_says_and_reads_back(tmp_path, suffix):
    context = TestContext(source="clip", directory=tmp_path)
    options = {"path": "{source}.flow/{index:04d}." + suffix}
    run_stage(FlowWriter, [flow(0, None), flow(1), flow(2)], options, context)
    assert sorted(path.name for path in (tmp_path / "clip.flow").iterdir()) == [f"0001.{suffix}", f"0002.{suffix}"]
    # 1.5 and -2 are exact in float16 and in KITTI's 64ths.
    np.testing.assert_array_equal(read_flow(tmp_path / f"clip.flow/0002.{suffix}"), np.asarray(flow(2).flow_px))
    assert context.counts == {"frames_without_flow": 1}


def test_flow_at_every_pixel_is_asked_for():
    assert "flow" in FlowWriter.needs


def test_flow_that_the_format_cannot_hold_is_an_error_that_says_what_can(tmp_path):
    context = TestContext(source="clip", directory=tmp_path)
    with pytest.raises(OutputError, match=r"KITTI's PNG holds -512 to 511\.98 px.*Write \.flo or \.npz"):
        run_stage(FlowWriter, [flow(1, 600)], {"path": "{index}.png"}, context)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_refused():
    with pytest.raises(ValueError, match=r"must end in \.flo or \.npz or \.png"):
        FlowWriter.Options.model_validate({"path": "{index}.exr"})
