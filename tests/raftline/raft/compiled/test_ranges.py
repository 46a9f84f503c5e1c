"""What 8 bits are spread over."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install '.[openvino]'")

from raftline.raft.compiled.ranges import measure_ranges, shipped_ranges
from raftline.raft.weights.loading import load_raft


def test_the_shipped_ranges_are_those_of_the_shipped_weights() -> None:
    shipped, measured = shipped_ranges(), measure_ranges(load_raft("default", "cpu"))
    assert shipped.keys() == measured.keys()
    for name, expected in measured.items():
        # Another processor sums in another order, and a maximum far from zero may move by a little.
        np.testing.assert_allclose(shipped[name], expected, rtol=0.05, atol=0.05, err_msg=name)


def test_what_is_matched_or_added_to_the_flow_stays_exact() -> None:
    names = shipped_ranges().keys()
    assert "update_block.recurrent_block.convgru1.zr" in names
    assert not {"feature_encoder.conv", "update_block.flow_head.conv2", "update_block.motion_encoder.convflow1"} & names
