"""Several sessions taken a frame further together."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult
from raftline.flow.session import FlowSession, FrameRequest, estimate_together
from raftline.flow.update_loop import UpdateLoop
from tests.raftline.raft.recipes import texture, waves

# Sums in another order in a batch than alone, carried through the iterations; the variational refinement makes 20
# times as much of it where two frames have nothing in common.
SAME_FLOW_PX = 5e-3
OPTIONS = FlowOptions(iterations=2, warm_start="always")


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(FlowOptions(device="cpu", precision="float32"))


class Calls:
    """Counts how many frames each call of the encoders and how many pairs each of the iterations took."""

    def __init__(self, update_loop: UpdateLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.encoded: list[int] = []
        self.begun: list[int] = []
        encode, begin = update_loop.model.encode, update_loop.model.begin
        monkeypatch.setattr(
            update_loop.model, "encode", lambda image: (self.encoded.append(len(image)), encode(image))[1]
        )
        monkeypatch.setattr(
            update_loop.model,
            "begin",
            lambda earlier, *rest: (self.begun.append(len(earlier.features)), begin(earlier, *rest))[1],
        )


def same(one: FlowResult | None, other: FlowResult | None) -> bool:
    if one is None or other is None:
        return one is other
    assert one.flow_px is not None and other.flow_px is not None
    assert (one.start, one.iterations) == (other.start, other.iterations)
    if one.confidence is not None and other.confidence is not None:
        # Confidence changes by at most 1.2 per px where it is steepest.
        assert np.abs(one.confidence - other.confidence).max() <= 10 * SAME_FLOW_PX
    return float(np.abs(one.flow_px - other.flow_px).max()) <= SAME_FLOW_PX


def test_together_sources_get_what_they_get_alone_in_one_pass(
    update_loop: UpdateLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [FlowSession(update_loop, OPTIONS) for _ in range(3)]
    together = [FlowSession(update_loop, OPTIONS) for _ in range(3)]
    calls = Calls(update_loop, monkeypatch)
    for number in range(3):
        frames = [waves(128, 136, speed * number) for speed in (1, 2, -1)]
        expected = [session(frame) for session, frame in zip(alone, frames, strict=True)]
        calls.encoded.clear(), calls.begun.clear()
        found = estimate_together([FrameRequest(s, frame) for s, frame in zip(together, frames, strict=True)])
        assert calls.encoded == [3] and calls.begun == ([3] if number else [])
        assert all(same(one, other) for one, other in zip(expected, found, strict=True))
        assert [result.start if result else None for result in found] == [[None, "cold", "warm"][number]] * 3


def test_each_source_keeps_its_own_size_and_state(update_loop: UpdateLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {
        "small": [waves(128, 128, n) for n in range(4)],
        "wide": [waves(128, 160, n) for n in range(4)],
        "still": [waves(128, 128)] * 4,
        "cut": [texture(128, 128, n // 2) for n in range(4)],
    }
    alone = {name: FlowSession(update_loop, OPTIONS) for name in streams}
    together = {name: FlowSession(update_loop, OPTIONS) for name in streams}
    calls = Calls(update_loop, monkeypatch)
    starts: dict[str, list[str | None]] = {name: [] for name in streams}
    for number in range(4):
        expected = [alone[name](frames[number]) for name, frames in streams.items()]
        calls.encoded.clear()
        found = estimate_together([FrameRequest(together[name], frames[number]) for name, frames in streams.items()])
        assert sorted(calls.encoded) == [[1, 3], [1, 1], [1, 2], [1, 1]][number]
        assert all(same(one, other) for one, other in zip(expected, found, strict=True))
        for name, result in zip(streams, found, strict=True):
            starts[name].append(result.start if result else None)
    assert starts == {
        "small": [None, "cold", "warm", "warm"],
        "wide": [None, "cold", "warm", "warm"],
        "still": [None, "duplicate", "duplicate", "duplicate"],
        "cut": [None, "duplicate", "scene_cut", "duplicate"],
    }


def test_what_is_wanted_of_each_may_differ(update_loop: UpdateLoop) -> None:
    sessions = [FlowSession(update_loop, OPTIONS) for _ in range(3)]
    estimate_together([FrameRequest(session, waves(128, 128)) for session in sessions])
    plain, grid_only, trusted = estimate_together(
        [
            FrameRequest(sessions[0], waves(128, 128, 1)),
            FrameRequest(sessions[1], waves(128, 128, 1), full_resolution=False),
            FrameRequest(sessions[2], waves(128, 128, 1), confidence=True),
        ]
    )
    assert plain and grid_only and trusted
    assert plain.flow_px is not None and plain.confidence is None
    assert grid_only.flow_px is None
    assert trusted.confidence is not None and trusted.confidence.shape == trusted.grid_px.shape[:2]
    np.testing.assert_allclose(trusted.grid_px, plain.grid_px, atol=SAME_FLOW_PX)


def test_a_session_takes_one_frame_at_a_time(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, OPTIONS)
    with pytest.raises(ValueError, match="a session can take one frame at a time, but one is named twice"):
        estimate_together([FrameRequest(session, waves(128, 128)), FrameRequest(session, waves(128, 128))])
