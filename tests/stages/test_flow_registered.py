"""The flow stage for readers that register the frames themselves: RAFT's network where a part moves on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.messages import Flow
from pipeline.runtime.nursery_program import _modules
from pipeline.stage import Demand
from pipeline.testing import TestContext, run_stage
from raftline.flow import accuracy
from stages.flow import OpticalFlow
from stages.flow.chosen import may_need_no_network
from tests.stages.test_flow import moving

RAFT = {"estimator": "raft"}
NETWORK = "raftline.flow.session"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "_GPU_DRIVERS", ())


def test_frames_that_move_as_one_are_registered_and_counted_without_the_network() -> None:
    context = TestContext(demand=Demand("coarse", ("steady",)))
    flows = run_stage(OpticalFlow, [moving(index, 280, 200) for index in range(4)], RAFT, context)
    assert [flow.start for flow in flows if isinstance(flow, Flow)] == ["first", *["registered"] * 3]
    assert context.counts["frames_registered"] == 3
    assert "registered without the network" in str(context.said["settings"]) and "none before" in str(
        context.said["runtime"]
    )


@pytest.mark.parametrize(
    ("given", "demand", "late"),
    [
        (RAFT, Demand("coarse"), True),
        (RAFT, Demand("full"), False),
        (RAFT, Demand("cells", also=("coarse",)), False),
        ({**RAFT, "accuracy": "coarse"}, Demand("full"), True),
        ({**RAFT, "register_one_motion": False}, Demand("coarse"), False),
        ({**RAFT, "weights": "own.safetensors"}, Demand("coarse"), False),
        ({**RAFT, "runtime": "torch"}, Demand("coarse"), False),
    ],
)
def test_the_network_is_loaded_before_workers_start_where_it_is_surely_needed(
    given: Mapping[str, Any], demand: Demand, late: bool
) -> None:
    assert (NETWORK not in OpticalFlow.modules_for(given, demand)) == late == may_need_no_network(given, demand)
    assert NETWORK in OpticalFlow.modules(given)


def test_the_process_that_workers_are_forked_from_asks_for_what_the_readers_need() -> None:
    use = "stages.flow:OpticalFlow"
    asked = {"accuracy": "coarse", "readers": ["steady"], "also": []}
    assert NETWORK in _modules(use, RAFT) and NETWORK not in _modules(use, RAFT, asked)
    assert not any("torch" in name for name in _modules("stages.decoder:Decoder", {}))
