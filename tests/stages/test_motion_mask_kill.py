"""A worker of motion masks that is killed: the next one goes on to the last bit."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.messages import Flow, Gap, Mask, Message
from pipeline.testing import TestContext, run_stage
from stages.motion_mask import MotionMask
from tests.stages.moving_clip import clip, masks_of


def told(masks: Sequence[Mask]) -> list:
    return [(mask.header, mask.objects, mask.events, mask.camera, mask.uncertain) for mask in masks]


def same(one: Sequence[Message], other: Sequence[Message]) -> bool:
    ones, others = masks_of(one), masks_of(other)
    assert told(ones) == told(others)
    return all(np.array_equal(a.mask, b.mask) for a, b in zip(ones, others, strict=True))


def with_breaks(flows: list[Flow]) -> list[Message]:
    """A duplicate, frames in which nothing changes, a gap, and a new scene."""
    broken: list[Message] = list(flows)
    broken[23] = replace(flows[23], frame=flows[22].frame, start="duplicate", grid_px=np.zeros_like(flows[23].grid_px))
    broken[33] = Gap(flows[33].header, "lost_frames", "one")
    broken[45] = replace(flows[45], start="first", grid_px=None)
    return broken


@pytest.mark.parametrize(
    ("camera", "options", "broken"),
    [({}, {}, True), ({"pan": 0.5, "shake": 0.5}, {}, False), ({}, {"backdate": "never", "shadows": True}, False)],
)
def test_a_killed_worker_changes_no_mask_no_object_and_no_event(camera: dict, options: dict, broken: bool) -> None:
    flows = with_breaks(clip(**camera)) if broken else clip(**camera)
    whole, killed = TestContext(), TestContext()
    undisturbed = run_stage(MotionMask, flows, options, whole)
    disturbed = run_stage(
        MotionMask, flows, options, killed, killed_after=(0, 4, 11, 13, 22, 23, 33, 34, 45, 46, 57), checkpoint_every=4
    )
    assert same(undisturbed, disturbed)
    assert whole.counts == killed.counts
    assert any(mask.events for mask in masks_of(undisturbed))


def test_a_camera_keeps_what_the_scene_looks_like() -> None:
    flows = clip()
    stage = MotionMask(MotionMask.Options.model_validate({}), TestContext(live=True))
    stage.open()
    for flow in flows[:40]:
        list(stage.process(flow))
    snapshot, checkpoint = stage.snapshot(), copy.deepcopy(stage.checkpoint())  # as the machine takes a copy
    assert checkpoint is not None and checkpoint["size"] == [flows[0].frame.width, flows[0].frame.height]
    after = MotionMask(MotionMask.Options.model_validate({}), TestContext(live=True))
    after.open()
    after.restore(snapshot)
    after.restore_checkpoint(checkpoint)
    went_on = [mask for flow in flows[40:] for mask in after.process(flow)]
    expected = [mask for flow in flows[40:] for mask in stage.process(flow)]
    shown = [[np.count_nonzero(np.asarray(mask.mask)) for mask in masks_of(each)] for each in (went_on, expected)]
    assert sum(shown[0]) == pytest.approx(sum(shown[1]), rel=0.02)
