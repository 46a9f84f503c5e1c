from __future__ import annotations

from benchmarks.motion_masks.runs import masks
from tests.stages.moving_clip import BEGINS, clip


def test_every_frame_has_its_mask_also_those_that_wait_when_the_clip_ends() -> None:
    flows = clip()[: BEGINS + 4]
    found = list(masks(flows))
    assert [mask.header for mask in found] == [flow.header for flow in flows]
