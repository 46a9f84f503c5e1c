"""A stage at work without a machine, killed when a test says so: delivered to, restored and delivered to again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from pipeline.messages import EndOfStream, Message
from pipeline.payload.state_bytes import PackedState, unpacked
from pipeline.runtime.hosted import HostedStage
from pipeline.stage import Stage


class Rehearsal:
    """What the machine keeps of a stage with the policy ``lossless``: acknowledgements, snapshot and checkpoint.

    Args:
        host: Makes the stage's object and its host, once for each life of the worker.
        checkpoint_every: Messages from one checkpoint to the next.
    """

    def __init__(self, host: Callable[[], HostedStage], checkpoint_every: int) -> None:
        self._host, self._every = host, checkpoint_every
        self._pending: deque[Message] = deque()
        self._since = 0
        self._snapshot: str | None = None
        self._checkpoint: np.ndarray | None = None
        self._published = (0, 0)
        self.hosted = host()
        self._large = type(self.hosted.stage).checkpoint is not Stage.checkpoint

    def open(self) -> None:
        """Open the stage and give it what is kept."""
        self.hosted.open(self._snapshot)
        if self._checkpoint is not None:
            self.hosted.stage.restore_checkpoint(unpacked(self._checkpoint))

    def deliver(self, message: Message) -> Iterator[Message]:
        """Yield what the stage makes of a message and had not published before, then acknowledge."""
        self._pending.append(message)
        yield from self._new(message)
        self._keep(message)

    def kill(self) -> None:
        """The worker dies; the next one gets what was not acknowledged. What the stage held is not closed."""
        self.hosted = self._host()
        self.open()
        self._since = 0
        for message in self._pending:
            made = list(self._new(message))
            assert not made, f"delivered again after a crash, a message led to something new: {made}"

    def _new(self, message: Message) -> Iterator[Message]:
        for made in self.hosted.made_of(message):
            self.hosted.check_in_full(made)  # a run finds values that JSON cannot hold when it publishes them
            position = (made.header.epoch, made.header.sequence)
            if position > self._published:
                self._published = position
                yield made

    def _keep(self, message: Message) -> None:
        self._since += 1
        if isinstance(message, EndOfStream):
            return
        window, snapshot = self.hosted.unacked_window(), self.hosted.snapshot()
        if self._large:
            if self._since < self._every:
                return
            state = self.hosted.checkpoint()
            self._checkpoint = None if state is None else _written(PackedState.of(state))
        self._snapshot, self._since = snapshot, 0
        while len(self._pending) > window:
            self._pending.popleft()


def _written(packed: PackedState) -> np.ndarray:
    data = np.empty(packed.size_bytes, np.uint8)
    packed.write(data)
    return data
