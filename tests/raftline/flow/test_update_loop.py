"""The iterations as a session calls them: eager, recorded, both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raftline.flow.options import FlowOptions
from raftline.flow.region_matching import RegionMatches
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.warm_start import AdaptiveStart
from raftline.raft.model import CoarseFlow, EncodedFrame, Raft
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input
from raftline.raft.weights.loading import load_raft
from tests.raftline.raft.recipes import texture, waves


class Recorder:
    """What a CUDA graph does, on the CPU: inputs and outputs are the same tensors at every replay."""

    recordings = 0

    def __call__(self, run: Callable[..., Any], arguments: Sequence[Tensor]) -> Callable[..., Any]:
        Recorder.recordings += 1
        inputs = [argument.clone() for argument in arguments]
        outputs = run(*inputs)

        def replay(*arguments: Tensor) -> Any:
            for recorded, argument in zip(inputs, arguments, strict=True):
                recorded.copy_(argument)
            for recorded, result in zip(tensors(outputs), tensors(run(*inputs)), strict=True):
                recorded.copy_(result)
            return outputs

        return replay


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, np.ndarray):
        return [torch.from_numpy(value)]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in tensors(part)]
    return tensors(list(vars(value).values())) if hasattr(value, "__dict__") else []


@pytest.fixture(scope="module")
def model() -> Raft:
    return load_raft("default", "cpu")


@torch.inference_mode()
def encoded(model: Raft, *shifts_px: float, width: int = 160) -> EncodedFrame:
    padding = Padding.for_size(128, width)
    images = [to_network_input(waves(128, width, shift), padding, "cpu") for shift in shifts_px]
    return model.encode(torch.cat(images))


@torch.inference_mode()
def run(
    update_loop: UpdateLoop,
    earlier: EncodedFrame,
    later: EncodedFrame,
    last: Tensor | None = None,
    *,
    both_ways: bool = False,
    **options: Any,
) -> CoarseFlow:
    plain = {"iterations": 3, "warm_start": "never", "region_matching": False}
    return update_loop(earlier, later, last, FlowOptions(**{**plain, **options}), both_ways=both_ways)


def test_a_pair_is_coarse_as_the_model_does(model: Raft) -> None:
    earlier, later = encoded(model, 0), encoded(model, 2)
    coarse = run(UpdateLoop(model), earlier, later)
    with torch.inference_mode():
        expected = model.refine(earlier, later, 3)
    assert torch.equal(coarse.flow, expected.flow) and torch.equal(coarse.hidden, expected.hidden)
    assert coarse.iterations == 3


def test_both_ways_are_the_pair_and_the_pair_turned_round(model: Raft) -> None:
    earlier, later = encoded(model, 0), encoded(model, 2)
    with torch.inference_mode():
        expected = torch.cat([model.refine(earlier, later, 3).flow, model.refine(later, earlier, 3).flow])
    for correlation in ("on-demand", "all-pairs"):
        coarse = run(UpdateLoop(model), earlier, later, both_ways=True, correlation=correlation)
        # Sums in another order, carried through three iterations; cells.
        torch.testing.assert_close(coarse.flow, expected, atol=1e-4, rtol=0)


def test_where_the_iterations_begin_is_what_was_asked_for(model: Raft, monkeypatch: pytest.MonkeyPatch) -> None:
    # A pan by 48 px, which one iteration does not reach from zero; the last flow says the same, or the contrary.
    padding = Padding.for_size(128, 192)
    views = [texture(128, 240)[:, start : start + 192] for start in (48, 0)]
    with torch.inference_mode():
        earlier, later = (model.encode(to_network_input(np.ascontiguousarray(v), padding, "cpu")) for v in views)
    same, contrary = (torch.tensor([u, 0.0]).view(1, 2, 1, 1).expand(1, 2, 16, 24).clone() for u in (6.0, -6.0))

    def missed_px(last: Tensor | None, warm_start: str) -> float:
        coarse = run(UpdateLoop(model), earlier, later, last, iterations=1, warm_start=warm_start)
        return float((8 * coarse.flow[:, 0, 2:-2, 2:-8] - 48).abs().mean())

    never = missed_px(None, "never")
    assert never > 2
    assert never == missed_px(same, "never") == missed_px(None, "always")
    assert missed_px(same, "always") < never / 10 and missed_px(contrary, "always") > never
    chosen = []

    def choose(*given: Any, camera: bool) -> AdaptiveStart:
        assert camera
        chosen.append(given)
        return AdaptiveStart(same, torch.ones(1))

    monkeypatch.setattr("raftline.flow.update_loop.choose_start", choose)
    assert missed_px(contrary, "adaptive") == missed_px(None, "adaptive") < never / 10
    assert [given[2:] for given in chosen] == [(1, contrary), (1, None)]
    assert all(given[0] is earlier.features and given[1] is later.features for given in chosen)


def test_a_batch_is_its_pairs(model: Raft) -> None:
    earlier, later = encoded(model, 0, 5), encoded(model, 2, 4)
    coarse = run(UpdateLoop(model), earlier, later)
    for place in range(2):
        one = slice(place, place + 1)
        own = run(UpdateLoop(model), EncodedFrame(*(t[one] for t in earlier)), EncodedFrame(*(t[one] for t in later)))
        torch.testing.assert_close(coarse.flow[one], own.flow, atol=1e-4, rtol=0)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize(("correlation", "warm_start"), [("on-demand", "always"), ("all-pairs", "adaptive")])
def test_a_recording_gives_what_each_operation_gives(
    model: Raft, both_ways: bool, correlation: str, warm_start: str
) -> None:
    eager, recorded = UpdateLoop(model), UpdateLoop(model, Recorder)
    assert recorded.recorded and not eager.recorded
    kept, last = [], None
    for shifts in ((0, 2), (3, 1), (1, 1.5)):
        earlier, later = encoded(model, shifts[0]), encoded(model, shifts[1])
        options = {
            "both_ways": both_ways,
            "correlation": correlation,
            "warm_start": warm_start,
            "region_matching": True,
        }
        results = [run(update_loop, earlier, later, last, **options) for update_loop in (eager, recorded)]
        kept.append(results)
        last = results[0].flow[:1]
    # Compared at the end: what a later replay overwrites would be seen.
    for expected, found in kept:
        torch.testing.assert_close(found.flow, expected.flow, atol=0, rtol=0)
        torch.testing.assert_close(found.hidden, expected.hidden, atol=0, rtol=0)


def test_each_shape_is_recorded_once_and_few_are_kept(model: Raft) -> None:
    Recorder.recordings = 0
    update_loop = UpdateLoop(model, Recorder)
    for _ in range(2):
        run(update_loop, encoded(model, 0), encoded(model, 1))
    assert Recorder.recordings == 2  # the begin and the step
    run(update_loop, encoded(model, 0, width=168), encoded(model, 1, width=168))
    run(update_loop, encoded(model, 0), encoded(model, 1), torch.zeros(1, 2, 16, 20))
    assert Recorder.recordings == 6
    for number in range(8):
        run(update_loop, encoded(model, 0, width=176 + 8 * number), encoded(model, 1, width=176 + 8 * number))
    Recorder.recordings = 0
    run(update_loop, encoded(model, 0), encoded(model, 1))
    assert Recorder.recordings == 2  # the oldest had gone


@pytest.mark.parametrize("new_capture", [None, Recorder])
@pytest.mark.parametrize("both_ways", [False, True])
def test_regions_are_looked_for_once_and_before_the_second_iteration(
    model: Raft, both_ways: bool, new_capture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, later = encoded(model, 0), encoded(model, 2)
    begun_at = []

    def match(features1: Tensor, features2: Tensor, flow: Tensor) -> RegionMatches:
        pair = (earlier.features, later.features)
        expected = (torch.cat(pair), torch.cat(pair[::-1])) if both_ways else pair
        assert torch.equal(features1, expected[0]) and torch.equal(features2, expected[1])
        begun_at.append(flow.clone())
        return RegionMatches(flow + 3, torch.ones_like(flow[:, 0], dtype=torch.bool))

    monkeypatch.setattr("raftline.flow.update_loop.match_regions", match)
    options: dict[str, Any] = {"both_ways": both_ways, "region_matching": True}
    once = run(UpdateLoop(model), earlier, later, iterations=1, **options)
    assert not begun_at
    moved = run(UpdateLoop(model, new_capture), earlier, later, iterations=2, **options)
    torch.testing.assert_close(begun_at[-1], once.flow, atol=0, rtol=0)
    begun_at.clear()
    run(UpdateLoop(model), earlier, later, iterations=4, **options)
    assert len(begun_at) == 1
    with torch.inference_mode():
        start = once.flow[:1] + 3
    expected = run(UpdateLoop(model), earlier, later, iterations=2, both_ways=both_ways)
    assert (moved.flow[:1] - expected.flow[:1]).abs().mean() > 0.1
    assert (moved.flow[:1] - start).abs().mean() < (expected.flow[:1] - start).abs().mean()


@pytest.mark.parametrize("new_capture", [None, Recorder])
def test_an_early_stop_waits_for_every_pair(model: Raft, new_capture: Any) -> None:
    update_loop = UpdateLoop(model, new_capture)
    still, both = (encoded(model, 0), encoded(model, 0)), (encoded(model, 0, 0), encoded(model, 0, 4))
    # The first update of what does not move, and a little: the pair that moves has longer ones.
    limit_px = 8 * float(run(update_loop, *still, iterations=1).flow.norm(dim=1).mean()) * 1.01
    assert run(update_loop, *still, early_stop_px=limit_px).iterations == 1
    assert run(update_loop, *both, early_stop_px=limit_px).iterations > 1
    assert run(update_loop, *both, early_stop_px=0.0).iterations == 3


def test_how_the_correlation_is_held_stays_once_chosen(model: Raft, monkeypatch: pytest.MonkeyPatch) -> None:
    update_loop, options = UpdateLoop(model), FlowOptions(iterations=1)
    features = torch.zeros(1, 128, 16, 16)
    assert update_loop.correlation_mode(features, options) == "on-demand"
    monkeypatch.setattr("raftline.flow.update_loop.choose_correlation", lambda *_: pytest.fail("chosen again"))
    assert update_loop.correlation_mode(features, options) == "on-demand"
    monkeypatch.undo()
    assert update_loop.correlation_mode(features, FlowOptions(iterations=1, correlation="all-pairs")) == "all-pairs"
