"""A host of a fleet: its place among the others, beside a run that has its cameras."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.errors import TransportError
from pipeline.fleet.capacity import MeasuredCapacity
from pipeline.fleet.control import Control
from pipeline.fleet.event_relay import EventRelay
from pipeline.fleet.facts import TIMES, HostReport, Times
from pipeline.fleet.placement import Placement
from pipeline.fleet.run_carrier import RunCarrier
from pipeline.runtime.event_verdicts import EventVerdicts
from pipeline.runtime.held_sources import HeldSources
from pipeline.runtime.run_status import ActiveRun

_LOOK_SECONDS = 0.1
"""Between two looks at the leases, which ask no server. Chosen by hand: a host that wakes up stops what it has lost at
once."""

log = logging.getLogger("raftline.fleet")


class Run(Protocol):
    """What a host asks of its run; `pipeline.runtime.supervisor.Supervisor` is one."""

    @property
    def active(self) -> ActiveRun | None:
        """The run; None until it has begun."""
        ...

    @property
    def draining(self) -> bool:
        """Whether it was told to end."""
        ...

    def drain(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True)
class Role:
    """What a host is in its fleet."""

    name: str
    most: int | None
    """Cameras at the most; None: measured."""
    page: str | None = None
    """Address of its page, for other machines."""
    times: Times = TIMES


class Host:
    """Give `on_status` to the supervisor of the run, and call `start` with it before it runs, `close` when it ended."""

    def __init__(
        self,
        role: Role,
        control: Control,
        event_stages: Collection[str],
        cores: int,
        restore: Callable[[Control], None] = lambda control: None,
    ) -> None:
        """
        Args:
            role: What it is.
            control: The control Redis.
            event_stages: Stages of the run that write `Data`, which may tell of events.
            cores: Those that the run shares out.
            restore: As `Placement` has it.
        """
        self._role, self._control, self._event_stages = role, control, event_stages
        self._capacity = MeasuredCapacity(cores)
        self._relay: EventRelay | None = None
        self._carrier = RunCarrier(self._active, self._relayed_until)
        self.placement = Placement(control, role.name, self._carrier, self._figures, role.times, restore)
        self._run: Run | None = None
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fleet", daemon=True)

    def start(self, run: Run) -> None:
        """Take a place in the fleet. Cameras are taken once the run has begun.

        Raises:
            ConfigError: If another host has its name.
            TransportError: If the control Redis is away.
        """
        self.placement.begin()
        self._run = run
        self._thread.start()

    def on_status(self, status: Mapping[str, Any]) -> None:
        """Take a status of the supervisor."""
        self._carrier.look(status)
        self._capacity.look(status)
        self._begun.set()

    def blame(self, error: Exception) -> None:
        """Tell the fleet, before `close`, that the run has failed: a camera may be why."""
        with suppress(TransportError):
            self.placement.blame(str(error))

    def close(self) -> None:
        """Give back every camera: the run has ended."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._relay is not None:
            self._relay.close()
        self._carrier.close()
        with suppress(TransportError):
            self.placement.close()

    def _work(self) -> None:
        assert self._run is not None
        try:
            while not self._begun.wait(_LOOK_SECONDS) and not self._ended.is_set():
                pass
            self._take_part(self._run)
        except Exception:
            log.exception("this host cannot go on, and ends")
            self._run.drain()

    def _take_part(self, run: Run) -> None:
        active, next_step, lost = run.active, 0.0, ""
        if active is None:
            return
        cameras, token = (lambda: self.placement.cameras), self.placement.token
        on_told = None if active.directory is None else EventVerdicts(active.directory).add
        held = None if active.directory is None else HeldSources(active.directory)
        self._relay = EventRelay(active, self._event_stages, cameras, token, self._control, on_told)
        self._relay.start()
        while not self._ended.wait(_LOOK_SECONDS):
            if run.draining:
                self.placement.leave()
            try:
                if time.monotonic() >= next_step:
                    next_step = time.monotonic() + self._role.times.beat_seconds
                    self.placement.step()
                    lost = _told_of(lost, "")
                else:
                    self.placement.keep()
            except TransportError as error:
                lost = _told_of(lost, str(error))
            if held is not None:
                held.tell(self.placement.held_until())

    def _active(self) -> ActiveRun:
        active = None if self._run is None else self._run.active
        if active is None:
            raise TransportError("the run has not begun")
        return active

    def _relayed_until(self, camera: str) -> float:
        return 0.0 if self._relay is None else self._relay.relayed_until(camera)

    def _figures(self, carried: int) -> HostReport:
        most, why = (self._role.most, "given") if self._role.most is not None else self._capacity.limit(carried)
        busy = self._capacity.cpu_cores
        return HostReport(
            id="",
            capacity=most,
            capacity_why=why,
            cores=self._capacity.cores,
            cpu_cores=None if busy is None else round(busy, 2),
            page=self._role.page,
        )


def _told_of(before: str, now: str) -> str:
    if now and not before:
        log.warning("the cameras that are here go on, but none are taken: %s", now)
    elif before and not now:
        log.warning("the control Redis answers again")
    return now
