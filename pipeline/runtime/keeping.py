"""When a stage's large state is kept, and what stays unacknowledged until then.

With the policy ``lossless`` everything since the last kept state stays unacknowledged: after a crash it is delivered
again, the state grows from it as it did before, and what it leads to is recognised as published. So the results are
the same to the last bit, at the price of a copy now and then. With ``live`` nothing can be held back: the state is
kept once a second, and after a crash it is that old.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline.arrays import LazyArray
from pipeline.config.plan import Plan
from pipeline.payload.base import SlotPlace
from pipeline.payload.checkpoints import Checkpoints, FileCheckpoints, TransportCheckpoints
from pipeline.payload.ring_space import RingBudget
from pipeline.runtime.hosted import HostedStage
from pipeline.runtime.publisher import inline_entries
from pipeline.stage import Stage
from pipeline.transport.base import Transport
from pipeline.transport.keys import ring_name

_WORK_PER_COST = 50
"""A state is kept once the stage has worked so many times as long as keeping it took: 2 % of its time. Chosen by
hand."""
_HELD_SHARE = 3 / 8
"""Of the slots of a ring that one reader may hold for its state, at most: two stages one behind the other then leave
some to those before them. Chosen by hand."""
_LIVE_SECONDS = 1.0
"""How old the state of a camera's stage may be. Chosen by hand."""
_INLINE_SHARE = 1 / 16
"""Of Redis' memory that a generation may take, over the sources: two generations of two stages take a fourth of it."""
KEPT, NOT_KEPT = "kept", "no room for it: after a crash the stage begins anew"
"""What the status says of a large state."""


class Kept(NamedTuple):
    """What a step stores of a stage's state."""

    snapshot: str | None
    checkpoint: str | None
    """Reference of the large state; "" where it could not be kept; None where this step keeps none."""


class StateKeeper:
    """Keeps the large state of one stage and source, and decides when."""

    def __init__(self, hosted: HostedStage, checkpoints: Checkpoints, plan: Plan, live: bool) -> None:
        self._hosted, self._checkpoints, self._plan, self._live = hosted, checkpoints, plan, live
        self._most_held = 1
        self._message_bytes = -1
        self._messages = self._busy_ns = self._cost_ns = 0
        self._kept_at = time.monotonic()
        self._settled = False
        self._has_room = True

    @property
    def holds_back(self) -> bool:
        """Whether what the kept state does not cover stays unacknowledged."""
        return not self._live

    @property
    def behind(self) -> bool:
        """Whether messages were processed since a state was kept."""
        return self._messages > 0

    def restore(self, reference: str | None) -> None:
        """Give the stage what the last worker kept.

        Raises:
            StateLost: It is not there any more.
        """
        if reference:
            state = self._checkpoints.recall(reference)
            with self._hosted.opening():
                self._hosted.stage.restore_checkpoint(state)

    def processed(self, arrays: Iterable[LazyArray], busy_ns: int) -> bool:
        """Count a message, with its arrays. Returns whether the state should be kept now."""
        self._messages += 1
        self._busy_ns += busy_ns
        if self._live:
            return time.monotonic() - self._kept_at >= _LIVE_SECONDS
        self._most_held = self._held_at_most(list(arrays))
        return self._messages >= self._most_held or self._busy_ns >= _WORK_PER_COST * self._cost_ns

    def keep(self) -> Kept:
        """Keep the state as it is now. To be committed before the next one."""
        started = time.monotonic_ns()
        snapshot, state = self._hosted.snapshot(), self._hosted.checkpoint()
        reference = None if state is None else self._checkpoints.keep(state)
        self._say(state is None or reference is not None)
        self._cost_ns = time.monotonic_ns() - started
        self._messages = self._busy_ns = 0
        self._kept_at = time.monotonic()
        return Kept(snapshot, reference or "")

    def committed(self) -> None:
        """What `keep` returned is committed: what earlier workers kept is not needed any more."""
        if not self._settled:
            self._settled = True
            self._checkpoints.clear()

    def forget(self) -> None:
        """The stage has ended."""
        self._checkpoints.clear(all_of_them=True)

    def close(self) -> None:
        """Release all resources; what was kept stays for the next worker."""
        self._checkpoints.close()

    def _say(self, has_room: bool) -> None:
        if has_room is not self._has_room:
            self._has_room = has_room
            self._hosted.stage.context.status(state=KEPT if has_room else NOT_KEPT)

    def _held_at_most(self, arrays: list[LazyArray]) -> int:
        """Messages like this one that may stay unacknowledged without leaving too few slots to their writers."""
        size = sum(_nbytes(array) for array in arrays)
        if size == self._message_bytes:
            return self._most_held
        self._message_bytes = size
        rings: dict[str, int] = {}
        for array in arrays:
            if isinstance(array.reference, SlotPlace):
                rings[array.reference.ring] = rings.get(array.reference.ring, 0) + _nbytes(array)
        budget = RingBudget(self._plan.limits.slots, self._plan.ring_bytes)
        room = [budget.slots_of(each) for each in rings.values()]
        room.append(self._plan.limits.entries if rings else inline_entries(self._plan, size))
        return max(1, int(min(room) * _HELD_SHARE))


def state_keeper(
    plan: Plan, transport: Transport, source: str, hosted: HostedStage, token: str, directory: Path
) -> StateKeeper | None:
    """The keeper of a stage's large state; None where the stage has none, or nobody could take it over."""
    stage = type(hosted.stage)
    if stage.checkpoint is Stage.checkpoint or not transport.outlives_workers:
        return None
    name, fence = ring_name(source, hosted.name), token.partition("@")[0]
    checkpoints: Checkpoints
    if plan.payload == "inline":
        most_bytes = plan.redis_memory_mb * 1e6 * _INLINE_SHARE / len(plan.sources)
        checkpoints = TransportCheckpoints(transport, name, fence, int(most_bytes))
    else:
        checkpoints = FileCheckpoints(directory, name, fence)
    return StateKeeper(hosted, checkpoints, plan, plan.sources[source].policy == "live")


def _nbytes(array: LazyArray) -> int:
    return math.prod(array.shape) * array.dtype.itemsize
